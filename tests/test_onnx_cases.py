"""ONNX's own backend cases with "quantize" in their names, for the types that the library has.

They are weak (rounding half away from zero passes them all), so they come on top of the tie tests.
"""

import importlib
import pkgutil

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.backend.test.case import node as onnx_cases

from quantnotes import (
    INT2,
    INT4,
    INT8,
    INT16,
    UINT2,
    UINT4,
    UINT8,
    UINT16,
    QuantParams,
    asymmetric_params,
    dequantize,
    minmax_range,
    quantize,
)

pytestmark = pytest.mark.usefixtures("both_kernels")

GRIDS = {
    TensorProto.INT2: INT2,
    TensorProto.UINT2: UINT2,
    TensorProto.INT4: INT4,
    TensorProto.UINT4: UINT4,
    TensorProto.INT8: INT8,
    TensorProto.UINT8: UINT8,
    TensorProto.INT16: INT16,
    TensorProto.UINT16: UINT16,
}

# float8 and float4 codes, which are no integers: the library has integer grids alone.
NOT_COVERED = {
    "test_dequantizelinear_e4m3fn",
    "test_dequantizelinear_e4m3fn_float16",
    "test_dequantizelinear_e4m3fn_zero_point",
    "test_dequantizelinear_e5m2",
    "test_dequantizelinear_float4e2m1",
    "test_quantizelinear_e4m3fn",
    "test_quantizelinear_e5m2",
    "test_quantizelinear_float4e2m1",
}


def import_quantizing(package):
    """Import the modules whose operators quantize; all of them take seconds."""
    for module in pkgutil.iter_modules(package.__path__):
        if "quantize" in module.name:
            importlib.import_module(f"{package.__name__}.{module.name}")


with pytest.MonkeyPatch.context() as patch:
    patch.setattr(onnx_cases, "import_recursive", import_quantizing)
    CASES = {case.name: case for case in onnx_cases.collect_testcases(None) if "quantize" in case.name}


def cases(operator):
    """The covered cases of one operator, with its float-arithmetic expansion where it has one."""
    return sorted(name for name in CASES if name.startswith(f"test_{operator}") and name not in NOT_COVERED)


def as_array(value):
    """4-bit and 2-bit tensors come as protos; their values fit a byte."""
    if isinstance(value, TensorProto):
        value = numpy_helper.to_array(value)
        return value.astype(np.uint8 if value.dtype.name.startswith("u") else np.int8)
    return np.asarray(value)


def data_of(case):
    (inputs, outputs), = case.data_sets  # fmt: skip
    return [as_array(v) for v in inputs], [as_array(v) for v in outputs]


def make_params(case, grid, scale, zero_point, ndim):
    """Per tensor for a scalar scale, else per channel or block along the node's axis (by default 1)."""
    if scale.size == 1:
        return QuantParams(scale.item(), zero_point.item(), grid)
    (node,) = case.model.graph.node
    attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    axis, size = attributes.get("axis", 1) % ndim, attributes.get("block_size", 0)
    return QuantParams(scale, zero_point, grid, axis, size or None)


def test_every_case_runs_or_is_named_above():
    operators = ("quantizelinear", "dequantizelinear", "dynamicquantizelinear")
    run = [name for operator in operators for name in cases(operator)]
    assert sorted(CASES) == sorted([*run, *NOT_COVERED])
    assert (len(CASES), len(run)) == (33, 25)  # 13 + 14 + 6 in CORRECTNESS.md


@pytest.mark.parametrize("name", cases("quantizelinear"))
def test_quantize_linear(name):
    case = CASES[name]
    (x, scale, *zero_point), (expected,) = data_of(case)
    zero_point = zero_point[0] if zero_point else np.zeros(scale.shape, int)  # an input that may be left out
    grid = GRIDS[case.model.graph.output[0].type.tensor_type.elem_type]
    codes = quantize(x, make_params(case, grid, scale, zero_point, x.ndim))
    assert codes.dtype == grid.dtype  # ONNX keeps the int16 answer of the blocked symmetric case as int8
    np.testing.assert_array_equal(codes, expected)


@pytest.mark.parametrize("name", cases("dequantizelinear"))
def test_dequantize_linear(name):
    case = CASES[name]
    (codes, scale, zero_point), (expected,) = data_of(case)
    grid = GRIDS[case.model.graph.input[0].type.tensor_type.elem_type]
    x = dequantize(codes, make_params(case, grid, scale, zero_point, codes.ndim))
    assert x.dtype == expected.dtype
    np.testing.assert_array_equal(x, expected)


@pytest.mark.parametrize("name", cases("dynamicquantizelinear"))
def test_dynamic_quantize_linear(name):
    (x,), (codes, scale, zero_point) = data_of(CASES[name])
    params = asymmetric_params(*minmax_range(x), UINT8, anchor="min")
    np.testing.assert_allclose(params.scale, scale, rtol=2**-23)  # theirs is computed in float32
    assert params.zero_point == zero_point
    np.testing.assert_array_equal(quantize(x, params), codes)
