"""Measure size and latency of the int8 model of notebook 12 beside the float one: notebooks/data/latency.csv.

    python -m pip install -e ".[onnx]"
    python benchmarks/latency.py            # print, and write the table

One thread, six lines at a time, ONNX Runtime's CPU provider. The models take turns, 40 rounds; the table has
the median of the ratio to the float model in the same round, so that a busy machine slows both. Another
processor gives other numbers: the table names the one that it was made on.

Not covered: accuracy, see tools/make_whole_model.py; other engines and devices.
"""

from __future__ import annotations

import csv
import platform
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from quantnotes import INT8, samples
from quantnotes.network import load_text_direction
from quantnotes.onnx_model import fold, observe, quantize, session

TABLE = Path(__file__).resolve().parent.parent / "notebooks" / "data" / "latency.csv"
MODEL = samples.path("text_direction.onnx")
ROUNDS, BATCH, CALIBRATE = 40, 6, 16


def processor() -> str:
    """Return the name of the processor, and whether it has VNNI instructions."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    named = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    name = named.get("model name") or platform.processor() or platform.machine()
    family = f", family {named['cpu family']} model {named['model']}" if "model" in named else ""
    vnni = "avx512_vnni" if "avx512_vnni" in named.get("flags", "") else "no AVX-512 VNNI"
    return f"{name}{family}, {vnni}"


def models() -> dict[str, tuple[onnx.ModelProto, bool]]:
    """Return the models by name, and whether to ask for sums that cannot overflow."""
    images = load_text_direction().images[:CALIBRATE]
    seen = observe(MODEL, [{"x": images}])
    return {
        "float": (fold(MODEL), False),
        "int8, uint8 activations": (quantize(MODEL, seen, method="minmax"), False),
        "the same, exact sums": (quantize(MODEL, seen, method="minmax"), True),
        "int8, int8 activations": (quantize(MODEL, seen, method="minmax", activations=INT8), False),
        "weights alone": (quantize(MODEL, None, parts="weights"), False),
    }


def measured(made: dict[str, tuple[onnx.ModelProto, bool]]) -> dict[str, tuple[float, float]]:
    """Return for each model milliseconds a run, and the median ratio of the float model's time to its own."""
    x = load_text_direction().images[:BATCH]
    runners: dict[str, Any] = {
        name: session(model, exact=exact, threads=1) for name, (model, exact) in made.items()
    }
    times: dict[str, list[float]] = {name: [] for name in runners}
    for _ in range(ROUNDS + 3):
        for name, runner in runners.items():
            start = time.perf_counter()
            runner.run(None, {"x": x})
            times[name].append(time.perf_counter() - start)
    base = np.array(times["float"][3:])
    return {
        name: (1000 * float(np.median(t[3:])), float(np.median(base / np.array(t[3:]))))
        for name, t in times.items()
    }


def main() -> None:
    """Measure, print and write."""
    made = models()
    found = measured(made)
    rows = []
    for name, (model, _) in made.items():
        ms, speed = found[name]
        rows.append(
            {
                "model": name,
                "kilobytes": f"{len(model.SerializeToString()) / 1000:.0f}",
                "milliseconds": f"{ms:.1f}",
                "speed": f"{speed:.2f}",
                "processor": processor(),
            }
        )
        print(*rows[-1].values(), sep="  ")
    with TABLE.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
