"""The text-direction classifier by the names of its convolutions: what notebook 11 changes layers by.

Not covered: the network itself, see :func:`quantnotes.network.load_text_direction`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from quantnotes.layers import Branching, Conv, Layer


def _names() -> Iterator[str]:
    """Yield the names in the order in which a line passes the convolutions."""
    yield "conv1"
    for i in range(2, 13):
        gate = () if i in (3, 4) else ("se_1", "se_2")
        yield from (f"conv{i}_{part}" for part in ("expand", "depthwise", *gate, "linear"))
    yield "conv_last"


NAMES = tuple(_names())


def _convolutions(network: Sequence[Layer]) -> Iterator[Conv]:
    for layer in network:
        if isinstance(layer, Conv):
            yield layer
        elif isinstance(layer, Branching):
            for branch in layer.branches:
                yield from _convolutions(branch)


def convolutions(network: Sequence[Layer]) -> dict[str, Conv]:
    """Return the classifier's 53 convolutions by name, in the order in which a line passes them.

    Parameters
    ----------
    network : sequence of Layer
        Of :func:`quantnotes.network.load_text_direction`, folded or not.

    Returns
    -------
    dict of str to Conv

    Raises
    ------
    ValueError
        If the network has another number of convolutions.

    Examples
    --------
    >>> from quantnotes.network import load_text_direction
    >>> convolutions(load_text_direction().network)["conv3_depthwise"].weight.shape
    (24, 1, 3, 3)
    """
    return dict(zip(NAMES, _convolutions(network), strict=True))


def replace_convolutions(network: Sequence[Layer], new: Mapping[str, Conv]) -> tuple[Layer, ...]:
    """Return the classifier with other convolutions under the names given.

    Parameters
    ----------
    network : sequence of Layer
        As for :func:`convolutions`; it stays as it is.
    new : mapping of str to Conv
        What to put in.

    Returns
    -------
    tuple of Layer

    Raises
    ------
    ValueError
        If there is no convolution of a name.

    Examples
    --------
    >>> from dataclasses import replace
    >>> from quantnotes.network import load_text_direction
    >>> network = load_text_direction().network
    >>> silent = replace(network[0], weight=0 * network[0].weight)
    >>> bool(replace_convolutions(network, {"conv1": silent})[0].weight.any())
    False
    """
    old = convolutions(network)
    if unknown := [name for name in new if name not in old]:
        raise ValueError(f"there is no convolution {unknown[0]!r}: they are {', '.join(old)}")
    return _replaced(network, iter((old | dict(new)).values()))


def _replaced(network: Sequence[Layer], conv: Iterator[Conv]) -> tuple[Layer, ...]:
    layers: list[Layer] = []
    for layer in network:
        if isinstance(layer, Conv):
            layers.append(next(conv))
        elif isinstance(layer, Branching):
            branches = tuple(_replaced(branch, conv) for branch in layer.branches)
            layers.append(replace(layer, branches=branches))
        else:
            layers.append(layer)
    return tuple(layers)
