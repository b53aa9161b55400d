"""What Binder would build of this repository, as repo2docker says; nothing is built."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parent.parent.parent

pytest.importorskip("repo2docker")


def test_repo2docker_reads_binder(tmp_path):
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("this is no git checkout")
    copy = tmp_path / "checkout"
    for name in filter(lambda name: (ROOT / name).exists(), listed.stdout.splitlines()):
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, copy / name)
    tool = Path(sys.executable).with_name("jupyter-repo2docker")
    done = subprocess.run([tool, "--no-build", "--debug", "."], cwd=copy, capture_output=True, text=True)
    dockerfile = done.stdout + done.stderr
    assert done.returncode == 0, dockerfile
    assert "unspecified" not in dockerfile
    environment = yaml.safe_load((ROOT / "binder" / "environment.yml").read_text(encoding="utf-8"))
    python = next(entry.split("=")[1] for entry in environment["dependencies"] if "python=" in entry)
    assert re.search(rf"(?i)python.{{0,20}}{re.escape(python)}\b", dockerfile)
    sources = re.search(r"COPY --chown=\S+ src/ ", dockerfile)
    assert sources
    assert dockerfile.index("binder/environment.yml") < sources.start()
    assert re.search(r"\./binder/postBuild|binder/postBuild", dockerfile)
