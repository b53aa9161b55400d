"""The public names: they load on first use, and type checkers and completion see them all the same."""

import ast
import doctest
import inspect
import os
import subprocess
import sys
from pathlib import Path

import pytest

import quantnotes

INIT = Path(quantnotes.__file__)


def run(code):
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True)
    assert not done.returncode, done.stderr
    return done.stdout.split()


def test_importing_loads_nothing_else():
    loaded = run("import sys, quantnotes; print(*(m for m in sys.modules if m.startswith('quantnotes.')))")
    assert loaded == []


def test_a_name_loads_what_it_needs():
    loaded = run(
        "import sys, quantnotes; quantnotes.quantize"
        "; print(*(m for m in sys.modules if m.startswith('quantnotes.')))"
    )
    assert "quantnotes.mapping" in loaded
    assert not {"quantnotes.samples", "quantnotes.histogram", "quantnotes.kernels.fused"} & set(loaded)


def test_every_name_is_there_and_is_listed():
    assert set(quantnotes.__all__) <= set(dir(quantnotes))
    listed = run("import quantnotes; print(*dir(quantnotes))")
    assert set(quantnotes.__all__) <= set(listed)
    for name in quantnotes.__all__:
        assert getattr(quantnotes, name) is not None


def test_type_checkers_see_the_same_names():
    """The names of the TYPE_CHECKING block are those that load lazily, from the modules that define them."""
    (block,) = (
        node
        for node in ast.parse(INIT.read_text(encoding="utf-8")).body
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    )
    seen = {alias.asname: node.module for node in block.body for alias in node.names}
    assert set(seen) == set(quantnotes.__all__)
    for name, module in seen.items():
        thing = getattr(quantnotes, name)
        if inspect.isfunction(thing) or inspect.isclass(thing):
            assert thing.__module__ == module, name


def test_mypy_reads_the_names(tmp_path):
    file = tmp_path / "uses.py"
    names = ", ".join(quantnotes.__all__)
    file.write_text(
        f"from quantnotes import {names}\n"
        "reveal_type(QuantParams(0.1, 3, INT8).range)\n"
        "reveal_type(quantize)\n"
    )
    command = [
        sys.executable,
        "-m",
        "mypy",
        "--strict",
        f"--cache-dir={tmp_path}",
        "--follow-imports=silent",
        file,
    ]
    # An editable installation is found by a hook that mypy does not follow.
    environment = {**os.environ, "MYPYPATH": str(INIT.parent.parent)}
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment)
    revealed = [line.split("Revealed type is ")[1] for line in done.stdout.splitlines() if "Revealed" in line]
    assert len(revealed) == 2, done.stdout
    assert "quantnotes.ranges.Range" in revealed[0]
    assert "QuantParams" in revealed[1]
    assert not [line for line in done.stdout.splitlines() if "error" in line and line.startswith("uses.py")]


@pytest.mark.parametrize("name", ["nothing", "_private", "Quantize"])
def test_a_name_that_is_not_there(name):
    with pytest.raises(AttributeError, match=name):
        getattr(quantnotes, name)


@pytest.mark.parametrize(
    "path", sorted(INIT.parent.rglob("*.py")), ids=lambda path: str(path.relative_to(INIT.parent))
)
def test_examples_show_what_is_returned(path):
    """Readers ask an example what a function gives; one that prints True alone does not say it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and (text := ast.get_docstring(node)):
            shown = [example.want for example in doctest.DocTestParser().get_examples(text)]
            assert set(shown) - {""} != {"True\n"}, node.name
