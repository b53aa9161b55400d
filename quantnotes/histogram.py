"""A histogram for data that come in pieces: the same bits for any order, split or tree of merges.

While there are few distinct values it keeps them as they are. After that its bins are powers of two wide and
aligned to 0, so that the bins of any two histograms nest: widening them adds whole neighbours, and no count
is ever divided. A :class:`Stack` is many histograms at once, a `Histogram` a stack of one.

Not covered: which range to take from it, see the range functions.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from quantnotes import kernels
from quantnotes.checks import NanPolicy, as_int, as_real, check_nan_policy, compute_type, nan_error
from quantnotes.granularity import Axis, BlockSize, Granularity
from quantnotes.kernels import Bins
from quantnotes.kernels.parts import PART
from quantnotes.ranges import MAX_BINS

Array = NDArray[Any]

_MIN_EXPONENT = -1074  # 2**-1074 is the smallest positive float64
_MAX_EXPONENT = 1023  # 2**1023 is the largest power of two
_RUN = 1 << 16  # values that are sorted at once: they fit the cache


class Masses(NamedTuple):
    """What the histograms of several groups hold, end to end; the entries of a group go from low to high.

    Entry i of group g, ``starts[g] <= i < starts[g + 1]``, stands for ``count[i]`` values in
    [low[i], low[i] + width[i]); a width of 0 means exactly low[i]. The intervals of a group do not overlap.
    Its first entry is exactly its smallest value, its last one exactly the largest.

    Attributes
    ----------
    low, width : ndarray of float64, shape (entries,)
        In the unit of the data.
    count : ndarray of int64, shape (entries,)
        Never 0.
    starts : ndarray of intp, shape (groups + 1,)
        Where each group begins, and after them the number of entries.
    """

    low: NDArray[np.float64]
    width: NDArray[np.float64]
    count: NDArray[np.int64]  # type: ignore[assignment]  # a tuple has a method of this name
    starts: NDArray[np.intp]


class Points(NamedTuple):
    """The distinct values of several groups, end to end, ascending in each group, and how many of each."""

    values: NDArray[np.float64]
    weights: NDArray[np.int64]
    starts: NDArray[np.intp]  # one more than there are groups

    @classmethod
    def none(cls, groups: int) -> Points:
        return cls(np.zeros(0), np.zeros(0, np.int64), np.zeros(groups + 1, np.intp))

    @classmethod
    def of_rows(cls, rows: Array) -> Points:
        """Return the values of each row of floats, without NaN."""
        ordered = np.sort(rows + 0, axis=1)  # + 0 turns -0.0 into 0.0
        new = np.ones(ordered.shape, bool)
        np.not_equal(ordered[:, 1:], ordered[:, :-1], out=new[:, 1:])
        begin = np.flatnonzero(new)
        values = ordered.reshape(-1)[begin].astype(np.float64)
        weights = np.diff(begin, append=ordered.size).astype(np.int64)
        real = ~np.isnan(values)
        sizes = np.bincount(begin[real] // rows.shape[1], minlength=len(rows))
        return cls(values[real], weights[real], _starts(sizes))

    @property
    def groups(self) -> NDArray[np.intp]:
        """The group of each value."""
        return _groups(self.starts)

    def only(self, keep: NDArray[np.bool]) -> Points:
        """Return the values of some groups; the others have none."""
        if keep.all():
            return self
        there = keep[self.groups]
        return Points(self.values[there], self.weights[there], _starts(np.diff(self.starts) * keep))

    def __or__(self, other: Points) -> Points:
        """Return the values of both."""
        if not self.values.size:
            return other
        groups = other.groups
        ours, theirs = (in_order(points.groups, points.values) for points in (self, other))
        at = np.searchsorted(ours, theirs)
        new = ours[np.minimum(at, ours.size - 1)] != theirs
        weights = self.weights.copy()
        weights[at[~new]] += other.weights[~new]
        return Points(
            np.insert(self.values, at[new], other.values[new]),
            np.insert(weights, at[new], other.weights[new]),
            self.starts + _starts(np.bincount(groups[new], minlength=self.starts.size - 1)),
        )


@dataclass(frozen=True, eq=False)
class Stack:
    """The histograms of several groups. It is a value: merging makes a new one, and nothing in it changes.

    A group is `exact` while it has at most `max_bins` distinct values: then it has points and no bins. All
    others have bins and no points. With a `max_bins` of 0 the stack knows only how many values there are, the
    smallest and the largest; everything else is empty.
    """

    max_bins: int
    n: NDArray[np.int64]  # values of each group
    exact: NDArray[np.bool]
    points: Points
    bins: Bins

    @classmethod
    def empty(cls, groups: int, max_bins: int) -> Stack:
        nowhere, known = np.full(groups, np.inf), groups if max_bins else 0
        k, first, sizes = np.zeros(known, np.int32), np.zeros(known, np.int64), np.zeros(known, np.int64)
        bins = Bins.empty(k, first, sizes, nowhere, -nowhere)
        n, exact = np.zeros(groups, np.int64), np.ones(known, bool)
        return cls(max_bins, n, exact, Points.none(known), bins)

    @classmethod
    def of_points(cls, points: Points, max_bins: int) -> Stack:
        """Return the histograms of any number of points."""
        begin, end = points.starts[:-1], points.starts[1:]
        there = begin < end
        low, high, n = (
            np.full(there.size, np.inf),
            np.full(there.size, -np.inf),
            np.zeros(there.size, np.int64),
        )
        low[there], high[there] = points.values[begin[there]], points.values[end[there] - 1]
        piles = np.zeros((3, there.size), np.int64)
        piles[0, there], piles[2, there] = points.weights[begin[there]], points.weights[end[there] - 1]
        zero = points.values == 0
        piles[1, points.groups[zero]] = points.weights[zero]
        n[there] = np.add.reduceat(points.weights, begin[there]) if there.any() else 0
        return _settled(max_bins, n, low, high, piles, points, (points,), ())

    def among(self, groups: int, places: NDArray[np.int64]) -> Stack:
        """Return this stack as a part of a larger one, the other groups of which are empty."""
        if places.size == groups:
            return self
        whole = Stack.empty(groups, self.max_bins)
        if not self.max_bins:
            n, low, high = whole.n, whole.bins.low, whole.bins.high
            n[places], low[places], high[places] = self.n, self.bins.low, self.bins.high
            return whole
        for ours, theirs in [
            (whole.n, self.n),
            (whole.exact, self.exact),
            (whole.bins.k, self.bins.k),
            (whole.bins.first, self.bins.first),
            (whole.bins.low, self.bins.low),
            (whole.bins.high, self.bins.high),
        ]:
            ours[places] = theirs
        whole.bins.piles[:, places] = self.bins.piles
        sizes = np.zeros((2, groups), np.int64)
        sizes[:, places] = np.diff(self.points.starts), np.diff(self.bins.starts)
        return replace(
            whole,
            points=self.points._replace(starts=_starts(sizes[0])),
            bins=whole.bins._replace(counts=self.bins.counts, starts=_starts(sizes[1])),
        )

    def merge(self, other: Stack) -> Stack:
        """Return the histograms of the data of both; `max_bins` and the number of groups are the same."""
        ours, theirs = self.bins, other.bins
        low, high = np.minimum(ours.low, theirs.low), np.maximum(ours.high, theirs.high)
        n = self.n + other.n
        if not self.max_bins:
            return _ends_alone(n, low, high)
        if not self.n.any() or not other.n.any():
            return self if self.n.any() else other
        piles = ours.piles + theirs.piles
        piles[0] = ours.piles[0] * (ours.low == low) + theirs.piles[0] * (theirs.low == low)
        piles[2] = ours.piles[2] * (ours.high == high) + theirs.piles[2] * (theirs.high == high)
        both = self.exact & other.exact
        points = self.points.only(both) | other.points.only(both)
        sources = (self.points, other.points), (ours, theirs)
        return _settled(self.max_bins, n, low, high, piles, points, *sources, exact=both)

    def binned(self) -> Bins:
        """Return the bins of all groups, also of those whose values are known."""
        if not self.exact.any():
            return self.bins
        return rebinned(
            self.max_bins, self.n > 0, self.bins.low, self.bins.high, (self.points,), (self.bins,)
        )

    def masses(self) -> Masses:
        """Return all that is known of the values: single ones, and bins elsewhere."""
        if self.exact.all():
            values, weights, starts = self.points
            return Masses(values.copy(), np.zeros(values.size), weights.copy(), starts.astype(np.intp))
        bins, low, high = self.bins, self.bins.low, self.bins.high
        binned = np.flatnonzero(np.diff(bins.starts))
        begin, last = bins.starts[binned], bins.starts[binned + 1] - 1
        groups = _groups(bins.starts)
        number = bins.first[groups] - bins.starts[groups] + np.arange(groups.size, dtype=np.int64)
        left = np.maximum(_edge(number, bins.k[groups]), low[groups])
        right = np.minimum(_edge(number + 1, bins.k[groups]), high[groups])
        inside = (low[binned] < 0) & (high[binned] > 0)  # else 0 is an end, or not there
        middle = binned[inside]
        at_zero = begin[inside] - bins.first[middle]
        counts = bins.counts.copy()
        counts[begin] -= bins.piles[0, binned]
        counts[at_zero] -= bins.piles[1, middle]
        counts[last] -= bins.piles[2, binned]
        # The single values, in the order of the groups, and before which bin each belongs.
        owners = np.concatenate([self.points.groups, binned, middle, binned])
        order = np.argsort(owners, kind="stable")
        owners = owners[order]
        places = np.concatenate([bins.starts[self.points.groups], begin, at_zero, last + 1])[order]
        values = np.concatenate([self.points.values, low[binned], np.zeros(middle.size), high[binned]])[order]
        piles = bins.piles[0, binned], bins.piles[1, middle], bins.piles[2, binned]
        weights = np.concatenate([self.points.weights, *piles])[order]
        count = np.insert(counts, places, weights)
        there = count > 0
        lows = np.insert(left, places, values)[there]
        width = np.insert(right - left, places, np.zeros(places.size))[there]
        sizes = np.bincount(np.insert(groups, places, owners)[there], minlength=self.n.size)
        return Masses(lows, width, count[there], _starts(sizes))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Stack):
            return NotImplemented
        arrays = [(s.n, s.exact, *s.points, *s.bins) for s in (self, other)]
        return self.max_bins == other.max_bins and all(map(np.array_equal, *arrays))

    __hash__ = None  # type: ignore[assignment]


def _starts(sizes: Array) -> NDArray[np.intp]:
    """Return where each run of some sizes begins, and after them where the last one ends."""
    starts = np.zeros(len(sizes) + 1, np.intp)
    np.cumsum(sizes, dtype=np.intp, out=starts[1:])
    return starts


def _groups(starts: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return the number of the run that each entry belongs to."""
    return np.repeat(np.arange(starts.size - 1), np.diff(starts).astype(np.intp))


