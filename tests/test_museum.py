"""The bug museum: its specimens are plausible, and none of them gets past the project's own tests."""

import dataclasses
import html
import inspect
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import quantnotes
from quantnotes import INT8, INT8_NARROW, UINT8, QuantParams
from quantnotes.course import museum
from quantnotes.course.museum import HALLS, Curves, formulas, hunt, specimens

ALL = specimens()
each = pytest.mark.parametrize("specimen", ALL, ids=lambda s: s.name.replace(" ", "-"))


# --- what is in the glass case ------------------------------------------------------------------------------


def test_there_are_many_in_every_hall():
    assert len(ALL) >= 60
    assert len({specimen.name for specimen in ALL}) == len(ALL)
    for hall in HALLS:
        assert len(specimens(hall)) >= 5, hall
    assert sum(map(specimens, HALLS), ()) == ALL
    with pytest.raises(ValueError, match="hall"):
        specimens("cellar")


def test_one_by_name():
    assert [museum.specimen(specimen.name) for specimen in ALL] == list(ALL)
    with pytest.raises(ValueError, match="no specimen"):
        museum.specimen("floor_for_round")


@each
def test_label(specimen):
    assert specimen.hall in HALLS
    for text in (specimen.name, specimen.mistake, specimen.effect):
        assert 5 < len(text) < 110
        assert text == text.strip()
    reports = specimen.report.split(", ") if specimen.report else []
    if reports and reports[0] != "the note":
        assert all(re.fullmatch(r"[\w.-]+/[\w.-]+#\d+", report) for report in reports)
    with pytest.raises(dataclasses.FrozenInstanceError):
        specimen.name = "another"


@each
def test_signature_is_that_of_the_right_function(specimen):
    assert inspect.signature(specimen.wrong) == inspect.signature(specimen.right)
    assert specimen.wrong.__name__.replace("_", " ") == specimen.name
    assert specimen.target.split(".")[1] in quantnotes.__all__


@each
def test_its_source_is_short(specimen):
    """Inspecting a specimen shows its one step, not the machinery around it."""
    source = inspect.getsource(specimen.wrong)
    assert f"def {specimen.wrong.__name__}(" in source
    assert len(source[source.index("def ") :].splitlines()) <= 14


# --- libraries with one wrong function ----------------------------------------------------------------------


def looks(thing):
    """All that tells functions and classes apart without calling them."""
    names = ("__name__", "__qualname__", "__module__", "__doc__")
    bases = len(getattr(thing, "__mro__", ()))
    return [*(getattr(thing, name) for name in names), bases, str(inspect.signature(thing))]


@each
def test_library_has_all_names_and_shows_by_none_what_is_wrong(specimen):
    right, wrong = museum.library(), specimen.library()
    assert set(vars(right)) == set(vars(wrong)) == set(quantnotes.__all__)
    outer, *method = specimen.target.split(".")[1:]
    pair = [getattr(qn, outer) for qn in (right, wrong)]
    assert looks(pair[0]) == looks(pair[1])
    if method:
        pair = [getattr(cls, method[0]) for cls in pair]
        assert looks(pair[0]) == looks(pair[1])
    assert pair[0] is not specimen.right
    assert pair[1] is not specimen.wrong


@each
def test_exhibit_shows_it(specimen):
    curves = specimen.curves()
    assert isinstance(curves, Curves)
    assert curves.x.shape == curves.right.shape == curves.wrong.shape
    assert np.isfinite(curves.x).all()
    assert np.isfinite(curves.wrong).all()
    span = np.ptp(curves.right[np.isfinite(curves.right)]) if np.isfinite(curves.right).any() else 1.0
    differ = np.nan_to_num(np.abs(curves.right - curves.wrong), nan=np.inf)
    assert differ.max() >= 0.003 * span
    for label in (specimen.exhibit.xlabel, specimen.exhibit.ylabel):
        assert label


@each
def test_most_inputs_look_right(specimen):
    """The usual test: a bell, there and back, is near itself: above 34 dB of 41."""
    qn, x = specimen.library(), np.random.default_rng(0).standard_normal(10_000)
    bounds = qn.minmax_range(x)
    assert qn.Histogram().update(x).n == x.size
    params = qn.symmetric_params(*bounds, INT8)
    back = qn.dequantize(qn.quantize(x, params), params)
    assert 10 * np.log10(np.mean(x**2) / np.mean((back - x) ** 2)) > 34


