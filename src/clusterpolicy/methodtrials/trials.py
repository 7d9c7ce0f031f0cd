"""Every method on trial: rejections, bias and power over panels whose effect is known.

A panel is reduced to one change per cell, all panels of a chunk are fitted at once, and every
method sees the same panels and the same draws. Panels are reused from scenario to scenario, so that
what differs between two scenarios is what their names say.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
import scipy.stats

from clusterpolicy import effects, inference, policy, results
from clusterpolicy.estimation import huber
from clusterpolicy.estimation.powertrial import moved_among_units
from clusterpolicy.estimation.scoretest import LEVEL
from clusterpolicy.methodtrials import estimators, simulation
from clusterpolicy.methodtrials.estimators import BLOCK, BY_PLACE, DECLARED, FIRST, PERMUTED, REFIT
from clusterpolicy.panel import Study

PANELS = 5_000
POWER_PANELS = 2_000  # the first of them, with each effect
# At equal size power hangs on how well the level is known, most where few units are targeted: there
# such panels are drawn so many times over.
FEW_UNITS, MORE_PANELS = 10, 3
BIAS_PANELS = 300  # the first of them: estimates cost a second fit
REFIT_PANELS, REFIT_DRAWS = 100, 99  # a fit for each draw: one sample, few panels
POOL = 9_999  # reassignments, as in the reports; each chunk of panels is tested with some of them
DRAWS = 299
CHUNK = 100  # panels that share draws
CELLS_AT_A_TIME = 100_000  # panels of large samples come in smaller chunks
LIMIT = 1 - LEVEL + 1e-9  # of p-values
# Effects in the panels, percent, by term: from a few panels in which it is found to nearly all.
POWER_EFFECTS = {1: (5, 8, 10), 2: (10, 20, 30, 45), 3: (5, 8, 12)}
ALIKE = 0.25  # share of variance that blocks and industries have in common in the harder panels
DRIFT = 0.01  # growth a year by which targeted cells are ahead all along
UNEVEN = 0.5  # standard deviation of the log scale of units
PLANT = 9.0  # by what a plant multiplies its cell: Aomori's non-ferrous metals in FY2006
SHOCK = 0.1  # standard deviation of what a block's targeted industries have in common


@dataclass(frozen=True)
class Scenario:
    """How the panels of one trial come about.

    Attributes
    ----------
    name, label : str
    source : str
        ``"drawn"`` by ``simulation``, ``"heavy"`` (its real paths), ``"alike"`` (more in common);
        ``"real"``: the real changes; ``"signs"``: their residuals with a sign for each unit;
        ``"moved"``: their residuals moved among the units of an industry.
    is_redrawn : bool
        Draw the targets anew for every panel, as the permutation test supposes they were.
    is_uneven : bool
        Multiply what the effects leave of every unit by a scale of its own.
    plant : str
        Multiply one cell, ``"targeted"`` or ``"other"``, in the term.
    shock, drift : float
        Standard deviation of a shock to a block's targeted cells; growth a year by which targeted
        cells are ahead.
    terms : tuple of int
        Terms whose main sample is taken.
    on_few_units : bool
        Tried on the other base of term 2 too, which has five targeted units.
    has_power : bool
        Effects are added, one after the other.
    meets_printed : bool
        The effect that is printed as detectable is added.
    """

    name: str
    label: str
    source: str = "drawn"
    is_redrawn: bool = False
    is_uneven: bool = False
    plant: str = ""
    shock: float = 0.0
    drift: float = 0.0
    terms: tuple[int, ...] = (1, 2, 3)
    on_few_units: bool = False
    has_power: bool = False
    meets_printed: bool = False


FIXED, TARGETED_PLANT, COMMON_SHOCK, AHEAD = "fixed", "plant", "shock", "drift"
SCENARIOS = (
    Scenario("redrawn", "targets redrawn", is_redrawn=True),
    Scenario(FIXED, "targets as they were", on_few_units=True, has_power=True, meets_printed=True),
    Scenario("real", "real figures, targets redrawn", "real", is_redrawn=True),
    Scenario("heavy", "tails of the real figures", "heavy"),
    Scenario("alike", "cells alike within blocks", "alike"),
    Scenario("signs", "real residuals, signs by unit", "signs", on_few_units=True),
    Scenario("moved", "real residuals, moved among units", "moved", meets_printed=True),
    Scenario("uneven", "units of uneven scale", is_uneven=True, on_few_units=True),
    Scenario(
        TARGETED_PLANT,
        "a targeted plant opens",
        plant="targeted",
        on_few_units=True,
        has_power=True,
        meets_printed=True,
    ),
    Scenario("other-plant", "a plant opens elsewhere", plant="other"),
    Scenario(COMMON_SHOCK, "a shock to a block's targets", shock=SHOCK),
    Scenario(AHEAD, "targeted cells ahead all along", drift=DRIFT, terms=(1,)),
)
# What no test is meant to hold against: there is a difference, though not by the policy.
UNHELD = (COMMON_SHOCK, AHEAD)
REFITTED = ("signs",)
WAYS = (*PERMUTED, BY_PLACE)
POWER_WAYS = (DECLARED, BLOCK, FIRST, *(w for w, each in PERMUTED.items() if each.is_candidate))
METHODS = {way: each.label for way, each in PERMUTED.items()} | {
    BY_PLACE: "standard error by prefecture",
    REFIT: "Huber coefficient, fitted anew for every draw",
}
MEASURES = {
    "bias": "bias",
    "rejection": "rejections without an effect",
    "power": "detections of an effect",
    "power-at-size": "detections at the level that rejects in 5 percent without an effect",
    "smallest": "smallest effect found in 80 percent",
    "smallest-at-size": "smallest effect found in 80 percent at that level",
    "detectable": "effect printed as detectable",
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


@dataclass(frozen=True)
class Found:
    """What the methods found in the panels of one scenario.

    Attributes
    ----------
    p_values : dict of (way, effect) to ndarray, n_panels
        Of no effect; effects in percent.
    estimates : dict of way to ndarray
        In logs, of the first panels; empty where targets are redrawn.
    """

    p_values: dict[tuple[str, float], np.ndarray]
    estimates: dict[str, np.ndarray]


class Court:
    """A sample, ready to try every method on it.

    Parameters
    ----------
    sample : effects.Sample
        Any: places may be prefectures or municipalities. Scenarios that ``simulation`` draws need
        cells that are seen in every year; those made of real residuals do not.
    draws : int
        Reassignments of each permutation test.
    pool : int
        Reassignments they are chosen among.
    """

    def __init__(self, sample: effects.Sample, draws: int = DRAWS, pool: int = POOL):
        self.sample, self.draws = sample, draws
        self.frame = simulation.frame_of(sample)
        self.bench = estimators.Bench(sample, pool, simulation.SEED)
        self.chunk = min(CHUNK, draws, max(CELLS_AT_A_TIME // len(sample.cells), 10))
        self._paths: dict[tuple[str, int], np.ndarray] = {}

    @cached_property
    def process(self) -> simulation.Process:
        """What moves the figures of the sample."""
        return simulation.measure_process(self.sample)

    @cached_property
    def detectable(self) -> float:
        """The effect printed as detectable for the real sample, in logs: that of the records."""
        assignments = inference.permute_targets(self.sample.cells)
        return inference.detectable_effect(
            inference.score_test(self.bench.changes, assignments, self.sample.k)
        )

    def rng(self, name: str) -> np.random.Generator:
        """Return the generator of one scenario of this sample, whatever was drawn before."""
        design = self.sample.design
        words = f"{design.term.number} {design.base} {design.outcome} {name}"
        return np.random.default_rng([simulation.SEED, *words.encode()])

    def panels(self, scenario: Scenario, n_panels: int) -> Iterator[tuple[np.ndarray, ...]]:
        """Yield the changes of some panels, their assignments and which each was given.

        Yields
        ------
        changes : ndarray, n x n_cells
            Or one row that all have in common.
        rows : ndarray of int, 1 + n_draws
            Positions among the weights of the bench.
        own : ndarray of int, n
            Positions among `rows`.
        """
        rng = self.rng(scenario.name)
        for start in range(0, n_panels, self.chunk):
            n = min(self.chunk, n_panels - start)
            rows = rng.integers(1, self.bench.pool + 1, self.draws + 1)
            own = np.arange(n)
            if not scenario.is_redrawn:
                rows[0] = 0
                own = np.zeros(n, int)
            yield self._changes(scenario, slice(start, start + n), n_panels, rng), rows, own

    def _changes(
        self, scenario: Scenario, part: slice, n_panels: int, rng: np.random.Generator
    ) -> np.ndarray:
        bench, n = self.bench, part.stop - part.start
        residual = bench.test.fit.residual[0]
        if scenario.source == "real":
            return bench.changes.change[None, :]
        if scenario.source == "signs":
            signs = rng.choice([-1.0, 1.0], (n, bench.test.n_units))
            changes = residual * signs[:, bench.test.unit]
        elif scenario.source == "moved":
            unit, industry = bench.test.unit, bench.changes.layout.industry
            changes = moved_among_units(residual * bench.root, unit, industry, n, rng) / bench.root
        else:
            changes = self._drawn(scenario.source, n_panels)[part].copy()
        if scenario.is_uneven:
            layout = bench.changes.layout
            changes = huber.fit(layout, changes, k=huber.LEAST_SQUARES).residual
            scale = np.exp(UNEVEN * rng.standard_normal((n, bench.test.n_units)))
            changes *= scale[:, bench.test.unit]
        if scenario.plant:
            sort = np.flatnonzero(bench.actual == (scenario.plant == "targeted"))
            changes[np.arange(n), rng.choice(sort, n)] += np.log(PLANT)
        if scenario.shock:
            block = bench.assignments.block
            common = scenario.shock * rng.standard_normal((n, block.max() + 1))
            changes += common[:, block[bench.test.unit]] * bench.actual
        if scenario.drift:
            changes += self.ahead(scenario.drift)
        return changes

    def _drawn(self, source: str, n_panels: int) -> np.ndarray:
        """Return the changes of simulated panels, the same for every scenario."""
        key = source, n_panels
        if key not in self._paths:
            shared = ALIKE if source == "alike" else None
            rng = self.rng(f"panels {source}")
            parts = []
            for start in range(0, n_panels, self.chunk):
                n = min(self.chunk, n_panels - start)
                paths = simulation.draw_paths(
                    self.frame, self.process, n, rng, shared, source == "heavy"
                )
                parts.append(np.einsum("pcy,cy->pc", paths, self.frame.windows))
            self._paths[key] = np.concatenate(parts)
        return self._paths[key]

    def ahead(self, drift: float) -> np.ndarray:
        """Return what growth of targeted cells by `drift` a year adds to the changes, n_cells."""
        years = np.sort(self.sample.rows["fy"].unique()) - self.sample.design.base_year
        return np.log1p(drift) * (self.frame.windows @ years) * self.bench.actual

    def try_scenario(
        self,
        scenario: Scenario,
        n_panels: int,
        effects_pct: tuple[float, ...] = (),
        n_power: int = POWER_PANELS,
    ) -> Found:
        """Return what each method finds in every panel, without an effect and with some."""
        p_values: dict[tuple[str, float], list] = {}
        estimates: dict[str, list] = {DECLARED: [], FIRST: []}
        tried = 0
        for changes, rows, own in self.panels(scenario, n_panels):
            for effect in (0.0, *(effects_pct if tried < n_power else ())):
                moved = changes + np.log1p(effect / 100) * self.bench.actual
                ways = list(POWER_WAYS if effect else WAYS)
                for way, found in self.bench.p_values(moved, rows, own, ways).items():
                    p_values.setdefault((way, effect), []).append(found)
            if tried < BIAS_PANELS and not scenario.is_redrawn:
                for way, found in self.bench.estimates(changes).items():
                    estimates[way].append(found)
            tried += len(own)
        return Found(
            {key: np.concatenate(parts) for key, parts in p_values.items()},
            {way: np.concatenate(parts) for way, parts in estimates.items() if parts},
        )

    def refit(self, scenario: Scenario) -> np.ndarray:
        """Return the p-values of the coefficient fitted anew for every draw, in few panels."""
        found = [
            self.bench.refit_p(changes, rows[: 1 + REFIT_DRAWS])
            for changes, rows, _ in self.panels(scenario, REFIT_PANELS)
        ]
        return np.concatenate(found)


def samples_on_trial(study: Study, fields_map: str) -> list[effects.Sample]:
    """Return the main sample of every term, and that of term 2 on its other base."""
    designs = [
        design
        for term in (1, 2, 3)
        for design in effects.designs_of_term(study, term)
        if design.sample == effects.MAIN_SAMPLE
        and design.term.clock == policy.CLOCKS[0]
        and design.fields_map == fields_map
        and (design.is_main or term == 2)
    ]
    return [effects.cell_sample(study, design) for design in designs]


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
    for sample in samples_on_trial(study, fields_map):
        court = Court(sample, draws)
        design = sample.design
        for scenario in SCENARIOS:
            if design.term.number in scenario.terms and (design.is_main or scenario.on_few_units):
                tell(f"term {design.term.number}, {design.base}: {scenario.label}")
                effects_pct = POWER_EFFECTS[design.term.number] if scenario.has_power else ()
                is_refitted = design.is_main and design.term.number == 2
                records += try_court(court, scenario, n_panels, effects_pct, is_refitted, stamp)
    return results.to_frame(records)


def try_court(
    court: Court,
    scenario: Scenario,
    n_panels: int,
    effects_pct: tuple[float, ...] = (),
    is_refitted: bool = False,
    stamp: str = "",
) -> list[Trial]:
    """Try one scenario on one sample, and measure what every method found."""
    if scenario.meets_printed and np.isfinite(court.detectable):
        effects_pct = (*effects_pct, percent(court.detectable))
    times = 1
    if scenario.has_power and court.bench.assignments.n_targeted_units < FEW_UNITS:
        times = MORE_PANELS
    added = tuple(sorted(effects_pct))
    found = court.try_scenario(scenario, times * n_panels, added)
    records = []
    for way in WAYS:
        common = common_fields(court, scenario, way, stamp)
        records += measure_way(found, way, common)
    if scenario.meets_printed:
        common = common_fields(court, scenario, DECLARED, stamp)
        records.append(
            _record(common, "detectable", n_panels=0, estimate=percent(court.detectable))
        )
    if is_refitted and scenario.name in REFITTED:
        p_values = court.refit(scenario)
        common = common_fields(court, scenario, REFIT, stamp) | {"draws": REFIT_DRAWS}
        records += measure_way(Found({(REFIT, 0.0): p_values}, {}), REFIT, common)
    return records


def common_fields(court: Court, scenario: Scenario, way: str, stamp: str) -> dict:
    """Return what all records of one method in one scenario say."""
    design, cells, rows = court.sample.design, court.sample.cells, court.sample.rows
    return {
        "result_id": f"methods-t{design.term.number}-{design.base}-{scenario.name}-{way}",
        "term": design.term.number,
        "outcome": design.outcome,
        "design": "simulation",
        "role": "check",
        "base": design.base,
        "clock": design.term.clock,
        "fields_map": design.fields_map,
        "sample": scenario.label,
        "method": METHODS.get(way, way),
        "draws": court.draws if way in PERMUTED else 0,
        "n_cells": len(cells),
        "n_targeted": int(cells["is_targeted"].sum()),
        "n_units": court.bench.assignments.n_targeted_units,
        "n_blocks": cells["block"].nunique(),
        "n_observations": len(rows),
        "baseline_years": "-".join(map(str, design.baseline_years)),
        "term_years": "-".join(map(str, design.term_years)),
        "input_hash": stamp,
        "scenario": scenario.name,
        "way": way,
    }


def _record(common: dict, measure: str, n_panels: int, effect: float = 0.0, **values) -> Trial:
    name = f"{measure}-{effect:.1f}" if effect else measure
    own = {
        "result_id": f"{common['result_id']}-{name}",
        "outcome_label": MEASURES[measure],
        "measure": measure,
        "effect": effect,
        "n_panels": n_panels,
    }
    return Trial(**{**common, **own, **values})


def measure_way(found: Found, way: str, common: dict) -> list[Trial]:
    """Turn what one method found in each panel into its records."""
    null = found.p_values[way, 0.0]
    records = [_record(common, "rejection", len(null), **share(null <= LIMIT))]
    if way in found.estimates:
        estimates = found.estimates[way]
        records.append(_record(common, "bias", len(estimates), **mean(estimates)))
    tried = sorted(effect for key, effect in found.p_values if key == way and effect)
    if not tried:
        return records
    for measure, shares in _powers(found, way, tried).items():
        for effect, values in zip(tried, shares, strict=True):
            n = len(found.p_values[way, effect])
            records.append(_record(common, measure, n, effect, **values))
        if len(tried) < 2:
            continue
        power = np.array([each["estimate"] for each in shares]) / 100
        least = estimators.smallest_found(np.array(tried), power, inference.POWER)
        name = measure.replace("power", "smallest")
        records.append(_record(common, name, n, estimate=least))
    return records


def _powers(found: Found, way: str, tried: list[float]) -> dict[str, list[dict]]:
    """Return the shares in which effects are found: at 5 percent, and at equal size."""
    null, size = found.p_values[way, 0.0], 1 - LEVEL
    plain, at_size = [], []
    for effect in tried:
        p_values = found.p_values[way, effect]
        plain.append(share(p_values <= LIMIT))
        part = estimators.power_at_size(null, p_values, size)
        at_size.append({"estimate": 100 * part, "unit": "percent of panels"})
    return {"power": plain, "power-at-size": at_size}


def mean(values: np.ndarray) -> dict:
    """Return the mean of log values in percent, with its Monte Carlo error and interval."""
    error = values.std(ddof=1) / np.sqrt(len(values))
    half = scipy.stats.norm.ppf((1 + LEVEL) / 2) * error
    middle = values.mean()
    return {
        "estimate": percent(middle),
        "low": percent(middle - half),
        "high": percent(middle + half),
        "std_error": 100 * error,
    }


def share(happened: np.ndarray) -> dict:
    """Return a share of panels in percent, with its Monte Carlo error and Wilson interval."""
    part = happened.mean()
    ends = scipy.stats.binomtest(int(happened.sum()), len(happened)).proportion_ci(LEVEL, "wilson")
    return {
        "estimate": 100 * part,
        "low": 100 * ends.low,
        "high": 100 * ends.high,
        "std_error": 100 * np.sqrt(part * (1 - part) / len(happened)),
        "unit": "percent of panels",
    }


def percent(log_value: float) -> float:
    """Return a difference of logs in percent."""
    return float(100 * np.expm1(log_value))
