"""Layers with a weight: dense, convolutional, and the normalization that folds into them.

Not covered: weights that are activations, as in attention.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from quantnotes.checks import as_real
from quantnotes.convolution import Pads, Pair, Windows, check_shapes, convolve
from quantnotes.equivalence import fold_batch_norm
from quantnotes.integer import fixed_point_multiplier, int_conv, int_matmul, quantize_bias, requantize
from quantnotes.layers.base import (
    Calibration,
    Layer,
    QuantLayer,
    Weighted,
    check_layer,
    check_per_tensor,
    decoded,
    frozen,
)
from quantnotes.mapping import QuantParams, check_int_params, dequantize, fake_quantize, quantize

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Dense(Weighted):
    """One layer: ``x @ weight.T + bias``, and the negative values set to 0 if `relu`.

    Parameters
    ----------
    weight : array_like of real numbers, shape (outputs, inputs)
        As PyTorch stores it. The layer keeps a read-only copy.
    bias : array_like of real numbers, shape (outputs,)
        Added to every row; copied likewise.
    relu : bool, default False
        Whether a ReLU follows.

    Raises
    ------
    TypeError
        If a parameter holds no real numbers.
    ValueError
        If the shapes do not fit.

    Examples
    --------
    >>> Dense([[1.0, -1.0]], [0.5], relu=True)([[2.0, 1.0], [0.0, 3.0]])
    array([[1.5],
           [0. ]])
    """

    weight: Array
    bias: Array
    relu: bool = False
    per_output: ClassVar[tuple[int, ...]] = (-1,)

    def __post_init__(self) -> None:
        self._freeze("outputs", "inputs")

    def as_input(self, x: ArrayLike) -> Array:
        rows, inputs = as_real(x), self.weight.shape[1]
        if rows.ndim != 2 or rows.shape[1] != inputs:
            raise ValueError(f"x must have shape (rows, {inputs}), got {rows.shape}")
        return rows.astype(np.float64)

    def products(self, weight: Array, x: Array) -> Array:
        y: Array = x @ weight.T
        return y

    def int_products(self, q: ArrayLike, codes: Array, x: QuantParams, w: QuantParams, bias: Array) -> Array:
        columns = QuantParams(w.scale, w.zero_point, w.grid, None if w.axis is None else 1)
        return int_matmul(q, codes.T, x, columns, bias=bias)

    def quantize(self, data: Array, x: QuantParams, y: QuantParams | None, how: Calibration) -> QuantDense:
        return QuantDense(self, x, how.weight(self, x), y)


@dataclass(frozen=True, eq=False)
class Conv(Weighted):
    """A 2-D convolution, and the negative values set to 0 if `relu`.

    Parameters
    ----------
    weight : array_like of real numbers, shape (outputs, channels / groups, kernel height, kernel width)
        As PyTorch and ONNX store it. The layer keeps a read-only copy.
    bias : array_like of real numbers, shape (outputs,)
        Copied likewise.
    relu : bool, default False
        Whether a ReLU follows.
    strides, pads, dilations, groups
        As for :func:`quantnotes.int_conv`; as many groups as channels: a depthwise convolution.

    Raises
    ------
    TypeError
        If a parameter holds no real numbers, or the rest no integers.
    ValueError
        If shapes or groups do not fit, or a stride, pad or dilation is out of range.

    Examples
    --------
    >>> edges = Conv([[[[-1.0, 1.0]]]], [0.0], relu=True, pads=(0, 0, 0, 1))
    >>> edges([[[[1.0, 3.0, 2.0]]]]).tolist()
    [[[[2.0, 0.0, 0.0]]]]
    """

    weight: Array
    bias: Array
    relu: bool = False
    strides: Pair = 1
    pads: Pads = 0
    dilations: Pair = 1
    groups: int = 1
    per_output: ClassVar[tuple[int, ...]] = (-1, 1, 1)

    def __post_init__(self) -> None:
        self._freeze("outputs", "channels / groups", "kernel height", "kernel width")
        shape = self.weight.shape
        channels = shape[1] * self.groups if isinstance(self.groups, int) else 0
        check_shapes((0, channels, 0, 0), shape, self.groups, ("x", "weight"))
        _ = self.windows  # raises where they are none

    @cached_property
    def windows(self) -> Windows:
        """Where the kernel lies."""
        return Windows.of(self.weight.shape[2:], self.strides, self.pads, self.dilations)

    def as_input(self, x: ArrayLike) -> Array:
        images = as_real(x)
        check_shapes(images.shape, self.weight.shape, self.groups, ("x", "weight"))
        return images.astype(np.float64)

    def products(self, weight: Array, x: Array) -> Array:
        return convolve(x, weight.astype(np.float64), self.windows, self.groups)

    def int_products(self, q: ArrayLike, codes: Array, x: QuantParams, w: QuantParams, bias: Array) -> Array:
        conv = partial(int_conv, strides=self.strides, pads=self.pads, dilations=self.dilations)
        return conv(q, codes, x, w, bias=bias, groups=self.groups)

    def quantize(self, data: Array, x: QuantParams, y: QuantParams | None, how: Calibration) -> QuantConv:
        return QuantConv(self, x, how.weight(self, x), y)


class QuantWeighted(QuantLayer):
    """What `QuantDense` and `QuantConv` share: everything but which layer in floats they hold."""

    w: QuantParams

    @property
    def layer(self) -> Weighted:
        raise NotImplementedError

    def _check(self) -> None:
        check_per_tensor("x", self.x)
        check_weight(self.w, self.layer)
        if self.y is not None:
            check_per_tensor("y", self.y)

    @property
    def scale(self) -> Any:
        """Sx Sw: what one unit of the accumulator stands for; an array if each output has its own.

        Raises
        ------
        ValueError
            If the weight is in blocks.
        """
        if self.w.block_size is not None:
            raise ValueError(
                f"the weight has a scale for each block of {self.w.block_size} values, which stays inside "
                "the sum: there is no integer form; use run_fake"
            )
        return self.x.scale * self.w.scale

    @property
    def _unit(self) -> Any:
        """The scale, so that it broadcasts against the output."""
        return np.reshape(self.scale, self.layer.per_output) if self.w.axis is not None else self.scale

    @cached_property
    def codes(self) -> Array:
        """The weight's codes, in its shape, read-only."""
        return frozen(quantize(self.layer.weight, self.w))

    @cached_property
    def bias(self) -> Array:
        """The bias as int32, in units of Sx Sw, read-only."""
        _ = self.scale  # raises if the weight is in blocks
        return frozen(quantize_bias(self.layer.bias, self.x, self.w))

    @cached_property
    def multiplier(self) -> Any:
        """Sx Sw / Sy as an integer and a shift, as `fixed_point_multiplier` makes them; None without `y`."""
        if self.y is None:
            return None
        m0, shift = fixed_point_multiplier(self.scale / self.y.scale)
        return (m0, shift) if self.w.axis is None else (frozen(m0), frozen(shift))

    def fake(self, x: ArrayLike, *, float_bias: bool = False) -> Array:
        """Run the layer in float64 on reals that the codes stand for.

        Parameters
        ----------
        x : array_like
            Reals that have a code in the input's grid.
        float_bias : bool, default False
            Leave the bias as it is, as many frameworks do while they simulate.

        Returns
        -------
        ndarray of float64
            Reals that the output's codes can stand for: see :meth:`decode`. (With a float bias and without
            `y` there are no codes.)
        """
        weight = dequantize(self.codes, self.w, dtype=np.float64)
        if float_bias or self.w.block_size is not None:
            out = self.layer.apply(weight, self.layer.bias, x)
            return out if self.y is None else fake_quantize(out, self.y, dtype=np.float64)
        products = self.layer.products(weight, self.layer.as_input(x))
        sums = np.rint(products / self._unit)  # removes float64 rounding error
        sums = sums + np.reshape(self.bias, self.layer.per_output)
        if self.layer.relu:
            sums = np.maximum(sums, 0)
        return self.decode(sums) if self.y is None else decoded(sums * (self._unit / self.y.scale), self.y)

    def integer(self, q: ArrayLike) -> Array:
        """Run the layer on codes: products, bias, one rounding, and a clip that does the ReLU's work too.

        Parameters
        ----------
        q : array_like of integers
            Codes of the input.

        Returns
        -------
        ndarray of ``y.grid.dtype``, or of int32 without `y`
            Codes of the output.

        Raises
        ------
        ValueError
            If a code is outside its grid, an accumulator leaves int32, or the weight is in blocks.
        """
        bias = self.bias
        codes, zero = self.layer.int_products(q, self.codes, self.x, self.w, bias), 0
        if self.y is not None:
            zero = self.y.zero_point
            m0, shift = self.multiplier
            codes = requantize(codes, m0, shift, zero, self.y.grid, axis=1)
        if self.layer.relu:
            np.maximum(codes, zero, out=codes)
        return codes

    def decode(self, codes: ArrayLike) -> Array:
        if self.y is not None:
            return super().decode(codes)
        reals: Array = np.asarray(codes, np.float64) * self._unit
        return reals


