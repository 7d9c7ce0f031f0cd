"""Whether the estimate hangs on a choice: specification curve, placebos, one project left out.

Everything is refitted: cells and years are chosen again, effects taken out again, targets
reassigned again. All refits share their draws, so that they can be tested together.
"""

import itertools
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd

from clusterpolicy import effects, inference, policy, results
from clusterpolicy.effects import MAIN_SAMPLE, SAMPLES, Design
from clusterpolicy.estimation import huber, influence
from clusterpolicy.otherdesigns import refits
from clusterpolicy.otherdesigns.refits import Refit, SharedDraws, WidePanel
from clusterpolicy.panel import Study
from clusterpolicy.results import Estimate

CURVE, JOINT, SHARES = "specification", "specification curve", "share of variance"
PLACEBO_DATE, PLACEBO_INDUSTRY = "placebo date", "placebo industry"
LEFT_OUT = "leave one out"
EVERY_RULE = "all of these left out"
# The sample rules are left out one by one and all together; every other choice is crossed.
SHORT_BASELINE = 3  # years: the last ones before the term
UNWEIGHTED, WEIGHTED = "unweighted", "weighted by product before the term"
WHOLE_BASELINE, SHORT = "whole baseline", f"last {SHORT_BASELINE} years of the baseline"
DECLARED, PLAIN = "Huber", "least squares"
ESTIMATORS = {DECLARED: huber.K, PLAIN: huber.LEAST_SQUARES}
CHOICES = ("clock", "fields_map", "base", "sample", "weights", "baseline", "estimator")
LAST_TERM = max(effects.BASES_OF_TERM)  # its cells had all been targeted before it
MIN_YEARS = 2  # before and after a placebo date


@dataclass(frozen=True)
class Case:
    """One term, clock and reading of the fields, with its main design laid out.

    Attributes
    ----------
    study : Study
    design : Design
        The declared main design.
    panel : WidePanel
    shared : SharedDraws
        Draws of every refit of this case.
    grade : int
        Of the main estimate: a check earns no more.
    stamp : str
        Hash of the inputs.
    """

    study: Study
    design: Design
    panel: WidePanel
    shared: SharedDraws
    grade: int
    stamp: str

    @cached_property
    def main(self) -> Refit:
        """The main design, with the draws of this case."""
        return refits.refit(self.panel, self.shared)

    def record(self, panel: WidePanel, found: Refit | None, name: str, **own: object) -> Estimate:
        """Return the record of one refit; `own` holds what differs from the main design."""
        design = self.design
        slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
        label = self.study.outcomes.set_index("outcome").loc[design.outcome, "label"]
        plain: dict[str, object] = {
            "result_id": f"t{design.term.number}-{design.term.clock}-{design.fields_map}-{slug}",
            "term": design.term.number,
            "outcome": design.outcome,
            "outcome_label": label,
            "role": "check",
            "base": design.base,
            "clock": design.term.clock,
            "fields_map": design.fields_map,
            "sample": name,
            "n_cells": len(panel.cells),
            "n_targeted": int(panel.targets.sum()),
            "n_blocks": panel.cells["block"].nunique(),
            "n_observations": panel.n_seen,
            "baseline_years": _span(panel.years[~panel.in_term]),
            "term_years": _span(panel.years[panel.in_term]),
            "input_hash": self.stamp,
        }
        if found is not None:
            test = found.test
            plain |= {
                "estimate": percent(test.estimate),
                "low": percent(test.low),
                "high": percent(test.high),
                "p_value": test.p_value,
                "smallest_p": found.assignments.smallest_p,
                "draws": test.draws,
            }
        plain |= own
        if plain.get("status", "estimated") == "estimated":
            highest = results.grade_design(str(plain["design"]), has_comparison=True)
            plain["grade"] = min(highest, self.grade)
        return Estimate(**plain)

    def refit_record(self, panel: WidePanel, name: str, design: str, **own: object) -> Estimate:
        """Refit on a panel and return its record; say why if it has too little to go on."""
        if reason := inference.why_not_estimable(panel):
            return self.record(
                panel, None, name, design=design, status="not estimable", reason=reason, **own
            )
        return self.record(panel, refits.refit(panel, self.shared), name, design=design, **own)


