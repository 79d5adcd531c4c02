#!/bin/bash
# celer 0.7.4 beside scikit-learn 1.9.1: every class that chooses its penalty raises at once.
# Behaviour: pip installs the two together without complaint; Lasso and GroupLasso fit; LassoCV, GroupLassoCV,
# ElasticNetCV and MultiTaskLassoCV end with a TypeError, "unexpected keyword argument 'n_alphas'".
# Expected: pip's requirements keep out versions that do not work, or the classes work.
# Why it matters: a comparison that tunes both sides cannot use celer's own cross-validation; scikit-learn 1.8 or a loop
# over alpha can.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check celer==0.7.4 scikit-learn==1.9.1 numpy==2.4.6 scipy==1.17.1
"$folder/venv/bin/pip" check --disable-pip-version-check
"$folder/venv/bin/python" - <<'PYTHON'
import sys
import celer
import numpy as np

rng = np.random.default_rng(0)
X = rng.standard_normal((30, 6))
y = X[:, 0] + 0.1 * rng.standard_normal(30)
celer.GroupLasso(groups=2, alpha=0.1).fit(X, y)
raised = []
for name, settings in [("LassoCV", {}), ("ElasticNetCV", {}), ("GroupLassoCV", {"groups": 2}), ("MultiTaskLassoCV", {})]:
    try:
        getattr(celer, name)(cv=3, **settings).fit(X, y)
        print(f"{name}: fits")
    except TypeError as error:
        raised.append(name)
        print(f"{name}: {error}")
sys.exit(len(raised) != 4)
PYTHON
