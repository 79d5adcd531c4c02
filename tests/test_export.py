import subprocess
import sys

import numpy as np
import pytest
from cvxrelu import Network


def networks():
    rng = np.random.default_rng(0)
    for gated in (False, True):
        for bias in (False, True):
            for outputs in ((), (3,)):
                shape = (6, 4 + bias)
                gates = rng.standard_normal(shape) if gated else None
                yield Network(rng.standard_normal(shape), rng.standard_normal((6, *outputs)), gates, bias)


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
    assert names == ({"W1", "b1", "w2"} if network.bias else {"W1", "w2"})
    module(torch.from_numpy(Z)).sum().backward()  # it can be trained on
    assert torch.isfinite(module.W1.grad).all()
    again = network.to_torch()
    again.load_state_dict(module.state_dict())


def test_onnx_predicts_the_same(network, tmp_path):
    pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    path = tmp_path / "network.onnx"
    network.to_onnx(path)
    session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (output,) = session.run(None, {"X": Z})
    np.testing.assert_allclose(output, network.predict(Z), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("package", "call", "install"),
    [("torch", "to_torch()", "torch"), ("onnx", "to_onnx('network.onnx')", "'cvxrelu[export]'")],
)
def test_what_is_missing_is_said(package, call, install):
    code = (
        f"import sys; sys.modules[{package!r}] = None\n"
        f"import numpy as np, cvxrelu; cvxrelu.Network(np.eye(2), np.ones(2)).{call}"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert result.stderr.splitlines()[-1].endswith(f"pip install {install}")
