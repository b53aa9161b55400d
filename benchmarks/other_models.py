"""Quantize models of your own with the library and with ONNX Runtime's `quantize_static`, and compare.

    python -m pip install -e ".[onnx]"
    python benchmarks/other_models.py MODEL.onnx CALIBRATION.npz TEST.npz [--batch 8]

One line for each way: whether the answers agree with the float model's and SQNR at the outputs as they are,
first on CALIBRATION, by which one may pick a way, then on TEST, which no way has seen; seconds and memory
from the float file to the int8 file, and the file's size. Every way runs in a process of its own. Seconds
are the processor's, of all threads, which a busy machine hardly changes. Memory is the largest that the
process had above what it had with the packages loaded and the data read, as Linux counts it. The file is read
back and run by ONNX Runtime with its default options.

ONNX Runtime's quantizer gets uint8 activations and int8 weights, as ours: MinMax, Percentile and Entropy, one
scale for each weight or one for each channel, with and without its preparation step, all nodes that it knows
or ("layers") Conv, Gemm and MatMul alone, as ours. A model below opset 13
is raised first, since a scale for each channel needs it. Its calibrators want batches of one shape: rows that
fill none are left out, for ours too.

Not covered: latency, see benchmarks/latency.py; whether the answers are right.
"""

from __future__ import annotations

import argparse
import importlib
import itertools
import json
import logging
import math
import pickle
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from quantnotes import Histogram, choose_range
from quantnotes.onnx_model import observe, quantize
from quantnotes.onnx_model.blame import decisions, score_tensors
from quantnotes.onnx_model.command import read_batches
from quantnotes.onnx_model.graph import LAYERS, Graph, read
from quantnotes.tables import text_table

Array = NDArray[Any]
Batches = list[dict[str, Any]]
OURS: dict[str, dict[str, Any]] = {
    "mse": {"method": "mse"},
    "mse, corrected": {"method": "mse", "bias_correction": True},
    "percentile": {"method": "percentile"},
    "percentile 99.999": {"method": "percentile", "percentile": 99.999},
    "minmax": {"method": "minmax"},
    "entropy": {"method": "entropy"},
}
THEIRS = list(
    itertools.product(
        ("MinMax", "Percentile", "Entropy"),
        ("channel", "tensor"),
        ("", "prepared", "layers", "prepared layers"),
    )
)
HEAD = ("", "seen: agree, %", "SQNR, dB", "test: agree, %", "SQNR, dB", "seconds", "MB", "file, KB")
MEGABYTE = 1 << 20


def ours(model: str, batches: Batches, out: str, method: str) -> None:
    """Write what this library makes of a model."""
    onnx.save(quantize(model, observe(model, batches), **OURS[method]), out)


def theirs(model: str, batches: Batches, out: str, method: str, scale: str, how: str) -> None:
    """Write what ONNX Runtime makes of a model."""
    runtime: Any = importlib.import_module("onnxruntime.quantization")  # its types do not say what it exports
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader:  # as its CalibrationDataReader
        def __init__(self) -> None:
            self.left = iter(batches)

        def get_next(self) -> Any:
            return next(self.left, None)

    source, loaded = model, onnx.load(model)
    if min(o.version for o in loaded.opset_import if o.domain in ("", "ai.onnx")) < 13:
        source = str(Path(out).with_suffix(".raised.onnx"))
        onnx.save(onnx.version_converter.convert_version(loaded, 13), source)
    if "prepared" in how:
        before, source = source, str(Path(out).with_suffix(".prepared.onnx"))
        try:
            quant_pre_process(before, source)
        except Exception:  # its symbolic shapes fail on many models
            quant_pre_process(before, source, skip_symbolic_shape=True)
    runtime.quantize_static(
        source,
        out,
        Reader(),
        quant_format=runtime.QuantFormat.QDQ,
        per_channel=scale == "channel",
        activation_type=runtime.QuantType.QUInt8,
        weight_type=runtime.QuantType.QInt8,
        calibrate_method=runtime.CalibrationMethod[method],
        op_types_to_quantize=list(LAYERS) if "layers" in how else None,
    )


def memory(field: str) -> int:
    """Return what Linux says about this process, in bytes: VmRSS now, VmHWM at most."""
    text = Path("/proc/self/status").read_text(encoding="utf-8")
    return 1024 * int(text.split(f"{field}:")[1].split()[0])


def measure(make: Callable[[], None]) -> tuple[float, int]:
    """Return the processor's seconds that a call takes, and the bytes that the process grows by at most."""
    Path("/proc/self/clear_refs").write_text("5")  # the largest so far is forgotten
    before, start = memory("VmRSS"), time.process_time()
    make()
    return time.process_time() - start, memory("VmHWM") - before


