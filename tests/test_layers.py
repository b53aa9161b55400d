"""Convolutional networks in three forms: layers by hand, and fake and integer agreeing on every code."""

import math
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from integers_only import FloatUsed, IntegersOnly

from quantnotes import (
    INT4,
    INT8,
    INT8_NARROW,
    INT16,
    UINT8,
    IntGrid,
    QuantParams,
    dequantize,
    fake_quantize,
    integer,
    quantize,
    samples,
)
from quantnotes.formats import E4M3
from quantnotes.integer import common_multipliers, requantize_sum
from quantnotes.layers import (
    FUNCTIONS,
    Add,
    AveragePool,
    BatchNorm,
    Concat,
    Conv,
    Dense,
    Flatten,
    MaxPool,
    Multiply,
    QuantAdd,
    QuantAveragePool,
    QuantConcat,
    QuantConv,
    QuantDense,
    QuantMultiply,
    QuantSelection,
    QuantSoftmax,
    QuantTable,
    Softmax,
    Table,
    base,
)
from quantnotes.network import (
    calibrate_by,
    fold,
    load_text_direction,
    quantize_network,
    run_fake,
    run_float,
    run_integer,
)
from quantnotes.training import finetune

P8 = QuantParams(0.5, 3, INT8)
PLAIN = QuantParams(1.0, 0, INT8)


def conv(rng, outputs, channels, kernel=3, relu=False, **options):
    weight = rng.normal(0, 1 / math.sqrt(channels * kernel**2), (outputs, channels, kernel, kernel))
    return Conv(weight, rng.normal(0, 0.1, outputs), relu, **options)


def norm(rng, channels, relu=False):
    return BatchNorm(
        rng.normal(1, 0.3, channels),
        rng.normal(0, 0.3, channels),
        rng.normal(0, 0.3, channels),
        rng.uniform(0.5, 2, channels),
        relu=relu,
    )


def small_network(seed=0):
    """Everything at once: normalizations, a depthwise block with a residual, branches, pooling, tables."""
    rng = np.random.default_rng(seed)
    return [
        conv(rng, 8, 3, strides=2, pads=1),
        norm(rng, 8),
        Table("hard-swish"),
        Add(
            (
                (),
                (
                    conv(rng, 16, 8, 1),
                    norm(rng, 16, relu=True),
                    conv(rng, 16, 1, pads=1, groups=16),
                    norm(rng, 16),
                    Table("gelu"),
                    conv(rng, 8, 16, 1),
                ),
            ),
            relu=True,
        ),
        Multiply(((), (AveragePool(), conv(rng, 8, 8, 1), Table("sigmoid")))),
        Concat(
            (
                (),
                (conv(rng, 6, 8, pads=2, dilations=2, relu=True),),
                (MaxPool(3, 1, 1), conv(rng, 4, 4, 1, groups=2)),
            )
        ),
        MaxPool(2),
        AveragePool(2, 1),
        AveragePool(),
        Flatten(),
        Dense(rng.normal(size=(5, 18)), rng.normal(size=5)),
    ]


def images(seed, count=6, size=17):
    return np.random.default_rng(seed).normal(0.2, 1, (count, 3, size, size))


def differing(network, x):
    """How many codes of every activation differ between the fake-quantized form and the integers."""
    fake = run_fake(network, x)
    codes = run_integer(network, quantize(x, network[0].x))
    decoded = [dequantize(codes[0], network[0].x, dtype=np.float64)]
    decoded += [layer.decode(q) for layer, q in zip(network, codes[1:], strict=True)]
    return [int(np.count_nonzero(a != b)) for a, b in zip(fake, decoded, strict=True)]


# --- layers by hand -----------------------------------------------------------------------------------------


def test_a_convolution_by_hand():
    edges = Conv([[[[-1.0, 1.0]]], [[[1.0, 0.0]]]], [0.0, 0.5], pads=(0, 0, 0, 1))
    assert edges([[[[1.0, 3.0, 2.0]]]]).tolist() == [[[[2.0, -1.0, -2.0]], [[1.5, 3.5, 2.5]]]]
    twice = Conv([[[[2.0]]], [[[3.0]]]], [0.0, 0.0], groups=2, strides=(1, 2))
    assert twice([[[[1.0, 2.0, 3.0]], [[4.0, 5.0, 6.0]]]]).tolist() == [[[[2.0, 6.0]], [[12.0, 18.0]]]]
    apart = Conv([[[[-1.0, 1.0]]]], [0.0], dilations=(1, 2))
    assert apart([[[[1.0, 3.0, 2.0, 7.0]]]]).tolist() == [[[[1.0, 4.0]]]]


