"""e-Stat is asked page by page, its marks are kept, and its app id is never shown."""

import json
import logging
import time
import traceback

import pandas as pd
import pytest
from loopback import cut_off, drip, hang_up, redirect, serving, status, whole

from clusterpolicy import __main__, sources
from clusterpolicy.finerdata import estat, later
from clusterpolicy.run.publishing import Workspace

APP_ID = "0123456789abcdef0123456789abcdef01234567"
DATA, META = "/rest/getStatsData", "/rest/getMetaInfo"
TABLE = "0003325921"
PREFECTURES = sources.read_raw("prefectures")
CLASSES = {
    "CLASS_OBJ": [
        {
            "@id": "cat01",
            "@name": "item",
            "CLASS": {"@code": "17", "@name": "establishments", "@level": "1"},
        },
        {
            "@id": "area",
            "@name": "area",
            "CLASS": [
                {"@code": "00015", "@name": "全国計(2015年)", "@level": "1"},
                {"@code": "03000", "@name": "北海道", "@level": "2", "@parentCode": "02000"},
                {"@code": "03100", "@name": "札幌市", "@level": "3", "@parentCode": "03000"},
                {"@code": "04000", "@name": "青森", "@level": "2", "@parentCode": "02000"},
            ],
        },
    ]
}
AREA = CLASSES["CLASS_OBJ"][0]["CLASS"]
CELLS = [
    {"@cat01": "17", "@area": "00015", "$": "1,208"},
    {"@cat01": "17", "@area": "03000", "$": "5189"},
    {"@cat01": "17", "@area": "03100", "$": "X"},
    {"@cat01": "17", "@area": "04000", "$": "-", "@unit": "所"},
]
NOTES = [{"@char": "X", "$": "秘匿"}, {"@char": "-", "$": "該当数字なし"}]


def page(cells=CELLS, total=None, following=None, notes=NOTES, classes=CLASSES, state=0):
    about = {"TOTAL_NUMBER": len(cells) if total is None else total}
    if following:
        about["NEXT_KEY"] = following
    inside = {
        "RESULT": {"STATUS": state, "ERROR_MSG": "正常に終了しました。"},
        "STATISTICAL_DATA": {
            "RESULT_INF": about,
            "CLASS_INF": classes,
            "DATA_INF": {"NOTE": notes, "VALUE": cells},
        },
    }
    return json.dumps({"GET_STATS_DATA": inside}).encode()


def refusal(state, text="認証に失敗しました。"):
    return json.dumps({"GET_STATS_DATA": {"RESULT": {"STATUS": state, "ERROR_MSG": text}}}).encode()


@pytest.fixture
def server():
    with serving() as told:
        yield told


@pytest.fixture
def client(server):
    return estat.Client(APP_ID, f"{server.address}/rest", timeout=2, attempts=3, first_wait=0.01)


def test_figures_marks_and_names_are_told_apart(server, client):
    server.answers[DATA] = [whole(page())]
    found = estat.get_data(client, TABLE)
    assert found["printed"].tolist() == ["1,208", "5189", "X", "-"]
    assert found["status"].tolist() == ["observed", "observed", "hidden", "nil"]
    assert found["value"].dropna().tolist() == [1208, 5189]
    assert found["area_name"].tolist() == ["全国計(2015年)", "北海道", "札幌市", "青森"]
    assert found["unit"].tolist() == ["", "", "", "所"]
    assert server.queries()[0]["appId"] == APP_ID


def test_one_of_anything_comes_as_an_object_and_is_read_like_a_list(server, client):
    classes = {"CLASS_OBJ": CLASSES["CLASS_OBJ"][0]}
    single = page({"@cat01": "17", "$": "5"}, 1, notes=NOTES[0], classes=classes)
    server.answers[DATA] = [whole(single)]
    found = estat.get_data(client, TABLE)
    assert found[["cat01", "cat01_name", "value"]].values.tolist() == [["17", "establishments", 5]]


