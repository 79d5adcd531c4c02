"""Averages of estimators, with weights by their losses on samples left out, or by the loss of the average there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from joblib import Parallel, delayed
from scipy.optimize import nnls
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, clone, is_classifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.utils import _safe_indexing, check_random_state, get_tags
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_array, check_is_fitted, column_or_1d, has_fit_parameter, validate_data

from ..base.arrays import FloatArray, refuse_altered, refuse_masked
from .certificate import TrainingCertificate
from .fitting import checked_weights
from .gated import GatedReLUClassifier, GatedReLURegressor
from .labels import labels_of_scores, require_two
from .normal_scores import NormalScores
from .ntk import NTKClassifierCV, NTKRegressorCV
from .rows import gathered
from .selection import weighted_folds

_RATIOS = {"classifier": (0.3, 0.1, 0.03), "regressor": (0.1, 0.03, 0.01)}
_N_DRAWS = 2  # with those of the other penalties the average is over several; five gained nothing on real sets
_TOL = 1e-3

Member = tuple[str, Any]

_PARAMETERS = """\
    estimators : list of (str, estimator), optional
        The members and their names. By default gated networks of {draws} draws of gates with the penalties {ratios}
        times the largest useful one, trained to a relative gap of {tol:g}, and the plain ReLU kernel of three layers
        with a penalty of its own choice, on standardised features, on their tanh and on their normal scores.
    weights : {{"exponential", "nnls"}}, default "exponential"
        What weighs the members: their own errors on the samples left out, or, by non-negative least squares, the error
        of the average there.
    cv : int, splitter or iterable of (train, test), default None
        Folds as scikit-learn understands them; None is five.
    n_jobs : int, optional
        Fits at a time, by joblib.
    n_threads : int, optional
        Threads of each default member.
    random_state : None, int or RandomState, default None
        Source of the gates of the default members."""

_ATTRIBUTES = """\
    estimators_ : list of estimator
        The members, fitted to all samples.
    named_estimators_ : dict of str to estimator
        The same by their names.
    weights_ : ndarray of shape (n_members,)
        Their weights, which sum to 1.
    losses_ : ndarray of shape (n_members,)
        Mean square errors on the samples left out, of all outputs together.
    certificates_ : dict of str to TrainingCertificate
        Of the members that have one. About the average nothing is proved.
    n_features_in_ : int
        Features seen in `fit`.
    feature_names_in_ : ndarray of shape (n_features,)
        Their names, where `X` had names."""

_REFERENCES = """\
    References
    ----------
    .. [1] G. Leung and A. R. Barron, "Information theory and mixing least-squares regressions", IEEE Transactions on
       Information Theory 52 (2006).
    .. [2] A. S. Dalalyan and A. B. Tsybakov, "Aggregation by exponential weighting, sharp PAC-Bayesian bounds and
       sparsity", Machine Learning 72 (2008).
    .. [3] L. Breiman, "Stacked regressions", Machine Learning 24 (1996).
    .. [4] M. J. van der Laan, E. C. Polley and A. E. Hubbard, "Super learner", Statistical Applications in Genetics and
       Molecular Biology 6 (2007)."""


class ExponentialWeights(BaseEstimator):  # type: ignore[misc]
    """What the averages of regressors and of classifiers share."""

    def __init__(
        self,
        estimators: Sequence[Member] | None = None,
        *,
        weights: str = "exponential",
        cv: Any = None,
        n_jobs: int | None = None,
        n_threads: int | None = None,
        random_state: Any = None,
    ) -> None:
        self.estimators = estimators
        self.weights = weights
        self.cv = cv
        self.n_jobs = n_jobs
        self.n_threads = n_threads
        self.random_state = random_state

    def _checked_targets(self, y: Any) -> tuple[Any, FloatArray]:
        """Return what the members are fitted to, and the numbers (n, c) that their values are to be near."""
        raise NotImplementedError

    def _values(self, member: Any, X: Any) -> FloatArray:
        """Return the values (n, c) of a fitted member."""
        raise NotImplementedError

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Fit the members, on all samples and without each fold, and weigh them.

        Parameters
        ----------
        X : array_like or data frame of shape (n_samples, n_features)
            Training samples, as the members take them.
        y : array_like of shape (n_samples,) or (n_samples, n_outputs)
            Targets of a regressor; a classifier takes labels, of shape (n_samples,).
        sample_weight : array_like of shape (n_samples,), optional
            Non-negative weights, for the losses and for every member, or step of one, that takes some.

        Returns
        -------
        self
            The fitted estimator.

        Raises
        ------
        ValueError
            For members without distinct names, for `weights` of another name, and for data that do not fit.
        """
        if not (isinstance(self.weights, str) and self.weights in ("exponential", "nnls")):
            raise ValueError(f'weights must be "exponential" or "nnls", not {self.weights!r}')
        X, y, sample_weight = gathered(X, y, sample_weight)
        members = self._members()
        refuse_masked(y, "y")
        X, y = self._checked(X, y, multi_output=True)
        y, targets = self._checked_targets(y)
        weights = checked_weights(sample_weight, X)
        labels = y if is_classifier(self) else targets[:, 0]
        folds = weighted_folds(self, X, labels, weights)
        everything = np.arange(targets.shape[0])
        parts = [(everything, everything[:0]), *folds]
        jobs = [delayed(_fit_and_evaluate)(m, X, y, weights, part, self._values) for _, m in members for part in parts]
        done = Parallel(n_jobs=self.n_jobs)(jobs)
        held_out = np.concatenate([test for _, test in folds])
        own = np.ones(targets.shape[0]) if weights is None else weights
        values = [
            np.concatenate([values for _, values in done[first + 1 : first + len(parts)]])
            for first in range(0, len(done), len(parts))
        ]
        errors = np.stack(values) - targets[held_out]
        size = np.abs(errors).max() or 1.0  # of the errors: their squares could over- or underflow
        losses = np.array([np.average(((each / size) ** 2).sum(axis=1), weights=own[held_out]) for each in errors])
        self.estimators_ = [fitted for fitted, _ in done[:: len(parts)]]
        self.named_estimators_ = {name: fitted for (name, _), fitted in zip(members, self.estimators_, strict=True)}
        with np.errstate(over="ignore", under="ignore"):
            self.losses_ = losses * size * size
        if self.weights == "exponential":
            self.weights_ = exponential_weights(losses, own.sum())
        else:
            self.weights_ = least_squares_weights(errors, own[held_out])
        return self

    def _checked(self, X: Any, *y: Any, **checks: Any) -> Any:
        """Return samples, and targets where there are some, checked; data frames are for the members to judge."""
        refuse_masked(X, "X")
        checks |= {
            "skip_check_array": hasattr(X, "columns"),
            "accept_sparse": get_tags(self).input_tags.sparse and "csr",
        }
        return validate_data(self, X, *y, **checks)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        members = self.estimators or []  # those by default are behind scalers, which do not take sparse samples
        tags.input_tags.sparse = bool(members) and all(get_tags(member).input_tags.sparse for _, member in members)
        return tags

    def _members(self) -> list[Member]:
        members = default_members(self) if self.estimators is None else list(self.estimators)
        names = [name for name, _ in members]
        if not names or len(set(names)) < len(names):
            raise ValueError(f"estimators must be (name, estimator) pairs with distinct names, not {names}")
        return members

    def _average(self, X: Any) -> FloatArray:
        check_is_fitted(self)
        X = self._checked(X, reset=False)
        values = [
            weight * self._values(member, X)
            for weight, member in zip(self.weights_, self.estimators_, strict=True)
            if weight > 0
        ]
        return np.asarray(np.sum(values, axis=0))

    @property
    def certificates_(self) -> dict[str, TrainingCertificate]:
        """The certificates of the members that have one."""
        last = {name: _last_step(member) for name, member in self.named_estimators_.items()}
        return {name: member.certificate_ for name, member in last.items() if hasattr(member, "certificate_")}


