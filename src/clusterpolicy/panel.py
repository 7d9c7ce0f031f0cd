"""One row per cell or prefecture and year: built from the raw tables, saved, loaded."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import pandas as pd

from clusterpolicy import cleaning, concordance, policy, sources
from clusterpolicy.checks import checking, package, plausibility, rules

# Read from top to bottom by people; no estimate asks in which order their rows stand.
AS_WRITTEN = (
    *("phrases", "logic_model", "glossary", "fitness", "term_facts", "published_evaluations"),
    *("events", "outcomes", "sources", "municipal_row_loss", "municipal_changes"),
)
# Tables that are told in another order than that of their keys, south after north.
ORDER = {
    "projects": ["term", "prefectures", "project_id"],
    "account_industries": ["base", "order"],
}
# Accounts are added up from rounded figures: half a million yen for each part and the total.
ROUNDING_MILLION_YEN = 0.5
# Two of 1,833 published sums of service sectors are off by 2 million yen.
SECTOR_ROUNDING_MILLION_YEN = 2
# Facts that are carried as they stand, and those of them that name projects.
PROJECT_FACTS = ("project_targets", "project_outcomes", "autonomy_facts")
FACT_TABLES = (
    *PROJECT_FACTS,
    *("run_facts", "project_bodies", "phrase_indicators", "search_log", "national_series"),
    *("university_ventures", "priority_selections", "location_act_facts", "location_act_plans"),
    *("participants", "older_policy_results"),
)


@dataclass(frozen=True)
class Study:
    """Every clean table of the study; each attribute is a DataFrame saved under its name.

    Attributes
    ----------
    prefectures : 47 rows
        Names, bureau, tile position and ``block``.
    terms : one row per term and clock
    projects : one row per project and term
    targets : one row per project, prefecture and field
    industries : one row per base and industry of the accounts
    sectors : one row per base and service sector of the accounts
        ``part_of`` a larger one, and whether information services are ``compared`` with it.
    cells : one row per base, prefecture, industry and reading of the fields map
        ``projects_1``, ``projects_2`` name the cell; ``is_targeted_1``, ``is_targeted_2`` if one of
        them counts; ``since_1``, ``since_2`` first fiscal year of its projects; ``block``.
    cell_panel : one row per base, prefecture, industry and fiscal year
        ``product_million_yen`` (nominal) and ``status``.
    sector_panel : one row per base, prefecture, service sector and fiscal year
        As ``cell_panel``.
    prefecture_panel : one row per indicator, prefecture and year
    prefecture_product : one row per base, prefecture and fiscal year
        Manufacturing and total product, million yen.
    official_totals, events, term_facts, evaluations, phrases, logic_model, outcomes : as in raw
    fitness, glossary, sources : as in raw
    plant_events : one row per plant that explains a jump of a cell, or was sought and not found
    warnings : one row per raw figure or fact to look at
        ``checking.LISTED``: file, line, column, value, reason and the whole row.
    project_areas, field_industries, neighbours, outlines, other_programmes : as in raw
        ``neighbours``: pairs of prefectures with a land border or a fixed link; ``outlines``:
        rings of prefectures, the largest of each first.
    run_facts, project_bodies : as in raw
        How the policy was run, source by source, and the bodies that ran it.
    phrase_indicators, search_log and the tables of ``FACT_TABLES`` : as in raw
        What describes a phrase without an estimate, and where its indicators were sought.
    """

    prefectures: pd.DataFrame
    terms: pd.DataFrame
    projects: pd.DataFrame
    targets: pd.DataFrame
    industries: pd.DataFrame
    sectors: pd.DataFrame
    cells: pd.DataFrame
    cell_panel: pd.DataFrame
    sector_panel: pd.DataFrame
    prefecture_panel: pd.DataFrame
    prefecture_product: pd.DataFrame
    official_totals: pd.DataFrame
    events: pd.DataFrame
    plant_events: pd.DataFrame
    term_facts: pd.DataFrame
    evaluations: pd.DataFrame
    phrases: pd.DataFrame
    logic_model: pd.DataFrame
    outcomes: pd.DataFrame
    fitness: pd.DataFrame
    glossary: pd.DataFrame
    sources: pd.DataFrame
    project_areas: pd.DataFrame
    field_industries: pd.DataFrame
    neighbours: pd.DataFrame
    outlines: pd.DataFrame
    other_programmes: pd.DataFrame
    run_facts: pd.DataFrame
    project_bodies: pd.DataFrame
    phrase_indicators: pd.DataFrame
    search_log: pd.DataFrame
    national_series: pd.DataFrame
    university_ventures: pd.DataFrame
    project_targets: pd.DataFrame
    project_outcomes: pd.DataFrame
    autonomy_facts: pd.DataFrame
    priority_selections: pd.DataFrame
    location_act_facts: pd.DataFrame
    location_act_plans: pd.DataFrame
    participants: pd.DataFrame
    older_policy_results: pd.DataFrame
    warnings: pd.DataFrame

    def projects_of_term(self, term: int) -> pd.DataFrame:
        """Return the projects of a term; the third stands on those of the second."""
        return policy.projects_of_term(self.projects, term)

    def items(self) -> list[tuple[str, pd.DataFrame]]:
        """Return name and table of every clean table."""
        return [(each.name, getattr(self, each.name)) for each in fields(self)]


def read_raw(
    folder: Path | None = None, names: Sequence[str] | None = None
) -> dict[str, pd.DataFrame]:
    """Read every raw table and hold it against its rules and against the tables it refers to.

    Parameters
    ----------
    folder : Path, optional
        Folder of the raw tables; ``data/raw`` if not given.
    names : sequence of str, optional
        Read these alone and hold each against its own rules: the step that cleans has held all of
        them against one another.

    Returns
    -------
    dict of DataFrame
        Checked text tables by name, their rows by :func:`in_order`.

    Raises
    ------
    sources.DataFault
        If a rule of a table, or a reference from one to another, is broken. All faults of the
        repository's own tables are listed, with their rows, in ``build/faults.csv``.
    sources.InputMissing
        If a file is missing.
    """
    # Other folders than the repository's own have no place for a list of what is wrong in them.
    faults = checking.Faults(sources.BUILD / "faults.csv" if folder is None else None)
    raw = {}
    for name in names or rules.RULES:
        with faults.collecting():
            raw[name] = rules.check_raw(sources.read_raw(name, folder), name)
    if not (faults.faults or names):
        _check_references(raw, faults)
    if not (faults.faults or names):
        for name, found in rules.find_slips(raw).items():
            with faults.collecting():
                checking.raise_faults(raw[name], found)
    faults.stop()
    return {name: in_order(table, name) for name, table in raw.items()}


def _check_references(raw: dict[str, pd.DataFrame], faults: checking.Faults) -> None:
    """Hold every key that one table takes from another against that other."""
    by_municipality = [name for name in raw if "muni_code_2015" in rules.RULES[name].columns]
    references = [(name, "source", "sources", "source") for name in raw]
    references += [
        ("projects", "bureau", "prefectures", "bureau"),
        ("projects", "fields", "field_industries", "field"),
        ("projects", "predecessors", "projects", "project_id"),
        ("project_areas", "projects", "projects", "project_id"),
        ("term_facts", "projects", "projects", "project_id"),
        ("other_programmes", "fields", "field_industries", "field"),
        ("logic_model", "phrases", "phrases", "phrase_id"),
        *(
            (name, "muni_code_2015", "municipal_units", "muni_code_2015")
            for name in by_municipality
        ),
        ("phrases", "outcomes", "outcomes", "outcome"),
        *((name, "projects", "projects", "project_id") for name in PROJECT_FACTS),
        ("project_bodies", "project_id", "projects", "project_id"),
        ("run_facts", "phrase_id", "phrases", "phrase_id"),
        ("phrase_indicators", "phrase_id", "phrases", "phrase_id"),
        ("search_log", "phrases", "phrases", "phrase_id"),
        ("location_act_plans", "fields", "field_industries", "field"),
    ]
    for name, column, owner, key in references:
        with faults.collecting():
            checking.check_codes(raw[name], column, raw[owner][key], raw[owner].attrs["file"])
    industries = raw["account_industries"]
    for base in rules.BASES:
        known = industries.loc[industries["base"] == base, "industry"]
        table = raw[f"cell_product_{base}"]
        with faults.collecting():
            checking.check_codes(table, "industry", known, industries.attrs["file"])
    sectors = raw["account_sectors"]
    with faults.collecting():
        known = sectors["industry"]
        checking.check_codes(
            raw["field_industries"], "account_sector", known, sectors.attrs["file"]
        )
    for base in rules.SECTOR_BASES:
        of_base = sectors[sectors["base"] == base]
        of_base.attrs = sectors.attrs
        known, where = of_base["industry"], sectors.attrs["file"]
        with faults.collecting():
            checking.check_codes(of_base, "part_of", known, where)
        with faults.collecting():
            checking.check_codes(raw[f"sector_product_{base}"], "industry", known, where)
    groups = raw["industry_groups"]
    for name in by_municipality:
        if "industry_group" in raw[name].columns:
            known = [*groups["group"], rules.ALL_GROUPS]
            with faults.collecting():
                checking.check_codes(raw[name], "industry_group", known, groups.attrs["file"])
    known = pd.concat([industries["industry"], sectors["industry"]])
    with faults.collecting():
        where = industries.attrs["file"]
        checking.check_codes(raw["plant_events"], "industries", known, where)
    totals = raw["official_totals"]
    for indicator, of_indicator in totals.groupby("indicator"):
        table = raw[rules.PREFECTURE_SERIES[indicator][0]]
        of_indicator.attrs = totals.attrs
        with faults.collecting():
            checking.check_codes(of_indicator, "year", table["year"], table.attrs["file"])


def in_order(table: pd.DataFrame, name: str) -> pd.DataFrame:
    """Return the rows of a raw table in the order of their codes, however the file has them.

    Everything made from the clean tables (blocks, draws, placebo sets, sums to the last digit)
    follows their order, so a row that is moved in a file must not be seen.

    Parameters
    ----------
    table : DataFrame
        Checked raw table, indexed by line; the lines move with their rows.
    name : str
        Key of ``rules.RULES``.
    """
    if name in AS_WRITTEN:
        return table
    order = ORDER.get(name, list(rules.RULES[name].key))
    return table.sort_values(
        order, key=lambda text: text.astype(int) if text.name == "order" else text, kind="stable"
    )


def clean_all(raw: dict[str, pd.DataFrame]) -> Study:
    """Turn the checked raw tables into the clean ones and add them up again.

    Raises
    ------
    sources.DataFault
        If the industries of a prefecture do not add up to its manufacturing product.
    """
    raw = {name: in_order(table, name) for name, table in raw.items()}
    projects = cleaning.clean_projects(raw["projects"])
    prefectures = cleaning.clean_prefectures(raw["prefectures"], projects)
    targets = policy.target_fields(projects)
    field_map = concordance.fields_to_industries(raw["field_industries"], raw["account_industries"])
    cell_panel = pd.concat(
        [cleaning.clean_cell_product(raw[f"cell_product_{base}"], base) for base in rules.BASES],
        ignore_index=True,
    )
    prefecture_product = _prefecture_product(raw["prefecture_product"])
    check_sums(cell_panel, prefecture_product, raw["prefecture_product"], raw["known_gaps"])
    sectors = raw["account_sectors"].reset_index(drop=True).astype({"order": int})
    sector_panel = pd.concat(
        [
            cleaning.clean_cell_product(raw[f"sector_product_{base}"], base)
            for base in rules.SECTOR_BASES
        ],
        ignore_index=True,
    )
    check_sector_sums(sector_panel, sectors, raw)
    return Study(
        prefectures=prefectures,
        terms=cleaning.clean_terms(raw["terms"]),
        projects=projects,
        targets=targets,
        industries=raw["account_industries"].reset_index(drop=True).astype({"order": int}),
        sectors=sectors,
        cells=list_cells(
            cell_panel, policy.target_cells(targets, field_map), prefectures, projects
        ),
        cell_panel=cell_panel,
        sector_panel=sector_panel,
        prefecture_panel=pd.concat(
            [
                cleaning.clean_prefecture_series(raw[table], indicator)
                for indicator, (table, _, _) in rules.PREFECTURE_SERIES.items()
            ],
            ignore_index=True,
        ),
        prefecture_product=prefecture_product,
        official_totals=raw["official_totals"]
        .reset_index(drop=True)
        .astype({"year": int, "total": float, "decimals": int}),
        events=cleaning.clean_events(raw["events"]),
        plant_events=cleaning.clean_plant_events(raw["plant_events"]),
        term_facts=raw["term_facts"].reset_index(drop=True),
        evaluations=raw["published_evaluations"].reset_index(drop=True),
        phrases=raw["phrases"].reset_index(drop=True).astype({"term": int, "highest_grade": int}),
        logic_model=raw["logic_model"].reset_index(drop=True),
        outcomes=raw["outcomes"].reset_index(drop=True).astype({"margin_percent": float}),
        fitness=raw["fitness"].reset_index(drop=True),
        glossary=raw["glossary"].reset_index(drop=True),
        sources=raw["sources"].reset_index(drop=True),
        warnings=rules.find_warnings(raw),
        project_areas=raw["project_areas"].reset_index(drop=True),
        field_industries=raw["field_industries"].reset_index(drop=True),
        neighbours=raw["prefecture_neighbours"].reset_index(drop=True),
        outlines=raw["prefecture_outlines"].reset_index(drop=True).astype({"ring": int}),
        other_programmes=raw["other_programmes"]
        .reset_index(drop=True)
        .astype({"first_fy": int, "last_fy": int}),
        **{name: raw[name].reset_index(drop=True) for name in FACT_TABLES},
    )


def list_cells(
    cell_panel: pd.DataFrame,
    targeted: pd.DataFrame,
    prefectures: pd.DataFrame,
    projects: pd.DataFrame,
) -> pd.DataFrame:
    """List every cell of every base with its targeting in both readings of the fields map.

    Returns
    -------
    DataFrame
        One row per ``base``, ``pref_code``, ``industry`` and ``fields_map``: ``block``; by term
        ``projects_*`` that name the cell, ``is_targeted_*`` if one of them is sure to have run
        (``policy.unknown_starts``), and ``since_*``, the first fiscal year of the first of them
        (missing: no later than the term, ``policy.project_starts``).
    """
    keys = ["base", "pref_code", "industry"]
    every = cell_panel[keys].drop_duplicates()
    every = every.merge(pd.DataFrame({"fields_map": policy.FIELDS_MAPS}), how="cross")
    unknown, starts = policy.unknown_starts(projects), policy.project_starts(projects)
    blocks = prefectures[["pref_code", "block"]]
    every = every.merge(blocks, on="pref_code", validate="many_to_one")
    for term in (1, 2):
        of_term = targeted.loc[targeted["term"] == term, [*keys, "fields_map", "projects"]]
        of_term = of_term.rename(columns={"projects": f"projects_{term}"})
        every = every.merge(of_term, on=[*keys, "fields_map"], how="left", validate="one_to_one")
        every[f"projects_{term}"] = every[f"projects_{term}"].fillna("")
        of_cell = [ids.split(";") if ids else [] for ids in every[f"projects_{term}"]]
        sure = [[each for each in ids if each not in unknown] for ids in of_cell]
        every[f"is_targeted_{term}"] = [bool(ids) for ids in sure]
        first = [starts[ids].min(skipna=False) if ids else pd.NA for ids in sure]
        every[f"since_{term}"] = pd.array(first, "Int64")
    return every.sort_values(["fields_map", *keys]).reset_index(drop=True)


def check_sums(
    cell_panel: pd.DataFrame,
    prefecture_product: pd.DataFrame,
    raw_totals: pd.DataFrame,
    known_gaps: pd.DataFrame,
) -> pd.DataFrame:
    """Add the industries of each prefecture up and compare with its manufacturing product.

    Parameters
    ----------
    cell_panel, prefecture_product : DataFrame
        Clean tables.
    raw_totals : DataFrame
        Raw table ``prefecture_product``, for the lines that messages name.
    known_gaps : DataFrame
        Raw table of gaps that stand in the published figures themselves.

    Returns
    -------
    DataFrame
        One row per base, prefecture and fiscal year without hidden cells: ``sum``,
        ``manufacturing_million_yen``, ``gap`` and ``known_gap`` (million yen).

    Raises
    ------
    sources.DataFault
        If a gap is larger than rounding of the parts allows and is not a known one, if a known one
        is no longer there, or if there is nothing to compare.
    """
    keys = ["base", "pref_code", "fy"]
    sums = cell_panel.groupby(keys).agg(
        sum=("product_million_yen", "sum"),
        parts=("status", "size"),
        hidden=("status", lambda status: (status == "hidden").sum()),
    )
    lines = raw_totals[keys].astype({"fy": int}).assign(line=raw_totals.index)
    totals = prefecture_product.merge(lines, on=keys, validate="one_to_one").set_index(keys)
    known = known_gaps.astype({"fy": int, "gap_million_yen": float}).set_index(keys)
    joined = sums[sums["hidden"] == 0].join(totals, how="left", validate="one_to_one")
    joined = joined.join(known["gap_million_yen"].rename("known_gap"), validate="one_to_one")
    joined["known_gap"] = joined["known_gap"].fillna(0)
    joined["gap"] = joined["sum"] - joined["manufacturing_million_yen"]
    _refuse_stale_gaps(known_gaps, joined.index)
    allowed = ROUNDING_MILLION_YEN * (joined["parts"] + 1)
    wrong = joined[~((joined["gap"] - joined["known_gap"]).abs() <= allowed)].sort_values("line")
    if not wrong.empty:
        _refuse_sums(wrong, raw_totals.attrs["file"], known_gaps.attrs["file"])
    columns = [*keys, "sum", "manufacturing_million_yen", "gap", "known_gap"]
    return joined.reset_index()[columns]


def check_sector_sums(
    sector_panel: pd.DataFrame, sectors: pd.DataFrame, raw: dict[str, pd.DataFrame]
) -> pd.DataFrame:
    """Add the parts of each service sector up and compare with the sector.

    Parameters
    ----------
    sector_panel, sectors : DataFrame
        Clean tables.
    raw : dict of DataFrame
        Raw tables, for the lines that messages name.

    Returns
    -------
    DataFrame
        One row per base, sector with parts, prefecture and fiscal year whose parts are all seen:
        ``sum`` and ``product_million_yen``.

    Raises
    ------
    sources.DataFault
        If a sum is further from its sector than rounding allows.
    """
    keys = ["base", "pref_code", "industry", "fy"]
    parts = sector_panel.merge(
        sectors.loc[sectors["part_of"] != "", ["base", "industry", "part_of"]],
        on=["base", "industry"],
        validate="many_to_one",
    )
    by_sector = parts.assign(industry=parts["part_of"]).groupby(keys)
    sums = by_sector["product_million_yen"].sum(skipna=False).rename("sum").dropna()
    joined = sector_panel.set_index(keys)[["product_million_yen"]].join(
        sums, how="inner", validate="one_to_one"
    )
    gap = joined["sum"] - joined["product_million_yen"]
    wrong = joined[gap.abs() > SECTOR_ROUNDING_MILLION_YEN]
    for (base, pref_code, industry, fy), row in wrong.iterrows():
        table = raw[f"sector_product_{base}"]
        is_row = (table["pref_code"] == pref_code) & (table["industry"] == industry)
        line = int(table.index[is_row][0])
        reason = f"its parts add up to {row['sum']:.0f}: correct the figure that is wrong"
        checking.raise_faults(
            table, [checking.Fault(line, str(fy), table.at[line, str(fy)], reason)]
        )
    return joined.reset_index()


def _refuse_sums(wrong: pd.DataFrame, totals_file: str, gaps_file: str) -> None:
    (base, pref_code, fy), row = next(wrong.iterrows())
    others = len(wrong) - 1
    more = f" ({others} more such sum{'s' if others > 1 else ''})" if others else ""
    parts = (
        f"the industries of prefecture {pref_code} in data/raw/cell_product_{base}.csv add up to "
        f"{row['sum']:.0f} in {fy}"
    )
    if pd.isna(row["manufacturing_million_yen"]):
        line = "" if pd.isna(row["line"]) else f":{row['line']:.0f}"
        raise sources.DataFault(
            f"{totals_file}{line}: column manufacturing_million_yen: found no figure, but {parts}: "
            f"add it{more}"
        )
    raise sources.DataFault(
        f"{totals_file}:{row['line']:.0f}: column manufacturing_million_yen: "
        f"found '{row['manufacturing_million_yen']:.0f}': {parts}: correct the figure that is "
        f"wrong, or enter a gap that was published so in {gaps_file}{more}"
    )


def _refuse_stale_gaps(known_gaps: pd.DataFrame, compared: pd.MultiIndex) -> None:
    """Refuse a listed gap where nothing is compared: it would excuse an error made later."""
    keys = pd.MultiIndex.from_frame(known_gaps[["base", "pref_code", "fy"]].astype({"fy": int}))
    reason = "no sum is compared there, or a part is hidden: remove the row"
    checking.raise_faults(
        known_gaps,
        (
            checking.Fault(line, "base+pref_code+fy", ", ".join(map(str, key)), reason)
            for line, key, is_used in zip(known_gaps.index, keys, keys.isin(compared), strict=True)
            if not is_used
        ),
    )


def events_of(study: Study, table: str) -> pd.DataFrame:
    """Return the events that bear on a raw table, or on all tables whose names begin so.

    Policies and shocks bear on every table; a break bears on those it names.
    """
    names = study.events["applies_to"].str.split(";")
    bears = names.map(lambda each: any(n == "all" or n.startswith(table) for n in each))
    return study.events[bears].reset_index(drop=True)


def events_of_cell(
    study: Study, pref_code: str, industry: str, years: tuple[int, int]
) -> pd.DataFrame:
    """Return what is known to have happened to plants of a cell in some years.

    Parameters
    ----------
    study : Study
    pref_code, industry : str
        The cell; the industry as any base calls it.
    years : tuple of int
        First and last fiscal year, both included.

    Returns
    -------
    DataFrame
        Rows of ``plant_events`` without those that say a reason was not found.

    Examples
    --------
    >>> events_of_cell(study, "02", "nonferrous_metals", (2001, 2009))["what"].tolist()
    ['the nuclear fuel reprocessing plant at Rokkasho began its trial run']
    """
    events = study.plant_events
    known = events[events["kind"] != plausibility.NOT_FOUND]
    found = plausibility.events_of(known, pref_code, industry, years)
    return found.reset_index(drop=True)


def unit_of(study: Study, indicator: str) -> str:
    """Return the unit of an indicator of the prefecture panel.

    Raises
    ------
    KeyError
        If the panel has no such indicator; the message lists those it has.
    """
    units = study.prefecture_panel.drop_duplicates("indicator").set_index("indicator")["unit"]
    if indicator not in units.index:
        raise KeyError(f"indicator {indicator!r}: choose one of {', '.join(units.index)}")
    return units[indicator]


def compare_totals(study: Study) -> pd.DataFrame:
    """Compare sums over prefectures with the totals that were published.

    Returns
    -------
    DataFrame
        ``indicator``, ``year``, ``unit``, ``official``, ``ours`` (rounded to the printed digit),
        ``decimals`` and ``is_equal``.
    """
    scale = {"trillion yen": 1e6}  # the panel is in million yen
    sums = study.prefecture_panel.groupby(["indicator", "year"])["value"].sum()
    rows = []
    for total in study.official_totals.itertuples():
        ours = sums.loc[(total.indicator, total.year)] / scale[total.unit]
        rows.append(
            {
                "indicator": total.indicator,
                "year": total.year,
                "unit": total.unit,
                "official": total.total,
                "ours": round(ours, total.decimals),
                "decimals": total.decimals,
                "is_equal": round(ours, total.decimals) == total.total,
            }
        )
    return pd.DataFrame(rows)


def count_status(study: Study) -> pd.DataFrame:
    """Count the cells of each base and fiscal year by what stands in them.

    Returns
    -------
    DataFrame
        ``base``, ``fy``, ``status`` (hidden, nil, negative) and ``cells``.
    """
    panel = study.cell_panel
    is_negative = panel["product_million_yen"] < 0
    status = panel["status"].where(~is_negative, "negative").rename("status")
    counts = panel.groupby(["base", "fy", status]).size().rename("cells").reset_index()
    return counts[counts["status"] != "observed"].reset_index(drop=True)


def build(raw_folder: Path | None = None, clean_folder: Path | None = None) -> Study:
    """Rebuild ``data/clean`` from ``data/raw``.

    Returns
    -------
    Study
        What was saved.
    """
    study = clean_all(read_raw(raw_folder))
    save(study, clean_folder)
    return study


def save(study: Study, folder: Path | None = None, with_csv: bool = True) -> pd.DataFrame:
    """Write every clean table as Parquet and as CSV, whole or not at all, and describe them.

    The folder becomes a data package: ``datapackage.json`` tells what each column is, and
    ``spreadsheet`` holds a copy of each table for Excel (module ``package``).

    Parameters
    ----------
    study : Study
        Or anything else whose ``items()`` are names and tables.
    folder : Path, optional
        Where to; ``data/clean`` if not given.
    with_csv : bool
        Whether to write the CSV too; the municipal tables are too long for people.

    Returns
    -------
    DataFrame
        ``table``, ``rows`` and ``columns`` of what was written.
    """
    folder = sources.CLEAN if folder is None else folder
    folder.mkdir(parents=True, exist_ok=True)
    for name, table in study.items():
        plain = table.copy()
        plain.attrs = {}  # the path of the raw file is no property of the clean table
        _replace(folder / f"{name}.parquet", lambda path, t=plain: t.to_parquet(path, index=False))
        if with_csv:
            _replace(
                folder / f"{name}.csv",
                lambda path, t=plain: t.to_csv(path, index=False, lineterminator="\n"),
            )
    package.write(dict(study.items()), folder, with_csv)
    return count_tables(study)


def count_tables(study: Study) -> pd.DataFrame:
    """Return ``table``, ``rows`` and ``columns`` of every table of a study."""
    counts = [(name, *table.shape) for name, table in study.items()]
    return pd.DataFrame(counts, columns=["table", "rows", "columns"])


class _Saved(Study):
    """A study whose tables are read when they are first used.

    What a report never looks at, it does not depend on: a new word in the glossary remakes the
    page that prints the glossary and no other.
    """

    def __init__(self, folder: Path) -> None:
        object.__setattr__(self, "_folder", folder)  # the data class is frozen

    def __getattr__(self, name: str) -> pd.DataFrame:
        if name not in Study.__dataclass_fields__:
            raise AttributeError(f"Study has no table {name!r}")
        table = read_saved(self._folder / f"{name}.parquet")
        object.__setattr__(self, name, table)
        return table


def read_saved(path: Path) -> pd.DataFrame:
    """Read a table that ``make data`` or the first notebook has written.

    Raises
    ------
    sources.InputMissing
        If it is missing or damaged.
    """
    try:
        return pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise sources.InputMissing(
            f"{sources.short_path(path)}: missing or damaged ({type(error).__name__}): "
            "run `make data`"
        ) from error


def load(folder: Path | None = None) -> Study:
    """Return the saved study; each clean table is read when it is first used.

    Raises
    ------
    sources.InputMissing
        When a table that is used is missing or damaged; ``make data`` writes it again.
    """
    return _Saved(sources.CLEAN if folder is None else folder)


def _replace(path: Path, write) -> None:
    """Write beside `path` and rename, so that a reader never meets half a file."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        write(part)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def _prefecture_product(raw: pd.DataFrame) -> pd.DataFrame:
    table = raw.reset_index(drop=True).astype({"fy": int})
    for column in ("manufacturing_million_yen", "total_million_yen"):
        table[column] = pd.to_numeric(table[column].replace("", None))
    return table
