"""One description of a network, three forms: what they share, where they agree, which is all integers."""

import math
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from integers_only import FloatUsed, IntegersOnly

from quantnotes import (
    INT8,
    INT8_NARROW,
    UINT8,
    IntGrid,
    QuantParams,
    asymmetric_params,
    dequantize,
    integer,
    minmax_range,
    quantize,
    samples,
    shortest_range,
    symmetric_params,
)
from quantnotes.network import (
    PER_OUTPUT,
    PER_TENSOR,
    Dense,
    QuantDense,
    calibrate_by,
    load_digits,
    quantize_network,
    run_fake,
    run_float,
    run_integer,
)

SEEDS = range(6)
P8 = QuantParams(0.5, 3, INT8)
PER_TENSOR_WEIGHT = calibrate_by("minmax", "symmetric")
SYMMETRIC = calibrate_by("minmax", "symmetric")

every_seed = pytest.mark.parametrize("seed", SEEDS)


def bits_of(bits, signed=True):
    """The grids of a network of so many bits: of activations and of weights."""
    return IntGrid.of(bits, signed), IntGrid.of(bits, narrow=True)


def right(scores, digits):
    return scores.argmax(axis=1) == digits.heldout_labels


def differing_codes(network, x, **options):
    """How many codes of every activation differ between the fake-quantized form and the integers."""
    fake = run_fake(network, x, **options)
    codes = run_integer(network, quantize(x, network[0].x))
    decoded = [dequantize(codes[0], network[0].x, dtype=np.float64)]
    decoded += [layer.decode(q) for layer, q in zip(network, codes[1:], strict=True)]
    return [int(np.count_nonzero(a != b)) for a, b in zip(fake, decoded, strict=True)]


# --- the float form -----------------------------------------------------------------------------------------


def test_a_dense_layer_by_hand():
    layer = Dense([[1, -1], [0, 2], [3, 0]], [0.5, -9, 0], relu=True)
    assert layer([[2, 1], [0, 3]]).tolist() == [[1.5, 0, 6], [0, 0, 0]]
    assert Dense([[1, -1]], [-3])([[2, 1]]).tolist() == [[-2]]


def test_run_float_returns_every_activation():
    network = [Dense([[1.0], [2.0]], [0.0, -1.0], relu=True), Dense([[1.0, -1.0]], [0.25])]
    seen = run_float(network, np.array([[1.0], [-1.0]], np.float32))
    assert [x.tolist() for x in seen] == [[[1], [-1]], [[1, 1], [0, 0]], [[0.25], [0.25]]]
    assert {x.dtype for x in seen} == {np.dtype(np.float64)}


@pytest.mark.parametrize(
    ("weight", "bias", "message"),
    [([1.0], [1.0], r"weight must have shape"), ([[1.0, 2.0]], [1.0, 2.0], r"got \(1, 2\) and \(2,\)")],
)
def test_shapes_that_do_not_fit(weight, bias, message):
    with pytest.raises(ValueError, match=message):
        Dense(weight, bias)


def test_layers_take_rows_of_their_own_width():
    with pytest.raises(ValueError, match=r"x must have shape \(rows, 2\), got \(2,\)"):
        Dense([[1.0, 2.0]], [0.0])([1.0, 2.0])
    with pytest.raises(ValueError, match=r"x must have shape \(rows, 2\), got \(1, 3\)"):
        run_float([Dense(np.ones((3, 1)), np.zeros(3)), Dense([[1.0, 2.0]], [0.0])], [[1.0]])
    with pytest.raises(TypeError, match="weight must hold real numbers"):
        Dense([["a"]], [0.0])


def test_the_arrays_are_copied_and_read_only():
    """The three forms share one description: no array of it can be changed under the others."""
    weight, bias = np.array([[1.0, -1.0]]), np.array([0.5])
    dense = Dense(weight, bias)
    layer = QuantDense(dense, P8, QuantParams(0.5, 0, INT8))
    before = layer.codes.tolist(), layer.bias.tolist()
    weight[...], bias[...] = 7, 7
    assert (dense.weight.tolist(), dense.bias.tolist()) == ([[1.0, -1.0]], [0.5])
    assert (layer.codes.tolist(), layer.bias.tolist()) == before
    assert (weight.flags.writeable, bias.flags.writeable) == (True, True)
    for array in (dense.weight, dense.bias, layer.codes, layer.bias):
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 5


