"""Memory for results: large ones are written where an earlier result is no longer needed.

Memory that is new to a process costs as much as quantizing into it: the system has to clear each page. What
the C library gets back it hands out again only up to 32 MB (glibc), and more than that it returns to the
system. So two blocks of at most 64 MB are kept here, and lent again as soon as nothing refers to the result
that had them: two, because a loop still holds its last result while it makes the next. (ONNX Runtime's
arena, and PyTorch's allocator on a GPU, keep all that they ever had.)
"""

from __future__ import annotations

import math
import mmap
import os
import threading
import weakref
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

LEAST, MOST = 1 << 25, 1 << 26  # bytes


@dataclass(frozen=True, eq=False)
class _Block:
    memory: mmap.mmap
    holder: weakref.ref[Array]  # who has it


_lock = threading.Lock()
_blocks: list[_Block] = []  # what is kept


def _forget_the_lock() -> None:
    global _lock
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_the_lock)  # a thread that is not in the child may have held it


def empty_like(x: Array, dtype: np.dtype[Any]) -> Array:
    """Return an array of the shape of `x`, its axes in the same order in memory, with arbitrary values."""
    if not LEAST <= x.size * dtype.itemsize <= MOST or not hasattr(mmap, "MAP_PRIVATE"):
        return np.empty_like(x, dtype, subok=False)
    order = sorted(range(x.ndim), key=lambda axis: -abs(x.strides[axis]))
    turned = _lend([x.shape[axis] for axis in order], dtype)
    return turned.transpose(np.argsort(order))


def _lend(shape: list[int], dtype: np.dtype[Any]) -> Array:
    """Return an array in a block that is kept and free, or in a new one; kept, if there are less than two.

    Whatever is made of the array refers to it, since NumPy looks no further than to an owner of another
    type: as long as it lives, somebody may look at its memory.
    """
    size = math.prod(shape) * dtype.itemsize
    with _lock:
        free = [block for block in _blocks if block.holder() is None]
        fitting = [block for block in free if len(block.memory) >= size]
        memory = fitting[0].memory if fitting else _new(size)
        _blocks[:] = [block for block in _blocks if block not in (fitting[:1] or free)]
        array: Array = np.ndarray(shape, dtype, buffer=memory)
        if len(_blocks) < 2:
            _blocks.append(_Block(memory, weakref.ref(array)))
        return array


def _new(size: int) -> mmap.mmap:
    """Return memory of a block. Private: a forked child gets a copy, as of any other memory."""
    memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        memory.madvise(mmap.MADV_HUGEPAGE)
    return memory
