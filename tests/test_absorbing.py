"""Fixed effects taken out from counts, against least squares on a column for every effect."""

import numpy as np
import pytest
from small_panels import dummies, random_sample, residual

from clusterpolicy import effects
from clusterpolicy.estimation import absorbing
from clusterpolicy.methodtrials import simulation


@pytest.fixture(scope="module")
def sample():
    return random_sample(np.random.default_rng(21), n_blocks=5, n_industries=5, missing=0.05)


@pytest.fixture(scope="module")
def fixed(sample):
    codes = [sample.rows.groupby([key, "fy"]).ngroup().to_numpy() for key in effects.CELL]
    return absorbing.FixedEffects(simulation.frame_of(sample).cell, codes)


def test_what_is_left_is_what_least_squares_leaves(sample, fixed):
    outcome = sample.rows["log_outcome"].to_numpy()
    both = np.column_stack([outcome, outcome**2])
    assert fixed.take_out(both) == pytest.approx(residual(both, dummies(sample.rows)), abs=1e-10)


def test_the_rank_is_that_of_all_columns(sample, fixed):
    assert fixed.rank + len(sample.cells) == np.linalg.matrix_rank(dummies(sample.rows))


def test_products_by_prefecture_project_as_the_basis_does(sample, fixed):
    """x'B B'y, added up over prefectures, is what the other effects take out of x'y."""
    rng = np.random.default_rng(2)
    x, y = fixed.within(rng.normal(size=(len(sample.rows), 2))).T
    group = sample.rows["pref_code"].factorize()[0]
    left, right = fixed.products(x, group), fixed.products(y, group)
    taken_out = fixed.take_out(y[:, None])[:, 0]
    assert left.sum(axis=0) == pytest.approx(x @ fixed.basis)
    assert left.sum(axis=0) @ right.sum(axis=0) == pytest.approx(x @ y - x @ taken_out)


def test_products_by_cell_are_the_absorbed_part_of_the_contrast(sample, fixed):
    """B of the triple difference, up to its choice of basis: the products with itself."""
    frame = simulation.frame_of(sample)
    term = fixed.within(sample.rows["in_term"].to_numpy(float)[:, None])[:, 0]
    ours = fixed.products(term, frame.cell)
    theirs = effects.TripleDifference(sample).contrast.absorbed
    assert ours @ ours.T == pytest.approx(theirs @ theirs.T, abs=1e-10)
