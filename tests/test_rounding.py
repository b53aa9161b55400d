"""GPTQ: by hand, against every choice there is, and on inputs that it has not seen."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from quantnotes import (
    INT4,
    INT8,
    UINT4,
    IntGrid,
    QuantParams,
    asymmetric_params,
    dequantize,
    gptq,
    minmax_range,
    quantize,
    samples,
    symmetric_params,
)
from quantnotes.rounding import Gram


def harm(weight, inputs, codes, params):
    """The squared change of the outputs of each row."""
    error = np.asarray(weight, np.float64) - dequantize(codes, params, dtype=np.float64)
    return np.sum((np.asarray(inputs, np.float64) @ error.T) ** 2, axis=0)


def correlated(seed, rows, columns, tokens):
    rng = np.random.default_rng(seed)
    mix = rng.standard_normal((columns, columns))
    inputs = rng.standard_normal((tokens, columns)) @ (mix + 0.5)
    weight = rng.standard_normal((rows, columns))
    return weight, inputs, symmetric_params(*minmax_range(weight, axis=0), INT4, axis=0)


def best_harm(weight, inputs, params):
    """Of every choice of floor or ceiling for each weight, the least harm in one row."""
    scale = params.scale[0]
    low = np.floor(weight[0] / scale)
    choices = np.clip(low + np.array(list(itertools.product((0, 1), repeat=weight.shape[1]))), -8, 7)
    errors = weight - choices * scale
    return np.min(np.sum((inputs @ errors.T) ** 2, axis=0))


# --- by hand ------------------------------------------------------------------------------------------------


def test_the_second_column_makes_up_for_the_first():
    """w = (1.4, 1.3), token (2, 1): nearest gives 3.0 of 4.1; 1 and 2 give 4.0."""
    params = QuantParams(1.0, 0, INT4)
    codes = gptq([[1.4, 1.3]], [[2.0, 1.0]], params, damping=0.01)
    np.testing.assert_array_equal(codes, [[1, 2]])
    np.testing.assert_allclose(harm([[1.4, 1.3]], [[2.0, 1.0]], codes, params), 0.01)
    assert codes.dtype == INT4.dtype


def test_damping_returns_to_nearest():
    """The second column takes 0.8 / (1 + 2.5 damping) of the first one's error, and needs 0.2 to turn."""
    call = [[1.4, 1.3]], [[2.0, 1.0]], QuantParams(1.0, 0, INT4)
    np.testing.assert_array_equal(gptq(*call, damping=1.0), [[1, 2]])
    np.testing.assert_array_equal(gptq(*call, damping=4.0), [[1, 1]])


def test_order_matters():
    """w = (2.4, 1.3) with H = [[5, 4], [4, 5]]: nearest 2.21, forwards 1.01, backwards 0.81."""
    factor = np.linalg.cholesky(np.array([[5.0, 4.0], [4.0, 5.0]])).T
    params = QuantParams(1.0, 0, INT4)
    forwards = gptq([[2.4, 1.3]], factor, params, damping=0, order="natural")
    backwards = gptq([[1.3, 2.4]], factor, params, damping=0, order="natural")
    np.testing.assert_allclose(harm([[2.4, 1.3]], factor, quantize([[2.4, 1.3]], params), params), 2.21)
    np.testing.assert_allclose(harm([[2.4, 1.3]], factor, forwards, params), 1.01)
    np.testing.assert_allclose(harm([[2.4, 1.3]], factor, backwards[:, ::-1], params), 0.81)


def test_the_column_with_the_largest_inputs_comes_first():
    weight, inputs, params = correlated(3, 6, 10, 300)
    inputs = inputs * np.linspace(0.2, 3, 10)
    order = np.argsort(-np.square(inputs).sum(axis=0))
    codes = gptq(weight, inputs, params, damping=0.01)
    moved = gptq(weight[:, order], inputs[:, order], params, damping=0.01, order="natural")
    np.testing.assert_array_equal(codes[:, order], moved)
    np.testing.assert_array_equal(codes, gptq(weight, inputs, params, damping=0.01, order="activation"))
    assert not np.array_equal(codes, gptq(weight, inputs, params, damping=0.01, order="natural"))


def test_uncorrelated_inputs_leave_nothing_to_make_up_for():
    weight, _, params = correlated(0, 20, 16, 1)
    np.testing.assert_array_equal(gptq(weight, np.eye(16), params, damping=0.5), quantize(weight, params))


# --- against the optimum ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("columns", "tokens"), [(4, 100), (8, 200), (12, 300)])
def test_close_to_the_best_of_all_choices(columns, tokens):
    nearest, found = [], []
    for seed in range(40):
        weight, inputs, params = correlated(seed, 1, columns, tokens)
        best = best_harm(weight, inputs, params)
        nearest.append(harm(weight, inputs, quantize(weight, params), params)[0] / best - 1)
        found.append(harm(weight, inputs, gptq(weight, inputs, params), params)[0] / best - 1)
    assert np.median(found) <= 0.35 * np.median(nearest) + 1e-12


