"""Exercises of notebook 06: what a range should minimise."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantnotes.course.exercises._verdict import Check, differs, hint_for, unfinished
from quantnotes.grid import IntGrid
from quantnotes.mapping import QuantParams, fake_quantize
from quantnotes.ranges import minmax_range


def _by_hand(answer: Any) -> str | None:
    if not differs(answer, (18 * 1 + 2 * 4) / 20, 0.002):
        return None
    mistakes = {
        "With S = 4 each of the 18 ones rounds to 0: an error of 1 each.": 4.0,
        "That is perfect for the ones, but two values pay 3 squared each.": 1.0,
        "The middle of 1 and 4 weighs both alike; there are 18 of the one and 2 of the other.": 2.5,
        "Weigh by how many there are: 18 and 2, not 18 and 1.": (18 + 4) / 19,
        "The error is squared: the least sum of squares is at the mean, not at the median.": 1.1,
    }
    otherwise = "18 (a - 1)^2 + 2 (4 - a)^2: set its derivative to 0."
    return hint_for(answer, mistakes, otherwise, 0.002)


def _coarse(answer: Any) -> str | None:
    if not differs(answer, (7, 7, 0, 4), 1e-6):
        return None
    mistakes = {
        "The 3 values beyond belong to P alone; Q is made of the bins inside.": (7, 7, 0, 7),
        "A bin that is empty gets nothing: the level goes to those that are not.": (7, 7, 2, 2),
        "That is P: what lies beyond is added to its last bin.": (8, 6, 0, 7),
        "That is what is inside, bin by bin; a level gives each of its bins the same.": (8, 6, 0, 4),
        "Those are the sums of the two levels; each is shared out over its bins.": (14, 4),
        "Each bin has the sum of its level: share it out over the bins that are not empty.": (14, 14, 0, 4),
        "That is the sum of its level for each bin: share it out over those not empty.": (14, 14, 4, 4),
        "These are shares; the exercise asks for counts, before they are divided.": (
            7 / 18,
            7 / 18,
            0,
            4 / 18,
        ),
    }
    otherwise = "Two levels of two bins: 8 and 6 share a level; 0 and 4 the other, where only one bin counts."
    return hint_for(answer, mistakes, otherwise, 1e-6)


def _error(x: NDArray[Any], clip: float, grid: IntGrid) -> float:
    return float(
        np.mean((fake_quantize(x, QuantParams(clip / grid.qmax, 0, grid), dtype=np.float64) - x) ** 2)
    )


def _function(answer: Callable[..., Any]) -> str | None:
    rng = np.random.default_rng(6)
    wide, spiked = rng.standard_normal(4000), np.append(rng.standard_normal(4000), 30.0)
    for x, bits in ((spiked, 2), (-spiked, 2), (-spiked, 3), (wide, 2), (wide, 8), (-spiked, 8)):
        grid = IntGrid.of(bits, narrow=True)
        before = x.copy()
        found = answer(x, grid.qmax)
        hint = unfinished(found)
        if hint:
            return hint
        if not np.array_equal(x, before):
            return "It changes x: work on a copy."
        clip = float(found)
        if not clip > 0:
            return f"A clip is above 0; {clip:.3g} came back."
        largest = max(map(abs, minmax_range(x)))
        if bits == 2 and np.abs(x).max() > 20 and clip > 0.45 * largest:
            return (
                "With 2 bits and a far value the best clip is far below half of the maximum: min-max, and a "
                "search that stops at half, send nearly everything to 0."
            )
        best = min(_error(x, c, grid) for c in np.linspace(largest / 400, largest, 400))
        if grid.qmax > 1 and _error(x, clip * grid.qmax, grid) < 1.02 * best:
            return "That is the scale: return the clip, S * qmax."
        if _error(x, clip, grid) > 1.02 * best:
            return (
                f"{bits} bits: a clip of {clip:.2f} makes {_error(x, clip, grid) / best:.2f} times the least "
                "error. Quantize with every candidate, clipping included; take many, down to small ones; and "
                "the largest magnitude may be negative."
            )
    return None


CHECKS: dict[str, Check] = {"06.1": _by_hand, "06.2": _coarse, "06.3": _function}
