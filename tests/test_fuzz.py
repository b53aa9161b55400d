"""Whatever comes in: a right result, or a ValueError or TypeError. No warning, no hang, no changed input.

A short form runs with the other tests, `make fuzz` the long one. Every result is held against an invariant or
against the plain reference, and input that the contract allows must not be refused.
"""

import contextlib
import functools
import json
import signal
import tempfile
import threading
import warnings
from fractions import Fraction
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
import reference
from hypothesis import given
from hypothesis import strategies as st
from strategies import (
    MIN_SCALE,
    ML_FLOATS,
    ML_INTEGERS,
    NUMBER_TYPES,
    any_grid,
    anything,
    grids,
    intervals,
    number_arrays,
    odd_scalars,
    seldom,
    tensor_params,
)

import quantnotes
from quantnotes import (
    Calibrator,
    CodeLedger,
    Comparison,
    Histogram,
    IntGrid,
    LedgerTable,
    QuantParams,
    Range,
    asymmetric_params,
    bias_correction,
    choose_range,
    code_ledger,
    compare,
    dequantize,
    entropy_range,
    equalize,
    fake_quantize,
    fixed_point_multiplier,
    fold_batch_norm,
    gptq,
    hadamard,
    histogram_range,
    int_conv,
    int_matmul,
    ledger_table,
    load_params,
    make_params,
    matmul_terms,
    minmax_range,
    mse_range,
    pack_int4,
    percentile_range,
    quantize,
    quantize_bias,
    quantize_dynamic,
    requantize,
    rotate,
    save_params,
    shortest_range,
    smooth_factors,
    symmetric_params,
    unpack_int4,
)
from quantnotes.outliers import note_histogram_scale

SECONDS = 60  # after which a call on a hundred values is taken for a loop without an end

REFUSED = object()


@contextlib.contextmanager
def no_longer_than(seconds):
    """Raise in a call that hangs, where the system has alarms."""
    alarm = hasattr(signal, "SIGALRM") and threading.current_thread() is threading.main_thread()

    def stop(*_):
        raise RuntimeError(f"no answer within {seconds} s")

    if alarm:
        before = signal.signal(signal.SIGALRM, stop)
        signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        if alarm:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)


def bits(value):
    return (value.dtype, value.shape, value.tobytes()) if isinstance(value, np.ndarray) else repr(value)


def attempt(call, *args, **kwargs):
    """Return the result, or REFUSED after a ValueError or TypeError that says something."""
    inputs = [v for k, v in [*enumerate(args), *kwargs.items()] if k != "out"]
    before = [bits(v) for v in inputs]
    try:
        with warnings.catch_warnings(), no_longer_than(SECONDS):
            warnings.simplefilter("error")
            result = call(*args, **kwargs)
    except (ValueError, TypeError) as error:
        result = REFUSED
        if not str(error):
            raise RuntimeError("an error without a message") from None
    if not any(isinstance(kwargs.get("out"), np.ndarray) and np.may_share_memory(kwargs["out"], v)
               for v in inputs if isinstance(v, np.ndarray)):  # fmt: skip
        assert before == [bits(v) for v in inputs], "the input has been changed"
    return result


# --- what the contract says of an input, in plain words -----------------------------------------------------


def as_numbers(x):
    """The array of real numbers that x is, or None."""
    if isinstance(x, np.ma.MaskedArray):
        return None
    try:
        array = np.asarray(x)
    except ValueError:
        return None
    native = array.dtype.newbyteorder("=")
    return array if native in [*NUMBER_TYPES, *ML_INTEGERS, *ML_FLOATS] else None


def whole_numbers(array):
    return array.dtype.kind in "iu" or array.dtype.newbyteorder("=") in ML_INTEGERS


def float64(array):
    with np.errstate(all="ignore"):
        return array.astype(np.float64)


def is_whole(value):
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def is_axis(axis, ndim):
    return is_whole(axis) and -ndim <= axis < ndim


