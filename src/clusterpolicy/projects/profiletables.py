"""The tables of a project's page: what is recorded, its industries, its cells, its company."""

from typing import NamedTuple

import pandas as pd

from clusterpolicy import tables
from clusterpolicy.checks import register
from clusterpolicy.otherdesigns import synthetic
from clusterpolicy.page.printing import Column, Table
from clusterpolicy.panel import Study
from clusterpolicy.projects import portfolio
from clusterpolicy.projects.profiles import ALL, Profile, gap_name
from clusterpolicy.projects.profilewords import NOT_FOUND, listed, title
from clusterpolicy.wording import (
    format_interval,
    format_number,
    format_years,
    is_missing,
)

ACCOUNTS = "Prefectural Accounts (Cabinet Office), data/raw"
REGISTER = "the documents named under Sources; data/raw/projects.csv"


def facts_table(profile: Profile) -> Table:
    """Print what is recorded about a project, and what was looked for and not found."""
    project, study = profile.project, profile.study
    names = study.projects.set_index("project_id").apply(title, axis=1)
    links = profile.links
    first, last = portfolio.funded_years(project, study.terms, "funded")
    rows = [
        ("Name", project["name_en"]),
        ("Name in Japanese", project["name_ja"]),
        ("Term", f"{profile.term.number}: {profile.term.name}"),
        ("Bureau", project["bureau"]),
        ("Run by", project["promotion_body"]),
        (
            "With national money",
            f"{format_years(first, last)} (first year: {project['first_fy_basis']})",
        ),
        ("As planned", f"until FY{int(project['last_fy'])}"),
        ("Fields", ", ".join(project["fields"].split(";"))),
        ("Prefectures", listed([profile.prefecture_names[each] for each in profile.prefectures])),
        ("Came out of", _linked(links, "predecessor", profile, names)),
        ("Became", _linked(links, "successor", profile, names)),
        ("Firms", _count(project, "firms")),
        ("Universities", _count(project, "universities")),
        ("In the official count", project["in_official_count"]),
        ("Confidence of this row", project["confidence"]),
        ("Compilers' note", project["note"]),
    ]
    data = pd.DataFrame(rows, columns=["what", "recorded"])
    data["recorded"] = [NOT_FOUND if is_missing(each) else each for each in data["recorded"]]
    labels = {"what": "What", "recorded": "What the sources say"}
    return tables.plain_table(data, labels, "", REGISTER)


def _linked(links: pd.DataFrame, side: str, profile: Profile, names: pd.Series) -> str:
    ids = [each for each in links[side] if each and each != profile.project_id]
    none = "no project before it" if side == "predecessor" else "no project after it"
    return "; ".join(names[each] for each in ids) or none


def _count(project: pd.Series, what: str) -> str:
    if is_missing(project[what]):
        return NOT_FOUND
    as_of = project[f"{what}_as_of"] or "date not given"
    return f"{format_number(project[what])} ({as_of})"


def fields_table(profile: Profile) -> Table:
    """Print what each field of the project is read as, and why."""
    table = profile.study.field_industries
    fields = profile.project["fields"].split(";")
    own = table[table["field"].isin(fields)].copy()
    own = own.sort_values("field", key=lambda each: each.map(fields.index), kind="stable")
    own["name_en"] = own["name_en"].where(own["name_en"] != "", "none in manufacturing")
    own["reading"] = own["reading"].map({"both": "broad and narrow", "broad": "broad only"})
    same = ["field", "reading", "basis", "confidence"]
    own = own.groupby(same, sort=False, as_index=False)["name_en"].agg("; ".join)
    labels = {
        "field": "Field",
        "name_en": "Industries of the classification (JSIC)",
        "reading": "Reading",
        "basis": "Why",
        "confidence": "Confidence",
    }
    return tables.plain_table(own, labels, "", "data/raw/field_industries.csv")


