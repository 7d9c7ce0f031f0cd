"""Every estimate that a published page prints is a record of data/results, after its rounding.

The pages in ``reports/`` are walked as a reader meets them: sentences, alternative texts, tables,
and the data behind figures and tables. Where no page has been built, there is nothing to walk.
"""

import base64
import html
import io
import re
import urllib.parse

import pandas as pd
import pytest
from conftest import ROOT

from clusterpolicy import results, sources
from clusterpolicy.wording import format_number

REPORTS = ROOT / "reports"
PAGES = sorted(
    path.relative_to(REPORTS).with_suffix("").as_posix() for path in REPORTS.glob("**/*.html")
)
ESTIMATING = [name for name in PAGES if name.startswith(("index", "term-", "projects/"))]
NUMBER = r"[+−]?\d[\d,]*\.\d+"
VALUES = ["estimate", "low", "high", "band_low", "band_high", "mde", "p_value", "smallest_p"]
# An estimate, and the same without the cell that moves it most.
INTERVALS = (
    ["estimate", "low", "high"],
    ["without_estimate", "without_low", "without_high"],
)
FIGURES = ("forest", "event-study", "selection")

IS_TERM = re.compile(r"<body id=\"term-\d-page\"")
IS_ESTIMATED = re.compile(r"<body id=\"(term-\d|index)-page\"")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def records():
    names = sorted(path.stem for path in sources.RESULTS.glob("*.csv"))
    found = results.load_results([name for name in names if _holds_estimates(name)])
    # A project's record stands in its own file and in its term's: the same to the last digit.
    found = found.drop_duplicates(ignore_index=True)
    repeated = found.loc[found["result_id"].duplicated(), "result_id"]
    assert repeated.empty, f"two records under one name: {', '.join(repeated[:3])}"
    return found


def _holds_estimates(name):
    header = (sources.RESULTS / f"{name}.csv").read_text(encoding="utf-8").partition("\n")[0]
    return {"result_id", "design", "estimate"} <= set(header.split(","))


@pytest.fixture(params=ESTIMATING or ["none"])
def page(request, records):
    if not ESTIMATING:
        pytest.skip("no reports have been built here: run `make report` first")
    return (REPORTS / f"{request.param}.html").read_text(encoding="utf-8")


def plain(markup):
    return html.unescape(re.sub(r"<[^>]+>", " ", markup))


def roundings(values, decimals=(1, 2)):
    """Every way in which a page may print these values: decimals, with and without a plus."""
    shown = {
        format_number(value, places, sign)
        for value in values
        for places in decimals
        for sign in (False, True)
    }
    return shown | {text.lstrip("+−") for text in shown}


def downloads(page):
    """Name and table of each data link."""
    for name, address in re.findall(r'download="([^"]+)"[^>]*href="(data:[^"]*)"', page):
        head, _, body = html.unescape(address).partition(",")
        content = (
            base64.b64decode(body).decode() if "base64" in head else urllib.parse.unquote(body)
        )
        yield name.removesuffix(".csv"), pd.read_csv(io.StringIO(content))


def test_every_interval_in_words_is_that_of_one_record(page, records):
    """Size and both ends are found together in a record, not each somewhere."""
    known = {
        (
            format_number(abs(estimate), places),
            format_number(low, places),
            format_number(high, places),
        )
        for names in INTERVALS
        for estimate, low, high in records[names].itertuples(index=False)
        for places in (1, 2)
    }
    text = plain(re.sub(r"<(svg|style|pre)\b.*?</\1>", " ", page, flags=re.S)).replace("\xa0", " ")
    # "+0.8 percent (−4.6 to 6.5)" and "0.8 percent more than ... (95 % interval −4.6 to 6.5".
    said = re.findall(
        rf"({NUMBER}) (?:percent|standard deviations)[^().]*?"
        rf"\((?:95 % interval )?({NUMBER}) to ({NUMBER})",
        text,
    )
    assert said
    assert {(size.lstrip("+−"), low, high) for size, low, high in said} <= known


def test_every_number_of_an_alternative_text_is_in_its_data(page):
    tables = dict(downloads(page))
    for name in FIGURES:
        alt = re.search(rf'<desc id="fig-{name}-alt">(.*?)</desc>', page)
        if alt is None:
            continue
        values = tables[name].select_dtypes("number").to_numpy().ravel()
        shown = roundings(pd.Series(values).dropna())
        assert set(re.findall(NUMBER, html.unescape(alt[1]))) <= shown, name


def test_the_data_behind_figures_and_tables_are_the_records(page, records):
    walked = 0
    for name, table in downloads(page):
        present = [column for column in VALUES if column in table.columns]
        if name not in ("forest", "event-study", "robustness", "check-numbers") or not present:
            continue
        known = {
            tuple(None if pd.isna(value) else round(value, 9) for value in row)
            for row in records[present].itertuples(index=False)
        }
        for row in table[present].itertuples(index=False):
            assert tuple(None if pd.isna(value) else round(value, 9) for value in row) in known
            walked += 1
    by_name = records.set_index("result_id")
    for name, table in downloads(page):
        present = [column for column in VALUES if column in table.columns]
        if "result_id" not in table.columns or not present:
            continue
        for row in table.to_dict("records"):
            for column in present:
                stored = by_name.at[row["result_id"], column]
                assert row[column] == pytest.approx(stored, rel=1e-3, nan_ok=True), (name, row)
                walked += 1
    assert walked or not IS_ESTIMATED.search(page)


def test_every_cell_of_the_list_of_numbers_is_its_record(page, records):
    figure = re.search(r'id="tab-check-numbers".*?<tbody>(.*?)</tbody>', page, re.S)
    if figure is None:
        assert not IS_TERM.search(page)  # the overview and the projects leave the list to the terms
        return
    known = records.set_index("result_id")
    rows = re.findall(r"<tr>(.*?)</tr>", figure[1], re.S)
    assert rows
    for row in rows:
        cells = [plain(cell).strip() for cell in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row)]
        record = known.loc[cells[0].replace(" ", "")]
        if record["status"] != "estimated":
            assert "n.e." in cells
            continue
        expected = [format_number(record[each], 2, True) for each in ("estimate", "low", "high")]
        assert [cell for cell in cells if re.fullmatch(rf"{NUMBER}", cell)][:3] == expected


def test_the_landscape_of_the_overview_is_its_records(records):
    """Movers and concentration print what data/results/landscape.csv holds, each by its label."""
    tables = dict(downloads((ROOT / "reports/index.html").read_text(encoding="utf-8")))
    land = pd.read_csv(sources.RESULTS / "landscape.csv")
    for name, measure, prefix in (
        ("movers", "growth beyond the industry elsewhere", "excess_shrunk_"),
        ("concentration", "Ellison-Glaeser index", "eg_"),
    ):
        known = land[land["measure"] == measure].set_index("label")
        assert len(tables[name]) >= 10
        for row in tables[name].to_dict("records"):
            for end in ("low", "high"):
                assert row[f"{prefix}{end}"] == pytest.approx(known.at[row["label"], end], rel=1e-9)
