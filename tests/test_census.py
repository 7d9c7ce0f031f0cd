"""The municipal census is read with its marks, and none of its traps passes for growth."""

import numpy as np
import pandas as pd
import pytest
import real_files
from small_census import change, lines, write

from clusterpolicy import cleaning, sources
from clusterpolicy.finerdata import breaks, census, marks, municipalities

CODES = sources.read_raw("industry_codes")
PREFECTURES = sources.read_raw("prefectures")
GROUPS = sources.read_raw("industry_groups")
SHIPMENTS, VALUE_ADDED = "shipments_million_yen", "value_added_million_yen"
CASH, ASSETS = "cash_wages_million_yen", "tangible_assets_million_yen"


@pytest.fixture
def clean(tmp_path):
    """Return a function that writes a census, reads it again and cleans it."""

    def write_and_clean(table, log=None):
        raw = census.read_census(write(table, tmp_path), int(table["year"].iloc[0]))
        return census.clean_census(raw, CODES, PREFECTURES, log or marks.Log())

    return write_and_clean


def cell(table, area, industry, column):
    (found,) = table.loc[
        (table["muni_code"] == area) & (table["jsic2_code"] == industry), column
    ].tolist()
    return found


# ---- Small files --------------------------------------------------------------------------------


def test_money_is_brought_to_million_yen_and_counts_are_not(clean):
    table = clean(lines())
    assert cell(table, "01000", "00", SHIPMENTS) == 10.0
    assert cell(table, "01000", "00", "employees") == 100
    assert cell(table, "01000", "00", "establishments") == 10


@pytest.mark.parametrize("short_keys", [False, True])
def test_both_keys_of_prefectures_become_one(clean, short_keys):
    table = clean(lines(short_keys=short_keys))
    of_prefectures = table[table["level"] == "prefecture"]
    assert of_prefectures["muni_code"].tolist() == [f"{code:02d}000" for code in range(1, 48)]
    assert of_prefectures["muni_name"].tolist() == PREFECTURES["name_ja"].tolist()


def test_wards_are_known_from_their_city_and_the_city_is_not_added_again(clean):
    table = clean(lines())
    levels = table.drop_duplicates("muni_code").set_index("muni_code")["level"]
    assert levels[["01100", "01101", "01102", "01202"]].tolist() == [
        "parent",
        "ward",
        "ward",
        "municipality",
    ]
    once = municipalities.without_parents(table)
    hokkaido = once[(once["pref_code"] == "01") & (once["jsic2_code"] == "00")]
    assert hokkaido["establishments"].sum() == 10


MARKS = {
    "X": "hidden",
    "χ": "hidden",
    "-": "nil",
    "－": "nil",
    "***": "not collected",
    "…": "not collected",
}


@pytest.mark.parametrize(("mark", "status"), MARKS.items())
def test_each_mark_has_its_meaning_and_no_value(clean, mark, status):
    table = clean(change(lines(2001), 1101, 12, wage=mark))
    assert cell(table, "01101", "12", f"{CASH}_status") == status
    assert np.isnan(cell(table, "01101", "12", CASH))
    assert cell(table, "01102", "12", CASH) == 3.0


def test_a_dash_under_tangible_assets_is_not_nil(clean):
    # They are asked of larger establishments only: a small one has a workshop all the same.
    table = clean(change(lines(2001), 1101, 12, capital="-"))
    assert cell(table, "01101", "12", f"{ASSETS}_status") == "not collected"


def test_a_gap_without_mark_is_hidden_only_beside_hidden_shipments(clean):
    gone = change(lines(), 1101, 9, wage=np.nan, sales=np.nan, capital=np.nan)
    table = clean(change(gone, 1202, 9, wage=np.nan))
    assert cell(table, "01101", "09", f"{SHIPMENTS}_status") == "hidden"
    assert cell(table, "01101", "09", f"{CASH}_status") == "hidden"
    assert cell(table, "01101", "09", f"{ASSETS}_status") == "unmarked"
    assert cell(table, "01202", "09", f"{CASH}_status") == "unmarked"


