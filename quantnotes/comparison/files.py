"""The tensors of files, one at a time: ``.npy``, ``.npz``, ``.safetensors`` and ``.onnx``.

Tensors are mapped to memory where the format allows it, so that a file may be larger than memory. What
holds no floats (integers, float8 codes) is refused with the reason.

Not covered: pickles such as PyTorch's ``.pt``, which run code of the file when they are loaded.
"""

from __future__ import annotations

import json
import math
import os
import struct
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from quantnotes.comparison.roles import Role, onnx_roles

Array = NDArray[Any]

PICKLES = (".pt", ".pth", ".bin", ".ckpt", ".pkl", ".jit")
INDEX = ".safetensors.index.json"
_IN_MEMORY = 2**26  # bytes; a larger compressed array is unpacked to a temporary file
_SLICE = 2**20  # bytes that are read at once


class NotCompared(ValueError):
    """A tensor that is not there to be compared: it holds no floats, or nothing. This is no failure."""


@dataclass(frozen=True)
class Stored:
    """A tensor in an open file.

    Attributes
    ----------
    name : str
        As in the file; of a ``.npy`` file its stem.
    shape : tuple of int
        Empty where it is unknown.
    read : callable
        Returns the array, a view of the file where possible. `NotCompared` if it holds no floats,
        ValueError if it cannot be read.
    role : Role, optional
        What the file says the tensor is for.
    """

    name: str
    shape: tuple[int, ...]
    read: Callable[[], Array]
    role: Role | None = None

    @property
    def size(self) -> int:
        """Number of values."""
        return math.prod(self.shape)


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


