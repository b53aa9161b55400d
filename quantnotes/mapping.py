"""The mapping r = S(q - Z): reals to codes and back (the note, section 1).

`QuantParams` holds S and Z for a tensor, or one pair a channel, or one a block of a channel.

Not covered: how they are chosen, see :mod:`quantnotes.asymmetric` and :mod:`quantnotes.symmetric`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from functools import cache, cached_property, partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from quantnotes import kernels
from quantnotes.checks import FLOAT32, FLOAT64, as_integers, as_real, compute_type, kind_of, nan_error
from quantnotes.codebook import Codebook, Codes, FloatFormat, TableFormat, check_codes
from quantnotes.granularity import Axis, BlockSize, Granularity
from quantnotes.grid import IntGrid
from quantnotes.ranges import Range

MIN_SCALE = 2.0**-126  # the smallest normal float32: below it the scale itself would lose bits

Array = NDArray[Any]

_FLOAT32_MAX = float(np.finfo(np.float32).max)


def _frozen(values: Array) -> Array:
    values = values.copy()
    values.flags.writeable = False
    return values


@dataclass(frozen=True, eq=False, repr=False)
class QuantParams:
    """Scale S and zero point Z of a tensor, or a pair for each channel or block, on a grid.

    Parameters
    ----------
    scale : float, or array_like of the shape of the axes, or of the rank of the data with `block_size`
        S, in the unit of the data for one code; finite and at least 2**-126.
    zero_point : int, or array_like of the shape of `scale`
        Z, the code that stands for 0; an integer of the grid.
    grid : IntGrid or Codebook
        The codes that may be used: integers, or a format such as ``formats.E4M3``, for which Z is 0.
    axis : int or tuple of int, optional
        The axes that keep S and Z of their own; with `block_size`, those that are cut into blocks. None: one
        S and one Z for the whole tensor. Axis -1 and axis 1 make unequal parameters, since the rank of the
        data is not known here.
    block_size : int or tuple of int, optional
        Values along `axis` that share S and Z, as in ONNX's blocked QuantizeLinear, or as many for each of
        several axes; the last block of each run may be shorter. S has the shape of the data, but for
        ceil(n / block_size) entries there.

    Raises
    ------
    TypeError
        If `grid` is no IntGrid and no format, a parameter holds no real numbers, or `axis` or `block_size`
        is no integer.
    ValueError
        If a scale is not positive and finite, a zero point is no integer or outside the grid, the
        shapes do not fit `axis` and `block_size`, or `block_size` is below 1 or lacks its `axis`.

    Examples
    --------
    >>> params = QuantParams(0.5, 1, IntGrid(-4, 3))
    >>> params.range
    Range(rmin=-2.5, rmax=1.0)
    >>> blocked = QuantParams([[0.5, 2.0]], [[0, 0]], IntGrid(-4, 3), axis=1, block_size=2)
    >>> quantize([[1.0, 1.5, 4.0, 6.0]], blocked)
    array([[2, 3, 2, 3]], dtype=int8)
    """

    scale: Any  # float, or float64 (channels,), or float64 of the rank of the data
    zero_point: Any  # int, or int64 of the shape of scale
    grid: Any  # IntGrid, or a Codebook
    axis: Axis = None
    block_size: BlockSize = None

    def __post_init__(self) -> None:
        check_codes(self.grid)
        given, zero = as_real(self.scale, "scale"), as_real(self.zero_point, "zero_point")
        for name, array in (("scale", given), ("zero_point", zero)):
            if array.dtype.kind == "b":
                raise TypeError(f"{name} must be a number, got {getattr(self, name)!r}")
        with np.errstate(over="ignore"):  # of a longdouble: refused below
            scale = given.astype(np.float64)
        self._check_shapes(scale, zero)
        if not (np.isfinite(scale) & (scale >= MIN_SCALE)).all():
            raise ValueError(f"scale must be finite and at least 2**-126, got {self.scale!r}")
        if not (np.isfinite(zero) & (zero == np.rint(zero))).all():
            raise ValueError(f"zero_point must be an integer, got {self.zero_point!r}")
        if isinstance(self.grid, Codebook):
            if zero.any():
                raise ValueError(f"zero_point must be 0 for {self.grid!r}, got {self.zero_point!r}")
        elif not ((zero >= self.grid.qmin) & (zero <= self.grid.qmax)).all():
            raise ValueError(
                f"zero_point must be between {self.grid.qmin} and {self.grid.qmax}, got {self.zero_point!r}: "
                "a range that holds 0 puts it there"
            )
        whole = zero.astype(np.int64)
        object.__setattr__(self, "scale", float(scale) if self.axis is None else _frozen(scale))
        object.__setattr__(self, "zero_point", int(whole) if self.axis is None else _frozen(whole))

    @cached_property
    def granularity(self) -> Granularity:
        """Which values share S and Z: what `axis` and `block_size` mean."""
        return Granularity.of(self.axis, self.block_size)

    def _check_shapes(self, scale: Array, zero: Array) -> None:
        granularity = self.granularity
        object.__setattr__(self, "axis", granularity.axis)
        object.__setattr__(self, "block_size", granularity.block_size)
        axes, blocked = len(granularity.axes), granularity.blocks is not None
        if granularity.per_tensor:
            if scale.ndim or zero.ndim:
                raise ValueError("several scales or zero points need axis=, the channel axis they belong to")
        elif zero.shape != scale.shape or not scale.size or (scale.ndim != axes and not blocked):
            kind = "of one shape, an entry a block" if blocked else f"{axes}-D and of one length"
            raise ValueError(
                f"with axis, scale and zero_point are {kind}, got shapes {scale.shape} and {zero.shape}"
            )
        elif blocked:
            granularity.positions(scale.ndim)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, QuantParams):
            return NotImplemented
        return self._state() == other._state()

    def __hash__(self) -> int:
        return hash(self._state())

    def _state(self) -> tuple[object, ...]:
        bits = np.asarray(self.scale).tobytes(), np.asarray(self.zero_point).tobytes()
        return (*bits, np.shape(self.scale), self.grid, self.axis, self.block_size)

    def __reduce__(self) -> tuple[Any, ...]:
        return (QuantParams, (self.scale, self.zero_point, self.grid, self.axis, self.block_size))

    def __repr__(self) -> str:
        named = {name: getattr(self, name) for name in ("scale", "zero_point", "grid", "axis", "block_size")}
        if self.block_size is None:
            del named["block_size"]
        return f"QuantParams({', '.join(f'{name}={value!r}' for name, value in named.items())})"

    def to_dict(self) -> dict[str, Any]:
        """Return the parameters as numbers, strings, lists and dicts, ready for JSON.

        Returns
        -------
        dict
            `scale` and `zero_point` as numbers or nested lists, `grid` as a dict of its arguments (`qmin` and
            `qmax`), `axis` and `block_size` as an int, a list or None. Floats are exact.

        Examples
        --------
        >>> QuantParams(0.5, 1, IntGrid(-4, 3)).to_dict()  # doctest: +NORMALIZE_WHITESPACE
        {'scale': 0.5, 'zero_point': 1, 'grid': {'qmin': -4, 'qmax': 3},
         'axis': None, 'block_size': None}
        """
        return {
            "scale": np.asarray(self.scale).tolist(),
            "zero_point": np.asarray(self.zero_point).tolist(),
            "grid": asdict(self.grid),
            "axis": list(self.axis) if isinstance(self.axis, tuple) else self.axis,
            "block_size": list(self.block_size) if isinstance(self.block_size, tuple) else self.block_size,
        }

    @classmethod
    def from_dict(cls, d: Mapping[str, Any]) -> QuantParams:
        """Return the parameters that :meth:`to_dict` described.

        Parameters
        ----------
        d : mapping
            All keys of :meth:`to_dict`, and no others.

        Raises
        ------
        TypeError, ValueError
            If `d` is no mapping, a key is missing or unknown, or a value is none of `QuantParams`.

        Examples
        --------
        >>> params = QuantParams([0.1, 0.2], [0, 0], IntGrid(-4, 3), axis=0)
        >>> QuantParams.from_dict(params.to_dict()).scale
        array([0.1, 0.2])
        """
        values = dict(_checked_keys(d, [field.name for field in fields(cls)], "d"))
        for name in ("axis", "block_size"):
            if isinstance(values[name], list):
                values[name] = tuple(values[name])
        return cls(**values | {"grid": _grid_of(values["grid"])})

    @property
    def range(self) -> Range:
        """The reals that can be represented: S(qmin - Z) to S(qmax - Z), or S times the ends of a format."""
        if isinstance(self.grid, Codebook):
            return Range(self.scale * self.grid.smallest, self.scale * self.grid.largest)
        return Range(*(self.scale * (end - self.zero_point) for end in (self.grid.qmin, self.grid.qmax)))

    @cached_property
    def _single(self) -> tuple[Array, Array]:
        """S and Z in float32; an S beyond it becomes its largest finite value."""
        return kernels.finite(np.asarray(self.scale), FLOAT32), np.asarray(self.zero_point, np.float32)

    @cached_property
    def _double(self) -> tuple[Array, Array]:
        """S and Z in float64."""
        return np.asarray(self.scale), np.asarray(self.zero_point, np.float64)

    @cached_property
    def _beyond_float32(self) -> bool:
        return bool(np.max(self.scale) > _FLOAT32_MAX)

    @cached_property
    def _largest(self) -> float:
        """The largest magnitude of a decoded code."""
        with np.errstate(over="ignore"):
            return float(np.max(np.abs(self.range)))


def _checked_keys(d: object, keys: list[str], name: str) -> Mapping[str, Any]:
    """Return `d` if it is a mapping of exactly these keys."""
    if not isinstance(d, Mapping):
        raise TypeError(f"{name} must be a mapping of {', '.join(keys)}, got {type(d).__name__}")
    if set(d) != set(keys):
        raise ValueError(f"{name} must have the keys {', '.join(keys)}, got {', '.join(map(repr, d))}")
    return d


def _grid_of(d: object) -> Codes:
    """Return the grid or format that a dict describes."""
    kinds: list[Any] = [IntGrid, FloatFormat, TableFormat]
    for kind in kinds:
        keys = [field.name for field in fields(kind)]
        if isinstance(d, Mapping) and set(d) == set(keys):
            return kind(**d)  # type: ignore[no-any-return]
    return IntGrid(**_checked_keys(d, ["qmin", "qmax"], "grid"))  # says what is wrong


def check_params(params: QuantParams, name: str = "params") -> None:
    """Raise TypeError unless `params` is a QuantParams."""
    if not isinstance(params, QuantParams):
        raise TypeError(f"{name} must be a QuantParams, got {type(params).__name__}")


def check_int_params(params: QuantParams, name: str = "params") -> None:
    """Raise TypeError unless `params` is a QuantParams whose codes are integers."""
    check_params(params, name)
    if not isinstance(params.grid, IntGrid):
        raise TypeError(f"{name} must have an IntGrid, got {params.grid!r}")


def check_scale(params: QuantParams, compute: np.dtype[Any]) -> None:
    """Raise ValueError if S is too large for the type in which data are divided by it."""
    if compute == FLOAT32 and params._beyond_float32:
        raise ValueError(f"scale {params.scale!r} overflows {compute}: use float64 data")


def spread(params: QuantParams, shape: tuple[int, ...], compute: np.dtype[Any]) -> tuple[Array, Array]:
    """Return S and Z as arrays of type `compute` that broadcast against data of `shape`, or one a block.

    An S beyond `compute` becomes its largest finite value: decoded codes saturate either way.

    Raises
    ------
    ValueError
        If the data do not have the channels or blocks of `params`.
    """
    scale, zero = params._single if compute == FLOAT32 else params._double
    if params.granularity.per_tensor:
        return scale, zero
    if params.granularity.blocks is not None:
        params.granularity.check(scale.shape, shape)
        return scale, zero
    return params.granularity.expand(scale, shape), params.granularity.expand(zero, shape)


def pieces(params: QuantParams, compute: np.dtype[Any], *arrays: Array) -> Iterator[tuple[Array, ...]]:
    """Yield S, Z and views of the arrays against which they broadcast; together the views are the arrays.

    One piece, or more where a block is short. An input that overlaps the last array, the output, without
    being it, is copied first then, so that no piece overwrites what the next one reads.
    """
    scale, zero = spread(params, arrays[0].shape, compute)
    if params.granularity.blocks is None:
        yield scale, zero, *arrays
        return
    parts = params.granularity.parts(arrays[0].shape)
    if len(parts) > 1 and arrays[0] is not arrays[-1] and np.may_share_memory(arrays[0], arrays[-1]):
        arrays = (arrays[0].copy(), *arrays[1:])
    for part in parts:
        yield part.expand(scale), part.expand(zero), *(part.values(x) for x in arrays)


@cache
def _holds_codes(grid: Codes, dtype: np.dtype[Any]) -> bool:
    """Tell whether a type of real numbers holds every code exactly."""
    low, high = (grid.qmin, grid.qmax) if isinstance(grid, IntGrid) else (0, grid.values.size - 1)
    if kind_of(dtype) not in "iuf" or (kind_of(dtype) == "u" and low < 0):
        return False
    codes = np.arange(low, high + 1.0)
    with np.errstate(all="ignore"):
        return np.array_equal(codes.astype(dtype).astype(np.float64), codes)


def _holds_reals(wanted: np.dtype[Any], dtype: np.dtype[Any]) -> bool:
    """Tell whether a float type holds every value of another."""
    return dtype.kind == "f" and np.can_cast(wanted, dtype, "safe")


def _result(out: Array | None, like: Array, dtype: np.dtype[Any], fits: Callable[..., bool]) -> Array:
    """Return the array to write to: a new one of `dtype`, or the base array of `out` if its type `fits`."""
    if out is None:
        return np.empty_like(like, dtype, subok=False)
    plain = isinstance(out, np.ndarray) and not isinstance(out, np.ma.MaskedArray)
    if not (plain and fits(out.dtype)):
        what = out.dtype if plain else type(out)
        raise TypeError(f"out must be an array that holds {dtype} safely, got {what}")
    if out.shape != like.shape:
        raise ValueError(f"out must have shape {like.shape}, got {out.shape}")
    if not out.flags.writeable:
        raise ValueError("out is read-only")
    return out.view(np.ndarray)


def _real_type(dtype: DTypeLike) -> tuple[np.dtype[Any], np.dtype[Any]]:
    """Return the float dtype asked for, and the one to compute it in."""
    wanted = np.dtype(dtype)
    if wanted not in (np.dtype(np.float16), FLOAT32, np.dtype(np.float64)):
        raise TypeError(f"dtype must be float16, float32 or float64, got {wanted}")
    return wanted, compute_type(wanted)


def _narrow(reals: Array, params: QuantParams, wanted: np.dtype[Any]) -> None:
    """Round what a wider `out` holds to `wanted`, and saturate at its largest finite value."""
    if wanted == np.float16 and reals.dtype != wanted:  # float16 alone is narrower than what is computed in
        with np.errstate(over="ignore"):
            reals[...] = reals.astype(wanted)
    largest = float(np.finfo(wanted).max)
    if params._largest > largest / 2:  # half: S may have been rounded up
        np.clip(reals, -largest, largest, out=reals)


def _quantize_part(x: Array, s: Array, z: Array, grid: Codes, compute: np.dtype[Any], out: Array) -> bool:
    """Write the codes of values that S and Z broadcast against. True if there is a NaN."""
    if isinstance(grid, IntGrid):
        return kernels.quantize(x, s, z, grid.qmin, grid.qmax, compute, out)
    if isinstance(grid, FloatFormat):
        return kernels.quantize_float(x, s, grid.layout, compute, out)
    thresholds = grid.thresholds(compute)[1:-1]
    return kernels.quantize_table(x, s, thresholds, grid.codes_of_reals, compute, out)


def quantize(x: ArrayLike, params: QuantParams, *, out: Array | None = None) -> Array:
    """Turn reals into codes: ``q = clip(rint(x / S) + Z, qmin, qmax)``, or a format's code next to x / S.

    Parameters
    ----------
    x : array_like
        Real numbers, any shape. Infinities go to the ends of the grid or format.
    params : QuantParams
        S and Z; per channel, the array must have as many channels.
    out : ndarray, optional
        Where to put the codes: the shape of `x`, a dtype that holds every code of the grid (integers or
        floats, those of ml_dtypes included).

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

    Of a floating-point format the codes are the bit patterns of ml_dtypes; ties go to the even mantissa, and
    what lies beyond its range saturates.

    Examples
    --------
    >>> params = QuantParams(0.5, 1, IntGrid(-4, 3))
    >>> quantize([0.6, 0.75, 0.25, 5.0, -9.0], params)
    array([ 2,  3,  1,  3, -4], dtype=int8)
    """
    check_params(params)
    array, grid = as_real(x), params.grid
    compute = compute_type(array.dtype)
    check_scale(params, compute)
    codes = _result(out, array, grid.dtype, partial(_holds_codes, grid))
    for s, z, x_part, part in pieces(params, compute, array, codes):
        if _quantize_part(x_part, s, z, grid, compute, part):
            raise nan_error(array, "x", "NaN has no code; replace them first")
    return codes if out is None else out


def _checked_codes(q: ArrayLike, grid: Codes) -> Array:
    """Return codes as an array of integers, all of which stand for a number."""
    if isinstance(grid, IntGrid):
        return as_integers(q, "q", grid.qmin, grid.qmax)
    codes = as_integers(q, "q", 0, grid.values.size - 1)
    holes = np.flatnonzero(np.isnan(grid.values)).tolist()
    if count := sum(np.count_nonzero(codes == hole) for hole in holes):
        raise ValueError(f"q holds {count} codes that stand for no finite number in {grid!r}")
    return codes


def dequantize(
    q: ArrayLike, params: QuantParams, *, dtype: DTypeLike = np.float32, out: Array | None = None
) -> Array:
    """Turn codes into reals: ``r = (q - Z) * S``, or S times the real of a format's code.

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
    The note, section 2; ONNX DequantizeLinear, bit for bit, but for one intended difference: what lies beyond
    the largest finite value of `dtype` becomes that value, where ONNX gives an infinity. (int8 -128 with
    S = 600 is -65504 in float16.)

    Examples
    --------
    >>> dequantize([2, 3, 1], QuantParams(0.5, 1, IntGrid(-4, 3)))
    array([0.5, 1. , 0. ], dtype=float32)
    """
    check_params(params)
    codes = _checked_codes(q, params.grid)
    wanted, compute = _real_type(dtype)
    reals = _result(out, codes, wanted, partial(_holds_reals, wanted))
    for s, z, q_part, part in pieces(params, compute, codes, reals):
        if isinstance(params.grid, IntGrid):
            kernels.dequantize(q_part, s, z, compute, part)
        else:
            kernels.decode(q_part, s, params.grid.table(compute), compute, part)
    _narrow(reals, params, wanted)
    return reals if out is None else out


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
    check_scale(params, compute)
    if isinstance(grid, Codebook):
        return dequantize(quantize(array, params), params, dtype=dtype, out=out)
    reals = _result(out, array, wanted, partial(_holds_reals, wanted))
    for s, z, x_part, part in pieces(params, FLOAT64, array, reals):
        if kernels.fake_quantize(x_part, s, z, grid.qmin, grid.qmax, (compute, back), part):
            raise nan_error(array, "x", "NaN has no code; replace them first")
    _narrow(reals, params, wanted)
    return reals if out is None else out
