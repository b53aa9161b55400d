"""The checks of notebook 05: what is right passes, what is typically wrong gets its own hint."""

import numpy as np
import pytest

from quantnotes import shortest_range
from quantnotes.exercises import check


def window(count=np.ceil, order=lambda x: np.sort(x, axis=None), start=None):
    """The shortest window, with one step done wrong."""

    def function(x, keep):
        values = order(x)
        m = int(count(keep * values.size))
        widths = values[m - 1 :] - values[: values.size - m + 1]
        first = int(np.argmin(widths)) if start is None else start
        return values[first], values[first + m - 1]

    return function


@pytest.mark.parametrize(
    ("exercise", "answer"),
    [
        ("05.1", 24.1),
        ("05.1", 24.08),
        ("05.2", (2, 6)),
        ("05.3", window()),
        ("05.3", lambda x, keep: tuple(shortest_range(x, keep))),
    ],
)
def test_right(exercise, answer):
    assert check(exercise, answer).correct is True


@pytest.mark.parametrize("exercise", ["05.1", "05.2", "05.3"])
def test_unanswered(exercise):
    assert check(exercise, None).correct is None


@pytest.mark.parametrize(
    ("exercise", "answer", "word"),
    [
        ("05.1", 16, "in decibels"),
        ("05.1", 12.04, "square"),
        ("05.1", -24.1, "positive"),
        ("05.1", 23.52, "not with 60"),
        ("05.1", 1, "two scales"),
        ("05.2", (3, 6), "not above"),
        ("05.2", (0, 5), "tie"),
        ("05.2", (1, 6), "leaves out"),
        ("05.2", (2, 5), "last one inside"),
        ("05.2", 7, "Start at"),
        ("05.3", lambda x, keep: ..., "still"),
        ("05.3", lambda x, keep: (x.min(), x.max()), "leaves out 100"),
        ("05.3", window(order=np.ravel), "Sort"),
        ("05.3", window(count=lambda m: m - 1), "at least 9"),
        ("05.3", window(start=0), "left too"),
        ("05.3", window(count=np.floor), "round up"),
        (
            "05.3",
            window(order=lambda x: np.sort(x[: x.shape[0]].ravel()[:10] if x.ndim == 1 else x[0])),
            "two dimensions",
        ),
        ("05.3", lambda x, keep: (1, 2), "0 to 8"),
    ],
)
def test_hints(exercise, answer, word):
    verdict = check(exercise, answer)
    assert verdict.correct is False
    assert word in verdict.message
