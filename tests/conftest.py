"""Hypothesis: no deadline (the first call of a test pays for imports), the same examples every time in CI.

And the fixture that runs a module's tests on the blocked and, where Numba is installed, on the fused loops.
"""

import importlib.util
import os

import pytest
from hypothesis import HealthCheck, Phase, settings

# For the kernels that nbval starts: on a busy machine BLAS' own threads wait for each other most of the time.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

settings.register_profile("local", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile(
    "ci", settings.get_profile("local"), derandomize=True, database=None, print_blob=True
)
settings.register_profile("fuzz", settings.get_profile("local"), max_examples=1_000)  # of each test
settings.register_profile(  # the museum's gate: many runs, and no time is spent on a smaller example
    "gate",
    settings.get_profile("local"),
    max_examples=50,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
)
settings.load_profile("ci" if os.environ.get("CI") else "local")

LOOPS = ["numpy"]
if importlib.util.find_spec("numba"):
    LOOPS.append(pytest.param("numba", marks=pytest.mark.extras))


@pytest.fixture(params=LOOPS, scope="module")
def both_kernels(request):
    """Force one of the two on arrays of any size."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("QUANTNOTES_KERNELS", request.param)
        yield request.param


def pytest_terminal_summary(terminalreporter):
    """Say by which test each specimen of the museum was killed."""
    reports = terminalreporter.stats.get("passed", [])
    kills = [value for report in reports for name, value in report.user_properties if name == "killed_by"]
    if kills:
        terminalreporter.section(f"{len(kills)} wrong functions, and what kills them")
        for specimen, test in kills:
            terminalreporter.line(f"{specimen:32} {test.removeprefix('tests/')[:100]}")
