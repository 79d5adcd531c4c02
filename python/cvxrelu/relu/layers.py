"""Layers of ReLU networks in the forms that users pass."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..base.arrays import FloatArray, as_design, as_real, as_unpenalised
from ..networks.network import Network

_LINEAR = ("output_bias", "skip")


def as_columns(array: FloatArray) -> FloatArray:
    """Return a vector as a matrix of one column, a matrix as it is."""
    return array[:, None] if array.ndim == 1 else array


def outputs_of(columns: FloatArray) -> str:
    """Say how many outputs columns are, for an error."""
    return "one output" if columns.shape[1] == 1 else f"{columns.shape[1]} outputs"


def has_several_outputs(y: Any) -> bool:
    """Say whether targets have more than one column."""
    shape = np.shape(y)
    return len(shape) == 2 and shape[1] > 1


def as_relu_network(network: Any, name: str = "network") -> Any:
    """Return torch's Linear-ReLU-Linear and fitted MLPs of scikit-learn as a Network, anything else as it is.

    The biases of the hidden layer become weights of a ones column, that of the output layer an output bias.
    """
    if hasattr(network, "coefs_") and hasattr(network, "intercepts_"):
        if len(network.coefs_) != 2 or network.activation != "relu":
            raise ValueError(
                f"{name} must have one hidden layer of ReLU neurons, not {len(network.coefs_) - 1} with "
                f"activation={network.activation!r}"
            )
        (first, second), (b1, b2) = network.coefs_, network.intercepts_
        return _with_biases(np.transpose(first), second, b1, b2)
    if not (hasattr(network, "children") and hasattr(network, "state_dict")):
        return network
    layers = list(network.children())
    names = [type(layer).__name__ for layer in layers]
    if names != ["Linear", "ReLU", "Linear"]:
        raise ValueError(f"{name} must consist of Linear, ReLU and Linear layers, not {', '.join(names) or 'none'}")
    linear = layers[0], layers[2]
    first, second = (_numbers(layer.weight) for layer in linear)
    b1, b2 = (None if layer.bias is None else _numbers(layer.bias) for layer in linear)
    return _with_biases(first, second.T, b1, b2)


def _numbers(parameter: Any) -> FloatArray:
    return np.asarray(parameter.detach().cpu().numpy(), dtype=np.float64)


def _with_biases(W1: FloatArray, w2: FloatArray, b1: FloatArray | None, b2: FloatArray | None) -> Network:
    first = W1 if b1 is None else np.column_stack([W1, b1])
    return Network(first, w2, bias=b1 is not None, output_bias=b2)


def as_relu_layers(
    network: Any, n_features: int, *, several: bool = False, linear: bool = False, name: str = "network"
) -> tuple[FloatArray, FloatArray, bool]:
    """Return (W1, w2, bias) of a pair of arrays, or of a network that :func:`as_relu_network` knows.

    With `several` w2 has a column for each output; without, it is a vector, and several outputs are refused. An output
    bias and a skip, which are not returned, are refused without `linear`. A first layer that is an empty list does not
    say how many features there are: it has `n_features`. Errors call the network `name`.
    """
    network = as_relu_network(network, name)
    bias = False
    if isinstance(network, tuple | list) and len(network) == 2:
        W1, w2 = network
    elif hasattr(network, "W1") and hasattr(network, "w2"):
        if getattr(network, "gates", None) is not None:
            raise ValueError(f"{name} is gated, and not a ReLU network: see decompose for the way there")
        for part in _LINEAR:
            if not linear and getattr(network, part, None) is not None:
                raise ValueError(f"{name} has {part}, which is not taken here: pass (W1, w2), with unpenalised columns")
        W1, w2, bias = network.W1, network.w2, bool(getattr(network, "bias", False))
    else:
        raise TypeError(
            f"{name} must be a Network, (W1, w2), torch.nn.Sequential or a fitted MLP of scikit-learn, not "
            f"{type(network).__name__}"
        )
    first, second = as_real(W1, "W1"), as_real(w2, "w2")
    if first.shape == (0,):
        first = np.zeros((0, n_features))
    if first.ndim != 2 or first.size:
        first = as_design(first, "W1")
    if second.ndim not in (1, 2) or (second.ndim == 2 and second.shape[1] != 1 and not several):
        raise ValueError(f"w2 must have shape (n_neurons,): one output, not {second.shape}")
    if second.shape[0] != first.shape[0]:
        raise ValueError(f"W1 has {first.shape[0]} neurons, but w2 has {second.shape[0]}")
    if not np.isfinite(second).all():
        raise ValueError("w2 must be finite")
    columns = as_columns(second)
    return first, columns if several else np.ascontiguousarray(columns[:, 0]), bias


def has_linear_part(network: Any) -> bool:
    """Say whether a network has an output bias or a skip, which carry no penalty."""
    return any(getattr(network, part, None) is not None for part in _LINEAR)


def with_linear_part(network: Any, X: FloatArray, unpenalised: Any, coefficients: Any) -> tuple[Any, Any]:
    """Return unpenalised columns and their coefficients, with those of a network's output bias and skip behind them."""
    if not has_linear_part(network):
        return unpenalised, coefficients
    parts = {"skip": X, "output_bias": np.ones((X.shape[0], 1))}
    values = {part: value for part in parts if (value := getattr(network, part, None)) is not None}
    columns = np.hstack([parts[part] for part in values])
    own = np.vstack([np.reshape(value, (parts[part].shape[1], -1)) for part, value in values.items()])
    if unpenalised is None:
        return columns, own
    given = as_unpenalised(unpenalised, X.shape[0])
    if coefficients is None:
        if all((given[:, [k]] == columns).all(axis=0).any() for k in range(given.shape[1])):
            return columns, own
        raise ValueError(f"unpenalised_coef is needed beside the {' and the '.join(values)} of the network")
    theirs = as_real(coefficients, "unpenalised_coef").reshape(given.shape[1], -1)
    return np.hstack([given, columns]), np.vstack([theirs, own])
