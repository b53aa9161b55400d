"""QuantParams, quantize, dequantize, fake_quantize: r = S (q - Z), against fractions, over every code."""

import pickle
from fractions import Fraction

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference import FLOAT32, FLOAT64, assert_same_bits, channel
from reference import dequantize as dequantize_one
from reference import quantize as quantize_one
from strategies import (
    BAD_TYPES,
    FLOAT_TYPES,
    LAYOUTS,
    ML_FLOATS,
    ML_INTEGERS,
    arrays,
    float32s,
    mirror_grids,
    moderate_float32s,
    moderate_scales,
    tensor_params,
    values_with_params,
)

from quantnotes import (
    INT4,
    INT8,
    INT8_NARROW,
    INT16,
    UINT4,
    UINT8,
    UINT16,
    IntGrid,
    QuantParams,
    dequantize,
    fake_quantize,
    quantize,
)

pytestmark = pytest.mark.usefixtures("both_kernels")

BYTE_GRIDS = [
    IntGrid.of(bits, signed=signed, narrow=narrow)
    for bits in range(2, 9)
    for signed, narrow in [(True, False), (True, True), (False, False)]
]
WIDE_GRIDS = [INT16, IntGrid.of(16, narrow=True), UINT16]
SCALES = [1.0, 0.1, 1 / 3, 2.0**-126, 7.84e-11, 2.353e33]
P = QuantParams(0.1, 3, INT8)
PER_CHANNEL = QuantParams([0.1, 0.25, 3.0], [3, -128, 127], INT8, axis=1)


def spread(size, seed=0, dtype=np.float32):
    """Normals wide enough to clip on P."""
    return (8 * np.random.default_rng(seed).standard_normal(size)).astype(dtype)


# --- every code ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("grid", BYTE_GRIDS, ids=str)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_every_code_and_every_zero_point_round_trips_up_to_8_bits(grid, dtype):
    codes = np.arange(grid.qmin, grid.qmax + 1).astype(grid.dtype)
    for zero_point in range(grid.qmin, grid.qmax + 1):
        params = QuantParams(SCALES[zero_point % len(SCALES)], zero_point, grid)
        assert_same_bits(quantize(dequantize(codes, params, dtype=dtype), params), codes)


@pytest.mark.parametrize("grid", WIDE_GRIDS, ids=str)
@pytest.mark.parametrize("scale", SCALES)
def test_every_code_round_trips_at_16_bits(grid, scale):
    codes = np.arange(grid.qmin, grid.qmax + 1).astype(grid.dtype)
    for zero_point in [grid.qmin, grid.qmin + 1, 0, 12345, grid.qmax - 1, grid.qmax]:
        params = QuantParams(scale, zero_point, grid)
        assert_same_bits(quantize(dequantize(codes, params), params), codes)


@pytest.mark.parametrize("grid", [*BYTE_GRIDS, INT16, UINT16], ids=str)
@pytest.mark.parametrize("zero_point", [0, 1])
def test_all_ties_go_to_the_even_neighbour_before_the_zero_point(grid, zero_point):
    """x = n + 1/2, S = 1: Python's round is the oracle (ties to even)."""
    n = np.arange(grid.qmin - 5, grid.qmax + 6)
    params = QuantParams(1.0, zero_point, grid)
    expected = [min(max(round(v + 0.5) + zero_point, grid.qmin), grid.qmax) for v in n.tolist()]
    for dtype in [np.float32, np.float64]:
        np.testing.assert_array_equal(quantize((n + 0.5).astype(dtype), params), expected)


# --- against fractions --------------------------------------------------------------------------------------


@pytest.mark.parametrize("scale", [0.1, 1 / 3, 0.0123, 7.0, 1e-30])
@pytest.mark.parametrize(("dtype", "bits"), [(np.float32, FLOAT32), (np.float64, FLOAT64)])
def test_values_next_to_ties_agree_with_fractions(scale, dtype, bits):
    """Here 1/S, a float64 S under float32 data, and a Z inside the rounding show."""
    middle = ((np.arange(-300, 300) + 0.5) * scale).astype(dtype)
    x = np.concatenate([middle, np.nextafter(middle, dtype(np.inf)), np.nextafter(middle, dtype(-np.inf))])
    params = QuantParams(scale, 1, INT8)
    expected = [quantize_one(v, scale, 1, INT8, bits) for v in x.tolist()]
    np.testing.assert_array_equal(quantize(x, params), expected)


