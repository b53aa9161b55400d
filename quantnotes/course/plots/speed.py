"""Pictures of what time goes into: bytes, passes, sizes; and of histograms that nest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from quantnotes.course.plots.frame import axes, canvas, legend_beside, stairs
from quantnotes.course.plots.palette import CODE, MARKERS, REAL, SERIES, UNUSED
from quantnotes.histogram import Histogram


def costs(each: Mapping[str, float], limits: Mapping[str, float]) -> Axes:
    """Draw what ways of doing the same cost, a bar each with its number, and limits as lines.

    Parameters
    ----------
    each : mapping of str to float
        The cost of each way by name, from top to bottom, in ns an element.
    limits : mapping of str to float
        What nothing can undercut, by name.

    Returns
    -------
    Axes

    Examples
    --------
    >>> len(costs({"one line": 1.4, "blocks": 0.4}, {"memory": 0.1}).patches)
    2
    """
    ax = canvas(None, 0.9 + 0.36 * len(each))
    drawn = ax.barh(list(each), list(each.values()), color=REAL, height=0.6)
    ax.bar_label(drawn, fmt="%.2f", fontsize=8, padding=3)
    ax.invert_yaxis()
    for (name, limit), dashes in zip(limits.items(), ("--", ":"), strict=False):
        ax.axvline(limit, color=UNUSED, ls=dashes, lw=1.5, label=name)
    ax.set_xlabel("ns an element")
    ax.margins(x=0.1)
    ax.legend(frameon=False, loc="lower right")
    return ax


def roofline(points: Mapping[str, tuple[float, float]], bandwidth: float, peaks: Mapping[str, float]) -> Axes:
    """Draw work done a second against work done a byte, under the roof that memory and cores make.

    Parameters
    ----------
    points : mapping of str to (float, float)
        By name: operations a byte moved, and operations a nanosecond.
    bandwidth : float
        Bytes that memory moves in a nanosecond.
    peaks : mapping of str to float
        Operations in a nanosecond when memory is no limit, by the name of what does them.

    Returns
    -------
    Axes

    Examples
    --------
    >>> roofline({"one line": (0.16, 4.0)}, 45.0, {"one core, from its cache": 100.0}).get_xscale()
    'log'
    """
    ax = canvas(None, 3.4)
    reach = np.geomspace(0.05, 20, 200)
    top = max(peaks.values())
    ax.plot(reach, np.minimum(bandwidth * reach, top), color=UNUSED, lw=2)
    ax.annotate(f"memory: {bandwidth:.0f} bytes a ns", (0.3, bandwidth * 0.3), (-6, 4), ha="right",
                textcoords="offset points", fontsize=8, color=UNUSED)  # fmt: skip
    for name, peak in peaks.items():
        ax.hlines(peak, peak / bandwidth, reach[-1], color=UNUSED, ls="-" if peak == top else "--", lw=1.2)
        ax.annotate(name, (reach[-1], peak), (0, 3), ha="right",
                    textcoords="offset points", fontsize=8, color=UNUSED)  # fmt: skip
    for (name, (intensity, rate)), marker, color in zip(points.items(), MARKERS, SERIES, strict=False):
        ax.plot(intensity, rate, marker, color=color, ms=8, label=name)
    ax.set(xscale="log", yscale="log", xlabel="operations a byte", ylabel="operations a ns")
    ax.grid(color="#EEEEEE", which="major")
    legend_beside(ax)
    return ax


def cost_by_size(series: Mapping[str, Sequence[tuple[int, float]]], marks: Mapping[str, float]) -> Axes:
    """Draw the cost of an element against the number of elements, both logarithmic.

    Parameters
    ----------
    series : mapping of str to sequence of (int, float)
        By name: elements, and nanoseconds for each of them.
    marks : mapping of str to float
        Numbers of elements to point out, by name: what a cache holds.

    Returns
    -------
    Axes

    Examples
    --------
    >>> cost_by_size({"fused": [(1000, 20.0), (10**6, 0.1)]}, {"L2": 262144}).get_yscale()
    'log'
    """
    ax = canvas(None, 3.4)
    for (name, points), marker, color in zip(series.items(), MARKERS, SERIES, strict=False):
        ax.plot(*zip(*points, strict=True), marker=marker, color=color, lw=1.2, ms=5, label=name)
    ax.set(xscale="log", yscale="log", xlabel="elements", ylabel="ns an element")
    for name, size in marks.items():
        ax.axvline(size, color=UNUSED, ls=":", lw=1)
        ax.annotate(name, (size, 1), (2, -2), xycoords=("data", "axes fraction"), va="top", fontsize=8,
                    textcoords="offset points", color=UNUSED)  # fmt: skip
    ax.grid(color="#EEEEEE", which="major")
    legend_beside(ax)
    return ax


def merged_histograms(parts: Mapping[str, Histogram], whole: Histogram) -> Any:
    """Draw histograms above the one that they make when they are merged, all on one logarithmic axis.

    Parameters
    ----------
    parts : mapping of str to Histogram
        What is merged, by name.
    whole : Histogram
        The result.

    Returns
    -------
    ndarray of Axes, shape (parts + 1,)

    Examples
    --------
    >>> a, b = Histogram(8).update([1.0, 2.0]), Histogram(8).update([5.0, 30.0])
    >>> merged_histograms({"first": a, "second": b}, a | b).shape
    (3,)
    """
    rows = {**parts, "merged": whole}
    all_axes = axes(len(rows), 1, height=0.7 + 1.1 * len(rows), sharex=True)
    for ax, (name, h) in zip(all_axes, rows.items(), strict=True):
        canvas(ax)
        stairs(ax, h.counts, h.edges, CODE if h is whole else REAL)
        ax.vlines(h.edges[1:-1], 0.5, np.minimum(h.counts[1:], h.counts[:-1]), color="white", lw=0.6)
        ax.set_ylabel("count")
        ax.set_title(f"{name}: {h.n} values, bins {h.width:g} wide", loc="left", fontsize=9)
    all_axes[-1].set_xlabel("value")
    return all_axes
