"""Float, table and block formats: the bits of ml_dtypes and ONNX Runtime, and rules by their definition."""

import bisect
import functools
import json
import math
import pickle
from collections import Counter
from fractions import Fraction

import ml_dtypes
import numpy as np
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper
from reference import assert_same_bits
from strategies import BAD_TYPES, LAYOUTS, arrays, float32s, moderate_float32s, moderate_scales

from quantnotes import (
    INT4,
    INT8,
    UINT4,
    Calibrator,
    Histogram,
    IntGrid,
    QuantParams,
    asymmetric_params,
    choose_range,
    code_ledger,
    compare,
    dequantize,
    fake_quantize,
    formats,
    int_matmul,
    make_params,
    minmax_range,
    mse_range,
    quantize,
    samples,
    symmetric_params,
)
from quantnotes.codebook import FloatFormat, TableFormat
from quantnotes.formats import (
    E2M1,
    E2M3,
    E3M2,
    E4M3,
    E4M3FNUZ,
    E5M2,
    E5M2FNUZ,
    E8M0,
    FLOAT16,
    MXFP4,
    MXFP8,
    MXINT8,
    NF4,
    NVFP4,
    BlockFormat,
)
from quantnotes.training import straight_through

pytestmark = pytest.mark.usefixtures("both_kernels")

ORACLES = {
    E4M3: ml_dtypes.float8_e4m3fn,
    E5M2: ml_dtypes.float8_e5m2,
    E4M3FNUZ: ml_dtypes.float8_e4m3fnuz,
    E5M2FNUZ: ml_dtypes.float8_e5m2fnuz,
    E2M1: ml_dtypes.float4_e2m1fn,
    E2M3: ml_dtypes.float6_e2m3fn,
    E3M2: ml_dtypes.float6_e3m2fn,
    FloatFormat("E4M3 with infinities", 4, 3, 7, "ieee"): ml_dtypes.float8_e4m3,
    FloatFormat("E3M4", 3, 4, 3, "ieee"): ml_dtypes.float8_e3m4,
    FloatFormat("E4M3B11FNUZ", 4, 3, 11, "fnuz"): ml_dtypes.float8_e4m3b11fnuz,
}
FLOATS = [E4M3, E5M2, E4M3FNUZ, E5M2FNUZ, E2M1, E2M3, E3M2]
each_oracle = pytest.mark.parametrize(("form", "oracle"), ORACLES.items(), ids=map(str, ORACLES))
each_form = pytest.mark.parametrize("form", [*FLOATS, NF4], ids=str)
forms = st.sampled_from([*FLOATS, NF4])


def unit(form):
    return QuantParams(1.0, 0, form)


def around_ties(form, dtype):
    """Every real and every middle of two, and their neighbours."""
    reals = form.reals.astype(dtype)
    x = np.concatenate([reals, (form.reals[1:] / 2 + form.reals[:-1] / 2).astype(dtype)])
    return np.concatenate([x, np.nextafter(x, dtype(np.inf)), np.nextafter(x, dtype(-np.inf))])


@functools.cache
def float32_patterns(count=10**6):
    x = np.random.default_rng(0).integers(0, 2**32, count, dtype=np.uint32).view(np.float32)
    return x[np.isfinite(x)]


def every_float16():
    x = np.arange(2**16, dtype=np.uint16).view(np.float16)
    return x[np.isfinite(x)]


def cast(x, oracle):
    with np.errstate(all="ignore"):
        return x.astype(oracle).view(np.uint8)


# --- against ml_dtypes --------------------------------------------------------------------------------------


@each_oracle
@pytest.mark.parametrize("data", ["float16", "float32", "ties"])
def test_codes_are_those_of_ml_dtypes(form, oracle, data):
    data_of = {"float16": every_float16, "float32": float32_patterns}
    x = data_of[data]() if data in data_of else around_ties(form, np.float32)
    inside = x[np.abs(x.astype(np.float32)) <= form.largest]
    assert_same_bits(quantize(inside, unit(form)), cast(inside.astype(np.float32), oracle))
    outside = x[np.abs(x.astype(np.float32)) > form.largest]
    ends = np.where(outside > 0, form.largest, -form.largest).astype(np.float32)
    assert_same_bits(quantize(outside, unit(form)), cast(ends, oracle))


@each_oracle
def test_every_code_decodes_as_in_ml_dtypes(form, oracle):
    codes = np.arange(form.values.size, dtype=np.uint8)
    with np.errstate(invalid="ignore"):
        expected = codes.view(oracle).astype(np.float32)
    finite = np.isfinite(expected)
    assert_same_bits(dequantize(codes[finite], unit(form)), expected[finite])
    assert form.largest == float(ml_dtypes.finfo(oracle).max)
    assert form.bits == ml_dtypes.finfo(oracle).bits
    for code in codes[~finite]:
        with pytest.raises(ValueError, match="1 codes that stand for no finite number"):
            dequantize([0, code, 1], unit(form))


def test_scales_in_e8m0_are_those_of_ml_dtypes():
    """Ties go up there; there is no zero, and no sign. (Subnormal float32 are rounded oddly there.)"""
    x = np.abs(np.concatenate([float32_patterns(), around_ties(E8M0, np.float32)]))
    x = x[(x >= 2.0**-126) & (x <= 2.0**127)]
    assert_same_bits(quantize(x, unit(E8M0)), cast(x, ml_dtypes.float8_e8m0fnu))
    assert quantize([0.0, -5.0, -np.inf, np.inf], unit(E8M0)).tolist() == [0, 0, 0, 254]
    codes = np.arange(255, dtype=np.uint8)
    expected = codes.view(ml_dtypes.float8_e8m0fnu).astype(np.float32)
    assert_same_bits(dequantize(codes, unit(E8M0)), expected)
    with pytest.raises(ValueError, match="255"):
        dequantize([255], unit(E8M0))


