"""The record of every estimate: made once, saved once, read by everything that prints a number."""

import hashlib
import math
import os
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from clusterpolicy import clusters, crosschecks, effects, inference, sources
from clusterpolicy.estimation import huber
from clusterpolicy.estimation.influence import far_cells, most_influential
from clusterpolicy.estimation.scoretest import ScoreTest
from clusterpolicy.panel import Study

# Maryland scientific methods scale; difference-in-differences designs stop at 3.
HIGHEST_GRADE = {
    "triple difference": 3,
    "event study": 3,
    "baseline comparison": 1,
    "count": 1,
    "equivalence": 3,
    "synthetic difference-in-differences": 3,
    "gap to elsewhere": 1,
    "staggered": 3,
    "exposure": 3,
    "exposure by year": 3,
    "specification": 3,
    "specification curve": 3,
    "share of variance": 1,
    "placebo date": 3,
    "placebo industry": 3,
    "leave one out": 3,
    "leave one cell out": 3,
    "spillover": 3,
    "other programmes": 3,
    "selection": 3,
}
HIGHEST_GRADE_WITHOUT_COMPARISON = 2
# Paths that already differed before the term make the comparison no better than an adjusted one.
GRADE_AFTER_PRETREND = 2
PRETREND_LEVEL = 0.05
# Percent in one year, four times the margin of indifference: a test of the years before the term
# that would not see a difference as large as this has not shown that the paths were alike.
PRETREND_BLIND = 20.0
# Fields that may be empty in all rows of a table: read as text all the same.
TEXT_FIELDS = (
    *("reason", "vcov_group", "influence_cell", "left_out", "input_hash"),
    *("pref_code", "industry"),
)
# Designs whose records are of whichever outcome they name.
OF_OUTCOMES = ("triple difference", "leave one cell out")
CHECK_DRAWS = 1_999  # reassignments where a sample leaves cells or years out


@dataclass(frozen=True)
class Estimate:
    """One estimate: all that any sentence, table or figure about it may use.

    Estimates of effects are in percent, ``100 (exp(b) - 1)`` for a coefficient ``b`` of a log
    outcome; ``std_error`` is that of ``100 b``. A number that is not defined is NaN.

    Attributes
    ----------
    result_id : str
        Unique name.
    term : int
    outcome, outcome_label, design, role, base, clock, fields_map, sample : str
        What was estimated, how, in which figures and for whom; role is ``main`` or ``check``.
    year : int or None
        Fiscal year, for event studies.
    estimate, low, high, band_low, band_high : float
        Estimate, ends of its interval and of the simultaneous band.
    unit : str
    level : float
        Level of interval and band.
    p_value, smallest_p : float
        p-value of no effect, and the smallest that the draws allow.
    adjusted_p : float
        p-value within its family: the years of one event study (step-down over shared draws), or
        the readings of the fields map of one term, clock and design (Holm).
    method : str
        Method of inference.
    draws : int
    std_error : float
        Clustered by ``vcov_group``, a cross-check.
    vcov_group : str
    n_groups : int
    wild_p, wild_low, wild_high : float
        Wild cluster bootstrap by ``vcov_group``, another cross-check; same unit as the estimate.
    block_p, block_low, block_high : float
        The same test studentised by the larger of the variances by unit and by block, a check
        against a shock that all targeted industries of a block share; same unit as the estimate.
    least_squares : float
        The estimate without clipping; same unit.
    influence_cell : str
        Prefecture (or municipality) and industry of the cell that moves the estimate most.
    without_estimate, without_low, without_high : float
        Estimate and interval without that cell; same unit.
    effective_targeted : float
        Effective number of targeted cells: how many equal ones their shares of the score's
        variance are worth.
    left_out : str
        What a refit leaves out: ``project ...``, ``block ...`` or ``cell ...``.
    distance : float
        Of a cell left out: its residual in scales of the residuals.
    mde : float
        Minimum detectable effect, same unit as the estimate.
    n_cells, n_targeted, n_units, n_blocks, n_observations : int
        ``n_units`` counts the targeted units (block x industry).
    baseline_years, term_years : str
        ``"1996-2000"``.
    pretrend_p, pretrend_detectable : float
        Test of the years before the term and the difference in one of them it would find.
    from_base_year : float
        Mean of the years of the term against the last year before it alone.
    breakdown, honest_low, honest_high : float
        How many times the largest change before the term a change in the term may be for that
        mean still to differ from zero, and its interval at once that change.
    grade : int
    status, reason : str
        ``estimated`` or ``not estimable``, and why.
    input_hash : str
        First 12 digits of the SHA-256 of the clean tables used.
    """

    result_id: str
    term: int
    outcome: str
    outcome_label: str
    design: str
    role: str
    base: str
    clock: str
    fields_map: str
    sample: str
    year: int | None = None
    estimate: float = math.nan
    low: float = math.nan
    high: float = math.nan
    band_low: float = math.nan
    band_high: float = math.nan
    unit: str = "percent"
    level: float = inference.LEVEL
    p_value: float = math.nan
    smallest_p: float = math.nan
    adjusted_p: float = math.nan
    method: str = "permutation of targets over blocks"
    draws: int = 0
    std_error: float = math.nan
    vcov_group: str = ""
    n_groups: int = 0
    wild_p: float = math.nan
    wild_low: float = math.nan
    wild_high: float = math.nan
    block_p: float = math.nan
    block_low: float = math.nan
    block_high: float = math.nan
    least_squares: float = math.nan
    influence_cell: str = ""
    without_estimate: float = math.nan
    without_low: float = math.nan
    without_high: float = math.nan
    effective_targeted: float = math.nan
    left_out: str = ""
    distance: float = math.nan
    mde: float = math.nan
    n_cells: int = 0
    n_targeted: int = 0
    n_units: int = 0
    n_blocks: int = 0
    n_observations: int = 0
    baseline_years: str = ""
    term_years: str = ""
    pretrend_p: float = math.nan
    pretrend_detectable: float = math.nan
    from_base_year: float = math.nan
    breakdown: float = math.nan
    honest_low: float = math.nan
    honest_high: float = math.nan
    grade: int = 0
    status: str = "estimated"
    reason: str = ""
    input_hash: str = ""


