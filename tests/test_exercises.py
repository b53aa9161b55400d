"""The checks of the exercises: right answers pass, and each wrong one gets the hint that fits it.

`answers/` has a module for each notebook, named as the module of its checks: RIGHT lists answers, the usual
one and unusual ones; WRONG lists answers with a piece of the hint (or pieces, any of which will do, as A|B).
"""

import importlib
import linecache
import re
from pathlib import Path

import numpy as np
import pytest

from quantnotes.course.exercises import check
from quantnotes.course.exercises.museum import CULPRIT, codes_less_z
from quantnotes.course.museum import specimens

ANSWERS = [
    importlib.import_module(f"answers.{path.stem}")
    for path in sorted(Path(__file__).with_name("answers").glob("*.py"))
]
CHECKS = {
    exercise: module.__name__.split(".")[1]
    for module in ANSWERS
    for exercise in importlib.import_module(
        f"quantnotes.course.exercises.{module.__name__.split('.')[1]}"
    ).CHECKS
}
RIGHT = {exercise: answers for module in ANSWERS for exercise, answers in module.RIGHT.items()}
WRONG = {exercise: answers for module in ANSWERS for exercise, answers in module.WRONG.items()}


def cases(answers):
    return [
        pytest.param(exercise, answer, id=f"{exercise}-{i}")
        for exercise, them in answers.items()
        for i, answer in enumerate(them)
    ]


@pytest.mark.parametrize(("exercise", "answer"), cases(RIGHT))
def test_right(exercise, answer):
    verdict = check(exercise, answer)
    assert verdict.correct is True, verdict.message
    assert verdict
    assert repr(verdict) == f"{exercise}: right."


@pytest.mark.parametrize(("exercise", "answer"), cases(WRONG))
def test_wrong(exercise, answer):
    answer, words = answer
    verdict = check(exercise, answer)
    assert verdict.correct is False
    assert any(word in verdict.message for word in words.split("|")), verdict.message


@pytest.mark.parametrize("exercise", CHECKS)
def test_every_exercise_is_tried(exercise):
    """16.3 is a long one: its right answer is the solutions notebook's."""
    assert len(WRONG[exercise]) >= 5
    assert len(RIGHT.get(exercise, ())) >= (0 if exercise == "16.3" else 2)


@pytest.mark.parametrize("exercise", CHECKS)
@pytest.mark.parametrize("nothing", [None, ...])
def test_unanswered(exercise, nothing):
    verdict = check(exercise, nothing)
    assert verdict.correct is None
    assert not verdict
    assert repr(verdict) == f"{exercise}: not answered yet."


@pytest.mark.parametrize("exercise", ["01.4", "99.1", "1", "", 1.1])
def test_no_such_exercise(exercise):
    with pytest.raises(ValueError, match="no exercise"):
        check(exercise, 1)


# --- errors in the reader's own code ------------------------------------------------------------------------


def broken(r, *others):
    steps = r / others[0]
    return steps.no_such_thing


def helper(r):
    return np.concatenate(r)  # NumPy's own frames come last


def broken_in_a_helper(r, *others):
    return helper(0.5)


def broken_in_the_library(r, scale, zero_point, qmin, qmax):
    from quantnotes import IntGrid

    return IntGrid(qmax, qmin)


@pytest.mark.parametrize(
    ("answer", "error", "line"),
    [
        (broken, "AttributeError", "return steps.no_such_thing"),
        (broken_in_a_helper, "Error", "return np.concatenate(r)"),
        (broken_in_the_library, "Error", "return IntGrid(qmax, qmin)"),
        (lambda r: r, "TypeError", ""),  # too few parameters: the error is in the call
    ],
)
def test_an_error_shows_the_line_in_the_readers_code(answer, error, line):
    message = check("01.3", answer).message
    assert error in message
    assert line in message
    if line:
        source = Path(__file__).read_text().splitlines()
        number = int(re.search(r"line (\d+) of your code", message)[1])
        assert line in source[number - 1]
        assert message.count(line) == 1


def test_an_error_in_a_notebook_cell_shows_its_line():
    """IPython hands the source of a cell to linecache."""
    source = "def f(*given):\n    total = 0\n    return total / 0\n"
    name = "<ipython-input-7-cell>"
    linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
    names = {}
    exec(compile(source, name, "exec"), names)
    message = check("01.3", names["f"]).message
    assert "ZeroDivisionError: division by zero" in message
    assert "line 3 of your code: return total / 0" in message


# --- what the museum's exercises stand on -------------------------------------------------------------------


def test_the_list_of_16_1_is_its_culprits_alone():
    lists = {specimen.name: codes_less_z(specimen) for specimen in specimens("rounding")}
    assert [name for name, codes in lists.items() if codes == lists[CULPRIT]] == [CULPRIT]
    assert lists[CULPRIT] == [-3, -1, -1, 1, 1, 3]
