"""A network of dense layers in three forms: float, fake-quantized, and integers alone.

All three share one description, a tuple of `Dense`. `quantize_network` runs it on a batch and adds a scale
and a zero point to every weight and to every activation, which gives a tuple of `QuantDense`; `run_float`,
`run_fake` and `run_integer` run them, and return every activation on the way.

Not covered: convolutions and attention, training (see :mod:`quantnotes.training`) and file formats (see
:mod:`quantnotes.export`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from quantnotes import samples
from quantnotes.calibration import Calibrator, make_params
from quantnotes.checks import as_real
from quantnotes.granularity import Axis, BlockSize, Granularity
from quantnotes.grid import INT8, INT8_NARROW, IntGrid, check_grid
from quantnotes.integer import fixed_point_multiplier, int_matmul, quantize_bias, requantize
from quantnotes.mapping import QuantParams, dequantize, fake_quantize, quantize
from quantnotes.mse import Scheme
from quantnotes.ranges import minmax_range

Array = NDArray[Any]
BIAS_LIMIT = 2**28  # of a bias in units of Sx Sw: the rest of int32 is for the products
Calibrate = Callable[[Array, IntGrid], QuantParams]  # returns parameters for the data on a grid


def _frozen(values: Array) -> Array:
    """Return a read-only copy."""
    values = np.array(values)
    values.flags.writeable = False
    return values


@dataclass(frozen=True, eq=False)
class Dense:
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

    def __post_init__(self) -> None:
        weight, bias = as_real(self.weight, "weight"), as_real(self.bias, "bias")
        if weight.ndim != 2 or bias.shape != weight.shape[:1]:
            raise ValueError(
                "weight must have shape (outputs, inputs) and bias (outputs,), "
                f"got {weight.shape} and {bias.shape}"
            )
        object.__setattr__(self, "weight", _frozen(weight))
        object.__setattr__(self, "bias", _frozen(bias))

    def __call__(self, x: ArrayLike) -> Array:
        """Return the layer's output, shape (rows, outputs), computed in float64."""
        return self.apply(self.weight, self.bias, x)

    def apply(self, weight: Array, bias: Array, x: ArrayLike) -> Array:
        """Do the same with another weight and another bias, such as quantized ones."""
        y = self.rows(x) @ weight.T + bias
        return np.maximum(y, 0) if self.relu else y

    def rows(self, x: ArrayLike) -> Array:
        """Return `x` as float64, shape (rows, inputs).

        Raises
        ------
        TypeError
            If `x` holds no real numbers.
        ValueError
            If it has another shape.
        """
        rows, inputs = as_real(x), self.weight.shape[1]
        if rows.ndim != 2 or rows.shape[1] != inputs:
            raise ValueError(f"x must have shape (rows, {inputs}), got {rows.shape}")
        return rows.astype(np.float64)


