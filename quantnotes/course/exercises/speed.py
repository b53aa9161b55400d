"""Exercises of notebook 17: bytes, cores, and bins twice as wide."""

from __future__ import annotations

from typing import Any

import numpy as np

from quantnotes.course.exercises._helpers import Check, Hint, Probe, function, numbers


def _wider(counts: Any, first: int) -> tuple[Any, int]:
    bins = (first + np.arange(len(counts))) // 2
    total = np.zeros(bins[-1] - bins[0] + 1, np.int64)
    np.add.at(total, bins - bins[0], counts)
    return total, int(bins[0])


def _two(found: Any) -> None:
    if not isinstance(found, tuple | list) or [np.ndim(part) for part in found] != [1, 0]:
        raise Hint("It returns two things: the counts, and the number of the first bin.")


def _of(counts: list[int], first: int) -> tuple[Any, int]:
    return np.array(counts), first


CHECKS: dict[str, Check] = {
    "17.1": numbers(
        (1 + 4) + (4 + 4) + (4 + 4),
        {
            "The codes are int8: the first pass reads one byte, not four.": 24,
            "That is what is written; what is read counts too.": 12,
            "That is what is read; what is written counts too.": 9,
            "That is what one pass would move. Here are three.": 5,
            "The subtraction has an array of its own: three passes, not two.": 13,
            "The cast is a pass too: it reads the codes and writes an array of its own.": 16,
            "The codes are read too, a byte each.": 20,
        },
        "Three passes: cast, subtract, multiply. Each reads and writes.",
    ),
    "17.2": numbers(
        2,
        {
            "That is how many elements memory can feed in a ns. How many cores keep up with it?": 8,
            "40 are bytes and 4 are elements: turn one into the other first.": 10,
            "What is written goes over the same memory: five bytes an element, not four.": 2.5,
            "The two are well matched at that number; one more has nothing left to move.": 3,
            "One core moves 20 of the 40 bytes.": 1,
        },
        "Elements that memory feeds in a ns, over those that a core does.",
    ),
    "17.3": function(
        _wider,
        Probe("Bins 2 to 5 hold 1, 2, 3, 4: twice as wide, bins 1 and 2 hold 3 and 7.", _of([1, 2, 3, 4], 2)),
        Probe(
            "An odd number of bins: the last one has its wide bin for itself, and must not be lost.",
            _of([1, 2, 3], 0),
        ),
        Probe(
            "Which bins go together depends on their numbers, 5 | 6 and 7, not on where the list begins.",
            _of([1, 2, 3], 5),
            _of([1, 2, 3, 4], 1),
        ),
        Probe(
            "Bin j goes to the floor of j / 2, for negative j too: -1 to -1, -3 to -2.",
            _of([5, 6, 7], -1),
            _of([1, 1, 1, 1], -3),
            _of([1, 2, 3, 4, 5], -6),
        ),
        Probe("One bin alone moves too: 7 becomes 3.", _of([4], 7), _of([4], -1)),
        Probe("Empty bins inside keep their place.", _of([1, 0, 0, 0, 0, 2], 0), _of([0, 0, 3], 3)),
        Probe("Counts are large: keep all their digits.", _of([2**40 + 1, 2**31, 2**24 + 1], 4)),
        mistakes={
            "The counts are right. Bin j lies in number j // 2 of the wider ones: first is halved, too.": (
                lambda counts, first: (_wider(counts, first)[0], first)
            ),
            "The bins lie elsewhere: bin j of width w is part of bin j // 2, not 2 j.": (
                lambda counts, first: (_wider(counts, first)[0], 2 * first)
            ),
        },
        form=_two,
    ),
}