def open_case(study: Study, main: Mapping[str, object], draws: int = refits.DRAWS) -> Case:
    """Lay out the main design of a term.

    Parameters
    ----------
    study : Study
    main : mapping
        Record of the main estimate (``results.main_estimate``).
    draws : int
        Reassignments of every refit.
    """
    design = effects.main_design(study, main["term"], main["clock"], main["fields_map"])
    panel = refits.widen(effects.cell_sample(study, design))
    shared = SharedDraws(study.cells["block"], draws)
    return Case(study, design, panel, shared, int(main["grade"]), str(main["input_hash"]))


@dataclass(frozen=True)
class Curve:
    """Every defensible specification, and what they say together.

    Attributes
    ----------
    table : DataFrame
        One row per specification: the ``CHOICES``, ``estimate``, ``low``, ``high`` (percent),
        ``p_value``, ``n_cells``, ``n_targeted`` and whether it ``is_main``.
    by_draw : ndarray, n_specifications x n_draws
        Estimate of each specification under each reassignment, percent.
    skipped : int
        Specifications that are not estimable.
    """

    table: pd.DataFrame
    by_draw: np.ndarray
    skipped: int


def specification_curve(study: Study, number: int, draws: int = refits.DRAWS) -> Curve:
    """Refit a term under every combination of choices.

    Clocks x fields maps x bases x samples x weights x windows of the baseline, and of the main
    sample, unweighted and over the whole baseline, least squares too: what clipping does is one
    question, not one for each of the other choices. Specifications that are the same figures (two
    clocks with the same years) count once.

    Parameters
    ----------
    study : Study
    number : int
        Policy term.
    draws : int
        Reassignments, shared by all specifications.
    """
    rows, panels = [], []
    for design, whole in _wide_designs(study, number):
        for sample, weights, baseline in itertools.product(
            _samples(design), (UNWEIGHTED, WEIGHTED), _baselines(design)
        ):
            panel = _specify(whole, design, sample, weights, baseline)
            dated = (design.term.clock, design.fields_map, design.base)
            is_plain = (sample, weights, baseline) == (MAIN_SAMPLE, UNWEIGHTED, WHOLE_BASELINE)
            for estimator in ESTIMATORS if is_plain else (DECLARED,):
                choice = (*dated, sample, weights, baseline, estimator)
                rows.append(dict(zip(CHOICES, choice, strict=True)))
                panels.append(panel)
    if not panels:
        raise ValueError(f"specification curve: found no design of term {number}: check the terms")
    shared = SharedDraws(study.cells["block"], draws)
    kept, by_draw = [], []
    for row, panel in zip(rows, panels, strict=True):
        if inference.why_not_estimable(panel):
            continue
        found = refits.refit(panel, shared, ESTIMATORS[row["estimator"]])
        if np.isnan(found.test.estimate):
            continue
        kept.append(
            {
                **row,
                "estimate": percent(found.test.estimate),
                "low": percent(found.test.low),
                "high": percent(found.test.high),
                "p_value": found.test.p_value,
                "n_cells": len(panel.cells),
                "n_targeted": int(panel.targets.sum()),
                "n_observations": panel.n_seen,
                "n_blocks": panel.cells["block"].nunique(),
                "baseline_years": _span(panel.years[~panel.in_term]),
                "term_years": _span(panel.years[panel.in_term]),
            }
        )
        by_draw.append(100 * np.expm1(found.by_draw))
    return Curve(pd.DataFrame(kept), np.array(by_draw), len(rows) - len(kept))


def _wide_designs(study: Study, number: int) -> Iterator[tuple[Design, WidePanel]]:
    """Yield each design over all cells once, though two clocks may date it alike."""
    seen = set()
    for design in effects.designs_of_term(study, number):
        key = (design.baseline_years, design.term_years, design.base, design.fields_map)
        if design.sample == MAIN_SAMPLE and key not in seen:
            seen.add(key)
            yield design, refits.widen(effects.cell_sample(study, design))


def _samples(design: Design) -> list[str]:
    named = [name for name, rule in SAMPLES.items() if rule.since_fy <= design.term_years[1]]
    return [*named, EVERY_RULE]


def _baselines(design: Design) -> list[str]:
    """Name the windows of the baseline: a shorter one counts if it leaves out two years or more."""
    first, last = design.baseline_years
    is_shorter = last - first + 1 >= SHORT_BASELINE + 2
    return [WHOLE_BASELINE, SHORT] if is_shorter else [WHOLE_BASELINE]