def in_order(groups: Array, values: Array) -> NDArray[np.complex128]:
    """Return numbers of the order (group, value): NumPy compares the real parts of complex numbers first."""
    both = np.empty(values.size, np.complex128)
    both.real, both.imag = groups, values
    return both


def _edge(number: Array, k: Array) -> NDArray[np.float64]:
    """Return number * 2**k; beyond the largest float64, that one."""
    largest = np.finfo(np.float64).max
    with np.errstate(over="ignore"):
        return np.clip(np.ldexp(number.astype(np.float64), k), -largest, largest)


def _bin_of(values: Array, k: Array) -> NDArray[np.int64]:
    """Return floor(value / 2**k), -1 for a negative value that the division rounds to 0."""
    number = np.floor(np.ldexp(values, -k))
    return np.where((values < 0) & (number == 0), -1, number).astype(np.int64)


def _layout(low: Array, high: Array, max_bins: int) -> tuple[Array, Array, Array]:
    """Return k, the first bin and the number of bins for data from `low` to `high`."""
    largest, half_width = np.maximum(-low, high), (high / 2 - low / 2) / max_bins
    k = np.where(largest > 0, np.frexp(largest)[1] - 53, _MIN_EXPONENT)  # the exponent of its last bit
    k = np.maximum(k, np.where(half_width > 0, np.frexp(half_width)[1] - 1, _MIN_EXPONENT))
    k = np.maximum(k, _MIN_EXPONENT).astype(np.int32)
    while True:
        first = _bin_of(low, k)
        sizes = _bin_of(high, k) - first + 1
        if (sizes <= max_bins).all():
            return k, first, sizes
        k += sizes > max_bins


