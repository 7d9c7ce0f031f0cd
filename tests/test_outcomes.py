"""Further outcomes: which municipalities and cells count, how they weigh, what is recorded."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from small_panels import small_design

from clusterpolicy import effects, results, wording
from clusterpolicy.estimation import huber
from clusterpolicy.otherdesigns import outcomes

# Baseline 2003-04, term 2005-06. Towns 01100 and 01203 are told in every year, 01202 is not.
YEARS = range(2003, 2007)
CITIES = ("01100", "01203")
MEASURES = ("establishments", "employees", "shipments_million_yen")
PLAIN = {"establishments": 3.0, "employees": 30.0, "shipments_million_yen": 600.0}
UNITS = pd.DataFrame(
    {"industry": ["g01", "g02", "g03", "g04"], "is_targeted": [True, False, False, False]}
).assign(block="Hokkaido", is_apart=False)
STUDY = SimpleNamespace(prefectures=pd.DataFrame({"pref_code": ["01"], "block": ["Hokkaido"]}))


def census(changes=(), cities=(*CITIES, "01202"), industries=("g01", "g02")):
    """Return municipal tables of equal cells; each change puts one figure (None: suppressed)."""
    keys = {"muni_code_2015": cities, "industry_group": industries, "year": YEARS}
    groups = pd.MultiIndex.from_product(keys.values(), names=keys).to_frame(index=False)
    groups = groups.assign(pref_code="01", **PLAIN)
    for measure in MEASURES:
        groups[f"{measure}_status"] = "observed"
    for (city, industry, years), measure, value in changes:
        is_it = (groups["muni_code_2015"] == city) & (groups["industry_group"] == industry)
        is_it &= groups["year"].isin(years)
        assert is_it.any()
        groups.loc[is_it, measure] = np.nan if value is None else value
        if value is None:
            groups.loc[is_it, f"{measure}_status"] = "hidden"
    units = pd.DataFrame({"muni_code_2015": cities, "is_constant": [c in CITIES for c in cities]})
    return SimpleNamespace(municipal_groups=groups, units=units)


def sample_of(outcome, tables, units=UNITS):
    design = small_design(YEARS, 2005, number=2, base="census", outcome=outcome)
    return outcomes.cell_sample(STUDY, tables, design, units)


def cells_of(sample):
    return [*sample.cells[["muni_code_2015", "industry"]].itertuples(index=False, name=None)]


ALL = [(city, industry) for city in CITIES for industry in ("g01", "g02", "g03")]
THREE, FOUR = ("g01", "g02", "g03"), ("g01", "g02", "g03", "g04")

# ---- Which municipalities and cells count -------------------------------------------------------


@pytest.mark.parametrize("outcome", outcomes.MEASURES)
def test_towns_of_changing_coverage_never_count(outcome):
    assert cells_of(sample_of(outcome, census())) == [
        (city, industry) for city in CITIES for industry in ("g01", "g02")
    ]


@pytest.mark.parametrize(
    ("outcome", "measure"),
    [
        ("employees", "employees"),
        ("shipments", "shipments_million_yen"),
        ("shipments_per_employee", "employees"),
        ("shipments_per_employee", "shipments_million_yen"),
    ],
)
@pytest.mark.parametrize("year", YEARS)
def test_a_cell_suppressed_in_one_year_counts_in_none(outcome, measure, year):
    tables = census([(("01203", "g03", [year]), measure, None)], industries=THREE)
    assert cells_of(sample_of(outcome, tables)) == ALL[:-1]


@pytest.mark.parametrize(("figure", "status"), [(np.nan, "hidden"), (30.0, "observed")])
def test_a_figure_outside_the_years_does_no_harm(figure, status):
    tables = census(industries=THREE)
    late = tables.municipal_groups.query("year == 2006 and muni_code_2015 == '01203'").assign(
        year=2007, employees=figure, employees_status=status
    )
    tables.municipal_groups = pd.concat([tables.municipal_groups, late])
    assert cells_of(sample_of("employees", tables)) == ALL


@pytest.mark.parametrize(
    ("without", "counts"),
    [
        ([2003], True),
        ([2006], True),
        ([2003, 2006], True),
        ([2003, 2004], False),
        ([2005, 2006], False),
    ],
)
def test_plants_count_if_there_are_some_before_the_term_and_in_it(without, counts):
    tables = census([(("01203", "g03", without), "establishments", 0.0)], industries=THREE)
    sample = sample_of("establishments", tables)
    assert cells_of(sample) == (ALL if counts else ALL[:-1])
    own = sample.rows[sample.rows["muni_code_2015"].eq("01203") & sample.rows["industry"].eq("g03")]
    assert own["fy"].tolist() == [year for year in YEARS if counts and year not in without]


def test_suppressed_jobs_do_not_cost_a_cell_its_plants():
    tables = census([(("01203", "g03", YEARS), "employees", None)], industries=THREE)
    assert cells_of(sample_of("establishments", tables)) == ALL


@pytest.mark.parametrize(
    ("outcome", "level"),
    [("establishments", 3), ("employees", 30), ("shipments", 600), ("shipments_per_employee", 20)],
)
def test_a_row_is_the_log_of_its_measure(outcome, level):
    sample = sample_of(outcome, census())
    assert np.exp(sample.rows["log_outcome"].to_numpy()) == pytest.approx(np.full(16, level))
    assert sample.rows["in_term"].tolist() == 4 * [False, False, True, True]
    assert sample.cells["is_targeted"].tolist() == [True, False, True, False]
    assert (sample.place, sample.k) == ("muni_code_2015", huber.K)


@pytest.mark.parametrize("outcome", [*outcomes.MEASURES, outcomes.LOST])
def test_cells_targeted_in_other_terms_are_set_apart(outcome):
    apart = UNITS.assign(is_apart=UNITS["industry"] == "g02")
    sample = sample_of(outcome, census(industries=THREE), apart)
    assert cells_of(sample) == [(c, i) for c in CITIES for i in ("g01", "g03")]


@pytest.mark.parametrize("outcome", [*outcomes.MEASURES, outcomes.LOST])
def test_a_cell_alone_in_its_municipality_is_left_out(outcome):
    """Its municipality's effect would absorb it; so is one that setting apart leaves alone."""
    tables = census(industries=THREE)
    groups = tables.municipal_groups
    gone = groups["muni_code_2015"].eq("01203") & groups["industry_group"].eq("g03")
    tables.municipal_groups = groups[~gone]
    apart = UNITS.assign(is_apart=UNITS["industry"] == "g02")
    assert cells_of(sample_of(outcome, tables, apart)) == [("01100", "g01"), ("01100", "g03")]


