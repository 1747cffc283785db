from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
import typer
from typer.testing import CliRunner, Result

from handseg.data import LabelledPhotos, Splits, load_data
from handseg.data.image_mask import find_pairs
from handseg.errors import RunMismatch
from handseg.landmarks import HandLandmarker
from handseg.landmarks.anatomy import hand_size
from handseg.synthetic.pasted.held_compositor import EMPTY, HELD, HeldComposer, HeldSample
from handseg.synthetic.pasted.held_dataset import in_validation, main, make_composer, make_held
from handseg.synthetic.pasted.objects import SIDE, draw_object
from handseg.synthetic.pasted.sources import Example, add_landmarks


@pytest.fixture(scope="module")
def examples(
    photo_folder: Path, landmarker: HandLandmarker, tmp_path_factory: pytest.TempPathFactory
) -> list[Example]:
    cache = tmp_path_factory.mktemp("cache")
    return add_landmarks(find_pairs(photo_folder), cache, landmarker)


@pytest.fixture(scope="module")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A red ball, (60, 60) px."""
    file = tmp_path_factory.mktemp("objects") / "toy-ball-red.png"
    ball = np.zeros((60, 60, 4), np.uint8)
    cv2.circle(ball, (30, 30), 28, (0, 0, 255, 255), -1)
    cv2.imwrite(str(file), ball)
    return file


@pytest.fixture(scope="module")
def composer(examples: list[Example], picture: Path) -> HeldComposer:
    backgrounds = [example.image_path for example in examples]
    return HeldComposer(examples, backgrounds, [picture], size=256)


@pytest.fixture(scope="module")
def samples(composer: HeldComposer) -> list[HeldSample]:
    return [composer.sample(np.random.default_rng([5, index])) for index in range(60)]


def test_pictures_have_the_stated_form(samples: list[HeldSample]) -> None:
    for sample in samples:
        assert sample.image.shape == (256, 256, 3)
        assert sample.image.dtype == np.uint8
        assert sample.hand.shape == sample.held.shape == (256, 256)
        assert sample.hand.dtype == sample.held.dtype == np.bool_
        assert sample.landmarks.shape == (21, 2)
        assert sample.hand.any()


def test_no_pixel_is_hand_and_object(samples: list[HeldSample]) -> None:
    for sample in samples:
        assert not (sample.hand & sample.held).any()


def test_something_is_held_just_where_the_way_says_so(samples: list[HeldSample]) -> None:
    for sample in samples:
        assert sample.held.any() == (sample.way in HELD), sample.way
    counts = Counter(sample.way for sample in samples)
    assert set(counts) == {*HELD, *EMPTY}
    assert 8 <= sum(counts[way] for way in EMPTY) <= 30  # 18 of 60 are expected


def test_what_is_held_touches_the_hand(samples: list[HeldSample]) -> None:
    for sample in samples:
        if sample.way in HELD:
            away = cv2.distanceTransform((~sample.hand).astype(np.uint8), cv2.DIST_L2, 5)
            assert away[sample.held].min() < 0.15 * hand_size(sample.landmarks), sample.way


def test_the_object_mask_is_exact(examples: list[Example], picture: Path) -> None:
    # Only the ball is red here, so the mask must show it, to a pixel along its edge.
    composer = HeldComposer(examples, [], [picture], size=256, empty_share=0, drawn_share=0)
    for index in range(12):
        sample = composer.sample(np.random.default_rng([9, index]))
        kernel = np.ones((5, 5), np.uint8)
        inner = cv2.erode(sample.held.astype(np.uint8), kernel) > 0
        if inner.sum() < 30:
            continue
        inside = sample.image[inner].astype(int)
        outside = sample.image[cv2.dilate(sample.hand.astype(np.uint8), kernel) > 0].astype(int)
        redness = [np.median(part[:, 0] - part[:, 1:].max(1)) for part in (inside, outside)]
        grey = np.ptp(inside, axis=1).max() == 0  # camera effects make some images monochrome
        assert grey or redness[0] > redness[1] + 10


def test_seeds_reproduce_and_differ(composer: HeldComposer, samples: list[HeldSample]) -> None:
    again = composer.sample(np.random.default_rng([5, 3]))
    np.testing.assert_array_equal(again.image, samples[3].image)
    np.testing.assert_array_equal(again.hand, samples[3].hand)
    np.testing.assert_array_equal(again.held, samples[3].held)
    assert (again.image != samples[4].image).any()


@pytest.mark.parametrize(("share", "ways"), [(0.0, HELD), (1.0, EMPTY)])
def test_share_of_empty_hands(
    composer: HeldComposer, share: float, ways: tuple[str, ...], examples: list[Example]
) -> None:
    one = HeldComposer(
        examples, composer.backgrounds, composer.objects, size=192, empty_share=share
    )
    for index in range(6):
        assert one.sample(np.random.default_rng([1, index])).way in ways


class TestScenes:
    """Photos that are unchanged except for the object."""

    @pytest.fixture(scope="class")
    @staticmethod
    def samples(examples: list[Example], picture: Path) -> list[HeldSample]:
        scenes = HeldComposer(
            examples, [], [picture], size=320, empty_share=0.5, drawn_share=0, as_scenes=True
        )
        return [scenes.sample(np.random.default_rng([3, index])) for index in range(24)]

    def test_masks_are_exact_and_disjoint(self, samples: list[HeldSample]) -> None:
        for sample in samples:
            assert sample.image.shape == (240, 320, 3)  # of 480 x 640
            assert sample.hand.shape == sample.held.shape == (240, 320)
            assert not (sample.hand & sample.held).any()
            assert sample.held.any() == (sample.way in HELD)
            assert sample.way != "distant"

    def test_hand_is_the_photos_own(
        self, samples: list[HeldSample], examples: list[Example]
    ) -> None:
        hands = []
        for example in examples:
            small = cv2.resize(example.load()[1].astype(np.uint8), (320, 240)) > 0
            hands += [small, small[:, ::-1]]
        for sample in samples:
            # Up to the wrist and without covered parts, the mask lies on the hand of one photo.
            inside = [(sample.hand & hand).sum() / sample.hand.sum() for hand in hands]
            assert max(inside) > 0.95


@pytest.mark.parametrize("seed", range(40))
def test_drawn_things(seed: int) -> None:
    texture = np.full((SIDE, SIDE, 3), 90, np.uint8)
    drawn = draw_object(texture, np.random.default_rng(seed))
    assert drawn.shape == (SIDE, SIDE, 4)
    assert drawn.dtype == np.uint8
    rows = np.flatnonzero((drawn[..., 3] > 127).any(1))
    assert np.ptp(rows) > 0.75 * SIDE  # as long as the image, however thin
    assert (drawn[..., 3] > 127).mean() > 0.02
    np.testing.assert_array_equal(drawn, draw_object(texture, np.random.default_rng(seed)))


def test_objects_of_a_kind_are_in_one_part() -> None:
    for kind in ("food-fruit", "town-flags", "medical"):
        parts = {in_validation(Path(f"{kind}-{name}.png")) for name in ("one", "two", "three")}
        assert len(parts) == 1


class TestFolder:
    def test_is_read_by_the_folder_layout(self, composer: HeldComposer, tmp_path: Path) -> None:
        make_held({"train": composer, "val": composer}, {"train": 5, "val": 3}, tmp_path, seed=2)
        data = load_data(tmp_path, cache_dir=tmp_path / "arrow")
        splits = Splits.load(tmp_path / "splits.json")
        for part, count in (("train", 5), ("val", 3)):
            photos = LabelledPhotos(splits.select(data, part))
            assert len(photos) == count
            for index, photo in enumerate(photos):
                number = ["train", "val"].index(part)
                sample = composer.sample(np.random.default_rng([2, number, index]))
                image, hand = photo.load()
                held = photo.load_object_mask()
                assert image.shape == (256, 256, 3)
                np.testing.assert_array_equal(hand, sample.hand)
                np.testing.assert_array_equal(held, sample.held)
        with (tmp_path / "groups.csv").open() as file:
            assert {row["group"] for row in csv.DictReader(file)} == {"train", "val"}

    def test_goes_on_where_it_stopped(self, composer: HeldComposer, tmp_path: Path) -> None:
        parts = {"train": composer}
        make_held(parts, {"train": 4}, tmp_path, seed=0)
        first = {file: file.read_bytes() for file in tmp_path.rglob("*.*g")}
        (tmp_path / "images" / "train_00002.jpg").unlink()
        kept = tmp_path / "images" / "train_00001.jpg"
        before = kept.stat().st_mtime_ns
        make_held(parts, {"train": 6}, tmp_path, seed=0)
        assert {file: file.read_bytes() for file in first} == first
        assert kept.stat().st_mtime_ns == before
        assert len(list((tmp_path / "object_masks").iterdir())) == 6

    def test_refuses_another_seed(self, composer: HeldComposer, tmp_path: Path) -> None:
        make_held({"train": composer}, {"train": 1}, tmp_path, seed=0)
        with pytest.raises(RunMismatch, match="other settings: seed 0, now 1"):
            make_held({"train": composer}, {"train": 1}, tmp_path, seed=1)

    def test_refuses_a_folder_of_something_else(
        self, composer: HeldComposer, tmp_path: Path
    ) -> None:
        own = tmp_path / "masks/train_00000.png"
        own.parent.mkdir()
        own.write_bytes(b"drawn by hand")
        with pytest.raises(RunMismatch, match=r"holds other files, as train_00000\.png"):
            make_held({"train": composer}, {"train": 1}, tmp_path, seed=0)
        assert [path for path in tmp_path.rglob("*") if path.is_file()] == [own]


def command(*arguments: str | Path) -> Result:
    app = typer.Typer()
    app.command()(main)
    return CliRunner().invoke(app, [*map(str, arguments)])


class TestSources:
    @pytest.fixture
    def data(self, tmp_path: Path, photo_folder: Path, picture: Path) -> Path:
        """Photos of two persons and a scene, two backgrounds and an object of each part."""
        photos = sorted((photo_folder / "images").iterdir())
        sets = {"massey_asl": ("hand1_a", "hand5_a"), "rps_green": ("r",), "epsrc_comp": ("e",)}
        for name, stems in sets.items():
            for stem, photo in zip(stems, photos, strict=False):
                for kind, suffix in (("images", ".jpg"), ("masks", ".png")):
                    folder = tmp_path / "train" / name / kind
                    folder.mkdir(parents=True, exist_ok=True)
                    source = photo_folder / kind / f"{photo.stem}{suffix}"
                    (folder / f"{stem}{suffix}").write_bytes(source.read_bytes())
        (tmp_path / "backgrounds").mkdir()
        for name in ("gnome_1.jpg", "plasma_1.jpg"):
            (tmp_path / "backgrounds" / name).write_bytes(photos[0].read_bytes())
        (tmp_path / "objects").mkdir()
        for name in ("medical-tooth.png", "food-fruit-kiwi.png"):
            (tmp_path / "objects" / name).write_bytes(picture.read_bytes())
        return tmp_path

    def test_parts_share_nothing(self, data: Path, tmp_path: Path) -> None:
        one, scene, other = (
            make_composer(data, kind, tmp_path / "cache") for kind in ("train", "scene", "val")
        )
        assert {example.id for example in one.examples} == {
            "massey_asl/hand1_a",
            "rps_green/r",
        }
        assert {example.id for example in other.examples} == {"massey_asl/hand5_a"}
        assert [file.name for file in one.objects] == ["food-fruit-kiwi.png"]
        assert [file.name for file in other.objects] == ["medical-tooth.png"]
        assert [file.name for file in one.backgrounds] == ["gnome_1.jpg"]
        assert [file.name for file in other.backgrounds] == ["plasma_1.jpg"]
        assert other.drawn_share == 0
        assert scene.as_scenes
        assert not one.as_scenes
        assert not other.as_scenes
        assert {example.id for example in scene.examples} == {"rps_green/r", "epsrc_comp/e"}
        assert scene.objects == one.objects

    def test_what_is_missing_is_named(self, data: Path, tmp_path: Path) -> None:
        (data / "objects" / "medical-tooth.png").unlink()
        done = command(data, tmp_path / "out", "--count", "1")
        assert done.exit_code == 2
        assert "no object for pictures of the kind 'val'" in done.stderr

    def test_command_leaves_a_folder_of_something_else_alone(
        self, data: Path, tmp_path: Path
    ) -> None:
        (output := tmp_path / "out").mkdir()
        (output / "letter.txt").write_text("mine")
        done = command(data, output, "--count", "1", "--validation", "1")
        assert done.exit_code == 2
        assert "holds other files, as letter.txt" in done.stderr
        assert [path.name for path in output.iterdir()] == ["letter.txt"]

    def test_command_writes_both_parts(self, data: Path, tmp_path: Path) -> None:
        output = tmp_path / "out"
        counts = ("--count", "2", "--scenes", "1", "--validation", "1")
        assert command(data, output, *counts, "--seed", "4").exit_code == 0
        stems = {"train_00000", "train_00001", "scene_00000", "val_00000"}
        splits = Splits.load(output / "splits.json")
        assert set(splits.parts["train"]) == stems - {"val_00000"}
        for folder in ("images", "masks", "object_masks"):
            assert {file.stem for file in (output / folder).iterdir()} == stems
