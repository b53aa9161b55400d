"""A hunt: how many wrong libraries does a property catch, and does it spare the right one?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from quantnotes.mutants.specimen import Specimen, right_library


@dataclass(frozen=True)
class Hunt:
    """What a property made of some specimens and of the right library; made by :func:`hunt`.

    Attributes
    ----------
    caught, escaped : tuple of Specimen
        Those that the property calls wrong, and those it takes for right.
    false_alarm : bool
        True if it calls the right library wrong.

    Examples
    --------
    >>> from quantnotes import mutants
    >>> print(hunt(lambda qn: True, mutants.specimens("rounding")))
    rounding   0 of 7 caught
    right one  taken for right
    """

    caught: tuple[Specimen, ...]
    escaped: tuple[Specimen, ...]
    false_alarm: bool

    @property
    def perfect(self) -> bool:
        """True if all are caught and the right library is spared."""
        return not self.escaped and not self.false_alarm

    def __str__(self) -> str:
        shown = (*self.caught, *self.escaped)
        rows = {}
        for hall in dict.fromkeys(specimen.hall for specimen in shown):
            rows[hall] = f"{self._number(self.caught, hall)} of {self._number(shown, hall)} caught"
        rows["right one"] = "called wrong: a false alarm" if self.false_alarm else "taken for right"
        width = max(map(len, rows))
        return "\n".join(f"{name:{width}}  {row}" for name, row in rows.items())

    def _number(self, found: Sequence[Specimen], hall: str) -> int:
        return sum(specimen.hall == hall for specimen in found)


def hunt(is_right: Callable[[Any], bool], specimens: Sequence[Specimen]) -> Hunt:
    """Show a property the right library and one wrong library for each specimen.

    Parameters
    ----------
    is_right : callable
        Takes a library such as `quantnotes` (call it ``qn``: it has ``qn.quantize`` and all the rest), and
        returns True if it finds it right. An error in it counts as "wrong".
    specimens : sequence of Specimen
        Whom to hunt.

    Returns
    -------
    Hunt

    Examples
    --------
    >>> from quantnotes import mutants
    >>> def rounds(qn):
    ...     return qn.quantize(0.9, qn.QuantParams(1.0, 0, qn.INT8)) == 1
    >>> found = hunt(rounds, mutants.specimens("rounding"))
    >>> [specimen.name for specimen in found.caught], found.false_alarm
    (['cast for round', 'floor for round'], False)
    """

    def answer(library: Any) -> bool:
        try:
            return bool(is_right(library))
        except Exception:  # a wrong library may break the property
            return False

    answers = [(specimen, answer(specimen.library())) for specimen in specimens]
    caught = tuple(specimen for specimen, right in answers if not right)
    return Hunt(caught, tuple(s for s, right in answers if right), not answer(right_library()))
