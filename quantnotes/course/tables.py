"""Tables for the notebooks: HTML where it can be shown, aligned text elsewhere.

`table` shows rows that a cell has computed; `spread_table` computes a quantity for several seeds or texts and
shows its median and its extremes. Numbers stand to the right, and a column of floats has one number of
decimals. Not covered: sorting, colours, data frames.
"""

from __future__ import annotations

import itertools
import math
import numbers
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from quantnotes.tables import html_table, percent, text_table

Format = str | Callable[[Any], str]
_REPEATED = ("seeds", "texts")  # the parameters that a spread may run over


@dataclass(frozen=True, repr=False)
class Table:
    """A table as text: prints aligned, and renders as HTML in a notebook; see :func:`table`.

    Attributes
    ----------
    columns : tuple of str
        The heads.
    rows : tuple of tuple of str
        The cells, as they are shown.
    right : tuple of bool
        Which columns hold numbers, and stand to the right.
    caption : str
        A line above the table; empty for none.

    Examples
    --------
    >>> print(Table(("bits", "dB"), (("8", "43.1"),), (True, True), "A sine"))
    A sine
    bits    dB
       8  43.1
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    right: tuple[bool, ...]
    caption: str = ""

    def __str__(self) -> str:
        text = text_table([self.columns, *self.rows], self.right)
        return f"{self.caption}\n{text}" if self.caption else text

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        return html_table([self.columns, *self.rows], head=True, right=self.right, caption=self.caption)


def table(
    rows: Mapping[str, Any] | Iterable[Any],
    columns: Sequence[str] = (),
    *,
    digits: int | Mapping[str, int] | None = None,
    formats: Mapping[str, Format] | None = None,
    caption: str = "",
) -> Table:
    """Show rows as a table.

    Parameters
    ----------
    rows : mapping or iterable
        Rows, or a mapping of names to rows; a name is its row's first cell. A row is a sequence of cells, a
        mapping of column heads to cells, or a single cell.
    columns : sequence of str
        The heads, with their units. The head above the names of a mapping may be left out. May be empty if
        the rows are mappings.
    digits : int or mapping of heads to int, optional
        Decimals of the floats. By default, as many as give the largest number of the column three digits.
    formats : mapping of heads to str or function, optional
        How to write the numbers of a column: a format specification such as ``".2e"``, a function, or
        ``"%"`` for a share in percent, in which what is not 0 never reads as 0.
    caption : str
        A line above the table.

    Returns
    -------
    Table

    Raises
    ------
    ValueError
        If a row does not have one cell for each head, or if `digits` or `formats` name a head that is not
        there.

    Notes
    -----
    None is an empty cell, a bool is yes or no, and a number of five digits or more has commas.

    Examples
    --------
    >>> table({"min-max": [0.0412, 31.26], "mse": [0.0263, 33.1]}, ["range", "S", "SQNR (dB)"])
    range         S  SQNR (dB)
    min-max  0.0412       31.3
    mse      0.0263       33.1
    """
    cells, heads, named = _cells(rows, tuple(columns))
    places = digits if isinstance(digits, Mapping) else dict.fromkeys(heads, digits)
    formats = formats or {}
    for name, given in (("digits", places), ("formats", formats)):
        if unknown := sorted(set(given) - set(heads)):
            raise ValueError(f"{name} names {unknown[0]!r}, which is not among the heads {list(heads)}")
    by_column = list(zip(*cells, strict=True)) or [()] * len(heads)
    if named:
        formats = {heads[0]: _as_given, **formats}
    shown = [
        _written(column, places.get(head), formats.get(head))
        for head, column in zip(heads, by_column, strict=True)
    ]
    right = tuple(any(map(_is_number, column)) and not _has_text(column) for column in by_column)
    return Table(heads, tuple(zip(*shown, strict=True)), right, caption)


def spread(values: Iterable[float], digits: int = 1) -> str:
    """Write the median of several values, and in brackets the smallest and the largest.

    Parameters
    ----------
    values : iterable of float
        One of each seed or text.
    digits : int, default 1
        Decimals.

    Returns
    -------
    str

    Examples
    --------
    >>> spread([31.2, 30.9, 33.0])
    '31.2 (30.9 to 33.0)'
    """
    middle, low, high = (_fixed(value, digits) for value in _three(values))
    return f"{middle} ({low} to {high})"


def spread_table(
    function: Callable[..., Any],
    *,
    unit: str = "",
    digits: int | None = None,
    columns: Sequence[str] = (),
    **parameters: Any,
) -> Table:
    """Compute a quantity for several seeds or texts, and show its median, smallest and largest value.

    Parameters
    ----------
    function : callable
        Takes one value of each parameter, in the order given here, and then one seed or text. Returns a
        number, or several: a mapping of column heads to numbers, or a tuple that `columns` names.
    unit : str
        The unit of what it returns.
    digits : int, optional
        Decimals; by default as in :func:`table`.
    columns : sequence of str
        The names of the numbers, where `function` returns a tuple.
    **parameters
        ``seeds`` or ``texts``, over which the spread is taken. And the values of each other parameter, one
        row for each combination; a mapping gives each value a name to show. A single value is passed on, and
        not shown.

    Returns
    -------
    Table
        One row for each combination, below how many seeds or texts there were. A single number has a column
        each for median, smallest and largest; of several, each has one column, as :func:`spread` writes it.

    Raises
    ------
    ValueError
        If there is nothing to take the spread over.

    Examples
    --------
    >>> def largest(count, seed):
    ...     return np.random.default_rng(seed).normal(size=count).max()
    >>> spread_table(largest, count=[100, 10_000], seeds=range(20), unit="σ")
    20 seeds
     count  median (σ)  smallest (σ)  largest (σ)
       100        2.39          1.73         3.32
    10,000        3.87          3.41         4.65
    """
    over = next((name for name in _REPEATED if name in parameters), "seeds")
    repeated = _choices(parameters.pop(over, ()))
    if not repeated:
        raise ValueError(f"there is nothing to take the spread over: give {over}= at least one value")
    shown = [name for name, values in parameters.items() if _is_many(values)]
    chosen = list(itertools.product(*(_choices(values) for values in parameters.values())))
    labels, found = [], []
    for row in chosen:
        labels.append([label for name, (label, _) in zip(parameters, row, strict=True) if name in shown])
        arguments = [value for _, value in row]
        found.append([_named(function(*arguments, one), columns) for _, one in repeated])
    names = list(found[0][0]) if found else []
    values = {name: [[result[name] for result in results] for results in found] for name in names}
    places = {
        name: _decimals([*itertools.chain(*rows), *map(_median, rows)], digits)
        for name, rows in values.items()
    }
    counted = f"{len(repeated)} {over if len(repeated) > 1 else over.removesuffix('s')}"
    if names == [""]:
        heads = ["median", "smallest", "largest"]
        body = [[_fixed(value, places[""]) for value in _three(row)] for row in values[""]]
    else:
        heads, counted = names, f"median (smallest to largest) of {counted}"
        body = [[spread(values[name][i], places[name]) for name in names] for i in range(len(found))]
    heads = [f"{head} ({unit})" if unit else head for head in heads]
    made = table(
        [[*label, *cells] for label, cells in zip(labels, body, strict=True)],
        [*shown, *heads],
        formats=dict.fromkeys(shown, _as_given),
        caption=counted,
    )
    return replace(made, right=(*made.right[: len(shown)], *(len(heads) * [names == [""]])))


def _cells(
    rows: Mapping[str, Any] | Iterable[Any], columns: tuple[str, ...]
) -> tuple[list[list[Any]], tuple[str, ...], bool]:
    """Return the cells, a head for each column, and whether the first column is that of a mapping's names."""
    named = isinstance(rows, Mapping)
    labels = [[label] for label in rows] if named else itertools.repeat([])
    bodies = list(rows.values() if isinstance(rows, Mapping) else rows)
    if bodies and isinstance(bodies[0], Mapping):
        keys = tuple(bodies[0])
        columns = columns or keys
        bodies = [[body[key] for key in keys] for body in bodies]
    bodies = [list(body) if _is_many(body) else [body] for body in bodies]
    cells = [[*label, *body] for label, body in zip(labels, bodies, strict=False)]
    if named and bodies and len(columns) == len(bodies[0]):
        columns = ("", *columns)
    for row in cells:
        if len(row) != len(columns):
            raise ValueError(f"a row has {len(row)} cells and there are {len(columns)} heads: {row}")
    return cells, columns, named


