"""Integer arithmetic: exact sums, one rounding, two codes a byte; Python's own integers are the oracle."""

from fractions import Fraction

import ml_dtypes
import numpy as np
import onnx
import pytest
import reference
from hypothesis import given
from hypothesis import strategies as st
from integers_only import FloatUsed, IntegersOnly
from onnx import TensorProto, numpy_helper
from strategies import BAD_TYPES, LAYOUTS, matmuls

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
    fixed_point_multiplier,
    int_matmul,
    integer,
    matmul_terms,
    pack_int4,
    quantize,
    quantize_bias,
    requantize,
    unpack_int4,
)

P8 = QuantParams(0.5, 3, INT8)
INT32 = np.iinfo(np.int32)


def zero_points(params, count):
    return np.broadcast_to(params.zero_point, count)


def codes(rng, grid, shape):
    return rng.integers(grid.qmin, grid.qmax, shape, endpoint=True).astype(grid.dtype)


# --- int_matmul ---------------------------------------------------------------------------------------------


@given(matmuls())
def test_int_matmul_is_the_sum_in_exact_integers(case):
    qx, qw, x_params, w_params = case
    found = int_matmul(qx, qw, x_params, w_params)
    assert found.dtype == np.int32
    zx, zw = zero_points(x_params, qx.shape[0]), zero_points(w_params, qw.shape[1])
    expected = np.array(reference.int_matmul(qx, qw, zx, zw)).reshape(found.shape)
    np.testing.assert_array_equal(found, expected)


@given(matmuls())
def test_the_four_terms_add_up(case):
    qx, qw, x_params, w_params = case
    terms = matmul_terms(*case)
    assert all(term.dtype == np.int64 for term in terms)
    np.testing.assert_array_equal(sum(terms), int_matmul(*case))
    zx, zw = np.reshape(x_params.zero_point, (-1, 1)), np.asarray(w_params.zero_point)
    wide_x, wide_w = qx.astype(np.int64), qw.astype(np.int64)
    each = [
        wide_x @ wide_w,
        -zw * wide_x.sum(1, keepdims=True),
        -zx * wide_w.sum(0),
        qx.shape[1] * zx * zw,
    ]
    for term, expected in zip(terms, each, strict=True):
        shape = terms.products.shape
        np.testing.assert_array_equal(np.broadcast_to(term, shape), np.broadcast_to(expected, shape))


def test_terms_have_the_shape_of_what_they_depend_on():
    """Known before inference: nothing in it has the shape of the data."""
    rng = np.random.default_rng(0)
    qx, qw = codes(rng, INT8, (4, 5, 7)), codes(rng, INT8, (7, 3))
    terms = matmul_terms(qx, qw, P8, P8)
    assert [term.shape for term in terms] == [(4, 5, 3), (4, 5, 1), (1, 3), ()]
    each = QuantParams(np.ones(3), [1, 2, 3], INT8, axis=-1)
    assert [term.shape for term in matmul_terms(qx, qw, P8, each)] == [(4, 5, 3), (4, 5, 3), (1, 3), (1, 3)]
    assert [term.shape for term in matmul_terms(qx[0, 0], qw[:, 0], P8, P8)] == [()] * 4


def test_by_hand():
    """(1 - 1)(3 - 2) + (2 - 1)(4 - 2) = 2, and its four terms: 11 - 6 - 7 + 4."""
    x_params, w_params = QuantParams(1.0, 1, INT4), QuantParams(1.0, 2, INT4)
    assert int_matmul([[1, 2]], [[3], [4]], x_params, w_params).tolist() == [[2]]
    terms = matmul_terms([[1, 2]], [[3], [4]], x_params, w_params)
    assert [int(np.squeeze(term)) for term in terms] == [11, -6, -7, 4]


@pytest.mark.parametrize(
    ("x_shape", "w_shape"),
    [
        ((7,), (7,)),
        ((7,), (7, 3)),
        ((5, 7), (7,)),
        ((5, 7), (7, 3)),
        ((2, 4, 5, 7), (7, 3)),
        ((5, 7), (2, 7, 3)),
        ((4, 1, 5, 7), (2, 7, 3)),
        ((0, 7), (7, 3)),
        ((5, 7), (7, 0)),
    ],
)
def test_shapes_are_those_of_numpys_matmul(x_shape, w_shape):
    rng = np.random.default_rng(1)
    qx, qw = codes(rng, INT8, x_shape), codes(rng, UINT8, w_shape)
    w_params = QuantParams(0.1, 77, UINT8)
    expected = np.matmul(qx.astype(np.int64) - 3, qw.astype(np.int64) - 77)
    found = int_matmul(qx, qw, P8, w_params)
    assert found.shape == expected.shape
    np.testing.assert_array_equal(found, expected)
    total = sum(matmul_terms(qx, qw, P8, w_params))
    assert np.shape(total) == expected.shape
    np.testing.assert_array_equal(total, expected)


