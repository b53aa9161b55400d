"""The checks of notebook 02: what is right passes, what is typically wrong gets its own hint."""

import math

import pytest

from quantnotes.course.exercises import check


def params(widen=True, empty=1.0, rounding=round, from_max=False):
    """A function that turns a range into S and Z, with one step done wrong."""

    def function(rmin, rmax, qmin, qmax):
        if widen:
            rmin, rmax = min(rmin, 0.0), max(rmax, 0.0)
        scale = (rmax - rmin) / (qmax - qmin) or empty
        return scale, qmax - rounding(rmax / scale) if from_max else qmin - rounding(rmin / scale)

    return function


def constant_as_zeros(rmin, rmax, qmin, qmax):
    return (1.0, qmin) if rmin == rmax else params()(rmin, rmax, qmin, qmax)


@pytest.mark.parametrize(("exercise", "answer"), [("02.1", (1, 3)), ("02.2", 0.2), ("02.3", params())])
def test_right(exercise, answer):
    assert check(exercise, answer).correct is True


@pytest.mark.parametrize("exercise", ["02.1", "02.2", "02.3"])
def test_unanswered(exercise):
    assert check(exercise, None).correct is None


@pytest.mark.parametrize(
    ("exercise", "answer", "word"),
    [
        ("02.1", (15 / 16, 2), "15 steps"),
        ("02.1", (0.6, -5), "sign of rmin"),
        ("02.1", (1, 12), "minus the steps"),
        ("02.1", (1, -3), "not negative"),
        ("02.1", 1, "S = (rmax"),
        ("02.2", 0.1667, "real units"),
        ("02.2", 1.8, "itself"),
        ("02.2", 0.8, "nearest"),
        ("02.2", -0.2, "positive"),
        ("02.2", 0.5, "the most"),
        ("02.2", 0.3, "Compare"),
        ("02.3", lambda *ends: ..., "still"),
        ("02.3", lambda *ends: (1.0, 0), "must give"),
        ("02.3", params(widen=False), "widened"),
        ("02.3", params(empty=2.0), "zeros alone"),
        ("02.3", params(empty=0.0), "ZeroDivisionError"),
        ("02.3", lambda *ends: None, "returns None"),
        ("02.3", constant_as_zeros, "constant"),
        ("02.3", lambda a, b, low, high: (5.0, low) if a == b else params()(a, b, low, high), "zeros alone"),
        ("02.3", params(from_max=True), "lower end"),
        ("02.3", params(rounding=int), "cut off"),
        ("02.3", params(rounding=lambda v: v), "nearest"),
        ("02.3", params(rounding=math.floor), "nearest"),
        ("02.3", params(rounding=lambda v: round(v) if v % 1 == 0.5 else math.trunc(v)), "nearest"),
    ],
)
def test_hints(exercise, answer, word):
    verdict = check(exercise, answer)
    assert verdict.correct is False
    assert word in verdict.message
