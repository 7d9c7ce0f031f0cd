"""The clean tables are a data package: each column is what it says, and Excel runs nothing."""

import csv
import hashlib
import json
import re
import shutil
import unicodedata

import pandas as pd
import pytest

from clusterpolicy import panel
from clusterpolicy.checks import package
from clusterpolicy.finerdata import finer


@pytest.fixture(scope="module")
def folder(real_study, tmp_path_factory):
    folder = tmp_path_factory.mktemp("package") / "clean"
    panel.save(real_study, folder)
    return folder


@pytest.fixture(scope="module")
def descriptor(folder):
    return json.loads((folder / "datapackage.json").read_text(encoding="utf-8"))


def rows_of(path, encoding="utf-8"):
    with path.open(encoding=encoding, newline="") as text:
        return list(csv.reader(text, strict=True))


# ---- A validator of our own: what the tool frictionless checks, without a dependency -----------

TYPES = {
    "integer": r"-?[0-9]+",
    "number": r"-?[0-9]+(\.[0-9]+)?",
    "boolean": r"True|False",
    "string": r"[\s\S]*",
}


def faults_of(folder, descriptor):
    """Return what is wrong with a package, as ``resource: column: what``."""
    faults, tables = [], {}
    for resource in descriptor["resources"]:
        name, schema = resource["name"], resource["schema"]
        path = folder / resource["path"]
        content = path.read_bytes()
        if not re.fullmatch(r"[-a-z0-9._/]+", name) or ".." in resource["path"]:
            faults.append(f"{name}: name or path")
        if (len(content), "sha256:" + hashlib.sha256(content).hexdigest()) != (
            resource["bytes"],
            resource["hash"],
        ):
            faults.append(f"{name}: hash")
        header, *rows = rows_of(path)
        tables[name] = table = pd.DataFrame(rows, columns=header, dtype=str)
        if header != [field["name"] for field in schema["fields"]]:
            faults.append(f"{name}: header")
            continue
        for field in schema["fields"]:
            faults += [
                f"{name}: {field['name']}: {what}" for what in field_faults(table, field, schema)
            ]
        key = schema.get("primaryKey", [])
        if key and (table.duplicated(key).any() or (table[key] == "").any(axis=None)):
            faults.append(f"{name}: primary key")
    for resource in descriptor["resources"]:
        for foreign in resource["schema"].get("foreignKeys", []):
            own = tables[resource["name"]][foreign["fields"]]
            other = tables[foreign["reference"]["resource"]][foreign["reference"]["fields"]]
            known = set(other.itertuples(index=False, name=None))
            if not known.issuperset(own.itertuples(index=False, name=None)):
                faults.append(f"{resource['name']}: foreign key {foreign['fields']}")
    return faults


def field_faults(table, field, schema):
    values = table[field["name"]]
    is_missing = values.isin(schema["missingValues"])
    told = values[~is_missing]
    rules = field.get("constraints", {})
    if not told.str.fullmatch(TYPES[field["type"]]).all():
        yield "type"
    if rules.get("required") and is_missing.any():
        yield "required"
    if "enum" in rules and not told.isin(rules["enum"]).all():
        yield "enum"
    if "pattern" in rules and not told.str.fullmatch(rules["pattern"]).all():
        yield "pattern"


def test_the_package_keeps_what_it_says(folder, descriptor):
    assert faults_of(folder, descriptor) == []
    assert len(descriptor["resources"]) == len(list(folder.glob("*.parquet")))


BREAKS = {
    "a key twice": (lambda text: text + text.splitlines(True)[-1], "terms: primary key"),
    "another prefecture": (lambda text: text.replace("\n01,", "\n48,"), "pref_code: pattern"),
    "a letter in a year": (lambda text: text.replace(",2001,", ",2OO1,"), "first_year: type"),
    "a name left out": (lambda text: text.replace("Hokkaido,", ",", 1), "name_en: required"),
    "a column renamed": (lambda text: text.replace("clock", "calendar", 1), "terms: header"),
}


@pytest.mark.parametrize("case", BREAKS)
def test_a_broken_table_is_noticed(folder, descriptor, tmp_path, case):
    change, expected = BREAKS[case]
    broken = shutil.copytree(folder, tmp_path / "clean")
    for name in ("prefectures.csv", "terms.csv"):
        path = broken / name
        path.write_text(change(path.read_text(encoding="utf-8")), encoding="utf-8", newline="")
    told = faults_of(broken, descriptor)
    assert [each for each in told if expected in each]


def test_every_table_is_told_with_key_unit_source_and_licence(real_study, descriptor):
    resources = {each["name"]: each for each in descriptor["resources"]}
    assert set(resources) == {name for name, _ in real_study.items()}
    finer_tables = set(finer.FinerStudy.__dataclass_fields__)
    assert set(resources) | finer_tables == set(package.TABLES)
    for name, resource in resources.items():
        assert resource["title"] == package.TABLES[name][0]
        for field in resource["schema"]["fields"]:
            is_money = "yen" in field["name"] and field["type"] == "number"
            assert not is_money or field["unit"].endswith("yen"), (name, field)
    fields = {each["name"]: each for each in resources["cell_panel"]["schema"]["fields"]}
    assert fields["product_million_yen"] == {
        "name": "product_million_yen",
        "type": "number",
        "unit": "million yen",
    }
    assert fields["status"]["constraints"]["enum"] == ["hidden", "nil", "observed"]
    assert resources["cell_panel"]["schema"]["foreignKeys"] == [
        {
            "fields": ["pref_code"],
            "reference": {"resource": "prefectures", "fields": ["pref_code"]},
        },
        {
            "fields": ["base", "industry"],
            "reference": {"resource": "industries", "fields": ["base", "industry"]},
        },
    ]
    assert {each["name"] for each in descriptor["licenses"]} == {"CC-BY-4.0", "GJSTU-2.0"}
    assert "Processed by" in descriptor["description"]
    with_sources = [each for each in resources.values() if "sources" in each]
    assert len(with_sources) > 15
    assert all(each["sources"][0]["title"] for each in with_sources)


