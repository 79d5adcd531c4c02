"""The networks that neurons make in other amounts, with the same predictions on samples and the same weight decay."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import numpy.typing as npt

from ..base.arrays import FloatArray, append_ones, as_count, as_design, as_generator, as_scalar, as_threads, describe
from .network import Network

_ZERO = 1e-9  # of shares of the weight decay: what a linear program leaves of neurons that it takes away


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class OptimalSet:
    """Networks with the same neurons, in other amounts, that are as good: what :func:`optimal_set` returns.

    They are ``f(x) = sum_j s_j f_j(x)``, with f_j the j-th neuron, for the scales s in the polytope of all ``s >= 0``
    that change neither the predictions on the samples nor the weight decay. It contains s = 1, the network, in its
    relative interior.

    Attributes
    ----------
    network : Network
        The network, without the neurons that have no weight decay.
    shares : ndarray of shape (m,)
        Weight decay of each neuron, as a share of all.
    directions : ndarray of shape (m, dimension)
        Orthonormal basis of the directions in which ``shares * s`` may move.
    singular_values : ndarray of shape (m,)
        Of the matrix that has a column for each neuron: its outputs on the samples for a unit of weight decay, the
        largest of all scaled to 1, and a one. Those of at most `tol` times the largest count as zero.
    tol : float
        The tolerance of this rank test.
    """

    network: Network
    shares: FloatArray
    directions: FloatArray
    singular_values: FloatArray
    tol: float

    @property
    def dimension(self) -> int:
        """Dimension of the polytope: neurons less the rank of what must not change."""
        return int(self.directions.shape[1])

    @property
    def unique(self) -> bool:
        """Whether these neurons come in these amounts only."""
        return self.dimension == 0

    def scaled(self, scales: npt.ArrayLike) -> Network:
        """Return the network with each neuron so many times; neurons of scale 0 leave.

        Parameters
        ----------
        scales : array_like of shape (m,)
            Factors, at least 0; both layers are multiplied by their roots.

        Returns
        -------
        Network
        """
        s = np.asarray(scales, dtype=np.float64)
        if s.shape != (self.network.n_neurons,) or not ((s >= 0) & (s < np.inf)).all():
            raise ValueError(f"scales must be {self.network.n_neurons} finite numbers that are at least 0")
        kept = s > 0
        root = np.sqrt(s[kept])
        gates = None if self.network.gates is None else self.network.gates[kept]
        w2 = (root * self.network.w2[kept].T).T
        return dataclasses.replace(self.network, W1=root[:, None] * self.network.W1[kept], w2=w2, gates=gates)

    def minimise(self, cost: npt.ArrayLike) -> FloatArray:
        """Return the scales of the least ``cost . s``, a vertex of the polytope, by a linear program.

        With the cost -e_j it tells how much of the network neuron j can be, with e_j how much it has to be: where that
        is above 0 no network of the set is without it.

        Parameters
        ----------
        cost : array_like of shape (m,)
            Cost of each neuron.

        Returns
        -------
        ndarray of shape (m,)
            Scales. Neurons that the vertex has with less than 1e-9 of the weight decay are left out.

        Raises
        ------
        ValueError
            For costs of another number, or not finite.
        ImportError
            Without SciPy.
        """
        c = np.asarray(cost, dtype=np.float64)
        if c.shape != (self.network.n_neurons,) or not np.isfinite(c).all():
            raise ValueError(f"cost must be {self.network.n_neurons} finite numbers")
        if self.unique:
            return np.ones(c.size)
        try:
            from scipy.optimize import linprog
        except ImportError as error:
            raise ImportError("minimise needs SciPy: pip install scipy") from error
        settings = {"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10}
        some, slope = c != 0, np.zeros(c.size)
        if some.any():  # relative to the largest cost and the least share: quotients of others could overflow
            slope[some] = c[some] / np.abs(c).max() * (self.shares[some].min() / self.shares[some])
            slope /= np.abs(slope).max()
        slope = slope @ self.directions
        # No two points are further apart than two corners of the simplex.
        found = linprog(slope, -self.directions, self.shares, bounds=(-1.5, 1.5), options=settings)
        if found.x is None:
            raise ArithmeticError(f"the linear program was not solved: {found.message}")
        return self._scales(found.x, _ZERO)

    def sample(self, n_samples: int, *, n_steps: int | None = None, random_state: Any = None) -> FloatArray:
        """Draw scales from the polytope by hit-and-run, whose limit is the uniform distribution.

        Parameters
        ----------
        n_samples : int
            Draws.
        n_steps : int, optional
            Steps before each of them; 10 times the dimension by default. The first draws remember s = 1.
        random_state : None, int, numpy.random.Generator or RandomState
            Source of the draws.

        Returns
        -------
        ndarray of shape (n_samples, m)
            Scales.
        """
        n = as_count(n_samples, "n_samples")
        steps = max(1, 10 * self.dimension) if n_steps is None else as_count(n_steps, "n_steps")
        rng = as_generator(random_state)
        point, draws = np.zeros(self.dimension), np.ones((n, self.network.n_neurons))
        for draw in draws if self.dimension else ():
            for _ in range(steps):
                direction = rng.standard_normal(self.dimension)
                direction /= np.linalg.norm(direction)
                speed, left = self.directions @ direction, np.maximum(self.shares + self.directions @ point, 0)
                rising, falling = speed > 0, speed < 0
                least = (-left[rising] / speed[rising]).max(initial=-2.0)
                most = (left[falling] / -speed[falling]).min(initial=2.0)
                point = point + rng.uniform(least, most) * direction
            draw[:] = self._scales(point, 0.0)
        return draws

    def _scales(self, point: FloatArray, zero: float) -> FloatArray:
        shares = self.shares + self.directions @ point
        return np.where(shares > zero, shares, 0) / self.shares

    def __repr__(self) -> str:
        return f"OptimalSet({self.network.n_neurons} neurons, dimension {self.dimension}, tol={self.tol:.1e})"


def optimal_set(X: npt.ArrayLike, network: Network, *, tol: float = 1e-10, n_threads: int | None = None) -> OptimalSet:
    """Return the networks of the same neurons with the same predictions on samples and the same weight decay.

    The fit at an optimum of the gated or ReLU program with one output is unique, its weights need not be: at every
    optimum the weights of a pattern are a multiple of one vector, which the dual point gives, so that optima are
    combinations ``sum_j s_j f_j = f`` with ``s >= 0``. Of these, the set has all that use the neurons of this network
    (Mishkin and Pilanci, 2023). All have its objective, whatever the loss, and so its certificate: gap and dual point.
    Its dimension is the number of neurons less the rank of their outputs on the samples; where that is 0 the weights
    are unique, unless neurons that this network is without have a tight dual constraint, too.

    Parameters
    ----------
    X : array_like of shape (n_samples, n_features)
        Samples, without the ones column where the network has a bias.
    network : Network
        As ``to_network()`` of a solution returns it. With several outputs of a gated solution, whose network has the
        nuclear norms of the blocks as its weight decay, and with group weights, the objective of the program is
        another one than that of the network.
    tol : float, default 1e-10
        Singular values of at most `tol` times the largest count as zero: those of a solution to a relative gap g are
        off by about the root of g. Predictions on the samples change by as little, relatively.
    n_threads : int, optional
        Threads; by default what OpenMP would take.

    Returns
    -------
    OptimalSet

    Raises
    ------
    ValueError
        For samples that do not fit, and a `tol` that is not below 1.
    TypeError
        For what is no :class:`Network`.

    Examples
    --------
    >>> import numpy as np
    >>> from cvxrelu import Network, optimal_set
    >>> network = Network(np.array([[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]]), np.ones(3))
    >>> found = optimal_set([[3.0, 1.0]], network)
    >>> found, found.unique
    (OptimalSet(3 neurons, dimension 1, tol=1.0e-10), False)
    """
    tol = as_scalar(tol, "tol", strict=True)
    if tol >= 1:
        raise ValueError(f"tol must be below 1, not {tol}")
    if not isinstance(network, Network):
        raise TypeError(f"network must be a Network, as to_network() of a solution returns it, not {describe(network)}")
    Z = as_design(X, "X", network.n_features)
    columns = network.w2 if network.w2.ndim == 2 else network.w2[:, None]
    weights = np.hstack([network.W1, columns]).astype(np.float64)
    weights /= np.abs(weights).max(initial=0.0) or 1.0  # squares of the numbers given could over- or underflow
    lengths = np.linalg.norm(weights, axis=1)
    kept = lengths**2 > 0
    weights, shares = weights[kept] / lengths[kept, None], lengths[kept] ** 2 / (lengths @ lengths or 1.0)
    gates = None if network.gates is None else network.gates[kept]
    network = dataclasses.replace(network, W1=network.W1[kept], w2=network.w2[kept], gates=gates)
    design = append_ones(Z) if network.bias else Z
    W1, w2 = np.hsplit(weights, [network.W1.shape[1]])  # with a unit of weight decay each
    hidden = np.where(network._active(design, as_threads(n_threads)), design @ W1.T, 0.0)
    outputs = np.einsum("nm,mc->ncm", hidden, w2).reshape(len(Z) * w2.shape[1], shares.size)
    largest = np.abs(outputs).max(initial=0.0)
    fixed = np.vstack([outputs / (largest if largest > 0 else 1.0), np.ones(shares.size)])
    if fixed.shape[0] > shares.size:
        fixed = np.asarray(np.linalg.qr(fixed, mode="r"))  # has the same null combinations
    _, values, right = np.linalg.svd(fixed)
    rank = int((values > tol * values.max(initial=0.0)).sum())
    padded = np.concatenate([values, np.zeros(shares.size - values.size)])
    return OptimalSet(network, shares, np.ascontiguousarray(right[rank:].T), padded, tol)
