"""What a tensor is for, as far as its name, its rank and the graph around it say: a weight, and its axes.

A weight's output axis may keep scales of its own at no cost: they are folded into what follows.

Not covered: what a tensor is for where nothing says so; it is compared with one scale then.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, get_args

from quantnotes.checks import as_int

RoleName = Literal["weight", "activation"]

_CHECKPOINT = (".safetensors", ".onnx")  # files that hold the parameters of a model, and nothing else
_WEIGHT = re.compile(r"weight|kernel|embed|filter|(^|_)w[a-z]?\d*$")
_NO_WEIGHT = re.compile(r"bias|mask|mean|var|cache|freq|zero_?point|scale")
GIVEN = "as given"  # the reason for an axis that the caller names
_OUT_IN = "the outputs, where a weight is (outputs, inputs, ...)"


@dataclass(frozen=True)
class Role:
    """What a tensor is for.

    Attributes
    ----------
    name : {"weight", "activation"} or None
        None where nothing is known.
    channel_axis : int, optional
        The axis, 0 or above, whose indices get scales of their own: that of a weight's outputs.
    input_axis : int, optional
        The axis that a product sums over, along which groups of neighbours get scales of their own.
    reason : str
        Why this is the channel axis, in words.
    """

    name: RoleName | None = None
    channel_axis: int | None = None
    input_axis: int | None = None
    reason: str = ""


UNKNOWN = Role()


def _weight(axis: int, reason: str) -> Role:
    """Return the role of a weight with its outputs on an axis, and its inputs on the one before, or on 1."""
    return Role("weight", axis, axis - 1 if axis else 1, reason)


def given_role(role: object, channel_axis: object, ndim: int) -> Role:
    """Return the role that a caller names.

    Raises
    ------
    TypeError
        If `channel_axis` is no integer.
    ValueError
        If `role` is unknown, or the data lack the axis.
    """
    if role is not None and role not in get_args(RoleName):
        raise ValueError(f'role must be "weight", "activation" or None, got {role!r}')
    name: Any = role
    if channel_axis is None:
        return _weight(0, _OUT_IN) if name == "weight" and ndim >= 2 else Role(name)
    axis = as_int(channel_axis, "channel_axis")
    if not -ndim <= axis < ndim:
        raise ValueError(f"channel_axis {axis} is out of range for an array of {ndim} dimensions")
    if name == "weight" and ndim > 1:
        return _weight(axis % ndim, GIVEN)
    return Role(name, axis % ndim, None, GIVEN)


def role_by_name(name: str, ndim: int, ending: str) -> Role:
    """Return the role that the name of a tensor in a file says.

    Parameters
    ----------
    name : str
        Of the tensor.
    ndim : int
        Its rank: a weight has at least 2.
    ending : str
        Of the file, such as ``".npz"``. In a checkpoint everything of that rank is a weight, unless its name
        says otherwise; in NumPy's files the name has to say so.

    Examples
    --------
    >>> role_by_name("encoder.layer.0.output.dense.weight", 2, ".safetensors").channel_axis
    0
    >>> role_by_name("dense/kernel", 2, ".npz").channel_axis
    1
    >>> role_by_name("hidden_states", 3, ".npz")
    Role(name=None, channel_axis=None, input_axis=None, reason='')
    """
    last = re.split(r"[./:]", name.lower())[-1]
    known = _WEIGHT.search(last)
    if ndim < 2 or (_NO_WEIGHT.search(last) and not known) or not (known or ending in _CHECKPOINT):
        return UNKNOWN
    if last.endswith("kernel"):
        return _weight(ndim - 1, "the outputs of a kernel, which is (..., inputs, outputs)")
    if "embed" in name.lower():
        return _weight(0, "a row for each entry of the table")
    return _weight(0, _OUT_IN)


def onnx_tensors(graph: Any) -> Iterator[tuple[str, Any, Role | None]]:
    """Yield the names, tensors and roles of an ONNX graph's initializers and constants; then its branches'.

    A tensor has a role if a node of the same graph uses it as its weight.
    """
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    branches: list[Any] = []
    roles: dict[str, Role] = {}
    for node in graph.node:
        for attribute in node.attribute:
            branches += [*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs]
            if node.op_type == "Constant" and attribute.HasField("t"):
                tensors[node.output[0]] = attribute.t
        flags = {attribute.name: attribute.i for attribute in node.attribute}
        for place, name in enumerate(node.input):
            ndim = len(tensors[name].dims) if name in tensors else 0
            axes = _onnx_axes(node.op_type, place, ndim, flags)
            if axes is not None:
                roles[name] = Role("weight", *axes, f"the outputs of {node.op_type}")
    for name, tensor in tensors.items():
        yield name, tensor, roles.get(name)
    for branch in branches:
        yield from onnx_tensors(branch)


def _onnx_axes(kind: str, place: int, ndim: int, flags: dict[str, int]) -> tuple[int, int] | None:
    """Return the axes of the outputs and inputs of a node's input `place`; None if it is no weight."""
    if ndim < 2:
        return None
    first = (ndim - 2, ndim - 1)
    if kind in ("Conv", "ConvTranspose") and place == 1:
        return (0, 1) if kind == "Conv" else (1, 0)
    if kind == "MatMul":
        return first if place == 0 else first[::-1]
    if kind == "Gemm" and place < 2:
        turned = flags.get("transA", 0) if place == 0 else 1 - flags.get("transB", 0)
        return first[::-1] if turned else first
    if kind in ("LSTM", "GRU", "RNN") and place in (1, 2):
        return (1, 2)
    return (0, 1) if kind == "Gather" and place == 0 else None
