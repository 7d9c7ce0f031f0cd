import dataclasses

import numpy as np
import pandas as pd
import pytest
from small_panels import dummies, random_sample, residual

from clusterpolicy import effects, inference
from clusterpolicy.otherdesigns import refits


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


def test_a_refit_knows_its_estimate_under_each_draw():
    panel = panel_of(8, effect=1.0)
    found = refits.refit(panel, refits.SharedDraws(panel.cells["block"], 99))
    contrast = refits.contrast_of(panel)
    by_hand = [contrast.estimate(targets) for targets in found.assignments.draws]
    assert found.by_draw == pytest.approx(np.array(by_hand), nan_ok=True)
    assert found.test.estimate == pytest.approx(contrast.estimate(panel.targets))
