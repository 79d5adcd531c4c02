#!/bin/bash
# dask 2026.8.0, dask.array.linalg.lstsq: singular values come from R' R, and are NaN or noise below 1e-8 of the largest.
# Behaviour: a matrix of rank 4 with 5 columns, and one of full rank with condition 1e10: the least singular value is NaN
# in both, where NumPy says 6e-16 and 1.000e-10.
# Expected: those of numpy.linalg.lstsq, whose interface it has; a QR factorisation is at hand and its R has them.
# Why it matters: rank and condition are judged by them, and the usual test s < tol is false for NaN.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check 'dask[array]==2026.8.0' numpy==2.4.6 scipy==1.17.1 # lstsq imports it
"$folder/venv/bin/python" -W ignore - <<'PYTHON'
import sys
import dask.array as da
import numpy as np

rng = np.random.default_rng(0)
deficient = rng.standard_normal((30, 5))
deficient[:, 3] = deficient[:, 0] + deficient[:, 1]
U, V = (np.linalg.qr(rng.standard_normal((m, 3)))[0] for m in (30, 3))
conditioned = U * [1.0, 1e-3, 1e-10] @ V.T
least = {}
for name, A in {"rank 4 of 5": deficient, "condition 1e10": conditioned}.items():
    y = A[:, 0]
    theirs = da.linalg.lstsq(da.from_array(A, chunks=(10, -1)), da.from_array(y, chunks=10))[3].compute()
    numpys = np.linalg.lstsq(A, y)[3]
    least[name] = theirs[-1], numpys[-1]
    print(f"{name}: least singular value {theirs[-1]:.4g} by dask, {numpys[-1]:.4g} by NumPy")
wrong, right = least["condition 1e10"]
sys.exit(not (np.isnan(least["rank 4 of 5"][0]) and abs(right / 1e-10 - 1) < 1e-4 and not 0.5 < wrong / 1e-10 < 2))
PYTHON
