"""scikit-learn estimators: ReLU networks whose penalty is chosen by cross-validation along warm-started paths."""

from __future__ import annotations

import time
import warnings
from typing import Any

import numpy as np
import numpy.typing as npt
from joblib import delayed

from ..base.arrays import FloatArray, append_ones, as_scalar
from ..exceptions import ConvergenceWarning
from ..gated.losses import Loss
from ..relu.solution import ReLUSolution
from ..relu.train import train_relu
from .callbacks import FitTasks, folds_in_parallel
from .class_weights import CLASS_WEIGHT
from .classification import NetworkClassification
from .fitting import (
    INTERCEPT,
    NetworkRegression,
    checked_weights,
    generator_of,
)
from .merging import MergedSamples, merge_samples
from .parameters import with_parameters
from .relu import (
    N_STARTS,
    ReLUModel,
    in_order_of_appearance,
    joined_networks,
    largest_penalty,
    posed_samples,
    problems,
)
from .selection import MEAN_OF_FOLDS, SCORING, PathSearch, Selection

_SCORING = SCORING.format(mean=MEAN_OF_FOLDS, error="loss, with the weights of the samples")

_PARAMETERS = """\
{scoring}
    n_betas : int, default 10
        Penalties to try: a geometric progression from the smallest one whose optimum is zero, found for each training
        part by walks, down to `beta_min_ratio` times that.
    beta_min_ratio : float, default 1e-3
        End of the progression.
    cv : int, splitter or iterable of (train, test), default None
        Folds as scikit-learn understands them; None is five. Numbers of folds and splitters divide the samples whose
        weight is not zero.
    n_jobs : int, optional
        Folds at a time, by joblib and whatever backend it has been given. Each uses `n_threads` threads.
    share_neurons : bool, default False
        Train one network for all outputs, whose neurons serve each of them, as in :class:`ReLURegressor`, in the folds
        too.
    fit_bias : bool, default True
        Append a column of ones, inside the penalty.
{intercept}
    certificate : {{"all patterns", "given patterns"}}, default "all patterns"
        What the certificate of the final network covers, as in :class:`ReLURegressor`. The paths of the folds, whose
        predictions alone count, are trained over the patterns that walks find.
    tol : float, default 1e-4
        Duality gap at which each network is finished, relative to the objective of the zero network.
    max_rounds : int, default 20
        Most rounds of looking for patterns, for each network and output.
    max_nodes : int, optional
        Most nodes of branch and bound for the final network, by default as in :class:`ReLURegressor`.
    max_seconds : float, optional
        Seconds for the path of each fold, for that of all samples, and for the final network; what is at work then is
        brought to its end. By default there is no limit.
    n_threads : int, optional
        Threads; by default what OpenMP would take.
    random_state : None, int, RandomState or Generator, default None
        Source of the first patterns and of the starts of the walks.

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
    path_ : tuple of tuple of ReLUSolution
        Networks over all samples, with certificates over the patterns that walks found: for each penalty from the
        largest to the one that was chosen, a solution for each output, or one for all where they share neurons or the
        loss is softmax. The final network starts from the last.
    beta_, network_, certificate_, dual_gap_, n_active_, n_iter_, solutions_
        Of the network trained on all samples with that penalty, as in :class:`ReLURegressor`.
    n_features_in_ : int
        Features seen in `fit`.
    feature_names_in_ : ndarray of shape (n_features,)
        Their names, where `X` had names."""


class _ReLUCV(PathSearch, ReLUModel):
    def __init__(
        self,
        *,
        loss: str = "squared",
        scoring: Any = None,
        n_betas: int = 10,
        beta_min_ratio: float = 1e-3,
        cv: Any = None,
        n_jobs: int | None = None,
        share_neurons: bool = False,
        fit_bias: bool = True,
        fit_intercept: bool = False,
        certificate: str = "all patterns",
        tol: float = 1e-4,
        max_rounds: int = 20,
        max_nodes: int | None = None,
        max_seconds: float | None = None,
        n_threads: int | None = None,
        random_state: Any = None,
    ) -> None:
        self.loss = loss
        self.scoring = scoring
        self.n_betas = n_betas
        self.beta_min_ratio = beta_min_ratio
        self.cv = cv
        self.n_jobs = n_jobs
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

    def _search(
        self,
        selection: Selection,
        X: npt.NDArray[np.floating[Any]],
        targets: FloatArray,
        sample_weight: Any,
        tasks: FitTasks,
    ) -> None:
        weights, loss = checked_weights(sample_weight, X), self._checked_loss()
        ratios = self._ratios()
        data = np.asarray(X, dtype=np.float64)
        if self.fit_bias:
            data = append_ones(data)
        seed = int(generator_of(self.random_state).integers(2**63))  # the same starts for every fold
        settings = {
            "loss": loss,
            "parts": self._parts(int(np.prod(targets.shape[1:]))),
            "tol": self.tol,
            "max_rounds": self.max_rounds,
            "n_threads": self.n_threads,
            "intercept": self.fit_intercept,
            "max_seconds": None if self.max_seconds is None else as_scalar(self.max_seconds, "max_seconds"),
        }

        def merged(rows: Any) -> MergedSamples:
            return merge_samples(data[rows], targets[rows], None if weights is None else weights[rows], loss)

        folds = selection.folds(X, targets, weights)
        jobs = [delayed(held_out_values)(merged(train), ratios, data[test], seed, settings) for train, test in folds]
        values = folds_in_parallel(jobs, self.n_jobs, tasks)
        held_out = [(test, at) for (_, test), at in zip(folds, values, strict=True)]
        best = self._choose(selection, ratios, (X, targets, weights), held_out)

        samples = merged(slice(None))
        tasks.begin("path")
        path, beta = warm_started_path(samples, ratios[: best + 1], seed, settings)
        tasks.end()
        self.path_ = tuple(tuple(in_order_of_appearance(point, samples) for point in points) for points in path)
        self._solve(samples, samples.X, beta, np.random.default_rng(seed), tasks, warm_starts=path[-1])


