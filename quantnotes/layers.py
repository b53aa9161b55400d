"""The layers of a network, each in floats and quantized: dense and convolutional, pooling, tables, sums.

A float layer is called with an activation; its quantized form adds scales and zero points and runs in two
ways that agree on every code: `fake`, in float64 on the reals that codes stand for, and `integer`, on codes
alone. `Add`, `Multiply` and `Concat` hold networks of their own as branches, so that a sequence of layers can
express residual connections and gates.

Not covered: attention, recurrence, transposed convolutions; how scales are chosen, see
:mod:`quantnotes.network`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from quantnotes.checks import as_integers, as_real
from quantnotes.convolution import Pads, Pair, Windows, check_shapes, convolve
from quantnotes.equivalence import fold_batch_norm
from quantnotes.integer import (
    common_multipliers,
    fixed_point_multiplier,
    int_conv,
    int_matmul,
    quantize_bias,
    requantize,
    requantize_sum,
)
from quantnotes.mapping import QuantParams, check_int_params, dequantize, fake_quantize, quantize

Array = NDArray[Any]


class Layer:
    """What every layer in floats is: a function of one activation, in float64."""

    keeps_params: ClassVar[bool] = False  # True if the output has the scale and zero point of the input

    def __call__(self, x: ArrayLike) -> Array:
        """Return the layer's output, computed in float64."""
        raise NotImplementedError

    def quantize(self, data: Array, x: QuantParams, y: QuantParams | None, how: Calibration) -> QuantLayer:
        """Return the quantized form, from the layer's input in floats and the parameters around it."""
        raise NotImplementedError


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


def frozen(values: Array) -> Array:
    """Return a read-only copy."""
    values = np.array(values)
    values.flags.writeable = False
    return values


def check_per_tensor(name: str, params: Any) -> None:
    """Raise unless `params` are QuantParams of integers with one scale: what an activation has."""
    check_int_params(params, name)
    if params.axis is not None:
        raise ValueError(f"{name} must be per tensor: an activation has one scale for all its channels")


def _check_between(layer: object, kind: type, x: object, y: object) -> None:
    if not isinstance(layer, kind):
        raise TypeError(f"{kind.__name__.lower()} must be a {kind.__name__}, got {type(layer).__name__}")
    check_per_tensor("x", x)
    check_per_tensor("y", y)


def _steps(x: ArrayLike, params: QuantParams) -> Array:
    """Return ``q - Z`` of reals that have codes, exactly, as float64."""
    steps: Array = np.rint(as_real(x).astype(np.float64) / params.scale)
    return steps


def _decoded(steps: Array, y: QuantParams) -> Array:
    """Round real numbers of steps of `y`, Z not yet added, and return the reals that the codes stand for."""
    codes = np.clip(np.rint(steps) + y.zero_point, y.grid.qmin, y.grid.qmax)
    reals: Array = (codes - y.zero_point) * y.scale
    return reals


# --- weights ------------------------------------------------------------------------------------------------


