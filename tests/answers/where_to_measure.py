"""Answers to the exercises of notebook 10."""

import numpy as np

from quantnotes import asymmetric_params, fake_quantize, minmax_range

SIGNAL, NOISE = np.array([1000.0, 1, 1, 1]), np.array([10.0, 0.01, 0.01, 0.0001])
TOKENS = 10 * np.log10(SIGNAL / NOISE)
TENSOR = 10 * np.log10(SIGNAL.sum() / NOISE.sum())
MEDIAN = np.median(TOKENS)


def quantized(x, low, high):
    return fake_quantize(x, asymmetric_params(low, high), dtype=np.float64)


def apart(x, low, high):
    got = quantized(x, low, high)
    got[0] = quantized(x, *minmax_range(x))[0]
    return got


def by_hand(x, low, high):
    rows = []
    for i, row in enumerate(x):
        bottom, top = (x.min(), x.max()) if i == 0 else (low, high)
        scale = (top - bottom) / 255
        zero = np.rint(-128 - bottom / scale)
        rows.append((np.clip(np.rint(row / scale) + zero, -128, 127) - zero) * scale)
    return rows


def own(x, low, high):
    return np.vstack([quantized(x[:1], *minmax_range(x[0])), quantized(x[1:], low, high)])


def other_way(x, low, high):
    got = quantized(x, *minmax_range(x))
    got[0] = quantized(x, low, high)[0]
    return got


def unclipped_rest(x, low, high):
    return np.vstack([quantized(x[:1], *minmax_range(x)), np.clip(x[1:], low, high)])


def changing(x, low, high):
    x[1:] = np.clip(x[1:], low, high)
    return x


RIGHT = {
    "10.1": [(5, 5), [5.0, 5.0], np.sqrt([25, 25])],
    "10.2": [(TENSOR, MEDIAN), (20.0, 20.0), np.array([19.986, 20])],
    "10.3": [apart, by_hand],
}
WRONG = {
    "10.1": [
        ((5, 2), "both come out the same"),
        ((50, 20), "before it"),
        ((50 - 50 / 26, 20 - 20 / 26), "mean subtracted"),
        ((np.sqrt(26), np.sqrt(26)), "not of n"),
        ((25, 25), "square root"),
        ((1, 1), "k cancels"),
        (5, "k cancels"),
    ],
    "10.2": [
        ((TENSOR, TOKENS.mean()), "mean of the four"),
        ((TOKENS.mean(), MEDIAN), "add up the powers"),
        ((2 * TENSOR, 2 * MEDIAN), "not 20"),
        ((-TENSOR, -MEDIAN), "not error over signal"),
        ((1, 2), "10 log10"),
        (20, "10 log10"),
    ],
    "10.3": [
        (lambda x, low, high: ..., "returns ..."),
        (lambda x, low, high: None, "returns None"),
        (lambda x, low, high: x[0], "the shape of x"),
        (quantized, "clipped too"),
        (other_way, "other way round"),
        (lambda x, low, high: quantized(x, *minmax_range(x)), "Nothing is clipped"),
        (lambda x, low, high: x, "values themselves"),
        (own, "not one of its own|Row 0 is quantized|Take the range"),
        (unclipped_rest, "Row 0 is quantized"),
        (lambda x, low, high: apart(x, -2.0, 3.0), "from the arguments"),
        (changing, "changes the array"),
    ],
}
