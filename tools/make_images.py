"""Rebuild notebooks/data/images.csv: how many images the ranges of a real network need.

    python -m pip install -e ".[onnx]"
    python tools/make_images.py            # write the table
    python tools/make_images.py --check    # compute min-max of the first draw anew, compare with the file

The text-direction classifier of the samples, with 8 bits for activations and weights, a scale for each output
channel of a weight. A draw is an order of the 464 lines of text: the first 1, 4, 16, ... are there to
calibrate, the last 200 to test. Columns: the draw, how many images, how ranges are chosen; the median, over
the tensors, of a range's width as a share of the same method's width at 256 images; on how many of the 200
test images the answer is that of the float network; SQNR of the two scores in dB.

Not covered: other networks; lines that are unlike those of the test.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from table_files import read_rows, write_rows

from quantnotes import samples
from quantnotes.network import load_text_direction
from quantnotes.onnx_model import fold, observe, quantize, ranges, session

TABLE = Path(__file__).resolve().parent.parent / "notebooks" / "data" / "images.csv"
MODEL = samples.path("text_direction.onnx")
IMAGES = (1, 4, 16, 64, 256)
METHODS = ("minmax", "mse")
DRAWS, TESTED = 8, 200
BATCH = 16
Array = NDArray[Any]
Row = dict[str, str]


def scores(model: Any, images: Array) -> Array:
    """Return the logarithms of the two probabilities, less their mean: the scores up to a constant."""
    (probabilities,) = session(model).run(None, {"x": images})
    logs = np.log(np.maximum(probabilities.astype(np.float64), 1e-30))
    centred: Array = logs - logs.mean(axis=1, keepdims=True)
    return centred


def batches(images: Array) -> list[dict[str, Array]]:
    """Return images in batches: what is observed is the same for any."""
    return [{"x": images[i : i + BATCH]} for i in range(0, len(images), BATCH)]


def rows_of(
    draw: int, methods: tuple[str, ...] = METHODS, numbers: tuple[int, ...] = IMAGES
) -> Iterator[Row]:
    """Yield the rows of one draw; widths are shares of those of the last number of images."""
    lines = load_text_direction()
    images = np.concatenate([lines.images, lines.heldout])
    images = images[np.random.default_rng(draw).permutation(len(images))]
    test = images[-TESTED:]
    exact = scores(fold(MODEL), test)
    seen = {n: observe(MODEL, batches(images[:n])) for n in numbers}
    for method in methods:
        most = ranges(seen[numbers[-1]], method)
        for n, observation in seen.items():
            found = ranges(observation, method)
            widths = [(high - low) / (most[name][1] - most[name][0]) for name, (low, high) in found.items()]
            got = scores(quantize(MODEL, observation, method=method), test)
            agree = np.sum(got.argmax(axis=1) == exact.argmax(axis=1))
            sqnr = 10 * np.log10(np.sum(exact**2) / np.sum((got - exact) ** 2))
            yield {
                "draw": str(draw),
                "images": str(n),
                "method": method,
                "width": f"{np.median(widths):.3f}",
                "agree": str(agree),
                "scores_db": f"{sqnr:.2f}",
            }


def differences(new: list[Row], old: list[Row]) -> Iterator[str]:
    """Compare; another processor moves a code here and there."""
    for one, other in zip(new, old, strict=True):
        keys = [one[key] for key in ("draw", "images", "method")]
        if keys != [other[key] for key in ("draw", "images", "method")]:
            yield f"{keys} is not the row of the file"
        for column, tolerance in (("width", 0.01), ("agree", 2), ("scores_db", 1.0)):
            if abs(float(one[column]) - float(other[column])) > tolerance:
                yield f"{', '.join(keys)}: {column} {one[column]}, was {other[column]}"


def main() -> int:
    """Write or check the table; return the exit code."""
    parser = argparse.ArgumentParser(description="Rebuild notebooks/data/images.csv.")
    parser.add_argument("--check", action="store_true", help="compare a part, write nothing")
    check = parser.parse_args().check
    if check:
        new = list(rows_of(0, METHODS[:1]))
    else:
        new = [row for draw in range(DRAWS) for row in rows_of(draw)]
        write_rows(TABLE, new)
    found = list(differences(new, read_rows(TABLE)[: len(new)]))
    print("\n".join(found) or f"{len(new)} rows agree with the file")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