def check_weight(params: Any, layer: Weighted) -> None:
    """Raise unless `params` are QuantParams that a layer's weight can have."""
    check_int_params(params, "w")
    granularity, shape = params.granularity, layer.weight.shape
    if granularity.blocks is None and granularity.positions(len(shape)) not in ((), (0,)):
        raise ValueError(f"w must be per tensor, or have axis=0, the outputs; got axis={params.axis}")
    if np.shape(params.scale) != granularity.shape(shape):
        each = f"{shape[0]} outputs" if granularity.blocks is None else f"the blocks of {shape}"
        raise ValueError(f"w must have a scale for each of {each}, got {np.size(params.scale)}")


@dataclass(frozen=True, eq=False)
class QuantDense(QuantWeighted):
    """A dense layer and how it is quantized: the fake-quantized and the integer form of one description.

    Parameters
    ----------
    dense : Dense
        The layer in floats.
    x, w : QuantParams
        Of the input, and of the weight: per tensor, with a scale for each output (``axis=0``), or in blocks.
        With blocks there is the fake-quantized form alone, and the bias stays a float: a scale for each block
        cannot be taken out of an integer sum.
    y : QuantParams, optional
        Of the output, after the ReLU. Without it the int32 accumulator is the output, in units of Sx Sw. A
        last layer is left so: nothing multiplies its output.

    Raises
    ------
    TypeError
        If `dense` is no Dense, or a parameter no QuantParams.
    ValueError
        If `x` or `y` is per channel, or `w` has a scale for each input or does not fit the weight.

    Examples
    --------
    >>> from quantnotes import INT8
    >>> params = QuantParams(0.5, 0, INT8)
    >>> layer = QuantDense(Dense([[1.0, -1.0]], [0.3]), params, params, params)
    >>> layer.codes.tolist(), layer.bias.tolist()  # in units of Sw, and of Sx Sw
    ([[2, -2]], [1])
    >>> layer.fake([[2.0, 1.0]]), layer.integer([[4, 2]])
    (array([[1.]]), array([[2]], dtype=int8))
    """

    dense: Dense
    x: QuantParams
    w: QuantParams
    y: QuantParams | None = None

    def __post_init__(self) -> None:
        check_layer(self.dense, Dense, "dense")
        self._check()

    @property
    def layer(self) -> Weighted:
        return self.dense


