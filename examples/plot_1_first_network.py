"""
A first network, and the proof that it is the best one
=======================================================

A ReLU network with one input is a piecewise linear curve. This one is trained on noisy samples of a smooth function,
over networks of every width, and comes with a bound that none of them can beat.
"""

# %%
# The penalty decides how many kinks the curve can afford. ``certificate_`` covers every width and every choice of
# weights: the objective that was reached, and a bound from below for all of them.

import matplotlib.pyplot as plt
import numpy as np
from cvxrelu import ReLURegressor

rng = np.random.default_rng(0)
x = np.sort(rng.uniform(-3, 3, 60))
y = np.sin(2 * x) + 0.3 * x + 0.2 * rng.standard_normal(x.size)
line = np.linspace(-3.2, 3.2, 600)

figure, axes = plt.subplots(1, 3, figsize=(11, 3.4), sharey=True, layout="constrained")
for ax, ratio in zip(axes, (0.1, 0.01, 0.001), strict=True):
    model = ReLURegressor(beta_ratio=ratio, random_state=0, n_threads=1).fit(x[:, None], y)
    print(f"beta ratio {ratio}: {model.certificate_}")
    network = model.network_
    kinks = -network.W1[:, 1] / network.W1[:, 0]
    kinks = kinks[np.abs(kinks) < 3.2]
    ax.scatter(x, y, s=12, color="0.6", label="samples")
    ax.plot(line, np.sin(2 * line) + 0.3 * line, "--", color="0.4", linewidth=1, label="truth")
    ax.plot(line, model.predict(line[:, None]), color="C0", label="network")
    ax.plot(kinks, model.predict(kinks[:, None]), "o", color="C1", markersize=5, label="kinks")
    ax.set_title(f"{network.n_neurons} neurons, relative gap {model.certificate_.relative_gap:.0e}", fontsize=10)
    ax.set_xlabel(f"x   (beta_ratio={ratio})")
axes[0].legend(fontsize=8)
plt.show()

# %%
# There is nothing to repeat with other seeds: whatever trains a two-layer ReLU network with this weight decay, on these
# samples, ends at or above the bound. What the samples cannot tell is which of the three curves is the truth. That is
# what held-out data is for, and :class:`~cvxrelu.GatedReLURegressorCV` and its siblings do it.
