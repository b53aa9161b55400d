"""The exported model in ONNX Runtime, against the integer form."""

import sys

import numpy as np
import onnxruntime
import pytest

from quantnotes import IntGrid, quantize
from quantnotes.export import to_onnx
from quantnotes.network import Dense, calibrate_by, load_digits, quantize_network, run_fake, run_integer

SYMMETRIC = calibrate_by("minmax", "symmetric")
LEVELS = {
    "as it is written": onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL,
    "fused to integers": onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL,
}
every_level = pytest.mark.parametrize("level", LEVELS)


def run(model, x, level, *outputs):
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = LEVELS[level]
    options.add_session_config_entry("session.x64quantprecision", "1")  # no 16-bit sums without VNNI
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return session.run(list(outputs) or None, {"x": x.astype(np.float32)})


def with_hidden_codes(model, count):
    """The model with the codes of the input and of the first layers as outputs too."""
    from onnx import helper

    dtypes = {c.name: c.data_type for c in model.graph.initializer}
    names = [f"codes_{i}" for i in range(count)]
    model.graph.output.extend(
        helper.make_tensor_value_info(name, dtypes[name.replace("codes", "zero_point")], ["rows", None])
        for name in names
    )
    return names


@every_level
@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(
    ("bits", "options"),
    [
        (8, {}),
        (8, {"activations": SYMMETRIC, "weights": SYMMETRIC}),
        (8, {"weights": calibrate_by("minmax", "asymmetric")}),
        (8, {"axis": -2}),
        (4, {}),
        (3, {"weights": calibrate_by("mse", "symmetric")}),
        (2, {}),
    ],
    ids=["8", "8, symmetric", "8, asymmetric weights", "8, axis -2", "4", "3, mse", "2"],
)
def test_the_digits_are_named_alike(bits, options, seed, level):
    """All held-out images; a hidden code differs by one at most, and fewer than 1 in 1,000 do.

    Few bits can give two digits exactly the same score. In integers the first one wins; where an engine sums
    in float32 chance decides, so that such images are left out there.
    """
    digits = load_digits(seed)
    weight_grid = IntGrid.of(bits, narrow="weights" not in options or bits < 8)
    network = quantize_network(digits.network, digits.images, IntGrid.of(bits), weight_grid, **options)
    codes = run_integer(network, quantize(digits.heldout, network[0].x))
    model = to_onnx(network)
    scores, *hidden = run(model, digits.heldout, level, "scores", *with_hidden_codes(model, 3))
    ours = network[-1].decode(codes[-1])
    second, first = np.sort(ours, axis=1)[:, -2:].T
    tied = (first == second) & (level == "as it is written")
    np.testing.assert_array_equal(scores.argmax(axis=1)[~tied], ours.argmax(axis=1)[~tied])
    assert not (tied.any() and bits == 8)
    np.testing.assert_array_equal(hidden[0], codes[0])
    for theirs, q in zip(hidden, codes, strict=False):
        assert theirs.dtype == q.dtype
        assert np.abs(theirs.astype(int) - q).max() <= 1
        assert np.mean(theirs != q) < 1e-3
    agreeing = np.all([(a == b).all(axis=1) for a, b in zip(hidden, codes, strict=False)], axis=0)
    assert agreeing.mean() > 0.9
    np.testing.assert_allclose(scores[agreeing], ours[agreeing], rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("seed", range(6))
def test_the_digits_are_named_alike_where_nothing_keeps_layers_apart(seed):
    """Codes that are asked for, as above, keep ONNX Runtime from fusing the layers before them."""
    digits = load_digits(seed)
    network = quantize_network(digits.network, digits.images)
    (scores,) = run(to_onnx(network), digits.heldout, "fused to integers")
    ours = network[-1].decode(run_integer(network, quantize(digits.heldout, network[0].x))[-1])
    np.testing.assert_array_equal(scores.argmax(axis=1), ours.argmax(axis=1))
    assert np.mean(np.abs(scores - ours) < 1e-4) > 0.99


@every_level
@pytest.mark.parametrize("relu", [True, False])
@pytest.mark.parametrize("bits", [3, 8, 16])
def test_any_network(bits, relu, level):
    rng = np.random.default_rng(bits)
    shapes = [(5, 7), (4, 5), (6, 4), (3, 6)]
    dense = [
        Dense(rng.normal(size=s), rng.normal(size=s[0]), relu=(i % 2 == 0)) for i, s in enumerate(shapes)
    ]
    dense[-1] = Dense(dense[-1].weight, dense[-1].bias, relu=relu)
    x = rng.normal(size=(40, 7)).astype(np.float32)
    network = quantize_network(dense, x, IntGrid.of(bits, signed=False), IntGrid.of(8))
    (scores,) = run(to_onnx(network), x, level)
    wanted = run_fake(network, x)[-1]
    assert scores.shape == (40, 3)
    assert (scores.min() >= 0) == relu
    step = network[-1].x.scale * np.abs(dense[-1].weight).max()
    assert np.mean(np.abs(scores - wanted) < 1e-3) > 0.95  # where no hidden code lies next to a tie
    assert np.abs(scores - wanted).max() < 3 * step + 1e-3


@every_level
@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize("bits", range(2, 17))
def test_inputs_beyond_the_range_stop_at_the_ends_of_the_grid(bits, signed, level):
    """Where the grid is narrower than its dtype QuantizeLinear alone would go on to the end of the dtype."""
    grid = IntGrid.of(bits, signed)
    network = quantize_network([Dense([[1.0]], [0.0])], [[-1.0], [1.0]], grid, IntGrid.of(8))
    x = np.array([[-50.0], [-1.0], [0.0], [1.0], [50.0]], np.float32)
    model = to_onnx(network)
    codes = with_hidden_codes(model, 1)
    theirs, scores = run(model, x, level, *codes, "scores")
    np.testing.assert_array_equal(theirs, quantize(x, network[0].x))
    assert (theirs[0, 0], theirs[-1, 0]) == (grid.qmin, grid.qmax)
    np.testing.assert_allclose(scores, run_fake(network, x)[-1], rtol=1e-4, atol=1e-4)


def test_blocked_weights_are_refused():
    network = quantize_network([Dense([[1.0, 2.0]], [0.0])], [[1.0, 1.0]], axis=1, block_size=1)
    with pytest.raises(ValueError, match="the weight has a scale for each block of 1 values"):
        to_onnx(network)


def test_one_layer_with_and_without_relu():
    for relu in (True, False):
        network = quantize_network([Dense([[1.0, -2.0]], [0.25], relu=relu)], [[-1.0, 0.0], [1.0, 1.0]])
        x = np.array([[0.5, 0.0], [0.0, 1.0]], np.float32)
        (scores,) = run(to_onnx(network), x, "as it is written")
        np.testing.assert_allclose(scores, run_fake(network, x)[-1], atol=1e-6)


def test_weights_are_stored_as_codes():
    network = quantize_network(load_digits().network, load_digits().images)
    model = to_onnx(network)
    assert (model.ir_version, model.opset_import[0].version, model.producer_name) == (10, 21, "quantnotes")
    constants = {c.name: c for c in model.graph.initializer}
    for i, layer in enumerate(network, start=1):
        assert constants[f"weight_{i}"].raw_data == layer.codes.tobytes()
        assert constants[f"bias_{i}"].raw_data == layer.bias.tobytes()


@pytest.mark.parametrize(("bits", "clips"), [(3, 2), (8, 0), (12, 2), (16, 0)])
def test_only_a_grid_narrower_than_its_dtype_is_clipped(bits, clips):
    digits = load_digits()
    graph = to_onnx(quantize_network(digits.network[:2], digits.images, IntGrid.of(bits))).graph
    assert [node.op_type for node in graph.node].count("Clip") == clips
    shapes = [value.type.tensor_type.shape.dim for value in (*graph.input, *graph.output)]
    assert [(rows.dim_param, columns.dim_value) for rows, columns in shapes] == [("rows", 64), ("rows", 32)]


def test_without_onnx(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(
        ModuleNotFoundError, match="to_onnx needs the package onnx: python -m pip install onnx"
    ):
        to_onnx([])


def test_a_float_network_is_not_exported():
    with pytest.raises(
        TypeError, match="network must be a sequence of QuantDense, as quantize_network makes"
    ):
        to_onnx(load_digits().network)
