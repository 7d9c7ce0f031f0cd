import dataclasses

import numpy as np
import pandas as pd
import pytest
from small_results import record, small_study

from clusterpolicy import results
from clusterpolicy.findings import robustwords
from clusterpolicy.otherdesigns import refits, robustness, spillovers

DRAWS = 99


def case_of(study, number=1):
    main = pd.Series(dataclasses.asdict(record(number)))
    return robustness.open_case(study, main, DRAWS)


@pytest.fixture(scope="module")
def case(real_study):
    """Prefectures of a small study, with their neighbours on the real map."""
    return case_of(small_study(real_study, effect=0.3))


@pytest.fixture(scope="module")
def real_case(real_study):
    return case_of(real_study)


def test_exposure_is_the_share_of_adjacent_cells_that_are_targeted(case, real_study):
    cells = case.panel.cells
    exposure = spillovers.exposure_weights(case, "adjacent") @ case.panel.targets
    pairs = real_study.neighbours[["pref_code_a", "pref_code_b"]].to_numpy()
    touching = {(a, b) for a, b in pairs} | {(b, a) for a, b in pairs}
    for place, own in cells.iterrows():
        near = [
            other.is_targeted
            for other in cells.itertuples()
            if other.industry == own["industry"] and (own["pref_code"], other.pref_code) in touching
        ]
        assert exposure[place] == pytest.approx(np.mean(near) if near else 0)


def test_two_effects_are_the_least_squares_of_both(case):
    """The spill-over is put into the figures, and found again beside the direct effect."""
    weights = spillovers.exposure_weights(case, "adjacent")
    gain = 0.2 * (weights @ case.panel.targets)
    outcome = case.panel.outcome + gain[:, None] * case.panel.in_term
    treated = dataclasses.replace(case, panel=dataclasses.replace(case.panel, outcome=outcome))
    before = spillovers.estimate_exposure(case, "adjacent")
    after = spillovers.estimate_exposure(treated, "adjacent")
    assert after.spill[0] - before.spill[0] == pytest.approx(0.2)
    assert after.direct[0] == pytest.approx(before.direct[0])
    assert after.direct_p <= 0.05


def test_exposure_of_a_whole_industry_cannot_be_told_from_being_targeted(case):
    """Complete cells: the targets elsewhere are the industry's total less one's own."""
    found = spillovers.estimate_exposure(case, "elsewhere")
    assert found.shared == pytest.approx(1)
    records = {each.outcome: each for each in spillovers.spillovers(case)}
    assert records["spill elsewhere"].status == "not estimable"
    assert "are nearly the same thing" in records["spill elsewhere"].reason
    assert records["shared elsewhere"].estimate == pytest.approx(100)
    assert records["direct adjacent"].status == "estimated"


def test_exposed_cells_are_dropped_from_the_comparison_only(case):
    records = {each.outcome: each for each in spillovers.spillovers(case)}
    exposed, unexposed = records["exposed"], records["unexposed"]
    assert 0 < exposed.estimate < exposed.n_cells
    assert unexposed.n_cells == len(case.panel.cells) - exposed.estimate
    assert unexposed.n_targeted == case.panel.targets.sum()
    with pytest.raises(ValueError, match="choose one of adjacent"):
        spillovers.exposure_weights(case, "nearby")


def test_a_programme_meets_cells_of_its_field_in_its_years_only(real_case):
    register = real_case.study.other_programmes
    fukuoka = register[register["area"] == "Fukuoka"]
    met = spillovers.programme_cells(real_case, fukuoka)
    cells = real_case.panel.cells
    assert set(cells.loc[met.any(axis=1), "pref_code"]) == {"40"}
    years = real_case.panel.years[met.any(axis=0)]
    assert years.min() == 2002
    assert years.max() == real_case.panel.years.max()
    no_field = spillovers.programme_cells(real_case, register[register["fields"] == ""])
    assert not no_field.any()


def test_a_register_that_is_too_thin_says_so(real_study):
    register = real_study.other_programmes
    term_3 = (2010, 2014)
    for programme, reason in (
        (
            "Regional Innovation Strategy areas",
            "lists 2 of its areas; how many there were in all is not recorded",
        ),
        ("Company Location Promotion Act", "effects of prefecture x year absorb it"),
        ("Technopolis Act", "lies outside the term"),
        ("Knowledge Cluster Initiative, second stage", ""),
    ):
        why = spillovers.why_not_placed(register[register["programme"] == programme], term_3)
        assert reason in why if reason else why == "", programme
    first = register[register["programme"].str.endswith("first stage")]
    assert spillovers.why_not_placed(first, (2001, 2005)) == ""
    assert "lists 9 of its 18" in spillovers.why_not_placed(first.head(9), (2001, 2005))
    unlisted = register[register["prefectures"] == ""]
    assert "no list of its 25" in spillovers.why_not_placed(unlisted, (2001, 2005))


