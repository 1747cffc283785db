"""Outlines in the plane and the plates and turned profiles made from them."""

from __future__ import annotations

import numpy as np

from handseg.synthetic.rendered.meshes import SUPPORT, lathe, lattice, merge, weld
from handseg.synthetic.rendered.scene import Mesh


def fillet(points: np.ndarray, radius: float, steps: int = 3, closed: bool = False) -> np.ndarray:
    """(M, 2) polyline with rounded corners, with support points next to them.

    Corners of less than 15 degrees stay. The radius shrinks where sides are short.
    """
    points = np.asarray(points, float)
    count = len(points)
    out: list[np.ndarray] = []
    for i, here in enumerate(points):
        if not closed and i in (0, count - 1):
            out.append(here[None])
            continue
        back, on = points[i - 1] - here, points[(i + 1) % count] - here
        lengths = np.linalg.norm([back, on], axis=1)
        if lengths.min() < 1e-9:
            continue
        back, on = back / lengths[0], on / lengths[1]
        half = np.arccos(np.clip(back @ on, -1, 1)) / 2
        if half > np.pi / 2 - np.radians(7.5):
            out.append(here[None])
            continue
        cut = min(radius / np.tan(half), 0.3 * lengths.min())
        t = np.linspace(0, 1, steps + 1)[:, None]
        start, end = here + back * cut, here + on * cut
        arc = (1 - t) ** 2 * start + 2 * t * (1 - t) * here + t**2 * end
        out += [(start + back * cut * SUPPORT)[None], arc, (end + on * cut * SUPPORT)[None]]
    return np.concatenate(out)


def triangulate(outline: np.ndarray) -> np.ndarray:
    """(N - 2, 3) triangles of a simple counter-clockwise (N, 2) polygon, by ear clipping."""

    def turn(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> np.ndarray:
        return (b[..., 0] - a[..., 0]) * (c[..., 1] - a[..., 1]) - (b[..., 1] - a[..., 1]) * (
            c[..., 0] - a[..., 0]
        )

    left, out = list(range(len(outline))), []
    while len(left) > 3:
        best, best_score = 0, -np.inf
        ring = outline[left]
        before, after = np.roll(ring, 1, 0), np.roll(ring, -1, 0)
        area = turn(before, ring, after)
        score = area / (np.linalg.norm(after - before, axis=1) ** 2 + 1e-12)
        for i in np.argsort(-score):
            a, b, c = before[i], ring[i], after[i]
            others = np.delete(ring, [i - 1, i, (i + 1) % len(left)], axis=0)
            inside = (turn(a, b, others) >= 0) & (turn(b, c, others) >= 0)
            if not (inside & (turn(c, a, others) >= 0)).any():
                best, best_score = int(i), score[i]
                break
        if best_score == -np.inf:
            best = int(np.argmax(score))
        out.append([left[best - 1], left[best], left[(best + 1) % len(left)]])
        del left[best]
    return np.array([*out, left])


def extruded(outline: np.ndarray, thickness: float, bevel: float = 0.0003) -> Mesh:
    """Plate with an outline in x and y, half of it above and half below z = 0.

    Args:
        outline: (N, 2) simple counter-clockwise polygon, metres.
        thickness: along z, metres. bevel: of the edges. The texture spans the outline's bounding
            box on both faces, unmirrored and upright in y.
    """
    outline = np.asarray(outline, float)
    bevel = min(bevel, 0.49 * thickness)
    edge = np.roll(outline, -1, 0) - outline
    normal = np.stack([edge[:, 1], -edge[:, 0]], -1)
    normal /= np.linalg.norm(normal, axis=1, keepdims=True) + 1e-12
    miter = normal + np.roll(normal, 1, 0)
    miter /= np.maximum((miter**2).sum(1, keepdims=True) / 2, 0.5)
    rings, top = [], thickness / 2
    for inset, z in ((1 + SUPPORT, top), (1, top), (0.3, top - 0.3 * bevel), (0, top - bevel)):
        rings.append(np.c_[outline - miter * inset * bevel, np.full(len(outline), z)])
    rings += [ring * np.array([1, 1, -1]) for ring in rings[::-1]]
    wall = lattice(np.stack(rings[::-1]), closed_columns=True)
    cap = triangulate(rings[0][:, :2])
    lids = [Mesh(rings[0], cap), Mesh(rings[-1], cap[:, ::-1])]
    mesh = weld(merge([Mesh(wall.vertices, wall.faces), *lids]), tolerance=1e-7)
    low, high = outline.min(0), outline.max(0)
    corners = mesh.vertices[mesh.faces]
    uv = (corners[..., :2] - low) / (high - low)
    below = corners[..., 2].mean(1) < -1e-6
    uv[below, :, 0] = 1 - uv[below, :, 0]
    return Mesh(mesh.vertices, mesh.faces, uv.astype(np.float32))


def rounded_rectangle(width: float, height: float, radius: float, steps: int = 8) -> np.ndarray:
    """(4 * (steps + 1), 2) counter-clockwise outline about the origin, metres."""
    radius = min(radius, 0.499 * min(width, height))
    turn = np.linspace(0, np.pi / 2, steps + 1)[:, None]
    out = []
    for k, (sx, sy) in enumerate([(1, 1), (-1, 1), (-1, -1), (1, -1)]):
        centre = np.array([sx * (width / 2 - radius), sy * (height / 2 - radius)])
        angle = turn + k * np.pi / 2
        out.append(centre + radius * np.concatenate([np.cos(angle), np.sin(angle)], 1))
    return np.concatenate(out)


def turned(profile: list[tuple[float, float]], radius: float, segments: int = 40) -> Mesh:
    """Solid of revolution about z from (radius, z) corners, metres, rounded by `radius`."""
    return lathe(fillet(np.array(profile), radius), segments)


def smooth_path(points: list[tuple[float, float, float]], count: int = 24) -> np.ndarray:
    """(count, 3) curve through the points (Catmull-Rom), metres."""
    knots = np.array(points, float)
    knots = np.concatenate([[2 * knots[0] - knots[1]], knots, [2 * knots[-1] - knots[-2]]])
    place = np.linspace(0, len(points) - 1 - 1e-9, count)
    i, t = place.astype(int), (place % 1)[:, None]
    a, b, c, d = (knots[i + k] for k in range(4))
    return 0.5 * (
        2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3
    )
