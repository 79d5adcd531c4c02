import importlib.resources

import numpy as np
from cvxrelu.datasets import load_yacht


def test_yacht():
    data = load_yacht()
    assert data.X.shape == (308, 6) and data.y.shape == (308,)
    assert data.X.dtype == np.float64 and np.isfinite(data.X).all()
    assert data.feature_names[-1] == "froude_number" and data.target_name == "residuary_resistance"
    assert np.unique(data.X[:, :5], axis=0).shape[0] == 22  # hulls
    assert np.unique(data.X[:, 5]).size == 14  # speeds


def test_source_and_licence_are_beside_the_data():
    text = (importlib.resources.files("cvxrelu") / "data" / "README.md").read_text(encoding="utf-8")
    assert "Gerritsma" in text and "CC BY 4.0" in text and "10.24432/C5XG7R" in text
