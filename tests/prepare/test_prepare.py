from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from aitaca import FAULTS, GROUNDS, build_aitaca
from PIL import Image
from prepared_folders import contents, rows

from handseg.data import LabelledPhotos, Splits, load_data
from handseg.evaluation.metrics import compare_masks
from handseg.landmarks import HandLandmarker
from handseg.prepare.run import Prepared, prepare

GOOD = 6


@pytest.fixture(scope="module")
def aitaca(tmp_path_factory: pytest.TempPathFactory, photo_folder: Path) -> tuple[Path, dict]:
    root = tmp_path_factory.mktemp("aitaca")
    return root, build_aitaca(root, photo_folder, GOOD)


@pytest.fixture(scope="module")
def prepared(
    aitaca: tuple[Path, dict], landmarker: HandLandmarker, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Prepared]:
    output = tmp_path_factory.mktemp("prepared") / "new"
    before = contents(aitaca[0])
    ratios = {"train": 0.6, "val": 0.2, "test": 0.2}
    done = prepare(aitaca[0], output, "aitaca", landmarker=landmarker, ratios=ratios, seed=3)
    assert contents(aitaca[0]) == before  # the source is only read
    return output, done


def test_every_planted_fault_is_found_and_no_good_pair_is_lost(
    aitaca: tuple[Path, dict], prepared: tuple[Path, Prepared]
) -> None:
    kinds, table = aitaca[1], rows(prepared[0])
    assert table.keys() == kinds.keys()
    for name, kind in kinds.items():
        status, reason = FAULTS.get(kind, ("kept", ""))
        found = [text.partition(":")[0] for text in table[name]["reasons"].split(" | ")]
        assert (table[name]["status"], kind) == (status, kind)
        assert reason in found
    assert {kinds[name] for name in kinds if table[name]["status"] == "kept"} == {
        f"good, {ground}" for ground in GROUNDS
    }
    assert prepared[1].count("kept") == GOOD
    assert prepared[1].reasons("rejected")["no mask"] == 4


def test_the_output_is_a_folder_to_train_on(
    prepared: tuple[Path, Prepared], photo_masks: dict[str, np.ndarray], tmp_path: Path
) -> None:
    output, done = prepared
    dataset = load_data(output, cache_dir=tmp_path)
    usable = sorted(row.name for row in done.outcomes if row.status != "rejected")
    assert list(dataset["id"]) == usable
    photos = {photo.id: photo for photo in LabelledPhotos(dataset)}
    for name, stem in zip("1234", sorted(photo_masks), strict=True):
        assert compare_masks(photos[name].load()[1], photo_masks[stem]).iou > 0.95
    for photo in photos.values():
        image, mask = photo.load()
        assert 0.02 < mask.mean() < 0.3
        assert image[mask].mean(0)[0] > image[mask].mean(0)[2]  # skin colour
    values = np.unique(np.asarray(Image.open(output / "masks" / "1.png")))
    assert values.tolist() == [0, 255]


def test_untouched_photos_are_copied_and_turned_ones_written_upright(
    aitaca: tuple[Path, dict], prepared: tuple[Path, Prepared]
) -> None:
    root, kinds = aitaca
    for name, kind in kinds.items():
        source = root / "public_hand_dataset" / name / "original" / "hand.jpeg"
        copy = prepared[0] / "images" / f"{name}.jpg"
        if kind.startswith("good"):
            assert copy.read_bytes() == source.read_bytes()
        elif "EXIF" in kind:
            with Image.open(copy) as image, Image.open(source) as original:
                assert image.size == original.size[::-1]
                assert image.getexif().get(0x0112) is None


def test_report_and_pictures_are_there_for_a_person(prepared: tuple[Path, Prepared]) -> None:
    output, done = prepared
    with Image.open(output / "report.jpg") as sheet:
        assert sheet.width > 1000
        assert sheet.height > 1000
    flagged = {row.name for row in done.outcomes if row.status != "kept"}
    pictures = {path.stem for path in (output / "report").iterdir()}
    unreadable = {
        row.name for row in done.outcomes if row.reasons[:1] and "no photo" in row.reasons[0]
    }
    assert pictures == flagged - unreadable
    table = rows(output)
    assert float(table["1"]["landmarks_on_mask"]) > 0.8
    assert table["1"]["width"] == "640"
    # Messages name files by their paths in the source.
    assert not any("/tmp" in row["reasons"] for row in table.values())


def test_the_split_is_of_what_is_kept_and_by_group(
    prepared: tuple[Path, Prepared], tmp_path: Path
) -> None:
    output, done = prepared
    splits = Splits.load(output / "splits.json")
    assert splits == done.splits
    dataset = load_data(output, cache_dir=tmp_path)
    sizes = {part: len(splits.select(dataset, part)) for part in splits.parts}
    assert sum(sizes.values()) == len(dataset) == GOOD + 6
    assert sizes["train"] == 7
    assert {sizes["val"], sizes["test"]} == {2, 3}
