"""Hall 5, histograms: is every value counted once, in the bin where it lies?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from quantnotes.checks import NanPolicy, as_real
from quantnotes.course.museum.cases import Array, Exhibit, specimen
from quantnotes.histogram import Histogram, Points, Stack, range_of, rebinned
from quantnotes.outliers import histogram_range
from quantnotes.ranges import Range, minmax_range

_update, _merge = Histogram.update, Histogram.merge  # the right ones

_BELL = np.random.default_rng(0).standard_normal(400)


def _counts(*batches: ArrayLike, bins: int = 16, low: float = -4.0, high: float = 4.0) -> Exhibit:
    """Counts over the places from `low` to `high`, whatever bins the histogram has chosen."""
    places = np.linspace(low, high, 129)[:-1] + (high - low) / 256

    def of(qn: Any) -> Any:
        h = qn.Histogram(bins)
        for batch in batches:
            h.update(batch)
        bin_of = np.searchsorted(h.edges, places, side="right") - 1
        inside = (bin_of >= 0) & (bin_of < h.counts.size)
        return np.where(inside, h.counts[np.clip(bin_of, 0, h.counts.size - 1)], 0)

    return Exhibit(of, places, "value", "count of its bin")


def _merged(qn: Any) -> Any:
    h = qn.Histogram(16).update(_BELL[:200]).merge(qn.Histogram(16).update(np.abs(_BELL[200:]) + 1))
    return np.pad(h.counts, (0, 16))[:16]


def _many(qn: Any, n: int) -> Any:
    """2**24 - 3 + n zeros in one histogram, most of them by merging."""
    h = qn.Histogram().update(np.zeros(2**20 - 3))
    for _ in range(15):
        h.merge(qn.Histogram().update(np.zeros(2**20)))
    return h.update(np.zeros(n))


ADDED = np.arange(8)
MANY = Exhibit(
    lambda qn: [_many(qn, int(n)).counts.sum() - 2**24 for n in ADDED],
    ADDED - 3,
    "values counted, less 2**24",
    "count, less 2**24",
)
MERGED = Exhibit(_merged, np.arange(16), "bin, merged with larger values", "count", dots=True)
KEEPS = np.linspace(0.5, 0.99, 30)
_TAILED = np.random.default_rng(1).standard_exponential(2000)


def _kept(data: Array) -> Exhibit:
    def of(qn: Any) -> Any:
        ends = [qn.histogram_range(data, keep) for keep in KEEPS]
        return [np.mean((data >= low) & (data <= high)) for low, high in ends]

    return Exhibit(of, KEEPS, "share to be kept", "share kept")


KEPT, KEPT_OF_TWO_DIMENSIONS = _kept(_TAILED), _kept(_TAILED.reshape(40, 50))
HALF_AT_MAXIMUM = _kept(np.append(np.linspace(0, 0.5, 1000), np.ones(1000)))


@specimen(
    "histogram",
    "Histogram.update",
    mistake="counts are kept in float32",
    effect="from 2**24 values in a bin on, one more adds nothing: frequent values are forgotten",
    exhibit=MANY,
    report="NVIDIA/TensorRT#2757",
)
def counts_in_float32(self: Histogram, x: ArrayLike, nan: NanPolicy = "raise") -> Histogram:
    _update(self, x, nan)
    points, bins = self._stack.points, self._stack.bins
    weights, counts = (part.astype(np.float32).astype(np.int64) for part in (points.weights, bins.counts))
    self._stack = replace(
        self._stack, points=points._replace(weights=weights), bins=bins._replace(counts=counts)
    )
    return self


@specimen(
    "histogram",
    "Histogram.update",
    mistake="truncates to the bin's number, in the place of floor",
    effect="the bin of 0 takes in the one below it, and what is negative moves up by one bin",
    exhibit=_counts(_BELL),
)
def bins_by_truncation(self: Histogram, x: ArrayLike, nan: NanPolicy = "raise") -> Histogram:
    return count(self, x, nan, lambda data, k: np.trunc(np.ldexp(data, -k)))


@specimen(
    "histogram",
    "Histogram.update",
    mistake="the last bin takes in its right edge, as np.histogram's does",
    effect="a batch's largest value, if it is a round one, is counted one bin too low: batches matter",
    exhibit=_counts([0.0, 1.0, 2.0, 3.0], [0.0, 1.0, 2.0, 3.0, 5.0], bins=8, low=0.0, high=6.0),
)
def right_edge_taken_in(self: Histogram, x: ArrayLike, nan: NanPolicy = "raise") -> Histogram:
    def bins_of(data: Array, k: Array) -> Array:
        bins = np.floor(np.ldexp(data, -k))
        return np.where((data == data.max()) & (np.ldexp(data, -k) == bins), bins - 1, bins)

    return count(self, x, nan, bins_of)


@specimen(
    "histogram",
    "Histogram.update",
    mistake="the first batch sets the range, and later values are clipped to it",
    effect="right if the first batch is typical; after a batch of zeros nothing else is ever seen",
    exhibit=_counts(_BELL[:20], _BELL[20:]),
)
def range_of_the_first_batch(self: Histogram, x: ArrayLike, nan: NanPolicy = "raise") -> Histogram:
    _update(Histogram(self.max_bins), x, nan)  # raises as the right function does
    return _update(self, np.clip(as_real(x), self.min, self.max) if self.n else x, nan)


@specimen(
    "histogram",
    "Histogram.merge",
    mistake="bins are added by their number in the list, not by where they lie",
    effect="right for histograms of one range; else the second is moved to where the first begins",
    exhibit=MERGED,
)
def bins_added_by_number(self: Histogram, other: Histogram) -> Histogram:
    stack = _merge(_merge(Histogram(self.max_bins), self), other)._stack  # all checks, and the right ends
    if stack.n[0]:
        ours, theirs = (
            rebinned(
                stack.max_bins, stack.n > 0, stack.bins.low, stack.bins.high, (part.points,), (part.bins,)
            )
            for part in (self._stack, other._stack)
        )
        begin = int(np.flatnonzero(theirs.counts)[0]) if other.n else 0
        self._stack = in_bins(stack, ours.counts + np.roll(theirs.counts, -begin))
    return self


@specimen(
    "histogram",
    "histogram_range",
    mistake="counts[left:right] leaves out the last bin before anything is trimmed",
    effect="what lies in the last of 100 bins is lost: half of the data, if half are at the maximum",
    exhibit=HALF_AT_MAXIMUM,
    report="the note, section 5",
)
def last_bin_dropped(
    x: ArrayLike | Histogram,
    keep: float = 0.99,
    bins: int = 100,
    *,
    axis: int | None = None,
    nan: NanPolicy = "raise",
) -> Range:
    def one(channel: Any) -> tuple[float, float]:
        right: tuple[float, float] = histogram_range(channel, keep, bins, nan=nan)
        if isinstance(channel, Histogram) or keep == 1:
            return right
        low, high = minmax_range(channel, nan=nan)
        values = channel[channel < high - (high - low) / bins]
        return histogram_range(values, keep, bins) if values.size else right

    return range_of(x, axis, nan, one)


@specimen(
    "histogram",
    "histogram_range",
    mistake="asks whether enough is left before a bin goes, not whether it would be after",
    effect="the last step goes below what was to be kept, by as much as is in a bin",
    exhibit=KEPT,
    report="the note, section 5",
)
def one_step_too_far(
    x: ArrayLike | Histogram,
    keep: float = 0.99,
    bins: int = 100,
    *,
    axis: int | None = None,
    nan: NanPolicy = "raise",
) -> Range:
    def one(channel: Any) -> tuple[float, float]:
        low, high = right = histogram_range(channel, keep, bins, nan=nan)
        if isinstance(channel, Histogram) or keep == 1:
            return right
        step = (high - low) / bins
        inside = channel[(channel >= low + step) & (channel <= high)]
        return minmax_range(inside) if inside.size else right

    return range_of(x, axis, nan, one)


@specimen(
    "histogram",
    "histogram_range",
    mistake="takes len(x) for the number of values",
    effect="right in one dimension; of a matrix, as many times too little is kept as it has columns",
    exhibit=KEPT_OF_TWO_DIMENSIONS,
    report="the note, section 5",
)
def length_for_size(
    x: ArrayLike | Histogram,
    keep: float = 0.99,
    bins: int = 100,
    *,
    axis: int | None = None,
    nan: NanPolicy = "raise",
) -> Range:
    right = histogram_range(x, keep, bins, axis=axis, nan=nan)
    if isinstance(x, Histogram) or as_real(x).ndim < 2 or axis is not None:
        return right
    return histogram_range(x, keep * len(as_real(x)) / as_real(x).size, bins, nan=nan)


# --- right steps --------------------------------------------------------------------------------------------


def count(h: Histogram, x: ArrayLike, nan: NanPolicy, bins_of: Callable[[Array, Array], Array]) -> Histogram:
    """Count a batch, given how a value's bin is found; what would lie outside goes to the ends."""
    batch = _update(Histogram(h.max_bins), x, nan)._stack  # raises as the right function does
    data = as_real(x).astype(np.float64).ravel()
    data = data[~np.isnan(data)] + 0.0  # -0.0 counts as 0.0
    if data.size:
        bins = batch.binned()
        places = np.clip(bins_of(data, bins.k) - bins.first, 0, bins.counts.size - 1).astype(np.int64)
        counts = np.bincount(places, minlength=bins.counts.size)
        h._stack = h._stack.merge(in_bins(batch, counts))
    return h


def in_bins(stack: Stack, counts: Array) -> Stack:
    """Return a stack of one histogram with other counts in its bins, and no single values."""
    bins = stack.binned()._replace(counts=counts, piles=stack.bins.piles)
    return replace(stack, exact=np.zeros(1, bool), points=Points.none(1), bins=bins)
