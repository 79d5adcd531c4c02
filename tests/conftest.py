"""What every test relies on: Hypothesis's profile, and that Ctrl-C is heard; a cluster for those that need one.

The same examples in every run by default; CVXRELU_HYPOTHESIS=explore looks further, few is for builds that are slow.
"""

import os
import signal

import pytest
from hypothesis import HealthCheck, settings

untimed = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}  # a busy machine must not fail a test
settings.register_profile("fixed", derandomize=True, max_examples=40, database=None, **untimed)
settings.register_profile("few", derandomize=True, max_examples=8, database=None, **untimed)
settings.register_profile("explore", max_examples=400, **untimed)
settings.load_profile(os.environ.get("CVXRELU_HYPOTHESIS", "fixed"))

# Jobs in the background of a shell ignore Ctrl-C from birth, and Python leaves it so.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="module")
def cluster():
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, memory_limit=0
    ) as cluster:
        yield cluster


@pytest.fixture
def client(cluster):
    import distributed

    with distributed.Client(cluster) as client:
        yield client
