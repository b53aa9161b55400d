"""Range, minmax_range, and what all range functions have in common: the checks that every input passes."""

import pickle

import numpy as np
import pytest
from hypothesis import given
from strategies import BAD_TYPES, FLOAT_TYPES, LAYOUTS, int_or_float_arrays

from quantnotes import Range, histogram_range, minmax_range, shortest_range
from quantnotes.checks import as_integers
from quantnotes.granularity import Granularity

pytestmark = pytest.mark.usefixtures("both_kernels")

FUNCTIONS = [minmax_range, histogram_range, shortest_range]
each = pytest.mark.parametrize("range_of", FUNCTIONS, ids=lambda f: f.__name__)
FLOAT64_MAX = np.finfo(np.float64).max


def sample(shape=(5, 6, 7), seed=0, dtype=np.float32):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


# --- minmax_range -------------------------------------------------------------------------------------------


def test_range_is_a_named_pair():
    low, high = r = minmax_range(np.float32([3, -1, 2]))
    assert isinstance(r, Range)
    assert (low, high) == (r.rmin, r.rmax) == (-1.0, 3.0) == Range(rmin=-1.0, rmax=3.0)
    assert (type(low), type(high)) == (float, float)
    assert pickle.loads(pickle.dumps(r)) == r


@given(int_or_float_arrays)
def test_minmax_is_the_smallest_and_the_largest(x):
    assert minmax_range(x) == (min(x.tolist()), max(x.tolist()))


def test_range_is_the_data_s_own_never_widened():
    assert minmax_range([10.0, 11.0]) == (10, 11)
    assert minmax_range([-11.0, -10.0]) == (-11, -10)
    assert minmax_range([1e-300, 2e-300]) == (1e-300, 2e-300)


@pytest.mark.parametrize("where", [0, 1, 70_000, 150_001, 299_999])
def test_no_block_is_left_out(where):
    x = np.zeros(300_000, np.float32)
    x[where], x[-1 - where] = -3, 7
    assert minmax_range(x) == (-3, 7)
    assert minmax_range(x.reshape(2, -1).T.copy().T) == (-3, 7)
    by_row = minmax_range(x.reshape(3, -1), axis=0)
    np.testing.assert_array_equal(by_row.rmin, x.reshape(3, -1).min(axis=1))
    np.testing.assert_array_equal(by_row.rmax, x.reshape(3, -1).max(axis=1))


@pytest.mark.parametrize(
    "dtype", [np.int8, np.int16, np.int32, np.uint8, np.uint16, np.uint32, np.int64, np.uint64]
)
def test_integers_over_their_full_range(dtype):
    info = np.iinfo(dtype)
    assert minmax_range(np.array([info.max, info.min, 0], dtype)) == (float(info.min), float(info.max))


def test_extreme_floats():
    assert minmax_range([-FLOAT64_MAX, FLOAT64_MAX]) == (-FLOAT64_MAX, FLOAT64_MAX)
    assert minmax_range(np.float32([3e38, -3e38])) == (float(np.float32(-3e38)), float(np.float32(3e38)))
    assert minmax_range(np.float16([60000, -60000])) == (-60000, 60000)
    assert minmax_range([5e-324, -5e-324]) == (-5e-324, 5e-324)


def test_an_empty_list_counts_as_integers():
    assert as_integers([], "q", 0, 1).dtype == np.int64
    assert as_integers([[], []], "q", 0, 1).shape == (2, 0)


# --- every range function -----------------------------------------------------------------------------------


@each
@pytest.mark.parametrize("shape", [(0,), (3, 0), (0, 3)], ids=str)
def test_empty_has_no_range(range_of, shape):
    with pytest.raises(ValueError, match="empty"):
        range_of(np.zeros(shape))
    with pytest.raises(ValueError, match="empty"):
        range_of(np.zeros(shape), axis=0)


