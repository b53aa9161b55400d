"""The table of other calibrators in notebook 07, computed again where they are installed."""

import importlib.util
import json
from pathlib import Path

import pytest

SPEC = importlib.util.spec_from_file_location(
    "other_calibrators", Path(__file__).parent.parent / "tools" / "other_calibrators.py"
)
TOOL = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(TOOL)


@pytest.fixture(scope="module")
def table():
    return json.loads(TOOL.TABLE.read_text(encoding="utf-8"))


def test_onnxruntime(table):
    pytest.importorskip("onnxruntime")
    rows = {name: clips for name, clips in TOOL.tables().items() if name.startswith("ONNX")}
    assert len(rows) == 3
    assert TOOL.differing(rows, table) == []


def test_torch(table):
    pytest.importorskip("torch")
    assert TOOL.differing({"PyTorch, HistogramObserver": TOOL.torch_clips()}, table) == []


def test_a_difference_is_seen(table):
    (name, clips), *_ = table.items()
    assert TOOL.differing({name: {order: clip * 1.01 for order, clip in clips.items()}}, table) == [name]
