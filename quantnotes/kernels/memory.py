"""Memory for results: large ones are written where an earlier result is no longer needed.

Memory that is new to a process costs as much as quantizing into it: the system has to clear each page. What
the C library gets back it hands out again only up to 32 MB (glibc), and more than that it returns to the
system. So one block of at most 64 MB is kept here, and lent again as soon as nothing refers to the result
that had it. (ONNX Runtime's arena, and PyTorch's allocator on a GPU, keep all that they ever had.)
"""

from __future__ import annotations

import math
import mmap
import threading
import weakref
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

LEAST, MOST = 1 << 25, 1 << 26  # bytes

_lock = threading.Lock()
_block: mmap.mmap | None = None  # what is kept, and who has it
_holder: weakref.ref[Array] | None = None


def empty_like(x: Array, dtype: np.dtype[Any]) -> Array:
    """Return an array of the shape of `x`, its axes in the same order in memory, with arbitrary values."""
    if not LEAST <= x.size * dtype.itemsize <= MOST or not hasattr(mmap, "MAP_PRIVATE"):
        return np.empty_like(x, dtype, subok=False)
    order = sorted(range(x.ndim), key=lambda axis: -abs(x.strides[axis]))
    turned = _lend([x.shape[axis] for axis in order], dtype)
    return turned.transpose(np.argsort(order))


def _lend(shape: list[int], dtype: np.dtype[Any]) -> Array:
    """Return an array in the block, or in a new one if that is too small or in use.

    Whatever is made of the array refers to it, since NumPy looks no further than to an owner of another
    type: as long as it lives, somebody may look at its memory.
    """
    global _block, _holder
    size = math.prod(shape) * dtype.itemsize
    with _lock:
        if _block is None or len(_block) < size or (_holder is not None and _holder() is not None):
            # Private: a forked child gets a copy, as of any other memory.
            _block = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
            if hasattr(mmap, "MADV_HUGEPAGE"):
                _block.madvise(mmap.MADV_HUGEPAGE)
        array: Array = np.ndarray(shape, dtype, buffer=_block)
        _holder = weakref.ref(array)
        return array
