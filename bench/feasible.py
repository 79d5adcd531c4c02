"""When all patterns are in reach: their number and bytes for n samples and d features, and seconds where it was run.

    python -m bench.feasible --out docs/feasible_table.md

For samples in general position (Gaussian here) the number of patterns is `pattern_bound`; data with ties, one-hot
columns or repeated rows have fewer. Bytes are those of the packed patterns and their gates, as `enumerate_patterns`
returns them. Rows of up to --run patterns are counted and enumerated here, one thread, and the count is checked.
"""

import argparse
import time
from pathlib import Path

import cvxrelu
import numpy as np

SIZES = {
    2: (100, 1000, 10000),
    3: (100, 500, 2000),
    4: (50, 200, 500),
    5: (30, 100, 200),
    7: (20, 40, 100),
    10: (15, 30),
}
PREFIXES = ("", "k", "M", "G", "T", "P", "E")


def short(value):
    """Three digits and a prefix of SI."""
    power = 0
    while value >= 1000 and power < len(PREFIXES) - 1:
        value, power = value / 1000, power + 1
    return f"{value:.3g} {PREFIXES[power]}".strip()


def row(n, d, run):
    """One line of the table; times only where there are at most `run` patterns."""
    patterns = cvxrelu.pattern_bound(n, d)
    size = patterns * 8 * ((n + 63) // 64 + d)
    cells = [str(n), str(d), short(patterns), short(size) + "B"]
    if patterns > run:
        return [*cells, "", ""]
    X = np.random.default_rng(0).standard_normal((n, d))
    start = time.perf_counter()
    count = cvxrelu.count_patterns(X, n_threads=1)
    counted = time.perf_counter() - start
    start = time.perf_counter()
    found = cvxrelu.enumerate_patterns(X, n_threads=1)
    seconds = time.perf_counter() - start
    if not count == len(found) == patterns:
        raise RuntimeError(f"n={n}, d={d}: {count} counted, {len(found)} found, {patterns} expected")
    return [*cells, f"{counted:.2g}", f"{seconds:.2g}"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=float, default=3e6, metavar="P", help="enumerate up to P patterns (default 3e6)")
    parser.add_argument("--out", type=Path, metavar="FILE.md", help="where to write the table as well")
    arguments = parser.parse_args()
    lines = [
        "| n | d | patterns | bytes | seconds to count | seconds to list |",
        "|---:|---:|---:|---:|---:|---:|",
        *("| " + " | ".join(row(n, d, arguments.run)) + " |" for d, sizes in SIZES.items() for n in sizes),
    ]
    table = "\n".join([*lines, "", "Made by `python -m bench.feasible --out FILE`.", ""])
    if arguments.out:
        arguments.out.write_text(table)
    print(table)


if __name__ == "__main__":
    main()
