"""What docs/development says of additions is true: a toy loss, a toy law of gates, a toy kind of rows work everywhere.

None of them touches a file of the package.
"""

from typing import ClassVar

import cvxrelu
import numpy as np
import pytest
from cvxrelu.gated import losses
from cvxrelu.patterns import laws
from cvxrelu.rows.in_memory import ArrayRows
from cvxrelu.rows.passes import RowBlock
from cvxrelu.rows.rows import LocalParts
from strategies import many_rows


@pytest.fixture
def data():
    return many_rows(200, 3, 30)


@pytest.fixture
def toy_loss(monkeypatch):
    """The Huber loss under another name, with a parameter of its own."""
    monkeypatch.setattr(losses, "LOSSES", dict(losses.LOSSES))

    @losses.register_loss
    class Tenth(losses.Huber):
        name = "tenth"

        def __init__(self, delta=0.1):
            super().__init__(delta)

        @classmethod
        def with_parameters(cls, delta):
            return cls()

    return Tenth


@pytest.fixture
def toy_law(monkeypatch):
    """Gates with whole numbers for entries."""
    monkeypatch.setattr(laws, "LAWS", dict(laws.LAWS))

    @laws.register_law
    class Whole(laws.GateLaw):
        name = "whole"

        def draw(self, index, rng):
            return rng.integers(-9, 10, size=(index.size, self.n_features)) + 0.5

    return Whole


class Halves(ArrayRows):
    """Rows of an array, in two blocks that compute the masks of given gates themselves."""

    asked: ClassVar[list[str]] = []

    def __init__(self, X):
        super().__init__(X, np.zeros((0, 0), dtype=np.uint64), 1)
        self._cut = 64

    def _slices(self):
        return iter([slice(0, self._cut), slice(self._cut, self.shape[0])])

    def masked(self, y, sample_weight, gates):
        self.asked.append("masked")

        def blocks():
            for rows in self._slices():
                words, _ = cvxrelu.base.native.core.pack_patterns(self._X[rows], gates, 1)
                yield RowBlock(self._X[rows], np.asfortranarray(y.reshape(len(y), -1)[rows]), words, rows.start, None)

        return LocalParts(blocks)


def test_a_loss(toy_loss, data):
    X, y, patterns = data
    beta = 0.1 * cvxrelu.beta_max(X, y, patterns, loss="tenth")
    toy = cvxrelu.solve_gated(X, y, patterns, beta, loss="tenth")
    same = cvxrelu.solve_gated(X, y, patterns, beta, loss="huber", delta=0.1)
    np.testing.assert_array_equal(toy.coef, same.coef)
    assert toy.loss == "tenth" and toy.converged
    model = cvxrelu.GatedReLURegressor(loss="tenth", n_gates=20, random_state=0).fit(X, y)
    again = cvxrelu.GatedReLURegressor(loss="huber", delta=0.1, n_gates=20, random_state=0).fit(X, y)
    np.testing.assert_array_equal(model.predict(X), again.predict(X))
    with pytest.raises(ValueError, match=r"loss must be one of log_loss, squared, logistic, .*, not 'tenth'"):
        cvxrelu.GatedReLUClassifier(loss="tenth").fit(X, y > 0)


def test_a_law_of_gates(toy_law, data):
    X, y, _ = data
    patterns = cvxrelu.sample_patterns(X, 50, gates="whole", random_state=0)
    assert (patterns.gates % 1 == 0.5).all()
    chunks = cvxrelu.sample_patterns(cvxrelu.RowChunks([X[:70], X[70:]]), 50, gates="whole", random_state=0)
    np.testing.assert_array_equal(chunks.gates, patterns.gates)
    model = cvxrelu.GatedReLURegressor(gates="whole", n_gates=20, random_state=0).fit(X, y)
    assert (model.patterns_.gates % 1 == 0.5).all()
    with pytest.raises(ValueError, match=r'gates must be "gaussian", .*"whole" or an array, not \'other\''):
        cvxrelu.sample_patterns(X, 50, gates="other")


def test_a_kind_of_rows(data):
    X, y, patterns = data
    rows = Halves(X)
    beta = 0.1 * cvxrelu.beta_max(X, y, patterns)
    solution = cvxrelu.solve_gated(rows, y, patterns, beta)
    reference = cvxrelu.solve_gated(X, y, patterns, beta)
    assert solution.converged and Halves.asked
    assert solution.objective == pytest.approx(reference.objective, rel=2e-6)
    np.testing.assert_array_equal(solution.predict(rows), solution.to_network().predict(X))
    assert cvxrelu.sample_patterns(rows, 20, random_state=0).counts.sum() == 20