def warm_started_path(
    samples: MergedSamples, ratios: FloatArray, seed: int, settings: dict[str, Any]
) -> tuple[list[list[ReLUSolution]], float]:
    """Train networks over the patterns that walks find, each from the one before, and return the last penalty, too.

    A point of the path is a list with a solution for each output, or one for all that are trained together.
    """
    rng = np.random.default_rng(seed)
    loss: Loss = settings["loss"]
    parts, intercept, seconds = (settings[name] for name in ("parts", "intercept", "max_seconds"))
    largest = largest_penalty(problems(samples, samples.X, loss, intercept, parts), rng)
    design, targets, posed = posed_samples(samples, samples.X, loss, intercept)
    posed |= {"loss": loss.name, "delta": loss.delta}
    how = {name: settings[name] for name in ("tol", "max_rounds", "n_threads")} | posed
    deadline = None if seconds is None else time.monotonic() + seconds
    path: list[list[ReLUSolution]] = []
    for step, ratio in enumerate(ratios):
        point = []
        for k, part in enumerate(parts):
            if deadline is not None:
                left = max(0.0, deadline - time.monotonic())
                seconds = left / ((ratios.size - step) * len(parts) - k)
            with warnings.catch_warnings():
                # What it is worth shows on the part held out, and the final network has a certificate of its own.
                warnings.simplefilter("ignore", ConvergenceWarning)
                point.append(
                    train_relu(
                        design,
                        targets[:, part],
                        ratio * largest,
                        warm_start=path[-1][k] if path else None,
                        certificate="given patterns",
                        n_starts=N_STARTS,
                        random_state=rng,
                        max_seconds=seconds,
                        **how,
                    )
                )
        path.append(point)
    return path, float(ratios[-1] * largest)


def held_out_values(
    samples: MergedSamples, ratios: FloatArray, Z: FloatArray, seed: int, settings: dict[str, Any]
) -> FloatArray:
    """Return the values of a path on samples held out: (n_betas, n_samples[, n_outputs])."""
    path, _ = warm_started_path(samples, ratios, seed, settings)
    networks = [joined_networks(point, samples.y.shape[1:], False) for point in path]
    return np.asarray([network.predict(Z, n_threads=settings["n_threads"]) for network in networks])


@with_parameters(delta=1.0, fit_intercept=True)
class ReLURegressorCV(NetworkRegression, _ReLUCV):
    __doc__ = f"""ReLU network for regression whose penalty is chosen by cross-validation.

    The program is that of :class:`ReLURegressor`. For each fold a path of penalties is trained, each network from the
    one before; the penalty that is best on the parts held out, by default by its loss there, trains the final network
    on all samples, which has a certificate.

    Parameters
    ----------
    loss : {{"squared", "huber", "poisson"}}, default "squared"
        As in :class:`ReLURegressor`.
    delta : float, default 1.0
        Error from which on the Huber loss is linear, in units of the target.
{_PARAMETERS.format(scoring=_SCORING, intercept=INTERCEPT.format(fit_intercept=True))}

    Examples
    --------
    >>> import numpy as np
    >>> from cvxrelu import ReLURegressorCV
    >>> X = np.linspace(-1, 1, 30)[:, None]
    >>> model = ReLURegressorCV(n_betas=4, cv=3, random_state=0).fit(X, np.abs(X[:, 0]))
    >>> model.loss_path_.shape, model.certificate_.scope
    ((4, 3), 'all patterns')
    """


@with_parameters(loss="logistic", class_weight=None)
class ReLUClassifierCV(NetworkClassification, _ReLUCV):
    __doc__ = f"""ReLU network that classifies and whose penalty is chosen by cross-validation.

    The program is that of :class:`ReLUClassifier`; the penalty is by default the one with the smallest loss of the
    scores on the parts held out, which is a steadier measure than accuracy.

    Parameters
    ----------
    loss : {{"logistic", "softmax", "log_loss", "squared"}}, default "logistic"
        As in :class:`ReLUClassifier`.
{CLASS_WEIGHT}
{_PARAMETERS.format(scoring=_SCORING, intercept=INTERCEPT.format(fit_intercept=False))}
    classes_ : ndarray of shape (n_classes,)
        Labels, sorted.
    """
