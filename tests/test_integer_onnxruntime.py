"""MatMulInteger and QLinearMatMul of ONNX Runtime, CPU: one-node models, over ten million outputs.

MatMulInteger takes all four pairs of int8 and uint8, and a zero point for each column of the second matrix;
for the first it takes one alone. QLinearMatMul takes three of the eight triples. Where a result leaves int32
ONNX Runtime wraps around, and we raise: that has a test of its own, and no part in the comparisons.
"""

import engine
import numpy as np
import pytest
from engine import GRIDS, matmul_integer, need_exact_kernel, run, saturates, zero_point
from reference import assert_same_bits

from quantnotes import INT8, UINT8, IntGrid, QuantParams, fixed_point_multiplier, int_matmul, requantize

PAIRS = [(x, w) for x in GRIDS for w in GRIDS]
TRIPLES = [("int8", "int8", "int8"), ("uint8", "int8", "uint8"), ("uint8", "uint8", "uint8")]


def saturating_kernel(qx, qw, x_params, w_params):
    """What such a kernel computes: each pair of neighbouring products is added in 16 bits."""
    products = qx.astype(int)[:, :, None] * qw.astype(int)[None]
    pairs = products[:, ::2] + products[:, 1::2]
    return np.clip(pairs, -(2**15), 2**15 - 1).sum(1)


def test_the_detection_sees_a_saturating_kernel(monkeypatch):
    monkeypatch.setattr(engine, "matmul_integer", saturating_kernel)
    assert saturates.__wrapped__("uint8", "int8")
    assert saturates.__wrapped__("uint8", "uint8")
    assert saturates.__wrapped__("int8", "int8")  # 2 * 128 * 128 = 32768, by one


def test_a_kernel_that_saturates_is_the_one_that_notebook_08_describes():
    """Runs only where there is one: its sums are those of pairs cut off at 16 bits, to the bit."""
    if not saturates("uint8", "int8"):
        pytest.skip("ONNX Runtime's uint8 x int8 kernel sums exactly on this processor")
    rng, params = np.random.default_rng(5), (QuantParams(1.0, 0, UINT8), QuantParams(1.0, 0, INT8))
    qx, qw = codes(rng, UINT8, (64, 128)), codes(rng, INT8, (128, 96))
    theirs = matmul_integer(qx, qw, *params)
    assert_same_bits(theirs, saturating_kernel(qx, qw, *params).astype(np.int32))
    assert (theirs != int_matmul(qx, qw, *params)).any()


each_pair = pytest.mark.parametrize(("x", "w"), PAIRS)


