"""A page carries the font of its Japanese letters."""

import base64
import io
import re

import pytest
from fontTools import ttLib

from clusterpolicy.page import letters

PAGE = "<p lang='ja'>産業クラスター計画、産業</p><p>Plan — naïve “quotes” ✓ ●○</p>"


def font_in(rule):
    data = re.search(r"base64,([^)]+)\)", rule).group(1)
    return ttLib.TTFont(io.BytesIO(base64.b64decode(data)))


def test_only_japanese_letters_are_taken_each_once():
    assert letters.letters_of(PAGE) == "、クスタラー業産画計"
    assert letters.letters_of("ＡＢ　―") == "　ＡＢ"  # full width; a dash is no letter


def test_the_font_holds_the_letters_of_the_page_and_hardly_more():
    font = font_in(letters.font_face(PAGE))
    held = {chr(code) for code in font.getBestCmap()}
    assert held == set("、クスターラ業産画計")
    outline = font["glyf"][font.getBestCmap()[ord("業")]]
    assert outline.numberOfContours > 3  # drawn, not an empty box
    assert len(letters.font_face(PAGE)) < 6_000


def test_the_rule_is_for_japanese_only_and_the_same_every_time():
    rule = letters.font_face(PAGE)
    assert rule == letters.font_face(PAGE)
    assert rule.startswith('@font-face{font-family:"Page Gothic";src:url(data:font/woff;base64,')
    assert rule.endswith("unicode-range:U+3000-30FF,U+3400-4DBF,U+4E00-9FFF,U+FF01-FFEF}")


def test_a_page_without_japanese_carries_no_font():
    assert letters.font_face("<p>Plan</p>") == ""


def test_a_letter_that_the_font_lacks_is_named():
    with pytest.raises(ValueError, match="page: found 㐃: the font of the reports has no such"):
        letters.font_face("<p>産業 㐃</p>")
