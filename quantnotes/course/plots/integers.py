"""Pictures of integer arithmetic: accumulators as they are rounded, and sums that overflow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike

from quantnotes.course.plots.frame import canvas, legend_beside, row_of
from quantnotes.course.plots.palette import CLIPPED, CODE, REAL, SERIES


def rounding_rules(acc: ArrayLike, exact: ArrayLike, codes: Mapping[str, ArrayLike]) -> Any:
    """Draw what rules of rounding make of accumulators, one panel each: a dot a code, a stem its error.

    There is nothing between two accumulators, hence no line through the codes. Ties have their own colour.

    Parameters
    ----------
    acc : array_like of integers, shape (n,)
        Accumulators, ascending.
    exact : array_like, shape (n,)
        What they stand for, in codes, before rounding.
    codes : mapping of str to array_like of integers, shape (n,)
        The codes by the name of the rule.

    Returns
    -------
    ndarray of Axes, shape (rules,)

    Examples
    --------
    >>> rounding_rules([0, 1, 2], [0, 0.5, 1], {"to even": [0, 0, 1], "up": [0, 1, 1]}).shape
    (2,)
    """
    acc, exact = np.asarray(acc), np.asarray(exact)
    ties = np.abs(exact - np.trunc(exact)) == 0.5
    panels = row_of(codes, 2.9, fontsize=9, sharex=True)
    for ax, q in zip(panels, codes.values(), strict=True):
        ax.plot(acc, exact, color=REAL, lw=1, ls="--", label="exact")
        ax.vlines(acc, exact, q, color=CODE, lw=1)
        for some, color, label in ((~ties, CODE, "code"), (ties, CLIPPED, "code of a tie")):
            ax.plot(acc[some], np.asarray(q)[some], "o", ms=4, color=color, label=label)
        ax.set_xlabel("accumulator")
        ax.grid(color="#DDDDDD")
        for axis in (ax.xaxis, ax.yaxis):
            axis.set_major_locator(MaxNLocator(5, integer=True))
    panels[0].set_ylabel("code q")
    panels[0].legend(frameon=False, loc="upper left", fontsize=8)
    return panels


def sums_and_limits(sums: Mapping[str, ArrayLike], low: int, high: int, xlabel: str = "sum") -> Axes:
    """Draw how sums are distributed, and the limits of the integer type that is to hold them.

    Parameters
    ----------
    sums : mapping of str to array_like of integers
        The sums by name, any shape.
    low, high : int
        The smallest and the largest integer of the type.
    xlabel : str
        What the sums are.

    Returns
    -------
    Axes

    Examples
    --------
    >>> sums_and_limits({"pairs": [1, 40_000]}, -32768, 32767).get_yscale()
    'log'
    """
    ax = canvas(None)
    every = {name: np.ravel(values) for name, values in sums.items()}
    smallest = min(low, *(values.min() for values in every.values()))
    largest = max(high, *(values.max() for values in every.values()))
    margin = 0.05 * (largest - smallest)
    edges = np.linspace(smallest - margin, largest + margin, 101)
    for (name, values), color in zip(every.items(), SERIES, strict=False):
        counts = np.histogram(values, edges)[0]
        ax.stairs(counts, edges, color=color, lw=1.5, baseline=0.5, label=name)
    for start, end in ((edges[0], low), (high, edges[-1])):
        label = "beyond the type" if end == low else None
        ax.axvspan(start, end, color=CLIPPED, alpha=0.15, lw=0, label=label)
    ax.set_yscale("log")
    ax.minorticks_off()
    ax.set(xlabel=xlabel, ylabel="sums in a bin (log)", xlim=(edges[0], edges[-1]))
    ax.set_ylim(bottom=0.5)
    legend_beside(ax)
    return ax