def test_a_quantized_convolution_by_hand():
    """acc = (4 - 3) 2 + (1 - 3) (-4) + 5 = 15 in units of 0.125; / 0.5 = 3.75 -> 4; + 3."""
    layer = QuantConv(Conv([[[[1.0, -2.0]]]], [0.6]), P8, QuantParams(0.25, 0, INT8), P8)
    assert (layer.codes.tolist(), layer.bias.tolist()) == ([[[[4, -8]]]], [5])
    code = round(((4 - 3) * 4 + (1 - 3) * -8 + 5) * Fraction(1, 8) / Fraction(1, 2)) + 3
    assert layer.integer([[[[4, 1]]]]).tolist() == [[[[code]]]] == [[[[9]]]]
    assert layer.fake([[[[0.5, -1.0]]]]).tolist() == [[[[0.5 * (9 - 3)]]]]
    for array in (layer.codes, layer.bias, layer.conv.weight, layer.conv.bias):
        assert not array.flags.writeable


def test_nothing_that_a_quantized_network_holds_can_be_changed():
    """Every array that a layer has made, however deep: weights, biases, multipliers, tables."""
    network = quantize_network([*small_network(), Softmax()], images(0))
    run_integer(network, quantize(images(1), network[0].x))
    found, waiting = [], [*small_network(), *network]
    while waiting:
        thing = waiting.pop()
        if isinstance(thing, np.ndarray):
            found.append(thing)
        elif isinstance(thing, tuple | list):
            waiting.extend(thing)
        elif hasattr(thing, "__dict__") and not isinstance(thing, QuantParams):
            waiting.extend(vars(thing).values())
    assert len(found) > 50
    assert not any(array.flags.writeable for array in found)


def test_a_convolution_is_the_dense_layer_of_each_window():
    rng = np.random.default_rng(0)
    layer, x = conv(rng, 4, 3, 2, relu=True), images(1, 2, 5)
    dense = Dense(layer.weight.reshape(4, -1), layer.bias, relu=True)
    for i, j in np.ndindex(4, 4):
        window = x[:, :, i : i + 2, j : j + 2].reshape(2, -1)
        np.testing.assert_allclose(layer(x)[:, :, i, j], dense(window), atol=1e-12)


def test_pooling_by_hand():
    x = np.array([[[[1.0, 5.0, 2.0], [3.0, 4.0, -9.0], [7.0, 8.0, 0.0]]]])
    assert MaxPool(2)(x).tolist() == [[[[5.0]]]]
    assert MaxPool(2, 1)(x).tolist() == [[[[5.0, 5.0], [8.0, 8.0]]]]
    assert MaxPool((1, 3))(x).tolist() == [[[[5.0], [4.0], [8.0]]]]
    assert MaxPool(2, 2, (1, 1))(-abs(x)).tolist() == [[[[-1.0, -2.0], [-3.0, -0.0]]]]
    assert AveragePool(2, 1)(x).tolist() == [[[[3.25, 0.5], [5.5, 0.75]]]]
    assert AveragePool(2, 2, 1)(x).tolist() == [[[[1.0, 3.5], [5.0, 0.75]]]]  # 1, 2, 2 and 4 values
    assert AveragePool()(x).tolist() == [[[[21 / 9]]]]
    assert Flatten()(x).tolist() == [[1.0, 5.0, 2.0, 3.0, 4.0, -9.0, 7.0, 8.0, 0.0]]


def test_codes_that_lie_outside_are_never_the_largest():
    """Padding with the code of 0 would win over negative values."""
    layer = QuantSelection(MaxPool(2, 2, 1), P8)
    q = np.full((1, 1, 2, 2), -100, np.int8)
    assert layer.integer(q).tolist() == [[[[-100, -100], [-100, -100]]]]
    assert layer.integer(q).dtype == np.int8
    assert layer.y is layer.x


def test_branches_by_hand():
    double = (Dense([[2.0, 0.0], [0.0, 2.0]], [0.0, 1.0]),)
    x = [[1.0, -2.0]]
    assert Add(((), double))(x).tolist() == [[3.0, -5.0]]
    assert Add(((), double, ()), relu=True)(x).tolist() == [[4.0, 0.0]]
    assert Concat((double, ()))(x).tolist() == [[2.0, -3.0, 1.0, -2.0]]
    assert Multiply((double, ()))(x).tolist() == [[2.0, 6.0]]


def test_the_mean_of_images_that_are_one_line():
    assert AveragePool()([[[[1.0, 3.0, 8.0]]]]).tolist() == [[[[4.0]]]]
    assert AveragePool()([[[[1.0], [2.0]]]]).tolist() == [[[[1.5]]]]