# ---- The last plant lost, the first one gained --------------------------------------------------

EVENTS = [
    (("01100", "g01", [2006]), "establishments", 0.0),  # lost its last plant
    (("01100", "g02", [2005]), "establishments", 0.0),  # came back by the end of the term
    (("01203", "g01", [2003]), "establishments", 0.0),  # not at risk of either
    (("01203", "g02", [2003, 2004]), "establishments", 0.0),  # got a first one
    (("01203", "g03", YEARS), "establishments", 0.0),  # never had any
]


def events_of(outcome, tables):
    sample = sample_of(outcome, tables)
    wide = sample.rows.pivot(
        index=["muni_code_2015", "industry"], columns="fy", values="log_outcome"
    )
    assert wide.columns.tolist() == [2004, 2006]  # the base year and the end of the term
    assert (wide[2004] == 0).all()
    assert sample.k == huber.LEAST_SQUARES
    return wide[2006].to_dict()


def test_a_cell_lost_its_last_plant_if_it_had_some_all_along_and_none_at_the_end():
    assert events_of(outcomes.LOST, census(EVENTS, industries=FOUR)) == {
        ("01100", "g01"): 1,
        ("01100", "g02"): 0,
        ("01100", "g03"): 0,
        ("01100", "g04"): 0,
    }  # the fourth of the other city is the only one at risk there


@pytest.mark.parametrize("is_printed", [True, False])
def test_a_cell_got_a_first_plant_if_it_had_none_before_and_some_at_the_end(is_printed):
    """Also where the census has no line, because there was nothing to print."""
    tables = census(EVENTS, industries=FOUR)
    if not is_printed:
        tables.municipal_groups = tables.municipal_groups.query("establishments > 0")
    assert events_of(outcomes.GAINED, tables) == {("01203", "g02"): 1, ("01203", "g03"): 0}


def test_shares_are_compared_in_percentage_points_by_hand():
    """Targeted: half lost their last plant; others: none. Same municipalities, all at risk."""
    tables = census([(("01100", "g01", [2006]), "establishments", 0.0)])
    sample = sample_of(outcomes.LOST, tables)
    changes = effects.cell_changes(sample)
    assert changes.change.tolist() == [1, 0, 0, 0]
    assert results.unit_of(sample)(0.5) == 50
    assert results.unit_of(sample_of("employees", tables))(np.log(1.5)) == pytest.approx(50)


