"""Run notebooks in place and put their metadata in order, so that a commit shows what changed and no more.

python tools/run_notebooks.py              all of them
python tools/run_notebooks.py PATH ...     these
python tools/run_notebooks.py --check      run nothing; fail where the metadata are not in order
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import time
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

NOTEBOOKS = Path(__file__).parent.parent / "notebooks"
CELL_SECONDS = 120
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
METADATA = {
    "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
ABSOLUTE_PATH = re.compile(r"(?<![\w.])/(?:home|root|tmp|usr|work|Users|opt)/|\b[A-Z]:\\\\")


def all_notebooks() -> list[Path]:
    """Return every numbered notebook, then its solutions."""
    return [*sorted(NOTEBOOKS.glob("*.ipynb")), *sorted((NOTEBOOKS / "solutions").glob("*.ipynb"))]


def execute(notebook: Any, folder: Path) -> None:
    """Run all cells from a fresh kernel, in the notebook's folder; BLAS on one thread, as in the tests."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    client = NotebookClient(notebook, timeout=CELL_SECONDS, resources={"metadata": {"path": str(folder)}})
    client.execute()


def normalise(notebook: Any) -> None:
    """Leave tags, numbers that are not measured, ids and outputs; no times, no state of views or widgets."""
    notebook.metadata = nbformat.from_dict(METADATA)
    for cell in notebook.cells:
        kept = {key: cell.metadata[key] for key in ("tags", "not-measured") if cell.metadata.get(key)}
        cell.metadata = nbformat.from_dict(kept)
        if cell.cell_type == "code":
            cell.outputs = joined_streams(cell.outputs)
            for output in cell.outputs:  # a widget whose kernel is gone shows nothing; its picture stays
                output.get("data", {}).pop(WIDGET_VIEW, None)
                if output.output_type == "error":  # the frames above it name folders of this machine
                    output.traceback = [f"{output.ename}: {output.evalue}"]


def joined_streams(outputs: list[Any]) -> list[Any]:
    """Return the outputs, consecutive pieces of one stream made into one: where a kernel cuts is chance."""
    joined: list[Any] = []
    for output in outputs:
        last = joined[-1] if joined else None
        if last and output.output_type == "stream" == last.output_type and output.name == last.name:
            last.text += output.text
        else:
            joined.append(output)
    return joined


def absolute_paths(notebook: Any) -> list[str]:
    """Return the ids of the cells whose outputs show a path of this machine."""
    code = (cell for cell in notebook.cells if cell.cell_type == "code")
    return [cell.id for cell in code if ABSOLUTE_PATH.search(plain(json.dumps(cell.outputs)))]


def plain(text: str) -> str:
    """Return the text without the codes that colour a terminal, as they stand in JSON."""
    return re.sub(r"\\u001b\[[0-9;]*m", "", text)


def main() -> int:
    """Run or check the notebooks that the command line names; return the exit code."""
    parser = argparse.ArgumentParser(description="Run notebooks in place and put their metadata in order.")
    parser.add_argument("paths", nargs="*", type=Path, help="all notebooks, if none is named")
    parser.add_argument("--check", action="store_true", help="run nothing, write nothing")
    arguments = parser.parse_args()
    faults = []
    for path in [path.resolve() for path in arguments.paths] or all_notebooks():
        before = path.read_text(encoding="utf-8")
        notebook = nbformat.reads(before, as_version=4)
        start = time.perf_counter()
        if not arguments.check:
            execute(notebook, path.parent)
        normalise(notebook)
        after = nbformat.writes(notebook) + "\n"
        faults += [
            f"{path.name}: cell {cell} shows a path of this machine" for cell in absolute_paths(notebook)
        ]
        if arguments.check:
            faults += [f"{path.name}: not in order; run make notebooks"] if after != before else []
        else:
            path.write_text(after, encoding="utf-8")
            print(f"{path.relative_to(NOTEBOOKS.parent)}  {time.perf_counter() - start:.1f} s")
    print(*faults, sep="\n", end="\n" if faults else "")
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())