@given(seed=st.integers(0, 10**6), tokens=st.integers(1, 60), damping=st.none() | st.floats(0, 10))
def test_never_worse_than_nearest_on_its_inputs(seed, tokens, damping):
    weight, inputs, params = correlated(seed, 3, 6, tokens)
    codes = gptq(weight, inputs, params, damping=damping)
    nearest = harm(weight, inputs, quantize(weight, params), params)
    assert (harm(weight, inputs, codes, params) <= nearest * (1 + 1e-9) + 1e-12).all()


# --- on inputs that it has not seen -------------------------------------------------------------------------


def decibels(weight, inputs, codes, params):
    signal = np.sum((inputs.astype(np.float64) @ weight.T.astype(np.float64)) ** 2)
    return 10 * np.log10(signal / harm(weight, inputs, codes, params).sum())


@pytest.mark.parametrize(
    ("name", "source"), [("dense1_weight", "layernorm_output"), ("dense2_weight", "gelu_output")]
)
def test_better_on_the_other_text(name, source):
    weight, own, other = (samples.load(n) for n in (name, source, f"{source}_2"))
    weight = weight[:256]
    params = symmetric_params(*minmax_range(weight, axis=1, block_size=32), INT4, axis=1, block_size=32)
    nearest = decibels(weight, other, quantize(weight, params), params)
    codes = gptq(weight, own, params)
    assert decibels(weight, other, codes, params) > nearest + 0.5
    error = weight - dequantize(codes, params)
    assert np.sum(error**2) > np.sum((weight - dequantize(quantize(weight, params), params)) ** 2)


@pytest.mark.parametrize("tokens", [1, 2, 4, 16, 64])
def test_few_tokens_do_no_harm(tokens):
    weight = samples.load("dense1_weight")[:200]
    own, other = samples.load("layernorm_output"), samples.load("layernorm_output_2")
    params = symmetric_params(*minmax_range(weight, axis=1, block_size=32), INT4, axis=1, block_size=32)
    nearest = decibels(weight, other, quantize(weight, params), params)
    gains = [
        decibels(weight, other, gptq(weight, own[rows : rows + tokens], params), params) - nearest
        for rows in (1, 20, 40)
    ]
    assert min(gains) > -0.05
    assert np.mean(gains) > 0


# --- granularities ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "granularity",
    [{}, {"axis": 0}, {"axis": 1}, {"axis": 1, "block_size": 4}, {"axis": (0, 1), "block_size": (2, 5)}],
    ids=str,
)
@pytest.mark.parametrize("grid", [INT4, UINT4, INT8, IntGrid(-3, 4)], ids=str)
def test_parameters_of_every_granularity(granularity, grid):
    weight, inputs, _ = correlated(1, 5, 13, 500)
    ends = minmax_range(weight, **granularity)
    params = asymmetric_params(*ends, grid, **granularity)
    codes = gptq(weight, inputs, params)
    assert codes.shape == weight.shape
    assert codes.dtype == grid.dtype
    assert codes.min() >= grid.qmin
    assert codes.max() <= grid.qmax
    nearest = harm(weight, inputs, quantize(weight, params), params)
    assert harm(weight, inputs, codes, params).sum() < 0.9 * nearest.sum()


@pytest.mark.parametrize("block_size", [None, 4, 32, 200])
@pytest.mark.parametrize("scheme", ["symmetric", "asymmetric"])
def test_parameters_as_they_are_met(block_size, scheme):
    weight, inputs, _ = correlated(2, 4, 300, 2000)
    codes, params = gptq(weight, inputs, INT4, block_size=block_size, scheme=scheme)
    assert params.axis == (0 if block_size is None else 1)
    assert params.block_size == block_size
    size = block_size or 300
    first = minmax_range(weight[:, :size], axis=0)  # of the first group nothing has been changed
    make = symmetric_params if scheme == "symmetric" else asymmetric_params
    scale = params.scale if block_size is None else params.scale[:, 0]
    np.testing.assert_array_equal(scale, make(*first, INT4, axis=0).scale)
    nearest = harm(weight, inputs, quantize(weight, params), params)
    assert harm(weight, inputs, codes, params).sum() < 0.9 * nearest.sum()


def test_many_columns_as_one_by_one():
    """More columns than are rounded at a time: the same codes as the plain loop."""
    weight, inputs, params = correlated(5, 3, 300, 3000)
    h = inputs.T @ inputs
    h = h / np.diag(h).mean() + 0.05 * np.eye(300)
    upper = np.linalg.cholesky(np.linalg.inv(h)).T
    left, expected = weight.copy(), np.empty(weight.shape)
    for j in range(300):
        expected[:, j] = np.clip(np.rint(left[:, j] / params.scale), -8, 7)
        error = (left[:, j] - expected[:, j] * params.scale) / upper[j, j]
        left -= np.outer(error, upper[j] * (np.arange(300) >= j))
    codes = gptq(weight, inputs, params, damping=0.05, order="natural")
    assert np.mean(codes != expected) < 0.01  # the last bits of two inverses