@pytest.mark.parametrize(
    ("form", "count", "largest", "smallest"),
    [
        (E4M3, 253, 448, 2.0**-9),
        (E5M2, 247, 57344, 2.0**-16),
        (E4M3FNUZ, 255, 240, 2.0**-10),
        (E5M2FNUZ, 255, 57344, 2.0**-17),
        (E2M1, 15, 6, 0.5),
        (E2M3, 63, 7.5, 0.125),
        (E3M2, 63, 28, 0.0625),
        (NF4, 16, 1, 0.07958029955625534),
        (E8M0, 255, 2.0**127, 2.0**-127),
    ],
    ids=str,
)
def test_the_reals_of_a_format(form, count, largest, smallest):
    assert (form.codes, form.largest) == (count, largest)
    assert form.reals[form.reals > 0].min() == smallest
    assert (np.diff(form.reals) > 0).all()
    assert_same_bits(dequantize(form.codes_of_reals, unit(form)), form.reals.astype(np.float32))


def test_float16_is_numpy_s():
    codes = np.arange(31 << 10, dtype=np.uint16)  # those of positive numbers
    assert_same_bits(FLOAT16.values[codes].astype(np.float16), codes.view(np.float16))
    x = np.random.default_rng(0).normal(0, 3e4, 9999).clip(-65504, 65504)
    np.testing.assert_array_equal(FLOAT16.nearest(x), x.astype(np.float16))
    assert FLOAT16.nearest([1e6, -np.inf]).tolist() == [65504, -65504]


# --- against fractions: float64, and tables -----------------------------------------------------------------


def nearest_code(form, value):
    """The code next to an exact quotient: of two that are as near, the one whose code is even."""
    place = bisect.bisect(form.reals.tolist(), value)
    near = [rank for rank in (place - 1, place) if 0 <= rank < form.codes]
    distance = {rank: abs(Fraction(form.reals[rank]) - Fraction(value)) for rank in near}
    codes = form.codes_of_reals.tolist()
    return codes[min(near, key=lambda rank: (distance[rank], codes[rank] % 2))]


@each_form
def test_float64_is_rounded_once(form):
    """ml_dtypes goes through float32 first, and so rounds next to a tie twice."""
    x = around_ties(form, np.float64)
    codes = quantize(x, unit(form))
    expected = np.array([nearest_code(form, value) for value in x.tolist()])
    different = codes != expected
    assert (form.values[codes[different]] == 0).all()  # -0, of which fractions know nothing
    assert (form.values[expected[different]] == 0).all()


@given(forms, moderate_scales, arrays(moderate_float32s, min_size=1))
def test_the_nearest_real_of_the_quotient(form, scale, x):
    params = QuantParams(scale, 0, form)
    quotients = x / np.float32(scale)
    for code, quotient in zip(quantize(x, params).tolist(), quotients.tolist(), strict=True):
        assert form.values[code] == form.values[nearest_code(form, quotient)]


def test_nf4_is_a_table():
    assert NF4.reals[[0, 7, 15]].tolist() == [-1, 0, 1]
    np.testing.assert_array_equal(quantize(NF4.reals, unit(NF4)), np.arange(16))
    assert quantize([-9.0, 9.0, np.inf, 0.0, -0.0], unit(NF4)).tolist() == [0, 15, 15, 7, 7]
    with pytest.raises(ValueError, match="16"):
        dequantize([16], unit(NF4))


# --- against ONNX Runtime -----------------------------------------------------------------------------------

ONNX_TYPES = {
    E4M3: TensorProto.FLOAT8E4M3FN,
    E5M2: TensorProto.FLOAT8E5M2,
    E4M3FNUZ: TensorProto.FLOAT8E4M3FNUZ,
    E5M2FNUZ: TensorProto.FLOAT8E5M2FNUZ,
}
each_onnx_type = pytest.mark.parametrize(("form", "kind"), ONNX_TYPES.items(), ids=map(str, ONNX_TYPES))


def run(nodes, initializers, x):
    graph = helper.make_graph(
        nodes,
        "formats",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, None)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        initializers,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=9)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": x})[0]


@each_onnx_type
def test_there_and_back_is_onnx_runtime_s_cast(form, kind):
    """With saturate=1, out of range too."""
    x = np.concatenate([every_float16(), around_ties(form, np.float32), float32_patterns(10**5)])
    to, back = (helper.make_node("Cast", [a], [b], to=t) for a, b, t in [("x", "q", kind), ("q", "y", 1)])
    assert_same_bits(fake_quantize(x, unit(form)), run([to, back], [], x))


