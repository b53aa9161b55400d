"""A model as nodes that know their neighbours; constants and normalizations folded; sessions that run it.

Not covered: what lies inside If, Loop and Scan, which stays as it is.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

Array = NDArray[Any]
Batch = Mapping[str, Any]
Model = onnx.ModelProto | str | os.PathLike[str]

OPSET = 13  # the first whose DequantizeLinear has an axis
LAYERS = ("Conv", "Gemm", "MatMul")  # what can be quantized
SHAPES = ("Identity", "Reshape", "Flatten", "Squeeze", "Unsqueeze")  # change no value
_UP_TO_1 = ("Sigmoid", "HardSigmoid", "Softmax")  # far from 1 they round to what float32 has near 1
_RECURRENT = ("LSTM", "GRU", "RNN")
_HEAVY = (*LAYERS, "ConvTranspose", "Einsum", *_RECURRENT)  # what may hold most of the work
_INSIDE = " in a subgraph"
_CODED = ("ConvInteger", "MatMulInteger", "MatMulNBits", "QLinearConv", "QLinearMatMul")
_TYPES = {f"tensor({name})": np.dtype(name) for name in ("float16", "int32", "int64", "uint8", "int8")}
_TYPES |= {"tensor(float)": np.dtype(np.float32), "tensor(double)": np.dtype(np.float64)}  # of inputs
STANDARD = ("", "ai.onnx")
_LARGEST_CONSTANT = 1 << 24  # elements of a constant that is computed beforehand
_RANDOM = ("Random", "Multinomial", "Bernoulli")  # how the names of these operators begin
_TOLERANCE = 1e-3  # of the largest output: folding reorders float32 sums
_CHECK_ROWS = 2  # of random input


def read(model: Model) -> onnx.ModelProto:
    """Return a copy of a model, or what a file holds.

    Raises
    ------
    TypeError
        If it is neither a model nor a path.
    ValueError
        If the file cannot be read.
    """
    if isinstance(model, onnx.ModelProto):
        copy = onnx.ModelProto()
        copy.CopyFrom(model)
        return copy
    if not isinstance(model, str | os.PathLike):
        raise TypeError(f"model must be an onnx.ModelProto or a path, got {type(model).__name__}")
    try:
        return onnx.load(model)
    except OSError as error:
        raise ValueError(f"{os.fspath(model)} cannot be read: {error.strerror or error}") from error
    except Exception as error:  # whatever protobuf raises for a file that is no model
        raise ValueError(f"{os.fspath(model)} is not an ONNX model: {error}") from error


@dataclass
class Graph:
    """The main graph of a model, whose constants are arrays and whose nodes and tensors are found by name.

    Attributes
    ----------
    model : onnx.ModelProto
        Changed in place by what works on it; :meth:`finish` writes the rest back.
    constants : dict of str to ndarray
        Initializers, and the outputs of Constant nodes.
    nodes : list of onnx.NodeProto
        All others, in an order in which they can run.
    """

    model: onnx.ModelProto
    constants: dict[str, Array] = field(default_factory=dict)
    nodes: list[onnx.NodeProto] = field(default_factory=list)

    @classmethod
    def of(cls, model: onnx.ModelProto, opset: int = OPSET) -> Graph:
        """Take a model apart, in an opset at least; it is changed.

        Raises
        ------
        ValueError
            If the model is not valid, or its opset cannot be raised.
        """
        model = _raised(model, opset)
        graph = cls(model)
        graph.constants = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
        names: set[str] = set()
        for i, node in enumerate(model.graph.node):
            if not node.name or node.name in names:
                node.name = f"{node.name or node.op_type}_{i}"
            names.add(node.name)
            value = _constant(node)
            if value is None:
                graph.nodes.append(node)
            else:
                graph.constants[node.output[0]] = value
        inputs = [i for i in model.graph.input if i.name not in graph.constants]
        del model.graph.input[:]
        model.graph.input.extend(inputs)
        return graph

    @property
    def inputs(self) -> list[str]:
        return [i.name for i in self.model.graph.input]

    @property
    def outputs(self) -> list[str]:
        return [o.name for o in self.model.graph.output]

    def producers(self) -> dict[str, onnx.NodeProto]:
        """Return the node that makes each tensor."""
        return {name: node for node in self.nodes for name in node.output if name}

    def consumers(self) -> dict[str, list[onnx.NodeProto]]:
        """Return the nodes that read each tensor directly."""
        found: dict[str, list[onnx.NodeProto]] = defaultdict(list)
        for node in self.nodes:
            for name in dict.fromkeys(node.input):
                found[name].append(node)
        return found

    def seen_outside(self) -> set[str]:
        """Return the tensors that are outputs of the model, or are read inside a subgraph."""
        return {*self.outputs, *(name for node in self.nodes for name in _read_inside(node))}

    def unused(self, stem: str) -> str:
        """Return a name that no tensor and no node has, and that begins with `stem`."""
        taken = {*self.constants, *self.inputs, *(n.name for n in self.nodes)}
        taken |= {name for node in self.nodes for name in node.output}
        number, name = 0, stem
        while name in taken:
            number += 1
            name = f"{stem}_{number}"
        return name

    def layers(self) -> list[onnx.NodeProto]:
        """Return the nodes that can be quantized: Conv, Gemm and MatMul with a constant float weight."""
        return [node for node in self.nodes if self.is_layer(node)]

    def is_layer(self, node: onnx.NodeProto) -> bool:
        if node.op_type not in LAYERS or node.domain not in STANDARD or node.input[0] in self.constants:
            return False
        weight = self.constants.get(node.input[1])
        if weight is None or weight.dtype != np.float32 or not weight.size:
            return False
        if node.op_type == "Gemm":  # alpha and beta would have to be part of the scales
            plain = attribute(node, "alpha", 1.0) == 1 and attribute(node, "beta", 1.0) == 1
            return bool(plain and not attribute(node, "transA", 0) and self._plain_bias(node))
        return weight.ndim >= 2 and self._plain_bias(node)

    def _plain_bias(self, node: onnx.NodeProto) -> bool:
        """Whether the bias is a constant with an entry for each output channel, or missing."""
        if len(node.input) < 3 or not node.input[2]:
            return True
        bias = self.constants.get(node.input[2])
        return bias is not None and bias.size == self.constants[node.input[1]].shape[self.channel_axis(node)]

    def check_layers(self) -> None:
        """Raise ValueError, which says why, if no layer can be quantized, or some have codes already."""
        producers = self.producers()
        for node in self.nodes:
            before = {producers[name].op_type for name in node.input[:2] if name in producers}
            if node.op_type in _CODED or (node.op_type in LAYERS and "DequantizeLinear" in before):
                raise ValueError(
                    f"the model is in codes already, such as the layer {node.name}: take the model in floats "
                    "that it was made from"
                )
        if self.layers():
            return
        reasons = []
        kinds = {str(self.constants[n.input[1]].dtype) for n in self.nodes if self._has_weight(n)}
        if others := kinds - {"float32"}:
            reasons.append(
                f"its weights are {', '.join(sorted(others))}, take the model that it was made from"
            )
        if inside := sum(left.endswith(_INSIDE) for left in self.in_float()):
            reasons.append(f"{inside} lie inside If, Loop or Scan")
        text = "the model has no Conv, Gemm or MatMul with a constant float32 weight"
        raise ValueError(": ".join([text, ", ".join(reasons)]) if reasons else text)

    def _has_weight(self, node: onnx.NodeProto) -> bool:
        return node.op_type in LAYERS and len(node.input) > 1 and node.input[1] in self.constants

    def in_float(self) -> list[str]:
        """Return the operators of all nodes that multiply and cannot be quantized, those in subgraphs too."""
        left = [n.op_type for n in self.nodes if n.op_type in _HEAVY and not self.is_layer(n)]
        inner = [n.op_type for node in self.nodes for n in _nodes_inside(node)]
        return left + [f"{kind}{_INSIDE}" for kind in inner if kind in _HEAVY]

    def recurrent(self) -> list[onnx.NodeProto]:
        """Return the nodes that are computed in float step by step: LSTM, GRU and RNN."""
        return [node for node in self.nodes if node.op_type in _RECURRENT and node.domain in STANDARD]

    def float_bytes(self) -> dict[str, int]:
        """Return how many bytes of float constants each kind of operator reads, the most first."""
        found: dict[str, int] = defaultdict(int)
        counted: set[str] = set()
        for node in self.nodes:
            for name in {*node.input, *_read_inside(node)} & self.constants.keys() - counted:
                counted.add(name)
                if self.constants[name].dtype.kind == "f":
                    found[node.op_type] += self.constants[name].nbytes
        return dict(sorted(found.items(), key=lambda item: -item[1]))

    def channel_axis(self, node: onnx.NodeProto) -> int:
        """Return the axis of a layer's weight along which its outputs lie."""
        weight = self.constants[node.input[1]]
        if node.op_type == "Conv":
            return 0
        if node.op_type == "Gemm":
            return 0 if attribute(node, "transB", 0) else 1
        return weight.ndim - 1

    def finish(self) -> onnx.ModelProto:
        """Write the nodes and the constants that are used into the model, and return it."""
        graph = self.model.graph
        used = {name for node in self.nodes for name in (*node.input, *_read_inside(node))} | set(
            self.outputs
        )
        del graph.node[:]
        graph.node.extend(self.nodes)
        tensors = [numpy_helper.from_array(x, name) for name, x in self.constants.items() if name in used]
        del graph.initializer[:]
        graph.initializer.extend(tensors)
        kept = {name for node in self.nodes for name in node.output}
        shapes = [v for v in graph.value_info if v.name in kept]
        del graph.value_info[:]
        graph.value_info.extend(shapes)
        return self.model


