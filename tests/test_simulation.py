"""Panels drawn in the shape of the study, and what the trials of methods make of them."""

from dataclasses import replace

import numpy as np
import pytest
from small_panels import dummies, random_sample, residual

from clusterpolicy import crosschecks, effects, inference
from clusterpolicy.methodtrials import estimators, simulation, trendtrials, trials


@pytest.fixture(scope="module")
def sample():
    """Eight blocks of two prefectures and six industries, seen for ten years, some cells hidden."""
    return random_sample(np.random.default_rng(5), n_blocks=8, n_industries=6, missing=0.02)


def process_with(sample, **changes):
    return replace(simulation.measure_process(sample), **changes)


def test_a_panel_has_the_rows_of_the_sample_and_its_cells_their_mean_sizes(sample):
    process = process_with(sample, level=-30.0, prefectures=np.zeros((10, 10)))
    process = replace(process, industries=np.zeros((10, 10)))
    drawn = simulation.simulate(sample, process, 3, np.random.default_rng(1))
    assert drawn.shape == (len(sample.rows), 3)
    size = sample.rows.groupby(effects.CELL)["log_outcome"].transform("mean")
    assert np.abs(drawn - size.to_numpy()[:, None]).max() < 1e-3


def test_measuring_drawn_panels_gives_back_what_they_were_drawn_from(sample):
    """Scale by size, covariance over years, share in common: the mean of many panels finds them."""
    years = 0.8 ** np.abs(np.subtract.outer(range(10), range(10)))
    within = np.eye(10) - 0.1
    asked = process_with(sample, level=-2.0, slope=-0.8, dispersion=0.0, years=years, shared=0.4)
    drawn = simulation.simulate(sample, asked, 60, np.random.default_rng(2))
    found = [simulation.measure_process(simulation.panel_of(sample, y)) for y in drawn.T]
    expected = within @ years @ within
    mean = np.mean([each.years for each in found], axis=0)
    assert mean == pytest.approx(expected * 10 / np.trace(expected), abs=0.08)
    assert np.mean([each.shared for each in found]) == pytest.approx(0.4, abs=0.06)
    # The slope is that of the drawn means, which hold the paths too: only its sign is sure here.
    own = np.mean([np.exp(each.level) for each in found])
    assert own == pytest.approx(np.exp(-2.0) * np.trace(expected) / 10, rel=0.25)


def test_paths_redrawn_from_the_real_ones_have_their_tails(sample):
    heavy = np.where(np.arange(40)[:, None] < 2, 4.0, 0.5) * np.ones((40, 10))
    process = process_with(sample, paths=heavy, shared=0.0, level=0.0, slope=0.0)
    rng = np.random.default_rng(3)
    drawn = simulation._draw_paths(process, (50, 40), rng, is_heavy=True)
    assert set(np.abs(drawn).ravel()) == {0.5, 4.0}
    assert np.abs(drawn.mean()) < 0.1


def test_the_same_seed_gives_the_same_panels(sample):
    process = simulation.measure_process(sample)
    one, two = (simulation.simulate(sample, process, 2, np.random.default_rng(9)) for _ in range(2))
    assert (one == two).all()


def test_a_panel_takes_other_targets_cell_by_cell(sample):
    targets = np.zeros(len(sample.cells))
    targets[4] = 1
    moved = simulation.panel_of(sample, sample.rows["log_outcome"].to_numpy(), targets)
    assert list(np.flatnonzero(moved.cells["is_targeted"])) == [4]


