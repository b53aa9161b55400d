"""Folding, equalizing and correcting biases: what must stay equal, and what must get better."""

import functools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantnotes import (
    INT8_NARROW,
    bias_correction,
    equalize,
    fake_quantize,
    fold_batch_norm,
    minmax_range,
    symmetric_params,
)
from quantnotes.convolution import Windows, convolve
from quantnotes.layers import FUNCTIONS, Conv, Dense


def per_tensor(weight, bits=INT8_NARROW):
    return fake_quantize(weight, symmetric_params(*minmax_range(weight), bits), dtype=np.float64)


def sqnr(exact, found):
    return 10 * np.log10(np.mean(exact**2) / np.mean((exact - found) ** 2))


def channels(values):
    """One number for each channel, against NCHW."""
    return np.reshape(values, (-1, 1, 1))


# --- fold_batch_norm ----------------------------------------------------------------------------------------


def test_a_fold_by_hand():
    """(w x + 1 - 2) 6 / 3 + 0.5 = 2 w x - 1.5."""
    weight, bias = fold_batch_norm([[1.0, 2.0]], [1.0], [6.0], [0.5], [2.0], [9.0], eps=0.0)
    assert (weight.tolist(), bias.tolist()) == ([[2.0, 4.0]], [-1.5])
    weight, bias = fold_batch_norm([[1.0]], None, [1.0], [0.0], [3.0], [3.0], eps=1.0)
    assert (weight.tolist(), bias.tolist()) == ([[0.5]], [-1.5])


def test_the_exhibit_of_the_study():
    """Gains 8 and 0.05 leave the second output 1 of 127 codes with one scale, 127 with one for each."""
    weight, _ = fold_batch_norm(
        [[0.5, -1.0], [0.8, 0.4]], None, [8.0, 0.05], *np.zeros((2, 2)), [1, 1], eps=0.0
    )
    scale = np.abs(weight).max() / 127
    assert np.rint(weight / scale).tolist() == [[64, -127], [1, 0]]
    each = np.abs(weight).max(axis=1, keepdims=True) / 127
    assert np.rint(weight / each).tolist() == [[64, -127], [127, 64]]