def test_branches_are_the_layer_s_own():
    """Lists that the caller changes later change no layer."""
    branches = [[], [Dense([[5.0]], [0.0])]]
    layer = Add(branches)
    branches[1].clear()
    branches.append([])
    assert layer([[1.0]]).tolist() == [[6.0]]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_against_their_definitions(name):
    definitions = {
        "relu": lambda v: max(v, 0.0),
        "hard-swish": lambda v: v * min(max(v + 3, 0), 6) / 6,
        "hard-sigmoid": lambda v: min(max(v + 3, 0), 6) / 6,
        "sigmoid": lambda v: 1 / (1 + math.exp(-v)),
        "silu": lambda v: v / (1 + math.exp(-v)),
        "tanh": math.tanh,
        "gelu": lambda v: v * (1 + math.erf(v / math.sqrt(2))) / 2,
    }
    x = np.linspace(-9, 9, 181)
    np.testing.assert_allclose(Table(name)(x), [definitions[name](v) for v in x], atol=1e-14)


@pytest.mark.parametrize("name", [*FUNCTIONS, np.sin])
@pytest.mark.parametrize("grid", [INT8, UINT8, INT4, INT16])
def test_a_table_holds_the_function_of_every_code(name, grid):
    x, y = QuantParams(0.05, (grid.qmin + grid.qmax) // 2, grid), QuantParams(0.03, 7, INT4)
    layer = QuantTable(Table(name), x, y)
    q = np.arange(grid.qmin, grid.qmax + 1)
    found = layer.integer(q[::-1])[::-1]
    assert (layer.codes.size, found.dtype) == (grid.codes, np.int8)
    np.testing.assert_array_equal(found, quantize(Table(name)(dequantize(q, x, dtype=np.float64)), y))
    reals = layer.fake(dequantize(q, x, dtype=np.float64))
    np.testing.assert_array_equal(reals, layer.decode(found))


# --- sums of several scales ---------------------------------------------------------------------------------


@given(st.data())
def test_one_rounding_of_a_sum(data):
    """Against fractions: with the multipliers that the factors stand for, exactly, ties to even."""
    terms, divisor = data.draw(st.integers(1, 4)), data.draw(st.integers(1, 50))
    each = st.sampled_from([0.5, 1.0, 0.25, 2.0, 1 / 3, 0.7, 1e-3, 1e-12, 3e-30])
    m = [data.draw(each) for _ in range(terms)]
    n = [data.draw(st.integers(-(2**17), 2**17)) for _ in range(terms)]
    factors, shift = common_multipliers(m)
    assert 2**30 <= factors.max() <= 2**31
    unit = Fraction(2) ** (-31 - shift)
    assert all(abs(int(f) * unit - Fraction(v)) <= unit / 2 for f, v in zip(factors, m, strict=True))
    exact = sum(i * int(f) * unit for i, f in zip(n, factors, strict=True)) / divisor
    wanted = min(max(round(exact) + 5, INT16.qmin), INT16.qmax)
    assert requantize_sum([[i] for i in n], factors, shift, 5, INT16, divisor=divisor).tolist() == [wanted]


@pytest.mark.parametrize(
    ("shift", "divisor", "wanted"), [(30, 1, 7), (31, 1, 6), (31, 2, 5), (32, 1, 5), (900, 9, 5)]
)
def test_quotients_near_and_below_one_half(shift, divisor, wanted):
    """Next to 2**62 over 2**61, 2**62 and 2**63; what is below one half is 0, with any shift and divisor."""
    n, factor = 2**31 - 1, 2**31 - 1
    exact = Fraction(n * factor, 2 ** (31 + shift) * divisor)
    assert (
        requantize_sum([[n]], [factor], shift, 5, INT8, divisor=divisor).tolist()
        == [round(exact) + 5]
        == [wanted]
    )


def test_ties_of_an_average_go_to_even():
    """Sums of six codes: 3 / 6, 9 / 6 and 15 / 6 are ties, though 1 / 6 is no binary fraction."""
    factors, shift = common_multipliers([1.0])
    assert requantize_sum([[3, 9, 15, -3]], factors, shift, 0, INT8, divisor=6).tolist() == [0, 2, 2, 0]


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"sums": [[1.5]]}, TypeError, "sums must hold integers"),
        ({"sums": []}, ValueError, "factors must be 1-D, one for each of 0 sums"),
        ({"sums": [[1], [2]]}, ValueError, "factors must be 1-D, one for each of 2 sums"),
        ({"sums": [[2**31]]}, ValueError, "sums must lie in"),
        ({"factors": [2.0**30]}, TypeError, "factors must hold integers"),
        ({"factors": [2**31 + 1]}, ValueError, "factors must lie in"),
        ({"factors": [-1]}, ValueError, "factors must lie in"),
        ({"sums": [[2**31 - 1]] * 3, "factors": [2**31] * 3}, ValueError, "could leave 62 bits"),
        ({"shift": -31}, ValueError, "shift must be at least -30, got -31"),
        ({"shift": 0.0}, TypeError, "shift must be an integer"),
        ({"zero_point": 200}, ValueError, "zero_point must lie in"),
        ({"grid": 8}, TypeError, "grid must be an IntGrid"),
        ({"divisor": 0}, ValueError, "divisor must lie in"),
        ({"divisor": 1.0}, TypeError, "divisor must hold integers"),
    ],
)
def test_sums_that_are_refused(change, error, message):
    arguments = {"sums": [[1]], "factors": [2**30], "shift": 0, "zero_point": 0, "grid": INT8, "divisor": 1}
    assert requantize_sum(**arguments).tolist() == [0]
    with pytest.raises(error, match=message):
        requantize_sum(**(arguments | change))