@given(values_with_params())
def test_quantize_is_the_exact_quotient_rounded(case):
    x, params = case
    bits = FLOAT32 if x.dtype == np.float32 else FLOAT64
    expected = [quantize_one(v, params.scale, params.zero_point, params.grid, bits) for v in x.tolist()]
    assert_same_bits(quantize(x, params), np.array(expected, params.grid.dtype))


@given(tensor_params(), st.data())
def test_dequantize_is_the_exact_product_rounded(params, data):
    grid = params.grid
    codes = np.array(data.draw(st.lists(st.integers(grid.qmin, grid.qmax), max_size=20)), grid.dtype)
    for dtype, bits in [(np.float32, FLOAT32), (np.float64, FLOAT64)]:
        expected = [dequantize_one(q, params.scale, params.zero_point, bits) for q in codes.tolist()]
        assert_same_bits(dequantize(codes, params, dtype=dtype), np.array(expected, dtype))


@pytest.mark.parametrize(
    ("r", "code", "back"), [(0.6, 2, 0.5), (0.75, 3, 1.0), (0.25, 1, 0.0), (5, 3, 1.0), (-9, -4, -2.5)]
)
def test_worked_by_hand(r, code, back):
    """STORYBOARD.md, 01: grid -4..3, S = 0.5, Z = 1."""
    params = QuantParams(0.5, 1, IntGrid(-4, 3))
    assert quantize(np.float32(r), params) == code
    assert dequantize(np.array(code), params) == back
    assert params.range == (-2.5, 1.0)


@pytest.mark.parametrize("scale", [2.0**-126, 1e-20, 1.0, 1e30, 3e38, 1e300])
@pytest.mark.parametrize("zero_point", [-128, 0, 127])
def test_zero_is_exact_and_infinities_saturate(scale, zero_point):
    params = QuantParams(scale, zero_point, INT8)
    for dtype in [np.float32, np.float64] if scale < 1e39 else [np.float64]:
        np.testing.assert_array_equal(quantize(np.array([0.0, -0.0], dtype), params), zero_point)
        np.testing.assert_array_equal(quantize(np.array([np.inf, -np.inf], dtype), params), [127, -128])
        assert_same_bits(dequantize(np.array([zero_point], np.int8), params, dtype=dtype), np.zeros(1, dtype))


@pytest.mark.parametrize("call", [quantize, fake_quantize])
def test_data_in_float32_need_a_scale_in_float32(call):
    """In float32 it would be inf, and 0 * inf is NaN."""
    params = QuantParams(1e300, 0, INT8)
    for dtype in [np.float16, np.float32]:
        with pytest.raises(ValueError, match="float32"):
            call(np.ones(2, dtype), params)
    assert quantize(1e302, params) == 100
    assert fake_quantize(1e302, params, dtype=np.float64) == 1e302


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("scale", [600.0, 65504.0, 1e37, 3.4e38, 1e39, 1e300, 1.7e308])
@pytest.mark.parametrize("zero_point", [0, -128, 127])
def test_decoding_saturates_at_the_largest_finite_value(dtype, scale, zero_point):
    """Where ONNX gives an infinity; 0 stays exact, although S itself may be beyond the type."""
    codes = np.arange(-128, 128).astype(np.int8)
    largest = Fraction(float(np.finfo(dtype).max))
    exact = [(int(q) - zero_point) * Fraction(scale) for q in codes]
    expected = np.array([float(min(max(r, -largest), largest)) for r in exact])
    per_channel = QuantParams([scale], [zero_point], INT8, axis=0)
    blocked = QuantParams([[scale] * 4], [[zero_point] * 4], INT8, axis=1, block_size=79)
    for params in [QuantParams(scale, zero_point, INT8), per_channel, blocked]:
        found = dequantize(codes[None], params, dtype=dtype)
        assert np.isfinite(found).all()
        np.testing.assert_allclose(found[0].astype(np.float64), expected, rtol=np.finfo(dtype).eps)
        wide = np.empty((1, 256), np.float64)
        np.testing.assert_array_equal(dequantize(codes[None], params, dtype=dtype, out=wide), found)
        if scale < 1e306:
            reals = (codes[None].astype(int) - zero_point) * scale
            np.testing.assert_array_equal(fake_quantize(reals, params, dtype=dtype), found)