def test_pages_are_followed_to_the_last(server, client):
    server.answers[DATA] = [
        whole(page(CELLS[:2], 4, following=3)),
        whole(page(CELLS[2:3], 4, following=4)),
        whole(page(CELLS[3], 4)),
    ]
    assert estat.get_data(client, TABLE, cdCat01="17")["area"].tolist() == [
        "00015",
        "03000",
        "03100",
        "04000",
    ]
    assert [query["startPosition"] for query in server.queries()] == ["1", "3", "4"]
    assert {query["cdCat01"] for query in server.queries()} == {"17"}


def test_nothing_that_matches_is_an_empty_table_and_no_error(server, client):
    empty = {"RESULT": {"STATUS": 1, "ERROR_MSG": "該当データはありませんでした。"}}
    server.answers[DATA] = [whole(json.dumps({"GET_STATS_DATA": empty}).encode())]
    assert estat.get_data(client, TABLE).empty


def test_a_part_that_does_not_match_is_no_error(server, client):
    server.answers[DATA] = [whole(page(state=2))]
    assert len(estat.get_data(client, TABLE)) == 4


def test_classes_are_listed_with_level_and_parent(server, client):
    about = {"TITLE": {"@no": "3-01", "$": "title"}, "SURVEY_DATE": "201701-201712"}
    inside = {
        "RESULT": {"STATUS": 0, "ERROR_MSG": ""},
        "METADATA_INF": {"TABLE_INF": about, "CLASS_INF": CLASSES},
    }
    server.answers[META] = [whole(json.dumps({"GET_META_INFO": inside}).encode())]
    found = estat.get_meta(client, TABLE)
    assert found.attrs == {"title": "title", "survey": "201701-201712"}
    sapporo = found[found["code"] == "03100"].iloc[0]
    assert sapporo[["axis", "name", "level", "parent"]].tolist() == ["area", "札幌市", "3", "03000"]
    assert found[found["axis"] == "cat01"]["parent"].tolist() == [""]


def test_area_codes_are_the_standard_ones_plus_two(server, client):
    server.answers[DATA] = [whole(page())]
    found = estat.get_data(client, TABLE)
    assert estat.standard_areas(found, PREFECTURES).tolist() == ["00000", "01000", "01100", "02000"]
    unshifted = found.assign(area=found["area"].replace({"03000": "01000"}))
    with pytest.raises(sources.DataFault, match=r"area 01000: found '北海道', which is not"):
        estat.standard_areas(unshifted, PREFECTURES)


# ---- Misbehaviour ----------------------------------------------------------------------------

PASSING = {
    "500": status(500),
    "503 with a page": status(503, b"<html>busy</html>"),
    "hang up": hang_up,
    "truncated": cut_off(page(), 100),
    "truncated JSON": whole(page()[:-20]),
    "garbage": whole(b"\x00\xff\xfe garbage"),
    "HTML": whole(b"<!DOCTYPE html><html></html>"),
    "other JSON": whole(b'{"a": 1}'),
    "empty": whole(b""),
}


@pytest.mark.parametrize("fault", PASSING.values(), ids=PASSING)
def test_a_passing_fault_is_tried_again(server, client, fault):
    server.answers[DATA] = [fault, fault, whole(page())]
    assert len(estat.get_data(client, TABLE)) == 4
    assert len(server.asked) == 3


@pytest.mark.parametrize("fault", PASSING.values(), ids=PASSING)
def test_a_lasting_fault_is_one_line_after_the_last_attempt(server, client, fault):
    server.answers[DATA] = [fault]
    with pytest.raises(sources.InputMissing) as raised:
        estat.get_data(client, TABLE)
    line = str(raised.value)
    assert line.startswith(f"e-Stat table {TABLE}: no usable answer (")
    assert "\n" not in line
    assert len(server.asked) == 3


def test_an_answer_that_never_ends_is_given_up_in_time(server):
    server.answers[DATA] = [drip(page(), 0.05)]
    client = estat.Client(APP_ID, f"{server.address}/rest", 0.3, attempts=2, first_wait=0.01)
    began = time.monotonic()
    with pytest.raises(sources.InputMissing, match="timed out"):
        estat.get_data(client, TABLE)
    assert time.monotonic() - began < 3


def test_waits_grow_between_attempts(server, client, monkeypatch):
    waits = []
    monkeypatch.setattr(estat.time, "sleep", waits.append)
    server.answers[DATA] = [status(500)]
    with pytest.raises(sources.InputMissing, match="HTTP 500"):
        estat.get_data(client, TABLE)
    assert waits == [0.01, 0.02]


