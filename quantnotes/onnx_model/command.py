"""The commands ``quantnotes observe``, ``blame``, ``quantize`` and ``report``, for a model and its data.

The data are an ``.npz`` file with an array for each input of the model, or a ``.npy`` file for the only one.
The exit code is 0, or 2 with one line on the standard error where something cannot be done.

Not covered: what the commands call, see the other modules of this package.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from quantnotes.codebook import Codes
from quantnotes.formats import E4M3, E5M2
from quantnotes.grid import INT4, INT8, INT16, UINT8, UINT16
from quantnotes.onnx_model.blame import (
    LayerBlame,
    Sensitivity,
    first_rows,
    keep_float_for,
    layers_alone,
    report,
    rows_in,
)
from quantnotes.onnx_model.graph import Batch, Graph, folded_graph, read, session
from quantnotes.onnx_model.observation import Observation, observe
from quantnotes.onnx_model.writing import chosen_layers, quantize
from quantnotes.progress import progress_bar
from quantnotes.tables import text_table

_FLOAT8: dict[str, Codes] = {"e4m3": E4M3, "e5m2": E5M2}
_ACTIVATIONS = {"uint8": UINT8, "int8": INT8, "uint16": UINT16, "int16": INT16} | _FLOAT8
_WEIGHTS = {"int8": INT8, "int4": INT4} | _FLOAT8


_MODEST = 0.5, 0.75  # shares of layers in float and of the float file's size; above them --auto warns
_BATCH = (
    "rows of data at a time (default: 8); ignored where the model states a number of rows, and where no "
    "input has more than one"
)
_BLAME = (
    "quantize each layer alone, the worst first; each is measured three times, on the first rows of the "
    "data; after Ctrl-C, the layers so far are printed"
)
_DATA = (
    "inputs of the model, .npz or .npy: an array for each, under its name, the first axis are the rows; a "
    "scalar, an array of one row, or one of as many as the model states goes whole into every batch; where "
    "another axis has the name of the rows, as in a state (layers, rows, values), batches have as many"
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one of the commands.

    Parameters
    ----------
    arguments : sequence of str, optional
        Those of the process by default.

    Returns
    -------
    int
        The exit code: 0, 2 if it could not be done, 130 after Ctrl-C.
    """
    options = _parser().parse_args(arguments)
    try:
        options.run(options)
        sys.stdout.flush()
    except KeyboardInterrupt:
        print("quantnotes: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except (ValueError, TypeError, OSError, MemoryError, ModuleNotFoundError) as error:
        text = " ".join(str(error).split()) or type(error).__name__
        print(f"quantnotes: {text}", file=sys.stderr)
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="quantnotes", allow_abbrev=False)
    commands = parser.add_subparsers(dest="command", required=True)

    def command(name: str, run: Any, text: str, files: dict[str, str]) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=text, description=text, allow_abbrev=False)
        made.set_defaults(run=run)
        for file, what in files.items():
            made.add_argument(file, help=what)
        made.add_argument("--batch", type=int, default=8, metavar="N", help=_BATCH)
        made.add_argument("--json", action="store_true", help="print JSON")
        return made

    both = {
        "model": "the float model, .onnx",
        "data": _DATA,
    }
    observing = command("observe", _observe, "keep what a model's activations are", both)
    observing.add_argument("-o", "--output", help="where to keep it, .npz: for --observation")
    blaming = command("blame", _blame, _BLAME, both)
    quantizing = command("quantize", _quantize, "write the model in codes", both)
    quantizing.add_argument("-o", "--output", required=True, help="the file to write, .onnx")
    quantizing.add_argument(
        "--keep-float", nargs="+", default=[], metavar="LAYER", help="layers that stay in float"
    )
    quantizing.add_argument(
        "--auto",
        type=float,
        metavar="PERCENT",
        help="keep as few layers in float as needed for no more of the decisions to differ on these data: "
        "better others than those observed, see --observation",
    )
    quantizing.add_argument(
        "--recurrent-weights",
        action="store_true",
        help="store the weights of LSTM, GRU and RNN as int8: a smaller file, which takes longer to run",
    )
    for made in (blaming, quantizing):
        made.add_argument(
            "--float-answers",
            action="store_true",
            help="do not round the output of a MatMul behind which no layer follows",
        )
    blaming.add_argument(
        "--rows",
        type=int,
        default=8,
        metavar="N",
        help="measure on the first batches that have so many rows together (default: 8)",
    )
    command(
        "report",
        _report,
        "compare a float model and a quantized one",
        {"model": both["model"], "quantized": "what quantize wrote, .onnx", "data": _DATA},
    )
    for made in commands.choices.values():
        if made is not observing:
            made.add_argument(
                "--outputs", nargs="+", metavar="NAME", help="outputs of the model that count; by default all"
            )
    for made in (blaming, quantizing):
        made.add_argument("--observation", help="what observe kept; without it, the data are observed first")
        made.add_argument(
            "--method", default="mse", help="minmax, histogram, percentile, mse (default), entropy"
        )
        made.add_argument(
            "--percentile", type=float, metavar="P", help="what --method percentile keeps (default: 99.99)"
        )
        made.add_argument("--activations", choices=_ACTIVATIONS, default="uint8")
        made.add_argument("--weights", choices=_WEIGHTS, default="int8")
        made.add_argument("--per-tensor", action="store_true", help="one scale for each weight")
        made.add_argument("--bias-correction", action="store_true", help="take the mean error off the bias")
    return parser


