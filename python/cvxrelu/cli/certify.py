"""`certify`: how far a ReLU network is from the best one of every width."""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np

from ..base.archives import load_arrays
from ..networks.network import Network
from ..relu.certify import certify
from . import _options
from ._cells import Wanted
from ._output import Progress, as_json, as_table
from ._status import EXIT_NOT_CONVERGED, EXIT_OK
from ._tables import is_skops, read_table


def add_command(commands: Any) -> None:
    """Add the command to the parser."""
    command = _options.new_command(
        commands,
        "certify",
        "bound how far a ReLU network is from the global optimum",
        "Bounds how far the objective 1/2 ||f(X) - y||^2 + B/2 (||W1||^2 + ||w2||^2) of a ReLU network is "
        "from the best one of every width, whatever trained the network. An output bias is outside the penalty.",
    )
    command.add_argument(
        "network",
        metavar="NETWORK.npz",
        help="arrays W1 (m, d), w2 (m,) or (m, c) and perhaps output_bias, or what Network.save has written",
    )
    _options.add_table(command, ": the data it was trained on")
    _options.add_target(command, "column with the targets, one for each output")
    command.add_argument("--beta", type=_options.non_negative, required=True, metavar="B", help="the penalty")
    _options.add_ignore(command)
    command.add_argument(
        "--bias",
        action="store_true",
        help="the last column of W1 are biases (known already if Network.save has written the file)",
    )
    command.add_argument(
        "--tol", type=_options.positive, default=1e-6, metavar="T", help="looseness allowed, relative (default 1e-6)"
    )
    command.add_argument(
        "--max-nodes",
        type=_options.count,
        default=1_000_000,
        metavar="N",
        help="of a tree over samples; ten times as many over directions (1000000)",
    )
    command.add_argument("--max-seconds", type=_options.positive, metavar="S", help="for the search")
    _options.add_common(command)
    command.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Certify, and report."""
    network = load_network(arguments.network, arguments.bias)
    table = read_table(arguments.file, arguments.decimal)
    targets = _options.targets(table, arguments.target)
    names = _options.feature_names(table, arguments.ignore, {"target": targets})
    if len(names) != network.n_features:
        raise ValueError(
            f"{arguments.network} takes {network.n_features} features, but {table.path} has {len(names)} columns "
            "beside the target: leave some out with --ignore, or say --bias"
        )
    outputs = network.w2[:1].size if network.w2.ndim == 2 else 1
    if len(targets) != outputs:
        raise ValueError(f"{arguments.network} has {outputs} outputs, but --target names {len(targets)} columns")
    _, columns = table.read(dict.fromkeys(names, Wanted()) | dict.fromkeys(targets, Wanted(optional=False)), "")
    y = np.stack([columns[name] for name in targets], axis=1).reshape(-1, *network.w2.shape[1:])
    X = np.stack([columns[name] for name in names], axis=1)
    start = time.perf_counter()
    with Progress("certifying", quiet=arguments.json):
        found = certify(
            X,
            y,
            network,
            arguments.beta,
            tol=arguments.tol,
            max_nodes=arguments.max_nodes,
            max_seconds=arguments.max_seconds,
            n_threads=arguments.threads,
        )
    report = {
        "network": arguments.network,
        "data": table.path,
        "beta": found.beta,
        "neurons": network.n_neurons,
        "upper_bound": float(found.upper_bound),
        "lower_bound": float(found.lower_bound),
        "gap": float(found.gap),
        "relative_gap": float(found.relative_gap),
        "scope": found.scope,
        "exact": bool(found.exact),
        "nodes": int(found.n_nodes),
        "seconds": time.perf_counter() - start,
    }
    print(as_json(report) if arguments.json else _as_text(report))
    return EXIT_OK if found.exact else EXIT_NOT_CONVERGED


def load_network(path: str, bias: bool) -> Network:
    """Read a network that `Network.save` wrote, or an archive with W1 and w2."""
    if is_skops(path):
        raise ValueError(
            f"{path} is a model of `train`: a gated network of standardised columns, certified already when it was "
            "trained (the gap is in the report of `train`). `certify` is for ReLU networks: save the arrays W1 and w2 "
            "of one with numpy.savez, or what cvxrelu.train_relu(...).to_network() returns with Network.save"
        )
    arrays = load_arrays(path, "a network")
    if isinstance(arrays, dict) and "format" in arrays:
        return Network.load(path)
    if not isinstance(arrays, dict) or not {"W1", "w2"} <= arrays.keys():
        raise ValueError(f"{path} is not a network: it needs arrays W1 and w2")
    unknown = sorted(arrays.keys() - {"W1", "w2", "gates", "skip", "output_bias"})
    if unknown:
        raise ValueError(
            f"{path} has an array {unknown[0]!r}, which is none of W1, w2, gates, skip and output_bias; biases of "
            "neurons are the last column of W1, with --bias"
        )
    try:
        return Network(**arrays, bias=bias)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path} is not a network: {error}") from None


def _as_text(report: dict[str, Any]) -> str:
    return as_table(
        [
            ("network", f"{report['network']}, {report['neurons']} neurons"),
            ("data", report["data"]),
            ("penalty", f"{report['beta']:.6g}"),
            ("objective", f"{report['upper_bound']:.10g}"),
            ("bound", f"{report['lower_bound']:.10g}: no ReLU network of any width has a lower objective"),
            ("gap", f"{report['gap']:.3e}"),
            ("relative gap", f"{report['relative_gap']:.2e}, of the objective of the zero network"),
            (
                "search",
                f"{report['nodes']} nodes in {report['seconds']:.3f} s"
                + ("" if report["exact"] else ", STOPPED EARLY: the bound is valid, and could be better"),
            ),
        ]
    )
