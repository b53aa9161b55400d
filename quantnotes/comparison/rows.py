"""What is told of a tensor at a bit width, and how it is written: as text, JSON or CSV.

Names come from files, so whatever is not printable in them is escaped.

Not covered: where the rows go, and HTML, see :mod:`quantnotes.tables`.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from quantnotes.comparison.array import Comparison, Trial, span


def plain(text: str) -> str:
    r"""Escape what is not printable, such as line feeds and the codes that steer a terminal.

    Examples
    --------
    >>> print(plain("a\x1b[31m"))
    a\x1b[31m
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


COLUMNS = (
    *("tensor", "values", "bits", "symmetric min-max", "recommended", "scales", "SQNR, dB", "S", "Z"),
    *("thin tail", "finer scales"),
)


@dataclass(frozen=True)
class Row:
    """The recommended trial of a tensor at a bit width, beside symmetric min-max with one scale."""

    file: str  # its name; empty if there is but one
    tensor: str
    shape: tuple[int, ...]
    found: Comparison
    bits: int

    @property
    def best(self) -> Trial:
        """The recommended trial."""
        return self.found.best(self.bits)

    @property
    def name(self) -> str:
        """The name of the tensor, after that of its file where there are several."""
        return f"{self.file}: {self.tensor}" if self.file else self.tensor

    @property
    def sqnr(self) -> float:
        """SQNR of the recommended trial in dB."""
        return self.best.ledger.sqnr_db

    @property
    def plain_sqnr(self) -> float:
        """SQNR of symmetric min-max with one scale in dB."""
        return self.found.trial(self.bits, "symmetric", "minmax").ledger.sqnr_db

    def cells(self) -> tuple[str, ...]:
        """Return the cells of a table with the heading :data:`COLUMNS`."""
        best, tail = self.best, self.found.tail
        finer = self.found.worthwhile if self.bits == self.found.bits[0] else {}
        return (
            plain(self.name),
            f"{tail.total}",
            f"{self.bits}",
            f"{self.plain_sqnr:.1f}",
            f"{best.scheme}, {best.method}",
            best.scales,
            f"{self.sqnr:.1f}",
            span(best.params.scale),
            span(best.params.zero_point),
            f"{tail.count} of {tail.total}" if tail.thin else "",
            ", ".join(f"axis {axis}: {sqnr:.1f}" for axis, sqnr in finer.items()),
        )

    def record(self) -> dict[str, Any]:
        """Return the row for machines: numbers, lists, strings, and None for a ratio that is infinite."""
        best = self.best
        return {name: value(self, best) for name, value in RECORD.items()}


RECORD: dict[str, Callable[[Row, Trial], Any]] = {  # of a row and its best trial
    "file": lambda row, best: row.file,
    "tensor": lambda row, best: row.tensor,
    "shape": lambda row, best: list(row.shape),
    "values": lambda row, best: row.found.tail.total,
    "bits": lambda row, best: row.bits,
    "scheme": lambda row, best: best.scheme,
    "method": lambda row, best: best.method,
    "axis": lambda row, best: best.params.axis,
    "block_size": lambda row, best: best.params.block_size,
    "qmin": lambda row, best: best.params.grid.qmin,
    "qmax": lambda row, best: best.params.grid.qmax,
    "scale": lambda row, best: np.asarray(best.params.scale).tolist(),
    "zero_point": lambda row, best: np.asarray(best.params.zero_point).tolist(),
    "sqnr_db": lambda row, best: _finite(best.ledger.sqnr_db),
    "minmax_sqnr_db": lambda row, best: _finite(row.plain_sqnr),
    "bits_per_value": lambda row, best: best.bits_per_value,
    "clipped": lambda row, best: best.ledger.clipped_low + best.ledger.clipped_high,
    "codes_used": lambda row, best: best.ledger.codes_used,
    "thin_tail": lambda row, best: row.found.tail.count if row.found.tail.thin else 0,
}


def rows_of(file: str, tensor: str, shape: tuple[int, ...], found: Comparison) -> list[Row]:
    """Return the rows of a tensor, one for each bit width."""
    return [Row(file, tensor, shape, found, bits) for bits in found.bits]


_WIDTHS = (16, 11, 4, 17, 22, 16, 8, 22, 12, 19, 0)  # least width of each column where rows are not yet known
_DROPPED = (10, 9, 3, 1, 8, 7, 5)  # columns that a narrow terminal does without, the first to go first


class TextWriter:
    """Lines of a table whose rows are not yet known: as wide as a terminal, or as they need.

    Parameters
    ----------
    names : sequence of str
        Of all rows to come.
    width : int, optional
        Of the terminal; None leaves names and columns whole.
    """

    between = foot = ""

    def __init__(self, names: Sequence[str], width: int | None) -> None:
        longest = max((len(plain(name)) for name in names), default=0)
        widths = [max(len(head), least) for head, least in zip(COLUMNS, _WIDTHS, strict=True)]
        widths[0] = max(len(COLUMNS[0]), longest)
        kept = list(range(len(COLUMNS)))
        if width is not None:
            least = min(widths[0], _WIDTHS[0])
            for column in _DROPPED:
                if least + sum(widths[i] + 2 for i in kept[1:]) <= width:
                    break
                kept.remove(column)
            widths[0] = max(least, min(widths[0], width - sum(widths[i] + 2 for i in kept[1:])))
        self._columns = [(i, widths[i]) for i in kept]

    def head(self) -> str:
        """Return the heading."""
        return self._line(COLUMNS)

    def row(self, row: Row) -> str:
        """Return the line of a row."""
        return self._line(row.cells())

    def _line(self, cells: tuple[str, ...]) -> str:
        (_, width), *others = self._columns
        shown = [cells[i].rjust(n) for i, n in others]
        return "  ".join([shortened(cells[0], width).ljust(width), *shown]).rstrip() + "\n"


class JsonWriter:
    """One JSON document, an array, of which each row is written as soon as it is known."""

    between, foot = ",", "\n]\n"

    def head(self) -> str:
        """Open the array."""
        return "["

    def row(self, row: Row) -> str:
        """Return an element of the array."""
        return "\n" + json.dumps(row.record(), allow_nan=False)


class CsvWriter:
    """Comma-separated values with a heading; several scales or zero points are a JSON array in one cell."""

    between = foot = ""

    def head(self) -> str:
        """Return the heading."""
        return _csv_line(list(RECORD))

    def row(self, row: Row) -> str:
        """Return the line of a row."""
        return _csv_line([_csv_cell(value) for value in row.record().values()])


Writer = TextWriter | JsonWriter | CsvWriter


def _csv_line(cells: Sequence[str]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(cells)
    return line.getvalue()


def _csv_cell(value: Any) -> str:
    if isinstance(value, str):
        return plain(value)
    return "" if value is None else json.dumps(value)


def _finite(decibels: float) -> float | None:
    return decibels if math.isfinite(decibels) else None


def shortened(name: str, width: int) -> str:
    """Cut out the middle of a name that is too long.

    Examples
    --------
    >>> shortened("encoder.layer.0.weight", 15)
    'encode...weight'
    """
    if len(name) <= width:
        return name
    front = (width - 3) // 2
    return f"{name[:front]}...{name[len(name) - (width - 3 - front) :]}"


def sorted_rows(groups: Sequence[list[Row]], key: str) -> Iterator[Row]:
    """Yield the rows, tensors sorted by name, by number of values, or by what is lost: the worst first."""
    keys = {
        "name": lambda rows: rows[0].name,
        "values": lambda rows: -rows[0].found.tail.total,
        "sqnr": lambda rows: rows[0].sqnr,
        "gain": lambda rows: rows[0].plain_sqnr - rows[0].sqnr if rows[0].plain_sqnr < math.inf else 0.0,
    }
    for rows in sorted(groups, key=keys[key]):
        yield from rows
