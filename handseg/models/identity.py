"""Identity of the weights of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from handseg.models.bundled import home
from handseg.runtime.files import content_digest


def weights_identity(model: str, adapter: Path | None, recipe: Path | None) -> dict[str, Any]:
    """Names and digests of a segmenter's sources, by argument, for `RunFolder`."""
    return {
        "model": [model, content_digest(home(model))],
        "adapter": None if adapter is None else [str(adapter), content_digest(adapter)],
        "recipe": None if recipe is None else content_digest(recipe),
    }