# --- parameters ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(6))
def test_the_digits_are_split_in_two(seed):
    """What a network was trained on it nearly always gets right; and both parts make the whole."""
    digits = load_digits(seed)
    assert (len(digits.images), len(digits.heldout)) == (1197, 600)
    answers = run_float(digits.network, digits.images)[-1].argmax(axis=1)
    assert np.mean(answers == digits.labels) > 0.995
    rows = np.sort(np.concatenate([digits.images, digits.heldout]), axis=0)
    np.testing.assert_array_equal(rows, np.sort(samples.load("digits_images"), axis=0) / np.float32(16))


def test_activations_are_calibrated_on_the_float_network():
    digits = load_digits()
    network = quantize_network(digits.network, digits.images)
    seen = run_float(digits.network, digits.images)
    assert [layer.x for layer in network] == [asymmetric_params(*minmax_range(x)) for x in seen[:-1]]
    assert all(first.y is second.x for first, second in pairwise(network))
    assert network[-1].y is None
    for layer, dense in zip(network, digits.network, strict=True):
        assert layer.bias.dtype == np.int32
        ends = minmax_range(dense.weight, axis=0)
        assert layer.w == symmetric_params(*ends, INT8_NARROW, axis=0)
        assert layer.dense is dense


def test_any_range_function_scheme_and_grid():
    digits = load_digits()
    network = quantize_network(
        digits.network,
        digits.images,
        [UINT8, IntGrid.of(4), IntGrid.of(3)],
        [IntGrid.of(2), IntGrid.of(5), INT8],
        activations=lambda x, grid: asymmetric_params(*shortest_range(x), grid),
        weights=lambda w, grid: symmetric_params(*minmax_range(w), grid),
    )
    assert [layer.x.grid for layer in network] == [UINT8, IntGrid.of(4), IntGrid.of(3)]
    assert [layer.w.grid for layer in network] == [IntGrid.of(2), IntGrid.of(5), INT8]
    assert network[0].y == asymmetric_params(
        *shortest_range(run_float(digits.network, digits.images)[1]), IntGrid.of(4)
    )
    assert network[2].w == symmetric_params(*minmax_range(digits.network[2].weight), INT8)


def test_a_scale_is_raised_where_the_bias_would_leave_int32():
    """An output that training has switched off: weights of 1e-12, and a bias."""
    dense = [Dense([[1.0, 0.5], [1e-12, 0.0]], [0.25, -1.0])]
    (layer,) = quantize_network(dense, [[0.0, 0.0], [2.55, 1.0]])
    assert layer.x.scale == pytest.approx(0.01)
    assert layer.w.scale[0] == 1 / 127
    assert layer.bias[1] == -(2**28)
    assert layer.codes.tolist() == [[127, 64], [0, 0]]
    np.testing.assert_allclose(layer.fake([[1.0, 1.0]]), dense[0]([[1.0, 1.0]]), atol=0.02)
    (layer,) = quantize_network(dense, [[0.0, 0.0], [2.55e-9, 0.0]], weights=PER_TENSOR_WEIGHT)
    assert np.abs(layer.bias).max() <= 2**28


@pytest.mark.parametrize(
    ("grid", "weight_grid", "message"),
    [
        ([INT8] * 4, INT8, "grid must be one IntGrid, or 3, one for each layer; got 4"),
        (INT8, [INT8] * 2, "weight_grid must be one IntGrid, or 3, one for each layer; got 2"),
    ],
)
def test_one_grid_for_each(grid, weight_grid, message):
    digits = load_digits()
    with pytest.raises(ValueError, match=message):
        quantize_network(digits.network, digits.images, grid, weight_grid)


def test_no_layer_no_batch():
    with pytest.raises(ValueError, match="network is empty"):
        quantize_network([], [[1.0]])
    with pytest.raises(ValueError, match="nothing has been observed"):
        quantize_network([Dense([[1.0]], [0.0])], np.empty((0, 1)))


