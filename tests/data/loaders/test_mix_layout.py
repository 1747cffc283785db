from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
import yaml
from PIL import Image

from handseg.data import FEATURES, LabelledPhotos, Splits, list_photos, load_data
from handseg.data.loaders.mix import mix_weights, read_mix
from handseg.errors import TrainingError
from handseg.finetune.lora.data import load_photos
from handseg.finetune.settings import DataSettings


@pytest.fixture
def mix(photo_folder: Path, tmp_path: Path) -> Path:
    """A folder of four photos, EgoHOS with three, and a saved data set of two."""
    shutil.copytree(photo_folder, tmp_path / "data" / "hands")
    for part, name in (("train", "ego4d_a_1"), ("train", "ego4d_b_1"), ("val", "ego4d_c_1")):
        for folder in ("image", "label"):
            (tmp_path / "data" / "egohos" / part / folder).mkdir(parents=True, exist_ok=True)
        place = tmp_path / "data" / "egohos" / part
        Image.new("RGB", (60, 40), (9, 9, 9)).save(place / "image" / f"{name}.jpg")
        Image.fromarray(np.eye(40, 60, dtype=np.uint8)).save(place / "label" / f"{name}.png")
    masks = load_data(tmp_path / "data" / "hands", cache_dir=tmp_path / "cache")
    masks.select([0, 1]).select_columns(["image", "mask"]).save_to_disk(
        str(tmp_path / "data" / "saved")
    )
    return write(
        tmp_path,
        {"source": "data/hands", "weight": 2},
        {"source": "data/egohos", "layout": "egohos", "name": "ego"},
        {"source": "data/saved", "layout": "hub", "weight": 0.5},
    )


def write(folder: Path, *sets: Any) -> Path:
    path = folder / "mix.yaml"
    path.write_text(yaml.safe_dump({"sets": list(sets)}))
    return path


def load(path: Path) -> datasets.Dataset:
    return load_data(path, "mix", cache_dir=path.parent / "cache")


def test_the_rows_of_all_sets_are_there_under_their_names(mix: Path, photos: dict) -> None:
    dataset = load(mix)
    assert dataset.features == FEATURES
    rows = LabelledPhotos(dataset)
    expected = [f"hands/{stem}" for stem in photos]
    expected += ["ego/train/ego4d_a_1", "ego/train/ego4d_b_1", "ego/val/ego4d_c_1"]
    expected += ["saved/000000", "saved/000001"]
    assert [row.id for row in rows] == expected
    assert [row.group for row in rows[4:7]] == ["ego/ego4d_a", "ego/ego4d_b", "ego/ego4d_c"]
    assert [row.source for row in rows] == ["hands"] * 4 + ["ego"] * 3 + ["saved"] * 2
    assert [row.split for row in rows] == [None] * 4 + ["train", "train", "val"] + [None] * 2
    np.testing.assert_array_equal(rows[0].load()[0], photos["2_pic00174"])
    np.testing.assert_array_equal(rows[7].load()[0], photos["2_pic00174"])
    assert rows[4].load_object_mask() is not None
    assert rows[0].load_object_mask() is None
    assert mix_weights(mix) == {"hands": 2, "ego": 1, "saved": 0.5}


def test_candidates_are_those_of_the_sets(mix: Path) -> None:
    dataset, candidates = load(mix), list_photos(mix, "mix")
    assert [one.id for one in candidates] == list(dataset["id"])
    assert [one.group for one in candidates] == list(dataset["group"])
    assert [one.split for one in candidates] == list(dataset["split"])
    assert candidates[4].labels(np.zeros((40, 60, 3), np.uint8)).object_mask is not None
    assert isinstance(candidates[7].photo, bytes)
    assert [path.suffix for path in candidates[4].files] == [".jpg", ".png"]


