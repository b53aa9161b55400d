"""Convolution of codes against sums written out, and which windows there are."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from integers_only import FloatUsed, IntegersOnly

from quantnotes import (
    INT4,
    INT8,
    INT16,
    UINT8,
    UINT16,
    IntGrid,
    QuantParams,
    convolution,
    dequantize,
    fixed_point_multiplier,
    int_conv,
    int_matmul,
    integer,
    requantize,
)
from quantnotes.convolution import Windows, convolve

P8 = QuantParams(0.5, 3, INT8)


def codes(rng, grid, shape):
    return rng.integers(grid.qmin, grid.qmax, shape, grid.dtype, endpoint=True)


def written_out(x, w, fill, strides, pads, dilations, groups):
    """The sums in Python's integers, padded with `fill`, from the definition."""
    (images, _, height, width), (outputs, depth, kh, kw) = x.shape, w.shape
    (sh, sw), (top, left, bottom, right), (dh, dw) = strides, pads, dilations
    rows = (height + top + bottom - dh * (kh - 1) - 1) // sh + 1
    columns = (width + left + right - dw * (kw - 1) - 1) // sw + 1
    out = np.zeros((images, outputs, rows, columns), object)
    for n, m, i, j in np.ndindex(out.shape):
        group = m // (outputs // groups)
        for c, a, b in np.ndindex(depth, kh, kw):
            y, z = i * sh + a * dh - top, j * sw + b * dw - left
            inside = 0 <= y < height and 0 <= z < width
            out[n, m, i, j] += int(w[m, c, a, b]) * int(x[n, group * depth + c, y, z] if inside else fill)
    return out


