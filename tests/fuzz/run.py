"""One case after the other, and what may come of it."""

import dataclasses
import traceback
import warnings

import cvxrelu
import numpy as np

from .cases import CASES

REFUSALS = (ValueError, TypeError, MemoryError, cvxrelu.ArrangementTooLargeError)
STRANGE = (
    "broadcast",
    "matmul",
    "cannot convert float",
    "mismatch in its core",
    "setting an array",
    "ufunc",
    "unhashable",
)


@dataclasses.dataclass
class Outcome:
    """What became of a case: "true", "refused", "unconverged" (with a true certificate) or "find", with the reason."""

    seed: int
    name: str
    kind: str
    text: str = ""


def run(seed):
    """Run a case."""
    rng = np.random.default_rng(seed)
    case = CASES[seed % len(CASES)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", RuntimeWarning)
        warnings.simplefilter("ignore", cvxrelu.ConvergenceWarning)
        try:
            return Outcome(seed, case.__name__, "true" if case(rng) else "unconverged")
        except Exception as error:
            frames = [frame.filename for frame in traceback.extract_tb(error.__traceback__)]
            inside = any("/cvxrelu/" in name for name in frames)
            said = f"{type(error).__name__}: {error}"
            if type(error) in REFUSALS and inside and str(error) and not any(word in str(error) for word in STRANGE):
                return Outcome(seed, case.__name__, "refused", said)
            return Outcome(
                seed, case.__name__, "find", said + "\n" + "".join(traceback.format_tb(error.__traceback__)[-3:])
            )