def test_many_panels_at_once_are_each_what_one_regression_is(sample):
    """Estimate and standard errors of every panel, against least squares on all dummies."""
    process = simulation.measure_process(sample)
    drawn = simulation.simulate(sample, process, 3, np.random.default_rng(4))
    regression = estimators.Regression(sample, ("pref_code", "industry"))
    targets = sample.cells["is_targeted"].to_numpy(float)[None, :]
    left, regressor = regression.take_out(drawn), regression.regressor(targets)
    groups = ("prefecture", "independent")
    found = estimators.by_standard_errors(regression, left, regressor, groups)
    fixed = dummies(sample.rows)
    x = residual((sample.rows["is_targeted"] & sample.rows["in_term"]).to_numpy(float), fixed)
    for panel in range(3):
        one = effects.TripleDifference(simulation.panel_of(sample, drawn[:, panel]))
        assert found["prefecture"].estimate[panel] == pytest.approx(one.estimate, abs=1e-10)
        assert found["prefecture"].spread[panel] == pytest.approx(one.std_error, rel=1e-8)
        error = residual(drawn[:, panel], fixed) - one.estimate * x
        freedom = len(x) - np.linalg.matrix_rank(fixed) - 1
        iid = np.sqrt((error**2).sum() / freedom / (x @ x))
        assert found["independent"].spread[panel] == pytest.approx(iid, rel=1e-8)


class SmallCourt(trials.Court):
    """The court of a sample made by hand."""

    def __init__(self, sample, draws=39):
        self._take(sample, draws)


def test_the_trial_runs_the_test_of_the_reports(sample):
    """One panel tried by the court, and by the functions that the reports call."""
    court = SmallCourt(sample)
    outcome = sample.rows["log_outcome"].to_numpy()[:, None]
    rng = np.random.default_rng(6)
    found = court.try_panels(outcome, court.actual[None, :], rng)
    rng = np.random.default_rng(6)
    labels = court.pool_labels[court.some_assignments(rng)]
    whole = inference.permute_targets(sample.cells, 1)
    assignments = replace(whole, labels=labels)
    contrast = effects.TripleDifference(sample).contrast
    for way, pooled in (("permutation", inference.POOLED), ("strict", 0.0)):
        test = inference.permutation_test(contrast, assignments, pooled=pooled)
        assert found[way].estimate[0] == pytest.approx(test.estimate, abs=1e-10)
        ends = found[way].low[0], found[way].high[0]
        assert ends == pytest.approx((test.low, test.high), abs=1e-8)


def test_the_wild_bootstrap_of_many_panels_is_that_of_each(sample):
    court = SmallCourt(sample)
    drawn = simulation.simulate(sample, court.process, 2, np.random.default_rng(11))
    left = court.triple.take_out(drawn)
    regressor = court.triple.regressor(court.actual[None, court.unit])
    found = court._bootstrap(left, regressor, np.random.default_rng(12))
    rng = np.random.default_rng(12)
    for panel in range(2):
        one = effects.TripleDifference(simulation.panel_of(sample, drawn[:, panel]))
        weights = rng.choice([-1.0, 1.0], (trials.SIGNS, one.n_groups))
        test = crosschecks.bootstrap_with(one, weights)
        ends = found.low[panel], found.high[panel]
        assert ends == pytest.approx((test.low, test.high), abs=1e-8)


def test_an_effect_moves_every_interval_by_its_size(sample):
    """Why panels without an effect tell power too: here the effect is really put in."""
    court = SmallCourt(sample)
    process = court.process
    drawn = simulation.simulate(sample, process, 4, np.random.default_rng(7))
    in_term = court.triple.in_term * court.actual[court.unit][court.triple.cell]
    without = court.try_panels(drawn, court.actual[None, :], np.random.default_rng(8))
    moved = drawn + 0.05 * in_term[:, None]
    having = court.try_panels(moved, court.actual[None, :], np.random.default_rng(8))
    for way in trials.METHODS:
        for end in ("estimate", "low", "high"):
            before, after = getattr(without[way], end), getattr(having[way], end)
            assert after == pytest.approx(before + 0.05, abs=1e-7), (way, end)


