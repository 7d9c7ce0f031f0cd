"""What the page on the data shows: coverage, sources, hidden cells, bounds, breaks and checks."""

from __future__ import annotations

import numpy as np
import pandas as pd

from clusterpolicy.checks import rules
from clusterpolicy.finerdata import breaks
from clusterpolicy.finerdata.finer import FinerStudy
from clusterpolicy.panel import Study
from clusterpolicy.wording import format_number, format_years

CLOSE, CLOSER = 1.0, 0.1  # percent: gaps from the Cabinet Office's panel that are counted
# Measures of the municipal files that are hidden, as the page names them.
MEASURES = {
    "employees": "employees",
    "cash_wages_million_yen": "cash wages",
    "materials_million_yen": "materials",
    "shipments_million_yen": "shipments",
    "value_added_million_yen": "value added",
    "tangible_assets_million_yen": "tangible assets",
}
MONEY = "shipments_million_yen"
BLOCKED, UNMARKED = "B", "u"
PREFECTURES, MUNICIPALITIES = "prefectures", "municipalities"
QUIET = 20  # percent: a change that would pass for growth


# --- what there is ----------------------------------------------------------------------------


def list_coverage(study: Study, larger: FinerStudy) -> pd.DataFrame:
    """List the years that each series covers, in runs without a gap.

    Parameters
    ----------
    study : Study
    larger : FinerStudy

    Returns
    -------
    DataFrame
        One row per run: ``series`` in words, ``areas`` (prefectures or municipalities),
        ``first_year``, ``last_year`` and ``breaks``: the years, joined by ``;``, that stand on
        another footing than the year before.
    """
    cells, product, panel = study.cell_panel, study.prefecture_product, study.prefecture_panel
    named = [
        (f"cells, base {base[1:]}", f"cell_product_{base}", PREFECTURES, years)
        for base, years in cells.groupby("base")["fy"]
    ]
    named += [
        (f"product, base {base[1:]}", "prefecture_product", PREFECTURES, years)
        for base, years in product.groupby("base")["fy"]
        if base not in set(cells["base"])
    ]
    for indicator, years in panel.groupby("indicator", sort=False)["year"]:
        named.append((_words(indicator), _series_table(indicator), PREFECTURES, years))
    shipments = larger.municipal_shipments.dropna(subset=[MONEY])
    named += [
        (series, table, MUNICIPALITIES, years)
        for series, table, years in (
            ("municipalities", "prefecture_establishments", larger.municipal_totals["year"]),
            ("municipalities, by industry", "industry_codes", larger.municipal_groups["year"]),
            ("municipalities, shipments", "prefecture_shipments", shipments["year"]),
        )
    ]
    runs = [
        (series, areas, *run, ";".join(map(str, _breaks_in(study, series, table, *run))))
        for series, table, areas, years in named
        for run in _runs(years)
    ]
    return pd.DataFrame(runs, columns=["series", "areas", "first_year", "last_year", "breaks"])


def _runs(years: pd.Series) -> list[tuple[int, int]]:
    """Return first and last year of each stretch without a gap."""
    found = np.unique(years.to_numpy(dtype=int))
    stretches = np.split(found, np.flatnonzero(np.diff(found) > 1) + 1)
    return [(int(stretch[0]), int(stretch[-1])) for stretch in stretches]


def _breaks_in(study: Study, series: str, table: str, first: int, last: int) -> list[int]:
    """Return the years of a run in which a break begins; one in its first year breaks nothing."""
    events = study.events[study.events["kind"] == "break"]
    bears = events["applies_to"].str.split(";").map(lambda tables: table in tables)
    # Of the populations in one table, a break can be that of one: its key begins with the name.
    variants = study.prefecture_panel["indicator"].str.partition(".")[2].unique()
    named = events["event_id"].str.partition("-")[0]
    bears &= ~named.isin([name for name in variants if name]) | named.map(series.endswith)
    years = events.loc[bears, "first_year"].astype(int)
    return sorted(set(years[(years > first) & (years <= last)]))


def _series_table(indicator: str) -> str:
    return rules.PREFECTURE_SERIES[indicator.split(".")[0]][0]


def _words(name: str) -> str:
    return name.replace("_", " ").replace(".", ", ")


