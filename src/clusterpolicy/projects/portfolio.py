"""The projects as a portfolio: lineage, overlap, who ran them, how much of them is recorded."""

from itertools import combinations

import pandas as pd

from clusterpolicy import policy
from clusterpolicy.checks import register

# How a project came out of those before it, by its own words: how many it took over, and whether
# it had them to itself.
KINDS = ("new", "continued", "renamed", "merged", "split off", "merged and split off", "ended")
CONFIDENCES = ("low", "medium", "high")
# What a complete register would say about a project: column and what it says.
ASKED = {
    "name_ja": "official name in Japanese",
    "bureau": "regional bureau",
    "prefectures": "prefectures",
    "fields": "fields",
    "first_fy": "first fiscal year",
    "first_fy_basis": "a document for the first year",
    "promotion_body": "promotion body",
    "firms": "number of firms",
    "universities": "number of universities",
    "source": "a document that names the project",
}
_ASSUMED = ("assumed from national term", "unknown", "")
_BACKGROUND = "BK"  # key of what is known without a document


def lineage(projects: pd.DataFrame) -> pd.DataFrame:
    """Follow projects from the first term to the second.

    Parameters
    ----------
    projects : DataFrame
        Clean table ``projects``; ``predecessors`` is a list joined by ``;``.

    Returns
    -------
    DataFrame
        One row per link: ``predecessor``, ``successor``, ``kind`` (one of :data:`KINDS`, said of
        the successor) and ``certainty`` (the lower confidence of the two rows). A project without
        predecessor has an empty ``predecessor`` and kind ``new``; one of the first term that none
        followed has an empty ``successor`` and kind ``ended``.
    """
    table = projects.set_index("project_id")
    after = table[table["term"] == 2]
    links = [
        (before, project, "")
        for project, names in after["predecessors"].items()
        for before in _split(names)
    ]
    taken = pd.Series([before for before, _, _ in links], dtype=str).value_counts()
    rows = [(before, project, _kind(project, table, taken)) for before, project, _ in links]
    linked = {project for _, project, _ in links}
    rows += [("", project, "new") for project in after.index if project not in linked]
    ended = table.index[(table["term"] == 1) & ~table.index.isin(taken.index)]
    rows += [(project, "", "ended") for project in ended]
    found = pd.DataFrame(rows, columns=["predecessor", "successor", "kind"])
    rank = table["confidence"].map(CONFIDENCES.index)
    lower = found[["predecessor", "successor"]].apply(lambda ids: ids.map(rank)).min(axis=1)
    return found.assign(certainty=[CONFIDENCES[int(each)] for each in lower])


def _kind(project: str, table: pd.DataFrame, taken: pd.Series) -> str:
    before = _split(table.at[project, "predecessors"])
    is_shared = any(taken[each] > 1 for each in before)
    if len(before) > 1:
        return "merged and split off" if is_shared else "merged"
    if is_shared:
        return "split off"
    is_same = table.at[before[0], "name_ja"] == table.at[project, "name_ja"]
    return "continued" if is_same else "renamed"


def with_page(projects: pd.DataFrame) -> pd.DataFrame:
    """Return the projects that have a page of their own, those of the first term last."""
    followed = {each for names in projects["predecessors"] for each in _split(names)}
    rows = [register.has_page(row, followed) for row in projects.to_dict("records")]
    return projects[rows].sort_values("term", ascending=False, kind="stable", ignore_index=True)


def overlap(
    projects: pd.DataFrame, cells: pd.DataFrame, term: int, base: str, fields_map: str
) -> pd.DataFrame:
    """Count what each pair of projects of a term has in common.

    Parameters
    ----------
    projects : DataFrame
        Clean table ``projects``.
    cells : DataFrame
        Clean table ``cells``.
    term : int
        1 or 2.
    base : str
        Base of the accounts that defines the cells.
    fields_map : str
        ``"broad"`` or ``"narrow"``.

    Returns
    -------
    DataFrame
        One row per ordered pair, each project with itself included: ``project_id``, ``other``,
        ``shared_prefectures``, ``shared_fields`` and ``shared_cells`` (all counts).
    """
    of_term = projects[projects["term"] == term].set_index("project_id")
    covered = {
        project: {
            "prefectures": set(_split(row["prefectures"])),
            "fields": set(_split(row["fields"])),
            "cells": set(_cells_of(cells, project, term, base, fields_map)),
        }
        for project, row in of_term.iterrows()
    }
    rows = []
    for one, other in [*combinations(covered, 2), *((each, each) for each in covered)]:
        shared = {
            f"shared_{what}": len(covered[one][what] & covered[other][what])
            for what in ("prefectures", "fields", "cells")
        }
        rows.append({"project_id": one, "other": other, **shared})
        if one != other:
            rows.append({"project_id": other, "other": one, **shared})
    order = list(of_term.index)
    return (
        pd.DataFrame(rows)
        .sort_values(["project_id", "other"], key=lambda ids: ids.map(order.index))
        .reset_index(drop=True)
    )


