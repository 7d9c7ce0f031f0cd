"""A municipal census of 47 prefectures with a designated city, small enough to add up by hand."""

import datetime

import numpy as np
import pandas as pd

from clusterpolicy import sources

LABELS_2001 = {0: "製造業計", 12: "食料品製造業", 13: "飲料・たばこ・飼料製造業", 20: "化学工業"}
LABELS_2008 = {0: "製造業計", 9: "食料品製造業", 10: "飲料・たばこ・飼料製造業", 16: "化学工業"}
# A file says when it was written; that of a test is the same in every run.
WRITTEN = datetime.datetime(2013, 4, 1)
MONEY = ("wage", "material", "sales", "va", "capital")


def line(area, name, industry, plants, figure):
    """Return one row; all money is `figure`, workers are ten a plant."""
    return {
        "id_muni": area,
        "name_muni": name,
        "id_sec2d": industry,
        "num_estb": plants,
        "emp": 10 * plants,
        **dict.fromkeys(MONEY, figure),
    }


def lines(year=2008, short_keys=False):
    """Return Hokkaido with Sapporo (two wards) and Hakodate, and 46 prefectures of one city."""
    names = sources.read_raw("prefectures")["name_ja"].tolist()
    food, drink = (9, 10) if year >= 2002 else (12, 13)
    rows = [
        line(1 if short_keys else 1000, "北海道　", 0, 10, 1000),
        line(1100, "札幌市　", 0, 6, 600),
        line(1101, "札幌市　中央区", 0, 2, 200),
        line(1101, "札幌市　中央区", food, 2, 200),
        line(1102, "札幌市　北区", 0, 4, 400),
        line(1102, "札幌市　北区", food, 3, 300),
        line(1102, "札幌市　北区", drink, 1, 100),
        line(1202, "函館市", 0, 4, 400),
        line(1202, "函館市", food, 1, 100),
        line(1202, "函館市", drink, 3, 300),
    ]
    for code, name in enumerate(names[1:], start=2):
        rows.append(line(code if short_keys else code * 1000, name, 0, 1, 100))
        rows.append(line(code * 1000 + 201, f"{name}市", 0, 1, 100))
    table = pd.DataFrame(rows)
    labels = LABELS_2001 if year < 2002 else LABELS_2008
    table.insert(3, "name_sec2d", table["id_sec2d"].map(labels))
    table.insert(4, "year", year)
    return table


def change(table, area, industry, **cells):
    """Return `table` with other cells in one row."""
    table = table.copy()
    row = (table["id_muni"] == area) & (table["id_sec2d"] == industry)
    assert row.sum() == 1, f"{area}, {industry}: {row.sum()} rows"
    for column, cell in cells.items():
        if isinstance(cell, str):
            table[column] = table[column].astype(str)
        elif isinstance(cell, float) and np.isnan(cell):
            table[column] = table[column].astype(float)
        table.loc[row, column] = cell
    return table


def write(table, folder):
    """Write the table as the files are written, and return the path."""
    year = table["year"].iloc[0]
    path = folder / f"DTA_meti_manu{year}.dta"
    integers = {"id_muni": "int32", "id_sec2d": "int8", "year": "int16", "num_estb": "int16"}
    table.astype(integers).to_stata(path, write_index=False, version=118, time_stamp=WRITTEN)
    return path
