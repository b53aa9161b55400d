"""Charts that belong to no one subject: series over a number, groups of bars."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike

from quantnotes.course.plots.frame import axes, canvas, legend_beside, side_by_side
from quantnotes.course.plots.palette import MARKERS, SERIES

_DASHES = ("-", "--", ":", "-.", (0, (6, 1)), (0, (1, 3)))
_LOOKS = tuple(zip(SERIES, MARKERS, _DASHES, strict=True))


def lines(
    x: ArrayLike,
    predicted: Mapping[str, ArrayLike],
    measured: Mapping[str, ArrayLike],
    xlabel: str = "bits",
    ylabel: str = "SQNR, dB",
    ax: Axes | None = None,
) -> Axes:
    """Draw predictions as lines and measurements as points of the same colour where the names agree.

    Each series has a colour, a marker and a kind of dash of its own.

    Parameters
    ----------
    x : array_like, shape (n,)
        Shared by all of them.
    predicted, measured : mapping of str to array_like, shape (n,)
        The series by name.
    xlabel, ylabel : str
        What stands at the axes.
    ax : Axes, optional
        Where to draw.

    Returns
    -------
    Axes

    Examples
    --------
    >>> lines([2, 4], {"theory": [9.5, 23.5]}, {}).get_ylabel()
    'SQNR, dB'
    """
    ax = canvas(ax, 3.2)
    names = list(dict.fromkeys([*predicted, *measured]))
    looks = dict(zip(names, _LOOKS, strict=False))
    for name, y in predicted.items():
        color, _, dashes = looks[name]
        ax.plot(x, y, color=color, ls=dashes, lw=1.5, label=f"{name}, predicted")
    for name, y in measured.items():
        color, marker, dashes = looks[name]
        ls, label = ("", f"{name}, measured") if name in predicted else (dashes, name)
        ax.plot(x, y, color=color, marker=marker, ls=ls, lw=1, label=label)
    ax.set(xlabel=xlabel, ylabel=ylabel)
    ax.grid(color="#DDDDDD")
    if np.issubdtype(np.asarray(x).dtype, np.integer):
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    legend_beside(ax)
    return ax


def predictions(x: ArrayLike, predicted: Mapping[str, ArrayLike], measured: Mapping[str, ArrayLike]) -> Any:
    """Draw predictions and measurements as `lines` does, and underneath by how much they differ.

    Parameters
    ----------
    x : array_like, shape (n,)
        Numbers of bits, shared by all of them.
    predicted, measured : mapping of str to array_like, shape (n,)
        The series in dB, under the same names in both.

    Returns
    -------
    ndarray of Axes, shape (2,)

    Examples
    --------
    >>> predictions([2, 4], {"sine": [11.3, 25.3]}, {"sine": [10.2, 24.7]})[0].get_ylabel()
    'SQNR, dB'
    """
    both = axes(2, 1, height=4.6, sharex=True, height_ratios=[3, 2])
    lines(x, predicted, measured, "", ax=both[0])
    gaps = {name: np.subtract(measured[name], predicted[name]) for name in predicted}
    lines(x, {}, gaps, ylabel="measured −\npredicted, dB", ax=both[1]).axhline(0, color="black", lw=0.8)
    both[1].get_legend().remove()
    return both


def bars(table: Mapping[str, Mapping[str, float]], ylabel: str = "SQNR, dB") -> Axes:
    """Draw groups of bars with their values on top.

    Parameters
    ----------
    table : mapping of str to mapping of str to float
        The groups by name, and in each the bars by name: the same names in every group.
    ylabel : str
        What the values are, with their unit.

    Returns
    -------
    Axes

    Examples
    --------
    >>> len(bars({"weight": {"symmetric": 34.7, "asymmetric": 35.5}}).patches)
    2
    """
    ax = canvas(None, 3.0)
    for name, color, place, width, values in side_by_side(ax, table):
        ax.bar_label(ax.bar(place, values, width, color=color, label=name), fmt="%.1f", fontsize=8, padding=1)
    ax.set_ylabel(ylabel)
    ax.axhline(0, color="black", lw=0.8)
    ax.margins(y=0.12)
    legend_beside(ax)
    return ax


def scatter(
    groups: Mapping[str, tuple[ArrayLike, ArrayLike]],
    xlabel: str,
    ylabel: str,
    named: Mapping[str, tuple[float, float]] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw points, each group in a colour and with a marker of its own, some with their names.

    Parameters
    ----------
    groups : mapping of str to (x, y)
        The groups by name.
    xlabel, ylabel : str
        What stands at the axes.
    named : mapping of str to (x, y), optional
        Points to write a name beside.
    ax : Axes, optional
        Where to draw.

    Returns
    -------
    Axes

    Examples
    --------
    >>> scatter({"layers": ([1.0, 2.0], [3.0, 1.0])}, "weight, dB", "output, dB").get_xlabel()
    'weight, dB'
    """
    ax = canvas(ax, 3.4)
    for (name, (x, y)), (color, marker, _) in zip(groups.items(), _LOOKS, strict=False):
        ax.plot(x, y, marker, color=color, ms=5, ls="", label=name)
    for name, point in (named or {}).items():
        ax.annotate(name, point, (5, 4), textcoords="offset points", fontsize=8)
    ax.set(xlabel=xlabel, ylabel=ylabel)
    ax.grid(color="#DDDDDD")
    ax.set_axisbelow(True)
    legend_beside(ax)
    return ax
