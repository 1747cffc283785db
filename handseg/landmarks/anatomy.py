"""A hand's anatomy, from MediaPipe's 21 landmarks, (21, 2) x, y in pixels."""

from __future__ import annotations

import cv2
import numpy as np

from handseg.runtime.arrays import values_at

WRIST = 0
INDEX_MCP, MIDDLE_MCP, RING_MCP, PINKY_MCP = 5, 9, 13, 17
PALM = (WRIST, INDEX_MCP, MIDDLE_MCP, RING_MCP, PINKY_MCP)
# fmt: off
BONES = (
    (0, 1), (1, 2), (2, 3), (3, 4), (0, 5), (5, 6), (6, 7), (7, 8), (5, 9), (9, 10), (10, 11),
    (11, 12), (9, 13), (13, 14), (14, 15), (15, 16), (13, 17), (0, 17), (17, 18), (18, 19),
    (19, 20),
)
# fmt: on
"""Pairs of landmarks joined by a bone or the outline of the palm."""
LANDMARK_NAMES = (
    "wrist",
    *(f"thumb_{joint}" for joint in ("cmc", "mcp", "ip", "tip")),
    *(
        f"{finger}_{joint}"
        for finger in ("index_finger", "middle_finger", "ring_finger", "pinky")
        for joint in ("mcp", "pip", "dip", "tip")
    ),
)
"""MediaPipe's names of the landmarks, in their order."""
JOINTS = (1, 2, 3, 5, 6, 7, 9, 10, 11, 13, 14, 15, 17, 18, 19)
TIPS = (4, 8, 12, 16, 20)
WRIST_END = 0.4
"""How far the hand extends past the wrist landmark, towards the forearm, in hand sizes: MediaPipe
puts that landmark at the heel of the palm, while hand masks end at the wrist's crease or sleeve."""


def hand_size(points: np.ndarray) -> float:
    """Return the longer of palm length and 1.5 palm widths, px, which hardly depends on the pose.

    `points` is (21, 2). A person's fist, spread hand and hand seen edge-on have about the same
    value, unlike the extent of all landmarks.
    """
    length = np.linalg.norm(points[MIDDLE_MCP] - points[WRIST])
    width = np.linalg.norm(points[INDEX_MCP] - points[PINKY_MCP])
    return float(max(length, 1.5 * width, 1.0))


def palm_axis(landmarks: np.ndarray) -> np.ndarray:
    """Unit vector (2,) from the palm to the forearm, in pixels x, y."""
    axis = landmarks[WRIST] - (landmarks[MIDDLE_MCP] + landmarks[list(PALM[1:])].mean(0)) / 2
    return axis / max(float(np.linalg.norm(axis)), 1e-6)


def beyond_tips(landmarks: np.ndarray, by: float = 0.25) -> np.ndarray:
    """(5, 2): a point `by` hand sizes past each fingertip, along the finger's last bone.

    A finger pointing at the camera has no direction: its point is the tip itself.
    """
    tips = landmarks[list(TIPS)]
    bones = tips - landmarks[[tip - 1 for tip in TIPS]]
    lengths = np.linalg.norm(bones, axis=1, keepdims=True)
    return tips + bones / np.maximum(lengths, 1e-6) * by * hand_size(landmarks)


def grip(landmarks: np.ndarray) -> np.ndarray:
    """(2, 2): the points halfway from the thumb's tip to the index and middle fingertips."""
    thumb, index, middle = landmarks[list(TIPS[:3])]
    return np.array([thumb + index, thumb + middle]) / 2


def past_wrist(points: np.ndarray, landmarks: np.ndarray, by: float = 0.1) -> np.ndarray:
    """(N,) bool: which of `points` (N, 2) px lie on the forearm, `by` hand sizes past its start."""
    axis, size = palm_axis(landmarks), hand_size(landmarks)
    return (points - landmarks[WRIST]) @ axis > (WRIST_END + by) * size


def wrist_side(landmarks: np.ndarray, height: int, width: int, softness: float = 1.0) -> np.ndarray:
    """(height, width) float32: 1 where the hand may be, 0 beyond the wrist, on the forearm.

    The border is the line across the palm's axis at `WRIST_END` hand sizes past the wrist landmark,
    `softness` px wide.
    """
    axis = palm_axis(landmarks)
    end = landmarks[WRIST] + axis * WRIST_END * hand_size(landmarks)
    x = (np.arange(width, dtype=np.float32) - end[0]) * axis[0]
    y = (np.arange(height, dtype=np.float32) - end[1]) * axis[1]
    return np.clip(0.5 - (x[None] + y[:, None]) / softness, 0, 1).astype(np.float32)


def draw_skeleton(landmarks: np.ndarray, size: int) -> np.ndarray:
    """Draw the bones as a mask prompt: (size, size) float32 logits, +6 on them and -6 off them.

    `landmarks` is (21, 2) in pixels of the size x size mask. Bones are about as thick as fingers,
    and the palm is filled.
    """
    return np.where(draw_body(landmarks, (size, size)), 6.0, -6.0).astype(np.float32)


def draw_body(landmarks: np.ndarray, shape: tuple[int, ...], thickness: float = 0.16) -> np.ndarray:
    """Draw palm and bones, `thickness` hand sizes wide: uint8 of `shape` (h, w), 1 on them, else 0.

    `landmarks` is (21, 2) x, y in its pixels. A finger is about 0.2 hand sizes wide.
    """
    shift = 4  # OpenCV takes 1/16 px as fixed-point integers
    pixels = np.round(landmarks * 2**shift).astype(np.int32)
    canvas = np.zeros(shape, np.uint8)
    cv2.fillConvexPoly(canvas, cv2.convexHull(pixels[list(PALM)]), 1, shift=shift)
    width = max(1, round(thickness * hand_size(landmarks)))
    for start, end in BONES:
        # Plain ints: OpenCV does not accept NumPy scalars in a point.
        ends = (pixels[start].tolist(), pixels[end].tolist())
        cv2.line(canvas, *ends, color=1, thickness=width, shift=shift)
    return canvas


def share_inside(points: np.ndarray, mask: np.ndarray) -> float:
    """Share of `points` (N, 2) x, y that lie on `mask` (H, W); points off the photo do not."""
    return float(values_at(mask, points).sum() / max(1, len(points)))