def _is_many(values: object) -> bool:
    if isinstance(values, np.ndarray):
        return values.ndim > 0
    return isinstance(values, Iterable) and not isinstance(values, str)


def _is_number(cell: object) -> bool:
    return isinstance(cell, numbers.Real) and not isinstance(cell, bool | np.bool_)


def _has_text(column: Iterable[object]) -> bool:
    return any(isinstance(cell, str) for cell in column)


def _written(column: Sequence[Any], digits: int | None, form: Format | None) -> list[str]:
    """Write the cells of a column: integers alone without decimals."""
    figures = [cell for cell in column if _is_number(cell)]
    if form is None and all(isinstance(cell, numbers.Integral) for cell in figures):
        form = _as_given
    places = _decimals(figures, digits)
    return [_one(cell, places, form) for cell in column]


def _one(cell: Any, places: int, form: Format | None) -> str:
    if cell is None:
        return ""
    if isinstance(cell, bool | np.bool_):
        return "yes" if cell else "no"
    if not _is_number(cell) and not callable(form):
        return str(cell)
    if form is None:
        return _fixed(float(cell), places)
    if callable(form):
        return form(cell)
    return percent(float(cell)) if form == "%" else format(cell, form)


def _as_given(cell: Any) -> str:
    """Write a value as its cell of code does: an integer with commas from five digits on."""
    if isinstance(cell, numbers.Integral):
        return f"{int(cell):,}" if abs(int(cell)) >= 10_000 else str(int(cell))
    return f"{float(cell):.12g}" if _is_number(cell) else str(cell)


