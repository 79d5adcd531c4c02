"""Jobs times threads: not more than there are processors, by default."""

import os

import pytest
from cvxrelu._validation import as_threads

joblib = pytest.importorskip("joblib")


def test_processes_of_joblib_share_the_processors():
    jobs = 2
    threads = joblib.Parallel(n_jobs=jobs, backend="loky")(joblib.delayed(as_threads)(None) for _ in range(jobs))
    assert max(threads) * jobs <= max(jobs, os.cpu_count())


def test_workers_of_dask_take_one_thread_each():
    distributed = pytest.importorskip("distributed")
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None, memory_limit=0) as cluster,
        distributed.Client(cluster),
        joblib.parallel_config(backend="dask"),
    ):
        assert joblib.Parallel(n_jobs=2)(joblib.delayed(as_threads)(None) for _ in range(2)) == [1, 1]
