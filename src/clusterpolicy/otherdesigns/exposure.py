"""Municipalities by the share of their jobs in targeted industries: shipments over forty years.

A municipality is exposed by the industries it held in 2001, the first census that
tells them; its shipments are known since 1971. Compared within prefecture and year, and with the
mix of industries held fixed in every year: what is left of exposure is that an industry was
targeted here and not there, the same contrast as that of the triple difference.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from clusterpolicy import inference, policy, results, sources
from clusterpolicy.finerdata.finer import FinerStudy
from clusterpolicy.inference import Assignments
from clusterpolicy.otherdesigns import synthetic
from clusterpolicy.otherdesigns.synthetic import percent
from clusterpolicy.panel import Study
from clusterpolicy.results import Estimate

DESIGN, YEARS_DESIGN = "exposure", "exposure by year"
CENSUS_YEAR = 2001
# Industries were told for cities and wards only; what merged with a town is told in part.
LEAST_TOLD = 0.9  # share of its establishments whose industry is told
MIN_MUNICIPALITIES = 100
JOBS, ESTABLISHMENTS, NO_TOKYO = "all municipalities", "by establishments", "without Tokyo"
SAMPLES = (JOBS, ESTABLISHMENTS, NO_TOKYO)
METHOD = "permutation of targets over blocks"


def targeted_groups(study: Study, fields_map: str, raw: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Say which industry groups each term targeted in each block of prefectures.

    Parameters
    ----------
    study : Study
    fields_map : str
    raw : mapping
        Raw tables ``field_industries`` and ``industry_groups``.

    Returns
    -------
    DataFrame
        One row per ``block`` and ``industry`` (group): ``is_targeted_1``, ``is_targeted_2``.
    """
    groups = raw["industry_groups"]
    of_code = groups[groups["jsic_revision"] == "12"].set_index("jsic2_code")["group"]
    fields = raw["field_industries"]
    fields = fields[fields["jsic_rev12"] != ""]
    if fields_map == "narrow":
        fields = fields[fields["reading"] == "both"]
    held = fields.assign(industry=fields["jsic_rev12"].map(of_code))[["field", "industry"]]
    # A field stands for several industries and is named by several projects: many to many is meant.
    is_known = ~study.targets["project_id"].isin(policy.unknown_starts(study.projects))
    targets = study.targets[is_known].merge(
        held.drop_duplicates(), on="field", validate="many_to_many"
    )
    blocks = study.prefectures.set_index("pref_code")["block"]
    targets = targets.assign(block=targets["pref_code"].map(blocks))
    every = pd.MultiIndex.from_product(
        [sorted(blocks.unique()), sorted(of_code.unique())], names=["block", "industry"]
    )
    table = pd.DataFrame(index=every)
    for term in (1, 2):
        hit = pd.MultiIndex.from_frame(targets.loc[targets["term"] == term, every.names])
        table[f"is_targeted_{term}"] = every.isin(hit)
    return table.reset_index()


def mark_units(groups: pd.DataFrame, number: int) -> pd.DataFrame:
    """Mark what a term targeted, and what an earlier term did and is set apart.

    The rule is that of ``effects.cell_sample``.

    Parameters
    ----------
    groups : DataFrame
        From :func:`targeted_groups`.
    number : int
        Policy term.
    """
    first, second = groups["is_targeted_1"], groups["is_targeted_2"]
    return groups.assign(
        is_targeted={1: first, 2: second & ~first, 3: second}[number],
        is_apart={1: first & False, 2: first, 3: first & ~second}[number],
    )


def read_maps() -> dict[str, pd.DataFrame]:
    """Read the raw tables that carry fields to industry groups."""
    return {name: sources.read_raw(name) for name in ("field_industries", "industry_groups")}


@dataclass(frozen=True)
class Places:
    """Municipalities whose industries are told, with all their years.

    Attributes
    ----------
    places : DataFrame, n_places rows
        ``muni_code_2015``, ``pref_code``, ``block``.
    shares : DataFrame, n_places x n_groups
        Share of the told jobs (or establishments) of 2001 in each industry group.
    log_shipments : DataFrame, n_places x n_years
    """

    places: pd.DataFrame
    shares: pd.DataFrame
    log_shipments: pd.DataFrame