@given(st.integers(0, 2**32), st.booleans(), st.sampled_from([1, 2, 4]))
def test_a_folded_layer_computes_the_same(seed, biased, groups):
    rng = np.random.default_rng(seed)
    x, weight = rng.normal(size=(2, 4, 5, 5)), rng.normal(size=(8, 4 // groups, 3, 3))
    bias = rng.normal(size=8) if biased else None
    gamma, beta, mean = rng.normal(size=(3, 8))
    var, eps = rng.uniform(1e-3, 3, 8), 10.0 ** rng.uniform(-8, -2)
    plain = convolve(x, weight, Windows.of(3, pads=1), groups) + channels(0 if bias is None else bias)
    wanted = (plain - channels(mean)) / np.sqrt(channels(var) + eps) * channels(gamma) + channels(beta)
    new_weight, new_bias = fold_batch_norm(weight, bias, gamma, beta, mean, var, eps)
    found = convolve(x, new_weight, Windows.of(3, pads=1), groups) + channels(new_bias)
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-12 * np.abs(wanted).max())
    assert found.dtype == np.float64


def test_dense_layers_and_any_float_type():
    rng = np.random.default_rng(0)
    weight, x = rng.normal(size=(3, 4)).astype(np.float32), rng.normal(size=(5, 4))
    weight.flags.writeable = False
    new_weight, new_bias = fold_batch_norm(weight, None, [1, 2, 3], [0, 0, 1], [1, 1, 1], [1, 4, 9], 0)
    wanted = (x @ weight.T - 1) / [1, 2, 3] * [1, 2, 3] + [0, 0, 1]
    np.testing.assert_allclose(x @ new_weight.T + new_bias, wanted, atol=1e-12)


# --- equalize -----------------------------------------------------------------------------------------------


def test_an_equalization_by_hand():
    first, bias, second = equalize([[8.0], [1.0]], [4.0, 3.0], [[0.5, 4.0]])
    assert (first.tolist(), bias.tolist(), second.tolist()) == ([[2.0], [2.0]], [1.0, 6.0], [[2.0, 2.0]])


@given(
    st.integers(0, 2**32),
    st.sampled_from([(6, 1), (6, 2), (6, 6), (6, 3)]),
    st.sampled_from(["relu", "linear"]),
)
def test_an_equalized_pair_computes_the_same(seed, shape, between):
    """Convolutions of every grouping, depthwise too; and each channel has one range in both weights."""
    (inner, groups), rng = shape, np.random.default_rng(seed)
    function = FUNCTIONS["relu"] if between == "relu" else (lambda x: x)
    x = rng.normal(size=(2, 3, 6, 6))
    first, bias = (
        rng.normal(size=(inner, 3, 1, 1)) * 10.0 ** rng.uniform(-2, 2, (inner, 1, 1, 1)),
        rng.normal(size=inner),
    )
    second = rng.normal(size=(12, inner // groups, 3, 3))

    def run(first, bias, second):
        hidden = function(convolve(x, first, Windows.of(1)) + channels(bias))
        return convolve(hidden, second, Windows.of(3, pads=1), groups)

    moved = equalize(first, bias, second, between=between, groups=groups)
    wanted = run(first, bias, second)
    np.testing.assert_allclose(run(*moved), wanted, rtol=0, atol=1e-12 * np.abs(wanted).max())
    above = np.abs(moved[0]).max(axis=(1, 2, 3))
    grouped = np.abs(moved[2]).reshape(groups, 12 // groups, inner // groups, 9)
    np.testing.assert_allclose(above, grouped.max(axis=(1, 3)).reshape(-1), rtol=1e-12)


def test_a_chain_of_three_layers_is_equal_to_the_last_digits():
    rng = np.random.default_rng(1)
    weights = [rng.normal(size=(16, 4)), rng.normal(size=(16, 16)), rng.normal(size=(5, 16))]
    biases = [rng.normal(size=16), rng.normal(size=16), rng.normal(size=5)]
    x = rng.normal(size=(50, 4))

    def run(weights, biases):
        out = x
        for i, (w, b) in enumerate(zip(weights, biases, strict=True)):
            out = Dense(w, b, relu=i < 2)(out)
        return out

    wanted = run(weights, biases)
    for _ in range(5):
        for i in (0, 1):
            weights[i], biases[i], weights[i + 1] = equalize(weights[i], biases[i], weights[i + 1])
    np.testing.assert_allclose(run(weights, biases), wanted, rtol=0, atol=1e-12 * np.abs(wanted).max())


def test_it_helps_where_there_is_one_scale():
    """Channels that differ by factors of 100, as folded normalizations leave them."""
    rng = np.random.default_rng(2)
    first = rng.normal(size=(32, 16)) * 10.0 ** rng.uniform(-1, 1, (32, 1))
    second, x = rng.normal(size=(8, 32)), rng.normal(size=(500, 16))

    def run(w1, w2):
        return np.maximum(x @ w1.T, 0) @ w2.T

    moved_first, none, moved_second = equalize(first, None, second)
    assert none is None
    before = sqnr(run(first, second), run(per_tensor(first), per_tensor(second)))
    after = sqnr(run(first, second), run(per_tensor(moved_first), per_tensor(moved_second)))
    assert after > before + 3


def test_dead_channels_stay():
    first, bias, second = equalize([[0.0], [4.0]], [1.0, 2.0], [[1.0, 0.0]])
    assert (first.tolist(), bias.tolist(), second.tolist()) == ([[0.0], [4.0]], [1.0, 2.0], [[1.0, 0.0]])


def test_huge_and_tiny_channels_stay_finite():
    first, _, second = equalize([[1e300], [1e-300]], None, [[1e-300, 1e300]])
    np.testing.assert_allclose([first.ravel(), second.ravel()], np.ones((2, 2)))


@pytest.mark.parametrize("between", ["hard-swish", "gelu", "relu6", "sigmoid", None])
def test_it_says_why_not_through_a_curve(between):
    with pytest.raises(ValueError, match=r"factors do not pass through .*f\(s x\) = s f\(x\) must hold"):
        equalize([[1.0]], None, [[1.0]], between=between)
    x = np.linspace(-4, 4, 9)
    assert np.abs(FUNCTIONS["hard-swish"](2 * x) - 2 * FUNCTIONS["hard-swish"](x)).max() > 0.5
    np.testing.assert_array_equal(FUNCTIONS["relu"](2 * x), 2 * FUNCTIONS["relu"](x))


# --- bias_correction ----------------------------------------------------------------------------------------


def test_a_correction_by_hand():
    """The rounded weight adds 0.25 x, and x is 6 on average."""
    assert bias_correction([[1.0, 2.0]], [[1.25, 2.0]], [[4.0, 1.0], [8.0, 3.0]]).tolist() == [-1.5]


@given(st.integers(0, 2**32), st.sampled_from([1, 2, 6]))
def test_measured_inputs_remove_the_mean_shift(seed, groups):
    rng = np.random.default_rng(seed)
    weight = rng.normal(size=(6, 6 // groups, 3, 3))
    x = rng.normal(
        0.7, 1, (3, 6, 3, 3)
    )  # one window each, so that the channel means are those of the windows
    x = np.broadcast_to(x.mean(axis=(2, 3), keepdims=True), x.shape)
    rounded = per_tensor(weight)
    exact, found = (convolve(np.array(x), w, Windows.of(3), groups) for w in (weight, rounded))
    shift = (exact - found).mean(axis=(0, 2, 3))
    np.testing.assert_allclose(bias_correction(weight, rounded, x, groups=groups), shift, atol=1e-12)


def test_dense_inputs_remove_the_mean_shift():
    rng = np.random.default_rng(3)
    weight, x = rng.normal(size=(5, 40)), np.maximum(rng.normal(0.5, 1, (400, 40)), 0)
    rounded = per_tensor(weight)
    correction = bias_correction(weight, rounded, x)
    error = x @ weight.T - x @ rounded.T
    np.testing.assert_allclose((error - correction).mean(axis=0), 0, atol=1e-12)
    assert np.mean((error - correction) ** 2) < np.mean(error**2)


@pytest.mark.parametrize("between", ["relu", "linear"])
def test_statistics_alone_are_nearly_as_good(between):
    """The closed form is the mean that many samples have."""
    rng = np.random.default_rng(4)
    gamma, beta = rng.normal(0, 1, 8), rng.normal(0, 1, 8)
    gamma[0] = 0
    weight = rng.normal(size=(5, 8))
    rounded = per_tensor(weight)
    x = beta + gamma * rng.normal(size=(400_000, 8))
    x = np.maximum(x, 0) if between == "relu" else x
    measured = bias_correction(weight, rounded, x)
    closed = bias_correction(weight, rounded, gamma=gamma, beta=beta, between=between)
    np.testing.assert_allclose(closed, measured, atol=5e-5)
    assert np.abs(closed).max() > 1e-3


def test_the_mean_behind_a_relu_by_hand():
    """Of a standard normal: 1 / sqrt(2 pi); of a constant: what the ReLU leaves of it."""
    one = bias_correction([[1.0]], [[0.0]], gamma=[1.0], beta=[0.0])
    np.testing.assert_allclose(one, 1 / math.sqrt(2 * math.pi), rtol=1e-15)
    both = bias_correction([[1.0, 0.0], [0.0, 1.0]], np.zeros((2, 2)), gamma=[0.0, 0.0], beta=[2.0, -2.0])
    assert both.tolist() == [2.0, 0.0]
    negative = bias_correction([[1.0]], [[0.0]], gamma=[-1.0], beta=[0.0])
    np.testing.assert_array_equal(negative, one)


def test_a_correction_is_what_a_bias_needs():
    """Added to the bias of a convolution it brings the outputs' means back."""
    rng = np.random.default_rng(5)
    layer = Conv(rng.normal(size=(4, 3, 3, 3)), rng.normal(size=4))
    x = rng.normal(1.0, 0.1, (20, 3, 12, 12))
    rounded = per_tensor(layer.weight)
    corrected = layer.bias + bias_correction(layer.weight, rounded, x)
    off, near = (np.abs((layer(x) - layer.apply(rounded, b, x)).mean(axis=(0, 2, 3))).max()
                 for b in (layer.bias, corrected))  # fmt: skip
    assert near < off / 20


# --- what is refused ----------------------------------------------------------------------------------------

ONES = np.ones(2)


def fold(**changes):
    arguments = {
        "weight": np.ones((2, 3)),
        "bias": ONES,
        "gamma": ONES,
        "beta": ONES,
        "mean": ONES,
        "var": ONES,
    }
    return fold_batch_norm(**(arguments | changes))


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        (lambda: fold(weight=ONES), ValueError, "weight must have shape"),
        (lambda: fold(weight=[["a"]]), TypeError, "weight must hold real numbers"),
        (lambda: fold(weight=[[np.nan] * 3] * 2), ValueError, "weight must be finite, got 6 values"),
        (lambda: fold(bias=np.ones(3)), ValueError, r"bias must have shape \(2,\), one for"),
        (lambda: fold(gamma=1.0), ValueError, "gamma must have shape"),
        (lambda: fold(beta=np.ones((2, 1))), ValueError, "beta must have shape"),
        (lambda: fold(mean=[1j, 1]), TypeError, "mean must hold real numbers"),
        (lambda: fold(mean=[np.inf, 1]), ValueError, "mean must be finite"),
        (lambda: fold(var=-ONES), ValueError, "var \\+ eps must be positive"),
        (lambda: fold(var=ONES * 0, eps=0.0), ValueError, "var \\+ eps must be positive, got 0"),
        (lambda: fold(eps="small"), TypeError, "eps must be a number"),
        (lambda: fold(eps=True), TypeError, "eps must be a number"),
        (lambda: fold(eps=math.nan), ValueError, "eps must be finite"),
        (lambda: equalize([1.0], None, [[1.0]]), ValueError, "first and second must have two axes or more"),
        (lambda: equalize([[1.0]], None, [[1.0, 2.0]]), ValueError, "does not read the 1 channels of first"),
        (lambda: equalize(np.ones((4, 1)), None, np.ones((3, 2)), groups=2), ValueError, "in 2 groups"),
        (lambda: equalize([[1.0]], None, [[1.0]], groups=0), ValueError, "in 0 groups"),
        (lambda: equalize([[1.0]], None, [[1.0]], groups="1"), TypeError, "groups must be an integer"),
        (lambda: equalize([[1.0]], [1.0, 2.0], [[1.0]]), ValueError, "bias must have shape"),
        (lambda: equalize([[np.nan]], None, [[1.0]]), ValueError, "first must be finite"),
        (lambda: equalize([[1.0]], None, [["a"]]), TypeError, "second must hold real numbers"),
        (lambda: bias_correction([[1.0]], [[1.0]]), ValueError, "pass inputs, or gamma and"),
        (lambda: bias_correction([[1.0]], [[1.0]], gamma=[1.0]), ValueError, "pass inputs"),
        (lambda: bias_correction([[1.0]], [[1.0]], [[1.0]], beta=[1.0]), ValueError, "not both"),
        (lambda: bias_correction([[1.0]], [[1.0, 2.0]], [[1.0]]), ValueError, "must have one shape"),
        (lambda: bias_correction([[1.0]], [[1.0]], [[1.0, 2.0]]), ValueError, "inputs must have 1"),
        (lambda: bias_correction([[1.0]], [[1.0]], np.ones((0, 1))), ValueError, "inputs must have 1"),
        (lambda: bias_correction([[1.0]], [[1.0]], [[np.nan]]), ValueError, "inputs must be finite"),
        (lambda: bias_correction([[1.0]], [[1.0]], [[1.0]], groups=2), ValueError, "do not make 2 groups"),
        (lambda: bias_correction([[1.0]], [[1.0]], gamma=[1.0], beta=ONES), ValueError, "one shape"),
        (lambda: bias_correction([[1.0]], [[1.0]], gamma=ONES, beta=ONES), ValueError, r"have shape \(1,\)"),
        (
            lambda: bias_correction([[1.0]], [[1.0]], gamma=[1.0], beta=[1.0], between="gelu"),
            ValueError,
            "whose mean is known in closed form, got 'gelu': measure it",
        ),
    ],
)  # fmt: skip
def test_what_is_refused(wrong, error, message):
    with pytest.raises(error, match=message):
        wrong()


FUNCTIONS_OF = {
    fold_batch_norm: dict(
        weight=[[1.0]], bias=[1.0], gamma=[1.0], beta=[1.0], mean=[1.0], var=[1.0], eps=1.0
    ),
    equalize: dict(first=[[1.0]], bias=[1.0], second=[[1.0]], groups=1),
    bias_correction: dict(weight=[[1.0]], quantized=[[1.0]], inputs=[[1.0]], groups=1),
    functools.partial(bias_correction, [[1.0]], [[1.0]]): dict(gamma=[1.0], beta=[1.0], groups=1),
}


@pytest.mark.parametrize(
    ("function", "name"), [(function, name) for function, named in FUNCTIONS_OF.items() for name in named]
)
def test_an_error_names_the_argument(function, name):
    arguments = FUNCTIONS_OF[function]
    function(**arguments)
    with pytest.raises(TypeError, match=f"^{name} must"):
        function(**(arguments | {name: "a"}))
    if name != "groups":
        with pytest.raises(ValueError, match=f"^{name} must be finite, got"):
            function(**(arguments | {name: np.full(np.shape(arguments[name]), np.nan)[()]}))
