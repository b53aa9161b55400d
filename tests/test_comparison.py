"""`compare`: every choice tried, the best recommended, a thin tail named, any file without a traceback."""

import dataclasses
import json
import pickle
import re
import struct
import sys
import zipfile

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import save_file

from quantnotes import (
    INT4,
    INT8,
    Comparison,
    Survey,
    code_ledger,
    compare,
    formats,
    minmax_range,
    samples,
    symmetric_params,
)
from quantnotes.__main__ import main
from quantnotes.calibration import METHODS
from quantnotes.comparison import array, files
from quantnotes.comparison.files import open_tensors
from quantnotes.comparison.roles import _onnx_axes, role_by_name

GELU = samples.load("gelu_output")


@pytest.fixture(scope="module")
def gelu():
    return compare(GELU)


# --- one tensor ---------------------------------------------------------------------------------------------


def test_everything_is_tried_and_sorted(gelu):
    assert isinstance(gelu, Comparison)
    assert gelu.bits == (8, 4)
    asked = {(b, s, m) for b in (8, 4) for s in ("asymmetric", "symmetric") for m in METHODS}
    assert {(t.bits, t.scheme, t.method) for t in gelu.trials} == asked
    assert len(gelu.trials) == 20
    order = [(-t.bits, -t.ledger.sqnr_db) for t in gelu.trials]
    assert order == sorted(order)


def test_a_trial_is_what_the_functions_give(gelu):
    plain = gelu.trial(8, "symmetric", "minmax")
    assert plain.range == minmax_range(GELU)
    assert plain.params == symmetric_params(*minmax_range(GELU), INT8)
    assert plain.ledger.sqnr_db == code_ledger(GELU, plain.params).sqnr_db
    with pytest.raises(ValueError, match="no trial"):
        gelu.trial(8, "symmetric", "kl")


def test_the_recommendation_is_simple_and_close_to_the_best():
    weight = compare(samples.load("dense1_weight"), bits=8)
    assert weight.trials[0].scheme == "asymmetric"
    best = weight.best()
    assert (best.scheme, best.method) == ("symmetric", "mse")
    assert best.ledger.sqnr_db > weight.trials[0].ledger.sqnr_db - 0.5
    probabilities = compare(samples.load("attention_probabilities"), bits=8)
    assert (probabilities.best().scheme, probabilities.best().method) == ("asymmetric", "minmax")
    with pytest.raises(ValueError, match="bits must be one of"):
        probabilities.best(3)


def test_a_thin_tail_is_reported_with_its_place(gelu):
    tail = gelu.tail
    assert (tail.count, tail.total, tail.thin) == (1, GELU.size, True)
    assert tail.largest[0] == ((0, 856), GELU.max())
    assert tail.rest == np.sort(np.abs(GELU), axis=None)[-2]
    assert "(0, 856)" in gelu.recommendation
    assert "cannot tell" in gelu.recommendation


def test_a_spike_is_neither_kept_nor_dropped_in_silence():
    x = np.random.default_rng(0).standard_normal((100, 100))
    assert not compare(x, bits=8).tail.thin
    x[3, 7] = -1000.0
    spiked = compare(x, bits=8)
    assert spiked.tail.largest == (((3, 7), -1000.0),)
    assert "-1000 at (3, 7)" in str(spiked)


