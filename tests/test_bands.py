"""Bands of placebo paths: ends, level and the test of a whole path, by hand and by simulation."""

import numpy as np
import pytest

from clusterpolicy.otherdesigns import bands


def test_with_thirty_nine_paths_the_extremes_hold_95_percent():
    paths = np.arange(39.0)[:, None]
    band = bands.band_of(paths[::-1])
    assert (band.low.tolist(), band.high.tolist()) == ([0], [38])
    assert band.level == pytest.approx(0.95)
    assert band.n_paths == 39


def test_with_ninety_nine_paths_the_second_on_each_side_ends_the_band():
    band = bands.band_of(np.arange(99.0)[:, None])
    assert (band.low[0], band.high[0]) == (1, 97)
    assert band.level == pytest.approx(0.96)  # the third would hold 94


def test_too_few_paths_say_how_little_their_extremes_hold():
    band = bands.band_of(np.array([[1.0], [3.0], [2.0]]))
    assert (band.low[0], band.high[0], band.level) == (1, 3, 0.5)
    with pytest.raises(ValueError, match="found no placebo path"):
        bands.band_of(np.empty((0, 4)))


def test_a_path_is_outside_only_beyond_the_ends():
    band = bands.band_of(np.array([[0.0, 0.0], [1.0, 1.0]]))
    assert band.is_outside(np.array([1.0, 1.1])).tolist() == [False, True]


def test_the_p_value_of_a_path_counts_years_as_often_extreme_as_its_own():
    """Four paths and two years; in each year the lowest and the highest are extreme."""
    placebos = np.array([[0.0, 5.0], [1.0, 1.0], [2.0, 2.0]])
    assert bands.joint_p(np.array([9.0, 9.0]), placebos) == 1 / 4  # twice; no other so often
    assert bands.joint_p(np.array([9.0, 4.0]), placebos) == 3 / 4  # once, as two others
    assert bands.joint_p(np.array([1.5, 1.5]), placebos) == 1.0


def test_a_path_like_the_others_is_extreme_in_as_many_years_no_more_often_than_p_says():
    rng = np.random.default_rng(4)
    p_values, outside = [], []
    for _ in range(400):
        paths = rng.normal(size=(40, 8)).cumsum(axis=1)
        p_values.append(bands.joint_p(paths[0], paths[1:]))
        outside.append(bands.band_of(paths[1:]).is_outside(paths[0]))
    assert np.mean(outside) == pytest.approx(0.05, abs=0.02)  # of the years, as the level says
    assert np.mean(np.any(outside, axis=1)) > 0.1  # but some year far more often
    for level in (0.05, 0.1, 0.2):
        assert np.mean(np.array(p_values) <= level) <= level + 0.03