def rebinned(
    max_bins: int, binned: Array, low: Array, high: Array, points: tuple[Points, ...], bins: tuple[Bins, ...]
) -> Bins:
    """Return the bins of the groups `binned`, filled from points and from bins that are no wider."""
    k, first, sizes = (
        part * binned for part in _layout(np.where(binned, low, 0.0), np.where(binned, high, 0.0), max_bins)
    )
    result = Bins.empty(k.astype(np.int32), first, sizes, low, high)
    counts, starts = result.counts, result.starts
    for theirs in bins:
        if np.array_equal(theirs.k, k) and np.array_equal(theirs.starts, starts):
            counts += theirs.counts
            continue
        there = np.flatnonzero(theirs.counts)
        group = np.searchsorted(theirs.starts, there, side="right") - 1
        number = theirs.first[group] + there - theirs.starts[group]
        number >>= np.minimum(k[group] - theirs.k[group], 63)
        np.add.at(counts, starts[group] + number - first[group], theirs.counts[there])
    for more in points:
        values, weights, _ = more = more.only(binned)
        group = more.groups
        np.add.at(counts, starts[group] + _bin_of(values, k[group]) - first[group], weights)
    return result


def _settled(
    max_bins: int,
    n: Array,
    low: Array,
    high: Array,
    piles: Array,
    points: Points,
    from_points: tuple[Points, ...],
    from_bins: tuple[Bins, ...],
    exact: Array | None = None,
) -> Stack:
    """Keep the points of groups that have few enough of them, and make bins for all others."""
    few = np.diff(points.starts) <= max_bins
    exact = few if exact is None else few & exact
    bins = rebinned(max_bins, ~exact, low, high, from_points, from_bins)
    return Stack(max_bins, n, exact, points.only(exact), bins._replace(piles=piles))