def test_no_k_gives_zeros():
    found = int_matmul(np.zeros((2, 0), np.int8), np.zeros((0, 3), np.int8), P8, P8)
    np.testing.assert_array_equal(found, np.zeros((2, 3), np.int32))
    assert found.dtype == np.int32


@pytest.mark.parametrize(
    ("x_shape", "w_shape"), [((5, 7), (6, 3)), ((7,), (6,)), ((2, 5, 7), (3, 7, 4)), ((), (7,)), ((7,), ())]
)
@pytest.mark.parametrize("call", [int_matmul, matmul_terms])
def test_shapes_that_do_not_fit(call, x_shape, w_shape):
    with pytest.raises(ValueError, match=r"qx .*qw"):
        call(np.zeros(x_shape, np.int8), np.zeros(w_shape, np.int8), P8, P8)


def test_per_channel_axes_that_factor_out():
    """Rows of x, columns of w, and any axis before them: all but K."""
    rng = np.random.default_rng(2)
    qx, qw = codes(rng, UINT8, (2, 5, 7)), codes(rng, INT8, (2, 7, 3))
    for x_axis, w_axis in [(0, -1), (1, 2), (-2, 0), (-3, -3)]:
        x_params, w_params = (
            QuantParams(rng.uniform(1, 2, n := q.shape[axis]), codes(rng, grid, n), grid, axis=axis)
            for q, axis, grid in ((qx, x_axis, UINT8), (qw, w_axis, INT8))
        )
        shifted = [
            np.moveaxis(np.moveaxis(q.astype(np.int64), p.axis, -1) - p.zero_point, -1, p.axis)
            for q, p in ((qx, x_params), (qw, w_params))
        ]
        np.testing.assert_array_equal(int_matmul(qx, qw, x_params, w_params), np.matmul(*shifted))
        np.testing.assert_array_equal(sum(matmul_terms(qx, qw, x_params, w_params)), np.matmul(*shifted))


@pytest.mark.parametrize(
    ("x_shape", "w_shape", "x_axis", "w_axis", "name"),
    [
        ((5, 7), (7, 3), 1, None, "x_params"),
        ((5, 7), (7, 3), -1, None, "x_params"),
        ((7,), (7, 3), 0, None, "x_params"),
        ((5, 7), (7, 3), None, 0, "w_params"),
        ((5, 7), (2, 7, 3), None, -2, "w_params"),
        ((5, 7), (7,), None, -1, "w_params"),
    ],
)
@pytest.mark.parametrize("call", [int_matmul, matmul_terms])
def test_a_scale_along_k_does_not_factor_out(call, x_shape, w_shape, x_axis, w_axis, name):
    def params(axis):
        return P8 if axis is None else QuantParams(np.ones(7), np.zeros(7, int), INT8, axis=axis)

    with pytest.raises(ValueError, match=rf"{name}.*inside the sum"):
        call(np.zeros(x_shape, np.int8), np.zeros(w_shape, np.int8), params(x_axis), params(w_axis))


@pytest.mark.parametrize("axis", [0, 1])
def test_blocked_scales_do_not_factor_out(axis):
    """With one column for all blocks they would broadcast as if they were one a row."""
    blocked = QuantParams(np.ones((3, 1)), [[1], [2], [3]], INT8, axis=1, block_size=3)
    if axis == 0:
        blocked = QuantParams(np.ones((1, 3)), [[1, 2, 3]], INT8, axis=0, block_size=3)
    q = np.ones((3, 3), np.int8)
    for call in (int_matmul, matmul_terms):
        for params, name in [((blocked, P8), "x_params"), ((P8, blocked), "w_params")]:
            with pytest.raises(ValueError, match=f"{name}.*block"):
                call(q, q, *params)
    with pytest.raises(ValueError, match=r"w_params.*block"):
        quantize_bias(np.ones(3), P8, blocked)


def test_wrong_channel_count():
    three = QuantParams(np.ones(3), np.zeros(3, int), INT8, axis=1)
    with pytest.raises(ValueError, match=r"w_params do not fit qw: .*4 channels"):
        int_matmul(np.zeros((5, 7), np.int8), np.zeros((7, 4), np.int8), P8, three)
    with pytest.raises(ValueError, match=r"x_params do not fit qx: .*out of range"):
        int_matmul(np.zeros(7, np.int8), np.zeros((7, 4), np.int8), three, P8)


def test_codes_outside_their_grid():
    good = np.zeros((2, 2), np.int64)
    with pytest.raises(ValueError, match=r"qx must lie in -128\.\.127, got integers from 0 to 128"):
        int_matmul([[0, 128], [0, 0]], good, P8, P8)
    with pytest.raises(ValueError, match=r"qw must lie in -127\.\.127, got integers from -128 to 0"):
        int_matmul(good, [[0, -128], [0, 0]], P8, QuantParams(1.0, 0, INT8_NARROW))
    with pytest.raises(ValueError, match=r"qx must lie in -128\.\.127, got 200$"):
        int_matmul([[200, 200]], good, P8, P8)
    with pytest.raises(TypeError, match="x_params must be a QuantParams, got int"):
        int_matmul(good, good, 3, P8)


