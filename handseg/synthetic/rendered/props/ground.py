"""Table tops and floors."""

from __future__ import annotations

import numpy as np

from handseg.synthetic.rendered.meshes import rounded_box
from handseg.synthetic.rendered.props import materials, textures
from handseg.synthetic.rendered.scene import Material, Mesh, Part

SIZE = (1.2, 0.8, 0.03)


def ground(rng: np.random.Generator) -> Part:
    """A table top or floor of 1.2 x 0.8 m, its top at z = 0 and its middle at the origin."""
    kind = rng.choice(
        ["wood", "checked", "cloth", "marble", "plastic", "paper", "skin"],
        p=[0.3, 0.15, 0.15, 0.12, 0.13, 0.1, 0.05],
    )
    mesh = rounded_box(SIZE, 0.004).moved(np.eye(3), np.array([0, 0, -SIZE[2] / 2]))
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
    return Part(Mesh(mesh.vertices, mesh.faces, mesh.uv * tiles.astype(np.float32)), material)