@dataclass(frozen=True, eq=False)
class QuantDense:
    """A layer and how it is quantized: the fake-quantized and the integer form of one description.

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
        _check_activation("x", self.x)
        _check_weight(self.w, self.dense)
        if self.y is not None:
            _check_activation("y", self.y)

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

    @cached_property
    def codes(self) -> Array:
        """The weight's codes, shape (outputs, inputs), read-only."""
        return _frozen(quantize(self.dense.weight, self.w))

    @cached_property
    def bias(self) -> Array:
        """The bias as int32, in units of Sx Sw, read-only."""
        _ = self.scale  # raises if the weight is in blocks
        return _frozen(quantize_bias(self.dense.bias, self.x, self.w))

    @cached_property
    def multiplier(self) -> Any:
        """Sx Sw / Sy as an integer and a shift, as `fixed_point_multiplier` makes them; None without `y`."""
        return None if self.y is None else fixed_point_multiplier(self.scale / self.y.scale)

    @cached_property
    def _columns(self) -> QuantParams:
        """The parameters of the weight transposed."""
        axis = None if self.w.axis is None else 1
        return QuantParams(self.w.scale, self.w.zero_point, self.w.grid, axis)

    def fake(self, x: ArrayLike, *, float_bias: bool = False) -> Array:
        """Run the layer in float64 on reals that the codes stand for.

        Parameters
        ----------
        x : array_like, shape (rows, inputs)
            Reals that have a code in the input's grid.
        float_bias : bool, default False
            Leave the bias as it is, as many frameworks do while they simulate.

        Returns
        -------
        ndarray of float64, shape (rows, outputs)
            Reals that the output's codes can stand for: see :meth:`decode`. (With a float bias and without
            `y` there are no codes.)
        """
        weight = dequantize(self.codes, self.w, dtype=np.float64)
        float_bias = float_bias or self.w.block_size is not None
        out = self.dense.apply(weight, self.dense.bias if float_bias else self.bias * self.scale, x)
        if self.y is not None:
            return fake_quantize(out, self.y, dtype=np.float64)
        return out if float_bias else self.decode(np.rint(out / self.scale))  # removes float64 rounding error

    def integer(self, q: ArrayLike) -> Array:
        """Run the layer on codes: products, bias, one rounding, and a clip that does the ReLU's work too.

        Parameters
        ----------
        q : array_like of integers, shape (rows, inputs)
            Codes of the input.

        Returns
        -------
        ndarray of ``y.grid.dtype``, or of int32 without `y`; shape (rows, outputs)
            Codes of the output.

        Raises
        ------
        ValueError
            If a code is outside its grid, an accumulator leaves int32, or the weight is in blocks.
        """
        bias = self.bias
        codes = int_matmul(q, self.codes.T, self.x, self._columns, bias=bias)
        zero = 0
        if self.y is not None:
            zero = self.y.zero_point
            m0, shift = self.multiplier
            codes = requantize(codes, m0, shift, zero, self.y.grid)
        if self.dense.relu:
            np.maximum(codes, zero, out=codes)
        return codes

    def decode(self, codes: ArrayLike) -> Array:
        """Return the reals, in float64, that codes of the output stand for, shape (rows, outputs)."""
        if self.y is not None:
            return dequantize(codes, self.y, dtype=np.float64)
        reals: Array = np.asarray(codes, np.float64) * self.scale
        return reals


def _check_activation(name: str, params: object) -> None:
    if not isinstance(params, QuantParams):
        raise TypeError(f"{name} must be a QuantParams, got {type(params).__name__}")
    if params.axis is not None:
        raise ValueError(f"{name} must be per tensor: an activation has one scale for all its channels")


def _check_weight(params: object, dense: Dense) -> None:
    if not isinstance(params, QuantParams):
        raise TypeError(f"w must be a QuantParams, got {type(params).__name__}")
    granularity, shape = params.granularity, dense.weight.shape
    if granularity.blocks is None and granularity.positions(2) not in ((), (0,)):
        raise ValueError(f"w must be per tensor, or have axis=0, the outputs; got axis={params.axis}")
    wanted, found = granularity.shape(shape), np.shape(params.scale)
    if found != wanted:
        each = f"{shape[0]} outputs" if granularity.blocks is None else f"the blocks of {shape}"
        raise ValueError(f"w must have a scale for each of {each}, got {np.size(params.scale)}")


def check_quantized(network: object) -> None:
    """Raise unless `network` is a sequence of `QuantDense`, one at least."""
    _check_layers(network, QuantDense, "as quantize_network makes it")


def _check_float(network: object) -> None:
    _check_layers(network, Dense, "the layers in floats")


def _check_layers(network: object, kind: type, where_from: str) -> None:
    wanted = f"network must be a sequence of {kind.__name__}, {where_from}"
    if not isinstance(network, Sequence):
        raise TypeError(f"{wanted}; got {type(network).__name__}")
    if not network:
        raise ValueError("network is empty: it needs one layer at least")
    for layer in network:
        if not isinstance(layer, kind):
            raise TypeError(f"{wanted}; got one of {type(layer).__name__}")


