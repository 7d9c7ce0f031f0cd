"""Every estimate is one record, made once, saved once, and read back as it was."""

import math

import numpy as np
import pandas as pd
import pytest
from small_results import record, records, small_study

from clusterpolicy import crosschecks, effects, inference, results, sources
from clusterpolicy.estimation import influence

DRAWS = 199


@pytest.fixture(scope="module")
def study(real_study):
    return small_study(real_study, effect=0.10)


@pytest.fixture(scope="module")
def first_term(study):
    return results.estimate_term(study, 1, DRAWS)


@pytest.fixture(scope="module")
def second_term(study):
    return results.estimate_term(study, 2, DRAWS)


KEYS = ["clock", "fields_map", "base", "sample"]


# ---- What is recorded -------------------------------------------------------------------------


@pytest.mark.parametrize("term", [1, 2])
def test_every_design_has_one_triple_difference(study, first_term, second_term, term):
    found = results.choose({1: first_term, 2: second_term}[term])
    designs = effects.designs_of_term(study, term)
    if term == 2:
        designs += [effects.continued_design(design) for design in designs if design.is_main]
    if term in effects.UNKNOWN_START_TERMS:
        designs += [effects.unknown_start_design(design) for design in designs if design.is_main]
    listed = [(d.term.clock, d.fields_map, d.base, d.sample) for d in designs]
    assert sorted(found[KEYS].itertuples(index=False, name=None)) == sorted(listed)
    assert found["role"].eq("main").sum() == 4
    assert found["status"].eq("estimated").all()


def test_every_record_has_a_name_of_its_own(first_term, second_term):
    names = pd.concat([first_term, second_term])["result_id"]
    assert names.is_unique
    assert "t1-funded-broad-b2000-all-cells" in set(names)
    assert "t2-planned-narrow-b2005-without-tokyo" in set(names)
    assert "t1-planned-narrow-b2000-all-cells-fy2003" in set(names)


def test_every_main_estimate_has_its_years_and_its_baseline(first_term):
    mains = first_term[first_term["role"] == "main"].groupby(["clock", "fields_map"])
    for _, rows in mains:
        assert rows["design"].value_counts().to_dict() == {
            "event study": 9,  # 1996 to 2005 without the base year
            "baseline comparison": 3,
            "triple difference": 1,
        }
        years = rows.loc[rows["design"] == "event study", "year"]
        assert years.tolist() == [year for year in range(1996, 2006) if year != 2000]
    checks = first_term[first_term["role"] == "check"]
    assert set(checks["design"]) == {"triple difference"}  # no cell lies far from the others


def test_clocks_that_share_their_years_share_their_numbers(first_term, second_term):
    named = ["clock", "result_id"]
    by_clock = {
        clock: rows.drop(columns=named).sort_values(
            ["fields_map", "base", "sample", "design", "year", "outcome"]
        )
        for clock, rows in first_term.groupby("clock")
    }
    pd.testing.assert_frame_equal(
        by_clock["funded"].reset_index(drop=True), by_clock["planned"].reset_index(drop=True)
    )
    mains = results.choose(second_term, role="main", fields_map="broad").set_index("clock")
    assert mains["term_years"].to_dict() == {"funded": "2006-2009", "planned": "2006-2010"}
    assert mains.at["funded", "estimate"] != mains.at["planned", "estimate"]


def in_percent(log_value):
    return pytest.approx(100 * (math.exp(log_value) - 1))


@pytest.fixture(scope="module")
def declared(study):
    """Sample, assignments and test of the main design of the first term."""
    sample = effects.cell_sample(study, effects.main_design(study, 1, "funded", "broad"))
    assignments = inference.permute_targets(sample.cells, DRAWS)
    return sample, assignments, inference.score_test(effects.cell_changes(sample), assignments)


@pytest.fixture(scope="module")
def main_row(first_term):
    return results.main_estimate(first_term, 1, "funded", "broad")


