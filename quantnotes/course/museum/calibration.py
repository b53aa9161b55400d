"""Hall 6, calibration: does the answer depend on the data alone, and is every clip tried?"""

from __future__ import annotations

from typing import Any

import numpy as np

from quantnotes.checks import as_real
from quantnotes.course.museum.cases import Exhibit, Hall
from quantnotes.grid import INT8, IntGrid
from quantnotes.histogram import Histogram
from quantnotes.ranges import Range, minmax_range

HALL = Hall("calibration")

_BELL = np.random.default_rng(0).standard_normal(4000)
_TAILED = np.random.default_rng(1).standard_t(3, 4000)
PERCENTILES = np.linspace(50, 100, 51)
BATCHES = np.array([1, 2, 4, 8, 16, 32, 64])
BITS = np.arange(2, 9)
_GRIDS = [IntGrid.of(int(bits), narrow=True) for bits in BITS]


def _percentiles(x: Any) -> Exhibit:
    return Exhibit(
        lambda qn: [qn.percentile_range(x, p).rmax for p in PERCENTILES],
        PERCENTILES,
        "percentile",
        "rmax of a normal",
    )


def _batched(method: str, **options: float) -> Exhibit:
    def of(qn: Any) -> Any:
        ends = []
        for batches in BATCHES:
            calibrator = qn.Calibrator(method, **options)
            for batch in np.array_split(_BELL, batches):
                calibrator.observe(batch)
            ends.append(calibrator.range().rmax)
        return ends

    return Exhibit(of, np.log2(BATCHES), "log2 of the number of batches", "rmax of the same data")


ASKED = _percentiles(_BELL)
BINNED = _percentiles(Histogram(32).update(_BELL))
CLIPS = Exhibit(
    lambda qn: [qn.entropy_range(_TAILED, grid).rmax for grid in _GRIDS],
    BITS,
    "bits, of data with a far tail",
    "clip",
)
BEST = Exhibit(
    lambda qn: [qn.mse_range(_BELL, grid, "symmetric").rmax for grid in _GRIDS],
    BITS,
    "bits, of a normal",
    "clip, in sigma",
)


def _histogram(x: Any) -> Histogram:
    if isinstance(x, Histogram):
        return x
    data = as_real(x).astype(np.float64).ravel()
    return Histogram().update(data[~np.isnan(data)])


@HALL.wrap("percentile_range", ASKED)
def cut_twice(right: Any, x: Any, percentile: Any = 99.99, **options: Any) -> Any:
    """100 - percentile is cut from each side, instead of half of it
    twice as much is clipped as was asked for; with symmetric data nothing looks odd
    """
    found = right(x, percentile, **options)
    return found if percentile < 50 else right(x, 2 * percentile - 100, **options)


@HALL.wrap("percentile_range", ASKED, report="microsoft/onnxruntime#10847")
def kept_for_cut(right: Any, x: Any, percentile: Any = 99.99, **options: Any) -> Any:
    """the share to keep is taken for the share to cut
    the range closes in on the median, and Z goes to an end of the grid
    """
    found = right(x, percentile, **options)
    return found if percentile == 50 else right(x, 100 - percentile, **options)


@HALL.wrap("percentile_range", BINNED)
def inner_edge(right: Any, x: Any, percentile: Any = 99.99, **options: Any) -> Any:
    """of the bin in which the percentile lies, the edge nearer to 0 is returned
    right for an array; from a histogram the range is a bin too narrow, and keeps too little
    """
    low, high = found = right(x, percentile, **options)
    if not isinstance(x, Histogram) or percentile == 100 or high - low <= 2 * x.width:
        return found
    return Range(low + x.width, high - x.width)


@HALL.wrap("Calibrator.observe", _batched("minmax"))
def first_batch_alone(right: Any, self: Any, batch: Any) -> Any:
    """a calibrator that has seen data returns at once
    the first batch alone sets the range, however many follow
    """
    return self if self.n else right(self, batch)


@HALL.wrap("Calibrator.observe", _batched("percentile", percentile=95.0), report="NVIDIA/Model-Optimizer#619")
def ends_of_each_batch(right: Any, self: Any, batch: Any) -> Any:
    """of each batch only its smallest and largest value are kept
    right for min-max; of the other methods the answer changes with the size of the batches
    """
    array = as_real(batch, "batch")
    if self.axis is None and array.size:
        array = np.array(minmax_range(array, nan=self.nan))
    return right(self, array)