@pytest.mark.parametrize("code", [200, 403])
def test_a_refusal_is_final_and_says_why(server, client, code):
    server.answers[DATA] = [status(code, refusal(100))]
    with pytest.raises(
        estat.Refused, match=r"STATUS 100 \(認証に失敗しました。\): check ESTAT_APP"
    ):
        estat.get_data(client, TABLE)
    assert len(server.asked) == 1


def test_403_without_a_reason_is_final_too(server, client):
    server.answers[DATA] = [status(403, b"<html>Forbidden</html>")]
    with pytest.raises(sources.InputMissing, match="HTTP 403"):
        estat.get_data(client, TABLE)
    assert len(server.asked) == 1


def test_no_redirection_is_followed_with_the_app_id(server, client):
    with serving() as other:
        other.answers["/x"] = [whole(page())]
        server.answers[DATA] = [redirect(f"{other.address}/x?appId={APP_ID}")]
        with pytest.raises(sources.InputMissing, match="HTTP 302"):
            estat.get_data(client, TABLE)
        assert other.asked == []


NONSENSE = {
    "fewer than promised": (page(total=9), "found 4 of 9 figures"),
    "page after itself": (page(total=9, following=1), "NEXT_KEY 1 after 1"),
    "code not explained": (page([{**CELLS[0], "@area": "99"}]), "code 99 of area is not explained"),
    "code explained twice": (
        page(classes={"CLASS_OBJ": [{**CLASSES["CLASS_OBJ"][0], "CLASS": [AREA, AREA]}]}),
        "code 17 of cat01 twice",
    ),
    "figure without area": (page([{"@cat01": "17", "$": "1"}]), "figures without"),
    "figure twice": (page(CELLS[:1] * 2), "a figure twice"),
    "no number of rows": (page(total="many"), "garbles"),
}


@pytest.mark.parametrize(("content", "message"), NONSENSE.values(), ids=NONSENSE)
def test_an_answer_that_contradicts_itself_is_refused(server, client, content, message):
    server.answers[DATA] = [whole(content)]
    with pytest.raises(sources.InputMissing, match=message):
        estat.get_data(client, TABLE)


def test_a_mark_that_nobody_explains_is_refused(server, client):
    server.answers[DATA] = [whole(page([{**CELLS[0], "$": "?"}]))]
    with pytest.raises(sources.DataFault, match=rf"e-Stat table {TABLE}: row 1: found '\?'"):
        estat.get_data(client, TABLE)


def test_a_mark_means_what_the_table_says(server, client):
    notes = [{"@char": "-", "$": "調査していないもの"}]
    server.answers[DATA] = [whole(page(CELLS[3], 1, notes=notes))]
    assert estat.get_data(client, TABLE)["status"].tolist() == ["not collected"]


# ---- The app id ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fault",
    [
        *PASSING.values(),
        status(404),
        status(403, refusal(100, f"appId={APP_ID} は無効です")),
        status(403, f"appId={APP_ID}".encode()),
        redirect(f"/rest/elsewhere?appId={APP_ID}"),
    ],
)
def test_the_app_id_is_in_no_error_traceback_log_or_output(server, client, fault, caplog, capsys):
    caplog.set_level(logging.DEBUG)
    server.answers[DATA] = [fault]
    with pytest.raises(sources.InputMissing) as raised:
        estat.get_data(client, TABLE)
    told = "".join(traceback.format_exception(raised.value))
    error = raised.value
    while error is not None:  # not even where a debugger would find it
        told += repr(error) + repr(vars(error))
        error = error.__cause__ or error.__context__
    printed = capsys.readouterr()
    assert APP_ID not in told + caplog.text + printed.out + printed.err
    assert APP_ID not in repr(client)


