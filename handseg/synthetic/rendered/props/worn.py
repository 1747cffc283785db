"""Coins and cards for scale, and jewellery, watches and glasses to wear."""

from __future__ import annotations

import cv2
import numpy as np

from handseg.synthetic.rendered.meshes import ellipsoid, merge, rounded_box, tube
from handseg.synthetic.rendered.props import faces, materials, textures
from handseg.synthetic.rendered.props.prop import FACE_FRONT
from handseg.synthetic.rendered.props.shapes import (
    extruded,
    rounded_rectangle,
    smooth_path,
    turned,
)
from handseg.synthetic.rendered.scene import Material, Mesh, Part

_COPPER, _GOLD, _SILVER = (196, 122, 84), (212, 178, 104), (202, 200, 196)

COINS: dict[str, tuple[float, float, tuple[int, int, int], tuple[int, int, int] | None, str]] = {
    "EUR 0.01": (16.25, 1.67, _COPPER, None, "1"),
    "EUR 0.02": (18.75, 1.67, _COPPER, None, "2"),
    "EUR 0.05": (21.25, 1.67, _COPPER, None, "5"),
    "EUR 0.10": (19.75, 1.93, _GOLD, None, "10"),
    "EUR 0.20": (22.25, 2.14, _GOLD, None, "20"),
    "EUR 0.50": (24.25, 2.38, _GOLD, None, "50"),
    "EUR 1": (23.25, 2.33, _GOLD, _SILVER, "1"),
    "EUR 2": (25.75, 2.20, _SILVER, _GOLD, "2"),
    "USD 0.01": (19.05, 1.52, _COPPER, None, ""),
    "USD 0.05": (21.21, 1.95, _SILVER, None, ""),
    "USD 0.10": (17.91, 1.35, _SILVER, None, ""),
    "USD 0.25": (24.26, 1.75, _SILVER, None, ""),
    "CAD 0.25": (23.88, 1.58, _SILVER, None, ""),
    "GBP 0.01": (20.30, 1.65, _COPPER, None, "1"),
    "GBP 0.02": (25.90, 2.03, _COPPER, None, "2"),
    "GBP 0.10": (24.50, 1.85, _SILVER, None, "10"),
    "GBP 2": (28.40, 2.50, _GOLD, _SILVER, "2"),
    "CHF 1": (23.20, 1.55, _SILVER, None, "1"),
    "CHF 5": (31.45, 2.35, _SILVER, None, "5"),
    "JPY 100": (22.60, 1.70, _SILVER, None, "100"),
    "INR 10": (27.00, 1.77, _GOLD, _SILVER, "10"),
    "CNY 1": (25.00, 1.85, _SILVER, None, "1"),
}
"""Diameter and thickness in mm, colours of rim and core (None if the same), figure shown."""


def coin(rng: np.random.Generator) -> tuple[Part, float]:
    """A coin and its diameter in mm; its axis is z, its centre the origin."""
    diameter, thickness, outer, core, figure = COINS[str(rng.choice(list(COINS)))]
    radius, half, edge = diameter / 2000, thickness / 2000, 0.0009
    profile = [(radius - edge - 2e-4, -half + 2e-4), (radius - edge, -half), (radius, -half)]
    profile += [(r, -z) for r, z in profile[::-1]]
    ends = [(0.0, -half + 2e-4), *profile, (0.0, half - 2e-4)]
    mesh = turned(ends, 0.00025, 64)
    colors = textures.canvas(256, 256, outer)
    if core is not None:
        cv2.circle(colors, (128, 128), 90, core, -1, cv2.LINE_AA)
    face = textures.relief(
        rng, colors * rng.uniform(0.75, 1.0), figure if rng.random() < 0.6 else ""
    )
    corners = mesh.vertices[mesh.faces]
    uv = np.clip(corners[..., :2] / (2 * radius) + 0.5, 0, 1).astype(np.float32)
    below = corners[..., 2].mean(1) < 0
    uv[below, :, 0] = 1 - uv[below, :, 0]
    mesh = Mesh(mesh.vertices, mesh.faces, uv)
    return Part(
        mesh, Material(texture=face, metallic=1.0, roughness=rng.uniform(0.2, 0.45))
    ), diameter


def id_card(rng: np.random.Generator) -> Part:
    """An ID-1 card, 85.60 x 53.98 x 0.76 mm: long side along x, face at +z, about the origin."""
    mesh = extruded(rounded_rectangle(0.0856, 0.05398, 0.00318), 0.00076, 0.00015)
    draw = faces.bank_card if rng.random() < 0.5 else faces.id_card
    return Part(mesh, materials.printed(rng, draw(rng)))


