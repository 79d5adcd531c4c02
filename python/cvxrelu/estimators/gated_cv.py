"""scikit-learn estimators that choose their penalty by cross-validation along warm-started paths."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import numpy.typing as npt
from joblib import delayed
from sklearn.base import BaseEstimator

from ..base.arrays import FloatArray
from ..gated.problem import Stopping
from ..gated.solution import GatedPath
from .callbacks import FitTasks, folds_in_parallel
from .class_weights import CLASS_WEIGHT
from .classification import LOG_LOSS, NetworkClassification
from .draws import DRAWS, GateDraw, only
from .fitting import (
    INTERCEPT,
    NetworkRegression,
    checked_weights,
    generator_of,
)
from .gated import GatedModel, log_to_console
from .parameters import with_parameters
from .selection import MEAN_OF_FOLDS, SCORING, PathSearch, Selection
from .training import pose_gated

_SCORING = SCORING.format(mean=MEAN_OF_FOLDS, error="loss, with the weights of the samples")

# What folds are solved to where `tol` asks for more. A gap of e moves predictions by at most sqrt(e) of the targets'
# norm, and losses on samples held out by much less than they differ between neighbouring penalties.
_FOLD_TOL = 1e-4

_PARAMETERS = """\
{scoring}
    n_betas : int, default 20
        Penalties to try: a geometric progression from the smallest one whose optimum is zero, found for each training
        part, down to `beta_min_ratio` times that.
    beta_min_ratio : float, default 1e-3
        End of the progression.
    cv : int, splitter or iterable of (train, test), default None
        Folds as scikit-learn understands them; None is five. Numbers of folds and splitters divide the samples whose
        weight is not zero.
    n_jobs : int, optional
        Folds at a time, by joblib and whatever backend it has been given. Each uses `n_threads` threads.
    n_gates : int, default 500
        Gates that are drawn. Ignored where `gates` is an array.
    gates : str or array_like of shape (n_gates, n_features [+ 1]), default "mixed"
        Law of the gates, as in :class:`GatedReLURegressor`.
{draws} The penalty is chosen by the loss of the mean.
    fit_bias : bool, default True
        Append a column of ones, inside the gates and inside the penalty.
{intercept}
    tol : float, default 1e-6
        Relative duality gap at which each solution over all samples is finished. Those of the folds, which choose the
        penalty, are finished at 1e-4 where `tol` is less.
    max_iter : int, default 200
        Iterations of the solver for each solution: passes over all patterns.
    n_threads : int, optional
        Threads; by default what OpenMP would take.
    random_state : None, int, RandomState or Generator, default None
        Source of the gates.
    verbose : int, default 0
        1 logs a line when the final network is trained, through ``logging.getLogger("cvxrelu")``.

    Attributes
    ----------
    beta_ratio_ : float
        The penalty that was chosen, relative to the largest useful one.
    beta_ratios_ : ndarray of shape (n_betas,)
        Those that were tried, decreasing.
    loss_path_ : ndarray of shape (n_betas, n_folds)
        Mean loss on the part held out, weighted by the sample weights there: for the squared loss the square error
        (not halved), else the loss.
    score_path_ : ndarray of shape (n_betas, n_folds), or None
        What `scoring` says of each penalty on the part held out; None without it.
    paths_ : tuple of GatedPath
        For each draw of gates the solutions over all samples, from the largest penalty to the one that was chosen.
    path_ : GatedPath
        Those of the only draw; where there are several, there is none.
    beta_, beta_max_, network_, solutions_, solution_, patterns_, certificate_, dual_gap_, objective_, n_active_,
    n_iter_
        Of the network trained on all samples with that penalty, as in :class:`GatedReLURegressor`.
    n_features_in_ : int
        Features seen in `fit`.
    feature_names_in_ : ndarray of shape (n_features,)
        Their names, where `X` had names."""


class _GatedReLUCV(PathSearch, GatedModel, BaseEstimator):  # type: ignore[misc]
    def __init__(
        self,
        *,
        loss: str = "squared",
        scoring: Any = None,
        n_betas: int = 20,
        beta_min_ratio: float = 1e-3,
        cv: Any = None,
        n_jobs: int | None = None,
        n_gates: int = 500,
        gates: str | npt.ArrayLike = "mixed",
        n_draws: int = 1,
        fit_bias: bool = True,
        fit_intercept: bool = False,
        tol: float = 1e-6,
        max_iter: int = 200,
        n_threads: int | None = None,
        random_state: Any = None,
        verbose: int = 0,
    ) -> None:
        self.loss = loss
        self.scoring = scoring
        self.n_betas = n_betas
        self.beta_min_ratio = beta_min_ratio
        self.cv = cv
        self.n_jobs = n_jobs
        self.n_gates = n_gates
        self.gates = gates
        self.n_draws = n_draws
        self.fit_bias = fit_bias
        self.fit_intercept = fit_intercept
        self.tol = tol
        self.max_iter = max_iter
        self.n_threads = n_threads
        self.random_state = random_state
        self.verbose = verbose

    def _search(
        self,
        selection: Selection,
        X: npt.NDArray[np.floating[Any]],
        targets: FloatArray,
        sample_weight: Any,
        tasks: FitTasks,
    ) -> None:
        loss = self._checked_loss()
        weights = checked_weights(sample_weight, X)
        ratios = self._ratios()
        stopping = Stopping(self.tol, self.max_iter)
        data = np.asarray(X, dtype=np.float64)
        seed = int(generator_of(self.random_state).integers(2**63))  # the same draws for every fold
        draw = GateDraw.of(self, seed)

        def training(rows: Any) -> dict[str, Any]:
            sample_weight = None if weights is None else weights[rows]
            problem = {"X": data[rows], "y": targets[rows], "draw": draw, "sample_weight": sample_weight}
            return problem | {"n_threads": self.n_threads, "loss": loss, "intercept": self.fit_intercept}

        folds = selection.folds(X, targets, weights)
        whole = pose_gated(**training(slice(None)))
        loose = dataclasses.replace(stopping, tol=max(_FOLD_TOL, stopping.tol))
        jobs = [delayed(held_out_values)(training(train), ratios, data[test], loose) for train, test in folds]
        values = folds_in_parallel(jobs, self.n_jobs, tasks)
        held_out = [(test, at) for (_, test), at in zip(folds, values, strict=True)]
        best = self._choose(selection, ratios, (X, targets, weights), held_out)

        tasks.begin("path")
        paths = whole.paths(ratios[: best + 1], stopping)
        with log_to_console(self.verbose):
            self._keep(whole.fit_of([path[-1] for path in paths]))
        self.paths_ = paths
        tasks.end(dict)

    @property
    def path_(self) -> GatedPath:
        """The path of the only draw."""
        return only(self.paths_)


def held_out_values(training: dict[str, Any], ratios: FloatArray, Z: FloatArray, stopping: Stopping) -> FloatArray:
    """Return the values of a path on samples held out: (n_betas, n_samples[, n_outputs]).

    The problem is posed here, where the fold is worked on: that may be a process with another number of threads.
    """
    problem = pose_gated(**training)
    values = []
    for solutions in zip(*problem.paths(ratios, stopping), strict=True):
        values.append(problem.network_of(solutions).predict(Z, n_threads=training["n_threads"]))
    return np.asarray(values, dtype=np.float64)


@with_parameters(delta=1.0, fit_intercept=True)
class GatedReLURegressorCV(NetworkRegression, _GatedReLUCV):
    __doc__ = f"""Gated ReLU network for regression whose penalty is chosen by cross-validation.

    The program is that of :class:`GatedReLURegressor`. For each fold a whole path of penalties is solved, each solution
    from the one before and each to a certified gap; the penalty that is best on the parts held out, by default by its
    loss there, trains the final network on all samples.

    Parameters
    ----------
    loss : {{"squared", "huber", "poisson"}}, default "squared"
        As in :class:`GatedReLURegressor`.
    delta : float, default 1.0
        Error from which on the Huber loss is linear, in units of the target.
{_PARAMETERS.format(scoring=_SCORING, draws=DRAWS.format(n_draws=1), intercept=INTERCEPT.format(fit_intercept=True))}

    Examples
    --------
    >>> from cvxrelu import GatedReLURegressorCV
    >>> from cvxrelu.datasets import load_yacht
    >>> data = load_yacht()
    >>> X = (data.X - data.X.mean(axis=0)) / data.X.std(axis=0)
    >>> model = GatedReLURegressorCV(n_gates=100, n_betas=5, cv=3, random_state=0).fit(X, data.y)
    >>> model.loss_path_.shape
    (5, 3)
    """


@with_parameters(loss=LOG_LOSS, class_weight=None)
class GatedReLUClassifierCV(NetworkClassification, _GatedReLUCV):
    __doc__ = f"""Gated ReLU network that classifies and whose penalty is chosen by cross-validation.

    The program is that of :class:`GatedReLUClassifier`; the penalty is by default the one with the smallest loss of the
    scores on the parts held out, which is a steadier measure than accuracy.

    Parameters
    ----------
    loss : {{"log_loss", "logistic", "softmax", "squared"}}, default "log_loss"
        As in :class:`GatedReLUClassifier`.
{CLASS_WEIGHT}
{_PARAMETERS.format(scoring=_SCORING, draws=DRAWS.format(n_draws=1), intercept=INTERCEPT.format(fit_intercept=False))}
    classes_ : ndarray of shape (n_classes,)
        Labels, sorted.
    """
