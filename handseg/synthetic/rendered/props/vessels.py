"""Bottles, cans, cups, plates and cartons."""

from __future__ import annotations

import numpy as np

from handseg.synthetic.rendered.meshes import lathe, lattice, merge, rounded_box, tube
from handseg.synthetic.rendered.props import materials, textures
from handseg.synthetic.rendered.props.prop import FACE_FRONT, FACE_UP, Prop, assemble
from handseg.synthetic.rendered.props.shapes import (
    extruded,
    fillet,
    rounded_rectangle,
    smooth_path,
    turned,
)
from handseg.synthetic.rendered.scene import Material, Mesh, Part
from handseg.synthetic.rendered.solids import Box, Placed, Revolved, Solid, Union, shifted


def sleeve(radius: float, low: float, high: float, thickness: float = 0.0002) -> Mesh:
    """Wrapper around a cylinder about z, metres; v runs upwards over its outside."""
    profile = np.array([(0.0, low), (thickness, low), (thickness, high), (0, high), (0, low)])
    angle = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    around = np.stack([np.cos(angle), np.sin(angle)], -1)
    points = np.zeros((5, 48, 3))
    points[..., :2] = (radius + profile[:, :1, None]) * around
    points[..., 2] = profile[:, 1:]
    return lattice(points, closed_columns=True, v=np.array([0.0, 0, 1, 1, 0]))


def shell(bottom: float, top: float, height: float, wall: float, belly: float = 0.0) -> Mesh:
    """An open vessel of given radii, bulging by `belly`, metres; v runs from z = 0 to the rim."""
    t = np.linspace(0, 1, 7)
    radius = bottom + (top - bottom) * t + belly * np.sin(np.pi * t)
    outer = [(0.0, 0.0), *zip(radius, t * height, strict=True)]
    inner = [(r - wall, wall + z * (height - wall)) for r, z in zip(radius, t, strict=True)]
    mesh = lathe(fillet(np.array([*outer, *inner[::-1], (0.0, wall)]), wall * 0.9), 64)
    corners = mesh.vertices[mesh.faces].astype(float)
    outside = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    outside = (outside[:, :2] * corners[:, :, :2].mean(1)).sum(1) > 0
    v = np.where(outside[:, None], np.clip(corners[..., 2] / height, 0.005, 0.995), 0.995)
    assert mesh.uv is not None
    return Mesh(mesh.vertices, mesh.faces, np.stack([mesh.uv[..., 0], v], -1).astype(np.float32))


def _outer(bottom: float, top: float, height: float, belly: float = 0.0) -> Revolved:
    t = np.linspace(0, 1, 5)
    radius = bottom + (top - bottom) * t + belly * np.sin(np.pi * t)
    return Revolved(np.stack([radius, t * height], -1))


def bottle(rng: np.random.Generator) -> Prop:
    """A bottle of glass or plastic, clear or opaque, with a label and a cap."""
    radius, height = rng.uniform(0.028, 0.042), rng.uniform(0.15, 0.27)
    neck, shoulder = radius * rng.uniform(0.3, 0.5), rng.uniform(0.55, 0.75)
    outline = [(radius, 0.0), (radius, shoulder * height), (neck, 0.88 * height), (neck, height)]
    body = turned([(0.0, 0.0), *outline, (0.0, height)], 0.012)
    clear = rng.random() < 0.55
    parts = [Part(body, materials.glass(rng) if clear else materials.plastic(rng))]
    low, high = rng.uniform(0.1, 0.25), shoulder - rng.uniform(0.07, 0.15)
    if rng.random() < 0.8:
        paper = materials.printed(rng, textures.label(rng))
        parts.append(Part(sleeve(radius, low * height, high * height), paper))
    cap, top = neck + 0.0015, height + 0.004
    ends = [(0.0, height - 0.014), (cap, height - 0.014), (cap, top), (0.0, top)]
    parts.append(Part(turned(ends, 0.001), materials.plastic(rng)))
    solid = Revolved(np.array([*outline[:3], *ends[1:3]]))
    return assemble("bottle", parts, solid, ["power"], hold=(0, 0, 0.4 * height))


