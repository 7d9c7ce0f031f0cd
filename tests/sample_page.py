"""A small report for tests: every kind of output, with figures small enough to check by hand."""

from __future__ import annotations

from types import SimpleNamespace

import pandas as pd
from matplotlib.figure import Figure
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from clusterpolicy import report, tables

RECORD = {
    "result_id": "t1-funded-broad-b2000-all-cells",
    "term": 1,
    "outcome": "product",
    "outcome_label": "output",
    "design": "triple difference",
    "role": "main",
    "base": "b2000",
    "clock": "funded",
    "fields_map": "broad",
    "sample": "all cells",
    "year": None,
    "estimate": 0.83,
    "low": -2.61,
    "high": 4.27,
    "unit": "percent",
    "level": 0.95,
    "p_value": 0.638,
    "smallest_p": 0.0001,
    "method": "permutation of targets over blocks",
    "draws": 9999,
    "std_error": 1.9,
    "adjusted_p": 0.76,
    "wild_p": 0.63,
    "vcov_group": "pref_code",
    "n_groups": 47,
    "mde": 4.84,
    "n_cells": 563,
    "n_targeted": 214,
    "n_blocks": 105,
    "n_observations": 5630,
    "baseline_years": "1996-2000",
    "term_years": "2001-2005",
    "pretrend_p": 0.43,
    "pretrend_detectable": 3.14,
    "grade": 3,
    "status": "estimated",
    "reason": "",
    "input_hash": "0123456789ab",
}

SPEC = report.PageSpec(
    name="term-1",
    title="Term 1: launch",
    parameters={"term": "1", "clock": "funded"},
    inputs={"data/raw/terms.csv": "ab" * 32},
    versions={"clusterpolicy": "0.1.0", "pandas": "3.1.1"},
    siblings=[("index.html", "The policy in one page"), ("term-2.html", "Term 2: development")],
)


# Texts that would run, load or disfigure something wherever they were not escaped.
HOSTILE = [
    "<script>alert(1)</script>",
    "<SCRIPT SRC=//x.example/x.js></SCRIPT>",
    "</script><script>alert(1)</script>",
    "</title><script>alert(1)</script>",
    "</style><script>alert(1)</script>",
    "</figure></main><script>alert(1)</script>",
    "</td></tr></table><img src=x onerror=alert(1)>",
    "<img src=x onerror=alert(1)>",
    "<img src='x' onerror='alert(1)'>",
    '"><img src=x onerror=alert(1)>',
    "'><img src=x onerror=alert(1)>",
    '" onmouseover="alert(1)',
    "' onfocus='alert(1)' autofocus='",
    "` onmouseover=`alert(1)`",
    "<svg onload=alert(1)>",
    "<svg><script>alert(1)</script></svg>",
    "<svg><animate onbegin=alert(1) attributeName=x></svg>",
    "<math><mtext></table><mglyph><style><img src=x onerror=alert(1)>",
    "<iframe src=javascript:alert(1)>",
    "<iframe srcdoc='<script>alert(1)</script>'>",
    "<object data=javascript:alert(1)>",
    "<embed src=javascript:alert(1)>",
    "<a href=javascript:alert(1)>press</a>",
    "<a href='jAvAsCrIpT:alert(1)'>press</a>",
    "javascript:alert(1)",
    "[press](javascript:alert(1))",
    "![x](javascript:alert(1))",
    "<javascript:alert(1)>",
    "<body onload=alert(1)>",
    "<input autofocus onfocus=alert(1)>",
    "<details open ontoggle=alert(1)>",
    "<video><source onerror=alert(1)>",
    "<form action=javascript:alert(1)><input type=submit>",
    "<meta http-equiv=refresh content='0;url=javascript:alert(1)'>",
    "<link rel=stylesheet href=//x.example/x.css>",
    "<base href=//x.example/>",
    "<style>*{background:url(//x.example/x)}</style>",
    "<div style=\"background:url('javascript:alert(1)')\">",
    "<!--><script>alert(1)</script>-->",
    "--><script>alert(1)</script>",
    "<![CDATA[<script>alert(1)</script>]]>",
    "]]><script>alert(1)</script>",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "&#60;script&#62;alert(1)&#60;/script&#62;",
    "# A heading\n\n**bold** <b>bold</b>",
    "$\\href{javascript:alert(1)}{x}$",
    "{{ 7 * 7 }} {% include '/etc/passwd' %} ${7*7}",
    "<table><caption>Styler</caption></table>",
    "\x00<script>\x00alert(1)</script>",
    "\u202e<script>alert(1)</script>",
    "＜script＞alert(1)＜/script＞",
    "日本<script>alert(1)</script>語",
    '=HYPERLINK("javascript:alert(1)","press")',
]


def chart(**changes):
    """Return a chart of two lines with one Japanese label."""
    figure = Figure(figsize=(4, 2))
    axes = figure.add_subplot()
    axes.plot([2000, 2001, 2002], [0, 1.5, -1.5], marker="o")
    axes.plot([2000, 2001, 2002], [0, 0.5, 0.25], linestyle="--")
    axes.set_title("Growth")
    parts = {
        "figure": figure,
        "alt": "Targeted cells fall to −1.5 in FY2002 while others stay near zero.",
        "data": pd.DataFrame({"fy": [2000, 2001, 2002], "targeted": [0, 1.5, -1.5]}),
        "unit": "percent",
        "years": "FY2000-02",
        "source": "Cabinet Office, prefectural accounts",
    }
    return SimpleNamespace(**{**parts, **changes})


