"""Synthetic difference-in-differences: by hand, against a second program, and its placebo test."""

import time

import numpy as np
import pytest

from clusterpolicy import policy
from clusterpolicy.otherdesigns import synthetic

YEARS = 12
POST = np.arange(YEARS) >= 8


@pytest.fixture
def panel():
    """20 random walks with a common path; the first two share what they are made of."""
    rng = np.random.default_rng(3)
    return np.cumsum(rng.normal(size=(20, YEARS)), axis=1) + np.linspace(0, 5, YEARS)


@pytest.fixture
def treated():
    return np.arange(20) < 2


def test_weights_of_two_columns_are_those_found_by_hand():
    # min (w - 0.3)^2 over [0, 1] for columns 1 and 0 against 0.3
    weights = synthetic.simplex_weights(np.array([[1.0, 0.0]]), np.array([0.3]), ridge=0.0)
    assert weights == pytest.approx([0.3, 0.7])


def test_a_target_outside_the_columns_gets_the_nearest_corner():
    weights = synthetic.simplex_weights(np.array([[1.0, 0.0]]), np.array([7.0]), ridge=0.0)
    assert weights == pytest.approx([1.0, 0.0])


def test_a_heavy_ridge_spreads_the_weights_evenly():
    weights = synthetic.simplex_weights(np.array([[1.0, 0.0]]), np.array([7.0]), ridge=1e9)
    assert weights == pytest.approx([0.5, 0.5], abs=1e-6)


def test_no_other_weights_on_the_simplex_come_nearer(panel):
    rng = np.random.default_rng(5)
    matrix, target = panel[2:, ~POST].T, panel[:2, ~POST].mean(axis=0)
    found = synthetic.simplex_weights(matrix, target, ridge=0.1)
    assert found.min() >= 0
    assert found.sum() == pytest.approx(1)

    def loss(weights):
        return ((weights @ matrix.T - target) ** 2).sum(-1) + 0.1 * (weights**2).sum(-1)

    others = rng.dirichlet(np.full(18, 0.3), size=20_000)
    near = 0.999 * found + 0.001 * others
    assert loss(found) < loss(others).min()
    assert (loss(found) <= loss(near) + 1e-12).all()


def test_an_effect_is_found_to_the_digit_where_donors_move_alike(panel, treated):
    common = panel[0]
    outcome = np.vstack([common + level for level in range(20)])
    outcome += 1e-9 * panel  # donors that move exactly alike have no changes to measure
    outcome[:2, POST] += 0.07
    estimate, _, _ = synthetic.synthetic_difference(outcome, treated, POST)
    assert estimate == pytest.approx(0.07, abs=1e-7)


def test_an_effect_moves_the_estimate_one_for_one_and_no_placebo(panel, treated):
    plain = synthetic.synthetic_difference(panel, treated, POST)
    shifted = panel + 0.5 * np.outer(treated, POST)
    moved = synthetic.synthetic_difference(shifted, treated, POST)
    assert moved[0] == pytest.approx(plain[0] + 0.5)
    assert moved[1] == pytest.approx(plain[1])


def test_a_second_program_that_runs_to_convergence_agrees(panel, treated):
    """diff-diff stops its weights early by default; run on, it meets the exact solution."""
    utils = pytest.importorskip("diff_diff.utils")
    estimate, units, times = synthetic.synthetic_difference(panel, treated, POST)
    donors, own = panel[~treated].T, panel[treated].mean(axis=0)
    zetas = utils._compute_regularization(donors[~POST], int(treated.sum()), int(POST.sum()))
    run_on = {"min_decrease": 1e-12, "max_iter": 10**6}
    their_units = utils.compute_sdid_unit_weights(donors[~POST], own[~POST], zetas[0], **run_on)
    their_times = utils.compute_time_weights(donors[~POST], donors[POST], zetas[1], **run_on)
    theirs = utils.compute_sdid_estimator(
        donors[~POST], donors[POST], own[~POST], own[POST], their_units, their_times
    )
    assert estimate == pytest.approx(theirs, abs=1e-6)
    assert units == pytest.approx(their_units, abs=1e-5)
    assert times == pytest.approx(their_times, abs=1e-5)


def test_every_run_of_neighbours_stands_in_once_and_is_refitted(panel):
    found = synthetic.placebo_estimates(panel, 3, POST)
    stands_in = np.isin(np.arange(20), (19, 0, 1))
    assert len(found) == 20
    assert found[19] == synthetic.synthetic_difference(panel, stands_in, POST)[0]
    assert len(np.unique(found.round(12))) == 20


@pytest.mark.parametrize("estimate", [-0.9, -0.3, 0.0, 0.2, 0.35, 0.6, 2.0])
def test_interval_and_p_agree_about_zero(estimate):
    placebos = np.random.default_rng(1).normal(scale=0.3, size=39)
    low, high, p_value = synthetic.placebo_interval(estimate, placebos)
    assert low <= estimate <= high
    assert (p_value <= 0.05) == (low > 0 or high < 0)


def test_an_estimate_between_the_two_largest_of_39_placebos_is_just_significant():
    low, high, p_value = synthetic.placebo_interval(3.85, np.arange(1, 40) / 10)
    assert p_value == pytest.approx(2 / 40)
    assert low == pytest.approx(3.85 - 3.8)
    assert high == pytest.approx(3.85 + 3.8)


def test_too_few_placebos_leave_the_interval_open():
    assert synthetic.placebo_interval(1.0, np.full(10, 0.1))[:2] == (-np.inf, np.inf)


