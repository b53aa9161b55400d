"""What every picture starts from: axes, and the way into a notebook or a file."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import PlaceHolderLayoutEngine
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from quantnotes.course.plots.palette import SERIES

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


def show(ax: Any, alt: str, colors: int | None = None) -> None:
    """Display the figure of `ax` in a notebook.

    Parameters
    ----------
    ax : Axes, array of Axes, or Figure
        What to show: the whole figure.
    alt : str
        What can be seen in it, for those who cannot see it.
    colors : int, optional
        Keep so many colours: 64 make a figure of many lines and letters three times smaller.

    Examples
    --------
    >>> show(axes(), alt="an empty figure")  # doctest: +ELLIPSIS
    {'image/png': ...
    """
    from IPython.display import display

    bundle = {"image/png": encoded(png(figure_of(ax), colors=colors)), "text/plain": alt}
    display(bundle, raw=True, metadata={"image/png": {"alt": alt}})


def figure_of(ax: Any) -> Figure:
    """Return the figure that an Axes or an array of them belongs to; a figure is its own."""
    figure: Figure = ax if isinstance(ax, Figure) else np.ravel(ax)[0].figure
    return figure


def png(figure: Figure, dpi: int = 100, colors: int | None = None) -> bytes:
    """Return the figure as a PNG file, `dpi` dots to the inch, in a palette of `colors` if asked."""
    buffer = io.BytesIO()
    if isinstance(figure.get_layout_engine(), PlaceHolderLayoutEngine):  # for which savefig would draw twice
        figure.set_dpi(dpi)
        FigureCanvasAgg(figure).print_png(buffer)  # type: ignore[no-untyped-call]
    else:
        figure.savefig(buffer, format="png", dpi=dpi)
    if colors is not None:
        few = Image.open(buffer).convert("RGB").quantize(colors, dither=Image.Dither.NONE)
        buffer = io.BytesIO()
        few.save(buffer, "png", optimize=True)
    return buffer.getvalue()


def encoded(image: bytes) -> str:
    """Return a file as the text that a notebook's output holds."""
    return base64.b64encode(image).decode()


def canvas(ax: Axes | None, height: float = 2.8) -> Axes:
    """Return `ax`, or that of a new figure, without the lines at the top and the right."""
    ax = axes(height=height) if ax is None else ax
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def row_of(titles: Iterable[str], height: float, fontsize: int = 10, **options: Any) -> Array:
    """Make axes side by side, each with its title, that share the axis of values; return an array of Axes."""
    titles = list(titles)
    panels: Array = axes(1, len(titles), height=height, sharey=True, squeeze=False, **options)[0]
    for ax, title in zip(panels, titles, strict=True):
        canvas(ax).set_title(title, fontsize=fontsize)
    return panels


def side_by_side(
    ax: Axes, table: Mapping[str, Mapping[str, ArrayLike]]
) -> Iterator[tuple[str, str, Array, float, Array]]:
    """Yield each series of a table of groups: name, colour, places, the width it may take, and values."""
    names = list(next(iter(table.values())))
    width = 0.8 / len(names)
    for i, (name, color) in enumerate(zip(names, SERIES, strict=False)):
        place = np.arange(len(table)) + (i - (len(names) - 1) / 2) * width
        yield name, color, place, width, np.array([group[name] for group in table.values()], np.float64)
    ax.set_xticks(range(len(table)), list(table))


def legend_beside(ax: Axes, **options: Any) -> None:
    """Name what is drawn, to the right of it."""
    ax.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5), **options)


def stairs(ax: Axes, counts: Array, edges: Array, color: str) -> None:
    """Draw a histogram as one artist on a logarithmic axis: 256 single bars take a quarter of a second."""
    ax.stairs(counts, edges, fill=True, color=color, baseline=0.5)
    ax.set_yscale("log")
    ax.minorticks_off()