class Weighted(Layer):
    """What `Dense` and `Conv` share: a weight whose axis 0 are the outputs, a bias, and perhaps a ReLU."""

    weight: Array
    bias: Array
    relu: bool
    per_output: ClassVar[tuple[int, ...]]  # the shape of one number for each output, against the result

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
        """Return the layer's output, computed in float64."""
        return self.apply(self.weight, self.bias, x)

    def apply(self, weight: Array, bias: Array, x: ArrayLike) -> Array:
        """Do the same with another weight and another bias, such as quantized ones."""
        y: Array = self.products(weight, self.as_input(x)) + np.reshape(bias, self.per_output)
        return np.maximum(y, 0) if self.relu else y


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
        weight, bias = as_real(self.weight, "weight"), as_real(self.bias, "bias")
        if weight.ndim != 2 or bias.shape != weight.shape[:1]:
            raise ValueError(
                "weight must have shape (outputs, inputs) and bias (outputs,), "
                f"got {weight.shape} and {bias.shape}"
            )
        object.__setattr__(self, "weight", frozen(weight))
        object.__setattr__(self, "bias", frozen(bias))

    def as_input(self, x: ArrayLike) -> Array:
        """Return `x` as float64, shape (rows, inputs)."""
        rows, inputs = as_real(x), self.weight.shape[1]
        if rows.ndim != 2 or rows.shape[1] != inputs:
            raise ValueError(f"x must have shape (rows, {inputs}), got {rows.shape}")
        return rows.astype(np.float64)

    def products(self, weight: Array, x: Array) -> Array:
        """Return ``x @ weight.T``."""
        y: Array = x @ weight.T
        return y

    def int_products(self, q: ArrayLike, codes: Array, x: QuantParams, w: QuantParams, bias: Array) -> Array:
        """Return what :func:`quantnotes.int_matmul` does."""
        columns = QuantParams(w.scale, w.zero_point, w.grid, None if w.axis is None else 1)
        return int_matmul(q, codes.T, x, columns, bias=bias)

    def quantize(self, data: Array, x: QuantParams, y: QuantParams | None, how: Calibration) -> QuantDense:
        """Return the quantized layer; without `y` its output is the accumulator."""
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
        weight, bias = as_real(self.weight, "weight"), as_real(self.bias, "bias")
        if weight.ndim != 4 or bias.shape != weight.shape[:1]:
            raise ValueError(
                "weight must have shape (outputs, channels / groups, kernel height, kernel width) and bias "
                f"(outputs,), got {weight.shape} and {bias.shape}"
            )
        channels = weight.shape[1] * self.groups if isinstance(self.groups, int) else 0
        check_shapes((0, channels, 0, 0), weight.shape, self.groups, ("x", "weight"))
        object.__setattr__(self, "weight", frozen(weight))
        object.__setattr__(self, "bias", frozen(bias))
        _ = self.windows  # raises where they are none

    @cached_property
    def windows(self) -> Windows:
        """Where the kernel lies."""
        return Windows.of(self.weight.shape[2:], self.strides, self.pads, self.dilations)

    def as_input(self, x: ArrayLike) -> Array:
        """Return `x` as float64, shape (images, channels, height, width)."""
        images = as_real(x)
        check_shapes(images.shape, self.weight.shape, self.groups, ("x", "weight"))
        return images.astype(np.float64)

    def products(self, weight: Array, x: Array) -> Array:
        """Return the convolution without bias."""
        return convolve(x, weight.astype(np.float64), self.windows, self.groups)

    def int_products(self, q: ArrayLike, codes: Array, x: QuantParams, w: QuantParams, bias: Array) -> Array:
        """Return what :func:`quantnotes.int_conv` does."""
        windows = self.windows
        return int_conv(
            q,
            codes,
            x,
            w,
            bias=bias,
            strides=windows.strides,
            pads=windows.pads,
            dilations=windows.dilations,
            groups=self.groups,
        )

    def quantize(self, data: Array, x: QuantParams, y: QuantParams | None, how: Calibration) -> QuantConv:
        """Return the quantized layer; without `y` its output is the accumulator."""
        return QuantConv(self, x, how.weight(self, x), y)


class QuantWeighted(QuantLayer):
    """What `QuantDense` and `QuantConv` share: everything but which layer in floats they hold."""

    w: QuantParams

    @property
    def layer(self) -> Weighted:
        """The layer in floats."""
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
        return self.decode(sums) if self.y is None else _decoded(sums * (self._unit / self.y.scale), self.y)

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
        """Return the reals, in float64, that codes of the output stand for."""
        if self.y is not None:
            return dequantize(codes, self.y, dtype=np.float64)
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
        if not isinstance(self.dense, Dense):
            raise TypeError(f"dense must be a Dense, got {type(self.dense).__name__}")
        self._check()

    @property
    def layer(self) -> Weighted:
        """The layer in floats."""
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
        if not isinstance(self.conv, Conv):
            raise TypeError(f"conv must be a Conv, got {type(self.conv).__name__}")
        self._check()

    @property
    def layer(self) -> Weighted:
        """The layer in floats."""
        return self.conv


# --- normalization ------------------------------------------------------------------------------------------


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
        """Return the layer's output, computed in float64."""
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


