"""Blocked parameters: one S and one Z for each run of `block_size` values along an axis, as in ONNX."""

import pickle

import numpy as np
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper
from reference import assert_same_bits
from strategies import BAD_TYPES, FLOAT_TYPES, LAYOUTS, grids, moderate_scales

from quantnotes import (
    INT4,
    INT8,
    INT16,
    UINT4,
    UINT8,
    UINT16,
    QuantParams,
    asymmetric_params,
    code_ledger,
    dequantize,
    fake_quantize,
    minmax_range,
    quantize,
    symmetric_params,
)

TYPES = {
    "int4": (INT4, TensorProto.INT4),
    "uint4": (UINT4, TensorProto.UINT4),
    "int8": (INT8, TensorProto.INT8),
    "uint8": (UINT8, TensorProto.UINT8),
    "int16": (INT16, TensorProto.INT16),
    "uint16": (UINT16, TensorProto.UINT16),
}
SHAPES = [
    ((6,), 0, 4),
    ((3, 8), 1, 4),
    ((3, 10), 1, 4),
    ((10, 3), 0, 3),
    ((2, 7, 3), 1, 3),
    ((2, 7, 3), -1, 2),
]
shapes = pytest.mark.parametrize(("shape", "axis", "size"), SHAPES, ids=str)


def params_for(shape, axis, size, grid=INT8, seed=0):
    """Every block with an S and a Z of its own."""
    rng = np.random.default_rng(seed)
    counts = list(shape)
    counts[axis] = -(-counts[axis] // size)
    zero_point = rng.integers(grid.qmin, grid.qmax, counts, endpoint=True)
    return QuantParams(rng.uniform(0.01, 0.3, counts), zero_point, grid, axis, size)


def sample(shape, seed=0, dtype=np.float32):
    return (8 * np.random.default_rng(seed).standard_normal(shape)).astype(dtype)


def each_value(shape, params):
    """Every index, and the per-tensor parameters that hold there: the definition, one value at a time."""
    for index in np.ndindex(shape):
        block = list(index)
        block[params.axis] //= params.block_size
        at = tuple(block)
        yield index, QuantParams(float(params.scale[at]), int(params.zero_point[at]), params.grid)


# --- every value belongs to one block -----------------------------------------------------------------------


@shapes
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16, np.int32], ids=lambda d: d.__name__)
def test_every_value_has_the_parameters_of_its_block(shape, axis, size, dtype):
    params, x = params_for(shape, axis, size), sample(shape, dtype=dtype)
    codes, back = quantize(x, params), fake_quantize(x, params)
    assert_same_bits(dequantize(codes, params), back)
    for index, alone in each_value(shape, params):
        assert_same_bits(codes[index], quantize(x[index], alone))
        assert_same_bits(back[index], fake_quantize(x[index], alone))


@given(st.integers(1, 12), st.integers(1, 15), st.integers(0, 1), grids, moderate_scales, st.integers(0, 99))
def test_any_length_and_block(length, size, axis, grid, scale, seed):
    shape = (2, length) if axis else (length, 2)
    params = params_for(shape, axis, size, grid, seed)
    params = QuantParams(params.scale * scale, params.zero_point, grid, axis, size)
    x = sample(shape, seed) * np.float32(scale)
    codes = quantize(x, params)
    for index, alone in each_value(shape, params):
        assert codes[index] == quantize(x[index], alone)


def test_blocks_of_one_channel_are_a_channel_and_blocks_of_one_value_a_value():
    x = sample((3, 8))
    by_channel = QuantParams([0.1, 0.2, 0.3], [3, 4, 5], INT8, axis=0)
    blocked = QuantParams([[0.1], [0.2], [0.3]], [[3], [4], [5]], INT8, axis=1, block_size=8)
    assert_same_bits(quantize(x, blocked), quantize(x, by_channel))
    one = symmetric_params(*minmax_range(x, axis=1, block_size=1), axis=1, block_size=1)
    np.testing.assert_allclose(fake_quantize(x, one), x, rtol=1e-6)


