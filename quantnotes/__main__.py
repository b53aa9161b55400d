"""The command line: ``python -m quantnotes compare FILE ...``, also installed as ``quantnotes``.

Not covered: what the commands do, see :mod:`quantnotes.comparison.command` for ``compare`` and
:mod:`quantnotes.onnx_model.command` for ``observe``, ``blame``, ``quantize`` and ``report``.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

OF_MODELS = ("observe", "blame", "quantize", "report")  # these need the packages onnx and onnxruntime
HELP = """\
usage: quantnotes COMMAND FILE ... [options]

commands, each with its own --help:
  compare   try every range method on the tensors of files, and recommend one

and for ONNX models:
  observe   keep what a model's activations are
  quantize  write the model in codes
  report    compare a float model and a quantized one
  blame     quantize each layer alone, the worst first

options:
  --version  show the version number
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code, also where it is interrupted before it begins.

    Raises
    ------
    SystemExit
        With 2 if the command or its arguments are wrong, with 0 after the ``--help`` of a command.
    """
    given = sys.argv[1:] if arguments is None else list(arguments)
    first = given[0] if given else ""
    if first in ("-h", "--help"):
        print(HELP, end="")
        return 0
    if first in OF_MODELS:
        return _of_models(given)
    if first != "compare" and not first.startswith("-"):
        print(HELP, file=sys.stderr)
        print("quantnotes: no command", *map(repr, given[:1]), file=sys.stderr)
        raise SystemExit(2)
    try:
        from quantnotes.comparison import command
    except KeyboardInterrupt:
        print("quantnotes: interrupted: nothing was compared", file=sys.stderr)
        return 130
    return command.main(arguments)


def _of_models(given: list[str]) -> int:
    try:
        from quantnotes.onnx_model import command
    except ModuleNotFoundError as error:
        print(f'quantnotes: {error}: pip install "quantnotes[onnx]"', file=sys.stderr)
        return 2
    return command.main(given)


if __name__ == "__main__":
    sys.exit(main())
