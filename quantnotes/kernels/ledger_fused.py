"""The compiled loop of :mod:`quantnotes.kernels.ledger`.

Not covered: threads; comparing many tensors is the work of one core.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numba import float64 as f8
from numba import int64 as i8

from quantnotes.kernels.compiled import compiled_for
from quantnotes.kernels.ledger import LANES

_TYPES = [
    numba.void(numba.types.Array(r, 2, "C", readonly=True), *[r[::1]] * 3, f8, i8[::1], f8[:, ::1], i8[::1])
    for r in (numba.float32, f8)
]


@compiled_for(*_TYPES)
def account(
    x: Any, scale: Any, zero_point: Any, limits: Any, inverse: Any, counts: Any, sums: Any, clipped: Any
) -> None:
    """Add to the counts, the sums of squares, the largest errors, and what was clipped."""
    low, high, largest = limits[0], limits[1], limits[2]
    noise, signal, worst = sums[0], sums[1], sums[2]
    codes = np.empty(LANES, np.int32)
    below = above = np.int64(0)
    lane = np.uint64(0)  # the next sum
    columns = np.uint64(x.shape[1])
    for r in range(x.shape[0]):
        row, s, z = x[r], scale[r], zero_point[r]
        first = np.uint64(0)
        while first < columns:
            n = min(np.uint64(LANES) - lane, columns - first)
            for i in range(n):
                value = row[first + i]
                code = np.rint(value / s) + z
                below += np.int64(code < low)
                above += np.int64(code > high)
                code = code if code > low else low
                code = code if code < high else high
                codes[i] = np.int32(code - low)
                decoded = (code - z) * s
                decoded = decoded if decoded > -largest else -largest
                decoded = decoded if decoded < largest else largest
                real = np.float64(value) * inverse
                error = abs(np.float64(decoded) * inverse - real)
                noise[lane + i] += error * error
                signal[lane + i] += real * real
                worst[lane + i] = error if error > worst[lane + i] else worst[lane + i]
            for i in range(n):
                counts[np.uint64(codes[i])] += 1
            lane = (lane + n) % np.uint64(LANES)
            first += n
    clipped[0] = below
    clipped[1] = above