def table(**changes):
    """Return a table with a hidden, a missing and a negative value."""
    parts = {
        "data": pd.DataFrame(
            {
                "name_en": ["Hokkaido", "Aomori", "Tokyo"],
                "name_ja": ["北海道", "青森県", "東京都"],
                "change": [1234.5, -0.25, None],
                "plants": [8394, "X", 20115],
            }
        ),
        "columns": (
            tables.Column("name_en", "Prefecture"),
            tables.Column("name_ja", "Name"),
            tables.Column("change", "Change", unit="percent", kind="signed", decimals=1),
            tables.Column("plants", "Plants", kind="number"),
        ),
        "unit": "as headed",
        "years": "2001",
        "source": "METI, Census of Manufactures",
        "symbols": (("X", "hidden by the publisher"),),
    }
    return tables.Table(**{**parts, **changes})


def wide_table(years=24):
    """Return a table with a row per prefecture and a column per year."""
    columns = [str(year) for year in range(1997, 1997 + years)]
    rows = [
        {
            "name": f"Prefecture {place:02d}",
            **{c: 1_000_000 + 1000 * place + int(c) for c in columns},
        }
        for place in range(1, 48)
    ]
    labels = {"name": "Prefecture", **{column: column for column in columns}}
    return tables.plain_table(pd.DataFrame(rows), labels, "million yen", "METI", years="1997-2020")


class Builder:
    """Collects what `report` displays and makes a notebook of it."""

    def __init__(self):
        self.cells = []
        self._shown = []

    def display(self, data, raw, metadata):
        """Stand in for the display of a kernel."""
        assert raw
        self._shown.append(new_output("display_data", data=data, metadata=metadata))

    def markdown(self, source):
        """Add a markdown cell."""
        self.cells.append(new_markdown_cell(source))

    def code(self, source, *calls, outputs=()):
        """Add a code cell with what the calls display, and further outputs as they are."""
        for call in calls:
            call()
        self.cells.append(new_code_cell(source, outputs=[*self._shown, *outputs]))
        self._shown = []

    def shown(self):
        """Return the outputs displayed since the last cell."""
        shown, self._shown = self._shown, []
        return shown

    def page(self, spec=SPEC):
        """Return the page of the cells collected."""
        return report.page(new_notebook(cells=self.cells), spec)


PHRASES = [
    {
        "phrase": "some 20 projects",
        "verdict": "supported",
        "grade": 1,
        "sentence": "Sources name 19.",
    },
    {
        "phrase": "each face is visible",
        "verdict": "cannot be judged here",
        "grade": 0,
        "sentence": "No public figure.",
    },
]
CARD = {
    "name": "term-2",
    "href": "term-2.html",
    "title": "Term 2",
    "answer": "No effect detectable.",
    "verdict": "not supported",
}


def fill(builder):
    """Add one of everything."""
    builder.markdown("# What term 1 changed\n\nIn short: see [@fig-growth] and [@tab-plants].")
    builder.code("from clusterpolicy import report")
    builder.code(
        "report.answer(lines)",
        lambda: report.answer(["First line.", "Second.", "Third.", "Fourth.", "Fifth."]),
    )
    builder.code("report.scorecard(rows)", lambda: report.scorecard(PHRASES))
    builder.code(
        "report.evidence_for_and_against(**weighed)",
        lambda: report.evidence_for_and_against("Many cells.", "Our map.", "Members' records."),
    )
    builder.markdown(
        "## Growth of 産業クラスター\n\nThe model is $\\log y_{pit} = \\beta D_{pit}$."
    )
    builder.code(
        'report.show(chart, caption="Growth of both groups", name="growth")',
        lambda: report.show(chart(), "Growth of both groups", "growth"),
        lambda: report.say(report.effect_sentence(RECORD)),
    )
    builder.markdown("### By prefecture")
    builder.code(
        "report.show(table)",
        lambda: report.show(table(), "Plants and their change by prefecture", "plants"),
    )
    builder.markdown("## All years")
    builder.code("report.show(wide)", lambda: report.show(wide_table(), "All years", "years"))
    builder.code(
        "report.cards(cards)", lambda: report.cards([CARD]), lambda: report.how_to_read(5.0)
    )
    return builder


def hostile_page(builder, text):
    """Put a text wherever data, facts, parameters and titles come in."""
    long = f"{text} and what a reader would notice"
    builder.markdown("# One title\n\n## A heading")
    report.say(text, long)
    report.answer([text] * 5)
    row = {"phrase": text, "verdict": "supported", "grade": 1, "sentence": text}
    report.scorecard([row])
    report.evidence_for_and_against(text, text, text)
    report.cards([{"name": "a", "href": "a.html", "title": text, "answer": text}])
    hostile_chart = chart(
        figure=Figure(figsize=(1, 1)),
        alt=long,
        data=pd.DataFrame({text: [text]}),
        unit=text,
        years=text,
        source=text,
    )
    report.show(hostile_chart, f"A caption: {text}", "growth")
    columns = (
        tables.Column("a", f"Label {text}", unit=text),
        tables.Column("b", "Address", kind="link"),
        tables.Column("c", "Number", kind="number", missing="…"),
    )
    data = pd.DataFrame({"a": [text], "b": [text], "c": [text]})
    item = tables.Table(data, columns, text, text, text, ((text, text),), file=text)
    report.show(item, f"A caption: {text}", "plants")
    builder.code("hostile()")
    spec = report.PageSpec(
        name="term-1",
        title=text,
        parameters={text: text},
        inputs={text: text},
        versions={"clusterpolicy": text, text: text},
        siblings=[("index.html", text)],
    )
    return builder.page(spec)
