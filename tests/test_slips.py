"""Three zeros too many or too few are found in every table of money, and named at their place."""

import random

import pytest

from clusterpolicy import sources
from clusterpolicy.checks import checking, plausibility, rules, slips
from clusterpolicy.checks.slips import Figure

# ---- By hand ------------------------------------------------------------------------------------


def figures(*texts, total, gap=None):
    """Parts at lines 2, 3, ...; their total at line 20, what is missing at line 30."""
    found = [Figure("cells", line, "2005", text) for line, text in enumerate(texts, start=2)]
    found.append(Figure("totals", 20, "total", total, sign=-1.0))
    return found + ([] if gap is None else [Figure("gaps", 30, "gap", gap, sign=-1.0)])


@pytest.mark.parametrize(
    ("found", "line", "slip"),
    [
        (figures("120", "45000", "300", total="420.6"), None, None),
        (figures("120", "45000", "300", total="45420"), None, None),
        (figures("120000", "45000", "300", total="45420"), 2, 1000),
        (figures("120", "45", "300", total="45421"), 3, 0.001),  # 45.000 rounded
        (figures("120", "45.001", "300", total="45421"), 3, 0.001),
        (figures("120", "450000", "300", total="45420"), 3, 10),
        (figures("120", "45000", "3", total="45420"), 4, 0.01),
        (figures("120", "45000", "300", total="45420000"), 20, 1000),
        (figures("-120000", "45000", "300", total="45180"), 2, 1000),
        (figures("120", "45000", "300", total="45000", gap="420000"), 30, 1000),
        (figures("120", "45000", "300", total="45000", gap="0.42"), 30, 0.001),
        (figures("0", "45000", "300", total="45420"), None, None),  # not by a magnitude
    ],
)
def test_the_figure_that_makes_a_sum_right_is_found(found, line, slip):
    told = slips.find_slip(found, allowed=2.0)
    assert (told and told[0].line) == line
    if line:
        assert told[1] == slip


def test_a_slip_says_what_to_do():
    fault = slips.describe(Figure("cells", 4, "2005", "12000"), 1000.0)
    assert fault.reason == (
        "1,000 times what adds up with the figures beside it: a slip: correct it"
    )


# ---- The tables of money ------------------------------------------------------------------------


def money_columns(name, table):
    if rules.RULES[name].fiscal_years is not None:
        return checking.year_columns(table)
    named = [each for each in table.columns if "_yen" in each]
    return named + [each for each in ("total", "value_before", "value_after") if each in table]


MONEY = sorted(
    name
    for name, its in rules.RULES.items()
    if its.fiscal_years is not None
    or any("_yen" in each or each in ("total", "value_before") for each in its.columns)
)
SMALL = ("31", "47")  # Tottori; Okinawa, which has most hidden cells


def is_told(table, line, column):
    return table.at[line, column] not in ("", "X", "-") and float(table.at[line, column]) != 0


def choose(name, table):
    """First and last figures, first and last years of small prefectures, and some at random."""
    columns = money_columns(name, table)
    draw = random.Random(name)
    places = [(line, column) for line in table.index for column in columns]
    chosen = {places[0], places[-1], *draw.sample(places, 2)}
    for code in SMALL if "pref_code" in table else ():
        lines = table.index[table["pref_code"] == code]
        if len(lines):
            chosen |= {(lines[0], columns[0]), (lines[-1], columns[-1])}
    return sorted(place for place in chosen if is_told(table, *place))


def is_one_of_two(name, table, line):
    """Say whether a row tells two years only: which of them slipped nothing can tell."""
    is_wide = rules.RULES[name].fiscal_years is not None
    return is_wide and sum(is_told(table, line, each) for each in checking.year_columns(table)) == 2


def slipped(text, times):
    if times > 1 and "." not in text:
        return f"{text}000"
    return f"{float(text) * times:.12g}"