# ---- Precision ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def uneven():
    """400 cells with one to two hundred plants, the noisier the fewer they have."""
    rng = np.random.default_rng(3)
    tables = census(
        cities=[f"{n:05d}" for n in range(100)], industries=("g01", "g02", "g03", "g04")
    )
    tables.units["is_constant"] = True
    groups = tables.municipal_groups
    cell = groups.groupby(["muni_code_2015", "industry_group"]).ngroup()
    plants = rng.permutation(np.geomspace(1, 200, 400).round())
    noise = rng.normal(size=400) * np.sqrt(0.01 + 0.5 / plants)
    groups["establishments"] = plants[cell]
    groups["employees"] = 50 * np.exp(noise[cell] * (groups["year"] >= 2005))
    return tables


def units_with(targeted):
    is_targeted = [industry in targeted for industry in FOUR]
    return pd.DataFrame({"industry": FOUR, "is_targeted": is_targeted}).assign(
        block="Hokkaido", is_apart=False
    )


def test_the_fewer_plants_a_cell_has_the_less_it_weighs(uneven):
    rows = sample_of("employees", uneven, units_with(["g01"])).rows
    cells = rows.drop_duplicates(["muni_code_2015", "industry"]).sort_values("plants")
    weight = cells["precision"].to_numpy()
    assert (np.diff(weight) >= 0).all()
    assert weight[-1] == 1
    true = (0.01 + 0.5 / 200) / (0.01 + 0.5 / cells["plants"])
    assert weight[0] < 0.2  # not as little as its due: wild residuals are clipped
    assert np.corrcoef(np.log(weight), np.log(true))[0, 1] > 0.9


def test_weights_are_the_same_whatever_the_targets_are(uneven):
    one, other = (
        sample_of("employees", uneven, units_with(targeted)).rows
        for targeted in (["g01"], ["g02", "g04"])
    )
    assert not one["is_targeted"].equals(other["is_targeted"])
    pd.testing.assert_series_equal(one["precision"], other["precision"])


def test_weights_come_to_the_estimate(uneven):
    sample = sample_of("employees", uneven, units_with(["g01"]))
    layout = effects.cell_changes(sample).layout
    assert layout.weight.tolist() == sample.cells["precision"].tolist()
    assert layout.shape == (100, 4)  # municipalities, not prefectures


# ---- What is recorded ---------------------------------------------------------------------------

DRAWS = 39


@pytest.fixture(scope="module")
def small_census(real_study):
    """One city in every prefecture, with noise in place of its figures."""
    rng = np.random.default_rng(8)
    codes = real_study.prefectures["pref_code"]
    cities = pd.DataFrame({"muni_code_2015": codes + "201"})
    industries = pd.DataFrame({"industry_group": [f"g{n:02d}" for n in range(1, 13)]})
    cells = cities.merge(industries, how="cross")
    cells["often"] = rng.choice([0.05, 0.3, 3, 20], len(cells))
    groups = cells.merge(pd.DataFrame({"year": range(2001, 2013)}), how="cross")
    plants = rng.poisson(groups["often"])
    groups = groups.assign(
        pref_code=groups["muni_code_2015"].str[:2],
        establishments=plants.astype(float),
        employees=20 * plants * rng.lognormal(sigma=0.2, size=len(groups)),
        shipments_million_yen=500 * plants * rng.lognormal(sigma=0.3, size=len(groups)),
        **{f"{measure}_status": "observed" for measure in MEASURES},
    )
    return SimpleNamespace(
        municipal_groups=groups[groups["establishments"] > 0],
        units=cities.assign(is_constant=True),
    )


@pytest.fixture(scope="module")
def second_term(real_study, small_census):
    return outcomes.estimate_outcomes(real_study, small_census, 2, DRAWS)


FURTHER = (*outcomes.MEASURES, *outcomes.EXTENSIVE)


def test_every_outcome_has_one_main_record_by_clock_and_reading(second_term):
    mains = results.choose(second_term, role="main", outcome=None)
    counts = mains.groupby("outcome").size()
    assert counts.to_dict() == dict.fromkeys((*FURTHER, "information_services"), 4)
    assert mains.loc[mains["outcome"].isin(FURTHER), "status"].eq("estimated").all()
    assert second_term["result_id"].is_unique


