"""Graphs of ONNX in the making, in float64: a file of their own, or a part of a pipeline's. Needs the package onnx."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import TensorProto, helper, numpy_helper

from ..base.arrays import FloatArray

LEAST_OPSET = 13  # has all that is used here, as have those after it
_OPSET, _IR_VERSION = 17, 8  # of files of their own


class Graph:
    """Nodes and constants; every value is known by a name, which methods return.

    Parameters
    ----------
    unique : callable, optional
        Makes a name that nobody else has from a given one; by default names are unique within this graph.
    """

    def __init__(self, unique: Callable[[str], str] | None = None) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self._unique = self._numbered if unique is None else unique
        self._taken = {"X", "Y"}

    def constant(self, array: npt.ArrayLike, name: str = "constant") -> str:
        """Add a constant."""
        name = self._unique(name)
        self.constants.append(numpy_helper.from_array(np.array(array), name))
        return name

    def node(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """Add a node with one output."""
        return self.nodes_of(operator, list(inputs), 1, **attributes)[0]

    def nodes_of(self, operator: str, inputs: list[str], n_outputs: int, **attributes: Any) -> list[str]:
        """Add a node with several outputs."""
        outputs = [self._unique(operator.lower()) for _ in range(n_outputs)]
        self.nodes.append(helper.make_node(operator, inputs, outputs, name=self._unique("node"), **attributes))
        return outputs

    def cast(self, value: str, dtype: npt.DTypeLike) -> str:
        """Add a conversion to a type of NumPy's."""
        return self.node("Cast", value, to=helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))

    def linear(self, value: str, weights: FloatArray, added: FloatArray | None = None) -> str:
        """Add the product of rows with weights, (n_inputs,) or (n_inputs, n_outputs), and what is added to it."""
        product = self.node("MatMul", value, self.constant(weights, "weights"))
        return product if added is None else self.node("Add", product, self.constant(added, "added"))

    def column(self, value: str) -> str:
        """Add a vector's copy as a matrix of one column."""
        return self.node("Unsqueeze", value, self.constant([1], "axes"))

    def with_ones(self, value: str, n_features: int) -> str:
        """Add a copy of rows with a one behind each."""
        return self.linear(value, np.eye(n_features, n_features + 1), np.eye(n_features + 1)[-1])

    def end(self, value: str, output: str) -> None:
        """Give a value the name of an output."""
        self.nodes.append(helper.make_node("Identity", [value], [output], name=self._unique("node")))

    def _numbered(self, name: str) -> str:
        number, free = 0, name
        while free in self._taken:
            number, free = number + 1, f"{name}_{number + 1}"
        self._taken.add(free)
        return free


def add_network(graph: Graph, X: str, arrays: dict[str, FloatArray]) -> str:
    """Add a network, by the arrays of :func:`cvxrelu.networks.export.layers`, and return the name of its outputs."""
    hidden = graph.linear(X, arrays["W1"].T, arrays.get("b1"))
    if "gates" not in arrays:
        hidden = graph.node("Relu", hidden)
    else:
        signs, zero = graph.linear(X, arrays["gates"].T, arrays.get("gate_bias")), graph.constant(0.0, "zero")
        hidden = graph.node("Where", graph.node("GreaterOrEqual", signs, zero), hidden, zero)
    outputs = graph.linear(hidden, arrays["w2"], arrays.get("output_bias"))
    return graph.node("Add", outputs, graph.linear(X, arrays["skip"])) if "skip" in arrays else outputs


def model_of_network(arrays: dict[str, FloatArray]) -> Any:
    """Return the ONNX model of a network, with a float64 input X and output Y."""
    graph = Graph()
    graph.end(add_network(graph, "X", arrays), "Y")
    made = helper.make_graph(
        graph.nodes,
        "cvxrelu",
        [helper.make_tensor_value_info("X", TensorProto.DOUBLE, ["n_samples", arrays["W1"].shape[1]])],
        [helper.make_tensor_value_info("Y", TensorProto.DOUBLE, ["n_samples", *arrays["w2"].shape[1:]])],
        graph.constants,
    )
    opset = helper.make_opsetid("", _OPSET)
    return helper.make_model(made, opset_imports=[opset], producer_name="cvxrelu", ir_version=_IR_VERSION)
