"""The array loops as one pass over memory each, on every core: the names and bits of the blocked loops.

They take dense arrays: native byte order, aligned, the elements in one run of memory whatever the order of
the axes; float32 or float64 reals, 8- or 16-bit codes; S and Z that are constant, or step by one, along the
innermost axis. For anything else they return NotImplemented, and the blocked loop runs.

Not covered: threads and compilation, see :mod:`quantnotes.kernels.compiled`.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from quantnotes.kernels import compiled
from quantnotes.kernels.blocked import Array, Bins, DType, FloatLayout, finite, float_bits
from quantnotes.kernels.compiled import Rows

MOST = 1 << 22  # channels or counters, over all pieces of work: 32 MB
REALS = frozenset(map(np.dtype, ("f4", "f8")))
CODES = frozenset(map(np.dtype, ("i1", "u1", "i2", "u2")))


def _rows(param: Array, *arrays: Array) -> tuple[Rows, list[Array]] | None:
    """Return how `param` lies along arrays of one shape, and their elements in the order of memory.

    None if they do not lie in rows, or writing to the second could change the first before it is read.
    """
    if len(arrays) == 2 and _overwrites(*arrays):
        return None
    first = arrays[0]
    order = sorted(range(first.ndim), key=lambda axis: -abs(first.strides[axis]))
    turned = [array.transpose(order) for array in arrays]
    if not first.size or not all(a.flags.c_contiguous and a.flags.aligned for a in turned):
        return None
    strides = np.broadcast_to(np.asarray(param, order="C"), first.shape).transpose(order).strides
    runs: list[tuple[int, int]] = []  # (length, step) of axes that can be walked as one, innermost first
    for length, stride in zip(turned[0].shape[::-1], strides[::-1], strict=True):
        step = stride // param.itemsize
        if runs and step == runs[-1][0] * runs[-1][1]:
            runs[-1] = (runs[-1][0] * length, runs[-1][1])
        elif length > 1:
            runs.append((length, step))
    (columns, step), (inner, inner_step), (outer, outer_step) = (runs + 3 * [(1, 0)])[:3]
    if len(runs) > 3 or step not in (0, 1):
        return None
    rows = Rows(outer * inner, columns, inner, outer_step, inner_step, step)
    return rows, [array.reshape(-1) for array in turned]


def _read_only(array: Array) -> Array:
    """Return a 1-D view for a loop to read: one kind of input, one compilation."""
    view = array.reshape(-1)
    view.flags.writeable = False
    return view


def _bits(reals: Array) -> tuple[Array, Any]:
    """Return the bits of the reals, as integers, and the mask of all but the sign."""
    bits = _read_only(reals).view(f"i{reals.itemsize}")
    return bits, bits.dtype.type(np.iinfo(bits.dtype).max)


def _has_nan(magnitudes: list[int], dtype: DType) -> bool:
    """Tell whether a NaN is among the reals whose largest magnitudes these are, as bits without the sign."""
    return max(magnitudes) > int(np.array(np.inf, dtype).view(f"i{dtype.itemsize}"))


def _overwrites(x: Array, out: Array) -> bool:
    """Tell whether writing to `out` could change an element of `x` before it is read."""
    in_place = x.dtype == out.dtype and x.strides == out.strides and x.ctypes.data == out.ctypes.data
    return np.may_share_memory(x, out) and not in_place


def quantize(
    x: Array, scale: Array, zero_point: Array, qmin: int, qmax: int, compute: DType, out: Array
) -> Any:
    """Write the codes of `x` to `out`; S and Z broadcast against it. True if `x` has a NaN."""
    if x.dtype not in REALS or out.dtype not in CODES or (laid_out := _rows(scale, x, out)) is None:
        return NotImplemented
    rows, (reals, codes) = laid_out
    inputs = _read_only(reals), *_bits(reals), _read_only(scale), _read_only(zero_point)
    ends = compute.type(qmin), compute.type(qmax)
    return _has_nan(compiled.run(compiled.quantize, rows, *inputs, *ends, codes), x.dtype)


def quantize_float(x: Array, scale: Array, layout: FloatLayout, compute: DType, out: Array) -> Any:
    """Write the codes of a floating-point format to `out`. True if `x` has a NaN."""
    if x.dtype not in REALS or out.dtype not in CODES or (laid_out := _rows(scale, x, out)) is None:
        return NotImplemented
    rows, (reals, codes) = laid_out
    bits = float_bits(layout, compute)
    numbers = map(bits.kind.type, (bits.exponent, bits.smallest, bits.inverse))
    reals_of = map(compute.type, (2.0**-bits.mantissa, 1 << layout.sign, -1 if layout.signed_zero else 0))
    inputs = _read_only(reals), *_bits(reals), _read_only(scale), compute.type(layout.largest)
    return _has_nan(
        compiled.run(compiled.quantize_float, rows, *inputs, (*numbers, *reals_of), codes), x.dtype
    )


def decode(q: Array, scale: Array, table: Array, compute: DType, out: Array) -> Any:
    """Write table[q] * S to `out`."""
    if q.dtype not in CODES or out.dtype != compute or (laid_out := _rows(scale, q, out)) is None:
        return NotImplemented
    rows, (codes, reals) = laid_out
    compiled.run(compiled.decode, rows, *map(_read_only, (codes, scale, table)), reals)
    return None


def dequantize(q: Array, scale: Array, zero_point: Array, compute: DType, out: Array) -> Any:
    """Write (q - zero_point) * scale to `out`, the codes widened to `compute` first."""
    if q.dtype not in CODES or out.dtype != compute or (laid_out := _rows(scale, q, out)) is None:
        return NotImplemented
    rows, (codes, reals) = laid_out
    compiled.run(compiled.dequantize, rows, *map(_read_only, (codes, scale, zero_point)), reals)
    return None


def fake_quantize(
    x: Array, scale: Array, zero_point: Array, qmin: int, qmax: int, types: tuple[Any, Any], out: Array
) -> Any:
    """Quantize in `types[0]` and dequantize in `types[1]`. True if `x` has a NaN."""
    into, back = types
    if x.dtype not in REALS or out.dtype != back or (laid_out := _rows(scale, x, out)) is None:
        return NotImplemented
    rows, (reals, faked) = laid_out
    params = map(_read_only, (scale.astype(into), zero_point.astype(into), finite(scale, back)))
    inputs, ends = (_read_only(reals), *_bits(reals), *params), (into.type(qmin), into.type(qmax))
    return _has_nan(compiled.run(compiled.fake_quantize, rows, *inputs, *ends, faked), x.dtype)


def _by_channel(x: Array, axis: int | None) -> tuple[int, tuple[Rows, list[Array]] | None]:
    """Return the number of channels, and how their numbers lie along `x`."""
    shape = [length if i == axis else 1 for i, length in enumerate(x.shape)]
    return math.prod(shape), _rows(np.empty(shape, np.int8), x)


def minmax(x: Array, compute: DType, axis: int | None = None) -> Any:
    """Return the smallest and the largest element, or those of each channel; NaN where one is.

    Floats are compared as integers of the same order, in which NaN lie beyond the infinities.
    """
    channels, laid_out = _by_channel(x, axis)
    if x.dtype not in REALS or channels * compiled.PIECES > MOST or laid_out is None:
        return NotImplemented
    rows, (values,) = laid_out
    bits, mask = _bits(values)
    found = compiled.run(compiled.extremes, rows, bits, mask, channels)
    keys = np.min([low for low, _ in found], axis=0), np.max([high for _, high in found], axis=0)
    low, high = (np.where(key < 0, key ^ mask, key).view(x.dtype).astype(np.float64) for key in keys)
    ends = np.where(np.isnan(low) | np.isnan(high), np.nan, (low, high)) + 0.0  # + 0.0 turns -0.0 into 0.0
    return ends[:, 0] if axis is None else ends


def count_bins(x: Array, bins: Bins, compute: DType, axis: int | None = None) -> Any:
    """Add to the counts of each group how many of its elements lie in each of its bins, and on each pile."""
    info = np.finfo(compute)
    normal = ((info.minexp <= -bins.k) & (-bins.k < info.maxexp)).all()
    fits = x.dtype == compute and compute in REALS and normal and x.size < 2**31
    if not fits or (laid_out := _by_channel(x, axis)[1]) is None:
        return NotImplemented
    rows, (values,) = laid_out
    apart = rows.wide or rows.rows == rows.inner  # no two pieces share a group, and so counters
    offset = bins.starts + 3 * np.arange(bins.starts.size, dtype=np.int64)  # the piles lie behind the bins
    if offset[-1] * (1 if apart else compiled.PIECES) > MOST:
        return NotImplemented
    factor = np.ldexp(np.ones(bins.k.size, compute), -bins.k)
    top = np.diff(bins.starts) - 1
    reals = (factor, *(part.astype(compute) for part in (bins.first, top, bins.low, bins.high)))
    inputs = map(_read_only, (values, *reals, offset))
    total = np.zeros(offset[-1], np.int64)
    for base, counts in compiled.run(compiled.count_bins, rows, *inputs, by_columns=rows.wide):
        total[base : base + counts.size // 2] += counts[::2] + counts[1::2]
    behind = offset[1:] - np.array([[3], [2], [1]])
    lowest, zero, highest = total[behind]  # a value is on the first pile that it fits
    bins.counts[...] += np.delete(total, behind)
    for pile, place in ((lowest, 0), (zero, np.clip(-bins.first, 0, top)), (highest, top)):
        bins.counts[bins.starts[:-1] + place] += pile
    zero = np.where(bins.low == 0, lowest, zero)
    bins.piles[...] += (
        lowest,
        zero,
        np.select([bins.high == bins.low, bins.high == 0], [lowest, zero], highest),
    )
    return None