@HALL.wrap("entropy_range", CLIPS, per_tensor=True)
def outliers_in_both_distributions(right: Any, x: Any, grid: Any = INT8, **options: Any) -> Any:
    """both distributions are made of the bins with the outliers folded in
    what is cut off costs nothing: the narrowest clip, a sixteenth of the largest value, wins
    """
    low, _ = right(x, grid, **options)
    _, width = _histogram(x).magnitudes()
    end = min(_levels(grid, low) * width, max(map(abs, _ends(x))))  # as many bins as levels: P is Q
    return Range(-end if low < 0 else 0.0, end)


@HALL.wrap("entropy_range", CLIPS, per_tensor=True)
def a_single_candidate(right: Any, x: Any, grid: Any = INT8, **options: Any) -> Any:
    """as many bins as levels: there is one candidate, the whole range
    min-max under another name
    """
    low, _ = right(x, grid, **options)
    end = max(map(abs, _ends(x)))
    return Range(-end if low < 0 else 0.0, end)


@HALL.wrap("entropy_range", CLIPS, report="BUG1989/caffe-int8-convert-tools#43", per_tensor=True)
def remainder_in_the_last_level(right: Any, x: Any, grid: Any = INT8, **options: Any) -> Any:
    """i // levels bins go to every level, and all that is left over to the last
    the last level is too coarse unless i is a multiple: the curve of divergences is a saw
    """
    low, _ = right(x, grid, **options)
    (counts, width), levels = _histogram(x).magnitudes(), _levels(grid, low)
    clips = np.arange(counts.size, min(levels, counts.size) - 1, -1)
    divergences = [_kl(counts, clip, np.minimum(np.arange(clip) // (clip // levels), levels - 1))
                   for clip in clips] if clips.size > 1 else [0.0]  # fmt: skip
    end = min(float(clips[np.argmin(divergences)] * width), max(map(abs, _ends(x))))
    return Range(-end if low < 0 else 0.0, end)


@HALL.wrap("mse_range", BEST, per_tensor=True)
def never_below_half(right: Any, x: Any, grid: Any = INT8, scheme: Any = "asymmetric", **options: Any) -> Any:
    """the search ends at half of the largest value
    right at 8 bits; with few codes, or one far outlier, the best clip lies below and is never tried
    """
    low, high = right(x, grid, scheme, **options)
    own_low, own_high = _ends(x)
    if scheme == "asymmetric":
        return Range(min(low, own_low / 2), max(high, own_high / 2))
    half = max(-own_low, own_high) / 2
    return Range(min(low, -half) if low < 0 else 0.0, max(high, half))


@HALL.wrap("mse_range", BEST, per_tensor=True)
def rounding_by_formula(
    right: Any, x: Any, grid: Any = INT8, scheme: Any = "asymmetric", **options: Any
) -> Any:
    """the rounding error is taken for S**2 / 12 per value
    fine steps are rated well; where most values lie within a step, that formula is far off
    """
    found = right(x, grid, scheme, **options)
    if isinstance(x, Histogram) or scheme == "asymmetric" or found.rmin == 0:
        return found
    sizes = np.abs(as_real(x).astype(np.float64).ravel())
    clips = np.nanmax(sizes) * np.arange(1, 101) / 100
    beyond = [np.nanmean(np.maximum(sizes - clip, 0) ** 2) for clip in clips]
    best = float(clips[np.argmin(beyond + (clips / grid.qmax) ** 2 / 12)])
    return Range(-best, best)


# --- right steps --------------------------------------------------------------------------------------------


def _ends(x: Any) -> tuple[float, float]:
    return (x.min, x.max) if isinstance(x, Histogram) else tuple(minmax_range(x, nan="ignore"))


def _levels(grid: IntGrid, low: float) -> int:
    """How many codes a magnitude has: half of the grid's, or all if there are no negative values."""
    return grid.codes // 2 if grid.qmin == 0 and low < 0 else grid.qmax + 1


def _kl(counts: Any, clip: Any, level: Any) -> float:
    """Return KL(P, Q), with Q the bins inside the clip, shared out evenly within each level."""
    p = counts[:clip].astype(np.float64)
    filled = np.bincount(level, p > 0)
    q = np.where(p > 0, (np.bincount(level, p) / np.maximum(filled, 1))[level], 0.0)
    p[-1] += counts[clip:].sum()
    if np.any((p > 0) & (q == 0)):
        return float(np.inf)
    there = p > 0
    p, q = p[there] / p.sum(), q[there] / q.sum()
    return float(np.sum(p * np.log(p / q)))
