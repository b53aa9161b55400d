"""A range by the name of a method, and the observer: one answer for any order and size of batches."""

import copy
import pickle

import numpy as np
import pytest
import strategies
from hypothesis import given
from hypothesis import strategies as st

from quantnotes import (
    INT4,
    INT8,
    UINT8,
    Calibrator,
    Histogram,
    asymmetric_params,
    calibration,
    code_ledger,
    entropy_range,
    histogram_range,
    minmax_range,
    mse_range,
    percentile_range,
    samples,
    symmetric_params,
)
from quantnotes.calibration import METHODS, choose_range, make_params
from quantnotes.granularity import Granularity

pytestmark = pytest.mark.usefixtures("both_kernels")

percentiles = st.one_of(st.sampled_from([0.0, 50.0, 90.0, 99.9, 100.0]), st.floats(0, 100))

# --- the filter on a histogram ------------------------------------------------------------------------------


@given(strategies.int_or_float_arrays, strategies.keeps)
def test_filter_on_bins_keeps_enough(x, keep):
    h = Histogram(16).update(x)
    low, high = histogram_range(h, keep)
    x = np.asarray(x, np.float64)
    assert np.count_nonzero((x >= low) & (x <= high)) / x.size >= keep
    assert h.min <= low <= high <= h.max


def test_filter_on_bins_drops_a_far_value():
    h = Histogram().update(np.random.default_rng(0).standard_normal(10_000)).update([1000.0])
    assert histogram_range(h, 0.999).rmax < 8


# --- one method by name -------------------------------------------------------------------------------------


def test_range_by_is_the_function_of_that_name():
    x = samples.load("layernorm_output")
    assert choose_range("minmax", x) == minmax_range(x)
    assert choose_range("histogram", x, keep=0.9) == histogram_range(x, 0.9)
    assert choose_range("percentile", x, percentile=60.0) == percentile_range(x, 60.0)
    assert choose_range("mse", x, INT4, "symmetric") == mse_range(x, INT4, "symmetric")
    assert choose_range("entropy", x, INT8, "symmetric") == entropy_range(x, INT8)


def test_an_asymmetric_entropy_clip_stays_inside_the_data():
    x = samples.load("gelu_output")
    assert choose_range("entropy", x) == (minmax_range(x).rmin, entropy_range(x).rmax)


def test_all_codes_serve_one_sided_data():
    x = samples.load("attention_probabilities")
    assert choose_range("entropy", x) == entropy_range(x, UINT8)
    assert choose_range("entropy", -x).rmin == -entropy_range(x, UINT8).rmax


def test_old_names_work_for_a_release():
    for old, new in [("range_by", choose_range), ("params_of", make_params)]:
        with pytest.warns(DeprecationWarning, match=f"{old} has been renamed to quantnotes.{new.__name__}"):
            assert getattr(calibration, old) is new
    with pytest.raises(AttributeError, match="no attribute 'choose'"):
        _ = calibration.choose


def test_params_of():
    assert make_params((-1.0, 2.0)) == asymmetric_params(-1.0, 2.0)
    assert make_params((-1.0, 2.0), INT4, "symmetric") == symmetric_params(-1.0, 2.0, INT4)
    with pytest.raises(ValueError, match="scheme"):
        make_params((-1.0, 2.0), INT8, "both")


# --- the observer -------------------------------------------------------------------------------------------


@given(
    strategies.histogram_lists,
    st.lists(st.integers(0, 40), max_size=4),
    st.sampled_from(METHODS),
    st.sampled_from(["asymmetric", "symmetric"]),
    st.randoms(),
)
def test_any_split_order_and_tree_gives_the_same(values, cuts, method, scheme, random):
    whole = Calibrator(method, INT4, scheme, max_bins=16).observe(values)
    shuffled = list(values)
    random.shuffle(shuffled)
    parts = [list(part) for part in np.split(np.array(shuffled, np.float64), sorted(cuts))]
    one_by_one, merged = (Calibrator(method, INT4, scheme, max_bins=16) for _ in range(2))
    for part in parts:
        one_by_one.observe(part)
    for part in reversed(parts):
        merged.merge(Calibrator(method, INT4, scheme, max_bins=16).observe(part))
    assert one_by_one == merged == whole
    if values:
        assert one_by_one.params() == merged.params() == whole.params()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("scheme", ["asymmetric", "symmetric"])
