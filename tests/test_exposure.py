"""Exposure of municipalities: against plain regressions, brute force and its own rules."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from clusterpolicy import inference
from clusterpolicy.finerdata import finer
from clusterpolicy.otherdesigns import exposure

BLOCKS, GROUPS = list("ABCDEF"), ["g01", "g02", "g03", "g04"]


@pytest.fixture
def found():
    """60 places in 12 prefectures of 6 blocks, with random industries and figures of 9 years."""
    rng = np.random.default_rng(11)
    block = np.repeat(BLOCKS, 10)
    prefecture = [f"{b}{i % 2}" for i, b in enumerate(block)]
    places = pd.DataFrame({"muni_code_2015": range(60), "pref_code": prefecture, "block": block})
    shares = pd.DataFrame(rng.dirichlet(np.ones(4), size=60), columns=GROUPS)
    shipments = pd.DataFrame(rng.normal(size=(60, 9)), columns=range(1998, 2007))
    return exposure.Places(places, shares, shipments)


@pytest.fixture
def units():
    """Each group but one is targeted in half of the blocks; one unit is set apart."""
    rng = np.random.default_rng(12)
    table = pd.MultiIndex.from_product([BLOCKS, GROUPS], names=["block", "industry"])
    table = table.to_frame(index=False)
    table["is_targeted"] = False
    for group in GROUPS[:3]:
        chosen = rng.permutation(BLOCKS)[:3]
        of_group = table["industry"] == group
        table.loc[of_group & table["block"].isin(chosen), "is_targeted"] = True
    table["is_apart"] = (table["block"] == "A") & (table["industry"] == "g04")
    return table


def share_of(found, units, targeted):
    """Share of each place's jobs in the units of a list of (block, industry)."""
    return np.array(
        [
            sum(found.shares.loc[i, g] for b, g in targeted if b == found.places.loc[i, "block"])
            for i in range(len(found.places))
        ]
    )


def regression(found, units, targeted, outcome):
    """Coefficient on exposure by least squares with every control as a column."""
    names = ["block", "industry"]
    apart = units.loc[units["is_apart"], names].to_numpy()
    controls = np.column_stack(
        [
            pd.get_dummies(found.places["pref_code"]).to_numpy(float),
            found.shares.to_numpy(),
            share_of(found, units, apart),
        ]
    )
    columns = np.column_stack([share_of(found, units, targeted), controls])
    return np.linalg.lstsq(columns, outcome, rcond=None)[0][0]


def targeted_of(units, labels):
    return units.loc[labels.astype(bool), ["block", "industry"]].to_numpy()


def assignments_of(model, draws=60):
    return inference.permute_targets(model.units.assign(pref_code=model.units["block"]), draws)


def test_the_estimate_is_that_of_plain_least_squares(found, units):
    model = exposure.Exposure(found, units)
    outcome = found.log_shipments.to_numpy()
    test = model.test(outcome, assignments_of(model))
    targeted = targeted_of(model.units, model.units["is_targeted"].to_numpy())
    for year in range(9):
        by_hand = regression(found, units, targeted, outcome[:, year])
        assert test.estimate[year] == pytest.approx(by_hand, abs=1e-10)


def test_every_draw_is_a_regression_on_the_exposure_it_would_have_meant(found, units):
    """The permutation p-value by 60 refits: t-statistics up to a monotone transformation."""
    model = exposure.Exposure(found, units)
    outcome = found.log_shipments[[2003]].to_numpy()
    assignments = assignments_of(model)
    effects = exposure._basis(
        np.column_stack(
            [
                pd.get_dummies(found.places["pref_code"]).to_numpy(float),
                found.shares.to_numpy(),
                share_of(
                    found, units, units.loc[units["is_apart"], ["block", "industry"]].to_numpy()
                ),
            ]
        )
    )

    def size(labels):
        column = share_of(found, units, targeted_of(model.units, labels))
        column = column - effects @ (effects.T @ column)
        rest = outcome[:, 0] - effects @ (effects.T @ outcome[:, 0])
        return abs(column @ rest) / np.sqrt(column @ column)

    actual = size(assignments.actual)
    reached = sum(size(labels) >= actual * (1 - 1e-9) for labels in assignments.draws)
    p_value = model.test(outcome, assignments).interval()[2][0]
    assert p_value == pytest.approx((1 + reached) / 61)


def test_interval_and_p_agree_about_zero_and_hold_the_estimate(found, units):
    model = exposure.Exposure(found, units)
    for shift in np.linspace(-3, 3, 13):
        changes = found.log_shipments.to_numpy() + shift * model.of_places()[:, None]
        test = model.test(changes, assignments_of(model, 199))
        low, high, p_value = test.interval()
        assert ((low <= test.estimate) & (test.estimate <= high)).all()
        assert ((p_value <= 0.05) == ((low > 0) | (high < 0))).all()


def test_an_effect_on_exposure_moves_the_estimate_by_itself(found, units):
    model = exposure.Exposure(found, units)
    plain = model.test(found.log_shipments.to_numpy(), assignments_of(model)).estimate
    moved = found.log_shipments.to_numpy() + 0.3 * model.of_places()[:, None]
    assert model.test(moved, assignments_of(model)).estimate == pytest.approx(plain + 0.3)


