"""The bug museum: its specimens are plausible, and none of them gets past the project's own tests."""

import dataclasses
import html
import inspect
import json
import re
import subprocess
import sys
from pathlib import Path

import controls
import numpy as np
import pytest
from gate import tests_of as files_of  # not by its own name: pytest would take it for a test

import quantnotes
from quantnotes import INT8
from quantnotes.course import museum as mutants
from quantnotes.course.museum import HALLS, Curves, Specimen, hunt, specimens

ALL = specimens()
CONTROLS = controls.groups(files_of)
each = pytest.mark.parametrize("specimen", ALL, ids=lambda s: s.name.replace(" ", "-"))


# --- what is in the glass case ------------------------------------------------------------------------------


def test_there_are_many_in_every_hall():
    assert len(ALL) >= 24
    assert len({specimen.name for specimen in ALL}) == len(ALL)
    for hall in HALLS:
        assert len(specimens(hall)) >= 5, hall
    assert sum(map(specimens, HALLS), ()) == ALL
    with pytest.raises(ValueError, match="hall"):
        specimens("cellar")


def test_one_by_name():
    assert [mutants.specimen(specimen.name) for specimen in ALL] == list(ALL)
    with pytest.raises(ValueError, match="no specimen"):
        mutants.specimen("floor_for_round")


@each
def test_label(specimen):
    assert isinstance(specimen, Specimen)
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
    def shape(function):
        parameters = inspect.signature(function).parameters.values()
        return [(p.name, p.kind, p.default) for p in parameters]

    assert shape(specimen.wrong) == shape(specimen.right)
    assert specimen.wrong.__name__.replace("_", " ") == specimen.name
    assert specimen.target.split(".")[1] in quantnotes.__all__


@each
def test_library_differs_in_one_name(specimen):
    library = specimen.library()
    assert set(vars(library)) == set(quantnotes.__all__)
    changed = [name for name, thing in vars(library).items() if thing is not getattr(quantnotes, name)]
    assert changed == [specimen.target.split(".")[1]]
    assert specimen.right is not specimen.wrong


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
    code = "import sys, quantnotes; print([name for name in sys.modules if 'mutants' in name])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    assert "mutants" not in quantnotes.__all__


# --- the hunt -----------------------------------------------------------------------------------------------


def test_hunt_counts_kills_and_false_alarms():
    found = hunt(lambda qn: qn.quantize(0.9, qn.QuantParams(1.0, 0, INT8)) == 1, ALL)
    assert {specimen.name for specimen in found.caught} == {"cast for round", "floor for round"}
    assert (len(found.caught) + len(found.escaped), found.false_alarm, found.perfect) == (
        len(ALL),
        False,
        False,
    )
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
    shown = mutants.catalogue()
    assert shown.specimens == ALL
    text, page = str(shown), shown._repr_html_()
    assert page.count("<tr>") == 1 + len(ALL)
    for specimen in ALL:
        for label in (specimen.name, specimen.mistake, specimen.effect, specimen.report or ""):
            assert label in text
            assert html.escape(label) in page
    assert mutants.catalogue("clipping").specimens == specimens("clipping")


# --- the gate -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def gate():
    """What became of every case: the tests of its function were run with it in place."""
    cases = [*CONTROLS, *(specimen.name for specimen in ALL)]
    script = Path(__file__).with_name("gate.py")
    done = subprocess.run([sys.executable, script, *cases], capture_output=True, text=True)
    assert not done.returncode, done.stderr
    results = {result["case"]: result for result in map(json.loads, done.stdout.splitlines())}
    assert set(results) == set(cases), done.stderr
    return results


@pytest.mark.gate
@each
def test_is_killed_by_an_assertion_of_the_project(specimen, gate, record_property):
    """Not by an error alone: a function that is merely broken would raise as well."""
    result = gate[specimen.name]
    assert result["killed_by"], f"survived {result['tests']} tests; errors: {result['errors']}"
    record_property("killed_by", (specimen.name, result["killed_by"]))


@pytest.mark.gate
@pytest.mark.parametrize("group", CONTROLS)
def test_the_same_without_the_mistakes_passes(group, gate):
    result = gate[group]
    assert (result["killed_by"], result["errors"]) == (None, [])
    assert result["tests"] > 20


def test_every_target_has_a_control():
    """mse_range aside: its specimens change the right answer afterwards, and its tests take ten seconds."""
    assert {s.target for s in ALL} - set(controls.TWINS) == {"quantnotes.mse_range"}
