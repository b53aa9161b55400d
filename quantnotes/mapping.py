"""The mapping r = S(q - Z): reals to codes and back (the note, section 1).

`QuantParams` holds S and Z for a tensor, or one pair a channel. How they are chosen is not decided
here: see :mod:`quantnotes.asymmetric` and :mod:`quantnotes.symmetric`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from quantnotes import kernels
from quantnotes.grid import IntGrid
from quantnotes.ranges import FLOAT32, Range, as_integers, as_real, channel_axis, compute_type, nan_error

MIN_SCALE = 2.0**-126  # the smallest normal float32: below it the scale itself would lose bits

Array = NDArray[Any]


def _frozen(values: Array) -> Array:
    values = values.copy()
    values.flags.writeable = False
    return values


@dataclass(frozen=True, eq=False)
class QuantParams:
    """Scale S and zero point Z of a tensor, or one pair for each channel, on a grid.

    Parameters
    ----------
    scale : float or array_like of shape (channels,)
        S, in the unit of the data for one code; finite and at least 2**-126.
    zero_point : int or array_like of shape (channels,)
        Z, the code that stands for 0; an integer of the grid.
    grid : IntGrid
        The codes that may be used.
    axis : int, optional
        The channel axis. None: one S and one Z for the whole tensor.

    Raises
    ------
    TypeError
        If `grid` is not an IntGrid, or a parameter holds no real numbers.
    ValueError
        If a scale is not positive and finite, a zero point is no integer or outside the grid, or the
        shapes do not fit `axis`.

    Examples
    --------
    >>> params = QuantParams(0.5, 1, IntGrid(-4, 3))
    >>> params.range
    Range(rmin=-2.5, rmax=1.0)
    """

    scale: Any  # float, or float64 (channels,)
    zero_point: Any  # int, or int64 (channels,)
    grid: IntGrid
    axis: int | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.grid, IntGrid):
            raise TypeError(f"grid must be an IntGrid, got {self.grid!r}")
        scale = as_real(self.scale, "scale").astype(np.float64)
        zero = as_real(self.zero_point, "zero_point")
        self._check_shapes(scale, zero)
        if not (np.isfinite(scale) & (scale >= MIN_SCALE)).all():
            raise ValueError(f"scale must be finite and at least 2**-126, got {self.scale!r}")
        if not (np.isfinite(zero) & (zero == np.rint(zero))).all():
            raise ValueError(f"zero_point must be an integer, got {self.zero_point!r}")
        if not ((zero >= self.grid.qmin) & (zero <= self.grid.qmax)).all():
            raise ValueError(
                f"zero_point must be between {self.grid.qmin} and {self.grid.qmax}, got {self.zero_point!r}: "
                "a range that holds 0 puts it there"
            )
        whole = zero.astype(np.int64)
        object.__setattr__(self, "scale", float(scale) if self.axis is None else _frozen(scale))
        object.__setattr__(self, "zero_point", int(whole) if self.axis is None else _frozen(whole))

    def _check_shapes(self, scale: Array, zero: Array) -> None:
        if self.axis is None:
            if scale.ndim or zero.ndim:
                raise ValueError("several scales or zero points need axis=, the channel axis they belong to")
            return
        object.__setattr__(self, "axis", _axis_number(self.axis))
        if scale.ndim != 1 or zero.shape != scale.shape or not scale.size:
            raise ValueError(
                "with axis, scale and zero_point are 1-D and of one length, "
                f"got shapes {scale.shape} and {zero.shape}"
            )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, QuantParams):
            return NotImplemented
        return self._state() == other._state()

    def __hash__(self) -> int:
        return hash(self._state())

    def _state(self) -> tuple[object, ...]:
        return (np.asarray(self.scale).tobytes(), np.asarray(self.zero_point).tobytes(), self.grid, self.axis)

    def __reduce__(self) -> tuple[Any, ...]:
        return (QuantParams, (self.scale, self.zero_point, self.grid, self.axis))

    @property
    def range(self) -> Range:
        """The reals that can be represented: S(qmin - Z) to S(qmax - Z)."""
        low, high = (self.scale * (end - self.zero_point) for end in (self.grid.qmin, self.grid.qmax))
        return Range(low, high)


def _axis_number(axis: object) -> int:
    if isinstance(axis, (int, np.integer)) and not isinstance(axis, bool):
        return int(axis)
    raise TypeError(f"axis must be an integer or None, got {axis!r}")


def check_params(params: QuantParams, name: str = "params") -> None:
    if not isinstance(params, QuantParams):
        raise TypeError(f"{name} must be a QuantParams, got {type(params).__name__}")


def spread(params: QuantParams, shape: tuple[int, ...], compute: np.dtype[Any]) -> tuple[Array, Array]:
    """Return S and Z as arrays of type `compute` that broadcast against data of `shape`.

    Raises
    ------
    ValueError
        If the data do not have the channels of `params`, or S is too large for `compute`.
    """
    with np.errstate(over="ignore"):
        scale = np.asarray(params.scale).astype(compute)
    if not np.isfinite(scale).all():
        raise ValueError(f"scale {params.scale!r} overflows {compute}: use float64 data, or dtype=np.float64")
    zero = np.asarray(params.zero_point).astype(compute)
    return aligned(scale, params, shape), aligned(zero, params, shape)


def aligned(values: Array, params: QuantParams, shape: tuple[int, ...]) -> Array:
    """Return `values`, one or one a channel of `params`, so that they broadcast against data of `shape`.

    Raises
    ------
    ValueError
        If the data do not have the channels of `params`.
    """
    if params.axis is None:
        return values
    axis = channel_axis(params.axis, len(shape))
    if shape[axis] != values.size:
        raise ValueError(
            f"the data have {shape[axis]} channels along axis {params.axis}, params have {values.size}"
        )
    ones = [1] * len(shape)
    ones[axis] = values.size
    return values.reshape(ones)


def _result(out: Array | None, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    if out is None:
        return np.empty(shape, dtype)
    if not isinstance(out, np.ndarray) or not np.can_cast(dtype, out.dtype, "safe"):
        raise TypeError(
            f"out must be an array that holds {dtype} safely, got {getattr(out, 'dtype', type(out))}"
        )
    if out.shape != shape:
        raise ValueError(f"out must have shape {shape}, got {out.shape}")
    if not out.flags.writeable:
        raise ValueError("out is read-only")
    return out


def _real_type(dtype: DTypeLike) -> tuple[np.dtype[Any], np.dtype[Any]]:
    """Return the float dtype asked for, and the one to compute it in."""
    wanted = np.dtype(dtype)
    if wanted not in (np.dtype(np.float16), FLOAT32, np.dtype(np.float64)):
        raise TypeError(f"dtype must be float16, float32 or float64, got {wanted}")
    return wanted, compute_type(wanted)


def quantize(x: ArrayLike, params: QuantParams, *, out: Array | None = None) -> Array:
    """Turn reals into codes: ``q = clip(rint(x / S) + Z, qmin, qmax)``.

    Parameters
    ----------
    x : array_like
        Real numbers, any shape. Infinities go to the ends of the grid.
    params : QuantParams
        S and Z; per channel, the array must have as many channels.
    out : ndarray, optional
        Where to put the codes: the shape of `x`, a dtype that holds the grid's safely.

    Returns
    -------
    ndarray of ``params.grid.dtype``, shape of `x`
        `out` itself if it was given.

    Raises
    ------
    TypeError
        If `x` holds no real numbers, or `out` cannot hold the codes.
    ValueError
        If `x` holds NaN (the message counts them), or shapes do not fit. `out` is undefined then.

    Notes
    -----
    Ties go to even and Z is added after rounding: ONNX QuantizeLinear, bit for bit. The note (section 2)
    writes Round(r/S + Z) instead, which differs on ties when Z is odd. The division is done in float32
    for float16, bfloat16 and float32 data, in float64 for the rest, with S rounded to that type once.

    Examples
    --------
    >>> params = QuantParams(0.5, 1, IntGrid(-4, 3))
    >>> quantize([0.6, 0.75, 0.25, 5.0, -9.0], params)
    array([ 2,  3,  1,  3, -4], dtype=int8)
    """
    check_params(params)
    array, grid = as_real(x), params.grid
    compute = compute_type(array.dtype)
    scale, zero = spread(params, array.shape, compute)
    codes = _result(out, array.shape, grid.dtype)
    if kernels.quantize(array, scale, zero, grid.qmin, grid.qmax, compute, codes):
        raise nan_error(array, "x", "NaN has no code; replace them first")
    return codes


def dequantize(
    q: ArrayLike, params: QuantParams, *, dtype: DTypeLike = np.float32, out: Array | None = None
) -> Array:
    """Turn codes into reals: ``r = (q - Z) * S``.

    Parameters
    ----------
    q : array_like of integers
        Codes of the grid, any shape, any integer dtype. They are widened before Z is subtracted.
    params : QuantParams
        S and Z.
    dtype : dtype, default float32
        float16, float32 or float64. float16 is computed in float32.
    out : ndarray, optional
        Where to put the reals: the shape of `q`, a dtype that holds `dtype` safely.

    Returns
    -------
    ndarray of `dtype`, shape of `q`
        `out` itself if it was given.

    Raises
    ------
    TypeError
        If `q` holds no integers, or `dtype` or `out` do not fit.
    ValueError
        If a code is outside the grid, or shapes do not fit.

    Notes
    -----
    The note, section 2; ONNX DequantizeLinear, bit for bit.

    Examples
    --------
    >>> dequantize([2, 3, 1], QuantParams(0.5, 1, IntGrid(-4, 3)))
    array([0.5, 1. , 0. ], dtype=float32)
    """
    check_params(params)
    codes = as_integers(q, "q", params.grid.qmin, params.grid.qmax)
    wanted, compute = _real_type(dtype)
    scale, zero = spread(params, codes.shape, compute)
    reals = _result(out, codes.shape, wanted)
    kernels.dequantize(codes, scale, zero, compute, reals)
    return reals


def fake_quantize(
    x: ArrayLike, params: QuantParams, *, dtype: DTypeLike = np.float32, out: Array | None = None
) -> Array:
    """Quantize and dequantize in one pass: the reals that are left after rounding and clipping.

    Parameters
    ----------
    x : array_like
        Real numbers, any shape.
    params : QuantParams
        S and Z.
    dtype : dtype, default float32
        float16, float32 or float64, as in :func:`dequantize`.
    out : ndarray, optional
        Where to put the reals; may be `x` itself.

    Returns
    -------
    ndarray of `dtype`, shape of `x`
        The same bits as ``dequantize(quantize(x, params), params, dtype=dtype)``.

    Raises
    ------
    TypeError, ValueError
        As :func:`quantize` and :func:`dequantize`.

    Examples
    --------
    >>> fake_quantize([0.6, 5.0], QuantParams(0.5, 1, IntGrid(-4, 3)))
    array([0.5, 1. ], dtype=float32)
    """
    check_params(params)
    array, grid = as_real(x), params.grid
    compute = compute_type(array.dtype)
    wanted, back = _real_type(dtype)
    scale, zero = spread(params, array.shape, np.dtype(np.float64))
    spread(params, array.shape, compute)
    spread(params, array.shape, back)
    reals = _result(out, array.shape, wanted)
    if kernels.fake_quantize(array, scale, zero, grid.qmin, grid.qmax, (compute, back), reals):
        raise nan_error(array, "x", "NaN has no code; replace them first")
    return reals
