"""Exercises of notebook 06: the right answers pass, and typical mistakes get hints of their own."""

import numpy as np
import pytest

from quantnotes import QuantParams, fake_quantize, mse_range
from quantnotes.course.exercises import check
from quantnotes.grid import IntGrid


def test_right_answers():
    assert check("06.1", 1.3)
    assert not check("06.1", 1.31)
    assert check("06.2", [7, 7, 0, 4])
    assert check("06.2", np.array([7.0, 7.0, 0.0, 4.0]))


@pytest.mark.parametrize(
    ("answer", "hint"),
    [
        (4, "rounds to 0"),
        (1, "3 squared"),
        (2.5, "weighs both alike"),
        (22 / 19, "18 and 2"),
        (1.1, "mean, not at the median"),
        (7, "derivative"),
    ],
)
def test_hints_by_hand(answer, hint):
    assert hint in check("06.1", answer).message


@pytest.mark.parametrize(
    ("answer", "hint"),
    [
        ((7, 7, 0, 7), "belong to P alone"),
        ((7, 7, 2, 2), "gets nothing"),
        ((8, 6, 0, 7), "That is P"),
        ((8, 6, 0, 4), "each of its bins the same"),
        ((14, 4), "sums of the two levels"),
        ((14, 14, 0, 4), "share it out"),
        ((14, 14, 4, 4), "share it out"),
        (np.array([7, 7, 0, 4]) / 18, "shares"),
        ((1, 2, 3, 4), "Two levels"),
    ],
)
def test_hints_of_the_coarse_distribution(answer, hint):
    assert hint in check("06.2", answer).message


def tried(x, qmax, candidates):
    def error(clip):
        params = QuantParams(clip / qmax, 0, IntGrid(-qmax, qmax))
        return np.mean((fake_quantize(x, params) - x) ** 2)

    return min(candidates, key=error)


def my_clip(x, qmax):
    return tried(x, qmax, np.linspace(0, np.abs(x).max(), 201)[1:])


def test_functions_that_are_right():
    assert check("06.3", my_clip)
    assert check("06.3", lambda x, qmax: mse_range(x, IntGrid(-qmax, qmax), "symmetric").rmax)


def changing(x, qmax):
    clip = my_clip(x, qmax)
    x[0] = 0.0
    return clip


def without_clipping(x, qmax):
    """Only what lies inside is counted: the smallest clip looks best."""
    clips = np.linspace(0, np.abs(x).max(), 201)[1:]

    def error(clip):
        inside = x[np.abs(x) <= clip]
        rounded = fake_quantize(inside, QuantParams(clip / qmax, 0, IntGrid(-qmax, qmax)))
        return np.sum((rounded - inside) ** 2)

    return min(clips, key=error)


@pytest.mark.parametrize(
    ("function", "hint"),
    [
        (lambda x, qmax: ..., "returns ..."),
        (lambda x, qmax: None, "returns None"),
        (lambda x, qmax: -1.0, "above 0"),
        (lambda x, qmax: np.abs(x).max(), "far below half"),
        (lambda x, qmax: tried(x, qmax, np.linspace(0.5, 0.99, 101) * np.abs(x).max()), "far below half"),
        (lambda x, qmax: my_clip(x, qmax) / qmax, "the scale"),
        (without_clipping, "clipping included"),
        (lambda x, qmax: tried(x, qmax, np.linspace(0, x.max(), 201)[1:]), "may be negative"),
        (changing, "changes x"),
        (lambda x, qmax: 1 / 0, "ZeroDivisionError"),
    ],
)
def test_hints_of_the_function(function, hint):
    assert hint in check("06.3", function).message
