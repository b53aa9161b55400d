"""Histogram: power-of-two bins, the same bits for any order and split."""

import copy
import functools
import itertools
import math
import pickle
from collections import Counter
from fractions import Fraction

import boost_histogram
import numpy as np
import pytest
import reference
from hypothesis import given
from hypothesis import strategies as st
from strategies import BAD_TYPES, FLOAT_TYPES, LAYOUTS, few_bins, histogram_lists, int_or_float_arrays

from quantnotes import Histogram, kernels
from quantnotes.granularity import Granularity
from quantnotes.histogram import Stack, count

pytestmark = pytest.mark.usefixtures("both_kernels")

FLOAT64_MAX = float(np.finfo(np.float64).max)


def histogram_of(values, max_bins=2048):
    return Histogram(max_bins).update(np.asarray(values, np.float64))


def state(h):
    """Everything one can see, as plain values."""
    return h.counts.tolist(), h.edges.tolist(), h.n, h.min, h.max, h.max_bins


def assert_is_reference(h, values, max_bins):
    k, first, counts = reference.histogram(values, max_bins)
    assert h.counts.dtype == np.int64
    np.testing.assert_array_equal(h.counts, counts)
    np.testing.assert_array_equal(h.edges, reference.histogram_edges(k, first, len(counts)))
    assert (h.n, h.min, h.max) == (len(values), min(values), max(values))


# --- one update ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "max_bins", "edges", "counts"),
    [
        ([0, 1, 2, 3], 4, [0, 1, 2, 3, 4], [1, 1, 1, 1]),
        ([0, 1, 2, 3, 4], 4, [0, 2, 4, 6], [2, 2, 1]),  # the topmost bin is half-open too
        ([0, 1, 2, 3], 3, [0, 2, 4], [2, 2]),
        ([-1, 1], 3, [-1, 0, 1, 2], [1, 0, 1]),
        ([-1, 1], 2, [-2, 0, 2], [1, 1]),
        ([-4, -1, 0, 3.75], 4, [-4, -2, 0, 2, 4], [1, 1, 1, 1]),
        ([0.5, 0.75], 2, [0.5, 0.75, 1.0], [1, 1]),
        ([7, 8], 2, [7, 8, 9], [1, 1]),
        ([7.5, 8.5], 2, [7, 8, 9], [1, 1]),
    ],
)
def test_bins_by_hand(values, max_bins, edges, counts):
    h = histogram_of(values, max_bins)
    assert state(h) == (counts, edges, len(values), min(values), max(values), max_bins)


@given(histogram_lists.filter(len), few_bins)
def test_agrees_with_fractions(values, max_bins):
    assert_is_reference(histogram_of(values, max_bins), values, max_bins)


@given(int_or_float_arrays, few_bins)
def test_agrees_with_fractions_for_other_types(x, max_bins):
    assert_is_reference(Histogram(max_bins).update(x), x.tolist(), max_bins)


@pytest.mark.parametrize("max_bins", [2, 5, 64, 2048])
@pytest.mark.parametrize("value", [0.0, 5.0, -5.0, 1e20, 1e-310, 5e-324, -5e-324, FLOAT64_MAX, -FLOAT64_MAX])
def test_a_constant_has_one_bin_as_wide_as_its_last_bit(value, max_bins):
    h = histogram_of([value] * 3, max_bins)
    assert_is_reference(h, [value] * 3, max_bins)
    assert h.counts.tolist() == [3]
    if abs(value) < FLOAT64_MAX:
        assert h.edges[1] - h.edges[0] == np.spacing(abs(value))


