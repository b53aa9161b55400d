"""Which values share S and Z: all of a tensor, those of one index along some axes, or those of a block.

Two verbs on one object: *expand* the parameters so that they broadcast against the data, and *group* the
data into rows that share parameters. Everything that takes `axis` and `block_size` goes through here.

Not covered: what is computed for a group.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from quantnotes.checks import as_int

Array = NDArray[Any]
Axis = int | tuple[int, ...] | None
BlockSize = int | tuple[int, ...] | None


class Part(NamedTuple):
    """Groups of one size: where their parameters and their values are.

    `split` is the shape of the values with each axis cut in two: (groups, values of each group).
    """

    params: tuple[slice, ...]
    data: tuple[slice, ...]
    split: tuple[int, ...]

    def values(self, x: Array) -> Array:
        """Return a view of the data, shape `split`."""
        return x[self.data].reshape(self.split)

    def expand(self, values: Array) -> Array:
        """Return a view of blocked parameters that broadcasts against :meth:`values`."""
        part = values[self.params]
        return part.reshape([n for length in part.shape for n in (length, 1)])


@dataclass(frozen=True)
class Granularity:
    """Which values share S and Z.

    Make one with :meth:`of`, which checks its arguments.

    Attributes
    ----------
    axes : tuple of int
        The axes that keep parameters of their own, in the order of the parameters' axes; () for one S and Z
        for the whole tensor. Negative axes count from the end, as in NumPy.
    blocks : tuple of int, or None
        How many neighbours along each of `axes` share parameters. The axes not named keep one entry for each
        index then, as in ONNX's blocked operators.

    Examples
    --------
    >>> Granularity.of(axis=(0, 2)).shape((3, 4, 5))
    (3, 5)
    >>> Granularity.of(axis=1, block_size=2).shape((3, 5))
    (3, 3)
    """

    axes: tuple[int, ...] = ()
    blocks: tuple[int, ...] | None = None

    @classmethod
    def of(cls, axis: object = None, block_size: object = None) -> Granularity:
        """Return the granularity that the arguments `axis` and `block_size` of a function name.

        Raises
        ------
        TypeError
            If one of them is not an integer, or a tuple of integers.
        ValueError
            If an axis is named twice, a block is smaller than 1, there is no axis to cut into blocks, or not
            one block size for each axis.

        Examples
        --------
        >>> Granularity.of(axis=(0, 1), block_size=128)
        Granularity(axes=(0, 1), blocks=(128, 128))
        """
        axes = () if axis is None else _integers(axis, "axis")
        if len(set(axes)) != len(axes):
            raise ValueError(f"axis must not name an axis twice, got {axis!r}")
        if block_size is None:
            return cls(axes)
        blocks = _integers(block_size, "block_size")
        if not axes:
            raise ValueError("block_size needs axis=, the axis that is cut into blocks")
        if any(block < 1 for block in blocks):
            raise ValueError(f"block_size must be at least 1, got {block_size!r}")
        if not isinstance(block_size, tuple):
            blocks *= len(axes)
        if len(blocks) != len(axes):
            raise ValueError(f"block_size must be one integer, or one for each axis; got {block_size!r}")
        return cls(axes, blocks)

    @property
    def per_tensor(self) -> bool:
        """True if all values share S and Z."""
        return not self.axes

    @cached_property
    def axis(self) -> Axis:
        """The argument `axis` that means this granularity: None, an int, or a tuple of several."""
        return (self.axes or (None,))[0] if len(self.axes) < 2 else self.axes

    @cached_property
    def block_size(self) -> BlockSize:
        """The argument `block_size` that means this granularity."""
        if self.blocks is None or len(set(self.blocks)) > 1:
            return self.blocks
        return self.blocks[0]

    def positions(self, ndim: int) -> tuple[int, ...]:
        """Return `axes` as numbers from 0 to ``ndim - 1``.

        Raises
        ------
        ValueError
            If the data lack one of the axes, or two of them are the same.
        """
        for axis in self.axes:
            if not -ndim <= axis < ndim:
                raise ValueError(f"axis {axis} is out of range for an array of {ndim} dimensions")
        places = tuple(axis % ndim for axis in self.axes)
        if len(set(places)) != len(places):
            raise ValueError(f"axis {self.axis} names an axis twice in an array of {ndim} dimensions")
        return places

    def shape(self, data: Sequence[int]) -> tuple[int, ...]:
        """Return the shape of the parameters of data of a shape.

        Raises
        ------
        ValueError
            If the data lack one of the axes.
        """
        places = self.positions(len(data))
        if self.blocks is None:
            return tuple(data[place] for place in places)
        shape = list(data)
        for place, block in zip(places, self.blocks, strict=True):
            shape[place] = -(-data[place] // block)
        return tuple(shape)

    def check(self, params: tuple[int, ...], data: tuple[int, ...]) -> None:
        """Raise ValueError unless parameters of the shape `params` fit data of the shape `data`."""
        wanted = self.shape(data)
        if params == wanted:
            return
        if self.blocks is not None:
            raise ValueError(
                f"data of shape {data} in blocks of {self.block_size} along axis {self.axis} need scales of "
                f"shape {wanted}, params have {params}"
            )
        have, need = (shape[0] if len(shape) == 1 else shape for shape in (wanted, params))
        raise ValueError(f"the data have {have} channels along axis {self.axis}, params have {need}")

    def expand(self, values: Array, data: tuple[int, ...]) -> Array:
        """Return parameters so that they broadcast against data of a shape; blocked ones are repeated.

        Parameters
        ----------
        values : ndarray of the shape that :meth:`shape` says
        data : tuple of int
            The shape of the data.

        Raises
        ------
        ValueError
            If they do not fit.

        Examples
        --------
        >>> Granularity.of(axis=1).expand(np.array([1.0, 2.0]), (3, 2)).shape
        (1, 2)
        >>> Granularity.of(axis=1, block_size=2).expand(np.array([[1.0, 2.0]]), (1, 3))
        array([[1., 1., 2.]])
        """
        self.check(values.shape, data)
        if self.per_tensor:
            return values
        places = self.positions(len(data))
        if self.blocks is None:
            shape = [n if i in places else 1 for i, n in enumerate(data)]
            return values.transpose(np.argsort(places)).reshape(shape)
        for place, block in zip(places, self.blocks, strict=True):
            values = np.repeat(values, min(block, max(data[place], 1)), axis=place)
        return values[tuple(slice(n) for n in data)]

    def parts(self, data: tuple[int, ...]) -> list[Part]:
        """Cut data of a shape into parts whose groups have one size: one part, or more if blocks are short.

        For blocked parameters, whose axes are those of the data; see :meth:`group` for all others.
        """
        length = dict(zip(self.positions(len(data)), self.blocks or (), strict=True))
        choices = []
        for axis, n in enumerate(data):
            block = length.get(axis, 1)
            full, rest = divmod(n, block)
            whole = (slice(full), slice(full * block), (full, block))
            short = (slice(full, None), slice(full * block, None), (1, rest))
            choices.append([whole] * (full > 0 or not rest) + [short] * (rest > 0))
        return [
            Part(
                tuple(params for params, _, _ in choice),
                tuple(values for _, values, _ in choice),
                tuple(n for _, _, split in choice for n in split),
            )
            for choice in product(*choices)
        ]

    def group(self, x: Array) -> list[tuple[tuple[slice, ...], Array]]:
        """Return the data as rows that share parameters, with the place of the rows in the parameters.

        Parameters
        ----------
        x : ndarray

        Returns
        -------
        list of (index, ndarray of shape (groups, values of each group))
            One entry; more if a block is short. The rows are a view of the data where the layout allows it.

        Raises
        ------
        ValueError
            If the data lack one of the axes.

        Examples
        --------
        >>> [(_, rows)] = Granularity.of(axis=1).group(np.array([[1, 2], [3, 4]]))
        >>> rows.tolist()
        [[1, 3], [2, 4]]
        """
        places = self.positions(x.ndim)
        if self.blocks is None:
            rows = np.moveaxis(x, places, range(len(places)))
            groups = rows.shape[: len(places)]
            size = math.prod(groups)
            return [((slice(None),) * len(places), rows.reshape(size, math.prod(rows.shape[len(places) :])))]
        turned = [*range(0, 2 * x.ndim, 2), *range(1, 2 * x.ndim, 2)]
        return [
            (
                part.params,
                part.values(x)
                .transpose(turned)
                .reshape(math.prod(part.split[::2]), math.prod(part.split[1::2])),
            )
            for part in self.parts(x.shape)
        ]

    def per_group(self, x: Array, function: Callable[[Array], tuple[Array, ...]]) -> tuple[Any, ...]:
        """Apply a function to the rows of :meth:`group` and return what it says, in the parameters' shape.

        Parameters
        ----------
        x : ndarray
        function : callable
            Takes rows of shape (groups, values), returns arrays of shape (groups,).

        Returns
        -------
        tuple of ndarray of float64, or of float where all values share one group

        Examples
        --------
        >>> Granularity.of(axis=0).per_group(np.array([[1.0, 2.0], [3.0, 5.0]]), lambda r: (r.max(axis=1),))
        (array([2., 5.]),)
        """
        results: list[Array] = []
        shape = self.shape(x.shape)
        for place, rows in self.group(x):
            found = function(rows)
            results = results or [np.empty(shape) for _ in found]
            for result, values in zip(results, found, strict=True):
                target = result[place]
                result[place] = np.reshape(values, target.shape)
        return tuple(float(result) if self.per_tensor else result for result in results)


def _integers(value: object, name: str) -> tuple[int, ...]:
    """Return an integer, or a tuple of them, as a tuple of int."""
    if isinstance(value, tuple):
        return tuple(as_int(each, name, "an integer or a tuple of them") for each in value)
    return (as_int(value, name, "an integer, a tuple of them, or None"),)
