"""Rebuild tests/data/entropy_clips.json: what ONNX Runtime's entropy collector clips of each sample.

    python tools/make_entropy_oracle.py            # write the file, in some minutes
    python tools/make_entropy_oracle.py --check    # compute the clips again, compare them with the file

It needs ONNX Runtime (the file was made with 1.32.0). All samples of a floating type but those of one value.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnxruntime.quantization.calibrate import HistogramCollector

from quantnotes import samples

FILE = Path(__file__).resolve().parent.parent / "tests" / "data" / "entropy_clips.json"
BINS, LEVELS = 2048, 128


def clip(x: NDArray[Any]) -> float:
    """Return the clip of one array, as ONNX Runtime chooses it."""
    collector = HistogramCollector("entropy", True, BINS, LEVELS, 99.99, "same")
    with contextlib.redirect_stdout(io.StringIO()):  # it tells of its progress
        collector.collect({"x": [x]})
        low, high = collector.compute_entropy()["x"][:2]
    return float(max(-low, high))


def clips() -> dict[str, float]:
    """Return the clip of each sample."""
    arrays = {name: samples.load(name) for name in samples.names()}
    return {name: clip(x) for name, x in arrays.items() if x.dtype.kind == "f" and np.ptp(x) > 0}


def main() -> int:
    """Write the file, or check it; return the exit code."""
    if "--check" not in sys.argv[1:]:
        FILE.write_text(json.dumps(clips(), indent=1) + "\n", encoding="utf-8")
        return 0
    known = json.loads(FILE.read_text(encoding="utf-8"))
    found = clips()
    differing = [
        name for name in found | known if not np.isclose(found.get(name, np.nan), known.get(name, np.nan))
    ]
    print(*(f"differs: {name}" for name in differing) if differing else ["as in the file"], sep="\n")
    return bool(differing)


if __name__ == "__main__":
    sys.exit(main())
