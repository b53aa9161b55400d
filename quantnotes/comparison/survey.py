"""`compare`: one call for an array or for all tensors of a file.

Not covered: the comparison itself, see :mod:`quantnotes.comparison.array`.
"""

from __future__ import annotations

import html
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import overload

from numpy.typing import ArrayLike

from quantnotes.comparison.array import Comparison, compare_array
from quantnotes.comparison.files import Stored, open_tensors
from quantnotes.tables import html_table, text_table

_COLUMNS = (
    "tensor",
    "values",
    "bits",
    "symmetric min-max",
    "recommended",
    "SQNR, dB",
    "finer scales",
    "thin tail",
)

Progress = Callable[[Sequence[Stored]], Iterable[Stored]]


@dataclass(frozen=True, repr=False)
class Survey:
    """The comparison of each tensor of a file. Prints as one table, a tensor a row, and renders as HTML.

    Attributes
    ----------
    comparisons : mapping of str to Comparison
        By the tensor's name, in the order of the file.
    skipped : mapping of str to str
        Tensors that were not compared, and why.

    Examples
    --------
    >>> print(Survey({"bias": compare([0.0, 0.5, 1.0, 3.0], bits=4)}, {"ids": "holds int64"}))
    tensor  values  bits  symmetric min-max         recommended  SQNR, dB  finer scales  thin tail
    bias         4     4               26.0  asymmetric, minmax      30.1
    <BLANKLINE>
    skipped ids: holds int64
    """

    comparisons: Mapping[str, Comparison]
    skipped: Mapping[str, str]

    def _rows(self) -> Sequence[tuple[str, ...]]:
        rows: list[tuple[str, ...]] = [_COLUMNS]
        for name, found in self.comparisons.items():
            tail = found.tail
            few = f"{tail.count} of {tail.total}" if tail.thin else ""
            for bits in found.bits:
                best, plain = found.best(bits), found.trial(bits, "symmetric", "minmax")
                finer = ", ".join(f"axis {a}: {sqnr:.1f}" for a, sqnr in found.worthwhile.items())
                rows.append(
                    (
                        name,
                        f"{tail.total}",
                        f"{bits}",
                        f"{plain.ledger.sqnr_db:.1f}",
                        f"{best.scheme}, {best.method}",
                        f"{best.ledger.sqnr_db:.1f}",
                        finer if bits == found.bits[0] else "",
                        few,
                    )
                )
        return rows

    def _notes(self) -> list[str]:
        thin = [name for name, found in self.comparisons.items() if found.tail.thin]
        notes = []
        if thin:
            notes.append(
                "thin tail: so few values lie beyond half of the largest magnitude and decide the scale of "
                "min-max. A tensor cannot tell whether they are noise or signal: compare it alone to see "
                "where they are, and measure where it is consumed."
            )
        return notes + [f"skipped {name}: {why}" for name, why in self.skipped.items()]

    def __str__(self) -> str:
        table = text_table(self._rows(), right=True) if self.comparisons else "no tensor to compare"
        return "\n".join([table, *([""] if self._notes() else []), *self._notes()])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        words = "".join(f"<p>{html.escape(note)}</p>" for note in self._notes())
        return html_table(self._rows(), head=True) + words


@overload
def compare(  # type: ignore[overload-overlap]  # NumPy counts a string among its array-likes
    x: str | os.PathLike[str], *, bits: int | Sequence[int] = (8, 4), tensor: str | None = None
) -> Comparison | Survey: ...


@overload
def compare(x: ArrayLike, *, bits: int | Sequence[int] = (8, 4), tensor: None = None) -> Comparison: ...


def compare(
    x: ArrayLike | str | os.PathLike[str],
    *,
    bits: int | Sequence[int] = (8, 4),
    tensor: str | None = None,
) -> Comparison | Survey:
    """Try every range method, both schemes and some bit widths on a tensor, or on each tensor of a file.

    Parameters
    ----------
    x : array_like, or path
        Finite real numbers, any shape, at least one; or a ``.npy``, ``.npz`` or ``.safetensors`` file.
    bits : int or sequence of int, default (8, 4)
        Bit widths of signed grids, 2 to 16.
    tensor : str, optional
        Which tensor of a file. Without it, all of them.

    Returns
    -------
    Comparison
        Of an array, of the tensor that was named, or of the only one in the file.
    Survey
        Of a file with several: a comparison for each, and what was skipped.

    Raises
    ------
    TypeError
        If `x` holds no real numbers, or `tensor` is given with an array.
    ValueError
        If `x` is empty or not finite, `bits` is out of range, a file cannot be read or lacks the tensor, or
        the tensor that is named or alone in it cannot be compared.
    ModuleNotFoundError
        If a file needs a package that is not installed; the message names it.

    Notes
    -----
    An array of more than 2**20 values is counted into a `Histogram` once, and its ranges are chosen from
    that; the ledgers are always of all values.

    Examples
    --------
    >>> found = compare([0.0, 0.5, 1.0, 3.0], bits=4)
    >>> found.best().scheme, found.best().method
    ('asymmetric', 'minmax')
    """
    if not isinstance(x, (str, os.PathLike)):
        if tensor is not None:
            raise TypeError("tensor names one tensor of a file, but x is an array")
        return compare_array(x, bits)
    found = survey(x, bits=bits, tensor=tensor)
    if len(found.comparisons) + len(found.skipped) > 1:
        return found
    for name, why in found.skipped.items():
        raise ValueError(f"{name} {why}")
    for only in found.comparisons.values():
        return only
    raise ValueError(f"{os.fspath(x)} holds no tensor")


def survey(
    path: str | os.PathLike[str],
    *,
    bits: int | Sequence[int] = (8, 4),
    tensor: str | None = None,
    progress: Progress = iter,
) -> Survey:
    """Compare the tensors of a file, one after the other; never more than one is in memory.

    Parameters
    ----------
    path : path
        A ``.npy``, ``.npz`` or ``.safetensors`` file.
    bits : int or sequence of int, default (8, 4)
        Bit widths of signed grids.
    tensor : str, optional
        Compare this one alone.
    progress : callable, optional
        Wraps the sequence of tensors and yields them in order, as ``tqdm`` does.

    Returns
    -------
    Survey

    Raises
    ------
    ValueError
        If the file cannot be read or lacks the tensor, or `bits` is out of range.
    ModuleNotFoundError
        If a package is missing that the format needs.
    """
    comparisons: dict[str, Comparison] = {}
    skipped: dict[str, str] = {}
    compare_array([0.0], bits)  # a wrong bit width is the caller's mistake, not a tensor's
    with open_tensors(path) as stored:
        if tensor is not None:
            names = [each.name for each in stored]
            stored = [each for each in stored if each.name == tensor]
            if not stored:
                raise ValueError(f"there is no tensor {tensor!r}; the file holds {', '.join(names)}")
        for each in progress(stored):
            try:
                comparisons[each.name] = compare_array(each.read(), bits)
            except ValueError as error:
                skipped[each.name] = str(error)
    return Survey(comparisons, skipped)
