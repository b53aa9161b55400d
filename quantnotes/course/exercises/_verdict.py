"""What an answer gets, and the pieces that the checks are made of."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

Check = Callable[[Any], str | None]  # takes an answer; returns None if it is right, else a hint

_MODULES = {
    "01": "mapping",
    "02": "asymmetric",
    "03": "symmetric",
    "04": "saturation",
    "05": "outliers",
    "06": "calibration",
    "08": "integer",
    "09": "network",
    "16": "museum",
    "17": "speed",
}


@dataclass(frozen=True, repr=False)
class Verdict:
    """What `check` says of an answer. True where it is right; prints as its message.

    Attributes
    ----------
    correct : bool or None
        None while there is no answer.
    message : str
        The verdict in words, with a hint where the answer is wrong.

    Examples
    --------
    >>> Verdict(None, "01.1: not answered yet")
    01.1: not answered yet
    """

    correct: bool | None
    message: str

    def __bool__(self) -> bool:
        return bool(self.correct)

    def __repr__(self) -> str:
        return self.message


def check(exercise: str, answer: object) -> Verdict:
    """Check the answer to an exercise.

    Parameters
    ----------
    exercise : str
        Notebook and number, such as "02.1".
    answer : object
        What the exercise asks for: a number, a tuple, an array or a function. None or ``...`` count as
        no answer yet. An error inside a function is reported, not raised.

    Returns
    -------
    Verdict

    Raises
    ------
    ValueError
        If there is no such exercise.

    Examples
    --------
    >>> check("01.1", None)
    01.1: not answered yet.
    """
    checks = _checks(exercise)
    if answer is None or answer is ...:
        return Verdict(None, f"{exercise}: not answered yet.")
    try:
        hint = checks[exercise](answer)
    except Exception as error:  # whatever the reader's code may raise is a wrong answer, to be explained
        hint = f"{type(error).__name__}: {error}"
    return Verdict(hint is None, f"{exercise}: right." if hint is None else f"{exercise}: not yet. {hint}")


def _checks(exercise: str) -> Mapping[str, Check]:
    number = exercise.split(".")[0] if isinstance(exercise, str) else ""
    if number in _MODULES:
        module = importlib.import_module(f"quantnotes.course.exercises.{_MODULES[number]}")
        if exercise in module.CHECKS:
            checks: Mapping[str, Check] = module.CHECKS
            return checks
    raise ValueError(f"there is no exercise {exercise!r}: they run from 01.1 to {max(_MODULES)}.3")


def unfinished(result: object) -> str | None:
    """Return a hint if what a function returned is nothing yet, else None."""
    if result is ...:
        return "It returns ... still."
    return "It returns None: is there a return at its end?" if result is None else None


def differs(answer: object, expected: object, tolerance: float = 0.0) -> bool:
    """True unless `answer` has the shape of `expected` and its values to within a relative tolerance."""
    given, wanted = np.asarray(answer, np.float64), np.asarray(expected, np.float64)
    if given.shape != wanted.shape:
        return True
    return not np.allclose(given, wanted, rtol=tolerance, atol=tolerance)


def hint_for(answer: object, mistakes: Mapping[str, object], otherwise: str, tolerance: float = 0.0) -> str:
    """Return the hint whose typical wrong value is the answer given, or the general one.

    `mistakes` maps each hint to the answer that earns it.
    """
    for hint, wrong in mistakes.items():
        if not differs(answer, wrong, tolerance):
            return hint
    return otherwise