def source_cards(study: Study, external_files: pd.DataFrame) -> pd.DataFrame:
    """Describe every source of figures: publisher, licence, years, use and faults.

    Parameters
    ----------
    study : Study
    external_files : DataFrame
        Raw table of the published files that ``make data`` fetches.

    Returns
    -------
    DataFrame
        One row per source: ``source``, ``publisher``, ``title``, ``edition`` (years and base),
        ``used_for``, ``faults`` (known breaks that cite the source), ``licence`` and ``address``.
    """
    used = [
        *((f"cells, base {base[1:]}", keys) for base, keys in _sources_by(study.cell_panel)),
        *(
            (f"product, base {base[1:]}", keys)
            for base, keys in _sources_by(study.prefecture_product)
        ),
    ]
    panel = study.prefecture_panel.rename(columns={"indicator": "base"})
    used += [(_words(name), keys) for name, keys in _sources_by(panel)]
    files = external_files.rename(columns={"used_for": "base"})
    used += _sources_by(files)
    uses = pd.DataFrame(used, columns=["used_for", "source"]).explode("source")
    uses = uses.groupby("source", as_index=False).agg(
        used_for=("used_for", lambda names: "; ".join(dict.fromkeys(names)))
    )
    cards = uses.merge(study.sources, on="source", how="inner", validate="one_to_one")
    broken = study.events[study.events["kind"] == "break"]
    faults = broken.assign(source=broken["source"].str.split(";")).explode("source")
    by_source = faults.groupby("source")["name_en"].agg("; ".join)
    cards["faults"] = cards["source"].map(by_source).fillna("none known")
    cards["licence"] = cards["licence"].str.partition(" (")[0]  # its comment stands in the file
    columns = ["source", "publisher", "title", "edition", "used_for", "faults", "licence"]
    return cards[[*columns, "address"]]


def _sources_by(table: pd.DataFrame) -> list[tuple[str, list[str]]]:
    """Return the source keys of each base, indicator or use of a table."""
    keys = table[["base", "source"]].drop_duplicates()
    keys = keys.assign(source=keys["source"].str.split(";")).explode("source")
    return [(name, sorted(set(of_name))) for name, of_name in keys.groupby("base")["source"]]


def other_sources(study: Study, cards: pd.DataFrame) -> pd.DataFrame:
    """Return the sources of facts and judgements: those that have no card."""
    return study.sources[~study.sources["source"].isin(cards["source"])].reset_index(drop=True)


# --- hidden -----------------------------------------------------------------------------------


def hidden_by_year(larger: FinerStudy) -> pd.DataFrame:
    """Set the number of hidden cells of each measure beside the jobs they hold.

    Returns
    -------
    DataFrame
        One row per ``year``: ``cells``; for each measure its hidden cells, or ``"B"`` where this
        study has blocked the measure and ``"u"`` where cells are left empty without a mark;
        ``jobs`` and ``jobs_percent`` in the cells whose shipments are hidden.
    """
    counts = larger.hidden_counts
    shown = counts["hidden"].astype(object)
    shown = shown.mask((counts["hidden"] == 0) & (counts["unmarked"] > 0), UNMARKED)
    shown = shown.mask((counts["hidden"] == 0) & (counts["blocked"] > 0), BLOCKED)
    wide = counts.assign(shown=shown).pivot(index="year", columns="measure", values="shown")
    of_money = counts[counts["measure"] == MONEY].set_index("year")
    table = of_money[["cells"]].join(wide, validate="one_to_one")
    return table.join(of_money[["jobs", "jobs_percent"]], validate="one_to_one").reset_index()


def hidden_sentence(larger: FinerStudy) -> str:
    """Say how many cells are hidden and how few jobs they hold, over all years."""
    counts = larger.hidden_counts
    rows = counts[counts["measure"] == MONEY]
    share = 100 * rows["hidden"] / rows["cells"]
    return (
        f"Of the cells of municipalities and industries, {format_number(share.min())} to "
        f"{format_number(share.max())} percent hide their shipments, depending on the year; they "
        f"hold {format_number(rows['jobs_percent'].min(), 1)} to "
        f"{format_number(rows['jobs_percent'].max(), 1)} percent of the jobs. The number of "
        "establishments is never hidden."
    )


def bound_widths(study: Study, larger: FinerStudy) -> pd.DataFrame:
    """Measure how wide hidden cells leave the last shipments of each industry and prefecture.

    Cells are added up at their lowest and at their highest value. All cannot be at their highest
    at once, so the true range is narrower.

    Returns
    -------
    DataFrame
        One row per industry and per prefecture: ``kind`` (industry or prefecture), ``name``,
        ``year``, ``low`` and ``high`` (million yen), ``hidden_cells`` and ``width_percent``: the
        width as percent of the highest value, 100 where there is none. The widest of a kind
        come first.
    """
    numbers = larger.industry_numbers.drop_duplicates("industry_group")
    names = {
        **dict(zip(numbers["industry_group"], numbers["group_name"], strict=True)),
        **dict(zip(study.prefectures["pref_code"], study.prefectures["name_en"], strict=True)),
    }
    sums = larger.bounds
    width = (100 * (1 - sums["low"] / sums["high"])).where(np.isfinite(sums["high"]), 100.0)
    table = sums.assign(width_percent=width, name=sums["code"].map(names))
    table = table.sort_values(["kind", "width_percent"], ascending=[True, False], ignore_index=True)
    return table[["kind", "name", "year", "low", "high", "hidden_cells", "width_percent"]]