def test_channels_are_calibrated_one_by_one(method, scheme):
    x = samples.load("layernorm_output")[:, 95:103]
    params = Calibrator(method, INT8, scheme, axis=1).observe(x[:50]).observe(x[50:]).params()
    assert params.axis == 1
    for c in range(8):
        alone = Calibrator(method, INT8, scheme).observe(x[:, c]).params()
        assert (params.scale[c], params.zero_point[c]) == (alone.scale, alone.zero_point)


@pytest.mark.parametrize(
    ("method", "options"),
    [
        *((method, {}) for method in METHODS),
        ("histogram", {"keep": 0.7}),
        ("percentile", {"percentile": 60.0}),
    ],
)
@pytest.mark.parametrize("grid", [INT4, UINT8])
@pytest.mark.parametrize("scheme", ["asymmetric", "symmetric"])
def test_every_setting_reaches_the_method(method, options, grid, scheme):
    """Not one Calibrator against another: both could lose the same setting."""
    x = np.abs(samples.load("layernorm_output")[:, 95:97])  # UINT8 has no room for negatives
    ends = [choose_range(method, Histogram().update(x[:, c]), grid, scheme, **options) for c in range(2)]
    for axis in (1, -1):
        each = Calibrator(method, grid, scheme, axis=axis, **options).observe(x)
        np.testing.assert_array_equal(np.transpose(each.range()), ends)
        assert each.params() == make_params(each.range(), grid, scheme, axis=axis)
    one = Calibrator(method, grid, scheme, **options).observe(x[:, 0])
    assert one.range() == ends[0]
    assert one.params() == make_params(ends[0], grid, scheme)


def test_merging_leaves_the_other_as_it_is():
    """Also into one that has seen nothing: what that one sees later is its own."""
    other = Calibrator("minmax").observe([1.0, 2.0])
    Calibrator("minmax").merge(other).observe([1.0, 2.0]).observe([9.0])
    assert other == Calibrator("minmax").observe([1.0, 2.0])


def test_minmax_is_exact():
    x = samples.load("gelu_output")
    calibrator = Calibrator("minmax")
    for token in x:
        calibrator.observe(token)
    assert calibrator.range() == minmax_range(x)
    assert calibrator.n == x.size


@pytest.mark.parametrize("method", METHODS)
def test_a_first_batch_of_zeros_and_a_late_outlier(method):
    """Both have ruined other observers: counts must be exact, bins bounded."""
    x = np.random.default_rng(3).standard_normal(5_000)
    late = Calibrator(method).observe(np.zeros(1000)).observe(x).observe([3e4])
    early = Calibrator(method).observe([3e4]).observe(np.concatenate([x, np.zeros(1000)]))
    assert late == early
    assert late.params() == early.params()
    assert late.n == 6001


@pytest.mark.parametrize("scheme", ["asymmetric", "symmetric"])
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", ["query_weight", "layernorm_output", "gelu_output", "few values"])
def test_one_answer_for_an_array_and_for_its_batches(name, method, scheme):
    rng = np.random.default_rng(0)
    x = rng.choice(rng.standard_normal(300), 9000) if name == "few values" else samples.load(name)
    calibrator = Calibrator(method, INT8, scheme).observe(x[:100]).observe(x[100:])
    streamed, whole = calibrator.range(), choose_range(method, x, INT8, scheme)
    width = Histogram().update(x).width
    if method in ("minmax", "entropy") or (name == "few values" and method != "mse"):
        assert streamed == whole
    elif method == "percentile":
        assert whole.rmin - width <= streamed.rmin <= whole.rmin
        assert whole.rmax <= streamed.rmax <= whole.rmax + width
    elif method == "histogram":
        assert np.mean((x >= streamed.rmin) & (x <= streamed.rmax)) >= 0.99
    else:
        errors = [code_ledger(x, make_params(each, INT8, scheme)).mse for each in (streamed, whole)]
        assert errors[0] <= 1.02 * errors[1]


@pytest.mark.parametrize("method", METHODS)
def test_counts_beyond_32_bits(method):
    """The histogram of 2**40 copies of the data has the range of 2**20 copies: both have next to no noise."""
    x = np.random.default_rng(2).standard_normal(3000)
    for h in (Histogram(64).update(x), Histogram(64).update(np.round(5 * x))):
        few = h
        for _ in range(20):
            few |= few
        many = few
        for _ in range(20):
            many |= many
        assert many.n == 3000 << 40
        assert choose_range(method, many, INT4) == choose_range(method, few, INT4)


