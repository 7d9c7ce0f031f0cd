"""Accounts, prefecture tables and boundaries are read as published, or refused by name."""

import json

import numpy as np
import pandas as pd
import pytest
import real_files
import small_workbook

from clusterpolicy import cleaning, effects, sources
from clusterpolicy.checks import rules
from clusterpolicy.finerdata import workbooks

PREFECTURES = sources.read_raw("prefectures")
INDUSTRIES = sources.read_raw("account_industries")
PRODUCT = "product_million_yen"
YEARS = range(1975, 2000)  # base b1990: no industries, so that a sheet stays small


def sheet(year, unit="（単位：100万円）", columns=("製造業", "県内総生産"), heading=None):
    """Return one year of the accounts: manufacturing is the prefecture's number, the total 100."""
    number = year - 1925 if year < 1989 else year - 1988
    era = "昭和" if year < 1989 else "平成"
    full_width = str(number).translate(str.maketrans("0123456789", "０１２３４５６７８９"))
    shown = "元" if year == 1989 else full_width
    rows = [
        [None, None, "１．経済活動別", "県内総生産"],
        [None, heading or f"【{era}{shown}年度】", None, unit],
        [None, None, *columns],
    ]
    for code, name in enumerate(PREFECTURES["name_ja"], start=1):
        rows.append([f"{code:02d}" if code % 2 else code, f"{name}　", code, 100])
    return [*rows, [None, "全県計", 1128, 4700]]


def book(**changed):
    """Return the sheets of all years; `changed` gives others, by y1975 and the like."""
    sheets = {"output_75-99": [["", "", 0], [1975, 1, 2]]}  # somebody's own sheet
    for year in YEARS:
        name = f"Ｓ{year - 1925}" if year < 1989 else str(year - 1988)
        sheets[name] = changed.get(f"y{year}", sheet(year))
    return {name: rows for name, rows in sheets.items() if rows is not None}


@pytest.fixture
def read(tmp_path):
    def write_and_read(sheets):
        path = small_workbook.write(tmp_path / "accounts.xlsx", sheets)
        return workbooks.read_accounts(path, "b1990", INDUSTRIES, PREFECTURES)

    return write_and_read


def test_every_year_is_read_whatever_its_digits_and_era(read):
    table = read(book())
    assert sorted(table["fy"].unique()) == list(YEARS)
    assert len(table) == 25 * 47 * 2
    of_1989 = table[(table["fy"] == 1989) & (table["industry"] == "manufacturing")]
    assert of_1989[PRODUCT].tolist() == list(range(1, 48))
    assert of_1989["pref_code"].tolist() == PREFECTURES["pref_code"].tolist()


def test_marks_and_figures_typed_as_text_are_told_apart(read):
    rows = sheet(1980)
    rows[3][2], rows[4][2], rows[5][2], rows[6][2] = "x", "-", "1,234", -5.0
    table = read(book(y1980=rows))
    of_1980 = table[(table["fy"] == 1980) & (table["industry"] == "manufacturing")].head(5)
    assert of_1980["status"].tolist() == ["hidden", "nil", "observed", "observed", "observed"]
    assert of_1980[PRODUCT].fillna(0).tolist() == [0, 0, 1234, -5, 5]


def _swapped(rows):
    rows[4], rows[5] = rows[5], rows[4]
    return rows


ACCOUNT_FAULTS = {
    "year missing": (book(y1990=None), "found sheets of the fiscal years"),
    "two calendars": (
        book(y1990=sheet(1990, heading="【平成２年度（１９９１）】")),
        r"sheet 2: found the years \[1990, 1991\] in its heading and name",
    ),
    "other unit": (book(y1976=sheet(1976, unit="（単位：億円）")), r"sheet Ｓ51: found no unit"),
    "column missing": (
        book(y1976=sheet(1976, columns=("鉱業", "県内総生産"))),
        r"sheet Ｓ51: found 0 columns '製造業', expected one",
    ),
    "column twice": (
        book(y1976=sheet(1976, columns=("製造業", "県内総生産", "製造業"))),
        r"sheet Ｓ51: found 2 columns '製造業'",
    ),
    "prefectures in another order": (
        book(y1976=_swapped(sheet(1976))),
        r"sheet Ｓ51: found other lines than the 47",
    ),
    "neither number nor mark": (
        book(
            y1976=[
                [("?" if cell == 47 and at == 2 else cell) for at, cell in enumerate(row)]
                for row in sheet(1976)
            ]
        ),
        r"fiscal year 1976: manufacturing: row 47: found '\?': neither a number nor a known mark",
    ),
}


