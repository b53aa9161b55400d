"""Hall 6, calibration, second room: searches for the best clip."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from quantnotes.checks import NanPolicy, as_real, some_finite_data
from quantnotes.course.museum.cases import Array, Exhibit, specimen
from quantnotes.entropy import entropy_range
from quantnotes.grid import INT8, IntGrid
from quantnotes.histogram import Histogram, range_of
from quantnotes.mse import Scheme, mse_range
from quantnotes.ranges import Range, minmax_range

_BELL = np.random.default_rng(0).standard_normal(4000)
_TAILED = np.random.default_rng(1).standard_t(3, 4000)
BITS = np.arange(2, 9)
_GRIDS = [IntGrid.of(int(bits), narrow=True) for bits in BITS]

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


@specimen(
    "calibration",
    "entropy_range",
    mistake="both distributions are made of the bins with the outliers folded in",
    effect="what is cut off costs nothing: the narrowest clip, a sixteenth of the largest value, wins",
    exhibit=CLIPS,
)
def outliers_in_both_distributions(
    x: ArrayLike | Histogram, grid: IntGrid = INT8, *, axis: int | None = None, nan: NanPolicy = "raise"
) -> Range:
    def one(channel: Any) -> tuple[float, float]:
        h, levels = binned(channel, grid, nan)
        return clip_by(
            h, levels, grid, lambda counts, clip: kl(folded(counts, clip), folded(counts, clip), levels)
        )

    return range_of(x, axis, nan, one)


@specimen(
    "calibration",
    "entropy_range",
    mistake="as many bins as levels: there is one candidate, the whole range",
    effect="min-max under another name",
    exhibit=CLIPS,
)
def a_single_candidate(
    x: ArrayLike | Histogram, grid: IntGrid = INT8, *, axis: int | None = None, nan: NanPolicy = "raise"
) -> Range:
    right = entropy_range(x, grid, axis=axis, nan=nan)

    def one(channel: Any) -> tuple[float, float]:
        h, _ = binned(channel, grid, nan)
        return h.min, h.max

    low, high = range_of(x, axis, nan, one)
    end = np.maximum(np.abs(low), np.abs(high))[()]
    return Range(np.where(np.asarray(right.rmin) == 0, 0.0, -end)[()], end)


@specimen(
    "calibration",
    "entropy_range",
    mistake="i // levels bins go to every level, and all that is left over to the last",
    effect="the last level is too coarse unless i is a multiple: the curve of divergences is a saw",
    exhibit=CLIPS,
    report="BUG1989/caffe-int8-convert-tools#43",
)
def remainder_in_the_last_level(
    x: ArrayLike | Histogram, grid: IntGrid = INT8, *, axis: int | None = None, nan: NanPolicy = "raise"
) -> Range:
    def one(channel: Any) -> tuple[float, float]:
        h, levels = binned(channel, grid, nan)

        def divergence(counts: Array, clip: int) -> float:
            level = np.minimum(np.arange(clip) // (clip // levels), levels - 1)
            return kl(folded(counts, clip), counts[:clip], levels, level)

        return clip_by(h, levels, grid, divergence)

    return range_of(x, axis, nan, one)


@specimen(
    "calibration",
    "mse_range",
    mistake="the search ends at half of the largest value",
    effect="right at 8 bits; with few codes, or one far outlier, the best clip lies below and is never tried",
    exhibit=BEST,
)
def never_below_half(
    x: ArrayLike | Histogram,
    grid: IntGrid = INT8,
    scheme: Scheme = "asymmetric",
    *,
    axis: int | None = None,
    nan: NanPolicy = "raise",
) -> Range:
    low, high = mse_range(x, grid, scheme, axis=axis, nan=nan)
    own = range_of(x, axis, nan, lambda channel: _own(channel, nan))
    if scheme == "asymmetric":
        return Range(np.minimum(low, own.rmin / 2)[()], np.maximum(high, own.rmax / 2)[()])
    half = np.maximum(np.abs(own.rmin), np.abs(own.rmax)) / 2
    return Range(np.where(np.asarray(low) == 0, 0.0, np.minimum(low, -half))[()], np.maximum(high, half)[()])


@specimen(
    "calibration",
    "mse_range",
    mistake="the rounding error is taken for S**2 / 12 per value",
    effect="fine steps are rated well; where most values lie within a step, that formula is far off",
    exhibit=BEST,
)
def rounding_by_formula(
    x: ArrayLike | Histogram,
    grid: IntGrid = INT8,
    scheme: Scheme = "asymmetric",
    *,
    axis: int | None = None,
    nan: NanPolicy = "raise",
) -> Range:
    right = mse_range(x, grid, scheme, axis=axis, nan=nan)
    if isinstance(x, Histogram) or axis is not None or scheme == "asymmetric" or right.rmin == 0:
        return right
    data, low, high = some_finite_data(as_real(x), nan)
    sizes, end = np.abs(data.astype(np.float64)), max(-low, high)
    clips = end * np.arange(1, 101) / 100 if end else np.ones(1)
    beyond = [np.mean(np.maximum(sizes - clip, 0) ** 2) for clip in clips]
    best = float(clips[np.argmin(beyond + (clips / grid.qmax) ** 2 / 12)])
    return Range(-best, best)


# --- right steps --------------------------------------------------------------------------------------------


def _own(channel: Any, nan: NanPolicy) -> tuple[float, float]:
    return (channel.min, channel.max) if isinstance(channel, Histogram) else minmax_range(channel, nan=nan)


def binned(channel: Any, grid: IntGrid, nan: NanPolicy) -> tuple[Histogram, int]:
    """Return the channel as a histogram, and the number of levels that the grid has for a magnitude."""
    entropy_range(channel, grid, nan=nan)
    h = channel if isinstance(channel, Histogram) else Histogram().update(some_finite_data(channel, nan)[0])
    one_sided = grid.qmin == 0 and h.min >= 0
    return h, grid.codes // 2 if grid.qmin == 0 and not one_sided else grid.qmax + 1


def clip_by(h: Histogram, levels: int, grid: IntGrid, divergence: Any) -> tuple[float, float]:
    """Try the clip after each bin from the last one down; of equals the widest."""
    counts, width = h.magnitudes()
    tried = range(counts.size, min(levels, counts.size) - 1, -1)
    divergences = [divergence(counts, clip) if len(tried) > 1 else 0.0 for clip in tried]
    end = min(tried[int(np.argmin(divergences))] * width, max(-h.min, h.max))
    return (0.0 if grid.qmin == 0 and h.min >= 0 else 0.0 - end), end


def folded(counts: Array, clip: int) -> Array:
    """Return the bins inside the clip, with what lies beyond added to the last."""
    inside = counts[:clip].copy()
    inside[-1] += counts[clip:].sum()
    return inside


def kl(p: Array, coarse: Array, levels: int, level: Array | None = None) -> float:
    """Return KL(P, Q), with Q the bins of `coarse` shared out evenly within each level."""
    level = np.arange(p.size) * levels // p.size if level is None else level
    filled = np.bincount(level, coarse > 0, levels)
    q = np.where(coarse > 0, (np.bincount(level, coarse, levels) / np.maximum(filled, 1))[level], 0.0)
    there = p > 0
    if (q[there] == 0).any():
        return float(np.inf)
    p, q = p / p.sum(), q / q.sum()
    return float(np.sum(p[there] * np.log(p[there] / q[there])))