def _raised(model: onnx.ModelProto, opset: int) -> onnx.ModelProto:
    versions = [o.version for o in model.opset_import if o.domain in STANDARD]
    if not versions:
        raise ValueError("the model imports no standard operators")
    if max(versions) >= opset:
        return model
    try:
        raised = onnx.version_converter.convert_version(model, opset)
    except Exception as error:  # the converter raises RuntimeError and others of its own
        raise ValueError(
            f"the model has opset {max(versions)}, and raising it to {opset} failed: {error}"
        ) from error
    raised.ir_version = max(model.ir_version, 10 if opset > OPSET else 7)
    return raised


def maker(
    name: str, producers: Mapping[str, onnx.NodeProto], kinds: Collection[str] = SHAPES
) -> onnx.NodeProto | None:
    """Return the node that makes a tensor, or the one before those of some kinds."""
    node = producers.get(name)
    while node is not None and node.op_type in kinds:
        node = producers.get(node.input[0])
    return node


def attribute(node: onnx.NodeProto, name: str, default: Any) -> Any:
    """Return the value of a node's attribute, or `default`."""
    for a in node.attribute:
        if a.name == name:
            return helper.get_attribute_value(a)
    return default


def _constant(node: onnx.NodeProto) -> Array | None:
    """Return what a Constant node holds, if it is a number or an array of them."""
    if node.op_type != "Constant" or node.domain not in STANDARD:
        return None
    (a,) = node.attribute
    value = helper.get_attribute_value(a)
    if a.name == "value":
        return np.asarray(numpy_helper.to_array(value))
    types = {
        "value_float": np.float32,
        "value_floats": np.float32,
        "value_int": np.int64,
        "value_ints": np.int64,
    }
    return np.array(value, types[a.name]) if a.name in types else None


