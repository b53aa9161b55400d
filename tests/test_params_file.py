"""Parameters as dicts and in JSON files: equal after a round trip, and errors that say what is wrong."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import grids, scales

from quantnotes import INT8, UINT4, IntGrid, QuantParams, load_params, save_params

P = QuantParams(0.1, 3, INT8)
PER_CHANNEL = QuantParams([0.1, 1 / 3], [3, -1], INT8, axis=-1)
TWO_AXES = QuantParams([[0.1, 0.2]], [[3, -1]], IntGrid(-8, 7), axis=(0, 2))
BLOCKED = QuantParams([[0.1, 0.2]], [[3, 0]], UINT4, axis=(0, 1), block_size=(4, 2))


@st.composite
def any_params(draw):
    grid, shape = draw(grids), draw(st.sampled_from([(), (1,), (3,), (2, 3)]))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    scale = rng.choice(draw(st.lists(scales, min_size=1, max_size=4)), shape)
    zero = rng.integers(grid.qmin, grid.qmax, shape, endpoint=True)
    axis = draw(st.sampled_from([[None], [0, -1], [(0, 1), (-1, 0)]][len(shape)]))
    block_size = draw(st.sampled_from([None, 4, (2, 3)])) if len(shape) == 2 else None
    return QuantParams(scale, zero, grid, axis, block_size)


@given(any_params())
def test_a_dict_gives_the_same_parameters_back(params):
    assert QuantParams.from_dict(params.to_dict()) == params
    assert QuantParams.from_dict(json.loads(json.dumps(params.to_dict(), allow_nan=False))) == params


@given(st.dictionaries(st.text(), any_params(), max_size=4))
def test_a_file_gives_the_same_parameters_back(tmp_path_factory, params):
    path = tmp_path_factory.mktemp("params") / "params.json"
    save_params(path, params)
    found = load_params(str(path))
    assert list(found.items()) == list(params.items())


def test_the_keys_are_the_names_of_the_arguments():
    assert P.to_dict() == {
        "scale": 0.1,
        "zero_point": 3,
        "grid": {"qmin": -128, "qmax": 127},
        "axis": None,
        "block_size": None,
    }
    assert BLOCKED.to_dict() == {
        "scale": [[0.1, 0.2]],
        "zero_point": [[3, 0]],
        "grid": {"qmin": 0, "qmax": 15},
        "axis": [0, 1],
        "block_size": [4, 2],
    }
    assert (PER_CHANNEL.to_dict()["axis"], TWO_AXES.to_dict()["axis"]) == (-1, [0, 2])


def changed(**entries):
    return {**P.to_dict(), **entries}


NO_GRID = {key: value for key, value in P.to_dict().items() if key != "grid"}


@pytest.mark.parametrize(
    ("d", "error"),
    [
        (None, TypeError),
        ([1, 2], TypeError),
        ("scale", TypeError),
        ({}, ValueError),
        (NO_GRID, ValueError),
        (changed(bits=8), ValueError),
        (changed(scale="0.1"), TypeError),
        (changed(scale=None), TypeError),
        (changed(scale=[0.1, [0.2]], axis=0), TypeError),
        (changed(scale=0.0), ValueError),
        (changed(scale=float("nan")), ValueError),
        (changed(scale=[0.1]), ValueError),
        (changed(zero_point=0.5), ValueError),
        (changed(zero_point=200), ValueError),
        (changed(axis="0"), TypeError),
        (changed(axis=0), ValueError),
        (changed(block_size=4), ValueError),
        (changed(grid=8), TypeError),
        (changed(grid="INT8"), (TypeError, ValueError)),
        (changed(grid={"qmin": -128}), ValueError),
        (changed(grid={"qmin": -128, "qmax": 127.5}), TypeError),
        (changed(grid={"qmin": 3, "qmax": 1}), ValueError),
    ],
)
def test_dicts_that_are_none_of_ours(tmp_path, d, error):
    with pytest.raises(error):
        QuantParams.from_dict(d)
    path = tmp_path / "params.json"
    path.write_text(json.dumps({"fine": P.to_dict(), "the tensor": d}))
    with pytest.raises(error, match="the tensor"):
        load_params(path)


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"3", b'"text"', b"null", b"\xff\xfe", b"\x93NUMPY", b"[" * 100_000],
    ids=["empty", "cut off", "list", "number", "text", "null", "no UTF-8", "npy", "deep"],
)
def test_files_that_are_none_of_ours(tmp_path, content):
    path = tmp_path / "params.json"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"params\.json"):
        load_params(path)


@pytest.mark.parametrize("params", [None, P, [P], {"x": 0.1}, {1: P}, {"x": P.to_dict()}])
def test_what_cannot_be_saved_leaves_no_file(tmp_path, params):
    with pytest.raises(TypeError, match=r"params|name|QuantParams"):
        save_params(tmp_path / "params.json", params)
    assert not list(tmp_path.iterdir())


def test_a_file_is_replaced(tmp_path):
    path = tmp_path / "params.json"
    save_params(path, {"a": P, "b": BLOCKED})
    save_params(path, {"c": PER_CHANNEL})
    assert load_params(path) == {"c": PER_CHANNEL}


def test_axes_are_kept_as_they_were_written():
    """The rank is not known, so that -1 and 1 stay different."""
    last, second = (QuantParams([0.1], [0], IntGrid(-1, 1), axis=axis) for axis in (-1, 1))
    assert last != second
    assert QuantParams.from_dict(last.to_dict()) == last != second
