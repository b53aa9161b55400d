"""Parameters of many tensors in one JSON file: names, and what :meth:`QuantParams.to_dict` returns.

Not covered: the codes; NumPy's or ONNX's files hold those.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

from quantnotes.mapping import QuantParams, check_params


def save_params(path: str | os.PathLike[str], params: Mapping[str, QuantParams]) -> None:
    """Write the parameters of several tensors to a JSON file; an existing file is replaced.

    Parameters
    ----------
    path : str or path-like
    params : mapping of str to QuantParams
        The parameters by the name of their tensor.

    Raises
    ------
    TypeError
        If `params` is no mapping, a name is no string or a value no QuantParams.
    OSError
        If the file cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> from quantnotes import INT8
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_params(f"{folder}/params.json", {"weight": QuantParams(0.1, 3, INT8)})
    ...     load_params(f"{folder}/params.json")["weight"].scale
    0.1
    """
    if not isinstance(params, Mapping):
        raise TypeError(f"params must be a mapping of names to QuantParams, got {type(params).__name__}")
    for name, each in params.items():
        if not isinstance(name, str):
            raise TypeError(f"the name of a tensor must be a string, got {name!r}")
        check_params(each, repr(name))
    text = json.dumps({name: each.to_dict() for name, each in params.items()}, indent=1)
    Path(path).write_text(text + "\n", encoding="utf-8")


def load_params(path: str | os.PathLike[str]) -> dict[str, QuantParams]:
    """Read what :func:`save_params` wrote.

    Parameters
    ----------
    path : str or path-like

    Returns
    -------
    dict of str to QuantParams
        In the order of the file; equal to what was saved, to the last bit.

    Raises
    ------
    OSError
        If the file cannot be read.
    TypeError, ValueError
        If it holds anything but parameters by name. The message says which entry is wrong.

    Examples
    --------
    See :func:`save_params`.

    >>> load_params("missing.json")
    Traceback (most recent call last):
    FileNotFoundError: [Errno 2] No such file or directory: 'missing.json'
    """
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:  # json's and Unicode's errors are ValueErrors
        raise ValueError(f"{os.fspath(path)} is no JSON file: {error}") from None
    if not isinstance(content, dict):
        raise ValueError(f"{os.fspath(path)} must hold an object of parameters by name")
    found = {}
    for name, each in content.items():
        try:
            found[name] = QuantParams.from_dict(each)
        except (TypeError, ValueError) as error:
            raise type(error)(f"{os.fspath(path)}, {name!r}: {error}") from None
    return found
