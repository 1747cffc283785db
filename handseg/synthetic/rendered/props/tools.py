"""Hand tools, cutlery and other objects with a handle; the working end is at -z."""

from __future__ import annotations

import numpy as np

from handseg.synthetic.rendered.meshes import lathe, merge, rounded_box, tube
from handseg.synthetic.rendered.props import materials, textures
from handseg.synthetic.rendered.props.prop import FACE_FRONT, FACE_UP, ON_SIDE, Prop, assemble
from handseg.synthetic.rendered.props.shapes import extruded, fillet, smooth_path
from handseg.synthetic.rendered.props.stationery import at, rod
from handseg.synthetic.rendered.scene import Material, Mesh, Part
from handseg.synthetic.rendered.solids import Box, Cylinder, Revolved, Union, shifted

STEEL = (0.8, 0.8, 0.79)
QUARTER = np.array([[0.0, 1, 0], [-1, 0, 0], [0, 0, 1]])


def _grip(widths: list[float], depths: list[float], low: float, high: float) -> Mesh:
    """Handle along z between two heights with given half widths (x) and half depths (y), metres."""
    count = 24
    share, knots = np.linspace(0, 1, count), np.linspace(0, 1, len(widths))
    path = np.zeros((count, 3))
    path[:, 2] = low + share * (high - low)
    radii = np.stack([np.interp(share, knots, widths), np.interp(share, knots, depths)], -1)
    return tube(path, radii, 24, up=(0, 1, 0), power=2.4)


def screwdriver(rng: np.random.Generator) -> Prop:
    """A screwdriver with a turned plastic or wooden handle."""
    radius, grip, shaft = rng.uniform(0.01, 0.017), rng.uniform(0.08, 0.11), rng.uniform(0.05, 0.14)
    thin = rng.uniform(0.002, 0.0036)
    top = shaft + grip
    outline = [
        (0.6 * radius, shaft),
        (0.75 * radius, shaft + 0.012),
        (0.68 * radius, shaft + 0.022),
    ]
    outline += [(radius, shaft + 0.045), (radius, top - 0.02), (0.8 * radius, top)]
    handle = rod(outline, 0.006, 48)
    around = np.arctan2(handle.vertices[:, 1], handle.vertices[:, 0])
    flutes = 1 - 0.06 * (0.5 + 0.5 * np.cos(6 * around))
    ribbed = handle.vertices * np.stack([flutes, flutes, np.ones_like(flutes)], -1)
    handle = Mesh(ribbed.astype(np.float32), handle.faces, handle.uv)
    steel = materials.metal(rng, STEEL)
    blade = rounded_box((2.4 * thin, 0.0012, 0.014), 0.0004, 2)
    parts = [
        Part(handle, materials.plastic(rng) if rng.random() < 0.75 else materials.wood(rng)),
        Part(rod([(thin, 0.006), (thin, shaft + 0.005)]), steel),
        Part(at(blade, z=0.006), steel),
    ]
    solid = Revolved(np.array([(thin, 0), (thin, shaft), *outline]))
    grips = ["power", "tripod"]
    return assemble("screwdriver", parts, solid, grips, ON_SIDE, (0, 0, shaft + grip / 2))


def hammer(rng: np.random.Generator) -> Prop:
    """A hammer, its head along x at the lower end of a wooden or rubber handle."""
    length, radius = rng.uniform(0.22, 0.32), rng.uniform(0.011, 0.0145)
    head, reach = rng.uniform(0.010, 0.015), rng.uniform(0.04, 0.055)
    look = materials.wood(rng) if rng.random() < 0.65 else materials.rubber(rng)
    steel = materials.metal(rng, (0.45, 0.45, 0.47) if rng.random() < 0.6 else None)
    grip = _grip([0.8 * radius, 0.75 * radius, radius, 1.1 * radius], [radius] * 4, 0, length)
    face = rod([(0.85 * head, -0.012), (head, -0.009), (head, 0.009), (0.85 * head, 0.012)], 0.002)
    wedge = np.array([(-head, -0.0), (-0.002, -reach), (0.002, -reach), (head, 0.0)])
    claw = extruded(wedge, 2 * head, 0.001).moved(QUARTER)
    block = rounded_box((2 * head + 0.006, 2 * head + 0.002, 2 * head + 0.002), 0.003)
    neck = rod([(0.75 * head, -0.02), (0.75 * head, 0.02)]).moved(ON_SIDE)
    metal = merge(
        [
            block,
            at(neck, head + 0.01),
            at(face.moved(ON_SIDE), reach - 0.012),
            at(claw, -head),
        ]
    )
    solid = Union(
        (
            shifted(Box((1.1 * radius, 1.05 * radius, length / 2 + 0.01), 0.004), z=length / 2),
            shifted(Box((reach + 0.5 * head, 1.1 * head, 1.1 * head), 0.002), x=-head / 2),
        )
    )
    parts = [Part(grip, look), Part(metal, steel)]
    return assemble("hammer", parts, solid, ["power"], FACE_UP, (0, 0, 0.7 * length))


