"""Plain references for the library: one number at a time, in exact fractions, slow and easy to check by eye.

`bits` is the significand of the type that the library computes in: 24 for float32, 53 for float64. IEEE
division, multiplication and subtraction are the exact result rounded once, which is what `rounded` does.
"""

import math
from collections import Counter
from fractions import Fraction

import numpy as np

from quantnotes import QuantParams

FLOAT32, FLOAT64 = 24, 53
MIN_SCALE = 2.0**-126  # the floor of DESIGN.md: the smallest normal float32


def rounded(value, bits):
    """`value` to `bits` significant bits, ties to even; the exponent has no limits."""
    value = Fraction(value)
    if value == 0:
        return value
    exponent = abs(value.numerator).bit_length() - value.denominator.bit_length()
    if Fraction(2) ** exponent > abs(value):
        exponent -= 1
    unit = Fraction(2) ** (exponent - bits + 1)
    return round(value / unit) * unit  # Python rounds a Fraction to the even neighbour at a tie


def unclipped_code(x, scale, zero_point, bits=FLOAT32):
    """rint(x / S) + Z as an unbounded integer, for a finite x."""
    return round(rounded(Fraction(float(x)) / rounded(scale, bits), bits)) + int(zero_point)


def quantize(x, scale, zero_point, grid, bits=FLOAT32):
    """clip(rint(x / S) + Z) of one number, infinities saturating."""
    if math.isinf(x):
        return grid.qmax if x > 0 else grid.qmin
    return min(max(unclipped_code(x, scale, zero_point, bits), grid.qmin), grid.qmax)


def dequantize(code, scale, zero_point, bits=FLOAT32):
    """(q - Z) * S of one code."""
    return float(rounded((int(code) - int(zero_point)) * rounded(scale, bits), bits))


def asymmetric_params(rmin, rmax, grid, anchor="max"):
    """Scale and zero point of [rmin, rmax] widened to hold 0 (DESIGN.md), every step rounded to float64."""
    low, high = min(Fraction(rmin), Fraction(0)), max(Fraction(rmax), Fraction(0))
    if low == high:
        scale = Fraction(1)
    else:
        scale = rounded(rounded(high - low, FLOAT64) / (grid.qmax - grid.qmin), FLOAT64)
        scale = max(scale, Fraction(MIN_SCALE))
    if anchor == "max":
        return float(scale), grid.qmax - round(rounded(high / scale, FLOAT64))
    return float(scale), grid.qmin - round(rounded(low / scale, FLOAT64))


def symmetric_params(rmin, rmax, grid):
    """Scale of max(|rmin|, |rmax|) on qmax (DESIGN.md)."""
    largest = max(abs(Fraction(rmin)), abs(Fraction(rmax)))
    if largest == 0:
        return 1.0
    return float(max(rounded(largest / grid.qmax, FLOAT64), Fraction(MIN_SCALE)))


def note_scale(x, int_max, bins=100, keep=0.99):
    """Section 5 of the note, step by step and with its faults, on NumPy's own histogram in x's dtype."""
    counts, edges = np.histogram(x, bins)
    first, last = 0, bins - 1
    while counts[first:last].sum() / len(x) > keep:  # the slice leaves out bin `last`; len is not size
        if counts[first] > counts[last]:
            last -= 1
        else:
            first += 1
    return float(max(abs(edges[first]), abs(edges[last])) / int_max)


def kept_fraction(x, window):
    """The share of all values of x that lie in the closed window."""
    x = np.asarray(x).astype(np.float64)
    return np.count_nonzero((x >= window.rmin) & (x <= window.rmax)) / x.size


def shortest_width(x, keep):
    """Exact width of the shortest window that holds `keep` of x: every pair of values is tried."""
    values = sorted(Fraction(float(v)) for v in np.asarray(x).ravel())
    n = len(values)
    return min(values[j] - values[i] for i in range(n) for j in range(i, n) if (j - i + 1) / n >= keep)


def histogram(values, max_bins):
    """The exponent k, the number of the first bin and the counts that DESIGN.md asks for.

    Values become whole multiples of 2**-1074, the smallest float64; a shift is then an exact floor.
    """
    units = [int(Fraction(float(v)) * 2**1074) for v in values]
    low, high = min(units), max(units)
    largest = max(abs(float(v)) for v in values)
    k = math.frexp(math.ulp(largest))[1] - 1  # never below the last bit of the largest value
    while (high >> (k + 1074)) - (low >> (k + 1074)) + 1 > max_bins:
        k += 1
    bins = Counter(u >> (k + 1074) for u in units)
    first, last = low >> (k + 1074), high >> (k + 1074)
    return k, first, [bins[j] for j in range(first, last + 1)]


def histogram_edges(k, first, n_bins):
    """Edges j * 2**k, the outermost brought back to the largest float64 where they would overflow."""
    largest = Fraction(float(np.finfo(np.float64).max))
    exact = ((first + j) * Fraction(2) ** k for j in range(n_bins + 1))
    return [float(min(max(edge, -largest), largest)) for edge in exact]


def channel(params, c):
    """The per-tensor parameters of channel c."""
    return QuantParams(float(params.scale[c]), int(params.zero_point[c]), params.grid)


def assert_same_bits(actual, expected):
    """Same dtype, same shape, same bytes: tells -0.0 from 0.0."""
    actual, expected = np.asarray(actual), np.asarray(expected)
    assert (actual.dtype, actual.shape) == (expected.dtype, expected.shape)
    np.testing.assert_array_equal(actual, expected)
    assert actual.tobytes() == expected.tobytes(), (
        "equal values, different bits (a zero with the wrong sign?)"
    )
