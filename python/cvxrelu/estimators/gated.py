"""scikit-learn estimators: the certified networks behind fit and predict."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator

from ..base.arrays import FloatArray, as_scalar
from ..base.memory import require_fit
from ..gated.problem import Stopping
from ..gated.solution import GatedSolution
from ..patterns.patterns import ActivationPatterns
from ..rows.rows import Rows, is_rows
from .callbacks import FitTasks
from .certificate import certificate_of
from .class_weights import CLASS_WEIGHT
from .classification import LOG_LOSS, NetworkClassification
from .draws import DRAWS, GateDraw, only
from .fitting import (
    INTERCEPT,
    NetworkModel,
    NetworkRegression,
    checked_weights,
    generator_of,
)
from .parameters import with_parameters
from .training import GatedFit, GatedProblem, logger, pose_again, pose_gated, pose_rows

_PARAMETERS = """\
    n_gates : int, default 500
        Gates that are drawn. Ignored where `gates` is an array.
    gates : str or array_like of shape (n_gates, n_features [+ 1]), default {gates!r}
        Law of the gates, any of :func:`sample_patterns`. "gaussian" draws them from N(0, I). "mixed" lets every second
        gate compare one random feature with a threshold between two of its training values; it needs `fit_bias` (or a
        constant feature), and so does "balanced:0.3", whose gates are active on that share of the samples. "sparse:2"
        has gates on at most two features, "pairs" on two with a threshold between training values, "patches:28x28" on
        patches of images. An array is taken as it is; with
        `fit_bias` its last column belongs to the ones column.
{draws}
    beta : float, optional
        Penalty. By default `beta_ratio` times the smallest penalty whose optimum is zero.
    beta_ratio : float, default {beta_ratio}
        Penalty relative to that smallest one; ignored where `beta` is given.
    fit_bias : bool, default True
        Append a column of ones, inside the gates and inside the penalty.
{intercept}
    tol : float, default 1e-6
        Relative duality gap (gap over objective at zero) at which training stops.
    max_iter : int, default {max_iter}
        Iterations of the solver: passes over all patterns.
    n_threads : int, optional
        Threads; by default what OpenMP would take. Together with `n_jobs` of a search they multiply.
    random_state : None, int, RandomState or Generator, default None
        Source of the gates. An int makes fits repeatable.
    warm_start : bool, default False
        Keep gates and coefficients of the previous fit, and start from them.
    callback : callable, optional
        Called with a dict of ``iteration``, ``objective``, ``gap``, ``relative_gap``, ``active``, ``beta`` and
        ``network``, the network at present; returning True stops training with the best certified result so far.
        With several draws of gates they hear of one after the other, ``draw`` its number, and draws after one that is
        stopped are left out. scikit-learn's own callbacks (its versions with ``set_callbacks``) work as well.
    verbose : int, default 0
        1 logs a line for each fit, 2 one for each iteration, through ``logging.getLogger("cvxrelu")``; to stderr
        where the application has configured no logging.

    Attributes
    ----------
    network_ : Network
        The trained network{network_note}.
    certificate_ : TrainingCertificate
        Over networks on these gates: ``lower_bound``, ``upper_bound``, ``gap``, ``relative_gap`` and ``converged``.
        Of several draws it is about the mean of their objectives, each over networks on its own gates; the objective
        of `network_` is at most that.
    dual_gap_ : float
        ``certificate_.gap``: no network on these gates has an objective smaller by more than this. Of several draws
        the mean.
    beta_ : float
        Penalty that was used.
    beta_max_ : float
        Smallest penalty whose optimum is zero.
    n_active_ : int
        Patterns whose block is not zero.
    objective_ : float
        Optimal value of the program that was reached, over all samples.
    n_iter_ : int
        Iterations of the solver.
    solutions_ : tuple of GatedSolution
        The solution of the program of each draw, with its dual point. Equal samples are merged before (which changes
        nothing but a constant in the objective), so that a sample weight of k is exactly k copies.
    solution_ : GatedSolution
        That of the only draw; where there are several, there is none.
    patterns_ : ActivationPatterns
        Distinct patterns of the only draw's gates on the distinct samples, in the order of their first appearance.
    n_features_in_ : int
        Features seen in `fit`.
    feature_names_in_ : ndarray of shape (n_features,)
        Their names, where `X` had names."""

_DEFAULT_MAX_ITER = 200


class GatedModel(NetworkModel):
    """What gated networks with a given penalty and with a chosen one share."""

    n_draws: int

    def _keep(self, fit: GatedFit) -> None:
        self.network_ = fit.network
        self.solutions_ = fit.solutions
        self.beta_ = fit.beta
        self.beta_max_ = fit.beta_max
        self.certificate_ = fit.certificate
        self.objective_ = fit.certificate.upper_bound
        self.dual_gap_ = fit.certificate.gap
        self.n_active_ = sum(len(solution.active) for solution in fit.solutions)
        self.n_iter_ = sum(solution.n_iter for solution in fit.solutions)

    @property
    def solution_(self) -> GatedSolution:
        """The solution of the only draw."""
        return only(self.solutions_)

    @property
    def patterns_(self) -> ActivationPatterns:
        """The patterns of the only draw."""
        return self.solution_.patterns


class _GatedReLU(GatedModel, BaseEstimator):  # type: ignore[misc]
    def __init__(
        self,
        *,
        loss: str = "squared",
        n_gates: int = 500,
        gates: str | npt.ArrayLike = "mixed",
        n_draws: int = 1,
        beta: float | None = None,
        beta_ratio: float = 1e-2,
        fit_bias: bool = True,
        fit_intercept: bool = False,
        tol: float = 1e-6,
        max_iter: int = _DEFAULT_MAX_ITER,
        n_threads: int | None = None,
        random_state: Any = None,
        warm_start: bool = False,
        callback: Callable[[dict[str, Any]], Any] | None = None,
        verbose: int = 0,
    ) -> None:
        self.loss = loss
        self.n_gates = n_gates
        self.gates = gates
        self.n_draws = n_draws
        self.beta = beta
        self.beta_ratio = beta_ratio
        self.fit_bias = fit_bias
        self.fit_intercept = fit_intercept
        self.tol = tol
        self.max_iter = max_iter
        self.n_threads = n_threads
        self.random_state = random_state
        self.warm_start = warm_start
        self.callback = callback
        self.verbose = verbose

    def _fits_chunks(self, X: Any) -> bool:
        if not isinstance(X, np.memmap) or self._checked_loss().quadratic:
            return is_rows(X)
        what = f"a memory map of samples, which loss={self.loss!r} reads whole,"
        require_fit(X.shape[0], X[0].size, what, 'set loss="squared", which goes through it in chunks', copies=3)
        return False

    def _fit(self, X: npt.NDArray[np.floating[Any]], targets: FloatArray, sample_weight: Any, tasks: FitTasks) -> None:
        loss = self._checked_loss()
        weights = checked_weights(sample_weight, X)
        settings: dict[str, Any] = {"sample_weight": weights, "n_threads": self.n_threads, "loss": loss}
        settings["intercept"] = self.fit_intercept
        tasks.begin("iteration")
        previous, starts = self._previous(X), None
        data = np.asarray(X, dtype=np.float64)
        with log_to_console(self.verbose):
            if previous is None:
                problem = pose_gated(data, targets, GateDraw.of(self, generator_of(self.random_state)), **settings)
            else:
                problem, starts = pose_again(previous, data, targets, **settings)
            self._solve(problem, tasks, starts)

    def _fit_rows(self, rows: Rows, targets: Any, sample_weight: Any, tasks: FitTasks) -> None:
        if not self._checked_loss().quadratic:
            raise ValueError(
                f'rows in chunks and dask collections need loss="squared", not {self.loss!r}: set it, or pass an array'
            )
        if self.warm_start:
            raise ValueError("warm_start=True is not available for rows in chunks")
        problem = pose_rows(
            rows,
            targets,
            GateDraw.of(self, generator_of(self.random_state)),
            sample_weight=sample_weight,
            n_threads=self.n_threads,
            intercept=self.fit_intercept,
        )
        tasks.begin("iteration")
        self._solve(problem, tasks, None)

    def _solve(self, problem: GatedProblem, tasks: FitTasks, starts: list[FloatArray | None] | None) -> None:
        """Train, from given coefficients or from zero, and keep the result."""
        beta = problem.beta_of(self.beta_ratio) if self.beta is None else as_scalar(self.beta, "beta", strict=True)
        self._keep(problem.fit(beta, Stopping(self.tol, self.max_iter, callback=self._progress(tasks)), starts))

    def _previous(self, X: npt.NDArray[np.floating]) -> GatedFit | None:
        fit: GatedFit | None = getattr(self, "_trained", None) if self.warm_start else None
        ours = (X.shape[1], self.fit_bias, self.n_draws)
        if fit is not None and (fit.network.n_features, fit.network.bias, len(fit.solutions)) != ours:
            return None
        return fit

    def _keep(self, fit: GatedFit) -> None:
        super()._keep(fit)
        self._trained = fit

    def _progress(self, tasks: FitTasks) -> Callable[[dict[str, Any]], bool] | None:
        """Join the `callback` parameter, scikit-learn's callbacks and the log; None when nobody listens."""
        if self.callback is None and not tasks.observed and self.verbose < 2:
            return None

        def progress(state: dict[str, Any]) -> bool:
            if self.verbose >= 2:
                logger.info(
                    "iteration %d: objective %.9g, relative gap %.3g, %d active",
                    *(state[key] for key in ("iteration", "objective", "relative_gap", "active")),
                )
            stop = tasks.next("iteration", lambda: _attributes_at(state))
            if self.callback is not None:
                stop = bool(self.callback(state)) or stop
            return stop

        return progress


