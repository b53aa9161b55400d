"""The loops of :mod:`quantnotes.kernels.search`, compiled by Numba: the same names, arguments and bits.

The innermost loop runs over candidates: they do not depend on each other, so that LLVM makes vectors of them
without changing the order of any sum. Four values at a time share what is loaded for a candidate.

Groups do not depend on each other either: all cores share them.

Not covered: one group on several cores.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantnotes.kernels.compiled import PIECE, PIECES, compiled_for, cut, inlined, on_all_cores
from quantnotes.kernels.search import ENTRIES, VALUES, _in_type

Array = NDArray[Any]


@inlined
def _code(x: Any, inverse: Any, low: Any, high: Any) -> Any:
    k = x * inverse
    k = k if k > low else low
    return np.rint(k if k < high else high)


def _parts(groups: int, errors: int) -> list[slice]:
    """Cut the groups into parts that are worth waking another thread for."""
    number = max(1, min(PIECES, groups, errors // PIECE))
    return [slice(a, b) for a, b in cut(groups, number)]


@compiled_for(*(f"void({r}, {r}, {r}, {r}, {r}, f8[:, ::1])" for r in ("f4[:, ::1]", "f8[:, ::1]")))
def _row_errors(rows: Any, scale: Any, inverse: Any, low: Any, high: Any, total: Any) -> None:
    candidates, values = np.uint64(scale.shape[1]), rows.shape[1]
    added = np.empty(scale.shape[1], rows.dtype)
    for g in range(len(rows)):
        x, s, r, a, b = rows[g], scale[g], inverse[g], low[g], high[g]
        for first in range(0, values, VALUES):
            end = min(first + VALUES, values)
            fours = first + (end - first) // 4 * 4
            added[:] = rows.dtype.type(0)
            for i in range(first, fours, 4):
                x0, x1, x2, x3 = x[i], x[i + 1], x[i + 2], x[i + 3]
                for c in range(candidates):
                    e0 = x0 - _code(x0, r[c], a[c], b[c]) * s[c]
                    e1 = x1 - _code(x1, r[c], a[c], b[c]) * s[c]
                    e2 = x2 - _code(x2, r[c], a[c], b[c]) * s[c]
                    e3 = x3 - _code(x3, r[c], a[c], b[c]) * s[c]
                    added[c] = (((added[c] + e0 * e0) + e1 * e1) + e2 * e2) + e3 * e3
            for i in range(fours, end):
                x0 = x[i]
                for c in range(candidates):
                    e0 = x0 - _code(x0, r[c], a[c], b[c]) * s[c]
                    added[c] += e0 * e0
            for c in range(candidates):
                total[g, c] += added[c]


def row_errors(rows: Array, scale: Array, low: Array, high: Array) -> NDArray[np.float64]:
    """Return the summed squared error of each row under each of its candidates."""
    total = np.zeros(scale.shape)
    s, inverse, low, high = _in_type(rows.dtype, scale, low, high)
    rows = np.ascontiguousarray(rows)

    def some(part: slice) -> None:
        _row_errors(*(each[part] for each in (rows, s, inverse, low, high, total)))

    on_all_cores(some, _parts(len(rows), rows.size * scale.shape[1]))
    return total


@compiled_for(f"void(f8[::1], {4 * 'f8[:, ::1], '} f8[::1], f8[::1], i8[::1], f8[:, ::1])")
def _mass_errors(
    places: Any,
    scale: Any,
    inverse: Any,
    low: Any,
    high: Any,
    widths: Any,
    counts: Any,
    starts: Any,
    total: Any,
) -> None:
    candidates = np.uint64(scale.shape[1])
    added = np.empty(scale.shape[1])
    for g in range(len(scale)):
        for first in range(starts[g], starts[g + 1], ENTRIES):
            added[:] = 0.0
            for i in range(first, min(first + ENTRIES, starts[g + 1])):
                start, width, count = places[i], widths[i], counts[i]
                end, half, twelfth = start + width, start + width / 2, width * width / 12
                if width == 0.0:
                    for c in range(candidates):
                        e = start - _code(start, inverse[g, c], low[g, c], high[g, c]) * scale[g, c]
                        added[c] += count * (e * e)
                    continue
                for c in range(candidates):
                    s = scale[g, c]
                    k = _code(start, inverse[g, c], low[g, c], high[g, c])
                    last = _code(end, inverse[g, c], low[g, c], high[g, c])
                    below, above, middle = start - k * s, end - last * s, half - k * s
                    steps = (last - k) * (s * s * s / 12)
                    several = (steps + (above * above * above - below * below * below) / 3) / width
                    single = (k == last) | (width < 1e-6 * s)
                    added[c] += count * (middle * middle + twelfth if single else several)
            for c in range(candidates):
                total[g, c] += added[c]


def mass_errors(
    places: Array, scale: Array, low: Array, high: Array, widths: Array, counts: Array, starts: Array
) -> NDArray[np.float64]:
    """Return the summed squared error of each group of masses under each of its candidates."""
    total = np.zeros(scale.shape)
    inverse = 1 / scale

    def some(part: slice) -> None:
        s, r, a, b = (each[part] for each in (scale, inverse, low, high))
        inside = starts[part.start : part.stop + 1]
        _mass_errors(places, s, r, a, b, widths, counts, inside, total[part])

    on_all_cores(some, _parts(len(scale), places.size * scale.shape[1]))
    return total
