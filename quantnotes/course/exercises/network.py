"""Exercises of notebook 09: a paired comparison, a network in disguise, a pretended slope."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from quantnotes.course.exercises._helpers import Check, Function, Hint, Probe, alike, ask, function, numbers
from quantnotes.grid import IntGrid
from quantnotes.mapping import QuantParams
from quantnotes.training import straight_through

_TAIL = sum(math.comb(11, k) for k in range(9, 12)) / 2**11
_W = np.array([[-9.0, -1.76, -1.74, -0.2], [0.0, 0.3, 1.74, 2.0]])
_TIES = np.array([0.25, 0.75, -0.25, -0.75, 1.25, -1.25])


def _both(w: Any, scale: float, qmax: int) -> tuple[Any, Any]:
    return straight_through(w, QuantParams(scale, 0, IntGrid(-qmax, qmax)))


def _form(found: Any) -> None:
    if not isinstance(found, tuple | list) or len(found) != 2:
        raise Hint("Return a pair: what the forward pass uses, and the slope.")


def _first(answer: Function) -> Function:
    return lambda *inputs: answer(*inputs)[0]


def _second(answer: Function) -> Function:
    return lambda *inputs: np.asarray(answer(*inputs)[1]) * 1.0  # True counts as 1


def _codes(w: Any, scale: float, qmax: int, rule: Any = np.rint) -> Any:
    return np.clip(rule(w / scale), -qmax, qmax)


_FORWARD = function(
    _first(_both),
    Probe("The first is scale * clip(rint(w / scale), -qmax, qmax).", (_W, 0.5, 3)),
    Probe(
        "Take the scale and qmax from the arguments: with 0.1 and 7, or 1.7 and 127, the first is wrong.",
        (_W, 0.1, 7),
        (100 * _W, 1.7, 127),
    ),
    Probe("A tie goes to the even code: np.rint.", (_TIES, 0.5, 3)),
    mistakes={
        "These are codes: multiply by the scale again.": _codes,
        "Clip the codes to -qmax..qmax.": lambda w, s, q: np.rint(w / s) * s,
        "These are codes, and not clipped: clip them to -qmax..qmax, then multiply by the scale.": (
            lambda w, s, q: np.rint(w / s)
        ),
        "Round to the nearest code: floor goes down.": lambda w, s, q: _codes(w, s, q, np.floor) * s,
        "Round to the nearest code: a cast to int cuts off towards 0.": lambda w, s, q: (
            _codes(w, s, q, np.trunc) * s
        ),
        "In the forward pass the weight is rounded: only the slope pretends otherwise.": lambda w, s, q: (
            np.clip(w, -q * s, q * s)
        ),
        "The grid is symmetric: its lowest code is -qmax, not -qmax - 1.": lambda w, s, q: (
            np.clip(np.rint(w / s), -q - 1, q) * s
        ),
        "Clip the codes, not the weights: qmax is a code, and it stands for scale * qmax.": lambda w, s, q: (
            np.rint(np.clip(w, -q, q) / s) * s
        ),
        "w is divided by the scale to make codes, and multiplied to come back: you did it the other way.": (
            lambda w, s, q: np.clip(np.rint(w * s), -q, q) / s
        ),
    },
)
_SLOPE = function(
    _second(_both),
    Probe("The slope is 1 where rint(w / scale) lies in -qmax..qmax, and 0 elsewhere.", (_W, 0.5, 3)),
    Probe(
        "The slope of the first example is right, but not with another scale or qmax: take them from the "
        "arguments.",
        (_W, 0.1, 7),
        (_W, 0.5, 1),
        (100 * _W, 1.7, 127),
        (np.array([1.75, -1.75, 1.25]), 0.5, 3),
    ),
    mistakes={
        "That is the true slope, and nothing would ever be learnt: pretend that rounding is the identity.": (
            lambda w, s, q: np.zeros(w.shape)
        ),
        "What is clipped does not move with the weight: its slope is 0.": lambda w, s, q: np.ones(w.shape),
        "It is the other way round: 1 inside, 0 where the weight is clipped.": lambda w, s, q: (
            1.0 - _both(w, s, q)[1]
        ),
        "1.74 is rounded to 1.5, not clipped: a weight is clipped where rint(w / scale) leaves the grid. "
        "(TensorFlow draws the line at 1.5; PyTorch and this notebook at 1.75.)": lambda w, s, q: (
            1.0 * (np.abs(w) <= q * s)
        ),
        "The lowest code is -qmax: -1.76 asks for code -4, and is clipped.": lambda w, s, q: (
            1.0 * ((np.rint(w / s) >= -q - 1) & (np.rint(w / s) <= q))
        ),
        "The slope is 1, not the scale: when w moves by a step, the rounded weight moves by the same step.": (
            lambda w, s, q: s * _both(w, s, q)[1]
        ),
        "The slope is 1 / scale for the codes; but the reals move as far as w does.": lambda w, s, q: (
            _both(w, s, q)[1] / s
        ),
        "Clipped at one end is clipped: both ends count.": lambda w, s, q: 1.0 * (np.rint(w / s) <= q),
    },
)


def _pretend(answer: Function) -> None:
    found = ask(answer, _W, 0.5, 3)
    _form(found)
    for part, name in zip(found, ("first", "second"), strict=True):
        if np.shape(part) != _W.shape:
            raise Hint(
                f"The {name} has shape {np.shape(part)}; both have that of w, a number for each weight."
            )
    slope, reals = (1.0 * np.asarray(part) for part in found)
    if alike((reals, slope), _both(_W, 0.5, 3)):
        raise Hint("That is the right pair in the wrong order: what the forward pass uses comes first.")
    _FORWARD(_first(answer))
    _SLOPE(_second(answer))


CHECKS: dict[str, Check] = {
    "09.1": numbers(
        2 * _TAIL,
        {
            "That is one side: before you looked, either network could have been the better one.": _TAIL,
            "Nine or more heads, not exactly nine.": 2 * math.comb(11, 9) / 2**11,
            "Exactly nine heads on one side: nine or more count, and both sides.": math.comb(11, 9) / 2**11,
            "That is the share that A wins; how often would a fair coin give as much?": 9 / 11,
            "The images on which both are right, or both wrong, say nothing: 11 throws, not 600.": 7 / 600,
        },
        "Eleven throws of a fair coin: P(9 or more heads), times two.",
        decimals=3,
    ),
    "09.2": numbers(
        (32, 5),
        {
            "The number of codes first, then the bits.": (5, 32),
            "0 has a code too: 0 to 31 are 32 codes.": (31, 5),
            "The activations are never negative: codes below 0 do not occur.": (64, 6),
            "The codes are 0 to 31; how many bits are 32 codes?": (32, 6),
            "An asymmetric grid puts the same 32 codes on 5 bits: it needs no bit more.": (32, 7),
        },
        "Count the codes from 0 to the largest; then the bits that tell so many codes apart.",
    ),
    "09.3": _pretend,
}
