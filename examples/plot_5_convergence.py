"""
Convergence, and when to stop
=============================

Every pass over the patterns reports the objective and a bound from below. Their difference says how much is still to be
gained, so stopping is a decision and not a guess.
"""

import cvxrelu
import matplotlib.pyplot as plt
import numpy as np
from cvxrelu.plot import ConvergenceDisplay

rng = np.random.default_rng(0)
X = np.column_stack([rng.standard_normal((500, 8)), np.ones(500)])
y = np.maximum(X[:, 0], X[:, 1]) + 0.5 * np.abs(X[:, 2] - X[:, 3]) + 0.1 * rng.standard_normal(500)
patterns = cvxrelu.sample_patterns(X, 800, gates="mixed", random_state=0)

# %%
# On the left a large penalty, on the right a small one, which takes more passes and uses more patterns.

figure, axes = plt.subplots(1, 2, figsize=(11, 4), layout="constrained")
for ax, ratio in zip(axes, (0.1, 0.01), strict=True):
    history = []
    beta = ratio * cvxrelu.beta_max(X, y, patterns)
    solution = cvxrelu.solve_gated(X, y, patterns, beta, tol=1e-10, n_threads=1, callback=history.append)
    ConvergenceDisplay.from_history(history, ax=ax)
    ax.set_title(f"beta = {ratio} of the largest, {len(solution.active)} patterns active", fontsize=10)
plt.show()

# %%
# A callback that returns True stops the solver with the best solution so far and its true gap:

with_patience = cvxrelu.solve_gated(
    X, y, patterns, beta, tol=1e-3, n_threads=1, callback=lambda state: state["gap"] < 1e-3 * state["objective"]
)
print(with_patience)
