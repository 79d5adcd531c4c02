"""scikit-learn estimators: ReLU networks with a certificate over networks of every width."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator

from ..base.arrays import FloatArray, as_flag, as_scalar
from ..base.callbacks import Callback
from ..base.scaling import shifted
from ..gated.losses import Loss
from ..networks.network import Network
from ..relu.layers import as_columns
from ..relu.pricer import Pricer
from ..relu.problem import SquaredProblem, pose_relu
from ..relu.solution import ReLUSolution, balanced_layers
from ..relu.train import train_relu
from .callbacks import FitTasks
from .certificate import TrainingCertificate
from .class_weights import CLASS_WEIGHT
from .classification import NetworkClassification
from .fitting import (
    INTERCEPT,
    NetworkModel,
    NetworkRegression,
    checked_weights,
    generator_of,
)
from .merging import MergedSamples, merge_samples
from .parameters import with_parameters

_PARAMETERS = """\
    beta : float, optional
        Penalty. By default `beta_ratio` times the smallest penalty whose optimum is zero, ``max_u |r . (X u)_+|`` over
        unit vectors u with the residual r of the zero network, as far as walks from random starts find it (the largest
        over the outputs).
    beta_ratio : float, default {beta_ratio}
        Penalty relative to that; ignored where `beta` is given.
    share_neurons : bool, default False
        Train one network for all outputs, whose neurons serve each of them: the penalty is then the weight decay of
        that network, never more than that of separate ones. Takes longer, and is certified exactly for up to eight
        features (the bias counts).{softmax}
    fit_bias : bool, default True
        Append a column of ones, inside the penalty.
{intercept}
    certificate : {{"all patterns", "given patterns"}}, default "all patterns"
        With "all patterns" a search, cell by cell or by a tree, looks for what the walks missed, and bounds
        networks of every width and every pattern; its time grows steeply with the features. With "given patterns"
        there is none, and the certificate is only about networks whose neurons have the patterns that the walks found.
    tol : float, default 1e-4
        Duality gap at which training stops, relative to the objective of the zero network.
    max_rounds : int, default 50
        Most rounds of looking for patterns, for each output.
    max_nodes : int, optional
        Most nodes of a tree over samples, for each output, or a tenth of those over directions. When it ends early, the
        bound is valid with a larger gap. By default as many as cost some seconds, counted from the shape of the
        samples: the same fit ends at the same place, however busy the machine is.
    max_seconds : float, optional
        Seconds for training, shared by the outputs; what is at work then is brought to its end, which may take as
        long again. What is stopped by the clock need not be the same in the next fit; with "given patterns" it has
        fewer patterns, and a warning tells. By default there is no limit.
    n_threads : int, optional
        Threads; by default what OpenMP would take.
    random_state : None, int, RandomState or Generator, default None
        Source of the first patterns and of the starts of the walks.
    callback : callable, optional
        Called with a dict of ``iteration``, ``objective``, ``gap``, ``relative_gap``, ``active``, over the patterns
        found so far; returning True stops the training of this output, which leaves a certificate over these.

    Attributes
    ----------
    network_ : Network
        The trained network{network_note}.
    certificate_ : TrainingCertificate
        ``scope`` ("all patterns" or "given patterns"), ``lower_bound``, ``upper_bound``, ``gap``, ``relative_gap``
        and ``converged``, over all samples. With several outputs, sums over them where each has its own network.
    dual_gap_ : float
        ``certificate_.gap``: no network within the scope has an objective smaller by more than this.
    beta_ : float
        Penalty that was used.
    n_active_ : int
        Neurons of the network.
    n_iter_ : int
        Passes over the patterns.
    solutions_ : tuple of ReLUSolution
        The solution for each output, or one for all where they share neurons, with its dual point, over the distinct
        samples in the order of their first appearance, each scaled by the root of its weight.
    n_features_in_ : int
        Features seen in `fit`.
    feature_names_in_ : ndarray of shape (n_features,)
        Their names, where `X` had names."""

_SOFTMAX = " The softmax loss always does."
_SCORES = ", whose outputs are those of ``decision_function``"

N_STARTS = 50

# Entries of the samples that the nodes of branch and bound look at, over all outputs, and what one costs beside: 0.8 ms
# for 300 samples of 7 features, 0.17 ms for 40 of 3, so that it is some four seconds of a core.
_NODE_WORK, _NODE_OVERHEAD = 10_000_000, 300


class ReLUModel(NetworkModel, BaseEstimator):  # type: ignore[misc]
    """What the estimators with a given penalty and those that choose it share."""

    certificate: str
    tol: float
    max_rounds: int
    max_nodes: int | None
    max_seconds: float | None
    n_threads: int | None
    random_state: Any
    callback: Callback | None = None

    share_neurons: bool = False

    def _parts(self, n_outputs: int) -> list[slice]:
        """Return the outputs that are trained together: all where neurons are shared, else each by itself."""
        if as_flag(self.share_neurons, "share_neurons") or self._checked_loss().couples_outputs:
            return [slice(0, n_outputs)]
        return [slice(k, k + 1) for k in range(n_outputs)]

    def _fit(self, X: npt.NDArray[np.floating[Any]], targets: FloatArray, sample_weight: Any, tasks: FitTasks) -> None:
        weights, loss = checked_weights(sample_weight, X), self._checked_loss()
        samples = merge_samples(np.asarray(X, dtype=np.float64), targets, weights, loss, bias=bool(self.fit_bias))
        self._train(samples, samples.X, tasks)

    def _solve(
        self,
        samples: MergedSamples,
        X: FloatArray,
        beta: float,
        rng: np.random.Generator,
        tasks: FitTasks,
        warm_starts: Sequence[ReLUSolution] = (),
    ) -> None:
        loss = self._checked_loss()
        design, targets, settings = posed_samples(samples, X, loss, self.fit_intercept)
        deadline = None
        if self.max_seconds is not None:
            deadline = time.monotonic() + as_scalar(self.max_seconds, "max_seconds")
        max_nodes = _affordable_nodes(design, targets.shape[1]) if self.max_nodes is None else self.max_nodes
        solutions: list[ReLUSolution] = []
        tasks.begin("round")
        parts = self._parts(targets.shape[1])
        for k, part in enumerate(parts):
            seconds = None
            if deadline is not None:
                seconds = max(0.0, deadline - time.monotonic()) / (len(parts) - k)
            solutions.append(
                train_relu(
                    design,
                    targets[:, part],
                    beta,
                    loss=loss.name,
                    delta=loss.delta,
                    **settings,
                    warm_start=warm_starts[k] if warm_starts else None,
                    tol=self.tol,
                    certificate=self.certificate,
                    n_starts=N_STARTS,
                    max_rounds=self.max_rounds,
                    max_nodes=max_nodes,
                    max_seconds=seconds,
                    random_state=rng,
                    n_threads=self.n_threads,
                    callback=self._progress(tasks, samples, beta, solutions),
                )
            )
        self.network_ = joined_networks(solutions, samples.y.shape[1:], self.fit_bias)
        posed = problems(samples, X, loss, self.fit_intercept, parts)
        at_zero = sum(problem.objective(problem.at_zero) for problem in posed)
        self.certificate_ = _certificate(solutions, at_zero, samples.constant)
        self.dual_gap_ = self.certificate_.gap
        self.beta_ = beta
        self.n_active_ = self.network_.n_neurons
        self.n_iter_ = sum(solution.n_iter for solution in solutions)
        self.solutions_ = tuple(in_order_of_appearance(solution, samples) for solution in solutions)

    def _progress(
        self, tasks: FitTasks, samples: MergedSamples, beta: float, before: list[ReLUSolution]
    ) -> Callback | None:
        """Join the `callback` parameter and scikit-learn's callbacks, for the output after those `before`."""
        if not tasks.observed:
            return self.callback
        heard: list[ReLUSolution | None] = [None]

        def attributes() -> dict[str, Any]:
            solutions = [*before, *(solution for solution in heard if solution is not None)]
            network = joined_networks(solutions, samples.y.shape[1:], self.fit_bias)
            return {"network_": network, "beta_": beta, "n_active_": network.n_neurons}

        def progress(state: dict[str, Any]) -> bool:
            stop = False
            if state.get("finished") is not heard[0]:
                heard[0] = state["finished"]
                stop = tasks.next("round", attributes)
            if self.callback is not None:
                stop = bool(self.callback(state)) or stop
            return stop

        return progress


