"""Hall 4, ranges and scales: are both ends of the range reached, and is it the range of the data?"""

from __future__ import annotations

from typing import Any

import numpy as np

from quantnotes.checks import as_real
from quantnotes.course.museum.cases import Array, Exhibit, Hall
from quantnotes.course.museum.formulas import widened, zero_point
from quantnotes.grid import IntGrid
from quantnotes.ranges import Range

HALL = Hall("range")

CONSTANTS = np.linspace(-3, 3, 25)
BYTES = np.arange(-128, 0, 4).astype(np.int8)
SHIFTS = np.linspace(-3, 3, 25)
ROWS = np.random.default_rng(0).standard_normal((8, 8)) * np.array([[2.0 ** (i / 2)] for i in range(8)])


def _near_one(rmin: float, scheme: str) -> Exhibit:
    """The error next to the upper end, 1, in steps of 1 / 127 or of the width / 255."""
    x = np.linspace(0.96, 1, 400)
    step = (1 - rmin) / 255 if scheme == "asymmetric" else 1 / 127

    def of(qn: Any) -> Any:
        params = getattr(qn, f"{scheme}_params")(rmin, 1.0)
        return (np.asarray(qn.fake_quantize(x, params, dtype=np.float64)) - x) / step

    return Exhibit(of, x, f"real value, upper end of {rmin:g} to 1", "error, in steps")


def _over(rmin: float, rmax: float, scheme: str, label: str, unit: float = 1.0) -> Exhibit:
    """Decoded values over the range: is the whole of it there?"""
    x = np.linspace(rmin, rmax, 200)

    def of(qn: Any) -> Any:
        params = getattr(qn, f"{scheme}_params")(rmin * unit, rmax * unit)
        return np.asarray(qn.fake_quantize(x * unit, params, dtype=np.float64)) / unit

    return Exhibit(of, x, label, "decoded")


def _constants(qn: Any) -> Any:
    return [qn.fake_quantize(v, qn.asymmetric_params(v, v), dtype=np.float64).item() for v in CONSTANTS]


LARGER_BELOW = _over(-6.0, 2.0, "symmetric", "real value, range -6 to 2")
UPPER_END = _near_one(-1.0, "symmetric")
LAST_STEP = _near_one(0.0, "asymmetric")
SMALL = _over(-1.0, 1.0, "asymmetric", "real value, in hundredths", unit=1e-2)
TINY = _over(-1.0, 1.0, "asymmetric", "real value, in units of 1e-5", unit=1e-5)
CONSTANT = Exhibit(_constants, CONSTANTS, "a constant tensor's value", "decoded")
INTEGERS = Exhibit(
    lambda qn: [qn.symmetric_params(low, np.int8(10)).scale for low in BYTES],
    BYTES,
    "rmin as int8, rmax = 10",
    "S",
    dots=True,
)
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


@HALL.replace("symmetric_params", LARGER_BELOW, report="the note, section 3")
def the_upper_end_alone(low: Array, high: Array, grid: IntGrid) -> tuple[Array, Array]:
    """|rmax| instead of max(|rmin|, |rmax|)
    a larger negative side is cut off at -rmax
    """
    return np.abs(high) / grid.qmax, 0.0 * high


@HALL.replace("symmetric_params", UPPER_END)
def divided_by_128(low: Array, high: Array, grid: IntGrid) -> tuple[Array, Array]:
    """divides by |qmin| = 128 instead of qmax = 127
    the largest positive value is cut by a step; the lowest code, which has no mirror, is used
    """
    return np.maximum(np.abs(low), np.abs(high)) / max(grid.qmax, -grid.qmin), 0.0 * high


