"""Fruit and balls."""

from __future__ import annotations

import numpy as np

from handseg.synthetic.rendered.meshes import ellipsoid, lathe, tube
from handseg.synthetic.rendered.props import faces, materials, textures
from handseg.synthetic.rendered.props.prop import ON_SIDE, Prop, assemble
from handseg.synthetic.rendered.props.shapes import extruded, smooth_path
from handseg.synthetic.rendered.scene import Material, Mesh, Part
from handseg.synthetic.rendered.solids import (
    Capsule,
    Ellipsoid,
    Placed,
    Revolved,
    Solid,
    Union,
    shifted,
)

_ROUND = {
    "apple": (0.034, 0.044),
    "orange": (0.034, 0.046),
    "lemon": (0.024, 0.031),
    "pear": (0.030, 0.040),
    "tomato": (0.026, 0.042),
    "peach": (0.030, 0.040),
    "potato": (0.025, 0.038),
}
"""Range of radii, metres."""


def _outline(kind: str, radius: float) -> np.ndarray:
    """(N, 2) profile from the lower to the upper pole, metres."""
    angle = np.linspace(-np.pi / 2, np.pi / 2, 33)
    r, z = np.cos(angle), np.sin(angle)
    if kind in ("apple", "tomato", "peach"):
        depth = {"apple": 0.35, "tomato": 0.18, "peach": 0.15}[kind]
        z = z * (0.9 if kind != "tomato" else 0.8) - depth * np.sign(z) * np.exp(-((r / 0.3) ** 2))
        z = np.where(angle < 0, z + 0.1 * np.exp(-((r / 0.3) ** 2)), z)
    elif kind == "lemon":
        z = 1.25 * z + 0.22 * np.sign(z) * np.exp(-((r / 0.22) ** 2))
    elif kind == "pear":
        upper = np.clip(z, 0, None)
        r = r * (1 - 0.5 * upper**1.2 * (1.5 - upper))
        z = np.where(z > 0, 1.75 * z, z)
    r[[0, -1]] = 0
    return radius * np.stack([r, z], -1)


def _banana(rng: np.random.Generator, skin: Material) -> Prop:
    length, radius, bend = rng.uniform(0.15, 0.2), rng.uniform(0.015, 0.019), rng.uniform(0.9, 1.5)
    turn = np.linspace(-bend / 2, bend / 2, 28)
    arc = length / bend
    path = np.stack([arc * (np.cos(turn) - 1), 0 * turn, arc * np.sin(turn)], -1)
    radii = radius * np.interp(
        np.linspace(0, 1, 28), [0, 0.08, 0.25, 0.75, 0.9, 1], [0.3, 0.7, 1, 1, 0.5, 0.28]
    )
    body = tube(path, radii, 20, up=(0, 1, 0), power=2.3)
    pieces = []
    for k in range(5):
        angle = bend * ((k + 0.5) / 5 - 0.5)
        cos, sin = np.cos(angle), np.sin(angle)
        rotation = np.array([[cos, 0, -sin], [0, 1, 0], [sin, 0, cos]])
        place = np.array([arc * (cos - 1), 0, arc * sin])
        width = radius if 0 < k < 4 else 0.8 * radius
        pieces.append(Placed(Capsule(width, length / 11), rotation, place))
    grips = ["power", "pinch"]
    return assemble("fruit", [Part(body, skin)], Union(tuple(pieces)), grips, ON_SIDE)


