"""The formulas that specimens replace, and how a function is made with another formula in it.

Where the other formula gives what the plain one here gives, the result is the library's. So a specimen
differs from the library by its mistake and by nothing else, whatever else the library takes care of.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from quantnotes.asymmetric import asymmetric_params
from quantnotes.checks import as_real, compute_type
from quantnotes.grid import INT8, IntGrid
from quantnotes.integer import int_matmul, requantize
from quantnotes.mapping import MIN_SCALE, QuantParams, quantize
from quantnotes.symmetric import symmetric_params

Array = NDArray[Any]
Function = Callable[..., Any]


# --- codes --------------------------------------------------------------------------------------------------


def codes(r: Array, s: Array, z: Array, grid: IntGrid) -> Array:
    """Return the codes of `r`; all in the data's compute type."""
    clipped: Array = np.clip(np.rint(r / s) + z, grid.qmin, grid.qmax)
    return clipped


def quantize_with(formula: Function) -> Function:
    def wrong(x: ArrayLike, params: QuantParams, *, out: Array | None = None) -> Array:
        right = quantize(x, params, out=out)
        parts = (*unpacked(x, params), params.grid)
        return handed_over(_where_other(formula(*parts), codes(*parts), right), right)

    return wrong


def unpacked(x: ArrayLike, params: QuantParams, compute: Any = None) -> tuple[Array, Array, Array]:
    """Return x, S and Z in the data's compute type, or another, with the shape of the data."""
    array = as_real(x)
    compute = compute or compute_type(array.dtype)
    parts = (np.asarray(part).astype(compute) for part in (params.scale, params.zero_point))
    scale, zero = (params.granularity.expand(part, array.shape) for part in parts)
    return array.astype(compute), scale, zero


def handed_over(values: Array, right: Array) -> Array:
    """Write `values` to the place and in the type of the right result."""
    np.copyto(right, values, casting="unsafe")
    return right


def _where_other(other: Array, plain: Array, right: Array) -> Array:
    """Return `other`, but the right result where it is what the plain formula gives."""
    same = (other == plain) | (np.isnan(other) & np.isnan(plain))
    return np.where(same, right, other)


# --- parameters ---------------------------------------------------------------------------------------------


def zero_point(low: Array, high: Array, scale: Array, grid: IntGrid, anchor: str) -> Array:
    """Return Z from the upper end of the range, or from the lower one."""
    return grid.qmax - np.rint(high / scale) if anchor == "max" else grid.qmin - np.rint(low / scale)


def widened(low: Array, high: Array) -> tuple[Array, Array]:
    """Return the ends of a range that holds 0."""
    return np.minimum(low, 0.0), np.maximum(high, 0.0)


def affine(low: Array, high: Array, grid: IntGrid, anchor: str) -> tuple[Array, Array]:
    """Return S and Z of a range, in float64."""
    low, high = widened(low, high)
    scale = (high - low) / (grid.codes - 1)
    return scale, zero_point(low, high, scale, grid, anchor)


def symmetric(low: Array, high: Array, grid: IntGrid) -> tuple[Array, Array]:
    """Return S and Z = 0 of a range, in float64."""
    scale = np.maximum(np.abs(low), np.abs(high)) / grid.qmax
    return scale, np.zeros_like(scale)


def asymmetric_with(formula: Function) -> Function:
    def wrong(
        rmin: ArrayLike,
        rmax: ArrayLike,
        grid: IntGrid = INT8,
        *,
        axis: Any = None,
        anchor: Literal["max", "min"] = "max",
        block_size: Any = None,
    ) -> QuantParams:
        right = asymmetric_params(rmin, rmax, grid, axis=axis, anchor=anchor, block_size=block_size)
        given = (*_ends(rmin, rmax), grid, anchor)
        return _params(formula(*given), affine(*given), right)

    return wrong


def symmetric_with(formula: Function) -> Function:
    def wrong(
        rmin: ArrayLike, rmax: ArrayLike, grid: IntGrid = INT8, *, axis: Any = None, block_size: Any = None
    ) -> QuantParams:
        right = symmetric_params(rmin, rmax, grid, axis=axis, block_size=block_size)
        given = (*_ends(rmin, rmax), grid)
        return _params(formula(*given), symmetric(*given), right)

    return wrong


def _ends(rmin: ArrayLike, rmax: ArrayLike) -> tuple[Array, Array]:
    return as_real(rmin).astype(np.float64), as_real(rmax).astype(np.float64)


def _params(other: tuple[Array, Array], plain: tuple[Array, Array], right: QuantParams) -> QuantParams:
    scale = _where_other(other[0], plain[0], np.asarray(right.scale))
    zero = _where_other(other[1], plain[1], np.asarray(right.zero_point))
    scale = np.clip(scale, MIN_SCALE, np.finfo(np.float64).max)  # anything else would be seen at once
    zero = np.clip(np.where(np.isnan(zero), right.zero_point, zero), right.grid.qmin, right.grid.qmax)
    return QuantParams(scale, zero, right.grid, right.axis, right.block_size)


# --- integers -----------------------------------------------------------------------------------------------


def added(products: Array) -> Array:
    """Return the sums of the products of codes, shape (..., M, K, N), over K."""
    return np.asarray(products.sum(axis=-2))


def matmul_with(formula: Function) -> Function:
    def wrong(
        qx: ArrayLike,
        qw: ArrayLike,
        x_params: QuantParams,
        w_params: QuantParams,
        *,
        bias: ArrayLike | None = None,
    ) -> Array:
        right = int_matmul(qx, qw, x_params, w_params, bias=bias)
        x, w = np.asarray(qx).astype(np.int64), np.asarray(qw).astype(np.int64)
        x, w = (x[None] if x.ndim == 1 else x), (w[:, None] if w.ndim == 1 else w)
        products = x[..., :, :, None] * w[..., None, :, :]
        lost = (added(products) - formula(products)).reshape(right.shape)
        return np.asarray(right - lost).astype(np.int32)

    return wrong


def shifted(product: Array, places: Array) -> Array:
    """Return product / 2**places as an integer, ties to even."""
    odd = (product >> places) & 1
    return np.asarray((product + (np.int64(1) << (places - 1)) - 1 + odd) >> places)


def requantize_with(formula: Function) -> Function:
    def wrong(acc: ArrayLike, m0: ArrayLike, shift: ArrayLike, zero_point: int, grid: IntGrid) -> Array:
        right = requantize(acc, m0, shift, zero_point, grid)
        s = np.asarray(shift).astype(np.int64)
        factor = np.where(s > 31, 0, np.asarray(m0).astype(np.int64))  # nothing is left of larger shifts
        given = np.asarray(acc).astype(np.int64) * factor, np.minimum(s, 31) + 31
        other = np.clip(formula(*given) + zero_point, grid.qmin, grid.qmax)
        plain = np.clip(shifted(*given) + zero_point, grid.qmin, grid.qmax)
        return np.asarray(_where_other(other, plain, right)).astype(right.dtype)

    return wrong


FORMULAS: dict[str, Callable[[Function], Function]] = {
    "quantize": quantize_with,
    "asymmetric_params": asymmetric_with,
    "symmetric_params": symmetric_with,
    "int_matmul": matmul_with,
    "requantize": requantize_with,
}
