"""quantize_dynamic: codes and parameters of the same data in one call."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference import assert_same_bits
from strategies import BAD_TYPES, arrays, float32s

from quantnotes import (
    INT8,
    UINT4,
    UINT8,
    QuantParams,
    asymmetric_params,
    dequantize,
    minmax_range,
    quantize,
    quantize_dynamic,
    symmetric_params,
)


@given(arrays(float32s, min_size=1), st.sampled_from([INT8, UINT8, UINT4]))
def test_it_is_the_range_the_parameters_and_the_codes(x, grid):
    codes, params = quantize_dynamic(x, grid)
    assert params == asymmetric_params(*minmax_range(x), grid)
    assert_same_bits(codes, quantize(x, params))


@pytest.mark.parametrize("axis", [None, 0, -1, (0, 2)])
@pytest.mark.parametrize("make", [symmetric_params, asymmetric_params])
def test_each_index_of_an_axis_has_its_own(axis, make):
    scheme = make.__name__.removesuffix("_params")
    x = np.random.default_rng(0).standard_normal((3, 4, 5)).astype(np.float32)
    codes, params = quantize_dynamic(x, scheme=scheme, axis=axis)
    assert params == make(*minmax_range(x, axis=axis), INT8, axis=axis)
    assert_same_bits(codes, quantize(x, params))
    assert np.abs(dequantize(codes, params) - x).max() <= np.max(params.scale) * 0.51


def test_one_far_token_costs_the_others_nothing():
    x = np.random.default_rng(0).standard_normal((9, 64)).astype(np.float32)
    far = x.copy()
    far[3] *= 1000
    for row in (0, 8):
        np.testing.assert_array_equal(
            quantize_dynamic(far, axis=0)[0][row], quantize_dynamic(x, axis=0)[0][row]
        )


def test_a_single_number():
    codes, params = quantize_dynamic(5.0)
    assert_same_bits(codes, np.array(127, np.int8))
    assert params == QuantParams(5 / 255, -128, INT8)


@pytest.mark.parametrize("x", [[], [np.nan], [np.inf, 1.0], np.zeros((0, 3))])
def test_data_without_a_range(x):
    with pytest.raises(ValueError, match="x"):
        quantize_dynamic(x)


@pytest.mark.parametrize("name", BAD_TYPES)
def test_what_is_no_number_is_a_type_error(name):
    with pytest.raises(TypeError):
        quantize_dynamic(BAD_TYPES[name])


def test_arguments_that_are_refused():
    for error, options in [
        (ValueError, {"scheme": "both"}),
        (ValueError, {"axis": 2}),
        (TypeError, {"axis": "0"}),
        (TypeError, {"grid": 8}),
    ]:
        with pytest.raises(error):
            quantize_dynamic([[1.0, 2.0]], **options)