def _subgraphs(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    for a in node.attribute:
        if a.type == onnx.AttributeProto.GRAPH:
            yield a.g
        yield from a.graphs


def _nodes_inside(node: onnx.NodeProto) -> Iterator[onnx.NodeProto]:
    for graph in _subgraphs(node):
        for inner in graph.node:
            yield inner
            yield from _nodes_inside(inner)


def _read_inside(node: onnx.NodeProto) -> set[str]:
    """Return every name that the subgraphs of a node mention; those of their own among them do no harm."""
    names: set[str] = set()
    for graph in _subgraphs(node):
        for inner in graph.node:
            names |= {*inner.input, *_read_inside(inner)}
        names |= {o.name for o in graph.output}
    return names


# --- folding ------------------------------------------------------------------------------------------------


def fold(model: Model, *, check: Iterable[Batch] | None = None) -> onnx.ModelProto:
    """Return a model that computes the same with fewer nodes: constants computed, normalizations folded.

    Parameters
    ----------
    model : onnx.ModelProto or path
        Left as it is.
    check : iterable of dict of str to array_like, optional
        Inputs on which both models are compared, without the engine's own optimization. Without it, random
        ones of the shapes that the model states (where it states none, 2 rows and 32 of all else).

    Returns
    -------
    onnx.ModelProto
        In opset 13 or higher. A batch normalization, or a constant that is added to or multiplied with each
        channel, becomes part of the convolution before it. The tensors that remain have their names.

    Raises
    ------
    TypeError
        If `model` is neither a model nor a path.
    ValueError
        If the model cannot be read or raised to opset 13, or the folded one gives another result on `check`.

    Examples
    --------
    >>> from quantnotes import samples
    >>> folded = fold(samples.path("text_direction.onnx"))
    >>> "BatchNormalization" in {node.op_type for node in folded.graph.node}
    False
    """
    original = read(model)
    folded = folded_graph(original).finish()
    _compare(original, folded, check)
    return folded


def folded_graph(model: Model, opset: int = OPSET) -> Graph:
    """Return the graph of a model with constants and normalizations folded, unchecked."""
    graph = Graph.of(read(model), opset)
    _compute_constants(graph)
    _fold_affine(graph)
    return graph


def _compute_constants(graph: Graph) -> None:
    """Replace nodes that read constants alone by what they give."""
    left = []
    protected = set(graph.outputs)
    for node in graph.nodes:
        known = all(not name or name in graph.constants for name in node.input) and len(node.input) > 0
        simple = known and not node.op_type.startswith(_RANDOM) and not any(True for _ in _subgraphs(node))
        values = _computed(node, graph) if simple and not protected & set(node.output) else None
        if values is None:
            left.append(node)
        else:
            graph.constants |= values
    graph.nodes = left


def _computed(node: onnx.NodeProto, graph: Graph) -> dict[str, Array] | None:
    from onnx.reference import ReferenceEvaluator

    if node.domain not in STANDARD or node.op_type in ("DequantizeLinear", "QuantizeLinear"):
        return None
    inputs = {name: graph.constants[name] for name in node.input if name}
    if sum(x.size for x in inputs.values()) > _LARGEST_CONSTANT:
        return None
    infos = [
        helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(x.dtype), x.shape)
        for n, x in inputs.items()
    ]
    names = [name for name in node.output if name]
    outs = [helper.make_empty_tensor_value_info(name) for name in names]
    small = helper.make_model(
        helper.make_graph([node], "constant", infos, outs), opset_imports=graph.model.opset_import
    )
    try:
        values = ReferenceEvaluator(small).run(names, inputs)
    except Exception:  # an operator that the reference does not know stays as it is
        return None
    if any(not isinstance(v, np.ndarray | np.generic) or np.size(v) > _LARGEST_CONSTANT for v in values):
        return None
    return {name: np.asarray(v) for name, v in zip(names, values, strict=True)}


