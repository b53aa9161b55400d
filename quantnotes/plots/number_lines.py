"""Pictures of one quantizer along the real line: its codes, its steps, its error."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike

from quantnotes.mapping import QuantParams, dequantize, quantize
from quantnotes.plots.frame import CLIPPED, CODE, OTHER, REAL, UNUSED, Array, axes, canvas

_MAX_LABELLED = 16  # codes on a number line that still have room for their numbers


def number_line(params: QuantParams, values: Iterable[float] = (), ax: Axes | None = None) -> Axes:
    """Draw the reals that the codes stand for, and where each of some values goes.

    Parameters
    ----------
    params : QuantParams
        Per tensor; with 16 codes or fewer each one is labelled.
    values : iterable of float
        Real values, drawn above the line with an arrow to what they decode to.
    ax : Axes, optional
        Where to draw.

    Returns
    -------
    Axes

    Examples
    --------
    >>> from quantnotes import IntGrid
    >>> number_line(QuantParams(0.5, 1, IntGrid(-4, 3)), [0.6]).get_xlabel()
    'real value r'
    """
    ax = canvas(ax, 2.0)
    codes = np.arange(params.grid.qmin, params.grid.qmax + 1)
    reals = dequantize(codes, params, dtype=np.float64)
    ax.plot(reals, np.zeros(len(reals)), "-|", color=CODE, markersize=14, markeredgewidth=2)
    if len(codes) <= _MAX_LABELLED:
        for code, real in zip(codes, reals, strict=True):
            ax.annotate(
                f"{code}",
                (real, 0),
                (0, -11),
                textcoords="offset points",
                ha="center",
                va="top",
                color="#9A6A00",
            )
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
    ax.text(
        0.0,
        1.0,
        "above: values   on the line: what a code decodes to   below: the codes q",
        transform=ax.transAxes,
        va="bottom",
        fontsize=8,
        color="#555555",
    )
    return ax


def staircase(params: QuantParams, ax: Axes | None = None) -> Axes:
    """Draw the code against the real value, the clipped ends shaded.

    Parameters
    ----------
    params : QuantParams
        Per tensor, of few codes.
    ax : Axes, optional
        Where to draw.

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
    low, high = params.range
    margin = 3 * params.scale
    x = np.linspace(low - margin, high + margin, 4001)
    ax.plot(x, quantize(x, params), color=CODE, lw=2)
    ax.plot(x, x / params.scale + params.zero_point, color=UNUSED, lw=1, ls="--", label="r / S + Z")
    for start, end in ((x[0], low - params.scale / 2), (high + params.scale / 2, x[-1])):
        ax.axvspan(start, end, color=CLIPPED, alpha=0.15, lw=0, label="clipped" if start == x[0] else None)
    ax.plot(0, params.zero_point, "o", color=REAL, label="0 has the code Z")
    ax.set(xlabel="real value r", ylabel="code q", xlim=(x[0], x[-1]))
    ax.set_ylim(params.grid.qmin - 1.5, params.grid.qmax + 1.5)
    ax.yaxis.set_major_locator(MaxNLocator(integer=True))
    ax.legend(frameon=False, loc="upper left")
    return ax


def sawtooth(
    decoders: Mapping[str, Callable[[Array], Array]],
    low: float,
    high: float,
    scale: float,
    ax: Axes | None = None,
) -> Axes:
    """Draw the error of one or more quantizers against their input.

    Parameters
    ----------
    decoders : mapping of str to callable
        Each takes float64 reals and returns the reals that are left of them.
    low, high : float
        Where to draw the error from and to.
    scale : float
        S; dashed lines stand at plus and minus S/2.
    ax : Axes, optional
        Where to draw.

    Returns
    -------
    Axes

    Examples
    --------
    >>> sawtooth({"round": np.rint}, -2.0, 2.0, 1.0).get_ylabel()
    'error'
    """
    ax = canvas(ax)
    x = np.linspace(low, high, 4001)
    for (name, decode), color in zip(decoders.items(), (CODE, CLIPPED, OTHER, REAL), strict=False):
        ax.plot(x, decode(x) - x, color=color, lw=1.5, label=name)
    for sign in (-1, 1):
        ax.axhline(sign * scale / 2, color=UNUSED, ls="--", lw=1, label="± S/2" if sign > 0 else None)
    ax.set(xlabel="real value r", ylabel="error", xlim=(low, high))
    ax.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    return ax


def error_histogram(error: ArrayLike, scale: float, ax: Axes | None = None) -> Axes:
    """Draw how the error is distributed, in units of S, beside the uniform density that theory predicts.

    Parameters
    ----------
    error : array_like
        Decoded minus real values, any shape.
    scale : float
        S.
    ax : Axes, optional
        Where to draw.

    Returns
    -------
    Axes

    Examples
    --------
    >>> error_histogram([0.1, -0.1], 1.0).get_xlabel()
    'error / S'
    """
    ax = canvas(ax, 2.4)
    ax.hist(
        np.ravel(error) / scale,
        bins=list(np.linspace(-0.75, 0.75, 61)),
        density=True,
        color=CODE,
        label="measured",
    )
    ax.plot(
        [-0.75, -0.5, -0.5, 0.5, 0.5, 0.75], [0, 0, 1, 1, 0, 0], color=REAL, lw=2, label="uniform on ± S/2"
    )
    ax.set(xlabel="error / S", ylabel="density")
    ax.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
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
        ax.plot([end, end], [-0.5, 1.4], color=REAL, ls=":", lw=1)
        ax.text(end, 1.45, name, ha="center", va="bottom", color=REAL)
    ax.plot(0, 0, "o", color=REAL, label="0")
    ax.set(ylim=(-0.5, 1.8), xlabel="real value r")
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
