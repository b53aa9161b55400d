"""Answers to the exercises of notebook 17."""

from fractions import Fraction

import numpy as np


def wider(counts, first, half=lambda bins: bins // 2, dtype=np.int64):
    bins = half(first + np.arange(len(counts)))
    total = np.zeros(int(bins[-1] - bins[0]) + 1, dtype)
    np.add.at(total, (bins - bins[0]).astype(int), counts.astype(dtype))
    return total, int(bins[0])


def with_pads(counts, first):
    """A bin before, where the first is odd, and one after, where an odd number is left."""
    counts = np.concatenate([np.zeros(first % 2, np.int64), counts])
    counts = np.concatenate([counts, np.zeros(len(counts) % 2, np.int64)])
    return [(counts[::2] + counts[1::2]).tolist(), (first - first % 2) // 2]


def in_a_dict(counts, first):
    total = {}
    for i, count in enumerate(counts.tolist()):
        total[(first + i) // 2] = total.get((first + i) // 2, 0) + count
    return list(total.values()), min(total)


def pairs(counts, first):
    return counts[: len(counts) // 2 * 2].reshape(-1, 2).sum(axis=1), first // 2


def padded_at_the_end(counts, first):
    padded = np.append(counts, np.zeros(len(counts) % 2, np.int64))
    return padded.reshape(-1, 2).sum(axis=1), first // 2


def filled_alone(counts, first):
    total, first = wider(counts, first)
    return total[total > 0], first + int(np.argmax(total > 0))


RIGHT = {
    "17.1": [21, 21.0, np.int64(21)],
    "17.2": [2, 2.0, Fraction(2)],
    "17.3": [wider, with_pads, in_a_dict],
}
WRONG = {
    "17.1": [
        (24, "one byte"),
        (12, "what is read"),
        (9, "what is written"),
        (5, "one pass"),
        (13, "three passes"),
        (16, "a pass too"),
        (20, "read too"),
        (7, "Three passes"),
    ],
    "17.2": [
        (8, "keep up"),
        (10, "one into the other"),
        (2.5, "five bytes"),
        (3, "nothing left"),
        (1, "20 of the 40"),
        (100, "Elements"),
    ],
    "17.3": [
        (lambda counts, first: ..., "still"),
        (lambda counts, first: None, "returns None"),
        (lambda counts, first: wider(counts, first)[0], "two things"),
        (lambda counts, first: (wider(counts, first)[0], first), "first is halved"),
        (lambda counts, first: (wider(counts, first)[0], 2 * first), "not 2 j"),
        (lambda counts, first: (counts, first // 2), "hold 3 and 7"),
        (pairs, "must not be lost"),
        (padded_at_the_end, "depends on their numbers"),
        (lambda c, f: wider(c, f, half=lambda bins: np.trunc(bins / 2).astype(int)), "negative"),
        (filled_alone, "keep their place"),
        (lambda c, f: wider(c, f, dtype=np.int32), "all their digits"),
        (lambda c, f: wider(c, f, dtype=np.float32), "all their digits"),
    ],
}