def cap_grade(grade: int, pretrend_p: float, pretrend_detectable: float) -> int:
    """Lower a grade where the years before the term do not show that the paths were alike.

    They do not if the paths differed, or if the test would not have seen it had they differed by
    ``PRETREND_BLIND`` percent. Designs without a test of earlier years (NaN) keep their grade.
    """
    if pretrend_p <= PRETREND_LEVEL or pretrend_detectable > PRETREND_BLIND:
        return min(grade, GRADE_AFTER_PRETREND)
    return grade


def grade_design(design: str, has_comparison: bool, claimed: int | None = None) -> int:
    """Return the grade a design earns, 0 to 5 on the Maryland scale.

    Parameters
    ----------
    design : str
        Key of ``HIGHEST_GRADE``.
    has_comparison : bool
        Whether there is an untreated comparison.
    claimed : int, optional
        Grade asked for; the highest allowed if not given.

    Raises
    ------
    ValueError
        If more is claimed than the design, or the lack of a comparison, allows.
    """
    highest = HIGHEST_GRADE[design]
    if not has_comparison:
        highest = min(highest, HIGHEST_GRADE_WITHOUT_COMPARISON)
    if claimed is None:
        return highest
    if not 0 <= claimed <= highest:
        raise ValueError(
            f"grade: found {claimed} for design {design!r} "
            f"{'with' if has_comparison else 'without'} an untreated comparison: "
            f"at most {highest} is allowed"
        )
    return claimed


def estimate_term(study: Study, number: int, draws: int = inference.DRAWS) -> pd.DataFrame:
    """Estimate everything the report of one term says.

    The triple difference on both clocks, both fields maps, every base and every sample; in term 2
    also that of cells which both terms targeted, and in terms 1 and 2 that which counts projects
    of unknown start; the event study of each main design; the
    comparison of targeted and other cells at the baseline.

    Parameters
    ----------
    study : Study
    number : int
        Policy term.
    draws : int
        Reassignments of each permutation test.

    Returns
    -------
    DataFrame
        One :class:`Estimate` a row.
    """
    stamp = input_stamp(study)
    records: list[Estimate] = []
    listed = effects.designs_of_term(study, number)
    if number == 2:
        listed += [effects.continued_design(design) for design in listed if design.is_main]
    if number in effects.UNKNOWN_START_TERMS:
        listed += [effects.unknown_start_design(design) for design in listed if design.is_main]
    for designs in _same_years(listed):
        sample = effects.cell_sample(study, designs[0])
        common = common_fields(sample, study, stamp)
        own = estimate_sample(sample, common, study, draws)
        for design in designs:
            records += [_on_clock(record, design.term.clock) for record in own]
    return _adjust_readings(_cap_checks(to_frame(records)))