def first_fault(raw, name, table):
    """Read one table as ``panel.read_raw`` does; return what it says first."""
    plausibility.check_changes(table, rules.RULES[name])
    for owner, found in rules.find_slips({**raw, name: table}, name).items():
        checking.raise_faults(raw[owner], found)


@pytest.mark.parametrize("name", MONEY)
def test_three_zeros_are_found_in_every_table_of_money(raw_tables, name):
    table = raw_tables[name]
    chosen = choose(name, table)
    assert chosen
    for line, column in chosen:
        for times in (1000, 0.001):
            changed = table.copy()
            changed.attrs = table.attrs
            changed.loc[line, column] = slipped(table.at[line, column], times)
            with pytest.raises(sources.DataFault) as fault:
                first_fault(raw_tables, name, changed)
            where = f"{name}.csv:{line}: column {column}: found"
            if is_one_of_two(name, table, line):
                where = f"{name}.csv:{line}: column "
            assert where in str(fault.value), (times, str(fault.value))


@pytest.mark.parametrize("figure", ["4622000", "4.622"])
def test_a_figure_alone_in_its_series_is_held_against_another_base(raw_tables, figure):
    name = "cell_product_b2000"
    table = raw_tables[name].copy()
    table.attrs = raw_tables[name].attrs
    is_cell = (table["pref_code"] == "47") & (table["industry"] == "primary_metals")
    (line,) = table.index[is_cell]
    assert (table.loc[line] == "X").sum() == 13  # all years but FY1999 are hidden
    table.loc[line, "1999"] = figure
    with pytest.raises(sources.DataFault, match=rf"{name}\.csv:{line}: column 1999: .*b1995"):
        first_fault(raw_tables, name, table)


def test_the_tables_of_money_are_those_that_name_yen_or_are_wide_by_year():
    assert [
        *(f"cell_product_{base}" for base in rules.BASES),
        "known_gaps",
        "official_totals",
        "plant_events",
        "prefecture_materials",
        "prefecture_product",
        "prefecture_real_product",
        "prefecture_shipments",
        "prefecture_shipments_per_employee",
        "prefecture_value_added",
        "prefecture_wages",
        *(f"sector_product_{base}" for base in rules.SECTOR_BASES),
    ] == MONEY


def test_published_tables_have_no_slip(raw_tables):
    assert rules.find_slips(raw_tables) == {}


def test_a_cell_that_looks_like_a_slip_is_right_where_it_adds_up(raw_tables):
    """Iron and steel of Kyoto is 11,034, 13 and 10,165 in FY2007-09, and adds up."""
    table = raw_tables["cell_product_b2005"]
    rows = table[(table["pref_code"] == "26") & (table["industry"] == "iron_steel")]
    assert rows.iloc[0][["2007", "2008", "2009"]].tolist() == ["11034", "13", "10165"]
    series = plausibility.list_series(
        table[table["industry"] == "iron_steel"], rules.RULES["cell_product_b2005"]
    )
    (fault,) = plausibility.far_figures(series[0], 30)
    assert (fault.line, fault.column) == (rows.index[0], "2008")


def test_a_known_event_excuses_a_cell_whose_total_has_a_hidden_part(raw_tables):
    name = "cell_product_b2011"
    table = raw_tables[name].copy()
    table.attrs = raw_tables[name].attrs
    is_cell = (table["pref_code"] == "47") & (table["industry"] == "petroleum_coal")
    line = table.index[is_cell][0]
    table.loc[line, "2012"] = table.at[line, "2012"] + "00"
    events = raw_tables["plant_events"].copy()
    events.attrs = raw_tables["plant_events"].attrs
    raw = {**raw_tables, name: table}
    assert [(fault.line, fault.column) for fault in rules.find_slips(raw)[name]] == [(line, "2012")]
    events.loc[99] = events.iloc[0].to_dict() | {
        "pref_code": "47",
        "industries": "petroleum_coal",
        "base": "b2000",
        "first_fy": "2012",
        "value_before": "X",
        "value_after": "X",
    }
    assert name not in rules.find_slips({**raw, "plant_events": events})
