"""Ranges beside what they replace: how long the searches and observers take, and how good the ranges are."""

from __future__ import annotations

import contextlib
import importlib
import io
import time
from typing import Any

import numpy as np
import pytest
from conftest import Against, row
from peers import plain_search

from quantnotes import (
    INT4,
    INT8,
    Calibrator,
    Histogram,
    IntGrid,
    code_ledger,
    compare,
    entropy_range,
    fake_quantize,
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


def rows_of_a_weight(*shape: int) -> Any:
    return np.random.default_rng(0).standard_t(5, shape).astype(np.float32)


@pytest.mark.parametrize(("scheme", "target"), [("symmetric", 1.0), ("asymmetric", 3.0)])
def test_mse_of_channels(against: Against, scheme: Any, target: float) -> None:
    w = rows_of_a_weight(1536, 384)
    against(
        f"mse_range, 1536 channels, {scheme}",
        "a plain search",
        lambda: mse_range(w, INT4, scheme, axis=0),
        lambda: plain_search(w, INT4.qmax),
        target,
        elements=w.size,
        rounds=3,
    )


def test_mse_of_blocks(against: Against) -> None:
    w = rows_of_a_weight(4096, 4096)
    against(
        "mse_range, blocks of 32 of 4096 x 4096",
        "a plain search",
        lambda: mse_range(w, INT4, axis=1, block_size=32),
        lambda: plain_search(w.reshape(-1, 32), INT4.qmax),
        3.0,
        elements=w.size,
        rounds=1,
    )


def test_mse_is_no_worse_on_channels() -> None:
    """The ratio is that of the squared errors which 98 % of the channels do not exceed."""
    w = rows_of_a_weight(1536, 384)
    narrow = IntGrid.of(4, narrow=True)

    def errors(clip: Any) -> Any:
        faked = fake_quantize(w, symmetric_params(-clip, clip, narrow, axis=0))
        return np.square(w.astype(np.float64) - faked).sum(axis=1)

    ratios = errors(mse_range(w, narrow, "symmetric", axis=0).rmax) / errors(plain_search(w, narrow.qmax))
    row(
        "mse_range, squared error, 98 % of channels",
        "a plain search",
        float(np.quantile(ratios, 0.98)),
        1.005,
    )


def test_observing_channels(against: Against) -> None:
    x = rows_of_a_weight(128, 4096)
    against(
        "Calibrator minmax, 4096 channels",
        "x.min(0), x.max(0)",
        lambda: Calibrator("minmax", axis=1).observe(x),
        lambda: (x.min(axis=0), x.max(axis=0)),
        1.5,
        elements=x.size,
        rounds=51,
        pause=0,
    )


@pytest.mark.parametrize("scheme", ["asymmetric", "symmetric"])
def test_params_of_channels(benchmark: Any, scheme: Any) -> None:
    """There is no peer."""
    calibrator = Calibrator("mse", scheme=scheme, axis=1).observe(rows_of_a_weight(512, 4096))
    benchmark.pedantic(calibrator.params, rounds=3, warmup_rounds=1)
    seconds = benchmark.stats.stats.median
    row(f"Calibrator mse, 4096 channels, {scheme}", "2 s", seconds / 2, 1.0)


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
