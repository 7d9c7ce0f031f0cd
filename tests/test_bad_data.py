"""What damaged input says: one small file for each way in which plain readers go wrong.

The table below gives, for each file of ``tests/bad_data``, the whole message and the exit code that
goes with it: 3 a rule of the data is broken, 4 the file is missing or unreadable.
"""

import ast
import os
import shutil
import subprocess
import sys

import pytest
from conftest import ROOT

from clusterpolicy import sources
from clusterpolicy.checks import rules
from clusterpolicy.finerdata import census, marks, municipalities, workbooks

BAD = ROOT / "tests" / "bad_data"
PREFECTURES = sources.read_raw("prefectures")
INDUSTRIES = sources.read_raw("account_industries")
YEN = "cash_wages_million_yen"
PLAIN = "not a number: write plain digits without separators or letters"
YEAR = "not a year: write four digits, 1900 to 2099"
PREFECTURE = "not a prefecture code: write 01 to 47 with its leading zero"
CP932 = (
    "found bytes that are not UTF-8 (a spreadsheet may have saved the file as CP932): save it as "
)
CP932 += "CSV UTF-8"
CUT = (
    "found no line break at the end, as if the file had been cut off: restore what is missing, or "
)
CUT += "end the line"
COMMAS = "where the header has 5: add or remove commas, or quote a text that holds one"
MAKE_DATA = "delete it if it is there and run `make data`"


def read_wages(path):
    return rules.check_raw(sources.read_raw(path.stem, path.parent), "prefecture_wages")


def read_glossary(path):
    return rules.check_raw(sources.read_raw(path.stem, path.parent), "glossary")


def read_salaries(path):
    table = marks.read_text_table(path, "utf-8")
    return marks.split_marks(table["idt_salaries"], f"{table.attrs['file']}: column idt_salaries")


def read_names(path):
    table = marks.read_text_table(path, "utf-8")
    return marks.prefecture_codes(table["prefecture"], PREFECTURES, table.attrs["file"])


READERS = {
    "broken.dta": lambda path: census.read_census(path, 2008),
    "broken.geojson": lambda path: workbooks.read_boundaries(path, PREFECTURES),
    "broken.xls": lambda path: workbooks.read_accounts(path, "b2000", INDUSTRIES, PREFECTURES),
    "broken.xlsx": lambda path: workbooks.read_accounts(path, "b2011", INDUSTRIES, PREFECTURES),
    "mark_nobody_knows.csv": read_salaries,
    "mojibake_name.csv": read_names,
    "na_as_a_name.csv": read_glossary,
    "renamed_municipality.csv": municipalities.read_converter,
    "utf8_declared_cp932.csv": lambda path: marks.read_text_table(path, "cp932"),
}