Network = Sequence[Dense]
QuantNetwork = Sequence[QuantDense]


def calibrate_by(
    method: str = "minmax", scheme: Scheme = "asymmetric", *, axis: Axis = None, **options: Any
) -> Calibrate:
    """Return a function for `quantize_network` that makes parameters of data and a grid.

    Parameters
    ----------
    method, scheme, axis, **options
        As for :class:`quantnotes.Calibrator`.

    Returns
    -------
    callable
        Takes an array and an `IntGrid`, returns `QuantParams`.

    Raises
    ------
    TypeError, ValueError
        As the Calibrator: for the options now, for the data when the function is called.

    Examples
    --------
    >>> calibrate_by("minmax", "symmetric")(np.array([-1.0, 127.0]), INT8).scale
    1.0
    """

    def calibrator(grid: IntGrid) -> Calibrator:
        return Calibrator(method, grid, scheme, axis=axis, **options)

    calibrator(INT8)  # raises now where the options are wrong
    return lambda x, grid: calibrator(grid).observe(x).params()


PER_TENSOR = calibrate_by("minmax", "asymmetric")  # what TFLite and ONNX Runtime do with activations
PER_OUTPUT = calibrate_by("minmax", "symmetric", axis=0)  # and with weights, as a rule


def quantize_network(
    network: Network,
    batch: ArrayLike,
    grid: IntGrid | Sequence[IntGrid] = INT8,
    weight_grid: IntGrid | Sequence[IntGrid] = INT8_NARROW,
    *,
    activations: Calibrate = PER_TENSOR,
    weights: Calibrate | None = None,
    axis: Axis = 0,
    block_size: BlockSize = None,
) -> tuple[QuantDense, ...]:
    """Choose a scale and a zero point for every weight, and, from a batch, for what goes into every layer.

    Parameters
    ----------
    network : sequence of Dense
        The layers in floats.
    batch : array_like, shape (rows, inputs)
        Typical input: the float network is run on it, and its activations are calibrated.
    grid : IntGrid or sequence of IntGrid, default INT8
        Codes for what goes into a layer: one grid for all layers, or one for each.
    weight_grid : IntGrid or sequence of IntGrid, default INT8_NARROW
        Codes for the weights, likewise.
    activations : callable, default PER_TENSOR
        Takes an activation and a grid, returns parameters, per tensor; by default min-max, asymmetric.
    weights : callable, optional
        Takes a weight of shape (outputs, inputs) and a grid, returns parameters. Without it: min-max,
        symmetric, as `axis` and `block_size` say.
    axis, block_size : int or tuple of int, optional
        Without `weights`: which values of a weight share a scale. By default, ``axis=0``, each output has
        one; None: one for all; ``axis=1, block_size=32``: groups of 32 inputs (no integer form).

    Returns
    -------
    tuple of QuantDense
        The last layer has no `y`.

    Raises
    ------
    TypeError
        If `network` is no sequence of Dense, `batch` holds no real numbers, a grid is no IntGrid, or
        `activations` or `weights` is no callable that returns QuantParams.
    ValueError
        If there is no layer, not one grid for each, a layer does not fit its input, parameters are
        along an axis that a layer cannot have, or `weights` comes with an `axis` or a `block_size`.

    Notes
    -----
    An output whose weights are all nearly 0 gets a tiny scale of its own, and its bias, in units of Sx Sw,
    may leave int32. Then the scale is raised until the bias fits; ONNX Runtime's quantizer does so too.

    Examples
    --------
    >>> network = [Dense([[1.0, -1.0]], [0.5], relu=True), Dense([[2.0]], [0.0])]
    >>> first, last = quantize_network(network, [[0.0, 0.0], [2.55, 0.0]])
    >>> round(first.x.scale, 6), round(last.x.scale, 6), last.x == first.y
    (0.01, 0.011961, True)
    """
    _check_float(network)
    if weights is None:
        weights = partial(_minmax, axis=axis, block_size=block_size)
    elif Granularity.of(axis, block_size) != Granularity.of(0):
        raise ValueError("weights decides which values share a scale: pass axis and block_size to it instead")
    for name, function in (("activations", activations), ("weights", weights)):
        if not callable(function):
            raise TypeError(f"{name} must be a function such as calibrate_by makes, got {function!r}")
    grids = _one_each(grid, len(network), "grid")
    weight_grids = _one_each(weight_grid, len(network), "weight_grid")
    *inputs, _ = run_float(network, batch)
    params = [activations(x, g) for x, g in zip(inputs, grids, strict=True)]
    return tuple(
        QuantDense(layer, x, _with_room(weights(layer.weight, g), layer, x), y)
        for layer, x, y, g in zip(network, params, [*params[1:], None], weight_grids, strict=True)
    )


