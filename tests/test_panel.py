"""The clean tables add up to what was published, keep what is hidden, and come back as saved."""

import shutil

import numpy as np
import pandas as pd
import pytest

from clusterpolicy import panel, policy, sources
from clusterpolicy.checks import rules

# ---- The real figures -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("year", "trillion_yen"),
    [(2001, 286.667), (2008, 335.579), (2010, 289.108), (2012, 288.728)],
)
def test_prefectures_sum_to_the_published_shipments(real_study, year, trillion_yen):
    rows = real_study.prefecture_panel
    shipments = rows[(rows["indicator"] == "shipments") & (rows["year"] == year)]["value"]
    assert len(shipments) == 47
    assert round(shipments.sum() / 1e6, 3) == trillion_yen


def test_the_study_compares_every_published_total_itself(real_study):
    totals = panel.compare_totals(real_study)
    assert totals["year"].tolist() == [2001, 2008, 2010, 2012]
    assert totals["is_equal"].all()
    assert (totals["ours"] == totals["official"]).all()


def test_a_total_that_differs_in_its_last_digit_is_not_equal(real_study):
    changed = real_study.prefecture_panel.copy()
    is_one = (changed["indicator"] == "shipments") & (changed["year"] == 2008)
    changed.loc[changed[is_one].index[0], "value"] += 1000  # million yen: 0.001 trillion
    totals = panel.compare_totals(
        panel.Study(**{**dict(real_study.items()), "prefecture_panel": changed})
    )
    assert totals.set_index("year")["is_equal"].to_dict() == {
        2001: True,
        2008: False,
        2010: True,
        2012: True,
    }


def test_industries_add_up_to_manufacturing_but_for_the_gaps_that_were_published(
    real_study, raw_tables
):
    cells = real_study.cell_panel
    keys = ["base", "pref_code", "fy"]
    has_hidden = (cells["status"] == "hidden").groupby([cells[key] for key in keys]).any()
    sums = cells.groupby(keys)["product_million_yen"].sum()[~has_hidden]
    published = real_study.prefecture_product.set_index(keys)["manufacturing_million_yen"]
    gap = (sums - published.reindex(sums.index)).rename("gap")
    assert len(gap) == 2430
    gap = gap[gap.abs() > 4]  # rounding of 13 to 15 parts
    listed = raw_tables["known_gaps"].astype({"fy": int, "gap_million_yen": float})
    assert gap.to_dict() == listed.set_index(keys)["gap_million_yen"].to_dict()


def test_a_hidden_cell_is_missing_and_no_zero(real_study):
    cells = real_study.cell_panel
    assert cells["product_million_yen"].isna().equals(cells["status"] != "observed")
    counts = cells.groupby(["base", "status"]).size()
    assert counts[:, "hidden"].to_dict() == {"b2000": 84, "b2005": 24, "b2011": 79}
    assert counts[:, "nil"].to_dict() == {"b2011": 14}


def test_negative_products_are_kept(real_study):
    assert (real_study.cell_panel["product_million_yen"] < 0).sum() == 37


def test_what_is_not_simply_observed_is_counted_by_base_and_year(real_study):
    counts = panel.count_status(real_study).groupby("status")["cells"].sum()
    assert counts.to_dict() == {"hidden": 187, "negative": 37, "nil": 14}


def test_every_industry_and_series_holds_47_prefectures_in_every_year(real_study):
    by_cell = real_study.cell_panel.groupby(["base", "industry", "fy"])["pref_code"]
    by_series = real_study.prefecture_panel.groupby(["indicator", "year"])["pref_code"]
    for groups in (by_cell, by_series):
        assert groups.size().eq(47).all()
        assert groups.nunique().eq(47).all()


def test_every_cell_is_listed_once_per_reading_with_its_targets(real_study):
    keys = ["base", "pref_code", "industry"]
    cells = real_study.cells
    in_panel = real_study.cell_panel[keys].drop_duplicates()
    assert not cells.duplicated([*keys, "fields_map"]).any()
    assert len(cells) == len(in_panel) * len(policy.FIELDS_MAPS)
    assert cells["is_targeted_2"].equals(cells["projects_2"] != "")
    unsure = cells[(cells["projects_1"] != "") & ~cells["is_targeted_1"]]
    assert set(unsure["projects_1"]) == {"tokai-bio-t1"}  # no start year, no sure place in 19
    assert set(unsure["pref_code"]) == {"21", "23", "24"}
    assert unsure.groupby(["base", "fields_map"]).size().eq(6).all()
    late = cells[cells["since_2"].notna()]
    assert set(late["projects_2"]) == {"kyushu-bio-t2"}  # its council dates from September 2007
    assert set(late["since_2"]) == {2007}
    broad, narrow = (cells[cells["fields_map"] == name] for name in ("broad", "narrow"))
    is_in_both = broad.set_index(keys)["is_targeted_1"] | ~narrow.set_index(keys)["is_targeted_1"]
    assert is_in_both.all()  # the broad reading only adds


