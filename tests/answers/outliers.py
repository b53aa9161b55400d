"""Answers to the exercises of notebook 05."""

import math

import numpy as np

from quantnotes import shortest_range


def enough(keep, n):
    """The least m for which m / n >= keep."""
    return next(m for m in range(1, n + 1) if m / n >= keep)


def window(count=enough, order=lambda x: np.sort(x, axis=None), start=None):
    """The shortest window, with one step done wrong."""

    def function(x, keep):
        values = order(x)
        m = count(keep, values.size)
        widths = values[m - 1 :] - values[: values.size - m + 1]
        first = int(np.argmin(widths)) if start is None else start
        return values[first], values[first + m - 1]

    return function


def every_pair(x, keep):
    values = sorted(x.ravel().tolist())
    m = math.ceil(round(keep * len(values), 9))
    ends = [(values[i + m - 1] - values[i], i) for i in range(len(values) - m + 1)]
    _, first = max((-width, i) for width, i in ends)  # the last of equals
    return [values[first], values[first + m - 1]]


def greedy(gap):
    """Give up one end value after the other, the one that `gap` says."""

    def function(x, keep):
        values = np.sort(x, axis=None)
        left, right, m = 0, values.size - 1, enough(keep, values.size)
        while right - left + 1 > m:
            if gap(values, left, right):
                left += 1
            else:
                right -= 1
        return values[left], values[right]

    return function


def larger_gap(values, left, right):
    return values[left + 1] - values[left] >= values[right] - values[right - 1]


def farther_from_the_middle(values, left, right):
    middle = np.median(values[left : right + 1])
    return middle - values[left] >= values[right] - middle


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


RIGHT = {
    "05.1": [24.1, 24.08, 20 * np.log10(16), np.float32(24.1)],
    "05.2": [(1, 5), walk(), [1.0, 5.0], np.array([1, 5])],
    "05.3": [window(), every_pair, lambda x, keep: tuple(shortest_range(x, keep))],
}
WRONG = {
    "05.1": [
        (16, "in decibels"),
        (256, "in decibels"),
        (12.04, "square"),
        (48.2, "already a power"),
        (20 * np.log10(256), "already a power"),
        (-24.1, "positive"),
        (23.52, "not with 60"),
        (24.2, "Close"),
        (1, "two scales"),
    ],
    "05.2": [
        (walk(stop_before=True), "one step further"),
        (walk(tie_moves_right=True), "tie"),
        (walk(slice_end=1), "leaves out"),
        ((1, 4), "last one inside"),
        ((5, 1), "left first"),
        (7, "Start at"),
    ],
    "05.3": [
        (lambda x, keep: ..., "still"),
        (lambda x, keep: None, "returns None"),
        (lambda x, keep: x.max(), "a pair"),
        (lambda x, keep: (x.min(), x.max()), "all values"),
        (window(order=np.ravel), "Sort"),
        (lambda x, keep: np.quantile(x, [(1 - keep) / 2, (1 + keep) / 2]), "same share"),
        (window(count=lambda keep, n: max(enough(keep, n) - 1, 1)), "too few"),
        (window(start=0), "left too"),
        (window(count=lambda keep, n: math.floor(keep * n)), "round up"),
        (window(count=lambda keep, n: round(keep * n)), "round up"),
        (greedy(larger_gap), "compare all"),
        (greedy(farther_from_the_middle), "compare all"),
        (lambda x, keep: tuple(np.median(x) + np.ptp(x) * np.array([-keep, keep]) / 2), "0 to 8"),
        (window(count=lambda keep, n: math.ceil(keep * n)), "55 values are enough"),
        (window(order=lambda x: np.sort(x if x.ndim == 1 else x[0])), "two dimensions"),
        (lambda x, keep: (1, 2), "0 to 8"),
    ],
}