@each
@pytest.mark.parametrize("size", [9, 200_000])
def test_nan_is_an_error_with_its_count_unless_ignored(range_of, size):
    x = sample(size)
    x[[1, size // 2, size - 1]] = np.nan
    with pytest.raises(ValueError, match=r"\b3\b"):
        range_of(x)
    with pytest.raises(ValueError, match=r"\b3\b"):
        range_of(x.reshape(1, -1), axis=0)
    assert range_of(x, nan="ignore") == range_of(x[~np.isnan(x)])


@each
def test_nan_in_some_channels(range_of):
    x = sample((3, 50))
    x[1, [4, 7]] = np.nan
    found = range_of(x, axis=0, nan="ignore")
    for c in range(3):
        assert (found.rmin[c], found.rmax[c]) == range_of(x[c][~np.isnan(x[c])])
    x[1] = np.nan
    with pytest.raises(ValueError, match=r"NaN|empty"):
        range_of(x, axis=0, nan="ignore")
    with pytest.raises(ValueError, match=r"NaN|empty"):
        range_of(x[1], nan="ignore")


@each
@pytest.mark.parametrize("nan", ["drop", "RAISE", None, True])
def test_nan_policy_is_raise_or_ignore(range_of, nan):
    with pytest.raises((ValueError, TypeError), match="nan"):
        range_of([1.0], nan=nan)


@each
@pytest.mark.parametrize("value", [np.inf, -np.inf])
@pytest.mark.parametrize("nan", ["raise", "ignore"])
@pytest.mark.parametrize("size", [9, 200_000])
def test_infinity_has_no_range(range_of, value, nan, size):
    x = sample(size)
    x[size - 2] = value
    with pytest.raises(ValueError, match="inf"):
        range_of(x, nan=nan)
    with pytest.raises(ValueError, match="inf"):
        range_of(x.reshape(1, -1), axis=0, nan=nan)


@each
@pytest.mark.parametrize("name", BAD_TYPES)
def test_what_is_no_number_is_a_type_error(range_of, name):
    with pytest.raises(TypeError):
        range_of(BAD_TYPES[name])


@each
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("shape", [(5, 6, 7), (67, 3, 1031)], ids=["small", "many blocks"])
def test_layout_changes_nothing(range_of, layout, shape):
    x = sample(shape)
    odd = LAYOUTS[layout](x)
    before = odd.copy()
    assert range_of(odd) == range_of(x) == range_of(x.ravel())
    np.testing.assert_array_equal(range_of(odd, axis=1), range_of(x, axis=1))
    np.testing.assert_array_equal(odd, before)


@each
def test_order_changes_nothing(range_of):
    x = sample(1000, seed=5)
    assert range_of(np.sort(x)) == range_of(x) == range_of(np.random.default_rng(1).permutation(x))


@each
@pytest.mark.parametrize("axis", [0, 1, 2, -1, -3])
def test_axis_keeps_a_range_for_each_channel(range_of, axis):
    x = sample((4, 4, 4), seed=3) * np.float32([1, 10, 100, 1000])  # a cube shows mixed-up axes
    found = range_of(x, axis=axis)
    assert isinstance(found, Range)
    for end in found:
        assert (end.dtype, end.shape) == (np.float64, (4,))
    for c in range(4):
        assert (found.rmin[c], found.rmax[c]) == range_of(np.moveaxis(x, axis, 0)[c])


@each
@pytest.mark.parametrize("axis", [3, -4, 10])
def test_axis_out_of_range(range_of, axis):
    with pytest.raises(ValueError, match="axis"):
        range_of(sample(), axis=axis)


@each
def test_a_number_alone_has_no_channel_axis(range_of):
    with pytest.raises(ValueError, match="axis"):
        range_of(np.float32(5), axis=0)


@each
@pytest.mark.parametrize("dtype", FLOAT_TYPES, ids=lambda d: np.dtype(d).name)
def test_float_types_give_their_exact_values(range_of, dtype):
    x = sample(500).astype(dtype)
    assert range_of(x) == range_of(x.astype(np.float64))
    assert all(type(end) is float for end in range_of(x))


@each
@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int32, np.int64, bool])
def test_integer_types_give_their_exact_values(range_of, dtype):
    x = (sample(500) * 30).astype(np.int64).astype(dtype)
    assert range_of(x) == range_of(x.astype(np.float64))


CONSTANTS = [0.0, 5.0, -5.0, 1e20, -1e20, 1e-40, 5e-324, 1e308, FLOAT64_MAX]


@each
@pytest.mark.parametrize("value", CONSTANTS)
@pytest.mark.parametrize("shape", [(), (1,), (7,), (2, 3)], ids=str)
def test_a_constant_has_a_degenerate_range(range_of, value, shape):
    """np.histogram refuses 1e20: 'Too many bins for data range'."""
    assert range_of(np.full(shape, value)) == (value, value)


