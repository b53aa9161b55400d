"""Which integers may be used: the ground floor, on which everything else stands.

A grid is a run of consecutive integers that contains 0 and something above it.

Not covered: real numbers; scale and zero point live in :mod:`quantnotes.mapping`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from quantnotes.checks import as_int

_MAX_BITS = 16


@dataclass(frozen=True)
class IntGrid:
    """The integer codes ``qmin, qmin + 1, ..., qmax``.

    Parameters
    ----------
    qmin, qmax : int
        Smallest and largest code. ``qmin <= 0 < qmax``, and both fit one of int8, uint8, int16, uint16.

    Raises
    ------
    TypeError
        If an end is not an integer.
    ValueError
        If 0 is outside the grid, the grid is empty, or it needs more than 16 bits.

    Examples
    --------
    >>> IntGrid(-4, 3).codes
    8
    >>> IntGrid.of(8, signed=False)
    IntGrid(qmin=0, qmax=255)
    """

    qmin: int  # the smallest code
    qmax: int  # the largest code

    def __post_init__(self) -> None:
        object.__setattr__(self, "qmin", as_int(self.qmin, "qmin"))
        object.__setattr__(self, "qmax", as_int(self.qmax, "qmax"))
        if self.qmin >= self.qmax:
            raise ValueError(f"qmin must be below qmax, got qmin={self.qmin}, qmax={self.qmax}")
        if not self.qmin <= 0 < self.qmax:
            raise ValueError(
                f"the grid must hold 0 and a code above it, got {self.qmin}..{self.qmax}: "
                "zero has to have a code of its own"
            )
        if self.qmin < -(2 ** (_MAX_BITS - 1)) or self.qmax >= 2 ** (_MAX_BITS - (self.qmin < 0)):
            raise ValueError(f"a grid has at most 16 bits, got {self.qmin}..{self.qmax}")

    @classmethod
    def of(cls, bits: int, signed: bool = True, narrow: bool = False) -> IntGrid:
        """Make the usual grid of a number of bits.

        Parameters
        ----------
        bits : int
            1 to 16; a signed grid needs 2.
        signed : bool, default True
            Two's complement (``-2**(bits-1) .. 2**(bits-1)-1``) or ``0 .. 2**bits-1``.
        narrow : bool, default False
            Leave out the lowest code of a signed grid, so that it mirrors: -127..127 for 8 bits.

        Returns
        -------
        IntGrid

        Raises
        ------
        TypeError
            If `bits` is not an integer.
        ValueError
            If `bits` is out of range, or `narrow` is asked of an unsigned grid.

        Examples
        --------
        >>> IntGrid.of(8, narrow=True)
        IntGrid(qmin=-127, qmax=127)
        """
        bits = as_int(bits, "bits")
        lowest = 2 if signed else 1
        if not lowest <= bits <= _MAX_BITS:
            raise ValueError(f"bits must be {lowest} to {_MAX_BITS}, got {bits}")
        if not signed:
            if narrow:
                raise ValueError(
                    "narrow leaves out the lowest code of a signed grid; an unsigned one has 0 there"
                )
            return cls(0, 2**bits - 1)
        half = 2 ** (bits - 1)
        return cls(-half + bool(narrow), half - 1)

    @property
    def codes(self) -> int:
        """Number of codes, ``qmax - qmin + 1``."""
        return self.qmax - self.qmin + 1

    @cached_property
    def dtype(self) -> np.dtype[np.signedinteger] | np.dtype[np.unsignedinteger]:
        """The smallest NumPy integer dtype that holds every code; unsigned where ``qmin`` is 0."""
        names = ("int8", "int16") if self.qmin < 0 else ("uint8", "uint16")
        small, large = np.dtype(names[0]), np.dtype(names[1])
        info = np.iinfo(small)
        return small if info.min <= self.qmin and self.qmax <= info.max else large


def check_grid(grid: object) -> None:
    """Raise TypeError unless `grid` is an IntGrid."""
    if not isinstance(grid, IntGrid):
        raise TypeError(f"grid must be an IntGrid, such as INT8, got {grid!r}")


INT2 = IntGrid.of(2)
INT4 = IntGrid.of(4)
INT8 = IntGrid.of(8)
INT8_NARROW = IntGrid.of(8, narrow=True)
INT16 = IntGrid.of(16)
UINT2 = IntGrid.of(2, signed=False)
UINT4 = IntGrid.of(4, signed=False)
UINT8 = IntGrid.of(8, signed=False)
UINT16 = IntGrid.of(16, signed=False)
