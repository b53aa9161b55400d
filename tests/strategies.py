"""What the tests draw from: Hypothesis strategies, and the odd layouts and types every function meets."""

import math

import ml_dtypes
import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from quantnotes import IntGrid, QuantParams

MIN_SCALE = 2.0**-126

# --- strategies ---------------------------------------------------------------------------------------------

named_grids = st.builds(
    lambda bits, kind: IntGrid.of(bits, signed=kind != "unsigned", narrow=kind == "narrow"),
    st.one_of(st.integers(2, 8), st.integers(9, 16)),
    st.sampled_from(["signed", "unsigned", "narrow"]),
)
lopsided_grids = st.builds(IntGrid, st.integers(-300, 0), st.integers(1, 300))
grids = st.one_of(named_grids, lopsided_grids)
mirror_grids = st.builds(lambda bits: IntGrid.of(bits, narrow=True), st.integers(2, 16))

powers_of_two = st.integers(-100, 60).map(lambda k: math.ldexp(1.0, k))
moderate_scales = st.floats(1e-3, 1e3)
scales = st.one_of(moderate_scales, powers_of_two, st.floats(MIN_SCALE, 1e30))


@st.composite
def tensor_params(draw, grids=grids, scales=scales):
    """Per-tensor parameters, zero point anywhere in the grid, its ends included."""
    grid = draw(grids)
    zero_point = draw(
        st.one_of(st.sampled_from([grid.qmin, 0, grid.qmax]), st.integers(grid.qmin, grid.qmax))
    )
    return QuantParams(draw(scales), zero_point, grid)


@st.composite
def _channel_params(draw, grid, channels, axis):
    """Parameters of a matrix: one zero point, or one a channel, often at an end of the grid."""
    zero_points = st.one_of(st.sampled_from([grid.qmin, 0, grid.qmax]), st.integers(grid.qmin, grid.qmax))
    if not channels or draw(st.booleans()):
        return QuantParams(1.0, draw(zero_points), grid)
    many = draw(st.lists(zero_points, min_size=channels, max_size=channels))
    return QuantParams(np.ones(channels), many, grid, axis=axis)


@st.composite
def matmuls(draw):
    """Codes (M, K) and (K, N) with their parameters, per tensor or per row and column; results in int32."""
    m, k, n = (draw(st.integers(0, 5)) for _ in range(3))
    sides = []
    for shape, axis in (((m, k), 0), ((k, n), draw(st.sampled_from([1, -1])))):
        grid = draw(st.one_of(st.sampled_from([IntGrid.of(8), IntGrid.of(8, signed=False)]), grids))
        if grid.codes > 2**13:  # five products of 2**13 by 2**16 stay inside int32
            grid = IntGrid(max(grid.qmin, -4000), min(grid.qmax, 4000))
        codes = st.one_of(st.sampled_from([grid.qmin, grid.qmax]), st.integers(grid.qmin, grid.qmax))
        q = hnp.arrays(grid.dtype, shape, elements=codes)
        sides.append((draw(q), draw(_channel_params(grid, shape[axis], axis))))
    (qx, x_params), (qw, w_params) = sides
    return qx, qw, x_params, w_params


float32s = st.floats(width=32, allow_nan=False, allow_infinity=False)
moderate_float32s = st.floats(-(2.0**17), 2.0**17, width=32)


def arrays(elements, dtype=np.float32, min_size=0, max_size=40):
    """1-D arrays; Hypothesis' own 'fill' would make them mostly constant."""
    return st.lists(elements, min_size=min_size, max_size=max_size).map(lambda v: np.array(v, dtype))


@st.composite
def values_with_params(draw):
    """Parameters, and values that fall on codes, on ties, next to ties, and beyond the ends."""
    params = draw(tensor_params())
    span = params.grid.codes
    steps = st.one_of(
        st.integers(-span, span).map(lambda n: n / 2),
        st.floats(-span, span),
    )
    x = np.array(draw(st.lists(steps, min_size=1, max_size=30))) * params.scale
    x = x.astype(draw(st.sampled_from([np.float32, np.float64])))
    towards = draw(st.sampled_from([None, -np.inf, np.inf]))
    return (x if towards is None else np.nextafter(x, x.dtype.type(towards))), params


