"""The municipal tables of the study: made from the figures in ``data/raw``, saved, loaded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path

import pandas as pd

from clusterpolicy import panel, sources
from clusterpolicy.checks import rules
from clusterpolicy.finerdata import carried, municipalities
from clusterpolicy.finerdata.marks import status_of

FOLDER = "municipal"  # of data/clean
# Share of municipalities and years that may differ from the Cabinet Office's panel by over 1 %.
MOST_DIFFERENT = 0.001
LARGEST_GAP = 0.01


@dataclass(frozen=True)
class FinerStudy:
    """Tables by municipality; each attribute is a DataFrame saved under its name.

    Measures are ``establishments``, ``employees`` and ``shipments_million_yen``, each with its
    status beside it (``marks.STATUSES``); a value stands only where one was observed.

    Attributes
    ----------
    municipal_totals : one row per year and municipality of 2015
        Measures of all industries, 2001-12.
    municipal_groups : one row per year, municipality of 2015 and industry group
        The same by industry. Towns have no lines: their industries were not published. Nor has a
        group that is nil.
    units : one row per municipality of 2015
        ``years`` in which its industries are told for all of it; ``is_constant``: in every year.
    municipal_shipments : one row per municipality of 2015 and year, 1971-2012
        The Cabinet Office's panel.
    shipment_check : one row per municipality of 2015 and year, 2001-12
        Ours beside the Cabinet Office's (``municipalities.compare_shipments``).
    bounds : one row per industry group and per prefecture
        ``low``, ``high`` and ``hidden_cells`` of shipments in the last year
        (``audit.sum_bounds``).
    changes : one row per rule
        ``rows`` and ``files`` that it changed, one ``example`` (``audit.count_changes``).
    hidden_counts : one row per year and measure
        Hidden cells and the jobs they hold (``audit.count_hidden``).
    industry_numbers : one row per year and printed number of an industry
        Establishments by number and group (``audit.sum_by_number``).
    row_loss : one row per rule
        Lines of the municipal files that it keeps (``audit.count_row_loss``).
    areas : one row per year
        Municipalities, wards and cities, and leftovers (``audit.count_areas``).
    prefecture_check : one row per measure and year
        Municipalities held against prefectures (``audit.compare_prefectures``).
    account_check : one row per base
        ``file``, ``cells`` compared with the published workbook and ``equal`` ones.
    """

    municipal_totals: pd.DataFrame
    municipal_groups: pd.DataFrame
    units: pd.DataFrame
    municipal_shipments: pd.DataFrame
    shipment_check: pd.DataFrame
    bounds: pd.DataFrame
    changes: pd.DataFrame
    hidden_counts: pd.DataFrame
    industry_numbers: pd.DataFrame
    row_loss: pd.DataFrame
    areas: pd.DataFrame
    prefecture_check: pd.DataFrame
    account_check: pd.DataFrame

    def items(self) -> list[tuple[str, pd.DataFrame]]:
        """Return name and table of every table."""
        return [(each.name, getattr(self, each.name)) for each in fields(self)]


def clean(raw: Mapping[str, pd.DataFrame]) -> FinerStudy:
    """Turn the carried municipal tables into tidy ones and hold them against one another.

    Parameters
    ----------
    raw : mapping of str to DataFrame
        Checked raw tables (``panel.read_raw``).

    Raises
    ------
    sources.DataFault
        If tables contradict one another.
    """
    carried.check(raw)
    cells = _join_measures(raw)
    is_all = cells["industry_group"] == rules.ALL_GROUPS
    totals = cells[is_all].drop(columns="industry_group").reset_index(drop=True)
    shipments = carried.lengthen(
        raw[carried.PANEL_TABLE], carried.MEASURES[-1], ["muni_code_2015"], blank="unmarked"
    )
    shipment_check = municipalities.compare_shipments(totals, shipments)
    require_agreement(shipment_check, raw[carried.PANEL_TABLE])
    return FinerStudy(
        municipal_totals=totals,
        municipal_groups=cells[~is_all].reset_index(drop=True),
        units=_list_units(raw[carried.GROUP_TABLES["establishments"]]),
        municipal_shipments=shipments,
        shipment_check=shipment_check,
        bounds=_typed(raw, "municipal_bounds"),
        changes=_typed(raw, "municipal_changes"),
        hidden_counts=_typed(raw, "municipal_hidden"),
        industry_numbers=_name_numbers(raw),
        row_loss=_typed(raw, "municipal_row_loss"),
        areas=_typed(raw, "municipal_areas"),
        prefecture_check=_typed(raw, "municipal_prefecture_check"),
        account_check=_typed(raw, "account_check"),
    )


def _join_measures(raw: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Set the three measures of municipalities and groups beside one another."""
    keys = ["year", *carried.CELL]
    cells = None
    for measure, name in carried.GROUP_TABLES.items():
        of_measure = carried.lengthen(raw[name], measure, carried.CELL)
        if cells is None:
            cells = of_measure
        else:
            cells = cells.merge(of_measure, on=keys, validate="one_to_one")
    order = [name for each in carried.MEASURES for name in (each, status_of(each))]
    cells["pref_code"] = cells["muni_code_2015"].str[:2]
    return cells[["year", "pref_code", *carried.CELL, *order]]


