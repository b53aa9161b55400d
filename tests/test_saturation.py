"""code_ledger: which codes the data use, what is clipped, what the error is."""

import dataclasses
import math
import re
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from reference import FLOAT32, unclipped_code
from strategies import (
    BAD_TYPES,
    LAYOUTS,
    ML_FLOATS,
    arrays,
    moderate_float32s,
    moderate_scales,
    tensor_params,
)

from quantnotes import (
    INT8,
    UINT2,
    UINT8,
    CodeLedger,
    IntGrid,
    QuantParams,
    asymmetric_params,
    code_ledger,
    fake_quantize,
    kernels,
    ledger_table,
    minmax_range,
    quantize,
    symmetric_params,
)
from quantnotes.kernels.ledger import Lanes


def test_by_hand():
    """Eight values on 0..3, S = 1/2, Z = 1 (reals -0.5 .. 1); two are clipped above, one below."""
    x = np.float32([-0.5, 0, 0, 0.125, 0.5, 1.75, 1.5, -1.5])
    ledger = code_ledger(x, QuantParams(0.5, 1, UINT2))
    assert isinstance(ledger, CodeLedger)
    np.testing.assert_array_equal(ledger.counts, [2, 3, 1, 2])
    assert ledger.counts.dtype == np.int64
    assert (ledger.codes_used, ledger.codes_available) == (4, 4)
    assert ledger.code_entropy_bits == pytest.approx(2 * 0.25 * 2 + 3 / 8 * np.log2(8 / 3) + 3 / 8)
    assert (ledger.reaches_qmin, ledger.reaches_qmax, ledger.fully_used) == (True, True, True)
    assert (ledger.clipped_low, ledger.clipped_high) == (1 / 8, 2 / 8)
    squares = 0.125**2 + 0.75**2 + 0.5**2 + 1
    assert ledger.mse == squares / 8
    assert ledger.max_abs_error == 1.0
    signal = 0.25 + 0.125**2 + 0.25 + 1.75**2 + 2 * 1.5**2
    assert ledger.sqnr_db == pytest.approx(10 * np.log10(signal / squares), abs=1e-9)
    assert ledger.params == QuantParams(0.5, 1, UINT2)


def test_three_bits_of_relu_by_hand():
    """STORYBOARD.md, 04: 0..7 on -4..3: half of the codes symmetrically, all of them with a zero point."""
    x = np.arange(8, dtype=np.float32)
    symmetric = code_ledger(x, symmetric_params(*minmax_range(x), IntGrid(-4, 3)))
    asymmetric = code_ledger(x, asymmetric_params(*minmax_range(x), IntGrid(-4, 3)))
    assert (symmetric.codes_used, symmetric.codes_available) == (4, 8)
    assert (symmetric.reaches_qmin, symmetric.reaches_qmax, symmetric.fully_used) == (False, True, False)
    assert (asymmetric.codes_used, asymmetric.fully_used, asymmetric.sqnr_db) == (8, True, np.inf)
    assert asymmetric.code_entropy_bits == 3


@given(tensor_params(scales=moderate_scales), arrays(moderate_float32s, min_size=1))
def test_agrees_with_a_count_in_fractions(params, x):
    ledger = code_ledger(x, params)
    grid = params.grid
    wanted = [unclipped_code(v, params.scale, params.zero_point, FLOAT32) for v in x.tolist()]
    used = Counter(min(max(code, grid.qmin), grid.qmax) for code in wanted)
    assert ledger.counts.tolist() == [used[code] for code in range(grid.qmin, grid.qmax + 1)]
    assert (ledger.codes_used, ledger.codes_available) == (len(used), grid.codes)
    assert (ledger.reaches_qmin, ledger.reaches_qmax) == (grid.qmin in used, grid.qmax in used)
    assert ledger.fully_used == (grid.qmin in used and grid.qmax in used)
    assert ledger.clipped_low == sum(code < grid.qmin for code in wanted) / x.size
    assert ledger.clipped_high == sum(code > grid.qmax for code in wanted) / x.size
    shares = np.array(list(used.values())) / x.size
    assert ledger.code_entropy_bits == pytest.approx(-np.sum(shares * np.log2(shares)), abs=1e-12)
    error = fake_quantize(x, params).astype(np.float64) - x
    np.testing.assert_allclose(
        ledger.max_abs_error, np.abs(error).max(), rtol=1e-3, atol=1e-6 * np.abs(x).max()
    )


