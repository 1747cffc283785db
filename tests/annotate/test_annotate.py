from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from fake_hands import HoldingSegmenter, rectangle
from PIL import Image
from pycocotools.coco import COCO
from red_hands import draw_photo, save_photo
from typer.testing import CliRunner, Result

from handseg.cli import app
from handseg.data import load_data
from handseg.segmenter import HandSegmenter

Run = Callable[..., Result]
HAND, OTHER = (50, 60, 30, 20), (125, 60, 20, 25)


@pytest.fixture
def holding(run: Run, monkeypatch: pytest.MonkeyPatch) -> HoldingSegmenter:
    made = HoldingSegmenter()
    monkeypatch.setattr(HandSegmenter, "from_pretrained", lambda *_, **__: made)
    return made


def read_coco(file: str = "out/coco.json") -> COCO:
    return COCO(file)


def read(path: str) -> np.ndarray:
    return np.asarray(Image.open(path))


def test_all_forms_say_the_same(run: Run) -> None:
    masks = [save_photo(Path("in/a.png"), HAND, OTHER), save_photo(Path("in/b.png"))]
    done = run("in", "-o", "out")
    assert done.exit_code == 0, done.output
    assert "2 done (1 without a hand)" in done.stdout
    assert {path.name for path in Path("out").iterdir()} == {
        "coco.json", "data.yaml", "images", "instances", "labels", "masks", "run",
    }  # fmt: skip
    coco = read_coco()
    (category,) = coco.loadCats(coco.getCatIds())
    assert (category["id"], category["name"]) == (1, "hand")
    assert len(category["keypoints"]) == 21
    assert np.array(category["skeleton"]).min() == 1
    assert [image["file_name"] for image in coco.loadImgs([1, 2])] == ["a.png", "b.png"]
    notes = coco.loadAnns(coco.getAnnIds(1))
    assert [note["id"] for note in notes] == [1, 2]
    assert coco.getAnnIds(2) == []
    together = np.zeros_like(masks[0])
    instances = read("out/instances/a.png")
    for number, note in enumerate(notes, 1):
        mask = coco.annToMask(note).astype(bool)
        assert note["area"] == mask.sum()
        assert note["num_keypoints"] == 21
        assert (note["handedness"], note["handedness_score"], note["score"]) == ("left", 0.9, 0.75)
        np.testing.assert_array_equal(instances == number, mask)
        together |= mask
    np.testing.assert_array_equal(read("out/masks/a.png"), together * np.uint8(255))
    assert (together & masks[0]).sum() / (together | masks[0]).sum() > 0.97
    assert not read("out/masks/b.png").any()
    assert len(Path("out/labels/a.txt").read_text().splitlines()) == 2
    assert Path("out/labels/b.txt").read_text() == ""
    assert Path("out/images/a.png").read_bytes() == Path("in/a.png").read_bytes()


@pytest.mark.parametrize("layout", ["folder", "coco"])
def test_the_output_can_be_learnt_from(
    holding: HoldingSegmenter, run: Run, layout: str, tmp_path: Path
) -> None:
    save_photo(Path("in/x/a.png"))
    save_photo(Path("in/b.png"))
    assert run("in", "-r", "--objects", "-o", "out").exit_code == 0
    dataset = load_data("out", layout, cache_dir=tmp_path / "cache")
    assert sorted(dataset["id"]) == ["b", "x__a"]
    row = dataset[0]
    np.testing.assert_array_equal(
        np.asarray(row["mask"].convert("L")) > 127, rectangle((120, 160), 20, 20, 30, 40)
    )
    np.testing.assert_array_equal(
        np.asarray(row["object_mask"].convert("L")) > 127, rectangle((120, 160), 50, 20, 30, 10)
    )


def test_objects_are_asked_for_and_written(holding: HoldingSegmenter, run: Run) -> None:
    save_photo(Path("in/a.png"))
    assert run("in", "-o", "out", "--objects", "--sequence").exit_code == 0
    assert all(options["objects"] is True for options in holding.options)
    coco = read_coco()
    assert [one["name"] for one in coco.loadCats(coco.getCatIds())] == ["hand", "object"]
    hand, held = coco.loadAnns([1, 2])
    assert (hand["category_id"], held["category_id"], held["held_by"]) == (1, 2, 1)
    assert (hand["num_keypoints"], hand["keypoints"]) == (0, [0] * 63)
    assert hand["track_id"] == held["track_id"] == 1
    assert held["bbox"] == [50, 20, 30, 10]
    assert (read("out/object_masks/a.png") == 255).sum() == 300
    lines = Path("out/labels/a.txt").read_text().splitlines()
    assert [line[0] for line in lines] == ["0", "1"]
    frame = json.loads(Path("out/frames/a.json").read_text())
    assert frame["object_mask"] == "object_masks/a.png"
    (entry,) = frame["hands"]
    assert entry["joints"] is None
    assert entry["object_rle"] == held["segmentation"]


def test_hands_without_landmarks_can_be_reviewed(holding: HoldingSegmenter, run: Run) -> None:
    save_photo(Path("in/a.png"))
    assert run("in", "-o", "out", "--objects", "--review").exit_code == 0
    assert "hand: predicted IoU 0.80" in Path("out/review.html").read_text()


def test_nothing_is_asked_about_objects_unless_they_are_wanted(
    holding: HoldingSegmenter, run: Run
) -> None:
    save_photo(Path("in/a.png"))
    assert run("in", "-o", "out", "--no-forearm", "--max-hands", "2").exit_code == 0
    assert holding.options == [{"max_hands": 2, "finder": True, "forearm": False, "holes": "keep"}]
    assert not Path("out/object_masks").exists()