def _list_units(plants: pd.DataFrame) -> pd.DataFrame:
    """Say in how many years a municipality's industries are told for all of it."""
    told = carried.told_years(plants)
    units = told.sum(axis=1).rename("years").sort_index().reset_index()
    return units.assign(is_constant=units["years"] == told.shape[1])


def _typed(raw: Mapping[str, pd.DataFrame], name: str) -> pd.DataFrame:
    """Return a small raw table with numbers where its rules ask for them."""
    table = raw[name].drop(columns="source").reset_index(drop=True)
    for column, kind in rules.RULES[name].columns.items():
        if kind in (rules.WHOLE, rules.YEAR):
            table[column] = table[column].astype(int)
        elif kind in (rules.NUMBER, rules.OPTIONAL_NUMBER):
            table[column] = pd.to_numeric(table[column].replace("", None)).astype(float)
    return table


def _name_numbers(raw: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Say which industry each printed number stood for in its year."""
    table = _typed(raw, "municipal_industry_numbers")
    codes = raw["industry_codes"][["year", "jsic2_code", "jsic_revision"]].astype({"year": int})
    groups = raw["industry_groups"].rename(
        columns={"group": "industry_group", "name_en": "group_name"}
    )
    revision = ["jsic_revision", "jsic2_code"]
    table = table.merge(codes, on=["year", "jsic2_code"], validate="one_to_one").merge(
        groups[[*revision, "industry_group", "group_name"]], on=revision, validate="many_to_one"
    )
    plants = ["establishments", "constant_establishments"]
    return table[["year", *revision[::-1], "industry_group", "group_name", *plants]]


def require_agreement(check: pd.DataFrame, carried_panel: pd.DataFrame | None = None) -> None:
    """Refuse municipal shipments that the Cabinet Office's own panel contradicts.

    Parameters
    ----------
    check : DataFrame
        From ``municipalities.compare_shipments``.
    carried_panel : DataFrame, optional
        Raw table ``municipal_shipments``, for the line and column that the message names; without
        it the published files are meant.

    Raises
    ------
    sources.DataFault
        If more than one municipality and year in a thousand differ by more than 1 %, or if there
        is nothing to compare.
    """
    where = "municipal census and municipal shipments"
    gap = check["gap"].dropna().abs()
    if gap.empty:
        raise sources.DataFault(f"{where}: found no municipality in both: look at the converter")
    different = int((gap > LARGEST_GAP).sum())
    if different > MOST_DIFFERENT * len(gap):
        worst = check.loc[gap.idxmax()]
        if carried_panel is not None:
            line = carried_panel.index[carried_panel["muni_code_2015"] == worst["muni_code_2015"]]
            where = f"{carried_panel.attrs['file']}:{line[0]}: column {worst['year']}"
        raise sources.DataFault(
            f"{where}: {different} of {len(gap)} municipalities and years differ by more than 1 %, "
            f"most of all {worst['muni_code_2015']} in {worst['year']}: {worst['census']:.0f} "
            f"against {worst['panel']:.0f} million yen: correct the figure that is wrong, or look "
            "at the municipality converter"
        )


class _Saved(FinerStudy):
    """Municipal tables that are read when they are first used, as those of ``panel.load``."""

    def __init__(self, folder: Path) -> None:
        object.__setattr__(self, "_folder", folder)  # the data class is frozen

    def __getattr__(self, name: str) -> pd.DataFrame:
        if name not in FinerStudy.__dataclass_fields__:
            raise AttributeError(f"FinerStudy has no table {name!r}")
        table = panel.read_saved(self._folder / f"{name}.parquet")
        object.__setattr__(self, name, table)
        return table


def load(folder: Path | None = None) -> FinerStudy:
    """Return the saved municipal tables; each is read when it is first used.

    Parameters
    ----------
    folder : Path, optional
        Where the tables are; ``data/clean/municipal`` if not given.

    Raises
    ------
    sources.InputMissing
        When a table that is used is missing or damaged.
    """
    return _Saved(sources.CLEAN / FOLDER if folder is None else folder)


def build(raw: Mapping[str, pd.DataFrame], folder: Path | None = None) -> FinerStudy:
    """Rebuild the municipal tables of ``data/clean`` and return them.

    Parameters
    ----------
    raw : mapping of str to DataFrame
        Checked raw tables (``panel.read_raw``).
    folder : Path, optional
        Where to; ``data/clean/municipal`` if not given.
    """
    study = clean(raw)
    save(study, folder)
    return study


def save(study: FinerStudy, folder: Path | None = None) -> pd.DataFrame:
    """Write every municipal table as Parquet: they are too long for people.

    Parameters
    ----------
    study : FinerStudy
    folder : Path, optional
        Where to; ``data/clean/municipal`` if not given.

    Returns
    -------
    DataFrame
        ``table``, ``rows`` and ``columns`` of what was written.
    """
    return panel.save(study, sources.CLEAN / FOLDER if folder is None else folder, with_csv=False)
