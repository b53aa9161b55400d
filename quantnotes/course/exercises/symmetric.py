"""Exercises of notebook 03: the symmetric scale, per tensor and per channel."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from quantnotes.course.exercises._verdict import Check, differs, hint_for, unfinished
from quantnotes.grid import INT8_NARROW
from quantnotes.mapping import quantize
from quantnotes.ranges import minmax_range
from quantnotes.symmetric import symmetric_params


def _scale(answer: Any) -> str | None:
    if not differs(answer, symmetric_params(-5.08, 3.0, INT8_NARROW).scale, 1e-6):
        return None
    mistakes = {
        "That is the note's |rmax| / qmax: -5.08 would overflow. Which side reaches farther?": 3 / 127,
        "That is the width over the steps, the asymmetric scale. Here Z = 0.": 8.08 / 254,
        "That is the width over 255 steps, the asymmetric scale of -128..127. Here Z = 0.": 8.08 / 255,
        "qmax is 127, not 128.": 5.08 / 128,
        "A scale is positive: take the absolute value.": -5.08 / 127,
    }
    return hint_for(answer, mistakes, "max(|rmin|, |rmax|) / qmax.", 1e-6)


def _bytes(answer: Any) -> str | None:
    if not differs(answer, 100 * 50 + 100 * 4):
        return None
    mistakes = {
        "Those are the codes; the scales come on top.": 5000,
        "A float32 scale has four bytes.": 5100,
        "One scale for each output channel, not for each input.": 5200,
        "Symmetric: there are no zero points to be stored.": 5000 + 100 * 8,
        "Codes of int8 have one byte, not four.": 20400,
    }
    return hint_for(answer, mistakes, "One byte a code, and four for each of 100 scales.")


def _function(answer: Callable[..., Any]) -> str | None:
    w = np.array([[1.0, -2.0, 0.5], [0.1, 0.05, -0.02], [0.0, 0.0, 0.0], [-127.0, 2.5, 3.5]])
    result = answer(w.copy())
    hint = unfinished(result)
    if hint:
        return hint
    codes, scales = result
    params = symmetric_params(*minmax_range(w, axis=0), INT8_NARROW, axis=0)
    if np.shape(scales) != (4,):
        return f"There are 4 outputs, so the scales have shape (4,); yours have {np.shape(scales)}."
    if not np.all(np.isfinite(scales)) or np.asarray(scales)[2] == 0:
        return "The row of zeros divides by zero: give it the scale 1."
    if not differs(scales, np.abs(w).max(axis=1) / 128 + (np.arange(4) == 2), 1e-9):
        return "qmax is 127, not 128."
    if not differs(scales, w.max(axis=1) / 127 + (np.arange(4) == 2), 1e-9):
        return "The largest *absolute* value of each row decides; here a negative one is larger."
    if differs(scales, params.scale, 1e-9):
        return "Each row has its own scale: its largest absolute value over 127, and 1 for a row of zeros."
    if np.asarray(scales).dtype != np.float64:
        return f"Keep the scales in float64, yours are {np.asarray(scales).dtype}: 0.05 / S is a tie here."
    if np.asarray(codes).dtype != np.int8:
        return f"The codes must be int8, yours are {np.asarray(codes).dtype}."
    if differs(codes, quantize(w, params)):
        return "Round to the nearest integer, ties to even, before the cast to int8."
    return None


CHECKS: dict[str, Check] = {"03.1": _scale, "03.2": _bytes, "03.3": _function}
