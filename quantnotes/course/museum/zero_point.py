"""Hall 3, the zero point: where does 0 land?"""

from __future__ import annotations

from typing import Any

import numpy as np

from quantnotes.checks import compute_type
from quantnotes.course.museum.cases import Array, Exhibit, Hall
from quantnotes.course.museum.formulas import handed_over, unpacked, widened, zero_point
from quantnotes.grid import INT8, UINT8, IntGrid
from quantnotes.mapping import QuantParams

HALL = Hall("zero point")

_CODES = np.arange(-128, 128)
_BYTES = QuantParams(1.0, 100, INT8)
_TOPS = np.linspace(0.1, 4, 40)


def _over(rmin: float, rmax: float, grid: IntGrid = INT8) -> Exhibit:
    x = np.linspace(rmin, rmax, 200)
    return Exhibit(
        lambda qn: qn.fake_quantize(x, qn.asymmetric_params(rmin, rmax, grid)),
        x,
        f"real value, range {rmin:g} to {rmax:g}",
        "decoded",
    )


DIFFERENCES = Exhibit(lambda qn: qn.dequantize(_CODES, _BYTES), _CODES, "code, S = 1, Z = 100", "decoded")
SYMMETRIC = Exhibit(
    lambda qn: [qn.symmetric_params(0.0, top, UINT8).zero_point for top in range(1, 9)],
    np.arange(1, 9),
    "largest value, uint8",
    "Z of the symmetric scheme",
    dots=True,
)
ZERO_POINTS = Exhibit(
    lambda qn: [qn.asymmetric_params(-1.0, top).zero_point - 127 + 255 * top / (1 + top) for top in _TOPS],
    _TOPS,
    "upper end of a range from -1",
    "Z less its exact value",
    dots=True,
)


@HALL.wrap("dequantize", DIFFERENCES, report="pytorch/executorch#20655")
def subtracted_in_the_codes_type(
    right: Any, q: Any, params: Any, *, dtype: Any = np.float32, out: Any = None
) -> Any:
    """q - Z is taken in the 8 bits of the codes
    right while the difference fits; codes far from Z wrap to the other side of 0
    """
    reals = right(q, params, dtype=dtype, out=out)
    codes, scale, zero = unpacked(q, params, compute_type(np.dtype(dtype)))
    steps = codes.astype(params.grid.dtype) - zero.astype(params.grid.dtype)
    return handed_over(steps * scale, reals)


@HALL.replace("asymmetric_params", _over(1.0, 2.0), report="pytorch/pytorch#23838")
def range_without_zero(low: Array, high: Array, grid: IntGrid, anchor: str) -> tuple[Array, Array]:
    """the range is not widened to hold 0, and Z is clamped onto the grid
    data of one sign lose their far end: [1, 2] on two bits decodes to 1 and nothing else
    """
    scale = (high - low) / (grid.codes - 1)
    return scale, np.clip(zero_point(low, high, scale, grid, anchor), grid.qmin, grid.qmax)


@HALL.replace("asymmetric_params", _over(-6.0, -5.0))
def zero_point_to_qmin(low: Array, high: Array, grid: IntGrid, anchor: str) -> tuple[Array, Array]:
    """the range is not widened, and a Z outside the grid is set to qmin
    right for positive data by luck; negative ones all become 0
    """
    scale = (high - low) / (grid.codes - 1)
    zero = zero_point(low, high, scale, grid, anchor)
    return scale, np.where((zero < grid.qmin) | (zero > grid.qmax), grid.qmin, zero)


@HALL.replace("asymmetric_params", _over(10.0, 11.0, UINT8))
def zero_point_wraps(low: Array, high: Array, grid: IntGrid, anchor: str) -> tuple[Array, Array]:
    """Z is neither clamped nor kept on the grid by widening: it is cast, and wraps
    any code may become Z: [10, 11] on uint8 has Z = -2550, which wraps to 10
    """
    scale = (high - low) / (grid.codes - 1)
    zero = zero_point(low, high, scale, grid, anchor)
    return scale, (zero - grid.qmin) % grid.codes + grid.qmin


@HALL.replace("asymmetric_params", ZERO_POINTS)
def zero_point_truncated(low: Array, high: Array, grid: IntGrid, anchor: str) -> tuple[Array, Array]:
    """int(...) instead of Round(...) for Z
    Z is one off, towards 0, for half of all ranges, and an end is cut by up to a step
    """
    low, high = widened(low, high)
    scale = (high - low) / (grid.codes - 1)
    return scale, np.trunc(grid.qmax - high / scale if anchor == "max" else grid.qmin - low / scale)


@HALL.replace("symmetric_params", SYMMETRIC, report="microsoft/onnxruntime#10170")
def symmetric_with_a_zero_point(low: Array, high: Array, grid: IntGrid) -> tuple[Array, Array]:
    """the affine formula is fed with -a and a: S = 2a / (qmax - qmin), Z in the middle
    the step is a little off on int8; on uint8 Z is 128, and half of the codes are for negatives
    """
    end = np.maximum(np.abs(low), np.abs(high))
    scale = 2 * end / (grid.codes - 1)
    return scale, grid.qmin + np.rint(end / scale)
