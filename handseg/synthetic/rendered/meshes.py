"""Primitive meshes in numpy: metres, outward winding, texture coordinates per face corner."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from handseg.synthetic.rendered.scene import Mesh

SUPPORT = 0.6
"""Distance of the edge loops that keep flat sides flat under smooth shading, in bevel radii."""


def _quads(rows: int, columns: int, closed_rows: bool, closed_columns: bool) -> np.ndarray:
    """(Q, 4, 2) row and column of the corners of cells; closed lattices run past the end."""
    row, column = np.meshgrid(
        np.arange(rows if closed_rows else rows - 1),
        np.arange(columns if closed_columns else columns - 1),
        indexing="ij",
    )
    corners = np.array([[0, 0], [0, 1], [1, 1], [1, 0]])
    return np.stack([row, column], -1).reshape(-1, 1, 2) + corners


def lattice(
    points: np.ndarray,
    closed_rows: bool = False,
    closed_columns: bool = False,
    v: np.ndarray | None = None,
    smooth: bool = True,
) -> Mesh:
    """Surface through a lattice of points; columns x rows is the outward direction.

    Args:
        points: (R, C, 3) metres. Coinciding points become one vertex.
        closed_rows, closed_columns: whether the last one joins the first.
        v: (R,) or, if rows are closed, (R + 1,) texture coordinate of each row; even steps if None.
    """
    rows, columns = points.shape[:2]
    cells = _quads(rows, columns, closed_rows, closed_columns)
    index = cells[..., 0] % rows * columns + cells[..., 1] % columns
    if v is None:
        v = np.linspace(0, 1, rows + closed_rows)
    u = np.linspace(0, 1, columns + closed_columns)
    uv = np.stack([u[cells[..., 1]], v[cells[..., 0]]], -1)
    faces = np.concatenate([index[:, [0, 1, 2]], index[:, [0, 2, 3]]])
    corners = np.concatenate([uv[:, [0, 1, 2]], uv[:, [0, 2, 3]]])
    return weld(Mesh(points.reshape(-1, 3), faces, corners, smooth))


def weld(mesh: Mesh, tolerance: float = 1e-8) -> Mesh:
    """Merge coinciding vertices and drop faces without area."""
    keys = np.round(np.asarray(mesh.vertices, float) / tolerance).astype(np.int64)
    _, first, inverse = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    faces = inverse.reshape(-1)[mesh.faces]
    kept = (faces != np.roll(faces, 1, 1)).all(1)
    uv = None if mesh.uv is None else mesh.uv[kept].astype(np.float32)
    vertices = np.asarray(mesh.vertices)[first].astype(np.float32)
    return Mesh(vertices, faces[kept].astype(np.int32), uv, mesh.smooth)


def lathe(profile: np.ndarray, segments: int = 48, smooth: bool = True) -> Mesh:
    """Solid of revolution about z.

    Args:
        profile: (N, 2) radius and z, metres. The outside lies to the right of its direction (seen
            with the radius to the right and z up): an outer wall runs up, an inner wall down. It is
            watertight when both ends lie on the axis or coincide.
        segments: number of sides. u runs once around, v along the profile.
    """
    profile = np.asarray(profile, float)
    angle = np.linspace(0, 2 * np.pi, segments, endpoint=False)
    around = np.stack([np.cos(angle), np.sin(angle), np.zeros(segments)], -1)
    points = profile[:, None, :1] * around + profile[:, None, 1:] * np.array([0.0, 0, 1])
    along = np.r_[0, np.cumsum(np.linalg.norm(np.diff(profile, axis=0), axis=1))]
    return lattice(points, closed_columns=True, v=along / max(along[-1], 1e-12), smooth=smooth)


def ellipsoid(radii: Sequence[float], segments: int = 32, rings: int = 20) -> Mesh:
    """Ellipsoid with (3,) radii in metres; the poles lie on z."""
    angle = np.linspace(-np.pi / 2, np.pi / 2, rings + 1)
    profile = np.stack([np.cos(angle), np.sin(angle)], -1)
    profile[[0, -1], 0] = 0
    ball = lathe(profile, segments)
    return Mesh((ball.vertices * np.asarray(radii)).astype(np.float32), ball.faces, ball.uv)


def rounded_box(
    size: Sequence[float] | np.ndarray, radius: float, segments: int = 3, atlas: bool = False
) -> Mesh:
    """Box with (3,) side lengths and rounded edges, metres.

    Each side shows the whole texture, upright in z (in y at top and bottom); with `atlas`, only a
    third of its width and half of its height: +x, -x, +y above -y, +z, -z.
    """
    half = np.asarray(size, float) / 2
    radius = float(np.clip(radius, 1e-6, half.min() * 0.99))
    core = half - radius
    tangent = np.tan(np.linspace(0, np.pi / 4, segments + 1))
    pad = np.minimum(core * 0.9, radius * SUPPORT)
    sides = []
    for k in range(6):
        axis, sign = k // 2, 1 - 2 * (k % 2)
        across = (1 - axis if axis < 2 else 0, 2 if axis < 2 else 1)
        flip = -1 if (axis == 0 and sign < 0) or (axis == 1 and sign > 0) else 1
        flip = -1 if axis == 2 and sign < 0 else flip
        lines = []
        for a in across:
            ends = np.r_[np.full(segments + 1, core[a]), core[a] - pad[a]]
            tilt = np.r_[tangent[::-1], 0]
            lines.append((np.r_[-ends, ends[::-1]], np.r_[-tilt, tilt[::-1]]))
        count = len(lines[0][0])
        points, normal = np.zeros((2, count, count, 3))
        points[..., axis], normal[..., axis] = sign * core[axis], sign
        points[..., across[0]] = flip * lines[0][0]
        normal[..., across[0]] = flip * lines[0][1]
        points[..., across[1]], normal[..., across[1]] = (x[:, None] for x in lines[1])
        points += radius * normal / np.linalg.norm(normal, axis=-1, keepdims=True)
        side = lattice(points)
        place = side.vertices[side.faces]
        uv = np.stack([flip * place[..., across[0]], place[..., across[1]]], -1)
        uv = 0.5 + uv / (2 * half[list(across)])
        if atlas:
            uv = (uv + np.array([k % 3, 1 - k // 3])) / np.array([3, 2])
        sides.append(Mesh(side.vertices, side.faces, uv))
    return weld(merge(sides), tolerance=1e-7)


def tube(
    path: np.ndarray,
    radii: float | np.ndarray,
    segments: int = 16,
    caps: bool = True,
    closed: bool = False,
    up: Sequence[float] = (0.0, 0.0, 1.0),
    power: float = 2.0,
) -> Mesh:
    """Tube along a path; its section is an ellipse or, with a higher power, a rounded rectangle.

    Args:
        path: (N, 3) metres, without sharp corners.
        radii: one number, (N,) or (N, 2): half widths along the path's side and along `up`, metres.
        caps: whether rounded ends close it (they extend past the path by the smaller radius).
        closed: whether the path ends where it starts.
        up: direction that the section's second axis stays close to.
        power: exponent of the superellipse.
    """
    path = np.asarray(path, float)
    radii = np.asarray(radii, float)
    radii = np.repeat(radii[:, None], 2, 1) if radii.ndim == 1 else radii
    radii = np.broadcast_to(radii, (len(path), 2))
    ahead = np.roll(path, -1, 0) - np.roll(path, 1, 0) if closed else np.gradient(path, axis=0)
    ahead /= np.linalg.norm(ahead, axis=1, keepdims=True)
    lift = np.asarray(up, float)
    above = np.zeros_like(path)
    for i, direction in enumerate(ahead):
        flat = lift - (lift @ direction) * direction
        if np.linalg.norm(flat) < 1e-3 * np.linalg.norm(lift):
            flat = above[i - 1] if i else np.cross(direction, np.roll(direction, 1) + 0.1)
            flat = flat - (flat @ direction) * direction
        above[i] = flat / np.linalg.norm(flat)
    beside = np.cross(above, ahead)
    if caps and not closed:
        angle = np.radians([90, 70, 45, 20])[:, None]
        start = path[0] - ahead[0] * np.sin(angle) * radii[0].min()
        end = (path[-1] + ahead[-1] * np.sin(angle) * radii[-1].min())[::-1]
        shrink = np.where(angle > 1.57, 0, np.cos(angle))
        path = np.concatenate([start, path, end])
        radii = np.concatenate([shrink * radii[0], radii, shrink[::-1] * radii[-1]])
        beside, above = (np.pad(x, ((4, 4), (0, 0)), mode="edge") for x in (beside, above))
    turn = np.linspace(0, 2 * np.pi, segments, endpoint=False)
    cos, sin = (np.sign(x) * np.abs(x) ** (2 / power) for x in (np.cos(turn), np.sin(turn)))
    points = path[:, None] + (
        (radii[:, :1] * cos)[..., None] * beside[:, None]
        + (radii[:, 1:] * sin)[..., None] * above[:, None]
    )
    return lattice(points, closed_rows=closed, closed_columns=True)


def grid(
    width: float, depth: float, n: int, heights: np.ndarray | None = None, curl: float = 0.0
) -> Mesh:
    """Sheet of n by n points about the origin, facing +z; not closed.

    Args:
        width, depth: extent in x and y along the sheet, metres.
        heights: (n, n) metres above the plane, rows along y. curl: angle, radians, by which it is
            rolled up about the y axis.
    """
    x, y = np.meshgrid(np.linspace(-0.5, 0.5, n) * width, np.linspace(-0.5, 0.5, n) * depth)
    lift = np.zeros((n, n)) if heights is None else np.asarray(heights, float)
    if abs(curl) > 1e-6:
        radius, turn = width / curl, x * curl / width
        x, bent = (radius - lift) * np.sin(turn), radius - (radius - lift) * np.cos(turn)
        return lattice(np.stack([x, y, bent], -1))
    return lattice(np.stack([x, y, lift], -1))


def merge(meshes: Sequence[Mesh]) -> Mesh:
    """Merge meshes into one; it has texture coordinates only if each of them does."""
    starts = np.cumsum([0, *(len(mesh.vertices) for mesh in meshes)])
    vertices = np.concatenate([mesh.vertices for mesh in meshes]).astype(np.float32)
    faces = np.concatenate([m.faces + s for m, s in zip(meshes, starts, strict=False)])
    textured = [mesh.uv for mesh in meshes if mesh.uv is not None]
    uv = np.concatenate(textured).astype(np.float32) if len(textured) == len(meshes) else None
    return Mesh(vertices, faces.astype(np.int32), uv, meshes[0].smooth)


def volume(mesh: Mesh) -> tuple[float, np.ndarray]:
    """Enclosed volume in cubic metres (divergence theorem) and its centre of mass, (3,) metres."""
    corners = mesh.vertices.astype(float)[mesh.faces]
    parts = np.linalg.det(corners) / 6
    total = float(parts.sum())
    if abs(total) < 1e-12:
        return total, corners.mean((0, 1))
    return total, (parts[:, None] * corners.sum(1) / 4).sum(0) / total


def vertex_normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """(V, 3) unit normals, weighted by area; 0 where there is no face."""
    corner = vertices[faces]
    across = np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0])
    normals = np.stack([
        np.bincount(faces.ravel(), np.repeat(across[:, axis], 3), len(vertices))
        for axis in range(3)
    ], 1)  # fmt: skip
    return normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
