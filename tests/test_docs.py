"""What the documents say runs."""

import doctest
import importlib
import inspect
import pkgutil
import re
import shlex
from pathlib import Path

import cvxrelu
import pytest
from cvxrelu.cli import _parser

ROOT = Path(__file__).resolve().parent.parent
MODULES = sorted(
    name for _, name, _ in pkgutil.iter_modules(cvxrelu.__path__) if not name.startswith(("_core", "_cpu", "__main__"))
)


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", (ROOT / "README.md").read_text(), flags=re.M | re.S)


@pytest.mark.parametrize("code", blocks("python"), ids=lambda code: code.splitlines()[0])
def test_examples_of_the_readme_run(code, capsys):
    exec(compile(code, "README.md", "exec"), {})
    assert capsys.readouterr().out


def test_commands_of_the_readme_are_understood():
    commands = [line for block in blocks("sh") for line in block.splitlines()]
    ours = [shlex.split(line)[3:] for line in commands if line.startswith(".venv/bin/python -m cvxrelu")]
    assert len(ours) >= 2
    for arguments in ours:
        _parser().parse_args(arguments)


def test_files_of_the_readme_exist():
    table = (ROOT / "README.md").read_text().partition("## Where things are")[2].partition("\n\nThe core")[0]
    for cell in re.findall(r"^\| (`.*?) \|", table, flags=re.M):
        first = None
        for name in re.findall(r"`(.*?)`", cell):
            path = ROOT / name if first is None or "/" in name else first.parent / name
            first = first or path
            assert path.exists(), path


@pytest.mark.parametrize("name", MODULES)
def test_examples_of_the_docstrings_run(name):
    if name.startswith("dask_"):
        pytest.importorskip("dask.array")
    module = importlib.import_module(f"cvxrelu.{name}")
    results = doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS)
    assert results.failed == 0


@pytest.mark.parametrize("name", [*cvxrelu.__all__, *cvxrelu._ESTIMATORS])
def test_documented_parameters_are_those_of_the_signature(name):
    thing = getattr(cvxrelu, name)
    documentation = inspect.getdoc(thing) or ""
    assert documentation, name
    if inspect.isclass(thing) and (issubclass(thing, Exception) or "Parameters\n" not in documentation):
        return
    section = documentation.partition("Parameters\n----------\n")[2]
    section = re.split(r"\n\n[A-Z][a-z]+\n-{3,}\n", section)[0]
    documented = [
        parameter.strip()
        for line in re.findall(r"^(\w[\w, ]*?)(?: : .*)?$", section, flags=re.M)
        for parameter in line.split(",")
    ]
    assert documented == list(inspect.signature(thing).parameters), name
