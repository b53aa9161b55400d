"""The checks of notebook 03: what is right passes, what is typically wrong gets its own hint."""

import numpy as np
import pytest

from quantnotes.course.exercises import check


def quantizer(largest=lambda w: np.abs(w).max(axis=1), qmax=127, empty=1.0, rounding=np.rint, dtype=np.int8):
    """A per-channel quantizer with one step done wrong."""

    def function(w):
        scales = largest(w) / qmax
        scales = np.where(scales == 0, empty, scales)
        with np.errstate(invalid="ignore", divide="ignore"):
            return rounding(np.nan_to_num((w.T / scales).T)).astype(dtype), scales

    return function


@pytest.mark.parametrize(("exercise", "answer"), [("03.1", 0.04), ("03.2", 5400), ("03.3", quantizer())])
def test_right(exercise, answer):
    assert check(exercise, answer).correct is True


@pytest.mark.parametrize("exercise", ["03.1", "03.2", "03.3"])
def test_unanswered(exercise):
    assert check(exercise, None).correct is None


@pytest.mark.parametrize(
    ("exercise", "answer", "word"),
    [
        ("03.1", 3 / 127, "overflow"),
        ("03.1", 8.08 / 254, "asymmetric"),
        ("03.1", 8.08 / 255, "asymmetric"),
        ("03.1", 5.08 / 128, "not 128"),
        ("03.1", -0.04, "positive"),
        ("03.1", 1, "max(|rmin|"),
        ("03.2", 5000, "on top"),
        ("03.2", 5100, "four bytes"),
        ("03.2", 5200, "not for each input"),
        ("03.2", 5800, "no zero points"),
        ("03.2", 20400, "not four"),
        ("03.2", 1, "One byte a code"),
        ("03.3", lambda w: ..., "still"),
        ("03.3", lambda w: None, "returns None"),
        ("03.3", lambda w: (w, np.float64(1)), "shape (4,)"),
        ("03.3", quantizer(empty=0.0), "row of zeros"),
        ("03.3", quantizer(qmax=128), "not 128"),
        ("03.3", quantizer(largest=lambda w: w.max(axis=1)), "*absolute*"),
        ("03.3", quantizer(empty=2.0), "own scale"),
        ("03.3", quantizer(dtype=np.int16), "int16"),
        ("03.3", quantizer(largest=lambda w: np.abs(w.astype(np.float32)).max(axis=1)), "float64"),
        ("03.3", quantizer(rounding=np.trunc), "before the cast"),
    ],
)
def test_hints(exercise, answer, word):
    verdict = check(exercise, answer)
    assert verdict.correct is False
    assert word in verdict.message
