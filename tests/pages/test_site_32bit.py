"""The core tests of the library in the browser, where Python is of 32 bits and `np.intp` is int32.

They are the same files that `make test` runs. ml_dtypes, ONNX and boost-histogram have no build there; the
tests that need them are left out by name. `make test-site` runs this after it has built the site.
"""

import io
import re
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

pytest.importorskip("playwright")

ROOT = Path(__file__).parent.parent.parent
PYODIDE = ROOT / "site" / "_build" / "html" / "lite" / "static" / "pyodide"
MODULES = ("mapping", "ranges", "histogram", "calibration", "integer")
HELPERS = ("conftest", "integers_only", "reference", "strategies")
HYPOTHESIS = "hypothesis==6.155.7"  # the last one without compiled parts
INSTALLED = ("pytest", "_pytest", "py", "pluggy", "iniconfig", "sortedcontainers")
STAND_INS = {
    "ml_dtypes": """
import numpy
KINDS = {"complex": numpy.complex64, "int": numpy.int8, "uint": numpy.uint8}
def __getattr__(name):
    return KINDS.get(name.rstrip("0123456789").removeprefix("b"), numpy.float16)
""",
    "onnx": "from unittest.mock import MagicMock\nTensorProto = numpy_helper = helper = MagicMock()\n",
    "boost_histogram": "",
}
ABSENT = (  # words in the names of tests that need what is not there
    *("ml_dtypes", "onnx", "boost", "bfloat16", "out_must_hold_every_code"),
    "print_as_they_are_made",  # NumPy says dtype=int64 of an array where that is not its default
)

pytestmark = pytest.mark.skipif(
    not PYODIDE.exists(), reason="no copy of Pyodide was to be had; PYODIDE=… names one"
)


@pytest.fixture(scope="session")
def suite(tmp_path_factory):
    """An archive of the tests and of what runs them."""
    folder = tmp_path_factory.mktemp("pure")
    pip = [sys.executable, "-m", "pip", "--quiet", "download", "--no-deps", "--platform", "any"]
    done = subprocess.run([*pip, "--only-binary=:all:", "-d", str(folder), HYPOTHESIS], capture_output=True)
    if done.returncode:
        pytest.skip(f"{HYPOTHESIS} cannot be fetched")
    packed = io.BytesIO()
    site = Path(sysconfig.get_path("purelib"))
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for package in INSTALLED:
            for path in [*(site / package).rglob("*.py"), *site.glob(f"{package}.py")]:
                archive.write(path, path.relative_to(site))
        with zipfile.ZipFile(next(folder.glob("*.whl"))) as wheel:
            for name in wheel.namelist():
                archive.writestr(name, wheel.read(name))
        for name in (*HELPERS, *(f"test_{module}" for module in MODULES)):
            archive.write(ROOT / "tests" / f"{name}.py", f"tests/{name}.py")
        for name, text in STAND_INS.items():
            archive.writestr(f"{name}.py", text)
    return packed.getvalue()


START = """async () => {
    const { loadPyodide } = await import('/lite/static/pyodide/pyodide.mjs');
    const lock = new URL('/lite/static/pyodide-lock.json', location).href;
    const pyodide = await loadPyodide({ lockFileURL: lock });
    await pyodide.loadPackage(['quantnotes', 'packaging', 'pygments']);
    pyodide.unpackArchive(await (await fetch('/suite.zip')).arrayBuffer(), 'zip');
    window.pyodide = pyodide;
}"""
RUN = """
import contextlib, io, os, sys
os.environ["CI"] = "1"
sys.path[:0] = [os.getcwd(), os.getcwd() + "/tests"]
import numpy, pytest
said = io.StringIO()
with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
    print(numpy.dtype(numpy.intp))
    pytest.main([{arguments}])
said.getvalue()
"""


@pytest.mark.parametrize("module", MODULES)
def test_on_32_bits(module, suite, browser, address):
    page = browser.new_context(base_url=address).new_page()
    page.route("**/suite.zip", lambda route: route.fulfill(body=suite))
    page.goto("run.html")
    page.evaluate(START)
    without = " and ".join(f"not {word}" for word in ABSENT)
    options = [
        f"tests/test_{module}.py",
        "-q",
        "--tb=short",
        "-p",
        "no:cacheprovider",
        "--hypothesis-profile=gate",
        "-k",
        without,
    ]
    said = page.evaluate("code => window.pyodide.runPython(code)", RUN.format(arguments=repr(options)[1:-1]))
    page.context.close()
    assert said.startswith("int32\n")
    assert re.search(r"(?m)^\d+ passed(, \d+ (deselected|skipped|xfailed))*", said), said[-6000:]
    assert " failed" not in said.splitlines()[-1], said[-6000:]
