"""Results of `handseg segment` for each option."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps
from red_hands import BLUE, draw_photo, red_segmenter, save_photo
from written_files import ONE_HAND, Run, files_in, overlap, read_mask

from handseg.results import HandSegmentation
from handseg.segmenter import HandSegmenter


def test_segment_writes_the_cut_out_and_nothing_else_unless_asked(run: Run) -> None:
    mask = save_photo(Path("photo.png"), ONE_HAND)
    done = run("segment", "photo.png")
    assert done.exit_code == 0, done.output
    assert files_in(Path("handseg_out")) == {"photo.png"}
    cutout = Image.open("handseg_out/photo.png")
    assert cutout.mode == "RGBA"
    assert overlap(np.asarray(cutout)[..., 3] >= 128, mask) > 0.97
    assert "1 done" in done.stdout


def test_segment_writes_mask_overlay_and_json(run: Run) -> None:
    mask = save_photo(Path("photo.png"), (50, 50, 30, 20), (130, 90, 15, 15))
    done = run("segment", "photo.png", "-o", "out", "--mask", "--overlay", "--json", "all.json")
    assert done.exit_code == 0, done.output
    assert files_in(Path("out")) == {"photo.png", "photo_mask.png", "photo_overlay.jpg"}
    assert overlap(read_mask(Path("out/photo_mask.png")), mask) > 0.97
    with Image.open("out/photo_overlay.jpg") as picture:
        assert picture.size == (160, 120)
    (row,) = json.loads(Path("all.json").read_text())
    assert (row["file"], row["width"], row["height"]) == ("photo.png", 160, 120)
    assert [hand["predicted_iou"] for hand in row["hands"]] == [0.75, 0.75]
    np.testing.assert_allclose(row["hands"][0]["box"], [20, 30, 80, 70], atol=1.5)


def test_objects_writes_what_the_hands_hold(run: Run) -> None:
    image, _ = draw_photo(ONE_HAND)
    image[50:70, 115:150] = BLUE
    Image.fromarray(image).save("photo.png")
    assert run("segment", "photo.png", "-o", "plain", "--json", "plain.json").exit_code == 0
    assert files_in(Path("plain")) == {"photo.png"}
    assert "object" not in json.loads(Path("plain.json").read_text())[0]["hands"][0]

    options = ("--objects", "--mask", "--json", "held.json")
    assert run("segment", "photo.png", "-o", "held", *options).exit_code == 0
    assert files_in(Path("held")) == {"photo.png", "photo_mask.png", "photo_object.png"}
    held = read_mask(Path("held/photo_object.png"))
    assert not (held & read_mask(Path("held/photo_mask.png"))).any()
    truth = (image == BLUE).all(-1)
    assert (held & truth).sum() / (held | truth).sum() > 0.9
    assert json.loads(Path("held.json").read_text())[0]["hands"][0]["object"]["area"] == held.sum()
    # The mask is a result like the others: without it, the photo is redone.
    assert "1 skipped" in run("segment", "photo.png", "-o", "held", *options).stdout
    Path("held/photo_object.png").unlink()
    assert "1 done" in run("segment", "photo.png", "-o", "held", *options).stdout


def test_photo_without_a_hand_gets_an_empty_object_mask(run: Run) -> None:
    save_photo(Path("photo.png"))
    assert run("segment", "photo.png", "--objects").exit_code == 0
    assert not read_mask(Path("handseg_out/photo_object.png")).any()


def test_objects_of_a_model_without_such_a_stage_end_with_2(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_photo(Path("photo.png"), ONE_HAND)
    monkeypatch.setattr(
        HandSegmenter, "from_pretrained", lambda *_, **__: HandSegmenter(red_segmenter().model)
    )
    result = run("segment", "photo.png", "--objects")
    assert result.exit_code == 2
    assert "--objects: " in result.stderr
    assert "object_adapter" in result.stderr
    assert not Path("handseg_out/photo.png").exists()


def test_max_hands_limits_the_hands(run: Run) -> None:
    save_photo(Path("photo.png"), (50, 50, 30, 20), (130, 90, 15, 15))
    run("segment", "photo.png", "--max-hands", "1", "--json", "all.json")
    (row,) = json.loads(Path("all.json").read_text())
    assert len(row["hands"]) == 1


def test_background_colour_takes_the_place_of_transparency(run: Run) -> None:
    mask = save_photo(Path("photo.png"), ONE_HAND)
    assert run("segment", "photo.png", "--background", "#0000ff").exit_code == 0
    picture = Image.open("handseg_out/photo.png")
    assert picture.mode == "RGB"
    blue = (np.asarray(picture) == (0, 0, 255)).all(axis=-1)
    assert overlap(~blue, mask) > 0.9


def test_background_picture_lies_behind_the_hands(run: Run) -> None:
    save_photo(Path("photo.png"), ONE_HAND)
    Image.new("RGB", (40, 30), "yellow").save("wall.png")
    assert run("segment", "photo.png", "--background", "wall.png").exit_code == 0
    assert Image.open("handseg_out/photo.png").getpixel((0, 0)) == (255, 255, 0)


def test_crop_cuts_cut_outs_and_composites_down_to_the_hand(run: Run) -> None:
    save_photo(Path("a.png"), ONE_HAND)
    for name, options in (("cut", []), ("laid", ["--background", "white"])):
        assert run("segment", "a.png", "--output", name, *options).exit_code == 0
        assert run("segment", "a.png", "--crop", "--output", f"{name}_c", *options).exit_code == 0
        whole, cropped = (Image.open(f"{folder}/a.png") for folder in (name, f"{name}_c"))
        assert cropped.mode == whole.mode
        box = whole.getbbox() if name == "cut" else ImageOps.invert(whole).getbbox()
        assert box is not None
        np.testing.assert_array_equal(np.asarray(cropped), np.asarray(whole.crop(box)))


def test_edge_is_that_of_cut_outs_and_composites(run: Run) -> None:
    save_photo(Path("a.png"), ONE_HAND)
    alphas = {}
    for edge in ("soft", "hard", "matte"):
        assert run("segment", "a.png", "--edge", edge, "--output", edge).exit_code == 0
        alphas[edge] = np.asarray(Image.open(f"{edge}/a.png"))[..., 3]
    assert set(np.unique(alphas["hard"])) == {0, 255}
    assert len(np.unique(alphas["soft"])) > 2
    assert (alphas["soft"] != alphas["matte"]).any()
    assert run("segment", "a.png", "--edge", "fuzzy").exit_code == 2


def test_forearm_and_holes_reach_the_segmenter(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, Any]] = []
    original = HandSegmenter.segment

    def segment(self: HandSegmenter, image: Any, **options: Any) -> HandSegmentation:
        asked.append(options)
        return original(self, image, **options)

    monkeypatch.setattr(HandSegmenter, "segment", segment)
    save_photo(Path("a.png"), ONE_HAND)
    for options in ([], ["--forearm", "--holes", "fill"], ["--no-forearm"]):
        assert run("segment", "a.png", "--overwrite", *options).exit_code == 0
    assert [(one["forearm"], one["holes"]) for one in asked] == [
        (None, "keep"), (True, "fill"), (False, "keep"),
    ]  # fmt: skip


def test_photo_without_a_hand_gets_empty_results_and_a_warning(run: Run) -> None:
    save_photo(Path("bare[1].png"))
    save_photo(Path("photo.png"), ONE_HAND)
    done = run("segment", "bare[1].png", "photo.png", "--mask", "-o", "out")
    assert done.exit_code == 0
    assert done.stderr == "No hand found: bare[1].png\n"
    assert "2 done (1 without a hand)" in done.stdout
    assert np.asarray(Image.open("out/bare[1].png"))[..., 3].max() == 0
    assert not read_mask(Path("out/bare[1]_mask.png")).any()
