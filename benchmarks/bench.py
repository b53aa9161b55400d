"""Speed and memory, as ratios taken in one run: each row beside what it must not exceed.

Every comparison alternates A and B and takes medians, so that a busy machine disturbs both alike.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable

import numpy as np

from quantnotes import INT8, Histogram, minmax_range, quantize, symmetric_params

ELEMENTS = 50_000_000
ROUNDS = 7


def seconds(work: Callable[[], object]) -> float:
    """Return how long one call takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def ratio(ours: Callable[[], object], peer: Callable[[], object], rounds: int = ROUNDS) -> float:
    """Return the median of ours / peer over pairs run one after the other."""
    ours(), peer()
    return statistics.median(seconds(ours) / seconds(peer) for _ in range(rounds))


def importing(module: str) -> Callable[[], object]:
    """Return what imports a module in a fresh interpreter."""
    return lambda: subprocess.run([sys.executable, "-c", f"import {module}"], check=True)


def peak_megabytes(work: Callable[[], object]) -> float:
    """Return the most memory that a call holds at once beyond what was there before, in 2**20 bytes."""
    tracemalloc.start()
    work()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak / 2**20


def main() -> None:
    """Print the table."""
    x = np.random.default_rng(0).standard_normal(ELEMENTS, dtype=np.float32)
    params = symmetric_params(*minmax_range(x), INT8)
    scale, zero, codes = np.float32(params.scale), np.float32(params.zero_point), np.empty(x.shape, np.int8)

    def one_line() -> object:
        return np.clip(np.round(x / scale) + zero, -128, 127).astype(np.int8)

    def numpy_histogram() -> object:
        return np.histogram(x, 2048)

    rows = [
        ("import quantnotes / import numpy", ratio(importing("quantnotes"), importing("numpy")), 1.5),
        (
            "quantize, out= given / one NumPy line",
            ratio(lambda: quantize(x, params, out=codes), one_line),
            0.55,
        ),
        ("quantize, allocating / one NumPy line", ratio(lambda: quantize(x, params), one_line), 0.55),
        ("Histogram.update / np.histogram", ratio(lambda: Histogram().update(x), numpy_histogram, 3), 0.5),
        ("quantize, out= given: peak memory, MB", peak_megabytes(lambda: quantize(x, params, out=codes)), 64),
        ("Histogram.update: peak memory, MB", peak_megabytes(lambda: Histogram().update(x)), 64),
    ]
    print(f"{ELEMENTS:.0e} float32 values; medians of pairs run one after the other")
    print(f"{'':42}{'measured':>10}{'at most':>10}")
    for name, value, target in rows:
        print(f"{name:42}{value:10.2f}{target:10.2f}{'' if value <= target else '  MISSED'}")


if __name__ == "__main__":
    main()