def fruit(rng: np.random.Generator) -> Prop:
    """An apple, orange, banana, lemon, pear, tomato, peach or potato."""
    kind = str(rng.choice(list(faces.FRUITS)))
    grain = 0.0004 if kind in ("orange", "lemon", "potato") else 0.0
    gloss = float(rng.uniform(0.25, 0.6))
    skin = Material(
        texture=faces.fruit_skin(rng, kind), roughness=gloss, bump=grain, bump_scale=0.002
    )
    if kind == "banana":
        return _banana(rng, skin)
    radius = rng.uniform(*_ROUND[kind])
    if kind == "potato":
        radii = (radius, radius * rng.uniform(0.8, 1), radius * rng.uniform(1.1, 1.6))
        body = ellipsoid(radii)
        lumps = 1 + 0.025 * np.sin(body.vertices @ rng.normal(0, 1.2 / radius, (3, 3))).sum(1)
        body = Mesh((body.vertices * lumps[:, None]).astype(np.float32), body.faces, body.uv)
        return assemble("fruit", [Part(body, skin)], Ellipsoid(radii), ["power", "palm"], ON_SIDE)
    outline = _outline(kind, radius)
    body = lathe(outline, 40)
    around = np.arctan2(body.vertices[:, 1], body.vertices[:, 0])
    lobes = 0.015 * np.cos(5 * around) * (kind in ("apple", "tomato"))
    squeeze = np.stack([1 + lobes, 1 + lobes, 0 * lobes + 1], -1)
    body = Mesh((body.vertices * squeeze).astype(np.float32), body.faces, body.uv)
    parts = [Part(body, skin)]
    if kind in ("apple", "pear", "tomato"):
        top = outline[-1, 1]
        lean = rng.uniform(-0.004, 0.004)
        stalk = smooth_path(
            [(0, 0, top - 0.003), (lean / 3, 0, top + 0.008), (lean, 0, top + 0.016)], 8
        )
        if kind == "tomato":
            turn = np.linspace(0, 2 * np.pi, 10, endpoint=False)
            reach = np.where(np.arange(10) % 2, 0.1, 0.5) * radius
            star = extruded(np.stack([reach * np.cos(turn), reach * np.sin(turn)], -1), 0.0008)
            sag = np.linalg.norm(star.vertices[:, :2], axis=1) - 0.28 * radius
            lift = outline[outline[:, 1].argmax(), 1] + 0.001 - 12 * np.clip(sag, 0, None) ** 2
            leaves = star.vertices + np.outer(lift, [0, 0, 1]).astype(np.float32)
            leaf = Material((0.2, 0.36, 0.1), roughness=0.8)
            parts.append(Part(Mesh(leaves, star.faces, star.uv), leaf))
        green = (0.25, 0.35, 0.12) if kind == "tomato" else (0.28, 0.18, 0.1)
        parts.append(Part(tube(stalk, 0.0013, 8), Material(green, roughness=0.8)))
    solid: Solid = Revolved(outline[1:-1:2])
    if len(parts) > 1:
        stem = shifted(Capsule(0.002, 0.01), 0, 0, outline[-1, 1] + 0.006)
        solid = Union((solid, stem))
    return assemble("fruit", parts, solid, ["power", "palm", "pinch"])


def ball(rng: np.random.Generator) -> Prop:
    """A ball: plain, printed, fluffy like a tennis ball, or wooden; radius 15 to 60 mm."""
    radius = rng.choice(
        [rng.uniform(0.015, 0.025), rng.uniform(0.03, 0.04), rng.uniform(0.04, 0.06)]
    )
    kind = rng.choice(["plain", "printed", "tennis", "wood"], p=[0.35, 0.25, 0.25, 0.15])
    body = ellipsoid((radius,) * 3, 48, 32)
    parts = []
    if kind == "tennis":
        yellow = Material((0.78, 0.86, 0.2), roughness=0.95, bump=0.0008, bump_scale=0.001)
        t = np.linspace(0, 2 * np.pi, 96, endpoint=False)
        curve = np.stack(
            [
                0.72 * np.cos(t) + 0.28 * np.cos(3 * t),
                0.72 * np.sin(t) - 0.28 * np.sin(3 * t),
                0.9 * np.sin(2 * t),
            ],
            -1,
        )
        curve *= radius / np.linalg.norm(curve, axis=1, keepdims=True)
        seam = tube(curve, 0.0012, 8, closed=True)
        parts = [Part(body, yellow), Part(seam, materials.plastic(rng, (0.93, 0.93, 0.9)))]
    elif kind == "printed":
        parts = [Part(body, materials.printed(rng, textures.picture(rng)))]
    else:
        parts = [Part(body, materials.wood(rng) if kind == "wood" else materials.rubber(rng))]
    solid = Ellipsoid((radius,) * 3)
    grips = ["power", "palm", "pinch"] if radius < 0.05 else ["palm", "power"]
    return assemble("ball", parts, solid, grips)
