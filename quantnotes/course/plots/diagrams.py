"""Boxes joined by arrows: the steps of a computation."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise

from matplotlib.axes import Axes
from matplotlib.text import Text

from quantnotes.course.plots.frame import canvas
from quantnotes.course.plots.palette import REAL, UNUSED


def flow(steps: Sequence[tuple[str, str, str]]) -> Axes:
    """Draw boxes from left to right, joined by arrows: what is computed, what computes it, and more.

    Parameters
    ----------
    steps : sequence of (what, by, more)
        The three lines of text in each box, such as a name, a function and a type.

    Returns
    -------
    Axes

    Examples
    --------
    >>> len(flow([("codes", "quantize", "int8"), ("sums", "int_matmul", "int32")]).texts)
    3
    """
    ax = canvas(None, 1.3)
    widths = [max(map(len, step)) for step in steps]  # in characters; the gaps are as wide as 6 of them
    places = accumulate((one + other) / 2 + 6 for one, other in pairwise([-6, *widths]))
    boxes = [_text(ax, _bold(*step), x) for step, x in zip(steps, places, strict=True)]
    for start, end in pairwise(boxes):
        _join(ax, start, end)
    ax.set(xlim=(0, sum(widths) + 6 * len(steps)), ylim=(-1, 1))
    ax.set_axis_off()
    return ax


def _bold(first: str, *others: str) -> str:
    """Return lines of text, the first in bold."""
    return "\n".join([f"$\\bf{{{first.replace(' ', chr(92) + ' ')}}}$", *others])


def _text(ax: Axes, text: str, x: float) -> Text:
    """Write text in the middle of a box."""
    box = {"boxstyle": "round,pad=0.5", "facecolor": "white", "edgecolor": REAL}
    return ax.text(x, 0, text, ha="center", va="center", fontsize=8, bbox=box, linespacing=1.4)


def _join(ax: Axes, start: Text, end: Text) -> None:
    """Draw an arrow from the edge of one box to that of another."""
    patches = {"patchA": start.get_bbox_patch(), "patchB": end.get_bbox_patch()}
    arrow = {"arrowstyle": "->", "color": UNUSED, "shrinkA": 1, "shrinkB": 1, **patches}
    ax.annotate("", end.get_position(), start.get_position(), arrowprops=arrow)
