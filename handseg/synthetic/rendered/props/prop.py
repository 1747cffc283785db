"""An object that is held or lies on a table: its parts, its solid and the ways to grip it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from handseg.synthetic.rendered.meshes import volume
from handseg.synthetic.rendered.scene import Part
from handseg.synthetic.rendered.solids import Placed, Solid

GRIPS = ("power", "pinch", "tripod", "flat", "palm")

UPRIGHT = np.eye(3)
FACE_UP = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])
"""Turns a flat object whose front faces -y so that its front faces up and its top +y."""
FACE_FRONT = FACE_UP.T
"""Turns a plate in x and y, front +z, so that its front faces -y and its top +z."""
ON_SIDE = np.array([[0.0, 0, 1], [1, 0, 0], [0, 1, 0]])
"""Turns the long axis from z to x (and x to y, y to z)."""


@dataclass(frozen=True, eq=False)
class Prop:
    """An object about its centre of mass, long axis along z; metres.

    Flat objects (cards, phones, plates) have their thin axis along y and their front facing -y.
    The working end of tools and pens points towards -z.

    Attributes:
        name: its kind.
        parts: its surfaces; the first is its body.
        solid: the shape that hands collide with, in the same frame as the parts.
        grips: the allowed ones of `GRIPS`; none for an object that only lies on tables.
        rest: (3, 3) rotation into the pose in which it lies on a table.
        hold: (3,) middle of the part that a hand holds (its handle), metres.
    """

    name: str
    parts: tuple[Part, ...]
    solid: Solid
    grips: tuple[str, ...]
    rest: np.ndarray = field(default_factory=lambda: UPRIGHT)
    hold: np.ndarray = field(default_factory=lambda: np.zeros(3))

    def moved(self, rotation: np.ndarray, translation: np.ndarray) -> Prop:
        """Turn the object by a (3, 3) rotation, then shift it by (3,) metres."""
        rotation, translation = np.asarray(rotation, float), np.asarray(translation, float)
        parts = tuple(part.moved(rotation, translation) for part in self.parts)
        solid = Placed(self.solid, rotation, translation)
        hold, rest = rotation @ self.hold + translation, self.rest @ rotation.T
        return replace(self, parts=parts, solid=solid, rest=rest, hold=hold)

    def vertices(self) -> np.ndarray:
        """(V, 3) float32 vertices of all parts, metres."""
        return np.concatenate([part.mesh.vertices for part in self.parts])

    def resting(self, angle: float = 0.0, place: Sequence[float] = (0.0, 0.0)) -> Prop:
        """Lay the object on the table z = 0 at `place` (x, y), turned `angle` radians about z."""
        cos, sin = np.cos(angle), np.sin(angle)
        turn = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]]) @ self.rest
        low = (self.vertices() @ turn.T)[:, 2].min()
        return self.moved(turn, np.array([*place, -low]))


def assemble(
    name: str,
    parts: Sequence[Part],
    solid: Solid,
    grips: Sequence[str],
    rest: np.ndarray = UPRIGHT,
    hold: Sequence[float] | None = None,
) -> Prop:
    """Make an object, with the common centre of mass of its closed parts moved to the origin.

    `hold` is in the parts' frame; the centre of mass if None.
    """
    weights, centres = [], []
    for part in parts:
        size, centre = volume(part.mesh)
        edges = np.sort(np.concatenate([part.mesh.faces[:, [k, k - 1]] for k in range(3)]), 1)
        closed = (np.unique(edges, axis=0, return_counts=True)[1] == 2).all()
        weights.append(abs(size) if closed else 1e-12)
        centres.append(centre if closed else part.mesh.vertices.mean(0))
    middle = np.average(centres, axis=0, weights=weights)
    held = middle if hold is None else np.asarray(hold, float)
    prop = Prop(name, tuple(parts), solid, tuple(grips), rest, held)
    return prop.moved(np.eye(3), -middle)
