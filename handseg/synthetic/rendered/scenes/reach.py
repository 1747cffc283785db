"""Arms that reach for objects, seen by a wide camera on the wearer's head or chest."""

from __future__ import annotations

import numpy as np
import torch

from handseg.synthetic.rendered.body.posing import (
    Losses,
    Posed,
    Surface,
    apart,
    outside,
    require,
    solve,
)
from handseg.synthetic.rendered.people.grips import Held, hold
from handseg.synthetic.rendered.people.looks import draw_lamps, draw_surroundings
from handseg.synthetic.rendered.people.person import Person
from handseg.synthetic.rendered.scene import Camera, View
from handseg.synthetic.rendered.scenes._common import (
    Cast,
    Errand,
    draw_side,
    errand_losses,
    prop_items,
    unit,
)
from handseg.synthetic.rendered.scenes._jewellery import on_wrist
from handseg.synthetic.rendered.scenes._table import floor_items, scatter, table_item
from handseg.synthetic.rendered.take import Item, Take

SHAPES = ["relaxed", "relaxed_closed", "loose_fist", "half_bent", "pinch", "open", "point", "fist"]


def draw(rng: np.random.Generator, cast: Cast) -> Take:
    """See `scenes.SCENES`."""
    person = cast.person(0, rng)
    sides = "LR" if rng.random() < 0.6 else draw_side(rng)
    held: dict[str, Held] = {}
    for side in "LR":
        person.shape_hand(side, str(rng.choice(SHAPES)), rng)
    for side in sides:
        if rng.random() < 0.65:
            prop = cast.prop(rng)
            while not prop.grips:
                prop = cast.prop(rng)
            held[side] = hold(person, side, prop, str(rng.choice(prop.grips)), rng)
    trunk = person.surfaces()[1]
    posed = _reach(person, sides, held, trunk, rng)
    hands = {"L": 0, "R": 1}
    items = person.items(posed, hands) + floor_items([posed], rng)
    for one in held.values():
        items += prop_items(one.moved(posed))
    for side in sides:
        if rng.random() < 0.35:
            items += on_wrist(posed, side, rng)
    if rng.random() < 0.6:
        items += _table_below(posed, sides, held, cast, rng)
    truths = tuple(person.hand(posed, each) for each in hands)
    return Take(tuple(items), truths, _views(posed, sides, trunk, rng), notes={"wearer": True})


def _reach(
    person: Person, sides: str, held: dict[str, Held], trunk: Surface, rng: np.random.Generator
) -> Posed:
    """Pose arms in front of the chest, nearly straight ahead to the far side, objects in hand."""
    begin = person.start()
    chest = begin.bone("spine01")
    tall = float((begin.bone("head") - begin.bone("spine05")).norm()) / 0.55
    errands = {}
    for side in sides:
        person.figure.free_arm(side)
        out = 1.0 if side == "L" else -1.0
        offset = [out * rng.uniform(-0.1, 0.3), -rng.uniform(0.32, 0.58), rng.uniform(-0.25, 0.3)]
        # Thumb side up, as on a bottle, or palm down, as on objects that lie on a table.
        ways = [(-out, 0, 0), (-out, 0, 0), (0, 0, -1), (-out, 0, -1), (0, -1, 0)]
        normal = unit(np.array(ways[rng.integers(len(ways))]) + rng.normal(0, 0.3, 3))
        fingers = unit([-out * rng.uniform(-0.2, 1.0), -1, rng.normal(0, 0.3)])
        place = chest + torch.tensor(np.array(offset) * tall, dtype=torch.float32)
        errands[side] = Errand(place, normal, fingers, 0.06)

    def goals(posed: list[Posed]) -> Losses:
        (one,) = posed
        losses = errand_losses(one, errands, trunk)
        for side, thing in held.items():
            losses[f"prop {side}"] = outside(trunk.distance(thing.points(one)), 0.012)
        if len(sides) == 2:
            losses["apart"] = apart(one, "L", one, "R") + apart(one, "R", one, "L")
        return losses

    (posed,), losses = solve([person.figure], goals)
    if len(sides) == 2:
        require(losses, apart=1.0)
    for side in sides:
        require(losses, **{f"reach {side}": 3.0, f"trunk {side}": 3.0})
    return posed


def _table_below(
    posed: Posed, sides: str, held: dict[str, Held], cast: Cast, rng: np.random.Generator
) -> list[Item]:
    """Draw a table with objects on it, below hands, arms and what they hold."""
    arms = [posed.hand_points(side) for side in sides]
    arms += [posed.forearm_points(side) for side in sides]
    arms += [thing.points(posed) for thing in held.values()]
    points = torch.cat(arms).numpy()
    height = float(points[:, 2].min()) - (0.003 if rng.random() < 0.5 else rng.uniform(0.01, 0.15))
    front = float(posed.bone("spine01")[1]) - 0.55
    centre = np.array([rng.normal(0, 0.1), front, height])
    things = scatter(rng, cast, int(rng.integers(1, 7)), centre, (0.45, 0.25), points)
    return [table_item(centre, rng), *(item for thing in things for item in prop_items(thing))]


def _views(posed: Posed, sides: str, trunk: Surface, rng: np.random.Generator) -> tuple[View, ...]:
    """Draw wide cameras on forehead or chest that look ahead, hands anywhere in view."""
    palms = np.array([posed.hand(side).palm.numpy() for side in sides])
    if rng.random() < 0.5:
        eyes = (posed.bone("eye.L") + posed.bone("eye.R")).numpy() / 2
        place = eyes + np.array([0, -rng.uniform(0.1, 0.16), rng.uniform(0.0, 0.12)])
    else:
        level = posed.bone("spine01").numpy()[2] + rng.uniform(-0.05, 0.15)
        points = trunk.points.numpy()
        near = (np.abs(points[:, 2] - level) < 0.06) & (np.abs(points[:, 0]) < 0.12)
        place = np.array([0, points[near, 1].min() - rng.uniform(0.05, 0.08), level])
    views = []
    for _ in range(3):
        spot = place + rng.normal(0, [0.03, 0.005, 0.02])
        target = palms.mean(0) + rng.normal(0, [0.13, 0.0, 0.1]) + np.array([0, 0, 0.05])
        # Ahead or down: further up, a camera on the chest would see its wearer's chin.
        target[2] = min(target[2], spot[2] + 0.05)
        camera = Camera.looking(
            spot, target, float(rng.uniform(0.36, 0.75)), float(rng.normal(0, 0.12))
        )
        views.append(View(camera, draw_lamps(target, rng), draw_surroundings(rng)))
    return tuple(views)
