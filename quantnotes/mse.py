"""The range of least squared error: every candidate is priced with the parameters that it would really get.

What is minimised is the sum of rounding and clipping error, not S**2 / 12, which is wrong as soon as a step
is no longer small against the spread of the data.

Not covered: any weight for what the error does downstream.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from quantnotes.checks import FLOAT64, NanPolicy, compute_type
from quantnotes.codebook import Codebook, Codes, check_codes
from quantnotes.entropy import entropy_range
from quantnotes.granularity import Axis, BlockSize, Granularity
from quantnotes.grid import INT8, IntGrid
from quantnotes.histogram import Histogram, Masses, masses_of
from quantnotes.kernels import search
from quantnotes.mapping import MIN_SCALE
from quantnotes.outliers import histogram_range, shortest_range
from quantnotes.percentile import percentile_range
from quantnotes.ranges import Ends, Range, Scheme, check_scheme, range_per_group
from quantnotes.shrinking import ends_of_masses, ends_of_rows
from quantnotes.symmetric import symmetric_params

Array = NDArray[Any]

_DIRECT = 4096  # values of a row that are searched as they are; a longer one first in a summary
_MARKS = 1024  # equal shares of the values, and equal parts of the range, that a summary keeps apart
_FINE = 32  # codes; with more of them neighbouring candidates can differ much
_EVEN = 0.2  # by this share the error of values that are spread evenly over steps may miss S**2 / 12
_SPOTS = np.linspace(0, 1, 9)  # of a bin, where its values may lie
_CELLS = 1 << 18  # candidates times groups at once: what the search needs stays in the cache
_TINY = 2.0**-60  # a scale that no longer shows beside a magnitude of 1


def mse_range(
    x: ArrayLike | Histogram,
    grid: Codes = INT8,
    scheme: Scheme = "asymmetric",
    *,
    axis: Axis = None,
    block_size: BlockSize = None,
    nan: NanPolicy = "raise",
) -> Range:
    """Return the range whose parameters give the least mean squared error, inside the data's own.

    Parameters
    ----------
    x : array_like or Histogram
        Finite real numbers, any shape.
    grid : IntGrid or Codebook, default INT8
        The codes that may be used: integers, or a format such as ``formats.E4M3``.
    scheme : {"asymmetric", "symmetric"}, default "asymmetric"
        Which parameters will be made of the range.
    axis : int or tuple of int, optional
        The axes of an array that keep ranges of their own: one for each index along them.
    block_size : int or tuple of int, optional
        Cut `axis` into blocks of this many values: a range for each block, at each index of the other axes.
        A tuple has a size for each of several axes.
    nan : {"raise", "ignore"}, default "raise"
        What to do about NaN in an array.

    Returns
    -------
    Range
        Its fields `rmin` and `rmax`: two floats; with `axis`, two float64 arrays of the shape of those axes;
        with `block_size`, of the shape of `x` but for ``ceil(x.shape[axis] / block_size)`` along `axis`.
        Asymmetric: a pair of ends. Symmetric on an IntGrid: ``Range(-a, a)``, or ``Range(0, a)`` on one that
        reaches less far below 0 than above. On a Codebook: min and max clipped to -a and
        a. Min and max where nothing is better.

    Raises
    ------
    TypeError
        If `x` is masked, ragged, complex, text or objects; `grid` is neither an IntGrid nor a Codebook; or
        `axis` or `block_size` holds no integers.
    ValueError
        If `x`, or a group of it, is empty or holds an infinity, NaN alone, or any NaN unless `nan` is
        "ignore"; `scheme` is unknown, or not "symmetric" for a Codebook; a symmetric grid has no room for the
        negative values that are there; `axis` is out of range or names one twice; `block_size` is below 1 or
        does not fit `axis`; `nan` is unknown; or a Histogram comes with `axis` or `block_size`.

    Notes
    -----
    The error of a candidate is that of `asymmetric_params` or `symmetric_params`, Z rounded and values
    clipped. Evenly spaced ends from min and max down to 0 are tried, every pair of them, then ever closer
    ones around the best few. Nothing is assumed of the place of the best clip: with few codes it can be far
    below half of the largest value.

    On an array, of any length, the error is at most 1.0001 times that of min and max, and 1.005 times that
    of any other method of this package. A group of up to 4096 values is searched as it is. Of a longer one a
    summary of some thousand runs of neighbouring values is searched first, and what came out best there is
    measured on the values, with min and max and the ranges of the other methods. These are measured on a
    shorter group too where errors are not spread evenly over a step, as behind a far value: there a little
    less of S can put most values on a code.

    In a Histogram, and so in a Calibrator, values that are known are priced exactly, those of a bin as if
    spread evenly over it. If a bin holds many more than those beside it, they may be anywhere in it: then
    another candidate replaces min and max only if it is better wherever they are. The error is at most 1.01
    times that of min and max; for the other methods nothing is promised.

    Examples
    --------
    >>> x = np.random.default_rng(0).standard_normal(100_000)
    >>> mse_range(x, IntGrid.of(3, narrow=True), "symmetric")  # doctest: +ELLIPSIS
    Range(rmin=-1.96..., rmax=1.96...)
    >>> mse_range(x.reshape(2, -1), IntGrid.of(4), axis=0).rmax  # doctest: +ELLIPSIS
    array([2.54..., 2.28...])
    >>> mse_range(x.reshape(2, -1), axis=1, block_size=1000).rmax.shape
    (2, 50)
    """
    check_codes(grid)
    check_scheme(scheme)
    if isinstance(grid, Codebook) and scheme != "symmetric":
        raise ValueError(f'scheme must be "symmetric" for {grid!r}: its zero point is 0')
    if isinstance(x, Histogram):
        return Range(*(float(end[0]) for end in ranges_of(masses_of(x, axis, block_size, nan), grid, scheme)))
    granularity = Granularity.of(axis, block_size)
    if isinstance(grid, Codebook):
        return range_per_group(x, granularity, nan, lambda rows: ends_of_rows(rows, grid))
    return range_per_group(x, granularity, nan, lambda rows: _ranges_of_rows(rows, grid, scheme))


def ranges_of(masses: Masses, grid: Codes = INT8, scheme: Scheme = "asymmetric") -> Ends:
    """Return the range of least squared error of each group of masses.

    Parameters
    ----------
    masses : Masses
        What the histograms of the groups hold; no group is empty.
    grid : IntGrid or Codebook, default INT8
        The codes that may be used: integers, or a format such as ``formats.E4M3``.
    scheme : {"asymmetric", "symmetric"}, default "asymmetric"
        Which parameters will be made of the ranges.

    Returns
    -------
    low, high : ndarray of float64, shape (groups,)

    Raises
    ------
    ValueError
        If a symmetric grid has no room for the negative values that are there.

    Examples
    --------
    >>> ranges_of(Histogram().update([-1.0, 0.0, 1.0]).masses(), INT8, "symmetric")
    (array([-1.]), array([1.]))
    """
    if isinstance(grid, Codebook):
        return ends_of_masses(masses, grid)
    starts, results = masses.starts, []
    step = max(1, _CELLS // _plan(grid, scheme).cells)
    for first in range(0, starts.size - 1, step):
        inside = starts[first : first + step + 1]
        entries = slice(inside[0], inside[-1])
        part = Masses(masses.low[entries], masses.width[entries], masses.count[entries], inside - inside[0])
        groups = _groups(
            part.low[part.starts[:-1]],
            (part.low + part.width)[part.starts[1:] - 1],
            grid,
            scheme,
            np.add.reduceat(part.count, part.starts[:-1]) > _DIRECT,
        )
        price = _price_of_masses(part, groups.exponent)
        found = _finalists(groups, price)[0]
        results.append(_best_of(groups, _with_doubt(price, part, groups.exponent), found))
    low, high = (np.concatenate([ends[:, 0] for ends in side]) for side in zip(*results, strict=True))
    return low, high


def _with_doubt(price: Price, masses: Masses, exponent: Array) -> Price:
    """Return a price for which the first candidate is replaced only by what is surely better."""
    # Of n values spread over bins the error is known to about 1 / sqrt(n).
    spread = np.add.reduceat(masses.count * (masses.width > 0), masses.starts[:-1])
    trust = 1 - (spread > 0) / np.sqrt(np.maximum(spread, 1))
    doubt = _doubt_of_lumps(masses, exponent)

    def run(scale: Array, smallest: Array, largest: Array) -> Array:
        error = price(scale, smallest, largest)
        error[:, 0] *= trust
        return error + doubt(scale, smallest, largest)

    return run


def _doubt_of_lumps(masses: Masses, exponent: Array) -> Price:
    """Return what tells how much worse than the first of the candidates the others may be than priced.

    A bin of which many more values than of the bins two places away are counted may be full at one spot, and
    empty elsewhere.
    """
    wide = np.flatnonzero(masses.width)
    group = np.repeat(np.arange(exponent.size), np.diff(masses.starts).astype(np.intp))[wide]
    low, width, count = masses.low[wide], masses.width[wide], masses.count[wide]
    number = np.floor((low + width / 2) / np.maximum.reduceat(masses.width, masses.starts[:-1])[group])
    around = np.zeros(count.shape)
    for back in (1, 2):  # bins without values are not there
        pair = (number[back:] - number[:-back] == 2) & (group[back:] == group[:-back])
        for one, other in ((slice(back, None), slice(-back)), (slice(-back), slice(back, None))):
            around[one] = np.maximum(around[one], count[other] * pair)
    lump = count - around - 3 * np.sqrt(count)
    at = np.flatnonzero(lump > 0)
    group, lump = group[at], lump[at, None]
    start, size = (np.ldexp(each[at], -exponent[group, 0])[:, None] for each in (low, width))

    def doubt(scale: Array, smallest: Array, largest: Array) -> Array:
        s, gaps = scale[group], []
        for share in _SPOTS:
            spot = start + share * size
            error = np.square(spot - s * np.rint(np.clip(spot / s, smallest[group], largest[group])))
            gaps.append(error - error[:, :1])
        total = np.zeros(scale.shape)
        np.add.at(total, group, lump * (np.max(gaps, axis=0) - np.mean(gaps, axis=0)))
        return total

    return doubt


def _groups(low: Array, high: Array, grid: IntGrid, scheme: Scheme, many: Array) -> _Groups:
    if scheme == "symmetric":
        symmetric_params(float(low.min()), float(high.max()), grid)  # refuses negatives that have no room
    return _Groups(low[:, None], high[:, None], grid, scheme, many)


def _ranges_of_rows(rows: Array, grid: IntGrid, scheme: Scheme) -> Ends:
    """Return the range of least squared error of each row, shape (groups, values)."""
    ends = np.empty((2, len(rows)))
    # Codes of more than 12 bits need more digits than a float32 has left for the error.
    narrow = compute_type(rows.dtype) == np.float32 and grid.codes <= 4096
    long = rows.shape[1] > _DIRECT
    step = max(1, _CELLS // max(_plan(grid, scheme).cells, rows.shape[1]))
    for first in range(0, len(rows), step):
        part = slice(first, first + step)
        values = np.ascontiguousarray(rows[part], np.float32 if narrow else FLOAT64)
        least, most = values.min(axis=1).astype(FLOAT64), values.max(axis=1).astype(FLOAT64)
        groups = _groups(least, most, grid, scheme, np.full(len(values), long))
        price = _price_of_rows(values, groups.exponent)
        summary = _price_of_masses(_summary(values), groups.exponent) if long else price
        found, error = _finalists(groups, summary)
        compared = groups.many | _uneven(groups, found, error, rows.shape[1])
        if compared.any():
            found = _best_of(groups, price, _and_others(groups, found, rows[part], compared))
        ends[:, part] = [side[:, 0] for side in found]
    return ends[0], ends[1]


def _summary(rows: Array) -> Masses:
    """Return some thousand masses that stand for the values of each row, shape (groups, values).

    Each is a run of neighbours in the sorted row: no longer than one in `_MARKS` of the values, no wider than
    one in `_MARKS` of the range. The two ends, 0 and a value as frequent as that have masses of their own.
    """
    ordered = np.sort(rows, axis=1).astype(FLOAT64)
    number = rows.shape[1]
    ranks = np.linspace(0, number - 1, _MARKS + 1).astype(np.intp)
    weights = np.arange(1, _MARKS) / _MARKS
    lows, widths, counts = [], [], []
    for values in ordered:
        marks = np.append(values[ranks], 0.0)
        left, right = (np.searchsorted(values, marks, side) for side in ("left", "right"))
        evenly = np.searchsorted(values, values[0] * (1 - weights) + values[-1] * weights)
        cuts = np.unique(np.concatenate([left, right[right - left > 1], evenly, [1, number - 1, number]]))
        low, high = values[cuts[:-1]], values[cuts[1:] - 1]
        lows.append(low)
        widths.append(high - low)
        counts.append(np.diff(cuts))
    starts = np.cumsum([0, *map(len, lows)], dtype=np.intp)
    count = np.concatenate(counts).astype(np.int64)
    return Masses(np.concatenate(lows), np.concatenate(widths), count, starts)


def _uneven(groups: _Groups, found: Ends, error: Array, number: int) -> NDArray[np.bool]:
    """Tell for which groups of `number` values the errors are not spread evenly over a step.

    They are not if they are far below S**2 / 12, and with many codes also if those of min and max are above.
    """
    low, high = (np.concatenate(pair, axis=1) for pair in zip(groups.own, found, strict=True))
    scale = np.clip(groups.codes(low, high)[0], _TINY, 4.0)
    excess = error / (number * scale**2 / 12) - 1
    slack = max(_EVEN, 5 / math.sqrt(number))  # so much is no chance
    if groups.grid.codes > _FINE:
        return np.asarray((excess < -slack).any(axis=1) | (excess[:, 0] > slack))
    return np.asarray((excess[:, 1:] < -slack).any(axis=1))


def _and_others(groups: _Groups, found: Ends, rows: Array, some: NDArray[np.bool]) -> Ends:
    """Return candidates and, for some rows, what other methods choose; for the rest the first again."""
    ranges = [method(rows[some], axis=0) for method in (histogram_range, shortest_range, percentile_range)]
    ranges.append(entropy_range(rows[some], groups.grid, groups.scheme, axis=0))
    low, high = (np.stack(side, axis=1) for side in zip(*ranges, strict=True))
    if groups.scheme == "symmetric":
        low, high = groups.mirrored(np.maximum(-low, high))
    result = []
    for ends, others in zip(found, (low, high), strict=True):
        more = np.repeat(ends[:, :1], others.shape[1], axis=1)
        more[some] = others
        result.append(np.concatenate([ends, more], axis=1))
    return result[0], result[1]


def _best_of(groups: _Groups, price: Price, candidates: Ends) -> Ends:
    """Return the best of min and max and some candidates, shape (groups, 1)."""
    low, high = (np.concatenate(pair, axis=1) for pair in zip(groups.own, candidates, strict=True))
    best = np.argmin(_errors(price, *groups.codes(low, high)), axis=1)[:, None]
    return np.take_along_axis(low, best, 1), np.take_along_axis(high, best, 1)


# --- which candidates are tried -----------------------------------------------------------------------------


class _Plan(NamedTuple):
    """Where to look: factors by which the data's own ends are multiplied, one or two for a candidate."""

    first: Array  # shape (candidates, factors): the coarse look, min and max before all others
    inner: Array  # shape (candidates, factors): likewise, where values may lie far outside all others
    near: Array  # shape (candidates, factors): where the next look goes, in its steps
    starts: int  # how many of the best are kept, and looked at more closely
    looks: int  # after the first
    step: float  # between factors of the first look

    @property
    def cells(self) -> int:
        """The most candidates of a group at once."""
        return max(len(self.first) + len(self.inner), self.starts * (len(self.near) + 1))