# --- NumPy --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Layout:
    """What the header of a NumPy file says, and how many bytes it takes."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    fortran: bool
    header: int

    @classmethod
    def of(cls, file: IO[bytes]) -> _Layout:
        try:
            version = np.lib.format.read_magic(file)
        except ValueError:
            raise ValueError("it is no NumPy file") from None
        read = (
            np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        )
        shape, fortran, dtype = read(file)
        return cls(dtype, shape, fortran, file.tell())

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize

    def check(self, available: int) -> None:
        """Raise if the values are not for comparing, or are not all there."""
        if self.dtype.hasobject:
            raise ValueError("it holds Python objects")
        if available < self.header + self.nbytes:
            raise ValueError(f"{self.nbytes} bytes of values expected, {available - self.header} found")

    def map(self, file: Any, start: int) -> Array:
        """Map the values, which begin `start` bytes after the beginning of the file."""
        if not self.nbytes:
            return np.empty(self.shape, self.dtype)
        order: Any = "F" if self.fortran else "C"
        return np.memmap(file, self.dtype, "r", start, self.shape, order)


def _npy_file(place: Path, stack: ExitStack) -> list[Stored]:
    with place.open("rb") as file:
        layout = _Layout.of(file)
    layout.check(place.stat().st_size)

    def read() -> Array:
        _only_floats(layout.dtype)
        with _readable():
            return _reals(layout.map(place, layout.header))

    return [Stored(place.stem, layout.shape, read)]


def _npz_file(place: Path, stack: ExitStack) -> list[Stored]:
    archive = stack.enter_context(zipfile.ZipFile(place))
    return [_member(place, archive, info) for info in archive.infolist() if not info.is_dir()]


def _member(place: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Stored:
    if not info.filename.lower().endswith(".npy"):
        return Stored(info.filename, (), partial(_refuse, NotCompared("is no array")))
    name = info.filename[: -len(".npy")]
    try:
        with archive.open(info) as file:
            layout = _Layout.of(file)
        layout.check(info.file_size)
    except Exception as error:
        return Stored(
            name, (), partial(_refuse, ValueError(f"cannot be read: {error or type(error).__name__}"))
        )

    def read() -> Array:
        _only_floats(layout.dtype)
        with _readable():
            return _reals(_unpacked(place, archive, info, layout))

    return Stored(name, layout.shape, read)


def _refuse(error: ValueError) -> Array:
    raise error


def _unpacked(place: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo, layout: _Layout) -> Array:
    """Return the array of a member; every byte has been read, so that its checksum is known to be right."""
    stored = info.compress_type == zipfile.ZIP_STORED
    with ExitStack() as stack:
        member = stack.enter_context(archive.open(info))
        into: IO[bytes] | None = None
        if not stored and layout.nbytes > _IN_MEMORY:
            into = stack.enter_context(tempfile.TemporaryFile())
        kept = bytearray()
        while piece := member.read(_SLICE):
            if into is not None:
                into.write(piece)
            elif not stored:
                kept += piece
        if into is not None:
            into.flush()
            return layout.map(into, layout.header)
        if stored:
            return layout.map(place, _start(archive, info) + layout.header)
    values = np.frombuffer(kept, layout.dtype, math.prod(layout.shape), layout.header)
    return values.reshape(layout.shape, order="F" if layout.fortran else "C")


def _start(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> int:
    """Return where in the archive the bytes of a member begin: after its local header."""
    file: Any = archive.fp
    file.seek(info.header_offset + 26)
    name, extra = struct.unpack("<HH", file.read(4))
    return int(info.header_offset + 30 + name + extra)


# --- safetensors --------------------------------------------------------------------------------------------


def _safetensors_file(place: Path, stack: ExitStack) -> list[Stored]:
    try:
        from safetensors import safe_open
    except ModuleNotFoundError:
        raise ModuleNotFoundError(
            'a .safetensors file needs the package safetensors: pip install "quantnotes[cli]"',
            name="safetensors",
        ) from None
    with safe_open(place, framework="numpy") as file:  # it checks the header, and that all bytes are there
        names = sorted(file.keys())
    with place.open("rb") as raw:
        (length,) = struct.unpack("<Q", raw.read(8))
        header = json.loads(raw.read(length))

    def read(entry: dict[str, Any]) -> Array:
        begin, end = entry["data_offsets"]
        return _decoded(entry["dtype"], entry["shape"], place, 8 + length + begin, end - begin)

    return [Stored(name, tuple(header[name]["shape"]), partial(read, header[name])) for name in names]


_TYPES = {"F16": "<f2", "F32": "<f4", "F64": "<f8", "BF16": "<u2"}


def _decoded(kind: str, shape: list[int], place: Path, start: int, length: int) -> Array:
    """Map the values of a type that safetensors names."""
    if kind not in _TYPES:
        raise _no_floats(kind)
    dtype = np.dtype(_TYPES[kind])
    if length != math.prod(shape) * dtype.itemsize:
        raise ValueError(f"{math.prod(shape)} values of {kind} expected in {length} bytes")
    values = _Layout(dtype, tuple(shape), False, 0).map(place, start)
    return values.view(_bfloat16()) if kind == "BF16" else values


# --- ONNX ---------------------------------------------------------------------------------------------------


def _onnx_file(place: Path, stack: ExitStack) -> list[Stored]:
    try:
        import onnx
    except ModuleNotFoundError:
        raise ModuleNotFoundError(
            'an .onnx file needs the package onnx: pip install "quantnotes[onnx]"', name="onnx"
        ) from None
    model = onnx.load(place, load_external_data=False)
    roles = onnx_roles(model.graph)

    def read(tensor: Any) -> Array:
        kind = onnx.TensorProto.DataType.Name(tensor.data_type)
        if kind not in _ONNX_TYPES:
            raise _no_floats(kind)
        with _readable():
            if tensor.data_location == onnx.TensorProto.EXTERNAL:
                where = {entry.key: entry.value for entry in tensor.external_data}
                file = where["location"]
                if Path(file).name != file or "\\" in file:
                    raise ValueError("its values are in a file outside the model's folder")
                size = (place.parent / file).stat().st_size
                start = int(where.get("offset", 0))
                length = int(where.get("length", size - start))
                if start < 0 or length < 0 or start + length > size:
                    raise ValueError(f"{file} ends before its values do")
                return _decoded(_ONNX_TYPES[kind], list(tensor.dims), place.parent / file, start, length)
            return _reals(np.asarray(onnx.numpy_helper.to_array(tensor)))

    return [
        Stored(name, tuple(tensor.dims), partial(read, tensor), roles.get(name))
        for name, tensor in _initializers(model.graph)
    ]


_ONNX_TYPES = {"FLOAT": "F32", "FLOAT16": "F16", "DOUBLE": "F64", "BFLOAT16": "BF16"}


def _initializers(graph: Any) -> Iterator[tuple[str, Any]]:
    """Yield the names and tensors of a graph, those of its constants and of its branches among them."""
    for tensor in graph.initializer:
        yield tensor.name, tensor
    for node in graph.node:
        for attribute in node.attribute:
            if node.op_type == "Constant" and attribute.HasField("t"):
                yield node.output[0], attribute.t
            for branch in [*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs]:
                yield from _initializers(branch)


_READERS: dict[str, Callable[[Path, ExitStack], list[Stored]]] = {
    ".npy": _npy_file,
    ".npz": _npz_file,
    ".safetensors": _safetensors_file,
    ".onnx": _onnx_file,
}


# --- types --------------------------------------------------------------------------------------------------


def _bfloat16() -> np.dtype[Any]:
    try:
        import ml_dtypes
    except ModuleNotFoundError:
        raise ValueError('holds bfloat16: pip install "quantnotes[cli]" to read it') from None
    found: np.dtype[Any] = np.dtype(ml_dtypes.bfloat16)
    return found


def _only_floats(dtype: np.dtype[Any]) -> None:
    """Raise unless `dtype` is compared. NumPy writes bfloat16, and no other type of two bytes, as V2."""
    if dtype.kind == "f" and dtype.itemsize <= 8:
        return
    if _is_bfloat16(dtype):
        _bfloat16()
        return
    raise _no_floats(str(dtype))


def _is_bfloat16(dtype: np.dtype[Any]) -> bool:
    return dtype.name == "bfloat16" or (dtype.kind == "V" and dtype.itemsize == 2 and dtype.names is None)


def _reals(x: Array) -> Array:
    _only_floats(x.dtype)
    return x.view(_bfloat16()) if x.dtype.kind == "V" and x.dtype.name != "bfloat16" else x


def _no_floats(dtype: str) -> NotCompared:
    return NotCompared(f"holds {dtype}: only float16, bfloat16, float32 and float64 are compared")