def test_tables_without_csv_are_described_as_parquet(tmp_path):
    table = pd.DataFrame({"area": ["01100"], "employees": [1.5], "note": ["="]})
    table.to_parquet(tmp_path / "places.parquet", index=False)
    package.write({"places": table}, tmp_path, with_csv=False)
    (resource,) = json.loads((tmp_path / "datapackage.json").read_text())["resources"]
    assert (resource["path"], resource["format"], resource["title"]) == (
        "places.parquet",
        "parquet",
        "Places",
    )
    assert [field["type"] for field in resource["schema"]["fields"]] == [
        "string",
        "number",
        "string",
    ]
    assert not (tmp_path / "spreadsheet").exists()


# ---- The ministry-wide rules for machine-readable tables (MIC, December 2020) -------------------


def test_each_table_is_machine_readable_by_the_ministries_rules(folder, descriptor):
    """One header row, one value per cell, plain numbers, no layout, years and areas by code."""
    for resource in descriptor["resources"]:
        name = resource["name"]
        content = (folder / resource["path"]).read_bytes()
        assert not content.startswith(b"\xef\xbb\xbf"), name
        assert content.endswith(b"\n"), name
        assert b"\r" not in content, name
        header, *rows = rows_of(folder / resource["path"])
        assert rows, name
        assert len(set(header)) == len(header), name
        assert all(re.fullmatch(r"[a-z][a-z0-9_]*", column) for column in header), header
        assert all(len(row) == len(header) for row in rows), name  # no merged cells, no subtitles
        assert rows[0] != header, name
        assert not any(all(cell == "" for cell in row) for row in rows), name  # no blank rows
        kinds = [field["type"] for field in resource["schema"]["fields"]]
        for row in rows:
            for cell, kind, column in zip(row, kinds, header, strict=True):
                if kind in ("integer", "number") and cell:  # no unit, separator or exponent
                    assert re.fullmatch(r"-?[0-9]+(\.[0-9]+)?", cell), (name, column, cell)
                assert "\n" not in cell or column in ("row", "value"), (name, column, cell)
                if name != "warnings":  # whose rows quote what the file has
                    assert cell == cell.strip(), (name, column, cell)
                # ①, ㈱ and their like, which depend on the machine
                odd = [c for c in cell if unicodedata.category(c) in ("Co", "Cn", "So") and c > "⁰"]
                assert not odd, (name, column, cell)
        for column in ("year", "fy", "first_year", "last_year"):
            if column in header:
                cells = {row[header.index(column)] for row in rows} - {""}
                assert all(re.fullmatch(r"(18|19|20)[0-9]{2}", cell) for cell in cells), name


# ---- The copy for spreadsheets -----------------------------------------------------------------

PAYLOADS = [
    *("=1+1", "+1+1", "-1+1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", " =1", "\u3000=1"),
    *("=cmd|' /C calc'!A0", '=HYPERLINK("http://x","y")', "－1", "＝1", "-", "＠x"),
]


def test_no_text_of_the_copy_for_spreadsheets_starts_like_a_formula(tmp_path):
    table = pd.DataFrame({"text": PAYLOADS, "figure": [-1.5] * len(PAYLOADS)})
    table["whole"] = pd.array([-3] * (len(PAYLOADS) - 1) + [None], dtype="Int64")
    package.write_spreadsheet(table, tmp_path / "copy.csv")
    content = (tmp_path / "copy.csv").read_bytes()
    assert content.startswith(b"\xef\xbb\xbf")
    assert content.count(b"\r\n") == len(PAYLOADS) + 1
    _, *rows = rows_of(tmp_path / "copy.csv", "utf-8-sig")
    assert [row[0] for row in rows] == ["'" + text for text in PAYLOADS]
    assert {row[1] for row in rows} == {"-1.5"}
    assert [row[2] for row in rows] == ["-3"] * (len(PAYLOADS) - 1) + [""]
    assert table["text"].tolist() == PAYLOADS


@pytest.mark.parametrize("text", ["a=1", "1-1", "01", "", "A@b", "観光", "'=1", 5, None])
def test_other_texts_stay_as_they_are(text):
    assert package.neutralise(text) is text


def test_the_copy_holds_the_cells_of_the_table_and_nothing_that_runs(folder, real_study):
    for name, table in real_study.items():
        plain = rows_of(folder / f"{name}.csv")
        copied = rows_of(folder / "spreadsheet" / f"{name}.csv", "utf-8-sig")
        assert len(plain) == len(copied)
        is_text = [table[column].dtype.kind not in "ifb" for column in table.columns]
        for one, other in zip(plain[1:], copied[1:], strict=True):
            for cell, shown, may_run in zip(one, other, is_text, strict=True):
                assert shown == cell or (may_run and shown == "'" + cell), name
                runs = re.match(r"\s*[=+\-@＝＋－＠]|[\t\r\n]", shown)
                assert not (may_run and runs), (name, shown)
