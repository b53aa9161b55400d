"""Layers that hold networks of their own and join their outputs: sums, products, concatenations.

Not covered: branches that read more than one activation.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Generic

import numpy as np
from numpy.typing import ArrayLike, NDArray

from quantnotes.checks import as_real
from quantnotes.integer import common_multipliers, requantize_sum
from quantnotes.layers.base import (
    Calibration,
    Kind,
    Layer,
    QuantLayer,
    check_layer,
    check_per_tensor,
    codes_of,
    decoded,
    steps_of,
)
from quantnotes.mapping import QuantParams

Array = NDArray[Any]
Branch = tuple[Layer, ...]
QuantBranch = tuple[QuantLayer, ...]


@dataclass(frozen=True)
class Branching(Layer):
    """What `Add`, `Multiply` and `Concat` share: several networks that read one activation."""

    branches: tuple[Branch, ...]

    def __post_init__(self) -> None:
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
        outputs = []
        for branch in self.branches:
            out: Array = as_real(x).astype(np.float64)
            for layer in branch:
                out = layer(out)
            outputs.append(out)
        return outputs

    def quantized_branches(
        self, data: Array, x: QuantParams, y: QuantParams | None, how: Calibration
    ) -> tuple[QuantBranch, ...]:
        """Quantize the branches, each with parameters of its own for its output unless `y` is given."""
        return tuple(how.branch(branch, data, x, y) for branch in self.branches)


@dataclass(frozen=True, eq=False)
class QuantBranching(QuantLayer, Generic[Kind]):
    """What `QuantAdd`, `QuantMultiply` and `QuantConcat` share; `kind` is the class of their layer."""

    layer: Kind
    x: QuantParams
    branches: tuple[QuantBranch, ...]
    y: QuantParams
    kind: ClassVar[type[Branching]]

    def __post_init__(self) -> None:
        check_layer(self.layer, self.kind)
        check_per_tensor("x", self.x)
        check_per_tensor("y", self.y)
        for ends in self.ends:
            check_per_tensor("the output of a branch", ends)

    @property
    def ends(self) -> list[QuantParams]:
        """The parameters of what each branch ends in."""
        return [branch[-1].y if branch else self.x for branch in self.branches]  # type: ignore[misc]

    @property
    def ratios(self) -> list[float]:
        """The scale of what each branch ends in, over Sy."""
        return [params.scale / self.y.scale for params in self.ends]

    def _fake(self, x: ArrayLike, float_bias: bool) -> list[Array]:
        """Return ``q - Z`` of what each branch ends in."""
        parts = []
        for branch, params in zip(self.branches, self.ends, strict=True):
            out: ArrayLike = x
            for layer in branch:
                out = layer.fake(out, float_bias=float_bias)
            parts.append(steps_of(out, params))
        return parts

    def _integer(self, q: ArrayLike) -> list[Array]:
        """Return ``q - Z`` of what each branch ends in."""
        parts = []
        for branch, params in zip(self.branches, self.ends, strict=True):
            out = codes_of(q, self.x)
            for layer in branch:
                out = layer.integer(out)
            parts.append(out.astype(np.int64) - params.zero_point)
        return parts


# --- the sum ------------------------------------------------------------------------------------------------


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
    >>> Add(((), ()))([[3.0]]).tolist()
    [[6.0]]
    """

    relu: bool = False

    def __call__(self, x: ArrayLike) -> Array:
        total: Array = np.sum(_same_shape(self.outputs(x)), axis=0)
        return np.maximum(total, 0) if self.relu else total

    def quantize(self, data: Array, x: QuantParams, y: QuantParams | None, how: Calibration) -> QuantAdd:
        branches = self.quantized_branches(data, x, None, how)
        return QuantAdd(self, x, branches, y)  # type: ignore[arg-type]


class QuantAdd(QuantBranching[Add]):
    """An `Add` of codes: each term times its own multiplier, one rounding.

    Examples
    --------
    >>> from quantnotes import INT8
    >>> x, y = QuantParams(0.5, 0, INT8), QuantParams(1.0, 0, INT8)
    >>> QuantAdd(Add(((), ())), x, ((), ()), y).integer([1, 2, 3]).tolist()
    [1, 2, 3]
    """

    kind = Add

    @cached_property
    def multipliers(self) -> tuple[Array, int]:
        """Each branch's scale over Sy, as integers and one shift."""
        return common_multipliers(self.ratios)

    def fake(self, x: ArrayLike, *, float_bias: bool = False) -> Array:
        parts = _same_shape(self._fake(x, float_bias))
        total = sum(n * ratio for n, ratio in zip(parts, self.ratios, strict=True))
        reals = decoded(np.asarray(total), self.y)
        return np.maximum(reals, 0) if self.layer.relu else reals

    def integer(self, q: ArrayLike) -> Array:
        parts = _same_shape(self._integer(q))
        codes = requantize_sum(parts, *self.multipliers, self.y.zero_point, self.y.grid)
        return np.maximum(codes, codes.dtype.type(self.y.zero_point)) if self.layer.relu else codes


