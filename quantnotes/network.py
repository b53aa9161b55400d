"""A network in three forms: float, fake-quantized, and integers alone.

All three share one description, a sequence of layers of :mod:`quantnotes.layers`. `quantize_network` runs it
on a batch and adds a scale and a zero point to every weight and to every activation; `run_float`, `run_fake`
and `run_integer` run the three forms, and return every activation on the way.

Not covered: training (see :mod:`quantnotes.training`) and file formats (see :mod:`quantnotes.export`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from quantnotes import samples
from quantnotes.calibration import Calibrator, make_params
from quantnotes.checks import as_real
from quantnotes.granularity import Axis, BlockSize, Granularity
from quantnotes.grid import INT8, INT8_NARROW, IntGrid, check_grid
from quantnotes.layers import Add as Add
from quantnotes.layers import AveragePool as AveragePool
from quantnotes.layers import BatchNorm as BatchNorm
from quantnotes.layers import Branching, Layer, QuantLayer, Weighted
from quantnotes.layers import Concat as Concat
from quantnotes.layers import Conv as Conv
from quantnotes.layers import Dense as Dense
from quantnotes.layers import Flatten as Flatten
from quantnotes.layers import MaxPool as MaxPool
from quantnotes.layers import Multiply as Multiply
from quantnotes.layers import QuantConv as QuantConv
from quantnotes.layers import QuantDense as QuantDense
from quantnotes.layers import Softmax as Softmax
from quantnotes.layers import Table as Table
from quantnotes.layers.base import check_per_tensor
from quantnotes.layers.weighted import check_weight
from quantnotes.mapping import QuantParams, fake_quantize
from quantnotes.ranges import Scheme, minmax_range

Array = NDArray[Any]
BIAS_LIMIT = 2**28  # of a bias in units of Sx Sw: the rest of int32 is for the products
Calibrate = Callable[[Array, IntGrid], QuantParams]  # returns parameters for the data on a grid
Network = Sequence[Layer]
QuantNetwork = Sequence[QuantLayer]


def check_quantized(network: object, kind: type = QuantLayer) -> None:
    """Raise unless `network` is a sequence of quantized layers of a kind, one at least."""
    _check_layers(network, kind, "as quantize_network makes it")


def _check_float(network: object) -> None:
    _check_layers(network, Layer, "such as Dense, in floats")


def _check_layers(network: object, kind: type, where_from: str) -> None:
    wanted = f"network must be a sequence of {kind.__name__}, {where_from}"
    if not isinstance(network, Sequence):
        raise TypeError(f"{wanted}; got {type(network).__name__}")
    if not network:
        raise ValueError("network is empty: it needs one layer at least")
    for layer in network:
        if not isinstance(layer, kind):
            raise TypeError(f"{wanted}; got one of {type(layer).__name__}")


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


def fold(network: Network) -> tuple[Layer, ...]:
    """Fold every `BatchNorm` into the `Dense` or `Conv` before it: another network that computes the same.

    Parameters
    ----------
    network : sequence of Layer
        The layers in floats.

    Returns
    -------
    tuple of Layer
        Without a `BatchNorm`, in branches neither.

    Raises
    ------
    TypeError
        If `network` is no sequence of layers in floats.
    ValueError
        If there is no layer, or no Dense or Conv without a ReLU stands before a BatchNorm.

    Examples
    --------
    >>> network = [Dense([[1.0]], [0.0]), BatchNorm([2.0], [1.0], [3.0], [4.0], eps=0.0, relu=True)]
    >>> [layer] = fold(network)
    >>> layer.weight, layer.bias, layer.relu
    (array([[1.]]), array([-2.]), True)
    """
    _check_float(network)
    return _folded(network)


def _folded(network: Network) -> tuple[Layer, ...]:
    layers: list[Layer] = []
    for layer in network:
        if isinstance(layer, BatchNorm):
            layers.append(layer.folded_into(layers.pop() if layers else None))
        elif isinstance(layer, Branching):
            branches = tuple(map(_folded, layer.branches))
            layers.append(replace(layer, branches=branches))
        else:
            layers.append(layer)
    return tuple(layers)


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
) -> tuple[Any, ...]:
    """Choose a scale and a zero point for every weight, and, from a batch, for every activation.

    Parameters
    ----------
    network : sequence of Layer
        The layers in floats, such as `Dense` and `Conv`. Each `BatchNorm` is folded first: see `fold`.
    batch : array_like
        Typical input: the float network is run on it, and its activations are calibrated.
    grid : IntGrid or sequence of IntGrid, default INT8
        Codes for what goes into a layer: one grid for all layers, or one for each that is left after folding.
        What goes on inside the branches of a layer, and the output of the last, has the layer's own grid.
    weight_grid : IntGrid or sequence of IntGrid, default INT8_NARROW
        Codes for the weights, likewise.
    activations : callable, default PER_TENSOR
        Takes an activation and a grid, returns parameters, per tensor; by default min-max, asymmetric.
    weights : callable, optional
        Takes a weight, outputs first, and a grid, returns parameters. Without it: min-max, symmetric, as
        `axis` and `block_size` say.
    axis, block_size : int or tuple of int, optional
        Without `weights`: which values of a weight share a scale. By default, ``axis=0``, each output has
        one; None: one for all; ``axis=1, block_size=32``: groups of 32 inputs (no integer form).

    Returns
    -------
    tuple of QuantLayer
        `QuantDense` for a `Dense`, and so on. A last layer with a weight has no `y`: its output is the int32
        accumulator.

    Raises
    ------
    TypeError
        If `network` is no sequence of layers in floats, `batch` holds no real numbers, a grid is no IntGrid,
        or `activations` or `weights` is no callable that returns QuantParams.
    ValueError
        If there is no layer, not one grid for each, a layer does not fit its input, a BatchNorm cannot be
        folded, parameters are along an axis that a layer cannot have, or `weights` comes with an `axis` or a
        `block_size`.

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
    network = fold(network)
    if weights is None:
        weights = partial(_minmax, axis=axis, block_size=block_size)
    elif Granularity.of(axis, block_size) != Granularity.of(0):
        raise ValueError("weights decides which values share a scale: pass axis and block_size to it instead")
    for name, function in (("activations", activations), ("weights", weights)):
        if not callable(function):
            raise TypeError(f"{name} must be a function such as calibrate_by makes, got {function!r}")
    grids = _one_each(grid, len(network), "grid")
    weight_grids = _one_each(weight_grid, len(network), "weight_grid")
    *inputs, out = run_float(network, batch)
    results = [*inputs[1:], out]
    x, layers = activations(inputs[0], grids[0]), []
    check_per_tensor("x", x)
    for i, layer in enumerate(network):
        how = _Calibration(activations, weights, grids[i], weight_grids[i])
        last = i == len(network) - 1
        following = grids[i] if last else grids[i + 1]
        y = None if last and isinstance(layer, Weighted) else how.output(layer, results[i], x, following)
        layers.append(layer.quantize(inputs[i], x, y, how))
        x = y or x
    return tuple(layers)