@each_onnx_type
@pytest.mark.parametrize("axis", [None, 0, 1])
def test_there_and_back_is_onnx_runtime_s_quantizelinear(form, kind, axis):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((64, 64), dtype=np.float32) * 100
    x[0, :2] = 1e30, -1e30
    scale = 0.37 if axis is None else rng.uniform(0.01, 3, 64).astype(np.float32)
    params = QuantParams(scale, np.zeros(np.shape(scale), int), form, axis=axis)
    shape = list(np.shape(scale))
    initializers = [
        helper.make_tensor("s", TensorProto.FLOAT, shape, np.atleast_1d(scale)),
        helper.make_tensor("z", kind, shape, np.zeros(max(1, math.prod(shape)), np.float32)),
    ]
    options = {} if axis is None else {"axis": axis}
    to = helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"], **options)
    back = helper.make_node("DequantizeLinear", ["q", "s", "z"], ["y"], **options)
    assert_same_bits(fake_quantize(x, params), run([to, back], initializers, x))


# --- properties ---------------------------------------------------------------------------------------------


@given(forms, moderate_scales)
def test_every_code_round_trips(form, scale):
    params = QuantParams(scale, 0, form)
    codes = form.codes_of_reals
    for dtype in [np.float32, np.float64]:
        assert_same_bits(quantize(dequantize(codes, params, dtype=dtype), params), codes)


@given(forms, moderate_scales, arrays(float32s, min_size=1))
def test_rounding_is_monotone_and_a_mirror(form, scale, x):
    params = QuantParams(scale, 0, form)
    back = fake_quantize(np.sort(x), params)
    assert (np.diff(back) >= 0).all()
    if form != NF4:  # the table is no mirror
        np.testing.assert_array_equal(fake_quantize(-x, params), -fake_quantize(x, params))
    low, high = params.range
    assert (back >= np.float32(low) * (1 + 1e-6)).all()
    assert (back <= np.float32(high) * (1 + 1e-6)).all()


@given(st.sampled_from(FLOATS), arrays(st.floats(-1, 1), np.float64, min_size=1), moderate_scales)
def test_the_error_is_half_a_step(form, shares, scale):
    """Relative to the value; subnormal numbers have the step of the smallest normal one."""
    params = QuantParams(scale, 0, form)
    x = shares * form.largest * scale
    error = np.abs(fake_quantize(x, params, dtype=np.float64) - x)
    step = np.maximum(np.abs(x), scale * 2.0 ** (1 - form.bias)) * 2.0**-form.mantissa_bits
    assert (error <= step / 2 * (1 + 1e-9)).all()


@given(forms, moderate_scales, arrays(moderate_float32s), st.integers(-40, 40))
def test_a_power_of_two_in_x_and_s_changes_no_code(form, scale, x, k):
    scaled = QuantParams(math.ldexp(scale, k), 0, form)
    assert_same_bits(quantize(np.ldexp(x, k), scaled), quantize(x, QuantParams(scale, 0, form)))


@given(forms, moderate_scales, arrays(float32s), st.sampled_from([np.float16, np.float32, np.float64]))
def test_fake_quantize_is_quantize_then_dequantize(form, scale, x, dtype):
    params = QuantParams(scale, 0, form)
    faked = fake_quantize(x, params, dtype=dtype)
    assert_same_bits(faked, dequantize(quantize(x, params), params, dtype=dtype))
    assert np.isfinite(faked).all()
    out = x.copy()
    if dtype == np.float32:
        assert fake_quantize(out, params, out=out) is out
        assert_same_bits(out, faked)


@each_form
@pytest.mark.parametrize("shape", [(5, 7, 6), (67, 3, 1031)], ids=["small", "many blocks"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_layout_changes_nothing(form, shape, layout):
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    params = QuantParams(np.linspace(0.01, 2, shape[1]), [0] * shape[1], form, axis=1)
    codes = quantize(x, params)
    for c in range(shape[1]):
        assert_same_bits(codes[:, c], quantize(x[:, c], QuantParams(params.scale[c], 0, form)))
    odd = LAYOUTS[layout](x)
    assert_same_bits(quantize(odd, params), codes)
    assert_same_bits(dequantize(LAYOUTS[layout](codes), params), dequantize(codes, params))
    out = np.zeros(shape[::-1], np.int16).T
    assert quantize(odd, params, out=out) is out
    np.testing.assert_array_equal(out, codes)


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.longdouble, np.int32, ml_dtypes.int4])
def test_types_of_data(dtype):
    x = np.array([0.4, 1.6, -3.0, 2.5]).astype(dtype)
    wide = x.astype(np.float64)
    assert_same_bits(quantize(x, QuantParams(0.25, 0, E4M3)), quantize(wide, QuantParams(0.25, 0, E4M3)))


@pytest.mark.parametrize("x", [0.3, [], [[1.0]], True], ids=str)
def test_shapes_come_back(x):
    codes = quantize(x, unit(E4M3))
    assert (codes.dtype, codes.shape) == (np.uint8, np.shape(x))
    assert isinstance(codes, np.ndarray)
    assert dequantize(codes, unit(E4M3)).shape == np.shape(x)


# --- what is refused ----------------------------------------------------------------------------------------


@each_form
def test_nan_is_counted(form):
    for call in (quantize, fake_quantize):
        with pytest.raises(ValueError, match="2 NaN among 4"):
            call([1.0, np.nan, 2.0, -np.nan], unit(form))
        with pytest.raises(ValueError, match="3 NaN"):
            call(np.float32([[np.nan] * 3, [1.0] * 3]), QuantParams([1.0, 2.0], [0, 0], form, axis=0))


@each_form
def test_infinities_saturate(form):
    np.testing.assert_array_equal(fake_quantize([np.inf, -np.inf], unit(form)), [form.largest, form.smallest])