def test_multipliers_that_are_refused():
    for wrong in ([], 0.5, [[0.5]]):
        with pytest.raises(ValueError, match="ms must be 1-D"):
            common_multipliers(wrong)
    for wrong in ([0.0], [-1.0, 1.0], [np.inf], [np.nan], [2.0**30]):
        with pytest.raises(ValueError, match="m must be"):
            common_multipliers(wrong)
    with pytest.raises(TypeError, match="m must be a number"):
        common_multipliers([True])


# --- three forms --------------------------------------------------------------------------------------------

WEIGHTS = {
    "each output": {},
    "one scale": {"axis": None},
    "asymmetric": {"weights": calibrate_by("minmax", "asymmetric", axis=0)},
    "symmetric activations": {"activations": calibrate_by("minmax", "symmetric")},
}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("grid", [INT8, UINT8, INT4, IntGrid.of(3)], ids=str)
def test_fake_and_integer_agree_on_every_code(grid, weights, seed):
    if weights == "symmetric activations" and grid.qmin == 0:
        pytest.skip("an unsigned grid has no symmetric parameters")
    network = small_network(seed)
    quantized = quantize_network(network, images(seed), grid, **WEIGHTS[weights])
    assert differing(quantized, images(seed + 100, 12)) == [0] * (len(quantized) + 1)
    assert quantized[-1].y is None


def test_branches_inside_branches_see_their_own_input():
    """Behind a ReLU the data are another's; the nested sum gets the parameters that it gets outside."""
    rng = np.random.default_rng(3)
    first, inner = conv(rng, 3, 3, 1, relu=True), Add(((), (conv(rng, 3, 3, 1), Table("sigmoid"))))
    plain = quantize_network([first, inner, conv(rng, 2, 3)], images(3))
    nested = quantize_network([Concat(((), (first, inner))), conv(rng, 2, 6)], images(3))
    alone, (_, (_, within)) = plain[1], nested[0].branches
    assert [layer.y for layer in within.branches[1]] == [layer.y for layer in alone.branches[1]]
    assert differing(nested, images(4)) == [0, 0, 0]


def test_activations_on_sixteen_bits_agree_too():
    quantized = quantize_network(small_network(), images(0), IntGrid.of(12))
    assert differing(quantized, images(100)) == [0] * (len(quantized) + 1)


@pytest.mark.parametrize("seed", range(3))
def test_eight_bits_are_near_the_floats(seed):
    network, x = small_network(seed), images(seed + 100, 12)
    quantized = quantize_network(network, images(seed, 12))
    exact, found = run_float(network, x)[-1], run_fake(quantized, x)[-1]
    assert 10 * np.log10(np.mean(exact**2) / np.mean((exact - found) ** 2)) > 28


def test_parameters_go_from_layer_to_layer():
    quantized = quantize_network(small_network(), images(0))
    for first, second in pairwise(quantized):
        assert first.y == second.x
    kinds = [type(layer).__name__ for layer in quantized]
    assert kinds == [
        "QuantConv", "QuantTable", "QuantAdd", "QuantMultiply", "QuantConcat", "QuantSelection",
        "QuantAveragePool", "QuantAveragePool", "QuantSelection", "QuantDense",
    ]  # fmt: skip
    concat = quantized[4]
    assert concat.ends == [concat.x, concat.y, concat.y]


def test_one_grid_for_each_layer():
    network = [conv(np.random.default_rng(0), 4, 3), Table("tanh"), AveragePool(), Softmax()]
    grids = [INT8, INT4, UINT8, INT16]
    quantized = quantize_network(network, images(0), grids, [INT4, INT8, INT8, INT8])
    assert [layer.x.grid for layer in quantized] == grids
    assert quantized[-1].y.grid == INT16
    assert quantized[0].w.grid == INT4
    with pytest.raises(ValueError, match="grid must be one IntGrid, or 4"):
        quantize_network(network, images(0), grids[:3])


