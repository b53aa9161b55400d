"""The range of least squared error for a format: that of the largest magnitude, shrunk by many factors.

Not covered: integer grids, for which :mod:`quantnotes.mse` searches both ends.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantnotes.codebook import Codebook
from quantnotes.histogram import Masses
from quantnotes.mapping import fake_quantize
from quantnotes.symmetric import symmetric_params

Array = NDArray[Any]
Ends = tuple[Array, Array]

FACTORS = np.linspace(1.0, 0.2, 81)


def ends_of_rows(rows: Array, form: Codebook) -> Ends:
    """Return the range of least squared error of each row, shape (groups, values), for symmetric parameters.

    Examples
    --------
    >>> from quantnotes.formats import E2M1
    >>> rows = np.concatenate([np.tile([0.5, -1.0, 3.0], 50), [6.5]])
    >>> ends_of_rows(rows[None], E2M1)[1].round(2)
    array([6.04])
    """
    reals = rows.astype(np.float64)
    low, high = reals.min(axis=1), reals.max(axis=1)
    best = np.full(len(rows), np.inf), low, high
    for factor in FACTORS:
        params = symmetric_params(factor * low, factor * high, form, axis=0)
        error = np.square(fake_quantize(rows, params, dtype=np.float64) - reals).sum(axis=1)
        best = _better(best, error, factor, low, high)
    return best[1], best[2]


def ends_of_masses(masses: Masses, form: Codebook) -> Ends:
    """Return the same for each group of masses; the values of a bin are taken to lie in its middle."""
    values, first = masses.low + masses.width / 2, masses.starts[:-1]
    group = np.repeat(np.arange(first.size), np.diff(masses.starts))
    low, high = masses.low[first], (masses.low + masses.width)[masses.starts[1:] - 1]
    best = np.full(first.size, np.inf), low, high
    for factor in FACTORS:
        scale = symmetric_params(factor * low, factor * high, form, axis=0).scale[group]
        error = np.add.reduceat(
            masses.count * np.square(form.nearest(values / scale) * scale - values), first
        )
        best = _better(best, error, factor, low, high)
    return best[1], best[2]


def _better(best: tuple[Array, Array, Array], error: Array, factor: float, low: Array, high: Array) -> Any:
    """Return the errors and ends found so far, those of a factor instead where its error is less."""
    clip = factor * np.maximum(-low, high)
    ends = np.maximum(low, -clip), np.minimum(high, clip)
    less = error < best[0]
    return tuple(np.where(less, new, old) for new, old in zip((error, *ends), best, strict=True))