# File -> exit code and what follows its name in the message.
BROKEN = {
    # Encodings
    "cp932.csv": (3, f":3: {CP932}"),
    "shift_jis_with_vendor_letters.csv": (3, f":3: {CP932}"),
    "utf8_declared_cp932.csv": (
        4,
        f": line 1 is not CP932, as the file is registered (UnicodeDecodeError): {MAKE_DATA}",
    ),
    "utf8_as_latin1.csv": (
        3,
        ":1: columns: missing ['flag'], not expected ['å\\x82\\x99è\\x80\\x83']: the header must "
        f"be pref_code,year,{YEN},source,flag",
    ),
    "mojibake_name.csv": (
        3,
        ": found 'å\\x8c\\x97æµ·é\\x81\\x93' where a prefecture is expected: correct the file",
    ),
    # Cut off, or something else
    "cut_in_a_row.csv": (3, f":3: {CUT}"),
    "cut_in_a_number.csv": (3, f":3: {CUT}"),
    "empty.csv": (3, ":1: found an empty file: restore it"),
    "web_page.csv": (3, ":1: found a web page, not a table: restore the file"),
    "null_byte.csv": (3, ":3: found a null byte: restore the file"),
    "unfinished_merge.csv": (
        3,
        ":3: found '<<<<<<<', the mark of an unfinished merge: keep one of the two versions and "
        "remove the marks",
    ),
    "pickle.csv": (3, f":1: {CP932}"),
    "broken.dta": (4, f": no Stata file that can be read (error): {MAKE_DATA}"),
    "broken.geojson": (4, f": no GeoJSON of prefectures (JSONDecodeError): {MAKE_DATA}"),
    "broken.xls": (4, f": no workbook that can be read (CalamineError): {MAKE_DATA}"),
    "broken.xlsx": (4, f": no workbook that can be read (CalamineError): {MAKE_DATA}"),
    # Fields and columns
    "every_row_one_field_too_many.csv": (3, f":2: found 6 fields {COMMAS}"),
    "row_too_long.csv": (3, f":3: found 6 fields {COMMAS}"),
    "row_too_short.csv": (3, f":3: found 3 fields {COMMAS}"),
    "column_named_twice.csv": (
        3,
        ":1: column 5: found 'source' as its name, empty or used before: give every column one "
        "name of its own",
    ),
    # Figures and marks
    "full_width_digits.csv": (3, f":3: column {YEN}: found '６８２２１８': {PLAIN}"),
    "thousands_separator.csv": (3, f":3: column {YEN}: found '682,218': {PLAIN}"),
    "mark_hidden.csv": (3, f":3: column {YEN}: found 'X': {PLAIN}"),
    "mark_nil.csv": (3, f":3: column {YEN}: found '－': {PLAIN}"),
    "mark_not_collected.csv": (3, f":3: column {YEN}: found '…': {PLAIN}"),
    "mark_negative.csv": (3, f":3: column {YEN}: found '△': {PLAIN}"),
    "mark_negative_filled.csv": (3, f":3: column {YEN}: found '▲682': {PLAIN}"),
    "mark_nobody_knows.csv": (
        3,
        ":3: column idt_salaries: found '?': neither a number nor a known mark: correct the file, "
        "or say in marks.STATUS_OF_MARK what the mark means",
    ),
    "unit_changed.csv": (
        3,
        f":5: column {YEN}: found '183444300000': 957,880 times what the years around it and the "
        "other prefectures lead one to expect: another unit, or a slip: correct it",
    ),
    # Years and places
    "era_year.csv": (3, f":3: column year: found '平成14年': {YEAR}"),
    "era_date.csv": (3, f":3: column year: found 'H14.4.1': {YEAR}"),
    "code_without_its_zero.csv": (3, f":2: column pref_code: found '1': {PREFECTURE}"),
    "unknown_prefecture.csv": (3, f":3: column pref_code: found '99': {PREFECTURE}"),
    "renamed_municipality.csv": (
        3,
        ":3: column merge_id_muni: found '旧1331': not a municipality's code: restore the file",
    ),
    # Rows
    "key_twice.csv": (
        3,
        ":4: column pref_code+year: found '01, 2001': same pref_code, year as line 2: remove one "
        "of the two rows",
    ),
    "several_faults.csv": (
        3,
        f":2: column pref_code: found '1': {PREFECTURE} (2 more faults in this file)",
    ),
}
CODES = {sources.DataFault: 3, sources.InputMissing: 4}


