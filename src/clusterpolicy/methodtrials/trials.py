"""Every method on trial: bias, coverage, rejections and power over panels whose effect is known.

The effects of a regression are the same in all panels, so they are taken out of a thousand
outcomes at once. An effect of the same size added to all targeted cells moves estimate and
interval by just that size in every method here, so panels without an effect tell power as well.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
import scipy.stats

from clusterpolicy import crosschecks, effects, inference, policy, results
from clusterpolicy.estimation.contrast import GroupParts
from clusterpolicy.methodtrials import simulation
from clusterpolicy.methodtrials.estimators import (
    Difference,
    Found,
    Regression,
    SharedContrast,
    add_by_group,
    by_standard_errors,
)
from clusterpolicy.panel import Study

PANELS = 1_000
POOL = 9_999  # reassignments, as in the reports; each panel is tested with some of them,
DRAWS = 199  # which keeps the level and costs a little power
SIGNS = 99  # draws of the wild bootstrap in each panel
EFFECT = 0.05  # the effect whose detection is counted: 5 percent
POWER_EFFECTS = tuple(step / 100 for step in (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 15, 20, 25, 30))
ALIKE = 0.25  # share of variance that blocks and industries have in common in the harder panels
DRIFT = 0.01  # growth a year by which targeted cells are ahead all along in the harder panels
CHUNK = 200  # panels held in memory at a time


@dataclass(frozen=True)
class Scenario:
    """How the panels of one trial come about.

    Attributes
    ----------
    name, label : str
    is_redrawn : bool
        Draw the targets anew for every panel, as the permutation test supposes they were.
    is_real : bool
        Keep the real figures; only targets are drawn.
    shared : float, optional
        Share of variance common to a block and industry; as measured if not given.
    is_heavy : bool
        Draw real paths of cells, with their tails.
    drift : float
        Growth a year by which targeted cells are ahead, before the term as in it.
    is_uneven : bool
        What the estimate leaves of the real figures, each block and industry with a random sign:
        targeted units vary as much as they really do.
    terms : tuple of int
        Terms whose main sample is taken.
    times : int
        How many times as many panels are drawn as in other scenarios.
    """

    name: str
    label: str
    is_redrawn: bool = False
    is_real: bool = False
    shared: float | None = None
    is_heavy: bool = False
    drift: float = 0.0
    is_uneven: bool = False
    terms: tuple[int, ...] = (1,)
    times: int = 1


SCENARIOS = (
    Scenario("redrawn", "targets redrawn", is_redrawn=True),
    # What the reports promise is held against this one first.
    Scenario("fixed", "targets as they were", terms=(1, 2, 3), times=2),
    Scenario("real", "real figures, targets redrawn", True, True, terms=(1, 2, 3)),
    Scenario("heavy", "tails of the real figures", is_heavy=True),
    Scenario("alike", "cells alike within blocks", shared=ALIKE),
    Scenario("uneven", "units as uneven as they are", is_uneven=True, terms=(1, 2, 3)),
    Scenario("drift", "targeted cells ahead all along", drift=DRIFT),
)
METHODS = {
    "permutation": "permutation of targets, as in the reports",
    "strict": "permutation, by units of the estimate alone",
    "wild": "wild bootstrap by prefecture",
    "prefecture": "standard error by prefecture",
    "block": "standard error by block",
    "independent": "standard error of independent figures",
    "two-way": "two-way comparison, by prefecture",
}
# What a method promises, in percent of panels.
PROMISED = {"coverage": 100 * inference.LEVEL, "rejection": round(100 * (1 - inference.LEVEL), 9)}
MEASURES = {
    "bias": "bias",
    "coverage": "coverage of the interval",
    "rejection": "rejections without an effect",
    "power": "detections of an effect",
    "spread": "standard deviation of the estimate",
    "detectable": "effect printed as detectable, median panel",
    "power-at-detectable": "detections of the effect printed as detectable",
}


@dataclass(frozen=True)
class Trial(results.Estimate):
    """Record of one measure of one method over the panels of one scenario.

    The record of an estimate, in which ``n_panels`` were drawn; `low` and `high` are its Monte
    Carlo interval and `std_error` its Monte Carlo error.

    Attributes
    ----------
    scenario, way, measure : str
        Keys of ``SCENARIOS``, ``METHODS`` and ``MEASURES``.
    effect : float
        Effect in the panels, percent.
    n_panels : int
    """

    scenario: str = ""
    way: str = ""
    measure: str = ""
    effect: float = 0.0
    n_panels: int = 0


class Court:
    """The sample of one term, ready to try every method on it.

    Parameters
    ----------
    study : Study
    term : int
    fields_map : str
    draws : int
        Reassignments of each permutation test.
    """

    def __init__(self, study: Study, term: int, fields_map: str, draws: int = DRAWS):
        design = effects.main_design(study, term, policy.CLOCKS[0], fields_map)
        self._take(effects.cell_sample(study, design), draws)

    def _take(self, sample: effects.Sample, draws: int) -> None:
        self.sample = sample
        self.process = simulation.measure_process(self.sample)
        self.triple = Regression(self.sample, ("pref_code", "industry"))
        self.two_way = Regression(self.sample, ())
        self.draws = draws
        labels = inference.permute_targets(self.sample.cells, POOL, simulation.SEED)
        n_units = labels.labels.shape[1]
        self.unit = labels.unit
        whole = effects.TripleDifference(self.sample).contrast
        self.contrast = SharedContrast.of(whole.collapse(self.unit, n_units))
        self.actual = (np.bincount(self.unit, labels.actual, n_units) > 0).astype(float)
        self.pool_labels = labels.labels
        self.pool = self.contrast.weigh(labels.labels)
        years = self.sample.rows["fy"].to_numpy()
        self.years_ahead = years - sample.design.base_year

    def try_methods(self, scenario: Scenario, n_panels: int) -> dict[str, Found]:
        """Return what each method found in every panel of a scenario."""
        rng = np.random.default_rng([simulation.SEED, *scenario.name.encode()])
        parts = [
            self.try_panels(outcome, targets, rng)
            for outcome, targets in self._panels(scenario, n_panels, rng)
        ]
        return {name: Found.joined([part[name] for part in parts]) for name in METHODS}

    def _panels(
        self, scenario: Scenario, n_panels: int, rng: np.random.Generator
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield outcomes (n_rows x n or 1) and targets of units (n or 1 x n_units), by chunks."""
        for start in range(0, n_panels, CHUNK):
            n = min(CHUNK, n_panels - start)
            targets = self.actual[None, :]
            if scenario.is_redrawn:
                seed = int(rng.integers(2**32))
                targets = inference.permute_targets(self.sample.cells, n, seed).labels
            if scenario.is_real:
                yield self.sample.rows["log_outcome"].to_numpy()[:, None], targets
                continue
            if scenario.is_uneven:
                yield self._turned(n, rng), targets
                continue
            outcome = simulation.simulate(
                self.sample, self.process, n, rng, scenario.shared, scenario.is_heavy
            )
            if scenario.drift:
                ahead = np.log1p(scenario.drift) * self.years_ahead
                outcome += (self.actual[self.unit][self.triple.cell] * ahead)[:, None]
            yield outcome, targets

    def _turned(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """Return what the estimate leaves of the real figures, signs drawn by unit (n_rows x n)."""
        regressor = self.triple.regressor(self.actual[None, self.unit])
        rest = self.triple.take_out(self.sample.rows[["log_outcome"]].to_numpy())
        rest -= regressor * ((regressor * rest).sum() / (regressor**2).sum())
        signs = rng.choice([-1.0, 1.0], (len(self.actual), n))
        return rest * signs[self.unit[self.triple.cell]]

    def try_panels(
        self, outcome: np.ndarray, targets: np.ndarray, rng: np.random.Generator
    ) -> dict[str, Found]:
        """Return what each method found for outcomes (n_rows x n) and targets of units (n x)."""
        of_cells = targets[:, self.unit]
        left, regressor = self.triple.take_out(outcome), self.triple.regressor(of_cells)
        ways = ("prefecture", "block", "independent")
        plain = by_standard_errors(
            self.two_way,
            self.two_way.take_out(outcome),
            self.two_way.regressor(of_cells),
            ("prefecture",),
        )
        return {
            **self._permute(left, targets, rng),
            "wild": self._bootstrap(left, regressor, rng),
            **by_standard_errors(self.triple, left, regressor, ways),
            "two-way": plain["prefecture"],
        }

    def _bootstrap(
        self, left: np.ndarray, regressor: np.ndarray, rng: np.random.Generator
    ) -> Found:
        """Run the wild bootstrap of the reports on every panel."""
        code = self.triple.groups["prefecture"]
        score = add_by_group(code, regressor * left)
        norm = add_by_group(code, regressor**2)
        ours, theirs = (self.triple.effects_by_group(each) for each in (regressor, left))
        tests = []
        for panel in range(score.shape[1]):
            parts = GroupParts(
                score[:, panel],
                norm[:, panel % norm.shape[1]],
                ours[panel % len(ours)],
                theirs[panel % len(theirs)],
            )
            estimate = parts.score.sum() / parts.norm.sum()
            weights = rng.choice([-1.0, 1.0], (SIGNS, len(score)))
            test = crosschecks.bootstrap_with(Difference(estimate, parts, len(score)), weights)
            tests.append((estimate, test.low, test.high, np.nan))
        return Found(*np.array(tests).T)

    def some_assignments(self, rng: np.random.Generator) -> np.ndarray:
        """Choose some of the pool of reassignments, by their positions."""
        return rng.integers(len(self.pool.norm), size=self.draws)

    def _permute(
        self, left: np.ndarray, targets: np.ndarray, rng: np.random.Generator
    ) -> dict[str, Found]:
        """Run the test of the reports on every panel, and the stricter one."""
        unit = self.unit[self.triple.cell]
        by_unit = add_by_group(unit, self.triple.in_term[:, None] * left)
        outcomes, actual = self.contrast.to_outcome @ by_unit, self.contrast.weigh(targets)
        tests: dict[str, list] = {"permutation": [], "strict": []}
        for panel in range(max(left.shape[1], len(targets))):
            others = self.pool.pick(self.some_assignments(rng))
            drawn = others.led_by(actual.pick([panel % len(targets)]))
            outcome = outcomes[:, panel % left.shape[1]]
            for way, pooled in (("permutation", inference.POOLED), ("strict", 0.0)):
                test = inference.invert(drawn.scores(outcome, pooled))
                tests[way].append((test.estimate, test.low, test.high, test.spread))
        return {way: Found(*np.array(values).T) for way, values in tests.items()}


def try_all(
    study: Study,
    fields_map: str,
    n_panels: int = PANELS,
    draws: int = DRAWS,
    tell: Callable[[str], None] = lambda line: None,
) -> pd.DataFrame:
    """Try every method in every scenario.

    Returns
    -------
    DataFrame
        One :class:`Trial` a row.
    """
    stamp = results.input_stamp(study)
    records: list[Trial] = []
    for term in sorted({term for scenario in SCENARIOS for term in scenario.terms}):
        court = Court(study, term, fields_map, draws)
        for scenario in (each for each in SCENARIOS if term in each.terms):
            tell(f"term {term}: {scenario.label}")
            for way, found in court.try_methods(scenario, scenario.times * n_panels).items():
                common = common_fields(court, scenario, way, stamp)
                common["draws"] = {"permutation": draws, "strict": draws, "wild": SIGNS}.get(way, 0)
                records += measure_method(found, common)
    return results.to_frame(records)


def together(*tried: pd.DataFrame) -> pd.DataFrame:
    """Return the records of several trials as one table."""
    return pd.concat(tried, ignore_index=True)


def common_fields(court: Court, scenario: Scenario, way: str, stamp: str) -> dict:
    """Return what all records of one method in one scenario say."""
    design, cells, rows = court.sample.design, court.sample.cells, court.sample.rows
    return {
        "result_id": f"methods-t{design.term.number}-{scenario.name}-{way}",
        "term": design.term.number,
        "outcome": design.outcome,
        "design": "simulation",
        "role": "check",
        "base": design.base,
        "clock": design.term.clock,
        "fields_map": design.fields_map,
        "sample": scenario.label,
        "method": METHODS.get(way, way),
        "n_cells": len(cells),
        "n_targeted": int(cells["is_targeted"].sum()),
        "n_blocks": cells["block"].nunique(),
        "n_observations": len(rows),
        "baseline_years": "-".join(map(str, design.baseline_years)),
        "term_years": "-".join(map(str, design.term_years)),
        "input_hash": stamp,
        "scenario": scenario.name,
        "way": way,
    }


def measure_method(found: Found, common: dict) -> list[Trial]:
    """Turn what one method found in each panel into its records."""
    n = len(found.estimate)
    covered = (found.low <= 0) & (found.high >= 0)

    def record(measure: str, effect: float = 0.0, **values) -> Trial:
        name = f"{measure}-{round(100 * effect)}" if measure == "power" else measure
        return Trial(
            **{**common, "result_id": f"{common['result_id']}-{name}"},
            outcome_label=MEASURES[measure],
            measure=measure,
            effect=100 * effect,
            n_panels=n,
            **values,
        )

    records = [
        record("bias", **mean(found.estimate)),
        record("spread", estimate=100 * found.estimate.std(ddof=1)),
        record("coverage", **share(covered)),
        record("rejection", **share(~covered)),
    ]
    for effect in POWER_EFFECTS:
        shift = np.log1p(effect)
        detected = (found.low + shift > 0) | (found.high + shift < 0)
        records.append(record("power", effect, **share(detected)))
    if common["way"] == "permutation":
        printed = np.array([inference.smallest_detectable(each) for each in found.spread])
        middle = float(np.median(printed))
        found_it = (found.low + middle > 0) | (found.high + middle < 0)
        records.append(record("detectable", estimate=_percent(middle)))
        records.append(record("power-at-detectable", np.expm1(middle), **share(found_it)))
    return records


def mean(values: np.ndarray) -> dict:
    """Return the mean of log values in percent, with its Monte Carlo error and interval."""
    error = values.std(ddof=1) / np.sqrt(len(values))
    half = scipy.stats.norm.ppf((1 + inference.LEVEL) / 2) * error
    middle = values.mean()
    return {
        "estimate": _percent(middle),
        "low": _percent(middle - half),
        "high": _percent(middle + half),
        "std_error": 100 * error,
    }


def share(happened: np.ndarray) -> dict:
    """Return a share of panels in percent, with its Monte Carlo error and Wilson interval."""
    part = happened.mean()
    ends = scipy.stats.binomtest(int(happened.sum()), len(happened)).proportion_ci(
        inference.LEVEL, "wilson"
    )
    return {
        "estimate": 100 * part,
        "low": 100 * ends.low,
        "high": 100 * ends.high,
        "std_error": 100 * np.sqrt(part * (1 - part) / len(happened)),
        "unit": "percent of panels",
    }


def _percent(log_value: float) -> float:
    return float(100 * np.expm1(log_value))
