"""Exercises of notebook 17: bytes, cores, and bins twice as wide."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from quantnotes.course.exercises._verdict import Check, differs, hint_for, unfinished


def _bytes(answer: Any) -> str | None:
    if not differs(answer, (1 + 4) + (4 + 4) + (4 + 4)):
        return None
    mistakes = {
        "The codes are int8: the first pass reads one byte, not four.": 24,
        "That is what is written; what is read counts too.": 12,
        "That is what is read; what is written counts too.": 9,
        "That is what one pass would move. Here are three.": 5,
        "The subtraction has an array of its own: three passes, not two.": 13,
        "The cast is a pass too: it reads the codes and writes an array of its own.": 16,
        "The codes are read too, a byte each.": 20,
    }
    return hint_for(answer, mistakes, "Three passes: cast, subtract, multiply. Each reads and writes.")


def _cores(answer: Any) -> str | None:
    if not differs(answer, 2):
        return None
    mistakes = {
        "That is how many elements memory can feed in a ns. How many cores keep up with it?": 8,
        "40 are bytes and 4 are elements: turn one into the other first.": 10,
        "What is written goes over the same memory: five bytes an element, not four.": 2.5,
        "The two are well matched at that number; one more has nothing left to move.": 3,
    }
    return hint_for(
        answer, mistakes, "Elements that memory feeds in a ns, over those that a core does.", 1e-6
    )


def _function(answer: Callable[..., Any]) -> str | None:
    def fails(counts: list[int], first: int, right: tuple[list[int], int]) -> bool:
        found = answer(np.array(counts), first)
        return differs(np.asarray(found[0]).tolist(), right[0]) or differs(found[1], right[1])

    result = answer(np.array([1, 2, 3, 4]), 2)
    hint = unfinished(result)
    if hint:
        return hint
    if not isinstance(result, tuple | list) or [np.ndim(part) for part in result] != [1, 0]:
        return "It returns two things: the counts, and the number of the first bin."
    if differs(result[0], [3, 7]):
        return "Bins 2 to 5 hold 1, 2, 3, 4: twice as wide, bins 1 and 2 hold 3 and 7."
    if differs(result[1], 1):
        return "The counts of bins 2 to 5 are right. Bin 2 lies in number 1 of the wider ones, the first."
    try:
        lost = fails([1, 2, 3], 0, ([3, 3], 0))
    except ValueError:  # of reshape, or of halves that do not match
        lost = True
    if lost:
        return "An odd number of bins: the last one shares its wide bin with nobody, and must not be lost."
    if fails([1, 2, 3], 5, ([1, 5], 2)):
        return "Which bins go together depends on their numbers, 5 | 6 and 7, not on where the list begins."
    if fails([5, 6, 7], -1, ([5, 13], -1)) or fails([1, 1, 1, 1], -3, ([1, 2, 1], -2)):
        return "Bin j goes to the floor of j / 2, for negative j too: -1 to -1, -3 to -2."
    if fails([4], 7, ([4], 3)):
        return "One bin alone moves too: 7 becomes 3."
    return None


CHECKS: dict[str, Check] = {"17.1": _bytes, "17.2": _cores, "17.3": _function}
