"""The bug museum: plausible wrong versions of the library's functions, for eyes and tests to learn from.

Each `Specimen` replaces one public function and has its signature; one step of it is wrong, and most inputs
look right. They are for study, not for use: nothing of the library imports this package.
"""

from __future__ import annotations

from quantnotes.course.museum import calibration, clipping, histograms, integers, ranges, rounding, zero_point
from quantnotes.course.museum.cases import Curves, Exhibit, Hall, Specimen, library
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

_HALLS: dict[str, Hall] = {
    module.HALL.name: module.HALL
    for module in (rounding, clipping, zero_point, ranges, histograms, calibration, integers)
}
HALLS = tuple(_HALLS)


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
    names = HALLS if hall is None else (hall,)
    return tuple(specimen for name in names for specimen in _HALLS[name].specimens)


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
