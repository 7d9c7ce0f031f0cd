"""Every table of the reports, from tidy data frames to `Table`."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from clusterpolicy.page.printing import Column, Table, csv_text, to_html
from clusterpolicy.wording import (
    MISSING,
    figure_in_words,
    format_estimate,
    format_interval,
    format_number,
    format_years,
    is_missing,
)

__all__ = [
    "Column",
    "Table",
    "check_numbers_table",
    "check_tests_table",
    "conflicts_table",
    "counts_table",
    "csv_text",
    "estimate_in_words",
    "estimates_table",
    "evaluations_table",
    "events_table",
    "fitness_table",
    "gaps_table",
    "glossary_table",
    "ledger_table",
    "money_table",
    "phrases_table",
    "places_needed",
    "plain_table",
    "projects_table",
    "sources_table",
    "to_html",
    "totals_table",
]

NO_TABLE = (("…", "no public table"),)
NOT_ESTIMABLE = (("n.e.", "not estimable, with the reason in the data file"),)


def places_needed(low: float, high: float, least: int = 1) -> int:
    """Return how many decimals keep an interval that leaves out zero from ending in a zero.

    Parameters
    ----------
    low, high : float
        Ends of the interval.
    least : int
        Decimals printed where nothing asks for more.
    """
    places = least
    if not math.isfinite(low * high):
        return places
    while low * high > 0 and float(f"{min(abs(low), abs(high)):.{places}f}") == 0:
        places += 1
    return places


def estimate_in_words(record: Mapping[str, Any]) -> str:
    """Write an estimate with its interval; one that leaves out zero is seen to do so."""
    if record["status"] != "estimated":
        return format_estimate(record)
    low, high = record["low"], record["high"]
    places = places_needed(low, high)
    size = format_number(record["estimate"], places, sign=True)
    return f"{size} {record['unit']} ({format_interval(low, high, places)})"


def plain_table(
    data: pd.DataFrame,
    labels: dict[str, str],
    unit: str,
    source: str,
    years: str = "",
    units: dict[str, str] | None = None,
    kinds: dict[str, str] | None = None,
    decimals: dict[str, int] | None = None,
    symbols: tuple[tuple[str, str], ...] = (),
    stub: int = 1,
    file: str = "",
) -> Table:
    """Make a table of the named columns; kinds are read from the data where not given.

    Parameters
    ----------
    data : DataFrame
        One row per printed row.
    labels : dict of str to str
        Column of the data to the words of its header, in the order of printing.
    unit, source, years : str
        Lines under the caption and under the table.
    units, kinds, decimals : dict, optional
        By column: unit under the header, `Column.kind`, decimals (0 for whole numbers, else 1).
    symbols : tuple of (symbol, meaning)
        Key of the symbols in the cells.
    stub : int
        Leading columns that name the row.
    file : str
        File of the repository that holds all rows, named instead of embedding them.

    Returns
    -------
    Table
    """
    units, kinds, decimals = units or {}, kinds or {}, decimals or {}
    columns = []
    for name, label in labels.items():
        values = data[name] if name in data.columns else pd.Series(dtype=object)
        kind = kinds.get(name) or ("number" if _is_quantity(values) else "text")
        places = decimals.get(name, 0 if _is_whole(values) else 1)
        columns.append(Column(name, label, units.get(name, ""), kind, places))
    return Table(data, tuple(columns), unit, years, source, symbols, stub, file)


def _is_quantity(values: pd.Series) -> bool:
    return pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)


def _is_whole(values: pd.Series) -> bool:
    return _is_quantity(values) and bool((values.dropna() % 1 == 0).all())


def counts_table(data: pd.DataFrame, label: str, source: str, unit: str = "number") -> Table:
    """Make a table of counts: the first column names the row, every other one is a count.

    Parameters
    ----------
    data : DataFrame
        Rows to print; column names, with blanks for underscores, become the headers.
    label : str
        Header of the first column.
    source, unit : str
        Lines of the table.
    """
    first, *rest = data.columns
    labels = {first: label} | {name: str(name).replace("_", " ") for name in rest}
    return plain_table(data, labels, unit, source, kinds=dict.fromkeys(rest, "number"))


def estimates_table(
    estimates: pd.DataFrame, source: str, by: Iterable[str] = ("outcome_label", "sample")
) -> Table:
    """Print estimate records: estimate, interval, p, what would have been seen, and on what.

    Parameters
    ----------
    estimates : DataFrame
        Rows of ``data/results`` of one unit; the estimates of single years are left to charts.
    source : str
        Names of the sources.
    by : iterable of str
        Columns that name a row, e.g. ``("outcome_label", "sample")``.

    Raises
    ------
    ValueError
        If the records differ in unit or level: they cannot stand in one column.
    """
    unit, level = _only(estimates, "unit"), _only(estimates, "level")
    places = max(map(places_needed, estimates["low"], estimates["high"]), default=1)
    percent = format_number(100 * level)
    names = {
        "outcome_label": "Outcome",
        "term": "Term",
        "sample": "Sample",
        "design": "Design",
        "fields_map": "Fields map",
        "clock": "Clock",
        "base": "Base",
        "role": "Role",
        "method": "Inference",
    }
    stub = tuple(
        Column(name, names.get(name, name.replace("_", " ")), kind=_stub_kind(name)) for name in by
    )
    columns = (
        *stub,
        Column("estimate", "Estimate", "", "signed", places, "n.e."),
        Column("low", f"{percent} % interval, from", "", "signed", places, "n.e."),
        Column("high", f"{percent} % interval, to", "", "signed", places, "n.e."),
        Column("p_value", "p", kind="p", decimals=3, missing="n.e."),
        Column("mde", "Smallest effect that would be seen", kind="number", decimals=1),
        Column("n_targeted", "Targeted cells", kind="number"),
        Column("n_cells", "All cells", kind="number"),
        Column("n_blocks", "Blocks", kind="number"),
        Column("grade", "Grade", kind="grade"),
    )
    years = " against ".join(
        str(part) for part in (_span(estimates, "term_years"), _span(estimates, "baseline_years"))
    )
    return Table(estimates, columns, unit, years, source, NOT_ESTIMABLE, len(stub))


def _stub_kind(name: str) -> str:
    return "code" if name in ("term", "base") else "text"


def _only(data: pd.DataFrame, name: str) -> Any:
    values = data[name].dropna().unique()
    if len(values) != 1:
        raise ValueError(
            f"Table: {name} is {list(values)}; one table holds estimates of one {name}. "
            f"Select the records by {name} first."
        )
    return values[0]


def _span(data: pd.DataFrame, name: str) -> str:
    values = [str(value) for value in data[name].dropna().unique()]
    return values[0] if len(values) == 1 else " or ".join(values)


def check_numbers_table(estimates: pd.DataFrame, source: str = "data/results") -> Table:
    """List estimates with their intervals and what they rest on; all else is in the CSV.

    Years of an event study are left out: their figure has them.

    Parameters
    ----------
    estimates : DataFrame
        Records of ``results.Estimate``. What is the same in all of them, such as clock, reading
        and inputs, is said once above the table, and needs no column.
    source : str
        Where the records are kept.

    Returns
    -------
    Table
        Its data, and so its CSV, hold every field of the records.
    """
    estimates = estimates[estimates["design"] != "event study"]
    once = {
        Column("clock", "Clock"): "{} clock",
        Column("fields_map", "Reading"): "{} reading of the fields",
        Column("base", "Base", kind="code"): "base {}",
        Column("draws", "Draws", kind="number"): "{} draws",
        Column("input_hash", "Inputs", kind="code"): "inputs {}",
    }
    alike = {column: _alike(estimates, column.name) for column in once}
    columns = (
        Column("result_id", "Result", kind="code"),
        Column("outcome_label", "Outcome"),
        _signed("estimate", "Estimate", "n.e."),
        _signed("low", "Interval from", "n.e."),
        _signed("high", "Interval to", "n.e."),
        Column("unit", "Unit"),
        Column("p_value", "p", kind="p", decimals=3),
        Column("adjusted_p", "p adjusted for its family", kind="p", decimals=3),
        _signed("band_low", "Band from"),
        _signed("band_high", "Band to"),
        Column("mde", "Smallest effect seen", kind="number", decimals=2),
        Column("std_error", "Standard error", "log points x 100", "number", 2),
        Column("grade", "Grade", kind="grade"),
        *(column for column, value in alike.items() if not value),
        Column("n_cells", "Cells", kind="number"),
        Column("n_targeted", "Targeted", kind="number"),
        Column("n_blocks", "Blocks", kind="number"),
        Column("n_observations", "Cell-years", kind="number"),
    )
    known = tuple(c for c in columns if c.name in estimates and estimates[c.name].notna().any())
    said = [once[column].format(value) for column, value in alike.items() if value]
    years = "; ".join([*said, " or ".join(estimates["method"].dropna().unique())])
    unit = "ends, band and smallest effect in the unit of their row"
    return Table(estimates, known, unit, years, source, NOT_ESTIMABLE)


def check_tests_table(estimates: pd.DataFrame, source: str = "data/results") -> Table:
    """List the tests behind each estimate: years before the term, honest bounds, other inference.

    Parameters
    ----------
    estimates : DataFrame
        Records of ``results.Estimate``; those without any of these tests are left out.
    source : str
        Where the records are kept.

    Returns
    -------
    Table
    """
    columns = (
        Column("result_id", "Result", kind="code"),
        Column("smallest_p", "Smallest p possible", kind="number", decimals=4),
        _signed("least_squares", "Without clipping"),
        Column("influence_cell", "Cell that moves it most", kind="code"),
        _signed("without_estimate", "Without that cell"),
        Column("effective_targeted", "Effective targeted cells", "", "number", 1),
        Column("block_p", "p by block", kind="p", decimals=3),
        _signed("block_low", "Interval by block from"),
        _signed("block_high", "Interval by block to"),
        Column("wild_p", "p of the wild bootstrap", kind="p", decimals=3),
        _signed("wild_low", "Its interval from"),
        _signed("wild_high", "Its interval to"),
        Column("pretrend_p", "p of the years before", kind="p", decimals=3),
        Column("pretrend_detectable", "Difference it would find", "", "number", 2),
        Column("breakdown", "Breakdown, times the largest change before", "", "number", 2),
        _signed("honest_low", "Honest bounds from"),
        _signed("honest_high", "Honest bounds to"),
        Column("n_units", "Targeted units", kind="number"),
    )
    data = estimates.reindex(columns=[column.name for column in columns])
    has_test = data[["block_p", "wild_p", "pretrend_p", "breakdown"]].notna().any(axis=1)
    data = data[has_test].reset_index(drop=True)
    return Table(data, columns, "percent, where not a p or said otherwise", "", source)


def _signed(name: str, label: str, missing: str = MISSING) -> Column:
    return Column(name, label, kind="signed", decimals=2, missing=missing)


def _alike(estimates: pd.DataFrame, name: str) -> str:
    """Return what all records that have it share, ready to print; nothing if they differ."""
    known = estimates[name][~estimates[name].isin(["", 0])] if name in estimates else []
    values = pd.Series(known).dropna().unique()
    if len(values) != 1:
        return ""
    if name == "input_hash":
        return str(values[0])[:12]
    return format_number(values[0]) if name == "draws" else str(values[0])


def phrases_table(
    phrases: pd.DataFrame,
    estimates: pd.DataFrame | None = None,
    source: str = "the ministry's page and this study",
) -> Table:
    """Print one list of the phrase matrix: what the policy said, what is found, how sure.

    Parameters
    ----------
    phrases : DataFrame
        Columns phrase, question, indicator, figure, verdict, grade, change_mind; a row without a
        figure in words names its estimates in ``result_ids``.
    estimates : DataFrame, optional
        Records those names are looked up in.
    source : str
        Where phrases and figures come from.

    Returns
    -------
    Table
    """
    columns = (
        Column("phrase", "The policy said"),
        Column("question", "Question"),
        Column("indicator", "Indicator"),
        Column("figure", "Figure"),
        Column("verdict", "Verdict", kind="verdict"),
        *([Column("grade", "Grade", kind="grade")] if phrases["grade"].notna().any() else []),
        Column("change_mind", "What would change our mind"),
    )
    figures = [_phrase_figure(row, estimates) for row in phrases.to_dict("records")]
    named = ["phrase_id", "term", *(column.name for column in columns), "result_ids"]
    data = phrases.assign(figure=figures)
    return Table(data[[name for name in named if name in data]], columns, "", "", source)


def _phrase_figure(row: dict[str, Any], estimates: pd.DataFrame | None) -> str:
    """Write the figure of a phrase, and what holds of which part of it."""
    figure = figure_in_words(row, estimates)
    return f"{figure} {row.get('part') or ''}".strip()


def projects_table(
    projects: pd.DataFrame, source: str, prefectures: pd.DataFrame | None = None
) -> Table:
    """Print the register of projects, in both scripts.

    Parameters
    ----------
    projects : DataFrame
        Table ``projects``.
    source : str
        Names of the sources.
    prefectures : DataFrame, optional
        Table ``prefectures``, to print names instead of codes.
    """
    columns = (
        Column("name_en", "Project"),
        Column("name_ja", "Name in Japanese"),
        Column("term", "Term", kind="code"),
        Column("bureau", "Bureau"),
        Column("first_fy", "First fiscal year", kind="code"),
        Column("funded_last_fy", "Last funded", kind="code"),
        Column("fields", "Fields"),
        Column("prefectures", "Prefectures"),
        Column("promotion_body", "Promotion body"),
        Column("confidence", "Confidence"),
    )
    names = {} if prefectures is None else dict(prefectures[["pref_code", "name_en"]].to_numpy())
    readable = projects.assign(
        fields=_listed(projects["fields"], {}),
        prefectures=_listed(projects["prefectures"], names),
    )
    named = ["project_id", *(column.name for column in columns)]
    kept = [name for name in named if name in readable]
    return Table(readable[kept], columns, "", "", source)


def _listed(values: pd.Series, names: dict[str, str]) -> list[str]:
    """Write lists joined by semicolons with commas, codes as names where they are known."""
    return [
        "" if is_missing(value) else ", ".join(names.get(one, one) for one in value.split(";"))
        for value in values
    ]


def evaluations_table(
    published: pd.DataFrame, source: str = "the publications named in each row"
) -> Table:
    """Print what others found on this policy, beside what this study finds.

    Parameters
    ----------
    published : DataFrame
        Table ``published_evaluations``; with ``ours``, what this study finds is printed too.
    source : str
        Where the findings were read.
    """
    columns = [
        Column("study", "Study"),
        Column("programme", "Programme"),
        Column("design", "Design"),
        Column("sample", "Sample"),
        Column("outcome", "Outcome"),
        Column("finding", "What they found"),
        Column("ours", "What we find"),
        Column("why_different", "Why theirs may differ"),
        Column("confidence", "Confidence"),
    ]
    own = [column for column in columns if column.name in (*published.columns, "study")]
    study = [
        f"{row['authors']} ({row['year'] or 'undated'})" for row in published.to_dict("records")
    ]
    file = "data/raw/published_evaluations.csv"
    return Table(published.assign(study=study), tuple(own), "", "", source, file=file)


def sources_table(sources: pd.DataFrame) -> Table:
    """Print where every figure comes from, with its address and licence."""
    columns = (
        Column("source", "Key", kind="code"),
        Column("publisher", "Publisher"),
        Column("title", "Title"),
        Column("edition", "Edition"),
        Column("licence", "Licence"),
        Column("address", "Address", kind="link"),
    )
    return Table(sources, columns, "", "", "data/raw/sources.csv")


def fitness_table(fitness: pd.DataFrame) -> Table:
    """Print which question the figures can answer, and why."""
    labels = {"question": "Question", "fitness": "Fitness", "reason": "Why", "tables": "Tables"}
    readable = fitness.assign(tables=_listed(fitness["tables"], {}))
    return plain_table(readable, labels, "", "judgement of this study", symbols=NO_TABLE)


def totals_table(totals: pd.DataFrame) -> Table:
    """Print sums over prefectures beside published totals, to the published digit."""
    decimals = int(totals["decimals"].max())
    labels = {
        "indicator": "Indicator",
        "year": "Year",
        "official": "Published total",
        "ours": "Sum over prefectures",
        "verdict": "Equal to the printed digit",
    }
    return plain_table(
        totals.assign(verdict=totals["is_equal"].map({True: "yes", False: "NO"})),
        labels,
        _only(totals, "unit"),
        "Census of Manufactures",
        kinds={"year": "code"},
        decimals={"official": decimals, "ours": decimals},
        stub=2,
    )


def gaps_table(sums: pd.DataFrame, prefectures: pd.DataFrame) -> Table:
    """Print the published gaps between industries and manufacturing."""
    names = prefectures.set_index("pref_code")["name_en"]
    gaps = sums[sums["known_gap"] != 0]
    labels = {
        "prefecture": "Prefecture",
        "fy": "Fiscal year",
        "base": "Base",
        "sum": "Sum of industries",
        "manufacturing_million_yen": "Manufacturing, as published",
        "gap": "Gap",
    }
    return plain_table(
        gaps.assign(prefecture=gaps["pref_code"].map(names)),
        labels,
        "million yen, nominal",
        "Prefectural Accounts (Cabinet Office)",
        kinds={"fy": "code", "base": "code", "gap": "signed"},
        stub=2,
    )


def events_table(events: pd.DataFrame, kind: str) -> Table:
    """Print the events of one kind, when they were and which tables they touch."""
    rows = events[events["kind"] == kind]
    labels = {
        "name_en": "What",
        "name_ja": "In Japanese",
        "years": "When",
        "applies_to": "Tables",
        "note": "What it does",
    }
    years = [
        format_years(row.first_year, row.last_year, "FY" if row.calendar == "fiscal" else "")
        for row in rows.itertuples()
    ]
    readable = rows.assign(applies_to=_listed(rows["applies_to"], {}), years=years)
    source = "publications whose keys stand in the file"
    file = "data/raw/events.csv"
    return plain_table(readable, labels, "", source, symbols=NO_TABLE, file=file)


def ledger_table(facts: pd.DataFrame) -> Table:
    """Print the fact ledger; a figure that was looked for and not found says so."""
    counts = facts[facts["unit"] != "text"]
    labels = {
        "indicator": "What",
        "term": "Term",
        "value": "Figure",
        "unit": "Unit",
        "period": "As of",
        "kind": "Kind",
        "source": "Source",
        "confidence": "Confidence",
        "note": "Note",
    }
    readable = counts.assign(
        indicator=counts["indicator"].str.replace("_", " "),
        value=[_figure(row["value"], row["unit"]) for row in counts.to_dict("records")],
        source=_listed(counts["source"], {}),
    )
    source = "publications whose keys stand in each row; data/raw/sources.csv lists them"
    unit, file = "as stated in each row", "data/raw/term_facts.csv"
    return plain_table(readable, labels, unit, source, kinds={"term": "code"}, file=file)


def conflicts_table(conflicts: pd.DataFrame) -> Table:
    """Print what sources state differently about one subject, with dates."""
    labels = {
        "subject": "About",
        "value": "Figure",
        "unit": "Unit",
        "period": "As of",
        "kind": "Kind",
        "source": "Source",
        "confidence": "Confidence",
        "note": "Note",
    }
    readable = conflicts.assign(
        value=[_figure(row["value"], row["unit"]) for row in conflicts.to_dict("records")],
        source=_listed(conflicts["source"], {}),
    )
    source = "publications whose keys stand in each row; data/raw/sources.csv lists them"
    return plain_table(readable, labels, "as stated in each row", source)


def money_table(money: pd.DataFrame) -> Table:
    """Print what is known of the money of each term and what it counts, beside what came of it.

    Parameters
    ----------
    money : DataFrame
        From ``intentions.set_money_beside``.
    """
    readable = money.assign(
        years=[format_years(row.first_fy, row.last_fy) for row in money.itertuples()],
        share=[f"{row.n_known} of {row.n_years}" for row in money.itertuples()],
        known=money["known"].where(money["known"] != "", "not found"),
        outcome=[
            f"{format_number(row.estimate, 1, sign=True)} percent "
            f"({format_number(row.low, 1)} to {format_number(row.high, 1)})"
            for row in money.itertuples()
        ],
        cost=[
            f"not computable: {row.reason}" if row.reason else "computable"
            for row in money.itertuples()
        ],
    )
    labels = {
        "term": "Term",
        "years": "Years",
        "share": "Years with a known budget",
        "known": "Budget",
        "scope": "What these sums count",
        "outcome": "Effect on the product of targeted cells",
        "cost": "Cost per outcome",
    }
    source = "data/raw/term_facts.csv and data/results"
    return plain_table(readable, labels, "", source, kinds={"term": "code"})


def _figure(value: str, unit: str) -> str:
    """Write a figure of the ledger, which holds words beside numbers, as elsewhere."""
    if is_missing(value):
        return "not found"
    whole, _, decimals = str(value).partition(".")
    is_number = whole.lstrip("-").isdecimal() and (decimals.isdecimal() or not decimals)
    if unit.endswith("year") or not is_number:
        return str(value)
    return format_number(value, len(decimals))


def glossary_table(glossary: pd.DataFrame) -> Table:
    """Print the words of the study in both scripts."""
    labels = {"word": "Word", "word_ja": "In Japanese", "meaning": "Meaning"}
    return plain_table(glossary, labels, "", "this study")
