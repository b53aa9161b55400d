"""asymmetric_params: a range -> scale and zero point."""

import numpy as np
import pytest
import reference
from hypothesis import given
from hypothesis import strategies as st
from reference import MIN_SCALE, unclipped_code
from strategies import grids, intervals

from quantnotes import (
    INT8,
    INT16,
    UINT2,
    UINT8,
    QuantParams,
    asymmetric_params,
    dequantize,
    minmax_range,
    quantize,
)

both_anchors = pytest.mark.parametrize("anchor", ["max", "min"])


@pytest.mark.parametrize(
    ("rmin", "rmax", "scale", "zero_point"),
    [(-1, 2, 1.0, 1), (-0.6, 1.5, 0.7, 1)],
    ids=["exact", "grid slides"],
)
def test_worked_by_hand_on_two_bits(rmin, rmax, scale, zero_point):
    """STORYBOARD.md, 02."""
    params = asymmetric_params(rmin, rmax, UINT2)
    assert isinstance(params, QuantParams)
    assert params.scale == pytest.approx(scale, rel=1e-15)
    assert params.zero_point == zero_point
    np.testing.assert_allclose(
        dequantize(np.arange(4, dtype=np.uint8), params), scale * np.arange(-1, 3), rtol=1e-7
    )


def test_max_side_and_min_side_part_on_a_tie():
    """[-1, 1] on 0..255: 1/S = 127.5, and 255 - 128 is not 0 + 128 (STORYBOARD.md, 02)."""
    assert asymmetric_params(-1.0, 1.0, UINT8).zero_point == 127
    assert asymmetric_params(-1.0, 1.0, UINT8, anchor="max").zero_point == 127
    assert asymmetric_params(-1.0, 1.0, UINT8, anchor="min").zero_point == 128


def test_int8_is_the_default_grid():
    assert asymmetric_params(-1.0, 3.0) == asymmetric_params(-1.0, 3.0, INT8)


@given(intervals(), grids, st.sampled_from(["max", "min"]))
def test_agrees_with_fractions(interval, grid, anchor):
    params = asymmetric_params(*interval, grid, anchor=anchor)
    scale, zero_point = reference.asymmetric_params(*interval, grid, anchor)
    assert params.scale == scale
    assert grid.qmin <= params.zero_point <= grid.qmax
    if interval != (0, 0):
        assert params.zero_point == zero_point
    assert (params.grid, params.axis) == (grid, None)


@given(intervals(1e30).filter(lambda r: r[1] - r[0] > 1e-30), grids, st.sampled_from(["max", "min"]))
def test_ends_land_within_one_code_of_the_ends_and_zero_on_the_zero_point(interval, grid, anchor):
    params = asymmetric_params(*interval, grid, anchor=anchor)
    low, high = min(interval[0], 0.0), max(interval[1], 0.0)
    at = [unclipped_code(v, params.scale, params.zero_point, reference.FLOAT64) for v in (low, high)]
    assert abs(at[0] - grid.qmin) <= 1
    assert abs(at[1] - grid.qmax) <= 1
    assert at[1] == grid.qmax if anchor == "max" else at[0] == grid.qmin
    assert quantize(0.0, params) == params.zero_point


@pytest.mark.parametrize("zero", [0.0, -0.0, 0])
@both_anchors
def test_all_zeros_have_scale_one(zero, anchor):
    """A zero scale: TensorRT 1826, onnxruntime 12470, pytorch 39239."""
    for grid in [INT8, UINT8, INT16]:
        params = asymmetric_params(zero, zero, grid, anchor=anchor)
        assert params.scale == 1.0
        assert grid.qmin <= params.zero_point <= grid.qmax
        np.testing.assert_array_equal(quantize(np.float32([0.0, -0.0]), params), params.zero_point)


@pytest.mark.parametrize("grid", [INT8, UINT8, INT16], ids=str)
@both_anchors
@pytest.mark.parametrize(
    ("rmin", "rmax"), [(5, 5), (10, 11), (-5, -5), (-11, -10)], ids=["5", "10..11", "-5", "-11..-10"]
)
def test_one_sided_ranges_are_widened_to_zero(rmin, rmax, anchor, grid):
    """tensorflow 45038, pytorch 108646; unwidened, [10, 11] gives Z = -2550 on uint8."""
    params = asymmetric_params(float(rmin), float(rmax), grid, anchor=anchor)
    assert params.scale == max(abs(rmin), abs(rmax)) / (grid.codes - 1)
    positive = rmax > 0
    assert params.zero_point == (grid.qmin if positive else grid.qmax)
    far, code = (rmax, grid.qmax) if positive else (rmin, grid.qmin)
    assert quantize(np.float32(far), params) == code
    assert dequantize(np.array(code), params) == pytest.approx(far, rel=1e-6)


