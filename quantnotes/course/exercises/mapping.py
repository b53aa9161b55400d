"""Exercises of notebook 01: the mapping."""

from __future__ import annotations

from typing import Any

import numpy as np

from quantnotes.course.exercises._helpers import Check, Hint, Probe, function, numbers
from quantnotes.grid import UINT8, IntGrid
from quantnotes.mapping import QuantParams, fake_quantize, quantize

_PARAMS = QuantParams(0.02, 128, UINT8)
_SMALL, _BYTES, _SIGNED = (0.5, 1, -4, 3), (0.02, 128, 0, 255), (0.3, -5, -128, 127)


def _fake_quantize(r: Any, scale: float, zero_point: int, qmin: int, qmax: int) -> Any:
    return fake_quantize(r, QuantParams(scale, zero_point, IntGrid(qmin, qmax)), dtype=np.float64)


def _float64(found: Any) -> None:
    kind = np.asarray(found).dtype
    if kind.kind in "iuf" and kind != np.float64:
        raise Hint(f"Return real values as float64; yours are {kind}.")


def _on(values: Any, *grids: tuple[Any, ...]) -> list[tuple[Any, ...]]:
    return [(np.array(values), *grid) for grid in grids]


CHECKS: dict[str, Check] = {
    "01.1": numbers(
        int(quantize(-1.5, _PARAMS)),
        {
            "That is r / S: Z has not been added.": -75,
            "Z is subtracted when you decode; it is added when you encode.": -75 - 128,
            "The sign of r got lost.": 75 + 128,
            "Clipping to 0 comes last: add Z before you clip.": 0,
            "The nearest integer, please: -1.5 / 0.02 is exactly -75.": 52,
        },
        "Divide r by S, round, add Z, clip to 0..255.",
    ),
    "01.2": numbers(
        tuple(_PARAMS.range),
        {
            "Those are codes relative to Z; multiply them by S.": (-128, 127),
            "Those are the end codes; which reals do they stand for?": (0, 255),
            "Subtract Z from each end code before you multiply.": (0.0, 5.1),
            "The range is not symmetric: the upper end is 255 - 128 steps away, not 128.": (-2.56, 2.56),
            "Z is subtracted when you decode.": (2.56, 7.66),
            "Clipping begins there, half a step farther out; which reals do the end codes stand for?": (
                -2.57,
                2.55,
            ),
            "The lower end comes first.": (2.54, -2.56),
        },
        "Decode the end codes 0 and 255 with r = S(q - Z).",
    ),
    "01.3": function(
        _fake_quantize,
        Probe("0 must come back as exactly 0: add Z to encode, subtract it to decode.", *_on([0.0], _SMALL)),
        Probe(
            "Values between two codes go to the nearest one; a cast or a floor does not round.",
            *_on([0.4, -0.6, 1.1, -1.1], _SMALL),
        ),
        Probe(
            "A tie goes to the even multiple of S, and Z is added after rounding: np.rint(r / S) + Z.",
            *_on([0.25, 0.75, -0.25, -0.75, 1.25, -1.25], _SMALL, (0.5, 0, -4, 3)),
        ),
        Probe(
            "Values outside the range come back as its ends: clip the codes, Z included, to qmin..qmax.",
            *_on([5.0, -9.0, 1.74, -2.76], _SMALL),
        ),
        Probe(
            "Very large values wrap around: clip before you cast, or do not cast at all.",
            *_on([300.0, -300.0, 1e6, -1e6, 1e10, -1e10, 1e30, -1e30], _SMALL),
        ),
        Probe(
            "Take S, Z and the ends of the grid from the arguments: with S = 0.02 and Z = 128 on 0..255, or "
            "S = 0.3 and Z = -5 on -128..127, it is wrong.",
            *_on([-1.5, 0.033, 2.5, 99.0, -99.0, 0.0], _BYTES, _SIGNED),
            *_on(np.linspace(-70, 70, 1001), _BYTES, _SIGNED),
        ),
        mistakes={
            "The ends come out as if Z were 0: clip after Z is added.": lambda r, s, z, low, high: (
                np.clip(np.rint(r / s), low, high) * s
            ),
            "The ends come out as if Z were -Z: add Z to encode, subtract it to decode.": (
                lambda r, s, z, low, high: (np.clip(np.rint(r / s) - z, low, high) + z) * s
            ),
            "Values outside the range must come back as its ends: clip the codes to qmin..qmax.": (
                lambda r, s, z, low, high: np.rint(r / s) * s
            ),
            "Those are the codes: decode them with S(q - Z).": lambda r, s, z, low, high: np.clip(
                np.rint(r / s) + z, low, high
            ),
        },
        form=_float64,
    ),
}