def test_the_recommendation_in_full():
    """Every sentence, word for word: people act on it."""
    spread = [*range(-50, 51)]
    for x, sets in (
        ([*spread, 1000.0], "one value of 102 sets the range: 1000 at (101,); "),
        (
            [*spread * 200, 1000.0, -900.0],
            "2 values of 20,202 set the range: 1000 at (20200,), -900 at (20201,); ",
        ),
        (
            [*spread * 600, 600, 700, 1000, -900],
            "4 values of 60,604 set the range: 1000 at (60602,), -900 at (60603,), 700 at (60601,), ...; ",
        ),
    ):
        found = compare(x, bits=8)
        first, tail = found.recommendation.splitlines()
        best, top = found.best(), found.trials[0]
        words = f"8 bits: {best.scheme}, {best.method}, {best.ledger.sqnr_db:.1f} dB; "
        gap = top.ledger.sqnr_db - best.ledger.sqnr_db
        better = f"{top.scheme}, {top.method} is better by {gap:.1f} dB and less simple."
        assert first == words + (better if gap >= 0.05 else "no other choice is better.")
        assert tail == (
            f"A thin tail: {sets}without, the largest magnitude is 50. The tensor alone cannot tell whether "
            "that is noise or signal. Does it come back on other data, at the same place? Does what follows "
            "miss it? Measure there before you cut it off."
        )
    weight = np.ldexp(np.arange(1.0, 65), np.arange(64) // 32 * 4) * np.array([[1], [16]])
    found = compare(weight, bits=(4, 8), role="weight")
    names = {
        None: "{0.scheme}, {0.method}, one scale {0.ledger.sqnr_db:.1f} dB",
        0: "{0.scheme}, {0.method}, a scale for each index of axis 0",
        1: "{0.scheme}, {0.method}, a scale for every 32 values along axis 1",
    }
    each = {
        (bits, axis): max(
            (t for t in found.trials if (t.bits, t.params.axis) == (bits, axis)),
            key=lambda trial: trial.ledger.sqnr_db,
        )
        for bits, axis in [(8, None), (4, None), (4, 0)]
    }
    eight, four = found.best(8), found.best(4)
    assert (eight.params.axis, four.params.axis) == (0, 1)
    coarser = [names[None].format(each[bits, None]) for bits in (8, 4)]
    axis_0 = f"{names[0].format(each[4, 0])} {each[4, 0].ledger.sqnr_db:.1f} dB"
    assert found.recommendation.splitlines() == [
        f"8 bits: {names[0].format(eight)}, {eight.ledger.sqnr_db:.1f} dB. With fewer scales: {coarser[0]}.",
        f"4 bits: {names[1].format(four)}, {four.ledger.sqnr_db:.1f} dB at {four.bits_per_value:.3g} bits a "
        f"value. With fewer scales: {axis_0}; {coarser[1]}.",
        "Axis 0 is the outputs, where a weight is (outputs, inputs, ...); scales of a weight's outputs cost "
        "nothing at run time. Groups need a kernel that knows them.",
    ]
    given = compare(weight, bits=8, role="activation", channel_axis=0).recommendation.splitlines()
    assert given[1:] == ["Axis 0 was given."]
    hint = compare(weight, bits=8)
    assert hint.recommendation.splitlines()[1:] == [
        f"A scale for each index of an axis (symmetric, min-max): axis 1 {hint.finer[1]:.1f} dB. A weight's "
        "output axis costs nothing at run time; for an activation, a scale for each token is taken while the "
        "network runs."
    ]
    assert compare([0.0, 0.0], formats.E4M3).recommendation == (
        "8 bits: E4M3, symmetric, minmax; every value is exact."
    )
    assert compare([0.0, 0.0], bits=8).recommendation == "8 bits: symmetric, minmax; every value is exact."


def test_a_broad_or_empty_tail_is_not_reported():
    assert not compare([1.0, 2.0, 3.0]).tail.thin
    zeros = compare(np.zeros(100))
    assert (zeros.tail.count, zeros.tail.thin) == (0, False)
    assert zeros.best().ledger.sqnr_db == np.inf


def test_finer_scales(gelu):
    assert set(gelu.finer) == {0, 1}
    expected = code_ledger(GELU, symmetric_params(*minmax_range(GELU, axis=0), INT8, axis=0)).sqnr_db
    assert gelu.finer[0] == expected
    assert gelu.worthwhile == gelu.finer
    assert "axis 0" in gelu.recommendation
    assert compare(GELU[0], bits=8).finer == {}


def test_text_and_html(gelu):
    lines = str(gelu).splitlines()
    assert re.split(" {2,}", lines[0])[:5] == ["bits", "scheme", "method", "range", "codes used"]
    assert len({len(line) for line in lines[:21]}) == 1
    page = gelu._repr_html_()
    assert page.startswith("<table>")
    assert page.count("<tr>") == 21
    assert "&quot;" not in lines[-1]
    assert "(0, 856)" in page
    assert pickle.loads(pickle.dumps(gelu)).recommendation == gelu.recommendation


def test_a_long_array_is_ranged_by_its_histogram():
    x = np.random.default_rng(0).standard_normal(2**20 + 1).astype(np.float32)
    long, short = compare(x, bits=8), compare(x[1:], bits=8)
    for trial in short.trials:
        other = long.trial(8, trial.scheme, trial.method)
        assert other.ledger.sqnr_db == pytest.approx(trial.ledger.sqnr_db, abs=1.0)


@pytest.mark.parametrize(
    "x",
    [
        5.0,
        [-5.0] * 4,
        [1e-40, -1e-40],
        np.array([3e38, -3e38], np.float32),
        np.array([6e4, -6e4], np.float16),
        np.array([1, 2], ml_dtypes.bfloat16),
        np.array([-128, 127], np.int8),
        [True, False],
        np.ones((3, 1, 2)),
        [1.7e308, -1.7e308],
    ],
    ids=str,
)
def test_edge_inputs(x):
    found = compare(x, bits=(16, 2))
    assert found.bits == (16, 2)
    assert str(found)


def test_formats_of_one_width_are_in_the_order_of_their_names():
    """Where none is better; whatever the order in which they are asked for."""
    asked = [formats.E5M2, formats.E4M3FNUZ, 8, formats.E4M3, formats.E5M2FNUZ]
    for bits in (asked, asked[::-1]):
        found = compare([0.0, 0.0], bits)
        assert list(dict.fromkeys(trial.form for trial in found.trials)) == [
            *("E4M3", "E4M3FNUZ", "E5M2", "E5M2FNUZ"),
            "",
        ]


def test_words_for_what_is_exact_or_close():
    assert "every value is exact" in compare(np.full(30, 5.0)).recommendation
    weight = compare(samples.load("query_weight"))
    assert weight.recommendation.startswith("8 bits: symmetric, mse, 36.6 dB; no other choice is better.")
    norm = compare(samples.load("layernorm_output"), bits=8).recommendation
    assert "asymmetric, mse is better by 0.4 dB and less simple" in norm


def test_short_at_the_prompt(gelu):
    assert repr(gelu) == str(gelu)
    low, high = gelu.best().range
    assert repr(gelu.best()) == f"Trial(8 bits, asymmetric, mse, {low:.4g} .. {high:.4g}, 20.7 dB)"


def test_bad_input():
    for bad, message in (([], "empty"), ([np.nan], "1 NaN.*drop them first"), ([np.inf], "infinity")):
        with pytest.raises(ValueError, match=message):
            compare(bad)
    with pytest.raises(ValueError, match="bits"):
        compare([1.0], bits=17)
    with pytest.raises(ValueError, match="bits is empty"):
        compare([1.0], bits=())
    for bits in (8.0, (8.0,), "8"):
        with pytest.raises(TypeError, match="bits must be an integer"):
            compare([1.0], bits=bits)
    with pytest.raises(TypeError, match="tensor names one"):
        compare([1.0], tensor="w")
    with pytest.raises(TypeError, match="complex"):
        compare([1j])


# --- weights ------------------------------------------------------------------------------------------------

WEIGHT = np.random.default_rng(1).standard_normal((16, 160)).astype(np.float32)
WEIGHT *= np.geomspace(0.1, 30, 16, dtype=np.float32)[:, None]


def scales_of(found, bits):
    return {(t.params.axis, t.params.block_size) for t in found.trials if t.bits == bits}


def test_a_weight_gets_finer_scales():
    found = compare(WEIGHT, role="weight")
    assert scales_of(found, 8) == {(None, None), (0, None)}
    assert scales_of(found, 4) == {(None, None), (0, None), (1, 128), (1, 32)}
    for scales in scales_of(found, 4):
        methods = {
            t.method for t in found.trials if t.bits == 4 and (t.params.axis, t.params.block_size) == scales
        }
        assert {"minmax", "mse"} <= methods
    best = found.best(8)
    assert best.params.axis == 0
    one = max(t.ledger.sqnr_db for t in found.trials if t.bits == 8 and t.params.axis is None)
    assert best.ledger.sqnr_db > one + 0.5
    assert "index of axis 0" in found.recommendation
    assert "Axis 0 is the outputs" in found.recommendation
    assert found.finer == {}


def test_finer_trials_are_what_the_functions_give():
    found = compare(WEIGHT, role="weight", bits=4)
    channel = found.trial(4, "symmetric", "minmax", axis=0)
    assert channel.params == symmetric_params(*minmax_range(WEIGHT, axis=0), INT4, axis=0)
    groups = found.trial(4, "symmetric", "minmax", axis=1, block_size=32)
    blocks = {"axis": 1, "block_size": 32}
    assert groups.params == symmetric_params(*minmax_range(WEIGHT, **blocks), INT4, **blocks)
    assert groups.ledger.sqnr_db == code_ledger(WEIGHT, groups.params).sqnr_db
    assert groups.bits_per_value == 4.5
    assert channel.bits_per_value == 4.1
    with pytest.raises(ValueError, match="no trial of 4 bits, symmetric, minmax, axis 1, block_size 64"):
        found.trial(4, "symmetric", "minmax", axis=1, block_size=64)


def test_one_scale_where_more_gain_nothing():
    """Every channel has the same ends: one scale is as good, and simpler."""
    even = np.tile(np.linspace(-1, 1, 256, dtype=np.float32), (4, 1))
    assert compare(even, role="weight", bits=8).best().params.axis is None


def test_the_channel_axis_can_be_given():
    found = compare(WEIGHT.T, channel_axis=-1, bits=8)
    assert scales_of(found, 8) == {(None, None), (1, None)}
    assert found.best().params.axis == 1
    assert "Axis 1 was given" in found.recommendation
    assert scales_of(compare(WEIGHT.T, role="weight", channel_axis=1), 4) == {
        (None, None), (1, None), (0, 128), (0, 32),
    }  # fmt: skip
    assert scales_of(compare(WEIGHT, role="activation"), 4) == {(None, None)}
    assert scales_of(compare(WEIGHT[0], role="weight"), 4) == {(None, None)}
    for bad, message in (({"channel_axis": 2}, "channel_axis 2"), ({"role": "bias"}, "role must be")):
        with pytest.raises(ValueError, match=message):
            compare(WEIGHT, **bad)
    with pytest.raises(TypeError, match="channel_axis"):
        compare(WEIGHT, channel_axis="0")


def test_a_large_weight_is_looked_at_in_pieces(monkeypatch):
    whole = compare(WEIGHT, role="weight")
    monkeypatch.setattr(array, "_PIECE", 300)
    pieces = compare(WEIGHT, role="weight")
    assert [t.params for t in pieces.trials] == [t.params for t in whole.trials]
    monkeypatch.setattr(array, "_KEPT", 10)
    few = compare(WEIGHT, role="weight")
    for bits in (8, 4):
        assert few.best(bits).ledger.sqnr_db >= whole.best(bits).ledger.sqnr_db
    assert len(few.trials) < len(whole.trials)
    monkeypatch.setattr(array, "_FEW_SCALES", 1)
    assert {t.method for t in compare(WEIGHT, role="weight").trials if t.params.axis is not None} <= {
        "minmax",
        "mse",
    }


def mirrored(x):
    """Return values and their negatives in turn: an asymmetric range gains next to nothing."""
    return np.stack([x, -x], axis=-1).reshape(len(x), -1)


@pytest.mark.parametrize(
    ("weight", "searched"),
    [
        (mirrored(np.random.default_rng(0).standard_normal((32, 160))), {"symmetric"}),
        (np.abs(np.random.default_rng(0).standard_normal((32, 320))), set()),
    ],
)
def test_of_many_groups_a_search_is_made_where_it_may_be_recommended(monkeypatch, weight, searched):
    def groups_of_32(found):
        return {t.scheme: t.ledger for t in found.trials if t.method == "mse" and t.params.block_size == 32}

    found = compare(weight, 4, role="weight")
    assert set(groups_of_32(found)) == searched
    monkeypatch.setattr(array, "_FEW_SCALES", weight.size)
    whole = compare(weight, 4, role="weight")
    assert repr(found.best()) == repr(whole.best())
    for scheme in searched:
        assert groups_of_32(found)[scheme].mse == groups_of_32(whole)[scheme].mse


@pytest.mark.parametrize(
    ("name", "ndim", "ending", "axes"),
    [
        ("encoder.layer.0.output.dense.weight", 2, ".safetensors", (0, 1)),
        ("embeddings.word_embeddings.weight", 2, ".safetensors", (0, 1)),
        ("conv.weight", 4, ".safetensors", (0, 1)),
        ("q", 2, ".safetensors", (0, 1)),
        ("attn.bias", 4, ".safetensors", None),
        ("norm.weight", 1, ".safetensors", None),
        ("dense/kernel", 2, ".npz", (1, 0)),
        ("conv/kernel", 4, ".npz", (3, 2)),
        ("w1", 2, ".npz", (0, 1)),
        ("query_weight", 2, ".npy", (0, 1)),
        ("hidden_states", 3, ".npz", None),
        ("arr_0", 2, ".npz", None),
        ("norm", 2, ".npz", None),
    ],
)
def test_a_weight_is_known_by_name_and_rank(name, ndim, ending, axes):
    role = role_by_name(name, ndim, ending)
    assert (role.name == "weight") == (axes is not None)
    assert (role.channel_axis, role.input_axis) == (axes or (None, None))


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
def test_the_axes_of_recurrent_weights(kind):
    """(directions, outputs, inputs), for the input and for the state; the bias has none."""
    found = [_onnx_axes(kind, place, 3, {}) for place in range(5)]
    assert found == [None, (1, 2), (1, 2), None, None]
    assert _onnx_axes(kind, 3, 2, {}) is None


def test_a_file_says_which_tensors_are_weights(tmp_path):
    np.savez(tmp_path / "m.npz", weight=WEIGHT, hidden=WEIGHT)
    found = compare(tmp_path / "m.npz", bits=8)
    assert found.comparisons["weight"].best().params.axis == 0
    assert found.comparisons["hidden"].best().params.axis is None
    both = compare(tmp_path / "m.npz", bits=8, role="weight", channel_axis=1)
    assert {scale for c in both.comparisons.values() for scale in scales_of(c, 8)} == {
        (None, None),
        (1, None),
    }


def trial(scheme, method, sqnr):
    ledger = code_ledger([0.5, 1.0], symmetric_params(-1.0, 1.0, INT8))
    return array.Trial(8, scheme, method, minmax_range([0.5, 1.0]), dataclasses.replace(ledger, sqnr_db=sqnr))


def test_symmetric_counts_before_minmax():
    """Within half a decibel: symmetric first, and only then min-max."""
    trials = (
        trial("asymmetric", "mse", 30.0),
        trial("asymmetric", "minmax", 29.9),
        trial("symmetric", "mse", 29.6),
        trial("symmetric", "minmax", 29.4),
    )
    found = dataclasses.replace(compare([0.5, 1.0], bits=8), trials=trials)
    assert found.best() is trials[2]
    assert dataclasses.replace(found, trials=trials[:2]).best() is trials[1]
    lost = tuple(trial(s, m, -np.inf) for s in array.SCHEMES for m in METHODS)
    assert "nan" not in str(dataclasses.replace(found, trials=lost))


def test_the_rest_is_what_lies_within_half_of_the_largest():
    tail = compare([*range(-50, 51), 1000.0, -900.0, 800.0, 700.0]).tail
    assert (tail.count, tail.rest) == (4, 50.0)
    assert tail.largest == (((101,), 1000.0), ((102,), -900.0), ((103,), 800.0))
    half = compare([4.0, 2.0, -4.0, 1.0]).tail
    assert (half.count, half.rest, half.largest) == (2, 2.0, (((0,), 4.0), ((2,), -4.0)))
    same = compare([3.0] * 5).tail
    assert (same.count, same.rest, same.largest[0]) == (5, 0.0, ((0,), 3.0))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("end", [-1, 1])
def test_no_table_prints_nan(dtype, end):
    x = np.array([0.1, -0.2, 0.3] * 9 + [end * np.finfo(dtype).max], dtype)
    for found in (compare(x), compare(np.stack([x, x[::-1]]), role="weight")):
        assert "nan" not in str(found)
        assert "inf dB" not in str(found)


# --- files --------------------------------------------------------------------------------------------------


def raw_safetensors(path, tensors):
    """Write a file byte by byte: the library cannot write every type that a checkpoint may hold."""
    header, blobs, start = {}, [], 0
    for name, (dtype, shape, data) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [start, start + len(data)]}
        start += len(data)
        blobs.append(data)
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(blobs))


