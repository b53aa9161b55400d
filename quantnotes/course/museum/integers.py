"""Hall 7, integers: is every product summed, and the accumulator scaled by m and rounded once?"""

from __future__ import annotations

from typing import Any

import numpy as np

from quantnotes.course.museum.cases import Array, Exhibit, Hall
from quantnotes.grid import INT8, UINT8
from quantnotes.integer import matmul_terms, unpack_int4
from quantnotes.mapping import QuantParams

HALL = Hall("integers")

_PLAIN_X, _PLAIN_W = QuantParams(1.0, 0, UINT8), QuantParams(1.0, 0, INT8)
_SX, _SW = QuantParams(0.5, 3, UINT8), QuantParams(0.01, 0, INT8)
WEIGHTS = np.arange(0, 128, 8)
LENGTHS = np.arange(0, 2000, 100)
ZEROS = np.arange(0, 60, 4)
BIASES = np.linspace(-1, 1, 21)
SUMS = np.arange(-10, 11)
POWERS = np.linspace(-4, 4, 33)
NIBBLES = np.arange(16)


def _long(qn: Any) -> Any:
    sums = [qn.int_matmul([255] * n + [1], [127] * n + [1], _PLAIN_X, _PLAIN_W) for n in LENGTHS]
    return np.array(sums, np.int64) - LENGTHS * 255 * 127


def _over_zero_points(zw: int) -> Exhibit:
    def of(qn: Any) -> Any:
        weight = QuantParams(1.0, zw, INT8)
        return [
            qn.int_matmul([60, 70, 80], [1, 2, 3], QuantParams(1.0, int(z), UINT8), weight) for z in ZEROS
        ]

    return Exhibit(of, ZEROS, f"Zx, with Zw = {zw}", "accumulator", dots=True)


def _scaled(m: float) -> Exhibit:
    def of(qn: Any) -> Any:
        m0, shift = qn.fixed_point_multiplier(m)
        return qn.requantize(SUMS, np.clip(m0, 2**30, 2**31 - 1), shift, 0, INT8)

    return Exhibit(of, SUMS, f"accumulator, m = {m:g}", "code", dots=True)


PAIR = Exhibit(
    lambda qn: [qn.int_matmul([255, 255], [w, w], _PLAIN_X, _PLAIN_W) for w in WEIGHTS],
    WEIGHTS,
    "w, in 255 w + 255 w",
    "accumulator",
)
LONG = Exhibit(_long, LENGTHS, "n, in n times 255 * 127, and 1", "accumulator less the products", dots=True)
BIAS = Exhibit(
    lambda qn: qn.quantize_bias(BIASES, _SX, _SW) * (_SX.scale * _SW.scale),
    BIASES,
    "bias, Sx = 0.5",
    "times Sx Sw",
)
MULTIPLIERS = Exhibit(
    lambda qn: [np.log2(float(m0)) - 31 - shift for m0, shift in map(qn.fixed_point_multiplier, 2.0**POWERS)],
    POWERS,
    "log2 of m",
    "log2 of m0 and shift",
)
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


