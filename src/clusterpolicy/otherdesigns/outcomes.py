"""Further outcomes, at the finest unit that the figures allow: municipality x industry group.

Plants, jobs, shipments and shipments per job of cells seen in every year, and whether a cell lost
its last plant or got a first one. Cells are compared within their municipality and industry, with
effects of both; targets are those of the block and industry that a cell lies in.
"""

import numpy as np
import pandas as pd

from clusterpolicy import crosschecks, effects, inference, policy, results
from clusterpolicy.effects import Design, Sample
from clusterpolicy.estimation import huber
from clusterpolicy.finerdata.finer import FinerStudy
from clusterpolicy.otherdesigns import exposure, services, synthetic
from clusterpolicy.panel import Study
from clusterpolicy.results import Estimate

DESIGN = "triple difference"
BASE = "census"
PLACE = "muni_code_2015"
# 2001 was coded by another revision and sampled before newspapers and publishing left.
FIRST_YEAR, LAST_YEAR = 2002, 2012
TERMS = (2, 3)  # no municipality's industries are reported before 2001
PLANTS = "establishments"
MEASURES = {
    "establishments": (PLANTS,),
    "employees": ("employees",),
    "shipments": ("shipments_million_yen",),
    "shipments_per_employee": ("shipments_million_yen", "employees"),
}
# A cell with plants in every year of the baseline that has none at the end of the term, and one
# without in any year of the baseline that has some.
LOST, GAINED = "last_plant_lost", "first_plant_gained"
EXTENSIVE = (LOST, GAINED)
PRECISION_BINS = 20
CLIPPED = 3  # scales


def cell_sample(study: Study, finer: FinerStudy, design: Design, units: pd.DataFrame) -> Sample:
    """Take the cells and years of a design from the census by municipality.

    Parameters
    ----------
    study : Study
    finer : FinerStudy
    design : Design
        ``outcome`` is a key of ``MEASURES`` or one of ``EXTENSIVE``.
    units : DataFrame
        ``block``, ``industry``, ``is_targeted`` and ``is_apart`` of every block and group.

    Returns
    -------
    Sample
        Rows as ``effects.cell_sample`` gives them, with ``muni_code_2015`` and ``precision``.
    """
    years = design.baseline_years[0], design.term_years[1]
    counts = _counts(finer, years)
    steps = [("cell-years of municipalities of constant coverage", len(counts))]
    rows = _share_rows(counts, design) if design.outcome in EXTENSIVE else _log_rows(counts, design)
    steps.append(("cells seen in every year", len(rows)))
    rows = rows.merge(
        study.prefectures[["pref_code", "block"]], on="pref_code", validate="many_to_one"
    )
    rows = rows.merge(units, on=["block", "industry"], validate="many_to_one")
    rows = rows[~rows["is_apart"]]
    steps.append(("not targeted in other terms only", len(rows)))
    rows = _without_lone_cells(rows.assign(in_term=rows["fy"].between(*design.term_years)))
    steps.append(("in municipalities with two cells or more", len(rows)))
    columns = [PLACE, "pref_code", "industry", "block", "fy", "is_targeted", "in_term"]
    rows = rows[[*columns, "log_outcome", "plants"]].sort_values(
        [PLACE, "industry", "fy"], ignore_index=True
    )
    k = huber.LEAST_SQUARES if design.outcome in EXTENSIVE else huber.K
    sample = Sample(design, rows, pd.DataFrame(steps, columns=["step", "rows"]), PLACE, k)
    return _weighted(sample)


def _counts(finer: FinerStudy, years: tuple[int, int]) -> pd.DataFrame:
    """Return the census of the municipalities whose industries are reported throughout."""
    units, groups = finer.units, finer.municipal_groups
    constant = units.loc[units["is_constant"], PLACE]
    kept = groups[PLACE].isin(constant) & groups["year"].between(*years)
    return groups[kept].rename(columns={"industry_group": "industry", "year": "fy"})


