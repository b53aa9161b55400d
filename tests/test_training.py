"""Training with the rounding in the forward pass: the slope it pretends, its gradients, and what it mends."""

import numpy as np
import pytest

from quantnotes import INT2, INT4, IntGrid, QuantParams, fake_quantize, quantize
from quantnotes.network import Dense, calibrate_by, load_digits, quantize_network, run_fake, run_float
from quantnotes.training import STEP, _gradients, _one_hot, finetune, straight_through


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


# --- gradients ----------------------------------------------------------------------------------------------


def loss(dense, x, labels):
    scores = run_float(dense, x)[-1]
    return np.mean(np.log(np.exp(scores).sum(axis=1)) - scores[np.arange(len(x)), labels])


@pytest.mark.parametrize("last_relu", [False, True])
def test_gradients_are_those_of_the_float_network_where_the_grid_is_fine(last_relu):
    """16 bits: rounding is nearly the identity, and finite differences are the oracle."""
    rng = np.random.default_rng(1)
    dense = [
        Dense(rng.normal(size=(5, 4)), rng.normal(size=5), relu=True),
        Dense(rng.normal(size=(4, 5)), rng.normal(size=4), relu=True),
        Dense(rng.normal(size=(3, 4)), rng.normal(size=3), relu=last_relu),
    ]
    x, labels = rng.normal(size=(30, 4)), rng.integers(0, 3, 30)
    fine = IntGrid.of(16)
    network = quantize_network(dense, 2 * x, fine, fine)  # a wide range: the largest value is not clipped
    values = [a for layer in dense for a in (layer.weight, layer.bias)]
    found = _gradients(
        network, values, fake_quantize(x, network[0].x, dtype=np.float64), _one_hot(labels, 30, 3)
    )
    step = 1e-5
    for value, gradient in zip(values, found, strict=True):
        assert gradient.shape == value.shape
        for where in np.ndindex(value.shape):
            kept, ends = value[where], []
            for side in (step, -step):
                value[where] = kept + side
                ends.append(loss(dense, x, labels))
            value[where] = kept
            np.testing.assert_allclose(gradient[where], (ends[0] - ends[1]) / (2 * step), atol=2e-3)


@pytest.mark.parametrize("bits", [2, 4])
def test_gradients_are_pytorchs(bits):
    """Its fake quantization uses the same estimator; here with clipped weights and activations."""
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(bits)
    sizes = [(6, 5), (4, 6), (3, 4)]
    dense = [Dense(rng.normal(size=s), rng.normal(size=s[0]), relu=i < 2) for i, s in enumerate(sizes)]
    x, labels = rng.normal(size=(40, 5)), rng.integers(0, 3, 40)
    clipped = calibrate_by("percentile", "asymmetric", percentile=80.0)
    network = quantize_network(
        dense, x, IntGrid.of(bits), IntGrid.of(bits), activations=clipped, weights=clipped
    )  # fmt: skip

    def fake(value, params):
        grid = params.grid
        return torch.fake_quantize_per_tensor_affine(
            value, params.scale, params.zero_point, grid.qmin, grid.qmax
        )

    inputs = fake_quantize(x, network[0].x, dtype=np.float64)
    values = [a for layer in dense for a in (layer.weight, layer.bias)]
    tensors = [torch.tensor(a, requires_grad=True) for a in values]
    out = torch.tensor(inputs)
    for layer, w, b in zip(network, tensors[::2], tensors[1::2], strict=True):
        out = out @ fake(w, layer.w).T + b
        out = torch.relu(out) if layer.dense.relu else out
        out = fake(out, layer.y) if layer.y else out
    torch.nn.functional.cross_entropy(out, torch.tensor(labels)).backward()
    found = _gradients(network, values, inputs, _one_hot(labels, 40, 3))
    for gradient, tensor in zip(found, tensors, strict=True):
        np.testing.assert_allclose(gradient, tensor.grad.numpy(), atol=1e-6)  # its S is float32


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


def test_the_seed_decides_the_order_and_nothing_is_changed():
    dense, x, labels = small()
    kept = [layer.weight.copy() for layer in dense]
    network = quantize_network(dense, x, INT4, INT4)
    first, again, other = (finetune(network, x, labels, rows=16, seed=s) for s in (0, 0, 1))
    np.testing.assert_array_equal(first[0].dense.weight, again[0].dense.weight)
    assert (first[0].dense.weight != other[0].dense.weight).any()
    for layer, weight in zip(network, kept, strict=True):
        np.testing.assert_array_equal(layer.dense.weight, weight)


def test_no_epoch_changes_next_to_nothing():
    dense, x, labels = small()
    network = quantize_network(dense, x, INT4, INT4)
    (first, _) = finetune(network, x, labels, epochs=0)
    np.testing.assert_array_equal(first.dense.weight, dense[0].weight)
    codes = quantize(x, network[0].x)
    np.testing.assert_array_equal(first.integer(codes), network[0].integer(codes))


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
        ({"epochs": -1}, ValueError, "epochs must be at least 0, got -1"),
        ({"epochs": 1.5}, TypeError, "epochs must be an integer, got 1.5"),
        ({"rows": 0}, ValueError, "rows must be at least 1, got 0"),
        ({"rate": -1e-3}, ValueError, "rate must be positive and finite, got -0.001"),
        ({"rate": 0}, ValueError, "rate must be positive and finite, got 0"),
        ({"rate": float("nan")}, ValueError, "rate must be positive and finite, got nan"),
        ({"rate": "fast"}, TypeError, "rate must be a number, got 'fast'"),
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
