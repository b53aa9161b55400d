"""What notebook 17 tells beside the table: the way to the memory's speed, sizes, first calls, files, Dask."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numba
import numpy as np
import pytest
from conftest import PAUSE, results
from peers import Call, one_line

from quantnotes import INT8, Histogram, QuantParams, fake_quantize, minmax_range, quantize
from quantnotes.kernels import compiled

PARAMS = QuantParams(0.04, 3, INT8)
story = results["story"]


class Way(NamedTuple):
    """A call, the loops on which it runs, and how many threads they have."""

    call: Call
    loops: str = "numba"
    threads: int = compiled.THREADS


def fastest(ways: dict[str, Way], *, rounds: int, pause: float = PAUSE) -> dict[str, float]:
    """Return the shortest time of each call; each takes its turn in every round.

    The shortest, since this is about what the machine can do: whatever disturbs it makes a call longer.
    """
    times: dict[str, list[float]] = {name: [] for name in ways}
    with pytest.MonkeyPatch.context() as patch:
        for _ in range(rounds + 1):  # the first warms up
            for name, (call, loops, threads) in ways.items():
                patch.setenv("QUANTNOTES_KERNELS", loops)
                patch.setattr(compiled, "THREADS", threads)
                time.sleep(pause)
                start = time.perf_counter()
                call()
                times[name].append(time.perf_counter() - start)
    return {name: min(seconds[1:]) for name, seconds in times.items()}


def histogram_of(values: Any) -> Histogram:
    return Histogram().update(values)


def traffic(bits: Any, out: Any, steps: Any, piece: Any) -> None:
    """Read four bytes an element and write one, as quantize must, and compute nothing."""
    for i in range(np.uint64(piece[2]), np.uint64(piece[3])):
        out[i] = bits[i]


def passes(x: Any) -> dict[str, Way]:
    """Return the five steps of the one line, each with memory to write to, in order.

    In place is where the line is: the sum alone, for NumPy sees that nobody else holds the rounded values.
    (In place is cheaper, since what is written need not be fetched first.)
    """
    scale, zero = np.float32(PARAMS.scale), np.float32(PARAMS.zero_point)
    divided, rounded, clipped = (np.zeros_like(x) for _ in range(3))
    codes = np.zeros(x.shape, np.int8)
    return {
        "/ S": Way(lambda: np.divide(x, scale, out=divided)),
        "round": Way(lambda: np.round(divided, out=rounded)),
        "+ Z": Way(lambda: np.add(rounded, zero, out=rounded)),
        "clip": Way(lambda: np.clip(rounded, -128, 127, out=clipped)),
        "astype": Way(lambda: np.copyto(codes, clipped, casting="unsafe")),
    }


def test_the_way_to_the_memory_s_own_speed(x: Any) -> None:
    codes, reals = np.zeros(x.shape, np.int8), np.zeros_like(x)
    quantized, counted = partial(quantize, x, PARAMS, out=codes), partial(histogram_of, x)
    moved = partial(compiled.run, traffic, compiled.Rows(1, x.size, 1, 0, 0, 0), x.view(np.int32), codes)
    steps = {
        "one line": Way(one_line(x, PARAMS)),
        "blocks": Way(quantized, "numpy"),
        "fused, one thread": Way(quantized, threads=1),
        "fused": Way(quantized),
        "memory, one thread": Way(moved, threads=1),
        "memory": Way(moved),
        "fake_quantize": Way(partial(fake_quantize, x, PARAMS, out=reals)),
        "minmax_range": Way(partial(minmax_range, x)),
        "histogram, blocks": Way(counted, "numpy"),
        "histogram, one thread": Way(counted, threads=1),
        "histogram": Way(counted),
    }
    for name, ways in (("steps", steps), ("passes", passes(x))):
        found = fastest(ways, rounds=15)
        story[name] = {step: 1e9 * seconds / x.size for step, seconds in found.items()}


def test_in_the_cache(x: Any) -> None:
    """What one core does when memory is no limit: 256 KB in, 64 KB out, again and again."""
    n, codes = 1 << 16, np.zeros(1 << 16, np.int8)
    bits, one, zero, ends = x.view(np.int32), np.ones(1, np.float32), np.zeros(1, np.float32), (-128, 127)
    args = (x[:n], bits[:n], np.int32(2**31 - 1), one, zero, *map(np.float32, ends), codes, (n, 1, 0, 0, 0))
    loop = compiled.compiled(compiled.quantize, (*args, (0, 1, 0, n)))

    @numba.njit(nogil=True)  # type: ignore[untyped-decorator, unused-ignore]
    def often(a, b, c, d, e, f, g, h, steps, piece):  # type: ignore[no-untyped-def]
        for _ in range(100):
            loop(a, b, c, d, e, f, g, h, steps, piece)

    found = fastest({"fused": Way(lambda: often(*args, (0, 1, 0, n)))}, rounds=15)
    story["in cache"] = {name: 1e9 * seconds / n / 100 for name, seconds in found.items()}


def sizes(largest: int) -> Iterator[int]:
    """Yield 10**3, 10**3.5, ... 10**9: as many as fit half of the memory that is free."""
    if hasattr(os, "sysconf"):
        largest = min(largest, os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2 // 5)
    yield from (n for n in (round(10 ** (k / 2)) for k in range(6, 19)) if n <= largest)


def test_cost_by_size(x: Any, request: pytest.FixtureRequest) -> None:
    series: dict[str, list[tuple[int, float]]] = {}
    for n in sizes(int(request.config.getoption("--largest"))):
        values, codes = np.resize(x[: 1 << 20], n), np.zeros(n, np.int8)
        quantized = partial(quantize, values, PARAMS, out=codes)
        ways = {
            "one line": Way(one_line(values, PARAMS)),
            "blocks": Way(quantized, "numpy"),
            "fused": Way(quantized),
            "histogram": Way(partial(histogram_of, values)),
        }
        if n > 2e8:  # as many temporaries again, and nothing new
            del ways["one line"], ways["blocks"]
        rounds = 101 if n < 1e6 else 15 if n < 2e8 else 3
        for name, seconds in fastest(ways, rounds=rounds, pause=0).items():
            series.setdefault(name, []).append((n, 1e9 * seconds / n))
    story["sizes"] = series


FIRST_CALL = """
import time
import numpy as np
from quantnotes import INT8, QuantParams, quantize
x, params, times = np.ones(1 << 20, np.float32), QuantParams(1.0, 0, INT8), []
start = time.perf_counter()
import numba
times.append(time.perf_counter() - start)
for _ in range(2):
    start = time.perf_counter()
    quantize(x, params)
    times.append(time.perf_counter() - start)
