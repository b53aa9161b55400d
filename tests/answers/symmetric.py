"""Answers to the exercises of notebook 03."""

from fractions import Fraction

import numpy as np


def quantizer(
    largest=lambda w: np.abs(w).max(axis=1), qmax=127, empty=1.0, rounding=np.rint, dtype=np.int8, add=0.0
):
    """A per-channel quantizer with one step done wrong."""

    def function(w):
        scales = largest(w) / qmax + add
        scales = np.where(scales == 0, empty, scales)
        with np.errstate(invalid="ignore", divide="ignore"):
            return rounding(np.nan_to_num((w.T / scales).T)).astype(dtype), scales

    return function


def multiplied_first(w):
    largest = np.abs(w).max(axis=1, keepdims=True)
    largest[largest == 0] = 127.0
    return np.rint(w * 127 / largest).astype(np.int8), (largest / 127).ravel()


def row_by_row(w):
    codes, scales = [], []
    for row in w:
        scale = max(map(abs, row)) / 127 or 1.0
        codes.append([round(value / scale) for value in row])
        scales.append(float(scale))
    return [np.array(codes, np.int8), scales]


def in_float32_codes(w):
    _, scales = quantizer()(w)
    return np.rint(w.astype(np.float32) / scales.astype(np.float32)[:, None]).astype(np.int8), scales


def columns(w):
    codes, scales = quantizer()(w.T)
    return codes.T, scales


RIGHT = {
    "03.1": [0.04, np.float32(0.04), Fraction(4, 100), 5.08 / 127],
    "03.2": [5400, 5400.0, np.int64(5400)],
    "03.3": [quantizer(), multiplied_first, row_by_row, in_float32_codes],
}
WRONG = {
    "03.1": [
        (3 / 127, "overflow"),
        (8.08 / 254, "asymmetric"),
        (8.08 / 255, "asymmetric"),
        (5.08 / 128, "not 128"),
        (-0.04, "positive"),
        (0.08, "not two"),
        (1, "max(|rmin|"),
    ],
    "03.2": [
        (5000, "on top"),
        (5100, "four bytes"),
        (5200, "not for each input"),
        (5800, "no zero points"),
        (5004, "each output has one"),
        (20400, "not four"),
        (1, "One byte a code"),
    ],
    "03.3": [
        (lambda w: ..., "still"),
        (lambda w: None, "returns None"),
        (lambda w: quantizer()(w)[0], "two things"),
        (lambda w: (w, np.float64(1)), "shape (4,)"),
        (lambda w: (quantizer()(w)[0], quantizer()(w)[1][:, None]), "shape (4,)"),
        (columns, "shape (4,)"),
        (quantizer(empty=0.0), "row of zeros"),
        (quantizer(qmax=128), "not 128"),
        (quantizer(largest=lambda w: w.max(axis=1)), "*absolute*"),
        (quantizer(largest=lambda w: np.ptp(w, axis=1) / 2), "own scale"),
        (quantizer(largest=lambda w: np.full(len(w), np.abs(w).max())), "whole tensor"),
        (quantizer(empty=2.0), "row of zeros"),
        (quantizer(add=1e-12), "own scale|no epsilon"),
        (quantizer(largest=lambda w: np.maximum(np.abs(w).max(axis=1), 1e-9)), "row of zeros|no epsilon"),
        (quantizer(dtype=np.int16), "int16"),
        (quantizer(largest=lambda w: np.abs(w.astype(np.float32)).max(axis=1)), "float64"),
        (quantizer(rounding=np.trunc), "before the cast"),
        (quantizer(rounding=lambda v: np.floor(v + 0.5)), "own scale|ties to even"),
    ],
}
