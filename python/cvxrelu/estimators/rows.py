"""fit and predict of estimators for rows in chunks: memory maps, dask arrays and data frames.

The gated estimators are fitted by passes over the chunks. The others need all rows in one place, a kernel matrix or the
cones of all patterns, and bring them there. Predictions are made chunk by chunk for all of them.
"""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from sklearn.base import ClassifierMixin

from ..base.arrays import FloatArray, as_count, as_scalar
from ..base.memory import machine_memory
from ..gated.passes import BlockProgram
from ..networks.network import network_from_blocks
from ..patterns.sampling import sample_patterns
from ..rows.open import as_rows
from ..rows.passes import Chunk
from ..rows.predict import predict_rows
from ..rows.rows import Rows, is_dask
from .callbacks import FitTasks
from .labels import one_against_rest
from .training import GatedFit, telling_networks

Estimator = TypeVar("Estimator")


def fit_on_rows(estimator: Estimator, X: Any, y: Any, sample_weight: Any) -> Estimator:
    """Fit a GatedReLURegressor or GatedReLUClassifier; equal samples are not merged, and there is no warm start.

    scikit-learn's callbacks are not given the data, which may not fit in memory.
    """
    tasks = FitTasks(estimator, None, None, None)
    _fit(estimator, X, y, sample_weight, tasks)
    tasks.finish()
    return estimator


def _fit(estimator: Any, X: Any, y: Any, sample_weight: Any, tasks: FitTasks) -> None:
    if estimator.loss != "squared":
        raise ValueError(f'rows in chunks need loss="squared", not {estimator.loss!r}')
    if estimator.warm_start:
        raise ValueError("warm_start=True is not available for rows in chunks")
    classes = None
    if isinstance(estimator, ClassifierMixin):
        y, classes = _coded(y)
    rows = _described(estimator, X)
    design: Any = rows.with_ones() if estimator.fit_bias else rows
    settings: dict[str, Any] = {"gates": estimator.gates, "random_state": estimator.random_state}
    if isinstance(estimator.gates, str):
        settings["n_gates"] = as_count(estimator.n_gates, "n_gates")
    patterns = sample_patterns(design, **settings)
    program = BlockProgram(design, y, patterns, sample_weight=sample_weight, n_threads=estimator.n_threads)
    largest = program.beta_max()
    if estimator.beta is None:
        beta = as_scalar(estimator.beta_ratio, "beta_ratio", strict=True) * (largest or 1.0)
    else:
        beta = as_scalar(estimator.beta, "beta", strict=True)
    tol, max_iter = as_scalar(estimator.tol, "tol"), as_count(estimator.max_iter, "max_iter")
    tasks.begin("iteration")
    callback = telling_networks(estimator._progress(tasks), patterns.gates, estimator.fit_bias)
    solution = program.solve(beta, program.zero, tol, max_iter, callback)
    network = network_from_blocks(patterns.gates[solution.active], solution.blocks, bias=estimator.fit_bias)
    estimator._keep(GatedFit(network, solution, beta, largest, 0.0))
    if classes is not None:
        estimator.classes_ = classes


def gathered(*arrays: Any) -> tuple[Any, ...]:
    """Return arrays with dask collections among them computed here, after a look at whether there is room."""
    if not any(is_dask(array) for array in arrays):
        return arrays
    import dask

    size = sum(array.nbytes for array in arrays if is_dask(array) and hasattr(array, "nbytes"))
    if size > machine_memory():
        raise MemoryError(
            f"this estimator needs all rows in one place, {size / 2**30:.3g} GiB, but this machine has "
            f"{machine_memory() / 2**30:.3g} GiB: the gated estimators take rows in chunks"
        )
    return tuple(dask.compute(*arrays))


def evaluate_on_rows(estimator: Any, X: Any) -> npt.NDArray[np.floating]:
    """Return a model's values on rows: a dask array for dask collections, else an array."""
    rows = as_rows(X)
    if rows.shape[1] != estimator.n_features_in_:
        raise ValueError(
            f"X has {rows.shape[1]} features, but {type(estimator).__name__} is expecting {estimator.n_features_in_} "
            "features as input"
        )
    if hasattr(estimator, "network_"):  # what travels is the network alone
        return predict_rows(rows, estimator.network_)
    width = np.ndim(estimator._evaluate(np.zeros((1, rows.shape[1]))))
    values: npt.NDArray[np.floating] = rows.assemble(rows.chunks, _evaluated, estimator)
    return values[:, 0] if width == 1 else values


def _evaluated(chunk: Chunk, estimator: Any) -> FloatArray:
    values: FloatArray = estimator._evaluate(chunk.X)
    return values.reshape(chunk.X.shape[0], -1)


def _described(estimator: Any, X: Any) -> Rows:
    rows = as_rows(X, estimator.n_threads)
    estimator.n_features_in_ = rows.shape[1]
    if hasattr(X, "columns"):
        estimator.feature_names_in_ = np.asarray(list(X.columns), dtype=object)
    return rows


def _coded(y: Any) -> tuple[Any, Any]:
    """Return targets -1 and +1 for labels, and the labels."""
    if not is_dask(y):
        classes, labels = np.unique(np.asarray(y), return_inverse=True)
        _require_two(classes)
        return one_against_rest(labels, classes.size), classes
    y = y.to_dask_array(lengths=True) if hasattr(y, "to_dask_array") else y
    pieces = y.map_blocks(lambda block: np.unique(block), dtype=y.dtype)
    import dask

    classes = np.unique(np.concatenate(dask.compute(*pieces.to_delayed().ravel())))
    _require_two(classes)

    def code(block: Any) -> Any:
        return one_against_rest(np.searchsorted(classes, block), classes.size)

    if classes.size == 2:
        return y.map_blocks(code, dtype=np.float64), classes
    return y.map_blocks(code, dtype=np.float64, new_axis=1, chunks=(*y.chunks, (classes.size,))), classes


def _require_two(classes: Any) -> None:
    if classes.size < 2:
        raise ValueError(f"y has one class only, {classes[0]!r}: a classifier needs two or more")
