"""Write Binder's badge into README.md, for the repository that the remote called origin names."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

README = Path(__file__).parent.parent / "README.md"
START, END = "<!-- binder badge -->", "<!-- end of binder badge -->"
NOTEBOOK = "lab%2Ftree%2Fnotebooks%2F00_start_here.ipynb"
SITE = "https://mybinder.org"


def badge(remote: str) -> str:
    """Return the badge in Markdown for a remote on GitHub, as git or https address.

    Raises
    ------
    ValueError
        If the address is not one of a repository on GitHub.
    """
    found = re.fullmatch(
        r"(?:git@github\.com:|(?:https|ssh)://(?:\S+@)?github\.com/)([\w.-]+/[\w.-]+?)(?:\.git)?/?", remote
    )
    if not found:
        raise ValueError(f"origin is no repository on GitHub: {remote!r}; write the badge by hand")
    address = f"{SITE}/v2/gh/{found[1]}/main?urlpath={NOTEBOOK}"
    return f"[![Run it on Binder]({SITE}/badge_logo.svg)]({address})"


def with_badge(readme: str, line: str) -> str:
    """Return the README with the badge between its two marks."""
    before, _, rest = readme.partition(START)
    _, _, after = rest.partition(END)
    return f"{before}{START}\n{line}\n{END}{after}"


def main() -> int:
    """Write the badge; return the exit code."""
    done = subprocess.run(
        ["git", "remote", "get-url", "origin"], capture_output=True, text=True, cwd=README.parent
    )
    if done.returncode:
        print("There is no remote called origin yet: git remote add origin ADDRESS, then make binder-badge.")
        return 1
    try:
        line = badge(done.stdout.strip())
    except ValueError as error:
        print(error)
        return 1
    README.write_text(with_badge(README.read_text(encoding="utf-8"), line), encoding="utf-8")
    print(line)
    return 0


if __name__ == "__main__":
    sys.exit(main())