# --- layers that only move or compare values ----------------------------------------------------------------


class Selection(Layer):
    """What `MaxPool` and `Flatten` share: each output is an input, so its code is that input's code."""

    keeps_params: ClassVar[bool] = True

    def select(self, values: Array, lowest: Any) -> Array:
        """Return the output of reals or codes; `lowest` is below none of them."""
        raise NotImplementedError

    def __call__(self, x: ArrayLike) -> Array:
        """Return the layer's output, in float64."""
        return self.select(as_real(x).astype(np.float64), -np.inf)

    def quantize(self, data: Array, x: QuantParams, y: QuantParams | None, how: Calibration) -> QuantLayer:
        """Return the quantized layer, whose output has the parameters of its input."""
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

    selection: Selection
    x: QuantParams

    def __post_init__(self) -> None:
        _check_between(self.selection, Selection, self.x, self.x)

    @property
    def y(self) -> QuantParams:  # type: ignore[override]
        """Of the output: those of the input."""
        return self.x

    def fake(self, x: ArrayLike, *, float_bias: bool = False) -> Array:
        """Run the layer on reals."""
        return self.selection(x)

    def integer(self, q: ArrayLike) -> Array:
        """Run the layer on codes."""
        grid = self.x.grid
        return self.selection.select(as_integers(q, "q", grid.qmin, grid.qmax), grid.qmin)


def _images(values: Array) -> Array:
    if values.ndim != 4:
        raise ValueError(f"x must have shape (images, channels, height, width), got {values.shape}")
    return values


def _pool_windows(kernel: Pair, strides: Pair | None, pads: Pads) -> Windows:
    windows = Windows.of(kernel, kernel if strides is None else strides, pads)
    if any(pad >= size for pad, size in zip(windows.pads, windows.kernel * 2, strict=True)):
        raise ValueError(f"pads must be smaller than the kernel, got {pads!r} and {kernel!r}")
    return windows


# --- averages -----------------------------------------------------------------------------------------------


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
        """Return the layer's output, computed in float64."""
        sums, counts = self.sums(as_real(x).astype(np.float64))
        means: Array = sums / counts
        return means

    def quantize(
        self, data: Array, x: QuantParams, y: QuantParams | None, how: Calibration
    ) -> QuantAveragePool:
        """Return the quantized layer."""
        return QuantAveragePool(self, x, y)  # type: ignore[arg-type]


@dataclass(frozen=True, eq=False)
class QuantAveragePool(QuantLayer):
    """An `AveragePool` of codes: sums of ``q - Z``, one multiplication, and one division by the count.

    Examples
    --------
    >>> from quantnotes import INT8
    >>> params = QuantParams(0.5, 3, INT8)
    >>> QuantAveragePool(AveragePool(), params, params).integer([[[[3, 4], [5, 9]]]]).tolist()  # 9 / 4 + 3
    [[[[5]]]]
    """

    pool: AveragePool
    x: QuantParams
    y: QuantParams

    def __post_init__(self) -> None:
        _check_between(self.pool, AveragePool, self.x, self.y)

    @cached_property
    def multiplier(self) -> tuple[Array, int]:
        """Sx / Sy as an integer and a shift."""
        return common_multipliers([self.x.scale / self.y.scale])

    def fake(self, x: ArrayLike, *, float_bias: bool = False) -> Array:
        """Run the layer in float64, from reals that have codes to such reals."""
        sums, counts = self.pool.sums(_steps(x, self.x))
        return _decoded(sums / counts * (self.x.scale / self.y.scale), self.y)

    def integer(self, q: ArrayLike) -> Array:
        """Run the layer on codes."""
        codes = as_integers(q, "q", self.x.grid.qmin, self.x.grid.qmax)
        sums, counts = self.pool.sums(codes.astype(np.int64) - self.x.zero_point)
        return requantize_sum([sums], *self.multiplier, self.y.zero_point, self.y.grid, divisor=counts)


