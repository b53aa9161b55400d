"""Charts that belong to no one subject: series over a number, groups of bars, the map of the library."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike

from quantnotes.plots.frame import REAL, SERIES, UNUSED, axes, canvas

_MARKERS = "osD^vP"
_DASHES = ("-", "--", ":", "-.", (0, (6, 1)), (0, (1, 3)))
_LOOKS = tuple(zip(SERIES, _MARKERS, _DASHES, strict=True))  # a colour alone says nothing on a grey print
# The map: data by name, with the notebooks that explain them and a place; functions, joined by |, likewise.
_DATA = {
    "real values": ("00", 0.0, 1.0),
    "Range": ("02, 05", 3.1, 1.0),
    "QuantParams": ("02, 03", 6.6, 1.0),
    "CodeLedger": ("04", 7.0, 2.0),
    "codes": ("01", 6.2, 0.0),
    "decoded values": ("01", 9.6, 0.0),
}
_FUNCTIONS = {
    "minmax_range|histogram_range": (1.65, 1.0),
    "asymmetric_params|symmetric_params": (4.7, 1.0),
    "code_ledger": (4.7, 2.0),
    "quantize": (4.7, 0.0),
    "dequantize": (7.7, 0.0),
}
_ARROWS = [
    ("real values", "minmax_range|histogram_range"),
    ("minmax_range|histogram_range", "Range"),
    ("Range", "asymmetric_params|symmetric_params"),
    ("asymmetric_params|symmetric_params", "QuantParams"),
    ("real values", "code_ledger"),
    ("QuantParams", "code_ledger"),
    ("code_ledger", "CodeLedger"),
    ("real values", "quantize"),
    ("QuantParams", "quantize"),
    ("quantize", "codes"),
    ("codes", "dequantize"),
    ("QuantParams", "dequantize"),
    ("dequantize", "decoded values"),
]


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


def predictions(
    x: ArrayLike,
    predicted: Mapping[str, ArrayLike],
    measured: Mapping[str, ArrayLike],
    xlabel: str = "bits",
    ylabel: str = "SQNR, dB",
) -> Any:
    """Draw predictions and measurements as `lines` does, and underneath by how much they differ.

    Parameters
    ----------
    x : array_like, shape (n,)
        Shared by all of them.
    predicted, measured : mapping of str to array_like, shape (n,)
        The series, under the same names in both.
    xlabel, ylabel : str
        What stands at the axes.

    Returns
    -------
    ndarray of Axes, shape (2,)

    Examples
    --------
    >>> predictions([2, 4], {"sine": [11.3, 25.3]}, {"sine": [10.2, 24.7]})[0].get_ylabel()
    'SQNR, dB'
    """
    both = axes(2, 1, height=4.6, sharex=True, height_ratios=[3, 2])
    lines(x, predicted, measured, "", ylabel, both[0])
    gaps = {name: np.subtract(measured[name], predicted[name]) for name in predicted}
    unit = ylabel.partition(", ")[2]
    label = "measured −\npredicted" + (f", {unit}" if unit else "")
    lines(x, {}, gaps, xlabel, label, both[1]).axhline(0, color="black", lw=0.8)
    both[1].get_legend().remove()
    return both


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


def library_map(ax: Axes | None = None) -> Axes:
    """Draw what flows through the library: data in boxes, functions between them, inputs as arrows.

    Parameters
    ----------
    ax : Axes, optional
        Where to draw.

    Returns
    -------
    Axes

    Examples
    --------
    >>> "quantize" in {text.get_text() for text in library_map().texts}
    True
    """
    ax = canvas(ax, 2.4)
    texts = {
        name: (f"$\\bf{{{name.replace(' ', chr(92) + ' ')}}}$\n{where}", x, y, REAL)
        for name, (where, x, y) in _DATA.items()
    }
    texts |= {name: (name.replace("|", "\n"), x, y, "white") for name, (x, y) in _FUNCTIONS.items()}
    drawn = {}
    for name, (text, x, y, edge) in texts.items():
        pad = 0.5 if name in _DATA else 0.2
        box = {"boxstyle": f"round,pad={pad}", "facecolor": "white", "edgecolor": edge}
        drawn[name] = ax.text(x, y, text, ha="center", va="center", fontsize=8, bbox=box, linespacing=1.4)
    for start, end in _ARROWS:
        ends = {"patchA": drawn[start].get_bbox_patch(), "patchB": drawn[end].get_bbox_patch()}
        arrow = {"arrowstyle": "->", "color": UNUSED, "shrinkA": 1, "shrinkB": 1, **ends}
        ax.annotate("", drawn[end].get_position(), drawn[start].get_position(), arrowprops=arrow)
    ax.set(xlim=(-0.7, 10.5), ylim=(-0.4, 2.4))
    ax.set_axis_off()
    return ax
