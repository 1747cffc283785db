"""Parts that scenes share: who may appear, and where camera and lamps go."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from handseg.synthetic.rendered.body.posing import (
    Losses,
    Posed,
    Surface,
    along,
    near,
    outside,
    require,
)
from handseg.synthetic.rendered.people.looks import draw_lamps, draw_surroundings
from handseg.synthetic.rendered.people.person import Person, draw_person
from handseg.synthetic.rendered.props import KINDS, Prop, draw_prop
from handseg.synthetic.rendered.scene import Camera, View
from handseg.synthetic.rendered.take import Item

OTHER = {"L": "R", "R": "L"}


@dataclass(frozen=True)
class Cast:
    """The skins and objects that a part of a data set may show, so that parts share none.

    Attributes:
        skins: names of skins; all if empty. props: kinds of objects; all if empty.
    """

    skins: tuple[str, ...] = ()
    props: tuple[str, ...] = ()

    def person(self, number: int, rng: np.random.Generator, gloves: bool = True) -> Person:
        """Draw a person."""
        return draw_person(number, rng, self.skins, gloves)

    def prop(self, rng: np.random.Generator) -> Prop:
        """Draw an object."""
        return draw_prop(str(rng.choice(sorted(self.props or KINDS))), rng)


def draw_side(rng: np.random.Generator) -> str:
    """Draw "L" or "R"."""
    return "LR"[int(rng.integers(2))]


def views_around(
    target: np.ndarray,
    rng: np.random.Generator,
    count: int,
    *,
    distance: tuple[float, float],
    focal: tuple[float, float] = (1.0, 1.6),
    turn: tuple[float, float] = (0.0, 0.6),
    rise: tuple[float, float] = (0.05, 0.25),
    off_centre: float = 0.1,
    roll: float = 0.08,
) -> tuple[View, ...]:
    """Draw cameras in front of `target` (3,) that look at it, each with its own lamps.

    Args:
        distance: metres, log-uniform. focal: see `Camera`.
        turn, rise: mean and standard deviation, radians: around z (0 is from -y) and upwards.
        off_centre: standard deviation of where the target lies, as a share of the distance.
        roll: standard deviation, radians.
    """
    views = []
    for _ in range(count):
        angle, height = rng.normal(*turn), np.clip(rng.normal(*rise), -1.5, 1.5)
        way = np.array(
            [np.sin(angle) * np.cos(height), -np.cos(angle) * np.cos(height), np.sin(height)]
        )
        far = float(np.exp(rng.uniform(*np.log(distance))))
        aim = target + rng.normal(0, off_centre, 3) * far
        camera = Camera.looking(
            target + way * far, aim, float(rng.uniform(*focal)), float(rng.normal(0, roll))
        )
        views.append(View(camera, draw_lamps(target, rng), draw_surroundings(rng)))
    return tuple(views)


@dataclass(frozen=True)
class Errand:
    """Where a hand should go and how it should be turned.

    Attributes:
        palm: (3,) metres, the palm's middle. normal, along: unit (3,), out of the palm and
            towards the fingers, or None if it does not matter.
        within: metres by which the palm may be off.
    """

    palm: torch.Tensor
    normal: torch.Tensor | None = None
    along: torch.Tensor | None = None
    within: float = 0.03


def errand_losses(posed: Posed, errands: dict[str, Errand], trunk: Surface) -> Losses:
    """Losses of errands by side: hand in place and turned as asked, arms off the trunk."""
    losses: Losses = {}
    for side, errand in errands.items():
        hand = posed.hand(side)
        losses[f"reach {side}"] = near(hand.palm, errand.palm, errand.within)
        if errand.normal is not None:
            losses[f"normal {side}"] = 2 * along(hand.normal, errand.normal)
        if errand.along is not None:
            losses[f"along {side}"] = along(hand.along, errand.along)
        arm = torch.cat([posed.forearm_points(side), posed.hand_points(side)])
        losses[f"trunk {side}"] = outside(trunk.distance(arm), 0.012)
    return losses


def require_errands(losses: dict[str, float], errands: dict[str, Errand]) -> None:
    """Check that all hands are where they should be, and inside nobody's body.

    Raises:
        UnreachableError: otherwise.
    """
    for side in errands:
        require(losses, **{f"reach {side}": 1.2, f"trunk {side}": 1.5})
        if f"normal {side}" in losses:
            require(losses, **{f"normal {side}": 0.9})


def unit(values: np.ndarray | list[float]) -> torch.Tensor:
    """(3,) float32 unit vector."""
    vector = torch.as_tensor(np.asarray(values, float), dtype=torch.float32)
    return vector / vector.norm()


def prop_items(prop: Prop) -> list[Item]:
    """Return an object's parts as items with the label "object"."""
    return [Item(part, {"object": 1.0}) for part in prop.parts]