# --- counting a batch ---------------------------------------------------------------------------------------


def count(
    x: Array, granularity: Granularity, max_bins: int, nan: NanPolicy, exact: NDArray[np.bool] | None = None
) -> Stack:
    """Return the histograms of a batch, one for each group.

    Parameters
    ----------
    x : ndarray
        Finite real numbers.
    granularity : Granularity
        What a group is.
    max_bins : int
        As of `Histogram`; 0 for the number of values, the smallest and the largest alone.
    nan : {"raise", "ignore"}
        What to do about NaN.
    exact : ndarray of bool, shape (groups,), optional
        False for groups whose single values are of no use: they are counted into bins at once.

    Raises
    ------
    ValueError
        If `x` lacks an axis, holds an infinity, or NaN that are not to be ignored.
    """
    check_nan_policy(nan)
    shape = granularity.shape(x.shape)
    groups = math.prod(shape)
    exact = np.ones(groups, bool) if exact is None else exact
    if not x.size:
        return Stack.empty(groups, max_bins)
    if granularity.blocks is None and len(granularity.axes) <= 1:
        return _counted(x, (*granularity.positions(x.ndim), None)[0], max_bins, exact, nan, x)
    numbers = np.arange(groups, dtype=np.int64).reshape(shape)
    total = Stack.empty(groups, max_bins)
    for place, rows in granularity.group(x):
        places = numbers[place].reshape(-1)
        total = total.merge(_counted(rows, 0, max_bins, exact[places], nan, x).among(groups, places))
    return total


def _counted(
    x: Array, axis: int | None, max_bins: int, exact: Array, nan: NanPolicy, whole: Array, size: int = PART
) -> Stack:
    """Count the groups along an axis, part by part. An error counts the NaN of the whole batch."""
    if x.size <= size:
        return _count_part(x, axis, max_bins, exact, nan, whole)
    total = Stack.empty(exact.size, max_bins)
    for part, place in kernels.parts(x, size):
        cut = slice(None) if axis is None else place[axis]
        still = exact[cut] & total.exact[cut] if max_bins else exact[cut]
        stack = _count_part(part, axis, max_bins, still, nan, whole)
        total = total.merge(stack.among(exact.size, np.arange(exact.size, dtype=np.int64)[cut]))
    return total


