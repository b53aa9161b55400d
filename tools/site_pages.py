"""Lay out what Sphinx reads: the pages of `site/`, the notebooks as pages, and lists made from the library.

A notebook's page has buttons under its title, each solution folded under its exercise, and the alternative
texts of its figures. Notebooks are found by listing their folder. Not covered: how the pages look, which is
`site/conf.py`, and the kernel in the browser, which is `tools/site_lite.py`.
"""

from __future__ import annotations

import copy
import importlib
import inspect
import json
import os
import re
import shutil
import tarfile
from collections.abc import Callable, Iterator
from itertools import takewhile
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import badges

import quantnotes

ROOT = Path(__file__).parent.parent
NOTEBOOKS = ROOT / "notebooks"
PAGES = ROOT / "site"

ARCHIVE = "quantnotes.tar.gz"  # the repository, for readers of the site
LEFTOVERS = re.compile(r"\.(?!ci$|github$|gitignore$).*|__pycache__|_?build|dist|mutants|.*\.egg-info")
FIRST_VISIT = 40  # megabytes that the browser loads until the first cell has run, as measured

BINDER = r"\[Binder\]\((?:\.\./)*README\.md#binder\)"
RUN_IT = (
    "To run the cells, press *Run in this page's browser*. A first visit loads about "
    f"{FIRST_VISIT}\N{NO-BREAK SPACE}MB; ONNX Runtime, Numba and Dask are not there. [Other ways](../run.md)."
)

Cell = dict[str, Any]


class Part(NamedTuple):
    """A part of the course: its title, and the first and the last number of its notebooks."""

    title: str
    first: int
    last: int


PARTS = (
    Part("Start here", 0, 0),
    Part("I · The note", 1, 5),
    Part("II · Eight bits", 6, 10),
    Part("III · A whole model", 11, 12),
    Part("IV · Below eight bits, beside integers", 13, 15),
    Part("Appendices", 16, 99),
)


class Subject(NamedTuple):
    """A page of the API: the homes of its public names, and modules that users import from."""

    page: str
    title: str
    about: str
    modules: tuple[str, ...]
    own: tuple[str, ...] = ()


SUBJECTS = (
    Subject(
        "codes",
        "Codes and back",
        "Which codes there are, and how a real number gets one.",
        ("grid", "mapping", "dynamic", "params_file"),
    ),
    Subject("parameters", "Scale and zero point", "From a range to S and Z.", ("asymmetric", "symmetric")),
    Subject(
        "ranges",
        "Ranges",
        "From data to the range that the codes are spread over: a `Range`, which unpacks into its two ends.",
        ("ranges", "outliers", "percentile", "mse", "entropy"),
        ("outliers",),
    ),
    Subject(
        "calibration",
        "Calibration",
        "Ranges from batches, in any order and in any number of processes.",
        ("histogram", "calibration"),
        ("distributed",),
    ),
    Subject(
        "ledger",
        "What it costs",
        "Codes used, clipping, error; and every choice on a tensor or a file.",
        ("saturation", "comparison.array", "comparison.survey"),
    ),
    Subject("integers", "Integer arithmetic", "A layer in integers alone.", ("integer",)),
    Subject(
        "models",
        "Networks and models",
        "Moving factors between layers, training through the rounding, whole networks, ONNX.",
        ("equivalence",),
        ("layers", "network", "training", "export", "onnx_model"),
    ),
    Subject(
        "few-bits",
        "Fewer bits and other formats",
        "Rounding that knows what follows; floating-point, table and block formats.",
        ("rounding",),
        ("formats",),
    ),
    Subject(
        "samples",
        "Samples",
        "Real tensors and one small model, with where they come from.",
        (),
        ("samples",),
    ),
    Subject(
        "course",
        "For the notebooks",
        "Exercises, tables, figures and the bug museum.",
        (),
        ("course", "course.plots", "course.museum"),
    ),
)


def repository() -> str | None:
    """Return the owner and the name on GitHub: the one setting, `REPOSITORY`, or what origin says."""
    return os.environ.get("REPOSITORY") or badges.origin()


# --- notebooks as pages -------------------------------------------------------------------------------------


def notebooks() -> list[Path]:
    """Return the notebooks in order."""
    return sorted(NOTEBOOKS.glob("[0-9][0-9]*.ipynb"))


def read(path: Path) -> Any:
    """Read a notebook, the sources of its cells joined."""
    notebook = json.loads(path.read_text(encoding="utf-8"))
    for cell in notebook["cells"]:
        cell["source"] = "".join(cell["source"])
    return notebook


def markdown(text: str) -> Cell:
    """Make a cell of Markdown."""
    return {"cell_type": "markdown", "metadata": {}, "source": text}


