"""One random call of each public function, and what must be true of what it returns."""

import tempfile
from fractions import Fraction
from pathlib import Path

import cvxrelu as c
import numpy as np
from reference import arrangement, kernels, masked_design, network
from reference import patterns as exact

from . import claims
from .claims import require
from .data import design, laid_out, pick, scaled, spoilt, targets, weights

EPS = float(np.finfo(float).eps)
THREADS = {"n_threads": 1}


class Problem:
    """Rows, targets, patterns and settings of a program, as they are and as they are passed."""

    def __init__(self, rng, *, most_rows=40, most_features=5, outputs=1):
        rows = design(rng, most_rows, most_features)
        self.y = targets(rng, rows, outputs)
        self.X = scaled(rng, rows)
        scale = pick(rng, (1.0, 1.0, 1.0, 1e6, 1e-6, 1e40, 1e-40, 1e150, 1e-150, 1e200, 1e-200))
        with np.errstate(over="ignore", under="ignore"):
            self.y = self.y * scale
        self.scale = scale
        self.given_X, self.given_y = laid_out(rng, spoilt(rng, self.X)), laid_out(rng, spoilt(rng, self.y))
        self.X, self.y = (np.asarray(given).astype(np.float64) for given in (self.given_X, self.given_y))
        self.weights = weights(rng, len(self.X))
        self.ratio = float(10.0 ** rng.uniform(-4, 0.3))

    def patterns(self, rng):
        k = int(rng.integers(1, 25))
        if rng.random() < 0.3:
            return c.sample_patterns(self.given_X, gates=rng.standard_normal((k, self.X.shape[1])), **THREADS)
        return c.sample_patterns(self.given_X, k, random_state=int(rng.integers(99)), **THREADS)

    def penalty(self, largest):
        beta = self.ratio * largest
        return beta if beta > 0 else 1.0


def loss_settings(rng, problem):
    """A loss, its targets in place of those of the problem where they must be others, and its settings."""
    loss = pick(rng, ("squared", "squared", "squared", "huber", "logistic", "softmax", "poisson"))
    if loss in ("logistic", "softmax", "poisson"):
        n = len(problem.X)
        Y = rng.uniform(0, 1, (n, problem.y.reshape(n, -1).shape[1])) * (rng.random((n, 1)) < 0.7)
        if loss == "poisson":
            Y = np.floor(5 * Y)
        elif loss == "softmax":
            Y = rng.dirichlet(np.ones(max(2, Y.shape[1])), n)
        problem.y = problem.given_y = Y
    delta = float(problem.scale * 10.0 ** rng.uniform(-3, 1)) if loss == "huber" else 1.0
    return loss, {"loss": loss} | ({"delta": delta} if loss == "huber" else {})


def gated(rng):
    """solve_gated and gated_path, in memory and in chunks."""
    problem = Problem(rng, outputs=int(rng.integers(1, 5)))
    loss, settings = loss_settings(rng, problem)
    P = problem.patterns(rng)
    omega = weights(rng, len(P), positive=True)
    common = {"sample_weight": problem.weights, "group_weights": omega, **settings, **THREADS}
    claim = {"weights": problem.weights, "omega": omega, **settings}
    if loss == "squared" and rng.random() < 0.25:
        Z = np.hstack(
            [np.ones((len(problem.X), 1)), 1e3 + rng.standard_normal((len(problem.X), int(rng.integers(0, 3))))]
        )
        common["unpenalised"] = claim["unpenalised"] = Z
    elif loss == "squared" and problem.y.ndim == 2 and rng.random() < 0.3:
        common["block_norm"] = "nuclear"
    beta = problem.penalty(c.beta_max(problem.given_X, problem.given_y, P, **common))
    if "block_norm" not in common and "unpenalised" not in common and rng.random() < 0.25:
        largest = min(float(np.abs(problem.X).max()), 1e150)
        ridge = 1e-3 * largest**2
        common["ridge"] = claim["ridge"] = ridge
    rows = problem.given_X
    if loss == "squared" and not {"unpenalised", "block_norm"} & set(common) and rng.random() < 0.3:
        rows = c.RowChunks(
            np.asarray(problem.given_X, dtype=np.asarray(problem.given_X).dtype.newbyteorder("=")),
            chunk_rows=int(rng.integers(1, 64)),
        )
    elif loss == "squared" and "block_norm" not in common and rng.random() < 0.3:
        common["solver"] = pick(rng, ("newton", "dual", "bcd"))
    if rng.random() < 0.3:
        solutions = c.gated_path(rows, problem.given_y, P, betas=[beta, 0.3 * beta], **common)
    else:
        solutions = [c.solve_gated(rows, problem.given_y, P, beta, **common)]
    for solution in solutions:
        if "block_norm" in common:
            require(np.isfinite(solution.objective) and solution.gap >= 0, "a gap below zero")
        else:
            claims.gated(problem.X, problem.y, solution, **claim)
    return all(solution.converged for solution in solutions)


