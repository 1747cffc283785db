"""Tables: the surface, objects that lie on it, and hands that stay above it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from handseg.synthetic.rendered.body.posing import Posed, outside
from handseg.synthetic.rendered.props import Prop
from handseg.synthetic.rendered.props.ground import FLOOR, ground
from handseg.synthetic.rendered.scenes._common import Cast
from handseg.synthetic.rendered.take import Item


def table_item(place: np.ndarray, rng: np.random.Generator) -> Item:
    """Draw a table top; the middle of its surface is at `place` (3,) metres."""
    angle = rng.choice([0.0, np.pi / 2]) + rng.normal(0, 0.05)
    return Item(ground(rng).moved(turn(angle), np.asarray(place, float)))


def floor_items(posed: Sequence[Posed], rng: np.random.Generator) -> list[Item]:
    """Draw a floor under the lowest feet; in four of ten takes none: the background continues."""
    if rng.random() < 0.4:
        return []
    low = min(float(one.vertices()[:, 2].min()) for one in posed)
    return [Item(ground(rng, FLOOR).moved(turn(rng.uniform(0, np.pi)), np.array([0, 0, low])))]


def turn(angle: float) -> np.ndarray:
    """(3, 3) rotation by `angle` radians about z."""
    cos, sin = np.cos(angle), np.sin(angle)
    return np.array([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])


def above(points: torch.Tensor, height: float) -> torch.Tensor:
    """How far (N, 3) points reach below a table at z = `height`, as in `posing.outside`."""
    return outside(points[:, 2] - height, 0.001)


def scatter(
    rng: np.random.Generator,
    cast: Cast,
    count: int,
    centre: np.ndarray,
    spread: tuple[float, float],
    keep_off: np.ndarray,
) -> list[Prop]:
    """Scatter objects on a table, none intersecting another or a hand.

    Args:
        count: number to try. centre: (3,) metres on the table's surface.
        spread: half width and half depth of the area, metres.
        keep_off: (N, 3) points, such as of hands and arms, that objects stay 8 mm away from.
    """
    placed: list[Prop] = []
    taken = torch.as_tensor(keep_off, dtype=torch.float32)
    for _ in range(count):
        prop = cast.prop(rng)
        place = rng.uniform(-1, 1, 2) * spread
        rested = prop.resting(float(rng.uniform(0, 2 * np.pi)), tuple(place))
        moved = rested.moved(np.eye(3), np.asarray(centre, float))
        if float(moved.solid.distance(taken).min()) < 0.008:
            continue
        placed.append(moved)
        own = torch.as_tensor(moved.vertices()[::5], dtype=torch.float32)
        taken = torch.cat([taken, own])
    return placed
