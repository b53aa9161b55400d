"""The peers: ONNX Runtime's nodes, on memory that is given to them as ours get an `out`; and plain NumPy."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper

from quantnotes import QuantParams

onnxruntime: Any = importlib.import_module("onnxruntime")  # its types do not say what it exports

Array = NDArray[Any]
Call = Callable[[], object]
QUANTIZE, DEQUANTIZE = ["QuantizeLinear"], ["DequantizeLinear"]


def one_line(x: Array, params: QuantParams) -> Call:
    """Return a call of what one would write in NumPy."""
    scale, zero = np.float32(params.scale), np.float32(params.zero_point)
    return lambda: np.clip(np.round(x / scale) + zero, -128, 127).astype(np.int8)


def plain_search(rows: Array, largest_code: int, factors: int = 100) -> Array:
    """Return the clip of least squared error of each row: symmetric, `factors` from 0.2 to 1 times its top.

    Every factor is tried for all rows at once, as one would write it in NumPy.
    """
    top = np.abs(rows).max(axis=1, keepdims=True)
    best, least = top.copy(), np.full(top.shape, np.inf, rows.dtype)
    for factor in np.linspace(0.2, 1, factors, dtype=rows.dtype):
        scale = factor * top / largest_code
        codes = np.clip(np.rint(rows / scale), -largest_code, largest_code)
        error = np.sum((rows - codes * scale) ** 2, axis=1, keepdims=True)
        better = error < least
        best[better], least[better] = factor * top[better], error[better]
    clips: Array = best[:, 0]
    return clips


class OnnxRuntime:
    """QuantizeLinear, DequantizeLinear, or one after the other, to int8 and back, on every core."""

    def __init__(self, nodes: list[str], params: QuantParams) -> None:
        names = ["first", "second", "third"][: len(nodes) + 1]
        real, code = TensorProto.FLOAT, TensorProto.INT8
        scale, zero = np.atleast_1d(params.scale), np.atleast_1d(params.zero_point)
        shape = [] if params.axis is None else [scale.size]
        axis: dict[str, Any] = {} if params.axis is None else {"axis": params.axis}
        graph = helper.make_graph(
            [
                helper.make_node(node, [names[i], "s", "z"], [names[i + 1]], **axis)
                for i, node in enumerate(nodes)
            ],
            "peer",
            [helper.make_tensor_value_info(names[0], real if nodes[0] in QUANTIZE else code, None)],
            [helper.make_tensor_value_info(names[-1], code if nodes[-1] in QUANTIZE else real, None)],
            [helper.make_tensor("s", real, shape, scale), helper.make_tensor("z", code, shape, zero)],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=9)
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        self.session = onnxruntime.InferenceSession(model.SerializeToString(), options)
        self.input, self.output = names[0], names[-1]

    def into(self, x: Array, out: Array) -> Call:
        """Return a call that reads `x`, writes `out` and allocates nothing."""
        binding = self.session.io_binding()
        binding.bind_input(self.input, "cpu", 0, x.dtype, x.shape, x.ctypes.data)
        binding.bind_output(self.output, "cpu", 0, out.dtype, out.shape, out.ctypes.data)
        return lambda: self.session.run_with_iobinding(binding)

    def allocating(self, x: Array) -> Call:
        """Return a call that returns a new array."""
        return lambda: self.session.run(None, {self.input: x})
