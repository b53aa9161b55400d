"""Exercises of notebook 09: a paired comparison, two measures of one error, a pretended slope."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from quantnotes.course.exercises._verdict import Check, differs, hint_for, unfinished
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
    parts = result if isinstance(result, tuple) else (result,)
    hint = next(filter(None, map(unfinished, parts)), None)
    if hint:
        return hint
    if len(parts) != 2:
        return "Return a pair: what the forward pass uses, and the slope."
    reals, slope = (np.asarray(part, np.float64) for part in parts)
    for part, name in ((reals, "first"), (slope, "second")):
        if part.shape != w.shape:
            return f"The {name} has shape {part.shape}; both have that of w, one number for each weight."
    wanted, inside = straight_through(w, params)
    if not (differs(reals, inside) or differs(slope, wanted)):
        return "That is the right pair in the wrong order: what the forward pass uses comes first."
    return _forward_hint(reals, wanted, w) if differs(reals, wanted) else _slope_hint(slope, inside, w)


def _forward_hint(reals: Any, wanted: Any, w: Any) -> str:
    codes = w / 0.5
    mistakes = {
        "These are codes: multiply by the scale again.": wanted / 0.5,
        "Clip the codes to -qmax..qmax.": np.rint(codes) * 0.5,
        "These are codes, and not clipped: clip them to -qmax..qmax, then multiply by the scale.": np.rint(
            codes
        ),
        "Round to the nearest code: floor goes down.": np.clip(np.floor(codes), -3, 3) * 0.5,
        "Round to the nearest code: a cast to int cuts off towards 0.": np.clip(np.trunc(codes), -3, 3) * 0.5,
        "In the forward pass the weight is rounded: only the slope pretends otherwise.": np.clip(
            w, -1.5, 1.5
        ),
        "The grid is symmetric: its lowest code is -qmax, not -qmax - 1.": np.clip(np.rint(codes), -4, 3)
        * 0.5,
        "Clip the codes, not the weights: qmax is a code, and it stands for scale * qmax.": (
            np.rint(np.clip(w, -3, 3) / 0.5) * 0.5
        ),
        "w is divided by the scale to make codes, and multiplied to come back: you did it the other way.": (
            np.clip(np.rint(w * 0.5), -3, 3) / 0.5
        ),
    }
    return hint_for(reals, mistakes, "The first is scale * clip(rint(w / scale), -qmax, qmax).")


def _slope_hint(slope: Any, inside: Any, w: Any) -> str | None:
    if not differs(slope, inside):
        return None
    mistakes = {
        "That is the true slope, and nothing would ever be learnt: pretend that rounding is the identity.": (
            np.zeros(w.shape)
        ),
        "What is clipped does not move with the weight: its slope is 0.": np.ones(w.shape),
        "It is the other way round: 1 inside, 0 where the weight is clipped.": ~inside,
        "1.74 is rounded to 1.5, not clipped: a weight is clipped where rint(w / scale) leaves the grid. "
        "(TensorFlow draws the line at 1.5; PyTorch and this notebook at 1.75.)": np.abs(w) <= 1.5,
        "The lowest code is -qmax: -1.76 asks for code -4, and is clipped.": (w > -2.25) & (w < 1.75),
        "The slope is 1, not the scale: when w moves by a step, the rounded weight moves by the same step.": (
            0.5 * inside
        ),
        "The slope is 1 / scale for the codes; but the reals move as far as w does.": inside / 0.5,
    }
    return hint_for(
        slope, mistakes, "The slope is 1 where rint(w / scale) lies in -qmax..qmax, and 0 elsewhere."
    )


CHECKS: dict[str, Check] = {"09.1": _coin, "09.2": _two_measures, "09.3": _function}
