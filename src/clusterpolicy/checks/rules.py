"""The rules of every raw table: its columns, codes, numbers and keys."""

from collections.abc import Mapping
from dataclasses import replace

import pandas as pd

from clusterpolicy.checks import checking, plausibility, slips
from clusterpolicy.checks.checking import Fault, Kind, Rules
from clusterpolicy.checks.factrules import FACT_RULES, PHRASE_RULES
from clusterpolicy.checks.kinds import (
    AMOUNT,
    CONFIDENCE,
    FREE,
    JOBS,
    JSIC,
    KEY,
    MUNICIPALITY,
    NUMBER,
    OPTIONAL_KEY,
    OPTIONAL_NUMBER,
    OPTIONAL_WHOLE,
    OPTIONAL_YEAR,
    PLANTS,
    PREFECTURE,
    PREFECTURES,
    SHIPMENTS,
    SOURCE,
    STATUS_OF_SYMBOL,
    TERM,
    TEXT,
    WHOLE,
    YEAR,
    one_of,
)

__all__ = ["BASES", "PHRASE_RULES", "PREFECTURE_SERIES", "RULES", "STATUS_OF_SYMBOL"]

BASES = ("b1995", "b2000", "b2005", "b2011")
# Bases that print information services apart; services of earlier bases are one sector.
SECTOR_BASES = ("b2005", "b2011")
# Of municipalities an empty cell says that no line was published for the year.
MUNICIPAL_STATUS = {**STATUS_OF_SYMBOL, "*": "not collected"}
ALL_GROUPS = "all"  # in the place of an industry group: all industries, those never told included


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


def _municipal_rules(figures: Kind) -> Rules:
    return Rules(
        {"muni_code_2015": MUNICIPALITY, "industry_group": TEXT, "source": SOURCE},
        ("muni_code_2015", "industry_group"),
        calendar_years=figures,
    )


_POINT = r"1[2-5][0-9](\.[0-9]+)? [1-4][0-9](\.[0-9]+)?"
_OUTLINES = Rules(
    {
        "pref_code": PREFECTURE,
        "ring": WHOLE,
        "points": Kind(
            "not the points of a ring",
            "write at least four, longitude and latitude in degrees, joined by ;",
            rf"{_POINT}(;{_POINT}){{3,}}",
        ),
        "source": SOURCE,
    },
    ("pref_code", "ring"),
    complete=(),
)

# What the municipal files hold and lose: the tables that the page on the data prints.
_MUNICIPAL_COUNTS = {
    "municipal_areas": Rules(
        {
            "year": YEAR,
            **dict.fromkeys(("listed", "parents", "wards", "municipalities"), WHOLE),
            **dict.fromkeys(("without_successor", "of_2015", "of_2015_without_line"), WHOLE),
            "source": SOURCE,
        },
        ("year",),
    ),
    "municipal_hidden": Rules(
        {
            "year": YEAR,
            "measure": TEXT,
            **dict.fromkeys(("cells", "hidden", "unmarked", "blocked"), WHOLE),
            "jobs": NUMBER,
            "jobs_percent": NUMBER,
            "untold": WHOLE,
            "source": SOURCE,
        },
        ("year", "measure"),
    ),
    "municipal_bounds": Rules(
        {
            "kind": one_of("industry", "prefecture"),
            "code": TEXT,
            "year": YEAR,
            "low": NUMBER,
            "high": OPTIONAL_NUMBER,
            "hidden_cells": WHOLE,
            "source": SOURCE,
        },
        ("kind", "code"),
    ),
    "municipal_industry_numbers": Rules(
        {
            "year": YEAR,
            "jsic2_code": Kind("not a JSIC code", "write two digits", r"[0-9]{2}"),
            "establishments": WHOLE,
            "constant_establishments": WHOLE,
            "source": SOURCE,
        },
        ("year", "jsic2_code"),
    ),
    "municipal_row_loss": Rules({"step": TEXT, "rows": WHOLE, "source": SOURCE}, ("step",)),
    "municipal_prefecture_check": Rules(
        {
            "measure": TEXT,
            "year": YEAR,
            **dict.fromkeys(("compared", "equal", "hidden_lines"), WHOLE),
            "double_percent": NUMBER,
            "source": SOURCE,
        },
        ("measure", "year"),
    ),
    "municipal_changes": Rules(
        {"rule": TEXT, "rows": WHOLE, "files": WHOLE, "example": TEXT, "source": SOURCE}, ("rule",)
    ),
    "account_check": Rules(
        {"base": one_of(*BASES), "file": TEXT, "cells": WHOLE, "equal": WHOLE, "source": SOURCE},
        ("base",),
    ),
}

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

# What happened to a plant; the last: no reason was found where one was sought.
PLANT_EVENTS = (
    *("opening", "trial run", "closure", "accident", "disaster", "prices", "restructuring"),
    plausibility.NOT_FOUND,
)

# Money that prefectures add up to, in one series.
_SUMMABLE = ("shipments", "cash_wages", "materials")

RULES: dict[str, Rules] = {
    "sources": Rules(
        {
            "source": Kind("not a source key", "write letters, digits and -", r"[\w-]+"),
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
    "outcomes": Rules(
        {
            "outcome": KEY,
            "label": TEXT,
            "unit": TEXT,
            "effect_unit": one_of("percent", "percentage points"),
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
    **FACT_RULES,
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
    "municipal_units": Rules(
        {"muni_code_2015": MUNICIPALITY, "name_ja": TEXT, "years_told": WHOLE, "source": SOURCE},
        ("muni_code_2015",),
    ),
    "municipal_group_establishments": _municipal_rules(PLANTS),
    "municipal_group_employees": _municipal_rules(JOBS),
    "municipal_group_shipments": _municipal_rules(SHIPMENTS),
    "municipal_shipments": Rules(
        {"muni_code_2015": MUNICIPALITY, "source": SOURCE},
        ("muni_code_2015",),
        calendar_years=SHIPMENTS,
    ),
    **_MUNICIPAL_COUNTS,
    "prefecture_outlines": _OUTLINES,
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
