"""Figures as a page holds them."""

import re
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.textpath import TextPath
from sample_page import chart

from clusterpolicy.page import drawing, theme


def scatter(points):
    figure = Figure(figsize=(4, 3))
    figure.add_subplot().plot(np.arange(points) % 50, np.arange(points) // 50, "o")
    return figure


def follow(path):
    """Return the corner points of a relative SVG path, in absolute coordinates."""
    x = y = start_x = start_y = 0.0
    points = []
    for command, text in re.findall(r"([mlhvqcz])([^mlhvqcz]*)", path):
        numbers = [float(n) for n in re.findall(r"-?(?:\d+\.?\d*|\.\d+)", text)]
        size = {"m": 2, "l": 2, "h": 1, "v": 1, "q": 4, "c": 6, "z": 1}[command]
        for place in range(0, max(len(numbers), 1), size):
            step = numbers[place : place + size]
            if command == "z":
                x, y = start_x, start_y
            elif command == "h":
                x += step[0]
            elif command == "v":
                y += step[0]
            else:
                x, y = x + step[-2], y + step[-1]
            if command == "m":
                start_x, start_y = x, y
            points.append((x, y))
    return points


def test_figure_is_the_same_bytes_each_time():
    assert drawing.svg_of(chart().figure, "fig-a") == drawing.svg_of(chart().figure, "fig-a")


def test_figure_has_no_text_no_style_rule_no_maker_and_no_address():
    drawn = drawing.svg_of(chart().figure, "fig-a", "Two lines that part after FY2001.")
    assert "<text" not in drawn
    assert "<style" not in drawn
    assert "matplotlib" not in drawn.lower()
    assert "http" not in drawn
    assert "<!--" not in drawn
    root = ElementTree.fromstring(drawn)
    assert root.get("role") == "img"
    assert root.find("desc").text == "Two lines that part after FY2001."
    assert root.find("desc").get("id") == root.get("aria-labelledby")


def test_ids_of_two_figures_differ_and_every_reference_is_met():
    first, second = (drawing.svg_of(chart().figure, f"fig-{name}") for name in "ab")
    ids = [re.findall(r' id="([^"]*)"', drawn) for drawn in (first, second)]
    assert not set(ids[0]) & set(ids[1])
    for drawn, own in zip((first, second), ids, strict=True):
        assert len(own) == len(set(own))
        assert set(re.findall(r'(?:href="#|url\(#)([^")]+)', drawn)) <= set(own)


def test_letters_are_defined_once_in_a_page_and_still_found():
    first, second = (drawing.svg_of(chart().figure, f"fig-{name}") for name in "ab")
    page = drawing.share_letters(first + second)
    assert page.count('transform="scale(.15625)"') * 2 == (first + second).count(
        'transform="scale(.15625)"'
    )
    assert set(re.findall(r'<use href="#([^"]+)', page)) <= set(re.findall(r' id="([^"]+)', page))
    assert drawing.share_letters(page) == page


def test_relative_path_meets_every_point_of_the_absolute_one():
    numbers = np.random.default_rng(1).uniform(-500, 500, (300, 2)).round(6)
    absolute = "M 0.5 0.25 " + " ".join(f"L {x} {y} " for x, y in numbers) + "z"
    absolute += " M 7 8 Q 9.125 10 11.5 12.004 C 1 2 3 4 5.999 6 L 5.999 7.5 L -3 7.5"
    expected = [(0.5, 0.25), *map(tuple, numbers), (0.5, 0.25), (7, 8), (11.5, 12.004)]
    expected += [(5.999, 6), (5.999, 7.5), (-3, 7.5)]
    assert follow(drawing._relative(absolute, 2)) == [
        pytest.approx(point, abs=0.00501) for point in expected
    ]


def test_unknown_path_command_is_not_dropped():
    with pytest.raises(ValueError, match="A"):
        drawing._relative("M 0 0 A 1 1 0 0 0 2 2", 2)


@pytest.mark.parametrize(
    ("value", "decimals", "text"),
    [
        ("12.345678", 2, "12.35"),
        ("0.5", 2, ".5"),
        ("-0.5", 2, "-.5"),
        ("-0.001", 2, "0"),
        ("100", 2, "100"),
        ("61.914062", 1, "61.9"),
    ],
)
def test_digits_are_as_few_as_svg_allows(value, decimals, text):
    assert drawing._digits(value, decimals) == text


def test_curves_of_letters_keep_their_shape():
    figure = Figure(figsize=(3, 1))
    figure.text(0.1, 0.5, "S", fontsize=20)
    outline = TextPath((0, 0), "S", size=100).vertices
    drawn = drawing.svg_of(figure, "fig-s")
    letter = re.search(r' d="([^"]*)" transform="scale\(.15625\)"', drawn)[1]
    found = np.array(follow(letter)) * 0.15625
    assert found.max(axis=0) == pytest.approx(outline.max(axis=0), abs=1.5)


def test_neighbours_say_their_look_once():
    drawn = drawing.svg_of(scatter(500), "fig-dots")
    assert drawn.count('style="fill:#1f77b4') <= 2
    assert drawing.count_marks(drawn) >= 500


def test_halo_of_a_label_is_drawn_behind_the_same_outline():
    figure = Figure(figsize=(3, 1))
    halo = [withStroke(linewidth=2.5, foreground="white")]
    figure.text(0.1, 0.5, "label", path_effects=halo, color="#20252b")
    drawn = drawing.svg_of(figure, "fig-halo")
    labels = re.findall(r'<path d="([^"]*)" style="fill:#20252b([^"]*)"', drawn)
    assert len(labels) == 1
    assert labels[0][1].endswith(";paint-order:stroke")


def test_many_marks_become_a_picture_of_144_dots_per_inch():
    few = drawing.draw(scatter(1900), "fig-few", "Dots without a pattern at all.")
    many = drawing.draw(scatter(2100), "fig-many", "Dots without a pattern at all.")
    assert few.startswith("<svg")
    assert many.startswith('<img src="data:image/png;base64,')
    assert 'alt="Dots without a pattern at all." width="384" height="288"' in many
    assert many == drawing.draw(scatter(2100), "fig-many", "Dots without a pattern at all.")


def test_hostile_text_in_a_figure_is_drawn_not_run():
    figure = Figure()
    axes = figure.add_subplot()
    axes.set_title("--><script>alert(1)</script>")
    axes.set_xlabel("]]><svg onload=alert(1)>")
    axes.plot([1, 2], label="x", gid='"><script>alert(1)</script>', url="javascript:alert(1)")
    drawn = drawing.svg_of(figure, "fig-h", 'alt "><script>alert(1)</script>')
    names = {element.tag for element in ElementTree.fromstring(drawn).iter()}
    assert names <= {"svg", "desc", "defs", "g", "path", "use", "clipPath", "rect"}
    assert "javascript" not in drawn


def places(drawing):
    """Return every letter drawn with its place, words that are referred to taken apart."""
    words = dict(re.findall(r'<g id="(w\d+)">(.*?)</g>', drawing))
    drawing = re.sub(r"<defs>.*?</defs>", "", drawing)
    found = []
    for name, x in re.findall(r'<use href="#([lw]\d+)"(?: x="(-?\d+)")?/>', drawing):
        inside = re.findall(r'href="#(l\d+)"(?: x="(-?\d+)")?', words.get(name, ""))
        placed = [(letter, int(step or 0)) for letter, step in inside] or [(name, 0)]
        found += [(letter, int(x or 0) + step) for letter, step in placed]
    return found


def test_words_drawn_again_are_referred_to_and_stand_where_they_stood():
    figure = Figure(figsize=(6, 2))
    for row in range(4):
        figure.text(0.05, 0.2 * row, f"Manufacturing and cluster projects, Term {row}")
    page = drawing.share_letters(drawing.svg_of(figure, "fig-a"))
    shorter = drawing.share_words(page)
    assert len(shorter) < 0.8 * len(page)
    before, after = places(page), places(shorter)
    assert [letter for letter, _ in before] == [letter for letter, _ in after]
    assert max(abs(a - b) for (_, a), (_, b) in zip(before, after, strict=True)) <= 1
    assert set(re.findall(r'href="#(w\d+)"', shorter)) == set(re.findall(r'id="(w\d+)"', shorter))


def test_the_class_of_a_drawing_says_how_a_page_may_size_it():
    def kind(width, height, gid=None):
        figure = Figure(figsize=(width, height))
        figure.set_gid(gid)
        return re.match(r'<svg(?: class="([^"]*)")? role', drawing.svg_of(figure, "fig-k"))[1]

    assert kind(theme.NARROW, 3) == "narrow"
    assert kind(theme.WIDTH, 3) is None
    assert kind(theme.WIDTH, 6) == "tall"
    assert kind(theme.WIDTH, 3, theme.WHOLE) == drawing.WHOLE
