"""Further outcomes of cells: shipments, jobs, plants and shipments per job, by municipality.

The triple difference and the permutation of the main estimate, on prefecture x industry group
cells added up from municipalities that are told for their whole area in every year: as towns became
cities, more of each industry was told, and that is not growth.
"""

import numpy as np
import pandas as pd

from clusterpolicy import crosschecks, effects, inference, policy, results
from clusterpolicy.effects import CELL, Design, Sample
from clusterpolicy.finerdata.finer import FinerStudy
from clusterpolicy.otherdesigns import exposure, synthetic
from clusterpolicy.otherdesigns.synthetic import percent
from clusterpolicy.panel import Study
from clusterpolicy.results import Estimate

DESIGN = "triple difference"
BASE = "census"
# 2001 was coded by another revision and sampled before newspapers and publishing left.
FIRST_YEAR, LAST_YEAR = 2002, 2012
DRAWS = 1_999
TERMS = (2, 3)  # no municipality's industries are told before 2001
MEASURES = {
    "shipments": ("shipments_million_yen",),
    "employees": ("employees",),
    "establishments": ("establishments",),
    "shipments_per_employee": ("shipments_million_yen", "employees"),
}


def cell_rows(finer: FinerStudy, outcome: str, years: tuple[int, int]) -> pd.DataFrame:
    """Add the municipalities of a prefecture and industry group up.

    Shipments and jobs of an industry with one or two plants are hidden in many years: such a
    municipality counts in an industry only if told in every year, so that a sum never grows by
    being told. Establishments are never hidden.

    Parameters
    ----------
    finer : FinerStudy
    outcome : str
        Key of ``MEASURES``.
    years : tuple of int
        First and last year.

    Returns
    -------
    DataFrame
        ``pref_code``, ``industry``, ``fy`` (calendar year of the survey) and ``log_outcome``.
    """
    measures = list(MEASURES[outcome])
    units = finer.units
    groups = finer.municipal_groups
    groups = groups[
        groups["muni_code_2015"].isin(units.loc[units["is_constant"], "muni_code_2015"])
        & groups["year"].between(*years)
    ]
    if measures != ["establishments"]:
        is_told = (groups[[f"{each}_status" for each in measures]] == "observed").all(axis=1)
        groups = groups[is_told]
        of_unit = groups.groupby(["muni_code_2015", "industry_group"])["year"]
        groups = groups[of_unit.transform("size") == years[1] - years[0] + 1]
    sums = groups.groupby(["pref_code", "industry_group", "year"], as_index=False)[measures].sum()
    sums = sums[(sums[measures] > 0).all(axis=1)]
    logs = np.log(sums[measures[0]])
    if len(measures) == 2:
        logs = logs - np.log(sums[measures[1]])
    renamed = sums.rename(columns={"industry_group": "industry", "year": "fy"})
    return renamed[[*CELL, "fy"]].assign(log_outcome=logs)


def cell_sample(study: Study, finer: FinerStudy, design: Design, units: pd.DataFrame) -> Sample:
    """Take the cells and years of a design from the census by municipality.

    Parameters
    ----------
    study : Study
    finer : FinerStudy
    design : Design
    units : DataFrame
        ``block``, ``industry``, ``is_targeted`` and ``is_apart`` of every block and group.

    Returns
    -------
    Sample
        As ``effects.cell_sample`` gives it.
    """
    years = design.baseline_years[0], design.term_years[1]
    rows = cell_rows(finer, design.outcome, years)
    steps = [("cell-years of municipalities reported in full", len(rows))]
    blocks = study.prefectures[["pref_code", "block"]]
    rows = rows.merge(blocks, on="pref_code", validate="many_to_one")
    rows = rows.merge(units, on=["block", "industry"], validate="many_to_one")
    rows = rows[~rows["is_apart"]]
    steps.append(("not targeted in other terms only", len(rows)))
    rows = rows.assign(in_term=rows["fy"].between(*design.term_years))
    by_cell = rows.groupby(CELL)["in_term"]
    rows = rows[by_cell.transform("any") & ~by_cell.transform("all")]
    steps.append(("cells seen in baseline and term", len(rows)))
    columns = [*CELL, "block", "fy", "is_targeted", "in_term", "log_outcome"]
    rows = rows[columns].sort_values([*CELL, "fy"], ignore_index=True)
    return Sample(design, rows, pd.DataFrame(steps, columns=["step", "rows"]))


