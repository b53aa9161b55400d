"""Hall 7, integers, first room: is every product summed, and every zero point taken out?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from quantnotes.course.museum.cases import Array, Exhibit, specimen
from quantnotes.grid import INT8, UINT8
from quantnotes.integer import int_matmul, matmul_terms, quantize_bias
from quantnotes.mapping import QuantParams

_PLAIN_X, _PLAIN_W = QuantParams(1.0, 0, UINT8), QuantParams(1.0, 0, INT8)
WEIGHTS = np.arange(0, 128, 8)
PAIR = Exhibit(
    lambda qn: [qn.int_matmul([255, 255], [w, w], _PLAIN_X, _PLAIN_W) for w in WEIGHTS],
    WEIGHTS,
    "w, in 255 w + 255 w",
    "accumulator",
)
LENGTHS = np.arange(0, 2000, 100)
LONG = Exhibit(
    lambda qn: [
        int(qn.int_matmul([255] * n + [1], [127] * n + [1], _PLAIN_X, _PLAIN_W)) - n * 255 * 127
        for n in LENGTHS
    ],
    LENGTHS,
    "n, in n times 255 * 127, and 1",
    "accumulator less the products",
    dots=True,
)
ZEROS = np.arange(0, 60, 4)


def _over_zero_points(zw: int) -> Exhibit:
    def of(qn: Any) -> Any:
        weight = QuantParams(1.0, zw, INT8)
        return [
            qn.int_matmul([60, 70, 80], [1, 2, 3], QuantParams(1.0, int(z), UINT8), weight) for z in ZEROS
        ]

    return Exhibit(of, ZEROS, f"Zx, with Zw = {zw}", "accumulator", dots=True)


BIASES = np.linspace(-1, 1, 21)
_SX, _SW = QuantParams(0.5, 3, UINT8), QuantParams(0.01, 0, INT8)
BIAS = Exhibit(
    lambda qn: qn.quantize_bias(BIASES, _SX, _SW) * (_SX.scale * _SW.scale),
    BIASES,
    "bias, Sx = 0.5",
    "times Sx Sw",
)


@specimen(
    "integers",
    "int_matmul",
    mistake="pairs of products are added in int16, which saturates",
    effect="right while codes are small; two products of 255 and 127 give 32767 in the place of 64770",
    exhibit=PAIR,
    report="uxlfoundation/oneDNN#518",
)
def pairs_in_int16(
    qx: ArrayLike,
    qw: ArrayLike,
    x_params: QuantParams,
    w_params: QuantParams,
    *,
    bias: ArrayLike | None = None,
) -> Array:
    def add(products: Array) -> Array:
        if products.shape[-2] % 2:
            products = np.concatenate([products, np.zeros_like(products[..., :1, :])], axis=-2)
        pairs = products[..., ::2, :] + products[..., 1::2, :]
        return np.asarray(np.clip(pairs, -(2**15), 2**15 - 1).sum(axis=-2))

    return with_products(qx, qw, x_params, w_params, bias, add)


@specimen(
    "integers",
    "int_matmul",
    mistake="the products are summed in float32",
    effect="right up to 2**24; beyond, the last bits of long sums are lost",
    exhibit=LONG,
)
def sums_in_float32(
    qx: ArrayLike,
    qw: ArrayLike,
    x_params: QuantParams,
    w_params: QuantParams,
    *,
    bias: ArrayLike | None = None,
) -> Array:
    def add(products: Array) -> Array:
        running = np.add.accumulate(products.astype(np.float32), axis=-2)
        return running[..., -1, :].astype(np.int64) if products.shape[-2] else products.sum(axis=-2)

    return with_products(qx, qw, x_params, w_params, bias, add)


@specimen(
    "integers",
    "int_matmul",
    mistake="the fourth term, K Zx Zw, is forgotten",
    effect="right as long as one of the two is symmetric; else every sum is off by the same number",
    exhibit=_over_zero_points(10),
)
def fourth_term_forgotten(
    qx: ArrayLike,
    qw: ArrayLike,
    x_params: QuantParams,
    w_params: QuantParams,
    *,
    bias: ArrayLike | None = None,
) -> Array:
    right = int_matmul(qx, qw, x_params, w_params, bias=bias)
    return (right - matmul_terms(qx, qw, x_params, w_params).k_zx_zw).astype(np.int32)


@specimen(
    "integers",
    "int_matmul",
    mistake="the two zero points are exchanged in the cross terms",
    effect="right if they are equal, and if both are 0",
    exhibit=_over_zero_points(20),
)
def zero_points_exchanged(
    qx: ArrayLike,
    qw: ArrayLike,
    x_params: QuantParams,
    w_params: QuantParams,
    *,
    bias: ArrayLike | None = None,
) -> Array:
    right = int_matmul(qx, qw, x_params, w_params, bias=bias)
    if x_params.axis is not None or w_params.axis is not None:
        return right
    x = np.asarray(qx).astype(np.int64) - w_params.zero_point
    w = np.asarray(qw).astype(np.int64) - x_params.zero_point
    return np.asarray(np.matmul(x, w) + (0 if bias is None else np.asarray(bias))).astype(np.int32)


@specimen(
    "integers",
    "quantize_bias",
    mistake="rounded in units of Sw, not of the accumulator's Sx Sw",
    effect="right if Sx is 1; else every output is moved by a bias that is Sx times as large as it should be",
    exhibit=BIAS,
)
def bias_without_sx(bias: ArrayLike, x_params: QuantParams, w_params: QuantParams) -> Array:
    quantize_bias(bias, x_params, w_params)
    units = QuantParams(1.0, 0, x_params.grid)
    return quantize_bias(bias, units, w_params)


# --- right steps --------------------------------------------------------------------------------------------


def with_products(
    qx: ArrayLike,
    qw: ArrayLike,
    x_params: QuantParams,
    w_params: QuantParams,
    bias: ArrayLike | None,
    add: Callable[[Array], Array],
) -> Array:
    """Return what int_matmul gives if the products of codes, shape (..., M, K, N), are summed by `add`."""
    right = int_matmul(qx, qw, x_params, w_params, bias=bias)
    x, w = np.asarray(qx).astype(np.int64), np.asarray(qw).astype(np.int64)
    x, w = (x[None] if x.ndim == 1 else x), (w[:, None] if w.ndim == 1 else w)
    products = x[..., :, :, None] * w[..., None, :, :]
    lost = (products.sum(axis=-2) - add(products)).reshape(right.shape)
    return np.asarray(right - lost).astype(np.int32)