def scissors(rng: np.random.Generator) -> Prop:
    """Scissors, open by up to 40 degrees, blades down, thin axis y."""
    length, opening = rng.uniform(0.06, 0.1), np.radians(rng.uniform(1, 20))
    wide, tall = rng.uniform(0.012, 0.016), rng.uniform(0.017, 0.024)
    blade = np.array(
        [(-0.006, 0.02), (-0.007, -0.01), (0.002, -length), (0.005, -0.01), (0.006, 0.02)]
    )
    turn = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    loop = np.stack([wide * np.cos(turn), tall * np.sin(turn), 0 * turn], -1)
    loop = loop + np.array([0.012 + wide, 0.05 + tall, 0])
    shank = smooth_path([(0, 0.008, 0), (0.005, 0.03, 0), (0.013, 0.058, 0)], 12)
    grips = merge([tube(loop, 0.0036, 12, closed=True), tube(shank, 0.0044, 12)])
    blades, handles = [], []
    for side in (-1, 1):
        cos, sin = np.cos(opening * side), np.sin(opening * side)
        flip = np.diag([side, 1.0, side])
        spin = np.array([[cos, sin, 0], [-sin, cos, 0], [0, 0, 1]]) @ flip
        lift = np.array([0, 0, 0.0009 * side])
        blades.append(extruded(blade, 0.0016, 0.0003).moved(spin, lift))
        handles.append(grips.moved(spin, lift))
    screw = rod([(0.004, -0.0025), (0.004, 0.0025)], 0.0005)
    steel = materials.metal(rng, STEEL)
    meshes = ((merge(handles), materials.plastic(rng)), (merge([*blades, screw]), steel))
    parts = [Part(mesh.moved(FACE_FRONT), look) for mesh, look in meshes]
    spread = 0.016 + 2 * wide + np.sin(opening) * (0.055 + 2 * tall)
    reach = 0.008 + np.sin(opening) * length
    solid = Union(
        (
            shifted(Box((spread, 0.005, tall + 0.012)), z=0.05 + tall),
            shifted(Box((reach, 0.003, (length + 0.045) / 2)), z=(0.045 - length) / 2),
        )
    )
    hold = (0, 0, 0.05 + tall)
    return assemble("scissors", parts, solid, ["pinch", "power"], FACE_UP, hold)


def _handle(rng: np.random.Generator, length: float) -> Mesh:
    """Flat cutlery handle from z = 0 upwards, wider and bent at its end, metres."""
    t = np.linspace(0, 1, 24)
    path = np.stack([0 * t, 0.006 * np.sin(np.pi * t) - 0.002 * t, length * t], -1)
    widths = np.interp(t, [0, 0.15, 0.5, 0.9, 1], [0.0035, 0.0028, 0.0045, 0.009, 0.006])
    radii = np.stack([widths * rng.uniform(0.8, 1.1), np.full(24, 0.0014)], -1)
    return tube(path, radii, 16, up=(0, 1, 0), power=2.5)


def _look(rng: np.random.Generator) -> Material:
    draw = rng.random()
    if draw < 0.7:
        return materials.metal(rng, STEEL)
    return materials.plastic(rng) if draw < 0.85 else materials.wood(rng)


def spoon(rng: np.random.Generator) -> Prop:
    """A tea or table spoon of steel, plastic or wood, its bowl open to -y."""
    length = rng.uniform(0.09, 0.15)
    half = np.array([0.14, 0.2, 0.055]) * length
    turn = np.linspace(-np.pi / 2, 0, 12)
    outer = np.stack([np.cos(turn), np.sin(turn)], -1)
    inner = outer[::-1] * np.array([0.95, 0.86])
    outer[0, 0] = inner[-1, 0] = 0
    bowl = lathe(np.concatenate([outer, inner]), 40)
    bowl = Mesh((bowl.vertices * half).astype(np.float32), bowl.faces, bowl.uv)
    bowl = at(bowl.moved(FACE_FRONT), z=-0.97 * half[1])
    look = _look(rng)
    parts = [Part(_handle(rng, length), look), Part(bowl, look)]
    scoop = shifted(Box((half[0], half[2] / 2, half[1])), y=half[2] / 2, z=-half[1])
    solid = Union((shifted(Box((0.007, 0.0035, length / 2)), y=0.002, z=length / 2), scoop))
    hold = (0, 0.002, 0.5 * length)
    return assemble("spoon", parts, solid, ["tripod", "pinch", "power"], FACE_UP, hold)