@pytest.fixture
def checkpoint(tmp_path):
    """A file with one tensor of each kind that checkpoints hold."""
    path = tmp_path / "model.safetensors"
    values = np.array([[0.5, -1.25], [3.0, 2.0]])
    raw_safetensors(
        path,
        {
            "bf16": ("BF16", [2, 2], values.astype(ml_dtypes.bfloat16).tobytes()),
            "f16": ("F16", [2, 2], values.astype(np.float16).tobytes()),
            "f32": ("F32", [2, 2], values.astype(np.float32).tobytes()),
            "f8": ("F8_E4M3", [2], b"\x38\x38"),
            "ids": ("I64", [1], np.arange(1).tobytes()),
            "nan": ("F32", [1], np.float32(np.nan).tobytes()),
            "none": ("F32", [0, 3], b""),
            "scalar": ("F32", [], np.float32(2).tobytes()),
        },
    )
    return path


def test_a_checkpoint(checkpoint):
    found = compare(checkpoint, bits=8)
    assert isinstance(found, Survey)
    assert set(found.comparisons) == {"bf16", "f16", "f32", "scalar"}
    assert str(found.comparisons["bf16"]) == str(found.comparisons["f32"])
    assert set(found.skipped) == {"f8", "ids", "nan", "none"}
    assert "F8_E4M3" in found.skipped["f8"]
    assert "I64" in found.skipped["ids"]
    assert "1 NaN" in found.skipped["nan"]
    assert "empty" in found.skipped["none"]
    for shown in (str(found), found._repr_html_()):
        assert all(name in shown for name in ("bf16", "scalar", "skipped ids", "skipped f8"))
    assert isinstance(compare(checkpoint, bits=8, tensor="bf16"), Comparison)
    with pytest.raises(ValueError, match="F8_E4M3"):
        compare(checkpoint, tensor="f8")
    with pytest.raises(ValueError, match="no tensor 'w'; the file holds bf16, f16"):
        compare(checkpoint, tensor="w")


