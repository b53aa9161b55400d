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
SLOW = ["ONNX Runtime, entropy, 2048 bins"]
QUICK = [name for name in TOOL.ONNXRUNTIME if name not in SLOW]


@pytest.fixture(scope="module")
def table():
    return json.loads(TOOL.TABLE.read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", [*QUICK, *(pytest.param(name, marks=pytest.mark.tables) for name in SLOW)])
def test_onnxruntime(table, name):
    pytest.importorskip("onnxruntime")
    assert TOOL.differing({name: TOOL.onnxruntime_clips(*TOOL.ONNXRUNTIME[name])}, table) == []


def test_torch(table):
    pytest.importorskip("torch")
    assert TOOL.differing({"PyTorch, HistogramObserver": TOOL.torch_clips()}, table) == []


def test_a_difference_is_seen(table):
    (name, clips), *_ = table.items()
    assert TOOL.differing({name: {order: clip * 1.01 for order, clip in clips.items()}}, table) == [name]
