"""What the notebooks import from `quantnotes.course`: names that load on first use, tables and spreads."""

import math
import subprocess
import sys
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pytest

from quantnotes import course, samples
from quantnotes.course import spread, spread_table, table
from quantnotes.course.classifier import convolutions, replace_convolutions
from quantnotes.network import fold, load_text_direction, run_float


def test_names_load_on_first_use():
    code = (
        "import sys; from quantnotes.course import check, table; from quantnotes import course;"
        "print({'matplotlib', 'ipywidgets'} & set(sys.modules));"
        "print([name for name in course.__all__ if not getattr(course, name)])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["set()", "[]"]
    assert set(course.__all__) <= set(dir(course))
    with pytest.raises(AttributeError, match="tabel"):
        _ = course.tabel


# --- table --------------------------------------------------------------------------------------------------


def lines(shown):
    return str(shown).splitlines()


def test_numbers_stand_to_the_right_and_share_their_decimals():
    assert lines(table([["a", 31.264, 3], ["long", 5.0, 12345]], ["name", "dB", "codes"])) == [
        "name    dB   codes",
        "a     31.3       3",
        "long   5.0  12,345",
    ]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.00123, 0.0456], ["0.0012", "0.0456"]),
        ([1234.5, 2.0], ["1234", "2"]),
        ([123456.7, 0.0], ["123,457", "0"]),
        ([-0.0001, 1.0], ["0.00", "1.00"]),
        ([math.inf, 2.0], ["inf", "2.00"]),
        ([math.nan, math.nan], ["nan", "nan"]),
        ([0.0], ["0.00"]),
        ([True, np.False_], ["yes", "no"]),
        ([None, 3], ["", "3"]),
        ([np.float32(0.1), np.int8(-3)], ["0.10", "-3.00"]),
        ([9.996, 1.0], ["10.00", "1.00"]),
    ],
)
def test_how_a_column_is_written(values, expected):
    assert [row[0] for row in table(values, ["x"]).rows] == expected


def test_digits_and_formats_of_columns():
    rows = [[0.5, 0.00004, 1e-9], [1.0, 0.5, 1e9]]
    shown = table(rows, ["a", "wrong", "p"], digits={"a": 0}, formats={"wrong": "%", "p": ".0e"})
    assert shown.rows == (("0", "< 0.1 %", "1e-09"), ("1", "50.0 %", "1e+09"))
    assert table([[2.0]], ["a"], digits=3).rows == (("2.000",),)
    assert table([[2]], ["a"], formats={"a": bin}).rows == (("0b10",),)


def test_a_mapping_names_its_rows():
    expected = ["range     S", "mse    0.25"]
    assert lines(table({"mse": [0.25]}, ["range", "S"], digits=2)) == expected
    assert lines(table({"mse": 0.25}, ["range", "S"], digits=2)) == expected
    assert table({"mse": [0.25]}, ["S"]).columns == ("", "S")
    assert table({"mse": {"S": 0.25}}).columns == ("", "S")
    assert table([{"S": 1, "Z": 2}, {"Z": 4, "S": 3}]).rows == (("1", "2"), ("3", "4"))
    assert table({99.9: [1], 99.99: [2]}, ["kept", "n"]).rows == (("99.9", "1"), ("99.99", "2"))


def test_an_array_is_rows():
    assert table(np.eye(2, dtype=int), ["a", "b"]).rows == (("1", "0"), ("0", "1"))


def test_a_caption_stands_above():
    shown = table([[1]], ["a"], caption="one < two")
    assert lines(shown)[0] == "one < two"
    assert "<caption>one &lt; two</caption>" in shown._repr_html_()
    assert repr(shown) == str(shown)


def test_html_aligns_as_the_text_does():
    text = table([["a<b", 1.0]], ["name", "dB"])._repr_html_()
    assert text.count("text-align: right") == text.count("text-align: left") == 2
    assert "a&lt;b" in text
    assert "<caption>" not in text


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"columns": ["a"]}, "2 cells and there are 1 heads"),
        ({"columns": ["a", "b"], "digits": {"c": 1}}, "digits names 'c'"),
        ({"columns": ["a", "b"], "formats": {"c": ".1f"}}, "formats names 'c'"),
    ],
)
def test_heads_must_fit(options, match):
    with pytest.raises(ValueError, match=match):
        table([[1, 2]], **options)


