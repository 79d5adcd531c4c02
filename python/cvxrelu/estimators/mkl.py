"""scikit-learn estimators: learned mixtures of masking kernels."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator

from ..base.arrays import FloatArray, as_scalar, as_threads
from ..exceptions import ConvergenceWarning
from ..gated.losses import Squared
from ..gated.pose import pose
from ..gated.problem import GatedData, Penalty
from ..gated.program import Program
from ..kernels.closed_form import require_memory
from ..kernels.gates import require_evaluation
from ..kernels.kernels import masking_kernel
from ..kernels.mkl import MKLSettings, learn_weights
from ..kernels.mkl_solution import MKLSolution
from ..networks.network import Network, mean_network
from ..patterns.patterns import ActivationPatterns
from ..patterns.sampling import sample_of_design
from .calibration import CALIBRATED, CalibratedClassification
from .callbacks import FitTasks
from .certificate import mean_certificate
from .class_weights import CLASS_WEIGHT
from .draws import DRAWS, GateDraw, only
from .fitting import INTERCEPT, Model, RegressionMixin, generator_of
from .merging import MergedSamples
from .parameters import with_parameters
from .ridge import Ridge

GATES = """\
    n_gates : int, default 500
        Gates that are drawn. Ignored where `gates` is an array.
    gates : str or array_like of shape (n_gates, n_features [+ 1]), default "mixed"
        Law of the gates, any of :func:`sample_patterns`, such as "gaussian", "balanced:0.3" or "sparse:2". "mixed" lets
        every second gate compare one random feature with a threshold between two of its training values; it needs
        `fit_bias` (or a constant feature).
{draws}
    at : {{"cell-average", "representative", "refined"}}, default "cell-average"
        What stands for the masks at samples that were not seen, see :func:`masking_kernel`. The average over all
        gates drawn is the default because it has less variance; "representative" predicts what `network_` does."""

_PENALTY = """\
    beta : float, optional
        Penalty. By default `beta_ratio` times the smallest penalty whose optimum is zero.
    beta_ratio : float, default {beta_ratio}
        Penalty relative to that smallest one; ignored where `beta` is given.
    init : {{"ntk", "uniform"}} or array_like, default "ntk"
        Weights to start the reweighting from.
    max_iter : int, default 10
        Iterations of the reweighting.
    finish : bool, default True
        Whether to go on to the optimum. Without, this is early stopping between the neural tangent kernel and the
        optimal one."""

REST = """\
    fit_bias : bool, default True
        Append a column of ones, inside the gates and inside the penalty.
{intercept}
    tol : float, default 1e-6
        Relative duality gap (gap over objective at zero) at which training stops.
    n_threads : int, optional
        Threads; by default what OpenMP would take.
    random_state : None, int, RandomState or Generator, default None
        Source of the gates{folds}.
    callback : callable, optional
        Called with a dict of ``iteration``, ``objective``, ``gap``, ``relative_gap``, ``active``; returning True
        stops training with the best certified result so far."""

FITTED = """\
    solutions_ : tuple of MKLSolution
        For each draw of gates weights, coefficients, certificate and history, over the distinct samples in the order
        of their appearance.
    solution_ : MKLSolution
        That of the only draw; where there are several, there is none, and neither `eta_` nor `patterns_`.
    eta_ : ndarray of shape (n_patterns,)
        Weights of the masking kernels.
    network_ : Network
        The gated network with one gate for each pattern, of all draws.
    patterns_ : ActivationPatterns
        Distinct patterns of the gates on the distinct samples.
    certificate_ : TrainingCertificate
        Over the patterns of the gates that were drawn: ``lower_bound``, ``upper_bound``, ``gap``, ``relative_gap``
        and ``converged``. Of several draws it is about the mean of their objectives, each over its own patterns.
    dual_gap_ : float
        ``certificate_.gap``: no weights have an objective smaller by more than this. Of several draws the mean.
    objective_ : float
        Objective that was reached, over all samples.
    beta_ : float
        Penalty that was used.
    n_active_ : int
        Kernels whose weight is not zero.
    n_iter_ : int
        Iterations of the reweighting.
    n_features_in_ : int
        Features seen in `fit`.
    feature_names_in_ : ndarray of shape (n_features,)
        Their names, where `X` had names."""

Callback = Callable[[dict[str, Any]], Any]


class MKLModel(Model, BaseEstimator):  # type: ignore[misc]
    """What the estimators of mixtures of masking kernels share."""

    n_gates: int
    gates: str | npt.ArrayLike
    n_draws: int
    at: str
    fit_bias: bool
    fit_intercept: bool
    tol: float
    n_threads: int | None
    random_state: Any
    callback: Callback | None

    @property
    def _unpenalised(self) -> str | None:
        return "intercept" if self.fit_intercept else None

    def _posed(
        self, X: FloatArray, y: FloatArray, weights: FloatArray | None, rng: np.random.Generator
    ) -> list[tuple[GatedData, Program]]:
        """Draw gates for validated samples, and pose the gated program on those of each draw."""
        draw, threads = GateDraw.of(self, rng), as_threads(self.n_threads)
        posed = []
        for patterns in draw.patterns(lambda own: sample_of_design(X, draw.n_gates, draw.gates, own, threads)):
            require_evaluation(self.at, patterns)
            data = GatedData(X, y, patterns, weights, threads, own_patterns=True)
            posed.append((data, pose(data, Penalty(unpenalised=self._unpenalised), Squared())))
        return posed

    def _solve(
        self,
        samples: MergedSamples,
        rng: np.random.Generator,
        penalty: tuple[float | None, float],
        tasks: FitTasks,
        **settings: Any,
    ) -> list[MKLSolution]:
        """Train with a penalty, or with one relative to the largest where it is None, and keep the result.

        Returns the solution of each draw over the merged samples in their own order.
        """
        posed = self._posed(samples.X, samples.y, samples.weights, rng)
        beta, ratio = penalty
        if beta is None:
            beta = as_scalar(ratio, "beta_ratio", strict=True) * largest_penalty(posed)
        tasks.begin("iteration")
        how = MKLSettings(tol=self.tol, callback=self._progress(tasks), **settings)
        solutions: list[MKLSolution] = []
        for data, program in posed:
            solution, stopped = learn_weights(data, program, as_scalar(beta, "beta", strict=True), how)
            solutions.append(solution)
            if stopped:
                break
            if not solution.converged and how.finish:  # to stop early without is what was asked for
                warnings.warn(
                    f"the duality gap is {solution.relative_gap:.1e} relative to the objective at zero, above "
                    f"tol={self.tol:.1e}: raise tol",
                    ConvergenceWarning,
                    stacklevel=2,
                )
        self._keep(samples, samples.X, solutions)
        return solutions

    def _progress(self, tasks: FitTasks) -> Callback | None:
        """Join the `callback` parameter and scikit-learn's callbacks, which see a fitted estimator only at the end."""
        if not tasks.observed:
            return self.callback

        def progress(state: dict[str, Any]) -> bool:
            stop = tasks.next("iteration")
            return stop or (self.callback is not None and bool(self.callback(state)))

        return progress

    def _keep(self, samples: MergedSamples, X: FloatArray, solutions: list[MKLSolution]) -> None:
        X, order = np.ascontiguousarray(X[samples.appearance]), samples.appearance
        self.solutions_ = tuple(
            dataclasses.replace(
                solution, X=X, patterns=solution.patterns.reorder_samples(order), dual=solution.dual[order]
            )
            for solution in solutions
        )
        self.certificate_ = mean_certificate(solutions, samples.constant)
        self.objective_ = self.certificate_.upper_bound
        self.beta_ = solutions[0].beta
        self.dual_gap_ = self.certificate_.gap
        self.n_active_ = sum(int(solution.active.size) for solution in solutions)
        self.n_iter_ = sum(solution.n_iter for solution in solutions)
        self.network_ = self._network("representative")

    def _network(self, at: str) -> Network:
        # A solution's features are those of its network, of which the last may be the ones.
        networks = [solution.to_network(at=at) for solution in self.solutions_]
        return dataclasses.replace(mean_network(networks), bias=self.fit_bias)

    @property
    def solution_(self) -> MKLSolution:
        """The solution of the only draw."""
        return only(self.solutions_)

    @property
    def patterns_(self) -> ActivationPatterns:
        """The patterns of the only draw."""
        return self.solution_.patterns

    @property
    def eta_(self) -> FloatArray:
        """The weights of the only draw's masking kernels."""
        return self.solution_.eta

    def _values(self, X: FloatArray) -> npt.NDArray[np.floating[Any]]:
        values = [
            solution.predict(X, at=self.at, unpenalised=self._unpenalised, n_threads=self.n_threads)
            for solution in self.solutions_
        ]
        return np.asarray(np.mean(values, axis=0))

    def _predicting_network(self) -> Network:
        return self._network(self.at)