def fits(params, shape):
    """True if data of that shape have the channels or blocks of params."""
    if params.axis is None:
        return True
    if not is_axis(params.axis, len(shape)):
        return False
    counts = list(shape)
    if params.block_size is None:
        return counts[params.axis] == params.scale.size
    counts[params.axis] = -(-counts[params.axis] // params.block_size)
    return tuple(counts) == params.scale.shape


def narrow(dtype):
    return dtype.newbyteorder("=") in ML_FLOATS or (dtype.kind == "f" and dtype.itemsize <= 4)


def holds(params, is_narrow):
    """True if the scales are finite in the type that is computed in."""
    with np.errstate(over="ignore"):
        return not is_narrow or bool(np.isfinite(np.asarray(params.scale).astype(np.float32)).all())


def everywhere(values, params, shape):
    """S or Z of every element: repeated along the axis, the definition of channels and blocks."""
    values = np.asarray(values)
    if params.axis is None:
        return np.broadcast_to(values, shape)
    axis = params.axis % len(shape)
    if params.block_size is not None:
        return np.repeat(values, params.block_size, axis)[(*[slice(None)] * axis, slice(shape[axis]))]
    return np.broadcast_to(values.reshape([-1 if i == axis else 1 for i in range(len(shape))]), shape)


def some_elements(array, params):
    """Up to five elements, with their S and Z."""
    scales, zeros = (everywhere(v, params, array.shape) for v in (params.scale, params.zero_point))
    for i in np.random.default_rng(array.size).permutation(array.size)[:5]:
        at = np.unravel_index(i, array.shape)
        yield at, float(scales[at]), int(zeros[at])


# --- parameters and outputs to go with data -----------------------------------------------------------------

wide_scales = st.floats(1e-3, 1e3) | st.floats(MIN_SCALE, 1.7e308)


@st.composite
def params_for(draw, x):
    """Parameters of every kind, for the shape of x or, seldom, another."""
    array = as_numbers(x)
    shape = (2, 3) if array is None else array.shape
    if draw(st.integers(0, 7)) == 0:
        shape = draw(st.sampled_from([(3,), (2, 3), (5, 1, 2)]))
    kind = draw(st.sampled_from(["tensor", "channel", "block"]))
    if kind == "tensor" or 0 in shape or not shape:
        return draw(tensor_params(scales=wide_scales))
    axis, grid = draw(st.integers(-len(shape), len(shape) - 1)), draw(grids)
    counts, size = [shape[axis]], None
    if kind == "block":
        counts, size = list(shape), draw(st.integers(1, 8))
        counts[axis] = -(-counts[axis] // size)
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    scale = rng.choice(draw(st.lists(wide_scales, min_size=1, max_size=4)), counts)
    return QuantParams(scale, rng.integers(grid.qmin, grid.qmax, counts, endpoint=True), grid, axis, size)


@st.composite
def data_and_params(draw, data=anything):
    x = draw(data)
    return x, draw(seldom(params_for(x), odd_scalars))


OUT_TYPES = [
    np.int8,
    np.uint8,
    np.int16,
    np.uint16,
    np.int64,
    np.float16,
    np.float32,
    np.float64,
    ">f4",
    ">i2",
]


@st.composite
def out_for(draw, x):
    """None; an array; x itself or reversed; or something that cannot take a result."""
    array = as_numbers(x)
    shape = () if array is None else array.shape
    kind = draw(
        st.sampled_from(["none", "none", "array", "array", "odd", "shape", "read-only", "x", "x reversed"])
    )
    if kind == "none":
        return None
    if kind == "odd":
        return draw(odd_scalars)
    if kind.startswith("x") and isinstance(x, np.ndarray):
        return x[::-1] if kind == "x reversed" and x.ndim else x
    out = np.full((*shape, 2) if kind == "shape" else shape, 77, draw(st.sampled_from(OUT_TYPES)))
    out.flags.writeable = kind != "read-only"
    return out


def holds_codes(grid, dtype):
    if dtype.newbyteorder("=") in ML_FLOATS:
        info = ml_dtypes.finfo(dtype.type)
        whole = min(2 ** (info.nmant + 1), float(info.max))
        return float(info.min) < 0 and max(-grid.qmin, grid.qmax) <= whole
    if dtype.kind == "f":
        return max(-grid.qmin, grid.qmax) <= 2 ** (np.finfo(dtype).nmant + 1)
    return np.iinfo(dtype).min <= grid.qmin and grid.qmax <= np.iinfo(dtype).max


def takes(out, shape, holds):
    if out is None:
        return True
    return (
        isinstance(out, np.ndarray)
        and (out.dtype.kind in "iuf" or out.dtype.newbyteorder("=") in ML_FLOATS)
        and holds(out.dtype)
        and out.shape == shape
        and out.flags.writeable
    )


# --- the mapping --------------------------------------------------------------------------------------------


def code_of(value, scale, zero, grid, is_narrow):
    return reference.quantize(value, scale, zero, grid, reference.FLOAT32 if is_narrow else reference.FLOAT64)


@given(data_and_params(), st.data())
def test_quantize(case, data):
    (x, params), out = case, data.draw(out_for(case[0]))
    array = as_numbers(x)
    values = None if array is None else float64(array)
    codes = attempt(quantize, x, params, out=out)
    allowed = (
        array is not None
        and isinstance(params, QuantParams)
        and fits(params, array.shape)
        and holds(params, narrow(array.dtype))
        and not np.isnan(values).any()
        and takes(out, array.shape, functools.partial(holds_codes, params.grid))
    )
    assert (codes is not REFUSED) == allowed
    if allowed:
        assert codes is out if out is not None else codes.dtype == params.grid.dtype
        assert codes.shape == array.shape
        assert np.all((codes >= params.grid.qmin) & (codes <= params.grid.qmax))
        for at, scale, zero in some_elements(array, params):
            assert codes[at] == code_of(float(values[at]), scale, zero, params.grid, narrow(array.dtype))


REAL_TYPES = st.sampled_from([np.float16, np.float32, np.float64, "f4", ">f8"])


@given(
    data_and_params(),
    st.data(),
    seldom(REAL_TYPES, st.sampled_from([np.int8, np.longdouble, complex, "x", None, 3])),
)
def test_fake_quantize(case, data, dtype):
    (x, params), out = case, data.draw(out_for(case[0]))
    twin = x.copy() if isinstance(x, np.ndarray) else x
    reals = attempt(fake_quantize, x, params, dtype=dtype, out=out)
    codes = attempt(quantize, twin, params)
    expected = REFUSED if codes is REFUSED else attempt(dequantize, codes, params, dtype=dtype)
    if expected is REFUSED or not takes(out, expected.shape, functools.partial(np.can_cast, expected.dtype)):
        assert reals is REFUSED
    else:
        assert reals is out if out is not None else reals.dtype == expected.dtype
        np.testing.assert_array_equal(reals, expected)


@st.composite
def codes_and_params(draw):
    """Codes of the grid, or whatever else."""
    q, params = draw(
        data_and_params(seldom(number_arrays([t for t in NUMBER_TYPES if t.kind in "iu"]), anything))
    )
    if (
        isinstance(params, QuantParams)
        and isinstance(q, np.ndarray)
        and q.dtype.kind in "iu"
        and draw(st.integers(0, 4))
    ):
        q = np.clip(
            q, max(params.grid.qmin, np.iinfo(q.dtype).min), min(params.grid.qmax, np.iinfo(q.dtype).max)
        )
    return q, params


@given(codes_and_params(), st.data(), REAL_TYPES)
def test_dequantize(case, data, dtype):
    (q, params), out = case, data.draw(out_for(case[0]))
    array, single = as_numbers(q), np.dtype(dtype).itemsize <= 4
    before = None if array is None else array.astype(object)
    reals = attempt(dequantize, q, params, dtype=dtype, out=out)
    allowed = (
        array is not None
        and (whole_numbers(array) or (isinstance(q, list) and array.size == 0))
        and isinstance(params, QuantParams)
        and all(params.grid.qmin <= int(v) <= params.grid.qmax for v in before.ravel())
        and fits(params, array.shape)
        and np.dtype(dtype).isnative
        and takes(out, array.shape, functools.partial(np.can_cast, np.dtype(dtype)))
    )
    assert (reals is not REFUSED) == allowed
    if allowed:
        assert reals is out if out is not None else reals.dtype == np.dtype(dtype)
        assert not np.isnan(reals).any()
        for at, scale, zero in some_elements(array, params):
            bits_of = reference.FLOAT32 if single else reference.FLOAT64
            exact = reference.rounded((int(before[at]) - zero) * reference.rounded(scale, bits_of), bits_of)
            largest = Fraction(float(np.finfo(dtype).max))
            assert reals[at] == np.float64(min(max(exact, -largest), largest)).astype(dtype)


@given(
    seldom(st.floats(MIN_SCALE, 1e300) | st.lists(st.floats(1e-3, 1e3), max_size=3), anything),
    seldom(st.integers(-200, 300) | st.lists(st.integers(-9, 9), max_size=3), anything),
    any_grid,
    seldom(st.none() | st.integers(-2, 2), odd_scalars),
    seldom(st.none() | st.integers(1, 4), odd_scalars),
)
def test_quant_params(scale, zero_point, grid, axis, block_size):
    params = attempt(QuantParams, scale, zero_point, grid, axis, block_size)
    if params is not REFUSED:
        assert np.all(np.isfinite(params.scale))
        assert np.all(np.asarray(params.scale) >= MIN_SCALE)
        assert np.all(
            (np.asarray(params.zero_point) >= grid.qmin) & (np.asarray(params.zero_point) <= grid.qmax)
        )
        np.testing.assert_array_equal(params.scale, float64(np.asarray(scale)))
        np.testing.assert_array_equal(params.zero_point, np.asarray(zero_point))
        assert params == QuantParams(params.scale, params.zero_point, grid, axis, block_size)
        assert isinstance(hash(params), int)
        assert attempt(repr, params)
        low, high = attempt(lambda: params.range)
        assert np.all(np.asarray(low) <= np.asarray(high))
    elif isinstance(scale, float) and is_whole(zero_point) and isinstance(grid, IntGrid):
        assert (
            not grid.qmin <= zero_point <= grid.qmax
            or scale < MIN_SCALE
            or axis is not None
            or block_size is not None
        )


@given(seldom(st.integers(-(2**16), 2**16), odd_scalars), seldom(st.integers(-9, 2**17), odd_scalars))
def test_int_grid(qmin, qmax):
    grid = attempt(IntGrid, qmin, qmax)
    if is_whole(qmin) and is_whole(qmax):
        low, high = int(qmin), int(qmax)
        allowed = low <= 0 < high and (low == 0 or low >= -(2**15)) and high < 2 ** (16 - (low < 0))
        assert (grid is not REFUSED) == allowed
    if grid is not REFUSED:
        assert (grid.qmin, grid.qmax, grid.codes) == (int(qmin), int(qmax), int(qmax) - int(qmin) + 1)
        info = np.iinfo(grid.dtype)
        assert info.min <= grid.qmin < grid.qmax <= info.max


@given(
    seldom(st.integers(0, 20), odd_scalars),
    seldom(st.booleans(), odd_scalars),
    seldom(st.booleans(), odd_scalars),
)
def test_int_grid_of(bits, signed, narrow):
    grid = attempt(IntGrid.of, bits, signed, narrow)
    if grid is not REFUSED:
        half = 2 ** (int(bits) - 1)
        expected = (-half + bool(narrow), half - 1) if signed else (0, 2 * half - 1)
        assert (grid.qmin, grid.qmax) == expected


# --- ranges -------------------------------------------------------------------------------------------------

axes = seldom(st.none() | st.integers(-4, 3), odd_scalars)
policies = seldom(st.sampled_from(["raise", "ignore"]), odd_scalars)


def own_range(values, nan):
    """Min and max of a part, or None where there is none to be had."""
    values = [float(v) for v in values.ravel()]
    if nan == "ignore":
        values = [v for v in values if v == v]
    finite = values and all(np.isfinite(values))
    return (min(values), max(values)) if finite else None


def parts_of(x, axis, block_size=None):
    """The whole array, its channels or its blocks, as float64; None for what has no such parts."""
    array = as_numbers(x)
    if (
        array is None
        or not (axis is None or is_axis(axis, array.ndim))
        or (axis is None and block_size is not None)
    ):
        return None
    array = float64(array)
    if axis is None:
        return [array]
    if block_size is None:
        return list(np.moveaxis(array, axis, 0))
    if not is_whole(block_size) or block_size < 1:
        return None
    lines = np.moveaxis(array, axis, -1).reshape(-1, array.shape[axis]) if array.size else []
    return [line[i : i + block_size] for line in lines for i in range(0, len(line), block_size)]


def expected_ranges(x, axis, nan, block_size=None):
    parts = parts_of(x, axis, block_size) if isinstance(nan, str) and nan in ("raise", "ignore") else None
    ranges = [own_range(part, nan) for part in parts] if parts else [None]
    return None if None in ranges else ranges


@given(anything, axes, policies, seldom(st.none() | st.integers(1, 4), odd_scalars))
def test_minmax_range(x, axis, nan, block_size):
    found = attempt(minmax_range, x, axis=axis, nan=nan, block_size=block_size)
    expected = expected_ranges(x, axis, nan, block_size)
    assert (found is not REFUSED) == (expected is not None)
    if expected is None:
        return
    if block_size is not None:
        found = [np.moveaxis(end, axis, -1).ravel() for end in found]
    np.testing.assert_array_equal(np.transpose(found).reshape(-1, 2), expected)


def check_filtered(found, x, keep, axis, nan):
    expected = expected_ranges(x, axis, nan)
    assert (found is not REFUSED) == (expected is not None)
    if expected is None:
        return
    assert isinstance(found, Range)
    for part, (low, high), own in zip(
        parts_of(x, axis), np.transpose(found).reshape(-1, 2), expected, strict=True
    ):
        values = part[~np.isnan(part)]
        assert own[0] <= low <= high <= own[1]
        assert {low, high} <= set(values.ravel().tolist())
        assert np.count_nonzero((values >= low) & (values <= high)) / values.size >= keep


keeps = st.floats(0, 1, exclude_min=True) | st.sampled_from([1, 0.5, np.float32(0.99)])


@given(anything, seldom(keeps, odd_scalars), seldom(st.integers(1, 200), odd_scalars), axes, policies)
def test_histogram_range(x, keep, bins, axis, nan):
    found = attempt(histogram_range, x, keep, bins, axis=axis, nan=nan)
    if (
        not isinstance(keep, bool)
        and isinstance(keep, (int, float, np.floating))
        and 0 < keep <= 1
        and is_whole(bins)
        and 1 <= bins <= 2**24
    ):
        check_filtered(found, x, keep, axis, nan)


@given(anything, seldom(keeps, odd_scalars), axes, policies)
def test_shortest_range(x, keep, axis, nan):
    found = attempt(shortest_range, x, keep, axis=axis, nan=nan)
    if not isinstance(keep, bool) and isinstance(keep, (int, float, np.floating)) and 0 < keep <= 1:
        check_filtered(found, x, keep, axis, nan)


@given(
    anything,
    seldom(st.integers(1, 300), odd_scalars),
    seldom(st.integers(1, 200), odd_scalars),
    seldom(keeps, odd_scalars),
)
def test_note_histogram_scale(x, int_max, bins, keep):
    found = attempt(note_histogram_scale, x, int_max, bins, keep)
    if found is not REFUSED:
        assert type(found) is float
        assert 0 <= found < np.inf


# --- calibration --------------------------------------------------------------------------------------------

tensors = seldom(
    anything, st.builds(lambda n: Histogram(n).update([-1.0, 0.5, 2.0]), st.sampled_from([2, 8, 2048]))
)
schemes = seldom(st.sampled_from(["asymmetric", "symmetric"]), odd_scalars)
percentiles = seldom(st.floats(0, 100) | st.sampled_from([0, 100, 99.99]), odd_scalars)


def ranges_of(x, axis, nan):
    """The own ranges of an array, or of a Histogram, which has no channels."""
    if isinstance(x, Histogram):
        return (
            [(x.min, x.max)] if axis is None and isinstance(nan, str) and nan in ("raise", "ignore") else None
        )
    return expected_ranges(x, axis, nan)


def pairs(found):
    return np.transpose(found).reshape(-1, 2)


@given(tensors, percentiles, axes, policies)
def test_percentile_range(x, percentile, axis, nan):
    found = attempt(percentile_range, x, percentile, axis=axis, nan=nan)
    if isinstance(percentile, bool) or not isinstance(percentile, (int, float)) or not 0 <= percentile <= 100:
        return
    expected = ranges_of(x, axis, nan)
    assert (found is not REFUSED) == (expected is not None)
    for (low, high), own in zip(pairs(found) if expected else [], expected or [], strict=True):
        assert own[0] <= low <= high <= own[1]
        assert percentile != 100 or (low, high) == own


@given(tensors, any_grid, schemes, axes, policies)
def test_mse_range(x, grid, scheme, axis, nan):
    found = attempt(mse_range, x, grid, scheme, axis=axis, nan=nan)
    expected = ranges_of(x, axis, nan)
    known = isinstance(scheme, str) and scheme in ("asymmetric", "symmetric") and isinstance(grid, IntGrid)
    if not known or expected is None:
        assert found is REFUSED
        return
    short = scheme == "symmetric" and grid.qmin > -grid.qmax
    assert (found is REFUSED) == (short and min(own[0] for own in expected) < 0)
    for (low, high), own in zip(
        [] if found is REFUSED else pairs(found), expected, strict=found is not REFUSED
    ):
        if scheme == "asymmetric":
            assert own[0] <= low <= high <= own[1]
        else:
            assert low == (0 if short else -high)
            assert 0 <= high <= max(np.abs(own))


@given(tensors, any_grid, axes, policies)
def test_entropy_range(x, grid, axis, nan):
    found = attempt(entropy_range, x, grid, axis=axis, nan=nan)
    expected = ranges_of(x, axis, nan)
    assert (found is not REFUSED) == (isinstance(grid, IntGrid) and expected is not None)
    for (low, high), own in zip(
        [] if found is REFUSED else pairs(found), expected or [], strict=found is not REFUSED
    ):
        assert low == (0 if grid.qmin == 0 and own[0] >= 0 else -high)
        assert 0 <= high <= max(np.abs(own))


methods = seldom(st.sampled_from(["minmax", "histogram", "percentile", "mse", "entropy"]), odd_scalars)
settings_of = st.tuples(
    methods, any_grid, schemes, seldom(st.none() | st.integers(-2, 2), odd_scalars), policies
)


@given(st.lists(anything, min_size=1, max_size=3), settings_of, seldom(st.integers(2, 300), odd_scalars))
def test_calibrator(batches, settings, max_bins):
    method, grid, scheme, axis, nan = settings
    calibrator = attempt(Calibrator, method, grid, scheme, axis=axis, nan=nan, max_bins=max_bins)
    if calibrator is REFUSED:
        return
    counted = 0
    for x in batches:
        before = repr(calibrator)
        if attempt(calibrator.observe, x) is REFUSED:
            assert repr(calibrator) == before
        else:
            counted += np.size(x) - np.count_nonzero(np.isnan(float64(np.asarray(x))))
    assert calibrator.n == counted
    twin = attempt(Calibrator(method, grid, scheme, axis=axis, nan=nan, max_bins=max_bins).merge, calibrator)
    assert twin == calibrator
    params = attempt(calibrator.params)
    if counted and axis is None and scheme == "asymmetric":
        assert params is not REFUSED
    if params is not REFUSED:
        assert (params.grid, params.axis) == (grid, axis)
        assert params == attempt(twin.params)


# --- parameters ---------------------------------------------------------------------------------------------


@st.composite
def range_ends(draw):
    """rmin, rmax, axis and block_size: numbers, or arrays one a channel or block; or whatever."""
    if draw(st.integers(0, 5)) == 0:
        return draw(anything), draw(anything), draw(axes), None
    pairs = draw(st.lists(intervals(1.7e308), min_size=1, max_size=4))
    if draw(st.booleans()):
        return *pairs[0], None, None
    low, high = np.transpose(pairs)
    if draw(st.booleans()):
        return low, high, draw(axes), None
    return low[None], high[None], draw(st.sampled_from([0, 1, -1, 2])), draw(st.integers(1, 3))


def check_params(params, ends, grid, allowed, one):
    rmin, rmax, axis, block_size = ends
    if not isinstance(grid, IntGrid) or isinstance(rmin, list):
        return
    low, high = as_numbers(rmin), as_numbers(rmax)
    ndim = int(axis is not None) if block_size is None else 2
    allowed = (
        allowed
        and low is not None
        and high is not None
        and low.shape == high.shape
        and low.size > 0
        and low.ndim == ndim
        and (axis is None or is_whole(axis))
        and (block_size is None or is_axis(axis, 2))
        and bool(
            np.all(np.isfinite(float64(low)) & np.isfinite(float64(high)) & (float64(low) <= float64(high)))
        )
    )
    assert (params is not REFUSED) == allowed
    if allowed:
        assert (params.grid, params.axis, params.block_size) == (grid, axis, block_size)
        found = zip(np.ravel(params.scale), np.ravel(params.zero_point), strict=True)
        for pair, a, b in zip(found, float64(low).ravel(), float64(high).ravel(), strict=True):
            scale, zero = one(float(a), float(b))
            assert pair[0] == scale
            assert pair[1] == zero or (a == b == 0 and grid.qmin <= pair[1] <= grid.qmax)


@given(range_ends(), any_grid, seldom(st.sampled_from(["max", "min"]), odd_scalars))
def test_asymmetric_params(ends, grid, anchor):
    rmin, rmax, axis, block_size = ends
    params = attempt(asymmetric_params, rmin, rmax, grid, axis=axis, anchor=anchor, block_size=block_size)
    known = isinstance(anchor, str) and anchor in ("max", "min")
    # where the width overflows float64 the library divides first: the reference would not
    wide = [
        v is not None and np.abs(float64(v)).max(initial=0) > 8e307 for v in map(as_numbers, (rmin, rmax))
    ]
    if not any(wide):
        check_params(params, ends, grid, known, lambda a, b: reference.asymmetric_params(a, b, grid, anchor))


@given(range_ends(), any_grid)
def test_symmetric_params(ends, grid):
    rmin, rmax, axis, block_size = ends
    params = attempt(symmetric_params, rmin, rmax, grid, axis=axis, block_size=block_size)
    room = isinstance(grid, IntGrid) and grid.qmin <= -grid.qmax
    low = as_numbers(rmin)
    room = room or (low is not None and bool(np.all(float64(low) >= 0)))
    check_params(params, ends, grid, room, lambda a, b: (reference.symmetric_params(a, b, grid), 0))


# --- ledgers ------------------------------------------------------------------------------------------------


@given(data_and_params())
def test_code_ledger(case):
    x, params = case
    array = as_numbers(x)
    ledger = attempt(code_ledger, x, params)
    allowed = (
        array is not None
        and isinstance(params, QuantParams)
        and array.size > 0
        and bool(np.isfinite(float64(array)).all())
        and fits(params, array.shape)
        and holds(params, narrow(array.dtype))
    )
    assert (ledger is not REFUSED) == allowed
    if not allowed:
        return
    codes = quantize(x, params).astype(int).ravel()
    np.testing.assert_array_equal(
        ledger.counts, np.bincount(codes - params.grid.qmin, minlength=params.grid.codes)
    )
    assert 0 <= ledger.clipped_low + ledger.clipped_high <= 1
    assert ledger.mse >= 0
    assert (
        0 <= ledger.max_abs_error < np.inf or np.abs(float64(array)).max() > 1e300 or not holds(params, True)
    )
    assert not np.isnan(ledger.sqnr_db)
    assert attempt(str, ledger)
    assert attempt(str, attempt(ledger_table, {"row": ledger}))


LEDGER = code_ledger([1.0, 2.0], QuantParams(1.0, 0, IntGrid(-4, 3)))


@given(
    odd_scalars
    | st.dictionaries(
        seldom(st.text(max_size=3), st.integers()), seldom(st.just(LEDGER), odd_scalars), max_size=3
    )
)
def test_ledger_table(ledgers):
    table = attempt(ledger_table, ledgers)
    if isinstance(ledgers, dict) and all(isinstance(v, CodeLedger) for v in ledgers.values()):
        assert (table is not REFUSED) == all(isinstance(name, str) for name in ledgers)
    if table is not REFUSED:
        assert isinstance(table, LedgerTable)
        assert len(attempt(str, table).split("\n")) >= 1 + len(ledgers)
        assert attempt(table._repr_html_).count("<tr>") == 1 + len(ledgers)


# --- the histogram ------------------------------------------------------------------------------------------


def seen(h):
    return h.counts.tolist(), h.edges.tolist(), h.n, h.min, h.max


@given(st.lists(anything, min_size=1, max_size=3), seldom(st.integers(2, 300), odd_scalars), policies)
def test_histogram(batches, max_bins, nan):
    h = attempt(Histogram, max_bins)
    if h is REFUSED:
        assert not (is_whole(max_bins) and 2 <= max_bins <= 2**24)
        return
    counted = []
    for x in batches:
        before, array = seen(h), as_numbers(x)
        done = attempt(h.update, x, nan)
        values = [] if array is None else [float(v) for v in float64(array).ravel()]
        if isinstance(nan, str) and nan == "ignore":
            values = [v for v in values if v == v]
        allowed = (
            array is not None
            and isinstance(nan, str)
            and nan in ("raise", "ignore")
            and all(np.isfinite(values))
        )
        assert (done is not REFUSED) == allowed
        if allowed:
            assert done is h
            counted += values
        else:
            assert seen(h) == before
    if counted:
        k, first, counts = reference.histogram(counted, h.max_bins)
        assert seen(h) == (
            counts,
            reference.histogram_edges(k, first, len(counts)),
            len(counted),
            min(counted),
            max(counted),
        )
        halves = [Histogram(h.max_bins).update(part) for part in np.array_split(np.array(counted), 2)]
        assert halves[1] | halves[0] == h
    assert attempt(repr, h)


@given(odd_scalars | st.builds(Histogram, st.sampled_from([8, 2048])))
def test_histogram_merge(other):
    h = Histogram().update([1.0, 2.0])
    before = seen(h)
    done = attempt(h.merge, other)
    assert (done is not REFUSED) == (isinstance(other, Histogram) and other.max_bins == 2048)
    assert seen(h) == before
    assert (attempt(lambda: h | other) is REFUSED) == (done is REFUSED)


# --- integers -----------------------------------------------------------------------------------------------

INT_TYPES = [t for t in NUMBER_TYPES if t.kind in "iu"]


@st.composite
def matmul_operands(draw):
    """Codes of a grid with parameters of every kind, two of them with one K; or, seldom, whatever."""
    m, k, n = (draw(st.sampled_from([0, 1, 2, 3, 5])) for _ in range(3))
    operands = []
    for shape in [(m, k), (k, n)]:
        codes = np.zeros(draw(seldom(st.just(shape), st.sampled_from([(), (k,), (2, *shape)]))), np.int64)
        params = draw(params_for(codes))
        grid = params.grid
        rng = np.random.default_rng(draw(st.integers(0, 99)))
        codes = rng.integers(grid.qmin, grid.qmax, codes.shape, endpoint=True).astype(grid.dtype)
        operands.append((draw(seldom(st.just(codes), anything)), draw(seldom(st.just(params), odd_scalars))))
    return operands


def takes_part(q, params, k_axis):
    """True if these are codes of the grid, and S and Z do not change along K."""
    array = as_numbers(q)
    return (
        isinstance(params, QuantParams)
        and array is not None
        and array.ndim == 2
        and whole_numbers(array)
        and all(params.grid.qmin <= int(v) <= params.grid.qmax for v in array.ravel())
        and params.block_size is None
        and fits(params, array.shape)
        and (params.axis is None or params.axis % 2 != k_axis)
    )


def spreads_over(shape, larger):
    """True if an array of `shape` broadcasts against one of the larger, and the result is no larger still."""
    missing = len(larger) - len(shape)
    return missing >= 0 and all(n in (1, m) for n, m in zip(shape, larger[missing:], strict=True))


@given(matmul_operands(), seldom(st.none() | st.integers(-(2**31), 2**31 - 1), anything))
def test_int_matmul(operands, bias):
    (qx, x_params), (qw, w_params) = operands
    found = attempt(int_matmul, qx, qw, x_params, w_params, bias=bias)
    terms = attempt(matmul_terms, qx, qw, x_params, w_params)
    allowed = (
        takes_part(qx, x_params, 1) and takes_part(qw, w_params, 0) and np.shape(qx)[1] == np.shape(qw)[0]
    )
    if allowed:
        left, right = (
            np.asarray(q).astype(object) - everywhere(p.zero_point, p, np.shape(q)).astype(object)
            for q, p in operands
        )
        exact = np.array([[sum(a * b for a, b in zip(row, column, strict=True)) for column in right.T]
                          for row in left], object).reshape(len(left), right.shape[1])  # fmt: skip
        assert terms is not REFUSED
        np.testing.assert_array_equal(sum(terms), exact.astype(np.int64))
        added = np.int64(0) if bias is None else as_numbers(bias)
        if (
            added is None
            or not whole_numbers(added)
            or not all(-(2**31) <= v < 2**31 for v in added.flat)
            or not spreads_over(added.shape, exact.shape)
        ):
            assert found is REFUSED or not added.size  # an empty list is one of integers
            return
        exact = exact + added.astype(object)
        if all(-(2**31) <= v < 2**31 for v in exact.ravel()):
            assert found.dtype == np.int32
            np.testing.assert_array_equal(found, exact.astype(np.int64))
        else:
            assert found is REFUSED
    elif all(as_numbers(q) is not None and np.ndim(q) == 2 for q in (qx, qw)):
        assert found is terms is REFUSED


test_matmul_terms = test_int_matmul


@given(anything, st.data())
def test_quantize_bias(bias, data):
    channels = np.shape(as_numbers(bias))[-1:] if as_numbers(bias) is not None else ()
    weight = np.zeros((3, *channels))
    x_params, w_params = (data.draw(seldom(params_for(x), odd_scalars)) for x in (0.0, weight))
    found = attempt(quantize_bias, bias, x_params, w_params)
    if found is not REFUSED:
        array = float64(as_numbers(bias))
        assert (found.dtype, found.shape) == (np.int32, array.shape)
        scale = np.broadcast_to(x_params.scale * np.asarray(w_params.scale), array.shape)
        for i in list(np.ndindex(array.shape))[:5]:
            assert abs(int(found[i]) - array[i] / scale[i]) <= 0.5 + 1e-9 * abs(array[i] / scale[i])


@given(anything | st.floats(0, 2.0**31) | st.lists(st.floats(1e-9, 2), min_size=1, max_size=4))
def test_fixed_point_multiplier(m):
    found = attempt(fixed_point_multiplier, m)
    array = as_numbers(m)
    allowed = (
        array is not None
        and array.dtype != bool
        and array.ndim <= 1
        and bool(np.all(np.isfinite(float64(array)) & (float64(array) > 0)))
    )
    if allowed and np.all(float64(array) < 2.0**30 - 1):
        assert found is not REFUSED
    if found is not REFUSED:
        assert allowed
        for one, m0, shift in zip(float64(array).ravel(), *map(np.ravel, found), strict=True):
            assert (m0, shift) == reference.fixed_point_multiplier(float(one))


CODES = np.random.default_rng(0).integers(0, 2, (2, 4, 6, 6))  # of every grid
steps = st.integers(1, 3) | st.tuples(st.integers(1, 3), st.integers(1, 3))
odd = anything | odd_scalars | st.tuples(st.integers(-2, 2)) | st.tuples(*[st.integers(-1, 2)] * 3)


@given(
    seldom(st.just(CODES), anything),
    seldom(st.sampled_from([CODES[:, :, :2, :2], CODES[:, :2, :3, :1], CODES[:, :1, :1, :3]]), anything),
    seldom(tensor_params(), odd_scalars),
    seldom(st.none() | st.just(np.array([5, -5])), anything),
    seldom(steps, odd),
    seldom(st.just(0) | steps | st.tuples(*[st.integers(0, 2)] * 4), odd),
    seldom(steps, odd),
    seldom(st.none(), odd_scalars),
)
def test_int_conv(qx, qw, params, bias, strides, pads, dilations, groups):
    """A result has one image for each of qx and one channel for each of qw, and adding 1 to a bias adds 1."""
    if groups is None and isinstance(qw, np.ndarray) and qw.ndim == 4:
        groups = max(4 // max(np.shape(qw)[1], 1), 1)
    geometry = {"strides": strides, "pads": pads, "dilations": dilations, "groups": groups}
    found = attempt(int_conv, qx, qw, params, params, bias=bias, **geometry)
    if found is not REFUSED:
        assert (found.dtype, found.ndim) == (np.int32, 4)
        assert found.shape[:2] == (len(qx), len(qw))
        more = np.zeros(len(qw), np.int64) if bias is None else np.asarray(bias, np.int64)
        np.testing.assert_array_equal(int_conv(qx, qw, params, params, bias=more + 1, **geometry), found + 1)


METHODS = {
    "minmax": minmax_range,
    "histogram": histogram_range,
    "percentile": percentile_range,
    "mse": mse_range,
    "entropy": entropy_range,
}


@given(seldom(st.sampled_from(list(METHODS)), odd_scalars), tensors, any_grid, schemes, axes, policies)
def test_choose_range(method, x, grid, scheme, axis, nan):
    """The method's own function, where neither grid nor scheme is an argument of it."""
    found = attempt(choose_range, method, x, grid, scheme, axis=axis, nan=nan)
    if found is not REFUSED and method in ("minmax", "histogram", "percentile"):
        own = Range(x.min, x.max) if isinstance(x, Histogram) and method == "minmax" else None
        expected = own or METHODS[method](x, axis=axis, nan=nan)
        np.testing.assert_array_equal(found, expected)


@given(seldom(st.tuples(st.floats(-9, 0), st.floats(0, 9)), anything), any_grid, schemes)
def test_make_params(bounds, grid, scheme):
    found = attempt(make_params, bounds, grid, scheme)
    if found is not REFUSED:
        own = asymmetric_params if scheme == "asymmetric" else symmetric_params
        assert found == own(*bounds, grid)


# --- functions that move factors, and rounding that knows what follows --------------------------------------

ROWS = np.random.default_rng(1).normal(size=(4, 12))
matrices = seldom(st.just(ROWS) | st.just(ROWS[:2]) | st.just(ROWS.T.copy()), anything)
columns = seldom(st.just(np.abs(ROWS).max(axis=0)) | st.just(np.ones(4)), anything)


@given(
    matrices,
    matrices,
    seldom(tensor_params() | any_grid, odd_scalars),
    seldom(st.none() | st.floats(0, 9), odd_scalars),
)
def test_gptq(weight, inputs, params, damping):
    found = attempt(gptq, weight, inputs, params, damping=damping)
    if found is not REFUSED:
        codes = found[0] if isinstance(params, IntGrid) else found
        grid = params if isinstance(params, IntGrid) else params.grid
        assert codes.shape == np.shape(weight)
        assert codes.size == 0 or (grid.qmin <= codes.min() and codes.max() <= grid.qmax)


@given(columns, matrices, seldom(st.floats(0, 1), odd_scalars))
def test_smooth_factors(absmax, weight, alpha):
    found = attempt(smooth_factors, absmax, weight, alpha)
    if found is not REFUSED:
        assert found.shape == np.shape(absmax)
        assert (found > 0).all()
        assert np.isfinite(found).all()


@given(seldom(st.sampled_from([1, 2, 4, 12, 20, 56]), odd_scalars | st.integers(-9, 99)))
def test_hadamard(n):
    found = attempt(hadamard, n)
    if found is not REFUSED:
        np.testing.assert_array_equal(found @ found.T, n * np.eye(n))


@given(matrices, seldom(st.none() | st.integers(0, 9), odd_scalars), st.booleans())
def test_rotate(x, seed, inverse):
    found = attempt(rotate, x, seed, inverse)
    if found is not REFUSED and np.isfinite(found).all():
        assert found.shape == np.shape(x)
        np.testing.assert_allclose(
            rotate(found, seed, not inverse), as_numbers(x).astype(found.dtype), atol=1e-5
        )


@given(matrices, seldom(st.none(), columns), columns, columns, columns, columns)
def test_fold_batch_norm(weight, bias, gamma, beta, mean, var):
    found = attempt(fold_batch_norm, weight, bias, gamma, beta, mean, var)
    if found is not REFUSED:
        assert found[0].shape == np.shape(weight)
        assert found[1].shape == np.shape(weight)[:1]


@given(matrices, seldom(st.none(), columns), matrices, seldom(st.just("relu"), odd_scalars))
def test_equalize(first, bias, second, between):
    found = attempt(equalize, first, bias, second, between=between)
    if found is not REFUSED:
        assert found[0].shape == np.shape(first)
        assert found[2].shape == np.shape(second)


@given(matrices, matrices, matrices)
def test_bias_correction(weight, quantized, inputs):
    found = attempt(bias_correction, weight, quantized, inputs)
    if found is not REFUSED:
        assert found.shape == np.shape(weight)[:1]


int32s = number_arrays([np.dtype(t) for t in (np.int8, np.uint8, np.int16, np.int32)])


@given(
    seldom(int32s, anything),
    seldom(st.integers(2**30, 2**31 - 1), anything),
    seldom(st.integers(-30, 40), anything),
    seldom(st.integers(-9, 9), anything),
    any_grid,
)
def test_requantize(acc, m0, shift, zero_point, grid):
    found = attempt(requantize, acc, m0, shift, zero_point, grid)
    plain = is_whole(m0) and is_whole(shift) and is_whole(zero_point) and isinstance(grid, IntGrid)
    array = as_numbers(acc)
    if plain and array is not None and array.dtype in [np.dtype(t) for t in ("i1", "u1", "i2", "i4")]:
        allowed = 2**30 <= m0 < 2**31 and -30 <= shift <= 2**31 and grid.qmin <= zero_point <= grid.qmax
        assert (found is not REFUSED) == allowed
    if found is not REFUSED:
        assert (found.dtype, found.shape) == (grid.dtype, array.shape)
        if plain:
            for i in list(np.ndindex(array.shape))[:5]:
                one = reference.requantize(int(array[i]), int(m0), int(shift), int(zero_point), grid)
                assert found[i] == one


@given(
    seldom(number_arrays(INT_TYPES) | st.lists(st.integers(-8, 7)) | st.lists(st.integers(0, 15)), anything)
)
def test_pack_int4(codes):
    packed = attempt(pack_int4, codes)
    array = as_numbers(codes)
    whole = array is not None and (whole_numbers(array) or (isinstance(codes, list) and not array.size))
    values = [int(v) for v in array.ravel()] if whole else []
    signed = all(-8 <= v <= 7 for v in values)
    assert (packed is not REFUSED) == (whole and (signed or all(0 <= v <= 15 for v in values)))
    if packed is not REFUSED:
        assert (packed.dtype, packed.shape) == (np.uint8, ((len(values) + 1) // 2,))
        np.testing.assert_array_equal(unpack_int4(packed, array.shape, signed), array)


@given(
    seldom(number_arrays([np.dtype(np.uint8)], max_dims=1), anything),
    seldom(st.none() | st.integers(0, 9) | st.lists(st.integers(0, 4), max_size=3), odd_scalars),
    seldom(st.booleans(), odd_scalars),
)
def test_unpack_int4(packed, shape, signed):
    codes = attempt(unpack_int4, packed, shape, signed)
    if codes is not REFUSED:
        assert codes.dtype == (np.int8 if signed else np.uint8)
        octets = np.asarray(packed)
        assert (codes.size + 1) // 2 == octets.size
        for i, code in enumerate(codes.ravel().tolist()):
            nibble = int(octets[i // 2]) >> (4 * (i % 2)) & 15
            assert code == (nibble - 16 if signed and nibble > 7 else nibble)


# --- compare ------------------------------------------------------------------------------------------------

some_bits = st.integers(2, 16) | st.lists(st.integers(2, 9), min_size=1, max_size=2, unique=True)


@given(
    anything | st.sampled_from(["no_such_file.npy", "", "x", ".npz"]),
    seldom(some_bits, odd_scalars),
    seldom(st.none(), odd_scalars),
)
def test_compare(x, bits, tensor):
    found = attempt(compare, x, bits=bits, tensor=tensor)
    own = (
        None
        if isinstance(x, str)
        else own_range(as_numbers(x), "raise")
        if as_numbers(x) is not None
        else None
    )
    widths = bits if isinstance(bits, list) else [bits]
    if all(is_whole(width) and 2 <= width <= 16 for width in widths) and tensor is None:
        assert (found is not REFUSED) == (own is not None)
    if found is not REFUSED:
        assert isinstance(found, Comparison)
        assert attempt(str, found)
        assert attempt(found._repr_html_)
        assert found.best() in found.trials


# --- nothing is left out ------------------------------------------------------------------------------------


@given(odd_scalars | st.sampled_from(["", "gelu", "../gelu_output", "GELU_OUTPUT"]))
def test_samples(name):
    for call in (quantnotes.samples.load, quantnotes.samples.describe):
        assert attempt(call, name) is REFUSED


@given(anything, any_grid, seldom(st.sampled_from(["asymmetric", "symmetric"]), odd_scalars), axes)
def test_quantize_dynamic(x, grid, scheme, axis):
    found = attempt(quantize_dynamic, x, grid, scheme, axis=axis)
    bounds = attempt(minmax_range, x, axis=axis)
    if found is REFUSED:
        known = isinstance(scheme, str) and scheme in ("asymmetric", "symmetric")
        both = known and isinstance(grid, IntGrid) and bounds is not REFUSED
        assert not both or (scheme == "symmetric" and grid.qmin > -grid.qmax) or np.max(np.abs(bounds)) > 3e38
    else:
        codes, params = found
        make = asymmetric_params if scheme == "asymmetric" else symmetric_params
        assert params == make(*bounds, grid, axis=axis)
        np.testing.assert_array_equal(codes, quantize(x, params))


@given(seldom(st.dictionaries(st.text(max_size=3), seldom(tensor_params(), anything), max_size=3), anything))
def test_save_params(params):
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/params.json"
        if attempt(save_params, path, params) is REFUSED:
            assert not (isinstance(params, dict) and all(isinstance(p, QuantParams) for p in params.values()))
        else:
            assert attempt(load_params, path) == params


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda s: (
        st.lists(s, max_size=3)
        | st.dictionaries(st.sampled_from(["scale", "zero_point", "grid", "axis", "block_size", "x"]), s)
    ),
    max_leaves=9,
)


@given(json_values)
def test_load_params(content):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "params.json")
        path.write_text(json.dumps(content))
        found = attempt(load_params, path)
        assert found is REFUSED or all(isinstance(params, QuantParams) for params in found.values())


MADE_BY_OTHERS = {
    "CodeLedger",
    "Comparison",
    "LedgerTable",
    "MatmulTerms",
    "Range",
    "Survey",
}  # results; nothing is passed to them


def test_every_public_function_is_fuzzed():
    public = {name for name in quantnotes.__all__ if callable(getattr(quantnotes, name))} - MADE_BY_OTHERS
    snake = {"IntGrid": "int_grid", "QuantParams": "quant_params", "Histogram": "histogram"}
    snake |= {"Calibrator": "calibrator"}
    assert {f"test_{snake.get(name, name)}" for name in public} <= set(globals())


@pytest.mark.skipif(not hasattr(signal, "SIGALRM"), reason="there is no alarm here")
def test_a_hang_is_noticed():
    with pytest.raises(RuntimeError, match="no answer"), no_longer_than(0.05):
        threading.Event().wait(30)
