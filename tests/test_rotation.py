"""Factors and rotations: by hand, exact equality of the network, and where folding is refused."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantnotes import hadamard, rotate, samples, smooth_factors
from quantnotes.equivalence import fold_factors, fold_rotation

ORDERS = [1, 2, 4, 8, 64, 128, 4096, 12, 24, 384, 1536, 20, 40, 28, 56, 448]


@pytest.mark.parametrize("n", ORDERS)
def test_hadamard_matrices(n):
    h = hadamard(n)
    assert h.shape == (n, n)
    assert (np.abs(h) == 1).all()
    np.testing.assert_array_equal(h @ h.T, n * np.eye(n))


@pytest.mark.parametrize(("n", "q"), [(12, 11), (20, 19), (28, 13)])
def test_paley_s_matrices_by_euler_s_criterion(n, q):
    """Which of the many it is matters too: a weight that was rotated and stored must meet the same one."""
    symbol = [0, *(1 if pow(a, (q - 1) // 2, q) == 1 else -1 for a in range(1, q))]
    step = n // (q + 1)
    for i in range(q):
        row = [symbol[(i - j) % q] or 1 for j in range(q)]
        assert hadamard(n)[step * (i + 1), step::step].tolist() == row


@pytest.mark.parametrize("n", [0, -1, -12, 3, 5, 6, 10, 14, 36, 44, 100, 384 * 3])
def test_no_such_order(n):
    with pytest.raises(ValueError, match=r"^n must be .* power of two"):
        hadamard(n)


@pytest.mark.parametrize("n", ORDERS[:-1])
@pytest.mark.parametrize("seed", [None, 0, 7])
def test_rotation_is_the_matrix(n, seed):
    x = np.random.default_rng(n).standard_normal((3, n))
    signs = np.ones(n) if seed is None else np.sign(rotate(np.eye(n), seed)[:, 0] * hadamard(n)[:, 0])
    np.testing.assert_allclose(rotate(x, seed), (x * signs) @ hadamard(n) / math.sqrt(n), atol=1e-12)


@given(
    n=st.sampled_from(ORDERS),
    seed=st.none() | st.integers(0, 99),
    rows=st.sampled_from([(), (3,), (2, 0), (2, 3)]),
)
def test_nothing_changes(n, seed, rows):
    rng = np.random.default_rng(n)
    x, w = rng.standard_normal((*rows, n)), rng.standard_normal((5, n))
    np.testing.assert_allclose(rotate(x, seed) @ rotate(w, seed).T, x @ w.T, atol=1e-11)
    np.testing.assert_allclose(rotate(rotate(x, seed), seed, inverse=True), x, atol=1e-12)
    np.testing.assert_allclose(rotate(rotate(x, seed, inverse=True), seed), x, atol=1e-12)
    np.testing.assert_allclose(np.square(rotate(x, seed)).sum(axis=-1), np.square(x).sum(axis=-1), rtol=1e-12)


def test_by_hand():
    np.testing.assert_allclose(rotate([5.0, 1.0]) * math.sqrt(2), [6, 4], rtol=1e-15)
    np.testing.assert_allclose(rotate([9.0, 1.0, 1.0, 1.0]), [6, 4, 4, 4], rtol=1e-15)


def test_signs_belong_to_the_seed():
    x = np.random.default_rng(0).standard_normal(384)
    before = x.copy()
    np.testing.assert_array_equal(rotate(x, 3), rotate(x, np.int64(3)))
    assert not np.allclose(rotate(x, 3), rotate(x, 4))
    assert not np.allclose(rotate(x, 0), rotate(x))
    np.testing.assert_array_equal(x, before)


@pytest.mark.parametrize(
    ("dtype", "result"), [("f2", "f4"), ("f4", "f4"), ("f8", "f8"), ("i1", "f8"), ("?", "f8")]
)
def test_types(dtype, result):
    x = np.arange(12).astype(dtype)
    assert rotate(x).dtype == result
    np.testing.assert_allclose(rotate(rotate(x, 1), 1, inverse=True), x, atol=1e-5)


def test_an_outlier_is_spread():
    x = samples.load("gelu_output")
    turned = rotate(x, 0)
    assert np.abs(turned).max() < np.abs(x).max() / 5


@given(seed=st.integers(0, 10**6), alpha=st.sampled_from([0.0, 0.3, 0.5, 0.8, 1.0]))
def test_factors_change_nothing(seed, alpha):
    rng = np.random.default_rng(seed)
    x, w = rng.standard_normal((6, 5)), rng.standard_normal((3, 5))
    x[:, seed % 5] = 0
    s = smooth_factors(np.abs(x).max(axis=0), w, alpha)
    assert s[seed % 5] == 1
    np.testing.assert_allclose((x / s) @ (w * s).T, x @ w.T, atol=1e-12)


def test_factors_meet_in_the_middle():
    x, w = samples.load("layernorm_output"), samples.load("dense1_weight")
    s = smooth_factors(np.abs(x).max(axis=0), w)
    np.testing.assert_allclose(np.abs(x / s).max(axis=0), np.abs(w * s).max(axis=0), rtol=1e-6)
    np.testing.assert_allclose(np.abs(x / smooth_factors(np.abs(x).max(axis=0), w, 1.0)).max(axis=0), 1)
    s = smooth_factors(np.abs(x).max(axis=0), w, 0.0)
    np.testing.assert_allclose(np.abs(w * s).max(axis=0), 1, rtol=1e-6)


@given(seed=st.integers(0, 10**6))
def test_folding_is_exact(seed):
    rng = np.random.default_rng(seed)
    x, w, b = rng.standard_normal((4, 6)), rng.standard_normal((8, 6)), rng.standard_normal(8)
    s = rng.uniform(0.1, 10, 8)
    y = x @ w.T + b
    folded, bias = fold_factors(s, "linear", w, b)
    np.testing.assert_allclose(x @ folded.T + bias, y / s, atol=1e-12)
    folded, bias = fold_factors(s, "relu", w, b)
    np.testing.assert_allclose(np.maximum(x @ folded.T + bias, 0), np.maximum(y, 0) / s, atol=1e-12)
    gamma, none = fold_factors(s, "rmsnorm", b)
    np.testing.assert_allclose(gamma, b / s)
    assert none is None
    folded, bias = fold_rotation(seed, "linear", w, b)
    np.testing.assert_allclose(x @ folded.T + bias, rotate(y, seed), atol=1e-12)
    folded, none = fold_rotation(seed, "linear", w)
    np.testing.assert_allclose(x @ folded.T, rotate(x @ w.T, seed), atol=1e-12)
    assert none is None


@pytest.mark.parametrize("before", ["gelu", "silu", "hard-swish", "softmax", "sigmoid", "tanh"])
def test_nothing_passes_a_curve(before):
    for fold, change in ((fold_factors, [1.0]), (fold_rotation, None)):
        with pytest.raises(ValueError, match=f"{before} is not linear"):
            fold(change, before, [[1.0]])


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda: fold_factors([2.0], "linear", [[1.0]], residual=True), ValueError, "residual"),
        (lambda: fold_rotation(0, "linear", [[1.0]], residual=True), ValueError, "residual"),
        (lambda: fold_rotation(0, "layernorm", [1.0]), ValueError, "mean"),
        (lambda: fold_rotation(0, "rmsnorm", [1.0]), ValueError, "weight"),
        (lambda: fold_rotation(0, "relu", [[1.0]]), ValueError, "mixes"),
        (lambda: fold_factors([0.0], "linear", [[1.0]]), ValueError, "positive"),
        (lambda: fold_factors([1.0, 2.0], "linear", [[1.0]]), ValueError, "shape"),
        (lambda: fold_factors([1.0], "linear", [1.0]), ValueError, r"must have shape \(outputs, inputs\)"),
        (lambda: fold_factors([1.0], "layernorm", [[1.0]]), ValueError, r"must have shape \(outputs,\)"),
        (lambda: fold_factors([1.0], "linear", [[1.0]], [1.0, 2.0]), ValueError, "shape"),
        (lambda: fold_factors([1.0], "conv", [[1.0]]), ValueError, "before"),
        (lambda: rotate(1.0), ValueError, "axis"),
        (lambda: rotate(np.zeros((2, 3))), ValueError, r"^the length of the last axis must .* power"),
        (lambda: rotate(np.zeros((2, 0))), ValueError, "power of two"),
        (lambda: rotate(["a", "b"]), TypeError, "real numbers"),
        (lambda: rotate([1.0, 2.0], seed=1.5), TypeError, "seed"),
        (lambda: rotate([1.0, 2.0], seed=-1), ValueError, "seed"),
        (lambda: hadamard(2**15), ValueError, "at most"),
        (lambda: hadamard(2.0), TypeError, "n must be an integer"),
        (lambda: smooth_factors([1.0], [[1.0, 2.0]]), ValueError, "shape"),
        (lambda: smooth_factors([[1.0]], [[1.0]]), ValueError, "shape"),
        (lambda: smooth_factors([-1.0], [[1.0]]), ValueError, "negative"),
        (lambda: smooth_factors([np.nan], [[1.0]]), ValueError, "NaN"),
        (lambda: smooth_factors([1.0], [[1.0]], 1.5), ValueError, "alpha"),
        (lambda: smooth_factors([1.0], [[1.0]], "1"), TypeError, "alpha"),
    ],
)
def test_refusals(call, kind, message):
    with pytest.raises(kind, match=message):
        call()


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("seed", [None, 0])
@pytest.mark.parametrize("inverse", [False, True])
def test_what_is_not_finite_reaches_its_row_alone(dtype, seed, inverse):
    most = np.finfo(dtype).max
    for odd in ([np.inf, np.inf, 0, 0], [np.inf, -np.inf, 0, 1], [np.nan, 0, 0, 0], [most] * 4):
        found = rotate(np.array([odd, [1, 2, 3, 4]], dtype), seed, inverse)
        assert np.isfinite(found[1]).all()
        if odd[0] != most:
            assert not np.isfinite(found[0]).any()
