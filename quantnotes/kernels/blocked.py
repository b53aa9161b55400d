"""The array loops in cache-sized blocks: no full-size temporary, any layout, any byte order.

Each loop walks its arrays with one buffered ``numpy.nditer``, which hands out 1-D blocks of at most
`BLOCK` elements already converted to the type that the arithmetic uses, whatever the shape, strides or
byte order of the array. Arrays that fit one block, and have these types, are used as they are.

Not covered: Numba's loops, see :mod:`quantnotes.kernels.fused`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

# Elements of a block: with its scratch it fits an L2 cache of 1 MB, and is long enough to hide Python's cost.
BLOCK = 1 << 16

Array = NDArray[Any]
DType = np.dtype[Any]


def _blocks(operands: list[Array], writes: int, dtypes: list[DType]) -> Any:
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


def _lines(x: Array, compute: DType) -> Iterable[Array]:
    """Iterate over the elements of one array, in 1-D blocks."""
    whole = x.size <= BLOCK and x.dtype == compute
    return [x.reshape(-1)] if whole else cast(Any, _blocks([x], 0, [compute]))


def _writing(
    x: Array, params: list[Array], out: Array, dtypes: list[DType]
) -> Iterator[tuple[Array, list[Array], Array]]:
    """Iterate over x, its parameters, each of them a number or as many as there are values, and `out`.

    One block may have any shape, and share memory with `out`: read all of it before you write.
    """
    operands = [x, *(param for param in params if param.ndim), out]
    dtypes = [dtypes[0], *dtypes[1 : len(operands) - 1], out.dtype]
    whole = x.size <= BLOCK and [operand.dtype for operand in operands] == dtypes
    with nullcontext([operands]) if whole else _blocks(operands, 1, dtypes) as blocks:
        for block, *varying, target in blocks:
            yield block, varying or params, target


def _part_of(scratch: Array, block: Array) -> Array:
    """Return as many elements of the scratch as the block has, in its shape."""
    return scratch[: block.size].reshape(block.shape)


def _round(block: Array, scale: Array, zero_point: Array, scratch: Array) -> None:
    """Write rint(block / scale) + zero_point, unclipped, to `scratch`."""
    np.divide(block, scale, out=scratch)
    np.rint(scratch, out=scratch)
    np.add(scratch, zero_point, out=scratch)


def _codes_of(block: Array, scale: Array, zero_point: Array, ends: tuple[Any, Any], scratch: Array) -> bool:
    """Write the codes, still floats, to `scratch`; True if a NaN is among them."""
    _round(block, scale, zero_point, scratch)
    scratch.clip(*ends, out=scratch)  # three times as fast as maximum and minimum
    return scratch.size > 0 and bool(np.isnan(np.minimum.reduce(scratch, axis=None)))


def finite(scale: Array, dtype: DType) -> Array:
    """Return the scale in another type, at most its largest finite value."""
    return np.minimum(scale, float(np.finfo(dtype).max)).astype(dtype)


def quantize(
    x: Array, scale: Array, zero_point: Array, qmin: int, qmax: int, compute: DType, out: Array
) -> bool:
    """Write the codes of `x` to `out`; S and Z broadcast against it. True if `x` has a NaN."""
    scratch, nan = np.empty(min(BLOCK, x.size), compute), False
    ends, params = (compute.type(qmin), compute.type(qmax)), [scale, zero_point]
    with np.errstate(over="ignore", invalid="ignore"):
        for block, (s, z), target in _writing(x, params, out, [compute] * 3):
            work = _part_of(scratch, block)
            nan |= _codes_of(block, s, z, ends, work)
            np.copyto(target, work, casting="unsafe")
    return nan


def dequantize(q: Array, scale: Array, zero_point: Array, compute: DType, out: Array) -> None:
    """Write (q - zero_point) * scale to `out`, the codes widened to `compute` first (exact for 16 bits)."""
    scratch, params = np.empty(min(BLOCK, q.size), compute), [scale, zero_point]
    with np.errstate(over="ignore"):
        for block, (s, z), target in _writing(q, params, out, [compute] * 3):
            work = _part_of(scratch, block)
            np.subtract(block, z, out=work)
            np.multiply(work, s, out=work)
            np.copyto(target, work, casting="unsafe")


def fake_quantize(
    x: Array, scale: Array, zero_point: Array, qmin: int, qmax: int, types: tuple[Any, Any], out: Array
) -> bool:
    """Quantize in `types[0]` and dequantize in `types[1]`, block by block. True if x has a NaN.

    S and Z are float64.
    """
    into, back = types
    first, second, nan = np.empty(min(BLOCK, x.size), into), np.empty(min(BLOCK, x.size), back), False
    ends = into.type(qmin), into.type(qmax)
    params = [scale.astype(into), zero_point.astype(into), finite(scale, back)]
    with np.errstate(over="ignore", invalid="ignore"):
        for block, (s, z, s_back), target in _writing(x, params, out, [into, into, into, back]):
            code, real = _part_of(first, block), _part_of(second, block)
            nan |= _codes_of(block, s, z, ends, code)
            np.subtract(code, z, out=code)  # exact: both are integers below 2**17
            np.multiply(code, s_back, out=real)
            np.copyto(target, real, casting="unsafe")
    return nan


class FloatLayout(NamedTuple):
    """A small floating-point format: what a loop needs to turn reals into its codes."""

    mantissa: int  # bits, without the hidden one
    smallest: int  # the exponent of the smallest normal number
    largest: float
    sign: int  # the place of the sign bit
    signed_zero: bool


class FloatBits(NamedTuple):
    """A layout in terms of the bits of float32 or float64."""

    kind: DType  # integers of the same width
    mantissa: int  # bits of the mantissa that the codes lack
    exponent: int  # the mask of the exponent
    smallest: int  # the exponent of the smallest normal number, in place
    inverse: int  # from it an exponent is subtracted, for the power of two that makes a step of the format 1


def float_bits(layout: FloatLayout, compute: DType) -> FloatBits:
    """Return what to do with the bits of `compute`."""
    info, width = np.finfo(compute), 8 * compute.itemsize
    bits, bias = int(info.nmant), int(info.maxexp) - 1
    inverse = (2 * bias + layout.mantissa) << bits
    return FloatBits(
        np.dtype(f"i{compute.itemsize}"),
        bits - layout.mantissa,
        (2 * bias + 1) << bits,
        (layout.smallest + bias) << bits,
        (inverse + 2 ** (width - 1)) % 2**width - 2 ** (width - 1),  # as a signed number: the difference fits
    )


def quantize_float(x: Array, scale: Array, layout: FloatLayout, compute: DType, out: Array) -> bool:
    """Write the codes of a floating-point format to `out`, rounded to even. True if `x` has a NaN.

    Between two powers of two a format has equal steps. So each quotient is divided by the step of its binade
    and rounded to an integer; that integer, and as many steps as lie below the binade, are the code.
    """
    size, bits, nan = min(BLOCK, x.size), float_bits(layout, compute), False
    real, exponent, steps = np.empty(size, compute), np.empty(size, bits.kind), np.empty(size, bits.kind)
    with np.errstate(over="ignore", invalid="ignore"):
        for block, (s,), target in _writing(x, [scale], out, [compute] * 2):
            t, e, n = (_part_of(scratch, block) for scratch in (real, exponent, steps))
            np.divide(block, s, out=t)
            negative = np.signbit(t)
            np.abs(t, out=t)
            np.minimum(t, layout.largest, out=t)
            nan |= t.size > 0 and bool(np.isnan(np.minimum.reduce(t, axis=None)))
            np.bitwise_and(t.view(bits.kind), bits.exponent, out=e)
            np.maximum(e, bits.smallest, out=e)
            np.subtract(bits.inverse, e, out=n)
            np.multiply(t, n.view(compute), out=t)
            np.rint(t, out=t)
            np.subtract(e, bits.smallest, out=e)
            np.right_shift(e, bits.mantissa, out=e)
            np.copyto(n, t, casting="unsafe")
            np.add(n, e, out=n)
            if not layout.signed_zero:
                negative &= n > 0
            np.multiply(negative, 1 << layout.sign, out=e, casting="unsafe")
            np.add(n, e, out=n)
            np.copyto(target, n, casting="unsafe")
    return nan


def quantize_table(
    x: Array, scale: Array, thresholds: Array, codes: Array, compute: DType, out: Array
) -> bool:
    """Write the codes of a table to `out`: that of the first threshold not below x / S. True if NaN."""
    scratch, nan = np.empty(min(BLOCK, x.size), compute), False
    with np.errstate(over="ignore", invalid="ignore"):
        for block, (s,), target in _writing(x, [scale], out, [compute] * 2):
            t = _part_of(scratch, block)
            np.divide(block, s, out=t)
            nan |= bool(np.isnan(t).any())
            np.copyto(target, codes[np.searchsorted(thresholds, t)], casting="unsafe")
    return nan


def decode(q: Array, scale: Array, table: Array, compute: DType, out: Array) -> None:
    """Write table[q] * S to `out`."""
    scratch = np.empty(min(BLOCK, q.size), compute)
    with np.errstate(over="ignore"):
        for block, (s,), target in _writing(q, [scale], out, [np.dtype(np.intp), compute]):
            work = _part_of(scratch, block)
            np.take(table, block, out=work, mode="clip")  # "raise" would copy
            np.multiply(work, s, out=work)
            np.copyto(target, work, casting="unsafe")


def quotients(x: Array, scale: Array, zero_point: Array, compute: DType) -> Iterator[tuple[Array, ...]]:
    """Yield 1-D blocks of x, S, Z and x / S. The caller may modify the last."""
    scratch = np.empty(min(BLOCK, x.size), compute)
    for block, s, z in _blocks([x, scale, zero_point], 0, [compute] * 3):
        with np.errstate(over="ignore", invalid="ignore"):  # the caller has its own: not over the yield
            quotient = np.divide(block, s, out=scratch[: block.size])
        yield block, s, z, quotient


def minmax(x: Array, compute: DType, axis: int | None = None) -> Array:
    """Return the smallest and the largest element, or those of each channel: float64, shape (2, channels).

    NaN where one is; inf and -inf of an empty array; never -0.0.
    """
    ends = np.empty((2,) if axis is None else (2, x.shape[axis]))
    if axis is None or not x.size:
        ends[0], ends[1] = np.inf, -np.inf
    if axis is None:
        for block in _lines(x, compute):
            if block.size:
                ends[0], ends[1] = np.minimum(ends[0], block.min()), np.maximum(ends[1], block.max())
    elif x.size:
        others = tuple(i for i in range(x.ndim) if i != axis)
        with np.errstate(invalid="ignore", over="ignore"):  # of a NaN in bfloat16, and of longdouble
            ends[0] = x.min(axis=others)
            ends[1] = x.max(axis=others)
    ends += 0.0
    return ends


def count_nan(x: Array) -> int:
    """Return the number of NaN in `x`."""
    return sum(int(np.count_nonzero(np.isnan(block))) for block in _lines(x, x.dtype))


class Bins(NamedTuple):
    """Counters of the bins of several groups, end to end, and of three values that are counted apart too.

    Bin j of group g is [(first[g] + j) * 2**k[g], (first[g] + j + 1) * 2**k[g]); its count is number
    ``starts[g] + j``. The lowest value is in the first bin, the highest in the last. `piles` has three
    rows: how many values of each group are its lowest, 0, its highest.
    """

    k: NDArray[np.int32]
    first: NDArray[np.int64]
    starts: NDArray[np.int64]  # one more than there are groups
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    counts: NDArray[np.int64]
    piles: NDArray[np.int64]

    @classmethod
    def empty(cls, k: Array, first: Array, sizes: Array, low: Array, high: Array) -> Bins:
        """Return counters at 0."""
        starts = np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)], dtype=np.int64)
        piles = np.zeros((3, k.size), np.int64)
        return cls(k, first, starts, low, high, np.zeros(starts[-1], np.int64), piles)


def count_bins(x: Array, bins: Bins, compute: DType, axis: int | None = None) -> None:
    """Add to the counts of each group how many of its elements lie in each of its bins, and on each pile.

    The groups lie along `axis`; without it there is one. `x` holds no NaN, every element's bin is in reach.
    """
    top = np.diff(bins.starts) - 1
    homes = np.zeros(top.size, np.int64), np.clip(-bins.first, 0, top), top  # the bins that the piles are in
    for groups, block in _group_blocks(x, axis, compute):
        number = _bin_numbers(block, bins.k[groups, None], bins.first[groups, None])
        begin, end = bins.starts[groups.start], bins.starts[groups.stop]
        if len(block) > 1:
            number += bins.starts[groups, None] - begin
        counts = np.bincount(number.reshape(-1), minlength=end - begin)
        bins.counts[begin:end] += counts
        values = bins.low[groups, None], 0, bins.high[groups, None]
        for pile, value, home in zip(bins.piles, values, homes, strict=True):
            if counts[bins.starts[groups] - begin + home[groups]].any():
                same = block == value
                # Without an axis NumPy counts much faster.
                pile[groups] += np.count_nonzero(same, axis=1) if len(same) > 1 else np.count_nonzero(same)


def _group_blocks(x: Array, axis: int | None, compute: DType) -> Iterator[tuple[slice, Array]]:
    """Yield blocks of shape (groups, elements) in the compute type, and which groups they belong to."""
    rows = x[None] if axis is None else np.moveaxis(x, axis, 0)
    step = max(1, BLOCK * len(rows) // x.size)
    for i in range(0, len(rows), step):
        groups = slice(i, min(i + step, len(rows)))
        if step > 1:
            yield groups, rows[groups].reshape(groups.stop - i, -1).astype(compute, copy=False)
        else:
            yield from ((groups, block[None]) for block in _lines(rows[i], compute))


def _bin_numbers(block: Array, k: Array, first: Array) -> NDArray[np.intp]:
    """Return floor(x / 2**k) - first as integers.

    The product with a power of two is exact but for underflow, which would send a tiny negative to bin 0; bin
    -1 is right for it. The difference is exact in float32 too: these are bins of one batch, the smallest
    float32 is in the first of them, and the floor of a float32 is one.
    """
    info = np.finfo(block.dtype)
    if ((info.minexp <= -k) & (-k < info.maxexp)).all():
        factor = np.ldexp(np.ones(k.shape, block.dtype), -k)
        work, exact = block * factor, (info.smallest_subnormal * factor > 0).all()
    else:  # some 2**-k is no normal number of this type
        work, exact = np.ldexp(block.astype(np.float64), -k), False
    np.floor(work, out=work)
    if not exact and (first < 0).any():
        work[(block < 0) & (work >= 0)] = -1
    work -= first.astype(work.dtype)
    return work.astype(np.int32).astype(np.intp)  # in two steps: NumPy has no fast cast to 64 bits
