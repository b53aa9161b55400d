"""Hall 4, ranges and scales, second room: is it the range of the data?"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from quantnotes.checks import NanPolicy, as_real
from quantnotes.course.museum.cases import Exhibit, specimen
from quantnotes.ranges import Range, minmax_range

SHIFTS = np.linspace(-3, 3, 25)
ROWS = np.random.default_rng(0).standard_normal((8, 8)) * np.array([[2.0 ** (i / 2)] for i in range(8)])
PER_ROW = Exhibit(
    lambda qn: qn.minmax_range(ROWS, axis=0).rmax,
    np.arange(8),
    "row of a square weight, axis=0",
    "rmax",
    dots=True,
)
BROKEN = Exhibit(
    lambda qn: [qn.minmax_range(np.where(top < ROWS, np.nan, ROWS)).rmax for top in (20.0, 8.0, 4.0, 2.0)],
    np.arange(4),
    "ever more NaN; right: an error",
    "rmax",
    dots=True,
)
LOWER = Exhibit(
    lambda qn: [qn.minmax_range(shift + np.array([-1.0, 1.0])).rmin for shift in SHIFTS],
    SHIFTS,
    "centre of data 2 wide",
    "rmin",
)


@specimen(
    "range",
    "minmax_range",
    mistake="axis is given to np.min: it is reduced, not kept",
    effect="on a square weight the shape is right and the ranges are those of the columns",
    exhibit=PER_ROW,
)
def axis_reduced(
    x: ArrayLike, *, axis: int | None = None, nan: NanPolicy = "raise", block_size: int | None = None
) -> Range:
    right = minmax_range(x, axis=axis, nan=nan, block_size=block_size)
    if axis is None or block_size is not None:
        return right
    values = as_real(x).astype(np.float64)
    return Range(np.fmin.reduce(values, axis), np.fmax.reduce(values, axis))


@specimen(
    "range",
    "minmax_range",
    mistake="np.nanmin and np.nanmax, whatever was asked",
    effect="a tensor that is broken already gets a range, and the NaN turn up as codes later",
    exhibit=BROKEN,
)
def nan_overlooked(
    x: ArrayLike, *, axis: int | None = None, nan: NanPolicy = "raise", block_size: int | None = None
) -> Range:
    if nan == "raise":
        nan = "ignore"
    return minmax_range(x, axis=axis, nan=nan, block_size=block_size)


@specimen(
    "range",
    "minmax_range",
    mistake="the running minimum starts at 0, and so does the maximum",
    effect="right for data on both sides of 0; of others the range is too wide, and what is trimmed is not",
    exhibit=LOWER,
)
def extremes_start_at_zero(
    x: ArrayLike, *, axis: int | None = None, nan: NanPolicy = "raise", block_size: int | None = None
) -> Range:
    low, high = minmax_range(x, axis=axis, nan=nan, block_size=block_size)
    return Range(np.minimum(low, 0.0)[()], np.maximum(high, 0.0)[()])