@pytest.mark.parametrize(
    ("x", "scale", "zero_point", "code"),
    [
        (0.5, 1.0, 1, 1),  # tie to even, then + Z; with Z inside the rounding 2
        (0.49999997, 1.0, 0, 0),  # floor(x + 1/2) gives 1
        (1e38, 1.0, 0, 127),
        (-1e38, 1.0, 0, -128),
        (1e38, 1e-30, 0, 127),  # x / S overflows float32
        (-1e38, 1e-30, 5, -128),
        (2.0**31, 1.0, 0, 127),
        (127.6, 1.0, 0, 127),
        (130, 1.0, 0, 127),  # wraps to -126 when cast first
    ],
)
def test_edges_of_quantize(x, scale, zero_point, code):
    assert quantize(np.array([x], np.float32), QuantParams(scale, zero_point, INT8)) == [code]


def test_dequantize_widens_before_it_subtracts():
    assert dequantize(np.uint8([0]), QuantParams(0.5, 10, UINT8)) == [-5.0]
    assert dequantize(np.int8([-128]), QuantParams(1.0, 127, INT8)) == [-255.0]
    assert dequantize(np.uint16([0]), QuantParams(1.0, 65535, UINT16)) == [-65535.0]


# --- properties ---------------------------------------------------------------------------------------------


@given(tensor_params(), arrays(st.floats(0, 1), np.float64, min_size=1))
def test_error_is_half_a_step_and_a_few_ulp(params, shares):
    low, high = params.range
    x = np.clip((low + shares * (high - low)).astype(np.float32), np.float32(low), np.float32(high))
    error = np.abs(fake_quantize(x, params).astype(np.float64) - x)
    assert error.max() <= params.scale / 2 + 4 * np.spacing(np.abs(x).max()).astype(np.float64)


@given(tensor_params(), arrays(float32s))
def test_codes_are_monotone_and_inside_the_grid(params, x):
    codes = quantize(np.sort(x), params).astype(int)
    assert np.all(np.diff(codes) >= 0)
    assert np.all((codes >= params.grid.qmin) & (codes <= params.grid.qmax))


@given(tensor_params(scales=moderate_scales), arrays(moderate_float32s), st.integers(-60, 60))
def test_a_power_of_two_in_x_and_s_changes_no_code(params, x, k):
    scaled = QuantParams(np.ldexp(params.scale, k), params.zero_point, params.grid)
    assert_same_bits(quantize(np.ldexp(x, k), scaled), quantize(x, params))


@given(mirror_grids, moderate_scales, arrays(moderate_float32s))
def test_reflection_mirrors_symmetric_codes(grid, scale, x):
    params = QuantParams(scale, 0, grid)
    np.testing.assert_array_equal(quantize(-x, params), -quantize(x, params).astype(int))


@given(tensor_params(), arrays(float32s), st.sampled_from([np.float32, np.float64, np.float16]))
def test_fake_quantize_is_quantize_then_dequantize(params, x, dtype):
    with np.errstate(over="ignore"):  # float16 cannot hold every S
        expected = dequantize(quantize(x, params), params, dtype=dtype)
        assert_same_bits(fake_quantize(x, params, dtype=dtype), expected)


def test_fake_quantize_gives_no_negative_zero():
    assert_same_bits(fake_quantize(np.float32([-0.01, -0.0]), P), np.float32([0, 0]))


# --- shapes, layouts, types ---------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("params", [P, PER_CHANNEL], ids=["per-tensor", "per-channel"])
@pytest.mark.parametrize("shape", [(2, 3, 4), (67, 3, 1031)], ids=["small", "many blocks"])
def test_layout_changes_nothing(layout, params, shape):
    x = spread(shape)
    scale, zero = (np.reshape(v, (-1, 1)) for v in (params.scale, params.zero_point))
    codes = np.clip(np.rint(x / scale.astype(np.float32)) + zero, -128, 127).astype(np.int8)
    odd = LAYOUTS[layout](x)
    before = odd.copy()
    assert_same_bits(quantize(odd, params), codes)
    assert_same_bits(dequantize(LAYOUTS[layout](codes), params), dequantize(codes, params))
    assert_same_bits(fake_quantize(odd, params), dequantize(codes, params))
    np.testing.assert_array_equal(odd, before)


