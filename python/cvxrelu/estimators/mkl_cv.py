"""scikit-learn estimators: learned mixtures of masking kernels whose penalty is chosen by cross-validation."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ..base.arrays import FloatArray, append_ones, as_count, as_penalties
from ..gated.problem import Stopping
from ..gated.solution import unpenalised_values
from ..gated.solve import warn_of_gaps
from ..kernels.mkl_solution import masked_values
from .calibration import CALIBRATED, CalibratedClassification
from .callbacks import FitTasks
from .class_weights import CLASS_WEIGHT
from .draws import DRAWS
from .fitting import INTERCEPT, ONE_SAMPLE, HeldOut, RegressionMixin, checked_weights, generator_of
from .merging import MergedSamples, merge_samples
from .mkl import FITTED, GATES, REST, Callback, MKLModel, largest_penalty
from .parameters import with_parameters
from .selection import MEAN_OF_FOLDS, SCORING, PenaltySearch, Selection, on_all_copies, squared_errors

_PENALTIES = (
    SCORING.format(mean=MEAN_OF_FOLDS, error="weighted mean square error")
    + """
    cv : int, splitter or iterable of (train, test), default None
        Folds as scikit-learn understands them, each with gates of its own. By default `n_folds` of the distinct
        samples, which `random_state` draws.
    beta_ratios : array_like of shape (n_betas,), optional
        Penalties to try, relative to the smallest one whose optimum is zero. By default 12 of them from 0.5 to 1e-4.
    n_folds : int, default 5
        Folds without `cv`."""
)

_ERRORS = """\
    beta_ratios_ : ndarray of shape (n_betas,)
        Relative penalties that were tried, decreasing.
    cv_errors_ : ndarray of shape (n_betas,)
        Weighted mean squared error on the samples left out, for each of them.
    cv_scores_ : ndarray of shape (n_betas,), or None
        Mean over the folds of what `scoring` says of them; None without it."""


class _MKLCV(PenaltySearch, MKLModel):
    def __init__(
        self,
        *,
        n_gates: int = 500,
        gates: str | npt.ArrayLike = "mixed",
        n_draws: int = 1,
        at: str = "cell-average",
        scoring: Any = None,
        cv: Any = None,
        beta_ratios: npt.ArrayLike | None = None,
        n_folds: int = 5,
        fit_bias: bool = True,
        fit_intercept: bool = False,
        tol: float = 1e-6,
        n_threads: int | None = None,
        random_state: Any = None,
        callback: Callback | None = None,
    ) -> None:
        self.n_gates = n_gates
        self.gates = gates
        self.n_draws = n_draws
        self.at = at
        self.scoring = scoring
        self.cv = cv
        self.beta_ratios = beta_ratios
        self.n_folds = n_folds
        self.fit_bias = fit_bias
        self.fit_intercept = fit_intercept
        self.tol = tol
        self.n_threads = n_threads
        self.random_state = random_state
        self.callback = callback

    def _search(
        self,
        selection: Selection,
        X: npt.NDArray[np.floating[Any]],
        targets: FloatArray,
        sample_weight: Any,
        tasks: FitTasks,
    ) -> None:
        weights, data = checked_weights(sample_weight, X), np.asarray(X, dtype=np.float64)
        samples = merge_samples(data, targets, weights, bias=self.fit_bias)
        if samples.X.shape[0] < 2:
            raise ValueError(ONE_SAMPLE)
        if self.beta_ratios is None:
            ratios = np.geomspace(0.5, 1e-4, 12)
        else:
            ratios = np.sort(as_penalties(self.beta_ratios, "beta_ratios"))[::-1]
        rng = generator_of(self.random_state)
        if self.cv is None:
            if selection.groups_given:
                raise ValueError("groups need cv, such as GroupKFold(): without it folds are drawn from all samples")
            distinct = self._of_distinct(samples, ratios, rng, tasks)
            errors = squared_errors(samples.y, samples.weights, distinct)
            known, left_out = (samples.y, samples.weights), distinct
            held_out = on_all_copies(samples, distinct)
        else:
            known = targets, weights
            held_out = []
            for train, test in selection.folds(X, targets, weights):
                tasks.begin("fold")
                weight = None if weights is None else weights[train]
                part = merge_samples(data[train], targets[train], weight, bias=self.fit_bias)
                design = append_ones(data[test]) if self.fit_bias else data[test]
                held_out.append((test, self._values_beside((part.X, part.y, part.weights), design, ratios, rng)))
                tasks.end()
            errors = squared_errors(targets, weights, held_out)
            left_out = held_out
        best, scores = selection.choose(errors, ratios, (X, targets, weights), held_out)
        self.cv_scores_ = None if scores is None else np.nanmean(scores, axis=1)
        self.beta_ratios_, self.cv_errors_ = ratios, errors
        self._solve(samples, rng, (None, float(ratios[best])), tasks)
        if self._CALIBRATED:
            self._calibrate(*known, [(rows, at[best]) for rows, at in left_out])

    def _of_distinct(
        self, samples: MergedSamples, ratios: FloatArray, rng: np.random.Generator, tasks: FitTasks
    ) -> list[HeldOut]:
        """Return what `n_folds` of the distinct samples hold out, and the values there."""
        n = samples.X.shape[0]
        weights = np.ones(n) if samples.weights is None else samples.weights
        held_out = []
        for fold in np.array_split(rng.permutation(n), min(as_count(self.n_folds, "n_folds", minimum=2), n)):
            tasks.begin("fold")
            rest = np.setdiff1d(np.arange(n), fold)
            training = samples.X[rest], samples.y[rest], weights[rest]
            held_out.append((fold, self._values_beside(training, samples.X[fold], ratios, rng)))
            tasks.end()
        return held_out

    def _values_beside(
        self,
        training: tuple[FloatArray, FloatArray, FloatArray | None],
        Z: FloatArray,
        ratios: FloatArray,
        rng: np.random.Generator,
    ) -> FloatArray:
        """Return the values of a path of penalties on samples Z after a fit to others: (n_betas, n_samples[, c])."""
        posed = self._posed(*training, rng)
        betas, stopping = ratios * largest_penalty(posed), Stopping(self.tol)
        values = np.zeros((ratios.size, len(Z), *training[1].shape[1:]))
        for data, program in posed:
            path, _ = program.path(betas, None, stopping)
            warn_of_gaps(path, stopping)
            for value, point in zip(values, path, strict=True):
                value += masked_values(data.patterns, point.coef, training[0], Z, self.at, self.n_threads)
                value += unpenalised_values(point.unpenalised_coef, self._unpenalised, len(Z))
        return values / len(posed)


@with_parameters(fit_intercept=True)
class MKLRegressorCV(RegressionMixin, _MKLCV):
    __doc__ = f"""Regression with the optimal mixture of masking kernels and a penalty chosen by cross-validation.

    Each fold solves the whole path of penalties, every one from the solution before. Equal samples count as one.

    Parameters
    ----------
{GATES.format(draws=DRAWS.format(n_draws=1))}
{_PENALTIES}
{REST.format(folds=" and of the folds", intercept=INTERCEPT.format(fit_intercept=True))}

    Attributes
    ----------
{_ERRORS}
{FITTED}
    """


@with_parameters(class_weight=None)
class MKLClassifierCV(CalibratedClassification, _MKLCV):
    __doc__ = f"""Classification with the optimal mixture of masking kernels and a cross-validated penalty.

    The choice is by default by squared error, which is steadier than accuracy. See :class:`MKLRegressorCV`.

    Parameters
    ----------
{CLASS_WEIGHT}
{GATES.format(draws=DRAWS.format(n_draws=1))}
{_PENALTIES}
{REST.format(folds=" and of the folds", intercept=INTERCEPT.format(fit_intercept=False))}

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Labels, sorted.
{CALIBRATED.format(where="of what was held out in the choice")}
{_ERRORS}
{FITTED}
    """