@pytest.mark.parametrize("y_scale", [0.5, 1.0, 0.25])
def test_ties_agree_where_scales_are_the_same(y_scale):
    """Averages, sums and products of codes hit ties all the time if scales are powers of two apart."""
    rng, y = np.random.default_rng(0), QuantParams(y_scale, -2, INT8)
    q = rng.integers(-128, 128, (4, 6, 6, 6)).astype(np.int8)
    x, w = QuantParams(0.5, 3, INT8), QuantParams(0.25, 0, INT8)
    reals = dequantize(q, x, dtype=np.float64)
    for layer in (
        QuantAveragePool(AveragePool(2), x, y),
        QuantAveragePool(AveragePool((2, 3), 1), x, y),
        QuantAveragePool(AveragePool(), x, y),
        QuantAdd(Add(((), ())), x, ((), ()), y),
        QuantConcat(Concat(((), ())), x, ((), ()), y),
        QuantMultiply(Multiply(((), ())), x, ((), ()), QuantParams(32 * y_scale, 1, INT8)),
        QuantConv(Conv(rng.integers(-9, 9, (3, 6, 2, 2)) / 16, np.zeros(3)), x, w, y),
    ):
        np.testing.assert_array_equal(layer.fake(reals), layer.decode(layer.integer(q)))


@given(st.integers(0, 2**32), st.sampled_from([(0.1, 0.1), (0.1, 0.3), (0.01, 0.07)]))
@settings(max_examples=30)
def test_a_sum_of_two_scales_in_fractions(seed, scales):
    """Each code is the exact sum rounded once, unless it lies as near to a tie as a multiplier's error."""
    rng = np.random.default_rng(seed)
    x, y = QuantParams(scales[0], 5, INT8), QuantParams(0.21, -7, INT8)
    branch = QuantConv(Conv([[[[1.0]]]], [0.0]), x, PLAIN, QuantParams(scales[1], 9, INT8))
    layer = QuantAdd(Add(((), (branch.conv,))), x, ((), (branch,)), y)
    q = rng.integers(-128, 128, (1, 1, 5, 5)).astype(np.int8)
    terms = (q.astype(int) - 5, branch.integer(q).astype(int) - 9)
    columns = (t.ravel().tolist() for t in (*terms, layer.integer(q)))
    for a, b, found in zip(*columns, strict=True):
        exact = (a * Fraction(scales[0]) + b * Fraction(scales[1])) / Fraction(0.21)
        if abs(abs(exact - math.floor(exact)) - Fraction(1, 2)) > Fraction(1, 2**20):
            assert found == min(max(round(exact) - 7, -128), 127)


def test_softmax_goes_along_the_last_axis():
    x = np.array([[[0.0, 1.0], [1000.0, 1001.0]], [[-1000.0, -1001.0], [5.0, 5.0]], [[0.0, 9.0], [3.0, 1.0]]])
    np.testing.assert_allclose(Softmax()(x)[:2, :, 0], [[1 / (1 + math.e)] * 2, [1 / (1 + 1 / math.e), 0.5]])
    layer = QuantSoftmax(Softmax(), QuantParams(0.1, 3, INT8), QuantParams(2**-8, 0, UINT8))
    q = np.random.default_rng(0).integers(-128, 128, (4, 3, 5))
    rows = layer.integer(q.reshape(12, 5)).reshape(4, 3, 5)
    np.testing.assert_array_equal(layer.integer(q), rows)
    np.testing.assert_array_equal(layer.fake(dequantize(q, layer.x, dtype=np.float64)), layer.decode(rows))


@pytest.mark.parametrize("grid", [INT8, INT8_NARROW, UINT8, IntGrid(-3, 4)], ids=str)
def test_a_table_on_any_grid(grid):
    layer = QuantTable(Table("gelu"), QuantParams(0.3, grid.qmin + 2, grid), QuantParams(0.01, 3, INT16))
    q = np.arange(grid.qmin, grid.qmax + 1)
    reals = Table("gelu")(dequantize(q, layer.x, dtype=np.float64))
    np.testing.assert_array_equal(layer.integer(q), quantize(reals, layer.y))


def test_a_normalization_of_rows():
    rng = np.random.default_rng(5)
    last, x = norm(rng, 4, relu=True), rng.normal(size=(9, 3))
    dense = Dense(rng.normal(size=(4, 3)), rng.normal(size=4))
    wanted = (dense(x) - last.mean) / np.sqrt(last.var + last.eps) * last.gamma + last.beta
    np.testing.assert_allclose(last(dense(x)), np.maximum(wanted, 0), atol=1e-12)
    (folded,) = fold([dense, last])
    np.testing.assert_allclose(folded(x), np.maximum(wanted, 0), atol=1e-12)


