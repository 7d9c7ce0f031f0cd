"""Each rule of the page check, broken once on purpose."""

from pathlib import Path

import pytest
from sample_page import Builder, fill

from clusterpolicy import sources
from clusterpolicy.page import pagecheck


@pytest.fixture(scope="module")
def page():
    """Return a page without a fault."""
    builder = Builder()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("IPython.core.interactiveshell.InteractiveShell.initialized", lambda *_: True)
        patch.setattr("IPython.display.display", builder.display)
        html = fill(builder).page()
    assert pagecheck.faults(html) == []
    return html


BROKEN = {
    "two titles": ("<h2", "<h1>Again</h1><h2", "2 h1 headings"),
    "no title heading": ("<h1", "<h2", "0 h1 headings"),
    "level skipped": ("<h3 ", "<h4 ", "skips from h"),
    "starts low": ("<h1", '<h2 id="x">Before</h2><h1', "first heading is h2"),
    "empty heading": ("By prefecture</h3>", "</h3>", "an h3 is empty"),
    "id twice": ("<h3 ", '<p id="main"></p><h3 ', "id 'main' is used 2 times"),
    "id of two words": ('id="all-years"', 'id="all years"', "no single word"),
    "nowhere to go": ('href="#all-years"', 'href="#years"', "#years, which is not on the page"),
    "label nowhere": ('aria-labelledby="fig-growth-c"', 'aria-labelledby="c"', "refers to #c"),
    "reference not resolved": ("In short", "[@fig-map]", "unresolved reference [@fig-map]"),
    "no alternative text": (
        "Targeted cells fall to −1.5 in FY2002 while others stay near zero.",
        "Chart.",
        "'Chart.' is too short",
    ),
    "caption as alternative text": (
        "Targeted cells fall to −1.5 in FY2002 while others stay near zero.",
        "Growth of both groups",
        "repeats the caption",
    ),
    "drawing outside a figure": (
        "<p>In short",
        '<img src="data:image/png;base64,AA" alt="A picture that belongs to no figure"><p>In short',
        "a drawing outside any figure",
    ),
    "figure without caption": ("Growth of both groups", "", "caption is 'Figure 1'"),
    "figure without source": ("Source: Cabinet", "From: Cabinet", "source line is missing"),
    "header without scope": ('<th scope="col"', "<th", "header cells have no scope"),
    "header with wrong scope": ('scope="col"', 'scope="colgroup"', "header cells have no scope"),
    "blank cell": (">−0.3<", "><", "1 cells are blank"),
    "script": ("</main>", "<script></script></main>", "<script> is not allowed"),
    "script in a drawing": ("</desc>", "</desc><script></script>", "<script> is not allowed"),
    "frame": ("</main>", '<iframe src="a.html"></iframe></main>', "<iframe> is not allowed"),
    "form": ("</main>", "<form></form></main>", "<form> is not allowed"),
    "animation": ("</desc>", "</desc><animate></animate>", "<animate> is not allowed"),
    "handler": ("<h3 ", '<h3 OnClick="x()" ', "<h3 onclick=...> would run a script"),
    "script address": ('href="term-2.html"', 'href=" java\tscript:x()"', "script address"),
    "page in an address": ('href="term-2.html"', 'href="data:text/html,x"', "script address"),
    "picture from the web": (
        "</main>",
        '<img alt="" src="https://x.example/a.png"></main>',
        "would be fetched",
    ),
    "picture set": ("</main>", '<img alt="" srcset="a.png 2x"></main>', "would be fetched"),
    "style sheet": ("<style>", '<link rel="stylesheet" href="a.css"><style>', "<link> leads to"),
    "style import": ("<style>", "<style>@import 'a.css';", "imports another"),
    "style picture": ("<style>", "<style>p{background:url(a.png)}", "would fetch 'a.png'"),
    "style attribute": ("<h3 ", '<h3 style="background:url(a.png)" ', "<url()> leads to 'a.png'"),
    "letter from elsewhere": ('<use href="#l0"', '<use href="a.svg#l0"', "<use> leads to"),
    "link out of the folder": ('href="term-2.html"', 'href="/etc/x.html"', "<a> leads to"),
    "refresh": ("<title>", '<meta http-equiv="refresh" content="1"><title>', "'refresh'"),
    "base": ("<title>", '<base href="//x.example"><title>', "<base> is not allowed"),
    "no policy": ("default-src 'none'; ", "", "policy does not forbid scripts"),
    "script allowed": ("default-src 'none'; ", "default-src 'none'; script-src *; ", "policy"),
    "no language": ('<html lang="en">', "<html>", "has no lang"),
    "Japanese not marked": ('<span lang="ja">北海道</span>', "北海道", "outside lang='ja'"),
    "fault block": ("In short", '<span data-fault="cell 3 failed">', "cell 3 failed"),
    "traceback": ("In short", "Traceback (most recent call last)", "a traceback"),
    "warning": ("In short", "x.py:3: FutureWarning: old", "a warning"),
    "memory address": ("In short", "&lt;Axes at 0x7f12ab34cd56&gt;", "a memory address"),
    "process number": ("In short", "ipykernel_4711", "a process number"),
    "installed file": ("In short", "lib/python3.11/site-packages/x", "a machine path"),
    "user's folder": ("In short", "/home/somebody/x", "a machine path"),
    "Windows folder": ("In short", "C:\\Users\\somebody", "a machine path"),
    "no source line": ('<dd class="sources">', "<dd>", "the source line of the provenance"),
    "no processing line": ('<dd class="processed">', "<dd>", "'processed by' line"),
    "not closed": ("</main>", "", "</div> does not close <main>"),
    "attribute twice": ('<main id="main"', '<main id="main" id="x"', "repeats an attribute"),
    "too large": ("In short", "x" * 1_000_001, "1,000,000 are allowed"),
}


@pytest.mark.parametrize("rule", BROKEN)
def test_broken_rule_is_reported(page, rule):
    found, replacement, fault = BROKEN[rule]
    assert found in page
    faults = pagecheck.faults(page.replace(found, replacement, 1))
    assert any(fault in line for line in faults), faults
    assert all("\n" not in line for line in faults)


@pytest.mark.parametrize("folder", [sources.ROOT, Path.home()])
def test_folder_of_this_machine_is_reported(page, folder):
    fault = "names a folder of this machine"
    faults = pagecheck.faults(page.replace("In short", f"see {folder}/data", 1))
    assert any(fault in line for line in faults)
    # A folder in Japanese letters is a fault of its own, but not this one.
    faults = pagecheck.faults(page.replace("In short", f"see {folder}-like", 1))
    assert not any(fault in line for line in faults)


def test_table_without_caption_is_reported(page):
    start, end = page.index("<caption>"), page.index("</caption>") + len("</caption>")
    faults = pagecheck.faults(page[:start] + page[end:])
    assert any("table 1 (''): the caption is missing" in line for line in faults)


def test_page_without_title_is_reported(page):
    start, end = page.index("<title>"), page.index("</title>") + len("</title>")
    assert "the page has no title" in pagecheck.faults(page[:start] + page[end:])


def test_addresses_that_only_a_reader_follows_are_allowed(page):
    links = (
        '<a href="https://www.meti.go.jp/a?b=url(x)">a</a> <a href="mailto:a@x.example">b</a> '
        '<a href="../index.html">c</a> <a href="projects/tama.html#answer">d</a>'
    )
    assert pagecheck.faults(page.replace("In short", links, 1)) == []
