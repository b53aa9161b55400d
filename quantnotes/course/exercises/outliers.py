"""Exercises of notebook 05: outliers and the histogram filter."""

from __future__ import annotations

from typing import Any

import numpy as np

from quantnotes.course.exercises._helpers import Check, Hint, Probe, alike, function, numbers, reals
from quantnotes.outliers import shortest_range

_RATIO = 64 / 4
_COUNTS = (3, 4, 10, 40, 30, 8, 2, 3)


def _walk(last_bin: bool = False, left_on_tie: bool = True, cross: bool = True) -> tuple[int, int]:
    """Run the note's pointers over exercise 05.2, or a typical mistake of them."""
    left, right = before = 0, len(_COUNTS) - 1
    while sum(_COUNTS[left : right + last_bin]) > 90:
        before = left, right
        if _COUNTS[left] < _COUNTS[right] or (left_on_tie and _COUNTS[left] == _COUNTS[right]):
            left += 1
        else:
            right -= 1
    return (left, right) if cross else before


_rng = np.random.default_rng(5)
_FAR = np.array([5.0, 0.0, 1.0, 2.0, 3.0, 4.0, 6.0, 7.0, 8.0, 100.0])
_TWO_HEAPS = np.concatenate([np.linspace(0, 1, 45), np.linspace(4, 4.5, 55)])
_MANY = [_rng.permutation(_rng.normal(size=30).cumsum() ** 3) for _ in range(20)]


def _pair(found: Any) -> None:
    if np.shape(found) != (2,) or reals(found) is None:
        raise Hint("Return a pair: the ends (low, high).")


def _same(found: Any, right: Any, x: Any, keep: float) -> bool:
    """Another window of the same width will do, if as many values lie in it."""
    low, high = map(float, found)
    inside = np.mean((x >= low) & (x <= high))
    return alike(found, tuple(right)) or bool(
        inside >= keep and np.isclose(high - low, right[1] - right[0], rtol=1e-9, atol=0)
    )


def _unsorted(x: Any, keep: float) -> tuple[float, float]:
    values = x.ravel()
    m = int(np.ceil(keep * values.size))
    first = int(np.argmin(values[m - 1 :] - values[: values.size - m + 1]))
    return float(values[first]), float(values[first + m - 1])


def _one_too_few(x: Any, keep: float) -> tuple[float, float]:
    if keep * x.size % 1:
        raise ValueError("this one has not been rounded up")
    return tuple(shortest_range(x, keep - 1 / x.size))


CHECKS: dict[str, Check] = {
    "05.1": numbers(
        20 * np.log10(_RATIO),
        {
            "That is the ratio of the scales; now in decibels.": 16,
            "The noise is a power, and grows with the square of the scale: 20 log10.": 10 * np.log10(_RATIO),
            "256 is already a power, the square of 16: 10 log10 of it.": 20 * np.log10(256),
            "That is how many times the noise grows; now in decibels.": 256,
            "The noise grows, so the answer is positive.": -20 * np.log10(_RATIO),
            "The bad reading sets the range: compare 64 with 4, not with 60.": 20 * np.log10(60 / 4),
        },
        "20 log10 of the ratio of the two scales.",
        decimals=1,
    ),
    "05.2": numbers(
        _walk(),
        {
            "It asks whether the share is above 0.9, and then goes one step further: it stops below.": _walk(
                cross=False
            ),
            "On a tie the left pointer moves, not the right.": _walk(left_on_tie=False),
            "counts[left:right] leaves out the bin at right: it starts with 97 values, not 100.": _walk(
                last_bin=True
            ),
            "right is the number of the bin at which the slice ends, not of the last one inside.": (1, 4),
            "left first, then right.": (5, 1),
        },
        "Start at (0, 7) with 97 values; move the emptier end; left on a tie.",
    ),
    "05.3": function(
        shortest_range,
        Probe("Of 0, 1, ... 8, 100 the shortest window with 9 values is 0 to 8.", (_FAR, 0.9)),
        Probe(
            "The far value may be on the left too: try every window, not only the one that starts lowest.",
            (-_FAR, 0.9),
        ),
        Probe("85 % of 10 values are 8.5: 9 must be inside, so round up.", (_FAR, 0.85)),
        Probe(
            "Pointers that give up one value after the other can miss the shortest window: compare all.",
            (_TWO_HEAPS, 0.5),
            (-_TWO_HEAPS, 0.5),
            *[(x, keep) for x in _MANY for keep in (0.3, 0.61, 0.9)],
        ),
        Probe(
            "0.55 * 100 is 55.000000000000007 in floats, and np.ceil makes 56 of it: 55 values are enough.",
            (_rng.normal(size=100), 0.55),
            (_rng.normal(size=100), 0.07),
        ),
        Probe("An array of two dimensions has the same values: sort all of them.", (_FAR.reshape(2, 5), 0.9)),
        Probe("keep = 1 is the whole range, and one value is a window too.", (_FAR, 1.0), (_FAR[:1], 0.5)),
        mistakes={
            "Sort the values first.": _unsorted,
            "That window holds all values: some are to be left out.": lambda x, keep: (x.min(), x.max()),
            "It cuts the same share from both sides; the shortest window need not.": lambda x, keep: tuple(
                np.quantile(x, ((1 - keep) / 2, (1 + keep) / 2))
            ),
            "That window holds one value too few: from value i to i + m - 1 there are m.": _one_too_few,
        },
        form=_pair,
        same=_same,
    ),
}
