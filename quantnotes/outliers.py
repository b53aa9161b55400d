"""Ranges that leave outliers out: the note's filter as written, the same mended, and what it approximates.

`note_histogram_scale` is section 5 of the note with its faults; `histogram_range` keeps the idea (an
equal-width histogram, two pointers, always giving up the emptier end) and mends them; `shortest_range` is
the exact answer that the greedy pointers look for. Left out: whether outliers *should* be left out.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from quantnotes.checks import FLOAT64, NanPolicy, as_int, as_real, some_finite_data
from quantnotes.granularity import Axis, BlockSize
from quantnotes.histogram import Histogram, range_of
from quantnotes.ranges import MAX_BINS, Range

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
    What is wrong with it, each mended in :func:`histogram_range`: the slice ``counts[left:right]`` leaves
    out the last bin; the loop stops after crossing the limit; ``len`` of a 2-D array is not its size; a far
    value leaves all others in a bin or two; ties always move the left end. The dtype of `x` is kept.

    Examples
    --------
    >>> x = np.append(np.linspace(0, 1, 1000), 1000.0)
    >>> note_histogram_scale(x, 127)
    0.0
    """
    array = as_real(x)
    some_finite_data(array, "raise")
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


def _check_keep(keep: float) -> None:
    if not 0 < keep <= 1:
        raise ValueError(f"keep must be a fraction above 0 and at most 1, got {keep!r}")


def _bin_count(bins: object) -> int:
    number = as_int(bins, "bins")
    if not 1 <= number <= MAX_BINS:
        raise ValueError(f"bins must be 1 to {MAX_BINS}, got {bins}")
    return number


def _needed(keep: float, n: int) -> int:
    """Return the smallest count m for which m / n >= keep, as float64 divides."""
    m = max(round(keep * n) - 2, 1)
    while m / n < keep:
        m += 1
    return m


def _sorted(x: Array, nan: NanPolicy) -> Array:
    data, _, _ = some_finite_data(x, nan)
    return np.sort(data.astype(FLOAT64), axis=None)


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
        Number of equal bins for an array; a Histogram has its own. One bin can trim nothing.
    axis : int or tuple of int, optional
        The axes of an array that keep ranges of their own: one for each index along them.
    block_size : int or tuple of int, optional
        Cut `axis` into blocks of this many values: a range for each block.
    nan : {"raise", "ignore"}, default "raise"
        What to do about NaN in an array.

    Returns
    -------
    Range
        Ends that are values of the data, or edges of the Histogram; never widened to hold 0.

    Raises
    ------
    TypeError
        If `x` holds no real numbers, or `bins` is no integer.
    ValueError
        If `keep` is not in (0, 1], `bins` is below 1 or above 2**24, or `x` is empty or not finite.

    Notes
    -----
    The idea of the note's section 5. Mended: all bins count; a bin goes only if enough is left without it;
    any number of dimensions; where fewer than half of the bins are left, what they hold is cut into `bins`
    new ones, so that a far value cannot blur the rest; of two equally full end bins both go, or else the one
    farther from 0, so that x and -x get mirrored ranges (but for values that lie on the edge of a bin).

    Examples
    --------
    >>> histogram_range([*range(1, 100), 1000.0])
    Range(rmin=1.0, rmax=99.0)
    """
    _check_keep(keep)
    number = _bin_count(bins)

    def one(channel: Array | Histogram) -> tuple[float, float]:
        if isinstance(channel, Histogram):
            return _trimmed_bins(channel, keep)
        return _trimmed(_sorted(channel, nan), keep, number)

    return range_of(x, axis, nan, one, block_size)


def _trimmed(values: Array, keep: float, bins: int) -> tuple[float, float]:
    """Trim sorted values, cutting what is left into new bins as long as it fills fewer than half of them."""
    need = _needed(keep, values.size)
    while True:
        starts = _bin_starts(values, bins)
        lows, highs = values[np.minimum(starts[:-1], values.size - 1)], values[starts[1:] - 1]
        first, last = _trim(starts, lows, highs, need)
        kept = values[starts[first] : starts[last]]
        if 2 * (last - first) >= bins or kept.size == values.size:
            return float(kept[0]), float(kept[-1])
        values = kept


def _bin_starts(values: Array, bins: int) -> Array:
    """Return where in the sorted values each of `bins` equal bins starts, and after them the size."""
    weights = np.arange(bins + 1) / bins
    edges = values[0] * weights[::-1] + values[-1] * weights  # mirrors exactly, and cannot overflow
    starts = np.maximum.accumulate(np.searchsorted(values, edges))
    starts[0], starts[-1] = 0, values.size  # the last bin holds its right edge
    return starts


def _trimmed_bins(h: Histogram, keep: float) -> tuple[float, float]:
    """Trim the bins of a streamed histogram; values inside a bin cannot be told apart any more."""
    edges = h.edges
    edges[0], edges[-1] = h.min, h.max
    starts = np.concatenate([[0], np.cumsum(h.counts)])
    first, last = _trim(starts, edges[:-1], edges[1:], _needed(keep, h.n))
    return float(edges[first]), float(edges[last])


def _trim(starts: Array, lows: Array, highs: Array, need: int) -> tuple[int, int]:
    """Move two pointers inwards over the bins and return the window [first, last) that they end on.

    Bin i holds the values number ``starts[i]`` to ``starts[i + 1]``; what is left of the data begins at
    ``lows[first]`` and ends at ``highs[last - 1]``.
    """
    first, last, spare = 0, len(starts) - 1, starts[-1] - need
    while last - first > 1:
        left, right = starts[first + 1] - starts[first], starts[last] - starts[last - 1]
        if min(left, right) > spare:
            break
        tie = left == right
        both = tie and left + right <= spare and last - first > 2
        # of two equally full bins that cannot both go, the one farther from 0
        farther = abs(lows[first]) - abs(highs[last - 1]) if tie and not both else 0.0
        if tie and not both and farther == 0:
            break
        if both or left < right or (tie and farther > 0):
            first, spare = first + 1, spare - left
        if both or right < left or (tie and farther < 0):
            last, spare = last - 1, spare - right
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
        Cut `axis` into blocks of this many values: a range for each block.
    nan : {"raise", "ignore"}, default "raise"
        What to do about NaN.

    Returns
    -------
    Range
        Ends that are values of the data; the lowest of equally short windows; never widened to hold 0.

    Raises
    ------
    TypeError
        If `x` holds no real numbers.
    ValueError
        If `keep` is not in (0, 1], or `x` is empty or not finite.

    Notes
    -----
    Of the sorted values, every run of m = ceil(keep * n) neighbours is tried. Statisticians know the
    half-sized one as the shorth.

    Examples
    --------
    >>> shortest_range([0, 1, 2, 3, 4, 5, 6, 7, 8, 100], keep=0.9)
    Range(rmin=0.0, rmax=8.0)
    """
    _check_keep(keep)
    return range_of(x, axis, nan, lambda row: _shortest(_sorted(row, nan), keep), block_size)


def _shortest(values: Array, keep: float) -> tuple[float, float]:
    need = _needed(keep, values.size)
    with np.errstate(over="ignore"):
        widths = values[need - 1 :] - values[: values.size - need + 1]
    if not np.isfinite(widths).all():
        widths = values[need - 1 :] / 2 - values[: values.size - need + 1] / 2
    start = int(np.argmin(widths))
    return float(values[start]), float(values[start + need - 1])
