"""The entropy clip beside ONNX Runtime's, on one histogram: how long it takes, and how good the clip is."""

from __future__ import annotations

import contextlib
import importlib
import io
import time
from typing import Any

import numpy as np
from conftest import Against, row

from quantnotes import (
    INT8,
    Histogram,
    code_ledger,
    compare,
    entropy_range,
    mse_range,
    samples,
    symmetric_params,
)

BINS, LEVELS = 2048, 128


def histogram() -> Histogram:
    """Count normals in 2048 bins between -1 and 1, as many on each side of 0: what ONNX Runtime expects."""
    x = np.random.default_rng(0).standard_normal(1_000_000)
    h = Histogram(BINS).update(x / (1.0001 * np.abs(x).max()))
    assert h.width == 2 / BINS
    return h


def onnxruntime_clip(h: Histogram) -> float:
    """Return the clip that ONNX Runtime computes from the same bins; collecting them is not timed."""
    calibrate: Any = importlib.import_module("onnxruntime.quantization.calibrate")
    collector = calibrate.HistogramCollector("entropy", True, BINS, LEVELS, 99.99, "same")
    whole = np.zeros(BINS, np.int64)
    first = round(h.edges[0] / h.width) + BINS // 2
    whole[first : first + h.counts.size] = h.counts
    edges = np.linspace(-1, 1, BINS + 1)
    with contextlib.redirect_stdout(io.StringIO()):
        low, high = collector.get_entropy_threshold((whole, edges, h.min, h.max, 1.0), LEVELS)[:2]
    return float(max(-low, high))


def test_entropy(against: Against) -> None:
    h = histogram()
    against(
        "entropy_range, 2048 bins",
        "ONNX Runtime",
        lambda: entropy_range(h, INT8),
        lambda: onnxruntime_clip(h),
        1 / 50,
        elements=None,
        rounds=5,
    )


def test_entropy_is_no_worse() -> None:
    h = histogram()
    x = np.random.default_rng(0).standard_normal(1_000_000)
    x /= 1.0001 * np.abs(x).max()
    noise = [10 ** (-code_ledger(x, symmetric_params(-clip, clip)).sqnr_db / 10) for clip in
             (entropy_range(h, INT8).rmax, onnxruntime_clip(h))]  # fmt: skip
    row("entropy_range, squared error of the clip", "ONNX Runtime", noise[0] / noise[1], 1.0)


def test_mse_and_compare(benchmark: Any) -> None:
    """There is no peer: the bound is what a survey of 100 tensors can bear."""
    x = samples.load("gelu_output")
    seconds = benchmark.pedantic(lambda: mse_range(x), rounds=5, warmup_rounds=1)
    assert seconds is not None
    row("mse_range, 196,608 values", "0.3 s", benchmark.stats.stats.median / 0.3, 1.0)
    assert compare(x, bits=8).best().method == "mse"


def test_compare_of_a_checkpoint(monkeypatch: Any, tmp_path: Any) -> None:
    """A layer of a real text model's size, each weight with its channels and groups: compiled and not."""
    rng = np.random.default_rng(0)
    shapes = {"query.weight": (384, 384), "in.weight": (1536, 384), "out.weight": (384, 1536), "bias": (384,)}
    arrays: dict[str, Any] = {name: rng.standard_t(5, n).astype(np.float32) for name, n in shapes.items()}
    np.savez(tmp_path / "m.npz", **arrays)
    seconds = {}
    for choice in ("numba", "numpy"):
        monkeypatch.setenv("QUANTNOTES_KERNELS", choice)
        compare(tmp_path / "m.npz", tensor="query.weight")
        start = time.perf_counter()
        compare(tmp_path / "m.npz")
        seconds[choice] = time.perf_counter() - start
    row("compare of a layer, with its candidates", "NumPy loops", seconds["numba"] / seconds["numpy"], 1.0)
