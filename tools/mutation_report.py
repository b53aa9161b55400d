"""Say what `mutmut run` left: the share of changed lines that the tests notice, and each survivor as a diff.

Fails if fewer than 95 of 100 are noticed. A survivor is a hole in the tests, or it changes nothing that can
be seen: a default written out, a check that comes twice, a bound that only saves time.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

LEAST = 95.0  # percent
MUTMUT = str(Path(sys.executable).with_name("mutmut"))
STATS = Path("mutants/mutmut-cicd-stats.json")


def mutmut(*arguments: str) -> str:
    """Return what mutmut prints."""
    done = subprocess.run([MUTMUT, *arguments], capture_output=True, text=True, check=True)
    return done.stdout


def changed_lines(name: str) -> list[str]:
    """Return the lines that a mutant takes out and puts in."""
    lines = mutmut("show", name).splitlines()
    return [line for line in lines if line[:1] in "-+" and line[:3] not in ("---", "+++")]


def main() -> int:
    mutmut("export-cicd-stats")
    stats = json.loads(STATS.read_text(encoding="utf-8"))
    noticed = stats["killed"] + stats["timeout"]  # a loop without an end is noticed too
    share = 100 * noticed / stats["total"]
    for line in mutmut("results").splitlines():
        name, _, status = line.strip().rpartition(": ")
        if status in ("survived", "no tests"):
            print(f"{name} ({status})", *changed_lines(name), sep="\n  ")
    print(f"{noticed} of {stats['total']} mutants are killed: {share:.1f} %, at least {LEAST:g} % are wanted")
    return int(share < LEAST)


if __name__ == "__main__":
    raise SystemExit(main())
