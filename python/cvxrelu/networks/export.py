"""Networks for other runtimes, in float64 so that they predict the same: PyTorch, ONNX and scikit-learn."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import numpy.typing as npt

from ..base.arrays import FloatArray

Layers = dict[str, FloatArray]


def layers(W1: FloatArray, w2: FloatArray, gates: FloatArray | None, bias: bool) -> Layers:
    """Return the arrays of a network with biases apart: W1, w2, and b1, gates and gate_bias where it has them."""
    arrays = {"W1": W1, "w2": w2}
    if gates is not None:
        arrays["gates"] = gates
    if bias:
        arrays |= {"W1": W1[:, :-1], "b1": W1[:, -1]}
        if gates is not None:
            arrays |= {"gates": gates[:, :-1], "gate_bias": gates[:, -1]}
    return {name: np.array(array) for name, array in arrays.items()}


def to_torch(arrays: Layers) -> Any:
    """Return a `torch.nn.Module` of the network; see :meth:`Network.to_torch`."""
    try:
        import torch
    except ImportError as error:
        raise ImportError("to_torch needs PyTorch: pip install torch") from error

    class TwoLayer(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
            for name in ("W1", "b1", "w2"):
                tensor = tensors.get(name)
                self.register_parameter(name, None if tensor is None else torch.nn.Parameter(tensor))
            for name in ("gates", "gate_bias"):  # fixed: no parameters
                self.register_buffer(name, tensors.get(name))

        def forward(self, x: Any) -> Any:
            hidden = torch.nn.functional.linear(x, self.W1, self.b1)
            if self.gates is None:
                hidden = torch.relu(hidden)
            else:
                hidden = hidden * (torch.nn.functional.linear(x, self.gates, self.gate_bias) >= 0)
            return hidden @ self.w2

    return TwoLayer()


def to_onnx(arrays: Layers, path: str | os.PathLike[str]) -> None:
    """Write the network as an ONNX file; see :meth:`Network.to_onnx`."""
    try:
        import onnx
        from onnx import TensorProto, helper, numpy_helper
    except ImportError as error:
        raise ImportError("to_onnx needs onnx: pip install 'cvxrelu[export]'") from error

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
    if "gates" not in tensors:
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
        [helper.make_tensor_value_info("X", TensorProto.DOUBLE, ["n_samples", arrays["W1"].shape[1]])],
        [helper.make_tensor_value_info("Y", TensorProto.DOUBLE, ["n_samples", *arrays["w2"].shape[1:]])],
        [numpy_helper.from_array(np.ascontiguousarray(array), name) for name, array in tensors.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], producer_name="cvxrelu", ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, os.fspath(path))


def to_sklearn(arrays: Layers, classes: npt.ArrayLike | None) -> Any:
    """Return a fitted MLPRegressor or MLPClassifier of the network; see :meth:`Network.to_sklearn`."""
    try:
        from sklearn.neural_network import MLPClassifier, MLPRegressor
        from sklearn.preprocessing import LabelBinarizer
    except ImportError as error:
        raise ImportError("to_sklearn needs scikit-learn: pip install 'cvxrelu[sklearn]'") from error

    if "gates" in arrays:
        raise ValueError(
            "network is gated: no MLP of scikit-learn has gates. A ReLU network (ReLURegressor, train_relu, decompose) "
            "is one; to_onnx and to_torch take both"
        )
    outputs = arrays["w2"] if arrays["w2"].ndim == 2 else arrays["w2"][:, None]
    n_neurons, n_features = arrays["W1"].shape
    if classes is None:
        model, activation = MLPRegressor(hidden_layer_sizes=(n_neurons,)), "identity"
    else:
        binarizer = LabelBinarizer().fit(np.asarray(classes))
        n_outputs = {1: 0, 2: 1}.get(binarizer.classes_.size, binarizer.classes_.size)
        if n_outputs != outputs.shape[1] or not np.array_equal(binarizer.classes_, classes):
            raise ValueError(
                f"classes must be sorted and distinct, 2 for one output or one for each of 3 or more: "
                f"{np.size(classes)} were given for {outputs.shape[1]}"
            )
        model = MLPClassifier(hidden_layer_sizes=(n_neurons,))
        model.classes_, model._label_binarizer = binarizer.classes_, binarizer
        activation = "logistic" if n_outputs == 1 else "softmax"
    model.coefs_ = [np.ascontiguousarray(arrays["W1"].T), outputs]
    model.intercepts_ = [arrays.get("b1", np.zeros(n_neurons)), np.zeros(outputs.shape[1])]
    model.n_features_in_, model.n_outputs_ = n_features, outputs.shape[1]
    model.n_layers_, model.out_activation_, model.n_iter_, model.t_ = 3, activation, 0, 0
    return model
