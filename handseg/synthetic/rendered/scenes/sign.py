"""One or two raised hands before body and face, as in sign language; forearms bare or sleeved."""

from __future__ import annotations

import numpy as np
import torch

from handseg.synthetic.rendered.body.hands import hand_shapes
from handseg.synthetic.rendered.body.posing import Losses, Posed, apart, outside, require, solve
from handseg.synthetic.rendered.scenes._common import (
    OTHER,
    Cast,
    Errand,
    draw_side,
    errand_losses,
    unit,
    views_around,
)
from handseg.synthetic.rendered.take import Take


def draw(rng: np.random.Generator, cast: Cast) -> Take:
    """See `scenes.SCENES`."""
    person = cast.person(0, rng)
    first = draw_side(rng)
    sides = [first, OTHER[first]] if rng.random() < 0.45 else [first]
    for side in "LR":
        person.shape_hand(side, "relaxed", rng)
    names = {side: str(rng.choice(sorted(hand_shapes()))) for side in sides}
    for side, name in names.items():
        person.shape_hand(side, name, rng)
        person.figure.free_arm(side)
    head, trunk = person.surfaces()
    begin = person.start()
    chest, top = begin.bone("spine01"), begin.bone("head")
    tall = float((top - begin.bone("spine05")).norm()) / 0.55
    errands = {}
    for side in sides:
        out = 1.0 if side == "L" else -1.0
        level = chest + (top - chest) * float(rng.uniform(-0.3, 1.3))
        offset = np.array([out * rng.uniform(-0.02, 0.26), -rng.uniform(0.2, 0.42), 0.0]) * tall
        palm = level + torch.tensor(offset, dtype=torch.float32)
        # Palms to the viewer, to the signer, inwards or down; fingers up, inwards or forwards.
        ways = [(0, -1, 0), (0, -1, 0), (0, 1, 0.2), (-out, 0, 0), (0, -0.2, -1)]
        normal = unit(np.array(ways[rng.integers(len(ways))]) + rng.normal(0, 0.25, 3))
        fingers = [(0, 0, 1), (0, 0, 1), (-out, 0, 0.4), (0, -1, 0.3)][rng.integers(4)]
        errands[side] = Errand(palm, normal, unit(np.array(fingers) + rng.normal(0, 0.2, 3)), 0.04)

    def goals(posed: list[Posed]) -> Losses:
        (one,) = posed
        losses = errand_losses(one, errands, trunk)
        for side in sides:
            losses[f"head {side}"] = outside(head.distance(one.hand_points(side)), 0.01)
        if len(sides) == 2:
            losses["apart"] = apart(one, "L", one, "R") + apart(one, "R", one, "L")
        return losses

    (posed,), losses = solve([person.figure], goals)
    for side in sides:
        require(losses, **{f"reach {side}": 2.5, f"trunk {side}": 1.5, f"head {side}": 0.8})
    if len(sides) == 2:
        require(losses, apart=1.0)
    hands = {"L": 0, "R": 1}
    palm = np.mean([posed.hand(side).palm.numpy() for side in sides], 0)
    share = rng.uniform(0.3, 1.0)
    target = share * palm + (1 - share) * top.numpy()
    return Take(
        tuple(person.items(posed, hands)),
        tuple(person.hand(posed, side) for side in hands),
        views_around(
            target, rng, 3, distance=(0.45, 1.6), turn=(0, 0.35), rise=(0.02, 0.15), off_centre=0.08
        ),
        notes={"shapes": names},
    )
