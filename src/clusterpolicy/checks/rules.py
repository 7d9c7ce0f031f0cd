"""The rules of every raw table: its columns, codes, numbers and keys."""

import re
from collections.abc import Mapping
from dataclasses import replace

import pandas as pd

from clusterpolicy.checks import checking, plausibility, slips
from clusterpolicy.checks.checking import PREFECTURE_CODES, Fault, Kind, Rules

BASES = ("b1995", "b2000", "b2005", "b2011")
# Bases that print information services apart; services of earlier bases are one sector.
SECTOR_BASES = ("b2005", "b2011")
# A hidden cell is never zero and never guessed; nil means that there is none.
STATUS_OF_SYMBOL = {"X": "hidden", "-": "nil"}

# [0-9], not \d: full-width digits are not figures until somebody has looked at them.
_NUMBER = r"-?[0-9]+(\.[0-9]+)?"

TEXT = Kind("must not be empty", "write it, or remove the row", r"\s*\S[\s\S]*")
FREE = checking.FREE
SOURCE = Kind("not a list of source keys", "write keys of sources.csv joined by ;", r"\w+(;\w+)*")
PREFECTURE = Kind(
    "not a prefecture code", "write 01 to 47 with its leading zero", values=PREFECTURE_CODES
)
PREFECTURES = Kind(
    "not a list of prefecture codes",
    "write codes 01 to 47 joined by ;",
    rf"({'|'.join(PREFECTURE_CODES)})(;({'|'.join(PREFECTURE_CODES)}))*",
)
YEAR = Kind("not a year", "write four digits, 1900 to 2099", r"(19|20)[0-9]{2}")
OPTIONAL_YEAR = Kind("not a year", "write four digits, or leave it empty", r"((19|20)[0-9]{2})?")
NUMBER = Kind("not a number", "write plain digits without separators or letters", _NUMBER)
OPTIONAL_NUMBER = Kind("not a number", "write plain digits, or leave it empty", rf"({_NUMBER})?")
AMOUNT = Kind(
    "neither a number nor a symbol",
    "write plain digits, X for hidden or - for nil",
    rf"{_NUMBER}|{'|'.join(re.escape(symbol) for symbol in STATUS_OF_SYMBOL)}",
)
WHOLE = Kind("not a whole number", "write digits only", r"[0-9]+")
OPTIONAL_WHOLE = Kind("not a whole number", "write digits only, or leave it empty", r"[0-9]*")
KEY = Kind("not a key", "write small letters and _", r"[a-z_]+")
OPTIONAL_KEY = Kind("not a key", "write small letters and _, or leave it empty", r"[a-z_]*")
TERM = Kind("not a policy term", "write 1, 2 or 3", values=("1", "2", "3"))
JSIC = Kind(
    "not a list of JSIC codes", "write two-digit codes joined by ;", r"([0-9]{2}(;[0-9]{2})*)?"
)


def one_of(*values: str) -> Kind:
    """Return the kind of a column with a closed list of values."""
    return Kind("not an allowed value", f"choose one of {', '.join(values)}", values=values)


CONFIDENCE = one_of("high", "medium", "low")


def _series_rules(value: str, **more: Kind) -> Rules:
    group = tuple(more)
    columns = {"pref_code": PREFECTURE, "year": YEAR, value: NUMBER, **more, "source": SOURCE}
    return Rules(
        {**columns, "flag": FREE},
        ("pref_code", "year", *group),
        complete=("year", *group),
        steady=(value,),
    )


# Where a part is hidden, nothing can be added up. Cells of such years are at most 10 times above or
# below the years around (precision machinery of Okinawa 2012). Three zeros make it 1,000.
_SECTOR_RULES = Rules(
    {"pref_code": PREFECTURE, "industry": TEXT, "source": SOURCE},
    ("pref_code", "industry"),
    fiscal_years=AMOUNT,
    complete=("industry",),
)
_CELL_RULES = replace(_SECTOR_RULES, far=30.0, has_wild_cells=True)

