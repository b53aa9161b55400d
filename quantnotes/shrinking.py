"""The range of least squared error for a format: that of the largest magnitude, shrunk by many factors.

Not covered: integer grids, for which :mod:`quantnotes.mse` searches both ends.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantnotes.codebook import Codebook
from quantnotes.histogram import Masses
from quantnotes.mapping import fake_quantize
from quantnotes.symmetric import symmetric_params

Array = NDArray[Any]
Ends = tuple[Array, Array]

_COARSE = np.exp2(-np.arange(1, 81) / 8)  # down to a thousandth: with few codes the best clip is far inside
_FINE = np.exp2(np.arange(-7, 8) / 64)


def ends_of_rows(rows: Array, form: Codebook) -> Ends:
    """Return the range of least squared error of each row, shape (groups, values), for symmetric parameters.

    Examples
    --------
    >>> from quantnotes.formats import E2M1
    >>> rows = np.concatenate([np.tile([0.5, -1.0, 3.0], 50), [6.5]])
    >>> ends_of_rows(rows[None], E2M1)[1].round(2)
    array([6.03])
    """
    reals = rows.astype(np.float64)

    def price(low: Array, high: Array) -> Array:
        back = fake_quantize(rows, symmetric_params(low, high, form, axis=0), dtype=np.float64)
        return np.asarray(np.square(back - reals).sum(axis=1))

    return _search(price, reals.min(axis=1), reals.max(axis=1))


def ends_of_masses(masses: Masses, form: Codebook) -> Ends:
    """Return the same for each group of masses; the values of a bin are taken to lie in its middle."""
    values, first = masses.low + masses.width / 2, masses.starts[:-1]
    group = np.repeat(np.arange(first.size), np.diff(masses.starts))

    def price(low: Array, high: Array) -> Array:
        scale = symmetric_params(low, high, form, axis=0).scale[group]
        squares = np.square(form.nearest(values / scale) * scale - values)
        return np.asarray(np.add.reduceat(masses.count * squares, first))

    high = (masses.low + masses.width)[masses.starts[1:] - 1]
    return _search(price, masses.low[first], high, trust=0.98)


def _search(price: Callable[[Array, Array], Array], low: Array, high: Array, trust: float = 1.0) -> Ends:
    """Return the ends of each group, cut at the clip of least error: the first of equally good ones.

    Another clip than the largest magnitude must have less than `trust` times its error.
    """
    largest = np.maximum(-low, high)
    best, error = np.ones(low.shape), trust * price(low, high)

    def attempt(factor: Array) -> None:
        clip = factor * largest
        found = price(np.clip(low, -clip, clip), np.clip(high, -clip, clip))
        less = found < error
        best[less], error[less] = factor[less], found[less]

    for shrink in _COARSE:
        attempt(np.full(low.shape, shrink))
    middle = best.copy()
    for shrink in _FINE:
        attempt(np.minimum(middle * shrink, 1.0))
    clip = best * largest
    return np.clip(low, -clip, clip), np.clip(high, -clip, clip)
