"""Answers to the exercises of notebook 08."""

from fractions import Fraction

import numpy as np

from quantnotes import INT8, QuantParams, fixed_point_multiplier, int_matmul


def right(acc, m0, shift, z, low, high):
    product, digits = acc.astype(np.int64) * m0, 31 + shift
    rounded = (product + (1 << (digits - 1)) - 1 + ((product >> digits) & 1)) >> digits
    return np.clip(rounded + z, low, high)


def with_fractions(acc, m0, shift, z, low, high):
    codes = [round(Fraction(a * m0, 2 ** (31 + shift))) + z for a in acc.ravel().tolist()]
    return np.array([min(max(q, low), high) for q in codes]).reshape(acc.shape)


def by_remainder(acc, m0, shift, z, low, high):
    """Floor, and one more where what was cut off is above one half, or is one half and the floor odd."""
    whole, rest = np.divmod(acc.astype(np.int64) * m0, 2 ** (31 + shift))
    half = 2 ** (30 + shift)
    up = (rest > half) | ((rest == half) & (whole % 2 == 1))
    return np.minimum(np.maximum(whole + up + z, low), high).astype(np.int32)


def with_rounding(rounding, z_inside=False, clip=True, digits=31):
    """A wrong answer: another rule on the exact product, or another order."""

    def answer(acc, m0, shift, z, low, high):
        exact = [
            Fraction(a * m0, 2 ** (digits + shift)) + (z if z_inside else 0) for a in acc.ravel().tolist()
        ]
        codes = np.array([rounding(e) + (0 if z_inside else z) for e in exact]).reshape(acc.shape)
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


def wrapping(acc, m0, shift, z, low, high):
    return right(acc, m0, shift, z, -(2**40), 2**40).astype(np.int8)


def wide_shift_alone(acc, m0, shift, z, low, high):
    return np.clip(((acc.astype(np.int64) * m0) >> shift) + z, low, high)


def forgotten_31(acc, m0, shift, z, low, high):
    product = acc.astype(np.int64) * m0
    rounded = (product + (1 << (shift - 1)) - 1 + ((product >> shift) & 1)) >> shift
    return np.clip(rounded + z, low, high)


def changed_shift(change):
    return lambda acc, m0, shift, z, low, high: right(acc, m0, change(shift), z, low, high)


def fold(qb, qw, zx, zw, sums=lambda qw: qw.sum(axis=0, dtype=np.int64), k=len):
    return qb - zx * sums(qw) + k(qw) * zx * zw


def with_sums(sums, k=len):
    return lambda qb, qw, zx, zw: fold(qb, qw, zx, zw, sums, k)


def by_the_library(qb, qw, zx, zw):
    """Codes of 0 leave the third and the fourth term."""
    axis = 1 if np.ndim(zw) else None
    w_params = QuantParams(np.ones_like(zw, float) if axis else 1.0, zw, INT8, axis)
    return int_matmul(np.zeros((1, len(qw)), np.int8), qw, QuantParams(1.0, zx, INT8), w_params, bias=qb)[0]


def in_one_sum(qb, qw, zx, zw):
    return [int(v) for v in qb - (np.int64(zx) * (qw.astype(np.int64) - zw)).sum(axis=0)]


