"""What the policy was: its terms and their clocks, its projects, and the cells they targeted."""

from dataclasses import dataclass

import pandas as pd

CLOCKS = ("funded", "planned")
FIELDS_MAPS = ("broad", "narrow")
# Five fiscal years before the money started: as long as the launch term itself.
FIRST_BASELINE_FY = 1996


@dataclass(frozen=True)
class Term:
    """One policy term on one clock.

    Attributes
    ----------
    number : int
        1, 2 or 3.
    name, name_ja : str
        Official names.
    clock : str
        ``"funded"`` (the years in which national money was paid) or ``"planned"``.
    first_year, last_year : int
        Fiscal years of the term, both included.
    baseline_first_year, baseline_last_year : int
        Fiscal years the term is compared with: the term before it on the same clock, and for the
        first term the five years before the policy.
    """

    number: int
    name: str
    name_ja: str
    clock: str
    first_year: int
    last_year: int
    baseline_first_year: int
    baseline_last_year: int

    @property
    def years(self) -> tuple[int, int]:
        """First and last fiscal year."""
        return self.first_year, self.last_year

    @property
    def baseline_years(self) -> tuple[int, int]:
        """First and last fiscal year of the comparison."""
        return self.baseline_first_year, self.baseline_last_year


def choose_term(terms: pd.DataFrame, number: int, clock: str) -> Term:
    """Pick one term as dated by one clock.

    Parameters
    ----------
    terms : DataFrame
        Clean table ``terms``: one row per term and clock.
    number : int
        1, 2 or 3.
    clock : str
        ``"funded"`` or ``"planned"``.

    Returns
    -------
    Term

    Raises
    ------
    ValueError
        If there is no such term or clock; the message lists those there are.
    """
    dated = terms[terms["clock"] == clock].set_index("term")
    if dated.empty:
        raise ValueError(f"clock: found {clock!r}: choose one of {', '.join(CLOCKS)}")
    if number not in dated.index:
        allowed = ", ".join(str(term) for term in dated.index)
        raise ValueError(f"term: found {number!r}: choose one of {allowed}")
    row = dated.loc[number]
    if number - 1 in dated.index:
        before = dated.loc[number - 1]
        baseline = int(before["first_year"]), int(before["last_year"])
    else:
        baseline = FIRST_BASELINE_FY, int(row["first_year"]) - 1
    return Term(
        number=int(number),
        name=row["name_en"],
        name_ja=row["name_ja"],
        clock=clock,
        first_year=int(row["first_year"]),
        last_year=int(row["last_year"]),
        baseline_first_year=baseline[0],
        baseline_last_year=baseline[1],
    )


def projects_of_term(projects: pd.DataFrame, term: int) -> pd.DataFrame:
    """Return the projects of a term; the third stands on those of the second."""
    return projects[projects["term"] == min(term, 2)].reset_index(drop=True)


def unknown_starts(projects: pd.DataFrame) -> list[str]:
    """Return the ids of projects that may not have run: no start year, and no sure place in 19.

    Their cells count as targeted in a sample of their own only (``effects.UNKNOWN_START``).
    """
    is_unknown = projects["first_fy"].isna() & (projects["in_official_count"] == "uncertain")
    return projects.loc[is_unknown, "project_id"].tolist()


def project_starts(projects: pd.DataFrame) -> pd.Series:
    """Return the first fiscal year of every project that carried none on, by ``project_id``.

    A project that carries another on has its cells targeted without a gap, whatever year its
    strategy is dated from; the year is missing for it.
    """
    starts = projects.set_index("project_id")["first_fy"].astype("Int64")
    return starts.where((projects["predecessors"] == "").to_numpy())


def target_fields(projects: pd.DataFrame) -> pd.DataFrame:
    """Spread each project over the prefectures and fields it names.

    Parameters
    ----------
    projects : DataFrame
        Clean table ``projects``; ``prefectures`` and ``fields`` are lists joined by ``;``.

    Returns
    -------
    DataFrame
        One row per ``project_id``, ``term``, ``pref_code`` and ``field``.
    """
    spread = projects[["project_id", "term", "prefectures", "fields"]].assign(
        pref_code=projects["prefectures"].str.split(";"), field=projects["fields"].str.split(";")
    )
    spread = spread.explode("pref_code").explode("field")
    return spread[["project_id", "term", "pref_code", "field"]].reset_index(drop=True)


