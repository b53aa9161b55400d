"""Which layer is to blame: each layer quantized alone, and a float model beside a quantized one.

Not covered: layers that do harm only together with others.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import onnx
from numpy.typing import NDArray

from quantnotes.onnx_model.graph import (
    SHAPES,
    STANDARD,
    Batch,
    Graph,
    Model,
    attribute,
    folded_graph,
    maker,
    read,
    run,
    session,
    with_outputs,
)
from quantnotes.onnx_model.observation import Observation, output_of
from quantnotes.onnx_model.writing import Parts, quantize, weight_params
from quantnotes.saturation import code_ledger
from quantnotes.tables import Printed

Array = NDArray[Any]


_HARMLESS = (
    "a constant: what the commonest answer, given everywhere, would agree; tensors that stand first may do "
    "no harm, since what no layer sees is clipped: sensitivity ranks layers"
)
_MUCH = 0.05  # of a file
_ROWS = 8  # that a ranking is measured on at least
Answer = int | Literal["each", "any", "none"]  # the axis of the largest, or: see `decisions`


class _Comparison:
    """Sums over batches of what two runs gave for one tensor."""

    def __init__(self, answer: Answer = "none", count: bool = False) -> None:
        self.answer, self.count = answer, count
        self.signal = self.noise = self.dot = self.norm = 0.0
        self.same = self.rows = 0
        self.wanted: Counter[Any] = Counter()  # how often the float model decides what, if wanted

    def add(self, wanted: Array, got: Array) -> None:
        if _is_float(wanted):
            a, b = wanted.astype(np.float64), got.astype(np.float64)
            self.signal += float(np.sum(a * a))
            self.noise += float(np.sum((a - b) ** 2))
            self.dot += float(np.sum(a * b))
            self.norm += float(np.sum(b * b))
        if self.answer != "none" and isinstance(wanted, np.ndarray):
            decided = decisions(wanted, self.answer), decisions(got, self.answer)
            self.same += int(np.count_nonzero(decided[0] == decided[1]))
            self.rows += decided[0].size
            if self.count:
                values, counts = np.unique(decided[0], return_counts=True)
                self.wanted.update(dict(zip(values.tolist(), counts.tolist(), strict=True)))

    @property
    def sqnr_db(self) -> float:
        return 10 * math.log10(self.signal / self.noise) if self.noise and self.signal else math.inf

    @property
    def agreement(self) -> float | None:
        return self.same / self.rows if self.rows else None

    @property
    def constant(self) -> float | None:
        """The agreement of the answer that the float model gives most often."""
        return max(self.wanted.values()) / self.rows if self.wanted else None

    @property
    def cosine(self) -> float:
        length = math.sqrt(self.signal * self.norm)
        return self.dot / length if length else 1.0


def decisions(scores: Array, answer: Answer = "any") -> Array:
    """Return what a tensor of scores decides.

    With an axis as `answer`, which entry along it is the largest. With "each", for every value whether it is
    above 0.5. With "any", integers decide themselves, and other values along axis 1 of images (four axes or
    more), along the last one of the rest; where there is one score alone, whether it is above 0.5.
    """
    x = np.atleast_1d(scores)
    if x.dtype.kind != "f":
        return x
    if answer == "each":
        return np.asarray(x > 0.5)
    axis = answer if isinstance(answer, int) else 1 if x.ndim >= 4 else -1
    return np.asarray(x.argmax(axis) if x.shape[axis] > 1 else x.take(0, axis) > 0.5)


def _least(agreements: Iterable[float | None]) -> float:
    """Return the smallest share of equal decisions, 1 where nothing is decided."""
    return min((share for share in agreements if share is not None), default=1.0)


_LARGEST = ("Softmax", "LogSoftmax", "ArgMax")  # the largest of what goes in is the answer
_MEANS = (*SHAPES, "ReduceMean")  # of probabilities are probabilities


def score_tensors(graph: Graph, outputs: Collection[str] | None = None) -> dict[str, Answer]:
    """Return what to compare at a model's end, and how each of these decides.

    Outputs, all or those named; of a Softmax or ArgMax, what goes in. Where some of them come from these or
    from a Sigmoid, they are the answers, and others, such as states, decide nothing.
    """
    if isinstance(outputs, str):
        raise TypeError(f"outputs must be a collection of names, got the string {outputs!r}")
    if unknown := set(outputs or ()) - set(graph.outputs):
        have = ", ".join(graph.outputs)
        raise ValueError(f"the model has no output {', '.join(sorted(unknown))}; it has {have}")
    producers = graph.producers()
    found: dict[str, Answer] = {}
    for name in outputs or graph.outputs:
        node, mean = (maker(name, producers, kinds) for kinds in (SHAPES, _MEANS))
        answer: Answer = "any"
        if node is not None and node.op_type in _LARGEST:
            answer = attribute(node, "axis", 0 if node.op_type == "ArgMax" else -1)
            name = node.input[0]
            if (before := producers.get(name)) is not None and before.op_type in _LARGEST:
                name = before.input[0]
        elif mean is not None and mean.op_type == "Sigmoid":
            answer = "each"
        found.setdefault(name, answer)
    sure = any(answer != "any" for answer in found.values())
    return {name: "none" if sure and answer == "any" else answer for name, answer in found.items()}


def _as_dict(row: Any) -> dict[str, Any]:
    """Return the fields of a row for JSON, which has no infinity: None stands for it."""
    return {k: None if isinstance(v, float) and math.isinf(v) else v for k, v in vars(row).items()}


def _is_float(x: Any) -> bool:
    return isinstance(x, np.ndarray) and x.dtype.kind == "f"


# --- sensitivity --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class LayerBlame:
    """What one layer does to the model when it alone is quantized: SQNR in dB, inf where nothing changes.

    Attributes
    ----------
    layer, kind, weight : str
        The node's name and operator, and the name of its weight.
    weight_db : float
        Of the weight itself.
    layer_db : float
        At the layer's output.
    output_db, weights_only_db, activations_only_db : float
        At the model's output: both quantized, the weight alone, input and output alone.
    agreement : float
        Share of the decisions at the model's output that are the same.
    weight_bytes : int
        Size of the weight in float.
    """

    layer: str
    kind: str
    weight: str
    weight_db: float
    layer_db: float
    output_db: float
    weights_only_db: float
    activations_only_db: float
    agreement: float
    weight_bytes: int = 0


_HEAD = (
    "layer",
    "weight",
    "output, dB",
    "weight alone",
    "activations alone",
    "agree, %",
    "layer, dB",
    "weight, dB",
    "KB",
)
_LEGEND = (
    "SQNR with one layer in codes: at the model's output (both; its weight alone; its activations alone), "
    "at the layer's own output, of the weight itself; KB of its weight in float"
)


@dataclass(frozen=True, repr=False)
class Sensitivity(Printed):
    """Every layer quantized alone, the worst first. Prints as a table, and renders as HTML.

    Attributes
    ----------
    rows : tuple of LayerBlame
        By the SQNR at the model's output, the least first.
    """

    rows: tuple[LayerBlame, ...]

    @classmethod
    def of(cls, rows: Iterable[LayerBlame]) -> Sensitivity:
        """Return the table of rows in any order, all layers or only some."""
        return cls(tuple(sorted(rows, key=lambda row: row.output_db)))

    def worst(self, count: int) -> list[str]:
        """Return the names of the layers that cost most: what to pass to `keep_float`."""
        return [row.layer for row in self.rows[:count]]

    def to_dicts(self) -> list[dict[str, Any]]:
        """Return the rows for JSON: dicts, infinite values as None."""
        return [_as_dict(row) for row in self.rows]

    def _rows(self) -> Sequence[tuple[str, ...]]:
        return [_HEAD] + [
            (
                row.layer,
                row.weight,
                f"{row.output_db:.1f}",
                f"{row.weights_only_db:.1f}",
                f"{row.activations_only_db:.1f}",
                f"{100 * row.agreement:.1f}",
                f"{row.layer_db:.1f}",
                f"{row.weight_db:.1f}",
                f"{row.weight_bytes / 1000:.1f}",
            )
            for row in self.rows
        ]

    def _notes(self) -> Sequence[str]:
        return [_LEGEND]


def sensitivity(
    model: Model,
    observation: Observation,
    batches: Iterable[Batch],
    *,
    outputs: Collection[str] | None = None,
    progress: Callable[[Sequence[str]], Iterable[str]] = iter,
    **options: Any,
) -> Sensitivity:
    """Quantize each layer alone, and measure what that does to the layer and to the model's output.

    Parameters
    ----------
    model : onnx.ModelProto or path
        In floats, as it was loaded.
    observation : Observation
        Of :func:`observe`.
    batches : iterable of dict of str to array_like
        What to measure on: eight rows or more, since a single one ranks otherwise. They and the float
        model's activations are kept in memory.
    outputs : collection of str, optional
        Which outputs of the model count; by default all.
    progress : callable, optional
        Wraps the names of the layers and yields them in order, as ``tqdm`` does.
    **options
        As for :func:`quantize`, but `keep_float` and `parts`. `recurrent_weights` is not considered.

    Returns
    -------
    Sensitivity

    Raises
    ------
    TypeError, ValueError
        As :func:`quantize`; ValueError if there are no batches, or `outputs` names none of the model.
    """
    alone = layers_alone(model, observation, batches, outputs=outputs, progress=progress, **options)
    return Sensitivity.of(alone)


def layers_alone(
    model: Model,
    observation: Observation,
    batches: Iterable[Batch],
    *,
    outputs: Collection[str] | None = None,
    progress: Callable[[Sequence[str]], Iterable[str]] = iter,
    **options: Any,
) -> Iterator[LayerBlame]:
    """Yield the rows of :func:`sensitivity` as they are measured, in the model's order."""
    graph = folded_graph(model)
    consumers = graph.consumers()
    layers = {node.name: node for node in graph.layers()}
    ends = {name: output_of(node, consumers, graph) for name, node in layers.items()}
    weights = {name: node.input[1] for name, node in layers.items()}
    scores = score_tensors(graph, outputs)
    folded = graph.finish()
    data = list(batches)
    if not data:
        raise ValueError("there are no batches to measure on")
    names = list(dict.fromkeys([*scores, *ends.values()]))
    float_session = session(with_outputs(folded, names))
    wanted = [dict(zip(names, run(float_session, batch, names), strict=True)) for batch in data]

    def measure(name: str, parts: Parts, tensors: list[str]) -> dict[str, _Comparison]:
        others = [other for other in layers if other != name]
        alone = quantize(folded, observation, keep_float=others, parts=parts, **options)
        runner = session(with_outputs(alone, tensors))
        found = {t: _Comparison(scores.get(t, "none")) for t in tensors}
        for batch, expected in zip(data, wanted, strict=True):
            for t, x in zip(tensors, run(runner, batch, tensors), strict=True):
                found[t].add(expected[t], x)
        return found

    again = folded_graph(folded)
    nodes = {node.name: node for node in again.nodes}
    of_weights = {"weights", "weight_method", "per_channel", "block_size"}
    chosen = {key: value for key, value in options.items() if key in of_weights}
    options = {key: value for key, value in options.items() if key != "recurrent_weights"}

    def weight_db(name: str) -> float:
        params = weight_params(again, nodes[name], **chosen)
        return code_ledger(again.constants[weights[name]], params).sqnr_db

    for name in progress(list(layers)):
        tensors = list(dict.fromkeys([*scores, ends[name]]))
        both = measure(name, "both", tensors)
        only = [measure(name, parts, list(scores)) for parts in ("weights", "activations")]
        yield LayerBlame(
            name,
            layers[name].op_type,
            weights[name],
            weight_db(name),
            both[ends[name]].sqnr_db,
            min(both[s].sqnr_db for s in scores),
            min(only[0][s].sqnr_db for s in scores),
            min(only[1][s].sqnr_db for s in scores),
            _least(both[s].agreement for s in scores),
            again.constants[weights[name]].nbytes,
        )


