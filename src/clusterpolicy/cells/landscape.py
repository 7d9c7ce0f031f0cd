"""The landscape of all cells over the funded terms: measured once, recorded, then shown."""

from dataclasses import dataclass

import pandas as pd

from clusterpolicy import results
from clusterpolicy.cells import concentration, measures, neighbours, shiftshare
from clusterpolicy.clusters import CELL
from clusterpolicy.panel import Study

# The one base that holds the year before the policy and the last year of its money.
BASE, YEARS = "b2000", (2000, 2009)
NAME = "landscape"


@dataclass(frozen=True)
class Landscape:
    """What was measured, one table each.

    Attributes
    ----------
    cells : one row per cell
        ``label``, ``is_targeted`` (by any term), the columns of ``measures.measure_growth`` and
        ``lq_shrunk``, ``lq_low``, ``lq_high`` of the first year.
    industries : one row per industry
        ``label``, the columns of ``concentration.concentrate`` and, under ``moran_``, of
        ``neighbours.moran_by_industry``, both in the last year.
    prefectures : one row per prefecture
        ``label`` and the columns of ``shiftshare.decompose_yearly``.
    base : str
    years : tuple of int
    """

    cells: pd.DataFrame
    industries: pd.DataFrame
    prefectures: pd.DataFrame
    base: str = BASE
    years: tuple[int, int] = YEARS


def survey(
    study: Study, fields_map: str, base: str = BASE, years: tuple[int, int] = YEARS
) -> Landscape:
    """Measure every cell, industry and prefecture between two years of one base.

    Parameters
    ----------
    study : Study
    fields_map : str
        Reading of the fields: ``broad`` or ``narrow``.
    base : str
        Base of the accounts.
    years : tuple of int
        First and last fiscal year.

    Returns
    -------
    Landscape
    """
    first, last = years
    cells = measures.measure_cells(study, base)
    codes = study.prefectures.set_index("pref_code")["name_en"]
    industries = study.industries[study.industries["base"] == base]
    names = industries.set_index("industry")["name_en"]
    start = cells.loc[cells["fy"] == first, [*CELL, "lq_shrunk", "lq_low", "lq_high"]]
    grown = measures.measure_growth(cells, years)
    grown = grown.merge(start, on=CELL, how="left", validate="one_to_one")
    grown = _mark_targeted(grown, study, fields_map, base)
    label = grown["pref_code"].map(codes) + ", " + grown["industry"].map(names).str.lower()
    spread = concentration.concentrate(cells, [last]).drop(columns="fy")
    alike = neighbours.moran_by_industry(cells, study.neighbours, last).drop(columns="fy")
    alike = alike.rename(columns={name: f"moran_{name}" for name in alike.columns[1:]})
    of_industry = spread.merge(alike, on="industry", validate="one_to_one")
    shifted = shiftshare.decompose_yearly(cells, years, "prefecture")
    return Landscape(
        cells=grown.assign(label=label),
        industries=of_industry.assign(label=of_industry["industry"].map(names)),
        prefectures=shifted.assign(label=shifted["pref_code"].map(codes)),
        base=base,
        years=years,
    )


def _mark_targeted(cells: pd.DataFrame, study: Study, fields_map: str, base: str) -> pd.DataFrame:
    """Add ``is_targeted``: whether a project of either funded term counts in the cell."""
    targets = study.cells[(study.cells["base"] == base) & (study.cells["fields_map"] == fields_map)]
    is_targeted = (targets["is_targeted_1"] | targets["is_targeted_2"]).rename("is_targeted")
    marks = targets[CELL].join(is_targeted)
    return cells.merge(marks, on=CELL, how="left", validate="one_to_one")


# Measure -> table, value, its interval, its p-value and the adjusted one, unit.
_RECORDED = {
    "location quotient": ("cells", "lq_shrunk", "lq_low", "lq_high", "", "none"),
    "growth": ("cells", "growth", "growth_low", "growth_high", "", "percent a year"),
    "growth beyond the industry elsewhere": (
        *("cells", "excess_shrunk", "excess_shrunk_low", "excess_shrunk_high"),
        *("", "percentage points a year"),
    ),
    "change of the location quotient": (
        *("cells", "lq_change", "lq_change_low", "lq_change_high"),
        *("", "percent"),
    ),
    "Herfindahl index": (
        *("industries", "herfindahl", "herfindahl_low", "herfindahl_high"),
        *("", "none"),
    ),
    "Gini coefficient": ("industries", "gini", "gini_low", "gini_high", "", "none"),
    "locational Gini": (
        *("industries", "location_gini", "location_gini_low", "location_gini_high"),
        *("", "none"),
    ),
    "Ellison-Glaeser index": ("industries", "", "eg_low", "eg_high", "", "none"),
    "Moran's I": (
        *("industries", "moran_value", "moran_chance_low", "moran_chance_high"),
        *("moran_", "none; low and high are what chance alone gives"),
    ),
    "regional part of shift-share": (
        *("prefectures", "regional_rate", "regional_rate_low", "regional_rate_high"),
        *("", "percent a year; a remainder, not an effect"),
    ),
}


