"""The checks of notebook 05: what is right passes, what is typically wrong gets its own hint."""

import numpy as np
import pytest

from quantnotes import shortest_range
from quantnotes.course.exercises import check


def window(count=np.ceil, order=lambda x: np.sort(x, axis=None), start=None):
    """The shortest window, with one step done wrong."""

    def function(x, keep):
        values = order(x)
        m = int(count(keep * values.size))
        widths = values[m - 1 :] - values[: values.size - m + 1]
        first = int(np.argmin(widths)) if start is None else start
        return values[first], values[first + m - 1]

    return function


def walk(stop_before=False, tie_moves_right=False, slice_end=0):
    """Where the pointers of exercise 05.2 stop, with one step done wrong."""
    counts = np.array([3, 4, 10, 40, 30, 8, 2, 3])
    states = [(0, 7)]
    while counts[states[-1][0] : states[-1][1] + slice_end].sum() / counts.sum() > 0.9:
        left, right = states[-1]
        gain = counts[left] - counts[right]
        states.append(
            (left + 1, right) if gain < 0 or (gain == 0 and not tie_moves_right) else (left, right - 1)
        )
    return states[-2] if stop_before else states[-1]


@pytest.mark.parametrize(
    ("exercise", "answer"),
    [
        ("05.2", walk()),
        ("05.1", 24.1),
        ("05.1", 24.08),
        ("05.2", (1, 5)),
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
        ("05.1", 48.2, "already a power"),
        ("05.1", 20 * np.log10(256), "already a power"),
        ("05.1", -24.1, "positive"),
        ("05.1", 23.52, "not with 60"),
        ("05.1", 1, "two scales"),
        ("05.2", walk(stop_before=True), "one step further"),
        ("05.2", walk(tie_moves_right=True), "tie"),
        ("05.2", walk(slice_end=1), "leaves out"),
        ("05.2", (1, 4), "last one inside"),
        ("05.2", 7, "Start at"),
        ("05.3", lambda x, keep: ..., "still"),
        ("05.3", lambda x, keep: None, "returns None"),
        ("05.3", lambda x, keep: (x.min(), x.max()), "leaves out 100"),
        ("05.3", window(order=np.ravel), "Sort"),
        ("05.3", lambda x, keep: np.quantile(x, [(1 - keep) / 2, (1 + keep) / 2]), "same share"),
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
