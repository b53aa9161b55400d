"""Real intervals, and the checks that every input passes.

A `Range` says which reals the data cover. The functions that return one (here and in
:mod:`quantnotes.outliers`) return the data's own range and never widen it to 0: that is
the business of :func:`quantnotes.asymmetric_params` alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from quantnotes import kernels

NanPolicy = Literal["raise", "ignore"]
Array = NDArray[Any]

MAX_BINS = 2**24  # of any histogram: its counts are all kept, 128 MB of them

FLOAT32, FLOAT64 = np.dtype(np.float32), np.dtype(np.float64)


class Range(NamedTuple):
    """A closed interval of real numbers, or one a channel.

    Attributes
    ----------
    rmin, rmax : float or ndarray of float64, shape (channels,)
        Smallest and largest real value, in the unit of the data.

    Examples
    --------
    >>> Range(-1.0, 2.0).rmax
    2.0
    """

    rmin: Any
    rmax: Any


def as_real(x: ArrayLike, name: str = "x") -> Array:
    """Return `x` as an array of real numbers, without a copy where it is one already.

    Parameters
    ----------
    x : array_like
        Booleans, integers, floats or bfloat16, of any shape, strides and byte order.
    name : str
        What to call it in an error.

    Returns
    -------
    ndarray

    Raises
    ------
    TypeError
        If it is masked, ragged, or holds objects, complex numbers, text or dates.

    Examples
    --------
    >>> as_real([1, 2]).shape
    (2,)
    """
    if isinstance(x, np.ma.MaskedArray):
        raise TypeError(f"{name} is a masked array: fill it or select its valid values first")
    try:
        array = np.asarray(x)
    except ValueError as error:
        raise TypeError(f"{name} is not a rectangular array of numbers: {error}") from None
    if array.dtype.kind not in "biuf" and array.dtype.name != "bfloat16":
        raise TypeError(f"{name} must hold real numbers, got dtype {array.dtype}")
    return array


def as_integers(x: ArrayLike, name: str, low: int, high: int, maker: str = "") -> Array:
    """Return `x` as an array of integers that lie in ``low..high``; an empty list counts as one.

    Raises
    ------
    TypeError
        If it holds anything but integers. The message names the function that makes them, `maker`.
    ValueError
        If one of them is outside; likewise.

    Examples
    --------
    >>> as_integers([1, 2], "q", 0, 3)
    array([1, 2])
    """
    array = as_real(x, name)
    if array.size == 0 and not isinstance(x, np.ndarray):
        return array.astype(np.int64)
    made = f", as {maker} makes it" if maker else ""
    if array.dtype.kind not in "iu":
        raise TypeError(f"{name} must hold integers{made}, got dtype {array.dtype}")
    info = np.iinfo(array.dtype)
    if array.size and not (low <= info.min and info.max <= high):
        smallest, largest = array.min(), array.max()
        if smallest < low or largest > high:
            raise ValueError(f"{name} must lie in {low}..{high}{made}, got {held(smallest, largest)}")
    return array


def held(smallest: int, largest: int) -> str:
    """Say in an error which integers an array held.

    Examples
    --------
    >>> held(3, 7), held(3, 3)
    ('integers from 3 to 7', '3')
    """
    return str(smallest) if smallest == largest else f"integers from {smallest} to {largest}"


def compute_type(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the type in which data of `dtype` are divided and rounded.

    float32 for float16, bfloat16 and float32; float64 for float64, wider floats, integers and booleans.

    Examples
    --------
    >>> compute_type(np.dtype("float16"))
    dtype('float32')
    """
    narrow = dtype.itemsize <= 4 if dtype.kind == "f" else dtype.name == "bfloat16"
    return FLOAT32 if narrow else FLOAT64


def nan_error(x: Array, name: str, advice: str) -> ValueError:
    """Return the error that says how many NaN `x` holds and what to do about them."""
    count = kernels.count_nan(x, compute_type(x.dtype))
    return ValueError(f"{name} holds {count} NaN among {x.size} values: {advice}")


def whole_number(value: object, name: str, wanted: str = "an integer or None") -> int:
    """Return `value` as an int; TypeError, which says what is wanted, if it is none, or a truth value.

    Examples
    --------
    >>> whole_number(np.int8(3), "axis")
    3
    """
    if isinstance(value, (int, np.integer)) and not isinstance(value, bool):
        return int(value)
    raise TypeError(f"{name} must be {wanted}, got {value!r}")


def as_axis(axis: object) -> int:
    """Return `axis` as an int; TypeError if it is no integer."""
    return whole_number(axis, "axis")


def channel_axis(axis: object, ndim: int) -> int:
    """Return `axis` as a number from 0 to ``ndim - 1``.

    Raises
    ------
    TypeError
        If it is no integer.
    ValueError
        If the array has no such axis.

    Examples
    --------
    >>> channel_axis(-1, 3)
    2
    """
    index = as_axis(axis)
    if not -ndim <= index < ndim:
        raise ValueError(f"axis {index} is out of range for an array of {ndim} dimensions")
    return index % ndim


def block_length(block_size: object, axis: object) -> int | None:
    """Return `block_size` as an int of at least 1, or None.

    Raises
    ------
    TypeError
        If it is no integer.
    ValueError
        If it is below 1, or there is no `axis` to cut.

    Examples
    --------
    >>> block_length(32, axis=1)
    32
    """
    if block_size is None:
        return None
    size = whole_number(block_size, "block_size")
    if size < 1:
        raise ValueError(f"block_size must be at least 1, got {size}")
    if axis is None:
        raise ValueError("block_size needs axis=, the axis that is cut into blocks")
    return size


