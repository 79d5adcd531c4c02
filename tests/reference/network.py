"""Two-layer networks, one neuron and one sample at a time."""

import numpy as np


def predict(W1, w2, gates, Z):
    """Values of shape (n,) or (n, c); `gates` None means ReLU."""
    output = np.zeros((len(Z), *w2.shape[1:]))
    for j, z in enumerate(Z):
        for k in range(len(W1)):
            pre = float(z @ W1[k])
            active = pre > 0 if gates is None else z @ gates[k] >= 0
            if active:
                output[j] += pre * w2[k]
    return output


def objective(W1, w2, gates, X, y, beta):
    """1/2 ||f(X) - y||^2 + beta/2 sum_j (||w1_j||^2 + ||w2_j||^2)."""
    loss = sum(float(np.sum((f - t) ** 2)) for f, t in zip(predict(W1, w2, gates, X), y, strict=True)) / 2
    decay = sum(float(np.sum(w**2)) for w in W1) + sum(float(np.sum(w**2)) for w in w2)
    return loss + beta / 2 * decay
