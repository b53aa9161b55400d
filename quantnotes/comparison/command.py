"""The command ``quantnotes compare FILE ...``: rows as they are made, one line for each failure.

The exit code is 0 if all tensors were compared, 1 if some failed, 2 if nothing could be done, 130 after
Ctrl-C and 141 where the reader of the output has gone.

Not covered: the comparison, see :mod:`quantnotes.comparison.survey`.
"""

from __future__ import annotations

import argparse
import fnmatch
import importlib
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from quantnotes.comparison.array import bit_widths
from quantnotes.comparison.files import Source, Stored, find_sources, open_tensors
from quantnotes.comparison.rows import (
    CsvWriter,
    JsonWriter,
    Row,
    TextWriter,
    Writer,
    plain,
    rows_of,
    sorted_rows,
)
from quantnotes.comparison.survey import THIN_TAIL, Outcome, has_given_axis, lacking, outcomes
from quantnotes.progress import progress_bar

PROGRAM = "quantnotes"
_NAMED = 3  # skipped tensors of one kind that are named
_VERSION = importlib.import_module("quantnotes").__version__


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Parameters
    ----------
    arguments : sequence of str, optional
        Those of the process by default.

    Returns
    -------
    int
        The exit code.

    Raises
    ------
    SystemExit
        With 2 if the arguments are wrong, with 0 after ``--help`` and ``--version``.
    """
    options = _parser().parse_intermixed_args(
        _one_list_of_bits(sys.argv[1:] if arguments is None else arguments)
    )
    try:
        bit_widths(options.bits or (8,))
    except ValueError as error:
        _say(str(error))
        return 2
    run = _Run(options)
    try:
        return run.all()
    except KeyboardInterrupt:
        return run.interrupted()
    except BrokenPipeError:
        _close_output()
        return 141
    except OSError as error:
        _close_output()
        _say(f"the results cannot be written: {error.strerror or error}")
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=PROGRAM,
        usage="%(prog)s compare FILE ... [options]",
        description="Try every range method, both schemes and some bit widths on the tensors of files, and "
        "recommend one. Weights may have a scale for each output, or for groups of inputs.",
        epilog="For ONNX models, see also: quantnotes observe, quantize, blame and report, each with --help.",
        allow_abbrev=False,
    )
    option = parser.add_argument
    option("--version", action="version", version=f"{PROGRAM} {_VERSION}")
    option("command", choices=["compare"], help="what to do")
    files = "a .npy, .npz, .safetensors or .onnx file, a folder of them, or a .safetensors.index.json"
    option("files", nargs="+", metavar="FILE", help=files)
    option("--tensor", action="append", metavar="NAME", help="compare this one alone; may be repeated")
    option("--bits", action="extend", type=_widths, metavar="N,N", help="bit widths (default: 8 4)")
    option("--role", choices=["weight", "activation"], help="what all tensors are for")
    option("--channel-axis", type=int, metavar="AXIS", help="the axis that may have scales of its own")
    option("--min-size", type=int, default=0, metavar="N", help="leave out tensors of fewer values")
    matching = "compare tensors whose name matches: a regular expression, or a pattern such as '*.weight'"
    option("--filter", type=_pattern, metavar="PATTERN", help=matching)
    order = "print when all is done: by name, most values first, worst first, or most gained first"
    option("--sort", choices=["name", "values", "sqnr", "gain"], help=order)
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="write one JSON array")
    form.add_argument("--csv", action="store_true", help="write comma-separated values")
    return parser


def _one_list_of_bits(arguments: Sequence[str]) -> list[str]:
    """Join the numbers after ``--bits``, so that they end where a file begins."""
    joined: list[str] = []
    for argument in arguments:
        number = re.fullmatch(r"\d+(,\d+)*,?", argument)
        if number and joined and re.fullmatch(r"--bits(=[\d,]*)?", joined[-1]):
            before = joined.pop()
            joined.append(f"{before}{',' if '=' in before else '='}{argument}")
        else:
            joined.append(argument)
    return joined


def _widths(text: str) -> list[int]:
    return [int(number) for number in text.split(",") if number.strip()]


def _pattern(text: str) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except re.error:
        return re.compile(fnmatch.translate(text))


def _say(text: str) -> None:
    """Write one line to standard error."""
    if sys.stderr is not None:
        print(_encodable(f"{PROGRAM}: {plain(text)}", sys.stderr), file=sys.stderr, flush=True)


def _encodable(text: str, stream: Any) -> str:
    """Escape what the stream's encoding has not."""
    encoding = getattr(stream, "encoding", None) or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)


def _close_output() -> None:
    """Send what is left in the buffer nowhere, so that Python does not complain about it at its end."""
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
    except (OSError, ValueError, AttributeError):
        pass  # it is no file