def run(model: str, batches: Batches) -> list[list[Any]]:
    """Return the outputs of a model on each batch, by the engine as it comes."""
    runtime: Any = importlib.import_module("onnxruntime")
    options = runtime.SessionOptions()
    options.log_severity_level = 4
    session = runtime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return [session.run(None, batch) for batch in batches]


def compare(
    model: str, judged: list[str], wanted: list[list[Any]], got: list[list[Any]]
) -> tuple[float, float]:
    """Return the share of equal answers and the SQNR, each at the output where it is smallest."""
    graph = Graph.of(read(model))
    shares, decibels = [], []
    for i, name in enumerate(graph.outputs):
        if judged and name not in judged:
            continue
        (answer,) = score_tensors(graph, [name]).values()
        signal = noise = same = count = 0.0
        for a, b in zip((row[i] for row in wanted), (row[i] for row in got), strict=True):
            signal += float(np.sum(np.square(a, dtype=np.float64)))
            noise += float(np.sum(np.square(a - b, dtype=np.float64)))
            if answer != "none":
                equal = decisions(a, answer) == decisions(b, answer)
                same, count = same + np.count_nonzero(equal), count + equal.size
        shares += [same / count] if count else []
        decibels.append(10 * math.log10(signal / noise) if signal and noise else math.inf)
    return min(shares, default=1.0), min(decibels)


def one(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure one way, in this process."""
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    words, model = arguments.way.split("/"), arguments.model
    batches = read_batches(model, arguments.calibration, arguments.batch)
    first = {name: x.shape for name, x in batches[0].items()}
    batches = [batch for batch in batches if {name: x.shape for name, x in batch.items()} == first]
    importlib.import_module("onnxruntime.quantization.shape_inference")  # before the clock starts
    choose_range(
        "mse", Histogram().update(np.random.default_rng(0).normal(size=1 << 17))
    )  # compiled code too

    with tempfile.TemporaryDirectory() as folder:
        out = str(Path(folder) / "int8.onnx")
        maker = ours if words[0] == "ours" else theirs
        seconds, grown = measure(lambda: maker(model, batches, out, *words[1:]))
        inputs = [batches, read_batches(model, arguments.test, arguments.batch)]
        if not Path(arguments.wanted).exists():
            Path(arguments.wanted).write_bytes(pickle.dumps([run(model, some) for some in inputs]))
        wanted = pickle.loads(Path(arguments.wanted).read_bytes())  # of another way
        scores = [
            compare(model, arguments.outputs, expected, run(out, some))
            for expected, some in zip(wanted, inputs, strict=True)
        ]
        size = Path(out).stat().st_size
    return {"scores": scores, "seconds": seconds, "bytes": grown, "size": size}


def line(way: str, arguments: argparse.Namespace, wanted: str) -> tuple[str, ...]:
    """Return the table's line for one way, measured in a process of its own."""
    command = [sys.executable, __file__, arguments.model, arguments.calibration, arguments.test]
    command += ["--batch", str(arguments.batch), "--way", way, "--wanted", wanted]
    command += ["--outputs", *arguments.outputs]
    name = way.rstrip("/").replace("/", " ")
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=arguments.limit)
    except subprocess.TimeoutExpired:
        return name, f"over {arguments.limit} s", *[""] * (len(HEAD) - 2)
    if done.returncode:
        last = (done.stderr.strip() or f"exit code {done.returncode}").splitlines()[-1]
        return name, last[:60], *[""] * (len(HEAD) - 2)
    row = json.loads(done.stdout.splitlines()[-1])
    scores = [text for share, db in row["scores"] for text in (f"{100 * share:.2f}", f"{db:.1f}")]
    costs = f"{row['seconds']:.1f}", f"{row['bytes'] / MEGABYTE:.0f}", f"{row['size'] / 1000:.0f}"
    return name, *scores, *costs


def main() -> None:
    """Measure every way and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    for name in ("model", "calibration", "test"):
        parser.add_argument(name)
    parser.add_argument("--batch", type=int, default=8, help="rows of data at a time")
    parser.add_argument("--limit", type=int, default=900, help="seconds that one way may take")
    parser.add_argument("--ways", nargs="+", default=["*"], help="patterns: 'ours/*' 'theirs/*/channel/*' …")
    parser.add_argument("--outputs", nargs="*", default=[], help="of the model that count; all by default")
    parser.add_argument("--wanted", help=argparse.SUPPRESS)
    parser.add_argument("--way", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.way:
        print(json.dumps(one(arguments)))
        return
    ways = [f"ours/{method}" for method in OURS] + ["/".join(("theirs", *words)) for words in THEIRS]
    lines = []
    with tempfile.TemporaryDirectory() as folder:
        for way in (way for way in ways if any(fnmatch(way, pattern) for pattern in arguments.ways)):
            lines.append(line(way, arguments, f"{folder}/float.pickle"))
            print(*lines[-1], sep="  ", file=sys.stderr, flush=True)
    print(text_table([HEAD, *lines], right=True))


if __name__ == "__main__":
    main()
