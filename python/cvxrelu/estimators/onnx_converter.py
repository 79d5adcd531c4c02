"""Fitted estimators as parts of ONNX graphs, for skl2onnx. Imported by an export only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from skl2onnx import update_registered_converter
from skl2onnx._parse import _parse_sklearn as declare  # the function itself; the public one ends a graph
from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType, Int64TensorType, StringTensorType
from sklearn.base import is_classifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils.validation import check_is_fitted

from ..gated.losses import Loss, Squared
from ..kernels.onnx_kernel import add_ntk
from ..networks.export import layers
from ..networks.onnx_graph import LEAST_OPSET, Graph, add_network
from .exponential_weights import ExponentialWeights
from .fitting import NetworkModel
from .normal_scores import NormalScores


def register(estimator: type) -> None:
    """Register a class of estimators or of transformers."""
    if issubclass(estimator, NormalScores):
        update_registered_converter(estimator, "CvxreluNormalScores", _set_type_of_scores, _add_scores)
        return
    # Pipelines ask for a ZipMap where nobody else does: probabilities are an array all the same.
    options = {"zipmap": [True, False], "raw_scores": [True, False]} if is_classifier(estimator()) else None
    add = _add_average if issubclass(estimator, ExponentialWeights) else _add_estimator
    update_registered_converter(
        estimator, f"Cvxrelu{estimator.__name__}", _set_types, add, parser=_declare, options=options
    )


def _declare(scope: Any, model: Any, inputs: list[Any], custom_parsers: Any = None) -> list[Any]:
    """Declare the outputs of an estimator."""
    operator = scope.declare_local_operator(f"Cvxrelu{type(model).__name__}", model)
    operator.inputs = inputs
    for name, kind in _types(scope, model, inputs).items():
        operator.outputs.append(scope.declare_local_variable(name, kind))
    return list(operator.outputs)


def _set_types(operator: Any) -> None:
    """Set the types of outputs, which may have been declared by an estimator around this one."""
    types = _types(operator.scope_inst, operator.raw_operator, operator.inputs)
    for variable, kind in zip(operator.outputs, types.values(), strict=False):
        variable.type = kind


def _types(scope: Any, model: Any, inputs: list[Any]) -> dict[str, Any]:
    """Return the type of every output, in the order of `_decisions`."""
    check_is_fitted(model)
    number = FloatTensorType if _dtype(inputs) == np.float32 else DoubleTensorType
    if not is_classifier(model):
        return {"variable": number([None, None if isinstance(model, ExponentialWeights) else _n_outputs(model)])}
    n_classes = len(model.classes_)
    several = isinstance(model.classes_, list)
    label = Int64TensorType if several or _labels(model.classes_).dtype != object else StringTensorType
    types = {"label": label([None, n_classes] if several else [None])}
    if _has_raw_scores(scope, model):
        return types | {"scores": number([None, n_classes])}
    if hasattr(model, "predict_proba"):
        types["probabilities"] = number([None, n_classes])
    return types | {"scores": number([None] if n_classes == 2 and not several else [None, n_classes])}


def _add_estimator(scope: Any, operator: Any, container: Any) -> None:
    """Add the graph of an estimator to that of all."""
    model = operator.raw_operator
    graph = _graph(scope, container, model)
    X = graph.node("Concat", *(part.full_name for part in operator.inputs), axis=1)
    # In float64, as `predict`, which rounds the values to the type of the samples before it decides by them.
    dtype = _dtype(operator.inputs)
    values = graph.cast(graph.cast(_add_values(graph, graph.cast(X, np.float64), model), dtype), np.float64)
    if is_classifier(model):
        label, *numbers = _decisions(graph, values, model, raw=_has_raw_scores(scope, model))
        results = [label, *(graph.cast(number, dtype) for number in numbers)]
    else:
        loss = type(model._checked_loss()) if isinstance(model, NetworkModel) else Squared
        results = [graph.cast(_mean(graph, values, loss), dtype)]
    for variable, result in zip(operator.outputs, results, strict=False):  # an estimator around it may want fewer
        graph.end(result, variable.full_name)
    _extend(container, graph)


def _graph(scope: Any, container: Any, model: Any) -> Graph:
    if container.target_opset < LEAST_OPSET:
        raise ValueError(f"target_opset must be at least {LEAST_OPSET} for {type(model).__name__}")
    return Graph(scope.get_unique_variable_name)


def _add_average(scope: Any, operator: Any, container: Any) -> None:
    """Add the weighted mean of the members, whose own graphs skl2onnx adds where they are declared."""
    model, dtype = operator.raw_operator, _dtype(operator.inputs)
    graph = _graph(scope, container, model)
    terms = []
    for weight, member in zip(model.weights_, model.estimators_, strict=True):
        if weight == 0:
            continue
        if is_classifier(model):
            values = _add_scores_of_member(graph, scope, operator.inputs, container, member, model.classes_)
        else:
            values = graph.node("Flatten", _output_of_member(graph, scope, operator.inputs, member, 0))
        terms.append(graph.node("Mul", values, graph.constant(weight)))
    values = graph.node("Sum", *terms)
    labels, numbers = [], [values]
    if is_classifier(model):
        index = graph.node("ArgMax", values, axis=1, keepdims=0)
        labels = [graph.node("Gather", graph.constant(_labels(model.classes_), "classes"), index)]
        if not _has_raw_scores(scope, model):
            if model.classes_.size == 2:
                numbers = [graph.node("Squeeze", _column(graph, values, 1), graph.constant([1], "axes"))]
            if hasattr(model, "predict_proba"):
                half = graph.constant(0.5)
                numbers.insert(0, graph.node("Add", graph.node("Mul", values, half), half))
    results = [*labels, *(graph.cast(number, dtype) for number in numbers)]
    for variable, result in zip(operator.outputs, results, strict=False):  # an estimator around it may want fewer
        graph.end(result, variable.full_name)
    _extend(container, graph)


def _output_of_member(graph: Graph, scope: Any, inputs: list[Any], member: Any, index: int) -> str:
    """Return an output of a member in float64."""
    steps = list(member.named_steps.values()) if isinstance(member, Pipeline) else [member]
    for step in steps:
        if isinstance(step, FunctionTransformer) and step.func is np.tanh:  # skl2onnx knows no function
            values = graph.node("Tanh", graph.node("Concat", *(part.full_name for part in inputs), axis=1))
            inputs = [scope.declare_local_variable("tanh", type(inputs[0].type)())]
            inputs[0].init_status(is_fed=True)
            graph.end(values, inputs[0].full_name)
        else:
            inputs = declare(scope, step, inputs)
    for variable in inputs:
        variable.init_status(is_leaf=False)  # a search takes those of its estimator for outputs of the whole graph
    return graph.cast(inputs[index].full_name, np.float64)


def _add_scores_of_member(
    graph: Graph, scope: Any, inputs: list[Any], container: Any, member: Any, classes: npt.NDArray[Any]
) -> str:
    """Add scores for all classes, -1 for those that a member does not know; of probabilities p they are 2 p - 1."""
    raw = not hasattr(member, "predict_proba")
    last = member
    while isinstance(last, Pipeline) or hasattr(last, "best_estimator_"):
        last = last[-1] if isinstance(last, Pipeline) else last.best_estimator_
    for holder in (scope, container):
        holder.add_options(id(last), {"zipmap": False} | ({"raw_scores": True} if raw else {}))
    values = _output_of_member(graph, scope, inputs, member, 1)
    known = np.eye(classes.size)[np.searchsorted(classes, member.classes_)]
    return (
        graph.linear(values, known, known.sum(axis=0) - 1)
        if raw
        else graph.linear(values, 2 * known, -np.ones(classes.size))
    )


def _set_type_of_scores(operator: Any) -> None:
    model = operator.raw_operator
    check_is_fitted(model)
    number = FloatTensorType if _dtype(operator.inputs) == np.float32 else DoubleTensorType
    operator.outputs[0].type = number([None, model.get_feature_names_out().size])


def _add_scores(scope: Any, operator: Any, container: Any) -> None:
    """Add scores as sums of ramps, one between every two knots, from 0 at the lower one to 1 at the upper one."""
    model, dtype = operator.raw_operator, _dtype(operator.inputs)
    graph = Graph(scope.get_unique_variable_name)
    X = graph.node("Concat", *(part.full_name for part in operator.inputs), axis=1)
    wide = graph.cast(X, np.float64)
    zero, one = graph.constant(0.0), graph.constant(1.0)
    columns = []
    for k, (knots, scores) in enumerate(zip(model.knots_, model.scores_, strict=True)):
        after = graph.node("Sub", _column(graph, wide, k), graph.constant(knots[:-1]))
        ramps = graph.node("Div", after, graph.constant(np.diff(knots)))
        ramps = graph.node("Min", graph.node("Max", ramps, zero), one)
        columns.append(graph.linear(ramps, np.diff(scores)[:, None], scores[:1]))
    result = graph.cast(graph.node("Concat", *columns, axis=1), dtype)
    graph.end(graph.node("Concat", X, result, axis=1) if model.keep else result, operator.outputs[0].full_name)
    _extend(container, graph)


def _extend(container: Any, graph: Graph) -> None:
    container.node_domain_version_pair_sets.add(("", LEAST_OPSET))
    container.nodes.extend(graph.nodes)
    container.initializers.extend(graph.constants)


def _n_outputs(model: Any) -> int:
    last = model.dual_coef_ if _is_kernel_machine(model) else model.network_.w2
    return 1 if last.ndim == 1 else int(last.shape[1])


def _is_kernel_machine(model: Any) -> bool:
    return hasattr(model, "dual_coef_")


def _add_values(graph: Graph, X: str, model: Any) -> str:
    """Add what the estimator evaluates in float64, a column for each output."""
    if _is_kernel_machine(model):
        design = graph.with_ones(X, model.n_features_in_) if model.fit_bias else X
        kernel = add_ntk(graph, design, model.X_fit_, model.kind, model.depth)
        return graph.linear(
            kernel, model.dual_coef_.reshape(model.X_fit_.shape[0], -1), np.atleast_1d(model.intercept_)
        )
    network = model._predicting_network()
    values = add_network(graph, X, layers(network))
    return graph.column(values) if network.w2.ndim == 1 else values


def _has_raw_scores(scope: Any, model: Any) -> bool:
    options = scope.get_options(model, {"raw_scores": False}, fail=False)
    return bool(options["raw_scores"])


def _dtype(inputs: list[Any]) -> type[np.floating[Any]]:
    return np.float32 if all(isinstance(part.type, FloatTensorType) for part in inputs) else np.float64


def _labels(classes: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return labels as ONNX has them: strings, or integers for those that are integers, bools or whole numbers."""
    if classes.dtype.kind in "OUT" and all(isinstance(label, str) for label in classes):
        return classes.astype(object)
    if classes.dtype.kind in "biuf" and (classes == classes.astype(np.int64)).all():
        return classes.astype(np.int64)
    raise ValueError(
        f"classes_ must be strings or whole numbers for ONNX, not {classes.tolist()[0]!r} of {classes.dtype}"
    )


