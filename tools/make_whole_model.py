"""Rebuild notebooks/data/whole_model.csv and blame.csv: choices for a model, and which layer is to blame.

    python -m pip install -e ".[onnx]"
    python tools/make_whole_model.py            # write the tables
    python tools/make_whole_model.py --check    # compute the first draw anew, compare with the files

The text-direction classifier of the samples and the three draws of lines of `make_convolution`, 64 to
calibrate and 400 to test on. Everything as `quantnotes.onnx_model.quantize` does it by default, unless the
setting says otherwise.

whole_model.csv: SQNR of the two scores in dB; on how many lines the answer is that of the float model; how
many are right; and on how many another answer was to be expected, from the error of the margin between the
scores and the float model's own margins.

blame.csv: each layer quantized alone, weight and activations, as `sensitivity` does it, on 8 of the lines
to calibrate with; one scale for each weight, or one for each channel.

Not covered: other models; how long it takes, see benchmarks/latency.py.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from operator import itemgetter
from typing import Any

import numpy as np
import onnx
import text_lines
from make_convolution import (
    BATCH,
    CALIBRATE,
    DATA,
    DRAWS,
    MODEL,
    SCORES,
    Array,
    Row,
    arrays,
    differences,
    folded,
    layers,
    lines,
    means,
    run,
    short,
    sqnr_db,
    with_arrays,
)
from table_files import read_rows, write_rows

from quantnotes import IntGrid, code_ledger, entropy, fake_quantize, minmax_range, symmetric_params
from quantnotes.network import prepare_lines
from quantnotes.onnx_model import Observation, observe, quantize, session
from quantnotes.onnx_model.graph import with_outputs

BLAMED = 8
IMAGES = (1, 4, 16, 64, 256)
KEPT = (1, 5, 12)


def seen(images: Array) -> Observation:
    """Return what is observed on images."""
    return observe(MODEL, [{"x": images[i : i + BATCH]} for i in range(0, len(images), BATCH)])


def many(draw: int) -> Array:
    """Return more images to calibrate on, which are neither among the draw's own nor in its test."""
    drawn = text_lines.draw(IMAGES[-1], 200 + draw)
    return prepare_lines(drawn.images, drawn.widths)


def wrong(draw: int) -> Iterator[tuple[str, Array]]:
    """Yield images that nobody should calibrate on."""
    right = lines(draw)[0][:CALIBRATE]
    rng = np.random.default_rng(draw)
    yield "not normalized", ((right + 1) * 127.5).astype(np.float32)
    yield "a grey page", np.zeros_like(right[:1])
    yield "noise", rng.uniform(-1, 1, right.shape).astype(np.float32)
    yield "upright lines", right[~lines(draw)[1][:CALIBRATE]]


def few_bits(bits: int) -> onnx.ModelProto:
    """Return the model in floats, but for its weights: so many bits, a scale for each channel."""
    grid, new = IntGrid.of(bits, narrow=True), {}
    for name, node in layers().items():
        axis = 1 if node.op_type == "MatMul" else 0
        params = symmetric_params(*minmax_range(arrays()[name], axis=axis), grid, axis=axis)
        new[name] = fake_quantize(arrays()[name], params)
    return with_arrays(new)


@contextmanager
def no_limit() -> Iterator[None]:
    """Let the entropy method clip what it likes, as the textbook says."""
    before = entropy._INSIDE, entropy._NEAR
    entropy._INSIDE, entropy._NEAR = 0.0, 0.0
    try:
        with np.errstate(divide="ignore"):  # a clip with nothing inside
            yield
    finally:
        entropy._INSIDE, entropy._NEAR = before


def ranking(draw: int, per_channel: bool) -> list[dict[str, Any]]:
    """Return what each layer does alone, by a few of the lines that are there to calibrate."""
    images = lines(draw)[0][:BLAMED]
    exact, *outputs = run(folded(), images, [SCORES, *(node.output[0] for node in layers().values())])
    rows = []
    for (weight, node), wanted in zip(layers().items(), outputs, strict=True):
        others = [other.name for other in layers().values() if other is not node]
        alone = quantize(folded(), means(draw), keep_float=others, per_channel=per_channel)
        found, scores = run(alone, images, [node.output[0], SCORES])
        axis = None if not per_channel else 1 if node.op_type == "MatMul" else 0
        params = symmetric_params(*minmax_range(arrays()[weight], axis=axis), axis=axis)
        rows.append(
            {
                "layer": short(weight),
                "weight_db": code_ledger(arrays()[weight], params).sqnr_db,
                "layer_db": sqnr_db(wanted, found),
                "scores_db": sqnr_db(exact, scores),
            }
        )
    return rows


