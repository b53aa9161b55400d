"""Every way of choosing a range, tried on one tensor: a table, a recommendation, and what it cannot know.

A tensor alone says what each choice does to *it*. Whether a far value is noise or signal, and what the error
does to the network, it does not say; so a thin tail is reported with its place, never silently kept or
dropped.

Not covered: files, see :mod:`quantnotes.comparison.survey`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from quantnotes import kernels
from quantnotes.calibration import METHODS, choose_range, make_params
from quantnotes.checks import as_real, finite_ends
from quantnotes.codebook import Codebook, Codes
from quantnotes.comparison.roles import GIVEN, UNKNOWN, Role, given_role
from quantnotes.granularity import Granularity
from quantnotes.grid import INT8, IntGrid
from quantnotes.histogram import Histogram
from quantnotes.mapping import QuantParams
from quantnotes.ranges import Range, Scheme, minmax_range
from quantnotes.saturation import CodeLedger, code_ledger
from quantnotes.tables import Printed, percent

Array = NDArray[Any]

SCHEMES: tuple[Scheme, ...] = ("asymmetric", "symmetric")
GROUPS = (128, 32)  # values of a weight that share a scale, at few bits
_FEW_BITS = 4
_SCALE_BITS = 16  # what a scale takes in memory, where values in groups are counted
_SIMPLER = 0.5  # dB that a simpler choice may cost before the better one is recommended
_WORTH = 3.0  # dB that finer scales must gain to be mentioned
_BINNED = 2**16  # a longer array is counted once, and its ranges are chosen from the histogram
_PART = 2**20  # values among which the farthest are looked for at once
_PIECE = 2**22  # values of a weight that are looked at together, when scales are finer than the tensor
_WIDENED = 2**24  # values of a half-precision array that are converted at once; more of them block by block
_KEPT = 2**18  # scales of a trial; of trials with more, only the best is kept
_MOST_SCALES = 2**22  # groups are not tried if there were more
_THIN = 10_000  # a tail is thin if it holds at most one value of so many, or one alone
_FEW = 20  # below so many values a tail cannot be told from the rest
_MOST_CHANNELS = 2**16
_SHOWN = 3  # places of a tail that are named
_FEW_SCALES = 2**8  # with more of them, the methods that are slow on many groups are left out
_SAMPLE = 2**13  # values on which it is tried whether a search is worth its time
_UNSURE = 0.1  # dB by which what a search gains on the sample may miss what it gains on all values
_ONE_FOR_ALL = ("minmax", "histogram", "percentile")  # methods that ask neither for the grid nor the scheme


Width = int | Codebook


@dataclass(frozen=True, repr=False)
class Trial:
    """One choice and what became of the tensor.

    Attributes
    ----------
    bits : int
    scheme : {"asymmetric", "symmetric"}
    method : {"minmax", "histogram", "percentile", "mse", "entropy"}
    range : Range
        What the method chose.
    ledger : CodeLedger
        What the parameters made of it did; :attr:`CodeLedger.params` are they.
    """

    bits: int
    scheme: Scheme
    method: str
    range: Range
    ledger: CodeLedger

    @property
    def params(self) -> QuantParams:
        """S and Z of this choice."""
        return self.ledger.params

    @property
    def form(self) -> str:
        """The name of the format: "" for integers."""
        return repr(self.params.grid) if isinstance(self.params.grid, Codebook) else ""

    @property
    def scales(self) -> str:
        """Which values share a scale, in words: "tensor", "axis 0", "32 along axis 1"."""
        axis, block = self.params.axis, self.params.block_size
        if axis is None:
            return "tensor"
        return f"axis {axis}" if block is None else f"{block} along axis {axis}"

    @property
    def bits_per_value(self) -> float:
        """Memory for a value in bits, its part of scales of 16 bits and of zero points among it."""
        extra = _SCALE_BITS + (self.bits if self.scheme == "asymmetric" else 0)
        groups = np.size(self.params.scale) if self.params.axis is not None else 0
        return self.bits + extra * groups / int(self.ledger.counts.sum())

    @property
    def _fineness(self) -> tuple[bool, bool, int]:
        """A key by which choices with fewer scales come first."""
        axis, block = self.params.axis, self.params.block_size
        return axis is not None, block is not None, -int(np.prod(block or 0))

    def __repr__(self) -> str:
        return f"Trial({self.bits} bits, {_name(self)}, {_bounds(self)}, {self.ledger.sqnr_db:.1f} dB)"


@dataclass(frozen=True)
class Tail:
    """The values beyond half of the largest magnitude: those for which half of the codes are kept.

    Attributes
    ----------
    count, total : int
        How many they are, and of how many.
    largest : tuple of (index, value)
        The first few, largest magnitude first; an index is a tuple of int.
    rest : float
        The largest magnitude that would be left without them.
    """

    count: int
    total: int
    largest: tuple[tuple[tuple[int, ...], float], ...]
    rest: float

    @property
    def thin(self) -> bool:
        """True if so few values decide the scale that they could be a fault of the data.

        At most one of 10,000, or one alone.
        """
        return self.total >= _FEW and 0 < self.count <= max(1, self.total // _THIN)


@dataclass(frozen=True, repr=False)
class Comparison(Printed):
    """What `compare` found. Prints as a table with a recommendation, and renders as HTML in a notebook.

    Attributes
    ----------
    trials : tuple of Trial
        The most bits first, and for as many bits the best signal-to-noise ratio first.
    tail : Tail
        The values that decide the scale of min-max.
    finer : mapping of int to float
        SQNR in dB at the most bits with one scale for each index of an axis, by axis; empty for a weight,
        whose finer scales are among the trials.
    role : Role
        What the tensor is for, as far as is known.

    Examples
    --------
    >>> print(compare_array([*range(-50, 51), 1000.0], bits=8).recommendation)  # doctest: +ELLIPSIS
    8 bits: asymmetric, minmax, 38.9 dB; no other choice is better.
    A thin tail: one value of 102 sets the range: 1000 at (101,); without, the largest magnitude is 50. ...
    """

    trials: tuple[Trial, ...]
    tail: Tail
    finer: Mapping[int, float]
    role: Role = UNKNOWN

    @property
    def bits(self) -> tuple[int, ...]:
        """The bit widths that were tried, the most first."""
        return tuple(dict.fromkeys(trial.bits for trial in self.trials))

    def trial(
        self,
        bits: Width,
        scheme: Scheme,
        method: str,
        *,
        axis: int | None = None,
        block_size: int | None = None,
    ) -> Trial:
        """Return one trial, with one scale for the tensor unless `axis` says otherwise.

        Raises
        ------
        ValueError
            If it is not there.
        """
        for trial in self.trials:
            scales = trial.params.axis, trial.params.block_size
            width = trial.params.grid if trial.form else trial.bits
            if (width, trial.scheme, trial.method, *scales) == (bits, scheme, method, axis, block_size):
                return trial
        finer = "" if axis is None else f", axis {axis}"
        finer += "" if block_size is None else f", block_size {block_size}"
        raise ValueError(f"there is no trial of {bits!r} bits, {scheme}, {method}{finer}")

    @property
    def worthwhile(self) -> dict[int, float]:
        """Those of the finer scales that gain more than 3 dB over the recommended trial."""
        least = self.best().ledger.sqnr_db + _WORTH
        return {axis: sqnr for axis, sqnr in self.finer.items() if sqnr > least}

    def best(self, bits: int | None = None) -> Trial:
        """Return the recommended trial: the simplest within half a decibel of the best.

        Simpler is fewer scales before more, then integers before formats, symmetric before asymmetric, and
        min-max before the other methods.

        Parameters
        ----------
        bits : int, optional
            Of how many bits; without it, the most that were tried.

        Raises
        ------
        ValueError
            If so many bits were not tried.
        """
        bits = self.bits[0] if bits is None else bits
        rivals = [trial for trial in self.trials if trial.bits == bits]
        if not rivals:
            raise ValueError(f"bits must be one of those that were compared, got {bits!r}")
        enough = rivals[0].ledger.sqnr_db - _SIMPLER
        return min(
            (trial for trial in rivals if trial.ledger.sqnr_db >= enough),
            key=lambda trial: (
                trial._fineness,
                trial.form,
                trial.scheme != "symmetric",
                trial.method != "minmax",
                -trial.ledger.sqnr_db,
            ),
        )

    @property
    def recommendation(self) -> str:
        """What to use, in words, and what the tensor alone cannot tell."""
        lines = [*map(self._choice, self.bits), self._axis(), self._finer(), self._tail()]
        return "\n".join(filter(None, lines))

    def _choice(self, bits: int) -> str:
        best, top = self.best(bits), next(trial for trial in self.trials if trial.bits == bits)
        if best.ledger.sqnr_db == math.inf:
            return f"{bits} bits: {_name(best)}; every value is exact."
        text = f"{bits} bits: {_name(best)}, {best.ledger.sqnr_db:.1f} dB"
        if best.params.block_size is not None:
            text += f" at {best.bits_per_value:.3g} bits a value"
        coarser = self._coarser(best)
        if coarser:
            return f"{text}. With fewer scales: {'; '.join(coarser)}."
        gap = top.ledger.sqnr_db - best.ledger.sqnr_db
        if not gap >= 0.05:  # NaN, of two that are infinitely bad, too
            return text + "; no other choice is better."
        return text + f"; {_name(top)} is better by {gap:.1f} dB and less simple."

    def _coarser(self, best: Trial) -> list[str]:
        """Name the best trial of each coarser choice of scales, the next coarser one first."""
        found: dict[str, Trial] = {}
        for trial in self.trials:  # the best come first
            if trial.bits == best.bits and trial._fineness < best._fineness:
                found.setdefault(trial.scales, trial)
        each = sorted(found.values(), key=lambda trial: trial._fineness, reverse=True)
        return [f"{_name(trial, always=True)} {trial.ledger.sqnr_db:.1f} dB" for trial in each]

    def _axis(self) -> str:
        role = self.role
        finer = [trial for trial in map(self.best, self.bits) if trial.params.axis is not None]
        if not finer:
            return ""
        text = f"Axis {role.channel_axis} " + ("was given" if role.reason == GIVEN else f"is {role.reason}")
        if role.name == "weight":
            text += "; scales of a weight's outputs cost nothing at run time"
        if any(trial.params.block_size is not None for trial in finer):
            text += ". Groups need a kernel that knows them"
        return text + "."

    def _finer(self) -> str:
        if not self.worthwhile:
            return ""
        each = ", ".join(f"axis {axis} {sqnr:.1f} dB" for axis, sqnr in self.worthwhile.items())
        return (
            f"A scale for each index of an axis (symmetric, min-max): {each}. A weight's output axis costs "
            "nothing at run time; for an activation, a scale for each token is taken while the network runs."
        )

    def _tail(self) -> str:
        tail = self.tail
        if not tail.thin:
            return ""
        places = ", ".join(f"{value:.4g} at {index}" for index, value in tail.largest)
        more = ", ..." if tail.count > len(tail.largest) else ""
        some = "one value" if tail.count == 1 else f"{tail.count} values"
        sets = "sets" if tail.count == 1 else "set"
        return (
            f"A thin tail: {some} of {tail.total:,} {sets} the range: {places}{more}; without, the largest "
            f"magnitude is {tail.rest:.4g}. The tensor alone cannot tell whether that is noise or signal. "
            "Does it come back on other data, at the same place? Does what follows miss it? Measure there "
            "before you cut it off."
        )

    def _rows(self) -> Sequence[tuple[str, ...]]:
        finer = any(trial.params.axis is not None for trial in self.trials)
        head = (
            *("bits", "scheme", "method", *["scales"] * finer, "range", "codes used", "entropy, bits"),
            *("clipped", "SQNR, dB", "S", "Z"),
        )
        return [head, *(_row(trial, finer) for trial in self.trials)]

    def _notes(self) -> Sequence[str]:
        return self.recommendation.splitlines()


def _name(trial: Trial, always: bool = False) -> str:
    axis, block = trial.params.axis, trial.params.block_size
    if axis is None:
        scales = ", one scale" if always else ""
    elif block is None:
        scales = f", a scale for each index of axis {axis}"
    else:
        scales = f", a scale for every {block} values along axis {axis}"
    return f"{trial.form}{', ' * bool(trial.form)}{trial.scheme}, {trial.method}{scales}"


def _bounds(trial: Trial) -> str:
    return f"{np.min(trial.range.rmin):.4g} .. {np.max(trial.range.rmax):.4g}"


def span(values: Any) -> str:
    """Write a number, or the smallest and the largest of several."""
    low, high = f"{np.min(values):.4g}", f"{np.max(values):.4g}"
    return low if low == high else f"{low} .. {high}"


def _row(trial: Trial, finer: bool) -> tuple[str, ...]:
    ledger = trial.ledger
    return (
        f"{trial.bits} {trial.form}".strip(),
        trial.scheme,
        trial.method,
        *[trial.scales] * finer,
        _bounds(trial),
        f"{ledger.codes_used} of {ledger.codes_available}",
        f"{ledger.code_entropy_bits:.2f}",
        percent(ledger.clipped_low + ledger.clipped_high),
        f"{ledger.sqnr_db:.1f}",
        span(trial.params.scale),
        span(trial.params.zero_point),
    )


def bit_widths(bits: object) -> list[int]:
    """Return the bit widths, the most first.

    Raises
    ------
    TypeError
        If one is no integer.
    ValueError
        If one is out of range, or there is none.
    """
    return list(dict.fromkeys(map(_width, _grids(bits))))


def _grids(bits: object) -> list[Codes]:
    """Return the grids of bit widths, and formats as they are, the most bits first."""
    one_by_one = np.atleast_1d(np.asarray(bits)).tolist()
    found = {each if isinstance(each, Codebook) else IntGrid.of(each) for each in one_by_one}
    if not found:
        raise ValueError("bits is empty: name at least one bit width")
    return sorted(found, key=lambda grid: (-_width(grid), repr(grid)))


def _width(grid: Codes) -> int:
    return grid.bits if isinstance(grid, Codebook) else (grid.codes - 1).bit_length()


def compare_array(
    x: ArrayLike,
    bits: Width | Sequence[Width] = (8, 4),
    role: Role | str | None = None,
    channel_axis: int | None = None,
    progress: Callable[[float], object] = lambda share: None,
) -> Comparison:
    """Try every range method, both schemes and some bit widths on an array: see :func:`compare`.

    `progress` is told after each step which share of the work it was.

    Examples
    --------
    >>> found = compare_array([0.0, 0.5, 1.0, 3.0], bits=4)
    >>> found.best().scheme, found.best().method
    ('asymmetric', 'minmax')
    """
    array, grids = as_real(x), _grids(bits)
    known = role if isinstance(role, Role) else given_role(role, channel_axis, array.ndim)
    low, high = finite_ends(array)
    if array.dtype.itemsize == 2 and array.dtype.kind in "fV" and array.size <= _WIDENED:
        array = array.astype(np.float32)
    steps = [
        (scales, grid)
        for scales in reversed(_granularities(array.shape, known))
        for grid in grids
        if scales.blocks is None or _width(grid) <= _FEW_BITS
    ]
    source = array if array.size <= _BINNED else Histogram().update(array)
    range_of = cache(partial(_range_of, array, source))
    trials: list[Trial] = []
    for scales, grid in steps:
        rival = max((t.ledger.sqnr_db for t in trials if t.bits == _width(grid)), default=-math.inf)
        found = _trials(array, range_of, scales, grid, rival)
        few = math.prod(scales.shape(array.shape)) <= _KEPT
        trials += found if few else [max(found, key=lambda trial: trial.ledger.sqnr_db)]
        progress(1 / len(steps))
    trials.sort(key=lambda trial: (-trial.bits, -trial.ledger.sqnr_db))
    hint = {} if known.channel_axis is not None else _finer_of(array, grids[0])
    return Comparison(tuple(trials), _tail_of(array, max(-low, high) / 2), hint, known)


def _granularities(shape: tuple[int, ...], role: Role) -> list[Granularity]:
    """Return which scales are tried: one, one for each channel, one for each group along the inputs."""
    found, size, axis = [Granularity()], math.prod(shape), role.channel_axis
    if axis is not None and 1 < shape[axis] < size:
        found.append(Granularity.of(axis))
    inputs = role.input_axis
    if inputs is not None and inputs < len(shape):
        blocks = [n for n in GROUPS if n < shape[inputs] and size // n <= _MOST_SCALES]
        found += [Granularity.of(inputs, n) for n in blocks]
    return found


def _trials(
    x: Array, range_of: Callable[..., Range], scales: Granularity, grid: Codes, rival: float
) -> Iterator[Trial]:
    """Try all methods and schemes; of equal parameters there is one ledger.

    A format is symmetric, and has no levels for "entropy".
    """
    ledgers = list[CodeLedger]()

    def trial(method: str, scheme: Scheme) -> Trial:
        bounds = range_of(scales, method, *(() if method in _ONE_FOR_ALL else (grid, scheme)))
        params = make_params(bounds, grid, scheme, axis=scales.axis, block_size=scales.block_size)
        ledger = next((each for each in ledgers if each.params == params), None)
        if ledger is None:
            ledger = code_ledger(x, params)
            if np.size(params.scale) <= _KEPT:
                ledgers.append(ledger)
        return Trial(_width(grid), scheme, method, bounds, ledger)

    is_format = isinstance(grid, Codebook)
    plain = {scheme: trial("minmax", scheme) for scheme in (SCHEMES[1:] if is_format else SCHEMES)}
    yield from plain.values()
    if math.prod(scales.shape(x.shape)) > _FEW_SCALES:
        for scheme in _worth_a_search(x, scales, grid, plain, rival):
            yield trial("mse", scheme)
        return
    for method in METHODS[1:]:
        if method != "entropy" or not is_format:
            yield from (trial(method, scheme) for scheme in plain)


def _worth_a_search(
    x: Array, scales: Granularity, grid: Codes, plain: Mapping[Scheme, Trial], rival: float
) -> list[Scheme]:
    """Return the schemes for which "mse", of many groups, is likely to be recommended.

    Its gain over "minmax", the trials of which are `plain`, is measured on some groups. It must be large
    enough, and nothing else much better: neither another choice here, nor the rival, which has finer scales.
    """
    (axis,) = scales.axes
    if scales.blocks is not None:
        axis = max((i for i in range(x.ndim) if i != axis), key=lambda i: x.shape[i])
    sample = x[_along(axis, slice(None, None, max(1, min(x.size // _SAMPLE, x.shape[axis] // 8))))]

    def sqnr(method: str, scheme: Scheme) -> float:
        where: dict[str, Any] = {"axis": scales.axis, "block_size": scales.block_size}
        bounds = choose_range(method, sample, grid, scheme, **where)
        return code_ledger(sample, make_params(bounds, grid, scheme, **where)).sqnr_db

    before = {scheme: each.ledger.sqnr_db for scheme, each in plain.items()}
    best, gain, slack = max(rival, *before.values()), math.inf, _SIMPLER + _UNSURE
    found: dict[Scheme, float] = {}
    for scheme in sorted(before, reverse=True):  # a symmetric range is the wider, and has more to gain
        if gain > _SIMPLER and before[scheme] + gain >= best - slack:
            gain = sqnr("mse", scheme) - sqnr("minmax", scheme)
            if gain > _SIMPLER:
                found[scheme] = before[scheme] + gain
                best = max(best, found[scheme])
    return [scheme for scheme in found if found[scheme] >= best - slack]


def _range_of(
    x: Array,
    source: Array | Histogram,
    scales: Granularity,
    method: str,
    grid: Codes = INT8,
    scheme: Scheme = "asymmetric",
) -> Range:
    """Return the range that a method chooses, or one for each group, which are looked at some at a time."""
    if scales.per_tensor:
        return choose_range(method, source, grid, scheme)
    low, high = np.empty((2, *scales.shape(x.shape)))
    for part, place in _pieces(x, scales):
        data = part.astype(np.float32) if part.dtype.itemsize == 2 else part
        if scales.blocks is None and part.size > _BINNED and low[place].size == 1:
            found = choose_range(method, Histogram().update(data), grid, scheme)
        else:
            found = choose_range(method, data, grid, scheme, axis=scales.axis, block_size=scales.block_size)
        low[place], high[place] = found
    return Range(low, high)


def _pieces(x: Array, scales: Granularity) -> Iterator[tuple[Array, tuple[slice, ...]]]:
    """Cut an array into pieces of whole groups, with the place of their groups in the parameters."""
    groups = scales.shape(x.shape)
    (axis,), blocks = scales.axes, scales.blocks or (1,)
    along = groups.index(max(groups))  # the axis of the parameters that is cut
    where = along if scales.blocks else axis  # and of the array
    size = blocks[0] if where == axis else 1
    step = max(1, _PIECE * groups[along] // x.size)
    for start in range(0, groups[along], step):
        stop = start + step
        yield x[_along(where, slice(start * size, stop * size))], _along(along, slice(start, stop))


def _along(axis: int, cut: slice) -> tuple[slice, ...]:
    """Return an index that cuts one axis, and leaves the others whole."""
    return (slice(None),) * axis + (cut,)


def _tail_of(x: Array, bound: float) -> Tail:
    """Find the values whose magnitudes are beyond a bound, looking at a part of the array at a time."""
    count, rest, first = 0, 0.0, list[tuple[float, tuple[int, ...]]]()
    for part, place in kernels.parts(np.atleast_1d(x), _PART):
        magnitudes = np.abs(part.astype(np.float64)).ravel()
        far = magnitudes > bound
        rest = max(rest, float(magnitudes.max(where=~far, initial=0.0)))
        most = np.flatnonzero(far)
        count += most.size
        if most.size > _SHOWN:
            beyond = magnitudes[most]
            least = np.partition(beyond, -_SHOWN)[-_SHOWN]
            most = np.append(most[beyond > least], most[beyond == least][:_SHOWN])
        starts = [[cut.start or 0] for cut in place]
        indices = np.add(np.unravel_index(most, part.shape), starts).T.tolist()
        first += zip((-magnitudes[most]).tolist(), map(tuple, indices), strict=True)
        first = sorted(first)[:_SHOWN]
    found = (index[: x.ndim] for _, index in first)  # a scalar has none
    return Tail(count, x.size, tuple((index, float(x[index])) for index in found), rest)


def _finer_of(x: Array, grid: Codes) -> dict[int, float]:
    """Return the SQNR of symmetric min-max with one scale for each index of an axis, for each axis."""
    worth_it = (axis for axis in range(x.ndim) if 1 < x.shape[axis] < min(x.size, _MOST_CHANNELS))
    return {
        axis: code_ledger(x, make_params(minmax_range(x, axis=axis), grid, "symmetric", axis=axis)).sqnr_db
        for axis in worth_it
    }
