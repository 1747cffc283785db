"""Palm or back of a hand to the camera, flat or nearly so, with a coin or a card for scale."""

from __future__ import annotations

import numpy as np
import torch
from scipy.spatial import cKDTree

from handseg.synthetic.rendered.body.bodies import topology
from handseg.synthetic.rendered.body.finger_truth import measure
from handseg.synthetic.rendered.body.hands import hand_vertices
from handseg.synthetic.rendered.body.posing import Losses, Posed, UnreachableError, require, solve
from handseg.synthetic.rendered.props.ground import lay
from handseg.synthetic.rendered.props.worn import coin, id_card
from handseg.synthetic.rendered.scene import Part
from handseg.synthetic.rendered.scenes._common import (
    Cast,
    Errand,
    draw_side,
    errand_losses,
    unit,
    views_around,
)
from handseg.synthetic.rendered.scenes._jewellery import jewellery
from handseg.synthetic.rendered.scenes._table import above, floor_items, table_item, turn
from handseg.synthetic.rendered.take import Item, Take

_STEPS = 6
"""Number of steps per triangle side between points where a coin may lie."""
_HIDDEN = 0.2
"""Largest share of the hand that other parts of the body may hide from above."""
_CLEAR, _CLOTH = 0.02, 0.03
"""Metres that such a part is above the hand, and by which clothes make it wider."""


def draw(rng: np.random.Generator, cast: Cast) -> Take:
    """See `scenes.SCENES`."""
    person = cast.person(0, rng, gloves=False)
    side = draw_side(rng)
    palm_up = rng.random() < 0.65
    for each in "LR":
        person.shape_hand(each, "relaxed", rng)
    person.shape_hand(side, str(rng.choice(["open", "flat", "flat_thumb_out", "open"])), rng)
    person.figure.free_arm(side)
    _, trunk = person.surfaces()
    begin = person.start()
    shoulder = begin.bone(f"upperarm01.{side}")
    length = float((begin.bone(f"wrist.{side}") - shoulder).norm())
    out = 1.0 if side == "L" else -1.0
    spot = np.array(
        [out * rng.uniform(-0.2, 0.3), -rng.uniform(0.65, 0.85), -rng.uniform(0.3, 0.55)]
    )
    towards = torch.tensor(spot * length, dtype=torch.float32)
    up = unit(np.array([0, 0, 1.0 if palm_up else -1.0]) + rng.normal(0, 0.06, 3))
    fingers = unit(np.array([-out * rng.uniform(-0.3, 0.8), -1, rng.normal(0, 0.08)]))
    errands = {side: Errand(shoulder + towards, up, fingers, 0.05)}
    on_table = rng.random() < 0.75  # Arms that must stay above a table are redrawn more often.

    def goals(posed: list[Posed]) -> Losses:
        (one,) = posed
        losses = errand_losses(one, errands, trunk)
        losses[f"normal {side}"] = 4 * losses[f"normal {side}"]
        if on_table:
            # Forearm and elbow stay above the hand's lowest point, where the table goes.
            low = one.hand_points(side)[:, 2].min().detach()
            losses["table"] = 0.3 * above(one.forearm_points(side), float(low))
        return losses

    (posed,), losses = solve([person.figure], goals)
    require(losses, **{f"reach {side}": 4.0, f"trunk {side}": 2.0, f"normal {side}": 0.6})
    if (share := _hidden_from_above(posed, side)) > _HIDDEN:
        raise UnreachableError(f"{share:.0%} of the hand is under an arm or the trunk")
    hand = posed.hand(side)
    items = person.items(posed, {"L": 0, "R": 1})
    surface = float(posed.hand_points(side)[:, 2].min()) - 0.0015
    palm = hand.palm.numpy()
    notes: dict[str, object] = {"fingers_mm": measure(posed, side), "palm_up": palm_up}
    if on_table:
        items.append(table_item(np.array([*palm[:2], surface]), rng))
    items += floor_items([posed], rng)
    items += _scale(posed, side, palm_up, surface if on_table else None, notes, rng)
    items += jewellery(posed, side, rng)
    hands = {"L": 0, "R": 1}
    # Half are taken as photos for measuring should be: from straight above.
    rise = (1.5, 0.1) if rng.random() < 0.5 else (1.25, 0.2)
    views = views_around(
        palm + 0.025 * hand.along.numpy(),
        rng,
        3,
        distance=(0.25, 0.6),
        focal=(0.9, 1.7),
        turn=(0.0, 0.5),
        rise=rise,
        off_centre=0.05,
        roll=0.8,
    )
    own = {each: notes if each == side else {} for each in hands}
    return Take(
        tuple(items),
        tuple(person.hand(posed, each, **own[each]) for each in hands),
        views,
        notes=notes,
    )