def _band(radii: tuple[float, float], half: tuple[float, float], power: float = 2.5) -> Mesh:
    """Band around z of inner half widths in x and y, half thickness and half height, metres."""
    turn = np.linspace(0, 2 * np.pi, 72, endpoint=False)
    out = np.array(radii) + half[0]
    path = np.stack([out[0] * np.cos(turn), out[1] * np.sin(turn), 0 * turn], -1)
    return tube(path, np.repeat([half], 72, 0), 16, closed=True, power=power)


def ring(inner_radius: float, rng: np.random.Generator) -> tuple[Part, ...]:
    """A finger ring around z, its signet or stone towards -y; metres."""
    kind = rng.choice(["band", "signet", "stone"], p=[0.5, 0.2, 0.3])
    half = (rng.uniform(0.0006, 0.0011), rng.uniform(0.001, 0.0035 if kind == "band" else 0.0016))
    gold = materials.metal(rng, [(0.9, 0.72, 0.36), (0.85, 0.84, 0.82)][rng.integers(2)])
    parts = [Part(_band((inner_radius, inner_radius), half), gold)]
    front = np.array([0, -inner_radius - 2 * half[0], 0])
    if kind == "signet":
        turn = np.linspace(0, 2 * np.pi, 40, endpoint=False)
        outline = np.stack([0.0055 * np.cos(turn), 0.0065 * np.sin(turn)], -1)
        parts.append(Part(extruded(outline, 0.0018, 0.0005).moved(FACE_FRONT, front), gold))
    elif kind == "stone":
        size = rng.uniform(0.0018, 0.004)
        setting = turned(
            [(0.0, -size / 2), (size / 2, -size / 2), (0.9 * size, 0), (0.0, 0)], 2e-4, 24
        )
        color = materials.any_color(rng)
        gem = Material(color, roughness=0.05, transmission=float(rng.random() < 0.6))
        stone = ellipsoid((size, size, 0.7 * size), 12, 6).moved(
            FACE_FRONT, front - np.array([0, 0.3 * size, 0])
        )
        parts.append(Part(setting.moved(FACE_FRONT, front), gold))
        parts.append(Part(Mesh(stone.vertices, stone.faces, stone.uv, smooth=False), gem))
    return tuple(parts)


def bracelet(radii: tuple[float, float], rng: np.random.Generator) -> tuple[Part, ...]:
    """A bangle, cord, bead string or chain around z, on a wrist of half widths in x and y, m."""
    kind = rng.choice(["bangle", "cord", "beads", "chain"])
    if kind == "bangle":
        half = (rng.uniform(0.0008, 0.002), rng.uniform(0.002, 0.007))
        return (Part(_band((radii[0] + 0.003, radii[1] + 0.003), half), materials.metal(rng)),)
    if kind == "cord":
        half = (0.0012, rng.uniform(0.0015, 0.006))
        draw = rng.random()
        look = materials.skin_like(rng) if draw < 0.4 else materials.rubber(rng)
        return (Part(_band(radii, half), look),)
    size = rng.uniform(0.003, 0.0055) if kind == "beads" else rng.uniform(0.003, 0.005)
    step = 2 * size if kind == "beads" else 2.2 * size
    count = int(np.pi * (sum(radii) + 2 * size) / step)
    meshes = []
    angle = np.linspace(0, 2 * np.pi, 20, endpoint=False)
    link = np.stack([1.45 * size * np.cos(angle), 0.9 * size * np.sin(angle), 0 * angle], -1)
    bead, loop = ellipsoid((size, size, size), 14, 10), tube(link, 0.25 * size, 8, closed=True)
    for k in range(count):
        turn = 2 * np.pi * k / count
        cos, sin = np.cos(turn), np.sin(turn)
        place = np.array([(radii[0] + size) * cos, (radii[1] + size) * sin, 0])
        ahead, out, up = np.array([-sin, cos, 0]), np.array([cos, sin, 0]), np.array([0, 0, 1.0])
        lean = (up + out) if k % 2 else (up - out)
        lean = lean / np.sqrt(2)
        frame = np.stack([ahead, np.cross(lean, ahead), lean], 1)
        meshes.append((bead if kind == "beads" else loop).moved(frame, place))
    look = materials.metal(rng)
    if kind == "beads":
        look = materials.wood(rng) if rng.random() < 0.4 else materials.plastic(rng)
    return (Part(merge(meshes), look),)