@pytest.mark.parametrize("max_bins", [2, 3, 2048])
def test_edges_stay_finite_at_the_end_of_float64(max_bins):
    values = [-FLOAT64_MAX, 0.0, FLOAT64_MAX]
    h = histogram_of(values, max_bins)
    assert_is_reference(h, values, max_bins)
    assert np.all(np.isfinite(h.edges))
    assert np.all(np.diff(h.edges) > 0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("rounding", [None, 2], ids=["continuous", "on edges"])
def test_agrees_with_numpy_and_boost_on_the_same_edges(dtype, rounding):
    x = np.random.default_rng(0).standard_normal(300_000).astype(dtype)
    if rounding is not None:
        x = np.round(x * 4) / 4
    h = Histogram(100).update(x)
    assert 50 < len(h.counts) <= 100 or rounding is not None
    np.testing.assert_array_equal(h.counts, np.histogram(x.astype(np.float64), h.edges)[0])
    boost = boost_histogram.Histogram(boost_histogram.axis.Variable(h.edges)).fill(x.astype(np.float64))
    np.testing.assert_array_equal(h.counts, boost.values())
    assert (h.counts[0] > 0, h.counts[-1] > 0, h.counts.sum()) == (True, True, x.size)


def test_negative_zero_counts_as_zero():
    assert histogram_of([-0.0]) == histogram_of([0.0])
    assert histogram_of([-0.0, 1.0], 2) == histogram_of([1.0, 0.0], 2)
    assert histogram_of([-0.0, -0.0]).edges[0] == 0


@pytest.mark.parametrize("tiny", [1e-300, 5e-324])
def test_a_tiny_negative_is_never_in_a_bin_from_zero_up(tiny):
    """x * 2**-k underflows to -0.0 here."""
    values = [-tiny, 1e300, 0.0, tiny]
    h = histogram_of(values, 64)
    assert h.edges[1] == 0
    assert h.counts[:2].tolist() == [1, 2]
    for order in ([3, 2, 1, 0], [1, 0, 2, 3], [2, 0, 3, 1]):
        for cut in range(5):
            parts = [values[i] for i in order]
            assert histogram_of(parts[:cut], 64).update(parts[cut:]) == h


def test_zero_is_positive_zero():
    for values in ([-0.0], [-0.0, -0.0]):
        h = histogram_of(values)
        assert [math.copysign(1, end) for end in (h.min, h.max)] == [1, 1]


def test_types_of_what_can_be_seen():
    for h in (Histogram(), histogram_of([1.0, -2.0]), Histogram().update(np.int8([1, 2]))):
        assert (h.counts.dtype, type(h.n)) == (np.int64, int)
        counts, width = h.magnitudes()
        assert (counts.dtype, type(width)) == (np.int64, float)


@pytest.mark.parametrize(
    ("values", "max_bins", "counts", "width"),
    [
        ([0.5, 3.0], 8, [0, 1, 0, 0, 0, 0, 1], 0.5),  # as wide as the bins
        ([-2.5, -0.5, 0.0, 3.0], 4, [2, 2], 2.0),
        ([8.0, 9.0], 8, [0, 0, 0, 0, 2], 2.0),  # far from 0: wider by a power of two
        ([100.0, 101.0], 8, [0] * 6 + [2], 16.0),  # and no wider than it must be
        ([-101.0, -100.0], 8, [0] * 6 + [2], 16.0),
    ],
)
def test_magnitudes_by_hand(values, max_bins, counts, width):
    found = histogram_of(values, max_bins).magnitudes()
    assert (found[0].tolist(), found[1]) == (counts, width)


def test_as_many_bins_as_are_allowed():
    assert Histogram(2**24).max_bins == 2**24


def test_the_widest_bins():
    """2**1023 is a float64, 2**1024 is not."""
    ends = [-1.7e308, 1.7e308]
    assert histogram_of(ends, 4).width == 2.0**1023
    assert histogram_of(ends, 2).width == np.inf


def test_last_bit_is_that_of_the_larger_magnitude():
    """-4 has steps twice as wide as its neighbour towards 0."""
    values = [-4.0, -float(np.nextafter(4, 0))]
    for order in (values, values[::-1]):
        assert_is_reference(histogram_of(order, 8), values, 8)


def test_float32_data_in_bins_too_fine_for_float32():
    """Beyond 2**24 float32 does not hold every bin's number, here not that of the first."""
    fine = [1e9 - 2.0**-20, 1e9]
    mixed = Histogram().update(np.array(fine)).update(np.float32([1e9]))
    assert mixed == histogram_of([*fine, 1e9])
    assert mixed.counts.sum() == 3


def test_prints_what_it_holds():
    assert repr(histogram_of([0.0, 3.5], 8)) == "Histogram(n=2, min=0.0, max=3.5, bins=8 of 8)"


# --- order and split ----------------------------------------------------------------------------------------


@given(st.lists(histogram_lists, max_size=6), few_bins, st.randoms(use_true_random=False))
def test_any_split_order_and_tree_give_the_histogram_of_the_whole(batches, max_bins, random):
    whole = histogram_of(list(itertools.chain(*batches)), max_bins)

    random.shuffle(batches)
    updated = Histogram(max_bins)
    for batch in batches:
        assert updated.update(np.asarray(batch, np.float64)) is updated

    trees = [histogram_of(batch, max_bins) for batch in batches] or [Histogram(max_bins)]
    while len(trees) > 1:
        left, right = (trees.pop(random.randrange(len(trees))) for _ in range(2))
        before = state(left), state(right)
        joined = left | right
        assert before == (state(left), state(right))
        if random.random() < 0.5:
            assert left.merge(right) is left
            assert state(right) == before[1]
            assert left == joined
        trees.append(joined)

    assert whole == updated == trees[0]
    assert state(whole) == state(updated) == state(trees[0])


@given(histogram_lists.filter(len), few_bins)
def test_one_value_at_a_time_backwards(values, max_bins):
    h = Histogram(max_bins)
    for v in reversed(values):
        h.update(v)
        assert len(h.counts) <= max_bins
    assert_is_reference(h, values, max_bins)


def test_bins_stay_bounded_and_counts_exact_as_the_range_grows():
    """A first batch of zeros (Model-Optimizer 2369); 1e-3, then 1e4 (256 GB in onnxruntime 10503)."""
    rng = np.random.default_rng(0)
    batches = [
        np.zeros(1000),
        1e-3 * rng.standard_normal(1000),
        1e4 * rng.standard_normal(1000),
        np.array([1e12]),
    ]
    for max_bins in (2, 100, 2048):
        h = Histogram(max_bins)
        for batch in batches:
            assert len(h.update(batch).counts) <= max_bins
        assert h == Histogram(max_bins).update(np.concatenate(batches))
        assert h.counts.sum() == h.n == 3001


def test_counts_pass_2_to_24_in_one_update_and_2_to_40_in_merges():
    """float32 counts stop at 2**24 (TensorRT 2757)."""
    h = Histogram().update(np.zeros(2**24 + 1, np.int8))
    assert h.counts.tolist() == [2**24 + 1]
    one = histogram_of([0.0])
    for _ in range(16):
        h = h | h
    assert (h | one).counts.tolist() == [2**16 * (2**24 + 1) + 1]
    assert (h | one).n == 2**16 * (2**24 + 1) + 1


def test_merging_with_itself_doubles():
    h = histogram_of([1.0, 2.0, 2.0])
    h.merge(h)
    assert h == histogram_of([1.0, 2.0, 2.0] * 2)


# --- empty, equal, refused ----------------------------------------------------------------------------------


def test_empty():
    h = Histogram()
    assert (h.n, h.min, h.max, h.max_bins, len(h.counts), len(h.edges)) == (0, np.inf, -np.inf, 2048, 0, 0)
    assert h.update([]) is h
    assert h.update(np.zeros((3, 0), np.float32)) == Histogram()
    full = histogram_of([1.0, 2.0])
    before = state(full)
    assert (
        state(full.update(np.zeros(0)))
        == state(full.merge(Histogram()))
        == state(Histogram() | full)
        == before
    )


def test_equality_is_of_the_state():
    h = histogram_of([1.0, 2.0], 8)
    assert h == histogram_of([2.0, 1.0], 8) == copy.deepcopy(h)
    others = [
        histogram_of([1.0, 2.0], 9),
        histogram_of([1.0, 2.0, 2.0], 8),
        histogram_of([1.0, 1.5], 8),
        Histogram(8),
    ]
    assert all(h != other for other in others)
    assert h != 3
    same_bins = histogram_of([0.0, 0.25, 7.75], 8), histogram_of([0.0, 0.5, 7.75], 8)
    assert same_bins[0].counts.tolist() == same_bins[1].counts.tolist()
    assert histogram_of([0.0, 7.5], 8) != histogram_of([0.0, 7.75], 8)  # same counts, another max


@pytest.mark.parametrize("max_bins", [1, 0, -1, 2**24 + 1, 2**70])
def test_too_few_bins_or_too_many(max_bins):
    """2**70 bins would have asked for 32 PiB at the first two values."""
    with pytest.raises(ValueError, match="max_bins"):
        Histogram(max_bins)


def test_different_max_bins_do_not_merge():
    a, b = histogram_of([1.0], 8), histogram_of([1.0], 16)
    for join in (a.merge, lambda other: a | other):
        with pytest.raises(ValueError, match="max_bins"):
            join(b)
    assert a == histogram_of([1.0], 8)
    with pytest.raises(TypeError):
        a | 3


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("size", [3, 300_000])
def test_a_refused_batch_changes_nothing(bad, size):
    batch = np.full(size, 1e9)
    batch[-1] = bad
    h = histogram_of([1.0, 2.0])
    before = state(h)
    with pytest.raises(ValueError, match=r"\b1\b.*NaN|NaN.*\b1\b" if np.isnan(bad) else "inf"):
        h.update(batch)
    assert state(h) == before
    if not np.isnan(bad):
        with pytest.raises(ValueError, match="inf"):
            h.update(batch, nan="ignore")
        assert state(h) == before


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_rows_before_a_refused_one_are_not_counted_either(bad):
    h = histogram_of([1.0, 2.0])
    before = state(h)
    with pytest.raises(ValueError, match=r"NaN|inf"):
        h.update([[5.0, 6.0], [7.0, bad]])
    assert state(h) == before


def test_nan_can_be_ignored():
    x = np.array([np.nan, 1.0, 2.0, np.nan])
    assert Histogram().update(x, nan="ignore") == histogram_of([1.0, 2.0])
    assert Histogram().update(x[:1], nan="ignore") == Histogram()
    with pytest.raises((ValueError, TypeError), match="nan"):
        Histogram().update([1.0], nan="drop")


@pytest.mark.parametrize("name", BAD_TYPES)
def test_what_is_no_number_is_a_type_error(name):
    h = histogram_of([1.0])
    with pytest.raises(TypeError):
        h.update(BAD_TYPES[name])
    assert h == histogram_of([1.0])


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("shape", [(2, 3, 4), (67, 3, 1031)], ids=["small", "many blocks"])
def test_layout_changes_nothing(layout, shape):
    x = np.random.default_rng(2).standard_normal(shape).astype(np.float32)
    odd = LAYOUTS[layout](x)
    before = odd.copy()
    assert Histogram().update(odd) == Histogram().update(x.ravel())
    np.testing.assert_array_equal(odd, before)


@pytest.mark.parametrize(
    "dtype", [*FLOAT_TYPES, np.int8, np.uint8, np.int64, bool], ids=lambda d: np.dtype(d).name
)
def test_every_type_counts_as_its_float64_values(dtype):
    x = (np.random.default_rng(3).standard_normal(500) * 20).astype(np.int64 if dtype is np.uint8 else dtype)
    x = x.astype(dtype)
    assert Histogram(64).update(x) == Histogram(64).update(x.astype(np.float64))


@given(histogram_lists.filter(bool), few_bins)
def test_magnitudes(values, max_bins):
    h = Histogram(max_bins).update(values)
    counts, width = h.magnitudes()
    largest = max(-h.min, h.max)
    assert counts.sum() == h.n
    assert counts.size <= max_bins
    assert counts[-1] > 0
    if math.isinf(width):  # a single bin, as wide as all floats
        assert counts.size == 1
        return
    assert Fraction(width) * (counts.size - 1) <= largest <= Fraction(width) * counts.size
    if all(value > 0 for value in values):
        expected = Counter(math.floor(Fraction(value) / Fraction(width)) for value in values)
        assert counts.tolist() == [expected[j] for j in range(counts.size)]


def test_magnitudes_of_nothing():
    assert Histogram().magnitudes()[0].tolist() == []


# --- parts and channels -------------------------------------------------------------------------------------


@pytest.fixture
def small_parts(monkeypatch):
    """Cut small arrays too, as those are that do not fit the last-level cache."""
    monkeypatch.setattr(kernels, "parts", functools.partial(kernels.parts, size=50))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_parts_change_nothing(small_parts, layout):
    x = np.random.default_rng(4).standard_normal((7, 8, 9)).astype(np.float32)
    expected = Histogram(16)
    for value in x.ravel():
        expected.update(value)
    assert Histogram(16).update(LAYOUTS[layout](x)) == expected


def stacked(histograms):
    """The histograms as those of the groups of one stack."""
    parts = [h._stack.among(len(histograms), np.array([i])) for i, h in enumerate(histograms)]
    return functools.reduce(Stack.merge, parts)


@pytest.mark.parametrize("layout", [*LAYOUTS, "contiguous"])
@pytest.mark.parametrize("axis", [0, 1, 2, -1])
@pytest.mark.parametrize("nan", ["raise", "ignore"])
def test_channels_are_counted_as_if_alone(small_parts, layout, axis, nan):
    x = np.random.default_rng(5).standard_normal((7, 7, 7)).astype(np.float32)
    x *= np.ldexp(np.float32(1), np.arange(0, 21, 3)).reshape([-1 if i == axis % 3 else 1 for i in range(3)])
    if nan == "ignore":
        x[1:3, 2, 5] = np.nan
    stack = Stack.empty(7, 8)
    for batch in (x, -x[::-1]):
        odd = LAYOUTS[layout](batch) if layout in LAYOUTS else batch
        stack = stack.merge(count(odd, Granularity.of(axis), 8, nan, stack.exact))
    expected = [
        Histogram(8).update(a, nan).update(b, nan)
        for a, b in zip(np.moveaxis(x, axis, 0), np.moveaxis(-x[::-1], axis, 0), strict=True)
    ]
    assert stack == stacked(expected)
    assert stack.n.sum() == 2 * np.count_nonzero(~np.isnan(x))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_bad_value_in_the_last_channel(small_parts, bad):
    x = np.ones((3, 200))
    x[2, 199] = bad
    for odd in (x, x.T.copy().T):
        with pytest.raises(ValueError, match="1 NaN among 600" if np.isnan(bad) else "infinity"):
            count(odd, Granularity.of(0), 2048, "raise")


# --- masses -------------------------------------------------------------------------------------------------


def known(values):
    values, counts = np.unique(np.asarray(values, np.float64) + 0.0, return_counts=True)
    return dict(zip(values.tolist(), counts.tolist(), strict=True))


@given(histogram_lists, few_bins)
def test_masses_are_the_values(values, max_bins):
    """Exactly while they are few; after that, exactly at both ends and at 0, and each in a bin elsewhere."""
    low, width, count, starts = histogram_of(values, max_bins).masses()
    assert starts.tolist() == [0, low.size]
    assert (low.dtype, width.dtype, count.dtype, starts.dtype) == (np.float64, np.float64, np.int64, np.intp)
    expected = known(values)
    if len(expected) > max_bins:
        expected = {v: n for v, n in expected.items() if v in (0, min(expected), max(expected))}
    points = width == 0
    assert dict(zip(low[points].tolist(), count[points].tolist(), strict=True)) == expected
    rest = [Fraction(value) for value in values if value not in expected]
    for left, wide, number in zip(low[~points], width[~points], count[~points], strict=True):
        right = Fraction(float(left)) + Fraction(float(wide)) * (1 + Fraction(2) ** -50)
        inside = [value for value in rest if Fraction(float(left)) <= value < right]
        assert len(inside) >= number > 0
    assert count.sum() == len(values)
    assert np.all(low[1:] >= low[:-1])


@given(st.lists(histogram_lists, min_size=1, max_size=5), few_bins)
def test_masses_of_any_tree(batches, max_bins):
    whole = histogram_of(list(itertools.chain(*batches)), max_bins)
    joined = functools.reduce(Histogram.__or__, [histogram_of(batch, max_bins) for batch in batches])
    for found, expected in zip(joined.masses(), whole.masses(), strict=True):
        np.testing.assert_array_equal(found, expected)


def test_piles_of_clipped_activations():
    x = np.clip(np.random.default_rng(0).standard_normal(200_000).astype(np.float32), 0, 6).repeat(2)
    h = Histogram(64).update(x).update(np.float32([6.0]))
    low, width, count, _ = h.masses()
    assert (low[0], width[0], count[0]) == (0, 0, np.count_nonzero(x == 0))
    assert (low[-1], width[-1], count[-1]) == (6, 0, 1 + np.count_nonzero(x == 6))
    h.update(np.float32([-1.0]))
    low, width, count, _ = h.masses()
    assert count[(low == 0) & (width == 0)] == np.count_nonzero(x == 0)


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("dtype", [np.int8, np.float32, np.float64], ids=lambda d: np.dtype(d).name)
def test_a_first_look_does_not_decide(axis, dtype):
    """Few values at first and many later, a channel of one value, and one that stays with few."""
    rng = np.random.default_rng(0)
    x = (rng.standard_normal((4, 150_000)) * 40).clip(-100, 100).astype(dtype)
    x[0, :140_000], x[1], x[2] = 0, 7, np.round(x[2] / 30)
    stack = count(x if axis == 0 else np.ascontiguousarray(x.T), Granularity.of(axis), 64, "raise")
    expected = [functools.reduce(Histogram.update, np.array_split(row, 100), Histogram(64)) for row in x]
    assert stack == stacked(expected)
    assert stack.exact.tolist() == [len(np.unique(row)) <= 64 for row in x]


# --- copies, and 64 bits ------------------------------------------------------------------------------------


@pytest.mark.parametrize("values", [[], [1.0, 2.0], [0.5, 1.0, 2.0, 4.0]], ids=["empty", "exact", "bins"])
@pytest.mark.parametrize(
    "twin_of",
    [
        copy.copy,
        copy.deepcopy,
        lambda h: pickle.loads(pickle.dumps(h)),
        lambda h: Histogram.from_arrays(h.to_arrays()),
    ],
    ids=["copy", "deepcopy", "pickle", "arrays"],
)
def test_a_copy_is_equal_and_apart(values, twin_of):
    h = histogram_of(values, 3)
    twin = twin_of(h)
    assert twin == h
    twin.update([9.0]).merge(histogram_of([-7.0], 3))
    assert h == histogram_of(values, 3)
    assert twin == histogram_of([*values, 9.0, -7.0], 3)


@pytest.mark.parametrize("name", ["n", "min", "max", "max_bins", "counts", "edges", "width"])
def test_what_was_counted_cannot_be_assigned(name):
    with pytest.raises(AttributeError):
        setattr(histogram_of([1.0]), name, 3)


def test_what_is_returned_is_the_caller_s_own():
    h = histogram_of([1.0, 2.0])
    for array in (h.counts, h.edges, *h.masses()):
        array[...] = 0
    assert h == histogram_of([1.0, 2.0])


def test_bins_beyond_32_bits():
    """Numbers of bins, and of values, that an int32 does not hold: what NumPy counts in on 32 bits."""
    h = Histogram(4).update(1e9 + np.arange(3) / 2**10)
    for part in (h._stack.bins.first, h._stack.bins.counts, h._stack.n, h.counts):
        assert part.dtype == np.int64
    many = histogram_of([1e9, 1e9 + 2.0**-20, 1e9 + 2.0**-19], 2)
    k, first, _ = reference.histogram([1e9, 1e9 + 2.0**-20, 1e9 + 2.0**-19], 2)
    assert first > 2**31
    assert (many._stack.bins.k[0], many._stack.bins.first[0]) == (k, first)
    for _ in range(40):
        many |= many
    assert many.counts.sum() == many.masses().count.sum() == many.n == 3 * 2**40
    assert many.masses().count.dtype == np.int64