def test_a_printed_minus_stays_and_an_unknown_mark_is_refused(clean):
    table = clean(change(lines(2001), 1101, 12, va="▲50"))
    assert cell(table, "01101", "12", VALUE_ADDED) == -0.5
    with pytest.raises(sources.DataFault, match=r"column va: row 4: found '\?'"):
        clean(change(lines(2001), 1101, 12, va="?"))


def test_every_change_of_a_value_is_logged(clean):
    log = marks.Log()
    clean(change(lines(2001), 1101, 12, sales="χ"), log)
    entries = log.table().set_index("rule")
    unit = entries.loc[f"{SHIPMENTS}: 10,000 yen to million yen"]
    # Prefectures 1000 + 46 x 100, Sapporo 600, areas and their industries 2 x 1000, cities 46 x
    # 100, less the 200 hidden.
    assert (unit["rows"], unit["before"], unit["after"]) == (101, "12600", "126.00")
    hidden = entries.loc[f"{SHIPMENTS}: mark to status"]
    assert (hidden["rows"], hidden["before"], hidden["after"]) == (1, "χ", "hidden")
    assert entries.loc["names without blanks", "rows"] == 7


FAULTS = {
    "code of another industry": (
        lambda t: t.replace({"name_sec2d": {"飲料・たばこ・飼料製造業": "家具・装備品製造業"}}),
        r"found '家具・装備品製造業' under code 10, expected '飲料・たばこ・飼料製造業'",
    ),
    "ward left out": (
        lambda t: t[t["id_muni"] != 1101],
        r"area 01: its parts hold 8 establishments, its own line 10",
    ),
    "industry counted twice": (
        lambda t: change(t, 1202, 9, num_estb=2),
        r"area 01202: its parts hold 5 establishments, its own line 4",
    ),
    "city beside its wards that nobody knows": (
        lambda t: t.replace({"id_muni": {2201: 2150}}),
        r"found 2150: the code of a ward or designated city without a city",
    ),
    "prefecture missing": (
        lambda t: t[~t["id_muni"].isin([47000, 47201])],
        r"prefecture lines: missing \[47\]",
    ),
    "names of other prefectures": (
        lambda t: t.replace({"name_muni": {"青森県": "岩手県", "岩手県": "青森県"}}),
        r"prefecture 青森県: found the name '岩手県', and 1 more",
    ),
    "no establishment": (
        lambda t: change(t, 1202, 9, num_estb=0),
        r"found a row without establishments",
    ),
    "key twice": (
        lambda t: pd.concat([t, t[t["id_muni"] == 1202]]),
        r"row 103: municipality 1202, industry 0 stands twice",
    ),
    "column missing": (lambda t: t.drop(columns="sales"), r"columns: missing \['sales'\]"),
    "no row": (lambda t: t[t["id_muni"] < 0], r"found no row, expected 2008"),
}


@pytest.mark.parametrize(("spoil", "message"), FAULTS.values(), ids=FAULTS.keys())
def test_a_spoilt_file_is_refused(tmp_path, spoil, message):
    table = spoil(lines())
    path = tmp_path / "DTA_meti_manu2008.dta"
    if len(table):
        path = write(table, tmp_path)
    else:
        table.to_stata(path, write_index=False, version=118)
    with pytest.raises(sources.DataFault, match=f"^DTA_meti_manu2008.dta: .*{message}"):
        census.clean_census(census.read_census(path, 2008), CODES, PREFECTURES, marks.Log())


def test_a_file_of_another_year_is_refused(tmp_path):
    path = write(lines(2008), tmp_path)
    with pytest.raises(sources.DataFault, match=r"column year: found \[2008\], expected 2007"):
        census.read_census(path, 2007)


@pytest.mark.parametrize("kept", [0, 10, 400, 0.5, 0.99])
def test_a_file_that_was_cut_off_is_refused_by_name(tmp_path, kept):
    path = write(lines(), tmp_path)
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content)) if kept < 1 else kept])
    with pytest.raises(sources.InputMissing, match=r"^DTA_meti_manu2008\.dta: no Stata file"):
        census.read_census(path, 2008)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(sources.InputMissing, match=r"^gone\.dta: missing .*run `make data`"):
        census.read_census(tmp_path / "gone.dta", 2008)