def _same_years(designs: list[effects.Design]) -> list[list[effects.Design]]:
    """Group designs that differ in the clock only by name: the same years, estimated once."""
    groups: dict[tuple, list[effects.Design]] = {}
    for design in designs:
        years = design.baseline_years, design.term_years
        key = (*years, design.base, design.fields_map, design.sample)
        groups.setdefault(key, []).append(design)
    return list(groups.values())


def _cap_checks(table: pd.DataFrame) -> pd.DataFrame:
    """Give no check a better grade than the main estimate of its term, clock and reading."""
    mains = table[(table["role"] == "main") & (table["design"] == "triple difference")]
    keys = ["term", "clock", "fields_map"]
    highest = mains.set_index(keys)["grade"]
    of_main = highest.reindex(pd.MultiIndex.from_frame(table[keys])).to_numpy()
    is_known = np.isfinite(of_main.astype(float))
    return table.assign(
        grade=np.where(is_known, np.fmin(table["grade"], of_main), table["grade"]).astype(int)
    )


def _adjust_readings(table: pd.DataFrame) -> pd.DataFrame:
    """Adjust the p-values of the triple differences for there being two readings of the fields."""
    triple = table[table["design"] == "triple difference"]
    families = triple.groupby(["clock", "base", "sample"])
    adjusted = families["p_value"].transform(crosschecks.adjust_by_holm)
    return table.assign(adjusted_p=table["adjusted_p"].fillna(adjusted))


def _on_clock(record: Estimate, clock: str) -> Estimate:
    renamed = record.result_id.replace(f"-{record.clock}-", f"-{clock}-", 1)
    return replace(record, clock=clock, result_id=renamed)


def common_fields(sample: effects.Sample, study: Study, stamp: str) -> dict:
    """Return what all records of one sample say: outcome, unit, who is compared, in which years."""
    design, cells = sample.design, sample.cells
    outcome = study.outcomes.set_index("outcome").loc[design.outcome]
    slug = re.sub(r"[^a-z0-9]+", "-", design.sample.lower()).strip("-")
    own = [] if design.outcome == "product" else [design.outcome.replace("_", "-")]
    clock, fields_map = design.term.clock, design.fields_map
    parts = [f"t{design.term.number}", clock, fields_map, design.base, *own, slug]
    return {
        "result_id": "-".join(parts),
        "term": design.term.number,
        "outcome": design.outcome,
        "outcome_label": outcome["label"],
        "unit": outcome["effect_unit"],
        "design": "triple difference",
        "role": "main" if design.is_main else "check",
        "base": design.base,
        "clock": clock,
        "fields_map": fields_map,
        "sample": design.sample,
        "n_cells": len(cells),
        "n_targeted": int(cells["is_targeted"].sum()),
        "n_blocks": cells["block"].nunique(),
        "n_observations": len(sample.rows),
        "baseline_years": _span(design.baseline_years),
        "term_years": _span(design.term_years),
        "input_hash": stamp,
    }


