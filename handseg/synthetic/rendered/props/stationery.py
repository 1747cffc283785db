"""Pens, brushes, cards, books and paper."""

from __future__ import annotations

import numpy as np

from handseg.synthetic.rendered.meshes import grid, lathe, merge, rounded_box, tube
from handseg.synthetic.rendered.props import faces, materials, textures
from handseg.synthetic.rendered.props.prop import (
    FACE_FRONT,
    FACE_UP,
    ON_SIDE,
    Prop,
    assemble,
)
from handseg.synthetic.rendered.props.shapes import extruded, rounded_rectangle, turned
from handseg.synthetic.rendered.scene import Material, Mesh, Part
from handseg.synthetic.rendered.solids import Box, Placed, Revolved, Solid, Union, shifted


def at(mesh: Mesh, x: float = 0.0, y: float = 0.0, z: float = 0.0) -> Mesh:
    """Shift the mesh by (x, y, z) metres."""
    return mesh.moved(np.eye(3), np.array([x, y, z]))


def rod(profile: list[tuple[float, float]], radius: float = 0.0005, segments: int = 32) -> Mesh:
    """Closed solid of revolution about z from (radius, z) corners, rounded by `radius`, metres."""
    ends = [(0.0, profile[0][1]), *profile, (0.0, profile[-1][1])]
    return turned(ends, radius, segments)


def pen(rng: np.random.Generator) -> Prop:
    """A ball pen or fountain pen with a clip, its tip at -z."""
    radius, length = rng.uniform(0.0038, 0.0062), rng.uniform(0.13, 0.15)
    cone = rng.uniform(0.014, 0.026)
    body, trim = materials.plastic(rng), materials.metal(rng)
    grip = rng.uniform(0.03, 0.045)
    front = [(0.0007, 0.0), (0.001, 0.002), (0.6 * radius, 0.2 * cone), (radius, cone)]
    second = materials.rubber(rng) if rng.random() < 0.5 else body
    parts = [
        Part(rod([(radius, cone + grip), (radius, length)]), body),
        Part(rod([(radius, cone), (1.02 * radius, cone + grip)]), second),
        Part(rod(front), trim),
        Part(rod([(0.45 * radius, length), (0.45 * radius, length + 0.008)]), trim),
        Part(
            at(rounded_box((0.003, 0.0012, 0.04), 0.0005), 0, -radius - 0.001, length - 0.02), trim
        ),
    ]
    solid = Revolved(np.array([*front, (radius, length), (0.5 * radius, length + 0.008)]))
    return assemble("pen", parts, solid, ["tripod", "pinch", "power"], ON_SIDE, (0, 0, 0.035))


def pencil(rng: np.random.Generator) -> Prop:
    """A six-sided or round pencil, sharpened at -z, at times with an eraser."""
    radius, length = 0.0037, rng.uniform(0.09, 0.18)
    sides = 6 if rng.random() < 0.6 else 24
    lead: Material = Material((0.08, 0.08, 0.09), roughness=0.4)
    if rng.random() < 0.4:
        lead = materials.plastic(rng)
    paint = materials.plastic(rng) if rng.random() < 0.75 else materials.wood(rng)
    cone = np.array([(0.0, 0.004), (0.0009, 0.004), (radius, 0.02), (0.0, 0.02)])
    barrel = np.array([(0.0, 0.02), (radius, 0.02), (radius, length), (0.0, length)])
    parts = [
        Part(lathe(barrel, sides, smooth=False), paint),
        Part(lathe(cone, sides, smooth=False), Material((0.85, 0.68, 0.48))),
        Part(rod([(0.0002, 0.0), (0.0009, 0.0041)]), lead),
    ]
    end = length
    if rng.random() < 0.5:
        end = length + 0.018
        ferrule = rod([(radius, length - 0.001), (radius, length + 0.011)])
        parts.append(Part(ferrule, materials.metal(rng, (0.85, 0.75, 0.5))))
        tip = rod([(0.9 * radius, length + 0.011), (0.9 * radius, length + 0.018)], 0.0015)
        parts.append(Part(tip, materials.rubber(rng, (0.85, 0.5, 0.5))))
    solid = Revolved(np.array([(0.0003, 0), (radius, 0.02), (radius, end)]))
    return assemble("pencil", parts, solid, ["tripod", "pinch"], ON_SIDE, (0, 0, 0.035))


