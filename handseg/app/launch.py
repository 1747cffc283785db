"""Settings that `handseg app` passes to the page in an environment variable."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass

from handseg.models.bundled import LITE

VARIABLE = "HANDSEG_APP"


@dataclass(frozen=True)
class PageSettings:
    """Settings of the page.

    Attributes:
        models: hub ids or folders to choose from; the first is the default.
        adapter: folder or hub id of an adapter for `models`, "" for none.
        recipe: file of a prompt recipe, "" for the models' own.
        device: torch's name of the device, "" for the model's default.
        own_models: visitors may name other models and adapters, and so folders of this machine.
        max_photos: most photos that a visitor may have at once.
        max_megabytes: largest size of an uploaded file.
        max_megapixels: largest size of a photo.
    """

    models: tuple[str, ...] = (LITE,)
    adapter: str = ""
    recipe: str = ""
    device: str = ""
    own_models: bool = True
    max_photos: int = 50
    max_megabytes: int = 50
    max_megapixels: int = 100

    def to_environment(self) -> dict[str, str]:
        return {VARIABLE: json.dumps(asdict(self))}

    @classmethod
    def from_environment(cls) -> PageSettings:
        values = json.loads(os.environ.get(VARIABLE, "{}"))
        if "models" in values:
            values["models"] = tuple(values["models"])
        return cls(**values)
