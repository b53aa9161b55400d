"""Answers to the exercises of notebook 12."""

import math
from fractions import Fraction

import numpy as np
import scipy.stats


def left_db(alone):
    return -10 * math.log10(sum(10 ** (-db / 10) for db in alone))


def keep(alone, target):
    kept = []
    for name in sorted(alone, key=alone.get):
        rest = [db for other, db in alone.items() if other not in kept]
        if left_db(rest) >= target:
            break
        kept.append(name)
    return kept


def by_budget(alone, target):
    """From the best layer on, as long as the noise allows it."""
    names = sorted(alone, key=alone.get, reverse=True)
    noise = np.cumsum([10 ** (-alone[name] / 10) for name in names])
    number = int(np.sum(noise <= 10 ** (-target / 10)))
    return names[number:][::-1]


def from_the_best(alone, target):
    kept = []
    for name in sorted(alone, key=alone.get, reverse=True):
        rest = [db for other, db in alone.items() if other not in kept]
        if left_db(rest) >= target:
            break
        kept.append(name)
    return kept


RIGHT = {
    "12.1": [left_db([20, 20, 30]), 16.8, Fraction(168, 10)],
    "12.2": [scipy.stats.norm.cdf(-1.5), 0.0668, 0.067],
    "12.3": [keep, by_budget, lambda alone, target: tuple(keep(alone, target))],
}
WRONG = {
    "12.1": [
        (20, "worst alone"),
        (23.3, "no mean"),
        (16.99, "third layer"),
        (12.7, "not amplitudes"),
        (-16.8, "sign"),
        (0.021, "positive"),
        (50, "back to decibels"),
    ],
    "12.2": [
        (0.134, "not two"),
        (0.933, "stays"),
        (scipy.stats.norm.cdf(-2 / 3), "other way round"),
        (scipy.stats.norm.pdf(1.5), "density"),
        (0.0, "not 6"),
        (0.5, "share of a Gaussian"),
    ],
    "12.3": [
        (lambda alone, target: ..., "returns ..."),
        (lambda alone, target: None, "returns None"),
        (lambda alone, target: 2, "list of names"),
        (lambda alone, target: [0, 1], "list of names"),
        (lambda alone, target: keep(alone, target)[::-1], "worst first"),
        (from_the_best, "fewest decibels"),
        (
            lambda alone, target: sorted((n for n in alone if alone[n] < target), key=alone.get),
            "noise powers",
        ),
        (lambda alone, target: sorted(alone, key=alone.get), "are enough"),
        (lambda alone, target: [], "the others together"),
        (lambda alone, target: 1 / 0, "ZeroDivisionError"),
    ],
}
