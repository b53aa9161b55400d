"""Where the windows of a 2-D convolution lie, and the sums over them: for reals and for codes alike.

Not covered: what codes stand for, see :func:`quantnotes.integer.int_conv`; one or three spatial axes,
transposed convolutions, and the algorithms that need fewer products.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from quantnotes.checks import as_int

Array = NDArray[Any]
Pair = int | tuple[int, int]  # one for each spatial axis, or one for both
Pads = int | tuple[int, int] | tuple[int, int, int, int]

COLUMNS = 2**20  # values that are copied out of windows at once: 8 MB in float64


@dataclass(frozen=True)
class Windows:
    """Windows of a size along the last two axes of data, by strides, dilations and padding.

    Make one with :meth:`of`, which checks its arguments.

    Attributes
    ----------
    kernel, strides, dilations : tuple of int
        For the vertical and the horizontal axis.
    pads : tuple of int
        Top, left, bottom, right, as in ONNX.

    Examples
    --------
    >>> Windows.of((3, 3), pads=1).output((5, 7))
    (5, 7)
    """

    kernel: tuple[int, int]
    strides: tuple[int, int] = (1, 1)
    pads: tuple[int, int, int, int] = (0, 0, 0, 0)
    dilations: tuple[int, int] = (1, 1)

    @classmethod
    def of(cls, kernel: Pair, strides: Pair = 1, pads: Pads = 0, dilations: Pair = 1) -> Windows:
        """Return the windows that the arguments of a convolution or a pooling describe.

        Parameters
        ----------
        kernel, strides, dilations : int or tuple of two int
            One for each spatial axis, or one for both.
        pads : int, or tuple of two or four int
            One for all sides, one for each axis, or top, left, bottom and right.

        Raises
        ------
        TypeError
            If one of them is not an integer or a tuple of integers.
        ValueError
            If there are too few or too many, a pad is negative, or another number is below 1.

        Examples
        --------
        >>> Windows.of(3, strides=2, pads=(1, 0)).pads
        (1, 0, 1, 0)
        """
        around = _integers(pads, "pads", 0, (1, 2, 4))
        top, left, bottom, right = around * (4 // len(around))
        return cls(
            _pair(kernel, "kernel"),
            _pair(strides, "strides"),
            (top, left, bottom, right),
            _pair(dilations, "dilations"),
        )

    def output(self, size: tuple[int, int]) -> tuple[int, int]:
        """Return how many windows there are along the two axes of data of a size.

        Raises
        ------
        ValueError
            If not one window fits.
        """
        reach = self.reach
        padded = [n + a + b for n, a, b in zip(size, self.pads[:2], self.pads[2:], strict=True)]
        counts = [(n - r) // s + 1 for n, r, s in zip(padded, reach, self.strides, strict=True)]
        if min(counts) < 1:
            raise ValueError(
                f"a kernel that covers {reach} does not fit data of {tuple(size)}, padded {tuple(padded)}"
            )
        return counts[0], counts[1]

    @property
    def reach(self) -> tuple[int, int]:
        """How many values a window covers along each axis, gaps included."""
        (kh, kw), (dh, dw) = self.kernel, self.dilations
        return (kh - 1) * dh + 1, (kw - 1) * dw + 1

    def view(self, x: Array, fill: Any = 0) -> Array:
        """Return the windows as a view, shape (..., kernel, windows): of padded data, if there are pads.

        Parameters
        ----------
        x : ndarray, shape (..., height, width)
        fill : number, default 0
            The value around the data.

        Examples
        --------
        >>> Windows.of((1, 2)).view(np.array([[1, 2, 3]])).tolist()
        [[[[1, 2]], [[2, 3]]]]
        """
        self.output(x.shape[-2:])
        if any(self.pads):
            top, left, bottom, right = self.pads
            around = [(0, 0)] * (x.ndim - 2) + [(top, bottom), (left, right)]
            x = np.pad(x, around, constant_values=fill)
        (sh, sw), (dh, dw) = self.strides, self.dilations
        # Window positions come last, so that copying a tap reads runs of neighbours.
        view = sliding_window_view(x, self.reach, axis=(-2, -1))[..., ::sh, ::sw, ::dh, ::dw]
        return view.transpose(*range(x.ndim - 2), -2, -1, -4, -3)


def convolve(x: Array, weight: Array, windows: Windows, groups: int = 1) -> Array:
    """Convolve, padding with 0, in the type of the arrays.

    Parameters
    ----------
    x : ndarray, shape (images, channels, height, width)
    weight : ndarray, shape (outputs, channels / groups, kernel height, kernel width)
        Of the dtype of `x`.
    windows : Windows
        Where the kernel lies.
    groups : int, default 1
        Each group of outputs reads its own group of channels; as many as channels: depthwise.

    Returns
    -------
    ndarray, shape (images, outputs, height, width)

    Examples
    --------
    >>> x, weight = np.arange(6.0).reshape(1, 1, 2, 3), np.ones((1, 1, 1, 2))
    >>> convolve(x, weight, Windows.of((1, 2))).tolist()
    [[[[1.0, 3.0], [7.0, 9.0]]]]
    """
    images, channels = x.shape[:2]
    outputs, depth = weight.shape[:2]
    size = windows.output(x.shape[2:])
    out = np.empty((images, outputs, *size), x.dtype)
    kernel = weight.reshape(groups, outputs // groups, -1)
    # So many images at once that the copied windows stay small.
    step = max(COLUMNS // max(channels * math.prod(windows.kernel) * math.prod(size), 1), 1)
    for start in range(0, images, step):
        part = slice(start, start + step)
        view = windows.view(x[part])
        count = len(view)
        if depth == 1:
            out[part] = _taps(view, kernel, size)
        else:
            columns = view.reshape(count, groups, -1, math.prod(size))
            np.matmul(kernel, columns, out=out[part].reshape(count, groups, -1, math.prod(size)))
    return out


def _taps(view: Array, kernel: Array, size: tuple[int, int]) -> Array:
    """Sum over the kernel's values one by one, each times a whole image: groups of one channel."""
    images, channels, _, width = view.shape[:4]
    total = np.zeros((images, channels, kernel.shape[1], *size), view.dtype)
    product = np.empty_like(total)
    for i in range(kernel.shape[2]):
        tap = view[:, :, i // width, i % width]
        total += np.multiply(tap[:, :, None], kernel[:, :, i, None, None], out=product)
    return total.reshape(images, -1, *size)


def check_shapes(x: tuple[int, ...], weight: tuple[int, ...], groups: object, names: tuple[str, str]) -> int:
    """Return `groups` as an int.

    Raises
    ------
    TypeError
        If it is not an integer.
    ValueError
        If data and weight are not 4-D, or their channels do not fit the groups.
    """
    number = as_int(groups, "groups")
    if number < 1:
        raise ValueError(f"groups must be at least 1, got {number}")
    if len(x) != 4 or len(weight) != 4:
        raise ValueError(
            f"{names[0]} must have shape (images, channels, height, width) and {names[1]} (outputs, "
            f"channels / groups, height, width), got {x} and {weight}"
        )
    if weight[1] * number != x[1] or weight[0] % number:
        raise ValueError(
            f"{names[0]} has {x[1]} channels and {names[1]} {weight[0]} outputs of {weight[1]} channels: "
            f"that does not fit {number} groups"
        )
    return number


def _pair(value: object, name: str) -> tuple[int, int]:
    numbers = _integers(value, name, 1, (1, 2))
    return numbers[0], numbers[-1]


def _integers(value: object, name: str, least: int, counts: tuple[int, ...]) -> tuple[int, ...]:
    """Return an integer, or a sequence of as many as `counts` allows, as a tuple."""
    wanted = f"an integer or {' or '.join(str(n) for n in counts if n > 1)} of them"
    several = isinstance(value, tuple | list | np.ndarray)
    values: Any = value if several else (value,)
    numbers = tuple(as_int(each, name, wanted) for each in values)
    if len(numbers) not in counts or (several and len(numbers) == 1):
        raise ValueError(f"{name} must be {wanted}, got {value!r}")
    if min(numbers) < least:
        raise ValueError(f"{name} must be at least {least}, got {value!r}")
    return numbers
