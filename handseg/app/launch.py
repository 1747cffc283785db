"""What `handseg app` tells the page, by way of one environment variable."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass

from handseg.models.bundled import LITE

VARIABLE = "HANDSEG_APP"


@dataclass(frozen=True)
class PageSettings:
    """How the page was started.

    Attributes:
        models: hub ids or folders to choose from, the first one at the start.
        adapter: folder or hub id of an adapter for `models`, "" for none.
        recipe: file of a prompt recipe, "" for the models' own.
        device: torch's name of it, "" for the model's default.
        own_models: visitors may name other models, adapters and so folders of this machine.
        max_photos: a visitor may have at once.
        max_megabytes: of one uploaded file.
        max_megapixels: of one photo.
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