def _minmax(w: Array, grid: IntGrid, axis: Axis, block_size: BlockSize) -> QuantParams:
    bounds = minmax_range(w, axis=axis, block_size=block_size)
    return make_params(bounds, grid, "symmetric", axis=axis, block_size=block_size)


def _with_room(w: QuantParams, dense: Dense, x: QuantParams) -> QuantParams:
    """Return the weight's parameters with the scale raised where the bias would not fit."""
    _check_activation("x", x)
    _check_weight(w, dense)
    if w.block_size is not None:
        return w  # the bias stays a float
    bias = dense.bias
    needed = np.abs(bias.astype(np.float64)) / (x.scale * BIAS_LIMIT)
    scale = np.maximum(w.scale, needed.max() if w.axis is None else needed)
    return QuantParams(scale, w.zero_point, w.grid, w.axis)


def _one_each(grid: IntGrid | Sequence[IntGrid], count: int, name: str) -> Sequence[IntGrid]:
    if isinstance(grid, IntGrid):
        return [grid] * count
    if not isinstance(grid, Sequence):
        raise TypeError(
            f"{name} must be an IntGrid, such as IntGrid.of(8), or one for each layer; got {grid!r}"
        )
    if len(grid) != count:
        raise ValueError(f"{name} must be one IntGrid, or {count}, one for each layer; got {len(grid)}")
    for one in grid:
        check_grid(one)
    return grid


def run_float(network: Network, x: ArrayLike) -> list[Array]:
    """Run the network in float64.

    Parameters
    ----------
    network : sequence of Dense
        The layers.
    x : array_like, shape (rows, inputs)
        The input.

    Returns
    -------
    list of ndarray of float64
        The input, then each layer's output; the last is the network's.

    Raises
    ------
    TypeError
        If `network` is no sequence of Dense, or `x` holds no real numbers.
    ValueError
        If there is no layer, or one does not fit its input.

    Examples
    --------
    >>> run_float([Dense([[2.0]], [1.0]), Dense([[-1.0]], [0.0], relu=True)], [[3.0]])
    [array([[3.]]), array([[7.]]), array([[0.]])]
    """
    _check_float(network)
    seen = [as_real(x).astype(np.float64)]
    for layer in network:
        seen.append(layer(seen[-1]))
    return seen


