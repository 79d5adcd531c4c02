"""The paper's experiments: python -m bench.paper EXPERIMENT; `EXPERIMENT --help` says more."""

import sys

from bench.paper import gates, uci

EXPERIMENTS = {"gates": gates.main, "uci": uci.main}

if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1] not in EXPERIMENTS:
        sys.exit(f"{__doc__}\nexperiments: {', '.join(EXPERIMENTS)}")
    EXPERIMENTS[sys.argv[1]](sys.argv[2:])
