"""
From the neural tangent kernel to the optimum
=============================================

The neural tangent kernel of a gated ReLU network is one mixture of *masking kernels* :math:`K_i = D_i X X^T D_i`, whose
weights are the probabilities that a random gate has the activation pattern :math:`D_i`. They do not depend on the
targets. Training the network learns these weights: multiple kernel learning. On five samples of one feature everything
can be seen: there are nine patterns beside the one that is never active, and their probabilities are known exactly.
"""

import cvxrelu
import matplotlib.pyplot as plt
import numpy as np
from cvxrelu.plot import KernelWeightsDisplay

t = np.array([-1.0, -0.4, 0.1, 0.5, 1.0])
X = np.column_stack([t, np.ones(5)])
y = np.array([0.5, -0.3, 0.8, -0.2, 0.4])
patterns = cvxrelu.enumerate_patterns(X)
beta = 0.01

# %%
# Reweighting starts from the weights of the neural tangent kernel and multiplies each by
# :math:`\|X^T D_i r\| / \beta`, r the residual of kernel ridge regression. The objective never rises. Its first steps
# gain most, its last digits take thousands of iterations; the solver of the group lasso gives those at once, with a
# certificate.

reweighting = cvxrelu.solve_mkl(
    X, y, patterns, beta, init="ntk", max_iter=3000, relaxation=0.5, finish=False, tol=1e-9, n_threads=1
)
optimum = cvxrelu.solve_mkl(X, y, patterns, beta, tol=1e-12, n_threads=1)
print(f"kernel ridge regression with the NTK {reweighting.history.objective[0]:.10f}")
print(f"the optimum                          {optimum.objective:.10f}, within {optimum.gap:.0e}")

figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.8), layout="constrained")
steps = np.arange(1, len(reweighting.history) + 1)
left.plot(steps, reweighting.history.objective, color="C0", lw=2, label="reweighting")
left.axhline(reweighting.history.objective[0], color="0.55", ls="--", lw=1, label="neural tangent kernel")
left.axhline(optimum.objective, color="C3", ls="--", lw=1, label="certified optimum")
left.set(xscale="log", xlabel="iteration", ylabel="objective")
left.legend(frameon=False, fontsize="small")
excess = np.maximum(reweighting.history.objective - optimum.objective, 1e-16)
right.plot(steps, reweighting.history.gap, color="0.55", lw=1.5, label="duality gap")
right.plot(steps, excess, color="C0", lw=2, label="above the optimum")
right.set(xscale="log", yscale="log", xlabel="iteration")
right.legend(frameon=False, fontsize="small")
plt.show()

# %%
# The weights, with the cells in the order in which the gate meets them on the circle: the neural tangent kernel spreads
# its weight over all, the optimum needs a few.

figure, ax = plt.subplots(figsize=(6.4, 3.6), layout="constrained")
KernelWeightsDisplay.from_solution(optimum, order="angle", ax=ax)
plt.show()

# %%
# The functions, with the same penalty. Between the samples they bend where the gates of their patterns do.

line = np.linspace(-1.3, 1.3, 600)
Z = np.column_stack([line, np.ones(line.size)])
K = cvxrelu.ntk(X)
ridge = cvxrelu.ntk(X, Z) @ np.linalg.solve(K + beta * np.eye(5), y)
figure, ax = plt.subplots(figsize=(6.4, 3.8), layout="constrained")
ax.plot(line, ridge, color="0.55", lw=1.8, label="neural tangent kernel")
ax.plot(line, optimum.predict(Z, at="refined"), color="C0", lw=1.8, label="optimal kernel")
ax.plot(t, y, "o", color="k", ms=5, label="samples")
ax.set(xlabel="x", ylabel="f(x)")
ax.legend(frameon=False, fontsize="small")
plt.show()