def growth_table(profile: Profile) -> Table:
    """Print growth of its cells, industry by industry and period by period, and the gap."""
    wide = profile.growth.pivot(index="industry", columns="period", values=["own", "gap"])
    wide.columns = [f"{period}_{what}" for what, period in wide.columns]
    strength = profile.strength.groupby("industry")["product_million_yen"].sum() / 1000
    order = [*dict.fromkeys(profile.growth["industry"])]
    data = wide.reindex(order).assign(product=strength)
    data.loc[ALL, "product"] = strength.sum()
    data.insert(0, "name", [profile.industry_names.get(each, "All its cells") for each in order])
    columns = [
        Column("name", "Industry"),
        Column("product", f"Product, FY{profile.join_year}", "billion yen", "number", 1),
    ]
    for period in profile.periods:
        data[period.name] = [_rate_and_gap(row, period.name) for _, row in data.iterrows()]
        years = format_years(period.start + 1, period.end)
        columns.append(Column(period.name, f"{_capital(period.label)}, {years}"))
    symbols = (("…", "no such industry in the older base, or hidden in some year"),)
    unit = (
        "percent a year; in brackets: percentage points a year more or less than the same "
        "industries elsewhere"
    )
    return Table(
        data.reset_index(drop=True), tuple(columns), unit, _span(profile), ACCOUNTS, symbols
    )


def _rate_and_gap(row: pd.Series, period: str) -> str | None:
    rate, gap = (row[f"{period}_{what}"] for what in ("own", "gap"))
    if is_missing(gap):
        return None
    return f"{format_number(rate, 1, sign=True)} ({format_number(gap, 1, sign=True)})"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _span(profile: Profile) -> str:
    return format_years(profile.periods[0].start, profile.periods[-1].end)


def cells_table(profile: Profile) -> Table:
    """Print its cells: size, strength and growth with their intervals, and stars."""
    data = profile.stars.assign(
        product=profile.stars["product_million_yen"] / 1000,
        quotient=_with_interval(profile.stars, "specialisation", 2, sign=False),
        excess=_with_interval(profile.stars, "growth", 1, sign=True),
        given=[_stars(row) for row in profile.stars.itertuples()],
    )
    during = profile.periods[-2]
    years = format_years(during.start + 1, during.end)
    columns = (
        Column("prefecture", "Prefecture"),
        Column("name", "Industry"),
        Column("product", f"Product, FY{during.start}", "billion yen", "number", 1),
        Column("size", "Share of the industry", "percent", "number", 1),
        Column("quotient", f"Location quotient, FY{during.start}", "1 = as the nation"),
        Column("excess", f"Growth beyond the industry elsewhere, {years}", "points a year"),
        Column("given", "Stars"),
        Column("others", "Other projects in it", kind="number"),
    )
    unit = "in brackets: 95 % intervals; quotient and growth after shrinkage"
    symbols = (("…", "hidden by the publisher, or nothing made there"),)
    kept = [each.name for each in columns] + ["stars", "stars_possible", "stars_asked"]
    return Table(data[kept], columns, unit, _span(profile), ACCOUNTS, symbols, stub=2)


def _with_interval(data: pd.DataFrame, name: str, decimals: int, sign: bool) -> list[str | None]:
    """Write a value with the ends of its interval in brackets."""
    return [
        None
        if is_missing(value)
        else f"{format_number(value, decimals, sign)} ({format_interval(low, high, decimals)})"
        for value, low, high in zip(
            data[name], data[f"{name}_low"], data[f"{name}_high"], strict=True
        )
    ]


def _stars(row: NamedTuple) -> str | None:
    """Write the stars a cell has for certain, and those it may have."""
    if is_missing(row.stars) or not row.stars_asked:
        return None
    maybe = int(row.stars_possible - row.stars)
    return "★" * int(row.stars) + "☆" * maybe or "none"


def company_table(profile: Profile) -> Table:
    """Print the other projects that covered its prefectures, with what they share."""
    company = profile.company
    if company.empty:
        company = pd.DataFrame(
            [{"name_en": "none", "shared_prefectures": 0, "shared_fields": 0, "shared_cells": 0}]
        )
    labels = {
        "name_en": "Project",
        "shared_prefectures": "Shared prefectures",
        "shared_fields": "Shared fields",
        "shared_cells": "Shared cells",
    }
    return tables.plain_table(company, labels, "number", REGISTER)