@pytest.mark.parametrize("name", BAD_TYPES)
def test_codes_that_are_no_integers(name):
    with pytest.raises(TypeError):
        int_matmul(BAD_TYPES[name], np.zeros((2, 2), np.int8), P8, P8)


def test_floats_are_no_codes():
    with pytest.raises(TypeError, match="qw must hold integers, got dtype float64"):
        int_matmul(np.zeros((2, 2), np.int8), np.zeros((2, 2)), P8, P8)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layout_changes_nothing(layout):
    rng = np.random.default_rng(3)
    qx, qw = codes(rng, INT8, (5, 7)), codes(rng, INT16, (7, 3))
    w_params = QuantParams(np.ones(3), [5, -9, 300], INT16, axis=-1)
    before = qx.copy(), qw.copy()
    expected = int_matmul(qx, qw, P8, w_params)
    other = LAYOUTS[layout](qx), LAYOUTS[layout](qw), P8, w_params
    np.testing.assert_array_equal(int_matmul(*other), expected)
    np.testing.assert_array_equal(sum(matmul_terms(*other)), expected)
    np.testing.assert_array_equal(qx, before[0])
    np.testing.assert_array_equal(qw, before[1])


@pytest.mark.parametrize("grid", [INT4, UINT4, INT8, UINT8, INT16, UINT16])
@pytest.mark.parametrize("k", [1, 2, 1000])
def test_extremes_of_every_width(grid, k):
    """All codes at one end, all zero points at the other: the largest magnitudes that there are."""
    for code, zero_point in [(grid.qmin, grid.qmax), (grid.qmax, grid.qmin)]:
        params = QuantParams(1.0, zero_point, grid)
        q = np.full((1, k), code, grid.dtype)
        exact = k * (code - zero_point) ** 2
        if exact <= INT32.max:
            assert int_matmul(q, q.T, params, params).tolist() == [[exact]]
        else:
            with pytest.raises(ValueError, match=f"1 of 1 results leave int32.* {exact}"):
                int_matmul(q, q.T, params, params)


@pytest.mark.parametrize("end", [int(INT32.max), int(INT32.min)])
def test_results_at_the_very_ends_of_int32(end):
    """Sums of +-32767 and a rest, each times 1: the ends are results, one step beyond is none."""
    params, sign = QuantParams(1.0, 0, INT16), 1 if end > 0 else -1
    whole, rest = divmod(abs(end), 32767)
    q = [sign * 32767] * whole + [sign * rest]
    assert int_matmul(q, [1] * len(q), params, params) == end
    with pytest.raises(ValueError, match=f"1 of 1 results leave int32.*{end + sign}, by 1"):
        int_matmul([*q, sign], [1] * (len(q) + 1), params, params)


def test_the_error_counts_what_leaves_int32():
    q = np.full((3, 40_000), 255, np.uint8)
    q[0] = 0
    with pytest.raises(ValueError, match=r"4 of 9 results leave int32.* 2601000000, by 453516353"):
        int_matmul(q, q.T, QuantParams(1.0, 0, UINT8), QuantParams(1.0, 0, UINT8))


def test_terms_may_leave_int32_where_the_result_does_not():
    k = 65_536
    params = QuantParams(1.0, 250, UINT8)
    q = np.full((1, k), 255, np.uint8)
    terms = matmul_terms(q, q.T, params, params)
    assert terms.products.item() > INT32.max
    assert int_matmul(q, q.T, params, params) == 25 * k == sum(terms)


def test_more_than_float64_holds_is_split(monkeypatch):
    """16-bit products reach 2**32: the sums are cut where float64 would lose a bit. Small limits show it."""
    rng = np.random.default_rng(4)
    qx, qw = codes(rng, UINT16, (3, 50)), codes(rng, UINT16, (50, 4))
    params = QuantParams(1.0, 32768, UINT16)
    expected = (qx.astype(np.int64) - 32768) @ (qw.astype(np.int64) - 32768)
    for limit in (1, 2**32, 2**33, 7 * 2**30):
        monkeypatch.setattr(integer, "EXACT", limit)
        np.testing.assert_array_equal(sum(matmul_terms(qx, qw, params, params)), expected)


def test_sums_beyond_two_to_the_53():
    """3 million products of 65535 * 65535, and one more: a float64 sum in one piece would lose the one."""
    k = 3_000_001
    qx = np.full((1, k), 65535, np.uint16)
    qw = qx.T.copy()
    qx[0, -1] = qw[-1, 0] = 1
    params = QuantParams(1.0, 0, UINT16)
    exact = (k - 1) * 65535**2 + 1
    assert exact > 2**53
    assert float(exact) != exact
    assert matmul_terms(qx, qw, params, params).products.item() == exact


