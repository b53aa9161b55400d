"""Exercises of notebook 03: the symmetric scale, per tensor and per channel."""

from __future__ import annotations

from typing import Any

import numpy as np

from quantnotes.course.exercises._helpers import Check, Hint, Probe, function, numbers
from quantnotes.grid import INT8_NARROW
from quantnotes.mapping import quantize
from quantnotes.ranges import minmax_range
from quantnotes.symmetric import symmetric_params

# No quotient is next to a tie unless it is one exactly, so that w / S and w * 127 / max agree.
_ROWS = np.array([[1.1, -2.0, 0.5], [0.1, 0.04, -0.02], [0.4, -0.3, 0.07], [-127.0, 2.5, 3.5]])
_WITH_ZEROS = np.array([[1.1, -2.0, 0.5], [0.0, 0.0, 0.0], [-0.3, -0.1, -0.2]])
_WIDE = np.array([[3.0, -1.3, 0.2, 0.9, -2.2, 0.0], [0.01, -0.07, 0.03, 0.05, 0.02, -0.06]])
_EXTREME = np.array([[1e-30, -3e-30], [1e30, 2e29]])


def _per_channel(w: Any) -> tuple[Any, Any]:
    params = symmetric_params(*minmax_range(w, axis=0), INT8_NARROW, axis=0)
    return quantize(w, params), params.scale


def _by(largest: Any, qmax: int = 127) -> Any:
    """A per-channel quantizer with another largest value, or another qmax."""

    def wrong(w: Any) -> tuple[Any, Any]:
        scales = np.broadcast_to(largest(w) / qmax, (len(w), 1)).copy()
        scales[scales == 0] = 1.0
        return np.rint(w / scales).astype(np.int8), scales[:, 0]

    return wrong


def _rows(w: Any) -> Any:
    return np.abs(w).max(axis=1, keepdims=True)


def _form(found: Any) -> None:
    if not isinstance(found, tuple | list) or len(found) != 2:
        raise Hint("It returns two things: the codes, and the scales.")
    codes, scales = np.asarray(found[0]), np.asarray(found[1])
    if codes.ndim != 2 or scales.shape != codes.shape[:1]:
        raise Hint(
            "The codes have the shape of w, and there is one scale for each output: for w of shape (4, 3) "
            f"the scales have shape (4,). Yours have {codes.shape} and {scales.shape}."
        )
    if not np.all(np.isfinite(scales)) or np.any(scales == 0):
        raise Hint("The row of zeros divides by zero: give it the scale 1.")
    if scales.dtype != np.float64:
        raise Hint(f"Keep the scales in float64; yours are {scales.dtype}.")
    if codes.dtype != np.int8:
        raise Hint(f"The codes must be int8; yours are {codes.dtype}.")


CHECKS: dict[str, Check] = {
    "03.1": numbers(
        symmetric_params(-5.08, 3.0, INT8_NARROW).scale,
        {
            "That is the note's |rmax| / qmax: -5.08 would overflow. Which side reaches farther?": 3 / 127,
            "That is the width over the steps, the asymmetric scale. Here Z = 0.": 8.08 / 254,
            "That is the width over 255 steps, the asymmetric scale of -128..127. Here Z = 0.": 8.08 / 255,
            "qmax is 127, not 128.": 5.08 / 128,
            "A scale is positive: take the absolute value.": -5.08 / 127,
            "One step, not two: max(|rmin|, |rmax|) / qmax.": 2 * 5.08 / 127,
        },
        "max(|rmin|, |rmax|) / qmax.",
    ),
    "03.2": numbers(
        100 * 50 + 100 * 4,
        {
            "Those are the codes; the scales come on top.": 5000,
            "A float32 scale has four bytes.": 5100,
            "One scale for each output channel, not for each input.": 5200,
            "Symmetric: there are no zero points to be stored.": 5000 + 100 * 8,
            "One zero point and one scale are not needed: Z is 0, and each output has a scale.": 5008,
            "That is one scale for the whole tensor; here each output has one.": 5004,
            "Codes of int8 have one byte, not four.": 20400,
        },
        "One byte a code, and four for each of 100 scales.",
    ),
    "03.3": function(
        _per_channel,
        Probe("Each row has its own scale: its largest absolute value over 127.", (_ROWS,), (_WIDE,)),
        Probe("A row of zeros gets the scale 1, and codes of 0.", (_WITH_ZEROS,)),
        Probe("S follows the row, however small or large: no epsilon under it.", (_EXTREME,)),
        mistakes={
            "qmax is 127, not 128.": _by(_rows, 128),
            "The largest *absolute* value of each row decides; here a negative one is larger.": _by(
                lambda w: w.max(axis=1, keepdims=True)
            ),
            "That is one scale for the whole tensor, repeated: take the maximum along axis 1 only.": _by(
                lambda w: np.abs(w).max()
            ),
            "The codes are wrong: round to the nearest integer, ties to even, before the cast to int8.": (
                lambda w: ((w.T / _per_channel(w)[1]).T.astype(np.int8), _per_channel(w)[1])
            ),
        },
        form=_form,
    ),
}