def test_large_arrays_and_a_short_last_block():
    x = sample((67, 3101))
    params = params_for(x.shape, 1, 32)
    scale, zero = (np.repeat(v, 32, axis=1)[:, : x.shape[1]] for v in (params.scale, params.zero_point))
    codes = np.clip(np.rint(x / scale.astype(np.float32)) + zero, -128, 127).astype(np.int8)
    assert_same_bits(quantize(x, params), codes)
    assert_same_bits(fake_quantize(x, params), dequantize(codes, params))


@pytest.mark.parametrize("layout", LAYOUTS)
@shapes
def test_layout_changes_nothing(layout, shape, axis, size):
    params, x = params_for(shape, axis, size), sample(shape)
    odd = LAYOUTS[layout](x)
    before = odd.copy()
    codes = quantize(x, params)
    assert_same_bits(quantize(odd, params), codes)
    assert_same_bits(dequantize(LAYOUTS[layout](codes), params), fake_quantize(odd, params))
    np.testing.assert_array_equal(code_ledger(odd, params).counts, code_ledger(x, params).counts)
    np.testing.assert_array_equal(odd, before)


@pytest.mark.parametrize(
    "view", [lambda x: x, lambda x: x[:, ::-1], lambda x: x[::-1]], ids=["itself", "columns", "rows"]
)
def test_fake_quantize_in_place(view):
    """The last block is short: what is written first must not be read afterwards."""
    x = sample((5, 10))
    params = params_for(x.shape, 1, 4)
    expected = fake_quantize(x.copy(), params)
    fake_quantize(x, params, out=view(x))
    assert_same_bits(view(x), expected)


def test_out_gives_the_same_bits():
    params, x = params_for((5, 10), 1, 4), sample((5, 10))
    codes, out = quantize(x, params), np.zeros((5, 20), np.int16)[:, ::2]
    assert quantize(x, params, out=out) is out
    np.testing.assert_array_equal(out, codes)


def test_nan_is_counted_in_every_block():
    x = sample((2, 10))
    x[0, 1] = x[1, 9] = np.nan
    for call in (quantize, fake_quantize):
        with pytest.raises(ValueError, match=r"\b2\b"):
            call(x, params_for(x.shape, 1, 4))


def test_ledger_counts_all_blocks_together():
    x = sample((6, 50))
    params = params_for(x.shape, 1, 16)
    ledger, codes = code_ledger(x, params), quantize(x, params)
    np.testing.assert_array_equal(ledger.counts, np.bincount(codes.ravel().astype(int) + 128, minlength=256))
    error = fake_quantize(x, params).astype(np.float64) - x
    assert ledger.mse == pytest.approx(np.mean(error**2), rel=1e-4)
    assert ledger.max_abs_error == pytest.approx(np.abs(error).max(), rel=1e-4)
    unclipped = [
        round(float(x[i] / np.float32(p.scale))) + p.zero_point for i, p in each_value(x.shape, params)
    ]
    assert ledger.clipped_low == np.mean(np.array(unclipped) < -128)
    assert ledger.clipped_high == np.mean(np.array(unclipped) > 127)


# --- ONNX Runtime -------------------------------------------------------------------------------------------


def run(operator, x, params, proto):
    """A model of one blocked node; below 8 bits the codes are cast inside it, for Python has no such type."""
    wide, low_bits = (
        {True: TensorProto.INT8, False: TensorProto.UINT8}[params.grid.qmin < 0],
        params.grid.codes < 256,
    )
    real, code = TensorProto.FLOAT, wide if low_bits else proto
    forwards = operator == "QuantizeLinear"
    kinds = {"x": real if forwards else code, "s": real, "z": code}
    nodes = [
        helper.make_node("Cast", [name], [f"{name}c"], to=proto) for name in kinds if kinds[name] != real
    ]
    names = [f"{name}c" if kinds[name] != real else name for name in kinds]
    attributes = {"axis": params.axis, "block_size": params.block_size}
    nodes.append(helper.make_node(operator, names, ["yc"], **attributes))
    nodes.append(helper.make_node("Cast", ["yc"], ["y"], to=code if forwards else real))
    inputs = [helper.make_tensor_value_info(name, kind, None) for name, kind in kinds.items()]
    outputs = [helper.make_tensor_value_info("y", code if forwards else real, None)]
    model = helper.make_model(
        helper.make_graph(nodes, operator, inputs, outputs),
        opset_imports=[helper.make_opsetid("", 21)],
        ir_version=10,
    )
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    scale, zero = params.scale.astype(np.float32), params.zero_point.astype(params.grid.dtype)
    return session.run(None, {"x": x, "s": scale, "z": zero})[0]


