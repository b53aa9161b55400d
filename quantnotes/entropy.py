"""A clip from information theory: the threshold whose codes distort the distribution least.

The method that S. Migacz described for TensorRT (*8-bit inference with TensorRT*, GTC 2017), without two
slips that are common in its copies: the coarse distribution is made of the bins *inside* the clip alone,
and bins are shared out among the levels without a remainder. Here a limit is added to how much is clipped,
without which it can clip nearly everything.

Not covered: any claim that the least divergence is the least error.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from quantnotes.checks import FLOAT64, NanPolicy, check_nan_policy
from quantnotes.granularity import Axis, BlockSize, Granularity
from quantnotes.grid import INT8, IntGrid, check_grid
from quantnotes.histogram import Histogram, Masses
from quantnotes.mse import Scheme, check_scheme
from quantnotes.ranges import Range, range_per_group

Array = NDArray[Any]
Ends = tuple[Array, Array]

BINS = 2048  # between the data's own ends, and at most as many for their magnitudes
_INSIDE = 0.99  # of the values that are not 0, at least
_INSIDE_OF_FEW_CODES = 0.95  # likewise, on grids of at most 16 codes
_EQUAL = 0.1  # nats above the least divergence that count as equally good
_CELLS = 1 << 15  # levels times clips looked at together: what the loop needs stays in the cache
_GROUPS = 128  # groups whose bins are counted together


def entropy_range(
    x: ArrayLike | Histogram,
    grid: IntGrid = INT8,
    scheme: Scheme = "symmetric",
    *,
    axis: Axis = None,
    block_size: BlockSize = None,
    nan: NanPolicy = "raise",
) -> Range:
    """Return a symmetric clip with little Kullback-Leibler divergence between values and codes.

    Parameters
    ----------
    x : array_like or Histogram
        Finite real numbers, any shape.
    grid : IntGrid, default INT8
        The codes that may be used; it gives the number of levels for a magnitude, 128 for int8.
    scheme : {"symmetric", "asymmetric"}, default "symmetric"
        Which parameters will be made of the range. For "asymmetric" the clip is cut down to the data's own
        ends, and data on one side of 0 have a level for each code.
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
        edge, or the largest magnitude. At least 99 % of the values that are not 0 lie inside; on grids of
        at most 16 codes (4 bits) at least 95 %.

    Raises
    ------
    TypeError
        If `x` holds no real numbers, or `grid` is no IntGrid.
    ValueError
        If `x` is empty or not finite, or `scheme` is unknown.

    Notes
    -----
    The magnitudes are counted in equal bins, 2048 between the data's own ends. For each clip at the right
    edge of bin i, P is their distribution with all that lies beyond added to bin i. Q groups the bins up to
    i, *without* what was added, into as many levels as there are codes, and gives each bin that is not empty
    an equal part of its level. An empty bin i cannot have what P gives it: KL(P, Q) is infinite there. With
    fewer bins than levels nothing can be clipped.

    Near its least the divergence is flat, and it jumps by up to 0.1 nats with the bins in which levels begin.
    So all clips within 0.1 nats of the least count as equally good, and of these the one of least squared
    error is returned, the widest of equals.

    The least divergence alone is no safe guide: a clip at the first bin that is not empty has P = Q, all of
    it in that one bin, and so KL = 0, however many values were cut off. Data that keep away from 0 would
    always be clipped there. So clips that leave fewer values inside than said above are not tried, and a
    hundred values or fewer (20, on grids of 4 bits) are never clipped.

    Values that are exactly 0 are left out: code Z stands for them exactly, whatever the clip. Counted in the
    first bin, they would be spread over all bins of its level, and the narrowest clip would win, since its
    levels have the fewest bins. They are half of all values behind a ReLU, the method's main use.

    Examples
    --------
    >>> x = np.random.default_rng(0).standard_normal(100_000)
    >>> 2.5 < entropy_range(x, INT8).rmax < float(np.abs(x).max())
    True
    """
    check_grid(grid)
    check_scheme(scheme)
    if isinstance(x, Histogram):
        check_nan_policy(nan)
        if axis is not None or block_size is not None:
            raise ValueError("a Histogram has no channels: keep one for each, as Calibrator does with axis=")
        if not x.n:
            raise ValueError("the histogram is empty: there is no range to take")
        low, high = ranges_of(x.masses(), grid, scheme)
        return Range(float(low[0]), float(high[0]))
    return range_per_group(
        x, Granularity.of(axis, block_size), nan, lambda rows: _ranges_of_rows(rows, grid, scheme)
    )


def ranges_of(masses: Masses, grid: IntGrid = INT8, scheme: Scheme = "symmetric") -> Ends:
    """Return the entropy range of each group of masses.

    Parameters
    ----------
    masses : Masses
        What the histograms of the groups hold; no group is empty.
    grid : IntGrid, default INT8
        The codes that may be used.
    scheme : {"symmetric", "asymmetric"}, default "symmetric"
        Which parameters will be made of the ranges.

    Returns
    -------
    low, high : ndarray of float64, shape (groups,)

    Examples
    --------
    >>> ranges_of(Histogram().update([-1.0, 0.5, 1.0]).masses())
    (array([-1.]), array([1.]))
    """
    starts, results = masses.starts, []
    for first in range(0, starts.size - 1, _GROUPS):
        inside = starts[first : first + _GROUPS + 1]
        entries = slice(inside[0], inside[-1])
        low, width, count = masses.low[entries], masses.width[entries], masses.count[entries]
        inside = inside - inside[0]
        ends = low[inside[:-1]], (low + width)[inside[1:] - 1]
        exponent = np.maximum(_bin_exponent(*ends), _exponent_above(np.maximum.reduceat(width, inside[:-1])))
        group = np.repeat(np.arange(inside.size - 1), np.diff(inside))
        middle = np.abs(low + width / 2)
        bins = np.floor(np.ldexp(middle, -exponent[group])).astype(np.int64)
        there = (low != 0) | (width != 0)
        size = (inside.size - 1) * BINS
        counts = np.bincount((group * BINS + bins)[there], count[there], size).astype(np.int64)
        results.append(_ranges(counts.reshape(-1, BINS), exponent, *ends, grid, scheme))
    low, high = (np.concatenate(side) for side in zip(*results, strict=True))
    return low, high


def _ranges_of_rows(rows: Array, grid: IntGrid, scheme: Scheme) -> Ends:
    """Return the entropy range of each row, shape (groups, values)."""
    low, high = np.empty((2, len(rows)))
    for first in range(0, len(rows), _GROUPS):
        part = slice(first, first + _GROUPS)
        values = rows[part].astype(FLOAT64)
        ends = values.min(axis=1) + 0.0, values.max(axis=1) + 0.0
        exponent = _bin_exponent(*ends)
        bins = np.floor(np.ldexp(np.abs(values), -exponent[:, None])).astype(np.int64)
        bins += BINS * np.arange(len(values))[:, None]
        counts = np.bincount(bins[values != 0], minlength=len(values) * BINS).reshape(-1, BINS)
        low[part], high[part] = _ranges(counts, exponent, *ends, grid, scheme)
    return low, high


def _exponent_above(width: Array) -> Array:
    """Return the smallest k with 2**k >= width; very small for a width of 0."""
    mantissa, exponent = np.frexp(width)
    return np.asarray(np.where(width > 0, exponent - (mantissa == 0.5), -1100))


def _bin_exponent(low: Array, high: Array) -> Array:
    """Return k for bins of 2**k: at most `BINS` from low to high, as a Histogram has, and from 0 outwards."""
    k = np.frexp((high / 2 - low / 2) / BINS)[1] - 1
    k = np.maximum(np.where(high > low, k, -1100), np.frexp(np.maximum(-low, high) / BINS)[1] - 1)
    while True:
        first, last = np.floor(np.ldexp(low, -k)), np.floor(np.ldexp(high, -k))
        too_many = (last - first >= BINS) | (np.floor(np.ldexp(np.maximum(-low, high), -k)) >= BINS)
        if not too_many.any():
            return np.asarray(k)
        k = k + too_many


def _ranges(counts: Array, exponent: Array, low: Array, high: Array, grid: IntGrid, scheme: Scheme) -> Ends:
    """Return the ends of each group from the counts of its magnitudes, shape (groups, bins)."""
    one_sided = (low >= 0) & (grid.qmin == 0)
    levels = np.where(one_sided | (grid.qmin < 0), grid.qmax + 1, grid.codes // 2)
    if scheme == "asymmetric":
        levels = np.where((low >= 0) | (high <= 0), grid.codes, levels)
    share = _INSIDE if grid.codes > 16 else _INSIDE_OF_FEW_CODES
    bins, largest = np.empty(len(counts), np.int64), np.maximum(-low, high)
    for each in np.unique(levels):
        some = levels == each
        bins[some] = clip_after(counts[some], np.ldexp(largest[some], -exponent[some]), int(each), share)
    with np.errstate(over="ignore"):
        clip = np.minimum(np.ldexp(bins.astype(FLOAT64), exponent), largest)
    if scheme == "asymmetric":
        return np.maximum(-clip, low), np.minimum(clip, high)
    return np.where(one_sided, 0.0, 0.0 - clip), clip


def clip_after(counts: Array, largest: Array, levels: int, share: float) -> NDArray[np.int64]:
    """Return after how many bins to clip each group, as `entropy_range` describes it.

    Parameters
    ----------
    counts : ndarray of int64, shape (groups, bins)
        How many magnitudes lie in each bin, from 0 outwards.
    largest : ndarray of float64, shape (groups,)
        The largest magnitude, in widths of a bin.
    levels : int
        How many levels the bins are grouped into.
    share : float
        The share of a group that has to lie inside.

    Returns
    -------
    ndarray of int64, shape (groups,)
        The number of all bins up to the last that is not empty, where nothing is to be clipped.

    Examples
    --------
    >>> clip_after(np.array([[50, 30, 10, 1, 9]]), np.array([4.5]), 2, 0.99)
    array([5])
    """
    filled = counts > 0
    last = counts.shape[1] - np.argmax(filled[:, ::-1], axis=1)
    running = np.cumsum(counts, axis=1)
    enough = running >= share * running[:, -1:]
    number = np.arange(1, counts.shape[1] + 1)
    # A clip at an empty bin, with values beyond it, has an infinite divergence.
    group, clip = np.nonzero(enough & filled & (number >= min(levels, counts.shape[1])))
    clip = clip + 1
    best = last.copy()
    several = np.bincount(group, minlength=len(counts)) > 1
    tried = several[group]
    group, clip = group[tried], clip[tried]
    if group.size:
        divergence = divergences(counts, levels, group, clip)
        first = np.flatnonzero(np.diff(group, prepend=-1))
        least = np.zeros(len(counts))
        least[group[first]] = np.minimum.reduceat(divergence, first)
        equal = divergence <= least[group] + _EQUAL
        group, clip = group[equal], clip[equal]
        error = _squared_errors(counts, levels, group, np.minimum(clip, largest[group]))
        order = np.lexsort((-clip, error, group))
        group, clip = group[order], clip[order]
        first = np.flatnonzero(np.diff(group, prepend=-1))
        best[group[first]] = clip[first]
    return np.asarray(best, np.int64)


def _squared_errors(counts: Array, levels: int, group: Array, clip: Array) -> NDArray[np.float64]:
    """Return the summed squared error of clips, each value in the middle of its bin, in widths of a bin."""
    middle = np.arange(counts.shape[1]) + 0.5
    error = np.empty(clip.size)
    step = max(1, _CELLS // middle.size)
    for i in range(0, clip.size, step):
        part = slice(i, i + step)
        scale = clip[part, None] / (levels - 1)
        code = np.minimum(np.rint(middle / scale), levels - 1)
        error[part] = np.sum((middle - code * scale) ** 2 * counts[group[part]], axis=1)
    return error


def divergences(counts: Array, levels: int, group: Array, clip: Array) -> NDArray[np.float64]:
    """Return KL(P, Q) in nats for clips after ``clip[i]`` bins of group ``group[i]``, never an empty bin.

    Within a level Q is one number wherever P is not 0, so sums of P log P and of P over a level are enough,
    and these are differences of running sums: a clip costs as many steps as there are levels.
    """

    def running(values: Array) -> Array:
        return np.pad(np.cumsum(values, axis=1), ((0, 0), (1, 0)))

    sums, bins, own = running(counts), running(counts > 0), running(_x_log_x(counts))
    total = sums[group, -1]
    shares, last_level = np.empty(clip.size), np.empty(clip.size)
    step = max(1, _CELLS // levels)
    for i in range(0, clip.size, step):
        g, part = group[i : i + step, None], clip[i : i + step, None]
        starts = -(-np.arange(levels + 1) * part // levels)  # bin j has level j * levels // clip
        inside, number = np.diff(sums[g, starts]), np.diff(bins[g, starts])
        log_q = np.log(np.maximum(inside, 1)) - np.log(np.maximum(number, 1))
        shares[i : i + step] = np.sum(inside * log_q, axis=1)
        last_level[i : i + step] = log_q[:, -1]
    inside, last = sums[group, clip], counts[group, clip - 1]
    beyond = total - inside
    p_log_p = own[group, clip - 1] + _x_log_x(last + beyond)
    divergence = (p_log_p - shares - beyond * last_level) / total + np.log(inside / total)
    return np.asarray(np.maximum(divergence, 0.0), FLOAT64)


def _x_log_x(counts: Array) -> NDArray[np.float64]:
    return np.asarray(counts * np.log(np.maximum(counts, 1)), FLOAT64)