@HALL.replace("int_matmul", PAIR, report="uxlfoundation/oneDNN#518")
def pairs_in_int16(products: Array) -> Any:
    """pairs of products are added in int16, which saturates
    right while codes are small; two products of 255 and 127 give 32767 instead of 64770
    """
    even, odd = products[..., ::2, :], np.zeros_like(products[..., ::2, :])
    odd[..., : products.shape[-2] // 2, :] = products[..., 1::2, :]
    return np.clip(even + odd, -(2**15), 2**15 - 1).sum(axis=-2)


@HALL.replace("int_matmul", LONG)
def sums_in_float32(products: Array) -> Any:
    """the products are summed in float32
    right up to 2**24; beyond, the last bits of long sums are lost
    """
    if not products.shape[-2]:
        return products.sum(axis=-2)
    return np.add.accumulate(products.astype(np.float32), axis=-2)[..., -1, :].astype(np.int64)


@HALL.wrap("int_matmul", _over_zero_points(10))
def fourth_term_forgotten(right: Any, *operands: Any, bias: Any = None) -> Any:
    """the fourth term, K Zx Zw, is forgotten
    right as long as one of the two is symmetric; else every sum is off by the same number
    """
    return (right(*operands, bias=bias) - matmul_terms(*operands).k_zx_zw).astype(np.int32)


@HALL.wrap("int_matmul", _over_zero_points(20))
def zero_points_exchanged(
    right: Any, qx: Any, qw: Any, x_params: Any, w_params: Any, *, bias: Any = None
) -> Any:
    """the two zero points are exchanged in the cross terms
    right if they are equal, and if both are 0
    """
    found = right(qx, qw, x_params, w_params, bias=bias)
    if x_params.axis is not None or w_params.axis is not None:
        return found
    x, w = np.asarray(qx, np.int64), np.asarray(qw, np.int64)
    sums = np.matmul(x - w_params.zero_point, w - x_params.zero_point)
    return np.asarray(sums if bias is None else sums + np.asarray(bias)).astype(np.int32)


@HALL.wrap("quantize_bias", BIAS)
def bias_without_sx(right: Any, bias: Any, x_params: Any, w_params: Any) -> Any:
    """rounded in units of Sw, not of the accumulator's Sx Sw
    right if Sx is 1; else every output is moved by a bias that is Sx times as large as it should be
    """
    right(bias, x_params, w_params)  # the checks
    return right(bias, QuantParams(1.0, 0, x_params.grid), w_params)


@HALL.wrap("fixed_point_multiplier", MULTIPLIERS)
def shift_without_its_sign(right: Any, m: Any) -> Any:
    """the shift loses its sign
    right for m below 1, as nearly all are; an m above 1 becomes a small one
    """
    m0, shift = right(m)
    return m0, abs(shift)


@HALL.wrap("fixed_point_multiplier", _scaled(0.5))
def clamped_at_powers_of_two(right: Any, m: Any) -> Any:
    """the exponent is taken from log2, and m0 clamped to int32 where m is a power of two
    m is too small by 2**-31 there: exact halves are no ties any more, and half of them go down
    """
    m0, shift = right(m)
    power = np.asarray(m0) == 2**30
    m0, shift = np.where(power, 2**31 - 1, m0).astype(np.int32), shift + power
    return (m0, shift) if np.ndim(m) else (np.int32(m0), int(shift))


@HALL.replace("requantize", _scaled(0.07), report="tensorflow/tensorflow#25087")
def rounded_twice(product: Array, places: Array) -> Any:
    """rounds twice: to 31 bits, and after the shift
    what is a little below one half is made one half by the first, and rounded up by the second
    """
    shift = places - 31
    high = (product * 2 ** np.maximum(-shift, 0) + 2**30) >> 31
    return (high + (np.int64(1) << np.maximum(shift, 0) >> 1)) >> np.maximum(shift, 0)


@HALL.replace("requantize", _scaled(0.3))
def shifted_without_rounding(product: Array, places: Array) -> Any:
    """the shift to the right rounds nothing: it is a floor
    all codes are too low by half a step on average, and the mean adds up in the next layer
    """
    return product >> places


@HALL.replace("requantize", _scaled(0.25))
def ties_up(product: Array, places: Array) -> Any:
    """one half is added before the shift: ties go up, not to even
    with exact multipliers, such as powers of two, every other tie is not the float network's
    """
    return (product + (np.int64(1) << (places - 1))) >> places


@HALL.wrap("unpack_int4", UNPACKED, report="onnxruntime/onnxruntime-qnn#728")
def sign_not_extended(right: Any, packed: Any, shape: Any = None, signed: Any = True) -> Any:
    """the sign of four bits is not carried into eight
    right for codes from 0 to 7; -1 comes back as 15
    """
    codes = right(packed, shape, signed=False)
    return codes.astype(np.int8) if signed else codes


@HALL.wrap("pack_int4", PACKED)
def high_half_first(right: Any, codes: Any) -> Any:
    """the first code goes into the high half of the byte
    its own unpacking undoes it; a runtime that reads by ONNX's order finds neighbours exchanged
    """
    packed = right(codes)
    return packed >> 4 | packed << 4
