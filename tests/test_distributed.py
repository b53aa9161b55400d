"""Dask arrays: the same bits as on one machine, whatever the chunks and whoever computes them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantnotes import INT8, INT8_NARROW, UINT8, Calibrator, Histogram

dask = pytest.importorskip("dask")
da = pytest.importorskip("dask.array")
diagnostics = pytest.importorskip("dask.diagnostics")
distributed = pytest.importorskip("distributed")
ours = pytest.importorskip("quantnotes.distributed")

pytestmark = pytest.mark.extras
calibrate, histogram = ours.calibrate, ours.histogram

X = np.random.default_rng(0).standard_normal((40, 30, 20)).astype(np.float32)
X *= np.linspace(1, 9, 30, dtype=np.float32)[:, None]
CHUNKS = [(40, 30, 20), (7, 30, 20), (40, 7, 20), (9, 8, 7), ((1, 39), (30,), (5, 15))]


@pytest.fixture
def client():
    """Two processes, as they might be two machines; Dask's default while it is open."""
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


# --- the same bits ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheduler", ["synchronous", "threads"])
@pytest.mark.parametrize("chunks", CHUNKS, ids=str)
def test_a_histogram_has_the_same_bits(scheduler, chunks):
    with dask.config.set(scheduler=scheduler):
        assert histogram(da.from_array(X, chunks), 100) == Histogram(100).update(X)


@pytest.mark.parametrize("chunks", CHUNKS, ids=str)
@pytest.mark.parametrize("axis", [None, 0, 1, -1, (0, 2), (2, -2)])
def test_calibrate_has_the_same_bits(chunks, axis):
    for method, options in [("minmax", {}), ("percentile", {"percentile": 99.0})]:
        expected = Calibrator(method, INT8, axis=axis, **options).observe(X).params()
        assert calibrate(da.from_array(X, chunks), method, INT8, axis=axis, **options) == expected


def test_channels_stay_whole_where_chunks_are_small():
    expected = Calibrator("minmax", INT8, axis=1).observe(X).params()
    with dask.config.set({"scheduler": "synchronous", "array.chunk-size": "4kiB"}):
        assert calibrate(da.from_array(X, (9, 8, 7)), "minmax", INT8, axis=1) == expected


@given(st.lists(st.integers(1, 9), min_size=1, max_size=30))
def test_any_chunks_give_the_same_bits(lengths):
    x = np.ldexp(np.random.default_rng(1).standard_normal(sum(lengths)), range(sum(lengths)))
    with dask.config.set(scheduler="synchronous"):
        assert histogram(da.from_array(x, (tuple(lengths),)), 8) == Histogram(8).update(x)


def test_processes_have_the_same_bits():
    with dask.config.set(scheduler="processes", num_workers=2):
        assert histogram(da.from_array(X, (20, 15, 20))) == Histogram().update(X)


def test_a_cluster_has_the_same_bits(client):
    x = da.from_array(X, (9, 8, 7)).persist()
    with distributed.get_task_stream(client) as stream:
        assert histogram(x) == Histogram().update(X)
    assert len({task["worker"] for task in stream.data}) == 2
    expected = Calibrator("mse", INT8_NARROW, "symmetric", axis=1).observe(X).params()
    assert calibrate(x, "mse", INT8_NARROW, "symmetric", axis=1) == expected
    assert histogram(x) == Histogram().update(X)  # once more: the parts that Dask keeps are as they were


def test_data_that_are_made_chunk_by_chunk():
    """Nothing is held but a chunk or two and the histograms."""
    x = da.random.default_rng(0).standard_normal((1 << 21,), chunks=1 << 16, dtype=np.float32)
    with dask.config.set(scheduler="threads"):
        assert histogram(x) == Histogram().update(x.compute())


# --- what else it does --------------------------------------------------------------------------------------


def test_dask_s_own_progress_sees_the_tree():
    class Tasks(diagnostics.Callback):
        def __init__(self):
            super().__init__(posttask=lambda key, *_: self.done.append(key))
            self.done = []

    with Tasks() as tasks:
        histogram(da.ones(640, chunks=10))
    merges = [key for key in tasks.done if str(key).startswith("_merged")]
    assert len(merges) == 8 + 1  # 64 histograms, eight at a time


def test_nan_and_empty_chunks():
    x = np.float32([1.0, np.nan, np.nan, 4.0, np.nan])
    chunked = da.from_array(x, 2)
    assert histogram(chunked, nan="ignore") == Histogram().update([1.0, 4.0])
    assert calibrate(chunked, nan="ignore") == Calibrator("minmax").observe([1.0, 4.0]).params()
    with pytest.raises(ValueError, match="NaN"):
        histogram(chunked)
    with pytest.raises(ValueError, match="NaN"):
        calibrate(chunked)
    assert histogram(chunked[chunked > 3]).n == 1  # chunks of unknown lengths, some of them empty
    assert histogram(da.zeros((0, 3))) == Histogram()
    with pytest.raises(ValueError, match="observe"):
        calibrate(da.zeros(0))


@pytest.mark.parametrize("call", [histogram, calibrate])
@pytest.mark.parametrize("x", [X, [1.0], None, dask.delayed(X)], ids=["array", "list", "none", "delayed"])
def test_what_is_no_dask_array(call, x):
    with pytest.raises(TypeError, match="Dask array"):
        call(x)


def test_arguments_are_checked_before_anything_is_computed():
    def never(block):
        raise AssertionError("computed")

    x = da.ones((4, 4), chunks=2).map_blocks(never, dtype=float, meta=np.zeros((0, 0)))
    for error, arguments in [
        (ValueError, {"method": "best"}),
        (ValueError, {"scheme": "lopsided"}),
        (ValueError, {"axis": 2}),
        (ValueError, {"nan": "drop"}),
        (TypeError, {"grid": 8}),
        (TypeError, {"method": "minmax", "percentile": 99}),
    ]:
        with pytest.raises(error):
            calibrate(x, **arguments)
    for error, arguments in [(ValueError, {"max_bins": 1}), (ValueError, {"nan": "drop"})]:
        with pytest.raises(error):
            histogram(x, **arguments)


def test_unsigned_grid():
    assert calibrate(da.arange(256, chunks=100), grid=UINT8).scale == 1


def test_every_setting_reaches_the_calibrators():
    expected = Calibrator("percentile", UINT8, max_bins=4, percentile=60.0).observe(X**2).params()
    assert calibrate(da.from_array(X**2, 11), "percentile", UINT8, max_bins=4, percentile=60.0) == expected
    assert expected != Calibrator("percentile", UINT8, percentile=60.0).observe(X**2).params()


def test_merging_leaves_the_parts_as_they_are():
    """They are Dask's, and may be used again."""
    parts = [Histogram().update([value]) for value in (1.0, 2.0)]
    assert ours._merged(Histogram(), parts) == Histogram().update([1.0, 2.0])
    assert parts == [Histogram().update([value]) for value in (1.0, 2.0)]


def test_blocks_are_refused():
    with pytest.raises(TypeError, match="block_size"):
        calibrate(da.ones((4, 4)), axis=1, block_size=2)