def exponential_weights(losses: FloatArray, n_samples: float) -> FloatArray:
    """Return ``exp(-n (L - Lmin) / (4 Lmin))``, normalised: four times the variance of the noise is the temperature."""
    least = losses.min()
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        excess = np.where(losses > least, (losses - least) / (4 * least), 0.0)
    weights = np.exp(-n_samples * excess)
    return np.asarray(weights / weights.sum())


def least_squares_weights(errors: FloatArray, sample_weight: FloatArray) -> FloatArray:
    """Return non-negative weights of sum 1 that minimise ``sum_j s_j ||sum_k w_k e_kj||^2`` for errors e (k, m, c).

    With another row, of a constant, non-negative least squares for targets that are zero but there has the conditions
    of optimality of that program, up to the scale of the weights, whatever the constant.
    """
    rows = (np.sqrt(sample_weight)[:, None] * errors).reshape(len(errors), -1).T
    rows /= np.abs(rows).max() or 1.0  # squares of the numbers given could over- or underflow
    constant = np.linalg.norm(rows) or 1.0
    design = np.vstack([rows, np.full(len(errors), constant)])
    weights, _ = nnls(design, np.append(np.zeros(len(rows)), constant))
    return np.asarray(weights / weights.sum())


def default_members(estimator: Any) -> list[Member]:
    """Return the members that are averaged by default."""
    if is_classifier(estimator):
        gated, kernel, ratios = GatedReLUClassifier, NTKClassifierCV, _RATIOS["classifier"]
    else:
        gated, kernel, ratios = GatedReLURegressor, NTKRegressorCV, _RATIOS["regressor"]
    seeds = check_random_state(estimator.random_state).randint(np.iinfo(np.int32).max, size=len(ratios))
    threads = {"n_threads": estimator.n_threads}
    members = []
    for ratio, seed in zip(ratios, seeds, strict=True):
        network = gated(n_draws=_N_DRAWS, beta_ratio=ratio, tol=_TOL, random_state=int(seed), **threads)
        members.append((f"gated {ratio:g}", make_pipeline(StandardScaler(), network)))
    for name, steps in {"raw": [], "tanh": [FunctionTransformer(np.tanh)], "scores": [NormalScores()]}.items():
        machine = kernel(kind="relu", depth=3, **threads)
        members.append((f"kernel {name}", make_pipeline(StandardScaler(), *steps, machine)))
    return members


