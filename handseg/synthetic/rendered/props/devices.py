"""Phones, remote controls, mice, keyboards and glasses."""

from __future__ import annotations

import numpy as np

from handseg.synthetic.rendered.meshes import ellipsoid, merge, rounded_box, tube
from handseg.synthetic.rendered.props import faces, materials, textures, worn
from handseg.synthetic.rendered.props.prop import FACE_FRONT, FACE_UP, ON_SIDE, Prop, assemble
from handseg.synthetic.rendered.props.shapes import extruded, rounded_rectangle
from handseg.synthetic.rendered.props.stationery import at, rod
from handseg.synthetic.rendered.scene import Color, Material, Mesh, Part
from handseg.synthetic.rendered.solids import Box, Ellipsoid, Union, shifted


def _bytes(color: Color) -> textures.Rgb:
    return round(255 * color[0]), round(255 * color[1]), round(255 * color[2])


def phone(rng: np.random.Generator) -> Prop:
    """A phone, upright: screen at -y with random content, camera bump at +y."""
    width, height = rng.uniform(0.066, 0.079), rng.uniform(0.138, 0.166)
    thickness, radius = rng.uniform(0.0072, 0.0095), rng.uniform(0.007, 0.012)
    outline = rounded_rectangle(width, height, radius)
    edge = rng.uniform(0.002, 0.005)
    front = rounded_rectangle(width - 2 * edge, height - 2 * edge, radius - edge / 2)
    glass = Material(texture=textures.screen(rng), roughness=0.08)
    black = Material((0.02, 0.02, 0.02), roughness=0.1)
    case = materials.plastic(rng) if rng.random() < 0.6 else materials.metal(rng, (0.6, 0.6, 0.62))
    bump = extruded(rounded_rectangle(0.026, 0.03, 0.007), 0.002, 0.0006)
    lens = rod([(0.0052, -0.0006), (0.0052, 0.0016)], 0.0003)
    spots = [(0.005, 0.006), (0.005, -0.007), (-0.006, 0.0)][: int(rng.integers(1, 4))]
    back = merge([at(lens, x, y) for x, y in spots])
    corner = at(bump, width / 2 - 0.02, height / 2 - 0.022, -thickness / 2 - 0.0005)
    back = Mesh(back.vertices * np.array([1, -1, -1], np.float32), back.faces, back.uv)
    back = at(back, width / 2 - 0.02, height / 2 - 0.022, -thickness / 2 - 0.001)
    plates = [
        (extruded(outline, thickness, 0.0022), case),
        (at(extruded(front, 0.0004, 0.0001), z=thickness / 2), glass),
        (corner, case),
        (back, black),
    ]
    parts = [Part(mesh.moved(FACE_FRONT), material) for mesh, material in plates]
    box = Box((width / 2, thickness / 2, height / 2), 0.0022)
    hold = (0, 0, -0.15 * height)
    return assemble("phone", parts, box, ["power", "flat", "pinch"], FACE_UP, hold)


def remote(rng: np.random.Generator) -> Prop:
    """A remote control, upright, its buttons at -y."""
    width, height = rng.uniform(0.036, 0.052), rng.uniform(0.12, 0.21)
    thickness = rng.uniform(0.014, 0.024)
    shade = materials.plastic(rng, None if rng.random() < 0.3 else (0.05, 0.05, 0.06))
    body = rounded_box((width, thickness, height), 0.006)
    front = extruded(rounded_rectangle(width - 0.008, height - 0.012, 0.005), 0.0008, 0.0002)
    art = Material(texture=faces.buttons(rng, _bytes(shade.color)), roughness=0.5)
    plate = at(front, z=thickness / 2).moved(FACE_FRONT)
    keys = [
        at(rounded_box((0.006, 0.002, 0.004), 0.0008, 2), x * width, -thickness / 2, z * height)
        for x in (-0.25, 0.0, 0.25)
        for z in (-0.3, -0.36, -0.42)
    ]
    parts = [Part(body, shade), Part(plate, art), Part(merge(keys), materials.rubber(rng))]
    box = Box((width / 2, thickness / 2, height / 2), 0.006)
    return assemble(
        "remote", parts, box, ["power", "flat", "pinch"], FACE_UP, (0, 0, -0.1 * height)
    )


