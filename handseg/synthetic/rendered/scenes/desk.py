"""Hands on a table, seen by their wearer or from across; cards, mugs, phones, keyboards around."""

from __future__ import annotations

import numpy as np
import torch

from handseg.synthetic.rendered.body.posing import Losses, Posed, apart, require, solve
from handseg.synthetic.rendered.people.looks import draw_lamps, draw_surroundings
from handseg.synthetic.rendered.people.person import Person
from handseg.synthetic.rendered.scene import Camera, View
from handseg.synthetic.rendered.scenes._common import (
    Cast,
    Errand,
    errand_losses,
    prop_items,
    unit,
)
from handseg.synthetic.rendered.scenes._table import above, floor_items, scatter, table_item
from handseg.synthetic.rendered.take import HandTruth, Item, Take

SHAPES = [
    "relaxed",
    "flat",
    "open",
    "typing",
    "relaxed_closed",
    "loose_fist",
    "point",
    "half_bent",
    "pinch",
    "fist",
]


def draw(rng: np.random.Generator, cast: Cast) -> Take:
    """See `scenes.SCENES`."""
    people = [cast.person(0, rng)]
    if rng.random() < 0.4:
        people.append(cast.person(1, rng))
    begin = people[0].start()
    tall = float((begin.bone("head") - begin.bone("spine05")).norm()) / 0.55
    height = float(begin.bone("spine02")[2]) - tall * rng.uniform(0.14, 0.3)
    front = float(begin.bone("spine01")[1]) - tall * 0.18
    across = tall * rng.uniform(0.75, 1.1)
    if len(people) == 2:
        other = people[1].start()
        level = height + tall * rng.uniform(0.14, 0.3) - float(other.bone("spine02")[2])
        people[1].place(np.array([rng.normal(0, 0.15), front - across, level]), np.pi)
    items: list[Item] = []
    hands: list[HandTruth] = []
    taken: list[np.ndarray] = []
    poses: list[Posed] = []
    for person in people:
        posed = _rest_hands(person, height, rng, poses)
        poses.append(posed)
        numbers = {"L": len(hands), "R": len(hands) + 1}
        items += person.items(posed, numbers)
        hands += [person.hand(posed, side) for side in numbers]
        for side in "LR":
            taken += [posed.hand_points(side).numpy(), posed.forearm_points(side).numpy()]
    centre = np.array([0.0, front - 0.33 * tall, height])
    things = scatter(
        rng, cast, int(rng.integers(2, 9)), centre, (0.34, 0.22), np.concatenate(taken)
    )
    items.append(table_item(centre - [0, 0.05, 0], rng))
    items += floor_items(poses, rng)
    for thing in things:
        items += prop_items(thing)
    palms = np.array([pose.hand(side).palm.numpy() for pose in poses[:1] for side in "LR"])
    own = rng.random() < 0.65
    eyes = (begin.bone("eye.L") + begin.bone("eye.R")).numpy() / 2
    views = []
    for _ in range(3):
        target = palms.mean(0) + rng.normal(0, [0.08, 0.06, 0.02])
        if own:
            shift = [rng.normal(0, 0.03), -rng.uniform(0.1, 0.16), rng.uniform(0.0, 0.14)]
            place = eyes + np.array(shift)
            focal = rng.uniform(0.5, 0.95)
        else:
            aside = rng.normal(0, 0.35) if len(people) == 1 else rng.choice([-1, 1]) * 0.9
            forwards = across * rng.uniform(0.8, 1.4) if len(people) == 1 else 0.5 * across
            place = np.array([aside, front - forwards, height])
            place[2] += rng.uniform(0.25, 0.7)
            focal = rng.uniform(0.8, 1.5)
        camera = Camera.looking(place, target, float(focal), float(rng.normal(0, 0.08)))
        views.append(View(camera, draw_lamps(target, rng), draw_surroundings(rng)))
    return Take(tuple(items), tuple(hands), tuple(views), notes={"wearer": own})


def _rest_hands(
    person: Person, height: float, rng: np.random.Generator, others: list[Posed]
) -> Posed:
    """Put both hands of a person on the table, clear of everybody else's."""
    for side in "LR":
        person.shape_hand(side, str(rng.choice(SHAPES)), rng)
        person.figure.free_arm(side)
    _, trunk = person.surfaces()
    begin = person.start()
    facing = person.figure.placement[:3, :3]
    chest = begin.bone("spine01")
    tall = float((begin.bone("head") - begin.bone("spine05")).norm()) / 0.55
    errands = {}
    for side in "LR":
        out = 1.0 if side == "L" else -1.0
        offset = [out * rng.uniform(0.0, 0.24), -rng.uniform(0.3, 0.5), 0.0]
        palm = chest + facing @ torch.tensor(np.array(offset) * tall, dtype=torch.float32)
        palm[2] = height + 0.03 + (rng.uniform(0.05, 0.2) if rng.random() < 0.25 else 0.0)
        # Mostly palm down; on the little finger's side, or up.
        ways = [(0, 0, -1), (0, 0, -1), (0, 0, -1), (-out, 0, -0.2), (0, 0, 1)]
        normal = facing @ unit(np.array(ways[rng.integers(len(ways))]) + rng.normal(0, 0.2, 3))
        fingers = facing @ unit([-out * rng.uniform(-0.2, 0.9), -1, rng.normal(0, 0.1)])
        errands[side] = Errand(palm, normal, fingers, 0.04)

    def goals(posed: list[Posed]) -> Losses:
        (one,) = posed
        losses = errand_losses(one, errands, trunk)
        for side in "LR":
            arm = torch.cat([one.hand_points(side), one.forearm_points(side)])
            losses[f"table {side}"] = above(arm, height)
            for other in others:
                for theirs in "LR":
                    losses[f"apart {side}{theirs}"] = apart(one, side, other, theirs)
        losses["apart"] = apart(one, "L", one, "R") + apart(one, "R", one, "L")
        return losses

    (posed,), losses = solve([person.figure], goals)
    require(losses, apart=1.0)
    for side in "LR":
        require(losses, **{f"reach {side}": 3.0, f"table {side}": 1.0, f"trunk {side}": 3.0})
    return posed
