"""Boxes joined by arrows: the steps of a computation, and the map of the library."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise

from matplotlib.axes import Axes
from matplotlib.text import Text

from quantnotes.course.plots.frame import REAL, UNUSED, canvas

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


def flow(steps: Sequence[tuple[str, str, str]], ax: Axes | None = None) -> Axes:
    """Draw boxes from left to right, joined by arrows: what is computed, what computes it, and more.

    Parameters
    ----------
    steps : sequence of (what, by, more)
        The three lines of text in each box, such as a name, a function and a type.
    ax : Axes, optional
        Where to draw.

    Returns
    -------
    Axes

    Examples
    --------
    >>> len(flow([("codes", "quantize", "int8"), ("sums", "int_matmul", "int32")]).texts)
    3
    """
    ax = canvas(ax, 1.3)
    widths = [max(map(len, step)) for step in steps]  # in characters; the gaps are as wide as 6 of them
    places = accumulate((one + other) / 2 + 6 for one, other in pairwise([-6, *widths]))
    boxes = [
        _text(ax, _bold(what, by, more), x, 0, REAL)
        for (what, by, more), x in zip(steps, places, strict=True)
    ]
    for start, end in pairwise(boxes):
        _join(ax, start, end)
    ax.set(xlim=(0, sum(widths) + 6 * len(steps)), ylim=(-1, 1))
    ax.set_axis_off()
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
    drawn = {name: _text(ax, _bold(name, where), x, y, REAL) for name, (where, x, y) in _DATA.items()}
    for name, (x, y) in _FUNCTIONS.items():
        drawn[name] = _text(ax, name.replace("|", "\n"), x, y, "white", pad=0.2)
    for start, end in _ARROWS:
        _join(ax, drawn[start], drawn[end])
    ax.set(xlim=(-0.7, 10.5), ylim=(-0.4, 2.4))
    ax.set_axis_off()
    return ax


def _bold(first: str, *others: str) -> str:
    """Return lines of text, the first in bold."""
    return "\n".join([f"$\\bf{{{first.replace(' ', chr(92) + ' ')}}}$", *others])


def _text(ax: Axes, text: str, x: float, y: float, edge: str, pad: float = 0.5) -> Text:
    """Write text in the middle of a box, whose edge can be told from its white inside or not."""
    box = {"boxstyle": f"round,pad={pad}", "facecolor": "white", "edgecolor": edge}
    return ax.text(x, y, text, ha="center", va="center", fontsize=8, bbox=box, linespacing=1.4)


def _join(ax: Axes, start: Text, end: Text) -> None:
    """Draw an arrow from the edge of one box to that of another."""
    patches = {"patchA": start.get_bbox_patch(), "patchB": end.get_bbox_patch()}
    arrow = {"arrowstyle": "->", "color": UNUSED, "shrinkA": 1, "shrinkB": 1, **patches}
    ax.annotate("", end.get_position(), start.get_position(), arrowprops=arrow)
