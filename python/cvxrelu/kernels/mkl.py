"""Multiple kernel learning over masking kernels: from the neural tangent kernel to the optimal one."""

from __future__ import annotations

import dataclasses
import warnings

import numpy as np
import numpy.typing as npt

from ..base.arrays import FloatArray, as_count, as_scalar, as_weights
from ..base.callbacks import Callback, as_callback, out_of_reach
from ..exceptions import ConvergenceWarning
from ..gated.losses import Squared
from ..gated.pose import pose
from ..gated.problem import GatedData, Penalty
from ..gated.program import ExactProgram, Program
from ..patterns.patterns import ActivationPatterns
from .kernels import ntk_weights
from .mkl_program import MKLProgram
from .mkl_solution import MKLSolution
from .reweighting import Reweighting, reweight


def solve_mkl(
    X: npt.ArrayLike,
    y: npt.ArrayLike,
    patterns: ActivationPatterns,
    beta: float,
    *,
    form: str = "beta",
    sample_weight: npt.ArrayLike | None = None,
    unpenalised: npt.ArrayLike | str | None = None,
    init: str | npt.ArrayLike = "ntk",
    max_iter: int = 10,
    relaxation: float = 0.75,
    finish: bool = True,
    tol: float = 1e-6,
    n_threads: int | None = None,
    callback: Callback | None = None,
) -> MKLSolution:
    r"""Learn the weights of masking kernels K_i = D_i X X' D_i to a certified global optimum.

    With :math:`K(\eta) = \sum_i \eta_i K_i` solves

    - ``form="beta"``: :math:`\min_{\eta \ge 0} \tfrac\beta2 \big[ y^\top (K(\eta) + \beta I)^{-1} y + \sum \eta_i \big]
      = \min_w \tfrac12 \| y - \sum D_i X w_i \|^2 + \beta \sum \|w_i\|`, the program of :func:`solve_gated`;
    - ``form="simplex"``: :math:`\min_{\eta \in \Delta} \tfrac\beta2 y^\top (K(\eta) + \beta I)^{-1} y
      = \min_w \tfrac12 \| y - \sum D_i X w_i \|^2 + \tfrac\beta2 \big( \sum \|w_i\| \big)^2`, the textbook's.

    Both have the same solutions where the penalty of the first is S times that of the second, S = sum ||w_i||
    (``group_beta`` and ``simplex_beta`` of the result convert). Several outputs share the weights.

    From the weights of the neural tangent kernel, whose ridge regression is iteration 1, iterative reweighting
    ``eta_i <- ||w_i||`` lowers the objective in every iteration, but takes thousands for the last digits. So after
    `max_iter` of them :func:`solve_gated` finishes, and certifies.

    Parameters
    ----------
    X : array_like of shape (n_samples, n_features)
        Data matrix. For a bias append a column of ones.
    y : array_like of shape (n_samples,) or (n_samples, n_outputs)
        Targets.
    patterns : ActivationPatterns
        Patterns of `X`.
    beta : float
        Penalty, positive.
    form : {"beta", "simplex"}
        The program.
    sample_weight : array_like of shape (n_samples,), optional
        Weights of the samples in the square loss; k counts as k copies.
    unpenalised : array_like of shape (n_samples, q) or "intercept", optional
        Columns Z without penalty, as in :func:`solve_gated`: both programs are also minimised over Z c that y loses.
    init : {"ntk", "uniform"} or array_like of shape (n_patterns,)
        Weights to start from: P[h in K_i] for h ~ N(0, I) (for drawn patterns the shares of the draws), all equal
        with the sum 1, or given. A weight of zero stays zero in the reweighting, not in the solution.
    max_iter : int
        Iterations of the reweighting; 0 goes to the solution directly.
    relaxation : float in [0.5, 1]
        Exponent a of ``eta_i <- eta_i kappa_i^a``, where ``||w_i|| = eta_i kappa_i^0.5``. 0.5 is plain reweighting;
        up to 1 is faster the more weights have still to vanish. An iteration that would raise the kernel objective
        is done with 0.5 instead.
    finish : bool
        Whether to go on to the optimum after the reweighting. If not, it ends where the gap is within `tol`, or after
        `max_iter` iterations.
    tol : float
        Duality gap to reach, relative to the objective of zero coefficients.
    n_threads : int, optional
        Threads; by default what OpenMP would take.
    callback : callable, optional
        Called after every iteration of the reweighting, and every pass of the finish, with a dict of iteration,
        objective, gap, relative_gap and active; returning True stops with the best certified result so far. As in
        :func:`solve_gated`, nothing that it writes into changes the problem.

    Returns
    -------
    MKLSolution
        Weights, coefficients, duality gap, and the history of the reweighting.

    Raises
    ------
    ValueError
        For bad shapes, entries that are not finite, patterns of other data, bad weights, a penalty that is not
        positive, or one so small that K(eta) + beta I is not positive definite in floating point.
    TypeError
        For arguments of other kinds, such as a `callback` that cannot be called.

    Warns
    -----
    ConvergenceWarning
        When `tol` is not reached.

    References
    ----------
    .. [1] R. V. Dwaraknath, T. Ergen, M. Pilanci, Fixing the NTK: from neural network linearizations to exact convex
       programs, 2023.
    .. [2] F. Bach, R. Jenatton, J. Mairal, G. Obozinski, Optimization with sparsity-inducing penalties, 2012.

    Examples
    --------
    >>> import numpy as np, cvxrelu
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((100, 3))
    >>> y = np.abs(X[:, 0])
    >>> patterns = cvxrelu.sample_patterns(X, 50, random_state=0)
    >>> solution = cvxrelu.solve_mkl(X, y, patterns, 0.1 * cvxrelu.beta_max(X, y, patterns))
    >>> bool(solution.history.objective[0] > solution.objective)
    True
    """
    callback = as_callback(callback)
    X, y, sample_weight = out_of_reach(callback, X, y, sample_weight)
    settings = MKLSettings(form, init, max_iter, relaxation, finish, tol, callback)
    beta = as_scalar(beta, "beta", strict=True)
    data = GatedData.checked(X, y, patterns, sample_weight, n_threads)
    solution, stopped = learn_weights(data, pose(data, Penalty(unpenalised=unpenalised), Squared()), beta, settings)
    if not (solution.converged or stopped):
        warnings.warn(
            f"the duality gap is {solution.relative_gap:.1e} relative to the objective at zero, above tol={tol:.1e}: "
            + ("raise tol" if finish else "raise max_iter, or leave finish=True"),
            ConvergenceWarning,
            stacklevel=2,
        )
    return solution