def test_one_slip_in_the_name_of_a_prefecture_is_mended_and_logged(clean):
    log = marks.Log()
    table = clean(lines().replace({"name_muni": {"秋田県": "秋田市"}}), log)
    assert cell(table, "05000", "00", "muni_name") == "秋田県"
    slip = log.table().set_index("rule").loc["name of a prefecture line"]
    assert (slip["rows"], slip["before"], slip["after"]) == (1, "'秋田市'", "秋田県")


def test_groups_add_the_industries_that_cannot_be_told_apart(clean):
    table = lines(2001)
    # Textiles (14) and apparel (15) became one industry in 2008.
    names = {12: "繊維工業（衣服，その他の繊維製品を除く）", 13: "衣服・その他の繊維製品製造業"}
    table["name_sec2d"] = table["id_sec2d"].map(names).fillna("製造業計")
    table["id_sec2d"] = table["id_sec2d"].replace({12: 14, 13: 15})
    grouped = census.group_industries(clean(table), GROUPS)
    of_hakodate = grouped[grouped["muni_code"] == "01202"].set_index("industry_group")
    assert of_hakodate[SHIPMENTS].to_dict() == {"all": 4.0, "g03": 4.0}
    hidden = census.group_industries(clean(change(table, 1202, 14, sales="X")), GROUPS, detail=True)
    row = hidden[(hidden["muni_code"] == "01202") & (hidden["industry_group"] == "g03")].iloc[0]
    assert np.isnan(row[SHIPMENTS])
    assert row[f"{SHIPMENTS}_status"] == "hidden"
    assert (row[f"{SHIPMENTS}_known"], row[f"{SHIPMENTS}_gaps"]) == (3.0, 1)


def test_a_code_without_a_group_is_refused(clean):
    fewer = GROUPS[GROUPS["jsic2_code"] != "10"]
    with pytest.raises(sources.DataFault, match="no group for code 10 of revision 12"):
        census.group_industries(clean(lines()), fewer)


def test_a_level_that_cannot_be_is_blocked_and_the_next_year_compared_with_the_last_sound_one(
    clean,
):
    years = [clean(lines(year)) for year in (2008, 2009, 2010)]
    years[1][VALUE_ADDED] /= 5
    log = marks.Log()
    table = census.block_levels(pd.concat(years, ignore_index=True), log)
    blocked = table[f"{VALUE_ADDED}_status"] == "blocked"
    assert table.loc[blocked, "year"].unique().tolist() == [2009]
    assert table.loc[blocked, VALUE_ADDED].isna().all()
    assert len(years[1]) == blocked.sum()
    assert log.table()["rule"].tolist() == [f"{VALUE_ADDED}: national total 11 after 56"]


def test_value_added_is_blocked_where_its_minus_sign_was_lost(clean):
    table = clean(change(lines(), 1202, 9, material=500, va=90))
    found = census.block_lost_signs(table, marks.Log())
    assert cell(found, "01202", "09", f"{VALUE_ADDED}_status") == "blocked"
    assert (found[f"{VALUE_ADDED}_status"] == "blocked").sum() == 1
    # The file of 2001 prints its signs.
    signed = clean(change(lines(2001), 1202, 12, material=500, va=90))
    assert (
        census.block_lost_signs(signed, marks.Log())[f"{VALUE_ADDED}_status"] != "blocked"
    ).all()


# ---- The eleven traps, on the published files (4, 5: test_municipalities; 10: test_workbooks) ---


@pytest.fixture(scope="module")
def real(shared):
    return real_files.municipal_census(shared)[0]


@pytest.fixture(scope="module")
def events():
    return cleaning.clean_events(sources.read_raw("events"))


def national(table, measure):
    return table[table["level"] == "prefecture"].groupby("year")[measure].sum()


