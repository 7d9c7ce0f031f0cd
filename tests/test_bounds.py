"""Hidden cells are bounded by the printed totals, as tightly as these allow and never tighter."""

import numpy as np
import pandas as pd
import pytest
import real_files
from scipy import optimize, sparse
from small_census import change, lines, write

from clusterpolicy import sources
from clusterpolicy.finerdata import bounds, census, marks, municipalities

SHIPMENTS = "shipments_million_yen"
ANY = np.inf


def bound(lowest, sums, totals, highest=None):
    """Bound cells; each sum is the list of the cells in it."""
    members = np.zeros((len(sums), len(lowest)))
    for number, cells in enumerate(sums):
        members[number, cells] = 1
    most = np.full(len(lowest), ANY) if highest is None else np.array(highest, dtype=float)
    low, high = bounds.bound_cells(
        np.array(lowest, dtype=float), most, sparse.csr_array(members), np.array(totals, float)
    )
    return low.round(4).tolist(), high.round(4).tolist()


def test_two_hidden_cells_share_what_their_total_leaves():
    assert bound([4, 8], [[0, 1]], [20]) == ([4, 8], [12, 16])


def test_one_hidden_cell_is_what_its_total_leaves():
    assert bound([0], [[0]], [7]) == ([7], [7])


def test_an_upper_limit_raises_the_lower_bound_of_the_others():
    assert bound([0, 0], [[0, 1]], [10], [3, ANY]) == ([0, 7], [3, 10])


def test_without_a_sum_or_a_lowest_value_nothing_is_claimed():
    assert bound([2], [], []) == ([2], [ANY])
    assert bound([-ANY, -ANY], [[0, 1]], [5]) == ([-ANY, -ANY], [ANY, ANY])
    assert bound([-ANY, 1], [[0, 1]], [5]) == ([-ANY, 1], [4, ANY])


def test_crossing_sums_are_solved_together():
    # a + b = 10, c + d = 5, a + c = 3, b + d = 12: a is 3 at most, so b is 7 at least.
    low, high = bound([0] * 4, [[0, 1], [2, 3], [0, 2], [1, 3]], [10, 5, 3, 12])
    assert low == pytest.approx([0, 7, 0, 2], abs=1e-4)
    assert high == pytest.approx([3, 10, 3, 5], abs=1e-4)


def test_crossing_sums_of_very_different_size_keep_their_precision():
    small, large = [10, 5, 3, 12], [10e8, 5e8, 3e8, 12e8]
    sums = [[0, 1], [2, 3], [0, 2], [1, 3], [4, 5], [6, 7], [4, 6], [5, 7]]
    low, high = bound([0] * 8, sums, small + large)
    assert low[:4] == pytest.approx([0, 7, 0, 2], abs=1e-4)
    assert high[4:] == pytest.approx([3e8, 10e8, 3e8, 5e8], rel=1e-6)


def test_bounds_of_crossing_sums_never_exclude_the_truth():
    # Rows, columns and a diagonal leave one solution: rounding must not push a bound past it.
    rng = np.random.default_rng(3)
    sums = [[0, 1], [2, 3], [0, 2], [1, 3], [0, 3]]
    for size in 10.0 ** np.arange(9):
        truth = size * rng.random(4)
        members = np.zeros((5, 4))
        for number, cells in enumerate(sums):
            members[number, cells] = 1
        low, high = bounds.bound_cells(
            np.zeros(4), np.full(4, ANY), sparse.csr_array(members), members @ truth
        )
        assert (low <= truth).all()
        assert (truth <= high).all()
        assert (high - low < 1e-5 * max(size, 1)).all()


