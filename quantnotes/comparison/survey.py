"""`compare`: one call for an array, or for all tensors of a file, of a folder, or of a checkpoint in shards.

Not covered: the comparison itself, see :mod:`quantnotes.comparison.array`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import overload

from numpy.typing import ArrayLike

from quantnotes.checks import as_int
from quantnotes.comparison.array import Comparison, Width, bit_widths, compare_array
from quantnotes.comparison.files import NotCompared, Source, Stored, find_sources, open_tensors
from quantnotes.comparison.roles import GIVEN, RoleName, given_role, role_by_name
from quantnotes.comparison.rows import COLUMNS, plain, rows_of
from quantnotes.tables import Printed

THIN_TAIL = (
    "thin tail: so few values lie beyond half of the largest magnitude and decide the scale of min-max. A "
    "tensor cannot tell whether they are noise or signal: compare it alone to see where they are, and "
    "measure where it is consumed."
)


@dataclass(frozen=True)
class Outcome:
    """What became of a tensor, or of a file that could not be opened."""

    file: str
    tensor: str  # empty for a file
    shape: tuple[int, ...] = ()
    found: Comparison | None = None
    why: str = ""  # there is no comparison
    failed: bool = False  # False too where the tensor was not there to be compared


@dataclass(frozen=True, repr=False)
class Survey(Printed):
    """The comparison of each tensor of a file. Prints as one table, a tensor a row, and renders as HTML.

    Attributes
    ----------
    comparisons : mapping of str to Comparison
        By the tensor's name, in the order of the file; of a folder, "file: tensor".
    skipped : mapping of str to str
        Tensors that were not compared, and why.
    failed : frozenset of str
        Those of them that were there to be compared: damaged, not finite, or too large for the memory.

    Examples
    --------
    >>> print(Survey({"bias": compare([0.0, 0.5, 1.0, 3.0], bits=4)}, {"ids": "holds int64"}))
    tensor  values  bits  symmetric min-max         recommended  scales  SQNR, dB    S   Z
    bias         4     4               26.0  asymmetric, minmax  tensor      30.1  0.2  -8
    <BLANKLINE>
    skipped ids: holds int64
    """

    comparisons: Mapping[str, Comparison]
    skipped: Mapping[str, str]
    failed: frozenset[str] = frozenset()

    def _rows(self) -> Sequence[tuple[str, ...]]:
        rows = [
            row.cells() for name, found in self.comparisons.items() for row in rows_of("", name, (), found)
        ]
        if not rows:
            return [("no tensor to compare",)]
        used = [i for i, column in enumerate(zip(*rows, strict=True)) if any(column)]
        return [tuple(row[i] for i in used) for row in (COLUMNS, *rows)]

    def _notes(self) -> Sequence[str]:
        thin = any(found.tail.thin for found in self.comparisons.values())
        skipped = (
            plain(f"{'failed' if name in self.failed else 'skipped'} {name}: {why}")
            for name, why in self.skipped.items()
        )
        return [*[THIN_TAIL] * thin, *skipped]


@overload
def compare(  # type: ignore[overload-overlap]  # NumPy counts a string among its array-likes
    x: str | os.PathLike[str],
    bits: Width | Sequence[Width] = (8, 4),
    *,
    role: RoleName | None = None,
    channel_axis: int | None = None,
    tensor: str | None = None,
) -> Comparison | Survey: ...


@overload
def compare(
    x: ArrayLike,
    bits: Width | Sequence[Width] = (8, 4),
    *,
    role: RoleName | None = None,
    channel_axis: int | None = None,
    tensor: None = None,
) -> Comparison: ...


def compare(
    x: ArrayLike | str | os.PathLike[str],
    bits: Width | Sequence[Width] = (8, 4),
    *,
    role: RoleName | None = None,
    channel_axis: int | None = None,
    tensor: str | None = None,
) -> Comparison | Survey:
    """Try every range method, both schemes and some bit widths on a tensor, or on each tensor of a file.

    Parameters
    ----------
    x : array_like, or path
        Finite real numbers, any shape, at least one; or a ``.npy``, ``.npz``, ``.safetensors`` or ``.onnx``
        file, a folder of such files, or the ``.safetensors.index.json`` of a checkpoint in shards.
    bits : int, Codebook or sequence of them, default (8, 4)
        Bit widths of signed grids, 2 to 16; and formats, such as ``formats.E4M3``.
    role : {"weight", "activation"}, optional
        What the tensor is for. A weight of rank 2 or more may also have a scale for each index of its output
        axis, and at 4 bits or fewer for each group of 128 or 32 of its inputs. Without it, an array is tried
        with one scale; the tensors of a file are weights if their names and ranks say so, or the graph.
    channel_axis : int, optional
        The axis whose indices may have scales of their own. Without it, the output axis of a weight: 0, or
        what the file says.
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
        If `x` holds no real numbers, `bits` or `channel_axis` no integers, or an array comes with `tensor`.
    ValueError
        If `x` is empty or not finite, `bits` is out of range, `role` unknown, an array or every tensor of a
        file lacks the axis, a file cannot be read or lacks the tensor, or the tensor that is named or alone
        in it cannot be compared.
    ModuleNotFoundError
        If a file needs a package that is not installed; the message names it.

    Notes
    -----
    An array of more than 2**16 values is counted into a `Histogram` once, and its ranges are chosen from
    that, and so is a channel of so many; the ledgers are always of all values. With more than 256 scales only
    "minmax" is tried, since a group has too few values for the other methods; and "mse" where, judged by its
    gain on a sample of the groups, it may be recommended. Of trials with more than 2**18 scales only the best
    for its width and groups is kept; no groups are tried if there were more than 2**22.

    Examples
    --------
    >>> found = compare([0.0, 0.5, 1.0, 3.0], bits=4)
    >>> found.best().scheme, found.best().method
    ('asymmetric', 'minmax')
    """
    if not isinstance(x, (str, os.PathLike)):
        if tensor is not None:
            raise TypeError("tensor names one tensor of a file, but x is an array")
        return compare_array(x, bits, role, channel_axis)
    found = _survey(x, bits, role, channel_axis, tensor)
    if len(found.comparisons) + len(found.skipped) > 1:
        return found
    for name, why in found.skipped.items():
        raise ValueError(f"{name}: {why}")
    for only in found.comparisons.values():
        return only
    raise ValueError(f"{os.fspath(x)} holds no tensor")


def _survey(
    path: str | os.PathLike[str],
    bits: Width | Sequence[Width],
    role: RoleName | None,
    channel_axis: int | None,
    tensor: str | None,
) -> Survey:
    """Compare the tensors of a file, one after the other; never more than one is in memory."""
    sources = find_sources(path)
    several = len(sources) > 1 and sources[0].names is None
    comparisons: dict[str, Comparison] = {}
    skipped: dict[str, str] = {}
    failed: set[str] = set()
    names: list[str] = []

    def wanted(stored: Stored) -> bool:
        names.append(stored.name)
        return tensor in (None, stored.name)

    for source in sources:
        for outcome in outcomes(source, bits, role, channel_axis, wanted):
            if not outcome.tensor and len(sources) == 1:
                raise ValueError(outcome.why)
            name = outcome.tensor or source.label
            if several and outcome.tensor:
                name = f"{source.label}: {name}"
            if outcome.found is not None:
                comparisons[name] = outcome.found
                continue
            skipped[name] = outcome.why
            if outcome.failed:
                failed.add(name)
    if tensor is not None and not comparisons and not skipped:
        raise ValueError(f"there is no tensor {tensor!r}; the file holds {', '.join(names)}")
    if channel_axis is not None and comparisons and not any(map(has_given_axis, comparisons.values())):
        raise ValueError(lacking(channel_axis))
    return Survey(comparisons, skipped, frozenset(failed))


def has_given_axis(found: Comparison) -> bool:
    """Return whether the axis of the channels is the one that was given: tensors without it go on without."""
    return found.role.reason == GIVEN


def lacking(axis: int) -> str:
    """Return what is wrong where no tensor has the axis that was given."""
    return f"no tensor has channels along axis {axis}"


def outcomes(
    source: Source,
    bits: Width | Sequence[Width],
    role: RoleName | None,
    channel_axis: int | None,
    wanted: Callable[[Stored], bool],
    progress: Callable[[float], object] = lambda values: None,
) -> Iterator[Outcome]:
    """Compare the tensors of a file that are wanted, and yield what became of each.

    `bits`, `role` and `channel_axis` are those of :func:`compare`; `progress` is told how many values have
    been done with since it was last called.

    Raises
    ------
    TypeError, ValueError
        If `bits`, `role` or `channel_axis` is wrong: that is the caller's mistake, not a tensor's.
    ModuleNotFoundError
        If a package is missing that the format needs.
    """
    bit_widths(bits)
    given_role(role, None, 0)
    if channel_axis is not None:
        as_int(channel_axis, "channel_axis")
    missing = set(source.names or ())

    def compared(stored: Stored) -> Outcome:
        outcome = partial(Outcome, source.label, stored.name, stored.shape)
        try:
            x = stored.read()
            if x.size == 0:
                raise NotCompared("is empty: there is nothing to compare")
            if role is None and channel_axis is None:
                known = stored.role or role_by_name(stored.name, x.ndim, source.path.suffix.lower())
            else:
                has_axis = channel_axis is not None and x.ndim > 1 and -x.ndim <= channel_axis < x.ndim
                known = given_role(role, channel_axis if has_axis else None, x.ndim)
            return outcome(compare_array(x, bits, known, progress=lambda share: progress(share * x.size)))
        except NotCompared as error:
            return outcome(why=str(error))
        except (ValueError, ModuleNotFoundError) as error:
            return outcome(why=str(error), failed=True)
        except MemoryError:
            return outcome(why="does not fit in memory", failed=True)

    try:
        with open_tensors(source.path) as tensors:
            for stored in tensors:
                missing.discard(stored.name)
                if (source.names is None or stored.name in source.names) and wanted(stored):
                    yield compared(stored)
    except ValueError as error:
        yield Outcome(source.label, "", why=str(error), failed=True)
        return
    why = f"is not in {source.label}, where the index has it"
    yield from (Outcome(source.label, name, why=why, failed=True) for name in sorted(missing))
