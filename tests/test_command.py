"""`python -m quantnotes compare`: what it prints, its exit codes, and that nothing ends in a traceback."""

import csv
import io
import json
import os
import re
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

import quantnotes
from quantnotes import compare, formats
from quantnotes.__main__ import OF_MODELS, main
from quantnotes.comparison import command, survey
from quantnotes.comparison.rows import COLUMNS, TextWriter, shortened

RNG = np.random.default_rng(0)
X = RNG.standard_normal(60).astype(np.float32)
ROOT = Path(__file__).parent.parent


@pytest.fixture
def mixed(tmp_path):
    """An archive with one member of each kind: two good ones, integers, NaN, a corrupt one, a README."""
    path = tmp_path / "mixed.npz"
    np.savez(path, a=X, b=2 * X, ids=np.arange(3), nan=np.array([1.0, np.nan]), broken=X)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("README.md", "no array")
    data = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        info = archive.getinfo("broken.npy")
    data[info.header_offset + 300] ^= 1  # a bit of a value: only the checksum knows
    path.write_bytes(data)
    return path


def run(*arguments, capsys):
    """Return the exit code, the lines of standard output, and those of standard error."""
    code = main(["compare", *map(str, arguments)])
    shown = capsys.readouterr()
    return code, shown.out.splitlines(), shown.err.splitlines()


