"""Poses found by gradient descent on joints within limits; a scene's goals are the losses."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import torch

from handseg.synthetic.rendered.body.bodies import Body, joint_slots, pose_bones, skin, topology
from handseg.synthetic.rendered.body.hands import Capsules, HandFrame, hand_frame, hand_vertices
from handseg.synthetic.rendered.body.joints import ARM_BONES, JOINTS, numbers
from handseg.synthetic.rendered.meshes import vertex_normals

Losses = dict[str, torch.Tensor]

EASED = (
    *("outside", "trunk", "head", "table", "apart", "prop", "fingers"),
    *("normal", "along", "facing", "touch", "meet"),
)
"""Losses with these name prefixes count little at first.

A hand may pass through obstacles on its way, or it would get caught behind them; and it first moves
to its goal, then turns."""


class UnreachableError(Exception):
    """A body cannot do what its scene asks for; the scene is drawn again."""


@lru_cache(maxsize=1)
def _bounds() -> tuple[torch.Tensor, torch.Tensor]:
    limits = torch.tensor([(joint.low, joint.high) for joint in JOINTS])
    return limits[:, 0], limits[:, 1]


@dataclass(eq=False)
class Figure:
    """A person about to be posed.

    Attributes:
        body: the body at rest.
        placement: (4, 4) float32, body to world.
        values: radians by joint number; other joints stay at 0 (arms) or straight.
        free: numbers of the joints that the fit may move, starting from their `values`.
        fixed: (104, 3) float32 angles about the bones' own axes for spine, neck and head.
    """

    body: Body
    placement: torch.Tensor = field(default_factory=lambda: torch.eye(4))
    values: dict[int, float] = field(default_factory=dict)
    free: list[int] = field(default_factory=list)
    fixed: torch.Tensor = field(default_factory=lambda: torch.zeros(len(topology().bones), 3))

    def free_arm(self, side: str) -> None:
        """Let the fit move the arm on `side`, wrist included."""
        self.free += numbers(side, *ARM_BONES)

    def free_fingers(self, side: str) -> None:
        """Let the fit move the fingers on `side`."""
        self.free += numbers(side, "finger")


@dataclass(eq=False)
class Posed:
    """A figure in one pose; tensors carry gradients while a pose is fitted.

    Attributes:
        figure: the posed figure. values: (J,) radians, all of `JOINTS`. bones: (104, 4, 4).
    """

    figure: Figure
    values: torch.Tensor
    bones: torch.Tensor
    _hands: dict[str, HandFrame] = field(default_factory=dict)

    def hand(self, side: str) -> HandFrame:
        """The hand on `side`."""
        if side not in self._hands:
            self._hands[side] = hand_frame(self.figure.body, self.bones, side)
        return self._hands[side]

    def bone(self, name: str) -> torch.Tensor:
        """(3,) start of a bone."""
        return self.bones[topology().index(name), :3, 3]

    def vertices(self, chosen: torch.Tensor | None = None) -> torch.Tensor:
        """(N, 3) vertices with these indices, or all."""
        return skin(self.figure.body, self.bones, chosen)

    def hand_points(self, side: str) -> torch.Tensor:
        """(N, 3) about two hundred vertices of the hand on `side`."""
        return self.vertices(_some_hand_vertices(side))

    def forearm_points(self, side: str) -> torch.Tensor:
        """(N, 3) some vertices of the forearm on `side`."""
        return self.vertices(_some_vertices(("lowerarm",), side, 8))


@lru_cache(maxsize=4)
def _some_hand_vertices(side: str) -> torch.Tensor:
    return torch.from_numpy(hand_vertices(side, 0.7)[::4].copy())


@lru_cache(maxsize=16)
def _some_vertices(starts: tuple[str, ...], side: str, step: int) -> torch.Tensor:
    weight = topology().weight_of(*starts, side=side)
    return torch.from_numpy(np.flatnonzero(weight > 0.6)[::step].copy())


@dataclass(frozen=True, eq=False)
class Surface:
    """A fixed surface that hands may touch but not enter: points with normals, (N, 3) each."""

    points: torch.Tensor
    normals: torch.Tensor

    @classmethod
    def of(cls, posed: Posed, *starts: str, step: int = 3) -> Surface:
        """Take the skin that the bones with these name prefixes move."""
        shape = topology()
        chosen = np.flatnonzero(shape.weight_of(*starts) > 0.5)[::step]
        with torch.no_grad():
            vertices = posed.vertices().numpy()
        normals = vertex_normals(vertices, shape.faces)
        return cls(torch.from_numpy(vertices[chosen]), torch.from_numpy(normals[chosen]))

    def distance(self, points: torch.Tensor) -> torch.Tensor:
        """(N,) metres from (N, 3) points, negative inside."""
        with torch.no_grad():
            nearest = torch.cdist(points, self.points).argmin(1)
        apart = points - self.points[nearest]
        signed = (apart * self.normals[nearest]).sum(1)
        far = apart.norm(dim=1)
        # Far from the surface, normals do not tell inside from outside.
        return torch.where(far > 0.08, far, signed)


def start(figure: Figure) -> Posed:
    """Pose the figure by its values, before any fit."""
    with torch.no_grad():
        return _posed(figure, _vector(figure.values))


def _vector(values: dict[int, float]) -> torch.Tensor:
    vector = torch.zeros(len(JOINTS))
    for number, value in values.items():
        vector[number] = value
    return vector


def _posed(figure: Figure, values: torch.Tensor) -> Posed:
    bones, slots = joint_slots()
    angles = figure.fixed.clone()
    angles[bones, slots] = values
    angles[:, 0] -= figure.body.bend  # 0 is a straight finger, but the body at rest bends them.
    return Posed(figure, values, pose_bones(figure.body, angles, figure.placement))


def solve(
    figures: Sequence[Figure],
    goals: Callable[[list[Posed]], Losses],
    extra: Sequence[torch.Tensor] = (),
    steps: int = 120,
    rate: float = 0.04,
) -> tuple[list[Posed], dict[str, float]]:
    """Move the free joints until the goals hold.

    Args:
        figures: the figures to pose together.
        goals: returns a pose's losses by name, which are summed; weigh them so that 1.0 is bad.
        extra: leaf tensors with gradients that the fit may also move, such as an object's place.
        steps: Adam steps. rate: learning rate, as a share of a joint's range; a tenth of it, in
            metres or radians, for `extra`.

    Returns:
        The poses, without gradients, and the final losses by name.
    """
    low, high = _bounds()
    parameters, plans = [], []
    for figure in figures:
        begin = _vector(figure.values)
        free = torch.tensor(sorted(set(figure.free)), dtype=torch.long)
        share = ((begin - low) / (high - low))[free].clamp(0.02, 0.98)
        parameters.append(share.clone().requires_grad_())
        plans.append((figure, begin, free, share))
    optimizer = torch.optim.Adam(parameters, lr=rate)
    if extra:
        optimizer.add_param_group({"params": list(extra), "lr": rate / 10})

    def now() -> tuple[list[Posed], torch.Tensor]:
        posed, strain = [], torch.zeros(())
        for (figure, begin, free, share), parameter in zip(plans, parameters, strict=True):
            values = begin.clone()
            values[free] = low[free] + (high - low)[free] * parameter
            strain = strain + 0.05 * (parameter - share).pow(2).sum()
            strain = strain + 2.0 * torch.relu((parameter - 0.5).abs() - 0.42).pow(2).sum()
            posed.append(_posed(figure, values))
        return posed, strain

    with _one_thread():
        _descend(now, goals, parameters, optimizer, steps)
    with torch.no_grad():
        posed, _ = now()
        losses = {name: float(value) for name, value in goals(posed).items()}
    return posed, losses


@contextmanager
def _one_thread() -> Iterator[None]:
    """Limit torch to one thread: steps are so small that more threads only wait."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _descend(
    now: Callable[[], tuple[list[Posed], torch.Tensor]],
    goals: Callable[[list[Posed]], Losses],
    parameters: list[torch.Tensor],
    optimizer: torch.optim.Optimizer,
    steps: int,
) -> None:
    rate = optimizer.param_groups[0]["lr"]
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, max(steps, 1), rate / 20)
    for step in range(steps):
        posed, strain = now()
        eased = min(1.0, 0.01 * 10 ** (3.0 * step / steps))
        loss = strain
        for name, value in goals(posed).items():
            loss = loss + value * (eased if name.startswith(EASED) else 1.0)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        with torch.no_grad():
            for parameter in parameters:
                parameter.clamp_(0.0, 1.0)