@HALL.wrap("symmetric_params", INTEGERS)
def magnitude_of_an_int8(right: Any, rmin: Any, rmax: Any, *grid: Any, **options: Any) -> Any:
    """np.abs in the type that the ends come in
    right for floats; of int8 data, abs(-128) is -128, and the other end is taken
    """
    right(rmin, rmax, *grid, **options)  # the checks
    end = np.maximum(np.abs(as_real(rmin)), np.abs(as_real(rmax))).astype(np.float64)
    return right(0.0 * end, np.abs(end), *grid, **options)


@HALL.replace("asymmetric_params", LAST_STEP, report="onnx/tensorflow-onnx#189")
def divided_by_the_codes(low: Array, high: Array, grid: IntGrid, anchor: str) -> tuple[Array, Array]:
    """divides by the number of codes, 256, instead of the steps between them, 255
    the grid is too short by one step, which is missing at one end of the range
    """
    low, high = widened(low, high)
    scale = (high - low) / grid.codes
    return scale, zero_point(low, high, scale, grid, anchor)


@HALL.replace("asymmetric_params", SMALL, report="pytorch/ao#4534")
def epsilon_under_the_scale(low: Array, high: Array, grid: IntGrid, anchor: str) -> tuple[Array, Array]:
    """an epsilon of 2**-7 under the scale, against a division by 0
    right for data of usual size; a tensor of small values is flattened to a few codes, or to zeros
    """
    low, high = widened(low, high)
    scale = np.maximum((high - low) / (grid.codes - 1), 2.0**-7)
    return scale, zero_point(low, high, scale, grid, anchor)


@HALL.replace("asymmetric_params", TINY, report="apple/coremltools#2851")
def scale_in_half(low: Array, high: Array, grid: IntGrid, anchor: str) -> tuple[Array, Array]:
    """S is kept in float16
    three digits are left of it, so the ends miss by codes; below 6e-8 it is 0, past 65504 infinite
    """
    low, high = widened(low, high)
    scale = ((high - low) / (grid.codes - 1)).astype(np.float16).astype(np.float64)
    scale = np.minimum(scale, 65504.0)  # an infinite one would be seen at once
    return scale, zero_point(low, high, scale, grid, anchor)


@HALL.replace("asymmetric_params", CONSTANT, report="harvard-edge/cs249r_book#1444")
def constants_have_scale_one(low: Array, high: Array, grid: IntGrid, anchor: str) -> tuple[Array, Array]:
    """S = 1 wherever rmin equals rmax, not only for zeros
    a constant tensor of 0.3 becomes 0; one of 500 is cut at the end of the grid
    """
    constant, (low, high) = low == high, widened(low, high)
    scale = np.where(constant, 1.0, (high - low) / (grid.codes - 1))
    return scale, zero_point(low, high, scale, grid, anchor)


@HALL.wrap("minmax_range", PER_ROW)
def axis_reduced(right: Any, x: Any, *, axis: Any = None, block_size: Any = None, nan: Any = "raise") -> Any:
    """axis is given to np.min: it is reduced, not kept
    on a square weight the shape is right and the ranges are those of the columns
    """
    found = right(x, axis=axis, block_size=block_size, nan=nan)
    if axis is None or block_size is not None:
        return found
    values = as_real(x).astype(np.float64)
    return Range(np.fmin.reduce(values, axis), np.fmax.reduce(values, axis))


@HALL.wrap("minmax_range", BROKEN)
def nan_overlooked(right: Any, x: Any, **options: Any) -> Any:
    """np.nanmin and np.nanmax, whatever was asked
    a tensor that is broken already gets a range, and the NaN turn up as codes later
    """
    if options.get("nan") in (None, "raise"):
        options["nan"] = "ignore"
    return right(x, **options)


@HALL.wrap("minmax_range", LOWER)
def extremes_start_at_zero(right: Any, x: Any, **options: Any) -> Any:
    """the running minimum starts at 0, and so does the maximum
    right for data on both sides of 0; of others the range is too wide, and what is trimmed is not
    """
    low, high = right(x, **options)
    return Range(np.minimum(low, 0.0)[()], np.maximum(high, 0.0)[()])
