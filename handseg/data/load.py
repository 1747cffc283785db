"""Load photos of hands with masks from many layouts into one form."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, get_type_hints

import datasets
from pydantic import TypeAdapter, ValidationError

from handseg.data.arrow import to_dataset
from handseg.data.groups import GROUPS_FILE, grouping
from handseg.data.loaders.aitaca import list_aitaca
from handseg.data.loaders.coco import list_coco
from handseg.data.loaders.egohands import list_egohands
from handseg.data.loaders.egohos import list_egohos
from handseg.data.loaders.folder import list_folder
from handseg.data.loaders.freihand import list_freihand
from handseg.data.loaders.ho3d import list_ho3d
from handseg.data.loaders.hub import list_hub, load_hub
from handseg.data.loaders.mix import list_mix, load_mix
from handseg.data.loaders.webdataset import list_webdataset
from handseg.data.schema import Candidate
from handseg.runtime.config import expectation

logger = logging.getLogger(__name__)

_LISTS: dict[str, Callable[..., Sequence[Candidate]]] = {
    "folder": list_folder,
    "aitaca": list_aitaca,
    "coco": list_coco,
    "hub": list_hub,
    "freihand": list_freihand,
    "ho3d": list_ho3d,
    "egohos": list_egohos,
    "egohands": list_egohands,
    "webdataset": list_webdataset,
}
LAYOUTS = (*_LISTS, "mix")
_OWN_GROUPS = ("freihand", "ho3d", "egohos", "egohands", "webdataset")
"""Layouts that define their own groups."""


def load_data(
    source: str | Path,
    layout: str = "folder",
    *,
    groups: str | Path | None = None,
    group_pattern: str | None = None,
    cache_dir: str | Path | None = None,
    **options: Any,
) -> datasets.Dataset:
    """Load photos and masks with the columns of `FEATURES`, read from disk on demand.

    Photos without a mask are logged and left out. Nothing else is checked; use `handseg prepare`
    for that.

    Args:
        source: a folder or file, or for layout "hub" also the id of a data set.
        layout: "folder" (`images/` and `masks/`, perhaps `object_masks/` and `instances/`, by
            stem), "aitaca" (`<id>/original` and `<id>/no_bg`), "coco", "hub", "freihand", "ho3d",
            "egohos", "egohands", "webdataset" (tar files), or "mix" (a YAML file that lists
            several).
        groups: CSV file with the columns id and group; layout "folder" uses `groups.csv` in the
            source by default. Sets in a mix have their own.
        group_pattern: regular expression that finds a photo's group in its id.
        cache_dir: where Arrow files go; None uses the cache of `datasets`.
        options: of the layout, see `list_folder`, `list_coco`, `load_hub`, `list_egohos` and
            `list_egohands`.

    Raises:
        ValueError: if the source does not have this layout, an option is unknown or invalid, or no
            photo is left.
    """
    group_of = _checked(source, layout, groups, group_pattern, options)
    if layout == "mix":
        return load_mix(Path(source), partial(load_data, cache_dir=cache_dir))
    if layout == "hub":
        dataset = load_hub(source, group_of, cache_dir=cache_dir, **options)
        return _without_nulls(dataset)
    candidates = _LISTS[layout](Path(source), group_of, **options)
    return to_dataset(candidates, repr((layout, sorted(options.items()))), cache_dir)


def _without_nulls(dataset: datasets.Dataset) -> datasets.Dataset:
    """Leave out, and count, the rows without a photo or mask; ValueError if none is left."""
    photos, masks = (dataset.data[name].is_valid().to_pylist() for name in ("image", "mask"))
    whole = [index for index, photo in enumerate(photos) if photo and masks[index]]
    if not whole:
        raise ValueError("no photo has a mask that can be used")
    if len(whole) == len(dataset):
        return dataset
    logger.warning("%d of %d photos are left out", len(dataset) - len(whole), len(dataset))
    return dataset.select(whole)


def list_photos(
    source: str | Path,
    layout: str = "folder",
    *,
    groups: str | Path | None = None,
    group_pattern: str | None = None,
    **options: Any,
) -> Sequence[Candidate]:
    """List all photos of a data set, including those without a mask and other faulty ones.

    Takes the same arguments and raises the same errors as `load_data`.
    """
    group_of = _checked(source, layout, groups, group_pattern, options)
    if layout == "mix":
        return list_mix(Path(source), list_photos)
    return _LISTS[layout](source if layout == "hub" else Path(source), group_of, **options)


def _checked(
    source: str | Path,
    layout: str,
    groups: str | Path | None,
    group_pattern: str | None,
    options: dict[str, Any],
) -> Any:
    """Check the layout's options and return the function from id to group.

    None if no grouping is given and the layout defines its own groups.
    """
    if layout not in LAYOUTS:
        raise ValueError(f"layout must be one of {', '.join(LAYOUTS)}, got {layout!r}")
    if layout == "mix":
        given = {"groups": groups, "group_pattern": group_pattern, **options}
        if names := sorted(name for name, value in given.items() if value is not None):
            raise ValueError(
                f"layout mix takes no options, got {', '.join(names)}: give them to its sets"
            )
        return None
    taker = load_hub if layout == "hub" else _LISTS[layout]
    parameters = inspect.signature(taker).parameters.values()
    known = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY and p.name != "cache_dir"]
    unknown = sorted(options.keys() - set(known))
    if unknown:
        raise ValueError(
            f"layout {layout} takes the options {', '.join(('groups', 'group_pattern', *known))}, "
            f"got {', '.join(unknown)}"
        )
    hints = get_type_hints(taker) | get_type_hints(grouping)
    for name, value in {"groups": groups, "group_pattern": group_pattern, **options}.items():
        try:
            TypeAdapter(hints[name]).validate_python(value, strict=True)
        except ValidationError as error:
            raise ValueError(f"{name} {expectation(error.errors()[0])}") from error
    if groups is None and group_pattern is None and layout in _OWN_GROUPS:
        return None
    if groups is None and group_pattern is None and layout == "folder":
        file = Path(source) / GROUPS_FILE
        groups = file if file.is_file() else None
    return grouping(groups, group_pattern)
