"""Exercises of notebook 07: four terms, a multiplier, one rounding."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from quantnotes.exercises._verdict import Check, differs, hint_for, unfinished
from quantnotes.grid import INT8, UINT16
from quantnotes.integer import fixed_point_multiplier, matmul_terms, requantize
from quantnotes.mapping import QuantParams


def _terms(answer: Any) -> str | None:
    x_params, w_params = QuantParams(1.0, 1, INT8), QuantParams(1.0, -2, INT8)
    terms = [int(term) for term in matmul_terms([5, -3, 2], [4, 1, -6], x_params, w_params)]
    if not differs(answer, terms):
        return None
    products, by_zw, by_zx, constant = terms
    mistakes: dict[str, object] = {
        "That is the sum of the four; give each by itself.": sum(terms),
        "Term 2 carries a minus, and Zw is negative: -(-2) times the sum of qx.": (
            products,
            -by_zw,
            by_zx,
            constant,
        ),
        "Term 3 carries a minus: -Zx times the sum of qw.": (products, by_zw, -by_zx, constant),
        "Terms 2 and 3 both carry a minus.": (products, -by_zw, -by_zx, constant),
        "Zw goes with the sum of qx, Zx with the sum of qw: each zero point meets the other's codes.": (
            products,
            2 * -1,
            -1 * 4,
            constant,
        ),
        "The last term is there once for each of the three products.": (
            products,
            by_zw,
            by_zx,
            constant // 3,
        ),
        "The product of the zero points is negative.": (products, by_zw, by_zx, -constant),
        "The order is: products, Zw term, Zx term, K Zx Zw.": (products, by_zx, by_zw, constant),
    }
    return hint_for(
        answer,
        mistakes,
        "sum qx qw, -Zw sum qx, -Zx sum qw, K Zx Zw; together: sum (qx - Zx)(qw - Zw).",
    )


def _multiplier(answer: Any) -> str | None:
    m0, shift = (int(part) for part in fixed_point_multiplier(0.15))
    if not differs(answer, (m0, shift)):
        return None
    mistakes: dict[str, object] = {
        "Round to the nearest, do not cut off: 0.6 times 2**31 ends in .8.": (m0 - 1, shift),
        "A shift to the right is positive.": (m0, -shift),
        "m0 is below 2**30: double m until it is at least one half, and count.": (round(0.15 * 2**31), 0),
        "0.3 is still below one half: double once more.": (round(0.3 * 2**31), 1),
        "That m0 is 2**31 or more: 1.2 is one doubling too many.": (round(1.2 * 2**31), 3),
        "Two doublings make 0.6, so the shift is 2.": (m0, 1),
        "Two doublings make 0.6: the 31 is there already, in 2**-31.": (m0, 33),
    }
    return hint_for(answer, mistakes, "0.15 = 0.6 / 2**2: m0 is 0.6 times 2**31, rounded; the shift is 2.")


# acc * m0 is one above a tie whose even neighbour lies below. It has 61 binary digits; a float64 product has
# 53, takes it for the tie and goes down.
_NEXT_TO_A_TIE = (2_093_979_285, 1_131_775_165)


def _function(answer: Callable[..., Any]) -> str | None:
    half = 2**30  # with shift 0 this multiplies by one half
    acc = np.array([8, -8, 3], np.int32)
    found = answer(acc.copy(), half, 0, 0, -128, 127)
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
        return "acc is int32: widen it to int64 before you multiply, the product takes 62 bits."
    if wrong([800, -800], half, 2):
        return "Shift by 31 + shift digits, to the right."
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
    acc, m0 = np.array([_NEXT_TO_A_TIE[0]], np.int32), _NEXT_TO_A_TIE[1]
    tight = answer(acc.copy(), m0, 15, 0, UINT16.qmin, UINT16.qmax)
    if differs(tight, requantize(acc, m0, 15, 0, UINT16)):
        return "A float has too few digits for the product: use integers only, >> and no /."
    return None


CHECKS: dict[str, Check] = {"07.1": _terms, "07.2": _multiplier, "07.3": _function}