def test_npy_and_npz(tmp_path):
    x = np.random.default_rng(0).standard_normal((8, 8))
    np.save(tmp_path / "one.npy", x)
    np.savez(tmp_path / "two.npz", a=x, b=2 * x, ids=np.arange(3))
    np.savez(tmp_path / "single.npz", a=x)
    np.savez(tmp_path / "nothing.npz")
    alone = compare(x)
    assert str(compare(tmp_path / "one.npy")) == str(alone)
    assert str(compare(str(tmp_path / "single.npz"))) == str(alone)
    two = compare(tmp_path / "two.npz")
    assert list(two.comparisons) == ["a", "b"]
    assert "int64" in two.skipped["ids"]
    assert str(two.comparisons["a"]) == str(alone)
    with pytest.raises(ValueError, match="holds no tensor"):
        compare(tmp_path / "nothing.npz")


def damaged(folder):
    """Files of no use, each for a reason of its own."""
    files = {
        "text.txt": b"1 2 3",
        "empty.npy": b"",
        "empty.npz": b"",
        "empty.safetensors": b"",
        "text.npy": b"no array at all",
        "text.npz": b"no archive at all",
        "text.safetensors": b"\xff" * 40,
        "short.safetensors": struct.pack("<Q", 10**6) + b"{}",
        "header.npy": b"\x93NUMPY\x01\x00\x10\x00{'descr': oops}  ",
        "huge.npy": b"\x93NUMPY\x01\x00\x76\x00"
        + b"{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999, ), }".ljust(117)
        + b"\n",
    }
    for name, content in files.items():
        (folder / name).write_bytes(content)
    np.save(folder / "objects.npy", np.array([None, 1]), allow_pickle=True)
    np.savez(folder / "objects.npz", a=np.array([None, 1], dtype=object))
    np.save(folder / "codes.npy", np.arange(4))
    np.save(folder / "nan.npy", np.array([np.nan]))
    (folder / "folder.npy").mkdir()
    return [*files, "objects.npy", "objects.npz", "codes.npy", "nan.npy", "folder.npy", "missing.npy"]


