"""A clip from information theory: the threshold whose codes distort the distribution least.

The method that S. Migacz described for TensorRT (*8-bit inference with TensorRT*, GTC 2017), without two
slips that are common in its copies: the coarse distribution is made of the bins *inside* the clip alone,
and bins are shared out among the levels without a remainder. Left out: any claim that the least divergence
is the least error.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from quantnotes.checks import NanPolicy, some_finite_data
from quantnotes.granularity import Axis, BlockSize
from quantnotes.grid import INT8, IntGrid, check_grid
from quantnotes.histogram import Histogram, range_of
from quantnotes.ranges import Range

_CELLS = 1 << 15  # levels times clips looked at together: what the loop needs stays in the cache


def entropy_range(
    x: ArrayLike | Histogram,
    grid: IntGrid = INT8,
    *,
    axis: Axis = None,
    block_size: BlockSize = None,
    nan: NanPolicy = "raise",
) -> Range:
    """Return the symmetric clip with the least Kullback-Leibler divergence between values and codes.

    Parameters
    ----------
    x : array_like or Histogram
        Finite real numbers, any shape; an array is counted into a `Histogram` of 2048 bins first.
    grid : IntGrid, default INT8
        The codes that may be used; it gives the number of levels for a magnitude, 128 for int8.
    axis : int or tuple of int, optional
        The axes of an array that keep ranges of their own: one for each index along them.
    block_size : int or tuple of int, optional
        Cut `axis` into blocks of this many values: a range for each block.
    nan : {"raise", "ignore"}, default "raise"
        What to do about NaN in an array.

    Returns
    -------
    Range
        ``Range(-a, a)``; ``Range(0, a)`` on an unsigned grid for data without negative values. a is a bin
        edge, or the largest magnitude.

    Raises
    ------
    TypeError
        If `x` holds no real numbers, or `grid` is no IntGrid.
    ValueError
        If `x` is empty or not finite.

    Notes
    -----
    For each clip at the right edge of bin i, P is the distribution of the magnitudes with all that lies
    beyond added to bin i. Q groups the bins up to i, *without* what was added, into as many levels as there
    are codes, and gives each bin that is not empty an equal part of its level. The clip with the least
    KL(P, Q) is returned, the widest of equals. An empty bin i cannot have what P gives it: the divergence
    is infinite there, and the clip is passed over. With fewer bins than levels nothing can be clipped. The
    bin of 0 counts as any other. A distribution takes many values to be known: on a few hundred the choice is
    close to chance.

    Examples
    --------
    >>> x = np.random.default_rng(0).standard_normal(100_000)
    >>> 2.0 < entropy_range(x, INT8).rmax < float(np.abs(x).max())
    True
    """
    check_grid(grid)

    def one(channel: NDArray[Any] | Histogram) -> tuple[float, float]:
        if isinstance(channel, Histogram):
            h = channel
        else:
            h = Histogram().update(some_finite_data(channel, nan)[0])
        one_sided = grid.qmin == 0 and h.min >= 0
        levels = grid.codes // 2 if grid.qmin == 0 and not one_sided else grid.qmax + 1
        largest = max(-h.min, h.max) + 0.0
        counts, width = h.magnitudes()
        every = divergences(counts, levels)
        clip = largest
        if every.size > 1:
            clip = min((counts.size - int(np.argmin(every[::-1]))) * width, largest)
        return (0.0 if one_sided else 0.0 - clip), clip

    return range_of(x, axis, nan, one, block_size)


def divergences(counts: NDArray[np.int64], levels: int) -> NDArray[np.float64]:
    """Return KL(P, Q) in nats for a clip after `levels`, `levels` + 1, ... and all of the bins.

    Within a level Q is one number wherever P is not 0, so sums of P log P and of P over a level are enough,
    and these are differences of running sums: a clip costs as many steps as there are levels.
    """
    clips = np.arange(min(levels, counts.size), counts.size + 1)
    if clips.size < 2:
        return np.zeros(clips.size)
    running = np.concatenate([[0], np.cumsum(counts)])
    filled = np.concatenate([[0], np.cumsum(counts > 0)])
    own = np.concatenate([[0.0], np.cumsum(_x_log_x(counts))])
    total = running[-1]
    shares, last_level = np.empty(clips.size), np.empty(clips.size)
    step = max(1, _CELLS // levels)
    for i in range(0, clips.size, step):
        part = clips[i : i + step]
        starts = -(-np.arange(levels + 1) * part[:, None] // levels)  # bin j has level j * levels // clip
        sums, bins = np.diff(running[starts]), np.diff(filled[starts])
        log_q = np.log(np.maximum(sums, 1)) - np.log(np.maximum(bins, 1))
        shares[i : i + step] = np.sum(sums * log_q, axis=1)
        last_level[i : i + step] = log_q[:, -1]
    inside, last = running[clips], counts[clips - 1]
    beyond = total - inside
    p_log_p = own[clips - 1] + _x_log_x(last + beyond)
    divergence = (p_log_p - shares - beyond * last_level) / total + np.log(np.maximum(inside, 1) / total)
    return np.where((last == 0) & (beyond > 0), np.inf, np.maximum(divergence, 0.0))


def _x_log_x(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    return counts.astype(np.float64) * np.log(np.maximum(counts, 1))