# ---- On the study's own figures ---------------------------------------------------------------


@pytest.fixture(scope="module")
def records(real_study):
    started = time.perf_counter()
    tables = {term: synthetic.estimate_projects(real_study, term) for term in (1, 2, 3)}
    assert time.perf_counter() - started < 15
    return tables


def test_every_project_has_one_record_an_indicator(real_study, records):
    for term, table in records.items():
        projects = set(real_study.projects_of_term(term)["project_id"])
        assert len(table) == 2 * len(projects)
        assert table["result_id"].is_unique
        assert {name.split(" ")[0] for name in table["sample"]} == projects


def test_no_project_gets_more_than_grade_two(records):
    for table in records.values():
        assert table["grade"].max() == 2
        assert table["n_targeted"].lt(table["n_cells"]).all()


def test_projects_of_the_same_prefectures_get_the_same_number(real_study, records):
    table = records[1].set_index("result_id")["estimate"]
    same = ["kinki-bio-t1", "kinki-it-t1", "kinki-monozukuri-t1", "kinki-energy-env-t1"]
    assert table[[f"t1-funded-sdid-{each}-shipments" for each in same]].nunique() == 1


def test_donors_are_not_of_the_project_and_tokyo_is_left_out(real_study):
    fit = synthetic.fit_project(real_study, "kanto-regional-t1")
    project = real_study.projects.set_index("project_id").loc["kanto-regional-t1"]
    assert not set(fit.unit_weights.index) & set(project["prefectures"].split(";"))
    assert fit.n_treated == 10
    assert "13" not in fit.unit_weights.index
    kyushu = synthetic.fit_project(real_study, "kyushu-krip-t1")
    assert "13" not in kyushu.unit_weights.index


def test_years_with_a_broken_sum_are_left_out(real_study):
    years = synthetic.fit_project(real_study, "okinawa-t1").years["year"]
    assert not {1986, 1987, 1994} & set(years)
    assert {1980, 2000, 2001, 2020} <= set(years)


def test_years_between_policy_and_term_weigh_nothing(real_study):
    fit = synthetic.fit_project(real_study, "kyushu-bio-t2")
    assert fit.time_weights.index.max() == 2000
    gap = fit.years.set_index("year")["gap"]
    before = fit.time_weights @ gap[fit.time_weights.index]
    assert before == pytest.approx(0)  # the synthetic path is moved to the project's level
    assert fit.estimate == pytest.approx(gap.loc[2006:2009].mean())


def test_where_every_prefecture_shares_its_fields_counts_are_printed(real_study):
    table = synthetic.estimate_project(real_study, "shikoku-technobridge-t2")
    narrow = table[table["sample"].str.endswith("names its fields")]
    assert narrow["status"].eq("not estimable").all()
    assert narrow["reason"].str.contains("0 placebo sets where 20 are needed").all()
    assert narrow["estimate"].isna().all()


def test_an_unknown_project_is_refused_with_those_there_are(real_study):
    with pytest.raises(KeyError, match="okinawa-t1"):
        synthetic.fit_project(real_study, "nowhere")


def test_a_placebo_gap_is_that_of_fitting_the_set_as_a_project(real_study):
    fit = synthetic.fit_project(real_study, "shikoku-technobridge-t2")
    donors = list(fit.unit_weights.index)
    wide = synthetic._wide_logs(real_study, "shipments").loc[donors]
    own = fit.placebo_sets[3].split(";")
    others = tuple(code for code in donors if code not in own)
    again = synthetic._fit(wide, tuple(own), others, (2006, 2009), 2001)
    assert again.estimate == pytest.approx(fit.placebos[3])
    assert again.years["gap"].to_numpy() == pytest.approx(fit.placebo_gaps[3])


def test_the_gap_is_recorded_by_year_with_the_band_of_its_placebos(real_study):
    fit = synthetic.fit_project(real_study, "kyushu-silicon-t2")
    term = policy.choose_term(real_study.terms, 2, "funded")
    *years, outside = synthetic.gap_records(real_study, "kyushu-silicon-t2", "shipments", term, fit)
    last = years[-1]
    assert (last.design, last.year, last.draws) == ("counterpart gap", 2020, 39)
    assert last.estimate == pytest.approx(100 * fit.years["gap"].iloc[-1])
    ends = 100 * np.sort(fit.placebo_gaps[:, -1])[[0, -1]]
    assert [last.low, last.high] == pytest.approx(ends)  # 39 sets: the extremes hold 95 %
    assert last.level == pytest.approx(0.95)
    since = [each for each in years if each.year >= 2001]
    assert outside.estimate == sum(not y.low <= y.estimate <= y.high for y in since)
    assert outside.n_observations == len(since) == 20
    paths = synthetic.placebo_paths(fit, "shipments").set_index(["placebo", "year"])["estimate"]
    assert len(paths) == 39 * len(years)
    assert paths.groupby("year").max()[2020] == pytest.approx(last.high)


def test_a_project_without_a_counterpart_has_one_record_that_says_why(real_study):
    fit = synthetic.fit_project(
        real_study, "shikoku-technobridge-t2", donors=synthetic.NONE_OF_ITS_FIELDS
    )
    term = policy.choose_term(real_study.terms, 2, "funded")
    (only,) = synthetic.gap_records(real_study, "shikoku-technobridge-t2", "employees", term, fit)
    assert (only.status, only.reason) == ("not estimable", fit.reason)
    assert synthetic.placebo_paths(fit, "employees").empty