def test_no_traceback_for_any_file(tmp_path, capsys):
    for name in damaged(tmp_path):
        with pytest.raises(ValueError):  # noqa: PT011  # each has its own words; that it is this error is the point
            compare(tmp_path / name)
        assert main(["compare", str(tmp_path / name)]) == 2, name
        shown = capsys.readouterr()
        assert len(shown.out + shown.err) > 10, name
        assert "Traceback" not in shown.err, name


def test_nobody_is_advised_to_trust_a_file(tmp_path):
    (tmp_path / "text.npy").write_bytes(b"no array at all")
    with pytest.raises(ValueError, match="no NumPy file"):
        compare(tmp_path / "text.npy")


def test_a_member_that_is_damaged_is_skipped(tmp_path):
    np.savez(tmp_path / "some.npz", good=np.ones(4), bad=np.array([None], dtype=object))
    found = compare(tmp_path / "some.npz")
    assert list(found.comparisons) == ["good"]
    assert "cannot be read" in found.skipped["bad"]


def test_missing_packages_are_named(checkpoint, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "safetensors", None)
    with pytest.raises(ModuleNotFoundError, match=r"quantnotes\[cli\]"):
        compare(checkpoint)
    assert main(["compare", str(checkpoint)]) == 2
    assert "quantnotes[cli]" in capsys.readouterr().err