def test_both_ways_of_solving_agree_with_one_programme_for_each_cell():
    rng = np.random.default_rng(5)
    for _ in range(8):
        truth = rng.integers(0, 50, (3, 4)).astype(float)
        cells = np.arange(12).reshape(3, 4)
        sums = [*cells.tolist(), *cells.T[: rng.integers(0, 5)].tolist()]
        totals = [truth.ravel()[each].sum() for each in sums]
        low, high = bound([0] * 12, sums, totals)
        matrix = np.zeros((len(sums), 12))
        for number, each in enumerate(sums):
            matrix[number, each] = 1
        for at in range(12):
            goal = np.eye(12)[at]
            least = optimize.linprog(goal, A_eq=matrix, b_eq=totals, bounds=(0, None)).fun
            most = -optimize.linprog(-goal, A_eq=matrix, b_eq=totals, bounds=(0, None)).fun
            assert (low[at], high[at]) == pytest.approx((least, most), abs=1e-3)
            assert low[at] - 1e-3 <= truth.ravel()[at] <= high[at] + 1e-3


@pytest.mark.parametrize(
    ("lowest", "sums", "totals", "highest", "message"),
    [
        ([4, 8], [[0, 1]], [11], None, r"must add up to 11.00, but can hold 12.00 to any sum"),
        ([0, 0], [[0, 1]], [11], [5, 5], r"must add up to 11.00, but can hold 0.00 to 10.00"),
        ([0] * 4, [[0, 1], [2, 3], [0, 2]], [1, 1, 5], None, r"and those that cross it \(3 sums\)"),
    ],
)
def test_totals_that_nothing_fits_are_refused(lowest, sums, totals, highest, message):
    with pytest.raises(sources.DataFault, match=message):
        bound(lowest, sums, totals, highest)


# ---- A small census --------------------------------------------------------------------------


@pytest.fixture
def clean(tmp_path):
    codes, prefectures = sources.read_raw("industry_codes"), sources.read_raw("prefectures")

    def write_and_clean(table):
        raw = census.read_census(write(table, tmp_path), int(table["year"].iloc[0]))
        table = census.clean_census(raw, codes, prefectures, marks.Log())
        return table[table["level"] != "parent"]

    return write_and_clean


def hidden(table, *cells, **figures):
    for area, industry in cells:
        table = change(table, area, industry, **figures)
    return table


def test_industries_are_bounded_by_their_municipality(clean):
    table = clean(hidden(lines(2001), (1202, 12), (1202, 13), emp="X", sales="X"))
    found = bounds.bound_census(table, "employees", "jsic2_code", "00")
    # 40 workers in 1 + 3 establishments of four or more workers each.
    assert found[["muni_code", "jsic2_code", "low", "high"]].values.tolist() == [
        ["01202", "12", 4.0, 28.0],
        ["01202", "13", 12.0, 36.0],
    ]
    money = bounds.bound_census(table, SHIPMENTS, "jsic2_code", "00")
    assert money[["low", "high"]].values.tolist() == [[0.0, 4.0], [0.0, 4.0]]


def test_villages_are_bounded_by_their_prefecture(clean):
    table = lines(2001)
    village = table[table["id_muni"] == 2201].assign(id_muni=2301, name_muni="村")
    table = pd.concat([table, village], ignore_index=True)
    table = change(table, 2000, 0, num_estb=2, emp=20, sales=200)
    table = clean(hidden(table, (2201, 0), (2301, 0), emp="X", sales="X"))
    found = bounds.bound_census(table, "employees", "jsic2_code", "00")
    assert found[["muni_code", "low", "high"]].values.tolist() == [
        ["02201", 4.0, 16.0],
        ["02301", 4.0, 16.0],
    ]


def test_a_group_is_bounded_from_its_printed_part_on(clean):
    table = lines(2001).replace({"id_sec2d": {12: 14, 13: 15}})
    names = {14: "繊維工業（衣服，その他の繊維製品を除く）", 15: "衣服・その他の繊維製品製造業"}
    table["name_sec2d"] = table["id_sec2d"].map(names).fillna("製造業計")
    groups = sources.read_raw("industry_groups")
    grouped = census.group_industries(
        clean(change(table, 1202, 14, sales="X")), groups, detail=True
    )
    found = bounds.bound_census(grouped, SHIPMENTS, "industry_group", "all")
    # One group alone: what is printed of it (3) and what the total leaves (1).
    assert found[["industry_group", "low", "high"]].values.tolist() == [["g03", 4.0, 4.0]]


