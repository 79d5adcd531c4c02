#!/bin/bash
# CVXPY 1.9.3 with Clarabel 0.11.1: a program whose optimal value is tiny is "optimal" at a wrong point.
# Behaviour: least squares plus lambda ||w||, targets and lambda times 1e-8: the status is "optimal", the value is 4 % too
# high and the penalty has done nothing (w is the plain least-squares solution). At scale 1 eight digits are right.
# Expected: the program is homogeneous, so w scales with the targets; or the status "optimal_inaccurate".
# Why it matters: its absolute gap tolerance, 1e-8, is met by any point where the value is below 1e-8. Whoever uses a conic
# solver for an oracle must scale the data, or set tol_gap_abs to the size of the value.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check cvxpy==1.9.3 clarabel==0.11.1 numpy==2.4.6 scipy==1.17.1
"$folder/venv/bin/python" - <<'PYTHON'
import sys
import cvxpy as cp
import numpy as np

X = np.random.default_rng(0).standard_normal((50, 3))
y = X @ [1.0, 2.0, 3.0]
penalty = 0.1 * abs(X.T @ y).max()
found = {}
for scale in (1.0, 1e-8):
    w = cp.Variable(3)
    loss = 0.5 * cp.sum_squares(X @ w - scale * y)
    problem = cp.Problem(cp.Minimize(loss + scale * penalty * cp.norm(w)))
    problem.solve(solver=cp.CLARABEL)
    found[scale] = w.value / scale
    print(f"scale {scale:g}: {problem.status}, w / scale = {found[scale]}, value / scale^2 = {problem.value / scale**2}")
    assert problem.status == "optimal"
sys.exit(not (abs(found[1.0] - [1, 2, 3]).max() > 0.1 and abs(found[1e-8] - [1, 2, 3]).max() < 1e-4))
PYTHON