def test_a_missing_package_for_onnx_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    wanted = 'an .onnx file needs the package onnx: pip install "quantnotes[onnx]"'
    with pytest.raises(ModuleNotFoundError, match=re.escape(wanted)):
        compare(tmp_path / "m.onnx")


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
def test_every_version_of_numpy_files(version, tmp_path):
    with (tmp_path / "x.npy").open("wb") as file:
        np.lib.format.write_array(file, GELU, version=version)
    with open_tensors(tmp_path / "x.npy") as (stored,):
        np.testing.assert_array_equal(stored.read(), GELU)


def test_bfloat16_without_its_package_is_skipped(checkpoint, monkeypatch):
    monkeypatch.setitem(sys.modules, "ml_dtypes", None)
    assert "quantnotes[cli]" in compare(checkpoint, bits=8).skipped["bf16"]


def test_bfloat16_keeps_every_value(checkpoint):
    with open_tensors(checkpoint) as stored:
        x = {each.name: each for each in stored}["bf16"].read()
    np.testing.assert_array_equal(x.astype(np.float32), [[0.5, -1.25], [3.0, 2.0]])


def test_bfloat16_of_numpy(tmp_path):
    """NumPy writes the type as V2."""
    x = np.array([[0.5, -1.25], [3.0, 2.0]], ml_dtypes.bfloat16)
    np.save(tmp_path / "x.npy", x)
    np.savez(tmp_path / "x.npz", x=x)
    np.savez_compressed(tmp_path / "packed.npz", x=x)
    for name in ("x.npy", "x.npz", "packed.npz"):
        assert str(compare(tmp_path / name)) == str(compare(x.astype(np.float32)))


def test_types_that_are_not_compared(tmp_path):
    np.savez(
        tmp_path / "x.npz",
        long=np.ones(2, np.longdouble),
        float8=np.ones(2, ml_dtypes.float8_e4m3fn),
        text=np.array(["a"]),
        pairs=np.zeros(2, [("a", np.uint8), ("b", np.uint8)]),
        complex=np.ones(2, np.complex64),
    )
    found = compare(tmp_path / "x.npz")
    assert len(found.skipped) == 5
    assert all("only float16, bfloat16, float32 and float64" in why for why in found.skipped.values())
    assert not found.failed
    np.save(tmp_path / "long.npy", np.ones(2, np.longdouble))
    with pytest.raises(ValueError, match="only float16"):
        compare(tmp_path / "long.npy")


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("in_memory", [0, 2**26])
def test_a_member_is_read_as_numpy_reads_it(order, save, in_memory, tmp_path, monkeypatch):
    monkeypatch.setattr(files, "_IN_MEMORY", in_memory)
    x = np.asarray(np.random.default_rng(0).standard_normal((5, 7)), order=order)
    save(tmp_path / "x.npz", x=x, scalar=np.float32(3), big=x.astype(">f4"))
    with open_tensors(tmp_path / "x.npz") as stored:
        found = {each.name: each.read() for each in stored}
        np.testing.assert_array_equal(found["x"], x)
        np.testing.assert_array_equal(found["big"], x.astype(np.float32))
        assert found["scalar"] == 3


