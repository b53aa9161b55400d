"""The range that is left when the same share of the data is cut from each side.

Not covered: which share to cut.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from quantnotes.checks import NanPolicy, compute_type, some_finite_data
from quantnotes.granularity import Axis, BlockSize
from quantnotes.histogram import Histogram, range_of
from quantnotes.ranges import Range

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
        Cut `axis` into blocks of this many values: a range for each block.
    nan : {"raise", "ignore"}, default "raise"
        What to do about NaN in an array.

    Returns
    -------
    Range
        Of an array, values of the data: the upper end is NumPy's "inverted_cdf" quantile, the lower one its
        mirror image. Of a histogram, the outer edges of the bins in which they lie, and so never narrower.

    Raises
    ------
    TypeError
        If `x` holds no real numbers.
    ValueError
        If `percentile` is not from 0 to 100, or `x` is empty or not finite.

    Examples
    --------
    >>> percentile_range(range(1, 101), 90)
    Range(rmin=6.0, rmax=95.0)
    """
    if not isinstance(percentile, (int, float, np.integer, np.floating)):
        raise TypeError(f"percentile must be a number, got {percentile!r}")
    if not 0 <= percentile <= 100:
        raise ValueError(f"percentile must be from 0 to 100, got {percentile!r}")
    upper = 100 - (100 - percentile) / 2

    def one(channel: Array | Histogram) -> tuple[float, float]:
        if isinstance(channel, Histogram):
            return _quantile_bins(channel, upper / 100)
        data, _, _ = some_finite_data(channel, nan)
        data = data.astype(compute_type(data.dtype))
        ends = (side * float(np.percentile(side * data, upper, method="inverted_cdf")) for side in (-1, 1))
        low, high = sorted(ends)  # the two medians of an even number would be inside-out at percentile 0
        return low + 0.0, high + 0.0

    return range_of(x, axis, nan, one, block_size)


def _quantile_bins(h: Histogram, upper: float) -> tuple[float, float]:
    """Return the outer edges of the bins that hold the value of rank `upper` * n from each side."""
    rank = max(math.ceil(h.n * upper), 1)
    running = np.cumsum(h.counts)
    from_top, from_bottom = np.searchsorted(running, rank), np.searchsorted(running, h.n - rank, side="right")
    edges = h.edges
    low, high = edges[min(from_top, from_bottom)], edges[max(from_top, from_bottom) + 1]
    return max(float(low), h.min), min(float(high), h.max)
