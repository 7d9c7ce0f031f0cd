"""What a notebook says and shows, and the page made of it."""

import base64
import hashlib
import io
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest
from fontTools import ttLib
from nbformat.v4 import new_output
from sample_page import HOSTILE, SPEC, Builder, chart, fill, hostile_page, table

from clusterpolicy import report
from clusterpolicy.page import letters, pagecheck, pages
from clusterpolicy.wording import escape


@pytest.fixture
def builder(monkeypatch):
    """Return a builder that collects what would be displayed in a kernel."""
    own = Builder()
    monkeypatch.setattr(
        "IPython.core.interactiveshell.InteractiveShell.initialized", lambda *_: True
    )
    monkeypatch.setattr("IPython.display.display", own.display)
    return own


class Reader(HTMLParser):
    """Collect the elements and the visible text of a page."""

    def __init__(self, html):
        super().__init__()
        self.elements, self.text, self._skipped = [], "", 0
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self._skipped += tag == "style"

    def handle_endtag(self, tag):
        self._skipped -= tag == "style"

    def handle_data(self, data):
        if not self._skipped:
            self.text += data


def markup(outputs):
    return "".join(output.data["text/html"] for output in outputs)


# --- what a notebook calls --------------------------------------------------------------------


def test_every_output_has_plain_text_for_a_terminal(builder, capsys, monkeypatch):
    report.say("One sentence.", "Another.")
    report.show(chart(), "Growth of both groups", "growth")
    plain = [output.data["text/plain"] for output in builder.shown()]
    assert plain[0] == "One sentence.\nAnother."
    assert plain[1].startswith("Growth of both groups\nTargeted cells fall")
    monkeypatch.setattr(
        "IPython.core.interactiveshell.InteractiveShell.initialized", lambda *_: False
    )
    report.say("Without a notebook.")
    assert capsys.readouterr().out == "Without a notebook.\n"


@pytest.mark.parametrize(
    ("item", "caption", "name", "error", "message"),
    [
        (chart(), " ", "growth", ValueError, "caption is empty"),
        (chart(), "Growth", "Growth 1", ValueError, "lower-case words"),
        (chart(), "Growth", "", ValueError, "lower-case words"),
        (chart(alt="too short"), "Growth", "growth", ValueError, "shorter than 20"),
        (chart(alt="The caption once more."), "The caption once more.", "x", ValueError, "repeats"),
        (pd.DataFrame({"a": [1]}), "Growth", "growth", TypeError, "DataFrame; pass a Chart"),
        (chart().figure, "Growth", "growth", TypeError, "Figure; pass a Chart"),
    ],
)
def test_show_refuses_what_a_reader_could_not_use(builder, item, caption, name, error, message):
    with pytest.raises(error, match=message):
        report.show(item, caption, name)
    assert not builder.shown()


@pytest.mark.parametrize("lines", [["one"], ["a", "b", "c", "d"], ["a", "b", "c", "d", " "]])
def test_answer_has_five_lines(builder, lines):
    with pytest.raises(ValueError, match="exactly five"):
        report.answer(lines)


def test_scorecard_makes_its_sentences_from_the_figures(builder):
    rows = [{"phrase": "some 20", "verdict": "supported", "grade": 1, "figure": "19 by count"}]
    report.scorecard(pd.DataFrame(rows))
    assert "19 by count." in markup(builder.shown())


def test_scorecard_refuses_other_words(builder):
    row = {"phrase": "some 20", "verdict": "proved", "grade": 1, "sentence": "So."}
    with pytest.raises(ValueError, match="Unknown verdict 'proved'"):
        report.scorecard([row])


@pytest.mark.parametrize(
    "href", ["javascript:alert(1)", "https://x.example/a.html", "/etc/x.html", "../a.html", "a.pdf"]
)
def test_cards_lead_only_to_pages_beside(builder, href):
    card = {"name": "x", "href": href, "title": "X", "answer": "None.", "verdict": None}
    with pytest.raises(ValueError, match="no report beside"):
        report.cards([card])


