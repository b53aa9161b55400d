"""How well a tensor uses its codes: what the note (section 4) calls saturation, and here is *full use*.

`code_ledger` counts codes, clipping and error of one tensor under given parameters; `ledger_table`
sets several ledgers side by side.

Not covered: choosing the parameters.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from quantnotes import kernels
from quantnotes.checks import as_real, compute_type, finite_ends
from quantnotes.codebook import Codes
from quantnotes.grid import IntGrid
from quantnotes.kernels.ledger import Lanes, account
from quantnotes.mapping import QuantParams, check_params, check_scale, pieces
from quantnotes.tables import Printed, html_table, percent, text_table


@dataclass(frozen=True, eq=False, repr=False)
class CodeLedger:
    """What became of a tensor's values: which codes they use, what was clipped, how large the error is.

    Made by :func:`code_ledger`. Prints as a text table and renders as HTML in a notebook.

    Attributes
    ----------
    params : QuantParams
        S and Z that were used.
    counts : ndarray of int64, shape (codes,)
        How many values have each code, from qmin to qmax; for a format, each of its `reals`.
    clipped_low, clipped_high : float
        Fractions of the values whose rint(x / S) + Z lies below qmin, above qmax; for a format, of those that
        would round past its ends if the outermost steps went on.
    mse : float
        Mean squared error, in the squared unit of the data.
    max_abs_error : float
        Largest absolute error, in the unit of the data.
    sqnr_db : float
        10 log10(mean x**2 / mse) in decibels; inf at zero error.

    Examples
    --------
    >>> from quantnotes import INT4, QuantParams
    >>> print(code_ledger([0.0, 0.5, 1.0, 9.0], QuantParams(0.5, 0, INT4)))
    codes used    4 of 16 (25 %)
    code entropy  2.00 bits
    ends reached  qmax only
    clipped       0.0 % low, 25.0 % high
    RMS error     2.75
    max error     5.5
    SQNR          4.3 dB
    """

    params: QuantParams
    counts: NDArray[np.int64]
    clipped_low: float
    clipped_high: float
    mse: float
    max_abs_error: float
    sqnr_db: float

    @property
    def codes_used(self) -> int:
        """Number of codes that at least one value has."""
        return int(np.count_nonzero(self.counts))

    @property
    def codes_available(self) -> int:
        """Number of codes of the grid."""
        return self.counts.size

    @property
    def code_entropy_bits(self) -> float:
        """Shannon entropy of the codes, in bits: log2(codes) at most, 0 if all values have one code."""
        shares = self.counts[self.counts > 0] / self.counts.sum()
        return float(abs(np.sum(shares * np.log2(shares))))

    @property
    def reaches_qmin(self) -> bool:
        """True if a value has the smallest code."""
        return bool(self.counts[0])

    @property
    def reaches_qmax(self) -> bool:
        """True if a value has the largest code."""
        return bool(self.counts[-1])

    @property
    def fully_used(self) -> bool:
        """True if both end codes are reached, which is all that the note asks of "saturated" (section 4)."""
        return self.reaches_qmin and self.reaches_qmax

    def _rows(self) -> list[tuple[str, str]]:
        ends = {(True, True): "both", (True, False): "qmin only", (False, True): "qmax only"}
        share = self.codes_used / self.codes_available
        return [
            ("codes used", f"{self.codes_used} of {self.codes_available} ({percent(share, 0)})"),
            ("code entropy", f"{self.code_entropy_bits:.2f} bits"),
            ("ends reached", ends.get((self.reaches_qmin, self.reaches_qmax), "none")),
            ("clipped", f"{percent(self.clipped_low)} low, {percent(self.clipped_high)} high"),
            ("RMS error", f"{math.sqrt(self.mse):.3g}"),
            ("max error", f"{self.max_abs_error:.3g}"),
            ("SQNR", f"{self.sqnr_db:.1f} dB"),
        ]

    def __str__(self) -> str:
        return text_table(self._rows())

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return html_table(self._rows())


_COLUMNS = ("", "codes used", "entropy, bits", "ends", "clipped", "SQNR, dB")


@dataclass(frozen=True, repr=False)
class LedgerTable(Printed):
    """Several ledgers side by side, one a row; made by :func:`ledger_table`.

    Attributes
    ----------
    ledgers : mapping of str to CodeLedger
        The rows, by name.

    Examples
    --------
    >>> from quantnotes import INT4, QuantParams
    >>> x = [0.0, 0.5, 1.0, 9.0]
    >>> print(ledger_table({"fine": code_ledger(x, QuantParams(0.5, 0, INT4)),
    ...                     "coarse": code_ledger(x, QuantParams(1.5, 0, INT4))}))
            codes used  entropy, bits  ends  clipped  SQNR, dB
    fine       4 of 16           2.00  qmax   25.0 %       4.3
    coarse     3 of 16           1.50   ---    0.0 %      22.2
    """

    ledgers: Mapping[str, CodeLedger]

    def _rows(self) -> Sequence[tuple[str, ...]]:
        ends = {(True, True): "both", (True, False): "qmin", (False, True): "qmax"}
        return [_COLUMNS] + [
            (
                name,
                f"{ledger.codes_used} of {ledger.codes_available}",
                f"{ledger.code_entropy_bits:.2f}",
                ends.get((ledger.reaches_qmin, ledger.reaches_qmax), "---"),
                percent(ledger.clipped_low + ledger.clipped_high),
                f"{ledger.sqnr_db:.1f}",
            )
            for name, ledger in self.ledgers.items()
        ]


def _ranks(quotient: NDArray[Any], zero_point: NDArray[Any], grid: Codes) -> NDArray[Any]:
    """Return the place of each code in the grid, from 0 on: beyond its ends for what will be clipped."""
    if isinstance(grid, IntGrid):
        np.rint(quotient, out=quotient)
        return np.asarray(np.add(quotient, zero_point - grid.qmin, out=quotient))
    return np.asarray(np.searchsorted(grid.thresholds(quotient.dtype), quotient) - 1)


def code_ledger(x: ArrayLike, params: QuantParams) -> CodeLedger:
    """Quantize `x` and account for every value: codes used, values clipped, error made.

    Parameters
    ----------
    x : array_like
        Finite real numbers, any shape, at least one.
    params : QuantParams
        S and Z. Codes of all channels and blocks are counted together.

    Returns
    -------
    CodeLedger

    Raises
    ------
    TypeError
        If `x` holds no real numbers, or `params` is no QuantParams.
    ValueError
        If `x` is empty, holds NaN or an infinity, or lacks the channels or blocks of `params`.

    Notes
    -----
    Codes and decoded values are those of :func:`quantize` and :func:`dequantize` in the data's compute
    type; the error is taken and summed in float64. What rounds onto an end code is not clipped.

    Examples
    --------
    >>> from quantnotes import INT8, minmax_range, samples, symmetric_params
    >>> x = samples.load("gelu_output")
    >>> code_ledger(x, symmetric_params(*minmax_range(x), INT8)).codes_used
    27
    """
    check_params(params)
    array, grid = as_real(x), params.grid
    compute = compute_type(array.dtype)
    check_scale(params, compute)
    largest = np.finfo(compute).max
    parts = list(pieces(params, compute, array))
    low, high = finite_ends(array)
    # Squares are summed in units of a power of two near the largest value: none overflows, none vanishes.
    unit = math.ldexp(1.0, min(max(math.frexp(max(-low, high))[1], -1000), 1023))
    counts = np.zeros(grid.codes, np.int64)
    below = above = 0
    noise = signal = worst = 0.0
    errors, squares = Lanes(), Lanes()
    if len(parts) == 1 and array.dtype == compute and isinstance(grid, IntGrid):
        s, z, part = parts[0]
        found = account(part, s, z, (grid.qmin, grid.qmax), unit, counts)
        if found is not None:
            below, above, noise, signal, worst = found
            parts = []
    blocks = (kernels.quotients(part, s, z, compute) for s, z, part in parts)
    for block, s, z, quotient in chain.from_iterable(blocks):
        ranks = _ranks(quotient, z, grid)
        below += int(np.count_nonzero(ranks < 0))
        above += int(np.count_nonzero(ranks >= grid.codes))
        np.clip(ranks, 0, grid.codes - 1, out=ranks)
        counts += np.bincount(ranks.astype(np.intp), minlength=grid.codes)
        values = block.astype(np.float64) / unit
        steps = ranks + (grid.qmin - z) if isinstance(grid, IntGrid) else grid.reals.astype(compute)[ranks]
        with np.errstate(over="ignore"):
            decoded = np.clip(steps * s, -largest, largest)  # as dequantize saturates
        error = decoded.astype(np.float64) / unit - values
        errors.add(np.square(error))
        squares.add(np.square(values))
        worst = max(worst, float(np.abs(error).max()))
    noise, signal = noise + errors.total(), signal + squares.total()
    ratio = signal / noise if noise else math.inf
    sqnr = 10 * math.log10(ratio) if ratio else -math.inf
    with np.errstate(over="ignore"):
        mse = float(np.float64(noise / array.size) * unit * unit)
    return CodeLedger(params, counts, below / array.size, above / array.size, mse, worst * unit, sqnr)


def ledger_table(ledgers: Mapping[str, CodeLedger]) -> LedgerTable:
    """Set ledgers side by side, in the order given.

    Parameters
    ----------
    ledgers : mapping of str to CodeLedger
        The ledgers by the name that their row shall have.

    Returns
    -------
    LedgerTable
        Prints as an aligned table and renders as HTML.

    Raises
    ------
    TypeError
        If it is no mapping, a name is no string or a value no CodeLedger.

    Examples
    --------
    >>> from quantnotes import INT4, QuantParams
    >>> print(ledger_table({"row": code_ledger([1.0, 2.0], QuantParams(1.0, 0, INT4))}))
         codes used  entropy, bits  ends  clipped  SQNR, dB
    row     2 of 16           1.00   ---    0.0 %       inf
    """
    if not isinstance(ledgers, Mapping):
        raise TypeError(f"ledgers must be a mapping of names to ledgers, got {type(ledgers).__name__}")
    for name, ledger in ledgers.items():
        if not isinstance(name, str):
            raise TypeError(f"the name of a row must be a string, got {name!r}")
        if not isinstance(ledger, CodeLedger):
            raise TypeError(f"{name!r} must be a CodeLedger, got {type(ledger).__name__}")
    return LedgerTable(dict(ledgers))
