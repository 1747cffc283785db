"""Adapters as ONNX graphs: exported once, cached, and then run by ONNX Runtime."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import shutil
from importlib.util import find_spec
from pathlib import Path

from handseg.errors import ModelError, reason
from handseg.models.adapters import is_adapter, local_adapter
from handseg.models.bundled import LITE_FOLDER
from handseg.models.sam.onnx import DECODER, ENCODER, OnnxMaskModel, has_graphs
from handseg.runtime.extras import needing_extras
from handseg.runtime.files import UNFINISHED_FOLDER, content_digest, write_folder_atomic

logger = logging.getLogger(__name__)

GRAPHS = "onnx_cache"
"""Subfolder of the adapter's folder for its cached graphs."""

_FORM = 1  # Increase it when the exporter's graphs change, so that cached ones are exported again.
_WEIGHTS = ("*.safetensors", "*.bin", "*config.json")  # Sources of the graphs.
_KEY = re.compile("[0-9a-f]{64}")


class NotKeptError(Exception):
    """Graphs that cannot be exported exactly, or not written to any folder."""


def can_export() -> bool:
    """Whether the packages that exporting needs are installed."""
    return all(find_spec(name) for name in ("torch", "transformers", "peft", "onnx", "onnxscript"))


def load_adapter_graphs(
    base: Path, adapter: str | os.PathLike[str], export: bool = True
) -> OnnxMaskModel | None:
    """Load the graphs of a model with an adapter merged into it.

    They are cached in the adapter's folder, or in the user's cache if that is not writable or
    belongs to this package, under a digest of both models' weights: new weights get new graphs.
    Processes that need the same graphs wait for each other.

    Args:
        base: folder of the model, with its weights.
        adapter: folder or hub id.
        export: whether to export graphs that are not cached yet.

    Returns:
        None if there are no graphs and `export` is false, or the folder holds no adapter.

    Raises:
        MissingExtraError: if a package needed for the export is not installed.
        ModelError: if adapter and model cannot be read or do not match.
        NotKeptError: if the graphs differ from torch, or neither folder is writable.
    """
    with needing_extras(f"the adapter {adapter}"):
        folder = local_adapter(adapter)
    if not is_adapter(folder):
        return None
    key = _digest(base, folder)
    places = _places(folder)
    for place in places:
        if has_graphs(place / key):
            return _in_memory(place / key)
    if not export:
        return None
    failed = []
    for place in places:
        try:
            _export(base, folder, place, key)
        except OSError as error:
            failed.append(f"{place}: {reason(error)}")
        if has_graphs(place / key):  # Perhaps from another process, if locks do not work.
            return _in_memory(place / key)
    raise NotKeptError(f"{adapter}: its ONNX graphs cannot be written: {'; '.join(failed)}")


def _places(adapter: Path) -> list[Path]:
    """Folders for cached graphs, the preferred one first."""
    from platformdirs import user_cache_path

    shared = user_cache_path("handseg", appauthor=False) / "adapters"
    if LITE_FOLDER.parent in adapter.absolute().parents:
        return [shared]
    return [adapter / GRAPHS, shared]


def _digest(base: Path, adapter: Path) -> str:
    """SHA-256 of the sources of the graphs, in hexadecimal digits."""
    files = [
        sorted((file.name, content_digest(file)) for one in _WEIGHTS for file in folder.glob(one))
        for folder in (base, adapter)
    ]
    return hashlib.sha256(json.dumps([_FORM, *files]).encode()).hexdigest()


def _export(base: Path, adapter: Path, place: Path, key: str) -> None:
    """Write graphs and merged weights to the folder `key` in `place`."""
    with needing_extras(f"exporting the adapter {adapter}", "export"):
        from filelock import FileLock

        from handseg.models.export.onnx import export_onnx
        from handseg.models.sam.transformers import TransformersMaskModel

        place.mkdir(parents=True, exist_ok=True)
        with FileLock(place / ".lock"):
            if has_graphs(place / key):  # Written by the previous holder of the lock.
                return
            _remove_old(place, all_graphs=place.parent == adapter)
            with write_folder_atomic(place / key) as folder:
                model = TransformersMaskModel.from_pretrained(base, adapter, "cpu")
                if _digest(base, adapter) != key:
                    raise ModelError(f"{adapter}: has changed while it was loaded; load it again")
                logger.warning(
                    "Exporting the adapter %s to ONNX, once: it runs faster on the CPU from now on",
                    adapter,
                )
                model.save_pretrained(folder)
                try:
                    export_onnx(model, folder)
                except ModelError as error:
                    raise NotKeptError(f"{adapter}: {error}") from error


def _remove_old(place: Path, all_graphs: bool) -> None:
    """Delete leftovers of killed processes; with `all_graphs`, for one adapter's, all graphs."""
    for one in place.iterdir():
        unfinished = one.name.startswith(UNFINISHED_FOLDER)
        if unfinished or (all_graphs and _KEY.fullmatch(one.name)):
            shutil.rmtree(one, ignore_errors=True)


def _in_memory(folder: Path) -> OnnxMaskModel:
    """Load the model in `folder` to memory: later training may replace its files during use."""
    contents = {name: (folder / name).read_bytes() for name in (ENCODER, DECODER)}
    return OnnxMaskModel(folder, contents=contents)
