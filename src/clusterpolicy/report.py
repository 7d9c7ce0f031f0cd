"""What a notebook says and shows: sentences from results, figures and tables, the opening block.

Everything goes out as HTML whose values are escaped here, never as markdown, with plain text
beside it for a terminal. `page` then makes one file of an executed notebook, and `check` reads
that file like a suspicious editor.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pandas as pd

from clusterpolicy.page.drawing import draw, svg_of
from clusterpolicy.page.printing import CUE, OUTPUT_MARK, Table, csv_link, to_html
from clusterpolicy.wording import (
    GRADES,
    effect_sentence,
    escape,
    finding_sentence,
    format_number,
    grade_label,
    is_missing,
    not_estimable_sentence,
    pretrend_sentence,
    verdict_label,
)

if TYPE_CHECKING:
    import nbformat
    from matplotlib.figure import Figure

    from clusterpolicy.figures import Chart

__all__ = [
    "PageSpec",
    "answer",
    "cards",
    "check",
    "effect_sentence",
    "evidence_for_and_against",
    "finding_sentence",
    "grade_label",
    "how_to_read",
    "not_estimable_sentence",
    "page",
    "pretrend_sentence",
    "say",
    "scorecard",
    "show",
    "svg_of",
    "verdict_label",
]

SHORTEST_ALT = 20
_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


@dataclass(frozen=True)
class PageSpec:
    """What a page says about its own making.

    Attributes
    ----------
    name : str
        File name without its ending, e.g. ``"term-2"``.
    title : str
        Title of this run of the notebook, e.g. ``"Term 2: development"``.
    parameters : dict of str to str
        Parameters of the run and their values.
    inputs : dict of str to str
        File of the repository to its SHA-256.
    versions : dict of str to str
        ``"clusterpolicy"`` and the packages to their versions.
    siblings : list of (file, title)
        The other reports, for the links at the top.
    """

    name: str
    title: str
    parameters: dict[str, str] = field(default_factory=dict)
    inputs: dict[str, str] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    siblings: list[tuple[str, str]] = field(default_factory=list)


# --- what a notebook calls --------------------------------------------------------------------


def show(item: Chart | Table, caption: str, name: str) -> None:
    """Display a figure or a table with its caption, unit, years, source and data.

    Parameters
    ----------
    item : Chart or Table
        From `figures` or `tables`.
    caption : str
        What is drawn; the number in front is added by `page`.
    name : str
        Stable name in lower case and hyphens, unique on a page: ``[@fig-NAME]`` in markdown
        refers to a figure, ``[@tab-NAME]`` to a table, and the data are saved as ``NAME.csv``.

    Raises
    ------
    TypeError
        If `item` is neither a Chart nor a Table.
    ValueError
        If caption, name or alternative text will not do.
    """
    if not _NAME.fullmatch(name):
        raise ValueError(f"show: name {name!r} must be lower-case words joined by hyphens.")
    if not caption.strip():
        raise ValueError(f"show({name!r}): the caption is empty; say what is shown.")
    if isinstance(item, Table):
        _emit("table", to_html(item, caption, name), f"{caption}\n{item.data}", name)
        return
    if not hasattr(item, "figure") or not hasattr(item, "alt"):
        raise TypeError(
            f"show({name!r}): found a {type(item).__name__}; pass a Chart from figures or a Table "
            "from tables, which carry unit, years, source and, for a chart, alternative text."
        )
    if len(item.alt.strip()) < SHORTEST_ALT or item.alt.strip() == caption.strip():
        raise ValueError(
            f"show({name!r}): the alternative text {item.alt!r} is shorter than {SHORTEST_ALT} "
            "characters or repeats the caption; say what a reader would notice."
        )
    _emit("figure", _figure_html(item, caption, name), f"{caption}\n{item.alt}", name)
    _forget(item.figure)


def say(*sentences: str) -> None:
    """Display sentences, each a paragraph of its own, as text that nothing interprets."""
    said = [str(sentence) for sentence in sentences if str(sentence).strip()]
    _emit("text", "".join(f"<p>{_prose(sentence)}</p>" for sentence in said), "\n".join(said))


def answer(lines: Sequence[str]) -> None:
    """Display the answer of a report in its five lines.

    Raises
    ------
    ValueError
        If there are not exactly five lines, each with text.
    """
    lines = [str(line) for line in lines]
    if len(lines) != 5 or not all(line.strip() for line in lines):
        raise ValueError(f"answer: found {len(lines)} lines; a report answers in exactly five.")
    items = "".join(f"<li>{_prose(line)}</li>" for line in lines)
    _emit(
        "answer",
        f'<div class="answer" role="group" aria-label="The answer in five lines"><ol>{items}</ol>'
        "</div>",
        "\n".join(lines),
    )


def scorecard(
    rows: Iterable[Mapping[str, Any]] | pd.DataFrame, estimates: pd.DataFrame | None = None
) -> None:
    """Display one line per phrase of one list: verdict, grade of the evidence if any, and why.

    Parameters
    ----------
    rows : DataFrame or iterable of mappings
        With phrase, verdict, grade and sentence; without a sentence, one is made by
        `finding_sentence` from figure and ``result_ids``.
    estimates : DataFrame, optional
        Records for `finding_sentence`.

    Raises
    ------
    ValueError
        If a verdict or a grade is outside its closed set.
    """
    rows = [
        {"sentence": finding_sentence(row, estimates), **row} if "sentence" not in row else row
        for row in _records(rows)
    ]
    items = "".join(
        f'<li><p class="phrase">{escape(row["phrase"])}</p>'
        f'<p class="chips">{_chips(row)}</p>'
        f'<p class="why">{_prose(row["sentence"])}</p></li>'
        for row in rows
    )
    plain = "\n".join(
        f"{row['phrase']}: {row['verdict']}"
        + ("" if is_missing(row["grade"]) else f" (grade {row['grade']} of 5)")
        + f". {row['sentence']}"
        for row in rows
    )
    _emit("scorecard", f'<ul class="scorecard">{items}</ul>', plain)


def _chips(row: Mapping[str, Any]) -> str:
    label = verdict_label(row["verdict"])
    return label if is_missing(row["grade"]) else f"{label} {grade_label(row['grade'])}"


def evidence_for_and_against(
    strongest: str, doubt: str, change_mind: str, heading: str = "Strongest evidence"
) -> None:
    """Display the strongest evidence, the strongest doubt and what would change our mind.

    Parameters
    ----------
    strongest, doubt, change_mind : str
    heading : str
        Of the first, where it is no evidence of an effect.
    """
    parts = {
        heading: strongest,
        "Strongest doubt": doubt,
        "What would change our mind": change_mind,
    }
    items = "".join(
        f"<div><dt>{title}</dt><dd>{_prose(text)}</dd></div>" for title, text in parts.items()
    )
    plain = "\n".join(f"{title}: {text}" for title, text in parts.items())
    _emit("evidence", f'<dl class="evidence">{items}</dl>', plain)


def cards(items: Iterable[Mapping[str, Any]] | pd.DataFrame) -> None:
    """Display a card per report: title, answer in one line, verdict.

    Parameters
    ----------
    items : DataFrame or iterable of mappings
        With name, href (a file beside this page), title, answer and, if there is one, verdict.

    Raises
    ------
    ValueError
        If an address leads anywhere but to a page beside this one.
    """
    rows = _records(items)
    parts = []
    for row in rows:
        if not re.fullmatch(r"[\w-]+(/[\w-]+)*\.html", str(row["href"])):
            raise ValueError(f"cards: {row['href']!r} is no report beside this page.")
        verdict = row.get("verdict")
        chip = "" if is_missing(verdict) else f'<p class="chips">{verdict_label(verdict)}</p>'
        parts.append(
            f'<li id="card-{escape(row["name"])}"><p class="title"><a href="{escape(row["href"])}">'
            f"{escape(row['title'])}</a></p><p>{_prose(row['answer'])}</p>{chip}</li>"
        )
    plain = "\n".join(f"{row['title']}: {row['answer']}" for row in rows)
    _emit("cards", f'<ul class="cards">{"".join(parts)}</ul>', plain)


def how_to_read(margin: float) -> None:
    """Display what the verdicts of both lists and the six grades of evidence mean.

    Parameters
    ----------
    margin : float
        Margin of indifference, percent.
    """
    size = f"{format_number(margin)} percent"
    meanings = {
        "supported": "a gain: the whole interval lies above zero; that nothing was lost: it "
        f"excludes every loss of {size} or more. Every outcome declared for the phrase and "
        "estimated, the other reading of the fields and the other base must say the same",
        "partly supported": "it holds of some outcome, or in one term, not of all; the sentence "
        "beside it says of which",
        "not supported": f"the whole interval lies within {size} of zero, declared to be too small "
        "to matter, or on the other side of zero",
        "cannot be judged here": "none of these: the interval allows for an effect as well as for "
        "none, the groups had moved apart before the term, one cell carries it, or there is no "
        "estimate",
        "confirmed": "somebody other than the ministry says it, as a whole",
        "stated by the ministry only": "nobody else says it, or only of single cases",
        "contradicted": "a source denies it, if only in part",
        "not found": "looked for; the sentence beside it says where",
    }
    verdicts = "".join(
        f"<div><dt>{verdict_label(verdict)}</dt><dd>{escape(meaning)}</dd></div>"
        for verdict, meaning in meanings.items()
    )
    grades = "".join(
        f"<div><dt>{grade_label(grade)}</dt><dd>{escape(meaning)}</dd></div>"
        for grade, meaning in GRADES.items()
    )
    plain = "\n".join(
        [f"{verdict}: {meaning}" for verdict, meaning in meanings.items()]
        + [f"grade {grade}: {meaning}" for grade, meaning in GRADES.items()]
    )
    _emit("key", f'<dl class="key">{verdicts}</dl><dl class="key">{grades}</dl>', plain)


# --- figures ----------------------------------------------------------------------------------


def _figure_html(chart: Chart, caption: str, name: str) -> str:
    about = "; ".join(escape(part) for part in (chart.unit, chart.years) if part)
    source = escape(chart.source.rstrip("."))
    return (
        f'<figure class="chart" id="fig-{name}">'
        f'<div class="scroll" role="group" tabindex="0" aria-labelledby="fig-{name}-c">'
        f"{CUE}{draw(chart.figure, f'fig-{name}', chart.alt)}</div>"
        f'<figcaption><span class="caption" id="fig-{name}-c"><b class="label">Figure</b> '
        f"{escape(caption)}</span>"
        + (f'<span class="unit">{about}</span>' if about else "")
        + f'<span class="notes"><span class="source">Source: {source}.</span> '
        f"{csv_link(chart.data, name)}</span></figcaption></figure>"
    )


def _forget(figure: Figure) -> None:
    """Close the figure, or the notebook would draw it a second time under the cell."""
    import matplotlib.pyplot as plt

    plt.close(figure)


def _prose(text: Any) -> str:
    """Escape a sentence, and keep what belongs together on one line: ``p = 0.64``, ``95 %``."""
    return re.sub(r"(?<=\bp) (=|&lt;) (?=\d)|(?<=\d) (%)", _no_break, escape(text))


def _no_break(match: re.Match) -> str:
    return f"\N{NO-BREAK SPACE}{match[1]}\N{NO-BREAK SPACE}" if match[1] else "\N{NO-BREAK SPACE}%"


def _records(rows: Iterable[Mapping[str, Any]] | pd.DataFrame) -> list[Mapping[str, Any]]:
    return rows.to_dict("records") if isinstance(rows, pd.DataFrame) else list(rows)


def _emit(kind: str, markup: str, plain: str, name: str = "") -> None:
    """Hand an output to the notebook, marked as ours; print it where there is no notebook."""
    from IPython.core.interactiveshell import InteractiveShell
    from IPython.display import display

    if not InteractiveShell.initialized():
        print(plain)
        return
    display(
        {"text/html": markup, "text/plain": plain},
        raw=True,
        metadata={OUTPUT_MARK: {"kind": kind, "name": name}},
    )


# --- the page ---------------------------------------------------------------------------------


def page(notebook: nbformat.NotebookNode, spec: PageSpec) -> str:
    """Make one HTML file of an executed notebook.

    Parameters
    ----------
    notebook : NotebookNode
        Executed, with its outputs.
    spec : PageSpec
        What the page says about its own making.

    Returns
    -------
    str
        The page. What may not be published (a failed cell, a warning, an unknown reference)
        stands in it as a fault that `check` reports.
    """
    # The exporter takes nearly a second to import, and no notebook needs it.
    from clusterpolicy.page import pages

    return pages.build(notebook, spec)


def check(html: str) -> list[str]:
    """List the faults of a page, one line each; an empty list means that it may be published."""
    from clusterpolicy.page import pagecheck

    return pagecheck.faults(html)
