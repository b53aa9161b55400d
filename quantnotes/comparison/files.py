"""The tensors of a file, one at a time: ``.npy``, ``.npz`` and ``.safetensors``.

Of a file with several, each is read when it is asked for, so that no more than one need be in memory. What
holds no floats (integers, float8 codes) is refused with the reason. Left out: every other format.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Stored:
    """A tensor in an open file.

    Attributes
    ----------
    name : str
        As in the file; of a ``.npy`` file its stem.
    read : callable
        Returns the array, bfloat16 widened to float32; ValueError if it cannot, or holds no floats.
    """

    name: str
    read: Callable[[], NDArray[Any]]


@contextmanager
def open_tensors(path: str | os.PathLike[str]) -> Iterator[list[Stored]]:
    """Open a file and yield what is in it.

    Parameters
    ----------
    path : path
        Its ending says what it is.

    Raises
    ------
    ValueError
        If there is no such file, its ending is unknown, or it is damaged.
    ModuleNotFoundError
        If a package is missing that the format needs.
    """
    place = Path(path)
    if place.suffix.lower() not in _READERS:
        raise ValueError(f"{place.name}: the file's ending must be one of {', '.join(_READERS)}")
    with ExitStack() as stack:
        with _readable(place.name):
            stored = _READERS[place.suffix.lower()](place, stack)
        yield stored


@contextmanager
def _readable(name: str) -> Iterator[None]:
    """Turn whatever a reader says of a damaged file into a ValueError; a missing package stays one."""
    try:
        yield
    except ModuleNotFoundError:
        raise
    except (Exception, MemoryError) as error:
        raise ValueError(f"{name} cannot be read: {error or type(error).__name__}") from error


def _numpy_file(place: Path, stack: ExitStack) -> list[Stored]:
    try:
        loaded = np.load(place, allow_pickle=False)
    except (UnpicklingError, ValueError) as error:
        if "pickle" in str(error):  # NumPy would advise to trust the file
            raise ValueError("it is no NumPy file, or holds Python objects") from None
        raise
    if isinstance(loaded, np.ndarray):
        return [Stored(place.stem, lambda: _floats(loaded))]
    archive = stack.enter_context(loaded)

    def read(name: str) -> NDArray[Any]:
        with _readable(name):
            x = archive[name]
        return _floats(x)

    return [Stored(name, partial(read, name)) for name in archive.files]


def _safetensors_file(place: Path, stack: ExitStack) -> list[Stored]:
    try:
        from safetensors import safe_open
    except ModuleNotFoundError:
        raise ModuleNotFoundError(
            'a .safetensors file needs the package safetensors: pip install "quantnotes[cli]"',
            name="safetensors",
        ) from None
    file = stack.enter_context(safe_open(place, framework="numpy"))

    def read(name: str) -> NDArray[Any]:
        dtype = file.get_slice(name).get_dtype()
        if dtype == "BF16":
            _need_bfloat16()
        elif dtype not in ("F16", "F32", "F64"):
            raise _no_floats(dtype)
        with _readable(name):
            x = file.get_tensor(name)
        return _floats(x)

    return [Stored(name, partial(read, name)) for name in sorted(file.keys())]


_READERS: dict[str, Callable[[Path, ExitStack], list[Stored]]] = {
    ".npy": _numpy_file,
    ".npz": _numpy_file,
    ".safetensors": _safetensors_file,
}


def _need_bfloat16() -> None:
    try:
        import ml_dtypes  # noqa: F401  # NumPy knows bfloat16 by it
    except ModuleNotFoundError:
        raise ValueError('holds bfloat16: pip install "quantnotes[cli]" to read it') from None


def _floats(x: NDArray[Any]) -> NDArray[Any]:
    if x.dtype.name == "bfloat16":
        return x.astype(np.float32)
    if x.dtype.kind != "f":
        raise _no_floats(str(x.dtype))
    return x


def _no_floats(dtype: str) -> ValueError:
    return ValueError(f"holds {dtype}: only float16, bfloat16, float32 and float64 are compared")
