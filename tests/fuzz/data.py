"""Data in general and in every degenerate position, in any units, types and layouts."""

import numpy as np

KINDS = ("normal", "integer", "duplicates", "opposite", "zero rows", "zero column", "collinear", "constant", "near")
SCALES = (1.0, 1.0, 1.0, 1.0, 1e-3, 1e4, 1e20, 1e-20, 1e100, 1e-100, 1e155, 1e-160, 1e300, 1e-300)


def pick(rng, values):
    """One of some values."""
    return values[rng.integers(len(values))]


def design(rng, most_rows=40, most_features=5):
    """Rows of order one, as float64."""
    n, d = int(rng.integers(1, most_rows + 1)), int(rng.integers(1, most_features + 1))
    X = rng.standard_normal((n, d))
    kind = pick(rng, KINDS)
    if kind == "integer":
        X = rng.integers(-2, 3, size=(n, d)).astype(float)
    elif kind == "duplicates":
        X = X[rng.integers(0, (n + 1) // 2, size=n)]
    elif kind == "opposite":
        X[n // 2 :] = -X[: n - n // 2]
    elif kind == "zero rows":
        X[rng.random(n) < 0.3] = 0
    elif kind == "zero column":
        X[:, rng.integers(d)] = 0
    elif kind == "collinear":
        X[:, -1] = X[:, 0]
    elif kind == "constant":
        X[:, -1] = 1
    elif kind == "near":
        X[n // 2 :] = X[: n - n // 2] * (1 + 1e-15 * rng.integers(-2, 3, size=(n - n // 2, d)))
    return X


def scaled(rng, X):
    """Rows, columns, or all of an array in other units."""
    way = pick(rng, ("none", "none", "all", "all", "rows", "columns"))
    with np.errstate(over="ignore", under="ignore"):
        if way == "all":
            return X * pick(rng, SCALES)
        if way == "rows":
            return X * 10.0 ** rng.integers(-12, 13, size=(len(X), 1))
        if way == "columns":
            return X * 10.0 ** rng.integers(-12, 13, size=(1, X.shape[1]))
    return X


def spoilt(rng, array):
    """Now and then an entry that is no number, or infinite."""
    if rng.random() < 0.03 and array.size:
        array = array.copy()
        array.flat[rng.integers(array.size)] = pick(rng, (np.nan, np.inf, -np.inf))
    return array


def laid_out(rng, array):
    """The same numbers (but for those of smaller types) as users pass them."""
    way = pick(
        rng, ("as is", "as is", "fortran", "strided", "reversed", "read only", "float32", "swapped", "list", "object")
    )
    if way == "fortran":
        return np.asfortranarray(array)
    if way == "strided":
        wide = np.full((2 * array.shape[0], *array.shape[1:]), 7.0)
        wide[::2] = array
        return wide[::2]
    if way == "reversed":
        return array[::-1].copy()[::-1]
    if way == "read only":
        array = array.copy()
        array.flags.writeable = False
        return array
    if way == "float32":
        with np.errstate(over="ignore", under="ignore"):
            return array.astype(np.float32)
    if way == "swapped":
        return array.astype(">f8")
    if way == "list":
        return array.tolist()
    return array.astype(object) if way == "object" else array


def targets(rng, X, outputs=1):
    """Targets of order one: noise, a function of the rows, constants, or zeros; (n,) or (n, c)."""
    n = len(X)
    kind = pick(rng, ("noise", "noise", "function", "constant", "zero", "one"))
    Y = rng.standard_normal((n, outputs))
    if kind == "function":
        Y = np.maximum(X @ rng.standard_normal((X.shape[1], outputs)), 0)
    elif kind == "constant":
        Y = np.ones((n, outputs))
    elif kind == "zero":
        Y = np.zeros((n, outputs))
    elif kind == "one":
        Y = np.zeros((n, outputs))
        Y[rng.integers(n)] = 1
    return Y[:, 0] if outputs == 1 and rng.random() < 0.8 else Y


def weights(rng, size, *, positive=False):
    """None, or weights, some of them zero where that is allowed."""
    if rng.random() < 0.6:
        return None
    values = pick(
        rng, (rng.uniform(0.1, 3, size), rng.integers(1, 4, size).astype(float), 10.0 ** rng.integers(-6, 7, size))
    )
    if not positive and size > 1 and rng.random() < 0.4:
        values = values * (rng.random(size) < 0.7)
        values[0] = 1.0
    return values
