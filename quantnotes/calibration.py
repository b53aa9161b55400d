"""Choosing a range by the name of a method, and one observer for every method, for data that come in batches.

Not covered: which method to choose, for which a tensor alone is not enough; see :mod:`quantnotes.comparison`.
"""

from __future__ import annotations

import warnings
from typing import Any

from numpy.typing import ArrayLike, NDArray

from quantnotes import entropy, mse, outliers, percentile
from quantnotes.asymmetric import asymmetric_params
from quantnotes.checks import NanPolicy, as_real, check_nan_policy
from quantnotes.codebook import Codes, as_grid, check_codes
from quantnotes.entropy import entropy_range
from quantnotes.granularity import Axis, BlockSize, Granularity
from quantnotes.grid import INT8
from quantnotes.histogram import NO_GROUPS, Histogram, Stack, check_max_bins, count, masses_of
from quantnotes.mapping import QuantParams
from quantnotes.mse import mse_range
from quantnotes.outliers import histogram_range
from quantnotes.percentile import percentile_range
from quantnotes.ranges import Ends, Range, Scheme, check_scheme, minmax_range
from quantnotes.symmetric import symmetric_params

Array = NDArray[Any]

METHODS = ("minmax", "histogram", "percentile", "mse", "entropy")
_OPTIONS = {"histogram": "keep", "percentile": "percentile"}


def _check_method(method: object, options: dict[str, Any]) -> None:
    if not isinstance(method, str):
        raise TypeError(f"method must be the name of one, got {method!r}")
    if method not in METHODS:
        raise ValueError(f"method must be one of {', '.join(METHODS)}, got {method!r}")
    unknown = set(options) - {_OPTIONS.get(method)}
    if unknown:
        raise TypeError(f"method {method!r} takes no {', '.join(sorted(unknown))}")