def test_channels_where_they_cannot_be():
    each = QuantParams([0.5, 0.5], [0, 0], INT8, axis=1)
    dense = Dense(np.ones((2, 2)), np.zeros(2))
    with pytest.raises(ValueError, match="x must be per tensor"):
        QuantDense(dense, each, P8, P8)
    with pytest.raises(ValueError, match="y must be per tensor"):
        QuantDense(dense, P8, P8, each)
    with pytest.raises(ValueError, match="or have axis=0, the outputs; got axis=1"):
        QuantDense(dense, P8, each, P8)


@pytest.mark.parametrize(
    ("axis", "block_size", "shape"),
    [
        (None, None, ()),
        (0, None, (64,)),
        (-2, None, (64,)),
        ((0,), None, (64,)),
        (1, 32, (64, 2)),
        (1, 24, (64, 3)),
        ((0, 1), (16, 32), (4, 2)),
    ],
)
def test_which_weights_share_a_scale(axis, block_size, shape):
    """The same as calibrating each weight alone; the first has shape (64, 64)."""
    digits = load_digits()
    network = quantize_network(
        digits.network, digits.images, weight_grid=INT8_NARROW, axis=axis, block_size=block_size
    )
    for layer in network:
        w = layer.dense.weight
        bounds = minmax_range(w, axis=axis, block_size=block_size)
        assert layer.w == symmetric_params(*bounds, INT8_NARROW, axis=axis, block_size=block_size)
    assert np.shape(network[0].w.scale) == shape
    if block_size is None:
        assert differing_codes(network, digits.heldout) == [0, 0, 0, 0]
    scores = run_fake(network, digits.heldout)[-1]
    assert right(scores, digits).mean() >= 0.96


def test_calibrate_by_takes_every_granularity():
    w = np.random.default_rng(0).normal(size=(6, 8))
    for axis, block_size in [(None, None), (0, None), ((0, 1), None), (1, 4), ((0, 1), (2, 4))]:
        params = calibrate_by("minmax", "symmetric", axis=axis, block_size=block_size)(w, INT8)
        bounds = minmax_range(w, axis=axis, block_size=block_size)
        assert params == symmetric_params(*bounds, INT8, axis=axis, block_size=block_size)
    weights = calibrate_by("mse", "symmetric", axis=1, block_size=16)
    digits = load_digits()
    network = quantize_network(digits.network, digits.images, weight_grid=IntGrid.of(4), weights=weights)
    assert np.shape(network[0].w.scale) == (64, 4)
    assert right(run_fake(network, digits.heldout)[-1], digits).mean() >= 0.96


def test_finer_groups_of_four_bit_weights_are_nearer_to_the_floats():
    digits = load_digits()
    exact, errors = run_float(digits.network, digits.heldout)[-1], []
    for block_size in (64, 16, 4):
        network = quantize_network(
            digits.network, digits.images, weight_grid=IntGrid.of(4), axis=1, block_size=block_size
        )
        errors.append(np.mean((run_fake(network, digits.heldout)[-1] - exact) ** 2))
    assert errors[0] > 1.5 * errors[1] > 1.5**2 * errors[2]


def test_blocked_weights_keep_a_float_bias():
    blocks = QuantParams([[0.5, 0.25]], [[0, 0]], INT8, axis=1, block_size=1)
    layer = QuantDense(Dense([[1.0, 0.6]], [0.3]), P8, blocks)
    np.testing.assert_allclose(layer.fake([[2.0, 1.0]]), [[2.0 + 0.5 + 0.3]])


# --- fake and integer ---------------------------------------------------------------------------------------


def test_a_layer_in_integers_by_hand():
    """acc = (4 - 3) 2 + (1 - 3) (-4) + 5 = 15 in units of 0.125; / 0.5 = 3.75 -> 4; + 3."""
    dense = Dense([[1.0, -2.0]], [0.6])
    layer = QuantDense(dense, P8, QuantParams(0.5, 0, INT8), P8)
    assert (layer.codes.tolist(), layer.bias.tolist()) == ([[2, -4]], [2])
    layer = QuantDense(dense, P8, QuantParams(0.25, 0, INT8), P8)
    assert (layer.codes.tolist(), layer.bias.tolist()) == ([[4, -8]], [5])
    acc = (4 - 3) * 4 + (1 - 3) * -8 + 5
    code = round(acc * Fraction(1, 8) / Fraction(1, 2)) + 3
    assert layer.integer([[4, 1]]).tolist() == [[code]] == [[9]]
    assert layer.fake([[0.5, -1.0]]).tolist() == [[0.5 * (9 - 3)]]


