"""The links of the README: right for every form of a remote's address, and put in their place only."""

import badges
import pytest


@pytest.mark.parametrize(
    "remote",
    [
        "git@github.com:Some-one/quant.notes.git",
        "https://github.com/Some-one/quant.notes",
        "https://github.com/Some-one/quant.notes.git",
        "ssh://git@github.com/Some-one/quant.notes.git",
    ],
)
def test_badges(remote):
    line = badges.badges(badges.repository_of(remote))
    assert "/v2/gh/Some-one/quant.notes/main?urlpath=lab%2Ftree%2Fnotebooks%2F00_start_here.ipynb)" in line
    assert "/github/Some-one/quant.notes/blob/colab/00_start_here.ipynb)" in line
    assert "(https://some-one.github.io/quant.notes/)" in line


@pytest.mark.parametrize("remote", ["", "https://example.com/a/b", "../elsewhere", "https://github.com/a"])
def test_no_badges_for_other_places(remote):
    with pytest.raises(ValueError, match="no repository on GitHub"):
        badges.repository_of(remote)


def test_no_remote_where_git_is_missing(monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert badges.remote() is None
    assert badges.origin() is None


def test_readme_keeps_the_rest():
    readme = badges.README.read_text(encoding="utf-8")
    assert readme.count(badges.START) == readme.count(badges.END) == 1
    once = badges.with_badges(readme, "BADGES")
    assert badges.with_badges(once, "BADGES") == once
    assert once.replace("BADGES\n", "") == readme.replace("BADGES\n", "")
