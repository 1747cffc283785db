"""Hands that hold objects: bottles, cups, phones, pens, cards, tools, fruit."""

from __future__ import annotations

import numpy as np
import torch

from handseg.synthetic.rendered.body.posing import Losses, Posed, apart, outside, require, solve
from handseg.synthetic.rendered.people.grips import hold
from handseg.synthetic.rendered.scenes._common import (
    OTHER,
    Cast,
    Errand,
    draw_side,
    errand_losses,
    prop_items,
    require_errands,
    unit,
    views_around,
)
from handseg.synthetic.rendered.take import Take


def draw(rng: np.random.Generator, cast: Cast) -> Take:
    """See `scenes.SCENES`."""
    person = cast.person(0, rng)
    side = draw_side(rng)
    prop = cast.prop(rng)
    while not prop.grips:
        prop = cast.prop(rng)
    style = str(rng.choice(prop.grips))
    for each in "LR":
        person.shape_hand(each, "relaxed", rng)
    held = hold(person, side, prop, style, rng)
    person.figure.free_arm(side)
    head, trunk = person.surfaces()
    begin = person.start()
    chest, top = begin.bone("spine01"), begin.bone("head")
    tall = float((top - begin.bone("spine05")).norm()) / 0.55
    out = 1.0 if side == "L" else -1.0
    offset = np.array([out * rng.uniform(-0.1, 0.25), -rng.uniform(0.25, 0.45), 0.0]) * tall
    level = chest + (top - chest) * float(rng.uniform(-0.3, 1.1))
    normal = unit(np.array([-out, -0.1, 0.1]) + rng.normal(0, 0.7, 3))
    fingers = unit(np.array([-0.3 * out, -0.7, 0.5]) + rng.normal(0, 0.5, 3))
    errands = {
        side: Errand(level + torch.tensor(offset, dtype=torch.float32), normal, fingers, 0.05)
    }
    both = rng.random() < 0.2
    if both:
        other = OTHER[side]
        person.figure.free_arm(other)
        beside = errands[side].palm + torch.tensor([0.14 * -out, 0.02, -0.04])
        errands[other] = Errand(beside, unit([out, -0.2, 0.3]), None, 0.05)

    def goals(posed: list[Posed]) -> Losses:
        (one,) = posed
        losses = errand_losses(one, errands, trunk)
        points = torch.cat([held.points(one), *(one.hand_points(each) for each in errands)])
        losses["head"] = outside(head.distance(points), 0.004)
        losses["prop"] = outside(trunk.distance(held.points(one)), 0.012)
        if both:
            losses["apart"] = apart(one, "L", one, "R") + apart(one, "R", one, "L")
        return losses

    (posed,), losses = solve([person.figure], goals)
    require_errands({**losses, **{f"normal {each}": 0.0 for each in errands}}, errands)
    require(losses, head=1.0, prop=1.5)
    if both:
        require(losses, apart=1.0)
    hands = {"L": 0, "R": 1}
    palm = posed.hand(side).palm.numpy()
    return Take(
        (*person.items(posed, hands), *prop_items(held.moved(posed))),
        tuple(person.hand(posed, each) for each in hands),
        views_around(
            palm, rng, 3, distance=(0.3, 1.0), turn=(0, 0.8), rise=(0.15, 0.35), off_centre=0.06
        ),
        notes={"object": prop.name, "grip": style},
    )
