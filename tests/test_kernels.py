"""The array loops: which of them run when, and that the fused ones give the bits of the blocked ones."""

import itertools
import os
import shutil
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import numpy as np
import pytest
from reference import assert_same_bits
from strategies import LAYOUTS

import quantnotes
from quantnotes import INT8, Histogram, QuantParams, kernels, minmax_range, quantize
from quantnotes.kernels import blocked

pytestmark = pytest.mark.extras

PACKAGE = Path(quantnotes.__file__).parent
F4, F8 = np.dtype(np.float32), np.dtype(np.float64)
REALS = [F4, F8]
CODES = [np.dtype(name) for name in ("i1", "u1", "i2", "u2")]
ENDS = {dtype: (int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)) for dtype in CODES}
real = pytest.mark.parametrize("dtype", REALS, ids=str)
code = pytest.mark.parametrize("codes", CODES, ids=str)


def python(script, *, check=True, cwd=None, **environment):
    """Run a script in an interpreter of its own, warnings being errors."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("QUANTNOTES_", "NUMBA_"))}
    command = [sys.executable, "-W", "error", "-c", textwrap.dedent(script)]
    done = subprocess.run(command, env=clean | environment, cwd=cwd, capture_output=True, text=True)
    assert not (check and done.returncode), done.stderr
    return done


@pytest.fixture
def fused():
    pytest.importorskip("numba")
    from quantnotes.kernels import fused

    return fused


@pytest.fixture
def many_pieces(fused, monkeypatch):
    """Cut even small arrays, so that their pieces have ends everywhere."""
    from quantnotes.kernels import compiled

    monkeypatch.setattr(compiled, "PIECE", 100)
    return fused


# --- which loops run ----------------------------------------------------------------------------------------


def test_numba_waits_for_the_first_large_array():
    done = python("""
        import importlib.util, sys
        import numpy as np
        from quantnotes import INT8, Histogram, QuantParams, kernels, minmax_range, quantize
        small, large = np.ones(kernels.LARGE - 1, np.float32), np.ones(kernels.LARGE, np.float32)
        quantize(small, QuantParams(1.0, 0, INT8)), minmax_range(small), Histogram().update(small)
        assert "numba" not in sys.modules
        assert quantize(large, QuantParams(1.0, 0, INT8)).sum(dtype=int) == large.size
        print("numba" in sys.modules, importlib.util.find_spec("numba") is not None)
    """)
    imported, installed = done.stdout.split()
    assert imported == installed


def test_numpy_alone_can_be_asked_for():
    done = python(
        """
        import sys
        import numpy as np
        from quantnotes import kernels, minmax_range
        minmax_range(np.ones(kernels.LARGE))
        print("numba" in sys.modules)
        """,
        QUANTNOTES_KERNELS="numpy",
    )
    assert done.stdout.split() == ["False"]


WITHOUT_NUMBA = """
import sys
sys.modules["numba"] = None  # what import then finds
import numpy as np
from quantnotes import kernels, minmax_range
print(minmax_range(np.ones(kernels.LARGE)))
"""


def test_where_numba_is_missing_the_blocked_loops_run():
    assert python(WITHOUT_NUMBA).stdout.strip() == "Range(rmin=1.0, rmax=1.0)"


def test_asking_for_numba_where_it_is_missing_says_what_to_do():
    done = python(WITHOUT_NUMBA, check=False, QUANTNOTES_KERNELS="numba")
    assert done.returncode
    assert "ImportError: QUANTNOTES_KERNELS" in done.stderr
    assert "quantnotes[fast]" in done.stderr


@pytest.mark.parametrize("value", ["Numba", "", "fast"])
def test_a_setting_that_does_not_exist(monkeypatch, value):
    monkeypatch.setenv("QUANTNOTES_KERNELS", value)
    with pytest.raises(ValueError, match="QUANTNOTES_KERNELS"):
        quantize([1.0], QuantParams(1.0, 0, INT8))


# --- the same bits ------------------------------------------------------------------------------------------


def with_neighbours(x):
    return x, np.nextafter(x, x.dtype.type(np.inf)), np.nextafter(x, x.dtype.type(-np.inf))


def nasty(scale, dtype, seed=0):
    """Ties and their neighbours, subnormals, zeros of both signs, huge values, infinities; then normals."""
    ties = (np.arange(-300, 300) + 0.5) * dtype.type(scale)
    info = np.finfo(dtype)
    edges = np.array([0.0, info.smallest_subnormal, info.tiny, info.max, np.inf, 0.49999997, 65535.5], dtype)
    random = np.random.default_rng(seed).standard_normal(1500) * 100 * scale
    parts = [
        ties,
        np.nextafter(ties, dtype.type(np.inf)),
        np.nextafter(ties, dtype.type(-np.inf)),
        edges,
        -edges,
    ]
    return np.concatenate([*parts, random.astype(dtype)]).astype(dtype)


@real
@code
@pytest.mark.parametrize("scale", [1.0, 0.1, 1 / 3, 2.0**-126, 1e30])
def test_quantize_has_the_same_bits(many_pieces, dtype, codes, scale):
    x, (qmin, qmax) = nasty(scale, dtype), ENDS[codes]
    for zero_point in (qmin, qmax, 1):
        params = np.array(scale, dtype), np.array(zero_point, dtype)
        expected, found = np.empty(x.shape, codes), np.empty(x.shape, codes)
        assert blocked.quantize(x, *params, qmin, qmax, dtype, expected) is False
        assert many_pieces.quantize(x, *params, qmin, qmax, dtype, found) is False
        assert_same_bits(found, expected)


@real
@code
def test_dequantize_has_the_same_bits(many_pieces, dtype, codes):
    qmin, qmax = ENDS[codes]
    q = np.arange(qmin, qmax + 1).astype(codes)
    for scale, zero_point in itertools.product([0.1, 2.0**-126, 3e38], [qmin, 3, qmax]):
        params = np.array(scale, dtype), np.array(zero_point, dtype)
        expected, found = np.empty(q.shape, dtype), np.empty(q.shape, dtype)
        blocked.dequantize(q, *params, dtype, expected)
        assert many_pieces.dequantize(q, *params, dtype, found) is None
        assert_same_bits(found, expected)


@pytest.mark.parametrize("into", REALS, ids=str)
@pytest.mark.parametrize("back", REALS, ids=str)
@pytest.mark.parametrize("codes", [CODES[0], CODES[3]], ids=str)
def test_fake_quantize_has_the_same_bits(many_pieces, into, back, codes):
    qmin, qmax = ENDS[codes]
    for scale, zero_point in itertools.product([0.1, 1 / 3, 2.0**-126], [qmin, 3, qmax]):
        x = nasty(scale, into)
        call = x, np.array(scale), np.array(float(zero_point)), qmin, qmax, (into, back)
        expected, found = np.empty(x.shape, back), np.empty(x.shape, back)
        assert blocked.fake_quantize(*call, expected) is False
        assert many_pieces.fake_quantize(*call, found) is False
        assert_same_bits(found, expected)


@real
def test_minmax_has_the_same_bits(many_pieces, dtype):
    x = nasty(0.1, dtype)[:3300].reshape(4, 25, 33)
    for values in (x, np.abs(x), -np.abs(x), np.zeros_like(x), np.negative(np.zeros_like(x))):
        for axis in (None, 0, 1, 2):
            for found, expected in zip(
                many_pieces.minmax(values, dtype, axis), blocked.minmax(values, dtype, axis), strict=True
            ):
                assert_same_bits(found, expected)


@real
@pytest.mark.parametrize("sign", [1, -1])
def test_nan_is_found_wherever_it_stands(many_pieces, dtype, sign):
    """A NaN has a sign bit too; as an integer it then lies at the other end."""
    for where in (0, 1, 99, 100, 101, 500, 998, 999):
        x = np.linspace(-1, 1, 1000).astype(dtype)
        x[where] = np.copysign(np.nan, sign)
        one = np.ones((), dtype)
        out, back = np.empty(x.shape, np.int8), np.empty(x.shape, dtype)
        assert many_pieces.quantize(x, one, one, -128, 127, dtype, out) is True
        assert many_pieces.fake_quantize(x, one, one, -128, 127, (dtype, dtype), back) is True
        assert np.isnan(many_pieces.minmax(x, dtype)).all()
        columns, rows = (
            many_pieces.minmax(x.reshape(20, 50), dtype, 1),
            many_pieces.minmax(x.reshape(20, 50), dtype, 0),
        )
        for ends, channel in [(columns, where % 50), (rows, where // 50)]:
            assert [np.flatnonzero(np.isnan(end)).tolist() for end in ends] == [[channel]] * 2


@real
@pytest.mark.parametrize("k", [-20, -3, 0, 5, 900])
def test_count_bins_has_the_same_counts(many_pieces, dtype, k):
    """With k = 5 the product of a subnormal underflows, and 2**-900 is no float32."""
    rng = np.random.default_rng(0)
    x = np.ldexp(rng.integers(-400, 400, 3001).astype(dtype) / 4, min(k, 100)).astype(dtype)
    x = np.concatenate([x, np.nextafter(x, dtype.type(np.inf)), np.nextafter(x, dtype.type(-np.inf))])
    x = np.concatenate([x, [0.0, -0.0, *(np.finfo(dtype).smallest_subnormal * np.array([1, -1]))]]).astype(
        dtype
    )
    expected, found = (bins_of(x, [k]) for _ in range(2))
    blocked.count_bins(x, expected, dtype)
    assert expected.counts.sum() == x.size
    assert expected.piles.ravel().tolist() == [
        np.count_nonzero(x == value) for value in (x.min(), 0, x.max())
    ]
    if many_pieces.count_bins(x, found, dtype) is NotImplemented:
        assert (dtype, k) == (F4, 900)
    else:
        np.testing.assert_array_equal(found.counts, expected.counts)
        np.testing.assert_array_equal(found.piles, expected.piles)


def bins_of(x, k, axis=None):
    """Bins 2**k wide from the lowest value of each channel to its highest."""
    rows = x.reshape(1, -1) if axis is None else np.moveaxis(x, axis, 0).reshape(x.shape[axis], -1)
    low, high = (end(rows, axis=1).astype(np.float64) for end in (np.min, np.max))
    first, last = (np.floor(np.ldexp(end, -np.int32(k))).astype(np.int64) for end in (low, high))
    return blocked.Bins.empty(np.int32(k), first, last - first + 1, low, high)


@real
@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("block", [1, 50, 1 << 16])
def test_count_bins_of_channels(many_pieces, monkeypatch, dtype, axis, block):
    """Each channel has a width, a first bin and a number of bins of its own, and piles that may coincide."""
    monkeypatch.setattr(blocked, "BLOCK", block)
    x = np.random.default_rng(0).standard_normal((6, 6, 6)).astype(dtype)
    x *= np.float32([1, 2, 30, 4, 500, 6]).reshape([6 if i == axis else 1 for i in range(3)])
    x = np.clip(x, -100, 100)
    x[x > 50] = 0
    rows = np.moveaxis(x, axis, 0)
    rows[0], rows[1], rows[2] = np.maximum(rows[0], 0), np.minimum(rows[1], 0), 0
    k = np.arange(6)
    expected, found = (bins_of(x, k, axis) for _ in range(2))
    blocked.count_bins(x, expected, dtype, axis)
    assert many_pieces.count_bins(x, found, dtype, axis) is None
    np.testing.assert_array_equal(found.counts, expected.counts)
    np.testing.assert_array_equal(found.piles, expected.piles)
    for g, row in enumerate(rows):
        counts = expected.counts[expected.starts[g] : expected.starts[g + 1]]
        edges = np.ldexp(expected.first[g] + np.arange(counts.size + 1.0), g)
        np.testing.assert_array_equal(counts, np.histogram(row, edges)[0])
        piles = [np.count_nonzero(row == value) for value in (row.min(), 0, row.max())]
        assert expected.piles[:, g].tolist() == piles


# --- layouts and parameters ---------------------------------------------------------------------------------

DENSE = ["fortran", "permuted", "read-only"]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_dense_layouts_are_taken_and_no_others(many_pieces, layout):
    x = LAYOUTS[layout](np.random.default_rng(0).standard_normal((6, 7, 50)).astype(np.float32))
    ends = many_pieces.minmax(x, F4)
    out = np.empty_like(x, np.int8)
    one = np.ones((), F4)
    status = many_pieces.quantize(x, one, one, -128, 127, F4, out)
    if layout in DENSE:
        assert tuple(ends) == (x.min(), x.max())
        assert status is False
        np.testing.assert_array_equal(out, np.clip(np.rint(x) + 1, -128, 127))
    else:
        assert ends is status is NotImplemented


@pytest.mark.parametrize(
    "dtype", ["f2", "i4", ">f4", "longdouble"], ids=["float16", "integers", "big-endian", "longdouble"]
)
def test_other_types_are_left_to_the_blocked_loops(fused, dtype):
    x, one = np.ones(10, dtype), np.ones((), F4)
    assert fused.quantize(x, one, one, -128, 127, F4, np.empty(10, np.int8)) is NotImplemented
    assert fused.minmax(x, F4) is NotImplemented
    assert fused.count_bins(x, bins_of(x, [0]), F4) is NotImplemented


SHAPES = {
    "tensor": (),
    "axis 0": (4, 1, 1),
    "axis 1": (1, 6, 1),
    "axis 2": (1, 1, 35),
    "two axes": (4, 6, 1),
    "the outer and the inner": (4, 1, 35),
    "the inner two": (1, 6, 35),
    "each": (4, 6, 35),
}


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("layout", [*DENSE, "contiguous"])
def test_any_parameters_that_broadcast(many_pieces, shape, layout):
    rng = np.random.default_rng(1)
    x = rng.standard_normal((4, 6, 35)).astype(np.float32)
    x = LAYOUTS[layout](x) if layout in LAYOUTS else x
    scale, zero = rng.uniform(0.01, 0.1, shape), rng.integers(-9, 9, shape).astype(float)
    single = np.asarray(scale, F4), np.asarray(zero, F4)
    expected = np.clip(np.rint(x / single[0]) + single[1], -128, 127)
    codes = np.empty_like(x, np.int8)
    statuses = [many_pieces.quantize(x, *single, -128, 127, F4, codes)]
    if statuses[0] is not NotImplemented:
        np.testing.assert_array_equal(codes, expected)
        back, faked = np.empty_like(x), np.empty_like(x)
        statuses.append(many_pieces.dequantize(codes, *single, F4, back))
        np.testing.assert_array_equal(back, (expected - single[1]) * single[0])
        statuses.append(many_pieces.fake_quantize(x, scale, zero, -128, 127, (F4, F4), faked))
        assert_same_bits(faked, back)
    wanted = [[False, None, False]]
    if layout != "contiguous" and len(shape):
        wanted.append([NotImplemented])  # S may then step by more than one along the innermost axis
    assert statuses in wanted


@pytest.mark.parametrize("shift", [0, 1, 17])
@real
def test_an_output_that_overlaps_the_input(many_pieces, dtype, shift):
    """In place is safe; one element further, a thread would write what another has yet to read."""
    memory = np.random.default_rng(0).standard_normal(1000).astype(dtype)
    x, out = memory[: 1000 - shift], memory[shift:]
    call = np.array(0.1), np.array(3.0), -128, 127, (dtype, dtype)
    expected = np.empty_like(x)
    blocked.fake_quantize(x.copy(), *call, expected)
    if many_pieces.fake_quantize(x, *call, out) is NotImplemented:
        assert shift
    else:
        assert not shift
        assert_same_bits(out, expected)


def test_codes_that_overlap_the_reals(fused):
    x = np.ones(1000, np.float32)
    one = np.ones((), F4)
    assert fused.quantize(x, one, one, -128, 127, F4, x.view(np.int8)[:1000]) is NotImplemented


# --- many at once, and the cache on disk --------------------------------------------------------------------


def test_several_threads_at_once(fused, monkeypatch):
    monkeypatch.setenv("QUANTNOTES_KERNELS", "numba")
    arrays = [np.random.default_rng(i).standard_normal(1_500_000).astype(np.float32) for i in range(4)]
    params = QuantParams(0.02, 3, INT8)
    results, start = {}, threading.Barrier(8)

    def work(number):
        start.wait()
        x = arrays[number % 4]
        results[number] = quantize(x, params), minmax_range(x), Histogram().update(x)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 8
    monkeypatch.setenv("QUANTNOTES_KERNELS", "numpy")
    for number, (codes, ends, histogram) in results.items():
        x = arrays[number % 4]
        assert_same_bits(codes, quantize(x, params))
        assert ends == minmax_range(x)
        assert histogram == Histogram().update(x)


WORK = """
import sys
import numpy as np
from quantnotes import INT8, INT16, Histogram, QuantParams, kernels, minmax_range, quantize
x = np.linspace(-1, 1, kernels.LARGE).astype(sys.argv[1] if sys.argv[1:] else "f4")
for grid in (INT8, INT16):
    codes = quantize(x, QuantParams(0.5, 0, grid))
    assert codes[[0, -1]].tolist() == [-2, 2] and codes.dtype == grid.dtype