@pytest.mark.parametrize("z", [-128, -5, 0, 100, 127])
def test_the_clip_does_the_relu(z):
    params = QuantParams(0.25, z, INT8)
    dense = [Dense([[1.0], [-1.0]], [0.0, 0.0], relu=relu) for relu in (True, False)]
    with_relu, without = (QuantDense(d, P8, QuantParams(0.25, 0, INT8), params) for d in dense)
    q = np.arange(-128, 128)[:, None]
    np.testing.assert_array_equal(with_relu.integer(q), np.maximum(without.integer(q), z))
    assert with_relu.integer(q).dtype == np.int8
    real = dequantize(with_relu.integer(q), params)
    assert real.min() == 0


CASES = {
    "8 bits": (8, PER_TENSOR, PER_OUTPUT),
    "8 bits, symmetric, per tensor": (8, SYMMETRIC, PER_TENSOR_WEIGHT),
    "6 bits": (6, PER_TENSOR, PER_TENSOR_WEIGHT),
    "4 bits": (4, PER_TENSOR, PER_OUTPUT),
    "4 bits, symmetric": (4, SYMMETRIC, PER_OUTPUT),
    "3 bits, mse": (3, calibrate_by("mse"), calibrate_by("mse", "symmetric")),
    "2 bits": (2, PER_TENSOR, PER_TENSOR_WEIGHT),
    "asymmetric weights": (8, PER_TENSOR, calibrate_by("minmax", "asymmetric", axis=0)),
    "percentile": (5, calibrate_by("percentile", percentile=99.0), PER_OUTPUT),
}


@every_seed
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("signed", [True, False])
def test_fake_and_integer_agree_on_every_code(case, signed, seed):
    bits, activations, weights = CASES[case]
    digits = load_digits(seed)
    grids, weight_grid = bits_of(bits, signed)
    network = quantize_network(
        digits.network, digits.images, grids, weight_grid, activations=activations, weights=weights
    )
    assert differing_codes(network, digits.heldout) == [0, 0, 0, 0]


@every_seed
def test_a_float_bias_parts_them(seed):
    digits = load_digits(seed)
    network = quantize_network(digits.network, digits.images)
    first, *hidden, scores = differing_codes(network, digits.heldout, float_bias=True)
    assert first == 0
    assert 0 < sum(hidden) < 600 * (64 + 32) / 100
    assert scores > 0.99 * 6000
    fake = run_fake(network, digits.heldout, float_bias=True)
    codes = run_integer(network, quantize(digits.heldout, network[0].x))
    assert np.abs(quantize(fake[1], network[0].y) - codes[1].astype(int)).max() == 1


@st.composite
def networks(draw):
    """A network of random weights, widths and grids, with a batch to calibrate it on."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    widths = draw(st.lists(st.integers(1, 9), min_size=2, max_size=4))
    shapes = [(n, k) for k, n in pairwise(widths)]
    spreads = [2.0 ** draw(st.integers(-4, 4)) for _ in shapes]
    dense = [
        Dense(rng.normal(0, spread, shape), rng.normal(size=shape[0]), relu=draw(st.booleans()))
        for shape, spread in zip(shapes, spreads, strict=True)
    ]
    grids = [IntGrid.of(draw(st.integers(2, 8)), draw(st.booleans())) for _ in dense]
    weight_grids = [IntGrid.of(draw(st.integers(2, 8)), narrow=True) for _ in dense]
    batch = rng.normal(draw(st.sampled_from([0, 3])), 1, (20, widths[0]))
    method = draw(st.sampled_from(["minmax", "percentile", "mse"]))
    weights = draw(st.sampled_from([PER_OUTPUT, PER_TENSOR_WEIGHT, calibrate_by("minmax", axis=0)]))
    return quantize_network(
        dense, batch, grids, weight_grids, activations=calibrate_by(method), weights=weights
    ), batch  # fmt: skip


def near_a_tie(layer, q, where):
    """Is the real that one output stands for within the multiplier's 2**-31 of a tie?"""
    row, output = where
    codes = layer.codes.astype(int) - np.reshape(layer.w.zero_point, (-1, 1))
    acc = int((q[row].astype(int) - layer.x.zero_point) @ codes[output]) + int(layer.bias[output])
    sw = np.broadcast_to(layer.w.scale, len(codes))[output]
    real = acc * Fraction(layer.x.scale) * Fraction(float(sw)) / Fraction(layer.y.scale)
    return abs(abs(real - math.floor(real)) - Fraction(1, 2)) <= abs(real) * Fraction(1, 2**30)