@pytest.mark.parametrize("size", [1000, 300_000])
def test_errors_against_numpy(size):
    x = np.random.default_rng(0).standard_normal(size).astype(np.float32)
    for params in (symmetric_params(*minmax_range(x)), asymmetric_params(-1.0, 3.0, UINT8)):
        ledger = code_ledger(x, params)
        error = fake_quantize(x, params).astype(np.float64) - x
        assert ledger.mse == pytest.approx(np.mean(error**2), rel=1e-4)
        assert ledger.max_abs_error == pytest.approx(np.abs(error).max(), rel=1e-4)
        signal = np.mean(x.astype(np.float64) ** 2)
        assert ledger.sqnr_db == pytest.approx(10 * np.log10(signal / np.mean(error**2)), abs=1e-3)
        assert ledger.counts.sum() == size


@pytest.mark.parametrize("bits", [2, 3, 4, 6, 8])
def test_a_full_scale_uniform_gains_six_decibels_a_bit(bits):
    """Signal a**2 / 3, noise S**2 / 12 with S = 2a / (2**b - 1): 20 log10(2**b - 1) dB (9.5, 23.5, 48.1)."""
    x = np.random.default_rng(bits).uniform(-1, 1, 400_000)
    ledger = code_ledger(x, asymmetric_params(*minmax_range(x), IntGrid.of(bits)))
    assert ledger.sqnr_db == pytest.approx(20 * np.log10(2**bits - 1), abs=0.05)


def test_what_rounds_back_onto_the_grid_is_not_clipped():
    """Half a step beyond the ends still rounds to them; -128.5 goes to the even -128, 127.5 to 128."""
    x = np.float32([-128.5, -128.49, 127.49, 127.5, -128.51])
    ledger = code_ledger(x, QuantParams(1.0, 0, INT8))
    assert (ledger.clipped_low, ledger.clipped_high) == (1 / 5, 1 / 5)


def test_values_far_out_are_clipped_not_wrapped():
    ledger = code_ledger(np.float32([1e38, -1e38, 0, 3e38]), QuantParams(1e-30, 0, INT8))
    assert (ledger.clipped_low, ledger.clipped_high, ledger.codes_used) == (1 / 4, 2 / 4, 3)


def test_values_at_the_end_of_float64():
    """Their power of two, 2**1024, is no float64; nor are all decoded values."""
    x = np.array([1.7e308, -1.7e308, 0.0])
    exact = code_ledger(x, QuantParams(1.7e308, 0, INT8))
    assert (exact.mse, exact.max_abs_error, exact.sqnr_db) == (0, 0, np.inf)
    halved = code_ledger(x, QuantParams(0.85e308, 0, UINT2))  # the negative one is lost
    assert (halved.mse, halved.max_abs_error) == (np.inf, 1.7e308)
    assert halved.sqnr_db == pytest.approx(10 * np.log10(2), abs=1e-9)
    beyond = code_ledger(x[:1], QuantParams(3.6e307, -256, IntGrid(-256, 255)))  # 5 S is no float64
    assert beyond.max_abs_error == np.finfo(np.float64).max - 1.7e308


@pytest.mark.parametrize("x", [np.zeros(5), np.float32([0.25, -0.75, 1]), np.zeros(()), np.float64(-0.0)])
def test_no_error_is_infinite_sqnr(x):
    ledger = code_ledger(x, QuantParams(0.25, 3, INT8))
    assert (ledger.mse, ledger.max_abs_error, ledger.sqnr_db) == (0, 0, np.inf)


def test_one_code_has_no_entropy():
    ledger = code_ledger(np.zeros(100), QuantParams(1.0, 0, INT8))
    assert (ledger.codes_used, ledger.code_entropy_bits) == (1, 0)
    assert not str(ledger.code_entropy_bits).startswith("-")


def test_every_code_once_is_eight_bits():
    ledger = code_ledger(np.arange(-128, 128), QuantParams(1.0, 0, INT8))
    assert (ledger.codes_used, ledger.code_entropy_bits, ledger.fully_used) == (256, 8.0, True)


def test_per_channel_codes_are_counted_together():
    x = np.random.default_rng(0).standard_normal((3, 500)).astype(np.float32) * np.float32([[1], [10], [0.1]])
    params = symmetric_params(*minmax_range(x, axis=0), axis=0)
    ledger = code_ledger(x, params)
    expected = np.bincount(quantize(x, params).ravel().astype(int) + 128, minlength=256)
    np.testing.assert_array_equal(ledger.counts, expected)
    assert (ledger.clipped_low, ledger.clipped_high, ledger.params) == (0, 0, params)
    error = fake_quantize(x, params).astype(np.float64) - x
    assert ledger.mse == pytest.approx(np.mean(error**2), rel=1e-4)
    with pytest.raises(ValueError, match=r"axis|channel"):
        code_ledger(x.T, params)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layout_changes_nothing(layout):
    x = np.random.default_rng(0).standard_normal((5, 6, 7)).astype(np.float32)
    params = asymmetric_params(-1.0, 2.0)
    expected, found = code_ledger(x, params), code_ledger(LAYOUTS[layout](x), params)
    for field in dataclasses.fields(CodeLedger):
        a, b = getattr(expected, field.name), getattr(found, field.name)
        if field.name not in ("mse", "sqnr_db"):  # sums may run in another order
            assert np.array_equal(a, b) if isinstance(a, np.ndarray) else a == b
    assert found.mse == pytest.approx(expected.mse, rel=1e-9)


