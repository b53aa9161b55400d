"""The checks of notebook 08: what is right passes, what is typically wrong gets its own hint."""

import numpy as np
import pytest
import scipy.stats

from quantnotes.course.exercises import check


def estimator(clip=True, round_=np.rint, decode=True, slope=None):
    """The function of exercise 08.3, with one step done wrong."""

    def function(w, scale, qmax):
        codes = round_(w / scale)
        clipped = np.clip(codes, -qmax, qmax) if clip else codes
        inside = (codes == np.clip(codes, -qmax, qmax)) if slope is None else slope(w, scale * qmax)
        return (clipped * scale if decode else clipped), inside

    return function


@pytest.mark.parametrize(
    ("exercise", "answer"),
    [
        ("08.1", scipy.stats.binomtest(9, 11).pvalue),
        ("08.1", 0.0654),
        ("08.2", (10.0, 30.0)),
        ("08.2", (10.013, 30)),
        ("08.3", estimator()),
        (
            "08.3",
            lambda w, s, q: (np.clip(np.rint(w / s), -q, q) * s, (abs(np.rint(w / s)) <= q).astype(float)),
        ),
    ],
)
def test_right(exercise, answer):
    assert check(exercise, answer).correct is True


@pytest.mark.parametrize("exercise", ["08.1", "08.2", "08.3"])
def test_unanswered(exercise):
    assert check(exercise, None).correct is None


@pytest.mark.parametrize(
    ("exercise", "answer", "word"),
    [
        ("08.1", scipy.stats.binomtest(9, 11, alternative="greater").pvalue, "one side"),
        ("08.1", 2 * scipy.stats.binom.pmf(9, 11, 0.5), "not exactly nine"),
        ("08.1", scipy.stats.binom.pmf(9, 11, 0.5), "both sides"),
        ("08.1", 9 / 11, "fair coin"),
        ("08.1", 7 / 600, "say nothing"),
        ("08.1", 0.5, "Eleven throws"),
        ("08.2", (30, 10.013), "comes first"),
        ("08.2", (10.013, 25), "typical"),
        ("08.2", (25, 30), "logarithm last"),
        ("08.2", (20.03, 60), "not 20"),
        ("08.2", (1003 / 100.003, 1000), "in decibels"),
        ("08.2", 10, "median of the tokens"),
        ("08.3", lambda w, s, q: ..., "still"),
        ("08.3", lambda w, s, q: (..., ...), "still"),
        ("08.3", estimator(decode=False), "multiply"),
        ("08.3", estimator(clip=False), "Clip the codes"),
        ("08.3", estimator(round_=np.floor), "nearest"),
        ("08.3", lambda w, s, q: (np.clip(w, -q * s, q * s), w), "forward pass"),
        ("08.3", lambda w, s, q: (w + 1, w), "The first is"),
        ("08.3", estimator(slope=lambda w, end: np.zeros(w.shape)), "true slope"),
        ("08.3", estimator(slope=lambda w, end: np.ones(w.shape)), "does not move"),
        ("08.3", estimator(slope=lambda w, end: abs(np.rint(w / 0.5)) > 3), "other way round"),
        ("08.3", estimator(slope=lambda w, end: abs(w) <= end), "TensorFlow"),
        ("08.3", estimator(slope=lambda w, end: w), "0 elsewhere"),
        ("08.3", lambda w, s, q: None, "is there a return"),
        ("08.3", lambda w, s, q: 1, "a pair"),
        ("08.3", lambda w, s, q: (w, w, w), "a pair"),
        ("08.3", lambda w, s, q: (w.sum(), w), r"The first has shape ()"),
        ("08.3", lambda w, s, q: (estimator()(w, s, q)[0], 1), r"The second has shape ()"),
        ("08.3", lambda w, s, q: estimator()(w, s, q)[::-1], "wrong order"),
        ("08.3", estimator(clip=False, decode=False), "and not clipped"),
        ("08.3", estimator(round_=np.trunc), "towards 0"),
        ("08.3", lambda w, s, q: (np.clip(np.rint(w / s), -q - 1, q) * s, w), "not -qmax - 1"),
        ("08.3", lambda w, s, q: (np.rint(np.clip(w, -q, q) / s) * s, w), "not the weights"),
        ("08.3", lambda w, s, q: (np.clip(np.rint(w * s), -q, q) / s, w), "the other way"),
        ("08.3", estimator(slope=lambda w, end: (w >= -2.25) & (w <= 1.75)), "is clipped"),
        ("08.3", estimator(slope=lambda w, end: 0.5 * (abs(w) < 1.75)), "not the scale"),
        ("08.3", estimator(slope=lambda w, end: 2.0 * (abs(w) < 1.75)), "1 / scale"),
        ("08.3", lambda w, s, q: w.nothing, "AttributeError"),
    ],
)
def test_hints(exercise, answer, word):
    verdict = check(exercise, answer)
    assert verdict.correct is False
    assert word in verdict.message