def estimate_sample(
    sample: effects.Sample,
    common: dict,
    study: Study,
    draws: int = inference.DRAWS,
    is_brief: bool = False,
) -> list[Estimate]:
    """Return the records of one sample: its estimate, and for a main one what stands beside it.

    Parameters
    ----------
    sample : effects.Sample
        Of any outcome; the records are of that outcome.
    common : dict
        What all records of the sample say (:func:`common_fields`).
    study : Study
    draws : int
        Reassignments.
    is_brief : bool
        Nothing but estimate, interval and p-value.

    Returns
    -------
    list of Estimate
        The estimate; for a main one also without each cell that stands far from all others and, of
        output, by year and how cells differed before.
    """
    is_output = sample.design.outcome == "product"
    is_main, in_unit = common["role"] == "main" and not is_brief, unit_of(sample)
    is_brief |= sample.design.sample not in (effects.MAIN_SAMPLE, effects.CONTINUED)
    if is_brief:
        draws = min(draws, CHECK_DRAWS)
    if reason := inference.why_not_estimable(sample):
        return [Estimate(**common, status="not estimable", reason=reason)]
    assignments = inference.permute_targets(sample.cells, draws)
    test = inference.score_test(effects.cell_changes(sample), assignments, sample.k)
    if math.isnan(test.estimate):
        reason = "effects of place and industry absorb the targets"
        return [Estimate(**common, status="not estimable", reason=reason)]
    common = {
        **common,
        "draws": draws,
        "smallest_p": assignments.smallest_p,
        "n_units": assignments.n_targeted_units,
        "grade": grade_design("triple difference", has_comparison=True),
    }
    own = _tested(test, in_unit)
    if not is_brief:
        own["mde"] = in_unit(inference.detectable_effect(test))
    records, years = [], None
    if is_main:
        own |= _checked(sample, test, assignments)
        if sample.k != huber.LEAST_SQUARES:
            own |= _years_before(sample, assignments)
            common["grade"] = cap_grade(
                common["grade"], own["pretrend_p"], own["pretrend_detectable"]
            )
            records += _far_records(common, sample, test, assignments)
    if is_main and is_output:
        own |= _cross_checked(sample, draws)
        years = inference.event_study(sample, assignments)
        own |= _honest_fields(years, sample.design.base_year)
        records += [_year_record(common, row) for row in years.years.itertuples()]
        records += _baseline_records(common, sample, study)
    return [Estimate(**common, **own), *records]


def unit_of(sample: effects.Sample) -> Callable[[float], float]:
    """Return what turns a coefficient into percent or, of a share, into percentage points."""
    return _points if sample.k == huber.LEAST_SQUARES else _percent


def _years_before(sample: effects.Sample, assignments: inference.Assignments) -> dict:
    found = inference.pretrend_test(sample, assignments)
    return {
        "pretrend_p": found.p_value,
        "pretrend_detectable": _percent(found.detectable),
    }


def _tested(test: ScoreTest, in_unit: Callable[[float], float]) -> dict:
    """Return the declared estimate and its test."""
    found = inference.summarise(test)
    return {
        "estimate": in_unit(found.estimate),
        "low": in_unit(found.low),
        "high": in_unit(found.high),
        "p_value": found.p_value,
        "std_error": 100 * test.std_error,
        "vcov_group": "block x industry",
        "n_groups": test.n_units,
        "effective_targeted": test.effective_cells(),
    }


def _checked(sample: effects.Sample, test: ScoreTest, assignments: inference.Assignments) -> dict:
    """Return the checks of the estimate: by block, without clipping, without one cell."""
    in_unit = unit_of(sample)
    blocks = inference.permutation_test(test.changes, assignments, k=test.k, by_block=True)
    plain = huber.fit(
        test.changes.layout, test.changes.change[None, :], test.actual, k=huber.LEAST_SQUARES
    )
    influence = most_influential(test)
    without = _without(test, assignments, influence.cell)
    return {
        "block_p": blocks.p_value,
        "block_low": in_unit(blocks.low),
        "block_high": in_unit(blocks.high),
        "least_squares": in_unit(float(plain.slope[0])),
        "influence_cell": name_cell(sample, influence.cell),
        "without_estimate": in_unit(without.estimate),
        "without_low": in_unit(without.low),
        "without_high": in_unit(without.high),
    }


def _cross_checked(sample: effects.Sample, draws: int) -> dict:
    """Return the wild cluster bootstrap of the least-squares triple difference."""
    wild = crosschecks.wild_bootstrap(effects.TripleDifference(sample), draws=draws)
    return {
        "wild_p": wild.p_value,
        "wild_low": _percent(wild.low),
        "wild_high": _percent(wild.high),
    }


