"""The site in a real browser that reaches nothing beyond this machine: pages, links, running notebooks.

`make test-site` builds the site first. Three notebooks run in the browser's kernel; with SITE=full all.
A failure leaves a screenshot in `build/pages`.
"""

import contextlib
import functools
import json
import os
import re
import zlib
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit

import pytest
import site_pages

import quantnotes

ROOT = Path(__file__).parent.parent.parent
HTML = ROOT / "site" / "_build" / "html"
LITE = HTML / "lite"
SHOTS = ROOT / "build" / "pages"
PAGES = sorted(
    str(path.relative_to(HTML))
    for place in (".", "api", "notebooks")
    for path in (HTML / place).glob("*.html")
)
NOTEBOOKS = [path.stem for path in site_pages.notebooks()]
QUICK = ("00", "02", "05")  # whose run takes little, and which have a slider and exercises
WIDTHS = (1280, 700, 390)
DRAWN = "() => [...document.querySelectorAll('article .math')].every(m => m.querySelector('mjx-container'))"
OUTSIDE = """() => [...document.querySelectorAll('article *')].filter(element => {
    const box = element.getBoundingClientRect();
    if (!box.width || box.right <= innerWidth + 1) return false;
    if (element.closest('.headerlink, mjx-assistive-mml')) return false;
    for (let around = element; around.tagName !== 'ARTICLE'; around = around.parentElement)
        if (/auto|scroll/.test(getComputedStyle(around).overflowX)) return false;
    return true;
}).map(element => element.textContent)"""  # what is cut off: wider than the window, with no bar to scroll it
SECONDS = 300  # for a notebook in the browser's kernel, Pyodide's start included

pytest.importorskip("playwright")
pytestmark = pytest.mark.skipif(not PAGES, reason="the site is not built: make test-site")