def target_cells(targets: pd.DataFrame, field_map: pd.DataFrame) -> pd.DataFrame:
    """Find the cells each term targeted, in both readings of the fields map.

    A cell is targeted when some project of the term covers its prefecture and names a field that
    holds its industry. The broad reading also counts projects that only say "manufacturing".

    Parameters
    ----------
    targets : DataFrame
        From :func:`target_fields`.
    field_map : DataFrame
        From ``concordance.fields_to_industries``: ``base``, ``field``, ``reading``, ``industry``.

    Returns
    -------
    DataFrame
        One row per targeted ``base``, ``term``, ``fields_map``, ``pref_code``, ``industry``, with
        ``n_projects`` and their ids in ``projects``.
    """
    # A field stands for several industries and is named by several projects: many to many is meant.
    matched = targets.merge(field_map, on="field", how="inner", validate="many_to_many")
    readings = []
    for fields_map in FIELDS_MAPS:
        read = matched if fields_map == "broad" else matched[matched["reading"] == "both"]
        readings.append(read.assign(fields_map=fields_map))
    keys = ["base", "term", "fields_map", "pref_code", "industry"]
    return (
        pd.concat(readings)
        .drop_duplicates([*keys, "project_id"])
        .sort_values([*keys, "project_id"])
        .groupby(keys, as_index=False)
        .agg(n_projects=("project_id", "size"), projects=("project_id", ";".join))
    )


def prefecture_blocks(projects: pd.DataFrame, prefectures: pd.DataFrame) -> pd.Series:
    """Group prefectures that were always covered by the same projects of the same bureau.

    Projects were drawn up bureau by bureau, so prefectures of one block never differ in what they
    were targeted for. The block is the unit that the permutation test reassigns.

    Parameters
    ----------
    projects : DataFrame
        Clean table ``projects``.
    prefectures : DataFrame
        Clean table ``prefectures``.

    Returns
    -------
    Series
        Key of the block, by ``pref_code``: the smallest code of its prefectures, so that neither
        the name of a bureau nor the order of rows decides what is drawn for it.
    """
    covered = target_fields(projects).drop_duplicates(["project_id", "pref_code"])
    signature = covered.groupby("pref_code")["project_id"].agg(lambda ids: ";".join(sorted(ids)))
    table = prefectures.set_index("pref_code")
    group = table["bureau"].str.cat(signature.reindex(table.index).fillna(""), sep="|")
    code = table.index.to_series()
    return code.groupby(group).transform("min").rename("block")


def block_names(prefectures: pd.DataFrame) -> pd.Series:
    """Name the blocks for readers: the bureau, or the part of it by its first prefecture.

    Parameters
    ----------
    prefectures : DataFrame
        Clean table ``prefectures``.

    Returns
    -------
    Series
        By ``block``; the largest block of a bureau (the first of several) carries its name alone.
    """
    table = prefectures.sort_values("pref_code")
    of_block = table.groupby("block").agg(
        bureau=("bureau", "first"), name=("name_en", "first"), size=("pref_code", "size")
    )
    by_size = of_block.sort_values("size", ascending=False, kind="stable")
    is_part = by_size.duplicated("bureau").reindex(of_block.index)
    return of_block["bureau"].mask(is_part, of_block["bureau"] + " (" + of_block["name"] + ")")


def prefecture_certainty(projects: pd.DataFrame, term: int) -> pd.Series:
    """Say how sure it is that a prefecture was covered in a term.

    Parameters
    ----------
    projects : DataFrame
        Clean table ``projects``.
    term : int
        1 or 2; the third term had no projects of its own and stands on those of the second.

    Returns
    -------
    Series
        By ``pref_code``: ``"low"`` if every project that covers it is of low confidence, else
        ``"high"``.
    """
    of_term = projects_of_term(projects, term)
    confidence = of_term.set_index("project_id")["confidence"]
    covered = target_fields(of_term).drop_duplicates(["project_id", "pref_code"])
    is_low = covered["project_id"].map(confidence) == "low"
    return is_low.groupby(covered["pref_code"]).all().map({True: "low", False: "high"})
