"""A limit on the address space ends in MemoryError, not in the runtime of OpenMP or BLAS."""

import subprocess
import sys

import pytest

resource = pytest.importorskip("resource")

PROGRAM = """
import resource, sys
import numpy as np, cvxrelu
with open("/proc/self/statm") as file:
    used = int(file.read().split()[0]) * resource.getpagesize()
X = np.random.default_rng(0).standard_normal((60, 3))
y = np.abs(X[:, 0])
resource.setrlimit(resource.RLIMIT_AS, (used + {room} * 2**20, resource.RLIM_INFINITY))
try:
    {call}
except MemoryError as error:
    print(error)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems do not say what is in use")
@pytest.mark.parametrize(
    ("room", "call", "said"),
    [
        (300, "cvxrelu.train_relu(X, y, 0.1, n_threads=64)", "n_threads=64 needs"),
        (300, "cvxrelu.sample_patterns(X, 9, n_threads=64)", "n_threads=64 needs"),
        (20, "cvxrelu.train_relu(X, y, 0.1, n_threads=1)", "n_threads=1 needs 64 MiB"),
        (20, "cvxrelu.certify(X, y, (np.ones((1, 3)), np.ones(1)), 0.1, n_threads=1)", "n_threads=1 needs 64 MiB"),
        (300, "print(cvxrelu.train_relu(X, y, 0.1, n_threads=1, random_state=0).converged)", "True"),
    ],
)
def test_a_tight_limit(room, call, said):
    program = PROGRAM.format(room=room, call=call)
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=600)
    assert result.returncode == 0, result.stderr
    assert said in result.stdout
