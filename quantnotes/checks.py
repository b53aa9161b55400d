"""What every input passes: real numbers, integers, options, finite data; and in which type to compute.

Not covered: which values share a scale, see :mod:`quantnotes.granularity`.
"""

from __future__ import annotations

import math
import operator
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from quantnotes import kernels

NanPolicy = Literal["raise", "ignore"]
Array = NDArray[Any]

FLOAT32, FLOAT64 = np.dtype(np.float32), np.dtype(np.float64)


def as_real(x: ArrayLike, name: str = "x") -> Array:
    """Return `x` as an array of real numbers, without a copy where it is one already.

    Parameters
    ----------
    x : array_like
        Booleans, integers or floats, those of ml_dtypes included, of any shape, strides and byte order.
    name : str
        What to call it in an error.

    Returns
    -------
    ndarray
        No subclass. The narrow integers of ml_dtypes (int4, uint2, ...) come back as int8 or uint8.

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
    kind = kind_of(array.dtype)
    if kind not in "biuf":
        raise TypeError(f"{name} must hold real numbers, got dtype {array.dtype}")
    if kind in "iu" and array.dtype.kind == "V":
        return array.astype(np.int8 if kind == "i" else np.uint8)
    return array


def kind_of(dtype: np.dtype[Any]) -> str:
    """Return the letter of `dtype.kind`, and for a type of ml_dtypes what it would be: i, u, f or c.

    Examples
    --------
    >>> kind_of(np.dtype("float16"))
    'f'
    """
    if dtype.kind not in "VW" or dtype.type.__module__ != "ml_dtypes":
        return dtype.kind
    if "complex" in dtype.name:
        return "c"
    return {"i": "i", "u": "u"}.get(dtype.name[0], "f")


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

    float32 for floats of at most 32 bits (float16, bfloat16, float8, ...); float64 for wider ones, integers
    and booleans.

    Examples
    --------
    >>> compute_type(np.dtype("float16"))
    dtype('float32')
    """
    return FLOAT32 if kind_of(dtype) == "f" and dtype.itemsize <= 4 else FLOAT64


def nan_error(x: Array, name: str, advice: str) -> ValueError:
    """Return the error that says how many NaN `x` holds and what to do about them."""
    count = kernels.count_nan(x)
    return ValueError(f"{name} holds {count} NaN among {x.size} values: {advice}")


def as_int(value: object, name: str, wanted: str = "an integer") -> int:
    """Return `value` as an int.

    Raises
    ------
    TypeError
        If it is not an integer, or is a bool. The message says what is `wanted`.

    Examples
    --------
    >>> as_int(np.int8(3), "axis")
    3
    """
    if not isinstance(value, bool | np.bool):
        try:
            return operator.index(value)  # type: ignore[arg-type]
        except TypeError:
            pass
    raise TypeError(f"{name} must be {wanted}, got {value!r}")


def as_number(value: object, name: str) -> float:
    """Return `value` as a float.

    Raises
    ------
    TypeError
        If it is not a real number, or is a bool.

    Examples
    --------
    >>> as_number(np.float32(0.5), "keep")
    0.5
    """
    if isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool):
        return float(value)
    raise TypeError(f"{name} must be a number, got {value!r}")


def check_nan_policy(nan: object) -> None:
    """Raise ValueError unless `nan` is "raise" or "ignore"."""
    if nan not in ("raise", "ignore"):
        raise ValueError(f'nan must be "raise" or "ignore", got {nan!r}')


def finite_ends(x: Array, nan: NanPolicy | None = None) -> tuple[float, float]:
    """Return the smallest and the largest of the values, all of which but NaN to be ignored are finite.

    Raises
    ------
    ValueError
        If `x` is empty, holds an infinity, NaN alone, or NaN unless `nan` is "ignore". The message offers
        to ignore them where `nan` is "raise"; None is for a function that has no such argument.

    Examples
    --------
    >>> finite_ends(np.array([3, -1, 2]))
    (-1.0, 3.0)
    """
    if not x.size:
        raise ValueError("x is empty: there is no range to take")
    low, high = map(float, kernels.minmax(x, compute_type(x.dtype)))
    if math.isnan(low):
        if nan != "ignore":
            raise nan_error(x, "x", 'drop them, or pass nan="ignore"' if nan else "drop them first")
        x = x[~np.isnan(x)]
        if not x.size:
            raise ValueError("x holds nothing but NaN")
        low, high = map(float, kernels.minmax(x, compute_type(x.dtype)))
    if math.isinf(low) or math.isinf(high):
        raise ValueError(f"x holds an infinity (min {low}, max {high}): a range must be finite")
    return low, high
