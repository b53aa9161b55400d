"""IntGrid: which integers may be used."""

import dataclasses
import pickle

import numpy as np
import pytest

import quantnotes as qn
from quantnotes import INT8, UINT8, IntGrid

# Smallest code, largest code and dtype of the ONNX integer types (onnx.ai, "Data types"); the narrow grid
# leaves out -128. Types below 8 bits live in a byte of the same sign.
NAMED = {
    "INT2": (-2, 1, np.int8),
    "UINT2": (0, 3, np.uint8),
    "INT4": (-8, 7, np.int8),
    "UINT4": (0, 15, np.uint8),
    "INT8": (-128, 127, np.int8),
    "INT8_NARROW": (-127, 127, np.int8),
    "UINT8": (0, 255, np.uint8),
    "INT16": (-32768, 32767, np.int16),
    "UINT16": (0, 65535, np.uint16),
}


@pytest.mark.parametrize(("name", "qmin", "qmax", "dtype"), [(k, *v) for k, v in NAMED.items()])
def test_named_grids(name, qmin, qmax, dtype):
    grid = getattr(qn, name)
    assert (grid.qmin, grid.qmax) == (qmin, qmax)
    assert grid.dtype == np.dtype(dtype)
    assert grid.codes == qmax - qmin + 1


@pytest.mark.parametrize("bits", range(2, 17))
def test_of_counts_in_twos_complement(bits):
    half = 2 ** (bits - 1)
    assert IntGrid.of(bits) == IntGrid(-half, half - 1)
    assert IntGrid.of(bits, signed=True, narrow=True) == IntGrid(-half + 1, half - 1)
    assert IntGrid.of(bits, signed=False) == IntGrid(0, 2**bits - 1)


def test_of_gives_the_named_grids():
    assert IntGrid.of(8) == INT8
    assert IntGrid.of(8, narrow=True) == qn.INT8_NARROW
    assert IntGrid.of(16, False) == qn.UINT16


@pytest.mark.parametrize(
    ("qmin", "qmax", "dtype"),
    [
        (-128, 1, np.int8),
        (-129, 1, np.int16),
        (-1, 127, np.int8),
        (-1, 128, np.int16),
        (0, 128, np.uint8),
        (0, 255, np.uint8),
        (0, 32768, np.uint16),
        (-1, 32767, np.int16),
    ],
)
def test_dtype_is_the_smallest_that_holds_both_ends(qmin, qmax, dtype):
    assert IntGrid(qmin, qmax).dtype == np.dtype(dtype)


@pytest.mark.parametrize(("qmin", "qmax"), [(0, 256), (-300, 300), (0, 1), (-5, 9)])
def test_dtype_holds_both_ends(qmin, qmax):
    info = np.iinfo(IntGrid(qmin, qmax).dtype)
    assert info.min <= qmin
    assert info.max >= qmax
    assert info.bits == (16 if qmax > 255 else 8)


@pytest.mark.parametrize(
    ("qmin", "qmax"),
    [
        (5, 5),
        (0, 0),
        (5, -5),
        (127, -128),
        (1, 5),
        (-5, -1),
        (-5, 0),
        (0, 2**16),
        (-(2**15) - 1, 5),
        (-1, 2**15),
    ],
)
def test_ends_that_make_no_grid(qmin, qmax):
    """qmin >= qmax, 0 outside the grid, or neither int16 nor uint16 holds it."""
    with pytest.raises(ValueError, match=str(qmin)):
        IntGrid(qmin, qmax)


@pytest.mark.parametrize("bits", [0, -1, 17, 32])
def test_bits_that_make_no_grid(bits):
    with pytest.raises(ValueError, match=str(bits)):
        IntGrid.of(bits)


def test_unsigned_has_no_narrow_form():
    with pytest.raises(ValueError, match="narrow"):
        IntGrid.of(8, signed=False, narrow=True)


@pytest.mark.parametrize("narrow", [5, -1, np.int8(-128), np.True_])
def test_narrow_is_yes_or_no(narrow):
    """It was added to qmin as the number that it is."""
    assert IntGrid.of(8, narrow=narrow) == qn.INT8_NARROW


@pytest.mark.parametrize(
    ("qmin", "qmax"), [(0.0, 255), (0, 2.5), ("0", 15), (None, 7), (0, 255.0), (False, True), (0, np.True_)]
)
def test_ends_must_be_integers(qmin, qmax):
    with pytest.raises(TypeError):
        IntGrid(qmin, qmax)


@pytest.mark.parametrize("bits", [8.0, "8", None])
def test_bits_must_be_an_integer(bits):
    with pytest.raises(TypeError):
        IntGrid.of(bits)


def test_numpy_integers_do_not_wrap():
    """In NumPy 2 int8(127) - int8(-128) is -1 (executorch 7289)."""
    grid = IntGrid(np.int8(-128), np.int8(127))
    assert grid.codes == 256
    assert grid == INT8
    assert hash(grid) == hash(INT8)
    assert IntGrid.of(np.uint8(8), signed=False) == UINT8


def test_is_a_frozen_value():
    with pytest.raises(dataclasses.FrozenInstanceError):
        INT8.qmin = 0
    assert IntGrid(-128, 127) == INT8 != UINT8
    assert len({IntGrid(-128, 127), INT8, UINT8}) == 2
    assert pickle.loads(pickle.dumps(INT8)) == INT8
