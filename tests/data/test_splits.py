from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handseg.data import Splits
from handseg.data.splits import parse_ratios


def make(sizes: list[int]) -> datasets.Dataset:
    """Make groups g0, g1, ... of these sizes, with interleaved photos."""
    rows = [(step, f"g{group}") for group, size in enumerate(sizes) for step in range(size)]
    rows.sort()
    ids = [f"{group}_{step}" for step, group in rows]
    return datasets.Dataset.from_dict({"id": ids, "group": [group for _, group in rows]})


RATIOS = st.sampled_from(
    [
        {"train": 0.6, "val": 0.2, "test": 0.2},
        {"train": 65, "val": 15, "test": 20},
        {"train": 8, "val": 1, "test": 1},
        {"a": 1, "b": 1},
        {"all": 1},
    ]
)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 12), min_size=3, max_size=14), RATIOS, st.integers(0, 99))
def test_parts_take_whole_groups_and_come_near_their_ratios(
    sizes: list[int], ratios: dict[str, float], seed: int
) -> None:
    dataset = make(sizes)
    splits = Splits.by_group(dataset, ratios, seed)
    assert list(splits.parts) == list(ratios)
    ids = [name for part in splits.parts.values() for name in part]
    assert sorted(ids) == sorted(dataset["id"])
    groups = {part: {splits.groups[name] for name in ids} for part, ids in splits.parts.items()}
    assert all(groups.values())
    assert sum(map(len, groups.values())) == len(sizes)

    total = sum(ratios.values())
    targets = {part: value / total * sum(sizes) for part, value in ratios.items()}
    size_of = {f"g{index}": size for index, size in enumerate(sizes)}
    filled = {part: sum(size_of[group] for group in groups[part]) for part in groups}

    def off(changes: dict[str, int]) -> float:
        return sum(abs(filled[p] + changes.get(p, 0) - targets[p]) for p in filled)

    for one in groups:
        for other in groups:
            for given_away in groups[one] if one != other else ():
                back = [size_of[group] for group in groups[other]]
                back += [0] if len(groups[one]) > 1 else []
                for returned in back:
                    change = size_of[given_away] - returned
                    assert off({one: -change, other: change}) >= off({}) - 1e-6


@given(st.integers(10, 200), RATIOS, st.integers(0, 5))
@settings(max_examples=30, deadline=None)
def test_single_photos_are_split_to_the_photo(
    count: int, ratios: dict[str, float], seed: int
) -> None:
    splits = Splits.by_group(make([1] * count), ratios, seed)
    for part, value in ratios.items():
        exact = value / sum(ratios.values()) * count
        assert abs(len(splits.parts[part]) - exact) <= 1


def test_the_seed_decides_and_nothing_else() -> None:
    dataset, ratios = make([3, 1, 4, 1, 5, 9, 2, 6] * 2), {"train": 0.8, "val": 0.2}
    one, again, other = (Splits.by_group(dataset, ratios, seed) for seed in (1, 1, 2))
    assert one == again
    assert one.parts != other.parts
    shuffled = dataset.shuffle(seed=3)
    assert Splits.by_group(shuffled, ratios, 1) == one


def test_large_sets_are_split_fast() -> None:
    sizes = np.random.default_rng(0).integers(1, 40, 5000).tolist()
    splits = Splits.by_group(make(sizes), {"train": 0.65, "val": 0.15, "test": 0.2}, 0)
    for part, ratio in zip(splits.parts.values(), (0.65, 0.15, 0.2), strict=True):
        assert abs(len(part) - ratio * sum(sizes)) <= 1


def test_a_split_is_saved_and_selects_rows(tmp_path: Path) -> None:
    dataset = make([2, 3, 4])
    splits = Splits.by_group(dataset, {"train": 0.5, "val": 0.5}, 7)
    splits.save(tmp_path / "new" / "splits.json")
    loaded = Splits.load(tmp_path / "new" / "splits.json")
    assert loaded == splits
    assert (loaded.seed, loaded.ratios) == (7, {"train": 0.5, "val": 0.5})
    for part, ids in splits.parts.items():
        assert tuple(loaded.select(dataset, part)["id"]) == ids


def test_photos_that_have_gone_or_changed_their_group_are_named() -> None:
    dataset = make([2, 3])
    splits = Splits.by_group(dataset, {"train": 0.5, "val": 0.5}, 0)
    with pytest.raises(ValueError, match="part must be one of train, val, got 'test'"):
        splits.select(dataset, "test")
    with pytest.raises(ValueError, match=r"'g0_1' of group 'g0' .* is missing there"):
        splits.select(dataset.filter(lambda row: row["id"] != "g0_1"), _part_of(splits, "g0_1"))
    regrouped = dataset.map(lambda row: {"group": "g"})
    with pytest.raises(ValueError, match="is of group 'g' there"):
        splits.select(regrouped, "train")


def _part_of(splits: Splits, name: str) -> str:
    return next(part for part, ids in splits.parts.items() if name in ids)


