"""Panels drawn in the shape of the study, and what the trials of methods make of them."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from small_panels import random_sample

from clusterpolicy import effects, inference
from clusterpolicy.estimation import huber
from clusterpolicy.estimation.scoretest import Weights
from clusterpolicy.methodtrials import estimators, simulation, trendtrials, trials


@pytest.fixture(scope="module")
def sample():
    """Eight blocks of two prefectures and six industries, seen for ten years, some cells hidden."""
    return random_sample(np.random.default_rng(5), n_blocks=8, n_industries=6, missing=0.02)


def process_with(sample, **changes):
    return replace(simulation.measure_process(sample), **changes)


def test_a_panel_has_the_rows_of_the_sample_and_its_cells_their_mean_sizes(sample):
    process = process_with(sample, level=-30.0, places=np.zeros((10, 10)))
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
    drawn = simulation._draw_own(process, (50, 40), rng, is_heavy=True)
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


def brute_force_share(own, scale, common, cells):
    """Shared variance by matrices of cells x cells, as the formula reads."""
    unit = pd.MultiIndex.from_frame(cells[["block", "industry"]]).factorize()[0]
    alike = (unit[:, None] == unit[None, :]).astype(float)
    left = np.eye(len(own)) - common @ np.linalg.pinv(common)
    pairs, found = alike - np.eye(len(own)), own @ own.T
    ratio = (pairs * found).sum() / np.trace(found)
    without = left @ np.diag(scale**2) @ left
    full = left @ (alike * np.outer(scale, scale)) @ left
    excess = [(pairs * each).sum() - ratio * np.trace(each) for each in (without, full)]
    return np.clip(excess[0] / (excess[0] - excess[1]), 0, 1)


def test_the_share_in_common_needs_no_matrix_of_cells(sample):
    rng = np.random.default_rng(21)
    cells = sample.cells
    dummies = [pd.get_dummies(cells[key]).to_numpy(float) for key in ("pref_code", "industry")]
    common = np.hstack(dummies)
    left = np.eye(len(cells)) - common @ np.linalg.pinv(common)
    unit = simulation.frame_of(sample).cell_unit
    paths = rng.normal(size=(len(cells), 10)) + rng.normal(size=(unit.max() + 1, 10))[unit]
    own, scale = left @ paths, np.exp(0.3 * rng.normal(size=len(cells)))
    found = simulation._shared(own, scale, np.diag(left), lambda x: left @ x, cells)
    assert 0 < found < 1
    assert found == pytest.approx(brute_force_share(own, scale, common, cells), rel=1e-9)


def test_windows_turn_a_path_into_the_change_of_its_cell(sample):
    """Of cells seen in every year: else the reports take the paths of place and industry out."""
    seen = sample.rows.groupby(sample.keys)["fy"].transform("size") == 10
    sample = replace(sample, rows=sample.rows[seen].reset_index(drop=True))
    frame = simulation.frame_of(sample)
    paths = np.zeros((len(sample.cells), 10))
    paths[frame.cell, frame.year] = sample.rows["log_outcome"]
    changes = (paths * frame.windows).sum(axis=1)
    assert changes == pytest.approx(effects.cell_changes(sample).change, abs=1e-12)


def small_court(sample, draws=39, pool=199):
    return trials.Court(sample, draws, pool)


@pytest.fixture(scope="module")
def court(sample):
    return small_court(sample)


def panel_as_sample(court, changes):
    """Return the sample in which every cell changes by that much, all years of a term alike."""
    moved = np.where(court.sample.rows["in_term"], changes[court.frame.cell], 0.0)
    return simulation.panel_of(court.sample, moved)


def of_the_report(court, changes, rows, **options):
    """Test one panel by the functions that the reports call."""
    whole = court.bench.assignments
    assignments = replace(whole, labels=whole.labels[rows[1:] - 1])
    panel = effects.cell_changes(panel_as_sample(court, changes))
    return inference.permutation_test(panel, assignments, **options)


def test_the_trial_runs_the_test_of_the_reports(court):
    """Panels tried by the court all at once, and one by one as the reports do."""
    n_apart = 0
    for changes, rows, own in court.panels(trials.Scenario("t", "t"), 12):
        ways = ["declared", "block"]
        found = court.bench.p_values(changes, rows, own, ways)
        for panel in range(12):
            for way, by_block in (("declared", False), ("block", True)):
                test = of_the_report(court, changes[panel], rows, by_block=by_block)
                pointwise = found[way][panel]
                # An effect is rejected only together with all beyond it: never the smaller p.
                assert test.p_value >= pointwise - 1e-12
                n_apart += test.p_value > pointwise + 1e-12
    assert n_apart <= 4
    # The court fits no finer than its shares need; fitted as finely, the estimate is that one.
    layout, k = court.bench.changes.layout, court.bench.test.k
    fit = huber.fit(layout, changes[panel][None], court.bench.actual, k=k)
    assert fit.slope[0] == pytest.approx(test.estimate, rel=1e-6)
    near = estimators.CLOSE * fit.scale[0]
    assert court.bench.estimates(changes)["declared"][panel] == pytest.approx(
        fit.slope[0], abs=near
    )


def test_the_interval_covers_where_the_truth_is_not_rejected(court):
    """Why rejections tell coverage: an effect of 20 percent is put in, the test inverted."""
    effect = np.log(1.2)
    scenario = trials.Scenario("c", "c", is_uneven=True)
    for changes, rows, own in court.panels(scenario, 30):
        p_values = court.bench.p_values(changes, rows, own, ["declared"])["declared"]
        tests = [of_the_report(court, each + effect * court.bench.actual, rows) for each in changes]
    covered = np.array([test.low <= effect <= test.high for test in tests])
    assert covered[p_values > 0.05].all()
    assert (covered != (p_values > trials.LIMIT)).sum() <= 1
    assert 20 < covered.sum() < 30


def test_redrawn_targets_are_tested_as_if_they_were_the_actual_ones(court):
    """Panel i is given assignment i of its draws; the others are its reassignments."""
    scenario = trials.Scenario("r", "r", is_redrawn=True)
    changes, rows, own = next(court.panels(scenario, 5))
    assert list(own) == list(range(5))
    found = court.bench.p_values(changes, rows, own, ["declared"])["declared"]
    for panel in range(5):
        targets = court.bench.targets(rows)[panel]
        labels = court.bench.assignments.labels[np.delete(rows, panel) - 1]
        assignments = replace(court.bench.assignments, actual=targets, labels=labels)
        test = inference.score_test(
            replace(court.bench.changes, change=changes[panel]), assignments
        )
        assert found[panel] == pytest.approx(test.p_values(np.zeros(1))[0])


def test_candidates_differ_in_the_average_alone(sample):
    court = small_court(sample, draws=199)
    changes, rows, own = next(court.panels(trials.Scenario("t", "t"), 40))
    found = court.bench.p_values(changes, rows, own, ["pooled-0", "first", "raw"])
    for way, k, pooled in (("pooled-0", huber.K, 0.0), ("first", huber.LEAST_SQUARES, 1.0)):
        test = inference.score_test(court.bench.changes, court.bench.assignments, k)
        weights = test.weights.pick(rows)
        own_weights = Weights(
            weights.weight, weights.norm, test.weights.with_pooled(pooled).critical[rows]
        )
        squares = own_weights.squares(test.score(changes, estimators.CLOSE), pooled)
        by_hand = (squares >= squares[:, :1] * (1 - 1e-9)).mean(axis=1)
        assert found[way] == pytest.approx(by_hand)
    assert (found["pooled-0"] != found["first"]).any()
    assert (found["raw"] != found["first"]).any()


def test_the_standard_error_by_place_is_that_of_the_regression(sample, court):
    """Against the triple difference of a panel whose cells are each seen once before and after."""
    changes, rows, own = next(court.panels(trials.Scenario("t", "t"), 2))
    found = court.bench.p_values(changes, rows, own, ["place"])["place"]
    from scipy.stats import t as student

    kept = sample.rows.drop_duplicates([*effects.CELL, "in_term"]).copy()
    kept["fy"] = np.where(kept["in_term"], 2001, 2000)
    kept = kept.sort_values([*effects.CELL, "fy"], ignore_index=True)
    twice = replace(sample, rows=kept)
    cell = simulation.frame_of(twice).cell
    for panel in range(2):
        moved = np.where(kept["in_term"], changes[panel][cell], 0.0)
        one = effects.TripleDifference(simulation.panel_of(twice, moved))
        p_value = 2 * student.sf(abs(one.estimate) / one.std_error, one.n_groups - 1)
        assert found[panel] == pytest.approx(p_value, rel=1e-6)


def test_a_plant_multiplies_one_targeted_cell_by_nine(court):
    drawn = next(court.panels(trials.Scenario("p", "p"), 8))[0]
    for which in ("targeted", "other"):
        scenario = trials.Scenario("p", "p", plant=which)
        rise = next(court.panels(scenario, 8))[0] - drawn
        assert ((np.abs(rise) > 1e-12).sum(axis=1) == 1).all()
        panel, cell = np.nonzero(np.abs(rise) > 1e-12)
        assert np.exp(rise[panel, cell]) == pytest.approx(np.full(8, 9.0))
        assert (court.bench.actual[cell] == (which == "targeted")).all()
        assert len(set(cell)) > 1


def test_a_shock_is_common_to_the_targeted_cells_of_a_block(court):
    drawn = next(court.panels(trials.Scenario("s", "s"), 3))[0]
    rise = next(court.panels(trials.Scenario("s", "s", shock=0.1), 3))[0] - drawn
    is_targeted = court.bench.actual == 1
    assert rise[:, ~is_targeted] == pytest.approx(0, abs=1e-12)
    block = court.sample.cells["block"].to_numpy()
    hit = np.unique(block[is_targeted])
    for each in hit:
        own = rise[:, is_targeted & (block == each)]
        assert np.ptp(own, axis=1) == pytest.approx(0, abs=1e-12)
    assert len(np.unique(rise.round(9))) == 1 + 3 * len(hit)


def test_signs_are_drawn_by_unit_and_sizes_stay(court):
    drawn = next(court.panels(trials.Scenario("s", "s", "signs"), 30))[0]
    rest = court.bench.test.fit.residual[0]
    assert np.abs(drawn) == pytest.approx(np.abs(np.tile(rest, (30, 1))))
    signs = np.sign(drawn * rest)
    for number in np.unique(court.bench.test.unit):
        assert (np.ptp(signs[:, court.bench.test.unit == number], axis=1) == 0).all()
    assert 0.4 < (signs > 0).mean() < 0.6


def test_residuals_move_among_the_units_of_an_industry():
    """Two industries; a unit of one cell and a unit of three: each residual is of the industry."""
    unit = np.array([0, 1, 1, 1, 2, 2, 3, 3])
    industry = np.array([0, 0, 0, 0, 1, 1, 1, 1])
    residual = np.array([1.0, 2, 3, 4, 10, 20, 30, 40])
    rng = np.random.default_rng(4)
    moved = trials.moved_among_units(residual, unit, industry, 400, rng)
    assert set(np.abs(moved[:, :4]).ravel()) == {1.0, 2.0, 3.0, 4.0}
    assert set(np.abs(moved[:, 4:]).ravel()) == {10.0, 20.0, 30.0, 40.0}
    # Units of one size are exchanged whole: pairs stay together and share their sign.
    for own in (moved[:, 4:6], moved[:, 6:]):
        pairs = {tuple(sorted(pair)) for pair in np.abs(own).astype(int).tolist()}
        assert pairs == {(10, 20), (30, 40)}
        assert (np.sign(own[:, 0]) == np.sign(own[:, 1])).all()
    # The unit of three is not filled with copies of the single cell it may be given.
    given_single = (np.abs(moved[:, 1:4]) == 1).sum(axis=1)
    assert (given_single > 1).mean() < 0.25


def test_a_trial_does_not_depend_on_what_was_tried_before(sample):
    one, two = small_court(sample), small_court(sample)
    scenario = trials.Scenario("u", "u", is_uneven=True)
    next(two.panels(trials.Scenario("h", "h", "heavy"), 4))
    next(two.panels(trials.Scenario("t", "t"), 4))
    for first, second in zip(one.panels(scenario, 4), two.panels(scenario, 4), strict=True):
        assert (first[0] == second[0]).all()
        assert (first[1] == second[1]).all()


def test_a_court_takes_other_places_and_cells_of_unlike_precision(sample):
    """Each prefecture twice, as two municipalities with the precision of their counts."""
    halves = []
    for half in "xy":
        rows = sample.rows.assign(
            muni_code=sample.rows["pref_code"] + half, precision=2.0 if half == "x" else 0.5
        )
        rows["log_outcome"] += np.random.default_rng(3).normal(size=len(rows))
        halves.append(rows)
    rows = pd.concat(halves).sort_values(["muni_code", "industry", "fy"], ignore_index=True)
    towns = effects.Sample(sample.design, rows, sample.lost, place="muni_code", k=1.0)
    court = trials.Court(towns, 39, 199)
    records = []
    for name in ("fixed", "moved", "signs"):
        scenario = next(each for each in trials.SCENARIOS if each.name == name)
        scenario = replace(scenario, meets_printed=False)
        records += trials.try_court(court, scenario, 20, (50.0,) if name == "fixed" else ())
    assert {record.n_cells for record in records} == {2 * len(sample.cells)}
    # Residuals move in units of their own precision.
    moved = next(court.panels(trials.Scenario("m", "m", "moved"), 5))[0] * court.bench.root
    own = court.bench.test.fit.residual[0] * court.bench.root
    assert set(np.abs(moved).ravel().round(9)) <= set(np.abs(own).round(9))
    assert court.frame.cell_place.max() + 1 == rows["muni_code"].nunique()
    assert {record.n_panels for record in records} == {20}
    assert court.bench.test.k == 1.0
    assert set(court.bench.changes.layout.weight) == {0.5, 2.0}


def test_measures_count_panels_by_hand():
    """Four panels, one of which is rejected without an effect; two effects, found in 2 and 4."""
    null = np.array([0.04, 0.06, 0.5, 0.9])
    found = trials.Found(
        {
            ("first", 0.0): null,
            ("first", 10.0): np.array([0.01, 0.05, 0.2, 0.6]),
            ("first", 20.0): np.array([0.01, 0.01, 0.02, 0.03]),
        },
        {"first": np.array([0.0, 0.1, 0.2, 0.1])},
    )
    common = dict.fromkeys(("outcome", "design", "role", "base", "clock", "fields_map"), "-")
    common |= {"result_id": "r", "term": 1, "sample": "-", "way": "first", "scenario": "fixed"}
    records = {r.result_id: r for r in trials.measure_way(found, "first", common)}
    assert records["r-rejection"].estimate == 25.0
    assert records["r-rejection"].std_error == pytest.approx(100 * np.sqrt(0.25 * 0.75 / 4))
    assert records["r-power-10.0"].estimate == 50.0
    assert records["r-power-20.0"].estimate == 100.0
    assert records["r-bias"].estimate == pytest.approx(100 * np.expm1(0.1))
    # 80 percent lie three fifths of the way from 50 to 100.
    assert records["r-smallest"].estimate == pytest.approx(16.0)
    # Wilson's interval of 1 of 4 (Wilson 1927): (p + z^2/2n ± z sqrt(pq/n + z^2/4n^2))/(1+z^2/n).
    z = 1.959964
    half = z * np.sqrt(0.25 * 0.75 / 4 + z**2 / 64) / (1 + z**2 / 4)
    middle = (0.25 + z**2 / 8) / (1 + z**2 / 4)
    assert records["r-rejection"].low == pytest.approx(100 * (middle - half), abs=1e-4)


def test_power_at_equal_size_by_hand():
    """Ten null panels: one is rejected at 0.02, the second at 0.04, so 15 percent lie between."""
    null = np.r_[0.02, 0.04, np.linspace(0.2, 0.9, 8)]
    other = np.array([0.01, 0.02, 0.03, 0.04, 0.2])
    # At 0.02 (or 0.03: one null panel as well) 10 percent, at 0.04 20: between 3 of 5 and 4 of 5.
    assert estimators.power_at_size(null, other, 0.15) == pytest.approx((0.6 + 0.8) / 2)
    assert estimators.power_at_size(null, other, 0.10) == pytest.approx(0.6)
    assert estimators.power_at_size(null, null, 0.05) == pytest.approx(0.05)
    assert np.isnan(estimators.smallest_found(np.array([1.0, 2.0]), np.array([0.1, 0.7]), 0.8))


def test_the_effect_printed_as_detectable_is_that_of_the_records(court):
    """As ``results.estimate_term`` prints it: of the real changes, with all draws."""
    test = inference.score_test(
        effects.cell_changes(court.sample), inference.permute_targets(court.sample.cells)
    )
    assert court.detectable == inference.detectable_effect(test)


def test_the_event_study_on_trial_is_that_of_the_reports(sample, court):
    """The p-value of the years before, from many panels and from `inference.pretrend_test`."""
    events = trendtrials.EventCourt(court)
    chosen = np.r_[0, np.random.default_rng(3).integers(1, inference.YEAR_DRAWS + 1, 49)]
    rng = np.random.default_rng(5)
    paths = simulation.draw_paths(court.frame, court.process, 3, rng)
    found = events.joint_p(paths, 0.03, chosen, events.before)
    labels = events.assignments.labels[chosen[1:] - 1]
    for panel in range(3):
        figures = paths[panel][court.frame.cell, court.frame.year]
        years = sample.rows["fy"] - sample.design.base_year
        figures = figures + np.log1p(0.03) * years * sample.rows["is_targeted"]
        one = simulation.panel_of(sample, figures.to_numpy())
        whole = replace(events.assignments, labels=labels)
        assert found[panel] == pytest.approx(inference.pretrend_test(one, whole).p_value)


def test_an_older_trend_moves_the_change_by_the_years_between(court):
    """Ten years, five in the term, all seen: 5 years lie between the middles."""
    ahead = court.ahead(0.01)
    years = np.sort(court.sample.rows["fy"].unique())
    complete = np.bincount(court.frame.cell) == len(years)
    targeted = court.bench.actual == 1
    assert ahead[complete & targeted] == pytest.approx(5 * np.log(1.01))
    assert (ahead[~targeted] == 0).all()


@pytest.mark.slow
@pytest.mark.parametrize(
    "scenario", [each for each in trials.SCENARIOS if each.name not in trials.UNHELD]
)
def test_the_declared_test_rejects_as_often_as_it_says(sample, scenario):
    """400 panels a scenario: 3 to 6.5 percent, give or take three Monte Carlo errors."""
    court = trials.Court(sample, 199, 1_999)
    found = court.try_scenario(scenario, 400)
    rejected = (found.p_values["declared", 0.0] <= trials.LIMIT).mean()
    error = 3 * np.sqrt(0.05 * 0.95 / 400)
    assert 0.03 - error < rejected < 0.065 + error
    for estimates in found.estimates.values():
        if not scenario.plant:
            assert abs(estimates.mean()) < 4 * estimates.std() / np.sqrt(len(estimates))