# Indicator -> raw table, column of its figures, unit as printed.
PREFECTURE_SERIES = {
    "shipments": ("prefecture_shipments", "shipments_million_yen", "million yen"),
    "employees": ("prefecture_employees", "employees", "persons"),
    "establishments": ("prefecture_establishments", "establishments", "establishments"),
    "cash_wages": ("prefecture_wages", "cash_wages_million_yen", "million yen"),
    "materials": ("prefecture_materials", "materials_million_yen", "million yen"),
    "value_added": ("prefecture_value_added", "value_added_million_yen", "million yen"),
    "shipments_per_employee": (
        "prefecture_shipments_per_employee",
        "shipments_per_employee_10k_yen",
        "10,000 yen per person",
    ),
    "population": ("prefecture_population", "population", "persons"),
}

# How a phrase of the policy page is judged; evidence.RULES has one function for each.
PHRASE_RULES = (
    *("gain", "no loss", "picked for strength", "some twenty", "count of projects", "own count"),
    *("bureaus", "named bodies", "review", "end of money", "no public figure"),
)

# What happened to a plant; the last: no reason was found where one was sought.
PLANT_EVENTS = (
    *("opening", "trial run", "closure", "accident", "disaster", "prices", "restructuring"),
    plausibility.NOT_FOUND,
)

# What a published evaluation shares with this study: the outcome, or what keeps both apart.
COMPARED = (
    *("output", "other outcome", "other programme", "other programme and outcome"),
    "no programme",
)

# Money that prefectures add up to, in one series.
_SUMMABLE = ("shipments", "cash_wages", "materials")