@given(networks())
@settings(max_examples=60)
def test_fake_and_integer_agree_on_any_network(case):
    """Layer by layer from the same codes; one differs at most, by one, and where a tie is as near as m0."""
    network, x = case
    for layer, q in zip(network, run_integer(network, quantize(x, network[0].x)), strict=False):
        decoded = layer.decode(layer.integer(q))
        fake = layer.fake(dequantize(q, layer.x, dtype=np.float64))
        differing = np.argwhere(decoded != fake)
        assert all(layer.y and near_a_tie(layer, q, where) for where in differing)
        assert len(differing) <= 1


def test_what_leaves_int32_is_refused():
    grid = IntGrid.of(16)
    wide = quantize_network([Dense(np.ones((1, 9)), [0.0])], np.full((1, 9), 3.0), grid, grid)
    with pytest.raises(ValueError, match="1 of 1 results leave int32"):
        run_integer(wide, np.full((1, 9), grid.qmax))
    params = QuantParams(0.25, 0, INT8)
    layer = QuantDense(Dense([[1.0], [0.0]], [(2**31 - 500) / 16, 0.0]), params, params)
    assert layer.integer([[100]])[0, 0] == 2**31 - 500 + 100 * 4
    with pytest.raises(ValueError, match="1 of 2 results leave int32"):
        layer.integer([[127]])


def test_an_output_without_a_grid_is_the_accumulator():
    w = QuantParams([0.5, 0.125], [0, 0], INT8, axis=0)
    layer = QuantDense(Dense([[1.0], [-1.0]], [0.25, 0.0], relu=True), QuantParams(0.25, 1, INT8), w)
    assert layer.multiplier is None
    acc = layer.integer([[5], [-3]])
    assert acc.dtype == np.int32
    assert acc.tolist() == [[4 * 2 + 2, 0], [0, -4 * -8]]
    assert layer.decode(acc).tolist() == layer.fake([[1.0], [-1.0]]).tolist() == [[1.25, 0], [0, 1]]


def test_no_rows():
    network = quantize_network(load_digits().network, load_digits().images)
    assert [q.shape for q in run_integer(network, np.empty((0, 64), np.int8))] == [
        (0, 64), (0, 64), (0, 32), (0, 10)
    ]  # fmt: skip
    assert run_fake(network, np.empty((0, 64)))[-1].shape == (0, 10)


def test_codes_outside_the_grid_are_refused():
    network = quantize_network([Dense([[1.0]], [0.0])], [[1.0]], IntGrid.of(4))
    with pytest.raises(ValueError, match=r"qx must lie in -8\.\.7"):
        run_integer(network, [[8]])
    with pytest.raises(TypeError, match="integer"):
        run_integer(network, [[1.0]])


# --- integers alone -----------------------------------------------------------------------------------------


@pytest.fixture
def no_floats(monkeypatch):
    """Every array in `integer` refuses floats; its product, by BLAS in float64, is NumPy's integer one."""
    as_integers = integer.as_integers
    monkeypatch.setattr(integer, "_products", np.matmul)
    monkeypatch.setattr(
        integer, "as_integers", lambda *arguments: IntegersOnly.of(as_integers(*map(plain, arguments)))
    )


def plain(value):
    return value.view(np.ndarray) if isinstance(value, IntegersOnly) else value


def prepared(seed, **options):
    """A network whose weights, biases and multipliers are made, as before inference; its input; its codes."""
    digits = load_digits(seed)
    network = quantize_network(digits.network, digits.images, **options)
    codes = quantize(digits.heldout, network[0].x)
    return network, codes, run_integer(network, codes)


@pytest.mark.parametrize("weights", [PER_OUTPUT, PER_TENSOR_WEIGHT, calibrate_by("minmax", axis=0)])
def test_no_float_between_the_codes(weights, no_floats, request):
    network, codes, _ = prepared(0, weights=weights)
    seen = run_integer(network, IntegersOnly.of(codes))
    assert all(isinstance(q, IntegersOnly) for q in seen)
    request.getfixturevalue("monkeypatch").undo()
    for trapped, q in zip(seen, run_integer(network, codes), strict=True):
        np.testing.assert_array_equal(plain(trapped), q)


