"""The training of a ReLU network in units in which its data are of order one: losses, weights, unpenalised columns."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ..base.arrays import FloatArray, as_real, as_unpenalised, as_weights
from ..base.bounds import dual_value, feasible_dual, pricing_threshold
from ..base.native import core
from ..base.scaling import ScaledProblem, binary_order, row_lengths, shifted
from ..gated.losses import Loss, Squared, as_loss
from ..gated.solution import linear_map_of

_SEARCH_STEPS = 60  # for the best multiple of a dual point
_ORTHOGONAL = 1e-9  # of a dual point to unpenalised columns, relative to their lengths

_NEGLIGIBLE = 1e-28  # of a loss, what unpenalised columns leave of it
_LEAST_SLACK = 1e-10  # of a pricing threshold, relative to beta
_LEAST_MULTIPLE = 1e-9  # of a dual point in whose direction a domain is looked for

_SINGULAR = 1e-12  # of a Hessian's largest eigenvalue, below which one counts as none

_SUM_ROUNDING = 1e-14  # of sums over samples, relative to the sum of their terms' sizes


class SquaredProblem(ScaledProblem):
    """The squared loss, whose weights are folded into the rows.

    Parameters
    ----------
    X, y, beta, sample_weight
        As in :class:`ScaledProblem`.
    unpenalised : array_like of shape (n_samples, q) or "intercept", optional
        Columns Z that are added to the outputs with coefficients outside the penalty.
    """

    loss: Loss = Squared()
    _amounts: FloatArray | None = None  # of the basis of the unpenalised columns, that were taken out of the targets

    def __init__(
        self,
        X: FloatArray,
        y: FloatArray,
        beta: float,
        sample_weight: npt.ArrayLike | None = None,
        unpenalised: npt.ArrayLike | str | None = None,
    ) -> None:
        super().__init__(X, y, beta, sample_weight)
        self.weights: FloatArray = np.ones(len(y))
        self._take(unpenalised)
        if self.basis.size:
            self._project()
            self._begin()
        self.dual_order = self.y_order

    def _project(self) -> None:
        """Take out of the targets what the unpenalised columns fit, which may be large beside the rest."""
        amounts = self.basis.T @ self.y
        rest = self.y - self.basis @ amounts
        rest = rest - self.basis @ (self.basis.T @ rest)
        order = binary_order(rest)
        order += order % 2  # the difference of the orders of X and y stays even
        self.y, self._amounts = shifted(rest, -order), shifted(amounts, -order)
        self.beta, self.y_order = shifted(self.beta, -order), self.y_order + order

    def _begin(self) -> None:
        """Take the objective of the zero network, which is zero where rounding alone is left of the targets."""
        zero = np.zeros_like(self.y)
        at_zero = self.value(self.best_offset(zero))
        self.at_zero = at_zero if at_zero > _NEGLIGIBLE * self.value(zero) else 0.0

    def _take(self, unpenalised: npt.ArrayLike | str | None) -> None:
        """Bring the unpenalised columns into an orthonormal basis, ``root * Z = basis @ triangle``."""
        n = self.y.shape[0]
        self.basis: FloatArray = np.zeros((n, 0), order="F")
        self.triangle: FloatArray = np.zeros((0, 0))
        self.unpenalised: FloatArray | None = None
        if unpenalised is None:
            return
        self.unpenalised = as_unpenalised(unpenalised, n)
        columns = self.root[:, None] * self.unpenalised
        lengths = row_lengths(columns.T)
        basis, triangle = np.linalg.qr(columns / np.where(lengths > 0, lengths, 1))
        q = columns.shape[1]
        left = np.abs(np.diag(triangle)) if q <= n else np.zeros(q)
        dependent = np.flatnonzero((left <= 1e-12 * np.sqrt(n)) | (lengths == 0))
        if dependent.size:
            raise ValueError(
                f"unpenalised[:, {dependent[0]}] depends linearly on the columns before it, on the samples with a "
                "weight: their coefficients would not be unique, leave it out"
            )
        self.basis, self.triangle = np.asfortranarray(basis), triangle * lengths

    def coefficients(self, gamma: FloatArray) -> FloatArray | None:
        """Return the coefficients of the unpenalised columns in the user's units from those of the basis."""
        if self.unpenalised is None:
            return None
        amounts = gamma if self._amounts is None else gamma + self._amounts
        solved = np.asarray(np.linalg.solve(self.triangle, amounts), dtype=np.float64)
        return shifted(solved, self.y_order)

    def linear_map(self, X: FloatArray) -> FloatArray | None:
        """Return M with [X, 1] M equal to the unpenalised columns; None where there is none."""
        return None if self.unpenalised is None else linear_map_of(X, self.unpenalised)

    def best_coefficients(self, outputs: FloatArray) -> FloatArray:
        """Return those of the basis with which the loss of given outputs is least."""
        return np.asarray(self.basis.T @ (self.y - outputs))

    def best_offset(self, outputs: FloatArray) -> FloatArray:
        """Return what the unpenalised columns add to given outputs at their best."""
        if not self.basis.size or not np.isfinite(outputs).all():
            return np.zeros_like(outputs)
        return self.basis @ self.best_coefficients(outputs)

    def offset_of(self, coefficients: npt.ArrayLike) -> FloatArray:
        """Return what the unpenalised columns add to the outputs, with coefficients in the user's units."""
        if self.unpenalised is None:
            raise ValueError("unpenalised_coef needs unpenalised, the columns that it belongs to")
        given = as_real(coefficients, "unpenalised_coef")
        given = given.reshape(given.shape[0] if given.ndim else 0, -1)
        shape = (self.unpenalised.shape[1], int(np.prod(self.y.shape[1:])))
        if given.shape != shape or not np.isfinite(given).all():
            raise ValueError(f"unpenalised_coef must have {shape[0]} finite entries for each output")
        offset = ((self.root[:, None] * self.unpenalised) @ shifted(given, -self.y_order)).reshape(self.y.shape)
        return offset if self._amounts is None else offset - self.basis @ self._amounts

    def residual(self, outputs: FloatArray) -> FloatArray:
        """Return minus the gradient of the loss."""
        return self.y - outputs

    def residual_at_zero(self) -> FloatArray:
        """Return the residual of the zero network with the best coefficients of the unpenalised columns."""
        zero = np.zeros_like(self.y)
        return self.residual(zero + self.best_offset(zero))

    def value(self, outputs: FloatArray) -> float:
        """Return the loss."""
        residual = self.y - outputs
        return 0.5 * float(np.vdot(residual, residual))

    def curved(self, outputs: FloatArray, directions: FloatArray) -> FloatArray:
        """Return the Hessian of the loss at its best offset times directions (..., n_samples, n_outputs)."""
        return np.asarray(directions - self.basis @ (self.basis.T @ directions))

    def divergence(self, outputs: FloatArray, theta: FloatArray) -> float:
        """Return loss(f) + loss*(-t) + <f, t>, which is the loss's part of a duality gap."""
        return 0.5 * float(np.sum((self.residual(outputs) - theta) ** 2))

    def dual_value(self, theta: FloatArray) -> float:
        """Return -loss*(-t) less what rounding may have added to it."""
        return dual_value(self.y, theta)

    def feasible(self, theta: FloatArray, nu: float) -> FloatArray:
        """Return the multiple s t with s nu <= beta that gives the best lower bound."""
        return feasible_dual(self.y, theta, nu, self.beta)

    def pricing_threshold(self, outputs: FloatArray, size: float, tol: float) -> float:
        """Return how large the dual norm of the residual of `outputs` may be before it costs too much of `tol`."""
        return pricing_threshold(self.at_zero, size, self.beta, tol)

    def in_domain(self, theta: FloatArray) -> FloatArray:
        """Return a dual point as it is, after a check that some multiple of it bounds the objective."""
        left = float(np.abs(self.basis.T @ theta).max(initial=0.0))
        if left > _ORTHOGONAL * float(np.linalg.norm(theta)):
            raise ValueError("dual must be orthogonal to the unpenalised columns: only then it bounds anything")
        return theta


