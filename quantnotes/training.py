"""Quantization-aware training: keep training a network with the rounding in the forward pass.

Rounding is flat between its steps, so its own gradient is 0 and teaches nothing. The straight-through
estimator replaces it by the identity, and stops only what is clipped: Y. Bengio, N. Leonard and
A. Courville, "Estimating or Propagating Gradients Through Stochastic Neurons for Conditional
Computation" (2013). S and Z stay as they were calibrated.

Not covered: learning S and Z, convolutions, and whatever else large networks need.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from quantnotes.checks import as_int, as_real, compute_type
from quantnotes.codebook import Codebook
from quantnotes.layers import Dense, QuantDense
from quantnotes.mapping import QuantParams, fake_quantize
from quantnotes.network import check_quantized

Array = NDArray[Any]

STEP = 2.0**-20  # weights stay multiples of it: another order of a sum changes nothing, and S is far larger
BETAS, EPSILON = (0.9, 0.999), 1e-8  # of Adam; D. P. Kingma and J. Ba (2015)
_RENAMED = {"rate": "learning_rate", "rows": "batch_size"}  # for one release: see CHANGES.md


def straight_through(x: ArrayLike, params: QuantParams) -> tuple[Array, Array]:
    """Fake-quantize, and return with the result the slope that training uses.

    Parameters
    ----------
    x : array_like
        Real numbers, any shape. Infinities are clipped.
    params : QuantParams
        S and Z, one pair or one for each index along some axes or for each block.

    Returns
    -------
    reals : ndarray of float64, shape of `x`
        ``fake_quantize(x, params, dtype=np.float64)``.
    slope : ndarray of bool, shape of `x`
        True, slope 1, where nothing is clipped; False, slope 0, elsewhere. A value is clipped if it rounds to
        a code outside the grid or format, so the edge lies half a step beyond the last code. PyTorch's fake
        quantization draws the same line; TensorFlow's stops at the last code.

    Raises
    ------
    TypeError
        If `x` holds no real numbers, or `params` is no QuantParams.
    ValueError
        If `x` holds NaN, or its shape does not fit `params`.

    Examples
    --------
    >>> from quantnotes import INT2
    >>> reals, slope = straight_through([-9.0, 0.4, 0.6, 1.4, 1.6], QuantParams(1.0, 0, INT2))
    >>> reals.tolist(), slope.astype(int).tolist()
    ([-2.0, 0.0, 1.0, 1.0, 1.0], [0, 1, 1, 1, 0])
    """
    array = as_real(x)
    reals = fake_quantize(array, params, dtype=np.float64)
    compute = compute_type(array.dtype)  # that of fake_quantize, so that both round a tie to the same code
    scale, zero = (
        params.granularity.expand(np.asarray(each, compute), array.shape)
        for each in (params.scale, params.zero_point)
    )
    with np.errstate(over="ignore"):  # a huge value is clipped
        quotient = array.astype(compute) / scale
    if isinstance(params.grid, Codebook):
        first, last = params.grid.thresholds(compute)[[0, -1]]
        return reals, np.asarray((quotient > first) & (quotient <= last))
    unclipped = np.rint(quotient) + zero
    return reals, np.asarray((unclipped >= params.grid.qmin) & (unclipped <= params.grid.qmax))


def finetune(
    network: Sequence[QuantDense],
    x: ArrayLike,
    labels: ArrayLike,
    *,
    epochs: int = 10,
    learning_rate: float = 1e-3,
    batch_size: int = 60,
    seed: int = 0,
    **renamed: Any,
) -> tuple[QuantDense, ...]:
    """Train the weights and biases of a quantized classifier further, with its scales and zero points fixed.

    Parameters
    ----------
    network : sequence of QuantDense
        As `quantize_network` makes it; it is not changed.
    x : array_like, shape (n, inputs)
        What to train on, at least one row.
    labels : array_like of integers, shape (n,)
        Which output should be the largest.
    epochs : int, default 10
        How often each row is used, at least once.
    learning_rate : float, default 0.001
        Of Adam, above 0.
    batch_size : int, default 60
        Rows for each step. Few rows keep BLAS on one thread.
    seed : int, default 0
        Of the order of the rows.
    **renamed
        The old names `rate` and `rows`, which still work and warn.

    Returns
    -------
    tuple of QuantDense
        The same parameters, other weights.

    Raises
    ------
    TypeError
        If `network` is no sequence of QuantDense, or an option has the wrong type.
    ValueError
        If `x` has no rows or another number of columns, there is not one label for each row, a label is no
        output, or an option is out of range.

    Notes
    -----
    The loss is the cross-entropy of the softmax. After each step the weights are rounded to multiples of
    2**-20, so that machines whose sums differ in the last bits train the same network.

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
    for old, value in renamed.items():
        if old not in _RENAMED:
            raise TypeError(f"finetune got an unexpected keyword argument {old!r}")
        warnings.warn(f"{old} has been renamed to {_RENAMED[old]}", DeprecationWarning, stacklevel=2)
        if old == "rate":
            learning_rate = value
        else:
            batch_size = value
    check_quantized(network, QuantDense)
    for name, number in (("epochs", epochs), ("batch_size", batch_size)):
        if as_int(number, name) < 1:
            raise ValueError(f"{name} must be at least 1, got {number!r}")
    if isinstance(learning_rate, bool) or not isinstance(
        learning_rate, int | float | np.integer | np.floating
    ):
        raise TypeError(f"learning_rate must be a number, got {learning_rate!r}")
    if not 0 < learning_rate < math.inf:
        raise ValueError(f"learning_rate must be positive and finite, got {learning_rate!r}")
    inputs = network[0].dense.as_input(fake_quantize(x, network[0].x, dtype=np.float64))
    if not len(inputs):
        raise ValueError("x has no rows: there is nothing to train on")
    targets = _one_hot(labels, len(inputs), len(network[-1].dense.bias))
    values = [a.astype(np.float64) for layer in network for a in (layer.dense.weight, layer.dense.bias)]
    adam = _Adam(values, learning_rate)
    rng = np.random.default_rng(seed)
    for _ in range(epochs):
        order = rng.permutation(len(inputs))
        for batch in np.split(order, range(batch_size, len(order), batch_size)):
            adam.step(_gradients(network, values, inputs[batch], targets[batch]))
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


