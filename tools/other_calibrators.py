"""What ONNX Runtime's and PyTorch's calibrators make of the same batches in several orders.

    python tools/other_calibrators.py            # write the table that notebook 07 reads
    python tools/other_calibrators.py --check    # compute what is installed, compare with the table

ONNX Runtime comes with the extra `test`; PyTorch is asked only where it is installed. The batches are the
GELU output of the samples, 32 tokens at a time. Left out: methods whose state has no order, such as min-max.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import io
import json
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantnotes import samples

TABLE = Path(__file__).parent.parent / "notebooks" / "data" / "other_calibrators.json"
BATCH = 32  # tokens
ONNXRUNTIME: dict[str, tuple[str, int, float]] = {  # method, bins, percentile
    "ONNX Runtime, entropy, 128 bins (default)": ("entropy", 128, 99.999),
    "ONNX Runtime, entropy, 2048 bins": ("entropy", 2048, 99.999),
    "ONNX Runtime, percentile 99.99": ("percentile", 2048, 99.99),
}

Batches = list[NDArray[np.float32]]
Clips = dict[str, float]


def orders() -> dict[str, Batches]:
    """Return the same tokens in three orders."""
    x = samples.load("gelu_output")
    batches = [x[i : i + BATCH] for i in range(0, len(x), BATCH)]
    return {
        "as given": batches,
        "reversed": batches[::-1],
        "all at once": [x],
    }


def onnxruntime_clips(method: str, bins: int, percentile: float) -> Clips:
    """Return the upper end that ONNX Runtime's collector chooses for each order."""
    from onnxruntime.quantization.calibrate import HistogramCollector

    clips = {}
    for name, batches in orders().items():
        collector = HistogramCollector(method, False, bins, 128, percentile, "same")
        with contextlib.redirect_stdout(io.StringIO()):  # it tells of its progress
            for batch in batches:
                collector.collect({"x": batch})
            found = collector.compute_collection_result()["x"]
        clips[name] = float(found[1])
    return clips


def torch_clips() -> Clips:
    """Return the upper end of the range that PyTorch's HistogramObserver stands for, for each order."""
    import torch
    from torch.ao.quantization import HistogramObserver

    clips = {}
    for name, batches in orders().items():
        observer = HistogramObserver(dtype=torch.qint8, qscheme=torch.per_tensor_affine)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of its deprecation
            for batch in batches:
                observer(torch.from_numpy(batch))
            scale, zero_point = observer.calculate_qparams()
        clips[name] = float(scale) * (127 - int(zero_point))
    return clips


def tables() -> dict[str, Clips]:
    """Return one row for each calibrator that is installed."""
    rows = {name: onnxruntime_clips(*choice) for name, choice in ONNXRUNTIME.items()}
    if importlib.util.find_spec("torch") is not None:
        rows["PyTorch, HistogramObserver"] = torch_clips()
    return rows


def differing(rows: dict[str, Clips], table: dict[str, Any]) -> list[str]:
    """Return the rows that are not those of the table to within a thousandth."""
    return [
        name
        for name, clips in rows.items()
        if not np.allclose(
            [clips[order] for order in clips], [table[name][order] for order in clips], rtol=1e-3
        )
    ]


def main() -> int:
    """Write the table, or check it; return the exit code."""
    parser = argparse.ArgumentParser(description="What other calibrators make of the same batches.")
    parser.add_argument("--check", action="store_true", help="write nothing")
    if parser.parse_args().check:
        faults = differing(tables(), json.loads(TABLE.read_text(encoding="utf-8")))
        print(*(f"differs: {name}" for name in faults) if faults else ["as in the table"], sep="\n")
        return bool(faults)
    known = json.loads(TABLE.read_text(encoding="utf-8")) if TABLE.exists() else {}
    TABLE.parent.mkdir(exist_ok=True)
    TABLE.write_text(json.dumps(known | tables(), indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
