"""Shift-share: the parts by hand, and their sums on the real figures."""

import numpy as np
import pandas as pd
import pytest
from test_measures import BASES, tables_of

from clusterpolicy.cells import measures, shiftshare
from clusterpolicy.clusters import CELL

SPANS = {"b1995": (1995, 2003), "b2000": (2000, 2009), "b2005": (2005, 2014), "b2011": (2009, 2016)}
# Aomori food 100 to 150, textiles 100 to 90; Iwate food 100 to 110, textiles 100 to 50.
PANEL = [
    *[("02", "food", 2000, 100), ("02", "food", 2001, 150)],
    *[("02", "textiles", 2000, 100), ("02", "textiles", 2001, 90)],
    *[("03", "food", 2000, 100), ("03", "food", 2001, 110)],
    *[("03", "textiles", 2000, 100), ("03", "textiles", 2001, 50)],
]


def cells_of(rows, totals=None):
    return measures.add_quotients(measures.bound_hidden(*tables_of(rows, totals), "b2000"))


def test_the_three_parts_by_hand():
    found = shiftshare.decompose(cells_of(PANEL), (2000, 2001)).set_index(CELL)
    # The nation 400 to 400; food 200 to 260, +30 %; textiles 200 to 140, -30 %.
    assert found["national"].tolist() == pytest.approx([0, 0, 0, 0])
    assert found["industry_mix"].tolist() == pytest.approx([30, -30, 30, -30])
    assert found["regional"].tolist() == pytest.approx([20, 20, -20, -20])
    assert found["regional_percent"].tolist() == pytest.approx([20, 20, -20, -20])


def test_prefectures_are_the_sum_of_their_cells():
    found = shiftshare.decompose(cells_of(PANEL), (2000, 2001), "prefecture")
    assert found["regional"].tolist() == pytest.approx([40, -40])
    assert found["n_cells"].tolist() == [2, 2]


def test_a_hidden_cell_is_no_growth_and_widens_the_remainder():
    rows = [row if row[:3] != ("03", "food", 2001) else (*row[:3], None) for row in PANEL]
    found = shiftshare.decompose(cells_of(rows, {("03", 2001): 160}), (2000, 2001)).set_index(CELL)
    assert ("03", "food") not in found.index
    own = found.loc[("02", "food")]
    # Only Aomori's food is seen in both years: it is its industry, and nothing remains.
    assert own["regional"] == pytest.approx(0)
    # With 110, give or take rounding, in Iwate, food grew by 29.25 to 30.75 %.
    assert own["regional_low"] == pytest.approx(50 - 30.75)
    assert own["regional_high"] == pytest.approx(50 - 29.25)


def test_the_dynamic_form_starts_each_year_from_its_own():
    rows = [*PANEL]
    for code, industry, value in (
        ("02", "food", 165),
        ("02", "textiles", 90),
        ("03", "food", 110),
        ("03", "textiles", 50),
    ):
        rows.append((code, industry, 2002, value))
    found = shiftshare.decompose_yearly(cells_of(rows), (2000, 2002)).set_index(CELL)
    own = found.loc[("02", "food")]
    # 2001-02: the nation 400 to 415, food 260 to 275.
    assert own["national"] == pytest.approx(150 * 15 / 400)
    assert own["industry_mix"] == pytest.approx(30 + 150 * (15 / 260 - 15 / 400))
    assert own["regional"] == pytest.approx(20 + 15 - 150 * 15 / 260)
    assert own["regional_rate"] == pytest.approx(100 * (0.2 + (15 - 150 * 15 / 260) / 150) / 2)


def test_an_unknown_level_is_refused():
    with pytest.raises(ValueError, match="choose one of cell, prefecture, industry"):
        shiftshare.decompose(cells_of(PANEL), (2000, 2001), "bureau")


def test_the_docstring_and_the_sentence_warn_that_it_is_a_remainder():
    assert "remainder" in shiftshare.WARNING
    assert "not an effect" in shiftshare.WARNING
    assert "not an effect" in " ".join(shiftshare.decompose.__doc__.split())


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("by", shiftshare.LEVELS)
def test_the_parts_add_up_to_the_change_on_the_real_figures(real_study, base, by):
    cells = measures.measure_cells(real_study, base)
    years = SPANS[base]
    for decompose in (shiftshare.decompose, shiftshare.decompose_yearly):
        found = decompose(cells, years, by)
        scale = found["start"].abs().max()
        parts = found[shiftshare.PARTS].sum(axis=1)
        assert np.abs(parts - found["change"]).max() < 1e-10 * scale
        assert np.abs(found["end"] - found["start"] - found["change"]).max() < 1e-10 * scale
        # Over the nation, mix and remainder cancel out.
        total = found[shiftshare.PARTS].sum()
        assert np.abs(total[["industry_mix", "regional"]]).max() < 1e-10 * scale * len(found)
        assert total["national"] == pytest.approx(found["change"].sum(), rel=1e-10)


def test_the_remainder_lies_in_its_bounds_where_nothing_is_hidden(real_study):
    cells = measures.measure_cells(real_study, "b1995")
    found = shiftshare.decompose(cells, SPANS["b1995"])
    assert pd.Series(found["regional_low"]).to_numpy() == pytest.approx(found["regional"], abs=1e-6)
    assert found["regional_high"].to_numpy() == pytest.approx(found["regional"], abs=1e-6)