def require(losses: dict[str, float], **limits: float) -> None:
    """Check the fit.

    Raises:
        UnreachableError: if a named loss is above its limit.
    """
    for name, limit in limits.items():
        if losses[name] > limit:
            raise UnreachableError(f"{name} is {losses[name]:.3g}, above {limit:.3g}")


def near(point: torch.Tensor, goal: torch.Tensor, within: float = 0.02) -> torch.Tensor:
    """A tenth of the squared distance of `point` (3,) from `goal`, in units of `within` metres."""
    return ((point - goal) / within).pow(2).sum() * 0.1


def along(direction: torch.Tensor, goal: torch.Tensor) -> torch.Tensor:
    """0 where two unit vectors point the same way, 2 where they are opposite."""
    return 1 - (direction * goal).sum()


def outside(distance: torch.Tensor, by: float = 0.002) -> torch.Tensor:
    """How deep signed distances (N,) in metres reach below `by`: 1 for one point 1 cm inside."""
    return (torch.relu(by - distance) * 100).pow(2).sum()


def touching(distance: torch.Tensor, gap: float = 0.002) -> torch.Tensor:
    """How far the nearest of signed distances (N,) in metres is from `gap`: 1 for 1 cm."""
    return ((torch.relu(distance.min() - gap)) * 100).pow(2)


def apart(one: Posed, side: str, other: Posed, other_side: str, gap: float = 0.0) -> torch.Tensor:
    """How far two hands enter each other, measured as in `outside`."""
    capsules = Capsules.of(other.figure.body)
    points = one.hand_points(side)
    return outside(capsules.distance(other.hand(other_side), points).min(1).values, gap)


def own_fingers_apart(posed: Posed, side: str) -> torch.Tensor:
    """How far thumb and fingers enter each other, measured as in `outside`.

    Measured between the middles of bones; neighbours on one finger and knuckles are excluded.
    """
    capsules = Capsules.of(posed.figure.body)
    marks = posed.hand(side).landmarks
    tips, before = marks[[4, 8, 12, 16, 20]], marks[[3, 7, 11, 15, 19]]
    middles = marks[[2, 6, 10, 14, 18]]
    points = torch.cat([tips, (tips + before) / 2, before, (before + middles) / 2])
    distance = capsules.distance(posed.hand(side), points)
    finger_of_rod = torch.tensor([-1] * 4 + [f for f in range(5) for _ in range(3)])
    finger_of_point = torch.arange(5).repeat(4)
    other = finger_of_rod[None] != finger_of_point[:, None]
    palm = (finger_of_rod == -1)[None].expand_as(other)
    own_radius = torch.cat([capsules.radii[[6, 9, 12, 15, 18]]] * 4)[:, None] * 0.8
    gaps = torch.where(
        other, distance - own_radius + torch.where(palm, 0.006, 0.0), torch.tensor(1.0)
    )
    return outside(gaps.flatten(), 0.0)
