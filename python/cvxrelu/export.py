"""Networks for other runtimes: PyTorch modules and ONNX files, in float64 so that they predict the same."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np

from ._validation import FloatArray

if TYPE_CHECKING:
    from .network import Network


def layers(network: Network) -> dict[str, FloatArray]:
    """Return the network's arrays with biases apart: W1, b1, gates and gate biases (or None), and w2."""
    parts = {"W1": network.W1, "gates": network.gates, "w2": network.w2}
    arrays: dict[str, Any] = {"b1": None, "gate_bias": None} | parts
    if network.bias:
        arrays |= {"W1": network.W1[:, :-1], "b1": network.W1[:, -1]}
        if network.gates is not None:
            arrays |= {"gates": network.gates[:, :-1], "gate_bias": network.gates[:, -1]}
    return {name: np.array(array) for name, array in arrays.items() if array is not None}


def to_torch(network: Network) -> Any:
    """Return a `torch.nn.Module` of the network; see :meth:`Network.to_torch`."""
    try:
        import torch
    except ImportError as error:
        raise ImportError("to_torch needs PyTorch: pip install torch") from error

    class TwoLayer(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            arrays = {name: torch.from_numpy(array) for name, array in layers(network).items()}
            for name in ("W1", "b1", "w2"):
                array = arrays.get(name)
                self.register_parameter(name, None if array is None else torch.nn.Parameter(array))
            for name in ("gates", "gate_bias"):  # fixed: no parameters
                self.register_buffer(name, arrays.get(name))

        def forward(self, x: Any) -> Any:
            hidden = torch.nn.functional.linear(x, self.W1, self.b1)
            if self.gates is None:
                hidden = torch.relu(hidden)
            else:
                hidden = hidden * (torch.nn.functional.linear(x, self.gates, self.gate_bias) >= 0)
            return hidden @ self.w2

    return TwoLayer()


def to_onnx(network: Network, path: str | os.PathLike[str]) -> None:
    """Write the network as an ONNX file; see :meth:`Network.to_onnx`."""
    try:
        import onnx
        from onnx import TensorProto, helper, numpy_helper
    except ImportError as error:
        raise ImportError("to_onnx needs onnx: pip install 'cvxrelu[export]'") from error

    arrays = layers(network)
    tensors = {
        name: array.T if name in ("W1", "gates") else array for name, array in arrays.items()
    }  # samples are rows
    nodes = []

    def linear(weights: str, bias: str, out: str) -> None:
        product = out if bias not in tensors else f"{out}_product"
        nodes.append(helper.make_node("MatMul", ["X", weights], [product]))
        if bias in tensors:
            nodes.append(helper.make_node("Add", [product, bias], [out]))

    linear("W1", "b1", "hidden")
    if network.gates is None:
        nodes.append(helper.make_node("Relu", ["hidden"], ["active"]))
    else:
        linear("gates", "gate_bias", "signs")
        tensors["zero"] = np.array(0.0)
        nodes.append(helper.make_node("GreaterOrEqual", ["signs", "zero"], ["open"]))
        nodes.append(helper.make_node("Where", ["open", "hidden", "zero"], ["active"]))
    nodes.append(helper.make_node("MatMul", ["active", "w2"], ["Y"]))

    graph = helper.make_graph(
        nodes,
        "cvxrelu",
        [helper.make_tensor_value_info("X", TensorProto.DOUBLE, ["n_samples", network.n_features])],
        [helper.make_tensor_value_info("Y", TensorProto.DOUBLE, ["n_samples", *network.w2.shape[1:]])],
        [numpy_helper.from_array(np.ascontiguousarray(array), name) for name, array in tensors.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], producer_name="cvxrelu", ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, os.fspath(path))