def _log_rows(counts: pd.DataFrame, design: Design) -> pd.DataFrame:
    """Return the logs of a measure, of the cells in which it is seen and positive.

    Plants are never suppressed: a cell counts if it has some before the term and in it. Jobs and
    shipments are suppressed where there are one or two plants: a cell counts if seen in every year,
    so that being reported is never told as growth.
    """
    measures = list(MEASURES[design.outcome])
    is_seen = (counts[[f"{each}_status" for each in measures]] == "observed").all(axis=1)
    rows = counts[is_seen & (counts[measures] > 0).all(axis=1)]
    logs = np.log(rows[measures[0]])
    if len(measures) == 2:
        logs = logs - np.log(rows[measures[1]])
    rows = rows.assign(log_outcome=logs)
    by_cell = rows.groupby([PLACE, "industry"])["fy"]
    if design.outcome == PLANTS:
        first = design.term_years[0]
        rows = rows[(by_cell.transform("min") < first) & (by_cell.transform("max") >= first)]
    else:
        n_years = design.term_years[1] - design.baseline_years[0] + 1
        rows = rows[by_cell.transform("size") == n_years]
    before = rows[rows["fy"] < design.term_years[0]].groupby([PLACE, "industry"])[PLANTS].mean()
    return rows.merge(
        before.rename("plants"), left_on=[PLACE, "industry"], right_index=True, validate="m:1"
    )


def _share_rows(counts: pd.DataFrame, design: Design) -> pd.DataFrame:
    """Return two rows a cell: without the event at the end of the baseline, and whether it came.

    At risk of losing its last plant is a cell with plants in every year of the baseline; of
    getting a first one, an industry of the municipality without any in that time.
    """
    plants = counts.pivot_table(
        index=[PLACE, "pref_code", "industry"], columns="fy", values=PLANTS, aggfunc="sum"
    )
    places = plants.index.droplevel("industry").unique()
    industries = plants.index.get_level_values("industry").unique().sort_values()
    every = pd.MultiIndex.from_tuples(
        [(*place, industry) for place in places for industry in industries],
        names=plants.index.names,
    )
    plants = plants.reindex(every).fillna(0)
    before = plants.loc[:, design.baseline_years[0] : design.base_year]
    at_end = plants[design.term_years[1]]
    if design.outcome == LOST:
        at_risk, happened = (before > 0).all(axis=1), at_end == 0
    else:
        at_risk, happened = (before == 0).all(axis=1), at_end > 0
    kept = happened[at_risk].astype(float).rename("log_outcome").reset_index()
    after = kept.assign(fy=design.term_years[1], plants=1.0)
    return pd.concat([after, after.assign(fy=design.base_year, log_outcome=0.0)])


def _without_lone_cells(rows: pd.DataFrame) -> pd.DataFrame:
    """Leave out cells that their municipality's effect would absorb."""
    return rows[rows.groupby(PLACE)["industry"].transform("nunique") > 1]


def _weighted(sample: Sample) -> Sample:
    """Give each cell its precision: the fewer plants, the noisier its change.

    The variance of a change is taken as ``a + b / plants``, fitted to the mean squared residual of
    cells of like size (residuals without targets, clipped at three scales), so that it is the same
    whatever the targets were.
    """
    plants = sample.rows.drop_duplicates(sample.keys)["plants"].to_numpy()
    if np.ptp(plants) == 0:
        return sample
    changes = effects.cell_changes(sample)
    layout, outcome = changes.layout, changes.change[None, :]
    fit = huber.fit(layout, outcome)
    residual = np.clip(fit.residual[0], -CLIPPED * fit.scale[0], CLIPPED * fit.scale[0])
    order = np.argsort(plants, kind="stable")
    bins = np.array_split(order, min(PRECISION_BINS, len(order)))
    spread = [np.mean(residual[each] ** 2) for each in bins]
    inverse = [np.mean(1 / plants[each]) for each in bins]
    slope, constant = np.polyfit(inverse, spread, 1)
    least = max(constant, 0.05 * float(np.mean(spread)))
    variance = least + max(slope, 0) / plants
    weight = variance.min() / variance
    cell = sample.rows.groupby(sample.keys, sort=False).ngroup().to_numpy()
    return Sample(
        sample.design,
        sample.rows.assign(precision=weight[cell]),
        sample.lost,
        sample.place,
        sample.k,
    )


