"""One JSON file per frame of a sequence, for programs that fit 3D hands to joints and masks."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from handseg.annotate.frames import Frame
from handseg.annotate.records import Record


def read_camera(path: Path) -> dict[str, Any]:
    """Read the intrinsics of a calibrated camera from a JSON file.

    The file holds the 3 x 3 matrix in pixels, or an object with the matrix as "K" and any other
    values. If it has "width" and "height", the photos must have that size.

    Raises:
        ValueError: if the file cannot be read or its K is not such a matrix.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise ValueError(f"--camera {path} is not a JSON file that can be read: {error}") from error
    camera = content if isinstance(content, dict) else {"K": content}
    try:
        matrix = np.array(camera.get("K"), np.float64)
    except (TypeError, ValueError):
        matrix = np.zeros(0)
    valid = (
        matrix.shape == (3, 3)
        and np.isfinite(matrix).all()
        and matrix[2].tolist() == [0, 0, 1]
        and (matrix[[0, 1], [0, 1]] > 0).all()
        and matrix[1, 0] == 0
    )
    if not valid:
        raise ValueError(
            f"--camera {path} must hold K, [[fx, skew, cx], [0, fy, cy], [0, 0, 1]] in px, got "
            f"{camera.get('K')!r:.80}"
        )
    return camera


def check_camera(camera: Mapping[str, Any], image: np.ndarray, path: Path) -> None:
    """Check that a photo, (H, W, 3), has the size that the camera is calibrated for.

    Raises:
        ValueError: if they differ.
    """
    height, width = image.shape[:2]
    wanted = camera.get("width", width), camera.get("height", height)
    if wanted != (width, height):
        raise ValueError(
            f"--camera {path} is for {wanted[0]} x {wanted[1]} px, the photo is "
            f"{width} x {height} px"
        )


def frame_entry(
    frame: Frame, record: Record, camera: Mapping[str, Any] | None, objects: bool
) -> dict[str, Any]:
    """Build the contents of a frame's file; the annotations of `record` need their `track_id`.

    Each joint is x, y in px of the photo and a confidence in 0..1 (see
    `handseg.annotate.records.joint_confidences`); joints are null without landmarks. Paths are
    relative to the data set; `instance` is the hand's number in the file `instances`.
    """
    image = record["image"]
    held = {
        note["held_by"]: note["segmentation"]
        for note in record["annotations"]
        if note["category_id"] == 2
    }
    hands = [note for note in record["annotations"] if note["category_id"] == 1]
    return {
        "frame": frame.index,
        "time": record["time"],
        "image": f"images/{frame.image}",
        "width": image["width"],
        "height": image["height"],
        "mask": f"masks/{frame.name}.png",
        "object_mask": f"object_masks/{frame.name}.png" if objects else None,
        "instances": f"instances/{frame.name}.png",
        "camera": camera,
        "hands": [
            {
                "track_id": hand["track_id"],
                "instance": instance,
                "handedness": hand["handedness"],
                "handedness_score": hand["handedness_score"],
                "detection_score": hand["detection_score"],
                "predicted_iou": hand["score"],
                "bbox": hand["bbox"],
                "joints": _joints(hand["keypoints"], confidences),
                "mask_rle": hand["segmentation"],
                "object_rle": held.get(hand["id"]),
            }
            for instance, (hand, confidences) in enumerate(
                zip(hands, record["joint_confidences"], strict=True), 1
            )
        ],
    }


def _joints(keypoints: list[float], confidences: list[float] | None) -> list[list[float]] | None:
    if confidences is None:
        return None
    return [
        [*keypoints[3 * joint : 3 * joint + 2], confidence]
        for joint, confidence in enumerate(confidences)
    ]
