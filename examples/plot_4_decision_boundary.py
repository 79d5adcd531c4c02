"""
Decision boundaries
===================

The classifiers work with scikit-learn's own displays. Gated networks draw their boundaries piecewise, ReLU networks
continuously, kernels smoothly.
"""

import matplotlib.pyplot as plt
from cvxrelu import GatedReLUClassifier, MKLClassifier, NTKClassifier, ReLUClassifier
from sklearn.datasets import make_moons
from sklearn.inspection import DecisionBoundaryDisplay
from sklearn.preprocessing import scale

X, y = make_moons(120, noise=0.25, random_state=0)
X = scale(X)
models = [
    GatedReLUClassifier(random_state=0, n_threads=1),
    ReLUClassifier(beta_ratio=0.01, tol=1e-3, random_state=0, n_threads=1),
    MKLClassifier(random_state=0, n_threads=1),
    NTKClassifier(n_threads=1),
]

figure, axes = plt.subplots(1, 4, figsize=(13, 3.5), sharey=True, layout="constrained")
for ax, model in zip(axes, models, strict=True):
    model.fit(X, y)
    DecisionBoundaryDisplay.from_estimator(
        model, X, response_method="decision_function", plot_method="contourf", levels=20, cmap="RdBu", alpha=0.7, ax=ax
    )
    DecisionBoundaryDisplay.from_estimator(
        model, X, response_method="predict", plot_method="contour", levels=[0.5], colors="k", linewidths=1, ax=ax
    )
    ax.scatter(*X.T, c=y, cmap="RdBu", edgecolor="k", linewidth=0.5, s=18)
    gap = getattr(model, "dual_gap_", None)
    ax.set_title(type(model).__name__ + ("" if gap is None else f"\nobjective within {gap:.0e}"), fontsize=10)
    ax.set(xlabel="", ylabel="", xticks=[], yticks=[])
plt.show()