# --- the Gram matrix ----------------------------------------------------------------------------------------


def test_gram_takes_batches_of_any_shape():
    x = np.random.default_rng(0).standard_normal((4, 5, 3))
    whole = Gram().update(x)
    parts = Gram().update(x[:1]).merge(Gram().update(x[1:].reshape(-1, 3)))
    assert whole.tokens == parts.tokens == 20
    np.testing.assert_allclose(whole.matrix, parts.matrix, rtol=1e-12)
    np.testing.assert_allclose(whole.matrix, np.einsum("abi,abj->ij", x, x), rtol=1e-12)
    whole.matrix[...] = 0
    assert whole.matrix.any()


def test_a_gram_of_nothing():
    gram = Gram().update(np.zeros((0, 3))).merge(Gram())
    assert (gram.tokens, gram.matrix.shape) == (0, (0, 0))
    assert gram.update([[1.0, 2.0, 3.0]]).matrix.shape == (3, 3)


def test_merging_leaves_the_other_alone():
    a, b = Gram().update([[1.0, 2.0]]), Gram().update([[3.0, 4.0]])
    Gram().merge(b).update([[9.0, 9.0]])
    a.merge(b).merge(Gram())
    np.testing.assert_array_equal(b.matrix, [[9, 12], [12, 16]])
    np.testing.assert_array_equal(a.matrix, [[10, 14], [14, 20]])


def test_a_gram_gives_what_its_inputs_give():
    weight, inputs, params = correlated(7, 4, 9, 80)
    np.testing.assert_array_equal(gptq(weight, Gram().update(inputs), params), gptq(weight, inputs, params))


# --- odd and bad inputs -------------------------------------------------------------------------------------


@given(hnp.arrays(np.float64, (7, 3), elements=st.sampled_from([0.0, 1.0, -1.0, 1e-200, 1e100])))
def test_dependent_and_dead_columns(inputs):
    weight = np.array([[0.3, -1.2, 2.6]])
    params = QuantParams(0.5, 0, INT4)
    for damping in (None, 0.0, 1.0):
        codes = gptq(weight, inputs, params, damping=damping)
        assert ((codes >= -8) & (codes <= 7)).all()


W, X, P = [[1.0, 2.0]], [[1.0, 1.0]], QuantParams(1.0, 0, INT4)


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda: gptq([1.0, 2.0], X, P), ValueError, "weight must have shape"),
        (lambda: gptq([[1.0, np.nan]], X, P), ValueError, "1 NaN"),
        (lambda: gptq([["a"]], X, P), TypeError, "real numbers"),
        (lambda: gptq(W, [1.0, 1.0], P), ValueError, "inputs must have shape"),
        (lambda: gptq(W, [[1.0, np.inf]], P), ValueError, "infinity"),
        (lambda: gptq(W, [[1.0, 1e200]], P), ValueError, "overflow"),
        (lambda: gptq(W, np.zeros((0, 2)), P), ValueError, "no tokens"),
        (lambda: gptq(W, Gram(), P), ValueError, "no tokens"),
        (lambda: gptq(W, [[1.0]], P), ValueError, "2 inputs"),
        (lambda: gptq(W, X, 1.0), TypeError, "QuantParams"),
        (lambda: gptq(W, X, P, damping=-1), ValueError, "damping"),
        (lambda: gptq(W, X, P, damping="1"), TypeError, "damping"),
        (lambda: gptq(W, X, P, damping=True), TypeError, "damping"),
        (lambda: gptq(W, X, P, damping=np.nan), ValueError, "damping"),
        (lambda: gptq(W, X, P, damping=np.inf), ValueError, "damping"),
        (lambda: gptq(W, X, P, order="backwards"), ValueError, "order"),
        (lambda: gptq(W, X, P, block_size=2), TypeError, "go with a grid"),
        (lambda: gptq(W, X, INT4, order="activation"), TypeError, "natural"),
        (lambda: gptq(W, X, INT4, block_size=0), ValueError, "block_size"),
        (lambda: gptq(W, X, INT4, scheme="odd"), ValueError, "scheme"),
        (lambda: gptq(W, X, QuantParams([1.0], [0], INT4, axis=0).range), TypeError, "QuantParams"),
        (lambda: gptq(W, X, QuantParams([1.0, 1.0], [0, 0], INT4, axis=0)), ValueError, "channels"),
        (lambda: Gram().update([[1.0, 2.0]]).update([[1.0]]), ValueError, "2 columns"),
        (lambda: Gram().update([[1.0]]).merge(Gram().update([[1.0, 2.0]])), ValueError, "1 columns"),
        (lambda: Gram().merge([[1.0]]), TypeError, "Gram"),
    ],
)
def test_refusals(call, kind, message):
    with pytest.raises(kind, match=message):
        call()


def test_inputs_are_left_alone():
    weight, inputs, params = correlated(0, 3, 8, 50)
    before = weight.copy(), inputs.copy()
    gptq(weight, inputs, params)
    np.testing.assert_array_equal(weight, before[0])
    np.testing.assert_array_equal(inputs, before[1])