# --- joined by number -------------------------------------------------------------------------


def number_changes(larger: FinerStudy) -> pd.DataFrame:
    """Compare what joining on the number of an industry makes of a new classification.

    Returns
    -------
    DataFrame
        One row per year of a new classification and number in use before and after: ``before``
        and ``after`` (the industry it stands for), ``naive_percent`` (change of establishments
        on the number), ``harmonised_percent`` (of the industry it stood for, in all cities) and
        ``constant_percent`` (the same where industries are told in every year), sorted by the
        size of the naive change; ``is_same`` tells numbers that kept their industry.
    """
    numbers = larger.industry_numbers
    revision = numbers.groupby("year")["jsic_revision"].first()
    tables = []
    for year in revision.index[revision != revision.shift(1, fill_value=revision.iloc[0])]:
        old = numbers[numbers["year"] == year - 1].set_index("jsic2_code")
        new = numbers[numbers["year"] == year].set_index("jsic2_code")
        both = old.join(new, how="inner", suffixes=("_old", "_new"), validate="one_to_one")
        group = both["industry_group_old"]
        sums = numbers[numbers["year"].isin([year - 1, year])].groupby(["industry_group", "year"])
        sums = sums[["establishments", "constant_establishments"]].sum().unstack("year")
        table = pd.DataFrame(
            {
                "year": year,
                "before": both["group_name_old"],
                "after": both["group_name_new"],
                "naive_percent": _growth(both["establishments_old"], both["establishments_new"]),
                "is_same": group == both["industry_group_new"],
            }
        )
        for column, name in (
            ("establishments", "harmonised_percent"),
            ("constant_establishments", "constant_percent"),
        ):
            growth = _growth(sums[column][year - 1], sums[column][year])
            table[name] = group.map(growth)
        tables.append(table.reset_index())
    changes = pd.concat(tables, ignore_index=True)
    order = changes["naive_percent"].abs().sort_values(ascending=False).index
    return changes.loc[order].reset_index(drop=True)


def _growth(old: pd.Series, new: pd.Series) -> pd.Series:
    return 100 * (new / old - 1)


def follow_number(larger: FinerStudy, code: str) -> pd.DataFrame:
    """Follow one number through all years, and each industry it stands for beside it.

    Returns
    -------
    DataFrame
        ``line`` (``"number 18"`` or the name of an industry), ``year``, ``establishments`` and
        ``meaning``: the industry that the number stands for in that year.
    """
    numbers = larger.industry_numbers
    own = numbers[numbers["jsic2_code"] == code]
    naive = own.rename(columns={"group_name": "meaning"}).assign(line=f"number {code}")
    sums = numbers[numbers["industry_group"].isin(own["industry_group"])]
    sums = sums.groupby(["group_name", "year"], as_index=False)["establishments"].sum()
    groups = sums.assign(line=sums["group_name"], meaning="")
    columns = ["line", "year", "establishments", "meaning"]
    return pd.concat([naive[columns], groups[columns]], ignore_index=True)


def jump_sentence(changes: pd.DataFrame) -> str:
    """Say what the largest jump made by joining on the number is, and what grew in truth."""
    top = changes.iloc[0]
    at_once = changes[changes["year"] == top["year"]]
    other = at_once[~at_once["is_same"]]
    quiet = other[other["naive_percent"].abs() < QUIET]
    return (
        f"Joined on its number, industry {top['jsic2_code']} has "
        f"{format_number(abs(top['naive_percent']))} percent "
        f"{'more' if top['naive_percent'] > 0 else 'fewer'} establishments in {top['year']} "
        f"than in {top['year'] - 1}: the number stood for {_small(top['before'])} "
        f"and now stands for {_small(top['after'])}. Establishments of {_small(top['before'])} "
        f"changed by {format_number(top['harmonised_percent'], 1, sign=True)} percent. Of "
        f"{len(at_once)} numbers in use in both years, {len(other)} stand for another industry, "
        f"and {len(quiet)} of them change by less than {QUIET} percent, so that nothing would "
        "look wrong."
    )


def _small(name: str) -> str:
    return name[:1].lower() + name[1:]


# --- breaks -----------------------------------------------------------------------------------


