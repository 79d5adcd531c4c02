"""The plan of the house: folders stand on floors, arrows go down, no file imports in a circle."""

import ast
import re
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import cvxrelu
import pytest
from cvxrelu.gated.losses import LOSSES

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "python" / "cvxrelu"
CORE = ROOT / "cpp" / "cvxrelu"

FLOORS = {
    "exceptions": 0,
    "base": 1,
    "rows": 2,
    "patterns": 3,
    "arrangement": 4,
    "networks": 4,
    "gated": 5,
    "relu": 6,
    "kernels": 6,
    "estimators": 7,
    "plot": 7,
    "datasets": 7,
    "__init__": 8,
    "cli": 9,
    "__main__": 10,
}
CORE_FLOORS = {
    "base": 1,
    "algebra": 2,
    "exact": 2,
    "masks": 3,
    "losses": 3,
    "arrangement": 4,
    "gated": 4,
    "cones": 4,
    "kernels": 4,
    "networks": 4,
}


def module_of(path):
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts)


MODULES = {module_of(path): ast.parse(path.read_text()) for path in sorted(PACKAGE.rglob("*.py"))}


def imports(module):
    """Modules of the package that a module names, wherever in the file: in functions and under TYPE_CHECKING, too."""
    folder = module.split(".")[:-1]
    for node in ast.walk(MODULES[module]):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = folder[: len(folder) + 1 - node.level]
            target = [*base, *(node.module.split(".") if node.module else [])]
            for alias in node.names:
                named = ".".join([*target, alias.name])
                if not alias.name.startswith(("_core", "_cpu")):  # compiled
                    yield next((name for name in (named, f"{named}.__init__") if name in MODULES), ".".join(target))
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "cvxrelu":
            yield node.module.removeprefix("cvxrelu").lstrip(".")
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] == "cvxrelu":
                    yield alias.name.removeprefix("cvxrelu").lstrip(".")


def arrows():
    """Pairs of modules, compiled ones left out."""
    for module in MODULES:
        for target in set(imports(module)):
            name = target if target in MODULES else f"{target}.__init__".lstrip(".")
            if name in MODULES:
                yield module, name


def floor(module):
    return FLOORS[module.split(".")[0]]


def folder(module):
    return module.rpartition(".")[0] or module


def test_no_module_imports_in_a_circle():
    graph = {}
    for source, target in arrows():
        graph.setdefault(source, set()).add(target)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as circle:
        pytest.fail(" -> ".join(circle.args[1]))


def test_no_folder_uses_one_of_its_own_floor_or_above():
    climbing = [
        f"{source} -> {target}"
        for source, target in arrows()
        if folder(source) != folder(target) and floor(target) >= floor(source)
    ]
    assert not climbing


def test_modules_are_imported_by_name_in_two_places_only():
    by_name = {
        module
        for module, tree in MODULES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute | ast.Name)
        and (node.attr if isinstance(node, ast.Attribute) else node.id) in ("import_module", "__import__")
    }
    assert by_name == {"base.native", "estimators.__init__"}


def test_no_folder_of_the_core_includes_one_of_its_own_floor_or_above():
    climbing = []
    for path in sorted([*CORE.rglob("*.hpp"), *CORE.rglob("*.cpp")]):
        own = path.relative_to(CORE).parts[0]
        for other in re.findall(r'#include "cvxrelu/(\w+)/', path.read_text()):
            if other != own and CORE_FLOORS[other] >= CORE_FLOORS[own]:
                climbing.append(f"{path.relative_to(CORE)} -> {other}")
    assert not climbing


def test_the_core_knows_nothing_of_python():
    told = [path.name for path in CORE.rglob("*.?pp") if re.search(r"pybind11|PyErr|Python\.h", path.read_text())]
    assert not told


def test_public_classes_name_the_package_so_that_pickles_survive_moves():
    names = sorted({*cvxrelu.__all__, *cvxrelu._ESTIMATORS})
    classes = [getattr(cvxrelu, name) for name in names if isinstance(getattr(cvxrelu, name), type)]
    assert len(classes) > 20
    assert {cls.__module__ for cls in classes} == {"cvxrelu"}


def test_no_function_has_a_long_list_of_positions():
    long = []
    for module, tree in MODULES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef):
                names = [argument.arg for argument in [*node.args.posonlyargs, *node.args.args]]
                if len([name for name in names if name not in ("self", "cls")]) > 6:
                    long.append(f"{module}.{node.name}")
    for path in sorted((ROOT / "cpp" / "bindings").glob("*.cpp")):
        for definition in re.split(r"\bdef\(", path.read_text())[1:]:
            arguments = definition.partition(");\n")[0].partition("py::kw_only")[0]
            if len(re.findall(r'py::arg\("', arguments)) > 8:
                long.append(f"{path.name}: {definition[:40].strip()}")
    assert not long


def test_names_of_losses_are_compared_in_one_file():
    names = set(LOSSES)
    compared = {
        module
        for module, tree in MODULES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Compare)
        for part in [node.left, *node.comparators]
        for leaf in ast.walk(part)
        if isinstance(leaf, ast.Constant) and leaf.value in names
    }
    assert compared <= {"gated.losses"}