def intervals(bound=1e300):
    """Pairs rmin <= rmax of every magnitude, with and without 0 inside, now and then a single point."""
    ends = st.one_of(st.floats(-10, 10), st.floats(-bound, bound), st.sampled_from([0.0, -0.0, 1e-40, -1e-8]))
    return st.tuples(ends, ends).map(lambda pair: (min(pair), max(pair)))


@st.composite
def near_edges(draw):
    """A float64 on a power-of-two grid, or its neighbour: what a bin edge looks like."""
    value = math.ldexp(draw(st.integers(-70, 70)), draw(st.integers(-5, 5)))
    return float(np.nextafter(value, draw(st.sampled_from([value, -np.inf, np.inf]))))


tiny_and_huge = st.sampled_from(
    [
        0.0,
        -0.0,
        5e-324,
        -5e-324,
        -1e-300,
        1e-300,
        2.0**-1022,
        1e300,
        -1e300,
        1.7976931348623157e308,
        -1.7e308,
        1e20,
    ]
)
histogram_values = st.one_of(
    near_edges(),
    st.integers(-9, 9).map(float),
    tiny_and_huge,
    st.floats(allow_nan=False, allow_infinity=False),
)
histogram_lists = st.one_of(
    st.lists(near_edges(), max_size=40),
    st.lists(st.integers(-9, 9).map(float), max_size=40),
    st.lists(histogram_values, max_size=40),
)
few_bins = st.sampled_from([2, 3, 4, 5, 7, 8, 16, 64])
int_or_float_arrays = st.one_of(
    arrays(st.floats(-1e6, 1e6), np.float64, min_size=1),
    arrays(st.integers(-20, 20), np.int64, min_size=1),
    arrays(st.floats(-1e3, 1e3, width=32), np.float32, min_size=1),
    hnp.arrays(np.int8, st.integers(1, 40)),
)
keeps = st.one_of(st.sampled_from([0.5, 0.75, 0.9, 0.99, 1.0]), st.integers(1, 64).map(lambda k: k / 64))

# --- layouts: the same values, laid out otherwise -----------------------------------------------------------


def _strided(x):
    wide = np.full((*x.shape[:-1], 2 * x.shape[-1]), 99, x.dtype)
    wide[..., ::2] = x
    return wide[..., ::2]


def _read_only(x):
    x = x.copy()
    x.flags.writeable = False
    return x


def _unaligned(x):
    y = np.ndarray(x.shape, x.dtype, buffer=bytearray(x.nbytes + 1), offset=1)
    y[...] = x
    return y


LAYOUTS = {
    "fortran": np.asfortranarray,
    "permuted": lambda x: np.moveaxis(np.moveaxis(x, 0, -1).copy(), -1, 0),
    "strided": _strided,
    "reversed": lambda x: x[::-1].copy()[::-1],
    "reversed-last": lambda x: x[..., ::-1].copy()[..., ::-1],
    "read-only": _read_only,
    "big-endian": lambda x: x.astype(x.dtype.newbyteorder(">")),
    "unaligned": _unaligned,
}

# --- types that are no numbers of ours ----------------------------------------------------------------------

BAD_TYPES = {
    "masked": np.ma.masked_array([1.0, 2.0], [False, True]),
    "object": np.array([1.0, None], dtype=object),
    "complex": np.array([1 + 0j]),
    "str": np.array(["1", "2"]),
    "text": "1.5",
    "bytes": np.array([b"1"]),
    "datetime": np.array(["2024-01-01"], "datetime64[D]"),
    "timedelta": np.array([1], "timedelta64[s]"),
    "ragged": [[1.0, 2.0], [3.0]],
    "structured": np.zeros(2, [("a", "f4")]),
    "none": None,
}

