"""What holds of the whole repository: what imports what, what environments say, what no file may hold."""

import ast
import inspect
import itertools
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

import quantnotes

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "quantnotes"

# A module imports only from modules before it. `samples` imports nothing of ours.
ORDER = [
    "samples",
    "kernels",
    "checks",
    "grid",
    "granularity",
    "ranges",
    "mapping",
    "params_file",
    "asymmetric",
    "symmetric",
    "tables",
    "saturation",
    "histogram",
    "outliers",
    "percentile",
    "mse",
    "entropy",
    "calibration",
    "dynamic",
    "rounding",
    "comparison",
    "distributed",
    "convolution",
    "integer",
    "network",
    "export",
    "training",
    "equivalence",
    "course",
    "__main__",
]
HEAVY = {
    "matplotlib": {"course"},
    "ipywidgets": {"course"},
    "IPython": {"course"},
    "numba": {"kernels"},
    "dask": {"distributed"},
    "onnx": {"export"},
}


def tracked():
    done = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        pytest.skip("this is no git checkout")
    return [ROOT / name for name in done.stdout.splitlines() if (ROOT / name).exists()]


def sources():
    return sorted(
        path for path in PACKAGE.rglob("*.py") if path.name != "__init__.py" or path.parent != PACKAGE
    )


def module_of(path):
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports_of(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}: relative import"
            names = [alias.name for alias in node.names]
            yield from (
                (f"{node.module}.{name}" for name in names) if node.module == "quantnotes" else [node.module]
            )


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_one_way(path):
    module = module_of(path)
    for name in imports_of(path):
        top, *rest = name.split(".")
        if top == "quantnotes":
            other = rest[0]
            assert other in ORDER, f"{module} imports {name}"
            assert ORDER.index(other) < ORDER.index(module) or other == module, f"{module} imports {other}"
        if top in HEAVY:
            assert module in HEAVY[top], f"{module} imports {name}"


def test_importing_is_light():
    code = "import sys, quantnotes; print(*{name.split('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {"matplotlib", "ipywidgets", "IPython", "numba", "scipy", "onnx", "pandas", "dask"}
    assert not heavy & set(done.stdout.split())


def test_every_public_name_has_an_example():
    for name in quantnotes.__all__:
        thing = getattr(quantnotes, name)
        if inspect.isclass(thing) or inspect.isfunction(thing):
            assert ">>>" in (thing.__doc__ or ""), name
            assert "Examples" in thing.__doc__, name


# --- environments -------------------------------------------------------------------------------------------


def conda(name):
    return yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))["dependencies"]


def constraints():
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return dict(line.lower().replace("_", "-").split("==") for line in lines if not line.startswith("#"))


def test_binder_has_the_conda_packages_of_the_root():
    root, binder = conda("environment.yml"), conda("binder/environment.yml")
    assert binder == [entry for entry in root if isinstance(entry, str)]
    assert [entry for entry in root if not isinstance(entry, str)] == [{"pip": ["-e ."]}]
    assert not (ROOT / "binder" / "environment.yml").is_symlink()


def test_environments_agree_on_versions():
    exact, pypi = constraints(), {"matplotlib-base": "matplotlib"}
    pins = dict(entry.split("=") for entry in conda("binder/environment.yml") if "=" in entry)
    assert re.fullmatch(r"3\.\d+", pins.pop("python"))  # repo2docker understands nothing else
    for name, minor in pins.items():
        assert re.fullmatch(r"\d+\.\d+", minor), name
        assert exact[pypi.get(name, name)].startswith(minor + "."), name
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    for requirement in [*project["dependencies"], *itertools.chain(*extras.values())]:
        name = re.split(r"[>=<[]", requirement)[0]
        assert name in exact or name == "quantnotes", requirement
    assert project["version"] == quantnotes.__version__


def test_constraints_name_no_place():
    for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines():
        assert re.fullmatch(r"#.*|[A-Za-z0-9._-]+==[A-Za-z0-9.]+", line), line


def test_post_build_is_strict():
    lines = (ROOT / "binder" / "postBuild").read_text(encoding="utf-8").splitlines()
    assert lines[0].startswith("#!")
    assert "set -euo pipefail" in lines
    assert "python -m pip install --no-deps -e ." in lines


def test_continuous_integration_calls_make_test():
    lines = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if line.startswith("make")] == [
        "make test",
        "make gate",
        "make test-pages",
        "make test-extras",
    ]
    assert ".ci/run" in (ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8")


# --- what must not be in a file -----------------------------------------------------------------------------

FORBIDDEN = {
    "a path of somebody's machine": re.compile(
        r"(?<![\w.])/(?:home|root|Users)/\w|(?<![\w.:/])/(?:work|tmp)/\w"
    ),
    "a registry's host": re.compile(
        r"files\.python" r"hosted|pypi\." r"org|conda\." r"anaconda|registry\." r"npmjs"
    ),
}


def test_no_machine_paths_and_no_hosts():
    for path in tracked():
        if path == Path(__file__):
            continue
        text = path.read_text(encoding="utf-8", errors="replace")  # some are arrays and pictures
        for what, pattern in FORBIDDEN.items():
            found = pattern.search(text)
            assert not found, f"{path.relative_to(ROOT)} holds {what}: {found.group()!r}"
