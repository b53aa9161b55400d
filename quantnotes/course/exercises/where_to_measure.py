"""Exercises of notebook 10: what a LayerNorm hides, two measures of an error, a range for position 0."""

from __future__ import annotations

from typing import Any

import numpy as np

from quantnotes.asymmetric import asymmetric_params
from quantnotes.course.exercises._helpers import Check, Hint, Probe, function, numbers, reals
from quantnotes.grid import INT8
from quantnotes.mapping import fake_quantize
from quantnotes.ranges import minmax_range

_SIGNAL, _NOISE = np.array([1000.0, 1, 1, 1]), np.array([10.0, 0.01, 0.01, 0.0001])
_TOKENS = 10 * np.log10(_SIGNAL / _NOISE)
_TENSOR = 10 * np.log10(_SIGNAL.sum() / _NOISE.sum())
_RNG = np.random.default_rng(10)
_TEXT = _RNG.normal(0, 1, (6, 40))
_TEXT[0, 7] = 30.0
_OTHER = -3 * _RNG.normal(0, 1, (4, 25))
_OTHER[0, 3], _OTHER[2, 5] = -80.0, 40.0


def _quantized(x: Any, low: float, high: float) -> Any:
    return fake_quantize(x, asymmetric_params(low, high, INT8), dtype=np.float64)


def _apart(x: Any, low: float, high: float) -> Any:
    whole = _quantized(x, *minmax_range(x))
    return np.concatenate([whole[:1], _quantized(x[1:], low, high)])


def _other_way(x: Any, low: float, high: float) -> Any:
    whole = _quantized(x, *minmax_range(x))
    return np.concatenate([_quantized(x[:1], low, high), whole[1:]])


def _own_range(x: Any, low: float, high: float) -> Any:
    return np.concatenate([_quantized(x[:1], *minmax_range(x[:1])), _quantized(x[1:], low, high)])


def _same(found: Any, right: Any, x: Any, *_: Any) -> bool:
    given = reals(found)
    return given is not None and np.allclose(given, right, rtol=1e-5, atol=1e-6 * float(np.abs(x).max()))


def _form(found: Any) -> None:
    if np.shape(found) not in {_TEXT.shape, _OTHER.shape}:
        raise Hint(f"It returns shape {np.shape(found)}: return an array of the shape of x.")


CHECKS: dict[str, Check] = {
    "10.1": numbers(
        (5, 5),
        {
            "The standard deviation falls with the value: both come out the same.": (5, 2),
            "A LayerNorm divides by the standard deviation; these are the values before it.": (50, 20),
            "That is with the mean subtracted; now divide by the standard deviation.": (
                50 - 50 / 26,
                20 - 20 / 26,
            ),
            "The square root of n - 1, not of n: the mean is subtracted first.": (
                float(np.sqrt(26)),
                float(np.sqrt(26)),
            ),
            "n - 1 is 25; and its square root?": (25, 25),
        },
        "The mean is k/26, the variance k^2/26 (1 - 1/26): k cancels.",
    ),
    "10.2": numbers(
        (_TENSOR, np.median(_TOKENS)),
        {
            "The tensor comes first, then the median token.": (np.median(_TOKENS), _TENSOR),
            "The second is the mean of the four; the median is what a typical token has.": (
                _TENSOR,
                _TOKENS.mean(),
            ),
            "For the tensor, add up the powers first and take the logarithm last.": (
                _TOKENS.mean(),
                np.median(_TOKENS),
            ),
            "These are powers already: 10 log10, not 20.": (2 * _TENSOR, 2 * np.median(_TOKENS)),
            "Signal over error, not error over signal: both are positive.": (-_TENSOR, -np.median(_TOKENS)),
        },
        "10 log10(sum of signals / sum of errors); and the median of the tokens' own 10 log10.",
        decimals=1,
    ),
    "10.3": function(
        _apart,
        Probe(
            "Row 0 is quantized with min and max of the whole x, all other rows with the range low to high.",
            (_TEXT, -2.0, 3.0),
        ),
        Probe(
            "Take the range from the arguments and from x: with others it is wrong.",
            (_TEXT, -1.0, 1.5),
            (_OTHER, -9.0, 5.0),
        ),
        mistakes={
            "Row 0 is clipped too: it has the range of the whole x.": _quantized,
            "It is the other way round: row 0 keeps the whole range.": _other_way,
            "Nothing is clipped: the other rows have the range low to high.": lambda x, low, high: _quantized(
                x, *minmax_range(x)
            ),
            "These are the values themselves: round them to codes.": lambda x, low, high: x,
            "Row 0 has the range of the whole x, not one of its own.": _own_range,
        },
        form=_form,
        same=_same,
    ),
}
