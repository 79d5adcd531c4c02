"""One file per problem in, CPU seconds and certified gaps out: run by ``bench.peers.gated`` in a process of its own.

A problem has decreasing penalties; a solver takes them in turn, each from the solution before where it can, and
returns the coefficients of all of them.

Needs numpy and the solver that is asked for, nothing else, so that a peer may live in another environment.
usage: python gated_solvers.py SOLVER PROBLEM.npz RUNS.json THREADS GAP
"""

import json
import os
import resource
import sys
import time

import numpy as np

SECONDS, TIMES = 1, 5  # every solver runs at every tolerance so often, or until so long
LADDER = (1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8, 1e-9, 1e-10, 1e-12, 1e-14, 1e-16)


def cvxrelu(problem, threads):
    import cvxrelu

    patterns = cvxrelu.ActivationPatterns(problem["gates"], problem["words"], len(problem["X"]))

    def solve(tol):
        path = cvxrelu.gated_path(
            problem["X"], problem["y"], patterns, betas=problem["betas"], tol=tol, n_threads=threads, max_iter=1000
        )
        return [solution.coef for solution in path]

    return solve, (1e-4, 1e-6, 1e-8)


def _masks(words, n):
    """Patterns packed in 64-bit words as 0.0 and 1.0, of shape (n, patterns)."""
    return np.unpackbits(words.view(np.uint8), axis=1, count=n, bitorder="little").T.astype(float)


def _explicit(problem):
    X = problem["X"]
    masks = _masks(problem["words"], len(X))
    return np.asfortranarray((masks[:, :, None] * X[:, None, :]).reshape(len(X), -1))


def _celer(problem, prune):
    from celer import GroupLasso

    A, (n, d) = _explicit(problem), problem["X"].shape

    def solve(tol):
        model = GroupLasso(groups=d, fit_intercept=False, prune=prune, tol=tol, max_iter=1000, warm_start=True)
        return _warm_path(model, A, problem, n, d)

    return solve, LADDER


def _warm_path(model, A, problem, n, d):
    coefs = []
    for beta in problem["betas"]:
        model.alpha = beta / n
        coefs.append(model.fit(A, problem["y"]).coef_.reshape(-1, d).copy())
    return coefs


def celer(problem, threads):
    return _celer(problem, 1)


def celer_prune0(problem, threads):
    return _celer(problem, 0)


def skglm(problem, threads):
    from skglm import GroupLasso

    A, (n, d) = _explicit(problem), problem["X"].shape

    def solve(tol):
        model = GroupLasso(groups=d, alpha=1.0, fit_intercept=False, tol=tol, max_iter=1000, warm_start=True)
        return _warm_path(model, A, problem, n, d)

    GroupLasso(groups=1, alpha=0.1, fit_intercept=False).fit(np.eye(3), np.ones(3))  # compiles
    return solve, LADDER


def _adelie(problem, threads, structured):
    import adelie

    X, (n, d) = np.asfortranarray(problem["X"]), problem["X"].shape
    p = len(problem["words"])
    if structured:
        masks = np.asfortranarray(_masks(problem["words"], n))
        A = adelie.matrix.convex_relu(X, masks, gated=True, n_threads=threads)
    else:
        A = adelie.matrix.dense(_explicit(problem), method="naive", n_threads=threads)

    def solve(tol):
        state = adelie.grpnet(
            A, adelie.glm.gaussian(problem["y"]), groups=np.arange(0, d * p, d), penalty=np.ones(p),
            lmda_path=problem["betas"] / n, intercept=False, early_exit=False, tol=tol,
            progress_bar=False, n_threads=threads,
        )  # fmt: skip
        return np.asarray(state.betas.todense()).reshape(len(problem["betas"]), -1, d)

    return solve, LADDER[4:]


def adelie(problem, threads):
    return _adelie(problem, threads, True)


def adelie_explicit(problem, threads):
    return _adelie(problem, threads, False)


