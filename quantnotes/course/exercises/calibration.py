"""Exercises of notebook 06: what a range should minimise."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantnotes.course.exercises._helpers import Check, Function, Hint, ask, numbers, reals
from quantnotes.grid import IntGrid
from quantnotes.mapping import QuantParams, fake_quantize
from quantnotes.ranges import minmax_range


def _error(x: NDArray[Any], clip: float, qmax: int) -> float:
    params = QuantParams(clip / qmax, 0, IntGrid(-qmax, qmax))
    return float(np.mean((fake_quantize(x, params, dtype=np.float64) - x) ** 2))


def _clip(answer: Function) -> None:
    rng = np.random.default_rng(6)
    wide, spiked = rng.standard_normal(4000), np.append(rng.standard_normal(4000), 30.0)
    tailed = rng.standard_t(3, 4000)
    cases = [(spiked, 1), (-spiked, 1), (-spiked, 3), (wide, 1), (wide, 127), (-spiked, 127), (tailed, 3)]
    for x, qmax in [*cases, (100 * tailed, 3), (wide / 1000, 3)]:
        found = ask(answer, x, qmax)
        given = reals(found)
        if given is None or given.size != 1:
            raise Hint("Return one number, the clip.")
        clip = float(given.reshape(()))
        if not 0 < clip < np.inf:
            raise Hint(f"A clip is above 0; {clip:.3g} came back.")
        largest = max(map(abs, minmax_range(x)))
        if qmax == 1 and np.abs(x).max() > 20 and clip > 0.45 * largest:
            raise Hint(
                "With 2 bits and a far value the best clip is far below half of the maximum: min-max, and a "
                "search that stops at half, send nearly everything to 0."
            )
        best = min(_error(x, c, qmax) for c in np.linspace(largest / 400, largest, 400))
        if qmax > 1 and _error(x, clip * qmax, qmax) < 1.025 * best:
            raise Hint("That is the scale: return the clip, S * qmax.")
        if _error(x, clip, qmax) > 1.025 * best:
            raise Hint(
                f"qmax = {qmax}: a clip of {clip:.3g} makes {_error(x, clip, qmax) / best:.2f} times the "
                "least squared error. Quantize with every candidate, clipping included; take many, from "
                "small ones up to the largest magnitude, which may be that of a negative value."
            )


CHECKS: dict[str, Check] = {
    "06.1": numbers(
        (18 * 1 + 2 * 4) / 20,
        {
            "With S = 4 each of the 18 ones rounds to 0: an error of 1 each.": 4.0,
            "That is perfect for the ones, but two values pay 3 squared each.": 1.0,
            "The middle of 1 and 4 weighs both alike; there are 18 of the one and 2 of the other.": 2.5,
            "Weigh by how many there are: 18 and 2, not 18 and 1.": (18 + 4) / 19,
            "The error is squared: the least sum of squares is at the mean, not at the median.": 1.1,
            "That is the least error itself; which clip has it?": 18 * 0.3**2 + 2 * 2.7**2,
        },
        "18 (a - 1)^2 + 2 (4 - a)^2: set its derivative to 0.",
        decimals=2,
    ),
    "06.2": numbers(
        (7, 7, 0, 4),
        {
            "The 3 values beyond belong to P alone; Q is made of the bins inside.": (7, 7, 0, 7),
            "A bin that is empty gets nothing: the level goes to those that are not.": (7, 7, 2, 2),
            "That is P: what lies beyond is added to its last bin.": (8, 6, 0, 7),
            "That is what is inside, bin by bin; a level gives each of its bins the same.": (8, 6, 0, 4),
            "Those are the sums of the two levels; each is shared out over its bins.": (14, 4),
            "Each bin has the sum of its level: share it out over the bins not empty.": (14, 14, 0, 4),
            "That is the sum of its level for each bin: share it out over those not empty.": (14, 14, 4, 4),
            "These are shares; the exercise asks for counts, before they are divided.": (
                7 / 18,
                7 / 18,
                0,
                4 / 18,
            ),
        },
        "Two levels of two bins: 8 and 6 share a level; 0 and 4 the other, where only one bin counts.",
    ),
    "06.3": _clip,
}
