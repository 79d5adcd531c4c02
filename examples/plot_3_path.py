"""
The regularisation path
=======================

From the largest useful penalty down, patterns enter one after the other. Each solution starts from the one before, and
each has its own certificate.
"""

import cvxrelu
import matplotlib.pyplot as plt
import numpy as np
from cvxrelu import GatedReLURegressorCV
from cvxrelu.plot import RegularizationPathDisplay
from sklearn.datasets import load_diabetes
from sklearn.preprocessing import scale

X, y = load_diabetes(return_X_y=True)
X, y = scale(X), scale(y)
ones = np.column_stack([X, np.ones(len(X))])
patterns = cvxrelu.sample_patterns(ones, 300, gates="mixed", random_state=0)
path = cvxrelu.gated_path(ones, y, patterns, n_betas=40, beta_min_ratio=3e-2, n_threads=1)
print(f"{len(path)} solutions, the largest relative gap is {path.relative_gaps.max():.1e}")

# %%
# The penalty that cross-validation chooses is marked. Below it the network keeps learning, but no longer about the
# disease.

model = GatedReLURegressorCV(n_gates=300, n_betas=15, beta_min_ratio=3e-2, random_state=0, n_threads=1).fit(X, y)

figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4), layout="constrained")
RegularizationPathDisplay.from_path(path, chosen=model.beta_, ax=left)
right.errorbar(
    model.beta_ratios_,
    model.loss_path_.mean(axis=1),
    model.loss_path_.std(axis=1) / np.sqrt(model.loss_path_.shape[1]),
    marker="o",
    markersize=3,
    capsize=2,
)
right.axvline(model.beta_ratio_, color="0.5", linestyle="--")
right.set_xscale("log")
right.invert_xaxis()
right.set_xlabel("beta ratio")
right.set_ylabel("square error on folds held out")
plt.show()
