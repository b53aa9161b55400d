"""The checks of notebook 01: what is right passes, what is typically wrong gets its own hint."""

import numpy as np
import pytest

from quantnotes.course.exercises import check


def quantizer(encode, clip=np.clip):
    """A fake quantizer from its two steps: r / S and Z to a code, and the clip."""

    def function(r, scale, zero_point, qmin, qmax):
        return (clip(encode(r / scale, zero_point), qmin, qmax) - zero_point) * scale

    return function


right = quantizer(lambda steps, z: np.rint(steps) + z)


@pytest.mark.parametrize("answer", [53, 53.0, np.int8(53)])
def test_code(answer):
    assert check("01.1", answer).correct is True


def test_ends():
    assert check("01.2", (-2.56, 2.54))
    assert check("01.2", np.array([-2.56, 2.54]))


def test_function():
    assert check("01.3", right)


@pytest.mark.parametrize("exercise", ["01.1", "01.2", "01.3"])
def test_unanswered(exercise):
    for nothing in (None, ...):
        verdict = check(exercise, nothing)
        assert verdict.correct is None
        assert not verdict
        assert "not answered yet" in repr(verdict)


@pytest.mark.parametrize(
    ("exercise", "answer", "word"),
    [
        ("01.1", -75, "has not been added"),
        ("01.1", -203, "added when you encode"),
        ("01.1", 203, "sign"),
        ("01.1", 0, "before you clip"),
        ("01.1", 7, "Divide r by S"),
        ("01.1", "x", "ValueError"),
        ("01.2", (-128, 127), "multiply them by S"),
        ("01.2", (0, 5.1), "Subtract Z"),
        ("01.2", (-2.56, 2.56), "not symmetric"),
        ("01.2", (2.56, 7.66), "subtracted"),
        ("01.2", (-2.57, 2.55), "half a step"),
        ("01.2", (1, 2, 3), "Decode the end codes"),
        ("01.3", lambda r, s, z, low, high: ..., "still"),
        ("01.3", quantizer(lambda steps, z: np.floor(steps) + z), "nearest"),
        ("01.3", quantizer(lambda steps, z: np.rint(steps + z)), "even"),
        ("01.3", quantizer(lambda steps, z: np.trunc(steps + np.copysign(0.5, steps)) + z), "even"),
        ("01.3", quantizer(lambda steps, z: np.rint(steps) + z, lambda q, low, high: q), "clip the codes"),
        ("01.3", lambda r, s, z, low, high: np.clip(np.rint(r / s) + z, low, high) * s, "subtract"),
        (
            "01.3",
            quantizer(lambda steps, z: np.rint(steps) + z, lambda q, a, b: np.clip(q.astype(np.int8), a, b)),
            "clip before you cast",
        ),
        ("01.3", lambda r, s, z, low, high: None, "returns None"),
        ("01.3", lambda r, s, z, low, high: np.clip(np.rint(r / s), low, high) * s, "after Z is added"),
        (
            "01.3",
            lambda r, s, z, low, high: (np.clip(np.rint(r / s) - z, low, high) + z) * s,
            "subtract it to decode",
        ),
        (
            "01.3",
            lambda r, s, z, low, high: (np.clip(np.rint(r / 0.5) + z, low, high) - z) * 0.5,
            "arguments",
        ),
        ("01.3", lambda r, s, z, low, high: (np.clip(np.rint(r / s) + z, -4, 3) - z) * s, "arguments"),
        ("01.3", lambda r: r, "TypeError"),
    ],
)
def test_hints(exercise, answer, word):
    with np.errstate(invalid="ignore"):
        verdict = check(exercise, answer)
    assert verdict.correct is False
    assert word in verdict.message


@pytest.mark.parametrize("exercise", ["01.4", "99.1", "1", "", 1.1])
def test_no_such_exercise(exercise):
    with pytest.raises(ValueError, match="no exercise"):
        check(exercise, 1)
