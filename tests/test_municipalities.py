"""Wards or their city, never both, on boundaries that stay the same."""

import numpy as np
import pandas as pd
import pytest
import real_files
from small_census import change, lines, write

from clusterpolicy import sources
from clusterpolicy.finerdata import census, marks, municipalities

SHIPMENTS = "shipments_million_yen"
HEADER = "merge_id_muni,id_muni2010,id_muni2015,name_muni2015\n"


@pytest.fixture
def clean(tmp_path):
    codes, prefectures = sources.read_raw("industry_codes"), sources.read_raw("prefectures")

    def write_and_clean(table):
        raw = census.read_census(write(table, tmp_path), int(table["year"].iloc[0]))
        table = census.clean_census(raw, codes, prefectures, marks.Log())
        return municipalities.without_parents(table)

    return write_and_clean


@pytest.fixture
def read_converter(tmp_path):
    def write_and_read(content):
        path = tmp_path / "converter.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return municipalities.read_converter(path)

    return write_and_read


@pytest.fixture
def converter(read_converter):
    """Hakodate (1202) has joined Sapporo; the cities of other prefectures are as they were."""
    rows = ["1100,1100,1100,Sapporo", "1202,1202,1100,Sapporo", "4216,4216,,"]
    rows += [f"{code}201,{code}201,{code}201,city {code}" for code in range(2, 48)]
    return read_converter(HEADER + "\n".join(rows) + "\n")


def test_wards_and_merged_cities_become_one_municipality(clean, converter):
    log = marks.Log()
    totals = clean(lines()).query("jsic2_code == '00'")
    found = municipalities.convert(totals, converter, [SHIPMENTS], log=log)
    hokkaido = found[found["pref_code"] == "01"]
    assert hokkaido[["muni_code_2015", SHIPMENTS]].values.tolist() == [["01100", 10.0]]
    assert len(found) == 47
    notes = log.table().set_index("rule")["after"]
    assert notes["municipalities to 2015 boundaries"] == "47"


def test_municipalities_of_2015_without_a_line_are_logged(clean, converter):
    log = marks.Log()
    totals = clean(lines()).query("jsic2_code == '00' and muni_code != '02201'")
    municipalities.convert(totals, converter, [SHIPMENTS], log=log)
    left = log.table().set_index("rule").loc["municipalities of 2015 without a line"]
    assert (left["rows"], left["before"], left["after"]) == (1, "47", "46")


def test_a_sum_with_a_hidden_part_has_no_value(clean, converter):
    table = clean(change(lines(), 1202, 9, sales=np.nan))
    keys = ["jsic2_code"]
    found = municipalities.convert(table, converter, [SHIPMENTS], keys, detail=True)
    food = found[(found["muni_code_2015"] == "01100") & (found["jsic2_code"] == "09")].iloc[0]
    assert np.isnan(food[SHIPMENTS])
    assert food[f"{SHIPMENTS}_status"] == "hidden"
    assert (food[f"{SHIPMENTS}_known"], food[f"{SHIPMENTS}_gaps"]) == (5.0, 1)


def test_a_city_beside_its_wards_is_refused(clean, converter):
    table = clean(lines())
    parent = table[table["muni_code"] == "01202"].assign(level="parent", muni_code="01100")
    with pytest.raises(ValueError, match="found 3 lines of prefectures or of cities beside their"):
        municipalities.convert(pd.concat([table, parent]), converter, [SHIPMENTS])


def test_a_municipality_that_the_converter_lacks_is_refused(clean, converter):
    fewer = converter[converter["muni_code"] != "01202"]
    with pytest.raises(sources.DataFault, match=r"no municipality 01202 of 2008 \(1 such\)"):
        municipalities.convert(clean(lines()), fewer, [SHIPMENTS])


def test_wards_of_tokyo_are_municipalities_themselves():
    table = pd.DataFrame(
        {
            "level": ["ward", "ward", "municipality"],
            "muni_code": ["13101", "14131", "14204"],
            "parent_code": ["13100", "14130", ""],
        }
    )
    assert municipalities.as_cities(table).tolist() == ["13101", "14130", "14204"]


def test_a_unit_is_constant_only_if_all_of_it_is_told_in_every_year(clean, converter):
    years = [clean(lines(year)) for year in (2008, 2009)]
    years[0] = years[0][~years[0]["muni_code"].eq("01202") | years[0]["jsic2_code"].eq("00")]
    units = municipalities.find_constant_units(pd.concat(years, ignore_index=True), converter)
    sapporo = units.set_index("muni_code_2015").loc["01100"]
    # In 2008 the industries of Hakodate, now part of it, are not told.
    assert (sapporo["years"], sapporo["is_constant"]) == (1, False)
    whole = municipalities.find_constant_units(clean(lines()), converter)
    assert whole.set_index("muni_code_2015")["is_constant"].sum() == 1


CONVERTER_FAULTS = {
    "other columns": ("a,b\n1,2\n", r"converter\.csv: columns: missing \['merge_id_muni'"),
    "no code": (HEADER + "x,1,1100,S\n", r"converter\.csv:2: column merge_id_muni: found 'x'"),
    "full-width code": (
        HEADER + "1100,1,１１００,S\n",
        r":2: column id_muni2015: found '１１００'",
    ),
    "code twice": (HEADER + "1100,1,1100,S\n1100,1,1101,S\n", "found 1100 twice"),
    "no row": (HEADER, "found no row twice or no row"),
    "cut off": (HEADER + "1100,1,1100,S\n1202,1", "no line break at the end"),
    "web page": ("<!DOCTYPE html>\n", "found a web page"),
}