def started(*arguments, **options):
    """Start the command as a process of its own; Ctrl-C ends it, even if the tests run in the background."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)} | options.pop("env", {})
    return subprocess.Popen(
        [sys.executable, "-m", "quantnotes", "compare", *map(str, arguments)],
        stdout=options.pop("stdout", subprocess.PIPE),
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        preexec_fn=None if os.name == "nt" else lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        **options,
    )


# --- exit codes and failures --------------------------------------------------------------------------------


def test_failures_are_told_and_the_rest_is_carried_on(mixed, capsys):
    code, out, err = run(mixed, "--bits", "8", capsys=capsys)
    assert code == 1
    assert [line.split()[0] for line in out] == ["tensor", "a", "b"]
    assert sorted(line.removeprefix("quantnotes: ") for line in err) == [
        "broken: cannot be read: Bad CRC-32 for file 'broken.npy'",
        "nan: x holds 1 NaN among 2 values: drop them first",
        "skipped README.md: is no array",
        "skipped ids: holds int64: only float16, bfloat16, float32 and float64 are compared",
    ]


def test_what_is_skipped_is_no_failure(tmp_path, capsys):
    np.savez(tmp_path / "fine.npz", a=X, ids=np.arange(3), none=np.zeros((0, 3)))
    code, out, err = run(tmp_path / "fine.npz", "--bits", "8", capsys=capsys)
    assert (code, len(out), len(err)) == (0, 2, 2)
    found = compare(tmp_path / "fine.npz", bits=8)
    assert set(found.skipped) == {"ids", "none"}
    assert not found.failed


def test_many_that_are_skipped_for_one_reason_take_one_line(tmp_path, capsys):
    np.savez(tmp_path / "many.npz", a=X, **{f"ids{i}": np.arange(3) for i in range(9)})
    code, _, err = run(tmp_path / "many.npz", "--bits", "8", capsys=capsys)
    assert (code, len(err)) == (0, 1)
    assert err[0].startswith("quantnotes: skipped ids0, ids1, ids2 and 6 more: holds int64")


@pytest.mark.parametrize(
    "name", ["a.txt", "missing.npy", "model.pt", "pytorch_model.bin", "a.pth", "vad.jit", "empty"]
)
def test_nothing_could_be_done(name, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    code, out, err = run(tmp_path / name, capsys=capsys)
    assert (code, out, len(err)) == (2, [], 1)
    if name[-3:] in (".pt", "bin", "pth", "jit"):
        assert "pickle" in err[0]


def test_nothing_to_compare_is_said_on_stderr(tmp_path, capsys):
    np.savez(tmp_path / "ids.npz", ids=np.arange(3))
    code, out, err = run(tmp_path / "ids.npz", capsys=capsys)
    assert (code, out) == (2, [])
    assert err[-1] == "quantnotes: no tensor to compare"
    code, out, err = run(tmp_path / "ids.npz", "--min-size", 100, "--json", capsys=capsys)
    assert (code, len(err)) == (2, 1)


def test_one_bad_file_of_several(tmp_path, capsys):
    np.save(tmp_path / "good.npy", X)
    (tmp_path / "bad.npy").write_bytes(b"no array")
    code, out, err = run(tmp_path / "bad.npy", tmp_path / "good.npy", "--bits", 8, capsys=capsys)
    assert (code, len(err)) == (1, 1)
    assert "bad.npy" in err[0]
    assert out[0].startswith("bits")


def test_a_file_that_goes_away_after_its_tensors_were_listed(mixed, capsys, monkeypatch):
    def gone(path):
        raise ValueError("mixed.npz cannot be read: gone")

    monkeypatch.setattr(survey, "open_tensors", gone)
    assert run(mixed, capsys=capsys) == (2, [], ["quantnotes: mixed.npz cannot be read: gone"])


def test_out_of_memory_loses_one_tensor_alone(mixed, capsys, monkeypatch):
    original = survey.compare_array

    def small(x, *args, **options):
        if x[0] == 2 * X[0]:
            raise MemoryError
        return original(x, *args, **options)

    monkeypatch.setattr(survey, "compare_array", small)
    code, out, err = run(mixed, "--bits", 8, capsys=capsys)
    assert code == 1
    assert [line.split()[0] for line in out] == ["tensor", "a"]
    assert "quantnotes: b: does not fit in memory" in err


@pytest.mark.parametrize("form", [[], ["--json"], ["--csv"], ["--sort", "name"]])
def test_interrupted_prints_what_is_done(form, mixed, capsys, monkeypatch):
    original = survey.compare_array

    def stop(x, *args, **options):
        if x[0] == 2 * X[0]:
            raise KeyboardInterrupt
        return original(x, *args, **options)

    monkeypatch.setattr(survey, "compare_array", stop)
    code, out, err = run(mixed, "--bits", 8, *form, capsys=capsys)
    assert code == 130
    assert err[-1] == "quantnotes: interrupted: 1 of 6 tensors were compared"
    assert "Traceback" not in "".join(err)
    if form == ["--json"]:
        assert [row["tensor"] for row in json.loads("\n".join(out))] == ["a"]
    else:
        assert sum(bool(re.match(r",?a\b", line)) for line in out) == 1


def test_interrupted_counts_what_was_done(tmp_path, capsys, monkeypatch):
    np.savez(tmp_path / "three.npz", a=X, b=X, c=-X)
    original = survey.compare_array

    def stop(x, *args, **options):
        if x[0] == -X[0]:
            raise KeyboardInterrupt
        return original(x, *args, **options)

    monkeypatch.setattr(survey, "compare_array", stop)
    code, _, err = run(tmp_path / "three.npz", "--bits", 8, capsys=capsys)
    assert (code, err) == (130, ["quantnotes: interrupted: 2 of 3 tensors were compared"])


# --- what is asked for --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        ["--bits", "8", "4", "FILE"],
        ["FILE", "--bits", "8", "4"],
        ["--bits", "8,4", "FILE"],
        ["--bits=8,4", "FILE"],
        ["--bits", "8", "--bits", "4", "FILE"],
        ["--bits", "4,", "8", "FILE"],
        ["FILE"],
    ],
)
def test_bit_widths_end_where_the_file_begins(arguments, tmp_path, capsys):
    np.savez(tmp_path / "two.npz", a=X, b=X)
    arguments = [str(tmp_path / "two.npz") if a == "FILE" else a for a in arguments]
    code, out, _ = run("--csv", *arguments, capsys=capsys)
    assert code == 0
    assert [row["bits"] for row in csv.DictReader(out)] == ["8", "4", "8", "4"]


def test_the_default_widths_are_those_of_the_function(tmp_path, capsys):
    np.save(tmp_path / "x.npy", X)
    _, out, _ = run(tmp_path / "x.npy", capsys=capsys)
    assert "\n".join(out) == str(compare(X))


def test_a_wrong_pattern_is_one_of_a_shell(tmp_path, capsys):
    np.savez(tmp_path / "m.npz", **{"a.weight": X, "a.bias": X, "b": X})
    for pattern, names in (
        ("*.weight", ["a.weight"]),
        ("a", ["a.weight", "a.bias"]),
        ("?.*", ["a.weight", "a.bias"]),
    ):
        _, out, _ = run(tmp_path / "m.npz", "--csv", "--bits", 8, "--filter", pattern, capsys=capsys)
        assert [row["tensor"] for row in csv.DictReader(out)] == names


def test_several_tensors_are_named(mixed, capsys):
    code, out, err = run(mixed, "--tensor", "a", "--tensor", "b", "--bits", 8, capsys=capsys)
    assert (code, [line.split()[0] for line in out], err) == (0, ["tensor", "a", "b"], [])
    code, out, err = run(mixed, "--tensor", "a", "--tensor", "c", "--bits", 8, capsys=capsys)
    assert (code, err) == (1, ["quantnotes: there is no tensor 'c'"])
    assert out[0].startswith("bits")
    code, out, err = run(mixed, "--tensor", "c", capsys=capsys)
    assert (code, out) == (2, [])


def test_filter_and_least_size(tmp_path, capsys):
    save_file(
        {"l.0.weight": X.reshape(6, 10), "l.0.bias": X[:6], "l.1.weight": X[:12]}, tmp_path / "m.safetensors"
    )
    for arguments, names in (
        (["--filter", "*.weight"], ["l.0.weight", "l.1.weight"]),
        (["--filter", r"l\.0"], ["l.0.bias", "l.0.weight"]),
        (["--min-size", "12"], ["l.0.weight", "l.1.weight"]),
        (["--sort", "values"], ["l.0.weight", "l.1.weight", "l.0.bias"]),
        (["--sort", "name"], ["l.0.bias", "l.0.weight", "l.1.weight"]),
    ):
        _, out, _ = run(tmp_path / "m.safetensors", "--csv", "--bits", 8, *arguments, capsys=capsys)
        assert [row["tensor"] for row in csv.DictReader(out)] == names
    for key, column in (("sqnr", "sqnr_db"), ("gain", "")):
        _, out, _ = run(tmp_path / "m.safetensors", "--csv", "--bits", 8, "--sort", key, capsys=capsys)
        rows = list(csv.DictReader(out))
        found = [
            float(row[column]) if column else float(row["minmax_sqnr_db"]) - float(row["sqnr_db"])
            for row in rows
        ]
        assert found == sorted(found)


def test_an_axis_that_no_tensor_has_is_no_silent_wish(tmp_path, capsys):
    np.savez(tmp_path / "m.npz", matrix=X.reshape(6, 10), vector=X, cube=X.reshape(3, 4, 5))
    for axis, has in ((2, True), (-3, True), (3, False), (7, False), (-4, False)):
        for role in ([], ["--role", "weight"]):
            code, out, err = run(
                tmp_path / "m.npz", "--csv", "--bits", 8, "--channel-axis", axis, *role, capsys=capsys
            )
            assert len(out) == 4
            assert (code, err) == (
                (0, []) if has else (1, [f"quantnotes: no tensor has channels along axis {axis}"])
            )
        if has:
            compare(tmp_path / "m.npz", bits=8, channel_axis=axis)
        else:
            with pytest.raises(ValueError, match=f"axis {axis}"):
                compare(tmp_path / "m.npz", bits=8, channel_axis=axis)
    code, _, err = run(tmp_path / "m.npz", "--tensor", "vector", "--channel-axis", 0, capsys=capsys)
    assert (code, len(err)) == (1, 1)


def test_version(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["--version"])
    assert stop.value.code == 0
    assert capsys.readouterr().out == f"quantnotes {quantnotes.__version__}\n"


@pytest.mark.parametrize("option", ["-h", "--help"])
def test_help_names_every_command(option, capsys):
    assert main([option]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert {words[0] for words in lines if words} >= {"compare", *OF_MODELS, "--version"}


def test_help_has_a_word_on_every_argument():
    """In one style: lower case and no full stop, as argparse's own; what stands for a value in capitals."""
    parser = command._parser()
    for action in parser._actions:
        assert action.help[0].islower() or action.help.startswith("a .")
        assert action.help[-1] != "."
        assert bool(action.metavar) == (action.nargs != 0 and not action.choices)
    values = {action.metavar for action in parser._actions} - {None}
    assert values == {"FILE", "NAME", "N,N", "AXIS", "N", "PATTERN"}
    for text in (parser.description, parser.epilog):
        assert text[0].isupper()
        assert text[-1] == "."
        assert text != text.upper()
    assert parser.format_usage() == "usage: quantnotes compare FILE ... [options]\n"


