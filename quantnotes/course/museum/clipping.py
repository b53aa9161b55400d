"""Hall 2, clipping: what happens to a value beyond the ends?"""

from __future__ import annotations

from typing import Any

import numpy as np

from quantnotes.checks import as_real
from quantnotes.course.museum.cases import Array, Exhibit, Hall
from quantnotes.course.museum.formulas import handed_over, unpacked
from quantnotes.grid import INT4, INT8, IntGrid
from quantnotes.mapping import QuantParams

HALL = Hall("clipping")

_LINE = np.linspace(-4, 4, 401)
_FAR = np.linspace(6, 12, 25)
_UNITS, _QUARTERS = QuantParams(1.0, 0, INT8), QuantParams(0.25, 0, INT4)


def _decoded(params: QuantParams) -> Any:
    return lambda qn: qn.dequantize(qn.quantize(_LINE, params), params)


WIDE = Exhibit(_decoded(QuantParams(1 / 64, 0, INT8)), _LINE, "real value, range -2 to 2", "decoded")
SHIFTED = Exhibit(_decoded(QuantParams(1 / 64, 64, INT8)), _LINE, "real value, range -3 to 1", "decoded")
FEW = Exhibit(lambda qn: qn.quantize(_LINE, _QUARTERS), _LINE, "real value, range -2 to 1.75", "code")
FAR = Exhibit(
    lambda qn: qn.quantize(10.0**_FAR, _UNITS), _FAR, "log10 of the real value, S = 1", "code", dots=True
)
NAN = Exhibit(
    lambda qn: qn.quantize([1.0, np.nan, 3.0], _UNITS),
    np.arange(3),
    "1, NaN, 3; right: an error",
    "code",
    dots=True,
)
FAKE = Exhibit(
    lambda qn: qn.fake_quantize(_LINE, _QUARTERS), _LINE, "real value, range -2 to 1.75", "fake-quantized"
)


def _whole(values: Any) -> Any:
    """Return floats as int64, those beyond it near its ends."""
    return np.clip(np.nan_to_num(values), -(2.0**62), 2.0**62).astype(np.int64)


@HALL.replace("quantize", WIDE, report="huggingface/sentence-transformers#3847, onnx/onnx#6169")
def cast_before_clip(r: Array, s: Array, z: Array, grid: IntGrid) -> Any:
    """the cast to the codes' type comes before the clip
    values beyond the range wrap around: a large positive one comes back negative
    """
    return np.clip(_whole(np.rint(r / s) + z).astype(grid.dtype), grid.qmin, grid.qmax)


@HALL.replace("quantize", FAR, report="pytorch/pytorch#133557")
def int32_before_clip(r: Array, s: Array, z: Array, grid: IntGrid) -> Any:
    """the cast to int32 comes before the clip
    right up to 2**31 steps; beyond, +1e10 and +inf go to the lowest code
    """
    steps = np.rint(r / s).astype(np.float64)
    whole = np.where(np.abs(steps) < 2.0**31, steps, -(2.0**31))  # what the processor's own conversion gives
    return np.clip(whole + z, grid.qmin, grid.qmax)


@HALL.replace("quantize", FEW)
def clipped_to_the_type(r: Array, s: Array, z: Array, grid: IntGrid) -> Any:
    """clips to the ends of the type, not of the grid
    4-bit codes run on to 127, and a narrow grid has a -128: right where the grid is the type
    """
    info = np.iinfo(grid.dtype)
    return np.clip(np.rint(r / s) + z, info.min, info.max)


@HALL.replace("quantize", SHIFTED)
def clip_before_zero_point(r: Array, s: Array, z: Array, grid: IntGrid) -> Any:
    """clips before Z is added
    right while Z = 0; else one end is cut short by Z codes, and at the other the codes wrap
    """
    return _whole(np.clip(np.rint(r / s), grid.qmin, grid.qmax) + z).astype(grid.dtype)


@HALL.replace("quantize", WIDE)
def clipped_above_alone(r: Array, s: Array, z: Array, grid: IntGrid) -> Any:
    """np.minimum alone: the lower end is not clipped
    right for data that are large on the upper side only; far below, codes wrap to the top
    """
    return _whole(np.minimum(np.rint(r / s) + z, grid.qmax)).astype(grid.dtype)


@HALL.wrap("quantize", NAN)
def nan_becomes_zero(right: Any, x: Any, params: Any, *, out: Any = None) -> Any:
    """NaN is quietly made 0
    a broken tensor gets codes like any other: what was an error upstream is now a plausible zero
    """
    values = as_real(x)
    return right(np.where(np.isnan(values), values.dtype.type(0), values), params, out=out)


@HALL.wrap("fake_quantize", FAKE)
def fake_without_clip(right: Any, x: Any, params: Any, **options: Any) -> Any:
    """rounds, but does not clip
    training sees values that no code can hold, and finds them harmless
    """
    reals = right(x, params, **options)
    r, s, _ = unpacked(x, params)
    return handed_over(np.rint(r / s) * s + 0.0, reals)
