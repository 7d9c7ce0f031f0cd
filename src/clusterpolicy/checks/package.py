"""The clean tables as a data package: what each column is, in JSON, and a copy for spreadsheets."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

DESCRIPTOR = "datapackage.json"
SPREADSHEETS = "spreadsheet"
# What a spreadsheet may take for a formula at the start of a text; its Japanese edition also takes
# the full-width forms. A blank before them does not stop it.
_FORMULA = ("=", "+", "-", "@", "＝", "＋", "－", "＠")
_CONTROL = ("\t", "\r", "\n")

# Table -> what it holds, the columns that name a row, columns taken from another table.
_PREFECTURE = {("pref_code",): ("prefectures", ("pref_code",))}
_INDUSTRY = {("base", "industry"): ("industries", ("base", "industry"))}
_PROJECT = {("project_id",): ("projects", ("project_id",))}
TABLES: dict[str, tuple[str, tuple[str, ...], dict]] = {
    "prefectures": ("The 47 prefectures, their bureaus and blocks", ("pref_code",), {}),
    "terms": ("The three terms of the policy by both clocks", ("term", "clock"), {}),
    "projects": ("The cluster projects, one row per project and term", ("project_id",), {}),
    "targets": (
        "Fields that each project targets, by prefecture",
        ("project_id", "pref_code", "field"),
        _PROJECT | _PREFECTURE,
    ),
    "industries": ("Manufacturing industries of each base", ("base", "industry"), {}),
    "sectors": (
        "Service sectors of each base, and which of them information services are compared with",
        ("base", "industry"),
        {},
    ),
    "cells": (
        "Cells (prefecture x industry) and which terms targeted them, in both readings of fields",
        ("base", "pref_code", "industry", "fields_map"),
        _PREFECTURE | _INDUSTRY,
    ),
    "cell_panel": (
        "Gross product of cells by fiscal year, nominal",
        ("base", "pref_code", "industry", "fy"),
        _PREFECTURE | _INDUSTRY,
    ),
    "sector_panel": (
        "Gross product of service sectors by prefecture and fiscal year, nominal",
        ("base", "pref_code", "industry", "fy"),
        _PREFECTURE | {("base", "industry"): ("sectors", ("base", "industry"))},
    ),
    "prefecture_panel": (
        "Indicators of manufacturing by prefecture and year",
        ("indicator", "pref_code", "year"),
        _PREFECTURE,
    ),
    "prefecture_product": (
        "Gross product of prefectures by fiscal year, nominal",
        ("base", "pref_code", "fy"),
        _PREFECTURE,
    ),
    "official_totals": ("Published national totals", ("indicator", "year"), {}),
    "events": ("Policies, shocks and breaks of the series", ("event_id",), {}),
    "plant_events": (
        "Plants that explain jumps of single cells, and jumps whose reason was not found",
        ("event_id",),
        _PREFECTURE,
    ),
    "term_facts": ("Figures and facts about the terms, dated; sources may disagree", (), {}),
    "evaluations": ("Published evaluations of this policy and near it", ("eval_id",), {}),
    "phrases": ("Phrases of the policy page and how each is judged", ("phrase_id",), {}),
    "logic_model": ("Steps from the policy's means to its aim", ("link_id",), {}),
    "outcomes": ("Outcomes, their role and margin of indifference", ("outcome",), {}),
    "fitness": ("Questions and whether the figures can answer them", ("question",), {}),
    "glossary": ("The study's words", ("word",), {}),
    "sources": ("Sources of all figures and facts", ("source",), {}),
    "project_areas": ("Areas below the prefecture that sources name", ("area_id",), {}),
    "field_industries": ("From fields to industries and sectors, in two readings", (), {}),
    "other_programmes": ("Other programmes for regions in the same years", (), {}),
    "run_facts": (
        "Statements on how the policy was run, one source each",
        ("phrase_id", "statement", "by_whom", "source"),
        {},
    ),
    "project_bodies": ("Promotion bodies of projects and their legal form", (), _PROJECT),
    "phrase_indicators": ("Best indicator of each phrase without an estimate", ("phrase_id",), {}),
    "search_log": ("Where each indicator was sought", (), {}),
    "national_series": (
        "Figures that describe the nation and single areas",
        ("series_id", "area", "period"),
        {},
    ),
    "university_ventures": ("University ventures by area", ("area", "date"), {}),
    "project_targets": ("Targets and what came of them", ("target_id",), {}),
    "project_outcomes": (
        "Outcomes that bureaus and bodies report, by kind",
        ("series_id", "fiscal_year", "kind"),
        {},
    ),
    "autonomy_facts": ("Promotion bodies and bureaus after the money", (), {}),
    "priority_selections": ("Areas chosen of those proposed", ("programme", "round", "area"), {}),
    "location_act_facts": ("Company Location Promotion Act: plans and outcomes", (), {}),
    "location_act_plans": ("Plans under the Company Location Promotion Act", (), {}),
    "participants": ("Participants, as sources count them", (), {}),
    "older_policy_results": ("Results that were stated of older policies", (), {}),
    "neighbours": (
        "Prefectures that share a border or a fixed link",
        ("pref_code_a", "pref_code_b"),
        {
            ("pref_code_a",): ("prefectures", ("pref_code",)),
            ("pref_code_b",): ("prefectures", ("pref_code",)),
        },
    ),
    "outlines": (
        "Outlines of the prefectures, rounded and processed by this project",
        ("pref_code", "ring"),
        _PREFECTURE,
    ),
    "warnings": ("Raw figures and facts to look at", (), {}),
    # By municipality, in a folder of their own
    "municipal_totals": (
        "Census of Manufactures by municipality of 2015, all industries, processed by this project",
        ("year", "muni_code_2015"),
        {},
    ),
    "municipal_groups": (
        "Census of Manufactures by municipality of 2015 and industry group, processed by this "
        "project",
        ("year", "muni_code_2015", "industry_group"),
        {},
    ),
    "units": (
        "Municipalities of 2015 and the years in which their industries are told",
        ("muni_code_2015",),
        {},
    ),
    "municipal_shipments": (
        "Shipments by municipality of 2015, 1971-2012 (Cabinet Office), processed by this project",
        ("muni_code_2015", "year"),
        {},
    ),
    "shipment_check": (
        "Shipments converted here beside the Cabinet Office's",
        ("muni_code_2015", "year"),
        {},
    ),
    "bounds": ("Bounds of shipments by industry and by prefecture", ("kind", "code"), {}),
    "changes": ("Changes of values in the municipal files, by rule", ("rule",), {}),
    "hidden_counts": ("Hidden cells by measure and year, and the jobs in them", (), {}),
    "industry_numbers": ("Establishments by printed number of the industry", (), {}),
    "row_loss": ("Lines of the municipal files that each rule keeps", (), {}),
    "areas": ("Municipalities, wards and cities by year", (), {}),
    "prefecture_check": ("Municipalities held against prefectures", (), {}),
    "account_check": ("Accounts held against the published workbooks", (), {}),
}
# End of a column's name -> unit of its figures.
_UNITS = {
    "_million_yen": "million yen",
    "_percent": "percent",
    "employees": "persons",
    "establishments": "establishments",
    "firms": "firms",
    "universities": "universities",
    "records": "records",
}
_UNIT_BESIDE = "stands in the column unit"
# Column -> what it means wherever it stands.
_MEANINGS = {
    "pref_code": "prefecture, 01 to 47 (JIS X 0401)",
    "kind": "of a magnitude: observed, forecast, target or derived; empty for what is none",
    "list": "run: how the policy was run, held against sources; achieved: effects, with a grade",
    "base": "base year of the Prefectural Accounts; bases are not chained",
    "industry": "key of an industry of the accounts",
    "fy": "fiscal year, April to March, by the Western year in which it starts",
    "year": "calendar or survey year, Western",
    "muni_code_2015": "municipality on the boundaries of 2015, five digits (JIS X 0402)",
    "status": "observed; hidden by the publisher, which is never zero; nil: there is none",
    "source": "keys of the table sources, joined by ;",
    "confidence": "high: the source says it; medium: a secondary source; low: not verified",
    "flag": "what is special about a figure, as its publisher or compiler says",
    "block": "prefectures of one bureau that the same projects covered, by their smallest code",
}
_TYPES = {"i": "integer", "f": "number", "b": "boolean"}
_LICENCES = [
    {
        "name": "CC-BY-4.0",
        "title": "Creative Commons Attribution 4.0: tables of our own",
        "path": "https://creativecommons.org/licenses/by/4.0/",
    },
    {
        "name": "GJSTU-2.0",
        "title": "Government of Japan Standard Terms of Use 2.0: official figures, processed",
    },
]


def write(tables: Mapping[str, pd.DataFrame], folder: Path, with_csv: bool = True) -> None:
    """Describe the tables of a folder in ``datapackage.json`` and copy them for spreadsheets.

    Parameters
    ----------
    tables : mapping of str to DataFrame
        The tables as they were written into `folder` under their names.
    folder : Path
        Holds ``<name>.csv`` and ``<name>.parquet``, or only the latter.
    with_csv : bool
        Whether there is CSV: then it is what is described, and the copies are made.
    """
    resources = [_resource(name, tables, folder, with_csv) for name in tables]
    descriptor = {
        "profile": "tabular-data-package" if with_csv else "data-package",
        "name": "clusterpolicy-clean" if with_csv else "clusterpolicy-municipal",
        "title": "Japan's Industrial Cluster Policy: tables of the evaluation",
        "description": (
            "Processed by the clusterpolicy project from official statistics; not a statistic "
            "issued or endorsed by the Government of Japan. An empty cell is not known or not "
            "collected, never zero; the column status beside a figure says which."
        ),
        "licenses": _LICENCES,
        "contributors": [{"title": "clusterpolicy project", "role": "wrangler"}],
        "resources": resources,
    }
    text = json.dumps(descriptor, ensure_ascii=False, indent=1) + "\n"
    (folder / DESCRIPTOR).write_text(text, encoding="utf-8", newline="")
    if with_csv:
        (folder / SPREADSHEETS).mkdir(exist_ok=True)
        for name, table in tables.items():
            write_spreadsheet(table, folder / SPREADSHEETS / f"{name}.csv")


def write_spreadsheet(table: pd.DataFrame, path: Path) -> None:
    """Write a table for a spreadsheet: with a byte order mark, and no text that could be a formula.

    A text that starts like a formula gets an apostrophe in front. Numbers stay as they are,
    negative ones too; the CSV beside the Parquet file keeps every text as it is.
    """
    safe = table.copy()
    for column in safe.columns:
        if not (
            pd.api.types.is_numeric_dtype(safe[column]) or pd.api.types.is_bool_dtype(safe[column])
        ):
            safe[column] = safe[column].map(neutralise, na_action="ignore")
    safe.to_csv(
        path, index=False, encoding="utf-8-sig", lineterminator="\r\n", quoting=csv.QUOTE_MINIMAL
    )


def neutralise(text: object) -> object:
    """Return a text so that no spreadsheet takes it for a formula."""
    if not isinstance(text, str):
        return text
    if text.startswith(_CONTROL) or text.lstrip().startswith(_FORMULA):
        return "'" + text
    return text


def _resource(
    name: str, tables: Mapping[str, pd.DataFrame], folder: Path, with_csv: bool
) -> dict[str, object]:
    table = tables[name]
    path = folder / f"{name}.{'csv' if with_csv else 'parquet'}"
    title, key, references = TABLES.get(name, (name.replace("_", " ").capitalize(), (), {}))
    schema: dict[str, object] = {
        "fields": [_field(column, table) for column in table.columns],
        "missingValues": [""],
    }
    if key:
        schema["primaryKey"] = list(key)
    foreign = [
        {"fields": list(own), "reference": {"resource": other, "fields": list(columns)}}
        for own, (other, columns) in references.items()
        if other in tables
    ]
    if foreign:
        schema["foreignKeys"] = foreign
    about: dict[str, object] = {
        "name": name,
        "path": path.name,
        "title": title,
        "format": path.suffix[1:],
        "schema": schema,
    }
    if with_csv:  # frictionless does not count the bytes of Parquet, and takes that for a fault
        content = path.read_bytes()
        about |= {
            "bytes": len(content),
            "hash": "sha256:" + hashlib.sha256(content).hexdigest(),
            "profile": "tabular-data-resource",
            "mediatype": "text/csv",
            "encoding": "utf-8",
            "dialect": {"delimiter": ",", "lineTerminator": "\n", "header": True},
            "spreadsheet": f"{SPREADSHEETS}/{name}.csv",
            "parquet": f"{name}.parquet",
        }
    else:
        about |= {"mediatype": "application/vnd.apache.parquet"}
    named = _sources(table, tables.get("sources"))
    return about | ({"sources": named} if named else {})


def _field(column: str, table: pd.DataFrame) -> dict[str, object]:
    values = table[column]
    kind = "b" if pd.api.types.is_bool_dtype(values) else values.dtype.kind
    about: dict[str, object] = {"name": column, "type": _TYPES.get(kind, "string")}
    if column in _MEANINGS:
        about["description"] = _MEANINGS[column]
    if about["type"] == "boolean":
        about |= {"trueValues": ["True"], "falseValues": ["False"]}
    if about["type"] in ("integer", "number"):
        unit = next((unit for end, unit in _UNITS.items() if column.endswith(end)), "")
        if column in ("value", "total") and "unit" in table.columns:
            unit = _UNIT_BESIDE
        about |= {"unit": unit} if unit else {}
    required = not (values.isna().any() or (values.astype(str) == "").any())
    constraints: dict[str, object] = {"required": True} if required else {}
    if isinstance(values.dtype, pd.CategoricalDtype):
        constraints["enum"] = [str(each) for each in values.cat.categories]
    elif column == "status" or column.endswith("_status"):
        constraints["enum"] = sorted(set(values.dropna().astype(str)))
    elif column == "pref_code":
        constraints["pattern"] = "0[1-9]|[1-3][0-9]|4[0-7]"
    return about | ({"constraints": constraints} if constraints else {})


def _sources(table: pd.DataFrame, known: pd.DataFrame | None) -> list[dict[str, str]]:
    """Return the sources that a table names, with their addresses."""
    if known is None or "source" not in table.columns or table is known:
        return []
    keys = set(";".join(table["source"].astype(str).unique()).split(";"))
    named = []
    for row in known[known["source"].isin(keys)].itertuples():
        about = {"title": f"{row.publisher}: {row.title}"}
        if row.address.startswith(("http://", "https://")):
            about["path"] = row.address.split()[0]
        named.append(about)
    return named
