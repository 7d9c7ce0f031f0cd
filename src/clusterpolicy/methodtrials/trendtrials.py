"""The event study on trial: its joint test, the test of the years before, and what that lets pass.

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
from clusterpolicy.estimation.scoretest import ScoreTest
from clusterpolicy.methodtrials import simulation, trials
from clusterpolicy.methodtrials.estimators import CLOSE, DECLARED
from clusterpolicy.panel import Study

DRIFTS = (0.0, 0.005, 0.01, 0.02)  # growth a year by which targeted cells are ahead
PANELS = 500
DRAWS = 499
CHUNK = 20  # panels that share draws: few, or what their draws have in common would show
EVENT_STUDY = "event-study"  # `way` of its records
MEASURES = {
    "warning": "test of the years before the term rejects",
    "band": "band of the event study leaves out zero in some year",
    "off": "bias of the estimate of the term",
    "off-unwarned": "bias where the test of the years before does not reject",
}


@dataclass(frozen=True)
class _Year:
    """The comparison of one year with the base year."""

    test: ScoreTest
    seen: np.ndarray
    now: int  # positions of the two years in a path
    base: int
    ahead: int  # years after the base year


class EventCourt:
    """The event study of one sample, ready for many panels.

    Parameters
    ----------
    court : trials.Court
    """

    def __init__(self, court: trials.Court):
        self.court = court
        self.assignments = inference.permute_targets(
            court.sample.cells, inference.YEAR_DRAWS, simulation.SEED
        )
        every = np.sort(court.sample.rows["fy"].unique())
        base_year = court.sample.design.base_year
        position = {int(fy): place for place, fy in enumerate(every)}
        self.years = {
            fy: _Year(
                inference.score_test(changes, self.assignments.of_cells(seen)),
                seen,
                position[fy],
                position[base_year],
                fy - base_year,
            )
            for fy, (seen, changes) in effects.changes_by_year(court.sample).items()
        }
        self.before = [fy for fy in self.years if fy < base_year]

    def changes(self, fy: int, paths: np.ndarray, drift: float = 0.0) -> np.ndarray:
        """Return the changes of one year against the base year, n_panels x n_cells seen.

        Parameters
        ----------
        fy : int
        paths : ndarray, n_panels x n_cells x n_years
        drift : float
            Growth a year by which targeted cells are ahead.
        """
        year = self.years[fy]
        own = paths[:, year.seen, year.now] - paths[:, year.seen, year.base]
        return own + np.log1p(drift) * year.ahead * year.test.actual

    def statistics(self, fy: int, changes: np.ndarray, chosen: np.ndarray) -> np.ndarray:
        """Return the statistics of no effect in one year, n_panels x n_assignments.

        Parameters
        ----------
        fy : int
        changes : ndarray, n_panels x n_cells seen
        chosen : ndarray of int
            Assignments, as positions among the weights; the actual one, 0, first.
        """
        test = self.years[fy].test
        return np.sqrt(test.weights.pick(chosen).squares(test.score(changes, CLOSE)))

    def joint_p(self, paths: np.ndarray, drift: float, chosen: np.ndarray, years) -> np.ndarray:
        """Return the p-value of no effect in any of some years, n_panels."""
        found = [self.statistics(fy, self.changes(fy, paths, drift), chosen) for fy in years]
        panels = zip(*found, strict=True)
        return np.array([inference.JointTest.of(list(panel)).p_value for panel in panels])


def try_trends(
    study: Study, fields_map: str, n_panels: int = PANELS, draws: int = DRAWS
) -> pd.DataFrame:
    """Try the event study of term 1 in panels with and without an older trend.

    Returns
    -------
    DataFrame
        One :class:`trials.Trial` a row.
    """
    court = trials.Court(trials.samples_on_trial(study, fields_map)[0], draws)
    events = EventCourt(court)
    rng = court.rng("trends")
    p_before: dict[float, list] = {drift: [] for drift in DRIFTS}
    estimates: dict[float, list] = {drift: [] for drift in DRIFTS}
    p_all = []
    for start in range(0, n_panels, CHUNK):
        n = min(CHUNK, n_panels - start)
        paths = simulation.draw_paths(court.frame, court.process, n, rng)
        changes = np.einsum("pcy,cy->pc", paths, court.frame.windows)
        chosen = np.r_[0, rng.integers(1, inference.YEAR_DRAWS + 1, draws)]
        for drift in DRIFTS:
            p_before[drift].append(events.joint_p(paths, drift, chosen, events.before))
            moved = changes + court.ahead(drift)
            estimates[drift].append(court.bench.estimates(moved)[DECLARED])
        p_all.append(events.joint_p(paths, 0.0, chosen, events.years))
    return _records(
        court,
        {drift: np.concatenate(each) for drift, each in estimates.items()},
        {drift: np.concatenate(each) for drift, each in p_before.items()},
        np.concatenate(p_all),
        results.input_stamp(study),
    )


def _records(
    court: trials.Court,
    estimates: dict[float, np.ndarray],
    p_before: dict[float, np.ndarray],
    p_all: np.ndarray,
    stamp: str,
) -> pd.DataFrame:
    records = []
    for drift in DRIFTS:
        scenario = trials.Scenario("trend", "targeted cells ahead all along", drift=drift)
        common = trials.common_fields(court, scenario, EVENT_STUDY, stamp)
        common |= {"method": "event study", "draws": court.draws, "effect": 100 * drift}
        warned = p_before[drift] <= trials.LIMIT
        found = {
            "warning": trials.share(warned),
            "off": trials.mean(estimates[drift]),
            "off-unwarned": trials.mean(estimates[drift][~warned]),
        }
        if drift == 0:
            found["band"] = trials.share(p_all <= trials.LIMIT)
        for measure, values in found.items():
            own = {
                "result_id": f"{common['result_id']}-{10_000 * drift:.0f}-{measure}",
                "outcome_label": MEASURES[measure],
                "measure": measure,
                "n_panels": int((~warned).sum()) if measure == "off-unwarned" else len(warned),
            }
            records.append(trials.Trial(**{**common, **own, **values}))
    return results.to_frame(records)
