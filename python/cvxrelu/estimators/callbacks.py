"""The tasks of a fit, told to scikit-learn's callbacks: progress bars, scoring monitors, early stopping."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from joblib import Parallel

__all__ = ["CallbackSupportMixin", "FitTasks", "folds_in_parallel", "with_callbacks"]

try:
    from sklearn.callback import CallbackSupportMixin, with_callbacks
except ImportError:  # scikit-learn < 1.9

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """This scikit-learn has no callbacks; the `callback` parameters of the estimators work everywhere."""

    def with_callbacks(method: Callable[..., Any]) -> Callable[..., Any]:
        """Return the method as it is."""
        return method


Attributes = Callable[[], dict[str, Any]]


class FitTasks:
    """One fit and its steps, one after the other; nothing is done where no callback is set.

    Attributes of an estimator that is fitted as far as it has come are functions, so that they are made only for
    callbacks that ask for them.
    """

    def __init__(self, estimator: Any, X: Any, y: Any, sample_weight: Any) -> None:
        self.observed = bool(getattr(estimator, "_skl_callbacks", None))
        self._estimator = estimator
        self._data: dict[str, Any] = {"estimator": estimator, "X": X, "y": y}
        if sample_weight is not None:
            self._data["metadata"] = {"sample_weight": sample_weight}
        self._step: Any = None
        if self.observed:
            self._fit = estimator._init_callback_context(max_subtasks=None)
            self._fit.call_on_fit_task_begin(**self._data)

    def begin(self, name: str) -> None:
        """Begin a step."""
        if self.observed:
            self._step = self._fit.subcontext(task_name=name)
            self._step.call_on_fit_task_begin(**self._data)

    def end(self, attributes: Attributes | None = None) -> bool:
        """End the step; returns whether a callback wants to stop after it."""
        if not self.observed:
            return False
        step, self._step = self._step, None
        return bool(step.call_on_fit_task_end(**self._data, reconstruction_attributes=attributes))

    def next(self, name: str, attributes: Attributes | None = None) -> bool:
        """End the step and begin another of the same kind; returns whether a callback wants to stop."""
        stop = self.end(attributes)
        self.begin(name)
        return stop

    def finish(self) -> None:
        """End the fit, whose attributes the estimator has; a step that was begun for nothing ends, too."""
        if self.observed:
            if self._step is not None:
                self._step.call_on_fit_task_end(estimator=self._estimator)
            self._fit.call_on_fit_task_end(**self._data, reconstruction_attributes=dict)


def folds_in_parallel(jobs: list[Any], n_jobs: int | None, tasks: FitTasks) -> list[Any]:
    """Return the results of delayed calls, one for each fold; callbacks hear of a fold when its result is there."""
    # Not every backend of joblib, nor every version, hands out results one by one: asked for where somebody listens.
    one_by_one = {"return_as": "generator"} if tasks.observed else {}
    results = Parallel(n_jobs=n_jobs, **one_by_one)(jobs)
    done = []
    tasks.begin("fold")
    for result in results:
        done.append(result)
        if len(done) < len(jobs):
            tasks.next("fold")
    tasks.end()
    return done