# --- report -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class TensorReport:
    """How far one tensor of the quantized model is from the float one's.

    Attributes
    ----------
    tensor : str
    sqnr_db, cosine : float
    agreement : float or None
        Share of equal decisions, at those of the model's outputs that decide something.
    output : str or None
        The output of the model that it is, or that a softmax makes of it.
    constant : float or None
        Share of the decisions that would be the same if it gave the commonest one everywhere.
    layer : str or None
        The layer that makes it.
    """

    tensor: str
    sqnr_db: float
    cosine: float
    agreement: float | None = None
    output: str | None = None
    constant: float | None = None
    layer: str | None = None

    def _label(self) -> str:
        return self.tensor if self.output in (None, self.tensor) else f"{self.tensor}, before {self.output}"


@dataclass(frozen=True, repr=False)
class Report(Printed):
    """A float model beside a quantized one: the outputs, then every tensor, the worst first.

    Attributes
    ----------
    outputs, tensors : tuple of TensorReport
    files : str
        The sizes and opsets of both models, and what of the quantized one are weights in float.
    """

    outputs: tuple[TensorReport, ...]
    tensors: tuple[TensorReport, ...]
    files: str = ""

    @property
    def agreement(self) -> float:
        """Share of the decisions that are the same, at the output where it is smallest."""
        return _least(row.agreement for row in self.outputs)

    @property
    def sqnr_db(self) -> float:
        """SQNR at the output where it is smallest, in dB; before a softmax."""
        return min(row.sqnr_db for row in self.outputs)

    def to_dicts(self) -> list[dict[str, Any]]:
        """Return the rows for JSON: dicts, infinite values as None."""
        return [_as_dict(row) for row in (*self.outputs, *self.tensors)]

    def _rows(self) -> Sequence[tuple[str, ...]]:
        return [("tensor", "layer", "SQNR, dB", "1 - cosine", "agree, %", "a constant, %")] + [
            (
                row._label(),
                row.layer or "",
                f"{row.sqnr_db:.1f}",
                f"{max(1 - row.cosine, 0):.1e}",
                *("" if x is None else f"{100 * x:.2f}" for x in (row.agreement, row.constant)),
            )
            for row in (*self.outputs, *self.tensors)
        ]

    def _notes(self) -> Sequence[str]:
        return [_HARMLESS, *filter(None, [self.files])]


