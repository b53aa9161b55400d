"""The clip of least divergence: brute force over all clips, the two slips of its copies, edge inputs."""

import math

import numpy as np
import pytest
import reference
import strategies
from hypothesis import given
from hypothesis import strategies as st

from quantnotes import (
    INT2,
    INT4,
    INT8,
    INT8_NARROW,
    INT16,
    UINT4,
    UINT8,
    Histogram,
    IntGrid,
    entropy_range,
    minmax_range,
    samples,
)

small_histograms = st.builds(
    lambda x, bins: Histogram(bins).update(x),
    strategies.arrays(
        st.one_of(st.integers(-30, 30), st.floats(-30, 30), st.sampled_from([0.0, 40.0])), np.float64, 1, 60
    ),
    st.sampled_from([2, 8, 40, 64]),
)


def brute_force(h, levels):
    """The clip of least divergence, the widest of equals, and its divergence."""
    counts, width = h.magnitudes()
    counts, largest = counts.tolist(), max(-h.min, h.max)
    clips = range(len(counts), levels - 1, -1)
    if len(clips) < 2:
        return largest, 0.0
    divergences = [reference.kl_divergence(counts, levels, clip) for clip in clips]
    least = min(divergences)
    clip = next(c for c, d in zip(clips, divergences, strict=True) if d <= least + 1e-12)
    return min(clip * width, largest), least


@given(small_histograms, st.sampled_from([INT2, INT4, IntGrid(-5, 2), IntGrid(-3, 3)]))
def test_equals_brute_force(h, grid):
    levels = grid.qmax + 1
    clip, least = brute_force(h, levels)
    low, high = entropy_range(h, grid)
    assert low == -high
    counts, width = h.magnitudes()
    if len(counts) <= levels:
        assert high == clip
        return
    bins = len(counts) if high == max(-h.min, h.max) else round(high / width)
    assert reference.kl_divergence(counts.tolist(), levels, bins) == pytest.approx(least, abs=1e-9)


@pytest.mark.parametrize("name", ["gelu_output", "layernorm_output", "query_weight"])
def test_equals_brute_force_on_real_tensors(name):
    h = Histogram(512).update(samples.load(name))
    clip, _ = brute_force(h, 128)
    assert entropy_range(h, INT8).rmax == clip


def test_an_array_is_its_histogram():
    x = samples.load("layernorm_output")
    assert entropy_range(x) == entropy_range(Histogram().update(x))


def test_the_coarse_distribution_is_made_of_the_bins_inside_alone():
    """Were the outlier folded into both, every clip would look harmless and the first be taken."""
    counts = [round(4000 * 0.7**j) for j in range(16)] + [0] * 15 + [10]

    def folded(clip):
        inside = [*counts[: clip - 1], counts[clip - 1] + sum(counts[clip:])]
        return reference.kl_divergence(inside, 4, clip)

    x = np.repeat(np.arange(32) + 0.5, counts)
    h = Histogram(32).update(x)
    assert h.magnitudes()[0].tolist() == counts
    assert min(range(4, 33), key=folded) == 4
    assert entropy_range(h, IntGrid(-3, 3)).rmax == 8


def test_an_empty_bin_at_the_clip_is_infinitely_far():
    counts = [5, 5, 0, 5]
    assert math.isinf(reference.kl_divergence(counts, 2, 3))
    h = Histogram(4).update(np.repeat([0.5, 1.5, 3.5], 5))
    assert entropy_range(h, INT2).rmax in (2.0, 3.5)


def test_levels_follow_the_grid():
    x = np.abs(np.random.default_rng(0).standard_normal(20_000))
    h = Histogram(512).update(x)
    assert entropy_range(h, INT4).rmax == brute_force(h, 8)[0]
    assert entropy_range(h, UINT4) == (0.0, brute_force(h, 16)[0])
    both = Histogram(512).update(np.concatenate([x, -x]))
    assert entropy_range(both, UINT4).rmax == brute_force(both, 8)[0]


def test_the_mirror_image_has_the_same_clip():
    x = samples.load("gelu_output").ravel()[:5000] + np.float32(1e-4)  # no value on a bin's edge
    assert entropy_range(x) == entropy_range(-x)


def test_channels_one_by_one():
    x = samples.load("layernorm_output").T[:4]
    found = entropy_range(x, INT4, axis=0)
    assert found.rmax.tolist() == [entropy_range(channel, INT4).rmax for channel in x]


@pytest.mark.parametrize("grid", [INT2, INT8, INT8_NARROW, UINT8, INT16])
@pytest.mark.parametrize(
    "x",
    [
        [0.0, -0.0],
        [5.0] * 3,
        [-5.0] * 3,
        [10.0, 11.0],
        np.array([3e38, -3e38], np.float32),
        [1e300, -1e300, 1.0],
        [1.7e308, -1.7e308],
        [5e-324, 0.0],
        np.array([-128, 127], np.int8),
        1.5,
    ],
    ids=str,
)
def test_edge_inputs(x, grid):
    low, high = minmax_range(x)
    found = entropy_range(x, grid)
    assert 0 <= found.rmax <= max(-low, high)
    assert found.rmin in (-found.rmax, 0.0)
    if low == high:
        assert found.rmax == abs(high)


def test_bad_input():
    for nothing in ([], Histogram()):
        with pytest.raises(ValueError, match="empty"):
            entropy_range(nothing)
    with pytest.raises(ValueError, match="1 NaN"):
        entropy_range([np.nan, 1.0])
    with pytest.raises(ValueError, match="nothing but NaN"):
        entropy_range([np.nan], nan="ignore")
    with pytest.raises(ValueError, match="infinity"):
        entropy_range([np.inf])
    with pytest.raises(TypeError, match="complex"):
        entropy_range([1j])