print(*times)
"""


def test_first_call(tmp_path: Path) -> None:
    """The import of Numba, the first call and the second; with an empty cache and with a full one."""
    found: dict[str, list[list[float]]] = {"compiled": [], "from disk": []}
    for attempt in range(3):
        environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path / str(attempt))}
        for name in found:
            done = subprocess.run(
                [sys.executable, "-c", FIRST_CALL],
                env=environment,
                capture_output=True,
                text=True,
                check=True,
            )
            found[name].append([float(word) for word in done.stdout.split()])
    for name, times in found.items():
        imported, first, second = (statistics.median(column) for column in zip(*times, strict=True))
        story[f"first call, {name}"] = {"import numba": imported, "first": first, "second": second}


def test_a_file(x: Any, tmp_path: Path) -> None:
    """A file in the page cache, mapped, against the same values in memory; and what it takes of memory."""
    np.save(tmp_path / "x.npy", np.resize(x, 4 * x.size))
    script = f"""
import time
from pathlib import Path
import numpy as np
from quantnotes import Histogram
x = np.load({str(tmp_path / "x.npy")!r}, mmap_mode="r")
peak = lambda: int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) / 1024
Histogram().update(x[: 1 << 22])
before, times = peak(), []
for _ in range(3):
    start = time.perf_counter()
    Histogram().update(x)
    times.append(time.perf_counter() - start)
print(sorted(times)[1] / x.size * 1e9, x.nbytes / 2**20, before, peak())
"""
    for setting in ("numpy", "numba"):
        environment = os.environ | {"QUANTNOTES_KERNELS": setting}
        done = subprocess.run(
            [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True
        )
        each, megabytes, before, after = map(float, done.stdout.split())
        story[f"file, {setting}"] = {"ns": each, "file MB": megabytes, "before MB": before, "peak MB": after}


def test_eight_gigabytes_on_a_cluster() -> None:
    """Values made where they are counted, 8 GB of them, by two workers with 1 GB each."""
    da, distributed = pytest.importorskip("dask.array"), pytest.importorskip("distributed")
    from quantnotes.distributed import calibrate

    def peak(dask_worker: Any) -> float:
        return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) / 1024

    values = da.random.default_rng(0).standard_normal(
        (1 << 11, 1 << 20), chunks=(1 << 5, 1 << 20), dtype=np.float32
    )
    options = {"n_workers": 2, "threads_per_worker": 1, "memory_limit": "1GB", "dashboard_address": None}
    with distributed.LocalCluster(**options) as cluster, distributed.Client(cluster) as client:
        start = time.perf_counter()
        params = calibrate(values, "percentile", INT8, percentile=99.99)
        seconds = time.perf_counter() - start
        peaks = list(client.run(peak).values())
    story["cluster"] = {
        "GB": values.nbytes / 2**30,
        "chunk MB": values.nbytes / values.npartitions / 2**20,
        "seconds": seconds,
        "peak MB of a worker": max(peaks),
        "scale": params.scale,
    }