@dataclass(frozen=True)
class _Calibration:
    """How the weight of a layer, and the networks inside it, are quantized."""

    activations: Calibrate
    weights: Calibrate
    grid: IntGrid
    weight_grid: IntGrid

    def weight(self, layer: Weighted, x: QuantParams) -> QuantParams:
        """Return parameters for the weight, with the scale raised where the bias would not fit."""
        w = self.weights(layer.weight, self.weight_grid)
        check_weight(w, layer)
        if w.block_size is not None:
            return w  # the bias stays a float
        needed = np.abs(layer.bias.astype(np.float64)) / (x.scale * BIAS_LIMIT)
        scale = np.maximum(w.scale, needed.max() if w.axis is None else needed)
        return QuantParams(scale, w.zero_point, w.grid, w.axis)

    def output(self, layer: Layer, result: Array, x: QuantParams, grid: IntGrid) -> QuantParams:
        """Return parameters for what a layer puts out."""
        return x if layer.keeps_params else self.activations(result, grid)

    def branch(
        self, branch: Sequence[Layer], data: Array, x: QuantParams, y: QuantParams | None
    ) -> tuple[QuantLayer, ...]:
        """Quantize a network inside a layer; `y`, where given, are the parameters of its output."""
        layers = []
        for i, layer in enumerate(branch):
            result = layer(data)
            if y is not None and i == len(branch) - 1 and not layer.keeps_params:
                ends = y
            else:
                ends = self.output(layer, result, x, self.grid)
            layers.append(layer.quantize(data, x, ends, self))
            data, x = result, ends
        return tuple(layers)


def _minmax(w: Array, grid: IntGrid, axis: Axis, block_size: BlockSize) -> QuantParams:
    bounds = minmax_range(w, axis=axis, block_size=block_size)
    return make_params(bounds, grid, "symmetric", axis=axis, block_size=block_size)


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
    network : sequence of Layer
        The layers in floats.
    x : array_like
        The input: shape (rows, inputs) for a `Dense`, (images, channels, height, width) for a `Conv`.

    Returns
    -------
    list of ndarray of float64
        The input, then each layer's output; the last is the network's.

    Raises
    ------
    TypeError
        If `network` is no sequence of layers in floats, or `x` holds no real numbers.
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
    network : sequence of QuantLayer
        As `quantize_network` makes it.
    x : array_like
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
        If `network` is no sequence of quantized layers.
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
    network : sequence of QuantLayer
        As `quantize_network` makes it.
    q : array_like of integers
        Codes of the input: ``quantize(x, network[0].x)``.

    Returns
    -------
    list of ndarray of integers
        The input's codes, then each layer's. Those of a last `Dense` or `Conv` are accumulators in units of
        Sx Sw: if the weight has a scale for each output, each output has another unit, and the largest number
        need not be the largest score. ``network[-1].decode`` turns them into reals.

    Raises
    ------
    TypeError
        If `network` is no sequence of quantized layers, or `q` holds no integers.
    ValueError
        If there is no layer, a code is outside its grid, an accumulator leaves int32, or a weight is in
        blocks.

    Examples
    --------
    >>> from quantnotes import quantize
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
        64-64-32-10, a ReLU after all but the last; the largest output is the network's answer.
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