def pyscnn(problem, threads):
    import torch
    from scnn.metrics import Metrics
    from scnn.models import ConvexGatedReLU
    from scnn.optimize import optimize_model
    from scnn.regularizers import NeuronGL1
    from scnn.solvers import RFISTA

    torch.set_num_threads(threads)
    X, y = problem["X"], problem["y"][:, None]

    def solve_one(tol, beta):
        model = ConvexGatedReLU(np.ascontiguousarray(problem["gates"].T))
        found, _ = optimize_model(
            model, RFISTA(model, max_iters=100000, tol=tol**2), Metrics(), X, y, unitize_data=False,
            regularizer=NeuronGL1(beta / len(X)), return_convex=True, dtype="float64",
        )  # fmt: skip
        # It sorts the gates by their patterns; each is known again by its numbers.
        place = {gate.tobytes(): i for i, gate in enumerate(np.ascontiguousarray(problem["gates"]))}
        coef = np.zeros_like(problem["gates"])
        for gate, block in zip(np.ascontiguousarray(found.G.T), np.asarray(found.parameters[0])[0], strict=True):
            coef[place[gate.tobytes()]] = block
        return coef

    return lambda tol: [solve_one(tol, beta) for beta in problem["betas"]], LADDER


def certified_gap(X, y, words, coef, beta):
    """Relative duality gap of coefficients, as a sum of non-negative terms."""
    n, Y, W = len(y), y.reshape(len(y), -1), coef.reshape(*coef.shape[:2], -1)
    block = max(1, 2**24 // n)  # patterns that are unpacked at a time
    active = np.flatnonzero(np.abs(W).sum(axis=(1, 2)))
    residual = Y.astype(float)
    for part in (active[k : k + block] for k in range(0, len(active), block)):
        masks = _masks(words[part], n)
        for o in range(Y.shape[1]):
            residual[:, o] -= ((X @ W[part, :, o].T) * masks).sum(axis=1)
    correlations = np.empty_like(W)
    for o, r in enumerate(residual.T):
        rows = X * r[:, None]
        for k in range(0, len(words), block):
            correlations[k : k + block, :, o] = _masks(words[k : k + block], n).T @ rows
    rr = (residual**2).sum()
    s = min((Y * residual).sum() / rr, beta / np.sqrt((correlations**2).sum(axis=(1, 2))).max()) if rr > 0 else 1.0
    terms = beta * np.sqrt((W**2).sum(axis=(1, 2))) - s * (W * correlations).sum(axis=(1, 2))
    return (0.5 * (1 - s) ** 2 * rr + np.maximum(terms, 0).sum()) / (0.5 * (Y**2).sum())


def main(name, source, target, threads, goal):
    problem = dict(np.load(source))
    solve, ladder = globals()[name](problem, threads)
    runs = []
    for tol in ladder:
        time.sleep(0.3)  # threads of a BLAS spin for 0.1 s after their last product, which belongs to the certificate
        times, until = [], time.perf_counter() + SECONDS
        while not times or (len(times) < TIMES and time.perf_counter() < until):
            before, wall = time.process_time(), time.perf_counter()
            coefs = solve(tol)
            times.append((time.process_time() - before, time.perf_counter() - wall))
        cpu, wall = np.median(times, axis=0)
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        gaps = [
            certified_gap(problem["X"], problem["y"], problem["words"], np.asarray(coef, dtype=np.float64), beta)
            for coef, beta in zip(coefs, problem["betas"], strict=True)
        ]
        active = int(np.abs(coefs[-1]).reshape(len(coefs[-1]), -1).any(axis=1).sum())
        runs.append({"tol": tol, "cpu": cpu, "wall": wall, "gap": max(gaps), "active": active, "memory": memory})
        unfinished = f"{target}.part"  # the limit may end this process at any moment
        with open(unfinished, "w") as file:
            json.dump(runs, file)
        os.replace(unfinished, target)
        if max(gaps) <= goal:
            break


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), float(sys.argv[5]))
