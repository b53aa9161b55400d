"""One node of ONNX Runtime, CPU, on integers; and whether this processor's kernels sum them exactly."""

import functools

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper

from quantnotes import INT8, UINT8, QuantParams

GRIDS = {"int8": INT8, "uint8": UINT8}
PROTO = {"int8": TensorProto.INT8, "uint8": TensorProto.UINT8}
PROTO |= {"int32": TensorProto.INT32, "float": TensorProto.FLOAT}


@functools.cache
def session(operator, inputs, output, attributes=()):
    """A model of one node, whose inputs are all inputs of the model."""
    named = [helper.make_tensor_value_info(f"x{i}", PROTO[kind], None) for i, kind in enumerate(inputs)]
    result = helper.make_tensor_value_info("y", PROTO[output], None)
    node = helper.make_node(operator, [value.name for value in named], ["y"], **dict(attributes))
    model = helper.make_model(
        helper.make_graph([node], operator, named, [result]),
        opset_imports=[helper.make_opsetid("", 21)],
        ir_version=10,
    )
    return onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])


def run(operator, inputs, output, **attributes):
    kinds = tuple("float" if value.dtype == np.float32 else value.dtype.name for value in inputs)
    feed = {f"x{i}": value for i, value in enumerate(inputs)}
    return session(operator, kinds, output, tuple(attributes.items())).run(None, feed)[0]


def zero_point(params):
    return np.asarray(params.zero_point).astype(params.grid.dtype)


def matmul_integer(qx, qw, x_params, w_params):
    return run("MatMulInteger", [qx, qw, zero_point(x_params), zero_point(w_params)], "int32")


def conv_integer(qx, qw, x_params, w_params, **attributes):
    return run("ConvInteger", [qx, qw, zero_point(x_params), zero_point(w_params)], "int32", **attributes)


@functools.cache
def saturates(x, w):
    """True if the kernel for this pair adds products in 16 bits, and cuts them off there.

    The product of two uint8 and int8 ends, twice: 255 * 127 + 255 * 127 does not fit 16 bits. Kernels for
    processors without VNNI instructions add such pairs with saturation. Short and long sums, one row and
    many, may have kernels of their own.
    """
    for qx in (GRIDS[x].qmin, GRIDS[x].qmax):
        for qw in (GRIDS[w].qmin, GRIDS[w].qmax):
            for rows, k, columns in ((1, 2, 1), (1, 64, 16), (8, 64, 16)):
                left, right = (
                    np.full((rows, k), qx, GRIDS[x].dtype),
                    np.full((k, columns), qw, GRIDS[w].dtype),
                )
                zeros = QuantParams(1.0, 0, GRIDS[x]), QuantParams(1.0, 0, GRIDS[w])
                if (matmul_integer(left, right, *zeros) != k * qx * qw).any():
                    return True
    return False


@functools.cache
def conv_saturates(x, w):
    """The same of ConvInteger, which shares the kernels of MatMulInteger but transposes the operands."""
    zeros = QuantParams(1.0, 0, GRIDS[x]), QuantParams(1.0, 0, GRIDS[w])
    for qx in (GRIDS[x].qmin, GRIDS[x].qmax):
        for qw in (GRIDS[w].qmin, GRIDS[w].qmax):
            for channels, kernel in ((2, 1), (64, 1), (16, 3)):
                data = np.full((1, channels, 8, 8), qx, GRIDS[x].dtype)
                weight = np.full((16, channels, kernel, kernel), qw, GRIDS[w].dtype)
                if (conv_integer(data, weight, *zeros) != channels * kernel**2 * qx * qw).any():
                    return True
    return False


def need_exact_kernel(x, w, found=saturates):
    if found(x, w):
        pytest.skip(
            f"ONNX Runtime's {x} x {w} kernel on this processor (no VNNI?) "
            "saturates pairs of products at 16 bits"
        )
