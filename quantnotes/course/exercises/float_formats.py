"""Exercises of notebook 14: the bits of a float8, the crest rule, one block of MXFP4."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from quantnotes.codebook import FloatFormat
from quantnotes.course.exercises._helpers import Check, Hint, Probe, alike, function, numbers
from quantnotes.formats import E2M1
from quantnotes.mapping import QuantParams, fake_quantize

_CREST = 30 / 1.5
_INTEGER = 10 * math.log10(12 * 127**2) - 20 * math.log10(_CREST)
_FLOAT = 10 * math.log10(16 * math.log(4) * 4**2)
_RNG = np.random.default_rng(14)
_GENTLE = np.array([0.3, -1.2, 2.6, 5.1, 0.0, -0.7])  # S = 1, nothing is clipped, no ties
_TIES = np.array([2.5, -3.5, 5.0, 0.25, -0.75, 4.0, 1.25])
_CLIPS = np.array([7.9, -0.3, 1.1, 3.2, 6.4])
_BLOCKS = [_RNG.normal(0, 10.0**k, 32) for k in (-3, 0, 2)]


def _decoded(x: Any, scale: float) -> Any:
    return fake_quantize(np.asarray(x, np.float64), QuantParams(scale, 0, E2M1), dtype=np.float64)


def _octave(x: Any) -> float:
    """Return the largest power of two that the block reaches."""
    return float(2.0 ** (math.frexp(float(np.abs(x).max()))[1] - 1))


def _mxfp4(x: Any) -> Any:
    return _decoded(x, _octave(x) / 4) if np.any(x) else np.zeros(np.shape(x))


def _fitted(x: Any) -> Any:
    return _decoded(x, float(np.abs(x).max()) / 6)


def _up(x: Any) -> Any:
    largest, scale = float(np.abs(x).max()), _octave(x) / 4
    return _decoded(x, 2 * scale if largest > 6 * scale else scale)


def _unclipped(x: Any) -> Any:
    wider = FloatFormat("E3M1", 3, 1, 1, "finite")
    return fake_quantize(x, QuantParams(_octave(x) / 4, 0, wider), dtype=np.float64)


def _away(x: Any) -> Any:
    """Ties to the larger magnitude."""
    scale = _octave(x) / 4
    return _decoded(np.asarray(x) * (1 + 1e-9), scale)


def _same(found: Any, right: Any, x: Any) -> bool:
    return np.shape(found) == np.shape(right) and alike(np.asarray(found) + 0.0, right)


def _form(found: Any) -> None:
    if np.ndim(found) != 1:
        raise Hint(f"Return one value for each of x, an array with one axis; this has {np.ndim(found)}.")


CHECKS: dict[str, Check] = {
    "14.1": numbers(
        -3.5,
        {
            "The first bit is the sign: 1 is negative.": 3.5,
            "That is without the scale: S multiplies what the bits say.": -7.0,
            "A 1 that is not stored stands before the mantissa: 1 + 6/8.": -1.5,
            "That is with bias 8, which is E4M3FNUZ; E4M3 has 7.": -1.75,
            "The bias is 7: it is taken off the stored exponent, 9.": -448.0,
            "Those bits were cut as E5M2, 1 11001 10. E4M3 has four of exponent, three of mantissa.": -768.0,
            "The scale multiplies; it does not divide.": -14.0,
            "110 is 6 eighths: the first bit of a mantissa is the half.": -(1 + 3 / 8) * 4 * 0.5,
        },
        "Sign 1, stored exponent 1001 = 9, mantissa 110 = 6 eighths: - 2^(9 - 7) (1 + 6/8) S.",
    ),
    "14.2": numbers(
        (_INTEGER, _FLOAT),
        {
            "int8 comes first, then E5M2.": (_FLOAT, _INTEGER),
            "E5M2 has two bits of mantissa; three are E4M3's.": (_INTEGER, _FLOAT + 20 * math.log10(2)),
            "The crest is a ratio of amplitudes: 20 log10, not 10.": (
                _INTEGER + 10 * math.log10(_CREST),
                _FLOAT,
            ),
            "The crest is the largest magnitude over the root mean square, 20.": (
                10 * math.log10(12 * 127**2) - 20 * math.log10(30),
                _FLOAT,
            ),
            "A larger crest leaves fewer decibels: subtract.": (
                10 * math.log10(12 * 127**2) + 20 * math.log10(_CREST),
                _FLOAT,
            ),
            "The largest code of int8 is 127: two times that is the number of steps, not the largest.": (
                _INTEGER + 20 * math.log10(2),
                _FLOAT,
            ),
            "A float's decibels do not fall with the crest.": (_INTEGER, _FLOAT - 20 * math.log10(_CREST)),
        },
        "52.87 - 20 log10(crest), with crest 30 / 1.5; and 13.46 + 6.02 m, with m = 2.",
        decimals=1,
    ),
    "14.3": function(
        _mxfp4,
        Probe(
            "S is a power of two, the largest one in the block over 4; each value goes to the nearest of "
            "0, 0.5, 1, 1.5, 2, 3, 4, 6 times S, with its sign.",
            (_GENTLE,),
        ),
        Probe("What lies beyond 6 S is clipped to 6 S.", (_CLIPS,), (-_CLIPS * 16,)),
        Probe("Ties go to the even mantissa: 2.5 to 2, 3.5 to 4, 5 to 4, 0.25 to 0, 0.75 to 1.", (_TIES,)),
        Probe("A block of zeros stays zeros.", (np.zeros(32),)),
        Probe(
            "With other sizes it is wrong: S must follow the block, and be a power of two.",
            *((block,) for block in _BLOCKS),
            (np.array([-8.0, 0.1]),),
        ),
        mistakes={
            "S must be a power of two; this is the largest magnitude over 6.": _fitted,
            "The floor rule rounds S down, even if the largest value is clipped; you round it up.": _up,
            "Divide the power of two by 4, the largest one that E2M1 has.": lambda x: _decoded(x, _octave(x)),
            "Divide by 4, the largest power of two in the format, not by 6.": lambda x: _decoded(
                x, _octave(x) / 6
            ),
            "Divide by 4, the largest power of two in the format, not by 8.": lambda x: _decoded(
                x, _octave(x) / 8
            ),
            "Beyond 6 there is no code: clip.": _unclipped,
            "These are in units of S: multiply by S.": lambda x: _mxfp4(x) / (_octave(x) / 4),
            "These are the values themselves: round them.": lambda x: x,
            "The signs are missing.": lambda x: np.abs(_mxfp4(x)),
            "Take the largest magnitude, not the largest value.": lambda x: _decoded(
                x, 2.0 ** math.floor(math.log2(x.max())) / 4
            ),
            "Ties go to the even mantissa, not away from 0: 2.5 to 2.": _away,
        },
        form=_form,
        same=_same,
    ),
}
