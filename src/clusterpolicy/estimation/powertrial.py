"""How often the declared test finds an effect in panels as uneven as the figures are."""

import numpy as np

from clusterpolicy.estimation.scoretest import LEVEL, SAME, ScoreTest

DRAWS = 499
CLOSE = 1e-3  # of the residuals, in scales: shares of panels need no more


class PowerTrial:
    """Panels of one sample without an effect, ready for any effect to be added.

    Parameters
    ----------
    test : ScoreTest
        Its residuals are the panels, each unit with a random sign.
    panels : int
    seed : int
    """

    def __init__(self, test: ScoreTest, panels: int, seed: int):
        rng = np.random.default_rng([seed, *b"power"])
        signs = rng.choice([-1.0, 1.0], (panels, test.n_units))[:, test.unit]
        self._test = test
        self._outcome = test.fit.residual[0] * signs
        chosen = rng.integers(1, len(test.weights.norm), DRAWS)
        self._weights = test.weights.pick(np.r_[0, chosen])

    def power(self, effect: float) -> float:
        """Return the share of panels in which "no effect" is rejected once `effect` is added."""
        test = self._test
        outcome = test.score(self._outcome + effect * test.actual, CLOSE)
        squares = self._weights.squares(outcome, test.pooled)
        reached = (squares[:, 1:] >= squares[:, :1] * (1 - SAME)).sum(axis=1)
        return float(((1 + reached) / (DRAWS + 1) <= 1 - LEVEL + SAME).mean())
