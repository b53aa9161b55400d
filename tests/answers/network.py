"""Answers to the exercises of notebook 09."""

from fractions import Fraction

import numpy as np
import scipy.stats


def estimator(clip=True, round_=np.rint, decode=True, slope=None):
    """The function of exercise 09.3, with one step done wrong."""

    def function(w, scale, qmax):
        codes = round_(w / scale)
        clipped = np.clip(codes, -qmax, qmax) if clip else codes
        inside = (codes == np.clip(codes, -qmax, qmax)) if slope is None else slope(w, scale, qmax)
        return (clipped * scale if decode else clipped), inside

    return function


def with_slope(slope):
    """The right first part, and a slope of its own."""
    return estimator(slope=slope)


def as_lists(w, s, q):
    reals, inside = estimator()(w, s, q)
    return [reals.tolist(), inside.astype(int).tolist()]


def by_half_a_step(w, s, q):
    """rint is at most q below q + 1/2, and at q + 1/2 where q is even."""
    codes = w / s
    inside = (abs(codes) < q + 0.5) | ((abs(codes) == q + 0.5) & (q % 2 == 0))
    return np.clip(np.round(codes), -q, q) * s, np.where(inside, 1.0, 0.0)


HARD_CODED = estimator()(np.array([[-9.0, -1.76, -1.74, -0.2], [0.0, 0.3, 1.74, 2.0]]), 0.5, 3)

RIGHT = {
    "09.1": [scipy.stats.binomtest(9, 11).pvalue, 0.0654, 0.065, Fraction(134, 2048)],
    "09.2": [(32, 5), [32, 5.0], np.array([32, 5])],
    "09.3": [estimator(), as_lists, by_half_a_step],
}
WRONG = {
    "09.1": [
        (scipy.stats.binomtest(9, 11, alternative="greater").pvalue, "one side"),
        (2 * scipy.stats.binom.pmf(9, 11, 0.5), "not exactly nine"),
        (scipy.stats.binom.pmf(9, 11, 0.5), "both sides"),
        (9 / 11, "fair coin"),
        (7 / 600, "say nothing"),
        (0.5, "Eleven throws"),
        (0.064, "Close"),
        (0.066, "Close"),
        (0.07, "Eleven throws"),
    ],
    "09.2": [
        ((5, 32), "codes first"),
        ((31, 5), "0 has a code"),
        ((64, 6), "never negative"),
        ((32, 6), "how many bits"),
        ((32, 7), "no bit more"),
        (5, "from 0 to the largest"),
    ],
    "09.3": [
        (lambda w, s, q: ..., "still"),
        (lambda w, s, q: (..., ...), "still"),
        (lambda w, s, q: None, "is there a return"),
        (lambda w, s, q: 1, "a pair"),
        (lambda w, s, q: (w, w, w), "a pair"),
        (lambda w, s, q: (w.sum(), w), r"The first has shape ()"),
        (lambda w, s, q: (estimator()(w, s, q)[0], 1), r"The second has shape ()"),
        (lambda w, s, q: estimator()(w, s, q)[::-1], "wrong order"),
        (estimator(decode=False), "multiply"),
        (estimator(clip=False), "Clip the codes"),
        (estimator(clip=False, decode=False), "and not clipped"),
        (estimator(round_=np.floor), "nearest"),
        (estimator(round_=np.trunc), "towards 0"),
        (estimator(round_=lambda v: np.floor(v + 0.5)), "tie"),
        (lambda w, s, q: (np.clip(w, -q * s, q * s), w), "forward pass"),
        (lambda w, s, q: (np.clip(np.rint(w / s), -q - 1, q) * s, w), "not -qmax - 1"),
        (lambda w, s, q: (np.rint(np.clip(w, -q, q) / s) * s, w), "not the weights"),
        (lambda w, s, q: (np.clip(np.rint(w * s), -q, q) / s, w), "the other way"),
        (lambda w, s, q: (w + 1, w), "The first is"),
        (lambda w, s, q: HARD_CODED, "from the arguments|a tie"),
        (lambda w, s, q: estimator()(w, 0.5, 3), "from the arguments"),
        (lambda w, s, q: estimator()(w, s, 3), "from the arguments"),
        (lambda w, s, q: estimator()(w, 0.5, q), "from the arguments"),
        (with_slope(lambda w, s, q: np.zeros(w.shape)), "true slope"),
        (with_slope(lambda w, s, q: np.ones(w.shape)), "does not move"),
        (with_slope(lambda w, s, q: abs(np.rint(w / s)) > q), "other way round"),
        (with_slope(lambda w, s, q: abs(w) <= q * s), "TensorFlow"),
        (with_slope(lambda w, s, q: w), "0 elsewhere"),
        (with_slope(lambda w, s, q: (w >= -(q + 1.5) * s) & (w <= (q + 0.5) * s)), "is clipped"),
        (with_slope(lambda w, s, q: s * (abs(np.rint(w / s)) <= q)), "not the scale"),
        (with_slope(lambda w, s, q: (abs(np.rint(w / s)) <= q) / s), "1 / scale"),
        (with_slope(lambda w, s, q: np.rint(w / s) <= q), "both ends"),
        (with_slope(lambda w, s, q: abs(w) < 1.75), "another scale"),
        (with_slope(lambda w, s, q: abs(w / s) <= q + 0.5), "another scale"),
        (lambda w, s, q: w.nothing, "AttributeError"),
    ],
}
