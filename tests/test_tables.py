"""Tables as text and as HTML: the same alignment, and cells that a narrow page does not tear apart."""

import re

import pytest

from quantnotes import INT8, asymmetric_params, code_ledger, compare, ledger_table, minmax_range, samples
from quantnotes.tables import html_table, text_table

ROWS = [("name", "codes", "end"), ("a", "89 of 256", "both"), ("a longer one", "3", "qmin")]


@pytest.mark.parametrize("right", [False, True, (False, True, False)])
def test_html_is_aligned_as_the_text_is(right):
    lines = text_table(ROWS, right).splitlines()
    page = html_table(ROWS, head=True, right=right)
    sides = re.findall(r'text-align: (\w+)">', page)
    assert sides == 3 * sides[:3]
    for cell, side in zip(ROWS[2], sides[:3], strict=True):
        head = ROWS[0][ROWS[2].index(cell)]
        start = {line.index(word) for line, word in ((lines[0], head), (lines[2], cell))}
        assert (len(start) == 1) == (side == "left")


@pytest.mark.parametrize("made", [ledger_table, compare], ids=lambda made: made.__name__)
def test_numbers_of_ledgers_stand_to_the_right(made):
    x = samples.load("gelu_output")
    ledger = code_ledger(x, asymmetric_params(*minmax_range(x), INT8))
    shown = made({"row": ledger} if made is ledger_table else x)
    rows = re.findall(r"<tr>(.*?)</tr>", shown._repr_html_())
    for row in rows:
        first, *rest = re.findall(r"text-align: (\w+)", row)
        assert first == "left"
        assert set(rest) == {"right"}


@pytest.mark.parametrize(
    ("cell", "shown"),
    [
        ("89 of 256", "89&nbsp;of&nbsp;256"),
        ("-23.2 (-23.4 to -23.1)", "-23.2 (-23.4&nbsp;to&nbsp;-23.1)"),
        ("the range is not widened to hold 0", "the range is not widened to hold 0"),
        ("a & b", "a&nbsp;&amp;&nbsp;b"),
    ],
)
def test_what_is_short_or_in_brackets_stays_on_one_line(cell, shown):
    assert f">{shown}</th>" in html_table([(cell,)])
