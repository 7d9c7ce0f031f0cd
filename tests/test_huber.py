"""Huber's estimates are those of statsmodels, and no cell moves them by more than it may."""

import numpy as np
import pandas as pd
import pytest
from small_huber import columns_of, draw_case, reference
from small_panels import random_sample

from clusterpolicy import effects
from clusterpolicy.estimation import huber
from clusterpolicy.estimation.huber import LEAST_SQUARES, Layout

# Its dummies of places and of industries both add up to one.
pytestmark = pytest.mark.filterwarnings("ignore:The design matrix is rank-deficient")


# ---- Against an independent program -----------------------------------------------------------

CASES = {
    "complete": {},
    "weighted": {"weighted": True},
    "cells not seen": {"seen": 0.7, "places": 8},
    "covariates": {"n_covariates": 2},
    "all of these": {"seen": 0.8, "places": 9, "weighted": True, "n_covariates": 2},
    "as large as the study": {"places": 47, "industries": 13, "seen": 0.98, "weighted": True},
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("seed", [1, 2])
def test_statsmodels_finds_the_same_estimates(case, seed):
    layout, outcome, targets, covariates = draw_case(seed, **CASES[case])
    theirs = reference(layout, outcome, targets, covariates)
    ours = huber.fit(layout, outcome[None], targets, covariates)
    assert ours.converged.all()
    assert ours.slope[0] == pytest.approx(theirs.params[0], abs=1e-6)
    assert ours.scale[0] == pytest.approx(theirs.scale, abs=1e-6)
    # Clipped, for the effect of a place with two cells, both clipped, may lie anywhere between.
    bound = huber.K * theirs.scale
    clipped = np.sqrt(layout.weight) * np.clip(theirs.resid, -bound, bound)
    assert ours.psi[0] == pytest.approx(clipped, abs=1e-6 * np.sqrt(layout.weight.max()))


def test_statsmodels_finds_the_same_estimate_on_the_figures_of_the_study(real_study):
    """The second term, whose least squares hang on one plant."""
    sample = effects.cell_sample(real_study, effects.main_design(real_study, 2, "funded", "broad"))
    changes = effects.cell_changes(sample)
    targets = sample.cells["is_targeted"].to_numpy(float)
    theirs = reference(changes.layout, changes.change, targets)
    ours = huber.fit(changes.layout, changes.change[None], targets)
    assert ours.slope[0] == pytest.approx(theirs.params[0], abs=1e-6)
    assert ours.scale[0] == pytest.approx(theirs.scale, abs=1e-6)


@pytest.mark.parametrize("case", CASES)
def test_clipping_nothing_is_least_squares(case):
    layout, outcome, targets, covariates = draw_case(3, **CASES[case])
    root = np.sqrt(layout.weight)
    columns = columns_of(layout, targets, covariates)
    expected = np.linalg.lstsq(columns * root[:, None], outcome * root, rcond=None)[0]
    found = huber.fit(layout, outcome[None], targets, covariates, k=LEAST_SQUARES)
    assert found.slope[0] == pytest.approx(expected[0], abs=1e-9)
    assert found.residual[0] == pytest.approx(outcome - columns @ expected, abs=1e-9)
    assert found.psi[0] == pytest.approx(layout.weight * found.residual[0], abs=1e-9)
    assert found.unclipped.tolist() == [1]
    assert found.converged.all()


# ---- What holds of every fit ------------------------------------------------------------------


@pytest.mark.parametrize("case", CASES)
def test_the_score_sums_to_zero_over_everything_fitted(case):
    layout, outcome, targets, covariates = draw_case(4, **CASES[case])
    found = huber.fit(layout, outcome[None], targets, covariates)
    sums = columns_of(layout, targets, covariates).T @ found.psi[0]
    size = found.scale[0] * np.sqrt(layout.weight).max()
    assert sums == pytest.approx(np.zeros(len(sums)), abs=1e-6 * size)


def test_clipped_residuals_are_bounded_and_their_precision_is_counted():
    layout, outcome, *_ = draw_case(5, weighted=True)
    found = huber.fit(layout, outcome[None])
    standard = np.sqrt(layout.weight) * found.residual[0]
    is_inside = np.abs(standard) <= huber.K * found.scale[0]
    assert 0.5 < is_inside.mean() < 1
    expected = layout.weight[is_inside].sum() / layout.weight.sum()
    assert found.unclipped[0] == pytest.approx(expected)
    bound = huber.K * found.scale[0] * np.sqrt(layout.weight)
    assert (np.abs(found.psi[0]) <= bound * (1 + 1e-12)).all()
    assert np.isnan(found.slope).all()


def test_effects_and_slopes_add_up_to_what_is_fitted():
    layout, outcome, targets, covariates = draw_case(15, weighted=True, n_covariates=1)
    plain = huber.fit(layout, outcome[None])
    fitted = plain.place[0, layout.place] + plain.industry[0, layout.industry]
    assert outcome - fitted == pytest.approx(plain.residual[0], abs=1e-9)
    more = huber.fit(layout, outcome[None], targets, covariates)
    fitted = more.place[0, layout.place] + more.industry[0, layout.industry]
    rest = outcome - fitted - more.slope[0] * targets - more.residual[0]
    share = rest @ covariates[0] / (covariates[0] @ covariates[0])
    assert rest == pytest.approx(share * covariates[0], abs=1e-9)


def test_a_batch_is_its_fits_one_by_one():
    layout, _, targets, covariates = draw_case(6, weighted=True, n_covariates=1)
    rng = np.random.default_rng(7)
    outcomes = rng.standard_t(2, (12, len(targets))) * np.geomspace(1e-3, 1e3, 12)[:, None]
    together = huber.fit(layout, outcomes, targets, covariates)
    for row, outcome in enumerate(outcomes):
        alone = huber.fit(layout, outcome[None], targets, covariates)
        scale = alone.scale[0]
        assert together.slope[row] == pytest.approx(alone.slope[0], abs=1e-8 * scale)
        assert together.psi[row] == pytest.approx(alone.psi[0], abs=1e-7 * scale)


def test_the_order_of_cells_changes_nothing():
    layout, outcome, targets, covariates = draw_case(8, weighted=True, n_covariates=2)
    order = np.random.default_rng(1).permutation(len(outcome))
    shuffled = Layout(layout.place[order], layout.industry[order], layout.weight[order])
    plain = huber.fit(layout, outcome[None], targets, covariates)
    moved = huber.fit(shuffled, outcome[None, order], targets[order], covariates[:, order])
    assert moved.slope == pytest.approx(plain.slope, abs=1e-9)
    assert moved.residual[0] == pytest.approx(plain.residual[0, order], abs=1e-9)


@pytest.mark.parametrize("factor", [1e-6, 1e6])
def test_units_of_outcome_and_precision_do_not_matter(factor):
    layout, outcome, targets, _ = draw_case(9, weighted=True)
    plain = huber.fit(layout, outcome[None], targets)
    rescaled = Layout(layout.place, layout.industry, factor * layout.weight)
    assert huber.fit(rescaled, outcome[None], targets).slope == pytest.approx(plain.slope)
    assert huber.fit(layout, factor * outcome[None], targets).slope == pytest.approx(
        factor * plain.slope
    )


def test_parts_without_a_common_place_or_industry_are_fitted_each_by_itself():
    """Two panels side by side, without targets: residuals are those of each, at one scale."""
    one, first, *_ = draw_case(10)
    two, second, *_ = draw_case(11, places=4, industries=3, weighted=True)
    places, industries = one.shape
    both = Layout(
        np.r_[one.place, two.place + places],
        np.r_[one.industry, two.industry + industries],
        np.r_[one.weight, two.weight],
    )
    assert np.linalg.matrix_rank(both.null_space) == 2
    whole = np.r_[first, second]
    found = huber.fit(both, whole[None], k=LEAST_SQUARES)
    parts = [
        huber.fit(layout, own[None], k=LEAST_SQUARES).residual[0]
        for layout, own in ((one, first), (two, second))
    ]
    assert found.residual[0] == pytest.approx(np.concatenate(parts), abs=1e-9)
    clipped = huber.fit(both, whole[None])
    theirs = reference(both, whole).resid / np.sqrt(both.weight)
    assert clipped.residual[0] == pytest.approx(theirs, abs=1e-6)


def test_a_place_with_one_cell_says_nothing_of_the_others():
    layout, outcome, targets, _ = draw_case(12)
    alone = Layout(
        np.r_[layout.place, layout.shape[0]], np.r_[layout.industry, 0], np.r_[layout.weight, 1]
    )
    plain = huber.fit(layout, outcome[None], targets, k=LEAST_SQUARES)
    more = huber.fit(alone, np.r_[outcome, 50.0][None], np.r_[targets, 1], k=LEAST_SQUARES)
    assert more.slope == pytest.approx(plain.slope)
    assert more.residual[0, -1] == pytest.approx(0, abs=1e-9)


# ---- Outliers, and fits that are hard ---------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
def test_one_cell_can_move_the_estimate_by_so_much_and_no_more(seed):
    """From +1 to +100 a targeted cell moves least squares by several, Huber by a fraction."""
    sample = random_sample(np.random.default_rng(seed), n_blocks=6, n_industries=6)
    changes = effects.cell_changes(sample)
    targets = sample.cells["is_targeted"].to_numpy(float)
    cell = int(np.flatnonzero(targets)[0])
    outcomes = np.tile(changes.change, (3, 1))
    outcomes[:, cell] += [1, 100, 10_000]
    slopes = huber.fit(changes.layout, outcomes, targets).slope
    plain = huber.fit(changes.layout, outcomes, targets, k=LEAST_SQUARES).slope
    assert plain[1] - plain[0] > 2
    assert abs(slopes[1] - slopes[0]) < 0.2
    assert slopes[2] == pytest.approx(slopes[1], abs=1e-6)  # beyond the bound nothing moves


@pytest.mark.parametrize("distance", [1, 10, 100, 1_000])
def test_fits_far_from_the_effect_converge(distance):
    """A supposed effect of many scales in a quarter of the cells: Newton's steps diverge there."""
    for seed in range(20):
        layout, outcome, targets, _ = draw_case(seed, places=8, weighted=seed % 2 == 1)
        far = outcome - distance * targets * np.array([[1.0], [-1.0]])
        found = huber.fit(layout, far)
        assert found.converged.all()
        sums = found.psi @ columns_of(layout)
        bound = 1e-6 * found.scale[:, None] * np.sqrt(layout.weight).max()
        assert (np.abs(sums) < bound).all()


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("noise", [0.0, 1e-15])
def test_figures_without_noise_are_fitted_exactly(noise):
    layout, _, targets, _ = draw_case(13, weighted=True)
    rng = np.random.default_rng(2)
    exact = rng.normal(size=6)[layout.place] + rng.normal(size=5)[layout.industry]
    exact = exact + 0.07 * targets + noise * rng.normal(size=len(exact))
    found = huber.fit(layout, np.vstack([exact, np.zeros_like(exact)]), targets)
    assert found.slope == pytest.approx([0.07, 0], abs=1e-12)
    assert found.residual == pytest.approx(np.zeros_like(found.residual), abs=1e-12)
    assert found.converged.all()


@pytest.mark.filterwarnings("error")
def test_an_exact_fit_of_most_cells_ends_with_numbers():
    """All but two cells lie on the fit, so the median residual, the scale, falls to zero."""
    layout, *_ = draw_case(14)
    outcome = np.zeros((1, len(layout.place)))
    outcome[0, [3, 17]] = 5, -7
    found = huber.fit(layout, outcome)
    assert np.isfinite(found.residual).all()
    assert found.residual[0, [3, 17]] == pytest.approx([5, -7], abs=1e-6)


def test_every_layout_of_the_study_keeps_its_null_space(real_study):
    """One connected part in all designs: one constant that both effects can stand for."""
    design = effects.main_design(real_study, 1, "funded", "broad")
    layout = effects.cell_changes(effects.cell_sample(real_study, design)).layout
    assert layout.null_space.tolist() == np.ones((layout.shape[1],) * 2).tolist()
    assert pd.Series(zip(layout.place, layout.industry, strict=True)).is_unique
