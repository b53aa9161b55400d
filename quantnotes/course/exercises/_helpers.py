"""The few pieces that every check is made of.

A check takes an answer. It returns if the answer is right, and raises `Hint` if it is wrong. `numbers` makes
the check of a number or several; `function` that of a function, from the right function and the inputs to
try; `ask` and `alike` are for checks that need more.

Not covered: errors in the reader's code, which `check` reports.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Check = Callable[[Any], None]
Function = Callable[..., Any]
Form = Callable[[Any], None]  # takes a result; raises Hint if its type or shape is wrong


class Hint(Exception):
    """Raised by a check: the answer is wrong, and the message says what to think about."""


class Probe:
    """Inputs that a function is tried on, and the hint if its result is wrong on one of them.

    Parameters
    ----------
    hint : str
    *inputs : tuple
        The arguments of each call.
    """

    def __init__(self, hint: str, *inputs: tuple[Any, ...]) -> None:
        self.hint, self.inputs = hint, inputs


def reals(value: object) -> NDArray[np.float64] | None:
    """Return `value` as float64, or None if it does not consist of real numbers.

    Fractions and decimals are numbers; text and booleans are not.
    """
    try:
        array = np.asarray(value)
        return None if array.dtype.kind not in "iufO" else array.astype(np.float64)
    except (TypeError, ValueError):
        return None


def alike(found: Any, right: Any) -> bool:
    """Tell whether `found` has the shape and the values of `right`; for a tuple, part by part."""
    if isinstance(right, tuple):
        parts = found if isinstance(found, list | tuple | np.ndarray) and np.ndim(found[:0]) else ()
        return len(parts) == len(right) and all(map(alike, parts, right))
    given, wanted = reals(found), np.asarray(right, np.float64)
    if given is None or given.shape not in (wanted.shape, *([(1,)] if wanted.ndim == 0 else [])):
        return False
    return bool(np.allclose(given, wanted, rtol=1e-9, atol=0.0, equal_nan=True))


def numbers(right: Any, mistakes: Mapping[str, Any], otherwise: str, *, decimals: int | None = None) -> Check:
    """Return the check of an answer that is a number, or several.

    Parameters
    ----------
    right : array_like
        The right answer. Integers are compared exactly, others to a relative 1e-6.
    mistakes : mapping of str to array_like
        Each hint, and the wrong answer that gets it.
    otherwise : str
        The hint for all other answers.
    decimals : int, optional
        How many decimals the exercise asks for: the answer must round to the right one, and be no farther
        away than half a unit of the last decimal.
    """
    wanted = np.asarray(right)
    unit = 0.0 if decimals is None else 0.500001 * 10.0**-decimals
    exact = wanted.dtype.kind in "iu"

    def is_right(given: NDArray[np.float64]) -> bool:
        if decimals is None:
            return _close(given, wanted, rtol=0.0 if exact else 1e-6)
        return _close(np.round(given, decimals), np.round(wanted, decimals)) and _close(given, wanted, unit)

    def check(answer: Any) -> None:
        given = reals(answer)
        if given is None:
            raise Hint("The answer is a number, or several; this is something else.")
        if wanted.ndim == 0 and given.size == 1:
            given = given.reshape(())
        if is_right(given):
            return
        for hint, wrong in mistakes.items():
            if _close(given, wrong, unit, rtol=1e-12 if exact else 2e-3):
                raise Hint(hint)
        if not exact and _close(given, wanted, rtol=0.03):
            raise Hint("Close, but not close enough: round at the end only, to the decimals asked for.")
        raise Hint(otherwise)

    return check


def _close(given: NDArray[np.float64], wanted: Any, atol: float = 0.0, rtol: float = 0.0) -> bool:
    return given.shape == np.shape(wanted) and np.allclose(given, wanted, rtol=rtol, atol=atol)


def ask(answer: Function, *inputs: Any) -> Any:
    """Call the reader's function on copies of `inputs`; raise a hint if there is nothing to look at."""
    if not callable(answer):
        raise Hint("Give the function itself, by its name and without calling it.")
    given = copy.deepcopy(inputs)
    found = answer(*given)
    finished(found)
    for before, after in zip(inputs, given, strict=True):
        if isinstance(before, np.ndarray) and not np.array_equal(before, after, equal_nan=True):
            raise Hint("It changes the array that it is given: work on a copy.")
    return found


def finished(found: Any) -> None:
    """Raise a hint if a function has returned ``...`` or None, alone or as a part of what it returned."""
    for part in found if isinstance(found, tuple | list) else (found,):
        if part is ...:
            raise Hint("It returns ... still.")
        if part is None:
            raise Hint("It returns None: is there a return at its end?")


def function(
    right: Function,
    *probes: Probe,
    mistakes: Mapping[str, Function] | None = None,
    form: Form | None = None,
    same: Function | None = None,
) -> Check:
    """Return the check of an answer that is a function.

    Parameters
    ----------
    right : callable
        A right answer.
    *probes : Probe
        What to try, the plainest first: the hint is that of the first result that is wrong.
    mistakes : mapping of str to callable, optional
        Hints that are better than a probe's: each for answers that give what this wrong function gives, on
        all inputs of the probe.
    form : callable, optional
        Takes each result, and raises a hint if its type or shape is wrong.
    same : callable, optional
        ``same(found, right, *inputs)`` tells whether a result is right; by default, `alike`.
    """

    def agree(found: Any, wanted: Any, inputs: tuple[Any, ...]) -> bool:
        return bool(same(found, wanted, *inputs)) if same else alike(found, wanted)

    def check(answer: Function) -> None:
        for probe in probes:
            for inputs in probe.inputs:
                found = ask(answer, *inputs)
                if form:
                    form(found)
                if not agree(found, right(*copy.deepcopy(inputs)), inputs):
                    raise Hint(_mistake(answer, mistakes or {}, probe) or probe.hint)

    return check


def _mistake(answer: Function, mistakes: Mapping[str, Function], probe: Probe) -> str | None:
    """Return the hint of the wrong function that agrees with the answer on all inputs of a probe."""

    def outcome(anyone: Function, inputs: tuple[Any, ...]) -> Any:
        try:
            return anyone(*copy.deepcopy(inputs))
        except Exception:  # it cannot be compared
            return np.nan

    for hint, wrong in mistakes.items():
        pairs = [(outcome(answer, inputs), outcome(wrong, inputs)) for inputs in probe.inputs]
        if all(alike(found, expected) for found, expected in pairs):
            return hint
    return None