def fork(rng: np.random.Generator) -> Prop:
    """A fork with three or four tines."""
    length, count = rng.uniform(0.11, 0.14), int(rng.integers(3, 5))
    t = np.linspace(0, 1, 14)
    tines = []
    for k in range(count):
        x = (k - (count - 1) / 2) * 0.0066
        path = np.stack(
            [x + 0 * t, -0.004 * t + 0.012 * t**2 - 0.008 * t**3, -0.018 - 0.045 * t], -1
        )
        radii = np.stack([0.0017 - 0.0009 * t, 0.001 - 0.0004 * t], -1)
        tines.append(tube(path, radii, 10, up=(0, 1, 0)))
    path = np.stack([0 * t, 0.0005 * t, 0.004 - 0.026 * t], -1)
    palm = np.interp(t, [0, 0.5, 0.8, 1], [0.003, 0.009, 0.0115, 0.0115])
    root = tube(path, np.stack([palm, np.full(14, 0.0011)], -1), 16, up=(0, 1, 0), power=3)
    look = _look(rng)
    parts = [Part(_handle(rng, length), look), Part(merge([root, *tines]), look)]
    head = shifted(Box((0.013, 0.003, 0.034)), y=0.001, z=-0.03)
    solid = Union((shifted(Box((0.007, 0.0035, length / 2)), y=0.002, z=length / 2), head))
    hold = (0, 0.002, 0.5 * length)
    return assemble("fork", parts, solid, ["tripod", "pinch", "power"], FACE_UP, hold)


def knife(rng: np.random.Generator) -> Prop:
    """A table or kitchen knife; its blade lies in x and z."""
    length, blade = rng.uniform(0.09, 0.125), rng.uniform(0.09, 0.18)
    wide, thick = rng.uniform(0.008, 0.02), rng.uniform(0.0045, 0.008)
    outline = [(-0.007, 0.012), (-0.007, -0.01), (-wide, -0.03), (-0.9 * wide, -0.7 * blade)]
    outline += [(0.004, -blade), (0.007, -0.75 * blade), (0.007, 0.012)]
    plate = extruded(np.array(outline), 0.0016, 0.0006).moved(FACE_FRONT)
    look = [materials.wood, materials.plastic, materials.metal][rng.integers(3)](rng)
    grip = _grip([0.008, 0.0095, 0.009, 0.011], [thick] * 4, 0.003, length)
    parts = [Part(grip, look), Part(plate, materials.metal(rng, STEEL))]
    solid = Union(
        (
            shifted(Box((0.0105, thick, length / 2 + 0.004), 0.003), z=length / 2 + 0.001),
            shifted(Box((wide / 2 + 0.004, 0.0012, blade / 2)), x=-wide / 2 + 0.0035, z=-blade / 2),
        )
    )
    hold = (0, 0, 0.55 * length)
    return assemble("knife", parts, solid, ["power", "pinch"], FACE_UP, hold)


def toothbrush(rng: np.random.Generator) -> Prop:
    """A toothbrush, its bristles at the lower end towards -y."""
    length = rng.uniform(0.15, 0.19)
    body = materials.plastic(rng)
    widths = [0.006, 0.0045, 0.0032, 0.006, 0.0065, 0.0055, 0.006]
    handle = _grip(widths, [0.0028, 0.003, 0.003, 0.0045, 0.005, 0.0045, 0.0035], 0.0, length)
    tufts = [
        at(rod([(0.0011, 0.0), (0.0011, 0.012)], 0.0003, 8).moved(FACE_FRONT), x, 0, z)
        for x in np.linspace(-0.004, 0.004, 4)
        for z in np.linspace(-0.001, 0.026, 11)
    ]
    white = materials.plastic(rng, (0.95, 0.95, 0.95) if rng.random() < 0.7 else None)
    parts = [Part(handle, body), Part(merge(tufts), white)]
    rubber = tube(np.array([(0, -0.004, z) for z in np.linspace(0.45, 0.8, 8) * length]), 0.002, 10)
    parts.append(Part(rubber, materials.rubber(rng)))
    head = shifted(Box((0.007, 0.0085, 0.0165)), y=-0.0045, z=0.0125)
    solid = Union((shifted(Box((0.006, 0.0045, length / 2 + 0.003), 0.003), z=length / 2), head))
    grips = ["power", "pinch", "tripod"]
    return assemble("toothbrush", parts, solid, grips, FACE_UP, (0, 0, 0.65 * length))


