"""One explorer a notebook: sliders over a figure, on the same functions that draw the static ones.

Not covered: anything that a static figure does not say as well.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from quantnotes import samples
from quantnotes.asymmetric import asymmetric_params
from quantnotes.course import plots
from quantnotes.course.controls import choice, explore, slider
from quantnotes.grid import INT8, IntGrid
from quantnotes.mapping import QuantParams, fake_quantize
from quantnotes.outliers import note_histogram_scale
from quantnotes.ranges import minmax_range
from quantnotes.saturation import code_ledger
from quantnotes.symmetric import symmetric_params

TENSORS = ("gelu_output", "layernorm_output", "attention_probabilities", "query_weight")
SCHEMES: dict[str, Callable[..., QuantParams]] = {
    "asymmetric": asymmetric_params,
    "symmetric": symmetric_params,
}


def mapping_explorer() -> None:
    """Notebook 01: bits and the end of the range over the staircase and the error."""

    def draw(bits: int, end: float) -> Any:
        # Without the lowest code there is one in the middle for 0: both ends are on the grid, for any range.
        params = symmetric_params(-end, end, IntGrid.of(bits, narrow=True))
        both = plots.axes(2, 1, height=4.6, sharex=True)
        plots.staircase(params, both[0], -5.0, 5.0)
        decode = {"error": lambda r: fake_quantize(r, params, dtype=np.float64)}
        plots.sawtooth(decode, -5.0, 5.0, params, both[1])
        both[0].set(xlabel="", title=f"{params.grid.codes} codes, S = {params.scale:.3f}")
        both[1].set_ylim(-3, 3)
        return both

    explore(
        draw,
        "A staircase of seven steps over -2 to 2, and under it the sawtooth of its error, which grows "
        "without limit in the shaded parts outside.",
        bits=slider("bits", 3, 2, 6, 1),
        end=slider("range ± (real)", 2.0, 0.5, 4.5, 0.25),
    )


def asymmetric_explorer() -> None:
    """Notebook 02: rmin and rmax move S, Z and the grid."""

    def draw(rmin: float, rmax: float) -> Any:
        low, high = min(rmin, rmax, 0.0), max(rmin, rmax, 0.0)  # crossed sliders and one sign are fine too
        params = asymmetric_params(low, high, IntGrid.of(3, signed=False))
        ax = plots.sliding_grid(low, high, params)
        slid = abs(params.range.rmax - high) / params.scale
        ax.set_title(f"S = {params.scale:.3f}, Z = {params.zero_point}, slid by {slid:.2f} S", fontsize=10)
        return ax

    explore(
        draw,
        "Two rows of eight marks; the lower one is moved so that one of its marks stands at 0.",
        rmin=slider("rmin (real)", -0.7, -4.0, 4.0, 0.1),
        rmax=slider("rmax (real)", 1.5, -4.0, 4.0, 0.1),
    )


def symmetric_explorer() -> None:
    """Notebook 03: the symmetric clip against a tensor that is not symmetric."""
    x = samples.load("gelu_output")

    def draw(clip: float) -> Any:
        return plots.values_above_codes(x, code_ledger(x, symmetric_params(-clip, clip, INT8)))

    explore(
        draw,
        "GELU values on the right half of a symmetric range, plus and minus 24; 27 of 256 codes in use.",
        clip=slider("range ± (real)", 24.2, 0.5, 30.0, 0.1),
    )


def codes_explorer() -> None:
    """Notebook 04: the code histogram, its unused codes hatched, as tensor, scheme and bits change."""
    tensors = {name: samples.load(name) for name in TENSORS}

    def draw(tensor: str, scheme: str, bits: int) -> Any:
        x = tensors[tensor]
        ledger = code_ledger(x, SCHEMES[scheme](*minmax_range(x), IntGrid.of(bits)))
        return plots.code_histogram(ledger, title=f"{tensor}, {scheme}")

    explore(
        draw,
        "Codes of the GELU output, asymmetric, 8 bits: 51 of 256 in use, the rest hatched.",
        tensor=choice("tensor", TENSORS),
        scheme=choice("scheme", SCHEMES),
        bits=slider("bits", 8, 2, 8, 1),
    )


def filter_explorer() -> None:
    """Notebook 05: keep and bins over the two pointers of the note's filter, on a real tensor."""
    x = samples.load("layernorm_output").ravel()

    def draw(keep: float, bins: int) -> Any:
        counts, edges = np.histogram(x, bins)
        left, right = 0, bins - 1
        while counts[left:right].sum() / x.size > keep:
            left, right = (left + 1, right) if counts[left] <= counts[right] else (left, right - 1)
        scale = note_histogram_scale(x, 127, bins, keep)
        title = "a scale of 0: nothing can be quantized"
        if scale > 0:
            ledger = code_ledger(x, QuantParams(scale, 0, INT8))
            title = f"{ledger.codes_used} of 256 codes, {ledger.sqnr_db:.1f} dB"
        panel = plots.pointer_frame(counts, edges, (left, right), ax=plots.axes(height=3.0))
        panel.set_title(f"{panel.get_title().strip()}; {title}\n", fontsize=9)
        return panel

    explore(
        draw,
        "The LayerNorm output with 99 % kept: the pointers stand close to the bell, and the far values on "
        "both sides are dropped.",
        keep=slider("keep (share)", 0.99, 0.5, 1.0, 0.005),
        bins=slider("bins", 100, 2, 500, 1),
    )