def _far_records(
    common: dict, sample: effects.Sample, test: ScoreTest, assignments: inference.Assignments
) -> list[Estimate]:
    """Return the estimate without each targeted cell whose change stands far from all others."""
    records, in_unit = [], unit_of(sample)
    for far in far_cells(test):
        name = name_cell(sample, far.cell)
        without = _without(test, assignments, far.cell)
        own = {
            "result_id": f"{common['result_id']}-without-{name.replace(' ', '-')}",
            "design": "leave one cell out",
            "role": "check",
            "n_cells": common["n_cells"] - 1,
            "n_targeted": common["n_targeted"] - 1,
        }
        records.append(
            Estimate(
                **{**common, **own},
                left_out=f"cell {name}",
                distance=far.distance,
                estimate=in_unit(without.estimate),
                low=in_unit(without.low),
                high=in_unit(without.high),
                p_value=without.p_value,
            )
        )
    return records


def _without(
    test: ScoreTest, assignments: inference.Assignments, cell: int
) -> inference.PermutationTest:
    kept = np.arange(len(test.actual)) != cell
    return inference.permutation_test(
        test.changes.of_cells(kept), assignments.of_cells(kept), k=test.k
    )


def name_cell(sample: effects.Sample, cell: int) -> str:
    """Return place and industry of a cell of the sample, e.g. ``"02 nonferrous_metals"``."""
    row = sample.cells.iloc[cell]
    return f"{row[sample.place]} {row['industry']}"


def _honest_fields(study_years: inference.EventStudy, base_year: int) -> dict:
    estimates = study_years.years.set_index("year")["estimate"]
    bounds = crosschecks.honest_bounds(estimates, study_years.covariance, base_year)
    return {
        "from_base_year": _percent(bounds.estimate),
        "breakdown": bounds.breakdown,
        "honest_low": _percent(bounds.low),
        "honest_high": _percent(bounds.high),
    }


def _year_record(common: dict, row) -> Estimate:
    own = {
        "result_id": f"{common['result_id']}-fy{row.year}",
        "design": "event study",
        "n_cells": row.n_cells,
        "n_targeted": row.n_targeted,
        "n_observations": 2 * row.n_cells,
    }
    return Estimate(
        **{**common, **own},
        year=int(row.year),
        estimate=_percent(row.estimate),
        low=_percent(row.low),
        high=_percent(row.high),
        band_low=_percent(row.band_low),
        band_high=_percent(row.band_high),
        p_value=row.p_value,
        adjusted_p=row.adjusted_p,
        mde=_percent(inference.smallest_detectable(row.spread)),
    )


def _baseline_records(common: dict, sample: effects.Sample, study: Study) -> list[Estimate]:
    records = []
    design = sample.design
    compared = clusters.compare_at_baseline(
        sample.cells, study.cell_panel, design.base, design.baseline_years
    )
    for position, row in enumerate(compared.itertuples(), start=1):
        own = {
            "result_id": f"{common['result_id']}-baseline-{position}",
            "design": "baseline comparison",
            "outcome": row.measure,
            "outcome_label": row.variable,
            "unit": "standard deviations",
            "method": "normal approximation",
            "draws": 0,
            "smallest_p": math.nan,
            "vcov_group": "",
            "n_groups": 0,
            "n_cells": row.n_targeted + row.n_other,
            "n_targeted": row.n_targeted,
            "n_observations": row.n_targeted + row.n_other,
            "grade": grade_design("baseline comparison", has_comparison=True),
        }
        estimate = {"estimate": row.value, "low": row.low, "high": row.high}
        records.append(Estimate(**{**common, **own}, **estimate))
    return records


def to_frame(records: list[Estimate]) -> pd.DataFrame:
    """Return records as a table, one row each, with stable column types."""
    table = pd.DataFrame([asdict(record) for record in records])
    return table.astype({"year": "Int64"})


def input_stamp(study: Study) -> str:
    """Return the first 12 digits of the SHA-256 of the tables that estimates are made from."""
    digest = hashlib.sha256()
    for table in (study.cell_panel, study.cells, study.terms):
        digest.update(table.to_csv(index=False, lineterminator="\n").encode())
    return digest.hexdigest()[:12]


