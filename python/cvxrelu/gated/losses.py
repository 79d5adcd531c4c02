"""Losses of the gated and of the ReLU program: a class for each, known by its name to the solvers and the estimators.

A class has what Python needs to know of a loss. What the solver needs, values, gradients and conjugates, is the struct
of the core that `core_name` says (`cpp/cvxrelu/losses/losses.hpp`), and `tests/reference/losses.py` is the plain twin.
Every loss is zero where the prediction is perfect.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from ..base.arrays import FloatArray, as_scalar

Floats = npt.NDArray[np.floating[Any]]


class Loss(ABC):
    """What there is to know of a loss beside the core's struct.

    Attributes
    ----------
    name : str
        What users call it.
    core_name : str
        What the core calls it.
    task : {"regression", "classification", "both"}
        Which estimators have it.
    quadratic : bool
        Whether it is ``1/2 (y - f)^2``: sample weights are then folded into the rows, and the nuclear norm and
        rows that are elsewhere are available.
    scalable : bool
        Whether powers of two may be taken out of the targets.
    multi_output : bool
        Whether regression takes several outputs.
    positive_targets : bool
        Whether targets must not be negative.
    has_probabilities : bool
        Whether scores have probabilities.
    couples_outputs : bool
        Whether it is no sum over the outputs, which ReLU networks for each output need.
    means_suffice : bool
        Whether equal samples may be merged to the mean of their targets, which changes the loss by a constant.
    reported_as : float
        Factor with which cross-validation reports held-out losses.
    delta : float
        The parameter that the core is given; 1 for losses without one.
    """

    name: ClassVar[str]
    core_name: ClassVar[str]
    task: ClassVar[str]
    quadratic: ClassVar[bool] = False
    scalable: ClassVar[bool] = False
    multi_output: ClassVar[bool] = True
    positive_targets: ClassVar[bool] = False
    has_probabilities: ClassVar[bool] = False
    couples_outputs: ClassVar[bool] = False
    means_suffice: ClassVar[bool] = True
    reported_as: ClassVar[float] = 1.0
    delta: float = 1.0

    @classmethod
    def with_parameters(cls, delta: Any) -> Loss:
        """Return the loss with those of a function's parameters that it has."""
        return cls()

    def scaled(self, factor: float) -> Loss:
        """Return the loss on targets that were divided by a factor; for those that are `scalable`."""
        return self

    def core_targets(self, targets: FloatArray) -> FloatArray:
        """Return targets (n_samples, n_outputs) in the core's terms, after checking that the loss takes them."""
        return targets

    def of_samples(self, targets: FloatArray, values: FloatArray) -> FloatArray:
        """Return the loss of each sample, summed over outputs, for targets in the core's terms."""
        Y, F = targets.reshape(targets.shape[0], -1), values.reshape(values.shape[0], -1)
        return np.asarray(self._entries(Y, F).sum(axis=1))

    @abstractmethod
    def _entries(self, Y: FloatArray, F: FloatArray) -> FloatArray:
        """The loss, whose sum over outputs is meant."""

    def prediction(self, values: Floats) -> Floats:
        """Return what a regressor predicts for values of the network."""
        return values

    def labels_as_targets(self, labels: npt.NDArray[np.integer], n_classes: int) -> FloatArray:
        """Return targets for labels 0, 1, ...: one column for two classes, else one for each class."""
        members = labels == 1 if n_classes == 2 else labels[:, None] == np.arange(n_classes)
        return np.where(members, 1.0, -1.0)

    def scores(self, values: Floats, n_classes: int) -> Floats:
        """Return the scores of classes for values of the network: a column for two classes, else one for each."""
        return values

    def probabilities(self, values: Floats) -> Floats:
        """Return probabilities of the classes, (n_samples, n_classes), for values of the network."""
        raise AttributeError(f"the {self.name} loss has no probabilities")


LOSSES: dict[str, type[Loss]] = {}


def register_loss(loss: type[Loss]) -> type[Loss]:
    """Make a loss known by its name to the solvers and the estimators; usable as a decorator."""
    LOSSES[loss.name] = loss
    return loss


def loss_type(name: Any) -> type[Loss]:
    """Return the class of a loss by its name; of a name that is none, for a fit to refuse, that of the square loss."""
    return LOSSES.get(name, Squared) if isinstance(name, str) else Squared


def as_loss(name: Any, delta: Any = 1.0, task: str | None = None, also: str | None = None) -> Loss:
    """Return the loss of this name, one of those for a task where it is given.

    `also` is a name that the caller takes beside them, for the message.
    """
    known = {key: loss for key, loss in LOSSES.items() if task is None or loss.task in (task, "both")}
    if not (isinstance(name, str) and name in known):
        names = [*([] if also is None else [also]), *known]
        raise ValueError(f"loss must be one of {', '.join(names)}, not {name!r}")
    return known[name].with_parameters(delta)


@register_loss
class Squared(Loss):
    """``1/2 (y - f)^2``."""

    name = core_name = "squared"
    task = "both"
    quadratic = scalable = True
    reported_as = 2.0  # as the square error, as everybody does

    def _entries(self, Y: FloatArray, F: FloatArray) -> FloatArray:
        return np.asarray(0.5 * (Y - F) ** 2)


