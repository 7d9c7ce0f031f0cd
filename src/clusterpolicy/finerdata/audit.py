"""What the municipal files hold and lose: hidden cells, double counts, mergers, codes by number."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from clusterpolicy.finerdata import census, marks, municipalities
from clusterpolicy.finerdata.marks import status_of
from clusterpolicy.finerdata.municipalities import ALL_INDUSTRIES

# Measures that prefectures print for all industries, so that their parts can be held against them.
RECONCILED = ("establishments", "employees", "shipments_million_yen")


def count_hidden(lines: pd.DataFrame) -> pd.DataFrame:
    """Count the cells of municipalities and industries that are hidden, and the jobs they hold.

    Where employees are hidden too, the jobs of an area's hidden cells are what its printed cells
    leave of its printed total; an area whose total is hidden as well tells nothing.

    Parameters
    ----------
    lines : DataFrame
        From ``census.read_all``.

    Returns
    -------
    DataFrame
        One row per ``year`` and ``measure``: ``cells``, of them ``hidden`` ones, ``unmarked`` ones
        (left empty without a mark) and ``blocked`` ones (refused by this study); ``jobs`` in the
        hidden ones (persons), ``jobs_percent`` of all jobs that can be told, and ``untold``, the
        hidden cells whose jobs cannot be told.
    """
    areas = ["year", "muni_code"]
    once = municipalities.without_parents(lines)
    totals = once[once["jsic2_code"] == ALL_INDUSTRIES].set_index(areas)["employees"]
    cells = _industry_lines(lines).join(
        totals.rename("area_jobs"), on=areas, validate="many_to_one"
    )
    is_printed = cells["employees"].notna()
    known = cells.groupby(areas)["employees"].transform("sum")
    not_printed = (~is_printed).groupby([cells[key] for key in areas]).transform("sum")
    # Spread evenly over the area's hidden cells: their sum is exact, which is all that is used.
    jobs = cells["employees"].where(is_printed, (cells["area_jobs"] - known) / not_printed)
    told = jobs.groupby(cells["year"]).sum()
    tables = []
    for measure in census.MEASURE_NAMES:
        status = cells[status_of(measure)]
        is_hidden = status == "hidden"
        # A share of an area's rest is exact only if every cell in the rest is hidden here too.
        strays = (~is_printed & ~is_hidden).groupby([cells[key] for key in areas]).transform("any")
        held = jobs.where(is_hidden & (is_printed | ~strays))
        year = cells["year"]
        table = pd.DataFrame(
            {
                "cells": is_hidden.groupby(year).size(),
                "hidden": is_hidden.groupby(year).sum(),
                "unmarked": (status == "unmarked").groupby(year).sum(),
                "blocked": (status == "blocked").groupby(year).sum(),
                "jobs": held.groupby(year).sum(),
                "untold": (is_hidden & held.isna()).groupby(year).sum(),
            }
        )
        table["jobs_percent"] = 100 * table["jobs"] / told
        tables.append(table.reset_index().assign(measure=measure))
    order = ["year", "measure", "cells", "hidden", "unmarked", "blocked", "jobs", "jobs_percent"]
    return pd.concat(tables, ignore_index=True)[[*order, "untold"]]


def sum_by_number(
    lines: pd.DataFrame,
    industry_groups: pd.DataFrame,
    units: pd.DataFrame,
    converter: pd.DataFrame,
) -> pd.DataFrame:
    """Add the establishments of the country up by the number of each industry, as it is printed.

    Establishments are never hidden. Joined on the number these are the naive series; added up by
    group they are the harmonised ones.

    Parameters
    ----------
    lines : DataFrame
        From ``census.read_all``.
    industry_groups : DataFrame
        Raw table.
    units : DataFrame
        From ``municipalities.find_constant_units``.
    converter : DataFrame
        From ``municipalities.read_converter``.

    Returns
    -------
    DataFrame
        One row per ``year`` and ``jsic2_code``: ``jsic_revision``, ``industry_group``,
        ``group_name``, ``establishments`` in all cities and wards, and
        ``constant_establishments`` in those whose industries are told in every year.
    """
    cells = census.add_groups(_industry_lines(lines), industry_groups)
    names = industry_groups.drop_duplicates("group").set_index("group")["name_en"]
    is_constant = _in_constant_units(cells, units, converter)
    cells = cells.assign(constant=cells["establishments"].where(is_constant, 0.0))
    keys = ["year", "jsic2_code", "jsic_revision", "industry_group"]
    sums = cells.groupby(keys)[["establishments", "constant"]].sum().reset_index()
    sums["group_name"] = sums["industry_group"].map(names)
    sums = sums.rename(columns={"constant": "constant_establishments"})
    return sums[[*keys, "group_name", "establishments", "constant_establishments"]]


def count_row_loss(
    lines: pd.DataFrame, units: pd.DataFrame, converter: pd.DataFrame
) -> pd.DataFrame:
    """Count the lines of the municipal files that each rule keeps.

    Returns
    -------
    DataFrame
        In their order: ``step`` and ``rows`` left after it.
    """
    is_area = lines["level"] != "prefecture"
    is_once = is_area & (lines["level"] != "parent")
    is_cell = is_once & (lines["jsic2_code"] != ALL_INDUSTRIES)
    is_seen = is_cell & (lines[status_of("shipments_million_yen")] == "observed")
    constant = _in_constant_units(lines[is_seen], units, converter)
    steps = [
        ("all lines of the files", len(lines)),
        ("without the lines of prefectures", is_area.sum()),
        ("wards or their city, not both", is_once.sum()),
        ("lines of one industry", is_cell.sum()),
        ("shipments printed, not hidden", is_seen.sum()),
        ("industries told in every year", constant.sum()),
    ]
    return pd.DataFrame(steps, columns=["step", "rows"]).astype({"rows": int})


def count_areas(lines: pd.DataFrame, converter: pd.DataFrame) -> pd.DataFrame:
    """Count the areas of each year and what is left over on both sides of the conversion.

    Returns
    -------
    DataFrame
        One row per ``year``: ``listed`` areas, of them ``parents`` (cities beside their wards) and
        ``wards``; ``municipalities`` they make; ``without_successor`` (not in the converter);
        ``of_2015`` with a line, and ``of_2015_without_line``.
    """
    totals = lines[lines["jsic2_code"] == ALL_INDUSTRIES]
    areas = totals[totals["level"] != "prefecture"]
    once = municipalities.without_parents(areas)
    codes = pd.DataFrame({"year": once["year"], "muni_code": municipalities.as_cities(once)})
    joined = codes.drop_duplicates().merge(
        converter, on="muni_code", how="left", validate="many_to_one", indicator=True
    )
    by_year = joined.groupby("year")
    every = converter["muni_code_2015"].nunique()
    table = pd.DataFrame(
        {
            "listed": areas.groupby("year").size(),
            "parents": (areas["level"] == "parent").groupby(areas["year"]).sum(),
            "wards": (areas["level"] == "ward").groupby(areas["year"]).sum(),
            "municipalities": by_year.size(),
            "without_successor": (joined["_merge"] == "left_only").groupby(joined["year"]).sum(),
            "of_2015": by_year["muni_code_2015"].nunique(),
        }
    )
    return table.assign(of_2015_without_line=every - table["of_2015"]).reset_index()


def compare_prefectures(lines: pd.DataFrame, measures: Sequence[str] = RECONCILED) -> pd.DataFrame:
    """Hold the municipalities of each prefecture against the prefecture's own line.

    Returns
    -------
    DataFrame
        One row per ``measure`` and ``year``: ``compared`` prefectures (no municipality hidden in
        them), ``equal`` ones (to the unit printed), ``hidden_lines`` of municipalities, and
        ``double_percent``: how much too much all lines add up to when cities are counted together
        with their wards.
    """
    totals = lines[lines["jsic2_code"] == ALL_INDUSTRIES]
    keys = ["year", "pref_code"]
    whole = totals[totals["level"] == "prefecture"].set_index(keys)
    once = municipalities.without_parents(totals)
    twice = totals[totals["level"] != "prefecture"]
    tables = []
    for measure in measures:
        parts = marks.add_up(once, keys, [measure], detail=True).set_index(keys)
        both = parts.join(whole[measure].rename("printed"), how="left", validate="one_to_one")
        is_compared = both[measure].notna() & both["printed"].notna()
        # Half a unit of 10,000 yen, which is what the files count money in.
        is_equal = is_compared & ((both[measure] - both["printed"]).abs() < 0.005)
        year = both.index.get_level_values("year")
        known = twice.groupby("year")[measure].sum() / once.groupby("year")[measure].sum()
        table = pd.DataFrame(
            {
                "compared": is_compared.groupby(year).sum(),
                "equal": is_equal.groupby(year).sum(),
                "hidden_lines": both[f"{measure}_gaps"].groupby(year).sum(),
                "double_percent": 100 * (known - 1),
            }
        )
        tables.append(table.reset_index().assign(measure=measure))
    order = ["measure", "year", "compared", "equal", "hidden_lines", "double_percent"]
    return pd.concat(tables, ignore_index=True)[order]


def sum_bounds(groups: pd.DataFrame) -> pd.DataFrame:
    """Add the bounds of the last year up by industry and by prefecture.

    Parameters
    ----------
    groups : DataFrame
        From ``bounds.add_up_bounds``, by ``industry_group``.

    Returns
    -------
    DataFrame
        One row per industry and per prefecture: ``kind`` (industry or prefecture), ``code`` (group
        or prefecture), ``year``, ``low`` and ``high`` (in the unit of the measure; infinite where
        there is no bound) and ``hidden_cells``.
    """
    year = int(groups["year"].max())
    rows = groups[groups["year"] == year]
    parts = []
    for kind, code in (("industry", "industry_group"), ("prefecture", "pref_code")):
        sums = rows.groupby(code)[["low", "high", "hidden_cells"]].sum().rename_axis("code")
        parts.append(sums.reset_index().assign(kind=kind, year=year))
    table = pd.concat(parts, ignore_index=True)
    return table[["kind", "code", "year", "low", "high", "hidden_cells"]]


def count_changes(changes: pd.DataFrame) -> pd.DataFrame:
    """Add the log of changes up by rule, over all measures and years.

    Parameters
    ----------
    changes : DataFrame
        From ``marks.Log.table``.

    Returns
    -------
    DataFrame
        One row per ``rule``: ``rows`` changed, ``files`` or years it touched, and one
        ``example`` of before and after.
    """
    # "shipments_million_yen: gap to status" and its like are one rule.
    rule = changes["rule"].str.replace(r"^\w+: ", "", regex=True)
    example = changes["before"].replace("", "empty") + " → " + changes["after"]
    ordered = changes.assign(measure=changes["rule"], rule=rule, example=example).sort_values(
        ["rule", "where", "measure", "example"]
    )
    return ordered.groupby("rule", as_index=False).agg(
        rows=("rows", "sum"), files=("where", "nunique"), example=("example", "first")
    )


def _industry_lines(lines: pd.DataFrame) -> pd.DataFrame:
    once = municipalities.without_parents(lines)
    return once[once["jsic2_code"] != ALL_INDUSTRIES]


def _in_constant_units(
    lines: pd.DataFrame, units: pd.DataFrame, converter: pd.DataFrame
) -> pd.Series:
    """Say of each line whether it lies in a municipality that is told in every year."""
    code_of = converter.set_index("muni_code")["muni_code_2015"]
    constant = set(units.loc[units["is_constant"], "muni_code_2015"])
    return municipalities.as_cities(lines).map(code_of).isin(constant)