def _choices(options: argparse.Namespace) -> dict[str, Any]:
    found = {} if options.percentile is None else {"percentile": options.percentile}
    return found | {
        "method": options.method,
        "activations": _ACTIVATIONS[options.activations],
        "weights": _WEIGHTS[options.weights],
        "per_channel": not options.per_tensor,
        "bias_correction": options.bias_correction,
        "float_answers": options.float_answers,
    }


def read_batches(model: str, data: str, rows: int) -> list[dict[str, Any]]:
    """Return the data of a file in batches of so many rows, each a dict for the model's inputs.

    Where the model states a number of rows, batches have that many, and rows that fill none are left out. An
    array of one row, or of as many as the model states, goes whole into every batch, such as a state; where
    another axis of it has the name of the rows, as in (layers, rows, values), batches have as many.

    Raises
    ------
    ValueError
        If the file cannot be read, an input is missing, inputs have different numbers of rows, or there are
        fewer rows than the model states.
    """
    if rows < 1:
        raise ValueError(f"--batch must be at least 1, got {rows}")
    inputs = {i.name: list(i.shape) for i in session(read(model)).get_inputs()}
    arrays = _arrays(data, list(inputs))
    if missing := inputs.keys() - arrays.keys():
        raise ValueError(f"{data} lacks the inputs {', '.join(sorted(missing))}; it has {', '.join(arrays)}")
    stated: dict[str, int] = {}
    for name, shape in inputs.items():
        if shape and isinstance(shape[0], int):
            stated[name] = shape[0]
    lengths = {name: len(arrays[name]) for name in inputs if 0 < arrays[name].ndim == len(inputs[name])}
    cut = {
        name: n for name, n in lengths.items() if n not in (1, stated.get(name))
    }  # every batch gets the rest
    if not cut:
        return [{name: arrays[name] for name in inputs}]
    if len(set(cut.values())) > 1:
        raise ValueError(f"the inputs in {data} have different numbers of rows: {sorted(set(cut.values()))}")
    stop = count = next(iter(cut.values()))
    if not count:
        raise ValueError(f"{data} has no rows")
    symbols = {inputs[name][0] for name in cut} - set(stated.values())
    sizes = [stated.get(name, 0) for name, n in lengths.items() if n == count]
    for name in inputs.keys() - cut.keys():  # a state of (layers, rows, …) goes with so many rows
        sizes += [n for n, dim in zip(arrays[name].shape, inputs[name], strict=False) if dim in symbols]
    if fixed := max(sizes):
        rows, stop = fixed, count - count % fixed
        if not stop:
            raise ValueError(f"the model takes {rows} rows at a time, and {data} has {count}")
    return [
        {name: arrays[name][i : i + rows] if lengths.get(name) == count else arrays[name] for name in inputs}
        for i in range(0, stop, rows)
    ]


def _arrays(path: str, inputs: list[str]) -> dict[str, Any]:
    try:
        with Path(path).open("rb") as file:
            loaded: Any = np.load(file, allow_pickle=False)
            arrays = {"": loaded} if isinstance(loaded, np.ndarray) else dict(loaded)
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror or error}") from None
    except (ValueError, EOFError, zipfile.BadZipFile):  # whose advice is to unpickle
        raise ValueError(f"{path} is no .npz or .npy file of numbers, as numpy.savez writes it") from None
    if isinstance(loaded, np.ndarray) and len(inputs) != 1:
        raise ValueError(f"the model has {len(inputs)} inputs: put an array for each into an .npz file")
    if len(inputs) == 1 and len(arrays) == 1:
        return {inputs[0]: next(iter(arrays.values()))}
    return arrays


def _progress(things: Iterable[Any]) -> Iterator[Any]:
    """Show a bar on a terminal, if tqdm is installed."""
    bar = progress_bar(things)
    return iter(things if bar is None else bar)


def _layers(names: Sequence[str]) -> Iterator[str]:
    """Say on the standard error how many layers are measured."""
    for i, name in enumerate(names, 1):
        yield name
        print(f"measured {i} of {len(names)} layers: {name}", file=sys.stderr, flush=True)


