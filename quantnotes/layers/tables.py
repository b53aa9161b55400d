"""Layers whose quantized form looks codes up in a table: functions of one value, and the softmax.

Not covered: tables with interpolation, which 16-bit codes would need to be small.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from quantnotes.checks import as_real
from quantnotes.integer import common_multipliers, requantize_sum
from quantnotes.layers.base import Calibration, Layer, QuantBetween, codes_of, decoded, frozen, steps_of
from quantnotes.mapping import QuantParams, dequantize, fake_quantize, quantize

Array = NDArray[Any]

EXP_BITS = 15  # of an entry of the softmax's table

_ERF = np.frompyfunc(math.erf, 1, 1)  # NumPy has none

FUNCTIONS: dict[str, Callable[[Array], Array]] = {
    "relu": lambda x: np.maximum(x, 0),
    "hard-swish": lambda x: x * np.clip(x + 3, 0, 6) / 6,
    "hard-sigmoid": lambda x: np.clip(x + 3, 0, 6) / 6,
    "sigmoid": lambda x: 0.5 * (1 + np.tanh(x / 2)),
    "silu": lambda x: x * 0.5 * (1 + np.tanh(x / 2)),
    "tanh": np.tanh,
    "gelu": lambda x: x * 0.5 * (1 + np.asarray(_ERF(x / math.sqrt(2)), np.float64)),
}


@dataclass(frozen=True)
class Table(Layer):
    """A function of each value, which codes look up in a table: 256 entries for 8 bits.

    Parameters
    ----------
    function : str or callable
        "relu", "hard-swish", "hard-sigmoid", "sigmoid", "silu", "tanh" or "gelu", or a function that takes an
        array of float64 and returns another of its shape, each value computed for itself.

    Raises
    ------
    TypeError
        If `function` is neither.
    ValueError
        If the name is unknown.

    Examples
    --------
    >>> Table("hard-swish")([-4.0, -1.5, 0.0, 6.0]).tolist()
    [-0.0, -0.375, 0.0, 6.0]
    """

    function: str | Callable[[Array], Array]

    def __post_init__(self) -> None:
        if isinstance(self.function, str):
            if self.function not in FUNCTIONS:
                raise ValueError(f"function must be one of {', '.join(FUNCTIONS)}, got {self.function!r}")
        elif not callable(self.function):
            raise TypeError(f"function must be a name or a callable, got {self.function!r}")

    def __call__(self, x: ArrayLike) -> Array:
        function = FUNCTIONS[self.function] if isinstance(self.function, str) else self.function
        array = as_real(x).astype(np.float64)
        y = as_real(function(array), "the function's result").astype(np.float64)
        if y.shape != array.shape:
            raise ValueError(f"function must return the shape it gets, {array.shape}, and returned {y.shape}")
        return y

    def quantize(self, data: Array, x: QuantParams, y: QuantParams | None, how: Calibration) -> QuantTable:
        return QuantTable(self, x, y)  # type: ignore[arg-type]


class QuantTable(QuantBetween[Table]):
    """A `Table` of codes.

    Examples
    --------
    >>> from quantnotes import INT2
    >>> params = QuantParams(1.0, 0, INT2)  # -2, -1, 0, 1
    >>> layer = QuantTable(Table("relu"), params, params)
    >>> layer.codes.tolist(), layer.integer([1, -2]).tolist()
    ([0, 0, 0, 1], [1, 0])
    """

    kind = Table

    @cached_property
    def codes(self) -> Array:
        """The output's code for each code of the input, from the smallest on; read-only."""
        inputs = np.arange(self.x.grid.qmin, self.x.grid.qmax + 1)
        return frozen(quantize(self.layer(dequantize(inputs, self.x, dtype=np.float64)), self.y))

    def fake(self, x: ArrayLike, *, float_bias: bool = False) -> Array:
        return fake_quantize(self.layer(x), self.y, dtype=np.float64)

    def integer(self, q: ArrayLike) -> Array:
        found: Array = self.codes[codes_of(q, self.x).astype(np.int64) - self.x.grid.qmin]
        return found


@dataclass(frozen=True)
class Softmax(Layer):
    """``exp(x) / sum(exp(x))`` along the last axis.

    Examples
    --------
    >>> Softmax()([[0.0, 0.0]]).tolist()
    [[0.5, 0.5]]
    """

    def __call__(self, x: ArrayLike) -> Array:
        array = _rows(as_real(x).astype(np.float64))
        powers = np.exp(array - array.max(axis=-1, keepdims=True))
        shares: Array = powers / powers.sum(axis=-1, keepdims=True)
        return shares

    def quantize(self, data: Array, x: QuantParams, y: QuantParams | None, how: Calibration) -> QuantSoftmax:
        return QuantSoftmax(self, x, y)  # type: ignore[arg-type]


class QuantSoftmax(QuantBetween[Softmax]):
    """A `Softmax` of codes: a table of ``exp(-S d)``, d steps below the row's largest, and one division.

    Examples
    --------
    >>> from quantnotes import INT8, UINT8
    >>> layer = QuantSoftmax(Softmax(), QuantParams(0.5, 0, INT8), QuantParams(2**-8, 0, UINT8))
    >>> layer.integer([[4, 4, -90], [4, 2, -90]]).tolist()
    [[128, 128, 0], [187, 69, 0]]
    """

    kind = Softmax

    @cached_property
    def powers(self) -> Array:
        """``exp(-S d)`` for each difference d of two codes, in units of 2**-15, as int32; read-only."""
        return frozen(self._powers(-self.x.scale * np.arange(self.x.grid.codes)).astype(np.int32))

    @cached_property
    def multiplier(self) -> tuple[Array, int]:
        """1 / Sy as an integer and a shift."""
        return common_multipliers([1 / self.y.scale])

    def _powers(self, x: Array) -> Array:
        powers: Array = np.rint(np.exp(x) * 2**EXP_BITS)
        return powers

    def fake(self, x: ArrayLike, *, float_bias: bool = False) -> Array:
        steps = _rows(steps_of(x, self.x))
        powers = self._powers(self.x.scale * (steps - steps.max(axis=-1, keepdims=True)))
        return decoded(powers / powers.sum(axis=-1, keepdims=True) / self.y.scale, self.y)

    def integer(self, q: ArrayLike) -> Array:
        codes = _rows(codes_of(q, self.x)).astype(np.int64)
        powers = self.powers[codes.max(axis=-1, keepdims=True) - codes]
        total = powers.sum(axis=-1, keepdims=True, dtype=np.int64)
        return requantize_sum([powers], *self.multiplier, self.y.zero_point, self.y.grid, divisor=total)


def _rows(values: Array) -> Array:
    if not values.ndim or not values.shape[-1]:
        raise ValueError(f"x needs a last axis of at least one value, got shape {values.shape}")
    return values
