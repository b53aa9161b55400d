"""Answers to the exercises of notebook 04."""

from fractions import Fraction

import numpy as np


def counted(q, low, high):
    return high - low + 1 - len(np.unique(q))


def by_bincount(q, low, high):
    counts = np.bincount(q.ravel() - low, minlength=high - low + 1)
    return np.sum(counts == 0)


RIGHT = {
    "04.1": [6.31, 20 * np.log10(31 / 15), 6.306, np.float32(6.3055)],
    "04.2": [1.75, Fraction(7, 4), np.float32(1.75)],
    "04.3": [
        counted,
        by_bincount,
        lambda q, low, high: len(set(range(low, high + 1)) - set(q.ravel().tolist())),
        lambda q, low, high: np.sum(np.histogram(q, np.arange(low, high + 2))[0] == 0),
        lambda q, low, high: int(sum(not np.any(q == code) for code in range(low, high + 1))),
    ],
}
WRONG = {
    "04.1": [
        (6.02, "15 of 31"),
        (5.745, "steps, not codes"),
        (3.153, "amplitude"),
        (-6.31, "positive"),
        (31 / 15, "in decibels"),
        (2.07, "in decibels"),
        (14.52, "natural logarithm"),
        (6.30, "Close"),
        (6.3, "Close"),
        (6.32, "Close"),
        (1, "with b = 5"),
    ],
    "04.2": [
        (2, "equally frequent"),
        (1.75 * np.log(2), "log2"),
        (1.75 * np.log10(2), "not log10"),
        (9, "Weight"),
        (2.25, "plain mean"),
        (1.375, "two codes"),
        (-1.75, "sign"),
        (3, "Minus the sum"),
    ],
    "04.3": [
        (lambda q, low, high: ..., "still"),
        (lambda q, low, high: None, "returns None"),
        (lambda q, low, high: counted(q, low, high) - 1, "+ 1"),
        (lambda q, low, high: high - low + 1 - q.size, "distinct"),
        (lambda q, low, high: len(np.unique(q)), "in use"),
        (lambda q, low, high: (q.min() - low) + (high - q.max()), "ends"),
        (lambda q, low, high: 4, "smallest and the largest"),
        (lambda q, low, high: 5, "four are not"),
        (lambda q, low, high: high - low + 1 - len(set(map(tuple, np.atleast_2d(q)))), "four are not"),
        (lambda q, low, high: counted(q.astype(np.int8), low, high), "before any cast"),
        (lambda q, low, high: counted(q.astype(np.uint8), low, high), "before any cast"),
        (lambda q, low, high: counted(q.astype(np.int16), low, high), "before any cast"),
        (lambda q, low, high: high - low + 1 - len(set(q.astype(np.float16).ravel())), "before any cast"),
    ],
}