def write_video(path: Path, frames: int) -> None:
    """Write a red hand that moves right by 6 px per frame and is missing in the third frame."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 25, (160, 120))
    for number in range(frames):
        image, _ = draw_photo(*([] if number == 2 else [(40 + 6 * number, 60, 30, 20)]))
        writer.write(cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    writer.release()


def test_a_video_is_a_sequence(run: Run) -> None:
    write_video(Path("clip.mp4"), 6)
    matrix = [[200.0, 0, 80], [0, 200, 60], [0, 0, 1]]
    Path("camera.json").write_text(json.dumps({"K": matrix, "width": 160, "height": 120}))
    done = run("clip.mp4", "-o", "out", "--camera", "camera.json")
    assert done.exit_code == 0, done.output
    assert "6 done (1 without a hand)" in done.stdout
    frames = [json.loads(path.read_text()) for path in sorted(Path("out/frames").iterdir())]
    assert [frame["frame"] for frame in frames] == list(range(6))
    np.testing.assert_allclose([frame["time"] for frame in frames], np.arange(6) / 25, atol=1e-3)
    assert [[hand["track_id"] for hand in frame["hands"]] for frame in frames] == [
        [1], [1], [], [1], [1], [1],
    ]  # fmt: skip
    assert frames[4]["camera"]["K"] == matrix
    assert (frames[4]["width"], frames[4]["height"]) == (160, 120)
    for key, name in (
        ("image", "images/clip_000004.jpg"),
        ("mask", "masks/clip_000004.png"),
        ("instances", "instances/clip_000004.png"),
    ):
        assert frames[4][key] == name
        assert Path("out", name).is_file()
    (hand,) = frames[4]["hands"]
    assert np.shape(hand["joints"]) == (21, 3)
    assert hand["handedness"] == "left"
    assert hand["mask_rle"]["size"] == [120, 160]
    assert hand["object_rle"] is None
    coco = read_coco()
    assert {note["track_id"] for note in coco.loadAnns(coco.getAnnIds())} == {1}


def test_only_photos_of_the_cameras_size_get_it(run: Run) -> None:
    Path("in").mkdir()
    Path("in/f0.png").write_bytes(b"no photo")
    save_photo(Path("in/f1.png"), HAND)
    Image.new("RGB", (80, 60)).save("in/f2.png")
    matrix = [[200.0, 0, 80], [0, 200, 60], [0, 0, 1]]
    Path("camera.json").write_text(json.dumps({"K": matrix, "width": 160, "height": 120}))
    done = run("in", "-o", "out", "--sequence", "--camera", "camera.json")
    assert done.exit_code == 1, done.output
    assert "1 done, 2 failed" in done.stdout
    message = "f2.png: --camera camera.json is for 160 x 120 px, the photo is 80 x 60 px"
    assert message in " ".join(done.stderr.split())
    (frame,) = Path("out/frames").iterdir()
    assert json.loads(frame.read_text())["camera"]["K"] == matrix
    assert {path.name for path in Path("out/images").iterdir()} == {"f1.png"}


def test_folders_of_numbered_photos_are_sequences_of_their_own(run: Run) -> None:
    for folder in ("x", "y"):
        for number in (8, 9, 10):
            save_photo(Path(f"in/{folder}/f{number}.png"), (5 * number, 60, 30, 20))
    assert run("in", "-r", "-o", "out", "--sequence").exit_code == 0
    frames = {
        path.stem: json.loads(path.read_text()) for path in sorted(Path("out/frames").iterdir())
    }
    tracks = {name: frame["hands"][0]["track_id"] for name, frame in frames.items()}
    assert tracks == {
        "x__f8": 1, "x__f9": 1, "x__f10": 1, "y__f8": 2, "y__f9": 2, "y__f10": 2,
    }  # fmt: skip
    assert [frames[f"x__f{number}"]["frame"] for number in (8, 9, 10)] == [0, 1, 2]
    assert frames["x__f8"]["time"] is None
    rows = load_data("out", cache_dir="cache")
    groups = dict(zip(rows["id"], rows["group"], strict=True))
    assert groups == {name: name[0] for name in frames}


def test_review_shows_what_failed_first(run: Run) -> None:
    save_photo(Path("in/a.png"), HAND)
    save_photo(Path("in/b.png"))
    Path("in/c.png").write_bytes(b"no photo")
    done = run("in", "-o", "out", "--review")
    assert done.exit_code == 1
    assert done.stderr.startswith("Failed: in/c.png is not an image")
    assert "2 done (1 without a hand), 1 failed" in done.stdout
    page = Path("out/review.html").read_text()
    assert page.index(">c</span>") < page.index(">b</a>") < page.index(">a</a>")
    assert len(read_coco().imgs) == 2
    assert not Path("out/masks/c.png").exists()


@pytest.mark.slow
def test_bundled_weights_on_photos(photo_folder: Path, tmp_path: Path) -> None:
    arguments = ["annotate", str(photo_folder / "images"), "--output", str(tmp_path / "out")]
    done = CliRunner().invoke(app, [*arguments, "--review", "--device", "cpu"])
    assert done.exit_code == 0, done.output
    coco = COCO(str(tmp_path / "out/coco.json"))
    assert len(coco.imgs) == 4
    for key, image in coco.imgs.items():
        (note,) = coco.loadAnns(coco.getAnnIds(key))
        mask = coco.annToMask(note).astype(bool)
        file = next((photo_folder / "masks").glob(f"{Path(image['file_name']).stem}.*"))
        truth = np.asarray(Image.open(file).convert("L")) > 127
        assert (mask & truth).sum() / (mask | truth).sum() > 0.8
        keypoints = np.reshape(note["keypoints"], (21, 3))
        on = [mask[round(y), round(x)] for x, y, seen in keypoints if seen == 2]
        assert np.mean(on) > 0.9