def choose_places(study: Study, finer: FinerStudy, sample: str = JOBS) -> Places:
    """Choose the municipalities to compare.

    Those whose industries are told for at least nine in ten establishments, and whose shipments
    are known and positive in every year since 1971.

    Parameters
    ----------
    study : Study
    finer : FinerStudy
    sample : str
        One of ``SAMPLES``.
    """
    groups = finer.municipal_groups
    groups = groups[groups["year"] == CENSUS_YEAR]
    totals = finer.municipal_totals
    totals = totals[totals["year"] == CENSUS_YEAR].set_index("muni_code_2015")
    told = groups.groupby("muni_code_2015")["establishments"].sum() / totals["establishments"]
    measure = "establishments" if sample == ESTABLISHMENTS else "employees"
    wide = groups.pivot(index="muni_code_2015", columns="industry_group", values=measure).fillna(0)
    shipments = finer.municipal_shipments.pivot(
        index="muni_code_2015", columns="year", values="shipments_million_yen"
    )
    shipments = shipments[(shipments > 0).all(axis=1)]
    kept = told.index[told >= LEAST_TOLD].intersection(shipments.index)
    kept = kept.intersection(wide.index[wide.sum(axis=1) > 0]).sort_values()
    if sample == NO_TOKYO:
        kept = kept[kept.str[:2] != "13"]
    block = study.prefectures.set_index("pref_code")["block"]
    codes = kept.str[:2]
    return Places(
        places=pd.DataFrame(
            {"muni_code_2015": kept, "pref_code": codes, "block": block[codes].to_numpy()}
        ),
        shares=wide.loc[kept].div(wide.loc[kept].sum(axis=1), axis=0),
        log_shipments=np.log(shipments.loc[kept]),
    )


class Exposure:
    """Effect of exposure on the change between two spans of years, for any targets.

    With ``Z`` the shares of municipalities in units (block x industry), ``t`` the targets of units
    and ``M`` the projection that takes out prefectures, the mix of industries and the exposure to
    targets set apart, the estimate is ``t'Z'My / t'Z'MZt``: shares stay, targets move [1]_.

    Parameters
    ----------
    found : Places
    units : DataFrame
        ``block``, ``industry``, ``is_targeted``, ``is_apart``.

    References
    ----------
    .. [1] Borusyak and Hull (2023), Econometrica 91(6), 2155-2185.
    """

    def __init__(self, found: Places, units: pd.DataFrame):
        place_block = found.places["block"].to_numpy()
        in_unit = (place_block[:, None] == units["block"].to_numpy()[None, :]).astype(float)
        spread = in_unit * found.shares.reindex(columns=units["industry"], fill_value=0).to_numpy()
        is_apart = units["is_apart"].to_numpy()
        prefectures = pd.get_dummies(found.places["pref_code"]).to_numpy(float)
        apart = spread[:, is_apart].sum(axis=1, keepdims=True)
        self._effects = _basis(np.hstack([prefectures, found.shares.to_numpy(), apart]))
        self.units = units[~is_apart].reset_index(drop=True)
        self._spread = spread[:, ~is_apart]
        self._columns = self._residual(self._spread)
        self._product = self._columns.T @ self._columns
        self.prefectures = found.places["pref_code"]

    def _residual(self, columns: np.ndarray) -> np.ndarray:
        return columns - self._effects @ (self._effects.T @ columns)

    def of_places(self) -> np.ndarray:
        """Return the share of each place's jobs that is targeted, n_places."""
        return self._spread @ self.units["is_targeted"].to_numpy(float)

    def test(
        self,
        changes: np.ndarray,
        assignments: Assignments,
        level: float = inference.LEVEL,
    ) -> "ExposureTest":
        """Test several changes at once by moving targets among blocks.

        Parameters
        ----------
        changes : ndarray, n_places x n_changes
            In logs.
        assignments : Assignments
            Of :attr:`units`, one label per unit.
        level : float
        """
        actual, draws = assignments.actual, assignments.draws
        outcome = self._residual(changes)
        score = self._columns.T @ outcome
        norm = math.sqrt(actual @ self._product @ actual)
        own = self._columns @ actual
        estimate = actual @ score / norm**2
        draw_norm = np.sqrt(np.maximum(((draws @ self._product) * draws).sum(axis=1), 0))
        informative = draw_norm > 1e-9
        divisor = np.where(informative, draw_norm, np.inf)[:, None] * norm
        shift = draws @ score / divisor
        overlap = np.clip((draws @ (self._product @ actual))[:, None] / divisor, -1, 1)
        groups = pd.factorize(self.prefectures)[0]
        sums = np.zeros((groups.max() + 1, changes.shape[1]))
        np.add.at(sums, groups, own[:, None] * (outcome - own[:, None] * estimate))
        factor = len(sums) / (len(sums) - 1)
        return ExposureTest(
            estimate=estimate,
            shift=shift,
            overlap=overlap,
            std_error=np.sqrt(factor * (sums**2).sum(axis=0)) / norm**2,
            level=level,
        )


