"""Rows of text as an aligned table or as HTML: how ledgers and comparisons are shown.

Not covered: numbers; who calls these functions formats them.
"""

from __future__ import annotations

import html
from collections.abc import Sequence

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
    marks = (len(rows[0]) * [right] if isinstance(right, bool) else list(right)) if rows else []
    if isinstance(right, bool):
        marks[:1] = [False]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if mark else cell.ljust(width)
            for cell, width, mark in zip(row, widths, marks, strict=True)
        ).rstrip()
        for row in rows
    )


def html_table(
    rows: Sequence[tuple[str, ...]],
    head: bool = False,
    right: Sequence[bool] | None = None,
    caption: str = "",
) -> str:
    """Write the rows as an HTML table; with `head`, the first one is the heading.

    `right` says which columns stand to the right, the others then to the left; without it, the page decides.
    """
    styles = [""] * len(rows[0]) if right is None else [_STYLES[mark] for mark in right]

    def row(cells: Sequence[str], top: bool) -> str:
        tags = ["th" if top or not i else "td" for i in range(len(cells))]
        inside = (
            f"<{tag}{style}>{html.escape(cell)}</{tag}>"
            for tag, style, cell in zip(tags, styles, cells, strict=True)
        )
        return f"<tr>{''.join(inside)}</tr>"

    above = f"<caption>{html.escape(caption)}</caption>" if caption else ""
    return f"<table>{above}{''.join(row(cells, head and not i) for i, cells in enumerate(rows))}</table>"