def _fold_affine(graph: Graph) -> None:
    """Fold what multiplies and adds one number for each channel into the Conv or Gemm before it."""
    outside, producers, consumers = graph.seen_outside(), graph.producers(), graph.consumers()
    gone: set[int] = set()
    for node in graph.nodes:
        found = _affine(node, graph)
        if found is None:
            continue
        source, scale, shift = found
        layer = producers.get(source)
        if layer is None or layer.op_type not in ("Conv", "Gemm") or not graph.is_layer(layer):
            continue
        if source in outside or len(consumers[source]) > 1:
            continue
        axis, weight = graph.channel_axis(layer), graph.constants[layer.input[1]]
        if not _fit(scale, node, weight, axis):
            continue
        _scale_layer(graph, layer, axis, scale, shift)
        layer.output[0] = node.output[0]
        producers[node.output[0]] = layer
        gone.add(id(node))
    graph.nodes = [node for node in graph.nodes if id(node) not in gone]


def _affine(node: onnx.NodeProto, graph: Graph) -> tuple[str, Array, Array] | None:
    """Return what a node reads, multiplies by and adds, if these are constants."""
    if node.domain not in STANDARD:
        return None
    if node.op_type == "BatchNormalization":
        params = [graph.constants.get(name) for name in node.input[1:5]]
        if (
            attribute(node, "training_mode", 0)
            or sum(bool(o) for o in node.output) > 1
            or any(p is None for p in params)
        ):
            return None
        gamma, beta, mean, variance = (np.asarray(p, np.float64) for p in params)
        scale = gamma / np.sqrt(variance + attribute(node, "epsilon", 1e-5))
        return node.input[0], scale, beta - mean * scale
    if node.op_type in ("Add", "Mul") and len(node.input) == 2:
        for source, other in (node.input, node.input[::-1]):
            if other in graph.constants and source not in graph.constants:
                value = graph.constants[other].astype(np.float64)
                if node.op_type == "Add":
                    return source, np.ones_like(value), value
                return source, value, np.zeros_like(value)
    return None