@dataclass(frozen=True, eq=False)
class QuantConv(QuantWeighted):
    """A convolution and how it is quantized.

    Parameters
    ----------
    conv : Conv
        The layer in floats.
    x, w, y : QuantParams
        As for :class:`QuantDense`.

    Raises
    ------
    TypeError, ValueError
        As for :class:`QuantDense`.

    Examples
    --------
    >>> from quantnotes import INT8
    >>> params = QuantParams(0.5, 0, INT8)
    >>> layer = QuantConv(Conv([[[[1.0, -1.0]]]], [0.5]), params, params, params)
    >>> layer.fake([[[[2.0, 1.0]]]]).tolist(), layer.integer([[[[4, 2]]]]).tolist()
    ([[[[1.5]]]], [[[[3]]]])
    """

    conv: Conv
    x: QuantParams
    w: QuantParams
    y: QuantParams | None = None

    def __post_init__(self) -> None:
        check_layer(self.conv, Conv, "conv")
        self._check()

    @property
    def layer(self) -> Weighted:
        return self.conv


@dataclass(frozen=True, eq=False)
class BatchNorm(Layer):
    """A normalization with fixed statistics: ``gamma (x - mean) / sqrt(var + eps) + beta`` for each channel.

    `quantize_network` folds it into the layer before it; it has no quantized form of its own.

    Parameters
    ----------
    gamma, beta, mean, var : array_like of real numbers, shape (channels,)
        Axis 1 of the input holds the channels.
    eps : float, default 1e-5
        Added to the variance.
    relu : bool, default False
        Whether a ReLU follows.

    Raises
    ------
    TypeError, ValueError
        As :func:`quantnotes.fold_batch_norm`.

    Examples
    --------
    >>> BatchNorm([2.0], [1.0], [3.0], [4.0], eps=0.0)([[3.0], [5.0]]).tolist()
    [[1.0], [3.0]]
    """

    gamma: Array
    beta: Array
    mean: Array
    var: Array
    eps: float = 1e-5
    relu: bool = False

    def __post_init__(self) -> None:
        for name in ("gamma", "beta", "mean", "var"):
            object.__setattr__(self, name, frozen(as_real(getattr(self, name), name)))
        _ = self.factors  # raises where they are none

    @cached_property
    def factors(self) -> tuple[Array, Array]:
        """The factor and the offset of each channel: the whole layer is ``factor * x + offset``."""
        ones = np.ones((np.size(self.gamma), 1))
        factor, offset = fold_batch_norm(ones, None, self.gamma, self.beta, self.mean, self.var, self.eps)
        return frozen(factor[:, 0]), frozen(offset)

    def __call__(self, x: ArrayLike) -> Array:
        array = as_real(x).astype(np.float64)
        factor, offset = self.factors
        if array.ndim < 2 or array.shape[1] != len(factor):
            raise ValueError(f"x must have {len(factor)} channels along axis 1, got shape {array.shape}")
        shape = (-1,) + (1,) * (array.ndim - 2)
        y = array * factor.reshape(shape) + offset.reshape(shape)
        return np.maximum(y, 0) if self.relu else y

    def folded_into(self, layer: Layer | None) -> Weighted:
        """Return a layer that does what `layer` and this one do.

        Raises
        ------
        ValueError
            If `layer` is no Dense or Conv, or a ReLU stands between them.
        """
        if not isinstance(layer, Weighted):
            before = "nothing" if layer is None else type(layer).__name__
            raise ValueError(f"a BatchNorm folds into the Dense or Conv before it, there is {before}")
        if layer.relu:
            raise ValueError("a BatchNorm does not fold through the ReLU of the layer before it")
        statistics = self.gamma, self.beta, self.mean, self.var, self.eps
        weight, bias = fold_batch_norm(layer.weight, layer.bias, *statistics)
        return replace(layer, weight=weight, bias=bias, relu=self.relu)  # type: ignore[type-var]