@pytest.mark.parametrize(("arguments", "message"), [([], "no command"), (["compress", "x"], "'compress'")])
def test_no_such_command(arguments, message, capsys):
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    printed = capsys.readouterr().err
    assert message in printed
    assert all(name in printed for name in OF_MODELS)


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["compare"],
        ["compress", "x.npy"],
        ["compare", "x.npy", "--json", "--csv"],
        ["compare", "x.npy", "--min", "3"],  # no abbreviations: they would stand in the way of new options
        ["report", "x.onnx", "y.onnx", "x.npz", "--out", "y"],
    ],
)
def test_usage(arguments, capsys):
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    assert "usage" in capsys.readouterr().err


# --- what is written ----------------------------------------------------------------------------------------


def test_json_and_csv_hold_the_parameters(tmp_path, capsys):
    weight = RNG.standard_normal((4, 40)).astype(np.float32) * np.array([[1], [9], [1], [1]], np.float32)
    np.savez(tmp_path / "model.npz", weight=weight, zeros=np.zeros(30))
    found = compare(tmp_path / "model.npz")
    _, out, _ = run(tmp_path / "model.npz", "--json", capsys=capsys)
    rows = json.loads("\n".join(out))
    assert [(row["tensor"], row["bits"]) for row in rows] == [
        ("weight", 8), ("weight", 4), ("zeros", 8), ("zeros", 4),
    ]  # fmt: skip
    for row in rows:
        best = found.comparisons[row["tensor"]].best(row["bits"])
        np.testing.assert_array_equal(row["scale"], best.params.scale)
        np.testing.assert_array_equal(row["zero_point"], best.params.zero_point)
        assert (row["scheme"], row["method"], row["axis"]) == (best.scheme, best.method, best.params.axis)
    assert rows[0]["shape"] == [4, 40]
    assert rows[0]["axis"] == 0
    assert rows[2]["sqnr_db"] is None  # every value is exact: JSON has no infinity
    _, out, _ = run(tmp_path / "model.npz", "--csv", capsys=capsys)
    for row, line in zip(rows, csv.DictReader(out), strict=True):
        assert list(line) == list(row)
        assert json.loads(line["scale"]) == row["scale"]
        assert json.loads(line["zero_point"]) == row["zero_point"]
        assert line["tensor"] == row["tensor"]


