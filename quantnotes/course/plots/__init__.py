"""Every picture of the notebooks, one call each: the only package that imports Matplotlib.

A function returns the axes it has drawn on: those it makes, or the `ax` it is given where it takes one;
`show` puts the figure into a notebook, with the text that stands for it where it cannot be seen. One colour
has one meaning throughout (`REAL`, `CODE`, `CLIPPED`, `UNUSED`, `OTHER`), and what has no meaning of its own,
such as a method beside others, takes one of `SERIES`. All stay apart for colour-blind readers: they are of
the palette that M. Okabe and K. Ito proposed in 2002, the grey a little darker, with three more for `SERIES`.
Not covered: pyplot and its global state.
"""

from quantnotes.course.plots.calibration import comparison, distributions, dots, noises
from quantnotes.course.plots.charts import bars, lines, predictions, scatter
from quantnotes.course.plots.diagrams import flow
from quantnotes.course.plots.frame import axes, encoded, figure_of, png, show
from quantnotes.course.plots.integers import rounding_rules, sums_and_limits
from quantnotes.course.plots.museum import exhibit, hall
from quantnotes.course.plots.networks import courses, ladder, per_token, pretended_slope, strips
from quantnotes.course.plots.number_lines import grid_ends, number_line, sawtooth, sliding_grid, staircase
from quantnotes.course.plots.palette import CLIPPED, CODE, OTHER, REAL, SERIES, UNUSED
from quantnotes.course.plots.speed import cost_by_size, costs, merged_histograms, roofline
from quantnotes.course.plots.tensors import (
    channel_maxima,
    channels,
    code_histogram,
    pointer_frame,
    pointer_frames,
    tail_map,
    values_above_codes,
)

__all__ = [
    "CLIPPED",
    "CODE",
    "OTHER",
    "REAL",
    "SERIES",
    "UNUSED",
    "axes",
    "bars",
    "channel_maxima",
    "channels",
    "code_histogram",
    "comparison",
    "cost_by_size",
    "costs",
    "courses",
    "distributions",
    "dots",
    "encoded",
    "exhibit",
    "figure_of",
    "flow",
    "grid_ends",
    "hall",
    "ladder",
    "lines",
    "merged_histograms",
    "noises",
    "number_line",
    "per_token",
    "png",
    "pointer_frame",
    "pointer_frames",
    "predictions",
    "pretended_slope",
    "roofline",
    "rounding_rules",
    "sawtooth",
    "scatter",
    "show",
    "sliding_grid",
    "staircase",
    "strips",
    "sums_and_limits",
    "tail_map",
    "values_above_codes",
]
