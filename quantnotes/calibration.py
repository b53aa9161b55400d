"""Choosing a range by the name of a method, and one observer for every method, for data that come in batches.

Not covered: which method to choose, for which a tensor alone is not enough; see :mod:`quantnotes.comparison`.
"""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from quantnotes.asymmetric import asymmetric_params
from quantnotes.checks import FLOAT64, NanPolicy, as_real, check_nan_policy
from quantnotes.entropy import entropy_range
from quantnotes.granularity import Axis, BlockSize, Granularity
from quantnotes.grid import INT8, IntGrid, check_grid
from quantnotes.histogram import Histogram, range_of, update_channels
from quantnotes.mapping import QuantParams
from quantnotes.mse import Scheme, check_scheme, mse_range
from quantnotes.outliers import histogram_range
from quantnotes.percentile import percentile_range
from quantnotes.ranges import Range, minmax_range
from quantnotes.symmetric import symmetric_params

Array = NDArray[Any]


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


def choose_range(
    method: str,
    x: ArrayLike | Histogram,
    grid: IntGrid = INT8,
    scheme: Scheme = "asymmetric",
    *,
    axis: Axis = None,
    block_size: BlockSize = None,
    nan: NanPolicy = "raise",
    **options: Any,
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
    axis : int or tuple of int, optional
        The axes of an array that keep ranges of their own: one for each index along them.
    block_size : int or tuple of int, optional
        Cut `axis` into blocks of this many values: a range for each block.
    nan : {"raise", "ignore"}, default "raise"
        What to do about NaN in an array.
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
    >>> choose_range("percentile", range(1, 101), percentile=90)
    Range(rmin=6.0, rmax=95.0)
    """
    _check_method(method, options)
    check_scheme(scheme)
    shared: dict[str, Any] = {"axis": axis, "block_size": block_size, "nan": nan}
    if method == "mse":
        return mse_range(x, grid, scheme, **shared)
    if method == "histogram":
        return histogram_range(x, **shared, **options)
    if method == "percentile":
        return percentile_range(x, **shared, **options)
    if isinstance(x, Histogram):
        data = range_of(x, axis, nan, lambda h: (h.min, h.max), block_size)
    else:
        data = minmax_range(x, **shared)
    if method == "minmax":
        return data
    if scheme == "symmetric":
        return entropy_range(x, grid, **shared)
    rmin, rmax = map(np.asarray, data)
    one_sided = (rmin >= 0) | (rmax <= 0)
    low, high = np.zeros((2, *rmin.shape))
    for codes, groups in [(grid, ~one_sided), (IntGrid(0, grid.codes - 1), one_sided)]:  # all for one side
        if groups.any():
            clip = entropy_range(x, codes, **shared)
            low, high = np.where(groups, clip.rmin, low), np.where(groups, clip.rmax, high)
    low, high = np.maximum(low, rmin), np.minimum(high, rmax)
    return Range(low, high) if low.ndim else Range(float(low), float(high))


def make_params(
    bounds: Range,
    grid: IntGrid = INT8,
    scheme: Scheme = "asymmetric",
    *,
    axis: Axis = None,
    block_size: BlockSize = None,
) -> QuantParams:
    """Return `asymmetric_params` or `symmetric_params` of a range, as `scheme` says.

    Parameters
    ----------
    bounds : Range
        Two numbers, or two arrays as a range function returns them.
    grid : IntGrid, default INT8
        The codes that may be used.
    scheme : {"asymmetric", "symmetric"}, default "asymmetric"
        Which function.
    axis, block_size : int or tuple of int, optional
        Which values of the data share S and Z, as the range was found for.

    Returns
    -------
    QuantParams

    Raises
    ------
    TypeError, ValueError
        As those functions; ValueError if `scheme` is unknown.

    Examples
    --------
    >>> make_params(Range(-1.0, 1.27), INT8, "symmetric").scale
    0.01
    """
    check_scheme(scheme)
    function = asymmetric_params if scheme == "asymmetric" else symmetric_params
    return function(*bounds, grid, axis=axis, block_size=block_size)


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
        choose_range(method, [0.0], grid, scheme, **options)  # an option out of range is refused now
        self.method, self.grid, self.scheme, self.options = method, grid, scheme, options
        self.axis = Granularity.of(axis).axis
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
        number = math.prod(Granularity.of(self.axis).shape(array.shape))
        histograms = self._one_for_each(number)
        update_channels(histograms, array, self.axis, self.nan)  # type: ignore[arg-type]
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
        ends = [
            choose_range(self.method, h, self.grid, self.scheme, **self.options) for h in self._histograms
        ]
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
        return make_params(self.range(), self.grid, self.scheme, axis=self.axis)

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


def __getattr__(name: str) -> Any:
    renamed = {"range_by": choose_range, "params_of": make_params}  # for one release: see CHANGES.md
    if name not in renamed:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    warnings.warn(
        f"{name} has been renamed to quantnotes.{renamed[name].__name__}", DeprecationWarning, stacklevel=2
    )
    return renamed[name]