def marker(rng: np.random.Generator) -> Prop:
    """A felt pen or highlighter with or without its cap, its tip at -z."""
    radius, length = rng.uniform(0.0065, 0.0095), rng.uniform(0.11, 0.14)
    ink, body = materials.plastic(rng), materials.plastic(rng, (0.9, 0.9, 0.9))
    if rng.random() < 0.5:
        body = ink
    parts = [Part(rod([(radius, 0.022), (radius, length)], 0.001), body)]
    if rng.random() < 0.5:
        wrap = lathe(np.array([(0, 0.05), (radius, 0.05), (radius, 0.1), (0, 0.1)]) * [1.01, 1])
        parts.append(Part(wrap, materials.printed(rng, textures.label(rng))))
    if rng.random() < 0.5:
        parts.append(Part(rod([(0.9 * radius, -0.018), (1.12 * radius, 0.025)], 0.002), ink))
        outline = [(0.9 * radius, -0.018), (1.1 * radius, 0.025), (radius, length)]
    else:
        parts.append(Part(rod([(0.4 * radius, 0.008), (0.85 * radius, 0.0225)]), body))
        parts.append(Part(rod([(0.0008, 0.0), (0.3 * radius, 0.009)]), ink))
        outline = [(0.001, 0.0), (0.85 * radius, 0.02), (radius, 0.023), (radius, length)]
    solid = Revolved(np.array(outline))
    return assemble("marker", parts, solid, ["tripod", "power", "pinch"], ON_SIDE, (0, 0, 0.04))


def brush(rng: np.random.Generator) -> Prop:
    """An artist's, make-up or wall paint brush, its bristles at -z."""
    colors = [(0.25, 0.15, 0.08), (0.85, 0.78, 0.62), (0.1, 0.1, 0.1)]
    hair = materials.rubber(rng, colors[rng.integers(3)])
    steel = materials.metal(rng)
    look = materials.wood(rng) if rng.random() < 0.5 else materials.plastic(rng)
    if rng.random() < 0.35:
        width, thick, length = rng.uniform(0.03, 0.07), rng.uniform(0.01, 0.018), 0.12
        path = np.zeros((12, 3))
        path[:, 2] = np.linspace(0.09, 0.09 + length, 12)
        half = np.interp(np.linspace(0, 1, 12), [0, 0.2, 0.55, 1], [width / 2, 0.013, 0.009, 0.013])
        radii = np.stack([half, np.full(12, thick / 2)], -1)
        handle = tube(path, radii, 24, up=(0, 1, 0), power=2.5)
        parts = [
            Part(handle, look),
            Part(at(rounded_box((width + 0.002, thick + 0.002, 0.035), 0.002), z=0.07), steel),
            Part(at(rounded_box((width, thick, 0.055), 0.002), z=0.027), hair),
        ]
        head = shifted(Box((width / 2, thick / 2, 0.056)), 0, 0, 0.056)
        grip = shifted(Box((0.011, thick / 2, 0.07), 0.003), 0, 0, 0.147)
        solid: Solid = Union((head, grip))
        return assemble("brush", parts, solid, ["power", "pinch"], FACE_UP, (0, 0, 0.14))
    radius, length = rng.uniform(0.002, 0.006), rng.uniform(0.12, 0.19)
    tip = [(0.0005, 0.0), (radius, 0.012), (radius, 0.025)]
    parts = [
        Part(rod([(radius, 0.04), (1.4 * radius, 0.06), (0.5 * radius, length)], 0.002), look),
        Part(rod([(1.05 * radius, 0.02), (1.05 * radius, 0.045)]), steel),
        Part(rod(tip, 0.003), hair),
    ]
    solid = Revolved(np.array([*tip, (1.4 * radius, 0.06), (0.5 * radius, length)]))
    return assemble("brush", parts, solid, ["tripod", "pinch"], ON_SIDE, (0, 0, 0.05))


def faced(outline: np.ndarray, thickness: float, front: Material, back: Material) -> list[Part]:
    """A plate standing in x and z: the body looks like the back, the front is at -y; metres."""
    body = extruded(outline, thickness, 0.0002).moved(FACE_FRONT)
    skin = at(extruded(outline, 0.00004, 0.00001), z=thickness / 2).moved(FACE_FRONT)
    return [Part(body, back), Part(skin, front)]


def card(rng: np.random.Generator) -> Prop:
    """A playing, bank or identity card, upright."""
    kind = rng.choice(["playing", "bank", "id"])
    if kind == "playing":
        width, height, thickness = 0.063, 0.088, 0.0003
        pictures = faces.playing_card(rng), faces.card_back(rng)
    else:
        width, height, thickness = 0.05398, 0.0856, 0.00076
        draw = faces.bank_card if kind == "bank" else faces.id_card
        pictures = np.rot90(draw(rng)).copy(), np.rot90(faces.bank_card(rng)).copy()
    outline = rounded_rectangle(width, height, 0.0032)
    front, back = (materials.printed(rng, picture) for picture in pictures)
    parts = faced(outline, thickness, front, back)
    box = Box((width / 2, thickness / 2 + 0.0001, height / 2))
    return assemble("card", parts, box, ["pinch", "flat"], FACE_UP, (0, 0, -0.3 * height))