def test_negative_codes_reach_two_to_the_53_too():
    """2**23 products of -32768 * -32768, and one of -1 * -1: the largest code, -1, says nothing of it."""
    q = np.full((1, 2**23 + 1), -32768, np.int16)
    q[0, -1] = -1
    params = QuantParams(1.0, 0, INT16)
    assert float(2**53 + 1) != 2**53 + 1
    assert matmul_terms(q, q.T, params, params).products.item() == 2**53 + 1


# --- a bias -------------------------------------------------------------------------------------------------


@given(matmuls(), st.data())
def test_a_bias_is_added_in_exact_integers(case, data):
    plain = int_matmul(*case)
    smallest, largest = (min(plain.min(), 0), max(plain.max(), 0)) if plain.size else (0, 0)
    values = st.integers(int(INT32.min - smallest), int(INT32.max - largest))
    drawn = data.draw(st.lists(values, min_size=plain.shape[1], max_size=plain.shape[1]))
    bias = np.array(drawn, np.int64)
    found = int_matmul(*case, bias=bias)
    assert found.dtype == np.int32
    np.testing.assert_array_equal(found, plain.astype(np.int64) + bias)


def test_a_sum_that_leaves_int32_with_its_bias_is_refused():
    """NumPy's int32 + int32 would wrap around without a word."""
    q, whole = np.full((1, 33_025), 255, np.uint8), QuantParams(1.0, 0, UINT8)
    acc, bias = int_matmul(q, q.T, whole, whole), np.array([1_000_000], np.int32)
    assert acc == 2_147_450_625
    assert (acc + bias).item() == -2_146_516_671
    with pytest.raises(ValueError, match="1 of 1 results leave int32: the farthest, 2148450625, by 966978"):
        int_matmul(q, q.T, whole, whole, bias=bias)
    assert int_matmul(q, q.T, whole, whole, bias=-bias) == 2_146_450_625
    longer = np.append(q, [[255]], axis=1)  # leaves int32 by itself, and comes back with the bias
    with pytest.raises(ValueError, match="leave int32"):
        int_matmul(longer, longer.T, whole, whole)
    assert int_matmul(longer, longer.T, whole, whole, bias=-bias) == 33_026 * 255**2 - 1_000_000


def test_a_bias_broadcasts_but_never_makes_the_result_larger():
    rng = np.random.default_rng(9)
    qx, qw = codes(rng, INT8, (2, 5, 7)), codes(rng, INT8, (7, 3))
    plain = int_matmul(qx, qw, P8, P8)
    for bias in (7, np.int32(-7), [1, 2, 3], [[1], [2], [3], [4], [5]], [[[1]], [[2]]]):
        np.testing.assert_array_equal(int_matmul(qx, qw, P8, P8, bias=bias), plain + np.asarray(bias))
    assert int_matmul(qx[0, 0], qw[:, 0], P8, P8, bias=5) == plain[0, 0, 0] + 5
    for bias in ([1, 2], np.ones((4, 1, 1, 1), int), np.ones((7, 5, 3), int)):
        with pytest.raises(ValueError, match=r"bias .*\(2, 5, 3\), got shape"):
            int_matmul(qx, qw, P8, P8, bias=bias)
    with pytest.raises(ValueError, match="bias"):
        int_matmul(qx[0, 0], qw[:, 0], P8, P8, bias=[5])


def test_a_bias_that_is_no_int32():
    q = np.zeros((1, 1), np.int8)
    with pytest.raises(TypeError, match=r"bias must hold integers, as quantize_bias makes it, got .*float64"):
        int_matmul(q, q, P8, P8, bias=[0.5])
    with pytest.raises(ValueError, match="bias must lie in -2147483648"):
        int_matmul(q, q, P8, P8, bias=[2**31])


# --- quantize_bias ------------------------------------------------------------------------------------------

SX, SW = QuantParams(0.5, 3, INT8), QuantParams(0.25, 0, INT8)


def test_bias_is_rounded_to_even_in_units_of_the_accumulator():
    found = quantize_bias([0.125, 0.0625, 0.1875, -0.0625, -0.1875, 0.07, 0.0], SX, SW)
    assert found.dtype == np.int32
    assert found.tolist() == [1, 0, 2, 0, -2, 1, 0]


def test_bias_per_channel_uses_the_scale_of_its_column():
    w_params = QuantParams([0.25, 0.5, 1.0], [0, 0, 0], INT8, axis=-1)
    assert quantize_bias(np.float32([1, 1, 1]), SX, w_params).tolist() == [8, 4, 2]
    with pytest.raises(ValueError, match=r"3 channels.*\(2,\)"):
        quantize_bias([1.0, 1.0], SX, w_params)