def _count_part(
    x: Array, axis: int | None, max_bins: int, exact: Array, nan: NanPolicy, whole: Array
) -> Stack:
    compute, groups = compute_type(x.dtype), exact.size
    ends = kernels.minmax(x, compute, axis).reshape(2, groups)
    low, high = ends
    values = x.size // groups
    if not np.isfinite(ends).all():
        if nan == "raise" and np.isnan(low).any():
            raise nan_error(whole, "x", 'drop them, or pass nan="ignore"')
        return _count_rows(_rows(x, axis, compute), max_bins)
    if not max_bins:
        return _ends_alone(np.full(groups, values, np.int64), low, high)
    few = _has_few(x, axis, max_bins, exact)
    if few.any() and not few.all():
        total = Stack.empty(groups, max_bins)
        for some in (few, ~few):
            part = np.compress(some, x, axis)
            stack = _count_part(part, axis, max_bins, few[some], nan, whole)
            total = total.merge(stack.among(groups, np.flatnonzero(some)))
        return total
    if not few.any():
        bins = Bins.empty(*_layout(low, high, max_bins), low, high)
        kernels.count_bins(x, bins, compute, axis)
        n = np.full(groups, values, np.int64)
        return Stack(max_bins, n, few, Points.none(groups), bins)
    if values > max(_RUN, 2 * max_bins):
        return _counted(x, axis, max_bins, few, nan, whole, size=_RUN * groups)
    return Stack.of_points(Points.of_rows(_rows(x, axis, compute)), max_bins)


def _rows(x: Array, axis: int | None, compute: np.dtype[Any]) -> Array:
    """Return the groups along an axis as rows."""
    groups = x[None] if axis is None else np.moveaxis(x, axis, 0)
    return groups.reshape(len(groups), -1).astype(compute, copy=False)


