"""Asymmetric (affine) parameters: a range becomes a scale and a zero point (the note, section 2).

Three demands: rmin near qmin, rmax near qmax, and 0 exactly on a code. Two fix the line; the third
is met by rounding Z, which slides the grid by at most S/2. Not covered: where the range comes from.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from quantnotes.checks import as_real
from quantnotes.codebook import Codebook
from quantnotes.granularity import Axis, BlockSize, Granularity
from quantnotes.grid import INT8, IntGrid, check_grid
from quantnotes.mapping import MIN_SCALE, QuantParams

Array = NDArray[Any]

# The largest finite values, less half an ulp: S may be rounded up.
_MOST32, _MOST64 = (float(f.max) * (1 - float(f.epsneg)) for f in map(np.finfo, ("f4", "f8")))


def checked_ends(rmin: ArrayLike, rmax: ArrayLike, granularity: Granularity) -> tuple[Array, Array]:
    """Return the ends of a range as float64 arrays: 0-d, or one for each group of values.

    Raises
    ------
    TypeError
        If an end holds no real numbers.
    ValueError
        If the shapes do not fit the granularity, an end is NaN or infinite, or rmin exceeds rmax.
    """
    low, high = as_real(rmin, "rmin").astype(np.float64), as_real(rmax, "rmax").astype(np.float64)
    if low.shape != high.shape:
        raise ValueError(f"rmin and rmax must have one shape, got {low.shape} and {high.shape}")
    axes = len(granularity.axes)
    if granularity.blocks is None and low.ndim != axes:
        expected = "numbers" if not axes else f"{axes}-D arrays, one entry a channel"
        raise ValueError(
            f"with axis={granularity.axis} rmin and rmax must be {expected}, got shape {low.shape}"
        )
    if not (np.isfinite(low).all() and np.isfinite(high).all()):
        raise ValueError(f"rmin and rmax must be finite, got {rmin!r} and {rmax!r}")
    if (low > high).any():
        raise ValueError(f"rmin must not exceed rmax, got {rmin!r} and {rmax!r}")
    return low, high


def usable_scale(scale: Array, low: Array, high: Array) -> Array:
    """Return the scale with a floor of 2**-126, and 1 where both ends are 0."""
    return np.where((low == 0) & (high == 0), 1.0, np.maximum(scale, MIN_SCALE))


def finite_scale(scale: Array, low: Array, high: Array, farthest: ArrayLike) -> Array:
    """Return the scale, reduced where the code farthest from Z would decode to an infinity.

    In float32; in float64 where the range itself is beyond float32.
    """
    beyond = np.maximum(-low, high) > np.finfo(np.float32).max
    return np.minimum(scale, np.where(beyond, _MOST64, _MOST32) / farthest)


def asymmetric_params(
    rmin: ArrayLike,
    rmax: ArrayLike,
    grid: IntGrid = INT8,
    *,
    axis: Axis = None,
    anchor: Literal["max", "min"] = "max",
    block_size: BlockSize = None,
) -> QuantParams:
    """Return S and Z that spread the range over the whole grid, with 0 exactly on a code.

    Parameters
    ----------
    rmin, rmax : float, or array_like of one entry for each index of `axis`, or one for each block
        The range of the data. It is widened to hold 0: otherwise Z would leave the grid.
    grid : IntGrid, default INT8
        The codes that may be used. Activations take INT8 or UINT8, which decode to the same values; weights
        of 4 bits take INT4 or UINT4 in groups. For weights of 8 bits see :func:`symmetric_params`.
    axis : int or tuple of int, optional
        The axes of the data that keep parameters of their own.
    anchor : {"max", "min"}, default "max"
        Which end Z is computed from: the note's ``Z = qmax - rint(rmax / S)`` or ONNX's
        ``Z = qmin - rint(rmin / S)``. They differ by one where both quotients are ties or nearly so.
    block_size : int or tuple of int, optional
        Values along `axis` that share S and Z, as given to :func:`minmax_range`.

    Returns
    -------
    QuantParams
        ``S = (rmax - rmin) / (qmax - qmin)`` in float64, 1 for all-zero data, and at least 2**-126. It is
        reduced where a code would decode to an infinity: at most the largest float32, or float64 for a
        range beyond float32, over the largest ``|q - Z|``.

    Raises
    ------
    TypeError
        If an end holds no real numbers, or `grid` is no IntGrid.
    ValueError
        If an end is not finite, rmin exceeds rmax, shapes do not fit, or `anchor` is unknown.

    Examples
    --------
    >>> asymmetric_params(-1.0, 2.0, IntGrid(-2, 1))
    QuantParams(scale=1.0, zero_point=-1, grid=IntGrid(qmin=-2, qmax=1), axis=None)
    >>> asymmetric_params(10.0, 11.0).zero_point
    -128
    """
    if anchor not in ("max", "min"):
        raise ValueError(f'anchor must be "max" or "min", got {anchor!r}')
    if isinstance(grid, Codebook):
        raise TypeError(f"grid must be an IntGrid: {grid!r} has no zero point, use symmetric_params")
    check_grid(grid)
    low, high = checked_ends(rmin, rmax, Granularity.of(axis, block_size))
    low, high = np.minimum(low, 0.0), np.maximum(high, 0.0)
    steps = grid.qmax - grid.qmin
    with np.errstate(over="ignore"):
        width = high - low
        # Where the width itself overflows float64, each end is divided first.
        scale = np.where(np.isfinite(width), width / steps, high / steps - low / steps)
    scale = np.minimum(scale, np.finfo(np.float64).max)
    scale = usable_scale(scale, low, high)
    zero = grid.qmax - np.rint(high / scale) if anchor == "max" else grid.qmin - np.rint(low / scale)
    scale = finite_scale(scale, low, high, np.maximum(grid.qmax - zero, zero - grid.qmin))
    return QuantParams(scale, zero, grid, axis, block_size)
