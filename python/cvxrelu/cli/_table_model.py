"""What the command line trains and keeps: a network with the units of its table."""

from __future__ import annotations

import dataclasses
import os
from typing import Any

import numpy as np
import numpy.typing as npt

from ..base.archives import read_archive, write_archive
from ..base.arrays import FloatArray, as_real
from ..estimators.labels import decide
from ..networks.network import Network
from ._encoding import Encoding
from ._tables import Table

_FORMAT = "cvxrelu.model"

_VERSION = 1


@dataclasses.dataclass(frozen=True, eq=False)
class Scaling:
    """Shift and scale of columns to mean 0 and standard deviation 1; constant columns are only shifted."""

    mean: FloatArray
    scale: FloatArray

    @classmethod
    def of(cls, values: FloatArray) -> Scaling:
        """Return the scaling of the columns of a table (or of one column)."""
        deviation = values.std(axis=0)
        return cls(values.mean(axis=0), np.where(deviation > 0, deviation, 1.0))

    @classmethod
    def loaded(cls, mean: Any, scale: Any, shape: tuple[int, ...]) -> Scaling:
        """Return a scaling that a file holds, after a look at it."""
        mean, scale = as_real(mean, "mean"), as_real(scale, "scale")
        if not mean.shape == scale.shape == shape:
            raise ValueError(f"means and scales must have shape {shape}, not {mean.shape} and {scale.shape}")
        if not (np.isfinite(mean).all() and np.isfinite(scale).all() and (scale > 0).all()):
            raise ValueError("means must be finite, and scales finite and positive")
        return cls(mean, scale)

    def apply(self, values: FloatArray) -> FloatArray:
        """Return scaled values."""
        scaled: FloatArray = (values - self.mean) / self.scale
        return scaled

    def undo(self, values: FloatArray) -> FloatArray:
        """Return values in their own units."""
        restored: FloatArray = values * self.scale + self.mean
        return restored


@dataclasses.dataclass(frozen=True, eq=False)
class TableModel:
    """A network on standardised features, with what turns a table into its input and its output into an answer.

    Attributes
    ----------
    network : Network
        Trained on standardised features, and for regression on a standardised target.
    feature_names : tuple of str
        Columns that are the features, in this order.
    target_name : str
        Column that was predicted.
    features : Scaling
        Scaling of the features.
    target : Scaling or None
        Scaling of the target, for regression.
    classes : ndarray of str or None
        Labels, for classification.
    encoding : Encoding or None
        What makes the features of a table with text or missing cells.
    """

    network: Network
    feature_names: tuple[str, ...]
    target_name: str
    features: Scaling
    target: Scaling | None = None
    classes: npt.NDArray[np.str_] | None = None
    encoding: Encoding | None = None

    def features_of(self, table: Table) -> FloatArray:
        """Return the features of a table's rows, in their own units."""
        return table.numbers(self.feature_names) if self.encoding is None else self.encoding.apply(table)

    def predict(self, X: FloatArray) -> FloatArray | npt.NDArray[np.str_]:
        """Return numbers or labels for features in their own units."""
        output: FloatArray = np.asarray(self.network.predict(self.features.apply(X)), dtype=np.float64)
        if self.target is not None:
            return self.target.undo(output)
        assert self.classes is not None
        labels: npt.NDArray[np.str_] = self.classes[decide(output)]
        return labels

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write everything to one .npz archive without pickled objects."""
        arrays: dict[str, npt.NDArray[np.generic]] = {
            "W1": self.network.W1,
            "w2": self.network.w2,
            "bias": np.array(self.network.bias),
            "feature_names": np.array(self.feature_names),
            "target_name": np.array(self.target_name),
            "feature_mean": self.features.mean,
            "feature_scale": self.features.scale,
        }
        if self.network.gates is not None:
            arrays["gates"] = self.network.gates
        if self.target is not None:
            arrays |= {"target_mean": np.array(self.target.mean), "target_scale": np.array(self.target.scale)}
        if self.classes is not None:
            arrays["classes"] = self.classes
        if self.encoding is not None:
            arrays |= self.encoding.to_arrays()
        write_archive(path, _FORMAT, _VERSION, arrays)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> TableModel:
        """Read what `save` wrote; ValueError in one sentence for anything else."""
        required = ("W1", "w2", "bias", "feature_names", "target_name", "feature_mean", "feature_scale")
        a = read_archive(path, _FORMAT, _VERSION, required)
        try:
            network = Network(a["W1"], a["w2"], a.get("gates"), _flag(a["bias"]))
            names = tuple(str(name) for name in a["feature_names"])
            if len(names) != network.n_features:
                raise ValueError(f"it names {len(names)} features, but its network takes {network.n_features}")
            features = Scaling.loaded(a["feature_mean"], a["feature_scale"], (len(names),))
            target = Scaling.loaded(a["target_mean"], a["target_scale"], ()) if "target_mean" in a else None
            classes = a.get("classes")
            outputs = 1 if network.w2.ndim == 1 else network.w2.shape[1]
            if (target is None) == (classes is None):
                raise ValueError("it needs a scaling of its target, or classes")
            if outputs != 1 if classes is None else classes.shape != (2 if outputs == 1 else outputs,):
                raise ValueError(f"its network has {outputs} outputs, which is not what its answers need")
            encoding = Encoding.from_arrays(a) if "column_names" in a else None
            if encoding is not None and encoding.feature_names != names:
                raise ValueError("its columns do not make its features")
            return cls(network, names, str(a["target_name"]), features, target, classes, encoding)
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{os.fspath(path)} is damaged: {error}") from None


def _flag(value: npt.NDArray[Any]) -> bool:
    if value.shape != () or value.dtype != np.bool_:
        raise ValueError("bias must be true or false")
    return bool(value)