def can(rng: np.random.Generator) -> Prop:
    """A drink can, slim or stout, with its tab."""
    radius, height = rng.choice([0.026, 0.029, 0.033]), rng.uniform(0.088, 0.168)
    edge = radius - 0.005
    outline = [
        (0.0, 0.003),
        (edge - 0.002, 0.003),
        (edge, 0.0),
        (radius, 0.009),
        (radius, height - 0.013),
        (edge, height),
        (edge - 0.002, height),
        (edge - 0.002, height - 0.004),
        (0.0, height - 0.004),
    ]
    steel = materials.metal(rng, (0.8, 0.8, 0.8))
    art = Material(texture=textures.label(rng), roughness=0.25, metallic=float(rng.random() < 0.5))
    tab = extruded(rounded_rectangle(0.024, 0.014, 0.006), 0.001)
    tab = tab.moved(np.eye(3), np.array([0.006, 0, height - 0.003]))
    parts = [
        Part(sleeve(radius, 0.009, height - 0.013), art),
        Part(turned(outline, 0.001), steel),
        Part(tab, steel),
    ]
    return assemble("can", parts, Revolved(np.array(outline[2:7])), ["power"])


def _drink(rng: np.random.Generator, radius: float, level: float) -> Part:
    """The surface of tea, coffee, milk or juice in a vessel, as a thin disc."""
    colors = [(0.10, 0.05, 0.03), (0.45, 0.22, 0.07), (0.9, 0.87, 0.8), (0.8, 0.35, 0.05)]
    disc = lathe(
        np.array([(0, level - 0.002), (radius, level - 0.002), (radius, level), (0, level)])
    )
    return Part(disc, Material(colors[rng.integers(4)], roughness=0.05))


def cup(rng: np.random.Generator) -> Prop:
    """A cup without a handle: paper with a print, plastic or pottery, at times with a lid."""
    height = rng.uniform(0.07, 0.13)
    top = rng.uniform(0.034, 0.044)
    bottom, belly = top * rng.uniform(0.65, 0.95), rng.uniform(0, 0.004)
    paper = rng.random() < 0.5
    wall = 0.0012 if paper else 0.003
    art = materials.printed(rng, textures.label(rng, 256, 256)) if paper else materials.plastic(rng)
    parts = [Part(shell(bottom, top, height, wall, 0 if paper else belly), art)]
    lidded = paper and rng.random() < 0.5
    if lidded:
        lip, low = top + 0.002, height - 0.006
        ends = [(0.0, low), (lip, low), (lip, height + 0.002), (0.9 * lip, height + 0.012)]
        lid = turned([*ends, (0.0, height + 0.012)], 0.001)
        parts.append(Part(lid, materials.plastic(rng)))
    else:
        parts.append(_drink(rng, 0.9 * top - wall, height * 0.8))
    solid = _outer(bottom, top, height, 0 if paper else belly)
    if lidded:
        solid = Revolved(np.concatenate([solid.profile[:-1], ends[1:]]))
    return assemble("cup", parts, solid, ["power"], hold=(0, 0, 0.45 * height))


def mug(rng: np.random.Generator) -> Prop:
    """A mug with a handle on the +x side, glazed, at times printed."""
    radius, height = rng.uniform(0.036, 0.046), rng.uniform(0.08, 0.11)
    bottom = radius * rng.uniform(0.8, 1.0)
    glaze = materials.plastic(rng)
    reach, low, high = rng.uniform(0.025, 0.034), 0.2 * height, 0.82 * height
    inside = radius - 0.003
    loop = [(inside, 0.0, high), (radius + 0.7 * reach, 0, high + 0.002)]
    loop += [(radius + reach, 0, height * 0.55), (radius + 0.6 * reach, 0, low)]
    loop += [(bottom + 0.2 * (radius - bottom) - 0.002, 0, low * 0.9)]
    widths = np.array([[rng.uniform(0.003, 0.005), rng.uniform(0.005, 0.008)]])
    handle = tube(smooth_path(loop, 32), np.repeat(widths, 32, 0), up=(0, 1, 0), power=2.6)
    body = shell(bottom, radius, height, 0.004)
    parts = [Part(body, glaze), Part(handle, glaze), _drink(rng, bottom - 0.004, height * 0.75)]
    if rng.random() < 0.4:
        parts[0] = Part(body, materials.printed(rng, textures.label(rng, 256, 256), gloss=True))
    half = (reach / 2 + 0.003, 0.006, (high - low) / 2 + 0.008)
    side: Solid = shifted(Box(half), radius + reach / 2, 0, (high + low) / 2)
    return assemble("mug", parts, Union((_outer(bottom, radius, height), side)), ["power"])