@pytest.mark.parametrize("name", TYPES)
@shapes
def test_as_onnx_runtime(name, shape, axis, size):
    grid, proto = TYPES[name]
    params = params_for(shape, axis, size, grid, seed=1)
    x = sample(shape, seed=2) * np.float32(grid.codes / 64)
    codes = quantize(x, params)
    assert_same_bits(run("QuantizeLinear", x, params, proto), codes)
    assert_same_bits(run("DequantizeLinear", codes, params, proto), dequantize(codes, params))


# --- ranges and parameters of blocks ------------------------------------------------------------------------


@shapes
@pytest.mark.parametrize("dtype", [*FLOAT_TYPES, np.int8, np.uint16], ids=lambda d: np.dtype(d).name)
def test_minmax_of_every_block(shape, axis, size, dtype):
    x = np.abs(sample(shape)).astype(dtype)
    found = minmax_range(x, axis=axis, block_size=size)
    parts = np.array_split(x, range(size, x.shape[axis], size), axis=axis)
    for end, wanted in zip(found, [np.min, np.max], strict=True):
        assert end.dtype == np.float64
        expected = np.concatenate(
            [wanted(p.astype(np.float64), axis=axis, keepdims=True) for p in parts], axis
        )
        np.testing.assert_array_equal(end, expected)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layout_changes_no_range(layout):
    x = sample((3, 10))
    found, expected = (minmax_range(v, axis=1, block_size=4) for v in (LAYOUTS[layout](x), x))
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("of", [asymmetric_params, symmetric_params])
def test_parameters_are_each_block_s_own(of):
    x = sample((3, 10))
    x[1, 4:8] = 0
    params = of(*minmax_range(x, axis=1, block_size=4), INT4, axis=1, block_size=4)
    assert (params.axis, params.block_size, params.scale.shape) == (1, 4, (3, 3))
    for row in range(3):
        for block in range(3):
            alone = of(*minmax_range(x[row, 4 * block : 4 * block + 4]), INT4)
            assert (params.scale[row, block], params.zero_point[row, block]) == (
                alone.scale,
                alone.zero_point,
            )


def test_smaller_blocks_lose_less():
    """Groups of 32 in a 4-bit weight: what language models are stored with."""
    x = sample((64, 256)) * np.exp(np.random.default_rng(1).standard_normal((64, 256))).astype(np.float32)
    sqnr = []
    for size in (256, 64, 32, 8):
        params = symmetric_params(*minmax_range(x, axis=1, block_size=size), INT4, axis=1, block_size=size)
        sqnr.append(code_ledger(x, params).sqnr_db)
    assert np.all(np.diff(sqnr) > 1)


def test_nan_and_infinities_in_blocks():
    x = sample((2, 10))
    x[0, 1] = x[0, 2] = np.nan
    with pytest.raises(ValueError, match=r"\b2\b"):
        minmax_range(x, axis=1, block_size=4)
    found = minmax_range(x, axis=1, block_size=4, nan="ignore")
    assert (found.rmin[0, 0], found.rmax[0, 0]) == (min(x[0, 0], x[0, 3]), max(x[0, 0], x[0, 3]))
    x[0, :4] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        minmax_range(x, axis=1, block_size=4, nan="ignore")
    x[0, :4] = np.inf
    for nan in ("raise", "ignore"):
        with pytest.raises(ValueError, match="inf"):
            minmax_range(x, axis=1, block_size=4, nan=nan)


# --- what is refused ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [9, 10, 2**70])
def test_a_block_may_be_longer_than_the_axis(size):
    x = sample((2, 9))
    found = minmax_range(x, axis=1, block_size=size)
    np.testing.assert_array_equal(found.rmax, x.max(axis=1, keepdims=True))
    params = symmetric_params(*found, axis=1, block_size=size)
    by_row = symmetric_params(*minmax_range(x, axis=0), axis=0)
    assert_same_bits(quantize(x, params), quantize(x, by_row))