def test_the_trap_snaps(no_floats, monkeypatch):
    """Where the multiplier is a float, or BLAS multiplies."""
    layers, codes, _ = prepared(0)
    with monkeypatch.context() as patch:
        patch.setattr(
            "quantnotes.layers.weighted.requantize", lambda acc, m0, *_, axis: np.rint(acc * (m0 * 2.0**-31))
        )
        with pytest.raises(FloatUsed, match="multiply"):
            run_integer(layers, IntegersOnly.of(codes))
    monkeypatch.undo()
    monkeypatch.setattr(integer, "as_integers", lambda *arguments: IntegersOnly.of(arguments[0]))
    with pytest.raises(FloatUsed):
        run_integer(layers, IntegersOnly.of(codes))


def test_what_inference_needs_is_integer():
    network, _, _ = prepared(0)
    for layer in network[:-1]:
        m0, shift = layer.multiplier
        needed = [layer.codes, layer.bias, m0, shift, layer.x.zero_point, layer.y.zero_point]
        assert {np.asarray(value).dtype.kind for value in needed} == {"i"}
        assert (layer.codes.dtype, layer.bias.dtype, m0.dtype) == (np.int8, np.int32, np.int32)
    assert network[-1].multiplier is None


# --- accuracy -----------------------------------------------------------------------------------------------


@every_seed
@pytest.mark.parametrize("weights", [PER_OUTPUT, PER_TENSOR_WEIGHT])
@pytest.mark.parametrize("activations", [PER_TENSOR, SYMMETRIC])
def test_eight_bits_cost_half_a_point_at_most(seed, activations, weights):
    digits = load_digits(seed)
    network, _, codes = prepared(seed, activations=activations, weights=weights)
    exact = right(run_float(digits.network, digits.heldout)[-1], digits).mean()
    assert exact >= 0.97
    assert abs(right(network[-1].decode(codes[-1]), digits).mean() - exact) <= 0.005


@every_seed
def test_two_bits_and_one_scale_cost_nearly_everything(seed):
    digits = load_digits(seed)
    grids, weight_grid = bits_of(2)
    network = quantize_network(
        digits.network, digits.images, grids, weight_grid, weights=PER_TENSOR_WEIGHT
    )  # fmt: skip
    assert right(run_fake(network, digits.heldout)[-1], digits).mean() < 0.5


def test_no_such_seed():
    with pytest.raises(ValueError, match=r"seed must be one of 0, 1, \.\.\. 5, got 6"):
        load_digits(6)


# --- what is refused, and in which words --------------------------------------------------------------------