RIGHT = {
    "08.1": [(1288490189, 2), fixed_point_multiplier(0.15), [1288490189.0, 2.0]],
    "08.2": [fold, by_the_library, in_one_sum, with_sums(lambda qw: np.ones(len(qw), int) @ qw)],
    "08.3": [right, with_fractions, with_rounding(round), by_remainder],
}
WRONG = {
    "08.1": [
        ((1288490188, 2), "do not cut off"),
        ((1288490188.8, 2), "round it"),
        ((0.6, 2), "that fraction times 2**31"),
        ((2, 1288490189), "then the shift"),
        ((1288490189, -2), "to the right is positive"),
        ((round(0.15 * 2**31), 0), "below 2**30"),
        ((round(0.3 * 2**31), 1), "double once more"),
        ((round(1.2 * 2**31), 3), "one doubling too many"),
        ((1288490189, 1), "the shift is 2"),
        ((1288490189, 33), "there already"),
        ((0.15, 0), "what m has become"),
        ((1288490190, 2), "what m has become"),
    ],
    "08.2": [
        (lambda *_: ..., "still"),
        (lambda *_: None, "returns None"),
        (lambda qb, qw, zx, zw: qb + zx * qw.sum(0) + len(qw) * zx * zw, "Term 3 carries a minus"),
        (lambda qb, qw, zx, zw: qb - zx * qw.sum(0) - len(qw) * zx * zw, "Term 4 carries a plus"),
        (lambda qb, qw, zx, zw: qb + zx * qw.sum(0) - len(qw) * zx * zw, "opposite signs"),
        (lambda qb, qw, zx, zw: qb - zx * qw.sum(0), "Term 4 is missing"),
        (lambda qb, qw, zx, zw: qb + len(qw) * zx * zw, "Term 3 is missing"),
        (lambda qb, qw, zx, zw: -zx * qw.sum(0) + len(qw) * zx * zw, "start from qb"),
        (lambda qb, qw, zx, zw: qb - zx * qw.sum(0) + zx * zw, "K products"),
        (lambda qb, qw, zx, zw: qb - zw * qw.sum(0) + len(qw) * zx * zw, "not known yet"),
        (lambda qb, qw, zx, zw: qb - zx * qw.sum(1) + len(qw) * zx * zw, "a column of qw"),
        (lambda qb, qw, zx, zw: qb - zx * qw.sum() + len(qw) * zx * zw, "not one of all"),
        (lambda qb, qw, zx, zw: qb - (zx * qw).sum(0) + len(qw) * zx * zw, "int8 wraps"),
        (lambda qb, qw, zx, zw: qb + 1, "put into the bias"),
        (lambda *arguments: fold(*arguments).astype(float), "must be integers"),
        (with_sums(lambda qw: qw.sum(0), k=lambda qw: qw.shape[1]), "the rows of qw"),
        (with_sums(lambda qw: qw.sum(0), k=lambda qw: qw.size // 2), "the rows of qw"),
        (lambda qb, qw, zx, zw: qb - zx * qw.sum(0) + len(qb) * zx * zw, "the rows of qw"),
        (lambda qb, qw, zx, zw: fold(qb, qw[:2], zx, zw), "the rows of qw"),
        (lambda qb, qw, zx, zw: fold(qb, qw, zx, np.max(zw)), "for each output"),
        (lambda qb, qw, zx, zw: fold(qb, qw, zx, zw) if np.ndim(zw) == 0 else qb, "for each output"),
        (with_sums(lambda qw: qw.sum(axis=0, dtype=np.int16).astype(int)), "more than 16 bits"),
        (with_sums(lambda qw: qw.astype(np.int16).sum(axis=0, dtype=np.int16)), "more than 16 bits"),
        (lambda *arguments: fold(*arguments).astype(np.int16), "more than 16 bits"),
    ],
    "08.3": [
        (lambda *_: ..., "still"),
        (lambda *_: None, "returns None"),
        (floating, "must be integers"),
        (narrow, "widen"),
        (with_rounding(round, digits=32), "one digit too many"),
        (wide_shift_alone, "31 + shift"),
        (changed_shift(lambda shift: 0), "31 + shift"),
        (forgotten_31, "31 + shift"),
        (changed_shift(abs), "with its sign"),
        (changed_shift(lambda shift: max(shift, 0)), "with its sign"),
        (lambda *given: right(*given).astype(np.int8), "no cast to int8"),
        (lambda *given: right(*given).astype(np.int16), "no cast to int8"),
        (with_rounding(np.floor), "rounds down"),
        (with_rounding(up), "not up"),
        (with_rounding(away), "not up and not away"),
        (with_rounding(down), "not down"),
        (with_rounding(round, z_inside=True), "after rounding"),
        (with_rounding(round, clip=False), "Clip"),
        (wrapping, "Clip"),
        (lambda acc, m0, shift, z, low, high: right(acc, m0, shift, z, -128, 127), "Clip|any grid"),
        (lambda *arguments: floating(*arguments).astype(int), "too few digits"),
    ],
}
