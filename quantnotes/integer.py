"""A layer in integers: products summed exactly, the zero points corrected, one rounding at the end.

With r = S(q - Z) for the data and for the weight, a layer is ``Sx Sw sum (qx - Zx)(qw - Zw)``: integers,
except the two scales in front, which `fixed_point_multiplier` turns into an integer and a shift.

Not covered: whole networks, and the instructions of any processor. Results are what int32 accumulators give
as long as nothing overflows them.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from quantnotes.checks import as_int, as_integers, as_real, held, nan_error
from quantnotes.convolution import Pads, Pair, Windows, check_shapes, convolve
from quantnotes.granularity import Granularity
from quantnotes.grid import IntGrid, check_grid
from quantnotes.mapping import QuantParams, check_int_params

EXACT = 2**53  # float64 holds every integer up to here
EXACT32 = 2**24  # and float32 up to here
INT32 = np.iinfo(np.int32)
M0_BITS = 31  # m0 has its highest bit at 2**30: as many digits as int32 can give
MIN_SHIFT = 1 - M0_BITS  # the whole shift to the right, 31 + shift, is at least 1: something is rounded off

Array = NDArray[Any]


class MatmulTerms(NamedTuple):
    """The four terms of ``sum (qx - Zx)(qw - Zw)`` over K; made by :func:`matmul_terms`.

    Each is int64 and no larger than what it depends on: they broadcast, and ``sum(terms)`` is the product.

    Attributes
    ----------
    products : ndarray, shape (..., M, N)
        ``sum qx qw``: the matrix product of the codes.
    zw_sum_qx : ndarray, shape (..., M, 1), or (..., M, N) with a zero point for each column of the weight
        ``-Zw sum qx``: depends on the data, and is computed at run time.
    zx_sum_qw : ndarray, shape (1, N), or (..., M, N) with a zero point for each row of the data
        ``-Zx sum qw``: known before inference.
    k_zx_zw : ndarray, shape (), or what the zero points broadcast to
        ``K Zx Zw``: known before inference.

    Examples
    --------
    >>> from quantnotes import UINT8
    >>> params = QuantParams(1.0, 128, UINT8)
    >>> terms = matmul_terms([[128, 130]], [[1], [2]], params, params)
    >>> [term.item() for term in terms], sum(terms).item()
    ([388, -33024, -384, 32768], -252)
    """

    products: Array
    zw_sum_qx: Array
    zx_sum_qw: Array
    k_zx_zw: Array


class _Operands(NamedTuple):
    """Codes as matrices, their zero points as int64 that broadcast against them."""

    x: Array
    w: Array
    zx: Array
    zw: Array
    added: tuple[int, ...]  # axes of the result that are there only because an operand is a vector


def _zero_point(codes: Array, params: QuantParams, k_axis: int, side: str) -> Array:
    name = f"{side}_params"
    _check_unblocked(params, name)
    try:
        zero = params.granularity.expand(np.asarray(params.zero_point, np.int64), codes.shape)
    except ValueError as error:
        raise ValueError(f"{name} do not fit q{side}: {error}") from None
    if params.axis is not None and k_axis in params.granularity.positions(codes.ndim):
        raise ValueError(
            f"{name} has a scale for each index along axis {params.axis}, over which products are summed: "
            "it stays inside the sum and cannot be taken out; use an axis that the result keeps"
        )
    return zero


def _check_unblocked(params: QuantParams, name: str) -> None:
    if params.block_size is not None:
        raise ValueError(
            f"{name} has a scale for each block of {params.block_size} values, which stays inside the sum: "
            "dequantize first"
        )


def _operands(qx: ArrayLike, qw: ArrayLike, x_params: QuantParams, w_params: QuantParams) -> _Operands:
    check_int_params(x_params, "x_params")
    check_int_params(w_params, "w_params")
    x = as_integers(qx, "qx", x_params.grid.qmin, x_params.grid.qmax)
    w = as_integers(qw, "qw", w_params.grid.qmin, w_params.grid.qmax)
    if not x.ndim or not w.ndim:
        raise ValueError(f"qx and qw need an axis to sum over, got shapes {x.shape} and {w.shape}")
    k_axis = max(w.ndim - 2, 0)
    if x.shape[-1] != w.shape[k_axis]:
        raise ValueError(f"qx needs a column for each row of qw, got shapes {x.shape} and {w.shape}")
    zx, zw = _zero_point(x, x_params, x.ndim - 1, "x"), _zero_point(w, w_params, k_axis, "w")
    added = ((-2,) if x.ndim == 1 else ()) + ((-1,) if w.ndim == 1 else ())
    x, w = (x[None] if x.ndim == 1 else x), (w[:, None] if w.ndim == 1 else w)
    try:
        np.broadcast_shapes(x.shape[:-2], w.shape[:-2])
    except ValueError:
        raise ValueError(f"the leading axes of qx and qw do not broadcast: {x.shape} and {w.shape}") from None
    return _Operands(x, w, zx, zw, added)


def _products(x: Array, w: Array) -> Array:
    """Return the matrix product of integers, exactly, as int64.

    BLAS multiplies floats only. float64 holds the integers of a sum as long as it stays within 2**53, so K is
    cut into pieces that do (for 8-bit codes, a single one), and the pieces are added in int64.
    """
    piece = max(EXACT // max(_largest(x) * _largest(w), 1), 1)
    total: Any = 0
    for start in range(0, max(x.shape[-1], 1), piece):
        left = x[..., start : start + piece].astype(np.float64)
        right = w[..., start : start + piece, :].astype(np.float64)
        total = total + np.matmul(left, right).astype(np.int64)
    return np.asarray(total)


def _dropped(term: Array, axes: tuple[int, ...]) -> Array:
    """Remove the axes that `_operands` added to vectors."""
    return np.squeeze(term, axis=axes) if term.ndim else term


def matmul_terms(qx: ArrayLike, qw: ArrayLike, x_params: QuantParams, w_params: QuantParams) -> MatmulTerms:
    """Return the four terms that ``sum (qx - Zx)(qw - Zw)`` is made of, one by one.

    Parameters
    ----------
    qx, qw : array_like of integers, shapes (..., M, K) and (..., K, N)
        Codes of the data and of the weight.
    x_params, w_params : QuantParams
        Their scales, zero points and grids, as in :func:`int_matmul`.

    Returns
    -------
    MatmulTerms
        Of int64: a term may leave int32 where their sum does not.

    Raises
    ------
    TypeError, ValueError
        As :func:`int_matmul`, except for results that leave int32.

    Notes
    -----
    With Zw = 0 the second and the fourth are 0, and the third is added to the bias before inference: zero
    points then cost nothing at run time. B. Jacob et al., "Quantization and Training of Neural Networks for
    Efficient Integer-Arithmetic-Only Inference" (2018), section 2.3.

    Examples
    --------
    >>> from quantnotes import INT4
    >>> terms = matmul_terms([[1, 2]], [[3], [4]], QuantParams(1.0, 1, INT4), QuantParams(1.0, 2, INT4))
    >>> [int(term.squeeze()) for term in terms]
    [11, -6, -7, 4]
    """
    x, w, zx, zw, added = _operands(qx, qw, x_params, w_params)
    sums_x = x.sum(axis=-1, keepdims=True, dtype=np.int64)
    sums_w = w.sum(axis=-2, keepdims=True, dtype=np.int64)
    terms = (_products(x, w), -zw * sums_x, -zx * sums_w, x.shape[-1] * zx * zw)
    return MatmulTerms(*(_dropped(np.asarray(term), added) for term in terms))


def int_matmul(
    qx: ArrayLike,
    qw: ArrayLike,
    x_params: QuantParams,
    w_params: QuantParams,
    *,
    bias: ArrayLike | None = None,
) -> Array:
    """Multiply two matrices of codes, zero points corrected: ``sum (qx - Zx)(qw - Zw)`` over K, exactly.

    Parameters
    ----------
    qx : array_like of integers, shape (..., M, K)
        Codes of the data. Vectors and leading axes are treated as :func:`numpy.matmul` does.
    qw : array_like of integers, shape (..., K, N)
        Codes of the weight.
    x_params, w_params : QuantParams
        Their zero points and grids. A scale for each row of the data (axis M) or each column of the weight
        (axis N, or -1) can be taken out of the sum; one for each index along K cannot.
    bias : array_like of integers, shape (N,), optional
        What :func:`quantize_bias` makes, or any int32 that broadcast against the result; added to it. (The
        sum of two int32 arrays of NumPy would wrap around.)

    Returns
    -------
    ndarray of int32, shape (..., M, N)
        In units of ``Sx * Sw``. Zeros, or the bias, if K is 0.

    Raises
    ------
    TypeError
        If codes or bias are no integers, or parameters no QuantParams.
    ValueError
        If a code is outside its grid or the bias outside int32, shapes do not fit, a scale lies along K or is
        blocked, or a *result*, bias included, leaves int32: the message says how many do, and how far.
        Partial sums may be larger.

    Notes
    -----
    The sums are exact for every grid and K: they are computed in float64, where BLAS is fast, in pieces small
    enough to be exact. ONNX Runtime's MatMulInteger gives the same numbers, and wraps around where a result
    leaves int32.

    Examples
    --------
    >>> from quantnotes import INT4
    >>> int_matmul([[1, 2]], [[3], [4]], QuantParams(1.0, 1, INT4), QuantParams(1.0, 2, INT4))
    array([[2]], dtype=int32)
    >>> int_matmul([[1, 2]], [[3], [4]], QuantParams(1.0, 1, INT4), QuantParams(1.0, 2, INT4), bias=[40])
    array([[42]], dtype=int32)
    """
    x, w, zx, zw, added = _operands(qx, qw, x_params, w_params)
    sums = _dropped(_products(x - zx, w - zw), added)
    return _as_int32(sums if bias is None else sums + _checked_bias(bias, sums.shape), "results")


def int_conv(
    qx: ArrayLike,
    qw: ArrayLike,
    x_params: QuantParams,
    w_params: QuantParams,
    *,
    bias: ArrayLike | None = None,
    strides: Pair = 1,
    pads: Pads = 0,
    dilations: Pair = 1,
    groups: int = 1,
) -> Array:
    """Convolve codes in two dimensions, zero points corrected: ``sum (qx - Zx)(qw - Zw)``, exactly.

    Parameters
    ----------
    qx : array_like of integers, shape (images, channels, height, width)
        Codes of the data.
    qw : array_like of integers, shape (outputs, channels / groups, kernel height, kernel width)
        Codes of the weight.
    x_params : QuantParams
        Zero point and grid of the data, per tensor.
    w_params : QuantParams
        Those of the weight, per tensor or one for each output (``axis=0``).
    bias : array_like of integers, shape (outputs,), optional
        What :func:`quantize_bias` makes; added to the sums.
    strides, dilations : int or tuple of two int, default 1
        Vertical and horizontal, or one for both.
    pads : int, or tuple of two or four int, default 0
        One for all sides; vertical and horizontal; or top, left, bottom and right, as in ONNX. The border
        holds the code Zx, which stands for 0.
    groups : int, default 1
        Each group of outputs reads its own group of channels. As many as channels: a depthwise convolution.

    Returns
    -------
    ndarray of int32, shape (images, outputs, height, width)
        In units of ``Sx * Sw``; ``requantize(..., axis=1)`` makes codes of them.

    Raises
    ------
    TypeError
        If codes or bias are no integers, parameters no QuantParams, or another argument is no integer.
    ValueError
        If a code is outside its grid or the bias outside int32, shapes or groups do not fit, a stride, pad or
        dilation is out of range, a scale cannot be taken out of the sum, or a result leaves int32: the
        message says how many do, and how far.

    Notes
    -----
    The weight is not flipped: as in every framework, this is a cross-correlation. Sums are computed in a
    float type that holds them exactly. ONNX Runtime's ConvInteger gives the same numbers.

    Examples
    --------
    >>> from quantnotes import UINT8
    >>> params = QuantParams(1.0, 10, UINT8)
    >>> int_conv([[[[11, 12, 13]]]], [[[[11, 11, 11]]]], params, params, pads=(0, 1)).tolist()
    [[[[3, 6, 5]]]]
    """
    check_int_params(x_params, "x_params")
    check_int_params(w_params, "w_params")
    x = as_integers(qx, "qx", x_params.grid.qmin, x_params.grid.qmax)
    w = as_integers(qw, "qw", w_params.grid.qmin, w_params.grid.qmax)
    groups = check_shapes(x.shape, w.shape, groups, ("qx", "qw"))
    windows = Windows.of(w.shape[2:], strides, pads, dilations)
    _check_unblocked(x_params, "x_params")
    _check_unblocked(w_params, "w_params")
    if x_params.axis is not None or w_params.granularity.positions(4) not in ((), (0,)):
        raise ValueError(
            "x_params must be per tensor, and w_params per tensor or with axis=0: another scale stays inside "
            f"the sum and cannot be taken out; got axis={x_params.axis} and axis={w_params.axis}"
        )
    x = x.astype(np.int32) - np.int32(x_params.zero_point)
    w = w.astype(np.int32) - w_params.granularity.expand(np.asarray(w_params.zero_point, np.int32), w.shape)
    farthest = int(np.abs(w).sum(axis=(1, 2, 3), dtype=np.int64).max(initial=0)) * _largest(x)
    exact = _exact_type(farthest)
    sums = convolve(x.astype(exact), w.astype(exact), windows, groups)
    if bias is not None:
        added = as_integers(bias, "bias", INT32.min, INT32.max, "quantize_bias").astype(np.int64)
        if added.shape != w.shape[:1]:
            raise ValueError(f"bias must have shape ({len(w)},), one for each output, got {added.shape}")
        sums = sums.astype(np.int64) + added[:, None, None]
    return _as_int32(sums, "results")


def _largest(values: Array) -> int:
    return max(abs(int(values.min())), abs(int(values.max()))) if values.size else 0


def _exact_type(bound: int) -> Any:
    """Return the fastest type that holds every integer up to `bound`: BLAS multiplies floats only."""
    return np.float32 if bound <= EXACT32 else np.float64 if bound <= EXACT else np.int64


def _checked_bias(bias: ArrayLike, shape: tuple[int, ...]) -> Array:
    array = as_integers(bias, "bias", INT32.min, INT32.max, "quantize_bias").astype(np.int64)
    try:
        return np.broadcast_to(array, shape)
    except ValueError:
        raise ValueError(f"bias must broadcast to the result, {shape}, got shape {array.shape}") from None


def _as_int32(values: Array, what: str) -> Array:
    """Cast integers, or floats that hold some, to int32.

    Raises
    ------
    ValueError
        If any is outside.
    """
    outside = (values < INT32.min) | (values > INT32.max)
    count = int(np.count_nonzero(outside))
    if count:
        low, high = min(values.min(), 0), max(values.max(), 0)
        beyond, end = max((INT32.min - float(low), low), (float(high) - INT32.max, high))
        raise ValueError(
            f"{count} of {values.size} {what} leave int32: the farthest, {end:.0f}, by {beyond:.0f}"
        )
    return values.astype(np.int32)


def quantize_bias(bias: ArrayLike, x_params: QuantParams, w_params: QuantParams) -> Array:
    """Turn a bias into int32 with the scale ``Sx * Sw`` of the accumulator, to which it is added.

    Parameters
    ----------
    bias : array_like of real numbers, shape (..., N)
        One for each output.
    x_params : QuantParams
        Of the data, per tensor: a bias has one scale for all rows.
    w_params : QuantParams
        Of the weight, per tensor, or with one scale for each of the N outputs.

    Returns
    -------
    ndarray of int32, shape of `bias`
        ``rint(bias / (Sx * Sw))``, computed in float64, ties to even. There is no zero point.

    Raises
    ------
    TypeError
        If `bias` holds no real numbers.
    ValueError
        If it holds NaN, has another number of channels than the weight, leaves int32 (the message says how
        many values and how far), `x_params` is per channel, the weight is blocked, or Sx * Sw is no float64.

    Examples
    --------
    >>> from quantnotes import INT8
    >>> quantize_bias([1.0, -0.3], QuantParams(0.5, 3, INT8), QuantParams(0.25, 0, INT8))
    array([ 8, -2], dtype=int32)
    """
    check_int_params(x_params, "x_params")
    check_int_params(w_params, "w_params")
    if x_params.axis is not None:
        raise ValueError(
            f"x_params must be per tensor, got a scale for each index along axis {x_params.axis}: "
            "add such a bias after the accumulator has been scaled"
        )
    _check_unblocked(w_params, "w_params")
    reals = as_real(bias, "bias").astype(np.float64)
    if np.isnan(reals).any():
        raise nan_error(reals, "bias", "replace them first")
    with np.errstate(over="ignore"):
        scale = x_params.scale * np.asarray(w_params.scale)
    if not np.isfinite(scale).all():
        raise ValueError(f"the accumulator's scale, {x_params.scale!r} * {w_params.scale!r}, is no float64")
    if scale.ndim and (not reals.ndim or reals.shape[-1] != scale.size):
        raise ValueError(
            f"bias must have, along its last axis, the {scale.size} channels of w_params, "
            f"got shape {reals.shape}"
        )
    with np.errstate(over="ignore"):
        return _as_int32(np.rint(reals / scale), "values")


def fixed_point_multiplier(m: ArrayLike) -> tuple[Any, Any]:
    """Write a real multiplier as an integer and a shift: ``m`` is nearly ``m0 * 2**-31 * 2**-shift``.

    Parameters
    ----------
    m : float, or array_like of shape (channels,)
        Usually ``Sx * Sw / Sy``: positive, and below ``2**30``.

    Returns
    -------
    m0 : int32, or ndarray of int32
        In ``[2**30, 2**31)``, rounded to the nearest: within a relative ``2**-31`` of `m`.
    shift : int, or ndarray of int64
        To the right if positive, to the left if negative (for an `m` of 1 or more).

    Raises
    ------
    TypeError
        If `m` holds no real numbers, or booleans.
    ValueError
        If an `m` is not finite, not positive, or rounds to ``2**30`` or more; or if `m` has two axes.

    Notes
    -----
    The convention of gemmlowp and TFLite. A tiny `m` is no error: from a shift of 32 on :func:`requantize`
    gives the zero point for every int32.

    Examples
    --------
    >>> m0, shift = fixed_point_multiplier(0.3)
    >>> int(m0), shift, float(m0 * 2.0**-31 * 2.0**-shift)
    (1288490189, 1, 0.30000000004656613)
    """
    reals = as_real(m, "m")
    if reals.dtype.kind == "b":
        raise TypeError(f"m must be a number, got {m!r}")
    reals = reals.astype(np.float64)
    if reals.ndim > 1:
        raise ValueError(f"m must be a number or 1-D, one a channel, got shape {reals.shape}")
    if not (np.isfinite(reals) & (reals > 0)).all():
        raise ValueError(f"m must be positive and finite, got {m!r}")
    fraction, exponent = np.frexp(reals)
    m0 = np.rint(np.ldexp(fraction, M0_BITS)).astype(np.int64)
    carry = m0 >> M0_BITS  # a fraction next to 1 rounds up to it
    m0, shift = (m0 >> carry).astype(np.int32), -(exponent.astype(np.int64) + carry)
    if (shift < MIN_SHIFT).any():
        raise ValueError(f"m must be below 2**{-MIN_SHIFT}, got {m!r}: it would send everything to the ends")
    return (m0, shift) if reals.ndim else (np.int32(m0), int(shift))


def requantize(
    acc: ArrayLike, m0: ArrayLike, shift: ArrayLike, zero_point: int, grid: IntGrid, *, axis: int = -1
) -> Array:
    """Scale an accumulator down to codes: ``clip(round(acc * m0 * 2**-31 * 2**-shift) + Z)``, in integers.

    Parameters
    ----------
    acc : array_like of integers
        Any int32, with the bias added.
    m0, shift : int, or array_like of integers, shape (channels,)
        As :func:`fixed_point_multiplier` makes them.
    zero_point : int
        Z of the result.
    grid : IntGrid
        The codes that the result may use.
    axis : int, default -1
        The axis of `acc` that `m0` and `shift` go along, where they are arrays: -1 after :func:`int_matmul`,
        1 after :func:`int_conv`.

    Returns
    -------
    ndarray of ``grid.dtype``, shape of `acc`

    Raises
    ------
    TypeError
        If an argument holds no integers, or `grid` is no IntGrid.
    ValueError
        If `acc` leaves int32, `m0` is outside ``2**30 .. 2**31 - 1``, `shift` is below -30, `zero_point` is
        outside the grid, or `acc` lacks the axis or has another number of channels there.

    Notes
    -----
    The product takes 63 bits, its sign included, and is exact in int64. It is rounded *once*, ties to even,
    and Z is added after that: where the multiplier is exact this is :func:`quantize` of the scaled
    accumulator. (gemmlowp rounds twice, and its ties go away from zero.) No floating-point number is used.

    Examples
    --------
    >>> from quantnotes import INT8
    >>> m0, shift = fixed_point_multiplier(0.5)
    >>> requantize([-3, -1, 1, 3, 1000], m0, shift, 10, INT8)  # -1.5, -0.5, 0.5, 1.5, 500
    array([  8,  10,  10,  12, 127], dtype=int8)
    """
    check_grid(grid)
    sums = as_integers(acc, "acc", INT32.min, INT32.max).astype(np.int64)
    factor = as_integers(m0, "m0", 2 ** (M0_BITS - 1), 2**M0_BITS - 1, "fixed_point_multiplier")
    right = as_integers(shift, "shift", MIN_SHIFT, 2**31).astype(np.int64)
    zero = as_integers(zero_point, "zero_point", grid.qmin, grid.qmax).astype(np.int64)
    factor, right = _along(factor, right, sums.shape, axis)
    if zero.ndim:
        raise ValueError(f"zero_point must be one integer, got shape {zero.shape}")
    # From a shift of 32 on the product is below one half, so 0; int64 has no shift that large.
    factor = np.where(right > M0_BITS, 0, factor.astype(np.int64))
    right = np.minimum(right, M0_BITS) + M0_BITS
    codes = sums * factor
    odd = (codes >> right) & 1  # 1 where the last bit that stays is odd: a tie goes up there
    codes += (np.int64(1) << (right - 1)) - 1
    codes += odd
    codes >>= right
    codes += zero
    clipped: Array = np.clip(codes, grid.qmin, grid.qmax).astype(grid.dtype)
    return clipped


def common_multipliers(ms: ArrayLike) -> tuple[Array, int]:
    """Write several real multipliers as integers with one shift: ``m`` is nearly ``f * 2**-31 * 2**-shift``.

    Parameters
    ----------
    ms : array_like, shape (terms,)
        Usually ``Si / Sy`` of what is added up: positive, and below ``2**30``.

    Returns
    -------
    factors : ndarray of int64, shape (terms,), read-only
        The largest is in ``[2**30, 2**31]``: all are within ``2**-32`` of it.
    shift : int
        To the right if positive, to the left if negative.

    Raises
    ------
    TypeError
        If `ms` holds no real numbers, or booleans.
    ValueError
        If `ms` is not 1-D or empty, or one is not positive and finite, or ``2**30`` or more.

    Examples
    --------
    >>> factors, shift = common_multipliers([0.5, 0.125])
    >>> factors.tolist(), shift
    ([1073741824, 268435456], 0)
    """
    reals = as_real(ms, "ms")
    if reals.ndim != 1 or not reals.size:
        raise ValueError(f"ms must be 1-D, a multiplier for each term, got shape {reals.shape}")
    fixed_point_multiplier(reals)  # raises where one is none
    shift = -int(np.frexp(reals.max())[1])
    factors = np.rint(np.ldexp(reals.astype(np.float64), M0_BITS + shift)).astype(np.int64)
    factors.flags.writeable = False
    return factors, shift


def requantize_sum(
    sums: Sequence[ArrayLike],
    factors: ArrayLike,
    shift: int,
    zero_point: int,
    grid: IntGrid,
    *,
    divisor: ArrayLike = 1,
) -> Array:
    """Turn integers of several scales into codes of their sum: ``clip(round(sum m n / divisor) + Z)``.

    A residual addition has two terms; a concatenation one for each part; an average pooling one, which it
    divides by how many values it has added up.

    Parameters
    ----------
    sums : sequence of array_like of integers
        One array for each term, in int32, zero points already subtracted; they broadcast.
    factors, shift : array_like of integers, int
        As :func:`common_multipliers` makes them.
    zero_point : int
        Z of the result.
    grid : IntGrid
        The codes that the result may use.
    divisor : int, or array_like of integers, default 1
        Positive; broadcasts against the sums.

    Returns
    -------
    ndarray of ``grid.dtype``

    Raises
    ------
    TypeError
        If an argument holds no integers, or `grid` is no IntGrid.
    ValueError
        If there is not one factor for each term, a number is out of range, shapes do not broadcast, or a sum
        could leave 62 bits.

    Notes
    -----
    Rounded *once*, ties to even, as :func:`requantize` does.

    Examples
    --------
    >>> from quantnotes import INT8
    >>> factors, shift = common_multipliers([1.0, 0.5])
    >>> requantize_sum([[10, 20, 30], [1, 2, 3]], factors, shift, 0, INT8)  # 10.5, 21, 31.5
    array([10, 21, 32], dtype=int8)
    """
    check_grid(grid)
    terms = [as_integers(n, "sums", INT32.min, INT32.max).astype(np.int64) for n in sums]
    each = as_integers(factors, "factors", 0, 2**M0_BITS).astype(np.int64)
    zero = as_integers(zero_point, "zero_point", grid.qmin, grid.qmax).astype(np.int64)
    right = M0_BITS + as_int(shift, "shift")
    parts = as_integers(divisor, "divisor", 1, 2**62).astype(np.int64)
    if each.shape != (len(terms),) or not terms:
        raise ValueError(f"factors must be 1-D, one for each of {len(terms)} sums, got shape {each.shape}")
    if right < 1:
        raise ValueError(f"shift must be at least {MIN_SHIFT}, got {shift}")
    if sum(_largest(n) * int(f) for n, f in zip(terms, each, strict=True)) >= 2**62:
        raise ValueError("the sum of the terms, each times its factor, could leave 62 bits: use fewer terms")
    total = terms[0] * each[0]
    for n, factor in zip(terms[1:], each[1:], strict=True):
        total = total + n * factor
    # Where the divisor would leave 62 bits the quotient is below one half, so 0.
    small = parts > (2**62 >> right)
    whole = np.where(small, 1, parts) << min(right, 62)
    codes, rest = np.divmod(np.where(small, 0, total), whole)
    up = rest - whole // 2  # positive above the middle, 0 at a tie
    codes = codes + ((up > 0) | ((up == 0) & (codes % 2 == 1))) + zero
    return np.asarray(np.clip(codes, grid.qmin, grid.qmax).astype(grid.dtype))


def _along(m0: Array, shift: Array, shape: tuple[int, ...], axis: int) -> tuple[Array, Array]:
    """Return multipliers so that they broadcast along an axis of an accumulator of a shape."""
    if m0.shape != shift.shape or m0.ndim > 1:
        raise ValueError(
            f"m0 and shift must be integers, or 1-D of one shape, got {m0.shape} and {shift.shape}"
        )
    if not m0.ndim:
        return m0, shift
    if not shape:
        raise ValueError(f"acc has no axis for the {m0.size} channels of m0")
    place = Granularity.of(as_int(axis, "axis")).positions(len(shape))[0]
    if shape[place] != m0.size:
        where = "the last axis" if place == len(shape) - 1 else f"axis {axis}"
        raise ValueError(f"m0 has {m0.size} channels, {where} of acc {shape[place]}")
    wanted = [-1 if i == place else 1 for i in range(len(shape))]
    return m0.reshape(wanted), shift.reshape(wanted)


def pack_int4(codes: ArrayLike) -> Array:
    """Pack 4-bit codes two to a byte, the first one into the low half, as ONNX does.

    Parameters
    ----------
    codes : array_like of integers
        All of -8..7 or all of 0..15, any shape; read row by row.

    Returns
    -------
    ndarray of uint8, shape ((size + 1) // 2,)
        With an odd number of codes the last high half is 0.

    Raises
    ------
    TypeError
        If `codes` holds no integers.
    ValueError
        If they are neither INT4 nor UINT4.

    Examples
    --------
    >>> [hex(byte) for byte in pack_int4([1, 2, -1])]
    ['0x21', '0xf']
    """
    array = as_integers(codes, "codes", -(2**63), 2**64)
    low, high = (int(array.min()), int(array.max())) if array.size else (0, 0)
    if not (low >= -8 and high <= 7) and not (low >= 0 and high <= 15):
        raise ValueError(f"codes must lie in -8..7 or in 0..15, got {held(low, high)}")
    halves = np.zeros(array.size + array.size % 2, np.uint8)
    halves[: array.size] = array.reshape(-1).astype(np.uint8) & 15
    return halves[::2] | halves[1::2] << 4


def unpack_int4(packed: ArrayLike, shape: int | Sequence[int] | None = None, signed: bool = True) -> Array:
    """Undo :func:`pack_int4`.

    Parameters
    ----------
    packed : bytes, or array_like of integers, shape (bytes,)
        As read from a file, or integers 0 to 255.
    shape : int or sequence of int, optional
        Shape of the codes; their number may be odd. Without it: 1-D, two codes from every byte.
    signed : bool, default True
        INT4, -8..7, or UINT4, 0..15: the bytes do not tell which.

    Returns
    -------
    ndarray of int8, or of uint8 if not `signed`

    Raises
    ------
    TypeError
        If `packed` holds no integers.
    ValueError
        If it is not 1-D, holds no bytes, or does not hold as many codes as `shape` asks for.

    Examples
    --------
    >>> unpack_int4([0x21, 0x0F], 3)
    array([ 1,  2, -1], dtype=int8)
    >>> unpack_int4([0x21, 0x0F], (2, 2), signed=False)
    array([[ 1,  2],
           [15,  0]], dtype=uint8)
    """
    octets = np.frombuffer(packed, np.uint8) if isinstance(packed, bytes) else packed
    array = as_integers(octets, "packed", 0, 255)
    if array.ndim != 1:
        raise ValueError(f"packed must be 1-D, got shape {array.shape}")
    wanted = _shape(2 * array.size if shape is None else shape)
    size = math.prod(wanted)
    if (size + 1) // 2 != array.size:
        held = f"{2 * array.size - 1} or {2 * array.size}" if array.size else "0"
        raise ValueError(f"{array.size} bytes hold {held} codes, shape {wanted} has {size}")
    halves = array.astype(np.uint8)
    codes = np.stack([halves & 15, halves >> 4], axis=-1).reshape(-1)[:size].reshape(wanted)
    return ((codes ^ 8).astype(np.int8) - np.int8(8)) if signed else codes


def _shape(shape: int | Sequence[int]) -> tuple[int, ...]:
    sizes = shape if isinstance(shape, Sequence) else (shape,)
    try:
        wanted = tuple(operator.index(size) for size in sizes)
    except TypeError:
        raise TypeError(f"shape must be an integer or a sequence of them, got {shape!r}") from None
    if any(size < 0 for size in wanted):
        raise ValueError(f"shape must not be negative, got {shape!r}")
    return wanted
