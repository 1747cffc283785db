"""Rings, watches and bracelets, fitted to the hands and wrists that wear them."""

from __future__ import annotations

import numpy as np

from handseg.synthetic.rendered.body.bodies import topology
from handseg.synthetic.rendered.body.finger_truth import ring_frame, section
from handseg.synthetic.rendered.body.posing import Posed
from handseg.synthetic.rendered.props.worn import bracelet, ring, watch
from handseg.synthetic.rendered.take import Item


def jewellery(posed: Posed, side: str, rng: np.random.Generator) -> list[Item]:
    """Draw rings, a watch or a bracelet for some hands, none for others."""
    found: list[Item] = []
    number = {"L": 0, "R": 1}[side]
    if rng.random() < 0.35:
        for finger in rng.choice([2, 3, 4, 5], int(rng.integers(1, 3)), replace=False):
            points = section(posed, side, int(finger))
            place, frame = ring_frame(posed, side, int(finger))
            middle = (points.max(0) + points.min(0)) / 2
            radius = float(np.linalg.norm(points - middle, axis=1).max()) + 0.0002
            place = place + frame[:, :2] @ middle
            rotation = frame if np.linalg.det(frame) > 0 else frame * [-1, 1, 1]
            labels: dict[str, float | np.ndarray] = {"worn": 1.0, "core": 1.0, f"hand{number}": 1.0}
            found += [Item(part.moved(rotation, place), labels) for part in ring(radius, rng)]
    if rng.random() < 0.25:
        found += on_wrist(posed, side, rng)
    return found


def on_wrist(posed: Posed, side: str, rng: np.random.Generator) -> list[Item]:
    """Draw a watch or a bracelet."""
    wrist, elbow = (posed.bone(f"{bone}.{side}").numpy() for bone in ("wrist", "lowerarm01"))
    along = (wrist - elbow) / np.linalg.norm(wrist - elbow)
    place = wrist - 0.025 * along
    palmwards = posed.hand(side).normal.numpy()
    back = palmwards - along * (along @ palmwards)
    back /= np.linalg.norm(back)
    rotation = np.stack([np.cross(back, along), back, along], 1)
    arm = topology().weight_of("lowerarm", "wrist", side=side) > 0.5
    local = (posed.vertices().numpy()[arm] - place) @ rotation
    near = local[np.abs(local[:, 2]) < 0.012]
    low, high = near.min(0), near.max(0)
    place = place + rotation[:, :2] @ ((low + high) / 2)[:2]
    half = (high - low)[:2] / 2 + 0.001
    draw = watch if rng.random() < 0.6 else bracelet
    parts = draw((float(half[0]), float(half[1])), rng)
    return [Item(part.moved(rotation, place), {"worn": 1.0}) for part in parts]
