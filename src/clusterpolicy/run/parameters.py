"""The parameters of the reports: declared once, checked before anything starts.

A notebook run with a wrong parameter produces a wrong report, so no value reaches a kernel, a
file name or a shell unless it is one of the values listed in `PARAMETERS`. Text from the command
line is compared with the spelling of the allowed values, never converted: ``02``, ``1_0``,
``２`` and ``nan`` are not spellings of any of them.
"""

from __future__ import annotations

import ast
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

Value = int | str
# What a value that the facts list may look like.
_ID = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


class UsageFault(ValueError):
    """A name or a value that the command line does not know; ``str()`` is the line to print."""


@dataclass(frozen=True)
class Parameter:
    """One parameter that a notebook takes.

    Attributes
    ----------
    name : str
        The variable in the notebook's `parameters` cell.
    kind : type
        ``int`` or ``str``; values of any other type, ``True`` included, are refused.
    allowed : tuple of int or str
        Every value there is.
    default : int or str
        One of `allowed`.
    meaning_en, meaning_ja : str
        What the parameter decides, in one phrase.
    listed_in : str
        File of the facts that lists the values, where they are not listed here: `allowed` stays
        empty until `fill` has read them.
    """

    name: str
    kind: type
    allowed: tuple[Value, ...]
    default: Value
    meaning_en: str
    meaning_ja: str
    listed_in: str = ""

    def __post_init__(self) -> None:
        if not self.name.isidentifier() or not self.name.isascii():
            raise ValueError(f"parameter {self.name!r}: not a plain identifier: rename it")
        if any(type(value) is not self.kind for value in self.allowed):
            raise ValueError(f"parameter {self.name}: {self.allowed} are not all {self.kind}")
        if self.default not in self.allowed and not self.listed_in:
            raise ValueError(f"parameter {self.name}: default {self.default!r} is not allowed")

    @property
    def flag(self) -> str:
        """The option of the command line, ``--fields-map`` for ``fields_map``."""
        return "--" + self.name.replace("_", "-")

    def choices(self) -> str:
        """Return the allowed values as one reads them in a message: ``1, 2, 3``."""
        if self.listed_in and not self.allowed:
            return f"an id of {self.listed_in}"
        return ", ".join(str(value) for value in self.allowed)

    def read(self, text: str) -> Value:
        """Return the allowed value spelt exactly `text`.

        Raises
        ------
        UsageFault
            If `text` is no allowed value, naming those that are.
        """
        spelling = {str(value): value for value in self.allowed}
        if text not in spelling:
            raise UsageFault(f"{self.name}: {shown(text)} is not allowed: use {self.choices()}")
        return spelling[text]

    def check(self, value: object) -> Value:
        """Return `value` if its type and value are allowed (see `read` for text).

        Raises
        ------
        UsageFault
            If it is of another type or not in the list; if the list has not been read yet, only if
            it could not be in any.
        """
        is_open = bool(self.listed_in) and not self.allowed
        is_known = bool(_ID.fullmatch(str(value))) if is_open else value in self.allowed
        if type(value) is not self.kind or not is_known:
            raise UsageFault(f"{self.name}: {shown(value)} is not allowed: use {self.choices()}")
        return value


PARAMETERS = {
    parameter.name: parameter
    for parameter in (
        Parameter(
            "term",
            int,
            (1, 2, 3),
            1,
            "policy term that the report is about",
            "評価の対象とする期",
        ),
        Parameter(
            "clock",
            str,
            ("funded", "planned"),
            "funded",
            "years of a term: while it was funded, or as it was planned",
            "期の年度の数え方（予算のあった年度、または計画の年度）",
        ),
        Parameter(
            "fields_map",
            str,
            ("broad", "narrow"),
            "broad",
            "how widely a project's fields are read as industries",
            "重点分野を産業分類に対応させるときの広さ",
        ),
        Parameter(
            "indicator",
            str,
            ("shipments", "employees", "establishments"),
            "shipments",
            "series on which the data-quality report draws the breaks",
            "データ品質報告で断層を図示する系列",
        ),
        Parameter(
            "project",
            str,
            (),
            "kyushu-silicon-t2",
            "project that the report is about",
            "報告の対象とするプロジェクト",
            listed_in="data/raw/projects.csv",
        ),
    )
}


def fill(**listed: Sequence[Value]) -> dict[str, Parameter]:
    """Return the declared parameters, those that the facts list with the values found there.

    Parameters
    ----------
    **listed : sequence of int or str
        Values by parameter, e.g. ``project=["okinawa-t2"]``.
    """
    filled = {name: replace(PARAMETERS[name], allowed=tuple(each)) for name, each in listed.items()}
    return {**PARAMETERS, **filled}