def test_measures_count_panels_by_hand():
    """Four panels, two of whose intervals hold zero; an effect of 5 percent is seen in two."""
    shift = np.log(1.05)
    low = np.array([-1.0, -0.5, 0.1, -shift / 2])
    high = np.array([1.0, 0.5, 0.3, -0.001])
    found = estimators.Found((low + high) / 2, low, high, np.full(4, np.nan))
    common = dict.fromkeys(("outcome", "design", "role", "base", "clock", "fields_map"), "-")
    common |= {"result_id": "r", "term": 1, "sample": "-", "way": "block", "scenario": "fixed"}
    records = {r.result_id: r for r in trials.measure_method(found, common)}
    assert records["r-coverage"].estimate == 50.0
    assert records["r-rejection"].estimate == 50.0
    assert records["r-rejection"].std_error == pytest.approx(100 * np.sqrt(0.25 / 4))
    assert records["r-power-5"].estimate == 50.0  # the third and the fourth
    assert records["r-bias"].estimate == pytest.approx(100 * np.expm1(found.estimate.mean()))
    # Wilson's interval of 2 of 4 (Wilson 1927): (p + z^2/2n ± z sqrt(pq/n + z^2/4n^2))/(1+z^2/n).
    z = 1.959964
    half = z * np.sqrt(0.25 / 4 + z**2 / 64) / (1 + z**2 / 4)
    assert records["r-coverage"].low == pytest.approx(100 * (0.5 - half), abs=1e-4)


def test_the_event_study_on_trial_is_that_of_the_reports(sample):
    """The p-value of the years before, from ready contrasts and from `inference.event_study`."""
    court = SmallCourt(sample)
    events = trendtrials.EventCourt(court)
    outcome = sample.rows["log_outcome"].to_numpy()[:, None]
    chosen = court.some_assignments(np.random.default_rng(3))
    found = [
        events.statistics(fy, events.outcomes(fy, outcome)[:, 0], chosen) for fy in events.before
    ]
    ours = inference.JointTest.of(found).p_value
    whole = replace(inference.permute_targets(sample.cells, 1), labels=court.pool_labels[chosen])
    assert ours == pytest.approx(inference.event_study(sample, whole).pretrend_p)


def test_a_trend_moves_the_outcomes_as_if_it_were_in_the_figures(sample):
    court = SmallCourt(sample)
    events = trendtrials.EventCourt(court)
    outcome = sample.rows["log_outcome"].to_numpy()[:, None]
    ahead = np.log1p(0.02) * court.years_ahead * court.actual[court.unit][court.triple.cell]
    for fy in events.years:
        added = trendtrials._drifted(events, fy, events.outcomes(fy, outcome)[:, 0], 0.02)
        put_in = events.outcomes(fy, outcome + ahead[:, None])[:, 0]
        assert added == pytest.approx(put_in, abs=1e-9)


def test_turned_units_keep_the_size_of_what_the_estimate_leaves(sample):
    """Random signs by block and industry, effects taken out again: sizes stay, signs vary."""
    court = SmallCourt(sample)
    drawn = court._turned(40, np.random.default_rng(13))
    left = court.triple.take_out(sample.rows[["log_outcome"]].to_numpy())
    regressor = court.triple.regressor(court.actual[None, court.unit])
    rest = (left - regressor * ((regressor * left).sum() / (regressor**2).sum()))[:, 0]
    assert np.abs(drawn) == pytest.approx(np.abs(np.tile(rest[:, None], 40)))
    unit = court.unit[court.triple.cell]
    signs = np.sign(drawn * rest[:, None])
    for number in np.unique(unit):
        assert (np.ptp(signs[unit == number], axis=0) == 0).all()
    assert 0.4 < (signs > 0).mean() < 0.6


@pytest.mark.slow
def test_the_test_of_the_reports_rejects_as_often_as_it_says(sample):
    """400 panels with targets redrawn: 5 percent, give or take three Monte Carlo errors."""
    court = SmallCourt(sample, draws=99)
    scenario = trials.Scenario("redrawn", "targets redrawn", is_redrawn=True)
    found = court.try_methods(scenario, 400)
    rejected = {way: ((each.low > 0) | (each.high < 0)).mean() for way, each in found.items()}
    assert abs(rejected["permutation"] - 0.05) < 3 * np.sqrt(0.05 * 0.95 / 400)
    assert abs(found["permutation"].estimate.mean()) < 3 * (
        found["permutation"].estimate.std() / np.sqrt(400)
    )