def test_a_record_is_the_estimate_in_percent(study, declared, main_row):
    sample, assignments, test = declared
    found = inference.summarise(test)
    for column in ("estimate", "low", "high"):
        assert main_row[column] == in_percent(getattr(found, column))
    assert main_row["p_value"] == found.p_value
    assert main_row["std_error"] == 100 * test.std_error
    assert main_row["effective_targeted"] == test.effective_cells()
    assert main_row["mde"] == in_percent(inference.detectable_effect(test))
    assert main_row["smallest_p"] == assignments.smallest_p
    assert main_row["n_observations"] == len(sample.rows) == 600
    counts = ["n_cells", "n_targeted", "n_blocks", "n_units"]
    assert main_row[counts].tolist() == [60, 20, 6, 10]
    assert main_row[["vcov_group", "n_groups"]].tolist() == ["block x industry", 30]
    assert main_row[["baseline_years", "term_years", "draws"]].tolist() == [
        "1996-2000",
        "2001-2005",
        DRAWS,
    ]
    assert main_row["input_hash"] == results.input_stamp(study)


def test_the_years_and_their_drift_are_those_of_the_event_study(first_term, declared, main_row):
    sample, assignments, _ = declared
    event = inference.event_study(sample, assignments)
    before = inference.pretrend_test(sample, assignments)
    assert main_row["pretrend_p"] == before.p_value
    assert main_row["pretrend_detectable"] == in_percent(before.detectable)
    of_reading = results.choose_reading(first_term, "funded", "broad")
    year = results.choose(of_reading, "event study", year=2003).iloc[0]
    of_year = event.years.set_index("year").loc[2003]
    for column in ("estimate", "low", "high", "band_low", "band_high"):
        assert year[column] == in_percent(of_year[column])
    assert year["p_value"] == of_year["p_value"]
    assert year["adjusted_p"] == of_year["adjusted_p"] >= of_year["p_value"]
    assert year["mde"] == in_percent(inference.smallest_detectable(of_year["spread"]))
    bounds = crosschecks.honest_bounds(
        event.years.set_index("year")["estimate"], event.covariance, 2000
    )
    assert main_row["breakdown"] == bounds.breakdown
    for end in ("low", "high"):
        assert main_row[f"honest_{end}"] == in_percent(getattr(bounds, end))


def test_the_checks_are_by_block_by_bootstrap_and_without_clipping(declared, main_row):
    sample, assignments, test = declared
    by_block = inference.permutation_test(test.changes, assignments, by_block=True)
    difference = effects.TripleDifference(sample)
    wild = crosschecks.wild_bootstrap(difference, draws=DRAWS)
    for name, check in (("block", by_block), ("wild", wild)):
        assert main_row[f"{name}_p"] == check.p_value
        for end in ("low", "high"):
            assert main_row[f"{name}_{end}"] == in_percent(getattr(check, end))
    # Every year of this panel is seen, so least squares on changes is that on years.
    assert main_row["least_squares"] == in_percent(difference.estimate)
    assert main_row["least_squares"] != pytest.approx(main_row["estimate"], abs=1e-3)


def test_the_cell_that_moves_the_estimate_most_is_named_with_what_is_left(declared, main_row):
    sample, assignments, test = declared
    found = influence.most_influential(test)
    cell = sample.cells.iloc[found.cell]
    assert main_row["influence_cell"] == f"{cell['pref_code']} {cell['industry']}"
    assert main_row["without_estimate"] == in_percent(found.estimate)
    kept = np.arange(60) != found.cell
    without = inference.permutation_test(test.changes.of_cells(kept), assignments.of_cells(kept))
    assert main_row["without_low"] == in_percent(without.low)
    assert main_row["without_high"] == in_percent(without.high)


def test_a_plant_that_opens_is_named_and_does_not_carry_the_estimate(real_study, main_row):
    """One targeted cell grows tenfold: least squares follow it, the declared estimate does not."""
    study = small_study(real_study, effect=0.10)
    is_plant = (study.cell_panel[["pref_code", "industry"]] == ["02", "chemicals"]).all(axis=1)
    in_term = is_plant & (study.cell_panel["fy"] >= 2001)
    study.cell_panel.loc[in_term, "product_million_yen"] *= 10
    found = results.estimate_term(study, 1, draws=99)
    row = results.main_estimate(found, 1, "funded", "broad")
    assert row["least_squares"] > main_row["least_squares"] + 10
    assert row["estimate"] == pytest.approx(main_row["estimate"], abs=3)
    far = results.choose(found, "leave one cell out", clock="funded", fields_map="broad")
    assert far["left_out"].tolist() == ["cell 02 chemicals"]
    assert far["role"].tolist() == ["check"]
    assert far["distance"].item() > 8
    assert far["estimate"].item() == pytest.approx(main_row["estimate"], abs=2)
    assert far["low"].item() < far["estimate"].item() < far["high"].item()
    assert far[["n_cells", "n_targeted"]].to_numpy().tolist() == [[59, 19]]
    assert found["result_id"].is_unique


