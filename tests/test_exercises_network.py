"""The checks of notebook 09: what is right passes, what is typically wrong gets its own hint."""

import numpy as np
import pytest
import scipy.stats

from quantnotes.course.exercises import check


def estimator(clip=True, round_=np.rint, decode=True, slope=None):
    """The function of exercise 09.3, with one step done wrong."""

    def function(w, scale, qmax):
        codes = round_(w / scale)
        clipped = np.clip(codes, -qmax, qmax) if clip else codes
        inside = (codes == np.clip(codes, -qmax, qmax)) if slope is None else slope(w, scale * qmax)
        return (clipped * scale if decode else clipped), inside

    return function


@pytest.mark.parametrize(
    ("exercise", "answer"),
    [
        ("09.1", scipy.stats.binomtest(9, 11).pvalue),
        ("09.1", 0.0654),
        ("09.2", (10.0, 30.0)),
        ("09.2", (10.013, 30)),
        ("09.3", estimator()),
        (
            "09.3",
            lambda w, s, q: (np.clip(np.rint(w / s), -q, q) * s, (abs(np.rint(w / s)) <= q).astype(float)),
        ),
    ],
)
def test_right(exercise, answer):
    assert check(exercise, answer).correct is True


@pytest.mark.parametrize("exercise", ["09.1", "09.2", "09.3"])
def test_unanswered(exercise):
    assert check(exercise, None).correct is None


@pytest.mark.parametrize(
    ("exercise", "answer", "word"),
    [
        ("09.1", scipy.stats.binomtest(9, 11, alternative="greater").pvalue, "one side"),
        ("09.1", 2 * scipy.stats.binom.pmf(9, 11, 0.5), "not exactly nine"),
        ("09.1", scipy.stats.binom.pmf(9, 11, 0.5), "both sides"),
        ("09.1", 9 / 11, "fair coin"),
        ("09.1", 7 / 600, "say nothing"),
        ("09.1", 0.5, "Eleven throws"),
        ("09.2", (30, 10.013), "comes first"),
        ("09.2", (10.013, 25), "typical"),
        ("09.2", (25, 30), "logarithm last"),
        ("09.2", (20.03, 60), "not 20"),
        ("09.2", (1003 / 100.003, 1000), "in decibels"),
        ("09.2", 10, "median of the tokens"),
        ("09.3", lambda w, s, q: ..., "still"),
        ("09.3", lambda w, s, q: (..., ...), "still"),
        ("09.3", estimator(decode=False), "multiply"),
        ("09.3", estimator(clip=False), "Clip the codes"),
        ("09.3", estimator(round_=np.floor), "nearest"),
        ("09.3", lambda w, s, q: (np.clip(w, -q * s, q * s), w), "forward pass"),
        ("09.3", lambda w, s, q: (w + 1, w), "The first is"),
        ("09.3", estimator(slope=lambda w, end: np.zeros(w.shape)), "true slope"),
        ("09.3", estimator(slope=lambda w, end: np.ones(w.shape)), "does not move"),
        ("09.3", estimator(slope=lambda w, end: abs(np.rint(w / 0.5)) > 3), "other way round"),
        ("09.3", estimator(slope=lambda w, end: abs(w) <= end), "TensorFlow"),
        ("09.3", estimator(slope=lambda w, end: w), "0 elsewhere"),
        ("09.3", lambda w, s, q: None, "is there a return"),
        ("09.3", lambda w, s, q: 1, "a pair"),
        ("09.3", lambda w, s, q: (w, w, w), "a pair"),
        ("09.3", lambda w, s, q: (w.sum(), w), r"The first has shape ()"),
        ("09.3", lambda w, s, q: (estimator()(w, s, q)[0], 1), r"The second has shape ()"),
        ("09.3", lambda w, s, q: estimator()(w, s, q)[::-1], "wrong order"),
        ("09.3", estimator(clip=False, decode=False), "and not clipped"),
        ("09.3", estimator(round_=np.trunc), "towards 0"),
        ("09.3", lambda w, s, q: (np.clip(np.rint(w / s), -q - 1, q) * s, w), "not -qmax - 1"),
        ("09.3", lambda w, s, q: (np.rint(np.clip(w, -q, q) / s) * s, w), "not the weights"),
        ("09.3", lambda w, s, q: (np.clip(np.rint(w * s), -q, q) / s, w), "the other way"),
        ("09.3", estimator(slope=lambda w, end: (w >= -2.25) & (w <= 1.75)), "is clipped"),
        ("09.3", estimator(slope=lambda w, end: 0.5 * (abs(w) < 1.75)), "not the scale"),
        ("09.3", estimator(slope=lambda w, end: 2.0 * (abs(w) < 1.75)), "1 / scale"),
        ("09.3", lambda w, s, q: w.nothing, "AttributeError"),
    ],
)
def test_hints(exercise, answer, word):
    verdict = check(exercise, answer)
    assert verdict.correct is False
    assert word in verdict.message
