"""Real intervals: what a range is, how one is found for each group of values, and min and max.

The functions that return a `Range`, here and in the modules of the other methods, return the data's own and
never widen it to 0: only :func:`quantnotes.asymmetric_params` does.

Not covered: parameters.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from quantnotes import kernels
from quantnotes.checks import NanPolicy, as_real, check_nan_policy, compute_type, finite_ends
from quantnotes.granularity import Axis, BlockSize, Granularity

Array = NDArray[Any]
Ends = tuple[Array, Array]  # low and high, float64, shape (groups,)
Scheme = Literal["asymmetric", "symmetric"]  # which parameters are made of a range
PerRow = Callable[[Array], Ends]  # of rows (groups, values)

MAX_BINS = 2**24  # of any histogram: its counts are all kept, 128 MB of them


class Range(NamedTuple):
    """A closed interval of real numbers, or one for each group of values.

    Attributes
    ----------
    rmin, rmax : float or ndarray of float64, the shape of the parameters
        Smallest and largest real value, in the unit of the data.

    Examples
    --------
    >>> Range(-1.0, 2.0).rmax
    2.0
    """

    rmin: Any
    rmax: Any


def check_scheme(scheme: object) -> None:
    """Raise ValueError unless `scheme` is "asymmetric" or "symmetric"."""
    if scheme not in ("asymmetric", "symmetric"):
        raise ValueError(f'scheme must be "asymmetric" or "symmetric", got {scheme!r}')


def range_per_group(x: ArrayLike, granularity: Granularity, nan: NanPolicy, per_row: PerRow) -> Range:
    """Return the range of every group that `per_row` finds for rows of finite values.

    Parameters
    ----------
    x : array_like
        Real numbers, any shape.
    granularity : Granularity
        Which values make a group.
    nan : {"raise", "ignore"}
        What to do about NaN.
    per_row : callable
        Takes rows of shape (groups, values), returns both ends, float64 of shape (groups,). It sees neither
        NaN nor infinities nor empty rows.

    Returns
    -------
    Range
        Two floats, or two float64 arrays of the shape of the parameters. No end is -0.0.

    Raises
    ------
    TypeError
        If `x` holds no real numbers.
    ValueError
        If `nan` is unknown; or `x`, or a group of it, is empty or holds an infinity or NaN alone, or NaN that
        are not to be ignored.
    """
    check_nan_policy(nan)
    array = finite_array(x, nan)
    ends = granularity.per_group(array, per_row if nan == "raise" else _ignoring_nan(per_row))
    return Range(*(end + 0.0 for end in ends))


def finite_array(x: ArrayLike, nan: NanPolicy | None = None) -> Array:
    """Return `x` as an array of finite numbers and, where they are to be ignored, NaN.

    Raises
    ------
    TypeError
        If `x` holds no real numbers.
    ValueError
        As :func:`quantnotes.checks.finite_ends`.
    """
    array = as_real(x)
    finite_ends(array, nan)
    return array


def _ignoring_nan(per_row: PerRow) -> PerRow:
    """Let `per_row` see rows without their NaN: those that have as many together."""

    def run(rows: Array) -> Ends:
        holes = np.isnan(rows)
        sizes = rows.shape[1] - np.count_nonzero(holes, axis=1)
        if not sizes.all():
            raise ValueError("a group of x holds nothing but NaN")
        if not holes.any():
            return per_row(rows)
        low, high = np.empty((2, len(rows)))
        for size in np.unique(sizes):
            same = sizes == size
            order = np.argsort(holes[same], axis=1, kind="stable")[:, :size]  # the numbers before the NaN
            low[same], high[same] = per_row(np.take_along_axis(rows[same], order, axis=1))
        return low, high

    return run


def minmax_range(
    x: ArrayLike, *, axis: Axis = None, nan: NanPolicy = "raise", block_size: BlockSize = None
) -> Range:
    """Return the smallest and the largest value of the data.

    Parameters
    ----------
    x : array_like
        Real numbers, any shape.
    axis : int or tuple of int, optional
        The axes that keep ranges of their own: one for each index along them. Without it, one range for all.
    nan : {"raise", "ignore"}, default "raise"
        What to do about NaN.
    block_size : int or tuple of int, optional
        Cut `axis` into blocks of this many values, the last one perhaps shorter: a range for each block, at
        each index of the other axes. A tuple has a size for each of several axes.

    Returns
    -------
    Range
        Its fields `rmin` and `rmax`: two floats; with `axis`, two float64 arrays of the shape of those axes;
        with `block_size`, of the shape of `x` but for ``ceil(x.shape[axis] / block_size)`` along `axis`.
        Never widened to hold 0.

    Raises
    ------
    TypeError
        If `x` is masked, ragged, complex, text or objects, or `axis` or `block_size` holds no integers.
    ValueError
        If `x`, or a group of it, is empty or holds an infinity, NaN alone, or any NaN unless `nan` is
        "ignore"; `axis` is out of range or names one twice; `block_size` is below 1 or does not fit `axis`;
        or `nan` is unknown.

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
    check_nan_policy(nan)
    granularity = Granularity.of(axis, block_size)
    array = as_real(x)
    ends = _extremes(array, granularity)
    if not (array.size and np.isfinite(ends).all()):
        return range_per_group(array, granularity, nan, _ends)
    return Range(*map(float, ends)) if granularity.per_tensor else Range(*ends)


def _extremes(x: Array, granularity: Granularity) -> Array:
    """Return the smallest values of the groups and the largest ones, NaN where one is; `x` is not copied."""
    shape, places = granularity.shape(x.shape), granularity.positions(x.ndim)
    if granularity.blocks is None and len(places) <= 1:
        return kernels.minmax(x, compute_type(x.dtype), *places)
    low, high = ends = np.empty((2, *shape))
    low[...], high[...] = np.inf, -np.inf
    with np.errstate(invalid="ignore", over="ignore"):  # of NaN in bfloat16, and of longdouble
        if not x.size:
            pass
        elif granularity.blocks is None:
            others = tuple(i for i in range(x.ndim) if i not in places)
            turn = np.argsort(np.argsort(places))
            low[...], high[...] = x.min(axis=others).transpose(turn), x.max(axis=others).transpose(turn)
        else:
            for part in granularity.parts(x.shape):
                values, inside = part.values(x), tuple(range(1, 2 * x.ndim, 2))
                low[part.params], high[part.params] = values.min(axis=inside), values.max(axis=inside)
    ends += 0.0
    return ends


def _ends(rows: Array) -> Ends:
    return rows.min(axis=1).astype(np.float64), rows.max(axis=1).astype(np.float64)
