"""Hall 2, clipping: what happens to a value beyond the ends?"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from quantnotes.checks import as_real
from quantnotes.course.museum.cases import Array, Exhibit, handed_over, specimen, unpacked
from quantnotes.grid import INT4, INT8
from quantnotes.mapping import QuantParams, fake_quantize, quantize

_LINE = np.linspace(-4, 4, 401)
_FAR = np.linspace(6, 12, 25)


def _decoded(params: QuantParams, x: Array = _LINE) -> Any:
    return lambda qn: qn.dequantize(qn.quantize(x, params), params)


WIDE = Exhibit(_decoded(QuantParams(1 / 64, 0, INT8)), _LINE, "real value, range -2 to 2", "decoded")
SHIFTED = Exhibit(_decoded(QuantParams(1 / 64, 64, INT8)), _LINE, "real value, range -3 to 1", "decoded")
FEW = Exhibit(
    lambda qn: qn.quantize(_LINE, QuantParams(0.25, 0, INT4)),
    _LINE,
    "real value, range -2 to 1.75",
    "code",
)
FAR = Exhibit(
    lambda qn: qn.quantize(10.0**_FAR, QuantParams(1.0, 0, INT8)),
    _FAR,
    "log10 of the real value, S = 1",
    "code",
    dots=True,
)
NAN = Exhibit(
    lambda qn: qn.quantize([1.0, np.nan, 3.0], QuantParams(1.0, 0, INT8)),
    np.arange(3),
    "1, NaN, 3; right: an error",
    "code",
    dots=True,
)
FAKE = Exhibit(
    lambda qn: qn.fake_quantize(_LINE, QuantParams(0.25, 0, INT4)),
    _LINE,
    "real value, range -2 to 1.75",
    "fake-quantized",
)


@specimen(
    "clipping",
    "quantize",
    mistake="the cast to the codes' type comes before the clip",
    effect="values beyond the range wrap around: a large positive one comes back negative",
    exhibit=WIDE,
    report="huggingface/sentence-transformers#3847, onnx/onnx#6169",
)
def cast_before_clip(x: ArrayLike, params: QuantParams, *, out: Array | None = None) -> Array:
    r, s, z, low, high = unpacked(x, params)
    whole = np.clip(np.nan_to_num(np.rint(r / s) + z), -(2.0**62), 2.0**62).astype(np.int64)
    q = np.clip(whole.astype(params.grid.dtype), low, high)
    return handed_over(q, quantize(x, params, out=out))


@specimen(
    "clipping",
    "quantize",
    mistake="the cast to int32 comes before the clip",
    effect="right up to 2**31 steps; beyond, +1e10 and +inf go to the lowest code",
    exhibit=FAR,
    report="pytorch/pytorch#133557",
)
def int32_before_clip(x: ArrayLike, params: QuantParams, *, out: Array | None = None) -> Array:
    r, s, z, low, high = unpacked(x, params)
    n = np.rint(r / s).astype(np.float64)
    whole = np.where(np.abs(n) < 2.0**31, n, -(2.0**31))  # what the processor's own conversion gives
    q = np.clip(whole + z, low, high)
    return handed_over(q, quantize(x, params, out=out))


@specimen(
    "clipping",
    "quantize",
    mistake="clips to the ends of the type, not of the grid",
    effect="4-bit codes run on to 127, and a narrow grid has a -128: right where the grid is the type",
    exhibit=FEW,
)
def clipped_to_the_type(x: ArrayLike, params: QuantParams, *, out: Array | None = None) -> Array:
    r, s, z, _, _ = unpacked(x, params)
    info = np.iinfo(params.grid.dtype)
    q = np.clip(np.rint(r / s) + z, info.min, info.max)
    return handed_over(q, quantize(x, params, out=out))


@specimen(
    "clipping",
    "quantize",
    mistake="clips before Z is added",
    effect="right while Z = 0; else one end is cut short by Z codes, and at the other the codes wrap",
    exhibit=SHIFTED,
)
def clip_before_zero_point(x: ArrayLike, params: QuantParams, *, out: Array | None = None) -> Array:
    r, s, z, low, high = unpacked(x, params)
    q = (np.clip(np.rint(r / s), low, high) + z).astype(np.int64).astype(params.grid.dtype)
    return handed_over(q, quantize(x, params, out=out))


@specimen(
    "clipping",
    "quantize",
    mistake="np.minimum alone: nobody clips at the lower end",
    effect="right for data that are large on the upper side only; far below, codes wrap to the top",
    exhibit=WIDE,
)
def clipped_above_alone(x: ArrayLike, params: QuantParams, *, out: Array | None = None) -> Array:
    r, s, z, _, high = unpacked(x, params)
    whole = np.maximum(np.minimum(np.rint(r / s) + z, high), -(2.0**62)).astype(np.int64)
    q = whole.astype(params.grid.dtype)
    return handed_over(q, quantize(x, params, out=out))


@specimen(
    "clipping",
    "quantize",
    mistake="NaN is quietly made 0",
    effect="a broken tensor gets codes like any other: what was an error upstream is now a plausible zero",
    exhibit=NAN,
)
def nan_becomes_zero(x: ArrayLike, params: QuantParams, *, out: Array | None = None) -> Array:
    values = as_real(x)
    if values.dtype.kind == "f":
        values = np.where(np.isnan(values), values.dtype.type(0), values)
    codes: Array = quantize(values, params, out=out)
    return codes


@specimen(
    "clipping",
    "fake_quantize",
    mistake="rounds, but does not clip",
    effect="training sees values that no code can hold, and finds them harmless",
    exhibit=FAKE,
)
def fake_without_clip(
    x: ArrayLike, params: QuantParams, *, dtype: DTypeLike = np.float32, out: Array | None = None
) -> Array:
    r, s, _, _, _ = unpacked(x, params)
    reals = np.rint(r / s) * s + 0.0
    return handed_over(reals, fake_quantize(x, params, dtype=dtype, out=out))
