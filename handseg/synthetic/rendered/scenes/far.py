"""Whole people 2 to 6 m away: hands of 15 to 60 px, hanging, raised, folded or pointing."""

from __future__ import annotations

import numpy as np
import torch

from handseg.synthetic.rendered.body.hands import hand_shapes
from handseg.synthetic.rendered.body.posing import Posed, require, solve
from handseg.synthetic.rendered.people.person import Person
from handseg.synthetic.rendered.scenes._common import (
    Cast,
    Errand,
    errand_losses,
    unit,
    views_around,
)
from handseg.synthetic.rendered.take import HandTruth, Item, Take


def draw(rng: np.random.Generator, cast: Cast) -> Take:
    """See `scenes.SCENES`."""
    items: list[Item] = []
    hands: list[HandTruth] = []
    count = int(rng.choice([1, 2, 3], p=[0.6, 0.3, 0.1]))
    for number in range(count):
        person = cast.person(number, rng)
        spot = np.array([(number - (count - 1) / 2) * rng.uniform(0.8, 1.2), rng.normal(0, 0.4), 0])
        posed = stand(person, spot, rng)
        numbers = {"L": len(hands), "R": len(hands) + 1}
        items += person.items(posed, numbers)
        hands += [person.hand(posed, side) for side in numbers]
    middle = np.mean([hand.landmarks[0] for hand in hands], 0)
    views = views_around(
        middle * [1, 1, 0.7] + [0, 0, 0.1],
        rng,
        3,
        distance=(2.0, 6.0) if count == 1 else (3.0, 6.0),
        focal=(1.3, 2.4),
        rise=(0.03, 0.1),
        off_centre=0.03,
    )
    return Take(tuple(items), tuple(hands), views)


def stand(person: Person, spot: np.ndarray, rng: np.random.Generator) -> Posed:
    """Pose a person who stands at `spot` (3,), metres, and does something with each hand."""
    for side in "LR":
        person.shape_hand(side, str(rng.choice(sorted(hand_shapes()))), rng)
        person.figure.free_arm(side)
    _, trunk = person.surfaces()
    begin = person.start()
    errands = {side: _errand(begin, side, rng) for side in "LR"}
    (posed,), losses = solve(
        [person.figure], lambda posed: errand_losses(posed[0], errands, trunk), steps=90
    )
    for side in "LR":
        require(losses, **{f"reach {side}": 4.0, f"trunk {side}": 3.0})
    person.place(spot, float(rng.normal(0, 0.5)))
    person.figure.values = dict(enumerate(posed.values.tolist()))
    return person.start()


def _errand(begin: Posed, side: str, rng: np.random.Generator) -> Errand:
    out = 1.0 if side == "L" else -1.0
    chest, shoulder = begin.bone("spine01"), begin.bone(f"upperarm01.{side}")
    length = float((begin.bone(f"wrist.{side}") - shoulder).norm())
    spots = {
        "hanging": (0.12 * out, -0.1, -0.9),
        "raised": (0.35 * out, -0.35, 0.75),
        "before": (-0.15 * out, -0.65, -0.25),
        "forward": (0.1 * out, -0.85, 0.1),
        "aside": (0.85 * out, -0.25, 0.1),
        "hip": (0.2 * out, -0.05, -0.65),
    }
    spot = np.array(spots[str(rng.choice(sorted(spots)))]) + rng.normal(0, 0.08, 3)
    palm = shoulder + length * torch.tensor(spot, dtype=torch.float32)
    return Errand(
        palm, None, unit(palm.numpy() - chest.numpy()) if rng.random() < 0.3 else None, 0.05
    )