assert minmax_range(x) == (-1, 1)
assert Histogram().update(x).n == x.size
"""


def compiled_files(folder):
    return sorted(path.name for path in folder.rglob("*.nb[ic]"))


def test_machine_code_is_kept_on_disk(fused, tmp_path):
    first, second = (python(WORK, NUMBA_CACHE_DIR=str(tmp_path), NUMBA_DEBUG_CACHE="1") for _ in range(2))
    assert "data saved" in first.stdout
    assert "data saved" not in second.stdout
    assert "data loaded" in second.stdout


def test_processes_that_compile_at_once(fused, tmp_path):
    """Equal types write the same file, unequal ones different files."""
    command, environment = [sys.executable, "-W", "error", "-c", WORK], {"NUMBA_CACHE_DIR": str(tmp_path)}
    processes = [
        subprocess.Popen([*command, dtype], env=os.environ | environment) for dtype in ("f4", "f8", "f4")
    ]
    assert [process.wait(120) for process in processes] == [0] * 3
    python(WORK, **environment)
    indices = [name for name in compiled_files(tmp_path) if name.endswith("nbi")]
    assert len(indices) == len(compiled_files(tmp_path)) / 2 == 8  # one variant each: 4 loops, 2 types


def test_a_cache_that_cannot_be_written(fused, tmp_path):
    """Where a folder is needed there is a file, which stops root as well: for all of Numba's places."""
    shutil.copytree(PACKAGE, tmp_path / "quantnotes", ignore=shutil.ignore_patterns("__pycache__"))
    for folder in {path.parent for path in (tmp_path / "quantnotes").rglob("*.py")}:
        (folder / "__pycache__").touch()
    no_folder = tmp_path / "file"
    no_folder.touch()
    places = dict.fromkeys(("NUMBA_CACHE_DIR", "HOME", "XDG_CACHE_HOME"), str(no_folder))
    script = WORK + "import quantnotes; print(quantnotes.__file__)"
    done = python(script, cwd=tmp_path, PYTHONPATH=str(tmp_path), **places)
    assert done.stdout.strip() == str(tmp_path / "quantnotes" / "__init__.py")
    assert not compiled_files(tmp_path)


