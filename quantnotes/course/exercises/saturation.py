"""Exercises of notebook 04: full use of the codes."""

from __future__ import annotations

from typing import Any

import numpy as np

from quantnotes.course.exercises._helpers import Check, Probe, function, numbers
from quantnotes.grid import UINT2
from quantnotes.mapping import QuantParams
from quantnotes.saturation import code_ledger

_LOSS = 20 * np.log10(31 / 15)
_ENTROPY = code_ledger([0, 0, 0, 0, 1, 1, 2, 3], QuantParams(1.0, 0, UINT2)).code_entropy_bits


def _unused(q: Any, qmin: int, qmax: int) -> int:
    return len(set(range(qmin, qmax + 1)) - set(q.ravel().tolist()))


CHECKS: dict[str, Check] = {
    "04.1": numbers(
        _LOSS,
        {
            "Exactly one bit would be true if half of the steps were left: it is 15 of 31.": 20 * np.log10(2),
            "Count steps, not codes: 2**5 - 1 against 2**4 - 1.": 20 * np.log10(31 / 16),
            "An amplitude ratio takes 20 log10; 10 log10 is for powers.": 10 * np.log10(31 / 15),
            "It is the loss that is asked, a positive number.": -_LOSS,
            "That is the ratio of the scales; now in decibels.": 31 / 15,
            "log10, not the natural logarithm.": 20 * np.log(31 / 15),
        },
        "20 log10 of (2**b - 1) / (2**(b-1) - 1) with b = 5.",
        decimals=2,
    ),
    "04.2": numbers(
        _ENTROPY,
        {
            "Two bits would be right if the four codes were equally frequent.": 2,
            "Use log2: the answer is in bits.": _ENTROPY * np.log(2),
            "log2, not log10: the answer is in bits.": _ENTROPY * np.log10(2),
            "Weight each code's bits by its share; do not add them up unweighted.": 9,
            "The bits are weighted by the shares; that is their plain mean.": 9 / 4,
            "There are two codes with one eighth.": 1.375,
            "The logarithm of a share is negative: mind the sign.": -_ENTROPY,
        },
        "Minus the sum of share times log2(share).",
    ),
    "04.3": function(
        _unused,
        Probe("-4, 0, 1 and 3 of -4..3 are used: four are not.", (np.array([[-4, -4, 0], [3, 0, 1]]), -4, 3)),
        Probe(
            "Count the codes that occur, not those between the smallest and the largest.",
            (np.array([5, 5, 5, 9]), 0, 15),
        ),
        Probe("0..255 all used: 0 are unused.", (np.arange(256), 0, 255)),
        Probe(
            "Grids may have more than 8 bits: count before any cast, -1 and 255 are two codes.",
            (np.array([-1, 255, 256, 0]), -512, 511),
            (np.array([0, 65536, 1, 65537]), 0, 2**17),
        ),
        Probe(
            "q may have any shape: of three dimensions, or none, or without an element.",
            (np.arange(24).reshape(2, 3, 4), 0, 31),
            (np.array(3), 0, 7),
            (np.zeros((0, 2), np.int64), 0, 7),
        ),
        mistakes={
            "The grid has qmax - qmin + 1 codes.": lambda q, low, high: _unused(q, low, high) - 1,
            "Count distinct codes, not values.": lambda q, low, high: high - low + 1 - q.size,
            "It looks only at the ends: codes between them may be unused too.": lambda q, low, high: (
                int(q.min()) - low + high - int(q.max())
            ),
            "Those are the codes in use; how many are not?": lambda q, low, high: len(np.unique(q)),
        },
    ),
}