def test_rows_are_written_as_they_are_made(mixed, capsys, monkeypatch):
    """When the second tensor is looked at, the first row is out."""
    seen = []
    original = survey.compare_array

    def look(x, *args, **options):
        seen.append(capsys.readouterr().out)
        return original(x, *args, **options)

    monkeypatch.setattr(survey, "compare_array", look)
    for form in ([], ["--json"], ["--csv"]):
        seen.clear()
        main(["compare", str(mixed), "--bits", "8", *form])
        assert [line for line in seen[0].splitlines() if line and "tensor" not in line] in ([], ["["])
        assert "symmetric" in seen[1]
        capsys.readouterr()


def test_a_bar_on_a_terminal_alone(tmp_path, monkeypatch, capsys):
    """It counts values in units of thousands, and is gone in the end."""
    np.savez(tmp_path / "two.npz", a=np.tile(X, 100), b=X)
    for isatty in (True, False):
        screen = io.StringIO()
        screen.isatty = lambda isatty=isatty: isatty
        with monkeypatch.context() as patch:
            patch.setattr("sys.stderr", screen)
            assert main(["compare", str(tmp_path / "two.npz"), "--bits", "8"]) == 0
        assert ("/6.06k [" in screen.getvalue()) == (" values/s" in screen.getvalue()) == isatty
        assert screen.getvalue().endswith("\r") == isatty
        assert "\n" not in screen.getvalue()
        assert len(capsys.readouterr().out.splitlines()) == 3