def find(name: str) -> Parameter:
    """Return the declared parameter called `name`.

    Raises
    ------
    UsageFault
        If none is declared under that exact name; the message lists those that are.
    """
    if name not in PARAMETERS:
        raise UsageFault(f"parameter {shown(name)}: unknown: use {', '.join(PARAMETERS)}")
    return PARAMETERS[name]


def check(values: Mapping[str, object]) -> dict[str, Value]:
    """Return `values` unchanged if every name is declared and every value allowed.

    Raises
    ------
    UsageFault
        For the first name or value that is not.
    """
    return {name: find(name).check(value) for name, value in values.items()}


def read(
    texts: Mapping[str, str], declared: Mapping[str, Parameter] | None = None
) -> dict[str, Value]:
    """Turn the texts of a command line into typed values, refusing all that is not declared.

    Parameters
    ----------
    texts : mapping of str to str
        Parameter name to the text that was typed.
    declared : mapping, optional
        From `fill`, to allow what the facts list; without it a listed parameter allows nothing.

    Raises
    ------
    UsageFault
        For the first name or text that is not allowed.
    """
    return {name: (declared or {}).get(name, find(name)).read(text) for name, text in texts.items()}


def in_notebook(cells: Iterable[Mapping], where: str) -> dict[str, Value]:
    """Return what a notebook's `parameters` cell declares: names and default values.

    Parameters
    ----------
    cells : iterable of mapping
        The notebook's cells as nbformat stores them (`source` a string or a list of lines).
    where : str
        The notebook, for the message.

    Returns
    -------
    dict
        Name to default, in the order of the cell.

    Raises
    ------
    UsageFault
        If there is not exactly one such cell, if a line of it is anything but ``name = literal``,
        or if a name or default is not declared in `PARAMETERS`.
    """
    tagged = [
        cell
        for cell in cells
        if cell["cell_type"] == "code" and "parameters" in cell["metadata"].get("tags", ())
    ]
    if len(tagged) != 1:
        raise UsageFault(f"{where}: {len(tagged)} cells tagged 'parameters': keep exactly one")
    return check(dict(_assignments("".join(tagged[0]["source"]), where)))


def table(declared: Mapping[str, Parameter] | None = None) -> str:
    """Return the declared parameters as aligned text, two lines each (English, Japanese).

    The values of a parameter that the facts list follow below, one a line.

    Parameters
    ----------
    declared : mapping, optional
        From `fill`.
    """
    head = ("parameter", "type", "allowed", "default")
    rows = [
        (
            p.name,
            p.kind.__name__,
            replace(p, allowed=()).choices() if p.listed_in else p.choices(),
            str(p.default),
        )
        for p in PARAMETERS.values()
    ]
    width = [max(len(row[i]) for row in [head, *rows]) + 2 for i in range(len(head))]
    lines = ["".join(text.ljust(w) for text, w in zip(head, width, strict=True)) + "meaning"]
    for parameter, row in zip(PARAMETERS.values(), rows, strict=True):
        start = "".join(text.ljust(w) for text, w in zip(row, width, strict=True))
        lines += [start + parameter.meaning_en, " " * sum(width) + parameter.meaning_ja]
    for parameter in (declared or {}).values():
        if parameter.listed_in:
            lines += ["", f"{parameter.name}, listed in {parameter.listed_in}:"]
            lines += [f"  {value}" for value in parameter.allowed]
    return "\n".join(lines)


def _assignments(source: str, where: str) -> Iterable[tuple[str, object]]:
    """Yield (name, literal) for each line of a parameters cell."""
    try:
        statements = ast.parse(source).body
    except SyntaxError as error:
        raise UsageFault(
            f"{where}: the parameters cell is not Python (line {error.lineno}): correct it"
        ) from error
    for statement in statements:
        targets = getattr(statement, "targets", None) or [getattr(statement, "target", None)]
        value = getattr(statement, "value", None)
        named = len(targets) == 1 and isinstance(targets[0], ast.Name)
        if not named or not isinstance(value, ast.Constant):
            raise UsageFault(
                f"{where}: line {statement.lineno} of the parameters cell is not "
                "'name = literal': write one such line per parameter"
            )
        yield targets[0].id, value.value


def shown(value: object) -> str:
    """Show what was given on one line, unprintable characters escaped, long text cut."""
    if value == "":
        return "an empty value"
    text = f"'{one_line(value)}'" if isinstance(value, str) else one_line(repr(value))
    return text if len(text) <= 60 else text[:57] + "..."


def one_line(text: str) -> str:
    """Return `text` with everything escaped that a terminal would not simply print."""
    return "".join(
        c if c == " " or unicodedata.category(c)[0] not in "CZ" else ascii(c)[1:-1] for c in text
    )
