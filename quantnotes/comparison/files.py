"""The tensors of files, one at a time: ``.npy``, ``.npz``, ``.safetensors`` and ``.onnx``.

Tensors are mapped to memory where the format allows it, so that a file may be larger than memory. What
holds no floats (integers, float8 codes) is refused with the reason.

Not covered: pickles such as PyTorch's ``.pt``, which run code of the file when they are loaded.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import struct
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from quantnotes.comparison.roles import Role, onnx_tensors

Array = NDArray[Any]

PICKLES = (".pt", ".pth", ".bin", ".ckpt", ".pkl", ".jit")
INDEX = ".safetensors.index.json"
_IN_MEMORY = 2**26  # bytes; a larger compressed array is unpacked to a temporary file
_SLICE = 2**20  # bytes that are read at once


class NotCompared(ValueError):
    """A tensor that is not there to be compared: it holds no floats, or nothing. This is no failure."""


@dataclass(frozen=True)
class Stored:
    """A tensor in an open file."""

    name: str  # as in the file; of a .npy file its stem
    shape: tuple[int, ...]  # empty where it is unknown
    values: Callable[[], Array]  # what :meth:`read` returns, or raises
    role: Role | None = None  # what the file says the tensor is for

    @property
    def size(self) -> int:
        """Number of values."""
        return math.prod(self.shape)

    def read(self) -> Array:
        """Return the array, a view of the file where possible.

        Raises
        ------
        NotCompared
            If it holds no floats.
        ValueError
            If it cannot be read.
        ModuleNotFoundError
            If it holds bfloat16, and the package for that is missing.
        """
        with _readable():
            return self.values()


@dataclass(frozen=True)
class Source:
    """A file to be opened, how it is called, and which of its tensors are meant: all of them if None."""

    path: Path
    label: str
    names: frozenset[str] | None = None


def find_sources(path: str | os.PathLike[str]) -> list[Source]:
    """Return the files that a path means: itself, those of a folder, or the shards of an index.

    Raises
    ------
    ValueError
        If the path is empty, a folder holds none, or an index is damaged.
    """
    place = Path(path)
    if not os.fspath(path):
        raise ValueError("the name of the file is empty")
    if place.is_dir() and place.suffix.lower() not in _READERS:
        files = sorted(
            file for file in place.rglob("*") if file.suffix.lower() in _READERS and file.is_file()
        )
        if not files:
            raise ValueError(f"{place}: no file in this folder ends in {', '.join(_READERS)}")
        return [Source(file, str(file.relative_to(place))) for file in files]
    if place.name.lower().endswith(INDEX):
        return _shards(place)
    return [Source(place, place.name)]


def _shards(index: Path) -> list[Source]:
    with _readable(index.name):
        try:
            shard_of = json.loads(index.read_bytes())["weight_map"]
            names: dict[str, set[str]] = {}
            for tensor, file in shard_of.items():
                names.setdefault(file, set()).add(tensor)
        except (KeyError, TypeError, AttributeError, RecursionError):
            raise ValueError("it has no weight_map from tensors to files") from None
        if any(Path(file).name != file or "\\" in file for file in names):
            raise ValueError("it names a file outside its folder")
        if not names:
            raise ValueError("it names no tensor")
    return [Source(index.parent / file, file, frozenset(names[file])) for file in sorted(names)]


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
    ending = place.suffix.lower()
    if ending in PICKLES:
        raise ValueError(
            f"{place.name} is a pickle, which can run any code when it is loaded: save it as .safetensors"
        )
    if ending not in _READERS:
        raise ValueError(f"{place.name}: the file's ending must be one of {', '.join(_READERS)}")
    with ExitStack() as stack:
        with _readable(place.name):
            stored = _READERS[ending](place, stack)
        yield stored


@contextmanager
def _readable(name: str = "") -> Iterator[None]:
    """Turn whatever a reader says of a damaged file into a ValueError; a missing package stays one."""
    subject = f"{name} " if name else ""
    try:
        yield
    except (ModuleNotFoundError, NotCompared):
        raise
    except MemoryError:
        raise ValueError(f"{subject}cannot be read: out of memory") from None
    except Exception as error:
        raise ValueError(f"{subject}cannot be read: {error or type(error).__name__}") from error


@contextmanager
def _needed(package: str, advice: str) -> Iterator[None]:
    """Say how to install a package whose import fails."""
    try:
        yield
    except ModuleNotFoundError:
        raise ModuleNotFoundError(advice, name=package) from None


# --- NumPy --------------------------------------------------------------------------------------------------


class _Header(NamedTuple):
    """What the header of a NumPy file says, and how many bytes it takes."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    order: Literal["C", "F"]
    length: int


