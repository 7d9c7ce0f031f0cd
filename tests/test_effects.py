"""The triple difference equals hand arithmetic, dummy regression and pyfixest."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from small_panels import dummies, random_sample, residual, small_design, small_sample

from clusterpolicy import effects, policy
from clusterpolicy.estimation import huber

# pyfixest 0.60 still says to pandas what pandas 4 will no longer take.
pytestmark = pytest.mark.filterwarnings("ignore:The inplace keyword")

# ---- The estimate -----------------------------------------------------------------------------

# Electrical machinery is targeted in Aomori only. It gained 3 there, other industries 1; in Iwate
# both gained 1 and 0.5.
TWO_BY_TWO = {
    "Aomori electrical": {2000: 1.0, 2001: 4.0},
    "Aomori food": {2000: 2.0, 2001: 3.0},
    "Iwate electrical": {2000: 5.0, 2001: 6.0},
    "Iwate food": {2000: 0.0, 2001: 0.5},
}


def test_the_effect_is_the_extra_change_of_the_industry_at_home_over_elsewhere():
    sample = small_sample(TWO_BY_TWO, ["Aomori electrical"], first_term_year=2001)
    assert effects.TripleDifference(sample).estimate == pytest.approx((3 - 1) - (1 - 0.5))


def test_what_hits_a_whole_prefecture_or_industry_in_a_year_is_no_effect():
    shifted = pd.DataFrame(TWO_BY_TWO).T
    shifted.loc[["Aomori electrical", "Aomori food"], 2001] += 7  # a good year of Aomori
    shifted.loc[["Aomori electrical", "Iwate electrical"], 2001] -= 9  # falling prices
    shifted.loc["Iwate food"] += 100  # a larger cell
    sample = small_sample(shifted, ["Aomori electrical"], first_term_year=2001)
    assert effects.TripleDifference(sample).estimate == pytest.approx(1.5)


def test_a_known_effect_is_recovered_from_figures_without_noise():
    rng = np.random.default_rng(1)
    sample = random_sample(rng, missing=0.2)
    rows = sample.rows.assign(
        log_outcome=0.07 * (sample.rows["is_targeted"] & sample.rows["in_term"])
        + sample.rows.groupby(effects.CELL)["fy"].transform("size")
        + sample.rows.groupby(["pref_code", "fy"]).ngroup().map(np.sin)
        + sample.rows.groupby(["industry", "fy"]).ngroup().map(np.cos)
    )
    exact = effects.Sample(sample.design, rows, sample.lost)
    assert effects.TripleDifference(exact).estimate == pytest.approx(0.07, abs=1e-12)


@pytest.fixture(scope="module")
def unbalanced():
    """Eight prefectures, four industries, ten years, a fifth of the figures not seen."""
    return random_sample(np.random.default_rng(5), missing=0.2)


def test_the_estimate_equals_least_squares_with_every_dummy(unbalanced):
    rows = unbalanced.rows
    treated = (rows["is_targeted"] & rows["in_term"]).to_numpy(float)
    columns = np.column_stack([treated, dummies(rows)])
    coefficients = np.linalg.lstsq(columns, rows["log_outcome"], rcond=None)[0]
    ours = effects.TripleDifference(unbalanced).estimate
    assert ours == pytest.approx(coefficients[0], abs=1e-10)


def test_the_standard_error_is_the_sandwich_over_prefectures(unbalanced):
    rows = unbalanced.rows
    fixed = dummies(rows)
    treated = residual((rows["is_targeted"] & rows["in_term"]).to_numpy(float), fixed)
    outcome = residual(rows["log_outcome"].to_numpy(), fixed)
    difference = effects.TripleDifference(unbalanced)
    scores = pd.Series(treated * (outcome - difference.estimate * treated))
    meat = (scores.groupby(rows["pref_code"]).sum() ** 2).sum()
    expected = np.sqrt(8 / 7 * meat) / (treated @ treated)
    assert difference.n_groups == 8
    assert difference.std_error == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("left_out", [(), ("Iwate",)])
def test_targets_that_the_effects_absorb_have_no_effect_and_no_error(left_out):
    """Whole prefectures, and whatever is targeted where there is no other prefecture."""
    values = {name: years for name, years in TWO_BY_TWO.items() if not name.startswith(left_out)}
    cells = ["Aomori electrical"] if left_out else ["Aomori electrical", "Aomori food"]
    difference = effects.TripleDifference(small_sample(values, cells, first_term_year=2001))
    assert np.isnan(difference.estimate)
    assert np.isnan(difference.std_error)


# ---- Against pyfixest, on the figures of the study --------------------------------------------


@pytest.fixture(scope="module", params=policy.FIELDS_MAPS)
def first_term(request, real_study):
    design = effects.main_design(real_study, 1, "funded", request.param)
    return effects.cell_sample(real_study, design)


def test_pyfixest_finds_the_same_estimate(first_term):
    opinion = effects.second_opinion(first_term).iloc[0]
    assert opinion["ours"] == pytest.approx(opinion["theirs"], abs=1e-8)
    assert opinion["observations"] == len(first_term.rows)


def test_pyfixest_finds_the_same_standard_error(first_term):
    import pyfixest

    rows = first_term.rows.assign(
        treated=(first_term.rows["is_targeted"] & first_term.rows["in_term"]).astype(float),
        cell=first_term.rows["pref_code"] + first_term.rows["industry"],
    )
    fit = pyfixest.feols(
        "log_outcome ~ treated | cell + pref_code^fy + industry^fy",
        rows,
        vcov={"CRV1": "pref_code"},
        ssc=pyfixest.ssc(k_adj=False, G_adj=True),  # G/(G-1), no correction for the regressors
        demeaner=pyfixest.MapDemeaner(fixef_tol=1e-12),
    )
    difference = effects.TripleDifference(first_term)
    assert difference.n_groups == 47
    assert difference.std_error == pytest.approx(float(fit.se()["treated"]), abs=1e-8)


def test_the_first_term_in_the_broad_reading_lies_where_the_design_says(real_study):
    design = effects.main_design(real_study, 1, "funded", "broad")
    difference = effects.TripleDifference(effects.cell_sample(real_study, design))
    assert 0.5 < 100 * np.expm1(difference.estimate) < 1
    assert 1 < 100 * difference.std_error < 2.5


# ---- Other assignments of the same targets ----------------------------------------------------


@pytest.fixture(scope="module")
def contrast(unbalanced):
    return effects.TripleDifference(unbalanced).contrast


def spread_over_term(sample, targets):
    """Give every row of the term the value of its cell."""
    cells = pd.MultiIndex.from_frame(sample.cells[effects.CELL])
    by_row = pd.Series(targets, cells).loc[pd.MultiIndex.from_frame(sample.rows[effects.CELL])]
    return by_row.to_numpy() * sample.rows["in_term"].to_numpy(float)


def test_any_assignment_has_the_estimate_that_a_new_regression_finds(unbalanced, contrast):
    rng = np.random.default_rng(0)
    fixed = dummies(unbalanced.rows)
    outcome = residual(unbalanced.rows["log_outcome"].to_numpy(), fixed)
    for _ in range(5):
        targets = rng.integers(0, 2, len(unbalanced.cells)).astype(float)
        column = residual(spread_over_term(unbalanced, targets), fixed)
        refit = (column @ outcome) / (column @ column)
        assert contrast.estimate(targets) == pytest.approx(refit, abs=1e-10)
        assert contrast.squared_norm(targets[None, :])[0] == pytest.approx(column @ column)


def test_an_assignment_of_whole_prefectures_is_absorbed(unbalanced, contrast):
    whole = unbalanced.cells["pref_code"].isin(["A1", "C2"]).to_numpy(float)
    assert contrast.squared_norm(whole[None, :]).tolist() == [0]
    assert np.isnan(contrast.estimate(whole))


# ---- One change per cell ----------------------------------------------------------------------


def test_the_change_of_a_cell_is_the_mean_of_its_term_less_that_of_its_baseline():
    values = pd.DataFrame(
        {2000: [1.0, 5], 2001: [3.0, np.nan], 2002: [4.0, 8], 2003: [np.nan, 9]},
        ["Iwate food", "Aomori food"],
    )
    changes = effects.cell_changes(small_sample(values, [], first_term_year=2002))
    assert changes.change == pytest.approx([8.5 - 5, 4 - 2])  # cells in order: Aomori, Iwate
    assert changes.layout.place.tolist() == [0, 1]
    assert changes.layout.industry.tolist() == [0, 0]
    assert changes.layout.weight.tolist() == [1, 1]


def test_a_year_that_is_missing_does_not_count_as_growth():
    """Everything grows by its place and industry alone; one cell is not seen in late years."""
    rng = np.random.default_rng(4)
    years = np.arange(1998, 2004)
    prefectures, industries = [f"p{n}" for n in range(5)], [f"i{n}" for n in range(4)]
    paths = rng.normal(size=(9, 6)).cumsum(axis=1)
    values = pd.DataFrame(
        {
            f"{p} {i}": paths[n] + paths[5 + m] + rng.normal()
            for n, p in enumerate(prefectures)
            for m, i in enumerate(industries)
        },
        years,
    ).T
    complete = effects.cell_changes(small_sample(values, [], first_term_year=2001))
    values.loc["p1 i2", [2002, 2003]] = np.nan
    values.loc["p3 i0", 1998] = np.nan
    found = effects.cell_changes(small_sample(values, [], first_term_year=2001))
    for changes in (complete, found):
        left = huber.fit(changes.layout, changes.change[None], k=np.inf).residual
        assert left == pytest.approx(np.zeros_like(left), abs=1e-6)


def test_a_targeted_cell_that_misses_a_crisis_year_is_not_told_as_growth():
    """All fell by 1 in 2003 alone and nothing else happened; one figure of that year is hidden."""
    names = [f"{p} {i}" for p in ("Aomori", "Iwate", "Akita") for i in ("food", "steel", "paper")]
    flat = {2000: 2.0, 2001: 2.0, 2002: 2.0, 2003: 1.0}
    values = pd.DataFrame([flat] * len(names), names)
    values.loc["Aomori steel", 2003] = np.nan
    sample = small_sample(values, ["Aomori steel"], first_term_year=2002)
    changes = effects.cell_changes(sample)
    own = sample.cells["is_targeted"].to_numpy()
    assert own.sum() == 1
    layout = changes.layout
    fit = huber.fit(layout, changes.change[None], own.astype(float), k=huber.LEAST_SQUARES)
    assert fit.slope[0] == pytest.approx(0, abs=1e-9)  # plain means would tell a gain of a half
    kept = sample.rows[own[sample.rows.groupby(effects.CELL, sort=False).ngroup()]]
    plain = kept.groupby("in_term")["log_outcome"].mean()
    assert plain[True] - plain[False] == 0  # while all others fell by a half


def test_on_a_complete_panel_least_squares_on_changes_is_the_triple_difference():
    sample = random_sample(np.random.default_rng(6), years=range(1998, 2004))
    changes = effects.cell_changes(sample)
    targets = sample.cells["is_targeted"].to_numpy(float)
    fit = huber.fit(changes.layout, changes.change[None], targets, k=huber.LEAST_SQUARES)
    assert fit.slope[0] == pytest.approx(effects.TripleDifference(sample).estimate, abs=1e-10)


def test_cells_bring_their_precision_and_their_places():
    """Municipalities of one prefecture are places of their own, weighted as they say."""
    rows = small_sample(TWO_BY_TWO, ["Aomori electrical"], first_term_year=2001).rows
    municipal = rows.assign(
        municipality=rows["pref_code"] + " town",
        pref_code="02",
        precision=rows["industry"].map({"electrical": 4.0, "food": 0.5}),
    )
    design = small_design((2000, 2001), 2001)
    sample = effects.Sample(design, municipal, pd.DataFrame(), place="municipality")
    assert sample.keys == ["municipality", "industry"]
    assert sample.cells["pref_code"].tolist() == ["02"] * 4
    changes = effects.cell_changes(sample)
    assert changes.change == pytest.approx([3, 1, 1, 0.5])
    assert changes.layout.place.tolist() == [0, 0, 1, 1]
    assert changes.layout.weight.tolist() == [4, 0.5, 4, 0.5]
    for seen, of_year in effects.changes_by_year(sample).values():
        assert seen.tolist() == [0, 1, 2, 3]
        assert of_year.change == pytest.approx(changes.change)
        assert of_year.layout.weight.tolist() == [4, 0.5, 4, 0.5]


# ---- Event study ------------------------------------------------------------------------------


def event_estimates(sample):
    """Return the least-squares estimate of every year."""
    targets = sample.cells["is_targeted"].to_numpy(float)
    return {
        fy: float(huber.fit(changes.layout, changes.change[None], targets[seen], k=np.inf).slope[0])
        for fy, (seen, changes) in effects.changes_by_year(sample).items()
    }


def test_a_year_is_compared_with_the_last_year_of_the_baseline_by_hand():
    values = pd.DataFrame(TWO_BY_TWO).T.assign(**{"1999": [0.0, 2.0, 5.0, 1.0]})
    values.columns = [2000, 2001, 1999]
    sample = small_sample(values, ["Aomori electrical"], first_term_year=2001)
    # 1999 against 2000: electrical -1 and 0, food 0 and +1, in Aomori and in Iwate.
    assert event_estimates(sample) == pytest.approx({1999: (-1 - 0) - (0 - 1), 2001: 1.5})


def test_on_a_complete_panel_the_years_are_one_joint_regression():
    sample = random_sample(np.random.default_rng(6), years=range(1998, 2004))
    rows, base_year = sample.rows, sample.design.base_year
    assert base_year == 2000
    years = [year for year in range(1998, 2004) if year != base_year]
    by_year = [(rows["is_targeted"] & (rows["fy"] == year)).to_numpy(float) for year in years]
    columns = np.column_stack([*by_year, dummies(rows)])
    joint = np.linalg.lstsq(columns, rows["log_outcome"], rcond=None)[0][: len(years)]
    assert event_estimates(sample) == pytest.approx(dict(zip(years, joint, strict=True)), abs=1e-10)


def test_a_sample_without_the_base_year_has_no_event_study():
    values = pd.DataFrame(TWO_BY_TWO).T
    sample = small_sample(values[[2001]], ["Aomori electrical"], first_term_year=2001)
    with pytest.raises(ValueError, match="sample 'all cells': found no figure of FY2000"):
        effects.changes_by_year(sample)


def test_a_cell_counts_in_the_years_in_which_it_and_the_base_year_are_seen():
    sample = random_sample(np.random.default_rng(7), missing=0.2, years=range(1999, 2003))
    wide = sample.rows.pivot(index=effects.CELL, columns="fy", values="log_outcome")
    by_year = effects.changes_by_year(sample)
    assert set(by_year) == {1999, 2001, 2002}
    for fy, (seen, changes) in by_year.items():
        expected = wide.index[wide[[fy, 2000]].notna().all(axis=1)]
        assert changes.change == pytest.approx((wide[fy] - wide[2000])[expected].to_numpy())
        assert [tuple(row) for row in sample.cells.loc[seen, effects.CELL].to_numpy()] == list(
            expected
        )


# ---- Which cells and years are compared -------------------------------------------------------

# One cell of each kind in prefecture 02, the same again in 13; baseline 1999-2000, term 2001-02.
KINDS = {"never": (0, 0), "first": (1, 0), "second": (0, 1), "both": (1, 1)}


def little_study(changes=(), kinds=KINDS, prefectures=("02", "13")):
    """Return the two tables that ``cell_sample`` reads; each change puts one product or status."""
    cells = pd.DataFrame(
        [
            (code, kind, bool(first), bool(second))
            for code in prefectures
            for kind, (first, second) in kinds.items()
        ],
        columns=["pref_code", "industry", "is_targeted_1", "is_targeted_2"],
    ).assign(base="b2000", fields_map="broad", block="North")
    for term in (1, 2):
        cells[f"projects_{term}"] = np.where(cells[f"is_targeted_{term}"], "a", "")
        cells[f"since_{term}"] = pd.array([None] * len(cells), "Int64")
    panel = cells[["base", "pref_code", "industry"]].merge(
        pd.DataFrame({"fy": [1998, 1999, 2000, 2001, 2002, 2003]}), how="cross"
    )
    panel = panel.assign(product_million_yen=np.e, status="observed")
    for (code, industry, fy), column, value in changes:
        is_it = (panel[["pref_code", "industry", "fy"]] == [code, industry, fy]).all(axis=1)
        assert is_it.any()
        panel.loc[is_it, column] = value
    other_base = panel.assign(base="b1995", product_million_yen=1.0)
    return SimpleNamespace(cells=cells, cell_panel=pd.concat([panel, other_base]))


def sample_of(study, number=1, **changes):
    return effects.cell_sample(study, small_design(range(1999, 2003), 2001, number, **changes))


@pytest.mark.parametrize(
    ("number", "targeted", "others"),
    [
        (1, {"first", "both"}, {"never", "second"}),
        (2, {"second"}, {"never"}),
        (3, {"second", "both"}, {"never"}),
    ],
)
def test_cells_that_an_earlier_term_targeted_are_set_apart(number, targeted, others):
    cells = sample_of(little_study(), number).cells
    assert set(cells.loc[cells["is_targeted"], "industry"]) == targeted
    assert set(cells.loc[~cells["is_targeted"], "industry"]) == others


def test_the_rows_are_the_years_of_baseline_and_term_in_logs():
    rows = sample_of(little_study()).rows
    assert rows["fy"].unique().tolist() == [1999, 2000, 2001, 2002]
    assert rows["in_term"].tolist() == [False, False, True, True] * 8
    assert rows["log_outcome"].eq(1).all()  # the product is e million yen; the other base is not


def test_rows_of_a_cell_follow_one_another_by_year():
    study = little_study()
    shuffled = SimpleNamespace(
        cells=study.cells, cell_panel=study.cell_panel.sample(frac=1, random_state=0)
    )
    expected = sample_of(study).rows
    pd.testing.assert_frame_equal(sample_of(shuffled).rows, expected)
    assert expected[[*effects.CELL, "fy"]].equals(
        expected[[*effects.CELL, "fy"]].sort_values([*effects.CELL, "fy"], ignore_index=True)
    )


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("status", "hidden"),
        ("status", "nil"),
        ("product_million_yen", 0.0),
        ("product_million_yen", -3.0),
    ],
)
def test_a_year_that_is_hidden_or_not_positive_drops_out_alone(column, value):
    sample = sample_of(little_study([(("02", "never", 2001), column, value)]))
    of_cell = sample.rows[(sample.rows[effects.CELL] == ["02", "never"]).all(axis=1)]
    assert of_cell["fy"].tolist() == [1999, 2000, 2002]
    assert len(sample.rows) == 8 * 4 - 1


@pytest.mark.parametrize("years", [(1999, 2000), (2001, 2002)])
def test_a_cell_never_seen_in_the_baseline_or_in_the_term_drops_out_whole(years):
    hidden = [(("02", "never", fy), "status", "hidden") for fy in years]
    sample = sample_of(little_study(hidden))
    assert len(sample.cells) == 7
    assert len(sample.rows) == 7 * 4


def late_study(since, term=1):
    """The little study, whose project of cells first targeted in a term begins in year `since`."""
    study = little_study()
    is_late = study.cells["industry"] == {1: "first", 2: "second"}[term]
    study.cells.loc[is_late, f"since_{term}"] = since
    return study


@pytest.mark.parametrize(
    ("since", "years"),
    [
        (2001, [1999, 2000, 2001, 2002]),
        (2002, [1999, 2000, 2002]),
        (2003, [1999, 2000, 2001, 2002]),
    ],
)
@pytest.mark.parametrize("sample", ["all cells", "cells seen in every year"])
def test_a_cell_counts_from_the_year_its_project_began(since, years, sample):
    rows = sample_of(late_study(since), sample=sample).rows
    own = rows[rows["industry"] == "first"]
    assert own["fy"].unique().tolist() == years  # a start after the term is none inside it
    assert rows.loc[rows["industry"] != "first", "fy"].unique().tolist() == [1999, 2000, 2001, 2002]


def test_a_cell_whose_project_leaves_it_no_year_of_the_term_drops_out():
    study = late_study(2002)
    hidden = (study.cell_panel["industry"] == "first") & (study.cell_panel["fy"] == 2002)
    study.cell_panel.loc[hidden, "status"] = "hidden"
    assert "first" not in set(sample_of(study).rows["industry"])


def test_projects_of_unknown_start_count_in_a_sample_of_their_own():
    study = little_study()
    study.cells.loc[study.cells["industry"] == "never", "projects_1"] = "b"
    plain = small_design(range(1999, 2003), 2001, 1)
    also = effects.unknown_start_design(plain)

    def targeted(design):
        cells = effects.cell_sample(study, design).cells
        return set(cells.loc[cells["is_targeted"], "industry"])

    assert targeted(plain) == {"first", "both"}
    assert targeted(also) == {"first", "both", "never"}
    assert not also.is_main


def test_a_complete_sample_keeps_cells_seen_in_every_year():
    study = little_study([(("02", "never", 2001), "status", "hidden")])
    sample = sample_of(study, sample="cells seen in every year")
    assert len(sample.cells) == 7
    assert sample.rows.groupby(effects.CELL).size().eq(4).all()


def test_a_sample_leaves_out_the_prefectures_industries_and_years_it_names(monkeypatch):
    study = little_study()
    assert set(sample_of(study, sample="without Tokyo").rows["pref_code"]) == {"02"}
    rule = effects.SampleRule(industries=("both",), years=(2002,))
    monkeypatch.setitem(effects.SAMPLES, "odd", rule)
    rows = sample_of(study, sample="odd").rows
    assert set(rows["industry"]) == {"never", "first", "second"}
    assert set(rows["fy"]) == {1999, 2000, 2001}


def test_what_each_rule_leaves_over_is_counted():
    changes = [
        (("02", "never", 2001), "status", "hidden"),
        (("02", "never", 2002), "product_million_yen", -1.0),
    ]
    lost = sample_of(little_study(changes), 2, sample="without Tokyo").lost
    assert dict(zip(lost["step"], lost["rows"], strict=True)) == {
        "cell-years of the baseline and the term": 32,
        "not targeted in other terms only": 16,
        "not hidden by the publisher": 15,
        "product above zero": 14,
        "in the prefectures of the sample": 6,
        "cells seen in baseline and term": 4,
    }


def test_targeted_industries_are_counted_by_prefecture_with_their_certainty():
    study = little_study()
    study.prefectures = pd.DataFrame({"pref_code": ["02", "13", "47"]})
    columns = ["project_id", "term", "prefectures", "fields", "confidence"]
    study.projects = pd.DataFrame(
        [("a", 1, "02", "x", "low"), ("b", 1, "13", "x", "high")], columns=columns
    )
    counts = effects.count_targets(study, sample_of(study))
    assert counts.values.tolist() == [["02", 2, "low"], ["13", 2, "high"], ["47", 0, "high"]]


# ---- Designs ----------------------------------------------------------------------------------


def test_years_of_a_design_are_cut_to_those_of_its_base():
    design = small_design(range(1999, 2010), 2005)
    assert (design.baseline_years, design.term_years) == ((1999, 2004), (2005, 2009))
    late = effects.Design(design.term, "b2005", "broad", "all cells", 2001, 2007)
    assert (late.baseline_years, late.term_years, late.base_year) == (
        (2001, 2004),
        (2005, 2007),
        2004,
    )


@pytest.fixture(scope="module", params=[1, 2, 3])
def designs(request, real_study):
    return effects.designs_of_term(real_study, request.param)


def test_every_design_is_listed_once_and_one_is_the_main_of_each_reading(designs):
    keys = [(d.term.clock, d.fields_map, d.base, d.sample) for d in designs]
    assert len(set(keys)) == len(keys)
    mains = [(d.term.clock, d.fields_map) for d in designs if d.is_main]
    assert sorted(mains) == [(c, m) for c in ("funded", "planned") for m in ("broad", "narrow")]


def test_every_design_has_years_before_and_in_its_term(designs):
    for design in designs:
        first, last = design.baseline_years
        assert first <= last < design.term_years[0] <= design.term_years[1]
        assert design.base_year == last


def test_cells_that_both_terms_targeted_have_a_comparison_of_their_own(real_study):
    """Against cells never targeted; those of one term only are in neither sample's comparison."""
    main = effects.main_design(real_study, 2, "funded", "broad")
    first, both = (
        effects.cell_sample(real_study, design).cells.set_index(effects.CELL)["is_targeted"]
        for design in (main, effects.continued_design(main))
    )
    cells = real_study.cells[
        (real_study.cells["base"] == "b2005") & (real_study.cells["fields_map"] == "broad")
    ]
    cells = cells.set_index(effects.CELL)
    one, two = (cells[f"is_targeted_{term}"] for term in (1, 2))
    hidden = {("47", "iron_steel"), ("47", "nonferrous_metals")}  # never seen: in no sample
    assert set(both[both].index) == set(cells.index[one & two]) - hidden
    assert set(first[first].index) == set(cells.index[two & ~one])
    never = set(cells.index[~one & ~two]) - hidden
    assert set(both[~both].index) == set(first[~first].index) == never


