"""Put JupyterLite into the site: the notebooks with a Python kernel that runs in the reader's browser.

Pyodide, which is that Python, comes from its public address, or from a copy: a folder, its release archive,
or a wheel that carries the same files. `site/pyodide.json` has what the official release says of the files
that are needed; a file that differs from it is refused. Pure wheels, the library's own among them, are served
by the site. A lock file tells Pyodide of all of them, so that `import` is enough. Not covered: the pages.

python tools/site_lite.py FOLDER    write site/pyodide.json from the npm package `pyodide`, unpacked
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Collection, Iterator
from email.parser import Parser
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
OFFICIAL = ROOT / "site" / "pyodide.json"
KERNEL = "@jupyterlite/pyodide-kernel-extension"
CORE = ("pyodide.mjs", "pyodide.asm.mjs", "pyodide.asm.wasm", "python_stdlib.zip")
NEEDED = ("matplotlib", "micropip", "numpy")  # built for Pyodide, with what they depend on
PURE = (  # from the package index, in the versions of constraints.txt
    "asttokens",
    "comm",
    "decorator",
    "executing",
    "ipython",
    "ipython-pygments-lexers",
    "ipywidgets",
    "jedi",
    "jupyterlab-widgets",
    "matplotlib-inline",
    "parso",
    "prompt-toolkit",
    "pure-eval",
    "pygments",
    "stack-data",
    "traitlets",
    "typing-extensions",
    "wcwidth",
)
PRELOADED = ("micropip", "piplite", "ipykernel", "comm", "pyodide-kernel", "jedi", "ipython")
RUN_ELSEWHERE = r'To run (?:it|the cells)\b[^"\\]*README\.md#binder[^"\\]*'  # in a notebook's file
RUN_HERE = "To run the cells, choose *Run → Run All Cells* in the menu."
CONTENTS = ("README.md", "notebooks", "quantnotes/samples/README.md")  # where the notebooks' links point


def sha256(content: bytes) -> str:
    """Return the hash as the lock writes it."""
    return hashlib.sha256(content).hexdigest()


def normal(name: str) -> str:
    """Return a package's name in the form by which names are compared."""
    return re.sub(r"[-_.]+", "-", name).lower()


# --- Pyodide ------------------------------------------------------------------------------------------------


def pin(folder: Path) -> None:
    """Write what the official release says: version, hashes of the core, entries of the packages needed."""
    lock = json.loads((folder / "pyodide-lock.json").read_text(encoding="utf-8"))
    every = {normal(name): entry for name, entry in lock["packages"].items()}
    needed: set[str] = set()
    rest = list(NEEDED)
    while rest:
        name = normal(rest.pop())
        if name not in needed:
            needed.add(name)
            rest += every[name]["depends"]
    version = json.loads((folder / "package.json").read_text(encoding="utf-8"))["version"]
    core = {name: sha256((folder / name).read_bytes()) for name in CORE}
    packages = {name: every[name] for name in sorted(needed)}
    official = {"version": version, "core": core, "info": lock["info"], "packages": packages}
    OFFICIAL.write_text(json.dumps(official, indent=1) + "\n", encoding="utf-8")


def official() -> dict[str, Any]:
    """Read what `pin` wrote."""
    content: dict[str, Any] = json.loads(OFFICIAL.read_text(encoding="utf-8"))
    return content


def contents_of(source: Path, wanted: Collection[str]) -> Iterator[tuple[str, bytes]]:
    """Yield the files of those names that a folder, an archive or a wheel holds at any depth.

    Raises
    ------
    ValueError
        If it is none of the three.
    """
    if source.is_dir():
        for path in sorted(source.rglob("*")):
            if path.name in wanted and path.is_file():
                yield path.name, path.read_bytes()
    elif source.is_file() and zipfile.is_zipfile(source):
        with zipfile.ZipFile(source) as wheel:
            for entry in wheel.infolist():
                name = entry.filename.rpartition("/")[2]
                if name in wanted:
                    yield name, wheel.read(entry)
    elif source.is_file() and tarfile.is_tarfile(source):
        with tarfile.open(source) as archive:
            for member in archive:
                name = member.name.rpartition("/")[2]
                if name in wanted and (file := archive.extractfile(member)):
                    yield name, file.read()
    else:
        raise ValueError(f"PYODIDE must be a folder, an archive or a wheel, got {str(source)!r}")


