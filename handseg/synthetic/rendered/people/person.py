"""A dressed person, from drawing a body to the items that are rendered."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from scipy.spatial import cKDTree

from handseg.synthetic.rendered.body.bodies import (
    HAND_BONES,
    Body,
    draw_phenotype,
    make_body,
    topology,
)
from handseg.synthetic.rendered.body.hands import Capsules, draw_shape
from handseg.synthetic.rendered.body.posing import Figure, Posed, Surface, start
from handseg.synthetic.rendered.meshes import vertex_normals
from handseg.synthetic.rendered.people.looks import Look, draw_look, skin_look, wardrobe
from handseg.synthetic.rendered.people.wardrobe import BodyShape
from handseg.synthetic.rendered.scene import Material, Mesh, Part
from handseg.synthetic.rendered.take import HandTruth, Item

_HIDDEN_BY = 0.012
"""Metres by which skin under clothes is shrunk, so that it does not poke through."""


@dataclass(eq=False)
class Person:
    """A person on the stage.

    Attributes:
        number: index among a take's people. figure: the body about to be posed. look: the rest.
        seed: seed of the details painted on the skin.
    """

    number: int
    figure: Figure
    look: Look
    seed: int

    @property
    def body(self) -> Body:
        """The body at rest."""
        return self.figure.body

    def shape_hand(self, side: str, name: str, rng: np.random.Generator) -> None:
        """Give the hand on `side` a shape of the library."""
        self.figure.values |= draw_shape(name, side, rng)

    def bend(self, bone: str, angles: np.ndarray) -> None:
        """Turn a bone of spine, neck or head by (3,) radians about its own x, y and z."""
        self.figure.fixed[topology().index(bone)] = torch.as_tensor(angles, dtype=torch.float32)

    def place(self, position: np.ndarray, turn: float = 0.0) -> None:
        """Put the body's root at `position` (3,) metres, turned by `turn` radians about z."""
        cos, sin = np.cos(turn), np.sin(turn)
        placement = np.eye(4)
        placement[:3, :3] = [[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]]
        placement[:3, 3] = position
        self.figure.placement = torch.tensor(placement, dtype=torch.float32)

    def start(self) -> Posed:
        """Pose the person before any fit."""
        return start(self.figure)

    def surfaces(self) -> tuple[Surface, Surface]:
        """Surfaces of head with neck, and of the trunk, before the arms move."""
        posed = self.start()
        return (
            Surface.of(posed, "head", "neck"),
            Surface.of(posed, "spine", "clavicle", "pelvis", "upperleg"),
        )

    def items(self, posed: Posed, hands: dict[str, int]) -> list[Item]:
        """Make the items that render the person.

        Args:
            posed: the pose.
            hands: number of the hand in the take, by side ("L", "R").
        """
        closet, shape = wardrobe(), topology()
        vertices = posed.vertices().detach().numpy().astype(np.float32)
        moves = (posed.bones @ self.body.inverse).detach().numpy().astype(np.float32)
        rest = self.body.vertices.numpy()
        fitted = BodyShape(rest, vertices, moves)
        clothes, hidden = self._clothes(fitted)
        shrunk = vertices - _HIDDEN_BY * hidden[:, None] * vertex_normals(vertices, shape.faces)
        drawn = ~closet.eye_faces()
        rng = np.random.default_rng(self.seed)
        skin = Item(
            Part(
                Mesh(shrunk.astype(np.float32), shape.faces[drawn], shape.uv[drawn]),
                Material(
                    texture=closet.skin_file(self.look.skin),
                    roughness=self.look.roughness,
                    bump=self.look.bump,
                    bump_scale=self.look.bump_scale,
                ),
            ),
            _skin_labels(hands),
            skin_look(self.look, self.body, rng),
        )
        found = [skin, Item(closet.eyes(self.look.eyes, fitted), {"face": 1.0})]
        found += [Item(part) for part in clothes]
        brows = closet.dress(self.look.brows, fitted, self.look.hair_color)
        found.append(Item(brows, {"face": 1.0}))
        if self.look.hair is not None:
            found.append(Item(closet.dress(self.look.hair, fitted, self.look.hair_color)))
        if self.look.gloves:
            for side in hands:
                name: Literal["left", "right"] = "left" if side == "L" else "right"
                mesh = closet.shell(fitted, closet.glove(name), 0.0025, loose=2, folds=0.001)
                nearest = cKDTree(vertices).query(mesh.vertices)[1]  # The wrist cuts its cuff.
                labels = {f"hand{hands[side]}": 1.0, "core": _core()[nearest]}
                found.append(Item(Part(mesh, self.look.glove), labels))
        return found

    def _clothes(self, fitted: BodyShape) -> tuple[list[Part], np.ndarray]:
        """Make the clothes' parts, and (V,) bool: the body vertices that they cover."""
        closet, look = wardrobe(), self.look
        if look.suit is not None:
            return [closet.dress(look.suit, fitted, look.suit_color)], closet.covered(look.suit)
        top = closet.top(look.sleeves, neck=look.neck)
        legs = closet.trousers()
        parts = [
            Part(closet.shell(fitted, top, 0.008, seed=self.seed), look.fabric),
            Part(closet.shell(fitted, legs, 0.004, folds=0.001, seed=self.seed), look.trousers),
        ]
        return parts, (top > 0.02) | (legs > 0.02)

    def hand(self, posed: Posed, side: str, **notes: object) -> HandTruth:
        """The truth of the hand on `side`."""
        frame = posed.hand(side)
        radii = Capsules.of(self.body).radii.numpy()
        around = np.concatenate([radii[:1], np.repeat(0, 20)])
        around[1:5] = [*radii[4:7], radii[6]]
        for finger in range(4):
            own = radii[7 + 3 * finger : 10 + 3 * finger]
            around[5 + 4 * finger : 9 + 4 * finger] = [max(own[0], radii[0]), *own[1:], own[2]]
        known = {"gloved": self.look.gloves, "skin_tone": round(self.look.tone, 2), **notes}
        name = "left" if side == "L" else "right"
        landmarks = frame.landmarks.detach().numpy()
        return HandTruth(name, self.number, landmarks, around, self.look.albedo, known)


