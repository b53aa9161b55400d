"""What the notebooks need beside the library: pictures, sliders, checked exercises and the bug museum.

The only package that imports Matplotlib and ipywidgets; nothing outside it imports it. Its parts are
`plots`, `widgets`, `exercises` and `museum`.
"""

from quantnotes.course.exercises import check

__all__ = ["check"]