@given(st.lists(st.floats(-1e3, 1e3), max_size=10), st.floats(1e-3, 1e3), st.floats(1e-2, 1e2))
def test_bias_agrees_with_fractions(bias, sx, sw):
    """The product of the scales and the quotient are float64's, each rounded once."""
    found = quantize_bias(bias, QuantParams(sx, 0, INT8), QuantParams(sw, 0, INT8))
    scale = reference.rounded(Fraction(sx) * Fraction(sw), 53)
    assert found.tolist() == [round(reference.rounded(Fraction(b) / scale, 53)) for b in bias]


def test_bias_takes_float16_and_bfloat16():
    for dtype in (np.float16, ml_dtypes.bfloat16, np.float32, np.float64):
        assert quantize_bias(np.array([1.0, -2.5], dtype), SX, SW).tolist() == [8, -20]


def test_bias_at_the_ends_of_int32():
    one = QuantParams(1.0, 0, INT8)
    assert quantize_bias([INT32.max, INT32.min], one, one).tolist() == [INT32.max, INT32.min]
    with pytest.raises(ValueError, match=r"2 of 3 values leave int32.* -2147483650, by 2"):
        quantize_bias([0.0, 2.0**31, -(2.0**31) - 2], one, one)
    with pytest.raises(ValueError, match="2 of 3 values leave int32"):
        quantize_bias([np.inf, 0.0, 1e300], one, one)
    tiny = QuantParams(1e-30, 0, INT8)
    with pytest.raises(ValueError, match="1 of 1 values leave int32"):
        quantize_bias([1e300], tiny, tiny)


def test_bias_with_a_scale_beyond_float64():
    """1e300 * 1e300: everything would be 0, and an infinite bias NaN."""
    huge = QuantParams(1e300, 0, INT8)
    for bias in (1.0, np.inf):
        with pytest.raises(ValueError, match="float64"):
            quantize_bias([bias], huge, huge)


def test_bias_that_is_refused():
    with pytest.raises(ValueError, match="bias holds 1 NaN"):
        quantize_bias([np.nan, 1.0], SX, SW)
    rows = QuantParams([1.0, 2.0], [0, 0], INT8, axis=0)
    with pytest.raises(ValueError, match=r"x_params.*per tensor"):
        quantize_bias([1.0, 1.0], rows, SW)
    for name in BAD_TYPES:
        with pytest.raises(TypeError):
            quantize_bias(BAD_TYPES[name], SX, SW)


# --- fixed_point_multiplier ---------------------------------------------------------------------------------

multipliers = st.one_of(
    st.floats(5e-324, 2.0**30, exclude_max=True),
    st.floats(1e-6, 1.0),
    st.integers(-1074, 29).map(lambda k: 2.0**k),
    st.integers(-1000, 30).map(lambda k: float(np.nextafter(2.0**k, 0))),
).filter(lambda m: m < 2.0**30 - 1)


@given(multipliers)
def test_multiplier_is_the_nearest(m):
    m0, shift = fixed_point_multiplier(m)
    assert (int(m0), shift) == reference.fixed_point_multiplier(m)
    assert 2**30 <= m0 < 2**31
    value = int(m0) * Fraction(2) ** (-31 - shift)
    assert abs(value - Fraction(m)) <= Fraction(m) / 2**31


def test_multiplier_types():
    m0, shift = fixed_point_multiplier(0.3)
    assert type(m0) is np.int32
    assert type(shift) is int
    m0, shift = fixed_point_multiplier([0.3, 3.0])
    assert (m0.dtype, m0.shape) == (np.int32, (2,))
    assert shift.tolist() == [1, -2]


@given(st.lists(multipliers, min_size=1, max_size=9))
def test_multipliers_per_channel_are_those_of_each(many):
    m0, shift = fixed_point_multiplier(np.array(many))
    assert list(zip(m0.tolist(), shift.tolist(), strict=True)) == [fixed_point_multiplier(m) for m in many]


@pytest.mark.parametrize(
    ("m", "m0", "shift"),
    [
        (0.5, 2**30, 0),
        (1.0, 2**30, -1),
        (0.25, 2**30, 1),
        (0.75, 3 * 2**29, 0),
        (2.0**29, 2**30, -30),
        (1 - 2.0**-40, 2**30, -1),  # rounds to 2**31, which carries into the shift
        (1 - 2.0**-31, 2**31 - 1, 0),
        (5e-324, 2**30, 1073),
    ],
)
def test_multipliers_by_hand(m, m0, shift):
    assert fixed_point_multiplier(m) == (m0, shift)


TOO_LARGE = [2.0**30, float(np.nextafter(2.0**30, 0)), 1e300]  # the second rounds up to the first


