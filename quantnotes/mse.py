"""The range of least squared error: every candidate is priced with the parameters that it would really get.

What is minimised is the sum of rounding and clipping error, not S**2 / 12, which is wrong as soon as a step
is no longer small against the spread of the data. Left out: any weight for what the error does downstream.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from quantnotes.asymmetric import asymmetric_params
from quantnotes.checks import FLOAT64, NanPolicy, some_finite_data
from quantnotes.granularity import Axis, BlockSize
from quantnotes.grid import INT8, IntGrid, check_grid
from quantnotes.histogram import Histogram, range_of
from quantnotes.mapping import QuantParams
from quantnotes.ranges import Range
from quantnotes.symmetric import symmetric_params

Scheme = Literal["asymmetric", "symmetric"]
Array = NDArray[Any]

_EXACT = 2048  # an array of up to so many values is searched as it is, a longer one by its histogram
_ENDS = 65  # candidates on each side in the first, coarse look
_STARTS = 6  # pairs of ends around which the search looks closer
_CLOSER = 4  # times as close at each turn
_OFFSETS = np.arange(-_CLOSER, _CLOSER + 1)
_TINY = 2.0**-1000  # a scale that no longer shows beside a magnitude of 1
_CELLS = 1 << 17  # candidates times values priced together: what the loop needs stays in the cache


def check_scheme(scheme: object) -> None:
    """Raise ValueError unless `scheme` is "asymmetric" or "symmetric"."""
    if scheme not in ("asymmetric", "symmetric"):
        raise ValueError(f'scheme must be "asymmetric" or "symmetric", got {scheme!r}')


def mse_range(
    x: ArrayLike | Histogram,
    grid: IntGrid = INT8,
    scheme: Scheme = "asymmetric",
    *,
    axis: Axis = None,
    block_size: BlockSize = None,
    nan: NanPolicy = "raise",
) -> Range:
    """Return the range whose parameters give the least mean squared error, inside the data's own.

    Parameters
    ----------
    x : array_like or Histogram
        Finite real numbers, any shape. An array of more than 2048 values is counted into a `Histogram` of
        2048 bins first.
    grid : IntGrid, default INT8
        The codes that may be used.
    scheme : {"asymmetric", "symmetric"}, default "asymmetric"
        Which parameters will be made of the range.
    axis : int or tuple of int, optional
        The axes of an array that keep ranges of their own: one for each index along them.
    block_size : int or tuple of int, optional
        Cut `axis` into blocks of this many values: a range for each block.
    nan : {"raise", "ignore"}, default "raise"
        What to do about NaN in an array.

    Returns
    -------
    Range
        Asymmetric: a pair of ends, each an edge of the histogram. Symmetric: ``Range(-a, a)``, or
        ``Range(0, a)`` on a grid that reaches less far below 0 than above.

    Raises
    ------
    TypeError
        If `x` holds no real numbers, or `grid` is no IntGrid.
    ValueError
        If `x` is empty or not finite, `scheme` is unknown, or a symmetric grid has no room for the
        negative values that are there.

    Notes
    -----
    The error of a candidate is that of `asymmetric_params` or `symmetric_params`, Z rounded and values
    clipped, integrated over each bin as if its values were spread evenly; on the single values of a short
    array it is exact. With up to 65 edges on each side of 0, and for every symmetric clip, all candidates
    are tried; otherwise 65 by 65 of them, and ever closer ones around the best six. Nothing is assumed of
    the place of the best clip: with few codes it can be far below half of the largest value.

    Examples
    --------
    >>> x = np.random.default_rng(0).standard_normal(100_000)
    >>> -2.4 < mse_range(x, IntGrid.of(3, narrow=True), "symmetric").rmin < -1.6
    True
    """
    check_grid(grid)
    check_scheme(scheme)

    def one(channel: Array | Histogram) -> tuple[float, float]:
        if isinstance(channel, Histogram):
            h, mass = channel, _Mass.of_bins(channel)
        else:
            data, _, _ = some_finite_data(channel, nan)
            h = Histogram().update(data)
            mass = _Mass.of_values(data) if data.size <= _EXACT else _Mass.of_bins(h)
        edges = _edges(h)
        if scheme == "asymmetric":
            return _best_pair(mass, edges, grid)
        return _best_clip(mass, edges, grid)

    return range_of(x, axis, nan, one, block_size)


def _edges(h: Histogram) -> Array:
    """Return the bins' edges, the outermost drawn in to the data's own min and max."""
    edges = h.edges
    edges[0], edges[-1] = h.min, h.max
    return edges


@dataclass(frozen=True)
class _Mass:
    """Values as the search sees them: a density, constant between edges, and single points with weights.

    All are in units of 2**exponent, a power of two near the largest magnitude, so that no cube overflows.
    """

    edges: Array  # where the density changes
    drops: Array  # by how much it falls there
    points: Array
    weights: Array
    exponent: int

    @classmethod
    def of_values(cls, x: Array) -> _Mass:
        points, weights = np.unique(x.astype(FLOAT64), return_counts=True)
        exponent = math.frexp(max(-points[0], points[-1]))[1]
        nothing = np.zeros(0)
        return cls(nothing, nothing, np.ldexp(points, -exponent), weights.astype(FLOAT64), exponent)

    @classmethod
    def of_bins(cls, h: Histogram) -> _Mass:
        exponent = math.frexp(max(-h.min, h.max))[1]
        edges, counts = np.ldexp(_edges(h), -exponent), h.counts.astype(FLOAT64)
        widths = np.diff(edges)
        # A bin that is nearly a point (outermost ones are drawn in) has a density that would lose all digits.
        spread = widths > max(2.0**-10 * widths.max(), 2.0**-30)
        density = np.divide(counts, widths, out=np.zeros(counts.size), where=spread)
        drops = -np.diff(density, prepend=0.0, append=0.0)
        there = drops != 0
        points = (edges[:-1] + edges[1:])[~spread] / 2
        return cls(edges[there], drops[there], points, counts[~spread], exponent)

    def squared_error(self, params: QuantParams) -> Array:
        """Return the summed squared error under each of the parameters, one pair a candidate.

        With k = clip(rint(r / S)), the antiderivative of the squared error (r - k S)**2 is
        k S**3 / 12 + (r - k S)**3 / 3: a whole step adds S**3 / 12, and the last one grows as a cube.
        """
        low, high = params.grid.qmin - params.zero_point, params.grid.qmax - params.zero_point
        with np.errstate(over="ignore"):
            # All magnitudes are at most 1: a scale of 4 sends them all to 0, as any larger one would.
            scale = np.clip(np.ldexp(params.scale, -self.exponent), _TINY, 4.0)

        def rounded(r: Array, part: slice) -> tuple[Array, Array]:
            """Return the error and the code, less Z, of each value in r under each candidate of a part."""
            s = scale[part, None]
            with np.errstate(over="ignore"):
                k = np.clip(np.rint(r / s), low[part, None], high[part, None])
            return r - k * s, k

        total = np.empty(scale.size)
        step = max(1, _CELLS // max(self.edges.size, self.points.size))
        for i in range(0, scale.size, step):
            part = slice(i, i + step)
            e, k = rounded(self.edges, part)
            inside = np.sum((k * (scale[part, None] ** 3 / 12) + e * e * e / 3) * self.drops, axis=1)
            e, _ = rounded(self.points, part)
            total[part] = inside + np.sum(e * e * self.weights, axis=1)  # no BLAS: the same on any machine
        return total


def _best_clip(mass: _Mass, edges: Array, grid: IntGrid) -> tuple[float, float]:
    """Try every magnitude of an edge as the clip; of equally good ones take the widest."""
    one_sided = grid.qmin > -grid.qmax
    if one_sided:
        symmetric_params(float(edges[0]), float(edges[-1]), grid)  # raises where negative values have no room
    clips = np.unique(np.abs(edges))[::-1]
    if clips.size > 1 and clips[-1] == 0:
        clips = clips[:-1]  # a clip of 0 would leave nothing
    lows = np.zeros(clips.size) if one_sided else -clips
    best = int(np.argmin(mass.squared_error(symmetric_params(lows, clips, grid, axis=0))))
    return 0.0 if one_sided else 0.0 - float(clips[best]), float(clips[best])


def _best_pair(mass: _Mass, edges: Array, grid: IntGrid) -> tuple[float, float]:
    """Try pairs of ends on both sides of 0: all of them, or a coarse choice and ever closer ones."""
    lows = edges[edges <= 0] if edges[0] <= 0 else edges[:1]
    highs = edges[edges >= 0][::-1] if edges[-1] >= 0 else edges[-1:]  # both from the outside inwards

    def errors(pairs: Array) -> Array:
        low, high = lows[pairs[:, 0]], highs[pairs[:, 1]]
        nothing = (low == 0) & (high == 0)  # such a pair has no scale of its own
        params = asymmetric_params(low, np.where(nothing, highs[0], high), grid, axis=0)
        return np.where(nothing, np.inf, mass.squared_error(params))

    sizes = np.array([lows.size, highs.size])
    first = [np.rint(np.linspace(0, n - 1, min(n, _ENDS))).astype(np.intp) for n in sizes]
    tried = np.stack(np.meshgrid(*first, indexing="ij"), axis=-1).reshape(-1, 2)
    error = errors(tried)
    step = -(-(sizes - 1) // (_ENDS - 1))
    while (step > 1).any():
        step = -(-step // _CLOSER)
        around = np.stack(np.meshgrid(_OFFSETS, _OFFSETS), axis=-1).reshape(-1, 2) * step
        best = tried[np.argsort(error, kind="stable")[:_STARTS]]
        near = np.unique(np.clip(best[:, None] + around, 0, sizes - 1).reshape(-1, 2), axis=0)
        tried, error = np.concatenate([tried, near]), np.concatenate([error, errors(near)])
    low, high = tried[np.argmin(error)]
    return float(lows[low]), float(highs[high])
