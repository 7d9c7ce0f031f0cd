import io
import warnings
from functools import cache

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.text import Text

from clusterpolicy import evidence, figures
from clusterpolicy.page import theme, timecharts, yearaxis

SETTINGS_BEFORE = dict(matplotlib.rcParams)


def table(columns: str, *rows: tuple) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=columns.split())


EVENTS = table(
    "kind first_year last_year calendar applies_to name_en name_ja",
    ("other policy", 2002, 2009, "fiscal", "all", "Knowledge clusters", "知的クラスター"),
    ("shock", 2008, 2009, "calendar", "all", "World financial crisis", "世界金融危機"),
    ("break", 2003, 2003, "fiscal", "cell_product_b2000", "Another base", "基準改定"),
    ("break", 2002, 2002, "calendar", "prefecture_shipments", "Publishing leaves", "出版業の除外"),
    ("break", 2004, pd.NA, "calendar", "prefecture_wages", "Another survey", "別の調査"),
).astype({"last_year": "Int64"})
TERMS = table(
    "term name_en name_ja clock first_year last_year",
    (1, "Launch Period", "立ち上げ期", "funded", 2001, 2005),
    (1, "Launch Period", "立ち上げ期", "planned", 2001, 2005),
    (2, "Development Period", "成長期", "funded", 2006, 2009),
    (2, "Development Period", "成長期", "planned", 2006, 2010),
)
PREFECTURES = table(
    "pref_code name_en name_ja tile_row tile_col",
    ("01", "Hokkaido", "北海道", 0, 2),
    ("13", "Tokyo", "東京都", 2, 2),
    ("46", "Kagoshima", "鹿児島県", 2, 0),
)
COUNTS = table("pref_code value certainty", ("01", 3, "high"), ("13", 7, "low"))
PATHS = table(
    "fy group value low high",
    (1999, "targeted", -1.0, -2.0, 0.0),
    (2000, "targeted", 0.0, 0.0, 0.0),
    (2001, "targeted", 4.25, 3.0, 5.5),
    (1999, "other", -0.5, -1.5, 0.5),
    (2000, "other", 0.0, 0.0, 0.0),
    (2001, "other", 1.0, 0.25, 1.75),
)
STUDY = table(
    "year estimate low high band_low band_high",
    (1999, -1.5, -4.0, 1.0, -5.0, 2.0),
    (2001, 2.5, 0.5, 4.5, -0.5, 5.5),
    (2002, 1.0, -1.0, 3.0, -2.0, 4.0),
).assign(unit="percent", outcome_label="product", base="b2000")
ESTIMATES = table(
    "row estimate low high mde status reason verdict",
    ("Term 1", 0.8, -4.8, 6.8, 7.9, "estimated", "", "cannot be judged here"),
    ("Term 2", 3.1, 0.4, 5.8, 4.1, "estimated", "", "supported"),
    ("Term 3", np.nan, np.nan, np.nan, np.nan, "not estimable", "2 targeted cells", None),
).assign(unit="percent", term_years=["2001-2005", "2006-2009", "2010-2014"])
PANEL = table(
    "pref_code year value",
    *(("01", year, value) for year, value in ((2001, 1e6), (2002, 2e6), (2003, 3e6), (2004, 4e6))),
    *(
        ("13", year, value)
        for year, value in ((2001, 5e6), (2002, 6e6), (2003, np.nan), (2004, 7e6))
    ),
).assign(indicator="shipments", unit="million yen")
PHRASES = table(
    "phrase verdict grade",
    ("some 20 projects", "supported", 1),
    ("autonomous growth", "cannot be judged here", 3),
    ("networks in which each face is visible", "cannot be judged here", 0),
)
BALANCE = table(
    "variable value low high",
    ("Growth, FY1996-2000", 0.03, -0.13, 0.19),
    ("Product, FY2000", 0.52, 0.36, 0.68),
)
STEPS = table("step rows", ("all cell-years", 6110), ("not hidden", 6051), ("above zero", 6048))
CELLS = table(
    "label location_quotient growth is_targeted",
    ("Aichi, transport", 4.0, 12.0, True),
    ("Nara, textiles", 0.5, -8.0, False),
    ("Gifu, ceramics", 2.0, 2.0, True),
    ("Saga, food", 1.5, -2.0, False),
)
HIDDEN = table(
    "base fy status cells",
    ("b2000", 2000, "hidden", 6),
    ("b2000", 2001, "negative", 2),
    ("b2005", 2001, "nil", 1),
)