def drinking_glass(rng: np.random.Generator) -> Prop:
    """A tumbler of clear or tinted glass, empty or filled."""
    height, top = rng.uniform(0.08, 0.15), rng.uniform(0.03, 0.042)
    bottom, wall = top * rng.uniform(0.7, 1.0), 0.0025
    glass = materials.glass(rng)
    parts = [Part(shell(bottom, top, height, wall), glass)]
    if rng.random() < 0.5:
        level = height * rng.uniform(0.4, 0.8)
        rim = bottom + (top - bottom) * level / height
        cloudy = rng.random() < 0.6
        fluid = _drink(rng, 0.01, 0).material if cloudy else materials.glass(rng, True)
        # Refraction makes a drink look as wide as its glass; making it so lowers the noise.
        gap = -0.0006 if cloudy else wall + 0.0002
        ends = [(0.0, 0.003), (bottom - gap, 0.003), (rim - gap, level), (0.0, level)]
        parts.append(Part(turned(ends, 0.001, 64), fluid))
    return assemble(
        "glass", parts, _outer(bottom, top, height), ["power"], hold=(0, 0, 0.5 * height)
    )


def plate(rng: np.random.Generator) -> Prop:
    """A plate, its axis along y and its front facing -y."""
    radius, height = rng.uniform(0.08, 0.135), rng.uniform(0.015, 0.028)
    foot, thick = 0.62 * radius, 0.004
    outline = [(0.0, 0.0), (foot, 0.0), (radius, height), (radius, height + 0.002)]
    outline += [(foot, thick), (0.0, thick)]
    mesh = turned(outline, 0.003, 64).moved(FACE_FRONT)
    parts = [Part(mesh, materials.plastic(rng, (0.93, 0.92, 0.89) if rng.random() < 0.6 else None))]
    solid = Placed(Revolved(np.array(outline[1:5])), FACE_FRONT, np.zeros(3))
    return assemble(
        "plate", parts, solid, ["pinch", "flat"], FACE_UP, (0, -0.8 * height, -0.9 * radius)
    )


def box(rng: np.random.Generator) -> Prop:
    """A carton: medicine, tea, parcel; printed or plain brown."""
    size = np.sort(rng.uniform((0.018, 0.04, 0.07), (0.07, 0.11, 0.2)))
    size = size[[1, 0, 2]]
    art = materials.printed(rng, textures.package(rng))
    parts = [Part(rounded_box(size, 0.001, 2, atlas=True), art)]
    if rng.random() < 0.2:
        tape = rounded_box(size * np.array([0.3, 1, 1]) + 0.0004, 0.001, 2)
        parts.append(Part(tape, materials.plastic(rng, (0.72, 0.56, 0.36))))
    half = (size[0] / 2, size[1] / 2, size[2] / 2)
    grips = ["power", "pinch", "flat"] if size[1] < 0.06 else ["flat", "palm"]
    return assemble("box", parts, Box(half, 0.001), grips)


def block(rng: np.random.Generator) -> Prop:
    """A toy block: a plastic brick with studs on its front, or painted or raw wood."""
    if rng.random() < 0.5:
        pitch, rows = 0.008, int(rng.integers(2, 7))
        if rng.random() < 0.4:
            pitch = 0.016
        size = np.array([2 * pitch, 1.2 * pitch, rows * pitch])
        brick = rounded_box(size - 0.0002, 0.0003, 2)
        wide, high = 0.3 * pitch, 0.22 * pitch
        stud = turned([(0.0, 0.0), (wide, 0.0), (wide, high), (0.0, high)], 2e-4, 20)
        studs = [
            stud.moved(
                FACE_FRONT, np.array([x * pitch, -size[1] / 2, (k - rows / 2 + 0.5) * pitch])
            )
            for x in (-0.5, 0.5)
            for k in range(rows)
        ]
        color = materials.plastic(rng)
        parts = [Part(brick, color), Part(merge(studs), color)]
        half = (size[0] / 2, size[1] / 2 + 0.11 * pitch, size[2] / 2)
        solid: Solid = shifted(Box(half), 0, -0.11 * pitch, 0)
        return assemble("block", parts, solid, ["pinch", "flat"], FACE_UP)
    size = np.sort(rng.uniform(0.02, 0.06, 3))
    look = materials.wood(rng) if rng.random() < 0.6 else materials.plastic(rng)
    parts = [Part(rounded_box(size, 0.002), look)]
    half = (size[0] / 2, size[1] / 2, size[2] / 2)
    return assemble("block", parts, Box(half, 0.002), ["pinch", "power", "palm"])
