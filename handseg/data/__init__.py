"""Load photos of hands with masks from many layouts into one form."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from handseg.data.load import LAYOUTS, list_photos, load_data
    from handseg.data.schema import FEATURES, Candidate, LabelledPhotos
    from handseg.data.splits import Splits

# Names are imported on first use, so that code that only pairs photos with masks does not wait for
# `datasets`.
_HOMES = {
    "FEATURES": "handseg.data.schema",
    "LAYOUTS": "handseg.data.load",
    "Candidate": "handseg.data.schema",
    "LabelledPhotos": "handseg.data.schema",
    "Splits": "handseg.data.splits",
    "list_photos": "handseg.data.load",
    "load_data": "handseg.data.load",
}

__all__ = [
    "FEATURES",
    "LAYOUTS",
    "Candidate",
    "LabelledPhotos",
    "Splits",
    "list_photos",
    "load_data",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value
