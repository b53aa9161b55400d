"""Where the repository is on GitHub, and what that gives: links to Binder, Colab and the site.

python tools/badges.py    write them into README.md, for the repository that the remote called origin names
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

README = Path(__file__).parent.parent / "README.md"
START, END = "<!-- badges -->", "<!-- end of badges -->"
FIRST = "00_start_here.ipynb"
BINDER, COLAB = "https://mybinder.org", "https://colab.research.google.com"


def repository_of(remote: str) -> str:
    """Return the owner and the name of a remote on GitHub, given as git or https address.

    Raises
    ------
    ValueError
        If the address is not one of a repository on GitHub.
    """
    found = re.fullmatch(
        r"(?:git@github\.com:|(?:https|ssh)://(?:\S+@)?github\.com/)([\w.-]+/[\w.-]+?)(?:\.git)?/?", remote
    )
    if not found:
        raise ValueError(f"origin is no repository on GitHub: {remote!r}; write the badges by hand")
    return found[1]


def remote() -> str | None:
    """Return the address of the remote called origin, if there is one, and git."""
    if shutil.which("git") is None:
        return None
    command = ["git", "remote", "get-url", "origin"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=README.parent)
    return done.stdout.strip() if done.returncode == 0 else None


def origin() -> str | None:
    """Return the owner and the name of origin; None where it is not on GitHub."""
    try:
        return repository_of(remote() or "")
    except ValueError:
        return None


def site(repository: str) -> str:
    """Return the address of the site that GitHub serves for the repository."""
    owner, name = repository.split("/")
    return f"https://{owner.lower()}.github.io/{name}/"


def binder(repository: str, notebook: str) -> str:
    """Return the address that opens a notebook on Binder."""
    return f"{BINDER}/v2/gh/{repository}/main?urlpath=lab%2Ftree%2Fnotebooks%2F{notebook}"


def colab(repository: str, notebook: str) -> str:
    """Return the address that opens a notebook of the branch `colab`, which the workflow writes."""
    return f"{COLAB}/github/{repository}/blob/colab/{notebook}"


def badges(repository: str) -> str:
    """Return the links in Markdown."""
    images = f"[![Binder]({BINDER}/badge_logo.svg)]({binder(repository, FIRST)})"
    images += f" [![Colab]({COLAB}/assets/colab-badge.svg)]({colab(repository, FIRST)})"
    return f"[The site]({site(repository)}) {images}"


def with_badges(readme: str, line: str) -> str:
    """Return the README with the links between their two marks."""
    before, _, rest = readme.partition(START)
    _, _, after = rest.partition(END)
    return f"{before}{START}\n{line}\n{END}{after}"


def main() -> int:
    """Write the links; return the exit code."""
    address = remote()
    if address is None:
        print("There is no remote called origin yet: git remote add origin ADDRESS, then make badges.")
        return 1
    try:
        line = badges(repository_of(address))
    except ValueError as error:
        print(error)
        return 1
    README.write_text(with_badges(README.read_text(encoding="utf-8"), line), encoding="utf-8")
    print(line)
    return 0


if __name__ == "__main__":
    sys.exit(main())
