"""The joints of arms and hands: which way each bends, and how far. Needs no torch and no body.

Limits are those of a healthy adult, rounded (Kapandji, The Physiology of the Joints, volume 1).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

AXES = {"flex": 0, "spread": 1, "twist": 2}
"""The slot of `Body.axes` that a joint turns about.

Fingers flex towards the palm and spread towards the little finger; the upper arm's "flex" raises it
sideways, its "spread" swings it forwards."""


@dataclass(frozen=True)
class Joint:
    """One angle of one bone.

    Attributes:
        bone: its name, with the side. axis: a key of `AXES`.
        low, high: radians. 0 is straight for fingers, the A-pose for arms.
    """

    bone: str
    axis: str
    low: float
    high: float


_ARM = (
    ("clavicle", "flex", -10, 25),
    ("clavicle", "spread", -10, 25),
    ("upperarm01", "flex", -80, 100),
    ("upperarm01", "spread", -35, 120),
    ("upperarm01", "twist", -80, 80),
    ("lowerarm01", "flex", -45, 95),
    ("lowerarm01", "twist", -45, 45),
    ("lowerarm02", "twist", -65, 65),
    ("wrist", "flex", -65, 75),
    ("wrist", "spread", -25, 30),
)
_THUMB = (
    ("finger1-1", "flex", -25, 45),
    ("finger1-1", "spread", -35, 35),
    ("finger1-1", "twist", -20, 30),
    ("finger1-2", "flex", -10, 55),
    ("finger1-3", "flex", -25, 80),
)
_FINGER = (
    ("1", "flex", -20, 90),
    ("1", "spread", -20, 20),
    ("2", "flex", 0, 105),
    ("3", "flex", -8, 75),
)


def _all_joints() -> tuple[Joint, ...]:
    found = []
    for side in "LR":
        rows: list[tuple[str, str, int, int]] = [*_ARM, *_THUMB]
        for finger in (2, 3, 4, 5):
            rows += [(f"finger{finger}-{part}", way, low, top) for part, way, low, top in _FINGER]
        for bone, axis, low, high in rows:
            limits = np.radians([low, high])
            found.append(Joint(f"{bone}.{side}", axis, float(limits[0]), float(limits[1])))
    return tuple(found)


JOINTS = _all_joints()
"""Every joint that a pose can set, left side first."""


def numbers(side: str, *starts: str) -> list[int]:
    """Indices in `JOINTS` of the bones on `side` ("L" or "R") with these name prefixes."""
    return [
        number
        for number, joint in enumerate(JOINTS)
        if joint.bone.endswith(side) and joint.bone.startswith(starts)
    ]


ARM_BONES = ("clavicle", "upperarm", "lowerarm", "wrist")