def copy_pyodide(source: Path, target: Path) -> None:
    """Copy the files that are needed, each compared with the official release.

    Raises
    ------
    ValueError
        If a file differs or is missing; the message names it.
    """
    release = official()
    entries = release["packages"].values()
    expected = release["core"] | {entry["file_name"]: entry["sha256"] for entry in entries}
    target.mkdir(parents=True, exist_ok=True)
    missing = set(expected)
    for name, content in contents_of(source, expected.keys()):
        if sha256(content) != expected[name]:
            raise ValueError(
                f"{name} in {source} is not that of Pyodide {release['version']}: its SHA-256 is "
                f"{sha256(content)}, the official one {expected[name]}"
            )
        (target / name).write_bytes(content)
        missing.discard(name)
    if missing:
        raise ValueError(
            f"{source} lacks files of Pyodide {release['version']}: {', '.join(sorted(missing))}"
        )


def public_address() -> str:
    """Return where Pyodide's files of our version are: the kernel's own default, its version replaced."""
    from jupyterlite_pyodide_kernel.constants import PYODIDE_CDN_URL, PYODIDE_VERSION

    return f"{PYODIDE_CDN_URL.replace(PYODIDE_VERSION, official()['version'])}/"


# --- wheels and the lock ------------------------------------------------------------------------------------


def run(*command: str | Path, **options: Any) -> None:
    """Run a command of this environment; print what it said only if it fails."""
    done = subprocess.run([sys.executable, *command], capture_output=True, text=True, **options)
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}")


