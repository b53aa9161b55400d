"""Exercises of notebook 07: values beyond a range, an average that depends on the order, dynamic ranges."""

from __future__ import annotations

from typing import Any

import numpy as np

from quantnotes.asymmetric import asymmetric_params
from quantnotes.calibration import make_params
from quantnotes.course.exercises._helpers import Check, Hint, Probe, function, numbers, reals
from quantnotes.grid import INT8
from quantnotes.mapping import dequantize, fake_quantize, quantize
from quantnotes.ranges import Scheme, minmax_range

_RNG = np.random.default_rng(7)
_ROWS = _RNG.normal(0, [[1.0], [30.0], [0.02], [5.0]], (4, 50))
_ONE_SIDED = np.abs(_ROWS) + np.array([[3.0], [100.0], [0.0], [50.0]])


def _dynamic(x: Any, axis: int | None = 0, scheme: Scheme = "asymmetric") -> Any:
    params = make_params(minmax_range(x, axis=axis), INT8, scheme, axis=axis)
    return fake_quantize(x, params, dtype=np.float64)


def _without_zero(x: Any) -> Any:
    low, high = x.min(axis=1, keepdims=True), x.max(axis=1, keepdims=True)
    scale = (high - low) / 255
    return np.rint((x - low) / scale) * scale + low


def _codes(x: Any) -> Any:
    return quantize(x, asymmetric_params(*minmax_range(x, axis=0), axis=0))


def _without_zero_point(x: Any) -> Any:
    params = asymmetric_params(*minmax_range(x, axis=0), axis=0)
    return dequantize(quantize(x, params), params) + params.scale[:, None] * params.zero_point[:, None]


def _same(found: Any, right: Any, x: Any) -> bool:
    given = reals(found)
    return given is not None and np.allclose(given, right, rtol=1e-5, atol=1e-6 * float(np.abs(x).max()))


def _form(found: Any) -> None:
    if np.shape(found) not in {_ROWS.shape, (3, 7)}:
        raise Hint(f"It returns shape {np.shape(found)}: return an array of the shape of x.")


CHECKS: dict[str, Check] = {
    "07.1": numbers(
        0.2,
        {
            "The next value can be the smallest of all as well as the largest: two places of 1000.": 0.1,
            "In percent: times 100.": 0.002,
        },
        "With the next value there are 1000, each equally likely to be the last; two of them lie outside.",
        decimals=1,
    ),
    "07.2": numbers(
        (6.5, 5.0),
        {
            "The order given comes first, then the reversed one.": (5.0, 6.5),
            "That is the mean, which depends on no order; each step halves the weight of all before.": (
                16 / 3,
                16 / 3,
            ),
            "That is the largest; the observer keeps an average.": (10, 10),
            "The first maximum is taken as it is, not averaged with 0.": (6.0, 4.5),
            "The second is right; for the first, 4 and 2 give 3, then 3 and 10.": (6.0, 5.0),
        },
        "In the order given: 4; then (4 + 2)/2; then the half of that plus half of 10. Then from the end.",
    ),
    "07.3": function(
        _dynamic,
        Probe(
            "Each row has S = (max - min)/255 and a Z of its own; decode with both: (q - Z) * S.", (_ROWS,)
        ),
        Probe(
            "In a row with no value below 0, the range starts at 0 all the same, so that 0 is exact.",
            (_ONE_SIDED,),
            (-_ONE_SIDED,),
        ),
        Probe("The number of rows and columns is that of x.", (_ROWS[:3, :7],), (-_ONE_SIDED[:3, :7],)),
        mistakes={
            "That is one range for all rows: take min and max along axis 1.": lambda x: _dynamic(x, None),
            "That is a range for each column: each row needs its own.": lambda x: _dynamic(x, 1),
            "That is symmetric: with Z, both ends of a row get a code.": lambda x: _dynamic(
                x, 0, "symmetric"
            ),
            "These are codes: return what they decode to.": _codes,
            "Subtract Z before you multiply by S.": _without_zero_point,
            "These are the values themselves: round them to codes.": lambda x: x,
            "The range must include 0: min(min, 0) and max(max, 0).": _without_zero,
        },
        form=_form,
        same=_same,
    ),
}