def records_of(land: Landscape, study: Study) -> pd.DataFrame:
    """List every figure of the landscape as a record, to be saved once.

    Returns
    -------
    DataFrame
        ``result_id``, ``measure``, ``base``, ``first_fy``, ``last_fy``, ``pref_code``,
        ``industry``, ``label``, ``value``, ``low``, ``high``, ``unit``, ``p_value``, ``q_value``,
        ``input_hash``.
    """
    parts = []
    for measure, (table, value, low, high, test, unit) in _RECORDED.items():
        rows = getattr(land, table)
        part = pd.DataFrame(
            {
                "measure": measure,
                "base": land.base,
                "first_fy": land.years[0],
                "last_fy": land.years[1],
                "pref_code": rows.get("pref_code", ""),
                "industry": rows.get("industry", ""),
                "label": rows["label"],
                "value": rows[value] if value else float("nan"),
                "low": rows[low],
                "high": rows[high],
                "unit": unit,
                "p_value": rows[f"{test}p_value"] if test else float("nan"),
                "q_value": rows[f"{test}q_value"] if test else float("nan"),
            }
        )
        parts.append(part)
    table = pd.concat(parts, ignore_index=True)
    slug = table["measure"].str.lower().str.replace(r"[^a-z]+", "-", regex=True)
    place = (table["pref_code"] + "-" + table["industry"]).str.strip("-")
    table.insert(0, "result_id", f"land-{land.base}-" + slug + "-" + place)
    return table.assign(input_hash=results.input_stamp(study))


def load(study: Study, fields_map: str) -> Landscape:
    """Return the landscape from its records, with the columns that they hold.

    Which cells are targeted, and their product in the last year, are facts of the clean tables.

    Parameters
    ----------
    study : Study
    fields_map : str
        Reading of the fields: ``broad`` or ``narrow``.

    Raises
    ------
    sources.InputMissing
        If the records are missing.
    """
    records = results.load_results([NAME])
    cells = _mark_targeted(_columns_of(records, "cells"), study, fields_map, BASE)
    panel = study.cell_panel
    is_last = (panel["base"] == BASE) & (panel["fy"] == YEARS[1])
    product = panel.loc[is_last, [*CELL, "product_million_yen"]]
    product = product.rename(columns={"product_million_yen": "product_last"})
    return Landscape(
        cells=cells.merge(product, on=CELL, how="left", validate="one_to_one"),
        industries=_columns_of(records, "industries"),
        prefectures=_columns_of(records, "prefectures"),
    )


def _columns_of(records: pd.DataFrame, table: str) -> pd.DataFrame:
    """Set the records of one table beside one another: the reverse of :func:`records_of`."""
    keys = [*CELL, "label"]
    found = records[records["measure"] == next(m for m, r in _RECORDED.items() if r[0] == table)]
    found = found[keys].reset_index(drop=True)
    for measure, (of, value, low, high, test, _unit) in _RECORDED.items():
        if of != table:
            continue
        names = {"low": low, "high": high} | ({"value": value} if value else {})
        names |= {name: f"{test}{name}" for name in ("p_value", "q_value") if test}
        rows = records.loc[records["measure"] == measure, [*keys, *names]].rename(columns=names)
        found = found.merge(rows, on=keys, how="left", validate="one_to_one")
    return found


def quadrants(land: Landscape) -> pd.DataFrame:
    """Count the cells by strength at the start and growth beyond the industry elsewhere.

    Returns
    -------
    DataFrame
        ``strength`` (strong: location quotient of 1 or more after shrinkage, weak), ``growth``
        (gaining, losing: the interval leaves out zero; unclear), ``cells``, ``targeted`` and
        ``targeted_percent``.
    """
    cells = land.cells.dropna(subset=["lq_shrunk", "excess_shrunk"])
    growth = pd.Series("unclear", cells.index)
    growth[cells["excess_shrunk_low"] > 0] = "gaining"
    growth[cells["excess_shrunk_high"] < 0] = "losing"
    strength = (cells["lq_shrunk"] >= 1).map({True: "strong", False: "weak"})
    kinds = [("strong", "weak"), ("gaining", "unclear", "losing")]
    index = pd.MultiIndex.from_product(kinds, names=["strength", "growth"])
    counted = cells.groupby([strength.rename("strength"), growth.rename("growth")])["is_targeted"]
    table = counted.agg(cells="size", targeted="sum").reindex(index, fill_value=0).astype(int)
    share = 100 * table["targeted"] / table["cells"].where(table["cells"] > 0)
    return table.assign(targeted_percent=share).reset_index()


def movers(land: Landscape, most: int = 5) -> pd.DataFrame:
    """Return the cells that gained and lost most on the same industry elsewhere.

    Ranked by the shrunk figure, so that a tiny noisy cell does not lead the list by chance.
    """
    ranked = land.cells.sort_values("excess_shrunk", ascending=False, ignore_index=True)
    return pd.concat([ranked.head(most), ranked.tail(most)], ignore_index=True)
