"""Layers that pick or average values: pooling, and making all axes but the first one.

Not covered: other reductions.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from quantnotes.checks import as_real
from quantnotes.convolution import Pads, Pair, Windows
from quantnotes.integer import common_multipliers, requantize_sum
from quantnotes.layers.base import (
    Calibration,
    Layer,
    QuantBetween,
    QuantLayer,
    check_layer,
    check_per_tensor,
    codes_of,
    decoded,
    steps_of,
)
from quantnotes.mapping import QuantParams

Array = NDArray[Any]


class Selection(Layer):
    """What `MaxPool` and `Flatten` share: each output is an input, so its code is that input's code."""

    keeps_params: ClassVar[bool] = True

    def select(self, values: Array, lowest: Any) -> Array:
        """Return the output of reals or codes; `lowest` is below none of them."""
        raise NotImplementedError

    def __call__(self, x: ArrayLike) -> Array:
        return self.select(as_real(x).astype(np.float64), -np.inf)

    def quantize(self, data: Array, x: QuantParams, y: QuantParams | None, how: Calibration) -> QuantLayer:
        return QuantSelection(self, x)


@dataclass(frozen=True)
class MaxPool(Selection):
    """The largest value of each window.

    Parameters
    ----------
    kernel : int or tuple of two int
        The size of a window.
    strides : int or tuple of two int, optional
        Without it, those of the kernel.
    pads : int, or tuple of two or four int, default 0
        As for a convolution, smaller than the kernel. What lies outside is never the largest.

    Raises
    ------
    TypeError, ValueError
        As for a convolution.

    Examples
    --------
    >>> MaxPool(2)([[[[1.0, 5.0, 2.0, 0.0], [3.0, 4.0, 1.0, 7.0]]]]).tolist()
    [[[[5.0, 7.0]]]]
    """

    kernel: Pair
    strides: Pair | None = None
    pads: Pads = 0

    def __post_init__(self) -> None:
        _ = self.windows  # raises where they are none

    @cached_property
    def windows(self) -> Windows:
        """Where the kernel lies."""
        return _pool_windows(self.kernel, self.strides, self.pads)

    def select(self, values: Array, lowest: Any) -> Array:
        """Return the largest of each window."""
        largest: Array = self.windows.view(_images(values), lowest).max(axis=(-4, -3))
        return largest


@dataclass(frozen=True)
class Flatten(Selection):
    """All axes but the first made one, as a `Dense` wants it.

    Examples
    --------
    >>> Flatten()(np.ones((2, 3, 4, 4))).shape
    (2, 48)
    """

    def select(self, values: Array, lowest: Any) -> Array:
        """Return the values of each row one after another."""
        if values.ndim < 2:
            raise ValueError(f"x must have at least two axes, got shape {values.shape}")
        return values.reshape(len(values), math.prod(values.shape[1:]))


@dataclass(frozen=True, eq=False)
class QuantSelection(QuantLayer):
    """A `MaxPool` or a `Flatten` of codes: the output has the parameters of the input.

    Examples
    --------
    >>> from quantnotes import INT8
    >>> QuantSelection(Flatten(), QuantParams(0.5, 0, INT8)).integer([[[1, 2], [3, 4]]]).tolist()
    [[1, 2, 3, 4]]
    """

    layer: Selection
    x: QuantParams

    def __post_init__(self) -> None:
        check_layer(self.layer, Selection)
        check_per_tensor("x", self.x)

    @property
    def y(self) -> QuantParams:  # type: ignore[override]
        """Of the output: those of the input."""
        return self.x

    def fake(self, x: ArrayLike, *, float_bias: bool = False) -> Array:
        return self.layer(x)

    def integer(self, q: ArrayLike) -> Array:
        return self.layer.select(codes_of(q, self.x), self.x.grid.qmin)


@dataclass(frozen=True)
class AveragePool(Layer):
    """The mean of each window, or of each channel: a global average pooling.

    Parameters
    ----------
    kernel : int or tuple of two int, optional
        The size of a window. Without it, the whole image: the output has shape (images, channels, 1, 1).
    strides : int or tuple of two int, optional
        Without it, those of the kernel.
    pads : int, or tuple of two or four int, default 0
        As for a convolution, smaller than the kernel. What lies outside is not counted.

    Raises
    ------
    TypeError, ValueError
        As for a convolution; ValueError if `strides` or `pads` come without a kernel.

    Examples
    --------
    >>> AveragePool()([[[[1.0, 2.0], [3.0, 6.0]]]]).tolist()
    [[[[3.0]]]]
    """

    kernel: Pair | None = None
    strides: Pair | None = None
    pads: Pads = 0

    def __post_init__(self) -> None:
        if self.kernel is not None:
            _pool_windows(self.kernel, self.strides, self.pads)
        elif self.strides is not None or self.pads != 0:
            raise ValueError("strides and pads need a kernel: without one the whole image is averaged")

    def sums(self, values: Array) -> tuple[Array, Array]:
        """Return the sum of each window, in the type of the values, and how many it has added up."""
        height, width = _images(values).shape[2:]
        if self.kernel is None:
            windows = Windows.of((max(height, 1), max(width, 1)))
        else:
            windows = _pool_windows(self.kernel, self.strides, self.pads)
        counts = windows.view(np.ones((height, width), np.int64)).sum(axis=(-4, -3))
        return windows.view(values).sum(axis=(-4, -3)), counts

    def __call__(self, x: ArrayLike) -> Array:
        sums, counts = self.sums(as_real(x).astype(np.float64))
        means: Array = sums / counts
        return means

    def quantize(
        self, data: Array, x: QuantParams, y: QuantParams | None, how: Calibration
    ) -> QuantAveragePool:
        return QuantAveragePool(self, x, y)  # type: ignore[arg-type]


class QuantAveragePool(QuantBetween[AveragePool]):
    """An `AveragePool` of codes: sums of ``q - Z``, one multiplication, and one division by the count.

    Examples
    --------
    >>> from quantnotes import INT8
    >>> params = QuantParams(0.5, 3, INT8)
    >>> QuantAveragePool(AveragePool(), params, params).integer([[[[3, 4], [5, 9]]]]).tolist()  # 9 / 4 + 3
    [[[[5]]]]
    """

    kind = AveragePool

    @cached_property
    def multiplier(self) -> tuple[Array, int]:
        """Sx / Sy as an integer and a shift."""
        return common_multipliers([self.x.scale / self.y.scale])

    def fake(self, x: ArrayLike, *, float_bias: bool = False) -> Array:
        sums, counts = self.layer.sums(steps_of(x, self.x))
        return decoded(sums / counts * (self.x.scale / self.y.scale), self.y)

    def integer(self, q: ArrayLike) -> Array:
        codes = codes_of(q, self.x)
        sums, counts = self.layer.sums(codes.astype(np.int64) - self.x.zero_point)
        return requantize_sum([sums], *self.multiplier, self.y.zero_point, self.y.grid, divisor=counts)


def _images(values: Array) -> Array:
    if values.ndim != 4:
        raise ValueError(f"x must have shape (images, channels, height, width), got {values.shape}")
    return values


def _pool_windows(kernel: Pair, strides: Pair | None, pads: Pads) -> Windows:
    windows = Windows.of(kernel, kernel if strides is None else strides, pads)
    if any(pad >= size for pad, size in zip(windows.pads, windows.kernel * 2, strict=True)):
        raise ValueError(f"pads must be smaller than the kernel, got {pads!r} and {kernel!r}")
    return windows
