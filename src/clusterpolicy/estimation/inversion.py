"""A test turned into an interval: the supposed effects at which each draw reaches the actual one.

Permutation and bootstrap compare the statistic of the figures with that of many draws, for any
supposed effect. Each draw reaches the actual statistic where a polynomial of degree four in the
effect is not negative; p-value and interval are read from the same list of such stretches.
"""

from dataclasses import dataclass
from math import floor

import numpy as np

# A residual this small beside the estimate, or an overlap this close to one, is rounding.
NO_RESIDUAL = 1e-10
SAME = 1e-9


@dataclass(frozen=True)
class Scores:
    """What the statistics of the figures (first) and of every draw are made of.

    At a supposed effect of ``estimate + x`` the square of a statistic is
    ``(score - slope x)^2 / (constant - 2 linear x + square x^2)``.

    Attributes
    ----------
    estimate : float
        In logs; NaN if there is none.
    score, slope, constant, linear, square : ndarray, 1 + n_draws
    norm : ndarray, 1 + n_draws
        The most that ``slope`` could be, squared, over the first ``norm``; a draw of which slope
        comes that close is the actual one or its mirror image. NaN if the draw says nothing.
    """

    estimate: float
    score: np.ndarray
    slope: np.ndarray
    constant: np.ndarray
    linear: np.ndarray
    square: np.ndarray
    norm: np.ndarray


def reached_effects(scores: Scores) -> np.ndarray:
    """Return the stretches of supposed effects at which a draw reaches the actual statistic.

    Returns
    -------
    ndarray, 2 x n_stretches
        First and last effect of each stretch, in logs; a draw has one to three of them.
    """
    norm, own = scores.norm[0], (scores.constant[0], scores.linear[0], scores.square[0])
    score, slope = scores.score[1:], scores.slope[1:]
    scale = np.sqrt(own[0]) / norm
    overlap = slope / np.sqrt(scores.norm[1:] * norm)
    # The actual assignment comes up among the draws too: it always reaches its own statistic.
    # So does its mirror image. One cell more or less moves the overlap by far more than this.
    alike = np.abs(overlap) > 1 - SAME
    # Without a residual, or for an absorbed draw, only the estimate itself is reached.
    undecided = ~alike & ~np.isnan(overlap) & (scale > NO_RESIDUAL * np.abs(scores.estimate))
    stretches = [
        np.tile([[-np.inf], [np.inf]], alike.sum()),
        np.full((2, (~alike & ~undecided).sum()), scores.estimate),
    ]
    if undecided.any():
        others = [part[1:][undecided] for part in (scores.constant, scores.linear, scores.square)]
        ours = _product(
            score[undecided] ** 2, (score * slope)[undecided], slope[undecided] ** 2, own
        )
        ours[2:] -= norm**2 * np.array([others[0], -2 * others[1], others[2]])
        # A draw whose units hold nothing at all has no statistic at any effect.
        is_blank = ~ours.any(axis=0)
        stretches.append(np.full((2, is_blank.sum()), scores.estimate))
        stretches.append(scores.estimate + scale * _where_positive(ours[:, ~is_blank], scale))
    return np.hstack(stretches)


def _product(constant, linear, square, own) -> np.ndarray:
    """Multiply ``constant - 2 linear x + square x^2`` with the same of `own`: five coefficients."""
    a, b, c = own
    return np.array(
        [
            constant * a,
            -2 * (linear * a + constant * b),
            square * a + 4 * linear * b + constant * c,
            -2 * (square * b + linear * c),
            square * c,
        ]
    )


def _where_positive(coefficients: np.ndarray, scale: float) -> np.ndarray:
    """Return the stretches, in units of `scale`, on which polynomials of degree 4 are positive.

    Parameters
    ----------
    coefficients : ndarray, 5 x n
        Of rising powers; positive at 0.
    scale : float

    Returns
    -------
    ndarray, 2 x n_stretches
    """
    whole = coefficients * scale ** np.arange(5)[:, None]
    whole = whole / np.abs(whole).max(axis=0)
    # Roots are the inverse eigenvalues of the companion matrix of the reversed polynomial, whose
    # leading coefficient is the one that is known to be positive.
    companion = np.zeros((whole.shape[1], 4, 4))
    companion[:, 0] = -(whole[1:] / np.maximum(whole[0], 1e-30)).T
    companion[:, [1, 2, 3], [0, 1, 2]] = 1
    inverse = np.linalg.eigvals(companion)
    is_real = np.abs(inverse.imag) <= 1e-8 * np.abs(inverse)
    # As angles, so that infinity is a point like any other.
    angle = np.where(is_real, np.arctan2(1, inverse.real), np.pi)
    angle = np.where(angle > np.pi / 2, angle - np.pi, angle)
    angle = np.where(is_real, angle, np.pi / 2)
    ends = np.full((len(angle), 1), np.pi / 2)
    angle = np.hstack([-ends, np.sort(angle, axis=1), ends])
    middle = (angle[:, 1:] + angle[:, :-1]) / 2
    sine, cosine = np.sin(middle), np.cos(middle)
    value, cosines = whole[4][:, None], np.ones_like(middle)
    for coefficient in whole[3::-1]:  # Horner's rule, in sine and cosine of the angle
        cosines = cosines * cosine
        value = value * sine + coefficient[:, None] * cosines
    positive = np.pad((value >= 0) & (np.diff(angle) > 0), ((0, 0), (1, 1)))
    # Neighbouring stretches are one: a stretch begins where the one before it is not positive.
    effect = np.where(np.abs(angle) < np.pi / 2, np.tan(angle), np.copysign(np.inf, angle))
    begins = positive[:, 1:] & ~positive[:, :-1]
    stops = positive[:, :-1] & ~positive[:, 1:]
    return np.array([effect[begins], effect[stops]])


def interval(reached: np.ndarray, n_draws: int, level: float) -> tuple[float, float]:
    """Return the outermost effects that are not rejected at `level`."""
    needed = floor((1 - level) * (n_draws + 1) + 1e-9)
    if needed < 1:
        return -float("inf"), float("inf")
    return -_last_held(-reached[::-1], needed), _last_held(reached, needed)


def _last_held(reached: np.ndarray, needed: int) -> float:
    """Return the largest effect that `needed` stretches or more hold."""
    stops = np.unique(reached[1])
    return float(stops[_held(reached, stops) >= needed].max())


def most_beyond_zero(estimate: float, reached: np.ndarray) -> int:
    """Return how many draws reach, at most, an effect as far from the estimate as no effect."""
    outward = reached if estimate < 0 else -reached[::-1]
    beyond = np.append(outward[1][outward[1] >= 0], 0.0)
    return int(_held(outward, beyond).max())


def _held(reached: np.ndarray, effects: np.ndarray) -> np.ndarray:
    """Count the stretches that hold each of `effects`."""
    first, last = np.sort(reached, axis=1)
    begun = np.searchsorted(first, effects, side="right")
    return begun - np.searchsorted(last, effects, side="left")
