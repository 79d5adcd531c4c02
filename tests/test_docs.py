"""What the documents say runs."""

import doctest
import importlib
import inspect
import pkgutil
import re
import shlex
import warnings
from pathlib import Path

import cvxrelu
import numpy as np
import pytest
from cvxrelu.cli import main

ROOT = Path(__file__).resolve().parent.parent
MODULES = sorted(
    name.removeprefix("cvxrelu.")
    for _, name, _ in pkgutil.walk_packages(cvxrelu.__path__, "cvxrelu.")
    if not name.startswith(("cvxrelu._core", "cvxrelu._cpu", "cvxrelu.__main__"))
)


PAGES = {str(path.relative_to(ROOT)): path for path in sorted(ROOT.glob("docs/**/*.md"))}
EXAMPLES = sorted(path.name for path in ROOT.glob("examples/plot_*.py"))


def blocks(path, language):
    return re.findall(rf"^```{language}\n(.*?)^```", path.read_text(), flags=re.M | re.S)


@pytest.fixture
def desk(tmp_path, monkeypatch):
    """A folder with the files that the documents speak of."""
    rng = np.random.default_rng(0)
    houses = rng.uniform(1, 2, (30, 3))
    np.savetxt(tmp_path / "houses.csv", houses, delimiter=",", header="size,age,price", comments="")
    np.savetxt(tmp_path / "new.csv", houses[:5, :2], delimiter=",", header="size,age", comments="")
    np.savetxt(tmp_path / "points.csv", houses, delimiter=",", header="a,b,y", comments="")
    np.savetxt(tmp_path / "weather.csv", houses, delimiter=",", header="month,rain,wind", comments="")
    films = np.column_stack([houses[:, 0], rng.permuted(np.tile(np.arange(30) % 2, (3, 1)), axis=1).T])
    np.savetxt(tmp_path / "films.csv", films, delimiter=",", header="length,comedy,drama,crime", comments="")
    np.savez(tmp_path / "network.npz", W1=np.ones((2, 3)), w2=np.ones(2))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("code", blocks(ROOT / "README.md", "python"), ids=lambda code: code.splitlines()[0])
def test_examples_of_the_readme_run(code, capsys):
    exec(compile(code, "README.md", "exec"), {})
    assert capsys.readouterr().out


@pytest.mark.parametrize("page", ["README.md", "docs/index.md"])
def test_the_first_program_prints_what_is_shown_below_it(page, capsys):
    number = r"[-\d.]+(?:e[-+]\d+)?"
    shown, *_ = blocks(ROOT / page, "text")
    exec(compile(blocks(ROOT / page, "python")[0], page, "exec"), {})
    printed = capsys.readouterr().out
    assert re.sub(number, "", printed) == re.sub(number, "", shown)
    for ours, theirs in zip(re.findall(number, printed), re.findall(number, shown), strict=True):
        assert float(ours) == pytest.approx(float(theirs), rel=5e-3, abs=1e-6)


@pytest.mark.parametrize("page", [page for page, path in PAGES.items() if blocks(path, "python")])
def test_examples_of_a_page_run_one_after_the_other(page, desk):
    pytest.importorskip("matplotlib").use("Agg")
    names = {}
    for code in blocks(PAGES[page], "python"):
        if "to_onnx" in code:
            pytest.importorskip("skl2onnx" if "skl2onnx" in code else "onnx")
        exec(compile(code, page, "exec"), names)


@pytest.mark.parametrize("page", ["README.md", *PAGES])
def test_commands_of_a_page_run(page, desk, capsys):
    """Those of the command line are run; of the others the modules must exist."""
    for line in (line for block in blocks(ROOT / page, "sh") for line in block.splitlines()):
        command = re.search(r"python -m (cvxrelu\b|bench\.\S+)(.*)", line)
        if command and command[1] == "cvxrelu" and "pip install" not in line:
            arguments = shlex.split(command[2])
            assert main([*arguments, "--no-compare"] if arguments[0] == "train" else arguments) == 0, line
    for module in re.findall(r"python -m (bench[.\w]*\w)", (ROOT / page).read_text()):
        path = ROOT / module.replace(".", "/")
        assert path.with_suffix(".py").exists() or (path / "__main__.py").exists(), module


