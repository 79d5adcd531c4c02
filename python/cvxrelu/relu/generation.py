"""Column generation: patterns are priced in until a certificate covers every one of them."""

from __future__ import annotations

import copy
import dataclasses
import os
import time
from typing import Any

import numpy as np

from ..base.arrays import WordArray
from ..base.callbacks import Callback
from ..base.native import core
from ..base.scaling import row_lengths
from ..patterns.checks import checked_patterns
from ..patterns.patterns import ActivationPatterns
from ..patterns.sampling import sample_patterns
from .checkpoint import GenerationCheckpoint
from .pricer import DIRECTIONS_FOR_A_NODE, DualNorm, Pricer
from .program import ReLUProgram
from .solution import ReLUSolution

_FIRST_ACCURACY = 1e-3  # relative gaps over the list, from the first rounds on

# After a search that found what walks had missed they get so many times as many starts, up to so many times: a search
# takes as long as thousands of walks, and mostly finds one or two patterns.
_MORE_STARTS = 4
_MOST_STARTS = 16

_SHARPENING = 0.1  # once no walk finds what would matter at the present one


class Generation:
    """Rounds of solving over the list and pricing patterns in."""

    def __init__(
        self,
        program: ReLUProgram,
        *,
        tol: float,
        n_starts: int,
        max_rounds: int,
        max_iter: int,
        max_nodes: int,
        pricing: str,
        max_seconds: float,
        rng: np.random.Generator,
        callback: Callback | None,
    ) -> None:
        self.program = program
        self.tol = tol
        self.n_starts = n_starts
        self.more_starts = 1  # times as many, for walks that missed something
        self.max_rounds = max_rounds
        self.max_iter = max_iter
        self.deadline = time.monotonic() + max_seconds
        self.pricer = Pricer(program.X, program.threads, max_nodes=max_nodes, deadline=self.deadline, method=pricing)
        self.rng = rng
        self.callback = callback
        self.accuracy = 0.0  # of the present solves
        self.known: set[bytes] = set()
        self.stopped = False
        self.unfinished = False  # ended by a limit, where walks might still have found patterns
        self.finished: ReLUSolution | None = None
        self.shown: ReLUSolution | None = None  # a copy for the callback: what it writes into is not what is returned
        self.norm: DualNorm | None = None  # over all patterns, for the last residual
        self.rounds = 0
        self.nodes = 0
        self.checkpoint: GenerationCheckpoint | None = None

    def keep_in(self, path: str | os.PathLike[str]) -> None:
        """Save every round, and go on from what is there."""
        program = self.program
        self.checkpoint = GenerationCheckpoint(path, program.problem, program.user_beta)
        saved = self.checkpoint.load()
        if saved is None:
            return
        finished, state = saved
        self.finished = dataclasses.replace(finished, converged=finished.relative_gap <= self.tol)
        if type(self.rng.bit_generator).__name__ == state["bit_generator"]:
            self.rng.bit_generator.state = state
        self.rounds, self.nodes = self.finished.n_rounds, self.finished.n_nodes
        self.begin(self.finished.patterns, self.finished)

    def begin(self, patterns: ActivationPatterns | None, warm_start: Any) -> None:
        program = self.program
        if patterns is None:
            n, d = program.X.shape
            patterns = (
                sample_patterns(program.X, min(200, 20 * d + n), random_state=self.rng, n_threads=program.threads)
                if program.X.any()
                else sample_patterns(program.X, gates=np.ones((1, d)))
            )
        else:
            patterns = checked_patterns(patterns, program.design, program.threads)
        self._append(patterns)
        if warm_start is not None:
            blocks, _, words = program.blocks_of(warm_start)
            gates = blocks if not isinstance(warm_start, ReLUSolution) else warm_start.patterns.gates[warm_start.active]
            self._append(ActivationPatterns(gates=gates, words=words, n_samples=program.X.shape[0]))
            program.start(warm_start)

    def run(self, *, exact: bool) -> ReLUSolution:
        program = self.program
        final = 0.3 * self.tol
        self.accuracy = max(final, _FIRST_ACCURACY)
        while True:
            steps = program.n_newton
            program.solve(self.accuracy, self.max_iter, self._watch)
            program.prune()
            self.finished = program.solution(self.tol, scope="given patterns", n_rounds=self.rounds, n_nodes=self.nodes)
            self.shown = None if self.callback is None else copy.deepcopy(self.finished)
            if self.checkpoint is not None:
                self.checkpoint.save(self.finished, self.rng)
            last_round = self.rounds >= self.max_rounds
            if self.stopped or self._seconds_left() <= 0 or (last_round and self.accuracy == final):
                self.unfinished = not exact
                return self._end(exact and not self.stopped)
            if last_round:
                self.accuracy = final
                continue
            # Nothing to do after patterns have joined: at this accuracy they do not matter, and more would not.
            settled = self.rounds > 0 and program.n_newton == steps
            if self.accuracy == final or not settled:
                self.rounds += 1
                if self._walk():
                    continue
            if self.accuracy > final:
                self.accuracy = max(final, _SHARPENING * self.accuracy)
            elif not exact or not self._search():
                self.unfinished = not exact and self._seconds_left() <= 0
                return self._end(exact)

    def _seconds_left(self) -> float:
        return self.deadline - time.monotonic()

    def _watch(self, progress: dict[str, Any]) -> bool:
        """Tell the user's callback of a pass; returns whether to stop, for the user or for the time limit."""
        if self.callback is not None and self.callback(progress | {"finished": self.shown}):
            self.stopped = True
        return self.stopped or self._seconds_left() <= 0

    def _threshold(self, accuracy: float) -> float:
        program = self.program
        size = float(row_lengths(program.blocks()[0]).sum())
        return program.problem.pricing_threshold(program.point["output"], size, accuracy)

    def _walk(self) -> bool:
        """Look for violated patterns from random starts and from the neurons; tells whether some were added."""
        program = self.program
        blocks, signs, _ = program.blocks()
        n_random = self.more_starts * self.n_starts
        starts = np.vstack([self.rng.standard_normal((n_random, program.X.shape[1])), blocks])
        words, _ = self.pricer.walk(
            program.residual,
            starts,
            self._threshold(max(self.tol, self.accuracy)),
            [0] * n_random + signs.tolist(),
            self._seconds_left(),
        )
        return self._add(words)

    def _search(self) -> bool:
        """Look for violated patterns everywhere; tells whether one was added, and if there is none keeps the bound."""
        norm = self._priced(until_violated=True)
        self.nodes += norm.n_nodes
        spent = norm.n_nodes // DIRECTIONS_FOR_A_NODE if norm.priced_by == "subdivision" else norm.n_nodes
        self.pricer.max_nodes = max(1, self.pricer.max_nodes - spent)
        if norm.violated is not None:
            self.more_starts = min(_MORE_STARTS * self.more_starts, _MOST_STARTS)
            return self._add(norm.violated)
        self.norm = norm
        return False

    def _priced(self, *, until_violated: bool = False) -> DualNorm:
        """Bound the maximum over all patterns as well as the tolerance asks for."""
        level = self._threshold(self.tol)
        accuracy = max(level / self.program.beta - 1, 1e-10)
        return self.pricer.over_all(self.program.residual, level, accuracy=accuracy, until_violated=until_violated)

    def _add(self, words: WordArray) -> bool:
        """Append the patterns that are new and have a gate in their interior."""
        new = [k for k, row in enumerate(words) if row.tobytes() not in self.known]
        if not new:
            return False
        program = self.program
        words = np.ascontiguousarray(words[new])
        margins = np.tile(row_lengths(program.X), (len(new), 1))
        gates = core.least_distance(program.X, words, margins)
        lengths = row_lengths(gates)
        gates[lengths > 0] /= lengths[lengths > 0, None]
        reached, _ = core.pack_patterns(program.X, gates, program.threads)
        good = (reached == words).all(axis=1)
        if not good.any():
            return False
        self._append(
            ActivationPatterns(
                gates=np.ascontiguousarray(gates[good]),
                words=np.ascontiguousarray(words[good]),
                n_samples=program.X.shape[0],
            )
        )
        return True

    def _append(self, patterns: ActivationPatterns) -> None:
        new = []
        for k, row in enumerate(patterns.words):
            key = row.tobytes()
            if key not in self.known:
                self.known.add(key)
                new.append(k)
        if new:
            self.program.append(patterns[np.array(new)])

    def _end(self, exact: bool) -> ReLUSolution:
        """Give the network its certificate."""
        program = self.program
        dual = None
        if exact:
            if self.norm is None:
                self.pricer.deadline = max(self.deadline, time.monotonic() + 1)
                self.norm = self._priced()
                self.nodes += self.norm.n_nodes
            dual = program.problem.feasible(program.residual, self.norm.bound)
        return program.solution(
            self.tol,
            scope="all patterns" if exact else "given patterns",
            dual=dual,
            n_rounds=self.rounds,
            n_nodes=self.nodes,
            priced_by=self.norm.priced_by if self.norm is not None else "given patterns",
        )
