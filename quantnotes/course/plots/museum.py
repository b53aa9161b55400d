"""The halls of the bug museum: each wrong function beside the right one, small and many."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import fill
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from quantnotes.course.plots.frame import axes, canvas, figure_of
from quantnotes.course.plots.palette import CLIPPED, UNUSED

if TYPE_CHECKING:
    from quantnotes.course.museum import Specimen

RIGHT = "#B0B0B0"  # wide and pale: the wrong answers are drawn over it
_COLUMNS = 3
_LABEL = 32  # letters of a label that fit under a panel


def exhibit(specimen: Specimen, ax: Axes | None = None) -> Axes:
    """Draw what gives one specimen away: the right answers in grey, the wrong ones over them.

    Parameters
    ----------
    specimen : Specimen
        Of :func:`quantnotes.course.museum.specimens`.
    ax : Axes, optional
        Where to draw.

    Returns
    -------
    Axes

    Examples
    --------
    >>> from quantnotes.course import museum
    >>> exhibit(museum.specimen("floor for round")).get_title()
    'floor for round'
    """
    ax = canvas(ax)
    x, right, wrong = specimen.curves()
    if specimen.exhibit.dots:
        ax.plot(x, right, "o", color=UNUSED, ms=6, mfc="none", label="right")
        ax.plot(x, wrong, "x", color=CLIPPED, ms=4, label="wrong")
    else:
        ax.plot(x, right, color=RIGHT, lw=3.5, label="right", solid_capstyle="butt")
        ax.plot(x, wrong, color=CLIPPED, lw=1.2, label="wrong")
    ax.set_title(specimen.name, fontsize=9)
    ax.set_xlabel(fill(specimen.exhibit.xlabel, _LABEL), fontsize=8)
    ax.set_ylabel(fill(specimen.exhibit.ylabel, 24), fontsize=8)
    ax.tick_params(labelsize=7)
    ax.locator_params(nbins=5)
    return ax


def hall(specimens: Sequence[Specimen]) -> Any:
    """Draw the exhibits of a hall, three to a row, with one legend.

    Parameters
    ----------
    specimens : sequence of Specimen
        Those of a hall, at least two.

    Returns
    -------
    ndarray of Axes
        One for each specimen.

    Examples
    --------
    >>> from quantnotes.course import museum
    >>> hall(museum.specimens("rounding")).shape
    (7,)
    """
    rows = -(-len(specimens) // _COLUMNS)
    panels = np.ravel(axes(rows, _COLUMNS, height=0.5 + 1.95 * rows))
    for panel in panels[len(specimens) :]:
        panel.set_axis_off()
    panels = panels[: len(specimens)]
    for specimen, panel in zip(specimens, panels, strict=True):
        exhibit(specimen, panel)
    keys = [
        Line2D([], [], color=RIGHT, lw=3.5, marker="o", mfc="none", mec=UNUSED, ms=6, label="right"),
        Line2D([], [], color=CLIPPED, lw=1.2, marker="x", ms=4, label="wrong"),
    ]
    figure_of(panels).legend(handles=keys, loc="outside upper left", ncols=2, frameon=False, fontsize=9)
    return panels
