#!/bin/bash
# scikit-learn 1.9.1, MLPRegressor: the penalty of a given alpha depends on the solver and on batch_size.
# Behaviour: the same network, data (1000 rows) and alpha = 20: the fitted slope, whose right value is 1 - penalty / 1000, is
# 0.98 under lbfgs, 0.8 under adam with 100 rows a minibatch and 0.96 with 500.
# Expected: the documented loss, squared error / (2 n) + alpha ||W||^2 / (2 n), whatever minimises it.
# Why it matters: each minibatch divides alpha by its own rows, so an epoch counts it n / batch_size times. Tuned values do
# not carry over from lbfgs to adam, to other numbers of rows, or to another package: alpha n / batch_size does.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check scikit-learn==1.9.1 numpy==2.4.6 scipy==1.17.1
"$folder/venv/bin/python" -W ignore - <<'PYTHON'
import sys
import numpy as np
from sklearn.neural_network import MLPRegressor

n, alpha = 1000, 20.0
x = np.tile([1.0, -1.0], n // 2)
adam = {"solver": "adam", "learning_rate_init": 0.01, "max_iter": 200, "n_iter_no_change": 200}
wrong = False
for name, settings, penalty in [
    ("lbfgs", {"solver": "lbfgs"}, alpha),
    ("adam, 100 rows", adam | {"batch_size": 100}, alpha * n / 100),
    ("adam, 500 rows", adam | {"batch_size": 500}, alpha * n / 500),
]:
    # One neuron without a nonlinearity, x -> w a x: weight decay shrinks the slope w a to 1 - penalty / n.
    model = MLPRegressor(hidden_layer_sizes=(1,), activation="identity", alpha=alpha, random_state=0, **settings)
    model.fit(x[:, None], x)
    slope = (model.coefs_[0] @ model.coefs_[1]).item()
    print(f"{name}: slope {slope:.4f}, {1 - penalty / n:.4f} for a penalty of {penalty:g}")
    wrong |= abs(slope - (1 - penalty / n)) > 5e-3
sys.exit(wrong)
PYTHON
