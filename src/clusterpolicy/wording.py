"""Numbers and findings in words, the one place where anything is rounded.

Tables, sentences, alternative texts and the page's chips all come through here, so that a number
reads alike wherever it is printed.
"""

from __future__ import annotations

import html
import math
import re
from collections.abc import Callable, Mapping
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import pandas as pd

MISSING = "…"
MINUS = "\u2212"

# The closed set of verdicts with the mark that tells them apart without colour.
VERDICT_MARKS = {
    "supported": "✓",
    "partly supported": "±",
    "not supported": "✕",
    "cannot be judged here": "?",
}

# How the policy was run has verdicts of its own: statements held against sources, without a grade.
RUN_MARKS = {
    "confirmed": "✓",
    "stated by the ministry only": "»",
    "contradicted": "✕",
    "not found": "?",
}
_LOOKS_LIKE = dict(zip(RUN_MARKS, VERDICT_MARKS, strict=True))

# The Maryland scale of scientific methods; 0 is added for what was looked for and not found.
GRADES = {
    0: "looked for, no figure found",
    1: "described or self-reported, nothing to compare with",
    2: "compared before and after, or with others, but not both; or both, but the years before "
    "could hide a large gap",
    3: "before and after, against comparable cells without the policy",
    4: "as 3, and chance or rules decided who took part",
    5: "assigned at random",
}

# The second term is judged by the cells that it targeted first.
WHOSE = {1: "targeted cells", 2: "newly targeted cells", 3: "targeted cells"}
# How often the minimum detectable effect is found: inference.POWER in words.
POWER_WORDS = "four times in five"

# Characters that are errors in HTML, or that would turn the reading direction of what follows.
_UNPRINTABLE = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]"
)


def is_missing(value: Any) -> bool:
    """Say whether a value is absent: None, NaN, NA, NaT or empty text."""
    if value is None or value is pd.NA or value is pd.NaT:
        return True
    if isinstance(value, str):
        return not value.strip()
    return isinstance(value, float) and math.isnan(value)


def format_number(value: Any, decimals: int = 0, sign: bool = False) -> str:
    """Round a number half away from zero and write it for readers.

    The decimal digits a reader finds in the CSV are rounded, not their binary neighbours:
    2.675 becomes 2.68, as on paper.

    Parameters
    ----------
    value : float or int
        Number to print; a missing one becomes ``"…"``, an unbounded one ``"∞"``.
    decimals : int
        Decimals printed.
    sign : bool
        Whether a positive number carries a plus sign.

    Returns
    -------
    str
        With thousands separators and a true minus sign: ``"−1,234.5"``.
    """
    if is_missing(value):
        return MISSING
    number = Decimal(str(value))
    if number.is_infinite():
        return f"{MINUS if number < 0 else '+' if sign else ''}∞"
    rounded = number.quantize(Decimal(1).scaleb(-decimals), ROUND_HALF_UP)
    if rounded == 0:
        return f"{abs(rounded):,.{decimals}f}"
    prefix = MINUS if rounded < 0 else "+" if sign else ""
    return f"{prefix}{abs(rounded):,.{decimals}f}"


def format_interval(low: Any, high: Any, decimals: int = 1) -> str:
    """Write the two ends of an interval: ``"−2.6 to 4.3"``."""
    return f"{format_number(low, decimals)} to {format_number(high, decimals)}"


def format_p(value: Any) -> str:
    """Write a p-value for a sentence: two decimals, three where they matter.

    Parameters
    ----------
    value : float
        Between 0 and 1.

    Returns
    -------
    str
        ``"p = 0.64"``, ``"p = 0.043"``, ``"p < 0.001"`` or ``"p not available"``.
    """
    if is_missing(value):
        return "p not available"
    if value < 0.001:
        return "p < 0.001"
    return f"p = {format_number(value, 2 if value >= 0.1 else 3)}"


def format_years(first: Any, last: Any = None, prefix: str = "FY") -> str:
    """Write a span of years: ``"FY2001-05"``, ``"FY1996-2000"``, ``"FY2010"``."""
    first, last = int(first), int(first if is_missing(last) else last)
    if first == last:
        return f"{prefix}{first}"
    end = f"{last % 100:02d}" if first // 100 == last // 100 else str(last)
    return f"{prefix}{first}-{end}"


def escape(value: Any) -> str:
    """Escape text for HTML, inside and outside attributes.

    Characters that no page may hold, and those that reverse the direction of what follows, are
    shown as the replacement character.
    """
    return html.escape(_UNPRINTABLE.sub("\ufffd", str(value)), quote=True)


