"""Answers to the exercises of notebook 07."""

from fractions import Fraction

import numpy as np

from quantnotes import dequantize, quantize_dynamic


def by_the_library(x):
    return dequantize(*quantize_dynamic(x, axis=0))


def ends(x, axis=1):
    low = np.minimum(x.min(axis=axis, keepdims=True), 0)
    high = np.maximum(x.max(axis=axis, keepdims=True), 0)
    return low, high


def by_hand(x, ends=ends, levels=255, decode=True):
    low, high = ends(x)
    scale = (high - low) / levels
    zero = np.rint(-128 - low / scale)
    codes = np.clip(np.rint(x / scale) + zero, -128, 127)
    return (codes - zero) * scale if decode else codes


def row_by_row(x):
    rows = []
    for row in x.tolist():
        low, high = min(*row, 0), max(*row, 0)
        scale = (high - low) / 255
        zero = round(-low / scale)
        rows.append([(min(max(round(v / scale) + zero, 0), 255) - zero) * scale for v in row])
    return rows


def symmetric(x):
    scale = np.abs(x).max(axis=1, keepdims=True) / 127
    return np.rint(x / scale) * scale


def without_zero(x):
    low, high = x.min(axis=1, keepdims=True), x.max(axis=1, keepdims=True)
    scale = (high - low) / 255
    return np.rint((x - low) / scale) * scale + low


def changing(x):
    x -= x.min()
    return x


RIGHT = {
    "07.1": [0.2, Fraction(1, 5), 200 / 1000],
    "07.2": [(6.5, 5), [6.5, 5.0], np.array([6.5, 5.0])],
    "07.3": [by_the_library, by_hand, row_by_row],
}
WRONG = {
    "07.1": [
        (0.1, "smallest of all"),
        (0.002, "percent"),
        (2, "two of them"),
        (0.5, "two of them"),
        ("0.2", "is a number"),
    ],
    "07.2": [
        ((5, 6.5), "comes first"),
        ((16 / 3, 16 / 3), "no order"),
        ((10, 10), "largest"),
        ((6, 4.5), "averaged with 0"),
        ((6, 5), "4 and 2 give 3"),
        ((1, 2), "In the order given"),
        (6.5, "In the order given"),
    ],
    "07.3": [
        (lambda x: ..., "returns ..."),
        (lambda x: None, "returns None"),
        (lambda x: x.max(), "the shape of x"),
        (lambda x: x, "values themselves"),
        (lambda x: by_hand(x, lambda x: ends(x, None)), "one range for all rows"),
        (lambda x: by_hand(x, lambda x: ends(x, 0)), "each column"),
        (symmetric, "symmetric"),
        (lambda x: by_hand(x, decode=False), "codes"),
        (lambda x: by_hand(x, levels=256), "(max - min)/255"),
        (without_zero, "starts at 0|must include 0"),
        (changing, "changes the array"),
    ],
}
