"""The range that is left when the same share is cut from each side: of arrays, and of histograms."""

import numpy as np
import pytest
import strategies
from hypothesis import given
from hypothesis import strategies as st

from quantnotes import Calibrator, Histogram, minmax_range, percentile_range, samples

pytestmark = pytest.mark.usefixtures("both_kernels")

percentiles = st.one_of(st.sampled_from([0.0, 50.0, 90.0, 99.9, 100.0]), st.floats(0, 100))


@given(strategies.int_or_float_arrays, percentiles)
def test_percentile_is_the_inverted_cdf_and_its_mirror(x, percentile):
    upper = 100 - (100 - percentile) / 2
    x64 = np.asarray(x, np.float64)
    ends = (
        -np.percentile(-x64, upper, method="inverted_cdf"),
        np.percentile(x64, upper, method="inverted_cdf"),
    )
    assert percentile_range(x, percentile) == (min(ends), max(ends))


@given(strategies.int_or_float_arrays, percentiles)
def test_percentile_keeps_its_share_and_mirrors(x, percentile):
    low, high = percentile_range(x, percentile)
    x = np.asarray(x, np.float64)
    assert (
        np.count_nonzero((x >= low) & (x <= high)) >= x.size * (1 - 2 * (1 - (percentile / 100)) / 2) - 1e-6
    )
    assert percentile_range(-x, percentile) == (-high, -low)


@given(strategies.int_or_float_arrays, percentiles, strategies.few_bins)
def test_percentile_of_a_histogram_is_never_narrower(x, percentile, max_bins):
    h = Histogram(max_bins).update(x)
    exact, binned = percentile_range(x, percentile), percentile_range(h, percentile)
    assert h.min <= binned.rmin <= exact.rmin <= exact.rmax <= binned.rmax <= h.max
    assert exact.rmin - binned.rmin < 2 * h.width
    assert binned.rmax - exact.rmax < 2 * h.width


def test_percentile_100_is_min_and_max():
    x = samples.load("gelu_output")
    assert percentile_range(x, 100) == percentile_range(Histogram(8).update(x), 100) == minmax_range(x)


def test_percentile_by_hand():
    x = np.arange(1, 1001)
    assert percentile_range(x, 99) == (6.0, 995.0)
    assert percentile_range(x[::-1].astype(np.uint16), 99) == (6.0, 995.0)
    assert percentile_range(np.stack([x, 2 * x]), 99, axis=0).rmax.tolist() == [995.0, 1990.0]


def test_percentile_zero_is_not_inside_out():
    assert percentile_range([0.0, 1.0], 0) == (0.0, 1.0)
    assert percentile_range([0.0, 1.0, 5.0], 0) == (1.0, 1.0)


@pytest.mark.parametrize("bad", ["99", True, np.True_, None, [99], 99j], ids=str)
def test_percentile_must_be_a_number(bad):
    for source in ([1.0], Histogram().update(1.0)):
        with pytest.raises(TypeError, match="percentile must be a number"):
            percentile_range(source, bad)
    with pytest.raises(TypeError, match="percentile must be a number"):
        Calibrator("percentile", percentile=bad)


@pytest.mark.parametrize("bad", [-1, 101, np.nan])
def test_percentile_out_of_range(bad):
    with pytest.raises(ValueError, match="percentile must be from 0 to 100"):
        percentile_range([1.0], bad)
    with pytest.raises(ValueError, match="percentile must be from 0 to 100"):
        Calibrator("percentile", percentile=bad)  # before any data


def test_percentile_of_nothing():
    for nothing in ([], Histogram()):
        with pytest.raises(ValueError, match="empty"):
            percentile_range(nothing)
    with pytest.raises(ValueError, match="infinity"):
        percentile_range([np.inf])
    assert percentile_range([np.nan, 2.0], nan="ignore") == (2.0, 2.0)