def save_results(results: pd.DataFrame, name: str, folder: Path | None = None) -> Path:
    """Write results once, whole or not at all, as ``data/results/<name>.csv``."""
    folder = sources.RESULTS if folder is None else folder
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.csv"
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        results.to_csv(part, index=False, lineterminator="\n")
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
    return path


def load_results(names: list[str], folder: Path | None = None) -> pd.DataFrame:
    """Read the results saved under `names`, one after the other.

    Raises
    ------
    sources.InputMissing
        If one is missing; ``make report`` writes it.
    """
    folder = sources.RESULTS if folder is None else folder
    parts = []
    for name in names:
        path = folder / f"{name}.csv"
        if not path.is_file():
            raise sources.InputMissing(f"{sources.short_path(path)}: missing: run `make report`")
        text = dict.fromkeys(TEXT_FIELDS, str)
        part = pd.read_csv(
            path, dtype={**text, "year": "Int64"}, keep_default_na=False, na_values=[""]
        )
        parts.append(part.fillna(dict.fromkeys(TEXT_FIELDS, "")))
    return pd.concat(parts, ignore_index=True)


def choose(
    results: pd.DataFrame,
    design: str = "triple difference",
    role: str | None = None,
    outcome: str | None = "product",
    **conditions: object,
) -> pd.DataFrame:
    """Pick the rows of one design that meet `conditions` (column = value).

    Of the designs that are made for several outcomes only those of output, unless another
    `outcome` is named; None for all. Another `outcome` is looked for in every design.
    """
    chosen = results[results["design"] == design]
    if role is not None:
        chosen = chosen[chosen["role"] == role]
    if outcome is not None and (design in OF_OUTCOMES or outcome != "product"):
        chosen = chosen[chosen["outcome"] == outcome]
    for column, value in conditions.items():
        chosen = chosen[chosen[column] == value]
    return chosen.reset_index(drop=True)


def together(*tables: pd.DataFrame) -> pd.DataFrame:
    """Return the records of several tables as one."""
    return pd.concat(tables, ignore_index=True)


def choose_reading(results: pd.DataFrame, clock: str, fields_map: str) -> pd.DataFrame:
    """Return the records of one clock and one reading of the fields map."""
    chosen = (results["clock"] == clock) & (results["fields_map"] == fields_map)
    return results[chosen].reset_index(drop=True)


def label_designs(results: pd.DataFrame) -> pd.DataFrame:
    """Return the triple differences over all cells with a ``label`` of what tells them apart."""
    rows = choose(results, sample=effects.MAIN_SAMPLE)
    years = ["fields_map", "base", "baseline_years", "term_years"]
    on_both = rows.groupby(years)["clock"].transform("nunique") > 1
    clock = rows["clock"].where(~on_both, "either") + " clock, "
    label = clock + rows["fields_map"] + ", base " + rows["base"].str[1:]
    return rows.assign(label=label).drop_duplicates("label", ignore_index=True)


def as_balance(results: pd.DataFrame) -> pd.DataFrame:
    """Return the baseline comparison in the columns that ``figures.plot_balance`` draws."""
    rows = choose(results, design="baseline comparison")
    return rows.rename(columns={"outcome_label": "variable", "estimate": "value"})


def main_estimate(
    results: pd.DataFrame, term: int, clock: str, fields_map: str, outcome: str = "product"
) -> pd.Series:
    """Return the declared main estimate of an outcome in a term for one clock and reading.

    Raises
    ------
    KeyError
        If the results hold none or several.
    """
    rows = choose(
        results, role="main", term=term, clock=clock, fields_map=fields_map, outcome=outcome
    )
    if len(rows) != 1:
        raise KeyError(
            f"results: found {len(rows)} main estimates of {outcome} for term {term}, {clock}, "
            f"{fields_map}: "
            "run `make report` again"
        )
    return rows.iloc[0]


def _points(share: float) -> float:
    """Turn a difference in shares into percentage points."""
    return float(100 * share)


def _percent(log_value: float) -> float:
    """Turn a difference in logs into percent; the infinities into -100 and infinity."""
    return float(100 * np.expm1(log_value))


def _span(years: tuple[int, int]) -> str:
    return f"{years[0]}-{years[1]}"