@pytest.mark.parametrize(
    ("x", "word"),
    [(np.zeros(0), "empty"), ([1.0, np.inf], "inf"), ([-np.inf], "inf"), ([np.nan, 1.0], "NaN")],
)
def test_data_without_a_ledger(x, word):
    with pytest.raises(ValueError, match=word):
        code_ledger(x, QuantParams(1.0, 0, INT8))


@pytest.mark.parametrize("name", BAD_TYPES)
def test_what_is_no_number_is_a_type_error(name):
    with pytest.raises(TypeError):
        code_ledger(BAD_TYPES[name], QuantParams(1.0, 0, INT8))


def test_numbers_are_python_s_and_the_ledger_is_frozen():
    ledger = code_ledger(np.float32([1.0, 2.0]), QuantParams(0.3, 0, INT8))
    kinds = {
        "codes_used": int,
        "codes_available": int,
        "fully_used": bool,
        "clipped_low": float,
        "mse": float,
    }
    kinds |= {"reaches_qmin": bool, "code_entropy_bits": float, "max_abs_error": float, "sqnr_db": float}
    assert {name: type(getattr(ledger, name)) for name in kinds} == kinds
    with pytest.raises(dataclasses.FrozenInstanceError):
        ledger.params = None


@pytest.mark.parametrize(
    "ledgers", [None, [1], {"row": 1}, {1: code_ledger([1.0], QuantParams(1.0, 0, INT8))}]
)
def test_a_table_is_made_of_named_ledgers(ledgers):
    with pytest.raises(TypeError, match=r"ledgers|name|CodeLedger"):
        ledger_table(ledgers)


@pytest.fixture
def printed():
    x = np.random.default_rng(0).standard_normal(1000)
    return code_ledger(x, symmetric_params(-2.0, 2.0))


def test_prints_as_an_aligned_table(printed):
    lines = str(printed).splitlines()
    rows = [m for m in (re.match(r"(\S.*?)\s{2,}(\S.*)$", line.rstrip()) for line in lines) if m]
    assert len(rows) >= 6
    assert len({m.start(2) for m in rows}) == 1 or len({m.end(2) for m in rows}) == 1
    assert re.search(rf"\b{printed.codes_used}\b.*\b256\b", str(printed))
    assert f"{printed.sqnr_db:.1f}" in str(printed)
    assert repr(printed) == str(printed)  # an editor that shows no HTML shows the table too


def test_renders_as_an_html_table(printed):
    html = printed._repr_html_()
    assert html.count("<table") == html.count("</table>") == 1
    assert html.count("<tr") == html.count("</tr>") >= 6
    assert re.search(rf"\b{printed.codes_used}\b", html)
    assert f"{printed.sqnr_db:.1f}" in html


def test_a_table_of_ledgers_shows_itself(printed):
    table = ledger_table({"one": printed, "two": printed})
    assert repr(table) == str(table)
    assert len(str(table).splitlines()) == 3


def test_the_largest_floats():
    """What decodes past the type of the data saturates, as in dequantize."""
    x = np.array([3e38, -3e38], np.float32)
    for params in [asymmetric_params(-3e38, 3e38, IntGrid.of(2)), QuantParams(2e38, -1, IntGrid.of(2))]:
        error = np.abs(fake_quantize(x, params).astype(np.float64) - x)
        assert code_ledger(x, params).max_abs_error == error.max() < 1.3e38
    exact = code_ledger([1.7e308, -1.7e308], symmetric_params(-1.7e308, 1.7e308))
    assert exact.sqnr_db > 200


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("grid", [IntGrid.of(2), INT8, UINT8, IntGrid.of(16)], ids=str)
@pytest.mark.parametrize("ends", [(-1, 0), (0, 1), (-1, 1), (-0.5, 1), (-1, 1e-3)], ids=str)
def test_no_ledger_of_the_largest_values_holds_nan_or_infinity(dtype, grid, ends):
    """Masks: np.finfo(dtype).min in attention scores."""
    x = (np.array([*ends, 0.25, 0.0]) * np.finfo(dtype).max).astype(dtype)
    for make in (asymmetric_params, symmetric_params):
        if make is symmetric_params and grid.qmin == 0 and ends[0] < 0:
            continue
        ledger = code_ledger(x, make(*minmax_range(x), grid))
        assert np.isfinite([ledger.max_abs_error, ledger.clipped_low, ledger.clipped_high]).all()
        assert not np.isnan(ledger.sqnr_db)
        assert "nan" not in str(ledger)


