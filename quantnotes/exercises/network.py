"""Exercises of notebook 08: a paired comparison, two measures of one error, a pretended slope."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from quantnotes.exercises._verdict import Check, differs, hint_for
from quantnotes.grid import IntGrid
from quantnotes.mapping import QuantParams
from quantnotes.training import straight_through


def _coin(answer: Any) -> str | None:
    tail = sum(math.comb(11, k) for k in range(9, 12)) / 2**11
    if not differs(answer, 2 * tail, 0.002):
        return None
    mistakes = {
        "That is one side: before you looked, either network could have been the better one.": tail,
        "Nine or more heads, not exactly nine.": 2 * math.comb(11, 9) / 2**11,
        "Exactly nine heads on one side: nine or more count, and both sides.": math.comb(11, 9) / 2**11,
        "That is the share that A wins; how often would a fair coin give as much?": 9 / 11,
        "The images on which both are right, or both wrong, say nothing: 11 throws, not 600.": 7 / 600,
    }
    return hint_for(answer, mistakes, "Eleven throws of a fair coin: P(9 or more heads), times two.", 0.002)


def _two_measures(answer: Any) -> str | None:
    signal, error = np.array([1000.0, 1, 1, 1]), np.array([100.0, 0.001, 0.001, 0.001])
    tokens = 10 * np.log10(signal / error)
    tensor = 10 * np.log10(signal.sum() / error.sum())
    if not differs(answer, (tensor, np.median(tokens)), 0.005):
        return None
    mistakes = {
        "The tensor comes first, then the median token.": (np.median(tokens), tensor),
        "The second is the mean of the four; the median is what a typical token has.": (
            tensor,
            tokens.mean(),
        ),
        "For the tensor, add up the powers first and take the logarithm last.": (
            tokens.mean(),
            np.median(tokens),
        ),
        "These are powers already: 10 log10, not 20.": (2 * tensor, 2 * np.median(tokens)),
        "Those are ratios; now in decibels.": (signal.sum() / error.sum(), 1000.0),
    }
    otherwise = "10 log10(sum of signals / sum of errors); and the median of the tokens' own 10 log10."
    return hint_for(answer, mistakes, otherwise, 0.005)


def _function(answer: Callable[..., Any]) -> str | None:
    params = QuantParams(0.5, 0, IntGrid(-3, 3))
    w = np.array([[-9.0, -1.76, -1.74, -0.2], [0.0, 0.3, 1.74, 2.0]])
    result = answer(w.copy(), 0.5, 3)
    if result is ... or (isinstance(result, tuple) and any(part is ... for part in result)):
        return "It returns ... still."
    reals, slope = result
    wanted, inside = straight_through(w, params)
    if differs(reals, wanted):
        mistakes = {
            "These are codes: multiply by the scale again.": wanted / 0.5,
            "Clip the codes to -qmax..qmax.": np.rint(w / 0.5) * 0.5,
            "Round to the nearest code.": np.clip(np.floor(w / 0.5), -3, 3) * 0.5,
            "In the forward pass the weight is rounded: only the slope pretends otherwise.": np.clip(
                w, -1.5, 1.5
            ),
        }
        return hint_for(reals, mistakes, "The first is scale * clip(rint(w / scale), -qmax, qmax).")
    if not differs(slope, inside):
        return None
    mistakes = {
        "That is the true slope, and nothing would ever be learnt: pretend that rounding is the identity.": (
            np.zeros(w.shape)
        ),
        "What is clipped does not move with the weight: its slope is 0.": np.ones(w.shape),
        "It is the other way round: 1 inside, 0 where the weight is clipped.": ~inside,
        "1.74 is rounded to 1.5, not clipped: a weight is clipped where rint(w / scale) leaves the grid.": (
            np.abs(w) <= 1.5
        ),
    }
    return hint_for(
        slope, mistakes, "The slope is 1 where rint(w / scale) lies in -qmax..qmax, and 0 elsewhere."
    )


CHECKS: dict[str, Check] = {"08.1": _coin, "08.2": _two_measures, "08.3": _function}
