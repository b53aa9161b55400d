"""Hall 5, histograms: is every value counted once, in the bin where it lies?"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from quantnotes.checks import as_real
from quantnotes.course.museum.cases import Exhibit, Hall
from quantnotes.histogram import Histogram
from quantnotes.ranges import minmax_range

HALL = Hall("histogram")

_BELL = np.random.default_rng(0).standard_normal(400)
_TAILED = np.random.default_rng(1).standard_exponential(2000)
ADDED = np.arange(8)
KEEPS = np.linspace(0.5, 0.99, 30)


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
    million = qn.Histogram().update(np.zeros(2**20))
    h = qn.Histogram().update(np.zeros(2**20 - 3))
    for _ in range(15):
        h.merge(million)
    return h.update(np.zeros(n))


def _kept(data: Any) -> Exhibit:
    def of(qn: Any) -> Any:
        ends = [qn.histogram_range(data, keep) for keep in KEEPS]
        return [np.mean((data >= low) & (data <= high)) for low, high in ends]

    return Exhibit(of, KEEPS, "share to be kept", "share kept")


MANY = Exhibit(
    lambda qn: [_many(qn, int(n)).counts.sum() - 2**24 for n in ADDED],
    ADDED - 3,
    "values counted, less 2**24",
    "count, less 2**24",
)
MERGED = Exhibit(_merged, np.arange(16), "bin, merged with larger values", "count", dots=True)
KEPT, KEPT_OF_TWO_DIMENSIONS = _kept(_TAILED), _kept(_TAILED.reshape(40, 50))
HALF_AT_MAXIMUM = _kept(np.append(np.linspace(0, 0.5, 1000), np.ones(1000)))


def _values(x: Any) -> Any:
    """Return the values of a batch that are counted."""
    data = as_real(x).astype(np.float64).ravel()
    return data[~np.isnan(data)]


def _after(right: Any, h: Histogram, x: Any, nan: Any) -> Histogram:
    """Return what `h` would be with a batch in it."""
    after: Histogram = right(Histogram(h.max_bins).merge(h), x, nan)
    return after


@HALL.wrap("Histogram.update", MANY, report="NVIDIA/TensorRT#2757")
def counts_in_float32(right: Any, self: Any, x: Any, nan: Any = "raise") -> Any:
    """counts are kept in float32
    from 2**24 values in a bin on, one more adds nothing: frequent values are forgotten
    """
    after = _after(right, self, x, nan)
    if not after.n or after.counts.max() <= 2**24:
        return right(self, x, nan)
    data = np.sort(_values(x))
    bins = np.searchsorted(after.edges, data, side="right") - 1
    new = np.bincount(bins, minlength=after.counts.size)
    place = np.arange(data.size) - (np.cumsum(new) - new)[bins]  # its place among the new ones of its bin
    return right(self, data[place < 2**24 - (after.counts - new)[bins]])


@HALL.wrap("Histogram.update", _counts(_BELL))
def bins_by_truncation(right: Any, self: Any, x: Any, nan: Any = "raise") -> Any:
    """truncates to the bin's number instead of floor
    the bin of 0 takes in the one below it, and what is negative moves up by one bin
    """
    width, data = _after(right, self, x, nan).width, _values(x)
    moved = np.where((data < 0) & (data % width != 0), np.minimum(data + width, 0.0), data)
    return right(self, np.where(data == data.min(initial=0.0), data, moved))  # the range is right


@HALL.wrap(
    "Histogram.update", _counts([0.0, 1.0, 2.0, 3.0], [0.0, 1.0, 2.0, 3.0, 5.0], bins=8, low=0.0, high=6.0)
)
def right_edge_taken_in(right: Any, self: Any, x: Any, nan: Any = "raise") -> Any:
    """the last bin takes in its right edge, as np.histogram's does
    a batch's largest value, if it is a round one, is counted one bin too low: batches matter
    """
    width, data = _after(right, self, x, nan).width, _values(x)
    at_the_edge = (
        (data == data.max(initial=-np.inf)) & (data % width == 0) & (data > data.min(initial=np.inf))
    )
    return right(self, np.where(at_the_edge, np.nextafter(data, -np.inf), data))


@HALL.wrap("Histogram.update", _counts(_BELL[:20], _BELL[20:]))
def range_of_the_first_batch(right: Any, self: Any, x: Any, nan: Any = "raise") -> Any:
    """the first batch sets the range, and later values are clipped to it
    right if the first batch is typical; after a batch of zeros nothing else is ever seen
    """
    _after(right, self, x, nan)  # the checks
    return right(self, np.clip(as_real(x), self.min, self.max) if self.n else x, nan)


@HALL.wrap("Histogram.merge", MERGED)
def bins_added_by_number(right: Any, self: Any, other: Any) -> Any:
    """bins are added by their number in the list, not by where they lie
    right for histograms of one range; else the second is moved to where the first begins
    """
    total = right(right(Histogram(self.max_bins), self), other)
    width = total.width
    apart = np.floor(self.min / width) - np.floor(other.min / width) if self.n and other.n else 0.0
    if apart == 0:
        return right(self, other)
    moved = np.repeat(other.edges[:-1] + apart * width, other.counts.astype(np.intp))
    return self.update(np.clip(moved, total.min, total.max))


@HALL.wrap("histogram_range", HALF_AT_MAXIMUM, report="the note, section 5", per_tensor=True)
def last_bin_dropped(right: Any, x: Any, keep: Any = 0.99, bins: Any = 100, **options: Any) -> Any:
    """counts[left:right] leaves out the last bin before anything is trimmed
    what lies in the last of 100 bins is lost: half of the data, if half are at the maximum
    """
    found = right(x, keep, bins, **options)
    if isinstance(x, Histogram) or keep == 1:
        return found
    data = _values(x)
    left = data[data < data.max() - np.ptp(data) / bins]
    return right(left, keep, bins) if left.size else found


@HALL.wrap("histogram_range", KEPT, report="the note, section 5", per_tensor=True)
def one_step_too_far(right: Any, x: Any, keep: Any = 0.99, bins: Any = 100, **options: Any) -> Any:
    """asks whether enough is left before a bin goes, not whether it would be after
    the last step goes below what was to be kept, by as much as is in a bin
    """
    low, high = found = right(x, keep, bins, **options)
    if isinstance(x, Histogram) or keep == 1:
        return found
    data = _values(x)
    inside = data[(data >= low + (high - low) / bins) & (data <= high)]
    return minmax_range(inside) if inside.size else found


@HALL.wrap("histogram_range", KEPT_OF_TWO_DIMENSIONS, report="the note, section 5", per_tensor=True)
def length_for_size(right: Any, x: Any, keep: Any = 0.99, bins: Any = 100, **options: Any) -> Any:
    """takes len(x) for the number of values
    right in one dimension; of a matrix, as many times too little is kept as it has columns
    """
    found = right(x, keep, bins, **options)
    if isinstance(x, Histogram) or as_real(x).ndim < 2:
        return found
    return right(x, keep * len(as_real(x)) / as_real(x).size, bins, **options)