@pytest.mark.parametrize(("sheets", "message"), ACCOUNT_FAULTS.values(), ids=ACCOUNT_FAULTS)
def test_spoilt_accounts_are_refused(read, sheets, message):
    with pytest.raises(sources.DataFault, match=rf"^accounts\.xlsx: {message}"):
        read(sheets)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"<html>", b"\xd0\xcf\x11\xe0" * 300])
@pytest.mark.parametrize("name", ["accounts.xlsx", "accounts.xls"])
def test_a_damaged_workbook_is_named(tmp_path, content, name):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(sources.InputMissing, match=rf"^{name}: no workbook that can be read"):
        workbooks.read_accounts(path, "b2000", INDUSTRIES, PREFECTURES)


def test_a_workbook_cut_off_anywhere_is_named_or_refused(tmp_path):
    content = small_workbook.write(tmp_path / "whole.xlsx", book()).read_bytes()
    path = tmp_path / "accounts.xlsx"
    for kept in np.linspace(0, len(content) - 1, 25).astype(int):
        path.write_bytes(content[:kept])
        with pytest.raises((sources.InputMissing, sources.DataFault), match=r"^accounts\.xlsx: "):
            workbooks.read_accounts(path, "b1990", INDUSTRIES, PREFECTURES)


def test_a_missing_workbook_is_named(tmp_path):
    with pytest.raises(sources.InputMissing, match=r"^gone\.xlsx: missing .*run `make data`"):
        workbooks.read_accounts(tmp_path / "gone.xlsx", "b2000", INDUSTRIES, PREFECTURES)


# ---- Boundaries ---------------------------------------------------------------------------------


def outlines(change=lambda feature: feature):
    features = []
    for code, name in enumerate(PREFECTURES["name_ja"]):
        x, y = 130 + code / 10, 35.0
        small = [[[x, y], [x + 0.01, y], [x, y + 0.01], [x, y]]]
        large = [[[x, y], [x + 0.05, y], [x, y + 0.05], [x, y]]]
        shape = {"type": "MultiPolygon", "coordinates": [small, large]}
        features.append({"properties": {"N03_001": name}, "geometry": shape})
    features[0] = change(features[0])
    return json.dumps({"type": "FeatureCollection", "features": features})


@pytest.fixture
def read_boundaries(tmp_path):
    def write_and_read(content):
        path = tmp_path / "outlines.geojson"
        path.write_text(content, encoding="utf-8")
        return workbooks.read_boundaries(path, PREFECTURES)

    return write_and_read


def test_each_prefecture_has_its_parts_the_largest_first(read_boundaries):
    found = read_boundaries(outlines())
    assert list(found) == PREFECTURES["pref_code"].tolist()
    assert [ring[:, 0].max() for ring in found["01"]] == [130.05, 130.01]


def _moved(feature, coordinates):
    return {**feature, "geometry": {"type": "Polygon", "coordinates": coordinates}}


BOUNDARY_FAULTS = {
    "open": (lambda f: _moved(f, [[[130, 35], [131, 35], [131, 36], [130, 36]]]), "not closed"),
    "abroad": (lambda f: _moved(f, [[[0, 0], [1, 0], [1, 1], [0, 0]]]), "outside the country"),
    "twice": (lambda f: {**f, "properties": {"N03_001": "青森県"}}, "no row of prefecture 01"),
}


@pytest.mark.parametrize(("spoil", "message"), BOUNDARY_FAULTS.values(), ids=BOUNDARY_FAULTS)
def test_spoilt_boundaries_are_refused(read_boundaries, spoil, message):
    with pytest.raises(sources.DataFault, match=rf"^outlines\.geojson: .*{message}"):
        read_boundaries(outlines(spoil))


@pytest.mark.parametrize("content", ["", "{", "[]", '{"features": [{}]}', outlines()[:5000]])
def test_other_json_is_named(read_boundaries, content):
    with pytest.raises(sources.InputMissing, match=r"^outlines\.geojson: no GeoJSON of prefect"):
        read_boundaries(content)


# ---- The published files ------------------------------------------------------------------------