def lipstick(rng: np.random.Generator) -> Prop:
    """A lipstick, open with its slanted tip at -z, or closed."""
    radius, length = rng.uniform(0.008, 0.0105), rng.uniform(0.035, 0.05)
    case, trim = materials.plastic(rng), materials.metal(rng)
    parts = [Part(rod([(radius, 0.0), (radius, length)], 0.001), case)]
    outline = [(radius, 0.0), (radius, length)]
    if rng.random() < 0.6:
        wax = rod([(0.35 * radius, -0.027), (0.6 * radius, -0.02), (0.6 * radius, -0.01)], 0.002)
        slant = np.where(wax.vertices[:, 2] < -0.015, 0.5 * wax.vertices[:, 0], 0)
        wax = Mesh(wax.vertices + np.outer(slant, [0, 0, 1]).astype(np.float32), wax.faces, wax.uv)
        red = (float(rng.uniform(0.5, 0.85)), float(rng.uniform(0.05, 0.45)), 0.25)
        parts.append(Part(rod([(0.8 * radius, -0.013), (0.8 * radius, 0.001)]), trim))
        parts.append(Part(wax, Material(red, roughness=0.35)))
        outline = [(0.6 * radius, -0.026), (0.8 * radius, -0.013), (0.8 * radius, 0), *outline]
    else:
        parts.append(Part(rod([(1.03 * radius, -0.03), (1.03 * radius, 0.001)], 0.001), trim))
        outline = [(1.03 * radius, -0.03), *outline[1:]]
    return assemble("lipstick", parts, Revolved(np.array(outline)), ["pinch", "tripod"], ON_SIDE)


def squeeze_tube(rng: np.random.Generator) -> Prop:
    """A tube of cream or toothpaste, its cap at -z."""
    radius, length = rng.uniform(0.011, 0.02), rng.uniform(0.07, 0.15)
    t = np.linspace(0, 1, 24)
    path = np.stack([0 * t, 0 * t, length * t], -1)
    radii = np.stack([radius * (1 + 0.45 * t), radius * (1 - t) + 0.0008], -1)
    radii[0] *= 0.8
    body = tube(path, radii, 40, up=(0, 1, 0))
    lid = rod([(0.75 * radius, -0.02), (0.85 * radius, -0.002)], 0.001)
    art = materials.printed(rng, textures.label(rng, 256, 256), gloss=True)
    parts = [Part(body, art), Part(lid, materials.plastic(rng))]
    slices = [
        shifted(
            Box((radius * (1 + 0.45 * s), radius * (1 - s) + 0.001, length / 10), 0.0005),
            z=s * length,
        )
        for s in (0.1, 0.3, 0.5, 0.7, 0.9)
    ]
    solid = Union((shifted(Cylinder(0.85 * radius, 0.012), z=-0.01), *slices))
    return assemble("tube", parts, solid, ["power", "pinch", "palm"], FACE_UP)


def key(rng: np.random.Generator) -> Prop:
    """A door key with a metal or plastic bow."""
    bow, length = rng.uniform(0.010, 0.014), rng.uniform(0.026, 0.04)
    steel = materials.metal(rng)
    teeth = np.cumsum(np.r_[0.006, np.full(6, (length - 0.008) / 6)])
    ridge = [(0.0035 - 0.0022 * rng.random(), -z) for z in teeth[::-1]]
    blade = [
        (-0.0037, 0.003),
        (-0.0037, -length + 0.002),
        (0.0, -length),
        *ridge[1:],
        (0.0037, 0.003),
    ]
    turn = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    loop = (bow - 0.004) * np.stack([np.cos(turn), np.sin(turn), 0 * turn], -1)
    covered = rng.random() < 0.3
    half = np.array([[0.004, 0.0022 if covered else 0.0012]])
    ring = tube(loop, np.repeat(half, 40, 0), 16, closed=True, power=5)
    meshes = [
        (at(ring, y=bow), materials.plastic(rng) if covered else steel),
        (extruded(fillet(np.array(blade), 0.0004, 2, closed=True), 0.0022, 0.0002), steel),
    ]
    parts = [Part(mesh.moved(FACE_FRONT), look) for mesh, look in meshes]
    solid = Union(
        (
            shifted(Box((bow, half[0, 1], bow)), z=bow),
            shifted(Box((0.004, 0.0012, length / 2)), z=-length / 2 + 0.002),
        )
    )
    return assemble("key", parts, solid, ["pinch"], FACE_UP, (0, 0, bow))
