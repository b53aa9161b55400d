"""The loops of the searches: the squared error of many candidates at once, in two forms of the same bits.

The NumPy loops are here, those that Numba compiles in :mod:`quantnotes.kernels.search_fused`; the setting
QUANTNOTES_KERNELS chooses, as for the other loops. Both add up in the same order, value by value within a
chunk and chunk by chunk, each candidate on its own, so the compiler may use vectors of candidates and still
gives the same bits.

A candidate is a scale and its smallest and largest code less Z. x / S is computed as x times 1 / S: the two
can differ in the code of a value next to a tie, and there both codes have the same error.

Not covered: which candidates to try, see :mod:`quantnotes.mse`.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from quantnotes import kernels

Array = NDArray[Any]
Loop = TypeVar("Loop", bound=Callable[..., Any])

VALUES = 1024  # values of a row that are added up in the row's own type
ENTRIES = 128  # entries of a group of masses that are added up before they join the total
_FUSED = "quantnotes.kernels.search_fused"
_ONCE_LOADED = 64  # times as few errors make it worth calling the compiled loops as importing them
_CELLS = 1 << 16  # candidates times values at once: what the loop needs stays in the cache


def _either(loop: Loop) -> Loop:
    """Run the compiled loop of the same name where that is chosen."""

    @wraps(loop)
    def run(x: Array, scale: Array, *args: Any) -> Any:
        weight = _ONCE_LOADED if _FUSED in sys.modules else 1
        if kernels.fused_chosen(weight * x.size * scale.shape[1]):
            return getattr(importlib.import_module(_FUSED), loop.__name__)(x, scale, *args)
        return loop(x, scale, *args)

    return cast(Loop, run)


@_either
def row_errors(rows: Array, scale: Array, low: Array, high: Array) -> NDArray[np.float64]:
    """Return the summed squared error of each row under each of its candidates.

    Parameters
    ----------
    rows : ndarray of float32 or float64, shape (groups, values)
        Magnitudes of at most 1, so that no square overflows.
    scale, low, high : ndarray of float64, shape (groups, candidates)
        S, and the smallest and largest code less Z. At least two candidates, with S of 2**-60 or more.

    Returns
    -------
    ndarray of float64, shape (groups, candidates)
    """
    s, inverse, low, high = _in_type(rows.dtype, scale, low, high)
    total = np.zeros(scale.shape)
    for first in range(0, rows.shape[1], VALUES):
        chunk = rows[:, first : first + VALUES, None]
        # NumPy adds along an axis that is not the last one value by value, without pairing them.
        step = max(1, _CELLS // (chunk.shape[1] * scale.shape[1]))
        for g in range(0, len(rows), step):
            part, one = slice(g, g + step), (slice(g, g + step), None)
            x = chunk[part]
            error = x * inverse[one]
            np.clip(error, low[one], high[one], out=error)
            np.rint(error, out=error)
            np.multiply(error, s[one], out=error)
            np.subtract(x, error, out=error)
            np.multiply(error, error, out=error)
            total[part] += np.add.reduce(error, axis=1)
    return total


def _in_type(dtype: np.dtype[Any], scale: Array, low: Array, high: Array) -> tuple[Array, ...]:
    """Return S, 1 / S and the ends in a type."""
    return tuple(each.astype(dtype) for each in (scale, 1 / scale, low, high))


@_either
def mass_errors(
    places: Array, scale: Array, low: Array, high: Array, widths: Array, counts: Array, starts: Array
) -> NDArray[np.float64]:
    """Return the summed squared error of each group of masses under each of its candidates.

    Values are spread evenly over an entry's width. With k = clip(rint(r / S)), the antiderivative of the
    squared error (r - k S)**2 is k S**3 / 12 + (r - k S)**3 / 3: a whole step adds S**3 / 12, and the last
    one grows as a cube.

    Parameters
    ----------
    places, widths, counts : ndarray of float64, shape (entries,)
        ``counts[i]`` values from ``places[i]`` on, spread over ``widths[i]``. Magnitudes of at most 1.
    scale, low, high : ndarray of float64, shape (groups, candidates)
        As for `row_errors`.
    starts : ndarray of int64, shape (groups + 1,)
        The first entry of each group, and after them the number of entries.

    Returns
    -------
    ndarray of float64, shape (groups, candidates)
    """
    total = np.zeros(scale.shape)
    inverse, sizes = 1 / scale, np.diff(starts)
    for first in range(0, int(sizes.max()), ENTRIES):
        longest = int(np.minimum(sizes - first, ENTRIES).max())
        step = max(1, _CELLS // (longest * scale.shape[1]))
        for g in range(0, len(sizes), step):
            part, one = slice(g, g + step), (slice(g, g + step), None)
            # Entries beyond the end of a shorter group count 0 values.
            entry = starts[:-1][part, None] + first + np.arange(longest)
            there = entry < starts[1:][part, None]
            entry = np.where(there, entry, 0)
            start, width = places[entry, None], widths[entry, None]
            count = np.where(there, counts[entry], 0.0)[..., None]
            s, end = scale[one], start + width
            k = np.rint(np.clip(start * inverse[one], low[one], high[one]))
            last = np.rint(np.clip(end * inverse[one], low[one], high[one]))
            below, above = start - k * s, end - last * s
            middle = start + width / 2 - k * s
            steps = (last - k) * (s * s * s / 12)
            with np.errstate(divide="ignore", invalid="ignore"):
                several = (steps + (above * above * above - below * below * below) / 3) / width
            # Of an entry much narrower than a step only the digits that cancel would be left.
            single = (k == last) | (width < 1e-6 * s)
            error = count * np.where(single, middle * middle + width * width / 12, several)
            total[part] += np.add.reduce(error, axis=1)
    return total
