"""Hands of known size with coins and cards, as a camera sees them, with noise and blur."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np

from handseg.io.images import load_image
from handseg.measure import FINGERS
from handseg.results import Hand, HandSegmentation

WIDTHS_MM = {"thumb": 20.0, "index": 17.0, "middle": 18.0, "ring": 16.5, "little": 14.5}
_SKIN, _METAL, _TABLE = (205, 160, 140), (138, 140, 146), (60, 90, 70)


def hand_mm() -> np.ndarray:
    """Return an open hand's landmarks, (21, 2) mm, fingers up, the palm's centre at 0."""
    points = np.zeros((21, 2))
    points[0] = 5, 55
    points[1:5] = [[32, 35], [48, 12], [62, -12], [72, -32]]
    knuckles = {"index": (30, -35), "middle": (8, -40), "ring": (-14, -36), "little": (-34, -26)}
    lean = {"index": 0.22, "middle": 0.04, "ring": -0.14, "little": -0.34}
    bones = {"index": 1.0, "middle": 1.1, "ring": 1.02, "little": 0.8}
    for name, knuckle in knuckles.items():
        along = np.array([np.sin(lean[name]), -np.cos(lean[name])])
        steps = bones[name] * np.array([0, 42, 67, 87])
        points[list(FINGERS[name])] = np.array(knuckle) + steps[:, None] * along
    return points


@dataclass(frozen=True)
class Camera:
    """Looks at the centre of a plane from `distance` mm, tilted `tilt` degrees towards `turn`."""

    side: int = 900
    focal: float = 1.0
    distance: float = 370.0
    tilt: float = 0.0
    turn: float = 0.0

    def project(self, points: np.ndarray, height: float = 0.0) -> np.ndarray:
        """Project (N, 2) mm, `height` mm above the plane, to (N, 3) x, y px and px per mm."""
        turn, tilt = np.radians(self.turn), np.radians(self.tilt)
        axis = np.array([np.cos(turn), np.sin(turn), 0.0]) * tilt
        rotation, _ = cv2.Rodrigues(axis)
        raised = np.column_stack([points, np.full(len(points), -height)])
        placed = raised @ rotation.T + [0, 0, self.distance]
        scale = self.focal * self.side / placed[:, 2]
        return np.column_stack([placed[:, :2] * scale[:, None] + self.side / 2, scale])


def draw_hand(
    camera: Camera,
    coins: tuple[tuple[float, float, float], ...] = (),
    card: tuple[float, float, float] | None = None,
    height: float = 14.0,
    noise: float = 4.0,
    blur: float = 1.0,
    seed: int = 0,
) -> HandSegmentation:
    """Draw a hand with round fingers of `WIDTHS_MM`.

    Coins are x, y, diameter mm and lie `height` mm above the fingers' axes; a card is x, y and its
    rotation in degrees. Mask and photo are blurred by `blur` px; the photo has noise.
    """
    side = camera.side
    y, x = np.mgrid[:side, :side].astype(np.float32)
    points = hand_mm()
    seen = camera.project(points)
    outside = np.full((side, side), np.inf, np.float32)
    for name, joints in FINGERS.items():
        for start, end in pairwise(joints):
            one, other = seen[start], seen[end]
            bone = other[:2] - one[:2]
            along = np.clip(((x - one[0]) * bone[0] + (y - one[1]) * bone[1]) / (bone @ bone), 0, 1)
            away = np.hypot(x - one[0] - along * bone[0], y - one[1] - along * bone[1])
            scale = one[2] + along * (other[2] - one[2])
            outside = np.minimum(outside, away - WIDTHS_MM[name] / 2 * scale)
    alpha = np.clip(0.5 - outside, 0, 1)
    palm = camera.project(points[[0, 1, 2, 5, 9, 13, 17]])[:, :2]
    alpha = np.maximum(alpha, _cover(cv2.convexHull(palm.astype(np.float32))[:, 0], side))
    photo = _lay(np.full((side, side, 3), _TABLE, np.float32), _SKIN, alpha)
    angles = np.linspace(0, 2 * np.pi, 180, endpoint=False)
    circle = np.stack([np.cos(angles), np.sin(angles)], 1)
    for column, row, diameter in coins:
        for share, colour in ((1.0, _METAL), (0.7, (190, 186, 150))):
            rim = np.array([column, row]) + share * diameter / 2 * circle
            photo = _lay(photo, colour, _cover(camera.project(rim, height)[:, :2], side))
    if card is not None:
        angle = np.radians(card[2])
        rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        half = np.array([85.60, 53.98]) / 2
        corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * half @ rotation.T + card[:2]
        photo = _lay(photo, (70, 90, 190), _cover(camera.project(corners, height)[:, :2], side))
    generator = np.random.default_rng(seed)
    if blur:
        photo = cv2.GaussianBlur(photo, (0, 0), blur)
        alpha = cv2.GaussianBlur(alpha, (0, 0), blur)
    photo = np.clip(photo + generator.normal(0, noise, photo.shape), 0, 255).astype(np.uint8)
    hand = Hand.from_alpha(
        (255 * alpha).round().astype(np.uint8), (0, 0), (side, side),
        prompt_box=np.array([0, 0, 9, 9]), predicted_iou=1.0,
        landmarks=(seen[:, :2] + generator.normal(0, 0.0017 * side, (21, 2))).astype(np.float32),
    )  # fmt: skip
    return HandSegmentation(photo, (hand,))


def add_tilted_coin(
    scene: HandSegmentation, coin: tuple[float, float, float], camera: Camera
) -> HandSegmentation:
    """Add a coin of x, y, diameter mm to a scene of `camera`, tilted too much to be measured."""
    (x, y, scale), half = camera.project(np.array([coin[:2]]), 14.0)[0], coin[2] / 2
    photo = scene.image.astype(np.float32)
    for share, colour in ((1.0, _METAL), (0.7, (190, 186, 150))):
        axes = (round(share * half * scale), round(0.8 * share * half * scale))
        rim = cv2.ellipse2Poly((round(x), round(y)), axes, 20, 0, 360, 2)
        photo = _lay(photo, colour, _cover(rim.astype(np.float32), camera.side))
    photo = cv2.GaussianBlur(photo, (0, 0), 1.0)
    return HandSegmentation(photo.round().astype(np.uint8), scene.hands)


def palm_with_coin() -> np.ndarray:
    """Return a rendered open hand, (640, 640, 3) uint8 RGB, with a coin of 83 px on its palm."""
    photo = load_image(Path(__file__).parent / "data" / "exact" / "images" / "palm_04_0.jpg")
    angles = np.linspace(0, 2 * np.pi, 180, endpoint=False)
    seen = photo.astype(np.float32)
    for radius, colour in ((41.5, (176, 178, 182)), (30.0, (196, 168, 96))):
        rim = np.array([401.0, 314.0]) + radius * np.stack([np.cos(angles), np.sin(angles)], 1)
        seen = _lay(seen, colour, _cover(rim, len(photo)))
    return seen.round().astype(np.uint8)


def _cover(polygon: np.ndarray, side: int) -> np.ndarray:
    """Return the share of each pixel that a polygon covers, (side, side) float32."""
    fine = np.zeros((4 * side, 4 * side), np.uint8)
    places = np.rint(256 * (4 * (polygon + 0.5) - 0.5)).astype(np.int32)
    cv2.fillPoly(fine, [places], 255, cv2.LINE_8, 8)
    return cv2.resize(fine, (side, side), interpolation=cv2.INTER_AREA).astype(np.float32) / 255


def _lay(photo: np.ndarray, colour: tuple[int, int, int], cover: np.ndarray) -> np.ndarray:
    return photo + cover[..., None] * (np.array(colour, np.float32) - photo)
