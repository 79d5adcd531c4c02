"""The choice of a penalty by values on samples that were held out."""

from __future__ import annotations

import copy
import functools
import inspect
from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import is_classifier
from sklearn.utils import _safe_indexing
from sklearn.utils.validation import _check_method_params

from ..base.arrays import FloatArray, as_count, as_scalar
from .callbacks import FitTasks, with_callbacks
from .fitting import HeldOut, Model, NetworkModel
from .merging import MergedSamples

SCORING = """\
    scoring : str or callable, optional
        What chooses the penalty: a scorer of scikit-learn by its name, or a callable of a fitted estimator, the samples
        held out and their targets, whose larger values are better; it can have the estimator predict for these
        samples alone. {mean} By default it is the {error}."""

MEAN_OF_FOLDS = "Its mean over the folds counts, and of equal ones the largest penalty."


class PenaltySearch(Model):
    """What the estimators share that choose their penalty."""

    scoring: Any
    cv: Any

    def _search(
        self,
        selection: Selection,
        X: npt.NDArray[np.floating[Any]],
        targets: FloatArray,
        sample_weight: Any,
        tasks: FitTasks,
    ) -> None:
        """Choose the penalty, train with it, and keep the results."""
        raise NotImplementedError

    @with_callbacks  # type: ignore[untyped-decorator]
    def fit(self, X: Any, y: Any, sample_weight: Any = None, **params: Any) -> Self:
        """Choose the penalty, and fit the model with it.

        Parameters
        ----------
        X : array_like or sparse matrix of shape (n_samples, n_features)
            Training samples. Sparse ones are copied to an array.
        y : array_like of shape (n_samples,) or (n_samples, n_outputs)
            Targets of a regressor; a classifier takes labels of two classes or more, of shape (n_samples,), or a
            matrix of 0 and 1 that indicates several labels of each sample.
        sample_weight : array_like of shape (n_samples,), optional
            Non-negative weights; an integer weight k is the same as k copies. Scorers that take weights have them, too.
        **params
            ``groups``, of shape (n_samples,), for splitters such as ``GroupKFold`` that keep a group together. With
            scikit-learn's metadata routing whatever `cv` and `scoring` request.

        Returns
        -------
        self
            The fitted estimator.

        Raises
        ------
        ValueError
            For data or settings that do not fit, where `sample_weight` leaves a fold nothing to learn from, and where
            `scoring` needs probabilities that this estimator does not have.
        TypeError
            For settings of other kinds, such as a `callback` that cannot be called, and for unknown `params`.
        """
        search = functools.partial(self._search, Selection(self, sample_weight, params))
        return self._fitted(X, y, sample_weight, search)

    def get_metadata_routing(self) -> Any:
        """Return what of the metadata of `fit` goes to the splitter and to the scorer.

        Returns
        -------
        sklearn.utils.metadata_routing.MetadataRouter
        """
        from sklearn.model_selection import check_cv
        from sklearn.utils.metadata_routing import MetadataRouter, MethodMapping

        router = MetadataRouter(owner=type(self).__name__).add_self_request(self)
        router.add(splitter=check_cv(self.cv), method_mapping=MethodMapping().add(caller="fit", callee="split"))
        if self.scoring is not None:
            scorer = scorer_of(self)
            router.add(scorer=scorer, method_mapping=MethodMapping().add(caller="fit", callee="score"))
        return router


class PathSearch(PenaltySearch, NetworkModel):
    """What the estimators share that choose among the networks of a path."""

    n_betas: int
    beta_min_ratio: float

    def _ratios(self) -> FloatArray:
        """Return the penalties to try, relative to the largest useful one."""
        smallest = as_scalar(self.beta_min_ratio, "beta_min_ratio", strict=True)
        if smallest >= 1:
            raise ValueError(f"beta_min_ratio must be below 1, not {smallest}")
        return np.geomspace(1.0, smallest, as_count(self.n_betas, "n_betas", minimum=2))

    def _choose(
        self,
        selection: Selection,
        ratios: FloatArray,
        samples: tuple[npt.NDArray[Any], FloatArray, FloatArray | None],
        held_out: Sequence[HeldOut],
    ) -> int:
        """Return the index of the best penalty for samples, targets and weights, and keep what it was chosen by."""
        _, targets, weights = samples
        loss, sums, totals = self._checked_loss(), [], []
        for rows, values in held_out:
            weight = np.ones(rows.size) if weights is None else weights[rows]
            losses = np.stack([loss.of_samples(targets[rows], at) for at in values], axis=1)
            sums.append(weight @ (loss.reported_as * losses))
            totals.append(weight.sum())
        self.beta_ratios_ = ratios
        with np.errstate(invalid="ignore"):
            self.loss_path_ = np.transpose(sums) / totals
        best, self.score_path_ = selection.choose(np.sum(sums, axis=0), ratios, samples, held_out)
        self.beta_ratio_ = float(ratios[best])
        return best