def equivariant(rng):
    """Other units, another order of the rows: another view of the same optimum."""
    problem = Problem(rng)
    loss, settings = ("huber", {"loss": "huber", "delta": problem.scale}) if rng.random() < 0.3 else ("squared", {})
    X, y = problem.X, problem.y
    gates = rng.standard_normal((int(rng.integers(1, 15)), X.shape[1]))
    order = rng.permutation(len(X))
    a, b = (2.0 ** int(k) for k in rng.integers(-30, 31, size=2))
    common = {**settings, **THREADS}
    first = c.sample_patterns(X, gates=gates, **THREADS)
    beta = problem.penalty(c.beta_max(X, y, first, **common))
    one = c.solve_gated(X, y, first, beta, **common)
    with np.errstate(over="ignore", under="ignore"):
        X2, y2 = a * X[order], b * y[order]
        if loss == "huber":
            common["delta"] = b * settings["delta"]
        if not np.array_equal(X2 / a, X[order]) or not np.array_equal(y2 / b, y[order]):
            return True
    other = c.solve_gated(X2, y2, c.sample_patterns(X2, gates=gates, **THREADS), a * b * beta, **common)
    wide = [np.longdouble(value) for value in (one.objective, one.gap, other.objective, other.gap)]
    factor = np.longdouble(b) ** 2
    room = factor * wide[1] + wide[3] + 1e-9 * factor * wide[0]
    require(abs(factor * wide[0] - wide[2]) <= room, "objectives", one.objective, other.objective, "in other units")
    return one.converged and other.converged


def relu(rng):
    """solve_relu, train_relu and relu_path, and certify of what they return."""
    problem = Problem(rng, most_rows=12, most_features=3)
    settings = pick(rng, ({}, {}, {"loss": "huber", "delta": 0.3 * problem.scale}))
    X, y = problem.given_X, problem.given_y
    common = {"sample_weight": problem.weights, **settings, **THREADS}
    claim = {"weights": problem.weights, **settings}
    if rng.random() < 0.5:
        P = problem.patterns(rng)
        claim["omega"] = omega = weights(rng, len(P), positive=True)
        beta = problem.penalty(c.relu_beta_max(X, y, P, group_weights=omega, **common))
        solutions = [c.solve_relu(X, y, P, beta, group_weights=omega, **common)]
    else:
        search = {"max_nodes": 2000}
        beta = problem.penalty(c.relu_beta_max(X, y, **search, **common))
        search |= {"random_state": 0, "max_rounds": 10}
        if rng.random() < 0.7:
            solutions = [c.train_relu(X, y, beta, **search, **common)]
        else:
            solutions = list(c.relu_path(X, y, betas=[beta, 0.5 * beta], **search, **common))
    for solution in solutions:
        claims.relu(problem.X, problem.y, solution, **claim)
        if "omega" not in claim:
            told = c.certify(X, y, solution.to_network(), solution.beta, max_nodes=2000, **common)
            size = max(told.upper_bound, solution.objective)
            require(told.lower_bound <= told.upper_bound, "bounds", told.lower_bound, told.upper_bound)
            require(
                abs(told.upper_bound - solution.objective) <= 1e-6 * size,
                "objective",
                told.upper_bound,
                solution.objective,
            )
            if solution.scope == told.scope == "all patterns":
                require(solution.dual_objective <= told.upper_bound * (1 + 1e-9), "crossing bounds")
    return all(solution.converged for solution in solutions)


def networks(rng):
    """certify, predict, objective, save and load of a random network."""
    problem = Problem(rng, most_rows=12, most_features=3, outputs=int(rng.integers(1, 3)))
    d = problem.X.shape[1]
    m, outputs = int(rng.integers(0, 6)), problem.y.shape[1:]
    W1, W2 = rng.standard_normal((m, d)), rng.standard_normal((m, *outputs))
    gates = rng.standard_normal((m, d)) if rng.random() < 0.3 else None
    net = c.Network(W1, W2, gates=gates)
    wide = claims.wide(problem.X)
    ours, size = net.predict(problem.given_X, **THREADS), float(np.abs(problem.X).max()) * 10 * (m + 1)
    low = 1e-5 if ours.dtype == np.float32 else 1e-13
    require(np.abs(ours - network.predict(W1, W2, gates, wide)).max() <= low * size, "predictions")
    with tempfile.TemporaryDirectory() as folder:
        net.save(Path(folder) / "net.npz")
        again = c.Network.load(Path(folder) / "net.npz")
    np.testing.assert_array_equal(again.predict(problem.given_X, **THREADS), ours)
    if gates is not None:
        return True
    beta = float(abs(problem.scale) * 10.0 ** rng.uniform(-3, 3))
    told = c.certify(problem.given_X, problem.given_y, net, beta, max_nodes=500, **THREADS)
    value = network.objective(W1, W2, None, wide, claims.wide(problem.y), np.longdouble(beta))
    zero = 0.5 * (claims.wide(problem.y) ** 2).sum()
    # An objective that float64 does not hold in units in which the targets are of order one is infinite.
    require(np.isfinite(told.upper_bound) or value > 1e300 * zero, "upper bound", told.upper_bound, value)
    if np.isfinite(told.upper_bound):
        claims.close("upper bound", told.upper_bound, value, value)
    require(told.lower_bound <= min(told.upper_bound, zero * (1 + 1e-9)), "a lower bound above an objective")
    return True