def run_fake(network: QuantNetwork, x: ArrayLike, *, float_bias: bool = False) -> list[Array]:
    """Run the network in float64 on the reals that codes stand for: fake quantization.

    Parameters
    ----------
    network : sequence of QuantDense
        The layers.
    x : array_like, shape (rows, inputs)
        The input, real numbers.
    float_bias : bool, default False
        Leave the biases as they are. Otherwise they are multiples of Sx Sw, as in integers, and the result
        is what the codes of `run_integer` stand for.

    Returns
    -------
    list of ndarray of float64
        The input and each layer's output, all of them reals that have a code.

    Raises
    ------
    TypeError
        If `network` is no sequence of QuantDense.
    ValueError
        If there is no layer, or one does not fit its input.

    Examples
    --------
    >>> network = quantize_network([Dense([[2.0]], [1.0])], [[0.0], [2.55]])
    >>> [round(x.item(), 2) for x in run_fake(network, [[1.234]])]
    [1.23, 3.46]
    """
    check_quantized(network)
    seen = [fake_quantize(x, network[0].x, dtype=np.float64)]
    for layer in network:
        seen.append(layer.fake(seen[-1], float_bias=float_bias))
    return seen


def run_integer(network: QuantNetwork, q: ArrayLike) -> list[Array]:
    """Run the network on integers alone: between the input's codes and the output's there is no float.

    Parameters
    ----------
    network : sequence of QuantDense
        The layers.
    q : array_like of integers, shape (rows, inputs)
        Codes of the input: ``quantize(x, network[0].x)``.

    Returns
    -------
    list of ndarray of integers
        The input's codes, then each layer's. The last are accumulators in units of Sx Sw: if the weight has
        a scale for each output, each output has another unit, and the largest number need not be the largest
        score. ``network[-1].decode`` turns them into reals.

    Raises
    ------
    TypeError
        If `network` is no sequence of QuantDense, or `q` holds no integers.
    ValueError
        If there is no layer, a code is outside its grid, an accumulator leaves int32, or a weight is in
        blocks.

    Examples
    --------
    >>> network = quantize_network([Dense([[2.0]], [1.0])], [[0.0], [2.55]])
    >>> [codes.item() for codes in run_integer(network, quantize([[1.234]], network[0].x))]
    [-5, 21971]
    """
    check_quantized(network)
    seen = [np.asanyarray(q)]
    for layer in network:
        seen.append(layer.integer(seen[-1]))
    return seen


class Digits(NamedTuple):
    """A split of the handwritten digits, and the network that was trained on one part of it.

    Attributes
    ----------
    network : tuple of Dense
        64-64-32-10, a ReLU after all but the last; the largest output names the digit.
    images, heldout : ndarray of float32, shapes (1197, 64) and (600, 64)
        Pixels from 0 to 1: what the network was trained on, and what it has not seen.
    labels, heldout_labels : ndarray of uint8, shapes (1197,) and (600,)
        The digits on them.

    Examples
    --------
    >>> digits = load_digits()
    >>> [layer.weight.shape for layer in digits.network]
    [(64, 64), (32, 64), (10, 32)]
    """

    network: tuple[Dense, ...]
    images: Array
    labels: Array
    heldout: Array
    heldout_labels: Array


def load_digits(seed: int = 0) -> Digits:
    """Read from the samples one of the six digits networks and its split.

    Parameters
    ----------
    seed : int, default 0
        0 to 5: of the split and of the training.

    Returns
    -------
    Digits

    Raises
    ------
    ValueError
        If there is no such seed.

    Examples
    --------
    >>> digits = load_digits()
    >>> scores = run_float(digits.network, digits.heldout)[-1]
    >>> round(100 * float(np.mean(scores.argmax(axis=1) == digits.heldout_labels)), 1)
    97.8
    """
    if seed not in range(6):
        raise ValueError(f"seed must be one of 0, 1, ... 5, got {seed!r}")

    def read(name: str) -> Array:
        return samples.load(name) if seed == 0 else samples.load(f"{name}_seeds")[seed - 1]

    layers = tuple(Dense(read(f"digits_w{i}"), read(f"digits_b{i}"), relu=i < 3) for i in (1, 2, 3))
    images, labels = samples.load("digits_images") / np.float32(16), samples.load("digits_labels")
    held = read("digits_heldout")
    return Digits(layers, images[~held], labels[~held], images[held], labels[held])
