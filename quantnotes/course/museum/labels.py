"""The museum's catalogue: what hangs where, what is wrong with it, and where it was met."""

from __future__ import annotations

import re
from dataclasses import dataclass

from quantnotes.course.museum.cases import Specimen
from quantnotes.tables import html_table

_COLUMNS = ("", "what is wrong", "what it does", "met in")


@dataclass(frozen=True, repr=False)
class Catalogue:
    """Some specimens as a list: prints, and renders as a table in a notebook; see :func:`catalogue`.

    Attributes
    ----------
    specimens : tuple of Specimen
        One a row.

    Examples
    --------
    >>> from quantnotes.course import museum
    >>> print(Catalogue((museum.specimen("last bin dropped"),)))
    last bin dropped
        what is wrong: counts[left:right] leaves out the last bin before anything is trimmed
        what it does: what lies in the last of 100 bins is lost: half of the data, if half are at the maximum
        met in: the note, section 5
    """

    specimens: tuple[Specimen, ...]

    def _rows(self) -> list[tuple[str, str, str, str]]:
        return [(s.name, s.mistake, s.effect, s.report or "") for s in self.specimens]

    def __str__(self) -> str:
        lines = []
        for name, *texts in self._rows():
            lines.append(name)
            lines += [f"    {head}: {text}" for head, text in zip(_COLUMNS[1:], texts, strict=True) if text]
        return "\n".join(lines)

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        left = ' style="text-align: left"'  # JupyterLab sets cells to the right
        return re.sub("<(t[hd])>", rf"<\1{left}>", html_table([_COLUMNS, *self._rows()], head=True))
