"""The event study on trial: its band, the test of the years before, and what that test lets pass.

Where targeted cells are ahead all along, the estimate of the term is off by that trend times the
years between the middle of the baseline and that of the term. The test of the years before is
meant to give warning; how often it does, and how far off the estimates are that it lets pass, is
what is counted here [1]_.

References
----------
.. [1] Roth (2022), Pretest with caution, American Economic Review: Insights 4(3), 305-322.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from clusterpolicy import effects, inference, results
from clusterpolicy.methodtrials import estimators, simulation, trials
from clusterpolicy.methodtrials.estimators import add_by_group
from clusterpolicy.panel import Study

DRIFTS = (0.0, 0.0025, 0.005, 0.01, 0.015, 0.02)  # growth a year by which targeted cells are ahead
MEASURES = {
    "warning": "test of the years before the term rejects",
    "band": "band of the event study leaves out zero in some year",
    "off": "bias of the estimate of the term",
    "off-unwarned": "bias where the test of the years before does not reject",
}
LIMIT = 0.05


@dataclass(frozen=True)
class _Year:
    """The comparison of one year with the base year, ready for many outcomes."""

    contrast: estimators.SharedContrast
    actual: inference.Weighed
    pool: inference.Weighed
    seen: np.ndarray
    basis: np.ndarray
    now: np.ndarray  # rows of the sample, of each cell seen
    base: np.ndarray
    ahead: int  # years after the base year


class EventCourt:
    """The event study of one sample, ready for many outcomes.

    Parameters
    ----------
    court : trials.Court
    """

    def __init__(self, court: trials.Court):
        self.court = court
        sample = court.sample
        frame = simulation.frame_of(sample)
        years = np.sort(sample.rows["fy"].unique())
        row_of = np.full((len(sample.cells), len(years)), -1)
        row_of[frame.cell, frame.year] = np.arange(len(frame.cell))
        base_year = sample.design.base_year
        base = row_of[:, np.searchsorted(years, base_year)]
        n_units = len(court.actual)
        self.years = {}
        for fy, (seen, contrast) in effects.event_contrasts(sample).items():
            now = row_of[seen, np.searchsorted(years, fy)]
            whole = estimators.SharedContrast.of(contrast.collapse(court.unit[seen], n_units))
            actual, pool = whole.weigh(court.actual[None]), whole.weigh(court.pool_labels)
            self.years[fy] = _Year(
                whole, actual, pool, seen, contrast.absorbed, now, base[seen], int(fy) - base_year
            )
        self.before = [fy for fy in self.years if fy < base_year]

    def outcomes(self, fy: int, outcome: np.ndarray) -> np.ndarray:
        """Return what the effects leave of every unit in one year (n_units x n_panels)."""
        year = self.years[fy]
        change = outcome[year.now] - outcome[year.base]
        change -= year.basis @ (year.basis.T @ change)
        scores = add_by_group(self.court.unit[year.seen], change, len(self.court.actual))
        return year.contrast.to_outcome @ scores

    def statistics(self, fy: int, outcome: np.ndarray, chosen: np.ndarray) -> np.ndarray:
        """Return the statistic of no effect in one year, of the actual and other assignments.

        Parameters
        ----------
        fy : int
        outcome : ndarray, n_units
            One column of :meth:`outcomes`.
        chosen : ndarray of int
            Positions of the other assignments in the pool of the court.
        """
        year = self.years[fy]
        return year.pool.pick(chosen).led_by(year.actual).scores(outcome).statistic(0.0)


def try_trends(
    study: Study, fields_map: str, n_panels: int = trials.PANELS, draws: int = trials.DRAWS
) -> pd.DataFrame:
    """Try the event study of term 1 in panels with and without an older trend.

    Returns
    -------
    DataFrame
        One :class:`trials.Trial` a row.
    """
    court = trials.Court(study, 1, fields_map, draws)
    events = EventCourt(court)
    rng = np.random.default_rng([simulation.SEED, *b"trends"])
    p_before = {drift: [] for drift in DRIFTS}
    p_all, estimates = [], []
    for start in range(0, n_panels, trials.CHUNK):
        n = min(trials.CHUNK, n_panels - start)
        outcome = simulation.simulate(court.sample, court.process, n, rng)
        estimates.append(_estimates(court, outcome))
        left = {fy: events.outcomes(fy, outcome) for fy in events.years}
        for panel in range(n):
            chosen = court.some_assignments(rng)
            for drift in DRIFTS:
                asked = events.years if drift == 0 else events.before
                found = [
                    events.statistics(fy, _drifted(events, fy, left[fy][:, panel], drift), chosen)
                    for fy in asked
                ]
                n_before = len(events.before)
                p_before[drift].append(inference.JointTest.of(found[:n_before]).p_value)
                if drift == 0:
                    p_all.append(inference.JointTest.of(found).p_value)
    stamp = results.input_stamp(study)
    return _records(court, np.concatenate(estimates), p_before, np.array(p_all), stamp)


def _drifted(events: EventCourt, fy: int, outcome: np.ndarray, drift: float) -> np.ndarray:
    """Return the outcome of units once targeted cells are ahead by `drift` a year."""
    year = events.years[fy]
    return outcome + np.log1p(drift) * year.ahead * year.actual.weight[0]


def _estimates(court: trials.Court, outcome: np.ndarray) -> np.ndarray:
    regressor = court.triple.regressor(court.actual[None, court.unit])
    return (regressor * court.triple.take_out(outcome)).sum(axis=0) / (regressor**2).sum()


def _shift(court: trials.Court, drift: float) -> float:
    """Return by how much a trend moves the estimate of the term, in logs."""
    ahead = np.log1p(drift) * court.years_ahead * court.actual[court.unit][court.triple.cell]
    return float(_estimates(court, ahead[:, None])[0])


def _records(
    court: trials.Court,
    estimates: np.ndarray,
    p_before: dict[float, list[float]],
    p_all: np.ndarray,
    stamp: str,
) -> pd.DataFrame:
    records = []
    for drift in DRIFTS:
        scenario = trials.Scenario("trend", "targeted cells ahead all along", drift=drift)
        common = trials.common_fields(court, scenario, "event-study", stamp)
        common |= {"method": "event study", "draws": court.draws, "effect": 100 * drift}
        warned = np.array(p_before[drift]) <= LIMIT
        off = estimates + _shift(court, drift)
        found = {
            "warning": trials.share(warned),
            "off": trials.mean(off),
            "off-unwarned": trials.mean(off[~warned]),
        }
        if drift == 0:
            found["band"] = trials.share(p_all <= LIMIT)
        for measure, values in found.items():
            own = {
                "result_id": f"{common['result_id']}-{10_000 * drift:.0f}-{measure}",
                "outcome_label": MEASURES[measure],
                "measure": measure,
                "n_panels": int((~warned).sum()) if measure == "off-unwarned" else len(warned),
            }
            records.append(trials.Trial(**{**common, **own, **values}))
    return results.to_frame(records)
