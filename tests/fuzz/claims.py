"""What a certificate claims, computed again by the twins, in extended precision, whose range has room for squares."""

import numpy as np
from reference import arrangement, cone, group_lasso, losses, masked_design

ROUNDING = 1e-9  # of claims, relative to the objective at zero


class FalseClaimError(AssertionError):
    """A result that is not what it says."""


def require(condition, *said):
    if not condition:
        raise FalseClaimError(" ".join(map(str, said)))


def wide(array):
    """An array in extended precision."""
    return np.asarray(array).astype(np.longdouble)


def rounding_of(R, products):
    """Rounding of half the squares of R, whose entries are sums of products of these sizes."""
    errors = 64 * np.finfo(float).eps * products
    return (abs(R) * errors).sum() + (errors**2).sum()


def columns(array, n):
    return wide(array).reshape(n, -1)


def close(name, got, expected, scale):
    require(abs(np.longdouble(got) - expected) <= ROUNDING * scale, name, got, "is", expected, "to", ROUNDING * scale)


def gated(X, y, solution, *, weights=None, omega=None, ridge=0.0, loss="squared", delta=1.0, unpenalised=None):
    """The objective of a gated solution, and the bound of its dual point."""
    X, n = wide(X), len(X)
    Y, T = columns(y, n), columns(solution.dual, n)
    masks = solution.patterns.to_dense()
    W = wide(solution.coef).reshape(*solution.coef.shape[:2], -1)
    s = np.ones(n, np.longdouble) if weights is None else wide(weights)
    omega = np.ones(len(W)) if omega is None else wide(omega)
    ridge = np.longdouble(ridge)  # half of one below the normal numbers rounds
    require(np.isfinite(W).all() and np.isfinite(T).all(), "results that are not finite")
    fitted, products = masked_design.fitted(X, masks, W), masked_design.fitted(abs(X), masks, abs(W))
    shift = np.zeros_like(Y)
    if unpenalised is not None:
        shift = wide(unpenalised) @ columns(solution.unpenalised_coef, np.shape(unpenalised)[1])
    if loss == "squared":
        value = group_lasso.objective(
            X, Y, masks, W, wide(solution.beta), weights=s, omega=omega, ridge=ridge, shift=shift
        )
        dual = (s > 0)[:, None] * (Y * T) - 0.5 * T**2 / np.where(s > 0, s, 1)[:, None]
        bound, scale = dual.sum(), 0.5 * (s[:, None] * Y**2).sum()
    else:
        as_taken = wide if loss == "huber" else _narrow  # the twins of the others are made of SciPy's functions
        delta, kept = np.longdouble(delta), s > 0
        X, Y, shares = as_taken(X), as_taken(Y), as_taken(s)
        more = {"weights": shares, "omega": omega, "ridge": ridge, "delta": delta}
        value = losses.objective(loss, X, Y, masks, W, np.longdouble(solution.beta), **more)
        law = T[kept] / s[kept, None]
        limit = np.clip(law, -delta, delta) if loss == "huber" else law  # the scale rounds
        require(abs(law - limit).max(initial=0) <= 1e-12 * delta, "a dual point outside the domain")
        if loss in ("logistic", "softmax", "poisson"):
            limit = np.minimum(limit, Y[kept])
            limit = np.maximum(limit, Y[kept] - 1) if loss != "poisson" else limit
            require(
                abs(law - limit).max(initial=0) <= 1e-12 * max(1.0, float(abs(Y).max())),
                "a dual point outside the domain",
            )
        bound = (s[kept] * losses.dual_of(loss, Y[kept], as_taken(limit), delta)).sum()
        scale = (s * losses.loss_of(loss, Y, 0 * Y, delta)).sum()
    correlations = np.sqrt((masked_design.correlations(X, masks, T) ** 2).sum(axis=(1, 2)))
    require((abs(T[s == 0]) == 0).all(), "a dual point with entries where samples have no weight")
    if ridge > 0:
        bound = bound - (np.maximum(correlations - wide(solution.beta) * omega, 0) ** 2).sum() / (
            2 * np.longdouble(ridge)
        )
    else:
        excess = (correlations / omega).max(initial=0) / wide(solution.beta)
        sizes = np.sqrt((masked_design.correlations(abs(X), masks, abs(T)) ** 2).sum(axis=(1, 2)))
        rounding = np.finfo(float).eps * (sizes / omega).max(initial=0) / wide(solution.beta)
        require(excess <= 1 + ROUNDING + rounding, "a dual point beyond its constraints:", excess)
    if unpenalised is not None:
        lengths = np.sqrt((wide(unpenalised) ** 2).sum(axis=0))[:, None] * np.sqrt((T**2).sum())
        require(
            (abs(wide(unpenalised).T @ T) <= 1e-9 * lengths).all(), "a dual point not orthogonal to unpenalised columns"
        )
    steepness = {"squared": abs(Y - fitted - shift), "huber": delta}.get(loss, 1 + abs(Y))
    root = np.sqrt(s)[:, None]
    _certificate(solution, value, bound, scale, rounding_of(root * steepness, root * products))