@pytest.mark.parametrize("base", rules.BASES)
def test_accounts_equal_the_tables_of_the_repository_cell_by_cell(shared, base):
    ours = cleaning.clean_cell_product(sources.read_raw(f"cell_product_{base}"), base)
    keys = ["base", "pref_code", "industry", "fy"]
    read = real_files.accounts(shared, base)
    read = read[~read["industry"].isin(workbooks.TOTALS.values())]
    both = ours.merge(read, on=keys, how="outer", validate="one_to_one", indicator=True)
    assert (both["_merge"] == "both").all()
    assert (both["status_x"].astype(str) == both["status_y"].astype(str)).all()
    ours, theirs = both[f"{PRODUCT}_x"].astype(float), both[f"{PRODUCT}_y"]
    pd.testing.assert_series_equal(ours, theirs, check_names=False, rtol=0, atol=0)


@pytest.mark.parametrize("base", real_files.ACCOUNTS)
def test_totals_equal_the_table_of_the_repository(shared, base):
    ours = sources.read_raw("prefecture_product").query("base == @base").astype({"fy": int})
    read = real_files.accounts(shared, base)
    for industry in workbooks.TOTALS.values():
        both = ours.merge(
            read[read["industry"] == industry],
            on=["pref_code", "fy"],
            how="outer",
            validate="one_to_one",
            indicator="side",
        )
        assert (both["side"] == "both").all()
        assert (both[f"{industry}_million_yen"].astype(float) == both[PRODUCT]).all()


def test_trap_10_bases_differ_by_prefecture_and_are_kept_apart(shared):
    parts = [real_files.accounts(shared, base) for base in rules.BASES]
    every = pd.concat(parts, ignore_index=True)
    cells = every[~every["industry"].isin(workbooks.TOTALS.values())]
    assert (cells["status"] == "hidden").sum() == 187
    assert (cells[PRODUCT] < 0).sum() == 37
    assert not every.duplicated(["base", "pref_code", "industry", "fy"]).any()
    made = every[every["industry"] == "manufacturing"].pivot_table(
        PRODUCT, ["pref_code", "fy"], "base"
    )
    # No one national factor: in a single year, prefectures need factors this far apart.
    ratio = (made["b2011"] / made["b2005"]).dropna().unstack("fy")
    assert (ratio.max() - ratio.min() > 0.3).all()


def test_trap_10_a_workbook_of_another_base_is_refused(shared):
    path = real_files.only_path(shared, "accounts b1995")  # same industries as b2000
    with pytest.raises(sources.DataFault, match="expected 1996 to 2009 for base b2000"):
        workbooks.read_accounts(path, "b2000", INDUSTRIES, PREFECTURES)


def test_the_published_boundaries_hold_47_prefectures(shared):
    found = workbooks.read_boundaries(real_files.only_path(shared, "boundaries"), PREFECTURES)
    assert len(found) == 47
    assert sum(len(rings) for rings in found.values()) == 168
    assert found["01"][0][:, 1].max() > 45  # Hokkaido, in the north


def test_zeros_that_the_total_contradicts_are_as_published_and_enter_no_estimate(
    shared, raw_tables, real_study
):
    """Okinawa's metals of base b2005 are numbers in the workbook, and miss what b1995 has there."""
    of_okinawa = real_files.accounts(shared, "b2005").query("pref_code == '47' and fy < 2006")
    zeros = of_okinawa[of_okinawa[PRODUCT] == 0]
    assert (zeros["status"] == "observed").all()
    assert set(zeros["industry"]) == {"iron_steel", "nonferrous_metals"}
    metals = real_files.accounts(shared, "b1995").query(
        "pref_code == '47' and industry == 'primary_metals' and fy >= 2001"
    )
    gaps = raw_tables["known_gaps"].query("pref_code == '47'").astype({"gap_million_yen": float})
    missing = -gaps["gap_million_yen"].to_numpy()
    assert len(missing) == len(zeros) / 2
    assert np.abs(missing[:3] / metals[PRODUCT].to_numpy() - 1).max() < 0.15
    for term in (1, 2, 3):
        rows = effects.cell_sample(
            real_study, effects.main_design(real_study, term, "funded", "broad")
        ).rows
        metal = rows["industry"].isin(zeros["industry"]) & (rows["pref_code"] == "47")
        assert not metal.any()
