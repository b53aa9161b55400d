"""Every way of choosing a range, tried on one tensor: a table, a recommendation, and what it cannot know.

A tensor alone says what each choice does to *it*. Whether a far value is noise or signal, and what the error
does to the network, it does not say; so a thin tail is reported with its place, never silently kept or
dropped. Left out: files, see :mod:`quantnotes.comparison.survey`.
"""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from quantnotes.calibration import METHODS, choose_range, make_params
from quantnotes.checks import as_real, nan_error, some_finite_data
from quantnotes.grid import IntGrid
from quantnotes.histogram import Histogram
from quantnotes.mapping import QuantParams
from quantnotes.mse import Scheme
from quantnotes.ranges import Range, minmax_range
from quantnotes.saturation import CodeLedger, code_ledger
from quantnotes.tables import html_table, percent, text_table

SCHEMES: tuple[Scheme, ...] = ("asymmetric", "symmetric")
_SIMPLER = 0.5  # dB that a simpler choice may cost before the better one is recommended
_WORTH = 3.0  # dB that finer scales must gain to be mentioned
_BINNED = 2**20  # a longer array is counted once, and its ranges are chosen from the histogram
_THIN = 10_000  # a tail is thin if it holds at most one value of so many, or one alone
_FEW = 20  # below so many values a tail cannot be told from the rest
_MOST_CHANNELS = 2**16
_SHOWN = 3  # places of a tail that are named


@dataclass(frozen=True, repr=False)
class Trial:
    """One choice and what became of the tensor.

    Attributes
    ----------
    bits : int
    scheme : {"asymmetric", "symmetric"}
    method : {"minmax", "histogram", "percentile", "mse", "entropy"}
    range : Range
        What the method chose.
    ledger : CodeLedger
        What the parameters made of it did.
    """

    bits: int
    scheme: Scheme
    method: str
    range: Range
    ledger: CodeLedger

    @property
    def params(self) -> QuantParams:
        """S and Z of this choice."""
        return self.ledger.params

    def __repr__(self) -> str:
        bounds = f"{self.range.rmin:.4g} .. {self.range.rmax:.4g}"
        return f"Trial({self.bits} bits, {_name(self)}, {bounds}, {self.ledger.sqnr_db:.1f} dB)"


