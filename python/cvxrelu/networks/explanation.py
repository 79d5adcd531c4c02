"""The linear map that a network is around a point, exactly."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from ..base.arrays import FloatArray
from ..base.scaling import row_lengths


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Explanation:
    """What a network computes at a point, or at each of m points, which then come first in every shape.

    A two-layer network is linear wherever the same neurons are active: ``f(z) = intercept + z . coef`` for every z in
    the cell of the point, so that the contributions of the features and the intercept add up to the prediction.

    Attributes
    ----------
    x : ndarray of shape (n_features,) or (m, n_features)
        The points.
    coef : ndarray of shape (n_features,), (n_features, n_outputs), (m, n_features) or (m, n_features, n_outputs)
        Slopes of the outputs in the features.
    intercept : ndarray of shape (), (n_outputs,), (m,) or (m, n_outputs)
        What no feature multiplies.
    active : ndarray of bool of shape (n_neurons,) or (m, n_neurons)
        Neurons that are active, those on their border included.
    radius : ndarray of shape () or (m,)
        Distance from the point to the nearest border of a neuron with an effect: nearer than that the map is the same.
    """

    x: FloatArray
    coef: FloatArray
    intercept: FloatArray
    active: npt.NDArray[np.bool_]
    radius: FloatArray

    @property
    def contributions(self) -> FloatArray:
        """``x * coef``, of the shape of `coef`: what each feature adds to the prediction."""
        x = self.x if self.coef.ndim == self.x.ndim else self.x[..., None]
        return np.asarray(x * self.coef)

    @property
    def prediction(self) -> FloatArray:
        """``intercept`` and the contributions of all features, added up."""
        return np.asarray(self.intercept + self.contributions.sum(axis=self.x.ndim - 1))

    def importance(self, groups: Mapping[str, Any] | None = None) -> FloatArray | dict[str, float]:
        """Return how much of the predictions comes from each feature, or group of features, over several points.

        It is the root of the mean over the points (and the sum over outputs) of the squares of
        ``sum_k (x_k - mean of x_k) coef_k``, k the features of a group: in units of the prediction, for a linear map
        the size of a standardised coefficient, and 0 for features without a slope at any of the points. What a gated
        network does when a feature opens or closes a gate is not in it.

        Parameters
        ----------
        groups : mapping of str to sequence of int, optional
            Features that belong together, such as the columns of one categorical variable.

        Returns
        -------
        ndarray of shape (n_features,), or dict of str to float
            An importance for each feature or group, not negative.
        """
        if self.x.ndim == 1:
            raise ValueError("importance is about several points: explain them at once")
        moved = self.x - self.x.mean(axis=0)
        parts = moved[..., None] * self.coef.reshape(*moved.shape, -1)

        def size(part: FloatArray) -> FloatArray:
            return np.asarray(np.sqrt((part**2).sum(axis=-1).mean(axis=0)))

        if groups is None:
            return size(parts)
        return {name: float(size(parts[:, np.asarray(features)].sum(axis=1))) for name, features in groups.items()}

    def __repr__(self) -> str:
        points = "1 point" if self.x.ndim == 1 else f"{self.x.shape[0]} points"
        neurons = f"{self.active.sum(axis=-1).mean():.4g} of {self.active.shape[-1]} neurons active"
        return f"Explanation({points}, {neurons}{' on average' * (self.x.ndim > 1)})"


def explain(network: Any, X: FloatArray, active: npt.NDArray[np.bool_]) -> Explanation:
    """Return the maps of a network at validated points (m, n_features), where given neurons are active."""
    w2 = network.w2 if network.w2.ndim == 2 else network.w2[:, None]
    blocks = network.W1[:, :, None] * w2[:, None, :]
    maps = np.tensordot(active.astype(np.float64), blocks, axes=1)
    coef, intercept = maps, np.zeros((X.shape[0], w2.shape[1]))
    if network.bias:
        coef, intercept = maps[:, :-1], maps[:, -1]
    if network.skip is not None:
        coef = coef + network.skip.reshape(coef.shape[1:])
    if network.output_bias is not None:
        intercept = intercept + network.output_bias
    outputs = network.w2.shape[1:]
    return Explanation(
        x=X,
        coef=coef.reshape(*X.shape, *outputs),
        intercept=intercept.reshape(X.shape[0], *outputs),
        active=active,
        radius=_distances(network, X, blocks.any(axis=(1, 2))),
    )


def _distances(network: Any, X: FloatArray, relevant: npt.NDArray[np.bool_]) -> FloatArray:
    """Return how far the nearest border of a relevant neuron is; infinite where there is none."""
    borders = (network.W1 if network.gates is None else network.gates)[relevant]
    normals, offsets = (borders[:, :-1], borders[:, -1]) if network.bias else (borders, np.zeros(len(borders)))
    lengths = row_lengths(normals)
    tilted = lengths > 0
    values = np.abs(X @ normals[tilted].T + offsets[tilted]) / lengths[tilted]
    return np.asarray(values.min(axis=1, initial=np.inf))