@pytest.mark.parametrize("m", [0.0, -0.0, -1.0, np.nan, np.inf, -np.inf, *TOO_LARGE])
def test_multipliers_that_are_refused(m):
    with pytest.raises(ValueError, match="m must be"):
        fixed_point_multiplier(m)
    with pytest.raises(ValueError, match="m must be"):
        fixed_point_multiplier([0.5, m])


def test_multipliers_of_a_wrong_type_or_shape():
    for name in BAD_TYPES:
        with pytest.raises(TypeError):
            fixed_point_multiplier(BAD_TYPES[name])
    for m in (True, np.True_, [True, False]):
        with pytest.raises(TypeError, match="m must be a number"):
            fixed_point_multiplier(m)
    with pytest.raises(ValueError, match="m must be a number or 1-D"):
        fixed_point_multiplier(np.ones((2, 2)))


# --- requantize ---------------------------------------------------------------------------------------------

HALF = 2**30  # m0 of every power of two


def test_ties_of_both_signs_go_to_even():
    """Multiplying by 1/2, with Z = 1: rounded first, then shifted, as quantize does."""
    m0, shift = fixed_point_multiplier(0.5)
    acc = np.array([-7, -5, -3, -1, 1, 3, 5, 7])
    assert requantize(acc, m0, shift, 0, INT8).tolist() == [-4, -2, -2, 0, 0, 2, 2, 4]
    assert requantize(acc, m0, shift, 1, INT8).tolist() == [-3, -1, -1, 1, 1, 3, 3, 5]
    np.testing.assert_array_equal(
        requantize(acc, m0, shift, 1, INT8), quantize(acc, QuantParams(2.0, 1, INT8))
    )


@pytest.mark.parametrize("shift", [*range(-30, 32), 40])
def test_every_tie_and_its_neighbours(shift):
    """(n + 1/2) 2**(shift + 1) for a power of two; and one more, one less."""
    unit = max(shift + 1, 1)
    middle = np.array([(2 * n + 1) * 2 ** (unit - 1) for n in range(-4, 4)])
    acc = np.concatenate([middle - 1, middle, middle + 1])
    acc = acc[(acc >= INT32.min) & (acc <= INT32.max)]
    found = requantize(acc, HALF, shift, 0, INT16)
    assert found.tolist() == [reference.requantize(a, HALF, shift, 0, INT16) for a in acc.tolist()]


def test_ties_of_multipliers_that_are_no_power_of_two():
    """3 * 2**29 is 3/4: a tie at every acc that is 2 more than a multiple of 4."""
    acc = np.arange(-10, 11)
    found = requantize(acc, 3 * 2**29, 0, 0, INT8)
    assert found.tolist() == [round(Fraction(3 * a, 4)) for a in acc.tolist()]
    ties = acc % 4 == 2
    np.testing.assert_array_equal(found[ties] % 2, 0)
    assert ties.sum() == 6


@given(
    st.lists(st.integers(INT32.min, INT32.max), max_size=20),
    st.integers(2**30, 2**31 - 1),
    st.integers(-30, 70),
    st.data(),
)
def test_requantize_is_the_exact_product_rounded_once(acc, m0, shift, data):
    grid = data.draw(st.sampled_from([INT4, UINT4, INT8, UINT8, INT16, UINT16, IntGrid(-100, 3)]))
    zero_point = data.draw(st.integers(grid.qmin, grid.qmax))
    found = requantize(np.array(acc, np.int32), m0, shift, zero_point, grid)
    assert found.dtype == grid.dtype
    assert found.tolist() == [reference.requantize(a, m0, shift, zero_point, grid) for a in acc]


def test_small_products_vanish():
    """From shift 32 on everything is below one half: the whole of int32 goes to Z."""
    ends = np.array([INT32.min, -1, 0, 1, INT32.max])
    for shift in (32, 33, 62, 63, 64, 1000, 2**31):
        assert requantize(ends, 2**31 - 1, shift, 7, INT8).tolist() == [7] * 5
    assert requantize(ends, 2**31 - 1, 31, 7, INT8).tolist() == [6, 7, 7, 7, 8]
    assert requantize(ends, *fixed_point_multiplier(1e-300), 7, INT8).tolist() == [7] * 5


def test_per_channel_multipliers_go_along_the_last_axis():
    acc = np.arange(-12, 12).reshape(2, 4, 3) * 1001
    m = [0.011, 0.3, 2.0]
    m0, shift = fixed_point_multiplier(m)
    found = requantize(acc, m0, shift, -3, INT16)
    assert found.shape == acc.shape
    for i, one in enumerate(m):
        np.testing.assert_array_equal(
            found[..., i], requantize(acc[..., i], *fixed_point_multiplier(one), -3, INT16)
        )


def test_scalars_lists_and_empty():
    assert requantize(10, HALF, 0, 0, INT8) == 5
    assert requantize([10], HALF, 0, 0, INT8).tolist() == [5]
    assert requantize([], HALF, 0, 0, INT8).shape == (0,)
    assert requantize(np.zeros((0, 3), np.int32), [HALF] * 3, [0, 1, 2], 0, UINT8).dtype == np.uint8


