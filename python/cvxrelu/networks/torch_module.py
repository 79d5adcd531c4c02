"""The PyTorch module of a network. A module of its own, imported by an export only: so it pickles, as a class must."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

_PARAMETERS = ("W1", "b1", "w2", "skip", "output_bias")

_BUFFERS = ("gates", "gate_bias")  # fixed while the others are trained


class TwoLayer(torch.nn.Module):  # type: ignore[misc]
    """A two-layer network in float64.

    Parameters
    ----------
    arrays : dict of str to ndarray
        Its arrays; see :func:`cvxrelu.networks.export.layers`.
    """

    def __init__(self, arrays: dict[str, Any]) -> None:
        super().__init__()
        tensors = {name: torch.from_numpy(np.array(array)) for name, array in arrays.items()}
        for name in _PARAMETERS:
            tensor = tensors.get(name)
            self.register_parameter(name, None if tensor is None else torch.nn.Parameter(tensor))
        for name in _BUFFERS:
            self.register_buffer(name, tensors.get(name))

    def forward(self, x: Any) -> Any:
        """Return the outputs of samples x."""
        hidden = torch.nn.functional.linear(x, self.W1, self.b1)
        if self.gates is None:
            hidden = torch.relu(hidden)
        else:
            open_gates = torch.nn.functional.linear(x, self.gates, self.gate_bias) >= 0
            hidden = hidden.masked_fill(~open_gates, 0.0)  # no product: what overflows behind a closed gate is 0
        outputs = hidden @ self.w2
        if self.skip is not None:
            outputs = outputs + x @ self.skip
        return outputs if self.output_bias is None else outputs + self.output_bias
