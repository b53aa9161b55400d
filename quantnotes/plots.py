"""Every picture of the notebooks, one call each: the only module that imports Matplotlib.

A function draws on the `ax` it is given, or on one it makes, and returns it; `show` puts the figure into
a notebook, with the text that stands for it where it cannot be seen. One colour has one meaning
throughout (`REAL`, `CODE`, `CLIPPED`, `UNUSED`, `OTHER`); they stay apart for colour-blind readers, being
of the palette that M. Okabe and K. Ito proposed in 2002, the grey a little darker. Left out: pyplot and
its global state.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike, NDArray

from quantnotes.mapping import QuantParams, dequantize, quantize
from quantnotes.ranges import Range
from quantnotes.saturation import CodeLedger

REAL = "#0072B2"  # blue: real values
CODE = "#E69F00"  # orange: codes, and what they decode to
CLIPPED = "#D55E00"  # vermilion: what is clipped, and plain mistakes
UNUSED = "#707070"  # grey: codes without data, limits, what is only for reference
OTHER = "#009E73"  # green: the alternative that the first is compared with
SERIES = (REAL, CODE, OTHER, CLIPPED, "#CC79A7", UNUSED)  # for lines that have no meaning of their own
_MARKERS = "osD^vP"
_MAX_LABELLED = 16  # codes on a number line that still have room for their numbers

Array = NDArray[Any]


def axes(rows: int = 1, columns: int = 1, height: float = 2.8, **options: Any) -> Any:
    """Make the axes of a new figure, 7.5 inches wide.

    Parameters
    ----------
    rows, columns : int
        How many of them.
    height : float
        Of the whole figure, in inches.
    **options
        Passed to ``Figure.subplots``: sharex, sharey, height_ratios.

    Returns
    -------
    Axes, or ndarray of Axes
        As ``Figure.subplots`` returns them.

    Examples
    --------
    >>> axes(2, 1).shape
    (2,)
    """
    return Figure(figsize=(7.5, height), layout="constrained").subplots(rows, columns, **options)


def show(ax: Any, alt: str) -> None:
    """Display the figure of `ax` in a notebook.

    Parameters
    ----------
    ax : Axes, array of Axes, or Figure
        What to show: the whole figure.
    alt : str
        What can be seen in it, for those who cannot see it.

    Examples
    --------
    >>> show(axes(), alt="an empty figure")  # doctest: +ELLIPSIS
    {'image/png': ...
    """
    from IPython.display import display

    bundle = {"image/png": encoded(png(figure_of(ax))), "text/plain": alt}
    display(bundle, raw=True, metadata={"image/png": {"alt": alt}})


def figure_of(ax: Any) -> Figure:
    """Return the figure that an Axes or an array of them belongs to; a figure is its own."""
    figure: Figure = ax if isinstance(ax, Figure) else np.ravel(ax)[0].figure
    return figure


def png(figure: Figure, dpi: int = 100) -> bytes:
    """Return the figure as a PNG file, `dpi` dots to the inch."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi)
    return buffer.getvalue()


def encoded(image: bytes) -> str:
    """Return a file as the text that a notebook's output holds."""
    return base64.b64encode(image).decode()


def _start(ax: Axes | None, height: float = 2.8) -> Axes:
    ax = axes(height=height) if ax is None else ax
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def _bars(ax: Axes, counts: Array, edges: Array, color: str) -> None:
    """Draw a histogram as one artist on a logarithmic axis: 256 single bars take a quarter of a second."""
    ax.stairs(counts, edges, fill=True, color=color, baseline=0.5)
    ax.set_yscale("log")
    ax.minorticks_off()


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
    ax = _start(ax, 2.0)
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
    ax = _start(ax)
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
    ax = _start(ax)
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
    ax = _start(ax, 2.4)
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


def lines(
    x: ArrayLike,
    predicted: Mapping[str, ArrayLike],
    measured: Mapping[str, ArrayLike],
    xlabel: str = "bits",
    ylabel: str = "SQNR, dB",
    ax: Axes | None = None,
) -> Axes:
    """Draw predictions as lines and measurements as points of the same colour where the names agree.

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
    ax = _start(ax, 3.2)
    names = list(dict.fromkeys([*predicted, *measured]))
    looks = dict(zip(names, zip(SERIES, _MARKERS, strict=True), strict=False))
    for name, y in predicted.items():
        ax.plot(x, y, color=looks[name][0], lw=1.5, label=f"{name}, predicted")
    for name, y in measured.items():
        color, marker = looks[name]
        ls = "" if name in predicted else ":"
        ax.plot(
            x, y, color=color, marker=marker, ls=ls, label=f"{name}, measured" if name in predicted else name
        )
    ax.set(xlabel=xlabel, ylabel=ylabel)
    ax.grid(color="#DDDDDD")
    if np.issubdtype(np.asarray(x).dtype, np.integer):
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    return ax


def value_histogram(
    x: ArrayLike, ranges: Mapping[str, Range] | None = None, bins: int = 120, ax: Axes | None = None
) -> Axes:
    """Draw how the real values are distributed, counts on a logarithmic axis, and ranges as brackets above.

    Parameters
    ----------
    x : array_like
        Real values, any shape.
    ranges : mapping of str to Range, optional
        Ranges to mark, by name.
    bins : int
        Number of bins.
    ax : Axes, optional
        Where to draw.

    Returns
    -------
    Axes

    Examples
    --------
    >>> value_histogram([1.0, 2.0], {"min-max": Range(1.0, 2.0)}).get_yscale()
    'log'
    """
    ax = _start(ax)
    counts, edges = np.histogram(np.ravel(x), bins)
    _bars(ax, counts, edges, REAL)
    top = float(np.max(counts))
    for i, (name, (low, high)) in enumerate((ranges or {}).items()):
        y, color = top * 3.0 ** (i + 1), SERIES[1 + i % (len(SERIES) - 1)]
        ax.plot([low, high], [y, y], color=color, marker="|", markersize=10, lw=2, label=name)
    ax.set(xlabel="real value r", ylabel="values (log scale)")
    ax.set_ylim(bottom=0.5)
    if ranges:
        ax.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    return ax


def code_histogram(ledger: CodeLedger, ax: Axes | None = None, title: str = "") -> Axes:
    """Draw how many values have each code, on a logarithmic axis, the unused codes hatched.

    Parameters
    ----------
    ledger : CodeLedger
        Of any grid.
    ax : Axes, optional
        Where to draw.
    title : str
        Put before the number of codes used, the entropy and the SQNR.

    Returns
    -------
    Axes

    Examples
    --------
    >>> from quantnotes import INT4, code_ledger
    >>> code_histogram(code_ledger([0.0, 1.0], QuantParams(1.0, 0, INT4))).get_title(loc="left")
    '2 of 16 codes, 1.0 bits, inf dB'
    """
    ax = _start(ax, 2.2)
    grid = ledger.params.grid
    codes = np.arange(grid.qmin, grid.qmax + 1)
    _bars(ax, ledger.counts, np.append(codes - 0.5, codes[-1] + 0.5), CODE)
    unused = np.concatenate([[0], (ledger.counts == 0).astype(int), [0]])
    starts, ends = np.flatnonzero(np.diff(unused) == 1), np.flatnonzero(np.diff(unused) == -1)
    spans = [
        (float(codes[0] + start) - 0.5, float(end - start)) for start, end in zip(starts, ends, strict=True)
    ]
    ax.broken_barh(
        spans,
        (0, 1),
        transform=ax.get_xaxis_transform(),
        facecolor="#EEEEEE",
        edgecolor=UNUSED,
        hatch="////",
        lw=0,
    )
    facts = (
        f"{ledger.codes_used} of {ledger.codes_available} codes, {ledger.code_entropy_bits:.1f} bits, "
        f"{ledger.sqnr_db:.1f} dB"
    )
    ax.set_title(f"{title}: {facts}" if title else facts, loc="left", fontsize=9)
    ax.set(xlabel="code q (hatched: unused)", ylabel="values (log)", xlim=(codes[0] - 0.5, codes[-1] + 0.5))
    ax.set_ylim(bottom=0.5)
    return ax


def values_above_codes(x: ArrayLike, ledger: CodeLedger) -> Any:
    """Draw a tensor's values and, underneath on the same scale, the codes that they get.

    Parameters
    ----------
    x : array_like
        The real values, any shape.
    ledger : CodeLedger
        What became of them, per tensor.

    Returns
    -------
    ndarray of Axes, shape (2,)

    Examples
    --------
    >>> from quantnotes import INT4, code_ledger
    >>> values_above_codes([0.0, 1.0], code_ledger([0.0, 1.0], QuantParams(1.0, 0, INT4))).shape
    (2,)
    """
    both = axes(2, 1, height=4.2)
    low, high = ledger.params.range
    half = ledger.params.scale / 2
    value_histogram(x, ax=both[0]).set_xlim(low - half, high + half)
    code_histogram(ledger, both[1])
    return both


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
    ax = _start(ax, 2.0)
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


def channel_maxima(weight: ArrayLike, axis: int = 0, ax: Axes | None = None) -> Axes:
    """Draw the largest absolute value of every channel, sorted, beside the one of the whole tensor.

    Parameters
    ----------
    weight : array_like
        Two dimensions or more.
    axis : int
        The channel axis.
    ax : Axes, optional
        Where to draw.

    Returns
    -------
    Axes

    Examples
    --------
    >>> channel_maxima([[1.0, -2.0], [0.5, 0.5]]).get_ylabel()
    'max |r|'
    """
    ax = _start(ax)
    channels = np.moveaxis(np.abs(np.asarray(weight)), axis, 0)
    maxima = np.sort(channels.reshape(len(channels), -1).max(axis=1))
    ax.plot(maxima, color=REAL, lw=2, label="each channel")
    ax.axhline(maxima[-1], color=CODE, ls="--", label="the whole tensor")
    ax.axhline(float(np.median(maxima)), color=UNUSED, ls=":", label="median channel")
    ax.set(xlabel="channels, sorted", ylabel="max |r|", ylim=(0, 1.1 * maxima[-1]))
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
    ax = _start(ax, 3.0)
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


def pointer_frames(
    counts: ArrayLike,
    edges: ArrayLike,
    states: Sequence[tuple[int, int]],
    columns: int = 3,
    height: float = 2.0,
) -> Any:
    """Draw the two pointers of the note's filter at several moments, one panel each.

    Parameters
    ----------
    counts, edges : array_like, shapes (bins,) and (bins + 1,)
        The histogram that they move over.
    states : sequence of (left, right)
        The bins that the pointers stand at; the note keeps ``counts[left:right]``.
    columns : int
        Panels side by side.
    height : float
        Of a row, in inches.

    Returns
    -------
    ndarray of Axes, shape (rows, columns)

    Examples
    --------
    >>> pointer_frames([1, 2, 1], [0, 1, 2, 3], [(0, 2), (1, 2)], columns=2).shape
    (1, 2)
    """
    counts, edges = np.asarray(counts), np.asarray(edges)
    rows = -(-len(states) // columns)
    panels = axes(rows, columns, height=height * rows, sharex=True, sharey=True, squeeze=False)
    for ax, (left, right) in zip(panels.flat, states, strict=False):
        _start(ax)
        kept = np.zeros(len(counts), bool)
        kept[left:right] = True
        _bars(ax, np.where(kept, counts, 0), edges, REAL)
        _bars(ax, np.where(kept, 0, counts), edges, CLIPPED)
        for edge, name in ((edges[left], "left"), (edges[right], "right")):
            ax.axvline(edge, color="black", lw=1.2)
            ax.annotate(
                name,
                (edge, 1.0),
                (2, 2),
                xycoords=("data", "axes fraction"),
                textcoords="offset points",
                fontsize=8,
                ha="left" if name == "right" else "right",
            )
        share = counts[left:right].sum() / counts.sum()
        ax.set_title(f"kept {100 * share:.3f} %\n", fontsize=9)
    for ax in panels[-1]:
        ax.set_xlabel("real value r")
    for ax in panels[:, 0]:
        ax.set_ylabel("values (log)")
    return panels


def tail_map(x: ArrayLike, count: int = 100, ax: Axes | None = None) -> Axes:
    """Draw where the values of largest magnitude sit in a tensor of two dimensions.

    Parameters
    ----------
    x : array_like, shape (positions, channels)
        An activation.
    count : int
        How many values to mark; the area of a mark grows with the magnitude.
    ax : Axes, optional
        Where to draw.

    Returns
    -------
    Axes

    Examples
    --------
    >>> tail_map(np.eye(3), count=3).get_xlabel()
    'channel'
    """
    ax = _start(ax)
    x = np.abs(np.asarray(x, np.float64))
    positions, channels = np.unravel_index(np.argsort(x, axis=None)[-count:], x.shape)
    sizes = 200 * (x[positions, channels] / x.max()) ** 2 + 4
    ax.scatter(channels, positions, sizes, color=REAL, alpha=0.6, lw=0)
    ax.set(xlabel="channel", ylabel="position", xlim=(-5, x.shape[1] + 4), ylim=(x.shape[0] + 2, -6))
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
    ax = _start(ax, 1.3)
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
