"""Notebook 17: the results it draws from, and the cells that nbval skips since they need an extra."""

import contextlib
import io
import json
import re
from pathlib import Path

import pytest

pytestmark = pytest.mark.extras

ROOT = Path(__file__).parent.parent
RESULTS = json.loads((ROOT / "notebooks" / "data" / "speed.json").read_text(encoding="utf-8"))
NOTEBOOK = json.loads((ROOT / "notebooks" / "17_speed_and_scale.ipynb").read_text(encoding="utf-8"))
CODE = [cell for cell in NOTEBOOK["cells"] if cell["cell_type"] == "code"]
SKIPPED = {
    "Numba": next(cell for cell in CODE if "import numba" in "".join(cell["source"])),
    "Dask": next(cell for cell in CODE if "LocalCluster" in "".join(cell["source"])),
}


def run(source, names):
    """Run a cell, without its magic, and return what it prints."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(re.sub(r"(?m)^ *%.*$", "", source), names)
    return printed.getvalue()


def committed(cell):
    return "".join("".join(output.get("text", "")) for output in cell["outputs"])


@pytest.fixture(scope="module")
def names():
    """What the notebook has made when it comes to the skipped cells."""
    made = {}
    wanted = ("from importlib.util import find_spec", "params = asymmetric_params", "def quantize_loop")
    for cell in CODE[: CODE.index(SKIPPED["Numba"])]:
        if any(text in "".join(cell["source"]) for text in wanted):
            run("".join(cell["source"]), made)
    made["data"] = made["samples"].load("gelu_output")
    return made


def test_just_these_two_cells_are_skipped():
    skipped = [cell for cell in CODE if "nbval-skip" in cell["metadata"].get("tags", [])]
    assert skipped == list(SKIPPED.values())


def test_the_numba_cell_prints_what_is_committed(names):
    pytest.importorskip("numba")
    printed = run("".join(SKIPPED["Numba"]["source"]), names)
    assert printed == "the same codes: True\n"
    assert committed(SKIPPED["Numba"]).startswith(printed)


def test_the_dask_cell_prints_what_is_committed(names):
    pytest.importorskip("distributed")
    printed = run("".join(SKIPPED["Dask"]["source"]), names)
    assert printed == committed(SKIPPED["Dask"])
    assert printed.endswith("the same bits: True True\n")


@pytest.mark.parametrize("name", SKIPPED)
def test_where_the_extra_is_missing_the_cell_says_how_to_get_it(names, name):
    hidden = {**names, "find_spec": lambda _: None}
    extra = {"Numba": "fast", "Dask": "scale"}[name]
    assert run("".join(SKIPPED[name]["source"]), hidden) == (
        f'{name} is not installed here: pip install "quantnotes[{extra}]"\n'
    )


# --- the results --------------------------------------------------------------------------------------------


def test_results_say_machine_and_versions():
    machine = RESULTS["machine"]
    assert machine["cpu"]
    assert machine["cores"] >= 1
    for package in ("python", "numpy", "numba", "onnxruntime", "fast-histogram", "dask"):
        assert re.fullmatch(r"\d+\.\d+(\.\d+)*", machine["versions"][package])


def test_results_name_no_host_and_no_place():
    assert set(RESULTS["machine"]) == {"cpu", "cores", "AVX-512", "caches", "system", "versions"}
    assert "/" not in json.dumps(RESULTS).replace('"/ S"', "")


def test_results_hold_every_row_of_the_table():
    rows = {(row["name"], row["peer"]): row for row in RESULTS["rows"]}
    for name, peer, target in [
        ("quantize, out=", "ONNX Runtime", 1.15),
        ("quantize, allocating", "ONNX Runtime", 1.25),
        ("dequantize, out=", "ONNX Runtime", 1.0),
        ("fake_quantize, out=", "ONNX Runtime, two nodes", 0.6),
        ("minmax_range", "np.min + np.max", 0.6),
        ("Histogram.update", "np.histogram", 0.15),
        ("Histogram.update", "fast-histogram", 0.45),
        ("quantize, out=, no Numba", "one line of NumPy", 0.55),
        ("Histogram.update, no Numba", "np.histogram", 0.5),
        ("quantize, 1000 elements", "one line of NumPy", 5.0),
    ]:
        row = rows[name, peer]
        assert row["target"] == target
        assert row["ratio"] > 0
    assert RESULTS["elements"] == 50_000_000
