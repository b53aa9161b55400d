"""The array loops, in cache-sized blocks: no full-size temporary, any layout, any byte order.

Each loop walks its arrays with one buffered ``numpy.nditer``, which hands out 1-D blocks of at most
`BLOCK` elements already converted to the type that the arithmetic uses, whatever the shape, strides or
byte order of the array. Nothing here checks its arguments: :mod:`quantnotes.ranges` and
:mod:`quantnotes.mapping` do. Numbers go in, numbers come out; a NaN is reported, never raised.
"""

from __future__ import annotations

from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

# Elements of a block: with its scratch it fits an L2 cache of 1 MB, and the loop's own cost is hidden.
BLOCK = 1 << 16

Array = NDArray[Any]


def _blocks(operands: list[Array], writes: int, dtypes: list[np.dtype[Any]]) -> Any:
    """Iterate over `operands` together, the last `writes` of them being written."""
    reads = len(operands) - writes
    flags = [["readonly"]] * reads + [["writeonly"]] * writes
    return np.nditer(
        cast(Any, operands),
        flags=["external_loop", "buffered", "zerosize_ok", "copy_if_overlap"],
        op_flags=cast(Any, [[*flag, "overlap_assume_elementwise"] for flag in flags]),
        op_dtypes=cast(Any, dtypes),
        casting="unsafe",
        order="K",
        buffersize=BLOCK,
    )


def _round(block: Array, scale: Array | float, zero_point: Array | float, scratch: Array) -> None:
    """Write rint(block / scale) + zero_point, unclipped, to `scratch`."""
    np.divide(block, scale, out=scratch)
    np.rint(scratch, out=scratch)
    np.add(scratch, zero_point, out=scratch)


def _codes_of(
    block: Array, scale: Array | float, zero_point: Array | float, qmin: float, qmax: float, scratch: Array
) -> bool:
    """Write the codes, still floats, to `scratch`; True if a NaN is among them."""
    _round(block, scale, zero_point, scratch)
    np.clip(scratch, qmin, qmax, out=scratch)  # three times as fast as maximum and minimum
    return bool(np.isnan(scratch.min())) if scratch.size else False


def quantize(
    x: Array, scale: Array, zero_point: Array, qmin: int, qmax: int, compute: np.dtype[Any], out: Array
) -> bool:
    """Write the codes of `x` to `out`; S and Z broadcast against it. True if `x` has a NaN."""
    with np.errstate(over="ignore", invalid="ignore"):
        if scale.ndim == 0:
            return _quantize_one(x, scale, zero_point, qmin, qmax, compute, out)
        return _quantize_many(x, scale, zero_point, qmin, qmax, compute, out)


def _quantize_one(
    x: Array, scale: Array, zero_point: Array, qmin: int, qmax: int, compute: Any, out: Array
) -> bool:
    scratch = np.empty(min(BLOCK, x.size), compute)
    s, z, nan = compute.type(scale), compute.type(zero_point), False
    low, high = compute.type(qmin), compute.type(qmax)
    with _blocks([x, out], 1, [compute, out.dtype]) as blocks:
        for block, target in blocks:
            work = scratch[: block.size]
            nan |= _codes_of(block, s, z, low, high, work)
            np.copyto(target, work, casting="unsafe")
    return nan


def _quantize_many(
    x: Array, scale: Array, zero_point: Array, qmin: int, qmax: int, compute: Any, out: Array
) -> bool:
    scratch, nan = np.empty(min(BLOCK, x.size), compute), False
    low, high = compute.type(qmin), compute.type(qmax)
    with _blocks([x, scale, zero_point, out], 1, [compute, compute, compute, out.dtype]) as blocks:
        for block, s, z, target in blocks:
            work = scratch[: block.size]
            nan |= _codes_of(block, s, z, low, high, work)
            np.copyto(target, work, casting="unsafe")
    return nan


