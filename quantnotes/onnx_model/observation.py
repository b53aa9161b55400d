"""What a model's activations were on calibration data: one pass, a histogram for each tensor that matters.

Not covered: which data to calibrate with.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from quantnotes.calibration import choose_range
from quantnotes.codebook import Codes
from quantnotes.grid import UINT8
from quantnotes.histogram import Histogram
from quantnotes.onnx_model.graph import Batch, Graph, Model, folded_graph, run, session, with_outputs
from quantnotes.ranges import Range, Scheme

Array = NDArray[Any]
_TOGETHER = 1 << 17  # values of a tensor that are counted in one go


class Observation:
    """The histograms of a model's activations, and the mean of each channel that goes into a layer.

    Made by :func:`observe`.

    Attributes
    ----------
    histograms : dict of str to Histogram
        By the name of the tensor in the folded model: what goes into each layer, and what comes out.
    batches : int
        How many batches have been seen.

    Examples
    --------
    >>> Observation().batches
    0
    """

    __hash__ = None  # type: ignore[assignment]  # its state changes

    def __init__(self) -> None:
        self.histograms: dict[str, Histogram] = {}
        self.batches = 0
        # By tensor and axis, 1 or -1: the sum of each channel, and the count at the end.
        self._sums: dict[tuple[str, int], Array] = {}
        self._chosen: dict[tuple[Any, ...], Range] = {}  # what `ranges` has found

    def _count(self, name: str, values: Array) -> None:
        """Count values of a tensor."""
        self._chosen.clear()
        self.histograms.setdefault(name, Histogram()).update(values)

    def _add_channels(self, name: str, x: Array, axis: int) -> None:
        """Add up the channels of a tensor in one batch."""
        others = tuple(i for i in range(x.ndim) if i != axis % x.ndim)
        new = np.append(x.sum(axis=others, dtype=np.float64), x.size / x.shape[axis])
        self._sums[name, axis] = self._sums.get((name, axis), 0) + new

    def mean(self, name: str, axis: int | None = None) -> Array | None:
        """Return the mean of each channel of a layer's input: float64, shape (channels,); None if unknown.

        The axis of the channels is 1 for a Conv and -1 for other layers; by default the one that is known.
        """
        for place in (1, -1) if axis is None else (axis,):
            if (name, place) in self._sums:
                total = self._sums[name, place]
                return np.asarray(total[:-1] / total[-1])
        return None

    def merge(self, other: Observation) -> Observation:
        """Take in what another one has seen of the same model, and leave that as it is.

        Returns
        -------
        Observation
            This one.

        Raises
        ------
        TypeError
            If `other` is not an Observation.
        ValueError
            If it is of another model.
        """
        if not isinstance(other, Observation):
            raise TypeError(f"other must be an Observation, got {type(other).__name__}")
        if self.batches and other.batches and self.histograms.keys() != other.histograms.keys():
            raise ValueError("the observations are of different models: their tensors have other names")
        self._chosen.clear()
        for name, histogram in other.histograms.items():
            self.histograms[name] = self.histograms.get(name, Histogram(histogram.max_bins)) | histogram
        for place, total in other._sums.items():
            self._sums[place] = self._sums.get(place, 0) + total
        self.batches += other.batches
        return self

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write everything to a file, NumPy's ``.npz``; what :meth:`load` reads is equal."""
        arrays: dict[str, Any] = {}
        names = list(self.histograms)
        for i, name in enumerate(names):
            arrays |= {f"h{i}_{part}": value for part, value in self.histograms[name].to_arrays().items()}
            arrays |= {f"s{i}_{axis}": total for (of, axis), total in self._sums.items() if of == name}
        head = json.dumps({"names": names, "batches": self.batches})
        with Path(path).open("wb") as file:
            np.savez_compressed(file, head=np.array(head), **arrays)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Observation:
        """Read what :meth:`save` has written.

        Raises
        ------
        ValueError
            If the file is not one of these.
        """
        made = cls()
        try:
            with np.load(path, allow_pickle=False) as file:
                head = json.loads(str(file["head"]))
                for i, name in enumerate(head["names"]):
                    start = f"h{i}_"
                    parts = {
                        key.removeprefix(start): file[key] for key in file.files if key.startswith(start)
                    }
                    made.histograms[name] = Histogram.from_arrays(parts)
                    for axis in (1, -1):
                        if f"s{i}_{axis}" in file.files:
                            made._sums[name, axis] = file[f"s{i}_{axis}"]
                made.batches = int(head["batches"])
        except (OSError, KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{os.fspath(path)} holds no observation: {error}") from error
        return made

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Observation):
            return NotImplemented
        return (
            self.batches == other.batches
            and self.histograms == other.histograms
            and self._sums.keys() == other._sums.keys()
            and all(np.array_equal(x, other._sums[place]) for place, x in self._sums.items())
        )

    def __repr__(self) -> str:
        return f"Observation({len(self.histograms)} tensors, {self.batches} batches)"


