"""A trap for floats: arrays that refuse every operation in which one of them takes part.

Wrap what goes into a computation with `IntegersOnly.of`: whatever NumPy makes of it is wrapped too, and the
first operation that reads or writes floating-point numbers raises `FloatUsed`. What strips the wrapping, as
``np.asarray`` does, must be replaced for the test by a function that puts it on again.
"""

import numpy as np


class FloatUsed(AssertionError):
    """A floating-point number took part in an operation that was to be done in integers."""


def _plain(value):
    if isinstance(value, tuple | list):
        return type(value)(map(_plain, value))
    return value.view(np.ndarray) if isinstance(value, IntegersOnly) else value


def _check(name, values):
    for value in values:
        if isinstance(value, tuple | list):
            _check(name, value)
        elif isinstance(value, float) or getattr(getattr(value, "dtype", None), "kind", "i") in "fc":
            raise FloatUsed(f"{name} with {value!r}")


class IntegersOnly(np.ndarray):
    """An array of integers, for tests alone."""

    @classmethod
    def of(cls, values):
        array = np.asarray(values)
        _check("wrapping", [array])
        return array.view(cls)

    def __array_ufunc__(self, ufunc, method, *inputs, out=None, **options):
        _check(ufunc.__name__, inputs)
        if out is not None:
            _check(ufunc.__name__, out)
            options["out"] = _plain(out)
        result = getattr(ufunc, method)(*_plain(inputs), **options)
        _check(ufunc.__name__, result if isinstance(result, tuple) else [result])
        return result if isinstance(result, tuple) else np.asarray(result).view(IntegersOnly)

    def __array_function__(self, function, types, arguments, options):
        _check(function.__name__, [*arguments, *options.values()])
        result = function(*_plain(arguments), **{key: _plain(value) for key, value in options.items()})
        _check(function.__name__, [result])
        return result.view(IntegersOnly) if isinstance(result, np.ndarray) else result

    def astype(self, dtype, *arguments, **options):
        _check("astype", [np.empty(0, dtype)])
        return super().astype(dtype, *arguments, **options)
