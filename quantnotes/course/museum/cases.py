"""What a specimen of the museum is, and how a hall makes one of a wrong line.

A specimen is a right function but for one step. Either it wraps the right one, which comes as its first
argument (`Hall.wrap`), or it replaces a formula of it (`Hall.replace`), one of those in `formulas`. The two
lines of its docstring are its label: the mistake, and what it does to a tensor.

Not covered: speed and memory, which the library itself takes care of.
"""

from __future__ import annotations

import functools
import importlib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import FunctionType, SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from quantnotes.course.museum.formulas import FORMULAS

Array = NDArray[Any]
Function = Callable[..., Any]
_METHODS = {"Histogram": ("update", "merge"), "Calibrator": ("observe",)}  # those that specimens replace


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
    """An input that shows a mistake, and what to look at.

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
        The public function that it replaces, such as ``"quantnotes.quantize"``.
    wrong : callable
        The wrong function, with the signature of the right one.
    mistake : str
        The step that is wrong.
    effect : str
        What it does to a tensor.
    exhibit : Exhibit
        An input that shows it.
    report : str, optional
        Where it was met: an issue or pull request as ``owner/repository#number``, or the note.

    Examples
    --------
    >>> from quantnotes.course import museum
    >>> floor = museum.specimen("floor for round")
    >>> from quantnotes import IntGrid, QuantParams
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
        """The function that it replaces."""
        return _public(self.target)

    def library(self) -> SimpleNamespace:
        """Return all public names of `quantnotes`, with the wrong function instead of the right one.

        Other functions keep on calling the right one. Of a class, the method alone is replaced.
        """
        return library({self.target: self.wrong})

    def curves(self) -> Curves:
        """Return what its exhibit shows of the right function and of the wrong one."""
        right, wrong = (_answers(self.exhibit, qn) for qn in (library(), self.library()))
        return Curves(self.exhibit.x, right, wrong)


class Hall:
    """A hall, which collects the specimens that its module defines.

    Attributes
    ----------
    name : str
    specimens : list of Specimen
        In the order of the module's text.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.specimens: list[Specimen] = []

    def wrap(
        self, target: str, exhibit: Exhibit, *, report: str | None = None, per_tensor: bool = False
    ) -> Callable[[Function], Specimen]:
        """Make a specimen of the function below, which is given the right function and its arguments.

        With `per_tensor` the right one is used wherever `axis` or `block_size` is given.
        """
        right = _public(f"quantnotes.{target}")

        def collect(function: Function) -> Specimen:
            def wrong(*args: Any, **options: Any) -> Any:
                if per_tensor and (options.get("axis"), options.get("block_size")) != (None, None):
                    return right(*args, **options)
                return function(right, *args, **options)

            return self._collect(function, wrong, target, exhibit, report)

        return collect

    def replace(
        self, target: str, exhibit: Exhibit, *, report: str | None = None
    ) -> Callable[[Function], Specimen]:
        """Make a specimen of the function below, which replaces a formula of the target."""

        def collect(function: Function) -> Specimen:
            wrong = FORMULAS[target](function)
            return self._collect(function, wrong, target, exhibit, report)

        return collect

    def _collect(
        self, function: Function, wrong: Function, target: str, exhibit: Exhibit, report: str | None
    ) -> Specimen:
        @functools.wraps(function)  # its source is what a visitor wants to see
        def quiet(*args: Any, **options: Any) -> Any:
            with np.errstate(all="ignore"):  # a wrong cast is to be seen in its result
                return wrong(*args, **options)

        target = f"quantnotes.{target}"
        quiet.__signature__ = inspect.signature(_public(target))  # type: ignore[attr-defined]
        name = function.__name__.replace("_", " ")
        mistake, effect = (inspect.getdoc(function) or "").splitlines()
        self.specimens.append(Specimen(name, self.name, target, quiet, mistake, effect, exhibit, report))
        return self.specimens[-1]


def library(wrong: Mapping[str, Function] | None = None) -> SimpleNamespace:
    """Return all public names of `quantnotes`, some functions or methods replaced.

    Whatever a specimen may replace is a stand-in here, right or wrong, with the name and the signature of the
    right one: only what it returns tells them apart.

    Parameters
    ----------
    wrong : mapping of str to callable, optional
        Functions by their target, such as ``"quantnotes.quantize"``.

    Returns
    -------
    SimpleNamespace

    Examples
    --------
    >>> library({"quantnotes.quantize": lambda x, params: "wrong"}).quantize([1.0], None)
    'wrong'
    """
    replaced, right = wrong or {}, importlib.import_module("quantnotes")
    names = {name: getattr(right, name) for name in right.__all__}
    for name, value in names.items():
        if isinstance(value, FunctionType):
            names[name] = _stand_in(value, replaced.get(f"quantnotes.{name}", value))
    for name, methods in _METHODS.items():
        outer = names[name]
        body: dict[str, Any] = {"__slots__": (), "__module__": outer.__module__, "__doc__": outer.__doc__}
        for method in methods:
            own = getattr(outer, method)
            body[method] = _stand_in(own, replaced.get(f"quantnotes.{name}.{method}", own))
        names[name] = type(name, (outer,), body)
    return SimpleNamespace(**names)


def _stand_in(right: Function, function: Function) -> Function:
    @functools.wraps(right)
    def stand_in(*args: Any, **options: Any) -> Any:
        return function(*args, **options)

    stand_in.__signature__ = inspect.signature(right)  # type: ignore[attr-defined]
    del stand_in.__wrapped__
    return stand_in


def _public(target: str) -> Function:
    """Return a function of `quantnotes` or a method of one of its classes, by its name."""
    found: Any = importlib.import_module("quantnotes")
    for name in target.split(".")[1:]:
        found = getattr(found, name)
    return found  # type: ignore[no-any-return]


def _answers(exhibit: Exhibit, qn: Any) -> Array:
    try:
        return np.asarray(exhibit.of(qn), np.float64)
    except ValueError:
        return np.full(np.shape(exhibit.x), np.nan)
