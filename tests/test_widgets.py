"""The explorers: a picture without a kernel, a new one for every value that a control can take."""

import base64

import ipywidgets
import pytest
from matplotlib.figure import Figure

from quantnotes.course import widgets

EXPLORERS = [name.removesuffix("_explorer") for name in dir(widgets) if name.endswith("_explorer")]


@pytest.fixture
def shown(monkeypatch):
    displayed = []
    monkeypatch.setattr("IPython.display.display", lambda *args, **options: displayed.append((args, options)))
    return displayed


@pytest.fixture
def boxes(monkeypatch, shown):
    made = []
    explore = widgets.explore
    monkeypatch.setattr(widgets, "explore", lambda *args, **controls: made.append(explore(*args, **controls)))
    return made


@pytest.fixture
def drawn(monkeypatch):
    figures, png = [], widgets.plots.png
    monkeypatch.setattr(widgets.plots, "png", lambda figure, dpi: figures.append(figure) or png(figure, dpi))
    return figures


def extremes(control):
    """The ends of a slider and the value it has, or all options of a drop-down."""
    if isinstance(control, ipywidgets.Dropdown):
        return list(control.options)
    return [control.min, control.max, control.value]


@pytest.mark.parametrize("name", EXPLORERS)
def test_without_a_kernel_there_is_a_picture(name, shown):
    assert getattr(widgets, f"{name}_explorer")() is None
    (((bundle,), options),) = shown
    assert base64.b64decode(bundle["image/png"])[:4] == b"\x89PNG"
    assert "application/vnd.jupyter.widget-view+json" in bundle
    assert bundle["text/plain"] == options["metadata"]["image/png"]["alt"]
    assert len(bundle["text/plain"]) > 40
    assert options["raw"] is True


@pytest.mark.parametrize("name", EXPLORERS)
def test_every_control_changes_the_picture_and_no_value_breaks_it(name, boxes, drawn):
    """Nor is anything cut off: the axes keep their places, whatever numbers come to stand beside them."""
    getattr(widgets, f"{name}_explorer")()
    (box,) = boxes
    *controls, image = box.children
    for control in controls:
        first, pictures = control.value, set()
        for value in extremes(control):
            control.value = value
            pictures.add(image.value)
        assert len(pictures) > 1, control.description
        control.value = first
    for values in zip(*map(extremes, controls), strict=False):  # all at their ends together
        for control, value in zip(controls, values, strict=True):
            control.value = value
        assert image.value[:4] == b"\x89PNG"
    for figure in drawn:
        inside, (width, height) = figure.get_tightbbox(), figure.get_size_inches()
        assert min(inside.x0, inside.y0, width - inside.x1, height - inside.y1) > -0.005


@pytest.mark.parametrize("name", EXPLORERS)
def test_controls_are_labelled(name, boxes):
    getattr(widgets, f"{name}_explorer")()
    for control in boxes[0].children[:-1]:
        assert control.description
        if isinstance(control, ipywidgets.FloatSlider):
            assert "(" in control.description  # a unit: real values, or a share


def test_the_axes_keep_their_places(shown, drawn):
    def draw(value):
        ax = widgets.plots.axes()
        ax.set_title("a title" * value)
        return ax.figure

    box = widgets.explore(draw, "nothing", value=widgets.slider("value", 1, 0, 2, 1))
    box.children[0].value = 0
    first, second = (figure.axes[0].get_position().bounds for figure in drawn)
    assert first == second != widgets.plots.axes().get_position().bounds


def test_an_error_in_a_figure_is_not_hidden(shown):
    def draw(value):
        if value > 1:
            raise ValueError("too large")
        return Figure()

    box = widgets.explore(draw, "nothing", value=widgets.slider("value", 1, 0, 2, 1))
    with pytest.raises(ValueError, match="too large"):
        box.children[0].value = 2