def observe(model: Model, batches: Iterable[Batch], *, progress: Any = iter) -> Observation:
    """Run a model on calibration data once, and keep a histogram of every activation that can be quantized.

    Parameters
    ----------
    model : onnx.ModelProto or path
        In floats, as it was loaded; it is folded first.
    batches : iterable of dict of str to array_like
        What to run it on. One batch at a time is in memory.
    progress : callable, optional
        Wraps the batches and yields them in order, as ``tqdm`` does.

    Returns
    -------
    Observation

    Raises
    ------
    TypeError
        If `model` or a batch has the wrong type.
    ValueError
        If there are no batches, one does not fit the model, or an activation is not finite.

    Examples
    --------
    >>> from quantnotes import samples
    >>> x = np.zeros((1, 3, 48, 192), np.float32)
    >>> observe(samples.path("text_direction.onnx"), [{"x": x}]).batches
    1
    """
    graph = folded_graph(model)
    graph.check_layers()
    tensors = observed_tensors(graph)
    runner = session(with_outputs(graph.finish(), tensors))
    names = list(tensors)
    observation = Observation()
    made = [name for name in names if name not in graph.inputs]
    waiting: dict[str, list[Array]] = {name: [] for name in names}  # small arrays are counted together
    held = dict.fromkeys(names, 0)  # how many values wait

    def count(name: str, *more: Array) -> None:
        if parts := [*waiting[name], *more]:
            observation._count(name, np.concatenate(parts) if len(parts) > 1 else parts[0])
            waiting[name].clear()
            held[name] = 0

    for batch in progress(batches):
        found = dict(zip(made, run(runner, batch, made), strict=True))
        for name in names:
            # A tensor is let out of memory as soon as it is counted.
            x = found.pop(name) if name in found else np.asarray(batch[name])
            if bad := x.size - int(np.count_nonzero(np.isfinite(x))):
                raise ValueError(
                    f"{bad} of {x.size} values of the tensor {name} are NaN or infinite in batch "
                    f"{observation.batches}, counted from 0: leave such inputs out"
                )
            for axis in tensors[name]:
                observation._add_channels(name, x, axis)
            if x.size + held[name] < _TOGETHER:
                waiting[name].append(x.flatten())  # a copy: the caller may write to the batch
                held[name] += x.size
            else:
                count(name, x.ravel())
        observation.batches += 1
    for name in names:
        count(name)
    if not observation.batches:
        raise ValueError("there are no batches: observe needs typical inputs of the model")
    return observation


def observed_tensors(graph: Graph) -> dict[str, set[int]]:
    """Return what goes into and comes out of each layer, with the axes of the channels that go in."""
    tensors: dict[str, set[int]] = {}
    consumers = graph.consumers()
    for layer in graph.layers():
        tensors.setdefault(layer.input[0], set()).add(axis_of_channels(layer))
        tensors.setdefault(output_of(layer, consumers, graph), set())
    return tensors


def axis_of_channels(layer: onnx.NodeProto) -> int:
    """Return the axis of a layer's input that its weight's inputs belong to."""
    return 1 if layer.op_type == "Conv" else -1


def output_of(layer: onnx.NodeProto, consumers: dict[str, list[onnx.NodeProto]], graph: Graph) -> str:
    """Return the tensor behind a layer that gets codes: that of a ReLU, if nothing else reads the layer."""
    name: str = layer.output[0]
    readers = consumers.get(name, [])
    if len(readers) == 1 and name not in graph.seen_outside() and is_relu(readers[0], graph):
        return str(readers[0].output[0])
    return name


def is_relu(node: onnx.NodeProto, graph: Graph) -> bool:
    """Whether an engine can leave the node to the clip of the codes: Relu, or Clip from 0 on."""
    if node.op_type == "Relu":
        return True
    if node.op_type != "Clip" or len(node.input) < 2:
        return False
    low = graph.constants.get(node.input[1])
    return low is not None and float(low) == 0


def ranges(
    observation: Observation,
    method: str = "mse",
    grid: Codes = UINT8,
    scheme: Scheme = "asymmetric",
    *,
    names: Sequence[str] | None = None,
    **options: Any,
) -> dict[str, Range]:
    """Return the range that a method chooses for each tensor, from what was observed, without another pass.

    Parameters
    ----------
    observation : Observation
        Of :func:`observe`.
    method : str, default "mse"
        As for :func:`quantnotes.choose_range`; options likewise.
    grid : IntGrid or Codebook, default UINT8
        The codes of the activations.
    scheme : {"asymmetric", "symmetric"}, default "asymmetric"
        Which parameters will be made of the ranges.
    names : sequence of str, optional
        Of these tensors alone.

    Returns
    -------
    dict of str to Range

    Raises
    ------
    TypeError
        If `observation` is not an Observation.
    ValueError
        If nothing was observed, or `method` is unknown.
    """
    if not isinstance(observation, Observation):
        raise TypeError(
            f"observation must be an Observation, as observe makes it; got {type(observation).__name__}"
        )
    if not observation.batches:
        raise ValueError("nothing has been observed: call observe first")
    found = {}
    for name in observation.histograms if names is None else names:
        key = (name, method, grid, scheme, *sorted(options.items()))
        if key not in observation._chosen:
            histogram = observation.histograms[name]
            observation._chosen[key] = choose_range(method, histogram, grid, scheme, **options)
        found[name] = observation._chosen[key]
    return found


def to_onnxruntime(observation: Observation, method: str = "mse", **options: Any) -> Any:
    """Return the ranges in the form that ONNX Runtime's own quantizer reads.

    Parameters
    ----------
    observation : Observation
    method, **options
        As for :func:`ranges`.

    Returns
    -------
    onnxruntime.quantization.calibrate.TensorsData
        For its ``QDQQuantizer``, on the folded model.

    Raises
    ------
    TypeError, ValueError
        As :func:`ranges`.
    """
    from onnxruntime.quantization.calibrate import CalibrationMethod, TensorData, TensorsData

    data: dict[str, Any] = {
        name: TensorData(lowest=np.float32(low), highest=np.float32(high))
        for name, (low, high) in ranges(observation, method, **options).items()
    }
    return TensorsData(CalibrationMethod.MinMax, data)