_CLOSER = 3  # times as close at each look


def _plan(grid: IntGrid, scheme: Scheme) -> _Plan:
    """Return the plan for a grid: the finer its steps, the more the error changes between two candidates."""
    fine = grid.codes > _FINE
    halves = np.exp2(-np.arange(1, 9))  # of a step
    offsets = np.arange(1 - _CLOSER, _CLOSER, dtype=FLOAT64)
    if scheme == "symmetric":
        number = 256 if fine else 128
        first = np.arange(number, 0, -1)[:, None]
        inner, near = halves[:, None], offsets[:, None]
    else:
        number = 32 if fine else 16
        first = _pairs(np.arange(number, -1, -1))
        inner = _pairs(np.concatenate([np.arange(number, -1, -1), halves]))
        inner = inner[(inner % 1 > 0).any(axis=1)]
        near = _pairs(offsets)
    starts, looks = 6, 4
    return _Plan(first / number, inner / number, near[near.any(axis=1)], starts, looks, 1 / number)


def _pairs(values: Array) -> Array:
    return np.stack(np.meshgrid(values, values, indexing="ij"), axis=-1).reshape(-1, 2)


class _Groups(NamedTuple):
    """The data's own ends, float64 of shape (groups, 1), and what is made of them."""

    low: Array
    high: Array
    grid: IntGrid
    scheme: Scheme
    many: NDArray[np.bool]  # shape (groups,): so many values that a clip far inside can pay

    @property
    def exponent(self) -> Array:
        """Of the power of two just above the largest magnitude, in units of which errors are computed."""
        return np.frexp(np.maximum(-self.low, self.high))[1]

    @property
    def own(self) -> Ends:
        """Min and max as a candidate, shape (groups, 1)."""
        return self.ends(np.ones((len(self.low), 1, 2)), 0.0)

    def ends(self, factors: Array, step: float) -> Ends:
        """Return the ends of candidates, from factors of shape (groups, candidates, 1 or 2)."""
        if self.scheme == "symmetric":
            return self.mirrored(np.maximum(-self.low, self.high) * factors[..., 0])
        below, above = factors[..., 0], factors[..., 1]
        # Data on one side of 0 have one end to search: the other factor cuts the steps there into finer ones.
        only_above = np.maximum(above - (1 - below) * step, 0)
        only_below = np.maximum(below - (1 - above) * step, 0)
        # It runs between min and max, which may be close together and far from 0.
        positive, negative = self.low >= 0, self.high <= 0
        near_low, near_high = np.maximum(self.low, 0), np.minimum(self.high, 0)
        low = near_high + (self.low - near_high) * np.where(negative, only_below, below)
        high = near_low + (self.high - near_low) * np.where(positive, only_above, above)
        low, high = np.where(positive, self.low, low), np.where(negative, self.high, high)
        return np.clip(low, self.low, self.high), np.clip(high, self.low, self.high)

    def mirrored(self, clip: Array) -> Ends:
        """Return both ends of clips for symmetric parameters."""
        return (0.0 * clip if self.grid.qmin > -self.grid.qmax else -clip), clip

    def codes(self, low: Array, high: Array) -> tuple[Array, Array, Array]:
        """Return S in units of 2**exponent, and the smallest and largest code less Z, as the scheme has them.

        S is infinite for a candidate that would leave nothing but 0.
        """
        qmin, qmax = self.grid.qmin, self.grid.qmax
        exponent = self.exponent
        low, high = (np.ldexp(end, -exponent) for end in (np.minimum(low, 0), np.maximum(high, 0)))
        nothing = high == low
        floor = np.maximum(np.ldexp(MIN_SCALE, -exponent), _TINY)
        if self.scheme == "symmetric":
            scale, zero = np.maximum(high, -low) / qmax, np.zeros(low.shape)
        else:
            scale = np.maximum((high - low) / (qmax - qmin), floor)
            zero = qmax - np.rint(high / scale)
        scale = np.where(nothing, np.inf, np.maximum(scale, floor))
        return scale, qmin - zero, qmax - zero