def sources_table(profile: Profile) -> Table:
    """Print the documents behind the project's row and its areas, with addresses."""
    keys = dict.fromkeys(profile.project["source"].split(";"))
    found = profile.study.sources.set_index("source", drop=False).loc[list(keys)]
    return tables.sources_table(found.reset_index(drop=True))


def effects_table(profile: Profile, estimates: pd.DataFrame) -> Table:
    """Print every estimate of the project: outcome, term, and against whom."""
    rows = estimates[estimates["design"] == synthetic.DESIGN]
    against = rows["sample"].str.removeprefix(f"{profile.project_id} against ")
    return tables.estimates_table(
        rows.assign(sample=against), "data/results", by=("outcome_label", "term", "sample")
    )


def comparison_table(study: Study, records: pd.DataFrame, clock: str) -> Table:
    """Print every project that has a page in one row, with the link to it.

    Parameters
    ----------
    study : Study
    records : DataFrame
        From ``profiles.load_records``.
    clock : str
    """
    known = portfolio.completeness(study.projects)
    listed_projects = portfolio.with_page(study.projects)
    by_name = records.set_index("result_id")
    rows = []
    for project in listed_projects.to_dict("records"):
        name, number = project["project_id"], project["term"]
        gaps = {
            period: by_name.at[gap_name(name, clock, period), "estimate"]
            for period in ("before", "during", "after")
        }
        recorded = round(known[name] * len(portfolio.ASKED))
        effect = by_name.loc[f"t{number}-{clock}-sdid-{name}-shipments"]
        rows.append(
            {
                "title": register.title_of(project),
                "href": f"{register.page_name(name)}.html",
                "bureau": project["bureau"],
                "fields": project["fields"].replace(";", ", "),
                "cells": by_name.at[gap_name(name, clock, "during"), "n_cells"],
                **gaps,
                "effect": tables.estimate_in_words(effect).replace(" percent", ""),
                "recorded": f"{recorded} ({project['confidence']})",
            }
        )
    columns = (
        Column("title", "Project", href="href"),
        Column("fields", "Fields"),
        Column("cells", "Cells", kind="number"),
        Column("before", "Gap before the policy", "points a year", "signed", 1),
        Column("during", "in its term", "points a year", "signed", 1),
        Column("after", "after it", "points a year", "signed", 1),
        Column("effect", "Shipments against a synthetic counterpart", "percent"),
        Column("recorded", f"Recorded, of {len(portfolio.ASKED)} (confidence)"),
    )
    symbols = (("…", "cells hidden in some year"),)
    unit = "gap: growth of its cells less that of the same industries elsewhere"
    return Table(pd.DataFrame(rows), columns, unit, "", "data/results and data/raw", symbols)


def _register_counts(profile: Profile, family: list[str]) -> list[dict[str, str]]:
    """Return the counts of members that the register holds, as rows of the ledger."""
    known = profile.study.projects.set_index("project_id")
    return [
        {
            "term": str(known.at[each, "term"]),
            "indicator": f"{what} taking part",
            "value": str(known.at[each, what]),
            "unit": what,
            "period": known.at[each, f"{what}_as_of"],
            "source": known.at[each, "source"],
            "confidence": known.at[each, "confidence"],
            "note": title(known.loc[each]),
        }
        for each in family
        for what in ("firms", "universities")
        if not is_missing(known.at[each, what])
    ]


def counts_table(profile: Profile) -> Table:
    """Print what sources count of the project itself: members, sales, ventures, networks."""
    facts = profile.study.term_facts
    family = [each for each in (*profile.links["predecessor"], profile.project_id) if each]
    family = list(dict.fromkeys(family))
    about = facts["projects"].str.split(";").map(lambda ids: not set(family).isdisjoint(ids))
    own = pd.concat([pd.DataFrame(_register_counts(profile, family)), facts[about]])
    if own.empty:
        own = pd.DataFrame(
            [{"term": str(profile.term.number), "indicator": "firms", "unit": "firms"}]
        )
    own = own.reindex(columns=facts.columns).astype(object).fillna("").reset_index(drop=True)
    return tables.ledger_table(own)
