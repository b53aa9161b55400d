"""Number formats below eight bits, and at eight bits beside integers: floats, a table, and block formats.

``E4M3``, ``E5M2``, ``E2M1``, ``E2M3``, ``E3M2``, ``E4M3FNUZ``, ``E5M2FNUZ``, ``NF4`` and ``E8M0`` take the
place of an integer grid in :class:`QuantParams` and in :func:`symmetric_params`; Z is 0. Codes are the bit
patterns of ml_dtypes, values beyond the range saturate, and NaN is refused.

``MXFP4``, ``MXFP8``, ``MXINT8``, ``NVFP4`` and other :class:`BlockFormat` say how the scales of blocks are
chosen and stored, and what that costs in bits.

Not covered: arithmetic in these formats, and packing several codes into a byte.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from quantnotes.checks import as_int
from quantnotes.codebook import Codebook, Codes, FloatFormat, TableFormat, check_codes
from quantnotes.grid import INT8, IntGrid
from quantnotes.mapping import MIN_SCALE, QuantParams
from quantnotes.ranges import minmax_range

Rule = Literal["floor", "up", "even"]
Array = NDArray[Any]

# Open Compute Project, 8-bit Floating Point Specification (OFP8), revision 1.0; Micikevicius et al., FP8
# Formats for Deep Learning, 2022.
E4M3 = FloatFormat("E4M3", 4, 3, 7, "fn")
E5M2 = FloatFormat("E5M2", 5, 2, 15, "ieee")

# Noune et al., 8-bit Numerical Formats for Deep Neural Networks, 2022: one NaN, no -0, the bias one larger.
E4M3FNUZ = FloatFormat("E4M3FNUZ", 4, 3, 8, "fnuz")
E5M2FNUZ = FloatFormat("E5M2FNUZ", 5, 2, 16, "fnuz")

# Open Compute Project, Microscaling Formats (MX) Specification, version 1.0.
E2M1 = FloatFormat("E2M1", 2, 1, 1, "finite")
E2M3 = FloatFormat("E2M3", 2, 3, 1, "finite")
E3M2 = FloatFormat("E3M2", 3, 2, 3, "finite")
E8M0 = TableFormat("E8M0", np.ldexp(1.0, np.arange(-127, 128)), ties="up")  # for scales: no 0, no sign

# Dettmers et al., QLoRA, 2023, appendix E: quantiles of a normal distribution, with 0.
NF4 = TableFormat(
    "NF4",
    [
        -1.0,
        -0.6961928009986877,
        -0.5250730514526367,
        -0.39491748809814453,
        -0.28444138169288635,
        -0.18477343022823334,
        -0.09105003625154495,
        0.0,
        0.07958029955625534,
        0.16093020141124725,
        0.24611230194568634,
        0.33791524171829224,
        0.44070982933044434,
        0.5626170039176941,
        0.7229568362236023,
        1.0,
    ],
)

FLOAT16 = FloatFormat("FLOAT16", 5, 10, 15, "ieee")  # for scales


@dataclass(frozen=True)
class BlockFormat:
    """How blocks of values are stored: the format of the values, the block's length, the format of its scale.

    Parameters
    ----------
    element : IntGrid or Codebook
        The codes of the values.
    block_size : int
        Values that share a scale; at least 1.
    scale : Codebook
        The format of the scales. ``E8M0``: powers of two.
    scheme : {"symmetric", "asymmetric"}, default "symmetric"
        "asymmetric": each block has a zero point of as many bits as a value; `element` is an IntGrid then.
    tensor_scale : bool, default False
        Whether the scales are in units of one float32 for the whole tensor.

    Raises
    ------
    TypeError
        If an argument has the wrong type.
    ValueError
        If `block_size` is below 1, `scheme` is unknown, or it is asymmetric and does not fit the others.

    Examples
    --------
    >>> MXFP4.bits_per_value, NVFP4.bits_per_value
    (4.25, 4.5)
    >>> BlockFormat(IntGrid.of(4), 32, FLOAT16, scheme="asymmetric").bits_per_value
    4.625
    """

    element: Codes
    block_size: int
    scale: Codebook
    scheme: Literal["symmetric", "asymmetric"] = "symmetric"
    tensor_scale: bool = False

    def __post_init__(self) -> None:
        check_codes(self.element)
        object.__setattr__(self, "block_size", as_int(self.block_size, "block_size"))
        if self.block_size < 1:
            raise ValueError(f"block_size must be at least 1, got {self.block_size}")
        if not isinstance(self.scale, Codebook):
            raise TypeError(f"scale must be a format, such as formats.E8M0, got {self.scale!r}")
        if self.scheme not in ("symmetric", "asymmetric"):
            raise ValueError(f'scheme must be "symmetric" or "asymmetric", got {self.scheme!r}')
        if self.scheme == "asymmetric" and not (isinstance(self.element, IntGrid) and self.scale != E8M0):
            raise ValueError("an asymmetric block format needs an IntGrid, and scales that are not E8M0")
        if self.tensor_scale and self.scale == E8M0:
            raise ValueError("tensor_scale is for scales that are not E8M0")

    @property
    def bits_per_value(self) -> float:
        """Bits of a value, its share of the scale and of the zero point included.

        The float32 of the whole tensor, if there is one, is not counted.
        """
        zero_bits = self._element_bits if self.scheme == "asymmetric" else 0
        return self._element_bits + (self.scale.bits + zero_bits) / self.block_size

    @property
    def _element_bits(self) -> int:
        return (
            (self.element.codes - 1).bit_length() if isinstance(self.element, IntGrid) else self.element.bits
        )

    def params(self, x: ArrayLike, axis: int = -1, *, rule: Rule | None = None) -> QuantParams:
        """Return the parameters of data: one scale for each block along an axis, as it would be stored.

        Parameters
        ----------
        x : array_like
            Finite real numbers, at least one.
        axis : int, default -1
            The axis that is cut into blocks; the last block may be shorter.
        rule : {"floor", "up", "even"}, optional
            For scales in E8M0: which power of two. "floor", the default, is the MX specification's
            recommendation: the largest power of two in the block over that in the format, so that up to
            almost half of the largest value may be clipped. "up": the smallest that clips nothing. "even":
            as "floor" after rounding the largest value to the format's precision.

        Returns
        -------
        QuantParams
            With `element` as its grid, blocked along `axis`. S of a block of zeros is 1, with `tensor_scale`
            in units of the tensor's.

        Raises
        ------
        TypeError
            If `x` holds no real numbers or `axis` is no integer.
        ValueError
            If `x` is empty, 0-d, or holds NaN or an infinity; `axis` is out of range; `rule` is unknown, or
            given for scales that are no powers of two.

        Notes
        -----
        Scales that are not E8M0 are rounded to nearest. With `tensor_scale` (NVFP4), the float32 of the
        tensor brings its largest block to the largest scale.

        Examples
        --------
        >>> MXFP4.params([[1.0, 6.0, 7.0]]).scale
        array([[1.]])
        >>> MXFP4.params([[1.0, 6.0, 7.0]], rule="up").scale
        array([[2.]])
        """
        if rule is not None and self.scale != E8M0:
            raise ValueError(f"rule is for scales that are powers of two, not for {self.scale!r}")
        if rule not in (None, "floor", "up", "even"):
            raise ValueError(f'rule must be "floor", "up" or "even", got {rule!r}')
        axis = as_int(axis, "axis")
        low, high = map(np.asarray, minmax_range(x, axis=axis, block_size=self.block_size))
        zero = np.zeros(low.shape, np.int64)
        if self.scale == E8M0:
            scale = self._power_of_two(np.maximum(-low, high), rule or "floor")
        elif isinstance(self.element, IntGrid) and self.scheme == "asymmetric":
            low, high = np.minimum(low, 0.0), np.maximum(high, 0.0)
            qmin, qmax = self.element.qmin, self.element.qmax
            scale = self._stored(high / (qmax - qmin) - low / (qmax - qmin))
            zero = np.maximum(qmax - np.rint(high / scale), qmin).astype(np.int64)
        else:
            scale = self._stored(np.maximum(-low, high) / self._top)
        return QuantParams(scale, zero, self.element, axis, self.block_size)

    @property
    def _top(self) -> float:
        return float(self.element.qmax if isinstance(self.element, IntGrid) else self.element.largest)

    def _stored(self, scale: Array) -> Array:
        """Return scales as their format holds them, none of them 0; 1 for a block of zeros."""
        least, unit = float(self.scale.reals[self.scale.reals > 0][0]), 1.0
        if self.tensor_scale and scale.any():
            unit = max(float(np.float32(scale.max() / self.scale.largest)), MIN_SCALE / least)
        stored = np.where(scale == 0, 1.0, np.maximum(self.scale.nearest(scale / unit), least))
        return np.asarray(stored * unit)

    def _power_of_two(self, largest: Array, rule: Rule) -> Array:
        """Return the power of two that a rule chooses for the largest magnitude of each block."""
        digits, exponent = np.frexp(largest)
        if rule == "even":
            digits = np.ldexp(np.rint(np.ldexp(digits, self._digits)), -self._digits)
            exponent = exponent + (digits == 1)
        exponent = exponent - np.frexp(self._top)[1]
        if rule == "up":
            exponent = exponent + (largest > np.ldexp(self._top, exponent))
        return np.where(largest == 0, 1.0, np.ldexp(1.0, np.clip(exponent, -126, 127)))

    @property
    def _digits(self) -> int:
        """Significant binary digits of the format's largest values."""
        if isinstance(self.element, FloatFormat):
            return self.element.mantissa_bits + 1
        return int(np.frexp(self._top)[1])


# Open Compute Project, Microscaling Formats (MX) Specification, version 1.0. MXINT8's element is an int8 in
# units of 1/64, and so is its scale here.
MXFP4 = BlockFormat(E2M1, 32, E8M0)
MXFP8 = BlockFormat(E4M3, 32, E8M0)
MXINT8 = BlockFormat(INT8, 32, E8M0)
# NVIDIA, Pretraining Large Language Models with NVFP4, 2025.
NVFP4 = BlockFormat(E2M1, 16, E4M3, tensor_scale=True)