def describe_files(model: onnx.ModelProto, quantized: onnx.ModelProto) -> str:
    """Return one line: sizes, opsets, and which operators have much of the quantized file in float."""
    size, before = quantized.ByteSize(), model.ByteSize()
    opset, old = (
        max((o.version for o in m.opset_import if o.domain in STANDARD), default=0)
        for m in (quantized, model)
    )
    text = f"{_megabytes(size)} of {_megabytes(before)} ({size / before:.0%}), opset {opset}"
    if opset != old:
        text += f" instead of {old}"
    scales = ("QuantizeLinear", "DequantizeLinear")
    found = Graph.of(read(quantized), 1).float_bytes()
    large = [
        f"{kind} {_megabytes(n)}" for kind, n in found.items() if kind not in scales and n >= _MUCH * size
    ]
    return f"{text}; weights in float: {', '.join(large)}" if large else text


def _megabytes(count: int) -> str:
    return f"{count / 1e6:.2f} MB"


def report(
    model: Model, quantized: Model, batches: Iterable[Batch], *, outputs: Collection[str] | None = None
) -> Report:
    """Run a float model and its quantized form side by side, and compare every tensor that both have.

    Parameters
    ----------
    model, quantized : onnx.ModelProto or path
        The float model as it was loaded, and what :func:`quantize` made of it.
    batches : iterable of dict of str to array_like
        What to run both on, one batch at a time.
    outputs : collection of str, optional
        Which outputs of the model count; by default all.

    Returns
    -------
    Report

    Raises
    ------
    TypeError
        If an argument has the wrong type.
    ValueError
        If the models have no output in common, `outputs` names none of them, or there are no batches.
    """
    graph = folded_graph(model)
    scores = score_tensors(graph, outputs)
    output_of_scores = {t: name for name in graph.outputs for t in score_tensors(graph, [name])}
    float_names = {name for node in graph.nodes for name in node.output if name}
    consumers = graph.consumers()
    made_by = {output_of(layer, consumers, graph): layer.name for layer in graph.layers()}
    folded, other = graph.finish(), read(quantized)
    theirs = {name for node in other.graph.node for name in node.output}
    scores = {name: answer for name, answer in scores.items() if name in theirs}
    if not scores:
        raise ValueError("the quantized model has none of the float model's outputs")
    decoded = {f"{name}_decoded": name for name in float_names}
    pairs = {decoded[name]: name for name in theirs if name in decoded}
    names = [*scores, *(name for name in sorted(pairs) if name not in scores)]
    first = session(with_outputs(folded, names))
    theirs_of = {name: name if name in scores else pairs[name] for name in names}
    second = session(with_outputs(other, theirs_of.values()))
    found = {name: _Comparison(scores.get(name, "none"), count=True) for name in names}
    count = 0
    for batch in batches:
        wanted = run(first, batch, names)
        got = run(second, batch, list(theirs_of.values()))
        for name, a, b in zip(names, wanted, got, strict=True):
            found[name].add(a, b)
        count += 1
    if not count:
        raise ValueError("there are no batches to compare on")

    def row(name: str) -> TensorReport:
        each, output = found[name], output_of_scores[name] if name in scores else None
        ratios = each.sqnr_db, each.cosine, each.agreement
        return TensorReport(name, *ratios, output, each.constant, made_by.get(name))

    rest = sorted((row(name) for name in names if name not in scores), key=lambda row: row.sqnr_db)
    return Report(tuple(map(row, scores)), tuple(rest), describe_files(read(model), other))


