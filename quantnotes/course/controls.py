"""Sliders over a figure that is drawn again for each of their values.

A live widget where a kernel runs and a picture where none does (GitHub, a printed page), in one output. The
only module that imports ipywidgets.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ipywidgets

from quantnotes.course import plots

_STYLE = {"description_width": "9em"}
_LAYOUT = {"width": "32em"}
_IMAGE = {"align_self": "flex-start", "max_width": "100%"}  # not stretched to the width of the page
_ROOM = (0.02, 0.0, 0.98, 1.0)  # left, bottom, width, height: longer numbers may come to stand at the left
_DPI = 80  # fewer dots than a static figure has: a slider must redraw within 200 ms


def slider(label: str, value: float, low: float, high: float, step: float) -> Any:
    """Make a labelled slider; whole numbers where `step` is one. It acts when it is released."""
    kind = ipywidgets.IntSlider if isinstance(step, int) else ipywidgets.FloatSlider
    return kind(
        value=value,
        min=low,
        max=high,
        step=step,
        description=label,
        continuous_update=False,
        style=_STYLE,
        layout=_LAYOUT,
    )


def choice(label: str, options: Any) -> Any:
    """Make a labelled drop-down of the options."""
    return ipywidgets.Dropdown(options=list(options), description=label, style=_STYLE, layout=_LAYOUT)


def explore(draw: Callable[..., Any], alt: str, **controls: Any) -> Any:
    """Display controls over the figure that `draw` makes of their values, and return the box of them.

    Parameters
    ----------
    draw : callable
        Takes the value of each control by name, returns the axes or the figure that it has drawn.
    alt : str
        What the figure shows as it is first drawn.
    **controls : Widget
        By the name of the argument.

    Returns
    -------
    VBox
        The controls, and last the image.

    Examples
    --------
    >>> bits = slider("bits", 3, 2, 8, 1)
    >>> box = explore(lambda bits: plots.axes(), alt="nothing", bits=bits)  # doctest: +ELLIPSIS
    {...
    >>> len(box.children)
    2
    """
    from IPython.display import display

    places: list[Any] = []  # of the axes: found for the first picture, and kept, which halves the time

    def picture() -> bytes:
        figure = plots.figure_of(draw(**{name: control.value for name, control in controls.items()}))
        if places:
            figure.set_layout_engine("none")
            for ax, place in zip(figure.axes, places, strict=True):
                ax.set_position(place)
        else:
            figure.set_layout_engine("constrained", rect=_ROOM)
        image = plots.png(figure, dpi=_DPI)
        places[:] = [ax.get_position() for ax in figure.axes]
        return image

    image = ipywidgets.Image(value=picture(), format="png", layout=_IMAGE)
    for control in controls.values():
        control.observe(lambda _: setattr(image, "value", picture()), names="value")
    box = ipywidgets.VBox([*controls.values(), image])
    static = {"image/png": plots.encoded(image.value), "text/plain": alt}
    display({**box._repr_mimebundle_(), **static}, raw=True, metadata={"image/png": {"alt": alt}})
    return box