def test_softmax_sums_to_one_and_agrees_with_the_floats():
    rng = np.random.default_rng(0)
    x, y = QuantParams(0.1, 5, INT8), QuantParams(2.0**-8, -128, INT8)
    layer = QuantSoftmax(Softmax(), x, y)
    q = rng.integers(-128, 128, (50, 10)).astype(np.int8)
    reals = dequantize(q, x, dtype=np.float64)
    shares = layer.decode(layer.integer(q))
    np.testing.assert_array_equal(layer.fake(reals), shares)
    np.testing.assert_allclose(shares, np.minimum(Softmax()(reals), 255 / 256), atol=2.0**-9 + 2.0**-14)
    np.testing.assert_array_equal(shares.argmax(axis=1), Softmax()(reals).argmax(axis=1))
    assert (layer.powers.size, layer.powers[0], layer.powers.flags.writeable) == (256, 2**15, False)
    whole = quantize_network(
        [Dense(rng.normal(size=(4, 3)), np.zeros(4)), Softmax()], rng.normal(size=(20, 3))
    )
    assert differing(whole, rng.normal(size=(200, 3))) == [0, 0, 0]


def test_a_float_bias_reaches_the_branches():
    layer = Conv([[[[1.0]]]], [0.3])
    (add,) = quantize_network([Add(((), (layer,)))], [[[[0.0, 2.0]]]], weight_grid=INT4)
    coarse = QuantConv(layer, PLAIN, QuantParams(1.0, 0, INT4), QuantParams(0.1, 0, INT8))
    whole = QuantAdd(add.layer, PLAIN, ((), (coarse,)), QuantParams(0.1, 0, INT8))
    np.testing.assert_allclose(whole.fake([[[[1.0]]]]), [[[[2.0]]]])
    np.testing.assert_allclose(whole.fake([[[[1.0]]]], float_bias=True), [[[[2.3]]]])


def test_weights_are_decoded_in_float64():
    """3 * 0.1 and 7 * 0.1 as float64 has them, also of a weight in float32."""
    dense = Dense(np.float32([[0.3, 0.7]]), [0.0])
    layer = QuantDense(dense, PLAIN, QuantParams(0.1, 0, INT8))
    found = layer.fake([[1.0, 0.0], [0.0, 1.0]], float_bias=True)
    np.testing.assert_array_equal(found, np.array([[3 * 0.1], [7 * 0.1]]))


def test_float_biases_part_the_forms():
    network = quantize_network(small_network(), images(0))
    fake = run_fake(network, images(100), float_bias=True)
    exact = run_fake(network, images(100))
    assert (fake[1] != exact[1]).any()
    assert (fake[3] != exact[3]).any()


def test_blocked_weights_run_fake():
    network = quantize_network(small_network(), images(0), weight_grid=INT4, axis=1, block_size=4)
    out, exact = run_fake(network, images(100))[-1], run_float(small_network(), images(100))[-1]
    assert 10 * np.log10(np.mean(exact**2) / np.mean((exact - out) ** 2)) > 8
    with pytest.raises(ValueError, match="the weight has a scale for each block of 4 values"):
        run_integer(network, quantize(images(100), network[0].x))


def test_no_images():
    network = quantize_network(small_network(), images(0))
    assert run_integer(network, np.empty((0, 3, 17, 17), np.int8))[-1].shape == (0, 5)
    assert run_fake(network, np.empty((0, 3, 17, 17)))[-1].shape == (0, 5)


# --- a real network -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def lines():
    return load_text_direction()


def test_the_lines_of_text_are_split_in_two(lines):
    assert (len(lines.images), len(lines.turned)) == (64, 64)
    assert (len(lines.heldout), len(lines.heldout_turned)) == (400, 400)
    answers = run_float(lines.network, lines.images[:16])[-1].argmax(axis=1)
    assert np.mean(answers == lines.turned[:16]) > 0.9


def test_the_text_direction_classifier_in_three_forms(lines):
    """PaddleOCR's network: the three forms agree on every code, and with the float network's answers."""
    x = lines.heldout[:24]
    network = quantize_network(lines.network, lines.images[:24], UINT8)
    assert differing(network, x) == [0] * (len(network) + 1)
    exact, found = run_float(lines.network, x)[-1], run_fake(network, x)[-1]
    assert np.mean(exact.argmax(axis=1) == lines.heldout_turned[:24]) > 0.9
    np.testing.assert_array_equal(found.argmax(axis=1), exact.argmax(axis=1))


def test_the_folded_classifier_computes_the_same(lines):
    folded, x = fold(lines.network), lines.heldout[:6]
    assert len(folded) == 34
    np.testing.assert_allclose(run_float(folded, x)[-1], run_float(lines.network, x)[-1], rtol=0, atol=1e-12)


def test_the_float_network_is_the_model_file(lines):
    onnxruntime = pytest.importorskip("onnxruntime")
    path = Path(samples.__file__).with_name("text_direction.onnx")
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (theirs,) = session.run(None, {"x": lines.heldout[:12]})
    ours = run_float([*lines.network, Softmax()], lines.heldout[:12])[-1]
    np.testing.assert_allclose(ours, theirs, atol=1e-5)