def _specify(
    whole: WidePanel, design: Design, sample: str, weights: str, baseline: str
) -> WidePanel:
    names = _samples(design)[:-1] if sample == EVERY_RULE else [sample]
    cells = np.ones(len(whole.cells), bool)
    years = np.ones(len(whole.years), bool)
    for rule in (SAMPLES[name] for name in names):
        cells &= ~whole.cells["pref_code"].isin(rule.prefectures).to_numpy()
        cells &= ~whole.cells["industry"].isin(rule.industries).to_numpy()
        years &= ~np.isin(whole.years, rule.years)
    if baseline == SHORT:
        years &= whole.in_term | (whole.years > design.base_year - SHORT_BASELINE)
    panel = whole.keep(cells, years)
    if any(SAMPLES[name].complete for name in names):
        panel = panel.complete()
    return panel if weights == UNWEIGHTED else replace(panel, weights=panel.baseline_product())


def curve_records(case: Case, curve: Curve) -> list[Estimate]:
    """Return a record of every specification, of the joint test and of each choice's share."""
    records = []
    for position, row in enumerate(curve.table.itertuples(), start=1):
        records.append(
            case.record(
                case.panel,
                None,
                f"specification {position}",
                design=CURVE,
                clock=row.clock,
                fields_map=row.fields_map,
                base=row.base,
                sample=f"{row.sample}; {row.weights}; {row.baseline}; {row.estimator}",
                estimate=row.estimate,
                low=row.low,
                high=row.high,
                p_value=row.p_value,
                draws=curve.by_draw.shape[1],
                n_cells=row.n_cells,
                n_targeted=row.n_targeted,
                n_blocks=row.n_blocks,
                n_observations=row.n_observations,
                baseline_years=row.baseline_years,
                term_years=row.term_years,
            )
        )
    for name, joint in joint_tests(curve).items():
        records.append(case.record(case.panel, None, name, design=JOINT, **joint))
    for choice, share in variance_shares(curve.table).items():
        records.append(
            case.record(
                case.panel,
                None,
                f"share of {choice}",
                design=SHARES,
                outcome=choice,
                outcome_label=f"share of the variance between specifications: {choice}",
                unit="percent of variance",
                estimate=100 * share,
                method="least squares on all choices, averaged over their orders",
            )
        )
    return records


def curve_table(checks: pd.DataFrame) -> pd.DataFrame:
    """Return the records of a specification curve with its ``CHOICES`` in columns, sorted."""
    rows = results.choose(checks, design=CURVE).sort_values("estimate", ignore_index=True)
    parts = [text.split("; ") for text in rows["sample"]]
    names = ["sample", "weights", "baseline", "estimator"]
    return rows.drop(columns="sample").join(pd.DataFrame(parts, columns=names))


def joint_tests(curve: Curve) -> dict[str, dict[str, object]]:
    """Test all specifications together against the reassignments they share [1]_.

    Two numbers sum a curve up: its median estimate, and the share of estimates with the sign that
    most have. Each is compared with what it is when targets are reassigned, in all specifications
    alike, so their dependence on one another needs no model.

    Returns
    -------
    dict
        Name to the fields of its record; ``low`` and ``high`` are the middle 95 % of the values
        under reassignment.

    References
    ----------
    .. [1] Simonsohn, Simmons and Nelson (2020), Nature Human Behaviour 4, 1208-1214; their
       resampling under the null is replaced by the permutation of targets.
    """
    estimates = curve.table["estimate"].to_numpy()
    draws = np.nan_to_num(curve.by_draw)  # an absorbed assignment shows no difference
    n_draws = draws.shape[1]
    median, by_draw = np.median(estimates), np.median(draws, axis=0)
    share, shares = _sign_share(estimates), _sign_share(draws)
    # A hair below, so that an assignment like the actual one counts as reaching it.
    reached_median = (np.abs(by_draw) >= abs(median) * (1 - 1e-9)).sum()
    reached_share = (shares >= share * (1 - 1e-9)).sum()
    plain = {
        "draws": n_draws,
        "smallest_p": 1 / (n_draws + 1),
        "method": "permutation of targets over blocks, the same in all specifications",
        "n_observations": len(estimates),
    }
    tail = 100 * (1 - inference.LEVEL) / 2
    limits = np.percentile(by_draw, [tail, 100 - tail])
    share_limits = np.percentile(shares, [tail, 100 - tail])
    return {
        "median of the curve": {
            **plain,
            "outcome": "median",
            "estimate": float(median),
            "low": float(limits[0]),
            "high": float(limits[1]),
            "p_value": float((1 + reached_median) / (n_draws + 1)),
        },
        "share of one sign": {
            **plain,
            "outcome": "sign",
            "unit": "percent of specifications",
            "estimate": float(100 * share),
            "low": float(100 * share_limits[0]),
            "high": float(100 * share_limits[1]),
            "p_value": float((1 + reached_share) / (n_draws + 1)),
        },
    }


