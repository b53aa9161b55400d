"""The checks of notebook 17: what is right passes, what is typically wrong gets its own hint."""

import numpy as np
import pytest

from quantnotes.course.exercises import check


def wider(bin_of=lambda j: j // 2, lose_the_last=False):
    """Bins twice as wide, with one step done wrong."""

    def function(counts, first):
        bins = [bin_of(first + i) for i in range(len(counts))]
        wide = np.zeros(bins[-1] - bins[0] + 1, int)
        np.add.at(wide, np.array(bins) - bins[0], counts)
        return (wide[: len(counts) // 2] if lose_the_last else wide), bins[0]

    return function


def pairs_from_the_start(counts, first):
    counts = [*counts, 0] if len(counts) % 2 else counts
    return [a + b for a, b in zip(counts[::2], counts[1::2], strict=True)], first // 2


def test_right():
    assert check("17.1", 21)
    assert check("17.2", 2)
    assert check("17.3", wider())
    assert check("17.3", lambda counts, first: (wider()(counts, first)[0].tolist(), first >> 1))


@pytest.mark.parametrize("exercise", ["17.1", "17.2", "17.3"])
def test_unanswered(exercise):
    assert check(exercise, None).correct is None
    assert not check("17.3", lambda counts, first: ...)


@pytest.mark.parametrize(
    ("exercise", "answer", "hint"),
    [
        ("17.1", 24, "one byte"),
        ("17.1", 12, "what is read"),
        ("17.1", 9, "what is written counts"),
        ("17.1", 5, "one pass"),
        ("17.1", 13, "three passes"),
        ("17.1", 16, "cast is a pass"),
        ("17.1", 20, "codes are read too"),
        ("17.1", 37, "cast, subtract, multiply"),
        ("17.2", 8, "keep up"),
        ("17.2", 10, "4 are elements"),
        ("17.2", 2.5, "five bytes"),
        ("17.2", 3, "nothing left"),
        ("17.2", 1, "over those"),
        ("17.3", lambda counts, first: (counts, first), "3 and 7"),
        ("17.3", lambda counts, first: wider()(counts, first)[0], "two things"),
        ("17.3", lambda counts, first: wider()(counts, first)[::-1], "two things"),
        ("17.3", lambda counts, first: (wider()(counts, first)[0], first), "number 1 of the wider"),
        ("17.3", wider(lose_the_last=True), "must not be lost"),
        ("17.3", lambda counts, first: (counts.reshape(-1, 2).sum(1), first // 2), "must not be lost"),
        ("17.3", lambda counts, first: (counts[::2] + counts[1::2], first // 2), "must not be lost"),
        ("17.3", pairs_from_the_start, "5 | 6 and 7"),
        ("17.3", wider(lambda j: int(j / 2)), "floor"),
    ],
)
def test_hints(exercise, answer, hint):
    verdict = check(exercise, answer)
    assert verdict.correct is False
    assert hint in verdict.message


def test_an_error_is_reported():
    assert "ZeroDivisionError" in check("17.3", lambda counts, first: 1 / 0).message