def test_without_standard_streams(mixed, monkeypatch, capsys):
    """As of a program without a console: nothing can be written, and nothing is raised."""
    with monkeypatch.context() as patch:
        patch.setattr("sys.stderr", None)
        assert main(["compare", str(mixed), "--bits", "8"]) == 1
    assert len(capsys.readouterr().out.splitlines()) == 3
    with monkeypatch.context() as patch:
        patch.setattr("sys.stdout", None)
        assert main(["compare", str(mixed), "--bits", "8"]) == 2
    assert "the results cannot be written: there is no standard output" in capsys.readouterr().err


def test_names_do_not_reach_the_terminal_raw(tmp_path, capsys):
    name = "evil\x1b[31m\nname\u202e"
    save_file({name: X, "b": X, f"ids{name}": np.arange(2)}, tmp_path / "m.safetensors")
    path = tmp_path / "m\x1b[2J.safetensors"
    os.rename(tmp_path / "m.safetensors", path)
    for form in ([], ["--json"], ["--csv"], ["--tensor", "no\x1b[1m"]):
        main(["compare", str(path), "--bits", "8", *form])
        shown = capsys.readouterr()
        assert "\x1b" not in shown.out + shown.err
        assert "\u202e" not in shown.out + shown.err
    assert "\x1b" not in str(compare(path, bits=8))
    found = json.loads(run(path, "--bits", 8, "--json", capsys=capsys)[1][1].rstrip(","))
    assert found["tensor"] in (name, "b")


def test_a_name_is_whole_unless_a_terminal_is_narrow():
    names = ["encoder.layer.0.attention.self.query.weight", "b"]
    wide = TextWriter(names, None).head()
    assert all(column in wide for column in COLUMNS)
    row = command.rows_of("", names[0], (60,), compare(X, bits=8))[0]
    assert TextWriter(names, None).row(row).startswith(names[0] + "  ")
    for width in (60, 80, 100, 120, 160, 200, 300):
        writer = TextWriter(names, width)
        lines = [writer.head().rstrip("\n"), writer.row(row).rstrip("\n")]
        assert max(map(len, lines)) <= width
        assert all("SQNR" in line or "dB" in line or "." in line for line in lines)
    assert names[0] in TextWriter(names, 300).row(row)


def test_a_terminal_shows_as_many_columns_as_fit():
    """Where one more comes in, the line is as long as the terminal is wide."""
    heads = {width: TextWriter(["a" * 16], width).head().rstrip("\n") for width in range(60, 220)}
    columns = {width: sum(column in head for column in COLUMNS) for width, head in heads.items()}
    more = [width for width in range(61, 220) if columns[width] > columns[width - 1]]
    assert len(more) >= 4
    assert [len(heads[width]) for width in more] == more
    assert sorted(columns.values()) == list(columns.values())