def calibration_explorer() -> None:
    """Notebook 06: rounding and clipping noise of a bell as bits and clip change."""
    bell = np.random.default_rng(0).standard_normal(20_000)
    clips = np.linspace(0.5, 5.0, 46)

    @cache
    def parts(grid: IntGrid) -> tuple[Any, Any]:
        pairs = []
        for a in clips:
            error = (fake_quantize(bell, QuantParams(a / grid.qmax, 0, grid), dtype=np.float64) - bell) ** 2
            inside = np.abs(bell) <= a
            pairs.append((np.sum(error[inside]) / bell.size, np.sum(error[~inside]) / bell.size))
        rounding, clipping = np.transpose(pairs)
        return rounding, clipping

    def draw(bits: int, clip: float) -> Any:
        grid = IntGrid.of(bits, narrow=True)
        rounding, clipping = parts(grid)
        best = float(clips[np.argmin(rounding + clipping)])
        ax = plots.noises(clips, rounding, clipping, {"least sum": best, "your clip": clip}, "clip, in σ")
        sqnr = code_ledger(bell, QuantParams(clip / grid.qmax, 0, grid)).sqnr_db
        ax.set(title=f"{bits} bits, clip {clip:.1f} σ: {sqnr:.1f} dB", ylim=(1e-6, 1))
        return ax

    explore(
        draw,
        "Against the clip, rounding noise rises and clipping noise falls; with 8 bits their sum is least "
        "near 4. The chosen clip of 2.5 lies further left, where clipping noise is nearly all of it.",
        bits=slider("bits", 8, 2, 8, 1),
        clip=slider("clip (in σ)", 2.5, 0.5, 5.0, 0.1),
    )


def ladder_explorer() -> None:
    """Notebook 10: where on the way the upper end of a range is measured, with and without position 0."""
    names = ("gelu_output", "layernorm_output", "dense2_weight", "dense2_bias")
    gelu, entered, weight, bias = (samples.load(name).astype(np.float64) for name in names)
    gain, shift = (samples.load(f"layernorm2_{name}").astype(np.float64) for name in ("weight", "bias"))
    ends = np.array([2, 3, 4, 4.5, 5, 6, 8, 10, 12, 16, 20, 24.2])
    tokens, places = ("all tokens", "all but position 0"), ("tensor", "dense layer", "block")

    def climb(x: Any) -> tuple[Any, Any, Any]:
        dense = x @ weight.T + bias
        centred = dense + entered - (dense + entered).mean(axis=1, keepdims=True)
        return x, dense, centred / np.sqrt(np.mean(centred**2, axis=1, keepdims=True) + 1e-12) * gain + shift

    exact = climb(gelu)

    def rungs(end: float, which: str) -> list[float]:
        x = fake_quantize(gelu, asymmetric_params(gelu.min(), end), dtype=np.float64)
        if which != tokens[0]:
            x[:1] = fake_quantize(gelu[:1], asymmetric_params(gelu.min(), gelu.max()), dtype=np.float64)
        pairs = zip(exact, climb(x), strict=True)
        return [float(10 * np.log10(np.sum(e**2) / np.sum((g - e) ** 2))) for e, g in pairs]

    @cache
    def curves(which: str) -> dict[str, Any]:
        return dict(zip(places, np.transpose([rungs(end, which) for end in ends]), strict=True))

    def draw(end: float, which: str) -> Any:
        ax = plots.lines(ends, {}, curves(which), "upper end of the range")
        ax.axvline(end, color=plots.CODE, lw=2)
        whole = (f"{place} {sqnr:.1f} dB" for place, sqnr in zip(places, rungs(end, which), strict=True))
        ax.set(ylim=(-2, 46), title=f"up to {end:.1f}: " + ", ".join(whole))
        return ax

    explore(
        draw,
        "SQNR over the upper end of the range at three places: at the tensor it is best near 20, at the "
        "dense layer it rises to the end, at the block it is best near 4.5 and falls from there.",
        end=slider("upper end (real)", 24.2, 2.0, 24.2, 0.1),
        which=choice("clipped", tokens),
    )