def settings(draw: int, ranked: dict[str, list[dict[str, Any]]]) -> Iterator[tuple[str, onnx.ModelProto]]:
    """Yield each model with its name."""
    own = means(draw)
    yield "mse, one", quantize(MODEL, own, per_channel=False)
    for method in ("minmax", "mse", "entropy"):
        yield f"{method}, channel", quantize(MODEL, own, method=method)
    for share in (99.9, 99.99):
        yield f"percentile {share}, channel", quantize(MODEL, own, method="percentile", percentile=share)
    for scale, per_channel in (("one", False), ("channel", True)):
        rows = ranked[scale]
        worst = {
            key: [row["layer"] for row in sorted(rows, key=itemgetter(key))]
            for key in ("scores_db", "weight_db")
        }
        chance = np.random.default_rng(draw).permutation([row["layer"] for row in rows]).tolist()
        kept = [(f"{count} worst at the scores", worst["scores_db"][:count]) for count in KEPT]
        kept += [("5 worst weights", worst["weight_db"][:5]), ("5 at random", chance[:5])]
        for name, some in kept:
            names = [node.name for weight, node in layers().items() if short(weight) in some]
            yield f"keep {name}, {scale}", quantize(MODEL, own, keep_float=names, per_channel=per_channel)
    with no_limit():
        own._chosen.clear()  # the ranges within the limit
        yield "entropy without limit, channel", quantize(MODEL, own, method="entropy")
    yield "weights only, channel", quantize(MODEL, None, parts="weights")
    yield "activations only, channel", quantize(MODEL, own, parts="activations")
    yield "bias corrected, channel", quantize(MODEL, own, bias_correction=True)
    yield "what is not seen too, channel", quantize(MODEL, own, clip_unseen=False)
    for bits in (6, 5):
        yield f"weights of {bits} bits", few_bits(bits)
    for name, images in wrong(draw):
        yield name, quantize(MODEL, seen(images), method="minmax")
    more = many(draw)
    for count in IMAGES:
        yield f"{count} images", quantize(MODEL, seen(more[:count]))


def expected(exact: Array, found: Array) -> float:
    """Return how many answers change, were the error of the margin Gaussian and the same on every line."""
    margin, error = exact[:, 1] - exact[:, 0], (found - exact) @ [-1, 1]
    near = np.abs(margin) < 6
    sigma = float(np.sqrt(np.mean(error[near] ** 2))) or 1e-9
    return sum(0.5 * math.erfc(abs(m) / sigma / math.sqrt(2)) for m in margin)


def model_rows(draw: int, ranked: dict[str, list[dict[str, Any]]]) -> Iterator[Row]:
    """Yield what each setting does."""
    images, turned = (x[CALIBRATE:] for x in lines(draw))
    (exact,) = run(folded(), images, [SCORES])

    def row(name: str, scores: Array) -> Row:
        return {
            "draw": str(draw),
            "setting": name,
            "scores_db": f"{sqnr_db(exact, scores):.2f}" if (scores != exact).any() else "inf",
            "agree": str(np.sum(scores.argmax(axis=1) == exact.argmax(axis=1))),
            "right": str(np.sum(scores.argmax(axis=1) == turned)),
            "expected": f"{expected(exact, scores):.2f}",
        }

    yield row("float", exact)
    shifted = np.roll(images, 1, axis=-1)
    shifted[..., 0] = images[..., 0]
    yield row("one pixel to the right", run(folded(), shifted, [SCORES])[0])
    for name, model in settings(draw, ranked):
        yield row(name, run(model, images, [SCORES])[0])
    model = quantize(MODEL, means(draw))
    yield row("unfused", unfused(model, images))


def unfused(model: onnx.ModelProto, images: Array) -> Array:
    """Return the scores with nothing fused: fake quantization, in the engine's floats."""
    runner: Any = session(with_outputs(model, [SCORES]), optimize=False, threads=1)
    parts = [runner.run([SCORES], {"x": images[i : i + BATCH]})[0] for i in range(0, len(images), BATCH)]
    return np.concatenate(parts).astype(np.float64)


def blame_rows(draw: int, ranked: dict[str, list[dict[str, Any]]]) -> Iterator[Row]:
    """Yield the rows of both rankings."""
    for scale, rows in ranked.items():
        for row in rows:
            numbers = {key: f"{value:.2f}" for key, value in row.items() if key != "layer"}
            yield {"draw": str(draw), "scale": scale, "layer": row["layer"]} | numbers


def tables(draw: int) -> dict[str, list[Row]]:
    """Return both tables' rows of a draw."""
    ranked = {scale: ranking(draw, scale == "channel") for scale in ("one", "channel")}
    return {
        "blame.csv": list(blame_rows(draw, ranked)),
        "whole_model.csv": list(model_rows(draw, ranked)),
    }


def main() -> int:
    """Write or check the tables; return the exit code."""
    parser = argparse.ArgumentParser(description="Rebuild notebooks/data/whole_model.csv and blame.csv.")
    parser.add_argument("--check", action="store_true", help="compare the first draw, write nothing")
    check = parser.parse_args().check
    new: dict[str, list[Row]] = {}
    for draw in range(1 if check else DRAWS):
        for name, rows in tables(draw).items():
            new.setdefault(name, []).extend(rows)
    found: list[str] = []
    for name, rows in new.items():
        if not check:
            write_rows(DATA / name, rows)
        old = read_rows(DATA / name)[: len(rows)]
        found += [f"{name}: {each}" for each in differences(rows, old)]
    print("\n".join(found) or "the tables agree with the files")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
