"""Huber's estimator by an independent program, and small cases for both."""

import numpy as np
import statsmodels.api

from clusterpolicy.estimation import huber
from clusterpolicy.estimation.huber import Layout


def columns_of(layout, regressor=None, covariates=None):
    """Return the regressor, the covariates and one 0/1 column per place and industry."""
    plain = [
        np.eye(n)[code]
        for n, code in zip(layout.shape, (layout.place, layout.industry), strict=True)
    ]
    more = [] if covariates is None else [covariates.T]
    first = [] if regressor is None else [regressor[:, None]]
    return np.hstack([*first, *more, *plain])


def reference(layout, outcome, regressor=None, covariates=None, k=huber.K):
    """Fit one outcome with statsmodels, by rows times the root of their weight."""
    root = np.sqrt(layout.weight)
    columns = columns_of(layout, regressor, covariates) * root[:, None]
    norm = statsmodels.api.robust.norms.HuberT(k)
    model = statsmodels.api.RLM(outcome * root, columns, M=norm)
    return model.fit(maxiter=3_000, tol=1e-13, conv="coefs")


def draw_case(seed, places=6, industries=5, seen=1.0, weighted=False, n_covariates=0):
    """Return layout, outcome, targets and covariates of cells with heavy tails."""
    rng = np.random.default_rng(seed)
    place, industry = np.divmod(np.arange(places * industries), industries)
    kept = rng.random(len(place)) < seen
    place = np.unique(place[kept], return_inverse=True)[1]
    industry = np.unique(industry[kept], return_inverse=True)[1]
    n = len(place)
    weight = rng.uniform(0.1, 20, n) if weighted else np.ones(n)
    covariates = rng.normal(size=(n_covariates, n)) if n_covariates else None
    outcome = rng.standard_t(2, n) + rng.normal(size=places)[place]
    targets = (rng.random(n) < 0.4).astype(float)
    return Layout(place, industry, weight), outcome, targets, covariates