def verdict_label(verdict: str) -> str:
    """Return the chip of a verdict, told from the others by word and mark.

    Raises
    ------
    ValueError
        If the verdict is not one of the closed set.
    """
    marks = VERDICT_MARKS | RUN_MARKS
    if verdict not in marks:
        raise ValueError(f"Unknown verdict {verdict!r}: use one of {list(marks)}.")
    kind = _LOOKS_LIKE.get(verdict, verdict).split()[0]
    mark = f'<span aria-hidden="true">{marks[verdict]}</span>'
    return f'<span class="verdict {kind}">{mark}\N{NO-BREAK SPACE}{verdict}</span>'


def grade_label(grade: Any) -> str:
    """Return the grade of the evidence, 0 to 5, with a bar that shows it.

    Raises
    ------
    ValueError
        If the grade is not a whole number from 0 to 5.
    """
    if is_missing(grade) or grade not in GRADES:
        raise ValueError(f"Unknown grade {grade!r}: use a whole number from 0 to 5.")
    bar = "●" * int(grade) + "○" * (5 - int(grade))
    return f'<span class="grade">{int(grade)}/5 <span aria-hidden="true">{bar}</span></span>'


# --- findings in words ---------------------------------------------------------------------


def effect_sentence(record: Mapping[str, Any]) -> str:
    """Say what one estimate found, how sure it is, and what it would have seen.

    Parameters
    ----------
    record : mapping
        Row of ``data/results``.

    Returns
    -------
    str
        ``"No effect can be shown: from FY1996-2000 to FY2001-05 output in targeted cells grew
        0.8 percent more than in comparable cells, and anything from −2.6 to 4.3 percent is
        in keeping with the figures (95 % interval; p = 0.64). An effect of 4.8 percent would have
        been found four times in five."``
    """
    if record["status"] != "estimated":
        return not_estimable_sentence(record)
    if record["design"] == "baseline comparison":
        return _baseline_sentence(record)
    size = f"{format_number(abs(record['estimate']), 1)} {record['unit']}"
    direction = "less" if record["estimate"] < 0 else "more"
    level = format_number(100 * record["level"])
    interval = format_interval(record["low"], record["high"])
    return (
        f"{_finding(record)}: from {_years(record['baseline_years'])} to "
        f"{_years(record['term_years'])} the {_noun(record)} of {_whose(record)} "
        f"grew {size} {direction} than that of comparable cells, and anything from {interval} "
        f"{record['unit']} is in keeping with the figures ({level} % interval; "
        f"{format_p(record['p_value'])}). {_seen(record)}"
    ).rstrip()


def influence_sentences(
    record: Mapping[str, Any], without: pd.DataFrame, names: Callable[[str], str]
) -> list[str]:
    """Name the cells that an estimate hangs on, to be said before the estimate.

    Parameters
    ----------
    record : mapping
        Main estimate.
    without : DataFrame
        Records of the same estimate without each cell that stands far from all others.
    names : callable
        From the code of a cell (``"02 nonferrous_metals"``) to its name in words.

    Returns
    -------
    list of str
        One for each such cell, and one for the cell that moves the estimate by more than half its
        standard error; none if there is neither.
    """
    if record["status"] != "estimated":
        return []
    said = {row["left_out"].removeprefix("cell "): row for row in without.to_dict("records")}
    far = [
        f"{names(cell)} stands far from all other cells ({format_number(abs(row['distance']), 0)} "
        f"scales); without it the estimate is {format_estimate(row)}."
        for cell, row in said.items()
    ]
    cell = record["influence_cell"]
    moved = abs(record["without_estimate"] - record["estimate"])
    if cell in said or not moved > record["std_error"] / 2:
        return far
    ends = format_interval(record["without_low"], record["without_high"])
    return [
        *far,
        f"No single cell moves the estimate more than {names(cell)}; without it, it is "
        f"{format_number(record['without_estimate'], 1, sign=True)} {record['unit']} ({ends}).",
    ]


def _whose(record: Mapping[str, Any]) -> str:
    """Say whose growth a record is of: cells of both terms are not newly targeted."""
    sample = str(record["sample"])
    return sample if sample.startswith("cells targeted") else WHOSE[record["term"]]


def _noun(record: Mapping[str, Any]) -> str:
    """Name the outcome of a record: an estimate of jobs is never told as one of output."""
    return str(record["outcome_label"])


def _baseline_sentence(record: Mapping[str, Any]) -> str:
    """Say how targeted cells differed from the others before the term."""
    size = f"{format_number(abs(record['estimate']), 2)} {record['unit']}"
    side = "below" if record["estimate"] < 0 else "above"
    level = format_number(100 * record["level"])
    return (
        f"{record['outcome_label']}: targeted cells lay {size} {side} the others before the term "
        f"({level} % interval {format_interval(record['low'], record['high'], 2)})."
    )


