"""The clip of least divergence: brute force over all clips, the two slips of its copies, edge inputs."""

import contextlib
import io

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
    code_ledger,
    entropy_range,
    minmax_range,
    samples,
    symmetric_params,
)
from quantnotes.entropy import clip_after, divergences


def values_inside(x, clip):
    x = np.abs(np.asarray(x, np.float64))
    return np.mean(x <= clip)


def away_from_zero():
    rng = np.random.default_rng(0)
    normal = rng.standard_normal(20_000)
    yield "one", rng.normal(1, 0.1, 100_000)
    yield "ten", rng.normal(10, 1, 1000)
    yield "five, and one 0", np.append(rng.normal(5, 0.3, 20_000), 0.0)
    yield "layernorm2_weight", samples.load("layernorm2_weight")
    yield "relu", np.maximum(normal, 0)
    yield "normal", normal
    yield "sparse", np.where(rng.random(20_000) < 0.995, 0, normal)
    yield "two values", np.repeat([1.0, 2.0], [990, 10])
    yield "tail", rng.standard_t(2, 20_000)
    yield "integers", rng.poisson(3, 5000)


AWAY = dict(away_from_zero())


@pytest.mark.parametrize("name", AWAY)
def test_no_more_is_clipped_than_the_width_allows(name):
    """A clip at the first bin that is not empty has no divergence: that alone would clip nearly all."""
    x = AWAY[name]
    for grid, share in [(INT2, 0.95), (INT4, 0.95), (IntGrid.of(5), 0.99), (INT8, 0.99), (INT16, 0.99)]:
        for source in (x, Histogram().update(x)):
            low, high = entropy_range(source, grid)
            assert low == -high
            assert values_inside(x, high) >= share, (grid, high)


@given(strategies.arrays(st.integers(-30, 30), np.float64, 1, 300), st.sampled_from([INT4, INT8]))
def test_one_more_value_clips_no_more(x, grid):
    for data in (x, np.append(x, 0.0), np.append(x, 1.0)):
        assert values_inside(data, entropy_range(data, grid).rmax) >= (0.95 if grid == INT4 else 0.99)


def decibels(x, clip):
    return code_ledger(x, symmetric_params(-clip, clip, INT8)).sqnr_db


def test_data_away_from_zero_lose_nothing():
    for name in ("one", "ten", "five, and one 0", "layernorm2_weight", "relu"):
        x = AWAY[name]
        assert decibels(x, entropy_range(x).rmax) >= decibels(x, np.abs(x).max()) - 0.1


def test_exact_zeros_do_not_move_the_clip():
    x = AWAY["normal"]
    for source in (x, np.abs(x)):
        assert entropy_range(np.append(source, np.zeros(50_000))) == entropy_range(source)


def test_of_equally_good_clips_the_widest():
    """Clipped after the first 990 of 1000 values, or not at all, P is Q."""
    counts = np.zeros((1, 64), np.int64)
    counts[0, [40, 60]] = 990, 10
    both = np.array([41, 61])
    assert np.ptp(divergences(counts, 32, np.zeros(2, int), both)) == 0
    assert clip_after(counts, np.array([61.0]), 32, 0.99) == 61


@given(
    strategies.arrays(st.integers(0, 40), np.int64, 70, 70), st.sampled_from([2, 8, 16]), st.integers(0, 60)
)
def test_divergences_are_those_of_the_definition(counts, levels, tail):
    counts[70 - tail :] //= 20
    clips = np.flatnonzero(counts[levels - 1 :]) + levels
    found = divergences(counts[None], levels, np.zeros(clips.size, int), clips)
    for divergence, clip in zip(found, clips, strict=True):
        assert divergence == pytest.approx(
            reference.kl_divergence(counts.tolist(), levels, int(clip)), abs=1e-9
        )


@pytest.mark.parametrize("name", ["gelu_output", "layernorm_output", "query_weight", "dense1_weight"])
def test_the_divergence_is_near_the_least(name):
    x = np.abs(samples.load(name).astype(np.float64)).ravel()
    counts, edges = np.histogram(x, 1024, (0, x.max()))
    group, clips = np.zeros(1024, int), np.arange(1, 1025)
    some = (np.cumsum(counts) >= 0.99 * x.size) & (counts > 0) & (clips >= 128)
    every = divergences(counts[None], 128, group[some], clips[some])
    near = np.abs(edges[1:][some] - entropy_range(x.astype(np.float32), INT8, axis=None).rmax)
    assert every[np.argsort(near)[:8]].min() <= every.min() + 0.2


def test_not_below_onnxruntime():
    calibrate = pytest.importorskip("onnxruntime.quantization.calibrate")
    for name in (
        "layernorm_output",
        "gelu_output",
        "dense1_bias",
        "layernorm2_weight",
        "attention_probabilities",
    ):
        x = samples.load(name)
        collector = calibrate.HistogramCollector("entropy", True, 2048, 128, 99.99, "same")
        with contextlib.redirect_stdout(io.StringIO()):
            collector.collect({"x": [x]})
            low, high = collector.compute_entropy()["x"][:2]
        theirs = float(max(-low, high))
        assert decibels(x, entropy_range(x).rmax) >= decibels(x, theirs) - 0.01, name


def test_levels_follow_the_grid():
    x = np.abs(np.random.default_rng(0).standard_normal(20_000))
    both = np.concatenate([x, -x])
    assert entropy_range(x, UINT4) == (0.0, entropy_range(x, IntGrid(-15, 15)).rmax)
    assert entropy_range(both, UINT4).rmax == entropy_range(both, INT4).rmax


def test_the_asymmetric_scheme_cuts_the_clip_down_to_the_data():
    x = np.random.default_rng(0).standard_normal(20_000)
    for one in (x.clip(-1), np.abs(x), -np.abs(x)):
        low, high = entropy_range(one, INT8, "asymmetric")
        assert (low >= one.min(), high <= one.max()) == (True, True)
    assert entropy_range(np.abs(x), INT8, "asymmetric").rmax == entropy_range(np.abs(x), UINT8).rmax
    assert entropy_range(-np.abs(x), INT8, "asymmetric").rmin == -entropy_range(np.abs(x), UINT8).rmax


def test_groups_are_as_each_alone():
    x = samples.load("layernorm_output").T[:200]
    found = entropy_range(x, INT4, axis=0)
    some = [0, 127, 128, 199]
    assert found.rmax[some].tolist() == [entropy_range(x[c], INT4).rmax for c in some]
    blocks = entropy_range(x, INT4, axis=1, block_size=64)
    assert blocks.rmax[3, 1] == entropy_range(x[3, 64:128], INT4).rmax


def test_an_array_is_its_histogram():
    x = samples.load("layernorm_output")
    assert entropy_range(x) == entropy_range(Histogram().update(x))


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
