"""Pictures of integer arithmetic: what terms cost, how accumulators are rounded, where sums overflow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike

from quantnotes.plots.frame import CLIPPED, CODE, OTHER, REAL, UNUSED, axes, canvas


def price(work: Mapping[str, tuple[int, bool]], ax: Axes | None = None) -> Axes:
    """Draw how many operations each piece of work takes, on a logarithmic axis, and when it is done.

    Parameters
    ----------
    work : mapping of str to (operations, at_run_time)
        The pieces by name, the first on top.
    ax : Axes, optional
        Where to draw.

    Returns
    -------
    Axes

    Examples
    --------
    >>> len(price({"products": (1000, True), "sums of the weight": (100, False)}).patches)
    2
    """
    ax = canvas(ax, 2.6)
    labels = {True: "at run time, for every input", False: "once, before inference"}
    for at_run_time, color in ((True, CODE), (False, UNUSED)):
        rows = [i for i, (_, when) in enumerate(work.values()) if when is at_run_time]
        counts = [list(work.values())[i][0] for i in rows]
        drawn = ax.barh(rows, counts, 0.7, left=0.0, color=color, label=labels[at_run_time])
        ax.bar_label(drawn, [f"{count:,}" for count in counts], fontsize=8, padding=3)
    ax.set_xscale("log")
    ax.minorticks_off()
    ax.set_yticks(range(len(work)), list(work))
    ax.invert_yaxis()
    ax.set(xlabel="operations (log scale)", xlim=(1, 30 * max(count for count, _ in work.values())))
    ax.legend(frameon=False, loc="upper center", bbox_to_anchor=(0.4, 1.2), ncols=2)
    return ax


def rounding_rules(acc: ArrayLike, exact: ArrayLike, codes: Mapping[str, ArrayLike]) -> Any:
    """Draw what rules of rounding make of accumulators, one panel each, the ties marked.

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
    panels = np.atleast_1d(axes(1, len(codes), height=2.9, sharex=True, sharey=True))
    for ax, (name, q) in zip(panels, codes.items(), strict=True):
        canvas(ax)
        ax.plot(acc, exact, color=REAL, lw=1, ls="--", label="exact")
        ax.step(acc, np.asarray(q), where="mid", color=CODE, lw=2, label="code")
        ax.plot(acc[ties], np.asarray(q)[ties], "o", color=CLIPPED, label="a tie")
        ax.set_title(name, fontsize=9)
        ax.set_xlabel("accumulator")
        ax.grid(color="#DDDDDD")
        for axis in (ax.xaxis, ax.yaxis):
            axis.set_major_locator(MaxNLocator(5, integer=True))
    panels[0].set_ylabel("code q")
    panels[0].legend(frameon=False, loc="upper left", fontsize=8)
    return panels


def sums_and_limits(
    sums: Mapping[str, ArrayLike], low: int, high: int, bins: int = 100, ax: Axes | None = None
) -> Axes:
    """Draw how sums are distributed, and the limits of the integer type that is to hold them.

    Parameters
    ----------
    sums : mapping of str to array_like of integers
        The sums by name, any shape.
    low, high : int
        The smallest and the largest integer of the type.
    bins : int
        Number of bins.
    ax : Axes, optional
        Where to draw.

    Returns
    -------
    Axes

    Examples
    --------
    >>> sums_and_limits({"pairs": [1, 40_000]}, -32768, 32767).get_yscale()
    'log'
    """
    ax = canvas(ax)
    every = {name: np.ravel(values) for name, values in sums.items()}
    smallest = min(low, *(values.min() for values in every.values()))
    largest = max(high, *(values.max() for values in every.values()))
    margin = 0.05 * (largest - smallest)
    edges = np.linspace(smallest - margin, largest + margin, bins + 1)
    for (name, values), color in zip(every.items(), (REAL, CODE, OTHER), strict=False):
        counts = np.histogram(values, edges)[0]
        ax.stairs(counts, edges, color=color, lw=1.5, baseline=0.5, label=name)
    for start, end in ((edges[0], low), (high, edges[-1])):
        label = "beyond the type" if end == low else None
        ax.axvspan(start, end, color=CLIPPED, alpha=0.15, lw=0, label=label)
    ax.set_yscale("log")
    ax.minorticks_off()
    ax.set(xlabel="sum", ylabel="sums in a bin (log)", xlim=(edges[0], edges[-1]))
    ax.set_ylim(bottom=0.5)
    ax.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    return ax