def test_what_moves_an_industry_everywhere_or_a_prefecture_is_no_effect(found, units):
    model = exposure.Exposure(found, units)
    plain = model.test(found.log_shipments.to_numpy(), assignments_of(model))
    moved = found.log_shipments.to_numpy() + 5 * found.shares[["g02"]].to_numpy()
    moved = moved + pd.factorize(found.places["pref_code"])[0][:, None]
    assert model.test(moved, assignments_of(model)).estimate == pytest.approx(plain.estimate)


def test_the_band_is_wider_than_the_interval_of_one_year(found, units):
    model = exposure.Exposure(found, units)
    test = model.test(found.log_shipments.to_numpy(), assignments_of(model, 999))
    assert (test.half_band() > 1.96 * test.spread).all()
    assert 0 < test.joint_p(np.arange(9) < 4) <= 1


def test_a_trend_before_the_term_is_noticed(found, units):
    model = exposure.Exposure(found, units)
    years = np.arange(9)
    trend = 0.01 * found.log_shipments.to_numpy() + model.of_places()[:, None] * years
    assert model.test(trend, assignments_of(model, 999)).joint_p(years < 4) < 0.05


# ---- Which places, which targets --------------------------------------------------------------


@pytest.fixture
def small_finer():
    rows = [("01", "01100", "g01", 9, 90.0), ("01", "01100", "g02", 1, 10.0),
            ("01", "01202", "g01", 4, 50.0), ("13", "13101", "g01", 5, 5.0),
            ("01", "01203", "g01", 7, 70.0)]  # fmt: skip
    columns = ["pref_code", "muni_code_2015", "industry_group", "establishments", "employees"]
    groups = pd.DataFrame(rows, columns=columns).assign(year=2001)
    totals = pd.DataFrame(
        {"muni_code_2015": ["01100", "01202", "13101", "01203"], "establishments": [10, 10, 5, 7]}
    ).assign(year=2001)
    shipments = pd.DataFrame(
        [(m, y, 0.0 if (m, y) == ("01203", 1972) else 100.0)
         for m in totals["muni_code_2015"] for y in (1971, 1972)],
        columns=["muni_code_2015", "year", "shipments_million_yen"],
    )  # fmt: skip
    return SimpleNamespace(
        municipal_groups=groups, municipal_totals=totals, municipal_shipments=shipments
    )


def test_places_told_in_part_or_without_shipments_in_a_year_are_left_out(real_study, small_finer):
    found = exposure.choose_places(real_study, small_finer)
    assert list(found.places["muni_code_2015"]) == ["01100", "13101"]
    assert found.shares.loc["01100"].tolist() == [0.9, 0.1]
    assert found.places["block"].notna().all()


def test_tokyo_can_be_left_out(real_study, small_finer):
    found = exposure.choose_places(real_study, small_finer, exposure.NO_TOKYO)
    assert list(found.places["pref_code"]) == ["01"]


def test_targets_follow_the_fields_to_industry_groups(real_study):
    maps = exposure.read_maps()
    broad = exposure.targeted_groups(real_study, "broad", maps).set_index(["block", "industry"])
    narrow = exposure.targeted_groups(real_study, "narrow", maps).set_index(["block", "industry"])
    assert len(broad) == 13 * 20
    assert broad["is_targeted_1"].sum() > narrow["is_targeted_1"].sum()
    assert not (narrow & ~broad).any(axis=None)
    kyushu = real_study.prefectures.set_index("pref_code")["block"]["43"]
    assert broad.at[(kyushu, "g18"), "is_targeted_1"]  # electronic parts: the silicon plan
    assert not broad.at[(kyushu, "g01"), "is_targeted_1"]
    assert broad.at[(kyushu, "g01"), "is_targeted_2"]  # food: the bio cluster of 2007


def test_what_an_earlier_term_targeted_is_set_apart():
    groups = pd.DataFrame(
        {"is_targeted_1": [True, True, False], "is_targeted_2": [True, False, True]}
    )
    second, third = exposure.mark_units(groups, 2), exposure.mark_units(groups, 3)
    assert second["is_targeted"].tolist() == [False, False, True]
    assert second["is_apart"].tolist() == [True, True, False]
    assert third["is_targeted"].tolist() == [True, False, True]
    assert third["is_apart"].tolist() == [False, True, False]


@pytest.mark.slow
def test_forty_years_are_estimated_in_seconds(real_study, raw_tables):
    tables = finer.clean(raw_tables)
    records = exposure.estimate_exposure(real_study, tables, 1, draws=499)
    main = records[records["design"] == exposure.DESIGN]
    years = records[records["design"] == exposure.YEARS_DESIGN]
    assert main["n_cells"].min() > exposure.MIN_MUNICIPALITIES
    assert set(years["year"]) == {*range(1971, 2006)} - {2000}
    assert records["result_id"].is_unique
    assert (years["band_low"] <= years["estimate"]).all()
