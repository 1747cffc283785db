"""Garments grown from the skin: sleeves, tops, trousers and gloves with straight hems."""

from __future__ import annotations

from enum import IntEnum

import numpy as np

from handseg.synthetic.rendered.meshes import vertex_normals
from handseg.synthetic.rendered.scene import Mesh

SIDES = [[0, 1], [1, 2], [2, 0]]
"""Corners at the ends of a triangle's sides."""


class Field(IntEnum):
    """Rows of `body_fields`: where each vertex of the body lies.

    LEFT_ARM, RIGHT_ARM: 0 at the shoulder, 1 at the wrist, above 1 on the hand; negative or 0 off
    the arm. HEIGHT: 0 at the ankles, 0.5 at the crotch, 1 at the collar; at least 0.85 on the
    arms. NECK: 0 on a plane round the neck's base, lower in front; 1 at the base of the skull.
    """

    LEFT_ARM = 0
    RIGHT_ARM = 1
    HEIGHT = 2
    NECK = 3


def body_fields(
    template: np.ndarray, joints: dict[str, np.ndarray], in_arm: np.ndarray
) -> np.ndarray:
    """Find where along arms and trunk each vertex lies, (4, V) in the order of `Field`.

    Args:
        template: (V, 3) the average body at rest, metres. joints: (3,) starts of its bones.
        in_arm: (2, V) how much the bones of the left and the right arm move each vertex.
    """
    fields = []
    for side, arm in zip("LR", in_arm, strict=True):
        shoulder, elbow, wrist = (
            joints[f"{bone}.{side}"] for bone in ("upperarm01", "lowerarm01", "wrist")
        )
        upper, lower = np.linalg.norm(elbow - shoulder), np.linalg.norm(wrist - elbow)
        first = (template - shoulder) @ (elbow - shoulder) / upper
        second = upper + (template - elbow) @ (wrist - elbow) / lower
        share = np.clip((first - 0.75 * upper) / (0.5 * upper), 0, 1)
        along = ((1 - share) * first + share * second) / (upper + lower)
        fields.append(np.where(arm > 0.02, along, np.minimum(along, 0)))
    ankle, collar = joints["foot.L"][2], joints["neck01"]
    crotch = template[np.abs(template[:, 0]) < 0.003, 2].min()
    height = np.interp(
        template[:, 2], [ankle - 1, ankle, crotch, collar[2], collar[2] + 1], [-1, 0, 0.5, 1, 2]
    )
    fields.append(np.where(in_arm.max(0) > 0.02, np.maximum(height, 0.85), height))
    rise = (template - collar) @ np.array([0, -0.45, 1]) / np.hypot(1, 0.45)
    fields.append(rise / np.linalg.norm(joints["head"] - collar))
    return np.stack(fields)


def shell(
    body_vertices: np.ndarray,
    faces: np.ndarray,
    selected: np.ndarray,
    thickness: float,
    *,
    level: float = 0.0,
    loose: int = 12,
    folds: float = 0.008,
    seed: int = 0,
    places: np.ndarray | None = None,
) -> Mesh:
    """Grow a garment from the skin where a field is at least `level`, with straight hems.

    Args:
        body_vertices: (V, 3) metres. faces: (F, 3).
        selected: (V,) field; a bool mask is cut halfway between vertices inside and outside.
        thickness: minimum distance from the skin, metres.
        loose: rounds of smoothing, by which the fabric spans hollows of the body.
        folds: height of the fabric's relief, metres.
        places: (V, 3) where the relief is looked up, such as the body at rest, so that it moves
            with the body; the vertices themselves if None.
    """
    field = selected - 0.5 if selected.dtype == bool else selected - level
    body_vertices = np.asarray(body_vertices, np.float32)
    places = body_vertices if places is None else places
    near = faces[(field[faces] > 0).any(1)]
    wide = near
    for _ in range(3):
        wide = faces[np.isin(faces, wide).any(1)]  # so that the hem is smoothed from both sides
    edges, _, _ = _unique_edges(wide[:, SIDES].reshape(-1, 2))
    start, end = np.concatenate([edges, edges[:, ::-1]]).T
    count = np.maximum(np.bincount(start, minlength=len(body_vertices)), 1)[:, None]

    def around(values: np.ndarray) -> np.ndarray:
        """Average the neighbours."""
        sums = [np.bincount(start, values[end, axis], len(values)) for axis in range(3)]
        return np.stack(sums, 1) / count

    normals = vertex_normals(body_vertices, wide)
    for _ in range(loose // 3):
        normals = normals + around(normals)
        normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    cloth = body_vertices + thickness * normals
    for _ in range(loose):
        # Along the normals only, or hems would drift where the body's mesh is uneven.
        height = ((around(cloth) - body_vertices) * normals).sum(1, keepdims=True)
        cloth = body_vertices + np.maximum(height, thickness) * normals
    stacked = np.concatenate([cloth, normals, places], 1)
    stacked, near = clip(stacked, near, field)
    stacked, near = subdivide(stacked, near)
    cloth, normals, places = stacked[:, :3], stacked[:, 3:6], stacked[:, 6:]
    normals = normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9)
    cloth = cloth + folds * _relief(places, seed)[:, None] * normals
    edge = boundary(near)
    # Turn the hem inwards, or the fabric would look paper-thin.
    inner = np.unique(edge)
    turned = np.searchsorted(inner, edge) + len(cloth)
    rim = np.concatenate([
        np.stack([edge[:, 1], edge[:, 0], turned[:, 0]], 1),
        np.stack([edge[:, 1], turned[:, 0], turned[:, 1]], 1),
    ])  # fmt: skip
    cloth = np.concatenate([cloth, cloth[inner] - 0.7 * thickness * normals[inner]])
    return Mesh(cloth.astype(np.float32), np.concatenate([near, rim]).astype(np.int32))


