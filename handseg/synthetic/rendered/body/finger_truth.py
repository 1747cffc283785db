"""Measurements of a posed hand: widths, girths and lengths of fingers in millimetres."""

from __future__ import annotations

import cv2
import numpy as np

from handseg.synthetic.rendered.body.bodies import topology
from handseg.synthetic.rendered.body.posing import Posed

NAMES = {1: "thumb", 2: "index", 3: "middle", 4: "ring", 5: "pinky"}
RING_PLACE = 0.5
"""Where a ring sits on a finger's first bone: halfway from the knuckle to the middle joint."""


def ring_frame(posed: Posed, side: str, finger: int) -> tuple[np.ndarray, np.ndarray]:
    """A ring's place, (3,) metres, and its axes, (3, 3) with columns across, palmwards, along."""
    shape = topology()
    bone = posed.bones[shape.index(f"finger{finger}-1.{side}")].numpy()
    following = posed.bone(f"finger{finger}-2.{side}").numpy()
    along = following - bone[:3, 3]
    place = bone[:3, 3] + RING_PLACE * along
    along = along / np.linalg.norm(along)
    number = shape.index(f"finger{finger}-1.{side}")
    across = bone[:3, :3] @ posed.figure.body.axes[number, 0].numpy()
    across = across - along * (across @ along)
    across /= np.linalg.norm(across)
    return place, np.stack([across, np.cross(along, across), along], 1)


def section(posed: Posed, side: str, finger: int) -> np.ndarray:
    """Points where skin meets a ring's plane: (N, 2) metres, across and palmwards of its place."""
    shape = topology()
    place, frame = ring_frame(posed, side, finger)
    local = (posed.vertices().numpy() - place) @ frame
    own = shape.weight_of(f"finger{finger}-", side=side) > 0.3
    own &= np.linalg.norm(local, axis=1) < 0.03
    faces = shape.faces[own[shape.faces].all(1)]
    points = []
    for one, two in ((0, 1), (1, 2), (2, 0)):
        start, end = local[faces[:, one]], local[faces[:, two]]
        crosses = (start[:, 2] > 0) != (end[:, 2] > 0)
        start, end = start[crosses], end[crosses]
        share = start[:, 2:] / (start[:, 2:] - end[:, 2:])
        points.append((start + share * (end - start))[:, :2])
    return np.concatenate(points)


def measure(posed: Posed, side: str) -> dict[str, dict[str, float]]:
    """Measure each finger, in mm: width (across) and girth (convex hull) at the ring, and length.

    The length is from the knuckle's joint to the middle of the fingertip.
    """
    found = {}
    landmarks = posed.hand(side).landmarks.numpy()
    for finger in (2, 3, 4, 5):
        points = section(posed, side, finger)
        hull = cv2.convexHull(points.astype(np.float32))
        joints = landmarks[4 * finger - 3 : 4 * finger + 1]
        found[NAMES[finger]] = {
            "width": round(1000 * float(np.ptp(points[:, 0])), 3),
            "girth": round(1000 * float(cv2.arcLength(hull, True)), 3),
            "length": round(1000 * float(np.linalg.norm(np.diff(joints, axis=0), axis=1).sum()), 2),
        }
    return found