def test_it_travels():
    calibrator = Calibrator("percentile", UINT8, axis=0, percentile=99.0).observe([[1.0, 2.0], [3.0, 4.0]])
    twin = pickle.loads(pickle.dumps(calibrator))
    assert twin == calibrator
    assert twin.params() == calibrator.params()
    assert twin.observe([[9.0], [9.0]]) != calibrator


def test_prints_its_settings():
    assert repr(Calibrator("percentile", percentile=99.0).observe([1.0, 2.0])) == (
        f"Calibrator('percentile', {INT8}, 'asymmetric', axis=None, block_size=None, nan='raise', "
        f"max_bins={Histogram().max_bins}, percentile=99.0; n=2)"
    )


def test_settings_must_agree():
    calibrator = Calibrator("percentile", percentile=99.0)
    others = [
        Calibrator("percentile"),
        Calibrator("minmax"),
        Calibrator("percentile", UINT8, percentile=99.0),
        Calibrator("percentile", INT8, "symmetric", percentile=99.0),
        Calibrator("percentile", max_bins=64, percentile=99.0),
    ]
    for other in others:
        with pytest.raises(ValueError, match="settings"):
            calibrator.merge(other)
    with pytest.raises(TypeError, match="Calibrator"):
        calibrator.merge(Histogram())


def test_nothing_observed():
    for axis in (None, 0):
        with pytest.raises(ValueError, match="observed"):
            Calibrator("mse", axis=axis).params()
        assert Calibrator("mse", axis=axis).merge(Calibrator("mse", axis=axis)).n == 0
    assert Calibrator("mse").observe([]).n == 0
    with pytest.raises(ValueError, match="channel"):
        Calibrator("minmax", axis=0, nan="ignore").observe([[np.nan], [1.0]]).params()


def test_channels_must_agree():
    calibrator = Calibrator("minmax", axis=-1).observe(np.ones((2, 3)))
    with pytest.raises(ValueError, match="expected 3 channels"):
        calibrator.observe(np.ones((2, 4)))
    with pytest.raises(ValueError, match="expected 3 channels"):
        calibrator.merge(Calibrator("minmax", axis=-1).observe(np.ones((2, 4))))
    assert calibrator.n == 6
    pairs = Calibrator("minmax", axis=(0, 1)).observe(np.ones((2, 3)))
    with pytest.raises(ValueError, match=r"expected \(2, 3\) channels along axis \(0, 1\), got \(2, 4\)"):
        pairs.observe(np.ones((2, 4)))


@pytest.mark.parametrize("axis", [None, 0])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_bad_batch_leaves_no_trace(axis, bad):
    calibrator = Calibrator("histogram", axis=axis).observe([[1.0, 2.0], [3.0, 4.0]])
    before = pickle.loads(pickle.dumps(calibrator))
    with pytest.raises(ValueError, match=r"NaN|infinity"):
        calibrator.observe([[5.0, 6.0], [7.0, bad]])
    assert calibrator == before


def test_nan_can_be_ignored():
    both = Calibrator("minmax", nan="ignore").observe([np.nan, 1.0]).observe([np.nan])
    assert both.range() == (1.0, 1.0)
    each = Calibrator("minmax", nan="ignore", axis=0).observe([[np.nan, 1.0], [2.0, 3.0]])
    assert each.range().rmin.tolist() == [1.0, 2.0]


def test_bad_settings():
    for method in (["mse"], None, 3, {"mse"}):
        with pytest.raises(TypeError, match="method"):
            Calibrator(method)
        with pytest.raises(TypeError, match="method"):
            choose_range(method, [1.0])
    for keep in ("0.9", True, None):
        with pytest.raises(TypeError, match="keep"):
            Calibrator("histogram", keep=keep)
    with pytest.raises(ValueError, match="block_size"):
        Calibrator("mse", block_size=2)
    with pytest.raises(ValueError, match="method must be one of"):
        Calibrator("kl")
    with pytest.raises(TypeError, match="takes no keep"):
        Calibrator("mse", keep=0.9)
    with pytest.raises(ValueError, match="scheme"):
        Calibrator("mse", INT8, "affine")
    with pytest.raises(TypeError, match="grid"):
        Calibrator("mse", 8)
    with pytest.raises(ValueError, match="keep"):
        Calibrator("histogram", keep=2)
    with pytest.raises(TypeError, match="axis"):
        Calibrator("mse", axis="channel")
    with pytest.raises(ValueError, match="nan"):
        Calibrator("mse", nan="drop")
    with pytest.raises(ValueError, match="max_bins"):
        Calibrator("mse", max_bins=1)
    with pytest.raises(TypeError, match="real numbers"):
        Calibrator("mse").observe(["1"])


