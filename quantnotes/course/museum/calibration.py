"""Hall 6, calibration: does the answer depend on the data alone? Percentiles and the observer."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from quantnotes.calibration import Calibrator
from quantnotes.checks import NanPolicy, as_real
from quantnotes.course.museum.cases import Exhibit, specimen
from quantnotes.histogram import Histogram
from quantnotes.percentile import percentile_range
from quantnotes.ranges import Range, minmax_range

_observe = Calibrator.observe  # the right one
_BELL = np.random.default_rng(0).standard_normal(4000)
PERCENTILES = np.linspace(50, 100, 51)
BATCHES = np.array([1, 2, 4, 8, 16, 32, 64])


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


@specimen(
    "calibration",
    "percentile_range",
    mistake="100 - percentile is cut from each side, in the place of half of it",
    effect="twice as much is clipped as was asked for; with symmetric data nothing looks odd",
    exhibit=ASKED,
)
def cut_twice(
    x: ArrayLike | Histogram,
    percentile: float = 99.99,
    *,
    axis: int | None = None,
    nan: NanPolicy = "raise",
) -> Range:
    right = percentile_range(x, percentile, axis=axis, nan=nan)
    return right if percentile < 50 else percentile_range(x, 2 * percentile - 100, axis=axis, nan=nan)


@specimen(
    "calibration",
    "percentile_range",
    mistake="the share to keep is taken for the share to cut",
    effect="the range closes in on the median, and Z goes to an end of the grid",
    exhibit=ASKED,
    report="microsoft/onnxruntime#10847",
)
def kept_for_cut(
    x: ArrayLike | Histogram,
    percentile: float = 99.99,
    *,
    axis: int | None = None,
    nan: NanPolicy = "raise",
) -> Range:
    right = percentile_range(x, percentile, axis=axis, nan=nan)
    return right if percentile == 50 else percentile_range(x, 100 - percentile, axis=axis, nan=nan)


@specimen(
    "calibration",
    "percentile_range",
    mistake="of the bin in which the percentile lies, the edge nearer to 0 is returned",
    effect="right for an array; from a histogram the range is a bin too narrow, and keeps too little",
    exhibit=BINNED,
)
def inner_edge(
    x: ArrayLike | Histogram,
    percentile: float = 99.99,
    *,
    axis: int | None = None,
    nan: NanPolicy = "raise",
) -> Range:
    low, high = right = percentile_range(x, percentile, axis=axis, nan=nan)
    if not isinstance(x, Histogram) or percentile == 100 or high - low <= 2 * x.width:
        return right
    return Range(low + x.width, high - x.width)


@specimen(
    "calibration",
    "Calibrator.observe",
    mistake="a calibrator that has seen data returns at once",
    effect="the first batch alone sets the range, however many follow",
    exhibit=_batched("minmax"),
)
def first_batch_alone(self: Calibrator, batch: ArrayLike) -> Calibrator:
    seen = self.n
    return self if seen else _observe(self, batch)


@specimen(
    "calibration",
    "Calibrator.observe",
    mistake="of each batch only its smallest and largest value are kept",
    effect="right for min-max; of the other methods the answer changes with the size of the batches",
    exhibit=_batched("percentile", percentile=95.0),
    report="NVIDIA/Model-Optimizer#619",
)
def ends_of_each_batch(self: Calibrator, batch: ArrayLike) -> Calibrator:
    array = as_real(batch, "batch")
    if self.axis is None and array.size:
        array = np.array(minmax_range(array, nan=self.nan))
    return _observe(self, array)
