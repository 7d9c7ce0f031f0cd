"""Decide by content whether a page can stay: what it was made from, then and now.

Dates say nothing after a fresh clone and miss a changed library. Two things are asked apart. A
notebook is run again if its parameters, its cells, a module that it imports, a file that it opened
or wrote, or the locked environment is not what it was. Its page is made again, of the notebook as
it was executed, if only the heading, a module or template of the page maker, or the page itself is
not. A step without a page is only ever asked the first.
"""

from __future__ import annotations

import ast
import hashlib
import json
import os
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from itertools import accumulate
from pathlib import Path

from clusterpolicy.run import parameters
from clusterpolicy.run.parameters import UsageFault, Value
from clusterpolicy.run.publishing import Workspace, one_line

# What calls the page maker, whichever it is.
CALLER = "clusterpolicy.run.jobs"
# How kernels are started decides what a cell computes, as the libraries do.
KERNELS = "run/kernels.py"


class InputFault(FileNotFoundError):
    """A notebook or an input file is missing or cannot be read (exit code 4)."""


@dataclass(frozen=True)
class Source:
    """A notebook as it stands: its hash without the noise of tools, its cells, its defaults."""

    path: Path
    where: str
    hash: str
    cells: tuple[Mapping, ...]
    declared: Mapping[str, Value]


@dataclass
class Contents:
    """Hashes of the files of a checkout, each read once.

    Make a new one after anything was built: what it has seen, it does not look at again.
    """

    workspace: Workspace
    _known: dict[str, str | None] = field(default_factory=dict)

    def file(self, short: str) -> str | None:
        """Return the SHA-256 of a file named relative to the root, None if it is not there."""
        if short not in self._known:
            self._known[short] = hash_file(self.workspace.root / short)
        return self._known[short]

    def module(self, name: str) -> str | None:
        """Return the SHA-256 of a file of the package, None if it is not there."""
        key = "package:" + name
        if key not in self._known:
            self._known[key] = hash_file(self.workspace.package / name)
        return self._known[key]

    def listing(self, short: str) -> str | None:
        """Return a hash of the names in a folder, None if it is not there."""
        key = short + "/"
        if key not in self._known:
            self._known[key] = hash_listing(self.workspace.root / short)
        return self._known[key]


