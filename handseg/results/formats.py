"""Results in the formats of other programs; `HandSegmentation` has a method for each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from handseg.results.hand import Hand

if TYPE_CHECKING:
    from supervision import Detections


def coco(
    shape: tuple[int, ...],
    hands: Sequence[Hand],
    image_id: int,
    first_annotation_id: int,
    file_name: str | None,
) -> dict[str, Any]:
    """Result of `HandSegmentation.to_coco`; `shape` is (H, W) of the photo."""
    height, width = shape
    annotations: list[dict[str, Any]] = []
    objects: list[dict[str, Any]] = []
    for number, hand in enumerate(hands, first_annotation_id):
        keypoints = np.zeros((21, 3))
        if hand.landmarks is not None:
            keypoints[:, :2] = _rounded(hand.landmarks)
            pixels = np.rint(hand.landmarks)
            inside = ((pixels >= 0) & (pixels < (width, height))).all(axis=1)
            keypoints[:, 2] = np.where(inside, 2, 1)
        annotations.append(
            {
                "id": number,
                "image_id": image_id,
                "category_id": 1,
                **_coco_mask(hand.mask),
                "keypoints": keypoints.reshape(-1).tolist(),
                "num_keypoints": int(np.count_nonzero(keypoints[:, 2])),
                "score": hand.predicted_iou,
                "handedness": hand.handedness,
                "handedness_score": hand.handedness_score,
                "detection_score": hand.detection_score,
            }
        )
        held = hand.object_mask
        if held is not None and held.any():
            objects.append(
                {
                    "id": first_annotation_id + len(hands) + len(objects),
                    "image_id": image_id,
                    "category_id": 2,
                    **_coco_mask(held),
                    "held_by": number,
                }
            )
    image: dict[str, Any] = {"id": image_id, "width": width, "height": height}
    if file_name is not None:
        image["file_name"] = file_name
    return {"image": image, "annotations": annotations + objects}


def detections(hands: Sequence[Hand]) -> Detections:
    """Result of `HandSegmentation.to_supervision`."""
    try:
        from supervision import Detections
    except ImportError as error:
        raise ImportError(
            "to_supervision needs the package supervision: pip install supervision"
        ) from error
    if not hands:
        return Detections.empty()
    return Detections(
        xyxy=np.stack([hand.box for hand in hands]),
        mask=np.stack([hand.mask for hand in hands]),
        confidence=np.array([hand.predicted_iou for hand in hands], np.float32),
        class_id=np.zeros(len(hands), int),
        data={"handedness": np.array([hand.handedness or "" for hand in hands])},
    )


def numbers(shape: tuple[int, ...], hands: Sequence[Hand]) -> dict[str, Any]:
    """Result of `HandSegmentation.to_dict`; `shape` is (H, W) of the photo."""
    return {
        "width": shape[1],
        "height": shape[0],
        "hands": [
            {
                "box": _rounded(hand.box),
                "landmarks": None if hand.landmarks is None else _rounded(hand.landmarks),
                "handedness": hand.handedness,
                "handedness_score": hand.handedness_score,
                "detection_score": hand.detection_score,
                "predicted_iou": hand.predicted_iou,
                "area": hand.area,
                **_object_numbers(hand),
            }
            for hand in hands
        ],
    }


def outline_svg(shape: tuple[int, ...], hands: Sequence[Hand]) -> str:
    """Result of `HandSegmentation.outline_svg`; `shape` is (H, W) of the photo."""
    height, width = shape
    paths = "".join(f'  <path d="{svg_path(hand.contours())}"/>\n' for hand in hands)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" fill-rule="evenodd">\n{paths}</svg>\n'
    )


def svg_path(polygons: Sequence[np.ndarray]) -> str:
    """Convert closed polygons, (N, 2) x, y px each, to the data of an SVG path.

    In SVG a photo's first pixel spans 0 to 1, so its centre is at 0.5.
    """
    return "".join(
        "M" + " ".join(f"{x:.2f},{y:.2f}" for x, y in (polygon + 0.5).tolist()) + "Z"
        for polygon in polygons
    )


def _coco_mask(mask: np.ndarray) -> dict[str, Any]:
    """The fields of a COCO annotation that describe `mask` (H, W) bool."""
    from pycocotools import mask as coco_mask

    rle = coco_mask.encode(np.asfortranarray(mask.view(np.uint8)))
    return {
        "segmentation": {"size": list(mask.shape), "counts": rle["counts"].decode()},
        "area": int(np.count_nonzero(mask)),
        "bbox": coco_mask.toBbox(rle).tolist(),
        "iscrowd": 0,
    }


def _object_numbers(hand: Hand) -> dict[str, Any]:
    """`object`, with area and box of the held object; empty if objects were not requested."""
    if hand.object_patch is None:
        return {}
    inside = (hand.object_patch >= 128).view(np.uint8)
    if not inside.any():
        return {"object": None}
    left, top, width, height = cv2.boundingRect(inside)
    x, y = left + hand.object_offset[0], top + hand.object_offset[1]
    box = [float(side) for side in (x, y, x + width - 1, y + height - 1)]
    return {"object": {"area": int(inside.sum()), "box": box}}


def _rounded(values: np.ndarray) -> list[Any]:
    """Nested lists rounded to a hundredth of a pixel, without stray digits of float32."""
    return values.astype(np.float64).round(2).tolist()
