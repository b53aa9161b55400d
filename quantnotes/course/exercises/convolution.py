"""Exercises of notebook 11: what folding does to a scale."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantnotes.course.exercises._helpers import Check, Hint, Probe, function, numbers

Array = NDArray[Any]


def _sums(q: Array, kernel: Array, z: int, border: int | None = None) -> Array:
    """Return the sums over windows of 3 by 3, the border padded with Z or with another code."""
    padded = np.pad(q.astype(np.int64), 1, constant_values=z if border is None else border)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3))
    sums: Array = np.sum((windows - z) * kernel.astype(np.int64), axis=(2, 3))
    return sums


def _form(found: Any) -> None:
    if np.ndim(found) != 2:
        raise Hint(f"Return one sum for each pixel, an array with two axes; this has {np.ndim(found)}.")


_RNG = np.random.default_rng(11)
_PAGE = _RNG.integers(0, 256, (4, 5), np.uint8)
_KERNEL = _RNG.integers(-127, 128, (3, 3), np.int8)
_BLANK = np.full((3, 4), 6, np.uint8)

CHECKS: dict[str, Check] = {
    "11.1": numbers(
        (-30, -18, 0),
        {
            "That is right for a border of Z: everything is 0. Here the border holds code 0.": (0, 0, 0),
            "Subtract Z from the border too: its code is 0, so each of its values counts 0 - 6.": (
                24,
                36,
                54,
            ),
            "The sign: code 0 lies below Z.": (30, 18, 0),
            "The order: the corner, an edge, the middle.": (0, -18, -30),
            "The corner touches more of the border than the edge does.": (-18, -30, 0),
            "A corner window has 5 values in the border, one at an edge 3.": (-18, -12, 0),
        },
        "Count the values of the window that lie in the border; each counts 0 - Z, all others 0.",
    ),
    "11.2": numbers(
        (127, -42, 21, 8),
        {
            "These are the codes with a scale for each channel; the exercise asks for one.": (
                127,
                -42,
                127,
                51,
            ),
            "These are the codes before folding: multiply each channel by its gain first.": (
                76,
                -25,
                127,
                51,
            ),
            "Multiply by the gain: these are the codes after a division.": (8, -3, 127, 51),
            "The grid ends at 127 on both sides: divide by 127 steps.": (128, -43, 21, 9),
            "Those are reals: divide by S, and round.": (0.6, -0.2, 0.1, 0.04),
            "Round to the nearest code.": (127, -43, 21, 8),
        },
        "Folded: (0.6, -0.2) and (0.1, 0.04); S = 0.6 / 127.",
    ),
    "11.3": function(
        _sums,
        Probe(
            "On a blank page, where every code is Z, every sum is 0: pad with Z and subtract Z.",
            (_BLANK, np.ones((3, 3), np.int8), 6),
        ),
        Probe(
            "In the middle of the page: add up (q - Z) times the kernel, which is not turned round.",
            (_PAGE, _KERNEL, 0),
        ),
        Probe("With Z = 200 some sums are wrong.", (_PAGE, _KERNEL, 200), (_PAGE.T.copy(), _KERNEL, 17)),
        form=_form,
        mistakes={
            "The border stands for 0, and its code is z: constant_values=z.": lambda q, k, z: _sums(
                q, k, z, 0
            ),
            "Subtract z from every code, the border's too.": lambda q, k, z: _sums(q, k, 0, z),
            "Pad with z and subtract z; you did neither.": lambda q, k, z: _sums(q, k, 0, 0),
            "Frameworks do not turn the kernel round: no flip.": lambda q, k, z: _sums(q, k[::-1, ::-1], z),
            "Rows and columns of the kernel are exchanged.": lambda q, k, z: _sums(q, k.T, z),
            "The sums wrap: 8 bits are not enough, make the codes int32 first.": lambda q, k, z: _sums(
                q, k, z
            ).astype(np.int8),
            "q - z wraps in uint8: make the codes int32 first.": lambda q, k, z: np.sum(
                (
                    np.lib.stride_tricks.sliding_window_view(np.pad(q, 1, constant_values=z), (3, 3))
                    - np.uint8(z)
                ).astype(np.int64)
                * k,
                axis=(2, 3),
            ),
            "The page keeps its size: pad with one pixel on every side.": lambda q, k, z: _sums(q, k, z)[
                1:-1, 1:-1
            ],
        },
    ),
}