class Selection:
    """How one fit chooses its penalty: the folds, and what a scorer says of values on the samples held out.

    Parameters
    ----------
    estimator : PenaltySearch
        The estimator, with its settings.
    sample_weight : array_like or None
        What `fit` was given, without weights of classes.
    params : dict
        Further metadata for the splitter and the scorer.
    """

    def __init__(self, estimator: PenaltySearch, sample_weight: Any, params: dict[str, Any]) -> None:
        self._estimator = estimator
        self._scorer = None if estimator.scoring is None else scorer_of(estimator)
        self._of_split, self._of_score = _routed(estimator, self._scorer, sample_weight, params)

    @property
    def groups_given(self) -> bool:
        """Whether there are groups for a splitter."""
        return self._of_split.get("groups") is not None

    def folds(self, X: Any, targets: FloatArray, weights: FloatArray | None) -> list[Any]:
        """Return the folds of the estimator's `cv`, as :func:`weighted_folds` does."""
        return weighted_folds(self._estimator, X, self._estimator._truth(targets), weights, self._of_split)

    def choose(
        self,
        losses: FloatArray,
        penalties: FloatArray,
        samples: tuple[npt.NDArray[Any], FloatArray, FloatArray | None],
        held_out: Sequence[HeldOut],
    ) -> tuple[int, FloatArray | None]:
        """Return the index of the best penalty for samples, targets and weights, and scores where these choose.

        Without a scorer the least loss is the best; with one, the best mean of the scores (n_betas, n_folds), and of
        equal ones that of the largest penalty.
        """
        if self._scorer is None:
            return int(np.argmin(losses)), None
        scores = self._scores(*samples, held_out)
        means = np.nanmean(scores, axis=1)
        return max(range(penalties.size), key=lambda k: (means[k], penalties[k])), scores

    def _scores(
        self, X: npt.NDArray[Any], targets: FloatArray, weights: FloatArray | None, held_out: Sequence[HeldOut]
    ) -> FloatArray:
        """Return scores (n_betas, n_folds); NaN for folds that hold out no sample with weight."""
        columns = []
        estimators = [self._as_after(k, targets, weights, held_out) for k in range(len(held_out[0][1]))]
        for k, (rows, values) in enumerate(held_out):
            if weights is not None:
                present = weights[rows] > 0
                rows, values = rows[present], values[:, present]
            if not rows.size:
                columns.append(np.full(len(values), np.nan))
                continue
            Z, y = X[rows], self._estimator._truth(targets[rows])
            params = _check_method_params(X, self._of_score, rows)
            stand_ins = [_stand_in(estimator, Z, at) for estimator, at in zip(estimators, values, strict=True)]
            try:
                column = np.array([float(self._scorer(stand_in, Z, y, **params)) for stand_in in stand_ins])  # type: ignore[misc]
            except ValueError as error:
                lacks = is_classifier(self._estimator) and y.ndim == 1 and {*y} != {*self._estimator.classes_}
                if not lacks:
                    raise
                raise ValueError(
                    f"scoring={self._estimator.scoring!r} needs all classes in what fold {k} holds out: set cv to a "
                    f"number, whose folds are stratified, or to fewer folds ({error})"
                ) from error
            if not np.isfinite(column).all():
                raise ValueError(f"scoring={self._estimator.scoring!r} gives {column} on what fold {k} holds out")
            columns.append(column)
        return np.stack(columns, axis=1)

    def _as_after(
        self, k: int, targets: FloatArray, weights: FloatArray | None, held_out: Sequence[HeldOut]
    ) -> PenaltySearch:
        """Return an estimator with the temperature that it would have with penalty k."""
        estimator = copy.copy(self._estimator)
        if estimator._CALIBRATED:
            estimator._calibrate(targets, weights, [(rows, values[k]) for rows, values in held_out])
        return estimator


def _stand_in(estimator: PenaltySearch, Z: Any, values: FloatArray) -> Any:
    """Return an estimator that knows its values at these samples, as after a fit without them."""

    def known(samples: Any) -> FloatArray:
        if samples is not Z:
            raise ValueError("the estimator that scoring is given predicts for the samples held out, and no others")
        return values

    stand_in = copy.copy(estimator)
    stand_in.__dict__["_evaluate"] = known
    return stand_in