@pytest.mark.parametrize("name", BROKEN)
def test_a_bad_file_is_one_line_that_names_it_and_what_to_do(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, message = BROKEN[name]
    with pytest.raises(tuple(CODES)) as fault:
        READERS.get(name, read_wages)(BAD / name)
    assert str(fault.value) == f"tests/bad_data/{name}{message}"
    assert CODES[fault.type] == code
    assert not list(tmp_path.iterdir())  # the pickle was not run


def test_the_table_above_is_that_of_the_folder():
    assert {path.name for path in BAD.iterdir()} == {*BROKEN, "na_as_a_name.csv"}


def test_na_is_a_name_like_any_other():
    table = read_glossary(BAD / "na_as_a_name.csv")
    assert table["word"].tolist() == ["NA"]


def test_a_missing_file_and_a_folder_in_its_place_are_input_faults(tmp_path):
    with pytest.raises(sources.InputMissing, match=r"^nowhere\.csv: no such file"):
        read_wages(tmp_path / "nowhere.csv")
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(sources.InputMissing, match=r"^folder\.csv: is a directory"):
        read_wages(tmp_path / "folder.csv")
    for name, read in READERS.items():
        (tmp_path / name).mkdir()
        with pytest.raises(tuple(CODES), match=rf"^{name}: is a directory"):
            read(tmp_path / name)


FORBIDDEN = {"pickle", "cPickle", "dill", "joblib", "shelve", "marshal", "cloudpickle"}


def test_no_module_reads_what_could_run_code():
    for path in (ROOT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            named = [each.name for each in node.names] if isinstance(node, ast.Import) else []
            named += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not FORBIDDEN.intersection(name.partition(".")[0] for name in named), path
            assert getattr(node, "attr", "") not in ("read_pickle", "allow_pickle"), path
            assert not (isinstance(node, ast.keyword) and node.arg == "allow_pickle"), path


# ---- The real command ------------------------------------------------------------------------


@pytest.fixture
def checkout(tmp_path):
    """A checkout with the raw tables and nothing else."""
    shutil.copytree(ROOT / "data" / "raw", tmp_path / "data" / "raw")
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def make_data(checkout):
    done = subprocess.run(
        [sys.executable, "-m", "clusterpolicy", "data"],
        env={**os.environ, "CLUSTERPOLICY_ROOT": str(checkout), "PYTHONPATH": str(ROOT / "src")},
        cwd=checkout,
        capture_output=True,
        text=True,
    )
    return done.returncode, done.stderr


def test_the_command_tells_all_faults_in_one_line_and_a_file(checkout):
    raw = checkout / "data" / "raw"
    shutil.copy(BAD / "several_faults.csv", raw / "prefecture_wages.csv")
    shutil.copy(BAD / "web_page.csv", raw / "terms.csv")
    text = (raw / "phrases.csv").read_text(encoding="utf-8")
    (raw / "phrases.csv").write_text(text.replace(",no loss,", ",no los,"), encoding="utf-8")
    code, told = make_data(checkout)
    assert code == 3
    assert told == (
        "data/raw/terms.csv:1: found a web page, not a table: restore the file "
        "(4 more faults in 3 files: build/faults.csv)\n"
    )
    listed = (checkout / "build" / "faults.csv").read_text(encoding="utf-8").splitlines()
    assert [line.split(",")[1:4] for line in listed[1:]] == [
        ["data/raw/terms.csv", "1", ""],
        ["data/raw/phrases.csv", "26", "rule"],
        ["data/raw/prefecture_wages.csv", "2", "pref_code"],
        ["data/raw/prefecture_wages.csv", "3", YEN],
        ["data/raw/prefecture_wages.csv", "4", "year"],
    ]
    assert not (checkout / "data" / "clean").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["cp932.csv", "key_twice.csv", "unit_changed.csv", "null_byte.csv"]
)
def test_the_command_stops_at_a_bad_raw_table(checkout, name):
    shutil.copy(BAD / name, checkout / "data" / "raw" / "prefecture_wages.csv")
    code, told = make_data(checkout)
    expected, message = BROKEN[name]
    assert (code, told) == (expected, f"data/raw/prefecture_wages.csv{message}\n")


def test_the_command_says_which_table_is_missing(checkout):
    (checkout / "data" / "raw" / "terms.csv").unlink()
    code, told = make_data(checkout)
    assert code == 4
    assert told == (
        "data/raw/terms.csv: no such file or directory: restore it with `git checkout -- "
        "data/raw/terms.csv`\n"
    )
