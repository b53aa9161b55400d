"""The rules for notebooks, each on a small notebook that breaks it and on one that does not."""

import json
import subprocess
import sys
from pathlib import Path

import check_notebook
import nbformat
import pytest
import run_notebooks
from check_notebook import Notebook

TOOL = Path(check_notebook.__file__)
PICTURE = {
    "output_type": "display_data",
    "data": {"image/png": "iVBOR", "text/plain": "<Figure>"},
    "metadata": {"image/png": {"alt": "A line that rises from 0 to 28."}},
}


def prose(text, **metadata):
    return {"cell_type": "markdown", "id": "", "metadata": metadata, "source": text}


def printed(text):
    return {"output_type": "stream", "name": "stdout", "text": text}


def code(text, *outputs, **metadata):
    return {
        "cell_type": "code",
        "id": "",
        "metadata": metadata,
        "source": text,
        "outputs": list(outputs),
        "execution_count": None,
    }


@pytest.fixture
def make(tmp_path):
    """Write a notebook of these cells, and return it."""

    def write(*cells, name="02_asymmetric.ipynb"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        runs = 0
        for i, cell in enumerate(cells):
            runs += cell["cell_type"] == "code"
            cell |= {"id": f"c{i}"} | ({"execution_count": runs} if cell["cell_type"] == "code" else {})
        content = {"cells": cells, "metadata": check_notebook.METADATA, "nbformat": 4, "nbformat_minor": 5}
        path.write_text(json.dumps(content), encoding="utf-8")
        return Notebook(path)

    return write


def broken(rule, notebook):
    return list(getattr(check_notebook, rule)(notebook))


def test_minutes_are_words_lines_and_figures(make):
    text = (
        "word " * 350
        + "$a = 1$ [link](http://x.y/z) $$b\n= 2$$ \n\n| a | b |\n|---|---|\n\n About 4 minutes."
    )
    notebook = make(prose(text), code("a = 1\n\nb = 2\n" + 13 * "c = 3\n", PICTURE, PICTURE))
    assert (notebook.words, notebook.lines, notebook.figures) == (350 + 3 + 2 + 3, 15, 2)
    assert notebook.minutes == pytest.approx(358 / 180 + 1 + 1)
    assert not broken("honest_minutes", notebook)


@pytest.mark.parametrize(
    ("cells", "match"),
    [
        ([prose("word " * 1800)], "no 'N minutes'"),
        ([prose("word " * 1800 + "About 12 minutes, or 10 minutes")], "12 minutes are stated, and 10.0"),
        ([prose("word " * 1800 + "About 8 minutes")], "8 minutes are stated"),
        ([prose("word " * 5760 + "About 31 minutes")], "30 at most"),
    ],
)
def test_minutes_that_are_not_honest(make, cells, match):
    assert match in " ".join(broken("honest_minutes", make(*cells)))


def test_hidden_cells_and_closing_sections_count(make):
    hidden = code("a = 1\n" * 10, tags=["hide-cell"])
    assert make(prose("## More on nothing\n\nfour words"), hidden).minutes == pytest.approx(5 / 180 + 10 / 15)


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        ("short_cells", "a = 1\n" * 11),
        ("short_cells", ""),
        ("short_cells", f"a = '{'x' * 83}'"),
        ("short_cells", "a = 1; b = 2"),
        ("short_cells", "if a: b = 2"),
        ("simple_code", "[[a for a in b] for b in c]"),
        ("simple_code", "{a: sum(x for x in a) for a in b}"),
        ("simple_code", "[f(a, b) for a in x for b in y]"),
        ("simple_code", "{'a': lambda x: x}"),
        ("simple_code", "cases = [(1, lambda x: x)]"),
        ("simple_code", "print(f'{a:>10}')"),
        ("simple_code", "print(f'{a:5}')"),
        ("simple_code", "print(f'{a:{width}}')"),
        ("simple_code", "print(f'{a:10.2f}')"),
        ("simple_code", "print(f'{a:-^10}')"),
        ("simple_code", "name.ljust(20)"),
        ("silent_asserts", "assert a\nprint(a)"),
        ("silent_asserts", "np.testing.assert_allclose(a, b)\ntable(rows, columns)"),
        ("silent_asserts", "assert check('02.1', answer)\ncheck('02.1', answer)"),
    ],
)
def test_code_that_breaks_a_rule(make, rule, text):
    assert broken(rule, make(code(text)))


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        ("short_cells", "a = 1\n\n" * 10),
        ("short_cells", f"a = '{'x' * 82}'"),
        ("short_cells", "%timeit f(x)\nfor a in b:\n    print(a)"),
        (
            "simple_code",
            "[a for a in [1, 2]]\nsorted(x, key=lambda a: a)\nprint(f'{a:.2f} {b:,} {c:08b} {d:+.1f}')",
        ),
        ("silent_asserts", "assert a == b\nnp.testing.assert_allclose(a, b)"),
    ],
)
def test_code_that_keeps_it(make, rule, text):
    assert not broken(rule, make(code(text)))