@st.composite
def convolutions(draw):
    """Codes, parameters and geometry of every kind: groups, depthwise, strides, uneven pads, dilations."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    small = st.integers(1, 3)
    groups, depth, multiple = draw(small), draw(small), draw(small)
    kernel, strides, dilations = ((draw(small), draw(small)) for _ in range(3))
    pads = tuple(draw(st.integers(0, 2)) for _ in range(4))
    reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
    size = [max(r - pads[i] - pads[i + 2], 1) + draw(st.integers(0, 3)) for i, r in enumerate(reach)]
    grids = draw(st.sampled_from([(UINT8, INT8), (INT8, INT8), (UINT8, UINT8), (INT4, INT4), (UINT16, INT4)]))
    x = codes(rng, grids[0], (draw(st.integers(0, 2)), groups * depth, *size))
    w = codes(rng, grids[1], (groups * multiple, depth, *kernel))
    x_params = QuantParams(0.1, int(codes(rng, grids[0], ())), grids[0])
    axis = draw(st.sampled_from([None, 0]))
    zero = codes(rng, grids[1], () if axis is None else len(w)).astype(np.int64)
    w_params = QuantParams(np.full(zero.shape, 0.2), zero, grids[1], axis)
    bias = draw(st.sampled_from([None, rng.integers(-(2**20), 2**20, len(w))]))
    return x, w, x_params, w_params, bias, (strides, pads, dilations, groups)


@given(convolutions())
def test_the_sums_are_those_of_the_definition(case):
    x, w, x_params, w_params, bias, (strides, pads, dilations, groups) = case
    found = int_conv(
        x, w, x_params, w_params, bias=bias, strides=strides, pads=pads, dilations=dilations, groups=groups
    )
    zw = np.reshape(w_params.zero_point, (-1, 1, 1, 1)).astype(int)
    wanted = written_out(x.astype(int) - x_params.zero_point, w - zw, 0, strides, pads, dilations, groups)
    wanted += 0 if bias is None else bias.reshape(-1, 1, 1)
    assert found.dtype == np.int32
    np.testing.assert_array_equal(found, wanted)


def test_by_hand():
    """(11, 12, 13) - 10 between zeros, and a weight of ones: 0 + 1 + 2, 1 + 2 + 3, 2 + 3 + 0."""
    params = QuantParams(1.0, 10, UINT8)
    x, w = [[[[11, 12, 13]]]], [[[[11, 11, 11]]]]
    assert int_conv(x, w, params, params, pads=(0, 1)).tolist() == [[[[3, 6, 5]]]]
    assert int_conv(x, w, params, params).tolist() == [[[[6]]]]
    assert int_conv(x, w, params, params, pads=(0, 1), strides=(1, 2), bias=[40]).tolist() == [[[[43, 45]]]]


def test_the_border_is_the_zero_point():
    """Codes that all stand for 0 give 0, at the border too; padding with code 0 would not."""
    x = np.full((1, 2, 4, 4), 7)
    w = np.arange(-9, 9).reshape(1, 2, 3, 3)
    assert not int_conv(x, w, QuantParams(1.0, 7, INT8), QuantParams(1.0, 1, INT8), pads=1).any()
    padded = np.pad(x, [(0, 0), (0, 0), (1, 1), (1, 1)])
    assert int_conv(padded, w, QuantParams(1.0, 7, INT8), QuantParams(1.0, 1, INT8)).any()


def test_a_kernel_of_one_is_a_matrix_product():
    rng = np.random.default_rng(0)
    x, w = codes(rng, UINT8, (2, 30, 5, 6)), codes(rng, INT8, (7, 30))
    x_params, w_params = QuantParams(1.0, 100, UINT8), QuantParams(1.0, 2, INT8)
    rows = np.moveaxis(x, 1, -1)
    wanted = np.moveaxis(int_matmul(rows, w.T, x_params, w_params), -1, 1)
    np.testing.assert_array_equal(int_conv(x, w[:, :, None, None], x_params, w_params), wanted)


@pytest.mark.parametrize("limit", [2**53, 2**24, 2**10])
@pytest.mark.parametrize("groups", [1, 4])
def test_sums_are_exact_in_every_type(limit, groups, monkeypatch):
    """Products of 16 bits reach past float32's 2**24; where float64 would not do either: int64."""
    rng = np.random.default_rng(1)
    x, w = codes(rng, UINT16, (3, 4, 6, 6)), codes(rng, INT4, (8, 4 // groups, 3, 3))
    x[0], w[0] = UINT16.qmax, 7
    params = QuantParams(1.0, 0, UINT16), QuantParams(1.0, 0, INT4)
    wanted = written_out(x, w, 0, (1, 1), (0,) * 4, (1, 1), groups)
    assert wanted.max() > 2**17
    monkeypatch.setattr(integer, "EXACT", limit)
    monkeypatch.setattr(integer, "EXACT32", min(limit, 2**24))
    np.testing.assert_array_equal(int_conv(x, w, *params, groups=groups), wanted)


@pytest.mark.parametrize("offset", [-1, 0, 1])
def test_the_type_changes_where_float32_ends(offset):
    """One product at 2**24 + offset, exactly the bound, beside odd sums that float32 would round above it."""
    x = np.array([1, 2**12, 2**12 - 1], np.uint16).reshape(1, 3, 1, 1)
    w = np.array([offset, 2**12, 0], np.int16).reshape(1, 3, 1, 1)
    params = QuantParams(1.0, 0, UINT16), QuantParams(1.0, 0, INT16)
    assert int_conv(x, w, *params).item() == 2**24 + offset
    assert integer._exact_type(2**24) is np.float32
    assert integer._exact_type(2**24 + 1) is integer._exact_type(2**53) is np.float64
    assert integer._exact_type(2**53 + 1) is np.int64


@pytest.mark.parametrize("groups", [1, 2, 6])
def test_images_in_parts_are_the_whole(groups, monkeypatch):
    rng = np.random.default_rng(2)
    x, w = codes(rng, INT8, (5, 6, 7, 7)), codes(rng, INT8, (6, 6 // groups, 3, 3))
    whole = int_conv(x, w, P8, P8, groups=groups, pads=1)
    for columns in (1, 6 * 9 * 49 * 2, 6 * 9 * 49 * 2 - 1):
        monkeypatch.setattr(convolution, "COLUMNS", columns)
        np.testing.assert_array_equal(int_conv(x, w, P8, P8, groups=groups, pads=1), whole)


def test_any_layout_and_integer_type():
    rng = np.random.default_rng(3)
    x, w = codes(rng, INT8, (2, 3, 6, 5)), codes(rng, INT8, (4, 3, 2, 3))
    wanted = int_conv(x, w, P8, P8)
    for view in (np.asfortranarray(x), x.astype(">i8"), x.astype(np.int32)[::-1][::-1], x.tolist()):
        np.testing.assert_array_equal(int_conv(view, w, P8, P8), wanted)
    x.flags.writeable = w.flags.writeable = False
    np.testing.assert_array_equal(int_conv(x, w, P8, P8), wanted)


def test_one_number_stands_for_both_axes():
    rng = np.random.default_rng(4)
    x, w = codes(rng, INT8, (2, 3, 9, 8)), codes(rng, INT8, (4, 3, 2, 2))
    one = int_conv(x, w, P8, P8, strides=2, pads=1, dilations=2)
    for pads in ((1, 1), [1, 1, 1, 1]):
        found = int_conv(x, w, P8, P8, strides=(2, 2), pads=pads, dilations=[2, 2])
        np.testing.assert_array_equal(found, one)
    tall = int_conv(x, w, P8, P8, pads=(2, 0))
    np.testing.assert_array_equal(tall, int_conv(x, w, P8, P8, pads=(2, 0, 2, 0)))


def test_the_axis_of_the_outputs_may_be_counted_from_the_end():
    rng = np.random.default_rng(4)
    x, w = codes(rng, INT8, (1, 3, 4, 4)), codes(rng, INT8, (2, 3, 2, 2))
    first, last = (QuantParams([0.5, 0.25], [1, -2], INT8, axis=axis) for axis in (0, -4))
    np.testing.assert_array_equal(int_conv(x, w, P8, first), int_conv(x, w, P8, last))


def test_no_images_and_a_window_as_large_as_the_data():
    w = np.ones((5, 3, 2, 2), np.int8)
    assert int_conv(np.empty((0, 3, 4, 4), np.int8), w, P8, P8).shape == (0, 5, 3, 3)
    assert int_conv(np.ones((2, 3, 2, 2), np.int8), w, P8, P8).shape == (2, 5, 1, 1)


def test_codes_follow_by_requantizing_along_axis_1():
    rng = np.random.default_rng(5)
    x, w = codes(rng, UINT8, (2, 3, 6, 6)), codes(rng, INT8, (4, 3, 3, 3))
    x_params = QuantParams(0.02, 120, UINT8)
    w_params = QuantParams([0.01, 0.002, 0.03, 0.005], [0] * 4, INT8, axis=0)
    y = QuantParams(0.1, 128, UINT8)
    found = requantize(
        int_conv(x, w, x_params, w_params, pads=1),
        *fixed_point_multiplier(x_params.scale * w_params.scale / y.scale),
        y.zero_point,
        y.grid,
        axis=1,
    )
    reals = convolve(
        dequantize(x, x_params, dtype=np.float64),
        dequantize(w, w_params, dtype=np.float64),
        Windows.of(3, pads=1),
    )
    np.testing.assert_array_equal(found, np.clip(np.rint(reals / 0.1) + 128, 0, 255))
    assert len(np.unique(found)) > 60


# --- no floats ----------------------------------------------------------------------------------------------


def trapped(monkeypatch, exact):
    as_integers = integer.as_integers
    monkeypatch.setattr(integer, "_exact_type", lambda bound: exact)
    monkeypatch.setattr(
        integer, "as_integers", lambda x, *more: IntegersOnly.of(as_integers(np.asarray(x), *more))
    )


@pytest.mark.parametrize("groups", [1, 3])
def test_no_float_is_needed(groups, monkeypatch):
    """With int64 for the products; the floats that BLAS multiplies instead hold the same integers."""
    rng = np.random.default_rng(6)
    x, w = codes(rng, INT8, (2, 3, 6, 6)), codes(rng, INT8, (3, 3 // groups, 3, 3))
    bias = np.array([1, 2, 3], np.int32)
    wanted = int_conv(x, w, P8, P8, bias=bias, groups=groups)
    with monkeypatch.context() as patch:
        trapped(patch, np.int64)
        np.testing.assert_array_equal(np.asarray(int_conv(x, w, P8, P8, bias=bias, groups=groups)), wanted)
    trapped(monkeypatch, np.float32)
    with pytest.raises(FloatUsed):
        int_conv(x, w, P8, P8, groups=groups)


# --- what is refused ----------------------------------------------------------------------------------------

X, W = np.ones((1, 2, 4, 4), np.int8), np.ones((2, 2, 3, 3), np.int8)
EACH = QuantParams([0.5, 0.5], [0, 0], INT8, axis=1)
BLOCKS = QuantParams(np.full((2, 1, 3, 3), 0.5), np.zeros((2, 1, 3, 3)), INT8, axis=1, block_size=2)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"qx": X[0]}, ValueError, r"qx must have shape \(images, channels, height, width\).*\(2, 4, 4\)"),
        ({"qw": W[0]}, ValueError, r"qw \(outputs, channels / groups, height"),
        ({"qx": X[:, :1]}, ValueError, "qx has 1 channels and qw 2 outputs of 2 channels.*fit 1 groups"),
        ({"groups": 2}, ValueError, "that does not fit 2 groups"),
        ({"qw": W[:, :1], "groups": 3}, ValueError, "that does not fit 3 groups"),
        ({"qx": np.tile(X, (1, 2, 1, 1)), "qw": W.repeat(2, 0)[:3], "groups": 2}, ValueError, "fit 2"),
        ({"groups": 0}, ValueError, "groups must be at least 1, got 0"),
        ({"groups": 1.0}, TypeError, "groups must be an integer, got 1.0"),
        ({"groups": True}, TypeError, "groups must be an integer, got True"),
        ({"strides": 0}, ValueError, "strides must be at least 1, got 0"),
        ({"strides": 1.5}, TypeError, "strides must be an integer or 2 of them, got 1.5"),
        ({"strides": (1, 1, 1)}, ValueError, r"strides must be an integer or 2 of them, got \(1, 1, 1\)"),
        ({"strides": (1,)}, ValueError, r"strides must be an integer or 2 of them, got \(1,\)"),
        ({"strides": ()}, ValueError, "strides must be an integer or 2 of them"),
        ({"strides": None}, TypeError, "strides must be an integer or 2 of them, got None"),
        ({"dilations": (1, -1)}, ValueError, "dilations must be at least 1"),
        ({"pads": -1}, ValueError, "pads must be at least 0, got -1"),
        ({"pads": "same"}, TypeError, "pads must be an integer or 2 or 4 of them, got 'same'"),
        ({"pads": (1, 2, 3)}, ValueError, "pads must be an integer or 2 or 4 of them"),
        ({"pads": (True, 1)}, TypeError, "pads must be an integer or 2 or 4 of them, got True"),
        ({"dilations": 2}, ValueError, r"a kernel that covers \(5, 5\) does not fit data of \(4, 4\), pad"),
        ({"qx": X[:, :, :0]}, ValueError, "does not fit data of"),
        ({"qx": X * 1.0}, TypeError, "qx must hold integers"),
        ({"qw": W.astype(str)}, TypeError, "qw must hold real numbers"),
        ({"qx": np.ma.masked_array(X)}, TypeError, "qx is a masked array"),
        ({"qx": X.astype(int) + 127}, ValueError, r"qx must lie in -128\.\.127, got 128"),
        ({"x_params": 0.5}, TypeError, "x_params must be a QuantParams, got float"),
        ({"w_params": None}, TypeError, "w_params must be a QuantParams, got NoneType"),
        ({"x_params": EACH}, ValueError, "x_params must be per tensor.*got axis=1 and axis=None"),
        ({"w_params": EACH}, ValueError, "w_params per tensor or with axis=0.*axis=None and axis=1"),
        ({"w_params": BLOCKS}, ValueError, "w_params has a scale for each block of 2 values"),
        ({"x_params": BLOCKS}, ValueError, "x_params has a scale for each block of 2 values"),
        (
            {"w_params": QuantParams([0.5] * 3, [0] * 3, INT8, axis=0)},
            ValueError,
            "have 2 channels along axis 0, params have 3",
        ),
        ({"bias": [1.5, 2.5]}, TypeError, "bias must hold integers, as quantize_bias makes it"),
        ({"bias": [1, 2, 3]}, ValueError, r"bias must have shape \(2,\), one for each output, got \(3,\)"),
        ({"bias": 1}, ValueError, r"bias must have shape \(2,\)"),
        ({"bias": [2**31, 0]}, ValueError, "bias must lie in"),
        ({"bias": [2**31 - 1, 0]}, ValueError, "4 of 8 results leave int32: the farthest"),
    ],
)  # fmt: skip
def test_what_is_refused(change, error, message):
    arguments = {"qx": X, "qw": W, "x_params": QuantParams(0.5, 0, INT8), "w_params": P8} | change
    with pytest.raises(error, match=message):
        int_conv(**(arguments | ({"w_params": QuantParams(0.5, 0, INT8)} if "bias" in change else {})))


def test_sums_that_leave_int32():
    grid = IntGrid.of(16, signed=False)
    x, w = np.full((1, 1, 1, 2), grid.qmax), np.full((1, 1, 1, 1), grid.qmax)
    params = QuantParams(1.0, 0, grid)
    with pytest.raises(
        ValueError, match="2 of 2 results leave int32: the farthest, 4294836225, by 2147352578"
    ):
        int_conv(x, w, params, params)


def test_requantize_along_an_axis():
    acc, m = np.arange(-12, 12).reshape(2, 3, 4) * 1000, np.array([0.5, 0.01, 0.003])
    found = requantize(acc, *fixed_point_multiplier(m), 5, INT16, axis=1)
    for i, one in enumerate(m):
        np.testing.assert_array_equal(
            found[:, i], requantize(acc[:, i], *fixed_point_multiplier(one), 5, INT16)
        )
    np.testing.assert_array_equal(found, requantize(acc, *fixed_point_multiplier(m), 5, INT16, axis=-2))
    with pytest.raises(ValueError, match="m0 has 3 channels, axis 0 of acc 2"):
        requantize(acc, *fixed_point_multiplier(m), 5, INT16, axis=0)
    with pytest.raises(ValueError, match="axis 3 is out of range"):
        requantize(acc, *fixed_point_multiplier(m), 5, INT16, axis=3)
    with pytest.raises(TypeError, match="axis must be an integer"):
        requantize(acc, *fixed_point_multiplier(m), 5, INT16, axis=None)