def test_readings_of_one_design_are_a_family(first_term):
    """Holm: the smaller of two p-values doubled, the larger no smaller than that."""
    found = results.choose(first_term)
    for _, rows in found.groupby(["clock", "base", "sample"]):
        p_values = rows["p_value"].sort_values()
        assert len(p_values) == 2
        smaller, larger = min(2 * p_values.iloc[0], 1), p_values.iloc[1]
        adjusted = rows.loc[p_values.index, "adjusted_p"].tolist()
        assert adjusted == pytest.approx([smaller, max(smaller, larger)])


ONLY_OF_MAIN = [
    *("wild_p", "wild_low", "wild_high", "block_p", "block_low", "block_high", "least_squares"),
    *("without_estimate", "without_low", "without_high"),
    *("breakdown", "honest_low", "honest_high", "pretrend_p"),
]


def test_only_main_estimates_have_their_checks_and_their_drift(first_term):
    found = results.choose(first_term)
    assert found[["std_error", "effective_targeted", "p_value"]].notna().all(axis=None)
    is_main = found["role"] == "main"
    assert found.loc[is_main, ONLY_OF_MAIN].notna().all(axis=None)
    assert found.loc[~is_main, ONLY_OF_MAIN].isna().all(axis=None)
    assert (found["influence_cell"].ne("") == is_main).all()
    is_whole = found["sample"] == effects.MAIN_SAMPLE
    assert (found["mde"].notna() == is_whole).all()
    assert (found["draws"] == DRAWS).all()


def test_samples_that_leave_cells_out_take_fewer_draws(study, monkeypatch):
    monkeypatch.setattr(results, "CHECK_DRAWS", 49)
    monkeypatch.setattr(inference, "POWER_PANELS", 10)
    found = results.choose(results.estimate_term(study, 1, draws=59))
    is_whole = found["sample"] == effects.MAIN_SAMPLE
    assert found["draws"].tolist() == np.where(is_whole, 59, 49).tolist()


def test_the_known_effect_lies_in_the_interval_of_every_design(first_term):
    found = results.choose(first_term)
    truth = 100 * (math.exp(0.10) - 1)
    assert ((found["low"] < truth) & (truth < found["high"])).all()
    assert (found["low"] > 0).all()


def test_an_interval_without_ends_runs_from_losing_all_to_infinity():
    assert results._percent(-math.inf) == -100
    assert results._percent(math.inf) == math.inf
    assert math.isnan(results._percent(math.nan))
    assert results._percent(math.log(1.05)) == pytest.approx(5)


def test_the_baseline_is_compared_in_standard_deviations(first_term):
    rows = results.as_balance(results.choose_reading(first_term, "funded", "broad"))
    assert rows["outcome"].tolist() == ["location_quotient", "size", "growth"]
    assert rows["unit"].eq("standard deviations").all()
    assert rows["variable"].tolist()[1] == "Product, FY2000"
    assert rows["value"].between(rows["low"], rows["high"]).all()
    assert rows["draws"].eq(0).all()
    assert rows["grade"].eq(1).all()


# ---- What is not estimable, and what earns a lower grade --------------------------------------


def test_a_design_with_too_little_is_recorded_with_counts_and_no_numbers(real_study):
    found = results.estimate_term(small_study(real_study, narrow=["food"]), 1, DRAWS)
    assert results.main_estimate(found, 1, "funded", "broad")["status"] == "estimated"
    row = results.main_estimate(found, 1, "funded", "narrow")
    assert row["status"] == "not estimable"
    assert row["reason"] == (
        "4 targeted cells where 10 are needed; 2 targeted blocks x industries where 4 are needed; "
        "15 distinct assignments where 100 are needed"
    )
    assert row[["n_cells", "n_targeted", "n_blocks"]].tolist() == [60, 4, 6]
    numbers = ["estimate", "low", "high", "p_value", "std_error", "mde", "pretrend_p"]
    crosses = ["adjusted_p", "wild_p", "wild_low", "breakdown", "honest_high"]
    assert row[numbers + crosses].isna().all()
    assert row["grade"] == 0
    of_narrow = results.choose_reading(found, "funded", "narrow")
    assert set(of_narrow["design"]) == {"triple difference"}


