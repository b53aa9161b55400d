"""Exercises of notebook 01: the mapping."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from quantnotes.course.exercises._verdict import Check, differs, hint_for, unfinished
from quantnotes.grid import UINT8, IntGrid
from quantnotes.mapping import QuantParams, fake_quantize, quantize

_PARAMS = QuantParams(0.02, 128, UINT8)
_SMALL = QuantParams(0.5, 1, IntGrid(-4, 3))


def _code(answer: Any) -> str | None:
    if not differs(answer, int(quantize(-1.5, _PARAMS))):
        return None
    mistakes = {
        "That is r / S: Z has not been added.": -75,
        "Z is subtracted when you decode; it is added when you encode.": -75 - 128,
        "The sign of r got lost.": 75 + 128,
        "Clipping to 0 comes last: add Z before you clip.": 0,
    }
    return hint_for(answer, mistakes, "Divide r by S, round, add Z, clip to 0..255.")


def _ends(answer: Any) -> str | None:
    if not differs(answer, _PARAMS.range, 1e-6):
        return None
    mistakes = {
        "Those are codes relative to Z; multiply them by S.": (-128, 127),
        "Subtract Z from each end code before you multiply.": (0.0, 5.1),
        "The range is not symmetric: the upper end is 255 - 128 steps away, not 128.": (-2.56, 2.56),
        "Z is subtracted when you decode.": (2.56, 7.66),
        "Clipping begins there, half a step farther out; which reals do the end codes stand for?": (
            -2.57,
            2.55,
        ),
    }
    return hint_for(answer, mistakes, "Decode the end codes 0 and 255 with r = S(q - Z).", 1e-6)


def _function(answer: Callable[..., Any]) -> str | None:
    hint = unfinished(answer(np.array([0.3]), 0.5, 1, -4, 3))
    if hint:
        return hint

    def wrong(values: list[float], params: QuantParams = _SMALL) -> bool:
        r = np.array(values)
        before = r.copy()
        got = answer(r, params.scale, params.zero_point, params.grid.qmin, params.grid.qmax)
        if not np.array_equal(r, before):
            raise ValueError("the input array has been changed")
        return differs(got, fake_quantize(r, params, dtype=np.float64), 1e-12)

    if wrong([0.0]):
        return "0 must come back as exactly 0: add Z to encode, subtract it to decode."
    if wrong([0.4, -0.6]):
        return "Values between two codes go to the nearest one; a cast or a floor does not round."
    if wrong([0.25, 0.75, -0.25]):
        return "A tie goes to the even multiple of S, and Z is added after rounding: np.rint(r / S) + Z."
    ends = answer(np.array([-9.0, 5.0]), 0.5, 1, -4, 3)
    if not differs(ends, (-2.0, 1.5)):
        return "The ends come out as if Z were 0: clip after Z is added."
    if not differs(ends, (-1.5, 2.0)):
        return "The ends come out as if Z were -1: add Z to encode, subtract it to decode."
    if wrong([5.0, -9.0]):
        return "Values outside the range come back as its ends: clip the codes to qmin..qmax."
    if wrong([300.0, -1e9]):
        return "Very large values wrap around: clip before you cast, or do not cast at all."
    if wrong([-1.5, 0.033, 2.5, 99.0, -99.0], _PARAMS):
        return "With S = 0.02, Z = 128 on 0..255 it is wrong: take S, Z and the ends from the arguments."
    return None


CHECKS: dict[str, Check] = {"01.1": _code, "01.2": _ends, "01.3": _function}