def estimate_outcomes(
    study: Study, finer: FinerStudy, number: int, draws: int = inference.DRAWS
) -> pd.DataFrame:
    """Estimate every further outcome of a term, by the declared test, in both readings.

    On the other clock only estimate, interval and p-value are made.

    Returns
    -------
    DataFrame
        Records of ``results.estimate_sample``; for a term that the figures do not reach, records
        that say why there is none.
    """
    maps = exposure.read_maps()
    stamp = synthetic.stamp_of(study.targets, study.terms, finer.municipal_groups, finer.units)
    records: list[Estimate] = []
    for fields_map in policy.FIELDS_MAPS:
        units = exposure.mark_units(exposure.targeted_groups(study, fields_map, maps), number)
        units = units[["block", "industry", "is_targeted", "is_apart"]]
        for clock in policy.CLOCKS:
            term = policy.choose_term(study.terms, number, clock)
            for outcome in (*MEASURES, *EXTENSIVE):
                design = Design(
                    term, BASE, fields_map, effects.MAIN_SAMPLE, FIRST_YEAR, LAST_YEAR, outcome
                )
                if number in TERMS:
                    sample = cell_sample(study, finer, design, units)
                    common = results.common_fields(sample, study, stamp)
                    is_brief = clock != policy.CLOCKS[0]
                    records += results.estimate_sample(sample, common, study, draws, is_brief)
                else:
                    records.append(_none(study, design, stamp))
    for design in services.designs_of_term(study, number):
        sample = services.cell_sample(study, design)
        common = results.common_fields(sample, study, synthetic.stamp_of(study.sector_panel))
        is_brief = design.term.clock != policy.CLOCKS[0]
        records += results.estimate_sample(sample, common, study, draws, is_brief)
    families = study.outcomes.set_index("outcome")["family"]
    return adjust_within_family(_cap_brief(results.to_frame(records)), families)


def _cap_brief(records: pd.DataFrame) -> pd.DataFrame:
    """Give an estimate of the other clock no better grade than that of the first one.

    Its earlier years are not tested again, and being tested less is no merit.
    """
    first = records[(records["clock"] == policy.CLOCKS[0]) & (records["status"] == "estimated")]
    keys = ["outcome", "fields_map", "base", "sample"]
    highest = first.groupby(keys)["grade"].min()
    known = highest.reindex(pd.MultiIndex.from_frame(records[keys])).to_numpy()
    return records.assign(grade=np.fmin(records["grade"], known).astype(int))


def _none(study: Study, design: Design, stamp: str) -> Estimate:
    """Return the record that says why a term has no estimate of an outcome."""
    no_cells = pd.DataFrame(columns=["pref_code", "industry", "block", "is_targeted"])
    sample = Sample(design, no_cells.assign(fy=0, in_term=False), pd.DataFrame())
    common = results.common_fields(sample, study, stamp)
    reason = "0 years before the term: industries are reported from 2001"
    return Estimate(**common, status="not estimable", reason=reason)


def adjust_within_family(records: pd.DataFrame, families: pd.Series) -> pd.DataFrame:
    """Adjust p-values within each family of outcomes, on each clock and in each reading (Holm).

    Parameters
    ----------
    records : DataFrame
    families : Series
        Family by outcome (table ``outcomes``).
    """
    keys = [
        records["outcome"].map(families),
        *(records[k] for k in ("clock", "fields_map", "base")),
    ]
    is_estimate = (records["design"] == "triple difference") & (records["role"] == "main")
    p_values = records["p_value"].where(is_estimate)
    adjusted = p_values.groupby(keys).transform(crosschecks.adjust_by_holm)
    return records.assign(adjusted_p=adjusted)