def test_a_record_counts_what_is_clipped_at_both_ends():
    found = compare([*np.arange(-50, 51).tolist() * 200, 100.0, -90.0], bits=4)
    ledger = found.best().ledger
    record = command.rows_of("", "x", (20_202,), found)[0].record()
    assert record["clipped"] == ledger.clipped_low + ledger.clipped_high
    assert min(ledger.clipped_low, ledger.clipped_high) > 0
    assert record["codes_used"] == ledger.codes_used


@pytest.mark.parametrize("width", range(5, 26))
def test_a_name_that_is_cut_fills_its_column(width):
    name = "a_long_name_of_a_weight"
    found = shortened(name, width)
    assert len(found) == min(width, len(name))
    front, _, back = found.partition("...")
    assert name.startswith(front)
    assert name.endswith(back or name)
    assert width >= len(name) or 0 <= len(back) - len(front) <= 1


def test_a_thin_tail_is_in_every_form(tmp_path, capsys):
    np.savez(tmp_path / "two.npz", spiked=np.append(X, 1000.0), plain=X)
    _, out, _ = run(tmp_path / "two.npz", "--bits", 8, capsys=capsys)
    assert "1 of 61" in out[1]
    assert " of 60" not in out[2]
    assert out[-1].startswith("thin tail: ")
    _, out, _ = run(tmp_path / "two.npz", "--bits", 8, "--json", capsys=capsys)
    assert [row["thin_tail"] for row in json.loads("\n".join(out))] == [1, 0]
    _, out, _ = run(tmp_path / "two.npz", "--tensor", "plain", "--bits", 8, "--sort", "name", capsys=capsys)
    assert "thin tail" not in "\n".join(out)


def test_a_file_of_a_folder_that_cannot_be_opened_has_failed(tmp_path):
    np.save(tmp_path / "good.npy", X)
    (tmp_path / "bad.npy").write_bytes(b"no array")
    found = compare(tmp_path, bits=8)
    assert list(found.comparisons) == ["good.npy: good"]
    assert found.failed == found.skipped.keys() == {"bad.npy"}
    assert "\nfailed bad.npy: bad.npy cannot be read: it is no NumPy file" in str(found)
    assert str(survey.Survey({}, {"ids": "is empty"})) == "no tensor to compare\n\nskipped ids: is empty"


# --- several files ------------------------------------------------------------------------------------------


def test_a_folder_and_several_files(tmp_path, capsys):
    (tmp_path / "inner").mkdir()
    with open(tmp_path / "one.NPY", "wb") as file:
        np.save(file, X)
    np.savez(tmp_path / "inner" / "two.npz", a=X, b=X)
    (tmp_path / "config.json").write_text("{}")
    code, out, err = run(tmp_path, "--bits", 8, "--csv", capsys=capsys)
    rows = list(csv.DictReader(out))
    assert (code, err) == (0, [])
    inner = os.path.join("inner", "two.npz")
    assert [(row["file"], row["tensor"]) for row in rows] == [(inner, "a"), (inner, "b"), ("one.NPY", "one")]
    assert list(compare(tmp_path, bits=8).comparisons) == [f"{inner}: a", f"{inner}: b", "one.NPY: one"]
    code, out, _ = run(tmp_path / "one.NPY", tmp_path / "inner", "--bits", 8, capsys=capsys)
    assert code == 0
    files = [tmp_path / "one.NPY", *[tmp_path / "inner" / "two.npz"] * 2]
    assert [line.split(": ")[0] for line in out[1:]] == [str(file) for file in files]