def _hidden_from_above(posed: Posed, side: str) -> float:
    """Share of the hand on `side` that has other parts of the body above it, 0..1.

    A folded arm brings its elbow over the hand.
    """
    hand = posed.hand_points(side).numpy()
    others = np.delete(posed.vertices().numpy(), hand_vertices(side, 0.1), axis=0)
    above = others[others[:, 2] > hand[:, 2].max() + _CLEAR]
    if not len(above):
        return 0.0
    return float((cKDTree(above[:, :2]).query(hand[:, :2])[0] < _CLOTH).mean())


def _scale(
    posed: Posed,
    side: str,
    palm_up: bool,
    table: float | None,
    notes: dict[str, object],
    rng: np.random.Generator,
) -> list[Item]:
    """Put a coin or a card on the palm or on the table beside the hand, or none."""
    kind = str(rng.choice(["coin", "card", "none"], p=[0.6, 0.2, 0.2]))
    hand = posed.hand(side)
    on_palm = palm_up and (table is None or rng.random() < 0.6)
    if kind == "none" or not (on_palm or table is not None):
        return []
    part: Part
    if kind == "coin":
        part, diameter = coin(rng)
        notes["coin_mm"] = diameter
    else:
        part = id_card(rng)
        notes["card_mm"] = [85.60, 53.98]
    low = float(part.mesh.vertices[:, 2].min())
    spin = turn(float(rng.uniform(0, 2 * np.pi)))
    if on_palm:
        spread = 0.006 if kind == "card" else 0.012
        place = hand.palm.numpy() + rng.normal(0, spread, 3)
        frame = _basis(hand.normal.numpy(), hand.along.numpy()) @ spin
        return [Item(lay(part, _palm_skin(posed, side), place, frame), {"object": 1.0})]
    assert table is not None
    points = posed.hand_points(side).numpy()
    for _ in range(20):
        place = hand.palm.numpy()[:2] + rng.uniform(-0.14, 0.14, 2)
        away = np.linalg.norm(points[:, :2] - place, axis=1).min()
        if away > (0.052 if kind == "card" else 0.02):
            return [Item(part.moved(spin, np.array([*place, table - low])), {"object": 1.0})]
    for name in ("coin_mm", "card_mm"):
        notes.pop(name, None)
    return []


def _basis(normal: np.ndarray, along: np.ndarray) -> np.ndarray:
    """(3, 3) rotation whose z axis is `normal` and whose y axis is as near `along` as possible."""
    y = along - normal * (along @ normal)
    y /= np.linalg.norm(y)
    return np.stack([np.cross(y, normal), y, normal], 1)


def _palm_skin(posed: Posed, side: str) -> np.ndarray:
    """(N, 3) points all over the skin: vertices alone lie up to a coin's radius apart."""
    shape = topology()
    own = shape.weight_of("metacarpal", "finger", "wrist", side=side) > 0.5
    triangles = posed.vertices().numpy()[shape.faces[own[shape.faces].any(1)]]
    steps = np.linspace(0, 1, _STEPS + 1)
    shares = [(one, two, 1 - one - two) for one in steps for two in steps if one + two < 1 + 1e-9]
    return np.einsum("sk,fkx->sfx", np.array(shares), triangles).reshape(-1, 3)
