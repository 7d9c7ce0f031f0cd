"""Raw files are read as they stand: as text, by line, and refused where they are damaged."""

import hashlib

import pytest

from clusterpolicy import sources

WAGES = "pref_code,year,wages\n01,2001,10\n02,2001,20\n"


@pytest.fixture
def read(tmp_path):
    """Return a function that writes a table as given and reads it."""

    def write_and_read(content):
        data = content if isinstance(content, bytes) else content.encode()
        (tmp_path / "wages.csv").write_bytes(data)
        return sources.read_raw("wages", tmp_path)

    return write_and_read


def test_every_cell_stays_text(read):
    table = read("code,figure,note\n01,1e5,NA\n02, 7 ,\n03,TRUE,null\n")
    assert table["code"].tolist() == ["01", "02", "03"]
    assert table["figure"].tolist() == ["1e5", " 7 ", "TRUE"]
    assert table["note"].tolist() == ["NA", "", "null"]


def test_rows_are_named_by_the_line_they_start_on(read):
    table = read('code,note\n01,"two\nlines"\n\n02,one\n')
    assert table.index.tolist() == [2, 5]
    assert table.loc[2, "note"] == "two\nlines"


@pytest.mark.parametrize("content", [WAGES, "\ufeff" + WAGES, WAGES.replace("\n", "\r\n")])
def test_a_byte_order_mark_and_line_ends_of_a_spreadsheet_do_no_harm(read, content):
    table = read(content)
    assert list(table.columns) == ["pref_code", "year", "wages"]
    assert table["wages"].tolist() == ["10", "20"]


RESTORE = "restore it with `git checkout -- wages.csv`"
DAMAGE = {
    "empty": ("", "wages.csv:1: found an empty file: restore it"),
    "blank lines only": ("\n\n", "wages.csv:1: found an empty file: restore it"),
    "CP932": (
        WAGES.replace(",20\n", ",二十\n").encode("cp932"),
        "wages.csv:3: found bytes that are not UTF-8 (a spreadsheet may have saved the file as "
        "CP932): save it as CSV UTF-8",
    ),
    "CP932 behind a byte order mark": (
        b"\xef\xbb\xbf" + WAGES.replace("02", "二", 1).encode("cp932"),
        "wages.csv:3: found bytes that are not UTF-8 (a spreadsheet may have saved the file as "
        "CP932): save it as CSV UTF-8",
    ),
    "null byte": (
        WAGES.replace("20\n", "2\x00\n"),
        "wages.csv:3: found a null byte: restore the file",
    ),
    "web page": (
        '<!DOCTYPE html>\n<html lang="en">\n<p>Not found, "sorry"</p>\n',
        "wages.csv:1: found a web page, not a table: restore the file",
    ),
    "unfinished merge": (
        WAGES.replace("\n02", "\n<<<<<<< ours\n02") + "=======\n02,2001,21\n>>>>>>> theirs\n",
        "wages.csv:3: found '<<<<<<<', the mark of an unfinished merge: keep one of the two "
        "versions and remove the marks",
    ),
    "rest of a merge": (
        WAGES + ">>>>>>> theirs\n",
        "wages.csv:4: found '>>>>>>>', the mark of an unfinished merge: keep one of the two "
        "versions and remove the marks",
    ),
    "cut off within a row": (
        WAGES[:-6],
        "wages.csv:3: found no line break at the end, as if the file had been cut off: restore "
        "what is missing, or end the line",
    ),
    "cut off within its last figure": (
        WAGES[:-2],
        "wages.csv:3: found no line break at the end, as if the file had been cut off: restore "
        "what is missing, or end the line",
    ),
    "row too short": (
        WAGES.replace("02,2001,20", "02,2001"),
        "wages.csv:3: found 2 fields where the header has 3: add or remove commas, or quote a "
        "text that holds one",
    ),
    "row too long": (
        WAGES.replace(",10\n", ",10,000\n"),
        "wages.csv:2: found 4 fields where the header has 3: add or remove commas, or quote a "
        "text that holds one",
    ),
    "quotation never closed": (
        WAGES.replace(",10", ',"10'),
        "wages.csv:2: found an unfinished quotation (unexpected end of data): close it",
    ),
    "quotation closed lines later": (
        WAGES.replace(",10", ',"10').replace(",20\n", ',"20\n'),
        "wages.csv:2: found an unfinished quotation (',' expected after '\"'): close it",
    ),
    "column named twice": (
        WAGES.replace("wages", "year"),
        "wages.csv:1: column 3: found 'year' as its name, empty or used before: give every column "
        "one name of its own",
    ),
    "column without a name": (
        WAGES.replace("year", ""),
        "wages.csv:1: column 2: found '' as its name, empty or used before: give every column one "
        "name of its own",
    ),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_file_is_refused_by_line_with_a_remedy(read, damage):
    content, message = DAMAGE[damage]
    with pytest.raises(sources.DataFault) as fault:
        read(content)
    assert str(fault.value) == message


def test_a_missing_file_is_no_fault_of_the_data(tmp_path):
    with pytest.raises(sources.InputMissing) as fault:
        sources.read_raw("wages", tmp_path)
    assert str(fault.value) == f"wages.csv: no such file or directory: {RESTORE}"


def test_a_folder_in_place_of_a_file_is_said_to_be_one(tmp_path):
    (tmp_path / "wages.csv").mkdir()
    with pytest.raises(sources.InputMissing) as fault:
        sources.read_raw("wages", tmp_path)
    assert str(fault.value) == f"wages.csv: is a directory: {RESTORE}"


def test_messages_name_files_of_the_repository_by_their_path_in_it(root):
    assert sources.short_path(root / "data" / "raw" / "terms.csv") == "data/raw/terms.csv"
    assert sources.short_path(root / "data" / ".." / "README.md") == "README.md"


def test_the_repository_is_the_nearest_folder_above_with_a_project_file(tmp_path, monkeypatch):
    monkeypatch.delenv("CLUSTERPOLICY_ROOT", raising=False)
    inner = tmp_path / "outer" / "inner" / "src"
    inner.mkdir(parents=True)
    for folder in (inner.parent, inner.parent.parent):
        (folder / "pyproject.toml").touch()
    assert sources.find_root(inner / "module.py") == inner.parent


def test_the_environment_can_name_another_repository(tmp_path, monkeypatch):
    (tmp_path / "pyproject.toml").touch()
    monkeypatch.setenv("CLUSTERPOLICY_ROOT", str(tmp_path))
    assert sources.find_root() == tmp_path


def test_a_named_folder_that_is_no_repository_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setenv("CLUSTERPOLICY_ROOT", str(tmp_path / "nowhere"))
    with pytest.raises(sources.InputMissing, match=r"no pyproject\.toml in this folder or above"):
        sources.find_root()


def test_the_hash_of_a_file_is_that_of_its_bytes(tmp_path):
    (tmp_path / "a").write_bytes(b"1\r\n")
    assert sources.file_hash(tmp_path / "a") == hashlib.sha256(b"1\r\n").hexdigest()