def test_a_file_is_compared_as_its_arrays_are(tmp_path):
    """Every argument reaches every tensor; its role follows from its name where none is given."""
    arrays = {"l.weight": X.reshape(6, 10), "cube": X.reshape(3, 4, 5), "l.bias": X[:6]}
    save_file(arrays, tmp_path / "m.safetensors")
    roles = {"l.weight": {"role": "weight"}, "cube": {"role": "weight"}, "l.bias": {}}
    for arguments in ({"bits": 5}, {"bits": (3, formats.E4M3)}, {"bits": 6, "role": "activation"}):
        found = compare(tmp_path / "m.safetensors", **arguments).comparisons
        assert found.keys() == arrays.keys()
        for name, x in arrays.items():
            assert str(found[name]) == str(compare(x, **roles[name] | arguments))
    assert str(compare(tmp_path / "m.safetensors", **arguments, tensor="cube")) == str(found["cube"])
    found = compare(tmp_path / "m.safetensors", bits=8, role="weight", channel_axis=1).comparisons
    for name in ("l.weight", "cube"):
        assert str(found[name]) == str(compare(arrays[name], 8, role="weight", channel_axis=1))
    assert str(found["l.bias"]) == str(compare(arrays["l.bias"], 8))
    with pytest.raises(ValueError, match=r"no tensor 'v'; the file holds cube, l\.bias, l\.weight"):
        compare(tmp_path / "m.safetensors", tensor="v")


def test_the_caller_s_mistakes_are_not_a_tensor_s(tmp_path):
    np.savez(tmp_path / "two.npz", a=X, b=X)
    for wrong, error in (
        ({"bits": 1}, ValueError),
        ({"bits": "8"}, TypeError),
        ({"role": "bias"}, ValueError),
        ({"channel_axis": 0.5}, TypeError),
    ):
        with pytest.raises(error, match=next(iter(wrong))):
            compare(tmp_path / "two.npz", **wrong)


def test_a_file_that_comes_twice_is_compared_once(tmp_path, capsys):
    np.save(tmp_path / "one.npy", X)
    for again in (tmp_path / "one.npy", tmp_path):
        code, out, err = run(again, tmp_path / "one.npy", "--bits", 8, "--csv", capsys=capsys)
        assert (code, len(out), err) == (0, 2, [])
    code, out, err = run(tmp_path / "no.npy", tmp_path / "one.npy", "--tensor", "one", capsys=capsys)
    assert (code, len(err)) == (1, 1)


def test_shards_beside_other_files(tmp_path, capsys):
    """Of a shard, the tensors that the index names, under the shard's name; one shard alone needs none."""
    save_file({"a": X, "unlisted": X}, tmp_path / "model-1.safetensors")
    save_file({"b": X}, tmp_path / "model-2.safetensors")
    np.save(tmp_path / "c.npy", X)
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}))
    code, out, err = run(index, tmp_path / "c.npy", "--bits", 8, "--csv", capsys=capsys)
    assert (code, err) == (0, [])
    assert [(row["file"], row["tensor"]) for row in csv.DictReader(out)] == [
        ("model-1.safetensors", "a"),
        ("model-2.safetensors", "b"),
        (str(tmp_path / "c.npy"), "c"),
    ]
    _, out, _ = run(index, "--bits", 8, "--csv", capsys=capsys)
    assert [(row["file"], row["tensor"]) for row in csv.DictReader(out)] == [("", "a"), ("", "b")]
    index.write_text(json.dumps({"weight_map": {"a": "model-1.safetensors"}}))
    assert str(compare(index, bits=8)) == str(compare(X, bits=8))
    with pytest.raises(ValueError, match="no tensor 'unlisted'"):
        compare(index, tensor="unlisted")
    index.write_text(json.dumps({"weight_map": {"a": "model-1.safetensors", "z": "model-1.safetensors"}}))
    found = compare(index, bits=8)
    assert found.skipped == {"z": "is not in model-1.safetensors, where the index has it"}
    assert found.failed == {"z"}


def test_no_name_is_no_folder():
    with pytest.raises(ValueError, match="empty"):
        compare("")
    assert main(["compare", ""]) == 2