def page_of(path: Path) -> Any:
    """Return the notebook as the site shows it."""
    notebook = read(path)
    solutions = solutions_of(path)
    head, *cells = notebook["cells"]
    title, _, opening = head["source"].partition("\n")
    head["source"] = f"{title}\n\n{buttons(path.name)}\n\n{opening}"
    for cell in cells:  # a label, by which pages link to what is said there
        if cell["cell_type"] == "markdown" and not cell["source"].startswith("#"):
            cell["source"] = f"(cell-{cell['id']})=\n{cell['source']}"
    pages = [head]
    for exercise, group in exercises(cells):
        pages += group
        if exercise in solutions:
            fold = '<details class="solution"><summary>Solution of '
            pages += [markdown(f"{fold}{exercise}</summary>"), *solutions[exercise], markdown("</details>")]
    for i, cell in enumerate(pages):
        cell["id"] = f"cell-{i}"  # those of the notebook and of its solutions might meet
        adapt(cell)
    notebook["cells"] = pages
    return notebook


def exercises(cells: list[Cell]) -> Iterator[tuple[str | None, list[Cell]]]:
    """Cut cells before every exercise and every section; yield each piece with the exercise it holds."""
    name: str | None = None
    group: list[Cell] = []
    for cell in cells:
        prose = cell["source"] if cell["cell_type"] == "markdown" else ""
        found = re.search(r"(?m)^\*\*(\d\d\.\d)\*\*", prose)
        if found or prose.startswith("## "):
            yield name, group
            name, group = (found[1] if found else None), []
        group.append(cell)
    yield name, group


def solutions_of(path: Path) -> dict[str, list[Cell]]:
    """Return the cells of each solution by exercise; what all need stands in the first."""
    place = path.parent / "solutions" / path.name
    if not place.exists():
        return {}
    _, *cells = read(place)["cells"]
    shared = list(takewhile(lambda cell: not re.match(r"## \d\d\.\d", cell["source"]), cells))
    found: dict[str, list[Cell]] = {}
    name = ""
    for cell in cells[len(shared) :]:
        heading = re.match(r"## (\d\d\.\d).*\n*", cell["source"])
        if heading:
            name = heading[1]
            found[name] = [] if found else copy.deepcopy(shared)
            cell["source"] = cell["source"][heading.end() :]
        if cell["source"].strip():
            found[name].append(cell)
    return found


def adapt(cell: Cell) -> None:
    """Point links to the site, and tell MyST-NB the alternative text of a figure."""
    if cell["cell_type"] == "markdown":
        text = re.sub(
            r"(?m)^Solutions: \[.*\n", "Each solution is folded under its exercise.\n", cell["source"]
        )
        text = re.sub(rf"To run (?:it|the cells)\b.*{BINDER}.*", RUN_IT, text)
        text = re.sub(r"\]\((?:\.\./)*README\.md#run-it\)", "](../run.md#on-your-machine)", text)
        text = re.sub(r"\]\((?:\.\./)*README\.md#binder\)", "](../run.md#on-binder)", text)
        text = re.sub(r"\]\((?:\.\./)*README\.md\)", "](../index.md)", text)
        text = re.sub(r"\]\((?:\.\./)*quantnotes/samples/README\.md\)", "](../samples.md)", text)
        text = re.sub(r"\]\(\.\./(\d\d_\w+\.ipynb)\)", r"](\1)", text)
        cell["source"] = unbroken(text)
        return
    for output in cell.get("outputs", []):
        alt = output.get("metadata", {}).get("image/png", {}).get("alt")
        if alt:
            cell["metadata"].setdefault("mystnb", {})["image"] = {"alt": alt}


def unbroken(text: str) -> str:
    """Keep brackets and punctuation on the line of the inline formula that they stand next to."""
    formula = r"(?<![$\\])\$(?![\s$])[^$\n]+\$(?!\$)"
    whole = rf"[(\[]{formula}[,.;:!?)\]]*|{formula}[,.;:!?)\]]+"
    lines = text.split("\n")
    return "\n".join(
        line if line.startswith("#") else re.sub(whole, r'<span class="whole">\g<0></span>', line)
        for line in lines
    )


def buttons(name: str) -> str:
    """Return the row of buttons under a notebook's title, in HTML."""
    links = [
        ("run", f"../lite/notebooks/index.html?path=notebooks/{name}", "Run in this page's browser", ""),
        ("", f"../lite/files/notebooks/{name}", "Download", " download"),
    ]
    if where := repository():
        links += [
            ("", badges.binder(where, name), "Binder", ""),
            ("", badges.colab(where, name), "Colab", ""),
        ]
    row = "\n".join(f'<a class="{kind}" href="{link}"{more}>{text}</a>' for kind, link, text, more in links)
    return f'<div class="launch">\n{row}\n<a href="../run.html">What these do</a>\n</div>'


