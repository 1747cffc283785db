"""Many small photos of hands, one in fifty of them broken, and the results of a plain run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from PIL import Image

from handseg.segmenter import HandSegmenter

PHOTOS = Path(__file__).parent / "data" / "photos" / "images"
BROKEN = 7  # Index in each fifty of the file that is not a photo.


def save_small_photos(folder: Path, count: int) -> list[Path]:
    """Write `count` files of different sizes, the longer side 180 to 219 px."""
    folder.mkdir(parents=True, exist_ok=True)
    originals = [Image.open(path) for path in sorted(PHOTOS.glob("*.jpg"))]
    paths = [folder / f"{number:06d}.jpg" for number in range(count)]
    for number, path in enumerate(paths):
        if number % 50 == BROKEN:
            path.write_bytes(b"no photo")
            continue
        original = originals[number % len(originals)]
        factor = (180 + number % 40) / max(original.size)
        size = tuple(round(side * factor) for side in original.size)
        original.resize(size).save(path, quality=90)
    return paths


def plain_rows(paths: list[Path], segmenter: HandSegmenter) -> list[dict[str, Any] | None]:
    """Return the results of `segment` as column values; None if it fails."""
    rows: list[dict[str, Any] | None] = []
    for path in paths:
        try:
            found = segmenter.segment(path)
        except ValueError:
            rows.append(None)
            continue
        notes = found.to_coco()["annotations"]
        rows.append(
            {
                "masks": [note["segmentation"] for note in notes],
                "boxes": [hand.box.tolist() for hand in found],
                "landmarks": [
                    None if hand.landmarks is None else hand.landmarks.tolist() for hand in found
                ],
                "handedness": [hand.handedness for hand in found],
                "handedness_scores": [hand.handedness_score for hand in found],
                "detection_scores": [hand.detection_score for hand in found],
                "predicted_ious": [hand.predicted_iou for hand in found],
            }
        )
    return rows


def check_rows(rows: list[dict[str, Any]], expected: list[dict[str, Any] | None]) -> None:
    """Fail unless `rows` match `expected`, with an error where that is None."""
    assert len(rows) == len(expected)
    for number, (row, plain) in enumerate(zip(rows, expected, strict=True)):
        if plain is None:
            assert "not an image" in row["error"]
            assert row["masks"] is row["boxes"] is row["predicted_ious"] is None, number
        else:
            assert row["error"] is None, number
            assert {name: row[name] for name in plain} == plain, number
