"""Answers to the exercises of notebook 16."""

import inspect

import numpy as np

import quantnotes
from quantnotes.course.exercises.museum import CULPRIT, VALUES

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


def agrees_with_its_own_library(qn):
    """Compares results with those of the library that the reader has imported."""
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.normal(size=1000) * 50, VALUES, [1e10, -1e10, 127.5, -128.5]])
    near = ((np.arange(60, 100) + 0.5) * 0.1).astype(np.float32)
    cases = [(x, 1.0, z, grid) for z in (0, 1, 5) for grid in (qn.INT8, qn.INT4)] + [(near, 0.1, 0, qn.INT8)]
    for data, scale, z, grid in cases:
        params = qn.QuantParams(scale, z, grid)
        for name in ("quantize", "fake_quantize"):
            if not np.array_equal(getattr(qn, name)(data, params), getattr(quantnotes, name)(data, params)):
                return False
    try:
        qn.quantize([0.0, np.nan], PARAMS)
    except ValueError:
        return True
    return False


def same_objects(qn):
    return all(getattr(qn, name) is getattr(quantnotes, name) for name in quantnotes.__all__)


def same_names(qn):
    """Names of functions and methods, their modules, documentation and signatures."""
    things = [(getattr(qn, name), getattr(quantnotes, name)) for name in quantnotes.__all__]
    things += [(qn.Histogram.update, quantnotes.Histogram.update)]
    things += [(qn.Histogram.merge, quantnotes.Histogram.merge)]
    things += [(qn.Calibrator.observe, quantnotes.Calibrator.observe)]
    for found, right in things:
        for attribute in ("__name__", "__qualname__", "__module__", "__doc__"):
            if getattr(found, attribute, None) != getattr(right, attribute, None):
                return False
        if inspect.isfunction(right) and inspect.signature(found) != inspect.signature(right):
            return False
    return True


def same_code(qn):
    return qn.quantize.__code__ is quantnotes.quantize.__code__


def fewer_bases(qn):
    """A wrong class is no subclass of a subclass."""
    return len(qn.Histogram.__mro__) == 3 and len(qn.Calibrator.__mro__) == 3


RIGHT = {
    "16.1": [CULPRIT, "zero_point_inside_the_round", " Zero point  inside the round "],
    "16.2": [rounds_and_clips, agrees_with_its_own_library],
}
WRONG = {
    "16.1": [
        ("floor for round", "would make -2 of -1.5; the list has -1"),
        ("scale in double", "would make -2 of -2.5; the list has -3"),
        ("ties away from zero", "would make -2 of -1.5|would make"),
        ("cast for round", "would make -2 of -2.5"),
        ("cast before clip", "one of these names"),
        (3, "one of these names"),
    ],
    "16.2": [
        (lambda qn: ..., "returns ... still"),
        (lambda qn: None, "returns None"),
        (True, "the function itself"),
        (lambda qn: True, "0 of 14 caught. Still free, in the hall of rounding: "),
        (lambda qn: False, "14 of 14 caught, but it calls the right library wrong"),
        (lambda qn: qn.quantize(0.9, qn.QuantParams(1.0, 0, qn.INT8)) == 1, "2 of 14 caught"),
        (lambda qn: qn.nothing, "no attribute 'nothing'"),
        (same_objects, "calls the right library wrong"),
        (same_names, "0 of 14 caught"),
        (same_code, "calls the right library wrong"),
    ],
    "16.3": [
        (lambda qn: True, "0 of 60 caught"),
        (rounds_and_clips, "Still free, in the hall of zero point"),
        (lambda qn: np.testing.assert_equal(qn.INT8.qmin, -128), "returns None"),
        (lambda qn: qn.quantize(VALUES, PARAMS) == [1, 2, 2, 4, 4, 6], "truth value"),
        (lambda qn: qn is quantnotes, "calls the right library wrong"),
        (lambda qn: getattr(qn, "__name__", "") == "quantnotes", "calls the right library wrong"),
        (same_objects, "calls the right library wrong"),
        (same_names, "0 of 60 caught"),
        (fewer_bases, "0 of 60 caught"),
    ],
}