@pytest.mark.parametrize(("content", "message"), CONVERTER_FAULTS.values(), ids=CONVERTER_FAULTS)
def test_a_spoilt_converter_is_refused(read_converter, content, message):
    with pytest.raises(sources.DataFault, match=message):
        read_converter(content)


def test_a_converter_in_another_encoding_is_refused(read_converter):
    content = (HEADER + "1100,1,1100,札幌市\n").encode("cp932")
    with pytest.raises(sources.InputMissing, match=r"^converter\.csv: line 2 is not UTF-8, as the"):
        read_converter(content)


@pytest.fixture
def read_shipments(tmp_path):
    def write_and_read(table):
        path = tmp_path / "panel.dta"
        table.to_stata(path, write_index=False, version=118)
        return municipalities.read_shipments(path)

    return write_and_read


def test_nothing_there_and_not_told_are_two_things(read_shipments):
    panel = pd.DataFrame(
        {"id_muni": [1100, 47382], "manu2001": [5.0, 0.0], "manu2002": [np.nan, 7]}
    )
    found = read_shipments(panel).set_index(["muni_code_2015", "year"])
    assert found[f"{SHIPMENTS}_status"].to_dict() == {
        ("01100", 2001): "observed",
        ("47382", 2001): "nil",
        ("01100", 2002): "unmarked",
        ("47382", 2002): "observed",
    }
    assert found[SHIPMENTS].dropna().tolist() == [5.0, 7.0]


SHIPMENT_FAULTS = {
    "year missing": ({"id_muni": [1], "manu2001": [1.0], "manu2003": [1.0]}, "without a gap"),
    "another table": ({"a": [1]}, "this is not the municipal panel"),
    "negative": ({"id_muni": [1], "manu2001": [-1.0]}, "found negative shipments"),
    "twice": ({"id_muni": [1, 1], "manu2001": [1.0, 2.0]}, "found a municipality twice"),
}


@pytest.mark.parametrize(("columns", "message"), SHIPMENT_FAULTS.values(), ids=SHIPMENT_FAULTS)
def test_a_spoilt_panel_is_refused(read_shipments, columns, message):
    with pytest.raises(sources.DataFault, match=rf"^panel\.dta: .*{message}"):
        read_shipments(pd.DataFrame(columns))


# ---- Traps 4 and 5, on the published files ------------------------------------------------------


@pytest.fixture(scope="module")
def once(shared):
    return municipalities.without_parents(real_files.municipal_census(shared)[0])


@pytest.fixture(scope="module")
def converted(once, shared):
    totals = once[once["jsic2_code"] == "00"]
    return municipalities.convert(totals, real_files.converter(shared), [SHIPMENTS, "employees"])


def test_trap_4_mergers_are_many(once, shared):
    table = real_files.municipal_census(shared)[0]
    areas = table[table["level"] != "prefecture"].groupby("year")["muni_code"].agg(set)
    assert (len(areas[2001]), len(areas[2012]), len(areas[2001] & areas[2012])) == (
        3354,
        1897,
        1543,
    )


def test_trap_4_converted_shipments_agree_with_the_cabinet_office(converted, shared):
    path = real_files.only_path(shared, "municipal shipments")
    compared = municipalities.compare_shipments(converted, municipalities.read_shipments(path))
    gap = compared["gap"].dropna().abs()
    assert len(gap) == 19_975
    assert (gap <= 0.01).mean() >= 0.999
    assert (gap <= 0.001).mean() >= 0.95
    # Leftovers on both sides: a line of the census with a figure is never missing in the panel but
    # once, and what only the panel has is nil or not told there.
    sides = compared.groupby(["side", "panel_status"], observed=True).size()
    assert sides["panel"].to_dict() == {"nil": 116, "unmarked": 24}
    assert "census" not in sides.index.get_level_values("side")
    shown = compared["census_status"] == "observed"
    assert (compared.loc[shown, "panel_status"] != "observed").sum() == 1


def test_trap_4_conversion_loses_nobody(converted, once):
    before = once[once["jsic2_code"] == "00"].groupby("year")["employees"].sum()
    after = converted.groupby("year")["employees"].sum()
    for year in range(2004, 2013):  # nobody is hidden
        assert after[year] == before[year]


def test_trap_5_the_rise_of_coverage_is_not_growth(once, shared):
    units = municipalities.find_constant_units(once, real_files.converter(shared))
    table = real_files.municipal_census(shared)[0]
    national = table[table["level"] == "prefecture"].groupby("year")[SHIPMENTS].sum()
    of_industry = once[once["jsic2_code"] != "00"]
    naive = of_industry.groupby("year")[SHIPMENTS].sum() / national
    assert naive.round(2)[[2001, 2008]].tolist() == [0.73, 0.83]
    constant = set(units.loc[units["is_constant"], "muni_code_2015"])
    assert len(constant) == 383
    lines_of = once.assign(told=once["jsic2_code"] != "00")
    sums = municipalities.convert(
        lines_of, real_files.converter(shared), ["establishments"], ["told"]
    )
    kept = sums[sums["muni_code_2015"].isin(constant)]
    by_year = kept.pivot_table("establishments", "year", "told", "sum")
    assert (by_year[True] == by_year[False]).all()
    assert (kept.groupby("year")["muni_code_2015"].nunique() == 383).all()
    rest = sums[~sums["muni_code_2015"].isin(constant)].pivot_table(
        "establishments", "year", "told", "sum"
    )
    assert (rest[True] < rest[False]).all()
