"""Ranges that leave outliers out: the note's filter as written, the fixed filter, and what it approximates.

`note_histogram_scale` is section 5 of the note with its faults. `histogram_range` keeps the idea (an
equal-width histogram, two pointers that always drop the emptier end) and fixes them. `shortest_range` is the
exact answer that the greedy pointers look for.

Not covered: whether outliers *should* be left out.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from quantnotes.checks import FLOAT64, NanPolicy, as_int, as_number, as_real, compute_type, finite_ends
from quantnotes.granularity import Axis, BlockSize, Granularity
from quantnotes.histogram import Histogram, Masses, in_order, masses_of
from quantnotes.ranges import MAX_BINS, Ends, Range, range_per_group

Array = NDArray[Any]


def note_histogram_scale(x: ArrayLike, int_max: float, bins: int = 100, keep: float = 0.99) -> float:
    """Return the note's scale (section 5), faults and all: for study, not for use.

    Parameters
    ----------
    x : array_like
        Finite real numbers, meant to be 1-D: the note divides by ``len(x)``.
    int_max : float
        The largest code, 127 for int8.
    bins : int, default 100
        Number of equal bins between min and max.
    keep : float, default 0.99
        The share of the data at or below which the pointers stop.

    Returns
    -------
    float
        The larger of the two end edges in absolute value, over `int_max`. It can be 0.

    Raises
    ------
    TypeError
        If `x` holds no real numbers, or `bins` is no integer.
    ValueError
        If `x` is empty or holds NaN or an infinity, `keep` is not in (0, 1], `int_max` is not positive,
        `bins` is below 1 or above 2**24, or NumPy cannot cut so narrow or wide a range into bins.

    Notes
    -----
    What is wrong with it, each fixed in :func:`histogram_range`: the slice ``counts[left:right]`` leaves
    out the last bin; the loop stops after crossing the limit; ``len`` of a 2-D array is not its size; a far
    value leaves all others in a bin or two; ties always move the left end. The dtype of `x` is kept.

    Examples
    --------
    >>> x = np.append(np.linspace(0, 1, 1000), 1000.0)
    >>> note_histogram_scale(x, 127)
    0.0
    """
    array = as_real(x)
    finite_ends(array)
    _check_keep(keep)
    if not int_max > 0:
        raise ValueError(f"int_max must be above 0, got {int_max!r}")
    number = _bin_count(bins)
    try:
        with np.errstate(over="raise"):
            counts, edges = np.histogram(array + np.uint8(0) if array.dtype == bool else array, number)
    except FloatingPointError:
        raise ValueError(f"x is too far apart to be cut into bins in its own {array.dtype}") from None
    left, right = 0, len(counts) - 1
    while counts[left:right].sum() / len(array) > keep:
        if counts[left] <= counts[right]:
            left += 1
        else:
            right -= 1
    return float(max(abs(edges[left]), abs(edges[right])) / int_max)


def _check_keep(keep: float) -> float:
    number = as_number(keep, "keep")
    if not 0 < number <= 1:
        raise ValueError(f"keep must be a fraction above 0 and at most 1, got {keep!r}")
    return number


def _bin_count(bins: object) -> int:
    number = as_int(bins, "bins")
    if not 1 <= number <= MAX_BINS:
        raise ValueError(f"bins must be 1 to {MAX_BINS}, got {bins}")
    return number


def _needed(keep: float, n: Array) -> Array:
    """Return the smallest counts m for which m / n >= keep, as float64 divides."""
    needed = np.maximum(np.rint(keep * n).astype(np.int64) - 2, 1)
    while (short := needed / n < keep).any():
        needed += short
    return needed


def _sorted(rows: Array) -> Array:
    return np.sort(rows.astype(compute_type(rows.dtype)), axis=1).astype(FLOAT64)


def histogram_range(
    x: ArrayLike | Histogram,
    keep: float = 0.99,
    bins: int = 100,
    *,
    axis: Axis = None,
    block_size: BlockSize = None,
    nan: NanPolicy = "raise",
) -> Range:
    """Trim the emptier end of a histogram, bin by bin, while at least `keep` of the data stay inside.

    Parameters
    ----------
    x : array_like or Histogram
        Finite real numbers, any shape.
    keep : float, default 0.99
        The share of the data that must stay, counted on the data themselves; 1 gives min and max.
    bins : int, default 100
        Number of equal bins. One bin can trim nothing.
    axis : int or tuple of int, optional
        The axes of an array that keep ranges of their own: one for each index along them.
    block_size : int or tuple of int, optional
        Cut `axis` into blocks of this many values: a range for each block, at each index of the other axes.
        A tuple has a size for each of several axes.
    nan : {"raise", "ignore"}, default "raise"
        What to do about NaN in an array.

    Returns
    -------
    Range
        Its fields `rmin` and `rmax`: two floats; with `axis`, two float64 arrays of the shape of those axes;
        with `block_size`, of the shape of `x` but for ``ceil(x.shape[axis] / block_size)`` along `axis`. The
        ends are values of the data, or edges of the Histogram's bins; never widened to hold 0.

    Raises
    ------
    TypeError
        If `x` is masked, ragged, complex, text or objects; `keep` is no number, `bins` no integer; or `axis`
        or `block_size` holds no integers.
    ValueError
        If `x`, or a group of it, is empty or holds an infinity, NaN alone, or any NaN unless `nan` is
        "ignore"; `keep` is not in (0, 1], or `bins` below 1 or above 2**24; `axis` is out of range or names
        one twice; `block_size` is below 1 or does not fit `axis`; `nan` is unknown; or a Histogram comes with
        `axis` or `block_size`.

    Notes
    -----
    The idea of the note's section 5. What is fixed: all bins count; a bin goes only if enough is left after;
    any number of dimensions; where fewer than half of the bins are left, what they hold is cut into `bins`
    new ones, so that a far value cannot blur the rest; of two equally full end bins both go, or else the one
    farther from 0, so that x and -x get mirrored ranges (but for values that lie on the edge of a bin).

    Examples
    --------
    >>> histogram_range([*range(1, 100), 1000.0])
    Range(rmin=1.0, rmax=99.0)
    """
    keep, number = _check_keep(keep), _bin_count(bins)
    if isinstance(x, Histogram):
        ends = ranges_of(masses_of(x, axis, block_size, nan), keep, number)
        return Range(*(float(end[0]) for end in ends))

    def per_row(rows: Array) -> Ends:
        values, (groups, size) = _sorted(rows).reshape(-1), rows.shape
        places = np.arange(values.size + 1, dtype=np.int64)
        return _trimmed(values, values, places, places[: groups * size + 1 : size], keep, number)

    return range_per_group(x, Granularity.of(axis, block_size), nan, per_row)


def ranges_of(masses: Masses, keep: float = 0.99, bins: int = 100) -> Ends:
    """Return the trimmed range of each group of masses.

    Parameters
    ----------
    masses : Masses
        What the histograms of the groups hold; no group is empty.
    keep, bins
        As of `histogram_range`.

    Returns
    -------
    low, high : ndarray of float64, shape (groups,)

    Raises
    ------
    TypeError
        If `keep` is no number, or `bins` no integer.
    ValueError
        If `keep` is not in (0, 1], or `bins` is below 1 or above 2**24.

    Examples
    --------
    >>> ranges_of(Histogram().update([*range(1, 100), 1000.0]).masses())
    (array([1.]), array([99.]))
    """
    keep, number = _check_keep(keep), _bin_count(bins)
    largest = np.repeat(masses.low[masses.starts[1:] - 1], np.diff(masses.starts).astype(np.intp))
    before = np.concatenate([[0], np.cumsum(masses.count, dtype=np.int64)], dtype=np.int64)
    highs = np.minimum(masses.low + masses.width, largest)
    return _trimmed(masses.low, highs, before, masses.starts, keep, number)


def _trimmed(lows: Array, highs: Array, before: Array, starts: Array, keep: float, bins: int) -> Ends:
    """Trim the masses of each group, cutting what is left into new bins as long as it fills less than half.

    Mass i holds the values number ``before[i]`` to ``before[i + 1]``; ``starts[g]`` is the first of group g.
    """
    groups = np.arange(starts.size - 1)
    begin, end = starts[:-1].copy(), starts[1:].copy()
    needed = _needed(keep, before[end] - before[begin])
    keys = in_order(np.repeat(groups, np.diff(starts).astype(np.intp)), lows)
    weights = np.arange(bins + 1) / bins
    left = groups  # those that are not done
    while left.size:
        first, last = begin[left], end[left]
        # Mirrors exactly, and cannot overflow.
        edges = np.multiply.outer(lows[first], weights[::-1]) + np.multiply.outer(highs[last - 1], weights)
        places = np.searchsorted(keys, in_order(np.repeat(left, bins + 1), edges.reshape(-1)))
        cuts = np.clip(places.reshape(edges.shape), first[:, None], last[:, None])
        cuts = np.maximum.accumulate(cuts, axis=1)
        cuts[:, 0], cuts[:, -1] = first, last  # the last bin holds its right edge
        window = _trim(
            np.diff(before[cuts], axis=1),
            lows[np.minimum(cuts[:, :-1], last[:, None] - 1)],
            highs[np.maximum(cuts[:, 1:] - 1, first[:, None])],
            before[last] - before[first] - needed[left],
        )
        begin[left], end[left] = (np.take_along_axis(cuts, at[:, None], axis=1)[:, 0] for at in window)
        same = (begin[left] == first) & (end[left] == last)
        left = left[(2 * (window[1] - window[0]) < bins) & ~same]
    return lows[begin], highs[end - 1]


def _trim(counts: Array, lows: Array, highs: Array, spare: Array) -> tuple[Array, Array]:
    """Move two pointers inwards over the bins of each row and return the windows [first, last) that are left.

    Bin i holds ``counts[i]`` values; what is left of the data begins at ``lows[first]`` and ends at
    ``highs[last - 1]``. At most `spare` values may go.
    """
    first = np.zeros(len(counts), np.intp)
    last, spare = np.full(len(counts), counts.shape[1]), spare.copy()
    rows = np.arange(len(counts))  # those that are not done
    while (rows := rows[last[rows] - first[rows] > 1]).size:
        a, b = first[rows], last[rows] - 1
        left, right = counts[rows, a], counts[rows, b]
        tie = left == right
        both = tie & (left + right <= spare[rows]) & (b - a > 1)
        # Of two equally full bins that cannot both go, the one farther from 0.
        farther = np.abs(lows[rows, a]) - np.abs(highs[rows, b])
        goes_left = both | (left < right) | (tie & ~both & (farther > 0))
        goes_right = both | (right < left) | (tie & ~both & (farther < 0))
        goes = (np.minimum(left, right) <= spare[rows]) & (goes_left | goes_right)
        goes_left, goes_right = goes_left & goes, goes_right & goes
        first[rows] += goes_left
        last[rows] -= goes_right
        spare[rows] -= left * goes_left + right * goes_right
        rows = rows[goes]
    return first, last


def shortest_range(
    x: ArrayLike,
    keep: float = 0.99,
    *,
    axis: Axis = None,
    block_size: BlockSize = None,
    nan: NanPolicy = "raise",
) -> Range:
    """Return the shortest interval that holds at least `keep` of the data, exactly.

    Parameters
    ----------
    x : array_like
        Finite real numbers, any shape.
    keep : float, default 0.99
        The share of the data to hold; 1 gives min and max.
    axis : int or tuple of int, optional
        The axes of an array that keep ranges of their own: one for each index along them.
    block_size : int or tuple of int, optional
        Cut `axis` into blocks of this many values: a range for each block, at each index of the other axes.
        A tuple has a size for each of several axes.
    nan : {"raise", "ignore"}, default "raise"
        What to do about NaN.

    Returns
    -------
    Range
        Its fields `rmin` and `rmax`: two floats; with `axis`, two float64 arrays of the shape of those axes;
        with `block_size`, of the shape of `x` but for ``ceil(x.shape[axis] / block_size)`` along `axis`. The
        ends are values of the data, of equally short windows the lowest; never widened to hold 0.

    Raises
    ------
    TypeError
        If `x` is masked, ragged, complex, text or objects; `keep` is no number; or `axis` or `block_size`
        holds no integers.
    ValueError
        If `x`, or a group of it, is empty or holds an infinity, NaN alone, or any NaN unless `nan` is
        "ignore"; `keep` is not in (0, 1]; `axis` is out of range or names one twice; `block_size` is below 1
        or does not fit `axis`; or `nan` is unknown.

    Notes
    -----
    Of the sorted values, every run of m = ceil(keep * n) neighbours is tried. Statisticians know the
    half-sized one as the shorth.

    Examples
    --------
    >>> shortest_range([0, 1, 2, 3, 4, 5, 6, 7, 8, 100], keep=0.9)
    Range(rmin=0.0, rmax=8.0)
    """
    keep = _check_keep(keep)
    return range_per_group(x, Granularity.of(axis, block_size), nan, lambda rows: _shortest(rows, keep))


def _shortest(rows: Array, keep: float) -> Ends:
    values = _sorted(rows)
    need = int(_needed(keep, np.array(rows.shape[1])))
    lows, highs = values[:, : rows.shape[1] - need + 1], values[:, need - 1 :]
    with np.errstate(over="ignore"):
        widths = highs - lows
    beyond = np.isinf(widths).any(axis=1)  # halves do not overflow, but the smallest floats have none
    widths[beyond] = highs[beyond] / 2 - lows[beyond] / 2
    start = np.argmin(widths, axis=1)[:, None]
    return np.take_along_axis(lows, start, axis=1)[:, 0], np.take_along_axis(highs, start, axis=1)[:, 0]