def test_every_listed_area_of_the_knowledge_clusters_is_counted(real_study):
    counts = real_study.other_programmes.groupby("programme")["areas_in_all"].agg(["size", "first"])
    for stage in ("first", "second"):
        row = counts.loc[f"Knowledge Cluster Initiative, {stage} stage"]
        assert row["size"] == int(row["first"])


def test_a_programme_that_made_the_effect_takes_it_away(real_case):
    """All growth of the term is put into cells of another programme: held fixed, none is left."""
    register = real_case.study.other_programmes
    first = register[register["programme"].str.endswith("first stage")]
    met = spillovers.programme_cells(real_case, first)
    flat = np.where(np.isnan(real_case.panel.outcome), np.nan, 0.0)
    panel = dataclasses.replace(real_case.panel, outcome=flat + 0.5 * met)
    moved = dataclasses.replace(real_case, panel=panel)
    records = {each.sample: each for each in spillovers.other_programmes(moved)}
    biased = refits.contrast_of(panel).estimate(panel.targets)
    assert biased > 0.005
    held = records["with other programmes as a control"].estimate
    assert held == pytest.approx(0, abs=1e-6)
    assert records["without cells of other programmes"].estimate == pytest.approx(0, abs=1e-6)


def test_the_joint_test_sees_targets_that_went_to_the_strong(real_case):
    blind = spillovers.selection(real_case)[0]
    assert blind.p_value > 0.05
    size = real_case.panel.baseline_product()
    units = pd.MultiIndex.from_frame(real_case.panel.cells[["industry", "block"]])
    large = pd.Series(np.log(size), units).groupby(level=[0, 1]).transform("mean")
    strong = large > large.groupby(level=0).transform("median")
    cells = real_case.panel.cells.assign(is_targeted=strong.to_numpy())
    panel = dataclasses.replace(real_case.panel, cells=cells)
    picked = spillovers.selection(dataclasses.replace(real_case, panel=panel))[0]
    assert picked.p_value <= 0.05
    assert picked.estimate > blind.estimate


def test_sentences_and_tables_are_made_of_the_records(case):
    records = [
        *spillovers.spillovers(case),
        *spillovers.other_programmes(case),
        *spillovers.selection(case),
    ]
    checks = results.to_frame(records)
    exposed = checks.loc[checks["outcome"] == "exposed", "estimate"].iloc[0]
    main = pd.Series({**dataclasses.asdict(record(1)), "estimate": 0.0})
    pair, unseen = robustwords.spillover_sentences(checks, main)
    assert pair.startswith(f"{exposed:.0f} of ")
    shared = checks.loc[checks["outcome"] == "shared adjacent", "estimate"].iloc[0]
    assert f"they share {shared:.0f} % of their variance" in pair
    assert "cannot be seen at all: for the same industry in all other prefectures" in unseen
    joint = checks.loc[checks["outcome"] == "joint"].iloc[0]
    finding = robustwords.selection_sentence(checks)
    assert ("more than chance would give: targets" in finding) == (joint["p_value"] < 0.05)
    programmes = robustwords.programmes_table(checks)
    assert len(programmes.data) == 6
    assert programmes.columns[-1].label == "Why no count"
    table = robustwords.refits_table(checks, main)
    assert table.unit.startswith(f"percent; {DRAWS} reassignments, so p is not below 0.010")
    assert checks["result_id"].is_unique


def spill_rows(direct, spill, p_value, shared=88.0):
    """Records of spill-overs, as far as their sentence reads them."""
    common = {"design": spillovers.SPILLOVER, "status": "estimated", "unit": "percent", "mde": 14.6}
    common |= {"low": -9.0, "high": 9.0, "p_value": p_value, "n_cells": 298}
    lost = {**common, "status": "not estimable"}
    rows = {
        "exposed": {**common, "estimate": 39.0},
        "direct adjacent": {**common, "estimate": direct},
        "spill adjacent": {**common, "estimate": spill},
        "unexposed": {**common, "estimate": -0.9},
        **{f"shared {kind}": {**common, "estimate": shared} for kind in spillovers.EXPOSURES},
        "spill elsewhere": lost,
        "spill beside": lost,
    }
    return pd.DataFrame([{**row, "outcome": outcome} for outcome, row in rows.items()])


@pytest.mark.parametrize(
    ("direct", "spill", "p_value", "said", "unsaid"),
    [
        (7.2, -7.2, 0.12, "moved by +5.5 points from the main estimate", "cannot be said"),
        (1.2, -2.1, 0.60, "no gain or loss of neighbours is shown", "points from the main"),
        (7.2, -7.2, 0.01, "Which of the two made the difference cannot be said", "no gain or loss"),
    ],
)
def test_what_goes_together_is_not_read_apart(direct, spill, p_value, said, unsaid):
    rows = spill_rows(direct, spill, p_value)
    pair, unseen = robustwords.spillover_sentences(rows, {"estimate": 1.7})
    assert "nearly coincide" in pair
    assert said in pair
    assert unsaid not in pair
    assert "reach a whole industry, or a whole prefecture, cannot be seen at all" in unseen