def test_an_archive_is_closed(tmp_path):
    np.savez(tmp_path / "x.npz", a=np.ones(3), b=np.ones(3))
    with open_tensors(tmp_path / "x.npz") as stored:
        stored[0].read()
    with pytest.raises(ValueError, match=r"cannot be read.*closed"):
        stored[1].read()


def test_a_zip_that_is_no_archive_of_numpy(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr("folder/", "")
        archive.writestr("README.md", "hello")
        archive.writestr("text.npy", "hello")
    found = compare(tmp_path / "x.npz")
    assert found.skipped == {"README.md": "is no array", "text": "cannot be read: it is no NumPy file"}
    assert found.failed == {"text"}


@pytest.mark.parametrize(
    ("kind", "shape", "x", "ends", "flags"),
    [
        ("Conv", (4, 3, 2, 2), (1, 3, 5, 5), (1, 1), {}),
        ("ConvTranspose", (3, 4, 2, 2), (1, 3, 5, 5), (1, 1), {}),
        ("MatMul", (3, 4), (2, 3), (1, 1), {}),
        ("MatMul", (2, 3, 4), (2, 5, 3), (2, 2), {}),
        ("MatMul of W x", (4, 3), (3, 5), (0, 0), {}),
        ("Gemm", (3, 4), (2, 3), (1, 1), {}),
        ("Gemm", (4, 3), (2, 3), (1, 1), {"transB": 1}),
        ("Gemm of W x", (4, 3), (3, 5), (0, 0), {}),
        ("Gemm of W x", (3, 4), (3, 5), (0, 0), {"transA": 1}),
        ("RNN", (1, 4, 3), (5, 2, 3), (3, 2), {"hidden_size": 4}),
    ],
)
def test_the_axes_of_onnx_weights(kind, shape, x, ends, flags, tmp_path):
    """Without one place of an axis, one output is another, or one input is not seen."""
    onnx = pytest.importorskip("onnx")
    helper, rng = onnx.helper, np.random.default_rng(0)
    weight, data = rng.normal(size=shape).astype(np.float32), rng.normal(size=x).astype(np.float32)
    kind, _, turned = kind.partition(" of ")
    names = ["w", "x"] if turned else ["x", "w"]
    constants = {"w": weight}
    if kind == "RNN":
        names, constants = [*names, "r"], {"w": weight, "r": np.zeros((1, 4, 4), np.float32)}
    real = onnx.TensorProto.FLOAT

    def model(constants):
        graph = helper.make_graph(
            [helper.make_node(kind, names, ["y"], **flags)],
            "g",
            [helper.make_tensor_value_info("x", real, x)],
            [helper.make_tensor_value_info("y", real, None)],
            [onnx.numpy_helper.from_array(value, name) for name, value in constants.items()],
        )
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])

    def run(weight, data):
        from onnx.reference import ReferenceEvaluator

        return ReferenceEvaluator(model(constants | {"w": weight})).run(["y"], {"x": data})[0]

    def without(array, axis):
        changed = array.copy()
        np.moveaxis(changed, axis, 0)[1] = 0
        return changed

    onnx.save(model(constants), tmp_path / "m.onnx")
    with open_tensors(tmp_path / "m.onnx") as stored:
        (role,) = [each.role for each in stored if each.name == "w"]
    changed = run(weight, data) != run(without(weight, role.channel_axis), data)
    others = tuple(i for i in range(changed.ndim) if i != ends[0])
    assert changed.any(axis=others).tolist() == [False, True, False, False]
    np.testing.assert_allclose(
        run(without(weight, role.input_axis), data), run(weight, without(data, ends[1])), atol=1e-6
    )


