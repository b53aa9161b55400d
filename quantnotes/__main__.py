"""The command line: ``python -m quantnotes compare FILE [--tensor NAME] [--bits 8 4]``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence

from quantnotes.comparison.files import Stored
from quantnotes.comparison.survey import survey


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code: 0, or 2 with a message where the file is of no use."""
    parser = argparse.ArgumentParser(prog="python -m quantnotes", description="Quantization of your tensors.")
    commands = parser.add_subparsers(dest="command", required=True)
    compare = commands.add_parser(
        "compare", help="try every range method and both schemes on the tensors of a file"
    )
    compare.add_argument("file", help="a .npy, .npz or .safetensors file")
    compare.add_argument("--tensor", help="compare this one alone, in full")
    compare.add_argument("--bits", type=int, nargs="+", default=[8], help="bit widths, 2 to 16 (default: 8)")
    asked = parser.parse_args(arguments)
    try:
        found = survey(asked.file, bits=asked.bits, tensor=asked.tensor, progress=_progress)
    except (ValueError, ModuleNotFoundError) as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 2
    if len(found.comparisons) == 1 and not found.skipped:
        print(*found.comparisons.values())
    else:
        print(found)
    return 0 if found.comparisons else 2


def _progress(stored: Sequence[Stored]) -> Iterable[Stored]:
    """Show a bar on a terminal where there are several tensors, if tqdm is installed."""
    if len(stored) < 2:
        return stored
    try:
        from tqdm import tqdm
    except ModuleNotFoundError:
        return stored
    bar: Iterable[Stored] = tqdm(stored, unit="tensor", disable=None)
    return bar


if __name__ == "__main__":
    sys.exit(main())
