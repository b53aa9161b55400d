"""Pictures of choosing a range: the two noises, two distributions, every method on a tensor."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import ArrayLike

from quantnotes.calibration import METHODS
from quantnotes.comparison.array import SCHEMES, Comparison
from quantnotes.course.plots.frame import canvas, legend_beside, row_of
from quantnotes.course.plots.palette import CLIPPED, CODE, REAL, SERIES, UNUSED


def noises(
    clips: ArrayLike,
    rounding: ArrayLike,
    clipping: ArrayLike,
    marks: Mapping[str, float] | None = None,
    xlabel: str = "clip",
) -> Axes:
    """Draw rounding noise, clipping noise and their sum against the clip, on a logarithmic axis.

    Parameters
    ----------
    clips, rounding, clipping : array_like, shape (n,)
        The clip, and the mean squared error that each part makes there.
    marks : mapping of str to float, optional
        Clips to point out on the sum, by name.
    xlabel : str
        What a clip is, with its unit.

    Returns
    -------
    Axes

    Examples
    --------
    >>> noises([1, 2, 3], [1, 4, 9], [9, 4, 1], {"best": 2.0}).get_yscale()
    'log'
    """
    ax = canvas(None, 3.2)
    x = np.asarray(clips, np.float64)
    parts = np.asarray(rounding, np.float64), np.asarray(clipping, np.float64)
    total = parts[0] + parts[1]
    ax.plot(x, parts[0], color=CODE, ls="--", label="rounding")
    ax.plot(x, parts[1], color=CLIPPED, ls=":", lw=2, label="clipping")
    ax.plot(x, total, color=REAL, lw=2, label="sum")
    for (name, clip), marker in zip((marks or {}).items(), "os^D", strict=False):
        ax.plot(clip, np.interp(clip, x, total), marker, color="black", markersize=7, label=name)
    ax.set(xlabel=xlabel, ylabel="mean squared error", yscale="log")
    ax.minorticks_off()  # they take longer to draw than all the rest
    shown = total[total > 0]
    ax.set_ylim(shown.min() / 10, shown.max() * 2)
    legend_beside(ax)
    return ax


def distributions(p: ArrayLike, q: ArrayLike, clip: int) -> Axes:
    """Draw the two distributions that a divergence compares, bin by bin, and where the clip lies.

    Parameters
    ----------
    p, q : array_like, shape (bins,)
        What is clipped, with all that lies beyond in its last bin, and its coarse copy.
    clip : int
        How many bins lie inside.

    Returns
    -------
    Axes

    Examples
    --------
    >>> distributions([3, 2, 1], [2.5, 2.5, 1], 3).get_xlabel()
    'bin'
    """
    ax = canvas(None, 2.2)
    place = np.arange(np.size(p))
    ax.bar(place - 0.2, np.asarray(p), 0.4, color=REAL, label="P: values, with\nthe rest in the last")
    ax.bar(place + 0.2, np.asarray(q), 0.4, color=CODE, hatch="///", edgecolor="white", label="Q: levels")
    ax.axvline(clip - 0.5, color=CLIPPED, ls="--", lw=1.5, label="clip")
    ax.set(xlabel="bin", ylabel="values", xticks=place)
    legend_beside(ax, fontsize=8)
    return ax


def dots(panels: Mapping[str, Mapping[str, Mapping[str, float]]], xlabel: str = "SQNR, dB") -> Any:
    """Draw numbers as marks on rows: a panel for each subject, a mark of its own for each series.

    Parameters
    ----------
    panels : mapping of str to mapping of str to mapping of str to float
        By subject, by series, by row; the rows are the same everywhere.
    xlabel : str
        What the numbers are, with their unit.

    Returns
    -------
    ndarray of Axes, shape (panels,)

    Examples
    --------
    >>> dots({"weight": {"8 bits": {"minmax": 35.5, "mse": 36.6}}}).shape
    (1,)
    """
    all_axes = row_of(panels, 2.6, fontsize=9)
    for ax, series in zip(all_axes, panels.values(), strict=True):
        for (label, rows), marker, color in zip(series.items(), "os^D", SERIES, strict=False):
            names = list(rows)[::-1]
            inside = color if marker == "o" else "none"  # marks that meet shall both be seen
            ax.plot(
                [rows[n] for n in names], names, marker, label=label, ms=8, mec=color, mew=1.8, mfc=inside
            )
        ax.set_xlabel(xlabel)
        ax.grid(color="#DDDDDD")
        ax.margins(x=0.1, y=0.15)
    legend_beside(all_axes[-1])
    return all_axes


def comparison(found: Comparison) -> Any:
    """Draw the signal-to-noise ratio of every trial: a panel for each bit width, a row for each method.

    Parameters
    ----------
    found : Comparison
        Made by :func:`quantnotes.compare`.

    Returns
    -------
    ndarray of Axes, shape (bit widths,)
        A ring is round the recommended trial.

    Examples
    --------
    >>> from quantnotes import compare
    >>> comparison(compare([0.0, 1.0, 5.0])).shape
    (2,)
    """
    panels = dots(
        {
            f"{bits} bits": {
                scheme: {m: found.trial(bits, scheme, m).ledger.sqnr_db for m in METHODS}
                for scheme in SCHEMES
            }
            for bits in found.bits
        },
        "SQNR, dB (ring: recommended)",
    )
    for ax, bits in zip(panels, found.bits, strict=True):
        best = found.best(bits)
        ax.plot(best.ledger.sqnr_db, best.method, "o", color="none", markeredgecolor=UNUSED, markersize=15)
    return panels