@pytest.mark.parametrize("axis", [0, 1, 2, -1, -3])
def test_axis_is_the_channel_axis(axis):
    """A cube, so that no mix-up of axes shows in the shape alone."""
    x = spread((3, 3, 3), seed=axis + 3)
    params = QuantParams([0.1, 0.25, 3.0], [3, -128, 127], INT8, axis=axis)
    codes, back = quantize(x, params), fake_quantize(x, params)
    for c in range(3):
        part = np.moveaxis(x, axis, 0)[c]
        assert_same_bits(np.moveaxis(codes, axis, 0)[c], quantize(part, channel(params, c)))
        assert_same_bits(np.moveaxis(back, axis, 0)[c], fake_quantize(part, channel(params, c)))


@pytest.mark.parametrize("shape", [(3,), (2, 4), (2, 1), (2, 3, 2)], ids=str)
@pytest.mark.parametrize("axis", [0, 1, 2, 5, -4])
def test_wrong_channel_count_or_axis(shape, axis):
    params = QuantParams([1.0, 2.0, 3.0], [0, 0, 0], INT8, axis=axis)
    if axis < len(shape) and axis >= -len(shape) and shape[axis] == 3:
        assert quantize(np.ones(shape), params).shape == shape
        return
    for call, x in [
        (quantize, np.ones(shape)),
        (dequantize, np.ones(shape, np.int8)),
        (fake_quantize, np.ones(shape)),
    ]:
        with pytest.raises(ValueError, match=r"axis|channel"):
            call(x, params)


@pytest.mark.parametrize("shape", [(), (1,), (5, 1, 7), (0,), (3, 0)], ids=str)
def test_shape_comes_back(shape):
    x = np.full(shape, 0.6, np.float32)
    codes = quantize(x, P)
    assert isinstance(codes, np.ndarray)
    assert isinstance(dequantize(codes, P), np.ndarray)
    assert_same_bits(codes, np.full(shape, 9, np.int8))
    assert_same_bits(fake_quantize(x, P), np.full(shape, np.float32(6) * np.float32(0.1)))
    assert_same_bits(dequantize(codes, P), fake_quantize(x, P))


def test_scalars_and_lists_are_arrays():
    assert_same_bits(quantize(0.6, P), np.array(9, np.int8))
    assert_same_bits(quantize([[0.6], [-100]], P), np.array([[9], [-128]], np.int8))
    assert_same_bits(quantize([True, False], P), np.array([13, 3], np.int8))
    assert_same_bits(dequantize([9, 3], P), np.array([6, 0], np.float32) * np.float32(0.1))


@pytest.mark.parametrize("dtype", FLOAT_TYPES, ids=lambda d: np.dtype(d).name)
def test_half_types_compute_in_float32_and_long_ones_in_float64(dtype):
    x = ((np.arange(-300, 300) + 0.5) * 0.1).astype(dtype)
    width = np.float32 if np.dtype(dtype).itemsize <= 4 else np.float64
    assert_same_bits(quantize(x, P), quantize(x.astype(width), P))
    assert_same_bits(fake_quantize(x, P), fake_quantize(x.astype(width), P))


@pytest.mark.parametrize("dtype", ML_FLOATS, ids=lambda d: d.__name__)
def test_every_float_of_ml_dtypes_is_data(dtype):
    with np.errstate(all="ignore"):
        x = np.arange(256, dtype=np.uint8).view(dtype) if np.dtype(dtype).itemsize == 1 else ml_bfloat16()
        real = x.astype(np.float32)
    x, real = x[~np.isnan(real)], real[~np.isnan(real)]
    for params in [P, QuantParams(1e-3, 0, INT8), QuantParams(1e4, 0, UINT8)]:
        assert_same_bits(quantize(x, params), quantize(real, params))
        assert_same_bits(fake_quantize(x, params), fake_quantize(real, params))
    with np.errstate(all="ignore"):
        holes = np.array([1.0, np.nan, np.nan]).astype(dtype)
    if np.isnan(holes).any():
        with pytest.raises(ValueError, match="2 NaN"):
            quantize(holes, P)


def ml_bfloat16():
    return np.arange(0, 1 << 16, 7, dtype=np.uint16).view(ml_dtypes.bfloat16)


@pytest.mark.parametrize("dtype", ML_INTEGERS, ids=lambda d: d.__name__)
def test_every_integer_of_ml_dtypes_is_data_and_may_hold_codes(dtype):
    info = ml_dtypes.iinfo(dtype)
    wide = np.arange(int(info.min), int(info.max) + 1)
    narrow = wide.astype(dtype)
    params = QuantParams(0.3, 0, IntGrid(int(info.min), max(int(info.max), 1)))
    for codes in (narrow, narrow[::-1][::-1], np.array(narrow[0])):
        assert_same_bits(dequantize(codes, params), dequantize(codes.astype(np.int64), params))
    assert_same_bits(quantize(narrow, params), quantize(wide, params))


