"""Networks for other runtimes, in float64 so that they predict the same: PyTorch, ONNX and scikit-learn."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import numpy.typing as npt

from ..base.arrays import FloatArray

Layers = dict[str, FloatArray]


def layers(network: Any) -> Layers:
    """Return the arrays of a network: W1 and w2, and b1, gates, gate_bias, skip and output_bias where it has them."""
    arrays = {name: getattr(network, name) for name in ("W1", "w2", "gates", "skip", "output_bias")}
    arrays = {name: array for name, array in arrays.items() if array is not None}
    if network.bias:
        for name, bias in (("W1", "b1"), ("gates", "gate_bias")):
            if name in arrays:
                arrays |= {name: arrays[name][:, :-1], bias: arrays[name][:, -1]}
    return {name: np.array(array) for name, array in arrays.items()}


def to_torch(arrays: Layers) -> Any:
    """Return a `torch.nn.Module` of the network; see :meth:`Network.to_torch`."""
    try:
        from .torch_module import TwoLayer
    except ImportError as error:
        raise ImportError("to_torch needs PyTorch: pip install torch") from error

    return TwoLayer(arrays)


def to_onnx(arrays: Layers, path: str | os.PathLike[str]) -> None:
    """Write the network as an ONNX file; see :meth:`Network.to_onnx`."""
    try:
        import onnx

        from .onnx_graph import model_of_network
    except ImportError as error:
        raise ImportError("to_onnx needs onnx: pip install 'cvxrelu[export]'") from error

    model = model_of_network(arrays)
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
    if "skip" in arrays:
        raise ValueError(
            "network has a linear skip: an MLP of scikit-learn holds an output bias, but no skip; to_onnx and to_torch "
            "take both"
        )
    if classes is None and arrays["w2"].shape[1:] == (1,):
        raise ValueError(
            f"network has w2 of shape {arrays['w2'].shape} and predicts columns of shape (n_samples, 1): MLPRegressor "
            "predicts one output as (n_samples,), so export Network(W1, w2[:, 0]) in its place"
        )
    outputs = arrays["w2"] if arrays["w2"].ndim == 2 else arrays["w2"][:, None]
    n_neurons, n_features = arrays["W1"].shape
    offset = arrays.get("output_bias", np.zeros(outputs.shape[1]))
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
    model.intercepts_ = [arrays.get("b1", np.zeros(n_neurons)), np.array(np.broadcast_to(offset, outputs.shape[1:]))]
    model.n_features_in_, model.n_outputs_ = n_features, outputs.shape[1]
    model.n_layers_, model.out_activation_, model.n_iter_, model.t_ = 3, activation, 0, 0
    return model
