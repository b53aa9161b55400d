"""The array loops, in two forms that give the same bits, and the choice between them.

:mod:`quantnotes.kernels.blocked` needs NumPy alone and takes any layout. :mod:`quantnotes.kernels.fused` is
Numba's (the extra ``fast``): one pass over memory on every core, for dense arrays of the usual types. The
environment variable QUANTNOTES_KERNELS says which one runs, and is read at every call:

- ``auto``, the default: the fused loops for arrays of at least `LARGE` elements, where Numba is installed;
  it is imported at the first such array.
- ``numpy``: the blocked loops.
- ``numba``: the fused loops whatever the size, and an ImportError where Numba is not installed.

Not covered: checking arguments, which :mod:`quantnotes.ranges` and :mod:`quantnotes.mapping` do. A NaN is
reported, never raised.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache, wraps
from types import ModuleType
from typing import Any, TypeVar, cast

from quantnotes.kernels import blocked
from quantnotes.kernels.blocked import Array, Bins, FloatLayout, count_nan, finite, quantize_table, quotients
from quantnotes.kernels.parts import parts

__all__ = [
    "LARGE",
    "Bins",
    "FloatLayout",
    "count_bins",
    "count_nan",
    "decode",
    "dequantize",
    "fake_quantize",
    "finite",
    "minmax",
    "parts",
    "quantize",
    "quantize_float",
    "quantize_table",
    "quotients",
]

LARGE = 1 << 20  # elements that take the blocked loops about half a millisecond
SETTING = "QUANTNOTES_KERNELS"

Loop = TypeVar("Loop", bound=Callable[..., Any])


@cache
def _fused() -> ModuleType | ImportError:
    try:
        from quantnotes.kernels import fused
    except ImportError as error:
        return error
    return fused


def _chosen(size: int) -> ModuleType:
    """Return the module whose loops run on `size` elements."""
    choice = os.environ.get(SETTING, "auto")
    if choice not in ("auto", "numpy", "numba"):
        raise ValueError(f'{SETTING} must be "auto", "numpy" or "numba", got {choice!r}')
    if choice == "numpy" or (choice == "auto" and size < LARGE):
        return blocked
    fused = _fused()
    if isinstance(fused, ModuleType):
        return fused
    if choice == "auto":
        return blocked
    raise ImportError(f"{SETTING} is numba, which cannot be imported: install quantnotes[fast]") from fused


def fused_chosen(size: int) -> bool:
    """Tell whether Numba's loops shall run on `size` elements."""
    return _chosen(size) is not blocked


def _either(loop: Loop) -> Loop:
    """Try the fused loop of the same name first; it may return NotImplemented."""

    @wraps(loop)
    def run(x: Array, *args: Any) -> Any:
        chosen = _chosen(x.size)
        if chosen is not blocked:
            result = getattr(chosen, loop.__name__)(x, *args)
            if result is not NotImplemented:
                return result
        return loop(x, *args)

    return cast(Loop, run)


quantize = _either(blocked.quantize)
quantize_float = _either(blocked.quantize_float)
decode = _either(blocked.decode)
dequantize = _either(blocked.dequantize)
fake_quantize = _either(blocked.fake_quantize)
minmax = _either(blocked.minmax)
count_bins = _either(blocked.count_bins)
