"""Close views of bare skin that is no hand: feet, ears, knees, elbows and shoulders."""

from __future__ import annotations

import numpy as np

from handseg.synthetic.rendered.scene import View
from handseg.synthetic.rendered.scenes._common import Cast, draw_side, views_around
from handseg.synthetic.rendered.scenes.far import stand
from handseg.synthetic.rendered.take import Take

PARTS = {
    "foot": (0.4, "toe1-1", (0.0, 0.0, 0.0), (0.8, 0.5)),
    "ear": (0.3, "head", (0.07, 0.0, 0.08), (0.1, 0.3)),
    "knee": (0.1, "lowerleg01", (0.0, -0.03, 0.0), (0.1, 0.4)),
    "elbow": (0.1, "lowerarm01", (0.0, 0.0, 0.0), (0.1, 0.5)),
    "shoulder": (0.1, "upperarm01", (0.0, 0.0, 0.0), (0.2, 0.4)),
}
"""By name: how often it is shown; the bone whose start is near it, and its place from there, in
metres for the left side; mean and standard deviation of the camera's rise, in radians."""


def draw(rng: np.random.Generator, cast: Cast) -> Take:
    """See `scenes.SCENES`."""
    person = cast.person(0, rng)
    posed = stand(person, np.zeros(3), rng)
    hands = tuple(person.hand(posed, side) for side in "LR")
    items = tuple(person.items(posed, {"L": 0, "R": 1}))
    names = sorted(PARTS)
    shares = [PARTS[name][0] for name in names]
    views, shown = list[View](), list[str]()
    for name in rng.choice(names, 3, p=shares):
        _, bone, shift, rise = PARTS[name]
        side = draw_side(rng)
        out = 1.0 if side == "L" else -1.0
        full = bone if bone == "head" else f"{bone}.{side}"
        place = posed.bone(full).numpy() + np.array(shift) * [out, 1, 1]
        turn = out * rng.uniform(0.7, 1.7) if name == "ear" else rng.normal(0, 0.9)
        views += views_around(
            place, rng, 1, distance=(0.35, 1.6), turn=(turn, 0.3), rise=rise, roll=0.6
        )
        shown.append(str(name))
    return Take(items, hands, tuple(views), {"shown": shown})
