"""Rebuild notebooks/data/digits.csv and training.csv: how many held-out digits are classified correctly.

    python tools/make_study.py            # write both tables
    python tools/make_study.py --check    # compute them anew, compare with the files

A row of digits.csv is a number of bits, a scheme and a method for the activations, and a choice of range and
scales for the weights (always symmetric). A row of training.csv is a number of bits and a choice for the
weights, from which a network is trained through the rounding, and for how long and at which rate. Either has
six counts, one for each seed of split and training, of 600 images each. It needs the package alone, and takes
a few minutes, nearly all of them to train.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from table_files import read_rows, write_rows

from quantnotes import IntGrid, QuantParams
from quantnotes.network import (
    PER_TENSOR,
    Array,
    Calibrate,
    Digits,
    QuantDense,
    calibrate_by,
    load_digits,
    quantize_network,
    run_fake,
    run_float,
)
from quantnotes.ranges import Scheme
from quantnotes.training import finetune

DATA = Path(__file__).resolve().parent.parent / "notebooks" / "data"
SEEDS = range(6)
BITS = (8, 6, 5, 4, 3, 2)
SCHEMES: dict[str, tuple[Scheme, bool]] = {  # of the activations, which are never negative; signed or not
    "asymmetric": ("asymmetric", True),
    "symmetric": ("symmetric", True),  # half of its codes stand for negative numbers
    "unsigned": ("symmetric", False),
}
METHODS: dict[str, dict[str, Any]] = {
    "minmax": {},
    "histogram": {},
    "percentile": {"percentile": 99.9},
    "mse": {},
    "entropy": {},
}
WEIGHTS = {
    "one scale": calibrate_by("minmax", "symmetric"),
    "each output": calibrate_by("minmax", "symmetric", axis=0),
    "one scale by mse": calibrate_by("mse", "symmetric"),
    "each output by mse": calibrate_by("mse", "symmetric", axis=0),
}
KEPT: dict[tuple[bytes, str, IntGrid], QuantParams] = {}
STARTS = ((2, "one scale"), (2, "one scale by mse"), (3, "one scale"))
RATES = (0.001, 0.01)
EPOCHS = (10, 50, 200)
ONE_OR_TWO = 2
A_DOZEN = 12  # of training.csv: one sum in another order may tip a step, and 4000 steps carry it far
Row = dict[str, str]


def quantized(
    digits: Digits, bits: int, activations: Calibrate, weights: str, signed: bool = True
) -> Sequence[QuantDense]:
    def once(w: Array, grid: IntGrid) -> QuantParams:
        """Calibrate a weight the first time; ten choices for the activations find the same."""
        key = (w.tobytes(), weights, grid)
        if key not in KEPT:
            KEPT[key] = WEIGHTS[weights](w, grid)
        return KEPT[key]

    grid, weight_grid = IntGrid.of(bits, signed=signed), IntGrid.of(bits, narrow=True)
    return quantize_network(
        digits.network, digits.images, grid, weight_grid, activations=activations, weights=once
    )


def right(network: Sequence[QuantDense], digits: Digits) -> int:
    scores = run_fake(network, digits.heldout)[-1]
    return int(np.sum(scores.argmax(axis=1) == digits.heldout_labels))


def row(bits: int, scheme: str, method: str, weights: str) -> Row:
    how, signed = SCHEMES[scheme]
    activations = calibrate_by(method, how, **METHODS[method])
    counts = {}
    for k in SEEDS:
        digits = load_digits(k)
        counts[f"seed_{k}"] = right(quantized(digits, bits, activations, weights, signed), digits)
    names = {"bits": bits, "scheme": scheme, "method": method, "weights": weights}
    return {key: str(value) for key, value in (names | counts).items()}


def trained_row(bits: int, weights: str, rate: float, epochs: int) -> Row:
    counts = {}
    for k in SEEDS:
        digits = load_digits(k)
        start = quantized(digits, bits, PER_TENSOR, weights)
        network = finetune(start, digits.images, digits.labels, epochs=epochs, learning_rate=rate)
        counts[f"seed_{k}"] = right(network, digits)
    names = {"bits": bits, "weights": weights, "rate": rate, "epochs": epochs}
    return {key: str(value) for key, value in (names | counts).items()}


def float_row() -> Row:
    counts = {}
    for k in SEEDS:
        digits = load_digits(k)
        scores = run_float(digits.network, digits.heldout)[-1]
        counts[f"seed_{k}"] = str(np.sum(scores.argmax(axis=1) == digits.heldout_labels))
    return {"bits": "32", "scheme": "float", "method": "none", "weights": "float"} | counts


def rows() -> Iterator[Row]:
    yield float_row()
    for settings in itertools.product(BITS, SCHEMES, METHODS, WEIGHTS):
        yield row(*settings)


def trained_rows() -> Iterator[Row]:
    for start, rate, epochs in itertools.product(STARTS, RATES, EPOCHS):
        yield trained_row(*start, rate, epochs)


def same(new: Row | None, old: Row | None, few: int = ONE_OR_TWO) -> bool:
    """Equal, but that another BLAS may move an image here and there."""
    if new is None or old is None or new.keys() != old.keys():
        return False
    counts = [name for name in new if name.startswith("seed")]
    return all(new[name] == old[name] or name in counts for name in new) and all(
        abs(int(new[name]) - int(old[name])) <= few for name in counts
    )


def update(name: str, new: list[Row], check: bool, few: int = ONE_OR_TWO) -> bool:
    """Write a table, or compare it with the file; say whether they differ."""
    table = DATA / f"{name}.csv"
    if not check:
        write_rows(table, new)
    old = read_rows(table)
    differing = [one for one, other in itertools.zip_longest(new, old) if not same(one, other, few)]
    print(*differing, sep="\n", end="\n" if differing else "")
    print(f"{name}: {len(new) - len(differing)} of {len(new)} rows agree with the file")
    return bool(differing)


def main() -> int:
    parser = argparse.ArgumentParser(description="Rebuild notebooks/data/digits.csv and training.csv.")
    parser.add_argument("--check", action="store_true", help="compare with the files, write none")
    check = parser.parse_args().check
    differ = [
        update("digits", list(rows()), check),
        update("training", list(trained_rows()), check, A_DOZEN),
    ]
    return any(differ)


if __name__ == "__main__":
    sys.exit(main())
