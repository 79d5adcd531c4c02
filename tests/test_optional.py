"""What works without the optional dependencies, and what is said where something does not."""

import subprocess
import sys
from pathlib import Path

import pytest

HIDE = """
import sys
class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {hidden!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Hidden())
"""


def run(code, *hidden):
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", HIDE.format(hidden=hidden) + code],
        capture_output=True,
        text=True,
        timeout=300,
    )


EVERYTHING = ("sklearn", "scipy", "joblib", "threadpoolctl", "matplotlib", "pandas", "torch", "onnx")


def test_the_package_needs_numpy_only():
    code = """
import numpy as np, cvxrelu
X = np.random.default_rng(0).standard_normal((40, 3)); y = abs(X[:, 0])
patterns = cvxrelu.sample_patterns(X, 50, random_state=0)
solution = cvxrelu.solve_gated(X, y, patterns, 0.1 * cvxrelu.beta_max(X, y, patterns), n_threads=1)
print(solution.converged, solution.to_network().predict(X).shape)
assert "GatedReLURegressor" in dir(cvxrelu)
"""
    result = run(code, *EVERYTHING)
    assert result.stdout.strip() == "True (40,)", result.stderr


@pytest.mark.parametrize("name", ["GatedReLURegressor", "GatedReLUClassifier"])
def test_estimators_say_what_they_need(name):
    result = run(f"from cvxrelu import {name}", "sklearn")
    assert result.stderr.splitlines()[-1] == (
        f"ImportError: cvxrelu.{name} needs scikit-learn: pip install 'cvxrelu[sklearn]'"
    )


def test_a_star_brings_the_estimators_where_they_can_be():
    code = "from cvxrelu import *; print('ReLURegressor' in globals(), 'solve_gated' in globals())"
    assert run(code).stdout.split() == ["True", "True"]
    without = run(code, "sklearn")
    assert without.stdout.split() == ["False", "True"], without.stderr


def test_unknown_names_are_attribute_errors():
    import cvxrelu

    with pytest.raises(AttributeError, match="module 'cvxrelu' has no attribute 'GatedSVM'"):
        cvxrelu.GatedSVM  # noqa: B018


@pytest.mark.parametrize(("setting", "error"), [("", "Skipped"), ("1", "ModuleNotFoundError")])
def test_a_package_of_the_extras_may_be_required(setting, error):
    code = f"""
import os, pytest
os.environ["CVXRELU_REQUIRE_EXTRAS"] = {setting!r}
sys.path.insert(0, {str(Path(__file__).parent)!r})
import conftest
pytest.importorskip("onnxruntime.capi")
"""
    assert f"{error}: " in run(code, "onnxruntime").stderr.splitlines()[-1]


def test_older_scikit_learn_without_callbacks():
    code = """
import sys
sys.modules["sklearn.callback"] = None
try:
    import sklearn.base
except ImportError:
    sys.exit(0)  # this scikit-learn cannot do without its own callbacks
from cvxrelu.estimators.gated import GatedReLURegressor
import numpy as np
X = np.random.default_rng(0).standard_normal((30, 2))
seen = []
GatedReLURegressor(n_gates=20, random_state=0, n_threads=1, callback=seen.append).fit(X, X[:, 0])
assert seen and not hasattr(GatedReLURegressor, "set_callbacks")
"""
    result = run(code)
    assert result.returncode == 0, result.stderr


def test_the_command_line_says_what_is_missing():
    code = "from cvxrelu.cli import main; sys.exit(main({}))"
    result = run(code.format(["--gates", "100", "--threads", "1"]), "pandas", "skops", "matplotlib")
    assert result.returncode == 0, result.stderr
    assert "ridge regression" in result.stdout
    needs = "cvxrelu.GatedReLURegressor needs scikit-learn: pip install 'cvxrelu[sklearn]'"
    pandas = "No module named 'pandas' (pip install 'cvxrelu[cli]')"
    for arguments, said in (([], needs), (["enumerate", "points.npy"], pandas)):
        result = run(code.format(arguments), *EVERYTHING)
        assert (result.returncode, result.stderr) == (1, f"cvxrelu: {said}\n")
