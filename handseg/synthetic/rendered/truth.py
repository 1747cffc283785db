"""Labels from rendered channels: masks cut at the wrist, landmarks, boxes, scale."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from handseg.landmarks.anatomy import hand_size, wrist_side
from handseg.synthetic.rendered.scene import View
from handseg.synthetic.rendered.take import MAX_HANDS, HandTruth, Take

MIN_PIXELS = 12
"""A hand with fewer visible pixels is not labelled as a hand; its pixels count as forearm."""
_SEEN_DEPTH = 2.4
"""A landmark is seen if its own hand's surface is in front of it, at most this many finger radii
away: joints lie 0.6 radii below the skin of the back of a hand, and 1 to 2.1 below that of the palm
and the fingers' pads. Another finger in front adds at least two radii."""


@dataclass(frozen=True, eq=False)
class Truth:
    """The labels of a picture of size S.

    Attributes:
        hand: (S, S) bool, all hands with the rings they wear, cut at the wrist.
        instances: (S, S) uint8, 0 or 1 + the number of the hand in `hands`.
        forearm: (S, S) bool, bare arms past the wrist's cut. face, skin: (S, S) bool, heads and
            other bare skin. object: (S, S) bool, objects that are held or lie about. worn:
            (S, S) bool, rings, watches and bracelets, wherever they are.
        hands: one record per visible hand, as written to JSON.
        camera: K and the other JSON entries of the whole picture.
    """

    hand: np.ndarray
    instances: np.ndarray
    forearm: np.ndarray
    face: np.ndarray
    skin: np.ndarray
    object: np.ndarray
    worn: np.ndarray
    hands: list[dict[str, Any]]
    camera: dict[str, Any]


def make_truth(take: Take, view: View, channels: dict[str, np.ndarray], depth: np.ndarray) -> Truth:
    """Make the labels of one rendered view.

    Args:
        take, view: the rendered pose and view.
        channels: (S, S) float32 0..1 by name, see `take.CHANNELS`.
        depth: (S, S) float32, metres along the camera's axis.
    """
    size = len(depth)
    core = channels["core"] > 0.5
    limbs = np.stack([channels[f"hand{number}"] for number in range(MAX_HANDS)])
    any_limb = limbs.sum(0) > 0.5
    owner = limbs.argmax(0)
    instances = np.zeros((size, size), np.uint8)
    records = []
    for number, hand in enumerate(take.hands):
        limb = any_limb & (owner == number)
        points = view.camera.project(hand.landmarks, size)
        forward = view.camera.to_camera(hand.landmarks)
        if (forward[:, 2] < 0.02).any():
            continue
        mask = limb & (core | (wrist_side(points, size, size) > 0.5))
        if np.count_nonzero(mask) < MIN_PIXELS:
            continue
        records.append(_record(hand, mask, points, forward, depth, view.camera.focal * size))
        instances[mask] = len(records)
    hand_mask = instances > 0
    forearm = (any_limb & ~hand_mask) | (channels["arm"] > 0.5)
    return Truth(
        hand_mask,
        instances,
        forearm,
        face=channels["face"] > 0.5,
        skin=channels["skin"] > 0.5,
        object=channels["object"] > 0.5,
        worn=channels["worn"] > 0.5,
        hands=records,
        camera={"K": view.camera.matrix(size).tolist(), "size": size},
    )


def _record(
    hand: HandTruth,
    mask: np.ndarray,
    points: np.ndarray,
    forward: np.ndarray,
    depth: np.ndarray,
    focal: float,
) -> dict[str, Any]:
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    box = [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]
    palm = forward[[0, 5, 9, 17], 2].mean()
    return {
        "handedness": hand.side,
        "person": hand.person,
        "landmarks": np.round(points, 2).tolist(),
        "landmarks_mm": np.round(forward * 1000, 2).tolist(),
        "seen": _seen(mask, points, forward[:, 2], depth, hand.radii).tolist(),
        "box": [int(value) for value in box],
        "pixels": int(np.count_nonzero(mask)),
        "hand_size": round(hand_size(points), 2),
        "mm_per_px": round(float(palm * 1000 / focal), 5),
        **hand.notes,
    }


def _seen(
    mask: np.ndarray, points: np.ndarray, far: np.ndarray, depth: np.ndarray, radii: np.ndarray
) -> np.ndarray:
    """(21,) bool: whether only the hand's own skin lies in front of each landmark."""
    x, y = np.round(points).astype(int).T
    height, width = mask.shape
    inside = (x >= 0) & (y >= 0) & (x < width) & (y < height)
    seen = np.zeros(len(points), bool)
    at = inside.nonzero()[0]
    own = mask[y[at], x[at]]
    seen[at] = own & (far[at] - depth[y[at], x[at]] < _SEEN_DEPTH * radii[at])
    return seen
