"""Answers to the exercises of notebook 06."""

from fractions import Fraction

import numpy as np

from quantnotes import IntGrid, QuantParams, fake_quantize, mse_range


def tried(x, qmax, candidates, power=2):
    def error(clip):
        params = QuantParams(clip / qmax, 0, IntGrid(-qmax, qmax))
        return np.mean(np.abs(fake_quantize(x, params) - x) ** power)

    return min(candidates, key=error)


def steps(x, n=301):
    return np.linspace(0, np.abs(x).max(), n)[1:]


def my_clip(x, qmax):
    return tried(x, qmax, steps(x))


def eighty_candidates(x, qmax):
    return tried(x, qmax, steps(x, 81))


def by_the_library(x, qmax):
    return mse_range(x, IntGrid(-qmax, qmax), "symmetric").rmax


def by_hand(x, qmax):
    """Without the library, on every magnitude that occurs and on steps between."""
    sizes = np.sort(np.abs(x))
    candidates = np.concatenate([sizes[:: max(sizes.size // 200, 1)], steps(x, 401)])
    candidates = candidates[candidates > 0]
    errors = [
        np.sum((np.minimum(np.rint(sizes / a * qmax), qmax) * a / qmax - sizes) ** 2) for a in candidates
    ]
    return np.array([candidates[np.argmin(errors)]])


def changing(x, qmax):
    clip = my_clip(x, qmax)
    x[0] = 0.0
    return clip


def without_clipping(x, qmax):
    """Only what lies inside is counted: the smallest clip looks best."""

    def error(clip):
        inside = x[np.abs(x) <= clip]
        rounded = fake_quantize(inside, QuantParams(clip / qmax, 0, IntGrid(-qmax, qmax)))
        return np.sum((rounded - inside) ** 2)

    return min(steps(x), key=error)


def by_formula(x, qmax):
    """The rounding error as S**2 / 12, which is far off for few codes."""
    sizes = np.abs(x)
    errors = [np.mean(np.maximum(sizes - a, 0) ** 2) + (a / qmax) ** 2 / 12 for a in steps(x)]
    return steps(x)[np.argmin(errors)]


RIGHT = {
    "06.1": [1.3, Fraction(13, 10), np.float32(1.3)],
    "06.2": [[7, 7, 0, 4], np.array([7.0, 7.0, 0.0, 4.0]), (7.0, 7.0, 0.0, 4.0)],
    "06.3": [
        my_clip,
        by_hand,
        lambda x, qmax: tried(x, qmax, steps(x, 65)),
        lambda x, qmax: mse_range(x, IntGrid(-qmax, qmax), "symmetric").rmax,
    ],
}
WRONG = {
    "06.1": [
        (4, "rounds to 0"),
        (1, "3 squared"),
        (2.5, "weighs both alike"),
        (22 / 19, "18 and 2"),
        (1.1, "mean, not at the median"),
        (16.2, "least error itself"),
        (1.31, "Close"),
        (7, "derivative"),
    ],
    "06.2": [
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
    "06.3": [
        (lambda x, qmax: ..., "returns ..."),
        (lambda x, qmax: None, "returns None"),
        (lambda x, qmax: (1.0, 2.0), "one number"),
        (lambda x, qmax: -1.0, "above 0"),
        (lambda x, qmax: np.abs(x).max(), "far below half"),
        (lambda x, qmax: tried(x, qmax, np.linspace(0.5, 0.99, 101) * np.abs(x).max()), "far below half"),
        (lambda x, qmax: my_clip(x, qmax) / qmax, "the scale"),
        (without_clipping, "clipping included"),
        (by_formula, "least squared error"),
        (lambda x, qmax: tried(x, qmax, steps(x), power=1), "least squared error"),
        (lambda x, qmax: np.quantile(np.abs(x), 0.999), "least squared error"),
        (lambda x, qmax: 3 * x.std(), "least squared error"),
        (lambda x, qmax: tried(x, qmax, np.linspace(0.01, 4, 400)), "least squared error"),
        (lambda x, qmax: tried(x, qmax, np.linspace(0, x.max(), 201)[1:]), "negative value"),
        (changing, "changes the array"),
        (lambda x, qmax: 1 / 0, "ZeroDivisionError"),
    ],
}
