#!/bin/bash
# SciPy 1.17.1, scipy.optimize.linprog (HiGHS): a coefficient of 1e-9 is taken for zero.
# Behaviour: "minimise x subject to 1e-9 x >= 1e-9" is said to be unbounded. With 2e-9 on both sides the answer is x = 1.
# Expected: x = 1 for both, or an error that the row is out of range; scaling a row is harmless on paper.
# Why it matters: programs that decide whether a cell of an arrangement is empty lose cells; the status is a proof of
# the wrong thing. HiGHS's own small_matrix_value (1e-9) is the threshold, and linprog has no option for it.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check scipy==1.17.1 numpy==2.4.6
"$folder/venv/bin/python" - <<'PYTHON'
import sys
from scipy.optimize import linprog

seen = {}
for c in (1e-9, 2e-9):
    # The second row, y <= x + 5, only keeps the program from being empty.
    result = linprog([1.0, 0.0], A_ub=[[-c, 0.0], [-1.0, 1.0]], b_ub=[-c, 5.0], bounds=(None, None))
    seen[c] = result.status, None if result.x is None else float(result.x[0])
    print(f"coefficient {c:g}: status {result.status}, x = {seen[c][1]}: {result.message[:40]}")
sys.exit(seen != {1e-9: (3, None), 2e-9: (0, 1.0)})
PYTHON