def break_changes(study: Study, indicator: str) -> pd.DataFrame:
    """List the yearly changes of a national sum that run across a break or a shock.

    Returns
    -------
    DataFrame
        One row per year: ``percent`` and ``across``, the names of what the change runs across
        (empty for none), from the largest change to the smallest.
    """
    _, column, _ = rules.PREFECTURE_SERIES[indicator]
    rows = study.prefecture_panel[study.prefecture_panel["indicator"] == indicator]
    national = rows.groupby("year")["value"].agg(lambda values: values.sum(skipna=False))
    found = breaks.yearly_changes(
        national.rename(column).reset_index(), column, study.events
    ).dropna(subset=["percent"])
    names = study.events.set_index("event_id")["name_en"]
    across = [
        "; ".join(names[key] for key in keys.split(";")) if keys else "" for keys in found["across"]
    ]
    found = found.assign(across=across)
    order = found["percent"].abs().sort_values(ascending=False).index
    return found.loc[order].reset_index(drop=True)


def break_sentence(changes: pd.DataFrame, indicator: str) -> str:
    """Say how much of the movement of a series runs across breaks and shocks."""
    free = changes[changes["across"] == ""]
    crossed = changes[changes["across"] != ""]
    largest = free.iloc[0]
    return (
        f"Of {len(changes)} yearly changes of {_words(indicator)}, {len(crossed)} run across a "
        f"break or a shock. The largest of them is {_percent(crossed.iloc[0])}; the largest that "
        f"runs across none is {_percent(largest)}."
    )


def _percent(row: pd.Series) -> str:
    return f"{format_number(row['percent'], 1, sign=True)} percent into {row['year']}"


# --- one file against another -----------------------------------------------------------------


def merger_sentence(larger: FinerStudy) -> str:
    """Say how many areas the files list, and what the conversion leaves over on both sides."""
    areas = larger.areas.sort_values("year")
    first, last = areas.iloc[0], areas.iloc[-1]
    lost = int(areas["without_successor"].sum())
    return (
        f"The files list {format_number(first['listed'])} municipalities, wards and cities beside "
        f"their wards in {first['year']} and {format_number(last['listed'])} in {last['year']}. "
        f"Municipalities without a successor of 2015 in the converter: {lost or 'none'}, in any "
        f"year; of the {format_number(last['of_2015'] + last['of_2015_without_line'])} "
        f"municipalities of 2015, {last['of_2015_without_line']} have no line in {last['year']}."
    )


def check_years(larger: FinerStudy) -> pd.DataFrame:
    """Lay the check of municipalities against prefectures out by year.

    Returns
    -------
    DataFrame
        One row per ``year``: for each measure reconciled ``<measure>_equal`` of
        ``<measure>_compared`` prefectures, and ``double_percent`` of employees.
    """
    check = larger.prefecture_check
    wide = check.pivot(index="year", columns="measure", values=["equal", "compared"])
    wide.columns = [f"{measure}_{what}" for what, measure in wide.columns]
    jobs = check[check["measure"] == "employees"].set_index("year")["double_percent"]
    return wide.join(jobs, validate="one_to_one").reset_index()


def shipment_agreement(larger: FinerStudy) -> pd.DataFrame:
    """Count how closely converted shipments meet the Cabinet Office's own panel.

    Returns
    -------
    DataFrame
        One row per ``year``: ``compared`` municipalities, ``close_percent`` (within 1 %),
        ``closer_percent`` (within 0.1 %), and the ``largest_gap`` in percent.
    """
    check = larger.shipment_check.dropna(subset=["gap"])
    gap = 100 * check["gap"].abs()
    by_year = gap.groupby(check["year"])
    table = pd.DataFrame(
        {
            "compared": by_year.size(),
            "close_percent": 100 * (gap <= CLOSE).groupby(check["year"]).mean(),
            "closer_percent": 100 * (gap <= CLOSER).groupby(check["year"]).mean(),
            "largest_gap": by_year.max(),
        }
    )
    return table.reset_index()


def agreement_sentence(larger: FinerStudy) -> str:
    """Say in one breath how far the files agree with one another."""
    gap = 100 * larger.shipment_check["gap"].dropna().abs()
    accounts = larger.account_check
    check = larger.prefecture_check
    jobs = check[check["measure"] == "employees"]
    whole = jobs[(jobs["equal"] == jobs["compared"]) & (jobs["hidden_lines"] == 0)]
    years = ", ".join(format_years(*run, "") for run in _runs(whole["year"]))
    return (
        f"Shipments on the boundaries of 2015 lie within {format_number(CLOSE)} percent of the "
        f"Cabinet Office's panel in {format_number(100 * (gap <= CLOSE).mean(), 2)} percent of "
        f"{format_number(len(gap))} municipalities and years, and within "
        f"{format_number(CLOSER, 1)} percent in "
        f"{format_number(100 * (gap <= CLOSER).mean(), 2)} percent. Employees without double "
        f"counting equal all prefecture totals exactly in {years}. Of "
        f"{format_number(accounts['cells'].sum())} figures of the accounts, "
        f"{_all_or(accounts['equal'].sum(), accounts['cells'].sum())} equal those of the published "
        "workbooks."
    )


def _all_or(count: int, whole: int) -> str:
    return "all" if count == whole else format_number(count)
