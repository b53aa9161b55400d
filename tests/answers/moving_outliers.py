"""Answers to the exercises of notebook 15."""

from fractions import Fraction

import numpy as np

from quantnotes import (
    INT8_NARROW,
    asymmetric_params,
    fake_quantize,
    hadamard,
    minmax_range,
    quantize,
    rotate,
    symmetric_params,
)


def x_codes(x, axis=None):
    return fake_quantize(x, asymmetric_params(*minmax_range(x, axis=axis), axis=axis), dtype=np.float64)


def w_codes(w, axis=0):
    ends = minmax_range(w, axis=axis)
    return fake_quantize(w, symmetric_params(*ends, INT8_NARROW, axis=axis), dtype=np.float64)


def rotated(x, weight):
    return x_codes(rotate(x)) @ w_codes(rotate(weight)).T


def in_integers(x, weight):
    """Codes, int32 sums, and the scales behind them."""
    x, weight = rotate(x), rotate(weight)
    px = asymmetric_params(*minmax_range(x))
    pw = symmetric_params(*minmax_range(weight, axis=0), INT8_NARROW, axis=0)
    sums = (quantize(x, px).astype(int) - px.zero_point) @ quantize(weight, pw).astype(int).T
    return sums * px.scale * pw.scale


def by_hand(x, weight):
    h = hadamard(x.shape[1]) / np.sqrt(x.shape[1])
    x, weight = x @ h, weight @ h
    scale = (max(x.max(), 0) - min(x.min(), 0)) / 255
    zero = np.rint(-128 - min(x.min(), 0) / scale)
    codes = np.clip(np.rint(x / scale) + zero, -128, 127)
    scales = np.abs(weight).max(axis=1, keepdims=True) / 127
    return ((codes - zero) * scale @ (np.rint(weight / scales) * scales).T).tolist()


def with_powers_of_two(x, weight):
    """Sylvester's matrix only."""
    h = np.ones((1, 1))
    while len(h) < x.shape[1]:
        h = np.block([[h, h], [h, -h]])
    h = h[: x.shape[1], : x.shape[1]] / np.sqrt(x.shape[1])
    return x_codes(x @ h) @ w_codes(weight @ h).T


def unscaled(x, weight):
    h = hadamard(x.shape[1])
    return x_codes(x @ h) @ w_codes(weight @ h).T


def scaled_once(x, weight):
    h = hadamard(x.shape[1])
    return x_codes(rotate(x)) @ w_codes(weight @ h).T


def four_bits(x, weight):
    return x_codes(np.round(rotate(x))) @ w_codes(rotate(weight)).T


def changing(x, weight):
    x *= 2
    return rotated(x / 2, weight)


RIGHT = {
    "15.1": [
        (8, 4, 6, 8),
        [8.0, 4.0, 6.0, 8.0],
        rotate([13.0, 1, -1, 3]),
        np.array([13, 1, -1, 3]) @ hadamard(4) / 2,
    ],
    "15.2": [
        (6.25, 4, 5),
        (Fraction(25, 4), 4, 5),
        np.array([6.25, 4.0, 5.0]),
        [25 / 4, 4 / 1, np.sqrt(25 / 4 * 4)],
    ],
    "15.3": [rotated, in_integers, by_hand, lambda x, weight: rotated(x.astype(np.float64), weight)],
}
WRONG = {
    "15.1": [
        ((16, 8, 12, 16), "divide by the root"),
        ((4, 2, 3, 4), "not by n"),
        ((8, 6, 4, 8), "another order"),
        ((13, 1, -1, 3), "where it came from"),
        ((9, 5, 5, 7), "sign"),
        (8, "sum of all four"),
        ((8, 4, 6), "sum of all four"),
        ((-8, 4, 6, 8), "sum of all four"),
        ((9, 5, 5), "sum of all four"),
        ("8 4 6 8", "a number, or several"),
    ],
    "15.2": [
        ((4, 6.25, 5), "comes first"),
        ((6.25, 4, 25), "product of both"),
        ((6.25, 4, 10), "largest magnitude"),
        ((6.25, 4, 2.5), "divided by 2 as well"),
        ((25, 4, 10), "ratios are asked for"),
        ((6.25, 4, 1), "flat"),
        ((6.25, 4, 5.125), "geometric"),
        ((6.25, 4), "Factors are"),
        (5, "Factors are"),
        ((6, 4, 5), "Close|Factors are"),
    ],
    "15.3": [
        (lambda x, weight: ..., "returns ..."),
        (lambda x, weight: None, "returns None"),
        (lambda x, weight: rotated(x, weight).T, "tokens, outputs"),
        (lambda x, weight: x_codes(x) @ w_codes(weight).T, "rotate first"),
        (lambda x, weight: x @ weight.T, "in floats"),
        (lambda x, weight: rotate(x) @ rotate(weight).T, "in floats"),
        (lambda x, weight: rotate(x_codes(x)) @ rotate(w_codes(weight)).T, "rotate first"),
        (lambda x, weight: x_codes(rotate(x)) @ w_codes(weight).T, "weight is not rotated"),
        (lambda x, weight: x_codes(x) @ w_codes(rotate(weight)).T, "x is not rotated"),
        (lambda x, weight: x_codes(rotate(x)) @ w_codes(rotate(weight.T).T).T, "along its outputs"),
        (unscaled, "n times too large"),
        (scaled_once, "on both sides"),
        (lambda x, weight: x_codes(rotate(x), 0) @ w_codes(rotate(weight)).T, "each token"),
        (lambda x, weight: x_codes(rotate(x)) @ w_codes(rotate(weight), None).T, "each output"),
        (lambda x, weight: w_codes(rotate(x), None) @ w_codes(rotate(weight)).T, "symmetrically"),
        (with_powers_of_two, "wrong for 12"),
        (four_bits, "along their last axis"),
        (changing, "changes the array"),
    ],
}
