"""A histogram for data that come in pieces: the same bits for any order, split or tree of merges.

Its bins are powers of two wide and aligned to 0, so that the bins of any two histograms nest: widening
them adds whole neighbours, and nothing is ever shared out. Left out: what to read from it, which is the
subject of the range functions.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from quantnotes import kernels
from quantnotes.checks import NanPolicy, as_int, as_real, check_nan_policy, compute_type, finite_data
from quantnotes.granularity import Axis, BlockSize, Granularity
from quantnotes.ranges import MAX_BINS, Range, range_per_group

_MIN_EXPONENT = -1074  # 2**-1074 is the smallest positive float64
_MAX_EXPONENT = 1023  # 2**1023 is the largest power of two


class Masses(NamedTuple):
    """What the histograms of several groups hold, end to end; the entries of a group go from low to high.

    Entry i of group g, ``starts[g] <= i < starts[g + 1]``, stands for ``count[i]`` values in
    [low[i], low[i] + width[i]); a width of 0 means exactly low[i]. The intervals of a group do not overlap.

    Attributes
    ----------
    low, width : ndarray of float64, shape (entries,)
        In the unit of the data.
    count : ndarray of int64, shape (entries,)
        Never 0.
    starts : ndarray of int64, shape (groups + 1,)
        Where each group begins, and after them the number of entries.
    """

    low: NDArray[np.float64]
    width: NDArray[np.float64]
    count: NDArray[np.int64]  # type: ignore[assignment]  # a tuple has a method of this name
    starts: NDArray[np.int64]


class Histogram:
    """Counts of a stream of numbers in at most `max_bins` bins of width 2**k.

    Bin j is [j * 2**k, (j + 1) * 2**k), half-open, the last one too. k is the smallest for which
    floor(max / 2**k) - floor(min / 2**k) + 1 <= max_bins, and at least the exponent of the last bit of
    the largest magnitude. The state depends on the data alone, never on the order or size of batches.

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

    Attributes
    ----------
    n : int
        How many values have been counted.
    min, max : float
        Smallest and largest value so far, exactly; inf and -inf while empty.
    max_bins : int
        As given.

    Examples
    --------
    >>> h = Histogram(max_bins=4).update([0.0, 1.0, 2.0, 3.0])
    >>> h.update([4.0]).counts, h.edges
    (array([2, 2, 1]), array([0., 2., 4., 6.]))
    """

    __slots__ = ("_counts", "_first", "_k", "max", "max_bins", "min", "n")
    __hash__ = None  # type: ignore[assignment]  # its state changes

    def __init__(self, max_bins: int = 2048) -> None:
        self.max_bins = as_int(max_bins, "max_bins")
        if not 2 <= self.max_bins <= MAX_BINS:
            raise ValueError(f"max_bins must be 2 (one for each sign) to {MAX_BINS}, got {max_bins}")
        self.n, self.min, self.max = 0, math.inf, -math.inf
        self._k, self._first = _MIN_EXPONENT, 0  # the bins are 2**_k wide, and the first is bin _first
        self._counts = np.zeros(0, np.int64)

    @property
    def counts(self) -> NDArray[np.int64]:
        """Values in each bin: int64, shape (bins,), a copy. The first and last bin are never empty."""
        return self._counts.copy()

    @property
    def edges(self) -> NDArray[np.float64]:
        """Bin edges: float64, shape (bins + 1,), or (0,) while empty; the outermost stay finite."""
        if not self.n:
            return np.zeros(0)
        whole = (self._first + np.arange(self._counts.size + 1)).astype(np.float64)
        largest = np.finfo(np.float64).max
        with np.errstate(over="ignore"):
            return np.clip(np.ldexp(whole, self._k), -largest, largest)

    @property
    def width(self) -> float:
        """Width of every bin, 2**k, in the unit of the data; inf where it is past the largest float64."""
        return _power_of_two(self._k)

    def masses(self) -> Masses:
        """Return what is known of the values: bins, and single values as bins without a width.

        Returns
        -------
        Masses
            Of one group. Outermost bins are drawn in to the data's own min and max.

        Examples
        --------
        >>> Histogram(4).update([0.0, 1.0, 2.0, 3.0, 4.0]).masses().count
        array([2, 2, 1])
        """
        edges = self.edges
        if edges.size:
            edges[0], edges[-1] = self.min, self.max
        there = self._counts > 0
        count = self._counts[there]
        starts = np.array([0, count.size], np.int64)
        return Masses(edges[:-1][there], np.diff(edges)[there], count, starts)

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
        bins = self._first + np.arange(self._counts.size)
        bins = np.where(bins < 0, -1 - bins, bins)
        last = int(bins.max(initial=-1))
        shift = 0
        while (last >> shift) >= self.max_bins:
            shift += 1
        counts = np.zeros((last >> shift) + 1, np.int64)
        np.add.at(counts, bins >> shift, self._counts)
        return counts, _power_of_two(self._k + shift)

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
        update_channels([self], x, None, nan)
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
        >>> a, b = Histogram().update([1.0]), Histogram().update([2.0])
        >>> a.merge(b) == Histogram().update([1.0, 2.0])
        True
        """
        if not isinstance(other, Histogram):
            raise TypeError(f"other must be a Histogram, got {type(other).__name__}")
        if other.max_bins != self.max_bins:
            raise ValueError(
                f"max_bins differ: {self.max_bins} and {other.max_bins}; bins would not be comparable"
            )
        if other.n and not self.n:
            self.n, self.min, self.max, self._k, self._first = (
                other.n,
                other.min,
                other.max,
                other._k,
                other._first,
            )
            self._counts = other._counts.copy()
        elif other.n:
            n, k, first, counts = other.n, other._k, other._first, other._counts
            self._widen(other.min, other.max)
            _add(self._counts, self._k, self._first, counts, k, first)
            self.n += n
        return self

    def __or__(self, other: object) -> Histogram:
        """Return the histogram of both, leaving both as they are."""
        if not isinstance(other, Histogram):
            return NotImplemented
        return Histogram(self.max_bins).merge(self).merge(other)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Histogram):
            return NotImplemented
        ours, theirs = (
            (h.max_bins, h.n, h.min, h.max, h._k, h._first, h._counts.tobytes()) for h in (self, other)
        )
        return ours == theirs

    def __repr__(self) -> str:
        bins = f"{self._counts.size} of {self.max_bins}"
        return f"Histogram(n={self.n}, min={self.min}, max={self.max}, bins={bins})"

    def _widen(self, low: float, high: float) -> None:
        """Make room for values from `low` to `high`: new ends, and bins to match, old counts moved over."""
        low, high = min(self.min, low), max(self.max, high)  # no -0.0: the kernels turn it into 0.0
        k = _exponent(low, high, self.max_bins, self._k)
        first = _bin_of(low, k)
        counts = np.zeros(_bin_of(high, k) - first + 1, np.int64)
        _add(counts, k, first, self._counts, self._k, self._first)
        self.min, self.max, self._k, self._first, self._counts = low, high, k, first, counts