def test_a_unit_is_known_for_every_indicator(real_study):
    assert panel.unit_of(real_study, "shipments") == "million yen"
    assert panel.unit_of(real_study, "population.census") == "persons"
    with pytest.raises(KeyError, match="indicator 'sales': choose one of shipments, employees"):
        panel.unit_of(real_study, "sales")


# ---- Adding up, by hand -----------------------------------------------------------------------

# Two prefectures, one year: food and textiles against manufacturing. Okinawa's textiles are hidden.
CELL_COLUMNS = ["base", "pref_code", "industry", "fy", "product_million_yen", "status"]
TOTAL_COLUMNS = ["base", "pref_code", "fy", "manufacturing_million_yen"]


def add_up(food=70.0, total=100.0, gaps=(), totals_of=("01", "47")):
    cells = pd.DataFrame(
        [
            ("b2000", "01", "food", 2001, food, "observed"),
            ("b2000", "01", "textiles", 2001, 30.0, "observed"),
            ("b2000", "47", "food", 2001, 70.0, "observed"),
            ("b2000", "47", "textiles", 2001, np.nan, "hidden"),
        ],
        columns=CELL_COLUMNS,
    )
    totals = pd.DataFrame(
        [("b2000", code, 2001, total) for code in totals_of], columns=TOTAL_COLUMNS
    )
    lines = pd.Index(range(2, 2 + len(totals)), name="line")
    raw_totals = totals.astype(str).set_axis(lines)
    raw_totals.attrs["file"] = "prefecture_product.csv"
    known = pd.DataFrame(gaps, columns=["base", "pref_code", "fy", "gap_million_yen"], dtype=str)
    known.index = pd.Index(range(2, 2 + len(known)), name="line")
    known.attrs["file"] = "known_gaps.csv"
    return panel.check_sums(cells, totals, raw_totals, known)


def fault_of(**changes):
    with pytest.raises(sources.DataFault) as fault:
        add_up(**changes)
    return str(fault.value)


def test_parts_that_add_up_are_returned_and_hidden_ones_left_out():
    sums = add_up()
    assert sums.to_dict("records") == [
        {
            "base": "b2000",
            "pref_code": "01",
            "fy": 2001,
            "sum": 100.0,
            "manufacturing_million_yen": 100.0,
            "gap": 0.0,
            "known_gap": 0.0,
        }
    ]


def test_half_a_million_for_each_part_and_the_total_is_rounding():
    assert add_up(food=71.5)["gap"].tolist() == [1.5]
    assert fault_of(food=72.0) == (
        "prefecture_product.csv:2: column manufacturing_million_yen: found '100': the industries "
        "of prefecture 01 in data/raw/cell_product_b2000.csv add up to 102 in 2001: correct the "
        "figure that is wrong, or enter a gap that was published so in known_gaps.csv"
    )


def test_a_gap_that_was_published_so_may_be_listed():
    sums = add_up(food=90.0, gaps=[("b2000", "01", "2001", "20")])
    assert sums[["gap", "known_gap"]].values.tolist() == [[20, 20]]


def test_a_listed_gap_that_is_no_longer_there_stops_the_build():
    assert "add up to 100 in 2001" in fault_of(gaps=[("b2000", "01", "2001", "20")])


@pytest.mark.parametrize("where", [("b2000", "47", "2001"), ("b2000", "01", "1975")])
def test_a_gap_listed_where_nothing_is_compared_stops_the_build(where):
    assert fault_of(gaps=[(*where, "20")]) == (
        f"known_gaps.csv:2: column base+pref_code+fy: found '{', '.join(where)}': no sum is "
        "compared there, or a part is hidden: remove the row"
    )


def test_a_total_without_a_figure_stops_the_build():
    assert fault_of(total=np.nan) == (
        "prefecture_product.csv:2: column manufacturing_million_yen: found no figure, but the "
        "industries of prefecture 01 in data/raw/cell_product_b2000.csv add up to 100 in 2001: "
        "add it"
    )


def test_a_total_without_a_row_stops_the_build():
    assert fault_of(totals_of=("47",)) == (
        "prefecture_product.csv: column manufacturing_million_yen: found no figure, but the "
        "industries of prefecture 01 in data/raw/cell_product_b2000.csv add up to 100 in 2001: "
        "add it"
    )


def test_a_new_gap_in_the_real_figures_is_named_and_others_counted(real_study, raw_tables):
    cells = real_study.cell_panel.copy()
    is_food = (cells["base"] == "b2000") & (cells["industry"] == "food") & (cells["fy"] == 2005)
    two = is_food & cells["pref_code"].isin(["13", "14"])
    cells.loc[two, "product_million_yen"] += 10
    totals = raw_tables["prefecture_product"]
    is_tokyo = (totals[["pref_code", "fy", "base"]] == ["13", "2005", "b2000"]).all(axis=1)
    with pytest.raises(sources.DataFault) as fault:
        panel.check_sums(cells, real_study.prefecture_product, totals, raw_tables["known_gaps"])
    message = str(fault.value)
    assert message.startswith(f"data/raw/prefecture_product.csv:{totals.index[is_tokyo][0]}: ")
    assert message.endswith(" (1 more such sum)")


