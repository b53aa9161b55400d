"""Choosing a range: percentiles, and one observer for every method, for data that come in batches.

The other methods have modules of their own (:mod:`quantnotes.outliers`, :mod:`quantnotes.mse`,
:mod:`quantnotes.entropy`). Left out: which method to choose, for which a tensor alone is not enough; see
:mod:`quantnotes.comparison`.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from quantnotes.asymmetric import asymmetric_params
from quantnotes.entropy import entropy_range
from quantnotes.grid import INT8, IntGrid, check_grid
from quantnotes.histogram import Histogram, range_of, update_channels
from quantnotes.mapping import QuantParams
from quantnotes.mse import Scheme, check_scheme, mse_range
from quantnotes.outliers import histogram_range
from quantnotes.ranges import (
    FLOAT64,
    NanPolicy,
    Range,
    as_axis,
    as_real,
    channel_axis,
    check_nan_policy,
    compute_type,
    minmax_range,
    some_finite_data,
)
from quantnotes.symmetric import symmetric_params

__all__ = [
    "METHODS",
    "Calibrator",
    "entropy_range",
    "mse_range",
    "params_of",
    "percentile_range",
    "range_by",
]

Array = NDArray[Any]


def percentile_range(
    x: ArrayLike | Histogram,
    percentile: float = 99.99,
    *,
    axis: int | None = None,
    nan: NanPolicy = "raise",
) -> Range:
    """Return the range that is left when the same share of the data is cut from each side.

    Parameters
    ----------
    x : array_like or Histogram
        Finite real numbers, any shape.
    percentile : float, default 99.99
        How much is kept, in percent (99.99, not 0.9999): (100 - percentile) / 2 percent are cut from each
        side. 100 gives min and max exactly.
    axis : int, optional
        The channel axis of an array: one range for each index along it.
    nan : {"raise", "ignore"}, default "raise"
        What to do about NaN in an array.

    Returns
    -------
    Range
        Of an array, values of the data: the upper end is NumPy's "inverted_cdf" quantile, the lower one its
        mirror image. Of a histogram, the outer edges of the bins in which they lie, and so never narrower.

    Raises
    ------
    TypeError
        If `x` holds no real numbers.
    ValueError
        If `percentile` is not from 0 to 100, or `x` is empty or not finite.

    Examples
    --------
    >>> percentile_range(range(1, 101), 90)
    Range(rmin=6.0, rmax=95.0)
    """
    if not isinstance(percentile, (int, float, np.integer, np.floating)):
        raise TypeError(f"percentile must be a number, got {percentile!r}")
    if not 0 <= percentile <= 100:
        raise ValueError(f"percentile must be from 0 to 100, got {percentile!r}")
    upper = 100 - (100 - percentile) / 2

    def one(channel: Array | Histogram) -> tuple[float, float]:
        if isinstance(channel, Histogram):
            return _quantile_bins(channel, upper / 100)
        data, _, _ = some_finite_data(channel, nan)
        data = data.astype(compute_type(data.dtype))
        ends = (side * float(np.percentile(side * data, upper, method="inverted_cdf")) for side in (-1, 1))
        low, high = sorted(ends)  # the two medians of an even number would be inside-out at percentile 0
        return low + 0.0, high + 0.0

    return range_of(x, axis, nan, one)


def _quantile_bins(h: Histogram, upper: float) -> tuple[float, float]:
    """Return the outer edges of the bins that hold the value of rank `upper` * n from each side."""
    rank = max(math.ceil(h.n * upper), 1)
    running = np.cumsum(h.counts)
    from_top, from_bottom = np.searchsorted(running, rank), np.searchsorted(running, h.n - rank, side="right")
    edges = h.edges
    low, high = edges[min(from_top, from_bottom)], edges[max(from_top, from_bottom) + 1]
    return max(float(low), h.min), min(float(high), h.max)


_OPTIONS: dict[str, set[str]] = {
    "minmax": set(),
    "histogram": {"keep"},
    "percentile": {"percentile"},
    "mse": set(),
    "entropy": set(),
}
METHODS = tuple(_OPTIONS)


def _check_method(method: object, options: dict[str, Any]) -> None:
    if method not in _OPTIONS:
        raise ValueError(f"method must be one of {', '.join(METHODS)}, got {method!r}")
    unknown = set(options) - _OPTIONS[str(method)]
    if unknown:
        raise TypeError(f"method {method!r} takes no {', '.join(sorted(unknown))}")


def range_by(
    method: str, x: ArrayLike | Histogram, grid: IntGrid = INT8, scheme: Scheme = "asymmetric", **options: Any
) -> Range:
    """Return the range that a method chooses for a scheme on a grid.

    Parameters
    ----------
    method : {"minmax", "histogram", "percentile", "mse", "entropy"}
        `minmax_range`, `histogram_range`, `percentile_range`, `mse_range` or `entropy_range`.
    x : array_like or Histogram
        Finite real numbers, any shape.
    grid : IntGrid, default INT8
        The codes that may be used.
    scheme : {"asymmetric", "symmetric"}, default "asymmetric"
        Which parameters will be made of the range. For "asymmetric", the clip of "entropy" is cut down to
        the data's own range.
    **options
        `keep` of "histogram", `percentile` of "percentile".

    Returns
    -------
    Range

    Raises
    ------
    TypeError
        If `x` holds no real numbers, or an option is not of the method.
    ValueError
        If `method` or `scheme` is unknown, or the method's own function says so.

    Examples
    --------
    >>> range_by("percentile", range(1, 101), percentile=90)
    Range(rmin=6.0, rmax=95.0)
    """
    _check_method(method, options)
    check_scheme(scheme)
    if method == "mse":
        return mse_range(x, grid, scheme)
    if method == "histogram":
        return histogram_range(x, **options)
    if method == "percentile":
        return percentile_range(x, **options)
    data = (
        range_of(x, None, "raise", lambda h: (h.min, h.max)) if isinstance(x, Histogram) else minmax_range(x)
    )
    if method == "minmax":
        return data
    if scheme == "asymmetric" and (data.rmin >= 0 or data.rmax <= 0):
        grid = IntGrid(0, grid.codes - 1)  # all codes are for one side
    clip = entropy_range(x, grid)
    if scheme == "symmetric":
        return clip
    return Range(max(clip.rmin, data.rmin), min(clip.rmax, data.rmax))


def params_of(
    bounds: Range, grid: IntGrid = INT8, scheme: Scheme = "asymmetric", *, axis: int | None = None
) -> QuantParams:
    """Return `asymmetric_params` or `symmetric_params` of a range, as `scheme` says.

    Parameters
    ----------
    bounds : Range
        Two numbers, or two arrays of one entry a channel when `axis` is given.
    grid : IntGrid, default INT8
        The codes that may be used.
    scheme : {"asymmetric", "symmetric"}, default "asymmetric"
        Which function.
    axis : int, optional
        The channel axis of the data.

    Returns
    -------
    QuantParams

    Raises
    ------
    TypeError, ValueError
        As those functions; ValueError if `scheme` is unknown.

    Examples
    --------
    >>> params_of(Range(-1.0, 1.27), INT8, "symmetric").scale
    0.01
    """
    check_scheme(scheme)
    function = asymmetric_params if scheme == "asymmetric" else symmetric_params
    return function(*bounds, grid, axis=axis)


class Calibrator:
    """An observer: it is shown batches of data, and says which parameters a method makes of all of them.

    What it keeps is a `Histogram` for the tensor, or one a channel. So its size does not grow, and its
    answer depends on the data alone, bit for bit, never on the order or size of the batches.

    Parameters
    ----------
    method : {"minmax", "histogram", "percentile", "mse", "entropy"}
        How the range is chosen.
    grid : IntGrid, default INT8
        The codes that may be used.
    scheme : {"asymmetric", "symmetric"}, default "asymmetric"
        Which parameters are made of the range.
    axis : int, optional
        The channel axis of every batch: one S and one Z for each index along it.
    nan : {"raise", "ignore"}, default "raise"
        What to do about NaN in a batch.
    max_bins : int, default 2048
        Of each histogram. "minmax" does not need them: it is exact.
    **options
        `keep` of "histogram", `percentile` of "percentile".

    Raises
    ------
    TypeError
        If an argument has the wrong type, or an option is not of the method.
    ValueError
        If `method`, `scheme` or `nan` is unknown, or `max_bins` below 2.

    Examples
    --------
    >>> calibrator = Calibrator("minmax")
    >>> calibrator.observe([-1.0, 0.5]).observe([[2.0, 0.0]]).params() == asymmetric_params(-1.0, 2.0)
    True
    """

    __hash__ = None  # type: ignore[assignment]  # its state changes

    def __init__(
        self,
        method: str,
        grid: IntGrid = INT8,
        scheme: Scheme = "asymmetric",
        *,
        axis: int | None = None,
        nan: NanPolicy = "raise",
        max_bins: int = 2048,
        **options: Any,
    ) -> None:
        _check_method(method, options)
        check_scheme(scheme)
        check_nan_policy(nan)
        check_grid(grid)
        range_by(method, [0.0], grid, scheme, **options)  # an option out of range is refused now
        self.method, self.grid, self.scheme, self.options = method, grid, scheme, options
        self.axis = None if axis is None else as_axis(axis)
        self.nan, self.max_bins = nan, max_bins
        # One for the tensor, or one for each channel as soon as a batch has shown how many there are.
        self._histograms = [Histogram(max_bins)][: axis is None]

    @property
    def n(self) -> int:
        """How many values have been observed."""
        return sum(h.n for h in self._histograms)

    def observe(self, batch: ArrayLike) -> Calibrator:
        """Take in a batch.

        Parameters
        ----------
        batch : array_like
            Finite real numbers, any shape; with `axis`, as many channels as in the first batch.

        Returns
        -------
        Calibrator
            This one.

        Raises
        ------
        TypeError
            If `batch` holds no real numbers.
        ValueError
            If it holds an infinity, NaN that are not to be ignored, or another number of channels. Nothing
            has been taken in then.

        Examples
        --------
        >>> Calibrator("mse", axis=0).observe([[1.0, 2.0], [3.0, 4.0]]).n
        4
        """
        array = as_real(batch, "batch")
        number = 1 if self.axis is None else array.shape[channel_axis(self.axis, array.ndim)]
        histograms = self._one_for_each(number)
        update_channels(histograms, array, self.axis, self.nan)
        self._histograms = histograms
        return self

    def merge(self, other: Calibrator) -> Calibrator:
        """Take in all that another calibrator has observed.

        Parameters
        ----------
        other : Calibrator
            One with the same settings; it is left as it is.

        Returns
        -------
        Calibrator
            This one.

        Raises
        ------
        TypeError
            If `other` is no Calibrator.
        ValueError
            If its settings or its number of channels differ.

        Examples
        --------
        >>> a, b = Calibrator("minmax").observe([1.0]), Calibrator("minmax").observe([-3.0])
        >>> a.merge(b).range()
        Range(rmin=-3.0, rmax=1.0)
        """
        if not isinstance(other, Calibrator):
            raise TypeError(f"other must be a Calibrator, got {type(other).__name__}")
        if other._settings() != self._settings():
            raise ValueError(f"the calibrators differ in their settings: {self!r} and {other!r}")
        if other._histograms:
            self._histograms = self._one_for_each(len(other._histograms))
            for ours, theirs in zip(self._histograms, other._histograms, strict=True):
                ours.merge(theirs)
        return self

    def range(self) -> Range:
        """Return the range, or one for each channel, that the method chooses for what has been observed.

        Raises
        ------
        ValueError
            If nothing has been observed, or nothing in some channel.
        """
        if not self._histograms or not all(h.n for h in self._histograms):
            raise ValueError(
                "nothing has been observed yet, or nothing but NaN in a channel: observe() first"
            )
        ends = [range_by(self.method, h, self.grid, self.scheme, **self.options) for h in self._histograms]
        if self.axis is None:
            return ends[0]
        rmin, rmax = np.array(ends, FLOAT64).T.copy()
        return Range(rmin, rmax)

    def params(self) -> QuantParams:
        """Return the parameters that the scheme makes of :meth:`range`.

        Returns
        -------
        QuantParams
            Per tensor, or per channel with `axis`.

        Raises
        ------
        ValueError
            As :meth:`range`; or if the scheme is symmetric and the grid has no room for negative values.
        """
        return params_of(self.range(), self.grid, self.scheme, axis=self.axis)

    def _one_for_each(self, number: int) -> list[Histogram]:
        """Return the histograms, new ones if no batch has yet shown how many channels there are."""
        histograms = self._histograms or [Histogram(self.max_bins) for _ in range(number)]
        if number != len(histograms):
            raise ValueError(f"expected {len(histograms)} channels along axis {self.axis}, got {number}")
        return histograms

    def _settings(self) -> tuple[object, ...]:
        return self.method, self.grid, self.scheme, self.axis, self.nan, self.max_bins, self.options

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Calibrator):
            return NotImplemented
        return self._settings() == other._settings() and self._histograms == other._histograms

    def __repr__(self) -> str:
        options = "".join(f", {name}={value!r}" for name, value in self.options.items())
        return (
            f"Calibrator({self.method!r}, {self.grid}, {self.scheme!r}, axis={self.axis}, nan={self.nan!r}, "
            f"max_bins={self.max_bins}{options}; n={self.n})"
        )