@pytest.mark.parametrize("range_of", [mse_range, entropy_range])
@pytest.mark.parametrize("grid", [8, "int8", None, np.int8])
def test_grid_must_be_one(range_of, grid):
    for x in ([-1.0, 2.0], Histogram().update([-1.0, 2.0])):
        with pytest.raises(TypeError, match="grid"):
            range_of(x, grid)
    with pytest.raises(TypeError, match="grid"):
        Calibrator("minmax", grid)


@pytest.mark.parametrize("range_of", [percentile_range, histogram_range, mse_range, entropy_range])
def test_an_unknown_policy_is_refused_with_a_histogram_too(range_of):
    with pytest.raises(ValueError, match="nan"):
        range_of(Histogram().update([-1.0, 2.0]), nan="drop")


@pytest.mark.parametrize(("shape", "axis"), [((3, 0), 1), ((0, 3), 0), ((0, 0), 1), ((2, 0, 3), -2)])
def test_an_array_without_channels_is_nothing_observed(shape, axis):
    calibrator = Calibrator("mse", axis=axis).observe(np.zeros(shape))
    with pytest.raises(ValueError, match="nothing has been observed yet"):
        calibrator.params()
    assert calibrator.observe(np.ones((2, 2, 2)[: len(shape)])).n > 0


# --- groups by the name of a method -------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("scheme", ["asymmetric", "symmetric"])
def test_every_method_takes_axes_and_blocks(method, scheme):
    x = samples.load("layernorm_output")[:6, 93:101].astype(np.float64)
    x[:, 0], x[:, 1] = np.abs(x[:, 0]), -np.abs(x[:, 1])  # groups on one side of 0 among the others
    channels = choose_range(method, x, INT4, scheme, axis=1)
    for c in range(8):
        assert choose_range(method, x[:, c], INT4, scheme) == (channels.rmin[c], channels.rmax[c])
    blocks = choose_range(method, x, INT4, scheme, axis=(0, 1), block_size=(4, 3))
    assert blocks.rmin.shape == (2, 3)
    assert choose_range(method, x[4:, 3:6], INT4, scheme) == (blocks.rmin[1, 1], blocks.rmax[1, 1])
    x[0, 0] = np.nan
    alone = choose_range(method, x[1:, 0], INT4, scheme)
    found = choose_range(method, x, INT4, scheme, axis=1, nan="ignore")
    assert alone == (found.rmin[0], found.rmax[0])


# --- groups of an observer ----------------------------------------------------------------------------------


groupings = [{"axis": 1}, {"axis": -1}, {"axis": (2, 0)}, {"axis": 2, "block_size": 3}]
groupings += [{"axis": (0, 2), "block_size": (2, 3)}, {"axis": (0, 1, 2)}]
grouped = pytest.mark.parametrize("grouping", groupings, ids=str)


@grouped
@pytest.mark.parametrize("nan", ["raise", "ignore"])
@pytest.mark.parametrize("method", METHODS)
def test_each_group_is_calibrated_as_if_alone(grouping, nan, method):
    max_bins, rng = 16, np.random.default_rng(0)
    x = rng.standard_normal((4, 5, 4, 7)) * np.ldexp(1.0, rng.integers(0, 5, (5, 4, 7)))
    x[:, 2, 1], x[:, 1] = 0, np.round(x[:, 1])  # groups of few values among the others
    if nan == "ignore":
        x[1:3, :, :, ::2] = np.nan
    calibrator = Calibrator(method, **grouping, nan=nan, max_bins=max_bins)
    for batch in x:
        calibrator.observe(batch)
    granularity = Granularity.of(**grouping)
    low, high = np.empty((2, *granularity.shape(x.shape[1:])))
    for parts in zip(*map(granularity.group, x), strict=True):
        place, rows = parts[0][0], np.concatenate([rows for _, rows in parts], axis=1)
        ends = [choose_range(method, Histogram(max_bins).update(row, nan)) for row in rows]
        low[place], high[place] = (np.reshape(end, low[place].shape) for end in np.transpose(ends))
    found = calibrator.range()
    np.testing.assert_array_equal(found.rmin, low)
    np.testing.assert_array_equal(found.rmax, high)
    assert calibrator.params() == make_params(found, **grouping)
    assert calibrator.n == np.count_nonzero(~np.isnan(x))