def test_a_check_is_listed_only_where_it_leaves_something_out(designs):
    number = designs[0].term.number
    samples = {design.sample for design in designs}
    late = {"without Iwate, Miyagi, Fukushima", "without FY2008-09"}
    assert {"all cells", "without Tokyo", "cells seen in every year"} <= samples
    assert samples & late == (set() if number == 1 else late)
    for design in designs:
        if design.sample == "without Iwate, Miyagi, Fukushima":
            assert design.term_years[1] >= 2010


def test_checks_on_samples_use_the_main_base(designs):
    main = effects.BASES_OF_TERM[designs[0].term.number][0]
    assert {d.base for d in designs if d.sample != effects.MAIN_SAMPLE} == {main}
    assert {d.base for d in designs if d.sample == effects.MAIN_SAMPLE} == set(
        effects.BASES_OF_TERM[designs[0].term.number]
    )


@pytest.mark.parametrize(
    ("number", "clock", "base", "baseline", "years"),
    [
        (1, "funded", "b2000", (1996, 2000), (2001, 2005)),
        (2, "funded", "b2005", (2001, 2005), (2006, 2009)),
        (2, "planned", "b2005", (2001, 2005), (2006, 2010)),
        (3, "funded", "b2005", (2006, 2009), (2010, 2014)),
        (3, "planned", "b2005", (2006, 2010), (2011, 2014)),
    ],
)
def test_the_main_design_of_a_term_is_that_of_the_declared_estimand(
    real_study, number, clock, base, baseline, years
):
    design = effects.main_design(real_study, number, clock, "broad")
    assert (design.base, design.baseline_years, design.term_years) == (base, baseline, years)
