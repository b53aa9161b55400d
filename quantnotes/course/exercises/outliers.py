"""Exercises of notebook 05: outliers and the histogram filter."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from quantnotes.course.exercises._verdict import Check, differs, hint_for, unfinished
from quantnotes.outliers import shortest_range


def _decibels(answer: Any) -> str | None:
    if not differs(answer, 20 * np.log10(64 / 4), 0.002):
        return None
    mistakes = {
        "That is the ratio of the scales; now in decibels.": 16,
        "The noise is a power, and grows with the square of the scale: 20 log10.": 10 * np.log10(16),
        "256 is already a power, the square of 16: 10 log10 of it.": 20 * np.log10(256),
        "The noise grows, so the answer is positive.": -20 * np.log10(16),
        "The bad reading sets the range: compare 64 with 4, not with 60.": 20 * np.log10(60 / 4),
    }
    return hint_for(answer, mistakes, "20 log10 of the ratio of the two scales.", 0.002)


def _walk(last_bin: bool = False, left_on_tie: bool = True, cross: bool = True) -> tuple[int, int]:
    """Run the note's pointers over exercise 05.2, or a typical mistake of them."""
    counts, keep = (3, 4, 10, 40, 30, 8, 2, 3), 90
    left, right = before = 0, len(counts) - 1
    while sum(counts[left : right + last_bin]) > keep:
        before = left, right
        if counts[left] < counts[right] or (left_on_tie and counts[left] == counts[right]):
            left += 1
        else:
            right -= 1
    return (left, right) if cross else before


def _pointers(answer: Any) -> str | None:
    left, right = _walk()
    if not differs(answer, (left, right)):
        return None
    mistakes = {
        "It asks whether the share is above 0.9, and then goes one step further: it stops below.": _walk(
            cross=False
        ),
        "On a tie the left pointer moves, not the right.": _walk(left_on_tie=False),
        "counts[left:right] leaves out the bin at right: it starts with 97 values, not 100.": _walk(
            last_bin=True
        ),
        "right is the number of the bin at which the slice ends, not of the last one inside.": (
            left,
            right - 1,
        ),
    }
    return hint_for(answer, mistakes, "Start at (0, 7) with 97 values; move the emptier end; left on a tie.")


def _function(answer: Callable[..., Any]) -> str | None:
    x = np.array([5.0, 0.0, 1.0, 2.0, 3.0, 4.0, 6.0, 7.0, 8.0, 100.0])
    found = answer(x.copy(), 0.9)
    hint = unfinished(found)
    if hint:
        return hint
    if not differs(found, (5.0, 8.0)):
        return "Sort the values first."
    if differs(found, shortest_range(x, 0.9)):
        mistakes = {
            "That window holds all values; the shortest leaves out 100.": (0.0, 100.0),
            "That window holds 8 of 10: it must hold at least 9.": (0.0, 7.0),
            "It cuts the same share from both sides; the shortest window need not.": tuple(
                np.quantile(x, ((1 - 0.9) / 2, (1 + 0.9) / 2))
            ),
        }
        return hint_for(
            found, mistakes, "Of 0, 1, ... 8, 100 the shortest window with 9 values is 0 to 8.", 1e-6
        )
    if differs(answer(-x, 0.9), (-8.0, 0.0)):
        return "The far value may be on the left too: try every window, not only the one that starts lowest."
    if differs(answer(x, 0.85), shortest_range(x, 0.85)):
        return "85 % of 10 values are 8.5: 9 must be inside, so round up."
    if differs(answer(x.reshape(2, 5), 0.9), shortest_range(x, 0.9)):
        return "An array of two dimensions has the same values: sort all of them."
    return None


CHECKS: dict[str, Check] = {"05.1": _decibels, "05.2": _pointers, "05.3": _function}
