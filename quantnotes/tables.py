"""Rows of text as an aligned table or as HTML: how ledgers and comparisons are shown."""

from __future__ import annotations

import html
from collections.abc import Sequence


def percent(share: float, digits: int = 1) -> str:
    """Write a share in percent; what is not 0 never reads as 0, nor what is not all as 100."""
    least = 10.0**-digits  # the smallest percentage that is printed
    if 0 < share < least / 200:
        return f"< {least:.{digits}f} %"
    if 1 - least / 200 < share < 1:
        return f"> {100 - least:.{digits}f} %"
    return f"{100 * share:.{digits}f} %"


def text_table(rows: Sequence[tuple[str, ...]], right: bool = False) -> str:
    """Align the cells of each column; those after the first to the right, if asked."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for first, *rest in rows:
        cells = [cell.rjust(n) if right else cell.ljust(n) for cell, n in zip(rest, widths[1:], strict=True)]
        lines.append("  ".join([first.ljust(widths[0]), *cells]).rstrip())
    return "\n".join(lines)


def html_table(rows: Sequence[tuple[str, ...]], head: bool = False) -> str:
    """Write the rows as an HTML table; with `head`, the first one is the heading."""

    def row(cells: Sequence[str], top: bool) -> str:
        tags = ["th" if top or not i else "td" for i in range(len(cells))]
        inside = (f"<{tag}>{html.escape(cell)}</{tag}>" for tag, cell in zip(tags, cells, strict=True))
        return f"<tr>{''.join(inside)}</tr>"

    return "<table>" + "".join(row(cells, head and not i) for i, cells in enumerate(rows)) + "</table>"