@each
@pytest.mark.parametrize(
    "pair",
    [
        np.array([1e20, np.nextafter(1e20, np.inf)]),
        np.array([1, np.nextafter(np.float32(1), np.float32(2))], np.float32),
        np.array([0, 5e-324]),
        np.array([-5e-324, 5e-324]),
        np.array([0, 1e-45], np.float32),
        np.array([-FLOAT64_MAX, FLOAT64_MAX]),
        np.array([-3e38, 3e38], np.float32),
        np.array([-60000, 60000], np.float16),
        np.array([-128, 127], np.int8),
        np.array([-(2**31), 2**31 - 1], np.int32),
    ],
    ids=lambda p: f"{p.dtype}-{p[0]:.3g}",
)
def test_two_values_at_the_limits(range_of, pair):
    """Half of the data each: both are kept."""
    assert range_of(np.repeat(pair, 50)) == (float(pair[0]), float(pair[1]))


# --- groups -------------------------------------------------------------------------------------------------

GROUPINGS = [{"axis": (2, 0)}, {"axis": (0, 1, 2)}, {"axis": -1, "block_size": 3}]
GROUPINGS += [
    {"axis": (2, 0), "block_size": (3, 2)},
    {"axis": 1, "block_size": 99},
    {"axis": 0, "block_size": 1},
]
grouped = pytest.mark.parametrize("grouping", GROUPINGS, ids=str)


@each
@grouped
@pytest.mark.parametrize("dtype", [*FLOAT_TYPES, np.int8], ids=lambda d: np.dtype(d).name)
@pytest.mark.parametrize("nan", ["raise", "ignore"])
def test_each_group_has_the_range_that_it_has_alone(range_of, grouping, dtype, nan):
    """Also with NaN to ignore, in types that warn of them (warnings are errors); of many groups, some."""
    x = (sample() * 30).astype(dtype)
    x[0, 0], x[1, 1, :2] = 0, -0.0
    if nan == "ignore" and dtype is not np.int8:
        x[1:3, 2, 5], x[4, ::2, 1] = np.nan, np.nan
        if grouping in ({"axis": (0, 1, 2)}, {"axis": 0, "block_size": 1}):  # each value is a group
            with pytest.raises(ValueError, match="nothing but NaN"):
                range_of(x, **grouping, nan=nan)
            return
    found = range_of(x, **grouping, nan=nan)
    granularity = Granularity.of(**grouping)
    assert found.rmin.shape == found.rmax.shape == granularity.shape(x.shape)
    for place, rows in granularity.group(x):
        some = slice(None, None, 1 + len(rows) // 16)
        alone = [range_of(row, nan=nan) for row in rows[some]]
        for end, expected in zip(found, np.transpose(alone), strict=True):
            assert end.dtype == np.float64
            np.testing.assert_array_equal(end[place].ravel()[some], expected)
            assert not np.signbit(end[end == 0]).any()


@each
@pytest.mark.parametrize(
    "grouping", [{}, {"axis": 0}, {"axis": 1, "block_size": 2}, {"axis": (0, 1)}], ids=str
)
@pytest.mark.parametrize("x", [[[-0.0, -0.0, -0.0]], [[-1.0, -0.0, -0.0]], [[-0.0, -0.0, 1.0]]], ids=str)
def test_no_end_is_negative_zero(range_of, grouping, x):
    for end in map(np.asarray, range_of(np.float32(x), **grouping)):
        assert not np.signbit(end[end == 0]).any()


@each
@pytest.mark.parametrize("grouping", [{"axis": 0}, *GROUPINGS], ids=str)
@pytest.mark.parametrize("bad", [np.longdouble("1e400"), np.inf, np.nan], ids=str)
def test_what_no_group_may_hold(range_of, grouping, bad):
    x = np.ones((3, 4, 5), np.longdouble)
    x[2, 3, 4] = bad
    with pytest.raises(ValueError, match=r"1 NaN|infinity"):
        range_of(x, **grouping)
    if not np.isnan(bad):
        with pytest.raises(ValueError, match="infinity"):
            range_of(x, **grouping, nan="ignore")
