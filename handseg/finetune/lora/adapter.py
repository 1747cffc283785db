"""Save a fine-tuned adapter: weights, settings, prompt recipe and model card."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import huggingface_hub
from huggingface_hub import constants
from huggingface_hub.errors import HFValidationError, HTTPError
from huggingface_hub.utils import validate_repo_id

from handseg.errors import ModelError
from handseg.finetune.lora.lora import LoraSettings
from handseg.finetune.model_cards import CARD, Rows, fill_card
from handseg.models.adapters import ADAPTER_CONFIG, is_adapter
from handseg.models.bundled import LITE
from handseg.models.semantic.config import HAND
from handseg.prompts import PromptRecipe
from handseg.prompts.recipe import RECIPE_FILE
from handseg.runtime.config import to_mapping
from handseg.runtime.files import move_all

WEIGHTS = "adapter_model.safetensors"
_LITE_LICENCE = "cc-by-sa-4.0"
"""An adapter is a derivative of its base, and the bundled weights' licence is share-alike."""


def save_adapter(
    model: Any, folder: str | Path, *, base: str, recipe: PromptRecipe, card: str
) -> None:
    """Write an adapter for `HandSegmenter.from_pretrained(folder)` and `handseg segment --adapter`.

    Other files in `folder` stay. A crash leaves the old adapter, the new one, or none that loads,
    but never the weights of one with the settings of the other.

    Args:
        model: from `add_lora`, without the wrappers of distributed training.
        folder: created if missing.
        base: the hub id or path of the base model, or "handseg-lite".
        recipe: the prompts the adapter was trained with.
        card: Markdown, see `model_card`.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    model.peft_config["default"].base_model_name_or_path = base
    with TemporaryDirectory(dir=folder, prefix=".saving-") as temporary:
        fresh = Path(temporary)
        model.save_pretrained(fresh, save_embedding_layers=False)
        recipe.save(fresh)
        (fresh / CARD).write_text(card, encoding="utf-8")
        settings = (ADAPTER_CONFIG, RECIPE_FILE)
        if not all(_same(fresh / name, folder / name) for name in settings):
            # The folder does not load without its configuration, so the new one is moved last.
            (folder / ADAPTER_CONFIG).unlink(missing_ok=True)
        move_all(fresh, folder, (WEIGHTS, RECIPE_FILE, CARD, ADAPTER_CONFIG))


def _same(one: Path, other: Path) -> bool:
    return other.is_file() and one.read_bytes() == other.read_bytes()


def model_card(
    *,
    base: str,
    recipe: PromptRecipe,
    settings: LoraSettings,
    data: str,
    photos: int,
    command: str,
    metrics: Rows,
    versions: Mapping[str, str],
    target: str = HAND,
) -> str:
    """Return the adapter's README in Markdown, with metadata for the Hugging Face Hub.

    Args:
        base: as for `save_adapter`.
        recipe: the prompts the adapter was trained with.
        settings: LoRA settings.
        data: name of the data set, for readers.
        photos: number of training photos.
        command: command that trains the adapter again.
        metrics: rows of the results table by name, such as "val, zero-shot", each with its
            columns.
        versions: software versions, see `handseg.runtime.versions.versions`.
        target: which masks it was tuned on, "hand" or "object".
    """
    licence = _LITE_LICENCE if base == LITE else None
    metadata = {
        "library_name": "peft",
        "pipeline_tag": "mask-generation",
        # The hub rejects a card whose base is a path.
        "base_model": base if _is_hub_id(base) and not Path(base).exists() else None,
        "license": licence,
        "tags": ["handseg", "hand-segmentation", "segment-anything", "lora"],
    }
    return fill_card(
        "adapter",
        metadata,
        data,
        metrics,
        base=base,
        title="hands" if target == HAND else "held objects",
        what="hands" if target == HAND else "what hands hold",
        target=target,
        photos=photos,
        command=command,
        settings=to_mapping(settings),
        recipe=recipe.to_dict(),
        versions=", ".join(f"{name} {version}" for name, version in versions.items()),
        licence=licence,
    )


def _is_hub_id(name: str) -> bool:
    try:
        validate_repo_id(name)
    except HFValidationError:
        return False
    return True


def push_to_hub(folder: str | Path, repo_id: str, private: bool = False) -> str:
    """Upload the adapter in `folder`, and no other files there, to the Hugging Face Hub.

    Args:
        folder: written by `save_adapter`.
        repo_id: "user/name"; the repository is created if missing.
        private: make a new repository private; an existing one keeps its visibility.

    Returns:
        URL of the repository.

    Raises:
        ModelError: `folder` holds no adapter, `repo_id` is invalid, there is no token, or the hub
            cannot be reached or refuses.
    """
    folder = Path(folder)
    if not is_adapter(folder):
        raise ModelError(f"{folder}: no {ADAPTER_CONFIG}, so there is no adapter to upload")
    if not _is_hub_id(repo_id):
        raise ModelError(f"repo_id must look like user/name, got {repo_id!r}")
    if huggingface_hub.get_token() is None:
        raise ModelError(
            "the Hugging Face Hub takes uploads with a token only: run `hf auth login` or set "
            "HF_TOKEN"
        )
    hub = huggingface_hub.HfApi()
    try:
        address = hub.create_repo(repo_id, private=private, exist_ok=True)
        hub.upload_folder(
            repo_id=repo_id,
            folder_path=folder,
            allow_patterns=[WEIGHTS, ADAPTER_CONFIG, RECIPE_FILE, CARD],
            commit_message="Upload a handseg adapter",
        )
    # The hub raises ValueError for a card with metadata that it does not accept.
    except (HTTPError, OSError, ValueError) as error:
        raise ModelError(
            f"cannot upload {folder} to {repo_id} on {constants.ENDPOINT}: {error}"
        ) from error
    return str(address)