def test_the_error_is_taken_and_summed_in_float64():
    """In float32 the difference of 0.1 and 1e-9 is 0.1, and sums drift."""
    rng = np.random.default_rng(0)
    x = np.append(rng.standard_normal(70_001) * np.exp(rng.normal(0, 4, 70_001)), 1e-9).astype(np.float32)
    params = QuantParams(0.1, 1, IntGrid.of(4))
    errors = [float(back) - float(value) for back, value in zip(fake_quantize(x, params), x, strict=True)]
    ledger = code_ledger(x, params)
    assert ledger.max_abs_error == max(map(abs, errors))
    noise, signal = (math.fsum(v * v for v in values) for values in (errors, x.astype(float).tolist()))
    assert ledger.mse == pytest.approx(noise / x.size, rel=1e-13)
    assert ledger.sqnr_db == pytest.approx(10 * math.log10(signal / noise), rel=1e-13)
    alone = code_ledger(np.float32([0.1 + 1e-9 * 0, 3e-9]), QuantParams(0.1, 0, INT8))
    assert alone.max_abs_error == float(np.float32(3e-9))


def test_two_ledgers_at_once_leave_the_error_state_alone():
    """Nothing holds np.errstate while it waits."""
    x, one, zero = np.ones(3 * kernels.blocked.BLOCK, np.float32), np.ones(()), np.zeros(())
    before = np.geterr()
    first, second = (kernels.quotients(x, one, zero, np.dtype(np.float32)) for _ in range(2))
    next(first), next(second)
    assert np.geterr() == before
    list(first), list(second)
    assert np.geterr() == before


@pytest.mark.parametrize("dtype", [*ML_FLOATS, np.longdouble], ids=lambda d: d.__name__)
def test_every_float_has_a_ledger(dtype):
    x = np.array([1.0, 2.0, 0.5, 4.0]).astype(dtype)
    ledger = code_ledger(x, QuantParams(0.5, 0, INT8))
    assert ledger.max_abs_error == 0


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    "where",
    [{}, {"axis": 0}, {"axis": 1}, {"axis": 1, "block_size": 32}, {"axis": 0, "block_size": 5}],
    ids=str,
)
@pytest.mark.parametrize("layout", [np.ascontiguousarray, np.asfortranarray, lambda x: x[:, :90]])
def test_both_kernels_give_the_same_bits(dtype, where, layout, monkeypatch):
    pytest.importorskip("numba")
    x = layout(np.random.default_rng(0).standard_normal((110, 96)).astype(dtype))
    low, high = minmax_range(x, **where)
    for make in (asymmetric_params, symmetric_params):
        params = make(0.5 * np.asarray(low), 0.5 * np.asarray(high), INT8, **where)
        ledgers = []
        for choice in ("numpy", "numba"):
            monkeypatch.setenv("QUANTNOTES_KERNELS", choice)
            ledgers.append(code_ledger(x, params))
        plain, fused = ledgers
        np.testing.assert_array_equal(plain.counts, fused.counts)
        for name in ("mse", "sqnr_db", "max_abs_error", "clipped_low", "clipped_high"):
            assert getattr(plain, name) == getattr(fused, name)


def test_lanes_add_in_one_order_however_the_values_come():
    values = np.random.default_rng(0).random(1000)
    whole, pieces = Lanes(), Lanes()
    whole.add(values)
    for piece in np.split(values, [1, 64, 65, 300, 937]):
        pieces.add(piece)
    assert whole.total() == pieces.total()
    assert whole.total() == pytest.approx(values.sum(), rel=1e-14)


def test_a_table_of_ledgers_by_hand():
    """On codes 0 to 3, S = 1: which ends are reached, and the share clipped at both of them together."""
    data = {"both": [-9.0, 0, 3, 9], "low": [0.0, 1], "high": [2.0, 9], "none": [1.0, 1, 2]}
    params = QuantParams(1.0, 0, UINT2)
    table = ledger_table({name: code_ledger(x, params) for name, x in data.items()})
    _, *rows = (re.split(r"  +", line) for line in str(table).splitlines())
    assert [row[-3:-1] for row in rows] == [
        ["both", "50.0 %"],
        ["qmin", "0.0 %"],
        ["qmax", "50.0 %"],
        ["---", "0.0 %"],
    ]
    html = table._repr_html_()
    assert (html.count("<tr>"), html.count("<th ")) == (5, 6 + 4)  # a head, and a name for each row
