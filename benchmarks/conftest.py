"""The harness of `make bench`: ours against a peer, in turn, in one process; the median of the ratios.

pytest-benchmark times ours. The peer runs, and is timed, in what it calls before each round or, every other
time, after it: a machine that is disturbed then disturbs both, and neither is always first. Before each call
the machine is left idle for `PAUSE`, since the threads of ONNX Runtime go on spinning for a while, on the
cores that the other needs. Nothing fails for being slow: a table at the end says what missed its target.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cpuinfo
import numpy as np
import pytest

PAUSE = 0.05  # seconds
RESULTS = Path(__file__).parent.parent / "notebooks" / "data" / "speed.json"
PACKAGES = ["numpy", "numba", "onnxruntime", "fast-histogram", "torch", "dask"]

Call = Callable[[], object]
results: dict[str, Any] = {"rows": [], "story": {}}


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("quantnotes")
    group.addoption("--elements", type=float, default=5e7, help="float32 values of each row of the table")
    group.addoption("--largest", type=float, default=1e9, help="most elements in the series of sizes")
    group.addoption("--save", action="store_true", help=f"write {RESULTS.name}, from which notebook 17 draws")


@pytest.fixture(scope="session")
def x(request: pytest.FixtureRequest) -> Any:
    """Normals, as many as the table is for."""
    elements = int(request.config.getoption("--elements"))
    return np.random.default_rng(0).standard_normal(elements, dtype=np.float32)


def row(
    name: str, peer: str, ratio: float, target: float | None, ours: Any = None, theirs: Any = None
) -> None:
    """Keep a row of the table; times are ns an element."""
    results["rows"].append(
        {"name": name, "peer": peer, "ours": ours, "theirs": theirs, "ratio": ratio, "target": target}
    )


def rest(seconds: float) -> None:
    """Leave the machine idle; for 0 seconds not even for the moment that a sleep of 0 takes."""
    if seconds:
        time.sleep(seconds)


class Against:
    """What times a call against a peer and keeps the row."""

    def __init__(self, benchmark: Any) -> None:
        self.benchmark = benchmark

    def __call__(
        self,
        name: str,
        peer: str,
        ours: Call,
        theirs: Call,
        target: float | None = None,
        *,
        elements: int | None,
        rounds: int = 15,
        pause: float = PAUSE,
    ) -> None:
        seconds: list[float] = []
        turn = 0

        def timed() -> None:
            start = time.perf_counter()
            theirs()
            seconds.append(time.perf_counter() - start)

        def before() -> None:
            nonlocal turn
            turn += 1
            rest(pause)
            if turn % 2:
                timed()
                rest(pause)

        def after() -> None:
            if not turn % 2:
                rest(pause)
                timed()

        def dropped() -> None:
            ours()  # its result is released at once, as the peer's is: pytest-benchmark would keep it

        ours(), theirs()
        self.benchmark.pedantic(dropped, setup=before, teardown=after, rounds=rounds)
        pairs = list(zip(self.benchmark.stats.stats.data, seconds, strict=True))
        medians = [statistics.median(side) for side in zip(*pairs, strict=True)]
        each = [None, None] if elements is None else [1e9 * median / elements for median in medians]
        row(name, peer, statistics.median(a / b for a, b in pairs), target, *each)


@pytest.fixture
def against(benchmark: Any) -> Against:
    return Against(benchmark)


def caches() -> dict[str, int]:
    """Return the bytes of each level that holds data, as Linux knows them; else nothing."""
    found: dict[str, int] = {}
    for cache in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        kind, level, size = ((cache / name).read_text().strip() for name in ("type", "level", "size"))
        if kind != "Instruction":
            found[f"L{level}"] = int(size.removesuffix("K")) * 1024
    return found


def machine() -> dict[str, Any]:
    """Say what the figures were taken on: no name and no place of it."""
    versions = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    cpu = cpuinfo.get_cpu_info()
    return {
        "cpu": cpu.get("brand_raw", platform.processor()),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "AVX-512": "avx512f" in cpu.get("flags", ()),
        "caches": caches(),
        "system": platform.system(),
        "versions": versions,
    }


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Print the table."""
    write = terminalreporter.write_line
    terminalreporter.section("ns an element, and the median of the ratios of pairs run one after the other")
    write(f"{'':40}{'against':28}{'ours':>7}{'theirs':>8}{'ratio':>8}{'at most':>9}")
    for entry in results["rows"]:
        each = "".join(f"{entry[side]:7.3f} " if entry[side] else 8 * " " for side in ("ours", "theirs"))
        line = f"{entry['name']:40}{entry['peer']:28}{each[:-1]}{entry['ratio']:8.2f}"
        if entry["target"] is not None:
            line += f"{entry['target']:9.2f}  {'PASS' if entry['ratio'] <= entry['target'] else 'MISSED'}"
        write(line)
    for name, points in results["story"].get("sizes", {}).items():
        write(f"{name:12}" + "  ".join(f"{n:.0e}: {each:.2f}" for n, each in points))
    for name, figures in results["story"].items():
        if name != "sizes":
            write(f"{name}: " + ", ".join(f"{key} {value:.3g}" for key, value in figures.items()))
    if config.getoption("--save"):
        content = {"machine": machine(), "elements": int(config.getoption("--elements")), **results}
        RESULTS.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        write(f"written: {RESULTS.name}")
