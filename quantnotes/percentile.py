"""The range that is left when the same share of the data is cut from each side.

Not covered: which share to cut.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from quantnotes.checks import NanPolicy, as_number, compute_type
from quantnotes.granularity import Axis, BlockSize, Granularity
from quantnotes.histogram import Histogram, Masses, masses_of
from quantnotes.ranges import Ends, Range, range_per_group

Array = NDArray[Any]


def percentile_range(
    x: ArrayLike | Histogram,
    percentile: float = 99.99,
    *,
    axis: Axis = None,
    block_size: BlockSize = None,
    nan: NanPolicy = "raise",
) -> Range:
    """Return the range that is left when the same share of the data is cut from each side.

    Parameters
    ----------
    x : array_like or Histogram
        Finite real numbers, any shape.
    percentile : float, default 99.99
        How much is kept, in percent (99.99, not 0.9999): (100 - percentile) / 2 percent are cut from each
        side. 100 gives min and max exactly.
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
        ends are values of the data: the upper one is NumPy's "inverted_cdf" quantile, the lower one its
        mirror image. Of a Histogram that no longer knows the values there, they are the outer edges of the
        bins in which they lie: farther out by at most the width of a bin.

    Raises
    ------
    TypeError
        If `x` is masked, ragged, complex, text or objects; `percentile` is no number; or `axis` or
        `block_size` holds no integers.
    ValueError
        If `x`, or a group of it, is empty or holds an infinity, NaN alone, or any NaN unless `nan` is
        "ignore"; `percentile` is not from 0 to 100; `axis` is out of range or names one twice; `block_size`
        is below 1 or does not fit `axis`; `nan` is unknown; or a Histogram comes with `axis` or `block_size`.

    Examples
    --------
    >>> percentile_range(range(1, 101), 90)
    Range(rmin=6.0, rmax=95.0)
    """
    share = _upper_share(percentile)
    if isinstance(x, Histogram):
        return Range(*(float(end[0]) for end in ranges_of(masses_of(x, axis, block_size, nan), percentile)))

    def per_row(rows: Array) -> Ends:
        rank = int(_rank(rows.shape[1], share))
        ends = sorted((rows.shape[1] - rank, rank - 1))  # as places in the sorted values
        found = np.partition(rows.astype(compute_type(rows.dtype)), ends, axis=1)[:, ends]
        return found[:, 0], found[:, 1]

    return range_per_group(x, Granularity.of(axis, block_size), nan, per_row)


def ranges_of(masses: Masses, percentile: float = 99.99) -> Ends:
    """Return the range that is left of each group of masses.

    Parameters
    ----------
    masses : Masses
        What the histograms of the groups hold; no group is empty.
    percentile : float, default 99.99
        As of `percentile_range`.

    Returns
    -------
    low, high : ndarray of float64, shape (groups,)
        Single values, or the outer edges of the bins in which the percentiles lie.

    Raises
    ------
    TypeError
        If `percentile` is no number.
    ValueError
        If it is not from 0 to 100.

    Examples
    --------
    >>> ranges_of(Histogram().update(range(1, 101)).masses(), 90)
    (array([6.]), array([95.]))
    """
    share = _upper_share(percentile)
    running = np.concatenate([[0], np.cumsum(masses.count, dtype=np.int64)], dtype=np.int64)
    before, after = running[masses.starts[:-1]], running[masses.starts[1:]]
    rank = _rank(after - before, share)
    from_bottom = np.searchsorted(running, after - rank, side="right") - 1
    from_top = np.searchsorted(running, before + rank) - 1
    first, last = np.minimum(from_bottom, from_top), np.maximum(from_bottom, from_top)
    largest = masses.low[masses.starts[1:] - 1]
    return masses.low[first], np.minimum(masses.low[last] + masses.width[last], largest)


def _upper_share(percentile: float) -> float:
    """Return the share of the data at or below the upper end."""
    number = as_number(percentile, "percentile")
    if not 0 <= number <= 100:
        raise ValueError(f"percentile must be from 0 to 100, got {percentile!r}")
    return (100 - (100 - number) / 2) / 100


def _rank(n: Any, share: float) -> Any:
    """Return which of n values, from the lowest up, has this share of them at or below it."""
    return np.maximum(np.ceil(n * share), 1).astype(np.int64)
