"""One or two hands at a face: chin, cheek, mouth, eyes, forehead, hair, ear, neck; or before it."""

from __future__ import annotations

import numpy as np
import torch

from handseg.synthetic.rendered.body.bodies import topology
from handseg.synthetic.rendered.body.posing import (
    Losses,
    Posed,
    along,
    apart,
    near,
    outside,
    require,
    solve,
    touching,
)
from handseg.synthetic.rendered.props.worn import glasses
from handseg.synthetic.rendered.scenes._common import (
    OTHER,
    Cast,
    draw_side,
    views_around,
)
from handseg.synthetic.rendered.take import Item, Take

PLACES = {
    "chin": (
        (0.02, -0.10, -0.035),
        ("relaxed_closed", "fist", "point", "loose_fist", "two_closed"),
    ),
    "cheek": ((0.075, -0.06, 0.01), ("flat", "relaxed", "relaxed_closed", "fist", "open")),
    "mouth": ((0.01, -0.125, 0.0), ("flat", "fist", "relaxed_closed", "point", "pinch")),
    "nose": ((0.01, -0.14, 0.04), ("pinch", "point", "relaxed", "flat", "tripod")),
    "eye": ((0.035, -0.11, 0.06), ("point", "relaxed_closed", "flat", "two", "fist")),
    "forehead": ((0.03, -0.10, 0.12), ("flat", "relaxed", "relaxed_closed", "open", "two_closed")),
    "hair": ((0.05, -0.02, 0.19), ("relaxed", "claw", "open", "flat")),
    "ear": ((0.10, 0.02, 0.04), ("relaxed", "letter_c", "point", "flat", "phone_call")),
    "neck": ((0.05, -0.05, -0.09), ("relaxed", "flat", "open", "letter_c")),
}
"""Position of the middle of the hand relative to the head's joint, metres (x towards the hand's own
side), and the hand shapes that suit."""
_TOWARDS_SIDE = {"R": -1.0, "L": 1.0}


def draw(rng: np.random.Generator, cast: Cast) -> Take:
    """See `scenes.SCENES`."""
    person = cast.person(0, rng)
    first = draw_side(rng)
    sides = [first, OTHER[first]] if rng.random() < 0.3 else [first]
    for side in "LR":
        person.shape_hand(side, "relaxed", rng)
    places = {side: str(rng.choice(sorted(PLACES))) for side in sides}
    clear = {side: rng.random() < 0.25 for side in sides}
    for side in sides:
        person.shape_hand(side, str(rng.choice(PLACES[places[side]][1])), rng)
        person.figure.free_arm(side)
    head, trunk = person.surfaces()
    middle = person.start().bone("head")
    size = float(person.body.vertices[:, 2].max() - middle[2]) / 0.15
    goals_at = {}
    for side in sides:
        offset = np.array(PLACES[places[side]][0]) * size * [_TOWARDS_SIDE[side], 1, 1]
        offset = offset + rng.normal(0, 0.012, 3)
        if clear[side]:
            offset[1] -= rng.uniform(0.06, 0.25)
        goals_at[side] = middle + torch.tensor(offset, dtype=torch.float32)
    inwards = rng.random() < 0.85
    centre = middle + torch.tensor([0.0, -0.02, 0.05])

    def goals(posed: list[Posed]) -> Losses:
        (one,) = posed
        losses = {}
        for side in sides:
            hand, distance = one.hand(side), head.distance(one.hand_points(side))
            losses[f"reach {side}"] = near(hand.palm, goals_at[side], 0.04)
            losses[f"outside {side}"] = outside(distance)
            if not clear[side]:
                losses[f"touch {side}"] = touching(distance)
            if inwards:
                way = centre - hand.palm
                losses[f"facing {side}"] = 0.25 * along(hand.normal, way / way.norm())
            losses[f"trunk {side}"] = outside(trunk.distance(one.forearm_points(side)), 0.01)
        if len(sides) == 2:
            losses["apart"] = apart(one, "L", one, "R") + apart(one, "R", one, "L")
        return losses

    (posed,), losses = solve([person.figure], goals)
    for side in sides:
        require(losses, **{f"outside {side}": 0.8, f"reach {side}": 1.5})
        if not clear[side]:
            require(losses, **{f"touch {side}": 2.0})
    if len(sides) == 2:
        require(losses, apart=1.0)
    hands = {"L": 0, "R": 1}
    items = person.items(posed, hands)
    if rng.random() < 0.25:
        items += _glasses(posed, size, rng)
    palm = np.mean([posed.hand(side).palm.numpy() for side in sides], 0)
    share = rng.uniform(0, 1)
    target = share * palm + (1 - share) * (middle.numpy() + np.array([0, -0.05, 0.04]))
    return Take(
        tuple(items),
        tuple(person.hand(posed, side) for side in hands),
        views_around(target, rng, 3, distance=(0.35, 1.2), focal=(0.9, 1.8), off_centre=0.08),
        notes={"places": places, "clear": [side for side in sides if clear[side]]},
    )


def _glasses(posed: Posed, size: float, rng: np.random.Generator) -> list[Item]:
    eyes = torch.stack([posed.bone("eye.L"), posed.bone("eye.R")])
    head = topology().index("head")
    turn = (posed.bones[head, :3, :3] @ posed.figure.body.bones[head, :3, :3].T).numpy()
    bridge = eyes.mean(0).numpy() + turn @ np.array([0.0, -0.024 * size, 0.004])
    return [Item(part.moved(turn, bridge)) for part in glasses(rng)]
