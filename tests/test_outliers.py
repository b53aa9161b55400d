"""The note's filter as written, the fixed one, and the shortest window, against brute force."""

from fractions import Fraction

import numpy as np
import pytest
import reference
from hypothesis import assume, given
from hypothesis import strategies as st
from reference import kept_fraction
from strategies import int_or_float_arrays, keeps

from quantnotes import (
    INT8,
    Histogram,
    QuantParams,
    code_ledger,
    histogram_range,
    minmax_range,
    shortest_range,
    symmetric_params,
)
from quantnotes.outliers import note_histogram_scale

FILTERS = [histogram_range, shortest_range]
each_filter = pytest.mark.parametrize("filtered", FILTERS, ids=lambda f: f.__name__)
seeds = pytest.mark.parametrize("seed", range(5))


def normals(seed, *outliers, n=10**5):
    return np.append(np.random.default_rng(seed).standard_normal(n), outliers).astype(np.float32)


# --- the note's filter, faults and all ----------------------------------------------------------------------

DTYPES = [np.float16, np.float32, np.float64, np.int8, np.uint8, np.int16, np.int64]


@pytest.mark.parametrize("dtype", DTYPES, ids=lambda d: np.dtype(d).name)
@pytest.mark.parametrize("bins", [1, 2, 7, 100])
@pytest.mark.parametrize("keep", [0.3, 0.99, 1.0])
def test_note_scale_is_the_note_s_own_float(dtype, bins, keep):
    for n in (2, 5, 300):
        x = np.random.default_rng(n).gamma(1.0, 10.0, n).clip(0, 120).astype(dtype)
        for data in (x, x[::-1], -x) if np.dtype(dtype).kind != "u" else (x,):
            found = note_histogram_scale(data, 127, bins, keep)
            assert type(found) is float
            assert found == reference.note_scale(data, 127, bins, keep)


@pytest.mark.parametrize("value", [0, 5, -5])
@pytest.mark.parametrize("n", [1, 4])
def test_note_scale_of_a_constant(value, n):
    """NumPy makes the range of a constant 1 wide: the first edge that the pointers stop at is kept."""
    for dtype in (np.float32, np.float64, np.int64):
        x = np.full(n, value, dtype)
        assert note_histogram_scale(x, 127) == reference.note_scale(x, 127)


@given(int_or_float_arrays, st.integers(1, 20), st.sampled_from([1, 7, 127, 32767]))
def test_note_scale_on_any_data(x, bins, int_max):
    try:
        expected = reference.note_scale(x, int_max, bins)
    except ValueError:  # NumPy cannot cut so narrow a range into bins: the note's algorithm does not end
        assume(False)
    assert note_histogram_scale(x, int_max, bins) == expected


def test_note_scale_of_two_dimensions_takes_the_length_for_the_size():
    x = normals(0)
    for shape in [(100, 1000), (1000, 100), (1, 100_000), (100_000, 1)]:
        assert note_histogram_scale(x.reshape(shape), 127) == reference.note_scale(x.reshape(shape), 127)
    assert note_histogram_scale(x.reshape(1000, 100), 127) != note_histogram_scale(x, 127)


def note_ledger(data, measured):
    """What is left of `measured` on int8 with the note's scale of `data`."""
    return code_ledger(measured, QuantParams(note_histogram_scale(data, 127), 0, INT8))


def minmax_ledger(data, measured):
    return code_ledger(measured, symmetric_params(*minmax_range(data)))


def test_measured_on_the_first_seed():
    """MEASURED.md and section 7 of the note's README, to the digits given: default_rng(0), 10**5 normals."""
    clean, spiked, left = normals(0), normals(0, 50), normals(0, -1000)
    before, after = minmax_ledger(spiked, clean), note_ledger(spiked, clean)
    assert (before.codes_used, after.codes_used) == (24, 256)
    assert (before.sqnr_db, after.sqnr_db) == pytest.approx((18.9, 31.2), abs=0.05)
    assert note_histogram_scale(left, 127) == pytest.approx(7.87, abs=0.005)
    assert note_ledger(left, clean).codes_used == 3
    costs = minmax_ledger(clean, clean).sqnr_db, note_ledger(clean, clean).sqnr_db
    assert costs == pytest.approx((39.3, 28.1), abs=0.05)


