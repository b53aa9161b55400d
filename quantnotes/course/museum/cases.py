"""What a specimen of the museum is, and the plain steps that the wrong functions are made of.

Every wrong function is a right one but for one line. The steps here are right: taking an input apart, and
handing over the result with all the checks of the function that is replaced. Left out: care for memory and
speed, which the library itself has.
"""

from __future__ import annotations

import functools
import importlib
import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import FunctionType, SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from quantnotes.asymmetric import usable_scale
from quantnotes.checks import as_real, compute_type
from quantnotes.grid import IntGrid
from quantnotes.mapping import QuantParams, quantize

Array = NDArray[Any]
Function = Callable[..., Any]


class Curves(NamedTuple):
    """The same question put to the right function and to the wrong one.

    Attributes
    ----------
    x : ndarray, shape (n,)
        What was asked.
    right, wrong : ndarray of float64, shape (n,)
        The answers; NaN where there is none.
    """

    x: Array
    right: Array
    wrong: Array


@dataclass(frozen=True)
class Exhibit:
    """An input that gives a mistake away, and what to look at.

    Attributes
    ----------
    of : callable
        Takes a library such as `quantnotes` (or one with a wrong function in it) and returns the heights,
        one for each x.
    x : ndarray
        The places on the horizontal axis.
    xlabel, ylabel : str
        What is drawn over what, with units.
    dots : bool
        Points, where what lies between them means nothing; else lines.
    """

    of: Callable[[Any], ArrayLike]
    x: Array
    xlabel: str
    ylabel: str
    dots: bool = False


@dataclass(frozen=True)
class Specimen:
    """A wrong function that looks right, in a glass case.

    Attributes
    ----------
    name : str
        In a few words.
    hall : str
        Where it hangs: one of `HALLS`.
    target : str
        The public function that it stands in for, such as ``"quantnotes.quantize"``.
    wrong : callable
        The wrong function, with the signature of the right one.
    mistake : str
        The one line that is wrong.
    effect : str
        What it does to a tensor.
    exhibit : Exhibit
        An input that shows it.
    report : str, optional
        Where it was met: an issue or pull request as ``owner/repository#number``, or the note.

    Examples
    --------
    >>> from quantnotes import mutants
    >>> floor = mutants.specimen("floor for round")
    >>> floor.target, floor.wrong([0.9, 1.1], QuantParams(1.0, 0, IntGrid(-4, 3))).tolist()
    ('quantnotes.quantize', [0, 1])
    """

    name: str
    hall: str
    target: str
    wrong: Function = field(repr=False)
    mistake: str
    effect: str
    exhibit: Exhibit = field(repr=False)
    report: str | None = None

    @property
    def right(self) -> Function:
        """The function that it stands in for."""
        right: Function = functools.reduce(getattr, self.target.split(".")[1:], right_library())
        return right

    def library(self) -> SimpleNamespace:
        """Return all public names of `quantnotes`, with the wrong function instead of the right one.

        Other functions keep on calling the right one. Of a class, the method alone is replaced.
        """
        return library({self.target: self.wrong})

    def curves(self) -> Curves:
        """Return what its exhibit shows of the right function and of the wrong one."""
        right, wrong = (_answers(self.exhibit, qn) for qn in (right_library(), self.library()))
        return Curves(self.exhibit.x, right, wrong)


def right_library() -> Any:
    """Return the module `quantnotes` itself."""
    return importlib.import_module("quantnotes")