def update_channels(
    histograms: Sequence[Histogram], x: ArrayLike, axis: int | None, nan: NanPolicy = "raise"
) -> None:
    """Count each channel of a batch in a histogram of its own, or all of it in the only one.

    Parameters
    ----------
    histograms : sequence of Histogram
        As many as there are channels along `axis`.
    x : array_like
        Finite real numbers.
    axis : int or None
        The channel axis.
    nan : {"raise", "ignore"}, default "raise"
        What to do about NaN.

    Raises
    ------
    TypeError
        If `x` is masked, ragged, complex, text or objects.
    ValueError
        If `x` holds an infinity, or NaN that are not to be ignored. No histogram has been changed then.
    """
    check_nan_policy(nan)
    array = as_real(x)
    axis = None if axis is None else Granularity.of(axis).positions(array.ndim)[0]
    batch = [Histogram(h.max_bins) for h in histograms]  # a value that is refused must change nothing
    for part, place in kernels.parts(array) if array.size else ():  # no elements, or not even channels
        here = batch if axis is None else batch[place[axis]]
        low, high = (np.atleast_1d(end) for end in kernels.minmax(part, compute_type(part.dtype), axis))
        if np.isfinite(low).all() and np.isfinite(high).all():
            _count(here, part, low, high, axis)
            continue
        for h, channel in zip(here, [part] if axis is None else np.moveaxis(part, axis, 0), strict=True):
            data, least, most = finite_data(channel, nan, whole=array)
            if data.size:
                _count([h], data, [least], [most], None)
    for h, more in zip(histograms, batch, strict=True):
        h.merge(more)