@each_form
@pytest.mark.parametrize("zero_point", [1, -1, 128])
def test_the_zero_point_must_be_0(form, zero_point):
    with pytest.raises(ValueError, match="zero_point must be 0"):
        QuantParams(1.0, zero_point, form)
    with pytest.raises(ValueError, match="zero_point must be 0"):
        QuantParams([1.0, 1.0], [0, zero_point], form, axis=0)


@pytest.mark.parametrize("name", BAD_TYPES)
def test_what_is_no_number_is_a_type_error(name):
    for call in (quantize, dequantize, fake_quantize, code_ledger):
        with pytest.raises(TypeError):
            call(BAD_TYPES[name], unit(E4M3))
    with pytest.raises(TypeError):
        MXFP4.params(BAD_TYPES[name])


@pytest.mark.parametrize("codes", [[256], [-1], [0, 999]])
def test_codes_outside_the_format(codes):
    with pytest.raises(ValueError, match=r"q must lie in 0\.\.255"):
        dequantize(codes, unit(E4M3))
    with pytest.raises(TypeError, match="integers"):
        dequantize([1.0], unit(E4M3))


@pytest.mark.parametrize("dtype", [np.int8, np.float16, ml_dtypes.uint4, bool])
def test_out_must_hold_every_code(dtype):
    if np.dtype(dtype) == np.float16:  # it holds 0 to 255
        assert quantize([1.0], unit(E4M3), out=np.zeros(1, dtype)) == [0x38]
    else:
        with pytest.raises(TypeError, match="out"):
            quantize([1.0], unit(E4M3), out=np.zeros(1, dtype))
    assert quantize([1.0], unit(E2M1), out=np.zeros(1, ml_dtypes.uint4)) == [2]


def test_formats_are_no_grids():
    with pytest.raises(TypeError, match="symmetric_params"):
        asymmetric_params(-1.0, 1.0, E4M3)
    with pytest.raises(TypeError, match="grid"):
        make_params(minmax_range([1.0]), E4M3, "asymmetric")
    with pytest.raises(TypeError, match="IntGrid"):
        int_matmul(np.zeros((1, 1), np.uint8), np.zeros((1, 1), np.uint8), unit(E4M3), unit(E4M3))
    with pytest.raises(TypeError, match=r"quantnotes\.formats"):
        QuantParams(1.0, 0, "E4M3")


# --- parameters and ledger ----------------------------------------------------------------------------------


@each_form
@given(st.floats(-1e30, 0), st.floats(0, 1e30))
def test_symmetric_params_bring_the_larger_end_to_the_largest_real(form, low, high):
    params = symmetric_params(low, high, form)
    largest = max(-low, high)
    if not largest:
        assert params.scale == 1
    elif largest / form.largest > 2.0**-126:
        assert params.scale == largest / form.largest
        assert np.max(np.abs(params.range)) == pytest.approx(largest)
    assert params.zero_point == 0


def test_a_format_without_negative_numbers():
    assert symmetric_params(0.0, 2.0**127, E8M0).scale == 1
    with pytest.raises(ValueError, match="rmin"):
        symmetric_params(-1.0, 1.0, E8M0)


@each_form
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_the_largest_values_stay_finite(form, dtype):
    x = np.array([np.finfo(dtype).min, np.finfo(dtype).max, 1.0, 0.0], dtype)
    params = symmetric_params(*minmax_range(x), form)
    for wanted in [np.float16, np.float32, np.float64]:
        assert np.isfinite(fake_quantize(x, params, dtype=wanted)).all()
    assert "nan" not in str(code_ledger(x, params))


@pytest.mark.parametrize("method", ["minmax", "histogram", "percentile"])
def test_any_range_makes_parameters(method):
    x = np.random.default_rng(0).standard_normal((4, 500))
    bounds = choose_range(method, x, E4M3, "symmetric", axis=0)
    np.testing.assert_array_equal(bounds, choose_range(method, x, INT8, "symmetric", axis=0))
    params = make_params(bounds, E4M3, "symmetric", axis=0)
    assert params.scale.tolist() == (np.maximum(-bounds.rmin, bounds.rmax) / 448).tolist()
    observed = Calibrator(method, E4M3, "symmetric", axis=0).observe(x[:, :200]).observe(x[:, 200:]).params()
    np.testing.assert_allclose(observed.scale, params.scale, rtol=0.02)


def squared_error(x, clip, form):
    return np.square(fake_quantize(x, symmetric_params(-clip, clip, form), dtype=np.float64) - x).sum()


@pytest.mark.parametrize("form", [formats.E4M3, formats.E2M1, formats.NF4], ids=repr)
@pytest.mark.parametrize("x", [[1.0, 2.0], [-2.0, -1.0], [5.0, 5.0, 5.0], [0.75, 0.75, 8.0]], ids=str)
def test_data_that_keep_away_from_zero_have_a_range_of_least_squared_error(x, form):
    def error(ends):
        return squared_error(np.array(x), max(-ends[0], ends[1]), form)

    rows = mse_range([x, np.negative(x)], form, "symmetric", axis=0)
    calibrator = Calibrator("mse", form, "symmetric").observe(x)
    for ends in (mse_range(x, form, "symmetric"), (rows.rmin[0], rows.rmax[0])):
        assert error(ends) <= error(minmax_range(x))
    for ends in (mse_range(Histogram().update(x), form, "symmetric"), calibrator.range()):
        assert error(ends) <= 1.01 * error(minmax_range(x))