def _header(file: IO[bytes], size: int) -> _Header:
    """Read the header of a NumPy file of `size` bytes; ValueError if what follows is not for comparing."""
    try:
        version = np.lib.format.read_magic(file)
    except ValueError:
        raise ValueError("it is no NumPy file") from None
    first = version == (1, 0)
    read = np.lib.format.read_array_header_1_0 if first else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = read(file)
    wanted, found = math.prod(shape) * dtype.itemsize, size - file.tell()
    if dtype.hasobject:
        raise ValueError("it holds Python objects")
    if found < wanted:
        raise ValueError(f"{wanted} bytes of values expected, {found} found")
    return _Header(dtype, shape, "F" if fortran else "C", file.tell())


def _npy_file(place: Path, stack: ExitStack) -> list[Stored]:
    with place.open("rb") as file:
        dtype, shape, order, length = _header(file, place.stat().st_size)
    return [Stored(place.stem, shape, partial(_mapped, place, dtype, shape, length, order))]


def _npz_file(place: Path, stack: ExitStack) -> list[Stored]:
    archive = stack.enter_context(zipfile.ZipFile(place))
    return [_member(place, archive, info) for info in archive.infolist() if not info.is_dir()]


def _member(place: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Stored:
    is_array = info.filename.lower().endswith(".npy")

    def header() -> _Header:
        if not is_array:
            raise NotCompared("is no array")
        with archive.open(info) as file:
            return _header(file, info.file_size)

    try:
        shape = header().shape
    except Exception:  # said where the values are read
        shape = ()
    name = info.filename[: -len(".npy")] if is_array else info.filename
    return Stored(name, shape, lambda: _unpacked(place, archive, info, header()))


def _unpacked(place: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo, header: _Header) -> Array:
    """Return the array of a member; every byte has been read, so that its checksum is known to be right."""
    kind, shape, order, length = header
    dtype = _real(kind)
    with archive.open(info) as member:
        if info.compress_type == zipfile.ZIP_STORED:
            while member.read(_SLICE):
                pass
            return _mapped(place, dtype, shape, _start(archive, info) + length, order)
        if info.file_size <= _IN_MEMORY:
            values = np.frombuffer(member.read(), dtype, math.prod(shape), length)
            return values.reshape(shape, order=order)
        with tempfile.TemporaryFile() as unpacked:
            shutil.copyfileobj(member, unpacked, _SLICE)
            unpacked.flush()
            return _mapped(unpacked, dtype, shape, length, order)


def _start(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> int:
    """Return where in the archive the bytes of a member begin: after its local header."""
    file: Any = archive.fp
    file.seek(info.header_offset + 26)
    name, extra = struct.unpack("<HH", file.read(4))
    return int(info.header_offset + 30 + name + extra)


# --- safetensors --------------------------------------------------------------------------------------------


def _safetensors_file(place: Path, stack: ExitStack) -> list[Stored]:
    with _needed(
        "safetensors", 'a .safetensors file needs the package safetensors: pip install "quantnotes[cli]"'
    ):
        from safetensors import safe_open
    with safe_open(place, framework="numpy") as file:  # it checks the header, and that all bytes are there
        names = sorted(file.keys())
    with place.open("rb") as raw:
        (length,) = struct.unpack("<Q", raw.read(8))
        header = json.loads(raw.read(length))

    def stored(name: str) -> Stored:
        entry = header[name]
        shape, start = tuple(entry["shape"]), 8 + length + entry["data_offsets"][0]
        return Stored(name, shape, partial(_mapped, place, entry["dtype"], shape, start))

    return [stored(name) for name in names]


# --- ONNX ---------------------------------------------------------------------------------------------------


def _onnx_file(place: Path, stack: ExitStack) -> list[Stored]:
    with _needed("onnx", 'an .onnx file needs the package onnx: pip install "quantnotes[onnx]"'):
        import onnx
    model = onnx.load(place, load_external_data=False)

    def values(tensor: Any) -> Array:
        kind = onnx.TensorProto.DataType.Name(tensor.data_type)
        dtype, shape = _real(kind), tuple(tensor.dims)
        if tensor.data_location != onnx.TensorProto.EXTERNAL:
            return np.asarray(onnx.numpy_helper.to_array(tensor))
        where = {entry.key: entry.value for entry in tensor.external_data}
        file = where["location"]
        if Path(file).name != file or "\\" in file:
            raise ValueError("its values are in a file outside the model's folder")
        size = (place.parent / file).stat().st_size
        start = int(where.get("offset", 0))
        length = int(where.get("length", size - start))
        if start < 0 or length < 0 or start + length > size:
            raise ValueError(f"{file} ends before its values do")
        if length != math.prod(shape) * dtype.itemsize:
            raise ValueError(f"{math.prod(shape)} values of {kind} expected in {length} bytes")
        return _mapped(place.parent / file, dtype, shape, start)

    return [
        Stored(name, tuple(tensor.dims), partial(values, tensor), role)
        for name, tensor, role in onnx_tensors(model.graph)
    ]


_READERS: dict[str, Callable[[Path, ExitStack], list[Stored]]] = {
    ".npy": _npy_file,
    ".npz": _npz_file,
    ".safetensors": _safetensors_file,
    ".onnx": _onnx_file,
}


# --- types --------------------------------------------------------------------------------------------------

_TYPES = {  # the names of safetensors, and those of ONNX
    **{"F16": "<f2", "F32": "<f4", "F64": "<f8", "BF16": "V2"},
    **{"FLOAT16": "<f2", "FLOAT": "<f4", "DOUBLE": "<f8", "BFLOAT16": "V2"},
}


def _real(kind: str | np.dtype[Any]) -> np.dtype[Any]:
    """Return the type that a file names, NotCompared if it is none of floats.

    NumPy writes bfloat16, and no other type of two bytes, as V2.
    """
    dtype: np.dtype[Any] = np.dtype(_TYPES.get(kind, "O")) if isinstance(kind, str) else kind
    if dtype.name == "bfloat16" or (dtype.kind == "V" and dtype.itemsize == 2 and dtype.names is None):
        with _needed("ml_dtypes", 'holds bfloat16: pip install "quantnotes[cli]" to read it'):
            import ml_dtypes
        dtype = np.dtype(ml_dtypes.bfloat16)
        return dtype
    if dtype.kind == "f" and dtype.itemsize <= 8:
        return dtype
    raise NotCompared(f"holds {kind}: only float16, bfloat16, float32 and float64 are compared")


def _mapped(
    file: Any, kind: str | np.dtype[Any], shape: tuple[int, ...], start: int, order: Literal["C", "F"] = "C"
) -> Array:
    """Map values to memory that begin `start` bytes after the beginning of a file."""
    dtype = _real(kind)
    if not math.prod(shape):
        return np.empty(shape, dtype)  # nothing cannot be mapped
    return np.memmap(file, dtype, "r", start, shape, order)