def pretrend_sentence(record: Mapping[str, Any]) -> str:
    """Say whether targeted and comparable cells moved alike before the term."""
    years = _years(record["baseline_years"])
    p_value = record["pretrend_p"]
    if is_missing(p_value):
        return "There are too few years before the term to test whether trends were alike."
    if p_value < 1 - record["level"]:
        return (
            f"Already before the term ({years}) targeted and comparable cells did not move alike "
            f"({format_p(p_value)}): the estimate may only continue an older trend."
        )
    seen = record.get("pretrend_detectable")
    limit = "that does not prove that they moved alike"
    if not is_missing(seen):
        limit = (
            f"but a gap of up to {format_number(seen, 1)} {record['unit']} in any one year could "
            "have gone unseen, so this does not prove that they moved alike"
        )
    return (
        f"Before the term ({years}) targeted and comparable cells did not detectably move apart "
        f"({format_p(p_value)}); {limit}."
    )


def finding_sentence(row: Mapping[str, Any], estimates: pd.DataFrame | None = None) -> str:
    """Say what a phrase of the policy was judged by: its estimates, or a figure in words.

    Parameters
    ----------
    row : mapping
        Row of the phrase matrix: phrase, figure and, for estimates, ``result_ids``; ``part`` says
        which part is supported if only a part is.
    estimates : DataFrame, optional
        Records in which those ids are looked up.
    """
    records = records_named(row, estimates)
    if not records:
        figure = figure_in_words(row) or "looked for, no figure found"
        return f"{figure[0].upper()}{figure[1:].rstrip('.')}."
    sentences = [effect_sentence(record) for record in records]
    if len(records) > 1:
        sentences = [f"Term {r['term']}: {s}" for r, s in zip(records, sentences, strict=True)]
    part = row.get("part")
    return " ".join(sentences if is_missing(part) else [*sentences, str(part)])


def not_estimable_sentence(record: Mapping[str, Any]) -> str:
    """Say that there is no estimate, why, and on how many cells it would have stood."""
    reason = record["reason"]
    reason = "the reason was not recorded" if is_missing(reason) else str(reason).rstrip(".")
    counts = ", ".join(
        f"{format_number(record[name])} {words}"
        for name, words in (
            ("n_targeted", "targeted cells"),
            ("n_cells", "cells in all"),
            ("n_blocks", "blocks"),
        )
        if not is_missing(record[name])
    )
    return f"Not estimable: {reason}{f' ({counts})' if counts else ''}."


def _finding(record: Mapping[str, Any]) -> str:
    by_interval = record["low"] > 0 or record["high"] < 0
    by_p = not is_missing(record["p_value"]) and record["p_value"] < 1 - record["level"]
    if by_interval and by_p:
        return "A difference shows"
    if by_interval != by_p and not is_missing(record["p_value"]):
        return "Interval and p-value disagree at the margin, so no effect is claimed"
    return "No effect can be shown"


def _seen(record: Mapping[str, Any]) -> str:
    """Say how large an effect would have been found; nothing where one was found."""
    if record["low"] > 0 or record["high"] < 0:
        return ""
    if is_missing(record["mde"]):
        return "How large an effect would have been found is not known."
    seen = f"{format_number(record['mde'], 1)} {record['unit']}"
    return f"An effect of {seen} would have been found {POWER_WORDS}."


def _years(span: str) -> str:
    first, _, last = str(span).partition("-")
    return format_years(first, last or first)


def records_named(row: Mapping[str, Any], estimates: pd.DataFrame | None) -> list[dict[str, Any]]:
    """Look up the estimates that a row of the phrase matrix stands on.

    Raises
    ------
    ValueError
        If the row names an estimate that is not among `estimates`.
    """
    named = row.get("result_ids")
    if is_missing(named):
        return []
    known = {} if estimates is None else estimates.set_index("result_id", drop=False)
    names = str(named).split(";")
    absent = [name for name in names if name not in (known if estimates is None else known.index)]
    if absent:
        raise ValueError(
            f"phrase {row['phrase']!r}: no record of {absent}; pass the estimates it stands on."
        )
    return [known.loc[name].to_dict() for name in names]


def figure_in_words(row: Mapping[str, Any], estimates: pd.DataFrame | None = None) -> str:
    """Write the figure of a phrase: its words, or its estimates with their intervals."""
    records = records_named(row, estimates)
    if not records:
        return "" if is_missing(row["figure"]) else str(row["figure"])
    parts = [format_estimate(record) for record in records]
    if len(records) > 1:
        parts = [
            f"term {r['term']}, {_noun(r)}: {part}" for r, part in zip(records, parts, strict=True)
        ]
    return "; ".join(parts)


def format_estimate(record: Mapping[str, Any]) -> str:
    """Write an estimate with its interval: ``"+0.8 percent (−2.6 to 4.3)"``."""
    if record["status"] != "estimated":
        return "not estimable"
    size = format_number(record["estimate"], 1, sign=True)
    return f"{size} {record['unit']} ({format_interval(record['low'], record['high'])})"
