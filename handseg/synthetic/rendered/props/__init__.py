"""Objects that people hold or that lie on tables, drawn at random in real-world sizes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from handseg.synthetic.rendered.props import devices, food, stationery, tools, vessels
from handseg.synthetic.rendered.props.ground import ground
from handseg.synthetic.rendered.props.materials import skin_like
from handseg.synthetic.rendered.props.prop import GRIPS, Prop
from handseg.synthetic.rendered.scene import Part

__all__ = ["GRIPS", "KINDS", "Prop", "draw_prop", "ground"]

SKIN_SHARE = 0.15
"""Share of objects with a material that could be mistaken for skin."""

KINDS: dict[str, Callable[[np.random.Generator], Prop]] = {
    "ball": food.ball,
    "block": vessels.block,
    "book": stationery.book,
    "bottle": vessels.bottle,
    "box": vessels.box,
    "brush": stationery.brush,
    "can": vessels.can,
    "card": stationery.card,
    "cup": vessels.cup,
    "fork": tools.fork,
    "fruit": food.fruit,
    "glass": vessels.drinking_glass,
    "hammer": tools.hammer,
    "key": tools.key,
    "keyboard": devices.keyboard,
    "knife": tools.knife,
    "lipstick": tools.lipstick,
    "marker": stationery.marker,
    "mouse": devices.mouse,
    "mug": vessels.mug,
    "notebook": stationery.notebook,
    "paper": stationery.paper,
    "pen": stationery.pen,
    "pencil": stationery.pencil,
    "phone": devices.phone,
    "plate": vessels.plate,
    "remote": devices.remote,
    "scissors": tools.scissors,
    "screwdriver": tools.screwdriver,
    "spectacles": devices.spectacles,
    "spoon": tools.spoon,
    "toothbrush": tools.toothbrush,
    "tube": tools.squeeze_tube,
}


def draw_prop(kind: str, rng: np.random.Generator) -> Prop:
    """Draw an object of one of the `KINDS`; the same generator state gives the same object.

    Some objects get a skin-coloured body; a keyboard has no grips, as it only lies on tables.

    Raises:
        ValueError: if there is no such kind.
    """
    if kind not in KINDS:
        raise ValueError(f"kind must be one of {sorted(KINDS)}, got {kind!r}")
    prop = KINDS[kind](rng)
    if rng.random() >= SKIN_SHARE:
        return prop
    body, material = prop.parts[0], skin_like(rng)
    same = [part.material is body.material for part in prop.parts]
    parts = (
        Part(part.mesh, material) if shared else part
        for part, shared in zip(prop.parts, same, strict=True)
    )
    return replace(prop, parts=tuple(parts))