@each_form
def test_the_range_of_least_squared_error(form):
    x = np.random.default_rng(0).standard_normal(3000)
    x[7] = 30.0
    bounds = mse_range(x, form, "symmetric")
    clip = max(-bounds.rmin, bounds.rmax)
    assert x.min() <= bounds.rmin <= bounds.rmax <= x.max()
    best = min(squared_error(x, factor * 30, form) for factor in np.linspace(0.21, 1, 57))
    assert squared_error(x, clip, form) <= min(1.02 * best, squared_error(x, 30.0, form))
    counted = mse_range(Histogram().update(x), form, "symmetric")
    assert squared_error(x, max(-counted.rmin, counted.rmax), form) <= 1.03 * squared_error(x, clip, form)
    rows = mse_range(np.stack([x, 2 * x, 0 * x]), form, "symmetric", axis=0)
    np.testing.assert_allclose(rows.rmax, [bounds.rmax, 2 * bounds.rmax, 0], rtol=1e-12)


@each_form
@pytest.mark.parametrize("name", ["gelu_output", "query_weight", "attention_probabilities"])
def test_least_squared_error_of_real_tensors(form, name):
    """No other method and no histogram is better, or much worse than min-max."""
    x = samples.load(name).ravel()[:50_000]

    def error(bounds):
        return code_ledger(x, make_params(bounds, form, "symmetric")).mse

    minmax, *others = (
        error(choose_range(method, x, form, "symmetric")) for method in ("minmax", "histogram", "percentile")
    )
    least = error(mse_range(x, form, "symmetric"))
    assert least <= minmax
    assert least <= 1.01 * min(others)
    assert error(mse_range(Histogram().update(x), form, "symmetric")) <= 1.01 * minmax


def test_formats_are_compared_beside_integers():
    x = samples.load("gelu_output")[:32]
    found = compare(x, bits=[8, E4M3, E2M1])
    assert found.bits == (8, 4)
    assert {trial.form for trial in found.trials} == {"", "E4M3", "E2M1"}
    assert found.best(8).params == symmetric_params(*minmax_range(x), E4M3)
    trial = found.trial(E4M3, "symmetric", "minmax")
    assert trial.ledger.sqnr_db == code_ledger(x, symmetric_params(*minmax_range(x), E4M3)).sqnr_db
    assert found.trial(8, "symmetric", "minmax").params.grid == INT8
    assert not any(trial.form and trial.scheme == "asymmetric" for trial in found.trials)
    assert "8 E4M3" in str(found)
    assert f"8 bits: E4M3, symmetric, minmax, {trial.ledger.sqnr_db:.1f} dB" in str(found)
    weight = compare(samples.load("query_weight")[:64], bits=[E2M1], role="weight")
    assert weight.best().params.grid == E2M1
    with pytest.raises(ValueError, match="no trial of NF4"):
        found.trial(NF4, "symmetric", "minmax")
    with pytest.raises(TypeError):
        compare(x, bits=["E4M3"])


def test_methods_that_a_format_does_not_take():
    with pytest.raises(ValueError, match="symmetric"):
        mse_range([1.0, 2.0], E4M3, "asymmetric")
    for call in (choose_range, lambda *args: Calibrator(args[0], *args[2:])):
        with pytest.raises(TypeError, match="IntGrid"):
            call("entropy", [1.0, 2.0], E4M3, "symmetric")


@each_form
@given(moderate_scales, arrays(moderate_float32s, min_size=1))
def test_a_ledger_counts_reals(form, scale, x):
    params = QuantParams(scale, 0, form)
    ledger, back = code_ledger(x, params), fake_quantize(x, params)
    reals = form.values[quantize(x, params)]
    used = Counter((reals + 0.0).tolist())
    assert ledger.counts.tolist() == [used[real] for real in form.reals.tolist()]
    assert ledger.codes_available == form.codes
    error = back.astype(np.float64) - x
    assert ledger.max_abs_error == np.abs(error).max()
    assert ledger.mse == pytest.approx(np.mean(error**2), rel=1e-12)
    assert (ledger.reaches_qmin, ledger.reaches_qmax) == (form.smallest in reals, form.largest in reals)


@pytest.mark.parametrize(
    ("form", "last", "clipped"),
    [
        (E4M3, 464.0, False),
        (E5M2, 61440.0, True),
        (E2M1, 7.0, True),
        (E4M3FNUZ, 248.0, True),
        (E8M0, 1.25 * 2.0**127, True),
    ],
    ids=str,
)
def test_what_rounds_back_onto_the_format_is_not_clipped(form, last, clipped):
    """Half a step beyond the largest real is a tie, that goes to the even one."""
    near = np.nextafter([last, last], [0, np.inf])
    high = [code_ledger([x], unit(form)).clipped_high for x in (near[0], last, near[1])]
    assert high[:2] == [0, clipped]
    if form != E8M0:
        assert high[2] == 1
        assert [code_ledger([-x], unit(form)).clipped_low for x in (near[0], last, near[1])] == high


@each_form
def test_the_slope_for_training_ends_where_values_are_clipped(form):
    x = np.concatenate([around_ties(form, np.float32), np.float32([1e30, -1e30, np.inf])]) * np.float32(0.5)
    params = QuantParams(0.5, 0, form)
    reals, slope = straight_through(x, params)
    assert_same_bits(reals, fake_quantize(x, params, dtype=np.float64))
    ledgers = [code_ledger([value], params) for value in x[:-1].astype(np.float64)]
    assert slope[:-1].tolist() == [not (ledger.clipped_low or ledger.clipped_high) for ledger in ledgers]
    assert not slope[-1]


