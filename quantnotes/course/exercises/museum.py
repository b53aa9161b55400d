"""Exercises of notebook 16: the bug museum."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from quantnotes.course.exercises._verdict import Check
from quantnotes.course.museum import Specimen, hunt, specimens
from quantnotes.course.museum.cases import copy_of_the_right_library
from quantnotes.grid import IntGrid
from quantnotes.mapping import QuantParams

CULPRIT = "zero point inside the round"
VALUES = np.array([-2.5, -1.5, -0.5, 0.5, 1.5, 2.5])
_PARAMS = QuantParams(1.0, 1, IntGrid(-8, 7))


def codes_less_z(specimen: Specimen) -> list[int]:
    """What a specimen of the first hall makes of the values of exercise 16.1, Z taken off."""
    return [int(code) - 1 for code in specimen.wrong(VALUES, _PARAMS)]


def _culprit(answer: Any) -> str | None:
    suspects = {specimen.name: specimen for specimen in specimens("rounding")}
    name = answer.replace("_", " ").strip().lower() if isinstance(answer, str) else ""
    if name == CULPRIT:
        return None
    if name not in suspects:
        return f"The answer is one of these names: {', '.join(map(repr, suspects))}."
    given, shown = codes_less_z(suspects[name]), codes_less_z(suspects[CULPRIT])
    first = next(i for i, pair in enumerate(zip(given, shown, strict=True)) if pair[0] != pair[1])
    return f"{name!r} would make {given[first]} of {VALUES[first]:g}; the list has {shown[first]} there."


def _property(halls: Sequence[str]) -> Check:
    """A check that a property catches all specimens of some halls and spares the right library."""

    def caught_all(answer: Callable[[Any], Any]) -> str | None:
        verdict = answer(copy_of_the_right_library())
        if verdict is ...:
            return "It returns ... still."
        if verdict is None:
            return "It returns nothing: after its asserts, or in place of them, it must return True or False."
        bool(verdict)  # an array has no truth, and NumPy says what to do
        found = hunt(answer, [specimen for hall in halls for specimen in specimens(hall)])
        score = f"{len(found.caught)} of {len(found.caught) + len(found.escaped)} caught"
        if found.false_alarm:
            return f"{score}, but it calls the right library wrong too: a false alarm."
        if found.escaped:
            first = found.escaped[0]
            return f"{score}. Still free, in the hall of {first.hall}: {first.mistake}. So {first.effect}."
        return None

    return caught_all


CHECKS: dict[str, Check] = {
    "16.1": _culprit,
    "16.2": _property(("rounding", "clipping")),
    "16.3": _property(tuple(dict.fromkeys(specimen.hall for specimen in specimens()))),
}