def test_codes_of_four_bits_outside_a_grid_of_two():
    with pytest.raises(ValueError, match="integers from -8 to 7"):
        dequantize(np.array([-8, 7], ml_dtypes.int4), QuantParams(1.0, 0, IntGrid(-2, 1)))


@pytest.mark.parametrize("dtype", [ml_dtypes.complex32, ml_dtypes.bcomplex32])
def test_complex_numbers_of_ml_dtypes_are_none_of_ours(dtype):
    for call in [quantize, dequantize, fake_quantize]:
        with pytest.raises(TypeError, match="real"):
            call(np.zeros(2, dtype), P)


def test_a_longdouble_beyond_float64_saturates():
    huge = np.array([1, -1], np.longdouble) * np.finfo(np.longdouble).max
    assert quantize(huge, P).tolist() == [127, -128]
    np.testing.assert_array_equal(fake_quantize(huge, P), dequantize([127, -128], P))
    with pytest.raises(ValueError, match="scale"):
        QuantParams(np.finfo(np.longdouble).max, 0, INT8)
    assert type(QuantParams(np.longdouble(0.5), 0, INT8).scale) is float


def test_integers_are_divided_in_float64():
    """2**24 + 1 is no float32: half of 2**25 is a tie, one more is not."""
    assert quantize([2**24, 2**24 + 1], QuantParams(2.0**25, 0, INT8)).tolist() == [0, 1]
    assert fake_quantize([2**24, 2**24 + 1], QuantParams(2.0**25, 0, INT8)).tolist() == [0, 2**25]


def test_float16_does_not_overflow():
    x = np.float16([60000, -60000, np.inf, -np.inf])
    assert quantize(x, QuantParams(2.0**-20, 0, INT8)).tolist() == [127, -128, 127, -128]
    assert quantize(x[:2], QuantParams(60000 / 127, 0, INT8)).tolist() == [127, -127]


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16, np.int32, np.uint32, np.int64, np.uint64])
def test_integers_compute_in_float64(dtype):
    info = np.iinfo(dtype)
    x = np.array([info.min, info.max, 0, 1, 100], dtype)
    scale = float(info.max) / 100
    expected = [quantize_one(float(v), scale, -3, INT8, FLOAT64) for v in x.tolist()]
    np.testing.assert_array_equal(quantize(x, QuantParams(scale, -3, INT8)), expected)


@pytest.mark.parametrize("name", BAD_TYPES)
@pytest.mark.parametrize("call", [quantize, dequantize, fake_quantize])
def test_what_is_no_number_is_a_type_error(call, name):
    with pytest.raises(TypeError):
        call(BAD_TYPES[name], P)