@dataclass(frozen=True)
class Tail:
    """The values beyond half of the largest magnitude: those for which half of the codes are kept.

    Attributes
    ----------
    count, total : int
        How many they are, and of how many.
    largest : tuple of (index, value)
        The first few, largest magnitude first; an index is a tuple of int.
    rest : float
        The largest magnitude that would be left without them.
    """

    count: int
    total: int
    largest: tuple[tuple[tuple[int, ...], float], ...]
    rest: float

    @property
    def thin(self) -> bool:
        """True if so few values decide the scale that they could be a fault of the data.

        At most one of 10,000, or one alone.
        """
        return self.total >= _FEW and 0 < self.count <= max(1, self.total // _THIN)


@dataclass(frozen=True, repr=False)
class Comparison:
    """What `compare` found. Prints as a table with a recommendation, and renders as HTML in a notebook.

    Attributes
    ----------
    trials : tuple of Trial
        The most bits first, and for as many bits the best signal-to-noise ratio first.
    tail : Tail
        The values that decide the scale of min-max.
    finer : mapping of int to float
        SQNR in dB at the most bits with one scale for each index of an axis, by axis.

    Examples
    --------
    >>> print(compare_array([*range(-50, 51), 1000.0], bits=8).recommendation)  # doctest: +ELLIPSIS
    8 bits: asymmetric, minmax, 38.9 dB; no other choice is better.
    A thin tail: one value of 102 sets the range: 1000 at (101,); without, the largest magnitude is 50. ...
    """

    trials: tuple[Trial, ...]
    tail: Tail
    finer: Mapping[int, float]

    @property
    def bits(self) -> tuple[int, ...]:
        """The bit widths that were tried, the most first."""
        return tuple(dict.fromkeys(trial.bits for trial in self.trials))

    def trial(self, bits: int, scheme: Scheme, method: str) -> Trial:
        """Return one trial; ValueError if it is not there."""
        for trial in self.trials:
            if (trial.bits, trial.scheme, trial.method) == (bits, scheme, method):
                return trial
        raise ValueError(f"there is no trial of {bits} bits, {scheme}, {method}")

    @property
    def worthwhile(self) -> dict[int, float]:
        """Those of the finer scales that gain more than 3 dB over the recommended trial."""
        least = self.best().ledger.sqnr_db + _WORTH
        return {axis: sqnr for axis, sqnr in self.finer.items() if sqnr > least}

    def best(self, bits: int | None = None) -> Trial:
        """Return the recommended trial: the simplest within half a decibel of the best.

        Simpler is symmetric before asymmetric, and then min-max before the other methods.

        Parameters
        ----------
        bits : int, optional
            Of how many bits; without it, the most that were tried.

        Raises
        ------
        ValueError
            If so many bits were not tried.
        """
        bits = self.bits[0] if bits is None else bits
        rivals = [trial for trial in self.trials if trial.bits == bits]
        if not rivals:
            raise ValueError(f"bits must be one of those that were compared, got {bits!r}")
        enough = rivals[0].ledger.sqnr_db - _SIMPLER
        return min(
            (trial for trial in rivals if trial.ledger.sqnr_db >= enough),
            key=lambda trial: (trial.scheme != "symmetric", trial.method != "minmax", -trial.ledger.sqnr_db),
        )

    @property
    def recommendation(self) -> str:
        """What to use, in words, and what the tensor alone cannot tell."""
        lines = [self._choice(bits) for bits in self.bits]
        return "\n".join([*lines, *self._finer(), *self._tail()])

    def _choice(self, bits: int) -> str:
        best, top = self.best(bits), next(trial for trial in self.trials if trial.bits == bits)
        if best.ledger.sqnr_db == math.inf:
            return f"{bits} bits: {_name(best)}; every value is exact."
        text = f"{bits} bits: {_name(best)}, {best.ledger.sqnr_db:.1f} dB"
        gap = top.ledger.sqnr_db - best.ledger.sqnr_db
        if gap < 0.05:
            return text + "; no other choice is better."
        return text + f"; {_name(top)} is better by {gap:.1f} dB and less simple."

    def _finer(self) -> list[str]:
        if not self.worthwhile:
            return []
        each = ", ".join(f"axis {axis} {sqnr:.1f} dB" for axis, sqnr in self.worthwhile.items())
        return [
            f"A scale for each index of an axis (symmetric, min-max): {each}. A weight's output axis costs "
            "nothing at run time; for an activation, a scale for each token is taken while the network runs."
        ]

    def _tail(self) -> list[str]:
        tail = self.tail
        if not tail.thin:
            return []
        places = ", ".join(f"{value:.4g} at {index}" for index, value in tail.largest)
        more = ", ..." if tail.count > len(tail.largest) else ""
        some = "one value" if tail.count == 1 else f"{tail.count} values"
        sets = "sets" if tail.count == 1 else "set"
        return [
            f"A thin tail: {some} of {tail.total:,} {sets} the range: {places}{more}; without, the largest "
            f"magnitude is {tail.rest:.4g}. The tensor alone cannot tell whether that is noise or signal. "
            "Does it come back on other data, at the same place? Does what follows miss it? Measure there "
            "before you cut it off."
        ]

    def _rows(self) -> Sequence[tuple[str, ...]]:
        head = ("bits", "scheme", "method", "range", "codes used", "entropy, bits", "clipped", "SQNR, dB")
        return [head, *(_row(trial) for trial in self.trials)]

    def __str__(self) -> str:
        return f"{text_table(self._rows(), right=True)}\n\n{self.recommendation}"

    __repr__ = __str__

    def _repr_html_(self) -> str:
        words = "".join(f"<p>{html.escape(line)}</p>" for line in self.recommendation.splitlines())
        return html_table(self._rows(), head=True) + words


def _name(trial: Trial) -> str:
    return f"{trial.scheme}, {trial.method}"


def _row(trial: Trial) -> tuple[str, ...]:
    ledger = trial.ledger
    return (
        f"{trial.bits}",
        trial.scheme,
        trial.method,
        f"{trial.range.rmin:.4g} .. {trial.range.rmax:.4g}",
        f"{ledger.codes_used} of {ledger.codes_available}",
        f"{ledger.code_entropy_bits:.2f}",
        percent(ledger.clipped_low + ledger.clipped_high),
        f"{ledger.sqnr_db:.1f}",
    )


def compare_array(x: ArrayLike, bits: int | Sequence[int] = (8, 4)) -> Comparison:
    """Try every range method, both schemes and some bit widths on an array: see :func:`compare`.

    Examples
    --------
    >>> found = compare_array([0.0, 0.5, 1.0, 3.0], bits=4)
    >>> found.best().scheme, found.best().method
    ('asymmetric', 'minmax')
    """
    array = as_real(x)
    if np.isnan(array).any():
        raise nan_error(array, "x", "drop them first")
    some_finite_data(array, "raise")
    source = array if array.size <= _BINNED else Histogram().update(array)
    widths = sorted(
        {IntGrid.of(b).codes.bit_length() - 1 for b in np.atleast_1d(bits).tolist()}, reverse=True
    )
    if not widths:
        raise ValueError("bits is empty: name at least one bit width")
    trials = [
        _try(array, source, b, scheme, method) for b in widths for scheme in SCHEMES for method in METHODS
    ]
    trials.sort(key=lambda trial: (-trial.bits, -trial.ledger.sqnr_db))
    return Comparison(tuple(trials), _tail_of(array), _finer_of(array, IntGrid.of(widths[0])))


def _try(x: NDArray[Any], source: NDArray[Any] | Histogram, bits: int, scheme: Scheme, method: str) -> Trial:
    grid = IntGrid.of(bits)
    bounds = choose_range(method, source, grid, scheme)
    return Trial(bits, scheme, method, bounds, code_ledger(x, make_params(bounds, grid, scheme)))


def _tail_of(x: NDArray[Any]) -> Tail:
    magnitudes = np.abs(x.astype(np.float64))
    far = magnitudes > magnitudes.max() / 2
    flat = np.flatnonzero(far)
    first = flat[np.argsort(-magnitudes.flat[flat], kind="stable")[:_SHOWN]]
    indices = [tuple(int(i) for i in np.unravel_index(place, x.shape)) for place in first]
    largest = tuple((index, float(x[index])) for index in indices)
    return Tail(flat.size, x.size, largest, float(magnitudes.max(where=~far, initial=0.0)))


def _finer_of(x: NDArray[Any], grid: IntGrid) -> dict[int, float]:
    """Return the SQNR of symmetric min-max with one scale for each index of an axis, for each axis."""
    worth_it = (axis for axis in range(x.ndim) if 1 < x.shape[axis] < min(x.size, _MOST_CHANNELS))
    return {
        axis: code_ledger(x, make_params(minmax_range(x, axis=axis), grid, "symmetric", axis=axis)).sqnr_db
        for axis in worth_it
    }