def test_shards(tmp_path, capsys):
    save_file({"a": X, "b": X}, tmp_path / "model-1.safetensors")
    save_file({"c": X, "unlisted": X}, tmp_path / "model-2.safetensors")
    index = tmp_path / "model.safetensors.index.json"
    names = {"a": "model-1.safetensors", "b": "model-1.safetensors", "c": "model-2.safetensors"}
    index.write_text(json.dumps({"weight_map": names}))
    assert list(compare(index, bits=8).comparisons) == ["a", "b", "c"]
    code, out, err = run(index, "--bits", 8, capsys=capsys)
    assert (code, [line.split()[0] for line in out], err) == (0, ["tensor", "a", "b", "c"], [])
    index.write_text(
        json.dumps({"weight_map": names | {"d": "model-2.safetensors", "e": "model-3.safetensors"}})
    )
    code, out, err = run(index, "--bits", 8, capsys=capsys)
    assert (code, len(out)) == (1, 4)
    assert any(line.startswith("quantnotes: d: ") for line in err)
    assert any("model-3.safetensors" in line for line in err)
    for bad in (
        "",
        "[]",
        "{}",
        '{"weight_map": {"a": "../a.safetensors"}}',
        '{"weight_map": {}}',
        '{"weight_map": 3}',
    ):
        index.write_text(bad)
        code, out, err = run(index, capsys=capsys)
        assert (code, out, len(err)) == (2, [], 1)
        with pytest.raises(ValueError, match=r"model\.safetensors\.index\.json"):
            compare(index)


# --- the process --------------------------------------------------------------------------------------------


def test_the_process_says_how_it_went(mixed):
    process = started(mixed, "--bits", "8", env={"PYTHONIOENCODING": "ascii"})
    out, err = process.communicate()
    assert process.returncode == 1
    assert len(out.splitlines()) == 3
    assert "Traceback" not in err


def test_a_reader_that_goes_away(mixed):
    with started(mixed, "--bits", "8") as process:
        process.stdout.close()
        err = process.stderr.read()
    assert process.returncode == 141
    assert "Traceback" not in err
    assert "Exception" not in err


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_a_full_disk(mixed):
    with open("/dev/full", "w") as full, started(mixed, "--bits", "8", stdout=full) as process:
        err = process.stderr.read()
    assert process.returncode == 2
    assert "cannot be written" in err
    assert "Traceback" not in err
    assert "Exception" not in err


def test_a_name_that_the_terminal_cannot_show(tmp_path, monkeypatch):
    save_file({"größe": X, "b": X}, tmp_path / "m.safetensors")
    with monkeypatch.context() as patch:
        patch.setattr("sys.stdout", screen := io.TextIOWrapper(io.BytesIO(), "ascii"))
        assert main(["compare", str(tmp_path / "m.safetensors"), "--bits", "8"]) == 0
    assert rb"gr\xf6\xdfe" in screen.buffer.getvalue()
    process = started(tmp_path / "m.safetensors", "--bits", "8", env={"PYTHONIOENCODING": "ascii"})
    out, err = process.communicate()
    assert (process.returncode, err) == (0, "")
    assert r"gr\xf6\xdfe" in out


@pytest.mark.skipif(os.name == "nt", reason="Windows has other signals")
def test_ctrl_c(tmp_path):
    """More rows than a pipe holds: the command cannot come to its end before they are read."""
    np.savez(tmp_path / "long.npz", first=X, **{f"{'long' * 60}{i}": X[:9] for i in range(300)})
    process = started(tmp_path / "long.npz", "--bits", "8")
    lines = [process.stdout.readline() for _ in range(2)]
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert lines[1].startswith("first")
    assert process.returncode == 130
    assert re.fullmatch(r"quantnotes: interrupted: \d+ of 301 tensors were compared\n", err)


def test_the_console_script_is_declared():
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["scripts"] == {"quantnotes": "quantnotes.__main__:main"}


def test_csv_is_read_by_the_csv_module(tmp_path, capsys):
    save_file({'a,"b"': X, "c": X}, tmp_path / "m.safetensors")
    _, out, _ = run(tmp_path / "m.safetensors", "--bits", 8, "--csv", capsys=capsys)
    rows = list(csv.DictReader(io.StringIO("\n".join(out))))
    assert [row["tensor"] for row in rows] == ['a,"b"', "c"]
