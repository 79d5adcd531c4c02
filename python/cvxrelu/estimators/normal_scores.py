"""Normal scores of features: their ranks, as values of a standard normal distribution."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import _check_feature_names_in, check_is_fitted, validate_data

from ..base.arrays import FloatArray, as_count, as_flag, refuse_altered
from .fitting import checked_weights


class NormalScores(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Normal scores of the features, by mid-ranks.

    A value that occurs c times among n training samples, above b smaller ones, becomes ``Phi^-1((b + c/2) / n)``, Phi
    the standard normal distribution function: equal values share the middle of their ranks. Values between two
    training values are interpolated, those outside become the nearest. So units, skewness and outliers of a feature do
    not matter, and the result needs no standardisation.

    Networks and kernels decide along directions, and a skewed feature spends most of a direction on few samples. Which
    features are better is a matter of the data: with continuous, well-spread ones the raw values are, often; let
    cross-validation choose (see Examples).

    scikit-learn's ``QuantileTransformer(output_distribution="normal")`` differs where values repeat: it takes the ends
    of a feature to -5.2 and 5.2 however many samples lie there, so that a column of few values becomes mostly ends.

    Parameters
    ----------
    keep : bool, default False
        Return the features as they are, followed by their scores. Standardise before, which scores do not notice.
    n_knots : int, default 1000
        Training values that are kept of a feature with more distinct ones, evenly by rank.

    Attributes
    ----------
    knots_, scores_ : list of ndarray
        Of each feature the values that are kept, increasing, and their scores.
    n_features_in_ : int
        Features seen in `fit`.
    feature_names_in_ : ndarray of shape (n_features,)
        Their names, where `X` had names.

    References
    ----------
    .. [1] B. L. van der Waerden, "Order tests for the two-sample problem and their power", Indagationes Mathematicae 14
       (1952).

    Examples
    --------
    >>> import numpy as np
    >>> from cvxrelu import NormalScores
    >>> NormalScores().fit_transform([[1.0], [10.0], [10.0], [1000.0]]).ravel().round(3).tolist()
    [-1.15, 0.0, 0.0, 1.15]

    Scores in place of features, beside them, or none, by cross-validation:

    >>> from cvxrelu import NTKRegressor
    >>> from cvxrelu.datasets import load_yacht
    >>> from sklearn.model_selection import GridSearchCV
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> data = load_yacht()
    >>> model = make_pipeline(StandardScaler(), NormalScores(), NTKRegressor())
    >>> choices = {"normalscores": ["passthrough", NormalScores(), NormalScores(keep=True)]}
    >>> GridSearchCV(model, choices).fit(data.X, data.y).best_params_
    {'normalscores': NormalScores()}
    """

    __module__ = "cvxrelu"  # what pickles name

    def __init__(self, *, keep: bool = False, n_knots: int = 1000) -> None:
        self.keep = keep
        self.n_knots = n_knots

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Learn the ranks.

        Parameters
        ----------
        X : array_like of shape (n_samples, n_features)
            Training samples.
        y : object, optional
            Ignored.
        sample_weight : array_like of shape (n_samples,), optional
            Non-negative weights; a weight of k is k copies.

        Returns
        -------
        self
            The fitted transformer.

        Raises
        ------
        ValueError
            For samples that are not finite, settings that do not fit, or weights that are all zero.
        """
        as_flag(self.keep, "keep")
        n_knots = as_count(self.n_knots, "n_knots", minimum=2)
        X = self._checked(X, reset=True)
        weights = checked_weights(sample_weight, X)
        if weights is None:
            weights = np.ones(X.shape[0])
        present = weights > 0
        fitted = [_scores(column, weights[present], n_knots) for column in X[present].T]
        self.knots_, self.scores_ = (list(arrays) for arrays in zip(*fitted, strict=True))
        return self

    def transform(self, X: Any) -> npt.NDArray[np.floating[Any]]:
        """Turn features into scores.

        Parameters
        ----------
        X : array_like of shape (n_samples, n_features)
            Samples.

        Returns
        -------
        ndarray of shape (n_samples, n_features) or (n_samples, 2 * n_features)
            float32 where `X` is, else float64.
        """
        check_is_fitted(self)
        X = self._checked(X, reset=False)
        scores = np.empty_like(X)
        for k, column in enumerate(X.T):
            scores[:, k] = np.interp(column, self.knots_[k], self.scores_[k])
        return np.hstack([X, scores]) if self.keep else scores

    def _checked(self, X: Any, *, reset: bool) -> npt.NDArray[np.floating[Any]]:
        checked: npt.NDArray[np.floating[Any]] = validate_data(self, X, dtype=[np.float64, np.float32], reset=reset)
        refuse_altered(X, checked, "X")
        return checked

    def get_feature_names_out(self, input_features: Any = None) -> npt.NDArray[np.object_]:
        """Return the names of the features that `transform` returns.

        Parameters
        ----------
        input_features : array_like of str, optional
            Names of the features; by default those seen in `fit`.

        Returns
        -------
        ndarray of str
            The given names; with `keep` those, and then each with ``_score``.
        """
        check_is_fitted(self)
        names: npt.NDArray[np.object_] = _check_feature_names_in(self, input_features)
        return np.concatenate([names, names + "_score"]) if self.keep else names

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


def _scores(column: npt.NDArray[np.floating[Any]], weights: FloatArray, n_knots: int) -> tuple[FloatArray, FloatArray]:
    values, index = np.unique(column, return_inverse=True)
    counts = np.bincount(index, weights=weights)
    middles = np.cumsum(counts) - counts / 2
    if values.size > n_knots:
        kept = np.unique(np.searchsorted(middles, np.linspace(middles[0], middles[-1], n_knots)))
        values, middles = values[kept], middles[kept]
    return values.astype(np.float64), ndtri(middles / weights.sum())