def _fit_and_evaluate(
    member: Any,
    X: Any,
    y: Any,
    weights: FloatArray | None,
    part: tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]],
    values: Callable[[Any, Any], FloatArray],
) -> tuple[Any, FloatArray | None]:
    """Return a member fitted to a part of the samples, and its values on another where that has any."""
    train, test = part
    own = clone(member)
    settings = {} if weights is None else _weights_for(own, weights[train])
    own.fit(_safe_indexing(X, train), _safe_indexing(y, train), **settings)
    return own, values(own, _safe_indexing(X, test)) if test.size else None


def _weights_for(member: Any, weights: FloatArray) -> dict[str, FloatArray]:
    """Return weights as the arguments of `fit` that a member, or a step of a pipeline, takes them by."""
    if isinstance(member, Pipeline):
        steps = [name for name, step in member.steps if has_fit_parameter(step, "sample_weight")]
        return {f"{name}__sample_weight": weights for name in steps}
    return {"sample_weight": weights} if has_fit_parameter(member, "sample_weight") else {}


def _last_step(member: Any) -> Any:
    return member[-1] if isinstance(member, Pipeline) else member


class ExponentialWeightsRegressor(RegressorMixin, ExponentialWeights):  # type: ignore[misc]
    __module__ = "cvxrelu"  # what pickles name
    __doc__ = f"""Average of regressors, with weights that fall exponentially in their errors on samples left out.

    With L the mean square error of a member over the folds of a cross-validation, n samples (the sum of their weights,
    where they have some), and Lmin the least of
    these errors, its weight is ``exp(-n (L - Lmin) / (4 Lmin))``, normalised. That is exponential weighting at the
    temperature of four times the variance of the noise [1]_ [2]_, for which the least error stands. Members that are
    as good as the best share, others fade: less of a gamble than the choice of one, where several are close.

    With ``weights="nnls"`` they are the non-negative weights of sum 1 with which the average itself has the least mean
    square error on the samples left out [3]_ [4]_, so that members share whose errors differ, even if one is worse.

    Parameters
    ----------
{_PARAMETERS.format(ratios=", ".join(f"{ratio:g}" for ratio in _RATIOS["regressor"]), draws=_N_DRAWS, tol=_TOL)}

    Attributes
    ----------
{_ATTRIBUTES}

{_REFERENCES}

    Examples
    --------
    >>> from cvxrelu import ExponentialWeightsRegressor, NormalScores, NTKRegressorCV
    >>> from cvxrelu.datasets import load_yacht
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> members = [
    ...     ("raw", make_pipeline(StandardScaler(), NTKRegressorCV())),
    ...     ("scores", make_pipeline(NormalScores(), NTKRegressorCV())),
    ... ]
    >>> data = load_yacht()
    >>> ExponentialWeightsRegressor(members).fit(data.X, data.y).weights_.round(3).tolist()
    [0.0, 1.0]
    """

    def _checked_targets(self, y: Any) -> tuple[Any, FloatArray]:
        given, y = y, check_array(y, ensure_2d=False, dtype=np.float64, input_name="y")
        refuse_altered(given, y, "y")
        y = column_or_1d(y, warn=True) if y.ndim == 2 and y.shape[1] == 1 else y
        return y, y.reshape(y.shape[0], -1)

    def _values(self, member: Any, X: Any) -> FloatArray:
        values = np.asarray(member.predict(X), dtype=np.float64)
        return values.reshape(values.shape[0], -1)

    def predict(self, X: Any) -> FloatArray:
        """Predict targets.

        Parameters
        ----------
        X : array_like or data frame of shape (n_samples, n_features)
            Samples.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_outputs)
            The weighted mean of the members' predictions.
        """
        values = self._average(X)
        return values[:, 0] if values.shape[1] == 1 else values

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags


