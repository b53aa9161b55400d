"""Rebuild notebooks/data/layers.csv and cures.csv: what folded weights cost a real convolutional network.

    python -m pip install -e ".[onnx]"
    python tools/make_convolution.py            # write the tables
    python tools/make_convolution.py --check    # compute the first draw anew, compare with the files

The text-direction classifier of the samples, folded. A draw is 464 lines of text, the first 64 to
calibrate, the rest to test: draw 0 is that of the samples, `text_lines.draw` draws the others. Weights are
symmetric, 8 bits, -127 to 127, min-max.

layers.csv: each layer's weight quantized alone, the rest in floats, on 40 lines: with one scale or a scale
for each channel, SQNR in dB of the layer's output and of the two scores, which share of the layer's error
is a shift of the mean of a channel, and how many answers are those of the float network.

cures.csv: the whole network on 400 lines: SQNR of the scores in dB, on how many the answer is that of the
float network, and how many answers are right. Its settings that name a padding quantize the activations
too, min-max asymmetric on uint8, weights by channel, and pad the codes with Z or with 0.

Not covered: other networks; how ranges of activations are chosen.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import text_lines
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from table_files import read_rows, write_rows

from quantnotes import (
    INT8_NARROW,
    bias_correction,
    equalize,
    fake_quantize,
    minmax_range,
    samples,
    symmetric_params,
)
from quantnotes.network import prepare_lines
from quantnotes.onnx_model import fold, observe, quantize, session
from quantnotes.onnx_model.graph import with_outputs

DATA = Path(__file__).resolve().parent.parent / "notebooks" / "data"
MODEL = samples.path("text_direction.onnx")
SCORES = "linear_1.tmp_1"  # before the softmax
DRAWS, CALIBRATE, ALONE, BATCH = 3, 64, 40, 20
LINES, SEED = 464, 110
Array = NDArray[Any]
Row = dict[str, str]
Weights = dict[str, Array]


@cache
def lines(draw: int) -> tuple[Array, Array]:
    """Return the prepared images of a draw, and which of them are turned."""
    if draw == 0:
        drawn = [samples.load(f"text_lines_{part}") for part in ("images", "widths", "turned")]
    else:
        drawn = list(text_lines.draw(LINES, SEED + draw))
    images, widths, turned = drawn
    return prepare_lines(images, widths), turned


@cache
def folded() -> onnx.ModelProto:
    """Return the classifier with its normalizations folded."""
    return fold(MODEL)


@cache
def layers() -> dict[str, onnx.NodeProto]:
    """Return the convolutions and the last layer by the names of their weights."""
    nodes = [node for node in folded().graph.node if node.op_type in ("Conv", "MatMul")]
    return {node.input[1]: node for node in nodes}


@cache
def arrays() -> Weights:
    """Return the folded weights and biases by name."""
    return {i.name: numpy_helper.to_array(i) for i in folded().graph.initializer}


@cache
def means(draw: int) -> Any:
    """Return what has been observed of the layers' inputs."""
    images = lines(draw)[0][:CALIBRATE]
    return observe(folded(), [{"x": images[i : i + BATCH]} for i in range(0, CALIBRATE, BATCH)])


def short(weight: str) -> str:
    """Return a layer's name as the table has it."""
    return "fc" if weight == "fc_0.w_0" else weight.removesuffix("_weights")


# --- what is done to the weights ----------------------------------------------------------------------------


def coded(weight: str, values: Array, per_channel: bool) -> Array:
    """Return the weight as its codes stand for it."""
    axis = None if not per_channel else 1 if layers()[weight].op_type == "MatMul" else 0
    params = symmetric_params(*minmax_range(values, axis=axis), INT8_NARROW, axis=axis)
    return fake_quantize(values, params, dtype=np.float64)


def all_coded(given: Weights, per_channel: bool, keep: tuple[str, ...] = ()) -> Weights:
    """Return the weights of all layers quantized, but for those that are kept."""
    return {name: coded(name, given[name], per_channel) for name in layers() if short(name) not in keep}


PAIRS = [("conv2_expand", "conv2_depthwise")]
PAIRS += [
    (f"conv{i}_{a}", f"conv{i}_{b}")
    for i in (3, 4)
    for a, b in (("expand", "depthwise"), ("depthwise", "linear"))
]
CURVED = [(f"conv{i}_expand", f"conv{i}_depthwise") for i in range(5, 13)]


