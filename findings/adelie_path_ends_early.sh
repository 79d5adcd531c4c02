#!/bin/bash
# adelie 1.1.52, grpnet: a path that was given explicitly comes back shorter, without a word.
# Behaviour: five values in lmda_path, one solution in the result: the path ends where 90 % of the deviance is explained
# (early_exit=True is the default, for given paths too).
# Expected: as many solutions as penalties were given; glmnet's rule is for the path that it makes itself.
# Why it matters: indexing the result by the position of a penalty takes the wrong model or fails; a comparison at small
# penalties compares nothing.
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
path = np.array([1.0, 0.5, 0.1, 0.05, 0.01])
counts = {}
for early_exit in (None, False):
    given = {} if early_exit is None else {"early_exit": early_exit}
    state = ad.grpnet(X, ad.glm.gaussian(y), lmda_path=path, progress_bar=False, **given)
    counts[early_exit] = state.betas.shape[0]
    print(f"{given or 'by default'}: {len(path)} penalties, {counts[early_exit]} solutions")
sys.exit(counts != {None: 1, False: 5})
PYTHON
