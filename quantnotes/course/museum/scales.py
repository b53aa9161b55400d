"""Hall 4, ranges and scales, first room: are both ends of the range reached?"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from quantnotes.asymmetric import asymmetric_params
from quantnotes.checks import as_real
from quantnotes.course.museum.cases import Array, Exhibit, scale_of, specimen, zero_point_of
from quantnotes.grid import INT8, IntGrid
from quantnotes.mapping import MIN_SCALE, QuantParams
from quantnotes.symmetric import symmetric_params


def _near_one(rmin: float, scheme: str) -> Exhibit:
    """The error next to the upper end, 1, in steps of 1 / 127 or of the width / 255."""
    x = np.linspace(0.96, 1, 400)
    step = (1 - rmin) / 255 if scheme == "asymmetric" else 1 / 127

    def of(qn: Any) -> Any:
        params = getattr(qn, f"{scheme}_params")(rmin, 1.0)
        return (np.asarray(qn.fake_quantize(x, params, dtype=np.float64)) - x) / step

    return Exhibit(of, x, f"real value, upper end of {rmin:g} to 1", "error, in steps")


CONSTANTS = np.linspace(-3, 3, 25)
BYTES = np.arange(-128, 0, 4).astype(np.int8)


def _over(rmin: float, rmax: float, scheme: str, label: str, unit: float = 1.0) -> Exhibit:
    """Decoded values over the range: is the whole of it there?"""
    x = np.linspace(rmin, rmax, 200)

    def of(qn: Any) -> Any:
        params = getattr(qn, f"{scheme}_params")(rmin * unit, rmax * unit)
        return np.asarray(qn.fake_quantize(x * unit, params, dtype=np.float64)) / unit

    return Exhibit(of, x, label, "decoded")


@specimen(
    "range",
    "symmetric_params",
    mistake="|rmax| in the place of max(|rmin|, |rmax|)",
    effect="a larger negative side is cut off at -rmax",
    exhibit=_over(-6.0, 2.0, "symmetric", "real value, range -6 to 2"),
    report="the note, section 3",
)
def the_upper_end_alone(
    rmin: ArrayLike,
    rmax: ArrayLike,
    grid: IntGrid = INT8,
    *,
    axis: int | None = None,
    block_size: int | None = None,
) -> QuantParams:
    right = symmetric_params(rmin, rmax, grid, axis=axis, block_size=block_size)
    end = np.abs(as_real(rmax).astype(np.float64))
    return QuantParams(scale_of(0.0 * end, end, grid.qmax), right.zero_point, grid, axis, block_size)


@specimen(
    "range",
    "symmetric_params",
    mistake="divides by |qmin| = 128 in the place of qmax = 127",
    effect="the largest positive value is cut by a step; the lowest code, which has no mirror, is used",
    exhibit=_near_one(-1.0, "symmetric"),
)
def divided_by_128(
    rmin: ArrayLike,
    rmax: ArrayLike,
    grid: IntGrid = INT8,
    *,
    axis: int | None = None,
    block_size: int | None = None,
) -> QuantParams:
    right = symmetric_params(rmin, rmax, grid, axis=axis, block_size=block_size)
    low, high = as_real(rmin).astype(np.float64), as_real(rmax).astype(np.float64)
    end = np.maximum(np.abs(low), np.abs(high))
    scale = scale_of(0.0 * end, end, max(grid.qmax, -grid.qmin))
    return QuantParams(scale, right.zero_point, grid, axis, block_size)


@specimen(
    "range",
    "symmetric_params",
    mistake="np.abs in the type that the ends come in",
    effect="right for floats; of int8 data, abs(-128) is -128, and the other end is taken",
    exhibit=Exhibit(
        lambda qn: [qn.symmetric_params(low, np.int8(10)).scale for low in BYTES],
        BYTES,
        "rmin as int8, rmax = 10",
        "S",
        dots=True,
    ),
)
def magnitude_of_an_int8(
    rmin: ArrayLike,
    rmax: ArrayLike,
    grid: IntGrid = INT8,
    *,
    axis: int | None = None,
    block_size: int | None = None,
) -> QuantParams:
    right = symmetric_params(rmin, rmax, grid, axis=axis, block_size=block_size)
    end = np.maximum(np.abs(as_real(rmin)), np.abs(as_real(rmax))).astype(np.float64)
    return QuantParams(scale_of(0.0 * end, end, grid.qmax), right.zero_point, grid, axis, block_size)


@specimen(
    "range",
    "asymmetric_params",
    mistake="divides by the number of codes, 256, in the place of the steps between them, 255",
    effect="the grid is too short by one step, which is missing at one end of the range",
    exhibit=_near_one(0.0, "asymmetric"),
    report="onnx/tensorflow-onnx#189",
)
def divided_by_the_codes(
    rmin: ArrayLike,
    rmax: ArrayLike,
    grid: IntGrid = INT8,
    *,
    axis: int | None = None,
    anchor: Literal["max", "min"] = "max",
    block_size: int | None = None,
) -> QuantParams:
    low, high = _widened(rmin, rmax, grid, axis, anchor, block_size)
    scale = scale_of(low, high, grid.codes)
    zero = np.clip(zero_point_of(low, high, scale, grid, anchor), grid.qmin, grid.qmax)
    return QuantParams(scale, zero, grid, axis, block_size)


@specimen(
    "range",
    "asymmetric_params",
    mistake="an epsilon of 2**-7 under the scale, against a division by 0",
    effect="right for data of usual size; a tensor of small values is flattened to a few codes, or to zeros",
    exhibit=_over(-1.0, 1.0, "asymmetric", "real value, in hundredths", unit=1e-2),
    report="pytorch/ao#4534",
)
def epsilon_under_the_scale(
    rmin: ArrayLike,
    rmax: ArrayLike,
    grid: IntGrid = INT8,
    *,
    axis: int | None = None,
    anchor: Literal["max", "min"] = "max",
    block_size: int | None = None,
) -> QuantParams:
    low, high = _widened(rmin, rmax, grid, axis, anchor, block_size)
    scale = np.maximum(scale_of(low, high, grid.codes - 1), 2.0**-7)
    return QuantParams(scale, zero_point_of(low, high, scale, grid, anchor), grid, axis, block_size)


@specimen(
    "range",
    "asymmetric_params",
    mistake="S is kept in float16",
    effect="three digits are left of it, so the ends miss by codes; below 6e-8 it is 0, past 65504 infinite",
    exhibit=_over(-1.0, 1.0, "asymmetric", "real value, in units of 1e-5", unit=1e-5),
    report="apple/coremltools#2851",
)
def scale_in_half(
    rmin: ArrayLike,
    rmax: ArrayLike,
    grid: IntGrid = INT8,
    *,
    axis: int | None = None,
    anchor: Literal["max", "min"] = "max",
    block_size: int | None = None,
) -> QuantParams:
    low, high = _widened(rmin, rmax, grid, axis, anchor, block_size)
    half = scale_of(low, high, grid.codes - 1).astype(np.float16).astype(np.float64)
    scale = np.clip(half, MIN_SCALE, 65504.0)  # a scale of 0 or inf would be seen at once
    zero = np.clip(zero_point_of(low, high, scale, grid, anchor), grid.qmin, grid.qmax)
    return QuantParams(scale, zero, grid, axis, block_size)


@specimen(
    "range",
    "asymmetric_params",
    mistake="S = 1 wherever rmin equals rmax, not only for zeros",
    effect="a constant tensor of 0.3 becomes 0; one of 500 is cut at the end of the grid",
    exhibit=Exhibit(
        lambda qn: [
            qn.fake_quantize(v, qn.asymmetric_params(v, v), dtype=np.float64).item() for v in CONSTANTS
        ],
        CONSTANTS,
        "a constant tensor's value",
        "decoded",
    ),
    report="harvard-edge/cs249r_book#1444",
)
def constants_have_scale_one(
    rmin: ArrayLike,
    rmax: ArrayLike,
    grid: IntGrid = INT8,
    *,
    axis: int | None = None,
    anchor: Literal["max", "min"] = "max",
    block_size: int | None = None,
) -> QuantParams:
    low, high = _widened(rmin, rmax, grid, axis, anchor, block_size)
    scale = np.where(as_real(rmin) == as_real(rmax), 1.0, scale_of(low, high, grid.codes - 1))
    zero = np.clip(zero_point_of(low, high, scale, grid, anchor), grid.qmin, grid.qmax)
    return QuantParams(scale, zero, grid, axis, block_size)


def _widened(
    rmin: ArrayLike,
    rmax: ArrayLike,
    grid: IntGrid,
    axis: int | None,
    anchor: Literal["max", "min"],
    block_size: int | None,
) -> tuple[Array, Array]:
    """Return the ends of the range, widened to hold 0, after all the checks of the right function."""
    asymmetric_params(rmin, rmax, grid, axis=axis, anchor=anchor, block_size=block_size)
    low, high = as_real(rmin).astype(np.float64), as_real(rmax).astype(np.float64)
    return np.minimum(low, 0.0), np.maximum(high, 0.0)