def test_params_of_formats_are_values():
    for form in [*FLOATS, NF4, E8M0]:
        params = symmetric_params([0.0, 0.0], [1.0, 2.0], form, axis=0)
        assert pickle.loads(pickle.dumps(params)) == params
        assert QuantParams.from_dict(json.loads(json.dumps(params.to_dict()))) == params
        assert params != QuantParams(params.scale, params.zero_point, INT8, axis=0)
    assert len({unit(form) for form in FLOATS}) == len(FLOATS)
    assert repr(unit(E4M3)) == "QuantParams(scale=1.0, zero_point=0, grid=E4M3, axis=None)"
    with pytest.raises(ValueError, match="special"):
        QuantParams.from_dict(
            unit(E4M3).to_dict() | {"grid": unit(E4M3).to_dict()["grid"] | {"special": "?"}}
        )


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ((1, 3, 7, "fn"), ValueError),
        ((4, 3, 7, "inf"), ValueError),
        ((4, -1, 7, "fn"), ValueError),
        ((6, 1, 7, "fn"), ValueError),
        ((4, 3, -1, "fn"), ValueError),
        ((4, 11, 7, "fn"), ValueError),
        ((4, 3, 32, "fn"), ValueError),
        ((4.0, 3, 7, "fn"), TypeError),
        ((4, True, 7, "fn"), TypeError),
    ],
)
def test_formats_that_are_refused(arguments, error):
    with pytest.raises(error):
        FloatFormat("x", *arguments)


@pytest.mark.parametrize(
    ("table", "ties", "error"),
    [
        ([], "even", ValueError),
        ([1.0], "even", ValueError),
        ([1.0, 1.0], "even", ValueError),
        ([2.0, 1.0], "even", ValueError),
        ([0.0, np.inf], "even", ValueError),
        ([0.0, np.nan], "even", ValueError),
        (np.zeros((2, 2)), "even", ValueError),
        (range(257), "even", ValueError),
        (["a", "b"], "even", TypeError),
        ([0.0, 1.0], "odd", ValueError),
    ],
)
def test_tables_that_are_refused(table, ties, error):
    with pytest.raises(error):
        TableFormat("x", table, ties)


def test_the_smallest_and_the_largest_format():
    assert FloatFormat("x", 2, 0, 0, "finite").reals.tolist() == [-8, -4, -2, 0, 2, 4, 8]
    wide = FloatFormat("x", 5, 10, 31, "finite")
    assert (wide.largest, wide.bits, wide.dtype) == (2 - 2.0**-10, 16, np.uint16)
    assert TableFormat("x", [0, 1]).bits == 1
    assert TableFormat("x", range(256)).largest == 255


def test_what_a_format_holds_is_read_only():
    for array in (E4M3.values, E4M3.reals, NF4.values, E4M3.codes_of_reals, E4M3.table(np.dtype("f4"))):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 7


# --- wrong versions -----------------------------------------------------------------------------------------


@pytest.fixture
def normals():
    return np.random.default_rng(0).standard_normal(200_000).astype(np.float32)


def sqnr(x, back):
    return 10 * np.log10(np.mean(x.astype(float) ** 2) / np.mean((back - x.astype(float)) ** 2))


def test_codes_of_one_format_read_as_the_other_are_halved(normals):
    """FN and FNUZ differ in the bias by one, and so by a factor of 2 in every normal number."""
    codes = quantize(normals, unit(E4M3))
    right, wrong = dequantize(codes, unit(E4M3)), dequantize(codes[codes != 0x80], unit(E4M3FNUZ))
    np.testing.assert_array_equal(wrong, right[codes != 0x80] / 2)


def test_the_largest_real_of_another_format_clips(normals):
    largest = float(np.abs(normals).max())
    right = fake_quantize(normals, symmetric_params(-largest, largest, E4M3FNUZ))
    wrong = fake_quantize(normals, QuantParams(largest / 448, 0, E4M3FNUZ))
    assert sqnr(normals, right) - sqnr(normals, wrong) > 5


def test_a_cast_that_does_not_saturate_gives_nan(normals):
    params = QuantParams(float(np.percentile(np.abs(normals), 99.9)) / 448, 0, E4M3)
    with np.errstate(invalid="ignore"):
        assert np.isnan(
            (normals / np.float32(params.scale)).astype(ml_dtypes.float8_e4m3fn).astype(float)
        ).any()
    assert np.isfinite(fake_quantize(normals, params)).all()


@pytest.mark.parametrize(
    ("through", "low", "high"), [(np.float16, 0.001, 0.01), (ml_dtypes.bfloat16, 0.02, 0.05)]
)
def test_rounding_twice_is_seen_by_codes_alone(normals, through, low, high):
    """4.2505 goes to 4.25 first, a tie, and then to 4: right is 4.5."""
    right, wrong = (quantize(x, unit(E4M3)) for x in (normals, normals.astype(through)))
    assert low < np.mean(right != wrong) < high
    assert (
        abs(sqnr(normals, dequantize(right, unit(E4M3))) - sqnr(normals, dequantize(wrong, unit(E4M3)))) < 0.1
    )
    assert dequantize(quantize([4.2505], unit(E4M3)), unit(E4M3)) == 4.5
    assert fake_quantize(np.array([4.2505]).astype(ml_dtypes.bfloat16), unit(E4M3)) == 4.0