Price = Callable[[Array, Array, Array], Array]


def _finalists(groups: _Groups, price: Price) -> tuple[Ends, Array]:
    """Return the ends of the best candidates, best first, shape (groups, candidates), and all errors.

    The errors begin with that of min and max.
    """
    plan = _plan(groups.grid, groups.scheme)

    def errors(factors: Array) -> Array:
        return _errors(price, *groups.codes(*groups.ends(factors, plan.step)))

    first = np.concatenate([plan.first, plan.inner]) if groups.many.any() else plan.first
    factors = np.broadcast_to(first, (len(groups.low), *first.shape))
    error = errors(factors)
    error[~groups.many, len(plan.first) :] = np.inf
    own = error[:, :1].copy()
    best, error = _least(factors, error, plan.starts)
    step = plan.step
    many = groups.many[:, None, None]
    for _ in range(plan.looks):
        step /= _CLOSER
        # The factors of the inner candidates are closer together.
        steps = step * np.where(many & (best > 0), np.minimum(best / plan.step, 1), 1)[:, :, None]
        near = np.clip(best[:, :, None] + plan.near * steps, 0, 1).reshape(len(best), -1, best.shape[-1])
        best, error = _least(
            np.concatenate([best, near], axis=1), np.concatenate([error, errors(near)], axis=1), plan.starts
        )
    return groups.ends(best, plan.step), np.concatenate([own, error], axis=1)


