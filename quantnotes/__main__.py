"""The command line: ``python -m quantnotes compare FILE ...``, also installed as ``quantnotes``.

Not covered: what the command does, see :mod:`quantnotes.comparison.command`.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code, also where it is interrupted before it begins."""
    try:
        from quantnotes.comparison import command
    except KeyboardInterrupt:
        print("quantnotes: interrupted: nothing was compared", file=sys.stderr)
        return 130
    return command.main(arguments)


if __name__ == "__main__":
    sys.exit(main())
