"""Answers to the exercises of notebook 01."""

from decimal import Decimal
from fractions import Fraction

import numpy as np


def quantizer(encode, clip=np.clip):
    """A fake quantizer from its two steps: r / S and Z to a code, and the clip."""

    def function(r, scale, zero_point, qmin, qmax):
        return (clip(encode(r / scale, zero_point), qmin, qmax) - zero_point) * scale

    return function


def rounded(steps, z):
    return np.rint(steps) + z


def half_away(steps):
    return np.trunc(steps + np.copysign(0.5, steps))


def clipped_before_rounding(r, s, z, low, high):
    return np.rint(np.clip(r / s, low - z, high - z)) * s


def one_at_a_time(r, s, z, low, high):
    return [(min(max(round(v / s) + z, low), high) - z) * s for v in r.tolist()]


def in_reals(r, s, z, low, high):
    """Clips the reals far out first, and the codes after rounding."""
    far = np.clip(r, (low - z - 9) * s, (high - z + 9) * s)
    return s * (np.minimum(np.maximum(z + np.round(far / s), low), high) - z)


def changing(r, *others):
    result = quantizer(rounded)(r, *others)
    r[...] = 0
    return result


def cast(dtype):
    return quantizer(lambda steps, z: np.rint(steps).astype(dtype) + z)


RIGHT = {
    "01.1": [53, 53.0, np.int8(53), Fraction(53), Decimal(53), [53], np.array(53.0)],
    "01.2": [(-2.56, 2.54), np.array([-2.56, 2.54]), [-2.56, 2.54], np.float32([-2.56, 2.54])],
    "01.3": [quantizer(rounded), clipped_before_rounding, one_at_a_time, in_reals],
}
WRONG = {
    "01.1": [
        (-75, "has not been added"),
        (-203, "added when you encode"),
        (203, "sign"),
        (0, "before you clip"),
        (7, "Divide r by S"),
        (53.4, "Divide r by S"),
        ("x", "is a number"),
        ("53", "is a number"),
        (True, "is a number"),
        ([53, 53], "Divide r by S"),
        (np.nan, "Divide r by S"),
    ],
    "01.2": [
        ((-128, 127), "multiply them by S"),
        ((0, 255), "end codes"),
        ((0, 5.1), "Subtract Z"),
        ((-2.56, 2.56), "not symmetric"),
        ((2.56, 7.66), "subtracted"),
        ((-2.57, 2.55), "half a step"),
        ((2.54, -2.56), "lower end"),
        ((-2.56, 2.55), "Close"),
        ((1, 2, 3), "Decode the end codes"),
        (2.54, "Decode the end codes"),
    ],
    "01.3": [
        (3, "the function itself"),
        (lambda r, s, z, low, high: ..., "still"),
        (lambda r, s, z, low, high: None, "returns None"),
        (quantizer(lambda steps, z: np.floor(steps) + z), "nearest"),
        (quantizer(lambda steps, z: np.trunc(steps) + z), "nearest"),
        (quantizer(lambda steps, z: np.rint(steps + z)), "even"),
        (quantizer(lambda steps, z: np.floor(steps + 0.5) + z), "even"),
        (quantizer(lambda steps, z: half_away(steps) + z), "even"),
        (quantizer(rounded, lambda q, low, high: q), "clip the codes"),
        (quantizer(rounded, lambda q, low, high: np.minimum(q, high)), "clip the codes"),
        (lambda r, s, z, low, high: np.clip(np.rint(r / s) + z, low, high) * s, "subtract"),
        (lambda r, s, z, low, high: np.clip(np.rint(r / s) + z, low, high), "decode them"),
        (lambda r, s, z, low, high: np.clip(np.rint(r / s), low, high) * s, "after Z is added"),
        (lambda r, s, z, low, high: (np.clip(np.rint(r / s) - z, low, high) + z) * s, "subtract it"),
        (quantizer(rounded, lambda q, a, b: np.clip(q.astype(np.int8), a, b)), "clip before you cast"),
        (cast(np.int32), "clip before you cast"),
        (cast(np.int64), "clip before you cast"),
        (quantizer(rounded, lambda q, a, b: np.clip(q.astype(np.int64), a, b)), "clip before you cast"),
        (lambda r, s, z, low, high: quantizer(rounded)(r, 0.5, 1, low, high), "from the arguments"),
        (lambda r, s, z, low, high: quantizer(rounded)(r, s, z, -4, 3), "Very large|arguments"),
        (lambda *given: quantizer(rounded)(*given).astype(np.float32), "float64"),
        (changing, "changes the array"),
    ],
}
