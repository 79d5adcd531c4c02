"""What every test relies on: Hypothesis's profile, and that Ctrl-C is heard; a cluster for those that need one.

The same examples in every run by default; CVXRELU_HYPOTHESIS=explore looks further, few is for slow builds.
With CVXRELU_REQUIRE_EXTRAS=1, as in CI, a package of the extras that is missing fails the tests that need it; they skip
otherwise.
"""

import importlib
import os
import signal

# Tests in parallel take a thread each, unless they say how many; before a library reads it.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
from hypothesis import HealthCheck, settings

untimed = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}  # a busy machine must not fail a test
settings.register_profile("fixed", derandomize=True, max_examples=40, database=None, **untimed)
settings.register_profile("few", derandomize=True, max_examples=8, database=None, **untimed)
settings.register_profile("explore", max_examples=400, **untimed)
settings.load_profile(os.environ.get("CVXRELU_HYPOTHESIS", "fixed"))

# Jobs in the background of a shell ignore Ctrl-C from birth, and Python leaves it so.
signal.signal(signal.SIGINT, signal.default_int_handler)


EXTRAS = {"sklearn", "matplotlib", "pandas", "dask", "distributed", "onnx", "onnxruntime", "skl2onnx", "skops", "scipy"}


def required_or_skip(module, *args, **settings):
    """What `pytest.importorskip` does, but for packages that have to be there."""
    package = module.partition(".")[0]
    if package in EXTRAS:
        importlib.import_module(package)
    return import_or_skip(module, *args, **settings)


if os.environ.get("CVXRELU_REQUIRE_EXTRAS"):
    import_or_skip, pytest.importorskip = pytest.importorskip, required_or_skip


@pytest.fixture(scope="module")
def cluster():
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0", memory_limit=0
    ) as cluster:
        yield cluster


@pytest.fixture
def client(cluster):
    import distributed

    with distributed.Client(cluster) as client:
        yield client