def test_an_overlap_is_an_error(tmp_path: Path) -> None:
    groups = {"a": "1", "b": "1", "c": "2"}
    with pytest.raises(ValueError, match="id 'a' is in 'train' and in 'val'"):
        Splits({"train": ("a",), "val": ("a",)}, groups)
    with pytest.raises(ValueError, match="group '1' is in 'train' and in 'val'"):
        Splits({"train": ("a", "c"), "val": ("b",)}, groups)
    with pytest.raises(ValueError, match="id 'd' in 'train' has no group"):
        Splits({"train": ("d",)}, groups)
    values = {"ratios": None, "seed": None}
    path = tmp_path / "splits.json"
    path.write_text(json.dumps({**values, "parts": {"train": {"a": "1"}, "val": {"b": "1"}}}))
    with pytest.raises(ValueError, match=r"splits\.json: group '1' is in"):
        Splits.load(path)
    path.write_text(json.dumps({**values, "parts": {"train": {"a": "1"}, "val": {"a": "2"}}}))
    with pytest.raises(ValueError, match="id 'a' is of two groups"):
        Splits.load(path)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"parts": 3}', '{"parts": {"a": 1}}'])
def test_other_files_are_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(ValueError, match="is not a file of splits"):
        Splits.load(tmp_path / "x.json")


def official(
    groups: list[str], splits: list[str | None], **options: Any
) -> tuple[Splits, datasets.Dataset]:
    ids = [f"p{index}" for index in range(len(groups))]
    dataset = datasets.Dataset.from_dict({"id": ids, "group": groups, "split": splits})
    return Splits.official(dataset, **options), dataset


def test_the_publishers_split_is_taken_from_the_rows(tmp_path: Path) -> None:
    splits, dataset = official(["a", "b", "b", "c", "d"], ["test", "train", "train", None, "val"])
    assert splits.parts == {"train": ("p1", "p2"), "val": ("p4",), "test": ("p0",)}
    assert (splits.ratios, splits.seed) == (None, None)
    assert "p3" not in splits.groups
    splits.save(tmp_path / "splits.json")
    assert Splits.load(tmp_path / "splits.json") == splits
    assert splits.select(dataset, "test")["id"][0] == "p0"


def test_a_missing_val_is_drawn_out_of_train_by_group() -> None:
    groups = [f"g{index // 4}" for index in range(80)] + ["t"] * 5
    parts: list[str | None] = ["train"] * 80 + ["test"] * 5
    ratios = {"train": 0.6, "val": 0.2, "test": 0.2}
    splits, _ = official(groups, parts, ratios=ratios, seed=3)
    assert {part: len(ids) for part, ids in splits.parts.items()} == {
        "train": 60, "val": 20, "test": 5,
    }  # fmt: skip
    assert (splits.ratios, splits.seed) == ({"train": 0.6, "val": 0.2}, 3)
    assert splits == official(groups, parts, ratios=ratios, seed=3)[0]
    assert splits.parts != official(groups, parts, ratios=ratios, seed=4)[0].parts
    assert "val" not in official(groups, parts)[0].parts
    with pytest.raises(ValueError, match="1 groups cannot fill the 2 parts train, val"):
        official(["a", "b"], ["train", "test"], ratios=ratios)


def test_an_official_split_without_val_needs_ratios_of_both_parts_to_draw_one() -> None:
    with pytest.raises(ValueError, match="ratios must have train and val, got val, test"):
        official(["a", "b"], ["train", "train"], ratios={"val": 0.5, "test": 0.5})


def test_an_official_split_that_is_none_or_tears_groups_is_refused() -> None:
    with pytest.raises(ValueError, match="has no official split"):
        official(["a", "b"], [None, None])
    with pytest.raises(ValueError, match="must be train, val, test or null, 'p1' has 'dev'"):
        official(["a", "b"], ["train", "dev"])
    with pytest.raises(ValueError, match=r"tears groups apart: group 'a' .* option group_pattern"):
        official(["a", "a"], ["train", "test"])


def test_impossible_splits_are_refused() -> None:
    dataset = make([5, 5])
    with pytest.raises(ValueError, match="2 groups cannot fill the 3 parts"):
        Splits.by_group(dataset, {"train": 0.6, "val": 0.2, "test": 0.2}, 0)
    with pytest.raises(ValueError, match="ratios must be positive"):
        Splits.by_group(dataset, {"train": 1, "val": 0}, 0)
    twice = datasets.concatenate_datasets([dataset, dataset])
    with pytest.raises(ValueError, match="is in the data set 2 times"):
        Splits.by_group(twice, {"train": 1, "val": 1}, 0)


def test_ratios_are_read_from_text() -> None:
    assert parse_ratios("65/15/20") == {"train": 0.65, "val": 0.15, "test": 0.2}
    assert parse_ratios("90/10") == {"train": 0.9, "val": 0.1}
    for text in ("60/20/10", "100", "a/b", "110/-10", "25/25/25/25", "nan/50/50"):
        with pytest.raises(ValueError, match="must be two or three positive numbers"):
            parse_ratios(text)


def test_a_byte_order_mark_is_read_over(tmp_path: Path) -> None:
    path = tmp_path / "splits.json"
    Splits({"train": ("a",), "val": ("b",)}, {"a": "a", "b": "b"}).save(path)
    path.write_text(path.read_text(), encoding="utf-8-sig")
    assert Splits.load(path).parts == {"train": ("a",), "val": ("b",)}
