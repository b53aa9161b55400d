"""The clip of least divergence: brute force over all clips, the two slips of its copies, edge inputs."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
import reference
import strategies
from hypothesis import example, given
from hypothesis import strategies as st

from quantnotes import (
    INT2,
    INT4,
    INT8,
    INT8_NARROW,
    INT16,
    UINT4,
    UINT8,
    Calibrator,
    Histogram,
    IntGrid,
    code_ledger,
    entropy_range,
    minmax_range,
    samples,
    symmetric_params,
)
from quantnotes.entropy import clip_after, divergences

TOOLS = Path(__file__).parent.parent / "tools"
CLIPS = json.loads((Path(__file__).parent / "data" / "entropy_clips.json").read_text(encoding="utf-8"))


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


def test_only_few_codes_may_clip_more_than_a_hundredth():
    """Up to 16 codes 5 %, from 17 on 1 %."""
    x = AWAY["normal"]
    assert 0.95 <= values_inside(x, entropy_range(x, INT4).rmax) < 0.99
    assert values_inside(x, entropy_range(x, IntGrid(-8, 8)).rmax) >= 0.99


def decibels(x, clip, grid=INT8):
    return code_ledger(x, symmetric_params(-clip, clip, grid)).sqnr_db


def test_data_away_from_zero_lose_nothing():
    for name in ("one", "ten", "five, and one 0", "layernorm2_weight", "relu"):
        x = AWAY[name]
        assert decibels(x, entropy_range(x).rmax) >= decibels(x, np.abs(x).max()) - 0.1


def test_exact_zeros_do_not_move_the_clip():
    x = AWAY["normal"]
    for source in (x, np.abs(x)):
        assert entropy_range(np.append(source, np.zeros(50_000))) == entropy_range(source)


def test_zeros_leave_data_on_one_side():
    """On an unsigned grid: a smallest value of exactly 0 is no negative one."""
    x = np.abs(AWAY["normal"])
    for source in (x, np.append(x, 0.0)):
        low, high = entropy_range(source, UINT8)
        assert (low, high) == (0, entropy_range(x, UINT8).rmax)


def test_of_equally_good_clips_the_widest():
    """With codes 0 and 1, a clip of 72 costs 63 * 8**2 + 504**2; one of 576 as much, 63 * 64**2."""
    assert entropy_range([64.0] * 63 + [576.0], IntGrid(-1, 1)) == (-576, 576)
    assert entropy_range([64.0] * 63 + [577.0], IntGrid(-1, 1)) == (-577, 577)
    assert entropy_range([64.0] * 63 + [575.0], IntGrid(-1, 1)) == (-72, 72)


@given(
    strategies.arrays(st.integers(0, 40), np.int64, 70, 70), st.sampled_from([2, 8, 16]), st.integers(0, 60)
)
def test_divergences_are_those_of_the_definition(counts, levels, tail):
    counts[70 - tail :] //= 20
    clips = np.arange(max(levels, 1 + np.argmax(counts > 0)), 71) if counts.any() else np.array([], int)
    found = divergences(counts[None], levels, np.zeros(clips.size, int), clips)
    for divergence, clip in zip(found, clips, strict=True):
        assert divergence == pytest.approx(
            reference.kl_divergence(counts.tolist(), levels, int(clip)), abs=1e-9
        )


@example(np.array([40] * 8 + [1] + [0] * 15), 8, 0.9)
@given(
    strategies.arrays(st.integers(0, 40), np.int64, 24, 24),
    st.sampled_from([2, 4, 8]),
    st.sampled_from([0.3, 0.9]),
)
def test_the_clip_is_that_of_the_definition(counts, levels, share):
    """From as many bins as levels on: of the divergences near the least, the least squared error."""
    middles, running = np.arange(24) + 0.5, np.cumsum(counts)
    last = int(np.max(np.arange(1, 25) * (counts > 0)))
    found = int(clip_after(counts[None], (counts * middles)[None], np.array([last]), levels, share)[0])
    tried = [c for c in range(levels, last + 1) if running[c - 1] >= share * running[-1]]
    if len(tried) < 2:
        assert found == last
        return

    def error(clip):
        step = clip / (levels - 1)
        return np.sum(counts * (middles - np.minimum(np.rint(middles / step), levels - 1) * step) ** 2)

    divergence = {clip: reference.kl_divergence(counts.tolist(), levels, clip) for clip in tried}
    near = [clip for clip in tried if divergence[clip] <= min(divergence.values()) + 0.05 - 1e-9]
    assert divergence[found] <= min(divergence.values()) + 0.05 + 1e-9
    assert error(found) <= min(map(error, near)) * (1 + 1e-9)


def of_magnitudes(x):
    """Counts of the magnitudes that are not 0, and the width of their bins: 2048 between the data's ends."""
    x = np.asarray(x, np.float64).ravel()
    width = Histogram().update([x.min(), x.max(), *np.linspace(x.min(), x.max(), 2048)]).width
    bins = np.floor(np.abs(x[x != 0]) / width).astype(int)
    return np.bincount(bins), width


@pytest.mark.parametrize(
    ("name", "grid", "share"),
    [
        ("gelu_output", INT8, 0.99),
        ("gelu_output_2", INT8, 0.99),
        ("attention_probabilities", INT4, 0.95),
        ("layernorm_output", INT4, 0.95),
    ],
)
def test_the_least_squared_error_among_divergences_near_the_least(name, grid, share):
    x, levels = samples.load(name), grid.qmax + 1
    counts, width = of_magnitudes(x)
    clips = np.arange(levels, counts.size + 1)
    clips = clips[np.cumsum(counts)[clips - 1] >= share * counts.sum()]
    every = divergences(counts[None], levels, np.zeros(clips.size, int), clips)
    near = every <= every.min() + 0.05
    assert not near.all()
    found = entropy_range(x, grid).rmax
    assert near[np.searchsorted(clips * width, found)]
    some = clips[near][:: -(-clips.size // 40)] * width
    assert decibels(x, found, grid) >= max(decibels(x, clip, grid) for clip in some) - 0.02


@pytest.mark.parametrize("name", CLIPS)
def test_not_below_onnxruntime(name):
    """Its collector with as many bins and levels as ours: tools/make_entropy_oracle.py."""
    x = samples.load(name)
    assert decibels(x, entropy_range(x).rmax) >= decibels(x, CLIPS[name]) - 0.01


def test_the_clips_of_onnxruntime_are_its_own():
    pytest.importorskip("onnxruntime")
    spec = importlib.util.spec_from_file_location("make_entropy_oracle", TOOLS / "make_entropy_oracle.py")
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    names = [name for name in samples.names() if samples.load(name).dtype.kind == "f"]
    assert CLIPS.keys() == {name for name in names if np.ptp(samples.load(name)) > 0}
    for name in ("gelu_output_2", "query_weight", "digits_b3"):
        assert tool.clip(samples.load(name)) == pytest.approx(CLIPS[name])


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


def test_many_channels_of_a_calibrator_are_as_each_alone():
    x = samples.load("layernorm_output").T[:200]
    found = Calibrator("entropy", INT4, "symmetric", axis=0).observe(x).range()
    assert found.rmax.tolist() == entropy_range(x, INT4, axis=0).rmax.tolist()


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
