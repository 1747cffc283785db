"""Hands that close around objects: fingers and object are fitted together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from handseg.synthetic.rendered.body.bodies import topology
from handseg.synthetic.rendered.body.posing import (
    Figure,
    Losses,
    Posed,
    outside,
    own_fingers_apart,
    require,
    solve,
)
from handseg.synthetic.rendered.people.person import Person
from handseg.synthetic.rendered.props import Prop
from handseg.synthetic.rendered.solids import Placed

FINGERS_USED = {
    "power": (0, 1, 2, 3, 4),
    "pinch": (0, 1),
    "tripod": (0, 1, 2),
    "flat": (0, 1, 2, 3, 4),
    "palm": (),
}
"""Fingertips that touch the object, by style of grip; 0 is the thumb."""
_TIP_RADIUS = 0.0065


@dataclass(frozen=True, eq=False)
class Held:
    """An object in a hand.

    Attributes:
        prop: the object in its own frame. side: of the hand. style: one of `props.GRIPS`.
        pose: (4, 4) float32, object to the frame of the wrist's bone.
    """

    prop: Prop
    side: str
    style: str
    pose: torch.Tensor

    def placed(self, posed: Posed) -> tuple[torch.Tensor, torch.Tensor]:
        """Rotation (3, 3) and translation (3,) of the object in the world."""
        world = posed.bones[topology().index(f"wrist.{self.side}")] @ self.pose
        return world[:3, :3], world[:3, 3]

    def points(self, posed: Posed) -> torch.Tensor:
        """(N, 3) some vertices of the object in the world."""
        rotation, shift = self.placed(posed)
        own = self.prop.vertices()
        some = torch.as_tensor(own[:: max(1, len(own) // 200)].copy(), dtype=torch.float32)
        return some @ rotation.T + shift

    def moved(self, posed: Posed) -> Prop:
        """Move the object into the world."""
        rotation, shift = self.placed(posed)
        return self.prop.moved(rotation.numpy(), shift.numpy())


def hold(person: Person, side: str, prop: Prop, style: str, rng: np.random.Generator) -> Held:
    """Close the hand on `side` around an object; sets the person's finger joints.

    Raises:
        UnreachableError: if the hand cannot, for example because the object is too wide.
    """
    hold_at = torch.as_tensor(prop.hold, dtype=torch.float32)
    half = -float(prop.solid.distance(hold_at[None])[0])  # From its middle to its surface.
    person.shape_hand(side, _shape(style, half, rng), rng)
    figure = Figure(person.body, values=dict(person.figure.values))
    figure.free_fingers(side)
    with torch.no_grad():
        begin = solve([Figure(person.body, values=figure.values)], lambda _: {}, steps=0)[0][0]
    rotation, middle = _start(begin, side, style, half, rng)
    shift = (middle - rotation @ hold_at).requires_grad_()
    turn = torch.zeros(3, requires_grad=True)
    solid = prop.solid

    def place() -> Placed:
        return Placed(solid, _small_turn(turn) @ rotation, shift)

    def goals(posed: list[Posed]) -> Losses:
        (one,) = posed
        placed, hand = place(), one.hand(side)
        tips = placed.distance(hand.tips) - _TIP_RADIUS
        used = [tips[finger].abs() for finger in FINGERS_USED[style]]
        points = placed.distance(one.hand_points(side))
        losses = {
            "outside": outside(points, 0.0003) * 0.5,
            "tips": sum(((gap * 100) ** 2 for gap in used), torch.zeros(())) * 0.3,
            "turn": 0.4 * turn.pow(2).sum(),
            "fingers": own_fingers_apart(one, side) * 0.5,
        }
        if style in ("power", "palm", "flat"):
            losses["palm"] = ((points.min() - 0.001).abs() * 100) ** 2
        return losses

    (posed,), losses = solve([figure], goals, [shift, turn], steps=130)
    require(losses, outside=3.0, tips=3.0, fingers=2.0)
    person.figure.values = dict(enumerate(posed.values.tolist()))
    with torch.no_grad():
        world = torch.eye(4)
        world[:3, :3], world[:3, 3] = _small_turn(turn) @ rotation, shift
        wrist = posed.bones[topology().index(f"wrist.{side}")]
        return Held(prop, side, style, torch.linalg.inv(wrist) @ world)


def _shape(style: str, half: float, rng: np.random.Generator) -> str:
    if style == "power":
        wide = "grip_wide" if half > 0.027 else "grip_medium" if half > 0.013 else "grip_narrow"
        return wide
    options = {
        "pinch": ("pinch", "hold_card", "ok", "pinch_open"),
        "tripod": ("tripod",),
        "flat": ("grip_wide", "letter_c"),
        "palm": ("relaxed", "open", "flat_thumb_out"),
    }[style]
    return str(rng.choice(options))


def _start(
    begin: Posed, side: str, style: str, half: float, rng: np.random.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Starting pose of the object: rotation (3, 3) and the world place of its `hold` (3,)."""
    hand = begin.hand(side)
    across = torch.linalg.cross(hand.along, hand.normal)
    flip = float(rng.choice([-1.0, 1.0]))
    if style == "power":
        centre = hand.palm + hand.normal * (half + 0.014) + hand.along * 0.012
        tilt = across + hand.along * float(rng.normal(0, 0.2))
        return _frame(y=hand.normal, z=flip * tilt), centre
    if style == "pinch":
        thumb, index = hand.tips[0], hand.tips[1]
        return _frame(y=thumb - index, z=flip * hand.along + 0.3 * across), (thumb + index) / 2
    if style == "tripod":
        tips = hand.tips[:3].mean(0)
        web = (hand.landmarks[2] + hand.landmarks[5]) / 2 - 0.01 * hand.normal
        return _frame(y=hand.normal, z=web - tips), tips
    if style == "flat":
        centre = hand.palm + hand.normal * (half + 0.016) + hand.along * 0.03
        return _frame(y=-hand.normal, z=hand.along), centre
    centre = hand.palm + hand.normal * (half + 0.02) + hand.along * 0.02
    return _frame(y=hand.along, z=hand.normal), centre


def _frame(y: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
    """(3, 3) rotation whose z axis is along `z` and whose y axis is as near `y` as possible."""
    z = z / z.norm()
    y = y - z * (y @ z)
    y = y / y.norm()
    return torch.stack([torch.linalg.cross(y, z), y, z], 1).detach()


def _small_turn(vector: torch.Tensor) -> torch.Tensor:
    """(3, 3) rotation by a rotation vector (3,)."""
    zero = torch.zeros(())
    x, y, z = vector
    cross = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero]).view(3, 3)
    return torch.linalg.matrix_exp(cross)
