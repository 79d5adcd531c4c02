"""Powers of two that bring data to order one, where squares and products stay within what float64 holds."""

from __future__ import annotations

from typing import Any, overload

import numpy as np
import numpy.typing as npt

from .arrays import FloatArray, as_weights


def binary_order(array: FloatArray) -> int:
    """Return the power of two of the largest entry; 0 where products of the entries stay in the range of float32."""
    largest = float(max(array.max(), -array.min())) if array.size else 0.0
    return 0 if largest == 0 or 2.0**-20 < largest < 2.0**20 else int(np.frexp(largest)[1]) - 1


@overload
def shifted(values: float, order: int) -> float: ...


@overload
def shifted(values: FloatArray, order: int) -> FloatArray: ...


def shifted(values: float | FloatArray, order: int) -> float | FloatArray:
    """Return values times ``2**order``: exact, but infinite or rounded where float64 ends."""
    if order == 0:
        return values
    with np.errstate(over="ignore"):
        result = np.ldexp(values, order)
    return result if isinstance(values, np.ndarray) else float(result)


def rescaled(array: FloatArray) -> tuple[FloatArray, float]:
    """Take out a power of two where the entries would leave the range of float32 products."""
    order = binary_order(array)
    return shifted(array, -order), 2.0**order


def require_held(value: float, scale: float, name: str, what: str) -> float:
    """Return value times scale, a quantity in the user's units; ValueError where float64 does not hold it."""
    product = value * scale
    if value > 0 and not np.finfo(np.float64).tiny <= product < np.inf:
        kind = "small" if product < 1 else "large"
        raise ValueError(f"{name} are too {kind}: {what} is not within float64")
    return product


def as_dtype(values: FloatArray, dtype: type[np.floating[Any]]) -> npt.NDArray[np.floating[Any]]:
    """Return coefficients in the type of the results; ValueError where it does not hold them to its precision."""
    with np.errstate(over="ignore", under="ignore"):
        result = values.astype(dtype)
    if values.any() and not np.finfo(dtype).tiny <= np.abs(result).max() < np.inf:
        raise ValueError(
            f"{np.dtype(dtype).name} does not hold the coefficients: scale X or y"
            + ("" if dtype == np.float64 else ", or pass them in float64")
        )
    return result


def predictions_in(values: npt.NDArray[np.floating[Any]], dtype: Any) -> npt.NDArray[np.floating[Any]]:
    """Return predictions in the type of the samples; ValueError where it does not hold them."""
    with np.errstate(over="ignore", under="ignore"):
        result = values.astype(dtype, copy=False)
    if not np.isfinite(result).all():
        raise ValueError(f"samples are too large: {np.dtype(dtype).name} does not hold the predictions, so scale them")
    return result


def row_lengths(rows: FloatArray) -> FloatArray:
    """Return the Euclidean norms of rows, whose squares need not be within the range of float64."""
    if rows.size == 0:
        return np.zeros(rows.shape[0])
    orders = np.frexp(np.abs(rows).max(axis=1))[1]
    lengths: FloatArray = np.ldexp(np.linalg.norm(np.ldexp(rows, -orders[:, None]), axis=1), orders)
    return lengths


class ScaledProblem:
    """The training of a ReLU network in units in which its data are of order one.

    Weights are folded into the rows, which leaves all cones as they are, and powers of two are taken out:
    roots * X = 2^a X', roots * y = 2^b y' with an even a - b. Then the penalty is 2^(a + b) beta', blocks are
    2^(b - a) u', layers 2^((b - a) / 2) w', objectives 2^(2 b) and dual points 2^b t' as large. For data of order one
    a and b are 0, and nothing changes.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features), y : ndarray of shape (n_samples,) or (n_samples, n_outputs)
        Validated samples and targets.
    beta : float
        Penalty.
    sample_weight : array_like of shape (n_samples,), optional
        Weights.

    Raises
    ------
    ValueError
        Where the penalty in these units, or the objective of the zero network, is not within the range of float64.
    """

    def __init__(self, X: FloatArray, y: FloatArray, beta: float, sample_weight: npt.ArrayLike | None = None) -> None:
        self.root: FloatArray = np.ones(len(y))
        self._root_order = 0
        self.X, self.X_order = _divided(X)
        self.y, self.y_order = _divided(y)
        if sample_weight is not None:
            self.root, self._root_order = _divided(np.sqrt(as_weights(sample_weight, len(y), "sample_weight")))
            self.X, X_order = _divided(self.root[:, None] * self.X)
            self.y, y_order = _divided((self.root * self.y.T).T)
            self.X_order += X_order + self._root_order
            self.y_order += y_order + self._root_order
        if (self.X_order - self.y_order) % 2:
            self.y, self.y_order = shifted(self.y, -1), self.y_order + 1
        self.beta = shifted(beta, -(self.X_order + self.y_order))
        least, most = np.finfo(np.float64).tiny, np.finfo(np.float64).max
        if beta > 0 and not least <= self.beta <= most:
            kind = "small" if self.beta < least else "large"
            raise ValueError(f"beta = {beta:.3g} is too {kind} beside X and y: their ratio is not within float64")
        self.at_zero = 0.5 * float(np.vdot(self.y, self.y))
        self._require_objective()

    def _require_objective(self) -> None:
        """Refuse targets for which float64 does not hold the objective of the zero network."""
        limits = np.finfo(np.float64)
        if self.at_zero > 0 and not limits.tiny <= self.objective(self.at_zero) <= limits.max:
            kind = "small" if self.y_order < 0 else "large"
            raise ValueError(f"y is too {kind}: the objective of the zero network is not within float64")

    def blocks(self, blocks: FloatArray) -> FloatArray:
        """Return blocks of the scaled problem in the user's units."""
        return shifted(blocks, self.y_order - self.X_order)

    def scaled_blocks(self, blocks: FloatArray) -> FloatArray:
        """Return blocks in the user's units as those of the scaled problem."""
        return shifted(blocks, self.X_order - self.y_order)

    def scaled_layer(self, weights: FloatArray) -> FloatArray:
        """Return the weights of one layer in the user's units as those of the scaled problem."""
        return shifted(weights, (self.X_order - self.y_order) // 2)

    def objective(self, value: float) -> float:
        """Return an objective, a gap or a bound in the user's units; infinite where float64 does not hold it."""
        return shifted(value, 2 * self.y_order)

    def dual(self, theta: FloatArray) -> FloatArray:
        """Return a dual point of the scaled problem in the user's units, feasible on the rows without weights."""
        return shifted((self.root * theta.T).T, self.y_order + self._root_order)

    def scaled_dual(self, dual: FloatArray) -> tuple[FloatArray, int]:
        """Return a dual point in the user's units as t', and k: it is 2^k t' on the rows with their weights."""
        theta, order = _divided(dual)
        return (theta.T / np.where(self.root > 0, self.root, np.inf)).T, order - self._root_order


def _divided(array: FloatArray) -> tuple[FloatArray, int]:
    order = binary_order(array)
    return shifted(array, -order), order
