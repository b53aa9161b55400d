"""The checks of notebook 16: what is right passes, what is typically wrong gets its own hint."""

import numpy as np
import pytest

import quantnotes
from quantnotes.course.exercises import check
from quantnotes.course.exercises.museum import CULPRIT, VALUES, codes_less_z
from quantnotes.course.museum import specimens

PARAMS = quantnotes.QuantParams(1.0, 3, quantnotes.INT8)


def rounds_and_clips(qn):
    """Exact codes on ties, next to ties and far out: enough for the first two halls."""
    near = ((np.arange(60, 100) + 0.5) * 0.1).astype(np.float32)
    n = np.rint(near / np.float32(0.1))
    far = np.array([200.0, -200.0, 1e10, -1e10])
    try:
        qn.quantize([np.nan], qn.QuantParams(1.0, 0, qn.INT8))
        return False
    except ValueError:
        pass
    for z, grid in [(0, qn.INT8), (1, qn.INT8), (0, qn.INT4), (5, qn.INT4)]:
        params = qn.QuantParams(1.0, z, grid)
        for x in (VALUES, VALUES / 3, far):
            codes = np.clip(np.rint(x) + z, grid.qmin, grid.qmax)
            if not np.array_equal(qn.quantize(x, params), codes):
                return False
            if not np.array_equal(qn.fake_quantize(x, params), codes - z):
                return False
    return np.array_equal(qn.quantize(near, qn.QuantParams(0.1, 0, qn.INT8)), n)


@pytest.mark.parametrize(
    ("exercise", "answer"),
    [
        ("16.1", CULPRIT),
        ("16.1", "zero_point_inside_the_round"),
        ("16.2", rounds_and_clips),
    ],
)
def test_right(exercise, answer):
    assert check(exercise, answer).correct is True


def test_the_list_of_16_1_is_its_culprit_s_alone():
    lists = {specimen.name: codes_less_z(specimen) for specimen in specimens("rounding")}
    assert [name for name, codes in lists.items() if codes == lists[CULPRIT]] == [CULPRIT]
    assert lists[CULPRIT] == [-3, -1, -1, 1, 1, 3]


def test_a_property_that_knows_every_answer_is_right():
    """A cheat, but a perfect one: the functions themselves are looked at."""
    names = quantnotes.__all__
    cheat = check("16.3", lambda qn: all(getattr(qn, name) is getattr(quantnotes, name) for name in names))
    assert cheat.correct is True


@pytest.mark.parametrize("exercise", ["16.1", "16.2", "16.3"])
def test_unanswered(exercise):
    assert check(exercise, None).correct is None


@pytest.mark.parametrize(
    ("exercise", "answer", "words"),
    [
        ("16.1", "floor for round", "would make -2 of -1.5; the list has -1"),
        ("16.1", "scale in double", "would make -2 of -2.5; the list has -3"),
        ("16.1", "cast before clip", "one of these names"),
        ("16.1", 3, "one of these names"),
        ("16.2", lambda qn: ..., "returns ... still"),
        ("16.2", lambda qn: True, "0 of 14 caught. Still free, in the hall of rounding: a cast to integers"),
        ("16.2", lambda qn: False, "14 of 14 caught, but it calls the right library wrong"),
        ("16.2", lambda qn: qn.quantize(0.9, qn.QuantParams(1.0, 0, qn.INT8)) == 1, "2 of 14 caught"),
        ("16.3", lambda qn: True, "0 of 60 caught"),
        ("16.3", rounds_and_clips, "Still free, in the hall of zero point"),
        ("16.2", lambda qn: qn.nothing, "no attribute 'nothing'"),
        ("16.2", lambda qn: None, "returns nothing"),
        ("16.3", lambda qn: np.testing.assert_equal(qn.INT8.qmin, -128), "returns nothing"),
        ("16.3", lambda qn: qn.quantize(VALUES, PARAMS) == [1, 2, 2, 4, 4, 6], "truth value"),
        ("16.3", lambda qn: qn is quantnotes, "calls the right library wrong"),
        ("16.3", lambda qn: getattr(qn, "__name__", "") == "quantnotes", "calls the right library wrong"),
    ],
)
def test_hints(exercise, answer, words):
    verdict = check(exercise, answer)
    assert verdict.correct is False
    assert words in verdict.message