def test_sums_say_what_is_printed_hidden_and_untold(clean):
    table = lines(2001)
    town = table[table["id_muni"] == 2201].assign(id_muni=1301, name_muni="町")
    table = pd.concat([table, town], ignore_index=True)
    table = change(table, 1000, 0, num_estb=11, sales=1100)
    table = clean(hidden(table, (1202, 12), (1202, 13), sales="X"))
    found = bounds.bound_census(table, SHIPMENTS, "jsic2_code", "00")
    sums = bounds.add_up_bounds(table, found, SHIPMENTS, "jsic2_code", "00")
    columns = ["jsic2_code", "known", "low", "high", "hidden_cells", "untold"]
    assert sums.loc[sums["pref_code"] == "01", columns].values.tolist() == [
        ["12", 5.0, 5.0, 9.0, 1, 1.0],
        ["13", 1.0, 1.0, 5.0, 1, 1.0],
    ]


def test_a_total_that_leaves_nothing_for_a_counted_plant_is_not_used(clean):
    table = change(lines(2001), 1202, 12, emp=40)
    table = clean(hidden(table, (1202, 13), emp="X"))
    log = marks.Log()
    with pytest.raises(sources.DataFault, match=r"area 01202: the total leaves 0.00 for hidden"):
        bounds.bound_census(table, "employees", "jsic2_code", "00", log)


def test_cities_beside_their_wards_are_refused(clean):
    table = clean(lines())
    table["level"] = table["level"].astype(str).replace("municipality", "parent")
    with pytest.raises(ValueError, match="found cities beside their wards"):
        bounds.bound_census(table, SHIPMENTS, "jsic2_code", "00")


# ---- The published files ---------------------------------------------------------------------


@pytest.fixture(scope="module")
def real(shared):
    table = real_files.municipal_census(shared)[0]
    return table[table["level"] != "parent"]


def test_every_hidden_cell_of_the_census_has_bounds_and_one_total_is_set_aside(real):
    log = marks.Log()
    workers = bounds.bound_census(real, "employees", "jsic2_code", "00", log)
    assert len(workers) == (real["employees_status"] == "hidden").sum() == 13_299
    assert log.table()["where"].tolist() == ["employees of 2001, area 27201"]  # weapons in Sakai
    assert np.isinf(workers["high"]).sum() == 1
    assert (workers["low"] >= 4).all()
    assert (workers["high"] >= workers["low"]).all()
    money = bounds.bound_census(real, SHIPMENTS, "jsic2_code", "00")
    assert len(money) == (real[f"{SHIPMENTS}_status"] == "hidden").sum()
    assert money["low"].min() == 0
    small = money.loc[money["jsic2_code"] != "00", "establishments"]
    assert (small <= 2).mean() > 0.96
    assert small.max() > 100  # hidden is not small everywhere


def test_bounds_of_the_census_hold_the_totals_of_the_country(real):
    found = bounds.bound_census(real, SHIPMENTS, "jsic2_code", "00")
    sums = bounds.add_up_bounds(real, found, SHIPMENTS, "jsic2_code", "00").groupby("year")
    national = real[real["level"] == "prefecture"].groupby("year")[SHIPMENTS].sum()
    untold = sums[["pref_code", "untold"]].apply(
        lambda rows: rows.drop_duplicates("pref_code")["untold"].sum()
    )
    told = national - untold
    assert (sums["low"].sum() <= told * (1 + 1e-9)).all()
    assert (sums["high"].sum() >= told * (1 - 1e-9)).all()
    assert (sums["known"].sum() < told).all()  # zeros in the hidden cells would fall short
    assert (untold / national).round(2)[[2001, 2008]].tolist() == [0.24, 0.12]


def test_parents_are_no_part_of_any_bound(real):
    assert set(real["level"].unique()) == {"prefecture", "ward", "municipality"}
    assert len(municipalities.without_parents(real)) == (real["level"] != "prefecture").sum()
