"""Simple solids with a differentiable signed distance, for fitting hands to objects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch

Vector = tuple[float, float, float]


class Solid(Protocol):
    """A solid that can tell the signed distance to its surface."""

    def distance(self, points: torch.Tensor) -> torch.Tensor:
        """(N,) signed distance of (N, 3) points in metres, negative inside."""
        ...


def _length(vectors: torch.Tensor) -> torch.Tensor:
    """(...,) norm of (..., D) vectors with a finite gradient at zero (where it is 1e-7)."""
    return ((vectors * vectors).sum(-1) + 1e-14).sqrt()


def _box(excess: torch.Tensor) -> torch.Tensor:
    """Signed distance, from how far points lie outside each pair of opposite sides."""
    return _length(excess.clamp(min=0)) + excess.amax(-1).clamp(max=0)


@dataclass(frozen=True)
class Cylinder:
    """A cylinder about z, centre at the origin; radius and half height in metres."""

    radius: float
    half_height: float

    def distance(self, points: torch.Tensor) -> torch.Tensor:
        """(N,) signed distance of (N, 3) points in metres, exact."""
        across = _length(points[:, :2]) - self.radius
        return _box(torch.stack([across, points[:, 2].abs() - self.half_height], -1))


@dataclass(frozen=True)
class Box:
    """A box about the origin; half sides (rounding included) and radius of its edges in metres."""

    half_sizes: Vector
    radius: float = 0.0

    def distance(self, points: torch.Tensor) -> torch.Tensor:
        """(N,) signed distance of (N, 3) points in metres, exact."""
        return _box(points.abs() - points.new_tensor(self.half_sizes) + self.radius) - self.radius


@dataclass(frozen=True)
class Ellipsoid:
    """An ellipsoid about the origin; radii in metres."""

    radii: Vector

    def distance(self, points: torch.Tensor) -> torch.Tensor:
        """(N,) signed distance of (N, 3) points in metres.

        It is approximate: right to first order at the surface, tens of per cent too small or too
        large far from it, and never less than minus the smallest radius.
        """
        radii = points.new_tensor(self.radii)
        level, slope = _length(points / radii), _length(points / radii**2)
        return (level * (level - 1) / slope).clamp(min=-min(self.radii))


@dataclass(frozen=True)
class Capsule:
    """A cylinder about z with half balls at its ends; the half height excludes them; metres."""

    radius: float
    half_height: float

    def distance(self, points: torch.Tensor) -> torch.Tensor:
        """(N,) signed distance of (N, 3) points in metres, exact."""
        z = points[:, 2]
        along = z - z.clamp(-self.half_height, self.half_height)
        return _length(torch.cat([points[:, :2], along[:, None]], -1)) - self.radius


@dataclass(frozen=True, eq=False)
class Revolved:
    """A solid of revolution about z.

    `profile` is (N, 2), radius and z of its outer surface from the lower to the upper end, metres;
    both ends are joined to the axis.
    """

    profile: np.ndarray

    def distance(self, points: torch.Tensor) -> torch.Tensor:
        """(N,) signed distance of (N, 3) points in metres, exact."""
        ends = np.asarray(self.profile, float)[[0, -1]] * np.array([0, 1])
        outline = points.new_tensor(np.concatenate([ends[:1], self.profile, ends[1:]]))
        start, way = outline[:-1], outline[1:] - outline[:-1]
        flat = torch.stack([_length(points[:, :2]), points[:, 2]], -1)[:, None]
        share = ((flat - start) * way).sum(-1) / (way * way).sum(-1).clamp(min=1e-12)
        nearest = _length(flat - start - share.clamp(0, 1)[..., None] * way).amin(-1)
        low, high = outline[:-1, 1], outline[1:, 1]
        crosses = (low > flat[..., 1]) != (high > flat[..., 1])
        slope = torch.where(high == low, torch.ones_like(low), high - low)
        beyond = start[:, 0] + (flat[..., 1] - low) / slope * way[:, 0] > flat[..., 0]
        inside = (crosses & beyond).sum(-1) % 2 == 1
        return torch.where(inside, -nearest, nearest)


@dataclass(frozen=True, eq=False)
class Union:
    """Several solids as one; inside, the distance is a lower bound of the depth."""

    solids: tuple[Solid, ...]

    def distance(self, points: torch.Tensor) -> torch.Tensor:
        """(N,) signed distance of (N, 3) points in metres."""
        return torch.stack([solid.distance(points) for solid in self.solids]).amin(0)


def shifted(solid: Solid, x: float = 0.0, y: float = 0.0, z: float = 0.0) -> Placed:
    """Shift a solid by (x, y, z) metres."""
    return Placed(solid, np.eye(3), np.array([x, y, z]))


@dataclass(frozen=True, eq=False)
class Placed:
    """A solid turned by a (3, 3) rotation, then shifted by (3,) metres; both may need gradients."""

    solid: Solid
    rotation: torch.Tensor | np.ndarray
    translation: torch.Tensor | np.ndarray

    def distance(self, points: torch.Tensor) -> torch.Tensor:
        """(N,) signed distance of (N, 3) points, given in world coordinates, in metres."""
        rotation = torch.as_tensor(self.rotation, dtype=points.dtype, device=points.device)
        shift = torch.as_tensor(self.translation, dtype=points.dtype, device=points.device)
        return self.solid.distance((points - shift) @ rotation)