@seeds
def test_note_scale_of_a_moderate_outlier(seed):
    """Every seed gains; by how much depends on where the half-unit bins happen to fall (26 to 37 dB)."""
    clean, spiked = normals(seed), normals(seed, 50)
    before, after = minmax_ledger(spiked, clean), note_ledger(spiked, clean)
    assert 21 <= before.codes_used <= 26
    assert before.sqnr_db == pytest.approx(18.9, abs=0.1)
    assert after.codes_used == 256
    assert 28 < after.sqnr_db < 38


@seeds
def test_note_scale_breaks_on_a_far_outlier(seed):
    """On the left it stops at once: 1000 / 127. On the right the pointers collapse beside the data."""
    clean, left = normals(seed), normals(seed, -1000)
    assert note_histogram_scale(left, 127) == pytest.approx(1000 / 127, rel=1e-6)
    assert note_ledger(left, clean).codes_used == 3
    assert 0.02 < note_histogram_scale(normals(seed, 1000), 127) < 0.05


@seeds
def test_note_scale_of_relu_data_and_a_far_outlier_is_zero(seed):
    assert note_histogram_scale(np.maximum(normals(seed, 1000), 0), 127) == 0.0


@seeds
def test_note_scale_costs_11_db_on_clean_data(seed):
    clean = normals(seed)
    assert minmax_ledger(clean, clean).sqnr_db == pytest.approx(39.7, abs=0.8)
    assert note_ledger(clean, clean).sqnr_db == pytest.approx(27.7, abs=0.8)


@pytest.mark.parametrize(
    "x",
    [
        np.array([-1.7e308, 1.7e308]),
        np.array([-np.finfo(np.float64).max, 0.0]),
        np.array([-3e38, 3e38], np.float32),
        np.array([-60000, 60000], np.float16),
    ],
    ids=lambda x: f"{x.dtype} {x[0]:.1e} {x[1]:.1e}",
)
def test_note_scale_of_a_range_that_its_dtype_does_not_hold(x):
    """The note computes in the data's own type; the width overflows, or the sum of three bins does."""
    with pytest.raises(ValueError, match=str(x.dtype)):
        note_histogram_scale(x, 127, bins=3)


def test_note_scale_of_booleans():
    """NumPy warns when it counts them."""
    x = np.random.default_rng(0).random(50) < 0.5
    assert note_histogram_scale(x, 1) == reference.note_scale(x.astype(np.uint8), 1)


@pytest.mark.parametrize(("x", "word"), [([], "empty"), ([1.0, np.nan], "NaN"), ([1.0, np.inf], "inf")])
def test_note_scale_refuses(x, word):
    with pytest.raises(ValueError, match=word):
        note_histogram_scale(np.array(x), 127)


# --- the note's faults, each by an input; fixed -------------------------------------------------------------


def test_fault_last_bin_dropped():
    """The right-exclusive slice leaves out the last bin: half of the data, at the maximum, are cut."""
    x = np.append(np.linspace(0, 0.5, 100), np.ones(100))
    assert note_histogram_scale(x, 1, keep=0.6) == pytest.approx(0.99)
    for filtered in FILTERS:
        for keep in (0.6, 0.99):
            assert filtered(x, keep).rmax == 1
            assert filtered(-x, keep).rmin == -1


@seeds
def test_fault_stops_after_crossing_the_limit(seed):
    x = np.random.default_rng(seed).standard_exponential(10**5)
    assert np.mean(x <= note_histogram_scale(x, 1)) < 0.99
    for filtered in FILTERS:
        for keep in (0.5, 0.9, 0.99, 0.999):
            assert kept_fraction(x, filtered(x, keep)) >= keep


@each_filter
def test_fault_length_taken_for_size(filtered):
    x = normals(0)
    for shape in [(100, 1000), (1000, 100), (10, 100, 100)]:
        assert filtered(x.reshape(shape)) == filtered(x)


