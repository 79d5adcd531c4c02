"""
Fixing the neural tangent kernel
================================

The neural tangent kernel weighs all activation patterns by chance. Where the targets have structure, here thresholds of
single features among ten, the learned mixture finds the few patterns that matter.
"""

import cvxrelu
import matplotlib.pyplot as plt
import numpy as np
from cvxrelu.plot import KernelMatrixDisplay, KernelWeightsDisplay
from sklearn.ensemble import GradientBoostingRegressor

rng = np.random.default_rng(0)


def target(X):
    return np.where(X[:, 0] > 0.2, 1 + X[:, 1], -1 - X[:, 1]) + 0.7 * (X[:, 2] > 0.4)


X, Z = rng.uniform(-1, 1, (400, 10)), rng.uniform(-1, 1, (4000, 10))
y = target(X) + 0.3 * rng.standard_normal(len(X))

# %%
# Both choose their penalty by cross-validation. Every second gate is Gaussian, the others compare one feature with a
# threshold. Boosted trees, which are made of such thresholds, are better still on targets like these.

ntk = cvxrelu.NTKRegressorCV(n_threads=1).fit(X, y)
mkl = cvxrelu.MKLRegressorCV(n_gates=500, gates="mixed", random_state=0, n_threads=1).fit(X, y)
trees = GradientBoostingRegressor(random_state=0).fit(X, y)
scores = {}
for name, model in (("neural tangent kernel", ntk), ("optimal kernel", mkl), ("boosted trees", trees)):
    scores[name] = model.score(Z, target(Z))
    print(f"{name:<22} R2 on unseen data {scores[name]:.3f}")

# %%
# The functions of the first two features, with the others at 0.

side = np.linspace(-1, 1, 160)
grid = np.zeros((side.size**2, 10))
grid[:, :2] = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)
pictures = {"targets without noise": target(grid)}
for name, model in (("neural tangent kernel", ntk), ("optimal kernel", mkl)):
    pictures[f"{name}, R² {scores[name]:.2f}"] = model.predict(grid)
figure, axes = plt.subplots(1, 3, figsize=(11, 3.6), layout="constrained", sharey=True)
limit = np.abs(pictures["targets without noise"]).max()
for ax, (name, values) in zip(axes, pictures.items(), strict=True):
    image = ax.imshow(
        values.reshape(side.size, -1), origin="lower", extent=(-1, 1, -1, 1), cmap="RdBu_r", vmin=-limit, vmax=limit
    )
    ax.set_title(name, fontsize="medium")
axes[0].plot(*X[:, :2].T, ".", color="k", ms=2)
axes[0].set_ylabel("$x_2$")
for ax in axes:
    ax.set_xlabel("$x_1$")
figure.colorbar(image, ax=axes, shrink=0.85)
plt.show()

# %%
# The kernel matrices on the training samples, sorted by their targets: that of a network with the gates drawn, and the
# mixture that was learned. The alignment is the cosine of the angle to the
# matrix :math:`y y^T`, in which samples are as similar as their targets.

KernelMatrixDisplay.from_solution(mkl.solution_, y)
plt.show()

# %%
# The weights before and after.

figure, ax = plt.subplots(figsize=(7, 3.6), layout="constrained")
KernelWeightsDisplay.from_solution(mkl.solution_, ax=ax)
plt.show()