def _core() -> np.ndarray:
    """(V,) the label "core" of the skin: above 0 on fingers and palm."""
    return topology().weight_of("metacarpal", "finger") - 0.6


def _skin_labels(hands: dict[str, int]) -> dict[str, float | np.ndarray]:
    weight = topology().weight_of
    labels: dict[str, float | np.ndarray] = {}
    limbs = np.zeros(len(weight("head")), np.float32)
    for side, number in hands.items():
        limb = weight(*HAND_BONES, "lowerarm02", side=side)
        labels[f"hand{number}"] = limb - 0.5
        limbs = np.maximum(limbs, limb)
    labels["core"] = _core()
    arms = weight("upperarm", "lowerarm", "shoulder", *HAND_BONES)
    labels["arm"] = np.minimum(arms - 0.5, 0.5 - limbs)
    head = weight("head", "neck", "eye")
    labels["face"] = head - 0.5
    labels["skin"] = 0.5 - np.maximum(head, arms)
    return labels


def draw_person(
    number: int, rng: np.random.Generator, skins: tuple[str, ...] = (), gloves: bool = True
) -> Person:
    """Draw a person with a body and a look; see `draw_phenotype` and `draw_look`."""
    phenotype = draw_phenotype(rng)
    look = draw_look(phenotype["gender"] > 0.5, rng, skins)
    if not gloves:
        look = replace(look, gloves=False)
    person = Person(number, Figure(make_body(phenotype)), look, int(rng.integers(2**31)))
    for bone, spread in (("spine01", 0.06), ("spine03", 0.06), ("neck01", 0.1), ("head", 0.14)):
        person.bend(bone, rng.normal(0, spread, 3))
    return person