def test_without_an_app_id_one_line_says_so(monkeypatch):
    monkeypatch.delenv(estat.APP_ID, raising=False)
    with pytest.raises(sources.InputMissing, match=r"^ESTAT_APP_ID: not set: register at e-Stat"):
        estat.from_environment()
    monkeypatch.setenv(estat.APP_ID, " abc def ")
    with pytest.raises(sources.InputMissing, match="not an app id") as raised:
        estat.from_environment()
    assert "abc" not in str(raised.value)
    monkeypatch.setenv(estat.APP_ID, f"{APP_ID}\n")
    assert estat.from_environment().app_id == APP_ID


@pytest.mark.parametrize(
    ("table", "filters", "message"),
    [
        ("123", {}, "write its ten digits"),
        ("0003325921&x=1", {}, "write its ten digits"),
        (TABLE, {"appId": "x"}, "set by the client"),
        (TABLE, {"cdArea": "1&2"}, "write a code"),
    ],
)
def test_only_codes_go_into_the_address(client, server, table, filters, message):
    with pytest.raises(ValueError, match=message):
        estat.get_data(client, table, **filters)
    assert server.asked == []


# ---- The captured and rebuilt answers --------------------------------------------------------


@pytest.fixture
def example(shared):
    return lambda name: (shared / "facts" / "estat_examples" / name).read_bytes()


def test_the_captured_classes_are_read(server, client, example):
    server.answers[META] = [whole(example("getMetaInfo_0003448119.json"))]
    found = estat.get_meta(client, "0003448119")
    assert found.groupby("axis").size().to_dict() == {"area": 73, "cat01": 6, "cat02": 25}
    assert found.attrs["survey"] == "202001-202012"
    areas = found[found["axis"] == "area"]
    codes = estat.standard_areas(areas, PREFECTURES)
    assert set(PREFECTURES["pref_code"] + "000") <= set(codes)
    names = dict(zip(areas["name"], codes, strict=True))
    assert (names["札幌市"], names["福岡市"], names["沖縄"]) == ("01100", "40130", "47000")


def test_the_rebuilt_figures_add_up_to_the_prefecture(server, client, example):
    content = json.loads(example("getStatsData_0003325921_rebuilt_excerpt.json"))
    inside = content["GET_STATS_DATA"]["STATISTICAL_DATA"]
    cells, about = inside["DATA_INF"]["VALUE"], inside["RESULT_INF"]
    pages = []
    for start in range(0, len(cells), 60):  # as if the table came in pages
        following = start + 61
        inside["DATA_INF"]["VALUE"] = cells[start : start + 60]
        inside["RESULT_INF"] = dict(about, **({"NEXT_KEY": following} if following < 150 else {}))
        pages.append(whole(json.dumps(content).encode()))
    server.answers[DATA] = pages
    found = estat.get_data(client, TABLE)
    assert len(found) == 150
    assert found["status"].value_counts()[["observed", "hidden"]].tolist() == [148, 2]
    plants = found[found["cat01_name"] == "事業所数"].set_index(["area_name", "cat02"])["value"]
    for area, total in (("北海道", 5189), ("青森", plants["青森", "00"])):
        assert plants[area, "00"] == total
        assert plants[area].drop("00").sum() == total


@pytest.mark.parametrize("code", [200, 403])
def test_the_quoted_refusal_and_the_quoted_no_match_are_understood(server, client, example, code):
    server.answers[DATA] = [status(code, example("error_100_authentication.json"))]
    with pytest.raises(estat.Refused, match="STATUS 100"):
        estat.get_data(client, TABLE)
    server.answers[DATA] = [whole(example("status_1_no_match.json"))]
    assert estat.get_data(client, TABLE).empty


# ---- The command ------------------------------------------------------------------------------


def later_page(drop=()):
    """Return an answer with the 47 prefectures, as a listed table must have them."""
    areas = [
        {"@code": f"{code:02d}000", "@name": name, "@level": "2"}
        for code, name in enumerate(PREFECTURES["name_ja"], start=3)
        if name not in drop
    ]
    classes = {"CLASS_OBJ": [CLASSES["CLASS_OBJ"][0], {**CLASSES["CLASS_OBJ"][1], "CLASS": areas}]}
    cells = [{"@cat01": "17", "@area": each["@code"], "$": "5"} for each in areas]
    return whole(page([{**cells[0], "$": "X"}, *cells[1:]], classes=classes))