def test_an_assert_beside_a_shown_value(make):
    assert broken("silent_asserts", make(code("assert a\na", printed("3"))))


@pytest.mark.parametrize(
    ("rule", "cells", "name"),
    [
        ("short_paragraphs", [prose("a" * 601)], "02_a.ipynb"),
        ("executed", [code("print(1)")], "02_a.ipynb"),
        ("executed", [code("print(1)", {**printed("no"), "name": "stderr"})], "02_a.ipynb"),
        ("executed", [code("1 / 0", {"output_type": "error", "ename": "Z"})], "02_a.ipynb"),
        ("executed", [code("a = 1")], "02_a.ipynb"),
        ("neutral_metadata", [code("a", tags=["raises-exception"])], "02_a.ipynb"),
        ("neutral_metadata", [code("a", scrolled=True)], "02_a.ipynb"),
        ("no_machine_path", [code("a", printed("see " + "/home" + "/me/x"))], "02_a.ipynb"),
        ("described_figures", [code("a", PICTURE), prose("no caption")], "00_a.ipynb"),
        ("described_figures", [code("a", {**PICTURE, "metadata": {}}), prose("*Figure 1.* A")], "00_a.ipynb"),
        ("described_figures", [code("a", PICTURE), prose("*Figure 1.* A")], "02_a.ipynb"),
        ("one_explorer", [code("a")], "02_a.ipynb"),
        ("ordered_headings", [prose("# 03 · A")], "02_a.ipynb"),
        ("ordered_headings", [prose("# 16 · A")], "16b_a.ipynb"),
        ("framed", [prose("# 16 · A?")], "16_a.ipynb"),
        ("ordered_headings", [prose("# 02 · A\n### B")], "02_a.ipynb"),
        ("working_links", [prose("[a](b.ipynb)")], "02_a.ipynb"),
        ("checked_exercises", [code('check("02.1", None)', printed("02.1: right."))], "02_a.ipynb"),
        ("checked_exercises", [code('check("02.1", 1)', printed("02.1: not yet."))], "solutions/02_a.ipynb"),
        ("plain_words", [prose("The mended filter")], "02_a.ipynb"),
        ("plain_words", [code("# lest it fail\na = 1")], "02_a.ipynb"),
        ("plain_words", [code("f()", printed("quarrels"))], "02_a.ipynb"),
        ("plain_words", [prose("A specimen")], "02_a.ipynb"),
    ],
)
def test_pages_that_break_a_rule(make, rule, cells, name):
    assert broken(rule, make(*cells, name=name))