def _attributes_at(state: dict[str, Any]) -> dict[str, Any]:
    """Attributes of an estimator whose fit would end here."""
    return {
        "network_": state["network"],
        "beta_": state["beta"],
        "dual_gap_": state["gap"],
        "objective_": state["objective"],
        "certificate_": certificate_of(state["objective"], state["gap"], state["relative_gap"], False),
        "n_active_": state["active"],
        "n_iter_": state["iteration"],
    }


@with_parameters(delta=1.0, fit_intercept=True)
class GatedReLURegressor(NetworkRegression, _GatedReLU):
    __doc__ = f"""Gated ReLU network for regression, trained to a certified global optimum.

    Solves, over the distinct activation patterns D_i of `n_gates` fixed gates,

    ``min_u,b  sum_j s_j loss(y_j, f(x_j)) + beta sum_i ||u_i||``,  ``f(x) = b + sum_i 1[x . g_i >= 0] x . u_i``

    with the loss ``1/2 ||f - y||^2`` by default and sample weights s_j (1 by default, and no 1/n), which is
    weight-decayed training of a network of gated ReLU neurons (Mishkin, Sahiner and Pilanci, 2022). With several
    outputs ||u_i|| is the Frobenius norm of a block. The result depends on the gates that were drawn, and on nothing
    else: no starting point, no learning rate.

    Standardise the features: they are penalised through the weights. The target needs no centring, which is what the
    intercept b is for (0 without `fit_intercept`).

    Parameters
    ----------
    loss : {{"squared", "huber", "poisson"}}, default "squared"
        The losses of :func:`solve_gated`. "huber" is linear from an error of `delta` on, for targets with outliers.
        "poisson" is half the deviance of counts (targets that are not negative, one output) whose mean is exp(f);
        ``predict`` returns that mean.
    delta : float, default 1.0
        Error from which on the Huber loss is linear, in units of the target.
{
        _PARAMETERS.format(
            gates="mixed",
            draws=DRAWS.format(n_draws=1),
            beta_ratio=1e-2,
            intercept=INTERCEPT.format(fit_intercept=True),
            max_iter=_DEFAULT_MAX_ITER,
            network_note="",
        )
    }

    Examples
    --------
    >>> from cvxrelu import GatedReLURegressor
    >>> from cvxrelu.datasets import load_yacht
    >>> data = load_yacht()
    >>> X = (data.X - data.X.mean(axis=0)) / data.X.std(axis=0)
    >>> model = GatedReLURegressor(random_state=0).fit(X, data.y)
    >>> bool(model.dual_gap_ <= 1e-6 * 0.5 * len(data.y) * data.y.var())
    True
    """