def _basis(columns: np.ndarray) -> np.ndarray:
    """Return an orthonormal basis of the span of `columns`."""
    left, size, _ = np.linalg.svd(columns, full_matrices=False)
    return left[:, size > 1e-9 * size[0]]


@dataclass(frozen=True)
class ExposureTest:
    """Estimates of several changes and each draw's statistic, in logs.

    Attributes
    ----------
    estimate, std_error : ndarray, n_changes
    shift : ndarray, n_draws x n_changes
        Statistic of each draw, in units of the effect of the actual exposure.
    overlap : ndarray, n_draws x 1
        Correlation of each draw's exposure with the actual one.
    level : float
    """

    estimate: np.ndarray
    std_error: np.ndarray
    shift: np.ndarray
    overlap: np.ndarray
    level: float

    def interval(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the ends of the interval that inverts the test, and p, for each change.

        A draw reaches the actual statistic for supposed effects between two points of its own, so
        the ends are order statistics of those points (see decision 2).
        """
        with np.errstate(divide="ignore", invalid="ignore"):
            one = (self.estimate - self.shift) / (1 - self.overlap)
            two = (self.estimate + self.shift) / (1 + self.overlap)
        alike = np.abs(self.overlap) > 1 - 1e-9
        low = np.where(alike, -np.inf, np.minimum(one, two))
        high = np.where(alike, np.inf, np.maximum(one, two))
        n_draws = len(low)
        p_value = (1 + ((low <= 0) & (high >= 0)).sum(axis=0)) / (n_draws + 1)
        needed = math.floor((1 - self.level) * (n_draws + 1) + 1e-9)
        if needed < 1:
            unbounded = np.full(self.estimate.shape, np.inf)
            return -unbounded, unbounded, p_value
        return np.sort(low, axis=0)[needed - 1], np.sort(high, axis=0)[-needed], p_value

    @property
    def _chance(self) -> np.ndarray:
        return self.shift - self.estimate * self.overlap

    @property
    def spread(self) -> np.ndarray:
        """Size of the estimate under reassignment, the estimated effect taken out; n_changes."""
        return np.sqrt((self._chance**2).mean(axis=0))

    def half_band(self) -> np.ndarray:
        """Return half the width of the band that holds for all changes together (sup-t)."""
        largest = (np.abs(self._chance) / self.spread).max(axis=1)
        return np.quantile(largest, self.level, method="higher") * self.spread

    def joint_p(self, chosen: np.ndarray) -> float:
        """Return p of "no effect on any chosen change", from the largest of them."""
        size = np.sqrt((np.vstack([self.shift, self.estimate]) ** 2).mean(axis=0))[chosen]
        observed = (np.abs(self.estimate[chosen]) / size).max()
        largest = (np.abs(self.shift[:, chosen]) / size).max(axis=1)
        return float((1 + (largest >= observed * (1 - 1e-9)).sum()) / (len(largest) + 1))


def estimate_exposure(
    study: Study, finer: FinerStudy, number: int, draws: int = inference.DRAWS
) -> pd.DataFrame:
    """Estimate the effect of exposure on municipal shipments in one term.

    Both clocks, both readings, three samples; year by year since 1971 for the main ones.

    Parameters
    ----------
    study : Study
    finer : FinerStudy
    number : int
        Policy term.
    draws : int

    Returns
    -------
    DataFrame
        One record a row. An estimate is the difference between a municipality with all its jobs in
        targeted industries and one with none: as the shipments of a targeted industry change, so
        do those of a place that has nothing else.
    """
    maps = read_maps()
    stamp = synthetic.stamp_of(
        study.targets, study.terms, finer.municipal_groups, finer.municipal_shipments
    )
    places = {sample: choose_places(study, finer, sample) for sample in SAMPLES}
    records: list[Estimate] = []
    for fields_map in policy.FIELDS_MAPS:
        groups = targeted_groups(study, fields_map, maps)
        units = mark_units(groups, number)
        for sample in SAMPLES:
            exposure = Exposure(places[sample], units)
            for clock in policy.CLOCKS:
                term = policy.choose_term(study.terms, number, clock)
                common = _common(term, fields_map, sample, stamp)
                records += _estimate(places[sample], exposure, term, common, draws)
    return results.to_frame(records)


def _common(term: policy.Term, fields_map: str, sample: str, stamp: str) -> dict:
    slug = sample.replace(" ", "-").lower()
    return {
        "result_id": f"t{term.number}-{term.clock}-{fields_map}-exposure-{slug}",
        "term": term.number,
        "outcome": "shipments",
        "outcome_label": "shipments of municipalities",
        "design": DESIGN,
        "role": "main" if sample == JOBS else "check",
        "base": "municipal",
        "clock": term.clock,
        "fields_map": fields_map,
        "sample": sample,
        "method": METHOD,
        "input_hash": stamp,
    }


def _estimate(
    found: Places, exposure: Exposure, term: policy.Term, common: dict, draws: int
) -> list[Estimate]:
    outcome = found.log_shipments
    outcome = outcome.loc[:, outcome.columns <= term.last_year]
    years = outcome.columns
    in_term = years.isin(range(term.first_year, term.last_year + 1))
    in_baseline = years.isin(range(term.baseline_first_year, term.baseline_last_year + 1))
    assignments = inference.permute_targets(
        exposure.units.assign(pref_code=exposure.units["block"]), draws
    )
    common = {
        **common,
        "n_cells": len(outcome),
        "n_targeted": int((exposure.of_places() > 0).sum()),
        "n_blocks": int(found.places["block"].nunique()),
        "baseline_years": f"{term.baseline_first_year}-{term.baseline_last_year}",
        "term_years": f"{term.first_year}-{min(term.last_year, int(years.max()))}",
    }
    reason = _why_not(len(outcome), assignments)
    if reason:
        return [Estimate(**common, status="not estimable", reason=reason)]
    values = outcome.to_numpy()
    whole = values[:, in_term].mean(axis=1) - values[:, in_baseline].mean(axis=1)
    base = years.get_loc(term.baseline_last_year)
    by_year = exposure.test(np.delete(values - values[:, [base]], base, axis=1), assignments)
    years = years.delete(base)
    pretrend_p = by_year.joint_p(np.asarray(years < term.baseline_last_year))
    grade = results.grade_design(DESIGN, has_comparison=True)
    grade = results.cap_grade(grade, pretrend_p, float("nan"))
    common = {
        **common,
        "draws": draws,
        "smallest_p": assignments.smallest_p,
        "vcov_group": "pref_code",
        "n_groups": int(found.places["pref_code"].nunique()),
        "grade": grade,
    }
    n_observations = int(len(values) * (in_term | in_baseline).sum())
    record = _whole_record(
        exposure.test(whole[:, None], assignments),
        {**common, "pretrend_p": pretrend_p, "n_observations": n_observations},
    )
    if common["role"] != "main":
        return [record]
    return [record, *_year_records(by_year, years, {**common, "n_observations": 2 * len(values)})]


def _whole_record(test: ExposureTest, common: dict) -> Estimate:
    low, high, p_value = test.interval()
    return Estimate(
        **common,
        estimate=percent(test.estimate[0]),
        low=percent(low[0]),
        high=percent(high[0]),
        p_value=float(p_value[0]),
        std_error=100 * float(test.std_error[0]),
        mde=percent(inference.smallest_detectable(float(test.spread[0]))),
    )


def _year_records(test: ExposureTest, years: pd.Index, common: dict) -> list[Estimate]:
    low, high, p_value = test.interval()
    half = test.half_band()
    return [
        Estimate(
            **{
                **common,
                "result_id": f"{common['result_id']}-{year}",
                "design": YEARS_DESIGN,
            },
            year=int(year),
            estimate=percent(test.estimate[place]),
            low=percent(low[place]),
            high=percent(high[place]),
            band_low=percent(test.estimate[place] - half[place]),
            band_high=percent(test.estimate[place] + half[place]),
            p_value=float(p_value[place]),
        )
        for place, year in enumerate(years)
    ]


def _why_not(n_places: int, assignments: Assignments) -> str:
    checks = (
        (n_places, MIN_MUNICIPALITIES, "municipalities"),
        (assignments.n_targeted_units, inference.MIN_TARGETED_UNITS, "targeted blocks x groups"),
        (assignments.n_distinct, inference.MIN_ASSIGNMENTS, "distinct assignments"),
    )
    few = [
        f"{found:,} {label} where {least:,} are needed"
        for found, least, label in checks
        if found < least
    ]
    return "; ".join(few)
