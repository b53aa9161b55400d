"""Pictures of choosing a range: the two noises, two distributions, every method on a tensor."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import ArrayLike

from quantnotes.comparison import SCHEMES, Comparison
from quantnotes.plots.frame import CLIPPED, CODE, REAL, SERIES, UNUSED, axes, canvas


def noises(
    clips: ArrayLike,
    rounding: ArrayLike,
    clipping: ArrayLike,
    marks: Mapping[str, float] | None = None,
    xlabel: str = "clip",
    ax: Axes | None = None,
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
    ax : Axes, optional
        Where to draw.

    Returns
    -------
    Axes

    Examples
    --------
    >>> noises([1, 2, 3], [1, 4, 9], [9, 4, 1], {"best": 2.0}).get_yscale()
    'log'
    """
    ax = canvas(ax, 3.2)
    x = np.asarray(clips, np.float64)
    parts = np.asarray(rounding, np.float64), np.asarray(clipping, np.float64)
    total = parts[0] + parts[1]
    ax.plot(x, parts[0], color=CODE, ls="--", label="rounding")
    ax.plot(x, parts[1], color=CLIPPED, ls=":", lw=2, label="clipping")
    ax.plot(x, total, color=REAL, lw=2, label="sum")
    for (name, clip), marker in zip((marks or {}).items(), "os^D", strict=False):
        ax.plot(clip, np.interp(clip, x, total), marker, color="black", markersize=7, label=name)
    ax.set(xlabel=xlabel, ylabel="mean squared error", yscale="log")
    shown = total[total > 0]
    ax.set_ylim(shown.min() / 10, shown.max() * 2)
    ax.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    return ax


def distributions(p: ArrayLike, q: ArrayLike, clip: int, ax: Axes | None = None) -> Axes:
    """Draw the two distributions that a divergence compares, bin by bin, and where the clip lies.

    Parameters
    ----------
    p, q : array_like, shape (bins,)
        What is clipped, with all that lies beyond in its last bin, and its coarse copy.
    clip : int
        How many bins lie inside.
    ax : Axes, optional
        Where to draw.

    Returns
    -------
    Axes

    Examples
    --------
    >>> distributions([3, 2, 1], [2.5, 2.5, 1], 3).get_xlabel()
    'bin'
    """
    ax = canvas(ax, 2.2)
    place = np.arange(np.size(p))
    ax.bar(place - 0.2, np.asarray(p), 0.4, color=REAL, label="P: values, the rest in the last bin")
    ax.bar(place + 0.2, np.asarray(q), 0.4, color=CODE, hatch="///", edgecolor="white", label="Q: levels")
    ax.axvline(clip - 0.5, color=CLIPPED, ls="--", lw=1.5, label="clip")
    ax.set(xlabel="bin", ylabel="values", xticks=place)
    ax.legend(frameon=False, loc="upper right", fontsize=8)
    return ax


def comparison(found: Comparison) -> Any:
    """Draw the signal-to-noise ratio of every trial: a panel for each bit width, a row for each method.

    Parameters
    ----------
    found : Comparison
        Made by :func:`quantnotes.compare`.

    Returns
    -------
    ndarray of Axes, shape (bit widths,)

    Examples
    --------
    >>> from quantnotes import compare
    >>> comparison(compare([0.0, 1.0, 5.0])).shape
    (2,)
    """
    panels = np.atleast_1d(axes(1, len(found.bits), height=2.6, sharey=True))
    methods = list(dict.fromkeys(trial.method for trial in found.trials))[::-1]
    for ax, bits in zip(panels, found.bits, strict=True):
        canvas(ax)
        for scheme, marker, color in zip(SCHEMES, "os", SERIES, strict=False):
            reached = [found.trial(bits, scheme, method).ledger.sqnr_db for method in methods]
            ax.plot(reached, methods, marker, color=color, ls="", markersize=7, label=scheme)
        best = found.best(bits)
        ax.plot(best.ledger.sqnr_db, best.method, "o", color="none", markeredgecolor=UNUSED, markersize=15)
        ax.set(xlabel="SQNR, dB (ring: recommended)", title=f"{bits} bits")
        ax.grid(color="#DDDDDD", axis="x")
        ax.margins(x=0.1, y=0.15)
    panels[-1].legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    return panels
