"""What a model's repository on the Hugging Face Hub holds for handseg, besides the model."""

from __future__ import annotations

import logging
from pathlib import Path

from handseg.prompts.recipe import RECIPE_FILE

logger = logging.getLogger(__name__)


def recipe_folder(model: str | Path) -> Path | None:
    """Return the folder with the prompt recipe saved with `model`; None if there is none.

    Args:
        model: a local folder or file, or a hub id. The recipe of a hub id is downloaded, unless
            HF_HUB_OFFLINE is set.
    """
    if Path(model).exists():
        return Path(model)
    try:
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import EntryNotFoundError, HTTPError
    except ImportError:  # Without these, a hub model cannot be loaded either.
        return None
    try:
        return Path(hf_hub_download(str(model), RECIPE_FILE)).parent
    except EntryNotFoundError:
        return None
    except (HTTPError, OSError, ValueError) as error:
        logger.warning("%s: %s cannot be read, the default is used: %s", model, RECIPE_FILE, error)
        return None
