"""What may hide in the comparison: neighbours that gain, other programmes, a choice of the strong.

Cells that are compared with targeted ones may gain from them, may have had another programme's
money, or may have been on another path for being smaller. Each is refitted, and where the figures
cannot tell it from the policy, that is what is said.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import scipy.stats

from clusterpolicy import clusters, concordance, inference, policy, results
from clusterpolicy.effects import CELL
from clusterpolicy.otherdesigns import refits, robustness
from clusterpolicy.otherdesigns.robustness import Case, Curve, percent
from clusterpolicy.results import Estimate

SPILLOVER, PROGRAMMES, SELECTION = "spillover", "other programmes", "selection"
ALL_HELD = "with size and earlier growth x year"  # the refit that holds all of them fixed
# From this share on, what the effects leave of exposure is as good as the targets themselves.
NEARLY_COLLINEAR = 0.9
# A register that lists fewer of a programme's areas says too little about where it was.
LISTED_SHARE = 0.9
SOURCED = ("high", "medium")
EXPOSURES = {
    "adjacent": "the same industry in adjacent prefectures",
    "elsewhere": "the same industry in all other prefectures",
    "beside": "the other industries of the prefecture",
}


def exposure_weights(case: Case, kind: str) -> np.ndarray:
    """Return how much each cell sees of every other one.

    Parameters
    ----------
    case : Case
    kind : str
        Key of ``EXPOSURES``.

    Returns
    -------
    ndarray, n_cells x n_cells
        Rows add up to one, or to zero where there is nothing to see; the diagonal is zero. Times
        the targets: the share of a cell's surroundings that is targeted.
    """
    cells = case.panel.cells
    prefecture, industry = (cells[column].to_numpy(object) for column in CELL)
    same_prefecture = prefecture[:, None] == prefecture
    same_industry = industry[:, None] == industry
    if kind == "adjacent":
        codes = pd.Index(sorted(set(prefecture)))
        touches = np.zeros((len(codes), len(codes)), bool)
        for row in case.study.neighbours.itertuples():
            ends = codes.get_indexer([row.pref_code_a, row.pref_code_b])
            if (ends >= 0).all():
                touches[ends[0], ends[1]] = touches[ends[1], ends[0]] = True
        place = codes.get_indexer(prefecture)
        weights = (touches[np.ix_(place, place)] & same_industry).astype(float)
    elif kind == "elsewhere":
        weights = (same_industry & ~same_prefecture).astype(float)
    elif kind == "beside":
        weights = (same_prefecture & ~same_industry).astype(float)
    else:
        raise ValueError(f"exposure: found {kind!r}: choose one of {', '.join(EXPOSURES)}")
    total = weights.sum(axis=1, keepdims=True)
    return np.divide(weights, total, out=np.zeros_like(weights), where=total > 0)


@dataclass(frozen=True)
class TwoEffects:
    """Targets and exposure in one regression, for the actual targets and for every draw.

    Attributes
    ----------
    shared : float
        Share of what the effects leave of exposure that the targets explain, 0 to 1.
    direct, spill : ndarray, 1 + n_draws
        Coefficients in logs on targets and exposure; the actual assignment comes first.
    direct_p, spill_p : float
        Two-sided permutation p-values.
    """

    shared: float
    direct: np.ndarray
    spill: np.ndarray
    direct_p: float
    spill_p: float


def estimate_exposure(case: Case, kind: str) -> TwoEffects:
    """Regress on targets and on exposure to them; in each draw exposure follows the targets."""
    contrast = refits.contrast_of(case.panel)
    assignments = case.shared.assign(case.panel.cells)
    targets = np.vstack([assignments.actual, assignments.draws])
    exposure = targets @ exposure_weights(case, kind).T
    own, seen = contrast.squared_norm(targets), contrast.squared_norm(exposure)
    crossed = ((targets * contrast.spread) * exposure).sum(axis=1) - (
        (targets @ contrast.absorbed) * (exposure @ contrast.absorbed)
    ).sum(axis=1)
    left, right = targets @ contrast.score, exposure @ contrast.score
    determinant = own * seen - crossed**2
    with np.errstate(divide="ignore", invalid="ignore"):
        shared = crossed**2 / (own * seen)
        determinant = np.where(shared < 1 - 1e-9, determinant, np.nan)
        direct = (left * seen - right * crossed) / determinant
        spill = (right * own - left * crossed) / determinant
        direct_p = _rank(direct * np.sqrt(determinant / seen))
        spill_p = _rank(spill * np.sqrt(determinant / own))
    return TwoEffects(float(np.nan_to_num(shared[0], nan=1.0)), direct, spill, direct_p, spill_p)


def _rank(statistics: np.ndarray) -> float:
    """Return the share of assignments whose statistic is as large as the first one."""
    size = np.nan_to_num(np.abs(statistics))
    return float((size >= size[0] * (1 - 1e-9)).mean())


def estimate_checks(case: Case, curve: Curve) -> pd.DataFrame:
    """Make every check of a term's main estimate and return the records.

    Parameters
    ----------
    case : Case
    curve : Curve
        From ``robustness.specification_curve``.
    """
    records = [
        *robustness.curve_records(case, curve),
        *robustness.placebo_dates(case),
        *robustness.placebo_industries(case),
        *robustness.leave_one_out(case),
        *spillovers(case),
        *other_programmes(case),
        *selection(case),
    ]
    return results.to_frame(records)


def spillovers(case: Case) -> list[Estimate]:
    """Ask whether cells that are compared gained from targeted ones, in three ways.

    Returns
    -------
    list of Estimate
        For each exposure the direct effect with exposure held fixed and the effect of exposure
        (from nothing to everything around a cell targeted); and the main estimate against cells
        without a targeted neighbour.
    """
    records = [record for kind in EXPOSURES for record in _exposure_records(case, kind)]
    exposed = exposure_weights(case, "adjacent") @ case.panel.targets > 0
    is_exposed = exposed & (case.panel.targets == 0)
    n_exposed, n_other = int(is_exposed.sum()), int((case.panel.targets == 0).sum())
    records.append(
        case.record(
            case.panel,
            None,
            "exposed cells that are compared",
            design=SPILLOVER,
            outcome="exposed",
            unit="cells",
            estimate=float(n_exposed),
            n_cells=n_other,
            n_targeted=0,
            method="count",
        )
    )
    unexposed = case.panel.keep(~is_exposed)
    name = "against cells without a targeted neighbour"
    return [*records, case.refit_record(unexposed, name, SPILLOVER, outcome="unexposed")]


def _exposure_records(case: Case, kind: str) -> Iterator[Estimate]:
    found = estimate_exposure(case, kind)
    parts = (
        ("direct", found.direct, found.direct_p, f"with exposure to {EXPOSURES[kind]} held fixed"),
        ("spill", found.spill, found.spill_p, f"effect of {EXPOSURES[kind]}"),
    )
    for outcome, values, p_value, name in parts:
        own = {"design": SPILLOVER, "outcome": f"{outcome} {kind}"}
        if found.shared >= NEARLY_COLLINEAR:
            reason = (
                "being targeted and being exposed are nearly the same thing and share "
                f"{100 * found.shared:.1f} % of their variance"
            )
            yield case.record(case.panel, None, name, status="not estimable", reason=reason, **own)
            continue
        spread = float(np.nanstd(values[1:]))
        half = scipy.stats.norm.ppf((1 + inference.LEVEL) / 2) * spread
        yield case.record(
            case.panel,
            None,
            name,
            estimate=percent(values[0]),
            low=percent(values[0] - half),
            high=percent(values[0] + half),
            p_value=p_value,
            smallest_p=1 / len(values),
            draws=len(values) - 1,
            mde=percent(inference.smallest_detectable(spread)),
            method="permutation of targets, exposure following; interval from its spread",
            **own,
        )
    yield case.record(
        case.panel,
        None,
        f"overlap of targets and {EXPOSURES[kind]}",
        design=SPILLOVER,
        outcome=f"shared {kind}",
        unit="percent of variance",
        estimate=100 * found.shared,
        method="least squares",
    )


def programme_cells(case: Case, register: pd.DataFrame) -> np.ndarray:
    """Say in which years some other programme met each cell.

    A programme meets a cell when one of its areas lies in the prefecture and names a field that
    holds the industry, in the years of its support. Rows without fields meet none: what covers a
    whole prefecture is absorbed by its effects.

    Parameters
    ----------
    case : Case
    register : DataFrame
        Rows of the table ``other_programmes``.

    Returns
    -------
    ndarray of bool, n_cells x n_years
    """
    panel = case.panel
    met = np.zeros(panel.outcome.shape, bool)
    named = register[(register["fields"] != "") & (register["prefectures"] != "")]
    if named.empty:
        return met
    field_map = concordance.fields_to_industries(case.study.field_industries, case.study.industries)
    areas = policy.target_fields(named.assign(project_id=named.index.astype(str), term=0))
    cells = policy.target_cells(areas, field_map)
    cells = cells[
        (cells["base"] == case.design.base) & (cells["fields_map"] == case.design.fields_map)
    ]
    place = pd.Series(range(len(panel.cells)), pd.MultiIndex.from_frame(panel.cells[CELL]))
    for row in cells.itertuples():
        if (row.pref_code, row.industry) in place.index:
            for area in row.projects.split(";"):
                first, last = named.loc[int(area), ["first_fy", "last_fy"]]
                years = (panel.years >= first) & (panel.years <= last)
                met[place[(row.pref_code, row.industry)]] |= years
    return met


def other_programmes(case: Case) -> list[Estimate]:
    """Count the cells that other programmes met, and estimate without them and beside them.

    Returns
    -------
    list of Estimate
        One count for each programme, not estimable where the register cannot place it in cells;
        then the main design without the cells that were met, and with the programmes as a control,
        from all rows and from the sourced ones only.
    """
    register = case.study.other_programmes
    records, placed = [], []
    for programme, rows in register.groupby("programme", sort=False):
        reason = why_not_placed(rows, case.design.term_years)
        met = programme_cells(case, rows)[:, case.panel.in_term].any(axis=1)
        own = {"design": PROGRAMMES, "outcome": "overlap", "outcome_label": programme}
        own |= {"unit": "cells", "method": "count"}
        if reason:
            own |= {"status": "not estimable", "reason": reason}
        else:
            placed.append(rows)
            own |= {
                "estimate": float((met & (case.panel.targets == 1)).sum()),
                "n_cells": int(met.sum()),
            }
        records.append(case.record(case.panel, None, f"cells of {programme}", **own))
    if not placed:
        return records
    whole = pd.concat(placed)
    for rows, words in (
        (whole, "other programmes"),
        (whole[whole["confidence"].isin(SOURCED)], "other programmes with a source"),
    ):
        met = programme_cells(case, rows)
        without = case.panel.keep(~met[:, case.panel.in_term].any(axis=1))
        beside = replace(case.panel, controls=(met.astype(float),))
        records.append(case.refit_record(without, f"without cells of {words}", PROGRAMMES))
        records.append(case.refit_record(beside, f"with {words} as a control", PROGRAMMES))
    return records


def why_not_placed(rows: pd.DataFrame, years: tuple[int, int]) -> str:
    """Say why one programme cannot be placed in cells and years; empty if it can."""
    first, last = int(rows["first_fy"].min()), int(rows["last_fy"].max())
    if first > years[1] or last < years[0]:
        return f"its support, FY{first}-{last}, lies outside the term"
    listed, in_all = len(rows), rows["areas_in_all"].iloc[0]
    named = rows[rows["prefectures"] != ""]
    if named.empty:
        return f"not computable: no list of its {in_all} areas was found"
    covered = named["prefectures"].str.split(";").explode().nunique()
    if (rows["fields"] == "").all():
        return (
            f"not computable: it covers {covered} prefectures and no field is known, so effects "
            "of prefecture x year absorb it"
        )
    if not in_all or listed < LISTED_SHARE * int(in_all):
        if not in_all:
            return (
                f"not computable: the register lists {listed} of its areas; how many there were in "
                "all is not recorded"
            )
        return f"not computable: the register lists {listed} of its {in_all} areas"
    return ""


def selection(case: Case) -> list[Estimate]:
    """Ask whether cells were picked for strength, and estimate again with that held fixed.

    Returns
    -------
    list of Estimate
        The joint test: how much of targeting do location quotient, size and growth before the term
        explain, once effects of prefecture and industry are taken out, against what they explain
        of reassigned targets; and the main design with an effect in every year of size, and of
        size and earlier growth.
    """
    strength = _strength(case)
    known = np.isfinite(strength).all(axis=1)
    panel = case.panel.keep(known)
    still = known & pd.MultiIndex.from_frame(case.panel.cells[CELL]).isin(
        pd.MultiIndex.from_frame(panel.cells[CELL])
    )
    strength = strength[still]
    assignments = case.shared.assign(panel.cells)
    targets = np.vstack([assignments.actual, assignments.draws]).T
    basis = refits.effects_of_cells(panel)
    targets, measures = (each - basis @ (basis.T @ each) for each in (targets, strength))
    fitted = np.linalg.qr(measures)[0].T @ targets
    whole = (targets**2).sum(axis=0)
    explained = np.divide((fitted**2).sum(axis=0), whole, out=np.zeros_like(whole), where=whole > 0)
    records = [
        case.record(
            panel,
            None,
            "joint test of strength before the term",
            design=SELECTION,
            outcome="joint",
            outcome_label="targeting explained by location quotient, size and growth",
            unit="percent of variance",
            estimate=float(100 * explained[0]),
            p_value=_rank(explained),
            draws=len(assignments.labels),
            smallest_p=1 / (1 + len(assignments.labels)),
        )
    ]
    for columns, name in (
        ([1], "with size before the term x year"),
        ([1, 2], ALL_HELD),
    ):
        held = replace(panel, covariates=strength[:, columns])
        records.append(case.refit_record(held, name, SELECTION))
    return records


def _strength(case: Case) -> np.ndarray:
    """Return log location quotient, log product and growth of each cell before the term."""
    design, panel = case.design, case.study.cell_panel
    first, last = (
        clusters.location_quotients(panel, design.base, fy).set_index(CELL)
        for fy in design.baseline_years
    )
    product = np.log(last["product_million_yen"])
    growth = product - np.log(first["product_million_yen"])
    columns = pd.DataFrame(
        {"quotient": np.log(last["location_quotient"]), "size": product, "growth": growth}
    )
    return columns.reindex(pd.MultiIndex.from_frame(case.panel.cells[CELL])).to_numpy()
