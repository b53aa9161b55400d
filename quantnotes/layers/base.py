"""What all layers are, in floats and quantized.

Not covered: the layers themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from quantnotes.checks import as_integers, as_real
from quantnotes.mapping import QuantParams, check_int_params, dequantize

Array = NDArray[Any]


class Layer:
    """What every layer in floats is: a function of one activation, in float64."""

    keeps_params: ClassVar[bool] = False  # True if the output has the scale and zero point of the input

    def __call__(self, x: ArrayLike) -> Array:
        """Return the layer's output, computed in float64."""
        raise NotImplementedError

    def quantize(self, data: Array, x: QuantParams, y: QuantParams | None, how: Calibration) -> QuantLayer:
        """Return the quantized form, from the layer's input in floats and the parameters around it.

        A layer with a weight may lack `y`: its output is the accumulator then.
        """
        raise NotImplementedError


class Weighted(Layer):
    """What `Dense` and `Conv` share: a weight whose axis 0 are the outputs, a bias, and perhaps a ReLU."""

    weight: Array
    bias: Array
    relu: bool
    per_output: ClassVar[tuple[int, ...]]  # the shape of one number for each output, against the result

    def _freeze(self, *axes: str) -> None:
        """Make the weight, which has these axes, and the bias read-only arrays."""
        weight, bias = as_real(self.weight, "weight"), as_real(self.bias, "bias")
        if weight.ndim != len(axes) or bias.shape != weight.shape[:1]:
            raise ValueError(
                f"weight must have shape ({', '.join(axes)}) and bias (outputs,), "
                f"got {weight.shape} and {bias.shape}"
            )
        object.__setattr__(self, "weight", frozen(weight))
        object.__setattr__(self, "bias", frozen(bias))

    def as_input(self, x: ArrayLike) -> Array:
        """Return `x` as float64.

        Raises
        ------
        TypeError
            If `x` holds no real numbers.
        ValueError
            If the layer cannot take its shape.
        """
        raise NotImplementedError

    def products(self, weight: Array, x: Array) -> Array:
        """Return the layer's sums of products, in float64."""
        raise NotImplementedError

    def int_products(self, q: ArrayLike, codes: Array, x: QuantParams, w: QuantParams, bias: Array) -> Array:
        """Return the layer's sums of products, in int32."""
        raise NotImplementedError

    def __call__(self, x: ArrayLike) -> Array:
        return self.apply(self.weight, self.bias, x)

    def apply(self, weight: Array, bias: Array, x: ArrayLike) -> Array:
        """Do the same with another weight and another bias, such as quantized ones."""
        y: Array = self.products(weight, self.as_input(x)) + np.reshape(bias, self.per_output)
        return np.maximum(y, 0) if self.relu else y


Kind = TypeVar("Kind", bound=Layer)


class Calibration(Protocol):
    """How layers that hold more than an activation are quantized: what `quantize_network` decides."""

    def weight(self, layer: Weighted, x: QuantParams) -> QuantParams:
        """Return parameters for a layer's weight."""

    def branch(
        self, branch: Sequence[Layer], data: Array, x: QuantParams, y: QuantParams | None
    ) -> tuple[QuantLayer, ...]:
        """Quantize a network inside a layer; `y`, where given, are the parameters of its output."""


class QuantLayer:
    """What every quantized layer is: a function of reals that have codes, and the same of the codes."""

    x: QuantParams
    y: QuantParams | None

    def fake(self, x: ArrayLike, *, float_bias: bool = False) -> Array:
        """Run the layer in float64, from reals that the input's codes stand for to such reals."""
        raise NotImplementedError

    def integer(self, q: ArrayLike) -> Array:
        """Run the layer on codes, in integers."""
        raise NotImplementedError

    def decode(self, codes: ArrayLike) -> Array:
        """Return the reals, in float64, that codes of the output stand for."""
        if self.y is None:
            raise ValueError("the layer has no parameters of its output")
        return dequantize(codes, self.y, dtype=np.float64)


@dataclass(frozen=True, eq=False)
class QuantBetween(QuantLayer, Generic[Kind]):
    """A layer in floats, of the class `kind`, and the parameters of its input and of its output."""

    layer: Kind
    x: QuantParams
    y: QuantParams
    kind: ClassVar[type[Layer]]

    def __post_init__(self) -> None:
        check_layer(self.layer, self.kind)
        check_per_tensor("x", self.x)
        check_per_tensor("y", self.y)


def frozen(values: Array) -> Array:
    """Return a read-only copy."""
    values = np.array(values)
    values.flags.writeable = False
    return values


def check_layer(layer: object, kind: type, name: str = "layer") -> None:
    """Raise TypeError unless `layer` is of a kind."""
    if not isinstance(layer, kind):
        raise TypeError(f"{name} must be a {kind.__name__}, got {type(layer).__name__}")


def check_per_tensor(name: str, params: Any) -> None:
    """Raise unless `params` are QuantParams of integers with one scale: what an activation has."""
    check_int_params(params, name)
    if params.axis is not None:
        raise ValueError(f"{name} must be per tensor: an activation has one scale for all its channels")


def codes_of(q: ArrayLike, params: QuantParams) -> Array:
    """Return `q` as an array of codes of the input."""
    return as_integers(q, "q", params.grid.qmin, params.grid.qmax)


def steps_of(x: ArrayLike, params: QuantParams) -> Array:
    """Return ``q - Z`` of reals that have codes, exactly, as float64."""
    steps: Array = np.rint(as_real(x).astype(np.float64) / params.scale)
    return steps


def decoded(steps: Array, y: QuantParams) -> Array:
    """Round real numbers of steps of `y`, Z not yet added, and return the reals that the codes stand for."""
    codes = np.clip(np.rint(steps) + y.zero_point, y.grid.qmin, y.grid.qmax)
    reals: Array = (codes - y.zero_point) * y.scale
    return reals
