"""Several data sets as one, with a weight each for how often its hands are shown: a YAML file.

    sets:
      - {source: data/FreiHAND_pub_v2, layout: freihand, weight: 1}
      - {source: data/aitaca, weight: 2, name: palms}

Ids and groups become "<name>/<id>" and "<name>/<group>".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import datasets
import numpy as np
from pydantic.dataclasses import dataclass as settings

from handseg.data.image_mask import digest_of
from handseg.data.loaders.lazy import Candidates
from handseg.data.schema import FEATURES, Candidate, Labels
from handseg.runtime.config import STRICT, Positive, from_mapping, read_yaml

_FILES = ("groups", "images")
"""Options with paths."""


@settings(frozen=True, config=STRICT)
class MixSet:
    """A data set in a mix.

    Attributes:
        source: folder or file, or for layout "hub" also the id of a data set; a relative path
            starts at the YAML file.
        layout: as in `handseg.data.load_data`.
        options: of the layout.
        weight: how often its hands are shown in training; only the weights' proportions count.
        name: in the mix; "" uses the name of the source's file or folder.
    """

    source: str
    layout: str = "folder"
    options: dict[str, Any] = field(default_factory=dict)
    weight: Positive = 1.0
    name: str = ""

    def __post_init__(self) -> None:
        if self.layout == "mix":
            raise ValueError("a mix cannot hold another mix")
        if taken := ", ".join(sorted({"source", "layout"} & self.options.keys())):
            raise ValueError(f"options must not hold {taken}: give it beside them")
        if "/" in self.name:
            raise ValueError(f"name must have no /, got {self.name!r}")


def read_mix(path: Path) -> tuple[MixSet, ...]:
    """Read the sets of a mix, with absolute paths and names filled in.

    Raises:
        ValueError: if the file cannot be read, has unknown keys or no set, or two sets share a
            name.
    """
    values = read_yaml(path)
    if values.keys() != {"sets"} or not isinstance(values["sets"], list) or not values["sets"]:
        got = ", ".join(map(str, values))
        raise ValueError(f"{path} must have a list sets and nothing else, got {got}")
    sets = []
    for number, entry in enumerate(values["sets"], 1):
        one = from_mapping(MixSet, entry, f"{path}: set {number}")
        there = (path.absolute().parent / one.source).resolve()
        source = one.source if one.layout == "hub" and not there.exists() else str(there)
        options = {
            name: str(path.absolute().parent / value)
            if name in _FILES and isinstance(value, str)
            else value
            for name, value in one.options.items()
        }
        name = one.name or Path(source).name
        sets.append(MixSet(source, one.layout, options, one.weight, name))
    names = [one.name for one in sets]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"{path} has two sets with the name {name!r}: give them a name")
    return tuple(sets)


def mix_weights(path: Path) -> dict[str, float]:
    """Read the weight of each set of a mix, by name."""
    return {one.name: one.weight for one in read_mix(path)}


@dataclass(frozen=True, eq=False)
class MixedPhoto(Candidate):
    """A candidate of one of the sets, under its name in the mix."""

    id: str
    group: str
    source: str
    inner: Candidate
    split: str | None

    @property
    def photo(self) -> Path | bytes:
        return self.inner.photo

    @property
    def files(self) -> tuple[Path, ...]:
        return self.inner.files

    def stamp(self) -> str:
        return digest_of(super().stamp().encode(), self.inner.stamp().encode())[:16]

    def labels(self, image: np.ndarray) -> Labels:
        return self.inner.labels(image)


def list_mix(path: Path, list_set: Callable[..., Sequence[Candidate]]) -> Candidates:
    """List the candidates of all sets; `list_set` is `handseg.data.list_photos`."""
    listed = [(one.name, list_set(one.source, one.layout, **one.options)) for one in read_mix(path)]
    keys = [
        (place, index) for place, (_, found) in enumerate(listed) for index in range(len(found))
    ]
    return Candidates(keys, partial(_mixed, listed))


def _mixed(listed: list[tuple[str, Sequence[Candidate]]], key: tuple[int, int]) -> MixedPhoto:
    name, found = listed[key[0]]
    inner = found[key[1]]
    return MixedPhoto(f"{name}/{inner.id}", f"{name}/{inner.group}", name, inner, inner.split)


def load_mix(path: Path, load_set: Callable[..., datasets.Dataset]) -> datasets.Dataset:
    """Load the rows of all sets; `load_set` is `handseg.data.load_data`."""
    parts = []
    for one in read_mix(path):
        loaded = load_set(one.source, one.layout, **one.options)
        named = {key: [f"{one.name}/{value}" for value in loaded[key]] for key in ("id", "group")}
        named["source"] = [one.name] * len(loaded)
        loaded = loaded.remove_columns(list(named))
        for key, values in named.items():
            loaded = loaded.add_column(key, values, feature=FEATURES[key])
        parts.append(loaded.select_columns(list(FEATURES)))
    return datasets.concatenate_datasets(parts)
