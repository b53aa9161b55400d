"""The gate of the museum: a wrong function in the place of the right one, and the project's tests are run.

    python tests/gate.py CASE ...

A case is the name of a specimen; or that of a group of functions, those with the same tests, and then plain
right versions are put in the place of all of them. Each runs in its own process, forked where the system
can, from one that has imported what takes long. The tests are those of the function: contract, properties,
oracles. What counts is the first *assertion* that fails: an error on the way there is noted, but would also
come from what is merely broken. A line of JSON each.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TESTS = {
    "quantize": ["mapping"],
    "dequantize": ["mapping"],
    "fake_quantize": ["mapping"],
    "asymmetric_params": ["asymmetric"],
    "symmetric_params": ["symmetric"],
    "minmax_range": ["ranges"],
    "histogram_range": ["outliers", "ranges"],
    "Histogram": ["histogram"],
    "percentile_range": ["calibration"],
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


class Watch:
    """Stops the run at the first assertion that fails, and remembers its test."""

    def __init__(self):
        self.killed_by, self.errors, self.tests = None, [], 0

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item, call):
        report = yield
        self.tests += call.when == "call"
        if report.failed:
            self.note(item, call.excinfo)
        return report

    def note(self, item, excinfo):
        if is_assertion(excinfo.value):
            self.killed_by = item.nodeid
            item.session.shouldstop = "killed"
        else:
            self.errors.append(f"{item.nodeid}: {excinfo.typename}")

    def pytest_collectreport(self, report):
        if report.failed:
            self.errors.append(f"{report.nodeid}: not even collected")


def is_assertion(error):
    """An assert, pytest.raises that saw nothing raised, or a Hypothesis group that holds one of these."""
    if isinstance(error, BaseExceptionGroup):
        return any(map(is_assertion, error.exceptions))
    return isinstance(error, AssertionError | pytest.fail.Exception)


def put_in_place(right, wrong, target):
    """Replace a function wherever the library holds it, or a method of a class."""
    import quantnotes

    outer, *method = target.split(".")[1:]
    if method:
        setattr(getattr(quantnotes, outer), method[0], wrong)
        return
    modules = [m for name, m in sys.modules.items() if name.split(".")[0] == "quantnotes"]
    for module in modules:
        if not module.__name__.startswith("quantnotes.course.museum"):
            for name, value in list(vars(module).items()):
                if value is right:
                    setattr(module, name, wrong)


def tests_of(target):
    """The test modules of a function, which also name the group that it is in."""
    return TESTS[target.split(".")[1]]


def functions_of(case):
    """Return right, wrong and target of a specimen, or right, right and target of each control of a group."""
    import controls

    from quantnotes.course import museum as mutants

    groups = controls.groups(tests_of)
    if case in groups:
        rights = {specimen.target: specimen.right for specimen in mutants.specimens()}
        return [(rights[target], controls.TWINS[target], target) for target in groups[case]]
    found = mutants.specimen(case)
    return [(found.right, found.wrong, found.target)]


def run(case):
    """Run the tests on one case, in this process: it is of no use afterwards."""
    functions = functions_of(case)
    for right, wrong, target in functions:
        put_in_place(right, wrong, target)
    _, _, target = functions[0]  # the others have the same tests
    files = [str(ROOT / "tests" / f"test_{name}.py") for name in tests_of(target)]
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"  # most of the start-up time is theirs
    options = [
        "-q",
        "-oaddopts=",
        "-pno:cacheprovider",
        "-p_hypothesis_pytestplugin",
        "--hypothesis-profile=gate",
    ]
    options.append(f"-k not ({WHITE_BOX})")
    options.append("-Wignore::pytest.PytestAssertRewriteWarning")  # of packages imported ahead of pytest
    watch = Watch()
    with open(os.devnull, "w") as nowhere:
        sys.stdout = nowhere
        pytest.main([*options, *files], plugins=[watch])
        sys.stdout = sys.__stdout__
    return {"case": case, "killed_by": watch.killed_by, "errors": watch.errors, "tests": watch.tests}


def import_what_takes_long():
    import boost_histogram  # noqa: F401
    import hypothesis.extra.numpy
    import ml_dtypes  # noqa: F401
    import scipy.stats  # noqa: F401

    from quantnotes.course import museum as mutants

    return hypothesis, mutants


def main(cases, at_once=2):
    sys.path.insert(0, str(ROOT / "tests"))
    os.chdir(ROOT)
    if not hasattr(os, "fork"):
        for case in cases:
            print(json.dumps(run(case)) if len(cases) == 1 else _alone(case), flush=True)
        return
    import_what_takes_long()
    running = set()
    for case in cases:
        if len(running) == at_once:
            running.remove(os.wait()[0])
        child = os.fork()
        if not child:
            os.write(1, (json.dumps(run(case)) + "\n").encode())
            os._exit(0)
        running.add(child)
    while running:
        running.remove(os.wait()[0])


def _alone(case):
    command = [sys.executable, __file__, case]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


if __name__ == "__main__":
    main(sys.argv[1:])
