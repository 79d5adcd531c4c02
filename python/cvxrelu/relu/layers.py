"""Targets and layers of ReLU networks in the forms that users pass."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..base.arrays import FloatArray, as_design, as_real, as_targets


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


def as_target(y: Any, n_samples: int, name: str = "y") -> FloatArray:
    """Return `y` as a contiguous float64 vector, for what is there for one output only."""
    targets = as_targets(y, n_samples, name)
    if targets.ndim == 2:
        if targets.shape[1] != 1:
            raise ValueError(
                f"{name} must have one output here, not {targets.shape[1]}: train_relu, solve_relu and certify take "
                "several"
            )
        targets = targets[:, 0]
    return np.ascontiguousarray(targets)


def as_relu_layers(
    network: Any, n_features: int, *, several: bool = False, name: str = "network"
) -> tuple[FloatArray, FloatArray, bool]:
    """Return (W1, w2, bias) of a Network, a pair of arrays, or torch's Linear-ReLU-Linear.

    With `several` w2 has a column for each output; without, it is a vector, and several outputs are refused. A first
    layer that is an empty list does not say how many features there are: it has `n_features`. Errors call the network
    `name`.
    """
    bias = False
    if isinstance(network, tuple | list) and len(network) == 2:
        W1, w2 = network
    elif hasattr(network, "W1") and hasattr(network, "w2"):
        if getattr(network, "gates", None) is not None:
            raise ValueError(f"{name} is gated, and not a ReLU network: see decompose for the way there")
        for part in ("output_bias", "skip"):
            if getattr(network, part, None) is not None:
                raise ValueError(f"{name} has {part}, which is not taken here: pass (W1, w2), with unpenalised columns")
        W1, w2, bias = network.W1, network.w2, bool(getattr(network, "bias", False))
    elif hasattr(network, "children") and hasattr(network, "state_dict"):
        W1, w2 = _torch_layers(network, name)
    else:
        raise TypeError(f"{name} must be a Network, (W1, w2) or torch.nn.Sequential, not {type(network).__name__}")
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


def _torch_layers(module: Any, name: str) -> tuple[Any, Any]:
    layers = list(module.children())
    names = [type(layer).__name__ for layer in layers]
    if names != ["Linear", "ReLU", "Linear"]:
        raise ValueError(f"{name} must consist of Linear, ReLU and Linear layers, not {', '.join(names) or 'none'}")
    if any(layer.bias is not None for layer in (layers[0], layers[2])):
        raise ValueError(f"the Linear layers of {name} have biases: use bias=False and a column of ones in X")
    first, second = (layer.weight.detach().cpu().numpy().astype(np.float64) for layer in (layers[0], layers[2]))
    return first, second.T