# --- folding ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
def test_folding_changes_nothing(seed):
    network, x = small_network(seed), images(seed)
    folded = fold(network)
    np.testing.assert_allclose(run_float(folded, x)[-1], run_float(network, x)[-1], rtol=0, atol=1e-12)
    assert len(folded) == len(network) - 1
    assert not any(isinstance(layer, BatchNorm) for layer in (*folded, *folded[2].branches[1]))
    assert fold(folded)[0] is folded[0]


def test_what_does_not_fold():
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="before it, there is nothing"):
        fold([norm(rng, 3), conv(rng, 2, 3)])
    with pytest.raises(ValueError, match="before it, there is Table"):
        fold([conv(rng, 2, 3), Table("relu"), norm(rng, 2)])
    with pytest.raises(ValueError, match="does not fold through the ReLU"):
        fold([conv(rng, 2, 3, relu=True), norm(rng, 2)])
    with pytest.raises(ValueError, match="there is nothing"):
        quantize_network([conv(rng, 2, 3), Add(((), (norm(rng, 2),)))], images(0))


# --- no floats ----------------------------------------------------------------------------------------------


def plain(value):
    return value.view(np.ndarray) if isinstance(value, IntegersOnly) else value


def set_trap(monkeypatch):
    """Every array that takes part refuses floats; BLAS, which multiplies floats, is replaced by NumPy."""
    as_integers = integer.as_integers

    def wrapped(x, *arguments):
        return IntegersOnly.of(as_integers(plain(x), *map(plain, arguments)))

    monkeypatch.setattr(integer, "_products", np.matmul)
    monkeypatch.setattr(integer, "_exact_type", lambda bound: np.int64)
    monkeypatch.setattr(integer, "as_integers", wrapped)
    monkeypatch.setattr(base, "as_integers", wrapped)


def test_no_float_between_the_codes(monkeypatch):
    network = [*small_network(), Softmax()]
    network = quantize_network(network, images(0))
    codes = quantize(images(100), network[0].x)
    wanted = run_integer(network, codes)  # makes weights, biases, tables and multipliers
    set_trap(monkeypatch)
    for found, q in zip(run_integer(network, codes)[1:], wanted[1:], strict=True):
        np.testing.assert_array_equal(plain(found), q)


SUMS = [QuantAdd, QuantMultiply, QuantConcat]


@pytest.mark.parametrize("layer", [QuantTable, QuantAveragePool, QuantSoftmax, *SUMS])
def test_the_trap_snaps(layer, monkeypatch):
    """Where a layer's integers are multiplied with a float, as its fake form does."""
    network = quantize_network([*small_network(), Softmax()], images(0))
    codes = quantize(images(100), network[0].x)
    run_integer(network, codes)
    set_trap(monkeypatch)

    def through_floats(self, q):
        codes = base.as_integers(q, "q", -128, 127)
        return self.fake((codes - self.x.zero_point) * self.x.scale)

    monkeypatch.setattr(layer, "integer", through_floats)
    with pytest.raises(FloatUsed):
        run_integer(network, codes)


# --- what is refused ----------------------------------------------------------------------------------------

