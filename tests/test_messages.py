"""What an error says: which argument, what it held, and what to do; word for word, since people read it.

Only the modules that everything goes through; a message of the others is tested where its error is.
"""

import numpy as np
import pytest

from quantnotes import (
    INT8,
    UINT8,
    Calibrator,
    Histogram,
    QuantParams,
    asymmetric_params,
    code_ledger,
    dequantize,
    fake_quantize,
    int_matmul,
    minmax_range,
    percentile_range,
    quantize,
    symmetric_params,
)

P = QuantParams(0.1, 3, INT8)
NAN = [0.0, np.nan, np.nan]
NO_CODE = "x holds 2 NaN among 3 values: NaN has no code; replace them first"
HALF_SCALES = {"scale": [1.0, 2.0], "zero_point": [0], "grid": INT8}
EMPTY = "x is empty: there is no range to take"

MESSAGES = [
    # mapping
    (lambda: quantize([1.0], 3), TypeError, "params must be a QuantParams, got int"),
    (
        lambda: QuantParams(1.0, 0, 8),
        TypeError,
        "grid must be an IntGrid, such as INT8, or one of quantnotes.formats, got 8",
    ),
    (lambda: QuantParams("1", 0, INT8), TypeError, "scale must hold real numbers, got dtype <U1"),
    (lambda: QuantParams(1.0, "0", INT8), TypeError, "zero_point must hold real numbers, got dtype <U1"),
    (lambda: QuantParams(0.0, 0, INT8), ValueError, "scale must be finite and at least 2**-126, got 0.0"),
    (lambda: QuantParams(1.0, 0.5, INT8), ValueError, "zero_point must be an integer, got 0.5"),
    (
        lambda: QuantParams(1.0, 200, INT8),
        ValueError,
        "zero_point must be between -128 and 127, got 200: a range that holds 0 puts it there",
    ),
    (
        lambda: QuantParams([1.0], [0], INT8),
        ValueError,
        "several scales or zero points need axis=, the channel axis they belong to",
    ),
    (
        lambda: QuantParams(**HALF_SCALES, axis=0),
        ValueError,
        "with axis, scale and zero_point are 1-D and of one length, got shapes (2,) and (1,)",
    ),
    (
        lambda: QuantParams(**HALF_SCALES, axis=0, block_size=2),
        ValueError,
        "with axis, scale and zero_point are of one shape, an entry a block, got shapes (2,) and (1,)",
    ),
    (
        lambda: quantize(NAN, P),
        ValueError,
        "x holds 2 NaN among 3 values: NaN has no code; replace them first",
    ),
    (lambda: fake_quantize(NAN, P), ValueError, NO_CODE),
    (
        lambda: quantize(np.float32(1), QuantParams(1e300, 0, INT8)),
        ValueError,
        "scale 1e+300 overflows float32: use float64 data",
    ),
    (
        lambda: quantize([1.0, 2.0], QuantParams([1.0], [0], INT8, axis=0)),
        ValueError,
        "the data have 2 channels along axis 0, params have 1",
    ),
    (
        lambda: quantize(np.ones((2, 5)), QuantParams(np.ones((2, 2)), np.zeros((2, 2)), INT8, 1, 2)),
        ValueError,
        "data of shape (2, 5) in blocks of 2 along axis 1 need scales of shape (2, 3), params have (2, 2)",
    ),
    (
        lambda: quantize([1.0], P, out=[0]),
        TypeError,
        "out must be an array that holds int8 safely, got <class 'list'>",
    ),
    (
        lambda: quantize([1.0], P, out=np.zeros(1, np.uint8)),
        TypeError,
        "out must be an array that holds int8 safely, got uint8",
    ),
    (lambda: quantize([1.0], P, out=np.zeros(2, np.int8)), ValueError, "out must have shape (1,), got (2,)"),
    (lambda: quantize([1.0], P, out=np.broadcast_to(np.int8(0), 1)), ValueError, "out is read-only"),
    (
        lambda: dequantize([1], P, dtype=np.int8),
        TypeError,
        "dtype must be float16, float32 or float64, got int8",
    ),
    (lambda: dequantize("1", P), TypeError, "q must hold real numbers, got dtype <U1"),
    (lambda: dequantize([1.0], P), TypeError, "q must hold integers, got dtype float64"),
    (lambda: dequantize([0, 300], P), ValueError, "q must lie in -128..127, got integers from 0 to 300"),
    (lambda: dequantize([300, 300], P), ValueError, "q must lie in -128..127, got 300"),
    # asymmetric, symmetric
    (lambda: asymmetric_params("0", 1.0), TypeError, "rmin must hold real numbers, got dtype <U1"),
    (lambda: asymmetric_params(0.0, "1"), TypeError, "rmax must hold real numbers, got dtype <U1"),
    (
        lambda: asymmetric_params([0.0], [1.0]),
        ValueError,
        "with axis=None rmin and rmax must be numbers, got shape (1,)",
    ),
    (
        lambda: asymmetric_params(0.0, 1.0, axis=0),
        ValueError,
        "with axis=0 rmin and rmax must be 1-D arrays, one entry a channel, got shape ()",
    ),
    (
        lambda: asymmetric_params([0.0], [1.0, 2.0], axis=0),
        ValueError,
        "rmin and rmax must have one shape, got (1,) and (2,)",
    ),
    (lambda: asymmetric_params(0.0, np.inf), ValueError, "rmin and rmax must be finite, got 0.0 and inf"),
    (lambda: asymmetric_params(1.0, 0.5), ValueError, "rmin must not exceed rmax, got 1.0 and 0.5"),
    (
        lambda: asymmetric_params(0.0, 1.0, anchor="mid"),
        ValueError,
        'anchor must be "max" or "min", got \'mid\'',
    ),
    (
        lambda: symmetric_params(-1.0, 2.0, UINT8),
        ValueError,
        "rmin is -1.0, but the grid 0..255 reaches less far below 0 than above: use a signed grid, or "
        "asymmetric_params",
    ),
    # ranges
    (
        lambda: minmax_range(np.ma.masked_array([1.0])),
        TypeError,
        "x is a masked array: fill it or select its valid values first",
    ),
    (lambda: minmax_range(["a"]), TypeError, "x must hold real numbers, got dtype <U1"),
    (
        lambda: minmax_range([1.0], axis="a"),
        TypeError,
        "axis must be an integer, a tuple of them, or None, got 'a'",
    ),
    (
        lambda: minmax_range([1.0], axis=1),
        ValueError,
        "axis 1 is out of range for an array of 1 dimensions",
    ),
    (
        lambda: minmax_range([1.0], axis=0, block_size=1.0),
        TypeError,
        "block_size must be an integer, a tuple of them, or None, got 1.0",
    ),
    (lambda: minmax_range([1.0], axis=0, block_size=0), ValueError, "block_size must be at least 1, got 0"),
    (
        lambda: minmax_range([1.0], block_size=2),
        ValueError,
        "block_size needs axis=, the axis that is cut into blocks",
    ),
    (lambda: minmax_range([1.0], nan="drop"), ValueError, 'nan must be "raise" or "ignore", got \'drop\''),
    (
        lambda: minmax_range(NAN),
        ValueError,
        'x holds 2 NaN among 3 values: drop them, or pass nan="ignore"',
    ),
    (
        lambda: minmax_range([1.0, np.inf]),
        ValueError,
        "x holds an infinity (min 1.0, max inf): a range must be finite",
    ),
    (lambda: minmax_range([]), ValueError, EMPTY),
    (lambda: code_ledger(NAN, P), ValueError, "x holds 2 NaN among 3 values: drop them first"),
    (lambda: code_ledger([], P), ValueError, EMPTY),
    (lambda: minmax_range(np.ones((0, 3)), axis=0), ValueError, EMPTY),
    (lambda: percentile_range(np.ones((0, 3)), axis=0), ValueError, EMPTY),
    (lambda: minmax_range([np.nan], nan="ignore"), ValueError, "x holds nothing but NaN"),
    (
        lambda: minmax_range([[np.nan, np.nan, 1.0]], axis=1, block_size=2, nan="ignore"),
        ValueError,
        "a group of x holds nothing but NaN",
    ),
    # histogram
    (lambda: Histogram("8"), TypeError, "max_bins must be an integer, got '8'"),
    (lambda: Histogram(1), ValueError, "max_bins must be 2 (one for each sign) to 16777216, got 1"),
    (lambda: Histogram().merge([1.0]), TypeError, "other must be a Histogram, got list"),
    (
        lambda: Histogram(8).merge(Histogram(16)),
        ValueError,
        "max_bins differ: 8 and 16; bins would not be comparable",
    ),
    (lambda: percentile_range(Histogram()), ValueError, "the histogram is empty: there is no range to take"),
    (
        lambda: percentile_range(Histogram().update([1.0]), axis=0),
        ValueError,
        "a Histogram has no channels: keep one for each, as Calibrator does with axis=",
    ),
    # names that are not the usual ones
    (lambda: Calibrator("minmax").observe("a"), TypeError, "batch must hold real numbers, got dtype <U1"),
    (lambda: int_matmul([1], [1], P, 3), TypeError, "w_params must be a QuantParams, got int"),
]


@pytest.mark.parametrize(("call", "kind", "message"), MESSAGES, ids=[message for _, _, message in MESSAGES])
def test_message(call, kind, message):
    with pytest.raises(kind) as caught:
        call()
    assert type(caught.value) is kind
    assert str(caught.value) == message


def test_message_of_a_ragged_list_begins_with_the_argument():
    """NumPy's own words follow, which may change."""
    with pytest.raises(TypeError, match=r"^x is not a rectangular array of numbers: .*shape"):
        minmax_range([[1.0, 2.0], [3.0]])
