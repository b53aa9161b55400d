"""Read and write the tables of notebooks/data: CSV files whose first line names the columns.

Not covered: what their cells mean; whether a table built anew agrees, see the tool that builds it.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


def read_rows(path: Path) -> list[dict[str, str]]:
    """Return the rows of a file, each by the names of its columns."""
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def write_rows(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows to a file, with the columns of the row that has most; cells that others lack stay empty."""
    longest = max(rows, key=len)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(longest), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
