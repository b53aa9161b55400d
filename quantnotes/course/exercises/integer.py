"""Exercises of notebook 08: a multiplier, the folded bias, one rounding."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from quantnotes.course.exercises._helpers import Check, Function, Hint, Probe, function, numbers
from quantnotes.grid import IntGrid
from quantnotes.integer import fixed_point_multiplier, requantize

_M0, _SHIFT = (int(part) for part in fixed_point_multiplier(0.15))


def _integers(found: Any) -> None:
    if np.asarray(found).dtype.kind not in "iu":
        raise Hint("The result must be integers.")


# --- the folded bias ----------------------------------------------------------------------------------------


def _fold(qb: Any, qw: Any, zx: int, zw: Any, *, term3: int = -1, term4: int = 1) -> Any:
    return qb + term3 * zx * qw.sum(axis=0, dtype=np.int64) + term4 * len(qw) * zx * zw


def _weight(k: int, n: int) -> Any:
    return np.random.default_rng(k).integers(-128, 128, (k, n)).astype(np.int8)


_QB = np.array([1000, -2000], np.int32)
_SQUARE = np.array([[4, 1], [-6, 127]], np.int8)
_TALL = np.array([[4, 1], [-6, 127], [100, 99]], np.int8)
_GENERAL = "qb, less Zx times the sum of each column of qw, and K Zx Zw: terms 3 and 4 put into the bias."
_FOLD = function(
    _fold,
    Probe(_GENERAL, (_QB, _SQUARE, -83, 7)),
    Probe(
        "K is the number of inputs, the rows of qw; its columns are the outputs.",
        (_QB, _TALL, -83, 7),
        (np.arange(5, dtype=np.int32), _weight(3, 5), -83, 7),
    ),
    Probe(
        "Many inputs: the sums of qw need more than 16 bits, and the products more still.",
        (_QB, np.full((300, 2), 127, np.int8), -128, -5),
        (_QB, np.full((3000, 2), -128, np.int8), 127, 100),
    ),
    Probe("zw may be an array too, one zero point for each output.", (_QB, _TALL, -83, np.array([7, -100]))),
    Probe("A zero point of 0 takes its terms away.", (_QB, _TALL, 0, 7), (_QB, _TALL, 5, 0)),
    mistakes={
        "Term 3 carries a minus: less Zx times the sums of qw.": partial(_fold, term3=1),
        "Term 4 carries a plus: + K Zx Zw.": partial(_fold, term4=-1),
        "Terms 3 and 4 have opposite signs: - Zx times the sums, + K Zx Zw.": partial(
            _fold, term3=1, term4=-1
        ),
        "Term 4 is missing: + K Zx Zw.": partial(_fold, term4=0),
        "Term 3 is missing: less Zx times the sums of qw.": partial(_fold, term3=0),
        "The bias itself is missing: start from qb.": lambda qb, *given: _fold(0 * qb, *given),
        "Term 4 is there once for each of the K products.": lambda qb, qw, zx, zw: (
            _fold(qb, qw, zx, zw, term4=0) + zx * zw
        ),
        "Zx goes with the sums of qw; Zw goes with those of qx, which are not known yet.": (
            lambda qb, qw, zx, zw: qb - zw * qw.sum(axis=0) + len(qw) * zx * zw
        ),
        "One sum for each output: a column of qw, axis 0.": lambda qb, qw, zx, zw: (
            qb - zx * qw.sum(axis=1) + len(qw) * zx * zw
        ),
        "One sum for each output, not one of all: axis 0.": lambda qb, qw, zx, zw: (
            qb - zx * qw.sum() + len(qw) * zx * zw
        ),
        "int8 wraps around: sum first, in a wider type, then multiply.": lambda qb, qw, zx, zw: (
            qb - (np.int8(zx) * qw).sum(axis=0) + len(qw) * zx * zw
        ),
    },
    form=_integers,
)

# --- one rounding -------------------------------------------------------------------------------------------

# acc * m0 is one above a tie whose even neighbour lies below. It has 61 binary digits; a float64 product has
# 53, takes it for the tie and goes down.
_NEXT_TO_A_TIE = (2_093_979_285, 1_131_775_165)
_HALF = 2**30  # with shift 0 this multiplies by one half
_NOT_31 = "Shift by 31 + shift digits, to the right: the 31 is that of 2**-31."


def _requantized(acc: Any, m0: int, shift: int, z: int, low: int, high: int) -> Any:
    return requantize(acc, m0, shift, z, IntGrid(low, high)).astype(np.int64)


def _sums(values: list[int], m0: int, shift: int, z: int = 0, low: int = -128, high: int = 127) -> Any:
    return np.array(values, np.int32), m0, shift, z, low, high


def _shifted_by(places: int) -> Function:
    """The exact product of a wrong number of digits to the right, ties to even."""

    def wrong(acc: Any, m0: int, shift: int, z: int, low: int, high: int) -> Any:
        halves = np.rint(acc.astype(np.float64) * m0 * 2.0 ** -(places + shift))
        return np.clip(halves + z, low, high)

    return wrong


_CODES = function(
    _requantized,
    Probe(
        "acc is int32: widen it to int64 before you multiply, the product takes 63 bits.",
        _sums([8, -8, 100], _HALF, 0),
    ),
    Probe(_NOT_31, _sums([800, -800], _HALF, 2)),
    Probe(
        "7 / 4 is nearer to 2: >> alone rounds down; add half of what is cut off first.",
        _sums([7, -9, 11], _HALF, 1),
    ),
    Probe(
        "1/2, 5/2 and -3/2 are ties, and go to the even neighbours 0, 2 and -2, not up and not away.",
        _sums([1, 5, -3], _HALF, 0),
    ),
    Probe(
        "3/2, -1/2 and 7/2 are ties, and go to the even neighbours 2, 0 and 4, not down.",
        _sums([3, -1, 7], _HALF, 0),
    ),
    Probe(
        "z is added after rounding; it is not multiplied, and it does not take part in a tie.",
        _sums([1, 3, 8], _HALF, 0, 5),
    ),
    Probe(
        "Clip to low..high last, before any cast to a small type.",
        _sums([300, -300, 90], _HALF, 0, 100),
        _sums([100_000, -100_000], _HALF, 0),
        _sums([90, -90, 7], _HALF, 0, 2, -8, 7),
    ),
    Probe(
        "low..high may be those of any grid: no cast to int8 at the end.",
        _sums([300, 200, 70_000], _HALF, 0, 0, 0, 255),
        _sums([130_000, 300], _HALF, 0, 0, 0, 2**16 - 1),
        _sums([30_000, -30_000], _HALF, 0, 0, -(2**15), 2**15 - 1),
    ),
    Probe(
        "The shift is negative where m is above 1: shift to the right by 31 + shift, with its sign.",
        _sums([3, -4, 10], _HALF, -2),
        _sums([1, -1], 3 * 2**29, -5),
    ),
    Probe(
        "A float has too few digits for the product: use integers only, >> and no /.",
        _sums([_NEXT_TO_A_TIE[0]], _NEXT_TO_A_TIE[1], 15, 0, 0, 2**16 - 1),
    ),
    mistakes={_NOT_31: _shifted_by(0), "That is one digit too many: shift by 31 + shift.": _shifted_by(32)},
    form=_integers,
)


def _to_codes(answer: Function) -> None:
    try:
        _CODES(answer)
    except ValueError as error:  # 1 << (shift - 1)
        if "negative shift" in str(error):
            raise Hint(_NOT_31) from error
        raise


CHECKS: dict[str, Check] = {
    "08.1": numbers(
        (_M0, _SHIFT),
        {
            "Round to the nearest, do not cut off: 0.6 times 2**31 ends in .8.": (_M0 - 1, _SHIFT),
            "m0 is an integer: round it.": (0.6 * 2**31, _SHIFT),
            "m0 is an integer: that fraction times 2**31, rounded.": (0.6, _SHIFT),
            "m0 first, then the shift.": (_SHIFT, _M0),
            "A shift to the right is positive.": (_M0, -_SHIFT),
            "m0 is below 2**30: double m until it is at least one half, and count.": (round(0.15 * 2**31), 0),
            "0.3 is still below one half: double once more.": (round(0.3 * 2**31), 1),
            "That m0 is 2**31 or more: 1.2 is one doubling too many.": (round(1.2 * 2**31), 3),
            "Two doublings make 0.6, so the shift is 2.": (_M0, 1),
            "Two doublings make 0.6: the 31 is there already, in 2**-31.": (_M0, 33),
        },
        "Double m until it is at least one half, and count: that is the shift. m0 is what m has become, "
        "times 2**31, rounded.",
    ),
    "08.2": _FOLD,
    "08.3": _to_codes,
}
