"""What holds of the whole repository: what imports what, what environments say, what no file may hold."""

import ast
import fnmatch
import functools
import graphlib
import inspect
import itertools
import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from packaging.specifiers import SpecifierSet

import quantnotes

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "quantnotes"

# A module imports only from modules before it. `samples` imports nothing of ours.
ORDER = [
    "samples",
    "kernels",
    "checks",
    "grid",
    "codebook",
    "granularity",
    "ranges",
    "mapping",
    "params_file",
    "asymmetric",
    "symmetric",
    "formats",
    "tables",
    "progress",
    "saturation",
    "histogram",
    "outliers",
    "percentile",
    "shrinking",
    "entropy",
    "mse",
    "calibration",
    "dynamic",
    "rounding",
    "comparison",
    "distributed",
    "convolution",
    "integer",
    "equivalence",
    "layers",
    "network",
    "export",
    "training",
    "onnx_model",
    "course",
    "__main__",
]
HEAVY = {
    "matplotlib": {"course"},
    "ipywidgets": {"course"},
    "IPython": {"course"},
    "numba": {"kernels"},
    "dask": {"distributed"},
    "onnx": {"comparison", "export", "onnx_model"},
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
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


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


def test_no_circle():
    """Not even between the parts of one package."""
    files = {".".join(path.relative_to(ROOT).with_suffix("").parts): path for path in sources()}
    files = {name.removesuffix(".__init__"): path for name, path in files.items()}

    def file_of(name):
        while name not in files and "." in name:
            name = name.rpartition(".")[0]
        return name

    graph = {name: {file_of(other) for other in imports_of(path)} - {name} for name, path in files.items()}
    graph = {name: others & set(files) for name, others in graph.items()}
    assert list(graphlib.TopologicalSorter(graph).static_order())


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


# --- the contract -------------------------------------------------------------------------------------------


def names(place, listed):
    """Names of one place, of which the contract says nothing more."""
    return {f"{place}.{name}".removeprefix("."): "" for name in listed.split()}


# What users and notebooks rely on, each with parameters that it must have. Names without a dot are imported
# from `quantnotes`.
CONTRACT = {
    "IntGrid": "qmin qmax",
    "IntGrid.of": "bits signed narrow",
    **names("", "INT8 INT8_NARROW UINT8 INT4 UINT4 INT16 UINT16 INT2 UINT2"),
    "QuantParams": "scale zero_point grid axis block_size",
    "QuantParams.range": "",
    "QuantParams.to_dict": "",
    "QuantParams.from_dict": "",
    "save_params": "path",
    "load_params": "path",
    "quantize": "x params out",
    "dequantize": "q params dtype out",
    "fake_quantize": "x params dtype out",
    "quantize_dynamic": "x grid scheme axis",
    "Range": "rmin rmax",
    "minmax_range": "axis block_size nan",
    "histogram_range": "axis block_size nan",
    "shortest_range": "axis block_size nan",
    "percentile_range": "axis block_size nan",
    "mse_range": "axis block_size nan",
    "entropy_range": "axis block_size nan",
    "outliers.note_histogram_scale": "x int_max bins keep",
    "choose_range": "method x grid scheme axis block_size",
    "make_params": "grid scheme axis block_size",
    "asymmetric_params": "rmin rmax grid axis anchor block_size",
    "symmetric_params": "rmin rmax grid axis block_size",
    "code_ledger": "x params",
    "CodeLedger": "",
    "ledger_table": "",
    "Histogram": "max_bins",
    **names("Histogram", "update merge __or__ counts edges n min max"),
    "Calibrator": "method grid scheme axis block_size",
    **names("Calibrator", "observe merge range params"),
    "compare": "bits role channel_axis",
    "int_matmul": "",
    "matmul_terms": "",
    "quantize_bias": "",
    "fixed_point_multiplier": "",
    "requantize": "",
    "pack_int4": "",
    "unpack_int4": "",
    "int_conv": "qx qw x_params w_params bias strides pads dilations groups",
    "gptq": "weight inputs params damping order",
    "fold_batch_norm": "",
    "equalize": "",
    "bias_correction": "",
    "smooth_factors": "absmax weight alpha",
    "hadamard": "n",
    "rotate": "x seed inverse",
    **names("formats", "E4M3 E5M2 E2M1 E2M3 E3M2 E8M0 NF4 E4M3FNUZ E5M2FNUZ MXFP4 MXFP8 MXINT8 NVFP4"),
    "onnx_model.fold": "",
    "onnx_model.observe": "model batches",
    "onnx_model.ranges": "",
    "onnx_model.quantize": "model observation method",
    "onnx_model.sensitivity": "",
    "onnx_model.report": "",
    "onnx_model.to_onnxruntime": "",
    "training.straight_through": "x params",
    "network.Dense": "weight bias relu",
    "samples.names": "",
    "samples.load": "name",
    "samples.describe": "name",
    "distributed.histogram": "",
    "distributed.calibrate": "",
    **names("course", "plots widgets table spread_table check museum"),
}


def resolve(name):
    """Return what a dotted name of the library stands for."""
    return functools.reduce(getattr, name.removeprefix("quantnotes.").split("."), quantnotes)


@pytest.mark.parametrize("name", CONTRACT)
def test_the_contract(name):
    if name.startswith("distributed."):
        pytest.importorskip("dask")
    found = resolve(name)
    if "." not in name:
        assert name in quantnotes.__all__
    if CONTRACT[name]:
        assert set(CONTRACT[name].split()) <= set(inspect.signature(found).parameters)


RENAMED = re.findall(
    r"(?m)^\| `(quantnotes\.[\w.]+)` \| `(quantnotes\.[\w.]+)` \|", (ROOT / "CHANGES.md").read_text("utf-8")
)


@pytest.mark.parametrize(("old", "new"), RENAMED)
def test_an_old_name_works_and_warns(old, new):
    with pytest.warns(DeprecationWarning, match=r"has (moved|been renamed) to"):
        found = resolve(old)
    assert found is resolve(new)


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


def test_mutation_testing_runs_the_tests_of_every_module_that_it_changes():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["mutmut"]
    changed = [
        module_of(path)
        for path in sources()
        if not any(fnmatch.fnmatch(path.relative_to(ROOT), spared) for spared in settings["do_not_mutate"])
    ]
    tests = settings["pytest_add_cli_args_test_selection"]
    wanted = {f"tests/test_{module}.py" for module in changed}
    assert {name for name in wanted if (ROOT / name).exists()} <= set(tests)
    assert all((ROOT / name).exists() for name in tests)


def test_constraints_name_no_place():
    for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines():
        assert re.fullmatch(r"#.*|[A-Za-z0-9._-]+==[A-Za-z0-9.]+", line), line


def test_make_passes_on_what_tools_and_tests_are_told():
    """Make exports a variable that came from the environment with the value that the Makefile gives it."""
    texts = [
        path.read_text(encoding="utf-8")
        for place in ("tools", "tests")
        for path in (ROOT / place).rglob("*.py")
    ]
    read = set(re.findall(r'environ(?:\.get\(|\[)"(\w+)"', "".join(texts)))
    assert {"SITE", "PYODIDE", "REPOSITORY"} <= read
    given = re.findall(r"(?m)^(\w+) *:?=", (ROOT / "Makefile").read_text(encoding="utf-8"))
    assert not read & set(given)


@pytest.mark.parametrize("name", sorted(constraints()))
def test_constraints_suit_the_oldest_python(name):
    """Every 3.11 is one, that of Debian 12 too: 3.11.2."""
    try:
        installed = metadata.metadata(name)
    except metadata.PackageNotFoundError:
        pytest.skip("not installed here")
    if installed["Version"] != constraints()[name]:
        pytest.skip("another version is installed here")
    assert "3.11.0" in SpecifierSet(installed.get("Requires-Python", ""))


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
        "make tables",
        "make test-pages",
        "make test-site",
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
