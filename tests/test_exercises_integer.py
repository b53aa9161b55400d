"""The checks of notebook 08: what is right passes, what is typically wrong gets its own hint."""

from fractions import Fraction

import numpy as np
import pytest

from quantnotes import INT8, QuantParams, fixed_point_multiplier, int_matmul
from quantnotes.course.exercises import check


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


def wide_shift_alone(acc, m0, shift, z, low, high):
    return np.clip(((acc.astype(np.int64) * m0) >> shift) + z, low, high)


def forgotten_31(acc, m0, shift, z, low, high):
    product = acc.astype(np.int64) * m0
    rounded = (product + (1 << (shift - 1)) - 1 + ((product >> shift) & 1)) >> shift
    return np.clip(rounded + z, low, high)


def cast_at_the_end(*arguments):
    return right(*arguments).astype(np.int8)


def folded(qb, qw, zx, zw):
    return qb - zx * qw.sum(axis=0, dtype=np.int64) + len(qw) * zx * zw


def by_the_library(qb, qw, zx, zw):
    """Codes of 0 leave the third and the fourth term."""
    axis = 1 if np.ndim(zw) else None
    w_params = QuantParams(np.ones_like(zw, float) if axis else 1.0, zw, INT8, axis)
    return int_matmul(np.zeros((1, len(qw)), np.int8), qw, QuantParams(1.0, zx, INT8), w_params, bias=qb)[0]


@pytest.mark.parametrize(
    ("exercise", "answer"),
    [
        ("08.1", (1288490189, 2)),
        ("08.1", fixed_point_multiplier(0.15)),
        ("08.2", folded),
        ("08.2", by_the_library),
        ("08.3", right),
        ("08.3", with_fractions),
        ("08.3", with_rounding(round)),
    ],
)
def test_right(exercise, answer):
    assert check(exercise, answer).correct is True


@pytest.mark.parametrize("exercise", ["08.1", "08.2", "08.3"])
def test_unanswered(exercise):
    assert check(exercise, None).correct is None


@pytest.mark.parametrize(
    ("exercise", "answer", "word"),
    [
        ("08.1", (1288490188, 2), "do not cut off"),
        ("08.1", (1288490188.8, 2), "round it"),
        ("08.1", (0.6, 2), "that fraction times 2**31"),
        ("08.1", (2, 1288490189), "then the shift"),
        ("08.1", (1288490189, -2), "to the right is positive"),
        ("08.1", (round(0.15 * 2**31), 0), "below 2**30"),
        ("08.1", (round(0.3 * 2**31), 1), "double once more"),
        ("08.1", (round(1.2 * 2**31), 3), "one doubling too many"),
        ("08.1", (1288490189, 1), "the shift is 2"),
        ("08.1", (1288490189, 33), "there already"),
        ("08.1", (0.15, 0), "what m has become"),
        ("08.2", lambda *_: ..., "still"),
        ("08.2", lambda *_: None, "returns None"),
        ("08.2", lambda qb, qw, zx, zw: qb + zx * qw.sum(0) + len(qw) * zx * zw, "Term 3 carries a minus"),
        ("08.2", lambda qb, qw, zx, zw: qb - zx * qw.sum(0) - len(qw) * zx * zw, "Term 4 carries a plus"),
        ("08.2", lambda qb, qw, zx, zw: qb + zx * qw.sum(0) - len(qw) * zx * zw, "opposite signs"),
        ("08.2", lambda qb, qw, zx, zw: qb - zx * qw.sum(0), "Term 4 is missing"),
        ("08.2", lambda qb, qw, zx, zw: qb + len(qw) * zx * zw, "Term 3 is missing"),
        ("08.2", lambda qb, qw, zx, zw: -zx * qw.sum(0) + len(qw) * zx * zw, "start from qb"),
        ("08.2", lambda qb, qw, zx, zw: qb - zx * qw.sum(0) + zx * zw, "K products"),
        ("08.2", lambda qb, qw, zx, zw: qb - zw * qw.sum(0) + len(qw) * zx * zw, "nobody knows yet"),
        ("08.2", lambda qb, qw, zx, zw: qb - zx * qw.sum(1) + len(qw) * zx * zw, "a column of qw"),
        ("08.2", lambda qb, qw, zx, zw: qb - zx * qw.sum() + len(qw) * zx * zw, "not one of all"),
        ("08.2", lambda qb, qw, zx, zw: qb - (zx * qw).sum(0) + len(qw) * zx * zw, "int8 wraps"),
        ("08.2", lambda qb, qw, zx, zw: qb + 1, "put into the bias"),
        ("08.2", lambda *arguments: folded(*arguments).astype(float), "must be integers"),
        ("08.2", lambda qb, qw, zx, zw: qb - zx * qw.sum(0) + qw.shape[1] * zx * zw, "the rows of qw"),
        ("08.2", lambda qb, qw, zx, zw: folded(qb, qw[:2], zx, zw), "put into the bias"),
        ("08.2", lambda qb, qw, zx, zw: folded(qb, qw, zx, np.max(zw)), "for each output"),
        ("08.3", lambda *_: ..., "still"),
        ("08.3", lambda *_: None, "returns None"),
        ("08.3", floating, "must be integers"),
        ("08.3", narrow, "widen"),
        ("08.3", with_rounding(round, digits=32), "31 + shift"),
        ("08.3", wide_shift_alone, "31 + shift"),
        ("08.3", lambda acc, m0, shift, z, low, high: right(acc, m0, 0, z, low, high), "31 + shift"),
        ("08.3", forgotten_31, "31 + shift"),
        ("08.3", cast_at_the_end, "without a cast"),
        ("08.3", with_rounding(np.floor), "rounds down"),
        ("08.3", with_rounding(up), "not up"),
        ("08.3", with_rounding(away), "not up and not away"),
        ("08.3", with_rounding(down), "not down"),
        ("08.3", with_rounding(round, z_inside=True), "after rounding"),
        ("08.3", with_rounding(round, clip=False), "Clip"),
        ("08.3", wrapping, "Clip"),
        ("08.3", hidden_float, "too few digits"),
    ],
)
def test_hints(exercise, answer, word):
    verdict = check(exercise, answer)
    assert verdict.correct is False
    assert word in verdict.message
