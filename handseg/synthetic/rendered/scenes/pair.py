"""Two hands that meet: folded, clasped, clapping, palm on palm, one on the other, shaken."""

from __future__ import annotations

import numpy as np
import torch

from handseg.synthetic.rendered.body.hands import HandFrame
from handseg.synthetic.rendered.body.posing import (
    Losses,
    Posed,
    along,
    apart,
    near,
    outside,
    own_fingers_apart,
    require,
    solve,
)
from handseg.synthetic.rendered.people.person import Person
from handseg.synthetic.rendered.scenes._common import (
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
"""Shapes of the left and the right hand, by kind."""


def draw(rng: np.random.Generator, cast: Cast) -> Take:
    """See `scenes.SCENES`."""
    kind = rng.random()
    return _shake(rng, cast) if kind < 0.2 else _fold(rng, cast) if kind < 0.4 else _own(rng, cast)


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
    return _shown(person, posed, rng, kind)


def _fold(rng: np.random.Generator, cast: Cast) -> Take:
    """Folded hands: the fingers of each between those of the other."""
    person = cast.person(0, rng)
    for side in "LR":
        person.shape_hand(side, "half_bent", rng)
        person.figure.free_arm(side)
        person.figure.free_fingers(side)
    head, trunk = person.surfaces()
    begin = person.start()
    chest = begin.bone("spine01")
    tall = float((begin.bone("head") - begin.bone("spine05")).norm()) / 0.55
    offset = np.array([rng.normal(0, 0.05), -rng.uniform(0.25, 0.4), rng.uniform(-0.2, 0.2)])
    middle = chest + torch.tensor(offset * tall, dtype=torch.float32)
    rise = rng.uniform(-0.3, 1.0)
    facing = {"L": unit([-0.7, 0.7, 0]), "R": unit([0.7, 0.7, 0])}
    errands = {
        side: Errand(
            middle + torch.tensor([0.03 * out, 0.0, 0.0]),
            facing[side],
            unit([-0.7 * out, -0.7, rise]),
            0.04,
        )
        for side, out in (("L", 1.0), ("R", -1.0))
    }

    def goals(posed: list[Posed]) -> Losses:
        (one,) = posed
        losses = errand_losses(one, errands, trunk)
        losses["meet"] = _woven(one.hand("L"), one.hand("R")) + _woven(
            one.hand("R"), one.hand("L"), first=True
        )
        losses["apart"] = 0.5 * (apart(one, "L", one, "R") + apart(one, "R", one, "L"))
        points = torch.cat([one.hand_points("L"), one.hand_points("R")])
        losses["head"] = outside(head.distance(points), 0.01)
        for side in "LR":
            # From the start: hands that meet back to back can no longer turn.
            losses[f"turned {side}"] = 4 * along(one.hand(side).normal, facing[side])
            losses[f"own {side}"] = own_fingers_apart(one, side)
        return losses

    (posed,), losses = solve([person.figure], goals, steps=220)
    require(losses, apart=3.0, head=1.0, meet=6.0)
    for side in "LR":
        require(losses, **{f"trunk {side}": 2.0, f"own {side}": 1.5})
    return _shown(person, posed, rng, "fold")


def _woven(hand: HandFrame, other: HandFrame, first: bool = False) -> torch.Tensor:
    """How far the fingers of `hand` are from lying between those of `other`, tips on its back.

    `first` is the hand whose index finger lies outside the other's.
    """
    knuckles = other.knuckles
    between = (knuckles[1:] + knuckles[:-1]) / 2
    end = 1.5 * knuckles[0] - 0.5 * knuckles[1] if first else 1.5 * knuckles[3] - 0.5 * knuckles[2]
    gaps = torch.cat([end[None], between] if first else [between, end[None]])
    size = (other.landmarks[9] - other.landmarks[0]).norm()
    webs = gaps + 0.12 * size * other.along
    backs = gaps - 0.2 * size * other.along - 0.2 * size * other.normal
    bent = hand.landmarks[[6, 10, 14, 18]]
    away = (bent - webs).pow(2).sum() + 0.5 * (hand.tips[1:] - backs).pow(2).sum()
    return away / 0.015**2 * 0.1


def _shown(person: Person, posed: Posed, rng: np.random.Generator, kind: str) -> Take:
    """Show the two hands of one person from three sides."""
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
