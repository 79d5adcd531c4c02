"""Which compiled core is loaded, and what is said where none can be."""

import os
import subprocess
import sys

import cvxrelu
import numpy as np
import pytest
from cvxrelu.base import native as _native
from cvxrelu.base.native import core

LEVELS = {"_core_avx512": 4, "_core_avx2": 3, "_core_baseline": 1}


def run(code, **environment):
    return subprocess.run(
        [sys.executable, "-c", code], env=os.environ | environment, capture_output=True, text=True, timeout=120
    )


def built():
    return [name for _, name in _native.VARIANTS if _native.importlib.util.find_spec(f"cvxrelu.{name}")]


@pytest.mark.parametrize("level", [1, 3, 4])
def test_every_level_loads_the_best_core_below_it_or_says_what_to_do(level):
    from cvxrelu import _cpu

    usable = [name for name in built() if LEVELS[name] <= min(level, _cpu.level())]
    result = run("import cvxrelu; print(cvxrelu.base.native.core.__name__)", CVXRELU_CPU_LEVEL=str(level))
    if usable:
        assert result.stdout.strip() == f"cvxrelu.{usable[0]}", result.stderr
    else:
        assert "CVXRELU_ARCH=multi" in result.stderr.splitlines()[-1]
        assert result.stderr.splitlines()[-1].startswith("ImportError: cvxrelu was built for x86-64 level")


def test_a_level_that_does_not_exist():
    result = run("import cvxrelu", CVXRELU_CPU_LEVEL="avx2")
    assert result.stderr.splitlines()[-1] == "ImportError: CVXRELU_CPU_LEVEL must be 1, 3 or 4, not 'avx2'"


def test_a_missing_build_says_how_to_build(monkeypatch):
    monkeypatch.setattr(_native.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"compiled core is missing: run `pip install \.`"):
        _native.load_core()


def test_a_core_for_another_processor_is_not_loaded(monkeypatch):
    monkeypatch.setattr(
        _native.importlib.util, "find_spec", lambda name: name.endswith(("._core_avx512", "._cpu")) or None
    )
    monkeypatch.setenv("CVXRELU_CPU_LEVEL", "1")
    with pytest.raises(ImportError, match="built for x86-64 level 4, and this processor is used at level 1"):
        _native.load_core()


def test_build_info_and_versions(capsys):
    info = _native.core.build_info()
    assert LEVELS[_native.core.__name__.rpartition(".")[2]] == info["cpu_level"]
    cvxrelu.show_versions()
    printed = capsys.readouterr().out
    assert "numpy" in printed and "core variant" in printed and str(info["eigen"]) in printed


def test_import_is_fast_and_light():
    code = "import sys, cvxrelu; print([m for m in ('sklearn', 'scipy', 'matplotlib', 'joblib') if m in sys.modules])"
    assert run(code).stdout.strip() == "[]"


def at_offset(array, offset):
    """The array at so many bytes behind the border of a cache line."""
    memory = np.empty(array.nbytes + 128, dtype=np.uint8)
    begin = -memory.ctypes.data % 64 + offset
    moved = memory[begin : begin + array.nbytes].view(array.dtype).reshape(array.shape)
    moved[:] = array
    return moved


@pytest.mark.parametrize("offset", range(8, 64, 8))
def test_bits_do_not_depend_on_where_arrays_lie(offset):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((50, 11))
    y = rng.standard_normal(50)
    patterns = cvxrelu.sample_patterns(X, 40, random_state=0)
    points = rng.standard_normal((len(patterns), 11))

    def results(X, y):
        yield cvxrelu.ntk(X, n_threads=1)
        yield cvxrelu.sample_patterns(X, 40, random_state=0).gates
        yield from core.testing.project_cone(X, patterns.words, points, 0.0)
        yield cvxrelu.solve_gated(X, y, patterns, 1.0, n_threads=1).coef
        yield cvxrelu.solve_relu(X, y, patterns, 1.0, n_threads=1).to_network().W1
        yield cvxrelu.solve_mkl(X, y, patterns, 1.0, n_threads=1).eta

    for expected, found in zip(
        results(at_offset(X, 0), at_offset(y, 0)), results(at_offset(X, offset), at_offset(y, offset)), strict=True
    ):
        np.testing.assert_array_equal(found, expected)