def test_a_disk_that_is_full(fused, tmp_path):
    script = """
from numba.core.caching import IndexDataCacheFile
calls = []
def full(*_):
    calls.append(1)
    raise OSError(28, "No space left on device")
IndexDataCacheFile._save_index = full
"""
    done = python(script + WORK + "print(len(calls))", NUMBA_CACHE_DIR=str(tmp_path))
    assert done.stdout.split() == ["4"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_child_has_threads_of_its_own(fused):
    python(
        WORK
        + """
import os, warnings
warnings.simplefilter("ignore")  # Python 3.12 and later warn of any fork after a thread has been started
child = os.fork()
codes = quantize(x, QuantParams(0.5, 0, INT8))
if not child:
    os._exit(0 if codes[-1] == 2 else 1)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
"""
    )


@pytest.mark.parametrize(
    "later",
    [
        "threading.Thread(target=lambda: (threading.main_thread().join(), work())).start()",
        "atexit.register(work)",
    ],
    ids=["a thread that outlives the main one", "at exit"],
)
def test_when_no_more_threads_may_be_started_the_caller_does_it_all(fused, later):
    """The pool's threads are gone by then."""
    done = python(
        WORK
        + f"""
import atexit, threading
def work():
    assert quantize(x, QuantParams(0.5, 0, INT8))[[0, -1]].tolist() == [-2, 2]
    assert Histogram().update(x).n == x.size
    print("done")
{later}
"""
    )
    assert done.stdout.split() == ["done"], done.stderr


# --- parts, and files larger than memory --------------------------------------------------------------------


@pytest.mark.parametrize("layout", [*LAYOUTS, "contiguous"])
@pytest.mark.parametrize("size", [1, 7, 100, 1000])
def test_parts_make_up_the_array(layout, size):
    x = np.arange(6 * 7 * 8).reshape(6, 7, 8)
    x = LAYOUTS[layout](x) if layout in LAYOUTS else x
    parts, places = zip(*kernels.parts(x, size), strict=True)
    for part, place in zip(parts, places, strict=True):
        np.testing.assert_array_equal(part, x[place])
    assert all(0 < part.size <= size and np.shares_memory(part, x) for part in parts)
    np.testing.assert_array_equal(
        np.sort(np.concatenate([part.ravel() for part in parts])), np.arange(6 * 7 * 8)
    )
    assert len(parts) <= max(1, 4 * x.size // size)


def test_parts_of_little_or_nothing():
    for x in (np.zeros(0), np.zeros((3, 0)), np.array(5.0)):
        assert [part.shape for part, _ in kernels.parts(x, 1)] == [x.shape]


@pytest.mark.parametrize("mode", ["r", "r+", "c"])
def test_a_mapped_file_is_read_as_it_is(tmp_path, mode):
    """Pages are released, but not those that hold changes the file does not have."""
    np.save(tmp_path / "x.npy", np.arange(100_000, dtype=np.float32))
    x = np.load(tmp_path / "x.npy", mmap_mode=mode)
    if mode != "r":
        x[50_000] = -7
    for _ in range(2):
        total = sum(float(part.sum(dtype=float)) for part, _ in kernels.parts(x[::-1], 10_000))
        assert total == np.arange(100_000).sum() - (50_007 if mode != "r" else 0)


# --- results ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", [*LAYOUTS, "contiguous"])
def test_results_lie_in_memory_as_their_inputs_do(layout):
    """As NumPy's own functions do; a dense input then has a dense result."""
    x = np.random.default_rng(0).standard_normal((4, 5, 6)).astype(np.float32)
    x = LAYOUTS[layout](x) if layout in LAYOUTS else x
    codes = quantize(x, QuantParams(0.1, 0, INT8))
    assert codes.strides == np.empty_like(x, np.int8).strides
    assert type(codes) is np.ndarray


def test_results_that_live_side_by_side_share_nothing(both_kernels):
    results = [quantize(np.full(100, n, np.float32), QuantParams(1.0, 0, INT8)) for n in range(20)]
    assert [set(result.tolist()) for result in results] == [{n} for n in range(20)]