@pytest.fixture
def page(browser, address, request):
    """A page that collects what goes wrong on it as `page.wrong`."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, base_url=address)
    page = context.new_page()
    page.set_default_timeout(60_000)
    page.wrong = []
    page.on("pageerror", lambda error: page.wrong.append(str(error)))
    page.on("console", lambda message: message.type == "error" and page.wrong.append(message.text))
    page.on("requestfailed", lambda failed: page.wrong.append(f"{failed.failure}: {failed.url}"))
    page.on("response", lambda answer: answer.status >= 400 and page.wrong.append(answer.url))
    context.on("request", lambda sent: sent.url.startswith("http") and beyond(sent.url, page.wrong))
    yield page
    report = getattr(request.node, "report", None)
    if report is None or report.failed:
        SHOTS.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(Exception):
            page.screenshot(path=SHOTS / f"{request.node.name.replace('/', '_')}.png")
    context.close()


def beyond(url, wrong):
    if urlsplit(url).hostname != "127.0.0.1":
        wrong.append(f"beyond this machine: {url}")


# --- pages --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PAGES)
def test_page(name, page):
    """Opens with nothing missing; figures have an alternative text and a ground; mathematics is drawn."""
    page.goto(name)
    page.wait_for_load_state("networkidle")
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"scrolls at {width}"
        assert page.evaluate(OUTSIDE) == []
    images = page.locator("article img")
    for image in images.all():
        assert image.get_attribute("alt"), image.get_attribute("src")
        assert image.evaluate("image => image.complete && image.naturalWidth > 0")
        ground = image.evaluate("image => getComputedStyle(image).backgroundColor")
        assert ground == "rgb(255, 255, 255)"
    formulas = page.locator("article .math")
    if formulas.count():
        page.wait_for_function(DRAWN)
        assert page.locator("mjx-merror").count() == 0
    assert page.wrong == []


def test_search_finds_zero_point(page):
    page.goto("search.html?q=zero+point")
    page.wait_for_selector("#search-results li a")
    titles = page.locator("#search-results li a").all_inner_texts()
    assert any("02 · Where does zero go?" in title for title in titles), titles


def test_dark_mode_changes_the_ground(page):
    page.goto("notebooks/02_asymmetric.html")
    grounds = set()
    for mode in ("light", "dark"):
        page.evaluate("mode => { document.documentElement.dataset.theme = mode }", mode)
        page.wait_for_timeout(300)
        grounds.add(page.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert len(grounds) == 2


def test_a_link_into_a_fold_opens_it(page):
    page.goto("notebooks/01_mapping.html")
    fold = page.locator("details.more")
    assert fold.get_attribute("open") is None
    section = fold.evaluate("fold => fold.closest('section').id")
    page.goto(f"notebooks/01_mapping.html#{section}")
    page.wait_for_selector("details.more[open]")


@pytest.mark.parametrize("width", WIDTHS)
def test_what_a_link_leads_to_is_not_under_the_header(width, page):
    page.set_viewport_size({"width": width, "height": 900})
    for target in ("notebooks/05_outliers.html#real-tensors", "api/ranges.html#quantnotes.mse_range"):
        page.goto(target)
        page.wait_for_function("scrollY > 0")
        top, bottom = page.evaluate(
            "[document.getElementById(location.hash.slice(1)).getBoundingClientRect().top,"
            " document.querySelector('.bd-header').getBoundingClientRect().bottom]"
        )
        assert bottom <= top < bottom + 200


def test_a_figure_opens_alone(page):
    page.goto("notebooks/00_start_here.html")
    page.locator("article img").first.click()
    page.wait_for_url("**/*.png")


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_notebook_page(name, page):
    """Solutions and "More on …" are folded, code links to the reference, and there is a way to run it."""
    solutions = site_pages.solutions_of(ROOT / "notebooks" / f"{name}.ipynb")
    page.goto(f"notebooks/{name}.html")
    folds = page.locator("details.solution")
    assert folds.count() == len(solutions)
    assert page.locator("details[open]").count() == 0
    for fold in folds.all():
        fold.locator("summary").click()
        assert fold.locator(".cell_input").first.is_visible()
    assert page.locator(".cell_input a.name").count() > 3
    assert (HTML / "lite" / "files" / "notebooks" / f"{name}.ipynb").exists()
    assert page.locator(".launch a.run").get_attribute("href").endswith(f"path=notebooks/{name}.ipynb")


# --- links --------------------------------------------------------------------------------------------------


class Links(HTMLParser):
    def __init__(self):
        super().__init__()
        self.anchors, self.targets = set(), []

    def handle_starttag(self, tag, attributes):
        for name, value in attributes:
            if name in ("id", "name") and value:
                self.anchors.add(value)
            elif name in ("href", "src") and value and tag != "base":
                self.targets.append(value)


@functools.cache
def links_of(name):
    parser = Links()
    parser.feed((HTML / name).read_text(encoding="utf-8"))
    return parser


@pytest.mark.parametrize("name", PAGES)
def test_links_and_anchors(name):
    for target in links_of(name).targets:
        parts = urlsplit(urljoin(name, target))
        if parts.scheme:
            assert not parts.scheme.startswith("file")
            continue
        path = unquote(parts.path)
        place = HTML / path
        assert place.exists(), target
        if place.is_dir():
            path = f"{path}/index.html"
        if parts.fragment and path in PAGES:
            assert unquote(parts.fragment) in links_of(path).anchors, target


def test_every_public_name_is_in_the_reference():
    *_, packed = (HTML / "objects.inv").read_bytes().split(b"\n", 4)
    listed = {line.split()[0] for line in zlib.decompress(packed).decode().splitlines()}
    assert {f"quantnotes.{name}" for name in quantnotes.__all__} - {"quantnotes.samples"} <= listed


# --- notebooks in the browser's kernel ----------------------------------------------------------------------

NOTEBOOK = "window.jupyterapp.shell.currentWidget"
IDLE = f"() => {NOTEBOOK}?.sessionContext?.kernelDisplayStatus === 'idle'"
ABSENT = re.compile(r"(?i)is not (?:installed|there)|no module named|needs? (?:onnx|numba|dask)")
RUN_ALL = f"""async () => {{
    await {NOTEBOOK}.context.ready;
    await window.jupyterapp.commands.execute('notebook:run-all-cells');
}}"""
needs_pyodide = pytest.mark.skipif(
    not (LITE / "static" / "pyodide").exists(), reason="no copy of Pyodide was to be had; PYODIDE=… names one"
)


def model(page):
    return page.evaluate(f"{NOTEBOOK}.content.model.toJSON()")


def open_notebook(page, name):
    page.goto(f"lite/notebooks/index.html?path=notebooks/{name}.ipynb")
    page.wait_for_selector(".jp-Notebook .jp-Cell")
    page.wait_for_function(f"() => {NOTEBOOK}?.content?.model?.cells?.length > 0")
    page.evaluate(f"{NOTEBOOK}.content.model.cells.length")
    page.wait_for_function(IDLE, timeout=SECONDS * 1000)


def shown(outputs):
    """What a reader reads of a cell: its streams joined, its values, and its errors."""
    text = "".join("".join(o["text"]) for o in outputs if o["output_type"] == "stream")
    rest = []
    for output in outputs:
        if output["output_type"] == "error":
            rest.append(f"{output['ename']}: {output['evalue']}")
        elif output["output_type"] in ("display_data", "execute_result"):
            rest.append("".join(output["data"].get("text/plain", "")))
    return re.sub(r"0x[0-9a-f]+", "ADDRESS", text), rest


@needs_pyodide
@pytest.mark.parametrize("name", NOTEBOOKS)
def test_notebook_runs_in_the_browser(name, page):
    if not name.startswith(QUICK) and os.environ.get("SITE") != "full":
        pytest.skip("SITE=full runs all notebooks in the browser's kernel")
    committed = json.loads((ROOT / "notebooks" / f"{name}.ipynb").read_text(encoding="utf-8"))["cells"]
    open_notebook(page, name)
    page.evaluate(RUN_ALL)
    ran = model(page)["cells"]
    assert len(ran) == len(committed)
    differences = []
    for here, there in zip(ran, committed, strict=True):
        if here["cell_type"] != "code" or "nbval-skip" in there["metadata"].get("tags", []):
            continue
        assert here["execution_count"], (
            f"stopped before {there['id']}: {[shown(c['outputs']) for c in ran if c.get('outputs')][-1]}"
        )
        mine, theirs = shown(here["outputs"]), shown(there["outputs"])
        if mine != theirs and not ABSENT.search(str(mine)):
            differences.append(f"{there['id']}: {mine} instead of {theirs}")
    assert not differences, "\n".join(differences)
    assert not [entry for entry in page.wrong if "beyond this machine" in entry]
    explorers = [i for i, cell in enumerate(committed) if "_explorer()" in "".join(cell["source"])]
    if explorers:
        move_a_slider(page, explorers[0])
    if name == "02_asymmetric":
        answer_rightly(page, committed)


def move_a_slider(page, index):
    page.evaluate(f"index => {NOTEBOOK}.content.scrollToItem(index)", index)
    figure = page.locator("img.widget-image").first
    figure.scroll_into_view_if_needed()
    before = figure.get_attribute("src")
    page.locator(".jupyter-widgets .noUi-handle").first.focus()
    page.keyboard.press("ArrowLeft")
    page.wait_for_function("before => document.querySelector('img.widget-image').src !== before", arg=before)


def answer_rightly(page, cells):
    index = next(i for i, cell in enumerate(cells) if 'check("02.1"' in "".join(cell["source"]))
    page.evaluate(
        f"""async index => {{
            const notebook = {NOTEBOOK}.content;
            notebook.widgets[index].model.sharedModel.setSource('answer = (1.0, 3)\\ncheck("02.1", answer)');
            notebook.activeCellIndex = index;
            await window.jupyterapp.commands.execute('notebook:run-cell');
        }}""",
        index,
    )
    _, (said,) = shown(model(page)["cells"][index]["outputs"])
    assert said == "02.1: right."