class _ReLU(ReLUModel):
    def __init__(
        self,
        *,
        loss: str = "squared",
        beta: float | None = None,
        beta_ratio: float = 1e-2,
        share_neurons: bool = False,
        fit_bias: bool = True,
        fit_intercept: bool = False,
        certificate: str = "all patterns",
        tol: float = 1e-4,
        max_rounds: int = 50,
        max_nodes: int | None = None,
        max_seconds: float | None = None,
        n_threads: int | None = None,
        random_state: Any = None,
        callback: Callback | None = None,
    ) -> None:
        self.loss = loss
        self.beta = beta
        self.beta_ratio = beta_ratio
        self.share_neurons = share_neurons
        self.fit_bias = fit_bias
        self.fit_intercept = fit_intercept
        self.certificate = certificate
        self.tol = tol
        self.max_rounds = max_rounds
        self.max_nodes = max_nodes
        self.max_seconds = max_seconds
        self.n_threads = n_threads
        self.random_state = random_state
        self.callback = callback

    def _train(self, samples: MergedSamples, X: FloatArray, tasks: FitTasks) -> None:
        rng = generator_of(self.random_state)
        if self.beta is not None:
            beta = as_scalar(self.beta, "beta", strict=True)
        else:
            parts = self._parts(int(np.prod(samples.y.shape[1:])))
            posed = problems(samples, X, self._checked_loss(), self.fit_intercept, parts)
            beta = as_scalar(self.beta_ratio, "beta_ratio", strict=True) * largest_penalty(posed, rng)
        self._solve(samples, X, beta, rng, tasks)


