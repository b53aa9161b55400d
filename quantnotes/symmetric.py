"""Symmetric parameters: a range becomes a scale alone, Z = 0 (the note, section 3).

The note divides |rmax| by |qmax|; a larger negative side would overflow. Here it is the larger of both.
Not covered: where the range comes from.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from quantnotes.asymmetric import checked_ends, finite_scale, usable_scale
from quantnotes.codebook import Codes, check_codes
from quantnotes.granularity import Axis, BlockSize, Granularity
from quantnotes.grid import INT8, IntGrid
from quantnotes.mapping import QuantParams


def symmetric_params(
    rmin: ArrayLike,
    rmax: ArrayLike,
    grid: Codes = INT8,
    *,
    axis: Axis = None,
    block_size: BlockSize = None,
) -> QuantParams:
    """Return the scale that puts the larger end of the range on qmax, with Z = 0.

    Parameters
    ----------
    rmin, rmax : float, or array_like of one entry for each index of `axis`, or one for each block
        The range of the data.
    grid : IntGrid or Codebook, default INT8
        The codes that may be used: integers, or a format such as ``formats.E4M3``. Weights of 8 bits take
        INT8_NARROW, whose codes mirror, or INT8; with fewer bits the full grid is better (INT4, in groups).
        Data without negative values, as behind a ReLU, take UINT8. A grid that does not reach as far below 0
        as above (an unsigned one) takes no other. Other activations: :func:`asymmetric_params`.
    axis : int or tuple of int, optional
        The axes of the data that keep parameters of their own.
    block_size : int or tuple of int, optional
        Values along `axis` that share S, as given to :func:`minmax_range`.

    Returns
    -------
    QuantParams
        ``S = max(|rmin|, |rmax|) / qmax`` (or the largest real of a format) in float64, 1 for all-zero data,
        at least 2**-126, and reduced where a code would decode to an infinity, as in
        :func:`asymmetric_params`.

    Raises
    ------
    TypeError
        If an end holds no real numbers, or `grid` is no IntGrid and no format.
    ValueError
        If an end is not finite, rmin exceeds rmax, shapes do not fit, or the grid has no room for
        negative values that are there.

    Examples
    --------
    >>> symmetric_params(-254.0, 100.0).scale
    2.0
    >>> from quantnotes import minmax_range
    >>> w = [[1.0, -7.0, 0.5, 3.5]]
    >>> symmetric_params(*minmax_range(w, axis=1, block_size=2), IntGrid.of(4), axis=1, block_size=2).scale
    array([[1. , 0.5]])
    """
    check_codes(grid)
    bottom, top = (grid.qmin, grid.qmax) if isinstance(grid, IntGrid) else (grid.smallest, grid.largest)
    low, high = checked_ends(rmin, rmax, Granularity.of(axis, block_size))
    if bottom > -top and (low < 0).any():
        raise ValueError(
            f"rmin is {rmin!r}, but the grid {bottom}..{top} reaches less far below 0 than above: "
            "use a signed grid, or asymmetric_params"
        )
    scale = usable_scale(np.maximum(np.abs(low), np.abs(high)) / top, low, high)
    scale = finite_scale(scale, low, high, max(top, -bottom))
    return QuantParams(scale, np.zeros(scale.shape, np.int64), grid, axis, block_size)
