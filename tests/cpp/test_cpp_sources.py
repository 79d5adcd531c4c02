"""Rules that a compiler tells late or not at all, and what docs/cpp.md says of the C++ library."""

import re
import tomllib
from collections import defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CONSUMER = ROOT / "tests" / "cpp" / "consumer"
FOLDERS = sorted({path.parent for path in ROOT.glob("cpp/**/*.cpp")})


def unnamed_namespaces(text):
    """Names that are defined in the unnamed namespaces of a source, which begin their lines there."""
    for body in re.findall(r"^namespace \{\n(.*?)^\}  // namespace$", text, flags=re.M | re.S):
        for line in re.findall(r"^(?!template|namespace)[a-z_A-Z].*", body, flags=re.M):
            type_name = re.match(r"(?:class|struct|enum class|enum|using) (\w+)", line)
            if type_name:
                yield type_name[1]
            elif line.startswith("constexpr") and "(" not in line.partition("=")[0]:
                yield from re.findall(r"(\w+) =", line)
            else:
                yield re.match(r".*?(\w+)\(", line)[1]


def test_names_of_unnamed_namespaces_are_found():
    source = (ROOT / "cpp/cvxrelu/gated/proximal_newton.cpp").read_text()
    names = ["columns", "basis_of", "Quiet", "Penalty", "total_gap", "ProximalNewton"]
    assert list(unnamed_namespaces(source)) == names
    source = (
        "namespace {\n\nconstexpr int kA = f(1), kB = 2;\nusing T = int;\nenum class E { one };\n\n}  // namespace\n"
    )
    assert list(unnamed_namespaces(source)) == ["kA", "kB", "T", "E"]


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_sources_of_a_folder_can_be_compiled_as_one(folder):
    """A build from scratch includes several of them in one unit, where equal names would meet."""
    sources = defaultdict(set)
    for path in folder.glob("*.cpp"):
        for name in unnamed_namespaces(path.read_text()):
            sources[name].add(path.name)
    assert {name: paths for name, paths in sources.items() if len(paths) > 1} == {}


def test_library_and_package_have_one_version():
    library = re.search(r"^project\(cvxrelu VERSION (\S+)", (ROOT / "CMakeLists.txt").read_text(), flags=re.M)[1]
    assert library == tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]


def test_examples_of_the_page_are_those_that_ci_compiles():
    page = (ROOT / "docs" / "cpp.md").read_text()
    compiled = "".join(path.read_text() for path in sorted(CONSUMER.glob("*.cpp")))
    examples = re.findall(r"^```cpp\n(.*?)^```", page, flags=re.M | re.S)
    assert examples
    for example in examples:
        assert example in compiled


def test_headers_of_the_page_are_those_that_ci_includes():
    page = (ROOT / "docs" / "cpp.md").read_text()
    listed = re.findall(r"^\| `(cvxrelu/.*?)` \|", page, flags=re.M)
    included = re.findall(r'^#include "(.*?)"', (CONSUMER / "face.cpp").read_text(), flags=re.M)
    assert sorted(listed) == sorted(included)
    assert all((ROOT / "cpp" / header).exists() for header in listed)