RULES: dict[str, Rules] = {
    "sources": Rules(
        {
            "source": Kind("not a source key", "write letters and digits", r"\w+"),
            "publisher": TEXT,
            "title": TEXT,
            "address": FREE,
            "licence": TEXT,
            "edition": FREE,
            "note": FREE,
        },
        ("source",),
    ),
    "prefectures": Rules(
        {
            "pref_code": PREFECTURE,
            "name_en": TEXT,
            "name_ja": TEXT,
            "bureau": TEXT,
            "region": TEXT,
            "tile_row": WHOLE,
            "tile_col": WHOLE,
            "source": SOURCE,
            "confidence": FREE,
            "note": FREE,
        },
        ("pref_code",),
        complete=(),
    ),
    "terms": Rules(
        {
            "term": TERM,
            "name_en": TEXT,
            "name_ja": TEXT,
            "planned_first_fy": YEAR,
            "planned_last_fy": YEAR,
            "funded_first_fy": YEAR,
            "funded_last_fy": YEAR,
            "source": SOURCE,
            "note": FREE,
        },
        ("term",),
        spans=(("planned_first_fy", "planned_last_fy"), ("funded_first_fy", "funded_last_fy")),
    ),
    "projects": Rules(
        {
            "project_id": Kind(
                "not an id",
                "write small letters and digits joined by -",
                r"[a-z0-9]+(-[a-z0-9]+)*",
            ),
            "term": one_of("1", "2"),
            "name_en": TEXT,
            "name_ja": TEXT,
            "bureau": TEXT,
            "first_fy": OPTIONAL_YEAR,
            "last_fy": YEAR,
            "funded_last_fy": YEAR,
            "first_fy_basis": TEXT,
            "predecessors": FREE,
            "prefectures": PREFECTURES,
            "fields": TEXT,
            "promotion_body": FREE,
            "firms": OPTIONAL_WHOLE,
            "firms_as_of": FREE,
            "universities": OPTIONAL_WHOLE,
            "universities_as_of": FREE,
            "in_official_count": one_of("yes", "no", "uncertain"),
            "source": SOURCE,
            "confidence": CONFIDENCE,
            "note": FREE,
        },
        ("project_id",),
        spans=(("first_fy", "last_fy"),),
    ),
    "field_industries": Rules(
        {
            "field": TEXT,
            "reading": one_of("both", "broad"),
            "jsic_rev12": Kind("not a JSIC code", "write two digits, or nothing", r"([0-9]{2})?"),
            "name_en": FREE,
            "jsic_rev11": JSIC,
            "account_sector": OPTIONAL_KEY,
            "basis": TEXT,
            "source": SOURCE,
            "confidence": CONFIDENCE,
            "note": FREE,
        },
        ("field", "jsic_rev12", "account_sector"),
    ),
    "account_industries": Rules(
        {
            "base": one_of(*BASES),
            "industry": KEY,
            "order": WHOLE,
            "name_en": TEXT,
            "name_ja": TEXT,
            "jsic_rev12": JSIC,
            "source": SOURCE,
            "note": FREE,
        },
        ("base", "industry"),
    ),
    "account_sectors": Rules(
        {
            "base": one_of(*SECTOR_BASES),
            "industry": KEY,
            "order": WHOLE,
            "part_of": OPTIONAL_KEY,
            "name_en": TEXT,
            "name_ja": TEXT,
            "compared": one_of("targeted", "other", "no"),
            "reason": TEXT,
            "source": SOURCE,
            "note": FREE,
        },
        ("base", "industry"),
    ),
    "prefecture_product": Rules(
        {
            "pref_code": PREFECTURE,
            "fy": YEAR,
            "base": one_of("b1990", *BASES, "b2015"),
            "manufacturing_million_yen": OPTIONAL_NUMBER,
            "total_million_yen": NUMBER,
            "source": SOURCE,
        },
        ("pref_code", "fy", "base"),
        complete=("base", "fy"),
        steady=("manufacturing_million_yen", "total_million_yen"),
    ),
    "known_gaps": Rules(
        {
            "base": one_of(*BASES),
            "pref_code": PREFECTURE,
            "fy": YEAR,
            "gap_million_yen": NUMBER,
            "source": SOURCE,
            "note": TEXT,
        },
        ("base", "pref_code", "fy"),
        may_be_empty=True,
    ),
    "events": Rules(
        {
            "event_id": TEXT,
            "kind": one_of("policy", "other policy", "shock", "break"),
            "first_year": YEAR,
            "last_year": OPTIONAL_YEAR,
            "calendar": one_of("fiscal", "calendar"),
            "applies_to": FREE,
            "name_en": TEXT,
            "name_ja": TEXT,
            "note": FREE,
            "source": SOURCE,
        },
        ("event_id",),
        spans=(("first_year", "last_year"),),
    ),
    "plant_events": Rules(
        {
            "event_id": Kind("not an id", "write small letters, digits and -", r"[a-z0-9-]+"),
            "pref_code": PREFECTURE,
            "industries": Kind(
                "not a list of industries", "write keys joined by ;", r"[a-z_]+(;[a-z_]+)*"
            ),
            "first_fy": YEAR,
            "last_fy": OPTIONAL_YEAR,
            "kind": one_of(*PLANT_EVENTS),
            "what": TEXT,
            "base": one_of(*BASES, *SECTOR_BASES),
            "value_before": AMOUNT,
            "value_after": AMOUNT,
            "source": SOURCE,
            "confidence": CONFIDENCE,
            "note": FREE,
        },
        ("event_id",),
        spans=(("first_fy", "last_fy"),),
    ),
    "term_facts": Rules(
        {
            "term": one_of("1", "2", "3", "comparator"),
            "indicator": TEXT,
            "subject": FREE,
            "projects": FREE,
            "value": FREE,
            "unit": FREE,
            "period": FREE,
            "source": SOURCE,
            "confidence": CONFIDENCE,
            "note": FREE,
        },
        ("term", "indicator", "value", "period", "source"),
    ),
    "outcomes": Rules(
        {
            "outcome": KEY,
            "label": TEXT,
            "unit": TEXT,
            "family": TEXT,
            "role": one_of("primary", "secondary"),
            "margin_percent": NUMBER,
            "margin_reason": TEXT,
            "source": SOURCE,
        },
        ("outcome",),
    ),
    "fitness": Rules(
        {
            "question": TEXT,
            "tables": FREE,
            "fitness": one_of("fit", "fit with care", "not fit"),
            "reason": TEXT,
            "source": SOURCE,
        },
        ("question",),
    ),
    "external_files": Rules(
        {
            # Below data/external, never beside it: no part of a name may start with a dot.
            "file": Kind(
                "not a file below data/external",
                "write folder/name in plain letters",
                r"\w[\w-]*/\w[\w-]*(\.[\w-]+)+",
            ),
            "address": Kind("not an address", "write https://...", r"https://[!-~]+"),
            "publisher": TEXT,
            "licence": TEXT,
            "sha256": Kind("not a SHA-256", "write 64 digits 0-9a-f", r"[0-9a-f]{64}"),
            "bytes": Kind("not a size", "write the number of bytes", r"[1-9][0-9]*"),
            "encoding": one_of("utf-8", "cp932", "stata", "xls", "xlsx"),
            "used_for": TEXT,
            "source": SOURCE,
        },
        ("file",),
    ),
    "estat_tables": Rules(
        {
            "table_id": Kind("not a table of e-Stat", "write its ten digits", r"[0-9]{10}"),
            "reference_year": YEAR,
            "survey_year": YEAR,
            "title": TEXT,
            "cells": WHOLE,
            "source": SOURCE,
        },
        ("table_id",),
        spans=(("reference_year", "survey_year"),),
    ),
    "glossary": Rules(
        {"word": TEXT, "word_ja": TEXT, "meaning": TEXT, "source": SOURCE}, ("word",)
    ),
    "phrases": Rules(
        {
            "phrase_id": Kind("not an id", "write small letters, digits and -", r"[a-z0-9-]+"),
            "term": one_of("0", "1", "2", "3"),
            "phrase": TEXT,
            "question": TEXT,
            "indicator": TEXT,
            "rule": one_of(*PHRASE_RULES),
            "highest_grade": one_of("0", "1", "2", "3"),
            "change_mind": TEXT,
            "source": SOURCE,
        },
        ("phrase_id",),
    ),
    "logic_model": Rules(
        {
            "link_id": Kind("not an id", "write small letters, digits and -", r"[a-z0-9-]+"),
            "from_step": TEXT,
            "to_step": TEXT,
            "phrases": TEXT,
            "how_judged": TEXT,
            "source": SOURCE,
        },
        ("link_id",),
    ),
    "official_totals": Rules(
        {
            "indicator": one_of(*_SUMMABLE),
            "year": YEAR,
            "total": NUMBER,
            "unit": one_of("trillion yen"),
            "decimals": WHOLE,
            "source": SOURCE,
        },
        ("indicator", "year"),
    ),
    "published_evaluations": Rules(
        {
            "eval_id": TEXT,
            "authors": TEXT,
            "year": OPTIONAL_YEAR,
            "title": TEXT,
            "programme": TEXT,
            "is_this_policy": one_of("yes", "no"),
            **dict.fromkeys(("design", "sample", "data_years", "outcome"), FREE),
            "outcome_group": TEXT,
            "estimate": FREE,
            "se_or_p": FREE,
            "finding": TEXT,
            "direction": one_of("positive", "none", "negative", "mixed", "not visible"),
            "compared": one_of(*COMPARED),
            "why_different": TEXT,
            "source": SOURCE,
            "confidence": CONFIDENCE,
        },
        ("eval_id",),
    ),
    "project_areas": Rules(
        {
            "area_id": TEXT,
            "projects": TEXT,
            "name_en": TEXT,
            "name_ja": TEXT,
            "prefectures": PREFECTURES,
            "municipalities": FREE,
            "local_body": FREE,
            "source": SOURCE,
            "confidence": CONFIDENCE,
            "note": FREE,
        },
        ("area_id",),
    ),
    "other_programmes": Rules(
        {
            "programme": TEXT,
            "area": TEXT,
            "area_ja": TEXT,
            "prefectures": Kind(
                "not a list of prefecture codes",
                "write codes 01 to 47 joined by ;, or leave it empty",
                rf"({PREFECTURES.pattern})?",
            ),
            "first_fy": YEAR,
            "last_fy": YEAR,
            "fields": FREE,
            "areas_in_all": OPTIONAL_WHOLE,
            "source": SOURCE,
            "confidence": CONFIDENCE,
            "note": FREE,
        },
        ("programme", "area"),
    ),
    "prefecture_neighbours": Rules(
        {
            "pref_code_a": PREFECTURE,
            "pref_code_b": PREFECTURE,
            "kind": one_of("land", "fixed_link"),
            "source": SOURCE,
        },
        ("pref_code_a", "pref_code_b"),
    ),
    "prefecture_real_product": Rules(
        {
            "pref_code": PREFECTURE,
            "fy": YEAR,
            "base": one_of("b1990", *BASES, "b2015"),
            "total_million_yen_2015_prices": NUMBER,
            "source": SOURCE,
        },
        ("pref_code", "fy", "base"),
        complete=("base", "fy"),
        steady=("total_million_yen_2015_prices",),
    ),
    "industry_codes": Rules(
        {
            "year": YEAR,
            "jsic_revision": WHOLE,
            "jsic2_code": Kind("not a JSIC code", "write two digits", r"[0-9]{2}"),
            "label": TEXT,
            "rows": WHOLE,
            "source": SOURCE,
        },
        ("year", "jsic2_code"),
    ),
    "industry_groups": Rules(
        {
            "group": TEXT,
            "name_en": TEXT,
            "jsic_revision": WHOLE,
            "jsic2_code": Kind("not a JSIC code", "write two digits", r"[0-9]{2}"),
            "source": SOURCE,
            "note": FREE,
        },
        ("jsic_revision", "jsic2_code"),
    ),
    "prefecture_value_added": _series_rules(
        "value_added_million_yen", concept=one_of("gross", "net_for_30plus")
    ),
    "prefecture_population": _series_rules(
        "population", series=one_of("census", "accounts", "register")
    ),
    **{
        table: _series_rules(column)
        for table, column, _ in PREFECTURE_SERIES.values()
        if table not in ("prefecture_value_added", "prefecture_population")
    },
    **{f"cell_product_{base}": _CELL_RULES for base in BASES},
    **{f"sector_product_{base}": _SECTOR_RULES for base in SECTOR_BASES},
}


