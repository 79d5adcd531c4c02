#!/bin/bash
# asgl 2.2.0, Regressor: coefficients below tol = 1e-3, the default, are set to zero after the fit.
# Behaviour: features times 10,000 turn an exact least-squares fit into the zero model, without a warning.
# Expected: `tol` of a solver is the accuracy of the objective; without a penalty predictions do not depend on units.
# Why it matters: a comparison on features that are not standardised finds "no signal", and the sparsity that is
# reported is partly the threshold's.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check asgl==2.2.0 numpy==2.4.6
"$folder/venv/bin/python" - <<'PYTHON'
import sys
import warnings
import asgl
import numpy as np

X = np.random.default_rng(0).standard_normal((50, 3))
y = X @ [1.0, 2.0, 3.0]
coefs = {}
with warnings.catch_warnings():
    warnings.simplefilter("error", UserWarning)
    for scale in (1.0, 1e4):
        model = asgl.Regressor(model="lm", penalization=None, fit_intercept=False).fit(scale * X, y)
        coefs[scale] = model.coef_
        print(f"features times {scale:g}: coefficients {model.coef_}, right ones {np.array([1, 2, 3]) / scale}")
sys.exit(not (np.allclose(coefs[1.0], [1, 2, 3]) and not coefs[1e4].any()))
PYTHON
