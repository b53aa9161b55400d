"""Pictures of a network's answers: over seeds, over epochs, and further and further downstream."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, NullLocator, StrMethodFormatter
from numpy.typing import ArrayLike

from quantnotes.course.plots.frame import axes, canvas, legend_beside, row_of, side_by_side
from quantnotes.course.plots.palette import CLIPPED, CODE, MARKERS, OTHER, SERIES, UNUSED
from quantnotes.mapping import QuantParams
from quantnotes.training import straight_through


def strips(table: Mapping[str, Mapping[str, ArrayLike]]) -> Axes:
    """Draw wrong answers in percent, one for each seed, as dots, with a bar at their mean.

    The axis is logarithmic: 2 and 4 percent wrong are as far apart as 20 and 40.

    Parameters
    ----------
    table : mapping of str to mapping of str to array_like, shape (seeds,)
        The groups by name, and in each the series by name: the same names in every group. Positive values.

    Returns
    -------
    Axes

    Examples
    --------
    >>> strips({"8 bits": {"a": [3.0, 2.0], "b": [4.0, 5.0]}}).get_ylabel()
    'wrong answers, %'
    """
    ax = canvas(None, 3.2)
    for name, color, middle, width, values in side_by_side(ax, table):
        spread = np.linspace(-0.28, 0.28, values.shape[1]) * width
        ax.scatter((middle[:, None] + spread).ravel(), values.ravel(), 14, color=color, lw=0, label=name)
        mean = values.mean(axis=1)
        ax.hlines(mean, middle - 0.42 * width, middle + 0.42 * width, color=color, lw=1.5)
    _percents(ax)
    ax.set_ylabel("wrong answers, %")
    legend_beside(ax)
    return ax


def _percents(ax: Axes) -> None:
    """Make the axis of values logarithmic, with plain numbers at it."""
    ax.set_yscale("log")
    ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    ax.yaxis.set_minor_locator(NullLocator())
    ax.grid(axis="y", color="#DDDDDD")
    ax.set_axisbelow(True)


def courses(
    panels: Mapping[str, Mapping[str, ArrayLike]], points: Sequence[float], reference: float | None = None
) -> Any:
    """Draw how something goes on, a thin line for each seed and a thick one for their mean.

    Parameters
    ----------
    panels : mapping of str to mapping of str to array_like, shape (seeds, points)
        The panels by title, and in each the series by name: positive values, in percent wrong.
    points : sequence of float
        The epochs after which they were measured, in order; drawn at equal distances.
    reference : float, optional
        A value to compare with, drawn in grey.

    Returns
    -------
    ndarray of Axes, shape (panels,)

    Examples
    --------
    >>> courses({"2 bits": {"slowly": [[80.0, 40.0], [90.0, 30.0]]}}, [0, 10])[0].get_ylabel()
    'wrong answers, %'
    """
    drawn = row_of(panels, 3.4)
    for ax, group in zip(drawn, panels.values(), strict=True):
        for (name, values), color, marker in zip(group.items(), SERIES, MARKERS, strict=False):
            seeds = np.asarray(values, np.float64)
            ax.plot(range(len(points)), seeds.T, color=color, lw=0.6, alpha=0.6)
            mean = seeds.mean(axis=0)
            ax.plot(range(len(points)), mean, color=color, lw=2, marker=marker, markersize=5, label=name)
        if reference is not None:
            ax.axhline(reference, color=UNUSED, ls="--", lw=1, label="float")
        ax.set_xticks(range(len(points)), [f"{point:g}" for point in points])
        ax.set_xlabel("epochs")
        _percents(ax)
    drawn[0].set_ylabel("wrong answers, %")
    drawn[-1].legend(frameon=False, loc="upper right", fontsize=9)
    return drawn


def pretended_slope(params: QuantParams) -> Any:
    """Draw what fake quantization does to a weight, and under it the slope: the true and the pretended one.

    Parameters
    ----------
    params : QuantParams
        Per tensor, of few codes.

    Returns
    -------
    ndarray of Axes, shape (2,)

    Examples
    --------
    >>> from quantnotes import INT2
    >>> pretended_slope(QuantParams(1.0, 0, INT2))[1].get_ylabel()
    'slope'
    """
    both = axes(2, 1, height=4.2, sharex=True, height_ratios=[2, 1])
    above, below = (canvas(ax) for ax in both)
    low, high = params.range
    x = np.linspace(low - 2 * params.scale, high + 2 * params.scale, 4001)
    reals, slope = straight_through(x, params)
    above.plot(x, reals, color=CODE, lw=2, label="fake-quantized")
    above.plot(x, np.clip(x, low, high), color=OTHER, lw=1.5, ls="--", label="what training pretends")
    above.set_ylabel("weight in the forward pass")
    below.plot(x, np.zeros_like(x), color=CODE, lw=2, label="true slope, 0 but at the steps")
    steps = x[1:][np.diff(reals) != 0]
    below.vlines(steps, 0, 1.25, color=CODE, lw=1)
    below.plot(x, slope, color=OTHER, lw=1.5, ls="--", label="pretended slope")
    below.set(xlabel="weight that is trained", ylabel="slope", ylim=(-0.15, 1.3), xlim=(x[0], x[-1]))
    for ax in both:
        for start, end in ((x[0], x[slope][0]), (x[slope][-1], x[-1])):
            ax.axvspan(
                start, end, color=CLIPPED, alpha=0.12, lw=0, label="clipped" if start == x[0] else None
            )
    legend_beside(above)
    legend_beside(below)
    return both


def ladder(panels: Mapping[str, Mapping[str, ArrayLike]], rungs: Sequence[str]) -> Any:
    """Draw how well a signal survives, measured further and further downstream, one line for each text.

    Parameters
    ----------
    panels : mapping of str to mapping of str to array_like, shape (texts, rungs)
        The panels by title, and in each the ranges by name: SQNR in dB.
    rungs : sequence of str
        Where it is measured, from the tensor on.

    Returns
    -------
    ndarray of Axes, shape (panels,)

    Examples
    --------
    >>> ladder({"layer 0": {"min-max": [[20.0, 25.0]]}}, ["tensor", "layer"])[0].get_ylabel()
    'SQNR, dB'
    """
    drawn = row_of(panels, 3.6)
    for ax, ranges in zip(drawn, panels.values(), strict=True):
        for (name, texts), (color, marker) in zip(ranges.items(), _RANGES, strict=False):
            for i, values in enumerate(np.asarray(texts)):
                ax.plot(
                    range(len(rungs)), values, color=color, marker=marker, markersize=5,
                    ls=("-", ":")[i % 2], label=None if i else name,
                )  # fmt: skip
        ax.set_xticks(range(len(rungs)), list(rungs), rotation=30, ha="right")
        ax.grid(color="#DDDDDD")
    drawn[0].set_ylabel("SQNR, dB")
    legend_beside(drawn[-1])
    return drawn


_RANGES = ((SERIES[0], "o"), (CLIPPED, "s"), (OTHER, "D"), (SERIES[1], "^"), (SERIES[2], "v"))


def per_token(series: Mapping[str, ArrayLike], ax: Axes | None = None) -> Axes:
    """Draw the SQNR of each token, and that of position 0 larger.

    Parameters
    ----------
    series : mapping of str to array_like, shape (positions,)
        SQNR in dB by the name of the range.
    ax : Axes, optional
        Where to draw.

    Returns
    -------
    Axes

    Examples
    --------
    >>> per_token({"min-max": [40.0, 14.0]}).get_xlabel()
    'position of the token'
    """
    ax = canvas(ax, 2.8)
    for (name, values), (color, marker) in zip(series.items(), _RANGES, strict=False):
        values = np.asarray(values)
        sizes = np.where(np.arange(len(values)) == 0, 80, 12)
        ax.scatter(np.arange(len(values)), values, sizes, color=color, marker=marker, lw=0, label=name)
        ax.axhline(float(np.median(values)), color=color, lw=1, ls="--")
    ax.set(xlabel="position of the token", ylabel="SQNR, dB")
    legend_beside(ax)
    return ax
