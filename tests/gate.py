"""The gate of the museum: a wrong function is put into the library, and the project's tests are run.

    python tests/gate.py [NAME ...]

A name is that of a specimen; without names all are tried. Each runs in a process of its own, forked where the
system can, from one that has imported what takes long. The tests are those of the function. What counts is
the first *assertion* that fails: an error on the way there is noted, but would also come from what is merely
broken. A line of JSON each.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TESTS = {  # of which modules the tests are run, the likeliest to fail first
    "quantize": ["mapping"],
    "dequantize": ["mapping"],
    "fake_quantize": ["mapping"],
    "asymmetric_params": ["asymmetric"],
    "symmetric_params": ["symmetric"],
    "minmax_range": ["ranges"],
    "histogram_range": ["outliers", "ranges"],
    "Histogram": ["histogram"],
    "percentile_range": ["percentile", "calibration"],
    "Calibrator": ["calibration"],
    "mse_range": ["mse"],
    "entropy_range": ["entropy"],
    "int_matmul": ["integer"],
    "quantize_bias": ["integer"],
    "fixed_point_multiplier": ["integer"],
    "requantize": ["integer"],
    "pack_int4": ["integer"],
    "unpack_int4": ["integer"],
}
WHITE_BOX = "uses_no_float or uses_floats_only"  # these look into the library's own functions
OPTIONS = [
    "-q",
    "-oaddopts=",
    "-pno:cacheprovider",
    "-p_hypothesis_pytestplugin",
    "--hypothesis-profile=gate",
    f"-k not ({WHITE_BOX})",
    "-Wignore::pytest.PytestAssertRewriteWarning",  # of packages imported ahead of pytest
]


class Watch:
    """Stops the run at the first assertion that fails, and remembers its test."""

    def __init__(self):
        self.killed_by, self.errors, self.tests = None, [], 0

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item, call):
        report = yield
        self.tests += call.when == "call"
        if report.failed and is_assertion(call.excinfo.value):
            self.killed_by = item.nodeid
            item.session.shouldstop = "killed"
        elif report.failed:
            self.errors.append(f"{item.nodeid}: {call.excinfo.typename}")
        return report

    def pytest_collectreport(self, report):
        if report.failed:
            self.errors.append(f"{report.nodeid}: not even collected")


def is_assertion(error):
    """An assert, pytest.raises that saw nothing raised, or a Hypothesis group that holds one of these."""
    if isinstance(error, BaseExceptionGroup):
        return any(map(is_assertion, error.exceptions))
    return isinstance(error, AssertionError | pytest.fail.Exception)


def put_in_place(specimen):
    """Replace a function wherever the library holds it, or a method of a class."""
    import quantnotes

    outer, *method = specimen.target.split(".")[1:]
    if method:
        setattr(getattr(quantnotes, outer), method[0], specimen.wrong)
        return
    right = specimen.right
    for name, module in list(sys.modules.items()):
        if name.split(".")[0] == "quantnotes" and not name.startswith("quantnotes.course.museum"):
            for key, value in list(vars(module).items()):
                if value is right:
                    setattr(module, key, specimen.wrong)


def run(name):
    """Run the tests with one specimen in place, in this process: it is of no use afterwards."""
    from quantnotes.course import museum

    specimen = museum.specimen(name)
    put_in_place(specimen)
    files = [ROOT / "tests" / f"test_{module}.py" for module in TESTS[specimen.target.split(".")[1]]]
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"  # most of the start-up time is theirs
    watch = Watch()
    with open(os.devnull, "w") as nowhere:
        sys.stdout = nowhere
        pytest.main([*OPTIONS, *(str(file) for file in files if file.exists())], plugins=[watch])
        sys.stdout = sys.__stdout__
    return {"name": name, "killed_by": watch.killed_by, "errors": watch.errors, "tests": watch.tests}


def import_what_takes_long():
    import boost_histogram  # noqa: F401
    import hypothesis.extra.numpy
    import ml_dtypes  # noqa: F401
    import scipy.stats  # noqa: F401

    from quantnotes.course import museum

    return hypothesis, museum


def main(names, at_once=2):
    sys.path.insert(0, str(ROOT / "tests"))
    os.chdir(ROOT)
    _, museum = import_what_takes_long()
    names = names or [specimen.name for specimen in museum.specimens()]
    if not hasattr(os, "fork"):
        for name in names:
            print(json.dumps(run(name)) if len(names) == 1 else _alone(name), flush=True)
        return
    running = set()
    for name in names:
        if len(running) == at_once:
            running.remove(os.wait()[0])
        child = os.fork()
        if not child:
            os.write(1, (json.dumps(run(name)) + "\n").encode())
            os._exit(0)
        running.add(child)
    while running:
        running.remove(os.wait()[0])


def _alone(name):
    command = [sys.executable, __file__, name]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


if __name__ == "__main__":
    main(sys.argv[1:])
