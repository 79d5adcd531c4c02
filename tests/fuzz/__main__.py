"""Runs cases in a child process, so that one that ends or hangs it is a find as well: see ``--help``."""

import argparse
import collections
import json
import queue
import signal
import subprocess
import sys
import threading
import time

PATIENCE = 120  # seconds for a case, which is far more than any should take


def child(first, cases):
    from .run import run

    for seed in range(first, first + cases):
        print(json.dumps(vars(run(seed))), flush=True)


def outcomes(first, cases):
    """Yield what became of every case; what ends the child, or takes too long, is told of the case at hand."""
    seed = first
    while seed < first + cases:
        command = [sys.executable, "-m", "fuzz", "--child", "--first", str(seed), "--cases", str(first + cases - seed)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        lines = queue.Queue()
        reader = threading.Thread(target=_read, args=(process, lines), daemon=True)
        reader.start()
        try:
            while seed < first + cases:
                try:
                    line = lines.get(timeout=PATIENCE)
                except queue.Empty:
                    line, said = None, f"no end within {PATIENCE} s"
                else:
                    said = "ended the process"
                if line is None:
                    process.kill()
                    yield {"seed": seed, "name": "?", "kind": "find", "text": f"{said} (exit {process.wait()})"}
                    seed += 1
                    break
                yield json.loads(line)
                seed += 1
        finally:
            process.kill()
            process.wait()


def _read(process, lines):
    for line in process.stdout:
        lines.put(line)
    lines.put(None)


def main():
    parser = argparse.ArgumentParser(prog="python -m fuzz", description=__doc__)
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument("--cases", type=int, default=2000, help="how many; the same numbers are the same cases")
    parser.add_argument("--seconds", type=float, help="stop after so many seconds")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        child(arguments.first, arguments.cases)
        return 0
    start, counts = time.monotonic(), collections.Counter()
    for outcome in outcomes(arguments.first, arguments.cases):
        counts[outcome["kind"]] += 1
        counts[f"{outcome['name']}: {outcome['kind']}"] += 1
        if outcome["kind"] == "find":
            print(f"case {outcome['seed']} ({outcome['name']}): {outcome['text']}", flush=True)
        if arguments.seconds is not None and time.monotonic() - start > arguments.seconds:
            break
    for name in sorted(counts):
        print(f"{counts[name]:7d} {name}")
    return 1 if counts["find"] else 0


if __name__ == "__main__":
    sys.exit(main())
