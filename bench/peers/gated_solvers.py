"""One file per problem in, coefficients and CPU seconds out: run by ``bench.peers.gated`` in a process of its own.

Needs numpy and the solver that is asked for, nothing else, so that a peer may live in another environment.
usage: python gated_solvers.py SOLVER PROBLEM.npz OUT.npz SECONDS THREADS
"""

import json
import resource
import sys
import time

import numpy as np

LADDER = (1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8, 1e-9, 1e-10, 1e-12, 1e-14, 1e-16)


def cvxrelu(problem, threads):
    import cvxrelu

    patterns = cvxrelu.ActivationPatterns(problem["gates"], problem["words"], len(problem["X"]))

    def solve(tol):
        found = cvxrelu.solve_gated(
            problem["X"], problem["y"], patterns, problem["beta"], tol=tol, n_threads=threads, max_iter=1000
        )
        return found.coef

    return solve, (1e-4, 1e-6, 1e-8)


def _explicit(problem):
    masks, X = problem["masks"], problem["X"]
    return np.asfortranarray((masks[:, :, None] * X[:, None, :]).reshape(len(X), -1))


def _celer(problem, prune):
    from celer import GroupLasso

    A, (n, d) = _explicit(problem), problem["X"].shape

    def solve(tol):
        model = GroupLasso(
            groups=d, alpha=problem["beta"] / n, fit_intercept=False, prune=prune, tol=tol, max_iter=1000
        )
        return model.fit(A, problem["y"]).coef_.reshape(-1, d)

    return solve, LADDER


def celer(problem, threads):
    return _celer(problem, 1)


def celer_prune0(problem, threads):
    return _celer(problem, 0)


def skglm(problem, threads):
    from skglm import GroupLasso

    A, (n, d) = _explicit(problem), problem["X"].shape

    def solve(tol):
        model = GroupLasso(groups=d, alpha=problem["beta"] / n, fit_intercept=False, tol=tol, max_iter=1000)
        return model.fit(A, problem["y"]).coef_.reshape(-1, d)

    GroupLasso(groups=1, alpha=0.1, fit_intercept=False).fit(np.eye(3), np.ones(3))  # compiles
    return solve, LADDER


def _adelie(problem, threads, structured):
    import adelie

    X, (n, d) = np.asfortranarray(problem["X"]), problem["X"].shape
    p = problem["masks"].shape[1]
    if structured:
        A = adelie.matrix.convex_relu(X, np.asfortranarray(problem["masks"]), gated=True, n_threads=threads)
    else:
        A = adelie.matrix.dense(_explicit(problem), method="naive", n_threads=threads)

    def solve(tol):
        state = adelie.grpnet(
            A, adelie.glm.gaussian(problem["y"]), groups=np.arange(0, d * p, d), penalty=np.ones(p),
            lmda_path=np.array([problem["beta"] / n]), intercept=False, early_exit=False, tol=tol,
            progress_bar=False, n_threads=threads,
        )  # fmt: skip
        return np.asarray(state.betas.todense()).reshape(-1, d)

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

    def solve(tol):
        model = ConvexGatedReLU(np.ascontiguousarray(problem["gates"].T))
        found, _ = optimize_model(
            model, RFISTA(model, max_iters=100000, tol=tol**2), Metrics(), X, y, unitize_data=False,
            regularizer=NeuronGL1(problem["beta"] / len(X)), return_convex=True, dtype="float64",
        )  # fmt: skip
        # It sorts the gates by their patterns; each is known again by its numbers.
        place = {gate.tobytes(): i for i, gate in enumerate(np.ascontiguousarray(problem["gates"]))}
        coef = np.zeros_like(problem["gates"])
        for gate, block in zip(np.ascontiguousarray(found.G.T), np.asarray(found.parameters[0])[0], strict=True):
            coef[place[gate.tobytes()]] = block
        return coef

    return solve, LADDER


def main(name, source, target, seconds, threads):
    problem = dict(np.load(source))
    problem["beta"] = float(problem["beta"])
    solve, ladder = globals()[name](problem, threads)
    runs, coefs = [], []
    for tol in ladder:
        before, wall = time.process_time(), time.perf_counter()
        coef = np.asarray(solve(tol), dtype=np.float64)
        cpu, wall = time.process_time() - before, time.perf_counter() - wall
        runs.append({"tol": tol, "cpu": cpu, "wall": wall})
        coefs.append(coef)
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        np.savez(target, coefs=np.array(coefs), runs=json.dumps(runs), memory=memory)
        if wall > seconds:
            break


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], float(sys.argv[4]), int(sys.argv[5]))
