import pickle
import subprocess
import sys

import cvxrelu
import numpy as np
import pytest
from cvxrelu import Network
from network_families import networks


@pytest.fixture(params=list(networks()), ids=repr)
def network(request):
    return request.param


Z = np.random.default_rng(1).standard_normal((50, 4))


def test_torch_predicts_the_same(network):
    torch = pytest.importorskip("torch")
    module = network.to_torch()
    with torch.no_grad():
        output = module(torch.from_numpy(Z)).numpy()
    assert output.dtype == np.float64
    np.testing.assert_allclose(output, network.predict(Z), rtol=1e-12, atol=1e-12)
    names = {name for name, _ in module.named_parameters()}
    optional = {"b1": network.bias, "output_bias": network.output_bias is not None, "skip": network.skip is not None}
    assert names == {"W1", "w2"} | {name for name, present in optional.items() if present}
    module(torch.from_numpy(Z)).sum().backward()  # it can be trained on
    assert torch.isfinite(module.W1.grad).all()
    again = network.to_torch()
    again.load_state_dict(module.state_dict())
    copy = pickle.loads(pickle.dumps(module))
    assert torch.equal(copy(torch.from_numpy(Z)), module(torch.from_numpy(Z)))


def test_a_table_of_decimals_is_exported_off_its_ties_with_decimals(tmp_path):
    pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    rng = np.random.default_rng(0)
    X = np.column_stack([np.round(rng.standard_normal((30, 2)), 1), np.ones(30)])
    y = np.abs(X[:, 0]) + rng.standard_normal(30)

    def far_apart(**settings):
        """Predictions of ONNX that are not those of `predict`, and how near a border is, for a sample of length one."""
        patterns = cvxrelu.enumerate_patterns(X, **settings)
        beta = 0.01 * cvxrelu.beta_max(X, y, patterns)
        network = cvxrelu.solve_gated(X, y, patterns, beta, n_threads=1).to_network()
        network.to_onnx(tmp_path / "network.onnx")
        session = runtime.InferenceSession(str(tmp_path / "network.onnx"), providers=["CPUExecutionProvider"])
        differ = np.abs(session.run(None, {"X": X})[0] - network.predict(X)) > 1e-9
        margins = network.explain(X).radius / np.linalg.norm(X, axis=1)
        assert not differ[margins > 1e-14].any()
        return differ.sum(), margins.min()

    with pytest.warns(UserWarning, match="so thin that no float64 gate"):
        differ, margin = far_apart()
    assert margin < 1e-14
    differ, margin = far_apart(decimals=1)
    assert differ == 0 and margin > 1e-4


def test_torch_is_not_imported_by_the_package():
    code = "import sys; sys.modules['torch'] = None; import cvxrelu; cvxrelu.Network"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=600)


def test_onnx_predicts_the_same(network, tmp_path):
    pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    path = tmp_path / "network.onnx"
    network.to_onnx(path)
    session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (output,) = session.run(None, {"X": Z})
    np.testing.assert_allclose(output, network.predict(Z), rtol=1e-12, atol=1e-12)


def test_scikit_learn_predicts_the_same(network):
    pytest.importorskip("sklearn")
    if network.gates is not None:
        with pytest.raises(ValueError, match="network is gated: no MLP"):
            network.to_sklearn()
        return
    if network.skip is not None:
        with pytest.raises(ValueError, match="holds an output bias, but no skip"):
            network.to_sklearn()
        return
    output = network.predict(Z)
    np.testing.assert_allclose(network.to_sklearn().predict(Z), output, rtol=1e-12, atol=1e-12)
    labels = ["a", "b"] if output.ndim == 1 else ["a", "b", "c"]
    mlp = pickle.loads(pickle.dumps(network.to_sklearn(labels)))
    decisions = (output > 0).astype(int) if output.ndim == 1 else output.argmax(axis=1)
    assert mlp.predict(Z).tolist() == [labels[k] for k in decisions]
    assert mlp.predict_proba(Z).shape == (50, len(labels))
    for classes in (labels[::-1], labels[:-1], [*labels, "z"], ["a", "a"]):
        with pytest.raises(ValueError, match="classes must be sorted"):
            network.to_sklearn(classes)


def test_scikit_learn_predicts_no_single_column():
    pytest.importorskip("sklearn")
    network = Network(np.eye(4), np.ones((4, 1)))
    with pytest.raises(ValueError, match=r"export Network\(W1, w2\[:, 0\]\)"):
        network.to_sklearn()
    labels = (network.predict(Z)[:, 0] > 0).astype(int)
    np.testing.assert_array_equal(network.to_sklearn([0, 1]).predict(Z), labels)


def test_scikit_learn_takes_a_network_without_neurons():
    pytest.importorskip("sklearn")
    empty = Network(np.empty((0, 4)), np.empty(0))
    np.testing.assert_array_equal(empty.to_sklearn().predict(Z), np.zeros(50))


@pytest.mark.parametrize("name", ["ReLURegressor", "ReLUClassifier"])
def test_an_estimator_and_its_mlp_predict_the_same(name):
    pytest.importorskip("sklearn")
    rng = np.random.default_rng(0)
    X = rng.standard_normal((30, 2))
    y = np.abs(X[:, 0]) if name == "ReLURegressor" else np.abs(X[:, 0]) > 0.7
    model = getattr(cvxrelu, name)(max_seconds=1, certificate="given patterns", random_state=0, n_threads=1).fit(X, y)
    mlp = model.network_.to_sklearn(getattr(model, "classes_", None))
    if name == "ReLURegressor":
        np.testing.assert_allclose(mlp.predict(X), model.predict(X), rtol=1e-12, atol=1e-12)
    else:
        np.testing.assert_array_equal(mlp.predict(X), model.predict(X))


@pytest.mark.parametrize(
    ("package", "call", "install"),
    [
        ("torch", "to_torch()", "torch"),
        ("onnx", "to_onnx('network.onnx')", "'cvxrelu[export]'"),
        ("sklearn", "to_sklearn()", "'cvxrelu[sklearn]'"),
    ],
)
def test_what_is_missing_is_said(package, call, install):
    code = (
        f"import sys; sys.modules[{package!r}] = None\n"
        f"import numpy as np, cvxrelu; cvxrelu.Network(np.eye(2), np.ones(2)).{call}"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=600)
    assert result.stderr.splitlines()[-1].endswith(f"pip install {install}")
