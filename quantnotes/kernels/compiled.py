"""The loops that Numba compiles, and how they are compiled and run on every core.

Numba's own threads (``parallel=True``) would be simpler, and as fast. But of the two layers that its wheels
bring, tried with Numba 0.68, "workqueue" aborts the process when two Python threads call it at once, as
Dask's do, and "omp" ends every forked child that calls it, as a data loader's do. So a pool of Python threads
runs the loops, which release the GIL.

A loop sees 1-D arrays as rows, and works on a piece of them: (row, end of rows, column, end of columns).
The S and Z of an element lie at a place that steps along three axes, see :class:`Rows`. A loop raises
nothing; it returns what it found. Where NaN matter it is given the reals' bits too, as integers, and the
`mask` of all bits but the sign.

What lets LLVM vectorise: indices are unsigned (a signed one could count from the end, and is checked);
`j` is chosen by a condition that does not change, so that the compiler makes two loops of one, with S
constant and with S at each element; and x / 0 is inf, as in NumPy, not an exception. Nothing is
reassociated ("fastmath"), nor is a division made a product: the bits are NumPy's.

Not covered: which arrays the loops can take, see :mod:`quantnotes.kernels.fused`.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from itertools import pairwise
from types import FunctionType
from typing import Any, NamedTuple, TypeVar, cast

import numba
import numpy as np
from numba.extending import intrinsic

Loop = TypeVar("Loop", bound=Callable[..., Any])

THREADS = int(numba.config.NUMBA_NUM_THREADS)  # the cores that this process may use, or as the user says
PIECES = 4 * THREADS  # more than threads: a slow one leaves work to the others
PIECE = 1 << 17  # elements that are worth waking another thread for
BLOCK = 1024  # bin numbers, kept in the first-level cache until they are counted
_OPTIONS = {"nogil": True, "error_model": "numpy"}


class Rows(NamedTuple):
    """Data as rows, and the place of their S and Z: for element i of row r,

    r // inner * outer_step + r % inner * inner_step + i * step.
    """

    rows: int
    columns: int
    inner: int  # rows that make up one step of the outer axis
    outer_step: int
    inner_step: int
    step: int  # 0 or 1

    @property
    def wide(self) -> bool:
        """Whether columns are channels, and enough of them for all threads."""
        return self.step == 1 and self.columns >= 64 * THREADS

    def pieces(self, by_columns: bool) -> list[tuple[int, int, int, int]]:
        """Cut by rows if there are many, else, or if that is wanted, by columns."""
        number = max(1, min(PIECES, self.rows * self.columns // PIECE))
        if self.rows >= number and not by_columns:
            return [(a, b, 0, self.columns) for a, b in cut(self.rows, number)]
        return [(0, self.rows, a, b) for a, b in cut(self.columns, number, 64) if a < b]


def cut(length: int, number: int, multiple: int = 1) -> list[tuple[int, int]]:
    """Return the first and the end of so many parts of a length, all but the last end at a multiple."""
    ends = [length * i // number // multiple * multiple for i in range(number)]
    return list(pairwise([*ends, length]))


# --- compiling and running ----------------------------------------------------------------------------------


def inlined(loop: Loop) -> Loop:
    """Compile a function that the loops call."""
    return cast(Loop, numba.njit(**_OPTIONS)(loop))


def compiled_for(*signatures: Any) -> Callable[[Loop], Loop]:
    """Compile a loop for these types, or load it from the disk.

    With the types named here every process writes the same variants to the file that Numba keeps.
    """

    def compile(loop: Loop) -> Loop:
        try:
            return cast(Loop, numba.njit(list(signatures), cache=True, **_OPTIONS)(loop))
        except (RuntimeError, OSError):  # no folder can be written to, or the disk is full
            return cast(Loop, numba.njit(list(signatures), **_OPTIONS)(loop))

    return compile


_known: dict[tuple[Any, ...], Callable[..., Any]] = {}


def compiled(loop: Callable[..., Any], args: tuple[Any, ...]) -> Callable[..., Any]:
    """Return a loop that is compiled for arguments like these.

    Each combination of types is a function of its own: Numba keeps the variants of *one* function in one
    index file, where two processes that add different variants at the same time can give both one name.
    """
    key = (loop, *(getattr(arg, "dtype", None) for arg in args))  # a tenth of the time of Numba's typeof
    if key not in _known:
        types = tuple(map(numba.typeof, args))
        name = f"{loop.__name__}_{hashlib.sha256(str(types).encode()).hexdigest()[:12]}"
        twin = FunctionType(loop.__code__, loop.__globals__, name)
        twin.__qualname__ = name
        _known[key] = compiled_for(types)(twin)
    return _known[key]


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(THREADS - 1, "quantnotes")


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.cache_clear)  # a child has the object, but not its threads


def _submit(work: Callable[[], list[Any]], threads: int) -> list[Future[list[Any]]]:
    """Start `work` in other threads; in none once the interpreter shuts down, when no thread may start."""
    started: list[Future[list[Any]]] = []
    try:
        for _ in range(threads):
            started.append(_pool().submit(work))
    except RuntimeError as error:  # there is no public way to ask beforehand
        if "shutdown" not in str(error):
            raise
    return started


def run(loop: Callable[..., Any], rows: Rows, *args: Any, by_columns: bool = False) -> list[Any]:
    """Call a loop for each piece, on all cores, this thread among them, and return what it returns."""
    pieces, steps = rows.pieces(by_columns), rows[1:]
    function = compiled(loop, (*args, steps, pieces[0]))
    return on_all_cores(lambda piece: function(*args, steps, piece), pieces)


def on_all_cores(call: Callable[[Any], Any], pieces: Sequence[Any]) -> list[Any]:
    """Call a function that releases the GIL with each piece, this thread among others, in no given order."""
    queue = iter(pieces)  # shared by the threads

    def work() -> list[Any]:
        return [call(piece) for piece in queue]

    others = _submit(work, min(THREADS, len(pieces)) - 1)
    results = work()
    for other in others:
        results += other.result()
    return results


# --- one row, one element -----------------------------------------------------------------------------------


@inlined
def _place(row: Any, steps: Any) -> Any:
    columns, inner, outer_step, inner_step, _ = steps
    return np.uint64(row * columns), np.uint64(row // inner * outer_step + row % inner * inner_step)


@inlined
def _rounded(x: Any, s: Any, z: Any) -> Any:
    return np.rint(x / s) + z


@inlined
def _clipped(value: Any, low: Any, high: Any) -> Any:
    value = value if value > low else low  # NaN goes to low: the cast that follows is defined
    return value if value < high else high


@inlined
def _key(bits: Any, mask: Any) -> Any:
    """Turn the bits of a float into an integer of the same order, NaN beyond the infinities."""
    return bits ^ mask if bits < 0 else bits


@intrinsic  # type: ignore[untyped-decorator, unused-ignore]
def _cast_bits(typing: Any, value: Any, like: Any) -> Any:
    """See the bits of a number as a number of the type of `like`."""

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.bitcast(args[0], context.get_value_type(signature.return_type))

    return like(value, like), build


# --- the loops ----------------------------------------------------------------------------------------------


def quantize(
    x: Any, bits: Any, mask: Any, s: Any, z: Any, low: Any, high: Any, out: Any, steps: Any, piece: Any
) -> Any:
    """Return the largest magnitude as bits: a NaN is beyond infinity, and integers have a vector maximum."""
    same, largest = bits.dtype.type, bits.dtype.type(0)
    first, last = np.uint64(piece[2]), np.uint64(piece[3])
    for row in range(piece[0], piece[1]):
        start, at = _place(row, steps)
        for i in range(first, last):
            j = at + i if steps[4] else at
            largest = max(largest, same(bits[start + i] & mask))
            out[start + i] = _clipped(_rounded(x[start + i], s[j], z[j]), low, high)
    return largest


def quantize_float(
    x: Any, bits: Any, mask: Any, s: Any, top: Any, layout: Any, out: Any, steps: Any, piece: Any
) -> Any:
    """Return the largest magnitude as bits. See :func:`quantnotes.kernels.blocked.quantize_float`."""
    exponent_mask, smallest, inverse, unit, negative, least = layout
    real, same, largest = x.dtype.type, bits.dtype.type, bits.dtype.type(0)
    first, last = np.uint64(piece[2]), np.uint64(piece[3])
    for row in range(piece[0], piece[1]):
        start, at = _place(row, steps)
        for i in range(first, last):
            j = at + i if steps[4] else at
            largest = max(largest, same(bits[start + i] & mask))
            quotient = abs(x[start + i] / s[j])
            quotient = quotient if quotient < top else top
            exponent = max(same(_cast_bits(quotient, smallest) & exponent_mask), smallest)
            code = np.rint(quotient * _cast_bits(same(inverse - exponent), top))
            code += real(same(exponent - smallest)) * unit  # the steps below this binade
            sign = negative if bits[start + i] < 0 and code > least else real(0)
            out[start + i] = np.int32(code + sign)
    return largest


def decode(q: Any, s: Any, table: Any, out: Any, steps: Any, piece: Any) -> None:
    first, last = np.uint64(piece[2]), np.uint64(piece[3])
    for row in range(piece[0], piece[1]):
        start, at = _place(row, steps)
        for i in range(first, last):
            j = at + i if steps[4] else at
            out[start + i] = table[np.uint64(q[start + i])] * s[j]


def dequantize(q: Any, s: Any, z: Any, out: Any, steps: Any, piece: Any) -> None:
    real, first, last = out.dtype.type, np.uint64(piece[2]), np.uint64(piece[3])
    for row in range(piece[0], piece[1]):
        start, at = _place(row, steps)
        for i in range(first, last):
            j = at + i if steps[4] else at
            out[start + i] = (real(q[start + i]) - z[j]) * s[j]


def fake_quantize(
    x: Any,
    bits: Any,
    mask: Any,
    s: Any,
    z: Any,
    back: Any,
    low: Any,
    high: Any,
    out: Any,
    steps: Any,
    piece: Any,
) -> Any:
    """Return the largest magnitude as bits, as `quantize` does."""
    same, largest = bits.dtype.type, bits.dtype.type(0)
    real, first, last = out.dtype.type, np.uint64(piece[2]), np.uint64(piece[3])
    for row in range(piece[0], piece[1]):
        start, at = _place(row, steps)
        for i in range(first, last):
            j = at + i if steps[4] else at
            largest = max(largest, same(bits[start + i] & mask))
            out[start + i] = real(_clipped(_rounded(x[start + i], s[j], z[j]), low, high) - z[j]) * back[j]
    return largest


def extremes(bits: Any, mask: Any, channels: Any, steps: Any, piece: Any) -> Any:
    """Return the smallest and largest key of each channel: integers, whose extremes LLVM does vectorise."""
    same = bits.dtype.type  # arithmetic would make it 64 bits wide
    low, high = np.full(channels, mask), np.full(channels, same(~mask))
    first, last = np.uint64(piece[2]), np.uint64(piece[3])
    for row in range(piece[0], piece[1]):
        start, at = _place(row, steps)
        if steps[4]:
            for i in range(first, last):
                key = same(_key(bits[start + i], mask))
                low[at + i], high[at + i] = min(low[at + i], key), max(high[at + i], key)
        else:
            least, most = low[at], high[at]
            for i in range(first, last):
                key = same(_key(bits[start + i], mask))
                least, most = min(least, key), max(most, key)
            low[at], high[at] = least, most
    return low, high


def count_bins(
    x: Any, factor: Any, first: Any, top: Any, low: Any, high: Any, offset: Any, steps: Any, piece: Any
) -> Any:
    """Return the counts of a piece, and the first of its counters; those of group j begin at offset[j].

    Behind the bins of a group are counters of its piles, for values that are its lowest, 0 or its highest:
    such a value is counted on the first pile that it fits, and in no bin. Each counter is a pair, for odd and
    even elements, so that neighbours need not wait for each other. The bin numbers of a block are computed
    first, since that can be vectorised and counting cannot.
    """
    groups = np.uint64(0), np.uint64(top.size)
    if steps[4]:
        groups = np.uint64(piece[2]), np.uint64(piece[3])
    elif piece[1] <= steps[1] and steps[3] == 1:
        groups = np.uint64(piece[0]), np.uint64(piece[1])
    base, end = offset[groups[0]], offset[groups[1]]
    counts, numbers = np.zeros(2 * (end - base), np.int32), np.empty(BLOCK, np.int32)
    zero, minus_one = x.dtype.type(0), x.dtype.type(-1)
    for row in range(piece[0], piece[1]):
        start, at = _place(row, steps)
        for begin in range(np.uint64(piece[2]), np.uint64(piece[3]), np.uint64(BLOCK)):
            length = min(np.uint64(BLOCK), np.uint64(piece[3]) - begin)
            for i in range(length):
                j = at + begin + i if steps[4] else at
                value = x[start + begin + i]
                number = np.floor(value * factor[j])
                number = minus_one if value < zero and number >= zero else number  # it has underflowed
                place, last = np.int32(_clipped(number - first[j], zero, top[j])), np.int32(top[j])
                place = last + np.int32(3) if value == high[j] else place
                place = last + np.int32(2) if value == zero else place
                numbers[i] = last + np.int32(1) if value == low[j] else place
            for i in range(length):
                j = at + begin + i if steps[4] else at
                counts[np.uint64(2 * (numbers[i] + offset[j] - base)) + (i & np.uint64(1))] += np.int32(1)
    return base, counts
