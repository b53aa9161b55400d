"""Histograms and calibration of Dask arrays: larger than memory, on as many cores and machines as Dask has.

Every chunk becomes a `Histogram` or a `Calibrator` where it is, and those are merged in a tree: a few KB
each, whatever the size of the chunks. Since merging is exact in any order, the result has the same bits as
on one machine, for any chunks and any of Dask's schedulers. Needs the extra ``scale``.

Not covered: parameters in blocks; and what Dask does itself, such as placing the work and showing progress.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import dask
import dask.array as da

from quantnotes.calibration import Calibrator
from quantnotes.checks import NanPolicy, check_nan_policy
from quantnotes.codebook import Codes
from quantnotes.granularity import Axis, Granularity
from quantnotes.grid import INT8
from quantnotes.histogram import Histogram
from quantnotes.mapping import QuantParams
from quantnotes.ranges import Scheme

_FAN_IN = 8  # how many are merged at a time

Summary = TypeVar("Summary", Histogram, Calibrator)


def histogram(x: Any, max_bins: int = 2048, *, nan: NanPolicy = "raise") -> Histogram:
    """Count a Dask array, chunk by chunk.

    Parameters
    ----------
    x : dask.array.Array
        Finite real numbers, any shape and chunks. It is computed here, by the scheduler that Dask would use.
    max_bins : int, default 2048
        As of `Histogram`.
    nan : {"raise", "ignore"}, default "raise"
        What to do about NaN.

    Returns
    -------
    Histogram
        Equal to ``Histogram(max_bins).update(x.compute(), nan)``, without that much memory.

    Raises
    ------
    TypeError
        If `x` is no Dask array, or holds no real numbers.
    ValueError
        As :meth:`Histogram.update`, for the first chunk that is refused.

    Examples
    --------
    >>> import dask.array as da
    >>> histogram(da.arange(8, chunks=3), max_bins=4).counts
    array([2, 2, 2, 2])
    """
    check_nan_policy(nan)
    return _summary(_dask_array(x), Histogram(max_bins), partial(Histogram.update, nan=nan))


def calibrate(
    x: Any,
    method: str = "minmax",
    grid: Codes = INT8,
    scheme: Scheme = "asymmetric",
    *,
    axis: Axis = None,
    nan: NanPolicy = "raise",
    max_bins: int = 2048,
    **options: Any,
) -> QuantParams:
    """Choose the parameters of a Dask array, as `Calibrator` would if it were shown all of it.

    Parameters
    ----------
    x : dask.array.Array
        Finite real numbers, any shape and chunks. It is computed here, by the scheduler that Dask would use.
    method, grid, scheme, nan, max_bins, **options
        As of `Calibrator`.
    axis : int or tuple of int, optional
        The axes that keep parameters of their own. Chunks that cut them are joined: a chunk must hold all
        channels. Blocks are not supported, since chunks would cut them.

    Returns
    -------
    QuantParams
        Per tensor, or per channel with `axis`.

    Raises
    ------
    TypeError, ValueError
        As `Calibrator` and its methods; TypeError also if `x` is no Dask array.

    Examples
    --------
    >>> import dask.array as da
    >>> params = calibrate(da.arange(-100, 156, chunks=50))
    >>> params.scale, params.zero_point
    (1.0, -28)
    """
    if "block_size" in options:
        raise TypeError("calibrate takes no block_size: chunks would cut the blocks; use a Calibrator")
    empty = Calibrator(method, grid, scheme, axis=axis, nan=nan, max_bins=max_bins, **options)
    array = _dask_array(x)
    channels = Granularity.of(axis).positions(array.ndim)
    if any(array.numblocks[i] > 1 for i in channels):
        array = array.rechunk({i: -1 if i in channels else "auto" for i in range(array.ndim)})
    return _summary(array, empty, Calibrator.observe).params()


def _dask_array(x: object) -> Any:
    if not isinstance(x, da.Array):
        raise TypeError(f"x must be a Dask array, got {type(x).__name__}: dask.array.from_array makes one")
    return x


def _summary(x: Any, empty: Summary, take: Callable[[Summary, Any], Summary]) -> Summary:
    """Let a copy of `empty` take in each chunk, and merge the copies in a tree."""
    leaf, merged = dask.delayed(_leaf), dask.delayed(_merged)
    parts = [leaf(empty, take, chunk) for chunk in x.to_delayed().ravel()]
    while len(parts) > 1:
        parts = [merged(empty, parts[i : i + _FAN_IN]) for i in range(0, len(parts), _FAN_IN)]
    whole: Summary = parts[0].compute()
    return whole


def _leaf(empty: Summary, take: Callable[[Summary, Any], Summary], chunk: Any) -> Summary:
    return take(copy.deepcopy(empty), chunk)


def _merged(empty: Summary, parts: list[Summary]) -> Summary:
    whole = copy.deepcopy(empty)  # the parts are Dask's, and may be used again
    for part in parts:
        whole.merge(part)
    return whole
