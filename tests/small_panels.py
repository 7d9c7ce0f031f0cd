"""Samples of a few cells and years, as ``effects.cell_sample`` would return them."""

import numpy as np
import pandas as pd

from clusterpolicy import effects, policy


def small_design(years, first_term_year, number=1, **changes):
    """Return a design whose baseline and term fill `years`."""
    term = policy.Term(
        number=number,
        name="Launch",
        name_ja="立ち上げ期",
        clock="funded",
        first_year=first_term_year,
        last_year=max(years),
        baseline_first_year=min(years),
        baseline_last_year=first_term_year - 1,
    )
    plain = {"base": "b2000", "fields_map": "broad", "sample": "all cells"}
    return effects.Design(term, first_fy=min(years), last_fy=max(years), **{**plain, **changes})


def small_sample(values, targeted, first_term_year, blocks=None):
    """Return a sample with the given figures.

    Parameters
    ----------
    values : dict of list, or DataFrame
        Log outcome by cell (``"A food"``: prefecture A, industry food) and year; NaN is not seen.
    targeted : container of str
        Names of the targeted cells.
    first_term_year : int
    blocks : dict, optional
        Block of each prefecture; each prefecture is its own if not given.
    """
    wide = values if isinstance(values, pd.DataFrame) else pd.DataFrame(values).T
    wide.columns = wide.columns.rename("fy")
    rows = wide.rename_axis(index="cell").stack().rename("log_outcome").reset_index()
    rows = rows[rows["log_outcome"].notna()]
    rows[["pref_code", "industry"]] = rows["cell"].str.split(" ", expand=True)
    rows = rows.assign(
        block=rows["pref_code"].map(blocks or {code: code for code in rows["pref_code"]}),
        is_targeted=rows["cell"].isin(list(targeted)),
        in_term=rows["fy"] >= first_term_year,
    )
    rows = rows.sort_values([*effects.CELL, "fy"], ignore_index=True)
    columns = [*effects.CELL, "block", "fy", "is_targeted", "in_term", "log_outcome"]
    design = small_design([int(year) for year in wide.columns], first_term_year)
    return effects.Sample(design, rows[columns], pd.DataFrame(columns=["step", "rows"]))


def random_sample(rng, n_blocks=4, n_industries=4, years=range(1996, 2006), missing=0.0, **known):
    """Return a sample of noise: blocks of two prefectures, half of the units targeted at random.

    Parameters
    ----------
    rng : Generator
    n_blocks, n_industries : int
    years : sequence of int
        The second half is the term.
    missing : float
        Share of cell-years that are not seen.
    known : float
        ``effect``: what targeted cells gain in the term; ``trend``: what they gain in every year.
    """
    years = np.array(years)
    first_term_year = int(years[len(years) // 2])
    prefectures = [f"{b}{half}" for b in "ABCDEFGHIJ"[:n_blocks] for half in "12"]
    industries = [f"i{number}" for number in range(n_industries)]
    units = {industry: rng.permutation(n_blocks)[: n_blocks // 2] for industry in industries}
    cells = [f"{p} {industry}" for p in prefectures for industry in industries]
    of_block = {p: "ABCDEFGHIJ".index(p[0]) for p in prefectures}
    targeted = [c for c in cells if of_block[c.split()[0]] in units[c.split()[1]]]
    values = pd.DataFrame(rng.normal(size=(len(cells), len(years))), cells, years)
    values.loc[targeted, years >= first_term_year] += known.get("effect", 0.0)
    values.loc[targeted] += known.get("trend", 0.0) * (years - first_term_year)
    values = values.mask(rng.random(values.shape) < missing)
    return small_sample(values, targeted, first_term_year, {p: p[0] for p in prefectures})


def dummies(rows):
    """Return one 0/1 column per cell, prefecture x year and industry x year."""
    keys = (["pref_code", "industry"], ["pref_code", "fy"], ["industry", "fy"])
    names = [rows[key].astype(str).agg(" ".join, axis=1) for key in keys]
    return np.hstack([pd.get_dummies(name).to_numpy(float) for name in names])


def residual(columns, fixed):
    """Return what ordinary least squares on `fixed` leaves of `columns`."""
    return columns - fixed @ np.linalg.lstsq(fixed, columns, rcond=None)[0]