def weighted_folds(
    estimator: Any, X: Any, y: Any, weights: FloatArray | None, params: dict[str, Any] | None = None
) -> list[Any]:
    """Return folds as pairs of indices, with something to learn from in each and something held out in some.

    Samples without weight do not matter, so those that a number of folds or a splitter divides are the others; an
    iterable of indices, or a PredefinedSplit, speaks of all samples. `params` are further arguments of the splitter.
    """
    from sklearn.model_selection import PredefinedSplit, check_cv  # slow to import, and not needed without folds

    cv, classifier, params = estimator.cv, is_classifier(estimator), params or {}
    listed = isinstance(cv, PredefinedSplit) or not (cv is None or hasattr(cv, "split") or np.isscalar(cv))
    if weights is None or weights.all() or listed:
        folds = list(check_cv(cv, y, classifier=classifier).split(X, y, **params))
    else:
        present = np.flatnonzero(weights)
        theirs = _check_method_params(X, params, present)
        splitter = check_cv(cv, y[present], classifier=classifier)
        parts = splitter.split(_safe_indexing(X, present), y[present], **theirs)
        folds = [tuple(present[part] for part in fold) for fold in parts]
    if weights is None:
        return folds
    for k, (train, _) in enumerate(folds):
        if not weights[train].any():
            raise ValueError(
                f"sample_weight is zero for every training sample of fold {k} of {len(folds)}: give more samples "
                "weight, or choose the folds with cv"
            )
    if not any(weights[test].any() for _, test in folds):
        raise ValueError("sample_weight is zero for every sample that is held out")
    return folds


def scorer_of(estimator: PenaltySearch) -> Any:
    """Return the scorer of an estimator, once it is clear that the estimator has what it needs."""
    from sklearn.metrics import check_scoring

    scoring = estimator.scoring
    if not (isinstance(scoring, str) or callable(scoring)):
        raise TypeError(f"scoring must be a name or a callable, not {scoring!r}")
    scorer = check_scoring(estimator, scoring=scoring)
    if getattr(scorer, "_response_method", None) == "predict_proba":
        try:
            estimator.predict_proba  # noqa: B018
        except AttributeError as error:
            raise ValueError(f"scoring={scoring!r} needs probabilities, but {error}") from None
    return scorer


def _routed(
    estimator: PenaltySearch, scorer: Any, sample_weight: Any, params: dict[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what the splitter and what the scorer are given, by scikit-learn's metadata routing where it is on."""
    from sklearn import get_config
    from sklearn.utils.metadata_routing import process_routing

    if get_config()["enable_metadata_routing"]:
        routed = process_routing(estimator, "fit", sample_weight=sample_weight, **params)
        return routed.splitter.split, routed.scorer.score if scorer is not None else {}
    unknown = sorted(params.keys() - {"groups"})
    if unknown:
        raise TypeError(
            f"fit got an unexpected keyword argument {unknown[0]!r}: without scikit-learn's metadata routing "
            "(set_config(enable_metadata_routing=True)) there are groups alone"
        )
    if sample_weight is None or scorer is None:
        return params, {}
    takes_weights = "sample_weight" in inspect.signature(getattr(scorer, "_score_func", scorer)).parameters
    return params, {"sample_weight": sample_weight} if takes_weights else {}


def squared_errors(targets: FloatArray, weights: FloatArray | None, held_out: Sequence[HeldOut]) -> FloatArray:
    """Return the weighted mean square error, summed over outputs, of every penalty on all that was held out."""
    errors, total = np.zeros(len(held_out[0][1])), 0.0
    for rows, values in held_out:
        weight = np.ones(rows.size) if weights is None else weights[rows]
        scale = weight.reshape(-1, *[1] * (targets.ndim - 1))
        errors += [(scale * (targets[rows] - at) ** 2).sum() for at in values]
        total += weight.sum()
    return errors / total


def on_all_copies(samples: MergedSamples, held_out: Sequence[HeldOut]) -> list[HeldOut]:
    """Return what was held out of distinct samples in terms of those that were given."""
    everywhere = []
    for distinct, values in held_out:
        place = np.full(samples.X.shape[0], -1)
        place[distinct] = np.arange(distinct.size)
        at = np.where(samples.members >= 0, place[samples.members], -1)
        rows = np.flatnonzero(at >= 0)
        everywhere.append((rows, values[:, at[rows]]))
    return everywhere
