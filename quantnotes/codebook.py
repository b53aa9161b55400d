"""Which reals a code may stand for besides integers: small floating-point formats, and tables.

A codebook takes the place of an :class:`IntGrid` in :class:`QuantParams`: a code stands for S times a value
of the codebook, and the zero point is 0. :mod:`quantnotes.formats` has the usual ones.

Not covered: how a scale is chosen, see :mod:`quantnotes.symmetric` and :mod:`quantnotes.formats`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, cast, get_args

import numpy as np
from numpy.typing import NDArray

from quantnotes import kernels
from quantnotes.checks import as_int, as_real
from quantnotes.grid import IntGrid, check_grid

Special = Literal["ieee", "fn", "fnuz", "finite"]
Ties = Literal["even", "up"]
Array = NDArray[Any]


@dataclass(frozen=True, repr=False)
class Codebook:
    """Codes 0, 1, 2, ... that stand for reals; see :class:`FloatFormat` and :class:`TableFormat`.

    Parameters
    ----------
    name : str
        What it prints as.
    """

    name: str

    def __repr__(self) -> str:
        return self.name

    @property
    def bits(self) -> int:
        """Bits of a code."""
        return (self.values.size - 1).bit_length()

    @property
    def dtype(self) -> np.dtype[np.unsignedinteger]:
        """The dtype of the codes: uint8, or uint16 for more than 8 bits."""
        return np.dtype(np.uint8 if self.bits <= 8 else np.uint16)

    @cached_property
    def values(self) -> NDArray[np.float64]:
        """The real that each code stands for at S = 1; NaN for a code that stands for no finite number."""
        raise NotImplementedError

    @cached_property
    def reals(self) -> NDArray[np.float64]:
        """The different reals, in ascending order. Both zeros of a format count as one."""
        return _read_only(np.unique(self.values[np.isfinite(self.values)]) + 0.0)  # no -0.0

    @property
    def codes(self) -> int:
        """Number of different reals."""
        return self.reals.size

    @property
    def smallest(self) -> float:
        """The smallest real at S = 1."""
        return float(self.reals[0])

    @property
    def largest(self) -> float:
        """The largest real at S = 1."""
        return float(self.reals[-1])

    @cached_property
    def codes_of_reals(self) -> NDArray[np.unsignedinteger]:
        """The code of each of `reals`: of 0, the positive one."""
        codes = np.flatnonzero(np.isfinite(self.values) & ~((self.values == 0) & np.signbit(self.values)))
        return _read_only(codes[np.argsort(self.values[codes])].astype(self.dtype))

    def rounds_up(self, rank: NDArray[np.int64]) -> NDArray[np.bool]:
        """Tell whether a tie between `reals` number rank and rank + 1 goes to the larger one."""
        raise NotImplementedError

    def thresholds(self, dtype: np.dtype[Any]) -> Array:
        """Return, for each of `reals`, the largest number that rounds to one below it; and one entry more.

        The first and last entry tell what is clipped: numbers at most the first, and beyond the last, would
        round past the ends if the outermost steps went on.

        Parameters
        ----------
        dtype : dtype
            float32 or float64: the type of the numbers.

        Returns
        -------
        ndarray of `dtype`, shape (codes + 1,)
            ``np.searchsorted(thresholds, x) - 1`` is the rank of x among `reals`, from -1 to `codes`.
        """
        return self._thresholds32 if dtype == np.float32 else self._thresholds64

    @cached_property
    def _thresholds32(self) -> Array:
        return self._rounded_thresholds(np.dtype(np.float32))

    @cached_property
    def _thresholds64(self) -> Array:
        return self._rounded_thresholds(np.dtype(np.float64))

    def _rounded_thresholds(self, dtype: np.dtype[Any]) -> Array:
        reals = self.reals
        middles = np.concatenate(
            [
                [1.5 * reals[0] - 0.5 * reals[1]],
                reals[:-1] / 2 + reals[1:] / 2,
                [1.5 * reals[-1] - 0.5 * reals[-2]],
            ]
        )
        with np.errstate(over="ignore", under="ignore"):
            found = middles.astype(dtype)
        too_large = (found > middles) | ((found == middles) & self.rounds_up(np.arange(-1, reals.size)))
        return _read_only(np.where(too_large, np.nextafter(found, dtype.type(-np.inf)), found))

    @cached_property
    def _tables(self) -> dict[np.dtype[Any], Array]:
        return {np.dtype(kind): _read_only(self.values.astype(kind)) for kind in (np.float32, np.float64)}

    def table(self, dtype: np.dtype[Any]) -> Array:
        """Return `values` in float32 or float64: they are exact in both."""
        return self._tables[dtype]

    def nearest(self, x: Any) -> NDArray[np.float64]:
        """Return the nearest of `reals`, beyond the ends the last one.

        Parameters
        ----------
        x : array_like
            Real numbers, no NaN. They are compared in float64.

        Returns
        -------
        ndarray of float64, shape of `x`

        Examples
        --------
        >>> from quantnotes.formats import E2M1
        >>> E2M1.nearest([0.3, 5.0, -100.0])
        array([ 0.5,  4. , -6. ])
        """
        ranks = np.searchsorted(self._thresholds64[1:-1], as_real(x).astype(np.float64))
        return np.asarray(self.reals[ranks])


@dataclass(frozen=True, repr=False)
class FloatFormat(Codebook):
    """A floating-point format of at most 16 bits: sign, exponent, mantissa.

    Parameters
    ----------
    name : str
        What it prints as.
    exponent_bits, mantissa_bits : int
        2 to 5, and 0 to 10 without the hidden bit.
    bias : int
        What is subtracted from the stored exponent.
    special : {"ieee", "fn", "fnuz", "finite"}
        Which codes stand for no finite number. "ieee": those with the largest exponent, for infinities and
        NaN. "fn": the one with all bits of exponent and mantissa set, NaN. "fnuz": what would be -0, NaN.
        "finite": none.

    Raises
    ------
    TypeError
        If a number is no integer.
    ValueError
        If a number is out of range, or `special` is unknown.

    Notes
    -----
    Codes are the bit patterns of ml_dtypes. Ties go to the even mantissa.

    Examples
    --------
    >>> FloatFormat("E2M1", 2, 1, 1, "finite").reals
    array([-6. , -4. , -3. , -2. , -1.5, -1. , -0.5,  0. ,  0.5,  1. ,  1.5,
            2. ,  3. ,  4. ,  6. ])
    """

    exponent_bits: int
    mantissa_bits: int
    bias: int
    special: Special

    def __post_init__(self) -> None:
        for field, low, high in [("exponent_bits", 2, 5), ("mantissa_bits", 0, 10), ("bias", 0, 31)]:
            value = as_int(getattr(self, field), field)
            object.__setattr__(self, field, value)
            if not low <= value <= high:
                raise ValueError(f"{field} must be {low} to {high}, got {value}")
        if self.special not in get_args(Special):
            raise ValueError(f"special must be one of {', '.join(get_args(Special))}, got {self.special!r}")

    @cached_property
    def values(self) -> NDArray[np.float64]:
        """The real that each code stands for at S = 1; NaN for a code that stands for no finite number."""
        width = self.exponent_bits + self.mantissa_bits
        magnitudes = np.arange(2**width)
        exponent, mantissa = np.divmod(magnitudes, 2**self.mantissa_bits)
        mantissa += (exponent > 0) << self.mantissa_bits
        reals = np.ldexp(mantissa, np.maximum(exponent, 1) - self.bias - self.mantissa_bits)
        if self.special == "ieee":
            reals[exponent == 2**self.exponent_bits - 1] = np.nan
        elif self.special == "fn":
            reals[-1] = np.nan
        values = np.concatenate([reals, -reals])
        if self.special == "fnuz":
            values[2**width] = np.nan
        return _read_only(values)

    def rounds_up(self, rank: NDArray[np.int64]) -> NDArray[np.bool]:
        """Tell whether a tie between `reals` number rank and rank + 1 goes to the larger one."""
        return np.asarray((rank - self.codes // 2) % 2 == 1)  # 0, in the middle, has an even mantissa

    @cached_property
    def layout(self) -> kernels.FloatLayout:
        """What the array loops need to know."""
        width = self.exponent_bits + self.mantissa_bits
        signed_zero = self.special != "fnuz"
        return kernels.FloatLayout(self.mantissa_bits, 1 - self.bias, self.largest, width, signed_zero)


@dataclass(frozen=True, repr=False)
class TableFormat(Codebook):
    """Reals listed one by one: code i stands for the i-th.

    Parameters
    ----------
    name : str
        What it prints as.
    table_of_reals : iterable of float
        2 to 256 finite numbers, ascending.
    ties : {"even", "up"}, default "even"
        Where the middle of two neighbours goes: to the even code, or to the larger one.

    Raises
    ------
    TypeError
        If the table holds no real numbers.
    ValueError
        If its length is wrong, or it is not finite and ascending, or `ties` is unknown.

    Examples
    --------
    >>> TableFormat("ternary", [-1.0, 0.0, 1.0]).nearest([0.4, -7.0])
    array([ 0., -1.])
    """

    table_of_reals: Iterable[float]
    ties: Ties = "even"

    def __post_init__(self) -> None:
        reals = as_real(list(self.table_of_reals), "table_of_reals").astype(np.float64)
        if reals.ndim != 1 or not 2 <= reals.size <= 256:
            raise ValueError(f"table_of_reals must hold 2 to 256 numbers, got shape {reals.shape}")
        if not (np.isfinite(reals).all() and (np.diff(reals) > 0).all()):
            raise ValueError("table_of_reals must be finite and ascending")
        if self.ties not in get_args(Ties):
            raise ValueError(f'ties must be "even" or "up", got {self.ties!r}')
        object.__setattr__(self, "table_of_reals", tuple(reals.tolist()))

    @cached_property
    def values(self) -> NDArray[np.float64]:
        """The real that each code stands for at S = 1."""
        return _read_only(np.array(self.table_of_reals))

    def rounds_up(self, rank: NDArray[np.int64]) -> NDArray[np.bool]:
        """Tell whether a tie between `reals` number rank and rank + 1 goes to the larger one."""
        return rank % 2 == 1 if self.ties == "even" else np.full(rank.shape, True)


Codes = IntGrid | Codebook  # what the codes of a tensor may be


def _read_only(array: Array) -> Array:
    array.flags.writeable = False
    return array


def check_codes(grid: object) -> None:
    """Raise TypeError unless `grid` is an IntGrid or a Codebook."""
    if not isinstance(grid, IntGrid | Codebook):
        raise TypeError(f"grid must be an IntGrid, such as INT8, or one of quantnotes.formats, got {grid!r}")


def as_grid(grid: object) -> IntGrid:
    """Return `grid`, or raise TypeError unless it is an IntGrid."""
    check_grid(grid)
    return cast(IntGrid, grid)
