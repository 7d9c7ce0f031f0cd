"""The tables of the page on the data: source cards, hidden cells, numbers, checks and changes."""

import pandas as pd

from clusterpolicy.finerdata.quality import BLOCKED, CLOSE, CLOSER, MEASURES, UNMARKED
from clusterpolicy.tables import Column, Table, plain_table
from clusterpolicy.wording import format_number, format_years

MUNICIPAL = "Census of Manufactures, municipal edition (METI), processed by this project"
SOURCES = "data/raw/sources.csv"
YEAR = {"year": "Year"}


def cards_table(cards: pd.DataFrame) -> Table:
    """Print one card per source of figures."""
    labels = {
        "title": "Source",
        "publisher": "Publisher",
        "edition": "Years and base",
        "used_for": "What for",
        "faults": "Known faults",
        "licence": "Licence",
        "address": "Address",
        "source": "Key",
    }
    kinds = {"source": "code", "address": "link"}
    return plain_table(cards, labels, "", f"{SOURCES} and events.csv", kinds=kinds)


def documents_table(documents: pd.DataFrame) -> Table:
    """Print the sources of facts; their licences and notes stand in the file that is named."""
    columns = (
        Column("source", "Key", kind="code"),
        Column("publisher", "Publisher"),
        Column("title", "Title"),
        Column("address", "Address", kind="link"),
    )
    return Table(documents, columns, "", "", SOURCES, file=SOURCES)


def hidden_table(hidden: pd.DataFrame) -> Table:
    """Print hidden cells by measure and year beside the jobs they hold."""
    labels = {
        **YEAR,
        "cells": "Cells",
        **{name: word.capitalize() for name, word in MEASURES.items()},
        "jobs": "Jobs in cells that hide shipments",
        "jobs_percent": "Share of all jobs",
    }
    return plain_table(
        hidden,
        labels,
        "cells hidden by the publisher",
        MUNICIPAL,
        years=_span(hidden),
        units={"jobs": "persons", "jobs_percent": "percent"},
        kinds={"year": "code", **dict.fromkeys(MEASURES, "number")},
        decimals=dict.fromkeys(MEASURES, 0) | {"jobs": 0, "jobs_percent": 1},
        symbols=(
            (BLOCKED, "blocked by this study: the column holds another quantity"),
            (UNMARKED, "left empty without a mark: hidden and not collected cannot be told apart"),
        ),
    )


def widths_table(widths: pd.DataFrame) -> Table:
    """Print the least and the most that the shipments of each industry can be."""
    labels = {
        "name": "Industry",
        "low": "At least",
        "high": "At most",
        "hidden_cells": "Hidden cells",
        "width_percent": "Width",
    }
    return plain_table(
        widths[widths["kind"] == "industry"],
        labels,
        "million yen, shipments of cities and wards",
        MUNICIPAL,
        years=_span(widths),
        units={"hidden_cells": "number", "width_percent": "percent of the most"},
        decimals={"low": 0, "high": 0, "width_percent": 0},
    )


def numbers_table(changes: pd.DataFrame) -> Table:
    """Print the numbers that come to stand for another industry in the year of the largest jump."""
    is_other = (changes["year"] == changes["year"].iloc[0]) & ~changes["is_same"]
    changes = changes[is_other].drop(columns="is_same")
    changed = {"naive_percent": "On the number", "harmonised_percent": "Of the industry before"}
    labels = {
        "jsic2_code": "Number",
        "year": "Into",
        "before": "Stood for",
        "after": "Stands for",
        **changed,
        "constant_percent": "The same, constant coverage",
    }
    kinds = {"jsic2_code": "code", "year": "code", **dict.fromkeys(changed, "signed")}
    return plain_table(
        changes,
        labels,
        "change of establishments from the year before, percent",
        MUNICIPAL,
        years=_span(changes),
        kinds=kinds | {"constant_percent": "signed"},
        stub=2,
    )


def break_table(changes: pd.DataFrame) -> Table:
    """Print the yearly changes that run across a break or a shock."""
    crossed = changes[changes["across"] != ""].sort_values("year")
    return plain_table(
        crossed,
        {**YEAR, "percent": "Change from the year before", "across": "Runs across"},
        "percent",
        "the sources named row by row in data/raw",
        years=_span(changes),
        kinds={"year": "code", "percent": "signed"},
    )


def areas_table(areas: pd.DataFrame) -> Table:
    """Print the areas of each year and what the conversion leaves over."""
    labels = {
        **YEAR,
        "listed": "Areas listed",
        "parents": "Cities beside their wards",
        "wards": "Wards",
        "municipalities": "Municipalities they make",
        "without_successor": "Without a successor of 2015",
        "of_2015": "Municipalities of 2015 with a line",
        "of_2015_without_line": "Without a line",
    }
    source = f"{MUNICIPAL}; Municipality Converter (RIETI)"
    return plain_table(areas, labels, "areas", source, _span(areas), kinds={"year": "code"})


def prefectures_table(checks: pd.DataFrame) -> Table:
    """Print how many prefectures equal the sum of their municipalities."""
    labels = dict(YEAR)
    for measure, word in (
        ("establishments", "Establishments"),
        ("employees", "Employees"),
        ("shipments_million_yen", "Shipments"),
    ):
        labels[f"{measure}_equal"] = f"{word}: equal"
        labels[f"{measure}_compared"] = f"{word}: compared"
    labels["double_percent"] = "Employees too many if cities and wards are added"
    return plain_table(
        checks,
        labels,
        "prefectures without a hidden municipality",
        MUNICIPAL,
        _span(checks),
        units={"double_percent": "percent"},
        kinds={"year": "code", **dict.fromkeys(list(labels)[1:], "number")},
    )


def agreement_table(agreement: pd.DataFrame) -> Table:
    """Print how closely converted shipments meet the Cabinet Office's panel."""
    labels = {
        **YEAR,
        "compared": "Municipalities compared",
        "close_percent": f"Within {format_number(CLOSE)} percent",
        "closer_percent": f"Within {format_number(CLOSER, 1)} percent",
        "largest_gap": "Largest gap",
    }
    return plain_table(
        agreement,
        labels,
        "",
        f"{MUNICIPAL}; municipal panel (Cabinet Office)",
        _span(agreement),
        units=dict.fromkeys(["close_percent", "closer_percent", "largest_gap"], "percent"),
        kinds={"year": "code"},
        decimals={"close_percent": 2, "closer_percent": 2, "largest_gap": 2},
    )


def accounts_table(accounts: pd.DataFrame) -> Table:
    """Print how many figures of the accounts equal the published workbooks."""
    labels = {"base": "Base", "file": "Workbook", "cells": "Compared", "equal": "Equal"}
    return plain_table(
        accounts,
        labels,
        "figures of prefecture, industry and year",
        "Prefectural Accounts (Cabinet Office)",
        kinds={"base": "code", "file": "code"},
    )


def changes_table(changes: pd.DataFrame) -> Table:
    """Print the log of changes, added up by rule."""
    labels = {
        "rule": "Rule",
        "rows": "Rows",
        "files": "Files or years",
        "example": "First, before and after",
    }
    return plain_table(changes, labels, "rows changed", "data/raw, table municipal_changes")


def _span(table: pd.DataFrame) -> str:
    return format_years(table["year"].min(), table["year"].max(), "")