def test_nobody_meets_them_by_accident():
    code = "import sys, quantnotes; print([name for name in sys.modules if 'museum' in name])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    assert "museum" not in quantnotes.__all__


# --- the formulas that specimens replace --------------------------------------------------------------------


def test_the_plain_formulas_give_what_the_library_gives():
    rng = np.random.default_rng(0)
    x = rng.standard_normal(1000)
    for params in (QuantParams(0.02, 3, INT8), QuantParams(0.01, 128, UINT8)):
        plain = formulas.codes(*formulas.unpacked(x, params), params.grid)
        np.testing.assert_array_equal(plain, quantnotes.quantize(x, params))
    for low, high in [(-1.0, 2.0), (1.0, 2.0), (-6.0, -5.0), (-0.37, 2.11), (0.3, 0.3)]:
        for anchor in ("max", "min"):
            found = quantnotes.asymmetric_params(low, high, anchor=anchor)
            assert formulas.affine(low, high, INT8, anchor) == (found.scale, found.zero_point)
        found = quantnotes.symmetric_params(low, high, INT8_NARROW)
        assert formulas.symmetric(low, high, INT8_NARROW) == (found.scale, found.zero_point)
    m0, shift = quantnotes.fixed_point_multiplier(0.25)
    sums = np.arange(-100, 100)
    plain = formulas.shifted(sums * np.int64(m0), np.int64(shift + 31))
    np.testing.assert_array_equal(plain, quantnotes.requantize(sums, m0, shift, 0, INT8))


# --- the hunt -----------------------------------------------------------------------------------------------


def test_hunt_counts_kills_and_false_alarms():
    found = hunt(lambda qn: qn.quantize(0.9, qn.QuantParams(1.0, 0, qn.INT8)) == 1, ALL)
    assert {specimen.name for specimen in found.caught} == {"cast for round", "floor for round"}
    assert len(found.caught) + len(found.escaped) == len(ALL)
    assert not found.false_alarm
    assert not found.perfect
    assert "rounding" in str(found)
    assert "2 of 7 caught" in str(found)
    sceptic = hunt(lambda qn: False, ALL)
    assert (sceptic.escaped, sceptic.false_alarm, sceptic.perfect) == ((), True, False)
    assert "false alarm" in str(sceptic)
    assert hunt(lambda qn: qn.no_such_name, ALL[:1]).false_alarm


def test_a_perfect_hunt():
    usual = np.linspace(-4, 4, 99)
    params = quantnotes.QuantParams(0.1, 0, INT8)
    expected = quantnotes.quantize(usual, params)
    found = hunt(lambda qn: np.array_equal(qn.quantize(usual, params), expected), ALL[:2])
    assert found.perfect
    assert found.caught == ALL[:2]


# --- the catalogue ------------------------------------------------------------------------------------------


def test_catalogue_lists_every_label():
    shown = museum.catalogue()
    assert shown.specimens == ALL
    text, page = str(shown), shown._repr_html_().replace("&nbsp;", " ")
    assert page.count("<tr>") == 1 + len(ALL)
    for specimen in ALL:
        for label in (specimen.name, specimen.mistake, specimen.effect):
            assert label in text
            assert html.escape(label) in page
        assert specimen.report is None or specimen.report in text
    assert museum.catalogue("clipping").specimens == specimens("clipping")


def test_the_page_of_the_catalogue_links_every_report():
    page = museum.catalogue()._repr_html_()
    places = {place for s in ALL if s.report for place in re.findall(r"[^\s,]+#\d+", s.report)}
    assert set(re.findall(r'<a href="https://github.com/([^"]+)/issues/(\d+)">', page)) == {
        tuple(place.split("#")) for place in places
    }


# --- the gate -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def gate():
    """What became of every specimen: the tests of its function were run with it in the library."""
    script = Path(__file__).with_name("gate.py")
    done = subprocess.run([sys.executable, script], capture_output=True, text=True)
    assert not done.returncode, done.stderr
    results = {result["name"]: result for result in map(json.loads, done.stdout.splitlines())}
    assert set(results) == {specimen.name for specimen in ALL}, done.stderr
    return results


@pytest.mark.gate
@each
def test_is_killed_by_an_assertion_of_the_project(specimen, gate, record_property):
    """Not by an error alone: a function that is merely broken would raise as well."""
    result = gate[specimen.name]
    assert result["killed_by"], f"survived {result['tests']} tests; errors: {result['errors']}"
    record_property("killed_by", (specimen.name, result["killed_by"]))