@pytest.mark.parametrize("layout", LAYOUTS)
def test_requantize_of_any_layout(layout):
    acc = np.random.default_rng(5).integers(-(2**20), 2**20, (5, 7)).astype(np.int32)
    before = acc.copy()
    expected = requantize(acc, 1_234_567_890, 13, 4, INT8)
    np.testing.assert_array_equal(requantize(LAYOUTS[layout](acc), 1_234_567_890, 13, 4, INT8), expected)
    np.testing.assert_array_equal(acc, before)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"acc": 2**31}, ValueError, "acc must lie in -2147483648..2147483647"),
        ({"acc": [1.0]}, TypeError, "acc must hold integers"),
        ({"m0": 2**30 - 1}, ValueError, "m0 must lie in 1073741824..2147483647, as fixed_point_multiplier"),
        ({"m0": 1, "shift": HALF}, ValueError, "as fixed_point_multiplier makes it, got 1$"),
        ({"m0": (HALF, 1), "shift": 0}, ValueError, "makes it, got integers from 1 to 1073741824"),
        ({"m0": 2**31}, ValueError, "m0 must lie in"),
        ({"m0": 0.7}, TypeError, "m0 must hold integers, as fixed_point_multiplier makes it, got"),
        ({"shift": -31}, ValueError, "shift must lie in -30"),
        ({"shift": 1.0}, TypeError, "shift must hold integers"),
        ({"zero_point": 128}, ValueError, "zero_point must lie in -128..127"),
        ({"zero_point": 0.5}, TypeError, "zero_point must hold integers"),
        ({"zero_point": [1, 2]}, ValueError, "zero_point must be one integer"),
        ({"grid": 8}, TypeError, "grid must be an IntGrid"),
        ({"acc": [1, 2], "m0": [HALF] * 3, "shift": [0] * 3}, ValueError, "3 channels.*2"),
        ({"m0": [HALF]}, ValueError, "one shape"),
        ({"acc": 1, "m0": [HALF], "shift": [0]}, ValueError, "acc has no axis"),
        ({"m0": [[HALF]], "shift": [[0]]}, ValueError, "1-D"),
    ],
)
def test_arguments_that_are_refused(change, error, message):
    arguments = {"acc": [1], "m0": HALF, "shift": 0, "zero_point": 0, "grid": INT8} | change
    with pytest.raises(error, match=message):
        requantize(**arguments)


# --- no float anywhere --------------------------------------------------------------------------------------


def trapped(monkeypatch):
    """Make what `requantize` reads its arguments with return trapping arrays."""
    real = integer.as_integers
    monkeypatch.setattr(integer, "as_integers", lambda *arguments: IntegersOnly.of(real(*arguments)))


@pytest.mark.parametrize(("m0", "shift"), [(HALF, 0), ([1_500_000_000, HALF], [-7, 40])])
def test_requantize_uses_no_float(monkeypatch, m0, shift):
    acc = np.array([[-5, 2**30], [77, -(2**31)]], np.int32)
    expected = requantize(acc, m0, shift, 3, INT8)
    trapped(monkeypatch)
    found = requantize(acc, m0, shift, 3, INT8)
    assert isinstance(found, IntegersOnly)  # the trap was there to the end
    np.testing.assert_array_equal(found.view(np.ndarray), expected)


def test_int_matmul_uses_floats_only_to_hold_integers(monkeypatch):
    """All but `_products`, which is replaced by NumPy's integer product; with it the trap snaps."""
    rng = np.random.default_rng(8)
    qx, qw = codes(rng, INT8, (5, 7)), codes(rng, UINT8, (7, 3))
    w_params = QuantParams(np.ones(3), [0, 9, 255], UINT8, axis=1)
    bias = np.array([5, -6, 7], np.int32)
    expected = int_matmul(qx, qw, P8, w_params, bias=bias)
    trapped(monkeypatch)
    with pytest.raises(FloatUsed):
        int_matmul(qx, qw, P8, w_params)
    monkeypatch.setattr(integer, "_products", np.matmul)
    found = int_matmul(qx, qw, P8, w_params, bias=bias)
    assert isinstance(found, IntegersOnly)
    np.testing.assert_array_equal(found.view(np.ndarray), expected)


@pytest.mark.parametrize(
    "floating",
    [
        lambda acc: acc * 0.5,
        lambda acc: acc / 2,
        lambda acc: np.rint(acc),
        lambda acc: acc.astype(np.float64),
        lambda acc: np.mean(acc),
        lambda acc: np.add(acc, acc, dtype=np.float32),
        lambda acc: acc @ np.ones(2),
        lambda acc: np.where(acc > 0, acc, 0.5),
        lambda acc: (acc * 3) ** 0.5,
        lambda acc: (acc + 1).sum() * np.float32(1),
    ],
)
def test_the_trap_snaps(floating):
    with pytest.raises(FloatUsed):
        floating(IntegersOnly.of([1, 2]))