def write_colab(folder: Path, where: str) -> None:
    """Write the notebooks for Colab, each with a first cell that installs what is missing there."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = [
        "import importlib.util",
        "",
        'if not importlib.util.find_spec("quantnotes"):',
        f"    !git clone --quiet --depth 1 https://github.com/{where} /content/repository",
        '    %pip install --quiet "/content/repository[notebooks]"',
        "    %cd /content/repository/notebooks",
    ]
    first: Cell = {"cell_type": "code", "execution_count": None, "id": "colab", "metadata": {}, "outputs": []}
    for path in notebooks():
        notebook = json.loads(path.read_text(encoding="utf-8"))
        notebook["cells"].insert(0, first | {"source": "\n".join(lines)})
        (folder / path.name).write_text(json.dumps(notebook, ensure_ascii=False), encoding="utf-8")


def contents() -> str:
    """Return the page that lists the notebooks by part."""
    lines = [
        "# Notebooks",
        "Each takes at most thirty minutes. Every figure is on its page, and all run in your browser.",
    ]
    for part in PARTS:
        stems = [path.stem for path in notebooks() if part.first <= int(path.name[:2]) <= part.last]
        if stems:
            names = "\n".join(stems)
            lines.append(f"```{{toctree}}\n:caption: {part.title}\n:maxdepth: 1\n\n{names}\n```")
    return "\n\n".join(lines) + "\n"


# --- lists made from the library ----------------------------------------------------------------------------


def module(name: str) -> ModuleType:
    """Import a module of the library."""
    return importlib.import_module(f"quantnotes.{name}")


def own_names(name: str) -> list[str]:
    """Return what a module has for users: `__all__`, or objects in capitals and what has an example."""
    home = module(name)
    if hasattr(home, "__all__"):
        return [entry for entry in home.__all__ if not inspect.ismodule(getattr(home, entry))]
    return [entry for entry in vars(home) if for_users(home, entry)]


def for_users(home: ModuleType, name: str) -> bool:
    value = getattr(home, name)
    if name.startswith("_") or name in quantnotes.__all__:
        return False
    if inspect.isclass(value) or inspect.isroutine(value):
        return value.__module__ == home.__name__ and ">>>" in (value.__doc__ or "")
    return name.isupper() and type(value).__module__.startswith("quantnotes")


def described(name: str, value: Any) -> str:
    """Return the directive that documents a name."""
    if inspect.isclass(value):
        return f".. autoclass:: {name}\n   :members:\n"
    if inspect.isroutine(value):
        return f".. autofunction:: {name}\n"
    text = " ".join(repr(value).split())
    return f".. py:data:: {name}\n   :value: {text if len(text) < 90 else type(value).__name__}\n"


def listed(home: ModuleType, names: list[str]) -> str:
    """Return a table of the names of a module, and their documentation."""
    values = {name: getattr(home, name) for name in names}
    table = [name for name, value in values.items() if inspect.isclass(value) or inspect.isroutine(value)]
    lines = [f".. currentmodule:: {home.__name__}", ""]
    if table:
        lines += [".. autosummary::", "   :nosignatures:", "", *(f"   {name}" for name in table), ""]
    return "\n".join([*lines, *(described(*pair) for pair in values.items())])


def reference(subject: Subject) -> str:
    """Return the page of a subject, in reStructuredText."""
    about = subject.about.replace("`", "``")
    pieces = [f"{subject.title}\n{'=' * len(subject.title)}\n\n{about}\n"]
    names = [name for home in subject.modules for name in quantnotes._MODULES[home]]
    if names:
        pieces.append(listed(quantnotes, names))
    for name in subject.own:
        title = f"quantnotes.{name}"
        opening = re.sub(r"(?::\w+:)?`+([^`]+)`+", r"``\1``", inspect.getdoc(module(name)) or "")
        head = f"{title}\n{'-' * len(title)}\n\n.. py:module:: {title}\n\n{opening}\n\n"
        pieces.append(head + listed(module(name), own_names(name)))
    return "\n\n".join(pieces) + "\n"


def names_in(subject: Subject) -> str:
    """Return the public names of a subject, then its modules; the site makes links of them."""
    names = [name for home in subject.modules for name in quantnotes._MODULES[home]]
    return ", ".join(f"`{name}`" for name in [*names, *subject.own])


def api() -> str:
    """Return the page that lists the subjects, with their names."""
    listing = "\n".join(
        f"- **[{subject.title}]({subject.page}.rst)**: {subject.about}\n\n  {names_in(subject)}"
        for subject in SUBJECTS
    )
    tree = "```{toctree}\n:hidden:\n\n" + "\n".join(subject.page for subject in SUBJECTS) + "\n```"
    return f"# API\n\nBy subject, or {{ref}}`every name from A to Z <genindex>`.\n\n{listing}\n\n{tree}\n"


def glossary() -> str:
    """Return the table of terms in notebook 00."""
    text = "\n\n".join(cell["source"] for cell in read(notebooks()[0])["cells"])
    return text[text.index("| symbol |") :].partition("\n\n")[0]


def reports() -> str:
    """Return the reports that the bug museum cites, each with the mistakes it shows."""
    from quantnotes.course import museum

    found: dict[str, list[str]] = {}
    for specimen in museum.specimens():
        for place in re.findall(r"[\w.-]+/[\w.-]+#\d+", specimen.report or ""):
            found.setdefault(place, []).append(specimen.name)
    link = "https://github.com/{}/issues/{}"
    rows = (
        f"- [{place}]({link.format(*place.split('#'))}): {', '.join(names)}"
        for place, names in sorted(found.items())
    )
    return "\n".join(rows)


def copying() -> str:
    """Return how to get the repository and open it: an archive on this site, git where that is known."""
    ways = {f"Download [the repository]({ARCHIVE}), then": f"$ tar xzf {ARCHIVE}\n$ cd quantnotes"}
    if where := repository():
        clone = f"$ git clone https://github.com/{where}.git\n$ cd {where.partition('/')[2]}"
        ways["Or with git"] = clone
    return "\n\n".join(f"{way}:\n\n```console\n{lines}\n$ make lab\n```" for way, lines in ways.items())


def write_archive(file: Path) -> None:
    """Write the repository as an archive, but for what tools leave behind."""

    def kept(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
        entry.uid = entry.gid = 0
        entry.uname = entry.gname = ""
        return None if LEFTOVERS.fullmatch(Path(entry.name).name) else entry

    with tarfile.open(file, "w:gz") as archive:
        archive.add(ROOT, "quantnotes", filter=kept)


def note_minutes() -> str:
    """Return how long the notebooks that follow the note take, as they say."""
    texts = (path.read_text(encoding="utf-8") for path in notebooks() if 1 <= int(path.name[:2]) <= 5)
    return str(sum(int(re.findall(r"About (\d+) minutes", text)[0]) for text in texts))


def with_data() -> str:
    """Return the numbers of the notebooks that read files in `data`."""
    found = (path for path in notebooks() if "data/" in path.read_text(encoding="utf-8"))
    return ", ".join(path.name.partition("_")[0] for path in found)


LISTS: dict[str, Callable[[], str]] = {
    "glossary": glossary,
    "reports": reports,
    "first_visit": lambda: str(FIRST_VISIT),
    "copy": copying,
    "note_minutes": note_minutes,
    "with_data": with_data,
}

# --- all of it ----------------------------------------------------------------------------------------------


def filled(text: str) -> str:
    """Fill a page in: `(nb:05)` links to a notebook, if it is there; `[[word]]` stands for a list.

    `(nb:05#heading)` links to a heading, `(nb:05#cell-ID)` to the Markdown cell of that ID.
    """
    found = {path.name.partition("_")[0]: path for path in notebooks()}

    def link(match: re.Match[str]) -> str:
        path, place = found.get(match[2]), match[3] or ""
        if path is None:
            return match[1]
        page = "" if place.startswith("#cell-") else f"notebooks/{path.name}"
        return f"[{match[1]}]({page}{place})"

    text = re.sub(r"\[([^]\n]+)\]\(nb:(\d\d)(#[\w-]+)?\)", link, text)
    for word, make in LISTS.items():
        text = text.replace(f"[[{word}]]", make()) if f"[[{word}]]" in text else text
    return text


def lay_out(folder: Path) -> None:
    """Write all sources of the site into a folder, which is made anew."""
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "notebooks").mkdir(parents=True)
    (folder / "api").mkdir()
    for page in sorted(PAGES.glob("*.md")):
        (folder / page.name).write_text(filled(page.read_text(encoding="utf-8")), encoding="utf-8")
    for path in notebooks():
        text = json.dumps(page_of(path), ensure_ascii=False)
        (folder / "notebooks" / path.name).write_text(text, encoding="utf-8")
    (folder / "notebooks" / "index.md").write_text(contents(), encoding="utf-8")
    shutil.copytree(NOTEBOOKS / "images", folder / "notebooks" / "images")
    write_archive(folder / ARCHIVE)
    shutil.copy(ROOT / "quantnotes" / "samples" / "README.md", folder / "samples.md")
    shutil.copytree(ROOT / "quantnotes" / "samples" / "licenses", folder / "licenses")
    for subject in SUBJECTS:
        (folder / "api" / f"{subject.page}.rst").write_text(reference(subject), encoding="utf-8")
    (folder / "api" / "index.md").write_text(api(), encoding="utf-8")