# ---- Saving and loading -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def saved(real_study, tmp_path_factory):
    folder = tmp_path_factory.mktemp("clean") / "new" / "clean"
    return folder, panel.save(real_study, folder)


def test_every_table_comes_back_as_it_was_saved(real_study, saved):
    folder, written = saved
    loaded = panel.load(folder)
    for name, table in real_study.items():
        pd.testing.assert_frame_equal(getattr(loaded, name), table)
    sizes = [(name, len(table), table.shape[1]) for name, table in real_study.items()]
    assert list(written.itertuples(index=False, name=None)) == sizes


def test_the_same_figures_give_the_same_bytes_and_nothing_else_is_left(real_study, saved, tmp_path):
    folder, _ = saved
    panel.save(real_study, tmp_path)
    names = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    kinds = ("{}.csv", "{}.parquet", "spreadsheet/{}.csv")
    tables = [kind.format(name) for name, _ in real_study.items() for kind in kinds]
    assert names == sorted([*tables, "datapackage.json"])
    for name in names:
        assert (tmp_path / name).read_bytes() == (folder / name).read_bytes()


@pytest.mark.parametrize(
    ("table", "group", "value"),
    [
        ("cell_panel", "base", "product_million_yen"),
        ("prefecture_panel", "indicator", "value"),  # with decimals
    ],
)
def test_the_copy_for_people_holds_the_same_figures(real_study, saved, table, group, value):
    text = pd.read_csv(saved[0] / f"{table}.csv", dtype={"pref_code": str})
    sums = getattr(real_study, table).groupby(group)[value].sum()
    assert text.groupby(group)[value].sum().to_dict() == sums.to_dict()
    assert text["pref_code"].str.len().eq(2).all()


@pytest.fixture
def copied(saved, tmp_path):
    return shutil.copytree(saved[0], tmp_path / "clean")


def test_a_table_is_read_only_if_it_is_used_and_then_once(copied):
    (copied / "glossary.parquet").unlink()
    study = panel.load(copied)
    assert study.terms is study.terms
    with pytest.raises(AttributeError, match="Study has no table 'term'"):
        _ = study.term


def test_a_missing_table_is_missing_input_with_a_remedy(copied):
    (copied / "cells.parquet").unlink()
    with pytest.raises(sources.InputMissing) as fault:
        _ = panel.load(copied).cells
    assert str(fault.value) == (
        "cells.parquet: missing or damaged (FileNotFoundError): run `make data`"
    )


@pytest.mark.parametrize(
    "damage", [lambda data: b"", lambda data: data[:-100], lambda data: b"PAR1"]
)
def test_a_damaged_table_is_missing_input_with_a_remedy(copied, damage):
    path = copied / "cell_panel.parquet"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(sources.InputMissing) as fault:
        _ = panel.load(copied).cell_panel
    assert (
        str(fault.value) == "cell_panel.parquet: missing or damaged (ArrowInvalid): run `make data`"
    )


def test_a_table_that_cannot_be_written_leaves_the_old_one(real_study, copied, monkeypatch):
    def fail(self, path, **options):
        path.write_bytes(b"half a table")
        raise OSError("disk full")

    before = (copied / "prefectures.parquet").read_bytes()
    monkeypatch.setattr(pd.DataFrame, "to_parquet", fail)
    with pytest.raises(OSError, match="disk full"):
        panel.save(real_study, copied)
    assert (copied / "prefectures.parquet").read_bytes() == before
    assert not list(copied.glob(".*"))


def test_building_reads_checks_and_saves(monkeypatch, tmp_path, real_study):
    monkeypatch.setattr(panel, "read_raw", lambda folder: f"raw of {folder}")
    monkeypatch.setattr(panel, "clean_all", {"raw of here": real_study}.get)
    assert panel.build("here", tmp_path / "clean") is real_study
    assert (tmp_path / "clean" / "terms.parquet").is_file()


def test_tables_name_no_file_of_the_machine_they_were_made_on(saved):
    assert all(table.attrs == {} for _, table in panel.load(saved[0]).items())


def test_the_bases_of_the_study_are_those_of_the_rules(real_study):
    assert sorted(real_study.cell_panel["base"].unique()) == sorted(rules.BASES)


def test_events_of_a_table_are_those_that_bear_on_it(real_study):
    of_cells = set(panel.events_of(real_study, "cell_product")["event_id"])
    assert {"earthquake-2011", "electrical-slump", "base-b2005"} <= of_cells
    assert "jsic-rev12" not in of_cells
    assert "value-added-2012" in set(panel.events_of(real_study, "prefecture_value")["event_id"])
