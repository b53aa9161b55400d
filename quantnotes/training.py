"""Quantization-aware training: go on training a network with the rounding in the forward pass.

Rounding is flat between its steps, so that its own gradient would teach nothing. The straight-through
estimator pretends that it is the identity, and stops only what is clipped: Y. Bengio, N. Leonard and
A. Courville, "Estimating or Propagating Gradients Through Stochastic Neurons for Conditional
Computation" (2013). S and Z stay as they were calibrated. Left out: learning them, and everything that
trains large networks.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from quantnotes.checks import as_int, as_real
from quantnotes.mapping import QuantParams, fake_quantize
from quantnotes.network import Dense, QuantDense, QuantNetwork, check_quantized

Array = NDArray[Any]

STEP = 2.0**-20  # weights stay multiples of it, far below any S: so the last bits of a BLAS do not add up
BETAS, EPSILON = (0.9, 0.999), 1e-8  # of Adam; D. P. Kingma and J. Ba (2015)


def straight_through(x: ArrayLike, params: QuantParams) -> tuple[Array, Array]:
    """Fake-quantize, and return beside it the slope that training pretends to see.

    Parameters
    ----------
    x : array_like
        Real numbers, any shape.
    params : QuantParams
        S and Z.

    Returns
    -------
    reals : ndarray of float64
        ``fake_quantize(x, params)``.
    slope : ndarray of bool
        True where nothing is clipped: the identity's slope, 1. False elsewhere: 0. Clipped is what rounds to
        a code outside the grid, so the edge lies half a step beyond the last code. PyTorch's fake
        quantization draws the same line; TensorFlow's stops at the last code.

    Examples
    --------
    >>> from quantnotes import INT2
    >>> reals, slope = straight_through([-9.0, 0.4, 0.6, 1.4, 1.6], QuantParams(1.0, 0, INT2))
    >>> reals.tolist(), slope.astype(int).tolist()
    ([-2.0, 0.0, 1.0, 1.0, 1.0], [0, 1, 1, 1, 0])
    """
    array = as_real(x).astype(np.float64)
    scale, zero = (
        params.granularity.expand(np.asarray(v), array.shape) for v in (params.scale, params.zero_point)
    )
    with np.errstate(over="ignore"):  # of a huge value, which is clipped
        asked = np.rint(array / scale) + zero
    slope: Array = (asked >= params.grid.qmin) & (asked <= params.grid.qmax)
    return fake_quantize(array, params, dtype=np.float64), slope


def finetune(
    network: QuantNetwork,
    x: ArrayLike,
    labels: ArrayLike,
    *,
    epochs: int = 10,
    rate: float = 1e-3,
    rows: int = 60,
    seed: int = 0,
) -> tuple[QuantDense, ...]:
    """Train the weights and biases of a quantized classifier on, its scales and zero points left as they are.

    Parameters
    ----------
    network : sequence of QuantDense
        As `quantize_network` makes it; it is not changed.
    x : array_like, shape (n, inputs)
        What to train on.
    labels : array_like of integers, shape (n,)
        Which output is to be the largest.
    epochs : int, default 10
        How often everything is seen: 0 or more. It decides how far the weights get; ten is a taste.
    rate : float, default 0.001
        Learning rate of Adam, above 0.
    rows : int, default 60
        How many rows make a step: few, for then BLAS does not spread them over threads.
    seed : int, default 0
        Of the order in which they come.

    Returns
    -------
    tuple of QuantDense
        The same parameters, other weights.

    Raises
    ------
    TypeError
        If `network` is no sequence of QuantDense, or `epochs`, `rate` or `rows` no number of its kind.
    ValueError
        If there is not one label for each row, a label is no output, or `epochs`, `rate` or `rows` is out
        of range.

    Notes
    -----
    The loss is the cross-entropy of the softmax. After each step the weights are rounded to multiples of
    2**-20, so that machines whose sums differ in their last bits train the same network.

    Examples
    --------
    >>> from quantnotes import INT2
    >>> from quantnotes.network import quantize_network, run_integer
    >>> x, labels = np.eye(2), [1, 0]
    >>> before = quantize_network([Dense(np.zeros((2, 2)), np.zeros(2))], x, INT2, INT2)
    >>> after = finetune(before, x, labels, epochs=600)
    >>> run_integer(after, [[1, 0], [0, 1]])[-1].argmax(axis=1).tolist()
    [1, 0]
    """
    check_quantized(network)
    for name, number, least in (("epochs", epochs, 0), ("rows", rows, 1)):
        if as_int(number, name, "an integer") < least:
            raise ValueError(f"{name} must be at least {least}, got {number!r}")
    if isinstance(rate, bool) or not isinstance(rate, int | float | np.integer | np.floating):
        raise TypeError(f"rate must be a number, got {rate!r}")
    if not 0 < rate < math.inf:
        raise ValueError(f"rate must be positive and finite, got {rate!r}")
    inputs = fake_quantize(x, network[0].x, dtype=np.float64)
    targets = _one_hot(labels, len(inputs), len(network[-1].dense.bias))
    values = [a.astype(np.float64) for layer in network for a in (layer.dense.weight, layer.dense.bias)]
    adam = _Adam(values, rate)
    rng = np.random.default_rng(seed)
    for _ in range(epochs):
        order = rng.permutation(len(inputs))
        for chosen in np.split(order, range(rows, len(order), rows)):
            adam.step(_gradients(network, values, inputs[chosen], targets[chosen]))
    return tuple(
        replace(layer, dense=Dense(w, b, layer.dense.relu))
        for layer, w, b in zip(network, values[::2], values[1::2], strict=True)
    )


def _one_hot(labels: ArrayLike, n: int, outputs: int) -> Array:
    wanted = as_real(labels, "labels")
    if wanted.shape != (n,):
        raise ValueError(f"labels must have shape ({n},), one for each row of x; got {wanted.shape}")
    if not np.isin(wanted, np.arange(outputs)).all():
        raise ValueError(f"labels must be 0 to {outputs - 1}, the number of an output")
    return np.eye(outputs)[wanted.astype(np.int64)]


def _gradients(network: QuantNetwork, values: Sequence[Array], x: Array, targets: Array) -> list[Array]:
    """Return the gradient of the mean loss for each weight and bias, rounding taken for the identity."""
    seen, weights, slopes = [x], [], []
    for layer, w, b in zip(network, values[::2], values[1::2], strict=True):
        weights.append(straight_through(w, layer.w))
        out = seen[-1] @ weights[-1][0].T + b
        slope = out > 0 if layer.dense.relu else np.True_
        out = np.maximum(out, 0) if layer.dense.relu else out
        if layer.y is not None:
            out, inside = straight_through(out, layer.y)
            slope = slope & inside
        seen.append(out)
        slopes.append(slope)
    grown = np.exp(seen[-1] - seen[-1].max(axis=1, keepdims=True))
    error = grown / grown.sum(axis=1, keepdims=True) - targets
    gradients: list[Array] = []
    for below, (w, inside), slope in zip(seen[-2::-1], weights[::-1], slopes[::-1], strict=True):
        error = error * slope
        gradients = [error.T @ below * inside / len(x), error.sum(axis=0) / len(x), *gradients]
        error = error @ w
    return gradients


class _Adam:
    """Each value moves by its mean gradient over the gradient's root mean square, both running."""

    def __init__(self, values: Sequence[Array], rate: float) -> None:
        self.values, self.rate, self.steps = values, rate, 0
        self.means, self.squares = ([np.zeros_like(v) for v in values] for _ in range(2))

    def step(self, gradients: Sequence[Array]) -> None:
        """Change the values in place."""
        self.steps += 1
        grown = [1 - beta**self.steps for beta in BETAS]
        for value, gradient, mean, square in zip(
            self.values, gradients, self.means, self.squares, strict=True
        ):
            mean += (1 - BETAS[0]) * (gradient - mean)
            square += (1 - BETAS[1]) * (gradient**2 - square)
            value -= self.rate * (mean / grown[0]) / (np.sqrt(square / grown[1]) + EPSILON)
            value[...] = np.rint(value / STEP) * STEP
