"""The parts of the site that need no browser: contents, solutions, links, the kernel's settings and files."""

import json
import re
import subprocess
import tarfile

import build_site
import pytest
import site_lite
import site_pages

import quantnotes

PATHS = site_pages.notebooks()
each = pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)


def sources(notebook):
    return [cell["source"] for cell in notebook["cells"]]


@each
def test_solutions_are_folded_under_their_exercises(path):
    page = sources(site_pages.page_of(path))
    solutions = site_pages.solutions_of(path)
    place = path.parent / "solutions" / path.name
    if place.exists():
        titles = re.findall(r"## (\d\d\.\d)", "\n".join(sources(site_pages.read(place))))
        assert list(solutions) == titles
        assert titles
    exercise, folded = None, []
    for source in page:
        found = re.search(r"(?m)^\*\*(\d\d\.\d)\*\*", source)
        exercise = found[1] if found else exercise
        if source.startswith('<details class="solution">'):
            assert source.endswith(f"Solution of {exercise}</summary>")
            folded.append(exercise)
    assert folded == list(solutions)
    assert page.count("</details>") == len(folded)


@each
def test_a_page_keeps_every_cell_in_order(path):
    code = [cell["source"] for cell in site_pages.read(path)["cells"] if cell["cell_type"] == "code"]
    rest = iter(cell["source"] for cell in site_pages.page_of(path)["cells"] if cell["cell_type"] == "code")
    assert all(source in rest for source in code)


@each
def test_links_stay_on_the_site(path):
    text = "\n".join(sources(site_pages.page_of(path)))
    assert not re.findall(r"\]\([^)]*(?:README|solutions/)[^)]*\)", text)


@each
def test_every_figure_has_its_alternative_text(path):
    for cell in site_pages.page_of(path)["cells"]:
        for output in cell.get("outputs", []):
            if "image/png" in output.get("data", {}):
                assert cell["metadata"]["mystnb"]["image"]["alt"]


def test_contents_list_every_notebook_once():
    assert re.findall(r"(?m)^\d\d\w+$", site_pages.contents()) == [path.stem for path in PATHS]


def test_every_public_name_is_on_one_page():
    homes = [home for subject in site_pages.SUBJECTS for home in subject.modules]
    assert sorted(homes) == sorted(quantnotes._MODULES)


def test_glossary_and_reports():
    assert all(column in site_pages.glossary().splitlines()[0] for column in ("symbol", "term", "中文"))
    assert re.search(r"(?m)^- \[\S+/\S+#\d+\]\(https://github.com/\S+/issues/\d+\): ", site_pages.reports())


def test_a_link_to_a_notebook_that_is_not_there_is_text(monkeypatch):
    monkeypatch.setattr(site_pages, "notebooks", lambda: [PATHS[2]])
    text = site_pages.filled("[two](nb:02#exercises) and [three](nb:03)")
    assert text == f"[two](notebooks/{PATHS[2].name}#exercises) and three"


@pytest.mark.parametrize("place", [None, "some/where"])
def test_buttons(place, monkeypatch):
    monkeypatch.setattr(site_pages, "repository", lambda: place)
    row = site_pages.buttons("02_asymmetric.ipynb")
    assert "lite/notebooks/index.html?path=notebooks/02_asymmetric.ipynb" in row
    assert ("Binder" in row) == ("Colab" in row) == ("some/where" in row) == (place is not None)


def test_colab_notebooks_install_what_is_missing(tmp_path):
    site_pages.write_colab(tmp_path, "some/where")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(path.name for path in PATHS)
    cells = json.loads((tmp_path / PATHS[2].name).read_text(encoding="utf-8"))["cells"]
    assert "https://github.com/some/where" in "".join(cells[0]["source"])
    assert len(cells) == len(site_pages.read(PATHS[2])["cells"]) + 1


