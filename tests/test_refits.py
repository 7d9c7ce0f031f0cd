import dataclasses

import numpy as np
import pandas as pd
import pytest
from small_huber import reference
from small_panels import dummies, random_sample, residual

from clusterpolicy import effects, inference
from clusterpolicy.estimation import huber
from clusterpolicy.otherdesigns import refits

pytestmark = pytest.mark.filterwarnings("ignore:The design matrix is rank-deficient")


def panel_of(seed, **known):
    return refits.widen(random_sample(np.random.default_rng(seed), **known))


@pytest.mark.parametrize("missing", [0.0, 0.15])
def test_the_closed_form_is_the_regression_with_all_its_effects(missing):
    sample = random_sample(np.random.default_rng(1), missing=missing)
    slow = effects.TripleDifference(sample).contrast
    fast = refits.contrast_of(refits.widen(sample))
    assert fast.score == pytest.approx(slow.score, abs=1e-10)
    targets = np.random.default_rng(2).integers(0, 2, (20, len(sample.cells))).astype(float)
    assert fast.squared_norm(targets) == pytest.approx(slow.squared_norm(targets), abs=1e-9)


def rows_of(panel):
    """Return seen figures as rows: cell, year, outcome."""
    cell, year = np.nonzero(np.isfinite(panel.outcome))
    rows = panel.cells.loc[cell, ["pref_code", "industry"]].reset_index(drop=True)
    return rows.assign(fy=panel.years[year]), cell, year


def test_weights_covariates_and_controls_enter_as_in_least_squares():
    rng = np.random.default_rng(3)
    panel = panel_of(4, missing=0.1)
    n_cells, n_years = panel.outcome.shape
    covariate, control = rng.normal(size=(n_cells, 1)), rng.normal(size=(n_cells, n_years))
    panel = dataclasses.replace(
        panel,
        weights=rng.uniform(0.1, 50, n_cells),
        covariates=covariate,
        controls=(control,),
    )
    rows, cell, year = rows_of(panel)
    by_year = pd.get_dummies(rows["fy"]).to_numpy(float) * covariate[cell]
    fixed = np.hstack([dummies(rows), by_year, control[cell, year][:, None]])
    root = np.sqrt(panel.weights[cell])
    treated = panel.targets[cell] * panel.in_term[year]
    outcome = panel.outcome[cell, year]
    x, y = (residual(root * each, root[:, None] * fixed) for each in (treated, outcome))
    estimate = refits.contrast_of(panel).estimate(panel.targets)
    assert estimate == pytest.approx(x @ y / (x @ x), abs=1e-9)


def test_cells_are_kept_only_if_seen_before_and_after():
    panel = panel_of(5)
    outcome = panel.outcome.copy()
    outcome[0, panel.in_term] = np.nan
    kept = dataclasses.replace(panel, outcome=outcome).keep()
    assert len(kept.cells) == len(panel.cells) - 1
    without_a_year = panel.keep(years=panel.years != panel.years[0])
    assert panel.years[0] not in without_a_year.years


def test_refits_share_their_draws():
    """Two refits on the same cells reassign alike; on fewer blocks each is still a permutation."""
    panel = panel_of(6)
    shared = refits.SharedDraws(panel.cells["block"], 50)
    one, two = shared.assign(panel.cells), shared.assign(panel.cells)
    assert (one.labels == two.labels).all()
    fewer = panel.keep((panel.cells["block"] != "A").to_numpy())
    labels = shared.assign(fewer.cells)
    assert (labels.draws.sum(axis=1) == fewer.targets.sum()).all()
    assert len(np.unique(labels.labels, axis=0)) > 5


def test_shared_draws_reassign_evenly():
    panel = panel_of(7)
    drawn = refits.SharedDraws(panel.cells["block"], 4_000).assign(panel.cells)
    alone = inference.permute_targets(panel.cells, 4_000)
    assert drawn.labels.mean(axis=0) == pytest.approx(alone.labels.mean(axis=0), abs=0.05)


def test_a_refit_of_a_complete_panel_is_the_test_of_the_changes_of_its_cells():
    sample = random_sample(np.random.default_rng(8), effect=0.4)
    panel = refits.widen(sample)
    shared = refits.SharedDraws(panel.cells["block"], 199)
    found = refits.refit(panel, shared)
    plain = inference.permutation_test(effects.cell_changes(sample), shared.assign(panel.cells))
    assert found.test.estimate == pytest.approx(plain.estimate, abs=1e-12)
    assert found.test.p_value == plain.p_value
    close = 2 * refits.FINEST * plain.spread  # the ends of a refit are not sought as finely
    assert found.test.low == pytest.approx(plain.low, abs=close)
    assert found.test.high == pytest.approx(plain.high, abs=close)
    assert found.test.draws == 199