@dataclasses.dataclass(frozen=True, eq=False)
class MKLSettings:
    """How weights are learned, as :func:`solve_mkl` states it."""

    form: str = "beta"
    init: str | npt.ArrayLike = "ntk"
    max_iter: int = 10
    relaxation: float = 0.75
    finish: bool = True
    tol: float = 1e-6
    callback: Callback | None = None

    def __post_init__(self) -> None:
        as_callback(self.callback)
        if self.form not in ("beta", "simplex"):
            raise ValueError(f'form must be "beta" or "simplex", not {self.form!r}')
        as_count(self.max_iter, "max_iter", minimum=0)
        if as_scalar(self.relaxation, "relaxation", minimum=0.5) > 1:
            raise ValueError(f"relaxation must be at most 1, not {self.relaxation}")
        as_scalar(self.tol, "tol", strict=True)
        if self.max_iter == 0 and not self.finish:
            raise ValueError("max_iter is 0 and finish is False: nothing would be done")


def learn_weights(data: GatedData, gated: Program, beta: float, settings: MKLSettings) -> tuple[MKLSolution, bool]:
    """Learn the weights of a gated program's kernels; also say whether the callback asked to stop."""
    if not (isinstance(gated, ExactProgram) or settings.finish):
        raise ValueError("finish=False asks for reweighting alone, which needs the kernels of all rows in memory")
    program = MKLProgram(data, gated, beta, settings.form, settings.tol)
    coef, stopped = None, False
    if settings.max_iter > 0 and isinstance(gated, ExactProgram):  # the kernels of rows elsewhere have too many entries
        eta = _initial_weights(settings.init, data)
        how = Reweighting(eta, not isinstance(settings.init, str), settings.max_iter, settings.relaxation)
        coef, program.history, stopped = reweight(gated, beta, settings.form, how, settings.tol, settings.callback)
    solution = program.at(coef)
    if settings.finish and not stopped:
        solution, stopped = program.finish(solution, settings.callback)
    return solution, stopped


def _initial_weights(init: str | npt.ArrayLike, data: GatedData) -> FloatArray:
    n_patterns = len(data.patterns)
    if not isinstance(init, str):
        return as_weights(init, n_patterns, "init")
    if init == "ntk":
        return ntk_weights(np.asarray(data.X), data.patterns, random_state=0)
    if init == "uniform":
        return np.full(n_patterns, 1 / n_patterns)
    raise ValueError(f'init must be "ntk", "uniform" or an array, not {init!r}')
