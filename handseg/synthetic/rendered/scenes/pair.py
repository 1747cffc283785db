"""Two hands that meet: clasped, clapping, palm on palm, one on the other, shaken."""

from __future__ import annotations

import numpy as np
import torch

from handseg.synthetic.rendered.body.posing import (
    Losses,
    Posed,
    apart,
    near,
    outside,
    require,
    solve,
)
from handseg.synthetic.rendered.scenes.common import (
    Cast,
    Errand,
    errand_losses,
    unit,
    views_around,
)
from handseg.synthetic.rendered.take import Take

KINDS = {
    "palms": ("flat", "flat"),
    "clap": ("open", "flat"),
    "cover": ("relaxed", "fist"),
    "stack": ("flat", "flat"),
    "clasp": ("half_bent", "relaxed_closed"),
    "tips": ("claw", "claw"),
}
"""By kind, the left and the right hand's shape."""


def draw(rng: np.random.Generator, cast: Cast) -> Take:
    """See `scenes.SCENES`."""
    return _shake(rng, cast) if rng.random() < 0.2 else _own(rng, cast)


def _own(rng: np.random.Generator, cast: Cast) -> Take:
    person = cast.person(0, rng)
    kind = str(rng.choice(sorted(KINDS)))
    for side, name in zip("LR", KINDS[kind], strict=True):
        person.shape_hand(side, name, rng)
        person.figure.free_arm(side)
    head, trunk = person.surfaces()
    begin = person.start()
    chest, top = begin.bone("spine01"), begin.bone("head")
    tall = float((top - begin.bone("spine05")).norm()) / 0.55
    offset = np.array([rng.normal(0, 0.06), -rng.uniform(0.22, 0.4), rng.uniform(-0.22, 0.22)])
    middle = chest + torch.tensor(offset * tall, dtype=torch.float32)
    up = unit(np.array([0, -0.5, 0.8]) + rng.normal(0, 0.3, 3))
    if kind in ("stack", "cover"):
        facing = {
            "L": unit([0.3, 0.3, -1]),
            "R": unit([-0.5, 0.4, -0.8 if kind == "cover" else -1]),
        }
        fingers = {"L": unit([-1, -0.5, 0]), "R": unit([1, -0.6, 0.1])}
        gap = {"L": (0.0, 0.0, 0.03), "R": (0.0, 0.0, -0.02)}
    else:
        facing = {"L": unit([-1, 0, rng.normal(0, 0.2)]), "R": unit([1, 0, rng.normal(0, 0.2)])}
        fingers = {"L": up, "R": up}
        if kind == "clasp":
            fingers = {"L": unit([-0.5, -0.6, 0.5]), "R": unit([0.5, -0.6, 0.5])}
        wide = {"clap": rng.uniform(0.03, 0.12), "tips": 0.06}.get(kind, 0.022)
        gap = {"L": (wide, 0.0, 0.0), "R": (-wide, 0.0, 0.0)}
    errands = {
        side: Errand(middle + torch.tensor(gap[side]), facing[side], fingers[side], 0.07)
        for side in "LR"
    }
    meet = kind != "clap"

    def goals(posed: list[Posed]) -> Losses:
        (one,) = posed
        losses = errand_losses(one, errands, trunk)
        left, right = one.hand("L"), one.hand("R")
        losses["apart"] = 0.7 * (apart(one, "L", one, "R") + apart(one, "R", one, "L"))
        points = torch.cat([one.hand_points("L"), one.hand_points("R")])
        losses["head"] = outside(head.distance(points), 0.01)
        if meet:
            closest = torch.cdist(one.hand_points("L"), one.hand_points("R")).min()
            losses["meet"] = (torch.relu(closest - 0.004) * 100) ** 2
        losses["both"] = near(left.palm - right.palm, errands["L"].palm - errands["R"].palm, 0.015)
        return losses

    (posed,), losses = solve([person.figure], goals, steps=140)
    require(losses, apart=1.5, head=1.0, both=1.5)
    if meet:
        require(losses, meet=1.5)
    for side in "LR":
        require(losses, **{f"reach {side}": 3.0, f"trunk {side}": 2.0})
    hands = {"L": 0, "R": 1}
    palm = (posed.hand("L").palm.numpy() + posed.hand("R").palm.numpy()) / 2
    return Take(
        tuple(person.items(posed, hands)),
        tuple(person.hand(posed, side) for side in hands),
        views_around(
            palm, rng, 3, distance=(0.32, 1.0), turn=(0, 0.6), rise=(0.2, 0.35), off_centre=0.06
        ),
        notes={"kind": kind},
    )


def _shake(rng: np.random.Generator, cast: Cast) -> Take:
    people = [cast.person(number, rng) for number in range(2)]
    begin = [person.start() for person in people]
    gap = 0.62 + rng.uniform(0, 0.15)
    level = [float(one.bone("spine02")[2]) for one in begin]
    people[1].place(np.array([0.0, -gap, level[0] - level[1]]), np.pi)
    trunks = []
    for person in people:
        person.shape_hand("R", "half_bent", rng)
        person.shape_hand("L", "relaxed", rng)
        person.figure.free_arm("R")
        trunks.append(person.surfaces()[1])
    middle = torch.tensor([0.0, -gap / 2, level[0] + float(rng.uniform(-0.02, 0.1))])
    errands = [
        Errand(
            middle + torch.tensor([-0.02, 0.0, 0.0]), unit([1, 0, 0]), unit([0.1, -1, -0.1]), 0.02
        ),
        Errand(
            middle + torch.tensor([0.02, 0.0, 0.0]), unit([-1, 0, 0]), unit([-0.1, 1, -0.1]), 0.02
        ),
    ]

    def goals(posed: list[Posed]) -> Losses:
        losses: Losses = {}
        for number, one in enumerate(posed):
            for name, value in errand_losses(one, {"R": errands[number]}, trunks[number]).items():
                losses[f"{name}{number}"] = value
        one, other = posed
        losses["apart"] = 0.7 * (apart(one, "R", other, "R") + apart(other, "R", one, "R"))
        closest = torch.cdist(one.hand_points("R"), other.hand_points("R")).min()
        losses["meet"] = (torch.relu(closest - 0.004) * 100) ** 2
        return losses

    posed, losses = solve([person.figure for person in people], goals, steps=140)
    require(losses, apart=2.0, meet=1.5)
    for number in range(2):
        require(losses, **{f"reach R{number}": 8.0, f"trunk R{number}": 2.0})
    numbers = [{"L": 0, "R": 1}, {"L": 2, "R": 3}]
    items, hands = [], []
    for person, one, own in zip(people, posed, numbers, strict=True):
        items += person.items(one, own)
        hands += [person.hand(one, side) for side in own]
    palm = (posed[0].hand("R").palm.numpy() + posed[1].hand("R").palm.numpy()) / 2
    return Take(
        tuple(items),
        tuple(hands),
        views_around(
            palm,
            rng,
            3,
            distance=(0.4, 1.4),
            turn=(np.pi / 2 * float(rng.choice([-1, 1])), 0.4),
            rise=(0.25, 0.25),
            off_centre=0.05,
        ),
        notes={"kind": "shake"},
    )
