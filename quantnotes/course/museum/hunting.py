"""A hunt: how many wrong libraries does a property catch, and does it spare the right one?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from quantnotes.course.museum.cases import Specimen, library


@dataclass(frozen=True)
class Hunt:
    """What a property made of some specimens and of the right library; made by :func:`hunt`.

    Attributes
    ----------
    specimens : tuple of Specimen
        All that were hunted.
    caught : tuple of Specimen
        Those that the property calls wrong.
    false_alarm : bool
        True if it calls the right library wrong.

    Examples
    --------
    >>> from quantnotes.course import museum
    >>> print(hunt(lambda qn: True, museum.specimens("rounding")))
    rounding   0 of 7 caught
    right one  taken for right
    """

    specimens: tuple[Specimen, ...]
    caught: tuple[Specimen, ...]
    false_alarm: bool

    @property
    def escaped(self) -> tuple[Specimen, ...]:
        """Those that the property takes for right."""
        names = {specimen.name for specimen in self.caught}
        return tuple(specimen for specimen in self.specimens if specimen.name not in names)

    @property
    def perfect(self) -> bool:
        """True if all are caught and the right library is spared."""
        return not self.escaped and not self.false_alarm

    def __str__(self) -> str:
        halls = Counter(specimen.hall for specimen in self.specimens)
        caught = Counter(specimen.hall for specimen in self.caught)
        rows = {hall: f"{caught[hall]} of {number} caught" for hall, number in halls.items()}
        rows["right one"] = "called wrong: a false alarm" if self.false_alarm else "taken for right"
        width = max(map(len, rows))
        return "\n".join(f"{name:{width}}  {row}" for name, row in rows.items())


def hunt(is_right: Callable[[Any], bool], specimens: Sequence[Specimen]) -> Hunt:
    """Show a property the right library and one wrong library for each specimen.

    Parameters
    ----------
    is_right : callable
        Takes a library such as `quantnotes` (call it ``qn``: it has ``qn.quantize`` and all the rest), and
        returns True if it finds it right. An error in it counts as "wrong".
    specimens : sequence of Specimen
        What to hunt.

    Returns
    -------
    Hunt

    Examples
    --------
    >>> from quantnotes.course import museum
    >>> def rounds(qn):
    ...     return qn.quantize(0.9, qn.QuantParams(1.0, 0, qn.INT8)) == 1
    >>> found = hunt(rounds, museum.specimens("rounding"))
    >>> [specimen.name for specimen in found.caught], found.false_alarm
    (['cast for round', 'floor for round'], False)
    """

    def answer(qn: Any) -> bool:
        try:
            return bool(is_right(qn))
        except Exception:  # a wrong library may break the property
            return False

    caught = tuple(specimen for specimen in specimens if not answer(specimen.library()))
    return Hunt(tuple(specimens), caught, not answer(library()))