def equalized(pairs: list[tuple[str, str]]) -> Weights:
    """Return all weights and biases, with factors moved between the layers of each pair."""
    new: dict[str, Any] = {
        name: x.astype(np.float64) for name, x in arrays().items() if x.dtype == np.float32
    }
    for _ in range(3):  # a layer between two pairs is in both
        for a, b in pairs:
            first, second = f"{a}_weights", f"{b}_weights"
            bias = layers()[first].input[2]
            groups = len(new[second]) if b.endswith("depthwise") else 1
            new[first], new[bias], new[second] = equalize(new[first], new[bias], new[second], groups=groups)
    return new


def corrected(given: Weights, quantized: Weights, draw: int) -> Weights:
    """Return the biases with the mean error of the weights taken off, by the means of calibration lines."""
    new = {}
    for name, x in quantized.items():
        node = layers()[name]
        if node.op_type == "Conv":
            mean = means(draw).mean(node.input[0])
            groups = next((a.i for a in node.attribute if a.name == "group"), 1)
            new[node.input[2]] = given[node.input[2]] + bias_correction(
                given[name], x, mean[None], groups=groups
            )
    return new


# --- running ------------------------------------------------------------------------------------------------


def with_arrays(new: Weights) -> onnx.ModelProto:
    """Return the folded model with other weights and biases."""
    model = onnx.ModelProto()
    model.CopyFrom(folded())
    for initializer in model.graph.initializer:
        if initializer.name in new:
            x = new[initializer.name].astype(np.float32)
            initializer.CopyFrom(numpy_helper.from_array(x, initializer.name))
    return model


def run(model: onnx.ModelProto, images: Array, names: list[str]) -> list[Array]:
    """Return tensors of the model for all images, in float64."""
    runner = session(with_outputs(model, names), threads=1)
    parts = [runner.run(names, {"x": images[i : i + BATCH]}) for i in range(0, len(images), BATCH)]
    return [np.concatenate(part).astype(np.float64) for part in zip(*parts, strict=True)]


def sqnr_db(exact: Array, found: Array) -> float:
    """Return signal over error in decibels."""
    return float(10 * np.log10(np.sum(exact**2) / np.sum((exact - found) ** 2)))


def layer_rows(draw: int) -> Iterator[Row]:
    """Yield what each layer alone does."""
    images = lines(draw)[0][CALIBRATE : CALIBRATE + ALONE]
    exact, *outputs = run(folded(), images, [SCORES, *(node.output[0] for node in layers().values())])
    for (name, node), wanted in zip(layers().items(), outputs, strict=True):
        for scale in ("one", "channel"):
            model = with_arrays({name: coded(name, arrays()[name], scale == "channel")})
            found, scores = run(model, images, [node.output[0], SCORES])
            error = found - wanted
            axes = (0, *range(2, error.ndim))
            yield {
                "draw": str(draw),
                "layer": short(name),
                "scale": scale,
                "layer_db": f"{sqnr_db(wanted, found):.2f}",
                "scores_db": f"{sqnr_db(exact, scores):.2f}",
                "shift": f"{np.sum(error.mean(axis=axes) ** 2) / np.sum(np.mean(error**2, axis=axes)):.3f}",
                "agree": str(np.sum(scores.argmax(axis=1) == exact.argmax(axis=1))),
            }


def padded(draw: int, which: Callable[[str], bool] | None) -> onnx.ModelProto:
    """Return the model with activations quantized too; where `which` says so, with code 0 as padding."""
    model = quantize(folded(), means(draw), method="minmax", clip_unseen=False)
    if which is None:
        return model
    known = {i.name: numpy_helper.to_array(i) for i in model.graph.initializer}
    made = {name: node for node in model.graph.node for name in node.output}
    names = {node.name: short(weight) for weight, node in layers().items()}
    for node in list(model.graph.node):
        pads = next((a for a in node.attribute if a.name == "pads"), None)
        if node.op_type != "Conv" or pads is None or not any(pads.ints):
            continue
        if not which(names[node.name]):
            continue
        scale, zero = (known[name] for name in made[node.input[0]].input[1:3])
        value = np.float32(scale * (0.0 - float(zero)))
        name = f"{node.output[0]}_border"
        top, left, bottom, right = pads.ints
        for end, x in (("pads", np.array([0, 0, top, left, 0, 0, bottom, right])), ("value", value)):
            model.graph.initializer.append(numpy_helper.from_array(np.asarray(x), f"{name}_{end}"))
        pad = helper.make_node("Pad", [node.input[0], f"{name}_pads", f"{name}_value"], [name])
        node.input[0], pads.ints[:] = name, [0, 0, 0, 0]
        model.graph.node.insert(list(model.graph.node).index(node), pad)
    return model