def watch(radii: tuple[float, float], rng: np.random.Generator) -> tuple[Part, ...]:
    """A wrist watch around z, its dial towards -y and its 12 towards +z.

    `radii` are the wrist's half widths in x and y, metres.
    """
    size, thick = rng.uniform(0.014, 0.022), rng.uniform(0.006, 0.011)
    strap = [materials.skin_like, materials.rubber, materials.metal][rng.integers(3)](rng)
    band = _band(radii, (0.0013, size * rng.uniform(0.45, 0.6)), 5)
    case, dial = materials.metal(rng), Material(texture=faces.dial(rng), roughness=0.15)
    if rng.random() < 0.35:
        body = extruded(rounded_rectangle(1.7 * size, 2 * size, 0.4 * size), thick, 0.002)
        face = extruded(rounded_rectangle(1.5 * size, 1.8 * size, 0.3 * size), 0.0008, 0.0002)
    else:
        turn = np.linspace(0, 2 * np.pi, 64, endpoint=False)
        circle = np.stack([np.cos(turn), np.sin(turn)], -1)
        body, face = (
            extruded(size * circle, thick, 0.0018),
            extruded(0.86 * size * circle, 8e-4, 2e-4),
        )
    centre = np.array([0, -radii[1] - thick / 2 + 0.0005, 0])
    crown = rounded_box((0.004, 0.003, 0.004), 0.001).moved(
        np.eye(3), centre + np.array([size + 0.001, 0, 0])
    )
    glass = face.moved(FACE_FRONT, centre - [0, thick / 2, 0])
    return (
        Part(band, strap),
        Part(body.moved(FACE_FRONT, centre), case),
        Part(glass, dial),
        Part(crown, case),
    )


def glasses(rng: np.random.Generator, width: float = 0.138) -> tuple[Part, ...]:
    """Glasses of a given width, metres; the bridge of the nose is at the origin.

    x runs to the wearer's left, y backwards to the ears, z up.
    """
    high, across = rng.uniform(0.030, 0.046), 0.5 * width - rng.uniform(0.010, 0.013) - 0.004
    power, wire = rng.uniform(2, 4), rng.uniform(0.0008, 0.0028)
    turn = np.linspace(0, 2 * np.pi, 56, endpoint=False)
    cos, sin = (np.sign(v) * np.abs(v) ** (2 / power) for v in (np.cos(turn), np.sin(turn)))
    outline = np.stack([across / 2 * cos, high / 2 * sin], -1)
    middle = np.array([0.5 * width - 0.004 - across / 2, 0, -0.35 * high])
    upright = np.diag([1.0, 1.0, 1.0])[:, [0, 2, 1]] * [1, 1, -1]
    frame, panes = [], []
    for side in (1, -1):
        place = middle * [side, 1, 1]
        loop = (np.c_[outline, 0 * turn] @ upright.T) + place
        frame.append(
            tube(loop, np.array([[wire, 0.8 * wire + 0.0006]] * 56), 10, closed=True, up=(0, 1, 0))
        )
        panes.append(extruded(0.99 * outline, 0.0018, 0.0003).moved(upright, place))
        hinge = np.array([side * (width / 2 - 0.001), 0.003, 0.0])
        ear = [(0, 0, 0), (0, 0.05, 0.001), (0, 0.095, 0), (0, 0.12, -0.012), (0, 0.14, -0.036)]
        path = smooth_path([(p[0], p[1], p[2]) for p in np.array(ear) + hinge], 28)
        start = np.array([place[0] + side * (across / 2), 0, -0.003])
        corner = smooth_path(
            [tuple(start), tuple((start + hinge) / 2 - [0, 0.001, 0]), tuple(hinge)], 8
        )
        frame += [
            tube(path, np.array([[0.0011, 0.0012 + wire]] * 28), 10, up=(0, 0, 1)),
            tube(corner, wire + 0.0006, 10, up=(0, 0, 1)),
        ]
    inner = middle[0] - across / 2
    bridge = [(-inner, 0, -0.004), (0, -0.002, 0.001), (inner, 0, -0.004)]
    frame.append(tube(smooth_path([(float(a), b, c) for a, b, c in bridge], 12), wire + 0.0004, 10))
    look = materials.metal(rng) if wire < 0.0014 else materials.plastic(rng)
    shade = float(rng.choice([1.0, 0.98, 0.25, 0.1], p=[0.4, 0.35, 0.15, 0.1]))
    lens = Material((shade, shade, shade), roughness=0.02, transmission=1.0)
    return Part(merge(frame), look), Part(merge(panes), lens)
