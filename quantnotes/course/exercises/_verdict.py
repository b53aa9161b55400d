"""`check`: find the exercise, run its check, and put the outcome into words.

Not covered: what is right and wrong, which each notebook's own module says with the helpers of `_helpers`.
"""

from __future__ import annotations

import importlib
import sysconfig
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from quantnotes.course.exercises._helpers import Check, Hint

_MODULES = {
    "01": "mapping",
    "02": "asymmetric",
    "03": "symmetric",
    "04": "saturation",
    "05": "outliers",
    "06": "calibration",
    "07": "calibration_data",
    "08": "integer",
    "09": "network",
    "10": "where_to_measure",
    "11": "convolution",
    "12": "whole_model",
    "13": "groups",
    "14": "float_formats",
    "15": "moving_outliers",
    "16": "museum",
    "17": "speed",
}
_NOT_THE_READERS = (  # where the frames of libraries and of generated code lie
    str(Path(__file__).parents[2]),
    *(sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib")),
    "<frozen ",
    "<string>",
    "<__array_function__",
)


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
        no answer yet. An error inside a function is reported with the line that raised it, not raised.

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
        with np.errstate(all="ignore"):  # the hint says it better than NumPy's warnings
            checks[exercise](answer)
    except Hint as hint:
        return Verdict(False, f"{exercise}: not yet. {hint}")
    except Exception as error:  # anything that the reader's code raises
        return Verdict(False, f"{exercise}: not yet. {_in_words(error)}")
    return Verdict(True, f"{exercise}: right.")


def _checks(exercise: str) -> Mapping[str, Check]:
    number = exercise.split(".")[0] if isinstance(exercise, str) else ""
    if number in _MODULES:
        module = importlib.import_module(f"quantnotes.course.exercises.{_MODULES[number]}")
        if exercise in module.CHECKS:
            checks: Mapping[str, Check] = module.CHECKS
            return checks
    raise ValueError(f"there is no exercise {exercise!r}: they run from 01.1 to {max(_MODULES)}.3")


def _in_words(error: Exception) -> str:
    """Name the error and the last line of the reader's own code on the way to it."""
    words = f"{type(error).__name__}: {error}"
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith(_NOT_THE_READERS)
    ]
    if not frames:
        return words
    line = f": {frames[-1].line}" if frames[-1].line else ""
    return f"{words}\n    line {frames[-1].lineno} of your code{line}"