SLOW = {"plot_7_fixing_the_ntk.py": pytest.mark.slow}


@pytest.mark.parametrize("name", [pytest.param(name, marks=SLOW.get(name, ())) for name in EXAMPLES])
def test_examples_of_the_gallery_run(name):
    pytest.importorskip("matplotlib").use("Agg")
    from matplotlib import pyplot

    pyplot.close("all")
    code = (ROOT / "examples" / name).read_text()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*FigureCanvasAgg is non-interactive")
        exec(compile(code, name, "exec"), {"__name__": "__main__"})
    assert pyplot.get_fignums()
    pyplot.close("all")


def test_the_reference_has_every_public_name():
    pages = "\n".join(page.read_text() for page in (ROOT / "docs" / "api").glob("*.md"))
    listed = re.findall(r"^   ([\w.]+)$", pages, flags=re.M)
    public = {*cvxrelu.__all__, *cvxrelu._ESTIMATORS, "datasets.load_yacht", "datasets.Dataset"}
    try:
        from cvxrelu import plot
    except ImportError:
        public |= {name for name in listed if name.startswith("plot.")}
    else:
        public |= {f"plot.{name}" for name in plot.__all__}
    assert len(listed) == len(set(listed)) and set(listed) == public


def test_files_of_the_readme_exist():
    table = (ROOT / "README.md").read_text().partition("## Where things are")[2].partition("\n\nThe core")[0]
    for cell in re.findall(r"^\| (`.*?) \|", table, flags=re.M):
        first = None
        for name in re.findall(r"`(.*?)`", cell):
            path = ROOT / name if first is None or "/" in name else first.parent / name
            first = first or path
            assert path.exists(), path


def test_figures_of_the_readme_are_those_of_the_site():
    rows = re.findall(r"^\| .* \| [\d.]+ \|.*$", (ROOT / "README.md").read_text(), flags=re.M)
    measured = (ROOT / "docs" / "speed_table.md").read_text().splitlines()
    assert rows and set(rows) <= set(measured)


@pytest.mark.parametrize("name", MODULES)
def test_examples_of_the_docstrings_run(name):
    needs = {"networks.torch_module": "torch", "estimators.onnx_converter": "skl2onnx", "estimators.tables": "pandas"}
    needs |= dict.fromkeys(("networks.onnx_graph", "kernels.onnx_kernel"), "onnx")
    needs |= dict.fromkeys(("rows.dask", "arrangement.cluster", "kernels.blockwise"), "dask.array")
    if name in needs:
        pytest.importorskip(needs[name])
    module = importlib.import_module(f"cvxrelu.{name}")
    results = doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS)
    assert results.failed == 0


@pytest.mark.parametrize("name", sorted({*cvxrelu.__all__, *cvxrelu._ESTIMATORS}))
def test_examples_of_public_classes_run(name):
    thing = getattr(cvxrelu, name)
    if not inspect.isclass(thing):
        return  # run with their modules; doctest takes these classes for those of the package
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS)
    for test in doctest.DocTestFinder().find(thing, name, module=False, globs={}):
        runner.run(test)
    assert runner.summarize().failed == 0


@pytest.mark.parametrize("name", sorted({*cvxrelu.__all__, *cvxrelu._ESTIMATORS}))
def test_documented_parameters_are_those_of_the_signature(name):
    thing = getattr(cvxrelu, name)
    if not callable(thing):
        return  # a constant, whose comment is its documentation
    documentation = inspect.getdoc(thing) or ""
    assert documentation, name
    if inspect.isclass(thing) and (issubclass(thing, Exception) or "Parameters\n" not in documentation):
        return
    section = documentation.partition("Parameters\n----------\n")[2]
    section = re.split(r"\n\n[A-Z][a-z]+\n-{3,}\n", section)[0]
    documented = [
        parameter.strip()
        for line in re.findall(r"^\**(\w[\w, ]*?)(?: : .*)?$", section, flags=re.M)
        for parameter in line.split(",")
    ]
    assert documented == list(inspect.signature(thing).parameters), name
