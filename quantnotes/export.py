"""A quantized network as an ONNX model, which an inference engine can run.

The model is in QDQ form: reals flow between the nodes, with a QuantizeLinear and a DequantizeLinear wherever
codes should be used; an engine turns that into integer arithmetic where it can.

Not covered: layers other than dense ones, reading models, and the QOperator form, whose layers with a bias
are ONNX Runtime's own, not part of the standard.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from quantnotes.layers import QuantDense
from quantnotes.mapping import QuantParams
from quantnotes.network import check_quantized

if TYPE_CHECKING:
    import onnx

OPSET = 21  # the first whose QuantizeLinear and DequantizeLinear know 16-bit codes
IR_VERSION = 10  # the file format that came with it


def to_onnx(network: Sequence[QuantDense]) -> onnx.ModelProto:
    """Return the network as an ONNX model.

    Parameters
    ----------
    network : sequence of QuantDense
        As `quantize_network` makes it.

    Returns
    -------
    onnx.ModelProto
        Input "x", float32 (rows, inputs); output "scores", float32 (rows, outputs). "codes_0" are the
        input's codes, "codes_1" those of the first layer's output, and so on. Weights are stored as codes,
        biases as int32. A Clip stops values at the ends of a grid that is narrower than its dtype.

    Raises
    ------
    ModuleNotFoundError
        If the package onnx is not installed.
    TypeError
        If `network` is no sequence of QuantDense.
    ValueError
        If there is no layer, or a weight is in blocks.

    Notes
    -----
    ONNX keeps scales in float32, and an engine may sum in float32 or requantize with a float. So a code next
    to a tie may differ by one from `run_integer`'s. On processors without VNNI instructions ONNX Runtime's
    fused kernels add pairs of products in 16 bits with saturation, for int8 and uint8 data. Its session
    option "session.x64quantprecision", set to "1", asks for exact kernels; weights of 7 bits do not need it.

    Examples
    --------
    >>> from quantnotes.network import Dense, quantize_network
    >>> model = to_onnx(quantize_network([Dense([[1.0, -1.0]], [0.5])], [[1.0, 2.0]]))
    >>> [node.op_type for node in model.graph.node]
    ['QuantizeLinear', 'DequantizeLinear', 'DequantizeLinear', 'DequantizeLinear', 'Gemm']
    """
    try:
        from onnx import TensorProto, checker, helper
    except ModuleNotFoundError:
        raise ModuleNotFoundError("to_onnx needs the package onnx: python -m pip install onnx") from None
    check_quantized(network, QuantDense)
    graph = _Graph()
    value = graph.quantized("x", network[0].x, 0)
    for i, layer in enumerate(network, start=1):
        weight = graph.decoded(f"weight_{i}", layer.codes, layer.w.scale, layer.w.zero_point)
        bias = graph.decoded(f"bias_{i}", layer.bias, layer.scale, 0)
        value = graph.node("Gemm", [value, weight, bias], f"sum_{i}", transB=1)
        value = graph.node("Relu", [value], f"relu_{i}") if layer.dense.relu else value
        value = graph.quantized(value, layer.y, i) if layer.y else value
    graph.nodes[-1].output[0] = "scores"
    ends = {"x": network[0].dense.weight.shape[1], "scores": network[-1].dense.weight.shape[0]}
    x, scores = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["rows", n]) for name, n in ends.items()
    )
    model = helper.make_model(
        helper.make_graph(graph.nodes, "quantnotes", [x], [scores], graph.constants),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="quantnotes",
    )
    checker.check_model(model, full_check=True)
    return model


class _Graph:
    """Nodes in the order in which they run, and the constants they read."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def node(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> str:
        from onnx import helper

        self.nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output

    def constant(self, name: str, value: ArrayLike, dtype: Any) -> str:
        from onnx import numpy_helper

        self.constants.append(numpy_helper.from_array(np.asarray(value, dtype), name))
        return name

    def quantized(self, value: str, params: QuantParams, number: int) -> str:
        """Quantize a real value and dequantize it again."""
        grid, dtype = params.grid, params.grid.dtype
        if grid.codes < 2 ** (8 * dtype.itemsize):  # QuantizeLinear clips at the ends of the dtype
            ends = [
                self.constant(f"{end}_{number}", getattr(params.range, end), np.float32)
                for end in ("rmin", "rmax")
            ]
            value = self.node("Clip", [value, *ends], f"clipped_{number}")
        pair = [
            self.constant(f"scale_{number}", params.scale, np.float32),
            self.constant(f"zero_point_{number}", params.zero_point, dtype),
        ]
        codes = self.node("QuantizeLinear", [value, *pair], f"codes_{number}")
        return self.node("DequantizeLinear", [codes, *pair], f"real_{number}")

    def decoded(self, name: str, codes: NDArray[Any], scale: Any, zero_point: Any) -> str:
        """Store codes, which the model dequantizes when it runs."""
        zeros = np.broadcast_to(zero_point, np.shape(scale))
        inputs = [
            self.constant(name, codes, codes.dtype),
            self.constant(f"{name}_scale", scale, np.float32),
            self.constant(f"{name}_zero_point", zeros, codes.dtype),
        ]
        return self.node("DequantizeLinear", inputs, f"{name}_real", axis=0)
