"""Dynamic quantization: parameters from the very data that are quantized, in one call.

Not covered: ranges chosen ahead of time, see :mod:`quantnotes.calibration`.
"""

from __future__ import annotations

from typing import Any

from numpy.typing import ArrayLike, NDArray

from quantnotes.calibration import make_params
from quantnotes.granularity import Axis
from quantnotes.grid import INT8, IntGrid
from quantnotes.mapping import QuantParams, quantize
from quantnotes.ranges import Scheme, minmax_range


def quantize_dynamic(
    x: ArrayLike, grid: IntGrid = INT8, scheme: Scheme = "asymmetric", *, axis: Axis = None
) -> tuple[NDArray[Any], QuantParams]:
    """Quantize data by their own smallest and largest value.

    Parameters
    ----------
    x : array_like
        Finite real numbers, any shape, at least one.
    grid : IntGrid, default INT8
        The codes that may be used.
    scheme : {"asymmetric", "symmetric"}, default "asymmetric"
        Which parameters are made of the range.
    axis : int or tuple of int, optional
        The axes that keep S and Z of their own: 0 for each token of an array (tokens, features).

    Returns
    -------
    codes : ndarray of ``grid.dtype``, shape of `x`
    params : QuantParams

    Raises
    ------
    TypeError
        If `x` holds no real numbers, `grid` is no IntGrid, or `axis` holds no integers.
    ValueError
        If `x` is empty or holds NaN or an infinity, `axis` is out of range, or `scheme` is unknown.

    Notes
    -----
    ONNX's DynamicQuantizeLinear is the case UINT8, one S and Z for all; it computes them in float32, so that
    Z may differ by one.

    Examples
    --------
    >>> codes, params = quantize_dynamic([[0.0, 1.0], [-3.0, 9.0]], scheme="symmetric", axis=0)
    >>> codes
    array([[  0, 127],
           [-42, 127]], dtype=int8)
    >>> params.scale * 127
    array([1., 9.])
    """
    params = make_params(minmax_range(x, axis=axis), grid, scheme, axis=axis)
    return quantize(x, params), params
