"""Exercises of notebook 02: scale and zero point from a range."""

from __future__ import annotations

from typing import Any

import numpy as np

from quantnotes.asymmetric import asymmetric_params
from quantnotes.course.exercises._helpers import Check, Probe, alike, function, numbers, reals
from quantnotes.grid import UINT2, UINT4, IntGrid

_PAIR = asymmetric_params(-3.0, 12.0, UINT4)
_STEPS = 1.5 / asymmetric_params(-1.0, 1.5, UINT2).scale
_SLIDE = abs(_STEPS - round(_STEPS))
_INT8, _UINT8, _TWO_BITS = (-128, 127), (0, 255), (0, 3)


def _from_below(rmin: float, rmax: float, qmin: int, qmax: int) -> tuple[Any, Any]:
    params = asymmetric_params(rmin, rmax, IntGrid(qmin, qmax), anchor="min")
    return params.scale, params.zero_point


def _same(found: Any, right: Any, rmin: float, rmax: float, qmin: int, qmax: int) -> bool:
    """Only zeros: every code of the grid will do for Z."""
    if rmin == rmax == 0 and np.shape(found) == (2,):
        pair = reals(found)
        return pair is not None and pair[0] == 1 and qmin <= pair[1] <= qmax and pair[1] % 1 == 0
    return alike(found, right)


CHECKS: dict[str, Check] = {
    "02.1": numbers(
        (_PAIR.scale, _PAIR.zero_point),
        {
            "0..15 has 16 codes but 15 steps: divide the width by qmax - qmin.": (15 / 16, 2),
            "The width is rmax - rmin; mind the sign of rmin.": (9 / 15, -5),
            "Z is qmax minus the steps from 0 up to rmax, not the steps themselves.": (1, 12),
            "Z counts steps up from qmin, so it is not negative here.": (1, -3),
            "S first, then Z.": (3, 1),
            "0 lies inside the range, so it must get a code of its own: Z is not 0.": (1, 0),
        },
        "S = (rmax - rmin) / (qmax - qmin); then Z = qmax - Round(rmax / S).",
    ),
    "02.2": numbers(
        _SLIDE,
        {
            "That is the shift in real units; divide it by S.": _SLIDE / _STEPS * 1.5,
            "That is rmax / S itself; how far is it from the integer it was rounded to?": _STEPS,
            "Round goes to the nearest integer: 1.8 becomes 2.": 1 - _SLIDE,
            "By how much, not in which direction: set a positive number.": -_SLIDE,
            "S / 2 is the most that it can be; here it is less.": 0.5,
        },
        "Compare rmax / S with the integer it was rounded to.",
        decimals=2,
    ),
    "02.3": function(
        _from_below,
        Probe("[-1, 2] on -2..1 must give S = 1 and Z = -1.", (-1.0, 2.0, -2, 1)),
        Probe(
            "A range of one sign must be widened to hold 0 before S is computed.",
            (10.0, 11.0, *_INT8),
            (-6.0, -5.0, *_INT8),
            (1.0, 2.0, *_UINT8),
        ),
        Probe(
            "A range of zeros alone needs a scale too: S = 1, and for Z a code of the grid.",
            (0.0, 0.0, *_INT8),
            (0.0, 0.0, *_UINT8),
            (0.0, 0.0, -8, 7),
        ),
        Probe(
            "A constant is a range of one sign: widen it too; only 0..0 needs S = 1.",
            (5.0, 5.0, *_INT8),
            (-5.0, -5.0, *_INT8),
            (0.3, 0.3, *_UINT8),
        ),
        Probe(
            "Z is rounded to the nearest integer; int() and // cut off instead.",
            (-0.37, 2.11, *_INT8),
            (-0.376, 2.11, *_INT8),
            (-1.0, 1.5, *_TWO_BITS),
        ),
        Probe(
            "S follows the range, however small or large: no epsilon under it, and no limit.",
            (-1e-7, 2e-7, *_INT8),
            (0.0, 1e-30, *_INT8),
            (-1e-20, -1e-21, *_UINT8),
            (-1e30, 3e30, *_INT8),
        ),
        Probe(
            "Z comes from the lower end here: qmin - Round(rmin / S). The upper end rounds another way.",
            (-1.0, 1.0, *_INT8),
        ),
        Probe(
            "rmin / S is -0.5, -1.5 or -2.5 here: a tie, and ties go to the even neighbour.",
            (-0.5, 2.5, *_TWO_BITS),
            (-1.5, 1.5, *_TWO_BITS),
            (-2.5, 0.5, *_TWO_BITS),
        ),
        Probe("Take the ends of the grid from the arguments.", (-3.0, 1.0, -8, 7), (-3.0, 1.0, 0, 1023)),
        same=_same,
    ),
}
