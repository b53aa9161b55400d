"""Pictures of one quantizer along the real line: its codes, its steps, its error."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from quantnotes.course.plots.frame import Array, axes, canvas, legend_beside
from quantnotes.course.plots.palette import CLIPPED, CODE, OTHER, REAL, UNUSED
from quantnotes.mapping import QuantParams, dequantize, quantize

_MAX_LABELLED = 16  # codes on a number line that still have room for their numbers
_CODE_TEXT = "#9A6A00"  # CODE, dark enough to be read


def number_line(params: QuantParams, values: Iterable[float] = ()) -> Axes:
    """Draw the reals that the codes stand for, and where each of some values goes.

    Parameters
    ----------
    params : QuantParams
        Per tensor; with 16 codes or fewer each one is labelled.
    values : iterable of float
        Real values, drawn above the line with an arrow to what they decode to.

    Returns
    -------
    Axes

    Examples
    --------
    >>> from quantnotes import IntGrid
    >>> number_line(QuantParams(0.5, 1, IntGrid(-4, 3)), [0.6]).get_xlabel()
    'real value r'
    """
    ax = canvas(None, 2.0)
    codes = np.arange(params.grid.qmin, params.grid.qmax + 1)
    reals = dequantize(codes, params, dtype=np.float64)
    ax.plot(reals, np.zeros(len(reals)), "-|", color=CODE, markersize=14, markeredgewidth=2)
    _number_codes(ax, codes, reals)
    low, high = params.range
    shown = sorted(values)
    span = max([high, *shown]) - min([low, *shown])
    for i, value in enumerate(shown):
        lift = 0.3 * (i % 2) if i and value - shown[i - 1] < 0.06 * span else 0.0
        outside = not low - params.scale / 2 <= value <= high + params.scale / 2
        target = float(dequantize(quantize(value, params), params, dtype=np.float64))
        color = CLIPPED if outside else REAL
        arrow = {"arrowstyle": "->", "color": color}
        ax.annotate("", (target, 0.06), (value, 0.75 + lift), arrowprops=arrow)
        ax.text(value, 0.78 + lift, f"{value:g}", ha="center", va="bottom", color=color)
    ax.set_xlim(min([low, *shown]) - 0.04 * span, max([high, *shown]) + 0.04 * span)
    ax.set(ylim=(-0.55, 1.5), yticks=[], xlabel="real value r")
    ax.spines["left"].set_visible(False)
    return ax


def _number_codes(ax: Axes, codes: Array, reals: Array) -> None:
    """Write each code under its mark on the line y = 0, if there is room for all of them."""
    if len(codes) > _MAX_LABELLED:
        return
    below = [(f"{code}", real, 0, "center") for code, real in zip(codes, reals, strict=True)]
    for text, real, shift, side in [("code q", reals[0], -14, "right"), *below]:
        ax.annotate(
            text, (real, 0), (shift, -11), textcoords="offset points", ha=side, va="top", color=_CODE_TEXT
        )


def staircase(
    params: QuantParams, ax: Axes | None = None, low: float | None = None, high: float | None = None
) -> Axes:
    """Draw the code against the real value, the clipped ends shaded.

    Parameters
    ----------
    params : QuantParams
        Per tensor, of few codes.
    ax : Axes, optional
        Where to draw.
    low, high : float, optional
        The real values to draw from and to; three steps past the end codes if they are not given.

    Returns
    -------
    Axes

    Examples
    --------
    >>> from quantnotes import INT2
    >>> staircase(QuantParams(1.0, 0, INT2)).get_ylabel()
    'code q'
    """
    ax = canvas(ax)
    low = params.range.rmin - 3 * params.scale if low is None else low
    high = params.range.rmax + 3 * params.scale if high is None else high
    x = np.linspace(low, high, 4001)
    ax.plot(x, quantize(x, params), color=CODE, lw=2, label="code")
    ax.plot(x, x / params.scale + params.zero_point, color=UNUSED, lw=1, ls="--", label="r / S + Z")
    ax.plot(0, params.zero_point, "o", color=REAL, label="0 has the code Z")
    _shade_clipped(ax, params, low, high)
    ax.set(xlabel="real value r", ylabel="code q", xlim=(low, high))
    ax.set_ylim(params.grid.qmin - 1.5, params.grid.qmax + 1.5)
    ax.yaxis.set_major_locator(MaxNLocator(integer=True))
    legend_beside(ax)
    return ax


def _shade_clipped(ax: Axes, params: QuantParams, low: float, high: float) -> None:
    """Shade what lies between `low` and `high` and is clipped: more than half a step past an end code."""
    first, last = params.range
    spans = (low, first - params.scale / 2), (last + params.scale / 2, high)
    for i, (start, end) in enumerate(span for span in spans if span[0] < span[1]):
        ax.axvspan(start, end, color=CLIPPED, alpha=0.15, lw=0, label=None if i else "clipped")


def sawtooth(
    decoders: Mapping[str, Callable[[Array], Array]],
    low: float,
    high: float,
    params: QuantParams,
    ax: Axes | None = None,
) -> Axes:
    """Draw the error of one or more quantizers against their input, the clipped ends shaded.

    Parameters
    ----------
    decoders : mapping of str to callable
        Each takes float64 reals and returns the reals that are left of them. All but the first are dashed.
    low, high : float
        Where to draw the error from and to.
    params : QuantParams
        Per tensor; dashed lines stand at plus and minus S/2.
    ax : Axes, optional
        Where to draw.

    Returns
    -------
    Axes

    Examples
    --------
    >>> from quantnotes import INT2
    >>> sawtooth({"round": np.rint}, -2.0, 2.0, QuantParams(1.0, 0, INT2)).get_ylabel()
    'error e'
    """
    ax = canvas(ax)
    x = np.linspace(low, high, 4001)
    for i, ((name, decode), color) in enumerate(
        zip(decoders.items(), (CODE, OTHER, CLIPPED, REAL), strict=False)
    ):
        ax.plot(x, decode(x) - x, color=color, lw=1.5, ls="--" if i else "-", label=name)
    for sign in (-1, 1):
        ax.axhline(sign * params.scale / 2, color=UNUSED, ls=":", lw=1.2, label="± S/2" if sign > 0 else None)
    _shade_clipped(ax, params, low, high)
    ax.set(xlabel="real value r", ylabel="error e", xlim=(low, high))
    legend_beside(ax)
    return ax


def sliding_grid(rmin: float, rmax: float, params: QuantParams, ax: Axes | None = None) -> Axes:
    """Draw the grid that the ends of a range ask for, and the one it slides to when Z is rounded.

    Parameters
    ----------
    rmin, rmax : float
        The range.
    params : QuantParams
        Made from it, with few codes.
    ax : Axes, optional
        Where to draw.

    Returns
    -------
    Axes

    Examples
    --------
    >>> from quantnotes import UINT2, asymmetric_params
    >>> sliding_grid(-0.6, 1.5, asymmetric_params(-0.6, 1.5, UINT2)).get_xlabel()
    'real value r'
    """
    ax = canvas(ax, 2.0)
    codes = np.arange(params.grid.qmin, params.grid.qmax + 1)
    wished = rmin + params.scale * (codes - params.grid.qmin)
    real = dequantize(codes, params, dtype=np.float64)
    for y, grid, color in ((1.0, wished, UNUSED), (0.0, real, CODE)):
        ax.plot(grid, np.full(len(grid), y), "-|", color=color, markersize=16, markeredgewidth=2)
    for start, end in zip(wished, real, strict=True):
        ax.annotate("", (end, 0.12), (start, 0.88), arrowprops={"arrowstyle": "->", "color": UNUSED})
    for end, name in ((rmin, "rmin"), (rmax, "rmax")):
        ax.plot([end, end], [-0.7, 1.4], color=REAL, ls=":", lw=1)
        ax.text(end, 1.45, name, ha="center", va="bottom", color=REAL)
    ax.plot(0, 0, "o", color=REAL, label="0")
    _number_codes(ax, codes, real)
    ax.margins(x=0.12)
    ax.set(ylim=(-0.7, 1.8), xlabel="real value r")
    ax.set_yticks([0, 1], ["Z rounded:\n0 on a code", "ends on codes:\n0 on none"])
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)
    return ax


def grid_ends(grids: Mapping[str, QuantParams], reach: float) -> Any:
    """Draw the first and the last codes of several grids, beside the two ends of data within ± reach.

    Parameters
    ----------
    grids : mapping of str to QuantParams
        By name, of scales that hardly differ.
    reach : float
        The largest magnitude of the data; it is called a. What no value in ± a rounds to is grey.

    Returns
    -------
    ndarray of Axes, shape (2,)
        The negative end and the positive.

    Examples
    --------
    >>> from quantnotes import IntGrid
    >>> grid_ends({"narrow": QuantParams(1.0, 0, IntGrid(-3, 3))}, 3.0).shape
    (2,)
    """
    both = axes(1, 2, height=0.7 + 0.55 * len(grids), sharey=True)
    step = max(params.scale for params in grids.values())
    for row, params in enumerate(grids.values()):
        codes = np.arange(params.grid.qmin, params.grid.qmax + 1)
        reals = dequantize(codes, params, dtype=np.float64)
        used = (codes >= quantize(-reach, params)) & (codes <= quantize(reach, params))
        for ax in both:
            for some, color in ((used, CODE), (~used, UNUSED)):
                ax.plot(reals[some], np.full(some.sum(), -row), "|", color=color, markersize=14, mew=2)
            for code, real in zip(codes, reals, strict=True):
                ax.annotate(
                    f"{code}",
                    (real, -row),
                    (0, 9),
                    textcoords="offset points",
                    fontsize=8,
                    ha="center",
                    annotation_clip=True,
                    bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5},
                )
    for ax, end, name, inner in ((both[0], -reach, "-a", "upper"), (both[1], reach, "a", "lower")):
        canvas(ax).axvline(end, color=REAL, ls=":")
        ax.text(end, 0.75, name, ha="center", va="bottom", color=REAL)
        inward = -np.sign(end)
        ax.set_xlim(*sorted([end - 1.7 * inward * step, end + 2.7 * inward * step]))
        ax.set(ylim=(0.3 - len(grids), 0.75), xlabel="real value r")
        ax.spines["left"].set_visible(False)
        ax.tick_params(axis="y", length=0)
        ax.xaxis.set_major_locator(MaxNLocator(4, prune=inner))
    both[0].set_yticks(-np.arange(len(grids)), list(grids))
    return both