def ends(grid):
    """Zero points at both ends, and one in between."""
    return [grid.qmin, grid.qmax, (grid.qmin + grid.qmax) // 2 + 10]


def codes(rng, grid, shape):
    return rng.integers(grid.qmin, grid.qmax, shape, grid.dtype, endpoint=True)


# --- MatMulInteger ------------------------------------------------------------------------------------------


@each_pair
def test_two_million_outputs_of_random_codes(x, w):
    """Every pair of zero points at the ends and between: 9 * 512 * 512 outputs a pair of types."""
    need_exact_kernel(x, w)
    rng, compared = np.random.default_rng(PAIRS.index((x, w))), 0
    for zx in ends(GRIDS[x]):
        for zw in ends(GRIDS[w]):
            x_params, w_params = QuantParams(1.0, zx, GRIDS[x]), QuantParams(1.0, zw, GRIDS[w])
            qx, qw = codes(rng, GRIDS[x], (512, 64)), codes(rng, GRIDS[w], (64, 512))
            found = int_matmul(qx, qw, x_params, w_params)
            assert_same_bits(found, matmul_integer(qx, qw, x_params, w_params))
            compared += found.size
    assert compared >= 10**6


def test_weights_of_seven_bits_are_exact_on_every_processor():
    """The remedy, ONNX Runtime's reduce_range: 2 * 255 * 64 fits 16 bits, so that no kernel may saturate."""
    rng, grid = np.random.default_rng(6), IntGrid.of(7)
    for zx in ends(UINT8):
        for zw in ends(grid):
            x_params, w_params = QuantParams(1.0, zx, UINT8), QuantParams(1.0, zw, grid)
            qx, qw = codes(rng, UINT8, (512, 64)), codes(rng, grid, (64, 512))
            qx[:8], qw[:, :8], qw[:, 8:16] = 255, grid.qmin, grid.qmax
            assert_same_bits(
                int_matmul(qx, qw, x_params, w_params), matmul_integer(qx, qw, x_params, w_params)
            )


@each_pair
def test_a_zero_point_for_each_column(x, w):
    need_exact_kernel(x, w)
    rng = np.random.default_rng(10 + PAIRS.index((x, w)))
    for zx in ends(GRIDS[x]):
        x_params = QuantParams(1.0, zx, GRIDS[x])
        w_params = QuantParams(np.ones(200), codes(rng, GRIDS[w], 200), GRIDS[w], axis=-1)
        qx, qw = codes(rng, GRIDS[x], (300, 70)), codes(rng, GRIDS[w], (70, 200))
        assert_same_bits(int_matmul(qx, qw, x_params, w_params), matmul_integer(qx, qw, x_params, w_params))


@each_pair
@pytest.mark.parametrize("k", [1, 2, 3, 4, 5, 31, 32, 33, 257, 4096, 65_536])
def test_every_k_with_codes_at_the_ends_alone(x, w, k):
    """Each code is qmin or qmax, and so is each zero point: all extremes whose results stay in int32."""
    need_exact_kernel(x, w)
    rng, compared, left_out = np.random.default_rng(k), 0, 0
    for zx in [*ends(GRIDS[x]), 0]:
        for zw in [*ends(GRIDS[w]), 0]:
            x_params, w_params = QuantParams(1.0, zx, GRIDS[x]), QuantParams(1.0, zw, GRIDS[w])
            qx = rng.choice([GRIDS[x].qmin, GRIDS[x].qmax], (7, k)).astype(GRIDS[x].dtype)
            qw = rng.choice([GRIDS[w].qmin, GRIDS[w].qmax], (k, 9)).astype(GRIDS[w].dtype)
            qx[0], qx[1], qw[:, 0], qw[:, 1] = GRIDS[x].qmin, GRIDS[x].qmax, GRIDS[w].qmin, GRIDS[w].qmax
            farthest = [max(abs(end - z) for end in (grid.qmin, grid.qmax))
                        for grid, z in ((GRIDS[x], zx), (GRIDS[w], zw))]  # fmt: skip
            if k * farthest[0] * farthest[1] > np.iinfo(np.int32).max:
                left_out += 1
                continue
            found = int_matmul(qx, qw, x_params, w_params)
            assert_same_bits(found, matmul_integer(qx, qw, x_params, w_params))
            compared += found.size
    assert compared >= (63 if k == 65_536 else 63 * 16)
    assert left_out == 0 or k == 65_536


def test_where_a_result_leaves_int32_onnxruntime_wraps_and_we_raise():
    need_exact_kernel("uint8", "uint8")
    q, params = np.full((1, 65_536), 255, np.uint8), QuantParams(1.0, 0, UINT8)
    exact = 65_536 * 255 * 255
    wrapped = matmul_integer(q, q.T.copy(), params, params).item()
    assert wrapped == (exact + 2**31) % 2**32 - 2**31 == -33_488_896
    with pytest.raises(ValueError, match=f"1 of 1 results leave int32: the farthest, {exact}, by"):
        int_matmul(q, q.T, params, params)


def test_leading_axes_are_batches():
    need_exact_kernel("uint8", "int8")
    rng = np.random.default_rng(30)
    qx, qw = codes(rng, UINT8, (3, 2, 5, 40)), codes(rng, INT8, (2, 40, 6))
    x_params, w_params = QuantParams(1.0, 131, UINT8), QuantParams(1.0, -7, INT8)
    assert_same_bits(int_matmul(qx, qw, x_params, w_params), matmul_integer(qx, qw, x_params, w_params))


# --- QLinearMatMul ------------------------------------------------------------------------------------------


def qlinear_matmul(qx, qw, x_params, w_params, y_params):
    inputs = [value for q, params in ((qx, x_params), (qw, w_params))
              for value in (q, np.float32(params.scale), zero_point(params))]  # fmt: skip
    inputs += [np.float32(y_params.scale), zero_point(y_params)]
    return run("QLinearMatMul", [np.asarray(value) for value in inputs], y_params.grid.dtype.name)


def ours(qx, qw, x_params, w_params, y_params):
    m0, shift = fixed_point_multiplier(x_params.scale * w_params.scale / y_params.scale)
    acc = int_matmul(qx, qw, x_params, w_params)
    return requantize(acc, m0, shift, y_params.zero_point, y_params.grid)


def layer(rng, triple, zero_points, scales, shape=(512, 48, 512)):
    (rows, k, columns), (x, w, y) = shape, (GRIDS[name] for name in triple)
    params = [QuantParams(float(np.float32(s)), z, g)
              for s, z, g in zip(scales, zero_points, (x, w, y), strict=True)]  # fmt: skip
    return codes(rng, x, (rows, k)), codes(rng, w, (k, columns)), *params


each_triple = pytest.mark.parametrize("triple", TRIPLES, ids="-".join)


@each_triple
def test_powers_of_two_agree_on_every_code_ties_among_them(triple):
    """m = 2**-10 is exact in float32 and in fixed point, and every accumulator too: 4 * 512 * 512 outputs."""
    need_exact_kernel(*triple[:2])
    rng, ties = np.random.default_rng(40), 0
    for i in range(4):
        zeros = [(GRIDS[name].qmin, GRIDS[name].qmax)[i // (j + 1) % 2] for j, name in enumerate(triple)]
        arguments = layer(rng, triple, zeros, (0.5, 0.25, 128.0))
        assert_same_bits(ours(*arguments), qlinear_matmul(*arguments))
        ties += np.count_nonzero(int_matmul(*arguments[:4]) % 1024 == 512)
    assert ties > 100


@each_triple
def test_other_scales_differ_by_one_code_and_only_next_to_ties(triple):
    """ONNX Runtime scales the accumulator in float32, with 24 digits; m0 has 31.

    Where they differ, acc * m lies so near to the middle between two codes that 24 digits cannot tell on
    which side. float64 can tell, and sides with ours. When this was written 1, 8 and 16 of the 5,242,880
    outputs of the three triples differed.
    """
    need_exact_kernel(*triple[:2])
    rng, compared, differing = np.random.default_rng(50 + TRIPLES.index(triple)), 0, 0
    for _ in range(20):
        zeros = [(GRIDS[name].qmin + GRIDS[name].qmax) // 2 + int(rng.integers(-9, 9)) for name in triple]
        sx, sw, steps = rng.uniform(0.01, 0.1), rng.uniform(0.01, 0.1), rng.uniform(400, 800)
        scales = (sx, sw, sx * sw * steps)
        _, _, x_params, w_params, y_params = arguments = layer(rng, triple, zeros, scales)
        found, theirs = ours(*arguments), qlinear_matmul(*arguments)
        step = found.astype(int) - theirs
        assert np.abs(step).max() <= 1
        where = step != 0
        exact = int_matmul(*arguments[:4])[where] * (x_params.scale * w_params.scale / y_params.scale)
        np.testing.assert_array_less(np.abs(exact - np.floor(exact) - 0.5), 2.0**-22 * np.abs(exact))
        np.testing.assert_array_equal(found[where], np.rint(exact) + y_params.zero_point)
        compared, differing = compared + found.size, differing + np.count_nonzero(step)
        assert len(np.unique(found)) == 256
    assert compared >= 5 * 10**6
    assert differing <= 1e-5 * compared


@each_triple
def test_a_scale_for_each_column(triple):
    need_exact_kernel(*triple[:2])
    rng = np.random.default_rng(60)
    x, w, y = (GRIDS[name] for name in triple)
    x_params, y_params = QuantParams(0.5, x.qmax, x), QuantParams(128.0, y.qmin + 100, y)
    w_params = QuantParams(2.0 ** rng.integers(-4, 2, 96), codes(rng, w, 96), w, axis=-1)
    arguments = codes(rng, x, (64, 48)), codes(rng, w, (48, 96)), x_params, w_params, y_params
    assert_same_bits(ours(*arguments), qlinear_matmul(*arguments))
