"""ONNX Runtime, CPU, has the first word (CORRECTNESS.md): one-node models, equal bit for bit."""

import functools

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper
from onnxruntime.quantization.quant_utils import compute_scale_zp
from reference import assert_same_bits

from quantnotes import (
    INT8,
    INT8_NARROW,
    INT16,
    UINT8,
    UINT16,
    QuantParams,
    asymmetric_params,
    dequantize,
    minmax_range,
    quantize,
    symmetric_params,
)

pytestmark = pytest.mark.usefixtures("both_kernels")

GRIDS = {"int8": INT8, "uint8": UINT8, "int16": INT16, "uint16": UINT16}
PROTO = {"int8": TensorProto.INT8, "uint8": TensorProto.UINT8}
PROTO |= {"int16": TensorProto.INT16, "uint16": TensorProto.UINT16}
each_type = pytest.mark.parametrize("name", GRIDS)
SCALES = [1.0, 0.1, 1 / 3, 0.0078, 123.456, 2.0**-126, 1e-30, 2.353e33]


@functools.cache
def session(operator, name, axis=None):
    """A model of one node; scale and zero point are inputs."""
    code, real = (PROTO[name], None), (TensorProto.FLOAT, None)
    kinds = {
        "QuantizeLinear": ([real, real, code], [code]),
        "DequantizeLinear": ([code, real, code], [real]),
        "DynamicQuantizeLinear": ([real], [code, real, code]),
    }[operator]
    named = [[helper.make_tensor_value_info(f"{side}{i}", *kind) for i, kind in enumerate(kinds[j])]
             for j, side in enumerate("xy")]  # fmt: skip
    attributes = {} if axis is None else {"axis": axis}
    node = helper.make_node(operator, [v.name for v in named[0]], [v.name for v in named[1]], **attributes)
    model = helper.make_model(
        helper.make_graph([node], operator, *named),
        opset_imports=[helper.make_opsetid("", 21)],
        ir_version=10,
    )
    return onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])


def run(operator, x, params, name):
    """What ONNX Runtime answers for our parameters, its scale rounded to float32 as its input type asks."""
    scale = np.asarray(params.scale, np.float32)
    zero_point = np.asarray(params.zero_point).astype(params.grid.dtype)
    return session(operator, name, params.axis).run(None, {"x0": x, "x1": scale, "x2": zero_point})[0]


def zero_points(grid):
    middle = (grid.qmin + grid.qmax) // 2
    return sorted({grid.qmin, grid.qmin + 1, 0, 1, middle, middle + 1, grid.qmax - 1, grid.qmax})