def test_paths_start_at_the_file_wherever_one_works(
    mix: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [path.stem for path in (mix.parent / "data/hands/images").iterdir()]
    (mix.parent / "who.csv").write_text(
        "id,group\n" + "".join(f"{name},person\n" for name in names)
    )
    write(
        mix.parent,
        {"source": "data/hands", "options": {"groups": "who.csv"}},
        {"source": "nobody/nothing", "layout": "hub"},
    )
    monkeypatch.chdir(mix.parent)
    first, second = read_mix(Path("mix.yaml"))
    assert first.source == str(mix.parent / "data" / "hands")
    assert second.source == "nobody/nothing"
    write(mix.parent, {"source": "data/hands", "options": {"groups": "who.csv"}})
    monkeypatch.chdir("/")
    assert set(load(mix)["group"]) == {"hands/person"}


def test_an_option_that_is_null_is_not_given(mix: Path) -> None:
    write(mix.parent, {"source": "data/hands", "options": {"groups": None}})
    assert len(load(mix)) == 4


def test_a_file_of_other_things_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mix.yaml"
    path.write_text("1: {source: a}\n")
    with pytest.raises(ValueError, match="must have a list sets and nothing else, got 1"):
        load(path)


@pytest.mark.parametrize(
    ("sets", "message"),
    [
        ([], "must have a list sets"),
        ([{"layout": "coco"}], "set 1: .*source"),
        ([{"source": "a", "wieght": 2}], "set 1: unknown keys wieght"),  # codespell:ignore
        ([{"source": "a", "weight": 0}], "set 1: weight must be above 0, got 0"),
        ([{"source": "a", "name": "a/b"}], "name must have no /"),
        ([{"source": "a"}, {"source": "x/a"}], "two sets with the name 'a'"),
        ([{"source": "a", "layout": "mix"}], "a mix cannot hold another mix"),
        ([{"source": "a", "layout": "x"}], "layout must be one of folder, .*, mix, got 'x'"),
        ([{"source": "a"}], "expected the folder .*/a/images"),
        (["a"], "set 1 must be a mapping, got 'a'"),
        ([{"source": "a", "options": {"groups": 5}}], "groups must be text, got 5"),
        ([{"source": "a", "options": {"layout": "coco"}}], "options must not hold layout"),
    ],
)
def test_faulty_files_are_refused(sets: list, message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        load(write(tmp_path, *sets))


def test_options_belong_to_the_sets(mix: Path) -> None:
    with pytest.raises(ValueError, match="takes no options, got group_pattern: give them"):
        load_data(mix, "mix", group_pattern="(.)")
    with pytest.raises(ValueError, match="takes no options, got test"):
        list_photos(mix, "mix", test="both")


def test_a_run_takes_the_official_split(mix: Path, tmp_path: Path) -> None:
    settings = DataSettings(str(mix), "mix", splits="official")
    parts = load_photos(settings, tmp_path / "run", 0)
    assert {part: [row.id for row in rows] for part, rows in parts.items()} == {
        "train": ["ego/train/ego4d_a_1", "ego/train/ego4d_b_1"],
        "val": ["ego/val/ego4d_c_1"],
    }
    shutil.rmtree(mix.parent / "data" / "egohos" / "val")
    with pytest.raises(ValueError, match=r"does not fit the data: 'ego/val/ego4d_c_1'"):
        load_photos(settings, tmp_path / "run", 0)
    drawn = load_photos(settings, tmp_path / "other", 0)
    assert {part: len(rows) for part, rows in drawn.items()} == {"train": 1, "val": 1}
    assert Splits.load(tmp_path / "other" / "splits.json").seed == 0
    folder = DataSettings(str(mix.parent / "data" / "hands"), splits="official")
    with pytest.raises(ValueError, match="has no official split"):
        load_photos(folder, tmp_path / "third", 0)
    twice = DataSettings(str(mix), options={"layout": "mix", "source": "data"})
    with pytest.raises(TrainingError, match="not hold layout, source: give data"):
        load_photos(twice, tmp_path / "run", 0)
    missing = DataSettings(str(mix), "mix", splits=str(tmp_path / "none.json"))
    with pytest.raises(TrainingError, match="no such file"):
        load_photos(missing, tmp_path / "run", 0)


def test_the_example_is_one() -> None:
    path = Path(__file__).parents[3] / "finetune" / "mix.yaml"
    assert [one.layout for one in read_mix(path)] == ["freihand", "ho3d", "egohos", "egohands"]