def test_an_estimate_of_jobs_can_never_be_printed_as_one_of_output(real_study, second_term):
    """Every record carries label and unit of its outcome, and its sentence says them."""
    declared = real_study.outcomes.set_index("outcome")
    assert declared[["label", "effect_unit"]].ne("").all(axis=None)
    assert declared["label"].is_unique
    assert set(second_term["outcome"]) == set(declared.index) - {"product"}
    for record in second_term.to_dict("records"):
        own = declared.loc[record["outcome"]]
        assert (record["outcome_label"], record["unit"]) == (own["label"], own["effect_unit"])
        if record["status"] == "estimated":
            sentence = wording.effect_sentence(record)
            is_continued = record["sample"] == effects.CONTINUED
            whose = effects.CONTINUED if is_continued else "newly targeted cells"
            assert f" the {own['label']} of {whose} grew " in sentence
            assert f" {own['effect_unit']} is in keeping with the figures" in sentence
            assert "the output of newly" not in sentence
            assert own["effect_unit"] in wording.format_estimate(record)


def test_records_of_other_outcomes_are_never_taken_for_output(second_term):
    of_output = second_term.assign(outcome="product", result_id="p-" + second_term["result_id"])
    both = results.together(second_term, of_output.head(1))
    assert results.choose(second_term).empty
    assert results.choose(second_term, "leave one cell out").empty
    assert results.choose(both)["outcome"].tolist() == ["product"]
    row = results.main_estimate(both, 2, "funded", "narrow", "employees")
    assert row["outcome"] == "employees"


def test_the_clock_that_is_not_the_first_is_brief(second_term):
    other = second_term[second_term["clock"] == "planned"]
    assert set(other["design"]) == {"triple difference"}  # no cell is left out
    beside = ["mde", "pretrend_p", "block_p", "without_estimate", "least_squares"]
    assert other[beside].isna().all(axis=None)
    mains = other[other["outcome"].isin(FURTHER)]
    assert mains[["estimate", "low", "high", "p_value", "adjusted_p"]].notna().all(axis=None)
    first = second_term.query("clock == 'funded' and role == 'main'")
    first = first[first["outcome"].isin(outcomes.MEASURES)]
    assert first[beside].notna().all(axis=None)


def test_a_term_that_the_census_does_not_reach_has_records_that_say_so(real_study, small_census):
    found = outcomes.estimate_outcomes(real_study, small_census, 1, DRAWS)
    assert sorted(found["outcome"].unique()) == sorted(FURTHER)
    assert len(found) == 4 * len(FURTHER)
    assert set(found["role"]) == {"main"}
    assert set(found["status"]) == {"not estimable"}
    assert set(found["reason"]) == {"0 years before the term: industries are reported from 2001"}
    assert found["estimate"].isna().all()


def test_every_further_outcome_is_declared_secondary_with_a_family(real_study):
    declared = real_study.outcomes.set_index("outcome")
    assert declared.loc[list(FURTHER), "role"].eq("secondary").all()
    assert declared.loc[list(FURTHER), "family"].nunique() == 1
    assert declared.index[declared["role"] == "primary"].tolist() == ["product"]
    assert set(FURTHER) == set(effects.MAIN_BASES)


# ---- Families of p-values -----------------------------------------------------------------------


def adjusted(p_values, families, **columns):
    records = pd.DataFrame(
        {
            "outcome": list("abcd"),
            "p_value": p_values,
            "clock": "funded",
            "fields_map": "broad",
            "base": "census",
            "design": "triple difference",
            "role": "main",
        }
    ).assign(**columns)
    found = outcomes.adjust_within_family(records, pd.Series(families))
    return found["adjusted_p"].tolist()


def test_p_is_adjusted_within_the_family_by_holm():
    families = {"a": "x", "b": "x", "c": "x", "d": "y"}
    assert adjusted([0.04, 0.01, 0.03, 0.02], families) == pytest.approx([0.06, 0.03, 0.06, 0.02])


@pytest.mark.parametrize("column", ["clock", "fields_map", "base"])
def test_clocks_readings_and_bases_are_families_of_their_own(column):
    families = dict.fromkeys("abcd", "x")
    found = adjusted([0.04, 0.01, 0.03, 0.02], families, **{column: ["A", "A", "B", "B"]})
    assert found == pytest.approx([0.04, 0.02, 0.04, 0.04])


@pytest.mark.parametrize(
    "columns",
    [
        {"role": ["main", "main", "check", "main"]},
        {"design": [*2 * ["triple difference"], "leave one cell out", "triple difference"]},
    ],
)
def test_checks_take_no_part_in_the_adjustment(columns):
    found = adjusted([0.04, 0.01, 0.001, np.nan], dict.fromkeys("abcd", "x"), **columns)
    assert found == pytest.approx([0.04, 0.02, np.nan, np.nan], nan_ok=True)