def _errors(price: Price, scale: Array, low: Array, high: Array) -> Array:
    """Return the error of each candidate, inf where it leaves nothing."""
    # All magnitudes are at most 1: a scale of 4 sends them all to 0, as any larger one would.
    error = price(np.clip(scale, _TINY, 4.0), low, high)
    error[np.isinf(scale)] = np.inf
    return error


def _least(factors: Array, error: Array, number: int) -> tuple[Array, Array]:
    """Return the candidates of least error in each group, in order; of equals the first."""
    error, rows = error.copy(), np.arange(len(error))
    chosen, least = [], []
    for _ in range(number):
        at = error.argmin(axis=1)
        chosen.append(factors[rows, at])
        least.append(error[rows, at])
        error[rows, at] = np.inf
    return np.stack(chosen, axis=1), np.stack(least, axis=1)


# --- what they cost -----------------------------------------------------------------------------------------


def _price_of_rows(rows: Array, exponent: Array) -> Price:
    """Return what measures candidates on rows of values."""
    half = exponent // 2  # a power of two that float32 has, whatever the exponent
    one = rows.dtype.type(1)
    scaled = rows * np.ldexp(one, -half) * np.ldexp(one, half - exponent)
    return lambda scale, low, high: search.row_errors(scaled, scale, low, high)


def _price_of_masses(masses: Masses, exponent: Array) -> Price:
    """Return what measures candidates on masses."""
    each = np.repeat(-exponent[:, 0], np.diff(masses.starts))
    places, widths = np.ldexp(masses.low, each), np.ldexp(masses.width, each)
    counts = masses.count.astype(FLOAT64)
    return lambda scale, low, high: search.mass_errors(
        places, scale, low, high, widths, counts, masses.starts
    )