def learned_kernels(rng):
    """solve_mkl in both forms."""
    problem = Problem(rng, most_rows=25, outputs=int(rng.integers(1, 4)))
    P = problem.patterns(rng)
    common = {"sample_weight": problem.weights, **THREADS}
    beta = problem.penalty(c.beta_max(problem.given_X, problem.given_y, P, **common))
    settings = {
        "form": pick(rng, ("beta", "simplex")),
        "init": pick(rng, ("ntk", "uniform")),
        "max_iter": int(rng.integers(1, 8)),
    }
    solution = c.solve_mkl(
        problem.given_X, problem.given_y, P, beta, finish=bool(rng.integers(2)), **settings, **common
    )
    claims.mkl(problem.X, problem.y, solution, weights=problem.weights)
    return solution.converged


def tangent_kernels(rng):
    """ntk and masking_kernel, entry by entry."""
    problem = Problem(rng, most_rows=20)
    X = problem.X
    order = int(np.frexp(np.abs(X).max())[1]) if np.isfinite(X).all() else 0
    unit = np.ldexp(X, -order)
    kind = pick(rng, ("gated", "gated-both", "relu"))
    K = c.ntk(problem.given_X, kind=kind, **THREADS)
    expected = np.longdouble(kernels.ntk(unit, unit, kind)) * np.ldexp(np.longdouble(1), 2 * order)
    lengths = np.sqrt((claims.wide(X) ** 2).sum(axis=1))
    room = np.outer(lengths, lengths) + np.finfo(float).tiny
    low = 1e-5 if K.dtype == np.float32 else 1e-11
    if (lengths > 1e-140 * lengths.max()).all():  # the twin's own lengths
        least = np.finfo(K.dtype).smallest_subnormal
        require((abs(K - expected) <= low * room + least).all(), "kernel off by", (abs(K - expected) / room).max())
    P = problem.patterns(rng)
    eta = rng.uniform(0, 1, len(P))
    K = c.masking_kernel(problem.given_X, P, eta, **THREADS)
    expected = kernels.masking_kernel(claims.wide(X), P.to_dense().astype(np.longdouble), eta)
    require((abs(K - expected) <= low * len(P) * room).all(), "masking kernel off")
    return True


def activations(rng):
    """sample_patterns: every bit in rational arithmetic."""
    problem = Problem(rng, most_rows=15, most_features=4)
    P = problem.patterns(rng)
    if len(P):
        require((exact.masks(problem.X, P.gates) == P.to_dense()).all(), "bits of the gates")
        require(len({row.tobytes() for row in P.words}) == len(P), "patterns that are equal")
    again = P[rng.permutation(len(P))]
    require(again.counts is None or again.counts.sum() == P.counts.sum(), "counts")
    return True


def cells(rng):
    """enumerate_patterns, count_patterns, iter_patterns and cone_measure."""
    problem = Problem(rng, most_rows=8, most_features=3)
    closed = bool(rng.random() < 0.3)
    n = c.count_patterns(problem.given_X, closed=closed, **THREADS)
    P = c.enumerate_patterns(problem.given_X, closed=closed, **THREADS)
    require(n == len(P), "counted", n, "listed", len(P))
    found = {tuple(row) for row in P.to_dense().T.tolist()}
    expected = (arrangement.closed_patterns if closed else arrangement.patterns)(problem.X)
    require(found == {tuple(map(bool, row)) for row in expected}, len(found), "cells, right", len(expected))
    require(np.isfinite(P.gates).all(), "gates that are not finite")
    inside = (exact.masks(problem.X, P.gates) == P.to_dense()).all(axis=0)
    unverified = len(P) - P.certificate.n_verified
    require((~inside).sum() <= unverified, (~inside).sum(), "gates outside their cells, told are", unverified)
    if closed:
        return True
    listed = [row.tobytes() for part in c.iter_patterns(problem.given_X, **THREADS) for row in part.words]
    require(set(listed) == {row.tobytes() for row in P.words} and len(listed) == len(P), "another stream of cells")
    measure = c.cone_measure(problem.given_X, P, **THREADS)
    shares, errors = measure.probabilities, measure.errors
    require((shares >= 0).all() and (shares <= 1 + errors).all(), "probabilities")
    if measure.method == "exact":
        live = problem.X.any(axis=1)
        missing = 0.0
        if live.all() and not any(not any(row) for row in found):
            missing = float(shares[[all(row) for row in P.to_dense().T.tolist()]].sum())
        require(
            abs(shares.sum() + missing - 1) <= errors.sum() + 1e-12, "probabilities add up to", shares.sum() + missing
        )
    return True