@pytest.mark.parametrize("size", [0, -1])
def test_blocks_have_at_least_one_value(size):
    for call in (
        lambda: QuantParams([[1.0]], [[0]], INT8, axis=0, block_size=size),
        lambda: minmax_range(np.ones((2, 2)), axis=0, block_size=size),
    ):
        with pytest.raises(ValueError, match="block_size"):
            call()


@pytest.mark.parametrize("size", [2.0, "2", True])
def test_block_size_is_an_integer(size):
    for call in (
        lambda: QuantParams([[1.0]], [[0]], INT8, axis=0, block_size=size),
        lambda: minmax_range(np.ones((2, 2)), axis=0, block_size=size),
    ):
        with pytest.raises(TypeError, match="block_size"):
            call()


def test_blocks_need_an_axis():
    for call in (
        lambda: QuantParams([1.0], [0], INT8, block_size=4),
        lambda: QuantParams(1.0, 0, INT8, block_size=4),
        lambda: minmax_range(np.ones(4), block_size=4),
        lambda: symmetric_params(0.0, 1.0, block_size=4),
        lambda: asymmetric_params(0.0, 1.0, block_size=4),
    ):
        with pytest.raises(ValueError, match="axis"):
            call()


@pytest.mark.parametrize(
    ("scale", "zero_point", "axis"),
    [
        (1.0, 0, 0),
        ([1.0], [[0]], 0),
        ([[1.0]], [0], 0),
        ([1.0], [0], 1),
        ([[1.0]], [[0]], -3),
        (np.ones((0, 2)), np.zeros((0, 2)), 0),
    ],
)
def test_shapes_that_make_no_params(scale, zero_point, axis):
    with pytest.raises(ValueError, match=r"scale|axis"):
        QuantParams(scale, zero_point, INT8, axis=axis, block_size=4)


@pytest.mark.parametrize("shape", [(3, 8), (3, 13), (2, 9), (3,), (3, 9, 1), (9, 3), (), (3, 0)], ids=str)
def test_data_of_another_shape(shape):
    """Three rows of three blocks of four: 9 to 12 columns."""
    params = params_for((3, 9), 1, 4)
    for call, dtype in [
        (quantize, float),
        (fake_quantize, float),
        (dequantize, np.int8),
        (code_ledger, float),
    ]:
        with pytest.raises(ValueError, match=r"block|empty|axis"):
            call(np.ones(shape, dtype), params)


@pytest.mark.parametrize("columns", [9, 10, 11, 12])
def test_data_of_every_length_that_fits(columns):
    assert quantize(np.ones((3, columns)), params_for((3, 9), 1, 4)).shape == (3, columns)


@pytest.mark.parametrize("name", BAD_TYPES)
def test_what_is_no_number_is_a_type_error(name):
    with pytest.raises(TypeError):
        minmax_range(BAD_TYPES[name], axis=0, block_size=1)
    with pytest.raises(TypeError):
        quantize(BAD_TYPES[name], params_for((2,), 0, 1))


# --- values -------------------------------------------------------------------------------------------------


def test_params_are_values():
    params = params_for((2, 8), 1, 4)
    twin = QuantParams(params.scale, params.zero_point, INT8, axis=1, block_size=4)
    assert params == twin == pickle.loads(pickle.dumps(params))
    assert len({params, twin}) == 1
    flat = params.scale.ravel(), params.zero_point.ravel()
    others = [
        QuantParams(params.scale, params.zero_point, INT8, axis=1, block_size=5),
        QuantParams(params.scale, params.zero_point, INT8, axis=0, block_size=4),
        QuantParams(params.scale.T.reshape(2, 2), params.zero_point, INT8, axis=1, block_size=4),
        QuantParams(*flat, INT8, axis=0, block_size=4),
        QuantParams(*(v.reshape(1, 4) for v in flat), INT8, axis=1, block_size=4),
        QuantParams(*(v.reshape(4, 1) for v in flat), INT8, axis=1, block_size=4),
    ]
    assert all(params != other for other in others)
    assert others[-1] != others[-2]


def test_range_and_repr():
    params = QuantParams([[0.5, 1.0]], [[0, 1]], INT4, axis=1, block_size=np.int64(2))
    np.testing.assert_array_equal(params.range, [[[-4, -9]], [[3.5, 6]]])
    assert "block_size=2" in repr(params)
    assert "block_size" not in repr(QuantParams(0.5, 0, INT4))