def targeted_cells(
    cells: pd.DataFrame, project: str, term: int, base: str, fields_map: str
) -> pd.DataFrame:
    """List the cells that a project targeted.

    Returns
    -------
    DataFrame
        ``pref_code``, ``industry`` and ``others``: how many other projects of the term target the
        same cell.
    """
    chosen = cells[(cells["base"] == base) & (cells["fields_map"] == fields_map)]
    named = chosen[f"projects_{term}"].map(_split)
    rows = chosen[named.map(lambda ids: project in ids)]
    others = named[rows.index].map(len) - 1
    return rows[["pref_code", "industry"]].assign(others=others).reset_index(drop=True)


def _cells_of(
    cells: pd.DataFrame, project: str, term: int, base: str, fields_map: str
) -> list[tuple[str, str]]:
    rows = targeted_cells(cells, project, term, base, fields_map)
    return list(zip(rows["pref_code"], rows["industry"], strict=True))


def what_is_recorded(projects: pd.DataFrame) -> pd.DataFrame:
    """Say for each project and each thing a register would hold whether a source says it.

    Returns
    -------
    DataFrame
        Index ``project_id``, one boolean column per key of :data:`ASKED`. A first year assumed
        from the national term is not recorded, nor is a project known only from background
        knowledge.
    """
    table = projects.set_index("project_id")
    known = pd.DataFrame(index=table.index)
    for column in ASKED:
        text = table[column].astype("string").fillna("").str.strip()
        known[column] = text != ""
    known["first_fy_basis"] = ~table["first_fy_basis"].isin(_ASSUMED)
    known["source"] = table["source"].map(lambda keys: set(_split(keys)) != {_BACKGROUND})
    return known


def completeness(projects: pd.DataFrame) -> pd.Series:
    """Score how complete the register is: the share of :data:`ASKED` that a source answers.

    Returns
    -------
    Series
        0 to 1, by ``project_id``.
    """
    return what_is_recorded(projects).mean(axis=1).rename("completeness")


def promotion_bodies(projects: pd.DataFrame) -> pd.DataFrame:
    """Say who ran the projects, and whether the body of a project outlived the change of term.

    Returns
    -------
    DataFrame
        One row per link of :func:`lineage` that has both ends: ``predecessor``, ``successor``,
        ``before``, ``after`` (names of bodies as recorded, empty if none is) and ``survival``:
        ``same body``, ``another name``, ``named later only``, ``named earlier only`` or ``never
        named``.
    """
    body = projects.set_index("project_id")["promotion_body"]
    links = lineage(projects)
    links = links[(links["predecessor"] != "") & (links["successor"] != "")]
    found = links[["predecessor", "successor"]].assign(
        before=links["predecessor"].map(body), after=links["successor"].map(body)
    )
    survival = [_survival(row.before, row.after) for row in found.itertuples()]
    return found.assign(survival=survival).reset_index(drop=True)


def _survival(before: str, after: str) -> str:
    if not before or not after:
        named = {(False, True): "named later only", (True, False): "named earlier only"}
        return named.get((bool(before), bool(after)), "never named")
    is_same = _body_name(before) in _body_name(after) or _body_name(after) in _body_name(before)
    return "same body" if is_same else "another name"


def _body_name(text: str) -> str:
    """Return the first body named, without its explanation."""
    return text.split(";")[0].split("(")[0].split(",")[0].split(" and ")[0].strip().lower()


def _split(text: str) -> list[str]:
    return [each for each in str(text).split(";") if each]


def funded_years(project: pd.Series, terms: pd.DataFrame, clock: str) -> tuple[int, int]:
    """Return the first and last fiscal year in which a project stood under its term.

    The funded clock ends with the money of the project, the planned clock with its plan; a first
    year that no source gives is that of the term.
    """
    term = policy.choose_term(terms, int(project["term"]), clock)
    first = term.first_year if pd.isna(project["first_fy"]) else int(project["first_fy"])
    last = project["funded_last_fy"] if clock == "funded" else project["last_fy"]
    return first, int(last)