class ExponentialWeightsClassifier(ClassifierMixin, ExponentialWeights):  # type: ignore[misc]
    __module__ = "cvxrelu"  # what pickles name
    __doc__ = f"""Average of classifiers, with weights that fall exponentially in their errors on samples left out.

    The scores of members are averaged as :class:`ExponentialWeightsRegressor` averages predictions, by their square
    errors about -1 and +1 for each class. Scores are ``2 p - 1`` with the probabilities p of members that have some,
    and the ``decision_function`` of others, which should be on that scale, as it is with the square loss.

    Parameters
    ----------
{_PARAMETERS.format(ratios=", ".join(f"{ratio:g}" for ratio in _RATIOS["classifier"]), draws=_N_DRAWS, tol=_TOL)}

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Labels, sorted.
{_ATTRIBUTES}

{_REFERENCES}

    Examples
    --------
    >>> from cvxrelu import ExponentialWeightsClassifier
    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> model = ExponentialWeightsClassifier(random_state=0).fit(X, y)
    >>> sorted(model.certificates_)
    ['gated 0.03', 'gated 0.1', 'gated 0.3']
    """

    def _checked_targets(self, y: Any) -> tuple[Any, FloatArray]:
        y = column_or_1d(y, warn=True)
        check_classification_targets(y)
        self.classes_, index = np.unique(y, return_inverse=True)
        require_two(self.classes_)
        return y, np.where(index[:, None] == np.arange(self.classes_.size), 1.0, -1.0)

    def _values(self, member: Any, X: Any) -> FloatArray:
        """Return scores for all classes; -1 for those that a fold did not have."""
        if hasattr(member, "predict_proba"):
            own = 2 * np.asarray(member.predict_proba(X), dtype=np.float64) - 1
        else:
            own = np.asarray(member.decision_function(X), dtype=np.float64)
            own = np.column_stack([-own, own]) if own.ndim == 1 else own
        scores = np.full((own.shape[0], self.classes_.size), -1.0)
        scores[:, np.searchsorted(self.classes_, member.classes_)] = own
        return scores

    def decision_function(self, X: Any) -> FloatArray:
        """Average the scores of the members.

        Parameters
        ----------
        X : array_like or data frame of shape (n_samples, n_features)
            Samples.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_classes)
            For two classes one score, positive for ``classes_[1]``; otherwise a score for each class.
        """
        scores = self._average(X)
        return scores[:, 1] if scores.shape[1] == 2 else scores

    def _all_have_probabilities(self) -> bool:
        members = getattr(self, "named_estimators_", None) or dict(self._members())
        for name, member in members.items():
            if not hasattr(member, "predict_proba"):
                raise AttributeError(
                    f"the member {name!r} has no probabilities; scikit-learn's CalibratedClassifierCV(estimator, "
                    "ensemble=False) makes some of the scores of a member or of the average"
                )
        return True

    @available_if(_all_have_probabilities)  # type: ignore[untyped-decorator]
    def predict_proba(self, X: Any) -> FloatArray:
        """Average the probabilities of the members, where all of them have some.

        Parameters
        ----------
        X : array_like or data frame of shape (n_samples, n_features)
            Samples.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            In the order of ``classes_``; rows sum to 1.
        """
        return 0.5 + 0.5 * self._average(X)

    def predict(self, X: Any) -> npt.NDArray[Any]:
        """Predict labels.

        Parameters
        ----------
        X : array_like or data frame of shape (n_samples, n_features)
            Samples.

        Returns
        -------
        ndarray of shape (n_samples,)
            Labels.
        """
        labels: npt.NDArray[Any] = labels_of_scores(self.decision_function(X), self.classes_)
        return labels
