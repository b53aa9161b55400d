"""The checks of notebook 04: what is right passes, what is typically wrong gets its own hint."""

import numpy as np
import pytest

from quantnotes.course.exercises import check


@pytest.mark.parametrize(
    ("exercise", "answer"),
    [
        ("04.1", 6.31),
        ("04.1", 20 * np.log10(31 / 15)),
        ("04.2", 1.75),
        ("04.3", lambda q, low, high: high - low + 1 - len(np.unique(q))),
        ("04.3", lambda q, low, high: len(set(range(low, high + 1)) - set(q.ravel().tolist()))),
    ],
)
def test_right(exercise, answer):
    assert check(exercise, answer).correct is True


@pytest.mark.parametrize("exercise", ["04.1", "04.2", "04.3"])
def test_unanswered(exercise):
    assert check(exercise, None).correct is None


@pytest.mark.parametrize(
    ("exercise", "answer", "word"),
    [
        ("04.1", 6.02, "15 of 31"),
        ("04.1", 5.745, "steps, not codes"),
        ("04.1", 3.153, "amplitude"),
        ("04.1", -6.31, "positive"),
        ("04.1", 31 / 15, "in decibels"),
        ("04.1", 2.07, "in decibels"),
        ("04.1", 1, "with b = 5"),
        ("04.2", 2, "equally frequent"),
        ("04.2", 1.75 * np.log(2), "log2"),
        ("04.2", 9, "Weight"),
        ("04.2", 1.375, "two codes"),
        ("04.2", -1.75, "sign"),
        ("04.2", 3, "Minus the sum"),
        ("04.3", lambda q, low, high: ..., "still"),
        ("04.3", lambda q, low, high: None, "returns None"),
        ("04.3", lambda q, low, high: high - low - len(np.unique(q)), "+ 1"),
        ("04.3", lambda q, low, high: high - low + 1 - q.size, "distinct"),
        ("04.3", lambda q, low, high: (q.min() - low) + (high - q.max()), "ends"),
        ("04.3", lambda q, low, high: 4, "smallest and the largest"),
        ("04.3", lambda q, low, high: 5, "four are not"),
    ],
)
def test_hints(exercise, answer, word):
    verdict = check(exercise, answer)
    assert verdict.correct is False
    assert word in verdict.message
