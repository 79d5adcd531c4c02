"""The best affine combination of iterates, found from what passes said of each."""

from __future__ import annotations

import numpy as np

from ..base.arrays import FloatArray
from ..base.scaling import binary_order, shifted
from .sums import Iterate

_STEPS = 20


def best_combination(iterates: list[Iterate], threshold: FloatArray, ridge: float) -> tuple[FloatArray, FloatArray]:
    """Return coefficients and gradient where the objective is smallest over affine combinations of the iterates.

    The loss is quadratic, so that gradients at the iterates give it, and its gradient, at all combinations. The
    penalty, ``threshold_i = beta omega_i``, is majorised by ``||w|| <= (||w||^2 / l + l) / 2`` at the lengths l of the
    combination before. Powers of two are taken out of coefficients and of gradients.
    """
    last = iterates[-1]
    if len(iterates) == 1:
        return last.dense(), last.correlations
    points = np.stack([other.dense() for other in iterates])
    gradients = np.stack([other.correlations for other in iterates])
    k, a = binary_order(points), binary_order(gradients)
    points, gradients = shifted(points, -k), shifted(gradients, -a)
    threshold, ridge = shifted(threshold, -a), shifted(ridge, k - a)
    base, slopes = points[-1], gradients[-1]
    steps, changes = points[:-1] - base, gradients[:-1] - slopes
    curvature = -np.einsum("ikm,jkm->ij", changes, steps)
    curvature = 0.5 * (curvature + curvature.T)
    slope = np.einsum("km,ikm->i", slopes, steps)
    weights = np.zeros(len(steps))
    used = np.flatnonzero(steps.any(axis=(0, 1)) | base.any(axis=0))
    steps_used, base_used, threshold = steps[:, :, used], base[:, used], threshold[used]
    for _ in range(_STEPS):
        point = base_used + np.tensordot(weights, steps_used, 1)
        lengths = np.linalg.norm(point, axis=0)
        inverse = threshold / np.maximum(lengths, 1e-8 * lengths.max(initial=1e-300)) + ridge
        matrix = curvature + np.einsum("ikm,jkm,m->ij", steps_used, steps_used, inverse)
        right = slope - np.einsum("ikm,km,m->i", steps_used, base_used, inverse)
        weights = np.linalg.lstsq(matrix, right, rcond=1e-12)[0]
    centre, gradient = base + np.tensordot(weights, steps, 1), slopes + np.tensordot(weights, changes, 1)
    return shifted(centre, k), shifted(gradient, a)
