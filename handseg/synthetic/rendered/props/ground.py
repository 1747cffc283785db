"""Table tops and floors, and flat objects that come to rest on surfaces below."""

from __future__ import annotations

import numpy as np
from scipy.optimize import linprog
from scipy.spatial import Delaunay

from handseg.synthetic.rendered.meshes import rounded_box
from handseg.synthetic.rendered.props import materials, textures
from handseg.synthetic.rendered.scene import Material, Mesh, Part

TABLE = (1.2, 0.8, 0.03)
FLOOR = (6.0, 6.0, 0.03)
"""Metres."""

STEEPEST = 0.3
"""Largest tilt, as a slope, of a flat object at rest."""

DENT = 0.0003
"""Metres by which skin yields under it."""

MARGIN = 1.05
"""Factor on its outline when looking for points below it: bodies have few vertices."""


def ground(rng: np.random.Generator, size: tuple[float, float, float] = TABLE) -> Part:
    """Draw a table top or floor, its top at z = 0 and its middle at the origin."""
    kind = rng.choice(
        ["wood", "checked", "cloth", "marble", "plastic", "paper", "skin"],
        p=[0.3, 0.15, 0.15, 0.12, 0.13, 0.1, 0.05],
    )
    mesh = rounded_box(size, 0.004).moved(np.eye(3), np.array([0, 0, -size[2] / 2]))
    assert mesh.uv is not None
    tiles, material = np.array([1.0, 1.0]), materials.plastic(rng)
    if kind == "wood":
        tiles, material = np.array([rng.uniform(2, 8), rng.uniform(0.7, 1.3)]), materials.wood(rng)
    elif kind == "checked":
        tiles = np.array([3, 2]) * rng.uniform(0.6, 1.5)
        material = Material(texture=textures.checked(rng), roughness=0.9, bump=0.0003)
    elif kind == "cloth":
        tiles = np.array([6.0, 4.0])
        material = Material(texture=textures.cloth(rng), roughness=0.95, bump=0.0003)
    elif kind == "marble":
        material = Material(texture=textures.marble(rng), roughness=float(rng.uniform(0.1, 0.4)))
    elif kind == "paper":
        material = Material(texture=textures.plain(rng, (240, 238, 232)), roughness=0.9)
    elif kind == "skin":
        material = materials.skin_like(rng)
    tiles = tiles * np.array(size[:2]) / TABLE[:2]
    return Part(Mesh(mesh.vertices, mesh.faces, mesh.uv * tiles.astype(np.float32)), material)


def lay(part: Part, below: np.ndarray, place: np.ndarray, frame: np.ndarray) -> Part:
    """Lay a thin flat object to rest on points, touching three of them around its middle.

    It can sink no further on the plane z = ax + by + c above all points with the least c.

    Args:
        part: flat in x and y about the origin.
        below: (N, 3) points, metres.
        place: (3,) point above or below which its middle goes.
        frame: (3, 3) rotation whose z axis points up.
    """
    local = (below - place) @ frame
    outline = Delaunay(MARGIN * part.mesh.vertices[:, :2])
    x, y, z = local[outline.find_simplex(local[:, :2]) >= 0].T
    if len(z):
        tilts = (-STEEPEST, STEEPEST)
        sides = np.stack([-x, -y, -np.ones_like(x)], 1)
        a, b, height = linprog((0, 0, 1), sides, -z, bounds=[tilts, tilts, (-1, 1)]).x
        place = place + frame[:, 2] * height
        up, side = np.array([-a, -b, 1.0]), np.array([1.0, 0.0, a])
        up, side = up / np.linalg.norm(up), side / np.linalg.norm(side)
        frame = frame @ np.stack([side, np.cross(up, side), up], 1)
    low = float(part.mesh.vertices[:, 2].min())
    return part.moved(frame, place - frame[:, 2] * (low + DENT))