class _Run:
    """One run of the command: what was asked for, and what has been done so far."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.done = self.total = 0
        self.failed = False
        self.thin = False
        self.has_axis = False  # True once a tensor had the axis that was given
        self.started = False  # True once a row has been written
        self.kept: list[list[Row]] = []  # for --sort
        self.skipped: dict[str, list[str]] = {}  # names by the reason
        self.writer: Writer | None = None  # None where one tensor is told in full
        self.bar: Any = None

    def all(self) -> int:
        """Compare everything, and return the exit code."""
        options = self.options
        sources = self._sources()
        several = len(sources) > 1 and any(source.names is None for source in sources)
        listed = [(source, stored) for source in sources for stored in self._wanted(source)]
        self.total = len(listed)
        for name in dict.fromkeys(options.tensor or ()):
            if name not in {stored.name for _, stored in listed}:
                self._fail(f"there is no tensor {name!r}")
        if listed:
            self.writer = self._writer([f"{source.label}: " * several + each.name for source, each in listed])
            values = sum(stored.size for _, stored in listed)
            self.bar = progress_bar(total=values, unit=" values", unit_scale=True)
            bits = sorted(set(options.bits or (8, 4)), reverse=True)
            done = (lambda values: None) if self.bar is None else self.bar.update
            for source in dict.fromkeys(source for source, _ in listed):
                for outcome in outcomes(source, bits, options.role, options.channel_axis, self._wants, done):
                    self._take(outcome, outcome.file if several else "")
            self._finish()
        if self.done and options.channel_axis is not None and not self.has_axis:
            self._fail(lacking(options.channel_axis))
        if not self.done:
            if not self.failed:
                _say("no tensor to compare")
            return 2
        return 1 if self.failed else 0

    def interrupted(self) -> int:
        """Print what is done, and say how much that is."""
        try:
            self._finish()
        except (OSError, KeyboardInterrupt):
            _close_output()
        _say(f"interrupted: {self.done} of {self.total} tensors were compared")
        return 130

    def _fail(self, text: str) -> None:
        self.failed = True
        self._quietly(lambda: _say(text))

    def _sources(self) -> list[Source]:
        found: list[Source] = []
        for name in self.options.files:
            try:
                sources = find_sources(name)
            except ValueError as error:
                self._fail(str(error))
                continue
            if len(self.options.files) > 1 and sources[0].names is None:
                sources = [Source(source.path, str(source.path)) for source in sources]
            found += sources
        return list(dict.fromkeys(found))

    def _wanted(self, source: Source) -> list[Stored]:
        """Return what is wanted of a file, without reading it."""
        names = source.names
        try:
            with open_tensors(source.path) as tensors:
                return [s for s in tensors if (names is None or s.name in names) and self._wants(s)]
        except (ValueError, ModuleNotFoundError) as error:
            self._fail(str(error))
            return []

    def _wants(self, stored: Stored) -> bool:
        options = self.options
        return (
            (options.tensor is None or stored.name in options.tensor)
            and (options.filter is None or options.filter.search(stored.name) is not None)
            and stored.size >= options.min_size
        )

    def _writer(self, names: list[str]) -> Writer | None:
        if self.options.json:
            return JsonWriter()
        if self.options.csv:
            return CsvWriter()
        if len(names) == 1:
            return None
        terminal = sys.stdout is not None and sys.stdout.isatty()
        return TextWriter(names, shutil.get_terminal_size().columns if terminal else None)

    def _take(self, outcome: Outcome, file: str) -> None:
        if outcome.found is None:
            name = f"{file}: {outcome.tensor}" if file and outcome.tensor else outcome.tensor
            if outcome.failed:
                self._fail(f"{name}: {outcome.why}" if name else outcome.why)
            else:
                self.skipped.setdefault(outcome.why, []).append(name)
            return
        self.done += 1
        self.thin |= outcome.found.tail.thin
        self.has_axis |= has_given_axis(outcome.found)
        rows = rows_of(file, outcome.tensor, outcome.shape, outcome.found)
        if self.writer is None:
            self._write(f"{outcome.found}\n")
        elif self.options.sort:
            self.kept.append(rows)
        else:
            self._rows(self.writer, rows)

    def _rows(self, writer: Writer, rows: Iterable[Row]) -> None:
        for row in rows:
            before = writer.between if self.started else writer.head()
            self.started = True
            self._write(before + writer.row(row))

    def _finish(self) -> None:
        """Write what has been kept, the end, and what was skipped."""
        if self.bar is not None:
            self.bar.close()
        writer, self.writer, self.bar = self.writer, None, None
        if writer is not None:
            if self.kept:
                self._rows(writer, sorted_rows(self.kept, self.options.sort))
            elif not self.started and not isinstance(writer, TextWriter):
                self._write(writer.head())
            self._write(writer.foot)
            if self.thin and isinstance(writer, TextWriter):
                self._write(f"\n{THIN_TAIL}\n")
        for why, names in self.skipped.items():
            more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
            _say(f"skipped {', '.join(names[:_NAMED])}{more}: {why}")
        self.skipped.clear()

    def _write(self, text: str) -> None:
        """Write to standard output at once."""
        if sys.stdout is None:
            raise OSError("there is no standard output")

        def write() -> None:
            sys.stdout.write(_encodable(text, sys.stdout))
            sys.stdout.flush()

        self._quietly(write)

    def _quietly(self, action: Callable[[], None]) -> None:
        """Do something with the bar off the screen."""
        if self.bar is None:
            action()
            return
        self.bar.clear()
        action()
        self.bar.refresh()