# --- tables -------------------------------------------------------------------------------------------------

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
        """Return the function of each value, computed in float64."""
        function = FUNCTIONS[self.function] if isinstance(self.function, str) else self.function
        array = as_real(x).astype(np.float64)
        y = as_real(function(array), "the function's result").astype(np.float64)
        if y.shape != array.shape:
            raise ValueError(f"function must return the shape it gets, {array.shape}, and returned {y.shape}")
        return y

    def quantize(self, data: Array, x: QuantParams, y: QuantParams | None, how: Calibration) -> QuantTable:
        """Return the quantized layer."""
        return QuantTable(self, x, y)  # type: ignore[arg-type]


@dataclass(frozen=True, eq=False)
class QuantTable(QuantLayer):
    """A `Table` of codes.

    Examples
    --------
    >>> from quantnotes import INT2
    >>> params = QuantParams(1.0, 0, INT2)  # -2, -1, 0, 1
    >>> layer = QuantTable(Table("relu"), params, params)
    >>> layer.codes.tolist(), layer.integer([1, -2]).tolist()
    ([0, 0, 0, 1], [1, 0])
    """

    table: Table
    x: QuantParams
    y: QuantParams

    def __post_init__(self) -> None:
        _check_between(self.table, Table, self.x, self.y)

    @cached_property
    def codes(self) -> Array:
        """The output's code for each code of the input, from the smallest on; read-only."""
        inputs = np.arange(self.x.grid.qmin, self.x.grid.qmax + 1)
        return frozen(quantize(self.table(dequantize(inputs, self.x, dtype=np.float64)), self.y))

    def fake(self, x: ArrayLike, *, float_bias: bool = False) -> Array:
        """Run the layer in float64, from reals that have codes to such reals."""
        return fake_quantize(self.table(x), self.y, dtype=np.float64)

    def integer(self, q: ArrayLike) -> Array:
        """Look the codes up."""
        grid = self.x.grid
        found: Array = self.codes[as_integers(q, "q", grid.qmin, grid.qmax).astype(np.int64) - grid.qmin]
        return found


EXP_BITS = 15  # of an entry of the softmax's table


@dataclass(frozen=True)
class Softmax(Layer):
    """``exp(x) / sum(exp(x))`` along the last axis.

    Examples
    --------
    >>> Softmax()([[0.0, 0.0]]).tolist()
    [[0.5, 0.5]]
    """

    def __call__(self, x: ArrayLike) -> Array:
        """Return the layer's output, computed in float64."""
        array = _rows(as_real(x).astype(np.float64))
        powers = np.exp(array - array.max(axis=-1, keepdims=True))
        shares: Array = powers / powers.sum(axis=-1, keepdims=True)
        return shares

    def quantize(self, data: Array, x: QuantParams, y: QuantParams | None, how: Calibration) -> QuantSoftmax:
        """Return the quantized layer."""
        return QuantSoftmax(self, x, y)  # type: ignore[arg-type]


@dataclass(frozen=True, eq=False)
class QuantSoftmax(QuantLayer):
    """A `Softmax` of codes: a table of ``exp(-S d)``, d steps below the row's largest, and one division.

    Examples
    --------
    >>> from quantnotes import INT8, UINT8
    >>> layer = QuantSoftmax(Softmax(), QuantParams(0.5, 0, INT8), QuantParams(2**-8, 0, UINT8))
    >>> layer.integer([[4, 4, -90], [4, 2, -90]]).tolist()
    [[128, 128, 0], [187, 69, 0]]
    """

    softmax: Softmax
    x: QuantParams
    y: QuantParams

    def __post_init__(self) -> None:
        _check_between(self.softmax, Softmax, self.x, self.y)

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
        """Run the layer in float64, with the table's rounding, from reals that have codes to such reals."""
        steps = _rows(_steps(x, self.x))
        powers = self._powers(self.x.scale * (steps - steps.max(axis=-1, keepdims=True)))
        return _decoded(powers / powers.sum(axis=-1, keepdims=True) / self.y.scale, self.y)

    def integer(self, q: ArrayLike) -> Array:
        """Run the layer on codes."""
        grid = self.x.grid
        codes = _rows(as_integers(q, "q", grid.qmin, grid.qmax)).astype(np.int64)
        powers = self.powers[codes.max(axis=-1, keepdims=True) - codes]
        total = powers.sum(axis=-1, keepdims=True, dtype=np.int64)
        return requantize_sum([powers], *self.multiplier, self.y.zero_point, self.y.grid, divisor=total)