def library(wrong: Mapping[str, Function] | None = None) -> SimpleNamespace:
    """Return all public names of `quantnotes`, some functions or methods replaced.

    Whatever a specimen may replace is a stand-in here, right or wrong, with the name and the signature of the
    right one: only what it returns tells them apart.

    Parameters
    ----------
    wrong : mapping of str to callable, optional
        Functions by their target, such as ``"quantnotes.quantize"``.
    """
    right, wrong = right_library(), wrong or {}
    names = {name: getattr(right, name) for name in right.__all__}
    for name, value in names.items():
        if isinstance(value, FunctionType):
            names[name] = _stand_in(value, wrong.get(f"quantnotes.{name}", value))
    for name, methods in _REPLACED_METHODS.items():
        outer = names[name]
        body: dict[str, Any] = {
            method: _stand_in(getattr(outer, method), wrong.get(f"quantnotes.{name}.{method}"))
            for method in methods
        }
        body |= {"__slots__": (), "__module__": outer.__module__, "__doc__": outer.__doc__}
        names[name] = type(name, (outer,), body)
    return SimpleNamespace(**names)


_REPLACED_METHODS = {"Histogram": ("update", "merge"), "Calibrator": ("observe",)}


def _stand_in(right: Function, other: Function | None) -> Function:
    function = other or right

    @functools.wraps(right)
    def stand_in(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    stand_in.__signature__ = inspect.signature(right)  # type: ignore[attr-defined]
    del stand_in.__wrapped__
    return stand_in


def _answers(exhibit: Exhibit, library: Any) -> Array:
    try:
        return np.asarray(exhibit.of(library), np.float64)
    except ValueError:
        return np.full(np.shape(exhibit.x), np.nan)


def specimen(
    hall: str, target: str, mistake: str, effect: str, exhibit: Exhibit, report: str | None = None
) -> Callable[[Function], Specimen]:
    """Make a specimen of the function below it; its name is the function's."""

    def collect(function: Function) -> Specimen:
        @functools.wraps(function)
        def quiet(*args: Any, **kwargs: Any) -> Any:
            with np.errstate(all="ignore"):  # a wrong cast shall be seen in its result
                return function(*args, **kwargs)

        name = function.__name__.replace("_", " ")
        return Specimen(name, hall, f"quantnotes.{target}", quiet, mistake, effect, exhibit, report)

    return collect


def specimens_of(module: Any) -> Iterator[Specimen]:
    """Yield the specimens of a module, in the order of its text."""
    yield from (thing for thing in vars(module).values() if isinstance(thing, Specimen))


# --- right steps --------------------------------------------------------------------------------------------


def unpacked(x: ArrayLike, params: QuantParams) -> tuple[Array, Array, Array, int, int]:
    """Return x in its compute type, S and Z of every element, and the ends of the grid.

    Raises
    ------
    TypeError, ValueError
        As :func:`quantnotes.quantize`.
    """
    quantize(x, params)
    array = as_real(x)
    compute = compute_type(array.dtype)
    scale, zero = everywhere(params, array.shape, compute)
    return array.astype(compute), scale, zero, params.grid.qmin, params.grid.qmax


def everywhere(params: QuantParams, shape: tuple[int, ...], compute: Any) -> tuple[Array, Array]:
    """Return S and Z as arrays that broadcast against data of `shape`, blocks repeated."""
    both = np.asarray(params.scale).astype(compute), np.asarray(params.zero_point).astype(compute)
    scale, zero = (params.granularity.expand(values, shape) for values in both)
    return scale, zero


def handed_over(values: Array, right: Array) -> Array:
    """Write `values` to the place and in the type of the right result."""
    np.copyto(right, values, casting="unsafe")
    return right


def scale_of(low: Array, high: Array, steps: int) -> Array:
    """Return (high - low) / steps with the library's floor, 1 where there are only zeros."""
    with np.errstate(over="ignore"):
        width = high - low
    return usable_scale(np.where(np.isfinite(width), width / steps, high / steps - low / steps), low, high)


def zero_point_of(low: Array, high: Array, scale: Array, grid: IntGrid, anchor: str) -> Array:
    """Return qmax - rint(high / S), or qmin - rint(low / S)."""
    return grid.qmax - np.rint(high / scale) if anchor == "max" else grid.qmin - np.rint(low / scale)
