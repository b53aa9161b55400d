"""The loops of the searches: both kinds give the same bits, and the errors that parameters really cause."""

import numpy as np
import pytest
import reference

from quantnotes import (
    INT4,
    INT8,
    UINT4,
    Histogram,
    IntGrid,
    asymmetric_params,
    fake_quantize,
    symmetric_params,
)
from quantnotes.histogram import Masses
from quantnotes.kernels import search
from quantnotes.mse import _groups, _price_of_masses, mse_range, ranges_of

GRIDS = [IntGrid.of(2), INT4, UINT4, INT8, IntGrid(-1, 9)]


def rows_of(dtype, values, groups=3):
    return np.random.default_rng(values).uniform(-1, 1, (groups, values)).astype(dtype)


def candidates(groups, number=17):
    rng = np.random.default_rng(number)
    scale = rng.uniform(0.01, 0.4, (groups, number))
    zero = rng.integers(-8, 8, (groups, number))
    return scale, -8.0 - zero, 7.0 - zero


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("values", [1, 2, 5, 1023, 1024, 1029, 3000])
def test_row_errors_have_the_same_bits_on_both_loops(monkeypatch, dtype, values):
    pytest.importorskip("numba")
    found = []
    for loops in ("numpy", "numba"):
        monkeypatch.setenv("QUANTNOTES_KERNELS", loops)
        found.append(search.row_errors(rows_of(dtype, values), *candidates(3)))
    np.testing.assert_array_equal(*found)


def masses_of(sizes):
    """Groups of bins and single values, in turn."""
    rng = np.random.default_rng(len(sizes))
    starts = np.concatenate([[0], np.cumsum(sizes)])
    places, widths = rng.uniform(-1, 0.9, starts[-1]), rng.choice([0, 1e-12, 0.01, 0.1], starts[-1])
    return places, widths, rng.integers(1, 9, starts[-1]).astype(np.float64), starts


@pytest.mark.parametrize("sizes", [[1], [1, 127, 128], [300, 2, 129]], ids=str)
def test_mass_errors_have_the_same_bits_on_both_loops(monkeypatch, sizes):
    pytest.importorskip("numba")
    places, widths, counts, starts = masses_of(sizes)
    found = []
    for loops in ("numpy", "numba"):
        monkeypatch.setenv("QUANTNOTES_KERNELS", loops)
        found.append(search.mass_errors(places, *candidates(len(sizes)), widths, counts, starts))
    np.testing.assert_array_equal(*found)


@pytest.mark.parametrize("scheme", ["asymmetric", "symmetric"])
@pytest.mark.parametrize("grid", [INT4, INT8])
def test_a_search_ends_at_the_same_bits_on_both_loops(monkeypatch, grid, scheme):
    pytest.importorskip("numba")
    rows = rows_of(np.float32, 700, 20)
    masses = Histogram().update(rows_of(np.float32, 5000)).masses()
    found = []
    for loops in ("numpy", "numba"):
        monkeypatch.setenv("QUANTNOTES_KERNELS", loops)
        found.append([*mse_range(rows, grid, scheme, axis=0), *ranges_of(masses, grid, scheme)])
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.usefixtures("both_kernels")
@pytest.mark.parametrize("grid", GRIDS)
def test_row_errors_are_those_of_fake_quantize(grid):
    x = rows_of(np.float64, 2000, 1)
    ends = np.linspace(0.1, 1, 12)
    params = asymmetric_params(-ends, ends[::-1], grid, axis=0)
    limits = grid.qmin - params.zero_point[None], grid.qmax - params.zero_point[None]
    found = search.row_errors(x, params.scale[None], *map(np.float64, limits))
    for i, error in enumerate(found[0]):
        one = asymmetric_params(-ends[i], ends[::-1][i], grid)
        assert error == pytest.approx(np.sum((x - fake_quantize(x, one, dtype=x.dtype)) ** 2), rel=1e-9)


@pytest.mark.usefixtures("both_kernels")
@pytest.mark.parametrize("grid", GRIDS)
def test_mass_errors_are_the_integral(grid):
    h = Histogram(64).update(np.random.default_rng(0).normal(0.2, 0.5, 3000))
    edges = h.edges
    edges[0], edges[-1] = h.min, h.max
    low, high = np.linspace(h.min, -0.1, 12), np.linspace(0.1, h.max, 12)
    groups = _groups(np.array([h.min]), np.array([h.max]), grid, "asymmetric", np.array([False]))
    masses = Masses(edges[:-1], np.diff(edges), h.counts, np.array([0, h.counts.size]))
    found = _price_of_masses(masses, groups.exponent)(*groups.codes(low[None], high[None]))
    unit = 2.0 ** (2 * int(groups.exponent[0, 0]))
    for i, error in enumerate(found[0]):
        params = asymmetric_params(low[i], high[i], grid)
        expected = reference.squared_error_of_masses(masses, params)
        assert error * unit == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("scheme", ["asymmetric", "symmetric"])
def test_candidates_have_the_parameters_that_will_be_made(grid, scheme):
    if scheme == "symmetric" and grid.qmin > -grid.qmax:
        grid = IntGrid(-grid.qmax, grid.qmax)
    rng = np.random.default_rng(4)
    for magnitude in (1.0, 3e-5, 7e20):
        low, high = -magnitude * rng.random((1, 50)), magnitude * rng.random((1, 50))
        groups = _groups(low.min(axis=1), high.max(axis=1), grid, scheme, np.zeros(len(low), bool))
        scale, least, most = groups.codes(low, high)
        make = asymmetric_params if scheme == "asymmetric" else symmetric_params
        params = make(low[0], high[0], grid, axis=0)
        np.testing.assert_array_equal(np.ldexp(scale, groups.exponent)[0], params.scale)
        np.testing.assert_array_equal(least[0], grid.qmin - params.zero_point)
        np.testing.assert_array_equal(most[0], grid.qmax - params.zero_point)
