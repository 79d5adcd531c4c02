"""Neural tangent kernels of infinite width as parts of ONNX graphs. Needs the package onnx."""

from __future__ import annotations

import math

import numpy as np
from onnx import TensorProto, helper

from ..base.arrays import FloatArray
from ..base.scaling import row_lengths
from ..networks.onnx_graph import Graph


def add_ntk(graph: Graph, X: str, samples: FloatArray, kind: str, depth: int) -> str:
    """Add the kernel of rows with given samples, as :func:`cvxrelu.ntk` states it, and return its name.

    As there, angles come from lengths of differences, ``1 - cos t = ||a - b||^2 / 2`` of unit vectors, and keep their
    digits near 0 and pi, where those of arccos do not: on a sample of the training set t is 0.
    """
    lengths = row_lengths(samples)
    units = samples / np.where(lengths > 0, lengths, 1)[:, None]
    units[lengths == 0, 0] = 1  # whose length makes its kernel zero; so that every angle is defined
    norm = graph.node("Sqrt", graph.node("ReduceSum", graph.node("Mul", X, X), graph.constant([1], "axes")))
    unit = graph.node("Div", X, graph.node("Max", norm, graph.constant(np.finfo(np.float64).tiny)))
    near, far = _half_squares(graph, unit, units)
    product = graph.node("Mul", norm, graph.constant(lengths))
    cosine = _scaled(graph, graph.node("Sub", far, near), 0.5)
    kernel = graph.node("Mul", product, cosine)
    angle = _angle(graph, near, far)
    rest = graph.node("Sub", graph.constant(math.pi), angle)
    if kind != "relu":
        return _scaled(graph, graph.node("Mul", kernel, rest), (0.5 if kind == "gated" else 1.0) / math.pi)
    for layer in range(1, depth + 1):
        if layer > 1:
            far = graph.node("Sub", graph.constant(2.0), near)
            angle = _angle(graph, near, far)
            rest = graph.node("Sub", graph.constant(math.pi), angle)
        # 1 - cos t of the next layer: ((pi - t) (1 - cos t) + t - sin t) / pi, a sum of terms that are not negative.
        sine = graph.node("Sqrt", graph.node("Mul", near, far))
        bulge = graph.node("Relu", graph.node("Sub", angle, sine))
        rising = graph.node("Add", graph.node("Mul", rest, near), bulge)
        near = _scaled(graph, rising, 1 / math.pi)
        hidden = _scaled(graph, graph.node("Mul", product, graph.node("Sub", graph.constant(1.0), near)), 0.5**layer)
        kernel = graph.node("Add", hidden, _scaled(graph, graph.node("Mul", kernel, rest), 0.5 / math.pi))
    return kernel


def _scaled(graph: Graph, value: str, factor: float) -> str:
    return graph.node("Mul", value, graph.constant(factor, "factor"))


def _half_squares(graph: Graph, unit: str, units: FloatArray) -> tuple[str, str]:
    """Add ``||a - b||^2 / 2`` and ``||a + b||^2 / 2`` of rows a with given rows b, one of these at a time."""
    nodes = [
        helper.make_node("Identity", ["rows"], ["same_rows"]),
        helper.make_node("Sub", ["rows", "row"], ["difference"]),
        helper.make_node("Add", ["rows", "row"], ["sum"]),
        helper.make_node("Einsum", ["difference", "difference"], ["near"], equation="ij,ij->i"),
        helper.make_node("Einsum", ["sum", "sum"], ["far"], equation="ij,ij->i"),
    ]
    shapes = {"rows": ["n", "d"], "row": ["d"], "same_rows": ["n", "d"], "near": ["n"], "far": ["n"]}
    value = {name: helper.make_tensor_value_info(name, TensorProto.DOUBLE, shape) for name, shape in shapes.items()}
    body = helper.make_graph(
        nodes, "distances", [value["rows"], value["row"]], [value["same_rows"], value["near"], value["far"]]
    )
    _, near, far = graph.nodes_of(
        "Scan", [unit, graph.constant(units, "samples")], 3, body=body, num_scan_inputs=1, scan_output_axes=[1, 1]
    )
    return _scaled(graph, near, 0.5), _scaled(graph, far, 0.5)


def _angle(graph: Graph, near: str, far: str) -> str:
    """Add the angle with ``1 - cos t`` and ``1 + cos t`` given: by arctan in float32, and one Newton step in float64.

    Runtimes have no inverse of a trigonometric function in float64. The step cubes the error of 1e-7.
    """
    sine, cosine = (graph.node("Sqrt", _scaled(graph, part, 0.5)) for part in (near, far))
    half = graph.cast(graph.node("Atan", graph.cast(graph.node("Div", sine, cosine), np.float32)), np.float64)
    step = graph.node(
        "Sub",
        graph.node("Mul", sine, graph.node("Cos", half)),
        graph.node("Mul", cosine, graph.node("Sin", half)),
    )
    return _scaled(graph, graph.node("Add", half, step), 2.0)