def clip(values: np.ndarray, faces: np.ndarray, field: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cut triangles where a field crosses 0 and keep the part where it is positive.

    Args:
        values: (V, C), interpolated along cut edges. faces: (F, 3). field: (V,).

    Returns:
        The vertices in use, (N, C), and the triangles, (M, 3).
    """
    field = np.where(np.abs(field) < 1e-6, 1e-6, field)
    inside = field[faces] > 0
    # Rotate each triangle so that the odd corner out comes first.
    odd = np.where(inside.sum(1) == 1, inside.argmax(1), (~inside).argmax(1))
    turned = np.take_along_axis(faces, (odd[:, None] + np.arange(3)) % 3, 1)
    one, two = turned[inside.sum(1) == 1], turned[inside.sum(1) == 2]
    edges = np.concatenate([one[:, [0, 1]], one[:, [0, 2]], two[:, [0, 1]], two[:, [0, 2]]])
    unique, index, _ = _unique_edges(edges)
    start, end = field[unique[:, 0]], field[unique[:, 1]]
    share = (start / (start - end))[:, None]
    cut = values[unique[:, 0]] * (1 - share) + values[unique[:, 1]] * share
    first, second, third, fourth = np.split(
        index.ravel() + len(values), np.cumsum([len(one), len(one), len(two)])
    )
    kept = np.concatenate([
        faces[inside.all(1)],
        np.stack([one[:, 0], first, second], 1),
        np.stack([third, two[:, 1], two[:, 2]], 1),
        np.stack([third, two[:, 2], fourth], 1),
    ])  # fmt: skip
    used, compact = np.unique(kept, return_inverse=True)
    return np.concatenate([values, cut])[used], compact.reshape(-1, 3)


def subdivide(values: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Split each triangle into four; new vertices are edge midpoints."""
    unique, index, _ = _unique_edges(faces[:, SIDES].reshape(-1, 2))
    middle = index.reshape(-1, 3) + len(values)
    a, b, c = faces.T
    ab, bc, ca = middle.T
    split = np.concatenate([
        np.stack(corners, 1) for corners in ((a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca))
    ])  # fmt: skip
    return np.concatenate([values, values[unique].mean(1)]), split


def boundary(faces: np.ndarray) -> np.ndarray:
    """(E, 2) edges that belong to only one triangle, in its direction."""
    edges = faces[:, SIDES].reshape(-1, 2)
    _, index, count = _unique_edges(edges)
    return edges[count[index] == 1]


def _unique_edges(edges: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Undirected edges (U, 2), the index of each of `edges` (E, 2) among them, and their counts."""
    low, high = edges.min(1).astype(np.int64), edges.max(1).astype(np.int64)
    keys, index, count = np.unique(low << 32 | high, return_inverse=True, return_counts=True)
    return np.stack([keys >> 32, keys & 0xFFFFFFFF], 1), index.ravel(), count


def _relief(places: np.ndarray, seed: int) -> np.ndarray:
    """(N,) random heights, 0..1: ridges about 5 to 15 cm apart that fade in and out."""
    rng = np.random.default_rng(seed)
    height = np.zeros(len(places))
    for wavelength in (0.3, 0.22, 0.16, 0.12, 0.1):
        wave, strength = rng.normal(size=(2, 3))
        wave *= 2 * np.pi / wavelength / np.linalg.norm(wave)
        bend = places @ (rng.normal(size=(3, 2)) * 20) + rng.uniform(0, 6, 2)
        ridge = 1 - np.abs(np.sin(places @ wave + 0.6 * np.sin(bend).sum(1)))
        height += wavelength * ridge**2 * (1 + np.sin(places @ strength * 12))
    span = np.ptp(height) if len(height) else 1.0
    return (height - height.min(initial=np.inf)) / max(span, 1e-9)
