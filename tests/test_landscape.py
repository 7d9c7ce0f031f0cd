"""The landscape section: records, table, sentences and figure say the same."""

import re

import pandas as pd
import pytest

from clusterpolicy import figures, results, sources
from clusterpolicy.cells import landscape, measures, shiftshare
from clusterpolicy.findings import landscapecharts, landscapewords
from clusterpolicy.wording import format_interval, format_number


@pytest.fixture(scope="module")
def land(real_study):
    return landscape.survey(real_study, "broad")


@pytest.fixture(scope="module")
def records(land, real_study):
    return landscape.records_of(land, real_study)


def test_every_record_has_its_own_name_and_an_interval_in_order(records):
    assert records["result_id"].is_unique
    assert records["measure"].nunique() == len(landscape._RECORDED)
    assert (records["low"] <= records["high"]).all()
    known = records[records["value"].notna() & (records["measure"] != "Moran's I")]
    assert (known["low"] <= known["value"] + 1e-9).all()
    assert (known["value"] <= known["high"] + 1e-9).all()


def test_the_records_are_those_of_the_measures(real_study, records):
    cells = measures.measure_cells(real_study, landscape.BASE)
    growth = measures.measure_growth(cells, landscape.YEARS)
    own = records[records["measure"] == "growth"]
    assert own["value"].tolist() == growth["growth"].tolist()


def test_the_records_are_saved_once_and_read_back(tmp_path, records):
    path = results.save_results(records, landscape.NAME, tmp_path)
    again = path.read_text(encoding="utf-8")
    results.save_results(records, landscape.NAME, tmp_path)
    assert path.read_text(encoding="utf-8") == again
    assert again.count("\n") == len(records) + 1


def test_the_landscape_that_is_told_is_the_one_that_was_recorded(
    tmp_path, records, land, real_study, monkeypatch
):
    monkeypatch.setattr(sources, "RESULTS", tmp_path)
    results.save_results(records, landscape.NAME)
    told = landscape.load(real_study, "broad")
    for name in ("cells", "industries", "prefectures"):
        found = getattr(told, name)
        shared = [column for column in getattr(land, name) if column in found]
        pd.testing.assert_frame_equal(found[shared], getattr(land, name)[shared])
    assert {"is_targeted", "product_last", "growth", "lq_shrunk", "label"} <= set(told.cells)
    assert landscapewords.movers_table(told).data.equals(landscapewords.movers_table(land).data)


def test_every_cell_stands_in_one_quadrant(land):
    table = landscape.quadrants(land)
    assert table["cells"].sum() == len(land.cells.dropna(subset=["lq_shrunk", "excess_shrunk"]))
    assert (table["targeted"] <= table["cells"]).all()
    clear = land.cells["excess_shrunk_low"] > 0
    gaining = table[table["growth"] == "gaining"]["cells"].sum()
    assert gaining == (clear & land.cells["lq_shrunk"].notna()).sum()


def test_movers_are_ranked_by_the_shrunk_figure(land):
    ranked = landscape.movers(land, 3)["excess_shrunk"].tolist()
    assert ranked == sorted(ranked, reverse=True)
    assert ranked[0] == land.cells["excess_shrunk"].max()
    assert ranked[-1] == land.cells["excess_shrunk"].min()
    assert len(ranked) == 6


def test_the_sentences_hold_the_records(land, records):
    said = landscapewords.shift_sentence(land)
    own = records[records["measure"] == "regional part of shift-share"].sort_values("value")
    for row in (own.iloc[0], own.iloc[-1]):
        shown = f"{format_number(row['value'], 1, True)} percent a year, interval "
        assert f"{row['label']} ({shown}{format_interval(row['low'], row['high'])})" in said
    assert shiftshare.WARNING in said
    found = re.findall(r"[a-z ]+ \(([-−\d.]+)\)", landscapewords.spread_sentence(land))
    moran = records[(records["measure"] == "Moran's I") & (records["q_value"] <= 0.05)]
    assert found == [format_number(value, 2) for value in moran["value"]]
    assert "Okinawa has no neighbour" in landscapewords.spread_sentence(land)


def test_the_tables_hold_the_records(land, records):
    table = landscapewords.movers_table(land)
    own = records[records["measure"] == "growth beyond the industry elsewhere"]
    known = own.set_index("label")
    for row in table.data.itertuples():
        assert row.excess_shrunk == known.at[row.label, "value"]
        assert row.excess_shrunk_low == known.at[row.label, "low"]
    industries = landscapewords.industries_table(land).data
    bounds = records[records["measure"] == "Ellison-Glaeser index"].set_index("label")
    for row in industries.itertuples():
        assert (row.eg_low, row.eg_high) == tuple(bounds.loc[row.label, ["low", "high"]])


def test_the_tiles_hold_every_cell_once(land):
    chart = landscapecharts.plot_landscape(land)
    axes = chart.figure.axes[0]
    numbers = [int(text.get_text()) for text in axes.texts]
    assert sum(numbers) == len(land.cells.dropna(subset=["lq_shrunk", "excess_shrunk"]))
    assert len(numbers) == sum(patch.get_gid() == "tile" for patch in axes.patches)
    assert str(chart.data["cells"].max()) in chart.alt


def test_the_map_has_no_japanese_outlines_but_keeps_the_names_in_its_data(real_study):
    counts = real_study.prefectures[["pref_code"]].assign(value=1)
    lean = figures.plot_targeted_map(real_study.prefectures, counts, "Cells")
    written = {text.get_text() for text in lean.figure.axes[0].texts}
    assert all(ord(letter) < 0x3000 for text in written for letter in text)
    assert "Aomori" in written
    assert "青森県" in lean.data["name_ja"].tolist()
