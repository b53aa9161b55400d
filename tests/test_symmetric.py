"""symmetric_params: S = max(|rmin|, |rmax|) / qmax, Z = 0."""

import numpy as np
import pytest
import reference
from hypothesis import assume, given
from hypothesis import strategies as st
from reference import MIN_SCALE
from strategies import grids, intervals

from quantnotes import (
    INT8,
    INT8_NARROW,
    INT16,
    UINT8,
    IntGrid,
    asymmetric_params,
    dequantize,
    fake_quantize,
    minmax_range,
    quantize,
    symmetric_params,
)


def test_larger_side_sets_the_scale():
    """The note's |rmax| sends -6 of [-6, 2] to code -381 (STORYBOARD.md, 03)."""
    params = symmetric_params(-6.0, 2.0)
    assert (params.scale, params.zero_point, params.grid, params.axis) == (6 / 127, 0, INT8, None)
    codes = quantize(np.float32([-6, 2, 6]), params)
    np.testing.assert_array_equal(codes, [-127, 42, 127])
    np.testing.assert_allclose(dequantize(codes, params)[0], -6, rtol=1e-7)


def test_minus_128_or_not_has_the_same_scale():
    """onnxruntime 3442, 10170: dividing by 128 or by 127.5 is another convention."""
    assert (
        symmetric_params(-1.0, 0.5, INT8).scale == symmetric_params(-1.0, 0.5, INT8_NARROW).scale == 1 / 127
    )


@given(intervals(), grids)
def test_agrees_with_fractions(interval, grid):
    assume(grid.qmin <= -grid.qmax or interval[0] >= 0)
    params = symmetric_params(*interval, grid)
    assert params.scale == reference.symmetric_params(*interval, grid)
    assert params.zero_point == 0


@given(intervals(1e30), grids)
def test_ends_stay_on_the_grid(interval, grid):
    """Float64 throughout: nothing within the range is clipped."""
    assume(grid.qmin <= -grid.qmax or interval[0] >= 0)
    params = symmetric_params(*interval, grid)
    at = [reference.unclipped_code(v, params.scale, 0, reference.FLOAT64) for v in interval]
    assert all(max(grid.qmin, -grid.qmax) <= code <= grid.qmax for code in at)
    if params.scale != MIN_SCALE and interval[0] != interval[1]:
        assert grid.qmax in (abs(at[0]), abs(at[1]))


@pytest.mark.parametrize("zero", [0.0, -0.0])
@pytest.mark.parametrize("grid", [INT8, UINT8], ids=str)
def test_all_zeros_have_scale_one(zero, grid):
    params = symmetric_params(zero, zero, grid)
    assert (params.scale, params.zero_point) == (1.0, 0)


@pytest.mark.parametrize("grid", [UINT8, IntGrid(-3, 10), IntGrid(-126, 127)], ids=str)
def test_a_grid_short_below_needs_data_without_negatives(grid):
    assert symmetric_params(0.0, 5.0, grid).scale == 5.0 / grid.qmax
    assert symmetric_params(2.0, 5.0, grid).scale == 5.0 / grid.qmax
    with pytest.raises(ValueError, match="rmin"):
        symmetric_params(-1e-9, 5.0, grid)
    with pytest.raises(ValueError, match="rmin"):
        symmetric_params([0.0, -1.0], [5.0, 5.0], grid, axis=0)


@pytest.mark.parametrize("grid", [INT8, INT16, INT8_NARROW, IntGrid(-10, 3)], ids=str)
def test_a_grid_long_enough_below_takes_negatives(grid):
    assert symmetric_params(-1.0, 5.0, grid).scale == 5.0 / grid.qmax


def test_numbers_do_not_wrap_or_overflow():
    """abs(int8(-128)) is -128 in NumPy."""
    assert symmetric_params(np.int8(-128), np.int8(127)).scale == 128 / 127
    assert symmetric_params(np.int32(-(2**31)), np.int32(0)).scale == 2**31 / 127
    assert symmetric_params(np.float32(-3e38), np.float32(3e38)).scale == pytest.approx(3e38 / 127, rel=1e-6)
    assert symmetric_params(-1.7e308, 1.0).scale == 1.7e308 / 127
    assert symmetric_params(-1e-8, 1e-8).scale == 1e-8 / 127
    assert symmetric_params(-1e-40, 1e-40).scale == MIN_SCALE


