"""Posed hands: their landmarks, their solid, and the library of hand shapes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
import yaml

from handseg.synthetic.rendered.body.bodies import FINGERS, HAND_BONES, Body, palm_normal, topology
from handseg.synthetic.rendered.body.joints import JOINTS, numbers

SHAPES_FILE = Path(__file__).with_name("hand_shapes.yaml")
_DIP_SHARE = 0.65
"""Flexion of a finger's last joint per flexion of the middle one: they share a tendon."""


@lru_cache(maxsize=1)
def hand_shapes() -> dict[str, dict]:
    """The library of shapes by name; see the head of `hand_shapes.yaml`."""
    return yaml.safe_load(SHAPES_FILE.read_text())


def draw_shape(
    name: str, side: str, rng: np.random.Generator, noise: float = 1.0
) -> dict[int, float]:
    """Draw a hand shape of the library with small individual differences.

    Returns:
        Radians by joint number (see `JOINTS`), within the joint's limits.
    """
    shape = hand_shapes()[name]
    values: dict[int, float] = {}

    def put(bone: str, axis: str, degrees: float, spread: float) -> None:
        for number in numbers(side, bone):
            joint = JOINTS[number]
            if joint.axis == axis:
                angle = np.radians(degrees + noise * rng.normal(0, spread))
                values[number] = float(np.clip(angle, joint.low, joint.high))

    flex, spread, middle, last = shape["thumb"]
    put("finger1-1", "flex", flex, 5)
    put("finger1-1", "spread", spread, 5)
    put("finger1-1", "twist", 0.3 * max(flex, 0), 3)
    put("finger1-2", "flex", middle, 5)
    put("finger1-3", "flex", last, 7)
    curl = noise * rng.normal(0, 4)  # All fingers of a hand are tenser or more relaxed together.
    fan = shape.get("spread", 0) + noise * rng.normal(0, 1.5)
    for finger, (knuckle, bend) in zip(FINGERS[1:], shape["fingers"], strict=True):
        put(f"finger{finger}-1", "flex", knuckle + curl, 3)
        put(
            f"finger{finger}-1",
            "spread",
            fan * (finger - 3) + shape.get("lean", [0] * 4)[finger - 2],
            1.5,
        )
        put(f"finger{finger}-2", "flex", bend + curl, 3)
        put(f"finger{finger}-3", "flex", _DIP_SHARE * (bend + curl), 3)
    return values


@dataclass(frozen=True, eq=False)
class HandFrame:
    """The position of a hand, as tensors, so that goals can be set on it.

    Attributes:
        landmarks: (21, 3) metres, in MediaPipe's order.
        palm: (3,) middle of the palm. normal: (3,) unit, out of the palm. along: (3,) unit, from
            the wrist to the fingers.
    """

    landmarks: torch.Tensor
    palm: torch.Tensor
    normal: torch.Tensor
    along: torch.Tensor

    @property
    def tips(self) -> torch.Tensor:
        """(5, 3) fingertips, the thumb's first."""
        return self.landmarks[[4, 8, 12, 16, 20]]

    @property
    def knuckles(self) -> torch.Tensor:
        """(4, 3) the fingers' first joints."""
        return self.landmarks[[5, 9, 13, 17]]


def hand_frame(body: Body, bones: torch.Tensor, side: str) -> HandFrame:
    """The hand on `side` under bone poses (104, 4, 4)."""
    index = topology().index
    found = [bones[index(f"wrist.{side}")][:3, 3]]
    lengths = tip_lengths(body)
    for finger in FINGERS:
        for part in (1, 2, 3):
            found.append(bones[index(f"finger{finger}-{part}.{side}")][:3, 3])
        last = bones[index(f"finger{finger}-3.{side}")]
        found.append(last[:3, 3] + last[:3, 1] * (_TIP_SHARE * lengths[f"{finger}{side}"]))
    joints = torch.stack(found)
    along, normal = joints[9] - joints[0], palm_normal(bones, side)
    size = along.norm()
    along = along / size
    across = torch.linalg.cross(along, normal) * (1 if side == "R" else -1)  # To the thumb.
    shifts = torch.zeros(21, 2)
    for number, shift in _SHIFTS.items():
        shifts[number] = torch.tensor(shift)
    landmarks = joints + size * (shifts[:, :1] * along + shifts[:, 1:] * across)
    palm = landmarks[[0, 5, 9, 17]].mean(0)
    return HandFrame(landmarks, palm, normal, along)


_TIP_SHARE = 0.72
"""MediaPipe puts a fingertip below the nail, not at the finger's end."""
_SHIFTS = {
    0: (0.15, 0.0),
    1: (-0.12, 0.06),
    5: (-0.08, -0.03),
    9: (-0.04, 0.01),
    13: (-0.05, 0.01),
    17: (-0.08, 0.05),
}
"""Where MediaPipe puts the palm's landmarks, relative to the body's joints.

(along, to the thumb's side), as shares of the distance from the wrist's joint to the middle
knuckle. Medians over 54 flat hands of rendered palms and signs; the wrist's bone starts above the
heel of the palm."""


@lru_cache(maxsize=8)
def tip_lengths(body: Body) -> dict[str, float]:
    """Metres from each finger's last joint to its end, by finger and side ("1L")."""
    shape, found = topology(), {}
    for side in "LR":
        for finger in FINGERS:
            number = shape.index(f"finger{finger}-3.{side}")
            own = shape.weights[:, number] > 0.5
            along = (body.vertices[own] - body.bones[number, :3, 3]) @ body.bones[number, :3, 1]
            found[f"{finger}{side}"] = float(along.max())
    return found


def hand_vertices(side: str, share: float = 0.5) -> np.ndarray:
    """Indices of the vertices that the bones of a hand move by at least `share`."""
    return np.flatnonzero(topology().weight_of(*HAND_BONES, side=side) >= share)


@dataclass(frozen=True, eq=False)
class Capsules:
    """A hand as rods with round ends, to find what touches or enters it.

    Attributes:
        radii: (19,) metres; four rods of the palm, then three of each finger.
    """

    radii: torch.Tensor

    @classmethod
    @lru_cache(maxsize=8)
    def of(cls, body: Body) -> Capsules:
        """Take radii from the body at rest."""
        frame = hand_frame(body, body.bones, "R")
        size = (frame.landmarks[9] - frame.landmarks[0]).norm()
        finger = torch.tensor([0.105, 0.095, 0.082])
        thumb = torch.tensor([0.16, 0.115, 0.1])
        palm = torch.full((4,), 0.13)
        return cls(torch.cat([palm, thumb, finger.repeat(4)]) * size)

    def distance(self, frame: HandFrame, points: torch.Tensor) -> torch.Tensor:
        """(N, 19) signed metres from (N, 3) points to each rod's surface."""
        marks = frame.landmarks
        starts = [0, 0, 0, 0, 1, 2, 3, 5, 6, 7, 9, 10, 11, 13, 14, 15, 17, 18, 19]
        ends = [5, 9, 13, 17, 2, 3, 4, 6, 7, 8, 10, 11, 12, 14, 15, 16, 18, 19, 20]
        start, end = marks[starts], marks[ends]
        way = end - start
        share = ((points[:, None] - start) * way).sum(2) / (way * way).sum(1)
        nearest = start + share.clamp(0, 1)[..., None] * way
        return (points[:, None] - nearest).norm(dim=2) - self.radii
