"""The checks of notebook 07: what is right passes, what is typically wrong gets its own hint."""

from fractions import Fraction

import numpy as np
import pytest

from quantnotes import fixed_point_multiplier
from quantnotes.exercises import check


def right(acc, m0, shift, z, low, high):
    product, digits = acc.astype(np.int64) * m0, 31 + shift
    rounded = (product + (1 << (digits - 1)) - 1 + ((product >> digits) & 1)) >> digits
    return np.clip(rounded + z, low, high)


def with_fractions(acc, m0, shift, z, low, high):
    codes = [round(Fraction(a * m0, 2 ** (31 + shift))) + z for a in acc.tolist()]
    return np.array([min(max(q, low), high) for q in codes])


def with_rounding(rounding, z_inside=False, clip=True, digits=31):
    """A wrong answer: another rule on the exact product, or another order."""

    def answer(acc, m0, shift, z, low, high):
        exact = [Fraction(a * m0, 2 ** (digits + shift)) + (z if z_inside else 0) for a in acc.tolist()]
        codes = np.array([rounding(e) + (0 if z_inside else z) for e in exact])
        return np.clip(codes, low, high) if clip else codes

    return answer


def up(e):
    return (e + Fraction(1, 2)) // 1


def down(e):
    return -up(-e)


def away(e):
    return up(e) if e >= 0 else down(e)


def narrow(acc, m0, shift, z, low, high):
    return np.clip(((acc * np.int32(m0)) >> (31 + shift)) + z, low, high)


def floating(acc, m0, shift, z, low, high):
    return np.clip(np.rint(acc * float(m0) * 2.0 ** (-31 - shift)) + z, low, high)


def hidden_float(*arguments):
    return floating(*arguments).astype(int)


def wrapping(acc, m0, shift, z, low, high):
    return right(acc, m0, shift, z, -(2**40), 2**40).astype(np.int8)


@pytest.mark.parametrize(
    ("exercise", "answer"),
    [
        ("07.1", (5, 8, 1, -6)),
        ("07.1", np.array([5, 8, 1, -6])),
        ("07.2", (1288490189, 2)),
        ("07.2", fixed_point_multiplier(0.15)),
        ("07.3", right),
        ("07.3", with_fractions),
        ("07.3", with_rounding(round)),
    ],
)
def test_right(exercise, answer):
    assert check(exercise, answer).correct is True


@pytest.mark.parametrize("exercise", ["07.1", "07.2", "07.3"])
def test_unanswered(exercise):
    assert check(exercise, None).correct is None


@pytest.mark.parametrize(
    ("exercise", "answer", "word"),
    [
        ("07.1", 8, "each by itself"),
        ("07.1", (5, -8, 1, -6), "Zw is negative"),
        ("07.1", (5, 8, -1, -6), "-Zx times"),
        ("07.1", (5, -8, -1, -6), "both carry a minus"),
        ("07.1", (5, -2, -4, -6), "the other's codes"),
        ("07.1", (5, 8, 1, -2), "three products"),
        ("07.1", (5, 8, 1, 6), "negative"),
        ("07.1", (5, 1, 8, -6), "order"),
        ("07.1", (5, 8, 1), "together"),
        ("07.2", (1288490188, 2), "do not cut off"),
        ("07.2", (1288490189, -2), "to the right is positive"),
        ("07.2", (round(0.15 * 2**31), 0), "below 2**30"),
        ("07.2", (round(0.3 * 2**31), 1), "double once more"),
        ("07.2", (round(1.2 * 2**31), 3), "one doubling too many"),
        ("07.2", (1288490189, 1), "the shift is 2"),
        ("07.2", (1288490189, 33), "there already"),
        ("07.2", (0.6, 2), "0.15 = 0.6"),
        ("07.3", lambda *_: ..., "still"),
        ("07.3", lambda *_: None, "returns None"),
        ("07.3", floating, "must be integers"),
        ("07.3", narrow, "widen"),
        ("07.3", with_rounding(round, digits=32), "widen"),
        ("07.3", lambda acc, m0, shift, z, low, high: right(acc, m0, 0, z, low, high), "31 + shift"),
        ("07.3", with_rounding(np.floor), "rounds down"),
        ("07.3", with_rounding(up), "not up"),
        ("07.3", with_rounding(away), "not up and not away"),
        ("07.3", with_rounding(down), "not down"),
        ("07.3", with_rounding(round, z_inside=True), "after rounding"),
        ("07.3", with_rounding(round, clip=False), "Clip"),
        ("07.3", wrapping, "Clip"),
        ("07.3", hidden_float, "too few digits"),
    ],
)
def test_hints(exercise, answer, word):
    verdict = check(exercise, answer)
    assert verdict.correct is False
    assert word in verdict.message