class LossProblem(SquaredProblem):
    """Another loss: weights of the samples stay with it, and rows without weight ask for nothing.

    With X = 2^a X', y = 2^b y' (for the Huber loss; b = 0 for others) and weights 2^c s', objectives are 2^(2 b + c),
    penalties 2^(a + b + c), dual points 2^(b + c) and blocks 2^(b - a) times those in these units.
    """

    def __init__(
        self,
        X: FloatArray,
        y: FloatArray,
        beta: float,
        sample_weight: npt.ArrayLike | None = None,
        unpenalised: npt.ArrayLike | str | None = None,
        *,
        loss: Loss,
    ) -> None:
        n = len(y)
        given = np.ones(n) if sample_weight is None else as_weights(sample_weight, n, "sample_weight")
        self.root = (given > 0).astype(np.float64)
        weight_order = binary_order(given)
        self.weights = shifted(given, -weight_order)
        rows = X if given.all() else self.root[:, None] * X
        self.X_order = binary_order(rows)
        targets = loss.core_targets(y.reshape(n, -1))
        self.y_order = binary_order(targets) if loss.scalable else 0
        if (self.X_order - self.y_order) % 2:
            self.X_order += 1
        self.X, self.y = shifted(rows, -self.X_order), shifted(targets, -self.y_order).reshape(y.shape)
        self.loss = loss.scaled(2.0**self.y_order)
        self.dual_order = self.y_order + weight_order
        self._objective_order = 2 * self.y_order + weight_order
        self.beta = shifted(beta, -(self.X_order + self.dual_order))
        least, most = np.finfo(np.float64).tiny, np.finfo(np.float64).max
        if beta > 0 and not least <= self.beta <= most:
            kind = "small" if self.beta < least else "large"
            raise ValueError(f"beta = {beta:.3g} is too {kind} beside X and y: their ratio is not within float64")
        self._take(unpenalised)
        self._begin()
        self._require_objective()

    @property
    def _core_loss(self) -> tuple[FloatArray, FloatArray, str, float]:
        return _columns(self.y), self.weights, self.loss.core_name, self.loss.delta

    def objective(self, value: float) -> float:
        return shifted(value, self._objective_order)

    def dual(self, theta: FloatArray) -> FloatArray:
        return shifted(theta, self.dual_order)

    def scaled_dual(self, dual: FloatArray) -> tuple[FloatArray, int]:
        return shifted((self.root * dual.T).T, -self.dual_order), self.dual_order

    def best_coefficients(self, outputs: FloatArray) -> FloatArray:
        gamma = core.fit_unpenalised(*self._core_loss, self.basis, _columns(outputs))
        return np.asarray(gamma).reshape(-1, *self.y.shape[1:])

    def residual(self, outputs: FloatArray) -> FloatArray:
        residual, _ = core.loss_residual(*self._core_loss, _columns(outputs))
        return np.asarray(residual).reshape(self.y.shape)

    def value(self, outputs: FloatArray) -> float:
        return float(core.loss_residual(*self._core_loss, _columns(outputs))[1])

    def curved(self, outputs: FloatArray, directions: FloatArray) -> FloatArray:
        products = self._hessian_products(outputs, directions)
        if not self.basis.size:
            return products
        # With their best coefficients the unpenalised columns, each in each output, follow a direction. Where some
        # combination of them changes nothing, as the same in all outputs of the softmax loss, it need not.
        n, c = _columns(outputs).shape
        columns = (self.basis.T[:, None, :, None] * np.eye(c)[:, None, :]).reshape(-1, n, c)
        images = self._hessian_products(outputs, columns).reshape(len(columns), -1)
        inner = images @ columns.reshape(len(columns), -1).T
        along = np.linalg.pinv(inner, rcond=_SINGULAR, hermitian=True) @ (images @ directions.reshape(-1, n * c).T)
        return products - (along.T @ images).reshape(directions.shape)

    def _hessian_products(self, outputs: FloatArray, directions: FloatArray) -> FloatArray:
        at = _columns(outputs)
        each = directions.reshape(-1, *at.shape)
        products = [core.loss_hessian_product(*self._core_loss, at, np.asfortranarray(one)) for one in each]
        return np.reshape(products, directions.shape)

    def divergence(self, outputs: FloatArray, theta: FloatArray) -> float:
        return float(core.loss_divergence(*self._core_loss, _columns(outputs), _columns(theta)))

    def dual_value(self, theta: FloatArray) -> float:
        # loss(0) + loss*(-t) is the divergence at zero outputs; the loss is written so that -loss*(0) is 0.
        zero = np.zeros_like(self.y)
        terms = self.value(zero), self.divergence(zero, theta)
        return terms[0] - terms[1] - _SUM_ROUNDING * (terms[0] + terms[1])

    def pricing_threshold(self, outputs: FloatArray, size: float, tol: float) -> float:
        # What the loss asks for a shorter residual need not be quadratic: where it is too much, less is allowed.
        threshold = super().pricing_threshold(outputs, size, tol)
        if self.beta == 0 or not np.isfinite(outputs).all():
            return threshold
        slack, residual = threshold / self.beta - 1, self.residual(outputs)
        while slack > _LEAST_SLACK and self.divergence(outputs, residual / (1 + slack)) > 0.5 * tol * self.at_zero:
            slack /= 2
        return self.beta * (1 + slack)

    def in_domain(self, theta: FloatArray) -> FloatArray:
        if not np.isfinite(self.dual_value(_LEAST_MULTIPLE * theta)):
            raise ValueError(f"dual is not in the domain of the {self.loss.name} loss's conjugate, whatever its length")
        return super().in_domain(theta)

    def feasible(self, theta: FloatArray, nu: float) -> FloatArray:
        most = self.beta / nu if nu > 0 else 2.0
        # The dual value is concave in the multiple: thirds of the interval that cannot hold its maximum leave.
        low, high = 0.0, min(most, 2.0)
        ends = [s for s in (high, min(1.0, most)) if np.isfinite(self.dual_value(s * theta))]
        for _ in range(_SEARCH_STEPS):
            left, right = low + (high - low) / 3, high - (high - low) / 3
            if self.dual_value(left * theta) < self.dual_value(right * theta):
                low = left
            else:
                high = right
        return max((s * theta for s in [*ends, low]), key=self.dual_value)


def pose_relu(
    X: FloatArray,
    y: FloatArray,
    beta: float,
    *,
    sample_weight: npt.ArrayLike | None = None,
    unpenalised: npt.ArrayLike | str | None = None,
    loss: str = "squared",
    delta: float = 1.0,
) -> SquaredProblem:
    """Return a problem with any loss, after checking that the loss takes the targets."""
    chosen = as_loss(loss, delta)
    if chosen.quadratic:
        return SquaredProblem(X, y, beta, sample_weight, unpenalised)
    return LossProblem(X, y, beta, sample_weight, unpenalised, loss=chosen)


def _columns(array: FloatArray) -> Any:
    """Return an array as the core takes matrices."""
    return np.asfortranarray(array.reshape(array.shape[0], -1))