def posed_samples(
    samples: MergedSamples, X: FloatArray, loss: Loss, intercept: bool
) -> tuple[FloatArray, FloatArray, dict[str, Any]]:
    """Return design, targets (n, n_outputs), and weights and unpenalised columns of a program by their names.

    The cones do not change when samples are scaled, so that for the squared loss a weight is its root on the sample,
    its target and the column of ones.
    """
    targets = samples.y.reshape(X.shape[0], -1)
    if not loss.quadratic:
        return X, targets, {"sample_weight": samples.weights, "unpenalised": "intercept" if intercept else None}
    root = np.ones((X.shape[0], 1)) if samples.weights is None else np.sqrt(samples.weights)[:, None]
    return root * X, targets * root, {"unpenalised": root if intercept else None}


def problems(
    samples: MergedSamples, X: FloatArray, loss: Loss, intercept: bool, parts: Sequence[slice] | None = None
) -> Iterator[SquaredProblem]:
    """Yield the problems of parts of the outputs that are trained together, by default of each, without a penalty."""
    design, targets, posed = posed_samples(samples, X, loss, intercept)
    for part in [slice(k, k + 1) for k in range(targets.shape[1])] if parts is None else parts:
        yield pose_relu(design, targets[:, part], 0.0, loss=loss.name, delta=loss.delta, **posed)


