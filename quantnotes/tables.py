"""Rows of text as an aligned table or as HTML: how ledgers and comparisons are shown.

Not covered: numbers; who calls these functions formats them.
"""

from __future__ import annotations

import html
import re
from collections.abc import Sequence

_SHORT = 14  # characters of a cell that stays on one line
_BRACKETS = re.compile(r"\([^()]{,24}\)")
_STYLES = {False: ' style="text-align: left"', True: ' style="text-align: right"'}


def percent(share: float, digits: int = 1) -> str:
    """Write a share in percent; what is not 0 never reads as 0, nor what is not all as 100."""
    least = 10.0**-digits  # the smallest percentage that is printed
    if 0 < share < least / 200:
        return f"< {least:.{digits}f} %"
    if 1 - least / 200 < share < 1:
        return f"> {100 - least:.{digits}f} %"
    return f"{100 * share:.{digits}f} %"


def text_table(rows: Sequence[tuple[str, ...]], right: bool | Sequence[bool] = False) -> str:
    """Align the cells of each column: to the right all but the first, or those columns that `right` marks."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if mark else cell.ljust(width)
            for cell, width, mark in zip(row, widths, _marks(right, len(row)), strict=True)
        ).rstrip()
        for row in rows
    )


def html_table(
    rows: Sequence[tuple[str, ...]],
    head: bool = False,
    right: bool | Sequence[bool] = False,
    caption: str = "",
) -> str:
    """Write the rows as an HTML table, aligned as in :func:`text_table`; with `head`, the first is its head.

    A short cell, and what a cell has in brackets, stay on one line.
    """

    def row(cells: Sequence[str], top: bool) -> str:
        tags = ["th" if top or not i else "td" for i in range(len(cells))]
        inside = (
            f"<{tag}{_STYLES[mark]}>{_whole(html.escape(cell))}</{tag}>"
            for tag, mark, cell in zip(tags, _marks(right, len(cells)), cells, strict=True)
        )
        return f"<tr>{''.join(inside)}</tr>"

    above = f"<caption>{html.escape(caption)}</caption>" if caption else ""
    return f"<table>{above}{''.join(row(cells, head and not i) for i, cells in enumerate(rows))}</table>"


class Printed:
    """A table whose first row is its head, and notes below: as text, and as HTML in a notebook."""

    def _rows(self) -> Sequence[tuple[str, ...]]:
        raise NotImplementedError

    def _notes(self) -> Sequence[str]:
        return ()

    def __str__(self) -> str:
        notes = self._notes()
        return "\n".join([text_table(self._rows(), right=True), *[""] * bool(notes), *notes])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        words = "".join(f"<p>{html.escape(note)}</p>" for note in self._notes())
        return html_table(self._rows(), head=True, right=True) + words


def _marks(right: bool | Sequence[bool], columns: int) -> Sequence[bool]:
    """Return which columns stand to the right."""
    return [right and i > 0 for i in range(columns)] if isinstance(right, bool) else right


def _whole(cell: str) -> str:
    """Put spaces that break no line into a short cell, and between brackets."""
    if len(cell) <= _SHORT:
        return cell.replace(" ", "&nbsp;")
    return _BRACKETS.sub(lambda found: found[0].replace(" ", "&nbsp;"), cell)
