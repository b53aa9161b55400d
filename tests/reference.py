"""Plain references for the library: one number at a time, in exact fractions, slow and easy to check by eye.

`bits` is the significand of the type that the library computes in: 24 for float32, 53 for float64. IEEE
division, multiplication and subtraction are the exact result rounded once, which is what `rounded` does.
"""

import math
from collections import Counter
from fractions import Fraction
from itertools import pairwise

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


def finite_scale(scale, largest, farthest):
    """The scale, reduced where a code would decode past float32, or float64 for data beyond it."""
    info = np.finfo(np.float64 if largest > Fraction(float(np.finfo(np.float32).max)) else np.float32)
    most = rounded(Fraction(float(info.max)) * (1 - Fraction(float(info.epsneg))), FLOAT64)
    return float(min(scale, rounded(most / farthest, FLOAT64)))


def asymmetric_params(rmin, rmax, grid, anchor="max"):
    """Scale and zero point of [rmin, rmax] widened to hold 0 (DESIGN.md), every step rounded to float64."""
    low, high = min(Fraction(rmin), Fraction(0)), max(Fraction(rmax), Fraction(0))
    if low == high:
        scale = Fraction(1)
    else:
        scale = rounded(rounded(high - low, FLOAT64) / (grid.qmax - grid.qmin), FLOAT64)
        scale = max(scale, Fraction(MIN_SCALE))
    if anchor == "max":
        zero = grid.qmax - round(rounded(high / scale, FLOAT64))
    else:
        zero = grid.qmin - round(rounded(low / scale, FLOAT64))
    return finite_scale(scale, max(-low, high), max(grid.qmax - zero, zero - grid.qmin)), zero


def symmetric_params(rmin, rmax, grid):
    """Scale of max(|rmin|, |rmax|) on qmax (DESIGN.md)."""
    largest = max(abs(Fraction(rmin)), abs(Fraction(rmax)))
    if largest == 0:
        return 1.0
    scale = max(rounded(largest / grid.qmax, FLOAT64), Fraction(MIN_SCALE))
    return finite_scale(scale, largest, max(grid.qmax, -grid.qmin))


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


def squared_error_of_masses(masses, params):
    """Summed squared error of values spread evenly over the width of each entry, cut where the code changes.

    Float64, code by code: between two changes of the code the error is a plain parabola.
    """
    scale, zero, grid = params.scale, params.zero_point, params.grid
    total = 0.0
    for low, high, count in zip(masses.low, masses.low + masses.width, masses.count, strict=True):
        if low == high:
            total += count * (low - (quantize(low, scale, zero, grid, FLOAT64) - zero) * scale) ** 2
        else:
            changes = [(code - zero + 0.5) * scale for code in range(grid.qmin, grid.qmax)]
            cuts = [low, *(change for change in changes if low < change < high), high]
            for a, b in pairwise(cuts):
                middle = a / 2 + b / 2
                real = (quantize(middle, scale, zero, grid, FLOAT64) - zero) * scale
                total += count * (b - a) / (high - low) * ((middle - real) ** 2 + (b - a) ** 2 / 12)
    return total


class SortedValues:
    """The exact squared error of many parameters on the same raw values.

    With G(t), the sum of t - x over the values x below t, it is the error of sending all to the last code,
    less 2 S G(t) at each of the places t where the code changes. Not exact next to ties, where it is equal.
    """

    def __init__(self, x):
        self.x = np.sort(np.asarray(x, np.float64), axis=None)
        self.below = np.concatenate([[0.0], np.cumsum(self.x)])

    def squared_error(self, params):
        """One sum for each channel of `params`: here a channel is a candidate."""
        steps = np.arange(params.grid.qmin, params.grid.qmax) + 0.5
        changes = (steps - params.zero_point[:, None]) * params.scale[:, None]
        number = np.searchsorted(self.x, changes)
        last = (params.grid.qmax - params.zero_point) * params.scale
        squares = np.sum(self.x**2) - 2 * last * self.below[-1] + self.x.size * last**2
        return squares - 2 * params.scale * np.sum(changes * number - self.below[number], axis=1)


def kl_divergence(counts, levels, clip):
    """KL(P, Q) in nats of clipping magnitude bins after the first `clip`, bin by bin.

    S. Migacz, 8-bit inference with TensorRT (GTC 2017): P has what lies beyond added to its last bin, here
    the last that is not empty; Q is made of the bins inside alone, each level shared out among its bins that
    are not empty.
    """
    p = [float(c) for c in counts[:clip]]
    p[max(j for j in range(clip) if counts[j])] += float(sum(counts[clip:]))
    level = [j * levels // clip for j in range(clip)]
    sums, filled = Counter(), Counter()
    for j in range(clip):
        sums[level[j]] += float(counts[j])
        filled[level[j]] += counts[j] > 0
    q = [sums[level[j]] / filled[level[j]] if counts[j] else 0.0 for j in range(clip)]
    return sum(a / sum(p) * math.log((a / sum(p)) / (b / sum(q))) for a, b in zip(p, q, strict=True) if a > 0)


def int_matmul(qx, qw, zx, zw):
    """The sums of (qx - Zx)(qw - Zw) of a vector or matrix with a matrix, in Python's integers.

    `zx` has a zero point for each row of x, `zw` one for each column of w.
    """
    return [
        [sum((int(a) - int(z)) * (int(b) - int(y)) for a, b in zip(row, column, strict=True))
         for column, y in zip(np.asarray(qw).T.tolist(), zw, strict=True)]
        for row, z in zip(np.asarray(qx).tolist(), zx, strict=True)
    ]  # fmt: skip


def fixed_point_multiplier(m):
    """m0 and shift with m0 * 2**-31 * 2**-shift next to m: m0 has 31 bits, so that its first one is set."""
    m, shift = Fraction(m), 0
    while m * Fraction(2) ** shift < Fraction(1, 2):
        shift += 1
    while m * Fraction(2) ** shift >= 1:
        shift -= 1
    m0 = round(m * Fraction(2) ** (31 + shift))
    return (m0, shift) if m0 < 2**31 else (m0 // 2, shift - 1)


def requantize(acc, m0, shift, zero_point, grid):
    """acc times the multiplier, rounded once, ties to even; then + Z, and clipped."""
    code = round(Fraction(int(acc) * int(m0)) / Fraction(2) ** (31 + int(shift))) + int(zero_point)
    return min(max(code, grid.qmin), grid.qmax)


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
