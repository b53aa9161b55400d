"""Plain English in the library, the tools and the pages: STYLE's list of words, and how a module opens.

The rest is for the ear. Notebooks are held to the same list by `tools/check_notebook.py`.
"""

import ast
from pathlib import Path

import pytest
from check_notebook import MUSEUM_WORDS, WORDS_TO_AVOID

ROOT = Path(__file__).parent.parent
MODULES = sorted((ROOT / "quantnotes").rglob("*.py"))
LIBRARY = [path for path in MODULES if "course" not in path.relative_to(ROOT).parts]
LISTS = {"check_notebook.py", "test_check_notebook.py"}  # they hold the words themselves
FILES = [
    *MODULES,
    *(path for folder in ("tools", "benchmarks", "tests") for path in sorted((ROOT / folder).rglob("*.py"))),
    *(path for pattern in ("*.md", "Makefile", "*.toml") for path in sorted(ROOT.glob(pattern))),
    *sorted((ROOT / "quantnotes").rglob("README.md")),
]


def name_of(path):
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", [path for path in FILES if path.name not in LISTS], ids=name_of)
def test_words(path):
    lines = path.read_text(encoding="utf-8").splitlines()
    found = [f"line {i}: {line.strip()}" for i, line in enumerate(lines, 1) if WORDS_TO_AVOID.search(line)]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("path", LIBRARY, ids=name_of)
def test_museum_words_stay_in_the_museum(path):
    assert not MUSEUM_WORDS.findall(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_module_says_what_it_is_for_and_what_it_does_not_cover(path):
    doc = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    assert doc
    assert "Left out" not in doc
    if path in LIBRARY and not path.name.startswith("__"):
        assert "Not covered:" in doc