@pytest.mark.parametrize(
    ("rule", "cells", "name"),
    [
        ("executed", [code("print(1)", printed("1")), code("assert check('02.1', 1)")], "02_a.ipynb"),
        (
            "neutral_metadata",
            [code("a", tags=["hide-cell"]), prose("a", **{"not-measured": ["1"]})],
            "02_a.ipynb",
        ),
        ("described_figures", [code("a", PICTURE), prose("*Figure 1.* A")], "00_a.ipynb"),
        ("one_explorer", [code("a")], "07_a.ipynb"),
        (
            "plain_words",
            [prose("We recommend the smallest, whenever; amended, wholesome, elsewhere")],
            "02_a.ipynb",
        ),
        ("plain_words", [prose("A specimen")], "16_a.ipynb"),
        ("ordered_headings", [prose("# 16b · A")], "16b_a.ipynb"),
        ("framed", [prose("# 16b · A")], "16b_a.ipynb"),
        ("checked_exercises", [prose("# 16b · A")], "16b_a.ipynb"),
    ],
)
def test_pages_that_keep_it(make, rule, cells, name):
    assert not broken(rule, make(*cells, name=name))


FRAMED = """# 02 · Where does zero go?

After this notebook you can

- a
- b
- c

About 25 minutes, [here](../README.md#run-it).
"""


@pytest.mark.parametrize(
    ("number", "change", "keeps"),
    [
        ("02", {}, True),
        ("02", {"The surprise": "The surprise: one token sets the scale"}, True),
        ("02", {"The surprise": None}, False),
        ("02", {"The note says": None}, False),
        ("08", {"The note says": None}, True),
        ("02", {"Recap": "Recap\n\n## More on ties"}, True),
        ("02", {"Recap": "Recap\n\n## More on ties\n\n## More on zero"}, False),
        ("02", {"Recap": "More on ties\n\n## Recap"}, False),
        ("02", {"Recap": "Recap\n\n[s](solutions/other.ipynb)"}, True),
        ("02", {"?": "."}, False),
        ("02", {"- c\n": ""}, False),
        ("02", {"(solutions": "(solution"}, False),
    ],
)
def test_the_frame(make, number, change, keeps):
    parts = [change.get(title, title) for title in check_notebook.FRAME]
    text = (
        FRAMED + "".join(f"\n## {part}\n" for part in parts if part) + "\n(solutions/02_asymmetric.ipynb)\n"
    )
    for old in set(change) - set(check_notebook.FRAME):
        text = text.replace(old, change[old])
    text = text.replace("02", number)
    first, *rest = text.split("\n## ")
    notebook = make(prose(first), *(prose("## " + part) for part in rest), name=f"{number}_asymmetric.ipynb")
    assert bool(broken("framed", notebook)) != keeps


# --- numbers ------------------------------------------------------------------------------------------------


def unmeasured(notebook):
    return [json.loads(line.split(": ", 2)[2]) for line in broken("measured_numbers", notebook)]


@pytest.mark.parametrize(
    ("text", "output"),
    [
        ("gains 18.7 dB", "18.7"),
        ("gains 18.7 dB", "18.6512"),
        ("gains 19 dB", "18.7"),
        ("loses 3.1 dB", "-3.08"),
        ("a Z of −128", "-128"),
        ("a share of 18.7 %", "0.1873"),
        ("a share of 19 %", "0.1873"),
        ("a share of 19\u202f%", "18.7 %"),
        ("between 12–28 dB", "12 28"),
        ("the codes 0…15", "[0, 15]"),
        ("49,152 values", "49152"),
        ("49152 values", "49,152"),
        ("some 200,000 values", "196,608"),
        ("p = 4e-07", "p = 3.7e-07"),
        ("±1.1 and +2", "1.1 2"),
        ("(3 × 3)", "3"),
        ("| 5.5 | 6 |", "5.5 6"),
        ("2.5", "<td>2.5</td>"),
        ("8-bit weights, 8 bits", "int8"),
    ],
)
def test_numbers_that_are_found(make, text, output):
    shown = {
        "output_type": "execute_result",
        "data": {"text/html": output, "text/plain": "Table"},
        "metadata": {},
    }
    for place in (printed(output), shown):
        assert not unmeasured(make(prose(text), code("f(x)", place)))
    assert unmeasured(make(prose(text), code("f(x)")))