def test_what_belongs_together_stays_on_one_line(builder):
    report.say("95 % interval 1 to 2; p = 0.64, p < 0.001")
    assert markup(builder.shown()) == (
        "<p>95\N{NO-BREAK SPACE}% interval 1 to 2; p\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}0.64, "
        "p\N{NO-BREAK SPACE}&lt;\N{NO-BREAK SPACE}0.001</p>"
    )


# --- the page ---------------------------------------------------------------------------------


def test_sample_page_has_no_fault(builder):
    assert report.check(fill(builder).page()) == []


def test_figures_and_tables_are_numbered_and_referred_to(builder):
    html = fill(builder).page()
    assert '<b class="label">Figure 1</b> Growth of both groups' in html
    assert '<b class="label">Table 1</b> Plants and their change' in html
    assert '<b class="label">Table 2</b> All years' in html
    assert '<a href="#fig-growth">Figure\N{NO-BREAK SPACE}1</a>' in html
    assert '<a href="#tab-plants">Table\N{NO-BREAK SPACE}1</a>' in html


def test_contents_mirror_the_headings(builder):
    html = fill(builder).page()
    headings = re.findall(r'<h([23]) id="([^"]*)">', html)
    for nav in re.findall(r"<ol>.*?</ol>", html, re.DOTALL)[:2]:
        assert re.findall(r'<li class="l([23])"><a href="#([^"]*)"', nav) == headings


def test_ids_of_headings_are_short_unique_words(builder):
    builder.markdown("# One")
    for text in ("Growth", "Growth", "成長", "成長", "9 lives & more", "A " + "very long " * 20):
        builder.markdown(f"## {text}")
    ids = re.findall(r'<h2 id="([^"]*)"', builder.page())
    assert ids[:5] == ["growth", "growth-2", "section", "section-2", "section-9-lives-more"]
    assert len(ids[5]) <= 41
    assert len(set(ids)) == len(ids)


def test_code_is_folded_once_a_section_and_kept(builder):
    html = fill(builder).page()
    folds = re.findall(r'<details class="code">.*?</details>', html, re.DOTALL)
    assert len(folds) == 4
    code = Reader("".join(folds)).text
    assert "from clusterpolicy import report" in code
    assert 'report.show(chart, caption="Growth of both groups", name="growth")' in code


def test_japanese_is_marked_wherever_it_is_read(builder):
    html = fill(builder).page()
    assert 'Growth of <span lang="ja">産業クラスター</span></h2>' in html
    assert (
        '<th scope="row" class="t">Hokkaido</th><td class="t"><span lang="ja">北海道</span>' in html
    )
    assert "<span" not in re.search(r"<title>.*?</title>", html)[0]


def test_wide_table_takes_its_heading_to_the_landscape_page(builder):
    html = fill(builder).page()
    assert re.search(r'<div class="landscape"><h2 id="all-years">All years</h2>\s*<figure', html)


def test_formula_is_mathml_and_unknown_tex_a_fault(builder):
    builder.markdown("# One\n\n$$\\tau_{p}$$\n\nand $\\unknown$")
    html = builder.page()
    assert '<span class="formula scroll" role="group" tabindex="0" aria-label="Formula">' in html
    assert '<math display="block"' in html
    assert any(r"\unknown is not translated" in line for line in report.check(html))


def test_page_tells_how_it_was_made_without_clock_or_path(builder):
    html = fill(builder).page()
    text = Reader(html).text
    for words in ("term = 1", "clock = funded", "ab" * 32, "pandas 3.1.1", "Processed by this"):
        assert words in text
    assert "Cabinet Office, prefectural accounts; METI, Census of Manufactures; METI" in text
    assert not re.search(r"\d\d:\d\d|/home/|\b20[23]\d-\d\d-\d\d\b", text)


