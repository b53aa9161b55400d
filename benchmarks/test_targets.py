"""Rows that have a target, each beside what it must not exceed; and rows that are there to compare."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Against, row
from peers import DEQUANTIZE, QUANTIZE, Call, OnnxRuntime, one_line

from quantnotes import (
    INT8,
    Histogram,
    QuantParams,
    dequantize,
    fake_quantize,
    formats,
    minmax_range,
    quantize,
)
from quantnotes.calibration import Calibrator

PARAMS = QuantParams(0.04, 3, INT8)


@pytest.fixture(scope="module")
def codes(x: Any) -> Any:
    return quantize(x, PARAMS)


@pytest.fixture(scope="module")
def reals(x: Any) -> Any:
    return np.zeros_like(x)


@pytest.fixture
def numpy_loops(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUANTNOTES_KERNELS", "numpy")


# --- with Numba ---------------------------------------------------------------------------------------------


def test_quantize_out(against: Against, x: Any, codes: Any) -> None:
    peer = OnnxRuntime(QUANTIZE, PARAMS).into(x, codes)
    against(
        "quantize, out=",
        "ONNX Runtime",
        lambda: quantize(x, PARAMS, out=codes),
        peer,
        1.15,
        elements=x.size,
        rounds=31,
    )


def test_dequantize_out(against: Against, codes: Any, reals: Any) -> None:
    peer = OnnxRuntime(DEQUANTIZE, PARAMS).into(codes, reals)
    against(
        "dequantize, out=",
        "ONNX Runtime",
        lambda: dequantize(codes, PARAMS, out=reals),
        peer,
        1.0,
        elements=codes.size,
        rounds=31,
    )


def test_fake_quantize_out(against: Against, x: Any, reals: Any) -> None:
    peer = OnnxRuntime(QUANTIZE + DEQUANTIZE, PARAMS).into(x, reals)
    against(
        "fake_quantize, out=",
        "ONNX Runtime, two nodes",
        lambda: fake_quantize(x, PARAMS, out=reals),
        peer,
        0.6,
        elements=x.size,
    )


def test_float8(against: Against, x: Any, codes: Any) -> None:
    """The peer is our loop for int8."""
    floats = QuantParams(0.01, 0, formats.E4M3)
    out = np.zeros(x.shape, np.uint8)
    against(
        "quantize to E4M3, out=",
        "quantize to int8",
        lambda: quantize(x, floats, out=out),
        lambda: quantize(x, PARAMS, out=codes),
        2.0,
        elements=x.size,
        rounds=31,
    )


def test_minmax(against: Against, x: Any) -> None:
    against(
        "minmax_range",
        "np.min + np.max",
        lambda: minmax_range(x),
        lambda: (np.min(x), np.max(x)),
        0.6,
        elements=x.size,
        rounds=31,
    )


def test_histogram_and_numpy(against: Against, x: Any) -> None:
    against(
        "Histogram.update",
        "np.histogram",
        lambda: Histogram().update(x),
        lambda: np.histogram(x, 2048),
        0.15,
        elements=x.size,
        rounds=7,
    )


def test_histogram_and_fast_histogram(against: Against, x: Any) -> None:
    """The peer is told the range, ours finds it."""
    peer = pytest.importorskip("fast_histogram").histogram1d
    against(
        "Histogram.update",
        "fast-histogram",
        lambda: Histogram().update(x),
        lambda: peer(x, 2048, (-6.0, 6.0)),
        0.45,
        elements=x.size,
    )


# --- without ------------------------------------------------------------------------------------------------


def test_quantize_without_numba(against: Against, x: Any, codes: Any, numpy_loops: None) -> None:
    against(
        "quantize, out=, no Numba",
        "one line of NumPy",
        lambda: quantize(x, PARAMS, out=codes),
        one_line(x, PARAMS),
        0.55,
        elements=x.size,
        rounds=7,
    )


def test_quantize_allocating_without_numba(against: Against, x: Any, numpy_loops: None) -> None:
    against(
        "quantize, allocating, no Numba",
        "one line of NumPy",
        lambda: quantize(x, PARAMS),
        one_line(x, PARAMS),
        0.55,
        elements=x.size,
        rounds=7,
    )


def test_float8_without_numba(against: Against, x: Any, numpy_loops: None) -> None:
    ml_dtypes = pytest.importorskip("ml_dtypes")
    floats, out = QuantParams(1.0, 0, formats.E4M3), np.zeros(x.shape, np.uint8)
    against(
        "quantize to E4M3, out=, no Numba",
        "ml_dtypes' cast",
        lambda: quantize(x, floats, out=out),
        lambda: x.astype(ml_dtypes.float8_e4m3fn),
        3.0,
        elements=x.size,
        rounds=5,
    )


def test_histogram_without_numba(against: Against, x: Any, numpy_loops: None) -> None:
    against(
        "Histogram.update, no Numba",
        "np.histogram",
        lambda: Histogram().update(x),
        lambda: np.histogram(x, 2048),
        0.5,
        elements=x.size,
        rounds=5,
    )


# --- small arrays, import, memory ---------------------------------------------------------------------------


def test_a_call_on_a_small_array(against: Against) -> None:
    x = np.random.default_rng(0).standard_normal(1000, dtype=np.float32)
    against(
        "quantize, 1000 elements",
        "one line of NumPy",
        lambda: quantize(x, PARAMS),
        one_line(x, PARAMS),
        5.0,
        elements=x.size,
        rounds=5000,
        pause=0,
    )


def test_import(against: Against) -> None:
    def importing(module: str) -> Call:
        return lambda: subprocess.run([sys.executable, "-c", f"import {module}"], check=True)

    ours, theirs = importing("quantnotes"), importing("numpy")
    against("import quantnotes", "import numpy", ours, theirs, 1.25, elements=None, rounds=9)


def peak_megabytes(call: Call) -> float:
    """Return by how much the process grows at most while it runs, in 2**20 bytes; Linux only."""
    status, clear = Path("/proc/self/status"), Path("/proc/self/clear_refs")

    def kilobytes(field: str) -> int:
        return int(status.read_text().split(field)[1].split()[0])

    call()
    clear.write_text("5")  # the peak starts anew
    before = kilobytes("VmRSS:")
    call()
    return (kilobytes("VmHWM:") - before) / 1024


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="memory is read from Linux's /proc")
@pytest.mark.parametrize("loops", ["numba", "numpy"])
def test_peak_memory(x: Any, codes: Any, reals: Any, loops: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUANTNOTES_KERNELS", loops)
    calls: dict[str, Call] = {
        "quantize": lambda: quantize(x, PARAMS, out=codes),
        "dequantize": lambda: dequantize(codes, PARAMS, out=reals),
        "fake_quantize": lambda: fake_quantize(x, PARAMS, out=reals),
        "minmax_range": lambda: minmax_range(x),
        "Histogram.update": lambda: Histogram().update(x),
    }
    most = {name: peak_megabytes(call) for name, call in calls.items()}
    name = max(most, key=lambda name: most[name])
    row(f"peak MB over input and output, {loops}", f"(most: {name})", most[name], 64.0)


# --- to compare ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("axis", [0, 1])
def test_channels(against: Against, x: Any, axis: int) -> None:
    image = x[: x.size // 1024 * 1024].reshape((1024, -1) if axis == 0 else (-1, 1024))
    params = QuantParams(np.linspace(0.01, 0.05, 1024), np.zeros(1024, int), INT8, axis=axis)
    codes = np.zeros(image.shape, np.int8)
    peer = OnnxRuntime(QUANTIZE, params).into(image, codes)
    ours = f"quantize, out=, 1024 channels, axis {axis}"
    against(ours, "ONNX Runtime", lambda: quantize(image, params, out=codes), peer, elements=x.size)


@pytest.mark.parametrize("axis", [0, 1])
def test_histograms_of_channels(against: Against, x: Any, axis: int) -> None:
    image = x[: x.size // 64 * 64].reshape((64, -1) if axis == 0 else (-1, 64))
    against(
        f"Calibrator, 64 channels, axis {axis}",
        "Histogram.update",
        lambda: Calibrator("minmax", axis=axis).observe(image),
        lambda: Histogram().update(x),
        elements=x.size,
    )


@pytest.mark.filterwarnings("ignore")  # it announces what will replace it
def test_torch_quantize(against: Against, x: Any) -> None:
    torch = pytest.importorskip("torch")
    tensor, scale, zero = torch.from_numpy(x), PARAMS.scale, PARAMS.zero_point
    against(
        "quantize, allocating",
        "torch.quantize_per_tensor",
        lambda: quantize(x, PARAMS),
        lambda: torch.quantize_per_tensor(tensor, scale, zero, torch.qint8),
        elements=x.size,
    )


def test_torch_minmax(against: Against, x: Any) -> None:
    torch = pytest.importorskip("torch")
    tensor = torch.from_numpy(x)
    against(
        "minmax_range",
        "torch.aminmax",
        lambda: minmax_range(x),
        lambda: torch.aminmax(tensor),
        elements=x.size,
    )
