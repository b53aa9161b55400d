"""Charts that belong to no one subject: series over a number, groups of bars, boxes joined by arrows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike

from quantnotes.plots.frame import REAL, SERIES, canvas

_MARKERS = "osD^vP"
_DASHES = ("-", "--", ":", "-.", (0, (6, 1)), (0, (1, 3)))
_LOOKS = tuple(zip(SERIES, _MARKERS, _DASHES, strict=True))  # a colour alone says nothing on a grey print


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
    ax.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    return ax


def bars(table: Mapping[str, Mapping[str, float]], ylabel: str = "SQNR, dB", ax: Axes | None = None) -> Axes:
    """Draw groups of bars with their values on top.

    Parameters
    ----------
    table : mapping of str to mapping of str to float
        The groups by name, and in each the bars by name: the same names in every group.
    ylabel : str
        What the values are, with their unit.
    ax : Axes, optional
        Where to draw.

    Returns
    -------
    Axes

    Examples
    --------
    >>> len(bars({"weight": {"symmetric": 34.7, "asymmetric": 35.5}}).patches)
    2
    """
    ax = canvas(ax, 3.0)
    names = list(next(iter(table.values())))
    width = 0.8 / len(names)
    for i, (name, color) in enumerate(zip(names, SERIES, strict=False)):
        place = np.arange(len(table)) + (i - (len(names) - 1) / 2) * width
        drawn = ax.bar(place, [group[name] for group in table.values()], width, color=color, label=name)
        ax.bar_label(drawn, fmt="%.1f", fontsize=8, padding=1)
    ax.set_xticks(range(len(table)), list(table))
    ax.set_ylabel(ylabel)
    ax.axhline(0, color="black", lw=0.8)
    ax.margins(y=0.12)
    ax.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    return ax


def flow(steps: Sequence[tuple[str, str, str]], ax: Axes | None = None) -> Axes:
    """Draw boxes from left to right, joined by arrows: what flows, and what makes it.

    Parameters
    ----------
    steps : sequence of (what, made_by, where)
        The text in each box: a name, the functions that make it, and the notebook.
    ax : Axes, optional
        Where to draw.

    Returns
    -------
    Axes

    Examples
    --------
    >>> len(flow([("real values", "samples", "00"), ("Range", "minmax_range", "02")]).texts)
    3
    """
    ax = canvas(ax, 1.3)
    box = {"boxstyle": "round,pad=0.5", "facecolor": "white", "edgecolor": REAL}
    for i, (what, made_by, where) in enumerate(steps):
        text = f"$\\bf{{{what.replace(' ', chr(92) + ' ')}}}$\n{made_by}\n{where}"
        ax.text(i, 0, text, ha="center", va="center", fontsize=8, bbox=box, linespacing=1.5)
        if i:
            arrow = {"arrowstyle": "->", "color": "black", "lw": 1.5}
            ax.annotate("", (i - 0.42, 0), (i - 0.58, 0), arrowprops=arrow)
    ax.set(xlim=(-0.5, len(steps) - 0.5), ylim=(-1, 1))
    ax.set_axis_off()
    return ax
