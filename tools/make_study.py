"""Rebuild notebooks/data/digits.csv: how many held-out digits are named rightly, however they are quantized.

    python tools/make_study.py            # write the table
    python tools/make_study.py --check    # compute it anew, compare with the file

A row is a number of bits, a scheme and a method for the activations, and a choice of scales for the weights
(always symmetric); it has six counts, one for each seed of split and training, of 600 images each. It needs
the package alone, and takes about half a minute.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from quantnotes import IntGrid
from quantnotes.mse import Scheme
from quantnotes.network import (
    Calibrate,
    Digits,
    calibrate_by,
    load_digits,
    quantize_network,
    run_fake,
    run_float,
)

TABLE = Path(__file__).resolve().parent.parent / "notebooks" / "data" / "digits.csv"
SEEDS = range(6)
BITS = (8, 6, 5, 4, 3, 2)
SCHEMES: tuple[Scheme, ...] = ("asymmetric", "symmetric")
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
}
ONE_OR_TWO = 2
Row = dict[str, str]


def right(digits: Digits, bits: int, activations: Calibrate, weights: Calibrate) -> int:
    network = quantize_network(
        digits.network,
        digits.images,
        IntGrid.of(bits),
        IntGrid.of(bits, narrow=True),
        activations=activations,
        weights=weights,
    )
    scores = run_fake(network, digits.heldout)[-1]
    return int(np.sum(scores.argmax(axis=1) == digits.heldout_labels))


def row(bits: int, scheme: Scheme, method: str, weights: str) -> Row:
    activations = calibrate_by(method, scheme, **METHODS[method])
    counts = {f"seed_{k}": right(load_digits(k), bits, activations, WEIGHTS[weights]) for k in SEEDS}
    names = {"bits": bits, "scheme": scheme, "method": method, "weights": weights}
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


def same(new: Row | None, old: Row | None) -> bool:
    """Equal, but that another BLAS may move an image here and there."""
    if new is None or old is None or new.keys() != old.keys():
        return False
    counts = [name for name in new if name.startswith("seed")]
    return all(new[name] == old[name] or name in counts for name in new) and all(
        abs(int(new[name]) - int(old[name])) <= ONE_OR_TWO for name in counts
    )


def main() -> int:
    parser = argparse.ArgumentParser(description="Rebuild notebooks/data/digits.csv.")
    parser.add_argument("--check", action="store_true", help="compare with the file, write none")
    check = parser.parse_args().check
    new = list(rows())
    if not check:
        TABLE.parent.mkdir(exist_ok=True)
        with TABLE.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, new[0], lineterminator="\n")
            writer.writeheader()
            writer.writerows(new)
    with TABLE.open(newline="", encoding="utf-8") as file:
        old = list(csv.DictReader(file))
    differing = [one for one, other in itertools.zip_longest(new, old) if not same(one, other)]
    print(*differing, sep="\n", end="\n" if differing else "")
    print(f"{len(new) - len(differing)} of {len(new)} rows agree with the file")
    return bool(differing)


if __name__ == "__main__":
    sys.exit(main())