def test_no_rows_leave_the_heads():
    assert str(table([], ["a", "b"])) == "a  b"


# --- spread -------------------------------------------------------------------------------------------------


def test_spread():
    assert spread([3, 1, 2], 0) == "2 (1 to 3)"
    assert spread([0.25, -0.04]) == "0.1 (0.0 to 0.2)"


def test_one_number_has_three_columns():
    calls = []

    def measured(outlier, seed):
        calls.append((outlier, seed))
        return outlier + seed

    shown = spread_table(measured, outlier=[50, -1000], seeds=range(3), unit="dB")
    assert calls == [(50, 0), (50, 1), (50, 2), (-1000, 0), (-1000, 1), (-1000, 2)]
    assert lines(shown) == [
        "3 seeds",
        "outlier  median (dB)  smallest (dB)  largest (dB)",
        "     50           51             50            52",
        "  -1000         -999          -1000          -998",
    ]


class Both(NamedTuple):
    keep: float
    clip: float


@pytest.mark.parametrize(
    ("wrap", "columns"),
    [(Both._asdict, ()), (tuple, ("keep", "clip")), (lambda both: both, ()), (list, ("keep", "clip"))],
)
def test_several_numbers_have_a_column_each(wrap, columns):
    shown = spread_table(
        lambda bits, text: wrap(Both(len(text), bits / 10)),
        bits=[4, 8], texts=["a", "bcd"], unit="dB", digits=1, columns=columns,
    )  # fmt: skip
    assert lines(shown) == [
        "median (smallest to largest) of 2 texts",
        "bits  keep (dB)         clip (dB)",
        "   4  2.0 (1.0 to 3.0)  0.4 (0.4 to 0.4)",
        "   8  2.0 (1.0 to 3.0)  0.8 (0.8 to 0.8)",
    ]


def test_parameters_are_named_combined_or_passed_on():
    shown = spread_table(
        lambda f, kept, size, seed: f(kept) + size + seed,
        method={"twice": lambda x: 2 * x, "same": lambda x: x}, kept=[99.9, 99.99], size=1000, seeds=[0],
    )  # fmt: skip
    assert shown.caption == "1 seed"
    assert [row[:2] for row in shown.rows] == [
        ("twice", "99.9"),
        ("twice", "99.99"),
        ("same", "99.9"),
        ("same", "99.99"),
    ]
    assert shown.columns[:2] == ("method", "kept")
    assert spread_table(lambda text: text, texts=[1, 2, 3]).rows == (("2", "1", "3"),)
    assert spread_table(lambda seed: seed, seeds=[1, 2]).rows == (("1.50", "1.00", "2.00"),)


def test_a_median_of_codes_does_not_overflow_their_type():
    shown = spread_table(lambda seed: np.int8(100 + seed), seeds=[1, 2])
    assert shown.rows == (("102", "101", "102"),)


def test_a_spread_needs_something_to_run_over():
    with pytest.raises(ValueError, match="give seeds= at least one value"):
        spread_table(lambda bits, seed: bits, bits=[8])
    with pytest.raises(ValueError, match="returns 2 numbers: name them by columns="):
        spread_table(lambda seed: (1, 2), seeds=[0])


# --- classifier ---------------------------------------------------------------------------------------------


def test_convolutions_have_the_names_of_the_file():
    found = convolutions(load_text_direction().network)
    assert len(found) == 53
    for name, conv in found.items():
        np.testing.assert_array_equal(conv.weight, samples.load(f"text_direction_{name}_weights"))


def test_a_convolution_is_replaced_where_it_stands():
    """In a branch too, and the rest stays."""
    lines = load_text_direction()
    network, x = fold(lines.network), lines.images[:2]
    old = convolutions(network)
    np.testing.assert_array_equal(
        run_float(replace_convolutions(network, old), x)[-1], run_float(network, x)[-1]
    )
    for name in ("conv2_se_1", "conv_last"):
        conv = old[name]
        new = replace(conv, weight=2 * conv.weight)
        changed = convolutions(replace_convolutions(network, {name: new}))
        assert [n for n in old if changed[n] is not old[n]] == [name]
        assert convolutions(network) == old
    with pytest.raises(ValueError, match="no convolution 'conv13'"):
        replace_convolutions(network, {"conv13": new})