@grouped
@pytest.mark.parametrize("method", METHODS)
def test_with_few_values_one_method_gives_one_answer(grouping, method):
    x = np.round(np.random.default_rng(0).standard_normal((4, 4, 7)) * 8) / 4
    found = Calibrator(method, INT4, **grouping).observe(x).range()
    for end, expected in zip(found, choose_range(method, x, INT4, **grouping), strict=True):
        np.testing.assert_allclose(end, expected, rtol=1e-12 if method in ("mse", "entropy") else 0)


@given(strategies.int_or_float_arrays, percentiles, strategies.few_bins)
def test_how_far_a_calibrator_is_from_the_function(x, percentile, max_bins):
    calibrator = Calibrator("percentile", percentile=percentile, max_bins=max_bins).observe(x)
    found, exact = calibrator.range(), percentile_range(x, percentile)
    at_most = Histogram(max_bins).update(x).width
    if len(np.unique(x)) <= max_bins:
        assert found == exact
    assert exact.rmin - at_most <= found.rmin <= exact.rmin
    assert exact.rmax <= found.rmax <= exact.rmax + at_most
    keeps_enough = Calibrator("histogram", keep=0.75, max_bins=max_bins).observe(x).range()
    assert np.mean((x >= keeps_enough.rmin) & (x <= keeps_enough.rmax)) >= 0.75
    assert Calibrator("minmax", max_bins=max_bins).observe(x).range() == minmax_range(x)


@given(st.lists(st.floats(-10, 10), min_size=2, max_size=60), st.floats(0, 1), percentiles)
def test_one_more_value_inside_moves_no_percentile_far(values, share, percentile):
    """By at most one value of the data, or two bins of the histogram."""
    more = np.append(values, min(values) * (1 - share) + max(values) * share).clip(min(values), max(values))
    ordered = np.sort(more)
    for end, moved in zip(
        percentile_range(values, percentile), percentile_range(more, percentile), strict=True
    ):
        at = np.searchsorted(ordered, [end, moved])
        at_end = np.searchsorted(ordered, [end, moved], side="right")
        assert max(at) - min(at_end) <= 1
    h, g = (Histogram(4).update(data) for data in (values, more))
    first, second = percentile_range(h, percentile), percentile_range(g, percentile)
    exact = percentile_range(values, percentile), percentile_range(more, percentile)
    for i in range(2):
        assert abs(first[i] - second[i]) <= abs(exact[0][i] - exact[1][i]) + g.width


def test_a_copy_shares_nothing():
    calibrator = Calibrator("percentile", axis=1, percentile=90.0).observe([[1.0, 2.0]])
    for twin in (copy.copy(calibrator), copy.deepcopy(calibrator)):
        twin.observe([[5.0, 6.0]])
        twin.options["percentile"] = 1.0
        assert calibrator == Calibrator("percentile", axis=1, percentile=90.0).observe([[1.0, 2.0]])
        assert twin.n == 4


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_refused_first_batch_fixes_nothing(bad):
    calibrator = Calibrator("mse", axis=0)
    with pytest.raises(ValueError, match=r"NaN|infinity"):
        calibrator.observe([[1.0], [2.0], [bad]])
    assert calibrator.observe([[1.0], [2.0]]).range().rmax.tolist() == [1.0, 2.0]


def test_blocks_have_a_place():
    calibrator = Calibrator("minmax", axis=1, block_size=4).observe(np.ones((2, 7)))
    for shape in [(2, 8), (3, 7), (2, 6)]:
        with pytest.raises(ValueError, match="one shape"):
            calibrator.observe(np.ones(shape))
        with pytest.raises(ValueError, match="one shape"):
            calibrator.merge(Calibrator("minmax", axis=1, block_size=4).observe(np.ones(shape)))
    with pytest.raises(ValueError, match="settings"):
        calibrator.merge(Calibrator("minmax", axis=1, block_size=2).observe(np.ones((2, 7))))
    assert calibrator.observe(-np.ones((2, 7))).params().block_size == 4
    assert "block_size=4" in repr(calibrator)


def test_ranges_are_the_caller_s_own():
    calibrator = Calibrator("minmax", axis=0).observe([[1.0], [2.0]])
    calibrator.range().rmax[:] = 9
    assert calibrator.range().rmax.tolist() == [1.0, 2.0]