def channels(x: Array, axis: int) -> Iterator[Array]:
    """Yield the slice of each channel: `axis` is the one that keeps its own scale, as in ONNX."""
    yield from np.moveaxis(x, channel_axis(axis, x.ndim), 0)


def check_nan_policy(nan: object) -> None:
    """Raise ValueError unless `nan` is "raise" or "ignore"."""
    if nan not in ("raise", "ignore"):
        raise ValueError(f'nan must be "raise" or "ignore", got {nan!r}')


def finite_data(x: Array, nan: NanPolicy, whole: Array | None = None) -> tuple[Array, float, float]:
    """Return the data without NaN, their min and their max: inf and -inf if nothing is left.

    An error counts the NaN of `whole`, where `x` is a part of it.

    Raises
    ------
    ValueError
        If `x` holds an infinity, or NaN while `nan` is "raise".
    """
    low, high = map(float, kernels.minmax(x, compute_type(x.dtype)))
    if low != low:
        if nan == "raise":
            raise nan_error(x if whole is None else whole, "x", 'drop them, or pass nan="ignore"')
        x = x[~np.isnan(x)]
        low, high = map(float, kernels.minmax(x, compute_type(x.dtype)))
    if x.size and not (np.isfinite(low) and np.isfinite(high)):
        raise ValueError(f"x holds an infinity (min {low}, max {high}): a range must be finite")
    return x, low, high


def some_finite_data(x: Array, nan: NanPolicy) -> tuple[Array, float, float]:
    """Do the same as `finite_data`, with a ValueError where nothing is left.

    Raises
    ------
    ValueError
        If `x` is empty, holds an infinity, holds NaN while `nan` is "raise", or holds nothing else.
    """
    data, low, high = finite_data(x, nan)
    if data.size == 0:
        raise ValueError("x holds nothing but NaN" if x.size else "x is empty: there is no range to take")
    return data, low, high


def per_channel(
    x: ArrayLike, axis: int | None, nan: NanPolicy, one: Callable[[Array], tuple[float, float]]
) -> Range:
    """Apply `one` to the whole array, or to each channel, and return the range or ranges.

    Raises
    ------
    TypeError
        If `x` is not an array of real numbers or `axis` no integer.
    ValueError
        If `nan` is unknown, `axis` is out of range, or `one` says so.
    """
    array = as_real(x)
    check_nan_policy(nan)
    if axis is None:
        return Range(*one(array))
    ends = [one(channel) for channel in channels(array, axis)]
    if not ends:
        raise ValueError("x is empty: there is no range to take")
    rmin, rmax = np.array(ends, FLOAT64).T.copy()
    return Range(rmin, rmax)


def _block_ends(x: Array, axis: int, size: int, nan: NanPolicy) -> Range:
    """Return min and max of every block of `size` values along `axis`, shape of `x` but for that axis."""
    some_finite_data(x, nan)
    index = channel_axis(axis, x.ndim)
    starts = np.arange(0, x.shape[index], min(size, x.shape[index]))
    ends = [f.reduceat(x, starts, axis=index).astype(FLOAT64) for f in (np.fmin, np.fmax)]  # they skip NaN
    if np.isnan(ends[0]).any():
        raise ValueError("a block of x holds nothing but NaN")
    return Range(*ends)


def minmax_range(
    x: ArrayLike, *, axis: int | None = None, nan: NanPolicy = "raise", block_size: int | None = None
) -> Range:
    """Return the smallest and the largest value of the data.

    Parameters
    ----------
    x : array_like
        Real numbers, any shape.
    axis : int, optional
        The channel axis: one range for each index along it. Without it, one range for all.
    nan : {"raise", "ignore"}, default "raise"
        What to do about NaN.
    block_size : int, optional
        Cut `axis` into blocks of this many values, the last one perhaps shorter: a range for each.

    Returns
    -------
    Range
        Two floats; or two float64 arrays of shape ``(x.shape[axis],)``; or of the shape of `x` but for
        ``ceil(x.shape[axis] / block_size)`` along `axis`. Never widened to hold 0.

    Raises
    ------
    TypeError
        If `x` is masked, ragged, complex, text or objects, or `axis` or `block_size` is no integer.
    ValueError
        If `x` is empty, holds an infinity, or NaN that are not to be ignored; `axis` is out of range, or
        `block_size` is below 1 or lacks its `axis`.

    Notes
    -----
    This is rmin and rmax of the note, section 2. Its weakness is the subject of section 5: a single far
    value decides it.

    Examples
    --------
    >>> minmax_range([[-1.0, 2.0], [0.5, 3.0]])
    Range(rmin=-1.0, rmax=3.0)
    >>> minmax_range([[-1.0, 2.0], [0.5, 3.0]], axis=0).rmax
    array([2., 3.])
    >>> minmax_range([[1.0, 2.0, 3.0, 9.0]], axis=1, block_size=2).rmax
    array([[2., 9.]])
    """
    array = as_real(x)
    check_nan_policy(nan)
    size = block_length(block_size, axis)
    if size is not None and axis is not None:
        return _block_ends(array, axis, size, nan)
    if axis is not None and array.ndim:
        ends = kernels.minmax(array, compute_type(array.dtype), channel_axis(axis, array.ndim))
        if array.size and np.isfinite(ends).all():
            return Range(*ends)
    return per_channel(array, axis, nan, lambda channel: some_finite_data(channel, nan)[1:])
