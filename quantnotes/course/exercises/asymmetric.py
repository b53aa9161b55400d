"""Exercises of notebook 02: scale and zero point from a range."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from quantnotes.asymmetric import asymmetric_params
from quantnotes.course.exercises._verdict import Check, differs, hint_for, unfinished
from quantnotes.grid import INT8, UINT2, UINT4, IntGrid


def _pair(answer: Any) -> str | None:
    params = asymmetric_params(-3.0, 12.0, UINT4)
    if not differs(answer, (params.scale, params.zero_point), 1e-6):
        return None
    mistakes = {
        "0..15 has 16 codes but 15 steps: divide the width by qmax - qmin.": (
            15 / 16,
            15 - round(12 * 16 / 15),
        ),
        "The width is rmax - rmin; mind the sign of rmin.": (9 / 15, 15 - round(12 * 15 / 9)),
        "Z is qmax minus the steps from 0 up to rmax, not the steps themselves.": (1, 12),
        "Z counts steps up from qmin, so it is not negative here.": (1, -3),
    }
    otherwise = "S = (rmax - rmin) / (qmax - qmin); then Z = qmax - Round(rmax / S)."
    return hint_for(answer, mistakes, otherwise, 1e-6)


def _slide(answer: Any) -> str | None:
    params = asymmetric_params(-1.0, 1.5, UINT2)
    steps = 1.5 / params.scale
    slide = abs(steps - round(steps))
    if not differs(answer, slide, 0.005):
        return None
    mistakes = {
        "That is the shift in real units; divide it by S.": slide * params.scale,
        "That is rmax / S itself; how far is it from the integer it was rounded to?": steps,
        "Round goes to the nearest integer: 1.8 becomes 2.": 1 - slide,
        "By how much, not in which direction: set a positive number.": -slide,
        "S / 2 is the most that it can be; here it is less.": 0.5,
    }
    return hint_for(answer, mistakes, "Compare rmax / S with the integer it was rounded to.", 0.005)


def _function(answer: Callable[..., Any]) -> str | None:
    hint = unfinished(answer(-1.0, 2.0, -2, 1))
    if hint:
        return hint

    def wrong(rmin: float, rmax: float, grid: IntGrid = INT8) -> bool:
        params = asymmetric_params(rmin, rmax, grid, anchor="min")
        return differs(answer(rmin, rmax, grid.qmin, grid.qmax), (params.scale, params.zero_point), 1e-9)

    if wrong(-1.0, 2.0, IntGrid(-2, 1)):
        return "[-1, 2] on -2..1 must give S = 1 and Z = -1."
    if wrong(10.0, 11.0) or wrong(-6.0, -5.0):
        return "A range of one sign must be widened to hold 0 before S is computed."
    if answer(0.0, 0.0, INT8.qmin, INT8.qmax)[0] != 1:
        return "A range of zeros alone needs a scale too: use S = 1."
    if wrong(5.0, 5.0) or wrong(-5.0, -5.0):
        return "A constant is a range of one sign: widen it too; only 0..0 needs S = 1."
    if wrong(-0.37, 2.11) or wrong(-0.376, 2.11):
        return "Z is rounded to the nearest integer; int() and // cut off instead."
    if wrong(-1.0, 1.0):
        return (
            "Z comes from the lower end here: qmin - Round(rmin / S). The upper end gives another Z at a tie."
        )
    return None


CHECKS: dict[str, Check] = {"02.1": _pair, "02.2": _slide, "02.3": _function}