def _gradients(
    network: Sequence[QuantDense], values: Sequence[Array], x: Array, targets: Array
) -> list[Array]:
    """Return the gradient of the mean loss for each weight and bias, with the slope of `straight_through`."""
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
    powers = np.exp(seen[-1] - seen[-1].max(axis=1, keepdims=True))
    error = powers / powers.sum(axis=1, keepdims=True) - targets
    gradients: list[Array] = []
    for below, (w, inside), slope in zip(seen[-2::-1], weights[::-1], slopes[::-1], strict=True):
        error = error * slope
        gradients = [error.T @ below * inside / len(x), error.sum(axis=0) / len(x), *gradients]
        error = error @ w
    return gradients


class _Adam:
    """Move values by the running mean of their gradient over its root mean square."""

    def __init__(self, values: Sequence[Array], rate: float) -> None:
        self.values, self.rate, self.steps = values, rate, 0
        self.means, self.squares = ([np.zeros_like(v) for v in values] for _ in range(2))

    def step(self, gradients: Sequence[Array]) -> None:
        """Change the values in place."""
        self.steps += 1
        weights = [1 - beta**self.steps for beta in BETAS]  # both averages start at 0, which is divided out
        for value, gradient, mean, square in zip(
            self.values, gradients, self.means, self.squares, strict=True
        ):
            mean += (1 - BETAS[0]) * (gradient - mean)
            square += (1 - BETAS[1]) * (gradient**2 - square)
            value -= self.rate * (mean / weights[0]) / (np.sqrt(square / weights[1]) + EPSILON)
            value[...] = np.rint(value / STEP) * STEP
