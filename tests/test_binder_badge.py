"""The badge: right for every form of a remote's address, and put in its place only."""

import importlib.util
from pathlib import Path

import pytest

TOOL = Path(__file__).parent.parent / "tools" / "binder_badge.py"
spec = importlib.util.spec_from_file_location("binder_badge", TOOL)
binder_badge = importlib.util.module_from_spec(spec)
spec.loader.exec_module(binder_badge)


@pytest.mark.parametrize(
    "remote",
    [
        "git@github.com:some-one/quant.notes.git",
        "https://github.com/some-one/quant.notes",
        "https://github.com/some-one/quant.notes.git",
        "ssh://git@github.com/some-one/quant.notes.git",
    ],
)
def test_badge(remote):
    line = binder_badge.badge(remote)
    assert "/v2/gh/some-one/quant.notes/main?urlpath=lab%2Ftree%2Fnotebooks%2F00_start_here.ipynb)" in line
    assert line.startswith("[![")


@pytest.mark.parametrize("remote", ["", "https://example.com/a/b", "../elsewhere", "https://github.com/a"])
def test_no_badge_for_other_places(remote):
    with pytest.raises(ValueError, match="no repository on GitHub"):
        binder_badge.badge(remote)


def test_readme_keeps_the_rest():
    readme = binder_badge.README.read_text(encoding="utf-8")
    assert readme.count(binder_badge.START) == readme.count(binder_badge.END) == 1
    once = binder_badge.with_badge(readme, "BADGE")
    assert binder_badge.with_badge(once, "BADGE") == once
    assert once.replace("BADGE\n", "") == readme.replace("BADGE\n", "")
