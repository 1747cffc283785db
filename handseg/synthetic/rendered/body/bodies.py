"""Bodies: anny's shapes, posed by a skeleton with anatomical joints, in torch.

anny (https://github.com/naver/anny) turns a phenotype into a body at rest. Posing is done here, on
just the vertices requested, because fitting a pose needs a few hundred gradients of the hands and
none of the toes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import anny
import numpy as np
import torch

from handseg.synthetic.rendered.body.joints import AXES, JOINTS

SIDES = ("L", "R")
HAND_BONES = ("wrist", "metacarpal", "finger")
FINGERS = (1, 2, 3, 4, 5)


@dataclass(frozen=True)
class Topology:
    """The mesh and skeleton that all bodies share; V = 13,718 vertices.

    Attributes:
        bones: names of the 104 bones. parents: index of each bone's parent, -1 for the root.
        levels: bones of equal depth below the root, with their parents' positions in the list of
            all levels. order: each bone's position in that list.
        weights: (V, 104) float32, how much each bone moves each vertex.
        faces: (F, 3) int32. uv: (F, 3, 2) float32.
    """

    bones: tuple[str, ...]
    parents: tuple[int, ...]
    levels: tuple[tuple[list[int], list[int]], ...]
    order: list[int]
    weights: torch.Tensor
    faces: np.ndarray
    uv: np.ndarray

    def index(self, bone: str) -> int:
        """The number of a bone."""
        return self.bones.index(bone)

    def weight_of(self, *starts: str, side: str = "") -> np.ndarray:
        """(V,) float32: how much the bones with these name prefixes on `side` move each vertex."""
        chosen = [
            number
            for number, bone in enumerate(self.bones)
            if bone.startswith(starts) and bone.endswith(side)
        ]
        return self.weights[:, chosen].sum(1).numpy()


@lru_cache(maxsize=1)
def _model() -> anny.Anny:
    return anny.Anny(phenotypes="all", skinning_method="lbs").float()


@lru_cache(maxsize=1)
def topology() -> Topology:
    """The mesh and skeleton of all bodies."""
    model = _model()
    bones = tuple(model.bone_labels)
    weights = torch.zeros(len(model.vertex_bone_indices), len(bones))
    weights.scatter_add_(1, model.vertex_bone_indices.long(), model.vertex_bone_weights.float())
    uv = model.texture_coordinates[model.face_texture_coordinate_indices]
    parents = tuple(int(parent) for parent in model.bone_parents)
    return Topology(
        bones,
        parents,
        *_levels(parents),
        weights,
        model.faces.numpy().astype(np.int32),
        uv.numpy().astype(np.float32),
    )


def _levels(
    parents: tuple[int, ...],
) -> tuple[tuple[tuple[list[int], list[int]], ...], list[int]]:
    depth = [0] * len(parents)
    for bone, parent in enumerate(parents[1:], 1):  # Parents come before their children.
        depth[bone] = depth[parent] + 1
    listed = sorted(range(len(parents)), key=lambda bone: depth[bone])
    order = [listed.index(bone) for bone in range(len(parents))]
    levels = []
    for level in range(1, max(depth) + 1):
        members = [bone for bone in listed if depth[bone] == level]
        levels.append((members, [order[parents[bone]] for bone in members]))
    return tuple(levels), order


@dataclass(frozen=True, eq=False)
class Body:
    """A body at rest: an A-pose, palms down, facing -y, the root bone at the origin.

    Attributes:
        phenotype: anny's parameters, each 0..1.
        vertices: (V, 3) float32, metres.
        bones, inverse, relative: (104, 4, 4) float32: bone to world, world to bone, bone to parent.
        axes: (104, 3, 3) float32, the axes that each bone's joint turns about, in the bone's frame;
            see `joints.AXES`.
        bend: (104,) float32, how far each finger joint is flexed at rest, radians.
    """

    phenotype: dict[str, float]
    vertices: torch.Tensor
    bones: torch.Tensor
    inverse: torch.Tensor
    relative: torch.Tensor
    axes: torch.Tensor
    bend: torch.Tensor


PHENOTYPES = [
    "gender",
    "age",
    "muscle",
    "weight",
    "height",
    "proportions",
    "cupsize",
    "firmness",
    "african",
    "asian",
    "caucasian",
]


def draw_phenotype(rng: np.random.Generator) -> dict[str, float]:
    """Draw a person, from school age to old, of any build."""
    age = rng.uniform(0.3, 0.45) if rng.random() < 0.12 else rng.uniform(0.5, 1.0)
    drawn = {name: float(rng.uniform(0, 1)) for name in PHENOTYPES}
    drawn.update(
        age=float(age),
        gender=float(np.clip(rng.choice([0.08, 0.92]) + rng.normal(0, 0.08), 0, 1)),
        weight=float(np.clip(rng.normal(0.5, 0.17), 0.1, 0.95)),
        muscle=float(np.clip(rng.normal(0.5, 0.15), 0.15, 0.9)),
        height=float(np.clip(rng.normal(0.5, 0.17), 0.1, 0.9)),
        proportions=float(rng.uniform(0.3, 0.9)),
        cupsize=float(rng.uniform(0.2, 0.7)),
    )
    return drawn


def make_body(phenotype: dict[str, float]) -> Body:
    """Make the body at rest that anny gives for `phenotype`."""
    with torch.no_grad():
        values = {name: torch.tensor([value]) for name, value in phenotype.items()}
        out = _model()(phenotype_kwargs=values)
    bones = out["rest_bone_poses"][0].float()
    inverse = torch.linalg.inv(bones)
    relative = inverse[[max(parent, 0) for parent in topology().parents]] @ bones
    relative[0] = bones[0]
    axes, bend = _joint_axes(bones)
    vertices = out["rest_vertices"][0].float()
    return Body(phenotype, vertices, bones, inverse, relative, axes, bend)


def palm_normal(bones: torch.Tensor, side: str) -> torch.Tensor:
    """Unit vector (3,) that points out of the palm, from (104, 4, 4) bone poses."""
    index = topology().index
    wrist, first, last = (
        bones[index(f"{bone}.{side}")][:3, 3] for bone in ("wrist", "finger2-1", "finger5-1")
    )
    normal = torch.linalg.cross(first - wrist, last - wrist) * (1 if side == "R" else -1)
    return normal / normal.norm()


def _joint_axes(bones: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Find the axes of all joints in their bones' frames, and the fingers' flexion at rest.

    A finger flexes about the axis that turns its bone towards the palm's normal. The thumb's nail
    faces sideways: its bones flex towards the base of the little finger.
    """
    index = topology().index
    axes = torch.eye(3).repeat(len(bones), 1, 1)
    bend = torch.zeros(len(bones))

    def at(name: str) -> torch.Tensor:
        return bones[index(name)][:3, 3]

    def store(name: str, *world: torch.Tensor) -> None:
        frame = bones[index(name)][:3, :3]
        for slot, axis in enumerate(world):
            axes[index(name), slot] = frame.T @ (axis / axis.norm())

    for side in SIDES:
        mirror = 1.0 if side == "R" else -1.0
        normal = palm_normal(bones, side)
        along = at(f"finger3-1.{side}") - at(f"wrist.{side}")
        upper = at(f"lowerarm01.{side}") - at(f"upperarm01.{side}")
        lower = at(f"wrist.{side}") - at(f"lowerarm01.{side}")
        hinge = torch.linalg.cross(upper, lower)
        out = torch.tensor([-mirror, 0.0, 0.0])
        for name in ("clavicle", "shoulder01", "upperarm01"):
            # Raise sideways, swing forwards, twist.
            front = torch.tensor([0.0, -1.0, 0.0])
            side_axis = torch.linalg.cross(upper, out)
            store(f"{name}.{side}", side_axis, torch.linalg.cross(upper, front), upper * mirror)
        for name in ("lowerarm01", "lowerarm02"):
            store(f"{name}.{side}", hinge, torch.linalg.cross(hinge, lower), lower * mirror)
        flexion = torch.linalg.cross(along, normal)
        store(f"wrist.{side}", flexion, normal * mirror, along)
        for finger in FINGERS:
            heads = [at(f"finger{finger}-{joint}.{side}") for joint in (1, 2, 3)]
            ways = [heads[1] - heads[0], heads[2] - heads[1]]
            frame = bones[index(f"finger{finger}-3.{side}")][:3, :3]
            ways.append(frame[:, 1])
            if finger == 1:
                inwards = at(f"finger5-1.{side}") - heads[1] + 0.02 * normal
                base = torch.linalg.cross(ways[0], inwards)
                palmar = torch.linalg.cross(ways[0], normal)
                store(f"finger1-1.{side}", palmar, normal * mirror, ways[0] * mirror)
                for joint in (2, 3):
                    axis = torch.linalg.cross(ways[joint - 1], inwards)
                    store(f"finger1-{joint}.{side}", axis, base, ways[joint - 1])
                continue
            before = at(f"finger{finger}-1.{side}") - at(f"wrist.{side}")
            for joint, way in zip((1, 2, 3), ways, strict=True):
                name = f"finger{finger}-{joint}.{side}"
                axis = torch.linalg.cross(way, normal)
                store(name, axis, normal * mirror, way * mirror)
                axis = axis / axis.norm()
                flat = [vector - axis * (vector @ axis) for vector in (before, way)]
                turn = torch.linalg.cross(flat[0], flat[1]) @ axis
                bend[index(name)] = torch.atan2(turn, flat[0] @ flat[1])
                before = way
    return axes, bend


