"""Answers to the exercises of notebook 14."""

import math
from decimal import Decimal
from fractions import Fraction

import ml_dtypes
import numpy as np

from quantnotes.formats import E2M1, E4M3, MXFP4
from quantnotes.mapping import QuantParams, fake_quantize

LEVELS = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6])
INTEGER, FLOAT = 26.85, 25.50


def by_library(x):
    return fake_quantize(x, MXFP4.params(x), dtype=np.float64)


def by_levels(x):
    largest = np.abs(x).max()
    if largest == 0:
        return np.zeros(len(x))
    scale = 2.0 ** (np.floor(np.log2(largest)) - 2)
    size = np.minimum(np.abs(x) / scale, 6)
    distance = np.abs(size[:, None] - LEVELS)
    even = np.arange(8) % 2 == 0
    nearest = (distance - 1e-12 * even).argmin(axis=1)
    return np.copysign(LEVELS[nearest] * scale, x)


def by_ml_dtypes(x):
    scale = np.exp2(np.floor(np.log2(np.abs(x).max()))) / 4 if x.any() else 1.0
    codes = np.clip(x / scale, -6, 6).astype(ml_dtypes.float4_e2m1fn)
    return (codes.astype(np.float64) * scale).tolist()


def scaled(x, scale):
    return fake_quantize(x, QuantParams(scale, 0, E2M1), dtype=np.float64)


def octave(x):
    return 2.0 ** np.floor(np.log2(np.abs(x).max()))


def always_one(x):
    return scaled(x, 1.0)


def rounded_up(x):
    return fake_quantize(x, MXFP4.params(x, rule="up"), dtype=np.float64)


def ties_away(x):
    scale = octave(x) / 4 if x.any() else 1.0
    size = np.minimum(np.abs(x) / scale, 6)
    distance = np.abs(size[:, None] - LEVELS[::-1])
    return np.copysign(LEVELS[::-1][distance.argmin(axis=1)] * scale, x)


def no_clip(x):
    scale = octave(x) / 4
    size = np.abs(x) / scale
    levels = np.append(LEVELS, [8])
    return np.copysign(levels[np.abs(size[:, None] - levels).argmin(axis=1)] * scale, x)


def nan_for_zeros(x):
    with np.errstate(all="ignore"):
        return by_levels(x) if x.any() else x / np.abs(x).max()


def changing(x):
    x /= octave(x)
    return by_levels(x)


RIGHT = {
    "14.1": [-3.5, Fraction(-7, 2), Decimal("-3.5"), float(E4M3.values[0b11001110]) / 2, np.float32(-3.5)],
    "14.2": [
        (INTEGER, FLOAT),
        (26.8, 25.5),
        [52.87 - 20 * math.log10(20), 13.46 + 6.02 * 2],
        np.array([26.846, 25.4996]),
    ],
    "14.3": [by_library, by_levels, by_ml_dtypes],
}
WRONG = {
    "14.1": [
        (3.5, "sign"),
        (-7, "without the scale"),
        (-1.5, "not stored"),
        (-1.75, "bias 8"),
        (-448, "bias is 7"),
        (-768, "E5M2"),
        (-14, "does not divide"),
        (-2.75, "6 eighths"),
        (0b11001110, "Sign 1"),
        ("-3.5", "a number"),
        (-3.4, "Close"),
    ],
    "14.2": [
        ((FLOAT, INTEGER), "int8 comes first"),
        ((26.85, 31.52), "three are E4M3's"),
        ((39.86, 25.5), "20 log10"),
        ((23.32, 25.5), "largest magnitude over"),
        ((78.89, 25.5), "subtract"),
        ((32.87, 25.5), "largest code"),
        ((26.85, -0.52), "do not fall"),
        ((52.87, 31.52), "52.87 -"),
        (26.85, "52.87 -"),
        ((27.0, 25.5), "Close"),
    ],
    "14.3": [
        (lambda x: ..., "returns ..."),
        (lambda x: None, "returns None"),
        (lambda x: 1.0, "one axis"),
        (lambda x: scaled(x, np.abs(x).max() / 6), "power of two"),
        (rounded_up, "rounds S down"),
        (lambda x: scaled(x, octave(x)), "over 4|by 4"),
        (lambda x: scaled(x, octave(x) / 6), "not by 6"),
        (lambda x: scaled(x, octave(x) / 8), "not by 8"),
        (no_clip, "clip"),
        (lambda x: by_levels(x) / (octave(x) / 4), "over 4|units of S"),
        (lambda x: x, "values themselves"),
        (lambda x: np.abs(by_levels(x)), "signs are missing"),
        (lambda x: scaled(x, 2.0 ** np.floor(np.log2(x.max())) / 4) if x.any() else x, "largest magnitude"),
        (ties_away, "even mantissa"),
        (nan_for_zeros, "block of zeros"),
        (always_one, "beyond 6 S|largest magnitude|follow the block"),
        (changing, "changes the array"),
        (by_library(np.array([1.0, 2.0])), "function itself"),
    ],
}