def test_targets_of_whole_prefectures_are_not_estimable(real_study):
    blocks = dict.fromkeys(("chemicals", "electrical", "food", "steel", "transport"), "AB")
    found = results.estimate_term(small_study(real_study, first=blocks), 1, DRAWS)
    row = results.main_estimate(found, 1, "funded", "broad")
    assert (row["status"], row["reason"]) == (
        "not estimable",
        "effects of place and industry absorb the targets",
    )


def _check_grades(found):
    """No check has a better grade than the main estimate of its clock and reading."""
    for _, own in found.groupby(["term", "clock", "fields_map"]):
        main = results.choose(own, role="main").iloc[0]
        assert own["grade"].max() <= main["grade"]
        checks = results.choose(own, role="check")
        assert len(checks) > 3
        assert checks["grade"].eq(main["grade"]).all()  # nor a worse one: the design is the same


@pytest.mark.slow
@pytest.mark.parametrize("number", [1, 2, 3])
def test_no_check_has_a_better_grade_than_the_main_estimate(real_study, number):
    _check_grades(results.estimate_term(real_study, number, draws=99))


def test_paths_that_differed_before_the_term_cost_a_grade(real_study, first_term):
    drifting = results.estimate_term(small_study(real_study, trend=0.05), 1, DRAWS)
    row = results.main_estimate(drifting, 1, "funded", "broad")
    assert row["pretrend_p"] <= results.PRETREND_LEVEL
    assert row["grade"] == 2
    of_years = results.choose(drifting, "event study", clock="funded", fields_map="broad")
    assert of_years["grade"].eq(2).all()
    _check_grades(drifting)
    flat = results.main_estimate(first_term, 1, "funded", "broad")
    assert flat["pretrend_p"] > results.PRETREND_LEVEL
    assert flat["grade"] == 3


@pytest.mark.parametrize(
    ("p_value", "detectable", "grade"),
    [
        (0.05, 10.0, 2),
        (0.051, 10.0, 3),
        (0.5, results.PRETREND_BLIND, 3),
        (0.5, results.PRETREND_BLIND + 0.1, 2),
        (0.01, 30.0, 2),
        (np.nan, np.nan, 3),
    ],
)
def test_a_test_that_would_see_nothing_costs_a_grade_as_a_difference_does(
    p_value, detectable, grade
):
    assert results.cap_grade(3, p_value, detectable) == grade
    assert results.cap_grade(1, p_value, detectable) == 1


@pytest.mark.parametrize(
    ("design", "has_comparison", "highest"),
    [
        ("triple difference", True, 3),
        ("triple difference", False, 2),
        ("event study", True, 3),
        ("event study", False, 2),
        ("baseline comparison", True, 1),
        ("count", False, 1),
    ],
)
def test_a_grade_above_what_the_design_allows_is_refused(design, has_comparison, highest):
    assert results.grade_design(design, has_comparison) == highest
    for claimed in range(highest + 1):
        assert results.grade_design(design, has_comparison, claimed) == claimed
    for claimed in (-1, highest + 1, 5):
        with pytest.raises(ValueError, match=f"found {claimed} .*at most {highest} is allowed"):
            results.grade_design(design, has_comparison, claimed)


def test_no_design_is_above_two_without_an_untreated_comparison():
    grades = [
        results.grade_design(design, has_comparison=False) for design in results.HIGHEST_GRADE
    ]
    assert max(grades) == 2


# ---- Saving, loading, choosing ----------------------------------------------------------------