def _has_few(x: Array, axis: int | None, max_bins: int, exact: Array) -> NDArray[np.bool]:
    """Tell for which of the groups `exact` a first look leaves it open that they have few distinct values."""
    look, values, few = 2 * max_bins, x.size // exact.size, exact.copy()
    if values > look and exact.any():
        groups = x[None] if axis is None else np.moveaxis(x, axis, 0)
        enough = groups[:, : -(-look * groups.shape[1] // values)][exact]
        ordered = np.sort(_rows(enough, 0, compute_type(x.dtype))[:, :look], axis=1)
        few[exact] = np.count_nonzero(ordered[:, 1:] != ordered[:, :-1], axis=1) < max_bins
    return few


def _count_rows(rows: Array, max_bins: int) -> Stack:
    """Count rows that may hold NaN, which are left out, and infinities, which are refused."""
    holes = np.isnan(rows)
    low = np.where(holes, np.inf, rows).min(axis=1).astype(np.float64)
    high = np.where(holes, -np.inf, rows).max(axis=1).astype(np.float64)
    n = np.count_nonzero(~holes, axis=1).astype(np.int64)
    if np.isinf(rows).any():
        ends = f"min {low.min()}, max {high.max()}"
        raise ValueError(f"x holds an infinity ({ends}): a range must be finite")
    if not max_bins:
        return _ends_alone(n, low + 0.0, high + 0.0)
    total = Stack.empty(n.size, max_bins)
    for i in range(0, rows.shape[1], _RUN):
        total = total.merge(Stack.of_points(Points.of_rows(rows[:, i : i + _RUN]), max_bins))
    return total


def _ends_alone(n: Array, low: Array, high: Array) -> Stack:
    bins = NO_GROUPS.bins._replace(low=low, high=high)
    return Stack(0, n, NO_GROUPS.exact, NO_GROUPS.points, bins)


NO_GROUPS = Stack.empty(0, 0)  # such as a Calibrator has before the first batch


# --- one histogram ------------------------------------------------------------------------------------------


class Histogram:
    """What is known of a stream of numbers: single values while they are few, then counts in `max_bins` bins.

    Bin j is [j * 2**k, (j + 1) * 2**k), half-open, the last one too. k is the smallest for which
    floor(max / 2**k) - floor(min / 2**k) + 1 <= max_bins, and at least the exponent of the last bit of
    the largest magnitude. The state depends on the data alone, never on the order or size of batches.

    Range functions take a Histogram instead of data. Their answer is that of the data themselves while
    there are at most `max_bins` distinct values. How many values are exactly the smallest, the largest or 0
    is always known.

    Parameters
    ----------
    max_bins : int, default 2048
        2 to 2**24. Between max_bins / 2 and max_bins bins are in use once the data are spread out.

    Raises
    ------
    TypeError
        If `max_bins` is no integer.
    ValueError
        If `max_bins` is below 2 or above 2**24.

    Examples
    --------
    >>> h = Histogram(max_bins=4).update([0.0, 1.0, 2.0, 3.0])
    >>> h.update([4.0]).counts, h.edges
    (array([2, 2, 1]), array([0., 2., 4., 6.]))
    """

    __slots__ = ("_stack",)
    __hash__ = None  # type: ignore[assignment]  # its state changes

    def __init__(self, max_bins: int = 2048) -> None:
        self._stack = Stack.empty(1, check_max_bins(max_bins))

    @property
    def max_bins(self) -> int:
        """The largest number of bins, and of single values."""
        return self._stack.max_bins

    @property
    def n(self) -> int:
        """How many values have been counted."""
        return int(self._stack.n[0])

    @property
    def min(self) -> float:
        """The smallest value so far, exactly; inf while empty."""
        return float(self._stack.bins.low[0])

    @property
    def max(self) -> float:
        """The largest value so far, exactly; -inf while empty."""
        return float(self._stack.bins.high[0])

    @property
    def counts(self) -> NDArray[np.int64]:
        """Values in each bin: int64, shape (bins,), a copy. The first and last bin are never empty."""
        return self._stack.binned().counts.copy()

    @property
    def edges(self) -> NDArray[np.float64]:
        """Bin edges: float64, shape (bins + 1,), or (0,) while empty; the outermost stay finite."""
        bins = self._stack.binned()
        if not self.n:
            return np.zeros(0)
        return _edge(bins.first + np.arange(bins.counts.size + 1, dtype=np.int64), bins.k)

    @property
    def width(self) -> float:
        """Width of every bin, 2**k, in the unit of the data; inf where it is past the largest float64."""
        return _power_of_two(int(self._stack.binned().k[0]))

    def masses(self) -> Masses:
        """Return all that is known of the values: single ones, and bins elsewhere.

        Returns
        -------
        Masses
            Of one group. The outermost bins end at the data's own min and max.

        Examples
        --------
        >>> Histogram(4).update([0.0, 1.0, 1.0, 3.0]).masses().low
        array([0., 1., 3.])
        >>> Histogram(4).update([0.0, 1.0, 2.0, 3.0, 4.0]).masses().width  # 0 is known, and 4
        array([0., 2., 2., 0.])
        """
        return self._stack.masses()

    def magnitudes(self) -> tuple[NDArray[np.int64], float]:
        """Return how many magnitudes lie in each of at most `max_bins` bins from 0 upwards, and their width.

        Returns
        -------
        counts : ndarray of int64, shape (bins,)
            Bin j holds [j * width, (j + 1) * width) and its mirror image; the last one is never empty.
        width : float
            A power of two, :attr:`width` or a wider one where the data lie far from 0.

        Examples
        --------
        >>> Histogram(4).update([-2.5, -0.5, 0.0, 3.0]).magnitudes()
        (array([2, 2]), 2.0)
        """
        binned = self._stack.binned()
        bins = binned.first + np.arange(binned.counts.size, dtype=np.int64)
        bins = np.where(bins < 0, -1 - bins, bins)
        last = int(bins.max(initial=-1))
        shift = 0
        while (last >> shift) >= self.max_bins:
            shift += 1
        counts = np.zeros((last >> shift) + 1, np.int64)
        np.add.at(counts, bins >> shift, binned.counts)
        return counts, _power_of_two(int(binned.k[0]) + shift)

    def update(self, x: ArrayLike, nan: NanPolicy = "raise") -> Histogram:
        """Count a batch.

        Parameters
        ----------
        x : array_like
            Finite real numbers, any shape; none at all changes nothing.
        nan : {"raise", "ignore"}, default "raise"
            What to do about NaN.

        Returns
        -------
        Histogram
            This one.

        Raises
        ------
        TypeError
            If `x` is masked, ragged, complex, text or objects.
        ValueError
            If `x` holds an infinity, or NaN that are not to be ignored. The histogram is unchanged then.

        Examples
        --------
        >>> Histogram().update([1.0, 2.0]).update([3.0]).n
        3
        """
        array = as_real(x)
        batch = count(array, Granularity(), self.max_bins, nan, self._stack.exact)
        self._stack = self._stack.merge(batch)
        return self

    def merge(self, other: Histogram) -> Histogram:
        """Add the counts of another histogram to this one.

        Parameters
        ----------
        other : Histogram
            One of the same `max_bins`; it is left as it is.

        Returns
        -------
        Histogram
            This one.

        Raises
        ------
        TypeError
            If `other` is no Histogram.
        ValueError
            If its `max_bins` differs.

        Examples
        --------
        >>> Histogram().update([1.0]).merge(Histogram().update([2.0]))
        Histogram(n=2, min=1.0, max=2.0, bins=1025 of 2048)
        """
        if not isinstance(other, Histogram):
            raise TypeError(f"other must be a Histogram, got {type(other).__name__}")
        if other.max_bins != self.max_bins:
            raise ValueError(
                f"max_bins differ: {self.max_bins} and {other.max_bins}; bins would not be comparable"
            )
        self._stack = self._stack.merge(other._stack)
        return self

    def __or__(self, other: object) -> Histogram:
        """Return the histogram of both, leaving both as they are."""
        if not isinstance(other, Histogram):
            return NotImplemented
        return Histogram(self.max_bins).merge(self).merge(other)

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return all that the histogram knows as arrays by name, such as `numpy.savez` takes.

        Examples
        --------
        >>> arrays = Histogram().update([1.0, 2.0]).to_arrays()
        >>> arrays["points_values"]
        array([1., 2.])
        >>> Histogram.from_arrays(arrays)
        Histogram(n=2, min=1.0, max=2.0, bins=1025 of 2048)
        """
        stack = self._stack
        head = {"max_bins": np.array(stack.max_bins, np.int64), "n": stack.n, "exact": stack.exact}
        points = stack.points._replace(starts=stack.points.starts.astype(np.int64))  # on 32 bits too
        parts = {"points": points._asdict(), "bins": stack.bins._asdict()}
        return head | {f"{part}_{name}": x for part, named in parts.items() for name, x in named.items()}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Any]) -> Histogram:
        """Return the histogram that :meth:`to_arrays` took apart.

        Raises
        ------
        ValueError
            If an array is missing, or is not what it would be.
        """
        made = cls(int(arrays["max_bins"]) if "max_bins" in arrays else 2048)
        try:
            old = made.to_arrays()
            new = {name: np.asarray(arrays[name]) for name in old}
            if any(new[name].dtype != x.dtype or new[name].ndim != x.ndim for name, x in old.items()):
                raise ValueError("an array has another type")
            points = Points(**{name: new[f"points_{name}"] for name in Points._fields})
            points = points._replace(starts=points.starts.astype(np.intp))
            bins = Bins(**{name: new[f"bins_{name}"] for name in Bins._fields})
            counted = int(points.weights.sum()) + int(bins.counts.sum())
            if new["n"].shape != (1,) or int(new["n"][0]) != counted or (new["bins_counts"] < 0).any():
                raise ValueError("the counts do not add up")
        except (KeyError, ValueError) as error:
            raise ValueError(f"the arrays are not those of a Histogram: {error}") from None
        made._stack = Stack(made.max_bins, new["n"], new["exact"], points, bins)
        return made

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Histogram):
            return NotImplemented
        return self._stack == other._stack

    def __repr__(self) -> str:
        bins = f"{self.counts.size} of {self.max_bins}"
        return f"Histogram(n={self.n}, min={self.min}, max={self.max}, bins={bins})"


def check_max_bins(max_bins: object) -> int:
    """Return `max_bins` as an int, or raise TypeError or ValueError."""
    number = as_int(max_bins, "max_bins")
    if not 2 <= number <= MAX_BINS:
        raise ValueError(f"max_bins must be 2 (one for each sign) to {MAX_BINS}, got {max_bins}")
    return number


def _power_of_two(exponent: int) -> float:
    return math.ldexp(1.0, exponent) if exponent <= _MAX_EXPONENT else math.inf


def masses_of(h: Histogram, axis: Axis, block_size: BlockSize, nan: NanPolicy) -> Masses:
    """Return the masses of a histogram that a range function was called with.

    Raises
    ------
    ValueError
        If it is empty, asked for channels, or `nan` is unknown.
    """
    check_nan_policy(nan)
    if axis is not None or block_size is not None:
        raise ValueError("a Histogram has no channels: keep one for each, as Calibrator does with axis=")
    if not h.n:
        raise ValueError("the histogram is empty: there is no range to take")
    return h.masses()
