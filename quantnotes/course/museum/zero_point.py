"""Hall 3, the zero point: where does 0 land?"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from quantnotes.asymmetric import asymmetric_params
from quantnotes.checks import as_real, compute_type
from quantnotes.course.museum.cases import (
    Array,
    Exhibit,
    everywhere,
    handed_over,
    scale_of,
    specimen,
    zero_point_of,
)
from quantnotes.grid import INT8, UINT8, IntGrid
from quantnotes.mapping import QuantParams, dequantize
from quantnotes.symmetric import symmetric_params

_CODES = np.arange(-128, 128)
_BYTES = QuantParams(1.0, 100, INT8)


def _decoded(rmin: float, rmax: float, grid: IntGrid, x: Array) -> Any:
    def of(qn: Any) -> Any:
        params = qn.asymmetric_params(rmin, rmax, grid)
        return qn.fake_quantize(x, params)

    return of


def _over(rmin: float, rmax: float, grid: IntGrid = INT8) -> Exhibit:
    x = np.linspace(rmin, rmax, 200)
    return Exhibit(_decoded(rmin, rmax, grid, x), x, f"real value, range {rmin:g} to {rmax:g}", "decoded")


DIFFERENCES = Exhibit(lambda qn: qn.dequantize(_CODES, _BYTES), _CODES, "code, S = 1, Z = 100", "decoded")
SYMMETRIC = Exhibit(
    lambda qn: [qn.symmetric_params(0.0, top, UINT8).zero_point for top in range(1, 9)],
    np.arange(1, 9),
    "largest value, uint8",
    "Z of the symmetric scheme",
    dots=True,
)
ENDS = np.linspace(0.1, 4, 40)
ZERO_POINTS = Exhibit(
    lambda qn: [qn.asymmetric_params(-1.0, top).zero_point - 127 + 255 * top / (1 + top) for top in ENDS],
    ENDS,
    "upper end of a range from -1",
    "Z less its exact value",
    dots=True,
)


@specimen(
    "zero point",
    "dequantize",
    mistake="q - Z is taken in the 8 bits of the codes",
    effect="right while the difference fits; codes far from Z wrap to the other side of 0",
    exhibit=DIFFERENCES,
    report="pytorch/executorch#20655",
)
def subtracted_in_the_codes_type(
    q: ArrayLike, params: QuantParams, *, dtype: DTypeLike = np.float32, out: Array | None = None
) -> Array:
    right = dequantize(q, params, dtype=dtype, out=out)
    kind, compute = params.grid.dtype, compute_type(np.dtype(dtype))
    scale, zero = everywhere(params, np.shape(q), compute)
    steps = np.asarray(q).astype(kind) - zero.astype(np.int64).astype(kind)
    return handed_over((steps.astype(compute) * scale).astype(dtype), right)


@specimen(
    "zero point",
    "asymmetric_params",
    mistake="the range is not widened to hold 0, and Z is clamped onto the grid",
    effect="data of one sign lose their far end: [1, 2] on two bits decodes to 1 and nothing else",
    exhibit=_over(1.0, 2.0),
    report="pytorch/pytorch#23838",
)
def range_without_zero(
    rmin: ArrayLike,
    rmax: ArrayLike,
    grid: IntGrid = INT8,
    *,
    axis: int | None = None,
    anchor: Literal["max", "min"] = "max",
    block_size: int | None = None,
) -> QuantParams:
    asymmetric_params(rmin, rmax, grid, axis=axis, anchor=anchor, block_size=block_size)
    low, high = as_real(rmin).astype(np.float64), as_real(rmax).astype(np.float64)
    scale = scale_of(low, high, grid.codes - 1)
    zero = np.clip(zero_point_of(low, high, scale, grid, anchor), grid.qmin, grid.qmax)
    return QuantParams(scale, zero, grid, axis, block_size)


@specimen(
    "zero point",
    "asymmetric_params",
    mistake="the range is not widened, and a Z outside the grid is set to qmin",
    effect="right for positive data by luck; negative ones all become 0",
    exhibit=_over(-6.0, -5.0),
)
def zero_point_to_qmin(
    rmin: ArrayLike,
    rmax: ArrayLike,
    grid: IntGrid = INT8,
    *,
    axis: int | None = None,
    anchor: Literal["max", "min"] = "max",
    block_size: int | None = None,
) -> QuantParams:
    asymmetric_params(rmin, rmax, grid, axis=axis, anchor=anchor, block_size=block_size)
    low, high = as_real(rmin).astype(np.float64), as_real(rmax).astype(np.float64)
    scale = scale_of(low, high, grid.codes - 1)
    zero = zero_point_of(low, high, scale, grid, anchor)
    zero = np.where((zero < grid.qmin) | (zero > grid.qmax), grid.qmin, zero)
    return QuantParams(scale, zero, grid, axis, block_size)


@specimen(
    "zero point",
    "asymmetric_params",
    mistake="Z is neither clamped nor kept on the grid by widening: it is cast, and wraps",
    effect="any code may become Z: [10, 11] on uint8 has Z = -2550, which wraps to 10",
    exhibit=_over(10.0, 11.0, UINT8),
)
def zero_point_wraps(
    rmin: ArrayLike,
    rmax: ArrayLike,
    grid: IntGrid = INT8,
    *,
    axis: int | None = None,
    anchor: Literal["max", "min"] = "max",
    block_size: int | None = None,
) -> QuantParams:
    asymmetric_params(rmin, rmax, grid, axis=axis, anchor=anchor, block_size=block_size)
    low, high = as_real(rmin).astype(np.float64), as_real(rmax).astype(np.float64)
    scale = scale_of(low, high, grid.codes - 1)
    zero = zero_point_of(low, high, scale, grid, anchor)
    zero = (zero - grid.qmin) % grid.codes + grid.qmin
    return QuantParams(scale, zero, grid, axis, block_size)


@specimen(
    "zero point",
    "asymmetric_params",
    mistake="int(...) in the place of Round(...) for Z",
    effect="Z is one off, towards 0, for half of all ranges, and an end is cut by up to a step",
    exhibit=ZERO_POINTS,
)
def zero_point_truncated(
    rmin: ArrayLike,
    rmax: ArrayLike,
    grid: IntGrid = INT8,
    *,
    axis: int | None = None,
    anchor: Literal["max", "min"] = "max",
    block_size: int | None = None,
) -> QuantParams:
    asymmetric_params(rmin, rmax, grid, axis=axis, anchor=anchor, block_size=block_size)
    low = np.minimum(as_real(rmin).astype(np.float64), 0.0)
    high = np.maximum(as_real(rmax).astype(np.float64), 0.0)
    scale = scale_of(low, high, grid.codes - 1)
    zero = np.trunc(grid.qmax - high / scale if anchor == "max" else grid.qmin - low / scale)
    return QuantParams(scale, zero, grid, axis, block_size)


@specimen(
    "zero point",
    "symmetric_params",
    mistake="the affine formula is fed with -a and a: S = 2a / (qmax - qmin), Z in the middle",
    effect="the step is a little off on int8; on uint8 Z is 128, and half of the codes are for negatives",
    exhibit=SYMMETRIC,
    report="microsoft/onnxruntime#10170",
)
def symmetric_with_a_zero_point(
    rmin: ArrayLike,
    rmax: ArrayLike,
    grid: IntGrid = INT8,
    *,
    axis: int | None = None,
    block_size: int | None = None,
) -> QuantParams:
    symmetric_params(rmin, rmax, grid, axis=axis, block_size=block_size)
    low, high = as_real(rmin).astype(np.float64), as_real(rmax).astype(np.float64)
    end = np.maximum(np.abs(low), np.abs(high))
    scale = scale_of(-end, end, grid.codes - 1)
    zero = np.clip(zero_point_of(-end, end, scale, grid, "min"), grid.qmin, grid.qmax)
    return QuantParams(scale, zero, grid, axis, block_size)