def largest_penalty(posed: list[tuple[GatedData, Program]]) -> float:
    """Return the smallest penalty whose optimum is zero for every draw; 1 where y is zero, and so are all optima."""
    return max(program.beta_max() for _, program in posed) or 1.0


class _MKL(MKLModel):
    def __init__(
        self,
        *,
        n_gates: int = 500,
        gates: str | npt.ArrayLike = "mixed",
        n_draws: int = 1,
        at: str = "cell-average",
        beta: float | None = None,
        beta_ratio: float = 1e-3,
        init: str | npt.ArrayLike = "ntk",
        max_iter: int = 10,
        finish: bool = True,
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
        self.beta = beta
        self.beta_ratio = beta_ratio
        self.init = init
        self.max_iter = max_iter
        self.finish = finish
        self.fit_bias = fit_bias
        self.fit_intercept = fit_intercept
        self.tol = tol
        self.n_threads = n_threads
        self.random_state = random_state
        self.callback = callback

    def _train(self, samples: MergedSamples, X: FloatArray, tasks: FitTasks) -> None:
        if self._CALIBRATED:
            n = len(samples.X)  # what leaves samples out holds a kernel, the same without an intercept, and a factor
            require_memory(n, n, 3)
        settings = {"init": self.init, "max_iter": self.max_iter, "finish": self.finish}
        rng = generator_of(self.random_state)
        solutions = self._solve(samples, rng, (self.beta, self.beta_ratio), tasks, **settings)
        if self._CALIBRATED:
            values = np.mean([self._left_out(samples, solution) for solution in solutions], axis=0)
            self._calibrate(samples.y, samples.weights, [(np.arange(len(values)), values)])

    def _left_out(self, samples: MergedSamples, solution: MKLSolution) -> FloatArray:
        """Return values of samples left out one by one, with the weights of the kernels that all samples have taught.

        They are those of kernel ridge regression with the learned kernel, whose solution these coefficients are.
        """

        def kernel(X: FloatArray) -> FloatArray:
            if not solution.eta.any():
                return np.zeros((len(X), len(X)))
            return masking_kernel(X, solution.patterns, solution.eta, n_threads=self.n_threads)

        ridge = Ridge(samples, samples.X, kernel, self.fit_intercept)
        _, values = ridge.solve(self.beta_, as_threads(self.n_threads), left_out=True)
        assert values is not None
        return values


@with_parameters(fit_intercept=True)
class MKLRegressor(RegressionMixin, _MKL):
    __doc__ = f"""Regression with the optimal mixture of masking kernels, from the neural tangent kernel on.

    Learns weights eta of the kernels K_i = D_i X X' D_i of the activation patterns of `n_gates` gates with
    :func:`solve_mkl`, to a certified optimum. The optimum is that of :class:`GatedReLURegressor`.

    Parameters
    ----------
{GATES.format(draws=DRAWS.format(n_draws=1))}
{_PENALTY.format(beta_ratio="1e-3")}
{REST.format(folds="", intercept=INTERCEPT.format(fit_intercept=True))}

    Attributes
    ----------
{FITTED}

    Examples
    --------
    >>> import numpy as np
    >>> from cvxrelu import MKLRegressor
    >>> X = np.linspace(-1, 1, 21)[:, None]
    >>> model = MKLRegressor(n_gates=50, random_state=0).fit(X, np.abs(X[:, 0]))
    >>> bool(model.solution_.history.objective[0] > model.objective_)
    True
    """


@with_parameters(class_weight=None, beta_ratio=3e-2)
class MKLClassifier(CalibratedClassification, _MKL):
    __doc__ = f"""Classification with the optimal mixture of masking kernels, by regression on -1 and +1.

    The program is that of :class:`MKLRegressor`, with one output for two classes and one for each of more, which share
    the weights.

    Parameters
    ----------
{CLASS_WEIGHT}
{GATES.format(draws=DRAWS.format(n_draws=1))}
{_PENALTY.format(beta_ratio="3e-2")}
{REST.format(folds="", intercept=INTERCEPT.format(fit_intercept=False))}

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Labels, sorted.
{CALIBRATED.format(where="of samples left out one by one")}
{FITTED}
    """
