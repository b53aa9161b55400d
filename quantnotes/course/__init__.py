"""What the notebooks need beside the library: pictures, sliders, tables, checked exercises, the bug museum.

The only package that imports Matplotlib and ipywidgets; nothing outside it imports it. Names load on first
use, so that a notebook with no slider needs no ipywidgets. Not covered: anything a quantizer needs.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from quantnotes.course import museum as museum
    from quantnotes.course import plots as plots
    from quantnotes.course import widgets as widgets
    from quantnotes.course.exercises import check as check
    from quantnotes.course.tables import spread as spread
    from quantnotes.course.tables import spread_table as spread_table
    from quantnotes.course.tables import table as table

_HOME = {  # the public names by the module that defines them
    "check": "exercises",
    "spread": "tables",
    "spread_table": "tables",
    "table": "tables",
}
_PARTS = ("museum", "plots", "widgets")

__all__ = ["check", "museum", "plots", "spread", "spread_table", "table", "widgets"]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        value = getattr(importlib.import_module(f"quantnotes.course.{_HOME[name]}"), name)
    elif name in _PARTS:
        value = importlib.import_module(f"quantnotes.course.{name}")
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
