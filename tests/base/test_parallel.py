"""Jobs times threads: not more than there are processors, by default."""

import os

import cvxrelu
import numpy as np
import pytest
from cvxrelu.base.arrays import as_threads

joblib = pytest.importorskip("joblib")


def test_processes_of_joblib_share_the_processors():
    jobs = 2
    threads = joblib.Parallel(n_jobs=jobs, backend="loky")(joblib.delayed(as_threads)(None) for _ in range(jobs))
    assert max(threads) * jobs <= max(jobs, os.cpu_count())


def test_workers_of_dask_take_one_thread_each():
    distributed = pytest.importorskip("distributed")
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0", memory_limit=0) as cluster,
        distributed.Client(cluster),
        joblib.parallel_config(backend="dask"),
    ):
        assert joblib.Parallel(n_jobs=2)(joblib.delayed(as_threads)(None) for _ in range(2)) == [1, 1]


@pytest.mark.filterwarnings("default")  # of ray's own
def test_workers_of_ray_share_the_processors_and_fit_folds():
    ray = pytest.importorskip("ray")
    model_selection = pytest.importorskip("sklearn.model_selection")
    from ray.util.joblib import register_ray

    X = np.random.default_rng(0).standard_normal((100, 3))
    problem = cvxrelu.GatedReLURegressor(n_gates=20, random_state=0), X, np.abs(X[:, 0])
    ray.init(num_cpus=2, include_dashboard=False, logging_level="ERROR")
    try:
        register_ray()
        with joblib.parallel_config(backend="ray"):
            assert joblib.Parallel(n_jobs=2)(joblib.delayed(as_threads)(None) for _ in range(2)) == [1, 1]
            scores = model_selection.cross_val_score(*problem, n_jobs=2)
    finally:
        ray.shutdown()
    np.testing.assert_allclose(scores, model_selection.cross_val_score(*problem), rtol=1e-9)