@pytest.mark.parametrize("call", [quantize, fake_quantize])
@pytest.mark.parametrize("size", [7, 300_000])
def test_nan_is_counted(call, size):
    x = np.zeros(size, np.float32)
    x[[0, size // 2, -1]] = np.nan
    with pytest.raises(ValueError, match=r"\b3\b"):
        call(x, P)


@pytest.mark.parametrize(
    ("code", "grid"),
    [
        (16, UINT4),
        (-1, UINT4),
        (8, INT4),
        (-9, INT4),
        (-128, INT8_NARROW),
        (128, INT8),
        (2**40, INT8),
        (2**63, INT8),
    ],
)
def test_codes_outside_the_grid(code, grid):
    with pytest.raises(ValueError, match=str(code)):
        dequantize(np.array([0, code], np.uint64 if code > 0 else np.int64), QuantParams(1.0, 0, grid))


@pytest.mark.parametrize("codes", [np.zeros(2, np.float32), np.zeros(2), 1.0])
def test_codes_must_be_integers(codes):
    with pytest.raises(TypeError):
        dequantize(codes, P)


def test_no_codes_at_all():
    """An empty list has NumPy's type for one, float64; an empty array of floats is one of floats."""
    assert_same_bits(dequantize([], P), np.zeros(0, np.float32))
    assert_same_bits(dequantize(np.zeros((2, 0), np.int16), P), np.zeros((2, 0), np.float32))
    with pytest.raises(TypeError, match="integers"):
        dequantize(np.zeros(0), P)


@pytest.mark.parametrize("dtype", FLOAT_TYPES[:3], ids=lambda d: np.dtype(d).name)
def test_half_types_differ_from_float64_somewhere(dtype):
    """A little below a tie in float64, on the tie in float32: the type to compute in is seen in a code."""
    x = np.ones(1, dtype)
    many = [QuantParams((1 + 1e-9) / (n + 0.5), 0, INT16) for n in range(1, 200, 2)]
    assert any(quantize(x, params) != quantize(x.astype(np.float64), params) for params in many)


# --- out and dtype ------------------------------------------------------------------------------------------


def test_out_gives_the_same_bits():
    x = spread((300, 701))
    codes, back = quantize(x, P), fake_quantize(x, P)
    for dtype in [np.int8, np.int16, np.float32]:
        out = np.full((300, 1402), 99, dtype)[:, ::2]
        assert quantize(x, P, out=out) is out
        np.testing.assert_array_equal(out, codes)
    for dtype in [np.float32, np.float64]:
        for call, arg in [(dequantize, codes), (fake_quantize, x)]:
            out = np.full((701, 300), 99, dtype).T
            assert call(arg, P, out=out) is out
            np.testing.assert_array_equal(out, back)


@pytest.mark.parametrize(("call", "x"), [(dequantize, [100, -100]), (fake_quantize, [51300.0, -51300.0])])
def test_a_wider_out_holds_what_float16_holds(call, x):
    """1025.5 is no float16: its neighbours are 1025 and 1026."""
    params = QuantParams(512.75, 0, IntGrid(-200, 200))
    for dtype in [np.float16, np.float32, np.float64]:
        out = np.zeros(2, dtype)
        assert call(x, params, dtype=np.float16, out=out) is out
        np.testing.assert_array_equal(out, call(x, params, dtype=np.float16))
    assert call(x, params, dtype=np.float16)[0] != call(x, params)[0]
    huge = QuantParams(1e5, 0, INT8)
    np.testing.assert_array_equal(dequantize([1, -1], huge, dtype=np.float16, out=out), [65504, -65504])


@pytest.mark.parametrize("view", [lambda x: x, lambda x: x[::-1]], ids=["itself", "itself reversed"])
@pytest.mark.parametrize("size", [10, 300_001])
def test_fake_quantize_in_place(view, size):
    """NumPy's own functions take an `out` that overlaps the input."""
    x = spread(size)
    expected = fake_quantize(x.copy(), P)
    fake_quantize(x, P, out=view(x))
    assert_same_bits(view(x), expected)


@pytest.mark.parametrize("out", [np.zeros(4, np.int8), np.zeros((3, 1), np.int8), np.zeros((), np.int8)])
def test_out_of_another_shape(out):
    with pytest.raises(ValueError, match="out"):
        quantize(np.zeros(3), P, out=out)
    with pytest.raises(ValueError, match="out"):
        fake_quantize(np.zeros(3), P, out=out.astype(np.float32))


@pytest.mark.parametrize(
    ("call", "dtypes"),
    [(quantize, "u1 u2 ?"), (dequantize, "i1 i8 f2"), (fake_quantize, "i1 i8 f2")],
)
def test_out_that_cannot_hold_the_result(call, dtypes):
    for out in [[0, 0, 0], *(np.zeros(3, dtype) for dtype in dtypes.split())]:
        with pytest.raises(TypeError, match="out"):
            call(np.zeros(3, np.int8), P, out=out)


@pytest.mark.parametrize("size", [6, 1 << 20])
@pytest.mark.parametrize("call", [quantize, dequantize, fake_quantize])
@pytest.mark.parametrize("kind", [np.matrix, np.recarray, "memmap", "a subclass of one's own"], ids=str)
def test_out_may_be_a_subclass(call, kind, size, tmp_path):
    """np.matrix reshapes by rules of its own: the loops see the base array."""
    x = np.resize(np.arange(-128, 128).astype(np.int8), (2, size // 2))
    expected = call(x, P)
    base = np.zeros(x.shape, expected.dtype)
    if kind == "memmap":
        out = np.memmap(tmp_path / "out", expected.dtype, "w+", shape=x.shape)
    else:
        out = base.view(kind if isinstance(kind, type) else type("Own", (np.ndarray,), {}))
    assert call(x, P, out=out) is out
    assert_same_bits(np.asarray(out), expected)


@pytest.mark.parametrize("call", [quantize, dequantize, fake_quantize])
@pytest.mark.parametrize("kind", [np.matrix, np.recarray])
def test_a_subclass_as_input_is_computed_on_the_base_array(call, kind):
    x = np.arange(-6, 6).astype(np.int8).reshape(3, 4)
    found = call(x.view(kind), P)
    assert type(found) is np.ndarray
    assert_same_bits(found, call(x, P))


NO_OUTPUTS = {
    "masked": np.ma.zeros(3, np.float64),
    "masked scalar": np.ma.masked,
    "str": np.zeros(3, "U9"),
    "bytes": np.zeros(3, "S9"),
    "complex": np.zeros(3, complex),
    "complex32": np.zeros(3, ml_dtypes.complex32),
    "timedelta": np.zeros(3, "m8[s]"),
    "datetime": np.zeros(3, "M8[s]"),
    "object": np.zeros(3, object),
    "structured": np.zeros(3, [("a", "f8")]).view(np.recarray),
    "bool": np.zeros(3, bool),
    "list": [0.0, 0.0, 0.0],
    "scalar": np.float64(0),
}


@pytest.mark.parametrize("call", [quantize, dequantize, fake_quantize])
@pytest.mark.parametrize("out", NO_OUTPUTS.values(), ids=NO_OUTPUTS)
def test_out_that_holds_no_real_numbers(call, out):
    with pytest.raises(TypeError, match="out"):
        call(np.zeros(3, np.int8), P, out=out)


@pytest.mark.parametrize(
    ("grid", "dtype", "fits"),
    [
        (INT4, ml_dtypes.int4, True),
        (UINT4, ml_dtypes.int4, False),
        (UINT4, ml_dtypes.uint4, True),
        (INT4, ml_dtypes.uint4, False),
        (UINT4, np.int8, True),
        (INT8, np.uint64, False),
        (INT8, ml_dtypes.bfloat16, True),
        (INT16, ml_dtypes.bfloat16, False),
        (INT16, np.float16, False),
        (INT8, ml_dtypes.float8_e4m3fn, False),
        (INT4, ml_dtypes.float8_e4m3fn, True),
        (INT4, ml_dtypes.float8_e8m0fnu, False),
        (IntGrid(-1, 1), ml_dtypes.int2, True),
        (IntGrid(0, 1), ml_dtypes.uint1, True),
    ],
)
def test_out_must_hold_every_code(grid, dtype, fits):
    x, out = np.arange(-20, 20) / 2, np.zeros(40, dtype)
    params = QuantParams(1.0, 0, grid)
    if fits:
        assert quantize(x, params, out=out) is out
        np.testing.assert_array_equal(out.astype(np.int64), quantize(x, params))
    else:
        with pytest.raises(TypeError, match="out"):
            quantize(x, params, out=out)


@pytest.mark.parametrize("dtype", [ml_dtypes.bfloat16, ml_dtypes.float8_e5m2, np.float16])
def test_reals_need_a_type_that_holds_them(dtype):
    with pytest.raises(TypeError, match="out"):
        dequantize([1, 2], P, out=np.zeros(2, dtype))


@pytest.mark.parametrize("call", [quantize, dequantize, fake_quantize])
def test_read_only_out(call):
    out = np.zeros(3, np.float32)
    out.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        call(np.zeros(3, np.int8), P, out=out)


@pytest.mark.parametrize("call", [dequantize, fake_quantize])
def test_output_dtypes(call):
    codes = np.arange(-128, 128).astype(np.int8)
    assert call(codes, P).dtype == np.float32
    assert call(codes, P, dtype=np.float64).dtype == np.float64
    assert_same_bits(call(codes, P, dtype=np.float16), call(codes, P).astype(np.float16))
    for dtype in [np.int32, np.complex64, np.longdouble, "S4"]:
        with pytest.raises(TypeError):
            call(codes, P, dtype=dtype)


# --- QuantParams --------------------------------------------------------------------------------------------


def test_per_tensor_params_are_python_numbers():
    params = QuantParams(np.float32(0.5), np.int8(-3), INT8)
    assert (type(params.scale), type(params.zero_point)) == (float, int)
    assert (params.scale, params.zero_point, params.grid, params.axis) == (0.5, -3, INT8, None)
    assert params.range == (-62.5, 65.0)


def test_per_channel_params_are_read_only_copies():
    scale, zero_point = np.array([0.5, 2.0], np.float32), np.array([-128, 0], np.int8)
    params = QuantParams(scale, zero_point, INT8, axis=0)
    scale[:] = 7  # ours is a copy, the caller's stays writeable
    assert (params.scale.dtype, params.zero_point.dtype) == (np.float64, np.int64)
    np.testing.assert_array_equal(params.scale, [0.5, 2])
    np.testing.assert_array_equal(params.range.rmin, [0, -256])
    np.testing.assert_array_equal(params.range.rmax, [127.5, 254])
    for field in [params.scale, params.zero_point]:
        with pytest.raises(ValueError, match="read-only"):
            field[0] = 1


@pytest.mark.parametrize("params", [P, PER_CHANNEL], ids=["per-tensor", "per-channel"])
def test_params_are_values(params):
    twin = QuantParams(params.scale, params.zero_point, params.grid, axis=params.axis)
    copy = pickle.loads(pickle.dumps(params))
    assert params == twin == copy
    assert len({params, twin, copy}) == 1
    assert params != QuantParams(
        np.asarray(params.scale)[()] * 2, params.zero_point, params.grid, axis=params.axis
    )
    assert params != 3
    with pytest.raises(AttributeError):
        params.scale = 1.0


def test_params_that_differ_in_one_field_are_unequal():
    many = [P, QuantParams(0.2, 3, INT8), QuantParams(0.1, 4, INT8), QuantParams(0.1, 3, INT16), PER_CHANNEL]
    many += [
        QuantParams(PER_CHANNEL.scale, PER_CHANNEL.zero_point, INT8, axis=0),
        QuantParams([0.1], [3], INT8, axis=1),
    ]
    assert all((a == b) == (i == j) for i, a in enumerate(many) for j, b in enumerate(many))
    assert len({hash(params) for params in many}) == len(many)


def test_params_print_as_they_are_made():
    assert repr(P) == "QuantParams(scale=0.1, zero_point=3, grid=IntGrid(qmin=-128, qmax=127), axis=None)"
    blocked = QuantParams([[0.5]], [[1]], INT4, axis=np.int64(-1), block_size=np.int8(2))
    assert repr(blocked) == (
        "QuantParams(scale=array([[0.5]]), zero_point=array([[1]]), grid=IntGrid(qmin=-8, qmax=7), axis=-1, "
        "block_size=2)"
    )
    assert (type(blocked.axis), type(blocked.block_size)) == (int, int)
    assert type(QuantParams([1.0], [0], INT8, axis=np.int64(0)).axis) is int


@pytest.mark.parametrize("scale", [0.0, -1.0, np.nan, np.inf, -np.inf, 1e-40, 2.0**-127, 5e-324])
def test_scales_that_are_refused(scale):
    with pytest.raises(ValueError, match="scale"):
        QuantParams(scale, 0, INT8)
    with pytest.raises(ValueError, match="scale"):
        QuantParams([1.0, scale], [0, 0], INT8, axis=0)


@pytest.mark.parametrize("zero_point", [-129, 128, 2**40, 0.5, np.nan, np.inf])
def test_zero_points_that_are_refused(zero_point):
    with pytest.raises(ValueError, match="zero_point"):
        QuantParams(1.0, zero_point, INT8)
    with pytest.raises(ValueError, match="zero_point"):
        QuantParams([1.0, 1.0], [0, zero_point], INT8, axis=0)


@pytest.mark.parametrize(
    ("scale", "zero_point", "axis"),
    [
        ([1.0, 2.0], [0, 0], None),
        ([1.0, 2.0], [0], 0),
        ([1.0], [0, 0], 0),
        ([[1.0]], [[0]], 0),
        (1.0, [0], None),
    ],
)
def test_shapes_that_make_no_params(scale, zero_point, axis):
    with pytest.raises(ValueError, match=r"scale|zero_point|axis"):
        QuantParams(scale, zero_point, INT8, axis=axis)


@pytest.mark.parametrize("yes", [True, np.True_, np.array(True), [True, False]], ids=str)
def test_a_boolean_is_no_scale_and_no_zero_point(yes):
    axis = 0 if np.ndim(yes) else None
    with pytest.raises(TypeError, match="scale must be a number, got"):
        QuantParams(yes, np.zeros(np.shape(yes), int), INT8, axis=axis)
    with pytest.raises(TypeError, match="zero_point must be a number, got"):
        QuantParams(np.ones(np.shape(yes)), yes, INT8, axis=axis)