def _rotations(axes: torch.Tensor, angles: torch.Tensor) -> torch.Tensor:
    """(N, 3, 3) rotations by (N,) radians about (N, 3) unit axes (Rodrigues' formula)."""
    zero = torch.zeros_like(angles)
    x, y, z = axes.T
    cross = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], 1).view(-1, 3, 3)
    sin, cos = torch.sin(angles)[:, None, None], torch.cos(angles)[:, None, None]
    return torch.eye(3) + sin * cross + (1 - cos) * (cross @ cross)


def pose_bones(body: Body, angles: torch.Tensor, placement: torch.Tensor) -> torch.Tensor:
    """Bone poses (104, 4, 4) from joint angles.

    Args:
        angles: (104, 3) radians about `body.axes`, applied in the order of the slots.
        placement: (4, 4), body to world.
    """
    count = len(body.axes)
    turns = _rotations(body.axes.view(-1, 3), angles.reshape(-1)).view(count, 3, 3, 3)
    turned = turns[:, 0] @ turns[:, 1] @ turns[:, 2]
    last_row = torch.tensor([0.0, 0.0, 0.0, 1.0]).expand(count, 1, 4)
    local = torch.cat([torch.cat([turned, torch.zeros(count, 3, 1)], 2), last_row], 1)
    local = body.relative @ local
    posed = placement @ local[:1]
    for level, parents in topology().levels:
        posed = torch.cat([posed, posed[parents] @ local[level]])
    return posed[topology().order]


def skin(body: Body, bones: torch.Tensor, chosen: torch.Tensor | None = None) -> torch.Tensor:
    """Vertices (N, 3) under bone poses (linear blend skinning); `chosen` are indices, or all."""
    moves = (bones @ body.inverse)[:, :3]
    weights, rest = topology().weights, body.vertices
    if chosen is not None:
        weights, rest = weights[chosen], rest[chosen]
    blended = (weights @ moves.reshape(len(moves), 12)).view(-1, 3, 4)
    return (blended[:, :, :3] @ rest[:, :, None])[..., 0] + blended[:, :, 3]


@lru_cache(maxsize=1)
def joint_slots() -> tuple[torch.Tensor, torch.Tensor]:
    """For each of `JOINTS`, the number of its bone and its slot in `Body.axes`."""
    index = topology().index
    bones = torch.tensor([index(joint.bone) for joint in JOINTS])
    slots = torch.tensor([AXES[joint.axis] for joint in JOINTS])
    return bones, slots