def book(rng: np.random.Generator) -> Prop:
    """A closed book, paperback or hardcover, its spine at -x."""
    width, height = rng.uniform(0.105, 0.17), rng.uniform(0.165, 0.24)
    thickness, lid = rng.uniform(0.008, 0.035), rng.choice([0.0006, 0.0025])
    reach = 0.004 if lid > 0.001 else 0.0
    art = materials.printed(rng, textures.cover(rng))
    side = rounded_box((width, lid, height), 0.0006, 2)
    spine = rounded_box((lid, thickness, height), 0.0006, 2)
    shift = (thickness - lid) / 2
    covers = [at(side, y=-shift), at(side, y=shift), at(spine, x=-(width - lid) / 2)]
    paper = rounded_box((width - reach, thickness - 2 * lid, height - 2 * reach), 0.0003, 1)
    pages = Material((0.88, 0.84, 0.74), roughness=0.9, bump=0.0002, bump_scale=0.0006)
    parts = [Part(merge(covers), art), Part(at(paper, x=-reach / 2), pages)]
    box = Box((width / 2, thickness / 2, height / 2))
    grips = ["flat", "palm", "pinch"] if thickness < 0.02 else ["flat", "palm"]
    return assemble("book", parts, box, grips, FACE_UP, (0.3 * width, 0, -0.2 * height))


def notebook(rng: np.random.Generator) -> Prop:
    """A spiral notebook, closed or turned to a page, its spiral at the top."""
    width, height = rng.uniform(0.075, 0.16), rng.uniform(0.11, 0.22)
    thickness = rng.uniform(0.005, 0.014)
    cover = materials.printed(rng, textures.cover(rng))
    sheet = cover if rng.random() < 0.6 else materials.printed(rng, textures.page(rng), False)
    outline = rounded_rectangle(width, height, 0.004)
    paper = extruded(outline, thickness - 0.002).moved(FACE_FRONT)
    lid = extruded(outline, 0.001).moved(FACE_FRONT)
    angle = np.linspace(0, 2 * np.pi, 16, endpoint=False)
    radius = thickness / 2 + 0.002
    loop = radius * np.stack([0 * angle, np.cos(angle), np.sin(angle)], -1)
    wire = tube(loop, 0.0006, 6, closed=True, up=(1, 0, 0))
    turns = np.arange(-width / 2 + 0.008, width / 2 - 0.006, 0.007)
    spiral = merge([at(wire, x=x, z=height / 2 - 0.002) for x in turns])
    parts = [
        Part(at(lid, y=-(thickness - 0.001) / 2), sheet),
        Part(at(lid, y=(thickness - 0.001) / 2), cover),
        Part(paper, Material((0.93, 0.92, 0.88), roughness=0.9)),
        Part(spiral, materials.metal(rng)),
    ]
    rings = shifted(Box((width / 2, radius + 0.001, radius + 0.001)), 0, 0, height / 2 - 0.002)
    box = Union((Box((width / 2, thickness / 2, height / 2)), rings))
    hold = (0.2 * width, 0, -0.25 * height)
    return assemble("notebook", parts, box, ["flat", "pinch", "palm"], FACE_UP, hold)


def paper(rng: np.random.Generator) -> Prop:
    """A sheet of paper, note or receipt, slightly curled about z; an open surface."""
    sizes = [(0.21, 0.297), (0.148, 0.21), (0.216, 0.279), (0.08, 0.16), (0.076, 0.076)]
    width, height = sizes[rng.integers(len(sizes))]
    curl, n = rng.uniform(0.02, 0.7), 24
    bend = np.linspace(-1, 1, n)
    heights = 0.0015 * np.sin(rng.uniform(1, 4) * bend + rng.uniform(0, 6))[:, None]
    sheet = grid(width, height, n, np.repeat(heights, n, 1), -curl)
    look = materials.printed(rng, textures.page(rng), gloss=False)
    parts = [Part(sheet.moved(FACE_FRONT), look)]
    strips = []
    for k in range(6):
        turn = curl * ((k + 0.5) / 6 - 0.5)
        cos, sin = np.cos(turn), np.sin(turn)
        bent = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])
        place = width / curl * np.array([sin, 1 - cos, 0])
        strips.append(Placed(Box((width / 11, 0.001, height / 2)), bent, place))
    turn = 0.3 * curl
    hold = (width / curl * np.sin(turn), width / curl * (1 - np.cos(turn)), -0.3 * height)
    return assemble("paper", parts, Union(tuple(strips)), ["pinch", "flat"], FACE_UP, hold)
