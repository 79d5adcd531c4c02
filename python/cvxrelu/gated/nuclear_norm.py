"""The gated program whose blocks are under the nuclear norm: weight decay of networks with several outputs.

A gated neuron with input weights a and output weights b adds D_i X a b' to the outputs, and weight decay
beta/2 (||a||^2 + ||b||^2) over as many neurons for each gate as help is beta times the nuclear norm of their sum U_i.
The core solves it as it does the program under the Frobenius norm, but for sweeps that shrink singular values and
Newton steps over the neurons (`cpp/cvxrelu/gated/neuron_newton.hpp`).
"""

from __future__ import annotations

import numpy as np

from ..base.arrays import FloatArray
from ..base.columns import blocks_of
from .problem import GatedData, Penalty, Stopping
from .program import ExactProgram, Point


class NuclearProgram(ExactProgram):
    """As its base, with the nuclear norm of the blocks in the penalty."""

    block_norm = "nuclear"

    def __init__(self, data: GatedData, penalty: Penalty) -> None:
        super().__init__(data, penalty)
        if self.ridge != 0:
            raise ValueError(f'block_norm="nuclear" needs ridge=0, not {penalty.ridge}')

    def _dual_norms(self, correlations: FloatArray) -> FloatArray:
        blocks = blocks_of(correlations, self.targets.shape[1])
        return np.asarray(np.linalg.svd(blocks, compute_uv=False).max(axis=1, initial=0.0))

    def _path(self, betas: list[float], start: FloatArray, stopping: Stopping) -> tuple[list[Point], bool]:
        if stopping.solver != "auto":
            raise ValueError(f'block_norm="nuclear" has one solver: it needs solver="auto", not {stopping.solver!r}')
        return super()._path(betas, start, stopping)
