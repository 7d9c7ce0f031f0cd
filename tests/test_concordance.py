"""A policy field becomes industries of the accounts through codes, in every base by its own."""

import pandas as pd
import pytest

from clusterpolicy import concordance, sources
from clusterpolicy.checks import rules


def table(file, rows, columns, first_line=2):
    lines = pd.Index(range(first_line, first_line + len(rows)), name="line")
    made = pd.DataFrame(rows, columns=columns, index=lines)
    made.attrs["file"] = file
    return made


# The later base shows electronic components (28) apart from electrical machinery (29, 30).
@pytest.fixture
def industries():
    return table(
        "account_industries.csv",
        [
            ("b2000", "electrical", "28;29;30"),
            ("b2000", "chemicals", "16"),
            ("b2000", "other", ""),
            ("b2011", "components", "28"),
            ("b2011", "electrical", "29;30"),
            ("b2011", "chemicals", "16"),
        ],
        ["base", "industry", "jsic_rev12"],
    )


FIELD_COLUMNS = ["field", "reading", "jsic_rev12"]


@pytest.fixture
def fields():
    rows = [("chips", "both", "28"), ("chips", "both", "29"), ("bio", "both", "16")]
    return table("field_industries.csv", rows, FIELD_COLUMNS)


def listed(field_map):
    return [" ".join(row) for row in field_map.itertuples(index=False)]


def test_a_code_belongs_to_one_industry_of_each_base(industries):
    assert listed(concordance.industries_by_code(industries)) == [
        "b2000 28 electrical",
        "b2000 29 electrical",
        "b2000 30 electrical",
        "b2000 16 chemicals",
        "b2011 28 components",
        "b2011 29 electrical",
        "b2011 30 electrical",
        "b2011 16 chemicals",
    ]


def test_a_field_reaches_the_industries_of_each_base_that_hold_its_codes(fields, industries):
    assert listed(concordance.fields_to_industries(fields, industries)) == [
        "b2000 bio both chemicals",
        "b2000 chips both electrical",
        "b2011 bio both chemicals",
        "b2011 chips both components",
        "b2011 chips both electrical",
    ]


@pytest.mark.parametrize("readings", [("both", "broad"), ("broad", "both")])
def test_an_industry_reached_in_both_readings_counts_in_both(industries, readings):
    rows = [("chips", reading, code) for reading, code in zip(readings, ("28", "29"), strict=True)]
    found = listed(
        concordance.fields_to_industries(
            table("field_industries.csv", rows, FIELD_COLUMNS), industries
        )
    )
    assert "b2000 chips both electrical" in found
    assert not any(row.startswith("b2000 chips broad") for row in found)


def test_a_field_without_a_manufacturing_industry_reaches_none(fields, industries):
    more = pd.concat(
        [fields, table("field_industries.csv", [("content", "both", "")], FIELD_COLUMNS, 5)]
    )
    more.attrs = fields.attrs
    found = concordance.fields_to_industries(more, industries)
    assert "content" not in set(found["field"])


def test_a_code_in_two_industries_of_one_base_is_refused_by_line(industries):
    industries.loc[3, "jsic_rev12"] = "16;30"
    with pytest.raises(sources.DataFault) as fault:
        concordance.industries_by_code(industries)
    assert str(fault.value) == (
        "account_industries.csv:3: column jsic_rev12: found '30': already in another industry of "
        "base b2000: leave it in one of the two"
    )


def test_a_code_in_no_industry_of_a_base_is_refused_by_line(fields, industries):
    fields.loc[4, "jsic_rev12"] = "33"
    with pytest.raises(sources.DataFault) as fault:
        concordance.fields_to_industries(fields, industries)
    assert str(fault.value) == (
        "field_industries.csv:4: column jsic_rev12: found '33': in no industry of base b2000: "
        "correct it, or add it to account_industries.csv"
    )


def test_every_base_of_the_study_holds_every_manufacturing_code_once(raw_tables):
    codes = concordance.industries_by_code(raw_tables["account_industries"])
    manufacturing = {f"{code:02d}" for code in range(9, 33)}
    by_base = codes.groupby("base")["jsic_rev12"]
    assert by_base.agg(set).map(lambda found: found == manufacturing).all()
    assert by_base.size().eq(24).all()


def test_every_field_of_the_study_with_an_industry_reaches_one_in_every_base(raw_tables):
    field_map = concordance.fields_to_industries(
        raw_tables["field_industries"], raw_tables["account_industries"]
    )
    reached = field_map.groupby("base")["field"].agg(set)
    named = raw_tables["field_industries"]
    all_fields = set(named.loc[named["jsic_rev12"] != "", "field"])
    assert reached.to_dict() == dict.fromkeys(rules.BASES, all_fields)
