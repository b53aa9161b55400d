"""Exercises of notebook 08: a multiplier, the folded bias, one rounding."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantnotes.course.exercises._verdict import Check, differs, hint_for, unfinished
from quantnotes.grid import INT8, UINT16
from quantnotes.integer import fixed_point_multiplier, requantize


def _multiplier(answer: Any) -> str | None:
    m0, shift = (int(part) for part in fixed_point_multiplier(0.15))
    if not differs(answer, (m0, shift)):
        return None
    mistakes: dict[str, object] = {
        "Round to the nearest, do not cut off: 0.6 times 2**31 ends in .8.": (m0 - 1, shift),
        "m0 is an integer: round it.": (0.6 * 2**31, shift),
        "m0 is an integer: that fraction times 2**31, rounded.": (0.6, shift),
        "m0 first, then the shift.": (shift, m0),
        "A shift to the right is positive.": (m0, -shift),
        "m0 is below 2**30: double m until it is at least one half, and count.": (round(0.15 * 2**31), 0),
        "0.3 is still below one half: double once more.": (round(0.3 * 2**31), 1),
        "That m0 is 2**31 or more: 1.2 is one doubling too many.": (round(1.2 * 2**31), 3),
        "Two doublings make 0.6, so the shift is 2.": (m0, 1),
        "Two doublings make 0.6: the 31 is there already, in 2**-31.": (m0, 33),
    }
    return hint_for(
        answer,
        mistakes,
        "Double m until it is at least one half, and count: that is the shift. m0 is what m has become, "
        "times 2**31, rounded.",
    )


def _fold(answer: Callable[..., Any]) -> str | None:
    qb, zx = np.array([1000, -2000], np.int32), -83

    def expected(qw: NDArray[np.int8], zw: Any) -> Any:
        return qb - zx * qw.sum(axis=0, dtype=np.int64) + len(qw) * zx * zw

    qw, zw = np.array([[4, 1], [-6, 127]], np.int8), 7
    found = answer(qb.copy(), qw.copy(), zx, zw)
    hint = unfinished(found)
    if hint:
        return hint
    general = "qb, less Zx times the sum of each column of qw, and K Zx Zw: terms 3 and 4 put into the bias."
    right = expected(qw, zw)
    if differs(found, right):
        sums, last = qw.sum(axis=0, dtype=np.int64), len(qw) * zx * zw
        mistakes: dict[str, object] = {
            "Term 3 carries a minus: less Zx times the sums of qw.": right + 2 * zx * sums,
            "Term 4 carries a plus: + K Zx Zw.": right - 2 * last,
            "Terms 3 and 4 have opposite signs: - Zx times the sums, + K Zx Zw.": 2 * qb - right,
            "Term 4 is missing: + K Zx Zw.": right - last,
            "Term 3 is missing: less Zx times the sums of qw.": right + zx * sums,
            "The bias itself is missing: start from qb.": right - qb,
            "Term 4 is there once for each of the K products.": right - last + zx * zw,
            "Zx goes with the sums of qw; Zw goes with those of qx, which nobody knows yet.": right
            + (zx - zw) * sums,
            "One sum for each output: a column of qw, axis 0.": qb - zx * qw.sum(axis=1) + last,
            "One sum for each output, not one of all: axis 0.": qb - zx * qw.sum() + last,
            "int8 wraps around: sum first, in a wider type, then multiply.": qb
            - (np.int8(zx) * qw).sum(axis=0)
            + last,
        }
        return hint_for(found, mistakes, general)
    if np.asarray(found).dtype.kind not in "iu":
        return "The result must be integers."
    taller = np.array([[4, 1], [-6, 127], [100, 99]], np.int8)
    found = answer(qb.copy(), taller.copy(), zx, zw)
    if not differs(found, expected(taller, zw) - zx * zw):
        return "K is the number of inputs, the rows of qw; its columns are the outputs."
    each = np.array([7, -100])
    if differs(found, expected(taller, zw)):
        return general
    if differs(answer(qb.copy(), taller.copy(), zx, each.copy()), expected(taller, each)):
        return "zw may be an array too, one zero point for each output."
    return None


# acc * m0 is one above a tie whose even neighbour lies below. It has 61 binary digits; a float64 product has
# 53, takes it for the tie and goes down.
_NEXT_TO_A_TIE = (2_093_979_285, 1_131_775_165)


def _codes(answer: Callable[..., Any]) -> str | None:
    half = 2**30  # with shift 0 this multiplies by one half
    acc = np.array([8, -8, 3], np.int32)
    not_31 = "Shift by 31 + shift digits, to the right: the 31 is that of 2**-31."
    try:
        found = answer(acc.copy(), half, 0, 0, -128, 127)
    except ValueError as error:  # 1 << (shift - 1)
        if "negative shift" in str(error):
            return not_31
        raise
    hint = unfinished(found)
    if hint:
        return hint
    if np.asarray(found).dtype.kind not in "iu":
        return "The result must be integers."

    def wrong(values: list[int], m0: int, shift: int, z: int = 0) -> bool:
        given = np.array(values, np.int32)
        expected = requantize(given, m0, shift, z, INT8)
        return differs(answer(given, m0, shift, z, -128, 127), expected)

    if wrong([8, -8, 100], half, 0):
        if np.any(answer(np.array([8, -8, 100], np.int32), half, 0, 0, -128, 127)):
            return not_31  # in int32 all three products wrap around to 0
        return "acc is int32: widen it to int64 before you multiply, the product takes 63 bits."
    if wrong([800, -800], half, 2):
        return not_31
    if wrong([7, -9, 11], half, 1):
        return "7 / 4 is nearer to 2: >> alone rounds down; add half of what is cut off first."
    if wrong([1, 5, -3], half, 0):
        return "1/2, 5/2 and -3/2 are ties, and go to the even neighbours 0, 2 and -2, not up and not away."
    if wrong([3, -1, 7], half, 0):
        return "3/2, -1/2 and 7/2 are ties, and go to the even neighbours 2, 0 and 4, not down."
    if wrong([1, 3, 8], half, 0, 5):
        return "z is added after rounding; it is not multiplied, and it does not take part in a tie."
    if wrong([300, -300, 90], half, 0, 100) or wrong([100_000], half, 0):
        return "Clip to low..high last, before any cast to a small type."
    if np.asarray(found).dtype.itemsize < 4:
        return "Return the clipped integers without a cast to int8: low..high may be those of any grid."
    acc, m0 = np.array([_NEXT_TO_A_TIE[0]], np.int32), _NEXT_TO_A_TIE[1]
    tight = answer(acc.copy(), m0, 15, 0, UINT16.qmin, UINT16.qmax)
    if differs(tight, requantize(acc, m0, 15, 0, UINT16)):
        return "A float has too few digits for the product: use integers only, >> and no /."
    return None


CHECKS: dict[str, Check] = {"08.1": _multiplier, "08.2": _fold, "08.3": _codes}
