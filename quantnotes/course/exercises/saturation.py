"""Exercises of notebook 04: full use of the codes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from quantnotes.course.exercises._verdict import Check, differs, hint_for, unfinished
from quantnotes.grid import UINT2
from quantnotes.mapping import QuantParams
from quantnotes.saturation import code_ledger


def _decibels(answer: Any) -> str | None:
    if not differs(answer, 20 * np.log10(31 / 15), 0.001):
        return None
    mistakes = {
        "Exactly one bit would be true if half of the steps were left: it is 15 of 31.": 20 * np.log10(2),
        "Count steps, not codes: 2**5 - 1 against 2**4 - 1.": 20 * np.log10(31 / 16),
        "An amplitude ratio takes 20 log10; 10 log10 is for powers.": 10 * np.log10(31 / 15),
        "It is the loss that is asked, a positive number.": -20 * np.log10(31 / 15),
        "That is the ratio of the scales; now in decibels.": 31 / 15,
    }
    return hint_for(answer, mistakes, "20 log10 of (2**b - 1) / (2**(b-1) - 1) with b = 5.", 0.002)


def _entropy(answer: Any) -> str | None:
    entropy = code_ledger([0, 0, 0, 0, 1, 1, 2, 3], QuantParams(1.0, 0, UINT2)).code_entropy_bits
    if not differs(answer, entropy, 1e-6):
        return None
    mistakes = {
        "Two bits would be right if the four codes were equally frequent.": 2,
        "Use log2: the answer is in bits.": entropy * np.log(2),
        "Weight each code's bits by its share; do not add them up unweighted.": 9,
        "There are two codes with one eighth.": 1.375,
        "The logarithm of a share is negative: mind the sign.": -entropy,
    }
    return hint_for(answer, mistakes, "Minus the sum of share times log2(share).", 1e-6)


def _function(answer: Callable[..., Any]) -> str | None:
    q = np.array([[-4, -4, 0], [3, 0, 1]])
    found = answer(q, -4, 3)
    hint = unfinished(found)
    if hint:
        return hint
    if not differs(found, 4):
        spread = answer(np.array([5, 5, 5, 9]), 0, 15)
        if differs(spread, 14):
            return "Count the codes that occur, not those between the smallest and the largest."
        return None if not differs(answer(np.arange(256), 0, 255), 0) else "0..255 all used: 0 are unused."
    mistakes = {
        "The grid has qmax - qmin + 1 codes.": 3,
        "Count distinct codes, not values.": 2,
        "It looks only at the ends: codes between them may be unused too.": 0,
    }
    return hint_for(found, mistakes, "-4, 0, 1 and 3 of -4..3 are used: four are not.")


CHECKS: dict[str, Check] = {"04.1": _decibels, "04.2": _entropy, "04.3": _function}