def check_raw(table: pd.DataFrame, name: str) -> pd.DataFrame:
    """Hold a raw table against its rules (``checking``) and its figures against one another.

    Parameters
    ----------
    table : DataFrame
        From ``sources.read_raw``: text, indexed by line.
    name : str
        Name of the table, a key of ``RULES``.
    """
    checking.check_table(table, RULES[name])
    return plausibility.check_changes(table, RULES[name])


def find_slips(raw: Mapping[str, pd.DataFrame], table: str | None = None) -> dict[str, list[Fault]]:
    """Find slips of a magnitude in the figures that tables have to share (``slips``).

    Parameters
    ----------
    raw : mapping of str to DataFrame
        Checked raw tables by name, each right by itself.
    table : str, optional
        Look only where this table has a part.

    Returns
    -------
    dict of list of Fault
        Faults by table; tables without a fault are left out.
    """
    table_of = {name: PREFECTURE_SERIES[name][:2] for name in _SUMMABLE}
    beside = ("account_industries", "prefecture_product", "known_gaps", "plant_events")
    checks = [
        *(
            ((name, *beside), slips.check_cells(raw, base, RULES[name]))
            for base in BASES
            for name in [f"cell_product_{base}"]
        ),
        *(
            ((f"sector_product_{base}", "account_sectors"), slips.check_sectors(raw, base))
            for base in SECTOR_BASES
        ),
        (
            ("official_totals", *(name for name, _ in table_of.values())),
            slips.check_official_totals(raw, table_of),
        ),
        (tuple(raw), slips.check_events(raw)),
    ]
    faults: dict[str, list[Fault]] = {}
    for parts, found in checks:  # nothing is looked at before it is asked for
        if table is None or table in parts:
            for name, fault in found:
                faults.setdefault(name, []).append(fault)
    return faults


def find_warnings(raw: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """List what a person should look at in the raw tables although no rule is broken.

    Parameters
    ----------
    raw : mapping of str to DataFrame
        Checked raw tables by name.

    Returns
    -------
    DataFrame
        One row per warning: the columns ``checking.LISTED``; see ``plausibility.find_warnings``.
    """
    rows = [
        checking.describe(table, warning, "warning")
        for name, table in raw.items()
        for warning in plausibility.find_warnings(table, RULES[name], raw.get("plant_events"))
    ]
    return pd.DataFrame(rows, columns=list(checking.LISTED))