@with_parameters(loss=LOG_LOSS, class_weight=None, beta_ratio=3e-2)
class GatedReLUClassifier(NetworkClassification, _GatedReLU):
    __doc__ = f"""Gated ReLU network that classifies, trained to a certified global optimum.

    The program is that of :class:`GatedReLURegressor` with a loss for labels; all outputs are on the same patterns.

    Parameters
    ----------
    loss : {{"log_loss", "logistic", "softmax", "squared"}}, default "log_loss"
        "log_loss" is "logistic" for two classes and for several labels of each sample, and "softmax" for more classes.
        "logistic" and "squared", the latter on targets -1 and +1, have one output for two classes, one for each class
        (against the rest) for more; "softmax" has one for each class. "squared" alone takes rows in chunks and on
        clusters, but it has no ``predict_proba``: its scores are no probabilities (scikit-learn's
        ``CalibratedClassifierCV`` makes some of them).
{CLASS_WEIGHT}
{
        _PARAMETERS.format(
            gates="mixed",
            draws=DRAWS.format(n_draws=1),
            beta_ratio=3e-2,
            intercept=INTERCEPT.format(fit_intercept=False),
            max_iter=_DEFAULT_MAX_ITER,
            network_note=", whose outputs are those of ``decision_function``",
        )
    }
    classes_ : ndarray of shape (n_classes,)
        Labels, sorted.

    Examples
    --------
    >>> from cvxrelu import GatedReLUClassifier
    >>> X = [[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]
    >>> GatedReLUClassifier(random_state=0).fit(X, ["same", "other", "other", "same"]).predict(X).tolist()
    ['same', 'other', 'other', 'same']
    """


@contextlib.contextmanager
def log_to_console(verbose: int) -> Iterator[None]:
    """Let the log through, to stderr unless the application listens to it already."""
    if not verbose:
        yield
        return
    silent = all(isinstance(handler, logging.NullHandler) for handler in logger.handlers) and (
        not logger.propagate or not logging.getLogger().handlers
    )
    handler = logging.StreamHandler() if silent else None
    level = logger.level
    if handler is not None:
        logger.addHandler(handler)
    if not logger.isEnabledFor(logging.INFO):
        logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.setLevel(level)
        if handler is not None:
            logger.removeHandler(handler)