def mouse(rng: np.random.Generator) -> Prop:
    """A computer mouse, its buttons towards +z and its back at -y."""
    width, height = rng.uniform(0.055, 0.066), rng.uniform(0.095, 0.125)
    thick = rng.uniform(0.032, 0.042)
    shape = ellipsoid((width / 2, height / 2, thick), 40, 40)
    x, y, z = shape.vertices.T
    around = np.arctan2(y / height, x / width)
    broad = (np.abs(np.cos(around)) ** 3 + np.abs(np.sin(around)) ** 3) ** (-1 / 3)
    x, y = x * broad, y * broad
    high = np.sign(z) * np.abs(z / thick) ** 0.65 * thick * (1 - 0.25 * y / height)
    vertices = np.stack([x, y, np.clip(high, -0.12 * thick, None)], -1).astype(np.float32)
    body = Mesh(vertices, shape.faces, shape.uv).moved(FACE_FRONT)
    wheel = rod([(0.007, -0.004), (0.007, 0.004)], 0.001).moved(ON_SIDE)
    wheel = at(wheel, 0, -0.66 * thick, 0.27 * height)
    line = np.linspace(0.32, 0.9, 24) * np.pi / 2
    rise = -0.99 * thick * np.cos(line) ** 0.65
    path = np.stack([0 * line, rise, height / 2 * np.sin(line)], -1)
    path[:, 1] *= 1 - 0.25 * path[:, 2] / height
    dark = Material((0.03, 0.03, 0.03), roughness=0.6)
    parts = [
        Part(body, materials.plastic(rng)),
        Part(wheel, materials.rubber(rng)),
        Part(tube(path, 0.0006, 6), dark),
    ]
    dome = Ellipsoid((1.1 * width / 2, 1.12 * thick, 1.05 * height / 2))
    base = Box((0.46 * width, 0.35 * thick, 0.47 * height), 0.2 * width)
    solid = Union((dome, shifted(base, 0, -0.3 * thick, 0)))
    return assemble("mouse", parts, solid, ["palm"], FACE_UP, (0, 0, 0))


def keyboard(rng: np.random.Generator) -> Prop:
    """A keyboard that lies on tables: keys at -y, rows along x; 0.28 to 0.45 m wide."""
    pitch, columns = 0.019, int(rng.choice([14, 18, 21]))
    width, height = columns * pitch + 0.014, 5 * pitch + rng.uniform(0.012, 0.03)
    body = extruded(rounded_rectangle(width, height, 0.006), 0.014, 0.002)
    caps = materials.plastic(rng, None if rng.random() < 0.2 else (0.06, 0.06, 0.07))
    sheet = faces.glyphs(rng, _bytes(caps.color))
    keys, shapes = [], dict[float, Mesh]()
    for row in range(5):
        column = 0.0
        while column < columns - 0.01:
            wide = 6.0 if row == 0 and abs(column - 4) < 0.1 else 1.0
            if column == 0:
                wide = [1.0, 1.25, 1.75, 1.5, 1.0][row]
            wide = min(wide, columns - column)
            if wide not in shapes:
                side = wide * pitch - 0.003
                shapes[wide] = rounded_box((side, pitch - 0.003, 0.007), 0.0012, 1)
            key = shapes[wide]
            assert key.uv is not None
            key = Mesh(key.vertices, key.faces, (key.uv + rng.integers(0, 8, 2)) / 8)
            x, y = (column + wide / 2 - columns / 2) * pitch, (row - 2) * pitch
            keys.append(at(key, x, y, 0.0075))
            column += wide
    case = materials.plastic(rng, None if rng.random() < 0.3 else (0.75, 0.75, 0.76))
    parts = [Part(body, case), Part(merge(keys), Material(texture=sheet, roughness=0.5))]
    parts = [part.moved(FACE_FRONT) for part in parts]
    box = shifted(Box((width / 2, 0.009, height / 2)), 0, -0.002, 0)
    return assemble("keyboard", parts, box, [], FACE_UP)


def spectacles(rng: np.random.Generator) -> Prop:
    """Glasses that are not worn: width along z, temples towards +x, top at +y."""
    width = rng.uniform(0.125, 0.145)
    parts = [part.moved(ON_SIDE.T) for part in worn.glasses(rng, width)]
    front = shifted(Box((0.008, 0.026, width / 2 + 0.003)), 0.0, -0.014, 0)
    sides = [shifted(Box((0.075, 0.006, 0.004)), 0.07, 0.0, s * width / 2) for s in (-1, 1)]
    ends = [shifted(Box((0.026, 0.024, 0.006)), 0.12, -0.017, s * width / 2) for s in (-1, 1)]
    solid = Union((front, *sides, *ends))
    return assemble("spectacles", parts, solid, ["pinch"], ON_SIDE, (0, 0, -0.4 * width))