def _affordable_nodes(design: FloatArray, n_outputs: int) -> int:
    """Return how many nodes the default budget has for each output: a node looks at every sample."""
    return max(1, _NODE_WORK // ((design.size + _NODE_OVERHEAD) * n_outputs))


def in_order_of_appearance(solution: ReLUSolution, samples: MergedSamples) -> ReLUSolution:
    """Return a solution over the samples in the order in which they first appeared."""
    return dataclasses.replace(
        solution,
        patterns=solution.patterns.reorder_samples(samples.appearance),
        dual=solution.dual[samples.appearance],
    )


def largest_penalty(parts: Iterable[SquaredProblem], rng: np.random.Generator) -> float:
    """Return the smallest penalty whose optimum is zero, as far as walks find it; 1 where every penalty's is."""
    largest = 0.0
    for problem in parts:
        pricer = Pricer(problem.X, 1, max_nodes=1, deadline=np.inf)
        starts, residual = rng.standard_normal((N_STARTS, problem.X.shape[1])), problem.residual_at_zero()
        if residual.shape[1] == 1:
            _, value = pricer.walk(np.ascontiguousarray(residual[:, 0]), starts, np.inf)
        else:
            value = float(pricer.climbed(residual, starts)[1].max())
        largest = max(largest, shifted(value, problem.X_order + problem.dual_order))
    return largest or 1.0


def joined_networks(solutions: list[ReLUSolution], outputs: tuple[int, ...], bias: bool) -> Network:
    """Return the networks of parts of the outputs as one; outputs without a solution are zero.

    `outputs` is the shape of a target: () or (n_outputs,).
    """
    layers = [balanced_layers(solution.blocks.astype(np.float64), solution.signs) for solution in solutions]
    W1 = np.vstack([first for first, _ in layers])
    constants = [solution.unpenalised_coef[0] for solution in solutions if solution.unpenalised_coef is not None]
    if not outputs:
        return Network(W1, layers[0][1], bias=bias, output_bias=constants[0] if constants else None)
    w2 = np.zeros((W1.shape[0], *outputs))
    row = column = 0
    for _, second in layers:
        second = as_columns(second)
        w2[row : row + second.shape[0], column : column + second.shape[1]] = second
        row, column = row + second.shape[0], column + second.shape[1]
    offset = np.concatenate([*map(np.atleast_1d, constants), np.zeros(outputs[0] - column)]) if constants else None
    return Network(W1, w2, bias=bias, output_bias=offset)


def _certificate(solutions: list[ReLUSolution], at_zero: float, constant: float) -> TrainingCertificate:
    """Add up the certificates of the outputs, with what equal samples with different targets cost every network."""
    upper = sum(solution.objective for solution in solutions) + constant
    gap = sum(solution.gap for solution in solutions)
    everywhere = all(solution.scope == "all patterns" for solution in solutions)
    return TrainingCertificate(
        scope="all patterns" if everywhere else "given patterns",
        lower_bound=sum(solution.dual_objective for solution in solutions) + constant,
        upper_bound=upper,
        gap=gap,
        relative_gap=gap / ((at_zero + constant) or 1.0),
        converged=all(solution.converged for solution in solutions),
    )


@with_parameters(delta=1.0, fit_intercept=True)
class ReLURegressor(NetworkRegression, _ReLU):
    __doc__ = f"""ReLU network for regression, trained towards the global optimum over all widths, with a certificate.

    Solves, over ReLU networks ``f(x) = b + sum_j (x . w_j)_+ a_j`` with any number of neurons,

    ``min  sum_j s_j loss(y_j, f(x_j)) + beta/2 sum_k (||w_k||^2 + a_k^2)``

    with the loss ``1/2 (f - y)^2`` by default and sample weights s_j (1 by default, and no 1/n), by
    :func:`train_relu`. Several outputs have a network each, trained one after the other, or with `share_neurons` one
    for all.

    `certificate_` says what was proved. For a few features the gap closes in seconds. For more the branch and bound
    stops at its limits, with a ConvergenceWarning and a gap that is large but true; the network is then one that no
    walk improved, or the last of `max_rounds`.

    Standardise the features: they are penalised through the weights. The target needs no centring, which is what the
    intercept b is for (0 without `fit_intercept`).

    Parameters
    ----------
    loss : {{"squared", "huber", "poisson"}}, default "squared"
        The losses of :func:`solve_relu`. "huber" is linear from an error of `delta` on, for targets with outliers.
        "poisson" is half the deviance of counts (targets that are not negative, one output) whose mean is exp(f);
        ``predict`` returns that mean.
    delta : float, default 1.0
        Error from which on the Huber loss is linear, in units of the target.
{
        _PARAMETERS.format(
            beta_ratio="1e-2",
            intercept=INTERCEPT.format(fit_intercept=True),
            network_note="",
            softmax="",
        )
    }

    Examples
    --------
    >>> import numpy as np
    >>> from cvxrelu import ReLURegressor
    >>> X = np.linspace(-1, 1, 21)[:, None]
    >>> model = ReLURegressor(random_state=0).fit(X, np.abs(X[:, 0]))
    >>> model.certificate_.scope, model.certificate_.converged
    ('all patterns', True)
    """


@with_parameters(loss="logistic", class_weight=None, beta_ratio=3e-2)
class ReLUClassifier(NetworkClassification, _ReLU):
    __doc__ = f"""ReLU network that classifies, trained towards the global optimum over all widths, with a certificate.

    Two classes have one network; more have one for each class against the rest,
    trained one after the other with the same penalty, and the largest score wins. With `share_neurons`, and with
    ``loss="softmax"``, there is one network with an output for each class. The program is that of
    :class:`ReLURegressor`, and so is what the certificate covers: the training objective, not the accuracy.

    Parameters
    ----------
    loss : {{"logistic", "softmax", "log_loss", "squared"}}, default "logistic"
        The probabilities of "logistic" for more than two classes are normalised to sum to 1. "softmax" is the
        cross-entropy of one network with an output for each class, whose certificate is the harder one: it is not the
        default for that. "log_loss" is "logistic" for two classes and "softmax" for more, as in
        :class:`GatedReLUClassifier`. "squared", on targets -1 and +1, has no ``predict_proba``.
{CLASS_WEIGHT}
{
        _PARAMETERS.format(
            beta_ratio="3e-2",
            intercept=INTERCEPT.format(fit_intercept=False),
            network_note=_SCORES,
            softmax=_SOFTMAX,
        )
    }
    classes_ : ndarray of shape (n_classes,)
        Labels, sorted.

    Examples
    --------
    >>> from cvxrelu import ReLUClassifier
    >>> X = [[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]
    >>> ReLUClassifier(random_state=0).fit(X, ["same", "other", "other", "same"]).predict(X).tolist()
    ['same', 'other', 'other', 'same']
    """