ONE = Conv(np.ones((2, 3, 1, 1)), np.zeros(2))
E4 = QuantParams(0.5, 0, E4M3)
BARE = QuantConv(ONE, P8, P8)
EACH = QuantParams([0.5, 0.5], [0, 0], INT8, axis=1)


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        (lambda: Conv([[1.0]], [0.0]), ValueError, "weight must have shape \\(outputs, channels / groups"),
        (lambda: Conv(np.ones((2, 1, 1, 1)), [0.0]), ValueError, r"got \(2, 1, 1, 1\) and \(1,\)"),
        (lambda: Conv(np.ones((2, 1, 1, 1), str), [0.0]), TypeError, "weight must hold real numbers"),
        (lambda: Conv(np.ones((2, 1, 1, 1)), [0.0, 0.0], groups=3), ValueError, "does not fit 3 groups"),
        (lambda: Conv(np.ones((2, 1, 1, 1)), [0.0, 0.0], groups=1.5), TypeError, "groups must be an"),
        (lambda: Conv(np.ones((2, 1, 1, 1)), [0.0, 0.0], groups=0), ValueError, "groups must be at least 1"),
        (lambda: Conv(np.ones((2, 1, 1, 1)), [0.0, 0.0], strides=0), ValueError, "strides must be at least"),
        (lambda: ONE(np.ones((1, 2, 4, 4))), ValueError, "x has 2 channels and weight 2 outputs of 3"),
        (lambda: ONE(np.ones((3, 4, 4))), ValueError, "x must have shape"),
        (lambda: ONE([["a"]]), TypeError, "x must hold real numbers"),
        (lambda: QuantConv(Dense([[1.0]], [0.0]), P8, P8), TypeError, "conv must be a Conv, got Dense"),
        (lambda: QuantConv(ONE, EACH, P8), ValueError, "x must be per tensor"),
        (lambda: QuantConv(ONE, P8, EACH), ValueError, "w must be per tensor, or have axis=0"),
        (lambda: QuantConv(ONE, P8, P8, EACH), ValueError, "y must be per tensor"),
        (lambda: QuantConv(ONE, P8, 0.5), TypeError, "w must be a QuantParams, got float"),
        (lambda: MaxPool(0), ValueError, "kernel must be at least 1"),
        (lambda: MaxPool(2, 1, 2), ValueError, "pads must be smaller than the kernel, got 2 and 2"),
        (lambda: MaxPool((3, 1), 1, 1), ValueError, "pads must be smaller than the kernel"),
        (lambda: MaxPool(2)(np.ones((2, 2))), ValueError, "x must have shape \\(images"),
        (lambda: MaxPool(5)(np.ones((1, 1, 4, 4))), ValueError, "does not fit data of"),
        (lambda: AveragePool(2, 1, 2), ValueError, "pads must be smaller than the kernel"),
        (lambda: AveragePool(strides=2), ValueError, "strides and pads need a kernel"),
        (lambda: AveragePool()(np.ones(3)), ValueError, "x must have shape"),
        (lambda: Flatten()([1.0]), ValueError, "x must have at least two axes"),
        (lambda: Table("hardswish"), ValueError, "function must be one of relu, hard-swish"),
        (lambda: Table(3), TypeError, "function must be a name or a callable, got 3"),
        (lambda: Table(np.sum)([1.0, 2.0]), ValueError, r"must return the shape it gets, \(2,\)"),
        (lambda: Table("relu")(["a"]), TypeError, "x must hold real numbers"),
        (lambda: Softmax()(np.empty((3, 0))), ValueError, "x needs a last axis"),
        (lambda: Add(((),)), ValueError, "branches must be at least two, got 1"),
        (lambda: Multiply(((), (), ())), ValueError, "branches must be two, got 3"),
        (lambda: Multiply(((), (MaxPool(2),)))(np.ones((1, 3, 4, 4))), ValueError, "do not broadcast"),
        (lambda: Add((ONE, ())), TypeError, "branches must be a tuple of tuples of layers"),
        (lambda: Concat(((), ("relu",))), TypeError, "branches must be a tuple of tuples of layers"),
        (lambda: Add(((), (ONE,)))(np.ones((1, 3, 4, 4))), ValueError, "outputs of one shape, got"),
        (lambda: Concat(((), (MaxPool(2),)))(np.ones((1, 3, 4, 4))), ValueError, "one shape but for axis 1"),
        (lambda: BatchNorm([1.0], [1.0], [1.0], [-1.0]), ValueError, "var \\+ eps must be positive"),
        (lambda: BatchNorm([1.0], [1.0, 2.0], [1.0], [1.0]), ValueError, "beta must have shape"),
        (lambda: BatchNorm([1.0], [1.0], [1.0], [1.0])(np.ones((2, 3))), ValueError, "must have 1 channels"),
        (lambda: QuantTable(Table("relu"), P8, E4), TypeError, "y must have an IntGrid, got E4M3"),
        (lambda: QuantConv(ONE, E4, P8), TypeError, "x must have an IntGrid, got E4M3"),
        (lambda: QuantConv(ONE, P8, E4), TypeError, "w must have an IntGrid, got E4M3"),
        (lambda: QuantTable("relu", P8, P8), TypeError, "layer must be a Table, got str"),
        (lambda: QuantTable(Table("relu"), P8, None), TypeError, "y must be a QuantParams, got NoneType"),
        (lambda: QuantTable(Table("relu"), P8, P8).integer([300]), ValueError, "q must lie in"),
        (lambda: QuantTable(Table("relu"), P8, P8).integer([1.0]), TypeError, "q must hold integers"),
        (lambda: QuantAveragePool(AveragePool(), EACH, P8), ValueError, "x must be per tensor"),
        (lambda: QuantAdd(Add(((), ())), P8, ((), (BARE,)), P8), TypeError, "the output of a branch must be"),
        (lambda: finetune([BARE], [[1.0]], [0]), TypeError, "network must be a sequence of QuantDense"),
    ],
)  # fmt: skip
def test_what_is_refused(wrong, error, message):
    with pytest.raises(error, match=message):
        wrong()


def test_a_function_that_gives_nan_has_no_table():
    with pytest.raises(ValueError, match="NaN"):
        QuantTable(Table(lambda x: x * np.nan), P8, P8).integer([1])


def test_fake_quantized_reals_are_those_of_the_codes():
    x = images(3)
    np.testing.assert_array_equal(
        run_fake(quantize_network(small_network(), x), x)[0],
        fake_quantize(x, quantize_network(small_network(), x)[0].x, dtype=np.float64),
    )