def test_trap_1_codes_change_twice_and_groups_do_not(real):
    once = municipalities.without_parents(real)
    by_code = once.groupby(["year", "jsic2_code"])["employees"].sum()
    naive = 100 * (by_code[2008] / by_code[2007] - 1)
    assert naive.round()[["18", "21", "31"]].tolist() == [1597, 765, 532]
    assert naive.abs()[["13", "16", "22", "29"]].max() < 10  # stable, and another industry
    groups = census.add_groups(once, GROUPS)
    assert groups["industry_group"].nunique() == 21  # 20 groups and "all"
    by_group = groups.groupby(["year", "industry_group"])["employees"].sum()
    largest = 100 * (by_group[2008] / by_group[2007] - 1).abs().drop("all")
    assert largest.max() < 20
    for year in range(2002, 2013):
        assert set(by_group[year].index) == set(by_group[2001].index)


def test_trap_1_a_file_with_the_codes_of_another_revision_is_refused(shared):
    path = real_files.paths(shared, "municipal census")[
        "census-of-manufactures/DTA_meti_manu2008.dta"
    ]
    raw = census.read_census(path, 2008)
    older = CODES[CODES["year"] == "2007"].assign(year="2008")
    with pytest.raises(sources.DataFault, match="the code stands for another industry"):
        census.clean_census(raw, older, PREFECTURES, marks.Log())


def test_trap_2_marks_are_told_apart_and_never_become_figures(real, shared):
    of_2001 = real[real["year"] == 2001]
    assert (of_2001[f"{SHIPMENTS}_status"] == "hidden").sum() == 3753 + 167  # X and χ
    assert of_2001[f"{CASH}_status"].value_counts()[["hidden", "nil"]].tolist() == [3914, 6]
    assert of_2001[f"{ASSETS}_status"].value_counts()[
        ["not collected", "observed", "hidden"]
    ].tolist() == [6555, 6056, 5416]
    hidden = real.groupby("year")["employees_status"].agg(
        lambda status: (status == "hidden").mean()
    )
    assert hidden[[2001, 2002, 2003]].between(0.20, 0.26).all()
    assert (hidden[hidden.index >= 2004] == 0).all()
    for measure in census.MEASURE_NAMES:
        is_seen = real[marks.status_of(measure)] == "observed"
        assert real.loc[~is_seen, measure].isna().all()
        assert real.loc[is_seen, measure].notna().all()
        if measure != VALUE_ADDED:
            assert (real.loc[is_seen, measure] > 0).all()
    log = real_files.municipal_census(shared)[1]
    assert set(log["before"]) >= {"X", "χ", "-", "－"}


def test_trap_3_cities_beside_their_wards_are_counted_once(real):
    total = real[real["jsic2_code"] == "00"]
    every = total[total["level"] != "prefecture"].groupby("year")["employees"].sum()
    naive = 100 * (every / national(total, "employees") - 1)
    assert naive.round().loc[[2001, 2012]].tolist() == [14, 16]
    once = municipalities.without_parents(total).groupby(["year", "pref_code"])["employees"].sum()
    printed = total[total["level"] == "prefecture"].set_index(["year", "pref_code"])["employees"]
    gap = (printed - once).unstack("year")
    for year in (2005, 2008, 2012):
        assert (gap[year] == 0).all()
    assert (gap[2001].sum(), (gap[2001] != 0).sum()) == (2890, 31)  # hidden villages


def test_trap_6_every_year_has_the_47_prefectures_under_one_key(real, shared):
    lines_of = real[real["level"] == "prefecture"].groupby("year")
    for _, of_year in lines_of:
        assert of_year["pref_code"].tolist() == PREFECTURES["pref_code"].tolist()
        assert of_year["muni_name"].tolist() == PREFECTURES["name_ja"].tolist()
    log = real_files.municipal_census(shared)[1]
    short = log[log["rule"].str.startswith("prefecture lines")]
    assert short["rows"].tolist() == [47, 47, 47]  # 2010, 2011 and 2012


def test_trap_7_money_adds_up_to_the_official_totals_in_million_yen(real):
    trillion = national(real, SHIPMENTS) / 1e6
    assert trillion.round(3)[[2001, 2008, 2010, 2012]].tolist() == [
        286.667,
        335.579,
        289.108,
        288.728,
    ]


