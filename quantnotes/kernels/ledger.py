"""The loop of a ledger, compiled by Numba: codes counted and errors added up in one pass.

It adds in the order of :class:`Lanes`, as the NumPy loop in :mod:`quantnotes.saturation` does: the same bits.

Not covered: data whose scales do not lie in rows, and formats; the NumPy loop takes those.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantnotes import kernels

Array = NDArray[Any]

LANES = 64  # sums that are kept apart, so that a vector unit can add them at once
_WORTH = 1 << 13  # elements for which a loop that is compiled already is called


class Lanes:
    """A sum of non-negative values in a fixed order: value i joins sum i modulo `LANES`."""

    def __init__(self) -> None:
        self._sums, self._next = np.zeros(LANES), 0

    def add(self, values: Array) -> None:
        """Add 1-D float64 values."""
        before = self._next % LANES
        rows = -(-(before + values.size) // LANES)
        padded = np.zeros((rows + 1, LANES))
        padded[0] = self._sums
        padded[1:].reshape(-1)[before : before + values.size] = values
        self._sums = np.add.reduce(padded, axis=0)  # row by row: NumPy pairs values on the last axis alone
        self._next += values.size

    def total(self) -> float:
        """Return the sum."""
        return float(self._sums.sum())


def account(
    x: Array, scale: Array, zero_point: Array, ends: tuple[int, int], unit: float, counts: Array
) -> tuple[int, int, float, float, float] | None:
    """Count the codes of `x` and return what was clipped, and the sums of the squares.

    Parameters
    ----------
    x : ndarray of float32 or float64
        Finite.
    scale, zero_point : ndarray of the type of `x`
        They broadcast against `x`.
    ends : tuple of int
        Smallest and largest code.
    unit : float
        A power of two; errors and values are divided by it.
    counts : ndarray of int64
        Where to add how many values have each code.

    Returns
    -------
    tuple of (int, int, float, float, float), or None
        Values below and above, the sums of squared errors and of squares, and the largest error. None if the
        loop is not for these data, or Numba not chosen.
    """
    compiled = "quantnotes.kernels.ledger_fused" in sys.modules and x.size >= _WORTH
    if not kernels.fused_chosen(max(x.size, kernels.LARGE) if compiled else x.size):
        return None
    rows = _rows(x, scale, zero_point)
    if rows is None:
        return None
    sums, clipped = np.zeros((3, LANES)), np.zeros(2, np.int64)
    fused = importlib.import_module("quantnotes.kernels.ledger_fused")
    limits = np.array([*ends, np.finfo(x.dtype).max], x.dtype)
    data, s, z = rows
    fused.account(data, s.copy(), z.copy(), limits, 1 / unit, counts, sums, clipped)
    return int(clipped[0]), int(clipped[1]), float(sums[0].sum()), float(sums[1].sum()), float(sums[2].max())


def _rows(x: Array, scale: Array, zero_point: Array) -> tuple[Array, Array, Array] | None:
    """Return the data as rows with one S and one Z each, if that needs no copy."""
    if x.dtype not in (np.float32, np.float64) or not x.dtype.isnative or not x.flags.aligned:
        return None
    if scale.size == 1 and zero_point.size == 1:
        if not (x.flags.c_contiguous or x.flags.f_contiguous):
            return None
        return (
            x.reshape(1, -1, order="C" if x.flags.c_contiguous else "F"),
            scale.reshape(1),
            zero_point.reshape(1),
        )
    if not x.flags.c_contiguous or scale.shape != zero_point.shape or scale.ndim != x.ndim:
        return None
    split = max((i + 1 for i, n in enumerate(scale.shape) if n > 1), default=0)
    if scale.shape[:split] != x.shape[:split]:
        return None
    return x.reshape(scale.size, -1), scale.reshape(-1), zero_point.reshape(-1)