def _sign_share(estimates: np.ndarray) -> np.ndarray:
    above = (estimates > 0).mean(axis=0)
    return np.maximum(above, (estimates < 0).mean(axis=0))


def variance_shares(table: pd.DataFrame) -> pd.Series:
    """Split the variance between specifications by the choice that makes it.

    Each choice gets what it adds to the R-squared of the regression of estimates on all choices,
    averaged over the orders in which they can be added [1]_; the rest belongs to combinations.

    Returns
    -------
    Series
        Share, 0 to 1, by choice; ``combinations`` last. Choices that never vary are left out.

    References
    ----------
    .. [1] Shapley's value of the R-squared: Lipovetsky and Conklin (2001), Applied Stochastic
       Models in Business and Industry 17(4), 319-330.
    """
    choices = [choice for choice in CHOICES if table[choice].nunique() > 1]
    values = (table["estimate"] - table["estimate"].mean()).to_numpy()
    explained = {}
    for size in range(len(choices) + 1):
        for chosen in itertools.combinations(choices, size):
            explained[frozenset(chosen)] = _r_squared(table[list(chosen)], values)
    shares = dict.fromkeys(choices, 0.0)
    orders = list(itertools.permutations(choices))
    for order in orders:
        for place, choice in enumerate(order):
            before = frozenset(order[:place])
            shares[choice] += (explained[before | {choice}] - explained[before]) / len(orders)
    return pd.Series({**shares, "combinations": 1 - explained[frozenset(choices)]})


def _r_squared(choices: pd.DataFrame, values: np.ndarray) -> float:
    if choices.empty or not values @ values:
        return 0.0
    columns = pd.get_dummies(choices, dtype=float).to_numpy()
    fitted = columns @ np.linalg.lstsq(columns, values, rcond=None)[0]
    return float(fitted @ fitted / (values @ values))


def placebo_dates(case: Case) -> list[Estimate]:
    """Pretend that the term began earlier, in years when it had not.

    Terms 1 and 2: the years before the term in each of its bases, as many as the base has, for the
    cells are untargeted in all of them. Term 3: the funded years, in which nothing was withdrawn.
    Windows are those of the term: as many years after the pretended start, and before it.
    """
    records = []
    for base in effects.BASES_OF_TERM[case.design.term.number]:
        years, panel = _years_before(case, base)
        length = case.design.term_years[1] - case.design.term_years[0] + 1
        before = case.design.baseline_years[1] - case.design.baseline_years[0] + 1
        for start in range(years[0] + MIN_YEARS, years[1] - MIN_YEARS + 2):
            window = (panel.years >= start - before) & (panel.years < start + length)
            moved = panel.keep(years=window, in_term=panel.years >= start)
            name = f"term begun in FY{start}, base {base[1:]}"
            own = {"base": base, "year": start}
            records.append(case.refit_record(moved, name, PLACEBO_DATE, **own))
    return records


def _years_before(case: Case, base: str) -> tuple[tuple[int, int], WidePanel]:
    """Return the years in which the cells of a design were not yet treated, and their figures."""
    design = case.design
    span = case.study.cell_panel.loc[case.study.cell_panel["base"] == base, "fy"]
    first = int(span.min())
    last = design.term.baseline_years[1]
    if design.term.number == LAST_TERM:
        first = max(first, design.term.baseline_years[0])
    # The middle year ends the "baseline" only in name: cell_sample asks for cells seen on both
    # sides of it, and every pretended date asks again.
    middle = (first + last + 1) // 2
    term = replace(
        design.term,
        baseline_first_year=first,
        baseline_last_year=middle - 1,
        first_year=middle,
        last_year=last,
    )
    pretended = replace(design, term=term, base=base, first_fy=first, last_fy=last)
    return (first, last), refits.widen(effects.cell_sample(case.study, pretended))