def estimate_outcomes(
    study: Study, finer: FinerStudy, number: int, draws: int = DRAWS
) -> pd.DataFrame:
    """Estimate every further outcome of a term, on both clocks and in both readings.

    Returns
    -------
    DataFrame
        One record a row; for the first term, records that say why there is none.
    """
    maps = exposure.read_maps()
    stamp = synthetic.stamp_of(study.targets, study.terms, finer.municipal_groups, finer.units)
    labels = study.outcomes.set_index("outcome")["label"]
    records = []
    for fields_map in policy.FIELDS_MAPS:
        units = exposure.mark_units(exposure.targeted_groups(study, fields_map, maps), number)
        units = units[["block", "industry", "is_targeted", "is_apart"]]
        for clock in policy.CLOCKS:
            term = policy.choose_term(study.terms, number, clock)
            for outcome in MEASURES:
                design = Design(
                    term, BASE, fields_map, effects.MAIN_SAMPLE, FIRST_YEAR, LAST_YEAR, outcome
                )
                common = {
                    "result_id": f"t{number}-{clock}-{fields_map}-{BASE}-{outcome}",
                    "term": number,
                    "outcome": outcome,
                    "outcome_label": labels[outcome],
                    "design": DESIGN,
                    "role": "check",
                    "base": BASE,
                    "clock": clock,
                    "fields_map": fields_map,
                    "sample": "municipalities reported in full",
                    "input_hash": stamp,
                }
                if number not in TERMS:
                    reason = "0 years before the term: industries are reported from 2001"
                    records.append(Estimate(**common, status="not estimable", reason=reason))
                    continue
                sample = cell_sample(study, finer, design, units)
                records.append(_record(sample, common, draws))
    families = study.outcomes.set_index("outcome")["family"]
    return adjust_within_family(results.to_frame(records), families)


def _record(sample: Sample, common: dict, draws: int) -> Estimate:
    design, cells = sample.design, sample.cells
    common = {
        **common,
        "n_cells": len(cells),
        "n_targeted": int(cells["is_targeted"].sum()),
        "n_blocks": int(cells["block"].nunique()),
        "n_observations": len(sample.rows),
        "baseline_years": f"{design.baseline_years[0]}-{design.baseline_years[1]}",
        "term_years": f"{design.term_years[0]}-{design.term_years[1]}",
    }
    reason = inference.why_not_estimable(sample)
    if reason:
        return Estimate(**common, status="not estimable", reason=reason)
    difference = effects.TripleDifference(sample)
    assignments = inference.permute_targets(cells, draws)
    test = inference.permutation_test(difference.contrast, assignments)
    before = inference.event_study(sample, assignments)
    grade = results.grade_design(DESIGN, has_comparison=True)
    grade = results.cap_grade(grade, before.pretrend_p, percent(before.pretrend_detectable))
    return Estimate(
        **common,
        estimate=percent(test.estimate),
        low=percent(test.low),
        high=percent(test.high),
        p_value=test.p_value,
        smallest_p=assignments.smallest_p,
        draws=test.draws,
        std_error=100 * difference.std_error,
        vcov_group="pref_code",
        n_groups=difference.n_groups,
        mde=percent(inference.smallest_detectable(test.spread)),
        pretrend_p=before.pretrend_p,
        pretrend_detectable=percent(before.pretrend_detectable),
        grade=grade,
    )


def adjust_within_family(records: pd.DataFrame, families: pd.Series) -> pd.DataFrame:
    """Adjust p-values within each family of outcomes, on each clock and in each reading.

    Parameters
    ----------
    records : DataFrame
        One record per outcome, clock and reading.
    families : Series
        Family by outcome (table ``outcomes``).

    Returns
    -------
    DataFrame
        `records` with ``adjusted_p`` (Holm).
    """
    keys = [records["outcome"].map(families), records["clock"], records["fields_map"]]
    adjusted = records["p_value"].groupby(keys).transform(crosschecks.adjust_by_holm)
    return records.assign(adjusted_p=adjusted)
