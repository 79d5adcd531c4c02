"""Which kind of gated program it is: the one place that chooses."""

from __future__ import annotations

from ..patterns.checks import checked_patterns
from ..rows.rows import Rows
from .loss_program import LossProgram
from .losses import Loss
from .nuclear_norm import NuclearProgram
from .passes import PassesProgram
from .problem import GatedData, Penalty
from .program import ExactProgram, Program
from .subsampled import SubsampledProgram, subsample_suffices


def pose(data: GatedData, penalty: Penalty, loss: Loss) -> Program:
    """Return the program of data, penalty and loss, to be solved for any beta.

    Rows that are elsewhere are gone through in passes. Arrays are solved whole in C++: with the squared loss, between
    passes on a subsample where rows are many, with other losses, which take their subsamples there, or under the
    nuclear norm.
    """
    if isinstance(data.X, Rows):
        if penalty.block_norm != "frobenius":
            raise ValueError(f'rows in chunks need block_norm="frobenius", not {penalty.block_norm!r}')
        if not loss.quadratic:
            raise ValueError(f'rows in chunks need loss="squared", not {loss.name!r}')
        return PassesProgram(data, penalty)
    program: ExactProgram
    if penalty.block_norm == "nuclear":
        if not loss.quadratic:
            raise ValueError(f'block_norm="nuclear" needs loss="squared", not {loss.name!r}')
        program = NuclearProgram(data, penalty)
    elif not loss.quadratic:
        program = LossProgram(data, penalty, loss)
    elif (penalty.unpenalised is None or penalty.has_intercept) and subsample_suffices(data.patterns):
        program = SubsampledProgram(data, penalty)
    else:
        program = ExactProgram(data, penalty)
    if not data.own_patterns:
        # On rows that are scaled, by their weights too, which leaves signs as they are.
        checked_patterns(data.patterns, program.design, program.threads)
    return program
