"""The museum's catalogue: what hangs where, what is wrong with it, and where it was met."""

from __future__ import annotations

import re
from dataclasses import dataclass

from quantnotes.course.museum.cases import Specimen
from quantnotes.tables import html_table

_HEADS = ("what is wrong", "what it does", "met in")
_REPORT = re.compile(r"([\w.-]+/[\w.-]+)#(\d+)")


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

    def __str__(self) -> str:
        lines = []
        for specimen in self.specimens:
            texts = (specimen.mistake, specimen.effect, specimen.report)
            lines.append(specimen.name)
            lines += [f"    {head}: {text}" for head, text in zip(_HEADS, texts, strict=True) if text]
        return "\n".join(lines)

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        rows = [
            (s.name, s.mistake, f"{s.effect} ({_HEADS[2]} {s.report})" if s.report else s.effect)
            for s in self.specimens
        ]
        page = html_table([("", *_HEADS[:2]), *rows], head=True)
        return _REPORT.sub(r'<a href="https://github.com/\1/issues/\2">\g<0></a>', page)