def _decimals(figures: Iterable[Any], digits: int | None) -> int:
    """Return how many decimals give the largest of the numbers three digits, if none are asked for."""
    if digits is not None:
        return digits
    figures = list(figures)
    if all(isinstance(figure, numbers.Integral) for figure in figures):
        return 0
    sizes = map(abs, map(float, figures))
    largest = max((size for size in sizes if 0 < size < math.inf), default=1.0)
    return min(max(2 - math.floor(math.log10(largest)), 0), 12)


def _fixed(value: float, places: int) -> str:
    """Write a number with so many decimals; 0 has no sign."""
    commas = "," if 1e4 <= abs(value) < math.inf else ""
    return f"{round(value, places) + 0.0:{commas}.{places}f}"


def _three(values: Iterable[float]) -> tuple[float, float, float]:
    """Return the median, the smallest and the largest."""
    array = np.array(list(values), np.float64)
    return float(np.median(array)), float(array.min()), float(array.max())


def _median(row: Sequence[float]) -> float:
    """Return the median, an integer where it is one; the sum of two NumPy integers could overflow."""
    middle: float = statistics.median(np.asarray(row).tolist())
    return middle


def _choices(values: Any) -> list[tuple[Any, Any]]:
    """Return each value of a parameter with the name it is shown by."""
    if isinstance(values, Mapping):
        return list(values.items())
    return [(value, value) for value in values] if _is_many(values) else [(values, values)]


def _named(result: Any, columns: Sequence[str]) -> Mapping[str, float]:
    """Return the numbers of one result by name; one alone has the name ""."""
    if isinstance(result, Mapping):
        return result
    if not _is_many(result):
        return {"": result}
    names = columns or getattr(result, "_fields", ())
    if len(names) != len(result):
        raise ValueError(f"the function returns {len(result)} numbers: name them by columns=")
    return dict(zip(names, result, strict=True))
