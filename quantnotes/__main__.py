"""The command line: ``python -m quantnotes compare FILE ...``, also installed as ``quantnotes``.

Not covered: what the commands do, see :mod:`quantnotes.comparison.command` for ``compare`` and
:mod:`quantnotes.onnx_model.command` for ``observe``, ``blame``, ``quantize`` and ``report``.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

OF_MODELS = ("observe", "blame", "quantize", "report")  # these need the packages onnx and onnxruntime


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code, also where it is interrupted before it begins."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    if given and given[0] in OF_MODELS:
        return _of_models(given)
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
