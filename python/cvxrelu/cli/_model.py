"""What `train` fits and keeps: scikit-learn's transformers before a network, and the columns of the table they take."""

from __future__ import annotations

import dataclasses
import os
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from ..estimators import SKOPS_TRUSTED
from ._cells import MOST_LEVELS, Wanted
from ._tables import Table, is_skops

_FORMAT = "cvxrelu.model"

_VERSION = 2  # 1 was an archive of arrays

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


@dataclasses.dataclass(frozen=True, eq=False)
class TableModel:
    """A fitted pipeline with the columns that it takes.

    Attributes
    ----------
    pipeline : Pipeline
        Its last step is called "network".
    target : str
        Name of the column that was predicted.
    kinds : dict of str to str
        Names of the features, and what they are: "number", "text" or the order of year, month and day.
    gaps : bool
        Whether features may be missing.
    units : StandardScaler or None
        Of the target, where the pipeline was fitted to a standardised one.
    """

    pipeline: Pipeline
    target: str
    kinds: dict[str, str]
    gaps: bool
    units: StandardScaler | None = None

    def features(self, table: Table) -> Any:
        """Return the columns of a table that the pipeline takes, as a data frame."""
        import pandas as pd

        table.require(self.kinds)
        return pd.DataFrame(table.read({name: Wanted(kind, self.gaps) for name, kind in self.kinds.items()})[1])

    def predict(self, X: Any) -> npt.NDArray[Any]:
        """Return numbers in their own units, or labels."""
        values = np.asarray(self.pipeline.predict(X))
        return values if self.units is None else self.units.inverse_transform(values[:, None])[:, 0]

    def probabilities(self, X: Any) -> tuple[list[str], npt.NDArray[np.float64]]:
        """Return the classes and their probabilities."""
        if not hasattr(self.pipeline, "predict_proba"):
            raise ValueError(
                "this model has no probabilities: a classification has, trained with --loss logistic or --loss softmax"
            )
        return self.pipeline.classes_.tolist(), np.asarray(self.pipeline.predict_proba(X))

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
