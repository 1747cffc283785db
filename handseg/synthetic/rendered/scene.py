"""A picture before it is rendered: meshes, materials, lights and a camera, as plain arrays.

World coordinates are metres, z up; people face -y. Nothing here knows Blender or the body model.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

Color = tuple[float, float, float]
"""sRGB, 0..1."""


@dataclass(frozen=True, eq=False)
class Mesh:
    """A surface.

    Attributes:
        vertices: (V, 3) float32, metres.
        faces: (F, 3) int32, vertex indices, counter-clockwise seen from outside.
        uv: (F, 3, 2) float32, texture coordinates of each face's corners (0, 0 is the picture's
            lower left), or None.
        smooth: whether normals are interpolated across faces.
    """

    vertices: np.ndarray
    faces: np.ndarray
    uv: np.ndarray | None = None
    smooth: bool = True

    def moved(self, rotation: np.ndarray, translation: np.ndarray | float = 0.0) -> Mesh:
        """The mesh turned by a (3, 3) rotation, then shifted by (3,) metres."""
        vertices = (self.vertices @ rotation.T + translation).astype(np.float32)
        return Mesh(vertices, self.faces, self.uv, self.smooth)


@dataclass(frozen=True, eq=False)
class Material:
    """The look of a surface.

    Attributes:
        color: base colour without a texture, else a factor on the texture.
        texture: a picture file, or (H, W, 3) or (H, W, 4) uint8 sRGB; a fourth channel is opacity.
        roughness, metallic, transmission: as in Blender's Principled BSDF, 0..1.
        bump: height of a fine random relief, metres; `bump_scale` is its grain, in metres.
    """

    color: Color = (1.0, 1.0, 1.0)
    texture: Path | np.ndarray | None = None
    roughness: float = 0.6
    metallic: float = 0.0
    transmission: float = 0.0
    bump: float = 0.0
    bump_scale: float = 0.002


@dataclass(frozen=True, eq=False)
class Part:
    """A mesh with one material."""

    mesh: Mesh
    material: Material

    def moved(self, rotation: np.ndarray, translation: np.ndarray | float = 0.0) -> Part:
        """The part turned by a (3, 3) rotation, then shifted by (3,) metres."""
        return Part(self.mesh.moved(rotation, translation), self.material)


@dataclass(frozen=True)
class Lamp:
    """An area light.

    Attributes:
        position, target: (x, y, z) metres; it shines from `position` towards `target`.
        power: watts. size: side of the square that emits the light, metres.
        color: sRGB 0..1.
    """

    position: tuple[float, float, float]
    target: tuple[float, float, float]
    power: float
    size: float
    color: Color = (1.0, 1.0, 1.0)


@dataclass(frozen=True, eq=False)
class Camera:
    """A pinhole camera with square pixels and a square picture.

    Attributes:
        position: (3,) metres.
        rotation: (3, 3), rows are the camera's x (right), y (down) and z (forward) axes in the
            world, as in OpenCV.
        focal: focal length in units of the picture's side (1.0 is a field of view of 53 degrees).
    """

    position: np.ndarray
    rotation: np.ndarray
    focal: float

    @classmethod
    def looking(
        cls, position: np.ndarray, target: np.ndarray, focal: float, roll: float = 0.0
    ) -> Camera:
        """Make a camera at `position` with `target` in the middle and the world's z up.

        `roll` (radians) turns it clockwise about its own axis.
        """
        position, target = np.asarray(position, float), np.asarray(target, float)
        forward = (target - position) / np.linalg.norm(target - position)
        up = np.array([0.0, 0.0, 1.0]) if abs(forward[2]) < 0.999 else np.array([0.0, 1.0, 0.0])
        right = np.cross(forward, up)
        right /= np.linalg.norm(right)
        down = np.cross(forward, right)
        cos, sin = np.cos(roll), np.sin(roll)
        rows = np.array([cos * right + sin * down, cos * down - sin * right, forward])
        return cls(position, rows, focal)

    def to_camera(self, points: np.ndarray) -> np.ndarray:
        """(N, 3) world points in the camera's coordinates, metres: right, down, forward."""
        return (np.asarray(points, float) - self.position) @ self.rotation.T

    def matrix(self, size: int) -> np.ndarray:
        """K, (3, 3): camera coordinates to px; pixel centres are whole numbers."""
        centre = (size - 1) / 2
        return np.array([[self.focal * size, 0, centre], [0, self.focal * size, centre], [0, 0, 1]])

    def project(self, points: np.ndarray, size: int) -> np.ndarray:
        """(N, 3) world points to (N, 2) px, x before y."""
        seen = self.to_camera(points) @ self.matrix(size).T
        return (seen[:, :2] / seen[:, 2:]).astype(np.float32)


@dataclass(frozen=True)
class Surroundings:
    """Ambient light; `develop` adds the visible background.

    Attributes:
        color: sRGB 0..1. strength: as in Blender's background.
    """

    color: Color
    strength: float


@dataclass(frozen=True, eq=False)
class View:
    """One camera and one light on the same meshes."""

    camera: Camera
    lamps: tuple[Lamp, ...]
    surroundings: Surroundings