def test_results_come_back_as_they_were_saved(first_term, second_term, tmp_path):
    odd = results.to_frame(
        [
            record(3, low=-100.0, high=math.inf, input_hash="000000000012"),
            record(3, math.nan, math.nan, math.nan, status="not estimable", reason="none, few"),
        ]
    )
    for name, table in (("term-1", first_term), ("term-2", second_term), ("term-3", odd)):
        path = results.save_results(table, name, tmp_path / "results")
        assert path == tmp_path / "results" / f"{name}.csv"
    loaded = results.load_results(["term-1", "term-2", "term-3"], tmp_path / "results")
    whole = pd.concat([first_term, second_term, odd], ignore_index=True)
    pd.testing.assert_frame_equal(loaded, whole, check_exact=True)
    assert sorted(path.name for path in (tmp_path / "results").iterdir()) == [
        "term-1.csv",
        "term-2.csv",
        "term-3.csv",
    ]


def test_results_that_are_not_there_are_missing_input(tmp_path):
    with pytest.raises(sources.InputMissing) as fault:
        results.load_results(["term-2"], tmp_path)
    assert str(fault.value) == "term-2.csv: missing: run `make report`"


def test_results_that_cannot_be_written_leave_the_old_ones(first_term, tmp_path, monkeypatch):
    path = results.save_results(first_term, "term-1", tmp_path)
    before = path.read_bytes()

    def fail(self, target, **options):
        target.write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(pd.DataFrame, "to_csv", fail)
    with pytest.raises(OSError, match="disk full"):
        results.save_results(first_term.iloc[:1], "term-1", tmp_path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_the_stamp_of_the_input_changes_with_every_figure_it_stands_on(real_study):
    study = small_study(real_study)
    stamp = results.input_stamp(study)
    assert stamp == results.input_stamp(small_study(real_study))
    assert len(stamp) == 12
    changed = small_study(real_study)
    changed.cell_panel.loc[7, "product_million_yen"] += 1e-9 * 1000
    assert results.input_stamp(changed) != stamp
    retargeted = small_study(real_study)
    retargeted.cells.loc[0, "is_targeted_2"] ^= True
    assert results.input_stamp(retargeted) != stamp


@pytest.fixture
def few():
    """Main, narrow and other base of terms 1 and 2, and one year of term 1."""
    year = record(1, design="event study", year=2003, result_id="year")
    return results.to_frame([*records(1), *records(2), year])


def test_rows_are_chosen_by_design_role_and_any_column(few):
    assert len(results.choose(few)) == 8
    assert results.choose(few, "event study")["result_id"].tolist() == ["year"]
    chosen = results.choose(few, role="main", term=2, fields_map="narrow")
    assert chosen["result_id"].tolist() == ["t2-funded-narrow-b2005-all-cells"]
    assert chosen.index.tolist() == [0]
    assert results.choose(few, term=3).empty


def test_the_main_estimate_is_the_one_that_was_declared(few):
    row = results.main_estimate(few, 1, "funded", "narrow")
    assert row["result_id"] == "t1-funded-narrow-b2000-all-cells"


@pytest.mark.parametrize(("copies", "term"), [(1, 3), (2, 1)])
def test_none_or_several_main_estimates_are_an_error(few, copies, term):
    several = pd.concat([few] * copies)
    number = 0 if copies == 1 else 2
    with pytest.raises(
        KeyError, match=f"found {number} main estimates of product for term {term}, funded, broad"
    ):
        results.main_estimate(several, term, "funded", "broad")


def test_a_reading_holds_its_clock_and_its_map(few):
    planned = few.assign(clock="planned")
    both = pd.concat([few, planned])
    chosen = results.choose_reading(both, "planned", "broad")
    assert len(chosen) == 5
    assert set(chosen["clock"] + chosen["fields_map"]) == {"plannedbroad"}


def test_designs_on_the_same_years_are_labelled_once(few):
    planned = few.assign(clock="planned")
    planned.loc[planned["term"] == 2, "term_years"] = "2006-2010"
    labels = results.label_designs(pd.concat([few, planned]))["label"].tolist()
    assert labels[:4] == [
        "either clock, broad, base 2000",
        "either clock, narrow, base 2000",
        "either clock, broad, base 1995",
        "either clock, narrow, base 1995",
    ]
    assert "funded clock, broad, base 2005" in labels
    assert "planned clock, broad, base 2005" in labels
    assert len(labels) == len(set(labels))


def test_a_year_is_a_whole_number_or_missing(few):
    assert few["year"].dtype == "Int64"
    assert few["year"].dropna().tolist() == [2003]
    assert np.isnan(few["std_error"]).all()