DRAW = {
    "timeline": lambda: figures.plot_timeline(TERMS, EVENTS),
    "map": lambda: figures.plot_targeted_map(PREFECTURES, COUNTS, "Targeted industries"),
    "paths": lambda: figures.plot_growth_paths(
        PATHS, (2001, 2005), "1996-2000", EVENTS, base="b2000"
    ),
    "event study": lambda: figures.plot_event_study(STUDY, EVENTS, (1999, 2000), "2001-2002"),
    "forest": lambda: figures.plot_forest(ESTIMATES, "row"),
    "scorecard": lambda: figures.plot_scorecard(PHRASES),
    "series": lambda: figures.plot_national_series(
        PANEL, "shipments", "Shipments", "million yen", EVENTS
    ),
    "balance": lambda: figures.plot_balance(BALANCE),
    "waterfall": lambda: figures.plot_waterfall(STEPS, unit="cell-years"),
    "quadrant": lambda: figures.plot_quadrant(CELLS),
    "suppression": lambda: figures.plot_suppression(HIDDEN),
}
chart = cache(lambda name: DRAW[name]())
every_chart = pytest.mark.parametrize("name", DRAW)


def svg(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "test", "svg.fonttype": "path"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()


def marked(drawn: figures.Chart, gid: str) -> list:
    return drawn.figure.findobj(lambda artist: artist.get_gid() == gid)


def written(drawn: figures.Chart) -> list[Text]:
    texts = drawn.figure.findobj(Text)
    return [text for text in texts if text.get_text().strip() and text.get_visible()]


def words(drawn: figures.Chart) -> str:
    return "\n".join(text.get_text() for text in written(drawn))


# ------------------------------------------------------------------------------- every figure


@every_chart
def test_a_chart_carries_all_that_a_reader_without_it_needs(name):
    drawn = chart(name)
    assert len(drawn.alt) >= 20
    assert drawn.unit
    assert drawn.source
    assert not drawn.data.empty


@every_chart
def test_the_same_numbers_give_the_same_bytes_in_any_session(name):
    odd = {"font.size": 30, "text.color": "red", "lines.markeredgewidth": 4, "axes.labelpad": 20}
    first = svg(chart(name).figure)
    with matplotlib.rc_context(odd):
        second = DRAW[name]().figure
        assert svg(second) == first
        assert svg(second) == first
    assert svg(second) == first


@every_chart
def test_no_figure_and_no_setting_is_left_behind(name):
    DRAW[name]()
    assert plt.get_fignums() == []
    assert dict(matplotlib.rcParams) == SETTINGS_BEFORE


@every_chart
def test_texts_are_large_enough_inside_the_figure_and_apart(name):
    drawn = DRAW[name]()
    drawn.figure.dpi = 288  # little of the hinting that screens add to the widths of letters
    figure = drawn.figure
    figure.draw_without_rendering()
    boxes = {}
    for text in written(drawn):
        # The second name of a prefecture repeats the first one in another script.
        smallest = 7 if text.get_gid() == "second-name" else 9
        assert text.get_size() >= smallest, text.get_text()
        box = text.get_window_extent()
        assert box.x0 >= 8, text.get_text()
        assert box.y0 >= 8, text.get_text()
        assert box.x1 <= figure.bbox.x1 - 8, text.get_text()
        assert box.y1 <= figure.bbox.y1 - 8, text.get_text()
        boxes[text] = box.padded(-4)
    for text, box in boxes.items():
        for other, its_box in boxes.items():
            assert other is text or not box.overlaps(its_box), (text.get_text(), other.get_text())


@every_chart
def test_a_figure_is_as_wide_as_the_text_or_a_phone_and_has_its_own_light_ground(name):
    figure = chart(name).figure
    whole = {"timeline", "map", "waterfall", "suppression"}
    assert figure.get_figwidth() == (theme.WIDTH if name in whole else theme.NARROW)
    assert contrast(figure.get_facecolor(), "black") > 15


EMPTY = {
    "timeline": lambda: figures.plot_timeline(TERMS[:0], EVENTS),
    "events of a timeline": lambda: figures.plot_timeline(TERMS, EVENTS[:0]),
    "map": lambda: figures.plot_targeted_map(PREFECTURES, COUNTS[:0], "Industries"),
    "paths": lambda: figures.plot_growth_paths(PATHS[:0], (2001, 2005), (1996, 2000), EVENTS),
    "study": lambda: figures.plot_event_study(STUDY[:0], EVENTS, (1999, 2000), (2001, 2002)),
    "forest": lambda: figures.plot_forest(ESTIMATES[:0], "row"),
    "scorecard": lambda: figures.plot_scorecard(PHRASES[:0]),
    "series": lambda: figures.plot_national_series(PANEL[:0], "shipments", "x", "yen", EVENTS),
    "balance": lambda: figures.plot_balance(BALANCE[:0]),
    "waterfall": lambda: figures.plot_waterfall(STEPS[:0]),
    "quadrant": lambda: figures.plot_quadrant(CELLS[:0]),
    "suppression": lambda: figures.plot_suppression(HIDDEN[:0]),
}


@pytest.mark.parametrize("name", EMPTY)
def test_a_table_without_rows_is_refused(name):
    with pytest.raises(ValueError, match=r"plot_\w+: found a table without rows"):
        EMPTY[name]()


def test_a_table_without_a_column_is_refused_by_name():
    with pytest.raises(ValueError, match=r"plot_balance: the table has no column 'low', 'high'"):
        figures.plot_balance(BALANCE[["variable", "value"]])


def test_a_chart_without_words_is_refused():
    with pytest.raises(ValueError, match="20 characters or more"):
        figures.Chart(Figure(), "a figure", PATHS, "percent", "", "")


# ------------------------------------------------------------------------------ glyphs and look


def test_japanese_is_drawn():
    drawn = figures.plot_scorecard(PHRASES.assign(phrase=["産業クラスター", "b", "c"]))
    assert "産業クラスター" in words(drawn)


def test_a_character_that_no_font_draws_is_refused():
    strange = PHRASES.assign(phrase=["hieroglyph \U000131f0", "b", "c"])
    with pytest.raises(theme.GlyphMissing, match=r"U\+131F0 in \['hieroglyph"):
        figures.plot_scorecard(strange)


def test_a_character_in_a_text_that_needs_no_measuring_is_refused_too():
    with pytest.raises(theme.GlyphMissing, match=r"U\+131F0"):
        figures.plot_quadrant(CELLS, "growth \U000131f0, percent")


def test_matplotlib_still_warns_in_the_words_the_guard_waits_for():
    figure = Figure()
    figure.text(0, 0, "\U000131f0", family=theme.FONTS)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        figure.draw_without_rendering()
    assert any("missing from font" in str(each.message) for each in caught)


def test_bold_is_asked_only_of_a_face_that_has_it():
    assert theme.strong("Term 1")["family"] == ["DejaVu Sans"]
    assert theme.strong("第1期") == {}


def contrast(one, other) -> float:
    light, dark = sorted((figures._luminance(to_rgb(c)) for c in (one, other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("color", [theme.INK, theme.MUTED, theme.TARGETED, theme.OTHER])
def test_every_ink_can_be_read_on_every_ground(color):
    assert contrast(color, theme.PAPER) >= 4.5
    assert contrast(color, theme.TERM_SHADE) >= 4.5


def test_groups_differ_without_colour():
    targeted, other = (theme.GROUPS[group] for group in ("targeted", "other"))
    assert targeted["marker"] != other["marker"]
    assert targeted["linestyle"] != other["linestyle"]


@pytest.mark.parametrize(
    ("value", "decimals", "text"),
    [(2.675, 2, "2.68"), (-1234.55, 1, "−1,234.6"), (-0.04, 1, "0.0"), (np.nan, 1, "not defined")],
)
def test_numbers_are_rounded_as_on_paper(value, decimals, text):
    assert theme.number(value, decimals) == text


def test_a_positive_number_carries_its_sign_if_asked():
    assert theme.number(0.55, 1, signed=True) == "+0.6"
    assert theme.number(0.0, 1, signed=True) == "0.0"


def test_ticks_are_written_with_the_decimals_they_need():
    axes = theme.new_axes(2.0)
    axes.set_ylim(-4, 4)
    axes.yaxis.set_major_locator(matplotlib.ticker.FixedLocator([-2.5, 0, 2.5]))
    theme.set_numbers(axes, signed=True)
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["−2.5", "0.0", "+2.5"]


def test_lines_break_where_the_width_ends_also_without_blanks():
    assert theme.wrap("one two", theme.text_width("one two")) == ["one two"]
    assert theme.wrap("one two", theme.text_width("one two") - 0.01) == ["one", "two"]
    assert theme.wrap("立ち上げ期", theme.text_width("立ち上") + 0.01) == ["立ち上", "げ期"]


def test_labels_that_would_touch_move_apart_around_their_centre():
    assert theme.spread([5.0, 0.0, 0.5], 1.0) == [5.0, -0.25, 0.75]


# ------------------------------------------------------------------------------------ year axis


def test_years_are_read_from_records_and_pairs():
    assert yearaxis.year_span("1996-2000") == yearaxis.year_span((1996, 2000)) == (1996, 2000)
    assert yearaxis.year_span([2001, 2002, 2003]) == (2001, 2003)


@pytest.mark.parametrize("years", ["2005-2001", "term 1", (), None])
def test_other_years_are_refused(years):
    with pytest.raises(ValueError, match="years: found"):
        yearaxis.year_span(years)


def test_only_events_that_touch_the_table_and_the_years_are_chosen():
    chosen = yearaxis.choose_events(EVENTS, "cell_product_b2000", 1999, 2008)
    assert list(chosen["name"]) == ["Another base", "World financial crisis"]
    assert list(chosen["start"]) == [2002.5, 2007.5]
    assert list(chosen["stop"]) == [2003.5, 2008.5]


def test_a_break_at_the_first_year_breaks_nothing_that_is_drawn():
    assert yearaxis.choose_events(EVENTS, "cell_product_b2000", 2003, 2007).empty


def events_at(*years: int, name: str = "A break of middling length") -> pd.DataFrame:
    rows = [("break", year, year, "calendar", "all", name, "") for year in years]
    return table("kind first_year last_year calendar applies_to name_en name_ja", *rows)


def test_no_label_of_an_event_crosses_the_line_of_another():
    chosen = yearaxis.choose_events(events_at(2000, 2001, 2003, 2004), "", 1996, 2009)
    per_year = 6.0 / 14
    chosen = chosen.assign(offset=(chosen["start"] - 1995.5) * per_year)
    marks = yearaxis.stack_events(chosen, per_year, 7.0)
    for mark in marks:
        end = mark.start + max(map(theme.text_width, mark.lines)) / per_year
        for other in marks:
            if mark.start < other.start < end:
                assert mark.lane >= other.lane + len(other.lines)


def test_many_events_are_numbered_with_a_key():
    estimates = STUDY.assign(year=[1990, 2001, 2009])
    events = events_at(*range(1992, 1999), name="A break with a name that is rather long to print")
    drawn = figures.plot_event_study(estimates, events, (1991, 2000), (2001, 2009))
    texts = [text.get_text() for text in written(drawn)]
    assert {"1", "7", "1992: A break with a name that is"} <= {*texts}
    assert len(marked(drawn, "break")) == 7


# --------------------------------------------------------------------------- figures over years


def test_paths_keep_their_numbers_and_say_where_they_end():
    drawn = chart("paths")
    assert sorted(drawn.data["value"]) == sorted(PATHS["value"])
    assert "targeted cells +4.3 (interval 3.0 to 5.5)" in drawn.alt
    assert "widest in FY2001 at +3.3" in drawn.alt
    assert "do not overlap" in drawn.alt
    assert drawn.years == "FY1999-2001"


def test_an_unknown_group_is_refused():
    with pytest.raises(ValueError, match=r"groups \['control'\]"):
        figures.plot_growth_paths(PATHS.assign(group="control"), (2001, 2005), (1996, 2000), EVENTS)


def test_the_event_study_tells_one_year_from_all_years():
    drawn = chart("event study")
    assert list(drawn.data["estimate"]) == list(STUDY["estimate"])
    assert "The largest is +2.5 in FY2001 (interval 0.5 to 4.5)" in drawn.alt
    assert "single year leaves out zero in FY2001." in drawn.alt
    assert "all years together leaves out zero in no year." in drawn.alt


def study_with(**ends: tuple[int, float]) -> figures.Chart:
    """Draw the event study with other ends, each as the place of a year and a value."""
    estimates = STUDY.copy()
    for name, (place, value) in ends.items():
        estimates.loc[place, name] = value
    return figures.plot_event_study(estimates, EVENTS, (1999, 2000), (2001, 2002))


def reach(drawn: figures.Chart) -> float:
    return float(np.abs(drawn.figure.axes[0].get_ylim()).max())


@pytest.mark.parametrize("far", [260.0, 1e6, np.inf])
def test_a_band_that_says_nothing_leaves_room_for_the_estimates(far):
    before, after = chart("event study"), study_with(band_high=(1, far))
    assert reach(after) < 2.5 * reach(before)
    (arrow,) = marked(after, "cut")
    # Two and a half times the middle of 4.0, 4.5 and 3.0.
    assert (list(arrow.get_xdata()), list(arrow.get_ydata())) == ([2001], [10.0])
    (end,) = marked(after, "end")
    assert end.get_text() == theme.write_end(far)
    assert f"beyond the drawing, to {theme.number(far, signed=True)} in FY2001." in after.alt
    assert "arrow: cut, the number" in words(after)
    ((band,),) = (each.get_paths() for each in marked(after, "band"))
    assert np.isclose(band.vertices[:, 1].max(), 10.0)
    assert after.data["band_high"].max() == far


def test_a_bar_without_end_is_cut_like_the_band_and_told_from_it():
    drawn = study_with(
        low=(2, -np.inf), band_low=(2, -np.inf), high=(1, 90.0), band_high=(1, 260.0)
    )
    assert [end.get_text() for end in marked(drawn, "end")] == ["+90", "+260", "−∞", "−∞"]
    weights = [end.get_weight() for end in marked(drawn, "end")]
    assert weights == ["bold", "normal", "bold", "normal"]
    assert {arrow.get_marker() for arrow in marked(drawn, "cut")} == {"^", "v"}
    assert "Intervals go beyond the drawing, to +90.0 in FY2001 and −∞ in FY2002." in drawn.alt
    assert "The band goes beyond the drawing, to +260.0 in FY2001 and −∞ in FY2002." in drawn.alt
    assert np.isfinite(reach(drawn))


def test_a_band_of_ordinary_width_is_not_cut():
    assert marked(chart("event study"), "cut") == []
    assert "arrow" not in words(chart("event study"))
    # A fifth beyond the limit costs less room than an arrow.
    assert marked(study_with(band_high=(1, 11.9)), "cut") == []


def test_a_cut_band_keeps_the_slope_of_its_lines():
    bounds = pd.DataFrame({"band_low": [0.0, -1.0], "band_high": [0.0, 40.0]}, index=[2000, 2002])
    cut = timecharts._cut_lines(bounds, 10.0)
    assert list(cut.index) == [2000, 2000.5, 2002]
    assert list(cut["band_high"]) == [0.0, 10.0, 10.0]
    assert list(cut["band_low"]) == [0.0, -0.25, -1.0]


def test_charts_say_percent_of_what_and_against_which_year():
    drawn = chart("event study")
    assert drawn.unit == "percent of product, targeted minus other cells"
    assert drawn.years == "FY1999-2002 against FY2000"
    rows = ESTIMATES.assign(outcome_label="product", baseline_years="1996-2000")
    forest = figures.plot_forest(rows, "row")
    assert forest.unit == drawn.unit
    assert forest.years == "FY2001-14 against FY1996-2000"
    assert forest.unit in words(forest)


def test_a_forest_cuts_an_interval_without_end():
    rows = pd.concat([ESTIMATES, ESTIMATES[:2].assign(row=["a", "b"])], ignore_index=True)
    rows.loc[0, "high"] = np.inf
    drawn = figures.plot_forest(rows, "row")
    (arrow,) = marked(drawn, "cut")
    assert arrow.get_marker() == ">"
    assert "The interval goes beyond the drawing for Term 1 (−4.8 to ∞)." in drawn.alt
    assert "arrow: the interval goes on" in words(drawn)
    assert "+0.8 (−4.8 to ∞)" in words(drawn)


def test_term_base_year_zero_and_band_are_drawn():
    drawn = chart("event study")
    for gid in ("term", "band", "zero-line"):
        assert len(marked(drawn, gid)) == 1
    assert "base\nyear" in words(drawn)
    assert "term, FY2001-02" in words(drawn)


@pytest.mark.parametrize(("base", "breaks"), [("b2000", 1), ("b2005", 0)])
def test_breaks_of_the_base_are_drawn(base, breaks):
    estimates = pd.concat([STUDY, STUDY.assign(year=[1998, 2003, 2004])]).assign(base=base)
    drawn = figures.plot_event_study(estimates, EVENTS, (1998, 2000), (2001, 2004))
    assert len(marked(drawn, "break")) == breaks
    assert ("Another base" in words(drawn)) == bool(breaks)


def test_a_base_year_other_than_that_of_the_estimates_is_refused():
    with pytest.raises(ValueError, match=r"found 2\.5 in the base year 2001, which must be zero"):
        figures.plot_event_study(STUDY, EVENTS, (1999, 2001), (2002, 2002))


def test_two_outcomes_in_one_event_study_are_refused():
    with pytest.raises(ValueError, match=r"years \[1999, 2001, 2002\] more than once"):
        figures.plot_event_study(pd.concat([STUDY, STUDY]), EVENTS, (1999, 2000), (2001, 2002))
    mixed = STUDY.assign(outcome_label=["product", "jobs", "jobs"])
    with pytest.raises(ValueError, match="draw one at a time"):
        figures.plot_event_study(mixed, EVENTS, (1999, 2000), (2001, 2002))


def test_an_event_study_without_estimates_says_so():
    nothing = STUDY.assign(estimate=np.nan, low=np.nan, high=np.nan)
    drawn = figures.plot_event_study(nothing, EVENTS, (1999, 2000), (2001, 2002))
    assert "no year could be estimated" in drawn.alt


def test_the_national_sum_stops_where_a_prefecture_is_missing():
    drawn = chart("series")
    assert list(drawn.data["value"][[0, 1, 3]]) == [6.0, 8.0, 11.0]
    assert np.isnan(drawn.data["value"][2])
    assert drawn.unit == "trillion yen"
    assert "starts at 6.0 in 2001, is highest at 11.0 in 2004, lowest at 6.0 in 2001" in drawn.alt
    assert "ends at 11.0 in 2004" in drawn.alt
    assert "No sum for 2003" in drawn.alt
    assert "Breaks are marked at 2002" in drawn.alt


def test_years_on_another_footing_are_hollow():
    drawn = chart("series")
    assert list(drawn.data["breaks"]) == ["", "Publishing leaves", "", ""]
    (suspect,) = marked(drawn, "suspect")
    assert list(suspect.get_xdata()) == [2002]
    assert suspect.get_markerfacecolor() == theme.PAPER


def test_a_series_is_refused_in_the_wrong_unit_or_twice():
    with pytest.raises(ValueError, match="found 'shipments' in million yen, not in yen"):
        figures.plot_national_series(PANEL, "shipments", "Shipments", "yen", EVENTS)
    with pytest.raises(ValueError, match="prefecture 01 stands twice in 2001"):
        figures.plot_national_series(
            pd.concat([PANEL, PANEL[:1]]), "shipments", "Shipments", "million yen", EVENTS
        )
    with pytest.raises(ValueError, match="no indicator 'patents': choose one of shipments"):
        figures.plot_national_series(PANEL, "patents", "Patents", "million yen", EVENTS)


def test_the_timeline_shows_both_clocks_and_every_kind():
    drawn = chart("timeline")
    assert "Term 2, Development Period: FY2006-09, planned as FY2006-10" in drawn.alt
    assert "1 other policies, 1 shocks and 3 breaks in the figures" in drawn.alt
    assert len(marked(drawn, "term")) == 4
    assert len(marked(drawn, "break")) == 3
    fiscal = drawn.figure.axes[0].patches[0]
    assert fiscal.get_x() == 2001.25  # 1 April
    assert fiscal.get_width() == 5


def test_events_of_one_name_share_a_row_and_those_outside_are_left_out():
    drawn = figures.plot_timeline(TERMS, events_at(1980, 2003, 2005, name="Full count"))
    assert words(drawn).count("Full count") == 1
    assert len(marked(drawn, "break")) == 2


def test_hidden_cells_are_counted_by_base():
    drawn = chart("suppression")
    assert "b2000: 6 hidden, 2 negative and 0 nil" in drawn.alt
    assert "Most in one year: 6, in FY2000 of b2000" in drawn.alt
    heights = sorted(-bar.get_height() for bar in marked(drawn, "hidden") if bar.get_height())
    assert heights == pytest.approx([0.68])
    with pytest.raises(ValueError, match=r"status \['lost'\]"):
        figures.plot_suppression(HIDDEN.assign(status="lost"))


# -------------------------------------------------------------------------------- other figures


def test_the_forest_names_what_cannot_be_estimated_and_why():
    drawn = chart("forest")
    assert "from +0.8 (Term 1) to +3.1 (Term 2)" in drawn.alt
    assert "leaves out zero in 1 of 2" in drawn.alt
    dots = [line for line in drawn.figure.axes[0].lines if line.get_marker() == "o"]
    assert [dot.get_markerfacecolor() for dot in dots] == [theme.PAPER, theme.TARGETED]
    assert "Not estimable: Term 3" in drawn.alt
    assert "not estimable: 2 targeted cells" in words(drawn)
    assert "supported: +3.1 (0.4 to 5.8)" in words(drawn)
    assert [tuple(tick.get_xdata()) for tick in marked(drawn, "mde")] == [(-7.9, 7.9), (-4.1, 4.1)]


@pytest.mark.parametrize(
    ("low", "high", "outside"),
    [(0.1, 2, True), (-2, -0.1, True), (-1, 1, False), (np.nan,) * 2 + (False,)],
)
def test_an_interval_leaves_out_zero_on_either_side(low, high, outside):
    assert theme.excludes_zero(low, high) is outside


def test_a_forest_of_nothing_estimable_is_still_drawn():
    drawn = figures.plot_forest(ESTIMATES[2:], "row")
    assert "Not estimable: Term 3" in drawn.alt


def test_two_units_in_one_forest_are_refused():
    with pytest.raises(ValueError, match=r"\['percent', 'yen'\] in 'unit'"):
        figures.plot_forest(ESTIMATES.assign(unit=["percent", "yen", "yen"]), "row")


def test_the_map_names_the_extremes_and_hatches_what_is_uncertain():
    drawn = chart("map")
    assert "from 3 (Hokkaido) to 7 (Tokyo)" in drawn.alt
    assert [tile.get_hatch() for tile in marked(drawn, "low-certainty")] == ["//"]
    assert len(marked(drawn, "tile")) == 2
    assert "…" not in words(drawn)  # Kagoshima was not asked for
    assert list(drawn.data["value"].dropna()) == [3, 7]


def test_a_prefecture_that_was_asked_for_and_has_no_figure_says_so():
    counts = pd.concat([COUNTS, table("pref_code value certainty", ("46", float("nan"), "high"))])
    drawn = figures.plot_targeted_map(PREFECTURES, counts, "Targeted industries")
    assert words(drawn).count("…") == 1


@pytest.mark.parametrize("codes", [["01", "99"], ["01", "01"]])
def test_a_map_of_unknown_or_repeated_prefectures_is_refused(codes):
    with pytest.raises(ValueError, match="one row per prefecture"):
        figures.plot_targeted_map(PREFECTURES, COUNTS.assign(pref_code=codes), "Industries")


def test_the_scorecard_hatches_what_cannot_be_judged():
    drawn = chart("scorecard")
    assert "1 supported, 0 partly supported, 0 not supported and 2 cannot be judged" in drawn.alt
    assert "The best evidence has grade 3, for 1 of them; for 1 no figure was found" in drawn.alt
    assert [patch.get_hatch() for patch in marked(drawn, "open")] == ["///", "///"]
    assert len(marked(drawn, "judged")) == 1
    assert "✓ 1" in words(drawn)


def test_the_scorecard_of_how_it_was_run_has_marks_and_no_grades():
    found = PHRASES.assign(verdict=["confirmed", "contradicted", "not found"], grade=pd.NA)
    drawn = figures.plot_scorecard(found)
    assert "3 phrases on how the policy was run: 1 confirmed, 0 stated by" in drawn.alt
    assert [patch.get_hatch() for patch in marked(drawn, "open")] == ["///"]
    assert "✕" in words(drawn)
    mixed = found.assign(verdict=["confirmed", "supported", "not found"])
    with pytest.raises(ValueError, match="use supported, partly supported"):
        figures.plot_scorecard(mixed)


@pytest.mark.parametrize("wrong", [{"verdict": "proved"}, {"grade": 6}])
def test_a_verdict_or_grade_outside_its_set_is_refused(wrong):
    with pytest.raises(ValueError, match="use supported, partly supported"):
        figures.plot_scorecard(PHRASES.assign(**wrong))


def test_every_verdict_has_a_mark_of_its_own():
    assert tuple(figures.VERDICT_MARKS) == evidence.VERDICTS
    assert len({*figures.VERDICT_MARKS.values()}) == 4


def test_the_balance_puts_the_largest_difference_first():
    drawn = chart("balance")
    assert list(drawn.data["value"]) == [0.52, 0.03]
    assert "+0.52 standard deviations for Product, FY2000 (interval 0.36 to 0.68)" in drawn.alt
    assert drawn.alt.endswith("Beyond a quarter of a standard deviation: Product, FY2000 (+0.52).")
    assert [line.get_xdata()[0] for line in marked(drawn, "limit")] == [-0.25, 0.25]


def test_the_waterfall_adds_up():
    drawn = chart("waterfall")
    assert list(drawn.data["kept"]) == [6110, 6051, 6048]
    assert list(drawn.data["dropped"]) == [0, 59, 3]
    assert "6,048 of 6,110 cell-years are left" in drawn.alt
    assert "'not hidden', with 59" in drawn.alt
    with pytest.raises(ValueError, match="'not hidden' leaves 1 rows more"):
        figures.plot_waterfall(STEPS.assign(rows=[6110, 6111, 6048]))


def test_the_quadrant_compares_medians_and_names_the_furthest():
    drawn = chart("quadrant")
    assert "targeted cells (2) have a median location quotient of 3.00" in drawn.alt
    assert "median growth of +7.0" in drawn.alt
    assert "Aichi, transport (quotient 4.00, growth +12.0)" in drawn.alt
    with pytest.raises(ValueError, match="leave out cells without product"):
        figures.plot_quadrant(CELLS.assign(location_quotient=0.0))


def test_cells_off_the_scale_are_shown_as_arrows_with_their_growth():
    many = pd.concat([CELLS] * 60 + [CELLS[:1].assign(growth=900.0, label="Nagano, bio")])
    drawn = figures.plot_quadrant(many.reset_index(drop=True))
    assert len(marked(drawn, "outside")) == 1
    assert "Nagano, bio (+900)" in words(drawn)


def test_intervals_of_growth_are_drawn_if_given():
    with_bounds = CELLS.assign(low=CELLS["growth"] - 3, high=CELLS["growth"] + 3)
    drawn = figures.plot_quadrant(with_bounds)
    segments = [
        tuple(segment[:, 1])
        for lines in drawn.figure.axes[0].collections
        for segment in lines.get_segments()
    ]
    assert (9.0, 15.0) in segments


def test_statuses_and_bars_differ_without_colour():
    looks = [(look.get("hatch"), look["facecolor"]) for look in timecharts.STATUSES.values()]
    assert len({*looks}) == len(looks)
    assert sum(hatch is None for hatch, _ in looks) == 1