def _count(
    histograms: Sequence[Histogram], data: NDArray[Any], low: Any, high: Any, axis: int | None
) -> None:
    """Count finite data, the channels of which go from `low` to `high`."""
    for h, least, most in zip(histograms, low, high, strict=True):
        if least < h.min or most > h.max:
            h._widen(float(least), float(most))
        h.n += data.size // len(histograms)
    # Exact in float32 too: these are bins of one batch, a float32 is in the first of them, and the floor of a
    # float32 is one.
    bins = [kernels.Bins(h._k, h._first, h._counts) for h in histograms]
    kernels.count_bins(data, bins, compute_type(data.dtype), axis)


def range_of(
    x: ArrayLike | Histogram,
    axis: Axis,
    nan: NanPolicy,
    one: Callable[[Any], tuple[float, float]],
    block_size: BlockSize = None,
) -> Range:
    """Apply `one` to a histogram, to a whole array, or to each channel of it; return the range or ranges.

    Raises
    ------
    TypeError
        If `x` is neither a Histogram nor an array of real numbers, or `axis` no integer.
    ValueError
        If there are no values, a histogram is asked for channels, or `per_channel` or `one` says so.
    """
    if not isinstance(x, Histogram):
        per_row = lambda rows: tuple(np.array([one(row) for row in rows]).T)  # noqa: E731
        return range_per_group(x, Granularity.of(axis, block_size), nan, per_row)
    check_nan_policy(nan)
    if axis is not None or block_size is not None:
        raise ValueError("a Histogram has no channels: keep one for each, as Calibrator does with axis=")
    if not x.n:
        raise ValueError("the histogram is empty: there is no range to take")
    return Range(*one(x))


def _add(
    counts: NDArray[np.int64], k: int, first: int, others: NDArray[np.int64], their_k: int, theirs: int
) -> None:
    """Add counts in bins of width 2**their_k to those in the wider or equal bins of width 2**k."""
    if others.size:
        bins = (theirs + np.arange(others.size)) >> min(k - their_k, 63)
        np.add.at(counts, bins - first, others)


def _power_of_two(exponent: int) -> float:
    return math.ldexp(1.0, exponent) if exponent <= _MAX_EXPONENT else math.inf


def _bin_of(value: float, k: int) -> int:
    """Return floor(value / 2**k), -1 for a negative value that the division rounds to 0."""
    bin_number = math.floor(math.ldexp(value, -k))
    return -1 if value < 0 and bin_number == 0 else bin_number


def _exponent(low: float, high: float, max_bins: int, at_least: int) -> int:
    """Return the smallest k >= at_least that is allowed and needs no more than `max_bins` bins."""
    last_bit = math.frexp(math.ulp(max(-low, high)))[1] - 1
    k = max(last_bit, at_least, _MIN_EXPONENT)
    half_width = (high / 2 - low / 2) / max_bins
    if half_width > 0:
        k = max(
            k, math.frexp(half_width)[1] - 1
        )  # 2**k <= half_width, and max_bins * 2**k must exceed the width
    while _bin_of(high, k) - _bin_of(low, k) + 1 > max_bins:
        k += 1
    return k
