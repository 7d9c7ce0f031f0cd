"""Staggered estimators on cells by the year they were first targeted: a labelled check.

Nearly all projects began together in 2001, so these estimators have little to add here and much to
hide: a cohort that is too thin is printed with its counts instead of a number.
"""

from dataclasses import replace

import numpy as np
import pandas as pd

from clusterpolicy import inference, policy, results
from clusterpolicy.effects import CELL
from clusterpolicy.otherdesigns import synthetic
from clusterpolicy.otherdesigns.synthetic import percent
from clusterpolicy.panel import Study
from clusterpolicy.results import Estimate

DESIGN = "staggered"
BASE = "b2000"  # the one base that covers the years before the first and up to the last cohort
NEVER = 0  # stands for the first year of cells never targeted
ESTIMATORS = {"Callaway-Sant'Anna": "callaway-santanna", "imputation": "imputation"}
GRADE = 2  # a check of the main estimate, never more than it
DRAWS = 999  # every draw fits the paths of prefectures and industries again
# The cohorts of each term: the years in which its projects targeted cells for the first time.
COHORTS = {1: (2001,), 2: (2006, 2007)}


def first_targeted(study: Study, fields_map: str) -> pd.DataFrame:
    """Say in which fiscal year each cell was first targeted.

    Cells of the first term count from its first year; cells that only the second term targeted
    from the first year of the earliest project that did.

    Parameters
    ----------
    study : Study
    fields_map : str

    Returns
    -------
    DataFrame
        ``pref_code``, ``industry``, ``block`` and ``cohort``, ``NEVER`` if never targeted.
    """
    cells = study.cells[(study.cells["base"] == BASE) & (study.cells["fields_map"] == fields_map)]
    began = study.projects.set_index("project_id")["first_fy"]
    start = int(study.terms.loc[study.terms["term"] == 1, "first_year"].min())

    def cohort(row) -> int:
        if row.is_targeted_1:
            return start
        if row.is_targeted_2:
            return int(began[row.projects_2.split(";")].min())
        return NEVER

    cohorts = [cohort(row) for row in cells.itertuples()]
    return cells[[*CELL, "block"]].assign(cohort=cohorts).reset_index(drop=True)


def changes_of_cells(
    study: Study, cohorts: pd.DataFrame, cohort: int, last_fy: int
) -> pd.DataFrame:
    """Reduce each cell of a cohort, and each never targeted, to its change.

    Parameters
    ----------
    study : Study
    cohorts : DataFrame
        From :func:`first_targeted`.
    cohort : int
    last_fy : int
        Last fiscal year kept.

    Returns
    -------
    DataFrame
        ``pref_code``, ``industry``, ``block``, ``is_targeted`` and the columns of
        :func:`changes_since`, in logs; cells seen in every year.
    """
    panel = study.cell_panel
    panel = panel[(panel["base"] == BASE) & (panel["fy"] <= last_fy)]
    seen = panel[(panel["status"] == "observed") & (panel["product_million_yen"] > 0)]
    wide = np.log(seen.pivot(index=CELL, columns="fy", values="product_million_yen").dropna())
    changes = changes_since(wide, cohort).reset_index()
    chosen = cohorts[cohorts["cohort"].isin((cohort, NEVER))]
    chosen = chosen.assign(is_targeted=chosen["cohort"] == cohort)
    return chosen.drop(columns="cohort").merge(changes, on=CELL, validate="one_to_one")


def changes_since(paths: pd.DataFrame, cohort: int) -> pd.DataFrame:
    """Reduce each path to its change since a cohort began, as each estimator measures it.

    With complete paths and one cohort both estimators are differences of means: Callaway and
    Sant'Anna [1]_ set the years from the cohort's first against the last one before it, the
    imputation estimator [2]_ against all years before it.

    Parameters
    ----------
    paths : DataFrame, n_units x n_years
        One column per year, none missing.
    cohort : int
        First year of the cohort; it and the year before it are among the columns.

    Returns
    -------
    DataFrame, n_units x n_estimators
        One column per estimator, in the unit of `paths`.

    References
    ----------
    .. [1] Callaway and Sant'Anna (2021), Journal of Econometrics 225(2), 200-230.
    .. [2] Borusyak, Jaravel and Spiess (2024), Review of Economic Studies 91(6), 3253-3285.
    """
    after = paths.loc[:, paths.columns >= cohort].mean(axis=1)
    return pd.DataFrame(
        {
            "Callaway-Sant'Anna": after - paths[cohort - 1],
            "imputation": after - paths.loc[:, paths.columns < cohort].mean(axis=1),
        }
    )


def mean_effects(changes: np.ndarray, is_targeted: np.ndarray, dummies: np.ndarray) -> np.ndarray:
    """Impute how targeted cells would have moved, and return the mean gap to how they did.

    Paths of prefectures and of industries are fitted on the cells never targeted; without them the
    estimators would compare industries with different national prices. A targeted cell whose
    prefecture or industry has no cell never targeted is left out: nothing says how it would have
    moved.

    Parameters
    ----------
    changes : ndarray, n_cells x n_estimators
        In logs.
    is_targeted : ndarray of bool, n_cells
    dummies : ndarray, n_cells x n_effects
        0/1 columns of prefectures and of industries.

    Returns
    -------
    ndarray, n_estimators
        NaN if no targeted cell can be imputed.
    """
    never, chosen = dummies[~is_targeted], imputable(is_targeted, dummies)
    if not chosen.any():
        return np.full(changes.shape[1], np.nan)
    fitted = np.linalg.lstsq(never.T @ never, never.T @ changes[~is_targeted], rcond=1e-10)[0]
    return (changes[chosen] - dummies[chosen] @ fitted).mean(axis=0)