@register_loss
class Logistic(Loss):
    """``KL(y || 1 / (1 + exp(-f)))`` for labels -1 and +1, or probabilities y of the positive class."""

    name = core_name = "logistic"
    task = "classification"
    has_probabilities = True

    def core_targets(self, targets: FloatArray) -> FloatArray:
        if (np.abs(targets) == 1).all():
            return np.where(targets > 0, 1.0, 0.0)
        what = "labels -1 and +1, or probabilities between 0 and 1"
        return _required((targets >= 0) & (targets <= 1), targets, what, self.name)

    def _entries(self, Y: FloatArray, F: FloatArray) -> FloatArray:
        return np.logaddexp(0.0, F) - Y * F + _x_log_x(Y) + _x_log_x(1 - Y)

    def labels_as_targets(self, labels: npt.NDArray[np.integer], n_classes: int) -> FloatArray:
        return (super().labels_as_targets(labels, n_classes) > 0).astype(np.float64)

    def probabilities(self, values: Floats) -> Floats:
        """As for any loss; more than two classes, each against the rest, are normalised to sum to 1."""
        if values.ndim == 1:
            values = np.stack([-values, values], axis=1)
        return _normalised(-np.logaddexp(0.0, -values))


@register_loss
class Softmax(Loss):
    """``KL(y || softmax(f))`` for one-hot rows y, or rows of probabilities."""

    name = core_name = "softmax"
    task = "classification"
    couples_outputs = True
    has_probabilities = True

    def core_targets(self, targets: FloatArray) -> FloatArray:
        if targets.shape[1] < 2:
            raise ValueError(
                "the softmax loss needs y of shape (n_samples, n_classes), one-hot rows, with 2 classes or more"
            )
        _required(targets >= 0, targets, "one-hot rows (or rows of probabilities)", self.name)
        sums = targets.sum(axis=1)
        bad = np.flatnonzero(np.abs(sums - 1) > 1e-9)
        if bad.size:
            raise ValueError(
                f"the softmax loss needs rows that sum to 1, but those of y[{bad[0]}] sum to {sums[bad[0]]}"
            )
        return targets

    def _entries(self, Y: FloatArray, F: FloatArray) -> FloatArray:
        return np.asarray(Y * (np.logaddexp.reduce(F, axis=1, keepdims=True) - F) + _x_log_x(Y))

    def labels_as_targets(self, labels: npt.NDArray[np.integer], n_classes: int) -> FloatArray:
        return np.asarray(np.eye(n_classes)[labels])

    def scores(self, values: Floats, n_classes: int) -> Floats:
        return np.asarray(values[:, 1] - values[:, 0]) if n_classes == 2 else values

    def probabilities(self, values: Floats) -> Floats:
        return _normalised(values)


@register_loss
class Huber(Loss):
    """``1/2 (y - f)^2`` up to an error of `delta`, linear beyond."""

    name = core_name = "huber"
    task = "regression"
    scalable = True
    means_suffice = False  # only where the targets are equal as well

    def __init__(self, delta: float = 1.0) -> None:
        self.delta = as_scalar(delta, "delta", strict=True)

    @classmethod
    def with_parameters(cls, delta: Any) -> Loss:
        return cls(delta)

    def scaled(self, factor: float) -> Loss:
        return type(self)(self.delta / factor)

    def _entries(self, Y: FloatArray, F: FloatArray) -> FloatArray:
        clipped = np.clip(Y - F, -self.delta, self.delta)
        return np.asarray(clipped * (Y - F - 0.5 * clipped))


@register_loss
class Poisson(Loss):
    """Half the deviance of counts y whose mean is exp(f)."""

    name = core_name = "poisson"
    task = "regression"
    multi_output = False
    positive_targets = True

    def core_targets(self, targets: FloatArray) -> FloatArray:
        return _required(targets >= 0, targets, "counts that are not negative", self.name)

    def _entries(self, Y: FloatArray, F: FloatArray) -> FloatArray:
        return np.exp(F) - Y * F + _x_log_x(Y) - Y

    def prediction(self, values: Floats) -> Floats:
        return np.exp(values)


def _x_log_x(x: FloatArray) -> FloatArray:
    return x * np.log(np.where(x > 0, x, 1.0))


def _normalised(logs: Floats) -> Floats:
    """Return probabilities in rows from their logarithms up to a constant in each row."""
    law = np.exp(logs - logs.max(axis=1, keepdims=True))
    return np.asarray(law / law.sum(axis=1, keepdims=True))


def _required(good: npt.NDArray[np.bool_], targets: FloatArray, what: str, loss: str) -> FloatArray:
    """Return targets that are good everywhere, or name the first that is not."""
    bad = np.argwhere(~good)
    if bad.size:
        sample, output = (int(k) for k in bad[0])
        where = f"y[{sample}]" if targets.shape[1] == 1 else f"y[{sample}, {output}]"
        raise ValueError(f"the {loss} loss needs {what}, but {where} is {targets[sample, output]}")
    return targets