def test_the_top_byte_of_float16_is_cut_off_not_rounded(normals):
    cut_off = (normals.astype(np.float16).view(np.uint16) >> 8).astype(np.uint8)
    assert (
        sqnr(normals, fake_quantize(normals, unit(E5M2))) - sqnr(normals, dequantize(cut_off, unit(E5M2))) > 3
    )


@pytest.mark.parametrize("form", [E4M3, E5M2, E4M3FNUZ, E5M2FNUZ, E3M2], ids=str)
def test_a_float_gains_six_decibels_a_mantissa_bit(form, normals):
    """10 log10(16 ln 4 4**m), averaged over an octave of S: 31.5 dB for 3 bits, 25.5 for 2."""
    scales = float(np.abs(normals).max()) / form.largest * 2 ** np.linspace(0, 1, 8, endpoint=False)
    mean = np.mean([code_ledger(normals, QuantParams(scale, 0, form)).sqnr_db for scale in scales])
    assert mean == pytest.approx(10 * math.log10(16 * math.log(4) * 4**form.mantissa_bits), abs=0.7)


# --- blocks -------------------------------------------------------------------------------------------------

BLOCKS = {"MXFP4": MXFP4, "MXFP8": MXFP8, "MXINT8": MXINT8, "NVFP4": NVFP4}
GROUPS = BlockFormat(INT4, 32, FLOAT16, scheme="asymmetric")
each_block = pytest.mark.parametrize("block", [*BLOCKS.values(), GROUPS], ids=[*BLOCKS, "groups"])


@pytest.mark.parametrize(
    ("block", "bits"),
    [
        (MXFP4, 4.25),
        (MXFP8, 8.25),
        (MXINT8, 8.25),
        (NVFP4, 4.5),
        (GROUPS, 4 + 20 / 32),
        (BlockFormat(INT4, 32, FLOAT16), 4.5),
        (BlockFormat(UINT4, 128, FLOAT16, scheme="asymmetric"), 4 + 20 / 128),
        (BlockFormat(INT4, 32, E4M3, scheme="asymmetric", tensor_scale=True), 4.375),
        (BlockFormat(NF4, 64, FLOAT16), 4.25),
        (BlockFormat(E2M3, 32, E8M0), 6.25),
    ],
)
def test_bits_of_a_value_count_scales_and_zero_points(block, bits):
    assert block.bits_per_value == bits


def by_definition(largest, form, rule):
    """The exponent of the scale of a block, in exact fractions."""
    largest, top = Fraction(largest), Fraction(form.qmax if isinstance(form, IntGrid) else form.largest)

    def floor_log2(value):
        exponent = 0
        while value >= 2:
            value, exponent = value / 2, exponent + 1
        while value < 1:
            value, exponent = value * 2, exponent - 1
        return exponent

    if rule == "up":
        exponent = floor_log2(largest / top)
        return exponent + (Fraction(2) ** exponent * top < largest)
    if rule == "even":
        digits = form.mantissa_bits if isinstance(form, FloatFormat) else 6
        unit_of = Fraction(2) ** (floor_log2(largest) - digits)
        largest = round(largest / unit_of) * unit_of
    return floor_log2(largest) - floor_log2(top)


@pytest.mark.parametrize("rule", ["floor", "up", "even"])
@pytest.mark.parametrize("block", [MXFP4, MXFP8, MXINT8, BlockFormat(E5M2, 32, E8M0)], ids=str)
@given(st.data())
def test_powers_of_two_by_definition(block, rule, data):
    top = float(block.element.qmax if isinstance(block.element, IntGrid) else block.element.largest)
    edges = st.sampled_from([1.0, 1.75, 1.5, 1.9375, 1.984375, top, top / 2, 2 * top, 1.999999])
    largest = data.draw(
        st.one_of(edges, edges.map(lambda v: float(np.nextafter(v, 0))), st.floats(1e-20, 1e20))
    )
    x = np.array([0.0, -largest, largest / 3])
    scale = block.params(x, rule=rule).scale
    assert scale.tolist() == [math.ldexp(1.0, by_definition(largest, block.element, rule))]


def test_the_floor_rule_is_the_default_and_clips():
    x = np.array([[6.0, 1.0], [7.9, 1.0]])
    block = BlockFormat(E2M1, 2, E8M0)
    assert block.params(x).scale.tolist() == block.params(x, rule="floor").scale.tolist() == [[1.0], [1.0]]
    assert block.params(x, rule="up").scale.tolist() == [[1.0], [2.0]]
    assert block.params(x, rule="even").scale.tolist() == [[1.0], [2.0]]


def test_the_share_of_blocks_that_the_floor_rule_clips():
    """The largest magnitude lies in 4..8 and is clipped beyond 7: log2(8/7) of the octave."""
    x = np.exp2(np.random.default_rng(0).uniform(0, 1, (20_000, 1)))
    block = BlockFormat(E2M1, 1, E8M0)
    assert code_ledger(x, block.params(x)).clipped_high == pytest.approx(math.log2(8 / 7), abs=0.01)
    assert code_ledger(x, block.params(x, rule="up")).clipped_high == 0


