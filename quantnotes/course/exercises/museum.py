"""Exercises of notebook 16: the bug museum."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from quantnotes.course.exercises._helpers import Check, Function, Hint, finished
from quantnotes.course.museum import HALLS, Specimen, hunt, library, specimens
from quantnotes.grid import IntGrid
from quantnotes.mapping import QuantParams

CULPRIT = "zero point inside the round"
VALUES = np.array([-2.5, -1.5, -0.5, 0.5, 1.5, 2.5])
_PARAMS = QuantParams(1.0, 1, IntGrid(-8, 7))


def codes_less_z(specimen: Specimen) -> list[int]:
    """What a specimen of the first hall makes of the values of exercise 16.1, Z taken off."""
    return [int(code) - 1 for code in specimen.wrong(VALUES, _PARAMS)]


def _culprit(answer: Any) -> None:
    suspects = {specimen.name: specimen for specimen in specimens("rounding")}
    name = " ".join(answer.replace("_", " ").lower().split()) if isinstance(answer, str) else ""
    if name not in suspects:
        raise Hint(f"The answer is one of these names: {', '.join(map(repr, suspects))}.")
    given, shown = codes_less_z(suspects[name]), codes_less_z(suspects[CULPRIT])
    for value, made, there in zip(VALUES, given, shown, strict=True):
        if made != there:
            raise Hint(f"{name!r} would make {made} of {value:g}; the list has {there} there.")


def _property(halls: Sequence[str]) -> Check:
    """The check that a property catches all specimens of some halls and spares the right library."""

    def caught_all(answer: Function) -> None:
        if not callable(answer):
            raise Hint("Give the function itself, by its name and without calling it.")
        verdict = answer(library())
        finished(verdict)
        bool(verdict)  # an array has no truth, and NumPy says what to do
        found = hunt(answer, [specimen for hall in halls for specimen in specimens(hall)])
        score = f"{len(found.caught)} of {len(found.specimens)} caught"
        if found.false_alarm:
            raise Hint(f"{score}, but it calls the right library wrong too: a false alarm.")
        if found.escaped:
            first = found.escaped[0]
            raise Hint(
                f"{score}. Still free, in the hall of {first.hall}: {first.mistake}. So {first.effect}."
            )

    return caught_all


CHECKS: dict[str, Check] = {"16.1": _culprit, "16.2": _property(HALLS[:2]), "16.3": _property(HALLS)}