def test_template_weighs_less_than_thirty_kilobytes(builder):
    builder.markdown("# One")
    assert len(builder.page(report.PageSpec("a", "One")).encode()) < 30_000


def test_only_code_that_has_a_colour_is_an_element(builder):
    style = (pages.TEMPLATE / "style.css").read_text(encoding="utf-8")
    coloured = set(
        re.findall(r"\.(\w+)", " ".join(re.findall(r"\.highlight :is\(([^)]*)\)", style)))
    )
    written = set(re.findall(r'<span class="([a-z]+\d?)">', fill(builder).page()))
    assert written & {"n", "o", "p", "w"} == set()
    assert {"kn", "mi"} & written & coloured


def test_a_page_carries_the_letters_of_its_japanese_and_no_others(builder):
    page = fill(builder).page()
    carried = re.findall(r"base64,([^)]+)\)format", page)
    assert len(carried) == 1
    font = ttLib.TTFont(io.BytesIO(base64.b64decode(carried[0])))
    assert "".join(map(chr, sorted(font.getBestCmap()))) == letters.letters_of(page)
    assert "font-src data:" in page


def test_a_letter_that_no_reader_would_see_is_a_fault_of_the_page(builder):
    builder.markdown("# A title\n\n産業 㐃")
    page = builder.page()
    assert "no such letter" in page
    assert any("found 㐃" in fault for fault in pagecheck.faults(page))


def test_page_is_the_same_bytes_each_time(builder):
    first = fill(builder).page()
    builder.cells = []
    assert fill(builder).page() == first


@pytest.mark.slow
def test_page_is_the_same_bytes_in_another_process_place_and_language(tmp_path):
    script = (
        "import hashlib, sample_page, IPython.display as d\n"
        "from IPython.core.interactiveshell import InteractiveShell as s\n"
        "b = sample_page.Builder(); s.initialized = lambda *a: True; d.display = b.display\n"
        "print(hashlib.sha256(sample_page.fill(b).page().encode()).hexdigest())\n"
    )
    tests = Path(__file__).parent
    found = set()
    for seed, zone, locale in (("1", "UTC", "C.UTF-8"), ("2", "Asia/Tokyo", "ja_JP.UTF-8")):
        environment = {
            **os.environ,
            "PYTHONHASHSEED": seed,
            "TZ": zone,
            "LC_ALL": locale,
            "PYTHONPATH": os.pathsep.join((str(tests), str(tests.parent / "src"))),
        }
        folder = tmp_path / seed
        folder.mkdir()
        run = subprocess.run(
            [sys.executable, "-c", script],
            env=environment,
            cwd=folder,
            capture_output=True,
            text=True,
            check=True,
        )
        found.add(run.stdout.strip())
    assert len(found) == 1
    assert len(found.pop()) == hashlib.sha256().digest_size * 2


@pytest.mark.parametrize(
    ("output", "fault"),
    [
        (
            new_output("error", ename="KeyError", evalue="'a'", traceback=["Traceback"]),
            "cell 2 failed: KeyError: 'a'",
        ),
        (
            new_output("stream", name="stderr", text="x.py:3: UserWarning: beware\n  foo()\n"),
            "cell 2 wrote to standard error: x.py:3: UserWarning: beware",
        ),
        (
            new_output("display_data", data={"text/html": "<table></table>", "text/plain": "t"}),
            "cell 2 shows text/html by itself",
        ),
        (
            new_output("display_data", data={"image/png": "iVBOR", "text/plain": "<Figure>"}),
            "cell 2 shows image/png by itself",
        ),
        (
            new_output("display_data", data={"application/javascript": "alert(1)"}),
            "cell 2 shows application/javascript by itself",
        ),
        (
            new_output("execute_result", data={"text/plain": "<x at 0x7f12ab34cd56>"}),
            "memory address",
        ),
    ],
)
def test_what_did_not_come_through_report_is_a_fault(builder, output, fault):
    builder.markdown("# One")
    builder.code("risky()", outputs=[output])
    found = report.check(builder.page())
    assert any(fault in line for line in found), found


