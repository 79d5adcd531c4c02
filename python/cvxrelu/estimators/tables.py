"""Data frames with text, dates and missing cells as features."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..base.arrays import FloatArray, as_count


def tabular_pipeline(estimator: Any, *, max_categories: int = 50) -> Any:
    """Return a pipeline that takes a data frame as it is: text, categories, dates and missing cells.

    The dtypes of the columns decide, when it is fitted. Numbers keep their values, with the median in missing cells and
    a column that says where these were. Dates become days since 1970, likewise. Of everything else, text, categories
    and truth values, each level becomes a column of 0 and 1, missing cells a level of their own, and rare levels one
    together. All columns are standardised.

    Parameters
    ----------
    estimator : estimator
        The last step; any of scikit-learn's kind.
    max_categories : int, default 50
        Most columns for a column of text: its most frequent levels, and one for the rest. Levels that were not in the
        training data belong to the rest, or to none where there is no rest.

    Returns
    -------
    Pipeline
        Not fitted yet. The first two steps are scikit-learn's ``ColumnTransformer`` and ``StandardScaler``.

    Raises
    ------
    ImportError
        Without scikit-learn.

    Examples
    --------
    >>> import pandas as pd
    >>> from cvxrelu import NTKRegressorCV, tabular_pipeline
    >>> houses = pd.DataFrame({"city": ["Bonn", "Essen", None, "Bonn"] * 5, "size": [70.0, None, 90.0, 120.0] * 5})
    >>> model = tabular_pipeline(NTKRegressorCV()).fit(houses, [300, 250, 200, 500] * 5)
    >>> model.predict(pd.DataFrame({"city": ["Bonn"], "size": [70.0]})).round().tolist()
    [300.0]
    """
    try:
        from sklearn.compose import make_column_selector, make_column_transformer
        from sklearn.impute import SimpleImputer
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler
    except ImportError as error:
        raise ImportError("tabular_pipeline needs scikit-learn: pip install 'cvxrelu[sklearn]'") from error

    most = as_count(max_categories, "max_categories", minimum=2)
    filled = SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True)
    levels = OneHotEncoder(handle_unknown="infrequent_if_exist", max_categories=most, sparse_output=False)
    dates = ["datetime", "datetimetz"]
    columns = make_column_transformer(
        (filled, make_column_selector(dtype_include="number")),
        (make_pipeline(FunctionTransformer(_days), filled), make_column_selector(dtype_include=dates)),
        (make_pipeline(FunctionTransformer(_objects), levels), make_column_selector(dtype_exclude=["number", *dates])),
    )
    return make_pipeline(columns, StandardScaler(), estimator)


def _days(dates: Any) -> FloatArray:
    """Return the columns of a data frame of dates as days since 1970; NaN where they are missing."""
    seconds = np.column_stack([column.to_numpy(dtype="datetime64[s]") for _, column in dates.items()])
    return np.where(np.isnat(seconds), np.nan, seconds.astype(np.float64) / 86400)


def _objects(levels: Any) -> Any:
    """Return a data frame whose missing cells are all None: pandas has several, of which encoders know some."""
    return levels.astype(object).where(levels.notna(), None)
