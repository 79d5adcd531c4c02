"""scikit-learn estimators that choose their penalty by cross-validation along warm-started paths."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import numpy.typing as npt
from joblib import delayed
from sklearn.base import BaseEstimator, is_classifier

from ..base.arrays import FloatArray, as_count, as_scalar
from ..gated.problem import Stopping
from .callbacks import FitTasks, folds_in_parallel
from .certificate import certificate_of
from .class_weights import CLASS_WEIGHT, weighs_classes
from .fitting import (
    INTERCEPT,
    NetworkClassification,
    NetworkModel,
    NetworkRegression,
    checked_weights,
    generator_of,
    weighted_folds,
)
from .gated import log_to_console
from .labels import decide
from .training import GateDraw, pose_gated

# What folds are solved to where `tol` asks for more. A gap of e moves predictions by at most sqrt(e) of the targets'
# norm, and losses on samples held out by much less than they differ between neighbouring penalties.
_FOLD_TOL = 1e-4

_PARAMETERS = """\
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
    gates : {{"mixed", "gaussian"}} or array_like of shape (n_gates, n_features [+ 1]), default "mixed"
        Law of the gates, as in :class:`GatedReLURegressor`.
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
    path_ : GatedPath
        Solutions over all samples, from the largest penalty to the one that was chosen.
    beta_, beta_max_, network_, solution_, patterns_, certificate_, dual_gap_, objective_, n_active_, n_iter_
        Of the network trained on all samples with that penalty, as in :class:`GatedReLURegressor`.
    n_features_in_ : int
        Features seen in `fit`.
    feature_names_in_ : ndarray of shape (n_features,)
        Their names, where `X` had names."""


class _GatedReLUCV(NetworkModel, BaseEstimator):  # type: ignore[misc]
    def __init__(
        self,
        *,
        loss: str = "squared",
        n_betas: int = 20,
        beta_min_ratio: float = 1e-3,
        cv: Any = None,
        n_jobs: int | None = None,
        n_gates: int = 500,
        gates: str | npt.ArrayLike = "mixed",
        fit_bias: bool = True,
        fit_intercept: bool = False,
        tol: float = 1e-6,
        max_iter: int = 200,
        n_threads: int | None = None,
        random_state: Any = None,
        verbose: int = 0,
    ) -> None:
        self.loss = loss
        self.n_betas = n_betas
        self.beta_min_ratio = beta_min_ratio
        self.cv = cv
        self.n_jobs = n_jobs
        self.n_gates = n_gates
        self.gates = gates
        self.fit_bias = fit_bias
        self.fit_intercept = fit_intercept
        self.tol = tol
        self.max_iter = max_iter
        self.n_threads = n_threads
        self.random_state = random_state
        self.verbose = verbose

    def _fit(self, X: npt.NDArray[np.floating[Any]], targets: FloatArray, sample_weight: Any, tasks: FitTasks) -> None:
        loss = self._checked_loss()
        weights = checked_weights(sample_weight, X)
        smallest = as_scalar(self.beta_min_ratio, "beta_min_ratio", strict=True)
        if smallest >= 1:
            raise ValueError(f"beta_min_ratio must be below 1, not {smallest}")
        ratios = np.geomspace(1.0, smallest, as_count(self.n_betas, "n_betas", minimum=2))
        stopping = Stopping(self.tol, self.max_iter)
        data = np.asarray(X, dtype=np.float64)
        n_gates = as_count(self.n_gates, "n_gates") if isinstance(self.gates, str) else None
        seed = int(generator_of(self.random_state).integers(2**63))  # the same draws for every fold
        draw = GateDraw(n_gates, self.gates, seed, bool(self.fit_bias))

        def training(rows: Any) -> dict[str, Any]:
            sample_weight = None if weights is None else weights[rows]
            problem = {"X": data[rows], "y": targets[rows], "draw": draw, "sample_weight": sample_weight}
            return problem | {"n_threads": self.n_threads, "loss": loss, "intercept": self.fit_intercept}

        labels = decide(targets - targets.mean()) if is_classifier(self) else targets
        folds = weighted_folds(self.cv, X, labels, weights, classifier=is_classifier(self))
        whole = pose_gated(**training(slice(None)))
        loose = dataclasses.replace(stopping, tol=max(_FOLD_TOL, stopping.tol))
        losses = folds_in_parallel(
            [
                delayed(held_out_losses)(training(train), ratios, data[test], targets[test], loose)
                for train, test in folds
            ],
            self.n_jobs,
            tasks,
        )
        held_out = [np.ones(test.size) if weights is None else weights[test] for _, test in folds]
        sums = [weight @ loss for weight, loss in zip(held_out, losses, strict=True)]
        total = np.array([weight.sum() for weight in held_out])
        best = int(np.argmin(np.sum(sums, axis=0)))

        tasks.begin("path")
        path = whole.path(ratios[: best + 1], stopping)
        with log_to_console(self.verbose):
            fit = whole.fit_of(path[-1])
        self.beta_ratios_ = ratios
        self.beta_ratio_ = float(ratios[best])
        with np.errstate(invalid="ignore"):
            self.loss_path_ = np.transpose(sums) / total
        self.path_ = path
        self.beta_ = fit.beta
        self.beta_max_ = fit.beta_max
        self.network_ = fit.network
        self.solution_ = fit.solution
        self.patterns_ = fit.solution.patterns
        self.objective_ = fit.solution.objective + fit.unexplained
        self.certificate_ = certificate_of(
            self.objective_, fit.solution.gap, fit.solution.relative_gap, fit.solution.converged
        )
        self.dual_gap_ = fit.solution.gap
        self.n_active_ = len(fit.solution.active)
        self.n_iter_ = fit.solution.n_iter
        tasks.end(dict)


def held_out_losses(
    training: dict[str, Any], ratios: FloatArray, Z: FloatArray, targets: FloatArray, stopping: Stopping
) -> FloatArray:
    """Return the losses (square errors for the squared one) of a path on samples held out: (n_samples, n_betas).

    The problem is posed here, where the fold is worked on: that may be a process with another number of threads.
    """
    problem = pose_gated(**training)
    columns = []
    for solution in problem.path(ratios, stopping):
        network = problem.network_of(solution.active, solution.blocks, solution.unpenalised_coef)
        values = network.predict(Z, n_threads=training["n_threads"])
        columns.append(problem.loss.of_samples(targets, np.asarray(values, dtype=np.float64)))
    return problem.loss.reported_as * np.stack(columns, axis=1)


class GatedReLURegressorCV(NetworkRegression, _GatedReLUCV):
    __doc__ = f"""Gated ReLU network for regression whose penalty is chosen by cross-validation.

    The program is that of :class:`GatedReLURegressor`. For each fold a whole path of penalties is solved, each solution
    from the one before and each to a certified gap; the penalty with the smallest loss on the parts held out trains
    the final network on all samples.

    Parameters
    ----------
    loss : {{"squared", "huber", "poisson"}}, default "squared"
        As in :class:`GatedReLURegressor`.
    delta : float, default 1.0
        Error from which on the Huber loss is linear, in units of the target.
{_PARAMETERS.format(intercept=INTERCEPT.format(fit_intercept=True))}

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

    def __init__(
        self,
        *,
        loss: str = "squared",
        delta: float = 1.0,
        n_betas: int = 20,
        beta_min_ratio: float = 1e-3,
        cv: Any = None,
        n_jobs: int | None = None,
        n_gates: int = 500,
        gates: str | npt.ArrayLike = "mixed",
        fit_bias: bool = True,
        fit_intercept: bool = True,
        tol: float = 1e-6,
        max_iter: int = 200,
        n_threads: int | None = None,
        random_state: Any = None,
        verbose: int = 0,
    ) -> None:
        super().__init__(
            loss=loss,
            n_betas=n_betas,
            beta_min_ratio=beta_min_ratio,
            cv=cv,
            n_jobs=n_jobs,
            n_gates=n_gates,
            gates=gates,
            fit_bias=fit_bias,
            fit_intercept=fit_intercept,
            tol=tol,
            max_iter=max_iter,
            n_threads=n_threads,
            random_state=random_state,
            verbose=verbose,
        )
        self.delta = delta


@weighs_classes
class GatedReLUClassifierCV(NetworkClassification, _GatedReLUCV):
    __doc__ = f"""Gated ReLU network that classifies and whose penalty is chosen by cross-validation.

    The program is that of :class:`GatedReLUClassifier`; the penalty is the one with the smallest loss of the
    scores on the parts held out, which is a steadier measure than accuracy.

    Parameters
    ----------
{CLASS_WEIGHT}
    loss : {{"squared", "logistic", "softmax"}}, default "squared"
        As in :class:`GatedReLUClassifier`.
{_PARAMETERS.format(intercept=INTERCEPT.format(fit_intercept=False))}
    classes_ : ndarray of shape (n_classes,)
        Labels, sorted.
    """
