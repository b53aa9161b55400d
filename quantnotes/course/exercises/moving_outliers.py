"""Exercises of notebook 15: a rotation by hand, what factors do to two ratios, a layer rotated."""

from __future__ import annotations

from typing import Any

import numpy as np

from quantnotes.asymmetric import asymmetric_params
from quantnotes.course.exercises._helpers import Check, Hint, Probe, function, numbers, reals
from quantnotes.equivalence import hadamard, rotate
from quantnotes.grid import INT8, INT8_NARROW
from quantnotes.mapping import fake_quantize
from quantnotes.ranges import minmax_range
from quantnotes.symmetric import symmetric_params

_RNG = np.random.default_rng(15)
_X, _WEIGHT = _RNG.normal(0, 1, (6, 16)), _RNG.normal(0, 0.3, (16, 16))
_X[0, 5] = 30.0
_OTHER, _SMALL = _RNG.normal(0.5, 2, (5, 12)), _RNG.normal(0, 1, (3, 12))
_OTHER[2, 3] = -50.0


def _x_codes(x: Any, axis: int | None = None) -> Any:
    return fake_quantize(x, asymmetric_params(*minmax_range(x, axis=axis), INT8, axis=axis), dtype=np.float64)


def _w_codes(w: Any, axis: int | None = 0) -> Any:
    ends = minmax_range(w, axis=axis)
    return fake_quantize(w, symmetric_params(*ends, INT8_NARROW, axis=axis), dtype=np.float64)


def _rotated(x: Any, weight: Any) -> Any:
    return _x_codes(rotate(x)) @ _w_codes(rotate(weight)).T


def _not_rotated(x: Any, weight: Any) -> Any:
    return _x_codes(x) @ _w_codes(weight).T


def _x_alone(x: Any, weight: Any) -> Any:
    return _x_codes(rotate(x)) @ _w_codes(weight).T


def _weight_alone(x: Any, weight: Any) -> Any:
    return _x_codes(x) @ _w_codes(rotate(weight)).T


def _outputs(x: Any, weight: Any) -> Any:
    return _x_codes(rotate(x)) @ _w_codes(rotate(weight.T).T).T


def _unscaled(x: Any, weight: Any) -> Any:
    h = hadamard(x.shape[-1])
    return _x_codes(x @ h) @ _w_codes(weight @ h).T


def _scaled_once(x: Any, weight: Any) -> Any:
    return _rotated(x, weight) * np.sqrt(x.shape[-1])


def _each_token(x: Any, weight: Any) -> Any:
    return _x_codes(rotate(x), 0) @ _w_codes(rotate(weight)).T


def _one_scale(x: Any, weight: Any) -> Any:
    return _x_codes(rotate(x)) @ _w_codes(rotate(weight), None).T


def _symmetric(x: Any, weight: Any) -> Any:
    return _w_codes(rotate(x), None) @ _w_codes(rotate(weight)).T


def _floats(x: Any, weight: Any) -> Any:
    return x @ weight.T


def _same(found: Any, right: Any, *_: Any) -> bool:
    given = reals(found)
    return given is not None and bool(np.linalg.norm(given - right) <= 1e-4 * np.linalg.norm(right))


def _form(found: Any) -> None:
    if np.shape(found) not in {(6, 16), (5, 3)}:
        raise Hint(f"It returns shape {np.shape(found)}: return (tokens, outputs), as x @ weight.T.")


CHECKS: dict[str, Check] = {
    "15.1": numbers(
        np.array([8.0, 4.0, 6.0, 8.0]),
        {
            "These have four times the squares: divide by the root of n, so that the length stays.": (
                16,
                8,
                12,
                16,
            ),
            "Divide by the root of n, not by n: the squares must add up to 180 still.": (4, 2, 3, 4),
            "The right numbers in another order: the second row of the matrix is 1, -1, 1, -1.": (8, 6, 4, 8),
            "That is where it came from: rotate once.": (13, 1, -1, 3),
            "One of the values is -1: watch its sign.": (9, 5, 5, 7),
        },
        "Each is a sum of all four, with the signs of a row of the matrix, divided by 2.",
    ),
    "15.2": numbers(
        (6.25, 4.0, 5.0),
        {
            "The activation comes first.": (4, 6.25, 5),
            "That is the product of both ratios; with alpha 0.5 its root is left.": (6.25, 4, 25),
            "10 is the channel's own largest magnitude; the others have 2.": (6.25, 4, 10),
            "The others are divided by 2 as well: compare 10 with 2.": (6.25, 4, 2.5),
            "Divide by the others' magnitudes: ratios are asked for.": (25, 4, 10),
            "With alpha 1 the activation would be flat; with 0.5 it is not.": (6.25, 4, 1),
            "The mean of the two is the geometric one.": (6.25, 4, 5.125),
        },
        "Factors are (25 / 4) ** 0.5 and (4 / 1) ** 0.5; divide the activation, multiply the weight, then "
        "compare the channel with the others.",
    ),
    "15.3": function(
        _rotated,
        Probe(
            "Rotate x and weight along their last axis, quantize both, multiply what the codes decode to.",
            (_X, _WEIGHT),
        ),
        Probe(
            "It is right for 16 channels and wrong for 12: take hadamard(n), or rotate, for any n.",
            (_OTHER, _SMALL),
        ),
        mistakes={
            "These are the codes of x and weight as they are: rotate first, then quantize.": _not_rotated,
            "This is the product in floats: quantize both.": _floats,
            "The weight is not rotated, so this is another product.": _x_alone,
            "x is not rotated, so this is another product.": _weight_alone,
            "The weight is rotated along its outputs: its last axis is the one that meets x.": _outputs,
            "It is n times too large: divide the Hadamard matrix by the root of n.": _unscaled,
            "It is the root of n too large: divide the matrix by it on both sides.": _scaled_once,
            "x has a scale for each token; one for all of x is asked for.": _each_token,
            "The weight has one scale; one for each output is asked for.": _one_scale,
            "x is quantized symmetrically; an asymmetric range is asked for.": _symmetric,
        },
        form=_form,
        same=_same,
    ),
}