def choose_range(
    method: str,
    x: ArrayLike | Histogram,
    grid: Codes = INT8,
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
    grid : IntGrid or Codebook, default INT8
        The codes that may be used: integers, or a format such as ``formats.E4M3``.
    scheme : {"asymmetric", "symmetric"}, default "asymmetric"
        Which parameters will be made of the range. For "asymmetric", the clip of "entropy" is cut down to
        the data's own range.
    axis : int or tuple of int, optional
        The axes of an array that keep ranges of their own: one for each index along them.
    block_size : int or tuple of int, optional
        Cut `axis` into blocks of this many values: a range for each block, at each index of the other axes.
        A tuple has a size for each of several axes.
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
    check_codes(grid)
    if isinstance(x, Histogram):
        masses_of(x, axis, block_size, nan)
        low, high = _ranges_of(method, x._stack, grid, scheme, options)
        return Range(float(low[0]), float(high[0]))
    shared: dict[str, Any] = {"axis": axis, "block_size": block_size, "nan": nan}
    if method == "mse":
        return mse_range(x, grid, scheme, **shared)
    if method == "histogram":
        return histogram_range(x, **shared, **options)
    if method == "percentile":
        return percentile_range(x, **shared, **options)
    if method == "minmax":
        return minmax_range(x, **shared)
    return entropy_range(x, as_grid(grid), scheme, **shared)


def _ranges_of(method: str, stack: Stack, grid: Codes, scheme: Scheme, options: dict[str, Any]) -> Ends:
    """Return the ends that a method chooses for each of the histograms, none of which is empty."""
    if method == "minmax":
        return stack.bins.low, stack.bins.high
    masses = stack.masses()
    if method == "histogram":
        return outliers.ranges_of(masses, **options)
    if method == "percentile":
        return percentile.ranges_of(masses, **options)
    if method == "mse":
        return mse.ranges_of(masses, grid, scheme)
    return entropy.ranges_of(masses, as_grid(grid), scheme)


def make_params(
    bounds: Range,
    grid: Codes = INT8,
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
    grid : IntGrid or Codebook, default INT8
        The codes that may be used: integers, or a format such as ``formats.E4M3``.
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
    if scheme == "asymmetric":
        return asymmetric_params(*bounds, as_grid(grid), axis=axis, block_size=block_size)
    return symmetric_params(*bounds, grid, axis=axis, block_size=block_size)


class Calibrator:
    """An observer: it is shown batches of data, and returns the parameters that a method chooses for all.

    It keeps a `Histogram` of each group of values that share S and Z, and for "minmax" the two ends alone. So
    its size does not grow, and its answer depends on the data alone, bit for bit, never on the order or size
    of the batches.

    Parameters
    ----------
    method : {"minmax", "histogram", "percentile", "mse", "entropy"}
        How the range is chosen.
    grid : IntGrid or Codebook, default INT8
        The codes that may be used: integers, or a format such as ``formats.E4M3``.
    scheme : {"asymmetric", "symmetric"}, default "asymmetric"
        Which parameters are made of the range.
    axis : int or tuple of int, optional
        The axes of every batch that keep parameters of their own: one S and one Z for each index along them.
    block_size : int or tuple of int, optional
        Cut `axis` into blocks of this many values: one S and one Z for each block.
    nan : {"raise", "ignore"}, default "raise"
        What to do about NaN in a batch.
    max_bins : int, default 2048
        Of each histogram.
    **options
        `keep` of "histogram", `percentile` of "percentile".

    Raises
    ------
    TypeError
        If an argument has the wrong type, or an option is not of the method.
    ValueError
        If `method`, `scheme` or `nan` is unknown, `max_bins` below 2, or `axis` or `block_size` refused.

    Notes
    -----
    "minmax", and "entropy" with 2048 bins, return what the method's own function returns for all the data; so
    do "histogram" and "percentile" while a group has at most `max_bins` distinct values. With more, an end of
    "percentile" is farther out by at most the width of a bin, and "histogram" keeps at least its share.
    The squared error of "mse" is at most 1.02 times the function's, while bins are no wider than a step and
    none holds many more values than those beside it; it is always at most 1.01 times that of min and max.

    Examples
    --------
    >>> calibrator = Calibrator("minmax").observe([-1.0, 0.5]).observe([[2.0, 0.0]])
    >>> calibrator.range()
    Range(rmin=-1.0, rmax=2.0)
    >>> calibrator.params().zero_point
    -43
    """

    __hash__ = None  # type: ignore[assignment]  # its state changes

    def __init__(
        self,
        method: str,
        grid: Codes = INT8,
        scheme: Scheme = "asymmetric",
        *,
        axis: Axis = None,
        block_size: BlockSize = None,
        nan: NanPolicy = "raise",
        max_bins: int = 2048,
        **options: Any,
    ) -> None:
        _check_method(method, options)
        check_scheme(scheme)
        check_nan_policy(nan)
        check_codes(grid)
        if method != "minmax":
            choose_range(method, [0.0], grid, scheme, **options)  # what it does not take is refused now
        self.method, self.grid, self.scheme = method, grid, scheme
        self.nan, self.max_bins = nan, check_max_bins(max_bins)
        self._options = tuple(sorted(options.items()))
        self._granularity = Granularity.of(axis, block_size)
        # What all batches have in common: the numbers of channels, or their whole shape where they are cut
        # into blocks. The first batch shows it.
        self._common: tuple[int, ...] | None = None
        self._stack = NO_GROUPS

    @property
    def options(self) -> dict[str, Any]:
        """The options of the method."""
        return dict(self._options)

    @property
    def axis(self) -> Axis:
        """The axes that keep parameters of their own."""
        return self._granularity.axis

    @property
    def block_size(self) -> BlockSize:
        """How many values along them share parameters."""
        return self._granularity.block_size

    @property
    def n(self) -> int:
        """How many values have been observed."""
        return int(self._stack.n.sum())

    def observe(self, batch: ArrayLike) -> Calibrator:
        """Take in a batch.

        Parameters
        ----------
        batch : array_like
            Finite real numbers, any shape; with `axis`, as many channels as in the first batch; with
            `block_size`, the first batch's shape.

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
        shape = self._granularity.shape(array.shape)
        common = shape if self._granularity.blocks is None else array.shape
        self._check_common(common)
        exact = None if self._common is None or not self._kept else self._stack.exact
        self._add(count(array, self._granularity, self._kept, self.nan, exact), common)
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
        if other._common is not None:
            self._check_common(other._common)
            self._add(other._stack, other._common)
        return self

    def range(self) -> Range:
        """Return the range, or one for each group, that the method chooses for what has been observed.

        Returns
        -------
        Range
            Two floats, or two float64 arrays of the shape of the parameters.

        Raises
        ------
        ValueError
            If nothing has been observed, or nothing in some group.
        """
        if self._common is None or not self._stack.n.all():
            raise ValueError(
                "nothing has been observed yet, or nothing but NaN in a channel: observe() first"
            )
        ends = _ranges_of(self.method, self._stack, self.grid, self.scheme, self.options)
        if self._granularity.per_tensor:
            return Range(*(float(end[0]) for end in ends))
        blocked = self._granularity.blocks is not None
        shape = self._granularity.shape(self._common) if blocked else self._common
        return Range(*(end.reshape(shape).copy() for end in ends))

    def params(self) -> QuantParams:
        """Return the parameters that the scheme makes of :meth:`range`.

        Returns
        -------
        QuantParams
            Per tensor, per channel with `axis`, or blocked with `block_size`.

        Raises
        ------
        ValueError
            As :meth:`range`; or if the scheme is symmetric and the grid has no room for negative values.
        """
        return make_params(self.range(), self.grid, self.scheme, axis=self.axis, block_size=self.block_size)

    @property
    def _kept(self) -> int:
        """How many bins the histograms have: none where the two ends are enough."""
        return 0 if self.method == "minmax" else self.max_bins

    def _check_common(self, common: tuple[int, ...]) -> None:
        """Raise ValueError unless a batch fits those before it."""
        if self._common in (None, common):
            return
        if self._granularity.blocks is not None:
            raise ValueError(
                f"batches in blocks must have one shape, expected {self._common}, got {common}: each block "
                "has a place of its own"
            )
        expected, number = (shape[0] if len(shape) == 1 else shape for shape in (self._common, common))
        raise ValueError(f"expected {expected} channels along axis {self.axis}, got {number}")

    def _add(self, stack: Stack, common: tuple[int, ...]) -> None:
        if stack.n.size:  # an array without channels shows nothing
            self._stack = stack if self._common is None else self._stack.merge(stack)
            self._common = common

    def _settings(self) -> tuple[object, ...]:
        return (
            *(self.method, self.grid, self.scheme, self._granularity),
            *(self.nan, self.max_bins, self._options),
        )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Calibrator):
            return NotImplemented
        ours, theirs = ((c._settings(), c._common, c._stack) for c in (self, other))
        return ours == theirs

    def __repr__(self) -> str:
        options = "".join(f", {name}={value!r}" for name, value in self._options)
        return (
            f"Calibrator({self.method!r}, {self.grid}, {self.scheme!r}, axis={self.axis}, "
            f"block_size={self.block_size}, nan={self.nan!r}, max_bins={self.max_bins}{options}; n={self.n})"
        )


def __getattr__(name: str) -> Any:
    renamed = {"range_by": choose_range, "params_of": make_params}  # for one release: see CHANGES.md
    if name not in renamed:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    warnings.warn(
        f"{name} has been renamed to quantnotes.{renamed[name].__name__}", DeprecationWarning, stacklevel=2
    )
    return renamed[name]