def hash_file(path: Path | str) -> str | None:
    """Return the SHA-256 of a file in hexadecimal, None if there is no readable file."""
    try:
        with open(path, "rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError:
        return None


def hash_listing(path: Path | str) -> str | None:
    """Return a hash of the visible names in a folder, None if there is no such folder."""
    try:
        names = sorted(name for name in os.listdir(path) if not name.startswith("."))
    except OSError:
        return None
    return hashlib.sha256("\0".join(names).encode()).hexdigest()


def environment_hash(contents: Contents) -> str:
    """Return a hash of what cells run in: the lock, the version, how a kernel is started."""
    lock_hash, kernels_hash = contents.file("requirements.lock"), contents.module(KERNELS)
    version = ".".join(str(number) for number in sys.version_info[:3])
    return hashlib.sha256(f"{version} {lock_hash} {kernels_hash}".encode()).hexdigest()


@dataclass(frozen=True)
class Reason:
    """Why something is done again.

    Attributes
    ----------
    text : str
        The first difference found, in words.
    keeps_notebook : bool
        The notebook as it was executed still holds: only the page is made again.
    """

    text: str
    keeps_notebook: bool = False


def why_stale(
    entry: Mapping | None, contents: Contents, name: str, wanted: Mapping
) -> Reason | None:
    """Say why a notebook has to be run again, or its page made again.

    Parameters
    ----------
    entry : mapping or None
        What the manifest says: the keys of `wanted`, and `environment` (hash), `code`, `read`,
        `listed`, `written` (path to hash); of a page also `maker` (path to hash), `executed` and
        `page` (hash of the executed notebook and of the page).
    contents : Contents
        The checkout as it is now.
    name : str
        Name of the step or report.
    wanted : mapping
        ``parameters``, ``notebook`` (hash of its source) and, of a page, ``heading`` (hash of the
        title, of the links to other pages and of the maker's name) as they are now.

    Returns
    -------
    Reason or None
        None if everything can stay.
    """
    has_page = "heading" in wanted
    if entry is None or has_page != ("page" in entry):
        return Reason("not built yet")
    if (difference := _why_run(entry, contents, wanted)) is not None:
        return Reason(difference)
    difference = _why_make(entry, contents, name, wanted) if has_page else None
    if difference is None:
        return None
    kept = contents.workspace.short(contents.workspace.executed(name))
    return Reason(difference, keeps_notebook=contents.file(kept) == entry["executed"])


def _why_run(entry: Mapping, contents: Contents, wanted: Mapping) -> str | None:
    """Return the first difference in what the executed notebook stands on."""
    if entry["parameters"] != wanted["parameters"]:
        old, new = entry["parameters"], wanted["parameters"]
        changed = sorted(key for key in {*old, *new} if old.get(key) != new.get(key))
        return f"other {', '.join(changed)}"
    if entry["notebook"] != wanted["notebook"]:
        return "notebook changed"
    if entry["environment"] != environment_hash(contents):
        return "requirements.lock, Python or run/kernels.py changed"
    for part, look in (
        ("code", contents.module),
        ("read", contents.file),
        ("listed", contents.listing),
        ("written", contents.file),
    ):
        for path, known in entry[part].items():
            if look(path) != known:
                return f"{path} changed"
    return None


def _why_make(entry: Mapping, contents: Contents, name: str, wanted: Mapping) -> str | None:
    """Return the first difference in what makes a page of the executed notebook."""
    if entry["heading"] != wanted["heading"]:
        return "heading changed"
    for path, known in entry["maker"].items():
        if contents.module(path) != known:
            return f"{path} changed"
    page = contents.workspace.short(contents.workspace.page(name))
    return f"{page} was edited or deleted" if contents.file(page) != entry["page"] else None


def read_source(workspace: Workspace, notebook: str, takes: Iterable[str] = ()) -> Source:
    """Read a notebook.

    Parameters
    ----------
    workspace : Workspace
    notebook : str
        File name in ``notebooks/``.
    takes : iterable of str
        Parameters that it is going to be run with.

    Raises
    ------
    InputFault
        If the file is missing or is not a notebook.
    UsageFault
        If its `parameters` cell is not as `parameters.in_notebook` wants it, or does not define
        one of `takes`.
    """
    path = workspace.notebooks / notebook
    where = workspace.short(path)
    restore = f"restore it with `git checkout -- {where}`"
    try:
        cells, digest = _parse(path.read_bytes())
    except OSError as reason:
        raise InputFault(f"{where}: {one_line(reason)}: {restore}") from reason
    except (ValueError, KeyError, TypeError, AttributeError) as reason:
        raise InputFault(f"{where}: damaged, not a notebook of format 4: {restore}") from reason
    declared = parameters.in_notebook(cells, where)
    for name in takes:
        if name not in declared:
            raise UsageFault(
                f"{where}: parameter {name!r} is not in its parameters cell, which has "
                f"{', '.join(declared) or 'none'}: add it there"
            )
    return Source(path, where, digest, cells, declared)


@cache
def _parse(content: bytes) -> tuple[tuple[Mapping, ...], str]:
    """Return the cells of a notebook and a hash of what matters in them; one serves many pages."""
    cells = tuple(json.loads(content)["cells"])
    essence = [
        [cell["cell_type"], cell.get("id"), "".join(cell["source"]), _tags(cell)] for cell in cells
    ]
    return cells, hashlib.sha256(json.dumps(essence).encode()).hexdigest()


def _tags(cell: Mapping) -> list[str]:
    return sorted(cell["metadata"].get("tags", ()))


@dataclass(frozen=True)
class Code:
    """The code behind a notebook or a page.

    Attributes
    ----------
    modules : mapping of str to str
        File of the package, relative to its folder, to SHA-256.
    libraries : frozenset of str
        Top-level names of everything else that is imported.
    """

    modules: Mapping[str, str]
    libraries: frozenset[str]


def code_used(cells: Iterable[Mapping], package: Path) -> Code:
    """Return the code that a notebook imports, followed through the package.

    Files of the package that are not Python, such as templates, are seen when they are opened
    (`tracing`).
    """
    sources = ("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    return _follow(frozenset().union(*map(_imports, sources)), package)


def code_of_maker(maker: str, package: Path) -> Code:
    """Return the code that makes a page: the module `maker`, what calls it, and their imports."""
    return _follow(_imports(f"import {maker}, {CALLER}"), package)


def _follow(imported: Iterable[str], package: Path) -> Code:
    """Follow import statements from some modules through the package."""
    imported = set(imported)
    waiting, modules = list(imported), {}
    while waiting:
        first, *rest = waiting.pop().split(".")
        path = package.joinpath(*rest)
        path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        if first == "clusterpolicy" and path.is_file():
            content = path.read_bytes()
            short = path.relative_to(package)
            modules[short.as_posix()] = hashlib.sha256(content).hexdigest()
            found = _imports(content.decode("utf-8"), (first, *short.parent.parts))
            waiting += found - imported
            imported |= found
    return Code(modules, frozenset(name.partition(".")[0] for name in imported))


@cache
def _imports(code: str, package: tuple[str, ...] = ("clusterpolicy",)) -> frozenset[str]:
    """Return the modules that a piece of code in `package` imports, by their full names.

    The packages around a module are imported with it. What stands behind ``import`` may be a
    module or a part of one, so the names of both are given. What only type checkers read is left
    out. Code that is not Python gives none: it will fail when it is run, and say so there.
    """
    code = "\n".join(line for line in code.splitlines() if not line.lstrip().startswith(("%", "!")))
    try:
        tree = ast.parse(code)
    except (SyntaxError, ValueError):
        return frozenset()
    names, waiting = set(), [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING":
            waiting += node.orelse
            continue
        waiting += ast.iter_child_nodes(node)
        if isinstance(node, ast.ImportFrom):
            around = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join((*around, *filter(None, (node.module,))))
            names |= {f"{module}.{each.name}" for each in node.names}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    # a.b.c gives a, a.b and a.b.c
    return frozenset(n for name in names for n in accumulate(name.split("."), "{}.{}".format))