@pytest.mark.parametrize(
    ("text", "output"),
    [
        ("gains 18.7 dB", "18.77"),
        ("gains 18.70 dB", "18.7"),
        ("gains 18.7dB", "18.6"),
        ("a Z of −128", "128"),
        ("a share of 18.8 %", "0.1873"),
        ("49,152 values", "49153"),
        ("200,000 values", "149,999"),
        ("1,797 images", "1797.6"),
        ("a share of 1.9", "0.019"),
        ("the value $18.7$", "18.6"),
        ("the value `18.7`", "18.6"),
        ("- 18.7", "18.6"),
        ("in 2020", "2021"),
    ],
)
def test_numbers_that_are_not(make, text, output):
    assert unmeasured(make(prose(text), code("f(x)", printed(output))))


@pytest.mark.parametrize(
    "text",
    [
        "int8, UINT8, E4M3, x86-64, BSD-3, GPT-2, W8A8, float32, layer1 and 2D",
        "2⁸ codes of S²/2⁸",
        "Section 2 of the note; sections 3, 4 and 5; Figure 7, exhibits 2–4, exercise 02.3, notebook 16",
        "see [05](05_outliers.ipynb), [16 · Can you?](16_bug_museum.ipynb) and 01–04",
        "**02.1** The",
        "1. one\n2. two",
        "$a = 17$, `x[42]`, [link](http://x.y/77), <https://a.b/99>",
        "two thirds",
    ],
)
def test_numbers_that_are_names(make, text):
    assert not unmeasured(make(prose(text)))


@pytest.mark.parametrize(
    ("source", "found"),
    [
        (prose("$S = 18.7$"), True),
        (prose("$$x = \\frac{18.7}{3}$$"), True),
        (prose("`scale=18.7`"), True),
        (prose("18.7 is printed nowhere"), False),
        (prose("$18.7$"), False),
        (code("x = 18.7"), True),
        (code("x = np.array([1, -18.7])"), True),
        (code("table(rows, caption='18.7 dB')"), True),
        (code("x = 2  # 18.7"), False),
        (code("plots.show(f(x), alt='A line at 18.7 '\n           'and one')"), False),
        (code("plots.show(f(x), alt=f'A line at 18.7 and {x}')"), False),
        (code("%timeit -n 18\nx = 18.7"), True),
    ],
)
def test_where_a_number_may_come_from(make, source, found):
    assert bool(unmeasured(make(prose("It is 18.7"), source))) != found


def test_exceptions_are_listed(make):
    assert not broken("measured_numbers", make(prose("in 2020, −5 MB", **{"not-measured": [2020, "−5"]})))
    assert (
        "lists 2021"
        in broken("measured_numbers", make(prose("in 2020", **{"not-measured": ["2020", "2021"]})))[0]
    )


def test_minutes_and_title_are_no_measurements(make):
    assert not unmeasured(make(prose("# 02 · A\n\nAbout 25 minutes.")))
    assert unmeasured(make(prose("About 25 minutes."), prose("It takes 20 minutes"))) == [["20"]]


def test_metadata_are_put_in_order_and_the_lists_kept(make):
    notebook = nbformat.read(make(prose("in 2020", **{"not-measured": ["2020"]}), code("a")).path, 4)
    notebook.cells[1].metadata.update(tags=["hide-cell"], scrolled=True)
    run_notebooks.normalise(notebook)
    assert [dict(cell.metadata) for cell in notebook.cells] == [
        {"not-measured": ["2020"]},
        {"tags": ["hide-cell"]},
    ]


def test_the_tool_prints_everything(make):
    notebook = make(prose("A mended 18.7"), code("print(f'{1:5}')", printed("1")))
    done = subprocess.run([sys.executable, TOOL, notebook.path], capture_output=True, text=True)
    assert done.returncode == 1
    assert "1 lines of code, 3 words, 0 figures" in done.stdout
    for rule in (
        "honest_minutes",
        "simple_code",
        "framed",
        "plain_words: c0: the word 'mended'",
        "measured_numbers",
    ):
        assert f"  {rule}" in done.stdout