def test_a_page_says_how_to_run_it_here():
    page = "\n".join(sources(site_pages.page_of(PATHS[1])))
    assert site_pages.RUN_IT in page
    assert "Binder" not in page


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("with $a$ (where $b$), $c$.", "with $a$ (where {$b$),} {$c$.}"),
        ("for 8 ($q = 7$), say", "for 8 {($q = 7$),} say"),
        ("$$x = 1,$$", "$$x = 1,$$"),
        ("## With $a$.", "## With $a$."),
    ],
)
def test_punctuation_stays_with_its_formula(text, shown):
    shown = shown.replace("{", '<span class="whole">').replace("}", "</span>")
    assert site_pages.unbroken(text) == shown


@pytest.mark.parametrize("subject", site_pages.SUBJECTS, ids=lambda subject: subject.page)
def test_modules_can_be_linked(subject):
    if "distributed" in subject.own:
        pytest.importorskip("dask", reason="the module needs Dask")
    page = site_pages.reference(subject)
    assert all(f".. py:module:: quantnotes.{name}\n" in page for name in subject.own)


@pytest.mark.parametrize("subject", site_pages.SUBJECTS, ids=lambda subject: subject.page)
def test_the_api_lists_the_names_of_each_subject(subject):
    names = [name for home in subject.modules for name in quantnotes._MODULES[home]]
    [row] = re.findall(rf"(?s)\({subject.page}\.rst\)(.*?)\n\n  (.*?)\n", site_pages.api())
    assert re.findall(r"`([\w.]+)`", row[1]) == [*names, *subject.own]


def test_a_link_to_a_cell_finds_its_label():
    text = site_pages.filled("[here](nb:00#cell-00-009)")
    assert text == "[here](#cell-00-009)"
    assert any(source.startswith("(cell-00-009)=\n") for source in sources(site_pages.page_of(PATHS[0])))


@pytest.mark.parametrize("place", [None, "some/where"])
def test_how_to_get_a_copy(place, monkeypatch):
    monkeypatch.setattr(site_pages, "repository", lambda: place)
    text = site_pages.filled("[[copy]]")
    assert f"$ tar xzf {site_pages.ARCHIVE}\n$ cd quantnotes\n$ make lab\n" in text
    clone = "$ git clone https://github.com/some/where.git\n$ cd where\n$ make lab\n"
    assert (clone in text) == (place is not None)


def test_the_archive_holds_the_repository(tmp_path):
    command = ["git", "-C", str(site_pages.ROOT), "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("this is no clone")
    site_pages.write_archive(tmp_path / "a.tar.gz")
    with tarfile.open(tmp_path / "a.tar.gz") as archive:
        files = {entry.name for entry in archive.getmembers() if entry.isfile()}
    assert files == {f"quantnotes/{name}" for name in listed.stdout.splitlines()}


def test_lists_made_from_notebooks(tmp_path, monkeypatch):
    for name, text in {"01_a": "About 20 minutes. data/a.csv", "02_b": "About 5 minutes."}.items():
        (tmp_path / f"{name}.ipynb").write_text(text, encoding="utf-8")
    monkeypatch.setattr(site_pages, "NOTEBOOKS", tmp_path)
    assert site_pages.filled("[[note_minutes]] minutes, [[with_data]]") == "25 minutes, 01"


@pytest.mark.parametrize("fails", [True, False])
def test_a_site_is_whole_or_the_one_before(fails, tmp_path, monkeypatch):
    """Pages without the kernel for the browser would have buttons that lead nowhere."""

    def pages():
        build_site.NEW.mkdir()
        (build_site.NEW / "index.html").write_text("new")

    def kernel(html, scratch, pyodide):
        if fails:
            raise ValueError("numpy is not that of Pyodide")
        (html / "lite").mkdir()

    monkeypatch.setattr(build_site, "HTML", tmp_path / "html")
    monkeypatch.setattr(build_site, "NEW", tmp_path / "new")
    monkeypatch.setattr(build_site, "BUILD", tmp_path)
    monkeypatch.setattr(build_site, "build_pages", pages)
    monkeypatch.setattr(site_lite, "build", kernel)
    build_site.HTML.mkdir()
    (build_site.HTML / "index.html").write_text("before")
    assert build_site.main() == fails
    assert (build_site.HTML / "index.html").read_text() == ("before" if fails else "new")
    assert (build_site.HTML / "lite").exists() == (not fails)