def _mean(graph: Graph, values: str, loss: type[Loss]) -> str:
    return values if loss.prediction is Loss.prediction else _known(_MEANS, loss)(graph, values)


def _decisions(graph: Graph, values: str, model: Any, *, raw: bool) -> list[str]:
    """Add label, probabilities where there are some, and scores; or label and a score for each class."""
    n_classes = len(model.classes_)
    loss, temperature = model._law()
    logits = _tempered(graph, values, temperature)
    if isinstance(model.classes_, list):  # several labels of each sample
        laws = [_known(_OF_LABELS, loss)(graph, logits)] if hasattr(model, "predict_proba") and not raw else []
        return [graph.cast(graph.node("Greater", values, graph.constant(0.0)), np.int64), *laws, values]
    scores = values
    if n_classes > 2:
        index = graph.node("ArgMax", scores, axis=1, keepdims=0)
    else:
        if loss.couples_outputs:
            scores = graph.node("Sub", _column(graph, values, 1), _column(graph, values, 0))
        scores = graph.node("Squeeze", scores, graph.constant([1], "axes"))
        index = graph.cast(graph.node("Greater", scores, graph.constant(0.0)), np.int64)
    label = graph.node("Gather", graph.constant(_labels(model.classes_), "classes"), index)
    if raw:
        return [label, scores if n_classes > 2 else _both_signs(graph, graph.column(scores))]
    if not hasattr(model, "predict_proba"):
        return [label, scores]
    logs = _known(_LOG_PROBABILITIES, loss)(graph, logits, n_classes)
    return [label, graph.node("Softmax", logs, axis=1), scores]


