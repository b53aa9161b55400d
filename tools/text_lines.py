"""Draw text lines for the text-direction classifier: upright or on their head, as a scanner sees them.

    python tools/text_lines.py OUT.png      # look at some of them

The fonts come with Matplotlib, the words are those of the sample texts beside this file. What a seed gives
depends on the versions of Pillow and FreeType. Not covered: the classifier, see `make_samples`.
"""

from __future__ import annotations

import math
import re
import sys
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
import numpy as np
from minilm import TEXTS
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont

Array = NDArray[Any]

HEIGHT, WIDTH = 48, 192  # what the classifier reads
FONTS = [f"DejaVu{kind}" for kind in ("Sans", "Sans-Bold", "Sans-Oblique", "SansMono", "Serif")]
FONTS += ["STIXGeneral"]
FOLDER = Path(matplotlib.get_data_path()) / "fonts" / "ttf"


class Lines(NamedTuple):
    """Prepared text lines.

    Attributes
    ----------
    images : ndarray of uint8, shape (n, 48, 192)
        Grey, 0 black; nothing is drawn from column `widths` on.
    widths : ndarray of uint8, shape (n,)
        How many columns the line fills.
    turned : ndarray of bool, shape (n,)
        Whether the line stands on its head.
    """

    images: Array
    widths: Array
    turned: Array


def draw(count: int, seed: int, hardness: float = 1.0) -> Lines:
    """Draw `count` lines; `hardness` 0 is clean print, 1 a middling scan, 2 a poor one."""
    rng = np.random.default_rng(seed)
    words = re.findall(r"[A-Za-z]+", " ".join(path.read_text(encoding="utf-8") for path in TEXTS.values()))
    images = np.zeros((count, HEIGHT, WIDTH), np.uint8)
    widths, turned = np.empty(count, np.uint8), rng.random(count) < 0.5
    for i in range(count):
        line = _prepared(_scanned(_text(words, rng), rng, hardness), bool(turned[i]))
        widths[i] = line.shape[1]
        images[i, :, : line.shape[1]] = line
    return Lines(images, widths, turned)


def _text(words: list[str], rng: np.random.Generator) -> str:
    """Return one to three words, now and then in capitals or with a number."""
    chosen = [str(rng.choice(words)) for _ in range(rng.integers(1, 4))]
    if rng.random() < 0.3:
        chosen.append(str(rng.integers(10, 10_000)))
    text = " ".join(chosen)
    return text.upper() if rng.random() < 0.2 else text


def _scanned(text: str, rng: np.random.Generator, hardness: float) -> Array:
    """Return the text as a grey picture with a tilt, blur, little contrast and noise."""
    font = ImageFont.truetype(FOLDER / f"{rng.choice(FONTS)}.ttf", int(rng.integers(24, 44)))
    left, top, right, bottom = font.getbbox(text)
    margin = int(rng.integers(2, 8))
    size = (math.ceil(right - left) + 2 * margin, math.ceil(bottom - top) + 2 * margin)
    picture = Image.new("L", size, 255)
    ImageDraw.Draw(picture).text((margin - left, margin - top), text, font=font, fill=0)
    tilt = rng.normal(0, 1.5 * hardness)
    picture = picture.rotate(tilt, Image.Resampling.BICUBIC, expand=True, fillcolor=255)
    picture = picture.filter(ImageFilter.GaussianBlur(abs(rng.normal(0, 1.0 * hardness))))
    ink, paper = sorted(rng.uniform([0, 255 - 90 * hardness], [min(110 * hardness, 150), 255]))
    grey = np.asarray(picture, np.float64) / 255 * (paper - ink) + ink
    if rng.random() < 0.25:
        grey = 255 - grey
    scan: Array = np.clip(np.rint(grey + rng.normal(0, 10 * hardness, grey.shape)), 0, 255).astype(np.uint8)
    return scan


def _prepared(grey: Array, turned: bool) -> Array:
    """Scale the line to the height that the classifier reads, at most as wide as it reads."""
    picture = Image.fromarray(grey[::-1, ::-1] if turned else grey)
    width = min(math.ceil(HEIGHT * picture.width / picture.height), WIDTH)
    return np.asarray(picture.resize((width, HEIGHT), Image.Resampling.BILINEAR))


def main() -> None:
    lines = draw(24, seed=0)
    sheet = np.vstack([np.hstack(list(row)) for row in lines.images.reshape(8, 3, HEIGHT, WIDTH)])
    Image.fromarray(sheet).save(sys.argv[1])


if __name__ == "__main__":
    main()
