"""The array loops as one pass over memory each, on every core: names and bits of the blocked ones.

They take dense arrays: native byte order, aligned, the elements in one run of memory whatever the order of
the axes; float32 or float64 reals, 8- or 16-bit codes; S and Z that are constant, or step by one, along the
innermost axis. Of anything else they return NotImplemented, and the blocked loop has to do the work.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantnotes.kernels import compiled
from quantnotes.kernels.compiled import Rows

Array = NDArray[Any]

MOST = 1 << 16  # counters, and channels, of which every piece of work has its own
REALS = frozenset(map(np.dtype, ("f4", "f8")))
CODES = frozenset(map(np.dtype, ("i1", "u1", "i2", "u2")))


def _rows(param: Array, *arrays: Array) -> tuple[Rows, list[Array]] | None:
    """Return how `param` lies along arrays of one shape, and their elements in the order of memory."""
    first = arrays[0]
    order = sorted(range(first.ndim), key=lambda axis: -abs(first.strides[axis]))
    turned = [array.transpose(order) for array in arrays]
    if not first.size or not all(a.flags.c_contiguous and a.flags.aligned for a in turned):
        return None
    strides = np.broadcast_to(param, first.shape).transpose(order).strides
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


def _tangled(x: Array, out: Array) -> bool:
    """Tell whether writing an element of `out` could change one of `x` that is yet to be read."""
    in_place = x.dtype == out.dtype and x.strides == out.strides and x.ctypes.data == out.ctypes.data
    return np.may_share_memory(x, out) and not in_place


def quantize(
    x: Array, scale: Array, zero_point: Array, qmin: int, qmax: int, compute: np.dtype[Any], out: Array
) -> Any:
    """Write the codes of `x` to `out`; S and Z broadcast against it. True if `x` has a NaN."""
    scale, zero_point = (np.asarray(param, order="C") for param in (scale, zero_point))
    fits = x.dtype in REALS and out.dtype in CODES and not _tangled(x, out)
    if not fits or (laid_out := _rows(scale, x, out)) is None:
        return NotImplemented
    rows, (reals, codes) = laid_out
    inputs = map(_read_only, (reals, scale, zero_point))
    return any(compiled.run(compiled.quantize, rows, *inputs, compute.type(qmin), compute.type(qmax), codes))


def dequantize(q: Array, scale: Array, zero_point: Array, compute: np.dtype[Any], out: Array) -> Any:
    """Write (q - zero_point) * scale to `out`, the codes widened to `compute` first."""
    scale, zero_point = (np.asarray(param, order="C") for param in (scale, zero_point))
    fits = q.dtype in CODES and out.dtype == compute and not _tangled(q, out)
    if not fits or (laid_out := _rows(scale, q, out)) is None:
        return NotImplemented
    rows, (codes, reals) = laid_out
    compiled.run(compiled.dequantize, rows, *map(_read_only, (codes, scale, zero_point)), reals)
    return None


def fake_quantize(
    x: Array, scale: Array, zero_point: Array, qmin: int, qmax: int, types: tuple[Any, Any], out: Array
) -> Any:
    """Quantize in `types[0]` and dequantize in `types[1]`. True if `x` has a NaN."""
    into, back = types
    scale, zero_point = (np.asarray(param, order="C") for param in (scale, zero_point))
    fits = x.dtype in REALS and out.dtype == back and not _tangled(x, out)
    if not fits or (laid_out := _rows(scale, x, out)) is None:
        return NotImplemented
    rows, (reals, faked) = laid_out
    inputs = (reals, scale.astype(into), zero_point.astype(into), scale.astype(back))
    ends = into.type(qmin), into.type(qmax)
    return any(compiled.run(compiled.fake_quantize, rows, *map(_read_only, inputs), *ends, faked))


def minmax(x: Array, compute: np.dtype[Any], axis: int | None = None) -> Any:
    """Return the smallest and the largest element, or those of each channel; NaN where one is.

    Floats are compared as integers of the same order, in which NaN lie beyond the infinities.
    """
    channels = 1 if axis is None else x.shape[axis]
    index = np.empty([channels if i == axis else 1 for i in range(x.ndim)], np.int8)
    if x.dtype not in REALS or channels > MOST or (laid_out := _rows(index, x)) is None:
        return NotImplemented
    rows, (values,) = laid_out
    bits = np.dtype(f"i{x.itemsize}")
    mask = bits.type(np.iinfo(bits).max)
    found = compiled.run(compiled.extremes, rows, _read_only(values).view(bits), mask, channels)
    keys = np.min([low for low, _ in found], axis=0), np.max([high for _, high in found], axis=0)
    low, high = (np.where(key < 0, key ^ mask, key).view(x.dtype).astype(np.float64) for key in keys)
    ends = np.where(np.isnan(low) | np.isnan(high), np.nan, (low, high)) + 0.0  # + 0.0 turns -0.0 into 0.0
    return tuple(ends[:, 0] if axis is None else ends)


def count_bins(x: Array, k: int, first: int, counts: Array, compute: np.dtype[Any]) -> Any:
    """Add to `counts` how many elements of `x` lie in bin j = floor(x / 2**k), counted from bin `first`."""
    info = np.finfo(compute)
    fits = info.minexp <= -k < info.maxexp and counts.size <= MOST and x.size < 2**31
    fits = fits and x.dtype == compute and compute in REALS
    if not fits or (laid_out := _rows(np.empty((), np.int8), x)) is None:
        return NotImplemented
    rows, (values,) = laid_out
    number = compute.type(2.0**-k), compute.type(first), counts.size
    for part in compiled.run(compiled.count_bins, rows, _read_only(values), *number):
        counts += part.reshape(-1, 2).sum(axis=1)
    return None