def placebo_industries(case: Case) -> list[Estimate]:
    """Move the targets of every prefecture to industries that no project named there.

    The cells that were targeted are left out. In each draw every block of prefectures marks, among
    the industries that were not targeted in it, as large a share at random as it had targeted of
    all. The estimates should lie around zero; the actual one is compared with them.
    """
    panel = case.panel.keep(case.panel.targets == 0)
    cells = panel.cells
    name = "targets moved to other industries"
    kept = case.panel.cells.groupby("block")["is_targeted"].mean()
    codes, keys = pd.MultiIndex.from_frame(cells[["block", "industry"]]).factorize(sort=True)
    rng = np.random.default_rng(inference.SEED)
    labels = np.zeros((case.shared.draws, len(keys)))
    for block, units in pd.Series(range(len(keys)), index=keys).groupby(level=0):
        marked = min(round(kept[block] * len(units)), len(units) - 1)
        order = rng.permuted(np.tile(np.arange(len(units)), (len(labels), 1)), axis=1)
        labels[:, units.to_numpy()] = order < marked
    own = {"design": PLACEBO_INDUSTRY, "n_cells": len(cells), "n_targeted": 0}
    if len(keys) < inference.MIN_TARGETED_UNITS or not labels.any():
        reason = f"{len(cells)} untargeted cells leave no industries to move targets to"
        return [case.record(panel, None, name, status="not estimable", reason=reason, **own)]
    placebos = percent(refits.one_step_estimates(panel, codes, labels))
    is_known = not inference.why_not_estimable(case.panel)
    actual = percent(case.main.test.estimate) if is_known else np.nan
    tail = 100 * (1 - inference.LEVEL) / 2
    low, high = np.percentile(placebos, [tail, 100 - tail])
    reached = (np.abs(placebos) >= abs(actual)).sum()
    return [
        case.record(
            panel,
            None,
            name,
            estimate=float(np.median(placebos)),
            low=float(low),
            high=float(high),
            p_value=float((1 + reached) / (len(placebos) + 1)) if is_known else np.nan,
            draws=len(placebos),
            smallest_p=1 / (len(placebos) + 1),
            method="middle of the placebo estimates and the range of 95 % of them",
            **own,
        )
    ]


def leave_one_out(case: Case) -> list[Estimate]:
    """Leave out the cells of each project, each block of prefectures, each influential cell."""
    number = min(case.design.term.number, 2)
    cells = case.study.cells
    cells = cells[
        (cells["base"] == case.design.base) & (cells["fields_map"] == case.design.fields_map)
    ]
    named = case.panel.cells.merge(
        cells[[*effects.CELL, f"projects_{number}"]],
        on=effects.CELL,
        how="left",
        validate="one_to_one",
    )[f"projects_{number}"].str.split(";")
    targeted = case.panel.targets == 1
    projects = case.study.projects.set_index("project_id")["name_en"]
    records = []
    for project in sorted(set(named[targeted].explode())):
        of_project = np.array([project in names for names in named]) & targeted
        panel = case.panel.keep(~of_project)
        label = f"without {projects.get(project, project)}"
        own = {"left_out": f"project {project}", "sample": label}
        records.append(case.refit_record(panel, f"without {project}", LEFT_OUT, **own))
    names = policy.block_names(case.study.prefectures)
    for block in sorted(case.panel.cells["block"].unique()):
        panel = case.panel.keep((case.panel.cells["block"] != block).to_numpy())
        own = {"left_out": f"block {block}", "sample": f"without {names.get(block, block)}"}
        records.append(case.refit_record(panel, f"without block {block}", LEFT_OUT, **own))
    for position in _influential(case):
        row = case.panel.cells.iloc[position]
        name = f"{row['pref_code']} {row['industry']}"
        panel = case.panel.keep(np.arange(len(case.panel.cells)) != position)
        own = {"left_out": f"cell {name}"}
        records.append(case.refit_record(panel, f"without {name}", LEFT_OUT, **own))
    return records


def _influential(case: Case) -> np.ndarray:
    """Return the cells that move the main estimate most, to first order, by their positions."""
    assignments = case.shared.assign(case.panel.cells)
    test = inference.score_test(refits.changes_of(case.panel), assignments)
    if np.isnan(test.estimate):
        return np.array([], int)
    return np.argsort(-np.abs(influence.one_step(test)), kind="stable")[: influence.CANDIDATES]


def percent(log_value: float | np.ndarray) -> float | np.ndarray:
    """Turn a difference in logs into percent."""
    return 100 * np.expm1(log_value)


def _span(years: Iterable[int]) -> str:
    years = list(years)
    return f"{min(years)}-{max(years)}" if years else ""
