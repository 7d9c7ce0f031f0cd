"""A changed figure changes sentence, table and chart alike; a broken one changes no page."""

import base64
import csv
import html
import io
import re
import subprocess
import sys
import urllib.parse

import pandas as pd
import pytest
from conftest import copy_study, outside

from clusterpolicy import wording

pytestmark = pytest.mark.slow

CELLS = "cell_product_b2000.csv"
TOTALS = "prefecture_product.csv"
# Chemicals in Toyama in a year of the first term: seen, positive and not targeted by it.
PREFECTURE, INDUSTRY, YEAR = "16", "chemicals", "2003"
MAIN = "t1-funded-broad-b2000-all-cells"


class Copy:
    """A copy of a study that is built, and built again by the command that ``make`` runs."""

    def __init__(self, folder):
        self.folder = folder

    def build(self):
        return subprocess.run(
            [sys.executable, "-m", "clusterpolicy", "report", "term-1", "data-quality"],
            cwd=self.folder,
            env=outside(self.folder),
            capture_output=True,
            encoding="utf-8",
            timeout=900,
        )

    def pages(self):
        folder = self.folder / "reports"
        return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    def estimate(self):
        """Return the main estimate as it stands in the results."""
        table = pd.read_csv(self.folder / "data" / "results" / "term-1.csv")
        return table.set_index("result_id").loc[MAIN]

    def edit(self, name, change):
        """Let `change` alter the rows of a raw table, header first."""
        path = self.folder / "data" / "raw" / name
        rows = list(csv.reader(io.StringIO(path.read_text(encoding="utf-8"))))
        found = change(rows)
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(rows)
        path.write_text(text.getvalue(), encoding="utf-8", newline="")
        return found


def raise_cell(rows):
    """Multiply one cell by ten; return by how many million yen it grew."""
    column = rows[0].index(YEAR)
    [row] = [row for row in rows if row[:2] == [PREFECTURE, INDUSTRY]]
    before = int(row[column])
    row[column] = str(10 * before)
    return 9 * before


def raise_total(growth):
    """Return a change that lets the totals of the prefecture grow by as much."""

    def change(rows):
        header = rows[0]
        key = [header.index(name) for name in ("pref_code", "fy", "base")]
        [row] = [row for row in rows if [row[i] for i in key] == [PREFECTURE, YEAR, "b2000"]]
        for name in ("manufacturing_million_yen", "total_million_yen"):
            row[header.index(name)] = str(int(row[header.index(name)]) + growth)

    return change


class Page:
    """What a reader finds on a page: its text, its tables and the data behind its charts."""

    def __init__(self, data):
        self.source = data.decode("utf-8")

    @property
    def text(self):
        return plain(self.source)

    def table(self, name):
        """Return the printed rows of a table, each by the heading of its columns."""
        figure = re.search(rf'<figure[^>]* id="tab-{name}".*?</figure>', self.source, re.DOTALL)
        rows = re.findall(r"<tr.*?</tr>", figure.group(), re.DOTALL)
        header, *body = [
            [plain(cell) for cell in re.findall(r"<t[hd].*?</t[hd]>", row, re.DOTALL)]
            for row in rows
        ]
        return [dict(zip(header, row, strict=True)) for row in body]

    def data(self, name):
        """Return the data offered with a chart or table."""
        link = re.search(
            rf'download="{name}\.csv" href="data:text/csv;charset=utf-8([^"]*)"', self.source
        )
        coded = html.unescape(link.group(1))
        if coded.startswith(";base64,"):
            content = base64.b64decode(coded.removeprefix(";base64,")).decode("utf-8-sig")
        else:
            content = urllib.parse.unquote(coded.removeprefix(",")).lstrip("\ufeff")
        return pd.read_csv(io.StringIO(content))


def plain(source):
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]*>", " ", source))).strip()


@pytest.fixture(scope="module")
def copy(built, tmp_path_factory):
    """Copy with a finished build; the tests of this file follow one another on it."""
    return Copy(copy_study(built, tmp_path_factory.mktemp("change") / "変更 of a figure"))


@pytest.fixture(scope="module")
def first(copy):
    """The main estimate of the first build and its page."""
    return copy.estimate(), Page(copy.pages()["term-1.html"])


@pytest.fixture(scope="module")
def second(copy, first):
    """The main estimate and page after one figure has changed, in both tables that hold it."""
    growth = copy.edit(CELLS, raise_cell)
    copy.edit(TOTALS, raise_total(growth))
    done = copy.build()
    assert done.returncode == 0, done.stderr
    return copy.estimate(), Page(copy.pages()["term-1.html"])


def sentence_of(estimate):
    return wording.effect_sentence(estimate.fillna({"reason": ""}))


def printed(estimate):
    return wording.format_number(estimate["estimate"], 1, sign=True)


def test_the_change_moves_the_printed_number(first, second):
    assert printed(first[0]) != printed(second[0])
    assert first[0]["input_hash"] != second[0]["input_hash"]


@pytest.mark.parametrize("build", ["first", "second"])
def test_sentence_table_and_chart_print_the_estimate_of_the_results(build, request):
    estimate, page = request.getfixturevalue(build)

    assert page.text.count(sentence_of(estimate)) >= 2  # in the answer, and where it is explained

    [row] = [row for row in page.table("other-refits") if row["Refit"] == "main estimate"]
    assert row["Estimate"] == printed(estimate)

    forest = page.data("forest").set_index("label").loc["either clock, broad, base 2000"]
    for column in ("estimate", "low", "high"):
        assert forest[column] == estimate[column]

    checked = page.data("check-numbers").set_index("result_id").loc[MAIN]
    assert checked["estimate"] == estimate["estimate"]
    assert checked["input_hash"] == estimate["input_hash"]


def test_no_trace_of_the_old_number_is_left(first, second):
    assert sentence_of(first[0]) not in second[1].text
    assert first[0]["input_hash"] not in second[1].source


def test_a_row_repeated_stops_the_build_and_leaves_the_old_pages(copy, second):
    before = copy.pages()
    assert {"term-1.html", "data-quality.html"} <= set(before)
    lines = copy.edit(CELLS, lambda rows: rows.append(rows[1]) or len(rows))
    done = copy.build()
    assert done.returncode == 3
    assert done.stderr.splitlines() == [
        f"data/raw/{CELLS}:{lines}: column pref_code+industry: found '01, food': same pref_code, "
        "industry as line 2: remove one of the two rows"
    ]
    assert copy.pages() == before


def test_once_mended_the_same_pages_come_back_byte_by_byte(copy, second):
    before = copy.pages()
    copy.edit(CELLS, lambda rows: rows.pop())
    done = copy.build()
    assert done.returncode == 0, done.stderr
    assert copy.pages() == before


def test_a_table_the_report_never_looks_at_leaves_it_alone(copy, second):
    copy.edit("glossary.csv", lambda rows: rows[1].__setitem__(2, "the programme as a whole"))
    done = copy.build()
    assert done.returncode == 0, done.stderr
    log = done.stdout + done.stderr
    assert "data-quality: built" in log
    assert "term-1: built" not in log