# --- pack_int4, unpack_int4 ---------------------------------------------------------------------------------


@pytest.mark.parametrize("grid", [INT4, UINT4])
def test_all_pairs_round_trip(grid):
    every = np.arange(grid.qmin, grid.qmax + 1, dtype=grid.dtype)
    pairs = np.stack(np.meshgrid(every, every), -1).reshape(-1, 2)
    packed = pack_int4(pairs)
    assert (packed.dtype, packed.shape) == (np.uint8, (256,))
    assert len(np.unique(packed)) == 256
    back = unpack_int4(packed, pairs.shape, signed=grid is INT4)
    assert back.dtype == grid.dtype
    np.testing.assert_array_equal(back, pairs)


def test_the_first_code_is_the_low_nibble():
    assert pack_int4([1, 2]).tolist() == [0x21]
    assert pack_int4([-1, 2, -8]).tolist() == [0x2F, 0x08]
    assert unpack_int4([0x2F, 0x08], 3).tolist() == [-1, 2, -8]
    assert unpack_int4([0x2F, 0x08], 3, signed=False).tolist() == [15, 2, 8]
    assert unpack_int4([0x2F, 0x08]).tolist() == [-1, 2, -8, 0]


@pytest.mark.parametrize("size", [0, 1, 2, 3, 7, 64, 1001])
@pytest.mark.parametrize(("grid", "name"), [(INT4, "int4"), (UINT4, "uint4")])
def test_packing_is_that_of_onnx(grid, name, size):
    rng = np.random.default_rng(size)
    q = codes(rng, grid, size)
    kind = {"int4": TensorProto.INT4, "uint4": TensorProto.UINT4}[name]
    tensor = numpy_helper.from_array(q.astype(getattr(ml_dtypes, name)))
    assert tensor.data_type == kind
    assert tensor.raw_data == pack_int4(q).tobytes()
    back = numpy_helper.to_array(onnx.helper.make_tensor("q", kind, [size], pack_int4(q).tobytes(), raw=True))
    np.testing.assert_array_equal(back.astype(np.int8), q)


@pytest.mark.parametrize("shape", [(3, 5), (2, 3, 4), (), (0, 4), 15, np.int64(15)])
@pytest.mark.parametrize("signed", [True, False])
def test_shape_comes_back(shape, signed):
    grid = INT4 if signed else UINT4
    q = codes(np.random.default_rng(6), grid, shape)
    back = unpack_int4(pack_int4(q), shape, signed)
    assert back.shape == q.shape
    np.testing.assert_array_equal(back, q)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_packing_of_any_layout(layout):
    q = codes(np.random.default_rng(7), INT4, (5, 7))
    np.testing.assert_array_equal(pack_int4(LAYOUTS[layout](q)), pack_int4(q))
    packed = pack_int4(q)
    if layout not in ("permuted",):
        np.testing.assert_array_equal(unpack_int4(LAYOUTS[layout](packed), (5, 7)), q)


@pytest.mark.parametrize("bad", [[-9], [16], [-1, 8], [-8, 15], [2**40]])
def test_codes_of_neither_grid(bad):
    held = f"got {bad[0]}$" if len(bad) == 1 else f"got integers from {bad[0]} to {bad[1]}$"
    with pytest.raises(ValueError, match=rf"-8\.\.7.*0\.\.15, {held}"):
        pack_int4(bad)


@pytest.mark.parametrize("held_in", [bytes, bytearray, memoryview])
def test_bytes_of_a_file_are_unpacked(held_in):
    read = held_in(pack_int4([1, 2, -1]).tobytes())
    assert unpack_int4(read, 3).tolist() == [1, 2, -1]
    assert unpack_int4(held_in(b"")).tolist() == []


def test_what_cannot_be_packed_or_unpacked():
    with pytest.raises(TypeError, match="codes must hold integers"):
        pack_int4([0.5])
    with pytest.raises(TypeError, match="packed must hold integers"):
        unpack_int4([0.5])
    with pytest.raises(ValueError, match=r"packed must lie in 0\.\.255"):
        unpack_int4([256])
    with pytest.raises(ValueError, match="packed must lie in"):
        unpack_int4(np.int8([-1]))
    with pytest.raises(ValueError, match=r"2 bytes hold 3 or 4 codes, shape .*5"):
        unpack_int4([1, 2], 5)
    with pytest.raises(ValueError, match="2 bytes hold 3 or 4"):
        unpack_int4([1, 2], (2, 1))
    with pytest.raises(ValueError, match="packed must be 1-D"):
        unpack_int4([[1], [2]])
    with pytest.raises(ValueError, match="shape"):
        unpack_int4([1], -1)