def _fit(scale: Array, node: onnx.NodeProto, weight: Array, axis: int) -> bool:
    """Whether the numbers are one for each channel of the layer's output, or one for all."""
    if node.op_type == "BatchNormalization":
        return True
    shape = (1,) * (weight.ndim - scale.ndim) + scale.shape
    return len(shape) == weight.ndim and scale.size == shape[1] and scale.size in (1, weight.shape[axis])


def _scale_layer(graph: Graph, layer: onnx.NodeProto, axis: int, scale: Array, shift: Array) -> None:
    """Give a layer a weight and a bias of its own, multiplied and shifted."""
    weight = graph.constants[layer.input[1]]
    channels = weight.shape[axis]
    bias = graph.constants[layer.input[2]] if len(layer.input) > 2 and layer.input[2] else np.zeros(channels)
    factor = np.broadcast_to(scale.ravel(), channels)
    wide = factor.reshape([channels if i == axis else 1 for i in range(weight.ndim)])
    new = {
        "weight": (weight.astype(np.float64) * wide).astype(weight.dtype),
        "bias": (bias.ravel().astype(np.float64) * factor + shift.ravel()).astype(weight.dtype),
    }
    names = []
    for (part, value), old in zip(new.items(), [*layer.input[1:], ""][:2], strict=True):
        alone = old and sum(list(node.input).count(old) for node in graph.nodes) == 1
        name = old if alone else graph.unused(f"{layer.name}_{part}")
        graph.constants[name] = value
        names.append(name)
    del layer.input[1:]
    layer.input.extend(names)


def _compare(original: onnx.ModelProto, folded: onnx.ModelProto, check: Iterable[Batch] | None) -> None:
    """Raise ValueError where the two give different results, each run as it is written."""
    batches = _random_inputs(original) if check is None else check
    before, after = (session(model, optimize=False) for model in (original, folded))
    producers = {name: node for node in original.graph.node for name in node.output}
    makers = {output.name: maker(output.name, producers) for output in original.graph.output}
    for batch in batches:
        try:
            wanted = run(before, batch)
        except ValueError as error:
            if check is None:
                raise ValueError(
                    f"{error}: these inputs were random, pass some of its own as check"
                ) from None
            raise
        for (name, node), a, b in zip(makers.items(), wanted, run(after, batch), strict=True):
            if not isinstance(a, np.ndarray) or a.dtype.kind != "f":
                continue
            largest = float(np.abs(a[np.isfinite(a)]).max(initial=0))
            least = 1e-3 if node is not None and node.op_type in _UP_TO_1 else 1e-6
            room = _TOLERANCE * max(largest, least)
            if a.shape != b.shape or not np.allclose(a, b, rtol=0, atol=room, equal_nan=True):
                raise ValueError(f"folding changes the output {name}: the model is left as it is")


def _random_inputs(model: onnx.ModelProto) -> list[dict[str, Array]]:
    """Return a batch of noise, or none where the model wants something else than floats."""
    rng, batch = np.random.default_rng(0), {}
    constants = {t.name for t in model.graph.initializer}
    for info in model.graph.input:
        if info.name in constants:
            continue
        tensor = info.type.tensor_type
        if tensor.elem_type != onnx.TensorProto.FLOAT:
            return []
        dims = [
            d.dim_value if d.dim_value > 0 else (32 if i else _CHECK_ROWS)
            for i, d in enumerate(tensor.shape.dim)
        ]
        batch[info.name] = rng.standard_normal(dims).astype(np.float32)
    return [batch]


# --- running ------------------------------------------------------------------------------------------------