def test_trap_8_the_broken_value_added_of_2012_is_blocked_with_its_reason(real, shared):
    is_blocked = real[f"{VALUE_ADDED}_status"] == "blocked"
    assert is_blocked[real["year"] == 2012].all()
    assert real.loc[real["year"] == 2012, VALUE_ADDED].isna().all()
    assert is_blocked[real["year"] < 2012].sum() == 410  # lost minus signs
    assert national(real, VALUE_ADDED)[2011] == pytest.approx(99_349_761, abs=1)
    log = real_files.municipal_census(shared)[1]
    assert f"{VALUE_ADDED}: national total 19237696 after 99349761" in set(log["rule"])
    others = [name for name in census.MEASURE_NAMES if name != VALUE_ADDED]
    for measure in others:
        assert (real[marks.status_of(measure)] != "blocked").all()


def test_trap_8_value_added_below_zero_stays_where_its_sign_was_kept(real):
    negative = real[real[VALUE_ADDED] < 0]
    assert negative["year"].unique().tolist() == [2001]
    assert (negative["jsic2_code"] != "00").sum() == 17


def test_trap_9_breaks_go_with_every_change_they_touch(real, events):
    whole = real[real["level"] == "prefecture"]
    sums = whole.groupby("year", as_index=False)[[SHIPMENTS, "establishments", "employees"]].sum()
    shipments = breaks.yearly_changes(sums, SHIPMENTS, events).set_index("year")
    assert shipments.loc[2002, "percent"] == pytest.approx(-6.0, abs=0.05)
    assert "publishing-leaves" in shipments.loc[2002, "across"].split(";")
    of_tokyo = breaks.yearly_changes(whole[whole["pref_code"] == "13"], SHIPMENTS, events)
    assert of_tokyo.set_index("year").loc[2002, "percent"] == pytest.approx(-29, abs=0.5)
    plants = breaks.yearly_changes(sums, "establishments", events).set_index("year")
    saw = {2003: 1.1, 2004: -7.8, 2005: 2.1, 2006: -6.6, 2008: 1.9, 2009: -10.4, 2011: 3.9}
    for year, percent in saw.items():
        assert plants.loc[year, "percent"] == pytest.approx(percent, abs=0.05)
        assert (
            "full-count" in plants.loc[year, "across"]
            or "economic-census" in (plants.loc[year, "across"])
        )
    workers = breaks.yearly_changes(sums, "employees", events).set_index("year")
    assert workers.loc[2011, "percent"] == pytest.approx(-2.5, abs=0.05)
    assert "economic-census-2011" in workers.loc[2011, "across"].split(";")
    assert "economic-census-2011" in workers.loc[2012, "across"].split(";")
    assert shipments.loc[[2004, 2005, 2006, 2007], "across"].tolist() == [""] * 4


def test_trap_11_shocks_go_with_every_change_they_touch(real, events):
    whole = real[real["level"] == "prefecture"]
    changes = breaks.yearly_changes(whole, SHIPMENTS, events, ["pref_code"])
    crisis = changes[changes["year"] == 2009]
    assert crisis["percent"].median() == pytest.approx(-20, abs=0.5)
    assert crisis["percent"].min() == pytest.approx(-30, abs=0.5)
    assert crisis["percent"].max() == pytest.approx(-8, abs=0.5)
    assert crisis["across"].unique().tolist() == ["financial-crisis"]
    workers = whole.pivot(index="pref_code", columns="year", values="employees")
    fall = 100 * (workers[2012] / workers[2010] - 1)
    assert fall[["03", "04", "07"]].round(1).tolist() == [-6.7, -10.3, -8.3]
    assert fall.median() == pytest.approx(-2.7, abs=0.05)
    after = changes.loc[changes["year"].isin([2011, 2012]), "across"]
    assert after.str.contains("earthquake-2011").all()


def test_a_change_needs_both_years_and_a_measure_whose_breaks_are_known(events):
    table = pd.DataFrame({"year": [2004, 2006, 2007], "employees": [10.0, 20.0, 30.0]})
    table["employees_status"] = ["observed", "observed", "hidden"]
    assert breaks.yearly_changes(table, "employees", events)["percent"].isna().all()
    with pytest.raises(KeyError, match="measure 'patents': choose one of"):
        breaks.yearly_changes(table.rename(columns={"employees": "patents"}), "patents", events)
