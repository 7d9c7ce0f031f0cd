"""pyproject.toml, requirements.lock and environment.yml describe one and the same environment."""

import ast
import json
import re
import subprocess
import sys
import tomllib
from importlib.metadata import version

import pytest
import yaml
from conftest import ROOT

import clusterpolicy

# Modules whose name is not that of the distribution that brings them.
DISTRIBUTION_OF = {
    "IPython": "ipython",
    "diff_diff": "diff-diff",
    "jupyter_client": "jupyter-client",
    "matplotlib_fontja": "matplotlib-fontja",
    "python_calamine": "python-calamine",
    "yaml": "pyyaml",
}


def distribution(requirement):
    """Normalised name of the distribution in a requirement such as ``pandera[pandas]>=0.3``."""
    name = re.match(r"[A-Za-z0-9._-]+", requirement.strip()).group()
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.fixture(scope="module")
def project(root):
    return tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def direct(project):
    """Every distribution that pyproject.toml asks for by name."""
    asked = project["project"]
    return {
        distribution(line)
        for line in [*asked["dependencies"], *asked["optional-dependencies"]["test"]]
    }


@pytest.fixture(scope="module")
def pins(root):
    """Each pinned requirement of the lock on one line: ``name==version ; marker --hash=...``."""
    text = (root / "requirements.lock").read_text(encoding="utf-8")
    text = re.sub(r"^\s*#.*\n", "", text, flags=re.MULTILINE)
    return text.replace("\\\n", " ").splitlines()


def test_every_package_asked_for_is_in_the_lock(direct, pins):
    assert direct - {distribution(pin) for pin in pins} == set()


def test_every_line_of_the_lock_is_one_version_with_hashes(pins):
    exact = re.compile(r"[\w.\[\],-]+==\S+( ; [^-]+?)?(\s+--hash=sha256:[0-9a-f]{64})+\s*")
    loose = [pin for pin in pins if not exact.fullmatch(pin)]
    assert loose == []
    assert len(pins) > 100


def test_the_lock_keeps_the_constraints_of_pyproject(project, pins):
    # Only upper bounds are used; the reason of each stands beside it in pyproject.toml.
    for constraint in project["tool"]["uv"]["constraint-dependencies"]:
        name, bound = constraint.split("<")
        versions = [
            re.search(r"==(\S+)", pin).group(1) for pin in pins if distribution(pin) == name
        ]
        assert versions
        assert all(numbers(version) < numbers(bound) for version in versions)


def numbers(version):
    return [int(part) for part in version.split(".")]


def test_no_jupyter_process_builds_a_grammar_at_start(pins):
    assert {"rfc3987-syntax", "lark"} & {distribution(pin) for pin in pins} == set()
    started = subprocess.run(
        [sys.executable, "-c", "import jupyter_events, sys; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "rfc3987_syntax" not in started.stdout.split()


def test_this_environment_is_the_one_of_the_lock(pins, direct):
    pinned = {}
    for pin in pins:
        pinned.setdefault(distribution(pin), set()).add(re.search(r"==(\S+)", pin).group(1))
    wrong = {name: version(name) for name in direct if version(name) not in pinned[name]}
    assert wrong == {}, "run the tests with `make test`, which builds the locked environment"


def test_conda_gets_python_and_the_lock_and_nothing_else(root):
    text = (root / "environment.yml").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    assert lines == [
        "name: clusterpolicy",
        "channels:",
        "  - conda-forge",
        "  - nodefaults",
        "dependencies:",
        "  - python=3.11",
        "  - pip",
        "  - pip:",
        "      - -r requirements.lock",
    ]


def test_environment_yml_names_the_packages_asked_for(root, direct):
    text = (root / "environment.yml").read_text(encoding="utf-8")
    comment = " ".join(line.lstrip("# ") for line in text.splitlines() if line.startswith("#"))
    named = comment.split("in turn:")[1].replace(" ", "").split(",")
    assert named == sorted(direct)


def test_conda_and_pyproject_ask_for_the_same_oldest_python(project, root):
    oldest = project["project"]["requires-python"].removeprefix(">=")
    assert f"  - python={oldest}\n" in (root / "environment.yml").read_text(encoding="utf-8")
    assert project["tool"]["ruff"]["target-version"] == "py" + oldest.replace(".", "")
    assert f"--python-version {oldest} " in (root / "Makefile").read_text(encoding="utf-8")


def imported_modules(text):
    """Top-level modules that a Python text imports, wherever the import stands."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.module.split(".")[0]


def code_of_notebook(path):
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")


def third_party(texts):
    """Distributions that some Python texts import, other than Python's own and ours."""
    ours = {"clusterpolicy", *(path.stem for path in (ROOT / "tests").glob("*.py"))}
    found = {module for text in texts for module in imported_modules(text)}
    return {
        DISTRIBUTION_OF.get(module, module.lower())
        for module in found - sys.stdlib_module_names - ours
    }


def test_every_import_of_the_study_is_a_dependency_of_its_own(root, project):
    texts = [path.read_text(encoding="utf-8") for path in (root / "src").rglob("*.py")]
    texts += [code_of_notebook(path) for path in (root / "notebooks").glob("*.ipynb")]
    declared = {distribution(line) for line in project["project"]["dependencies"]}
    assert third_party(texts) - declared == set()


def test_every_import_of_the_tests_is_declared(root, direct):
    texts = [path.read_text(encoding="utf-8") for path in (root / "tests").rglob("*.py")]
    assert third_party(texts) - direct == set()


@pytest.mark.skipif(
    not (ROOT / ".git").exists(), reason="only a clone knows which of its files are committed"
)
def test_no_committed_file_names_a_package_index_or_a_private_path(root):
    # Spelt in pieces, so that this file does not find itself.
    hosts = ["pypi" + r"\.org", "python" + r"hosted\.org", "ana" + r"conda\.org"]
    unwanted = re.compile(
        "|".join([*hosts, r"(?<![\w.])/(?:home|root|Users)" + r"/(?!somebody)\w"])
    )
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=root, capture_output=True, check=True, text=True
    ).stdout
    found = []
    for name in filter(None, listed.split("\0")):
        lines = (root / name).read_bytes().decode("utf-8", errors="replace").splitlines()
        found += [f"{name}:{n}" for n, line in enumerate(lines, 1) if unwanted.search(line)]
    assert found == []


def test_the_version_is_the_same_everywhere(root):
    citation = (root / "CITATION.cff").read_text(encoding="utf-8")
    changes = (root / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f"\nversion: {clusterpolicy.__version__}\n" in citation
    assert clusterpolicy.__version__ in changes


def test_the_citation_has_what_its_format_requires(root):
    citation = yaml.safe_load((root / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["cff-version"] == "1.2.0"
    assert {"message", "title", "authors", "type", "license", "version"} <= citation.keys()
    assert isinstance(citation["version"], str)
    for reference in citation["references"]:
        assert reference["type"] in {"data", "website"}
        assert reference["title"]
        for author in reference["authors"]:
            is_person = {"family-names", "given-names"} <= author.keys()
            assert is_person != ("name" in author)


def test_importing_the_package_imports_nothing_else(root):
    # The runner answers a wrong parameter at once; seconds of imports would come before it.
    listed = subprocess.run(
        [sys.executable, "-c", "import clusterpolicy, sys; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": str(root / "src"), "PATH": ""},
    )
    assert {"pandas", "numpy", "matplotlib"} & set(listed.stdout.split()) == set()