def collect_wheels(target: Path, scratch: Path) -> None:
    """Gather the pure wheels: the library's, those of the package index, and those that the kernel brings."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.rmtree(scratch, ignore_errors=True)
    target.mkdir(parents=True)
    scratch.mkdir(parents=True)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, scratch)
    shutil.copytree(ROOT / "quantnotes", scratch / "quantnotes", ignore=shutil.ignore_patterns("__pycache__"))
    pip = ("-m", "pip", "--quiet", "--disable-pip-version-check")
    run(*pip, "wheel", "--no-deps", "-w", target, scratch)
    pure = (
        "--no-deps",
        "--only-binary=:all:",
        "--platform",
        "any",
        "-c",
        ROOT / "constraints.txt",
        "-d",
        target,
    )
    run(*pip, "download", *pure, *PURE)
    extension = Path(sys.prefix) / "share" / "jupyter" / "labextensions" / KERNEL / "static" / "pypi"
    for wheel in extension.glob("*.whl"):
        if not wheel.name.startswith("widgetsnbextension-3"):  # of ipywidgets 7
            shutil.copy(wheel, target)


def entry_of(wheel: Path, known: Collection[str]) -> dict[str, Any]:
    """Return what a lock says of a wheel; it depends on those of its requirements that are known."""
    from packaging.requirements import Requirement

    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        place = next(name for name in names if name.endswith(".dist-info/METADATA"))
        metadata = Parser().parsestr(archive.read(place).decode())
    there = {
        "python_version": "3.14",
        "python_full_version": "3.14.0",
        "sys_platform": "emscripten",
        "extra": "notebooks",
    }
    requirements = [Requirement(line) for line in metadata.get_all("Requires-Dist") or []]
    wanted = [r.name for r in requirements if r.marker is None or r.marker.evaluate(there)]
    tops = {name.partition("/")[0].removesuffix(".py") for name in names if name.endswith(".py")}
    return {
        "name": normal(metadata["Name"]),
        "version": metadata["Version"],
        "file_name": f"wheels/{wheel.name}",
        "install_dir": "site",
        "sha256": sha256(wheel.read_bytes()),
        "package_type": "package",
        "imports": sorted(top for top in tops if top.isidentifier()),
        "depends": sorted({normal(name) for name in wanted} & set(known)),
        "unvendored_tests": False,
    }


def lock_of(wheels: Path, base: str) -> dict[str, Any]:
    """Return the lock that the site serves: official packages at `base`, and the wheels beside it."""
    release = official()
    packages = {
        name: entry
        | {"file_name": base + entry["file_name"], "depends": [normal(d) for d in entry["depends"]]}
        for name, entry in release["packages"].items()
    }
    names = {normal(wheel.name.partition("-")[0]): wheel for wheel in sorted(wheels.glob("*.whl"))}
    known = packages.keys() | names.keys()
    packages |= {name: entry_of(wheel, known) for name, wheel in names.items()}
    return {"info": release["info"], "packages": packages}


# --- JupyterLite --------------------------------------------------------------------------------------------


def lay_out(contents: Path) -> None:
    """Copy what the browser opens into a folder, made anew; its notebooks say how to run them there."""
    shutil.rmtree(contents, ignore_errors=True)
    for name in CONTENTS:
        source, place = ROOT / name, contents / name
        place.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, place, ignore=shutil.ignore_patterns(".*"))
        else:
            shutil.copy(source, place)
    for path in contents.rglob("*.ipynb"):
        text = re.sub(RUN_ELSEWHERE, RUN_HERE, path.read_text(encoding="utf-8"))
        path.write_text(
            json.dumps(json.loads(text, object_hook=joined), ensure_ascii=False), encoding="utf-8"
        )


def joined(part: dict[str, Any]) -> dict[str, Any]:
    """Join the lines of a text: JupyterLite prints those of an output with commas between them."""
    return {
        key: "".join(value) if key in ("source", "text") or key.startswith("text/") else value
        for key, value in part.items()
    }


def build(html: Path, scratch: Path, pyodide: Path | None) -> None:
    """Build `html/lite`.

    Parameters
    ----------
    html : Path
        The site.
    scratch : Path
        A folder for what is laid out on the way.
    pyodide : Path, optional
        A copy of Pyodide to serve. Without one the browser loads it from its public address.
    """
    lite, contents = html / "lite", scratch / "contents"
    lay_out(contents)
    apps = ("--apps", "notebooks", "--apps", "tree", "--apps", "edit")
    out = ("--output-dir", lite, "--contents", contents, "--no-sourcemaps", "--no-libarchive", "--force")
    shutil.rmtree(lite, ignore_errors=True)
    run("-m", "jupyterlite_core", "build", "--lite-dir", scratch, *apps, *out, cwd=scratch)
    static = lite / "static"
    static.mkdir(exist_ok=True)
    collect_wheels(static / "wheels", scratch / "package")
    base = public_address()
    if pyodide:
        copy_pyodide(pyodide, static / "pyodide")
        base = "pyodide/"
    lock = json.dumps(lock_of(static / "wheels", base))
    (static / "pyodide-lock.json").write_text(lock, encoding="utf-8")
    place = lite / "jupyter-lite.json"
    config = json.loads(place.read_text(encoding="utf-8"))
    data = config["jupyter-config-data"]
    data["exposeAppInBrowser"] = True  # as window.jupyterapp, through which the tests run cells
    settings = data.setdefault("litePluginSettings", {}).setdefault(f"{KERNEL}:kernel", {})
    settings |= {
        "pyodideUrl": "./static/pyodide/pyodide.mjs" if pyodide else base + "pyodide.mjs",
        "loadPyodideOptions": {"lockFileURL": "./static/pyodide-lock.json", "packages": list(PRELOADED)},
    }
    place.write_text(json.dumps(config, indent=2), encoding="utf-8")


if __name__ == "__main__":
    pin(Path(sys.argv[1]))
