"""What the kernel in the browser is made of: only files that the official release vouches for."""

import io
import tarfile
import zipfile

import pytest
import site_lite

FILES = {"pyodide.mjs": b"core", "numpy-2.whl": b"array"}


@pytest.fixture(autouse=True)
def release(monkeypatch):
    entry = {"file_name": "numpy-2.whl", "sha256": site_lite.sha256(FILES["numpy-2.whl"]), "depends": []}
    core = {"pyodide.mjs": site_lite.sha256(FILES["pyodide.mjs"])}
    content = {"version": "1.2.3", "core": core, "info": {}, "packages": {"numpy": entry}}
    monkeypatch.setattr(site_lite, "official", lambda: content)


def folder(path, files):
    (path / "deep").mkdir()
    for name, content in files.items():
        (path / "deep" / name).write_bytes(content)
    return path


def wheel(path, files):
    with zipfile.ZipFile(path / "carrier.whl", "w") as archive:
        for name, content in files.items():
            archive.writestr(f"carrier/{name}", content)
    return path / "carrier.whl"


def archive(path, files):
    with tarfile.open(path / "pyodide.tar.bz2", "w:bz2") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(f"pyodide/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path / "pyodide.tar.bz2"


@pytest.fixture(params=[folder, wheel, archive], ids=lambda kind: kind.__name__)
def source(request, tmp_path):
    (tmp_path / "source").mkdir()
    return lambda files: request.param(tmp_path / "source", files)


def test_right_files_are_copied_and_others_left(source, tmp_path):
    site_lite.copy_pyodide(source(FILES | {"scipy-1.whl": b"not needed"}), tmp_path / "target")
    assert {path.name: path.read_bytes() for path in (tmp_path / "target").iterdir()} == FILES


def test_a_wrong_file_is_refused_by_name(source, tmp_path):
    with pytest.raises(ValueError, match=r"numpy-2\.whl in .* is not that of Pyodide 1\.2\.3"):
        site_lite.copy_pyodide(source(FILES | {"numpy-2.whl": b"arrax"}), tmp_path / "target")
    assert not (tmp_path / "target" / "numpy-2.whl").exists()


def test_a_missing_file_is_named(source, tmp_path):
    with pytest.raises(ValueError, match=r"lacks files of Pyodide 1\.2\.3: numpy-2\.whl"):
        site_lite.copy_pyodide(source({"pyodide.mjs": b"core"}), tmp_path / "target")


def test_anything_else_is_no_source(tmp_path):
    with pytest.raises(ValueError, match="must be a folder, an archive or a wheel"):
        site_lite.copy_pyodide(tmp_path / "nothing", tmp_path / "target")


def test_the_lock_knows_wheels_and_what_they_need(tmp_path):
    with zipfile.ZipFile(tmp_path / "My_Notes-1.0-py3-none-any.whl", "w") as archive:
        archive.writestr("my_notes/__init__.py", "")
        needs = [
            "numpy>=2",
            "unknown",
            'matplotlib; extra == "notebooks"',
            'colorama; sys_platform == "win32"',
        ]
        lines = ["Name: My_Notes", "Version: 1.0", *(f"Requires-Dist: {need}" for need in needs)]
        archive.writestr("my_notes-1.0.dist-info/METADATA", "\n".join(lines) + "\n")
    lock = site_lite.lock_of(tmp_path, "elsewhere/")["packages"]
    assert lock["numpy"]["file_name"] == "elsewhere/numpy-2.whl"
    assert lock["my-notes"]["imports"] == ["my_notes"]
    assert lock["my-notes"]["depends"] == ["numpy"]
    assert lock["my-notes"]["file_name"] == "wheels/My_Notes-1.0-py3-none-any.whl"


def test_pins_are_whole():
    content = site_lite.json.loads(site_lite.OFFICIAL.read_text(encoding="utf-8"))
    assert set(content["core"]) == set(site_lite.CORE)
    assert set(site_lite.NEEDED) <= set(content["packages"])
    needed = {site_lite.normal(name) for entry in content["packages"].values() for name in entry["depends"]}
    assert needed <= set(content["packages"])


def test_notebooks_say_how_to_run_them_in_the_browser(tmp_path):
    site_lite.lay_out(tmp_path / "contents")
    originals = sorted((site_lite.ROOT / "notebooks").glob("[0-9]*.ipynb"))
    changed = 0
    for original in originals:
        path = tmp_path / "contents" / "notebooks" / original.name
        opening = "".join(site_lite.json.loads(path.read_text(encoding="utf-8"))["cells"][0]["source"])
        assert "Binder" not in opening
        told = "README.md#binder" in original.read_text(encoding="utf-8")
        assert (site_lite.RUN_HERE in opening) == told, original.name
        changed += told
    assert changed


def test_outputs_of_several_lines_are_texts_in_the_browser(tmp_path):
    site_lite.lay_out(tmp_path / "contents")
    lines = 0
    for path in (tmp_path / "contents" / "notebooks").rglob("*.ipynb"):
        for cell in site_lite.json.loads(path.read_text(encoding="utf-8"))["cells"]:
            assert isinstance(cell["source"], str)
            for output in cell.get("outputs", []):
                for text in [output.get("text", ""), *output.get("data", {}).values()]:
                    assert not isinstance(text, list), path.name
                    lines += str(text).count("\n")
    assert lines > 100
