#!/bin/bash
# adelie 1.1.52, grpnet: a column with a NaN is left out of the model without a word.
# Behaviour: one NaN among 250 entries; the fit ends normally, the coefficient of that column is zero, and those of the
# others have moved by up to a sixth.
# Expected: an error that names the entry, or NaN in the result.
# Why it matters: a gap in a table looks like a feature that does not matter.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check adelie==1.1.52 numpy==1.26.4
"$folder/venv/bin/python" - <<'PYTHON'
import sys
import adelie as ad
import numpy as np

X = np.asfortranarray(np.random.default_rng(0).standard_normal((50, 5)))
y = X @ np.arange(5.0)
coefs = []
for entry in (X[3, 2], np.nan):
    X[3, 2] = entry
    state = ad.grpnet(X, ad.glm.gaussian(y), lmda_path=np.array([0.1]), early_exit=False, progress_bar=False)
    coefs.append(state.betas.toarray()[0])
    print(f"X[3, 2] = {entry:.3g}: coefficients {coefs[-1].round(3)}")
clean, gap = coefs
sys.exit(not (clean[2] > 1.5 and gap[2] == 0 and np.isfinite(gap).all() and abs(gap - clean).max() > 0.1))
PYTHON
