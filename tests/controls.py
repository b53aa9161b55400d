"""Right functions made of the museum's plain steps: the specimens with the mistake taken out.

The gate lets them pass. So what kills a specimen is its mistake, not the way in which it is written.
"""

import numpy as np

from quantnotes import Calibrator, Histogram, Range, histogram_range, percentile_range
from quantnotes.asymmetric import asymmetric_params
from quantnotes.checks import as_real, compute_type
from quantnotes.course.museum import products, requantizing, searches
from quantnotes.course.museum.cases import everywhere, handed_over, scale_of, unpacked, zero_point_of
from quantnotes.grid import INT8
from quantnotes.histogram import Points, Stack, range_of
from quantnotes.integer import (
    fixed_point_multiplier,
    pack_int4,
    quantize_bias,
    requantize,
    unpack_int4,
)
from quantnotes.mapping import QuantParams, dequantize, fake_quantize, quantize
from quantnotes.ranges import minmax_range
from quantnotes.symmetric import symmetric_params


def plain_quantize(x, params, *, out=None):
    r, s, z, low, high = unpacked(x, params)
    with np.errstate(all="ignore"):
        return handed_over(np.clip(np.rint(r / s) + z, low, high), quantize(x, params, out=out))


def plain_dequantize(q, params, *, dtype=np.float32, out=None):
    right = dequantize(q, params, dtype=dtype, out=out)
    compute = compute_type(np.dtype(dtype))
    scale, zero = everywhere(params, np.shape(q), compute)
    with np.errstate(all="ignore"):
        return handed_over(((np.asarray(q).astype(compute) - zero) * scale).astype(dtype), right)


def plain_fake_quantize(x, params, *, dtype=np.float32, out=None):
    right = fake_quantize(x, params, dtype=dtype)
    with np.errstate(all="ignore"):
        values = plain_dequantize(plain_quantize(x, params), params, dtype=dtype)
    fake_quantize(x, params, dtype=dtype, out=out)
    return handed_over(values, right if out is None else out)


def plain_asymmetric_params(rmin, rmax, grid=INT8, *, axis=None, anchor="max", block_size=None):
    asymmetric_params(rmin, rmax, grid, axis=axis, anchor=anchor, block_size=block_size)
    low = np.minimum(as_real(rmin).astype(np.float64), 0.0)
    high = np.maximum(as_real(rmax).astype(np.float64), 0.0)
    scale = scale_of(low, high, grid.codes - 1)
    return QuantParams(scale, zero_point_of(low, high, scale, grid, anchor), grid, axis, block_size)


def plain_symmetric_params(rmin, rmax, grid=INT8, *, axis=None, block_size=None):
    right = symmetric_params(rmin, rmax, grid, axis=axis, block_size=block_size)
    end = np.maximum(np.abs(as_real(rmin).astype(np.float64)), np.abs(as_real(rmax).astype(np.float64)))
    return QuantParams(scale_of(0 * end, end, grid.qmax), right.zero_point, grid, axis, block_size)


def plain_minmax_range(x, *, axis=None, nan="raise", block_size=None):
    right = minmax_range(x, axis=axis, nan=nan, block_size=block_size)
    if axis is None or block_size is not None:
        return right
    rows = np.moveaxis(as_real(x).astype(np.float64), axis, 0).reshape(np.shape(x)[axis], -1)
    return Range(np.fmin.reduce(rows, 1), np.fmax.reduce(rows, 1))


def plain_update(self, x, nan="raise"):
    UPDATE(Histogram(self.max_bins), x, nan)  # raises as the right function does
    row = as_real(x).astype(np.float64).reshape(1, -1)
    if row.size:
        self._stack = self._stack.merge(Stack.of_points(Points.of_rows(row), self.max_bins))
    return self


def plain_entropy_range(x, grid=INT8, *, axis=None, nan="raise"):
    def one(channel):
        h, levels = searches.binned(channel, grid, nan)
        return searches.clip_by(h, levels, grid, lambda counts, clip: searches.kl(
            searches.folded(counts, clip), counts[:clip], levels))  # fmt: skip

    return range_of(x, axis, nan, one)


UPDATE, MERGE, OBSERVE = Histogram.update, Histogram.merge, Calibrator.observe


def plain_int_matmul(qx, qw, x_params, w_params, *, bias=None):
    return products.with_products(qx, qw, x_params, w_params, bias, lambda each: each.sum(axis=-2))


def plain_requantize(acc, m0, shift, zero_point, grid):
    requantize(acc, m0, shift, zero_point, grid)
    product, places = requantizing.product_of(acc, m0, shift)
    codes = (product + (np.int64(1) << (places - 1)) - 1 + ((product >> places) & 1)) >> places
    return np.clip(codes + zero_point, grid.qmin, grid.qmax).astype(grid.dtype)


def unchanged(function):
    """For those whose specimens change the right answer afterwards."""
    return lambda *args, **kwargs: function(*args, **kwargs)


TWINS = {
    "quantnotes.quantize": plain_quantize,
    "quantnotes.dequantize": plain_dequantize,
    "quantnotes.fake_quantize": plain_fake_quantize,
    "quantnotes.asymmetric_params": plain_asymmetric_params,
    "quantnotes.symmetric_params": plain_symmetric_params,
    "quantnotes.minmax_range": plain_minmax_range,
    "quantnotes.Histogram.update": plain_update,
    "quantnotes.Histogram.merge": unchanged(MERGE),
    "quantnotes.histogram_range": unchanged(histogram_range),
    "quantnotes.percentile_range": unchanged(percentile_range),
    "quantnotes.entropy_range": plain_entropy_range,
    "quantnotes.Calibrator.observe": unchanged(OBSERVE),
    "quantnotes.int_matmul": plain_int_matmul,
    "quantnotes.requantize": plain_requantize,
    "quantnotes.quantize_bias": unchanged(quantize_bias),
    "quantnotes.fixed_point_multiplier": unchanged(fixed_point_multiplier),
    "quantnotes.pack_int4": unchanged(pack_int4),
    "quantnotes.unpack_int4": unchanged(unpack_int4),
}


def groups(tests_of):
    """The targets that share their tests, by the names of these: one run is enough for all of them."""
    found = {}
    for target in TWINS:
        found.setdefault(", ".join(tests_of(target)), []).append(target)
    return found