def _rows(values: Array) -> Array:
    if not values.ndim or not values.shape[-1]:
        raise ValueError(f"x needs a last axis of at least one value, got shape {values.shape}")
    return values


# --- branches -----------------------------------------------------------------------------------------------

Branch = tuple[Layer, ...]
QuantBranch = tuple[QuantLayer, ...]


class Branching(Layer):
    """What `Add`, `Multiply` and `Concat` share: several networks that read one activation."""

    branches: tuple[Branch, ...]

    def _check(self) -> None:
        if not isinstance(self.branches, tuple | list) or not all(
            isinstance(branch, tuple | list) and all(isinstance(layer, Layer) for layer in branch)
            for branch in self.branches
        ):
            raise TypeError("branches must be a tuple of tuples of layers in floats; () is the input itself")
        if len(self.branches) < 2:
            raise ValueError(f"branches must be at least two, got {len(self.branches)}")
        object.__setattr__(self, "branches", tuple(map(tuple, self.branches)))

    def outputs(self, x: ArrayLike) -> list[Array]:
        """Return what each branch makes of `x`."""
        return [run(branch, x) for branch in self.branches]


def run(network: Sequence[Layer], x: ArrayLike) -> Array:
    """Return the output of layers one after another; of none, the input."""
    out: Array = as_real(x).astype(np.float64)
    for layer in network:
        out = layer(out)
    return out


def _same_shape(parts: Sequence[Array], but: int | None = None) -> None:
    shapes = {part.shape if but is None else part.shape[:but] + part.shape[but + 1 :] for part in parts}
    if len(shapes) > 1:
        same = "one shape" if but is None else f"one shape but for axis {but}"
        raise ValueError(f"the branches must have outputs of {same}, got {[part.shape for part in parts]}")


@dataclass(frozen=True)
class Add(Branching):
    """The sum of what several branches make of the input, and a ReLU if `relu`: a residual connection.

    Parameters
    ----------
    branches : tuple of tuple of Layer
        At least two; the empty one, (), is the input itself.
    relu : bool, default False
        Whether a ReLU follows.

    Raises
    ------
    TypeError, ValueError
        If the branches are not layers in floats, or fewer than two.

    Examples
    --------
    >>> Add(((), (Dense([[2.0]], [1.0]),)))([[3.0]]).tolist()
    [[10.0]]
    """

    branches: tuple[Branch, ...]
    relu: bool = False

    def __post_init__(self) -> None:
        self._check()

    def __call__(self, x: ArrayLike) -> Array:
        """Return the layer's output, computed in float64."""
        parts = self.outputs(x)
        _same_shape(parts)
        total: Array = np.sum(parts, axis=0)
        return np.maximum(total, 0) if self.relu else total

    def quantize(self, data: Array, x: QuantParams, y: QuantParams | None, how: Calibration) -> QuantAdd:
        """Return the quantized layer; each branch ends in parameters of its own."""
        branches = tuple(how.branch(branch, data, x, None) for branch in self.branches)
        return QuantAdd(self, x, branches, y)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Multiply(Branching):
    """The product of what two branches make of the input: squeeze-and-excite, or another gate.

    Parameters
    ----------
    branches : tuple of tuple of Layer
        Two, whose outputs broadcast; the empty one, (), is the input itself.

    Raises
    ------
    TypeError, ValueError
        If the branches are not layers in floats, or not two.

    Examples
    --------
    >>> Multiply(((), (AveragePool(),)))([[[[1.0, 3.0]]]]).tolist()
    [[[[2.0, 6.0]]]]
    """

    branches: tuple[Branch, ...]

    def __post_init__(self) -> None:
        self._check()
        if len(self.branches) > 2:
            raise ValueError(f"branches must be two, got {len(self.branches)}")

    def __call__(self, x: ArrayLike) -> Array:
        """Return the layer's output, computed in float64."""
        return _product(*self.outputs(x))

    def quantize(self, data: Array, x: QuantParams, y: QuantParams | None, how: Calibration) -> QuantMultiply:
        """Return the quantized layer; each branch ends in parameters of its own."""
        branches = tuple(how.branch(branch, data, x, None) for branch in self.branches)
        return QuantMultiply(self, x, branches, y)  # type: ignore[arg-type]