def test_onnx(tmp_path):
    onnx = pytest.importorskip("onnx")
    helper, numpy_helper = onnx.helper, onnx.numpy_helper
    tensors = {
        "linear": WEIGHT.T,
        "gemm": WEIGHT,
        "half": WEIGHT.astype(np.float16),
        "ids": np.arange(3),
        "bias": WEIGHT[:, 0],
    }
    nodes = [
        helper.make_node("MatMul", ["x", "linear"], ["y"]),
        helper.make_node("Gemm", ["y", "gemm", "bias"], ["z"], transB=1),
        helper.make_node("Constant", [], ["c"], value=numpy_helper.from_array(WEIGHT, "inside")),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [],
        [],
        [numpy_helper.from_array(np.ascontiguousarray(x), name) for name, x in tensors.items()],
    )
    model = helper.make_model(graph)
    onnx.save(model, tmp_path / "m.onnx")
    onnx.save(model, tmp_path / "e.onnx", save_as_external_data=True, location="e.data", size_threshold=0)
    for name in ("m.onnx", "e.onnx"):
        with open_tensors(tmp_path / name) as stored:
            found = {each.name: each for each in stored}
            assert set(found) == {*tensors, "c"}
            assert {n: each.shape for n, each in found.items() if n != "c"} == {
                n: x.shape for n, x in tensors.items()
            }
            assert found["linear"].role.channel_axis == 1
            assert found["gemm"].role.channel_axis == 0
            np.testing.assert_array_equal(found["linear"].read(), WEIGHT.T)
            np.testing.assert_array_equal(found["half"].read(), tensors["half"])
            with pytest.raises(ValueError, match="holds INT64"):
                found["ids"].read()
    model = onnx.load(tmp_path / "e.onnx", load_external_data=False)
    del model.graph.initializer[1:]
    (first,) = model.graph.initializer
    kept = [entry for entry in first.external_data if entry.key == "location"]
    del first.external_data[:]
    first.external_data.extend(kept)  # no offset and no length: the whole file
    (tmp_path / "bare.onnx").write_bytes(model.SerializeToString())
    (tmp_path / "e.data").write_bytes(np.ascontiguousarray(WEIGHT.T).tobytes())
    with open_tensors(tmp_path / "bare.onnx") as stored:
        np.testing.assert_array_equal(stored[0].read(), WEIGHT.T)
    (tmp_path / "e.data").write_bytes(b"short")
    with open_tensors(tmp_path / "e.onnx") as stored, pytest.raises(ValueError, match="ends before"):
        stored[0].read()
    (tmp_path / "bad.onnx").write_bytes(b"no model")
    with pytest.raises(ValueError, match=r"bad\.onnx cannot be read"):
        compare(tmp_path / "bad.onnx")


# --- the command --------------------------------------------------------------------------------------------


def test_command_on_many_tensors_holds_one_at_a_time(tmp_path, capsys):
    """120 tensors, one table, and memory for the largest of them, not for all."""
    rng = np.random.default_rng(0)
    tensors = {f"layer.{i:03}": rng.standard_normal((10, 20)).astype(np.float32) for i in range(119)}
    tensors["large"] = rng.standard_normal((300, 400)).astype(np.float32)
    path = tmp_path / "many.safetensors"
    save_file(tensors, path)
    largest, total = tensors["large"].nbytes, sum(x.nbytes for x in tensors.values())
    del tensors
    assert main(["compare", str(path), "--bits", "8", "--role", "activation"]) == 0
    lines = capsys.readouterr().out.splitlines()
    names = ["large", *(f"layer.{i:03}" for i in range(119))]
    assert [line.split()[0] for line in lines[:121]] == ["tensor", *names]
    assert all("minmax" in line or "mse" in line for line in lines[1:121])
    assert total > 1.1 * largest


def test_command_on_one_tensor_prints_it_in_full(checkpoint, capsys):
    assert main(["compare", str(checkpoint), "--tensor", "f32", "--bits", "8", "4"]) == 0
    shown = capsys.readouterr().out
    assert shown.splitlines()[0].startswith("bits")
    assert "4 bits: " in shown


def test_command_says_what_was_wrong(checkpoint, capsys):
    assert main(["compare", str(checkpoint), "--tensor", "nobody"]) == 2
    assert "nobody" in capsys.readouterr().err
    assert main(["compare", str(checkpoint), "--bits", "40"]) == 2
    assert "bits" in capsys.readouterr().err
    with pytest.raises(SystemExit) as stop:
        main([])
    assert stop.value.code == 2


def test_a_bar_counts_values(monkeypatch, checkpoint, capsys):
    """tqdm with disable=None draws on a terminal alone; here it is asked what it was told."""
    import tqdm

    class Bar:
        def __init__(self, total, disable, **options):
            self.total, self.n = total, 0.0
            assert disable is None
            bars.append(self)

        def update(self, values):
            self.n += values

        def close(self):
            pass

        clear = refresh = close

    bars: list[Bar] = []
    monkeypatch.setattr(tqdm, "tqdm", Bar)
    main(["compare", str(checkpoint)])
    main(["compare", str(checkpoint), "--tensor", "f32"])
    assert [bar.total for bar in bars] == [4 + 4 + 4 + 2 + 1 + 1 + 0 + 1, 4]
    assert bars[1].n == pytest.approx(4)
    monkeypatch.setitem(sys.modules, "tqdm", None)
    assert main(["compare", str(checkpoint)]) == 1
    capsys.readouterr()
