"""The notebooks as pages: in order, complete, described, linked. That they run is nbval's business."""

import json
import re
from itertools import pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
NOTEBOOKS = ROOT / "notebooks"
FRAME = [
    "The note says",
    "By hand",
    "Derivation",
    "In code",
    "In pictures",
    "When it goes wrong",
    "In practice",
    "Exercises",
    "Recap",
]
NAMES = [  # by number; one may be missing while it is being written, but there is no other
    "00_start_here",
    "01_mapping",
    "02_asymmetric",
    "03_symmetric",
    "04_saturation",
    "05_outliers",
    "06_calibration",
    "07_calibration_data",
    "08_integer_arithmetic",
    "09_small_network",
    "10_where_to_measure",
    "11_convolution",
    "12_your_own_model",
    "13_groups",
    "14_float_formats",
    "15_moving_outliers",
    "16_bug_museum",
    "17_speed_and_scale",
]
METADATA = {
    "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
NUMBERED = sorted(NOTEBOOKS.glob("*.ipynb"))
SOLUTIONS = sorted((NOTEBOOKS / "solutions").glob("*.ipynb"))
CHAPTERS = [path for path in NUMBERED if not path.name.startswith("00")]

each = pytest.mark.parametrize("path", NUMBERED + SOLUTIONS, ids=lambda p: str(p.relative_to(NOTEBOOKS)))
each_numbered = pytest.mark.parametrize("path", NUMBERED, ids=lambda p: p.name)
each_chapter = pytest.mark.parametrize("path", CHAPTERS, ids=lambda p: p.name)


def load(path):
    return json.loads(path.read_text(encoding="utf-8"))


def text_of(cell):
    return "".join(cell["source"])


def cells(path, kind):
    return [cell for cell in load(path)["cells"] if cell["cell_type"] == kind]


def headings(path):
    """(level, text) of every heading, code blocks aside."""
    for cell in cells(path, "markdown"):
        text = re.sub(r"(?s)```.*?```", "", text_of(cell))
        yield from ((len(marks), title.strip()) for marks, title in re.findall(r"(?m)^(#+) (.+)$", text))


def pictures(cell):
    return [output for output in cell.get("outputs", []) if "image/png" in output.get("data", {})]


def test_names_are_known_and_each_has_solutions():
    assert [name[:2] for name in NAMES] == [f"{i:02}" for i in range(len(NAMES))]
    assert {path.stem for path in NUMBERED} <= set(NAMES)
    assert [path.name for path in SOLUTIONS] == [path.name for path in CHAPTERS]


@each
def test_executed_in_order(path):
    code = cells(path, "code")
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))


@each
def test_outputs_are_there(path):
    """nbval passes a cell whose outputs were stripped: what prints, shows or ends in a check has some."""
    for cell in cells(path, "code"):
        last = text_of(cell).strip().splitlines()[-1]
        if re.search(r"(?m)^\s*print\(|^plots\.show\(|^widgets\.|^display\(", text_of(cell)) or re.match(
            r"check\(", last
        ):
            assert cell["outputs"], text_of(cell)
    assert any(cell["outputs"] for cell in cells(path, "code"))


@each
def test_no_error_and_no_warning(path):
    for cell in cells(path, "code"):
        kinds = {output["output_type"] for output in cell["outputs"]}
        intended = "raises-exception" in cell["metadata"].get("tags", [])
        assert ("error" in kinds) == intended, text_of(cell)
        assert not [output for output in cell["outputs"] if output.get("name") == "stderr"], text_of(cell)


@each
def test_cells_are_short(path):
    for cell in cells(path, "code"):
        lines = [line for line in text_of(cell).splitlines() if line.strip()]
        assert 0 < len(lines) <= 12, text_of(cell)
    for cell in cells(path, "markdown"):
        assert len(text_of(cell)) <= 2500, text_of(cell)[:80]


@each
def test_metadata_are_neutral(path):
    notebook = load(path)
    assert notebook["metadata"] == METADATA
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    ids = [cell["id"] for cell in notebook["cells"]]
    assert len(set(ids)) == len(ids)
    for cell in notebook["cells"]:
        assert set(cell["metadata"]) <= {"tags"}
        assert set(cell["metadata"].get("tags", [])) <= {"raises-exception", "nbval-skip"}


@each
def test_no_path_of_a_machine(path):
    for cell in load(path)["cells"]:
        shown = text_of(cell) + json.dumps(
            [{**o, "data": {**o.get("data", {}), "image/png": ""}} for o in cell.get("outputs", [])]
        )
        shown = re.sub(r"\\u001b\[[0-9;]*m", "", shown)  # colours would hide where a path begins
        assert not re.search(r"(?<![\w.])/(?:home|root|tmp|work|usr|Users)/|\b[A-Z]:\\\\", shown), cell["id"]


