"""Information services: which cells are targeted, set apart and compared, in which years."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import real_files

from clusterpolicy import effects, inference, panel, sources
from clusterpolicy.finerdata import workbooks
from clusterpolicy.otherdesigns import services

INFO = "information_services_and_content"
# Log of the sector in the term less that in the baseline, by prefecture: by hand below.
GROWTH = {
    ("01", INFO): 0.30,
    ("01", "retail"): 0.10,
    ("02", INFO): 0.50,
    ("02", "retail"): 0.20,
    ("03", INFO): 0.25,
    ("03", "retail"): 0.05,
    ("04", INFO): 0.90,
    ("04", "retail"): 0.10,
}


@pytest.fixture
def small():
    """01 has IT in term 2 only, 02 in both, 04 in term 1 only, 03 never; not compared: finance."""
    years = range(2001, 2010)
    rows = [
        (base, *cell, fy, 100 * np.exp(growth * (fy > 2005)), "observed")
        for cell, growth in {**GROWTH, ("01", "finance"): 3.0}.items()
        for fy in years
        for base in ("b2005", "b2011")
    ]
    keys = ["base", "pref_code", "industry", "fy", "product_million_yen", "status"]
    targets = [(2, "01", "IT"), (1, "02", "IT"), (2, "02", "content"), (1, "04", "IT")]
    targets.append((2, "03", "bio"))
    terms = [(1, 2001, 2005), (2, 2006, 2009), (3, 2010, 2020)]
    return SimpleNamespace(
        sector_panel=pd.DataFrame(rows, columns=keys),
        sectors=pd.DataFrame(
            [(INFO, "targeted"), ("retail", "other"), ("finance", "no")],
            columns=["industry", "compared"],
        ).merge(pd.DataFrame({"base": ["b2005", "b2011"]}), how="cross"),
        field_industries=pd.DataFrame(
            [("IT", "both", INFO), ("content", "both", INFO), ("bio", "both", "")],
            columns=["field", "reading", "account_sector"],
        ),
        targets=pd.DataFrame(targets, columns=["term", "pref_code", "field"]).assign(
            project_id=[f"p{i}" for i in range(5)]
        ),
        prefectures=pd.DataFrame({"pref_code": ["01", "02", "03", "04"], "block": list("abcd")}),
        terms=pd.DataFrame(
            [
                (number, clock, first, last, "name", "name")
                for number, first, last in terms
                for clock in ("funded", "planned")
            ],
            columns=["term", "clock", "first_year", "last_year", "name_en", "name_ja"],
        ),
    )


def difference(sample):
    """Change of the targeted sector less that of the others, by prefecture and sector."""
    return effects.TripleDifference(sample).estimate


def targeted(sample):
    cells = sample.cells
    return [*zip(*cells.loc[cells["is_targeted"], ["pref_code", "industry"]].T.values, strict=True)]


def test_cells_first_targeted_are_compared_with_never_targeted_ones(small):
    design = services.designs_of_term(small, 2)[0]
    sample = services.cell_sample(small, design)
    assert targeted(sample) == [("01", INFO)]
    assert set(sample.cells["industry"]) == {INFO, "retail"}
    # Set apart: 02 (already in term 1) and 04 (term 1 only), but not their retail trade.
    seen = sample.cells.groupby("pref_code")["industry"].agg(list).to_dict()
    assert seen == {
        "01": [INFO, "retail"],
        "02": ["retail"],
        "03": [INFO, "retail"],
        "04": ["retail"],
    }
    assert difference(sample) == pytest.approx((0.30 - 0.10) - (0.25 - 0.05))


def test_cells_targeted_in_both_terms_have_a_design_of_their_own(small):
    design = services.designs_of_term(small, 2)[1]
    assert design.is_continued
    sample = services.cell_sample(small, design)
    assert targeted(sample) == [("02", INFO)]
    assert difference(sample) == pytest.approx((0.50 - 0.20) - (0.25 - 0.05))


def test_the_third_term_keeps_all_that_the_second_targeted(small):
    small.sector_panel["fy"] += 5
    design = services.designs_of_term(small, 3)[0]
    sample = services.cell_sample(small, design)
    assert targeted(sample) == [("01", INFO), ("02", INFO)]
    assert sorted(set(sample.rows.loc[sample.rows["in_term"], "fy"])) == [
        2010,
        2011,
        2012,
        2013,
        2014,
    ]


def test_the_first_term_has_no_baseline_and_says_so(small):
    assert services.designs_of_term(small, 1) == []
    assert services.why_none(small, 1) == (
        "0 years before the term: information services are reported from FY2001"
    )
    assert services.why_none(small, 2) == ""
    design = effects.Design(
        services.policy.choose_term(small.terms, 1, "funded"),
        "b2005",
        "broad",
        "all cells",
        2001,
        2014,
    )
    with pytest.raises(ValueError, match="term 1: 0 years before the term"):
        services.cell_sample(small, design)


def test_a_field_named_broadly_counts_in_the_broad_reading_only(small):
    small.field_industries.loc[0, "reading"] = "broad"
    narrow = services.mark_cells(small, "b2005", "narrow").set_index(["pref_code", "industry"])
    broad = services.mark_cells(small, "b2005", "broad").set_index(["pref_code", "industry"])
    assert not narrow.loc[("01", INFO), "is_targeted_2"]
    assert narrow.loc[("02", INFO), "is_targeted_2"]  # by content
    assert broad.loc[("01", INFO), "is_targeted_2"]


# ---- The study ----------------------------------------------------------------------------------

COUNTS = {  # term, base, continued -> targeted, the same sector elsewhere, other cells
    (2, "b2005", False): (5, 13, 235),
    (2, "b2005", True): (26, 13, 235),
    (3, "b2005", False): (31, 13, 235),
    (3, "b2011", False): (31, 13, 282),
}


@pytest.mark.parametrize("number", [2, 3])
def test_samples_of_the_study_have_the_cells_of_the_decision(real_study, number):
    designs = services.designs_of_term(real_study, number)
    assert len(designs) == 8  # two clocks, two readings, two bases or two kinds of targets
    for design in designs:
        sample = services.cell_sample(real_study, design)
        cells = sample.cells
        of_sector = cells["industry"] == INFO
        found = (
            int(cells["is_targeted"].sum()),
            int((of_sector & ~cells["is_targeted"]).sum()),
            int((~of_sector).sum()),
        )
        assert found == COUNTS[number, design.base, design.is_continued]
        assert not cells.loc[~of_sector, "is_targeted"].any()
        # Refuses if a block is targeted only in part.
        inference.count_assignments(cells)


# The first look set 31 prefectures beside 16, relative to total product: log points.
FIRST_LOOK = {("b2005", 2001, 2005, 2009): -2.1, ("b2005", 2006, 2009, 2014): -3.0}
FIRST_LOOK["b2011", 2006, 2009, 2014] = -3.0


@pytest.mark.parametrize("case", FIRST_LOOK)
def test_the_same_comparison_comes_near_the_first_look(real_study, case):
    base, first, last, end = case
    logs = np.log(
        real_study.sector_panel.query("base == @base and industry == @INFO").pivot(
            index="pref_code", columns="fy", values="product_million_yen"
        )
        / real_study.prefecture_product.query("base == @base").pivot(
            index="pref_code", columns="fy", values="total_million_yen"
        )
    )
    change = logs.loc[:, last + 1 : end].mean(axis=1) - logs.loc[:, first:last].mean(axis=1)
    marked = services.mark_cells(real_study, base, "broad").query("industry == @INFO")
    is_targeted = marked.set_index("pref_code")["is_targeted_2"]
    assert is_targeted.sum() == 31
    gap = change[is_targeted].mean() - change[~is_targeted].mean()
    assert 100 * gap == pytest.approx(FIRST_LOOK[case], abs=0.6)


def test_least_squares_of_the_samples_are_those_of_the_decision(real_study):
    found = {
        (design.base, design.term.number, design.is_continued): round(
            100 * difference(services.cell_sample(real_study, design)), 1
        )
        for number in (2, 3)
        for design in services.designs_of_term(real_study, number)
        if design.term.clock == "funded" and design.fields_map == "broad"
    }
    assert found == {
        ("b2005", 2, False): -5.2,
        ("b2005", 2, True): -7.0,
        ("b2005", 3, False): -4.5,
        ("b2011", 3, False): -5.1,
    }


@pytest.mark.parametrize("base", ["b2005", "b2011"])
def test_service_sectors_are_those_of_the_workbook_without_a_mark(real_study, shared, base):
    sectors = real_study.sectors.query("base == @base")
    sectors = sectors[
        ~sectors["name_ja"].duplicated(keep=False) & (sectors["industry"] != "services")
    ]
    path = real_files.only_path(shared, f"accounts {base}")
    published = workbooks.read_accounts(path, base, sectors, sources.read_raw("prefectures"))
    keys = ["base", "pref_code", "industry", "fy"]
    both = real_study.sector_panel.merge(published, on=keys, validate="one_to_one")
    assert len(both) == 47 * len(sectors) * both["fy"].nunique()
    assert (both["product_million_yen_x"] == both["product_million_yen_y"]).all()
    assert set(both["status_y"]) == {"observed"}


def test_a_sector_that_its_parts_do_not_add_up_to_is_named(raw_tables):
    name = "sector_product_b2011"
    table = raw_tables[name].copy()
    line = table.index[(table["industry"] == "retail") & (table["pref_code"] == "31")][0]
    table.loc[line, "2009"] = str(int(table.loc[line, "2009"]) + 900)
    table.attrs = raw_tables[name].attrs
    with pytest.raises(
        sources.DataFault, match=r"sector_product_b2011\.csv:\d+: column 2009: .*parts"
    ):
        panel.clean_all({**raw_tables, name: table})
