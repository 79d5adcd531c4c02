"""`enumerate`: all activation patterns of a table's rows, or the regions of affine hyperplanes, or their number."""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np

from ..arrangement.affine import Regions
from ..arrangement.cells import pattern_bound
from ..arrangement.enumerate import enumerate_patterns
from ..arrangement.hyperplanes import arrangement_of
from ..arrangement.problem import prepare
from ..base.archives import write_archive
from ..base.arrays import append_ones, as_threads
from ..patterns.patterns import ActivationPatterns
from . import _options
from ._cells import Wanted
from ._output import Progress, as_json, as_table
from ._status import EXIT_OK
from ._tables import read_table

FORMAT, FORMAT_OF_REGIONS, VERSION = "cvxrelu.patterns", "cvxrelu.regions", 1


def add_command(commands: Any) -> None:
    """Add the command to the parser."""
    command = _options.new_command(
        commands,
        "enumerate",
        "list or count all activation patterns of your points",
        "Finds every activation pattern 1[X g >= 0] of the rows x of a table, each with a gate g; or, with "
        "--offsets, the regions of the hyperplanes x . u = b, each with a point and whether it is bounded. The "
        "decisions are exact, and the list comes with a proof that none is missing.",
    )
    _options.add_table(command)
    _options.add_ignore(command)
    command.add_argument("--bias", action="store_true", help="append a column of ones")
    command.add_argument("--offsets", metavar="COLUMN", help="column of the offsets b of affine hyperplanes")
    command.add_argument(
        "--exact", action="store_true", help="take numbers as they are written: 0.1 is a tenth, 1/3 a third"
    )
    command.add_argument(
        "--count", action="store_true", help="only count them, in little memory; with the characteristic polynomial"
    )
    command.add_argument(
        "--max-patterns", type=_options.count, metavar="N", help="refuse to list more than N (default: what fits)"
    )
    command.add_argument(
        "--decimals", type=_options.natural, metavar="K", help="take the numbers as decimals with K places"
    )
    command.add_argument(
        "--out",
        metavar="FILE.npz",
        help="where to write gates (p, d) and words (p, ceil(n / 64)), bit j for row j; with --offsets points (p, d), "
        "words, and bounded (p,)",
    )
    _options.add_common(command)
    command.set_defaults(run=run, usage_error=command.error)


def run(arguments: argparse.Namespace) -> int:
    """Enumerate or count, write and report."""
    if arguments.count and (arguments.out or arguments.max_patterns):
        arguments.usage_error("--count lists nothing: leave out --out and --max-patterns")
    if arguments.exact and arguments.decimals is not None:
        arguments.usage_error("--exact takes numbers as they are written: leave out --decimals")
    table = read_table(arguments.file, arguments.decimal)
    offsets = None if arguments.offsets is None else table.column(arguments.offsets, "--offsets")
    names = _options.feature_names(
        table, arguments.ignore, {"column of the offsets": [] if offsets is None else [offsets]}
    )
    kind = "exact" if arguments.exact else "number"
    wanted = dict.fromkeys(names, Wanted(kind)) | ({} if offsets is None else {offsets: Wanted(kind, optional=False)})
    _, columns = table.read(wanted, "")
    X = np.stack([columns[name] for name in names], axis=1)
    if arguments.bias:
        X = append_ones(X)
    b = None if offsets is None else columns[offsets]
    report: dict[str, Any] = {"data": table.path, "n": len(X), "d": X.shape[1]}
    start = time.perf_counter()
    with Progress("counting" if arguments.count else "enumerating", quiet=arguments.json) as progress:
        if arguments.count:
            report |= _count(X, b, arguments, progress)
        else:
            report |= _list(X, b, arguments, progress)
    affine = b is not None
    report["bound"] = pattern_bound(report["n_hyperplanes"] + affine, report["rank"] + affine) // (1 + affine)
    report["seconds"] = time.perf_counter() - start
    print(as_json(report) if arguments.json else _as_text(report, arguments.bias))
    return EXIT_OK


def _count(X: Any, b: Any, arguments: argparse.Namespace, progress: Progress) -> dict[str, Any]:
    problem = prepare(X, arguments.decimals, None, b)
    problem.warn_if_nearly_degenerate(problem.search(False))
    arrangement = arrangement_of(problem, as_threads(arguments.threads), progress.searched)
    report = {
        "n_patterns": arrangement.n_regions,
        "n_hyperplanes": arrangement.n_hyperplanes,
        "rank": arrangement.rank,
        "characteristic_polynomial": list(arrangement.characteristic_polynomial),
    }
    return report if b is None else report | {"n_bounded": arrangement.n_bounded_regions}


def _list(X: Any, b: Any, arguments: argparse.Namespace, progress: Progress) -> dict[str, Any]:
    found: ActivationPatterns | Regions = enumerate_patterns(
        X,
        offsets=b,
        max_patterns=arguments.max_patterns,
        decimals=arguments.decimals,
        n_threads=arguments.threads,
        callback=progress.searched,
    )
    certificate = found.certificate
    affine = isinstance(found, Regions)
    arrays = (
        {"points": found.points, "words": found.words, "bounded": found.bounded, "n_rows": np.array(found.n_rows)}
        if isinstance(found, Regions)
        else {"gates": found.gates, "words": found.words, "n_samples": np.array(found.n_samples)}
    )
    report = {
        "n_patterns": len(found),
        "n_hyperplanes": certificate.n_hyperplanes - affine,
        "rank": certificate.rank - affine,
        "complete": certificate.complete,
        "bytes": sum(array.nbytes for array in arrays.values()),
    }
    if isinstance(found, Regions):
        report["n_bounded"] = int(found.bounded.sum())
    if arguments.out:
        write_archive(arguments.out, FORMAT_OF_REGIONS if affine else FORMAT, VERSION, arrays)
        report["patterns"] = arguments.out
    return report


def _as_text(report: dict[str, Any], bias: bool) -> str:
    affine = "n_bounded" in report
    rows = [
        ("data", report["data"]),
        (
            "hyperplanes" if affine else "points",
            f"{report['n']} with {report['d']} coordinates{', one of them the bias' if bias else ''}",
        ),
        ("regions" if affine else "patterns", f"{report['n_patterns']}, where {report['bound']} would be possible"),
    ]
    if affine:
        rows.append(("bounded", str(report["n_bounded"])))
    if "characteristic_polynomial" in report:
        rows.append(("polynomial", _polynomial(report["characteristic_polynomial"])))
    else:
        where = "point lies inside its region" if affine else "gate lies inside its cell"
        proof = f"none is missing, and every {where}" if report["complete"] else "see the warning"
        rows += [("proved", proof), ("memory", f"{report['bytes']} bytes")]
    rows.append(("seconds", f"{report['seconds']:.3f}"))
    if "patterns" in report:
        rows.append(("written", report["patterns"]))
    return as_table(rows)


def _polynomial(coefficients: list[int]) -> str:
    """Write a polynomial in t, the highest power first; its first coefficient is 1."""
    degree = len(coefficients) - 1
    text = ""
    for power, c in zip(range(degree, -1, -1), coefficients, strict=True):
        if c:
            size = str(abs(c)) if abs(c) > 1 or power == 0 else ""
            factor = "" if power == 0 else "t" if power == 1 else f"t^{power}"
            text += f" {'-' if c < 0 else '+'} {' '.join(filter(None, (size, factor)))}"
    return text.removeprefix(" + ")