def weighted_panel(seed, missing):
    """Return a panel with weights, a covariate of every cell, and a control by cell and year."""
    rng = np.random.default_rng(seed)
    panel = panel_of(seed, missing=missing)
    n_cells, n_years = panel.outcome.shape
    return dataclasses.replace(
        panel,
        weights=rng.uniform(0.1, 50, n_cells),
        covariates=rng.normal(size=(n_cells, 1)),
        controls=(rng.normal(size=(n_cells, n_years)),),
    )


def mean_change(panel, values):
    """Return each cell's mean over the years seen in the term less that over those before it."""
    seen = np.where(np.isfinite(panel.outcome), values, np.nan)
    return np.nanmean(seen[:, panel.in_term], axis=1) - np.nanmean(seen[:, ~panel.in_term], axis=1)


@pytest.mark.parametrize("missing", [0.0, 0.15])
@pytest.mark.parametrize("k", [huber.K, huber.LEAST_SQUARES])
def test_weights_covariates_and_changes_of_controls_enter_as_in_statsmodels(missing, k):
    panel = weighted_panel(4, missing)
    found = refits.refit(panel, refits.SharedDraws(panel.cells["block"], 19), k)
    place, industry = (panel.cells[key].factorize()[0] for key in effects.CELL)
    covariates = np.vstack([panel.covariates.T, mean_change(panel, panel.controls[0])])
    theirs = reference(
        huber.Layout(place, industry, panel.weights),
        mean_change(panel, panel.outcome),
        panel.targets,
        covariates,
        k=min(k, 1e9),
    )
    assert found.test.estimate == pytest.approx(theirs.params[0], abs=1e-6)


def test_covariates_that_the_effects_or_others_stand_for_are_left_out():
    panel = weighted_panel(5, missing=0.0)
    plain = refits.refit(panel, refits.SharedDraws(panel.cells["block"], 19)).test
    of_place = panel.cells["pref_code"].factorize()[0][:, None].astype(float)
    twice = np.hstack([panel.covariates, of_place, 3 * panel.covariates, 0 * of_place])
    more = dataclasses.replace(panel, covariates=twice)
    found = refits.refit(more, refits.SharedDraws(panel.cells["block"], 19)).test
    assert found.estimate == pytest.approx(plain.estimate, abs=1e-8)
    assert found.p_value == plain.p_value
    none = dataclasses.replace(panel, covariates=of_place, controls=())
    assert refits.changes_of(none).covariates is None


def test_a_refit_knows_its_least_squares_estimate_under_each_draw():
    panel = panel_of(8, effect=1.0)
    shared = refits.SharedDraws(panel.cells["block"], 99)
    found = refits.refit(panel, shared, huber.LEAST_SQUARES)
    contrast = refits.contrast_of(panel)
    by_hand = [contrast.estimate(targets) for targets in found.assignments.draws]
    assert found.by_draw == pytest.approx(np.array(by_hand), nan_ok=True)
    assert found.test.estimate == pytest.approx(contrast.estimate(panel.targets))


def test_a_refit_whose_effects_absorb_the_targets_has_no_estimate_and_no_draws():
    panel = panel_of(9)
    whole = panel.cells.assign(is_targeted=panel.cells["block"].isin(["A", "B"]))
    found = refits.refit(
        dataclasses.replace(panel, cells=whole), refits.SharedDraws(panel.cells["block"], 9)
    )
    assert np.isnan(found.test.estimate)
    assert np.isnan(found.by_draw).all()


def test_one_step_estimates_are_those_of_the_draws_of_a_test():
    """Any way to mark units; those that the effects absorb are left out."""
    panel = panel_of(10)
    assignments = refits.SharedDraws(panel.cells["block"], 49).assign(panel.cells)
    test = inference.score_test(refits.changes_of(panel), assignments)
    whole = panel.cells["block"].isin(["A", "B"]).to_numpy(float)
    absorbed = np.bincount(assignments.unit, whole, assignments.n_units) > 0
    labels = np.vstack([assignments.labels, absorbed])
    found = refits.one_step_estimates(panel, assignments.unit, labels)
    expected = test.one_step(np.zeros(1))[0, 1:]
    # The share of clipped cells is that of the fit without targets, which no draw has.
    share = huber.fit(test.changes.layout, test.changes.change[None]).unclipped[0]
    expected = expected[np.isfinite(expected)] * test.fit.unclipped[0] / share
    assert found == pytest.approx(expected, rel=1e-6)
    assert np.isfinite(found).all()
