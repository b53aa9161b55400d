"""The wheel, installed where nothing but NumPy is: it imports without Matplotlib and has every sample."""

import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LICENCES = [
    "samples/licenses/Apache-2.0.txt",
    "samples/licenses/CC-BY-4.0.txt",
    "samples/README.md",
    "py.typed",
]

IN_THE_EMPTY_ENVIRONMENT = """
import importlib.util, sys
assert importlib.util.find_spec("matplotlib") is None
import quantnotes
from quantnotes.course import exercises
for name in quantnotes.samples.names():
    x = quantnotes.samples.load(name)
    assert x.size, name
    assert quantnotes.samples.describe(name)
params = quantnotes.asymmetric_params(-1.0, 2.0)
assert quantnotes.quantize(0.0, params) == params.zero_point
print(len(quantnotes.samples.names()), quantnotes.__file__)
"""


def run(*command, **options):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    names = ("quantnotes", "pyproject.toml", "README.md", "LICENSE")
    source.mkdir()
    run("cp", "-r", *(ROOT / name for name in names), source)  # setuptools writes beside the sources
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, source)
    (path,) = folder.glob("*.whl")
    return path


def test_contents(wheel):
    with zipfile.ZipFile(wheel) as archive:
        sizes = {info.filename: info.file_size for info in archive.infolist()}
    assert set(LICENCES) <= {name.removeprefix("quantnotes/") for name in sizes}
    assert any(name.endswith("licenses/LICENSE") for name in sizes)
    samples = {name: size for name, size in sizes.items() if name.endswith(".npy")}
    assert len(samples) == 29
    assert sum(samples.values()) <= 5_000_000
    assert not [name for name in sizes if name.startswith(("tests/", "tools/", "notebooks/", "benchmarks/"))]


def test_in_an_empty_environment(wheel, tmp_path):
    venv.create(tmp_path / "empty")
    python = tmp_path / "empty" / ("Scripts" if sys.platform == "win32" else "bin") / "python"
    pip = (sys.executable, "-m", "pip", "--python", python)
    run(*pip, "install", "--quiet", "-c", ROOT / "constraints.txt", wheel)
    printed = run(python, "-I", "-W", "error", "-c", IN_THE_EMPTY_ENVIRONMENT, cwd=tmp_path)
    assert printed.startswith("245 ")
    assert "empty" in printed