def _product(a: Array, b: Array) -> Array:
    try:
        np.broadcast_shapes(a.shape, b.shape)
    except ValueError:
        raise ValueError(f"the branches' outputs do not broadcast: {a.shape} and {b.shape}") from None
    product: Array = a * b
    return product


@dataclass(frozen=True)
class Concat(Branching):
    """What several branches make of the input, one after another along axis 1, the channels.

    Parameters
    ----------
    branches : tuple of tuple of Layer
        At least two; the empty one, (), is the input itself.

    Raises
    ------
    TypeError, ValueError
        If the branches are not layers in floats, or fewer than two.

    Examples
    --------
    >>> Concat(((), (Dense([[2.0]], [1.0]),)))([[3.0]]).tolist()
    [[3.0, 7.0]]
    """

    branches: tuple[Branch, ...]

    def __post_init__(self) -> None:
        self._check()

    def __call__(self, x: ArrayLike) -> Array:
        """Return the layer's output, computed in float64."""
        parts = self.outputs(x)
        _same_shape(parts, 1)
        return np.concatenate(parts, axis=1)

    def quantize(self, data: Array, x: QuantParams, y: QuantParams | None, how: Calibration) -> QuantConcat:
        """Return the quantized layer; each branch ends in the parameters of the whole, where it can."""
        branches = tuple(how.branch(branch, data, x, y) for branch in self.branches)
        return QuantConcat(self, x, branches, y)  # type: ignore[arg-type]


class QuantBranching(QuantLayer):
    """What `QuantAdd`, `QuantMultiply` and `QuantConcat` share."""

    branches: tuple[QuantBranch, ...]
    y: QuantParams

    def _check(self, layer: object, kind: type) -> None:
        _check_between(layer, kind, self.x, self.y)
        for ends in self.ends:
            check_per_tensor("the output of a branch", ends)

    @property
    def ends(self) -> list[QuantParams]:
        """The parameters of what each branch ends in."""
        return [branch[-1].y if branch else self.x for branch in self.branches]  # type: ignore[misc]

    def _fake(self, x: ArrayLike, float_bias: bool) -> list[Array]:
        """Return ``q - Z`` of what each branch ends in."""
        parts = []
        for branch, params in zip(self.branches, self.ends, strict=True):
            out: ArrayLike = x
            for layer in branch:
                out = layer.fake(out, float_bias=float_bias)
            parts.append(_steps(out, params))
        return parts

    def _integer(self, q: ArrayLike) -> list[Array]:
        """Return ``q - Z`` of what each branch ends in."""
        parts = []
        for branch, params in zip(self.branches, self.ends, strict=True):
            out = as_integers(q, "q", self.x.grid.qmin, self.x.grid.qmax)
            for layer in branch:
                out = layer.integer(out)
            parts.append(out.astype(np.int64) - params.zero_point)
        return parts