class TextDirection(NamedTuple):
    """Lines of text, upright or turned by 180 degrees, and a convolutional network that tells which.

    Attributes
    ----------
    network : tuple of Layer
        PaddleOCR's classifier, of the kind of MobileNetV3: 53 convolutions, 11 of them depthwise, 35 batch
        normalizations not yet folded, hard-swish, squeeze-and-excite. Its two outputs are scores, to which a
        softmax may be applied; the larger one is the answer.
    images, heldout : ndarray of float32, shapes (64, 3, 48, 192) and (400, 3, 48, 192)
        Lines to calibrate on and to test on, from -1 to 1; 0 to the right of the line.
    turned, heldout_turned : ndarray of bool, shapes (64,) and (400,)
        Whether the line is turned.

    Examples
    --------
    >>> lines = load_text_direction()
    >>> lines.images.shape, len(lines.network)
    ((64, 3, 48, 192), 48)
    """

    network: tuple[Layer, ...]
    images: Array
    turned: Array
    heldout: Array
    heldout_turned: Array


def load_text_direction() -> TextDirection:
    """Read the text-direction classifier and its lines from the samples.

    Returns
    -------
    TextDirection

    Examples
    --------
    >>> lines = load_text_direction()
    >>> scores = run_float(lines.network, lines.heldout[:20])[-1]
    >>> float(np.mean(scores.argmax(axis=1) == lines.heldout_turned[:20]))
    0.95
    """
    layers = _convolution("conv1", strides=2, activation="hard-swish")
    for i in range(2, 13):
        strides = (2, 1) if i in (2, 3, 5, 10) else 1
        activation = "relu" if i < 5 else "hard-swish"
        block = _convolution(f"conv{i}_expand", activation=activation)
        block += _convolution(f"conv{i}_depthwise", strides=strides, activation=activation)
        if i not in (3, 4):
            block.append(_squeeze_and_excite(f"conv{i}_se"))
        block += _convolution(f"conv{i}_linear")
        layers += [Add(((), tuple(block)))] if i in (4, 6, 7, 8, 9, 11, 12) else block
    layers += [*_convolution("conv_last", activation="hard-swish"), MaxPool(2), AveragePool(), Flatten()]
    layers.append(Dense(_text_direction("fc_weights").T, _text_direction("fc_offset")))
    images = prepare_lines(samples.load("text_lines_images"), samples.load("text_lines_widths"))
    turned = samples.load("text_lines_turned")
    return TextDirection(tuple(layers), images[:64], turned[:64], images[64:], turned[64:])


def prepare_lines(images: Array, widths: Array) -> Array:
    """Make the text-direction classifier's input of lines of text.

    Parameters
    ----------
    images : ndarray of uint8, shape (n, height, width)
        Grey, 0 black.
    widths : ndarray of int, shape (n,)
        How many columns a line fills.

    Returns
    -------
    ndarray of float32, shape (n, 3, height, width)
        From -1 to 1; 0 to the right of a line. The three channels are equal.

    Examples
    --------
    >>> prepare_lines(np.array([[[0, 255, 9]]], np.uint8), np.array([2]))[0, 0]
    array([[-1.,  1.,  0.]], dtype=float32)
    """
    grey = images.astype(np.float32)[:, None] / np.float32(127.5) - 1
    written = np.arange(images.shape[-1]) < widths[:, None]
    return np.repeat(np.where(written[:, None, None], grey, np.float32(0)), 3, axis=1)


def _text_direction(name: str) -> Array:
    return samples.load(f"text_direction_{name}")


def _convolution(name: str, strides: int | tuple[int, int] = 1, activation: str = "") -> list[Layer]:
    """Return a convolution of the classifier, its normalization, and what follows."""
    weight = _text_direction(f"{name}_weights")
    groups = len(weight) if "depthwise" in name else 1
    conv = Conv(weight, np.zeros(len(weight)), False, strides, weight.shape[-1] // 2, groups=groups)
    gamma, beta, mean, var = (
        _text_direction(f"{name}_bn_{part}") for part in ("scale", "offset", "mean", "variance")
    )
    norm = BatchNorm(gamma, beta, mean, var, relu=activation == "relu")
    return [conv, norm, Table(activation)] if activation == "hard-swish" else [conv, norm]


def _squeeze_and_excite(name: str) -> Multiply:
    first, second = (
        Conv(_text_direction(f"{name}_{i}_weights"), _text_direction(f"{name}_{i}_offset"), relu=i == 1)
        for i in (1, 2)
    )
    return Multiply(((), (AveragePool(), first, second, Table(_hard_sigmoid))))


def _hard_sigmoid(x: Array) -> Array:
    """Return ONNX's HardSigmoid, whose slope is 0.2 where PyTorch's is 1/6."""
    y: Array = np.clip(0.2 * x + 0.5, 0, 1)
    return y
