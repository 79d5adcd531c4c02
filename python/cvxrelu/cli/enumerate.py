"""`enumerate`: all activation patterns of a table's rows, or their number."""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np

from ..arrangement.cells import pattern_bound
from ..arrangement.enumerate import count_patterns, enumerate_patterns
from ..base.archives import write_archive
from ..base.arrays import append_ones
from . import _options
from ._cells import Wanted
from ._output import Progress, as_json, as_table
from ._status import EXIT_OK
from ._tables import read_table

FORMAT, VERSION = "cvxrelu.patterns", 1


def add_command(commands: Any) -> None:
    """Add the command to the parser."""
    command = _options.new_command(
        commands,
        "enumerate",
        "list or count all activation patterns of your points",
        "Finds every activation pattern 1[X g >= 0] of the rows x of a table, each with a gate g. The "
        "decisions are exact, and the list comes with a proof that none is missing.",
    )
    _options.add_table(command)
    _options.add_ignore(command)
    command.add_argument("--bias", action="store_true", help="append a column of ones")
    command.add_argument("--count", action="store_true", help="only count them, in little memory")
    command.add_argument(
        "--max-patterns", type=_options.count, metavar="N", help="refuse to list more than N (default: what fits)"
    )
    command.add_argument(
        "--decimals", type=_options.natural, metavar="K", help="take the numbers as decimals with K places"
    )
    command.add_argument(
        "--exact",
        action="store_true",
        help="take all numbers as they are written: decimals, fractions such as 1/3, integers of any size",
    )
    command.add_argument(
        "--out", metavar="FILE.npz", help="where to write gates (p, d) and words (p, ceil(n / 64)), bit j for row j"
    )
    _options.add_common(command)
    command.set_defaults(run=run, usage_error=command.error)


def run(arguments: argparse.Namespace) -> int:
    """Enumerate or count, write and report."""
    if arguments.count and (arguments.out or arguments.max_patterns):
        arguments.usage_error("--count lists nothing: leave out --out and --max-patterns")
    table = read_table(arguments.file, arguments.decimal)
    names = _options.feature_names(table, arguments.ignore)
    wanted = dict.fromkeys(names, Wanted("exact" if arguments.exact else "number"))
    X = np.stack([*table.read(wanted, "")[1].values()], axis=1)
    if arguments.bias:
        X = append_ones(X)
    report: dict[str, Any] = {"data": table.path, "n": X.shape[0], "d": X.shape[1]}
    start = time.perf_counter()
    if arguments.count:
        with Progress("counting", quiet=arguments.json):
            report["n_patterns"] = count_patterns(X, decimals=arguments.decimals, n_threads=arguments.threads)
        report["bound"] = pattern_bound(X.shape[0], int(np.linalg.matrix_rank(X.astype(np.float64))))
    else:
        with Progress("enumerating", quiet=arguments.json):
            patterns = enumerate_patterns(
                X,
                max_patterns=arguments.max_patterns,
                decimals=arguments.decimals,
                n_threads=arguments.threads,
            )
        certificate = patterns.certificate
        assert certificate is not None
        report["n_patterns"] = len(patterns)
        report["bound"] = pattern_bound(certificate.n_hyperplanes, certificate.rank)
        report["rank"] = certificate.rank
        report["complete"] = certificate.complete
        report["bytes"] = patterns.words.nbytes + patterns.gates.nbytes
        if arguments.out:
            arrays = {"gates": patterns.gates, "words": patterns.words, "n_samples": np.array(patterns.n_samples)}
            write_archive(arguments.out, FORMAT, VERSION, arrays)
            report["patterns"] = arguments.out
    report["seconds"] = time.perf_counter() - start
    print(as_json(report) if arguments.json else _as_text(report, arguments.bias))
    return EXIT_OK


def _as_text(report: dict[str, Any], bias: bool) -> str:
    rows = [
        ("data", report["data"]),
        ("points", f"{report['n']} with {report['d']} coordinates{', one of them the bias' if bias else ''}"),
        ("patterns", f"{report['n_patterns']}, where {report['bound']} would be possible"),
    ]
    if "complete" in report:
        proof = "none is missing, and every gate lies inside its cell" if report["complete"] else "see the warning"
        rows += [("proved", proof), ("memory", f"{report['bytes']} bytes")]
    rows.append(("seconds", f"{report['seconds']:.3f}"))
    if "patterns" in report:
        rows.append(("written", report["patterns"]))
    return as_table(rows)
