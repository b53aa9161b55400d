"""Rebuild tests/data/training_oracle.json: gradients and Adam's steps as PyTorch computes them.

    python tools/make_training_oracle.py            # write the file
    python tools/make_training_oracle.py --check    # compute the numbers again, compare them with the file

It needs PyTorch (the file was made with 2.13.0), which is in no extra. Scales are powers of two, so that
PyTorch's fake quantization, which holds them in float32 and multiplies by 1/S, gives exactly the same reals.
Percentile ranges clip weights and activations, so that the masks of both matter.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

from quantnotes import IntGrid, QuantParams, fake_quantize
from quantnotes.calibration import choose_range, make_params

FILE = Path(__file__).resolve().parent.parent / "tests" / "data" / "training_oracle.json"
SIZES = [(6, 5), (4, 6), (3, 4)]
ROWS, STEPS, LEARNING_RATE = 40, 8, 0.01


def parameters(x: Any, grid: IntGrid) -> QuantParams:
    """Return parameters that clip a fifth of the values, with a power of two as scale."""
    params = make_params(choose_range("percentile", x, percentile=80.0), grid)
    return QuantParams(2.0 ** round(np.log2(params.scale)), params.zero_point, grid)


def fake(value: Any, params: QuantParams) -> Any:
    grid = params.grid
    return torch.fake_quantize_per_tensor_affine(value, params.scale, params.zero_point, grid.qmin, grid.qmax)


def case(bits: int) -> dict[str, Any]:
    rng, grid = np.random.default_rng(bits), IntGrid.of(bits)
    x, labels = rng.normal(size=(ROWS, 5)), rng.integers(0, 3, ROWS)
    values = [rng.normal(size=shape) for size in SIZES for shape in (size, size[:1])]
    seen, params = x, [parameters(x, grid)]
    for i, (w, b) in enumerate(zip(values[::2], values[1::2], strict=True)):
        seen = seen @ w.T + b
        if i < len(SIZES) - 1:
            seen = np.maximum(seen, 0)
            params.append(parameters(seen, grid))
    weights = [parameters(w, grid) for w in values[::2]]
    tensors = [torch.tensor(value, requires_grad=True) for value in values]
    adam = torch.optim.Adam(tensors, lr=LEARNING_RATE)
    inputs, targets = torch.tensor(fake_quantize(x, params[0], dtype=np.float64)), torch.tensor(labels)
    gradients: list[Any] = []
    for _ in range(STEPS):
        out = inputs
        for w, b, p, y in zip(tensors[::2], tensors[1::2], weights, [*params[1:], None], strict=True):
            out = out @ fake(w, p).T + b
            out = out if y is None else fake(torch.relu(out), y)
        adam.zero_grad()
        torch.nn.functional.cross_entropy(out, targets).backward()
        gradients = gradients or [tensor.grad.tolist() for tensor in tensors]
        adam.step()
    return {
        "bits": bits,
        "learning_rate": LEARNING_RATE,
        "steps": STEPS,
        "x": x.tolist(),
        "labels": labels.tolist(),
        "values": [value.tolist() for value in values],
        "inputs": [[p.scale, p.zero_point] for p in params],
        "weights": [[p.scale, p.zero_point] for p in weights],
        "gradients": gradients,
        "trained": [tensor.detach().tolist() for tensor in tensors],
    }


def main() -> int:
    cases = [case(bits) for bits in (2, 4)]
    if "--check" not in sys.argv[1:]:
        lines = ",\n".join(json.dumps(each) for each in cases)
        FILE.write_text(f"[\n{lines}\n]\n", encoding="utf-8")
        return 0
    held = json.loads(FILE.read_text(encoding="utf-8"))
    for ours, theirs in zip(cases, held, strict=True):
        for name in ("gradients", "trained"):
            for a, b in zip(ours[name], theirs[name], strict=True):
                np.testing.assert_allclose(a, b, atol=1e-9)
    print("the file holds what PyTorch computes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