def _narrow(array):
    return np.asarray(array, dtype=np.float64)


def _certificate(solution, value, bound, scale, rounding=0.0):
    close("objective", solution.objective, value, scale + value * 1e-5 + rounding / ROUNDING)
    require(solution.gap >= 0, "a gap below zero:", solution.gap)
    lower = np.longdouble(solution.objective) - np.longdouble(solution.gap)
    rounding = rounding + ROUNDING * scale + 1e-14 * (value + np.longdouble(solution.gap))
    require(lower <= bound + rounding, "the lower bound", lower, "is above", bound, "which the dual point proves")
    if scale > 0 and hasattr(solution, "relative_gap"):
        require(solution.relative_gap >= 0, "a relative gap below zero")


def mkl(X, y, solution, *, weights=None):
    """The same of a learned kernel, in both forms."""
    X, n = wide(X), len(X)
    Y, T, masks = columns(y, n), columns(solution.dual, n), solution.patterns.to_dense()
    W = wide(solution.coef).reshape(*solution.coef.shape[:2], -1)
    s = np.ones(n, np.longdouble) if weights is None else wide(weights)
    beta = wide(solution.beta)
    plain = group_lasso.objective(X, Y, masks, W, np.longdouble(0), weights=s)
    total = np.sqrt((W**2).sum(axis=(1, 2))).sum()
    value = plain + (beta * total if solution.form == "beta" else 0.5 * beta * total**2)
    dual = ((s > 0)[:, None] * (Y * T) - 0.5 * T**2 / np.where(s > 0, s, 1)[:, None]).sum()
    largest = np.sqrt((masked_design.correlations(X, masks, T) ** 2).sum(axis=(1, 2))).max()
    root = np.sqrt(s)[:, None]
    fitted, products = masked_design.fitted(X, masks, W), masked_design.fitted(abs(X), masks, abs(W))
    if solution.form == "beta":
        require(largest <= beta * (1 + ROUNDING), "a dual point beyond its constraints:", largest / beta)
    else:
        dual = dual - largest**2 / (2 * beta)
    rounding = rounding_of(root * (Y - fitted), root * products)
    _certificate(solution, value, dual, 0.5 * (s[:, None] * Y**2).sum(), rounding)


def relu(X, y, solution, *, weights=None, omega=None, loss="squared", delta=1.0):
    """The objective of a ReLU network, and the bound of its dual point over its scope where that is cheap to list."""
    X, y, n = wide(X), wide(y).reshape(-1), len(X)
    s = np.ones(n, np.longdouble) if weights is None else wide(weights)
    U, T = wide(solution.blocks), wide(solution.dual).reshape(-1)
    require(np.isfinite(U).all() and np.isfinite(T).all(), "results that are not finite")
    f = np.maximum(X @ U.T, 0) @ solution.signs
    norms, beta = np.sqrt((U**2).sum(axis=1)), wide(solution.beta)
    own = np.ones(len(U)) if omega is None else wide(omega)[solution.active]
    delta = np.longdouble(delta)
    name = {"name": loss, "delta": delta}
    value = (s * losses.loss_of(Y=y[:, None], F=f[:, None], **name)).sum() + beta * (own * norms).sum()
    scale = (s * losses.loss_of(Y=y[:, None], F=0 * f[:, None], **name)).sum()
    kept = s > 0
    require((T[~kept] == 0).all(), "a dual point with entries where samples have no weight")
    law = T[kept] / s[kept]
    if loss == "huber":
        require(abs(law).max(initial=0) <= delta * (1 + 1e-12), "a dual point outside the domain")
        law = np.clip(law, -delta, delta)
    bound = (s[kept] * losses.dual_of(Y=y[kept, None], T=law[:, None], **name)).sum()
    masks = solution.patterns.to_dense()
    if solution.scope == "all patterns":
        if n > 7 or X.shape[1] > 3:
            masks = None
        else:
            masks = np.array(sorted(arrangement.patterns(_narrow(X)))).T
            omega = None
    if masks is not None and n <= 20:
        limits = np.ones(masks.shape[1]) if omega is None else _narrow(omega)
        unit = _narrow(np.ldexp(X, -int(np.frexp(max(abs(X).max(), np.finfo(float).tiny))[1])))
        size = abs(X).max() * abs(T).max(initial=0)
        if size > 0:
            theta = _narrow(T / abs(T).max())
            factor = abs(T).max() * np.ldexp(np.longdouble(1), int(np.frexp(abs(X).max())[1])) / beta
            largest = max(
                cone.projection_norm(unit[_narrow(s) > 0], mask[_narrow(s) > 0], sign * unit.T @ (mask * theta)) / limit
                for mask, limit in zip(masks.T, limits, strict=True)
                for sign in (1.0, -1.0)
            )
            require(factor * largest <= 1 + 1e-7, "a dual point beyond its constraints:", factor * largest)
    _certificate(solution, value, bound, scale)
