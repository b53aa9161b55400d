"""A float model written in codes: QuantizeLinear and DequantizeLinear where an engine makes integers of them.

A layer gets codes for its input, its weight, its bias and its output. The output's stand behind a ReLU, which
the clip of the codes then replaces; a Gemm or MatMul has none where no layer reads it, so that the answer is
not rounded. Everything else stays in float. Codes may be float8: then an engine
without products in float8 decodes them, and multiplies in float32. Not covered: codes for what lies between
layers, and formats below 8 bits but INT4.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Literal

import ml_dtypes
import numpy as np
import onnx
from numpy.typing import ArrayLike, NDArray
from onnx import helper

from quantnotes.calibration import choose_range, make_params
from quantnotes.codebook import Codebook, Codes, check_codes
from quantnotes.formats import E4M3, E4M3FNUZ, E5M2, E5M2FNUZ
from quantnotes.grid import INT8, UINT8, IntGrid
from quantnotes.mapping import QuantParams, dequantize
from quantnotes.mapping import quantize as quantize_array
from quantnotes.onnx_model.graph import OPSET, Graph, Model, attribute, folded_graph, maker
from quantnotes.onnx_model.observation import Observation, axis_of_channels, is_relu, output_of, ranges
from quantnotes.ranges import Range

Array = NDArray[Any]
Parts = Literal["both", "weights", "activations"]

_BIAS_LIMIT = 2**30  # of a bias in units of Sx Sw: the rest of int32 is for the products
_MICROSOFT = "com.microsoft"  # the domain of ONNX Runtime's own operators
_WIDE = 21  # the opset that brought codes of 16 and of 4 bits, and blocks; float8 is in it too
_FLOAT8: dict[Codes, Any] = {  # what ONNX Runtime decodes on a CPU, and how NumPy stores it
    E4M3: ml_dtypes.float8_e4m3fn,
    E5M2: ml_dtypes.float8_e5m2,
    E4M3FNUZ: ml_dtypes.float8_e4m3fnuz,
    E5M2FNUZ: ml_dtypes.float8_e5m2fnuz,
}


@dataclass(frozen=True)
class _Plan:
    """What to write, for all layers alike."""

    activations: Codes
    weights: Codes
    weight_method: str | None
    per_channel: bool
    block_size: int | None
    matmul_nbits: bool
    parts: Parts
    correct: bool


def quantize(
    model: Model,
    observation: Observation | None,
    *,
    method: str = "mse",
    activations: Codes = UINT8,
    weights: Codes = INT8,
    weight_method: str | None = None,
    per_channel: bool = True,
    block_size: int | None = None,
    matmul_nbits: bool = False,
    keep_float: Collection[str] = (),
    bias_correction: bool = False,
    parts: Parts = "both",
    clip_unseen: bool = True,
    recurrent_weights: bool = False,
    float_answers: bool = False,
    **options: Any,
) -> onnx.ModelProto:
    """Return the model with codes for the weights and activations of its Conv, Gemm and MatMul layers.

    Parameters
    ----------
    model : onnx.ModelProto or path
        In floats, as it was loaded, unfolded; it is folded first.
    observation : Observation or None
        What its activations were, of :func:`observe`. None where ``parts="weights"``.
    method : str, default "mse"
        How the activations' ranges are chosen, see :func:`quantnotes.choose_range`; options likewise.
    activations : IntGrid or FloatFormat, default UINT8
        Codes of the activations: with UINT8, INT8 or UINT16 asymmetric, with INT16 or a float8 symmetric.
        The float8 are E4M3, E5M2, E4M3FNUZ and E5M2FNUZ of :mod:`quantnotes.formats`; in front of them a Relu
        or Clip is written as Max and Min, which ONNX Runtime's optimizer leaves as they are.
    weights : IntGrid or FloatFormat, default INT8
        Codes of the weights, symmetric: INT8, INT4 or a float8. A bias is in integers if the codes of the
        input and of the weight both are.
    weight_method : str, optional
        How their ranges are chosen; by default "minmax" for 8 bits, "mse" for fewer.
    per_channel : bool, default True
        A scale for each output of a layer, or one for its whole weight.
    block_size : int, optional
        With INT4: how many inputs of an output share a scale, in Gemm and MatMul; with it, activations stay
        in float, and a Conv keeps a scale for each output.
    matmul_nbits : bool, default False
        With `block_size`: write ONNX Runtime's operator MatMulNBits, which decodes the groups while it
        multiplies, for Gemm and MatMul; else DequantizeLinear in blocks, which is standard.
    keep_float : collection of str
        Names of layers (nodes), or of their weights or outputs, that stay in float: input, weight and output.
    bias_correction : bool, default False
        Take the mean error that the rounded weight makes on the mean input off the bias.
    parts : {"both", "weights", "activations"}, default "both"
        Quantize one kind alone, to see which one does the harm.
    clip_unseen : bool, default True
        Spend no codes on what the next node cannot see: below -3, hard-swish is 0.
    recurrent_weights : bool, default False
        Store the weights of LSTM, GRU and RNN nodes as INT8, a scale for each row of a direction. They are
        computed in float all the same: the file is smaller, and every run decodes them, which takes time.
    float_answers : bool, default False
        Give no codes to the output of a MatMul behind which no layer follows, also in front of an Add: scores
        that are not rounded. Where all sizes are fixed, ONNX Runtime multiplies it in float.

    Returns
    -------
    onnx.ModelProto

    Raises
    ------
    TypeError
        If an argument has the wrong type.
    ValueError
        If the model has no layer that can be quantized, a name of `keep_float` is not in it, the observation
        is of another model, or a grid is not supported: ONNX Runtime must run it on a CPU.

    Examples
    --------
    >>> from quantnotes import samples
    >>> from quantnotes.onnx_model import observe
    >>> model, x = samples.path("text_direction.onnx"), np.zeros((1, 3, 48, 192), np.float32)
    >>> int8 = quantize(model, observe(model, [{"x": x}]), method="minmax")
    >>> [node.op_type for node in int8.graph.node][:3]
    ['QuantizeLinear', 'DequantizeLinear', 'DequantizeLinear']
    """
    for grid in (activations, weights):
        check_codes(grid)
    plan = _Plan(
        activations,
        weights,
        weight_method,
        per_channel,
        block_size,
        matmul_nbits,
        parts,
        bias_correction,
    )
    _check_plan(plan)
    plain = activations in (UINT8, INT8) and weights.codes > 16 and not isinstance(weights, Codebook)
    graph = folded_graph(model, OPSET if plain else _WIDE)
    stored = graph.recurrent() if recurrent_weights else []
    chosen = chosen_layers(graph, keep_float, stored)
    writer = _Writer(graph, plan, observation, {layer.name for layer in chosen})
    if plan.parts != "weights" and plan.block_size is None:
        if observation is None:
            raise ValueError('observation is None: only parts="weights" needs none')
        ends = _ends(graph) if float_answers else set()
        writer.choose_activations(chosen, method, clip_unseen, ends, options)
    for layer in chosen:
        writer.quantize_layer(layer)
    if parts != "activations":
        for node in stored:
            if node.name not in keep_float:
                writer.store_recurrent(node)
    return writer.finish()


def _check_plan(plan: _Plan) -> None:
    if plan.parts not in ("both", "weights", "activations"):
        raise ValueError(f'parts must be "both", "weights" or "activations", got {plan.parts!r}')
    x, w = plan.activations, plan.weights
    for name, grid in (("activations", x), ("weights", w)):
        if isinstance(grid, Codebook) and grid not in _FLOAT8:
            runs = ", ".join(map(str, _FLOAT8))
            raise ValueError(f"{name} must be integers or float8: ONNX Runtime runs {runs}; got {grid}")
    if isinstance(x, IntGrid) and x.codes not in (256, 2**16):
        raise ValueError(f"activations must have 8 or 16 bits, got {x}")
    if isinstance(w, IntGrid) and (w.qmin >= 0 or w.codes not in (15, 16, 255, 256)):
        raise ValueError(f"weights must be INT8, INT4 or a float8, got {w}")
    if plan.block_size is not None and (w.codes > 16 or plan.block_size < 16):
        raise ValueError(f"block_size goes with INT4 weights and is at least 16, got {plan.block_size}")
    if plan.matmul_nbits and (plan.block_size is None or plan.block_size & (plan.block_size - 1)):
        raise ValueError(f"matmul_nbits needs block_size, a power of two; got {plan.block_size}")


def chosen_layers(
    graph: Graph, keep_float: Collection[str], others: Iterable[onnx.NodeProto] = ()
) -> list[onnx.NodeProto]:
    """Return the layers to quantize; `keep_float` may name `others` as well."""
    if isinstance(keep_float, str):
        raise TypeError(f"keep_float must be a collection of names, got the string {keep_float!r}")
    graph.check_layers()
    layers, kept, known = [], set(keep_float), set()
    for layer in graph.layers():
        names = {layer.name, layer.input[1], layer.output[0]}
        known |= names
        if not names & kept:
            layers.append(layer)
    unknown = kept - known - {node.name for node in others}
    if anyway := unknown & {node.name for node in graph.nodes}:
        raise ValueError(f"keep_float names {', '.join(sorted(anyway))}, which stays in float anyway")
    if unknown:
        near = {name for each in unknown for name in get_close_matches(each, known, 1)}
        hint = f"; do you mean {', '.join(sorted(near))}?" if near else ""
        raise ValueError(f"keep_float names no layer of the model: {', '.join(sorted(unknown))}{hint}")
    return layers


class _Writer:
    """A graph on its way to codes."""

    def __init__(self, graph: Graph, plan: _Plan, observation: Observation | None, chosen: set[str]) -> None:
        self.graph, self.plan, self.observation = graph, plan, observation
        self.kept = {layer.name for layer in graph.layers()} - chosen  # these read tensors as they are
        self.params: dict[str, QuantParams] = {}  # of activations
        self.before: dict[str, list[onnx.NodeProto]] = {}  # nodes that go in front of a node, by its name
        self.decoded: dict[str, str] = {}  # an activation, and the same decoded from codes
        self.origin: dict[str, str] = {}  # the other way round
        self.microsoft = False  # whether an operator of ONNX Runtime's own is used

    # --- activations ---

    def choose_activations(
        self,
        layers: list[onnx.NodeProto],
        method: str,
        clip_unseen: bool,
        ends: set[str],
        options: dict[str, Any],
    ) -> None:
        """Choose S and Z of everything that goes into or comes out of the layers; `ends` may give floats."""
        assert self.observation is not None
        consumers, grid = self.graph.consumers(), self.plan.activations
        names = dict.fromkeys(layer.input[0] for layer in layers)
        for layer in layers:
            if layer.name not in ends and not _may_write_floats(layer, consumers):
                names[output_of(layer, consumers, self.graph)] = None
        if missing := [n for n in names if n not in self.observation.histograms]:
            raise ValueError(f"the observation is of another model: it has no tensor {missing[0]}")
        wide = isinstance(grid, IntGrid) and grid.codes > 256 and grid.qmin < 0
        scheme: Any = "symmetric" if wide or isinstance(grid, Codebook) else "asymmetric"
        for name, bounds in ranges(
            self.observation, method, grid, scheme, names=list(names), **options
        ).items():
            if clip_unseen:
                bounds = seen(bounds, consumers.get(name, []), self.graph)
            self.params[name] = make_params(bounds, grid, scheme)

    def code_activation(self, name: str, readers: set[str]) -> None:
        """Put codes behind a tensor, and let the nodes named read what they decode to."""
        params = self.params[name]
        if name not in self.decoded:
            codes, back = (self.graph.unused(f"{name}_{kind}") for kind in ("codes", "decoded"))
            scale, zero = self._constants(name, params)
            nodes = [
                helper.make_node("QuantizeLinear", [name, scale, zero], [codes], f"{codes}_Q"),
                helper.make_node("DequantizeLinear", [codes, scale, zero], [back], f"{back}_DQ"),
            ]
            self.decoded[name], self.origin[back] = back, name
            if isinstance(params.grid, Codebook):
                self._write_out_bounds(name)
            self._insert_behind(name, nodes)
        for node in self.graph.nodes:
            if node.name in readers:
                for i, source in enumerate(node.input):
                    if source == name:
                        node.input[i] = self.decoded[name]

    def _write_out_bounds(self, name: str) -> None:
        """Write the Relu or Clip that makes a tensor as Max and Min.

        In front of float8 codes ONNX Runtime 1.32 drops a Relu, as if the codes were uint8, and does not load
        a Clip.
        """
        at, bound_by = next(((i, n) for i, n in enumerate(self.graph.nodes) if name in n.output), (0, None))
        if bound_by is None or bound_by.op_type not in ("Relu", "Clip"):
            return
        source, low, high = [*bound_by.input, "", ""][:3]
        if bound_by.op_type == "Relu":
            low = self._store(f"{name}_least", np.asarray(0, np.float32))
        nodes = []
        for kind, bound in (("Max", low), ("Min", high)):
            if bound:
                bounded = self.graph.unused(f"{name}_{kind}")
                nodes.append(helper.make_node(kind, [source, bound], [bounded], bounded))
                source = bounded
        nodes.append(helper.make_node("Identity", [source], [name], f"{name}_bounded"))
        self.graph.nodes[at : at + 1] = nodes

    def _constants(self, name: str, params: QuantParams) -> tuple[str, str]:
        return (
            self._store(f"{name}_scale", np.asarray(params.scale, np.float32)),
            self._store(f"{name}_zero_point", _as_stored(np.asarray(params.zero_point), params.grid)),
        )

    def _insert_behind(self, name: str, nodes: list[onnx.NodeProto]) -> None:
        """Insert nodes behind the one that makes a tensor, or at the beginning."""
        at = next((i + 1 for i, node in enumerate(self.graph.nodes) if name in node.output), 0)
        self.graph.nodes[at:at] = nodes

    # --- layers ---

    def quantize_layer(self, layer: onnx.NodeProto) -> None:
        """Give a layer codes for what goes in, its weight, its bias and what comes out."""
        source = self.origin.get(layer.input[0], layer.input[0])  # the layer before may have coded it
        x = self.params.get(source)
        out = output_of(layer, self.graph.consumers(), self.graph)
        if x is not None:
            self.code_activation(source, {layer.name})
        if self.plan.parts != "activations":
            axis = self.graph.channel_axis(layer)
            weight = self.graph.constants[layer.input[1]]
            if self.plan.matmul_nbits and layer.op_type != "Conv" and weight.ndim == 2:
                self._write_matmul_nbits(layer, axis, source)
            else:
                w, weight = self._quantize_weight(layer, x)
                self._quantize_bias(layer, axis, source, weight, x, w)
        if out in self.params:
            readers = {n.name for n in self.graph.nodes if out in n.input and n.op_type != "QuantizeLinear"}
            if readers - self.kept:
                self.code_activation(out, readers - self.kept)

    def _quantize_weight(self, layer: onnx.NodeProto, x: QuantParams | None) -> tuple[QuantParams, Array]:
        """Store the weight as codes, and return its parameters and what it was."""
        weight, plan = self.graph.constants[layer.input[1]], self.plan
        params = weight_params(
            self.graph, layer, plan.weights, plan.weight_method, plan.per_channel, plan.block_size
        )
        if x is not None and _are_integers(x, params) and len(layer.input) > 2 and layer.input[2]:
            params = _with_room(params, self.graph.constants[layer.input[2]], x)
        where = {"axis": params.axis, "block_size": params.block_size}
        options = {key: value for key, value in where.items() if value is not None}
        codes, stem = quantize_array(weight, params), f"{layer.name}_weight"
        layer.input[1] = self._decode_stored(layer, stem, codes, params.scale, params.grid, options)
        return params, weight

    def store_recurrent(self, node: onnx.NodeProto) -> None:
        """Store the two weights of a recurrent node, (directions, rows, inputs), as INT8."""
        axes = (0, 1)
        for i, part in ((1, "weight"), (2, "recurrence")):
            weight = self.graph.constants.get(node.input[i])
            if weight is None or weight.dtype != np.float32:
                continue
            bounds = choose_range("minmax", weight, INT8, "symmetric", axis=axes)
            params = make_params(bounds, INT8, "symmetric", axis=axes)
            rows = quantize_array(weight, params).reshape(-1, weight.shape[2])
            stem = f"{node.name}_{part}"
            decoded = self._decode_stored(node, stem, rows, np.ravel(params.scale), INT8, {"axis": 0})
            shape = self._store(f"{stem}_shape", np.array(weight.shape))
            node.input[i] = self.graph.unused(f"{stem}_whole")
            whole = helper.make_node("Reshape", [decoded, shape], [node.input[i]], node.input[i])
            self.before[node.name].append(whole)

    def _write_matmul_nbits(self, layer: onnx.NodeProto, axis: int, source: str) -> None:
        """Turn a layer into MatMulNBits: codes plus 8, two a byte, the groups of an output in a row.

        The low half of a byte is the first of two neighbours along the inputs. The last group of an output is
        filled up with 8, the code of 0.
        """
        weight, plan = self.graph.constants[layer.input[1]], self.plan
        params = weight_params(
            self.graph, layer, plan.weights, plan.weight_method, plan.per_channel, plan.block_size
        )
        self._add_bias_behind(layer, axis, source, weight, params)
        rows, scale = quantize_array(weight, params), np.asarray(params.scale, np.float32)
        if axis == 1:
            rows, scale = rows.T, scale.T
        (outputs, inputs), groups, size = rows.shape, scale.shape[1], plan.block_size or 1
        codes = np.full((outputs, groups * size), 8, np.uint8)
        codes[:, :inputs] = rows + 8
        packed = (codes[:, ::2] | codes[:, 1::2] << 4).reshape(outputs, groups, size // 2)
        tensors = [
            self._store(f"{layer.name}_weight_codes", packed),
            self._store(f"{layer.name}_weight_scale", scale.ravel()),
        ]
        sizes = {"K": inputs, "N": outputs, "bits": 4, "block_size": size}
        made = helper.make_node(
            "MatMulNBits", [layer.input[0], *tensors], layer.output, layer.name, domain=_MICROSOFT, **sizes
        )
        layer.CopyFrom(made)
        self.microsoft = True

    def _add_bias_behind(
        self, layer: onnx.NodeProto, axis: int, source: str, weight: Array, w: QuantParams
    ) -> None:
        """Move a layer's bias, corrected if that is wanted, into an Add behind it."""
        has = len(layer.input) > 2 and layer.input[2]
        bias = self.graph.constants[layer.input[2]].ravel() if has else np.zeros(weight.shape[axis])
        if self.plan.correct:
            bias = bias - self._mean_error(layer, axis, source, weight, w)
        if has or self.plan.correct:
            self._add_behind(layer, bias.astype(np.float32))

    def _quantize_bias(
        self,
        layer: onnx.NodeProto,
        axis: int,
        source: str,
        weight: Array,
        x: QuantParams | None,
        w: QuantParams,
    ) -> None:
        """Store the bias, corrected if that is wanted: as int32 in units of Sx Sw behind integer codes."""
        has = len(layer.input) > 2 and layer.input[2]
        bias = np.zeros(weight.shape[axis])
        if has:
            bias = self.graph.constants[layer.input[2]].ravel().astype(np.float64)
        if self.plan.correct:
            bias = bias - self._mean_error(layer, axis, source, weight, w)
        elif not has:
            return
        if layer.op_type == "MatMul":  # has no bias; the correction is added behind it
            self._add_behind(layer, bias.astype(np.float32))
            return
        del layer.input[2:]
        if x is None or w.block_size is not None or not _are_integers(x, w):
            layer.input.append(self._store(f"{layer.name}_bias", bias.astype(np.float32)))
            return
        scale = np.float32(x.scale) * np.asarray(w.scale, np.float32)
        codes = np.rint(bias / scale.astype(np.float64)).astype(np.int32)  # fits: see `_with_room`
        names = [
            self._store(f"{layer.name}_bias_codes", codes),
            self._store(f"{layer.name}_bias_scale", scale),
        ]
        layer.input.append(self._decode(layer, f"{layer.name}_bias", names, {"axis": 0}))

    def _store(self, stem: str, value: Array) -> str:
        """Store a constant under a name of its own, and return the name."""
        name = self.graph.unused(stem)
        self.graph.constants[name] = value
        return name

    def _decode_stored(
        self,
        node: onnx.NodeProto,
        stem: str,
        codes: Array,
        scale: ArrayLike,
        grid: Codes,
        where: dict[str, Any],
    ) -> str:
        """Store a symmetric weight as codes, and return the name of what decodes it in front of a node."""
        names = [
            self._store(f"{stem}_codes", _as_stored(codes, grid)),
            self._store(f"{stem}_scale", np.asarray(scale, np.float32)),
            self._store(f"{stem}_zero_point", _as_stored(np.zeros(np.shape(scale)), grid)),
        ]
        return self._decode(node, stem, names, where)

    def _decode(self, layer: onnx.NodeProto, stem: str, inputs: list[str], options: dict[str, Any]) -> str:
        """Put a DequantizeLinear in front of a layer, and return the name of what it gives."""
        name = self.graph.unused(f"{stem}_decoded")
        node = helper.make_node("DequantizeLinear", inputs, [name], f"{name}_DQ", **options)
        self.before.setdefault(layer.name, []).append(node)
        return name

    def _mean_error(
        self, layer: onnx.NodeProto, axis: int, source: str, weight: Array, w: QuantParams
    ) -> Array:
        """Return what the rounded weight adds to each output in the mean, on the mean input."""
        seen = self.observation
        mean = None if seen is None else seen.mean(source, axis_of_channels(layer))
        if mean is None:
            raise ValueError(f"bias_correction needs the mean input of {layer.name}, which was not observed")
        error = dequantize(quantize_array(weight, w), w, dtype=np.float64) - weight
        rows = np.moveaxis(error, axis, 0)
        if layer.op_type != "Conv":
            return np.asarray(rows.reshape(len(rows), -1) @ mean)
        taps = rows.sum(axis=tuple(range(2, rows.ndim)))  # (outputs, inputs of a group)
        groups = attribute(layer, "group", 1)
        inputs = mean.reshape(groups, -1).repeat(len(rows) // groups, axis=0)
        return np.asarray((taps * inputs).sum(axis=1))

    def _add_behind(self, layer: onnx.NodeProto, value: Array) -> None:
        name, raw = (
            self.graph.unused(f"{layer.name}_correction"),
            self.graph.unused(f"{layer.name}_uncorrected"),
        )
        self.graph.constants[name] = value
        node = helper.make_node("Add", [raw, name], [layer.output[0]], f"{layer.name}_corrected")
        layer.output[0] = raw
        self._insert_behind(raw, [node])

    def finish(self) -> onnx.ModelProto:
        """Put the nodes in front of the layers in their places, and return the model."""
        nodes = []
        for node in self.graph.nodes:
            nodes += [*self.before.get(node.name, []), node]
        self.graph.nodes = nodes
        model = self.graph.finish()
        model.producer_name = "quantnotes"
        if self.microsoft and _MICROSOFT not in {o.domain for o in model.opset_import}:
            model.opset_import.append(helper.make_opsetid(_MICROSOFT, 1))
        return model


def _ends(graph: Graph) -> set[str]:
    """Return the names of the MatMul layers behind which no layer follows."""
    behind: set[str] = set()  # tensors that a layer needs
    found = set()
    for node in reversed(graph.nodes):
        layer, leads = graph.is_layer(node), not behind.isdisjoint(node.output)
        if layer and not leads and node.op_type == "MatMul":
            found.add(node.name)
        if layer or leads:
            behind.update(node.input)
    return found


def _may_write_floats(layer: onnx.NodeProto, consumers: dict[str, list[onnx.NodeProto]]) -> bool:
    """Whether an integer kernel of ONNX Runtime gives floats: then only a layer behind it asks for codes.

    A convolution of codes gives codes alone, and of a MatMul with an Add behind it version 1.32 makes a Gemm
    in floats.
    """
    readers = consumers.get(layer.output[0], [])
    return layer.op_type == "Gemm" or (
        layer.op_type == "MatMul" and all(reader.op_type != "Add" for reader in readers)
    )


def weight_params(
    graph: Graph,
    layer: onnx.NodeProto,
    weights: Codes = INT8,
    weight_method: str | None = None,
    per_channel: bool = True,
    block_size: int | None = None,
) -> QuantParams:
    """Return the parameters of a layer's weight, symmetric: see :func:`quantize`."""
    weight, axis = graph.constants[layer.input[1]], graph.channel_axis(layer)
    where: dict[str, Any] = {"axis": axis} if per_channel else {}
    if block_size is not None and layer.op_type != "Conv" and weight.ndim == 2:
        where = {"axis": 1 - axis, "block_size": block_size}
    method = weight_method or ("minmax" if weights.codes > 16 else "mse")
    return make_params(
        choose_range(method, weight, weights, "symmetric", **where), weights, "symmetric", **where
    )


def _are_integers(*params: QuantParams) -> bool:
    return all(isinstance(each.grid, IntGrid) for each in params)


def _as_stored(codes: Array, grid: Codes) -> Array:
    """Return codes in the type that the model's file has for them."""
    if isinstance(grid, Codebook):
        return codes.astype(np.uint8).view(_FLOAT8[grid])
    return codes.astype(grid.dtype if grid.codes > 16 else "int4")


def _with_room(w: QuantParams, bias: Array, x: QuantParams) -> QuantParams:
    """Raise the scale of an output whose bias would not fit into int32."""
    needed = np.abs(bias.ravel().astype(np.float64)) / (x.scale * _BIAS_LIMIT)
    scale = np.maximum(w.scale, needed.max(initial=0) if w.axis is None else needed)
    return QuantParams(scale, w.zero_point, w.grid, w.axis)


def seen(bounds: Range, readers: list[onnx.NodeProto], graph: Graph) -> Range:
    """Return the part of a range that the nodes behind a tensor can tell apart.

    Below -3 a hard-swish gives 0, whether it is one node or written out as Add, Clip, Mul and Div; outside
    -beta / alpha to (1 - beta) / alpha a HardSigmoid is constant.
    """
    kinds = sorted(node.op_type for node in readers)
    if kinds == ["HardSwish"] or (kinds == ["Add", "Mul"] and _gates(readers, graph)):
        return Range(max(bounds.rmin, -3.0), max(bounds.rmax, 0.0))
    if kinds == ["HardSigmoid"]:
        alpha, beta = attribute(readers[0], "alpha", 0.2), attribute(readers[0], "beta", 0.5)
        low, high = max(bounds.rmin, -beta / alpha), min(bounds.rmax, (1 - beta) / alpha)
        return Range(low, high) if low < high else bounds
    return bounds


def _gates(readers: list[onnx.NodeProto], graph: Graph) -> bool:
    """Whether an Add and a Mul, which read y, make y * max(y + 3, 0) of it, perhaps bounded and divided."""
    add, mul = sorted(readers, key=lambda node: node.op_type)
    total, producers = add.output[0], graph.producers()
    added = [graph.constants[name] for name in add.input if name in graph.constants]
    clips = graph.consumers()[total]
    if not added or added[0].size != 1 or added[0].item() != 3:
        return False
    if total in graph.seen_outside() or len(clips) != 1 or not is_relu(clips[0], graph):
        return False
    return clips[0] in [maker(name, producers, ("Div", "Mul")) for name in mul.input]