def settings(draw: int) -> Iterator[tuple[str, onnx.ModelProto]]:
    """Yield each network of cures.csv with its name."""
    plain, equal = arrays(), equalized(PAIRS)
    yield "float", folded()
    yield "float, equalized", with_arrays(equal)
    yield "float, equalized through hard-swish", with_arrays(equalized(CURVED))
    for scale in ("one", "channel"):
        codes = all_coded(plain, scale == "channel")
        yield scale, with_arrays(codes)
        yield f"{scale}, corrected", with_arrays(codes | corrected(plain, codes, draw))
        keep = all_coded(plain, scale == "channel", ("conv2_expand",))
        yield f"{scale}, conv2_expand in float", with_arrays(keep)
        codes = all_coded(equal, scale == "channel")
        yield f"{scale}, equalized", with_arrays(equal | codes)
        # The means of inputs behind an equalized layer are others: those of the pairs are left out.
    mixed = all_coded(plain, False) | {
        name: coded(name, plain[name], True) for name in layers() if "depthwise" in name
    }
    yield "one, depthwise by channel", with_arrays(mixed)
    alone = {"conv2_expand_weights": coded("conv2_expand_weights", plain["conv2_expand_weights"], True)}
    yield "one, conv2_expand by channel", with_arrays(all_coded(plain, False) | alone)
    yield "padded with Z", padded(draw, None)
    yield "padded with 0, conv1", padded(draw, lambda name: name == "conv1")
    behind_relu = [f"conv{i}_depthwise" for i in (2, 3, 4)]
    yield "padded with 0, behind ReLU", padded(draw, lambda name: name in behind_relu)
    behind_swish = [f"conv{i}_depthwise" for i in range(5, 13)]
    yield "padded with 0, behind hard-swish", padded(draw, lambda name: name in behind_swish)
    yield "padded with 0", padded(draw, lambda name: True)


def cure_rows(draw: int) -> Iterator[Row]:
    """Yield what each setting does to the whole network."""
    images, turned = (x[CALIBRATE:] for x in lines(draw))
    (exact,) = run(folded(), images, [SCORES])
    for name, model in settings(draw):
        (scores,) = run(model, images, [SCORES])
        same = np.array_equal(scores, exact)
        yield {
            "draw": str(draw),
            "setting": name,
            "scores_db": "inf" if same else f"{sqnr_db(exact, scores):.2f}",
            "agree": str(np.sum(scores.argmax(axis=1) == exact.argmax(axis=1))),
            "right": str(np.sum(scores.argmax(axis=1) == turned)),
        }


# --- the files ----------------------------------------------------------------------------------------------

TABLES = {"layers.csv": (layer_rows, 3), "cures.csv": (cure_rows, 2)}
TOLERANCES = {"layer_db": 0.1, "scores_db": 1.0, "shift": 0.02, "agree": 2, "right": 2}


def differences(new: list[Row], old: list[Row]) -> Iterator[str]:
    """Compare; another processor moves a code here and there."""
    for one, other in zip(new, old, strict=True):
        for column, value in one.items():
            if column not in TOLERANCES:
                same = value == other[column]
            else:
                same = value == other[column] or (
                    abs(float(value) - float(other[column])) <= TOLERANCES[column]
                    or min(float(value), float(other[column])) > 100  # equal but for the last bits of floats
                )
            if not same:
                yield f"{list(one.values())[:3]}: {column} {value}, was {other[column]}"


def main() -> int:
    """Write or check the tables; return the exit code."""
    parser = argparse.ArgumentParser(description="Rebuild notebooks/data/layers.csv and cures.csv.")
    parser.add_argument("--check", action="store_true", help="compare the first draw, write nothing")
    check = parser.parse_args().check
    found: list[str] = []
    for name, (rows_of, _) in TABLES.items():
        new = [row for draw in range(1 if check else DRAWS) for row in rows_of(draw)]
        if not check:
            write_rows(DATA / name, new)
        old = read_rows(DATA / name)[: len(new)]
        found += [f"{name}: {each}" for each in differences(new, old)]
        print(f"{name}: {len(new)} rows")
    print("\n".join(found) or "they agree with the files")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
