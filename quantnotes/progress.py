"""A progress bar on a terminal, where the package tqdm is installed.

Not covered: what the bar counts.
"""

from __future__ import annotations

import sys
from typing import Any


def progress_bar(*things: Any, **options: Any) -> Any:
    """Return tqdm's bar on standard error, which is shown on a terminal alone; None without tqdm.

    `things`, if given, are what it counts and yields; `options` are tqdm's.
    """
    try:
        from tqdm import tqdm
    except ModuleNotFoundError:
        return None
    disable = True if sys.stderr is None else None  # None: unless it is a terminal
    return tqdm(*things, disable=disable, leave=False, **options)