@pytest.mark.parametrize(
    "outliers",
    [[1e6], [-1e6], [1000], [-1000], [50], [1e3, -1e6], [1e3, 1e6, 1e12, 1e30], [-1e6] * 50 + [1e9]],
    ids=str,
)
def test_fault_far_outliers_leave_the_data_in_a_few_bins(outliers):
    """The fixed filter refines: it is at most a tenth wider than the shortest window."""
    x = normals(1, *outliers)
    found, shortest = histogram_range(x), shortest_range(x)
    widths = found.rmax - found.rmin, shortest.rmax - shortest.rmin
    assert widths[1] == pytest.approx(5.152, abs=0.1)  # 2 * 2.5758, the normal's 99 % window
    assert widths[0] <= 1.1 * widths[1]
    assert kept_fraction(x, found) >= 0.99


@seeds
def test_fault_relu_data_and_a_far_outlier_give_zero(seed):
    x = np.maximum(normals(seed, 1000), 0)
    found = histogram_range(x)
    assert found.rmin == 0.0
    assert 2.2 < found.rmax < 5.5
    assert shortest_range(x) == (0.0, np.sort(x)[int(np.ceil(0.99 * x.size)) - 1])


@seeds
@each_filter
@pytest.mark.parametrize("draw", ["standard_normal", "standard_exponential", "standard_cauchy", "random"])
def test_fault_ties_always_move_the_left_end(filtered, draw, seed):
    """x and -x get mirrored ranges, far values and all."""
    x = getattr(np.random.default_rng(seed), draw)(1999)
    for keep in (0.5, 0.9, 0.99):
        found, mirrored = filtered(x, keep), filtered(-x, keep)
        assert mirrored == (-found.rmax, -found.rmin)


def test_fault_ties_by_hand():
    """Equally full bins: the note cuts them all from the left, so that -x has half the range of x."""
    x = np.linspace(0, 1, 1001)
    scales = note_histogram_scale(x, 1, keep=0.5), note_histogram_scale(-x, 1, keep=0.5)
    assert scales == pytest.approx((0.99, 0.5), abs=0.011)
    x = np.array([-10.0, *np.linspace(-1, 1, 201), 10.0])
    assert histogram_range(x) == shortest_range(x) == (-1, 1)  # 201 of 203 are just over 99 %


# --- what both filters promise ------------------------------------------------------------------------------


@each_filter
@given(x=int_or_float_arrays, keep=keeps, bins=st.sampled_from([1, 2, 3, 10, 100]))
def test_filters_keep_enough_and_end_on_data(filtered, x, keep, bins):
    found = filtered(x, keep) if filtered is shortest_range else filtered(x, keep, bins)
    whole = minmax_range(x)
    assert kept_fraction(x, found) >= keep
    assert whole.rmin <= found.rmin <= found.rmax <= whole.rmax
    assert set(found) <= set(x.astype(np.float64).tolist())
    if keep == 1:
        assert found == whole
    shortest = shortest_range(x, keep)
    assert shortest.rmax - shortest.rmin <= found.rmax - found.rmin


@given(int_or_float_arrays, keeps)
def test_shortest_window_against_every_pair(x, keep):
    found = shortest_range(x, keep)
    width, best = Fraction(found.rmax) - Fraction(found.rmin), reference.shortest_width(x, keep)
    assert best <= width <= best * (1 + Fraction(2) ** -51)  # float64 cannot tell widths closer than that


def test_what_must_stay_is_not_one_more_by_a_rounded_product():
    """In float64 0.07 * 100 and 0.55 * 100 are above 7 and 55, but 7 / 100 and 55 / 100 are enough."""
    x = np.arange(100.0) ** 2
    assert shortest_range(x, 0.07) == (0, 6**2)
    assert histogram_range(x, 0.55) == shortest_range(x, 0.55) == (0, 54**2)


def test_shortest_window_by_hand():
    assert shortest_range([0, 1, 2, 3, 4, 5, 6, 7, 8, 100], 0.9) == (0, 8)
    assert shortest_range([-100, 1, 2, 3, 4, 5, 6, 7, 8, 9], 0.9) == (1, 9)
    assert shortest_range([5, 1, 9, 1, 1], 0.6) == (1, 1)
    assert shortest_range([3, 1, 2], 1.0) == (1, 3)
    assert shortest_range([*range(99), 1000]) == (0, 98)  # 99 of 100 are 99 %


