#!/bin/bash
# skglm 0.5, GroupLasso: n_iter_ is max_iter whatever happened, and reaching max_iter is not told.
# Behaviour: with max_iter 1, 50 and 500 n_iter_ is 1, 50 and 500, without a ConvergenceWarning in any of them, though the
# second and third are the same to the last bit (5 iterations suffice) and the first is 37 % above the optimum.
# Expected: as in scikit-learn, iterations that were run, and a warning where the criterion was not met.
# Why it matters: the usual check, n_iter_ < max_iter or no warning, says "not converged" of good fits and lets bad ones
# pass. The attribute stop_crit_ against tol is the one that tells.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check skglm==0.5 scikit-learn==1.9.1 numpy==2.4.6 scipy==1.17.1
"$folder/venv/bin/python" - <<'PYTHON'
import sys
import warnings
import numpy as np
from skglm import GroupLasso

rng = np.random.default_rng(0)
n, p, d = 60, 20, 3
A = rng.standard_normal((n, p * d))
y = A @ (rng.standard_normal(p * d) * (rng.random(p * d) < 0.2)) + 0.1 * rng.standard_normal(n)
alpha = 0.01 * np.linalg.norm((A.T @ y).reshape(p, d), axis=1).max() / n


def objective(w):
    return 0.5 / n * ((A @ w - y) ** 2).sum() + alpha * np.linalg.norm(w.reshape(p, d), axis=1).sum()


GroupLasso(groups=d, alpha=1.0, fit_intercept=False).fit(A, y)  # compiles, and may warn of that
found = {}
for max_iter in (1, 50, 500):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model = GroupLasso(groups=d, alpha=alpha, fit_intercept=False, max_iter=max_iter).fit(A, y)
    found[max_iter] = objective(model.coef_)
    print(
        f"max_iter={max_iter}: n_iter_ {model.n_iter_}, objective {found[max_iter]:.6f}, "
        f"stop_crit_ {model.stop_crit_:.1e} (tol {model.tol:g}), {len(caught)} warnings"
    )
    assert model.n_iter_ == max_iter and not caught
sys.exit(not (found[50] == found[500] and found[1] > 1.2 * found[50]))
PYTHON