@dataclass(frozen=True, eq=False)
class QuantAdd(QuantBranching):
    """An `Add` of codes: each term times its own multiplier, one rounding.

    Examples
    --------
    >>> from quantnotes import INT8
    >>> x, y = QuantParams(0.5, 0, INT8), QuantParams(1.0, 0, INT8)
    >>> QuantAdd(Add(((), ())), x, ((), ()), y).integer([1, 2, 3]).tolist()
    [1, 2, 3]
    """

    add: Add
    x: QuantParams
    branches: tuple[QuantBranch, ...]
    y: QuantParams

    def __post_init__(self) -> None:
        self._check(self.add, Add)

    @cached_property
    def multipliers(self) -> tuple[Array, int]:
        """Each branch's scale over Sy, as integers and one shift."""
        return common_multipliers([params.scale / self.y.scale for params in self.ends])

    def fake(self, x: ArrayLike, *, float_bias: bool = False) -> Array:
        """Run the layer in float64, from reals that have codes to such reals."""
        parts = self._fake(x, float_bias)
        _same_shape(parts)
        total = sum(n * (p.scale / self.y.scale) for n, p in zip(parts, self.ends, strict=True))
        reals = _decoded(np.asarray(total), self.y)
        return np.maximum(reals, 0) if self.add.relu else reals

    def integer(self, q: ArrayLike) -> Array:
        """Run the layer on codes."""
        parts = self._integer(q)
        _same_shape(parts)
        codes = requantize_sum(parts, *self.multipliers, self.y.zero_point, self.y.grid)
        return np.maximum(codes, codes.dtype.type(self.y.zero_point)) if self.add.relu else codes


@dataclass(frozen=True, eq=False)
class QuantMultiply(QuantBranching):
    """A `Multiply` of codes: the product of the steps, one multiplication, one rounding.

    Examples
    --------
    >>> from quantnotes import INT8
    >>> x, y = QuantParams(0.5, 0, INT8), QuantParams(1.0, 0, INT8)
    >>> QuantMultiply(Multiply(((), ())), x, ((), ()), y).integer([4, 6]).tolist()
    [4, 9]
    """

    multiply: Multiply
    x: QuantParams
    branches: tuple[QuantBranch, ...]
    y: QuantParams

    def __post_init__(self) -> None:
        self._check(self.multiply, Multiply)

    @property
    def _ratio(self) -> float:
        first, second = self.ends
        return float(first.scale * second.scale / self.y.scale)

    @cached_property
    def multiplier(self) -> tuple[Array, int]:
        """The product of the two scales over Sy, as an integer and a shift."""
        return common_multipliers([self._ratio])

    def fake(self, x: ArrayLike, *, float_bias: bool = False) -> Array:
        """Run the layer in float64, from reals that have codes to such reals."""
        return _decoded(_product(*self._fake(x, float_bias)) * self._ratio, self.y)

    def integer(self, q: ArrayLike) -> Array:
        """Run the layer on codes."""
        product = _product(*self._integer(q))
        return requantize_sum([product], *self.multiplier, self.y.zero_point, self.y.grid)


@dataclass(frozen=True, eq=False)
class QuantConcat(QuantBranching):
    """A `Concat` of codes: a branch whose output has other parameters is requantized first.

    Examples
    --------
    >>> from quantnotes import INT8
    >>> x, y = QuantParams(0.5, 0, INT8), QuantParams(1.0, 0, INT8)
    >>> QuantConcat(Concat(((), ())), x, ((), ()), y).integer([[4, 6]]).tolist()
    [[2, 3, 2, 3]]
    """

    concat: Concat
    x: QuantParams
    branches: tuple[QuantBranch, ...]
    y: QuantParams

    def __post_init__(self) -> None:
        self._check(self.concat, Concat)

    @cached_property
    def multipliers(self) -> list[tuple[Array, int]]:
        """Each branch's scale over Sy, as an integer and a shift."""
        return [common_multipliers([params.scale / self.y.scale]) for params in self.ends]

    def fake(self, x: ArrayLike, *, float_bias: bool = False) -> Array:
        """Run the layer in float64, from reals that have codes to such reals."""
        parts = self._fake(x, float_bias)
        _same_shape(parts, 1)
        ratios = [params.scale / self.y.scale for params in self.ends]
        return np.concatenate(
            [_decoded(n * ratio, self.y) for n, ratio in zip(parts, ratios, strict=True)], axis=1
        )

    def integer(self, q: ArrayLike) -> Array:
        """Run the layer on codes."""
        parts = self._integer(q)
        _same_shape(parts, 1)
        return np.concatenate(
            [
                requantize_sum([n], *multiplier, self.y.zero_point, self.y.grid)
                for n, multiplier in zip(parts, self.multipliers, strict=True)
            ],
            axis=1,
        )