def dequantize(q: Array, scale: Array, zero_point: Array, compute: np.dtype[Any], out: Array) -> None:
    """Write (q - zero_point) * scale to `out`, the codes widened to `compute` first (exact for 16 bits)."""
    scratch = np.empty(min(BLOCK, q.size), compute)
    with (
        np.errstate(over="ignore"),
        _blocks([q, scale, zero_point, out], 1, [compute, compute, compute, out.dtype]) as blocks,
    ):
        for block, s, z, target in blocks:
            work = scratch[: block.size]
            np.subtract(block, z, out=work)
            np.multiply(work, s, out=work)
            np.copyto(target, work, casting="unsafe")


def fake_quantize(
    x: Array, scale: Array, zero_point: Array, qmin: int, qmax: int, types: tuple[Any, Any], out: Array
) -> bool:
    """Quantize in `types[0]` and dequantize in `types[1]`, block by block. True if x has a NaN."""
    into, back = types
    first, second, nan = np.empty(min(BLOCK, x.size), into), np.empty(min(BLOCK, x.size), back), False
    low, high = into.type(qmin), into.type(qmax)
    dtypes = [into, into, into, back, out.dtype]
    with (
        np.errstate(over="ignore", invalid="ignore"),
        _blocks([x, scale, zero_point, scale, out], 1, dtypes) as blocks,
    ):
        for block, s, z, s_back, target in blocks:
            code, real = first[: block.size], second[: block.size]
            nan |= _codes_of(block, s, z, low, high, code)
            np.subtract(code, z, out=code)  # exact: both are integers below 2**17
            np.multiply(code, s_back, out=real)
            np.copyto(target, real, casting="unsafe")
    return nan


def code_steps(x: Array, scale: Array, zero_point: Array, compute: np.dtype[Any]) -> Any:
    """Yield blocks of x, S, Z and rint(x / S) + Z: unclipped, floats, the caller's to change."""
    scratch = np.empty(min(BLOCK, x.size), compute)
    with np.errstate(over="ignore", invalid="ignore"):
        for block, s, z in _blocks([x, scale, zero_point], 0, [compute] * 3):
            work = scratch[: block.size]
            _round(block, s, z, work)
            yield block, s, z, work


def minmax(x: Array, compute: np.dtype[Any]) -> tuple[float, float]:
    """Return the smallest and largest element, inf and -inf of an empty array; both NaN if one is."""
    low, high = np.inf, -np.inf
    for block in _blocks([x], 0, [compute]):
        if block.size:
            low, high = np.minimum(low, block.min()), np.maximum(high, block.max())
    return float(low), float(high)


def count_nan(x: Array, compute: np.dtype[Any]) -> int:
    """Return the number of NaN in `x`."""
    return sum(int(np.count_nonzero(np.isnan(block))) for block in _blocks([x], 0, [compute]))


def count_bins(x: Array, k: int, first: int, counts: Array, compute: np.dtype[Any]) -> None:
    """Add to `counts` how many elements of `x` lie in bin j = floor(x / 2**k), counted from bin `first`.

    `x` holds no NaN and every element's bin is in reach. The product with a power of two is exact but for
    underflow, which would send a tiny negative to bin 0; bin -1 is right for it.
    """
    info = np.finfo(compute)
    if not info.minexp <= -k < info.maxexp:  # 2**-k is no normal number of this type
        steps = _ldexp_steps(x, k)
    else:
        factor = compute.type(2.0**-k)
        careful = first < 0 and float(info.smallest_subnormal) * float(factor) == 0.0
        steps = _product_steps(
            x, factor, careful or compute.type(info.smallest_subnormal) * factor == 0, compute
        )
    for block in steps:
        np.subtract(block, first, out=block)
        counts += np.bincount(block.astype(np.intp), minlength=counts.size)


def _product_steps(x: Array, factor: Any, careful: bool, compute: np.dtype[Any]) -> Any:
    scratch = np.empty(min(BLOCK, x.size), compute)
    for block in _blocks([x], 0, [compute]):
        work = scratch[: block.size]
        np.multiply(block, factor, out=work)
        np.floor(work, out=work)
        if careful:
            work[(block < 0) & (work >= 0)] = -1
        yield work


def _ldexp_steps(x: Array, k: int) -> Any:
    for block in _blocks([x], 0, [np.dtype(np.float64)]):
        work = np.floor(np.ldexp(block, -k))
        work[(block < 0) & (work >= 0)] = -1
        yield work
