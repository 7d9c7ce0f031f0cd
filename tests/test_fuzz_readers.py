"""However a file is damaged: the right table, or an error that names the file; never a wrong table.

Two things are asked of every reader. Alone, it may take damaged bytes only for what they say: each
error names the file, and a table that is returned has keys, statuses and figures that go together.
Behind the gate of SHA-256, which every external file passes, nothing but the published bytes is
read at all. Damage that leaves all cells in place (another order of rows, a column renamed, another
encoding) must be noticed by the reader itself, or do no harm.
"""

import hashlib
import io
import json
import zipfile
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
import real_files
import small_census
import small_workbook
import test_workbooks
from conftest import ROOT
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from clusterpolicy import sources
from clusterpolicy.checks import rules
from clusterpolicy.finerdata import census, downloads, estat, marks, municipalities, workbooks

PREFECTURES = sources.read_raw("prefectures")
INDUSTRIES = sources.read_raw("account_industries")
CODES = sources.read_raw("industry_codes")
FAULTS = (sources.DataFault, sources.InputMissing)
# The same examples in every run; a failing one is printed, not kept in a folder.
COMMON = settings(
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
FEW, MANY = settings(COMMON, max_examples=25), settings(COMMON, max_examples=60)


@dataclass(frozen=True)
class Reader:
    """One reader, a small file that it reads, and what its tables always are."""

    file: str
    content: bytes
    read: Callable
    sound: Callable
    is_text: bool = True


def keyed(*key):
    """Return a check that `key` is unique and that a value stands only where one was seen."""

    def check(table):
        assert not table.duplicated(list(key)).any()
        assert not table[list(key)].isna().any(axis=None)
        for column in table.columns:
            measure = "product_million_yen" if column == "status" else column[: -len("_status")]
            if column == "status" and "value" in table.columns:
                measure = "value"
            if column == "status" or column.endswith("_status"):
                is_seen = (table[column] == "observed").to_numpy()
                assert np.isfinite(table.loc[is_seen, measure].to_numpy()).all()
                assert table.loc[~is_seen, measure].isna().all()
        codes = [name for name in ("pref_code",) if name in table.columns]
        assert table[codes].isin(set(PREFECTURES["pref_code"])).all(axis=None)

    return check


def raw_reader(name):
    lines = (ROOT / "data" / "raw" / f"{name}.csv").read_bytes().splitlines(keepends=True)
    rule = rules.RULES[name]

    def sound(table):
        assert list(table.columns)[: len(rule.columns)] == list(rule.columns)
        assert not table.duplicated(list(rule.key)).any()
        assert not table.isna().any(axis=None)

    def read(path):
        return rules.check_raw(sources.read_raw(path.stem, path.parent), name)

    few = [line for line in lines[1:] if b",2001," in line or b",2002," in line]
    kept = few if name.startswith("prefecture_") else lines[1:]
    return Reader(f"{name}.csv", b"".join([lines[0], *kept]), read, sound)


def written(write, name, *arguments):
    """Return the bytes of a file that `write` writes."""
    folder = ROOT / "build" / "fuzz"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    try:
        made = write(path, *arguments)
        return (made or path).read_bytes()
    finally:
        for left in folder.iterdir():
            left.unlink()
        folder.rmdir()


def as_bytes(content):
    return content if isinstance(content, bytes) else content.encode()


def small_panel(path):
    table = pd.DataFrame({"id_muni": [1100, 1202, 47201]})
    for year in range(2001, 2006):
        table[f"manu{year}"] = [float(year), np.nan, 0.0]
    table.to_stata(path, write_index=False, version=118, time_stamp=small_census.WRITTEN)


def read_census(path):
    table = census.read_census(path, 2008)
    return census.clean_census(table, CODES, PREFECTURES, marks.Log())


CONVERTER = "merge_id_muni,id_muni2015,name_muni2015\n" + "".join(
    f"{code}201,{code}201,city {code}\n" for code in range(1, 48)
)
READERS = {
    "raw series": raw_reader("prefecture_wages"),
    "raw cells": raw_reader("account_industries"),
    "registry": raw_reader("external_files"),
    "municipal census": Reader(
        "DTA_meti_manu2008.dta",
        written(
            lambda path: small_census.write(small_census.lines(), path.parent),
            "DTA_meti_manu2008.dta",
        ),
        read_census,
        keyed("muni_code", "jsic2_code"),
        is_text=False,
    ),
    "municipal shipments": Reader(
        "panel.dta",
        written(small_panel, "panel.dta"),
        municipalities.read_shipments,
        keyed("muni_code_2015", "year"),
        is_text=False,
    ),
    "converter": Reader(
        "converter.csv", CONVERTER.encode(), municipalities.read_converter, keyed("muni_code")
    ),
    "accounts": Reader(
        "accounts.xlsx",
        written(small_workbook.write, "accounts.xlsx", test_workbooks.book()),
        lambda path: workbooks.read_accounts(path, "b1990", INDUSTRIES, PREFECTURES),
        keyed("pref_code", "industry", "fy"),
        is_text=False,
    ),
    "boundaries": Reader(
        "outlines.geojson",
        as_bytes(test_workbooks.outlines()),
        lambda path: pd.DataFrame(
            {
                code: [[ring.tolist() for ring in rings]]
                for code, rings in workbooks.read_boundaries(path, PREFECTURES).items()
            }
        ),
        lambda table: sorted(table.columns) == PREFECTURES["pref_code"].tolist(),
        is_text=False,
    ),
}


def outcome(reader, content, folder):
    """Return the table that a file with this content gives; None after an error that names it."""
    path = folder / reader.file
    path.write_bytes(content)
    try:
        return reader.read(path)
    except FAULTS as fault:
        require_name(str(fault), reader.file, str(folder))
        return None


def require_name(told, name, *hidden):
    """Assert that a message is one line that starts with a name and shows nothing hidden."""
    assert told.startswith(name), told
    assert "\n" not in told
    assert not [each for each in hidden if each in told]


def refuse_at_the_gate(reader, content, folder):
    """Assert that the gate lets only the published bytes through."""
    path = folder / reader.file
    path.write_bytes(content)
    registry = pd.DataFrame(
        {
            "file": [reader.file],
            "sha256": [hashlib.sha256(reader.content).hexdigest()],
            "used_for": ["test"],
        }
    )
    if content == reader.content:
        assert downloads.checked_paths(registry, "test", folder) == {reader.file: path}
        return
    with pytest.raises(sources.InputMissing, match=reader.file):
        downloads.checked_paths(registry, "test", folder)


# ---- Damage to bytes --------------------------------------------------------------------------


@st.composite
def damaged(draw, content):
    """Draw a kind of damage and a file that lost, gained, or changed some of its bytes."""
    size = len(content)
    place = st.integers(0, size - 1)
    kind = draw(st.sampled_from(("cut", "flip", "insert", "delete", "repeat", "other", "blank")))
    at = draw(place)
    length = draw(st.integers(1, max(1, size // 4)))
    if kind == "cut":
        changed = content[:at]
    elif kind == "flip":
        some = bytearray(content)
        for each in draw(st.lists(place, min_size=1, max_size=6)):
            some[each] ^= draw(st.integers(1, 255))
        changed = bytes(some)
    elif kind == "insert":
        changed = content[:at] + draw(st.binary(min_size=1, max_size=40)) + content[at:]
    elif kind == "delete":
        changed = content[:at] + content[at + length :]
    elif kind == "repeat":
        changed = content[: at + length] + content[at:]
    elif kind == "blank":
        changed = content[:at] + bytes(min(length, size - at)) + content[at + length :]
    else:
        others = (b"", b"<!DOCTYPE html><p>no</p>\n", b"\x00" * 600, b"{}", b"PK", b"\n")
        changed = draw(st.sampled_from(others))
    return kind, changed


# Tables of which nothing says how many rows they have; the gate and later joins tell.
OPEN = ("converter", "registry", "raw cells")


def check_bytes(name, examples, folder):
    reader = READERS[name]
    truth = outcome(reader, reader.content, folder)
    assert truth is not None

    @examples
    @given(damaged(reader.content))
    def check(drawn):
        kind, content = drawn
        table = outcome(reader, content, folder)
        if table is not None and not (table.shape == truth.shape and table.equals(truth)):
            # Only changed bytes may read as other figures; what is lost or foreign must be noticed.
            assert kind != "other", content
            assert kind != "blank" or not reader.is_text  # zeros are figures in a binary file
            if kind == "cut":
                assert name in OPEN
                assert table.equals(truth.iloc[: len(table)])
            reader.sound(table)
        refuse_at_the_gate(reader, content, folder)

    check()


@pytest.mark.parametrize("name", READERS)
def test_damaged_bytes_give_an_error_with_the_name_or_a_sound_table(name, tmp_path):
    check_bytes(name, FEW, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", READERS)
def test_much_damage_to_bytes_gives_an_error_with_the_name_or_a_sound_table(name, tmp_path):
    check_bytes(name, MANY, tmp_path)


# ---- Damage that a person or a program does to a text table -----------------------------------

TEXT_READERS = [name for name, reader in READERS.items() if reader.is_text]


def rewrite(reader, change):
    header, *rows = reader.content.decode().splitlines()
    return "\n".join([*change(header, rows), ""]).encode()


@st.composite
def retyped(draw, reader):
    """Draw a text table with rows in another order, lost or twice, or with columns renamed."""
    _, *rows = reader.content.splitlines()
    one, other = draw(st.integers(0, len(rows) - 1)), draw(st.integers(0, len(rows) - 1))
    kind = draw(st.sampled_from(("swap rows", "lose a row", "repeat a row", "rename a column")))

    def change(header, rows):
        rows = list(rows)
        if kind == "swap rows":
            rows[one], rows[other] = rows[other], rows[one]
        elif kind == "lose a row":
            del rows[one]
        elif kind == "repeat a row":
            rows.insert(other, rows[one])
        else:
            names = header.split(",")
            names[one % len(names)] += draw(st.sampled_from(("2", " ", "_", "ー")))
            header = ",".join(names)
        return [header, *rows]

    return kind, rewrite(reader, change)


@pytest.mark.parametrize("name", TEXT_READERS)
def test_rows_in_another_order_do_no_harm_and_rows_or_names_lost_are_noticed(name, tmp_path):
    reader = READERS[name]
    truth = outcome(reader, reader.content, tmp_path)
    in_order = sorted(map(repr, truth.itertuples(index=False, name=None)))
    is_open = name in OPEN

    @settings(FEW, max_examples=20)
    @given(retyped(reader))
    def check(drawn):
        kind, content = drawn
        assume(content != reader.content)
        table = outcome(reader, content, tmp_path)
        if kind == "swap rows":
            assert sorted(map(repr, table.itertuples(index=False, name=None))) == in_order
        elif kind == "lose a row" and is_open:
            assert len(table) == len(truth) - 1
        elif kind == "rename a column" and table is not None:
            assert table.equals(truth)  # a column that is not read
        else:
            assert table is None, kind

    check()


ENCODINGS = ("utf-16", "utf-16-le", "utf-32", "cp932", "euc_jp", "utf-8", "iso2022_jp")


@pytest.mark.parametrize("name", ["converter", "registry"])
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_another_encoding_is_refused_or_reads_the_same(name, encoding, tmp_path):
    reader = READERS[name]
    text = reader.content.decode()
    truth = outcome(reader, reader.content, tmp_path)
    table = outcome(reader, text.encode(encoding), tmp_path)
    same = encoding == "utf-8" or text.isascii()
    assert table is None or table.equals(truth)
    assert not same or table is not None or encoding.startswith(("utf-16", "utf-32"))


def test_text_that_was_decoded_wrongly_once_is_noticed(tmp_path):
    reader = READERS["registry"]
    mangled = reader.content.replace(b"publisher", "発行者".encode()).decode("latin-1").encode()
    assert outcome(reader, mangled, tmp_path) is None


# ---- Archives that unpack to much more than they are -------------------------------------------


def test_a_workbook_that_unpacks_to_thirty_megabytes_of_nothing_is_refused(tmp_path):
    blank = '<c r="A1"/>' * 2_700_000
    small = small_workbook.write(tmp_path / "small.xlsx", {"1": [["x"]]})
    bomb = io.BytesIO()
    with zipfile.ZipFile(small) as book, zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as out:
        for part in book.namelist():
            text = book.read(part).decode()
            if part.endswith("s0.xml"):
                text = text.replace('<row r="1">', '<row r="1">' + blank)
            out.writestr(part, text)
    assert len(bomb.getvalue()) < 100_000
    assert outcome(READERS["accounts"], bomb.getvalue(), tmp_path) is None


# ---- Answers of e-Stat -------------------------------------------------------------------------

TABLE = "0003325921"


def answer():
    classes = {
        "CLASS_OBJ": [
            {
                "@id": "area",
                "@name": "area",
                "CLASS": [
                    {"@code": f"{code:02d}000", "@name": name, "@level": "2"}
                    for code, name in enumerate(PREFECTURES["name_ja"], start=3)
                ],
            }
        ]
    }
    cells = [{"@area": f"{code:02d}000", "$": str(100 * code)} for code in range(3, 50)]
    inside = {
        "RESULT": {"STATUS": 0, "ERROR_MSG": "ok"},
        "STATISTICAL_DATA": {
            "RESULT_INF": {"TOTAL_NUMBER": len(cells)},
            "CLASS_INF": classes,
            "DATA_INF": {"NOTE": [{"@char": "X", "$": "秘匿"}], "VALUE": cells},
        },
    }
    return json.dumps({"GET_STATS_DATA": inside}, ensure_ascii=False).encode()


def check_answers(examples, monkeypatch):
    client = estat.Client("0123456789abcdef", attempts=1)
    whole = answer()
    given_now = [whole]
    monkeypatch.setattr(estat, "_read", lambda request, timeout: given_now[0])
    truth = estat.get_data(client, TABLE)
    assert len(truth) == 47

    @examples
    @given(damaged(whole))
    def check(drawn):
        given_now[0] = drawn[1]
        try:
            table = estat.get_data(client, TABLE)
        except FAULTS as fault:
            require_name(str(fault), f"e-Stat table {TABLE}: ", client.app_id)
            return
        if table.empty:
            assert b'"STATUS": 1' in drawn[1]  # which is what e-Stat says where nothing matches
            return
        keyed("area")(table)

    check()


def test_damaged_answers_of_estat_name_the_table_or_give_a_sound_one(monkeypatch):
    check_answers(settings(COMMON, max_examples=60), monkeypatch)


@pytest.mark.slow
def test_much_damage_to_answers_of_estat(monkeypatch):
    check_answers(settings(COMMON, max_examples=600), monkeypatch)


# ---- The published workbooks -------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("base", ["b2000", "b2011"])
def test_published_workbooks_of_both_formats_survive_damage(shared, base, tmp_path):
    path = real_files.only_path(shared, f"accounts {base}")
    content = path.read_bytes()
    reader = Reader(
        path.name,
        content,
        lambda path: workbooks.read_accounts(path, base, INDUSTRIES, PREFECTURES),
        keyed("pref_code", "industry", "fy"),
    )

    @settings(COMMON, max_examples=6)
    @given(damaged(content))
    def check(drawn):
        refuse_at_the_gate(reader, drawn[1], tmp_path)
        table = outcome(reader, drawn[1], tmp_path)
        if table is not None:
            reader.sound(table)

    check()
