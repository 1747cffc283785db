"""Read pickles of arrays without running code that they name.

A pickle is a program: `pickle.load` calls whatever its author wrote into it. Here only the builders
of NumPy arrays and builtin containers may be called; everything else is refused by name.
"""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np

_RECONSTRUCT = np.zeros(0).__reduce__()[0]
_SCALAR = np.float64(0).__reduce__()[0]
_ARRAYS = {"_reconstruct": _RECONSTRUCT, "scalar": _SCALAR}
_CONTAINERS = {
    kind.__name__: kind for kind in (set, frozenset, list, dict, tuple, complex, bytearray)
}
_ALLOWED: dict[str, dict[str, Any]] = {
    "numpy": {"ndarray": np.ndarray, "dtype": np.dtype},
    # NumPy 1 writes the first name, NumPy 2 the second.
    "numpy.core.multiarray": _ARRAYS,
    "numpy._core.multiarray": _ARRAYS,
    # Python 2 writes the first name, Python 3 the second.
    "__builtin__": _CONTAINERS,
    "builtins": _CONTAINERS,
}


class _Refused(ValueError):
    pass


class _ArrayReader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("_codecs", "encode"):
            # Python 3 writes bytes like this for Python 2 to read. Each use gets a new function,
            # because a pickle may change the attributes of the objects it gets.
            return lambda text, encoding: _encode(text, encoding)
        try:
            return _ALLOWED[module][name]
        except KeyError:
            raise _Refused(f"{module}.{name}") from None


def read_pickle(path: Path) -> Any:
    """Read a pickle of arrays, numbers, text and builtin containers.

    Reads pickles of Python 2 and 3 (protocols 0 to 4) and of NumPy 1 and 2; Python 2 strings are
    decoded as Latin-1.

    Raises:
        ValueError: if the file names anything else, which is then neither looked up nor called, or
            cannot be read.
    """
    try:
        with path.open("rb") as file:
            return _ArrayReader(file, encoding="latin1").load()
    except _Refused as error:
        raise ValueError(
            f"{path} names {error}, which is refused: only NumPy arrays, numbers, text and builtin "
            "containers are read"
        ) from None
    # A damaged pickle may raise anything.
    except Exception as error:
        raise ValueError(f"cannot read {path}: {type(error).__name__}: {error}") from error


def _encode(text: str, encoding: str) -> bytes:
    if encoding not in ("latin1", "latin-1"):
        raise ValueError(f"bytes must be written as latin1, got {encoding!r}")
    return text.encode("latin1")
