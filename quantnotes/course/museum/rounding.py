"""Hall 1, rounding: which code is nearest?"""

from __future__ import annotations

from typing import Any

import numpy as np

from quantnotes.checks import as_real
from quantnotes.course.museum.cases import Array, Exhibit, Hall
from quantnotes.grid import INT8, IntGrid
from quantnotes.mapping import QuantParams

HALL = Hall("rounding")

_STEP = QuantParams(1.0, 0, IntGrid(-4, 3))
_LINE = np.linspace(-4.4, 3.4, 400)
_HALVES = np.arange(-3.5, 3, 1.0)
_TENTH = QuantParams(0.1, 0, INT8)
_N = np.arange(75, 95)  # few, so that in a panel each tie is seen
_TIES = ((_N + 0.5) * 0.1).astype(np.float32)


def _at_ties(zero_point: int) -> Any:
    params = QuantParams(1.0, zero_point, IntGrid(-8, 7))
    return lambda qn: qn.quantize(_HALVES, params) - zero_point


ERROR = Exhibit(
    lambda qn: qn.dequantize(qn.quantize(_LINE, _STEP), _STEP) - _LINE,
    _LINE,
    "real value, S = 1",
    "error, in steps",
)
TIES = Exhibit(_at_ties(0), _HALVES, "real value, S = 1, Z = 0", "code", dots=True)
ODD_TIES = Exhibit(_at_ties(1), _HALVES, "real value, S = 1, Z = 1", "code less Z", dots=True)
NEAR_TIES = Exhibit(
    lambda qn: qn.quantize(_TIES, _TENTH) - _N, _N, "n, at (n + 1/2) S, S = 0.1", "code less n", dots=True
)


@HALL.replace("quantize", ERROR, report="vllm-project/vllm#45361, microsoft/onnxruntime#32452")
def cast_for_round(r: Array, s: Array, z: Array, grid: IntGrid) -> Any:
    """a cast to integers instead of np.rint
    everything moves towards 0, by half a step on average: the error has the sign against the value
    """
    return np.clip(np.trunc(r / s) + z, grid.qmin, grid.qmax)  # what astype(int) does


@HALL.replace("quantize", ERROR)
def floor_for_round(r: Array, s: Array, z: Array, grid: IntGrid) -> Any:
    """np.floor instead of np.rint
    every value comes back too low, by half a step on average: the mean error is -S/2
    """
    return np.clip(np.floor(r / s) + z, grid.qmin, grid.qmax)


@HALL.replace("quantize", TIES)
def ties_away_from_zero(r: Array, s: Array, z: Array, grid: IntGrid) -> Any:
    """ties go away from 0, as in school and in C's round()
    every second tie gets the other code, and magnitudes grow on average
    """
    steps, whole = r / s, np.trunc(r / s)
    away = whole + np.copysign(np.abs(steps - whole) >= 0.5, steps)
    return np.clip(np.where(np.isfinite(steps), away, steps) + z, grid.qmin, grid.qmax)


@HALL.replace("quantize", TIES)
def floor_of_x_and_a_half(r: Array, s: Array, z: Array, grid: IntGrid) -> Any:
    """floor(x + 1/2) instead of np.rint
    every tie goes up, and the largest number below 1/2 does too: the sum in it is rounded first
    """
    return np.clip(np.floor(r / s + r.dtype.type(0.5)) + z, grid.qmin, grid.qmax)


@HALL.replace("quantize", ODD_TIES, report="the note, section 2")
def zero_point_inside_the_round(r: Array, s: Array, z: Array, grid: IntGrid) -> Any:
    """Z is added before rounding: Round(r/S + Z)
    where Z is odd, ties go to the odd multiple of S; a large Z takes digits from a small r/S
    """
    return np.clip(np.rint(r / s + z), grid.qmin, grid.qmax)


@HALL.replace("quantize", NEAR_TIES)
def multiplied_by_the_inverse(r: Array, s: Array, z: Array, grid: IntGrid) -> Any:
    """1/S is computed once and multiplied by
    next to ties the neighbouring code: 1/S has been rounded before it is used
    """
    inverse = r.dtype.type(1) / s
    return np.clip(np.rint(r * inverse) + z, grid.qmin, grid.qmax)


@HALL.wrap("quantize", NEAR_TIES)
def scale_in_double(right: Any, x: Any, params: Any, *, out: Any = None) -> Any:
    """float32 data are divided by a float64 scale
    next to ties the neighbouring code, and no runtime with a float32 scale gives the same
    """
    return right(as_real(x).astype(np.float64), params, out=out)