@each
def test_pictures_have_a_text_and_a_caption(path):
    all_cells = load(path)["cells"]
    figures = 0
    for i, cell in enumerate(all_cells):
        for output in pictures(cell):
            assert len(output["metadata"]["image/png"]["alt"]) > 20, cell["id"]
        if pictures(cell):
            figures += 1
            below = all_cells[i + 1]
            assert below["cell_type"] == "markdown", cell["id"]
            assert text_of(below).startswith(f"*Figure {figures}.* "), cell["id"]
        assert "application/vnd.jupyter.widget-view+json" not in json.dumps(cell)
    assert figures or path in SOLUTIONS


@each_chapter
def test_one_explorer(path):
    """The chapters of the note have one each; a later one may do without."""
    explorers = [cell for cell in cells(path, "code") if "_explorer()" in text_of(cell)]
    assert len(explorers) == 1 or (not explorers and path.name > "06")
    assert all(len(pictures(explorer)) == 1 for explorer in explorers)


@each
def test_headings_are_in_order(path):
    levels = [level for level, _ in headings(path)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert next(title for _, title in headings(path)).startswith(path.name[:2] + " · ")


@each_chapter
def test_frame(path):
    titles = [title for level, title in headings(path) if level == 2]
    if titles[-1].startswith("More on "):  # what is secondary comes after the recap
        titles.pop()
    assert [title.split(":")[0] for title in titles] == FRAME
    first = text_of(load(path)["cells"][0])
    assert "After this notebook you can" in first
    assert "(../README.md#binder)" in first
    assert re.search(r"[Aa]bout \d+ minutes", first)
    assert next(title for _, title in headings(path)).endswith("?")
    assert f"(solutions/{path.name})" in "".join(map(text_of, cells(path, "markdown")))


@each_chapter
def test_three_checked_exercises(path):
    number = path.name[:2]
    solution = NOTEBOOKS / "solutions" / path.name
    for exercise in (f"{number}.1", f"{number}.2", f"{number}.3"):
        blank = [cell for cell in cells(path, "code") if f'check("{exercise}"' in text_of(cell)]
        assert len(blank) == 1
        shown = json.dumps(blank[0]["outputs"])
        assert exercise in shown
        assert "right" not in shown
        solved = "".join(text_of(cell) for cell in cells(solution, "code"))
        assert f'assert check("{exercise}"' in solved


@each
def test_size(path):
    assert path.stat().st_size <= 600_000


def terms():
    """The Chinese terms of the table in 00, each with its English ones."""
    table = "".join(text_of(cell) for cell in cells(NUMBERED[0], "markdown") if "| symbol |" in text_of(cell))
    for row in re.findall(r"(?m)^\| (?!symbol)[^|]*\| ([^|]+) \| ([^|]*[\u4e00-\u9fff][^|]*) \|", table):
        yield from zip(row[1].split(", "), row[0].split(", "), strict=False)


@each_numbered
def test_chinese_stands_beside_the_term_of_the_table(path):
    """A term is followed by its Chinese in brackets: the pair must be the table's."""
    table = dict(terms())
    assert len(table) >= 12
    text = "\n".join(map(text_of, cells(path, "markdown")))
    for before, chinese in re.findall(r"([^()\n]{0,60})\(([\u4e00-\u9fff]+)\)", text):
        stem = table[chinese].lower()[:4]
        assert stem in before.lower().replace("*", ""), f"{chinese} is {table[chinese]}, not {before!r}"


# --- links --------------------------------------------------------------------------------------------------


def anchors(path):
    """The anchors that GitHub gives to the headings of a Markdown file."""
    titles = re.findall(r"(?m)^#+ (.+)$", path.read_text(encoding="utf-8"))
    return {re.sub(r"[^\w\- ]", "", title).strip().lower().replace(" ", "-") for title in titles}


def broken_links(text, folder):
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"https?:", target):
            continue
        name, _, anchor = target.partition("#")
        place = (folder / name).resolve()
        if not place.exists() or (anchor and anchor not in anchors(place)):
            yield target


@each
def test_links_of_notebooks(path):
    assert not list(broken_links("\n".join(map(text_of, cells(path, "markdown"))), path.parent))


@pytest.mark.parametrize("path", [ROOT / "README.md", ROOT / "CONTRIBUTING.md"], ids=lambda p: p.name)
def test_links_of_pages(path):
    assert not list(broken_links(path.read_text(encoding="utf-8"), ROOT))


def test_readme_lists_every_notebook():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert all(f"(notebooks/{path.name})" in readme for path in NUMBERED)
