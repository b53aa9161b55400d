"""Answers to the exercises of notebook 11."""

import numpy as np

from quantnotes import INT8, UINT8, QuantParams, int_conv


def sums(q, kernel, z, *, border=None, less=None, kernel_of=lambda k: k, dtype=int):
    """The function of exercise 11.3, with one step done wrong."""
    padded = np.pad(q.astype(dtype), 1, constant_values=z if border is None else border)
    total = np.zeros(q.shape, dtype)
    for i in range(3):
        for j in range(3):
            window = padded[i : i + q.shape[0], j : j + q.shape[1]]
            total = (
                total + (window - dtype(z if less is None else less)) * kernel_of(kernel).astype(dtype)[i, j]
            )
    return total


def by_the_library(q, kernel, z):
    x, w = QuantParams(1.0, z, UINT8), QuantParams(1.0, 0, INT8)
    return int_conv(q[None, None], kernel[None, None], x, w, pads=1)[0, 0]


def by_a_product(q, kernel, z):
    padded = np.pad(q.astype(np.int32) - z, 1)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3)).reshape(q.size, 9)
    return (windows @ kernel.ravel().astype(np.int32)).reshape(q.shape)


RIGHT = {
    "11.1": [(-30, -18, 0), [-30, -18, 0], np.array([-30.0, -18.0, 0.0])],
    "11.2": [(127, -42, 21, 8), np.array([127, -42, 21, 8], np.int8), [127.0, -42.0, 21.0, 8.0]],
    "11.3": [sums, by_the_library, by_a_product],
}
WRONG = {
    "11.1": [
        ((0, 0, 0), "border of Z"),
        ((24, 36, 54), "0 - 6"),
        ((30, 18, 0), "sign"),
        ((0, -18, -30), "order"),
        ((-18, -30, 0), "touches more"),
        ((-18, -12, 0), "5 values"),
        ((1, 2, 3), "Count"),
        (-30, "Count"),
    ],
    "11.2": [
        ((127, -42, 127, 51), "asks for one"),
        ((76, -25, 127, 51), "before folding"),
        ((8, -3, 127, 51), "after a division"),
        ((128, -43, 21, 9), "ends at 127"),
        ((0.6, -0.2, 0.1, 0.04), "reals"),
        ((127, -43, 21, 8), "nearest"),
        ((1, 2, 3, 4), "S = 0.6 / 127"),
    ],
    "11.3": [
        (lambda q, k, z: ..., "returns ..."),
        (lambda q, k, z: None, "returns None"),
        (lambda q, k, z: 0, "two axes"),
        (lambda q, k, z: sums(q, k, z, border=0), "constant_values=z"),
        (lambda q, k, z: sums(q, k, z, less=0), "border's too"),
        (lambda q, k, z: sums(q, k, z, border=0, less=0), "neither"),
        (lambda q, k, z: sums(q, k, z, kernel_of=lambda k: k[::-1, ::-1]), "no flip"),
        (lambda q, k, z: sums(q, k, z, kernel_of=np.transpose), "exchanged"),
        (lambda q, k, z: sums(q, k, z).astype(np.int8), "wrap"),
        (lambda q, k, z: sums(q, k, z)[1:-1, 1:-1], "one pixel|every sum is 0"),
        (lambda q, k, z: sums(q, k, z) if z == 6 else np.zeros(q.shape), "middle of the page"),
        (lambda q, k, z: sums(q, k, z if z < 100 else 0), "Z = 200"),
        (lambda q, k, z: 1 / 0, "ZeroDivisionError"),
    ],
}