def _tempered(graph: Graph, values: str, temperature: Any) -> str:
    if np.ndim(temperature) == 0:
        return values if temperature == 1 else graph.node("Div", values, graph.constant(temperature))
    below, above = (graph.constant(temperature[..., side]) for side in (0, 1))
    return graph.node(
        "Div", values, graph.node("Where", graph.node("Greater", values, graph.constant(0.0)), above, below)
    )


def _both_signs(graph: Graph, scores: str) -> str:
    return graph.node("Concat", graph.node("Neg", scores), scores, axis=1)


def _column(graph: Graph, values: str, index: int) -> str:
    return graph.node("Gather", values, graph.constant([index], "column"), axis=1)


def _log_sigmoid(graph: Graph, values: str, n_classes: int) -> str:
    """Add ``min(f, 0) - log(1 + exp(-|f|))``, which neither overflows nor loses what is small, for -f and f of two."""
    if n_classes == 2:
        values = _both_signs(graph, values)
    decay = graph.node("Exp", graph.node("Neg", graph.node("Abs", values)))
    tail = graph.node("Log", graph.node("Add", decay, graph.constant(1.0)))
    return graph.node("Sub", graph.node("Neg", graph.node("Relu", graph.node("Neg", values))), tail)


def _known(heads: dict[str, Callable[..., str]], loss: Loss | type[Loss]) -> Callable[..., str]:
    if loss.name not in heads:
        raise NotImplementedError(f"the {loss.name} loss has no ONNX graph for its predictions: export the network")
    return heads[loss.name]


_MEANS = {"poisson": lambda graph, values: graph.node("Exp", values)}

_LOG_PROBABILITIES = {"logistic": _log_sigmoid, "softmax": lambda graph, values, n_classes: values}

_OF_LABELS = {"logistic": lambda graph, values: graph.node("Sigmoid", values)}
