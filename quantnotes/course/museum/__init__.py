"""The bug museum: plausible wrong versions of the library's functions, for eyes and tests to learn from.

Each `Specimen` stands in for one public function and has its signature; one line of it is wrong, and most
inputs look right. They are for study, never for use: nothing of the library imports this package.
"""

from __future__ import annotations

from quantnotes.course.museum import (
    calibration,
    clipping,
    histograms,
    products,
    ranges,
    requantizing,
    rounding,
    scales,
    searches,
    zero_point,
)
from quantnotes.course.museum.cases import Curves, Exhibit, Specimen, library, specimens_of
from quantnotes.course.museum.hunting import Hunt, hunt
from quantnotes.course.museum.labels import Catalogue

__all__ = [
    "HALLS",
    "Catalogue",
    "Curves",
    "Exhibit",
    "Hunt",
    "Specimen",
    "catalogue",
    "hunt",
    "library",
    "specimen",
    "specimens",
]

_MODULES = {
    "rounding": [rounding],
    "clipping": [clipping],
    "zero point": [zero_point],
    "range": [scales, ranges],
    "histogram": [histograms],
    "calibration": [calibration, searches],
    "integers": [products, requantizing],
}
HALLS = tuple(_MODULES)


def specimens(hall: str | None = None) -> tuple[Specimen, ...]:
    """Return all specimens, hall by hall, or those of one hall.

    Parameters
    ----------
    hall : str, optional
        One of `HALLS`.

    Returns
    -------
    tuple of Specimen

    Raises
    ------
    ValueError
        If there is no such hall.

    Examples
    --------
    >>> [specimen.name for specimen in specimens("rounding")][:2]
    ['cast for round', 'floor for round']
    """
    if hall is not None and hall not in HALLS:
        raise ValueError(f"hall must be one of {', '.join(HALLS)}, got {hall!r}")
    halls = HALLS if hall is None else (hall,)
    rooms = (room for name in halls for room in _MODULES[name])
    return tuple(found for room in rooms for found in specimens_of(room))


def specimen(name: str) -> Specimen:
    """Return the specimen of that name.

    Parameters
    ----------
    name : str
        As in `Specimen.name`.

    Returns
    -------
    Specimen

    Raises
    ------
    ValueError
        If there is none.

    Examples
    --------
    >>> specimen("last bin dropped").report
    'the note, section 5'
    """
    for found in specimens():
        if found.name == name:
            return found
    raise ValueError(f"there is no specimen {name!r}: see specimens()")


def catalogue(hall: str | None = None) -> Catalogue:
    """Return the catalogue of a hall, or of all: it prints, and renders as a table in a notebook.

    Parameters
    ----------
    hall : str, optional
        One of `HALLS`.

    Returns
    -------
    Catalogue

    Raises
    ------
    ValueError
        If there is no such hall.

    Examples
    --------
    >>> len(catalogue("rounding").specimens)
    7
    """
    return Catalogue(specimens(hall))
