"""One file per problem in, blocks and CPU seconds out: run by ``bench.peers.relu`` in a process of its own.

Needs numpy and the solver that is asked for, nothing else, so that a peer may live in another environment. Blocks are
the v_i, then the w_i, of ``sum_i D_i X (v_i - w_i)``.
usage: python relu_solvers.py SOLVER PROBLEM.npz OUT.npz SECONDS THREADS
"""

import json
import resource
import sys
import time

import numpy as np


def cvxrelu(problem, threads):
    import cvxrelu

    patterns = cvxrelu.ActivationPatterns(problem["gates"], problem["words"], len(problem["X"]))
    p, d = problem["gates"].shape

    def solve(tol):
        found = cvxrelu.solve_relu(
            problem["X"], problem["y"], patterns, problem["beta"], tol=tol, n_threads=threads, max_iter=1000
        )
        blocks = np.zeros((2 * p, d))
        blocks[found.active + np.where(found.signs > 0, 0, p)] = found.blocks
        return blocks, None

    return solve, (1e-4, 1e-6, 1e-8)


def clarabel(problem, threads):
    import cvxpy as cp

    X, masks = problem["X"], problem["masks"]
    p, d = problem["gates"].shape
    V, W = cp.Variable((d, p)), cp.Variable((d, p))
    fit = cp.sum(cp.multiply(masks, X @ (V - W)), axis=1)
    penalty = cp.sum(cp.norm(V, axis=0)) + cp.sum(cp.norm(W, axis=0))
    inside = [cp.multiply(2 * masks - 1, X @ U) >= 0 for U in (V, W)]
    program = cp.Problem(cp.Minimize(0.5 * cp.sum_squares(fit - problem["y"]) + problem["beta"] * penalty), inside)

    def solve(tol):
        program.solve(solver=cp.CLARABEL, tol_gap_rel=tol, tol_gap_abs=tol, tol_feas=tol, max_threads=threads)
        return np.vstack([V.value.T, W.value.T]), program.solver_stats.solve_time

    return solve, (1e-4, 1e-6, 1e-8, 1e-9)


def adelie(problem, threads):
    import adelie

    X, (n, d) = np.asfortranarray(problem["X"]), problem["X"].shape
    masks, p = problem["masks"], problem["masks"].shape[1]
    A = adelie.matrix.convex_relu(X, np.asfortranarray(masks.astype(bool)), gated=False, n_threads=threads)

    # Beyond some point, which depends on the data, its projections onto cones raise: what was reached before stays.
    def solve(setting):
        tol, inner = setting
        inside = [
            adelie.constraint.linear(
                np.ascontiguousarray((2 * mask - 1)[:, None] * X), np.zeros(n), np.full(n, np.inf), copy=True,
                configs=inner and {"tol": tol, "nnls_tol": inner, "pinball_tol": inner, "max_iters": 1000},
            )
            for mask in [*masks.T, *masks.T]
        ]  # fmt: skip
        state = adelie.grpnet(
            A, adelie.glm.gaussian(problem["y"]), constraints=inside, groups=np.arange(0, 2 * d * p, d),
            penalty=np.ones(2 * p), lmda_path=np.array([problem["beta"] / n]), intercept=False, early_exit=False,
            tol=tol, progress_bar=False, n_threads=threads,
        )  # fmt: skip
        return np.asarray(state.betas.todense()).reshape(-1, d), None

    return solve, ((1e-7, None), (1e-10, None), (1e-12, 1e-10), (1e-14, 1e-10), (1e-14, 1e-12))


def pyscnn(problem, threads):
    import torch
    from scnn.metrics import Metrics
    from scnn.models import ConvexReLU
    from scnn.optimize import optimize_model
    from scnn.regularizers import NeuronGL1
    from scnn.solvers import AL

    torch.set_num_threads(threads)
    X, y = problem["X"], problem["y"][:, None]
    p = len(problem["gates"])

    def solve(tol):
        model = ConvexReLU(np.ascontiguousarray(problem["gates"].T))
        found, _ = optimize_model(
            model, AL(model, tol=tol**2, constraint_tol=tol), Metrics(), X, y, unitize_data=False,
            regularizer=NeuronGL1(problem["beta"] / len(X)), return_convex=True, dtype="float64",
        )  # fmt: skip
        # It sorts the gates by their patterns; each is known again by its numbers.
        place = {gate.tobytes(): i for i, gate in enumerate(np.ascontiguousarray(problem["gates"]))}
        blocks = np.zeros((2, *problem["gates"].shape))
        for half in range(2):
            for gate, block in zip(np.ascontiguousarray(found.G.T), np.asarray(found.parameters[half])[0], strict=True):
                blocks[half, place[gate.tobytes()]] = block
        return blocks.reshape(2 * p, -1), None

    return solve, (1e-3, 1e-4, 1e-5, 1e-6)


def main(name, source, target, seconds, threads):
    problem = dict(np.load(source))
    problem["beta"] = float(problem["beta"])
    solve, ladder = globals()[name](problem, threads)
    runs, coefs = [], []
    for tol in ladder:
        before, wall = time.process_time(), time.perf_counter()
        blocks, own = solve(tol)
        cpu, wall = time.process_time() - before, time.perf_counter() - wall
        runs.append({"tol": tol, "cpu": cpu if own is None else own, "wall": wall})
        coefs.append(blocks)
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        np.savez(target, coefs=np.array(coefs), runs=json.dumps(runs), memory=memory)
        if wall > seconds:
            break


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], float(sys.argv[4]), int(sys.argv[5]))
