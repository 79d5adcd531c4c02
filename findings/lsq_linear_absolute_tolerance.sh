#!/bin/bash
# SciPy 1.17.1, scipy.optimize.lsq_linear: its tolerance is absolute in the units of the targets.
# Behaviour: with bounds, targets times 1e-12 give coefficients that are a million times too large, and status 1, "the
# first-order optimality measure is less than tol". The targets as they are give four right digits.
# Expected: min ||A x - b|| is homogeneous, so the answer scales with b; scipy.optimize.nnls solves both alike.
# Why it matters: targets in SI units (farads, metres of a cell) are of such a size, and success is reported.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check scipy==1.17.1 numpy==2.4.6
"$folder/venv/bin/python" - <<'PYTHON'
import sys
import numpy as np
from scipy.optimize import lsq_linear, nnls

A = np.random.default_rng(0).standard_normal((20, 4))
truth = np.array([1.0, 2.0, 0.0, 3.0])
errors = {}
for scale in (1.0, 1e-12):
    result = lsq_linear(A, A @ truth * scale, bounds=(0, np.inf))
    errors[scale] = abs(result.x / scale - truth).max()
    other = abs(nnls(A, A @ truth * scale)[0] / scale - truth).max()
    print(f"targets times {scale:g}: status {result.status}, largest error {errors[scale]:.1e}, of nnls {other:.0e}")
    assert result.status == 1 and other < 1e-12
sys.exit(not (errors[1.0] < 1e-4 and errors[1e-12] > 1e3))
PYTHON