@each_block
@pytest.mark.parametrize("axis", [-1, 0, 1])
@pytest.mark.parametrize("shape", [(64, 96), (5, 37), (1, 1), (3, 4, 50)], ids=str)
def test_every_block_has_the_scale_that_its_format_holds(block, axis, shape):
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    params = block.params(x, axis=axis)
    assert (params.grid, params.axis, params.block_size) == (block.element, axis, block.block_size)
    wanted = list(shape)
    wanted[axis] = -(-shape[axis] // block.block_size)
    assert params.scale.shape == tuple(wanted)
    unit_of = 1.0
    if block.tensor_scale:
        unit_of = float(np.float32(float(np.abs(x).max()) / block.element.largest / block.scale.largest))
    stored = params.scale / unit_of
    np.testing.assert_array_equal(block.scale.nearest(stored), stored)
    error = np.abs(fake_quantize(x, params) - x)
    assert (
        error.max() <= np.abs(x).max() / 3
    )  # E2M1's widest step is from 4 to 6, and the floor rule clips at 8


def test_nvfp4_by_hand():
    """Largest magnitudes 6 and 3: the float32 is 6 / 6 / 448, and the blocks' scales are 448 and 224."""
    block = BlockFormat(E2M1, 2, E4M3, tensor_scale=True)
    params = block.params(np.array([6.0, 1.0, 3.0, -1.0]))
    unit_of = float(np.float32(1 / 448))
    assert params.scale.tolist() == [448 * unit_of, 224 * unit_of]
    assert quantize([6.0, 1.0, 3.0, -1.0], params).tolist() == [7, 2, 7, 0xC]
    tiny = block.params(np.array([6.0, 1.0, 1e-9, 0.0, 0.0, 0.0]))
    assert tiny.scale.tolist() == [448 * unit_of, 2.0**-9 * unit_of, unit_of]


def test_groups_with_a_zero_point_by_hand():
    """[1, 4] is widened to 0: S = 4/15 in float16, and Z = 7 - 15."""
    block = BlockFormat(INT4, 2, FLOAT16, scheme="asymmetric")
    params = block.params(np.array([1.0, 4.0, -2.0, 1.0, 0.0, 0.0]))
    scales = [float(np.float16(4 / 15)), float(np.float16(3 / 15)), 1.0]
    assert params.scale.tolist() == scales
    assert params.zero_point.tolist() == [-8, 2, 7]


def test_groups_without_a_zero_point_by_hand():
    block = BlockFormat(INT4, np.int8(2), FLOAT16)
    params = block.params(np.array([1.0, 4.0, -2.0, 1.0, 0.0, 0.0]))
    assert params.scale.tolist() == [float(np.float16(4 / 7)), float(np.float16(2 / 7)), 1.0]
    assert not params.zero_point.any()
    assert type(block.block_size) is int


@given(st.floats(0, 1e30), st.floats(0, 1e30), st.sampled_from([INT4, UINT4]))
def test_groups_keep_the_zero_point_in_the_grid(low, high, grid):
    block = BlockFormat(grid, 2, FLOAT16, scheme="asymmetric")
    params = block.params(np.array([-low, high]))
    assert grid.qmin <= params.zero_point[0] <= grid.qmax
    assert float(np.float16(params.scale[0])) == params.scale[0] > 0


@each_block
@pytest.mark.parametrize("x", [np.zeros(40), np.full(40, 1e-45), np.full(40, 3.4e38), np.full(40, -1e-30)])
def test_extreme_blocks(block, x):
    x = x.astype(np.float32)
    params = block.params(x)
    assert np.isfinite(fake_quantize(x, params)).all()
    if not x.any():
        assert (params.scale == 1).all()
        assert not fake_quantize(x, params).any()


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda: MXFP4.params(np.zeros(0)), ValueError),
        (lambda: MXFP4.params(1.0), ValueError),
        (lambda: MXFP4.params([np.nan]), ValueError),
        (lambda: MXFP4.params([np.inf]), ValueError),
        (lambda: MXFP4.params([1.0], axis=1), ValueError),
        (lambda: MXFP4.params([1.0], axis=None), TypeError),
        (lambda: MXFP4.params([1.0], axis=(0,)), TypeError),
        (lambda: MXFP4.params([1.0], rule="down"), ValueError),
        (lambda: NVFP4.params([1.0], rule="floor"), ValueError),
        (lambda: BlockFormat(INT4, 0, E8M0), ValueError),
        (lambda: BlockFormat(INT4, 2.0, E8M0), TypeError),
        (lambda: BlockFormat("int4", 2, E8M0), TypeError),
        (lambda: BlockFormat(INT4, 2, INT8), TypeError),
        (lambda: BlockFormat(INT4, 2, FLOAT16, scheme="affine"), ValueError),
        (lambda: BlockFormat(E2M1, 2, FLOAT16, scheme="asymmetric"), ValueError),
        (lambda: BlockFormat(INT4, 2, E8M0, scheme="asymmetric"), ValueError),
        (lambda: BlockFormat(E2M1, 2, E8M0, tensor_scale=True), ValueError),
    ],
)
def test_blocks_that_are_refused(call, error):
    with pytest.raises(error):
        call()


def test_every_format_of_the_contract_is_there():
    names = "E4M3 E5M2 E2M1 E2M3 E3M2 E8M0 NF4 E4M3FNUZ E5M2FNUZ MXFP4 MXFP8 MXINT8 NVFP4"
    assert all(hasattr(formats, name) for name in names.split())
