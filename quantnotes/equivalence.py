"""Moving factors and rotations between layers: another network that computes the same, easier to quantize.

`fold_batch_norm` makes a normalization part of the layer before it. `equalize` evens out the ranges of two
layers, and `bias_correction` removes the mean of the error that a rounded weight causes, both after M. Nagel
and others, "Data-Free Quantization Through Weight Equalization and Bias Correction" (2019). `smooth_factors`
divides the columns of an activation by what the weight is multiplied with, after G. Xiao and others,
"SmoothQuant" (2022). `rotate` mixes the columns by a Hadamard matrix, which spreads one large value over all
of them, after S. Ashkboos and others, "QuaRot" (2024).

Not covered: learned factors and learned rotations.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from quantnotes.checks import as_int, as_real, compute_type
from quantnotes.ranges import finite_array

Array = NDArray[Any]

_MOST = 2**14  # order of the largest matrix that is written out: 2 GB
_LARGEST = 64  # order of the largest matrix that `rotate` multiplies with


# --- normalizations and convolutions ------------------------------------------------------------------------


def fold_batch_norm(
    weight: ArrayLike,
    bias: ArrayLike | None,
    gamma: ArrayLike,
    beta: ArrayLike,
    mean: ArrayLike,
    var: ArrayLike,
    eps: float = 1e-5,
) -> tuple[Array, Array]:
    """Make a batch normalization with fixed statistics part of the layer before it.

    Parameters
    ----------
    weight : array_like, shape (outputs, ...)
        Of a dense or convolutional layer.
    bias : array_like, shape (outputs,), or None
        None: no bias.
    gamma, beta, mean, var : array_like, shape (outputs,)
        ``gamma (x - mean) / sqrt(var + eps) + beta`` follows the layer.
    eps : float, default 1e-5
        Added to the variance.

    Returns
    -------
    weight, bias : ndarray of float64
        ``weight gamma / sqrt(var + eps)`` and ``(bias - mean) gamma / sqrt(var + eps) + beta``.

    Raises
    ------
    TypeError
        If an argument holds no real numbers, or `eps` is no number.
    ValueError
        If the shapes do not fit, a value is not finite, or ``var + eps`` is not positive.

    Examples
    --------
    >>> fold_batch_norm([[1.0, 2.0]], [1.0], [6.0], [0.5], [2.0], [9.0], eps=0.0)
    (array([[2., 4.]]), array([-1.5]))
    """
    w = _finite(weight, "weight")
    if w.ndim < 2:
        raise ValueError(f"weight must have shape (outputs, ...) of two axes or more, got {w.shape}")
    b = np.zeros(len(w)) if bias is None else _finite(bias, "bias")
    named = {"bias": b, "gamma": gamma, "beta": beta, "mean": mean, "var": var}
    b, g, shift, center, spread = (_per_output(values, name, w) for name, values in named.items())
    variance = spread + _number(eps, "eps")
    if not (variance > 0).all():
        raise ValueError(f"var + eps must be positive, got {variance.min()}")
    factor = g / np.sqrt(variance)
    return w * _against(factor, w), (b - center) * factor + shift


def equalize(
    first: ArrayLike,
    bias: ArrayLike | None,
    second: ArrayLike,
    *,
    between: str = "relu",
    groups: int = 1,
) -> tuple[Array, Array | None, Array]:
    """Move factors between two layers so that each channel between them has one range in both weights.

    Parameters
    ----------
    first : array_like, shape (channels, ...)
        Weight of the first layer, dense or convolutional.
    bias : array_like, shape (channels,), or None
        Its bias.
    second : array_like, shape (outputs, channels / groups, ...)
        Weight of the layer that reads the first one's output, and nothing else does.
    between : {"relu", "linear"}, default "relu"
        What stands between them. Anything else is refused with the reason.
    groups : int, default 1
        Of the second layer; as many as channels: depthwise.

    Returns
    -------
    first, bias, second : ndarray of float64
        Each channel of `first` and `bias` divided by ``sqrt(r1 / r2)`` and of `second` multiplied by it, r1
        and r2 the largest magnitudes of the channel in the two weights. None for a bias that was not given.
        A channel that is 0 in either stays.

    Raises
    ------
    TypeError
        If an argument holds no real numbers, or `groups` is not an integer.
    ValueError
        If the shapes or groups do not fit, a value is not finite, or it would not be exact.

    Notes
    -----
    ReLU passes a positive factor: ``relu(s x) = s relu(x)``. Hard-swish, ReLU6 or GELU do not. With one scale
    a tensor this helps where channels differ; with a scale for each output there is little left to help, and
    it can hurt the second layer.

    Examples
    --------
    >>> equalize([[8.0], [1.0]], None, [[0.5, 4.0]])
    (array([[2.],
           [2.]]), None, array([[2., 2.]]))
    """
    if between not in ("relu", "linear"):
        raise ValueError(
            f"factors do not pass through {between!r}: f(s x) = s f(x) must hold for every s > 0, as for "
            "'relu' and 'linear'; hard-swish, ReLU6 and GELU bend at fixed values of x, so that the network "
            "would compute something else"
        )
    w1, w2 = _finite(first, "first"), _finite(second, "second")
    number = as_int(groups, "groups")
    if w1.ndim < 2 or w2.ndim < 2:
        raise ValueError(f"first and second must have two axes or more, got shapes {w1.shape} and {w2.shape}")
    channels = len(w1)
    if number < 1 or w2.shape[1] * number != channels or len(w2) % number:
        raise ValueError(
            f"second, of shape {w2.shape} in {number} groups, does not read the {channels} channels of first"
        )
    b = None if bias is None else _per_output(bias, "bias", w1)
    grouped = w2.reshape(number, len(w2) // number, w2.shape[1], -1)
    above = np.abs(w1.reshape(channels, -1)).max(axis=1, initial=0)
    below = np.abs(grouped).max(axis=(1, 3), initial=0).reshape(-1)
    alive = (above > 0) & (below > 0)
    factors = np.sqrt(np.where(alive, above, 1)) / np.sqrt(np.where(alive, below, 1))
    scaled = grouped * factors.reshape(number, 1, -1, 1)
    return w1 / _against(factors, w1), None if b is None else b / factors, scaled.reshape(w2.shape)


def bias_correction(
    weight: ArrayLike,
    quantized: ArrayLike,
    inputs: ArrayLike | None = None,
    *,
    gamma: ArrayLike | None = None,
    beta: ArrayLike | None = None,
    between: str = "relu",
    groups: int = 1,
) -> Array:
    """Return what to add to a bias so that rounding the weight does not shift the outputs' means.

    Parameters
    ----------
    weight : array_like, shape (outputs, channels / groups, ...)
        Of a dense or convolutional layer, in floats.
    quantized : array_like, shape of `weight`
        The same, quantized and dequantized.
    inputs : array_like, shape (rows, channels) or (images, channels, height, width), optional
        What goes into the layer, on calibration data: its mean is measured.
    gamma, beta : array_like, shape (channels,), optional
        Instead of `inputs`: of the batch normalization that makes the input, so that a channel is taken for
        normal, with mean beta and the magnitude of gamma as standard deviation.
    between : {"relu", "linear"}, default "relu"
        What stands between that normalization and this layer.
    groups : int, default 1
        Of the layer.

    Returns
    -------
    ndarray of float64, shape (outputs,)
        ``(weight - quantized)`` times the mean of each input, summed.

    Raises
    ------
    TypeError
        If an argument holds no real numbers, or `groups` is not an integer.
    ValueError
        If the shapes or groups do not fit, a value is not finite, there are neither inputs nor statistics, or
        both, or `between` is unknown.

    Notes
    -----
    The mean of a normal value behind a ReLU is ``beta Phi(beta / gamma) + gamma phi(beta / gamma)``. Padding
    is not counted: where zeros are padded, the outputs at the border have another mean.

    Examples
    --------
    >>> bias_correction([[1.0, 2.0]], [[1.25, 2.0]], [[4.0, 1.0], [8.0, 3.0]])
    array([-1.5])
    """
    w, q = _finite(weight, "weight"), _finite(quantized, "quantized")
    number = as_int(groups, "groups")
    if w.ndim < 2 or q.shape != w.shape:
        raise ValueError(
            f"weight and quantized must have one shape (outputs, channels / groups, ...), got {w.shape} and "
            f"{q.shape}"
        )
    if number < 1 or len(w) % number:
        raise ValueError(f"the {len(w)} outputs of weight do not make {number} groups")
    channels = w.shape[1] * number
    if inputs is not None:
        if gamma is not None or beta is not None:
            raise ValueError("pass inputs, or gamma and beta, not both")
        x = _finite(inputs, "inputs")
        if x.ndim < 2 or x.shape[1] != channels or not x.size:
            raise ValueError(f"inputs must have {channels} channels along axis 1, got shape {x.shape}")
        mean = x.mean(axis=(0, *range(2, x.ndim)))
    elif gamma is None or beta is None:
        raise ValueError("pass inputs, or gamma and beta: the mean of each input is needed")
    else:
        mean = _mean_behind(_finite(gamma, "gamma"), _finite(beta, "beta"), between)
        if mean.shape != (channels,):
            raise ValueError(f"gamma and beta must have shape ({channels},), got {mean.shape}")
    missing = (w - q).reshape(number, len(w) // number, w.shape[1], -1).sum(axis=3)
    shift: Array = np.einsum("goc,gc->go", missing, mean.reshape(number, -1)).reshape(-1)
    return shift


def _mean_behind(gamma: Array, beta: Array, between: str) -> Array:
    """Return the mean of normal values, of mean beta and standard deviation |gamma|, behind a function."""
    if between not in ("relu", "linear"):
        raise ValueError(
            f"between must be 'relu' or 'linear', whose mean is known in closed form, got {between!r}: "
            "measure it, with inputs"
        )
    if gamma.ndim != 1 or gamma.shape != beta.shape:
        raise ValueError(
            f"gamma and beta must have one shape (channels,), got {gamma.shape} and {beta.shape}"
        )
    if between == "linear":
        return beta
    deviation = np.abs(gamma)
    t = beta / np.where(deviation > 0, deviation, 1)
    above = np.array([(1 + math.erf(each / math.sqrt(2))) / 2 for each in t])
    density = np.exp(-(t**2) / 2) / math.sqrt(2 * math.pi)
    mean: Array = np.where(deviation > 0, beta * above + deviation * density, np.maximum(beta, 0))
    return mean


def _finite(values: ArrayLike, name: str) -> Array:
    """Return values as float64.

    Raises
    ------
    TypeError
        If they are no real numbers.
    ValueError
        If one is not finite.
    """
    array = as_real(values, name).astype(np.float64)
    if not np.isfinite(array).all():
        raise ValueError(
            f"{name} must be finite, got {np.count_nonzero(~np.isfinite(array))} values that are not"
        )
    return array


def _number(value: object, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        raise TypeError(f"{name} must be a number, got {value!r}")
    if not math.isfinite(value):
        raise ValueError(f"{name} must be finite, got {value!r}")
    return float(value)


def _per_output(values: ArrayLike, name: str, weight: Array) -> Array:
    array = _finite(values, name)
    if array.shape != weight.shape[:1]:
        raise ValueError(f"{name} must have shape {weight.shape[:1]}, one for each output, got {array.shape}")
    return array


def _against(factors: Array, weight: Array) -> Array:
    """Return one number for each output so that it broadcasts against the weight."""
    return factors.reshape(-1, *[1] * (weight.ndim - 1))


# --- factors ------------------------------------------------------------------------------------------------


def smooth_factors(absmax: ArrayLike, weight: ArrayLike, alpha: float = 0.5) -> Array:
    """Return a factor for each input: divide the activation by it, and multiply the weight's column.

    Parameters
    ----------
    absmax : array_like, shape (inputs,)
        The largest magnitude of each column of the activation, on calibration data.
    weight : array_like, shape (outputs, inputs)
        The weight that the activation is multiplied with.
    alpha : float, default 0.5
        From 0 (everything is moved to the activation) to 1 (everything to the weight).

    Returns
    -------
    ndarray of float64, shape (inputs,)
        ``absmax**alpha / max|weight|**(1 - alpha)``; 1 for a column that is 0 in either.

    Raises
    ------
    TypeError
        If an argument holds no real numbers.
    ValueError
        If the shapes do not fit, a value is not finite, `absmax` is negative or `alpha` is not in [0, 1].

    Examples
    --------
    >>> smooth_factors([16.0, 0.0], [[1.0, 2.0], [-4.0, 0.5]])
    array([2., 1.])
    """
    most = finite_array(absmax).astype(np.float64)
    w = finite_array(weight).astype(np.float64)
    if most.ndim != 1 or w.ndim != 2 or w.shape[1] != most.size:
        raise ValueError(
            f"absmax must have shape (inputs,) and weight (outputs, inputs), got {most.shape} and {w.shape}"
        )
    if (most < 0).any():
        raise ValueError("absmax holds negative values: it is a largest magnitude")
    if isinstance(alpha, bool) or not isinstance(alpha, int | float | np.integer | np.floating):
        raise TypeError(f"alpha must be a number, got {alpha!r}")
    if not 0 <= alpha <= 1:
        raise ValueError(f"alpha must be from 0 to 1, got {alpha!r}")
    column = np.abs(w).max(axis=0)
    alive = (most > 0) & (column > 0)
    factors: Array = np.where(alive, most, 1.0) ** alpha / np.where(alive, column, 1.0) ** (1 - alpha)
    return factors


# --- rotations ----------------------------------------------------------------------------------------------


@lru_cache(maxsize=16)
def _small_hadamard(order: int) -> Array:
    """Return Sylvester's matrix for a power of two, or Paley's first one for 12, 20 and 28, read-only."""
    if order & (order - 1) == 0:
        h = np.ones((1, 1))
        while len(h) < order:
            h = np.block([[h, h], [h, -h]])
    else:
        h = _paley(order)
    h.flags.writeable = False
    return h


def _paley(order: int) -> Array:
    """Return the Hadamard matrix that R. E. A. C. Paley (1933) makes of squares in a finite field.

    Of order q + 1 for a prime q = 3 mod 4 (11 and 19), or of order 2 (q + 1) for q = 1 mod 4 (13).
    """
    q = order - 1 if order % 8 == 4 and order != 28 else order // 2 - 1
    squares = {i * i % q for i in range(1, q)}
    character = np.array([0] + [1 if i in squares else -1 for i in range(1, q)], np.float64)
    jacobsthal = character[np.subtract.outer(np.arange(q), np.arange(q)) % q]
    core = np.zeros((q + 1, q + 1))
    core[0, 1:], core[1:, 1:] = 1, jacobsthal
    if q % 4 == 3:
        core[1:, 0] = -1
        return core + np.eye(q + 1)
    core[1:, 0] = 1
    return np.kron(core, [[1.0, 1.0], [1.0, -1.0]]) + np.kron(np.eye(q + 1), [[1.0, -1.0], [-1.0, -1.0]])


def hadamard(n: int) -> Array:
    """Return a Hadamard matrix: its entries are 1 and -1, and ``H @ H.T`` is n times the identity.

    Parameters
    ----------
    n : int
        The order: 1, 12, 20 or 28 times a power of two, at most 2**14.

    Returns
    -------
    ndarray of float64, shape (n, n)

    Raises
    ------
    TypeError
        If `n` is not an integer.
    ValueError
        If `n` is of none of these orders.

    Examples
    --------
    >>> hadamard(2)
    array([[ 1.,  1.],
           [ 1., -1.]])
    """
    size = as_int(n, "n")
    if size > _MOST:
        raise ValueError(
            f"n must be at most {_MOST}, got {n}: the matrix has n * n entries; rotate needs none"
        )
    h: Array = np.ones((1, 1))
    for order in _orders(size, "n"):
        h = np.kron(h, _small_hadamard(order))
    return h


@lru_cache(maxsize=64)
def _orders(n: int, name: str) -> tuple[int, ...]:
    """Return orders of small Hadamard matrices whose product is `n`."""
    for first in (1, 12, 20, 28):
        power, rest = divmod(n, first)
        if power > 0 and not rest and power & (power - 1) == 0:
            orders = [first] * (first > 1)
            while power > _LARGEST:
                orders.append(_LARGEST)
                power //= _LARGEST
            return (*orders, power) if power > 1 or not orders else tuple(orders)
    raise ValueError(f"{name} must be 1, 12, 20 or 28 times a power of two, got {n}")


def rotate(x: ArrayLike, seed: int | None = None, inverse: bool = False) -> Array:
    """Multiply the last axis by random signs and a Hadamard matrix, scaled to keep lengths.

    Rotating the activation and the weight of a layer alike changes nothing: ``x @ w.T`` is
    ``rotate(x) @ rotate(w).T``.

    Parameters
    ----------
    x : array_like, shape (..., n)
        Real numbers; n is an order of :func:`hadamard`.
    seed : int, optional
        Which signs: the same ones for the same seed and n. Without it, none.
    inverse : bool, default False
        Rotate back.

    Returns
    -------
    ndarray, shape of `x`
        float32 for float16, bfloat16 and float32, float64 for the rest.

    Raises
    ------
    TypeError
        If `x` holds no real numbers, or `seed` is not an integer.
    ValueError
        If `x` has no axis, n is not an order of `hadamard`, or `seed` is negative.

    Notes
    -----
    The matrix is the Kronecker product of small ones, and the data are multiplied with these, one axis
    each: a value costs their orders added up (44 products for n = 384 = 12 * 32), not n. An infinity or NaN
    reaches all values of its row.

    Examples
    --------
    >>> rotate([5.0, 1.0]) * math.sqrt(2)
    array([6., 4.])
    >>> rotate(rotate([5.0, 1.0], seed=1), seed=1, inverse=True)
    array([5., 1.])
    """
    array = as_real(x)
    if not array.ndim:
        raise ValueError("x must have an axis to rotate along, got a single number")
    n = array.shape[-1]
    orders = _orders(n, "the length of the last axis")
    y = array.astype(compute_type(array.dtype))
    signs = None if seed is None else _signs(seed, n).astype(y.dtype)
    if signs is not None and not inverse:
        y *= signs
    y = y.reshape(*array.shape[:-1], *orders)
    for i, order in enumerate(orders):
        h = _small_hadamard(order).astype(y.dtype) / y.dtype.type(math.sqrt(order))
        axis = i - len(orders)
        with np.errstate(over="ignore", invalid="ignore"):
            y = np.moveaxis(np.moveaxis(y, axis, -1) @ (h.T if inverse else h), -1, axis)
    y = y.reshape(array.shape)
    if signs is not None and inverse:
        y = y * signs
    return y


def _signs(seed: object, n: int) -> Array:
    number = as_int(seed, "seed", "an integer or None")
    if number < 0:
        raise ValueError(f"seed must be at least 0, got {number}")
    return np.where(np.random.default_rng(number).random(n) < 0.5, -1.0, 1.0)


# --- folding into what comes before -------------------------------------------------------------------------

_CURVED = ("gelu", "silu", "hard-swish", "sigmoid", "tanh", "softmax")
_BEFORE = ("linear", "relu", "layernorm", "rmsnorm", *_CURVED)


def fold_factors(
    factors: ArrayLike,
    before: str,
    weight: ArrayLike,
    bias: ArrayLike | None = None,
    *,
    residual: bool = False,
) -> tuple[Array, Array | None]:
    """Divide the output of what comes before by factors, by changing its weight and bias.

    Parameters
    ----------
    factors : array_like, shape (outputs,)
        Positive, such as :func:`smooth_factors` returns.
    before : {"linear", "relu", "layernorm", "rmsnorm"}
        What makes the activation: a linear layer, one with a ReLU behind it, or the weight and bias of a
        normalization. Anything else is refused with the reason.
    weight : array_like, shape (outputs, inputs), or (outputs,) of a normalization
    bias : array_like, shape (outputs,), optional
    residual : bool, default False
        Whether the same output is also added to what comes later.

    Returns
    -------
    weight, bias : ndarray of float64
        The new ones; None for a bias that was not given.

    Raises
    ------
    TypeError
        If an argument holds no real numbers.
    ValueError
        If it would not be exact, with the reason; or factors are not positive, or shapes do not fit.

    Examples
    --------
    >>> fold_factors([2.0, 1.0], "linear", [[4.0], [3.0]], [1.0, 1.0])
    (array([[2.],
           [3.]]), array([0.5, 1. ]))
    """
    _check_place(before, residual, "factors")
    s = finite_array(factors).astype(np.float64)
    if not (s > 0).all():
        raise ValueError("factors must be positive: a ReLU lets no others pass, and none can be 0")
    w, b = _checked_layer(before, weight, bias, s.shape)
    return w / (s if w.ndim == 1 else s[:, None]), None if b is None else b / s


def fold_rotation(
    seed: int | None, before: str, weight: ArrayLike, bias: ArrayLike | None = None, *, residual: bool = False
) -> tuple[Array, Array | None]:
    """Rotate the output of the linear layer that comes before, by changing its weight and bias.

    Parameters
    ----------
    seed : int or None
        As for :func:`rotate`.
    before : str
        "linear", or what makes the activation instead: refused with the reason.
    weight : array_like, shape (outputs, inputs)
    bias : array_like, shape (outputs,), optional
    residual : bool, default False
        Whether the same output is also added to what comes later.

    Returns
    -------
    weight, bias : ndarray of float64
        The new ones; None for a bias that was not given.

    Raises
    ------
    TypeError
        If an argument holds no real numbers.
    ValueError
        If it would not be exact, with the reason; or shapes do not fit.

    Examples
    --------
    >>> weight, _ = fold_rotation(None, "linear", [[1.0], [1.0]])
    >>> weight.round(3)
    array([[1.414],
           [0.   ]])
    """
    _check_place(before, residual, "a rotation")
    if before == "relu":
        raise ValueError(
            "ReLU works on single values, and a rotation mixes them: rotate while the network runs"
        )
    if before == "rmsnorm":
        raise ValueError(
            "RMSNorm multiplies by its weight: move that into the layer that follows, then RMSNorm of a "
            "rotated input is the rotated output, and the rotation folds into the linear layer before it"
        )
    if before == "layernorm":
        raise ValueError(
            "LayerNorm subtracts the mean of its input, which a rotation does not keep: centre the layer "
            "before it, which makes it an RMSNorm, and move its weight into the layer that follows"
        )
    w, b = _checked_layer(before, weight, bias, None)
    return rotate(w.T, seed).T, None if b is None else rotate(b, seed)


def _check_place(before: object, residual: bool, what: str) -> None:
    if before not in _BEFORE:
        raise ValueError(f"before must be one of {', '.join(_BEFORE)}, got {before!r}")
    if residual:
        raise ValueError(
            f"the output is also the residual: {what} folded into it would change that as well, and must be "
            "undone where it is added"
        )
    if before in _CURVED:
        raise ValueError(
            f"{before} is not linear: {what} cannot pass through it; do it while the network runs"
        )


def _checked_layer(
    before: str, weight: ArrayLike, bias: ArrayLike | None, outputs: tuple[int, ...] | None
) -> tuple[Array, Array | None]:
    w = finite_array(weight).astype(np.float64)
    b = None if bias is None else finite_array(bias).astype(np.float64)
    axes = 1 if before.endswith("norm") else 2
    outputs = w.shape[:1] if outputs is None else outputs
    if w.ndim != axes or w.shape[:1] != outputs or (b is not None and b.shape != outputs):
        wanted = "(outputs,)" if axes == 1 else "(outputs, inputs)"
        raise ValueError(
            f"weight must have shape {wanted}, bias and factors (outputs,); got weight {w.shape}, "
            f"bias {None if b is None else b.shape}, outputs {outputs}"
        )
    return w, b