@pytest.mark.parametrize("kind", [np.float32, np.float64, float])
def test_a_range_past_float32_does_not_overflow(kind):
    """rmax - rmin = 6e38; S = 2.353e36 (CORRECTNESS.md)."""
    params = asymmetric_params(kind(-3e38), kind(3e38))
    assert params.scale == pytest.approx(6e38 / 255, rel=1e-6)
    assert params.zero_point in (-1, 0)


def test_a_range_past_float64_does_not_overflow():
    params = asymmetric_params(-1.7e308, 1.7e308)
    assert params.scale == pytest.approx(1.7e308 / 255 * 2, rel=1e-12)


def test_numpy_scalars_do_not_wrap():
    params = asymmetric_params(np.int8(-128), np.int8(127))
    assert (params.scale, params.zero_point) == (1.0, 0)
    assert asymmetric_params(np.float16(-60000), np.float16(60000)).scale == pytest.approx(
        120000 / 255, rel=1e-3
    )


def test_small_ranges_are_not_flattened():
    """An epsilon would (pytorch/ao 4534): S of +-1e-8 is 7.84e-11."""
    params = asymmetric_params(-1e-8, 1e-8)
    assert params.scale == pytest.approx(2e-8 / 255, rel=1e-14)
    codes = quantize(np.float32([-1e-8, 0, 1e-8]), params).astype(int)
    assert codes[2] - codes[0] >= 254


@both_anchors
@pytest.mark.parametrize("r", [1e-40, 5e-324, 2.0**-127])
def test_scale_has_a_floor(r, anchor):
    params = asymmetric_params(-r, r, anchor=anchor)
    assert params.scale == MIN_SCALE
    assert quantize(np.float32(0), params) == params.zero_point
    assert dequantize(np.array(params.zero_point), params) == 0


@both_anchors
@pytest.mark.parametrize("make", [np.array, list], ids=["array", "list"])
def test_per_channel_is_each_channel_alone(make, anchor):
    rmins, rmaxs = [-1.0, 0.0, 10.0, -3.0, -1e-40], [1.0, 0.0, 11.0, -2.0, 0.0]
    params = asymmetric_params(make(rmins), make(rmaxs), INT8, axis=1, anchor=anchor)
    alone = [asymmetric_params(lo, hi, INT8, anchor=anchor) for lo, hi in zip(rmins, rmaxs, strict=True)]
    np.testing.assert_array_equal(params.scale, [p.scale for p in alone])
    np.testing.assert_array_equal(params.zero_point, [p.zero_point for p in alone])
    assert params.axis == 1
    assert params.scale[1] == 1.0  # an all-zero channel


def test_takes_the_range_of_the_data():
    x = np.random.default_rng(0).standard_normal((4, 50)).astype(np.float32)
    assert asymmetric_params(*minmax_range(x)) == asymmetric_params(float(x.min()), float(x.max()))
    params = asymmetric_params(*minmax_range(x, axis=0), axis=0)
    for c, row in enumerate(x):
        assert reference.channel(params, c) == asymmetric_params(*minmax_range(row))


@pytest.mark.parametrize(
    ("rmin", "rmax"),
    [
        (np.nan, 1.0),
        (0.0, np.nan),
        (-np.inf, 1.0),
        (0.0, np.inf),
        (np.inf, np.inf),
        (1.0, 0.5),
        (1e-300, -1e-300),
    ],
)
def test_ranges_that_are_refused(rmin, rmax):
    with pytest.raises(ValueError, match=r"rmin|rmax"):
        asymmetric_params(rmin, rmax)
    with pytest.raises(ValueError, match=r"rmin|rmax"):
        asymmetric_params([0.0, rmin], [1.0, rmax], axis=0)


@pytest.mark.parametrize(
    ("rmin", "rmax", "axis"),
    [([0.0], [1.0], None), ([0.0, 1.0], [1.0], 0), ([0.0], [1.0, 2.0], 0), ([[0.0]], [[1.0]], 0)],
    ids=["array without axis", "shorter rmax", "shorter rmin", "2-D"],
)
def test_shapes_that_are_refused(rmin, rmax, axis):
    with pytest.raises(ValueError, match=r"axis|rmin|rmax|length|shape"):
        asymmetric_params(np.array(rmin), np.array(rmax), axis=axis)


@pytest.mark.parametrize("anchor", ["middle", "MAX", ""])
def test_unknown_anchor(anchor):
    with pytest.raises(ValueError, match="anchor"):
        asymmetric_params(-1.0, 1.0, anchor=anchor)


@pytest.mark.parametrize("grid", [8, "int8", None, np.int8])
def test_grid_must_be_one(grid):
    with pytest.raises(TypeError, match="grid"):
        asymmetric_params(0.0, 1.0, grid)
