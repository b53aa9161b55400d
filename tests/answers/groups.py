"""Answers to the exercises of notebook 13."""

from fractions import Fraction

import numpy as np

from quantnotes import IntGrid
from quantnotes.formats import FLOAT16, BlockFormat

FOUR = IntGrid.of(4)
BITS = [
    BlockFormat(FOUR, 32, FLOAT16).bits_per_value,
    BlockFormat(FOUR, 128, FLOAT16, "asymmetric").bits_per_value,
    3 + 8 / 16,
]


def round_row(w, h, damping, *, sign=1, reduced=True, of_h=False, mean=True, everywhere=False, last=True):
    """The function of exercise 13.3, perhaps with one step done wrong."""
    unit = np.mean(np.diagonal(h)) if mean else 1.0
    h = h + damping * unit * (np.ones_like(h) if everywhere else np.eye(len(h)))
    p, w, codes = (h if of_h else np.linalg.inv(h)), w.astype(float), []
    for j in range(len(w)):
        codes.append(round(w[j]) if last or j + 1 < len(w) else w[j])
        for k in range(j + 1, len(w)):
            w[k] -= sign * (w[j] - codes[j]) * p[j, k] / p[j, j]
        if reduced and not of_h:
            p = p - np.outer(p[:, j], p[j]) / p[j, j]
    return np.array(codes)


def by_solving(w, h, damping):
    """The same without an inverse: the best weights to the right of each, by a linear system."""
    h = h + damping * np.trace(h) / len(h) * np.eye(len(h))
    codes, exact = np.zeros(len(w)), w
    left = w.copy()
    for j in range(len(w)):
        codes[j] = np.rint(left[j])
        error = (exact - codes)[: j + 1]
        right = slice(j + 1, None)
        left[right] = exact[right] + np.linalg.solve(h[right, right], h[right, : j + 1] @ error)
    return codes


def by_cholesky(w, h, damping):
    """As the library does: the Cholesky factor of the inverse has every share."""
    h = h + damping * np.diag(h).mean() * np.eye(len(h))
    upper = np.linalg.cholesky(np.linalg.inv(h)).T
    left, codes = w.copy(), np.empty(len(w), int)
    for j in range(len(w)):
        codes[j] = np.rint(left[j])
        left[j:] -= (left[j] - codes[j]) / upper[j, j] * upper[j, j:]
    return codes


def in_place(w, h, damping):
    w -= w - np.rint(w)
    return w


def tried(w, h, damping):
    """The best of floor and ceil."""
    errors = {}
    for i in range(2 ** len(w)):
        codes = np.floor(w) + [(i >> k) & 1 for k in range(len(w))]
        errors[tuple(codes)] = (w - codes) @ h @ (w - codes)
    return np.array(min(errors, key=errors.get))


def by_size(w, h, damping):
    order = np.argsort(-np.diag(h))
    codes = np.empty(len(w))
    codes[order] = round_row(w[order], h[np.ix_(order, order)], damping)
    return codes


RIGHT = {
    "13.1": [BITS, (4.5, 4 + 20 / 128, 3.5), [Fraction(9, 2), Fraction(133, 32), Fraction(7, 2)]],
    "13.2": [(2, 2, 3, 1), np.array([2, 2, 3, 1], np.int8), [2.0, 2.0, 3.0, 1.0]],
    "13.3": [round_row, by_solving, by_cholesky, lambda w, h, damping: round_row(w, h, damping).tolist()],
}
WRONG = {
    "13.1": [
        ((4, 4, 3), "scales take bits"),
        ((4.5, 4.125, 3.5), "zero points"),
        ((4.5, 8.125, 3.5), "one zero point"),
        ((4.625, 4.15625, 3.6875), "no zero point"),
        ((4.5, 4.15625, 4.0), "8 bits, not 16"),
        ((20, 24, 11), "Divide"),
        ((5.0, 4.28125, 3.5), "float32"),
        ((4.5, 4.25, 3.5), "4, not 16"),
        (4.5, "plus what the group has"),
        ((4.5, 4.16, 3.5), "Close|plus what"),
        ((3.5, 4.15625, 4.5), "plus what"),
        ("4.5", "a number"),
    ],
    "13.2": [
        ((2, 1, 2, 1), "nearest"),
        ((3, 1, 2, 2), "other way round"),
        ((2, 2, 1, 3), "comes first in the answer"),
        ((2, 2, 2, 2), "makes up for 0.3"),
        ((3, 1, 3, 1), "makes up for 0.4"),
        ((2, 2, 2, 1), "more than 2.5"),
        ((2, 1, 3, 1), "more than 1.5"),
        ((2, 1.62, 2.64, 1), "give codes"),
        ((2, 2), "share"),
        ((2, 3, 3, 2), "share"),
        ([[2, 2], [3, 1]], "share"),
    ],
    "13.3": [
        (lambda w, h, damping: ..., "returns ..."),
        (lambda w, h, damping: None, "returns None"),
        (lambda w, h, damping: 2, "one axis"),
        (lambda w, h, damping: round_row(w, h, damping)[None], "one axis"),
        (lambda w, h, damping: round_row(w, h, damping, last=False), "whole numbers"),
        (lambda w, h, damping: np.rint(w), "nearest codes"),
        (in_place, "work on a copy"),
        (lambda w, h, damping: round_row(w, h, damping, sign=-1), "sign|nearest"),
        (lambda w, h, damping: round_row(w, h, damping, of_h=True), "inverse|sign|nearest"),
        (lambda w, h, damping: round_row(w, h, damping, reduced=False), "take it out"),
        (lambda w, h, damping: round_row(w, h, 0), "damping is missing"),
        (lambda w, h, damping: round_row(w, h, damping, mean=False), "units of the mean"),
        (lambda w, h, damping: round_row(w, h, damping, everywhere=True), "diagonal alone"),
        (tried, "look back"),
        (lambda w, h, damping: round_row(w[::-1], h[::-1, ::-1], damping)[::-1], "right to left"),
        (by_size, "some codes are wrong"),
        (lambda w, h, damping: 1 / 0, "ZeroDivisionError"),
        (3, "function itself"),
    ],
}