def test_per_channel_is_each_channel_alone():
    x = np.random.default_rng(1).standard_normal((3, 4, 5)) * np.array([1.0, 0.0, 10.0, 1e-3])[:, None]
    params = symmetric_params(*minmax_range(x, axis=1), axis=1)
    assert params.axis == 1
    for c in range(4):
        assert reference.channel(params, c) == symmetric_params(*minmax_range(x[:, c]))
    assert params.scale[1] == 1.0  # an all-zero channel


@pytest.mark.parametrize(
    ("rmin", "rmax"), [(np.nan, 1.0), (0.0, np.nan), (-np.inf, 1.0), (0.0, np.inf), (1.0, 0.5)]
)
def test_ranges_that_are_refused(rmin, rmax):
    with pytest.raises(ValueError, match=r"rmin|rmax"):
        symmetric_params(rmin, rmax)
    with pytest.raises(ValueError, match=r"rmin|rmax"):
        symmetric_params([0.0, rmin], [1.0, rmax], axis=0)


@pytest.mark.parametrize(
    ("rmin", "rmax", "axis"),
    [([0.0], [1.0], None), ([0.0, 1.0], [1.0], 0), ([[0.0]], [[1.0]], 0)],
    ids=["array without axis", "unequal lengths", "2-D"],
)
def test_shapes_that_are_refused(rmin, rmax, axis):
    with pytest.raises(ValueError, match=r"axis|rmin|rmax|length|shape"):
        symmetric_params(np.array(rmin), np.array(rmax), axis=axis)


@pytest.mark.parametrize("grid", [8, "int8", None, np.int8])
def test_grid_must_be_one(grid):
    with pytest.raises(TypeError, match="grid"):
        symmetric_params(0.0, 1.0, grid)


def ends_within(dtype):
    largest = float(np.finfo(dtype).max)
    shares = st.one_of(st.sampled_from([0.0, 1.0, 0.999, 1e-3, 1e-38]), st.floats(0, 1))
    return st.tuples(shares, shares).map(lambda pair: (-pair[0] * largest, pair[1] * largest))


@pytest.mark.parametrize("make", [asymmetric_params, symmetric_params])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@given(st.data())
def test_finite_data_stay_finite(make, dtype, data):
    """Attention masks hold np.finfo(dtype).min: no code may decode to an infinity."""
    grid, (low, high) = data.draw(grids), data.draw(ends_within(dtype))
    if make is symmetric_params and grid.qmin > -grid.qmax:
        low = 0.0
    params = make(low, high, grid)
    farthest = max(abs(q - params.zero_point) for q in (grid.qmin, grid.qmax))
    compute = np.float32 if dtype != np.float64 else np.float64
    assert params.scale <= float(np.finfo(compute).max) / farthest
    ends = np.array([grid.qmin, grid.qmax])
    with np.errstate(over="raise"):
        steps = (ends - params.zero_point).astype(compute) * compute(params.scale)
    assert np.isfinite(steps).all()
    for wanted in (np.float16, np.float32, np.float64):
        assert np.isfinite(fake_quantize(np.array([low, high], dtype), params, dtype=wanted)).all()
    per_channel, blocked = (
        make([low] * 2, [high] * 2, grid, axis=0),
        make([[low]], [[high]], grid, axis=1, block_size=2),
    )
    assert per_channel.scale.tolist() == [params.scale] * 2
    assert blocked.scale.tolist() == [[params.scale]]


def test_a_mask_is_kept_to_half_a_step():
    """The scale gives way by one part in 128, not more."""
    lowest = float(np.finfo(np.float32).min)
    params = symmetric_params(lowest, 1.0)
    assert params.scale == pytest.approx(-lowest / 128, rel=1e-6)
    assert fake_quantize(np.float32([lowest, 1.0]), params) == pytest.approx([lowest, 0.0], rel=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("grid", [IntGrid(0, 1), IntGrid.of(4), INT8, UINT8])
@pytest.mark.parametrize("below", [0, 1, 2, 3, 1000])
def test_just_below_the_largest_float_the_scale_is_the_exact_one(dtype, grid, below):
    largest = float(np.finfo(dtype).max)
    step = 2.0**971 if dtype == np.float64 else 2.0**75  # between float64 numbers there
    for end in (largest - below * step, largest * (1 - 2.0**-24) - below * step):
        assert symmetric_params(0.0, end, grid).scale == reference.symmetric_params(0.0, end, grid)
        assert asymmetric_params(0.0, end, grid).scale == reference.asymmetric_params(0.0, end, grid)[0]
