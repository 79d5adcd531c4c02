"""
How good is a network that somebody else trained?
=================================================

:func:`cvxrelu.certify` takes the weights of any two-layer ReLU network and bounds how far its objective is from the
best one of every width. Here networks of several widths are trained by L-BFGS from random weights, and compared with
the bound and with the certified optimum.
"""

# %%
# The usual way: random weights, a local optimiser, and no idea what a better seed would give.

import cvxrelu
import matplotlib.pyplot as plt
import numpy as np
from scipy.optimize import minimize

rng = np.random.default_rng(1)
X = np.column_stack([rng.standard_normal((60, 2)), np.ones(60)])  # two features and a bias
y = np.sin(2 * X[:, 0]) * X[:, 1] + 0.1 * rng.standard_normal(60)
beta = 0.1


def train_locally(width, seed):
    """Weights (W1, w2) where L-BFGS ended, and their objective."""
    start = 0.5 * np.random.default_rng(seed).standard_normal(width * 4)

    def objective(weights):
        W1, w2 = weights[: 3 * width].reshape(width, 3), weights[3 * width :]
        hidden = np.maximum(X @ W1.T, 0)
        residual = hidden @ w2 - y
        back = np.outer(residual, w2) * (hidden > 0)
        gradient = np.concatenate([(back.T @ X + beta * W1).ravel(), hidden.T @ residual + beta * w2])
        return 0.5 * residual @ residual + 0.5 * beta * weights @ weights, gradient

    end = minimize(objective, start, jac=True, method="L-BFGS-B", options={"maxiter": 2000})
    return (end.x[: 3 * width].reshape(width, 3), end.x[3 * width :]), end.fun


widths, seeds = (4, 8, 16, 64), range(12)
results = {width: [train_locally(width, seed) for seed in seeds] for width in widths}

# %%
# Their certificate, and the optimum:

best, value = min((result for runs in results.values() for result in runs), key=lambda result: result[1])
certificate = cvxrelu.certify(X, y, best, beta, n_threads=1)
print("best of 48 runs: ", certificate)
optimum = cvxrelu.train_relu(X, y, beta, random_state=0, n_threads=1)
print("global optimum:  ", optimum)
print(f"the best run is {value / optimum.objective - 1:.2%} above the optimum")

# %%
# A picture of all runs. The two bounds hold for every width; the lower one comes from the best run alone.

figure, ax = plt.subplots(figsize=(7, 4), layout="constrained")
for position, width in enumerate(widths):
    values = [value for _, value in results[width]]
    jitter = np.linspace(-0.15, 0.15, len(values))
    ax.scatter(position + jitter, values, s=22, color="C0", label="L-BFGS, 12 seeds" if position == 0 else None)
ax.axhline(optimum.objective, color="C1", label="certified optimum of every width")
ax.axhline(certificate.lower_bound, color="C2", linestyle="--", label="bound from the best run's own residual")
ax.set_xticks(range(len(widths)), [f"{width}" for width in widths])
ax.set_yscale("log")
ax.set_yticks([1.4, 1.6, 2, 3, 5, 8], ["1.4", "1.6", "2", "3", "5", "8"])
ax.minorticks_off()
ax.set_xlabel("neurons")
ax.set_ylabel("training objective")
ax.legend(fontsize=9)
plt.show()

# %%
# The same works for a ``torch.nn.Sequential(Linear, ReLU, Linear)`` and for a fitted ``MLPRegressor``: pass it in place
# of ``(W1, w2)``, and the data without the column of ones. Biases of its hidden layer count as weights of such a
# column; that of its output is free, in the networks that the bound is about as well.