def test_printed_text_is_shown_as_text(builder):
    builder.markdown("# One")
    builder.code("print(x)", outputs=[new_output("stream", name="stdout", text="<b>3 rows</b>\n")])
    html = builder.page()
    assert '<pre class="printed">&lt;b&gt;3 rows&lt;/b&gt;\n</pre>' in html
    assert report.check(html) == []


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        ("See [@fig-nowhere].", "unknown reference [@fig-nowhere]"),
        ("![a map](map.png)", "picture map.png in markdown"),
        ("[press](javascript:alert(1))", "link to "),
        ("[file](/etc/passwd)", "link to /etc/passwd"),
        ("| a | b |\n|---|---|\n| 1 | 2 |", "the caption is missing"),
        ("\n# Another title", "2 h1 headings"),
        ("\n#### Deep", "skips from h1 to h4"),
    ],
)
def test_markdown_that_a_reader_could_not_follow_is_a_fault(builder, source, fault):
    builder.markdown(f"# One\n\n{source}")
    found = report.check(builder.page())
    assert any(fault in line for line in found), found


def test_reference_in_code_is_left_alone(builder):
    builder.markdown("# One\n\nWrite `[@fig-growth]` to refer to it.")
    html = builder.page()
    assert "<code>[@fig-growth]</code>" in html


def test_html_in_markdown_is_text_but_for_small_tags_and_mathml(builder):
    builder.markdown(
        "# One\n\nH<sub>2</sub>O <b onclick='x()'>b</b> <math><mi>x</mi></math>\n\n"
        "<div onclick=alert(1)>block</div>\n\n<script>alert(1)</script>"
    )
    names = [name for name, _ in Reader(builder.page()).elements]
    assert {"sub", "math", "mi"} <= set(names)
    assert "script" not in names
    assert all("onclick" not in attributes for _, attributes in Reader(builder.page()).elements)


def test_name_used_twice_is_a_fault(builder):
    builder.markdown("# One")
    for caption in ("Growth of both groups", "Growth of all the groups"):
        builder.code("show", lambda caption=caption: report.show(table(), caption, "plants"))
    assert any("tab-plants is used twice" in line for line in report.check(builder.page()))


# --- hostile text -----------------------------------------------------------------------------


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_shown_and_never_live(builder, text):
    html = hostile_page(builder, text)
    page = Reader(html)
    names = {name for name, _ in page.elements}
    assert not names & {"script", "iframe", "object", "embed", "form", "base", "video", "animate"}
    assert [a for n, a in page.elements if n == "link"] == [{"rel": "icon", "href": "data:,"}]
    for name, attributes in page.elements:
        assert not [key for key in attributes if key.startswith("on")], (name, attributes)
        address = attributes.get("href") or ""
        assert not address.lower().startswith("javascript")
    shown = re.sub(r"\s+", " ", text.translate({0: "\ufffd", 0x202E: "\ufffd"}))
    seen = re.sub(r"[\s\N{NO-BREAK SPACE}]+", " ", page.text)
    assert seen.count(shown) >= 15
    assert len(re.findall("<h1", html)) == 1
    assert '<h2 id="a-heading">' in html
    assert report.check(html) == []


def test_there_are_at_least_forty_hostile_texts():
    assert len(set(HOSTILE)) >= 40


def test_escaping_is_what_stops_them(builder, monkeypatch):
    monkeypatch.setattr(report, "escape", str)
    text = "<img src=x onerror=alert(1)>"
    assert escape(text) != text
    found = report.check(hostile_page(builder, text))
    assert any("onerror" in line for line in found)


def test_spec_of_the_sample_is_complete():
    assert SPEC.parameters
    assert SPEC.inputs