@each_filter
def test_clean_bounded_data_lose_no_more_than_they_must(filtered):
    """A uniform has no tail: about `keep` is kept, not much more or less."""
    x = np.random.default_rng(0).uniform(-1, 1, 10**5)
    for keep in (0.5, 0.9, 0.99):
        assert keep <= kept_fraction(x, filtered(x, keep)) <= keep + 0.02


@each_filter
@pytest.mark.parametrize("keep", [0, 0.0, -0.1, 1.0001, 99, np.nan, np.inf])
def test_keep_outside_0_to_1(filtered, keep):
    with pytest.raises(ValueError, match="keep"):
        filtered([1.0, 2.0], keep)


@pytest.mark.parametrize("bins", [0, -1, 2**24 + 1, 2**70])
def test_bins_below_one_or_too_many(bins):
    with pytest.raises(ValueError, match="bins"):
        histogram_range([1.0, 2.0], bins=bins)
    with pytest.raises(ValueError, match="bins"):
        note_histogram_scale([1.0, 2.0], 127, bins)


@pytest.mark.parametrize("bins", [None, 1.5, "auto", [1], np.ones(2)], ids=str)
def test_bins_are_a_number(bins):
    """NumPy takes the name of a rule or a list of edges; the filter is told a number."""
    with pytest.raises(TypeError, match="bins"):
        histogram_range([1.0, 2.0], bins=bins)
    with pytest.raises(TypeError, match="bins"):
        note_histogram_scale([1.0, 2.0], 127, bins)


def test_one_bin_is_defined():
    """Nothing can be told apart in one bin; refining or not, the promises hold."""
    x = normals(0, 50, n=1000)
    found = histogram_range(x, bins=1)
    assert kept_fraction(x, found) >= 0.99
    assert set(found) <= set(x.tolist())


@each_filter
def test_values_over_the_whole_of_float64(filtered):
    biggest = np.finfo(np.float64).max
    x = np.array([-biggest, *np.linspace(-1, 1, 254), biggest])
    assert filtered(x, 254 / 256) == (-1, 1)


def test_widths_beyond_float64_are_compared_too():
    """Both windows of three are wider than the largest float64, the second less so."""
    x = [-1.7e308, -1.6e308, 1.7e308, 1.75e308]
    assert shortest_range(x, 0.75) == (-1.6e308, 1.75e308)
    found = shortest_range([x, [0.0, 1.0, 1.5, 2.0], [0.0, 5e-324, 5e-324, 2.0]], 0.75, axis=0)
    assert found.rmin.tolist() == [-1.6e308, 1.0, 0.0]  # also of a row beside it, where halves would be lost
    assert found.rmax.tolist() == [1.75e308, 2.0, 5e-324]


@each_filter
@pytest.mark.parametrize("keep", ["0.9", True, None, [0.9], 1j], ids=str)
def test_keep_is_a_number(filtered, keep):
    with pytest.raises(TypeError, match="keep must be a number"):
        filtered([1.0, 2.0], keep)
    with pytest.raises(TypeError, match="keep must be a number"):
        note_histogram_scale([1.0, 2.0], 127, keep=keep)


@given(st.lists(st.floats(-100, 100), min_size=1, max_size=60), keeps, st.sampled_from([1, 3, 100]))
def test_a_histogram_of_few_values_is_trimmed_as_the_data(values, keep, bins):
    assert histogram_range(Histogram(64).update(values), keep, bins) == histogram_range(values, keep, bins)


def test_defaults_are_those_of_the_note():
    """99 % and 100 bins, on data for which another number of bins gives another range."""
    x = np.random.default_rng(0).standard_normal(5000)
    for source in (x, Histogram().update(x)):
        assert histogram_range(source) == histogram_range(source, 0.99, 100)
        assert histogram_range(source) != histogram_range(source, 0.99, 101)
    assert shortest_range(x) == shortest_range(x, 0.99)