@pytest.fixture
def command(server, monkeypatch, tmp_path, capsys):
    """Return a function that runs ``python -m clusterpolicy estat`` against the server."""
    monkeypatch.setattr(estat, "ADDRESS", f"{server.address}/rest")
    monkeypatch.setattr(estat.time, "sleep", lambda seconds: None)
    monkeypatch.setattr(sources, "CLEAN", tmp_path / "clean")
    monkeypatch.setattr(__main__.signal, "signal", lambda number, handler: None)
    monkeypatch.setattr(__main__, "find_workspace", lambda: Workspace(tmp_path))
    monkeypatch.setenv(estat.APP_ID, APP_ID)

    def run(*tables):
        code = __main__.main(["estat", *tables])
        printed = capsys.readouterr()
        for path in tmp_path.rglob("*"):
            assert not path.is_file() or APP_ID.encode() not in path.read_bytes(), path
        assert APP_ID not in printed.out + printed.err
        return code, printed.out, printed.err

    return run


def test_the_command_fetches_the_listed_tables_into_a_package(server, command, tmp_path):
    server.answers[DATA] = [later_page()]
    code, told, error = command()
    assert (code, error) == (0, "")
    listed = later.read_list()
    assert told.count("\n") == len(listed) + 1
    assert told.startswith("e-Stat table 0003127833: 47 figures (listed with 10950)\n")
    assert [query["statsDataId"] for query in server.queries()] == listed["table_id"].tolist()
    folder = tmp_path / "clean" / "estat"
    table = pd.read_csv(folder / "estat_0003448119.csv", dtype=str, keep_default_na=False)
    first = table.iloc[0]
    assert first[["area_code", "reference_year", "printed", "value", "status"]].tolist() == [
        *("01000", "2019", "X", "", "hidden")
    ]
    described = json.loads((folder / "datapackage.json").read_text(encoding="utf-8"))
    assert len(described["resources"]) == len(listed)


def test_any_table_may_be_asked_for_and_those_before_stay(server, command, tmp_path):
    server.answers[DATA] = [whole(page())]
    assert command("0003109741")[0] == 0
    assert command("0003109742")[0] == 0
    assert sorted(path.name for path in (tmp_path / "clean" / "estat").glob("*.parquet")) == [
        "estat_0003109741.parquet",
        "estat_0003109742.parquet",
    ]


def test_a_listed_table_without_a_prefecture_is_refused_and_nothing_written(
    server, command, tmp_path
):
    server.answers[DATA] = [later_page(drop=("沖縄県", "青森県"))]
    code, _, error = command()
    assert code == 3
    assert error == (
        "e-Stat table 0003127833: found no figure of prefecture 02, 47: the table is not whole: "
        "ask again\n"
    )
    assert not (tmp_path / "clean").exists()


REFUSED = {
    "refusal": (status(403, refusal(100, f"appId={APP_ID}")), 4, "refused with STATUS 100"),
    "down": (status(503), 4, "no usable answer (HTTP 503)"),
    "echo": (status(400, f"bad appId={APP_ID}".encode()), 4, "no usable answer (HTTP 400)"),
    "redirected": (redirect(f"/rest/x?appId={APP_ID}"), 4, "no usable answer (HTTP 302)"),
    "no figure": (whole(page([], notes=[])), 3, "found no figure"),
    "unknown mark": (whole(page([{**CELLS[0], "$": "?"}])), 3, "row 1: found '?'"),
}


@pytest.mark.parametrize(("answer", "code", "message"), REFUSED.values(), ids=REFUSED)
def test_the_command_says_in_one_line_why_not(server, command, answer, code, message):
    server.answers[DATA] = [answer]
    found, _, error = command(TABLE)
    assert found == code
    assert message in error
    assert error.count("\n") == 1


def test_the_command_wants_an_app_id_and_ten_digits(server, command, monkeypatch):
    code, _, error = command(f"{TABLE}&appId={APP_ID[:4]}")
    assert (code, error.count("\n")) == (2, 1)
    assert "write its ten digits" in error
    monkeypatch.delenv(estat.APP_ID)
    code, _, error = command()
    assert code == 4
    assert error.startswith("ESTAT_APP_ID: not set: register at e-Stat (free)")
    assert server.asked == []
