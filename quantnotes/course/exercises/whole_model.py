"""Exercises of notebook 12: which layer is to blame."""

from __future__ import annotations

import math

import numpy as np

from quantnotes.course.exercises._helpers import Check, Function, Hint, ask, numbers


def _total(alone: list[float]) -> float:
    """Return the decibels of layers together, from those of each alone: their noise powers add up."""
    return -10 * math.log10(sum(10 ** (-db / 10) for db in alone))


def _phi(x: float) -> float:
    return math.erfc(-x / math.sqrt(2)) / 2


_LAYERS = {"a": 24.0, "b": 45.0, "c": 20.5, "d": 30.0, "e": 38.0}


def _needed(alone: dict[str, float], target: float) -> int:
    """Return how many of the worst layers must stay in float."""
    values = sorted(alone.values())
    return next(k for k in range(len(values) + 1) if not values[k:] or _total(values[k:]) >= target)


def _keep(answer: Function) -> None:
    rng = np.random.default_rng(12)
    many = {f"layer{i}": float(db) for i, db in enumerate(rng.uniform(20, 50, 12))}
    cases = [(_LAYERS, 28.0), (_LAYERS, 22.0), (_LAYERS, 15.0), (_LAYERS, 60.0), (many, 30.0), (many, 35.0)]
    for alone, target in cases:
        found = ask(answer, alone, target)
        if not isinstance(found, list | tuple) or not all(name in alone for name in found):
            raise Hint("Return a list of names of layers, such as ['c', 'a']; it may be empty.")
        worst = sorted(alone, key=alone.__getitem__)
        wanted = worst[: _needed(alone, target)]
        if list(found) == wanted:
            continue
        if sorted(found) == sorted(wanted):
            raise Hint("The right layers in another order: the worst first.")
        if list(found) == worst[::-1][: len(found)] and found:
            raise Hint("The worst layer has the fewest decibels: start there.")
        if list(found) == [name for name in worst if alone[name] < target]:
            raise Hint(
                f"Target {target:g} dB: each layer that is left has that much alone, but together they have "
                "less. Add up their noise powers."
            )
        if len(found) > len(wanted):
            raise Hint(f"Target {target:g} dB: {len(wanted)} layers in float are enough, not {len(found)}.")
        left = [alone[name] for name in alone if name not in found]
        reached = _total(left) if left else math.inf
        raise Hint(f"Target {target:g} dB: with these in float the others together leave {reached:.1f} dB.")


_RIGHT = _total([20.0, 20.0, 30.0])
_FLIP = _phi(-1.5)

CHECKS: dict[str, Check] = {
    "12.1": numbers(
        _RIGHT,
        {
            "That is the worst alone; the others make noise as well.": 20.0,
            "Decibels have no mean that says anything: add up powers.": 70 / 3,
            "That is without the third layer, which is small and counts.": _total([20.0, 20.0]),
            "Powers add up, not amplitudes: 10^(-dB/10).": -20 * math.log10(0.1 + 0.1 + 10**-1.5),
            "That is the noise's power; in decibels it is positive.": 0.021,
            "The sign: signal over noise.": -_RIGHT,
        },
        "10^(-20/10) + 10^(-20/10) + 10^(-30/10), and back to decibels.",
        decimals=1,
    ),
    "12.2": numbers(
        _FLIP,
        {
            "The error must go one way, against the margin: one side, not two.": 2 * _FLIP,
            "That is how often the answer stays.": 1 - _FLIP,
            "Divide: the margin is 1.5 deviations away, not 6.": _phi(-6.0),
            "The margin over the deviation, not the other way round.": _phi(-2 / 3),
            "The Gaussian's share below -1.5, not its density there.": math.exp(-1.125)
            / math.sqrt(2 * math.pi),
        },
        "The share of a Gaussian below -margin / deviation.",
        decimals=3,
    ),
    "12.3": _keep,
}
