"""Notebook 17: the results it draws from, and the cell that nbval skips since it needs an extra."""

import contextlib
import io
import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
RESULTS = json.loads((ROOT / "notebooks" / "data" / "speed.json").read_text(encoding="utf-8"))
NOTEBOOK = json.loads((ROOT / "notebooks" / "17_speed_and_scale.ipynb").read_text(encoding="utf-8"))
CODE = [cell for cell in NOTEBOOK["cells"] if cell["cell_type"] == "code"]
(DASK,) = [cell for cell in CODE if "import dask" in "".join(cell["source"])]


def run(source, names):
    """Run a cell, and return what it prints."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(source, names)
    return printed.getvalue()


@pytest.fixture(scope="module")
def names():
    """What the Dask cell takes from the cells above it."""
    made = {}
    for wanted in ("from importlib.util import find_spec", "params = asymmetric_params"):
        run("".join(next(cell for cell in CODE if wanted in "".join(cell["source"]))["source"]), made)
    return made


def test_only_the_dask_cell_is_skipped():
    assert [cell for cell in CODE if "nbval-skip" in cell["metadata"].get("tags", [])] == [DASK]


@pytest.mark.extras
def test_the_dask_cell_prints_what_is_committed(names):
    pytest.importorskip("dask")
    printed = run("".join(DASK["source"]), names)
    assert printed == "".join("".join(output.get("text", "")) for output in DASK["outputs"])
    assert printed.endswith("the same bits: True True\n")


def test_without_dask_the_cell_says_how_to_get_it(names):
    hidden = {**names, "find_spec": lambda _: None}
    assert run("".join(DASK["source"]), hidden) == (
        'Dask is not installed here: pip install "quantnotes[scale]"\n'
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


def test_results_are_as_the_prose_says():
    """The prose names no times, but it says what is larger than what."""
    machine, story = RESULTS["machine"], RESULTS["story"]
    ns, kept = story["steps"], sum(story["passes"].values())
    core, memory = 6 / story["in cache"]["fused"], 5 / ns["memory"]
    assert 6 / 37 < 6 / 5 < machine["cores"] * core / memory  # left of the bend
    assert 6 / ns["one line"] < memory * 6 / 37  # below the slope
    ways = [ns["one line"], kept, ns["blocks"], ns["fused, one thread"], ns["fused"], ns["memory"]]
    assert ways == sorted(ways, reverse=True)
    assert ns["one line"] - ns["fused, one thread"] > ns["one line"] / 2  # memory, new or carried to
    assert story["passes"]["+ Z"] > 2 / core  # a pass costs far more than its operation
    assert min(story["passes"], key=story["passes"].get) == "+ Z"
    assert story["passes"]["astype"] / 5 > max(story["passes"][step] / 8 for step in ("/ S", "round", "clip"))
    assert ns["histogram"] > 2 * ns["minmax_range"]
    assert ns["histogram, blocks"] > ns["histogram, one thread"]
    assert ns["histogram, one thread"] / 1.5 < ns["histogram"] < ns["histogram, one thread"]  # brings little
    call = {name: dict(map(tuple, points))[1000] for name, points in story["sizes"].items()}
    assert min(call, key=call.get) == "one line"
    for loops in ("numpy", "numba"):
        file = story[f"file, {loops}"]
        assert file["peak MB"] - file["before MB"] < file["file MB"] / 10
    first = story["first call, compiled"]
    assert first["first"] > 10 * first["second"]