def session(model: Model, *, exact: bool = True, optimize: bool = True, threads: int | None = None) -> Any:
    """Return an ONNX Runtime session on the CPU that quantizes nothing that the model leaves in float.

    Parameters
    ----------
    model : onnx.ModelProto or path
    exact : bool, default True
        Ask for integer kernels whose sums cannot overflow: on processors without VNNI instructions the fast
        ones add pairs of products in 16 bits with saturation.
    optimize : bool, default True
        Let the engine fuse nodes. Two things are switched off either way: its optimizer
        "WeightBiasQuantization", which quantizes float weights that lie between codes, and the rounding of
        activations to 8 bits where 4-bit weights are decoded in groups.
    threads : int, optional
        As many threads; by default as the engine likes.

    Returns
    -------
    onnxruntime.InferenceSession

    Raises
    ------
    ModuleNotFoundError
        If onnxruntime is not installed.
    ValueError
        If the engine does not accept the model.
    """
    import onnxruntime

    runtime: Any = onnxruntime
    options = runtime.SessionOptions()
    options.log_severity_level = 4
    levels = runtime.GraphOptimizationLevel
    options.graph_optimization_level = levels.ORT_ENABLE_ALL if optimize else levels.ORT_DISABLE_ALL
    if threads is not None:
        options.intra_op_num_threads = threads
    # Together the two entries choose kernels that ONNX Runtime 1.32 does not have for int8 activations.
    options.add_session_config_entry("session.qdq_matmulnbits_accuracy_level", "0")
    entry = "session.x64quantprecision" if exact else "session.qdqisint8allowed"
    options.add_session_config_entry(entry, "1")
    source = model.SerializeToString() if isinstance(model, onnx.ModelProto) else os.fspath(model)
    try:
        return runtime.InferenceSession(
            source,
            options,
            providers=["CPUExecutionProvider"],
            disabled_optimizers=["WeightBiasQuantization"],
        )
    except Exception as error:  # onnxruntime's own exceptions share no base class
        raise ValueError(f"ONNX Runtime does not accept the model: {error}") from error


def run(session: Any, batch: Batch, names: list[str] | None = None) -> list[Array]:
    """Run a session on a batch, given as a dict, and return the outputs named, or all.

    Raises
    ------
    TypeError
        If the batch is not a mapping.
    ValueError
        If an input is missing, is unknown, or does not fit.
    """
    if not isinstance(batch, Mapping):
        raise TypeError(f"a batch must be a dict of input names to arrays, got {type(batch).__name__}")
    wanted = {i.name: i for i in session.get_inputs()}
    if missing := wanted.keys() - batch.keys():
        raise ValueError(f"a batch lacks the inputs {', '.join(sorted(missing))}; it has {', '.join(batch)}")
    feed = {name: _as_wanted(np.asarray(batch[name]), wanted[name].type) for name in wanted}
    if names is not None and not names:  # the engine takes an empty list for all
        return []
    try:
        found: list[Array] = session.run(names, feed)
    except Exception as error:  # onnxruntime's own exceptions share no base class
        wrong = [_misfit(i, feed[name]) for name, i in wanted.items() if not _fits(i.shape, feed[name].shape)]
        reason = "; ".join(wrong) or error
        raise ValueError(f"the model does not run on a batch: {reason}") from error
    return found


def _fits(stated: list[Any], shape: tuple[int, ...]) -> bool:
    """Whether an array has the sizes that an input states; names stand for any."""
    return len(stated) == len(shape) and all(
        not isinstance(n, int) or n == m for n, m in zip(stated, shape, strict=True)
    )


def _misfit(info: Any, x: Array) -> str:
    wanted = ", ".join(str(n) for n in info.shape)
    text = f"{info.name} has the shape {x.shape}, and the model takes ({wanted})"
    return f"{text}: batches of {info.shape[0]}" if _fits(info.shape[1:], x.shape[1:]) else text


def _as_wanted(x: Array, wanted: str) -> Array:
    """Return an array in the type that an input has: floats from floats, integers from integers."""
    dtype = _TYPES.get(wanted, x.dtype)
    both = {x.dtype.kind, dtype.kind}
    if both == {"f"}:
        with np.errstate(over="ignore"):  # an infinity is found where ranges are taken
            return x.astype(dtype, copy=False)
    if both <= {"i", "u"} and np.array_equal(x, cast := x.astype(dtype, copy=False)):
        return cast
    return x


def with_outputs(model: onnx.ModelProto, names: Iterable[str]) -> onnx.ModelProto:
    """Return a copy of a model that gives some of its tensors as well."""
    copy = read(model)
    there = {o.name for o in copy.graph.output}
    copy.graph.output.extend(helper.make_empty_tensor_value_info(n) for n in names if n not in there)
    return copy
