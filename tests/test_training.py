"""Training with the rounding in the forward pass: the slope, the gradients, and what training gains."""

import json
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantnotes import INT2, INT4, INT8, IntGrid, QuantParams, fake_quantize, formats
from quantnotes.network import (
    Dense,
    QuantDense,
    calibrate_by,
    load_digits,
    quantize_network,
    run_fake,
)
from quantnotes.training import STEP, _gradients, _one_hot, finetune, straight_through

ORACLE = json.loads((Path(__file__).parent / "data" / "training_oracle.json").read_text(encoding="utf-8"))


def accuracy(network, digits):
    return np.mean(run_fake(network, digits.heldout)[-1].argmax(axis=1) == digits.heldout_labels)


# --- the slope ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "params",
    [QuantParams(0.5, 1, INT4), QuantParams([0.5, 0.25, 2.0], [0, 3, -8], INT4, axis=0)],
    ids=["per tensor", "per channel"],
)
def test_the_slope_is_one_where_nothing_is_clipped(params):
    x = np.random.default_rng(0).normal(0, 4, (3, 200))
    reals, slope = straight_through(x, params)
    np.testing.assert_array_equal(reals, fake_quantize(x, params, dtype=np.float64))
    scale, zero = np.reshape(params.scale, (-1, 1)), np.reshape(params.zero_point, (-1, 1))
    unclipped = np.rint(x / scale) + zero
    np.testing.assert_array_equal(slope, (unclipped >= -8) & (unclipped <= 7))
    assert 0 < slope.mean() < 1
    np.testing.assert_array_less(np.abs(reals - x)[slope], np.broadcast_to(scale * 0.5000001, x.shape)[slope])


def test_the_edge_is_where_rounding_leaves_the_grid():
    """Half a step beyond the last code; on the tie itself the even code decides: 3.5 -> 4, -4.5 -> -4."""
    x = [-2.26, -2.25, -1.6, 1.6, 1.74, 1.75, 1.76, 1e308]
    assert straight_through(x, QuantParams(0.5, 0, IntGrid(-4, 3)))[1].tolist() == [0, 1, 1, 1, 1, 0, 0, 0]
    assert straight_through([1e308], QuantParams(2.0**-120, 0, INT4))[1].tolist() == [False]


def test_the_edge_of_a_format_is_where_rounding_leaves_it():
    """E2M1 ends at 6; 7, half a step beyond, is a tie that would go to 8."""
    reals, slope = straight_through([-9, -6.9, -5.0, 0.0, 6.0, 6.9, 9], QuantParams(1.0, 0, formats.E2M1))
    assert slope.tolist() == [False, True, True, True, True, True, False]
    assert np.abs(reals).max() == 6


REAL_TYPES = ["float16", "float32", "float64", "longdouble", "int8", "int32", ml_dtypes.bfloat16]


@pytest.mark.parametrize("dtype", REAL_TYPES, ids=str)
@pytest.mark.parametrize("scale", [0.1, 0.3, 0.7, 1.0, 1e-3])
def test_ties_are_rounded_as_fake_quantize_rounds_them(dtype, scale):
    """0.05 / 0.1 is a tie in float32, and above one half in float64 if float32's 0.05 is divided there."""
    x = ((np.arange(-300, 300) + 0.5) * scale).astype(dtype)
    params = QuantParams(scale, 3, INT8)
    reals, slope = straight_through(x, params)
    np.testing.assert_array_equal(reals, fake_quantize(x, params, dtype=np.float64))
    wider = QuantParams(scale, 3, IntGrid.of(16))
    np.testing.assert_array_equal(slope, reals == fake_quantize(x, wider, dtype=np.float64))
    assert slope.dtype == bool
    assert 0 < slope.mean() <= 1


