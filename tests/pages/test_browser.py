"""The notebooks in JupyterLab, in a real browser: all cells run, and a slider changes its figure.

Runs on a copy of the notebooks, so that nothing is saved over them. Skipped where no Chromium is installed.
A failure leaves a screenshot in `build/pages`.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
NOTEBOOKS = sorted(path.name for path in (ROOT / "notebooks").glob("*.ipynb"))
SHOTS = ROOT / "build" / "pages"
TOKEN = "pages"
SETTINGS = {  # every cell in the page, not just those in view; no news, no simple start
    "notebook-extension/tracker": {"windowingMode": "none"},
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
}

pytest.importorskip("playwright")


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """JupyterLab over a copy of the notebooks; yields its address and the folder."""
    folder = tmp_path_factory.mktemp("lab")
    shutil.copytree(ROOT / "notebooks", folder / "notebooks")
    for path in (folder / "notebooks").glob("*.ipynb"):
        forget_outputs(path)
    shutil.copy(ROOT / "README.md", folder)
    for name, setting in SETTINGS.items():
        plugin, _, key = name.partition("/")
        place = folder / "settings" / "@jupyterlab" / plugin / f"{key}.jupyterlab-settings"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(json.dumps(setting))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", f"--port={port}"]
    command += [f"--ServerApp.root_dir={folder}", f"--IdentityProvider.token={TOKEN}", "--ip=127.0.0.1"]
    with (folder / "log").open("w") as log:
        server = subprocess.Popen(
            command,
            stdout=log,
            stderr=log,
            env=os.environ | {"JUPYTERLAB_SETTINGS_DIR": str(folder / "settings")},
        )
        try:
            wait_for(f"http://127.0.0.1:{port}/api?token={TOKEN}", server, folder / "log")
            yield f"http://127.0.0.1:{port}", folder / "notebooks"
        finally:
            server.terminate()
            server.wait(20)


def forget_outputs(path):
    """Leave the sources alone, so that whatever is seen afterwards was made here."""
    notebook = json.loads(path.read_text(encoding="utf-8"))
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            cell["outputs"], cell["execution_count"] = [], None
    path.write_text(json.dumps(notebook), encoding="utf-8")


def wait_for(address, server, log):
    for _ in range(240):
        assert server.poll() is None, log.read_text()
        try:
            urllib.request.urlopen(address, timeout=2)
        except OSError:
            time.sleep(0.25)
        else:
            return
    raise TimeoutError(log.read_text())


@pytest.fixture
def page(browser, request):
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.set_default_timeout(240_000)  # a guard against hanging, for a busy machine
    yield page
    report = getattr(request.node, "report", None)
    if report is None or report.failed:
        SHOTS.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=SHOTS / f"{request.node.name}.png")
    page.close()


DIALOG = "document.querySelector('.jp-Dialog .jp-mod-accept')"
STARTED = (
    "[...document.querySelectorAll('.jp-CodeCell .jp-InputPrompt')].some(p => /[*\\d]/.test(p.textContent))"
)


def started(page):
    return page.evaluate(f"() => {STARTED}")


def run_all(page, address, name):
    """Open a notebook, run all of its cells from a fresh kernel, and wait until the last one is done."""
    page.goto(f"{address}/lab/tree/notebooks/{name}?token={TOKEN}&reset")
    page.wait_for_selector(".jp-Notebook .jp-CodeCell")
    page.get_by_text("Python 3 (ipykernel) | Idle").wait_for()
    while not started(page):
        page.get_by_role("menuitem", name="Run", exact=True).click()
        page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
        page.wait_for_function(f"() => {DIALOG} || {STARTED}")
        if page.evaluate(f"() => Boolean({DIALOG})"):  # a session half made: JupyterLab asks for the kernel
            page.locator(".jp-Dialog .jp-mod-accept").click()
            page.get_by_text("Python 3 (ipykernel) | Idle").wait_for()
    code = page.locator(".jp-CodeCell .jp-InputPrompt")
    page.wait_for_function(
        "() => [...document.querySelectorAll('.jp-CodeCell .jp-InputPrompt')]"
        ".every(prompt => /\\[\\d+\\]/.test(prompt.textContent))"
    )
    return code.count()


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_notebook(name, lab, page):
    address, folder = lab
    notebook = json.loads((folder / name).read_text(encoding="utf-8"))
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert run_all(page, address, name) == len(code)
    red = ("stderr", "error")  # JupyterLab shows a traceback as one or the other
    shown = [f".jp-OutputArea-output[data-mime-type='application/vnd.jupyter.{kind}']" for kind in red]
    assert page.locator(", ".join(shown)).count() == 0
    if not any("_explorer()" in "".join(cell["source"]) for cell in code):
        return
    figure = page.locator("img.widget-image")
    figure.scroll_into_view_if_needed()
    before = figure.get_attribute("src")
    handle = page.locator(".jupyter-widgets .noUi-handle").first
    handle.focus()
    page.keyboard.press("ArrowLeft")  # no slider starts at its lower end
    page.wait_for_function("before => document.querySelector('img.widget-image').src !== before", arg=before)
    assert figure.evaluate("image => image.naturalWidth") > 400
