"""Hall 7, integers, second room: is the accumulator scaled by m, and rounded once?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from quantnotes.course.museum.cases import Array, Exhibit, specimen
from quantnotes.grid import INT8, IntGrid
from quantnotes.integer import fixed_point_multiplier, pack_int4, requantize, unpack_int4

SUMS = np.arange(-10, 11)


def _scaled(m: float) -> Exhibit:
    def of(qn: Any) -> Any:
        m0, shift = qn.fixed_point_multiplier(m)
        return qn.requantize(SUMS, np.clip(m0, 2**30, 2**31 - 1), shift, 0, INT8)

    return Exhibit(of, SUMS, f"accumulator, m = {m:g}", "code", dots=True)


POWERS = np.linspace(-4, 4, 33)
MULTIPLIERS = Exhibit(
    lambda qn: [np.log2(float(m0)) - 31 - shift for m0, shift in map(qn.fixed_point_multiplier, 2.0**POWERS)],
    POWERS,
    "log2 of m",
    "log2 of m0 and shift",
)
NIBBLES = np.arange(16)
UNPACKED = Exhibit(
    lambda qn: qn.unpack_int4(NIBBLES)[::2], NIBBLES, "half a byte", "code, -8 to 7", dots=True
)
PACKED = Exhibit(
    lambda qn: unpack_int4(qn.pack_int4(NIBBLES), 16, signed=False),
    NIBBLES,
    "codes 0 to 15, in this order",
    "code after packing and unpacking",
    dots=True,
)


@specimen(
    "integers",
    "fixed_point_multiplier",
    mistake="the shift loses its sign",
    effect="right for m below 1, as nearly all are; an m above 1 becomes a small one",
    exhibit=MULTIPLIERS,
)
def shift_without_its_sign(m: ArrayLike) -> tuple[Any, Any]:
    m0, shift = fixed_point_multiplier(m)
    return m0, abs(shift)


@specimen(
    "integers",
    "fixed_point_multiplier",
    mistake="the exponent is taken from log2, and m0 clamped to int32 where m is a power of two",
    effect="m is too small by 2**-31 there: exact halves are no ties any more, and half of them go down",
    exhibit=_scaled(0.5),
)
def clamped_at_powers_of_two(m: ArrayLike) -> tuple[Any, Any]:
    m0, shift = fixed_point_multiplier(m)
    power = np.asarray(m0) == 2**30
    m0, shift = np.where(power, 2**31 - 1, m0).astype(np.int32), shift + power
    return (m0, shift) if np.ndim(m) else (np.int32(m0), int(shift))


@specimen(
    "integers",
    "requantize",
    mistake="rounds twice: to 31 bits, and after the shift",
    effect="what is a little below one half is made one half by the first, and rounded up by the second",
    exhibit=_scaled(0.07),
    report="tensorflow/tensorflow#25087",
)
def rounded_twice(acc: ArrayLike, m0: ArrayLike, shift: ArrayLike, zero_point: int, grid: IntGrid) -> Array:
    right = requantize(acc, m0, shift, zero_point, grid)
    product = np.asarray(acc).astype(np.int64) * np.asarray(m0).astype(np.int64)
    s = np.asarray(shift).astype(np.int64)
    high = (product * 2 ** np.maximum(-s, 0) + 2**30) >> 31
    places = np.clip(s, 0, 32)
    nudge = np.where(places > 0, np.int64(1) << np.maximum(places - 1, 0), 0)
    return _clipped(((high + nudge) >> places) + zero_point, grid, right)


@specimen(
    "integers",
    "requantize",
    mistake="the shift to the right rounds nothing: it is a floor",
    effect="all codes are too low by half a step on average, and the mean adds up in the next layer",
    exhibit=_scaled(0.3),
)
def shifted_without_rounding(
    acc: ArrayLike, m0: ArrayLike, shift: ArrayLike, zero_point: int, grid: IntGrid
) -> Array:
    right = requantize(acc, m0, shift, zero_point, grid)
    product, places = product_of(acc, m0, shift)
    return _clipped((product >> places) + zero_point, grid, right)


@specimen(
    "integers",
    "requantize",
    mistake="one half is added before the shift: ties go up, not to even",
    effect="with exact multipliers, such as powers of two, every other tie is not the float network's",
    exhibit=_scaled(0.25),
)
def ties_up(acc: ArrayLike, m0: ArrayLike, shift: ArrayLike, zero_point: int, grid: IntGrid) -> Array:
    right = requantize(acc, m0, shift, zero_point, grid)
    product, places = product_of(acc, m0, shift)
    return _clipped(((product + (np.int64(1) << (places - 1))) >> places) + zero_point, grid, right)


@specimen(
    "integers",
    "unpack_int4",
    mistake="the sign of four bits is not carried into eight",
    effect="right for codes from 0 to 7; -1 comes back as 15",
    exhibit=UNPACKED,
    report="onnxruntime/onnxruntime-qnn#728",
)
def sign_not_extended(
    packed: ArrayLike, shape: int | Sequence[int] | None = None, signed: bool = True
) -> Array:
    codes = unpack_int4(packed, shape, signed=False)
    return codes.astype(np.int8) if signed else codes


@specimen(
    "integers",
    "pack_int4",
    mistake="the first code goes into the high half of the byte",
    effect="its own unpacking undoes it; a runtime that reads by ONNX's order finds neighbours exchanged",
    exhibit=PACKED,
)
def high_half_first(codes: ArrayLike) -> Array:
    packed = pack_int4(codes)
    return packed >> 4 | packed << 4


# --- right steps --------------------------------------------------------------------------------------------


def product_of(acc: ArrayLike, m0: ArrayLike, shift: ArrayLike) -> tuple[Array, Array]:
    """Return acc * m0 and by how much to shift it, none of it where nothing would be left."""
    s = np.asarray(shift).astype(np.int64)
    factor = np.where(s > 31, 0, np.asarray(m0).astype(np.int64))
    return np.asarray(acc).astype(np.int64) * factor, np.minimum(s, 31) + 31


def _clipped(codes: Array, grid: IntGrid, right: Array) -> Array:
    return np.asarray(np.clip(codes, grid.qmin, grid.qmax)).astype(right.dtype)
