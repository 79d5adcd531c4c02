"""Small data sets that the package ships; sources and licences are in data/README.md."""

from __future__ import annotations

import dataclasses
import importlib.resources

import numpy as np

from .base.arrays import FloatArray


@dataclasses.dataclass(frozen=True, eq=False)
class Dataset:
    """A table with a target.

    Attributes
    ----------
    name : str
        What it is, with its source.
    X : ndarray of shape (n_samples, n_features)
        Features.
    y : ndarray of shape (n_samples,)
        Target.
    feature_names : tuple of str
        Names of the columns of `X`.
    target_name : str
        Name of the target.
    """

    name: str
    X: FloatArray
    y: FloatArray
    feature_names: tuple[str, ...]
    target_name: str


def load_yacht() -> Dataset:
    """Return the Yacht Hydrodynamics data: 308 samples, 6 features, the residuary resistance of a hull.

    Returns
    -------
    Dataset
        By Gerritsma, Onnink and Versluis (1981), UCI Machine Learning Repository, CC BY 4.0.
    """
    path = importlib.resources.files(__package__) / "data" / "yacht.csv"
    header, *lines = path.read_text(encoding="utf-8").splitlines()
    names = tuple(header.split(","))
    table = np.array([line.split(",") for line in lines], dtype=np.float64)
    return Dataset(
        name="Yacht Hydrodynamics (Gerritsma, Onnink and Versluis 1981, UCI, CC BY 4.0)",
        X=np.ascontiguousarray(table[:, :-1]),
        y=np.ascontiguousarray(table[:, -1]),
        feature_names=names[:-1],
        target_name=names[-1],
    )