FLOAT_TYPES = [np.float16, ml_dtypes.bfloat16, np.float32, np.float64, np.longdouble]
_ML_TYPES = [getattr(ml_dtypes, name) for name in sorted(dir(ml_dtypes)) if name[-1].isalnum()]
_ML_TYPES = [t for t in _ML_TYPES if isinstance(t, type) and issubclass(t, np.generic)]
ML_INTEGERS = [t for t in _ML_TYPES if "int" in t.__name__]
ML_FLOATS = [t for t in _ML_TYPES if "float" in t.__name__]

# --- whatever a caller may pass: for tests/test_fuzz.py -----------------------------------------------------

NUMBER_TYPES = [bool, *(f"{kind}{size}" for kind in ("int", "uint") for size in (8, 16, 32, 64))]
NUMBER_TYPES = [np.dtype(t) for t in [*NUMBER_TYPES, *FLOAT_TYPES, *ML_FLOATS]]
SPECIAL_FLOATS = [0.0, -0.0, 0.5, -1.5, 2.5, 0.49999997, 127.5, -128.5, 1e-8, 5e-324, -1e-300, 1e-45,
                  MIN_SCALE, 1e5, -65504.0, 1e20, 2.0**24, 2.0**63, -3.4028235e38, 1e39, 1e300,
                  -1.7976931348623157e308]  # fmt: skip


def _pool(dtype):
    """A few numbers, among them those at which code breaks; NaN and infinities come on top."""
    if dtype.kind == "b":
        return st.booleans()
    if dtype.kind in "iu":
        info = np.iinfo(dtype)
        return st.sampled_from([info.min, info.max, 0, 1, info.max // 2]) | st.integers(info.min, info.max)
    return (
        st.sampled_from(SPECIAL_FLOATS)
        | st.floats(-10, 10)
        | st.floats(allow_nan=False, allow_infinity=False)
    )


@st.composite
def number_arrays(draw, dtypes=NUMBER_TYPES, max_dims=4):
    """Arrays of any number type, shape, layout and byte order; now and then with NaN or infinities."""
    dtype = draw(st.sampled_from(dtypes))
    pool = draw(st.lists(_pool(dtype), min_size=1, max_size=6))
    if dtype.kind not in "biu" and draw(st.integers(0, 5)) == 0:
        pool += draw(st.sampled_from([[np.nan], [np.inf], [-np.inf], [np.nan, np.inf]]))
    shape = draw(st.lists(st.sampled_from([1, 2, 3, 5, 7, 0]), max_size=max_dims))
    picks = np.random.default_rng(draw(st.integers(0, 99))).integers(0, len(pool), shape)
    with np.errstate(all="ignore"):
        x = np.asarray(np.array(pool).astype(dtype)[picks])
    if x.size and x.ndim:
        x = LAYOUTS.get(draw(st.sampled_from(["plain", *LAYOUTS])), lambda same: same)(x)
        if draw(st.integers(0, 9)) == 0:
            x = np.broadcast_to(x[:1], x.shape)  # a stride of 0
    return x


no_numbers = st.sampled_from([*BAD_TYPES.values(), np.zeros(2, ml_dtypes.complex32), 2**70, {}, {1.0}, len])
nested_lists = st.recursive(
    st.floats(-9, 9) | st.integers(-9, 9), lambda s: st.lists(s, max_size=3), max_leaves=6
)
anything = st.one_of(
    number_arrays(), number_arrays(), number_arrays(), number_arrays(), nested_lists, no_numbers
)


def seldom(usual, odd):
    """One in eight of the odd kind, so that what follows it is reached as well."""
    return st.integers(0, 7).flatmap(lambda k: usual if k else odd)


odd_scalars = st.sampled_from(
    [None, True, "1", 1.5, np.nan, np.inf, -1, 0, 2**70, [1], np.ones(2), 1j, np.int8(-128)]
)
any_grid = seldom(grids, odd_scalars)