def _same_shape(parts: list[Array], but: int | None = None) -> list[Array]:
    """Return the parts, which have one shape, but for an axis."""
    shapes = {part.shape if but is None else part.shape[:but] + part.shape[but + 1 :] for part in parts}
    if len(shapes) > 1:
        same = "one shape" if but is None else f"one shape but for axis {but}"
        raise ValueError(f"the branches must have outputs of {same}, got {[part.shape for part in parts]}")
    return parts


# --- the product --------------------------------------------------------------------------------------------


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
    >>> Multiply(((), ()))([[3.0, 4.0]]).tolist()
    [[9.0, 16.0]]
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.branches) > 2:
            raise ValueError(f"branches must be two, got {len(self.branches)}")

    def __call__(self, x: ArrayLike) -> Array:
        return _product(*self.outputs(x))

    def quantize(self, data: Array, x: QuantParams, y: QuantParams | None, how: Calibration) -> QuantMultiply:
        branches = self.quantized_branches(data, x, None, how)
        return QuantMultiply(self, x, branches, y)  # type: ignore[arg-type]


class QuantMultiply(QuantBranching[Multiply]):
    """A `Multiply` of codes: the product of the steps, one multiplication, one rounding.

    Examples
    --------
    >>> from quantnotes import INT8
    >>> x, y = QuantParams(0.5, 0, INT8), QuantParams(1.0, 0, INT8)
    >>> QuantMultiply(Multiply(((), ())), x, ((), ()), y).integer([4, 6]).tolist()
    [4, 9]
    """

    kind = Multiply

    @property
    def _ratio(self) -> float:
        first, second = self.ends
        return float(first.scale * second.scale / self.y.scale)

    @cached_property
    def multiplier(self) -> tuple[Array, int]:
        """The product of the two scales over Sy, as an integer and a shift."""
        return common_multipliers([self._ratio])

    def fake(self, x: ArrayLike, *, float_bias: bool = False) -> Array:
        return decoded(_product(*self._fake(x, float_bias)) * self._ratio, self.y)

    def integer(self, q: ArrayLike) -> Array:
        product = _product(*self._integer(q))
        return requantize_sum([product], *self.multiplier, self.y.zero_point, self.y.grid)


def _product(a: Array, b: Array) -> Array:
    try:
        np.broadcast_shapes(a.shape, b.shape)
    except ValueError:
        raise ValueError(f"the branches' outputs do not broadcast: {a.shape} and {b.shape}") from None
    product: Array = a * b
    return product


# --- one after another --------------------------------------------------------------------------------------


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
    >>> Concat(((), ()))([[3.0]]).tolist()
    [[3.0, 3.0]]
    """

    def __call__(self, x: ArrayLike) -> Array:
        return np.concatenate(_same_shape(self.outputs(x), 1), axis=1)

    def quantize(self, data: Array, x: QuantParams, y: QuantParams | None, how: Calibration) -> QuantConcat:
        """Return the quantized form, of which each branch ends in the parameters of the whole, if it can."""
        branches = self.quantized_branches(data, x, y, how)
        return QuantConcat(self, x, branches, y)  # type: ignore[arg-type]


class QuantConcat(QuantBranching[Concat]):
    """A `Concat` of codes: a branch whose output has other parameters is requantized first.

    Examples
    --------
    >>> from quantnotes import INT8
    >>> x, y = QuantParams(0.5, 0, INT8), QuantParams(1.0, 0, INT8)
    >>> QuantConcat(Concat(((), ())), x, ((), ()), y).integer([[4, 6]]).tolist()
    [[2, 3, 2, 3]]
    """

    kind = Concat

    @cached_property
    def multipliers(self) -> list[tuple[Array, int]]:
        """Each branch's scale over Sy, as an integer and a shift."""
        return [common_multipliers([ratio]) for ratio in self.ratios]

    def fake(self, x: ArrayLike, *, float_bias: bool = False) -> Array:
        parts = zip(_same_shape(self._fake(x, float_bias), 1), self.ratios, strict=True)
        return np.concatenate([decoded(steps * ratio, self.y) for steps, ratio in parts], axis=1)

    def integer(self, q: ArrayLike) -> Array:
        parts = zip(_same_shape(self._integer(q), 1), self.multipliers, strict=True)
        zero_point, grid = self.y.zero_point, self.y.grid
        return np.concatenate([requantize_sum([n], *m, zero_point, grid) for n, m in parts], axis=1)
