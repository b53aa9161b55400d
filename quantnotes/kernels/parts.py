"""An array in parts that fit the last-level cache, for work that passes over each of them twice.

The pages of a memory-mapped file are released once a part has been read, so that a file larger than memory
can be processed.

Not covered: the loops themselves, see :mod:`quantnotes.kernels.blocked`.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Place = tuple[slice, ...]

PART = 1 << 22  # elements


def parts(x: Array, size: int = PART) -> Iterator[tuple[Array, Place]]:
    """Yield views of at most `size` elements, with their places, in the order of memory: all of `x`."""
    file = _mapped_file(x) if x.size > size else None
    for place in _cut(x, size, (slice(None),) * x.ndim):
        part = x[place]
        yield part, place
        if file is not None:
            _release(part, file)


def _cut(x: Array, size: int, place: Place) -> Iterator[Place]:
    part = x[place]
    if part.size <= size:
        yield place
        return
    axis = max((i for i in range(x.ndim) if part.shape[i] > 1), key=lambda i: abs(x.strides[i]))
    step = max(1, size * x.shape[axis] // part.size)
    for start in range(0, x.shape[axis], step):
        yield from _cut(x, size, (*place[:axis], slice(start, start + step), *place[axis + 1 :]))


def _mapped_file(x: Array) -> mmap.mmap | None:
    """Return the map that `x` is a view of, unless the file lacks what was written to it."""
    owner: Any = x
    kept = False
    while isinstance(owner, np.ndarray):
        kept |= isinstance(owner, np.memmap) and owner.mode != "c"  # copy on write: not in the file
        owner = owner.base
    return owner if kept and isinstance(owner, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED") else None


def _release(part: Array, file: mmap.mmap) -> None:
    """Drop the pages of a part from this process; the system keeps them in its page cache."""
    first = np.frombuffer(file, np.uint8).ctypes.data
    start, end = (address - first for address in np.lib.array_utils.byte_bounds(part))
    start -= start % mmap.PAGESIZE
    file.madvise(mmap.MADV_DONTNEED, start, end - start)