FLOAT = [Dense([[1.0, -1.0]], [0.5])]
QUANTIZED = quantize_network(FLOAT, [[1.0, 2.0]])
EACH = QuantParams([0.5, 0.5], [0, 0], INT8, axis=0)
BLOCKS = QuantParams([[0.5, 0.5]], [[0, 0]], INT8, axis=1, block_size=1)
MASKED = np.ma.masked_array([[1.0, 2.0]])
IS_MASKED = "x is a masked array: fill it or select its valid values first"
NOT_QUANTIZED = "network must be a sequence of QuantLayer, as quantize_network makes it; got "
NOT_FLOAT = "network must be a sequence of Layer, such as Dense, in floats; got "
REFUSED = [
    (lambda: run_fake(FLOAT, [[1.0, 2.0]]), TypeError, NOT_QUANTIZED + "one of Dense"),
    (lambda: run_integer(FLOAT, [[1, 2]]), TypeError, NOT_QUANTIZED + "one of Dense"),
    (lambda: run_integer(QUANTIZED[0], [[1, 2]]), TypeError, NOT_QUANTIZED + "QuantDense"),
    (lambda: run_fake([], [[1.0]]), ValueError, "network is empty: it needs one layer at least"),
    (lambda: run_float(QUANTIZED, [[1.0, 2.0]]), TypeError, NOT_FLOAT + "one of QuantDense"),
    (lambda: quantize_network(QUANTIZED, [[1.0, 2.0]]), TypeError, NOT_FLOAT + "one of QuantDense"),
    (
        lambda: quantize_network(FLOAT, [[1.0, 2.0]], 8),
        TypeError,
        "grid must be an IntGrid, such as IntGrid.of(8), or one for each layer; got 8",
    ),
    (
        lambda: quantize_network(FLOAT, [[1.0, 2.0]], weight_grid=4),
        TypeError,
        "weight_grid must be an IntGrid, such as IntGrid.of(8), or one for each layer; got 4",
    ),
    (
        lambda: quantize_network(FLOAT, [[1.0, 2.0]], [8]),
        TypeError,
        "grid must be an IntGrid, such as INT8, got 8",
    ),
    (
        lambda: quantize_network(FLOAT, [[1.0, 2.0]], weights="minmax"),
        TypeError,
        "weights must be a function such as calibrate_by makes, got 'minmax'",
    ),
    (
        lambda: quantize_network(FLOAT, [[1.0, 2.0]], activations=lambda x, grid: (0.5, 0)),
        TypeError,
        "x must be a QuantParams, got tuple",
    ),
    (
        lambda: quantize_network(FLOAT, [[1.0, 2.0]], weights=lambda x, grid: (0.5, 0)),
        TypeError,
        "w must be a QuantParams, got tuple",
    ),
    (
        lambda: quantize_network(FLOAT, [[1.0, 2.0]], weights=calibrate_by("minmax", axis=1)),
        ValueError,
        "w must be per tensor, or have axis=0, the outputs; got axis=1",
    ),
    (
        lambda: quantize_network(FLOAT, [[1.0, 2.0]], activations=calibrate_by("minmax", axis=1)),
        ValueError,
        "x must be per tensor: an activation has one scale for all its channels",
    ),
    (lambda: QuantDense(FLOAT[0], P8, EACH), ValueError, "w must have a scale for each of 1 outputs, got 2"),
    (
        lambda: QuantDense(Dense(np.ones((2, 2)), np.zeros(2)), P8, BLOCKS),
        ValueError,
        "w must have a scale for each of the blocks of (2, 2), got 2",
    ),
    (
        lambda: run_integer([QuantDense(FLOAT[0], P8, BLOCKS)], [[1, 2]]),
        ValueError,
        "the weight has a scale for each block of 1 values, which stays inside the sum: there is no integer "
        "form; use run_fake",
    ),
    (
        lambda: quantize_network(FLOAT, [[1.0, 2.0]], weights=PER_OUTPUT, axis=1, block_size=2),
        ValueError,
        "weights decides which values share a scale: pass axis and block_size to it instead",
    ),
    (lambda: run_float(FLOAT, [["1", "2"]]), TypeError, "x must hold real numbers, got dtype <U1"),
    (lambda: run_float(FLOAT, [[1j, 2]]), TypeError, "x must hold real numbers, got dtype complex128"),
    (lambda: run_float(FLOAT, MASKED), TypeError, IS_MASKED),
    (lambda: quantize_network(FLOAT, [["1", "2"]]), TypeError, "x must hold real numbers, got dtype <U1"),
    (lambda: quantize_network(FLOAT, [[1j, 2]]), TypeError, "x must hold real numbers, got dtype complex128"),
    (lambda: quantize_network(FLOAT, MASKED), TypeError, IS_MASKED),
    (lambda: QuantDense(QUANTIZED[0], P8, P8), TypeError, "dense must be a Dense, got QuantDense"),
    (lambda: QuantDense(FLOAT[0], 0.5, P8), TypeError, "x must be a QuantParams, got float"),
    (lambda: QuantDense(FLOAT[0], P8, P8, 0.5), TypeError, "y must be a QuantParams, got float"),
    (
        lambda: calibrate_by("min-max"),
        ValueError,
        "method must be one of minmax, histogram, percentile, mse, entropy, got 'min-max'",
    ),
    (lambda: calibrate_by("mse", keep=0.9), TypeError, "method 'mse' takes no keep"),
]


@pytest.mark.parametrize(("wrong", "error", "message"), REFUSED, ids=range(len(REFUSED)))
def test_what_is_refused_at_once(wrong, error, message):
    with pytest.raises(error) as caught:
        wrong()
    assert str(caught.value) == message