def hyperplanes(rng):
    """Arrangement, its cells, orbits and graph, against Zaslavsky's count and each other."""
    problem = Problem(rng, most_rows=7, most_features=3)
    A = c.Arrangement(problem.given_X, **THREADS)
    cells = arrangement.patterns(problem.X)
    require(A.n_regions == len(cells), A.n_regions, "regions, right", len(cells))
    require(sum(abs(k) for k in A.whitney_numbers) == A.n_regions, "Whitney numbers")
    vectors = arrangement.covectors(problem.X)
    require({tuple(row) for row in A.covectors().tolist()} == {tuple(row) for row in vectors}, "covectors")
    graph = A.tope_graph()
    require(len(graph.words) == A.n_regions, "regions of the graph")
    rows = [[Fraction(float(x)) for x in row] for row in problem.X]
    for signs in A.sign_vectors()[:3].tolist():
        rays = A.cell(signs).rays or [[0] * len(rows[0])]
        inside = [sum(column) for column in zip(*rays, strict=True)]
        values = [sum(x * u for x, u in zip(row, inside, strict=True)) for row in rows]
        require([(v > 0) - (v < 0) for v in values] == signs, "rays of a region")
    antipodes = A.orbits([[~j for j in range(A.n_rows)]])
    require(antipodes.n_regions == A.n_regions, "regions by orbits of flats")
    require(antipodes.n_orbits == max(1, A.n_regions // 2), "orbits of antipodes")
    return True


def estimators(rng):
    """fit and predict of every estimator."""
    problem = Problem(rng, most_rows=15, most_features=3)
    small = {"n_gates": 10, "random_state": 0}
    name, settings = pick(
        rng,
        (
            ("GatedReLURegressor", small),
            ("GatedReLUClassifier", small),
            ("ReLURegressor", {"random_state": 0, "max_nodes": 200, "max_rounds": 3}),
            ("NTKRegressor", {}),
            ("NTKClassifier", {}),
            ("MKLRegressor", small),
            ("GatedReLURegressorCV", small | {"cv": 2, "n_betas": 3}),
        ),
    )
    y = problem.given_y
    if name.endswith("Classifier"):
        y = rng.integers(0, 3, len(problem.X))
    model = getattr(c, name)(**settings, **THREADS)
    model.fit(problem.given_X, y, sample_weight=problem.weights)
    values = model.predict(problem.given_X)
    require(len(values) == len(problem.X), "predictions")
    if values.dtype.kind == "f":
        require(np.isfinite(values).all(), "predictions that are not finite")
    return True


def decomposed(rng):
    """decompose: the same values on the samples."""
    problem = Problem(rng, most_rows=15, most_features=3)
    X = problem.given_X
    P = problem.patterns(rng)
    beta = problem.penalty(c.beta_max(X, problem.given_y, P, **THREADS))
    solution = c.solve_gated(X, problem.given_y, P, beta, **THREADS)
    network = c.decompose(X, solution, method=pick(rng, ("qp", "margin")))
    W = claims.wide(solution.coef).reshape(len(P), -1, 1)
    expected = masked_design.fitted(claims.wide(problem.X), P.to_dense(), W)[:, 0]
    got = np.maximum(claims.wide(problem.X) @ claims.wide(network.blocks).T, 0) @ network.signs
    got = got.reshape(len(problem.X))
    sizes = (abs(claims.wide(problem.X)) @ abs(claims.wide(network.blocks)).T).sum()
    low = 1e-5 if network.blocks.dtype == np.float32 else 1e-9
    require((abs(got - expected) <= low * (sizes + abs(expected).max())).all(), "values of a decomposition")
    return True


CASES = (gated, gated, gated, gated, equivariant, relu, relu, networks, learned_kernels, tangent_kernels)
CASES += (activations, cells, hyperplanes, estimators, decomposed)
