"""Splits of a data set into parts that share no photo and no group."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from handseg.data.group_split import draw_groups
from handseg.runtime.files import write_atomic

if TYPE_CHECKING:
    import datasets

TRAIN, VALIDATION, TEST = PARTS = ("train", "val", "test")
OFFICIAL = "official"
"""Stands for the publisher's split where a split file is expected."""


def parse_ratios(text: str) -> dict[str, float]:
    """Parse the sizes of train, val and optionally test from "60/20/20".

    Raises:
        ValueError: if these are not two or three positive numbers that sum to 100.
    """
    try:
        numbers = [float(part) for part in text.split("/")]
    except ValueError:
        numbers = []
    if len(numbers) not in (2, 3) or not (min(numbers) > 0 and abs(sum(numbers) - 100) < 1e-6):
        raise ValueError(
            f"a split must be two or three positive numbers that sum up to 100, such as 60/20/20 "
            f"or 90/10, got {text!r}"
        )
    return dict(zip(PARTS, (number / 100 for number in numbers), strict=False))


@dataclass(frozen=True)
class Splits:
    """Named parts of a data set.

    Attributes:
        parts: maps part names to the ids of their photos.
        groups: the group of every id.
        ratios: the requested sizes, if any.
        seed: of the drawing of groups, if they were drawn.

    Raises:
        ValueError: if an id or a group is in two parts, or an id has no group.
    """

    parts: Mapping[str, tuple[str, ...]]
    groups: Mapping[str, str]
    ratios: Mapping[str, float] | None = None
    seed: int | None = None

    def __post_init__(self) -> None:
        part_of: dict[tuple[str, str], str] = {}
        for part, ids in self.parts.items():
            for name in ids:
                if ("id", name) in part_of:
                    raise ValueError(f"id {name!r} is in {part_of['id', name]!r} and in {part!r}")
                part_of["id", name] = part
                if name not in self.groups:
                    raise ValueError(f"id {name!r} in {part!r} has no group")
                group = self.groups[name]
                if part_of.setdefault(("group", group), part) != part:
                    other = part_of["group", group]
                    raise ValueError(f"group {group!r} is in {other!r} and in {part!r}")

    @classmethod
    def by_group(cls, dataset: datasets.Dataset, ratios: Mapping[str, float], seed: int) -> Splits:
        """Draw whole groups so that the sizes of the parts come close to `ratios`.

        Moving one group to another part, or swapping two, would bring them no closer. The same
        groups, ratios and seed give the same parts.

        Args:
            dataset: with columns id and group.
            ratios: maps part names to sizes; only their proportions count.
            seed: of the order in which groups are drawn.

        Raises:
            ValueError: if a ratio is not positive, or there are fewer groups than parts.
        """
        groups = _groups(dataset)
        return cls(draw_groups(groups, ratios, seed), groups, dict(ratios), seed)

    @classmethod
    def official(
        cls, dataset: datasets.Dataset, ratios: Mapping[str, float] | None = None, seed: int = 0
    ) -> Splits:
        """Use the publisher's split; photos in none of its parts are left out.

        If it has no "val", a run still needs one: with `ratios`, whole groups are moved from
        "train" to "val" until the two have the proportions in `ratios`.

        Args:
            dataset: with columns id, group and split.
            ratios: sizes of "train" and "val"; None uses the split unchanged.
            seed: of the order in which groups are drawn.

        Raises:
            ValueError: if no photo is in an official part, a part is not "train", "val" or "test",
                a group is in several parts, "train" has only one group to draw from, or `ratios`
                lack it.
        """
        groups = _groups(dataset)
        chosen: dict[str, list[str]] = {part: [] for part in PARTS}
        for name, part in zip(groups, dataset["split"], strict=True):
            if part is None:
                continue
            if part not in chosen:
                raise ValueError(f"split must be {', '.join(PARTS)} or null, {name!r} has {part!r}")
            chosen[part].append(name)
        parts = {part: tuple(sorted(ids)) for part, ids in chosen.items() if ids}
        if not parts:
            raise ValueError("the data set has no official split: no photo is in a part of one")
        groups = {name: groups[name] for ids in parts.values() for name in ids}
        drawn: dict[str, Any] = {}
        if ratios is not None and "val" in ratios and "train" in parts and "val" not in parts:
            if "train" not in ratios:
                raise ValueError(f"ratios must have train and val, got {', '.join(ratios)}")
            inside = {name: groups[name] for name in parts["train"]}
            drawn = {"ratios": {part: ratios[part] for part in ("train", "val")}, "seed": seed}
            parts |= draw_groups(inside, **drawn)
        try:
            return cls(parts, groups, **drawn)
        except ValueError as error:
            raise ValueError(
                f"the official split tears groups apart: {error}. Split by group, or take it as it "
                'is with the option group_pattern "(.+)", which makes a group of each photo'
            ) from error

    def save(self, path: str | Path) -> None:
        """Write the split as JSON."""
        values = {
            "ratios": None if self.ratios is None else dict(self.ratios),
            "seed": self.seed,
            "parts": {
                part: {name: self.groups[name] for name in ids} for part, ids in self.parts.items()
            },
        }
        with write_atomic(path) as temporary:
            temporary.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: str | Path) -> Splits:
        """Read what `save` wrote.

        Raises:
            ValueError: if the file is something else, or an id or a group is in two parts.
        """
        try:
            values = json.loads(Path(path).read_text(encoding="utf-8-sig"))
            pairs = {part: dict(ids) for part, ids in values["parts"].items()}
            ratios, seed = values["ratios"], values["seed"]
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise ValueError(f"{path} is not a file of splits: {error!r}") from error
        groups: dict[str, str] = {}
        for part, ids in pairs.items():
            for name, group in ids.items():
                if groups.setdefault(name, group) != group:
                    raise ValueError(f"{path}: id {name!r} is of two groups in {part!r}")
        try:
            return cls({part: tuple(ids) for part, ids in pairs.items()}, groups, ratios, seed)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error

    def select(self, dataset: datasets.Dataset, part: str) -> datasets.Dataset:
        """Return the rows of `dataset` that are in `part`, in the order of the part.

        Raises:
            ValueError: if there is no such part, or `dataset` lacks one of its ids or has it in a
                different group.
        """
        if part not in self.parts:
            raise ValueError(f"part must be one of {', '.join(self.parts)}, got {part!r}")
        groups = _groups(dataset)
        places = {name: index for index, name in enumerate(groups)}
        for name in self.parts[part]:
            if groups.get(name) != self.groups[name]:
                found = f"of group {groups[name]!r}" if name in groups else "missing"
                raise ValueError(
                    f"the split does not fit the data: {name!r} of group {self.groups[name]!r} "
                    f"in {part!r} is {found} there"
                )
        return dataset.select([places[name] for name in self.parts[part]])


def _groups(dataset: datasets.Dataset) -> dict[str, str]:
    names, groups = list(dataset["id"]), list(dataset["group"])
    result = dict(zip(names, groups, strict=True))
    if len(result) < len(names):
        (name, count), *_ = Counter(names).most_common(1)
        raise ValueError(f"id {name!r} is in the data set {count} times")
    return result
