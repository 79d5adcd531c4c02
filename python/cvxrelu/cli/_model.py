"""What `train` fits and keeps: scikit-learn's transformers before a network, and the columns of the table they take."""

from __future__ import annotations

import dataclasses
import os
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from ..estimators import SKOPS_TRUSTED
from ._cells import MOST_LEVELS, Wanted
from ._tables import Table, is_skops

_FORMAT = "cvxrelu.model"

_VERSION = 3  # 1 was an archive of arrays, 2 had one target

_TRUSTED = [*SKOPS_TRUSTED, "numpy.dtype"]  # the latter of scikit-learn's transformers


def pipeline_of(network: Any, kinds: dict[str, str], *, gaps: bool) -> Pipeline:
    """Return a pipeline that makes numbers of columns of these kinds, standardises them, and ends with a network."""
    texts = [name for name, kind in kinds.items() if kind == "text"]
    columns: Any = "passthrough"
    if texts or gaps:
        levels = OneHotEncoder(handle_unknown="infrequent_if_exist", max_categories=MOST_LEVELS, sparse_output=False)
        numbers = [name for name in kinds if name not in texts]
        columns = ColumnTransformer([("numbers", SimpleImputer(strategy="median"), numbers), ("texts", levels, texts)])
    return Pipeline([("columns", columns), ("scale", StandardScaler()), ("network", network)])


def in_units(values: npt.NDArray[Any], units: StandardScaler) -> npt.NDArray[Any]:
    """Return standardised targets, (n,) or (n, n_targets), in the units that they had."""
    return np.asarray(units.inverse_transform(values.reshape(len(values), -1))).reshape(values.shape)


class InUnits:
    """A scorer for a target that was standardised, of which it sees everything in the units that it had."""

    def __init__(self, scorer: Any, units: StandardScaler, targets: list[str]) -> None:
        self._scorer, self._units, self._targets = scorer, units, ", ".join(targets)
        self._score_func = scorer._score_func  # which tells whether a scorer takes weights

    def __call__(self, estimator: Any, X: Any, y: npt.NDArray[Any], **weights: Any) -> float:
        """Return the score of a fitted estimator."""
        try:
            return float(self._scorer(_InUnits(estimator, self._units), X, in_units(y, self._units), **weights))
        except ValueError as error:  # what the scores of labels say of numbers
            raise ValueError(f"--scoring does not fit the numbers of {self._targets}: {error}") from None


class _InUnits(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """A fitted regressor whose predictions are in the units of the target."""

    def __init__(self, fitted: Any, units: StandardScaler) -> None:
        self.fitted, self.units = fitted, units

    def predict(self, X: Any) -> npt.NDArray[Any]:
        """Predict."""
        return in_units(self.fitted.predict(X), self.units)


@dataclasses.dataclass(frozen=True, eq=False)
class TableModel:
    """A fitted pipeline with the columns that it takes.

    Attributes
    ----------
    pipeline : Pipeline
        Its last step is called "network".
    targets : list of str
        Names of the columns that were predicted: numbers, or labels, which several columns have as 0 and 1.
    kinds : dict of str to str
        Names of the features, and what they are: "number", "text" or the order of year, month and day.
    gaps : bool
        Whether features may be missing.
    units : StandardScaler or None
        Of the targets, where the pipeline was fitted to standardised ones.
    """

    pipeline: Pipeline
    targets: list[str]
    kinds: dict[str, str]
    gaps: bool
    units: StandardScaler | None = None

    def features(self, table: Table) -> Any:
        """Return the columns of a table that the pipeline takes, as a data frame."""
        import pandas as pd

        table.require(self.kinds)
        return pd.DataFrame(table.read({name: Wanted(kind, self.gaps) for name, kind in self.kinds.items()})[1])

    def predict(self, X: Any) -> npt.NDArray[Any]:
        """Return numbers in their own units, or labels: (n,), or (n, n_targets) of several targets."""
        values = np.asarray(self.pipeline.predict(X))
        return values if self.units is None else in_units(values, self.units)

    def probabilities(self, X: Any) -> tuple[list[str], npt.NDArray[np.float64]]:
        """Return the classes and their probabilities, or several targets and the probability that each is 1."""
        if not hasattr(self.pipeline, "predict_proba"):
            raise ValueError("this model has no probabilities: a classification has, trained without --loss squared")
        shares = np.asarray(self.pipeline.predict_proba(X))
        return self.targets if len(self.targets) > 1 else self.pipeline.classes_.tolist(), shares

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write everything to a file of skops."""
        import skops.io  # here and below: the data set that comes with the package needs scikit-learn only

        local = {"n_threads", "callback"} & self.pipeline["network"].get_params().keys()
        self.pipeline["network"].set_params(**dict.fromkeys(local))  # of this machine and this terminal
        content = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        skops.io.dump({"format": _FORMAT, "version": _VERSION, **content}, path)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> TableModel:
        """Read what `save` wrote, without running code of the file; ValueError in one sentence for anything else."""
        import skops.io

        path = os.fspath(path)
        if not is_skops(path):
            raise ValueError(f"{path} is not a {_FORMAT} file, which `train --out` writes")
        try:
            content = skops.io.load(path, trusted=_TRUSTED)
            written = content.pop("format"), content.pop("version")
            model = cls(**content)
        except Exception as error:  # what skops raises for damaged files is said nowhere
            raise ValueError(f"{path} is damaged, or no file of `train --out`: {error}") from None
        if written != (_FORMAT, _VERSION):
            raise ValueError(f"{path} is a {written[0]} file of version {written[1]}; this cvxrelu reads {_VERSION}")
        return model
