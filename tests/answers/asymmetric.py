"""Answers to the exercises of notebook 02."""

import math
from fractions import Fraction

import numpy as np


def params(
    widen=True, empty=1.0, rounding=round, from_max=False, scale_of=lambda width, steps: width / steps
):
    """A function that turns a range into S and Z, with one step done wrong."""

    def function(rmin, rmax, qmin, qmax):
        if widen:
            rmin, rmax = min(rmin, 0.0), max(rmax, 0.0)
        scale = scale_of(rmax - rmin, qmax - qmin) or empty
        return scale, qmax - rounding(rmax / scale) if from_max else qmin - rounding(rmin / scale)

    return function


def constant_as_zeros(rmin, rmax, qmin, qmax):
    return (1.0, qmin) if rmin == rmax else params()(rmin, rmax, qmin, qmax)


def zeros_with(pair):
    def function(rmin, rmax, qmin, qmax):
        return pair if rmin == rmax == 0 else params()(rmin, rmax, qmin, qmax)

    return function


def away(v):
    return math.copysign(math.floor(abs(v) + 0.5), v)


def with_numpy(rmin, rmax, qmin, qmax):
    low, high = np.minimum(rmin, 0), np.maximum(rmax, 0)
    scale = np.where(high > low, (high - low) / (qmax - qmin), 1.0)
    return np.array([scale, qmin - np.rint(low / scale)])


def by_cases(rmin, rmax, qmin, qmax):
    if rmin == 0 and rmax == 0:
        return [1, 0]
    if rmin > 0:
        rmin = 0
    if rmax < 0:
        rmax = 0
    step = (rmax - rmin) / (qmax - qmin)
    return [step, qmin + round(-rmin / step)]


RIGHT = {
    "02.1": [(1, 3), (1.0, 3.0), [Fraction(15, 15), 3], np.array([1, 3])],
    "02.2": [0.2, 0.199, Fraction(1, 5), np.float32(0.2)],
    "02.3": [params(), with_numpy, by_cases, zeros_with((1, 7)), zeros_with((1.0, 0))],
}
WRONG = {
    "02.1": [
        ((15 / 16, 2), "15 steps"),
        ((0.6, -5), "sign of rmin"),
        ((1, 12), "minus the steps"),
        ((1, -3), "not negative"),
        ((3, 1), "S first"),
        ((1, 0), "a code of its own"),
        (1, "S = (rmax"),
        ((1, 4), "S = (rmax"),
    ],
    "02.2": [
        (0.1667, "real units"),
        (1.8, "itself"),
        (0.8, "nearest"),
        (-0.2, "positive"),
        (0.5, "the most"),
        (0.3, "Compare"),
        (0.21, "Compare"),
    ],
    "02.3": [
        (lambda *ends: ..., "still"),
        (lambda *ends: (..., 0), "still"),
        (lambda *ends: None, "returns None"),
        (lambda *ends: (1.0, 0), "must give"),
        (lambda *ends: 1.0, "must give"),
        (params(scale_of=lambda width, steps: width / (steps + 1)), "must give"),
        (params(widen=False), "widened"),
        (params(empty=2.0), "zeros alone"),
        (params(empty=0.0), "ZeroDivisionError"),
        (zeros_with((1.0, 999)), "zeros alone"),
        (zeros_with((1.0, -100)), "zeros alone"),
        (zeros_with((1.0, 0.5)), "zeros alone"),
        (zeros_with(1.0), "zeros alone"),
        (constant_as_zeros, "constant"),
        (lambda a, b, low, high: (5.0, low) if a == b else params()(a, b, low, high), "zeros alone"),
        (params(scale_of=lambda w, n: max(w / n, 1e-8) if w else 1.0), "no epsilon"),
        (params(scale_of=lambda w, n: w / n + 1e-12 if w else 1.0), "no epsilon"),
        (params(scale_of=lambda w, n: (w + 1e-15) / n if w else 1.0), "no epsilon"),
        (params(scale_of=lambda w, n: w / n if w > 1e-9 else 1.0), "no epsilon"),
        (params(from_max=True), "lower end"),
        (params(rounding=int), "cut off"),
        (params(rounding=lambda v: v), "nearest"),
        (params(rounding=math.floor), "nearest"),
        (params(rounding=lambda v: round(v) if v % 1 == 0.5 else math.trunc(v)), "nearest"),
        (params(rounding=away), "even neighbour"),
        (params(rounding=lambda v: math.floor(v + 0.5)), "lower end|even neighbour"),
        (params(rounding=lambda v: math.ceil(v - 0.5)), "even neighbour"),
        (lambda a, b, low, high: params()(a, b, -128, 127), "must give"),
    ],
}
