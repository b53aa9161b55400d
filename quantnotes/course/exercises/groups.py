"""Exercises of notebook 13: how far one scale reaches, and rounding that knows what follows."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantnotes.course.exercises._helpers import Check, Hint, Probe, function, numbers, reals

Array = NDArray[Any]


def _round_row(w: Array, h: Array, damping: float, *, sign: int = 1) -> Array:
    """Return GPTQ's codes of one row at S = 1, from left to right."""
    left = np.array(w, np.float64)
    inverse = np.linalg.inv(h + damping * np.diag(h).mean() * np.eye(len(h)))
    for j in range(len(left)):
        share = inverse[j] / inverse[j, j]
        left[j + 1 :] -= sign * (left[j] - np.rint(left[j])) * share[j + 1 :]
        inverse = inverse - np.outer(inverse[:, j], share)
    return np.rint(left)


def _with_one_inverse(w: Array, h: Array, damping: float) -> Array:
    """Share the errors out as if nothing had been rounded yet: the inverse is never reduced."""
    left = np.array(w, np.float64)
    inverse = np.linalg.inv(h + damping * np.diag(h).mean() * np.eye(len(h)))
    for j in range(len(left)):
        left[j + 1 :] -= (left[j] - np.rint(left[j])) * inverse[j, j + 1 :] / inverse[j, j]
    return np.rint(left)


def _by_rows_of_h(w: Array, h: Array, damping: float) -> Array:
    """Take the shares from H instead of its inverse."""
    left = np.array(w, np.float64)
    damped = h + damping * np.diag(h).mean() * np.eye(len(h))
    for j in range(len(left)):
        left[j + 1 :] -= (left[j] - np.rint(left[j])) * damped[j, j + 1 :] / damped[j, j]
    return np.rint(left)


def _best(w: Array, h: Array, damping: float) -> Array:
    """Try floor and ceil of every weight."""
    every = [np.floor(w) + up for up in itertools.product((0, 1), repeat=len(w))]
    return every[int(np.argmin([(w - codes) @ h @ (w - codes) for codes in every]))]


def _form(found: Any) -> None:
    given = reals(found)
    if given is None or given.ndim != 1:
        raise Hint("Return one code for each weight, an array with one axis.")
    if not np.array_equal(given, np.rint(given)):
        raise Hint("Return codes, which are whole numbers: round every weight, the last one too.")


_RNG = np.random.default_rng(13)
_TOKENS = _RNG.normal(size=(40, 6)) @ _RNG.normal(size=(6, 6))
_H = _TOKENS.T @ _TOKENS
_ROWS = _RNG.uniform(-6, 6, (8, 6))
_PAIR = np.array([[5.0, 4.0], [4.0, 5.0]])

CHECKS: dict[str, Check] = {
    "13.1": numbers(
        np.array([4.5, 4.15625, 3.5]),
        {
            "The scales take bits too: 16 for each group.": (4.0, 4.0, 3.0),
            "The second has zero points as well: 4 bits for each group.": (4.5, 4.125, 3.5),
            "A group has one zero point, not one for each weight.": (4.5, 8.125, 3.5),
            "Symmetric means no zero point: only the second has one.": (4.625, 4.15625, 3.6875),
            "The third has scales of 8 bits, not 16.": (4.5, 4.15625, 4.0),
            "Divide what a group has in common by its weights: 16 / 32 in the first.": (20.0, 24.0, 11.0),
            "The scales are float16, not float32.": (5.0, 4.28125, 3.5),
            "A zero point has as many bits as a code: 4, not 16.": (4.5, 4.25, 3.5),
        },
        "Bits of a code, plus what the group has in common divided by the group: 4 + 16 / 32 in the first.",
    ),
    "13.2": numbers(
        (2, 2, 3, 1),
        {
            "Those are the nearest codes: let the second weight make up for the error of the first.": (
                2,
                1,
                2,
                1,
            ),
            "The other way round: from left to right first, then from right to left.": (3, 1, 2, 2),
            "Rounded first or not, the first weight comes first in the answer.": (2, 2, 1, 3),
            "From right to left it goes otherwise: 1.3 becomes 1, and 2.4 makes up for 0.3.": (2, 2, 2, 2),
            "From left to right it goes otherwise: 2.4 becomes 2, and 1.3 makes up for 0.4.": (3, 1, 3, 1),
            "From right to left: 2.4 has to make up for 0.3, and becomes more than 2.5.": (2, 2, 2, 1),
            "From left to right: 1.3 has to make up for 0.4, and becomes more than 1.5.": (2, 1, 3, 1),
            "Those are the weights before the last rounding: give codes.": (2, 1.62, 2.64, 1),
        },
        "The share is H[0][1] / H[1][1] = 0.8: add 0.8 times the error that is made to the other weight.",
    ),
    "13.3": function(
        _round_row,
        Probe(
            "Without damping some codes are wrong. The weights of 13.2 must give 2 and 2.",
            (np.array([2.4, 1.3]), _PAIR, 0.0),
            *[(row, _H, 0.0) for row in _ROWS],
        ),
        Probe(
            "With damping some codes are wrong: add damping times the mean of H's diagonal to the diagonal.",
            *[(row, _H, 0.3) for row in _ROWS],
            *[(row, _H / 1000, 0.3) for row in _ROWS],
        ),
        Probe("With very much damping every weight goes to its nearest code.", (_ROWS[0], _H, 1e9)),
        form=_form,
        mistakes={
            "Those are the nearest codes: let the weights to the right make up for each error.": (
                lambda w, h, damping: np.rint(w)
            ),
            "The sign: where two inputs agree, a code that is too small makes the next weight larger.": (
                lambda w, h, damping: _round_row(w, h, damping, sign=-1)
            ),
            "The shares are those of H's inverse: row j, divided by its diagonal entry.": _by_rows_of_h,
            "Once a column is rounded, take it out of the inverse: subtract column j times the share.": (
                _with_one_inverse
            ),
            "That is the best of all choices. GPTQ does not look back: go from left to right.": _best,
            "That is from right to left.": (
                lambda w, h, damping: _round_row(w[::-1], h[::-1, ::-1], damping)[::-1]
            ),
            "The damping is missing: it goes on the diagonal of H.": (
                lambda w, h, damping: _round_row(w, h, 0.0)
            ),
            "The damping is in units of the mean of H's diagonal: multiply by that.": (
                lambda w, h, damping: _round_row(w, h, damping / np.diag(h).mean())
            ),
            "The damping goes on the diagonal alone, not on every entry.": (
                lambda w, h, damping: _round_row(w, h + damping * np.diag(h).mean(), 0.0)
            ),
        },
    ),
}
