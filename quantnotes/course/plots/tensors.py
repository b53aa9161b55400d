"""Pictures of a tensor: its values, its codes, its channels, its tail."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import ArrayLike

from quantnotes.course.plots.frame import axes, canvas, legend_beside, stairs
from quantnotes.course.plots.palette import CLIPPED, CODE, OTHER, REAL, UNUSED
from quantnotes.saturation import CodeLedger

_FEW = 10  # values: a bar lower than that is easily overlooked


def code_histogram(ledger: CodeLedger, ax: Axes | None = None, title: str = "") -> Axes:
    """Draw how many values have each code, on a logarithmic axis, the unused codes hatched.

    An arrow points at an end code that few values have: its bar is short, narrow and at the frame.

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
    >>> from quantnotes import INT4, QuantParams, code_ledger
    >>> code_histogram(code_ledger([0.0, 1.0], QuantParams(1.0, 0, INT4))).get_title(loc="left")
    '2 of 16 codes, 1.0 bits, inf dB'
    """
    ax = canvas(ax, 2.2)
    grid = ledger.params.grid
    codes = np.arange(grid.qmin, grid.qmax + 1)
    stairs(ax, ledger.counts, np.append(codes - 0.5, codes[-1] + 0.5), CODE)
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
    for side, code, count in (("left", codes[0], ledger.counts[0]), ("right", codes[-1], ledger.counts[-1])):
        if 0 < count < _FEW:
            ax.annotate(
                "1 value" if count == 1 else f"{count} values",
                (code, count),
                (code, 30 * count),
                fontsize=8,
                ha=side,
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.0},
                arrowprops={"arrowstyle": "->", "color": "black"},
            )
    facts = (
        f"{ledger.codes_used} of {ledger.codes_available} codes, {ledger.code_entropy_bits:.1f} bits, "
        f"{ledger.sqnr_db:.1f} dB"
    )
    ax.set_title(f"{title}: {facts}" if title else facts, loc="left", fontsize=9)
    margin = 0.5 + 0.01 * len(codes)  # else the frame hides the bar of an end code
    ax.set(xlabel="code q (hatched: unused)", ylabel="count (log)")
    ax.set(xlim=(codes[0] - margin, codes[-1] + margin))
    ax.set_ylim(bottom=0.5)
    return ax


def values_above_codes(x: ArrayLike, ledger: CodeLedger, marks: Mapping[str, float] | None = None) -> Any:
    """Draw a tensor's values and, underneath on the same scale, the codes that they get.

    Parameters
    ----------
    x : array_like
        The real values, any shape.
    ledger : CodeLedger
        What became of them, per tensor.
    marks : mapping of str to float, optional
        Single values to point at, by what to say of them: a bar of one value is easily overlooked.

    Returns
    -------
    ndarray of Axes, shape (2,)

    Examples
    --------
    >>> from quantnotes import INT4, QuantParams, code_ledger
    >>> values_above_codes([0.0, 1.0], code_ledger([0.0, 1.0], QuantParams(1.0, 0, INT4))).shape
    (2,)
    """
    both = axes(2, 1, height=4.2)
    low, high = code_histogram(ledger, both[1]).get_xlim()
    scale, zero = ledger.params.scale, ledger.params.zero_point
    _value_histogram(both[0], x, marks or {})
    both[0].set_xlim(scale * (low - zero), scale * (high - zero))
    return both


def _value_histogram(ax: Axes, x: ArrayLike, marks: Mapping[str, float]) -> None:
    counts, edges = np.histogram(np.ravel(x), 120)
    stairs(canvas(ax), counts, edges, REAL)
    ax.set(xlabel="real value r", ylabel="count (log scale)")
    ax.set_ylim(bottom=0.5)
    arrow = {"arrowstyle": "->", "color": REAL}
    for name, value in marks.items():
        side = "right" if value > (edges[0] + edges[-1]) / 2 else "left"
        place: dict[str, Any] = {"textcoords": "offset points", "ha": side, "va": "bottom"}
        ax.annotate(name, (value, 2.0), (0, 24), color=REAL, arrowprops=arrow, **place)


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
    ax = canvas(ax)
    channels = np.moveaxis(np.abs(np.asarray(weight)), axis, 0)
    maxima = np.sort(channels.reshape(len(channels), -1).max(axis=1))
    ax.plot(maxima, color=REAL, lw=2, label="each channel")
    ax.axhline(maxima[-1], color=CODE, ls="--", label="the whole tensor")
    ax.axhline(float(np.median(maxima)), color=UNUSED, ls=":", label="median channel")
    ax.set(xlabel="channels, sorted", ylabel="max |r|", ylim=(0, 1.1 * maxima[-1]))
    legend_beside(ax)
    return ax


def channels(pairs: Mapping[str, Sequence[ArrayLike]], names: Sequence[str]) -> Any:
    """Draw the largest magnitude in each column of several matrices, before and after something was done.

    Parameters
    ----------
    pairs : mapping of str to sequence of array_like, each of shape (rows, channels)
        The matrices of each state, by its name: one for each name.
    names : sequence of str
        What the matrices are.

    Returns
    -------
    ndarray of Axes, shape (names, states)

    Examples
    --------
    >>> channels({"before": [[[1.0, -2.0]], [[3.0, 1.0]]]}, ["activation", "weight"]).shape
    (2, 1)
    """
    grid = axes(len(names), len(pairs), height=4.2, sharex=True, sharey="row", squeeze=False)
    for column, (title, matrices) in zip(grid.T, pairs.items(), strict=True):
        for ax, matrix, color in zip(column, matrices, (REAL, OTHER), strict=False):
            largest = np.abs(np.asarray(matrix)).max(axis=0)
            canvas(ax).vlines(np.arange(len(largest)), 0, largest, color=color, lw=0.8)
        column[0].set_title(title, fontsize=10)
        column[-1].set_xlabel("channel")
    for ax, name in zip(grid[:, 0], names, strict=True):
        ax.set_ylabel(f"{name},\nlargest magnitude")
    return grid


def pointer_frame(
    counts: ArrayLike, edges: ArrayLike, state: tuple[int, int], name: str = "", ax: Axes | None = None
) -> Axes:
    """Draw the two pointers of the note's filter over the histogram that they move over.

    Parameters
    ----------
    counts, edges : array_like, shapes (bins,) and (bins + 1,)
        The histogram.
    state : (left, right)
        The bins that the pointers stand at; the note keeps ``counts[left:right]``.
    name : str
        Put before the share that is kept.
    ax : Axes, optional
        Where to draw.

    Returns
    -------
    Axes

    Examples
    --------
    >>> pointer_frame([1, 2, 1], [0, 1, 2, 3], (1, 2), "end").get_title()
    'end: kept 50.000 %\\n'
    """
    ax = canvas(ax, 2.4)
    counts, edges, (left, right) = np.asarray(counts), np.asarray(edges), state
    kept = np.zeros(len(counts), bool)
    kept[left:right] = True
    stairs(ax, np.where(kept, counts, 0), edges, REAL)
    stairs(ax, np.where(kept, 0, counts), edges, CLIPPED)
    for edge, pointer in ((edges[left], "left"), (edges[right], "right")):
        ax.axvline(edge, color="black", lw=1.2)
        ax.annotate(
            pointer,
            (edge, 1.0),
            (2 if pointer == "right" else -2, 2),
            xycoords=("data", "axes fraction"),
            textcoords="offset points",
            fontsize=8,
            ha="left" if pointer == "right" else "right",
            annotation_clip=True,
        )
    share = f"kept {100 * counts[left:right].sum() / counts.sum():.3f} %"
    ax.set_title(f"{name}: {share}\n" if name else f"{share}\n", fontsize=9)
    ax.set(xlabel="real value r", ylabel="count (log)")
    return ax


def pointer_frames(
    counts: ArrayLike, edges: ArrayLike, states: Mapping[str, tuple[int, int]], zoom: tuple[float, float]
) -> Any:
    """Draw the pointers at several moments, three to a row, all rows but the first magnified.

    Parameters
    ----------
    counts, edges : array_like, shapes (bins,) and (bins + 1,)
        The histogram that they move over.
    states : mapping of str to (left, right)
        The bins that the pointers stand at, by the name of the moment.
    zoom : (float, float)
        The real values that the rows after the first reach from and to.

    Returns
    -------
    ndarray of Axes, shape (rows, 3)

    Examples
    --------
    >>> moments = {"start": (0, 2), "end": (1, 2)}
    >>> pointer_frames([1, 2, 1], [0, 1, 2, 3], moments, (0, 2)).shape
    (1, 3)
    """
    rows = -(-len(states) // 3)
    panels = axes(rows, 3, height=2.0 * rows, sharex="row", sharey=True, squeeze=False)
    for ax, (name, state) in zip(panels.flat, states.items(), strict=False):
        pointer_frame(counts, edges, state, name, ax)
    for ax in panels[1:].flat:
        ax.set_xlim(zoom)
    for ax in panels[:-1].flat:
        ax.set_xlabel("")
    for ax in panels[:, 1:].flat:
        ax.set_ylabel("")
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
    ax = canvas(ax)
    x = np.abs(np.asarray(x, np.float64))
    positions, channels = np.unravel_index(np.argsort(x, axis=None)[-count:], x.shape)
    sizes = 200 * (x[positions, channels] / x.max()) ** 2 + 4
    ax.scatter(channels, positions, sizes, color=REAL, alpha=0.6, lw=0)
    ax.set(xlabel="channel", ylabel="position", xlim=(-5, x.shape[1] + 4), ylim=(x.shape[0] + 2, -9))
    return ax
