"""The notebooks as pages: every rule of `tools/check_notebook.py`, and what holds between them.

That they run, and print what is committed, is nbval's business. For one notebook: `pytest -k 02_asymmetric`,
or `python tools/check_notebook.py notebooks/02_asymmetric.ipynb`, which prints everything at once.
"""

import re
from collections import Counter
from pathlib import Path

import check_notebook
import pytest
from check_notebook import Notebook

ROOT = Path(__file__).parent.parent
NOTEBOOKS = ROOT / "notebooks"
NAMES = [  # by number; one may be missing while it is being written, but there is no other
    "00_start_here",
    "01_mapping",
    "02_asymmetric",
    "03_symmetric",
    "04_saturation",
    "05_outliers",
    "06_calibration",
    "07_calibration_data",
    "08_integer_arithmetic",
    "09_small_network",
    "10_where_to_measure",
    "11_convolution",
    "12_your_own_model",
    "13_groups",
    "14_float_formats",
    "15_moving_outliers",
    "16_bug_museum",
    "17_speed_and_scale",
]
PAGES = ["16b_catalogue"]  # to look things up in, beside the notebook of that number
NUMBERED = [Notebook(path) for path in sorted(NOTEBOOKS.glob("*.ipynb"))]
SOLUTIONS = [Notebook(path) for path in sorted((NOTEBOOKS / "solutions").glob("*.ipynb"))]


def name_of(notebook):
    return str(notebook.path.relative_to(NOTEBOOKS).with_suffix(""))


each_numbered = pytest.mark.parametrize("notebook", NUMBERED, ids=name_of)


@pytest.mark.parametrize("notebook", NUMBERED + SOLUTIONS, ids=name_of)
@pytest.mark.parametrize("rule", check_notebook.RULES, ids=lambda rule: rule.__name__)
def test_rule(rule, notebook):
    violations = list(rule(notebook))
    assert not violations, "\n".join([rule.__doc__, *violations])


def test_names_are_known_and_each_has_solutions():
    assert [name[:2] for name in NAMES] == [f"{i:02}" for i in range(len(NAMES))]
    assert {notebook.path.stem for notebook in NUMBERED} <= {*NAMES, *PAGES}
    chapters = [notebook.path.name for notebook in NUMBERED if notebook.is_chapter]
    assert [notebook.path.name for notebook in SOLUTIONS] == chapters


def test_the_note_takes_130_minutes():
    chapters = [notebook for notebook in NUMBERED if notebook.number <= "05"]
    assert sum(notebook.minutes for notebook in chapters) <= 130
    assert sum(notebook.stated_minutes for notebook in chapters) <= 130


def terms():
    """The Chinese terms of the table in 00, each with its English ones."""
    table = "".join(cell["text"] for cell in NUMBERED[0].prose if "| symbol |" in cell["text"])
    for row in re.findall(r"(?m)^\| (?!symbol)[^|]*\| ([^|]+) \| ([^|]*[\u4e00-\u9fff][^|]*) \|", table):
        yield from zip(row[1].split(", "), row[0].split(", "), strict=False)


@each_numbered
def test_chinese_stands_once_beside_the_term_of_the_table(notebook):
    """A term is followed by its Chinese in brackets, once a notebook: the pair must be the table's."""
    table = dict(terms())
    assert len(table) >= 12
    text = "\n".join(cell["text"] for cell in notebook.prose)
    pairs = re.findall(r"([^()\n]{0,60})\(([\u4e00-\u9fff]+)\)", text)
    for before, chinese in pairs:
        stem = table[chinese].lower()[:4]
        assert stem in before.lower().replace("*", ""), f"{chinese} is {table[chinese]}, not {before!r}"
    twice = [chinese for chinese, n in Counter(chinese for _, chinese in pairs).items() if n > 1]
    assert not twice


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "CHANGES.md"])
def test_links_of_pages(name):
    assert not list(check_notebook.broken_links((ROOT / name).read_text(encoding="utf-8"), ROOT))


def test_readme_lists_every_notebook():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert all(f"(notebooks/{notebook.path.name})" in readme for notebook in NUMBERED)