def rows_in(batch: Batch) -> int:
    """Return how many rows a batch has: the most of its inputs, 1 where all are single numbers."""
    return max((len(x) for x in map(np.asarray, batch.values()) if x.ndim), default=1)


def first_rows(batches: Sequence[Batch], rows: int = _ROWS) -> Sequence[Batch]:
    """Return as many of the first batches as have so many rows together, or all."""
    count = total = 0
    while count < len(batches) and total < rows:
        total += rows_in(batches[count])
        count += 1
    return batches[:count]


def keep_float_for(
    model: Model,
    observation: Observation,
    batches: Sequence[Batch],
    *,
    within: float = 0.5,
    outputs: Collection[str] | None = None,
    ranking: Sensitivity | None = None,
    progress: Callable[[Sequence[str]], Iterable[str]] = iter,
    **options: Any,
) -> list[str]:
    """Return as few layers as need stay in float for the quantized model to agree with the float one.

    Parameters
    ----------
    model, observation, **options
        As for :func:`quantize`.
    batches : sequence of dict of str to array_like
        What to measure agreement on: better not what was observed, which the ranges fit best.
    within : float, default 0.5
        How many percent of the decisions may differ.
    outputs : collection of str, optional
        Which outputs of the model count; by default all.
    ranking : Sensitivity, optional
        Which layers to try first; by default :func:`sensitivity` on the first batches of eight rows or
        more, where it is needed.
    progress : callable, optional
        As for :func:`sensitivity`.

    Returns
    -------
    list of str
        For `keep_float`, the worst layer first; all layers if nothing less is enough.

    Raises
    ------
    ValueError
        If `within` is not from 0 to 100, or `outputs` names none of the model.
    """
    if not 0 <= within <= 100:
        raise ValueError(f"within must be from 0 to 100 percent, got {within!r}")

    def enough(kept: Sequence[str]) -> bool:
        made = quantize(model, observation, keep_float=kept, **options)
        return 100 * (1 - report(model, made, batches, outputs=outputs).agreement) <= within

    if enough([]):  # there is no need to rank anything
        return []
    if ranking is None:
        some = first_rows(batches)
        ranking = sensitivity(model, observation, some, outputs=outputs, progress=progress, **options)
    order = [row.layer for row in ranking.rows]
    least, most = 1, len(order)
    while least < most:  # agreement grows with what stays in float, by and large
        count = (least + most) // 2
        if enough(order[:count]):
            most = count
        else:
            least = count + 1
    return order[:least]