@st.composite
def data_with_params(draw):
    """Data of any float type; parameters per tensor, along one axis or two, or in blocks of one or two."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    x = rng.normal(0, 2, (3, 4, 5)).astype(draw(st.sampled_from(["float16", "float32", "float64"])))
    axis, block_size, shape = draw(
        st.sampled_from(
            [
                (None, None, ()),
                (1, None, (4,)),
                (-1, None, (5,)),
                ((0, 2), None, (3, 5)),
                ((2, 0), None, (5, 3)),
                (2, 2, (3, 4, 3)),
                ((1, 2), 3, (3, 2, 2)),
                ((0, 1), (2, 4), (2, 1, 5)),
            ]
        )
    )
    scale, zero = 10.0 ** rng.uniform(-2, 0, shape), rng.integers(0, 15, shape, endpoint=True)
    return x, scale, zero, axis, block_size


@given(data_with_params())
def test_the_slope_of_every_granularity(case):
    """A wider grid has codes for what this one clips: there, and nowhere else, the results differ."""
    x, scale, zero, axis, block_size = case
    params = QuantParams(scale, zero, IntGrid(0, 15), axis, block_size)
    wider = QuantParams(scale, zero, IntGrid.of(16), axis, block_size)
    reals, slope = straight_through(x, params)
    np.testing.assert_array_equal(reals, fake_quantize(x, params, dtype=np.float64))
    np.testing.assert_array_equal(slope, reals == fake_quantize(x, wider, dtype=np.float64))
    assert reals.shape == slope.shape == x.shape


def test_numbers_infinities_and_what_has_no_slope():
    params = QuantParams(0.5, 0, INT4)
    reals, slope = straight_through(0.6, params)
    assert (float(reals), bool(slope), reals.shape, slope.shape) == (0.5, True, (), ())
    assert straight_through([-np.inf, np.inf], params)[1].tolist() == [False, False]
    assert [a.shape for a in straight_through(np.empty((0, 3)), params)] == [(0, 3), (0, 3)]
    with pytest.raises(TypeError, match="params must be a QuantParams, got tuple"):
        straight_through([1.0], (0.5, 0))
    with pytest.raises(TypeError, match="x must hold real numbers"):
        straight_through(["a"], params)
    with pytest.raises(TypeError, match="masked"):
        straight_through(np.ma.masked_array([1.0]), params)
    with pytest.raises(ValueError, match="1 NaN"):
        straight_through([np.nan], params)
    with pytest.raises(ValueError, match="the data have 2 channels along axis 0, params have 1"):
        straight_through([1.0, 2.0], QuantParams([0.5], [0], INT4, axis=0))


# --- gradients ----------------------------------------------------------------------------------------------


def surrogate(params, at):
    """The function whose true slope training uses: x plus the rounding error at `at`, constant if clipped."""
    reals, inside = straight_through(at, params)
    error = reals - at
    return lambda x: np.where(inside, x + error, reals)


def surrogate_loss(network, values, inputs, labels):
    """The mean cross-entropy as a smooth function of the weights and biases around `values`."""
    seen, functions = inputs, []
    for layer, w, b in zip(network, values[::2], values[1::2], strict=True):
        weight = surrogate(layer.w, w)
        out = seen @ weight(w).T + b
        out = np.maximum(out, 0) if layer.dense.relu else out
        output = surrogate(layer.y, out) if layer.y else (lambda x: x)
        seen = output(out)
        functions.append((weight, output))

    def loss(moved):
        seen = inputs
        for layer, (weight, output), w, b in zip(network, functions, moved[::2], moved[1::2], strict=True):
            out = seen @ weight(w).T + b
            seen = output(np.maximum(out, 0) if layer.dense.relu else out)
        return np.mean(np.log(np.exp(seen).sum(axis=1)) - seen[np.arange(len(seen)), labels])

    return loss


@pytest.mark.parametrize("last_relu", [False, True])
@pytest.mark.parametrize("bits", [2, 3, 8])
def test_gradients_by_finite_differences(bits, last_relu):
    """In float64; weights and activations are clipped, per tensor or with a scale for each output."""
    rng = np.random.default_rng(bits)
    sizes = [(5, 4), (4, 5), (3, 4)]
    dense = [
        Dense(rng.normal(size=s), rng.normal(size=s[0]), relu=i < 2 or last_relu) for i, s in enumerate(sizes)
    ]
    x, labels = rng.normal(size=(30, 4)), rng.integers(0, 3, 30)
    clip = {"percentile": 80.0}
    network = quantize_network(
        dense,
        x,
        IntGrid.of(bits),
        IntGrid.of(bits, narrow=True),
        activations=calibrate_by("percentile", "asymmetric", **clip),
        weights=calibrate_by("percentile", "symmetric", axis=0 if last_relu else None, **clip),
    )
    values = [a.copy() for layer in dense for a in (layer.weight, layer.bias)]
    inputs = fake_quantize(x, network[0].x, dtype=np.float64)
    loss = surrogate_loss(network, values, inputs, labels)
    found, step = _gradients(network, values, inputs, _one_hot(labels, 30, 3)), 1e-6
    clipped = 0
    for value, gradient in zip(values, found, strict=True):
        assert gradient.shape == value.shape
        for where in np.ndindex(value.shape):
            kept, ends = value[where], []
            for side in (step, -step):
                value[where] = kept + side
                ends.append(loss(values))
            value[where] = kept
            np.testing.assert_allclose(gradient[where], (ends[0] - ends[1]) / (2 * step), atol=1e-8)
            clipped += gradient[where] == 0
    assert clipped


def oracle_network(case):
    """The network of a frozen case: values, scales and zero points."""
    grid = IntGrid.of(case["bits"])
    x, w = ([QuantParams(s, z, grid) for s, z in case[name]] for name in ("inputs", "weights"))
    layers = zip(case["values"][::2], case["values"][1::2], strict=True)
    dense = [Dense(weight, bias, relu=i < 2) for i, (weight, bias) in enumerate(layers)]
    return [QuantDense(*parts) for parts in zip(dense, x, w, [*x[1:], None], strict=True)]


each_oracle = pytest.mark.parametrize("case", ORACLE, ids=lambda case: f"{case['bits']} bits")


@each_oracle
def test_gradients_are_pytorchs(case):
    """Its fake quantization uses the same estimator; tools/make_training_oracle.py made the numbers."""
    network = oracle_network(case)
    values = [a for layer in network for a in (layer.dense.weight, layer.dense.bias)]
    inputs = fake_quantize(case["x"], network[0].x, dtype=np.float64)
    found = _gradients(network, values, inputs, _one_hot(case["labels"], len(inputs), 3))
    for ours, theirs in zip(found, case["gradients"], strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-12)
    assert all(np.count_nonzero(np.equal(g, 0)) for g in case["gradients"][::2])


@each_oracle
def test_training_is_pytorchs_adam(case):
    """Every step on all rows; ours are rounded to multiples of 2**-20 after each."""
    network = oracle_network(case)
    options = {"learning_rate": case["learning_rate"], "batch_size": len(case["x"]), "epochs": case["steps"]}
    trained = finetune(network, case["x"], case["labels"], **options)
    values = [a for layer in trained for a in (layer.dense.weight, layer.dense.bias)]
    for ours, theirs in zip(values, case["trained"], strict=True):
        np.testing.assert_allclose(ours, theirs, atol=case["steps"] * STEP)


def test_what_is_clipped_gets_no_gradient():
    params = QuantParams(0.5, 0, INT2)  # -1 to 0.5
    dense = [Dense([[0.4, 3.0], [-0.2, -5.0]], [0.0, 0.0], relu=True), Dense(np.eye(2), [0.0, 0.0])]
    network = quantize_network(dense, np.eye(2), INT4, INT4)
    first = type(network[0])(dense[0], network[0].x, params, network[0].y)
    values = [a for layer in dense for a in (layer.weight, layer.bias)]
    gradient = _gradients([first, network[1]], values, np.ones((1, 2)), np.eye(2)[:1])[0]
    np.testing.assert_array_equal(gradient[:, 1], 0)
    assert gradient[0, 0] != 0


# --- fine-tuning --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=range(6))
def digits(request):
    return load_digits(request.param)


@pytest.mark.parametrize(
    ("bits", "weights", "before", "after"),
    [(3, calibrate_by("minmax", "symmetric"), 0.95, 0.93), (2, calibrate_by("mse", "symmetric"), 0.90, 0.85)],
    ids=["3 bits", "2 bits"],
)
def test_it_brings_few_bits_back(digits, bits, weights, before, after):
    grid, weight_grid = IntGrid.of(bits), IntGrid.of(bits, narrow=True)
    network = quantize_network(digits.network, digits.images, grid, weight_grid, weights=weights)
    trained = finetune(network, digits.images, digits.labels)
    assert accuracy(network, digits) < before
    assert accuracy(trained, digits) > max(accuracy(network, digits), after)
    for old, new in zip(network, trained, strict=True):
        assert (new.x, new.w, new.y) == (old.x, old.w, old.y)
        assert new.dense.relu == old.dense.relu
        assert np.mean(new.codes != old.codes) > 0.001


def small(seed=0):
    rng = np.random.default_rng(seed)
    dense = [
        Dense(rng.normal(size=(6, 8)), rng.normal(size=6), relu=True),
        Dense(rng.normal(size=(3, 6)), rng.normal(size=3)),
    ]
    x, labels = rng.normal(size=(50, 8)), rng.integers(0, 3, 50)
    return dense, x, labels


def two_orders():
    """The weights trained with the hidden outputs, and so the terms of the sums after them, in two orders."""
    digits = load_digits()
    first, *rest = digits.network
    order = np.random.default_rng(0).permutation(64)
    second = Dense(rest[0].weight[:, order], rest[0].bias, relu=True)
    shuffled = [Dense(first.weight[order], first.bias[order], relu=True), second, rest[1]]
    ours, theirs = (
        finetune(quantize_network(d, digits.images, INT4, INT4), digits.images, digits.labels, epochs=5)
        for d in (digits.network, shuffled)
    )
    return ours[0].dense.weight[order], theirs[0].dense.weight


def test_the_order_of_the_sums_does_not_matter(monkeypatch):
    """Another BLAS sums in another order: the weights stay equal, bit for bit, since they are rounded."""
    ours, theirs = two_orders()
    np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_array_equal(ours / STEP, np.rint(ours / STEP))
    monkeypatch.setattr("quantnotes.training.STEP", 2.0**-80)  # as good as none
    ours, theirs = two_orders()
    assert (ours != theirs).any()


def test_every_row_is_used_once_an_epoch(monkeypatch):
    dense, x, labels = small()
    x = x.astype(np.float32)  # the reals that codes stand for are float64 all the same
    network, seen = quantize_network(dense, x, INT4, INT4), []

    def spy(network, values, inputs, targets):
        seen.append(inputs)
        return _gradients(network, values, inputs, targets)

    monkeypatch.setattr("quantnotes.training._gradients", spy)
    finetune(network, x, labels, epochs=2, batch_size=16)
    assert [len(rows) for rows in seen] == [16, 16, 16, 2] * 2
    wanted = np.sort(fake_quantize(x, network[0].x, dtype=np.float64), axis=0)
    np.testing.assert_array_equal(np.sort(np.concatenate(seen[:4]), axis=0), wanted)


def test_the_seed_decides_the_order_and_nothing_is_changed():
    dense, x, labels = small()
    kept = [layer.weight.copy() for layer in dense]
    network = quantize_network(dense, x, INT4, INT4)
    first, again, other = (finetune(network, x, labels, batch_size=16, seed=s) for s in (0, 0, 1))
    np.testing.assert_array_equal(first[0].dense.weight, again[0].dense.weight)
    assert (first[0].dense.weight != other[0].dense.weight).any()
    for layer, weight in zip(network, kept, strict=True):
        np.testing.assert_array_equal(layer.dense.weight, weight)


def test_the_old_names_of_the_options_work_and_warn():
    dense, x, labels = small()
    network = quantize_network(dense, x, INT4, INT4)
    new = finetune(network, x, labels, learning_rate=0.01, batch_size=7)
    with pytest.warns(DeprecationWarning, match="rate has been renamed to learning_rate"):
        old = finetune(network, x, labels, rate=0.01, batch_size=7)
    np.testing.assert_array_equal(old[0].dense.weight, new[0].dense.weight)
    with pytest.warns(DeprecationWarning, match="rows has been renamed to batch_size"):
        old = finetune(network, x, labels, learning_rate=0.01, rows=7)
    np.testing.assert_array_equal(old[0].dense.weight, new[0].dense.weight)
    with pytest.raises(TypeError, match="unexpected keyword argument 'row'"):
        finetune(network, x, labels, row=7)


def test_an_old_name_warns_where_it_is_written():
    dense, x, labels = small()
    with pytest.warns(DeprecationWarning, match="rate has") as caught:
        finetune(quantize_network(dense, x), x, labels, rate=0.01, epochs=1)
    assert caught[0].filename == __file__


@pytest.mark.parametrize("one", [1, np.float32(1), np.int64(1)])
def test_any_number_is_a_learning_rate(one):
    dense, x, labels = small()
    network = quantize_network(dense, x, INT4, INT4)
    options = {"epochs": 1, "batch_size": np.int32(50)}
    found, wanted = (finetune(network, x, labels, learning_rate=rate, **options) for rate in (one, 1.0))
    np.testing.assert_array_equal(found[0].dense.weight, wanted[0].dense.weight)


@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        (np.empty((0, 8)), ValueError, "x has no rows: there is nothing to train on"),
        (np.ones((50, 7)), ValueError, r"x must have shape \(rows, 8\), got \(50, 7\)"),
        (np.ones(8), ValueError, r"x must have shape \(rows, 8\), got \(8,\)"),
        (np.full((50, 8), 1j), TypeError, "x must hold real numbers"),
        (np.full((50, 8), "a"), TypeError, "x must hold real numbers"),
        (np.ma.masked_array(np.ones((50, 8))), TypeError, "x is a masked array"),
    ],
)
def test_data_that_make_no_training(x, error, message):
    dense, good, labels = small()
    with pytest.raises(error, match=message):
        finetune(quantize_network(dense, good), x, labels[: len(x)])


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([0, 1], r"labels must have shape \(50,\)"),
        ([3] * 50, "labels must be 0 to 2"),
        ([0.5] * 50, "0 to 2"),
    ],
)
def test_labels_that_do_not_fit(labels, message):
    dense, x, _ = small()
    with pytest.raises(ValueError, match=message):
        finetune(quantize_network(dense, x), x, labels)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"epochs": -1}, ValueError, "epochs must be at least 1, got -1"),
        ({"epochs": 0}, ValueError, "epochs must be at least 1, got 0"),
        ({"epochs": True}, TypeError, "epochs must be an integer, got True"),
        ({"epochs": 1.5}, TypeError, "epochs must be an integer, got 1.5"),
        ({"batch_size": 0}, ValueError, "batch_size must be at least 1, got 0"),
        ({"learning_rate": -1e-3}, ValueError, "learning_rate must be positive and finite, got -0.001"),
        ({"learning_rate": 0}, ValueError, "learning_rate must be positive and finite, got 0"),
        ({"learning_rate": float("nan")}, ValueError, "learning_rate must be positive and finite, got nan"),
        (
            {"learning_rate": float("inf")},
            ValueError,
            "learning_rate must be positive and finite, got inf",
        ),
        ({"learning_rate": True}, TypeError, "learning_rate must be a number, got True"),
        ({"learning_rate": "fast"}, TypeError, "learning_rate must be a number, got 'fast'"),
    ],
)
def test_options_that_make_no_training(options, error, message):
    dense, x, labels = small()
    with pytest.raises(error) as caught:
        finetune(quantize_network(dense, x), x, labels, **options)
    assert str(caught.value) == message


def test_a_float_network_is_not_trained():
    dense, x, labels = small()
    with pytest.raises(TypeError, match="network must be a sequence of QuantDense"):
        finetune(dense, x, labels)
