"""Check notebooks against the rules for how they are made, and print every violation at once.

python tools/check_notebook.py NOTEBOOK ...

Each rule is a function that takes a notebook and yields what violates it; `tests/test_notebooks.py` runs the
same rules. Not covered: whether the cells run and print what is committed, which is nbval's work, and what
holds between notebooks.
"""

from __future__ import annotations

import argparse
import ast
import html
import json
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
METADATA = {
    "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
TAGS = {"nbval-skip", "hide-cell", "hide-input", "hide-output"}
FRAME = [
    "The note says",  # of the notebooks beyond the note, where it applies
    "By hand",
    "Derivation",
    "In code",
    "In pictures",
    "The surprise",
    "When it goes wrong",
    "In practice",
    "Exercises",
    "Recap",
]
MORE = "More on "  # how the title of a closing section begins that a site folds up
MINUTES, LINES, COLUMNS, KILOBYTES, PARAGRAPH = 30, 10, 88, 700, 600
WORDS_TO_AVOID = re.compile(  # STYLE: say it as you would to a colleague
    r"(?i)\b(?:mend(?:s|ed|ing|able)?|spoilt|lest|whence|thereof|in the place of|whom|rightly"
    r"|let(?:s|ting)? go of|aloud|unsaid|quarrel(?:s|led|ling)?|henceforth|wherein|towers? over)\b"
)
MUSEUM_WORDS = re.compile(r"(?i)\b(?:halls?|specimens?)\b")  # they stay in the museum


@dataclass(frozen=True)
class Notebook:
    """A notebook, and the views of it that the rules take."""

    path: Path

    @cached_property
    def content(self) -> dict[str, Any]:
        content: dict[str, Any] = json.loads(self.path.read_text(encoding="utf-8"))
        return content

    @cached_property
    def cells(self) -> list[dict[str, Any]]:
        return [{**cell, "text": "".join(cell["source"])} for cell in self.content["cells"]]

    @cached_property
    def code(self) -> list[dict[str, Any]]:
        return [cell for cell in self.cells if cell["cell_type"] == "code"]

    @cached_property
    def prose(self) -> list[dict[str, Any]]:
        return [cell for cell in self.cells if cell["cell_type"] == "markdown"]

    @property
    def number(self) -> str:
        return self.path.name[:2]

    @property
    def solves(self) -> bool:
        """Whether it holds the solutions of another one."""
        return self.path.parent.name == "solutions"

    @property
    def label(self) -> str:
        """What the title begins with: the number, or "16b" for a page beside notebook 16."""
        return self.path.name.partition("_")[0]

    @property
    def is_chapter(self) -> bool:
        """Whether it has the frame and exercises: not 00, and no page to look things up in."""
        return not self.solves and self.label == self.number != "00"

    @cached_property
    def headings(self) -> list[tuple[int, str]]:
        """The level and the text of every heading, code blocks aside."""
        texts = [re.sub(r"(?s)```.*?```", "", cell["text"]) for cell in self.prose]
        found = [re.findall(r"(?m)^(#+) (.+)$", text) for text in texts]
        return [(len(marks), title.strip()) for pairs in found for marks, title in pairs]

    @property
    def title(self) -> str:
        return self.headings[0][1] if self.headings else ""

    @cached_property
    def figures(self) -> int:
        return sum(len(pictures(cell)) for cell in self.code)

    @cached_property
    def lines(self) -> int:
        """Lines of code that are not blank."""
        return sum(len(lines_of(cell)) for cell in self.code)

    @cached_property
    def words(self) -> int:
        """Words of prose; a formula is one."""
        return sum(len(words_of(cell["text"])) for cell in self.prose)

    @property
    def minutes(self) -> float:
        """How long a reader takes."""
        return self.words / 180 + self.lines / 15 + self.figures / 2

    @property
    def stated_minutes(self) -> int | None:
        """The first number of minutes that the prose names."""
        text = "\n".join(cell["text"] for cell in self.prose)
        found = re.search(r"(\d+) minutes", text)
        return int(found[1]) if found else None


# --- pieces -------------------------------------------------------------------------------------------------

FORMULA = re.compile(r"(?s)\$\$.+?\$\$|(?<![\\$])\$(?!\s)[^$\n]+?(?<!\s)\$(?!\d)")
CODE_SPAN = re.compile(r"(?s)```.*?```|``[^`]+``|`[^`\n]+`")
LINK_TARGET = re.compile(r"\]\([^)\s]*\)|<https?://[^>]*>|https?://\S+")


def pictures(cell: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the outputs of a cell that hold an image."""
    outputs = cell.get("outputs", [])
    return [output for output in outputs if any(kind.startswith("image/") for kind in output.get("data", {}))]


def lines_of(cell: dict[str, Any]) -> list[str]:
    return [line for line in cell["text"].splitlines() if line.strip()]


def words_of(text: str) -> list[str]:
    """Return the words of Markdown as a reader sees it: no link targets, no marks; a formula is one word."""
    text = LINK_TARGET.sub("] ", FORMULA.sub(" formula ", text))
    return [word for word in re.sub(r"<[^>]+>", " ", text).split() if re.search(r"\w", word)]


def tree_of(cell: dict[str, Any]) -> ast.Module:
    """Parse the code of a cell, without lines for IPython."""
    return ast.parse(re.sub(r"(?m)^(\s*)[%!].*$", r"\1pass", cell["text"]))


def shown_by(cell: dict[str, Any]) -> str:
    """Return what a cell shows, as text."""
    texts = []
    for output in cell.get("outputs", []):
        data = output.get("data", {})
        texts += ["".join(output.get("text", "")), "".join(data.get("text/plain", ""))]
        texts.append(html.unescape(re.sub(r"<[^>]+>", " ", "".join(data.get("text/html", "")))))
    return "\n".join(texts)


# --- length -------------------------------------------------------------------------------------------------


def honest_minutes(notebook: Notebook) -> Iterator[str]:
    """The minutes stated are those measured, within 15 %, and no more than 30."""
    if notebook.solves:
        return
    stated, measured = notebook.stated_minutes, notebook.minutes
    if stated is None:
        yield "no 'N minutes' is stated"
    elif abs(stated - measured) > 0.15 * min(measured, stated):
        yield f"{stated} minutes are stated, and {measured:.1f} measured"
    if max(stated or 0, measured) > MINUTES:
        yield f"{measured:.1f} minutes measured, {stated} stated: {MINUTES} at most"


def short_cells(notebook: Notebook) -> Iterator[str]:
    """A cell of code has at most 10 lines of at most 88 columns, and one statement a line."""
    for cell in notebook.code:
        lines = lines_of(cell)
        if not 0 < len(lines) <= LINES:
            yield f"{cell['id']}: {len(lines)} lines of code: {LINES} at most"
        for line in lines:
            if len(line) > COLUMNS:
                yield f"{cell['id']}: a line of {len(line)} columns: {COLUMNS} at most"
        starts = [node.lineno for node in ast.walk(tree_of(cell)) if isinstance(node, ast.stmt)]
        if len(set(starts)) < len(starts):
            yield f"{cell['id']}: two statements on one line"


def short_paragraphs(notebook: Notebook) -> Iterator[str]:
    """A paragraph has at most six lines of about 100 characters."""
    for cell in notebook.prose:
        for paragraph in re.split(
            r"\n\s*\n|\n(?=\s*[-*|]|\d+\. )", re.sub(r"(?s)```.*?```", "", cell["text"])
        ):
            length = len(LINK_TARGET.sub("]", FORMULA.sub("$formula$", paragraph)))
            if length > PARAGRAPH and not paragraph.lstrip().startswith("|"):
                yield f"{cell['id']}: a paragraph of {length} characters: {PARAGRAPH} at most"


def small_file(notebook: Notebook) -> Iterator[str]:
    """The file has at most 700 KB."""
    size = notebook.path.stat().st_size / 1000
    if size > KILOBYTES:
        yield f"{size:.0f} KB: {KILOBYTES} at most"


# --- code ---------------------------------------------------------------------------------------------------

COMPREHENSION = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


def simple_code(notebook: Notebook) -> Iterator[str]:
    """No nested comprehension, no table of lambdas, no layout by hand."""
    for cell in notebook.code:
        for node in ast.walk(tree_of(cell)):
            if isinstance(node, COMPREHENSION):
                inner = [part for part in ast.walk(node) if isinstance(part, COMPREHENSION)]
                if len(inner) > 1 or len(node.generators) > 1:
                    yield f"{cell['id']}: a nested comprehension: give the inner part a name and a line"
            elif isinstance(node, ast.Dict | ast.List | ast.Tuple | ast.Set):
                values = node.values if isinstance(node, ast.Dict) else node.elts
                if any(isinstance(value, ast.Lambda) for value in values):
                    yield f"{cell['id']}: a table of lambdas: define functions"
            elif isinstance(node, ast.FormattedValue) and node.format_spec is not None:
                spec = ast.unparse(node.format_spec)[2:-1]
                if re.match(r"(?:.?[<>^=])?[+ -]?[1-9]|.?[<>^]|\{", spec):
                    yield f"{cell['id']}: layout by hand, {{:{spec}}}: use table(rows, columns)"
            elif isinstance(node, ast.Attribute) and node.attr in ("ljust", "rjust", "center"):
                yield f"{cell['id']}: layout by hand, .{node.attr}: use table(rows, columns)"


def _asserts(cell: dict[str, Any]) -> bool:
    nodes = ast.walk(tree_of(cell))
    return any(isinstance(node, ast.Assert) for node in nodes) or "np.testing." in cell["text"]


def silent_asserts(notebook: Notebook) -> Iterator[str]:
    """A cell with an assert shows nothing."""
    for cell in notebook.code:
        if _asserts(cell) and (cell["outputs"] or re.search(_SHOWS, cell["text"])):
            yield f"{cell['id']}: an assert in a cell that shows something: take one of them away"


# --- outputs and metadata -----------------------------------------------------------------------------------


_SHOWS = r"(?m)^\s*print\(|^(?:plots\.show|display|table|spread_table|check)\(|^widgets\."


def executed(notebook: Notebook) -> Iterator[str]:
    """Every cell ran, in order, with neither error nor warning, and its outputs are there."""
    counts = [cell["execution_count"] for cell in notebook.code]
    if counts != list(range(1, len(counts) + 1)):
        yield f"executed in the order {counts}: run all cells once, from the first"
    for cell in notebook.code:
        kinds = {output["output_type"] for output in cell["outputs"]}
        if "error" in kinds:
            yield f"{cell['id']}: an error stops Run All: catch it and print it"
        if any(output.get("name") == "stderr" for output in cell["outputs"]):
            yield f"{cell['id']}: writes to stderr"
        if re.search(_SHOWS, cell["text"]) and not cell["outputs"] and not _asserts(cell):
            yield f"{cell['id']}: its outputs are missing"
    if not any(cell["outputs"] for cell in notebook.code):
        yield "no cell has an output"


def neutral_metadata(notebook: Notebook) -> Iterator[str]:
    """No time, no state, no machine: only tags that are known, and the numbers that are not measured."""
    content = notebook.content
    if content["metadata"] != METADATA or (content["nbformat"], content["nbformat_minor"]) != (4, 5):
        yield "the notebook's metadata are not in order: run tools/run_notebooks.py"
    ids = [cell["id"] for cell in notebook.cells]
    if len(set(ids)) < len(ids):
        yield "two cells have one id"
    for cell in notebook.cells:
        metadata = cell["metadata"]
        if unknown := set(metadata) - {"tags", "not-measured"} | set(metadata.get("tags", [])) - TAGS:
            yield f"{cell['id']}: metadata or tags that are not allowed: {', '.join(sorted(unknown))}"
        data = [output.get("data", {}) for output in cell.get("outputs", [])]
        if any("application/vnd.jupyter.widget-view+json" in one for one in data):
            yield f"{cell['id']}: a widget's view, which shows nothing without a kernel"


def no_machine_path(notebook: Notebook) -> Iterator[str]:
    """No path of somebody's machine."""
    for cell in notebook.cells:
        outputs = [{**o, "data": {**o.get("data", {}), "image/png": ""}} for o in cell.get("outputs", [])]
        shown = re.sub(r"\\u001b\[[0-9;]*m", "", cell["text"] + json.dumps(outputs))
        if re.search(r"(?<![\w.])/(?:home|root|tmp|work|usr|Users)/|\b[A-Z]:\\\\", shown):
            yield f"{cell['id']}: a path of a machine"


def described_figures(notebook: Notebook) -> Iterator[str]:
    """Every figure has a text for those who cannot see it and a caption with its number; two at least."""
    count = 0
    for i, cell in enumerate(notebook.cells):
        shown = pictures(cell)
        for output in shown:
            if len(output["metadata"].get("image/png", {}).get("alt", "")) <= 20:
                yield f"{cell['id']}: a figure without an alternative text"
        if shown:
            count += 1
            below = notebook.cells[i + 1] if i + 1 < len(notebook.cells) else {"text": ""}
            if not below["text"].startswith(f"*Figure {count}.* "):
                yield f"{cell['id']}: no '*Figure {count}.* …' below its figure"
    least = 0 if notebook.solves else 1 if notebook.number == "00" else 2
    if count < least:
        yield f"{count} figures: {least} at least"


def one_explorer(notebook: Notebook) -> Iterator[str]:
    """A chapter of the note has one explorer; a later one may do without."""
    explorers = [cell for cell in notebook.code if "_explorer()" in cell["text"]]
    if notebook.is_chapter and len(explorers) != 1 and (explorers or notebook.number < "06"):
        yield f"{len(explorers)} explorers: one"
    for cell in explorers:
        if len(pictures(cell)) != 1:
            yield f"{cell['id']}: an explorer shows one picture without a kernel"


# --- the frame ----------------------------------------------------------------------------------------------


def ordered_headings(notebook: Notebook) -> Iterator[str]:
    """One title, "NN · …", and no level left out."""
    levels = [level for level, _ in notebook.headings]
    if levels[:1] != [1] or levels.count(1) != 1:
        yield "the first heading is the title, and there is one"
    if any(after > before + 1 for before, after in pairwise(levels)):
        yield "a level of headings is left out"
    if not notebook.title.startswith(notebook.label + " · "):
        yield f"the title does not begin with '{notebook.label} · '"


def framed(notebook: Notebook) -> Iterator[str]:
    """A chapter has the frame of TEACHING."""
    if not notebook.is_chapter:
        return
    titles = [title.split(":")[0].strip() for level, title in notebook.headings if level == 2]
    more = [title for title in titles if title.startswith(MORE)]
    if len(more) > 1 or (more and titles[-1] != more[0]):
        yield f"'{MORE}…' is one section, and the last"
    rest = [title for title in titles if not title.startswith(MORE)]
    wanted = FRAME if notebook.number < "06" or FRAME[0] in rest else FRAME[1:]
    if rest != wanted:
        yield f"the sections are {rest}, not {wanted}"
    first = notebook.prose[0]["text"]
    if not notebook.title.endswith("?"):
        yield "the title is no question"
    if len(re.findall(r"(?m)^- ", first.partition("After this notebook you can")[2])) != 3:
        yield "no 'After this notebook you can' with three things below the title"
    if not re.search(r"\d+ minutes", first) or "../README.md#" not in first:
        yield "the first cell does not say how many minutes, and where to run the notebook"
    if f"(solutions/{notebook.path.name})" not in "".join(c["text"] for c in notebook.prose):
        yield "no link to the solutions"


def checked_exercises(notebook: Notebook) -> Iterator[str]:
    """A chapter has three exercises that wait for an answer; its solutions are right."""
    if not notebook.is_chapter and not notebook.solves:
        return
    for exercise in (f"{notebook.number}.{i}" for i in (1, 2, 3)):
        cells = [cell for cell in notebook.code if f'check("{exercise}"' in cell["text"]]
        answers = "".join(map(shown_by, cells))
        if not notebook.solves and (len(cells) != 1 or f"{exercise}: not" not in answers):
            yield f"exercise {exercise} has no blank that waits for an answer"
        if notebook.solves and f"{exercise}: right." not in answers:
            yield f"the solution of {exercise} does not show that it is right"


def anchors(path: Path) -> set[str]:
    """Return the anchors that GitHub gives to the headings of a Markdown file."""
    titles = re.findall(r"(?m)^#+ (.+)$", path.read_text(encoding="utf-8"))
    return {re.sub(r"[^\w\- ]", "", title).strip().lower().replace(" ", "-") for title in titles}


def broken_links(text: str, folder: Path) -> Iterator[str]:
    """Yield the links to files or headings that are not there."""
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        name, _, anchor = target.partition("#")
        place = (folder / name).resolve()
        if not re.match(r"https?:", target) and (
            not place.exists() or (anchor and anchor not in anchors(place))
        ):
            yield target


def working_links(notebook: Notebook) -> Iterator[str]:
    """What a link leads to is there."""
    for cell in notebook.prose:
        for target in broken_links(cell["text"], notebook.path.parent):
            yield f"{cell['id']}: a link to {target}, which is not there"


# --- words and numbers --------------------------------------------------------------------------------------


def plain_words(notebook: Notebook) -> Iterator[str]:
    """None of the words that STYLE avoids, in prose, code and what it shows."""
    for cell in notebook.cells:
        text = cell["text"] + "\n" + shown_by(cell)
        for word in sorted(set(WORDS_TO_AVOID.findall(text))):
            yield f"{cell['id']}: the word {word!r}"
        if notebook.number != "16":
            for word in sorted(set(MUSEUM_WORDS.findall(LINK_TARGET.sub("]", text)))):
                yield f"{cell['id']}: the word {word!r} belongs to the museum"


@dataclass(frozen=True)
class Number:
    """A number as it is written.

    Attributes
    ----------
    text : str
        As written, with its sign.
    value : float
    decimals : float
        How many it has; inf for one that is exact, in a formula or in code.
    percent : bool
        Whether a percent sign follows.
    """

    text: str
    value: float
    decimals: float
    percent: bool = False


# Digits with commas or without, a fraction, an exponent; a sign where no number or word stands before it.
NUMERAL = re.compile(
    r"(?P<sign>(?<![\w.)\]])[-−])?"
    r"(?P<digits>\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?P<fraction>\.\d+)?(?P<exponent>[eE][-+]?\d+(?![\w.]))?"
    r"(?P<percent>(?:\s|\u202f|\\,)?\\?%)?"
)
# Where a number is a name: of a section, a figure, an exercise, a notebook, a document.
NAMED = re.compile(
    r"(?i)(?:\b(?:sections?|figures?|exhibits?|exercises?|notebooks?|tables?|equations?|chapters?|parts?)|§|arXiv:?)"
    r"\s*\(?\d+(?:\.\d+)*(?:(?:,| and| or| to|, and|–|…)\s*\d+(?:\.\d+)*\b)*"
)
REFERENCE = re.compile(
    r"\[\d\d(?:\.\d)?(?: ·[^\]]*)?\](?=\([^)]*\.ipynb)"  # a link to a notebook
    r"|\*\*\d\d\.\d\*\*|(?<![\d.,])(?<![eE][-+])0\d(?:\.\d)?(?![\d.,]\d|\d)"  # **02.1**, 05
)
LIST_MARKER = re.compile(r"(?m)^\s*\d+[.)] ")
UNITS = "dB|ms|µs|ns|s|kB|KB|MB|GB|GiB|MiB|k|M|x"


def numbers_in(text: str, exact: bool = False) -> Iterator[Number]:
    """Yield every number in a text, also where it is part of a name: a source for numbers in the prose."""
    text = re.sub(r"(?<=\d)(?:\{,\}|_)(?=\d{3})", ",", text)
    for found in NUMERAL.finditer(text):
        yield _number(found, exact)
        if "," in found["digits"]:  # a list without blanks, perhaps
            for piece in found[0].split(","):
                yield from numbers_in(piece, exact)


def _number(found: re.Match[str], exact: bool) -> Number:
    digits = found["digits"].replace(",", "") + (found["fraction"] or "")
    exponent = found["exponent"] or ""
    value = float(digits + exponent)
    decimals = len(found["fraction"] or ".") - 1 - (int(exponent[1:]) if exponent else 0)
    if found["sign"]:
        value = -value
    text = found[0].removesuffix(found["percent"] or "").replace("−", "-")
    return Number(text, value, float("inf") if exact else decimals, bool(found["percent"]))


def sources(notebook: Notebook) -> list[Number]:
    """Return the numbers of the outputs, of the code and of the formulas."""
    found: list[Number] = []
    for cell in notebook.code:
        found += numbers_in(shown_by(cell))
        found += numbers_in(_code_of(cell), exact=True)
    for cell in notebook.prose:
        for pattern in (FORMULA, CODE_SPAN):
            pieces = pattern.findall(cell["text"])
            found += (n for piece in pieces if not _is_bare(piece) for n in numbers_in(piece, exact=True))
    return found


def _is_bare(piece: str) -> bool:
    """Whether a formula or a span of code is nothing but a number, which proves nothing."""
    return re.fullmatch(r"[-−+]?[\d.,{}\\% ]+", piece.strip("$`")) is not None


def _code_of(cell: dict[str, Any]) -> str:
    """Return the code of a cell without comments, docstrings and alternative texts."""
    return ast.unparse(_WithoutProse().visit(tree_of(cell)))


class _WithoutProse(ast.NodeTransformer):
    def visit_keyword(self, node: ast.keyword) -> ast.AST | None:
        return None if node.arg == "alt" else self.generic_visit(node)

    def visit_Expr(self, node: ast.Expr) -> ast.AST:
        return ast.Pass() if isinstance(node.value, ast.Constant) else self.generic_visit(node)


def prose_numbers(text: str) -> Iterator[Number]:
    """Yield the numbers that a reader takes for facts: no names, references or formulas."""
    for pattern in (FORMULA, CODE_SPAN):
        text = pattern.sub(
            lambda piece: f" {piece[0].strip('$`')} " if _is_bare(piece[0]) else " formula ", text
        )
    for pattern in (NAMED, REFERENCE):
        text = pattern.sub(" name ", text)
    text = LIST_MARKER.sub("", LINK_TARGET.sub("]", text)).replace("\\%", "%")
    text = re.sub(r"<[^>]+>", " ", text)
    for found in NUMERAL.finditer(text):
        before, after = text[: found.start()], text[found.end() :]
        part_of_a_name = re.search(r"[^\W\d](?:[-−.]|\d[\d.]*[-.])?$", before) or re.match(
            rf"(?!(?:{UNITS})\b)[^\W\d]|[⁰¹²³⁴⁵⁶⁷⁸⁹⁻₀₁₂₃₄₅₆₇₈₉]", after
        )
        if not part_of_a_name:
            yield _number(found, exact=False)


def is_measured(number: Number, pool: list[Number]) -> bool:
    """Whether a source holds the number: to as many decimals as written, a share times 100 for percent."""
    size = abs(number.value)
    unit = 10.0**-number.decimals
    if number.decimals == 0 and size >= 1000:  # 200,000: rounded to where its zeros begin
        digits = str(int(size))
        zeros = len(digits) - len(digits.rstrip("0"))
        unit = 10.0**zeros if zeros >= 2 else 1.0
    return any(_is_rounded(number, unit, source) for source in pool)


def _is_rounded(number: Number, unit: float, source: Number) -> bool:
    for factor, shift in ((1, 0), (100, 2)) if number.percent and not source.percent else ((1, 0),):
        value = source.value * factor if number.value < 0 else abs(source.value) * factor
        close = abs(value - number.value) <= unit / 2 + 1e-9 * max(unit, abs(value))
        if close and source.decimals - shift >= number.decimals:
            return True
    return False


def measured_numbers(notebook: Notebook) -> Iterator[str]:
    """Every number in the prose is in an output, a formula or the code, or the cell says that it is not."""
    if notebook.solves:
        return
    pool = sources(notebook)
    minutes = True
    for cell in notebook.prose:
        text = cell["text"]
        if minutes and (found := re.search(r"\d+ minutes", text)):
            text, minutes = text[: found.start()] + text[found.end() :], False
        title = re.compile(rf"^# {notebook.label} · ")
        numbers = list(prose_numbers(title.sub("# ", text)))
        stated = [str(entry).replace("−", "-") for entry in cell["metadata"].get("not-measured", [])]
        missing = [n.text for n in numbers if not is_measured(n, pool) and n.text not in stated]
        if missing:
            listed = json.dumps(list(dict.fromkeys(missing)), ensure_ascii=False)
            yield f"{cell['id']}: in no output, formula or code: {listed}"
        if stale := sorted(set(stated) - {number.text for number in numbers}):
            yield f"{cell['id']}: not-measured lists {', '.join(stale)}, which the cell does not say"


RULES: list[Callable[[Notebook], Iterator[str]]] = [
    honest_minutes,
    short_cells,
    short_paragraphs,
    small_file,
    simple_code,
    silent_asserts,
    executed,
    neutral_metadata,
    no_machine_path,
    described_figures,
    one_explorer,
    ordered_headings,
    framed,
    checked_exercises,
    working_links,
    plain_words,
    measured_numbers,
]


def main() -> int:
    """Check the notebooks that the command line names; return the exit code."""
    parser = argparse.ArgumentParser(description="Check notebooks against the rules for how they are made.")
    parser.add_argument("paths", nargs="+", type=Path)
    violations = 0
    for path in parser.parse_args().paths:
        notebook = Notebook(path.resolve())
        print(
            f"{path.name}: {notebook.minutes:.1f} minutes ({notebook.stated_minutes} stated), "
            f"{len(notebook.cells)} cells, {notebook.lines} lines of code, {notebook.words} words, "
            f"{notebook.figures} figures, {path.stat().st_size / 1000:.0f} KB"
        )
        for rule in RULES:
            for violation in rule(notebook):
                violations += 1
                print(f"  {rule.__name__}: {violation}")
    return bool(violations)


if __name__ == "__main__":
    sys.exit(main())