def _seen(options: argparse.Namespace, batches: list[dict[str, Any]]) -> Observation:
    if getattr(options, "observation", None):
        return Observation.load(options.observation)
    return observe(options.model, batches, progress=_progress)


def _check_folder(path: str | None) -> None:
    """Raise ValueError, before the work, if a file cannot be written for want of a folder."""
    if path is not None and not Path(path).parent.is_dir():
        raise ValueError(f"{path} cannot be written: there is no folder {Path(path).parent}")


def _observe(options: argparse.Namespace) -> None:
    _check_folder(options.output)
    seen = observe(
        options.model, read_batches(options.model, options.data, options.batch), progress=_progress
    )
    if options.output:
        seen.save(options.output)
    rows: list[dict[str, Any]] = [
        {"tensor": n, "values": h.n, "min": h.min, "max": h.max} for n, h in seen.histograms.items()
    ]
    if options.json:
        print(json.dumps(rows, indent=1))
        return
    cells: list[tuple[str, ...]] = [
        (r["tensor"], f"{r['values']:,}", f"{r['min']:.4g}", f"{r['max']:.4g}") for r in rows
    ]
    print(text_table([("tensor", "values", "min", "max"), *cells], right=True))


def _blame(options: argparse.Namespace) -> None:
    batches: list[Batch] = list(read_batches(options.model, options.data, options.batch))
    seen = _seen(options, list(map(dict, batches)))
    alone = layers_alone(
        options.model,
        seen,
        first_rows(batches, options.rows),
        outputs=options.outputs,
        progress=_layers,
        **_choices(options),
    )
    rows: list[LayerBlame] = []
    try:
        rows.extend(alone)
    finally:  # after Ctrl-C, those that were measured
        if rows:
            found = Sensitivity.of(rows)
            print(json.dumps(found.to_dicts(), indent=1) if options.json else found)


def _quantize(options: argparse.Namespace) -> None:
    _check_folder(options.output)
    batches = read_batches(options.model, options.data, options.batch)
    seen, choices = _seen(options, batches), _choices(options)
    choices["recurrent_weights"] = options.recurrent_weights
    kept = list(options.keep_float)
    if options.auto is not None:
        kept += keep_float_for(
            options.model,
            seen,
            batches,
            within=options.auto,
            outputs=options.outputs,
            progress=_layers,
            **choices,
        )
    graph = folded_graph(options.model)
    layers, stored = len(graph.layers()), graph.recurrent() if options.recurrent_weights else []
    in_float = layers - len(chosen_layers(graph, kept, stored))
    if options.auto is not None and in_float == layers:
        rows = sum(map(rows_in, batches))
        raise ValueError(
            f"--auto {options.auto:g} wants all layers in float, so no file is written: of {rows} rows, one "
            f"is {100 / rows:.3g} %; take more rows, or --auto with more percent"
        )
    made = quantize(options.model, seen, keep_float=kept, **choices)
    Path(options.output).write_bytes(made.SerializeToString())
    found = report(options.model, made, batches, outputs=options.outputs)
    size, before = made.ByteSize(), read(options.model).ByteSize()  # with data that lie beside it
    left = Counter(graph.in_float())
    if (
        options.auto is not None
        and in_float
        and (in_float / layers > _MODEST[0] or size / before >= _MODEST[1])
    ):
        print(
            f"quantnotes: the agreement wanted asks for {in_float} of {layers} layers in float, and the file "
            f"has {size / before:.0%} of its size: --auto with more percent asks for fewer, and blame tells "
            "which layers cost most",
            file=sys.stderr,
        )
    if options.json:
        facts = {
            "agreement": found.agreement,
            "sqnr_db": found.sqnr_db if math.isfinite(found.sqnr_db) else None,  # JSON has no infinity
            "keep_float": kept,
            "layers": layers,
            "layers_in_float": in_float,
            "no_codes": dict(left),
            "bytes": size,
            "bytes_before": before,
            "float_bytes": Graph.of(read(made)).float_bytes(),
        }
        print(json.dumps(facts, indent=1))
        return
    print(f"{options.output}: {found.files}")
    print(f"on these data {100 * found.agreement:.2f} % of the decisions agree")
    print(f"at the output {found.sqnr_db:.1f} dB of SQNR")
    if options.auto is not None and not kept:
        print(f"no layer needs to stay in float for {100 - options.auto:g} %")
    if kept:
        print(f"in float {in_float} of {layers} layers: {', '.join(kept)}")
    if left:
        print(f"always computed in float: {', '.join(f'{n} {kind}' for kind, n in left.items())}")


def _report(options: argparse.Namespace) -> None:
    batches = read_batches(options.model, options.data, options.batch)
    found = report(options.model, options.quantized, batches, outputs=options.outputs)
    print(json.dumps(found.to_dicts(), indent=1) if options.json else found)