def imputable(is_targeted: np.ndarray, dummies: np.ndarray) -> np.ndarray:
    """Say which targeted cells share prefecture and industry with cells never targeted."""
    is_held = dummies[~is_targeted].sum(axis=0) > 0
    return is_targeted & (dummies[:, ~is_held].sum(axis=1) == 0)


def chance_of(
    cells: pd.DataFrame, dummies: np.ndarray, estimate: np.ndarray, draws: int
) -> np.ndarray:
    """Return the estimates under reassigned targets, the estimated effect taken out first.

    Targets move among blocks as for the main estimate; every draw fits all paths again.

    Returns
    -------
    ndarray, n_draws x n_estimators
    """
    names = list(ESTIMATORS)
    without = cells[names].to_numpy() - np.outer(cells["is_targeted"], estimate)
    drawn = inference.permute_targets(cells, draws).draws.astype(bool)
    return np.array([mean_effects(without, targets, dummies) for targets in drawn])


def why_not_estimable(cohort: pd.DataFrame) -> str:
    """Say why a cohort is too thin; empty if it is not.

    Parameters
    ----------
    cohort : DataFrame
        One row per cell: ``block``, ``industry``.
    """
    units = cohort[["block", "industry"]].drop_duplicates()
    checks = (
        (len(cohort), inference.MIN_TARGETED_CELLS, "cells of the cohort"),
        (len(units), inference.MIN_TARGETED_UNITS, "blocks x industries of the cohort"),
    )
    few = [
        f"{found} {label} where {least} are needed"
        for found, least, label in checks
        if found < least
    ]
    return "; ".join(few)


def estimate_staggered(study: Study, number: int, draws: int = DRAWS) -> pd.DataFrame:
    """Estimate each cohort of a term with each estimator, on both clocks and in both readings.

    Parameters
    ----------
    study : Study
    number : int
        Policy term, of those in ``COHORTS``: the third has no cohort of its own.
    draws : int
        Reassignments.

    Returns
    -------
    DataFrame
        One record per cohort, estimator, clock and reading.
    """
    stamp = results.input_stamp(study)
    label = study.outcomes.set_index("outcome").at["product", "label"]
    last_of_base = int(study.cell_panel.loc[study.cell_panel["base"] == BASE, "fy"].max())
    records: list[Estimate] = []
    for fields_map in policy.FIELDS_MAPS:
        cohorts = first_targeted(study, fields_map)
        for cohort in COHORTS[number]:
            known: dict[int, list[Estimate]] = {}  # by last year: clocks may differ in name only
            for clock in policy.CLOCKS:
                last = min(policy.choose_term(study.terms, number, clock).last_year, last_of_base)
                common = {
                    "term": number,
                    "outcome": "product",
                    "outcome_label": label,
                    "design": DESIGN,
                    "role": "check",
                    "base": BASE,
                    "clock": clock,
                    "fields_map": fields_map,
                    "sample": f"first targeted in FY{cohort}",
                    "input_hash": stamp,
                }
                if last not in known:
                    known[last] = _records(study, cohorts, cohort, last, common, draws)
                records += [_on_clock(record, clock) for record in known[last]]
    return results.to_frame(records)


def _on_clock(record: Estimate, clock: str) -> Estimate:
    renamed = record.result_id.replace(f"-{record.clock}-", f"-{clock}-", 1)
    return replace(record, clock=clock, result_id=renamed)


def _records(
    study: Study, cohorts: pd.DataFrame, cohort: int, last_fy: int, common: dict, draws: int
) -> list[Estimate]:
    cells = changes_of_cells(study, cohorts, cohort, last_fy)
    first_fy = int(study.cell_panel.loc[study.cell_panel["base"] == BASE, "fy"].min())
    dummies = np.hstack([pd.get_dummies(cells[each]) for each in CELL]).astype(float)
    targeted = cells[imputable(cells["is_targeted"].to_numpy(), dummies)]
    common = {
        **common,
        "n_cells": len(cells),
        "n_targeted": len(targeted),
        "n_blocks": int(cells["block"].nunique()),
        "n_observations": len(cells) * (last_fy - first_fy + 1),
        "baseline_years": f"{first_fy}-{cohort - 1}",
        "term_years": f"{cohort}-{last_fy}",
    }
    slug = f"t{common['term']}-{common['clock']}-{common['fields_map']}"
    ids = {each: f"{slug}-{short}-{cohort}" for each, short in ESTIMATORS.items()}
    reason = why_not_estimable(targeted)
    if reason:
        return [
            Estimate(
                **common, result_id=ids[each], method=each, status="not estimable", reason=reason
            )
            for each in ESTIMATORS
        ]
    estimate = mean_effects(
        cells[list(ESTIMATORS)].to_numpy(), cells["is_targeted"].to_numpy(), dummies
    )
    chance = chance_of(cells, dummies, estimate, draws)
    smallest_p = max(1 / inference.count_assignments(cells).n_distinct, 1 / (draws + 1))
    return [
        _record({**common, "result_id": ids[each], "smallest_p": smallest_p}, each, *pair)
        for each, *pair in zip(ESTIMATORS, estimate, chance.T, strict=True)
    ]


def _record(common: dict, estimator: str, estimate: float, chance: np.ndarray) -> Estimate:
    low, high, p_value = synthetic.placebo_interval(estimate, chance[~np.isnan(chance)])
    return Estimate(
        **common,
        method=f"{estimator}, targets permuted over blocks, every step refitted",
        estimate=percent(estimate),
        low=percent(low),
        high=percent(high),
        p_value=p_value,
        draws=int((~np.isnan(chance)).sum()),
        mde=percent(inference.smallest_detectable(float(np.nanstd(chance)))),
        grade=results.grade_design(DESIGN, has_comparison=True, claimed=GRADE),
    )