def some(grid):
    return [grid.qmin, 0, (grid.qmin + grid.qmax) // 2 + 1, grid.qmax]


# --- QuantizeLinear -----------------------------------------------------------------------------------------


@each_type
def test_a_million_random_values(name):
    """Half a grid beyond each end, a different 10**6 for every zero point."""
    grid = GRIDS[name]
    for seed, zero_point in enumerate(zero_points(grid)):
        rng = np.random.default_rng(seed)
        params = QuantParams(float(rng.choice(SCALES[:5])), zero_point, grid)
        steps = (
            rng.uniform(1.5 * grid.qmin - grid.codes / 2, 1.5 * grid.qmax + grid.codes / 2, 10**6)
            - zero_point
        )
        x = (steps * params.scale).astype(np.float32)
        assert_same_bits(quantize(x, params), run("QuantizeLinear", x, params, name))


@each_type
def test_a_million_random_bit_patterns(name):
    """Every magnitude of float32, subnormals and overflowing quotients among them."""
    grid = GRIDS[name]
    x = np.random.default_rng(7).integers(0, 2**32, 10**6, np.uint32).view(np.float32)
    x = x[np.isfinite(x)]
    for scale in SCALES:
        params = QuantParams(scale, some(grid)[2], grid)
        assert_same_bits(quantize(x, params), run("QuantizeLinear", x, params, name))


@each_type
@pytest.mark.parametrize("scale", [1.0, 2.0**-7, 2.0**-126, 2.0**40])
def test_all_ties(name, scale):
    """(n + 1/2) S, exact: S is a power of two."""
    grid = GRIDS[name]
    for zero_point in zero_points(grid):
        n = np.arange(grid.qmin - zero_point - 9, grid.qmax - zero_point + 9)
        x = ((n + 0.5) * scale).astype(np.float32)
        np.testing.assert_array_equal(x.astype(np.float64) / scale, n + 0.5)
        params = QuantParams(scale, zero_point, grid)
        assert_same_bits(quantize(x, params), run("QuantizeLinear", x, params, name))


@each_type
@pytest.mark.parametrize("scale", [0.1, 1 / 3, 0.0078, 123.456, 1e-30])
def test_all_that_is_nearly_a_tie(name, scale):
    """The float32s around every (n + 1/2) S: here 1/S, a float64 S and rounding after adding Z differ."""
    grid = GRIDS[name]
    for zero_point in some(grid):
        n = np.arange(grid.qmin - zero_point - 9, grid.qmax - zero_point + 9)
        middle = ((n + 0.5) * scale).astype(np.float32)
        x = np.concatenate([np.nextafter(middle, np.float32(s)) for s in (-np.inf, np.inf)] + [middle])
        params = QuantParams(scale, zero_point, grid)
        assert_same_bits(quantize(x, params), run("QuantizeLinear", x, params, name))


@each_type
def test_infinities_zeros_and_the_largest(name):
    x = np.float32([np.inf, -np.inf, 1e38, -1e38, 3.4028235e38, -3.4028235e38, 0.0, -0.0, 1e-45, -1e-45])
    for scale in SCALES:
        for zero_point in zero_points(GRIDS[name]):
            params = QuantParams(scale, zero_point, GRIDS[name])
            assert_same_bits(quantize(x, params), run("QuantizeLinear", x, params, name))


def channel_params(name, channels, axis, seed=0):
    grid, rng = GRIDS[name], np.random.default_rng(seed)
    zero_point = rng.integers(grid.qmin, grid.qmax, channels, endpoint=True)
    return QuantParams(rng.uniform(0.001, 0.1, channels), zero_point, grid, axis=axis)


@each_type
@pytest.mark.parametrize("axis", [0, 1, 2, 3])
def test_per_channel(name, axis):
    params = channel_params(name, 5, axis)
    x = np.random.default_rng(axis).standard_normal((5, 5, 5, 5)).astype(np.float32) * 10
    codes = run("QuantizeLinear", x, params, name)
    assert_same_bits(quantize(x, params), codes)
    assert_same_bits(dequantize(codes, params), run("DequantizeLinear", codes, params, name))


# --- DequantizeLinear ---------------------------------------------------------------------------------------


@each_type
@pytest.mark.parametrize("scale", [*SCALES, 3e38])
def test_dequantize_every_code(name, scale):
    """3e38 overflows to infinity there, and saturates here: the one intended difference."""
    grid = GRIDS[name]
    codes = np.arange(grid.qmin, grid.qmax + 1).astype(grid.dtype)
    for zero_point in zero_points(grid):
        params = QuantParams(scale, zero_point, grid)
        expected = run("DequantizeLinear", codes, params, name)
        largest = np.finfo(np.float32).max
        assert_same_bits(dequantize(codes, params), np.clip(expected, -largest, largest))


# --- parameters ---------------------------------------------------------------------------------------------

TENSORS = {
    "normal": np.random.default_rng(0).standard_normal((40, 50)),
    "positive": np.random.default_rng(1).uniform(3, 9, 500),
    "negative": np.random.default_rng(2).uniform(-9, -3, 500),
    "relu": np.maximum(np.random.default_rng(3).standard_normal(500), 0),
    "small": 1e-8 * np.random.default_rng(4).standard_normal(500),
    "large": 1e37 * np.random.default_rng(5).standard_normal(500),
    "zeros": np.zeros(7),
    "five": np.full(7, 5.0),
    "minus five": np.full(7, -5.0),
}


@pytest.mark.parametrize("tensor", TENSORS)
def test_dynamic_quantize_linear(tensor):
    """Its codes for its own parameters; and ours are its parameters, up to its float32 arithmetic."""
    x = TENSORS[tensor].astype(np.float32)
    codes, scale, zero_point = session("DynamicQuantizeLinear", "uint8").run(None, {"x0": x})
    assert_same_bits(quantize(x, QuantParams(float(scale), int(zero_point), UINT8)), codes)
    ours = asymmetric_params(*minmax_range(x), UINT8, anchor="min")
    np.testing.assert_allclose(ours.scale, scale, rtol=2**-22)
    assert ours.zero_point == zero_point
    if tensor != "zeros":
        assert quantize(x, ours).max() >= 254 or tensor in ("negative", "minus five")


def random_ranges(count=500):
    rng = np.random.default_rng(0)
    for low, high in rng.standard_normal((count, 2)) * 10.0 ** rng.integers(-20, 20, (count, 1)):
        yield min(low, high), max(low, high)


@each_type
def test_parameters_of_compute_scale_zp(name):
    grid = GRIDS[name]
    ends = [np.array(q, grid.dtype) for q in (grid.qmin, grid.qmax)]
    for rmin, rmax in random_ranges():
        zero_point, scale = compute_scale_zp(np.array(rmin), np.array(rmax), *ends)
        ours = asymmetric_params(rmin, rmax, grid, anchor="min")
        assert (ours.scale, ours.zero_point) == (scale, zero_point)


def test_symmetric_parameters_of_compute_scale_zp():
    for rmin, rmax in random_ranges():
        zero_point, scale = compute_scale_zp(
            np.array(rmin), np.array(rmax), np.int8(-127), np.int8(127), symmetric=True
        )
        ours = symmetric_params(rmin, rmax, INT8_NARROW)
        assert (ours.scale, ours.zero_point) == (scale, zero_point)
